// sensor-source: what JSON of devices becomes.
#include "source_test.h"

static tv_harness *start(const char *lines) { return start_component("sensor-source", lines); }

static void listed_values_become_readings(void **state) {
    (void)state;
    tv_harness *h =
        start("fields.values=[]\nfields.values.length=3\nfields.values.0=temperature\nfields.values.1=data.hum\n"
              "fields.values.2=contact\ndevice=kitchen\nmetric=unused");
    feed_line(h, "{\"time\":1772323200,\"temperature\":21.5,\"data\":{\"hum\":\"55.2\"},\"contact\":true,\"x\":1}");
    EXPECT_READINGS(h, {"kitchen/temperature", 21.5, T0_NS}, {"kitchen/data.hum", 55.2, T0_NS},
                    {"kitchen/contact", 1, T0_NS});
    feed_line(h, "{\"time\":1772323200,\"temperature\":null,\"data\":{},\"contact\":false}");
    EXPECT_READINGS(h, {"kitchen/contact", 0, T0_NS});
    assert_int_equal(tv_harness_counter(h, "nulls_skipped"), 2);
    feed_line(h, "{\"time\":1772323200,\"temperature\":\"warm\",\"contact\":true}");
    expect_rejected(h, "field \"temperature\" at byte 34 is no finite number: warm");
    feed_line(h, "{\"time\":1772323200,\"humidity\":3}");
    expect_rejected(h, "no value in any of the 3 fields");
    tv_harness_close(h);
}

static void star_takes_every_number(void **state) {
    (void)state;
    tv_harness *h = start("fields.values=*\nfields.time=ts\nfields.device=id");
    feed_line(h, "{\"ts\":1772323200,\"battery\":97,\"id\":7,\"state\":\"ON\",\"u\":null,"
                 "\"AM2301\":{\"Temperature\":21.5,\"a\\u00e9\":{\"b\":2}},\"list\":[1],\"ok\":true}");
    EXPECT_READINGS(h, {"7/battery", 97, T0_NS}, {"7/AM2301.Temperature", 21.5, T0_NS},
                    {"7/AM2301.a\xc3\xa9.b", 2, T0_NS});
    assert_int_equal(tv_harness_counter(h, "others_skipped"), 3);
    assert_int_equal(tv_harness_counter(h, "nulls_skipped"), 1);
    feed_line(h, "{\"ts\":1772323200,\"id\":\"d\",\"a\":1,\"a\":2}"); // the last counts
    EXPECT_READINGS(h, {"d/a", 2, T0_NS});
    feed_line(h, "{\"ts\":1772323200,\"id\":\"d\",\"a\":\"1\"}");
    expect_rejected(h, "no number but in the fields that are none");
    tv_harness_close(h);
}

static void items_of_a_list_become_readings(void **state) {
    (void)state;
    tv_harness *h = start("each=data.readings\nfields.time=t\nfields.device=dev\nfields.value=v");
    feed_line(h, "{\"dev\":\"d\",\"t\":5,\"data\":{\"readings\":[{\"t\":1772323200,\"v\":1},"
                 "{\"t\":1772323201,\"v\":2,\"dev\":\"e\"},{\"v\":3}]}}");
    EXPECT_READINGS(h, {"d/", 1, T0_NS}, {"e/", 2, T0_NS + SECOND_NS}, {"d/", 3, 5 * SECOND_NS});
    feed_line(h, "{\"dev\":\"d\",\"data\":{\"readings\":[{\"t\":1772323200,\"v\":1},{\"t\":1772323201,\"v\":\"x\"}]}}");
    expect_rejected(h, "field \"v\" at byte 75 is no finite number: x"); // whole or not at all
    feed_line(h, "{\"dev\":\"d\",\"data\":{\"readings\":[{\"t\":1772323200,\"v\":1},7]}}");
    expect_rejected(h, "item 1 at byte 54 is no object");
    feed_line(h, "{\"dev\":\"d\",\"t\":1772323200}");
    expect_rejected(h, "no field \"data.readings\"");
    feed_line(h, "{\"dev\":\"d\",\"data\":{\"readings\":[]}}");
    assert_int_equal(tv_harness_reject_count(h) + tv_harness_output_count(h), 0);
    tv_harness_close(h);
}

// Escaped over and over, the device would not fit into the room for what had escapes.
static void items_share_what_stands_around_them(void **state) {
    (void)state;
    static char line[65536];
    tv_harness *h = start("each=r\nfields.value=v");
    int length = snprintf(line, sizeof line, "{\"device\":\"%080d\\u00e9\",\"time\":1772323200,\"r\":[{\"v\":0}", 7);
    for (int i = 1; i < 1024; i++)
        length += snprintf(line + length, sizeof line - (size_t)length, ",{\"v\":%d}", i);
    snprintf(line + length, sizeof line - (size_t)length, "]}");
    feed_line(h, line);
    assert_int_equal(tv_harness_reject_count(h), 0);
    assert_int_equal(reading_count(h), 1024);
    tv_harness_close(h);
}

static void a_line_that_is_a_list_has_a_message_an_item(void **state) {
    (void)state;
    tv_harness *h = start("");
    feed_line(
        h, " [{\"time\":1772323200,\"device\":\"d\",\"value\":3},{\"time\":1772323201,\"device\":\"d\",\"value\":4}]");
    EXPECT_READINGS(h, {"d/", 3, T0_NS}, {"d/", 4, T0_NS + SECOND_NS});
    feed_line(h, "[]");
    assert_int_equal(tv_harness_reject_count(h), 0);
    feed_line(h, "[{\"time\":1772323200,\"device\":\"d\",\"value\":3},4]");
    expect_rejected(h, "item 1 at byte 44 is no object");
    feed_line(h, "[{\"time\":1772323200,\"device\":\"d\",\"value\":3}");
    expect_rejected(h, "expected a comma or ] at byte 43");
    tv_harness_close(h);
}

// One largest message into a stage behind which there is no room.
static void readings_of_a_largest_message_wait_for_room(void **state) {
    (void)state;
    static char line[65536];
    tv_harness *h = start("fields.values=*\ndevice=a-device-with-the-longest-name-that-a-reading-can-have-beside-its-"
                          "metrics-in-a-list-of-them");
    for (int extra = 0; extra < 2; extra++) {
        int length = snprintf(line, sizeof line, "{\"time\":1772323200");
        for (int i = 0; i < 1024 + extra; i++)
            length += snprintf(line + length, sizeof line - (size_t)length, ",\"m%d\":%d", i, i);
        snprintf(line + length, sizeof line - (size_t)length, "}");
        tv_harness_room(h, 3);
        feed_line(h, line);
        if (extra == 0) {
            assert_int_equal(reading_count(h), 1024);
        } else {
            assert_int_equal(reading_count(h), 0);
            assert_string_equal(tv_harness_reject_at(h, 0)->reason, "more than 1024 readings in one message");
        }
    }
    tv_harness_close(h);
}

static void indexes_lead_into_lists(void **state) {
    (void)state;
    tv_harness *h = start("fields.time=readings.1.t\nfields.value=readings.1.v.0\ndevice=d");
    feed_line(h, "{\"readings\":[{\"t\":1,\"v\":[1]},{\"t\":1772323200,\"v\":[7,8]}]}");
    EXPECT_READINGS(h, {"d/", 7, T0_NS});
    feed_line(h, "{\"readings\":[{\"t\":1,\"v\":[1]}]}");
    expect_rejected(h, "no field \"readings.1.t\"");
    tv_harness_close(h);
}

static void names_with_escapes_are_found_at_every_depth(void **state) {
    (void)state;
    tv_harness *h = start("fields.value=data.temp\xc3\xa9rature\ndevice=d");
    feed_line(h, "{\"time\":1772323200,\"data\":{\"temp\\u00e9rature\":4}}");
    EXPECT_READINGS(h, {"d/", 4, T0_NS});
    feed_line(h, "{\"time\":1772323200,\"d\\u0061ta\":{\"relay\\/0\":5,\"temp\xc3\xa9rature\":5}}");
    EXPECT_READINGS(h, {"d/", 5, T0_NS});
    tv_harness_close(h);
    h = start("fields.value=data.a/\xf0\x9f\x8c\xa1.\"\ndevice=d");
    feed_line(h, "{\"time\":1772323200,\"data\":{\"a\\/\\ud83c\\udf21\":{\"\\\"\":6}}}");
    EXPECT_READINGS(h, {"d/", 6, T0_NS});
    tv_harness_close(h);
}

static void a_dot_may_be_part_of_a_name(void **state) {
    (void)state;
    tv_harness *h = start("fields.value=sensor.temp.c\ndevice=d");
    static const char *const texts[] = {
        "{\"time\":1772323200,\"sensor.temp.c\":4}",
        "{\"time\":1772323200,\"sensor\":{\"temp\":{\"c\":4}}}",
        "{\"time\":1772323200,\"sensor.temp\":{\"c\":4}}",
        "{\"time\":1772323200,\"sensor\":{\"temp.c\":4}}",
        "{\"time\":1772323200,\"sensor\":{\"temp\":{\"c\":1}},\"sensor.temp.c\":4}",
        "{\"time\":1772323200,\"sensor\":{\"temp\":{\"c\":1},\"temp.c\":4}}",
        "{\"time\":1772323200,\"sensor.temp\":5,\"sensor\":{\"temp.c\":4}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        feed_line(h, texts[i]);
        EXPECT_READINGS(h, {"d/", 4, T0_NS});
    }
    tv_harness_close(h);
    h = start("fields.value=sensor\\.temp\ndevice=d");
    feed_line(h, "{\"time\":1772323200,\"sensor\":{\"temp\":1},\"sensor.temp\":4}");
    EXPECT_READINGS(h, {"d/", 4, T0_NS});
    feed_line(h, "{\"time\":1772323200,\"sensor\":{\"temp\":1}}");
    expect_rejected(h, "no field \"sensor\\.temp\"");
    tv_harness_close(h);
}

static void lines_without_time_may_have_that_of_their_arrival(void **state) {
    (void)state;
    tv_harness *h = start("device=kitchen\nfields.value=temperature\ntime.missing=arrival");
    tv_harness_set_clock(h, T0_NS + 7, 0);
    feed_line(h, "{\"battery\":97,\"temperature\":21.5}");
    EXPECT_READINGS(h, {"kitchen/", 21.5, T0_NS + 7});
    feed_line(h, "{\"time\":null,\"temperature\":21.5}");
    EXPECT_READINGS(h, {"kitchen/", 21.5, T0_NS + 7});
    feed_line(h, "{\"time\":1772323200,\"temperature\":21.5}");
    EXPECT_READINGS(h, {"kitchen/", 21.5, T0_NS});
    feed_line(h, "{\"time\":\"soon\",\"temperature\":21.5}");
    expect_rejected(h, "field \"time\" at byte 9 is no time: soon");
    assert_int_equal(tv_harness_counter(h, "arrival_times"), 2);
    tv_harness_set_clock(h, TV_NO_EVENT_TIME, 0); // the stage reads no channel
    feed_line(h, "{\"temperature\":21.5}");
    expect_rejected(h, "no field \"time\"");
    tv_harness_close(h);
}

static void date_and_time_of_day_may_stand_apart(void **state) {
    (void)state;
    tv_harness *h =
        start("fields.time.length=2\nfields.time.0=date\nfields.time.1=clock\ndevice=d\ntime.utc_offset=+01:00");
    feed_line(h, "{\"date\":\"2026-03-01\",\"clock\":\"01:00:00\",\"value\":1}");
    EXPECT_READINGS(h, {"d/", 1, T0_NS});
    feed_line(h, "{\"date\":\"2026-03-01\",\"clock\":\"25:00:00\",\"value\":1}");
    expect_rejected(h, "field \"date\" at byte 9 is no time: 2026-03-01 25:00:00");
    feed_line(h, "{\"date\":\"2026-03-01\",\"value\":1}"); // not its midnight
    expect_rejected(h, "no field \"clock\"");
    tv_harness_close(h);
}

static void local_times_follow_a_zone(void **state) {
    (void)state;
    tv_harness *h = start("time.zone=Europe/Berlin\ndevice=d");
    feed_line(h, "{\"time\":\"2026-03-01T01:00:00\",\"value\":1}");
    EXPECT_READINGS(h, {"d/", 1, T0_NS});
    feed_line(h, "{\"time\":\"2026-07-01T02:00:00\",\"value\":1}");
    EXPECT_READINGS(h, {"d/", 1, T0_NS + 122 * 86400 * SECOND_NS});
    feed_line(h, "{\"time\":\"2026-03-29T02:30:00\",\"value\":1}"); // left out
    assert_int_equal(tv_harness_counter(h, "doubtful_times"), 1);
    tv_harness_close(h);
    h = start("time.utc_offset=-5h\ndevice=d");
    feed_line(h, "{\"time\":\"2026-02-28T19:00:00\",\"value\":1}");
    EXPECT_READINGS(h, {"d/", 1, T0_NS});
    tv_harness_close(h);
}

static void what_nobody_asks_for_may_be_odd(void **state) {
    (void)state;
    static const char *const odd[] = {"nan", "1e999", "\"\260C\"", "-Infinity", "007", "{\"a\":[NaN]}", "\"\\ud800\""};
    char line[256];
    tv_harness *lenient = start("json=lenient\ndevice=d"), *strict = start("device=d");
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        snprintf(line, sizeof line, "{\"time\":1772323200,\"value\":21.5,\"odd\":%s}", odd[i]);
        feed_line(lenient, line);
        EXPECT_READINGS(lenient, {"d/", 21.5, T0_NS});
        assert_int_equal(tv_harness_counter(lenient, "odd_members"), i + 1);
        feed_line(strict, line);
        assert_int_equal(tv_harness_reject_count(strict), 1);
    }
    feed_line(lenient, "{\"time\":1772323200,\"value\":nan}");
    expect_rejected(lenient, "field \"value\" at byte 27 is no finite number: nan");
    feed_line(lenient, "{\"time\":1772323200,\"value\":1e999}");
    expect_rejected(lenient, "field \"value\" at byte 27 is no finite number: 1e999");
    feed_line(lenient, "{\"time\":1772323200,\"value\":1,\"device\":\"caf\xe9\"}"); // not the configured device
    expect_rejected(lenient, "field \"device\" at byte 39 is not UTF-8, or has broken escapes (see `encoding`)");
    tv_harness *star = start("json=lenient\ndevice=d\nfields.values=*");
    feed_line(star, "{\"time\":1772323200,\"a\":1,\"\xe9\":2,\"b\":nan}");
    EXPECT_READINGS(star, {"d/a", 1, T0_NS});
    tv_harness_close(star);
    feed_line(lenient, "{\"time\":1772323200,\"value\":1");
    expect_rejected(lenient, "expected a comma or } at byte 28");
    tv_harness_close(lenient);
    tv_harness_close(strict);
}

static void a_byte_order_mark_is_no_part_of_the_text(void **state) {
    (void)state;
    tv_harness *h = start("device=d");
    feed_line(h, "\xef\xbb\xbf{\"time\":1772323200,\"value\":1}");
    EXPECT_READINGS(h, {"d/", 1, T0_NS});
    feed_line(h, "\xef\xbb\xbf");
    assert_int_equal(tv_harness_counter(h, "blank_lines"), 1);
    tv_harness_close(h);
}

static void wide_text_is_told_from_broken_text(void **state) {
    (void)state;
    tv_harness *h = start("device=d");
    tv_harness_clear(h);
    tv_harness_feed(h, TV_NO_EVENT_TIME, 0, "\xff\xfe{\0\"\0", 6);
    tv_harness_run(h);
    expect_rejected(h, "the text is UTF-16 or UTF-32, not UTF-8: convert it before");
    tv_harness_clear(h);
    tv_harness_feed(h, TV_NO_EVENT_TIME, 0, "\0{\0\"\0t", 6);
    tv_harness_run(h);
    expect_rejected(h, "NUL at byte 0 (UTF-16 text must be converted to UTF-8)");
    tv_harness_close(h);
}

static void a_carriage_return_ends_no_line(void **state) {
    (void)state;
    tv_harness *h = start("device=d");
    feed_line(h, "{\"time\":1,\"value\":1}\r{\"time\":2,\"value\":2}");
    expect_rejected(h, "expected the end at byte 21 (lines must end with a line feed)");
    feed_line(h, "{\"time\":1772323200,\"value\":1}\r");
    EXPECT_READINGS(h, {"d/", 1, T0_NS});
    tv_harness_close(h);
}

static void latin_1_is_converted_when_asked_for(void **state) {
    (void)state;
    const char *line = "{\"time\":1772323200,\"device\":\"caf\xe9\",\"Temp [\260C]\":4}";
    tv_harness *h = start("encoding=latin1\nfields.value=Temp [\xc2\260C]");
    feed_line(h, line);
    EXPECT_READINGS(h, {"caf\xc3\xa9/", 4, T0_NS});
    tv_harness_close(h);
    h = start("fields.value=Temp [\xc2\260C]");
    feed_line(h, line);
    expect_rejected(h, "malformed UTF-8 at byte 32");
    tv_harness_close(h);
    h = start("encoding=windows-1252\nfields.device=\xe2\x82\xac");
    feed_line(h, "{\"time\":1772323200,\"\x80\":\"\x93\xe9\x94\",\"value\":4}");
    EXPECT_READINGS(h, {"\xe2\x80\x9c\xc3\xa9\xe2\x80\x9d/", 4, T0_NS});
    feed_line(h, "{\"time\":1772323200,\"\x80\":\"\x81\",\"value\":4}");
    expect_rejected(h, "byte 24 is no character");
    tv_harness_close(h);
}

static void a_line_too_long_to_convert_says_so(void **state) {
    (void)state;
    static char line[65536 + 64];
    tv_harness *h = open_component("sensor-source");
    configure(h, "encoding=latin1\ndevice=d");
    tv_harness_batch(h, 16, 131072);
    assert_int_equal(tv_harness_start(h), 0);
    snprintf(line, sizeof line, "{\"time\":1772323200,\"value\":4}%65600s", "");
    feed_line(h, line);
    assert_int_equal(reading_count(h), 0);
    assert_string_equal(tv_harness_reject_at(h, 0)->reason, "65599 bytes, too many for another encoding than UTF-8");
    tv_harness_close(h);
}

static void integers_beyond_2_53_become_the_nearest_double(void **state) {
    (void)state;
    tv_harness *h = start("device=d");
    feed_line(h, "{\"time\":1772323200,\"value\":9007199254740993}");
    EXPECT_READINGS(h, {"d/", 9007199254740992.0, T0_NS});
    feed_line(h, "{\"time\":1772323200,\"value\":18446744073709551617}");
    EXPECT_READINGS(h, {"d/", 18446744073709551616.0, T0_NS});
    feed_line(h, "{\"time\":1772323200,\"value\":1e400}");
    expect_rejected(h, "the number is out of range at byte 32");
    feed_line(h, "{\"time\":1772323200,\"value\":1,\"value\":2}"); // the last counts
    EXPECT_READINGS(h, {"d/", 2, T0_NS});
    tv_harness_close(h);
}

static void bad_configuration_of_fields_is_named(void **state) {
    (void)state;
    static const char *const faults[][2] = {
        {"fields.value=a\nfields.values=*", "fields.value: either this or fields.values"},
        {"fields.values.length=0\nfields.values=[]", "fields.values: must not be empty"},
        {"fields.values=[]\nfields.values.length=2\nfields.values.0=a\nfields.values.1=*",
         "fields.values: \"*\" stands alone"},
        {"fields.values={\"a\":\"b\"}", "fields.values: expected a list of names"},
        {"fields.time.length=4", "fields.time"},
        {"fields.value=a.b.c.d.e.f.g.h.i", "fields.value: leads through more than 8 parts"},
        {"each=", "each: must not be empty"},
        {"time.zone=Europe/Atlantis", "time.zone: expected a zone"},
        {"time.zone=+05:30", "for a fixed offset use time.utc_offset"},
        {"time.utc_offset=Europe/Berlin", "for a zone use time.zone"},
        {"time.utc_offset=1x", "time.utc_offset: expected an offset"},
        {"time.utc_offset=1h\ntime.zone=UTC", "time.zone: either this or time.utc_offset"},
        {"time.format=%H:%M", "time.format: '%H:%M' has no whole date"},
        {"time.format.length=1\ntime.format.0=%d.%m.%Q", "time.format.0"},
        {"time.missing=now", "time.missing"},
        {"json=loose", "json"},
        {"encoding=ebcdic", "encoding"},
        {"csv.decimal=;", "csv.decimal"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        expect_init_failure("sensor-source", faults[i][0], faults[i][1]);
}

// 64 listed values of three parts each are more names than can be asked for.
static void more_names_than_can_be_read_are_refused(void **state) {
    (void)state;
    tv_harness *h = open_component("sensor-source");
    tv_harness_config(h, "fields.values", "[]");
    tv_harness_config(h, "fields.values.length", "64");
    static char paths[64][32], names[64][32];
    for (int i = 0; i < 64; i++) {
        snprintf(paths[i], sizeof paths[i], "fields.values.%d", i);
        snprintf(names[i], sizeof names[i], "a%d.b.c", i);
        tv_harness_config(h, paths[i], names[i]);
    }
    assert_true(tv_harness_start(h) < 0);
    assert_non_null(strstr(tv_harness_log(h), "config fields: more than 160 names"));
    tv_harness_close(h);
    expect_init_failure("sensor-source", "fields.values=[]\nfields.values.length=65", "fields.values");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed_values_become_readings),
        cmocka_unit_test(star_takes_every_number),
        cmocka_unit_test(items_of_a_list_become_readings),
        cmocka_unit_test(items_share_what_stands_around_them),
        cmocka_unit_test(a_line_that_is_a_list_has_a_message_an_item),
        cmocka_unit_test(readings_of_a_largest_message_wait_for_room),
        cmocka_unit_test(indexes_lead_into_lists),
        cmocka_unit_test(names_with_escapes_are_found_at_every_depth),
        cmocka_unit_test(a_dot_may_be_part_of_a_name),
        cmocka_unit_test(lines_without_time_may_have_that_of_their_arrival),
        cmocka_unit_test(date_and_time_of_day_may_stand_apart),
        cmocka_unit_test(local_times_follow_a_zone),
        cmocka_unit_test(what_nobody_asks_for_may_be_odd),
        cmocka_unit_test(a_byte_order_mark_is_no_part_of_the_text),
        cmocka_unit_test(wide_text_is_told_from_broken_text),
        cmocka_unit_test(a_carriage_return_ends_no_line),
        cmocka_unit_test(latin_1_is_converted_when_asked_for),
        cmocka_unit_test(a_line_too_long_to_convert_says_so),
        cmocka_unit_test(integers_beyond_2_53_become_the_nearest_double),
        cmocka_unit_test(bad_configuration_of_fields_is_named),
        cmocka_unit_test(more_names_than_can_be_read_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
