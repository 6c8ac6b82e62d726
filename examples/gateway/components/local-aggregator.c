// local-aggregator: reduces readings to one summary per series and window of event time, and lets alerts through.
//
// Windows close when the watermark passes their end, so results depend on the data alone. Readings behind a closed
// window are late: counted, and within `lateness` either worked into a correction (the window is sent again with a
// revision) or dropped, by policy. A series that falls silent without a watermark is closed by a timer. Alerts go out
// on their own port at once. At most `max_keys` series; the least recently used one is closed early for a new one.
// The arithmetic is in window.h.
#define TV_PENDING_BYTES(max_output) 262144u // a series that must make room may send many windows at once
#include <torvyn/torvyn.h>

#include "json_text.h"
#include "key_table.h"
#include "reading.h"
#include "window.h"

TV_COMPONENT("local-aggregator", "1.0.0", "aggregator", 2048, "windows,alerts");

enum { PORT_WINDOWS, PORT_ALERTS };
enum { RING_PANES_MAX = 512, TEXT_BYTES = 2048 };
// Why a window is sent.
typedef enum cause { CAUSE_WATERMARK, CAUSE_IDLE, CAUSE_EARLY, CAUSE_EVICTED, CAUSE_END, CAUSE_CORRECTION } cause;
static const char *const cause_names[] = {"watermark", "idle", "early", "evicted", "end", "correction"};

typedef struct series {
    key_entry entry;
    window_ring ring;
    pane *current;           // where the next reading most likely belongs; NULL: none yet
    int64_t current_from_ns; // its start
    uint32_t seen;           // number of the tick at the last reading
    bool correct;            // some window must be sent again
    reading_buffer who;      // identity, site, unit, tags
} series;

static struct {
    int64_t size_ns, slide_ns, lateness_ns, idle_ns;
    int64_t panes_per_window;
    bool correct; // late readings become corrections
    uint32_t digits;
} config;

static key_table table;
static pane *all_panes;
static uint32_t ring_panes;
static int64_t watermark_ns = INT64_MIN;
static int64_t closed_everywhere = INT64_MIN / 4; // windows up to this number are closed for every series
static bool corrections_due;
static uint32_t ticks;
static bool timer_set;
static char text[TEXT_BYTES];

// A walk over all series that may have to wait for room.
static struct {
    bool active;
    cause cause;
    uint32_t next;
} walk;

static struct {
    int32_t windows, corrections, alerts, late_records, late_dropped, keys_evicted, closed_idle, closed_early, lost;
} counters;

// ---- configuration ------------------------------------------------------------------------------------------

static void read_window_config(void) {
    static const char *const known[] = {"size", "slide", NULL};
    const int64_t second_ns = 1000000000, day_ns = 86400 * second_ns;
    tv_config_keys("window", known);
    config.size_ns = tv_config_duration_ns("window.size", 60 * second_ns, 1000000, 366 * day_ns);
    config.slide_ns = tv_config_duration_ns("window.slide", config.size_ns, 1000000, 366 * day_ns);
    config.lateness_ns = tv_config_duration_ns("lateness", 60 * second_ns, 0, 366 * day_ns);
    config.idle_ns = tv_config_duration_ns("idle", 60 * second_ns, 0, 366 * day_ns);
    config.correct = tv_config_enum("late", 0, TV_CHOICES("correct", "drop")) == 0;
    config.digits = (uint32_t)tv_config_i64_in("digits", 7, 1, 15);
    if (config.slide_ns > config.size_ns || config.size_ns % config.slide_ns != 0) {
        tv_config_fail("window.slide", "must divide window.size without rest");
        config.slide_ns = config.size_ns;
    }
    config.panes_per_window = config.size_ns / config.slide_ns;
}

// Panes a series needs: those of an open window, those that may still be corrected, and some for disorder.
static bool choose_ring(void) {
    int64_t needed = config.panes_per_window + config.lateness_ns / config.slide_ns + 3;
    if (needed > RING_PANES_MAX) {
        tv_config_fail("window", "(size + lateness) / slide is above %d", RING_PANES_MAX - 3);
        return false;
    }
    for (ring_panes = 8; ring_panes < needed;)
        ring_panes *= 2;
    return true;
}

TV_ON_INIT() {
    static const char *const known[] = {"window", "lateness", "late", "idle", "digits", "max_keys", NULL};
    tv_config_keys("", known);
    read_window_config();
    uint32_t keys = (uint32_t)tv_config_i64_in("max_keys", 1024, 1, 1000000);
    if (!choose_ring()) return TV_FAILED;
    uint64_t panes = (uint64_t)keys * ring_panes;
    if (!key_table_init(&table, keys, sizeof(series)) || (all_panes = tv_allocate_array(pane, panes)) == NULL) {
        return tv_config_fail("max_keys", "%u series of %u bytes do not fit into the memory budget", keys,
                              (uint32_t)(sizeof(series) + ring_panes * sizeof(pane)));
    }
    counters.windows = tv_counter("windows");
    counters.corrections = tv_counter("corrections");
    counters.alerts = tv_counter("alerts");
    counters.late_records = tv_counter("late_records");
    counters.late_dropped = tv_counter("late_dropped");
    counters.keys_evicted = tv_counter("keys_evicted");
    counters.closed_idle = tv_counter("closed_idle");
    counters.closed_early = tv_counter("closed_early");
    counters.lost = tv_counter("windows_lost");
    return TV_OK;
}

// ---- sending ------------------------------------------------------------------------------------------------

static uint32_t write_window(const series *s, const pane *total, uint32_t revision, cause why) {
    tv_json_writer json = tv_json_writer_of(text, sizeof text);
    int64_t end_ns = (total->number + 1) * config.slide_ns;
    tv_json_object(&json);
    tv_json_member_string(&json, "type", (tv_string){"window", 6});
    tv_json_member_time(&json, "start", end_ns - config.size_ns);
    tv_json_member_time(&json, "end", end_ns);
    put_identity(&json, &s->who.head);
    tv_json_member_i64(&json, "count", total->count);
    if (total->count > 0) {
        put_number(&json, "min", total->min, config.digits);
        put_number(&json, "max", total->max, config.digits);
        put_number(&json, "mean", total->mean, config.digits);
        put_number(&json, "stddev", pane_deviation(total), config.digits);
        put_number(&json, "first", total->first, config.digits);
        put_number(&json, "last", total->last, config.digits);
    }
    tv_json_member_i64(&json, "anomalies", total->anomalies);
    if (total->bad > 0) tv_json_member_i64(&json, "bad", total->bad);
    if (revision > 0) tv_json_member_i64(&json, "revision", revision);
    if (why != CAUSE_WATERMARK && end_ns > watermark_ns) {
        tv_json_member_string(&json, "closed_by", tv_string_of(cause_names[why]));
    }
    put_tags(&json, &s->who.head);
    tv_json_object_end(&json);
    return json.full ? 0 : tv_json_length(&json);
}

// Sends the window of that number if it has readings.
static tv_result send_window(series *s, int64_t number, cause why) {
    pane total;
    if (!window_total(&s->ring, number, config.panes_per_window, &total)) return TV_OK;
    pane *own = window_pane_make(&s->ring, number);
    uint32_t revision = own == NULL ? 0 : own->revision;
    uint32_t bytes = write_window(s, &total, revision, why);
    int64_t end_ns = (number + 1) * config.slide_ns;
    tv_result result = tv_emit_at(PORT_WINDOWS, end_ns, s->entry.key, text, bytes);
    if (result != TV_OK) return result;
    if (own != NULL) {
        own->correct = false;
        if (own->revision < UINT16_MAX) own->revision++;
    }
    tv_counter_add(revision > 0 ? counters.corrections : counters.windows, 1);
    if (why == CAUSE_IDLE) tv_counter_add(counters.closed_idle, 1);
    if (why == CAUSE_EARLY || why == CAUSE_EVICTED) tv_counter_add(counters.closed_early, 1);
    return TV_OK;
}

// Sends what is open up to window `limit`. With `must`, all of it: what finds no room even in the pending buffer is
// counted as lost. Otherwise it stops (TV_MORE) while output waits, and goes on when called again.
static tv_result close_windows(series *s, int64_t limit, cause why, bool must) {
    window_ring *ring = &s->ring;
    for (;;) {
        int64_t number = window_next(ring, config.panes_per_window);
        if (number > limit || number == INT64_MAX) break;
        if (!must && tv_pending() > 0) return TV_MORE;
        tv_result result = send_window(s, number, why);
        if (result == TV_FULL && !must) return TV_MORE;
        if (result != TV_OK) tv_counter_add(counters.lost, 1);
        ring->closed = number;
    }
    if (limit != INT64_MAX && ring->closed < limit) ring->closed = limit;
    return TV_OK;
}

static tv_result send_corrections(series *s) {
    for (uint32_t i = 0; s->correct && i < ring_panes; i++) {
        pane *p = &s->ring.panes[i];
        if (!p->in_use || !p->correct) continue;
        if (tv_pending() > 0) return TV_MORE;
        tv_result result = send_window(s, p->number, CAUSE_CORRECTION);
        if (result == TV_FULL) return TV_MORE;
        if (result != TV_OK) tv_counter_add(counters.lost, 1);
        p->correct = false;
    }
    s->correct = false;
    return TV_OK;
}

// ---- walking over all series --------------------------------------------------------------------------------

static bool has_open(const series *s) { return window_next(&s->ring, config.panes_per_window) != INT64_MAX; }

static tv_result walk_one(series *s) {
    tv_result result = send_corrections(s);
    if (result != TV_OK || !has_open(s)) return result;
    if (walk.cause == CAUSE_WATERMARK) return close_windows(s, closed_everywhere, CAUSE_WATERMARK, false);
    if (walk.cause == CAUSE_IDLE && ticks - s->seen < 2) return TV_OK;
    return close_windows(s, INT64_MAX, walk.cause, false);
}

static tv_result walk_on(void) {
    for (; walk.next < table.top; walk.next++) {
        series *s = (series *)(void *)key_table_at(&table, walk.next);
        if (s->entry.used && walk_one(s) == TV_MORE) return TV_MORE;
    }
    walk.active = false;
    return TV_OK;
}

static tv_result walk_begin(cause why) {
    walk.active = true;
    walk.cause = why;
    walk.next = 0;
    corrections_due = false;
    return walk_on();
}

TV_ON_MORE() { return walk.active ? walk_on() : TV_OK; }

TV_ON_WATERMARK(time_ns) {
    int64_t closed = floor_divide(time_ns, config.slide_ns) - 1;
    if (time_ns > watermark_ns) watermark_ns = time_ns;
    if (closed <= closed_everywhere && !corrections_due) return TV_OK;
    if (closed > closed_everywhere) closed_everywhere = closed;
    return walk_begin(CAUSE_WATERMARK);
}

TV_ON_TICK(now_ns) {
    (void)now_ns;
    bool open = false;
    ticks++;
    timer_set = false;
    for (uint32_t i = 0; i < table.top && !open; i++) {
        const series *s = (const series *)(const void *)key_table_at(&table, i);
        open = s->entry.used && has_open(s);
    }
    if (!open) return TV_OK;
    timer_set = true;
    tv_timer_set(config.idle_ns / 2);
    return walk_begin(CAUSE_IDLE);
}

TV_ON_CLOSE() { return walk_begin(CAUSE_END); }

// ---- readings -----------------------------------------------------------------------------------------------

static series *new_series(uint64_t key, const reading *r) {
    if (key_table_full(&table)) {
        series *victim = (series *)(void *)key_table_victim(&table);
        close_windows(victim, INT64_MAX, CAUSE_EVICTED, true);
        key_table_remove(&table, &victim->entry);
        tv_counter_add(counters.keys_evicted, 1);
    }
    series *s = (series *)(void *)key_table_insert(&table, key, r);
    size_t number = (size_t)((uint8_t *)s - table.entries) / sizeof(series);
    s->ring.panes = all_panes + number * ring_panes;
    memset(s->ring.panes, 0, ring_panes * sizeof(pane));
    s->ring.mask = ring_panes - 1;
    s->ring.closed = closed_everywhere;
    reading_copy(&s->who, r);
    return s;
}

// A reading behind a window that was closed: true if it still counts.
static bool take_late(series *s, int64_t number) {
    int64_t last = number + config.panes_per_window - 1;
    int64_t reach_ns = watermark_ns == INT64_MIN ? INT64_MIN : watermark_ns - config.lateness_ns;
    tv_counter_add(counters.late_records, 1);
    bool dropped = config.correct ? (last + 1) * config.slide_ns <= reach_ns : last <= s->ring.closed;
    if (dropped || window_pane_make(&s->ring, number) == NULL) {
        tv_counter_add(counters.late_dropped, 1);
        return false;
    }
    if (!config.correct) return true;
    for (int64_t n = number; n <= last && n <= s->ring.closed; n++) {
        pane *p = window_pane_make(&s->ring, n);
        if (p == NULL || (n + 1) * config.slide_ns <= reach_ns) continue;
        p->correct = s->correct = corrections_due = true;
    }
    return true;
}

// A new pane for an open window. What lay in its place is closed first; NULL if that is newer (counted).
static pane *new_pane(series *s, int64_t number, const reading *r) {
    pane *place = window_place(&s->ring, number);
    if (place->in_use && place->number > number) {
        tv_counter_add(counters.late_records, 1);
        tv_counter_add(counters.late_dropped, 1);
        return NULL;
    }
    if (place->in_use) close_windows(s, place->number + config.panes_per_window - 1, CAUSE_EARLY, true);
    reading_copy(&s->who, r); // site, unit and tags may have changed since the last one
    if (!timer_set && config.idle_ns > 0) timer_set = tv_timer_set(config.idle_ns / 2) == TV_OK;
    return window_pane_make(&s->ring, number);
}

// The pane for a reading that is not in the current one; NULL if it comes too late.
static pane *find_pane(series *s, int64_t time_ns, const reading *r) {
    int64_t number = floor_divide(time_ns, config.slide_ns);
    if (number <= s->ring.closed) return take_late(s, number) ? window_pane(&s->ring, number) : NULL;
    pane *p = window_pane(&s->ring, number);
    if (p == NULL) p = new_pane(s, number, r);
    if (p == NULL || number <= s->ring.closed) return p;
    s->current = p;
    s->current_from_ns = number * config.slide_ns;
    return p;
}

static inline void add_reading(series *s, int64_t time_ns, const reading *r) {
    pane *p = s->current;
    uint64_t into_ns = (uint64_t)time_ns - (uint64_t)s->current_from_ns;
    if (p == NULL || into_ns >= (uint64_t)config.slide_ns || p->number <= s->ring.closed) {
        p = find_pane(s, time_ns, r);
        if (p == NULL) return;
    }
    if (r->quality == QUALITY_BAD) {
        p->bad++;
        return;
    }
    pane_add(p, time_ns, r->value, (r->flags & READING_ANOMALY) != 0);
}

static tv_result send_alert(const tv_record *record, const reading *r) {
    tv_json_writer json = tv_json_writer_of(text, sizeof text);
    tv_json_object(&json);
    tv_json_member_string(&json, "type", (tv_string){"alert", 5});
    tv_json_member_time(&json, "time", record->event_time_ns);
    put_identity(&json, r);
    put_verdict(&json, r);
    if (r->flags & READING_NO_VALUE) {
        put_number(&json, "last_value", r->value, config.digits);
    } else {
        put_number(&json, "value", r->value, config.digits);
        put_number(&json, "expected", (double)r->expected, config.digits);
    }
    put_tags(&json, r);
    tv_json_object_end(&json);
    tv_counter_add(counters.alerts, 1);
    return tv_emit_at(PORT_ALERTS, record->event_time_ns, record->key, text, tv_json_length(&json));
}

TV_ON_RECORD(record) {
    const reading *r = reading_from(record);
    if (r == NULL) return tv_reject("not a reading (layout 1): %u bytes", record->payload_bytes);
    if (!tv_has_event_time(record)) return tv_reject("the reading has no event time");
    if (__builtin_expect(r->flags & READING_ALERT, 0)) {
        tv_result result = send_alert(record, r);
        if (result != TV_OK) return result;
    }
    if (r->flags & READING_NO_VALUE) return TV_OK;
    series *s = (series *)(void *)key_table_find(&table, record->key, r);
    if (s == NULL) s = new_series(record->key, r);
    s->seen = ticks;
    add_reading(s, record->event_time_ns, r);
    return TV_OK;
}
