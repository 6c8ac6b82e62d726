// The table of reasons: numbers do not tell reasons apart, its size is fixed, and what is frequent is found.
#include "flow/flow_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static tv_rejection found[TV_REJECTIONS_KEPT];

static void add(tv_rejections *table, const char *reason) { tv_rejections_add(table, reason, strlen(reason)); }

static void nothing_rejected_is_no_reason(void **state) {
    (void)state;
    tv_rejections table = {0};
    assert_int_equal(tv_rejections_read(&table, found), 0);
}

static void the_most_frequent_reason_comes_first(void **state) {
    (void)state;
    tv_rejections table = {0};
    add(&table, "rare");
    for (int i = 0; i < 3; i++)
        add(&table, "often");
    assert_int_equal(tv_rejections_read(&table, found), 2);
    assert_string_equal(found[0].reason, "often");
    assert_int_equal(found[0].times, 3);
    assert_string_equal(found[1].reason, "rare");
    assert_int_equal(table.all, 4);
}

static void reasons_that_differ_in_numbers_are_one(void **state) {
    (void)state;
    tv_rejections table = {0};
    add(&table, "line 17 of 20 is no JSON");
    add(&table, "line 1234 of 5 is no JSON");
    add(&table, "line x of 5 is no JSON");
    add(&table, "line  of 5 is no JSON");
    add(&table, "line 17 of 20 is no JSON2");
    assert_int_equal(tv_rejections_read(&table, found), 4);
    assert_string_equal(found[0].reason, "line 17 of 20 is no JSON");
    assert_int_equal(found[0].times, 2);
}

static void a_full_table_takes_one_more_and_keeps_what_is_frequent(void **state) {
    (void)state;
    tv_rejections table = {0};
    char reason[16];
    for (int i = 0; i < TV_REJECTIONS_KEPT; i++) {
        snprintf(reason, sizeof reason, "first %c", 'a' + i);
        for (int k = 0; k <= i; k++)
            add(&table, reason);
    }
    assert_int_equal(tv_rejections_read(&table, found), TV_REJECTIONS_KEPT);
    add(&table, "one more");
    assert_int_equal(tv_rejections_read(&table, found), TV_REJECTIONS_KEPT);
    assert_string_equal(found[0].reason, "first h");
    assert_string_equal(found[TV_REJECTIONS_KEPT - 1].reason, "one more");
    assert_int_equal(found[TV_REJECTIONS_KEPT - 1].times, 1); // and not what it took over
}

static void a_frequent_reason_is_found_however_many_others_there_are(void **state) {
    (void)state;
    tv_rejections table = {0};
    char reason[32];
    uint64_t sum = 0;
    for (int i = 0; i < 1000; i++) {
        snprintf(reason, sizeof reason, "%c%c%c is unknown", 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676);
        add(&table, reason);
        if (i >= 500) add(&table, "late");
    }
    size_t count = tv_rejections_read(&table, found);
    assert_string_equal(found[0].reason, "late");
    for (size_t i = 0; i < count; i++)
        sum += found[i].times;
    assert_true(sum <= table.all);
    assert_int_equal(table.all, 1500);
}

static void a_long_reason_is_cut_between_characters(void **state) {
    (void)state;
    tv_rejections table = {0};
    char reason[256];
    for (size_t i = 0; i + 3 <= sizeof reason; i += 3)
        memcpy(reason + i, "\u20ac", 3);
    tv_rejections_add(&table, reason, 255);
    tv_rejections_read(&table, found);
    assert_int_equal(strlen(found[0].reason), 93);
    tv_rejections_add(&table, "\xff\xff\xff", 3);
    tv_rejections_add(&table, "", 0);
    assert_int_equal(tv_rejections_read(&table, found), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_rejected_is_no_reason),
        cmocka_unit_test(the_most_frequent_reason_comes_first),
        cmocka_unit_test(reasons_that_differ_in_numbers_are_one),
        cmocka_unit_test(a_full_table_takes_one_more_and_keeps_what_is_frequent),
        cmocka_unit_test(a_frequent_reason_is_found_however_many_others_there_are),
        cmocka_unit_test(a_long_reason_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
