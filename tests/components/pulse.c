// Test component: a source without an input channel. Emits numbers, without end or up to `count` (config).
#include <torvyn/torvyn.h>

TV_COMPONENT("pulse", "1.0.0", "source", 64);

typedef struct pulse_state {
    int64_t next;
} pulse_state;
TV_KEYED_STATE(pulse_state, here, 8);

static int64_t count;

TV_ON_INIT() {
    here->next = 1;
    count = tv_config_i64_in("count", INT64_MAX, 1, INT64_MAX);
    return TV_OK;
}

TV_ON_PULL(max) {
    for (uint32_t i = 0; i < max; i++) {
        if (here->next > count) return TV_END;
        if (tv_emit(0, &here->next, sizeof here->next) != TV_OK) return TV_MORE;
        here->next++;
    }
    return TV_MORE;
}
