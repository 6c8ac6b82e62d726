// anomaly-detector: marks readings that are out of the ordinary for their series (device and metric).
//
// Several methods at once: fixed range, rate of change, stuck value, EWMA z-score, and silence of a device. Each
// states how near a reading is to its threshold; the record gets the greatest score (0..1, 0.5 is the threshold), the
// method behind it, and the flag. One alert an incident: the next one only after `hold` without anomaly. State of at
// most `max_keys` series; the least recently used one makes room and is counted. Readings are passed on one by one,
// in order; nothing is held back. Readings of bad quality pass untouched: they neither alarm nor teach, but show that
// the device is there. What each method computes: detect.h.
#include <torvyn/torvyn.h>

#include "detect.h"
#include "key_table.h"
#include "reading.h"

TV_COMPONENT("anomaly-detector", "1.0.0", "processor", 512);

enum { RULES_MAX = 32, KEYS_DEFAULT = 4096, NAME_ROOM = READING_ID_BYTES_MAX + 1 };
enum { SET_BACK_READINGS = 16 }; // so many out of order in a row, and it is the clock that was set back

// A configured method and the series it is for.
typedef struct rule {
    uint8_t method;                            // enum reading_method
    char device[NAME_ROOM], metric[NAME_ROOM]; // "" = all; "press-*" = all that begin so
    detect_limits limits;
} rule;

typedef struct series {
    key_entry entry;
    detect_state state;
    const detect_limits *limits[METHOD_COUNT]; // NULL: this method is not for this series
    int64_t incident_until_ns;                 // armed again from here on
    int64_t heard_ns;                          // time of the latest reading, of whatever quality
    int64_t heard_mark_ns;                     // watermark when it came; INT64_MIN: none yet
    uint32_t out_of_order;                     // readings in a row
    bool silent;
} series;

static rule rules[RULES_MAX];
static uint32_t rule_count;
static uint8_t quality_unused = QUALITY_BAD; // readings from this quality on are not judged
static int64_t hold_ns, silence_scan_ns, next_scan_ns = INT64_MIN;
static int64_t mark_ns = INT64_MIN;       // the watermark
static int64_t clocks_set_ns = INT64_MIN; // where it went in one step that was no silence
static key_table table;
static uint32_t scan_next = UINT32_MAX; // entry the silence scan goes on with; UINT32_MAX: none under way
static int64_t scan_time_ns;

static struct {
    int32_t anomalies, alerts, keys_evicted, out_of_order, clocks_set_back, not_judged, methods[METHOD_COUNT];
} counters;

// ---- configuration ------------------------------------------------------------------------------------------

static const int64_t second_ns = 1000000000, minute_ns = 60000000000, day_ns = 86400000000000;

static void read_range(const char *at, detect_limits *limits) {
    static const char *const known[] = {"kind", "device", "metric", "min", "max", NULL};
    tv_config_keys(at, known);
    limits->min = tv_config_f64(tv_path("%s.min", at), -__DBL_MAX__);
    limits->max = tv_config_f64(tv_path("%s.max", at), __DBL_MAX__);
    if (limits->min > limits->max) tv_config_fail(tv_path("%s.min", at), "must not be above max");
}

static void read_rate(const char *at, detect_limits *limits) {
    static const char *const known[] = {"kind", "device", "metric", "max_per_second", "factor", "warm_up", NULL};
    tv_config_keys(at, known);
    limits->max_per_second = tv_config_f64_in(tv_path("%s.max_per_second", at), 0, 0, __DBL_MAX__);
    limits->factor = tv_config_f64_in(tv_path("%s.factor", at), 10, 1, 1e6);
    limits->warm_up = (uint32_t)tv_config_i64_in(tv_path("%s.warm_up", at), 60, 2, 1000000);
}

static void read_stuck(const char *at, detect_limits *limits) {
    static const char *const known[] = {"kind", "device", "metric", "for", "readings", "tolerance", "warm_up", NULL};
    tv_config_keys(at, known);
    limits->stuck_ns = tv_config_duration_ns(tv_path("%s.for", at), 10 * minute_ns, 1, 365 * day_ns);
    limits->stuck_readings = (uint32_t)tv_config_i64_in(tv_path("%s.readings", at), 30, 2, 1000000);
    limits->tolerance = tv_config_f64_in(tv_path("%s.tolerance", at), 0, 0, __DBL_MAX__);
    limits->warm_up = (uint32_t)tv_config_i64_in(tv_path("%s.warm_up", at), 60, 2, 1000000);
}

static void read_ewma(const char *at, detect_limits *limits) {
    static const char *const known[] = {"kind",      "device", "metric",  "alpha", "variance_alpha",
                                        "threshold", "trend",  "warm_up", NULL};
    tv_config_keys(at, known);
    limits->alpha = tv_config_f64_in(tv_path("%s.alpha", at), 0.02, 1e-6, 1);
    limits->variance_alpha = tv_config_f64_in(tv_path("%s.variance_alpha", at), 0.002, 1e-6, 1);
    double threshold = tv_config_f64_in(tv_path("%s.threshold", at), 6, 0.1, 1000);
    double trend = tv_config_f64_in(tv_path("%s.trend", at), 11, 0, 1000);
    limits->threshold_square = threshold * threshold;
    double spread = DETECT_RESIDUAL_WEIGHT / (2 - DETECT_RESIDUAL_WEIGHT);
    limits->trend_scale = trend > 0 ? threshold * threshold / (trend * trend * spread) : 0;
    limits->warm_up = (uint32_t)tv_config_i64_in(tv_path("%s.warm_up", at), 120, 2, 1000000);
}

static void read_silent(const char *at, detect_limits *limits) {
    static const char *const known[] = {"kind", "device", "metric", "after", "intervals", "warm_up", NULL};
    tv_config_keys(at, known);
    limits->silent_ns = tv_config_duration_ns(tv_path("%s.after", at), 5 * minute_ns, second_ns, 365 * day_ns);
    limits->intervals = tv_config_f64_in(tv_path("%s.intervals", at), 10, 0, 1e6);
    limits->warm_up = (uint32_t)tv_config_i64_in(tv_path("%s.warm_up", at), 60, 2, 1000000);
    int64_t scan_ns = limits->silent_ns / 8;
    if (silence_scan_ns == 0 || scan_ns < silence_scan_ns) silence_scan_ns = scan_ns;
}

static void (*const readers[METHOD_COUNT])(const char *at, detect_limits *limits) = {
    [METHOD_RANGE] = read_range, [METHOD_RATE] = read_rate,     [METHOD_STUCK] = read_stuck,
    [METHOD_EWMA] = read_ewma,   [METHOD_SILENT] = read_silent,
};

static void read_rule(uint32_t index) {
    char at[32];
    rule *r = &rules[index];
    tv_format(at, sizeof at, "methods.%u", index);
    if (!tv_config_has(tv_path("%s.kind", at))) {
        tv_config_fail(tv_path("%s.kind", at), "is missing: range, rate, stuck, ewma or silent");
        return;
    }
    r->method = (uint8_t)(METHOD_RANGE + tv_config_enum(tv_path("%s.kind", at), 0,
                                                        TV_CHOICES("range", "rate", "stuck", "ewma", "silent")));
    tv_config_string(tv_path("%s.device", at), "", r->device, sizeof r->device);
    tv_config_string(tv_path("%s.metric", at), "", r->metric, sizeof r->metric);
    readers[r->method](at, &r->limits);
}

// Without `methods`: range (finite numbers), rate, stuck and EWMA, each with its defaults.
static void read_rules(void) {
    rule_count = tv_config_length("methods", RULES_MAX);
    for (uint32_t i = 0; i < rule_count; i++)
        read_rule(i);
    if (rule_count > 0 || tv_config_has("methods")) return;
    for (uint32_t method = METHOD_RANGE; method <= METHOD_EWMA; method++) {
        rules[rule_count].method = (uint8_t)method;
        readers[method]("defaults", &rules[rule_count++].limits);
    }
}

TV_ON_INIT() {
    static const char *const known[] = {"methods", "hold", "max_keys", "uncertain", NULL};
    tv_config_keys("", known);
    read_rules();
    if (tv_config_enum("uncertain", 0, TV_CHOICES("good", "bad")) == 1) quality_unused = QUALITY_UNCERTAIN;
    hold_ns = tv_config_duration_ns("hold", 10 * minute_ns, 0, 365 * day_ns);
    uint32_t keys = (uint32_t)tv_config_i64_in("max_keys", KEYS_DEFAULT, 1, 1000000);
    if (!key_table_init(&table, keys, sizeof(series))) {
        return tv_config_fail("max_keys", "%u series of %u bytes do not fit into the memory budget", keys,
                              (uint32_t)sizeof(series));
    }
    counters.anomalies = tv_counter("anomalies");
    counters.alerts = tv_counter("alerts");
    counters.keys_evicted = tv_counter("keys_evicted");
    counters.out_of_order = tv_counter("out_of_order");
    counters.clocks_set_back = tv_counter("clocks_set_back");
    counters.not_judged = tv_counter("not_judged");
    for (uint32_t m = METHOD_RANGE; m < METHOD_COUNT; m++) {
        char name[32];
        tv_format(name, sizeof name, "anomalies_%s", reading_method_name(m));
        counters.methods[m] = tv_counter(name);
    }
    return TV_OK;
}

// ---- series -------------------------------------------------------------------------------------------------

static bool name_matches(const char *pattern, tv_string name) {
    tv_string wanted = tv_string_of(pattern);
    if (wanted.length == 0) return true;
    if (wanted.bytes[wanted.length - 1] != '*') return tv_string_equal(wanted, name);
    wanted.length--;
    return name.length >= wanted.length && memcmp(wanted.bytes, name.bytes, wanted.length) == 0;
}

// The first rule of each kind that names the series counts, so that special ones stand before general ones.
static void choose_rules(series *s, const reading *r) {
    for (uint32_t i = 0; i < rule_count; i++) {
        const rule *one = &rules[i];
        if (s->limits[one->method] != NULL) continue;
        if (!name_matches(one->device, reading_device(r)) || !name_matches(one->metric, reading_metric(r))) continue;
        s->limits[one->method] = &one->limits;
    }
}

static bool full_said;

static series *new_series(uint64_t key, const reading *r) {
    if (key_table_full(&table)) {
        if (!full_said)
            tv_log_warn("max_keys: more than %u series; those least recently used are learnt anew", table.capacity);
        full_said = true;
        key_table_remove(&table, key_table_victim(&table));
        tv_counter_add(counters.keys_evicted, 1);
    }
    series *s = (series *)(void *)key_table_insert(&table, key, r);
    choose_rules(s, r);
    s->incident_until_ns = INT64_MIN;
    detect_begin(&s->state);
    return s;
}

// ---- verdict ------------------------------------------------------------------------------------------------

// Marks the reading; the first of an incident becomes an alert.
static void mark(series *s, int64_t time_ns, reading *r) {
    r->flags |= READING_ANOMALY;
    tv_counter_add(counters.anomalies, 1);
    for (uint32_t m = METHOD_RANGE; m < METHOD_COUNT; m++) {
        if (r->methods >> m & 1) tv_counter_add(counters.methods[m], 1);
    }
    if (time_ns >= s->incident_until_ns) {
        r->flags |= READING_ALERT;
        tv_counter_add(counters.alerts, 1);
    }
    if (time_ns > INT64_MAX - hold_ns) return;
    if (time_ns + hold_ns > s->incident_until_ns) s->incident_until_ns = time_ns + hold_ns;
}

static void set_back(series *s, int64_t time_ns) {
    tv_counter_add(counters.clocks_set_back, 1);
    detect_set_back(&s->state, time_ns);
    s->incident_until_ns = INT64_MIN;
    s->out_of_order = 0;
}

// False if the methods that need the order cannot judge it.
static bool take_out_of_order(series *s, int64_t time_ns) {
    tv_counter_add(counters.out_of_order, 1);
    if (++s->out_of_order < SET_BACK_READINGS) return false;
    set_back(s, time_ns);
    return true;
}

static inline void judge(series *s, int64_t time_ns, reading *r) {
    detect_verdict verdict = detect_nothing();
    if (__builtin_expect(!__builtin_isfinite(r->value), 0) ||
        (__builtin_expect(time_ns < s->state.last_ns, 0) && !take_out_of_order(s, time_ns))) {
        detect_range(s->limits[METHOD_RANGE], r->value, &verdict);
    } else {
        s->out_of_order = 0;
        detect_value(&s->state, s->limits, time_ns, r->value, &verdict);
    }
    r->score = detect_score(&verdict);
    r->method = verdict.method;
    r->methods = verdict.methods;
    r->expected = (float)verdict.expected;
    if (__builtin_expect(verdict.methods != 0, 0)) mark(s, time_ns, r);
}

// The device is there, whatever it says.
static inline void hear(series *s, int64_t time_ns) {
    s->heard_ns = time_ns;
    s->heard_mark_ns = mark_ns;
    s->silent = false;
}

static inline void take_reading(const tv_record *record, reading *r) {
    series *s = (series *)(void *)key_table_find(&table, record->key, r);
    if (__builtin_expect(r->quality >= quality_unused, 0)) {
        tv_counter_add(counters.not_judged, 1);
        if (s != NULL) hear(s, record->event_time_ns);
        return;
    }
    if (s == NULL) s = new_series(record->key, r);
    hear(s, record->event_time_ns);
    judge(s, record->event_time_ns, r);
}

TV_ON_RECORD(record) {
    // Written where it lies: the batch is the component's until the call ends.
    reading *r = (reading *)(uintptr_t)reading_from(record);
    if (r == NULL) return tv_reject("not a reading (layout 1): %u bytes", record->payload_bytes);
    if ((r->flags & READING_NO_VALUE) == 0) take_reading(record, r);
    return tv_emit_at(0, record->event_time_ns, record->key, r, record->payload_bytes);
}

// ---- silence ------------------------------------------------------------------------------------------------

// When a series was last heard, by the stream's time. A series whose own clock is far from it is as old as the
// watermark that it was heard under.
static int64_t heard_at(const series *s) {
    int64_t heard_ns = s->heard_ns;
    if (s->heard_mark_ns != INT64_MIN && (heard_ns < s->heard_mark_ns || heard_ns > s->heard_mark_ns + day_ns)) {
        heard_ns = s->heard_mark_ns;
    }
    return heard_ns > clocks_set_ns ? heard_ns : clocks_set_ns;
}

static tv_result report_silence(series *s) {
    reading_buffer out = {.head = {.magic = READING_MAGIC,
                                   .flags = READING_NO_VALUE,
                                   .method = METHOD_SILENT,
                                   .methods = 1 << METHOD_SILENT,
                                   .device_bytes = s->entry.device_bytes,
                                   .metric_bytes = s->entry.metric_bytes,
                                   .value = s->state.last,
                                   .raw = s->state.last,
                                   .score = 1,
                                   .expected = (float)s->state.last}};
    reading_copy_words(out.words, s->entry.id, reading_id_bytes(&out.head));
    mark(s, scan_time_ns, &out.head);
    s->silent = true;
    return tv_emit_at(0, scan_time_ns, s->entry.key, &out, reading_bytes(&out.head));
}

// Looks through the series from scan_next on; stops while output waits.
static tv_result scan_silence(void) {
    for (; scan_next < table.top; scan_next++) {
        if (tv_pending() > 0) return TV_MORE;
        series *s = (series *)(void *)key_table_at(&table, scan_next);
        if (!s->entry.used || s->silent) continue;
        if (!detect_silence(&s->state, s->limits[METHOD_SILENT], heard_at(s), scan_time_ns)) continue;
        if (report_silence(s) == TV_FULL) return TV_MORE;
    }
    scan_next = UINT32_MAX;
    return TV_OK;
}

TV_ON_WATERMARK(time_ns) {
    const int64_t step_max_ns = 30 * day_ns;
    if (mark_ns != INT64_MIN && time_ns - mark_ns > step_max_ns) clocks_set_ns = time_ns;
    if (time_ns > mark_ns) mark_ns = time_ns;
    if (silence_scan_ns == 0 || time_ns < next_scan_ns) return TV_OK;
    next_scan_ns = time_ns + silence_scan_ns;
    scan_time_ns = time_ns;
    scan_next = 0;
    return scan_silence();
}

TV_ON_MORE() { return scan_next == UINT32_MAX ? TV_OK : scan_silence(); }
