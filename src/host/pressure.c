// Who has to wait when memory becomes scarce under limits.overcommit. A pure function of the figures; the host pauses.
#include "host/host.h"

#include <stddef.h>

// Shares of the limit in 1/1000. Between leaving and entering lies what pausing sources can be expected to change: what
// is under way is finished, and idle flows give their memory back.
typedef struct pressure_mark {
    uint32_t enter, leave;
} pressure_mark;

static const pressure_mark marks[TV_PRESSURE_COUNT] = {
    [TV_PRESSURE_NONE] = {0, 0},
    [TV_PRESSURE_BACKGROUND] = {850, 750},
    [TV_PRESSURE_NORMAL] = {920, 850},
    [TV_PRESSURE_HIGH] = {960, 900},
};

const char *tv_host_pressure_name(tv_host_pressure pressure) {
    static const char *const names[TV_PRESSURE_COUNT] = {"none", "background", "normal", "high"};
    return pressure < TV_PRESSURE_COUNT ? names[pressure] : "unknown";
}

// In 1/1000 of the limit, 0 without one.
static uint64_t share_of(const tv_host_memory_now *figures) {
    uint64_t used = figures->resident_bytes;
    if (!figures->limit_bytes || figures->limit_bytes == UINT64_MAX) return 0;
    if (used >= figures->limit_bytes) return 1000;
    return figures->limit_bytes >= 1000 ? used / (figures->limit_bytes / 1000) : used * 1000 / figures->limit_bytes;
}

tv_host_pressure tv_host_pressure_next(tv_host_pressure now, const tv_host_memory_now *figures) {
    uint64_t share = share_of(figures);
    for (unsigned next = TV_PRESSURE_COUNT - 1; next > (unsigned)now; next--)
        if (share >= marks[next].enter) return (tv_host_pressure)next;
    if (now != TV_PRESSURE_NONE && share < marks[now].leave) return (tv_host_pressure)(now - 1);
    return now;
}

bool tv_host_pressure_pauses(tv_host_pressure pressure, tv_class class) {
    switch (class) {
    case TV_CLASS_BACKGROUND: return pressure >= TV_PRESSURE_BACKGROUND;
    case TV_CLASS_NORMAL: return pressure >= TV_PRESSURE_NORMAL;
    case TV_CLASS_HIGH: return pressure >= TV_PRESSURE_HIGH;
    case TV_CLASS_CRITICAL:
    case TV_CLASS_COUNT: break;
    }
    return false;
}
