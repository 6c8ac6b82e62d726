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
                                        "2026-03-01T24:00:01Z",
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

static int quality_by(const char *lines, const char *quality) {
    char line[256];
    tv_harness *h = start(lines);
    snprintf(line, sizeof line, "{\"time\":1772323200,\"device\":\"d\",\"value\":1,\"quality\":%s}", quality);
    read_line(h, line);
    int found = reading_at(h, 0)->quality;
    tv_harness_close(h);
    return found;
}

static void quality_codes_have_their_substatus(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int quality;
    } cases[] = {
        {"216", QUALITY_GOOD},             // OPC DA: good, local override
        {"\"195\"", QUALITY_GOOD},         // constant
        {"68", QUALITY_UNCERTAIN},         // last usable value
        {"88", QUALITY_UNCERTAIN},         // sub-normal
        {"24", QUALITY_BAD},               // communication failure
        {"128", QUALITY_BAD},              // not in use
        {"65472", QUALITY_GOOD},           // the vendor's upper byte does not matter
        {"2147483648", QUALITY_BAD},       // OPC UA
        {"2150694912", QUALITY_BAD},       // BadNoCommunication
        {"-2147483648", QUALITY_BAD},      // with a sign
        {"1073741824", QUALITY_UNCERTAIN}, // Uncertain
        {"2.150694912e9", QUALITY_BAD},
        {"192.0", QUALITY_GOOD},
        {"9830400", QUALITY_GOOD}, // GoodLocalOverride
        {"\"0x80310000\"", QUALITY_BAD},
        {"\"0X40000000\"", QUALITY_UNCERTAIN},
        {"\"80310000\"", QUALITY_BAD}, // the same without its mark
        {"\"40A40000\"", QUALITY_UNCERTAIN},
        {"\"0x@\"", QUALITY_BAD}, // no digit
        {"\"0xC0\"", QUALITY_GOOD},
        {"\"0xg\"", QUALITY_BAD},
        {"4294967296", QUALITY_BAD}, // no code at all
        {"1.5", QUALITY_BAD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int found = quality_by("", cases[i].text);
        if (found != cases[i].quality) fail_msg("%s is %s", cases[i].text, reading_quality_name((unsigned)found));
    }
}

static void quality_words_are_understood_in_any_case(void **state) {
    (void)state;
    static const char *const words[QUALITY_COUNT][8] = {
        [QUALITY_GOOD] = {"\"GoodLocalOverride\"", "\"Good, non-specific\"", "\" OK \"", "\"VALID\"", "\"true\"",
                          "\"\""},
        [QUALITY_UNCERTAIN] = {"\"UncertainLastUsableValue\"", "\"questionable\"", "\"Suspect\""},
        [QUALITY_BAD] = {"\"BadNoCommunication\"", "\"BAD_SENSOR\"", "\"Invalid\"", "\"error\"", "\"no\"", "{}",
                         "[192]"},
    };
    for (int quality = 0; quality < QUALITY_COUNT; quality++) {
        for (size_t i = 0; i < 8 && words[quality][i] != NULL; i++) {
            if (quality_by("", words[quality][i]) != quality) fail_msg("%s", words[quality][i]);
        }
    }
}

static void quality_zero_is_read_by_its_vocabulary(void **state) {
    (void)state;
    assert_int_equal(quality_by("", "0"), QUALITY_GOOD);
    assert_int_equal(quality_by("quality.codes=opc-ua", "0"), QUALITY_GOOD);
    assert_int_equal(quality_by("quality.codes=opc-da", "0"), QUALITY_BAD);
    assert_int_equal(quality_by("quality.codes=flag", "0"), QUALITY_BAD);
    assert_int_equal(quality_by("quality.codes=flag", "1"), QUALITY_GOOD);
    assert_int_equal(quality_by("quality.codes=opc-da", "2147483840"), QUALITY_GOOD); // only the low byte counts
    tv_harness *h = start("");
    static const struct {
        const char *text;
        int quality;
    } steps[] = {{"0", QUALITY_GOOD}, {"192", QUALITY_GOOD},       {"0", QUALITY_BAD},
                 {"0", QUALITY_BAD},  {"2147483648", QUALITY_BAD}, {"0", QUALITY_GOOD}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        char line[256];
        snprintf(line, sizeof line, "{\"time\":1772323200,\"device\":\"d\",\"value\":1,\"quality\":%s}", steps[i].text);
        read_line(h, line);
        assert_int_equal(reading_at(h, 0)->quality, steps[i].quality);
    }
    tv_harness_close(h);
}

static void unknown_quality_is_bad_and_named(void **state) {
    (void)state;
    tv_harness *h = start("");
    for (int i = 0; i < 7; i++)
        tv_harness_feed_text(h, "{\"time\":1772323200,\"device\":\"d\",\"value\":1,\"quality\":\"blurred\"}");
    tv_harness_run(h);
    assert_int_equal(reading_at(h, 0)->quality, QUALITY_BAD);
    assert_int_equal(tv_harness_counter(h, "quality_unknown"), 7);
    assert_int_equal(tv_harness_counter(h, "quality_bad"), 7);
    assert_non_null(strstr(tv_harness_log(h), "quality \"blurred\" is in no vocabulary and counts as bad"));
    tv_harness_close(h);
}

static void bad_quality_excuses_a_value_that_is_none(void **state) {
    (void)state;
    static const char *const values[] = {"\"value\":null,",    "\"value\":\"\",", "\"value\":\"NaN\",",
                                         "\"value\":\"---\",", "\"value\":{},",   ""};
    tv_harness *h = start("");
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char line[256];
        snprintf(line, sizeof line, "{\"time\":1772323200,\"device\":\"d\",%s\"quality\":\"bad\"}", values[i]);
        read_line(h, line);
        assert_int_equal(reading_at(h, 0)->quality, QUALITY_BAD);
        assert_int_equal(reading_at(h, 0)->flags, READING_EMPTY);
        assert_true(reading_at(h, 0)->value == 0);
    }
    read_line(h, "{\"time\":1772323200,\"device\":\"d\",\"value\":null,\"quality\":\"uncertain\"}");
    assert_int_equal(reading_at(h, 0)->flags, READING_EMPTY);
    read_line(h, "{\"time\":1772323200,\"device\":\"d\",\"value\":7,\"quality\":\"bad\"}");
    assert_int_equal(reading_at(h, 0)->flags, 0);
    assert_true(reading_at(h, 0)->value == 7);
    tv_harness_close(h);
}

static void null_without_quality_is_rejected_or_skipped_by_key(void **state) {
    (void)state;
    const char *line = "{\"time\":1772323200,\"device\":\"d\",\"value\":null}";
    tv_harness *h = start("");
    expect_reject(h, line, "field \"value\" at byte 40 is no finite number: null");
    tv_harness_close(h);
    h = start("null=skip");
    tv_harness_feed_text(h, line);
    tv_harness_feed_text(h, "{\"time\":1772323200,\"device\":\"d\",\"value\":\"nan\",\"quality\":\"good\"}");
    tv_harness_feed_text(h, "{\"time\":1772323200,\"device\":\"d\",\"value\":\"\"}");
    tv_harness_run(h);
    assert_int_equal(tv_harness_output_count(h), 0);
    assert_int_equal(tv_harness_reject_count(h), 0);
    assert_int_equal(tv_harness_counter(h, "nulls_skipped"), 3);
    expect_reject(h, "{\"time\":1772323200,\"device\":\"d\",\"value\":\"x\"}",
                  "field \"value\" at byte 41 is no finite number: x");
    expect_reject(h, "{\"time\":1772323200,\"device\":\"d\"}", "no field \"value\"");
    tv_harness_close(h);
}

static void empty_cells_are_null(void **state) {
    (void)state;
    tv_harness *h = start("format=csv\nnull=skip");
    tv_harness_feed_text(h, "time,device,value,quality");
    tv_harness_feed_text(h, "1772323200,d,,192");
    tv_harness_run(h);
    assert_int_equal(tv_harness_counter(h, "nulls_skipped"), 1);
    read_line(h, "1772323200,d,,0");
    assert_int_equal(reading_at(h, 0)->flags, READING_EMPTY);
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

static void feed_from(tv_harness *h, const char *device, int64_t second) {
    char line[128];
    snprintf(line, sizeof line, "{\"time\":%lld,\"device\":\"%s\",\"value\":1}", (long long)second, device);
    tv_harness_feed_text(h, line);
    tv_harness_run(h);
}

enum { NOW = 1772323200, YEAR = 366 * 86400 };

// The watermark after a stream in which devices speak in turn, as seconds.
static int64_t watermark_of(const int64_t *clocks, const char *const *devices, unsigned count, unsigned rounds) {
    unsigned sent;
    tv_harness *h = start("watermark.out_of_orderness=0s\nwatermark.every=1s");
    for (unsigned i = 0; i < rounds; i++) {
        for (unsigned d = 0; d < count; d++)
            feed_from(h, devices[d], clocks[d] + i);
    }
    int64_t newest_ns = newest_watermark(h, &sent);
    tv_harness_close(h);
    return newest_ns == INT64_MIN ? newest_ns : newest_ns / SECOND_NS;
}

static void the_first_reading_may_be_from_the_future(void **state) {
    (void)state;
    unsigned count;
    tv_harness *h = start("watermark.out_of_orderness=0s\nwatermark.every=1s");
    feed_from(h, "a", NOW + YEAR);
    for (int i = 0; i < 5; i++)
        feed_from(h, "a", NOW + i);
    assert_int_equal(newest_watermark(h, &count), (NOW + 4) * SECOND_NS);
    tv_harness_close(h);
}

static void devices_with_wrong_clocks_do_not_move_the_watermark(void **state) {
    (void)state;
    static const char *const devices[] = {"a", "b", "c"};
    static const int64_t clocks[][3] = {
        {5, NOW, NOW},          // one was never set
        {NOW + YEAR, NOW, NOW}, // one is ahead, and the first to speak
        {NOW, NOW, NOW + YEAR}, // and the last
        {5, NOW + YEAR, NOW},   // two are wrong
        {NOW, 5, 7},            // two were never set
        {5, 7, NOW},
        {NOW - YEAR, NOW, NOW},
    };
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        int64_t found = watermark_of(clocks[i], devices, 3, 200);
        if (found != NOW + 199) fail_msg("case %zu: %lld", i, (long long)found);
    }
}

static void a_fast_device_from_the_future_does_not_outvote_slow_ones(void **state) {
    (void)state;
    unsigned count;
    tv_harness *h = start("watermark.out_of_orderness=0s\nwatermark.every=1s");
    for (int i = 0; i < 2000; i++) {
        feed_from(h, "fast", NOW + YEAR + i);
        if (i % 20 == 0) feed_from(h, i % 40 == 0 ? "slow-1" : "slow-2", NOW + i);
    }
    assert_int_equal(newest_watermark(h, &count), (NOW + 1980) * SECOND_NS);
    assert_int_equal(tv_harness_counter(h, "far_future"), 2000 - 1);
    tv_harness_close(h);
}

static void clocks_that_are_set_at_last_move_the_watermark(void **state) {
    (void)state;
    unsigned count;
    char device[16];
    tv_harness *h = start("watermark.out_of_orderness=0s\nwatermark.every=1s");
    for (int i = 0; i < 2000; i++) {
        snprintf(device, sizeof device, "d%d", i % 48);
        feed_from(h, device, i < 1000 ? 30 + i : NOW + i);
    }
    assert_int_equal(newest_watermark(h, &count), (NOW + 1999) * SECOND_NS);
    assert_true(tv_harness_counter(h, "far_future") <= 17);
    tv_harness_close(h);
}

static void a_sensor_that_speaks_every_two_hours_moves_the_watermark(void **state) {
    (void)state;
    unsigned count;
    tv_harness *h = start("watermark.out_of_orderness=0s");
    for (int i = 0; i < 12; i++)
        feed_from(h, "d", NOW + 7200 * i);
    assert_int_equal(newest_watermark(h, &count), (NOW + 7200 * 11) * SECOND_NS);
    assert_int_equal(tv_harness_counter(h, "far_future"), 3);
    tv_harness_close(h);
}

static void a_time_that_went_back_does_not_hold_the_watermark(void **state) {
    (void)state;
    unsigned count;
    tv_harness *h = start("watermark.out_of_orderness=0s\nwatermark.every=1s");
    for (int i = 0; i < 100; i++)
        feed_from(h, "d", NOW + 60 * i);
    for (int i = 0; i < 200; i++) // an hour back
        feed_from(h, "d", NOW + 60 * (40 + i));
    assert_int_equal(newest_watermark(h, &count), (NOW + 60 * 239) * SECOND_NS);
    tv_harness_close(h);
}

static void history_is_as_good_as_the_present(void **state) {
    (void)state;
    static const char *const devices[] = {"a", "b", "c"};
    static const int64_t clocks[] = {800000000, 800000000, 800000000}; // 1995
    assert_int_equal(watermark_of(clocks, devices, 3, 50), 800000049);
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
        cmocka_unit_test(quality_codes_have_their_substatus),
        cmocka_unit_test(quality_words_are_understood_in_any_case),
        cmocka_unit_test(quality_zero_is_read_by_its_vocabulary),
        cmocka_unit_test(unknown_quality_is_bad_and_named),
        cmocka_unit_test(bad_quality_excuses_a_value_that_is_none),
        cmocka_unit_test(null_without_quality_is_rejected_or_skipped_by_key),
        cmocka_unit_test(empty_cells_are_null),
        cmocka_unit_test(watermark_trails_the_newest_reading),
        cmocka_unit_test(one_reading_from_the_future_does_not_move_the_watermark),
        cmocka_unit_test(the_first_reading_may_be_from_the_future),
        cmocka_unit_test(devices_with_wrong_clocks_do_not_move_the_watermark),
        cmocka_unit_test(a_fast_device_from_the_future_does_not_outvote_slow_ones),
        cmocka_unit_test(clocks_that_are_set_at_last_move_the_watermark),
        cmocka_unit_test(a_sensor_that_speaks_every_two_hours_moves_the_watermark),
        cmocka_unit_test(a_time_that_went_back_does_not_hold_the_watermark),
        cmocka_unit_test(history_is_as_good_as_the_present),
        cmocka_unit_test(bad_configuration_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
