// What the heap really holds behind a block.
#ifndef TORVYN_FLOW_HEAP_H
#define TORVYN_FLOW_HEAP_H

#include <malloc.h>
#include <stddef.h>

// Heap behind a block of malloc's, its own overhead included; 0 for NULL.
static inline size_t tv_heap_bytes(const void *block) {
    return block ? malloc_usable_size((void *)block) + sizeof(size_t) : 0;
}
// The same, at most, for a block that is yet to be allocated. glibc: multiples of 16, at least 32, and 16 more where
// what would be left is too little for a block of its own.
static inline size_t tv_heap_bytes_for(size_t bytes) {
    size_t whole = (bytes + sizeof(size_t) + 15) & ~(size_t)15;
    return (whole < 32 ? 32 : whole) + 16;
}

#endif
