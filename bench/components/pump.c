// A source without an input channel, for the figures of many flows: emits `count` records of `bytes` bytes as fast as
// they are taken (0: without end); with `every`, again after that time. Then it asks for nothing until the timer. With
// `spread` it begins at some moment within that time, so that thousands of flows do not all work at once.
#include <torvyn/torvyn.h>

enum { BYTES_MOST = 4096 };
TV_COMPONENT("pump", "1.0.0", "source", 4096);

typedef struct pump_state {
    int64_t sent;
    int64_t has_waited;
} pump_state;
TV_KEYED_STATE(pump_state, here, 16);

static uint8_t payload[BYTES_MOST];
static int64_t bytes, count, every_ns, spread_ns;

// Some moment within the spread: the first questions of thousands of flows come microseconds apart.
static int64_t some_delay_ns(void) {
    uint64_t mixed = (uint64_t)tv_clock_monotonic_ns() * UINT64_C(0x9e3779b97f4a7c15);
    return (int64_t)((mixed >> 20) % (uint64_t)spread_ns);
}

TV_ON_INIT() {
    bytes = tv_config_i64_in("bytes", 256, 8, BYTES_MOST);
    count = tv_config_i64_in("count", 0, 0, INT64_MAX);
    every_ns = tv_config_duration_ns("every", 0, 0, INT64_MAX);
    spread_ns = tv_config_duration_ns("spread", 0, 0, INT64_C(3600000000000));
    memset(payload, 'x', sizeof payload);
    return TV_OK;
}

TV_ON_TICK(now_ns) {
    (void)now_ns;
    if (every_ns) here->sent = 0;
    return TV_OK;
}

TV_ON_PULL(max) {
    enum { HOUR_S = 3600 };
    if (spread_ns && !here->has_waited) {
        here->has_waited = true;
        return tv_timer_set(some_delay_ns());
    }
    for (uint32_t i = 0; i < max; i++) {
        if (count && here->sent >= count) return tv_timer_set(every_ns ? every_ns : HOUR_S * INT64_C(1000000000));
        memcpy(payload, &here->sent, sizeof here->sent);
        if (tv_emit(0, payload, (uint32_t)bytes) != TV_OK) return TV_MORE;
        here->sent++;
    }
    return TV_MORE;
}
