// The sliver of WASI preview 1 that language runtimes cannot start without (contract 7.10), by hand: no files, no
// sockets, no environment, nothing that blocks. Standard output and error become log lines; every function that
// has no row in `served` answers ENOTCAPABLE.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "wasm/engine.h"
#include "wasm/host_functions.h"

// Error codes of WASI preview 1.
enum { E_SUCCESS = 0, E_AGAIN = 6, E_BADF = 8, E_INVAL = 28, E_IO = 29, E_SPIPE = 70, E_NOTCAPABLE = 76 };
enum {
    VECTORS_MAX = 1024,
    SUBSCRIPTIONS_MAX = 64,
    OUTPUT_BYTES_MAX = 1 << 16,
    RANDOM_BYTES_MAX = 1 << 16,
    WRITE_BYTES_MAX = 1 << 16,
    CLOCKS = 2
};

static wasm_trap_t *answer(wasmtime_val_raw_t *values, int32_t code) {
    values[0].i32 = code;
    return NULL;
}

static void put_u32(uint8_t *at, uint32_t value) { memcpy(at, &value, sizeof value); }
static void put_u64(uint8_t *at, uint64_t value) { memcpy(at, &value, sizeof value); }
static uint32_t get_u32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static wasm_trap_t *wasi_not_capable(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)caller, (void)count;
    return answer(values, E_NOTCAPABLE);
}

static wasm_trap_t *wasi_sched_yield(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)caller, (void)count;
    return answer(values, E_SUCCESS);
}

static wasm_trap_t *wasi_proc_exit(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    return tv_fault_raise(tv_caller_instance(caller), TV_FAULT_EXIT, "the component ended itself with exit code %d",
                          values[0].i32);
}

// ---- arguments and environment: empty -----------------------------------------------------------------------

static wasm_trap_t *wasi_empty_list(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)caller, (void)count;
    return answer(values, E_SUCCESS); // nothing to write to either pointer
}

static wasm_trap_t *wasi_empty_sizes(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)count;
    tv_instance *instance = tv_caller_instance(caller);
    for (int i = 0; i < 2; i++) {
        uint32_t address = (uint32_t)values[i].i32;
        uint8_t *out = tv_guest_range(instance, address, 4);
        if (!out) return tv_fault_pointer(instance, env, "a result", address, 4);
        put_u32(out, 0);
    }
    return answer(values, E_SUCCESS);
}

// ---- descriptors --------------------------------------------------------------------------------------------

void tv_guest_output_flush(tv_instance *instance) {
    tv_guest_output *output = instance->output;
    if (!output || output->length == 0) return;
    instance->imports->log(instance->user, output->level, output->text, output->length);
    output->length = 0;
}

static void output_add(tv_instance *instance, uint8_t level, const uint8_t *bytes, uint32_t length) {
    tv_guest_output *output = instance->output;
    if (output->level != level) tv_guest_output_flush(instance);
    output->level = level;
    for (uint32_t i = 0; i < length; i++) {
        if (bytes[i] == '\n' || output->length == sizeof output->text) tv_guest_output_flush(instance);
        if (bytes[i] != '\n') output->text[output->length++] = (char)bytes[i];
    }
}

static wasm_trap_t *wasi_fd_write(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    tv_instance *instance = tv_caller_instance(caller);
    uint32_t fd = (uint32_t)values[0].i32, vectors = (uint32_t)values[1].i32;
    uint32_t vector_count = (uint32_t)values[2].i32, written_address = (uint32_t)values[3].i32;
    if (fd != 1 && fd != 2) return answer(values, fd == 0 ? E_NOTCAPABLE : E_BADF);
    if (vector_count > VECTORS_MAX) return answer(values, E_INVAL);
    const uint8_t *list = tv_guest_range(instance, vectors, (uint64_t)vector_count * 8);
    if (!list)
        return tv_fault_pointer(instance, "fd_write", "the list of buffers", vectors, (uint64_t)vector_count * 8);
    uint8_t *written = tv_guest_range(instance, written_address, 4);
    if (!written) return tv_fault_pointer(instance, "fd_write", "the result", written_address, 4);
    if (!instance->output) instance->output = calloc(1, sizeof *instance->output);
    if (!instance->output) return answer(values, E_IO);
    uint32_t total = 0;
    for (uint32_t i = 0; i < vector_count; i++) {
        uint32_t address = get_u32(list + 8 * i), length = get_u32(list + 8 * i + 4);
        const uint8_t *bytes = tv_guest_range(instance, address, length);
        if (!bytes) return tv_fault_pointer(instance, "fd_write", "a buffer", address, length);
        if (length > WRITE_BYTES_MAX - total) length = WRITE_BYTES_MAX - total; // the caller writes the rest again
        output_add(instance, fd == 1 ? TV_LOG_INFO : TV_LOG_WARN, bytes, length);
        total += length;
    }
    put_u32(written, total);
    return answer(values, E_SUCCESS);
}

static wasm_trap_t *wasi_fd_close(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)caller, (void)count;
    return answer(values, (uint32_t)values[0].i32 <= 2 ? E_SUCCESS : E_BADF);
}

static wasm_trap_t *wasi_fd_seek(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)caller, (void)count;
    return answer(values, (uint32_t)values[0].i32 <= 2 ? E_SPIPE : E_BADF);
}

static wasm_trap_t *wasi_fd_prestat(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)caller, (void)count;
    return answer(values, E_BADF); // no folder is open, which is how the search for them ends
}

static wasm_trap_t *wasi_fd_fdstat_get(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    enum { FDSTAT_BYTES = 24, CHARACTER_DEVICE = 2, RIGHT_WRITE = 1 << 6 };
    tv_instance *instance = tv_caller_instance(caller);
    uint32_t fd = (uint32_t)values[0].i32, address = (uint32_t)values[1].i32;
    if (fd > 2) return answer(values, E_BADF);
    uint8_t *out = tv_guest_range(instance, address, FDSTAT_BYTES);
    if (!out) return tv_fault_pointer(instance, "fd_fdstat_get", "the result", address, FDSTAT_BYTES);
    memset(out, 0, FDSTAT_BYTES);
    out[0] = CHARACTER_DEVICE;
    put_u64(out + 8, fd == 0 ? 0 : RIGHT_WRITE);
    return answer(values, E_SUCCESS);
}

// ---- time and chance ----------------------------------------------------------------------------------------

static wasm_trap_t *wasi_clock_time_get(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values,
                                        size_t count) {
    (void)env, (void)count;
    tv_instance *instance = tv_caller_instance(caller);
    uint32_t id = (uint32_t)values[0].i32, address = (uint32_t)values[2].i32;
    uint8_t *out = tv_guest_range(instance, address, 8);
    if (!out) return tv_fault_pointer(instance, "clock_time_get", "the result", address, 8);
    if (id >= CLOCKS) return answer(values, E_INVAL);
    put_u64(out, (uint64_t)instance->imports->clock_ns(instance->user, (int32_t)id)); // same numbers as ours
    return answer(values, E_SUCCESS);
}

static wasm_trap_t *wasi_clock_res_get(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    tv_instance *instance = tv_caller_instance(caller);
    uint32_t id = (uint32_t)values[0].i32, address = (uint32_t)values[1].i32;
    uint8_t *out = tv_guest_range(instance, address, 8);
    if (!out) return tv_fault_pointer(instance, "clock_res_get", "the result", address, 8);
    if (id >= CLOCKS) return answer(values, E_INVAL);
    put_u64(out, 1);
    return answer(values, E_SUCCESS);
}

static wasm_trap_t *wasi_random_get(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    tv_instance *instance = tv_caller_instance(caller);
    uint32_t address = (uint32_t)values[0].i32, length = (uint32_t)values[1].i32;
    uint8_t *out = tv_guest_range(instance, address, length);
    if (!out) return tv_fault_pointer(instance, "random_get", "the buffer", address, length);
    if (length > RANDOM_BYTES_MAX) return answer(values, E_INVAL);
    for (uint32_t filled = 0; filled < length;) {
        ssize_t got = getrandom(out + filled, length - filled, GRND_NONBLOCK);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return answer(values, errno == EAGAIN ? E_AGAIN : E_IO);
        filled += (uint32_t)got;
    }
    return answer(values, E_SUCCESS);
}

// Every subscription is ready at once: a timer has run out, a descriptor cannot be waited for.
static wasm_trap_t *wasi_poll_oneoff(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count) {
    (void)env, (void)count;
    enum { SUBSCRIPTION_BYTES = 48, EVENT_BYTES = 32, TAG_OFFSET = 8, TAG_CLOCK = 0 };
    tv_instance *instance = tv_caller_instance(caller);
    uint32_t in_address = (uint32_t)values[0].i32, out_address = (uint32_t)values[1].i32;
    uint32_t subscriptions = (uint32_t)values[2].i32, count_address = (uint32_t)values[3].i32;
    if (subscriptions == 0 || subscriptions > SUBSCRIPTIONS_MAX) return answer(values, E_INVAL);
    const uint8_t *in = tv_guest_range(instance, in_address, subscriptions * SUBSCRIPTION_BYTES);
    uint8_t *out = tv_guest_range(instance, out_address, subscriptions * EVENT_BYTES);
    uint8_t *event_count = tv_guest_range(instance, count_address, 4);
    if (!in)
        return tv_fault_pointer(instance, "poll_oneoff", "the list", in_address, subscriptions * SUBSCRIPTION_BYTES);
    if (!out) return tv_fault_pointer(instance, "poll_oneoff", "the result", out_address, subscriptions * EVENT_BYTES);
    if (!event_count) return tv_fault_pointer(instance, "poll_oneoff", "the count", count_address, 4);
    for (uint32_t i = 0; i < subscriptions; i++) {
        uint8_t event[EVENT_BYTES] = {0};
        const uint8_t *subscription = in + i * SUBSCRIPTION_BYTES;
        memcpy(event, subscription, 8); // the caller's own mark
        event[8] = subscription[TAG_OFFSET] == TAG_CLOCK ? E_SUCCESS : E_NOTCAPABLE;
        event[10] = subscription[TAG_OFFSET];
        memcpy(out + i * EVENT_BYTES, event, EVENT_BYTES);
    }
    put_u32(event_count, subscriptions);
    return answer(values, E_SUCCESS);
}

// ---- table --------------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    wasmtime_func_unchecked_callback_t callback;
} served[] = {
    {"args_get", wasi_empty_list},
    {"args_sizes_get", wasi_empty_sizes},
    {"environ_get", wasi_empty_list},
    {"environ_sizes_get", wasi_empty_sizes},
    {"clock_res_get", wasi_clock_res_get},
    {"clock_time_get", wasi_clock_time_get},
    {"fd_close", wasi_fd_close},
    {"fd_fdstat_get", wasi_fd_fdstat_get},
    {"fd_prestat_get", wasi_fd_prestat},
    {"fd_prestat_dir_name", wasi_fd_prestat},
    {"fd_seek", wasi_fd_seek},
    {"fd_write", wasi_fd_write},
    {"poll_oneoff", wasi_poll_oneoff},
    {"proc_exit", wasi_proc_exit},
    {"random_get", wasi_random_get},
    {"sched_yield", wasi_sched_yield},
};

static wasmtime_func_unchecked_callback_t callback_of(const char *name) {
    for (size_t i = 0; i < sizeof served / sizeof *served; i++) {
        if (strcmp(served[i].name, name) == 0) return served[i].callback;
    }
    return wasi_not_capable;
}

wasmtime_error_t *tv_wasi_define(wasmtime_linker_t *linker) {
    for (size_t i = 0; i < tv_host_function_count; i++) {
        const tv_host_function *row = &tv_host_functions[i];
        if (strcmp(row->module, TV_WASI_MODULE) != 0) continue;
        wasmtime_error_t *error =
            tv_linker_define(linker, row->module, row->name, callback_of(row->name), (void *)(uintptr_t)row->name);
        if (error) return error;
    }
    return NULL;
}
