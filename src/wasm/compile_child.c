// The compiling child: `torvyn __compile MODE|validate MEMORY SECONDS`. Drops its rights before it looks at the first
// byte of the module, reads it from standard input, writes the compiled form to standard output, errors as text to
// standard error. Leaves by _exit: nothing here needs cleaning up.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wasm/compile.h"
#include "wasm/engine.h"
#include "wasm/limits.h"

enum { WASM_STACK_BYTES = 256 << 10 }; // no matter: it does not show in compiled code

static void say(const char *text, size_t length) {
    ssize_t ignored = write(STDERR_FILENO, text, length);
    (void)ignored;
}

static uint8_t *read_all(size_t *length) {
    size_t capacity = 1 << 16, filled = 0;
    uint8_t *bytes = malloc(capacity);
    while (bytes) {
        ssize_t got = read(STDIN_FILENO, bytes + filled, capacity - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        filled += (size_t)got;
        if (filled > TV_MODULE_BYTES_MAX) break;
        if (filled < capacity) continue;
        capacity *= 2;
        uint8_t *larger = realloc(bytes, capacity);
        if (!larger) free(bytes);
        bytes = larger;
    }
    *length = filled;
    return bytes;
}

static int write_all(const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t put = write(STDOUT_FILENO, bytes, length);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return TV_COMPILE_IO;
        bytes += put;
        length -= (size_t)put;
    }
    return 0;
}

// The compiler words a refused feature as "... not enabled" or "... must be enabled". Its message is a list of causes,
// one a line, of which the last is the one that helps: "    1: type mismatch".
static int fail(wasmtime_error_t *error) {
    wasm_name_t text;
    wasmtime_error_message(error, &text);
    while (text.size > 0 && text.data[text.size - 1] == '\n') {
        text.size--;
    }
    const char *line = memrchr(text.data, '\n', text.size);
    size_t start = line ? (size_t)(line + 1 - text.data) : 0;
    while (start < text.size && strchr(" 0123456789:", text.data[start])) {
        start++;
    }
    say(text.data + start, text.size - start);
    bool unsupported = memmem(text.data, text.size, "enabled", 7) || memmem(text.data, text.size, "not supported", 13);
    return unsupported ? TV_COMPILE_UNSUPPORTED : TV_COMPILE_INVALID;
}

static int validate(const uint8_t *bytes, size_t length) {
    wasm_engine_t *engine = wasm_engine_new_with_config(tv_engine_config(TV_MEMORY_GUARD, WASM_STACK_BYTES));
    if (!engine) return TV_COMPILE_FAILED;
    wasmtime_error_t *error = wasmtime_module_validate(engine, bytes, length);
    return error ? fail(error) : 0;
}

static int compile(tv_memory_mode mode, const uint8_t *bytes, size_t length) {
    wasm_engine_t *engine = wasm_engine_new_with_config(tv_engine_config(mode, WASM_STACK_BYTES));
    wasmtime_module_t *module;
    wasm_byte_vec_t compiled;
    if (!engine) return TV_COMPILE_FAILED;
    wasmtime_error_t *error = wasmtime_module_new(engine, bytes, length, &module);
    if (!error) error = wasmtime_module_serialize(module, &compiled);
    return error ? fail(error) : write_all(compiled.data, compiled.size);
}

int tv_compile_child_main(int argc, char **argv) {
    if (argc != 5) _exit(TV_COMPILE_FAILED);
    tv_memory_mode mode = strcmp(argv[2], "compact") == 0 ? TV_MEMORY_COMPACT : TV_MEMORY_GUARD;
    tv_compile_drop_rights(strtoull(argv[3], NULL, 10), (uint32_t)strtoul(argv[4], NULL, 10));
    size_t length;
    uint8_t *bytes = read_all(&length);
    if (!bytes) _exit(TV_COMPILE_FAILED);
    _exit(strcmp(argv[2], "validate") == 0 ? validate(bytes, length) : compile(mode, bytes, length));
}
