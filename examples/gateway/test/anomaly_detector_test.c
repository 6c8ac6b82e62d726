// anomaly-detector: each method at its threshold, one alert an incident, bounded state.
#include "gateway_test.h"

static tv_harness *start(const char *lines) { return start_component("anomaly-detector", lines); }

// Repeatable noise in -1..1 (splitmix64).
static double noise(uint64_t *seed) {
    uint64_t z = (*seed += 0x9e3779b97f4a7c15ull);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-52 - 1;
}

// Feeds one reading and gives the verdict on it.
static const reading *judge(tv_harness *h, int64_t time_ns, const char *device, double value) {
    tv_harness_clear(h);
    feed_reading(h, time_ns, device, value);
    tv_harness_run(h);
    assert_int_equal(tv_harness_output_count(h), 1);
    return reading_at(h, 0);
}

// `count` noisy readings, one each 10 s; none may be flagged after the first `quiet_from`.
static int64_t feed_noise(tv_harness *h, int64_t time_ns, unsigned count, double mean, double size) {
    uint64_t seed = 7;
    for (unsigned i = 0; i < count; i++, time_ns += 10 * SECOND_NS) {
        double value = mean + size * noise(&seed);
        if (judge(h, time_ns, "d", value)->flags & READING_ANOMALY) fail_msg("reading %u (%f) is flagged", i, value);
    }
    return time_ns;
}

static void range_is_inclusive(void **state) {
    (void)state;
    tv_harness *h = start("methods.length=1\nmethods.0.kind=range\nmethods.0.min=-5\nmethods.0.max=5");
    assert_int_equal(judge(h, T0_NS, "d", 5)->flags, 0);
    assert_int_equal(judge(h, T0_NS + 1, "d", -5)->flags, 0);
    const reading *r = judge(h, T0_NS + 2, "d", 5.000001);
    assert_int_equal(r->flags, READING_ANOMALY | READING_ALERT);
    assert_int_equal(r->method, METHOD_RANGE);
    assert_int_equal(r->methods, 1 << METHOD_RANGE);
    assert_true(r->score == 1.0f);
    tv_harness_close(h);
}

static void rules_are_chosen_by_device_and_metric(void **state) {
    (void)state;
    tv_harness *h = start("methods.length=3\n"
                          "methods.0.kind=range\nmethods.0.device=pump-*\nmethods.0.max=10\n"
                          "methods.1.kind=range\nmethods.1.metric=other\nmethods.1.max=0\n"
                          "methods.2.kind=range\nmethods.2.max=20");
    assert_int_equal(judge(h, T0_NS, "pump-1", 15)->methods, 1 << METHOD_RANGE);
    assert_int_equal(judge(h, T0_NS, "fan-1", 15)->methods, 0);
    assert_int_equal(judge(h, T0_NS, "fan-1", 25)->methods, 1 << METHOD_RANGE);
    tv_harness_close(h);
}

static void rate_is_a_second_not_a_reading(void **state) {
    (void)state;
    tv_harness *h = start("methods.length=1\nmethods.0.kind=rate\nmethods.0.max_per_second=2");
    judge(h, T0_NS, "d", 0);
    const reading *r = judge(h, T0_NS + 10 * SECOND_NS, "d", 20);
    assert_int_equal(r->flags, 0);
    assert_true(r->score == 0.5f); // at the threshold
    r = judge(h, T0_NS + 20 * SECOND_NS, "d", 41);
    assert_int_equal(r->methods, 1 << METHOD_RATE);
    assert_true(r->score > 0.5f && r->score < 0.6f);
    tv_harness_close(h);
}

static void learnt_rate_finds_a_jump(void **state) {
    (void)state;
    tv_harness *h = start("methods.length=1\nmethods.0.kind=rate");
    int64_t now = feed_noise(h, T0_NS, 200, 50, 1);
    assert_int_equal(judge(h, now, "d", 70)->methods, 1 << METHOD_RATE);
    tv_harness_close(h);
}

static void stuck_counts_from_the_first_equal_reading(void **state) {
    (void)state;
    tv_harness *h = start("methods.length=1\nmethods.0.kind=stuck\nmethods.0.for=10m\nmethods.0.readings=10");
    int64_t begin = feed_noise(h, T0_NS, 200, 50, 1);
    for (int i = 0; i <= 60; i++)
        assert_int_equal(judge(h, begin + i * 10 * SECOND_NS, "d", 50)->flags, 0);
    const reading *r = judge(h, begin + 61 * 10 * SECOND_NS, "d", 50);
    assert_int_equal(r->methods, 1 << METHOD_STUCK);
    assert_int_equal(judge(h, begin + 62 * 10 * SECOND_NS, "d", 50.5)->methods, 0);
    tv_harness_close(h);
}

static void a_series_that_never_changes_is_not_stuck(void **state) {
    (void)state;
    tv_harness *h = start("methods.length=1\nmethods.0.kind=stuck\nmethods.0.for=1m\nmethods.0.readings=5");
    feed_noise(h, T0_NS, 500, 21.5, 0);
    tv_harness_close(h);
}

static void ewma_finds_a_spike_and_forgets_it(void **state) {
    (void)state;
    tv_harness *h = start("methods.length=1\nmethods.0.kind=ewma");
    int64_t now = feed_noise(h, T0_NS, 500, 50, 1);
    const reading *r = judge(h, now, "d", 60);
    assert_int_equal(r->flags, READING_ANOMALY | READING_ALERT);
    assert_int_equal(r->method, METHOD_EWMA);
    assert_true(r->score > 0.5f && r->expected > 49.5f && r->expected < 50.5f);
    feed_noise(h, now + 10 * SECOND_NS, 100, 50, 1);
    tv_harness_close(h);
}

static void ewma_finds_a_slow_drift(void **state) {
    (void)state;
    tv_harness *h = start("methods.length=1\nmethods.0.kind=ewma");
    int64_t now = feed_noise(h, T0_NS, 1000, 50, 1);
    uint64_t seed = 9;
    unsigned i = 0;
    for (; i < 600; i++, now += 10 * SECOND_NS) {
        if (judge(h, now, "d", 50 + 0.1 * i + noise(&seed))->flags & READING_ALERT) break;
    }
    assert_in_range(i, 5, 120); // before it is twelve times the noise
    tv_harness_close(h);
}

static void a_coarse_display_is_not_unusual(void **state) {
    (void)state;
    tv_harness *h = start("");
    for (unsigned i = 0; i < 3000; i++) { // moves by its one step every 200 readings
        double value = i / 200 % 2 ? 20.5 : 20.0;
        assert_int_equal(judge(h, T0_NS + i * 10 * SECOND_NS, "d", value)->flags, 0);
    }
    tv_harness_close(h);
}

static void one_alert_an_incident(void **state) {
    (void)state;
    tv_harness *h = start("hold=60s\nmethods.length=1\nmethods.0.kind=range\nmethods.0.max=1");
    unsigned alerts = 0;
    for (int i = 0; i < 100; i++) {
        const reading *r = judge(h, T0_NS + i * 10 * SECOND_NS, "d", 2);
        assert_true(r->flags & READING_ANOMALY);
        alerts += (r->flags & READING_ALERT) != 0;
    }
    assert_int_equal(alerts, 1);
    int64_t last = T0_NS + 990 * SECOND_NS;
    assert_int_equal(judge(h, last + 59 * SECOND_NS, "d", 2)->flags, READING_ANOMALY); // and holds on
    assert_int_equal(judge(h, last + 59 * SECOND_NS + 60 * SECOND_NS, "d", 2)->flags, READING_ANOMALY | READING_ALERT);
    assert_int_equal(tv_harness_counter(h, "alerts"), 2);
    tv_harness_close(h);
}

static void silence_is_reported_once_and_ends_with_a_reading(void **state) {
    (void)state;
    tv_harness *h = start("hold=1s\nmethods.length=1\nmethods.0.kind=silent\nmethods.0.after=5m\nmethods.0.warm_up=10");
    int64_t now = feed_noise(h, T0_NS, 20, 1, 0) - 10 * SECOND_NS;
    tv_harness_clear(h);
    tv_harness_watermark(h, now + 5 * MINUTE_NS);
    assert_int_equal(tv_harness_output_count(h), 0);
    tv_harness_watermark(h, now + 6 * MINUTE_NS);
    tv_harness_watermark(h, now + 20 * MINUTE_NS);
    assert_int_equal(tv_harness_output_count(h), 1);
    const reading *r = reading_at(h, 0);
    assert_int_equal(r->flags, READING_NO_VALUE | READING_ANOMALY | READING_ALERT);
    assert_int_equal(r->method, METHOD_SILENT);
    assert_memory_equal(reading_text(r), "dt", 2);
    assert_int_equal(tv_harness_output_at(h, 0)->event_time_ns, now + 6 * MINUTE_NS);
    assert_int_equal(judge(h, now + 21 * MINUTE_NS, "d", 1)->flags, 0);
    tv_harness_clear(h);
    tv_harness_watermark(h, now + 40 * MINUTE_NS);
    assert_int_equal(tv_harness_output_count(h), 1);
    tv_harness_close(h);
}

static void silence_of_many_waits_for_room(void **state) {
    (void)state;
    enum { DEVICES = 500 };
    tv_harness *h = start("methods.length=1\nmethods.0.kind=silent\nmethods.0.after=1m\nmethods.0.warm_up=2");
    char device[16];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < DEVICES; i++) {
            snprintf(device, sizeof device, "d%d", i);
            feed_reading(h, T0_NS + round * SECOND_NS, device, 1);
        }
    }
    tv_harness_run(h);
    tv_harness_clear(h);
    tv_harness_room(h, 3);
    tv_harness_watermark(h, T0_NS + 10 * MINUTE_NS);
    assert_int_equal(tv_harness_output_count(h), DEVICES);
    tv_harness_close(h);
}

static void readings_out_of_order_change_nothing(void **state) {
    (void)state;
    tv_harness *h = start("");
    int64_t now = feed_noise(h, T0_NS, 300, 50, 1);
    assert_int_equal(judge(h, now - MINUTE_NS, "d", 500)->flags, 0);
    assert_int_equal(tv_harness_counter(h, "out_of_order"), 1);
    feed_noise(h, now, 50, 50, 1);
    tv_harness_close(h);
}

static void the_least_recently_used_series_makes_room(void **state) {
    (void)state;
    tv_harness *h = start("max_keys=3\nmethods.length=1\nmethods.0.kind=range\nmethods.0.max=1\nhold=1h");
    judge(h, T0_NS, "a", 2);
    judge(h, T0_NS, "b", 2);
    judge(h, T0_NS, "c", 2);
    judge(h, T0_NS, "e", 2); // the hand goes round once and takes a
    assert_int_equal(tv_harness_counter(h, "keys_evicted"), 1);
    judge(h, T0_NS + 1, "b", 0);
    judge(h, T0_NS + 1, "f", 2);                                           // b was used since, so c goes
    assert_int_equal(judge(h, T0_NS + 2, "b", 2)->flags, READING_ANOMALY); // its incident is still known
    assert_int_equal(judge(h, T0_NS + 2, "c", 2)->flags, READING_ANOMALY | READING_ALERT);
    assert_int_equal(tv_harness_counter(h, "keys_evicted"), 3);
    tv_harness_close(h);
}

// Many series in a small table: whatever is evicted, every series is found under its own name or anew.
static void eviction_never_mixes_series(void **state) {
    (void)state;
    tv_harness *h = start("max_keys=50\nmethods.length=1\nmethods.0.kind=ewma\nmethods.0.warm_up=2");
    uint64_t seed = 3;
    char device[16];
    for (int i = 0; i < 20000; i++) {
        int which = (int)((noise(&seed) + 1) * 60) % 120;
        snprintf(device, sizeof device, "d%d", which);
        const reading *r = judge(h, T0_NS + i * SECOND_NS, device, 1000.0 * which);
        assert_true(r->expected == (float)(1000.0 * which)); // a series that is mixed up expects another value
        assert_int_equal(r->methods, 0);
    }
    assert_true(tv_harness_counter(h, "keys_evicted") > 1000);
    tv_harness_close(h);
}

static void what_is_no_reading_is_rejected(void **state) {
    (void)state;
    tv_harness *h = start("");
    reading_buffer r;
    make_reading(&r, "d", "t", 1);
    tv_harness_feed_text(h, "{}");
    tv_harness_feed(h, T0_NS, 1, &r, reading_bytes(&r.head) - 1);
    r.head.device_bytes = 200;
    tv_harness_feed(h, T0_NS, 1, &r, READING_HEAD_BYTES + 208);
    tv_harness_run(h);
    assert_int_equal(tv_harness_reject_count(h), 3);
    assert_int_equal(tv_harness_output_count(h), 0);
    tv_harness_close(h);
}

// ---- quality ------------------------------------------------------------------------------------------------

static void feed_quality(tv_harness *h, int64_t time_ns, double value, uint8_t quality) {
    reading_buffer r;
    uint64_t key = make_reading(&r, "d", "t", value);
    r.head.quality = quality;
    tv_harness_feed(h, time_ns, key, &r, reading_bytes(&r.head));
    tv_harness_run(h);
}

static const char all_methods[] = "methods.length=5\nmethods.0.kind=range\nmethods.0.max=1000\nmethods.1.kind=rate\n"
                                  "methods.2.kind=stuck\nmethods.2.for=1m\nmethods.2.readings=5\nmethods.3.kind=ewma\n"
                                  "methods.4.kind=silent\nmethods.4.warm_up=10";

// A day of noise with a spike and a stretch that is stuck, with and without bad readings between: the verdicts on the
// good ones are the same.
static void bad_readings_neither_alarm_nor_teach(void **state) {
    (void)state;
    uint64_t seed = 3;
    tv_harness *plain = start(all_methods), *mixed = start(all_methods);
    for (int i = 0; i < 600; i++) {
        int64_t now = T0_NS + i * 10 * SECOND_NS;
        double value = i >= 500 ? 50 : i == 400 ? 90 : 50 + noise(&seed);
        tv_harness_clear(plain);
        tv_harness_clear(mixed);
        feed_quality(plain, now, value, QUALITY_GOOD);
        feed_quality(mixed, now, value, QUALITY_GOOD);
        for (int k = 0; k < 3; k++)
            feed_quality(mixed, now + (k + 1) * SECOND_NS, k == 0 ? 1e9 : k == 1 ? 0 : value, QUALITY_BAD);
        assert_int_equal(tv_harness_output_count(mixed), 4);
        assert_memory_equal(reading_at(mixed, 0), reading_at(plain, 0), sizeof(reading));
        for (size_t k = 1; k < 4; k++)
            assert_int_equal(reading_at(mixed, k)->flags, 0);
    }
    assert_true(tv_harness_counter(plain, "anomalies_ewma") > 0);
    assert_true(tv_harness_counter(plain, "anomalies_stuck") > 0);
    assert_int_equal(tv_harness_counter(mixed, "not_judged"), 1800);
    tv_harness_close(plain);
    tv_harness_close(mixed);
}

static void a_device_that_sends_bad_readings_is_not_silent(void **state) {
    (void)state;
    tv_harness *h = start(all_methods);
    for (int i = 0; i < 200; i++) {
        feed_quality(h, T0_NS + i * 10 * SECOND_NS, 1, i < 20 ? QUALITY_GOOD : QUALITY_BAD);
        tv_harness_watermark(h, T0_NS + i * 10 * SECOND_NS);
    }
    assert_int_equal(tv_harness_counter(h, "anomalies_silent"), 0);
    tv_harness_watermark(h, T0_NS + 200 * 10 * SECOND_NS + 6 * MINUTE_NS);
    assert_int_equal(tv_harness_counter(h, "anomalies_silent"), 1);
    tv_harness_close(h);
}

static void uncertain_readings_are_judged_or_not_by_key(void **state) {
    (void)state;
    const char *range = "methods.length=1\nmethods.0.kind=range\nmethods.0.max=5";
    char lines[128];
    tv_harness *h = start(range);
    feed_quality(h, T0_NS, 9, QUALITY_UNCERTAIN);
    assert_int_equal(reading_at(h, 0)->methods, 1 << METHOD_RANGE);
    tv_harness_close(h);
    snprintf(lines, sizeof lines, "uncertain=bad\n%s", range);
    h = start(lines);
    feed_quality(h, T0_NS, 9, QUALITY_UNCERTAIN);
    assert_int_equal(reading_at(h, 0)->methods, 0);
    tv_harness_close(h);
}

static void a_value_that_is_no_number_teaches_nothing(void **state) {
    (void)state;
    tv_harness *h = start("methods.length=1\nmethods.0.kind=ewma");
    int64_t now = feed_noise(h, T0_NS, 300, 50, 1);
    assert_int_equal(judge(h, now, "d", __builtin_nan(""))->flags, 0);
    assert_int_equal(judge(h, now, "d", __builtin_inf())->flags, 0);
    assert_int_equal(judge(h, now + 10 * SECOND_NS, "d", 90)->methods, 1 << METHOD_EWMA);
    tv_harness_close(h);
}

// ---- clocks -------------------------------------------------------------------------------------------------

#define YEAR_NS (366ll * 86400 * SECOND_NS)

static void a_series_is_judged_again_after_a_reading_from_the_future(void **state) {
    (void)state;
    tv_harness *h = start("methods.length=2\nmethods.0.kind=ewma\nmethods.1.kind=silent");
    int64_t now = feed_noise(h, T0_NS, 300, 50, 1);
    judge(h, now + YEAR_NS, "d", 50);
    now = feed_noise(h, now, 16, 50, 1);
    assert_int_equal(tv_harness_counter(h, "clocks_set_back"), 1);
    assert_int_equal(judge(h, now, "d", 90)->methods, 1 << METHOD_EWMA);
    // The usual interval is still one of seconds.
    tv_harness_watermark(h, now);
    tv_harness_watermark(h, now + 60 * MINUTE_NS);
    assert_int_equal(tv_harness_counter(h, "anomalies_silent"), 1);
    tv_harness_close(h);
}

// Devices whose clocks are years off are silent when they say nothing, not when the watermark is elsewhere.
static void silence_is_measured_by_the_time_of_the_stream(void **state) {
    (void)state;
    tv_harness *h = start("methods.length=1\nmethods.0.kind=silent\nmethods.0.warm_up=10");
    for (int i = 0; i < 100; i++) {
        int64_t now = T0_NS + i * 10 * SECOND_NS;
        feed_reading(h, now - T0_NS, "unset", 1);
        feed_reading(h, now + YEAR_NS, "ahead", 1);
        feed_reading(h, now, "right", 1);
        tv_harness_run(h);
        tv_harness_watermark(h, now);
    }
    assert_int_equal(tv_harness_counter(h, "anomalies_silent"), 0);
    tv_harness_watermark(h, T0_NS + 2000 * SECOND_NS);
    assert_int_equal(tv_harness_counter(h, "anomalies_silent"), 3);
    tv_harness_close(h);
}

static void clocks_that_are_set_are_no_silence(void **state) {
    (void)state;
    tv_harness *h = start("methods.length=1\nmethods.0.kind=silent\nmethods.0.warm_up=10");
    for (int i = 0; i < 100; i++) {
        feed_reading(h, i * 10 * SECOND_NS, "a", 1);
        feed_reading(h, i * 10 * SECOND_NS, "b", 1);
        tv_harness_run(h);
        tv_harness_watermark(h, i * 10 * SECOND_NS);
    }
    feed_reading(h, T0_NS, "a", 1);
    tv_harness_run(h);
    tv_harness_watermark(h, T0_NS); // b has had no turn yet
    assert_int_equal(tv_harness_counter(h, "anomalies_silent"), 0);
    tv_harness_watermark(h, T0_NS + 10 * MINUTE_NS);
    assert_int_equal(tv_harness_counter(h, "anomalies_silent"), 2);
    tv_harness_close(h);
}

static void a_full_table_is_said_once(void **state) {
    (void)state;
    tv_harness *h = start("max_keys=1");
    feed_reading(h, T0_NS, "a", 1);
    feed_reading(h, T0_NS, "b", 1);
    feed_reading(h, T0_NS, "c", 1);
    tv_harness_run(h);
    const char *said = strstr(tv_harness_log(h), "max_keys: more than 1 series");
    assert_non_null(said);
    assert_null(strstr(said + 1, "max_keys: more than 1 series"));
    tv_harness_close(h);
}

static void bad_configuration_is_named(void **state) {
    (void)state;
    expect_init_failure("anomaly-detector", "methods.length=1\nmethods.0.kind=magic", "methods.0.kind");
    expect_init_failure("anomaly-detector", "methods.length=1\nmethods.0.min=1", "methods.0.kind");
    expect_init_failure("anomaly-detector", "methods.length=1\nmethods.0.kind=range\nmethods.0.min=2\nmethods.0.max=1",
                        "methods.0.min");
    expect_init_failure("anomaly-detector", "methods.length=1\nmethods.0.kind=ewma\nmethods.0.alpha=2",
                        "methods.0.alpha");
    expect_init_failure("anomaly-detector", "max_keys=0", "max_keys");
    expect_init_failure("anomaly-detector", "hold=soon", "hold");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(range_is_inclusive),
        cmocka_unit_test(rules_are_chosen_by_device_and_metric),
        cmocka_unit_test(rate_is_a_second_not_a_reading),
        cmocka_unit_test(learnt_rate_finds_a_jump),
        cmocka_unit_test(stuck_counts_from_the_first_equal_reading),
        cmocka_unit_test(a_series_that_never_changes_is_not_stuck),
        cmocka_unit_test(ewma_finds_a_spike_and_forgets_it),
        cmocka_unit_test(ewma_finds_a_slow_drift),
        cmocka_unit_test(a_coarse_display_is_not_unusual),
        cmocka_unit_test(one_alert_an_incident),
        cmocka_unit_test(silence_is_reported_once_and_ends_with_a_reading),
        cmocka_unit_test(silence_of_many_waits_for_room),
        cmocka_unit_test(readings_out_of_order_change_nothing),
        cmocka_unit_test(the_least_recently_used_series_makes_room),
        cmocka_unit_test(eviction_never_mixes_series),
        cmocka_unit_test(what_is_no_reading_is_rejected),
        cmocka_unit_test(bad_readings_neither_alarm_nor_teach),
        cmocka_unit_test(a_device_that_sends_bad_readings_is_not_silent),
        cmocka_unit_test(uncertain_readings_are_judged_or_not_by_key),
        cmocka_unit_test(a_value_that_is_no_number_teaches_nothing),
        cmocka_unit_test(a_series_is_judged_again_after_a_reading_from_the_future),
        cmocka_unit_test(silence_is_measured_by_the_time_of_the_stream),
        cmocka_unit_test(clocks_that_are_set_are_no_silence),
        cmocka_unit_test(a_full_table_is_said_once),
        cmocka_unit_test(bad_configuration_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
