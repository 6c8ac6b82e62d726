// Test component: hands on every record after `turns` turns of an idle loop (config), so that queues fill in front.
#include <torvyn/torvyn.h>

TV_COMPONENT("slow", "1.0.0", "processor", 4096);

static int64_t turns;

TV_ON_INIT() {
    turns = tv_config_i64_in("turns", 100000, 0, 1000000000);
    return TV_OK;
}

TV_ON_RECORD(record) {
    volatile int64_t turn = 0;
    while (turn < turns)
        turn = turn + 1;
    return tv_forward(record);
}
