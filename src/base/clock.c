// The system's clocks and a virtual one for tests. The virtual clock's fields are accessed atomically, so that a test
// may move it while other threads read it.
#include "base/clock.h"

#include <time.h>

#include "base/assert.h"

static int64_t clock_read_ns(clockid_t id) {
    struct timespec now;
    int failed = clock_gettime(id, &now);
    TV_ASSERT(!failed);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t system_monotonic_ns(void *user) {
    (void)user;
    return clock_read_ns(CLOCK_MONOTONIC);
}

static int64_t system_realtime_ns(void *user) {
    (void)user;
    return clock_read_ns(CLOCK_REALTIME);
}

const tv_clock *tv_clock_system(void) {
    static const tv_clock clock = {.monotonic_ns = system_monotonic_ns, .realtime_ns = system_realtime_ns};
    return &clock;
}

int64_t tv_clock_thread_cpu_ns(const tv_clock *clock) {
    return clock->thread_cpu_ns ? clock->thread_cpu_ns(clock->user) : clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
}

static int64_t virtual_monotonic_ns(void *user) {
    return __atomic_load_n(&((tv_virtual_clock *)user)->monotonic_ns, __ATOMIC_ACQUIRE);
}

static int64_t virtual_realtime_ns(void *user) {
    return __atomic_load_n(&((tv_virtual_clock *)user)->realtime_ns, __ATOMIC_ACQUIRE);
}

void tv_virtual_clock_init(tv_virtual_clock *virtual_clock, int64_t realtime_ns) {
    *virtual_clock = (tv_virtual_clock){
        .clock = {virtual_monotonic_ns, virtual_realtime_ns, virtual_clock, NULL},
        .monotonic_ns = 0,
        .realtime_ns = realtime_ns,
    };
}

void tv_virtual_clock_advance(tv_virtual_clock *virtual_clock, int64_t by_ns) {
    TV_ASSERT(by_ns >= 0);
    int64_t monotonic_ns = tv_time_add_saturating(virtual_monotonic_ns(virtual_clock), by_ns);
    int64_t realtime_ns = tv_time_add_saturating(virtual_realtime_ns(virtual_clock), by_ns);
    __atomic_store_n(&virtual_clock->monotonic_ns, monotonic_ns, __ATOMIC_RELEASE);
    __atomic_store_n(&virtual_clock->realtime_ns, realtime_ns, __ATOMIC_RELEASE);
}

int64_t tv_time_add_saturating(int64_t a_ns, int64_t b_ns) {
    int64_t sum;
    if (!__builtin_add_overflow(a_ns, b_ns, &sum)) return sum;
    return b_ns > 0 ? INT64_MAX : INT64_MIN;
}
