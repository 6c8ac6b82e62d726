// Components without libc have no malloc; yyjson is always given a pool, and its default allocator always fails.
#ifndef TORVYN_FREESTANDING_STDLIB_H
#define TORVYN_FREESTANDING_STDLIB_H

#if !defined(TORVYN_YYJSON_H) && !defined(TV_SDK_SOURCE)
#error "no <stdlib.h> without libc: use tv_allocate, or build with `torvyn build --libc`"
#endif

#include <stddef.h>

static inline void *malloc(size_t bytes) { return bytes == 0 ? NULL : NULL; }
static inline void *realloc(void *block, size_t bytes) { return bytes == 0 ? block : NULL; }
static inline void free(void *block) { (void)block; }

#endif
