// A bounded queue of lines: any thread puts one in, one thread takes them out, oldest first. No lock, no allocation,
// and nobody waits: a line that does not fit is counted, and the taker learns how many were lost where.
//
// A line lies behind a word with its length, which is zero until the line is whole; so a thread that is interrupted
// while it copies holds up the taker, never another thread that puts something in. What is taken is zeroed before the
// room is given back.
#ifndef TORVYN_BASE_LOG_RING_H
#define TORVYN_BASE_LOG_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TV_LOG_RING_BYTES = 64 << 10, TV_LOG_LINE_BYTES_MAX = 2048 };

// Zeroed before use. The counters run free; positions are masked on access.
typedef struct tv_log_ring {
    _Atomic uint64_t head;    // behind the newest line
    _Atomic uint64_t tail;    // the oldest line that was not taken
    _Atomic uint64_t lost;    // lines, since the last tv_log_ring_take_lost
    _Atomic uint64_t lost_at; // the head when the first of them was
    uint64_t words[TV_LOG_RING_BYTES / sizeof(uint64_t)];
} tv_log_ring;

// Any thread, signal handlers too. `length` is 1 to TV_LOG_LINE_BYTES_MAX. False: there is no room; nothing is counted.
bool tv_log_ring_put(tv_log_ring *ring, const char *bytes, size_t length);
// Any thread: a line was lost for want of room.
void tv_log_ring_count_lost(tv_log_ring *ring);

// The taker: the oldest line is copied to `line`; its length, or 0 if there is none that is whole.
size_t tv_log_ring_take(tv_log_ring *ring, char line[TV_LOG_LINE_BYTES_MAX]);
// The taker: how many lines were lost at this place, which is then behind it; 0 if it has not come there.
uint64_t tv_log_ring_take_lost(tv_log_ring *ring);
// The taker: whether tv_log_ring_take and tv_log_ring_take_lost would give nothing.
bool tv_log_ring_is_idle(const tv_log_ring *ring);
// Any thread: whether all that was put in has been taken, and all that was lost said.
bool tv_log_ring_is_empty(const tv_log_ring *ring);

#endif
