// The decision at the end of a followed file, and what looking at a path finds.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "connect/file/internal.h"
#include "connect/testing/rig.h"

static tv_file_view view_of(uint64_t size_bytes) {
    return (tv_file_view){.presence = TV_FILE_SAME, .new_fd = -1, .size_bytes = size_bytes};
}

static void judge_reads_on_when_grown_even_if_a_switch_is_due(void **state) {
    (void)state;
    tv_file_view view = view_of(11);
    assert_int_equal(tv_file_judge(&view, true, 10, 10, false), TV_FILE_READ_ON);
    assert_int_equal(tv_file_judge(&view, true, 10, 10, true), TV_FILE_READ_ON);
}

static void judge_switches_when_due_and_all_is_read_or_unreadable(void **state) {
    (void)state;
    tv_file_view view = view_of(10);
    assert_int_equal(tv_file_judge(&view, true, 10, 10, true), TV_FILE_SWITCH);
    view = view_of(11);
    assert_int_equal(tv_file_judge(&view, false, 10, 10, true), TV_FILE_SWITCH);
}

static void judge_restarts_after_truncation_and_waits_otherwise(void **state) {
    (void)state;
    tv_file_view view = view_of(9);
    assert_int_equal(tv_file_judge(&view, true, 10, 10, false), TV_FILE_RESTART);
    view = view_of(10);
    assert_int_equal(tv_file_judge(&view, true, 10, 10, false), TV_FILE_WAIT);
    assert_int_equal(tv_file_judge(&view, false, 0, 0, false), TV_FILE_WAIT);
}

static void look_tells_same_other_and_absent(void **state) {
    (void)state;
    const char *path = tv_rig_path("looked"), *moved = tv_rig_path("looked.1");
    tv_file_view view;
    tv_rig_write_file(path, "12345");
    int fd = tv_file_open_regular(path);
    assert_true(fd >= 0);
    tv_file_look_at at = {.path = path, .newest_fd = fd, .fd = fd, .nul_offset = TV_FILE_NO_OFFSET};
    tv_file_look(&at, &view);
    assert_int_equal(view.presence, TV_FILE_SAME);
    assert_int_equal(view.size_bytes, 5);
    assert_int_equal(rename(path, moved), 0);
    tv_file_look(&at, &view);
    assert_int_equal(view.presence, TV_FILE_ABSENT);
    assert_int_equal(view.os_errno, ENOENT);
    assert_int_equal(view.size_bytes, 5);
    tv_rig_write_file(path, "new");
    tv_rig_append_file(moved, "67");
    tv_file_look(&at, &view);
    assert_int_equal(view.presence, TV_FILE_OTHER);
    assert_int_equal(view.size_bytes, 7); // of the old one
    assert_true(view.new_fd >= 0);
    close(view.new_fd);
    close(fd);
}

static void folders_and_pipes_are_no_files(void **state) {
    (void)state;
    const char *pipe_path = tv_rig_path("pipe");
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_int_equal(tv_file_open_regular(pipe_path), -ENOTSUP); // and does not wait for a writer
    assert_int_equal(tv_file_open_regular("/"), -EISDIR);
    assert_int_equal(tv_file_open_regular("/dev/null"), -ENOTSUP);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judge_reads_on_when_grown_even_if_a_switch_is_due),
        cmocka_unit_test(judge_switches_when_due_and_all_is_read_or_unreadable),
        cmocka_unit_test(judge_restarts_after_truncation_and_waits_otherwise),
        cmocka_unit_test(look_tells_same_other_and_absent),
        cmocka_unit_test(folders_and_pipes_are_no_files),
    };
    return cmocka_run_group_tests_name("look", tests, NULL, NULL);
}
