// The table against a plain list under random operations.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/key_table.h"

enum { KEYS = 300, STEPS = 20000 };

static uint32_t random_state = 12345;

static uint32_t random_below(uint32_t most) {
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % most;
}

static void count_one(void *user, tv_key_entry *entry) {
    (void)entry;
    ++*(size_t *)user;
}

static void table_agrees_with_a_list(void **state) {
    (void)state;
    tv_key_table table = {0};
    tv_key_entry *entries[KEYS] = {0};
    size_t users[KEYS] = {0}, live = 0, walked = 0;
    for (unsigned step = 0; step < STEPS; step++) {
        uint32_t key = random_below(KEYS);
        if (users[key] && random_below(2)) {
            bool last = tv_key_table_drop(&table, entries[key]);
            assert_int_equal(last, --users[key] == 0);
            live -= last;
        } else {
            tv_key_entry *entry = tv_key_table_take(&table, &key, sizeof key);
            assert_non_null(entry);
            if (users[key]) assert_ptr_equal(entry, entries[key]);
            live += users[key]++ == 0;
            assert_int_equal(entry->users, users[key]);
            entries[key] = entry;
        }
        assert_int_equal(table.count, live);
        assert_ptr_equal(tv_key_table_find(&table, &key, sizeof key), users[key] ? entries[key] : NULL);
    }
    tv_key_table_each(&table, count_one, &walked);
    assert_int_equal(walked, live);
    tv_key_table_deinit(&table);
}

static void keys_of_different_length_are_different(void **state) {
    (void)state;
    tv_key_table table = {0};
    assert_null(tv_key_table_find(&table, "ab", 2));
    tv_key_entry *one = tv_key_table_take(&table, "ab", 2);
    tv_key_entry *two = tv_key_table_take(&table, "abc", 3);
    tv_key_entry *none = tv_key_table_take(&table, "", 0);
    assert_ptr_not_equal(one, two);
    assert_ptr_equal(tv_key_table_find(&table, "", 0), none);
    assert_null(tv_key_table_find(&table, "a", 1));
    tv_key_table_deinit(&table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_agrees_with_a_list),
        cmocka_unit_test(keys_of_different_length_are_different),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
