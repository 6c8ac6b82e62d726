// Takes `turns` turns of an idle loop for each record (config), which the programs calibrate to microseconds; negative:
// loops for ever. Hands the record on unless `emit` is false.
#include <torvyn/torvyn.h>

TV_COMPONENT("work", "1.0.0", "processor", 4096);
TV_STATELESS();

static int64_t turns;
static bool emits;

TV_ON_INIT() {
    turns = tv_config_i64_in("turns", 0, -1, INT64_C(1000000000000));
    emits = tv_config_bool("emit", true);
    return TV_OK;
}

TV_ON_RECORD(record) {
    for (volatile int64_t turn = 0; turn != turns;)
        turn = turn + 1;
    return emits ? tv_forward(record) : TV_OK;
}
