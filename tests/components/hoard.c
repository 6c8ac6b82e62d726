// Test component: takes all the memory its budget allows when it starts and writes to every page of it, at most `take`
// bytes (config); then hands records on.
#include <torvyn/torvyn.h>

TV_COMPONENT("hoard", "1.0.0", "processor", 8192);

static volatile uint8_t sum;

TV_ON_INIT() {
    enum { PAGE = 4096, BLOCK = 65536 };
    int64_t most = tv_config_i64_in("take", INT64_MAX, 0, INT64_MAX);
    for (int64_t taken = 0; taken < most; taken += BLOCK) {
        volatile uint8_t *block = tv_allocate(BLOCK);
        if (!block) break;
        for (uint32_t at = 0; at < BLOCK; at += PAGE)
            block[at] = (uint8_t)(at + 1);
        sum = (uint8_t)(sum + block[0]);
    }
    return TV_OK;
}

TV_ON_RECORD(record) { return tv_forward(record); }
