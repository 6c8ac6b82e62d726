// local-aggregator: windows at their boundaries, lateness, sliding, idle keys, eviction, and a comparison with a simple
// model on random readings.
#include <math.h>
#include <stdlib.h>

#include "gateway_test.h"

static void assert_near(double a, double b, double tolerance) {
    if (!(fabs(a - b) <= tolerance)) fail_msg("%.17g is not %.17g", a, b);
}

static tv_harness *start(const char *lines) { return start_component("local-aggregator", lines); }

static void feed_at(tv_harness *h, double second, const char *device, double value) {
    feed_reading(h, T0_NS + (int64_t)(second * 1e9), device, value);
}

static void watermark_at(tv_harness *h, double second) {
    tv_harness_run(h);
    tv_harness_watermark(h, T0_NS + (int64_t)(second * 1e9));
}

static void tumbling_window_has_all_figures(void **state) {
    (void)state;
    tv_harness *h = start("window.size=60s");
    feed_at(h, 0, "d", 2); // the start belongs to the window
    feed_at(h, 10, "d", 4);
    feed_at(h, 5, "d", 9);
    feed_at(h, 59.999999999, "d", 5);
    feed_at(h, 60, "d", 100); // the end does not
    watermark_at(h, 59.9);
    assert_int_equal(tv_harness_output_count(h), 0);
    watermark_at(h, 60);
    assert_int_equal(tv_harness_output_count(h), 1);
    expect_text(h, 0, "type", "window");
    expect_text(h, 0, "start", "2026-03-01T00:00:00Z");
    expect_text(h, 0, "end", "2026-03-01T00:01:00Z");
    expect_text(h, 0, "device", "d");
    assert_true(number_of(h, 0, "count") == 4);
    assert_true(number_of(h, 0, "min") == 2);
    assert_true(number_of(h, 0, "max") == 9);
    assert_true(number_of(h, 0, "mean") == 5);
    assert_near(number_of(h, 0, "stddev"), sqrt(26.0 / 3), 1e-5);
    assert_true(number_of(h, 0, "first") == 2);
    assert_true(number_of(h, 0, "last") == 5);
    assert_int_equal(tv_harness_output_at(h, 0)->event_time_ns, T0_NS + MINUTE_NS);
    tv_harness_end(h);
    assert_int_equal(tv_harness_output_count(h), 2);
    expect_text(h, 1, "closed_by", "end");
    tv_harness_close(h);
}

static void sliding_windows_overlap(void **state) {
    (void)state;
    tv_harness *h = start("window.size=60s\nwindow.slide=20s");
    feed_at(h, 30, "d", 1);
    watermark_at(h, 39);
    assert_int_equal(tv_harness_output_count(h), 0);
    watermark_at(h, 40);
    watermark_at(h, 60);
    watermark_at(h, 80);
    watermark_at(h, 100);
    assert_int_equal(tv_harness_output_count(h), 3);
    expect_text(h, 0, "start", "2026-02-28T23:59:40Z");
    expect_text(h, 1, "start", "2026-03-01T00:00:00Z");
    expect_text(h, 2, "start", "2026-03-01T00:00:20Z");
    tv_harness_close(h);
}

static void late_reading_within_lateness_makes_a_correction(void **state) {
    (void)state;
    tv_harness *h = start("window.size=60s\nlateness=60s\nlate=correct");
    feed_at(h, 10, "d", 1);
    watermark_at(h, 70);
    feed_at(h, 20, "d", 3);
    watermark_at(h, 71);
    assert_int_equal(tv_harness_output_count(h), 2);
    assert_false(has_member(h, 0, "revision"));
    assert_true(number_of(h, 1, "revision") == 1);
    assert_true(number_of(h, 1, "count") == 2);
    assert_true(number_of(h, 1, "mean") == 2);
    watermark_at(h, 120); // the window's end plus lateness: too late from here on
    feed_at(h, 30, "d", 3);
    watermark_at(h, 121);
    assert_int_equal(tv_harness_output_count(h), 2);
    assert_int_equal(tv_harness_counter(h, "late_records"), 2);
    assert_int_equal(tv_harness_counter(h, "late_dropped"), 1);
    assert_int_equal(tv_harness_counter(h, "corrections"), 1);
    tv_harness_close(h);
}

static void late_readings_are_dropped_by_policy(void **state) {
    (void)state;
    tv_harness *h = start("window.size=60s\nwindow.slide=30s\nlateness=60s\nlate=drop");
    feed_at(h, 10, "d", 1);
    watermark_at(h, 30); // [-30, 30) is closed, [0, 60) is not
    feed_at(h, 20, "d", 3);
    watermark_at(h, 60);
    assert_int_equal(tv_harness_output_count(h), 2);
    assert_true(number_of(h, 1, "count") == 2);
    feed_at(h, 20, "d", 3);
    watermark_at(h, 90);
    assert_int_equal(tv_harness_counter(h, "late_records"), 2);
    assert_int_equal(tv_harness_counter(h, "late_dropped"), 1);
    assert_int_equal(tv_harness_counter(h, "dropped_late"), 1);
    assert_int_equal(tv_harness_output_count(h), 2);
    tv_harness_close(h);
}

static void late_first_reading_of_a_series_still_counts(void **state) {
    (void)state;
    tv_harness *h = start("window.size=60s\nlateness=60s");
    feed_at(h, 10, "a", 1);
    watermark_at(h, 70);
    feed_at(h, 20, "b", 5);
    watermark_at(h, 71);
    assert_int_equal(tv_harness_output_count(h), 2);
    expect_text(h, 1, "device", "b");
    assert_false(has_member(h, 1, "revision")); // nothing was sent for it before
    tv_harness_close(h);
}

static void alerts_pass_at_once_on_their_own_port(void **state) {
    (void)state;
    reading_buffer r;
    tv_harness *h = start("window.size=60s");
    uint64_t key = make_reading(&r, "d", "t", 7.5);
    r.head.flags = READING_ANOMALY | READING_ALERT;
    r.head.method = METHOD_EWMA;
    r.head.methods = 1 << METHOD_EWMA | 1 << METHOD_RATE;
    r.head.score = 0.75f;
    r.head.expected = 5;
    tv_harness_feed(h, T0_NS, key, &r, reading_bytes(&r.head));
    tv_harness_run(h);
    assert_int_equal(tv_harness_output_count(h), 1);
    assert_int_equal(tv_harness_output_at(h, 0)->port, 1);
    assert_string_equal(
        tv_harness_output_at(h, 0)->payload,
        "{\"type\":\"alert\",\"time\":\"2026-03-01T00:00:00Z\",\"device\":\"d\",\"metric\":\"t\","
        "\"method\":\"ewma\",\"methods\":[\"rate\",\"ewma\"],\"score\":0.75,\"value\":7.5,\"expected\":5}");
    watermark_at(h, 60);
    assert_true(number_of(h, 1, "anomalies") == 1);
    assert_int_equal(tv_harness_output_at(h, 1)->port, 0);
    tv_harness_close(h);
}

static void silence_is_an_alert_and_no_measurement(void **state) {
    (void)state;
    reading_buffer r;
    tv_harness *h = start("window.size=60s");
    uint64_t key = make_reading(&r, "d", "t", 7.5);
    r.head.flags = READING_NO_VALUE | READING_ANOMALY | READING_ALERT;
    r.head.method = METHOD_SILENT;
    tv_harness_feed(h, T0_NS, key, &r, reading_bytes(&r.head));
    tv_harness_end(h);
    assert_int_equal(tv_harness_output_count(h), 1);
    assert_true(number_of(h, 0, "last_value") == 7.5);
    assert_false(has_member(h, 0, "value"));
    tv_harness_close(h);
}

static void bad_quality_is_counted_and_left_out(void **state) {
    (void)state;
    reading_buffer r;
    tv_harness *h = start("window.size=60s");
    feed_at(h, 1, "d", 4);
    uint64_t key = make_reading(&r, "d", "t", 1e9);
    r.head.quality = QUALITY_BAD;
    tv_harness_feed(h, T0_NS + 2, key, &r, reading_bytes(&r.head));
    watermark_at(h, 60);
    assert_true(number_of(h, 0, "count") == 1);
    assert_true(number_of(h, 0, "bad") == 1);
    assert_true(number_of(h, 0, "max") == 4);
    tv_harness_close(h);
}

static void idle_series_are_closed_by_the_timer(void **state) {
    (void)state;
    tv_harness *h = start("window.size=60s\nidle=30s");
    feed_at(h, 10, "a", 1);
    feed_at(h, 10, "b", 1);
    tv_harness_run(h);
    assert_int_equal(tv_harness_timer(h), 15 * SECOND_NS);
    tv_harness_tick(h, 15 * SECOND_NS);
    feed_at(h, 11, "b", 1); // b goes on
    tv_harness_run(h);
    tv_harness_tick(h, 30 * SECOND_NS);
    assert_int_equal(tv_harness_output_count(h), 1);
    expect_text(h, 0, "device", "a");
    expect_text(h, 0, "closed_by", "idle");
    tv_harness_tick(h, 45 * SECOND_NS);
    assert_int_equal(tv_harness_output_count(h), 2);
    assert_int_equal(tv_harness_counter(h, "closed_idle"), 2);
    feed_at(h, 12, "a", 3); // back in the window that was closed: a correction
    watermark_at(h, 60);
    assert_int_equal(tv_harness_output_count(h), 3);
    assert_true(number_of(h, 2, "revision") == 1);
    assert_true(number_of(h, 2, "count") == 2);
    tv_harness_close(h);
}

static void a_full_table_closes_the_least_recently_used(void **state) {
    (void)state;
    tv_harness *h = start("window.size=60s\nmax_keys=2");
    feed_at(h, 1, "a", 1);
    feed_at(h, 1, "b", 1);
    feed_at(h, 1, "c", 1);
    tv_harness_run(h);
    assert_int_equal(tv_harness_output_count(h), 1);
    expect_text(h, 0, "closed_by", "evicted");
    assert_int_equal(tv_harness_counter(h, "keys_evicted"), 1);
    tv_harness_end(h);
    assert_int_equal(tv_harness_output_count(h), 3);
    tv_harness_close(h);
}

static void a_series_far_ahead_closes_its_old_windows(void **state) {
    (void)state;
    tv_harness *h = start("window.size=10s\nlateness=0s");
    for (int i = 0; i < 100; i++)
        feed_at(h, 10 * i, "d", i); // no watermark at all
    tv_harness_run(h);
    assert_in_range(tv_harness_output_count(h), 90, 99);
    expect_text(h, 0, "closed_by", "early");
    tv_harness_end(h);
    assert_int_equal(tv_harness_output_count(h), 100);
    for (size_t i = 0; i < 100; i++)
        assert_true(number_of(h, i, "first") == (double)i);
    tv_harness_close(h);
}

static void windows_before_1970_are_windows_too(void **state) {
    (void)state;
    tv_harness *h = start("window.size=60s");
    feed_reading(h, -1, "d", 1);
    feed_reading(h, 0, "d", 1);
    tv_harness_end(h);
    assert_int_equal(tv_harness_output_count(h), 2);
    expect_text(h, 0, "end", "1970-01-01T00:00:00Z");
    expect_text(h, 1, "start", "1970-01-01T00:00:00Z");
    tv_harness_close(h);
}

static void many_windows_wait_for_room(void **state) {
    (void)state;
    enum { DEVICES = 900 };
    char device[16];
    tv_harness *h = start("window.size=60s");
    tv_harness_room(h, 5);
    for (int i = 0; i < DEVICES; i++) {
        snprintf(device, sizeof device, "d%d", i);
        feed_at(h, 1, device, i);
    }
    watermark_at(h, 60);
    assert_int_equal(tv_harness_output_count(h), DEVICES);
    assert_int_equal(tv_harness_counter(h, "windows_lost"), 0);
    assert_true(tv_harness_resumes(h) > 0);
    tv_harness_close(h);
}

static uint64_t next_random(uint64_t *seed) {
    uint64_t z = (*seed += 0x9e3779b97f4a7c15ull);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

// ---- late readings ------------------------------------------------------------------------------------------

// One reading that is behind its window, sent and final.
static tv_harness *with_a_late_reading(const char *lines) {
    tv_harness *h = start(lines);
    feed_at(h, 10, "d", 1);
    watermark_at(h, 60);
    watermark_at(h, 120);
    tv_harness_clear(h);
    feed_at(h, 20, "d", 3);
    tv_harness_run(h);
    assert_int_equal(tv_harness_counter(h, "late_records"), 1);
    assert_int_equal(tv_harness_counter(h, "late_dropped"), 1);
    return h;
}

static void too_late_readings_are_dead_letters_unless_told_otherwise(void **state) {
    (void)state;
    static const char *const dead[] = {"window.size=60s", "late=dead-letter", "late=correct\ntoo_late=dead-letter"};
    for (size_t i = 0; i < 3; i++) {
        tv_harness *h = with_a_late_reading(dead[i]);
        assert_int_equal(tv_harness_reject_count(h), 1);
        assert_string_equal(tv_harness_reject_at(h, 0)->reason, "late: its window was sent and is corrected no more");
        assert_int_equal(tv_harness_output_count(h), 0);
        tv_harness_close(h);
    }
}

static void too_late_readings_go_to_their_port_as_they_came(void **state) {
    (void)state;
    static const char *const port[] = {"late=port", "too_late=port"};
    for (size_t i = 0; i < 2; i++) {
        tv_harness *h = with_a_late_reading(port[i]);
        assert_int_equal(tv_harness_reject_count(h), 0);
        assert_int_equal(tv_harness_output_count(h), 1);
        assert_int_equal(tv_harness_output_at(h, 0)->port, 2);
        assert_int_equal(tv_harness_output_at(h, 0)->event_time_ns, T0_NS + 20 * SECOND_NS);
        assert_true(reading_at(h, 0)->value == 3);
        assert_int_equal(tv_harness_counter(h, "late_port"), 1);
        tv_harness_close(h);
    }
}

static void a_late_reading_keeps_its_alert(void **state) {
    (void)state;
    reading_buffer r;
    tv_harness *h = start("window.size=60s");
    feed_at(h, 10, "d", 1);
    watermark_at(h, 120);
    tv_harness_clear(h);
    uint64_t key = make_reading(&r, "d", "t", 7.5);
    r.head.flags = READING_ANOMALY | READING_ALERT;
    tv_harness_feed(h, T0_NS, key, &r, reading_bytes(&r.head));
    tv_harness_run(h);
    assert_int_equal(tv_harness_output_count(h), 1);
    assert_int_equal(tv_harness_output_at(h, 0)->port, 1);
    assert_int_equal(tv_harness_reject_count(h), 0);
    assert_int_equal(tv_harness_counter(h, "late_dropped"), 1);
    tv_harness_close(h);
}

// ---- clocks -------------------------------------------------------------------------------------------------

#define YEAR_S (366.0 * 86400)

// Readings in the windows of a device, each window as it was sent last.
static unsigned counted(tv_harness *h, const char *device) {
    enum { WINDOWS_MAX = 2000 };
    static struct {
        int64_t end_ns;
        uint64_t part, count;
    } windows[WINDOWS_MAX];
    unsigned count = 0, sum = 0;
    for (size_t i = 0; i < tv_harness_output_count(h); i++) {
        if (tv_harness_output_at(h, i)->port != 0) continue;
        yyjson_doc *document = json_at(h, i);
        yyjson_val *root = yyjson_doc_get_root(document);
        if (strcmp(yyjson_get_str(yyjson_obj_get(root, "device")), device) == 0) {
            int64_t end_ns = tv_harness_output_at(h, i)->event_time_ns;
            uint64_t part = yyjson_get_uint(yyjson_obj_get(root, "part"));
            unsigned place = 0;
            while (place < count && (windows[place].end_ns != end_ns || windows[place].part != part))
                place++;
            assert_true(place < WINDOWS_MAX);
            if (place == count) count++;
            windows[place].end_ns = end_ns;
            windows[place].part = part;
            windows[place].count = yyjson_get_uint(yyjson_obj_get(root, "count"));
        }
        yyjson_doc_free(document);
    }
    for (unsigned i = 0; i < count; i++)
        sum += (unsigned)windows[i].count;
    return sum;
}

// Feeds devices whose clocks are so many seconds off, every ten seconds for two hours, with the right watermark.
static tv_harness *feed_clocks(const char *lines, const double *off, unsigned count) {
    static const char *const devices[] = {"a", "b", "c"};
    tv_harness *h = start(lines);
    for (int i = 0; i < 720; i++) {
        for (unsigned d = 0; d < count; d++)
            feed_at(h, 10 * i + off[d], devices[d], i);
        watermark_at(h, 10 * i - 5);
    }
    return h;
}

static void no_clock_loses_readings(void **state) {
    (void)state;
    static const double since_1970 = -1772323200.0;
    static const double clocks[][3] = {
        {0, since_1970, 0}, {0, since_1970, since_1970}, {0, YEAR_S, 0}, {0, YEAR_S, since_1970}, {0, -3600, 0},
        {0, 3600, -7},      {since_1970, 0, YEAR_S}};
    static const char *const shapes[] = {"",
                                         "window.size=5m",
                                         "window.size=60s\nwindow.slide=20s\nlateness=0s",
                                         "late=drop",
                                         "window.size=1d\nwindow.offset=-2h",
                                         "lateness=10m"};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
            tv_harness *h = feed_clocks(shapes[s], clocks[i], 3);
            tv_harness_end(h);
            unsigned times = s == 2 ? 3 : 1; // windows that overlap
            for (unsigned d = 0; d < 3; d++) {
                const char device[] = {(char)('a' + d), 0};
                if (counted(h, device) != 720 * times) {
                    fail_msg("shape %zu, clocks %zu: %u of %s", s, i, counted(h, device), device);
                }
            }
            assert_int_equal(tv_harness_counter(h, "late_dropped"), 0);
            assert_int_equal(tv_harness_counter(h, "windows_lost"), 0);
            tv_harness_close(h);
        }
    }
}

static void windows_of_a_wrong_clock_do_not_wait_for_the_end(void **state) {
    (void)state;
    static const double clocks[] = {0, -1772323200.0, YEAR_S};
    tv_harness *h = feed_clocks("window.size=5m", clocks, 3);
    assert_int_equal(counted(h, "a"), 23 * 30);
    assert_in_range(counted(h, "b"), 20 * 30, 23 * 30);
    assert_in_range(counted(h, "c"), 14 * 30, 23 * 30);
    const char *own = "\"device\":\"b\"", *early = "\"device\":\"c\"";
    for (size_t i = 0; i < tv_harness_output_count(h); i++) {
        const char *window = (const char *)tv_harness_output_at(h, i)->payload;
        if (strstr(window, own) != NULL) expect_text(h, i, "closed_by", "own_clock");
        if (strstr(window, early) != NULL) expect_text(h, i, "closed_by", "early");
    }
    tv_harness_close(h);
}

static void a_backlog_of_a_device_is_not_late(void **state) {
    (void)state;
    tv_harness *h = start("window.size=5m\nlateness=10m");
    for (int i = 0; i < 240; i++) {
        feed_at(h, 60 * i, "live", i);
        watermark_at(h, 60 * i - 5);
    }
    for (int i = 0; i < 240; i++)
        feed_at(h, 60 * i, "backlog", i);
    tv_harness_end(h);
    assert_int_equal(counted(h, "live"), 240);
    assert_int_equal(counted(h, "backlog"), 240);
    assert_int_equal(tv_harness_counter(h, "own_clock"), 1);
    tv_harness_close(h);
}

// Steps of one device's clock among others that are right: all but a few readings come in windows, those few are said.
static void a_clock_that_steps_loses_next_to_nothing(void **state) {
    (void)state;
    static const struct {
        int from, to; // readings, one each 10 s
        double step_s;
        int lost_max;
    } steps[] = {{200, 201, YEAR_S, 0},      {200, 210, YEAR_S, 0}, {200, 400, YEAR_S, 0}, {200, 201, 1200, 0},
                 {200, 400, 1200, 15},       {200, 720, -3600, 15}, {200, 400, -3600, 15}, {200, 400, -1e9, 15},
                 {0, 200, -1772323200.0, 0}, {0, 1, YEAR_S, 0},     {0, 200, YEAR_S, 0},   {200, 201, -1e9, 1}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        tv_harness *h = start("window.size=60s");
        for (int k = 0; k < 720; k++) {
            bool is_off = k >= steps[i].from && k < steps[i].to;
            feed_at(h, 10 * k + (is_off ? steps[i].step_s : 0), "d", k);
            feed_at(h, 10 * k, "other", k);
            watermark_at(h, 10 * k - 5);
        }
        tv_harness_end(h);
        int late = (int)tv_harness_counter(h, "late_dropped");
        unsigned found = counted(h, "d");
        if (found + (unsigned)late != 720 || late > steps[i].lost_max) {
            fail_msg("step %zu: %u counted, %d late", i, found, late);
        }
        assert_int_equal((int)tv_harness_reject_count(h), late);
        assert_int_equal(counted(h, "other"), 720);
        tv_harness_close(h);
    }
}

static void a_clock_that_was_set_back_begins_a_part(void **state) {
    (void)state;
    tv_harness *h = start("window.size=60s");
    for (int i = 0; i < 60; i++) {
        feed_at(h, 10 * i, "d", i);
        watermark_at(h, 10 * i);
    }
    tv_harness_clear(h);
    for (int i = 0; i < 60; i++)
        feed_at(h, 10 * i, "d", i);
    tv_harness_run(h);
    assert_int_equal(tv_harness_counter(h, "late_dropped"), 15);
    assert_int_equal(tv_harness_counter(h, "clocks_set_back"), 1);
    expect_text(h, 0, "closed_by", "clock_set_back"); // what was open
    tv_harness_end(h);
    assert_true(number_of(h, 1, "part") == 1);
    assert_int_equal(counted(h, "d"), 6 + 45);
    tv_harness_close(h);
}

// Clocks that step at random, and a watermark that now and then does: every reading is in the windows, or counted as
// late.
static void readings_are_counted_whatever_the_clocks_do(void **state) {
    (void)state;
    static const double steps[] = {0, 0, 0, 1200, -1200, 300, -300, 7200, -7200, YEAR_S, -YEAR_S, -1772323200.0};
    static const char *const shapes[] = {"window.size=60s", "window.size=60s\nlate=drop",
                                         "window.size=5m\nlateness=10m", "window.size=60s\nlateness=0s",
                                         "window.size=1h"};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint64_t random = seed;
        double off[2] = {0, 0}, now = 0;
        unsigned fed[2] = {0, 0};
        tv_harness *h = start(shapes[seed % 5]);
        for (int i = 0; i < 1500; i++) {
            unsigned d = (unsigned)(next_random(&random) % 2);
            if (next_random(&random) % 100 == 0) off[d] = steps[next_random(&random) % 12];
            now += next_random(&random) % 700 == 0 ? 7200 : (double)(next_random(&random) % 20);
            feed_at(h, now + off[d] - (double)(next_random(&random) % 8), d == 0 ? "a" : "b", i);
            fed[d]++;
            if (next_random(&random) % 8 == 0) watermark_at(h, now - 8);
        }
        tv_harness_end(h);
        unsigned found = counted(h, "a") + counted(h, "b"), late = (unsigned)tv_harness_counter(h, "late_dropped");
        if (found + late != fed[0] + fed[1]) {
            fail_msg("seed %llu: %u in windows, %u late, of %u", (unsigned long long)seed, found, late,
                     fed[0] + fed[1]);
        }
        assert_int_equal(tv_harness_counter(h, "windows_lost"), 0);
        tv_harness_close(h);
    }
}

// ---- quality, boundaries ------------------------------------------------------------------------------------

static void uncertain_readings_are_counted_apart(void **state) {
    (void)state;
    for (int bad = 0; bad < 2; bad++) {
        reading_buffer r;
        tv_harness *h = start(bad ? "uncertain=bad" : "");
        feed_at(h, 1, "d", 4);
        uint64_t key = make_reading(&r, "d", "t", 8);
        r.head.quality = QUALITY_UNCERTAIN;
        tv_harness_feed(h, T0_NS + 2, key, &r, reading_bytes(&r.head));
        watermark_at(h, 60);
        assert_true(number_of(h, 0, "count") == (bad ? 1 : 2));
        assert_true(number_of(h, 0, bad ? "bad" : "uncertain") == 1);
        assert_false(has_member(h, 0, bad ? "uncertain" : "bad"));
        tv_harness_close(h);
    }
}

static void values_that_are_no_numbers_are_bad(void **state) {
    (void)state;
    tv_harness *h = start("");
    feed_at(h, 1, "d", 4);
    feed_at(h, 2, "d", NAN);
    feed_at(h, 3, "d", INFINITY);
    watermark_at(h, 60);
    assert_true(number_of(h, 0, "count") == 1);
    assert_true(number_of(h, 0, "bad") == 2);
    tv_harness_close(h);
}

static void windows_begin_at_the_offset(void **state) {
    (void)state;
    static const struct {
        const char *offset, *begin;
    } offsets[] = {{"-2h", "2026-02-28T22:00:00Z"}, {"+22h", "2026-02-28T22:00:00Z"},
                   {"22h", "2026-02-28T22:00:00Z"}, {"-26h", "2026-02-28T22:00:00Z"},
                   {"0s", "2026-03-01T00:00:00Z"},  {"-30m", "2026-02-28T23:30:00Z"}};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        char lines[64];
        snprintf(lines, sizeof lines, "window.size=1d\nwindow.offset=%s", offsets[i].offset);
        tv_harness *h = start(lines);
        feed_at(h, 1, "d", 4);
        tv_harness_end(h);
        expect_text(h, 0, "start", offsets[i].begin);
        tv_harness_close(h);
    }
    expect_init_failure("local-aggregator", "window.offset=tomorrow", "window.offset");
    expect_init_failure("local-aggregator", "window.offset=--2h", "window.offset");
}

// Local days of Berlin around a change of its clocks: 24, 23 and 25 hours, and every reading in one of them.
static void windows_of_a_zone_follow_its_clock(void **state) {
    (void)state;
    static const struct {
        int64_t from_s;
        const char *begins[3];
        int counts[3];
    } changes[] = {
        {1774652400, {"2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"}, {24, 23, 24}},
        {1792792800, {"2026-10-23T22:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"}, {24, 25, 24}},
    };
    for (size_t c = 0; c < 2; c++) {
        tv_harness *h = start("window.size=1d\nwindow.zone=Europe/Berlin");
        int hours = changes[c].counts[0] + changes[c].counts[1] + changes[c].counts[2];
        for (int hour = 0; hour < hours; hour++) {
            feed_reading(h, (changes[c].from_s + 3600 * hour) * SECOND_NS, "d", hour);
            tv_harness_run(h);
            tv_harness_watermark(h, (changes[c].from_s + 3600 * hour - 5) * SECOND_NS);
        }
        tv_harness_end(h);
        assert_int_equal(tv_harness_output_count(h), 3);
        for (size_t i = 0; i < 3; i++) {
            expect_text(h, i, "start", changes[c].begins[i]);
            if (i > 0) expect_text(h, i - 1, "end", changes[c].begins[i]);
            assert_true(number_of(h, i, "count") == changes[c].counts[i]);
        }
        assert_int_equal(tv_harness_counter(h, "late_records"), 0);
        tv_harness_close(h);
    }
    expect_init_failure("local-aggregator", "window.size=1d\nwindow.zone=Mars/Olympus", "window.zone");
    expect_init_failure("local-aggregator", "window.size=90m\nwindow.zone=Europe/Berlin", "whole hours");
}

// ---- the model ----------------------------------------------------------------------------------------------

enum { MODEL_DEVICES = 5, MODEL_READINGS = 3000 };

typedef struct model_reading {
    int64_t time_ns;
    double value;
    int device;
} model_reading;

// Compares one window that was sent with a plain look at all readings.
static void compare_window(tv_harness *h, size_t index, const model_reading *readings, int64_t size_ns) {
    yyjson_doc *document = json_at(h, index);
    yyjson_val *root = yyjson_doc_get_root(document);
    int device = atoi(yyjson_get_str(yyjson_obj_get(root, "device")) + 1);
    int64_t end_ns = tv_harness_output_at(h, index)->event_time_ns;
    double sum = 0, min = INFINITY, max = -INFINITY, squares = 0;
    unsigned count = 0;
    for (int i = 0; i < MODEL_READINGS; i++) {
        const model_reading *r = &readings[i];
        if (r->device != device || r->time_ns >= end_ns || r->time_ns < end_ns - size_ns) continue;
        count++;
        sum += r->value;
        min = fmin(min, r->value);
        max = fmax(max, r->value);
    }
    for (int i = 0; i < MODEL_READINGS; i++) {
        const model_reading *r = &readings[i];
        if (r->device != device || r->time_ns >= end_ns || r->time_ns < end_ns - size_ns) continue;
        squares += (r->value - sum / count) * (r->value - sum / count);
    }
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(root, "count")), count);
    assert_near(yyjson_get_num(yyjson_obj_get(root, "mean")), sum / count, 1e-9);
    assert_near(yyjson_get_num(yyjson_obj_get(root, "min")), min, 1e-9);
    assert_near(yyjson_get_num(yyjson_obj_get(root, "max")), max, 1e-9);
    double deviation = count < 2 ? 0 : sqrt(squares / (count - 1));
    assert_near(yyjson_get_num(yyjson_obj_get(root, "stddev")), deviation, 1e-7);
    yyjson_doc_free(document);
}

// How many windows there must be: those with a reading in them, per device.
static unsigned count_windows(const model_reading *readings, int64_t size_ns, int64_t slide_ns) {
    unsigned windows = 0;
    for (int device = 0; device < MODEL_DEVICES; device++) {
        for (int64_t end_ns = T0_NS - T0_NS % slide_ns; end_ns < T0_NS + 3 * 3600 * SECOND_NS; end_ns += slide_ns) {
            for (int i = 0; i < MODEL_READINGS; i++) {
                const model_reading *r = &readings[i];
                if (r->device != device || r->time_ns >= end_ns || r->time_ns < end_ns - size_ns) continue;
                windows++;
                break;
            }
        }
    }
    return windows;
}

static void run_model(uint64_t seed, int64_t size_s, int64_t slide_s) {
    static model_reading readings[MODEL_READINGS];
    char lines[128], device[16];
    snprintf(lines, sizeof lines, "window.size=%llds\nwindow.slide=%llds\ndigits=15\nlateness=10s", (long long)size_s,
             (long long)slide_s);
    tv_harness *h = start(lines);
    int64_t newest_ns = T0_NS, disorder_ns = 20 * SECOND_NS;
    for (int i = 0; i < MODEL_READINGS; i++) {
        newest_ns += (int64_t)(next_random(&seed) % (4 * SECOND_NS));
        bool outage = next_random(&seed) % 500 == 0;
        if (outage) newest_ns += 300 * SECOND_NS;
        model_reading *r = &readings[i];
        r->time_ns = newest_ns - (int64_t)(next_random(&seed) % (uint64_t)disorder_ns);
        r->value = (double)(next_random(&seed) % 2000001) / 1000 - 1000;
        r->device = (int)(next_random(&seed) % MODEL_DEVICES);
        snprintf(device, sizeof device, "d%d", r->device);
        feed_reading(h, r->time_ns, device, r->value);
        if (outage || next_random(&seed) % 10 == 0) tv_harness_watermark(h, newest_ns - disorder_ns);
    }
    tv_harness_end(h);
    assert_int_equal(tv_harness_counter(h, "late_records"), 0);
    for (size_t i = 0; i < tv_harness_output_count(h); i++)
        compare_window(h, i, readings, size_s * SECOND_NS);
    assert_int_equal(tv_harness_output_count(h), count_windows(readings, size_s * SECOND_NS, slide_s * SECOND_NS));
    tv_harness_close(h);
}

static void random_readings_agree_with_the_model(void **state) {
    (void)state;
    static const int64_t shapes[][2] = {{60, 60}, {60, 20}, {300, 60}, {120, 40}};
    for (uint64_t seed = 1; seed <= 3; seed++) {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            print_message("seed %llu, size %lld s, slide %lld s\n", (unsigned long long)seed, (long long)shapes[i][0],
                          (long long)shapes[i][1]);
            run_model(seed, shapes[i][0], shapes[i][1]);
        }
    }
}

static void bad_configuration_is_named(void **state) {
    (void)state;
    expect_init_failure("local-aggregator", "window.size=60s\nwindow.slide=25s", "window.slide");
    expect_init_failure("local-aggregator", "window.size=1s\nwindow.slide=2s", "window.slide");
    expect_init_failure("local-aggregator", "window.size=1h\nwindow.slide=1s", "window");
    expect_init_failure("local-aggregator", "late=maybe", "late");
    expect_init_failure("local-aggregator", "late=drop\ntoo_late=port", "too_late");
    expect_init_failure("local-aggregator", "digits=40", "digits");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tumbling_window_has_all_figures),
        cmocka_unit_test(sliding_windows_overlap),
        cmocka_unit_test(late_reading_within_lateness_makes_a_correction),
        cmocka_unit_test(late_readings_are_dropped_by_policy),
        cmocka_unit_test(late_first_reading_of_a_series_still_counts),
        cmocka_unit_test(alerts_pass_at_once_on_their_own_port),
        cmocka_unit_test(silence_is_an_alert_and_no_measurement),
        cmocka_unit_test(bad_quality_is_counted_and_left_out),
        cmocka_unit_test(idle_series_are_closed_by_the_timer),
        cmocka_unit_test(a_full_table_closes_the_least_recently_used),
        cmocka_unit_test(a_series_far_ahead_closes_its_old_windows),
        cmocka_unit_test(windows_before_1970_are_windows_too),
        cmocka_unit_test(many_windows_wait_for_room),
        cmocka_unit_test(random_readings_agree_with_the_model),
        cmocka_unit_test(too_late_readings_are_dead_letters_unless_told_otherwise),
        cmocka_unit_test(too_late_readings_go_to_their_port_as_they_came),
        cmocka_unit_test(a_late_reading_keeps_its_alert),
        cmocka_unit_test(no_clock_loses_readings),
        cmocka_unit_test(windows_of_a_wrong_clock_do_not_wait_for_the_end),
        cmocka_unit_test(a_backlog_of_a_device_is_not_late),
        cmocka_unit_test(a_clock_that_steps_loses_next_to_nothing),
        cmocka_unit_test(a_clock_that_was_set_back_begins_a_part),
        cmocka_unit_test(readings_are_counted_whatever_the_clocks_do),
        cmocka_unit_test(uncertain_readings_are_counted_apart),
        cmocka_unit_test(values_that_are_no_numbers_are_bad),
        cmocka_unit_test(windows_begin_at_the_offset),
        cmocka_unit_test(windows_of_a_zone_follow_its_clock),
        cmocka_unit_test(bad_configuration_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
