// For component_test: sums up and tells at watermarks, ticks and the end; a thousand lines at the end, by TV_ON_MORE.
#include <torvyn/torvyn.h>

TV_COMPONENT("counter", "0.1.0", "aggregator", 128);

enum { LINES = 1000 };

static uint32_t seen, line;

static tv_result tell(const char *what, int64_t time) {
    char text[64];
    uint32_t length = tv_format(text, sizeof text, "%s %lld: %u", what, (long long)time, (unsigned)seen);
    return tv_emit_at(0, time, 5, text, length);
}

TV_ON_INIT() { return tv_timer_set(tv_config_duration_ns("interval", 1000000000, 1000000, INT64_MAX)); }

TV_ON_RECORD(record) {
    (void)record;
    seen++;
    return TV_OK;
}

TV_ON_WATERMARK(time_ns) { return tell("watermark", time_ns); }

TV_ON_TICK(now_ns) {
    (void)tv_timer_set(1000000000);
    return tell("tick", now_ns);
}

TV_ON_MORE() {
    while (line < LINES) {
        if (tv_pending() > 0) return TV_MORE;
        tv_result result = tell("line", line);
        if (result != TV_OK) return result;
        line++;
    }
    return TV_OK;
}

TV_ON_CLOSE() { return tv_author_more(); }
