// Numbers, times, durations and formatted text of the SDK, compiled natively.
#include "torvyn/text.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *written_f64(double value) {
    static char text[TV_NUMBER_BYTES_MAX + 1];
    text[tv_write_f64(text, value)] = 0;
    return text;
}

static const char *written_fixed(double value, uint32_t decimals) {
    static char text[TV_NUMBER_BYTES_MAX + 1];
    text[tv_write_fixed(text, value, decimals)] = 0;
    return text;
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void f64_is_written_shortest(void **state) {
    (void)state;
    assert_string_equal(written_f64(0.1), "0.1");
    assert_string_equal(written_f64(0.0), "0.0");
    assert_string_equal(written_f64(-0.0), "-0.0");
    assert_string_equal(written_f64(-3), "-3.0");
    assert_string_equal(written_f64(21.534), "21.534");
    assert_string_equal(written_f64(1.005), "1.005");
    assert_string_equal(written_f64(1.0 / 3), "0.3333333333333333");
    assert_string_equal(written_f64(1e21), "1e21");
    assert_string_equal(written_f64(5e-324), "5e-324");
    assert_string_equal(written_f64(DBL_MAX), "1.7976931348623157e308");
    assert_string_equal(written_f64(NAN), "null");
    assert_string_equal(written_f64(-INFINITY), "null");
}

static void f64_reads_back_what_was_written(void **state) {
    (void)state;
    uint64_t random = 88172645463325252ull;
    for (int count = 0; count < 300000; count++) {
        uint64_t bits = next_random(&random);
        double value, back;
        memcpy(&value, &bits, sizeof value);
        if (count % 3 == 0) value = (double)(int64_t)(bits >> 40) / 1000.0;
        if (count % 3 == 1) value = (double)(int64_t)(bits >> 30) * 1e-7;
        if (!isfinite(value)) continue;
        const char *text = written_f64(value);
        assert_true(tv_read_f64(tv_string_of(text), &back));
        if (value != back || signbit(value) != signbit(back)) fail_msg("%.17g became %s", value, text);
        assert_true(strtod(text, NULL) == value);
    }
}

static void f64_shortest_is_not_longer_than_printf_needs(void **state) {
    (void)state;
    uint64_t random = 42;
    for (int count = 0; count < 100000; count++) {
        double value = (double)(int64_t)next_random(&random) / 4096.0 / 1e12;
        char expected[64];
        int digits = 1;
        for (; digits < 17; digits++) {
            snprintf(expected, sizeof expected, "%.*e", digits - 1, value);
            if (strtod(expected, NULL) == value) break;
        }
        const char *text = written_f64(value);
        int significant = 0, zeros = 0;
        for (const char *at = text; *at && *at != 'e'; at++) {
            if (*at < '0' || *at > '9' || (significant == 0 && *at == '0')) continue;
            significant++;
            zeros = *at == '0' ? zeros + 1 : 0;
        }
        if (significant - zeros > digits) fail_msg("%s has more than %d digits", text, digits);
    }
}

static void fixed_rounds_to_decimals(void **state) {
    (void)state;
    assert_string_equal(written_fixed(21.5349, 3), "21.535");
    assert_string_equal(written_fixed(-0.0004, 3), "0.000");
    assert_string_equal(written_fixed(-1.5, 0), "-2");
    assert_string_equal(written_fixed(2.5, 0), "2");
    assert_string_equal(written_fixed(1e14, 2), "100000000000000.0");
    assert_string_equal(written_fixed(7, 2), "7.00");
    assert_string_equal(written_fixed(NAN, 2), "null");
}

static void integers_are_written_at_their_limits(void **state) {
    (void)state;
    char text[TV_NUMBER_BYTES_MAX];
    text[tv_write_i64(text, INT64_MIN)] = 0;
    assert_string_equal(text, "-9223372036854775808");
    text[tv_write_u64(text, UINT64_MAX)] = 0;
    assert_string_equal(text, "18446744073709551615");
    text[tv_write_i64(text, 0)] = 0;
    assert_string_equal(text, "0");
}

static bool reads(const char *text, double expected) {
    double value = 777;
    return tv_read_f64(tv_string_of(text), &value) && value == expected;
}

static bool refuses(const char *text) {
    double value = 777;
    return !tv_read_f64(tv_string_of(text), &value) && value == 777;
}

static void f64_reads_json_numbers(void **state) {
    (void)state;
    assert_true(reads("0", 0));
    assert_true(reads("-12.5", -12.5));
    assert_true(reads("+3", 3));
    assert_true(reads("1e3", 1000));
    assert_true(reads("9007199254740993", 9007199254740992.0));
    assert_true(reads("0.1", 0.1));
    assert_true(reads("123456789012345678901234567890", 123456789012345678901234567890.0));
    assert_true(reads("2.2250738585072011e-308", 2.2250738585072011e-308));
}

static void f64_refuses_what_is_no_json_number(void **state) {
    (void)state;
    const char *const texts[] = {"",   "-",   "+",   ".5",    "5.",    "01",  "1e",  "1e+", "0x10", "1 ",
                                 " 1", "nan", "inf", "1.2.3", "1e999", "--1", "+-1", "-+1", "1_0",  "1,5"};
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++)
        if (!refuses(texts[index])) fail_msg("'%s' was accepted", texts[index]);
    char digits[600];
    memset(digits, '1', sizeof digits);
    double value;
    assert_true(tv_read_f64((tv_string){digits, 300}, &value));
    assert_false(tv_read_f64((tv_string){digits, 600}, &value));
}

static void i64_reads_integers_only(void **state) {
    (void)state;
    int64_t value = 7;
    assert_true(tv_read_i64(tv_string_of("9223372036854775807"), &value) && value == INT64_MAX);
    assert_true(tv_read_i64(tv_string_of("-9223372036854775808"), &value) && value == INT64_MIN);
    value = 7;
    assert_false(tv_read_i64(tv_string_of("9223372036854775808"), &value));
    assert_false(tv_read_i64(tv_string_of("1.0"), &value));
    assert_false(tv_read_i64(tv_string_of("1e3"), &value));
    assert_false(tv_read_i64(tv_string_of(""), &value));
    assert_int_equal(value, 7);
}

// ---- times --------------------------------------------------------------------------------------------------

static int64_t time_of(const char *text) {
    int64_t time = -1;
    return tv_read_time(tv_string_of(text), &time) ? time : INT64_MIN;
}

static void time_reads_rfc3339(void **state) {
    (void)state;
    assert_int_equal(time_of("1970-01-01T00:00:00Z"), 0);
    assert_int_equal(time_of("2026-03-01T12:00:00.250Z"), 1772366400250000000ll);
    assert_int_equal(time_of("2026-03-01 12:00:00,25"), 1772366400250000000ll);
    assert_int_equal(time_of("2026-03-01T13:30:00+01:30"), 1772366400000000000ll);
    assert_int_equal(time_of("2026-03-01T10:00:00-0200"), 1772366400000000000ll);
    assert_int_equal(time_of("2024-02-29T00:00:00z"), 1709164800000000000ll);
    assert_int_equal(time_of("1969-12-31T23:59:59.999999999Z"), -1);
    assert_int_equal(time_of("2016-12-31T23:59:60Z"), 1483228799000000000ll);
    assert_int_equal(time_of("2026-03-01T12:00Z"), 1772366400000000000ll);
    assert_int_equal(time_of("2262-04-11T23:47:16.854775807Z"), INT64_MAX);
}

static void time_refuses_what_does_not_exist(void **state) {
    (void)state;
    const char *const texts[] = {"",
                                 "2026",
                                 "2026-02-29T00:00:00Z",
                                 "2100-02-29T00:00:00Z",
                                 "2026-13-01T00:00:00Z",
                                 "2026-00-01T00:00:00Z",
                                 "2026-01-00T00:00:00Z",
                                 "2026-01-01T24:00:00Z",
                                 "2026-01-01T00:60:00Z",
                                 "2026-01-01T00:00:61Z",
                                 "2026-01-01T00:00:00.Z",
                                 "2026-01-01T00:00:00+25:00",
                                 "2026-01-01T00:00:00Zx",
                                 "2026-01-01T00:00:00.1234567891Z",
                                 "2026-1-01T00:00:00Z",
                                 "2262-04-11T23:47:16.854775808Z",
                                 "0001-01-01T00:00:00Z",
                                 "26-03-01T12:00:00Z"};
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++)
        if (time_of(texts[index]) != INT64_MIN) fail_msg("'%s' was accepted", texts[index]);
}

static void time_is_written_with_the_decimals_it_needs(void **state) {
    (void)state;
    char text[TV_TIME_BYTES_MAX];
    const struct {
        int64_t time;
        const char *text;
    } cases[] = {{0, "1970-01-01T00:00:00Z"},
                 {1772366400250000000ll, "2026-03-01T12:00:00.250Z"},
                 {1772366400000001000ll, "2026-03-01T12:00:00.000001Z"},
                 {1772366400000000001ll, "2026-03-01T12:00:00.000000001Z"},
                 {-1, "1969-12-31T23:59:59.999999999Z"},
                 {INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
                 {INT64_MIN + 1, "1677-09-21T00:12:43.145224193Z"}};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        text[tv_write_time(text, cases[index].time)] = 0;
        assert_string_equal(text, cases[index].text);
    }
}

static void time_reads_back_what_was_written(void **state) {
    (void)state;
    uint64_t random = 4711;
    for (int count = 0; count < 100000; count++) {
        int64_t time = (int64_t)next_random(&random), back;
        char text[TV_TIME_BYTES_MAX];
        uint32_t length = tv_write_time(text, time);
        assert_true(length < TV_TIME_BYTES_MAX);
        if (!tv_read_time((tv_string){text, length}, &back) || back != time) fail_msg("%.*s", (int)length, text);
    }
}

static void durations_and_sizes_are_read_exactly(void **state) {
    (void)state;
    int64_t ns = 0;
    uint64_t bytes = 0;
    assert_true(tv_read_duration(tv_string_of("1h30m"), &ns) && ns == 5400000000000ll);
    assert_true(tv_read_duration(tv_string_of("250ms"), &ns) && ns == 250000000);
    assert_true(tv_read_duration(tv_string_of("1.5s"), &ns) && ns == 1500000000);
    assert_true(tv_read_duration(tv_string_of("0"), &ns) && ns == 0);
    assert_false(tv_read_duration(tv_string_of("5"), &ns));
    assert_false(tv_read_duration(tv_string_of("-5s"), &ns));
    assert_false(tv_read_duration(tv_string_of("5 fortnights"), &ns));
    assert_false(tv_read_duration(tv_string_of("200000000d"), &ns));
    assert_false(tv_read_duration(tv_string_of(""), &ns));
    assert_true(tv_read_size(tv_string_of("64KiB"), &bytes) && bytes == 65536);
    assert_true(tv_read_size(tv_string_of("2 MB"), &bytes) && bytes == 2000000);
    assert_true(tv_read_size(tv_string_of("4096"), &bytes) && bytes == 4096);
    assert_false(tv_read_size(tv_string_of("4096 bytes"), &bytes));
    assert_false(tv_read_size(tv_string_of("99999999999GiB"), &bytes));
}

// ---- format -------------------------------------------------------------------------------------------------

static void format_prints_what_printf_prints(void **state) {
    (void)state;
    char ours[128], theirs[128];
#define SAME(...)                                                                                                      \
    do {                                                                                                               \
        uint32_t length = tv_format(ours, sizeof ours, __VA_ARGS__);                                                   \
        int expected = snprintf(theirs, sizeof theirs, __VA_ARGS__);                                                   \
        assert_string_equal(ours, theirs);                                                                             \
        assert_int_equal(length, expected);                                                                            \
    } while (0)
    SAME("plain");
    SAME("%d %i %u", -5, 7, 4000000000u);
    SAME("%lld %llu %ld %zu", INT64_MIN + 1ll, UINT64_MAX + 0ull, -1l, (size_t)9);
    SAME("[%5d] [%-5d] [%05d] [%+d]", 42, 42, -42, 42);
    SAME("%x %X %08x", 255u, 0xabcu, 0xbeefu);
    SAME("%s [%8s] [%-8s] [%.3s] [%.*s]", "abc", "abc", "abc", "abcdef", 2, "xyz");
    SAME("%c%%%c", 'a', 'b');
    SAME("%.3f %f %.0f", 3.14159, 2.5, 7.0);
    SAME("%g %g", 0.5, 100.0);
#undef SAME
    tv_format(ours, sizeof ours, "%g", 1.0 / 3);
    assert_string_equal(ours, "0.3333333333333333");
}

static void format_cuts_at_the_capacity(void **state) {
    (void)state;
    char out[8];
    assert_int_equal(tv_format(out, sizeof out, "%s", "1234567"), 7);
    assert_string_equal(out, "1234567");
    assert_int_equal(tv_format(out, sizeof out, "%s", "12345678"), 7);
    assert_string_equal(out, "1234567");
    assert_int_equal(tv_format(out, 1, "%d", 42), 0);
    assert_string_equal(out, "");
}

static void hash_differs_where_keys_differ(void **state) {
    (void)state;
    uint64_t seen[2000];
    char text[32];
    for (int count = 0; count < 2000; count++) {
        int length = snprintf(text, sizeof text, "sensor-%d", count);
        seen[count] = tv_hash_key(text, (uint32_t)length);
        assert_true(seen[count] != 0);
        for (int other = 0; other < count; other++)
            assert_true(seen[other] != seen[count]);
    }
    assert_true(tv_hash_key("", 0) != 0);
    assert_true(tv_hash_key("sensor-1", 8) == 0x0ull + seen[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f64_is_written_shortest),
        cmocka_unit_test(f64_reads_back_what_was_written),
        cmocka_unit_test(f64_shortest_is_not_longer_than_printf_needs),
        cmocka_unit_test(fixed_rounds_to_decimals),
        cmocka_unit_test(integers_are_written_at_their_limits),
        cmocka_unit_test(f64_reads_json_numbers),
        cmocka_unit_test(f64_refuses_what_is_no_json_number),
        cmocka_unit_test(i64_reads_integers_only),
        cmocka_unit_test(time_reads_rfc3339),
        cmocka_unit_test(time_refuses_what_does_not_exist),
        cmocka_unit_test(time_is_written_with_the_decimals_it_needs),
        cmocka_unit_test(time_reads_back_what_was_written),
        cmocka_unit_test(durations_and_sizes_are_read_exactly),
        cmocka_unit_test(format_prints_what_printf_prints),
        cmocka_unit_test(format_cuts_at_the_capacity),
        cmocka_unit_test(hash_differs_where_keys_differ),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
