// Test component: hands on every record after `turns` turns of an idle loop (config), so that queues fill in front;
// makes `start_turns` of them before it starts.
#include <torvyn/torvyn.h>

TV_COMPONENT("slow", "1.0.0", "processor", 4096);

static int64_t turns;

static void idle(int64_t count) {
    volatile int64_t turn = 0;
    while (turn < count)
        turn = turn + 1;
}

TV_ON_INIT() {
    idle(tv_config_i64_in("start_turns", 0, 0, INT64_MAX));
    turns = tv_config_i64_in("turns", 100000, 0, 1000000000);
    return TV_OK;
}

TV_ON_RECORD(record) {
    idle(turns);
    return tv_forward(record);
}
