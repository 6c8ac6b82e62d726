// Patterns: which names are some, and which file comes first, last and next.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "connect/file/pattern.h"
#include "connect/testing/rig.h"

static void pattern_is_in_the_name_and_may_be_escaped(void **state) {
    (void)state;
    assert_true(tv_file_is_pattern("log-*.txt"));
    assert_true(tv_file_is_pattern("a/b?"));
    assert_true(tv_file_is_pattern("[ab]"));
    assert_false(tv_file_is_pattern("a*/b"));
    assert_true(tv_file_folder_is_pattern("a*/b"));
    assert_false(tv_file_folder_is_pattern("a/b*"));
    assert_false(tv_file_is_pattern("log\\[1\\].txt"));
    assert_false(tv_file_is_pattern("%Y"));
    assert_true(tv_file_matches("x/log-*", "log-1"));
    assert_false(tv_file_matches("*", ".hidden"));
}

static void expect_found(const char *pattern, const char *after, tv_file_which which, const char *name) {
    char *path = NULL;
    assert_int_equal(tv_file_find(pattern, after, which, &path), 0);
    if (!name) {
        assert_null(path);
        return;
    }
    assert_non_null(path);
    assert_string_equal(tv_file_name_in(path), name);
    free(path);
}

static void files_are_found_in_the_order_of_their_names_numbers_by_value(void **state) {
    (void)state;
    char *path = NULL;
    const char *pattern = tv_rig_path("day-*.log");
    expect_found(pattern, NULL, TV_FILE_LAST, NULL);
    tv_rig_write_file(tv_rig_path("day-9.log"), "");
    tv_rig_write_file(tv_rig_path("day-10.log"), "");
    tv_rig_write_file(tv_rig_path("day-2026-02-28.log"), "");
    tv_rig_write_file(tv_rig_path("day-2026-03-01.log"), "");
    tv_rig_write_file(tv_rig_path("day-3.log.gz"), "");
    assert_int_equal(mkdir(tv_rig_path("day-2027.log"), 0700), 0);
    assert_int_equal(mkfifo(tv_rig_path("day-2028.log"), 0600), 0);
    expect_found(pattern, NULL, TV_FILE_FIRST, "day-9.log");
    expect_found(pattern, "elsewhere/day-9.log", TV_FILE_FIRST, "day-10.log");
    expect_found(pattern, "day-10.log", TV_FILE_FIRST, "day-2026-02-28.log");
    expect_found(pattern, "day-2026-02-28.log", TV_FILE_FIRST, "day-2026-03-01.log");
    expect_found(pattern, "day-2026-03-01.log", TV_FILE_FIRST, NULL);
    expect_found(pattern, NULL, TV_FILE_LAST, "day-2026-03-01.log");
    assert_int_equal(tv_file_find(tv_rig_path("no-folder/x*"), NULL, TV_FILE_LAST, &path), ENOENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pattern_is_in_the_name_and_may_be_escaped),
        cmocka_unit_test(files_are_found_in_the_order_of_their_names_numbers_by_value),
    };
    return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
