// The byte ring under every edge: whole records, contiguous, one producer and one consumer.
//
// Positions run free (modulo 2^32, which every capacity divides) and are masked on access. A record never wraps: where
// it does not fit before the end, a skip mark (four zero bytes, a size no record has) sends the reader to the next lap.
// The producer stages records, which nobody sees, and commits them; it can take staged ones back. Within a flow both
// ends are the same thread; in a channel they are two, which is why the shared positions are atomic. No allocation, no
// clock, no wake-ups.
#ifndef TORVYN_FLOW_RING_H
#define TORVYN_FLOW_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/pages.h"
#include "torvyn/abi.h"

typedef struct tv_ring {
    uint8_t *bytes;          // capacity_bytes, 8-byte aligned; the owner's
    uint32_t capacity_bytes; // a power of two
    uint32_t capacity_records;
    uint32_t staged;             // producer: byte position behind the newest staged record
    uint32_t staged_count;       // producer: records ever staged (and not taken back)
    _Atomic uint32_t bytes_peak; // producer: most bytes in use at a commit
    _Atomic uint32_t tail;       // committed
    _Atomic uint32_t head;       // consumed
    _Atomic uint32_t head_count;
} tv_ring;
_Static_assert(sizeof(tv_ring) == 40, "a ring is part of the state that every turn touches");

enum { TV_RING_BYTES_MAX = 1 << 30 }; // so that positions of 32 bits tell a full ring from an empty one

// The capacity a ring is made with for a wanted one: the next power of two.
static inline uint32_t tv_ring_capacity(uint32_t wanted_bytes) {
    uint32_t power = 64;
    while (power < wanted_bytes)
        power <<= 1;
    return power;
}

static inline void tv_ring_init(tv_ring *ring, uint8_t *bytes, uint32_t capacity_bytes, uint32_t capacity_records) {
    TV_ASSERT(capacity_bytes >= 64 && (capacity_bytes & (capacity_bytes - 1)) == 0);
    TV_ASSERT(capacity_bytes <= TV_RING_BYTES_MAX);
    TV_ASSERT(((uintptr_t)bytes & 7) == 0);
    memset(ring, 0, sizeof *ring);
    ring->bytes = bytes;
    ring->capacity_bytes = capacity_bytes;
    ring->capacity_records = capacity_records;
}

// ---- producer -----------------------------------------------------------------------------------------------

static inline bool tv_ring_has_room(const tv_ring *ring, uint32_t bytes) {
    uint32_t free_bytes =
        ring->capacity_bytes - (ring->staged - atomic_load_explicit(&ring->head, memory_order_acquire));
    uint32_t free_records =
        ring->capacity_records - (ring->staged_count - atomic_load_explicit(&ring->head_count, memory_order_relaxed));
    if (bytes > free_bytes || free_records == 0) return false;
    uint32_t to_end = ring->capacity_bytes - (ring->staged & (ring->capacity_bytes - 1));
    return bytes <= to_end || bytes <= free_bytes - to_end; // all that is free may lie before the end
}

// Bytes in use, staged ones included.
static inline uint32_t tv_ring_used_bytes(const tv_ring *ring) {
    return ring->staged - atomic_load_explicit(&ring->head, memory_order_relaxed);
}

static inline uint32_t tv_ring_used_records(const tv_ring *ring) {
    return ring->staged_count - atomic_load_explicit(&ring->head_count, memory_order_relaxed);
}

// Place for a record of `bytes` (a multiple of 8, at least 8), staged; NULL if there is no room.
static inline uint8_t *tv_ring_stage(tv_ring *ring, uint32_t bytes) {
    if (!tv_ring_has_room(ring, bytes)) return NULL;
    uint32_t offset = ring->staged & (ring->capacity_bytes - 1);
    uint32_t to_end = ring->capacity_bytes - offset;
    if (bytes > to_end) {
        memset(ring->bytes + offset, 0, sizeof(uint32_t));
        ring->staged += to_end;
        offset = 0;
    }
    ring->staged += bytes;
    ring->staged_count++;
    return ring->bytes + offset;
}

// The staged record at a position of the producer's (skipping the end of a lap, *position then moves on), or NULL
// where nothing more is staged.
static inline const tv_record *tv_ring_staged_record(const tv_ring *ring, uint32_t *position) {
    if (*position == ring->staged) return NULL;
    const tv_record *record = (const tv_record *)(const void *)(ring->bytes + (*position & (ring->capacity_bytes - 1)));
    if (record->size_bytes != 0) return record;
    *position = (*position + ring->capacity_bytes) & ~(ring->capacity_bytes - 1);
    return (const tv_record *)(const void *)ring->bytes;
}

// Takes back the newest `records` staged records, which begin at `position`.
static inline void tv_ring_roll_back(tv_ring *ring, uint32_t position, uint32_t records) {
    ring->staged = position;
    ring->staged_count -= records;
}

// Shows the consumer what is staged. Returns whether there was anything.
static inline bool tv_ring_commit(tv_ring *ring) {
    if (ring->staged == atomic_load_explicit(&ring->tail, memory_order_relaxed)) return false;
    uint32_t used = tv_ring_used_bytes(ring);
    if (used > atomic_load_explicit(&ring->bytes_peak, memory_order_relaxed))
        atomic_store_explicit(&ring->bytes_peak, used, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, ring->staged, memory_order_release);
    return true;
}

// ---- consumer -----------------------------------------------------------------------------------------------

static inline bool tv_ring_is_empty(const tv_ring *ring) {
    return atomic_load_explicit(&ring->tail, memory_order_acquire) ==
           atomic_load_explicit(&ring->head, memory_order_relaxed);
}

// Bytes the consumer has before it: committed ones only, what is staged is the producer's.
static inline uint32_t tv_ring_queued_bytes(const tv_ring *ring) {
    return atomic_load_explicit(&ring->tail, memory_order_acquire) -
           atomic_load_explicit(&ring->head, memory_order_relaxed);
}

// First of the records at the front that lie one behind the other, and the end of that run (a skip mark may come
// before it: see tv_ring_run_next). NULL if the ring is empty.
static inline const tv_record *tv_ring_front(tv_ring *ring, const uint8_t **run_end) {
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head == tail) return NULL;
    uint32_t mask = ring->capacity_bytes - 1;
    const tv_record *record = (const tv_record *)(const void *)(ring->bytes + (head & mask));
    if (record->size_bytes == 0) {
        head = (head + ring->capacity_bytes) & ~mask;
        atomic_store_explicit(&ring->head, head, memory_order_release);
        if (head == tail) return NULL;
        record = (const tv_record *)(const void *)ring->bytes;
    }
    uint32_t to_lap_end = ring->capacity_bytes - (head & mask);
    *run_end = (const uint8_t *)record + (tail - head < to_lap_end ? tail - head : to_lap_end);
    return record;
}

// The record behind `record` within the run, or NULL at its end.
static inline const tv_record *tv_ring_run_next(const tv_record *record, const uint8_t *run_end) {
    const uint8_t *next = (const uint8_t *)record + record->size_bytes;
    if (next >= run_end) return NULL;
    const tv_record *following = (const tv_record *)(const void *)next;
    return following->size_bytes == 0 ? NULL : following;
}

// Takes `records` records of together `bytes` from the front.
static inline void tv_ring_pop(tv_ring *ring, uint32_t records, uint32_t bytes) {
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint32_t count = atomic_load_explicit(&ring->head_count, memory_order_relaxed);
    TV_ASSERT(bytes <= atomic_load_explicit(&ring->tail, memory_order_relaxed) - head);
    atomic_store_explicit(&ring->head_count, count + records, memory_order_relaxed);
    atomic_store_explicit(&ring->head, head + bytes, memory_order_release);
}

// Both ends on this thread: an empty ring starts again at its first byte, so that a short queue stays in the cache.
static inline void tv_ring_rewind_if_empty(tv_ring *ring) {
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head != ring->staged || (head & (ring->capacity_bytes - 1)) == 0) return;
    uint32_t lap = (head + ring->capacity_bytes) & ~(ring->capacity_bytes - 1);
    ring->staged = lap;
    atomic_store_explicit(&ring->tail, lap, memory_order_relaxed);
    atomic_store_explicit(&ring->head, lap, memory_order_relaxed);
}

// What the memory of a ring takes: whole pages, of which no other ring has a part.
static inline size_t tv_ring_memory_bytes(uint32_t capacity_bytes) { return tv_pages_round(capacity_bytes); }

// Gives the pages of an empty ring back to the system; returns the bytes that were resident.
static inline uint64_t tv_ring_give_back(tv_ring *ring) {
    return tv_pages_give_back(ring->bytes, tv_ring_memory_bytes(ring->capacity_bytes));
}

// Counts the committed records by walking them: the independent check behind the conservation laws.
uint64_t tv_ring_count_records(const tv_ring *ring);

#endif
