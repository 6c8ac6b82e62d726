// Positions are reserved by compare-and-exchange on the head; lengths are written last, by an atomic store.
#include "base/log_ring.h"

#include <string.h>

#include "base/assert.h"

enum { WORD_BYTES = sizeof(uint64_t) };

_Static_assert((TV_LOG_RING_BYTES & (TV_LOG_RING_BYTES - 1)) == 0, "positions are masked");

static uint64_t entry_bytes(size_t length) { return WORD_BYTES + (length + WORD_BYTES - 1) / WORD_BYTES * WORD_BYTES; }

static uint64_t *word_at(const tv_log_ring *ring, uint64_t position) {
    return (uint64_t *)&ring->words[position % TV_LOG_RING_BYTES / WORD_BYTES];
}

// The bytes from `position` on lie in one piece of *first bytes, and the rest at the beginning.
static char *bytes_at(const tv_log_ring *ring, uint64_t position, size_t length, size_t *first) {
    uint64_t offset = position % TV_LOG_RING_BYTES;
    uint64_t room = TV_LOG_RING_BYTES - offset;
    *first = length < room ? length : (size_t)room;
    return (char *)ring->words + offset;
}

bool tv_log_ring_put(tv_log_ring *ring, const char *bytes, size_t length) {
    TV_ASSERT(length > 0 && length <= TV_LOG_LINE_BYTES_MAX);
    uint64_t more = entry_bytes(length);
    uint64_t at = atomic_load(&ring->head);
    do {
        if (at + more - atomic_load(&ring->tail) > TV_LOG_RING_BYTES) return false;
    } while (!atomic_compare_exchange_weak(&ring->head, &at, at + more));
    size_t first;
    char *to = bytes_at(ring, at + WORD_BYTES, length, &first);
    memcpy(to, bytes, first);
    memcpy(ring->words, bytes + first, length - first);
    __atomic_store_n(word_at(ring, at), length, __ATOMIC_SEQ_CST);
    return true;
}

void tv_log_ring_count_lost(tv_log_ring *ring) {
    uint64_t at = atomic_load(&ring->head);
    if (atomic_fetch_add(&ring->lost, 1) == 0) atomic_store(&ring->lost_at, at);
}

static size_t length_of_oldest(const tv_log_ring *ring) {
    uint64_t at = atomic_load(&ring->tail);
    return at == atomic_load(&ring->head) ? 0 : __atomic_load_n(word_at(ring, at), __ATOMIC_SEQ_CST);
}

static void clear(tv_log_ring *ring, uint64_t position, size_t length) {
    size_t first;
    char *bytes = bytes_at(ring, position, length, &first);
    memset(bytes, 0, first);
    memset(ring->words, 0, length - first);
}

size_t tv_log_ring_take(tv_log_ring *ring, char line[TV_LOG_LINE_BYTES_MAX]) {
    size_t length = length_of_oldest(ring), first;
    if (length == 0) return 0;
    uint64_t at = atomic_load(&ring->tail);
    const char *from = bytes_at(ring, at + WORD_BYTES, length, &first);
    memcpy(line, from, first);
    memcpy(line + first, ring->words, length - first);
    clear(ring, at, entry_bytes(length));
    atomic_store(&ring->tail, at + entry_bytes(length));
    return length;
}

static bool has_reached_lost(const tv_log_ring *ring) {
    return atomic_load(&ring->lost) > 0 && atomic_load(&ring->tail) >= atomic_load(&ring->lost_at);
}

uint64_t tv_log_ring_take_lost(tv_log_ring *ring) {
    return has_reached_lost(ring) ? atomic_exchange(&ring->lost, 0) : 0;
}

bool tv_log_ring_is_idle(const tv_log_ring *ring) { return length_of_oldest(ring) == 0 && !has_reached_lost(ring); }

// It does not look at a length, which the taker may be about to zero.
bool tv_log_ring_is_empty(const tv_log_ring *ring) {
    return atomic_load(&ring->head) == atomic_load(&ring->tail) && atomic_load(&ring->lost) == 0;
}
