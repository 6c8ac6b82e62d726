// Time as a seam: everything that asks for the time asks a tv_clock, so that tests drive a virtual one.
#ifndef TORVYN_BASE_CLOCK_H
#define TORVYN_BASE_CLOCK_H

#include <stdint.h>

typedef struct tv_clock {
    int64_t (*monotonic_ns)(void *user);
    int64_t (*realtime_ns)(void *user); // since the Unix epoch
    void *user;
    int64_t (*thread_cpu_ns)(void *user); // used by the calling thread; NULL: the system's
} tv_clock;

// The operating system's clocks (CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_THREAD_CPUTIME_ID).
const tv_clock *tv_clock_system(void);

// A clock that stands still until moved. CPU time stays the system's, unless a test sets `thread_cpu_ns`.
typedef struct tv_virtual_clock {
    tv_clock clock;
    int64_t monotonic_ns;
    int64_t realtime_ns;
} tv_virtual_clock;

// `virtual_clock` is the caller's and must not move in memory while in use.
void tv_virtual_clock_init(tv_virtual_clock *virtual_clock, int64_t realtime_ns);
void tv_virtual_clock_advance(tv_virtual_clock *virtual_clock, int64_t by_ns);

static inline int64_t tv_clock_monotonic_ns(const tv_clock *clock) { return clock->monotonic_ns(clock->user); }
static inline int64_t tv_clock_realtime_ns(const tv_clock *clock) { return clock->realtime_ns(clock->user); }
// CPU time of the calling thread. The system's costs half a microsecond.
int64_t tv_clock_thread_cpu_ns(const tv_clock *clock);

// a + b, staying at INT64_MAX instead of overflowing: for deadlines.
int64_t tv_time_add_saturating(int64_t a_ns, int64_t b_ns);

#endif
