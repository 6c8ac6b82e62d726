// Option tables: every type, its defaults, its range and its messages; the nearest name.
#include "base/option.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct values {
    uint32_t before;
    bool flag;
    int64_t integer;
    double number;
    const char *string;
    const char *name;
    int choice;
    uint64_t size;
    int64_t duration_ns;
    tv_string_list list;
    uint32_t behind;
} values;

static const char *const choices[] = {"block", "drop-oldest", "drop-newest", NULL};

static const tv_option options[] = {
    {"flag", TV_OPTION_BOOL, offsetof(values, flag), "true", false, 0, 0, NULL, "", TV_OPTION_ANY_TEXT},
    {"integer", TV_OPTION_INTEGER, offsetof(values, integer), "-7", false, -10, 10, NULL, "", TV_OPTION_ANY_TEXT},
    {"number", TV_OPTION_NUMBER, offsetof(values, number), "2.5", false, 0, 100, NULL, "", TV_OPTION_ANY_TEXT},
    {"string", TV_OPTION_STRING, offsetof(values, string), NULL, false, 0, 0, NULL, "", TV_OPTION_ANY_TEXT},
    {"name", TV_OPTION_STRING, offsetof(values, name), "abc", true, 1, 5, NULL, "", TV_OPTION_ANY_TEXT},
    {"overflow", TV_OPTION_ENUM, offsetof(values, choice), "drop-oldest", false, 0, 0, choices, "", TV_OPTION_ANY_TEXT},
    {"size", TV_OPTION_SIZE, offsetof(values, size), "64KiB", false, 4096, 1 << 20, NULL, "", TV_OPTION_ANY_TEXT},
    {"wait", TV_OPTION_DURATION, offsetof(values, duration_ns), "100ms", false, 1e6, 1e9, NULL, "", TV_OPTION_ANY_TEXT},
    {"list", TV_OPTION_STRINGS, offsetof(values, list), NULL, false, 0, 0, NULL, "", TV_OPTION_ANY_TEXT},
};
static const tv_option_table table = {options, sizeof options / sizeof *options, sizeof(values)};

static const tv_option *option_named(const char *name) {
    const tv_option *option = tv_option_find(&table, name);
    assert_non_null(option);
    return option;
}

static void expect_ok(const char *name, const char *text, values *into) {
    tv_error error = {0};
    if (tv_option_parse(option_named(name), text, into, &error)) fail_msg("%s: %s: %s", name, text, error.message);
}

static void expect_refused(const char *name, const char *text, const char *reason) {
    values into, untouched;
    memset(&into, 0x55, sizeof into);
    memset(&untouched, 0x55, sizeof untouched);
    tv_error error = {0};
    if (tv_option_parse(option_named(name), text, &into, &error) != TV_INVALID) fail_msg("%s accepts %s", name, text);
    assert_memory_equal(&into, &untouched, sizeof into);
    if (!strstr(error.message, reason)) fail_msg("%s: %s: %s", name, text, error.message);
}

static void defaults_fill_every_field_and_zero_the_rest(void **state) {
    (void)state;
    values into;
    memset(&into, 0x55, sizeof into);
    assert_int_equal(tv_option_defaults(&table, &into, NULL), TV_OK);
    assert_true(into.flag);
    assert_int_equal(into.integer, -7);
    assert_true(into.number > 2.4 && into.number < 2.6);
    assert_null(into.string);
    assert_string_equal(into.name, "abc");
    assert_int_equal(into.choice, 1);
    assert_int_equal(into.size, 65536);
    assert_int_equal(into.duration_ns, 100000000);
    assert_null(into.list.items);
    assert_int_equal(into.before + into.behind, 0);
}

static void wrong_default_is_reported_with_the_name_of_the_option(void **state) {
    (void)state;
    static const tv_option wrong[] = {
        {"wait", TV_OPTION_DURATION, 0, "soon", false, 0, 0, NULL, "", TV_OPTION_ANY_TEXT}};
    const tv_option_table wrong_table = {wrong, 1, sizeof(int64_t)};
    int64_t target;
    tv_error error;
    assert_int_equal(tv_option_defaults(&wrong_table, &target, &error), TV_INVALID);
    assert_non_null(strstr(error.message, "default of wait: expected a duration"));
    assert_int_equal(tv_option_defaults(&wrong_table, &target, NULL), TV_INVALID);
}

static void booleans_are_true_and_false_only(void **state) {
    (void)state;
    values into = {.flag = true};
    expect_ok("flag", "false", &into);
    assert_false(into.flag);
    expect_ok("flag", "true", &into);
    assert_true(into.flag);
    expect_refused("flag", "yes", "expected true or false, found \"yes\"");
    expect_refused("flag", "", "expected true or false");
    expect_refused("flag", "True", "expected true or false");
}

static void integers_keep_to_their_range(void **state) {
    (void)state;
    values into = {0};
    expect_ok("integer", "-10", &into);
    assert_int_equal(into.integer, -10);
    expect_ok("integer", "+10", &into);
    assert_int_equal(into.integer, 10);
    expect_refused("integer", "11", "expected a whole number from -10 to 10, found 11");
    expect_refused("integer", "-11", "from -10 to 10");
    static const char *const malformed[] = {"", "-", "1.0", "0x10", " 1", "1 ", "1e3", "--1", "one"};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        expect_refused("integer", malformed[i], "expected a whole number");
    }
    expect_refused("integer", "9223372036854775808", "64 bits");
}

static void integers_without_range_reach_both_ends(void **state) {
    (void)state;
    const tv_option option = {"any", TV_OPTION_INTEGER, 0, NULL, false, 0, 0, NULL, "", TV_OPTION_ANY_TEXT};
    int64_t value = 0;
    assert_int_equal(tv_option_parse(&option, "9223372036854775807", &value, NULL), TV_OK);
    assert_true(value == INT64_MAX);
    assert_int_equal(tv_option_parse(&option, "-9223372036854775808", &value, NULL), TV_OK);
    assert_true(value == INT64_MIN);
    assert_int_equal(tv_option_parse(&option, "-9223372036854775809", &value, NULL), TV_INVALID);
}

static void numbers_are_finite_and_decimal(void **state) {
    (void)state;
    values into = {0};
    expect_ok("number", "1e2", &into);
    assert_true(into.number > 99.9 && into.number < 100.1);
    expect_ok("number", "0", &into);
    static const char *const malformed[] = {"", "nan", "inf", "0x1p3", "1,5", "1.5 ", "-", "e", "1e", "1.2.3"};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        expect_refused("number", malformed[i], "expected a number");
    }
    expect_refused("number", "100.5", "from 0 to 100, found 100.5");
    expect_refused("number", "-0.5", "from 0 to 100");
    expect_refused("number", "1e999", "too large");
}

static void strings_keep_to_their_length(void **state) {
    (void)state;
    values into = {0};
    expect_ok("name", "a", &into);
    expect_ok("name", "abcde", &into);
    assert_string_equal(into.name, "abcde");
    expect_refused("name", "abcdef", "expected a text of 1 to 5 bytes, found one of 6");
    expect_refused("name", "", "found an empty one");
    expect_ok("string", "", &into);
    char text[4098];
    memset(text, 'a', sizeof text);
    text[4096] = 0;
    expect_ok("string", text, &into);
    text[4096] = 'a';
    text[4097] = 0;
    expect_refused("string", text, "expected a text of 0 to 4096 bytes");
}

static void choices_are_listed_and_the_nearest_is_suggested(void **state) {
    (void)state;
    values into = {0};
    expect_ok("overflow", "drop-newest", &into);
    assert_int_equal(into.choice, 2);
    expect_ok("overflow", "block", &into);
    assert_int_equal(into.choice, 0);
    expect_refused("overflow", "drop-oldst",
                   "expected block, drop-oldest or drop-newest, found \"drop-oldst\" (did you mean drop-oldest?)");
    expect_refused("overflow", "anything else", "found \"anything else\"");
    expect_refused("overflow", "", "expected block");
}

static void sizes_and_durations_keep_to_their_range(void **state) {
    (void)state;
    values into = {0};
    expect_ok("size", "4096", &into);
    expect_ok("size", "1MiB", &into);
    assert_int_equal(into.size, 1 << 20);
    expect_refused("size", "4095", "expected a size from 4 KiB to 1 MiB, found 4095");
    expect_refused("size", "2MiB", "from 4 KiB to 1 MiB");
    expect_refused("size", "big", "expected a size such as");
    expect_ok("wait", "1ms", &into);
    expect_ok("wait", "1s", &into);
    assert_int_equal(into.duration_ns, 1000000000);
    expect_refused("wait", "2s", "expected a duration from 1 ms to 1 s, found 2s");
    expect_refused("wait", "5", "expected a duration such as");
}

static void lists_cannot_be_read_from_a_scalar(void **state) {
    (void)state;
    expect_refused("list", "a", "expected a list of texts");
}

static void unknown_options_are_not_found(void **state) {
    (void)state;
    assert_null(tv_option_find(&table, "nothing"));
    assert_null(tv_option_find(&table, ""));
    assert_ptr_equal(tv_option_find(&table, "list"), &options[8]);
}

static void nearest_name_forgives_typing_errors(void **state) {
    (void)state;
    static const char *const names[] = {"components", "channels", "stages", "limits", "name", "cpu"};
    const size_t count = sizeof names / sizeof *names;
    assert_string_equal(tv_nearest_name("component", names, count), "components");
    assert_string_equal(tv_nearest_name("Channels", names, count), "channels");
    assert_string_equal(tv_nearest_name("chanels", names, count), "channels");
    assert_string_equal(tv_nearest_name("stagse", names, count), "stages");
    assert_string_equal(tv_nearest_name("nmae", names, count), "name");
    assert_string_equal(tv_nearest_name("cpus", names, count), "cpu");
}

static void nearest_name_suggests_nothing_far_fetched(void **state) {
    (void)state;
    static const char *const names[] = {"a", "cpu", "memory", "", NULL};
    assert_null(tv_nearest_name("grants", names, 4));
    assert_null(tv_nearest_name("b", names, 4));
    assert_null(tv_nearest_name("", names, 4));
    assert_null(tv_nearest_name("memory", names, 0));
    char long_name[66];
    memset(long_name, 'm', sizeof long_name);
    long_name[65] = 0;
    const char *const long_names[] = {long_name};
    assert_null(tv_nearest_name(long_name, long_names, 1));
    assert_ptr_equal(tv_nearest_name(long_name + 1, (const char *const[]){long_name + 1}, 1), long_name + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_fill_every_field_and_zero_the_rest),
        cmocka_unit_test(wrong_default_is_reported_with_the_name_of_the_option),
        cmocka_unit_test(booleans_are_true_and_false_only),
        cmocka_unit_test(integers_keep_to_their_range),
        cmocka_unit_test(integers_without_range_reach_both_ends),
        cmocka_unit_test(numbers_are_finite_and_decimal),
        cmocka_unit_test(strings_keep_to_their_length),
        cmocka_unit_test(choices_are_listed_and_the_nearest_is_suggested),
        cmocka_unit_test(sizes_and_durations_keep_to_their_range),
        cmocka_unit_test(lists_cannot_be_read_from_a_scalar),
        cmocka_unit_test(unknown_options_are_not_found),
        cmocka_unit_test(nearest_name_forgives_typing_errors),
        cmocka_unit_test(nearest_name_suggests_nothing_far_fetched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
