// local-aggregator: reduces readings to one summary per series and window of event time, and lets alerts through.
//
// Windows close when the watermark passes their end, so results depend on the data alone. Readings behind a window that
// was sent are late: within `lateness` they are worked into a correction (the window is sent again with a revision);
// what is later is dead-lettered, goes to a port, or is dropped, by policy, and counted in any case. A series whose
// clock is behind the stream's, as far as it has sent nothing there, is not late: it goes on by its own clock. A series
// that falls silent without a watermark is closed by a timer. Alerts go out on their own port at once. At most
// `max_keys` series; the least recently used one is closed early for a new one. The arithmetic is in window.h.
#define TV_PENDING_BYTES(max_output) 262144u // a series that must make room may send many windows at once
#include <torvyn/torvyn.h>

#include "aggregator_config.h"
#include "json_text.h"
#include "key_table.h"
#include "reading.h"
#include "window.h"

TV_COMPONENT("local-aggregator", "1.0.0", "aggregator", 2048, "windows,alerts,late");
TV_OPTIONAL_PORTS("late");

enum { PORT_WINDOWS, PORT_ALERTS, PORT_LATE };
enum { RING_PANES_MAX = 512, TEXT_BYTES = 2048 };
enum { SET_BACK_READINGS = 16 };  // so many too late in a row, and it is the clock that was set back
#define NO_WINDOW (INT64_MIN / 4) // before all numbers of windows
// Why a window is sent.
typedef enum cause {
    CAUSE_WATERMARK,
    CAUSE_IDLE,
    CAUSE_EARLY,
    CAUSE_EVICTED,
    CAUSE_END,
    CAUSE_CORRECTION,
    CAUSE_OWN_CLOCK,
    CAUSE_SET_BACK,
} cause;
static const char *const cause_names[] = {"watermark", "idle",       "early",     "evicted",
                                          "end",       "correction", "own_clock", "clock_set_back"};

typedef struct series {
    key_entry entry;
    window_ring ring;
    pane *current;           // where the next reading most likely belongs; NULL: none yet
    int64_t current_from_ns; // its start
    int64_t current_ns;      // its length
    int64_t sent;            // newest window sent since the clock was last set back
    int64_t newest;          // own_clock: newest pane
    uint32_t seen;           // number of the tick at the last reading
    uint32_t too_late;       // readings in a row
    uint16_t part;           // how often its clock was set back
    bool own_clock;          // it is behind the stream: its own progress closes its windows, not the watermark
    bool correct;            // some window must be sent again
    reading_buffer who;      // identity, site, unit, tags
} series;

static key_table table;
static pane *all_panes;
static uint32_t ring_panes;
static int64_t watermark_ns = INT64_MIN;
static int64_t closed_everywhere = NO_WINDOW; // windows up to this number are behind the watermark
static bool corrections_due;
static uint32_t ticks;
static bool timer_set, full_said;
static char text[TEXT_BYTES];

// A walk over all series that may have to wait for room.
static struct {
    bool active;
    bool jumped; // the watermark went further than a ring of panes reaches
    cause cause;
    uint32_t next;
} walk;

static struct {
    int32_t windows, corrections, alerts, late_records, late_dropped, late_port, dropped_late;
    int32_t own_clock, clocks_set_back;
    int32_t keys_evicted, closed_idle, closed_early, lost;
} counters;

// ---- configuration ------------------------------------------------------------------------------------------

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
    static const char *const known[] = {"window", "lateness", "late",      "too_late", "idle",
                                        "digits", "max_keys", "uncertain", NULL};
    tv_config_keys("", known);
    read_window_config();
    read_late_config();
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
    counters.late_port = tv_counter("late_port");
    counters.dropped_late = tv_counter("dropped_late");
    counters.own_clock = tv_counter("own_clock");
    counters.clocks_set_back = tv_counter("clocks_set_back");
    counters.keys_evicted = tv_counter("keys_evicted");
    counters.closed_idle = tv_counter("closed_idle");
    counters.closed_early = tv_counter("closed_early");
    counters.lost = tv_counter("windows_lost");
    return TV_OK;
}

// ---- time to windows --------------------------------------------------------------------------------------

static int64_t pane_number(int64_t time_ns) { return window_pane_number(&config.times, time_ns); }

static int64_t pane_start_ns(int64_t number) { return window_pane_start_ns(&config.times, number); }

// The newest window that is no longer corrected.
static int64_t final_window(const series *s) {
    if (s->own_clock) return s->newest - 1 - config.lateness_panes;
    return watermark_ns == INT64_MIN ? NO_WINDOW : pane_number(watermark_ns - config.lateness_ns) - 1;
}

// ---- sending ------------------------------------------------------------------------------------------------

static uint32_t write_window(const series *s, const pane *total, uint32_t revision, cause why) {
    tv_json_writer json = tv_json_writer_of(text, sizeof text);
    int64_t end_ns = pane_start_ns(total->number + 1);
    tv_json_object(&json);
    tv_json_member_string(&json, "type", (tv_string){"window", 6});
    tv_json_member_time(&json, "start", pane_start_ns(total->number + 1 - config.panes_per_window));
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
    if (total->uncertain > 0) tv_json_member_i64(&json, "uncertain", total->uncertain);
    if (revision > 0) tv_json_member_i64(&json, "revision", revision);
    if (s->part > 0) tv_json_member_i64(&json, "part", s->part);
    if (why >= CAUSE_OWN_CLOCK || (why != CAUSE_WATERMARK && end_ns > watermark_ns)) {
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
    int64_t end_ns = pane_start_ns(number + 1);
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
        ring->closed = s->sent = number;
    }
    if (limit != INT64_MAX && ring->closed < limit) ring->closed = limit;
    return TV_OK;
}

// With `must` all of them, as close_windows does.
static tv_result send_corrections(series *s, bool must) {
    for (uint32_t i = 0; s->correct && i < ring_panes; i++) {
        pane *p = &s->ring.panes[i];
        if (!p->in_use || !p->correct) continue;
        if (!must && tv_pending() > 0) return TV_MORE;
        tv_result result = send_window(s, p->number, CAUSE_CORRECTION);
        if (result == TV_FULL && !must) return TV_MORE;
        if (result != TV_OK) tv_counter_add(counters.lost, 1);
        p->correct = false;
    }
    s->correct = false;
    return TV_OK;
}

// ---- walking over all series --------------------------------------------------------------------------------

static bool has_open(const series *s) { return window_next(&s->ring, config.panes_per_window) != INT64_MAX; }

// Whether the watermark is not for this series. Where it has jumped, a series far behind may be one whose clock is: it
// is closed by its own progress, or by the timer, unless it is heard at the stream's time again.
static bool is_elsewhere(series *s) {
    if (!s->own_clock && walk.jumped && s->newest < closed_everywhere - ring_panes) {
        s->own_clock = true;
        tv_counter_add(counters.own_clock, 1);
    }
    return s->own_clock;
}

static tv_result walk_one(series *s) {
    tv_result result = send_corrections(s, false);
    if (result != TV_OK || !has_open(s)) return result;
    if (walk.cause == CAUSE_WATERMARK && is_elsewhere(s)) return TV_OK;
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
    int64_t closed = pane_number(time_ns) - 1;
    if (time_ns > watermark_ns) watermark_ns = time_ns;
    if (closed <= closed_everywhere && !corrections_due) return TV_OK;
    walk.jumped = closed - closed_everywhere > ring_panes;
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
        if (!full_said)
            tv_log_warn("max_keys: more than %u series; those least recently used are closed early", table.capacity);
        full_said = true;
        series *victim = (series *)(void *)key_table_victim(&table);
        send_corrections(victim, true);
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
    s->sent = s->newest = NO_WINDOW;
    reading_copy(&s->who, r);
    return s;
}

// The series goes on by its own clock, behind the stream, with nothing sent from window `number` on.
static void take_own_clock(series *s, int64_t number) {
    s->ring.closed = number - 1 > s->sent ? number - 1 : s->sent;
    s->newest = number;
    if (!s->own_clock && number <= closed_everywhere) tv_counter_add(counters.own_clock, 1);
    s->own_clock = number <= closed_everywhere;
}

// The clock of the device went back: what it has sent before is another part.
static void begin_part(series *s) {
    if (s->part < UINT16_MAX) s->part++;
    tv_counter_add(counters.clocks_set_back, 1);
}

static void set_back(series *s, int64_t number) {
    send_corrections(s, true);
    close_windows(s, INT64_MAX, CAUSE_SET_BACK, true);
    memset(s->ring.panes, 0, ring_panes * sizeof(pane));
    s->current = NULL;
    s->sent = NO_WINDOW;
    s->too_late = 0;
    begin_part(s);
    take_own_clock(s, number);
}

// Windows that a reading behind `closed` belongs to are sent again.
static void mark_for_correction(series *s, int64_t number, int64_t last) {
    int64_t final = final_window(s);
    for (int64_t n = number; n <= last && n <= s->ring.closed; n++) {
        pane *p = n <= final ? NULL : window_pane_make(&s->ring, n);
        if (p != NULL) p->correct = s->correct = corrections_due = true;
    }
}

// Whether nothing but the series' own clock, ahead of the stream for a while, is what a reading is behind.
static bool was_ahead(const series *s, int64_t number, bool fits) {
    return number > closed_everywhere && (!fits || s->ring.closed - number >= ring_panes);
}

// A reading behind a window that was closed: true if it still counts.
static bool take_late(series *s, int64_t number) {
    int64_t last = number + config.panes_per_window - 1;
    bool is_final = last <= (config.late == LATE_CORRECT ? final_window(s) : s->ring.closed);
    const pane *place = window_place(&s->ring, number);
    bool fits = !place->in_use || place->number <= number;
    tv_counter_add(counters.late_records, 1);
    if (!is_final && fits && s->ring.closed - number < ring_panes) {
        if (place->in_use && place->number < number) send_corrections(s, true); // before it is overwritten
        if (config.late == LATE_CORRECT) mark_for_correction(s, number, last);
        s->too_late = 0;
        s->current = NULL; // its place may be taken
        return true;
    }
    if (last > s->sent) { // nothing of it was sent: it is not the reading that is late, but the device that is behind
        take_own_clock(s, number);
        return fits;
    }
    if (!was_ahead(s, number, fits) && ++s->too_late < SET_BACK_READINGS) return false;
    set_back(s, number);
    return true;
}

// Panes of a clock that was ahead lie where those for right times belong: their windows are sent as they are.
static void send_ahead(series *s, int64_t number) {
    window_ring *ring = &s->ring;
    int64_t closed = ring->closed, sent = s->sent;
    int64_t from = number + config.panes_per_window + config.lateness_panes + 1; // what it cannot be on time
    send_corrections(s, true);
    ring->closed = from - 1;
    close_windows(s, INT64_MAX, CAUSE_SET_BACK, true);
    ring->closed = closed;
    s->sent = sent;
    begin_part(s);
    s->current = NULL;
    for (uint32_t i = 0; i < ring_panes; i++) {
        if (ring->panes[i].number >= from) ring->panes[i].in_use = false;
    }
}

// Closes what a series has left behind, where the watermark does not: it is behind the stream, or far ahead of it.
static void close_by_progress(series *s, int64_t number) {
    int64_t limit = s->newest - 1 - config.lateness_panes;
    if (limit >= number) limit = number - 1; // its window is about to be filled
    if (s->own_clock) close_windows(s, limit, CAUSE_OWN_CLOCK, true);
    if (closed_everywhere == NO_WINDOW || number - closed_everywhere <= ring_panes) return;
    close_windows(s, limit, CAUSE_EARLY, true);
}

// Whether there is a place for a pane of an open window. What lies there is closed first; nothing is sent if there is
// none, since what a rejected record has sent is taken back.
static bool make_room(series *s, int64_t number) {
    pane *place = window_place(&s->ring, number);
    bool taken = place->in_use && place->number > number;
    if (taken && number <= closed_everywhere) {
        tv_counter_add(counters.late_records, 1);
        if (++s->too_late < SET_BACK_READINGS) return false;
        set_back(s, number);
        return true;
    }
    if (taken) send_ahead(s, number);
    close_by_progress(s, number);
    if (place->in_use && place->number < number) {
        send_corrections(s, true);
        close_windows(s, place->number + config.panes_per_window - 1, CAUSE_EARLY, true);
    }
    return true;
}

// A new pane for an open window; NULL if there is no place for it.
static pane *new_pane(series *s, int64_t number, const reading *r) {
    if (!make_room(s, number)) return NULL;
    reading_copy(&s->who, r); // site, unit and tags may have changed since the last one
    if (!timer_set && config.idle_ns > 0) timer_set = tv_timer_set(config.idle_ns / 2) == TV_OK;
    if (number > s->newest || s->newest - number >= ring_panes) s->newest = number;
    return window_pane_make(&s->ring, number);
}

// The pane for a reading that is not in the current one; NULL if it comes too late.
static pane *find_pane(series *s, int64_t time_ns, const reading *r) {
    int64_t number = pane_number(time_ns);
    if (number <= s->ring.closed) {
        if (!take_late(s, number)) return NULL;
        if (number <= s->ring.closed) return window_pane_make(&s->ring, number);
    }
    if (s->own_clock && number > closed_everywhere) s->own_clock = false; // has caught up
    pane *p = window_pane(&s->ring, number);
    if (p == NULL) p = new_pane(s, number, r);
    if (p == NULL || number <= s->ring.closed) return p;
    s->too_late = 0;
    s->current = p;
    s->current_from_ns = pane_start_ns(number);
    s->current_ns = pane_start_ns(number + 1) - s->current_from_ns;
    return p;
}

// A reading that no window takes. Where its alert has gone out, that is what is left of it.
static tv_result refuse_late(const tv_record *record, const reading *r) {
    bool told = (r->flags & READING_ALERT) != 0;
    if (config.too_late == LATE_PORT && !told) {
        tv_result result = tv_forward_to(record, PORT_LATE);
        if (result != TV_OK) return result;
        tv_counter_add(counters.late_port, 1);
    }
    tv_counter_add(counters.late_dropped, 1);
    if (config.too_late == LATE_DROP || told) tv_counter_add(counters.dropped_late, 1);
    if (config.too_late != LATE_DEAD_LETTER || told) return TV_OK;
    return tv_reject("late: its window was sent and is corrected no more");
}

static inline tv_result add_reading(series *s, const tv_record *record, const reading *r) {
    pane *p = s->current;
    int64_t time_ns = record->event_time_ns;
    uint64_t into_ns = (uint64_t)time_ns - (uint64_t)s->current_from_ns;
    if (p == NULL || into_ns >= (uint64_t)s->current_ns || p->number <= s->ring.closed) {
        p = find_pane(s, time_ns, r);
        if (p == NULL) return refuse_late(record, r);
    }
    if (__builtin_expect(r->quality >= config.quality_unused || !__builtin_isfinite(r->value), 0)) {
        p->bad++;
        return TV_OK;
    }
    p->uncertain += r->quality == QUALITY_UNCERTAIN;
    pane_add(p, time_ns, r->value, (r->flags & READING_ANOMALY) != 0);
    return TV_OK;
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
        if (r->flags & READING_EMPTY) {
            tv_json_member_raw(&json, "value", (tv_string){"null", 4});
        } else {
            put_number(&json, "value", r->value, config.digits);
        }
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
    return add_reading(s, record, r);
}
