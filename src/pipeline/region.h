// Memory of one pipeline file: allocated in pieces, freed all at once, with a maximum.
//
// A failed allocation stays remembered in `failed`, so that a caller may go on with NULL and the end still knows.
// Everything handed out is zeroed and aligned for any type. Not thread-safe; nothing is ever freed singly.
#ifndef TORVYN_PIPELINE_REGION_H
#define TORVYN_PIPELINE_REGION_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct tv_region_block tv_region_block;

typedef struct tv_region {
    tv_region_block *blocks;
    size_t block_bytes; // of an ordinary block
    size_t bytes, bytes_max;
    bool failed;   // some allocation was refused
    bool exceeded; // ... because of bytes_max
} tv_region;

void tv_region_init(tv_region *region, size_t block_bytes, size_t bytes_max);
void tv_region_deinit(tv_region *region);

// `count` objects of `size` bytes; NULL on overflow, at the maximum or without memory. A count of 0 gives one object's
// room, so that NULL always means failure.
void *tv_region_alloc(tv_region *region, size_t count, size_t size);
// The bytes with a NUL behind them.
char *tv_region_copy(tv_region *region, const char *bytes, size_t length);
char *tv_region_print(tv_region *region, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
