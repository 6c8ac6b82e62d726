// Event time to panes and back: windows aligned to 1970 in UTC, moved by an offset, or to the clock of a zone.
//
// With a zone, panes are cut out of local time, so days have 23, 24 or 25 hours. An hour that comes twice is one pane;
// so panes must be whole hours there.
#ifndef GATEWAY_WINDOW_TIME_H
#define GATEWAY_WINDOW_TIME_H

#include "time_zone.h"
#include "window.h"

#define WINDOW_SECOND_NS 1000000000
#define WINDOW_HOUR_NS   (3600ll * WINDOW_SECOND_NS)

typedef struct window_times {
    int64_t slide_ns;
    int64_t offset_ns; // that windows begin later than at 1970
    time_zone zone;    // zone_fixed(0): UTC
} window_times;

static inline int64_t window_pane_number(window_times *times, int64_t time_ns) {
    int64_t local_s = zone_offset_at(&times->zone, floor_divide(time_ns, WINDOW_SECOND_NS));
    return floor_divide(time_ns + local_s * WINDOW_SECOND_NS - times->offset_ns, times->slide_ns);
}

static inline int64_t window_pane_start_ns(window_times *times, int64_t number) {
    bool doubtful;
    int64_t local_ns = number * times->slide_ns + times->offset_ns;
    int64_t seconds = floor_divide(local_ns, WINDOW_SECOND_NS);
    return zone_to_utc(&times->zone, seconds, &doubtful) * WINDOW_SECOND_NS + (local_ns - seconds * WINDOW_SECOND_NS);
}

#endif
