// Turns the ways a guest call can end badly into a tv_fault: a reason, a sentence, the innermost function and a
// backtrace. The sentences are for people who write components; they do not speak of the engine.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "wasm/engine.h"

enum { BACKTRACE_FRAMES_MAX = 16 };

const char *tv_fault_reason_name(tv_fault_reason reason) {
    static const char *const names[] = {"none",    "trap", "stack",  "cpu",    "memory",
                                        "pointer", "exit", "result", "output", "start"};
    return (size_t)reason < sizeof names / sizeof *names ? names[reason] : "unknown";
}

static void set_message(tv_fault *fault, tv_fault_reason reason, const char *format, va_list arguments) {
    fault->reason = reason;
    vsnprintf(fault->message, sizeof fault->message, format, arguments);
    fault->function[0] = 0;
    fault->backtrace[0] = 0;
}

void tv_fault_set(tv_fault *fault, tv_fault_reason reason, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    set_message(fault, reason, format, arguments);
    va_end(arguments);
}

wasm_trap_t *tv_fault_raise(tv_instance *instance, tv_fault_reason reason, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    set_message(instance->fault, reason, format, arguments);
    va_end(arguments);
    instance->pending = (uint8_t)reason;
    return wasmtime_trap_new("", 0);
}

wasm_trap_t *tv_fault_pointer(tv_instance *instance, const char *function, const char *what, uint32_t address,
                              uint64_t length) {
    return tv_fault_raise(instance, TV_FAULT_POINTER,
                          "%s: %s at 0x%08x, %llu bytes, reaches outside the memory of %llu bytes", function, what,
                          address, (unsigned long long)length, (unsigned long long)tv_memory_size(instance->memory));
}

static const char *trap_text(wasmtime_trap_code_t code) {
    switch (code) {
    case WASMTIME_TRAP_CODE_STACK_OVERFLOW:
        return "the call stack is exhausted (endless recursion, or frames too large)";
    case WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS: return "memory access out of bounds";
    case WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS: return "table access out of bounds (a bad function pointer)";
    case WASMTIME_TRAP_CODE_INDIRECT_CALL_TO_NULL: return "call of a null function pointer";
    case WASMTIME_TRAP_CODE_BAD_SIGNATURE: return "call of a function pointer with another signature";
    case WASMTIME_TRAP_CODE_INTEGER_OVERFLOW: return "integer overflow";
    case WASMTIME_TRAP_CODE_INTEGER_DIVISION_BY_ZERO: return "integer division by zero";
    case WASMTIME_TRAP_CODE_BAD_CONVERSION_TO_INTEGER:
        return "conversion of a NaN or of a number too large to an integer";
    case WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED: return "unreachable code was reached (abort, assertion or panic)";
    case WASMTIME_TRAP_CODE_NULL_REFERENCE: return "use of a null reference";
    default: return "an operation trapped";
    }
}

typedef struct backtrace_writer {
    char *out;
    size_t capacity;
    size_t length;
} backtrace_writer;

static void write_text(backtrace_writer *writer, const char *text, size_t length) {
    for (size_t i = 0; i < length && writer->length + 1 < writer->capacity; i++) {
        char c = text[i];
        writer->out[writer->length++] = (unsigned char)c < 0x20 && c != '\n' ? '?' : c;
    }
    writer->out[writer->length] = 0;
}

// "name", or "function 12" where the module has no names.
static void write_function(backtrace_writer *writer, const wasm_frame_t *frame) {
    const wasm_name_t *name = wasmtime_frame_func_name(frame);
    char number[32];
    if (name && name->size > 0) {
        write_text(writer, name->data, name->size < 120 ? name->size : 120);
        return;
    }
    int length = snprintf(number, sizeof number, "function %u", wasm_frame_func_index(frame));
    write_text(writer, number, (size_t)length);
}

static void write_frame(backtrace_writer *writer, const wasm_frame_t *frame) {
    char place[40];
    size_t offset = wasm_frame_module_offset(frame);
    int length = offset == SIZE_MAX ? 0 : snprintf(place, sizeof place, " @0x%zx", offset);
    if (writer->length > 0) write_text(writer, "\n", 1);
    write_function(writer, frame);
    write_text(writer, place, (size_t)length);
}

static void take_frames(tv_fault *fault, wasm_frame_vec_t *frames) {
    backtrace_writer backtrace = {fault->backtrace, sizeof fault->backtrace, 0};
    backtrace_writer function = {fault->function, sizeof fault->function, 0};
    fault->backtrace[0] = 0;
    fault->function[0] = 0;
    if (frames->size > 0) write_function(&function, frames->data[0]);
    for (size_t i = 0; i < frames->size && i < BACKTRACE_FRAMES_MAX; i++) {
        write_frame(&backtrace, frames->data[i]);
    }
    wasm_frame_vec_delete(frames);
}

static void take_trap(tv_fault *fault, wasm_trap_t *trap) {
    wasmtime_trap_code_t code;
    bool known = wasmtime_trap_code(trap, &code);
    bool stack = known && code == WASMTIME_TRAP_CODE_STACK_OVERFLOW;
    tv_fault_set(fault, stack ? TV_FAULT_STACK : TV_FAULT_TRAP, "%s", known ? trap_text(code) : "an operation trapped");
}

static void take_error(tv_fault *fault, wasmtime_error_t *error) {
    wasm_name_t text;
    wasmtime_error_message(error, &text);
    tv_fault_set(fault, TV_FAULT_TRAP, "%.*s", (int)(text.size < 200 ? text.size : 200), text.data);
    wasm_byte_vec_delete(&text);
}

void tv_fault_take(tv_instance *instance, tv_fault *fault, wasmtime_error_t *error, wasm_trap_t *trap) {
    wasm_frame_vec_t frames = {0};
    bool raised = instance->pending != TV_FAULT_NONE; // by us, which has set reason and message
    if (!raised && trap) take_trap(fault, trap);
    if (!raised && error) take_error(fault, error);
    if (trap)
        wasm_trap_trace(trap, &frames);
    else
        wasmtime_error_wasm_trace(error, &frames);
    take_frames(fault, &frames);
    if (trap) wasm_trap_delete(trap);
    if (error) wasmtime_error_delete(error);
    instance->pending = TV_FAULT_NONE;
}
