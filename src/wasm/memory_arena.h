// The arena of linear memories: decides where they lie, how far each may grow, and counts.
//
// Two modes, one per arena. Guard: a slot of 4 GiB plus guard region for each memory, inaccessible beyond its size,
// so that compiled code needs no bounds checks; two mappings a memory. Compact: blocks of just the budget, side by
// side in large mappings, no guard pages, so that the number of memories does not meet vm.max_map_count; compiled
// code checks bounds itself. In both, a block that goes back is zeroed before anybody gets it again.
//
// Thread-safe. Knows nothing of the engine.
#ifndef TORVYN_WASM_MEMORY_ARENA_H
#define TORVYN_WASM_MEMORY_ARENA_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/status.h"
#include "wasm/wasm.h"

#define TV_WASM_PAGE_BYTES    (64ull << 10)
#define TV_MEMORY_BYTES_LIMIT (4ull << 30)  // of a 32-bit linear memory
#define TV_GUARD_BYTES        (32ull << 20) // behind each memory, and before the first

typedef struct tv_arena tv_arena;

// One linear memory. `base` never changes; `size_bytes` is what the guest can reach.
typedef struct tv_memory {
    uint8_t *base;
    _Atomic uint64_t size_bytes;
    uint64_t budget_bytes;
    uint64_t block_bytes; // address space it occupies
    tv_arena *arena;
    uint64_t grown_bytes; // since tv_memory_settle
    bool settled;
    uint64_t mapped_offset, mapped_bytes; // pages of a file (tv_memory_map); 0 bytes: none
    uint32_t next_free;
    uint32_t index;
} tv_memory;

// Errors: LIMIT (address space or map count), NO_MEMORY.
tv_status tv_arena_new(tv_memory_mode mode, uint32_t memories_max, uint64_t committed_bytes_max, tv_arena **out,
                       tv_error *error);
// Every memory must be released. NULL is allowed.
void tv_arena_free(tv_arena *arena);

// A zeroed memory of `initial_bytes` that may grow to `budget_bytes`. Errors: TOO_LARGE if it does not fit into its
// own budget, LIMIT if the arena's maximum is reached, NO_MEMORY.
tv_status tv_arena_acquire(tv_arena *arena, uint64_t initial_bytes, uint64_t budget_bytes, tv_memory **out,
                           tv_error *error);
void tv_arena_release(tv_memory *memory);
// FULL beyond the budget or the arena's maximum; counted either way.
tv_status tv_memory_grow(tv_memory *memory, uint64_t size_bytes);
// What it has grown by from here on counts as growth: it has what its component needs to begin with.
void tv_memory_settle(tv_memory *memory);
// All memories together may grow by `total_bytes` beyond what they have when they settle, and by `soon_bytes` from now
// until the next call, settled or not; UINT64_MAX: any amount. Beyond that growth is refused.
void tv_arena_limit_growth(tv_arena *arena, uint64_t total_bytes, uint64_t soon_bytes);
// Gives whole pages inside [offset, offset + length) back to the system; they read as zero afterwards.
// Returns the bytes that were resident.
uint64_t tv_memory_trim(tv_memory *memory, uint64_t offset, uint64_t length);

// Puts the first `bytes` of a file that does not change in place of the pages at `offset`, privately: what is written
// there stays in this memory. Whole pages, below the memory's size, once a memory. FULL: there are as many such
// memories as the system's maximum of mappings allows, or it refused; nothing has changed then.
tv_status tv_memory_map(tv_memory *memory, uint64_t offset, uint64_t bytes, int fd);

void tv_arena_get_stats(tv_arena *arena, tv_arena_stats *stats);

static inline uint64_t tv_memory_size(const tv_memory *memory) {
    return atomic_load_explicit(&memory->size_bytes, memory_order_relaxed);
}

#endif
