// Inside of the wasm module: what engine, modules and instances are made of. Nobody else includes it.
#ifndef TORVYN_WASM_ENGINE_H
#define TORVYN_WASM_ENGINE_H

#include <pthread.h>
#include <wasm.h>
#include <wasmtime.h>

#include "wasm/cache.h"
#include "wasm/memory_arena.h"
#include "wasm/memory_image.h"
#include "wasm/wasm.h"

struct tv_engine {
    wasm_engine_t *wasm;
    wasmtime_linker_t *linker; // every host function of the contract
    tv_arena *arena;
    _Atomic uint64_t ticks; // epoch ticks so far
    tv_memory_mode memory_mode;
    uint32_t wasm_stack_bytes;
    uint64_t compile_memory_bytes_max;
    uint32_t compile_seconds_max;
    char *compiler_path;
    tv_cache *cache;
    pthread_mutex_t load_lock;    // held while loading: one compilation at a time
    pthread_mutex_t modules_lock; // of the list and its counts; never held for long, workers take it too
    tv_module *modules;           // those loaded
};

struct tv_module {
    tv_engine *engine;
    tv_module *next;
    uint32_t references; // under modules_lock
    bool was_cached;
    uint32_t table_elements; // initial, all tables together
    wasmtime_module_t *compiled;
    wasmtime_instance_pre_t *linked;
    _Atomic int image_state; // enum tv_image_state
    tv_memory_image *image;  // once that is READY
    tv_module_info info;
};

enum tv_image_state { TV_IMAGE_NONE, TV_IMAGE_MAKING, TV_IMAGE_READY, TV_IMAGE_REFUSED };

// What the guest writes to its standard output and error, up to the end of a line.
typedef struct tv_guest_output {
    uint16_t length;
    uint8_t level;
    char text[TV_LOG_TEXT_BYTES_MAX];
} tv_guest_output;

enum { TV_PHASE_START = TV_EXPORT_COUNT }; // the call under way, before there are exports to call

struct tv_instance {
    wasmtime_context_t *context;
    tv_memory *memory;
    const tv_guest_imports *imports;
    void *user;
    const _Atomic uint64_t *ticks; // of the engine
    uint64_t deadline_tick;        // `ticks` when the epoch deadline was last set
    uint8_t phase;                 // enum tv_export under way, or TV_PHASE_START
    uint8_t pending;               // enum tv_fault_reason that a host function or on_tick ended the call with
    uint32_t exports_present;      // bit per enum tv_export
    uint32_t arena_offset;
    uint32_t arena_bytes;
    uint32_t state_offset; // of a component with keyed state; 0: none
    tv_fault *fault;       // of the call under way
    wasmtime_func_t exports[TV_EXPORT_COUNT];
    wasmtime_store_t *store;
    tv_module *module;
    tv_guest_output *output; // NULL until the guest writes
};

// Settings that parent and compiling child must share, or the compiled form would be refused. Takes no memory
// creator: the caller adds it. NULL if out of memory.
wasm_config_t *tv_engine_config(tv_memory_mode mode, uint32_t wasm_stack_bytes);
// Text that changes whenever compiled code of another setting or machine must not be taken: engine version, target,
// CPU features, memory mode. For cache keys. Returns `out`.
const char *tv_engine_settings(tv_memory_mode mode, char out[160]);

// Budget of the memory that the engine is about to create on this thread, and what became of it.
typedef struct tv_memory_request {
    uint64_t budget_bytes;
    tv_memory **memory; // where to put it: set before the module's start function runs, which may call imports
    tv_status status;   // why not
    tv_error error;
} tv_memory_request;
// Sets the request for this thread; NULL ends it. Returns the one before it, to be set again then: while a component
// starts, another one may start on top of it.
tv_memory_request *tv_memory_request_set(tv_memory_request *request);

// Defines the host functions of a module in the linker.
wasmtime_error_t *tv_imports_define(wasmtime_linker_t *linker);
wasmtime_error_t *tv_wasi_define(wasmtime_linker_t *linker);
// Defines one row of the table in host_functions.h.
wasmtime_error_t *tv_linker_define(wasmtime_linker_t *linker, const char *module, const char *name,
                                   wasmtime_func_unchecked_callback_t callback, void *env);

static inline tv_instance *tv_caller_instance(wasmtime_caller_t *caller) {
    return wasmtime_context_get_data(wasmtime_caller_context(caller));
}

// Guest memory at [address, address + length), or NULL if it reaches outside. Never NULL for length 0.
static inline uint8_t *tv_guest_range(const tv_instance *instance, uint32_t address, uint64_t length) {
    const tv_memory *memory = instance->memory;
    if (length == 0) return memory->base;
    return address + length <= tv_memory_size(memory) ? memory->base + address : NULL;
}

// Ends the call under way with that reason; the returned trap goes back to the engine.
wasm_trap_t *tv_fault_raise(tv_instance *instance, tv_fault_reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// The usual case of it: `what` ("payload") of the host function does not lie in guest memory.
wasm_trap_t *tv_fault_pointer(tv_instance *instance, const char *function, const char *what, uint32_t address,
                              uint64_t length);

// Fills `fault` from how a call ended; consumes error and trap (one is not NULL).
void tv_fault_take(tv_instance *instance, tv_fault *fault, wasmtime_error_t *error, wasm_trap_t *trap);
void tv_fault_set(tv_fault *fault, tv_fault_reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Text of an engine error, which it deletes.
tv_status tv_engine_error(tv_error *out, tv_status status, wasmtime_error_t *error, const char *what);

void tv_guest_output_flush(tv_instance *instance);

#endif
