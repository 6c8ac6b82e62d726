// Bump allocation in a list of blocks; see region.h. Large objects get a block of their own behind the current one,
// so that the current one's rest is not lost.
#include "pipeline/region.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tv_region_block {
    tv_region_block *next;
    size_t used, capacity;
};

enum { REGION_ALIGNMENT = 16 };
#define REGION_HEAD ((sizeof(tv_region_block) + REGION_ALIGNMENT - 1) / REGION_ALIGNMENT * REGION_ALIGNMENT)

void tv_region_init(tv_region *region, size_t block_bytes, size_t bytes_max) {
    *region = (tv_region){.block_bytes = block_bytes, .bytes_max = bytes_max};
}

void tv_region_deinit(tv_region *region) {
    tv_region_block *block = region->blocks;
    while (block != NULL) {
        tv_region_block *next = block->next;
        free(block);
        block = next;
    }
    *region = (tv_region){0};
}

static void *region_refuse(tv_region *region, bool exceeded) {
    region->failed = true;
    region->exceeded = region->exceeded || exceeded;
    return NULL;
}

static tv_region_block *region_add_block(tv_region *region, size_t bytes) {
    size_t capacity = bytes > region->block_bytes ? bytes : region->block_bytes;
    if (capacity > region->bytes_max - region->bytes) return region_refuse(region, true);
    tv_region_block *block = calloc(1, REGION_HEAD + capacity);
    if (block == NULL) return region_refuse(region, false);
    block->capacity = capacity;
    region->bytes += capacity;
    tv_region_block *current = region->blocks;
    if (current != NULL && capacity > region->block_bytes) {
        block->next = current->next;
        current->next = block;
    } else {
        block->next = current;
        region->blocks = block;
    }
    return block;
}

void *tv_region_alloc(tv_region *region, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count > 0 ? count : 1, size, &bytes)) return region_refuse(region, true);
    if (bytes > region->bytes_max) return region_refuse(region, true);
    bytes = (bytes + REGION_ALIGNMENT - 1) / REGION_ALIGNMENT * REGION_ALIGNMENT;
    tv_region_block *block = region->blocks;
    if (block == NULL || block->capacity - block->used < bytes) block = region_add_block(region, bytes);
    if (block == NULL) return NULL;
    void *object = (char *)block + REGION_HEAD + block->used;
    block->used += bytes;
    return object;
}

char *tv_region_copy(tv_region *region, const char *bytes, size_t length) {
    if (length == SIZE_MAX) return region_refuse(region, true);
    char *copy = tv_region_alloc(region, 1, length + 1);
    if (copy != NULL && length > 0) memcpy(copy, bytes, length);
    return copy;
}

char *tv_region_print(tv_region *region, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    char *text = length < 0 ? region_refuse(region, false) : tv_region_alloc(region, 1, (size_t)length + 1);
    if (text != NULL) vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}
