// For component_test: a source that pulls numbers out of nothing.
#include <torvyn/torvyn.h>

TV_COMPONENT("source", "0.1.0", "source", 16);

static int64_t next, last;

TV_ON_INIT() {
    last = tv_config_i64_in("last", 10, 1, 1000);
    return TV_OK;
}

TV_ON_PULL(max) {
    char text[TV_NUMBER_BYTES_MAX];
    for (uint32_t count = 0; count < max && next < last; count++) {
        if (tv_pending() > 0) return TV_MORE;
        tv_result result = tv_emit_at(0, next * 1000, 0, text, tv_write_i64(text, next));
        if (result != TV_OK) return result;
        next++;
    }
    if (next < last) return TV_MORE;
    tv_result result = tv_emit_watermark(next * 1000);
    return result == TV_OK ? TV_END : result;
}
