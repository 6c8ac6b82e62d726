// A source without an input channel, for the figures of many flows: emits `count` records of `bytes` bytes as fast as
// they are taken (0: without end); with `every`, again after that time. Then it asks for nothing until the timer.
#include <torvyn/torvyn.h>

enum { BYTES_MOST = 4096 };
TV_COMPONENT("pump", "1.0.0", "source", 4096);

typedef struct pump_state {
    int64_t sent;
} pump_state;
TV_KEYED_STATE(pump_state, here, 8);

static uint8_t payload[BYTES_MOST];
static int64_t bytes, count, every_ns;

TV_ON_INIT() {
    bytes = tv_config_i64_in("bytes", 256, 8, BYTES_MOST);
    count = tv_config_i64_in("count", 0, 0, INT64_MAX);
    every_ns = tv_config_duration_ns("every", 0, 0, INT64_MAX);
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
    for (uint32_t i = 0; i < max; i++) {
        if (count && here->sent >= count) return tv_timer_set(every_ns ? every_ns : HOUR_S * INT64_C(1000000000));
        memcpy(payload, &here->sent, sizeof here->sent);
        if (tv_emit(0, payload, (uint32_t)bytes) != TV_OK) return TV_MORE;
        here->sent++;
    }
    return TV_MORE;
}
