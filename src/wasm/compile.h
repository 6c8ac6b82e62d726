// Compilation in a child process of our own executable, so that a module that attacks the compiler, or takes all
// memory or time, harms a process without rights instead of the host.
#ifndef TORVYN_WASM_COMPILE_H
#define TORVYN_WASM_COMPILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "wasm/wasm.h"

typedef struct tv_compile_options {
    const char *compiler_path;
    tv_memory_mode memory_mode;
    uint64_t memory_bytes_max;
    uint32_t seconds_max; // of CPU and of wall-clock time
    bool only_validate;   // do not compile: *compiled is NULL then
} tv_compile_options;

// Compiles a module; *compiled is heap memory, the caller's. Blocks for at most `seconds_max`. Errors: INVALID or
// UNSUPPORTED if the compiler refuses the module, LIMIT for time and memory, IO if the child cannot be run.
tv_status tv_compile(const tv_compile_options *options, const uint8_t *module, size_t length, uint8_t **compiled,
                     size_t *compiled_length, tv_error *error);

// Exit codes of the child, besides 0.
enum { TV_COMPILE_INVALID = 65, TV_COMPILE_UNSUPPORTED = 69, TV_COMPILE_FAILED = 70, TV_COMPILE_IO = 74 };

// First argument that makes the executable serve as compiler; the others are the memory mode's name or "validate", the
// memory limit in bytes and the CPU limit in seconds.
#define TV_COMPILE_VERB "__compile"

// Gives up everything that compiling does not need (compile_sandbox.c). What could not be given up is written to
// standard error, for the parent to log.
void tv_compile_drop_rights(uint64_t memory_bytes_max, uint32_t cpu_seconds_max);

#endif
