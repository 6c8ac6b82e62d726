// Adding and subtracting; a release of more than was had is a mistake of this module.
#include "flow/memory.h"

#include <inttypes.h>

#include "base/assert.h"

const char *tv_memory_kind_name(tv_memory_kind kind) {
    static const char *const names[TV_MEMORY_KIND_COUNT] = {"flow state", "queues", "queues of channels"};
    return kind < TV_MEMORY_KIND_COUNT ? names[kind] : "unknown";
}

void tv_memory_account_add(tv_memory_account *account, tv_memory_kind kind, uint64_t bytes) {
    if (!account || bytes == 0) return;
    uint64_t now = atomic_fetch_add_explicit(&account->now_bytes[kind], bytes, memory_order_relaxed) + bytes;
    uint64_t peak = atomic_load_explicit(&account->peak_bytes[kind], memory_order_relaxed);
    while (now > peak && !atomic_compare_exchange_weak_explicit(&account->peak_bytes[kind], &peak, now,
                                                                memory_order_relaxed, memory_order_relaxed))
        ;
}

void tv_memory_account_subtract(tv_memory_account *account, tv_memory_kind kind, uint64_t bytes) {
    if (!account || bytes == 0) return;
    uint64_t before = atomic_fetch_sub_explicit(&account->now_bytes[kind], bytes, memory_order_relaxed);
    TV_ASSERT(before >= bytes);
}

tv_status tv_memory_account_check_empty(const tv_memory_account *account, tv_error *error) {
    for (int kind = 0; kind < TV_MEMORY_KIND_COUNT; kind++) {
        uint64_t left = atomic_load(&account->now_bytes[kind]);
        if (left)
            return tv_error_set(error, TV_INVALID, "%s: %" PRIu64 " bytes were not released",
                                tv_memory_kind_name((tv_memory_kind)kind), left);
    }
    return TV_OK;
}
