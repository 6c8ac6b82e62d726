// yyjson.c includes this for its default allocator, which the SDK never uses: readers are given a pool.
#ifndef TORVYN_SHIM_STDLIB_H
#define TORVYN_SHIM_STDLIB_H

#include <stddef.h>

static inline void *malloc(size_t bytes) { return bytes == 0 ? NULL : NULL; }
static inline void *realloc(void *block, size_t bytes) { return bytes == 0 ? block : NULL; }
static inline void free(void *block) { (void)block; }

#endif
