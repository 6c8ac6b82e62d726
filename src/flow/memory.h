// Live counters of the memory that flows and channels take, by kind; counted where it is had and where it is let go.
//
// One account belongs to a runtime and the channels of its flows; it must outlive them all. Guest memory is counted by
// the engine's arena (tv_engine_arena_stats); reports put both together. Any thread, no lock.
#ifndef TORVYN_FLOW_MEMORY_H
#define TORVYN_FLOW_MEMORY_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/status.h"

typedef enum tv_memory_kind {
    TV_MEMORY_STATE,    // heap: flows, channels, counters and their names, texts of failures, figures
    TV_MEMORY_QUEUES,   // rings between stages, as mapped
    TV_MEMORY_CHANNELS, // rings of channels, as mapped
    TV_MEMORY_KIND_COUNT
} tv_memory_kind;
const char *tv_memory_kind_name(tv_memory_kind kind); // "flow state"

// Zeroed before use.
typedef struct tv_memory_account {
    _Atomic uint64_t now_bytes[TV_MEMORY_KIND_COUNT];
    _Atomic uint64_t peak_bytes[TV_MEMORY_KIND_COUNT];
    _Atomic uint64_t trims, trimmed_bytes; // of flows gone idle; what was resident of it. Rings, arenas of guests
} tv_memory_account;

// A NULL account counts nothing.
void tv_memory_account_add(tv_memory_account *account, tv_memory_kind kind, uint64_t bytes);
void tv_memory_account_subtract(tv_memory_account *account, tv_memory_kind kind, uint64_t bytes);
// After everything was freed: INVALID with kind and bytes if something was not.
tv_status tv_memory_account_check_empty(const tv_memory_account *account, tv_error *error);

#endif
