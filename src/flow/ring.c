// The ring's cold part: everything else is inline in ring.h.
#include "flow/ring.h"

uint64_t tv_ring_count_records(const tv_ring *ring) {
    uint32_t position = atomic_load_explicit(&ring->head, memory_order_acquire);
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    uint32_t mask = ring->capacity_bytes - 1;
    uint64_t count = 0;
    while (position != tail) {
        const tv_record *record = (const tv_record *)(const void *)(ring->bytes + (position & mask));
        if (record->size_bytes == 0) {
            position = (position + ring->capacity_bytes) & ~mask;
            continue;
        }
        TV_ASSERT(record->size_bytes <= tail - position);
        position += record->size_bytes;
        count++;
    }
    return count;
}
