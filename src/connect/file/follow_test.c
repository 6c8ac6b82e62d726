// Followed files whose writers do more than append and rename: they write anew in place, reserve space, leave holes,
// and begin a file with another name each day.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "base/base.h"
#include "connect/file/file.h"
#include "connect/testing/rig.h"

static void open_follow(tv_rig *rig, const char *path, const char *option, const char *value) {
    tv_error error = {0};
    tv_status status = tv_rig_open(rig, &tv_connector_file, &error, "path", path, "mode", "follow", "poll", "10ms",
                                   "rotate_wait", "0s", option, value, NULL);
    if (status != TV_OK) fail_msg("%s", error.message);
}

static void put_at(const char *path, const char *text, off_t offset) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, strlen(text), offset), strlen(text));
    close(fd);
}

// The file at `path` with two lines, which have been read.
static void begin_with_two_lines(tv_rig *rig, const char *path) {
    tv_rig_write_file(path, "one\ntwo\n");
    tv_rig_init(rig, TV_INPUT);
    open_follow(rig, path, "format", "lines");
    tv_rig_run_until_committed(rig, 2);
    tv_rig_run_until_quiet(rig);
    assert_int_equal(tv_rig_take_all(rig), 2);
}

static bool log_has(const char *text) {
    char *log = tv_rig_log_read();
    bool has = strstr(log, text) != NULL;
    free(log);
    return has;
}

// ---- written anew -------------------------------------------------------------------------------------------

static void file_rewritten_with_the_same_size_is_read_again(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("same");
    begin_with_two_lines(&rig, path);
    put_at(path, "six\nten\n", 0);
    tv_rig_run_until_committed(&rig, 4);
    tv_rig_expect(&rig, "six");
    tv_rig_expect(&rig, "ten");
    assert_int_equal(tv_rig_figure(&rig, "rewrites"), 1);
    assert_int_equal(tv_rig_figure(&rig, "truncations"), 0);
    tv_rig_deinit(&rig);
}

static void file_truncated_and_written_past_the_old_size_is_read_again(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("past");
    begin_with_two_lines(&rig, path);
    tv_rig_write_file(path, "three\nfour\nfive\n"); // nothing runs in between: one look sees all of it
    tv_rig_run_until_committed(&rig, 5);
    tv_rig_expect(&rig, "three");
    tv_rig_expect(&rig, "four");
    tv_rig_expect(&rig, "five");
    assert_int_equal(tv_rig_figure(&rig, "rewrites"), 1);
    tv_rig_deinit(&rig);
}

static void file_that_is_touched_or_written_as_it_was_is_not_read_again(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("touched");
    begin_with_two_lines(&rig, path);
    put_at(path, "one\ntwo\n", 0);
    tv_rig_append_file(path, "three\n");
    tv_rig_run_until_committed(&rig, 3);
    tv_rig_expect(&rig, "three");
    assert_int_equal(tv_rig_figure(&rig, "rewrites"), 0);
    tv_rig_deinit(&rig);
}

// What was not read of the old content is lost, but the new one is read whole.
static void file_rewritten_while_the_channel_is_paused_is_read_from_its_beginning(void **state) {
    (void)state;
    enum { LINES = 20000 };
    tv_rig rig;
    tv_error error = {0};
    char taken[TV_RIG_RECORD_BYTES_MAX + 1] = "", expected[32];
    const char *path = tv_rig_path("lagging");
    for (int round = 0; round < 2; round++) {
        FILE *file = fopen(path, "w"); // truncates, and writes more than was there
        assert_non_null(file);
        for (int i = 0; i < LINES + round * 100; i++)
            fprintf(file, "%s %06d\n", round ? "new" : "old", i);
        fclose(file);
        if (round) break;
        tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 0, 10, 0);
        assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", path, "mode", "follow", "chunk", "4KiB",
                                     "poll", "10ms", NULL),
                         TV_OK);
        tv_rig_run_until_committed(&rig, 10);
        tv_rig_run_until_quiet(&rig);
    }
    while (strncmp(taken, "new", 3) != 0) {
        if (!tv_rig_take(&rig, taken, sizeof taken, NULL))
            tv_rig_run_until_committed(&rig, tv_channel_committed(rig.channel) + 1);
    }
    for (int i = 0; i < LINES + 100; i++) {
        snprintf(expected, sizeof expected, "new %06d", i);
        assert_string_equal(taken, expected);
        if (i + 1 == LINES + 100) break;
        while (!tv_rig_take(&rig, taken, sizeof taken, NULL))
            tv_rig_run_until_committed(&rig, tv_channel_committed(rig.channel) + 1);
    }
    assert_int_equal(tv_rig_figure(&rig, "rewrites"), 1);
    tv_rig_deinit(&rig);
}

static void file_deleted_and_made_again_is_read_from_its_beginning(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("again");
    begin_with_two_lines(&rig, path);
    assert_int_equal(unlink(path), 0);
    tv_rig_write_file(path, "one\ntwo\nthree\n");
    tv_rig_run_until_committed(&rig, 5);
    tv_rig_expect(&rig, "one");
    tv_rig_expect(&rig, "two");
    tv_rig_expect(&rig, "three");
    assert_int_equal(tv_rig_figure(&rig, "rotations"), 1);
    tv_rig_deinit(&rig);
}

static void smaller_or_larger_file_put_into_its_place_is_read_whole(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("replaced"), *other = tv_rig_path("replacement");
    begin_with_two_lines(&rig, path);
    tv_rig_write_file(other, "1\n");
    assert_int_equal(rename(other, path), 0);
    tv_rig_run_until_committed(&rig, 3);
    tv_rig_write_file(other, "one\ntwo\nthree\n");
    assert_int_equal(rename(other, path), 0);
    tv_rig_run_until_committed(&rig, 6);
    tv_rig_expect(&rig, "1");
    tv_rig_expect(&rig, "one");
    tv_rig_expect(&rig, "two");
    tv_rig_expect(&rig, "three");
    tv_rig_deinit(&rig);
}

static void renamed_file_without_a_new_one_is_no_warning(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("renamed");
    begin_with_two_lines(&rig, path);
    tv_rig_log_begin();
    assert_int_equal(rename(path, tv_rig_path("renamed.1")), 0);
    tv_rig_run_until_figure(&rig, "absences", 1);
    tv_rig_append_file(tv_rig_path("renamed.1"), "late\n");
    tv_rig_run_until_committed(&rig, 3);
    tv_rig_write_file(path, "three\n");
    tv_rig_run_until_committed(&rig, 4);
    tv_rig_log_end();
    assert_true(log_has("was renamed"));
    assert_false(log_has("warn"));
    tv_rig_expect(&rig, "late");
    tv_rig_expect(&rig, "three");
    tv_rig_deinit(&rig);
}

// ---- NUL bytes ----------------------------------------------------------------------------------------------

static void reserve(const char *path, off_t size) { assert_int_equal(truncate(path, size), 0); }

static bool warned_of_nul_bytes(tv_rig *rig, void *user) {
    (void)rig;
    (void)user;
    return log_has("NUL bytes");
}

static void reserved_space_is_said_and_read_as_it_is_written(void **state) {
    (void)state;
    tv_rig rig;
    char path[256]; // tv_rig_path has few places, and each look at the log takes one
    snprintf(path, sizeof path, "%s", tv_rig_path("reserved"));
    tv_rig_write_file(path, "one\ntwo\n");
    reserve(path, 5000000);
    tv_rig_log_begin();
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, path, "format", "lines");
    tv_rig_run_until(&rig, "a warning of NUL bytes", warned_of_nul_bytes, NULL);
    tv_rig_run_until_committed(&rig, 2);
    put_at(path, "thr", 8);
    tv_rig_run_until_figure(&rig, "bytes_read", 2 * 5000000 - 100);
    tv_rig_run_until_quiet(&rig);
    put_at(path, "ee\nfour\n", 11);
    tv_rig_run_until_committed(&rig, 4);
    tv_rig_run_until_quiet(&rig);
    reserve(path, 19); // what is left is given back
    tv_rig_append_file(path, "five\n");
    tv_rig_run_until_committed(&rig, 5);
    tv_rig_log_end();
    tv_rig_expect(&rig, "one");
    tv_rig_expect(&rig, "two");
    tv_rig_expect(&rig, "three");
    tv_rig_expect(&rig, "four");
    tv_rig_expect(&rig, "five");
    assert_int_equal(tv_rig_figure(&rig, "truncations") + tv_rig_figure(&rig, "rewrites"), 0);
    assert_int_equal(tv_rig_dropped(&rig, TV_DROP_TOO_LARGE), 0);
    tv_rig_deinit(&rig);
}

static void end_of_a_file_with_reserved_space_is_where_its_content_ends(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("reserved-end");
    tv_rig_write_file(path, "one\ntwo\n");
    reserve(path, 1000000);
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, path, "start", "end");
    tv_rig_run_until_figure(&rig, "bytes_read", 1000000 - 7);
    tv_rig_run_until_quiet(&rig);
    put_at(path, "three\n", 8);
    tv_rig_run_until_committed(&rig, 1);
    tv_rig_expect(&rig, "three");
    tv_rig_deinit(&rig);
}

// As a writer without O_APPEND leaves it behind a truncation.
static void line_behind_a_hole_is_read(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("hole");
    begin_with_two_lines(&rig, path);
    reserve(path, 0);
    put_at(path, "three\n", 1000000);
    tv_rig_run_until_committed(&rig, 3);
    tv_rig_expect(&rig, "three");
    assert_int_equal(tv_rig_figure(&rig, "nul_bytes"), 1000000);
    tv_rig_append_file(path, "four\n");
    tv_rig_run_until_committed(&rig, 4);
    tv_rig_expect(&rig, "four");
    tv_rig_deinit(&rig);
}

static void hole_that_is_seen_before_what_is_behind_it_is_skipped(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("cut");
    begin_with_two_lines(&rig, path);
    reserve(path, 100000);
    tv_rig_run_until_figure(&rig, "bytes_read", 100000);
    tv_rig_run_until_quiet(&rig);
    tv_rig_append_file(path, "three\n");
    tv_rig_run_until_committed(&rig, 3);
    tv_rig_expect(&rig, "three");
    assert_int_equal(tv_rig_figure(&rig, "nul_bytes"), 100000 - 8);
    tv_rig_deinit(&rig);
}

static void line_without_an_end_is_counted_when_it_passes_the_limit(void **state) {
    (void)state;
    enum { LENGTH = 3 << 20 };
    tv_rig rig;
    const char *path = tv_rig_path("endless");
    begin_with_two_lines(&rig, path);
    char *text = malloc(LENGTH + 1);
    assert_non_null(text);
    memset(text, 'x', LENGTH);
    text[LENGTH] = 0;
    tv_rig_append_file(path, text);
    free(text);
    tv_rig_run_until_figure(&rig, "too_long", 1);
    assert_int_equal(tv_rig_dropped(&rig, TV_DROP_TOO_LARGE), 1);
    tv_rig_append_file(path, "\nthree\n");
    tv_rig_run_until_committed(&rig, 4); // the dropped one has a number, too
    tv_rig_expect(&rig, "three");
    assert_int_equal(tv_rig_figure(&rig, "too_long"), 1);
    tv_rig_deinit(&rig);
}

// ---- patterns -----------------------------------------------------------------------------------------------

static void pattern_begins_with_the_newest_and_goes_over_to_each_later_file(void **state) {
    (void)state;
    tv_rig rig;
    const char *first = tv_rig_path("log-2026-03-01.txt"), *second = tv_rig_path("log-2026-03-02.txt");
    tv_rig_write_file(tv_rig_path("log-2026-02-28.txt"), "old\n");
    tv_rig_write_file(first, "a\n");
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, tv_rig_path("log-*.txt"), "match", "newest");
    tv_rig_run_until_committed(&rig, 1);
    tv_rig_append_file(first, "b\nc without newline");
    tv_rig_write_file(second, "d\n");
    tv_rig_write_file(tv_rig_path("log-2026-03-02.txt.gz"), "x\n");
    tv_rig_run_until_committed(&rig, 4);
    tv_rig_write_file(tv_rig_path("log-2026-03-10.txt"), "f\n");
    tv_rig_append_file(second, "e\n");
    tv_rig_run_until_committed(&rig, 6);
    tv_rig_run_until_quiet(&rig);
    static const char *const expected[] = {"a", "b", "c without newline", "d", "e", "f"};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        tv_rig_expect(&rig, expected[i]);
    assert_int_equal(tv_rig_take_all(&rig), 0);
    assert_int_equal(tv_rig_figure(&rig, "rotations"), 2);
    tv_rig_deinit(&rig);
}

// More than can be held open at a time.
static void write_days(const char *format, int count) {
    char name[64], text[16];
    for (int i = 1; i <= count; i++) {
        snprintf(name, sizeof name, format, i);
        snprintf(text, sizeof text, "%d\n", i);
        tv_rig_write_file(tv_rig_path(name), text);
    }
}

static void expect_days(tv_rig *rig, int count) {
    char text[16];
    for (int i = 1; i <= count; i++) {
        snprintf(text, sizeof text, "%d", i);
        tv_rig_expect(rig, text);
    }
    assert_int_equal(tv_rig_take_all(rig), 0);
}

static void pattern_reads_all_files_in_order_and_follows_the_last(void **state) {
    (void)state;
    tv_rig rig;
    write_days("all-%d", 50);
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, tv_rig_path("all-*"), "match", "all");
    tv_rig_run_until_committed(&rig, 50);
    tv_rig_append_file(tv_rig_path("all-50"), "51\n");
    tv_rig_run_until_committed(&rig, 51);
    expect_days(&rig, 51);
    tv_rig_deinit(&rig);
}

static void pattern_read_once_ends_behind_the_last_file(void **state) {
    (void)state;
    tv_rig rig;
    tv_error error = {0};
    write_days("once-%d", 40);
    tv_rig_init(&rig, TV_INPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", tv_rig_path("once-*"), "match", "all", NULL),
                     TV_OK);
    tv_rig_run_until_ended(&rig);
    expect_days(&rig, 40);
    tv_rig_close(&rig);
    tv_rig_deinit(&rig);
    tv_rig_init(&rig, TV_INPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", tv_rig_path("once-*"), NULL), TV_OK);
    tv_rig_run_until_ended(&rig);
    tv_rig_expect(&rig, "40");
    assert_int_equal(tv_rig_take_all(&rig), 0);
    tv_rig_deinit(&rig);
}

static void pattern_without_a_file_is_refused_or_awaited(void **state) {
    (void)state;
    tv_rig rig;
    tv_error error = {0};
    const char *pattern = tv_rig_path("none-*");
    tv_rig_init(&rig, TV_INPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", pattern, "mode", "follow", NULL),
                     TV_NOT_FOUND);
    assert_non_null(strstr(error.message, "no file fits"));
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", "a*/b", NULL), TV_INVALID);
    assert_non_null(strstr(error.message, "only the file's name"));
    open_follow(&rig, pattern, "missing", "wait");
    tv_rig_run_until_quiet(&rig);
    tv_rig_write_file(tv_rig_path("none-1"), "1\n");
    tv_rig_run_until_committed(&rig, 1);
    tv_rig_expect(&rig, "1");
    tv_rig_deinit(&rig);
}

static void file_renamed_to_a_later_name_of_the_pattern_is_not_read_twice(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_write_file(tv_rig_path("twice-1"), "1\n");
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, tv_rig_path("twice-*"), "match", "newest");
    tv_rig_run_until_committed(&rig, 1);
    assert_int_equal(rename(tv_rig_path("twice-1"), tv_rig_path("twice-2")), 0);
    tv_rig_run_until_figure(&rig, "absences", 1);
    tv_rig_write_file(tv_rig_path("twice-3"), "3\n");
    tv_rig_run_until_committed(&rig, 2);
    tv_rig_expect(&rig, "1");
    tv_rig_expect(&rig, "3");
    assert_int_equal(tv_rig_take_all(&rig), 0);
    tv_rig_deinit(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_rewritten_with_the_same_size_is_read_again),
        cmocka_unit_test(file_truncated_and_written_past_the_old_size_is_read_again),
        cmocka_unit_test(file_that_is_touched_or_written_as_it_was_is_not_read_again),
        cmocka_unit_test(file_rewritten_while_the_channel_is_paused_is_read_from_its_beginning),
        cmocka_unit_test(file_deleted_and_made_again_is_read_from_its_beginning),
        cmocka_unit_test(smaller_or_larger_file_put_into_its_place_is_read_whole),
        cmocka_unit_test(renamed_file_without_a_new_one_is_no_warning),
        cmocka_unit_test(reserved_space_is_said_and_read_as_it_is_written),
        cmocka_unit_test(end_of_a_file_with_reserved_space_is_where_its_content_ends),
        cmocka_unit_test(line_behind_a_hole_is_read),
        cmocka_unit_test(hole_that_is_seen_before_what_is_behind_it_is_skipped),
        cmocka_unit_test(line_without_an_end_is_counted_when_it_passes_the_limit),
        cmocka_unit_test(pattern_begins_with_the_newest_and_goes_over_to_each_later_file),
        cmocka_unit_test(pattern_reads_all_files_in_order_and_follows_the_last),
        cmocka_unit_test(pattern_read_once_ends_behind_the_last_file),
        cmocka_unit_test(pattern_without_a_file_is_refused_or_awaited),
        cmocka_unit_test(file_renamed_to_a_later_name_of_the_pattern_is_not_read_twice),
    };
    return cmocka_run_group_tests_name("follow", tests, NULL, NULL);
}
