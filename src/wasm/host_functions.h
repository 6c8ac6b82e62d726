// The functions a component may import (contract section 7), as data: module, name, signature, grant.
//
// The inspector checks a module's imports against this table without the engine; imports.c and wasi.c define the
// same rows in the engine's linker, so the two cannot disagree.
#ifndef TORVYN_WASM_HOST_FUNCTIONS_H
#define TORVYN_WASM_HOST_FUNCTIONS_H

#include <stddef.h>
#include <stdint.h>

#define TV_WASI_MODULE "wasi_snapshot_preview1"

// Parameters, ':', results; 'i' is i32, 'I' is i64. At most 9 parameters and one result.
typedef struct tv_host_function {
    const char *module;
    const char *name;
    const char *signature;
    uint32_t grant; // enum tv_grant, or 0
} tv_host_function;

extern const tv_host_function tv_host_functions[];
extern const size_t tv_host_function_count;

// The function of that module and name (not NUL-terminated), or NULL.
const tv_host_function *tv_host_function_find(const char *module, size_t module_length, const char *name,
                                              size_t name_length);

#endif
