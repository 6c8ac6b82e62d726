// Built-in maxima of the wasm module; docs/limits.md lists them.
#ifndef TORVYN_WASM_LIMITS_H
#define TORVYN_WASM_LIMITS_H

enum {
    TV_MODULE_BYTES_MAX = 64 << 20,    // a module's file
    TV_COMPILED_BYTES_MAX = 512 << 20, // a compiled module; for one of n bytes also TV_COMPILED_BYTES_BASE + 64 n
    TV_COMPILED_BYTES_BASE = 8 << 20,
    TV_COMPILE_BYTES_DEFAULT = 1 << 30, // memory of the compiling child
    TV_COMPILE_SECONDS_DEFAULT = 60,    // its time
    TV_MODULE_TYPES_MAX = 65536,
    TV_MODULE_TABLES_MAX = 4,
    TV_MODULE_TABLE_ELEMENTS_MAX = 65536, // initial, all tables together
    TV_MODULE_TABLE_GROWTH = 1024,        // elements by which a table may grow beyond its initial size
    TV_HOST_STACK_BYTES = 64 << 10,       // of the host's functions, per nested guest call
};

#endif
