// Test component: wants to know the time, which needs the grant `clock`; has two ports; begins with more than 64 KiB
// of memory.
#include <torvyn/torvyn.h>

TV_COMPONENT("curious", "2.1.0", "router", 1024, "out,alerts");

static volatile uint8_t seen[100000];

TV_ON_RECORD(record) {
    seen[record->sequence % sizeof seen] = 1;
    int64_t now_ns = tv_clock_realtime_ns();
    return tv_forward_to(record, now_ns < 0 ? 1 : 0);
}
