// The table of flows against a plain list, under random additions and removals.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/flow_table.h"

enum { NAMES = 500 };

static char names[NAMES][16];
static tv_flow_entry entries[NAMES];
static bool there[NAMES];

static void set_up(void) {
    for (int i = 0; i < NAMES; i++) {
        snprintf(names[i], sizeof names[i], "line-%d", i);
        entries[i] = (tv_flow_entry){.name = names[i]};
        there[i] = false;
    }
}

static void empty_table_finds_nothing(void **state) {
    (void)state;
    tv_flow_table table = {0};
    assert_null(tv_flow_table_find(&table, "line-1"));
    assert_null(tv_flow_table_nearest(&table, "line-1"));
    tv_flow_table_deinit(&table);
}

static void name_is_taken_once(void **state) {
    (void)state;
    tv_flow_table table = {0};
    tv_flow_entry first = {.name = "line"}, second = {.name = "line"};
    assert_true(tv_flow_table_add(&table, &first));
    assert_false(tv_flow_table_add(&table, &second));
    assert_ptr_equal(tv_flow_table_find(&table, "line"), &first);
    assert_int_equal(table.count, 1);
    tv_flow_table_remove(&table, &first);
    assert_true(tv_flow_table_add(&table, &second));
    assert_ptr_equal(tv_flow_table_find(&table, "line"), &second);
    tv_flow_table_deinit(&table);
}

static void near_name_is_found_and_a_far_one_is_none(void **state) {
    (void)state;
    set_up();
    tv_flow_table table = {0};
    for (int i = 0; i < 20; i++)
        assert_true(tv_flow_table_add(&table, &entries[i]));
    assert_string_equal(tv_flow_table_nearest(&table, "lime-7"), "line-7");
    assert_null(tv_flow_table_nearest(&table, "completely-different"));
    tv_flow_table_deinit(&table);
}

static void check(const tv_flow_table *table) {
    size_t count = 0;
    for (int i = 0; i < NAMES; i++) {
        tv_flow_entry *found = tv_flow_table_find(table, names[i]);
        assert_ptr_equal(found, there[i] ? &entries[i] : NULL);
        if (!there[i]) continue;
        count++;
        assert_ptr_equal(table->items[entries[i].index], &entries[i]);
    }
    assert_int_equal(table->count, count);
}

static void table_agrees_with_a_list_under_random_changes(void **state) {
    (void)state;
    enum { STEPS = 20000, CHECK_EVERY = 97 };
    set_up();
    tv_flow_table table = {0};
    srand(20261123);
    for (int step = 0; step < STEPS; step++) {
        int i = rand() % NAMES;
        if (there[i])
            tv_flow_table_remove(&table, &entries[i]);
        else
            assert_true(tv_flow_table_add(&table, &entries[i]));
        there[i] = !there[i];
        if (step % CHECK_EVERY == 0) check(&table);
    }
    check(&table);
    for (size_t i = table.count; i-- > 0;) // from the last to the first: taking out is allowed
        tv_flow_table_remove(&table, table.items[i]);
    assert_int_equal(table.count, 0);
    for (uint32_t i = 0; i < table.slot_count; i++)
        assert_int_equal(table.slots[i], 0);
    tv_flow_table_deinit(&table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_table_finds_nothing),
        cmocka_unit_test(name_is_taken_once),
        cmocka_unit_test(near_name_is_found_and_a_far_one_is_none),
        cmocka_unit_test(table_agrees_with_a_list_under_random_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
