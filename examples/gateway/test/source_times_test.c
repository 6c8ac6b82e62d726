// Times in text: zones, offsets, ISO 8601, formats, epochs.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../components/times.h"

static int64_t utc(const char *text) {
    int64_t time_ns;
    if (!tv_read_time(tv_string_of(text), &time_ns)) fail_msg("%s", text);
    return time_ns;
}

static void expect_time(int64_t found_ns, const char *expected, const char *what) {
    char text[TV_TIME_BYTES_MAX + 1] = "";
    if (found_ns == utc(expected)) return;
    text[tv_write_time(text, found_ns)] = 0;
    fail_msg("%s is %s, not %s", what, text, expected);
}

// ---- offsets and zones --------------------------------------------------------------------------------------

static void offsets_are_read_in_every_usual_spelling(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int32_t seconds;
    } offsets[] = {
        {"0", 0},
        {"0s", 0},
        {"Z", 0},
        {"utc", 0},
        {"GMT", 0},
        {"1h", 3600},
        {"-5h", -18000},
        {"+5h30m", 19800},
        {"-90m", -5400},
        {"5.5h", 19800},
        {"+05:30", 19800},
        {"-05:00", -18000},
        {"05:30", 19800},
        {"5:30", 19800},
        {"+0530", 19800},
        {"-0330", -12600},
        {"530", 19800},
        {"-330", -12600},
        {"UTC-5", -18000},
        {"UTC+05:30", 19800},
        {"GMT+1", 3600},
        {"UTC +2", 7200},
        {"-5", -18000},
        {"+14", 50400},
        {"-12:00", -43200},
        {"1d", 86400},
        {"-24h", -86400},
        {" -5h ", -18000},
        {"\342\210\2223", -10800},
    };
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        int32_t seconds = -1;
        if (!zone_read_offset(tv_string_of(offsets[i].text), &seconds)) fail_msg("%s", offsets[i].text);
        if (seconds != offsets[i].seconds) fail_msg("%s: %d", offsets[i].text, seconds);
    }
}

static void what_is_no_offset_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"+",    "-",    "5:3",   "5:60",  "+05:300", "25h",           "-25:00",
                                        "--5h", "+-5h", "UTC+",  "5x",    "12345",   "Europe/Berlin", "CET",
                                        "1ms",  "05:",  "99999", "5h-3m", "+5 30h",  "UTCx",          "2500"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int32_t seconds;
        if (zone_read_offset(tv_string_of(texts[i]), &seconds)) fail_msg("%s: %d", texts[i], seconds);
    }
}

static int64_t local(const char *zone_name, const char *text, bool *doubtful) {
    time_zone zone;
    civil_time time;
    int64_t time_ns;
    if (!zone_read(tv_string_of(zone_name), &zone)) fail_msg("%s", zone_name);
    if (!time_read_iso(tv_string_of(text), &time)) fail_msg("%s", text);
    if (!time_value(&time, &zone, doubtful, &time_ns)) fail_msg("%s", text);
    return time_ns;
}

static void zones_follow_their_rules(void **state) {
    (void)state;
    static const struct {
        const char *zone, *local, *utc;
        bool doubtful;
    } times[] = {
        {"Europe/Berlin", "2026-01-01T00:00:00", "2025-12-31T23:00:00Z", false},
        {"Europe/Berlin", "2026-07-01T00:00:00", "2026-06-30T22:00:00Z", false},
        {"Europe/Berlin", "2026-03-29T01:59:59", "2026-03-29T00:59:59Z", false},
        {"Europe/Berlin", "2026-03-29T02:30:00", "2026-03-29T01:30:00Z", true}, // left out
        {"Europe/Berlin", "2026-03-29T03:00:00", "2026-03-29T01:00:00Z", false},
        {"Europe/Berlin", "2026-10-25T01:59:59", "2026-10-24T23:59:59Z", false},
        {"Europe/Berlin", "2026-10-25T02:00:00", "2026-10-25T00:00:00Z", true}, // comes twice
        {"Europe/Berlin", "2026-10-25T02:59:59", "2026-10-25T00:59:59Z", true},
        {"Europe/Berlin", "2026-10-25T03:00:00", "2026-10-25T02:00:00Z", false},
        {"europe/berlin", "2026-07-01T00:00:00", "2026-06-30T22:00:00Z", false},
        {"America/New_York", "2026-03-08T03:00:00", "2026-03-08T07:00:00Z", false},
        {"America/New_York", "2026-11-01T01:30:00", "2026-11-01T05:30:00Z", true},
        {"America/New_York", "2026-12-31T23:00:00", "2027-01-01T04:00:00Z", false},
        {"Australia/Sydney", "2026-01-15T12:00:00", "2026-01-15T01:00:00Z", false}, // summer over the new year
        {"Australia/Sydney", "2026-07-15T12:00:00", "2026-07-15T02:00:00Z", false},
        {"Australia/Sydney", "2027-01-01T00:00:00", "2026-12-31T13:00:00Z", false},
        {"Australia/Lord_Howe", "2026-01-15T12:00:00", "2026-01-15T01:00:00Z", false}, // half an hour
        {"Asia/Kolkata", "2026-01-15T12:00:00", "2026-01-15T06:30:00Z", false},
        {"Asia/Kathmandu", "2026-01-15T12:00:00", "2026-01-15T06:15:00Z", false},
        {"Europe/Dublin", "2026-07-15T12:00:00", "2026-07-15T11:00:00Z", false}, // winter is the exception
        {"Europe/Dublin", "2026-01-15T12:00:00", "2026-01-15T12:00:00Z", false},
        {"America/Nuuk", "2026-07-15T12:00:00", "2026-07-15T13:00:00Z", false},   // changes at -1 o'clock
        {"Asia/Jerusalem", "2026-03-27T03:00:00", "2026-03-27T00:00:00Z", false}, // at 26 o'clock of Thursday
        {"Africa/Cairo", "2026-07-15T12:00:00", "2026-07-15T09:00:00Z", false},
        {"Etc/GMT+5", "2026-07-15T12:00:00", "2026-07-15T17:00:00Z", false},
        {"UTC", "2026-07-15T12:00:00", "2026-07-15T12:00:00Z", false},
        {"CET-1CEST,M3.5.0,M10.5.0/3", "2026-07-01T00:00:00", "2026-06-30T22:00:00Z", false},
        {"<-03>3<-02>,M3.2.0,M11.1.0", "2026-07-01T00:00:00", "2026-07-01T02:00:00Z", false},
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char what[128];
        bool doubtful;
        snprintf(what, sizeof what, "%s in %s", times[i].local, times[i].zone);
        expect_time(local(times[i].zone, times[i].local, &doubtful), times[i].utc, what);
        if (doubtful != times[i].doubtful) fail_msg("%s: doubtful %d", what, doubtful);
    }
}

static void every_zone_of_the_table_can_be_read(void **state) {
    (void)state;
    unsigned names = 0;
    for (const char *at = zone_table; *at != 0; at++) {
        if (*at != ' ') continue;
        tv_string name = {at + 1, 0};
        time_zone zone;
        while (name.bytes[name.length] != ' ' && name.bytes[name.length] != '\n')
            name.length++;
        if (!zone_read(name, &zone)) fail_msg("%.*s", (int)name.length, name.bytes);
        assert_true(zone.standard_s >= -DAY_S / 2 && zone.standard_s <= 14 * HOUR_S);
        names++;
    }
    assert_true(names > 400);
}

static void what_is_no_zone_is_refused(void **state) {
    (void)state;
    static const char *const names[] = {"",
                                        "Europe/Atlantis",
                                        "Europe",
                                        "Berlin",
                                        "CET-1CEST",
                                        "M3.5.0,M10.5.0",
                                        "CET-1CEST,M3.5.0",
                                        "CET-1CEST,M13.5.0,M10.5.0",
                                        "CET-1CEST,M3.6.0,M10.5.0",
                                        "CET-1CEST,M3.5.7,M10.5.0",
                                        "CET-1CEST,J60,J300",
                                        "CET-1CEST,M3.5.0,M10.5.0/",
                                        "CET-1CEST,M3.5.0,M10.5.0x",
                                        "<CET",
                                        ",",
                                        "Europe/Berlin "};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        time_zone zone;
        if (zone_read(tv_string_of(names[i]), &zone)) fail_msg("%s", names[i]);
    }
}

// Hour by hour over three years: local time and back is the same moment but for the hour that comes twice.
static void local_times_lead_back_to_the_moment(void **state) {
    (void)state;
    static const char *const names[] = {"Europe/Berlin", "America/New_York", "Australia/Sydney", "Europe/Dublin",
                                        "America/Nuuk",  "Asia/Kolkata",     "Africa/Cairo",     "America/Santiago"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        time_zone zone;
        unsigned doubts = 0;
        assert_true(zone_read(tv_string_of(names[i]), &zone));
        for (int64_t at = utc("2025-01-01T00:30:00Z") / 1000000000; at < 1830294000; at += HOUR_S) {
            bool doubtful;
            int64_t back = zone_to_utc(&zone, at + zone_offset_at(&zone, at), &doubtful);
            if (back != at && !(doubtful && back == at - HOUR_S)) fail_msg("%s: %lld", names[i], (long long)at);
            doubts += doubtful;
        }
        assert_true(doubts <= 6); // two hours a year
    }
}

// ---- ISO 8601 -----------------------------------------------------------------------------------------------

static void iso_times_are_read_in_their_forms(void **state) {
    (void)state;
    static const struct {
        const char *text, *utc;
    } times[] = {
        {"2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"},
        {"2026-03-01t12:00:00z", "2026-03-01T12:00:00Z"},
        {"2026-03-01 12:00:00", "2026-03-01T12:00:00Z"},
        {"2026-03-01  12:00", "2026-03-01T12:00:00Z"},
        {"2026/03/01 12:00:00", "2026-03-01T12:00:00Z"},
        {"2026-03-01", "2026-03-01T00:00:00Z"},
        {"20260301T120000Z", "2026-03-01T12:00:00Z"},
        {"20260301T1200", "2026-03-01T12:00:00Z"},
        {"20260301T120000.5+0100", "2026-03-01T11:00:00.500Z"},
        {"2026-03-01 12:00:00 UTC", "2026-03-01T12:00:00Z"},
        {"2026-03-01 12:00:00 GMT", "2026-03-01T12:00:00Z"},
        {"2026-03-01 12:00:00 +0000", "2026-03-01T12:00:00Z"},
        {"2026-03-01 12:00:00 -05:30", "2026-03-01T17:30:00Z"},
        {"2026-03-01T12:00:00-05", "2026-03-01T17:00:00Z"},
        {"2026-03-01T12:00:00,25Z", "2026-03-01T12:00:00.250Z"},
        {"2026-03-01T12:00:00.123456789123Z", "2026-03-01T12:00:00.123456789Z"},
        {"2026-03-01 24:00:00", "2026-03-02T00:00:00Z"},
        {"2026-12-31T24:00Z", "2027-01-01T00:00:00Z"},
        {"2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"},
        {"1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"},
        {"2024-02-29", "2024-02-29T00:00:00Z"},
    };
    time_memory memory = {.decimal = '.'};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        int64_t time_ns;
        if (!parse_time(&memory, tv_string_of(times[i].text), &time_ns)) fail_msg("%s", times[i].text);
        expect_time(time_ns, times[i].utc, times[i].text);
    }
}

static void what_is_no_time_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "2026",
        "2026-03",
        "2026-3-1",
        "2026-02-29",
        "2026-13-01",
        "2026-00-01",
        "2026-03-00",
        "2026-03-01T",
        "2026-03-01T12",
        "2026-03-01T25:00:00",
        "2026-03-01T12:60",
        "01.03.2026",
        "03/01/2026",
        "2026-03-01 24:01",
        "2026-03-01T12:00:",
        "2026-03-01T12:00:0",
        "2026-03-01 12:00 PM",
        "12:00:00",
        "2026-03/01",
        "20260301T",
        "2026-03-01 CET",
        "2026-03-01T12:00+1",
        "2026-03-01 12:00:00 CET",
        "noon",
        "1677-09-20T00:00:00Z",
        "2263-01-01",
        "2026-03-01T12:00:00.",
        "2026-W09-7",
        "\xff",
    };
    time_zone zone = zone_fixed(0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        civil_time time;
        bool doubtful;
        int64_t time_ns;
        if (time_read_iso(tv_string_of(texts[i]), &time) && time_value(&time, &zone, &doubtful, &time_ns))
            fail_msg("%s", texts[i]);
    }
}

// ---- formats ------------------------------------------------------------------------------------------------

static void formats_say_where_things_stand(void **state) {
    (void)state;
    static const struct {
        const char *format, *text, *utc;
    } times[] = {
        {"%d.%m.%Y %H:%M:%S", "01.03.2026 12:00:00", "2026-03-01T12:00:00Z"},
        {"%d.%m.%Y %H:%M:%S", "1.3.2026  2:00:00", "2026-03-01T02:00:00Z"},
        {"%d.%m.%y %H:%M", "01.03.26 12:00", "2026-03-01T12:00:00Z"},
        {"%d/%m/%y", "01/03/69", "1969-03-01T00:00:00Z"},
        {"%m/%d/%Y %I:%M:%S %p", "03/01/2026 12:00:00 PM", "2026-03-01T12:00:00Z"},
        {"%m/%d/%Y %I:%M:%S %p", "3/1/2026 12:05:00 am", "2026-03-01T00:05:00Z"},
        {"%m/%d/%Y %I:%M %p", "3/1/2026 1:05 p.m.", "2026-03-01T13:05:00Z"},
        {"%d-%b-%y %H:%M:%S", "01-Mar-26 12:00:00", "2026-03-01T12:00:00Z"},
        {"%d %B %Y %T", "01 march 2026 12:00:00", "2026-03-01T12:00:00Z"},
        {"%b %e, %Y", "Sept 9, 2026", "2026-09-09T00:00:00Z"},
        {"%b %e, %Y", "SEP  9, 2026", "2026-09-09T00:00:00Z"},
        {"%a %b %e %H:%M:%S %Y", "Sun Mar  1 12:00:00 2026", "2026-03-01T12:00:00Z"},
        {"%A, %d %b %Y %T %Z", "Sunday, 01 Mar 2026 12:00:00 GMT", "2026-03-01T12:00:00Z"},
        {"%d/%b/%Y:%H:%M:%S %z", "01/Mar/2026:12:00:00 +0100", "2026-03-01T11:00:00Z"},
        {"%Y%m%d%H%M%S", "20260301120000", "2026-03-01T12:00:00Z"},
        {"%Y%m%d%H%M%S%f", "20260301120000250", "2026-03-01T12:00:00.250Z"},
        {"%Y-%j", "2024-366", "2024-12-31T00:00:00Z"},
        {"%F %T,%f", "2026-03-01 12:00:00,125", "2026-03-01T12:00:00.125Z"},
        {"%s", "-1", "1969-12-31T23:59:59Z"},
        {"%s.%f", "1772366400.5", "2026-03-01T12:00:00.500Z"},
        {"%s.%f", "-100.5", "1969-12-31T23:58:19.500Z"},
        {"%s.%f", "-0.25", "1969-12-31T23:59:59.750Z"},
        {"%D %R", "03/01/26 24:00", "2026-03-02T00:00:00Z"},
        {"%%%Y|%m|%d", "%2026|03|01", "2026-03-01T00:00:00Z"},
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        time_memory memory = {.decimal = '.', .format_count = 1};
        int64_t time_ns;
        assert_null(time_format_fault(times[i].format));
        snprintf(memory.formats[0], TIME_FORMAT_BYTES, "%s", times[i].format);
        if (!parse_time(&memory, tv_string_of(times[i].text), &time_ns)) fail_msg("%s", times[i].text);
        expect_time(time_ns, times[i].utc, times[i].text);
    }
}

static void texts_that_do_not_fit_the_format_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *format, *text;
    } times[] = {
        {"%d.%m.%Y", "31.02.2026"},
        {"%d.%m.%Y", "1.3.26"},
        {"%d.%m.%Y", "01.03.2026 12:00"},
        {"%d.%m.%Y", "01-03-2026"},
        {"%d.%m.%Y", "1772366400"},
        {"%d.%m.%Y %I %p", "01.03.2026 13 PM"},
        {"%d.%m.%Y %I %p", "01.03.2026 0 AM"},
        {"%d %b %Y", "01 Mrz 2026"},
        {"%Y-%j", "2026-366"},
        {"%d.%m.%Y %H:%M %Z", "01.03.2026 12:00 CET"},
        {"%d.%m.%Y %H", "01.03.2026 25"},
        {"%s", "12x"},
        {"%d.%m.%Y", ""},
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        time_memory memory = {.decimal = '.', .format_count = 1};
        int64_t time_ns;
        snprintf(memory.formats[0], TIME_FORMAT_BYTES, "%s", times[i].format);
        if (parse_time(&memory, tv_string_of(times[i].text), &time_ns)) fail_msg("%s", times[i].text);
    }
}

static void formats_without_a_whole_date_are_faulty(void **state) {
    (void)state;
    static const char *const formats[] = {"",
                                          "%H:%M",
                                          "%d.%m",
                                          "%Y",
                                          "%d.%m.%Q",
                                          "%d.%m.%Y %",
                                          "%d.%m.%Y %I:%M",
                                          "%d.%m.%Y %H:%M %p",
                                          "%d.%m.%Y %I %H %p",
                                          "2026-01-01"};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (time_format_fault(formats[i]) == NULL) fail_msg("%s", formats[i]);
    }
}

// ---- epochs -------------------------------------------------------------------------------------------------

static void epochs_are_read_in_their_units_and_notations(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t unit_ns; // 0: by size
        int64_t time_ns;
    } epochs[] = {
        {"1772366400", 0, 1772366400000000000},
        {"+1772366400", 0, 1772366400000000000},
        {"1772366400.123456789", 0, 1772366400123456789},
        {"1.7723664e+09", 0, 1772366400000000000},
        {"1.7723664e9", 0, 1772366400000000000},
        {"1.7723664E09", 0, 1772366400000000000},
        {"1.7723664001e9", 0, 1772366400100000000},
        {"1.7723664e+12", 0, 1772366400000000000},
        {"1.772366400123e12", 0, 1772366400123000000},
        {"1.7723664e15", 0, 1772366400000000000},
        {"1.772366400123456789e18", 0, 1772366400123456789},
        {"17723664e2", 0, 1772366400000000000},
        {"1772366400000e-3", 0, 1772366400000000000},
        {"-1.5e0", 0, -1500000000},
        {"0e0", 0, 0},
        {"1772366400000", 1000000000, INT64_MIN},
        {"1772366400000", 1000000, 1772366400000000000},
        {"5", 1000000, 5000000},
        {"5.25", 1000, 5250},
        {"5e3", 1000000, 5000000000},
        {"1e30", 0, INT64_MIN},
        {"1e-30", 0, 0},
        {"1e999", 0, INT64_MIN},
        {"1e9999", 0, INT64_MIN},
        {"e9", 0, INT64_MIN},
        {"1e", 0, INT64_MIN},
        {"1e+", 0, INT64_MIN},
        {"1.e9", 0, INT64_MIN},
        {"--1", 0, INT64_MIN},
        {"1772366400x", 0, INT64_MIN},
        {"99999999999999999999", 0, INT64_MIN},
    };
    for (size_t i = 0; i < sizeof epochs / sizeof *epochs; i++) {
        int64_t time_ns = INT64_MIN;
        bool good = parse_epoch(tv_string_of(epochs[i].text), '.', epochs[i].unit_ns, &time_ns);
        if (good != (epochs[i].time_ns != INT64_MIN)) fail_msg("%s: %d %lld", epochs[i].text, good, (long long)time_ns);
        if (good && time_ns != epochs[i].time_ns) fail_msg("%s: %lld", epochs[i].text, (long long)time_ns);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_are_read_in_every_usual_spelling),
        cmocka_unit_test(what_is_no_offset_is_refused),
        cmocka_unit_test(zones_follow_their_rules),
        cmocka_unit_test(every_zone_of_the_table_can_be_read),
        cmocka_unit_test(what_is_no_zone_is_refused),
        cmocka_unit_test(local_times_lead_back_to_the_moment),
        cmocka_unit_test(iso_times_are_read_in_their_forms),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(formats_say_where_things_stand),
        cmocka_unit_test(texts_that_do_not_fit_the_format_are_refused),
        cmocka_unit_test(formats_without_a_whole_date_are_faulty),
        cmocka_unit_test(epochs_are_read_in_their_units_and_notations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
