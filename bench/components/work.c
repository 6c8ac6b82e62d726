// Takes `turns` turns of an idle loop for each record (config), which the programs calibrate to microseconds; negative:
// loops for ever. Hands the record on unless `emit` is false. `start_turns` of them before it starts; with `trap` it
// fails at each record.
#include <torvyn/torvyn.h>

TV_COMPONENT("work", "1.0.0", "processor", 4096);
TV_STATELESS();

static int64_t turns;
static bool emits, traps;

static void idle(int64_t count) {
    for (volatile int64_t turn = 0; turn != count;)
        turn = turn + 1;
}

TV_ON_INIT() {
    turns = tv_config_i64_in("turns", 0, -1, INT64_C(1000000000000));
    emits = tv_config_bool("emit", true);
    traps = tv_config_bool("trap", false);
    idle(tv_config_i64_in("start_turns", 0, 0, INT64_C(1000000000000)));
    return TV_OK;
}

TV_ON_RECORD(record) {
    idle(turns);
    if (traps) __builtin_trap();
    return emits ? tv_forward(record) : TV_OK;
}
