// Torvyn C SDK: what a stream component needs, in one include.
//
//     #include <torvyn/torvyn.h>
//
//     TV_COMPONENT("hello", "1.0.0", "processor", 65536);
//
//     TV_ON_RECORD(record) {
//         tv_log_info("%u bytes", tv_payload_bytes(record));
//         return tv_forward(record);
//     }
//
// The macros define the exports of the contract (docs/contract.md) around the author's functions: the loop over a
// batch, the output that found no room, resuming. State lives in ordinary static variables. Nothing here
// allocates behind the author's back; nothing is called concurrently. Works freestanding and with wasi-libc.
// TV_COMPONENT and the TV_ON_* macros stand in one source file; other files of a component may include this too.
#ifndef TORVYN_TORVYN_H
#define TORVYN_TORVYN_H

#include "torvyn/abi.h"
#include "torvyn/host.h"
#include "torvyn/record.h"
#include "torvyn/text.h"

// ---- results ------------------------------------------------------------------------------------------------

// What the author's functions return, and what emit and its kin answer.
typedef enum tv_result {
    TV_OK = 0,
    TV_FULL = 1,  // emit: no room, and the pending buffer is full as well. Returned by TV_ON_RECORD: not consumed,
                  // deliver this record again when there is room (only if nothing was emitted for it yet).
    TV_MORE = 2,  // I have more to emit: call TV_ON_MORE (TV_ON_PULL) when there is room
    TV_END = 3,   // TV_ON_PULL: nothing more, ever
    TV_LATER = 4, // TV_ON_RECORD: not consumed; deliver this record again later
    TV_INVALID = TV_ABI_INVALID,
    TV_NOT_FOUND = TV_ABI_NOT_FOUND,
    TV_TOO_LARGE = TV_ABI_TOO_LARGE,
    TV_STATE = TV_ABI_STATE,
    TV_DENIED = TV_ABI_DENIED,
    TV_LIMIT = TV_ABI_LIMIT,
    TV_FAILED = TV_ABI_FAILED, // the component cannot go on: the call fails, the instance is thrown away
} tv_result;

// ---- the component ------------------------------------------------------------------------------------------

// Bytes the SDK sets aside for output that finds no room (untouched memory costs nothing). Define it before the
// include to change it; it must hold at least one largest record.
#ifndef TV_PENDING_BYTES
#define TV_PENDING_BYTES(max_output) (2u * ((max_output) + 4096u) > 65536u ? 2u * ((max_output) + 4096u) : 65536u)
#endif

// Describes the component: name and version (strings), role ("source", "processor", "filter", "router",
// "aggregator", "sink"), bytes of its largest output payload (a plain number), and, if it has more than one output
// port or wants other names than "out", the names of the ports: "out,alerts".
#define TV_COMPONENT(name, version, role, ...) TV_SDK_COMPONENT(name, version, role, __VA_ARGS__, "out", 0)
#define TV_SDK_COMPONENT(name, version, role, max_output, ports, ...)                                                  \
    TV_SDK_DESCRIBE(name, version, role, #max_output, ports);                                                          \
    tv_sdk_state tv_sdk = {.pending_capacity = TV_PENDING_BYTES(max_output)};                                          \
    TV_EXPORT("torvyn_abi_1") void torvyn_abi_1(void) {}                                                               \
    TV_EXPORT("tv_arena") tv_guest_pointer tv_arena(uint32_t size) {                                                   \
        return tv_sdk_arena(size, tv_sdk_is_stateless, tv_sdk_is_keyed);                                               \
    }                                                                                                                  \
    TV_EXPORT("tv_resume") int32_t tv_resume(void) { return tv_sdk_resume(tv_sdk_on_more, tv_sdk_on_pull); }           \
    _Static_assert(sizeof(name) > 1 && sizeof(name) <= TV_NAME_BYTES_MAX + 1, "component name: 1 to 63 bytes")

// Says which output ports need not be connected: `torvyn check` warns of the others only. What goes to a port that
// leads nowhere is lost, and counted as such. Names of TV_COMPONENT's list, separated by commas; stands behind it.
#define TV_OPTIONAL_PORTS(ports) TV_SDK_DESCRIBE_OPTIONAL(ports)

// Says that nothing is kept from one record to the next: what comes out for a record depends on this record, the
// configuration and the assets alone. Then one instance can serve many flows (`instances: shared` in the pipeline
// file). No TV_ON_TICK, TV_ON_PULL or TV_ON_CLOSE, and no timers. A record whose output finds no room is delivered
// again and its output so far taken back, so count and log behind the last emit. Stands behind TV_COMPONENT.
#define TV_STATELESS()                                                                                                 \
    TV_SDK_DESCRIBE_STATE("none");                                                                                     \
    static bool tv_sdk_is_stateless = true

// Says that all that is kept from one record to the next lies in one block: `name` is a pointer to it, of `type`, and
// `size` a plain number, a multiple of 8 that is not less than the type's size. The host can put the block of another
// flow there between calls, so one instance can serve many flows (`instances: shared`), each with a block of its own.
// A new flow's block is as TV_ON_INIT has left it. Elsewhere only what is the same for all flows may be kept: tables
// from the configuration, scratch memory. No timers in TV_ON_INIT; TV_ON_PULL that has answered TV_END answers it again
// when it is called again. Stands behind TV_COMPONENT:
//     typedef struct mean { double sum; uint64_t count; } mean;
//     TV_KEYED_STATE(mean, here, 16);
#define TV_KEYED_STATE(type, name, size)                                                                               \
    TV_SDK_DESCRIBE_STATE("keyed");                                                                                    \
    TV_SDK_DESCRIBE_STATE_BYTES(#size);                                                                                \
    static bool tv_sdk_is_keyed = true;                                                                                \
    _Alignas(8) static uint8_t tv_sdk_keyed[size];                                                                     \
    _Static_assert(sizeof(type) <= (size) && (size) % 8 == 0 && (size) <= TV_STATE_BYTES_LIMIT,                        \
                   "size of the keyed state: a multiple of 8 that holds the type, at most 65536");                     \
    TV_EXPORT("tv_state") tv_guest_pointer tv_state(void) { return (tv_guest_pointer)tv_sdk_keyed; }                   \
    static type *const name = (type *)(void *)tv_sdk_keyed

// Called once, before everything else: read the configuration, prepare state. Emitting is not allowed yet.
// Returning an error, or any bad configuration value (see below), stops the flow.
#define TV_ON_INIT()                                                                                                   \
    static tv_result tv_author_init(void);                                                                             \
    TV_EXPORT("tv_init") int32_t tv_init(void) { return tv_sdk_init(tv_author_init); }                                 \
    static tv_result tv_author_init(void)

// Called for each record: `record` is a `const tv_record *`. A negative result other than TV_FAILED rejects the
// record (dead letter) and goes on, so `return tv_emit(...)` is right.
#define TV_ON_RECORD(record)                                                                                           \
    static inline tv_result tv_author_record(const tv_record *record);                                                 \
    TV_EXPORT("tv_process") int32_t tv_process(int32_t count) {                                                        \
        return tv_sdk_process((uint32_t)count, tv_author_record, tv_sdk_on_watermark);                                 \
    }                                                                                                                  \
    static inline tv_result tv_author_record(const tv_record *record)

// Called when event time has advanced: no record before `time_ns` follows. The host passes the watermark on by itself.
#define TV_ON_WATERMARK(time_ns)                                                                                       \
    static tv_result tv_author_watermark(int64_t time_ns);                                                             \
    static tv_sdk_watermark *tv_sdk_on_watermark = tv_author_watermark;                                                \
    static tv_result tv_author_watermark(int64_t time_ns)

// Called when the timer set with tv_timer_set has run out; `now_ns` is monotonic time since the flow's start.
#define TV_ON_TICK(now_ns)                                                                                             \
    static tv_result tv_author_tick(int64_t now_ns);                                                                   \
    TV_EXPORT("tv_tick") int32_t tv_tick(int64_t now) { return tv_sdk_finish(tv_author_tick(now)); }                   \
    static tv_result tv_author_tick(int64_t now_ns)

// Sources without an input channel: emit up to `max` records (a `uint32_t`). TV_OK: nothing more now, call again
// after the timer. TV_MORE: call again when there is room. TV_END: never again.
#define TV_ON_PULL(max)                                                                                                \
    static tv_result tv_author_pull(uint32_t max);                                                                     \
    static tv_sdk_pull_function *tv_sdk_on_pull = tv_author_pull;                                                      \
    TV_EXPORT("tv_pull") int32_t tv_pull(int32_t max) {                                                                \
        if (tv_sdk.keyed) tv_sdk.ended = false; /* of another flow */                                                  \
        return tv_sdk_pull((uint32_t)max, tv_author_pull);                                                             \
    }                                                                                                                  \
    static tv_result tv_author_pull(uint32_t max)

// Called when all inputs have ended: emit what is left.
#define TV_ON_CLOSE()                                                                                                  \
    static tv_result tv_author_close(void);                                                                            \
    TV_EXPORT("tv_close") int32_t tv_close(void) { return tv_sdk_close(tv_author_close); }                             \
    static tv_result tv_author_close(void)

// Called when there is room again after any function returned TV_MORE: emit more; TV_MORE again, or TV_OK when done.
// The record that started it is gone by then. For components that emit much at once (windows, splitters).
#define TV_ON_MORE()                                                                                                   \
    static tv_result tv_author_more(void);                                                                             \
    static tv_sdk_function *tv_sdk_on_more = tv_author_more;                                                           \
    static tv_result tv_author_more(void)

// ---- emitting -----------------------------------------------------------------------------------------------

// All answer TV_OK, or TV_FULL (nothing taken: no room behind the port and none in the pending buffer), TV_INVALID,
// TV_NOT_FOUND (no such port), TV_TOO_LARGE (more than max_output), TV_STATE (in TV_ON_INIT). The payload is copied
// before they return. Ports count from 0, in the order of TV_COMPONENT's list.

// A payload of its own, without event time, key or attributes.
static inline tv_result tv_emit(uint16_t port, const void *payload, uint32_t bytes);
// With event time and key.
static inline tv_result tv_emit_at(uint16_t port, int64_t event_time_ns, uint64_t key, const void *payload,
                                   uint32_t bytes);
// A new payload with event time, key and attributes of the record being processed.
static inline tv_result tv_emit_like(const tv_record *record, uint16_t port, const void *payload, uint32_t bytes);
// The record being processed as it is, to port 0 or another one.
static inline tv_result tv_forward(const tv_record *record);
static inline tv_result tv_forward_to(const tv_record *record, uint16_t port);
// Everything said explicitly. Start from tv_output_none() or tv_output_like(record).
typedef struct tv_output {
    int64_t event_time_ns; // TV_NO_EVENT_TIME: none
    uint64_t key;          // 0: none
    const void *payload;
    uint32_t payload_bytes;
    uint16_t port;
    bool inherit_attributes;         // of the record being processed, in front of the following
    const tv_attributes *attributes; // NULL: none
} tv_output;
static inline tv_output tv_output_none(void) { return (tv_output){.event_time_ns = TV_NO_EVENT_TIME}; }
static inline tv_output tv_output_like(const tv_record *record) {
    return (tv_output){.event_time_ns = record->event_time_ns, .key = record->key, .inherit_attributes = true};
}
static inline tv_result tv_emit_output(const tv_output *output);
// Says that no record before `time_ns` follows, on every port. For sources and components that delay records.
static inline tv_result tv_emit_watermark(int64_t time_ns);

// The record being processed cannot be used: it is dead-lettered with this reason, its output so far is taken back.
// Only in TV_ON_RECORD; `return tv_reject("no field %s", name);`
tv_result tv_reject(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Bytes that wait in the pending buffer; 0 means that the last emit went straight out. A component that emits much
// stops and returns TV_MORE when this is not 0.
static inline uint32_t tv_pending(void);

// ---- configuration ------------------------------------------------------------------------------------------

// Reads the stage's `config` at a path ("window.size", "methods.0.kind"; "methods.length" is a list's length).
// Missing values give the fallback. A value of the wrong type or outside min..max is reported with its path in the
// log and makes TV_ON_INIT fail, so its caller needs no check. Use them in TV_ON_INIT.
double tv_config_f64(const char *path, double fallback);
double tv_config_f64_in(const char *path, double fallback, double min, double max);
int64_t tv_config_i64(const char *path, int64_t fallback);
int64_t tv_config_i64_in(const char *path, int64_t fallback, int64_t min, int64_t max);
bool tv_config_bool(const char *path, bool fallback);
int64_t tv_config_duration_ns(const char *path, int64_t fallback_ns, int64_t min_ns, int64_t max_ns); // "250ms"
uint64_t tv_config_size(const char *path, uint64_t fallback, uint64_t min, uint64_t max);             // "64KiB"
// Copies a string into `out`, NUL-terminated; a longer one is an error. Returns its length.
uint32_t tv_config_string(const char *path, const char *fallback, char *out, uint32_t capacity);
// The index of the value among the choices: tv_config_enum("mode", 0, TV_CHOICES("pass", "drop")).
int tv_config_enum(const char *path, int fallback, const char *const *choices);
#define TV_CHOICES(...) ((const char *const[]){__VA_ARGS__, NULL})
// The length of a list, 0 if there is none; more than `max` is an error.
uint32_t tv_config_length(const char *path, uint32_t max);
// Whether there is anything at this path.
bool tv_config_has(const char *path);
// Reports an error at a path: tv_config_fail("min", "must be below max"). TV_ON_INIT will fail; returns TV_FAILED.
tv_result tv_config_fail(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Reports every key directly below `path` ("" is the top) that is not in the list, with the nearest one that is.
void tv_config_keys(const char *path, const char *const *known);
// A path made with printf ("methods.%u.kind"). Valid until the fourth call after this one.
const char *tv_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

// ---- host services ------------------------------------------------------------------------------------------

void tv_log(enum tv_log_level_abi level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define tv_log_debug(...) tv_log(TV_LOG_DEBUG, __VA_ARGS__)
#define tv_log_info(...)  tv_log(TV_LOG_INFO, __VA_ARGS__)
#define tv_log_warn(...)  tv_log(TV_LOG_WARN, __VA_ARGS__)
#define tv_log_error(...) tv_log(TV_LOG_ERROR, __VA_ARGS__)

// In TV_ON_RECORD: the wall clock when the record was taken out of a channel; TV_NO_EVENT_TIME if the stage reads none.
static inline int64_t tv_arrival_ns(void);
// Wall clock and monotonic time. A component that calls them needs the grant `clock`.
#define tv_clock_realtime_ns()  tv_host_clock(TV_CLOCK_REALTIME)
#define tv_clock_monotonic_ns() tv_host_clock(TV_CLOCK_MONOTONIC)

// TV_ON_TICK shall be called once, at least `delay_ns` from now; replaces an earlier setting.
static inline tv_result tv_timer_set(int64_t delay_ns) { return (tv_result)tv_host_timer_set(delay_ns); }
static inline tv_result tv_timer_clear(void) { return (tv_result)tv_host_timer_set(-1); }

// A counter of this stage, shown in its metrics: `static int32_t late; late = tv_counter("late_records");` in
// TV_ON_INIT. Negative if the host's table is full; adding to that does nothing.
static inline int32_t tv_counter(const char *name) { return tv_host_counter(name, (uint32_t)strlen(name)); }
static inline void tv_counter_add(int32_t counter, int64_t delta) {
    if (counter >= 0) (void)tv_host_counter_add(counter, delta);
}

// A read-only file listed under the stage's `assets`. -1 if it is not listed.
static inline int64_t tv_asset_size(const char *name) { return tv_host_asset_size(name, (uint32_t)strlen(name)); }
// Reads up to `capacity` bytes from `offset`; 0 at the end, negative if not listed.
static inline int32_t tv_asset_read(const char *name, int64_t offset, void *out, uint32_t capacity) {
    return tv_host_asset_read(name, (uint32_t)strlen(name), offset, out, capacity);
}
// The whole asset in memory of tv_allocate, NUL-terminated. {NULL, 0} if it is not listed or larger than the memory
// left.
tv_string tv_asset_load(const char *name);

// Memory for tables whose size comes from the configuration: zeroed, aligned to 16, never given back. NULL if the
// budget is used up. For TV_ON_INIT; components that really need free() build with wasi-libc.
void *tv_allocate(uint64_t bytes);
#define tv_allocate_array(type, count) ((type *)tv_allocate((uint64_t)sizeof(type) * (uint64_t)(count)))

// ---- behind the scenes --------------------------------------------------------------------------------------

#include "torvyn/sdk.h"

#endif
