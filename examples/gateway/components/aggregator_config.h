// What the aggregator is told: windows and their place in time, and what becomes of late readings.
#ifndef GATEWAY_AGGREGATOR_CONFIG_H
#define GATEWAY_AGGREGATOR_CONFIG_H

#include <torvyn/torvyn.h>

#include "reading.h"
#include "window_time.h"

// What becomes of readings behind a window that was sent, and of those that come too late for a correction.
typedef enum late_policy { LATE_DEAD_LETTER, LATE_PORT, LATE_DROP, LATE_CORRECT } late_policy;

static struct {
    int64_t size_ns, slide_ns, lateness_ns, idle_ns;
    window_times times;
    int64_t panes_per_window;
    int64_t lateness_panes;     // rounded up
    late_policy late, too_late; // too_late: of what LATE_CORRECT does not correct
    uint8_t quality_unused;     // readings from this quality on are counted, but not in the figures
    uint32_t digits;
} config;

static const int64_t second_ns = 1000000000, day_ns = 86400000000000;

// "-2h", "90m": a duration with a sign.
static int64_t read_offset(const char *path) {
    char written[32];
    int64_t offset_ns = 0;
    uint32_t length = tv_config_string(path, "0s", written, sizeof written);
    bool negative = written[0] == '-', is_signed = negative || written[0] == '+';
    tv_string duration = tv_string_trim((tv_string){written + is_signed, length - is_signed});
    const int64_t most_ns = 366 * 86400000000000;
    if (!tv_read_duration(duration, &offset_ns) || offset_ns < 0 || offset_ns > most_ns) {
        tv_config_fail(path, "expected a duration like -2h, 90m or 0s, at most 366d, found '%s'", written);
    }
    return negative ? -offset_ns : offset_ns;
}

static void read_zone(void) {
    char name[96];
    uint32_t length = tv_config_string("window.zone", "", name, sizeof name);
    config.times.zone = zone_fixed(0);
    if (length == 0) return;
    if (!zone_read((tv_string){name, length}, &config.times.zone)) {
        tv_config_fail("window.zone",
                       "expected a zone of the tz database like Europe/Berlin, or a rule like "
                       "CET-1CEST,M3.5.0,M10.5.0/3, found '%s'; a fixed offset is window.offset",
                       name);
    }
    if (config.slide_ns % WINDOW_HOUR_NS != 0) tv_config_fail("window.zone", "needs windows and slides of whole hours");
}

static void read_late_config(void) {
    static const late_policy lates[] = {LATE_CORRECT, LATE_DEAD_LETTER, LATE_PORT, LATE_DROP};
    config.lateness_ns = tv_config_duration_ns("lateness", 60 * second_ns, 0, 366 * day_ns);
    config.lateness_panes = (config.lateness_ns + config.slide_ns - 1) / config.slide_ns;
    config.late = lates[tv_config_enum("late", 0, TV_CHOICES("correct", "dead-letter", "port", "drop"))];
    config.too_late = lates[1 + tv_config_enum("too_late", 0, TV_CHOICES("dead-letter", "port", "drop"))];
    if (config.late == LATE_CORRECT) return;
    if (tv_config_has("too_late")) tv_config_fail("too_late", "is for `late: correct` only");
    config.too_late = config.late;
}

static void read_window_config(void) {
    static const char *const known[] = {"size", "slide", "offset", "zone", NULL};
    tv_config_keys("window", known);
    config.size_ns = tv_config_duration_ns("window.size", 60 * second_ns, 1000000, 366 * day_ns);
    config.slide_ns = tv_config_duration_ns("window.slide", config.size_ns, 1000000, 366 * day_ns);
    config.idle_ns = tv_config_duration_ns("idle", 60 * second_ns, 0, 366 * day_ns);
    config.digits = (uint32_t)tv_config_i64_in("digits", 7, 1, 15);
    if (config.slide_ns > config.size_ns || config.size_ns % config.slide_ns != 0) {
        tv_config_fail("window.slide", "must divide window.size without rest");
        config.slide_ns = config.size_ns;
    }
    config.panes_per_window = config.size_ns / config.slide_ns;
    config.times.slide_ns = config.slide_ns;
    config.times.offset_ns = read_offset("window.offset") % config.slide_ns;
    read_zone();
    bool uncertain_is_bad = tv_config_enum("uncertain", 0, TV_CHOICES("good", "bad")) == 1;
    config.quality_unused = uncertain_is_bad ? QUALITY_UNCERTAIN : QUALITY_BAD;
}

#endif
