// sensor-source: what lines become readings, what the others are told, and how the watermark moves.
#include "gateway_test.h"

static tv_harness *start(const char *lines) { return start_component("sensor-source", lines); }

// Feeds a line and gives the reading that came of it.
static const tv_harness_output *read_line(tv_harness *harness, const char *line) {
    tv_harness_clear(harness);
    tv_harness_feed_text(harness, line);
    tv_harness_run(harness);
    if (tv_harness_reject_count(harness) > 0) fail_msg("%s", tv_harness_reject_at(harness, 0)->reason);
    assert_true(tv_harness_output_count(harness) >= 1);
    return tv_harness_output_at(harness, 0);
}

static void expect_reject(tv_harness *harness, const char *line, const char *reason) {
    tv_harness_clear(harness);
    tv_harness_feed_text(harness, line);
    tv_harness_run(harness);
    assert_int_equal(tv_harness_output_count(harness), 0);
    assert_int_equal(tv_harness_reject_count(harness), 1);
    assert_string_equal(tv_harness_reject_at(harness, 0)->reason, reason);
}

static void json_line_becomes_a_reading(void **state) {
    (void)state;
    tv_harness *h = start("fields.time=ts");
    const tv_harness_output *output = read_line(
        h, "{\"ts\":\"2026-03-01T00:00:01.250Z\",\"device\":\"press-1\",\"metric\":\"temp\",\"value\":-71.25}");
    const reading *r = reading_at(h, 0);
    assert_int_equal(output->event_time_ns, T0_NS + 1250000000);
    assert_true(r->value == -71.25 && r->raw == -71.25);
    assert_memory_equal(reading_text(r), "press-1temp", 11);
    assert_int_equal(r->device_bytes, 7);
    assert_int_equal(r->metric_bytes, 4);
    assert_int_equal(output->payload_bytes, reading_bytes(r));
    uint64_t words[2] = {0};
    memcpy(words, "press-1temp", 11);
    assert_true(output->key == reading_key(words, 7, 4));
    tv_harness_close(h);
}

// The learnt template and the full reader must give the same for lines that differ in every way a line can.
static void lines_read_the_same_with_and_without_template(void **state) {
    (void)state;
    enum { LINES = 200 };
    const char *rare_watermarks = "watermark.every_records=1000000\nwatermark.every=1d";
    static const char *const formats[] = {
        "{\"time\":\"2026-03-01T00:00:%02dZ\",\"device\":\"d%d\",\"metric\":\"m\",\"value\":%s}",
        "{ \"time\" : \"2026-03-01T00:00:%02dZ\", \"x\" : [1,{}], \"device\" : \"d%d\", \"value\" : %s }",
        "{\"time\":17723232%02d,\"device\":\"d%d\",\"metric\":\"\\u006d\",\"value\":%s}",
    };
    static const char *const numbers[] = {"0",    "-0.5", "12.125", "1e3",  "123456789012345678", "0.1234567890123456",
                                          "1e-9", "7",    "7.0",    "-1E2", "99999999999999.9",   "3"};
    static struct {
        char line[256];
        tv_harness_output output;
        char payload[READING_BYTES_MAX];
    } learnt[LINES];
    tv_harness *h = start(rare_watermarks);
    for (unsigned i = 0; i < LINES; i++) {
        snprintf(learnt[i].line, sizeof learnt[i].line, formats[i / 7 % 3], i % 60, i % 13, numbers[i % 12]);
        learnt[i].output = *read_line(h, learnt[i].line);
        memcpy(learnt[i].payload, learnt[i].output.payload, learnt[i].output.payload_bytes);
    }
    tv_harness_close(h);
    for (unsigned i = 0; i < LINES; i++) {
        h = start(rare_watermarks); // has learnt nothing
        const tv_harness_output *expected = read_line(h, learnt[i].line);
        assert_int_equal(learnt[i].output.event_time_ns, expected->event_time_ns);
        assert_true(learnt[i].output.key == expected->key);
        assert_int_equal(learnt[i].output.payload_bytes, expected->payload_bytes);
        assert_memory_equal(learnt[i].payload, expected->payload, expected->payload_bytes);
        tv_harness_close(h);
    }
}

static void broken_lines_are_rejected_after_a_good_one(void **state) {
    (void)state;
    tv_harness *h = start("");
    const char *good = "{\"time\":1772323200,\"device\":\"d\",\"value\":1.5}";
    for (int i = 0; i < 3; i++)
        read_line(h, good);
    expect_reject(h, "{\"time\":1772323200,\"device\":\"d\",\"value\":1.5", "expected a comma or } at byte 43");
    expect_reject(h, "{\"time\":1772323200,\"device\":\"d\",\"value\":1.5}x", "expected the end at byte 44");
    expect_reject(h, "{\"time\":1772323200,\"device\":\"d\x01\",\"value\":1}",
                  "control character in a string at byte 30");
    expect_reject(h, "{\"time\":1772323200,\"device\":\"d\",\"value\":null}",
                  "field \"value\" at byte 40 is no finite number: null");
    expect_reject(h, "{\"time\":1772323200,\"device\":\"\",\"value\":1}",
                  "field \"device\" at byte 29 is no device name: ");
    expect_reject(h, "{\"device\":\"d\",\"value\":1}", "no field \"time\"");
    read_line(h, good);
    tv_harness_close(h);
}

static void times_are_read_in_all_their_forms(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t time_ns;
    } times[] = {
        {"\"2024-02-29T23:59:59.999999999Z\"", 1709251199999999999},
        {"\"2026-03-01T00:00:00Z\"", T0_NS},
        {"\"2026-03-01T00:00:59.5Z\"", T0_NS + 59500000000},
        {"\"2026-03-01T01:30:00+01:30\"", T0_NS},
        {"\"2026-02-28 19:00:00-05:00\"", T0_NS},
        {"\"2026-03-01T00:00:00\"", T0_NS},
        {"\"1969-12-31T23:59:59Z\"", -SECOND_NS},
        {"1772323200", T0_NS},
        {"1772323200.25", T0_NS + 250000000},
        {"1772323200123", T0_NS + 123000000},
        {"1772323200123456", T0_NS + 123456000},
        {"1772323200123456789", T0_NS + 123456789},
        {"\"1772323200123\"", T0_NS + 123000000},
    };
    tv_harness *h = start("watermark.far_confirm=0");
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
            char line[256];
            snprintf(line, sizeof line, "{\"time\":%s,\"device\":\"d\",\"value\":1}", times[i].text);
            assert_int_equal(read_line(h, line)->event_time_ns, times[i].time_ns);
        }
    }
    tv_harness_close(h);
}

static void impossible_times_are_rejected(void **state) {
    (void)state;
    static const char *const texts[] = {"2026-02-29T00:00:00Z",
                                        "2026-03-01T24:00:00Z",
                                        "2026-03-01T00:60:00Z",
                                        "2026-03-01T00:00:6xZ",
                                        "2026-03-01T00:00:00.Z",
                                        "2026-13-01T00:00:00Z",
                                        "soon",
                                        "12:00",
                                        "1772323200."};
    tv_harness *h = start("");
    read_line(h, "{\"time\":\"2026-03-01T00:00:00Z\",\"device\":\"d\",\"value\":1}");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char line[256], reason[256];
        snprintf(line, sizeof line, "{\"time\":\"%s\",\"device\":\"d\",\"value\":1}", texts[i]);
        snprintf(reason, sizeof reason, "field \"time\" at byte 9 is no time: %s", texts[i]);
        expect_reject(h, line, reason);
    }
    tv_harness_close(h);
}

static void local_times_use_the_configured_offset(void **state) {
    (void)state;
    tv_harness *h = start("time.utc_offset=1h");
    assert_int_equal(read_line(h, "{\"time\":\"2026-03-01T01:00:00\",\"device\":\"d\",\"value\":1}")->event_time_ns,
                     T0_NS);
    assert_int_equal(read_line(h, "{\"time\":\"2026-03-01T00:00:00Z\",\"device\":\"d\",\"value\":1}")->event_time_ns,
                     T0_NS);
    tv_harness_close(h);
}

static void dotted_names_reach_into_objects(void **state) {
    (void)state;
    tv_harness *h = start("fields.time=meta.ts\nfields.value=data.t.c\nfields.device=meta.id\nmetric=temp");
    const char *line = "{\"meta\":{\"ts\":1772323200,\"id\":\"a\"},\"data\":{\"h\":1,\"t\":{\"c\":%s}}}";
    char text[256];
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, line, i == 0 ? "1.5" : i == 1 ? "2.5" : "\"3.5\"");
        read_line(h, text);
        assert_true(reading_at(h, 0)->value == 1.5 + i);
        assert_memory_equal(reading_text(reading_at(h, 0)), "atemp", 5);
    }
    tv_harness_close(h);
}

static void escapes_are_resolved(void **state) {
    (void)state;
    tv_harness *h = start("");
    read_line(h, "{\"time\":1772323200,\"device\":\"a\\\"b\\u00e9\",\"metric\":\"\\\\m\",\"value\":1}");
    assert_memory_equal(reading_text(reading_at(h, 0)), "a\"b\xc3\xa9\\m", 7);
    tv_harness_close(h);
}

static void csv_rows_follow_the_header(void **state) {
    (void)state;
    tv_harness *h = start("format=csv\nfields.time=timestamp\nmetric=temp");
    tv_harness_feed_text(h, "value,\"timestamp\", device\r");
    tv_harness_run(h);
    assert_int_equal(tv_harness_output_count(h), 0);
    assert_int_equal(read_line(h, "1.5,2026-03-01 00:00:00,\"press, \"\"1\"\"\"\r")->event_time_ns, T0_NS);
    assert_memory_equal(reading_text(reading_at(h, 0)), "press, \"1\"temp", 14);
    tv_harness_feed_text(h, "value,timestamp,device"); // a logger began a new file
    tv_harness_feed_text(h, "");
    tv_harness_run(h);
    assert_int_equal(tv_harness_reject_count(h), 0);
    assert_int_equal(tv_harness_counter(h, "header_lines"), 2);
    assert_int_equal(tv_harness_counter(h, "blank_lines"), 1);
    expect_reject(h, "x,2026-03-01 00:00:00,d", "field \"value\" at byte 0 is no finite number: x");
    expect_reject(h, "1,\"2026", "quote is not closed at byte 2");
    expect_reject(h, "1", "no field \"timestamp\"");
    tv_harness_close(h);
}

static void csv_without_header_uses_configured_columns(void **state) {
    (void)state;
    tv_harness *h =
        start("format=csv\ncsv.separator=;\ncsv.columns.length=3\ncsv.columns.0=device\ncsv.columns.1=time\n"
              "csv.columns.2=value");
    read_line(h, "d;1772323200;2.5");
    assert_true(reading_at(h, 0)->value == 2.5);
    tv_harness_close(h);
}

static void header_without_a_needed_column_is_rejected(void **state) {
    (void)state;
    tv_harness *h = start("format=csv");
    expect_reject(h, "a,b", "header has no column \"time\" (2 columns)");
    tv_harness_close(h);
}

static void quality_words_and_codes_are_understood(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int quality;
    } cases[] = {{"\"good\"", QUALITY_GOOD}, {"192", QUALITY_GOOD},  {"\"uncertain\"", QUALITY_UNCERTAIN},
                 {"\"bad\"", QUALITY_BAD},   {"\"?\"", QUALITY_BAD}, {"null", QUALITY_GOOD},
                 {"true", QUALITY_GOOD},     {"false", QUALITY_BAD}};
    tv_harness *h = start("");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256];
        snprintf(line, sizeof line, "{\"time\":1772323200,\"device\":\"d\",\"value\":1,\"quality\":%s}", cases[i].text);
        read_line(h, line);
        assert_int_equal(reading_at(h, 0)->quality, cases[i].quality);
    }
    tv_harness_close(h);
}

// ---- watermarks ---------------------------------------------------------------------------------------------

static void feed_second(tv_harness *h, int second) {
    char line[128];
    snprintf(line, sizeof line, "{\"time\":%lld,\"device\":\"d\",\"value\":1}", T0_NS / SECOND_NS + second);
    tv_harness_feed_text(h, line);
    tv_harness_run(h);
}

static int64_t newest_watermark(tv_harness *h, unsigned *count) {
    int64_t newest = INT64_MIN;
    *count = 0;
    for (size_t i = 0; i < tv_harness_output_count(h); i++) {
        const tv_harness_output *output = tv_harness_output_at(h, i);
        if (output->kind != TV_KIND_WATERMARK) continue;
        newest = output->event_time_ns;
        ++*count;
    }
    return newest;
}

static void watermark_trails_the_newest_reading(void **state) {
    (void)state;
    unsigned count;
    tv_harness *h = start("watermark.out_of_orderness=5s\nwatermark.every=10s");
    for (int second = 0; second <= 25; second++)
        feed_second(h, second);
    assert_int_equal(newest_watermark(h, &count), T0_NS + 15 * SECOND_NS); // newest of a step, 20 s, minus 5 s
    assert_int_equal(count, 3);
    feed_second(h, 3); // out of order: does not move it
    assert_int_equal(newest_watermark(h, &count), T0_NS + 15 * SECOND_NS);
    tv_harness_end(h);
    assert_int_equal(newest_watermark(h, &count), T0_NS + 20 * SECOND_NS);
    tv_harness_close(h);
}

static void one_reading_from_the_future_does_not_move_the_watermark(void **state) {
    (void)state;
    unsigned count;
    tv_harness *h =
        start("watermark.out_of_orderness=0s\nwatermark.every=1s\nwatermark.far=1h\nwatermark.far_confirm=3");
    feed_second(h, 0);
    feed_second(h, 86400);
    feed_second(h, 1);
    assert_int_equal(newest_watermark(h, &count), T0_NS + SECOND_NS);
    for (int i = 0; i < 4; i++)
        feed_second(h, 86400 + i); // after an outage the time has really moved on
    assert_int_equal(newest_watermark(h, &count), T0_NS + 86403 * SECOND_NS);
    assert_int_equal(tv_harness_counter(h, "far_future"), 5);
    tv_harness_close(h);
}

static void bad_configuration_is_named(void **state) {
    (void)state;
    expect_init_failure("sensor-source", "format=xml", "format");
    expect_init_failure("sensor-source", "csv.separator=||", "csv.separator");
    expect_init_failure("sensor-source", "watermark.every=0s", "watermark.every");
    expect_init_failure("sensor-source", "fields.value=", "fields.value");
    expect_init_failure("sensor-source", "format=csv\ncsv.columns.length=1\ncsv.columns.0=time", "csv.columns");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_line_becomes_a_reading),
        cmocka_unit_test(lines_read_the_same_with_and_without_template),
        cmocka_unit_test(broken_lines_are_rejected_after_a_good_one),
        cmocka_unit_test(times_are_read_in_all_their_forms),
        cmocka_unit_test(impossible_times_are_rejected),
        cmocka_unit_test(local_times_use_the_configured_offset),
        cmocka_unit_test(dotted_names_reach_into_objects),
        cmocka_unit_test(escapes_are_resolved),
        cmocka_unit_test(csv_rows_follow_the_header),
        cmocka_unit_test(csv_without_header_uses_configured_columns),
        cmocka_unit_test(header_without_a_needed_column_is_rejected),
        cmocka_unit_test(quality_words_and_codes_are_understood),
        cmocka_unit_test(watermark_trails_the_newest_reading),
        cmocka_unit_test(one_reading_from_the_future_does_not_move_the_watermark),
        cmocka_unit_test(bad_configuration_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
