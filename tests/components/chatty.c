// Test component: logs `lines` lines of 200 bytes (config) at every record and hands it on.
#include <torvyn/torvyn.h>

TV_COMPONENT("chatty", "1.0.0", "processor", 4096);

static int64_t lines;

TV_ON_INIT() {
    lines = tv_config_i64_in("lines", 10, 0, 1000000);
    return TV_OK;
}

TV_ON_RECORD(record) {
    char text[201];
    memset(text, '.', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int64_t i = 0; i < lines; i++)
        tv_log_info("%s", text);
    return tv_forward(record);
}
