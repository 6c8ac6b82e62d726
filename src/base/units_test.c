// Sizes and durations: what is read, what is refused, and that what is printed can be read again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/option.h"

static void expect_size(const char *text, uint64_t expected) {
    uint64_t bytes = 0;
    tv_error error = {0};
    tv_status status = tv_parse_size(text, &bytes, &error);
    if (status || bytes != expected) fail_msg("%s: %llu, %s", text, (unsigned long long)bytes, error.message);
}

static void expect_no_size(const char *text, const char *reason) {
    uint64_t bytes = 77;
    tv_error error = {0};
    if (tv_parse_size(text, &bytes, &error) != TV_INVALID) fail_msg("accepted: %s", text);
    assert_true(bytes == 77);
    if (!strstr(error.message, reason)) fail_msg("%s: %s", text, error.message);
}

static void sizes_are_read_with_every_unit(void **state) {
    (void)state;
    expect_size("0", 0);
    expect_size("4096", 4096);
    expect_size("1B", 1);
    expect_size("2KB", 2000);
    expect_size("3MB", 3000000);
    expect_size("4GB", UINT64_C(4000000000));
    expect_size("64KiB", 65536);
    expect_size("2 MiB", 2 << 20);
    expect_size(" 1GiB ", 1 << 30);
    expect_size("1.5MiB", 3 << 19);
    expect_size("0.3KiB", 307);
    expect_size("18446744073709551615", UINT64_MAX);
}

static void malformed_sizes_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"",      " ",   "KiB", "-1",    "+1",    "1.",
                                        ".5KiB", "1 2", "64k", "64kib", "1KiBx", "1e3"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        expect_no_size(texts[i], "expected a size such as 64KiB");
    }
}

static void sizes_over_64_bits_are_refused(void **state) {
    (void)state;
    expect_no_size("18446744073709551616", "64 bits");
    expect_no_size("99999999999999999999999999KiB", "64 bits");
    expect_no_size("17179869184GiB", "64 bits");
    expect_size("17179869183GiB", UINT64_C(17179869183) << 30);
    expect_size("17179869183.999999999GiB", UINT64_MAX - 1);
}

static void expect_duration(const char *text, int64_t expected) {
    int64_t duration_ns = 0;
    tv_error error = {0};
    tv_status status = tv_parse_duration(text, &duration_ns, &error);
    if (status || duration_ns != expected) fail_msg("%s: %lld, %s", text, (long long)duration_ns, error.message);
}

static void expect_no_duration(const char *text, const char *reason) {
    int64_t duration_ns = 77;
    tv_error error = {0};
    if (tv_parse_duration(text, &duration_ns, &error) != TV_INVALID) fail_msg("accepted: %s", text);
    assert_true(duration_ns == 77);
    if (!strstr(error.message, reason)) fail_msg("%s: %s", text, error.message);
}

static void durations_are_read_with_every_unit(void **state) {
    (void)state;
    expect_duration("0", 0);
    expect_duration("7ns", 7);
    expect_duration("7us", 7000);
    expect_duration("250ms", 250000000);
    expect_duration("5s", 5000000000);
    expect_duration("1m", 60000000000);
    expect_duration("1h30m", 5400000000000);
    expect_duration("1 d 1 ms", 86400001000000);
    expect_duration("0.5s", 500000000);
    expect_duration("1.5ns", 1);
}

static void malformed_durations_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"",     " ",     "5",     "s",   "-5s", "30m1h",
                                        "1s1s", "5 sec", "1h 30", "5s,", "1.s", "5S"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        expect_no_duration(texts[i], "expected a duration such as 100ms");
    }
}

static void durations_over_64_bits_are_refused(void **state) {
    (void)state;
    expect_duration("9223372036854775807ns", INT64_MAX);
    expect_no_duration("9223372036854775808ns", "292 years");
    expect_no_duration("106752d", "292 years");
    expect_no_duration("106751d24h", "292 years");
    expect_no_duration("99999999999999999999d", "292 years");
}

static void sizes_are_printed_short(void **state) {
    (void)state;
    char out[32];
    assert_string_equal(tv_format_size(0, out), "0 B");
    assert_string_equal(tv_format_size(1023, out), "1023 B");
    assert_string_equal(tv_format_size(1024, out), "1 KiB");
    assert_string_equal(tv_format_size(65536, out), "64 KiB");
    assert_string_equal(tv_format_size(3 << 19, out), "1.5 MiB");
    assert_string_equal(tv_format_size((1 << 20) - 1, out), "1 MiB");
    assert_string_equal(tv_format_size(UINT64_MAX, out), "17179869184 GiB");
}

static void durations_are_printed_short(void **state) {
    (void)state;
    char out[32];
    assert_string_equal(tv_format_duration(0, out), "0 ns");
    assert_string_equal(tv_format_duration(999, out), "999 ns");
    assert_string_equal(tv_format_duration(1500, out), "1.5 us");
    assert_string_equal(tv_format_duration(100000000, out), "100 ms");
    assert_string_equal(tv_format_duration(999999999, out), "1 s");
    assert_string_equal(tv_format_duration(59900000000, out), "59.9 s");
    assert_string_equal(tv_format_duration(59970000000, out), "1 m");
    assert_string_equal(tv_format_duration(90000000000, out), "1 m 30 s");
    assert_string_equal(tv_format_duration(3599600000000, out), "1 h");
    assert_string_equal(tv_format_duration(5400000000000, out), "1 h 30 m");
    assert_string_equal(tv_format_duration(INT64_C(86399999999999), out), "1 d");
    assert_string_equal(tv_format_duration(-5000000000, out), "-5 s");
    assert_string_equal(tv_format_duration(INT64_MAX, out), "106752 d");
}

static void printed_values_can_be_read_again(void **state) {
    (void)state;
    char out[32];
    for (uint64_t value = 1; value < UINT64_C(1) << 62; value = value * 3 + 1) {
        int64_t duration_ns = 0;
        uint64_t bytes = 0;
        assert_int_equal(tv_parse_duration(tv_format_duration((int64_t)value, out), &duration_ns, NULL), TV_OK);
        double ratio = (double)duration_ns / (double)value;
        if (ratio < 0.95 || ratio > 1.05) fail_msg("%s is not %llu ns", out, (unsigned long long)value);
        assert_int_equal(tv_parse_size(tv_format_size(value, out), &bytes, NULL), TV_OK);
        ratio = (double)bytes / (double)value;
        if (ratio < 0.95 || ratio > 1.05) fail_msg("%s is not %llu bytes", out, (unsigned long long)value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_read_with_every_unit),   cmocka_unit_test(malformed_sizes_are_refused),
        cmocka_unit_test(sizes_over_64_bits_are_refused),   cmocka_unit_test(durations_are_read_with_every_unit),
        cmocka_unit_test(malformed_durations_are_refused),  cmocka_unit_test(durations_over_64_bits_are_refused),
        cmocka_unit_test(sizes_are_printed_short),          cmocka_unit_test(durations_are_printed_short),
        cmocka_unit_test(printed_values_can_be_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
