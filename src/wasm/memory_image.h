// What the memories of one module's instances begin with, in pages that they share until they write to them.
//
// The engine copies a module's data into each new memory. Where thousands of instances run, those copies (tables,
// texts) are most of what an idle one has resident. An image keeps one copy in a file in memory; a new memory that has
// the same content gets the image's pages in place of its own, privately: a page that is written to becomes its own.
#ifndef TORVYN_WASM_MEMORY_IMAGE_H
#define TORVYN_WASM_MEMORY_IMAGE_H

#include "wasm/memory_arena.h"

typedef struct tv_memory_image tv_memory_image;

// The pages of `memory`, which has just been initialised, from its first to its last byte that is not zero. NULL: not
// worth it (less than two pages, more than `bytes_max`, or a memory of more than 16 MiB), or the system has no such
// files.
tv_memory_image *tv_memory_image_new(const tv_memory *memory, uint64_t bytes_max);
void tv_memory_image_free(tv_memory_image *image); // memories that have its pages keep them; NULL is allowed
// Puts the image's pages into a memory that has just been initialised. Does nothing if its content is another, or if
// the arena has no mappings left for it: then it keeps its own pages.
void tv_memory_image_apply(const tv_memory_image *image, tv_memory *memory);

#endif
