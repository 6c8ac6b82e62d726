// The engine: one per process. Pins the accepted WebAssembly features, hands the engine our memory arena, and keeps
// the linker with the contract's host functions. Loading is in module.c, running in instance.c.
#include "wasm/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#else
#include <sys/auxv.h>
#endif

#include "base/assert.h"
#include "wasm/limits.h"

enum { DEFAULT_MEMORIES = 1000, DEFAULT_WASM_STACK_BYTES = 256 << 10 };

static const char engine_version[] = "wasmtime " WASMTIME_VERSION;

const char *tv_engine_version(void) { return engine_version; }

// ---- settings -----------------------------------------------------------------------------------------------

// Contract 1.1 and 1.2. What the linked engine was built without (threads, garbage collection, exceptions, the
// component model) needs no switch.
static void set_features(wasm_config_t *config) {
    wasmtime_config_wasm_simd_set(config, true);
    wasmtime_config_wasm_bulk_memory_set(config, true);
    wasmtime_config_wasm_multi_value_set(config, true);
    wasmtime_config_wasm_tail_call_set(config, true);
    wasmtime_config_wasm_relaxed_simd_set(config, false);
    wasmtime_config_wasm_memory64_set(config, false);
    wasmtime_config_wasm_multi_memory_set(config, false);
    wasmtime_config_wasm_wide_arithmetic_set(config, false);
    wasmtime_config_wasm_custom_page_sizes_set(config, false);
    wasmtime_config_cranelift_nan_canonicalization_set(config, true);
}

// Memories never move: both modes reserve the budget at once. Copy-on-write initialisation must be off, since with
// a memory creator and a data segment the engine would abort the process.
static void set_memory(wasm_config_t *config, tv_memory_mode mode) {
    bool guard = mode == TV_MEMORY_GUARD;
    wasmtime_config_memory_may_move_set(config, false);
    wasmtime_config_memory_init_cow_set(config, false);
    wasmtime_config_memory_reservation_set(config, guard ? TV_MEMORY_BYTES_LIMIT : 0);
    wasmtime_config_memory_guard_size_set(config, guard ? TV_GUARD_BYTES : 0);
    wasmtime_config_memory_reservation_for_growth_set(config, 0);
}

wasm_config_t *tv_engine_config(tv_memory_mode mode, uint32_t wasm_stack_bytes) {
    wasm_config_t *config = wasm_config_new();
    if (!config) return NULL;
    set_features(config);
    set_memory(config, mode);
    wasmtime_config_max_wasm_stack_set(config, wasm_stack_bytes);
    wasmtime_config_epoch_interruption_set(config, true);
    wasmtime_config_cranelift_opt_level_set(config, WASMTIME_OPT_LEVEL_SPEED);
    return config;
}

// Compiled code uses what the CPU offers, so a cache folder that moves to another machine must not match there.
static void cpu_features(char out[48]) {
#if defined(__x86_64__)
    unsigned a = 0, b1 = 0, c1 = 0, d = 0, b7 = 0, c7 = 0, d7 = 0;
    __get_cpuid(1, &a, &b1, &c1, &d);
    __get_cpuid_count(7, 0, &a, &b7, &c7, &d7);
    unsigned a8 = 0, b8 = 0, c8 = 0, d8 = 0;
    __get_cpuid(0x80000001u, &a8, &b8, &c8, &d8);
    c1 &= ~(1u << 27); // OSXSAVE follows the running system, not the code
    snprintf(out, 48, "x86_64-%08x-%08x-%08x-%08x", c1, b7, c7, c8);
#elif defined(__aarch64__)
    snprintf(out, 48, "aarch64-%016lx-%016lx", getauxval(AT_HWCAP), getauxval(AT_HWCAP2));
#else
#error "name the CPU features that compiled code depends on"
#endif
}

const char *tv_engine_settings(tv_memory_mode mode, char out[160]) {
    char cpu[48];
    cpu_features(cpu);
    snprintf(out, 160, "%s; %s; linux-gnu; %s memory; settings 1", engine_version, cpu,
             mode == TV_MEMORY_GUARD ? "guard" : "compact");
    return out;
}

// ---- memory creator -----------------------------------------------------------------------------------------

// The engine's callback says nothing of the instance that a memory is for, so the budget comes along the thread.
static _Thread_local tv_memory_request *current_request;

tv_memory_request *tv_memory_request_set(tv_memory_request *request) {
    tv_memory_request *before = current_request;
    current_request = request;
    return before;
}

static uint8_t *creator_get(void *env, size_t *byte_size, size_t *byte_capacity) {
    tv_memory *memory = env;
    *byte_size = tv_memory_size(memory);
    // Not the budget: the engine would refuse growth beyond it without asking, and it could not be counted.
    *byte_capacity = TV_MEMORY_BYTES_LIMIT;
    return memory->base;
}

static wasmtime_error_t *creator_grow(void *env, size_t new_size) {
    return tv_memory_grow(env, new_size) == TV_OK ? NULL : wasmtime_error_new("memory budget");
}

static void creator_release(void *env) { tv_arena_release(env); }

static wasmtime_error_t *creator_new(void *env, const wasm_memorytype_t *type, size_t minimum, size_t maximum,
                                     size_t reserved_bytes, size_t guard_bytes, wasmtime_linear_memory_t *out) {
    (void)type, (void)maximum, (void)reserved_bytes, (void)guard_bytes;
    tv_memory_request *request = current_request;
    TV_ASSERT(request != NULL);
    request->status = tv_arena_acquire(env, minimum, request->budget_bytes, request->memory, &request->error);
    if (request->status != TV_OK) return wasmtime_error_new("memory budget");
    *out = (wasmtime_linear_memory_t){
        .env = *request->memory,
        .get_memory = creator_get,
        .grow_memory = creator_grow,
        .finalizer = creator_release,
    };
    return NULL;
}

// ---- engine -------------------------------------------------------------------------------------------------

tv_status tv_engine_error(tv_error *out, tv_status status, wasmtime_error_t *error, const char *what) {
    wasm_name_t text;
    wasmtime_error_message(error, &text);
    tv_error_set(out, status, "%s: %.*s", what, (int)(text.size < 600 ? text.size : 600), text.data);
    wasm_byte_vec_delete(&text);
    wasmtime_error_delete(error);
    return status;
}

static tv_status make_engine(tv_engine *engine, tv_error *error) {
    wasm_config_t *config = tv_engine_config(engine->memory_mode, engine->wasm_stack_bytes);
    if (!config) return tv_error_set(error, TV_NO_MEMORY, "no memory for the WebAssembly engine");
    wasmtime_memory_creator_t creator = {.env = engine->arena, .new_memory = creator_new};
    wasmtime_config_host_memory_creator_set(config, &creator);
    engine->wasm = wasm_engine_new_with_config(config);
    if (!engine->wasm) return tv_error_set(error, TV_NO_MEMORY, "no memory for the WebAssembly engine");
    engine->linker = wasmtime_linker_new(engine->wasm);
    wasmtime_error_t *failed = tv_imports_define(engine->linker);
    if (!failed) failed = tv_wasi_define(engine->linker);
    return failed ? tv_engine_error(error, TV_UNSUPPORTED, failed, "host functions") : TV_OK;
}

static void apply_options(tv_engine *engine, const tv_engine_options *options) {
    engine->memory_mode = options->memory_mode;
    engine->wasm_stack_bytes = options->wasm_stack_bytes ? options->wasm_stack_bytes : DEFAULT_WASM_STACK_BYTES;
    engine->compile_memory_bytes_max =
        options->compile_memory_bytes_max ? options->compile_memory_bytes_max : TV_COMPILE_BYTES_DEFAULT;
    engine->compile_seconds_max =
        options->compile_seconds_max ? options->compile_seconds_max : TV_COMPILE_SECONDS_DEFAULT;
    engine->compiler_path = strdup(options->compiler_path ? options->compiler_path : "/proc/self/exe");
}

tv_status tv_engine_new(const tv_engine_options *options, tv_engine **out, tv_error *error) {
    tv_engine *engine = calloc(1, sizeof *engine);
    if (!engine) return tv_error_set(error, TV_NO_MEMORY, "no memory for the WebAssembly engine");
    pthread_mutex_init(&engine->load_lock, NULL);
    pthread_mutex_init(&engine->modules_lock, NULL);
    apply_options(engine, options);
    tv_status status = TV_OK;
    if (!engine->compiler_path) status = tv_error_set(error, TV_NO_MEMORY, "no memory for the WebAssembly engine");
    if (status == TV_OK) status = tv_cache_new(options->cache_dir, &engine->cache, error);
    if (status == TV_OK)
        status = tv_arena_new(engine->memory_mode, options->memories_max ? options->memories_max : DEFAULT_MEMORIES,
                              options->memory_bytes_max, &engine->arena, error);
    if (status == TV_OK) status = make_engine(engine, error);
    if (status != TV_OK) {
        tv_engine_free(engine);
        return status;
    }
    *out = engine;
    return TV_OK;
}

void tv_engine_free(tv_engine *engine) {
    if (!engine) return;
    TV_ASSERT(engine->modules == NULL);
    if (engine->linker) wasmtime_linker_delete(engine->linker);
    if (engine->wasm) wasm_engine_delete(engine->wasm);
    tv_arena_free(engine->arena);
    free(engine->compiler_path);
    tv_cache_free(engine->cache);
    pthread_mutex_destroy(&engine->modules_lock);
    pthread_mutex_destroy(&engine->load_lock);
    free(engine);
}

void tv_engine_tick(tv_engine *engine) {
    atomic_fetch_add_explicit(&engine->ticks, 1, memory_order_relaxed);
    wasmtime_engine_increment_epoch(engine->wasm);
}

void tv_engine_limit_growth(tv_engine *engine, uint64_t total_bytes, uint64_t soon_bytes) {
    tv_arena_limit_growth(engine->arena, total_bytes, soon_bytes);
}

void tv_engine_arena_stats(const tv_engine *engine, tv_arena_stats *stats) { tv_arena_get_stats(engine->arena, stats); }

size_t tv_engine_thread_stack_bytes(const tv_engine *engine, unsigned levels) {
    return (size_t)(levels + 1) * (engine->wasm_stack_bytes + TV_HOST_STACK_BYTES);
}
