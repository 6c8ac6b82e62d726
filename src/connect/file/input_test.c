// File input on a real loop with real files: once, follow, rotation, truncation, pausing, closing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "base/base.h"
#include "connect/file/file.h"
#include "connect/testing/rig.h"

static void open_once(tv_rig *rig, const char *path) {
    tv_error error = {0};
    if (tv_rig_open(rig, &tv_connector_file, &error, "path", path, NULL) != TV_OK) fail_msg("%s", error.message);
}

// Follows with a long poll interval, so that it is notifications that a test sees, or with a short one.
static void open_follow(tv_rig *rig, const char *path, const char *poll, const char *rotate_wait) {
    tv_error error = {0};
    tv_status status = tv_rig_open(rig, &tv_connector_file, &error, "path", path, "mode", "follow", "poll", poll,
                                   "rotate_wait", rotate_wait, NULL);
    if (status != TV_OK) fail_msg("%s", error.message);
}

// ---- once ---------------------------------------------------------------------------------------------------

static void file_is_read_to_the_end_and_ends_the_channel(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("once");
    tv_rig_write_file(path, "one\ntwo\r\n\nno newline at the end");
    tv_rig_init(&rig, TV_INPUT);
    open_once(&rig, path);
    tv_rig_run_until_ended(&rig);
    tv_rig_expect(&rig, "one");
    tv_rig_expect(&rig, "two");
    tv_rig_expect(&rig, "");
    tv_rig_expect(&rig, "no newline at the end");
    assert_int_equal(tv_rig_take_all(&rig), 0);
    assert_int_equal(tv_rig_figure(&rig, "messages"), 4);
    tv_rig_deinit(&rig);
}

static void empty_file_ends_the_channel_without_messages(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("empty");
    tv_rig_write_file(path, "");
    tv_rig_init(&rig, TV_INPUT);
    open_once(&rig, path);
    tv_rig_run_until_ended(&rig);
    assert_int_equal(tv_rig_take_all(&rig), 0);
    tv_rig_deinit(&rig);
}

static void length_prefixed_file_keeps_newlines_and_counts_a_cut_end(void **state) {
    (void)state;
    tv_rig rig;
    tv_error error = {0};
    const char *path = tv_rig_path("prefixed");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fwrite("\3\0\0\0a\nb\0\0\0\0\5\0\0\0xy", 1, 17, file);
    fclose(file);
    tv_rig_init(&rig, TV_INPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", path, "format", "length-prefixed", NULL),
                     TV_OK);
    tv_rig_run_until_ended(&rig);
    tv_rig_expect(&rig, "a\nb");
    tv_rig_expect(&rig, "");
    assert_int_equal(tv_rig_take_all(&rig), 0);
    assert_int_equal(tv_rig_figure(&rig, "incomplete"), 1);
    tv_rig_deinit(&rig);
}

static void too_long_line_is_skipped_and_counted(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("long");
    tv_rig_write_file(path, "before\nthis line is longer than sixteen bytes\nafter\n");
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 0, 0, 48 + 16);
    open_once(&rig, path);
    tv_rig_run_until_ended(&rig);
    tv_rig_expect(&rig, "before");
    tv_rig_expect(&rig, "after");
    assert_int_equal(tv_rig_figure(&rig, "too_long"), 1);
    assert_int_equal(tv_rig_dropped(&rig, TV_DROP_TOO_LARGE), 1);
    tv_rig_deinit(&rig);
}

// Lines of 0 to 60 bytes over several chunks of 4 KiB, so that lines cross chunk ends everywhere.
static void lines_over_many_chunks_arrive_complete_through_a_small_queue(void **state) {
    (void)state;
    enum { LINES = 5000 };
    tv_rig rig;
    tv_error error = {0};
    const char *path = tv_rig_path("many");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < LINES; i++)
        fprintf(file, "%d:%.*s\n", i, i % 50, "..................................................");
    fclose(file);
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 4096, 16, 256);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", path, "chunk", "4KiB", NULL), TV_OK);
    char taken[257], expected[64];
    for (int i = 0; i < LINES; i++) {
        tv_rig_run_until_committed(&rig, (uint64_t)i + 1);
        assert_true(tv_rig_take(&rig, taken, sizeof taken, NULL));
        snprintf(expected, sizeof expected, "%d:%.*s", i, i % 50, "..................................................");
        assert_string_equal(taken, expected);
    }
    tv_rig_run_until_ended(&rig);
    assert_int_equal(tv_rig_take_all(&rig), 0);
    tv_rig_deinit(&rig);
}

static void paused_channel_stops_the_reading(void **state) {
    (void)state;
    tv_rig rig;
    tv_error error = {0};
    const char *path = tv_rig_path("paused");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 100000; i++)
        fprintf(file, "line %d\n", i);
    fclose(file);
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 0, 10, 0);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", path, "chunk", "4KiB", NULL), TV_OK);
    tv_rig_run_until_committed(&rig, 10);
    tv_rig_run_until_quiet(&rig);
    assert_int_equal(tv_channel_committed(rig.channel), 10);
    assert_int_equal(tv_rig_figure(&rig, "bytes_read"), 2 * 4096); // the chunk being split and the one ahead
    tv_rig_deinit(&rig);                                           // closed while paused
}

static void stop_ends_the_channel_and_keeps_what_was_taken(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("stopped");
    tv_rig_write_file(path, "1\n2\n3\n4\n5\n");
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 0, 3, 0);
    open_once(&rig, path);
    tv_rig_run_until_committed(&rig, 3);
    tv_connector_file.stop(rig.state);
    assert_true(tv_rig_has_ended(&rig));
    assert_int_equal(tv_rig_take_all(&rig), 3);
    tv_rig_run_until_quiet(&rig);
    assert_int_equal(tv_channel_committed(rig.channel), 3);
    tv_rig_deinit(&rig);
}

static void close_while_the_first_read_is_under_way(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("closed");
    tv_rig_write_file(path, "1\n2\n");
    tv_rig_init(&rig, TV_INPUT);
    open_once(&rig, path);
    tv_rig_close(&rig);
    assert_true(tv_rig_has_ended(&rig));
    tv_rig_deinit(&rig);
}

static void missing_file_and_folder_are_clear_errors(void **state) {
    (void)state;
    tv_rig rig;
    tv_error error = {0};
    tv_rig_init(&rig, TV_INPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", tv_rig_path("missing/x"), NULL),
                     TV_NOT_FOUND);
    assert_non_null(strstr(error.message, "missing/x"));
    assert_non_null(strstr(error.message, "No such file"));
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", "/", NULL), TV_INVALID);
    assert_non_null(strstr(error.message, "folder"));
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", "/dev/null", NULL), TV_INVALID);
    assert_non_null(strstr(error.message, "stdio"));
    tv_rig_deinit(&rig);
}

static void options_that_contradict_are_refused(void **state) {
    (void)state;
    tv_rig rig;
    tv_error error = {0};
    const char *path = tv_rig_path("contradiction");
    tv_rig_write_file(path, "");
    tv_rig_init(&rig, TV_INPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", path, "start", "end", NULL), TV_INVALID);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", path, "missing", "wait", NULL), TV_INVALID);
    tv_rig_deinit(&rig);
}

static void unreadable_content_fails_the_flow(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init(&rig, TV_INPUT);
    open_once(&rig, "/proc/self/mem"); // a regular file whose first page cannot be read
    tv_rig_run_until_failed(&rig);
    assert_non_null(strstr(tv_rig_failure(&rig), "/proc/self/mem"));
    tv_rig_deinit(&rig);
}

// ---- follow -------------------------------------------------------------------------------------------------

static void followed_file_delivers_lines_as_they_are_completed(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("growing");
    tv_rig_write_file(path, "one\ntw");
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, path, "1h", "0s");
    tv_rig_run_until_committed(&rig, 1);
    tv_rig_run_until_quiet(&rig);
    tv_rig_expect(&rig, "one");
    assert_int_equal(tv_rig_take_all(&rig), 0);
    tv_rig_append_file(path, "o\nthr");
    tv_rig_run_until_committed(&rig, 2);
    tv_rig_expect(&rig, "two");
    tv_rig_append_file(path, "ee\n");
    tv_rig_run_until_committed(&rig, 3);
    tv_rig_expect(&rig, "three");
    assert_false(tv_rig_has_ended(&rig));
    tv_connector_file.stop(rig.state);
    assert_true(tv_rig_has_ended(&rig));
    tv_rig_deinit(&rig);
}

static void polling_alone_finds_growth(void **state) {
    (void)state;
    tv_rig rig;
    // The notifications are for the link's folder; the file lies elsewhere.
    const char *path = tv_rig_path("polled-link"), *target = tv_rig_path("elsewhere/polled");
    assert_int_equal(mkdir(tv_rig_path("elsewhere"), 0700), 0);
    tv_rig_write_file(target, "");
    assert_int_equal(symlink(target, path), 0);
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, path, "10ms", "0s");
    tv_rig_run_until_quiet(&rig);
    tv_rig_append_file(target, "polled\n");
    tv_rig_run_until_committed(&rig, 1);
    tv_rig_expect(&rig, "polled");
    tv_rig_deinit(&rig);
}

static void follow_from_the_end_begins_with_the_next_whole_line(void **state) {
    (void)state;
    tv_rig rig;
    tv_error error = {0};
    const char *path = tv_rig_path("tail");
    tv_rig_write_file(path, "old\nhalf of ");
    tv_rig_init(&rig, TV_INPUT);
    assert_int_equal(
        tv_rig_open(&rig, &tv_connector_file, &error, "path", path, "mode", "follow", "start", "end", NULL), TV_OK);
    tv_rig_run_until_quiet(&rig);
    tv_rig_append_file(path, "the old\nnew\n");
    tv_rig_run_until_committed(&rig, 1);
    tv_rig_expect(&rig, "new");
    tv_rig_deinit(&rig);
    tv_rig_write_file(path, "old\n");
    tv_rig_init(&rig, TV_INPUT);
    assert_int_equal(
        tv_rig_open(&rig, &tv_connector_file, &error, "path", path, "mode", "follow", "start", "end", NULL), TV_OK);
    tv_rig_run_until_quiet(&rig);
    tv_rig_append_file(path, "first\n");
    tv_rig_run_until_committed(&rig, 1);
    tv_rig_expect(&rig, "first");
    tv_rig_deinit(&rig);
}

static void expect_attribute(tv_rig *rig, const char *name, const char *expected) {
    char value[TV_ATTRIBUTES_BYTES_LIMIT + 1];
    if (!tv_rig_front_attribute(rig, name, value, sizeof value)) fail_msg("no attribute %s", name);
    assert_string_equal(value, expected);
}

static void expect_no_attribute(tv_rig *rig, const char *name) {
    char value[TV_ATTRIBUTES_BYTES_LIMIT + 1];
    if (tv_rig_front_attribute(rig, name, value, sizeof value)) fail_msg("%s=%s", name, value);
}

static void first_message_of_each_file_says_so(void **state) {
    (void)state;
    char old[4096];
    tv_rig rig;
    const char *path = tv_rig_path("begins");
    snprintf(old, sizeof old, "%s.1", path);
    tv_rig_write_file(path, "a\nb\n");
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, path, "1h", "0s");
    tv_rig_run_until_committed(&rig, 2);
    assert_int_equal(rename(path, old), 0);
    tv_rig_write_file(path, "c\nd\n");
    tv_rig_run_until_committed(&rig, 4);
    tv_rig_write_file(path, "e\n"); // truncated
    tv_rig_run_until_committed(&rig, 5);
    for (const char *line = "abcde"; *line != 0; line++) {
        if (*line == 'b' || *line == 'd')
            expect_no_attribute(&rig, "file");
        else
            expect_attribute(&rig, "file", "begin");
        tv_rig_expect(&rig, (char[]){*line, 0});
    }
    tv_rig_deinit(&rig);
}

static void first_message_behind_the_end_has_the_first_line_of_the_file(void **state) {
    (void)state;
    enum { LONG = TV_ATTRIBUTES_BYTES_LIMIT };
    char content[LONG + 16];
    static const char *const first_lines[] = {"time,value\r", "", "long"};
    for (int i = 0; i < 3; i++) {
        tv_rig rig;
        tv_error error = {0};
        const char *path = tv_rig_path("columns");
        snprintf(content, sizeof content, "%s\n1,2\n", first_lines[i]);
        if (i == 2) snprintf(content, sizeof content, "%0*d\n1,2\n", LONG, 0);
        tv_rig_write_file(path, content);
        tv_rig_init(&rig, TV_INPUT);
        assert_int_equal(
            tv_rig_open(&rig, &tv_connector_file, &error, "path", path, "mode", "follow", "start", "end", NULL), TV_OK);
        tv_rig_run_until_quiet(&rig);
        tv_rig_append_file(path, "3,4\n5,6\n");
        tv_rig_run_until_committed(&rig, 2);
        expect_attribute(&rig, "file", "middle");
        if (i == 0) expect_attribute(&rig, "first_line", "time,value");
        if (i == 1) expect_attribute(&rig, "first_line", "");
        if (i == 2) expect_no_attribute(&rig, "first_line");
        tv_rig_expect(&rig, "3,4");
        expect_no_attribute(&rig, "file");
        tv_rig_expect(&rig, "5,6");
        tv_rig_deinit(&rig);
    }
}

static void message_without_room_for_attributes_comes_without(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("full");
    tv_rig_write_file(path, "sixteen bytes...\nnext\n");
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 0, 0, 48 + 16);
    open_once(&rig, path);
    tv_rig_run_until_ended(&rig);
    expect_no_attribute(&rig, "file");
    tv_rig_expect(&rig, "sixteen bytes...");
    expect_no_attribute(&rig, "file");
    tv_rig_expect(&rig, "next");
    tv_rig_deinit(&rig);
}

static void rotation_reads_the_rest_of_the_old_file_first(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("rotated"), *old = tv_rig_path("rotated.1");
    tv_rig_write_file(path, "1\n");
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, path, "1h", "0s");
    tv_rig_run_until_committed(&rig, 1);
    tv_rig_run_until_quiet(&rig);
    tv_rig_append_file(path, "2\n3 without newline");
    assert_int_equal(rename(path, old), 0);
    tv_rig_write_file(path, "4\n");
    tv_rig_run_until_committed(&rig, 4);
    tv_rig_expect(&rig, "1");
    tv_rig_expect(&rig, "2");
    tv_rig_expect(&rig, "3 without newline");
    tv_rig_expect(&rig, "4");
    assert_int_equal(tv_rig_figure(&rig, "rotations"), 1);
    tv_rig_append_file(path, "5\n");
    tv_rig_run_until_committed(&rig, 5);
    tv_rig_expect(&rig, "5");
    tv_rig_deinit(&rig);
}

static void late_writes_to_the_rotated_file_are_read_while_the_wait_lasts(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("late"), *old = tv_rig_path("late.1");
    tv_rig_write_file(path, "1\n");
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, path, "10ms", "5s"); // of the virtual clock
    tv_rig_run_until_committed(&rig, 1);
    assert_int_equal(rename(path, old), 0);
    tv_rig_write_file(path, "3\n");
    tv_virtual_clock_advance(&rig.clock, 4900LL * 1000000);
    tv_rig_append_file(old, "2 late\n");
    tv_rig_run_until_committed(&rig, 2);
    assert_int_equal(tv_rig_figure(&rig, "rotations"), 0);
    tv_virtual_clock_advance(&rig.clock, 10000LL * 1000000);
    tv_rig_run_until_committed(&rig, 3);
    tv_rig_expect(&rig, "1");
    tv_rig_expect(&rig, "2 late");
    tv_rig_expect(&rig, "3");
    assert_int_equal(tv_rig_figure(&rig, "rotations"), 1);
    tv_rig_deinit(&rig);
}

static void truncated_file_is_read_from_its_beginning(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("truncated");
    tv_rig_write_file(path, "first\nsecond\n");
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, path, "1h", "0s");
    tv_rig_run_until_committed(&rig, 2);
    tv_rig_run_until_quiet(&rig);
    tv_rig_take_all(&rig);
    tv_rig_write_file(path, "again\n");
    tv_rig_run_until_committed(&rig, 3);
    tv_rig_expect(&rig, "again");
    assert_int_equal(tv_rig_figure(&rig, "truncations"), 1);
    tv_rig_deinit(&rig);
}

static void vanished_file_is_awaited(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("vanished");
    tv_rig_write_file(path, "1\n");
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, path, "10ms", "0s");
    tv_rig_run_until_committed(&rig, 1);
    assert_int_equal(unlink(path), 0);
    tv_rig_run_until_figure(&rig, "absences", 1);
    tv_rig_log_begin();
    tv_rig_write_file(path, "2\n");
    tv_rig_run_until_committed(&rig, 2);
    tv_rig_log_end();
    char *log = tv_rig_log_read();
    assert_non_null(strstr(log, " is back"));
    free(log);
    tv_rig_expect(&rig, "1");
    tv_rig_expect(&rig, "2");
    tv_rig_deinit(&rig);
}

static void missing_file_is_awaited_when_asked_for(void **state) {
    (void)state;
    tv_rig rig;
    tv_error error = {0};
    const char *path = tv_rig_path("awaited");
    tv_rig_init(&rig, TV_INPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", path, "mode", "follow", "missing", "wait",
                                 "poll", "1h", NULL),
                     TV_OK);
    tv_rig_run_until_quiet(&rig);
    tv_rig_log_begin();
    tv_rig_write_file(path, "here\n");
    tv_rig_run_until_committed(&rig, 1);
    tv_rig_log_end();
    char *log = tv_rig_log_read();
    assert_non_null(strstr(log, "awaited has appeared"));
    free(log);
    tv_rig_expect(&rig, "here");
    assert_int_equal(tv_rig_figure(&rig, "rotations"), 0);
    tv_rig_deinit(&rig);
}

static void buffers_go_back_when_the_flow_is_idle(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("trimmed");
    char line[1001];
    memset(line, 'x', 1000);
    line[999] = '\n';
    line[1000] = 0;
    tv_rig_write_file(path, line);
    for (int i = 1; i < 100; i++)
        tv_rig_append_file(path, line);
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, path, "1h", "0s");
    tv_rig_run_until_committed(&rig, 100);
    tv_connector_file.trim(rig.state); // now, or when the read that finds the end is over
    tv_rig_run_until_quiet(&rig);
    assert_true(atomic_load(&rig.memory.trimmed_bytes) >= 80 << 10);
    assert_int_equal(tv_rig_take_all(&rig), 100);
    tv_rig_append_file(path, "more\n");
    tv_rig_run_until_committed(&rig, 101);
    tv_rig_expect(&rig, "more");
    tv_rig_deinit(&rig);
}

static void rotation_while_paused_loses_nothing(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("rotated-paused"), *old = tv_rig_path("rotated-paused.1");
    tv_rig_write_file(path, "1\n2\n3\n4\n5");
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 0, 2, 0);
    open_follow(&rig, path, "1h", "0s");
    tv_rig_run_until_committed(&rig, 2);
    assert_int_equal(rename(path, old), 0);
    tv_rig_write_file(path, "6\n7\n");
    char expected[2] = "1";
    for (uint64_t i = 1; i <= 7; i++) {
        tv_rig_run_until_committed(&rig, i);
        tv_rig_expect(&rig, expected);
        expected[0]++;
    }
    tv_rig_deinit(&rig);
}

// The queue is full while the file is rotated three times: every file in between is read nevertheless.
static void rotations_during_a_pause_miss_no_file(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("held"), *old = tv_rig_path("held.1");
    tv_rig_write_file(path, "1\n2\n3\n");
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 0, 2, 0);
    open_follow(&rig, path, "1h", "0s");
    tv_rig_run_until_committed(&rig, 2);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(rename(path, old), 0); // replaces the one before
        char text[8] = "4\n5\n";
        text[0] = (char)('4' + 2 * i);
        text[2] = (char)('5' + 2 * i);
        tv_rig_write_file(path, text);
        tv_rig_run_until_figure(&rig, "rotations_noticed", i + 1);
    }
    assert_int_equal(tv_rig_figure(&rig, "rotations"), 0);
    char expected[2] = "1";
    for (uint64_t i = 1; i <= 9; i++) {
        tv_rig_run_until_committed(&rig, i);
        tv_rig_expect(&rig, expected);
        expected[0]++;
    }
    assert_int_equal(tv_rig_figure(&rig, "rotations"), 3);
    assert_int_equal(tv_rig_figure(&rig, "rotations_unseen"), 0);
    tv_rig_deinit(&rig);
}

// One more than can be held open: said and counted, and the newest is found again later.
static void more_rotations_than_can_be_held_are_counted(void **state) {
    (void)state;
    enum { HELD = 32 };
    tv_rig rig;
    const char *path = tv_rig_path("overrun"), *old = tv_rig_path("overrun.1");
    tv_rig_write_file(path, "0\n0\n");
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 0, 1, 0);
    open_follow(&rig, path, "1h", "0s");
    tv_rig_run_until_committed(&rig, 1);
    for (uint64_t i = 1; i <= HELD + 2; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d\n", (int)i);
        assert_int_equal(rename(path, old), 0);
        tv_rig_write_file(path, text);
        tv_rig_run_until_figure(&rig, i <= HELD ? "rotations_noticed" : "rotations_unseen", i <= HELD ? i : i - HELD);
    }
    uint64_t taken = 0;
    char last[64] = "", line[64];
    while (strcmp(last, "34") != 0) { // 33 was replaced unseen
        tv_rig_run_until_committed(&rig, ++taken);
        assert_true(tv_rig_take(&rig, line, sizeof line, NULL));
        memcpy(last, line, sizeof last);
    }
    assert_int_equal(taken, 2 + HELD + 1);
    tv_rig_deinit(&rig);
}

// Random appends and rotations against a queue that is drained at random: every line once, in order.
// Takes the next line if there is one; it must be the one after the last taken.
static void take_next_line(tv_rig *rig, unsigned *taken) {
    char line[65], expected[65];
    if (!tv_rig_take(rig, line, sizeof line, NULL)) return;
    snprintf(expected, sizeof expected, "line %u", (*taken)++);
    assert_string_equal(line, expected);
}

static void random_appends_and_rotations_lose_nothing(void **state) {
    (void)state;
    uint32_t seed = 20260101;
    tv_rig rig;
    tv_error error = {0};
    const char *path = tv_rig_path("random"), *old = tv_rig_path("random.1");
    tv_rig_write_file(path, "");
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 4096, 8, 64);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", path, "mode", "follow", "poll", "10ms",
                                 "rotate_wait", "0s", "chunk", "4KiB", NULL),
                     TV_OK);
    unsigned written = 0, taken = 0, step = 0;
    uint64_t rotations = 0;
    while (step++ < 3000 || rotations <= 20) {
        seed = seed * 1664525 + 1013904223;
        unsigned choice = seed >> 16 & 15;
        if (choice < 6 && step < 3000) {
            char line[65];
            snprintf(line, sizeof line, "line %u%s", written++, choice & 1 ? "\r\n" : "\n");
            tv_rig_append_file(path, line);
        } else if (choice == 6 && tv_rig_figure(&rig, "rotations_noticed") == rotations) {
            assert_int_equal(rename(path, old), 0);
            tv_rig_write_file(path, "");
            rotations++;
        } else if (choice < 11) {
            take_next_line(&rig, &taken);
        } else {
            uv_run(&rig.loop, step < 3000 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
        }
    }
    while (taken < written) {
        tv_rig_run_until_committed(&rig, taken + 1);
        take_next_line(&rig, &taken);
    }
    assert_int_equal(tv_rig_figure(&rig, "truncations"), 0);
    tv_rig_deinit(&rig);
}

static void closing_a_followed_file_in_every_phase_leaves_nothing_behind(void **state) {
    (void)state;
    const char *path = tv_rig_path("phases");
    tv_rig_write_file(path, "1\n");
    for (int steps = 0; steps < 8; steps++) {
        tv_rig rig;
        tv_rig_init(&rig, TV_INPUT);
        open_follow(&rig, path, "10ms", "0s");
        for (int i = 0; i < steps; i++)
            uv_run(&rig.loop, UV_RUN_ONCE);
        tv_rig_deinit(&rig); // checks that no handle is left; the sanitizer checks memory
    }
}

static void option_defaults_are_right(void **state) {
    (void)state;
    tv_error error = {0};
    char memory[1024];
    assert_true(sizeof memory >= tv_connector_file.input_options.struct_bytes);
    assert_true(sizeof memory >= tv_connector_file.output_options.struct_bytes);
    assert_int_equal(tv_option_defaults(&tv_connector_file.input_options, memory, &error), TV_OK);
    assert_int_equal(tv_connector_file.memory_bytes(TV_INPUT, memory, 65536), 2 * 262144 + 65536 + 1);
    assert_int_equal(tv_option_defaults(&tv_connector_file.output_options, memory, &error), TV_OK);
    assert_int_equal(tv_connector_file.memory_bytes(TV_OUTPUT, memory, 65536), 262144);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_is_read_to_the_end_and_ends_the_channel),
        cmocka_unit_test(empty_file_ends_the_channel_without_messages),
        cmocka_unit_test(length_prefixed_file_keeps_newlines_and_counts_a_cut_end),
        cmocka_unit_test(too_long_line_is_skipped_and_counted),
        cmocka_unit_test(lines_over_many_chunks_arrive_complete_through_a_small_queue),
        cmocka_unit_test(paused_channel_stops_the_reading),
        cmocka_unit_test(stop_ends_the_channel_and_keeps_what_was_taken),
        cmocka_unit_test(close_while_the_first_read_is_under_way),
        cmocka_unit_test(missing_file_and_folder_are_clear_errors),
        cmocka_unit_test(options_that_contradict_are_refused),
        cmocka_unit_test(unreadable_content_fails_the_flow),
        cmocka_unit_test(followed_file_delivers_lines_as_they_are_completed),
        cmocka_unit_test(polling_alone_finds_growth),
        cmocka_unit_test(follow_from_the_end_begins_with_the_next_whole_line),
        cmocka_unit_test(first_message_of_each_file_says_so),
        cmocka_unit_test(first_message_behind_the_end_has_the_first_line_of_the_file),
        cmocka_unit_test(message_without_room_for_attributes_comes_without),
        cmocka_unit_test(rotation_reads_the_rest_of_the_old_file_first),
        cmocka_unit_test(late_writes_to_the_rotated_file_are_read_while_the_wait_lasts),
        cmocka_unit_test(truncated_file_is_read_from_its_beginning),
        cmocka_unit_test(vanished_file_is_awaited),
        cmocka_unit_test(missing_file_is_awaited_when_asked_for),
        cmocka_unit_test(buffers_go_back_when_the_flow_is_idle),
        cmocka_unit_test(rotation_while_paused_loses_nothing),
        cmocka_unit_test(rotations_during_a_pause_miss_no_file),
        cmocka_unit_test(more_rotations_than_can_be_held_are_counted),
        cmocka_unit_test(random_appends_and_rotations_lose_nothing),
        cmocka_unit_test(closing_a_followed_file_in_every_phase_leaves_nothing_behind),
        cmocka_unit_test(option_defaults_are_right),
    };
    return cmocka_run_group_tests_name("file input", tests, NULL, NULL);
}
