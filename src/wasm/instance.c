// Instances: one store, one linear memory, one input arena each. A call is one plain call into compiled code; what
// it costs beyond that is an epoch deadline and a check of the result.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/option.h"
#include "wasm/engine.h"
#include "wasm/limits.h"

static const char *const export_names[TV_EXPORT_COUNT] = {"tv_init", "tv_process", "tv_resume",
                                                          "tv_pull", "tv_tick",    "tv_close"};

// ---- epoch --------------------------------------------------------------------------------------------------

// Runs on the guest's stack at an epoch tick. While it runs, on_tick may call into other instances: their stores
// have callbacks of their own.
static wasmtime_error_t *on_epoch(wasmtime_context_t *context, void *data, uint64_t *delta,
                                  wasmtime_update_deadline_kind_t *kind) {
    (void)context;
    tv_instance *instance = data;
    *delta = 1;
    *kind = WASMTIME_UPDATE_DEADLINE_CONTINUE;
    if (instance->imports->on_tick(instance->user)) return NULL;
    tv_fault_set(instance->fault, TV_FAULT_CPU, "the CPU budget is used up");
    instance->pending = TV_FAULT_CPU;
    return wasmtime_error_new("");
}

// The next tick shall be the first this call sees, not one from before it. Setting the deadline costs 2 ns, so it is
// done only after a tick; to come too early, in a race with one, means no more than a callback too many.
static void renew_deadline(tv_instance *instance) {
    uint64_t ticks = atomic_load_explicit(instance->ticks, memory_order_relaxed);
    if (ticks == instance->deadline_tick) return;
    instance->deadline_tick = ticks;
    wasmtime_context_set_epoch_deadline(instance->context, 1);
}

// ---- making -------------------------------------------------------------------------------------------------

static tv_status check_grants(const tv_module_info *info, uint32_t grants, tv_error *error) {
    for (uint32_t i = 0; i < info->import_count; i++) {
        const tv_import_info *import = &info->imports[i];
        if ((import->grant & ~grants) == 0) continue;
        return tv_error_set(error, TV_DENIED,
                            "the component imports `%s.%s`, which needs the grant `%s`: add `grants: [%s]` to the "
                            "component in the pipeline file, or build it without that import",
                            import->module, import->name, import->grant == TV_GRANT_CLOCK ? "clock" : "random",
                            import->grant == TV_GRANT_CLOCK ? "clock" : "random");
    }
    return TV_OK;
}

static tv_status fail_memory(tv_fault *fault, tv_error *error, const tv_error *cause) {
    tv_fault_set(fault, TV_FAULT_MEMORY, "the memory budget is too small: %s", cause->message);
    return tv_error_set(error, TV_FAULT, "%s; raise `memory` of the component in the pipeline file", fault->message);
}

// `step` failed: a trap there counts as a failed start, whatever its own reason.
static tv_status fail_start(tv_fault *fault, tv_error *error, const char *step) {
    char message[sizeof fault->message];
    memcpy(message, fault->message, sizeof message);
    fault->reason = TV_FAULT_START;
    snprintf(fault->message, sizeof fault->message, "%s: %.200s", step, message);
    return tv_error_set(error, TV_FAULT, "the component cannot start: %s%s%s", fault->message,
                        fault->function[0] ? ", in " : "", fault->function);
}

static void find_export(tv_instance *instance, const wasmtime_instance_t *wasm, tv_export which) {
    wasmtime_extern_t item;
    const char *name = export_names[which];
    if (!wasmtime_instance_export_get(instance->context, wasm, name, strlen(name), &item)) return;
    TV_ASSERT(item.kind == WASMTIME_EXTERN_FUNC); // the inspection saw to it
    instance->exports[which] = item.of.func;
    instance->exports_present |= 1u << which;
}

static tv_status instantiate(tv_instance *instance, uint64_t budget_bytes, wasmtime_instance_t *wasm, tv_fault *fault,
                             tv_error *error) {
    wasm_trap_t *trap = NULL;
    tv_memory_request request = {.budget_bytes = budget_bytes, .memory = &instance->memory};
    tv_memory_request *outer = tv_memory_request_set(&request);
    wasmtime_error_t *failed =
        wasmtime_instance_pre_instantiate(instance->module->linked, instance->context, wasm, &trap);
    (void)tv_memory_request_set(outer);
    if (!failed && !trap) return TV_OK;
    if (request.status == TV_OK) {
        tv_fault_take(instance, fault, failed, trap);
        return fail_start(fault, error, "instantiation");
    }
    if (failed) wasmtime_error_delete(failed);
    if (trap) wasm_trap_delete(trap);
    if (request.status == TV_TOO_LARGE) return fail_memory(fault, error, &request.error);
    return tv_error_set(error, request.status, "%s", request.error.message);
}

// Calls an export that is not in enum tv_export; absent ones succeed. `argument` is passed if `has_argument`.
static tv_status call_start(tv_instance *instance, const wasmtime_instance_t *wasm, const char *name,
                            wasmtime_val_raw_t *argument, tv_fault *fault, tv_error *error) {
    wasmtime_extern_t item;
    wasm_trap_t *trap = NULL;
    if (!wasmtime_instance_export_get(instance->context, wasm, name, strlen(name), &item)) return TV_OK;
    renew_deadline(instance);
    wasmtime_error_t *failed = wasmtime_func_call_unchecked(instance->context, &item.of.func, argument, 1, &trap);
    if (!failed && !trap) return TV_OK;
    tv_fault_take(instance, fault, failed, trap);
    return fail_start(fault, error, name);
}

static tv_status ask_arena(tv_instance *instance, const wasmtime_instance_t *wasm, uint32_t batch_bytes,
                           tv_fault *fault, tv_error *error) {
    uint32_t bytes = (uint32_t)sizeof(tv_batch) + batch_bytes;
    wasmtime_val_raw_t raw = {.i32 = (int32_t)bytes};
    tv_status status = call_start(instance, wasm, "tv_arena", &raw, fault, error);
    if (status != TV_OK) return status;
    uint32_t address = (uint32_t)raw.i32;
    char text[32];
    if (address == 0) {
        tv_fault_set(fault, TV_FAULT_MEMORY, "tv_arena: no room for an input batch of %s", tv_format_size(bytes, text));
        return tv_error_set(error, TV_FAULT, "%s; raise `memory` of the component, or lower the stage's `batch`",
                            fault->message);
    }
    if (address % 8 != 0 || (uint64_t)address + bytes > tv_memory_size(instance->memory)) {
        tv_fault_set(fault, TV_FAULT_START, "0x%08x is not a multiple of 8 with %u bytes of memory behind it", address,
                     bytes);
        return fail_start(fault, error, "tv_arena");
    }
    instance->arena_offset = address;
    instance->arena_bytes = bytes;
    return TV_OK;
}

// Where a component with keyed state has its block. The arena's content is undefined between calls: not there.
static tv_status ask_state(tv_instance *instance, const wasmtime_instance_t *wasm, tv_fault *fault, tv_error *error) {
    uint32_t bytes = instance->module->info.state_bytes;
    wasmtime_val_raw_t raw = {0};
    tv_status status = call_start(instance, wasm, "tv_state", &raw, fault, error);
    if (status != TV_OK) return status;
    uint32_t address = (uint32_t)raw.i32;
    uint64_t end = (uint64_t)address + bytes, arena_end = (uint64_t)instance->arena_offset + instance->arena_bytes;
    bool in_arena = end > instance->arena_offset && address < arena_end;
    if (address == 0 || address % 8 != 0 || end > tv_memory_size(instance->memory) || in_arena) {
        tv_fault_set(fault, TV_FAULT_START,
                     "0x%08x is not a multiple of 8 with %u bytes of memory behind it outside the arena", address,
                     bytes);
        return fail_start(fault, error, "tv_state");
    }
    instance->state_offset = address;
    return TV_OK;
}

// The first instance makes the image of its module; it and those that come later have its pages instead of their own.
// One that starts while the image is being made keeps its own. The image is a part of what a plan reserves for the
// module (eight times its size); a few bytes far apart would make one of any size.
static void share_data(tv_instance *instance) {
    enum { IMAGE_FACTOR = 4 };
    tv_module *module = instance->module;
    int none = TV_IMAGE_NONE;
    if (!instance->memory) return;
    if (atomic_compare_exchange_strong(&module->image_state, &none, TV_IMAGE_MAKING)) {
        module->image = tv_memory_image_new(instance->memory, module->info.file_bytes * IMAGE_FACTOR);
        atomic_store(&module->image_state, module->image ? TV_IMAGE_READY : TV_IMAGE_REFUSED);
    }
    if (atomic_load(&module->image_state) == TV_IMAGE_READY) tv_memory_image_apply(module->image, instance->memory);
}

static tv_status start(tv_instance *instance, const tv_instance_options *options, tv_fault *fault, tv_error *error) {
    wasmtime_instance_t wasm;
    wasmtime_val_raw_t none = {0};
    instance->phase = TV_PHASE_START;
    tv_status status = instantiate(instance, options->memory_bytes_max, &wasm, fault, error);
    if (status != TV_OK) return status;
    share_data(instance);
    for (unsigned i = 0; i < TV_EXPORT_COUNT; i++) {
        find_export(instance, &wasm, (tv_export)i);
    }
    status = call_start(instance, &wasm, "_initialize", &none, fault, error);
    if (status == TV_OK) status = ask_arena(instance, &wasm, options->batch_bytes, fault, error);
    bool has_block = instance->module->info.keeping == TV_KEEPS_KEYED;
    return status == TV_OK && has_block ? ask_state(instance, &wasm, fault, error) : status;
}

// Memory is not limited here: the engine would refuse growth on its own, and the arena could not count it.
static tv_status make_store(tv_instance *instance, tv_error *error) {
    instance->store = wasmtime_store_new(instance->module->engine->wasm, instance, NULL);
    if (!instance->store) return tv_error_set(error, TV_NO_MEMORY, "no memory for an instance");
    int64_t elements = (int64_t)instance->module->table_elements + TV_MODULE_TABLE_GROWTH;
    wasmtime_store_limiter(instance->store, -1, elements, 1, TV_MODULE_TABLES_MAX, 1);
    wasmtime_store_epoch_deadline_callback(instance->store, on_epoch, instance, NULL);
    instance->context = wasmtime_store_context(instance->store);
    instance->ticks = &instance->module->engine->ticks;
    instance->deadline_tick = atomic_load_explicit(instance->ticks, memory_order_relaxed);
    wasmtime_context_set_epoch_deadline(instance->context, 1);
    return TV_OK;
}

tv_status tv_instance_new(tv_module *module, const tv_instance_options *options, tv_instance **out, tv_fault *fault,
                          tv_error *error) {
    tv_fault_set(fault, TV_FAULT_NONE, "%s", "");
    tv_status status = check_grants(&module->info, options->grants, error);
    if (status != TV_OK) return status;
    tv_instance *instance = calloc(1, sizeof *instance);
    if (!instance) return tv_error_set(error, TV_NO_MEMORY, "no memory for an instance");
    instance->imports = options->imports;
    instance->user = options->user;
    instance->fault = fault;
    instance->module = tv_module_ref(module);
    status = make_store(instance, error);
    if (status == TV_OK) status = start(instance, options, fault, error);
    instance->fault = NULL;
    if (status != TV_OK) {
        tv_instance_free(instance);
        return status;
    }
    tv_memory_settle(instance->memory);
    *out = instance;
    return TV_OK;
}

void tv_instance_set_user(tv_instance *instance, void *user) {
    if (instance->user == user) return;
    tv_guest_output_flush(instance);
    instance->user = user;
}

void tv_instance_free(tv_instance *instance) {
    if (!instance) return;
    tv_guest_output_flush(instance);
    if (instance->store) wasmtime_store_delete(instance->store); // gives the memory back to the arena
    tv_module_unref(instance->module);
    free(instance->output);
    free(instance);
}

// ---- calling ------------------------------------------------------------------------------------------------

static bool result_is_well_formed(tv_export which, int64_t argument, int32_t result) {
    switch (which) {
    case TV_EXPORT_INIT: return result == TV_ABI_OK;
    case TV_EXPORT_PROCESS:
        return (result & ~(TV_ABI_MORE | TV_ABI_COUNT_MASK)) == 0 && (result & TV_ABI_COUNT_MASK) <= argument;
    case TV_EXPORT_PULL: return result == 0 || result == TV_ABI_MORE || result == TV_ABI_END;
    case TV_EXPORT_RESUME:
    case TV_EXPORT_TICK:
    case TV_EXPORT_CLOSE: return result == 0 || result == TV_ABI_MORE;
    case TV_EXPORT_COUNT: break;
    }
    return false;
}

static const char *abi_code_name(int32_t code) {
    switch (code) {
    case TV_ABI_INVALID: return "INVALID";
    case TV_ABI_NOT_FOUND: return "NOT_FOUND";
    case TV_ABI_TOO_LARGE: return "TOO_LARGE";
    case TV_ABI_STATE: return "STATE";
    case TV_ABI_DENIED: return "DENIED";
    case TV_ABI_LIMIT: return "LIMIT";
    case TV_ABI_FAILED: return "FAILED";
    default: return "an unknown code";
    }
}

static tv_status fail_result(tv_export which, int64_t argument, int32_t result, tv_fault *fault) {
    if (result < 0)
        tv_fault_set(fault, TV_FAULT_RESULT, "%s failed with %d (%s)", export_names[which], result,
                     abi_code_name(result));
    else
        tv_fault_set(fault, TV_FAULT_RESULT, "%s returned 0x%x, which is no valid result%s", export_names[which],
                     (unsigned)result,
                     which == TV_EXPORT_PROCESS && (result & TV_ABI_COUNT_MASK) > argument
                         ? ": more records than the batch had"
                         : "");
    memcpy(fault->function, export_names[which], strlen(export_names[which]) + 1);
    return TV_FAULT;
}

tv_status tv_instance_call(tv_instance *instance, tv_export which, int64_t argument, int32_t *result, tv_fault *fault) {
    if (!(instance->exports_present & 1u << which)) {
        *result = 0;
        return TV_OK;
    }
    wasm_trap_t *trap = NULL;
    wasmtime_val_raw_t raw;
    raw.i64 = argument; // an i32 parameter reads the low half
    instance->fault = fault;
    instance->phase = (uint8_t)which;
    renew_deadline(instance);
    wasmtime_error_t *failed =
        wasmtime_func_call_unchecked(instance->context, &instance->exports[which], &raw, 1, &trap);
    if (__builtin_expect(failed || trap, 0)) {
        tv_fault_take(instance, fault, failed, trap);
        tv_guest_output_flush(instance);
        return TV_FAULT;
    }
    if (__builtin_expect(!result_is_well_formed(which, argument, raw.i32), 0))
        return fail_result(which, argument, raw.i32, fault);
    *result = raw.i32;
    return TV_OK;
}

tv_batch *tv_instance_batch(tv_instance *instance) {
    return (tv_batch *)(void *)(instance->memory->base + instance->arena_offset);
}

uint8_t *tv_instance_state(tv_instance *instance) {
    return instance->state_offset ? instance->memory->base + instance->state_offset : NULL;
}

uint64_t tv_instance_memory_bytes(const tv_instance *instance) { return tv_memory_size(instance->memory); }

uint64_t tv_instance_trim(tv_instance *instance) {
    return tv_memory_trim(instance->memory, instance->arena_offset, instance->arena_bytes);
}
