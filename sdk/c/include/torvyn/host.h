// The host's imports (contract, section 7), once for wasm32 and once for the native build.
//
// Components use the friendlier functions of torvyn.h. In a native build (tests, benchmarks) the imports go
// through a table that the harness sets before the first call; there is one table a shared object.
#ifndef TORVYN_HOST_H
#define TORVYN_HOST_H

#include <stddef.h>

#include "torvyn/abi.h"

#if defined(__wasm__)

#define TV_IMPORT(name) __attribute__((import_module(TV_ABI_IMPORT_MODULE), import_name(name)))

TV_IMPORT("emit") int32_t tv_host_emit(const tv_emit_request *request);
TV_IMPORT("forward") int32_t tv_host_forward(int32_t port);
TV_IMPORT("log") void tv_host_log(int32_t level, const char *text, uint32_t length);
TV_IMPORT("clock") int64_t tv_host_clock(int32_t id);
TV_IMPORT("config_get")
int32_t tv_host_config_get(const char *path, uint32_t path_length, char *out, uint32_t capacity);
TV_IMPORT("asset_size") int64_t tv_host_asset_size(const char *name, uint32_t length);
TV_IMPORT("asset_read")
int32_t tv_host_asset_read(const char *name, uint32_t length, int64_t offset, void *out, uint32_t capacity);
TV_IMPORT("counter") int32_t tv_host_counter(const char *name, uint32_t length);
TV_IMPORT("counter_add") int32_t tv_host_counter_add(int32_t counter, int64_t delta);
TV_IMPORT("reject") int32_t tv_host_reject(const char *reason, uint32_t length);
TV_IMPORT("timer_set") int32_t tv_host_timer_set(int64_t delay_ns);

#define TV_EXPORT(name) __attribute__((export_name(name)))

#else

typedef struct tv_native_imports {
    void *user;
    int32_t (*emit)(void *user, const tv_emit_request *request);
    int32_t (*forward)(void *user, int32_t port);
    void (*log)(void *user, int32_t level, const char *text, uint32_t length);
    int64_t (*clock)(void *user, int32_t id);
    int32_t (*config_get)(void *user, const char *path, uint32_t path_length, char *out, uint32_t capacity);
    int64_t (*asset_size)(void *user, const char *name, uint32_t length);
    int32_t (*asset_read)(void *user, const char *name, uint32_t length, int64_t offset, void *out, uint32_t capacity);
    int32_t (*counter)(void *user, const char *name, uint32_t length);
    int32_t (*counter_add)(void *user, int32_t counter, int64_t delta);
    int32_t (*reject)(void *user, const char *reason, uint32_t length);
    int32_t (*timer_set)(void *user, int64_t delay_ns);
} tv_native_imports;

#define TV_EXPORT(name) __attribute__((visibility("default")))

// Set by the harness; part of the shared object.
extern TV_EXPORT("tv_native") const tv_native_imports *tv_native;

static inline int32_t tv_host_emit(const tv_emit_request *request) { return tv_native->emit(tv_native->user, request); }
static inline int32_t tv_host_forward(int32_t port) { return tv_native->forward(tv_native->user, port); }
static inline void tv_host_log(int32_t level, const char *text, uint32_t length) {
    tv_native->log(tv_native->user, level, text, length);
}
static inline int64_t tv_host_clock(int32_t id) { return tv_native->clock(tv_native->user, id); }
static inline int32_t tv_host_config_get(const char *path, uint32_t path_length, char *out, uint32_t capacity) {
    return tv_native->config_get(tv_native->user, path, path_length, out, capacity);
}
static inline int64_t tv_host_asset_size(const char *name, uint32_t length) {
    return tv_native->asset_size(tv_native->user, name, length);
}
static inline int32_t tv_host_asset_read(const char *name, uint32_t length, int64_t offset, void *out,
                                         uint32_t capacity) {
    return tv_native->asset_read(tv_native->user, name, length, offset, out, capacity);
}
static inline int32_t tv_host_counter(const char *name, uint32_t length) {
    return tv_native->counter(tv_native->user, name, length);
}
static inline int32_t tv_host_counter_add(int32_t counter, int64_t delta) {
    return tv_native->counter_add(tv_native->user, counter, delta);
}
static inline int32_t tv_host_reject(const char *reason, uint32_t length) {
    return tv_native->reject(tv_native->user, reason, length);
}
static inline int32_t tv_host_timer_set(int64_t delay_ns) { return tv_native->timer_set(tv_native->user, delay_ns); }

#endif
#endif
