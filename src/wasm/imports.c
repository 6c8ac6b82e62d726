// Host functions of module `torvyn` (contract 7.1 to 7.8, 7.11): check and translate pointers, then ask the instance's
// owner. Arguments arrive untyped, in the order of the signatures in host_functions.c.
#include <string.h>

#include "base/assert.h"
#include "wasm/engine.h"
#include "wasm/host_functions.h"

enum { CONFIG_PATH_BYTES_MAX = 256 };

// ---- linker -------------------------------------------------------------------------------------------------

static void push_types(wasm_valtype_vec_t *types, const char *letters, size_t count) {
    wasm_valtype_vec_new_uninitialized(types, count);
    for (size_t i = 0; i < count; i++) {
        types->data[i] = wasm_valtype_new(letters[i] == 'I' ? WASM_I64 : WASM_I32);
    }
}

wasmtime_error_t *tv_linker_define(wasmtime_linker_t *linker, const char *module, const char *name,
                                   wasmtime_func_unchecked_callback_t callback, void *env) {
    const tv_host_function *row = tv_host_function_find(module, strlen(module), name, strlen(name));
    TV_ASSERT(row != NULL);
    const char *colon = strchr(row->signature, ':');
    wasm_valtype_vec_t parameters, results;
    push_types(&parameters, row->signature, (size_t)(colon - row->signature));
    push_types(&results, colon + 1, strlen(colon + 1));
    wasm_functype_t *type = wasm_functype_new(&parameters, &results);
    wasmtime_error_t *error = wasmtime_linker_define_func_unchecked(linker, module, strlen(module), name, strlen(name),
                                                                    type, callback, env, NULL);
    wasm_functype_delete(type);
    return error;
}

// ---- emit ---------------------------------------------------------------------------------------------------

// Layout of the request: contract 7.1.
static void read_request(const uint8_t *request, tv_emit *emit, uint32_t *payload, uint32_t *attributes) {
    memcpy(&emit->event_time_ns, request, 8);
    memcpy(&emit->key, request + 8, 8);
    memcpy(payload, request + 16, 4);
    memcpy(attributes, request + 20, 4);
    memcpy(&emit->payload_bytes, request + 24, 4);
    memcpy(&emit->attributes_bytes, request + 28, 2);
    memcpy(&emit->port, request + 30, 2);
    emit->kind = request[32];
    emit->flags = request[33];
}

// Loads no wider than the stores a guest is likely to make: a load that spans several young stores stalls, which
// cost 4 ns a record.
static bool request_is_well_formed(const uint8_t *request, const tv_emit *emit) {
    uint16_t reserved_low;
    uint32_t reserved_high;
    memcpy(&reserved_low, request + 34, 2);
    memcpy(&reserved_high, request + 36, 4);
    return (reserved_low | reserved_high) == 0 && emit->kind <= TV_KIND_WATERMARK &&
           emit->flags <= TV_FLAG_INHERIT_ATTRIBUTES && emit->attributes_bytes % 8 == 0 &&
           emit->attributes_bytes <= TV_ATTRIBUTES_BYTES_LIMIT;
}

static wasm_trap_t *import_emit(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    tv_instance *instance = tv_caller_instance(caller);
    uint32_t address = (uint32_t)values[0].i32;
    uint32_t payload, attributes;
    tv_emit emit;
    const uint8_t *request = tv_guest_range(instance, address, TV_EMIT_REQUEST_BYTES);
    if (!request || address % 8 != 0)
        return tv_fault_pointer(instance, "emit", "the request (a multiple of 8)", address, TV_EMIT_REQUEST_BYTES);
    read_request(request, &emit, &payload, &attributes);
    emit.payload = tv_guest_range(instance, payload, emit.payload_bytes);
    if (!emit.payload) return tv_fault_pointer(instance, "emit", "the payload", payload, emit.payload_bytes);
    emit.attributes = tv_guest_range(instance, attributes, emit.attributes_bytes);
    if (!emit.attributes)
        return tv_fault_pointer(instance, "emit", "the attributes", attributes, emit.attributes_bytes);
    if (instance->phase == TV_PHASE_START || instance->phase == TV_EXPORT_INIT)
        values[0].i32 = TV_ABI_STATE;
    else if (!request_is_well_formed(request, &emit))
        values[0].i32 = TV_ABI_INVALID;
    else
        values[0].i32 = instance->imports->emit(instance->user, &emit);
    return NULL;
}

static wasm_trap_t *import_forward(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    tv_instance *instance = tv_caller_instance(caller);
    values[0].i32 =
        instance->phase == TV_EXPORT_PROCESS ? instance->imports->forward(instance->user, values[0].i32) : TV_ABI_STATE;
    return NULL;
}

// ---- log, reject, time --------------------------------------------------------------------------------------

static wasm_trap_t *import_log(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    tv_instance *instance = tv_caller_instance(caller);
    int32_t level = values[0].i32;
    uint32_t address = (uint32_t)values[1].i32, length = (uint32_t)values[2].i32;
    const uint8_t *text = tv_guest_range(instance, address, length);
    if (!text) return tv_fault_pointer(instance, "log", "the text", address, length);
    if (level < TV_LOG_TRACE) level = TV_LOG_TRACE;
    if (level > TV_LOG_ERROR) level = TV_LOG_ERROR;
    if (length > TV_LOG_TEXT_BYTES_MAX) length = TV_LOG_TEXT_BYTES_MAX;
    instance->imports->log(instance->user, level, (const char *)text, length);
    return NULL;
}

static wasm_trap_t *import_reject(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    tv_instance *instance = tv_caller_instance(caller);
    uint32_t address = (uint32_t)values[0].i32, length = (uint32_t)values[1].i32;
    const uint8_t *reason = tv_guest_range(instance, address, length);
    if (!reason) return tv_fault_pointer(instance, "reject", "the reason", address, length);
    if (length > TV_REJECT_REASON_BYTES_MAX) length = TV_REJECT_REASON_BYTES_MAX;
    values[0].i32 = instance->phase == TV_EXPORT_PROCESS
                        ? instance->imports->reject(instance->user, (const char *)reason, length)
                        : TV_ABI_STATE;
    return NULL;
}

static wasm_trap_t *import_clock(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    tv_instance *instance = tv_caller_instance(caller);
    int32_t id = values[0].i32;
    values[0].i64 = id == TV_CLOCK_REALTIME || id == TV_CLOCK_MONOTONIC
                        ? instance->imports->clock_ns(instance->user, id)
                        : TV_ABI_INVALID;
    return NULL;
}

static wasm_trap_t *import_timer_set(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    tv_instance *instance = tv_caller_instance(caller);
    values[0].i32 = instance->imports->timer_set(instance->user, values[0].i64);
    return NULL;
}

// ---- configuration and assets -------------------------------------------------------------------------------

static wasm_trap_t *import_config_get(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    tv_instance *instance = tv_caller_instance(caller);
    uint32_t path = (uint32_t)values[0].i32, path_length = (uint32_t)values[1].i32;
    uint32_t out = (uint32_t)values[2].i32, capacity = (uint32_t)values[3].i32;
    const uint8_t *path_text = tv_guest_range(instance, path, path_length);
    if (!path_text) return tv_fault_pointer(instance, "config_get", "the path", path, path_length);
    uint8_t *target = tv_guest_range(instance, out, capacity);
    if (!target) return tv_fault_pointer(instance, "config_get", "the buffer", out, capacity);
    const char *value = NULL;
    size_t length = 0;
    int32_t answer = TV_ABI_NOT_FOUND;
    if (path_length <= CONFIG_PATH_BYTES_MAX)
        answer = instance->imports->config_get(instance->user, (const char *)path_text, path_length, &value, &length);
    if (answer == TV_ABI_OK && length > INT32_MAX) answer = TV_ABI_TOO_LARGE;
    if (answer == TV_ABI_OK && length <= capacity && length > 0) memcpy(target, value, length);
    values[0].i32 = answer == TV_ABI_OK ? (int32_t)length : answer;
    return NULL;
}

static wasm_trap_t *import_asset_size(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    tv_instance *instance = tv_caller_instance(caller);
    uint32_t name = (uint32_t)values[0].i32, length = (uint32_t)values[1].i32;
    const uint8_t *text = tv_guest_range(instance, name, length);
    if (!text) return tv_fault_pointer(instance, "asset_size", "the name", name, length);
    const uint8_t *bytes;
    uint64_t size = 0;
    int32_t answer = instance->imports->asset_find(instance->user, (const char *)text, length, &bytes, &size);
    values[0].i64 = answer == TV_ABI_OK ? (int64_t)size : answer;
    return NULL;
}

// How much of an asset a read at `offset` into `capacity` bytes gives.
static uint32_t asset_part(uint64_t size, int64_t offset, uint32_t capacity) {
    if ((uint64_t)offset >= size) return 0;
    uint64_t left = size - (uint64_t)offset;
    if (left > capacity) left = capacity;
    return left > INT32_MAX ? INT32_MAX : (uint32_t)left;
}

static wasm_trap_t *import_asset_read(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    tv_instance *instance = tv_caller_instance(caller);
    uint32_t name = (uint32_t)values[0].i32, length = (uint32_t)values[1].i32;
    int64_t offset = values[2].i64;
    uint32_t out = (uint32_t)values[3].i32, capacity = (uint32_t)values[4].i32;
    const uint8_t *text = tv_guest_range(instance, name, length);
    if (!text) return tv_fault_pointer(instance, "asset_read", "the name", name, length);
    uint8_t *target = tv_guest_range(instance, out, capacity);
    if (!target) return tv_fault_pointer(instance, "asset_read", "the buffer", out, capacity);
    const uint8_t *bytes = NULL;
    uint64_t size = 0;
    int32_t answer = instance->imports->asset_find(instance->user, (const char *)text, length, &bytes, &size);
    if (answer == TV_ABI_OK && offset < 0) answer = TV_ABI_INVALID;
    if (answer == TV_ABI_OK) {
        uint32_t part = asset_part(size, offset, capacity);
        if (part > 0) memcpy(target, bytes + offset, part);
        answer = (int32_t)part;
    }
    values[0].i32 = answer;
    return NULL;
}

// ---- counters -----------------------------------------------------------------------------------------------

static bool is_counter_name(const uint8_t *name, uint32_t length) {
    if (length == 0 || length > TV_NAME_BYTES_MAX) return false;
    for (uint32_t i = 0; i < length; i++) {
        uint8_t c = name[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_') return false;
    }
    return true;
}

static wasm_trap_t *import_counter(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    tv_instance *instance = tv_caller_instance(caller);
    uint32_t name = (uint32_t)values[0].i32, length = (uint32_t)values[1].i32;
    const uint8_t *text = tv_guest_range(instance, name, length);
    if (!text) return tv_fault_pointer(instance, "counter", "the name", name, length);
    values[0].i32 = is_counter_name(text, length)
                        ? instance->imports->counter(instance->user, (const char *)text, length)
                        : TV_ABI_INVALID;
    return NULL;
}

static wasm_trap_t *import_counter_add(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    tv_instance *instance = tv_caller_instance(caller);
    int32_t counter = values[0].i32;
    int64_t delta = values[1].i64;
    values[0].i32 = delta < 0 ? TV_ABI_INVALID : instance->imports->counter_add(instance->user, counter, delta);
    return NULL;
}

wasmtime_error_t *tv_imports_define(wasmtime_linker_t *linker) {
    static const struct {
        const char *name;
        wasmtime_func_unchecked_callback_t callback;
    } rows[] = {
        {"emit", import_emit},
        {"forward", import_forward},
        {"log", import_log},
        {"clock", import_clock},
        {"config_get", import_config_get},
        {"asset_size", import_asset_size},
        {"asset_read", import_asset_read},
        {"counter", import_counter},
        {"counter_add", import_counter_add},
        {"reject", import_reject},
        {"timer_set", import_timer_set},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wasmtime_error_t *error = tv_linker_define(linker, TV_ABI_IMPORT_MODULE, rows[i].name, rows[i].callback, NULL);
        if (error) return error;
    }
    return NULL;
}
