// Linear memories in address space of ours. See memory_arena.h for the two modes.
//
// Huge pages are off: with many small memories side by side, or budgets of a few MiB, one touched byte would make
// 2 MiB resident.
#include "wasm/memory_arena.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/checked.h"
#include "base/option.h"
#include "base/pages.h"

#define SLOT_BYTES       (TV_MEMORY_BYTES_LIMIT + TV_GUARD_BYTES)
#define REGION_BYTES_MIN (1ull << 30)
#define REGION_BYTES_MAX (64ull << 30)
enum { REGIONS_MAX = 1024, NO_INDEX = UINT32_MAX };

typedef struct extent {
    uint8_t *start;
    uint64_t bytes;
} extent;

struct tv_arena {
    pthread_mutex_t lock;
    tv_memory_mode mode;
    uint32_t memories_max;
    uint32_t memories_made; // entries of `memories` ever used
    uint32_t free_index;    // head of the list of those free now
    tv_memory *memories;
    uint64_t committed_bytes_max;               // 0: none
    uint64_t growth_bytes_max, soon_bytes_left; // tv_arena_limit_growth; UINT64_MAX: none
    uint32_t mapped_now, mapped_max;            // memories with pages of a file
    tv_arena_stats stats;
    extent regions[REGIONS_MAX]; // guard mode: one; compact: as many as needed
    uint32_t region_count;
    extent *free_extents; // compact: sorted by address, never adjacent
    uint32_t free_count;
};

// ---- address space ------------------------------------------------------------------------------------------

static uint8_t *map_region(uint64_t bytes, int protection) {
    void *at = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return NULL;
    (void)madvise(at, bytes, MADV_NOHUGEPAGE); // kernels without huge pages refuse, which is as good
    return at;
}

static uint64_t map_count_max(void) {
    uint64_t count = 65530;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (!file) return count;
    unsigned long value;
    if (fscanf(file, "%lu", &value) == 1) count = value;
    fclose(file);
    return count;
}

static tv_status reserve_slots(tv_arena *arena, tv_error *error) {
    uint64_t maps = map_count_max();
    if (arena->memories_max > maps * 3 / 8) // two mappings a memory, a quarter left to everybody else
        return tv_error_set(error, TV_LIMIT,
                            "%u memories with guard pages need more mappings than vm.max_map_count (%llu) allows; use "
                            "limits.memory_mode: compact, or lower limits.memories",
                            arena->memories_max, (unsigned long long)maps);
    uint64_t bytes;
    uint8_t *start = NULL;
    if (tv_checked_mul_u64(arena->memories_max, SLOT_BYTES, &bytes) &&
        tv_checked_add_u64(bytes, TV_GUARD_BYTES, &bytes))
        start = map_region(bytes, PROT_NONE);
    if (!start)
        return tv_error_set(error, TV_LIMIT,
                            "no address space for %u memories with guard pages (4 GiB each); use limits.memory_mode: "
                            "compact, or lower limits.memories",
                            arena->memories_max);
    arena->regions[arena->region_count++] = (extent){start, bytes};
    return TV_OK;
}

static void free_extent_insert(tv_arena *arena, uint32_t at, extent added) {
    memmove(&arena->free_extents[at + 1], &arena->free_extents[at], (arena->free_count - at) * sizeof added);
    arena->free_extents[at] = added;
    arena->free_count++;
}

static void free_extent_remove(tv_arena *arena, uint32_t at) {
    arena->free_count--;
    memmove(&arena->free_extents[at], &arena->free_extents[at + 1], (arena->free_count - at) * sizeof(extent));
}

// Index of the first free extent behind `start`.
static uint32_t free_extent_after(const tv_arena *arena, const uint8_t *start) {
    uint32_t low = 0, high = arena->free_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (arena->free_extents[middle].start < start)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void compact_give_back(tv_arena *arena, extent block) {
    uint32_t at = free_extent_after(arena, block.start);
    extent *next = at < arena->free_count ? &arena->free_extents[at] : NULL;
    extent *previous = at > 0 ? &arena->free_extents[at - 1] : NULL;
    bool joins_next = next && block.start + block.bytes == next->start;
    bool joins_previous = previous && previous->start + previous->bytes == block.start;
    if (joins_next) {
        next->start = block.start;
        next->bytes += block.bytes;
    }
    if (joins_previous) {
        previous->bytes += joins_next ? next->bytes : block.bytes;
        if (joins_next) free_extent_remove(arena, at);
    }
    if (!joins_next && !joins_previous) free_extent_insert(arena, at, block);
}

// More address space for compact blocks: each region twice the last, less where the system refuses that much.
static bool compact_add_region(tv_arena *arena, uint64_t bytes_min) {
    if (arena->region_count == REGIONS_MAX) return false;
    uint64_t bytes = REGION_BYTES_MIN << (arena->region_count < 6 ? arena->region_count : 6);
    if (bytes > REGION_BYTES_MAX) bytes = REGION_BYTES_MAX;
    if (bytes < bytes_min) bytes = bytes_min;
    uint8_t *start = map_region(bytes, PROT_READ | PROT_WRITE);
    while (!start && bytes / 2 >= bytes_min) {
        bytes = tv_align_up_u64(bytes / 2, TV_WASM_PAGE_BYTES);
        start = map_region(bytes, PROT_READ | PROT_WRITE);
    }
    if (!start) return false;
    arena->regions[arena->region_count++] = (extent){start, bytes};
    compact_give_back(arena, (extent){start, bytes});
    return true;
}

static uint8_t *compact_take(tv_arena *arena, uint64_t bytes) {
    for (int attempt = 0; attempt < 2; attempt++) {
        for (uint32_t i = 0; i < arena->free_count; i++) {
            extent *free_extent = &arena->free_extents[i];
            if (free_extent->bytes < bytes) continue;
            uint8_t *start = free_extent->start;
            free_extent->start += bytes;
            free_extent->bytes -= bytes;
            if (free_extent->bytes == 0) free_extent_remove(arena, i);
            return start;
        }
        if (attempt == 0 && !compact_add_region(arena, bytes)) return NULL;
    }
    return NULL;
}

// ---- life ---------------------------------------------------------------------------------------------------

tv_status tv_arena_new(tv_memory_mode mode, uint32_t memories_max, uint64_t committed_bytes_max, tv_arena **out,
                       tv_error *error) {
    tv_arena *arena = calloc(1, sizeof *arena);
    if (!arena) return tv_error_set(error, TV_NO_MEMORY, "no memory for the arena of linear memories");
    pthread_mutex_init(&arena->lock, NULL);
    arena->mode = mode;
    arena->memories_max = memories_max;
    arena->committed_bytes_max = committed_bytes_max;
    arena->growth_bytes_max = arena->soon_bytes_left = UINT64_MAX;
    arena->free_index = NO_INDEX;
    arena->memories = calloc(memories_max, sizeof *arena->memories);
    arena->free_extents = calloc((size_t)memories_max + REGIONS_MAX + 1, sizeof *arena->free_extents);
    tv_status status = TV_OK;
    if (!arena->memories || !arena->free_extents)
        status = tv_error_set(error, TV_NO_MEMORY, "no memory for the arena of linear memories");
    if (status == TV_OK && mode == TV_MEMORY_GUARD) status = reserve_slots(arena, error);
    // Two mappings more for each; with the slots' own two, three quarters of the system's maximum are used at most.
    arena->mapped_max = (uint32_t)(map_count_max() * 3 / 8) - (mode == TV_MEMORY_GUARD ? memories_max : 0);
    if (status != TV_OK) {
        tv_arena_free(arena);
        return status;
    }
    *out = arena;
    return TV_OK;
}

void tv_arena_free(tv_arena *arena) {
    if (!arena) return;
    TV_ASSERT(arena->stats.memories_now == 0);
    for (uint32_t i = 0; i < arena->region_count; i++) {
        munmap(arena->regions[i].start, arena->regions[i].bytes);
    }
    free(arena->memories);
    free(arena->free_extents);
    pthread_mutex_destroy(&arena->lock);
    free(arena);
}

// ---- memories -----------------------------------------------------------------------------------------------

static bool may_commit(const tv_arena *arena, uint64_t bytes) {
    return arena->committed_bytes_max == 0 || bytes <= arena->committed_bytes_max - arena->stats.committed_bytes_now;
}

static tv_memory *take_entry(tv_arena *arena) {
    if (arena->free_index != NO_INDEX) {
        tv_memory *memory = &arena->memories[arena->free_index];
        arena->free_index = memory->next_free;
        return memory;
    }
    if (arena->memories_made == arena->memories_max) return NULL;
    tv_memory *memory = &arena->memories[arena->memories_made];
    memory->index = arena->memories_made++;
    memory->arena = arena;
    return memory;
}

static void give_entry_back(tv_arena *arena, tv_memory *memory) {
    memory->next_free = arena->free_index;
    arena->free_index = memory->index;
}

static bool place(tv_arena *arena, tv_memory *memory, uint64_t initial_bytes) {
    if (arena->mode == TV_MEMORY_COMPACT) {
        memory->block_bytes = memory->budget_bytes ? memory->budget_bytes : TV_WASM_PAGE_BYTES;
        memory->base = compact_take(arena, memory->block_bytes);
        return memory->base != NULL;
    }
    memory->block_bytes = SLOT_BYTES;
    memory->base = arena->regions[0].start + TV_GUARD_BYTES + memory->index * SLOT_BYTES;
    return initial_bytes == 0 || mprotect(memory->base, initial_bytes, PROT_READ | PROT_WRITE) == 0;
}

static tv_status acquire_locked(tv_arena *arena, uint64_t initial_bytes, uint64_t budget_bytes, tv_memory **out,
                                tv_error *error) {
    char text[32];
    if (!may_commit(arena, initial_bytes))
        return tv_error_set(error, TV_LIMIT, "all components together may have %s of memory, which is in use",
                            tv_format_size(arena->committed_bytes_max, text));
    tv_memory *memory = take_entry(arena);
    if (!memory)
        return tv_error_set(error, TV_LIMIT, "there are %u linear memories already; raise limits.memories",
                            arena->memories_max);
    memory->budget_bytes = budget_bytes;
    if (!place(arena, memory, initial_bytes)) {
        give_entry_back(arena, memory);
        return tv_error_set(error, TV_NO_MEMORY, "the system has no address space for a linear memory of %s",
                            tv_format_size(budget_bytes, text));
    }
    atomic_store_explicit(&memory->size_bytes, initial_bytes, memory_order_relaxed);
    memory->grown_bytes = 0;
    memory->settled = false;
    arena->stats.memories_now++;
    arena->stats.memories_total++;
    arena->stats.committed_bytes_now += initial_bytes;
    arena->stats.reserved_bytes_now += memory->block_bytes;
    *out = memory;
    return TV_OK;
}

tv_status tv_arena_acquire(tv_arena *arena, uint64_t initial_bytes, uint64_t budget_bytes, tv_memory **out,
                           tv_error *error) {
    budget_bytes &= ~(TV_WASM_PAGE_BYTES - 1);
    if (budget_bytes > TV_MEMORY_BYTES_LIMIT) budget_bytes = TV_MEMORY_BYTES_LIMIT;
    if (initial_bytes > budget_bytes) {
        char initial[32], budget[32];
        return tv_error_set(error, TV_TOO_LARGE, "it begins with %s of memory, and its budget is %s",
                            tv_format_size(initial_bytes, initial), tv_format_size(budget_bytes, budget));
    }
    pthread_mutex_lock(&arena->lock);
    tv_status status = acquire_locked(arena, initial_bytes, budget_bytes, out, error);
    pthread_mutex_unlock(&arena->lock);
    return status;
}

// Zeroes by giving the pages back. If the system refuses (it may for locked pages), by hand.
static void zero_pages(uint8_t *start, uint64_t bytes) {
    if (bytes > 0 && madvise(start, bytes, MADV_DONTNEED) != 0) memset(start, 0, bytes);
}

// Puts pages of nobody's in place of those of a file; giving the latter back would bring the file's content again.
static void unmap_file(tv_memory *memory) {
    uint8_t *start = memory->base + memory->mapped_offset;
    if (memory->mapped_bytes == 0) return;
    void *at = mmap(start, memory->mapped_bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    TV_ASSERT(at == start); // it takes mappings away and adds none
    (void)madvise(start, memory->mapped_bytes, MADV_NOHUGEPAGE);
}

void tv_arena_release(tv_memory *memory) {
    tv_arena *arena = memory->arena;
    uint64_t size = tv_memory_size(memory);
    unmap_file(memory);
    zero_pages(memory->base, size);
    if (arena->mode == TV_MEMORY_GUARD && size > 0) {
        int failed = mprotect(memory->base, size, PROT_NONE);
        TV_ASSERT(!failed); // a slot left accessible would be no guard for its next owner
    }
    pthread_mutex_lock(&arena->lock);
    if (arena->mode == TV_MEMORY_COMPACT) compact_give_back(arena, (extent){memory->base, memory->block_bytes});
    arena->stats.memories_now--;
    arena->stats.committed_bytes_now -= size;
    arena->stats.grown_bytes_now -= memory->grown_bytes;
    arena->stats.reserved_bytes_now -= memory->block_bytes;
    if (memory->mapped_bytes) arena->mapped_now--;
    memory->mapped_bytes = 0;
    give_entry_back(arena, memory);
    pthread_mutex_unlock(&arena->lock);
}

// Whether the process has so much left, by what it had when somebody looked the last time.
static bool may_grow(tv_arena *arena, const tv_memory *memory, uint64_t bytes) {
    uint64_t grown = arena->stats.grown_bytes_now;
    bool fits = bytes <= arena->soon_bytes_left;
    if (memory->settled && arena->growth_bytes_max != UINT64_MAX)
        fits = fits && grown <= arena->growth_bytes_max && bytes <= arena->growth_bytes_max - grown;
    if (!fits) arena->stats.grow_limited_count++;
    return fits;
}

static void note_growth(tv_arena *arena, tv_memory *memory, uint64_t bytes) {
    arena->stats.committed_bytes_now += bytes;
    if (arena->soon_bytes_left != UINT64_MAX) arena->soon_bytes_left -= bytes;
    if (!memory->settled) return;
    memory->grown_bytes += bytes;
    arena->stats.grown_bytes_now += bytes;
}

static tv_status grow_locked(tv_arena *arena, tv_memory *memory, uint64_t size_bytes) {
    uint64_t old = tv_memory_size(memory);
    if (size_bytes < old || size_bytes > memory->budget_bytes || !may_commit(arena, size_bytes - old)) return TV_FULL;
    if (!may_grow(arena, memory, size_bytes - old)) return TV_FULL;
    if (arena->mode == TV_MEMORY_GUARD && mprotect(memory->base + old, size_bytes - old, PROT_READ | PROT_WRITE) != 0)
        return TV_FULL;
    atomic_store_explicit(&memory->size_bytes, size_bytes, memory_order_relaxed);
    note_growth(arena, memory, size_bytes - old);
    return TV_OK;
}

tv_status tv_memory_grow(tv_memory *memory, uint64_t size_bytes) {
    tv_arena *arena = memory->arena;
    pthread_mutex_lock(&arena->lock);
    tv_status status = grow_locked(arena, memory, size_bytes);
    if (status == TV_OK)
        arena->stats.grow_count++;
    else
        arena->stats.grow_refused_count++;
    pthread_mutex_unlock(&arena->lock);
    return status;
}

void tv_memory_settle(tv_memory *memory) {
    pthread_mutex_lock(&memory->arena->lock);
    memory->settled = true;
    pthread_mutex_unlock(&memory->arena->lock);
}

void tv_arena_limit_growth(tv_arena *arena, uint64_t total_bytes, uint64_t soon_bytes) {
    pthread_mutex_lock(&arena->lock);
    arena->growth_bytes_max = total_bytes;
    arena->soon_bytes_left = soon_bytes;
    pthread_mutex_unlock(&arena->lock);
}

uint64_t tv_memory_trim(tv_memory *memory, uint64_t offset, uint64_t length) {
    uint64_t size = tv_memory_size(memory);
    uint64_t end = offset + length < size ? offset + length : size;
    return offset < end ? tv_pages_give_back(memory->base + offset, end - offset) : 0;
}

tv_status tv_memory_map(tv_memory *memory, uint64_t offset, uint64_t bytes, int fd) {
    tv_arena *arena = memory->arena;
    TV_ASSERT(memory->mapped_bytes == 0);
    TV_ASSERT(offset + bytes <= tv_memory_size(memory));
    pthread_mutex_lock(&arena->lock);
    bool may = arena->mapped_now < arena->mapped_max;
    if (may) arena->mapped_now++;
    pthread_mutex_unlock(&arena->lock);
    if (!may) return TV_FULL;
    void *at =
        mmap(memory->base + offset, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, fd, 0);
    if (at != MAP_FAILED) {
        memory->mapped_offset = offset;
        memory->mapped_bytes = bytes;
        return TV_OK;
    }
    pthread_mutex_lock(&arena->lock);
    arena->mapped_now--;
    pthread_mutex_unlock(&arena->lock);
    return TV_FULL;
}

void tv_arena_get_stats(tv_arena *arena, tv_arena_stats *stats) {
    pthread_mutex_lock(&arena->lock);
    *stats = arena->stats;
    pthread_mutex_unlock(&arena->lock);
}
