// Test component: wants to know the time, which needs the grant `clock`; has two ports.
#include <torvyn/torvyn.h>

TV_COMPONENT("curious", "2.1.0", "router", 1024, "out,alerts");

TV_ON_RECORD(record) {
    int64_t now_ns = tv_clock_realtime_ns();
    return tv_forward_to(record, now_ns < 0 ? 1 : 0);
}
