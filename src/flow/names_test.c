// The table of names: one copy, counted references, and a comparison with a plain list.
#include "flow/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void equal_texts_share_one_copy(void **state) {
    (void)state;
    tv_names names;
    tv_names_init(&names, NULL);
    const char *first = tv_names_ref(&names, "parsed and more", 6);
    const char *second = tv_names_ref(&names, "parsed", 6);
    assert_ptr_equal(first, second);
    assert_string_equal(first, "parsed");
    assert_ptr_not_equal(first, tv_names_ref(&names, "parse", 5));
    assert_int_equal(names.count, 2);
    tv_names_unref(&names, first);
    assert_int_equal(names.count, 2);
    tv_names_unref(&names, second);
    assert_int_equal(names.count, 1);
    tv_names_unref(&names, tv_names_ref(&names, "parse", 5));
    tv_names_unref(&names, NULL);
    assert_int_equal(names.count, 1);
    tv_names_unref(&names, tv_names_ref(&names, "other", 5));
    const char *left = tv_names_ref(&names, "parse", 5);
    tv_names_unref(&names, left);
    tv_names_unref(&names, left);
    assert_int_equal(names.count, 0);
    tv_names_deinit(&names);
}

static void thousands_of_names_are_found_again_and_all_go(void **state) {
    (void)state;
    enum { COUNT = 5000 };
    static const char *kept[COUNT];
    tv_names names;
    char text[32];
    tv_memory_account memory = {0};
    tv_names_init(&names, &memory);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            int length = snprintf(text, sizeof text, "name_%d", i);
            const char *name = tv_names_ref(&names, text, (size_t)length);
            assert_string_equal(name, text);
            if (round) assert_ptr_equal(name, kept[i]);
            kept[i] = name;
        }
    }
    assert_int_equal(names.count, COUNT);
    for (int i = 0; i < 2 * COUNT; i++)
        tv_names_unref(&names, kept[i % COUNT]);
    assert_int_equal(names.count, 0);
    assert_true(atomic_load(&memory.now_bytes[TV_MEMORY_STATE]) >= names.bucket_count * sizeof(void *));
    tv_names_deinit(&names);
    tv_error error;
    assert_int_equal(tv_memory_account_check_empty(&memory, &error), TV_OK);
    assert_true(atomic_load(&memory.peak_bytes[TV_MEMORY_STATE]) > COUNT * sizeof "name_0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_texts_share_one_copy),
        cmocka_unit_test(thousands_of_names_are_found_again_and_all_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
