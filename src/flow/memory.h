// Memory of the flow module: what the heap really holds.
#ifndef TORVYN_FLOW_MEMORY_H
#define TORVYN_FLOW_MEMORY_H

#include <malloc.h>
#include <stddef.h>

// Heap behind a block of malloc's, its own overhead included; 0 for NULL.
static inline size_t tv_heap_bytes(const void *block) {
    return block ? malloc_usable_size((void *)block) + sizeof(size_t) : 0;
}
// The same for a block that is yet to be allocated (glibc: multiples of 16, at least 32).
static inline size_t tv_heap_bytes_for(size_t bytes) {
    size_t whole = (bytes + sizeof(size_t) + 15) & ~(size_t)15;
    return whole < 32 ? 32 : whole;
}

#endif
