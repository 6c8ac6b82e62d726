// File output on a real loop with real files: batches, rotation, sync, disks that refuse, closing.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "base/base.h"
#include "connect/file/file.h"
#include "connect/testing/rig.h"

static const int64_t second_ns = 1000000000;

static void open_output(tv_rig *rig, const char *path, const char *name, const char *value) {
    tv_error error = {0};
    // A NULL name ends the list early.
    if (tv_rig_open(rig, &tv_connector_file, &error, "path", path, name, value, NULL) != TV_OK)
        fail_msg("%s", error.message);
}

static void missing(const char *path) {
    struct stat status;
    if (stat(path, &status) == 0) fail_msg("%s exists", path);
}

static void records_become_lines_and_leave_the_queue(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("lines");
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, path, NULL, NULL);
    tv_rig_put(&rig, "one");
    tv_rig_put(&rig, "");
    tv_rig_put(&rig, "with\nnewline");
    tv_rig_run_until_taken(&rig);
    tv_rig_expect_file(path, "one\n\nwith\nnewline\n");
    assert_int_equal(tv_rig_figure(&rig, "messages"), 3);
    assert_int_equal(tv_rig_figure(&rig, "bytes"), 18);
    tv_rig_deinit(&rig);
}

static void length_prefixed_records_are_written_with_their_length(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("frames");
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, path, "format", "length-prefixed");
    tv_rig_put_bytes(&rig, "a\0b", 3, TV_KIND_DATA);
    tv_rig_run_until_taken(&rig);
    size_t length;
    char *bytes = tv_rig_read_file(path, &length);
    assert_int_equal(length, 7);
    assert_memory_equal(bytes, "\3\0\0\0a\0b", 7);
    free(bytes);
    tv_rig_deinit(&rig);
}

static void append_keeps_what_is_there_and_truncate_does_not(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("modes");
    tv_rig_write_file(path, "old\n");
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, path, "mode", "append");
    tv_rig_put(&rig, "appended");
    tv_rig_deinit(&rig); // close drains
    tv_rig_expect_file(path, "old\nappended\n");
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, path, "mode", "truncate");
    tv_rig_put(&rig, "new");
    tv_rig_deinit(&rig);
    tv_rig_expect_file(path, "new\n");
}

static void unfinished_line_of_an_earlier_run_is_ended_first(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("unfinished");
    tv_rig_write_file(path, "cut of");
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, path, NULL, NULL);
    tv_rig_put(&rig, "next");
    tv_rig_deinit(&rig);
    tv_rig_expect_file(path, "cut of\nnext\n");
}

static void close_while_a_job_is_under_way_writes_everything(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("drained");
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, path, "buffer", "4KiB");
    char text[1025];
    memset(text, 'x', 1024);
    text[1024] = 0;
    for (int i = 0; i < 100; i++)
        tv_rig_put(&rig, text);
    uv_run(&rig.loop, UV_RUN_NOWAIT);
    tv_rig_close(&rig);
    assert_int_equal(tv_rig_queued(&rig), 0);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 100 * 1025);
    tv_rig_deinit(&rig);
}

static void two_channels_share_a_path_with_whole_lines(void **state) {
    (void)state;
    tv_rig rigs[2];
    const char *path = tv_rig_path("shared");
    for (int i = 0; i < 2; i++) {
        tv_rig_init(&rigs[i], TV_OUTPUT);
        open_output(&rigs[i], path, NULL, NULL);
    }
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 2; i++) {
            tv_rig_put(&rigs[i], i ? "bbbbbbbbbbbb" : "aaaa");
            uv_run(&rigs[i].loop, UV_RUN_NOWAIT);
        }
    }
    for (int i = 0; i < 2; i++)
        tv_rig_deinit(&rigs[i]);
    char *bytes = tv_rig_read_file(path, NULL), *rest = bytes;
    int counts[2] = {0, 0};
    for (char *line; (line = strsep(&rest, "\n")) != NULL && *line;) {
        counts[0] += strcmp(line, "aaaa") == 0;
        counts[1] += strcmp(line, "bbbbbbbbbbbb") == 0;
    }
    assert_int_equal(counts[0], 50);
    assert_int_equal(counts[1], 50);
    free(bytes);
}

// ---- rotation -----------------------------------------------------------------------------------------------

static void rotation_by_size_never_exceeds_it_and_keeps_the_count(void **state) {
    (void)state;
    tv_rig rig;
    tv_error error = {0};
    const char *path = tv_rig_path("sized");
    tv_rig_init(&rig, TV_OUTPUT);
    assert_int_equal(
        tv_rig_open(&rig, &tv_connector_file, &error, "path", path, "rotate_size", "4096", "keep", "2", NULL), TV_OK);
    char text[1000];
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "%02d%0900d", i, 0);
        tv_rig_put(&rig, text);
    }
    tv_rig_run_until_taken(&rig);
    // Four lines of 903 bytes fit into 4096: 20 lines are five files, three of which are left.
    assert_int_equal(tv_rig_figure(&rig, "rotations"), 4);
    static const char *const names[] = {"sized", "sized.1", "sized.2"};
    for (int i = 0; i < 3; i++) {
        size_t length;
        char *bytes = tv_rig_read_file(tv_rig_path(names[i]), &length);
        assert_non_null(bytes);
        assert_int_equal(length, 4 * 903);
        snprintf(text, sizeof text, "%02d", 16 - 4 * i);
        assert_memory_equal(bytes, text, 2);
        free(bytes);
    }
    missing(tv_rig_path("sized.3"));
    tv_rig_deinit(&rig);
}

static void record_larger_than_the_rotation_size_gets_its_own_file(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("oversized");
    tv_rig_init_limits(&rig, TV_OUTPUT, TV_OVERFLOW_BLOCK, 0, 0, 16384);
    open_output(&rig, path, "rotate_size", "4096");
    static char text[8001];
    memset(text, 'x', 8000);
    tv_rig_put(&rig, "small");
    tv_rig_put(&rig, text);
    tv_rig_put(&rig, "small again");
    tv_rig_run_until_taken(&rig);
    tv_rig_expect_file(path, "small again\n");
    tv_rig_expect_file(tv_rig_path("oversized.2"), "small\n");
    size_t length;
    free(tv_rig_read_file(tv_rig_path("oversized.1"), &length));
    assert_int_equal(length, 8001);
    tv_rig_deinit(&rig);
}

static void rotation_by_age_comes_with_the_clock(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("aged");
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, path, "rotate_age", "1h");
    tv_rig_put(&rig, "1");
    tv_rig_run_until_taken(&rig);
    tv_virtual_clock_advance(&rig.clock, 3599 * second_ns);
    tv_rig_put(&rig, "2");
    tv_rig_run_until_taken(&rig);
    tv_virtual_clock_advance(&rig.clock, 2 * second_ns);
    tv_rig_put(&rig, "3");
    tv_rig_run_until_taken(&rig);
    tv_rig_expect_file(tv_rig_path("aged.1"), "1\n2\n");
    tv_rig_expect_file(path, "3\n");
    tv_rig_deinit(&rig);
}

static void gap_among_the_rotated_files_is_filled_first(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("gap");
    tv_rig_write_file(tv_rig_path("gap.1"), "older\n");
    tv_rig_write_file(tv_rig_path("gap.3"), "oldest\n");
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, path, "rotate_age", "1s");
    tv_rig_put(&rig, "1");
    tv_rig_run_until_taken(&rig);
    tv_virtual_clock_advance(&rig.clock, 2 * second_ns);
    tv_rig_put(&rig, "2");
    tv_rig_run_until_taken(&rig);
    tv_rig_expect_file(tv_rig_path("gap.1"), "1\n");
    tv_rig_expect_file(tv_rig_path("gap.2"), "older\n");
    tv_rig_expect_file(tv_rig_path("gap.3"), "oldest\n");
    tv_rig_deinit(&rig);
}

static void keep_zero_deletes_the_old_file(void **state) {
    (void)state;
    tv_rig rig;
    tv_error error = {0};
    const char *path = tv_rig_path("unkept");
    tv_rig_init(&rig, TV_OUTPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", path, "rotate_age", "1s", "keep", "0", NULL),
                     TV_OK);
    tv_rig_put(&rig, "1");
    tv_rig_run_until_taken(&rig);
    tv_virtual_clock_advance(&rig.clock, 2 * second_ns);
    tv_rig_put(&rig, "2");
    tv_rig_run_until_taken(&rig);
    tv_rig_expect_file(path, "2\n");
    missing(tv_rig_path("unkept.1"));
    tv_rig_deinit(&rig);
}

static void file_that_was_moved_away_is_begun_anew(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("moved"), *old = tv_rig_path("moved.old");
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, path, NULL, NULL);
    tv_rig_put(&rig, "1");
    tv_rig_run_until_taken(&rig);
    assert_int_equal(rename(path, old), 0);
    tv_rig_put(&rig, "2");
    tv_rig_run_until_taken(&rig);
    tv_rig_expect_file(old, "1\n");
    tv_rig_expect_file(path, "2\n");
    assert_int_equal(unlink(path), 0);
    tv_rig_put(&rig, "3");
    tv_rig_run_until_taken(&rig);
    tv_rig_expect_file(path, "3\n");
    assert_int_equal(tv_rig_figure(&rig, "reopened"), 2);
    tv_rig_deinit(&rig);
}

// ---- memory -------------------------------------------------------------------------------------------------

static void put_large(tv_rig *rig, int count) {
    static char text[4001];
    memset(text, 'x', 4000);
    for (int i = 0; i < count; i++)
        tv_rig_put(rig, text);
}

static void buffer_goes_back_when_the_flow_is_idle(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("trimmed");
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, path, NULL, NULL);
    put_large(&rig, 40);
    tv_rig_run_until_taken(&rig);
    tv_connector_file.trim(rig.state);
    uint64_t bytes = atomic_load(&rig.memory.trimmed_bytes);
    assert_in_range(bytes, 4096, 256 << 10);
    tv_connector_file.trim(rig.state);
    assert_int_equal(atomic_load(&rig.memory.trimmed_bytes), bytes); // there is nothing left
    tv_rig_put(&rig, "and it is used as before");
    tv_rig_run_until_taken(&rig);
    size_t length;
    char *all = tv_rig_read_file(path, &length);
    assert_int_equal(length, 40 * 4001 + 25);
    assert_string_equal(all + 40 * 4001, "and it is used as before\n");
    free(all);
    tv_rig_deinit(&rig);
}

static void buffer_in_use_goes_back_when_it_is_written(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("trimmed-later");
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, path, NULL, NULL);
    put_large(&rig, 40);
    tv_connector_file.ready(rig.state); // a batch is under way
    tv_connector_file.trim(rig.state);
    assert_int_equal(atomic_load(&rig.memory.trimmed_bytes), 0);
    tv_rig_run_until_taken(&rig);
    assert_true(atomic_load(&rig.memory.trimmed_bytes) >= 4096);
    tv_rig_deinit(&rig);
    size_t length;
    free(tv_rig_read_file(path, &length));
    assert_int_equal(length, 40 * 4001);
}

// ---- sync ---------------------------------------------------------------------------------------------------

static void every_batch_is_synced_before_it_leaves_the_queue(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("synced");
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, path, "sync", "every-batch");
    tv_rig_put(&rig, "1");
    tv_rig_run_until_taken(&rig);
    assert_int_equal(tv_rig_figure(&rig, "syncs"), tv_rig_figure(&rig, "batches"));
    assert_int_equal(tv_rig_figure(&rig, "syncs"), 1);
    tv_rig_deinit(&rig);
}

static void interval_sync_comes_when_due_and_at_the_end(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("interval");
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, path, "sync", "interval");
    tv_rig_put(&rig, "1");
    tv_rig_run_until_taken(&rig);
    assert_int_equal(tv_rig_figure(&rig, "syncs"), 0);
    tv_virtual_clock_advance(&rig.clock, 6 * second_ns);
    tv_rig_put(&rig, "2");
    tv_rig_run_until_taken(&rig);
    assert_int_equal(tv_rig_figure(&rig, "syncs"), 1);
    tv_rig_put(&rig, "3");
    tv_rig_end_output(&rig);
    tv_rig_run_until_figure(&rig, "syncs", 2);
    tv_rig_expect_file(path, "1\n2\n3\n");
    tv_rig_deinit(&rig);
}

// ---- a sync that fails --------------------------------------------------------------------------------------

static _Atomic unsigned syncs_to_fail;
static char *damaged; // path of the file that loses its content with a sync that fails; NULL: none

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

// As a disk does it that could not store what was written: it is gone, and the next sync knows nothing of it.
int __wrap_fdatasync(int fd) {
    if (atomic_load(&syncs_to_fail) == 0) return __real_fdatasync(fd);
    atomic_fetch_sub(&syncs_to_fail, 1);
    struct stat status;
    int hurt = damaged ? open(damaged, O_WRONLY) : -1;
    if (hurt >= 0 && fstat(hurt, &status) == 0)
        for (off_t at = 0; at < status.st_size; at++)
            assert_int_equal(pwrite(hurt, "?", 1, at), 1);
    if (hurt >= 0) close(hurt);
    errno = EIO;
    return -1;
}

static void open_synced(tv_rig *rig, const char *path, unsigned failures) {
    tv_rig_init(rig, TV_OUTPUT);
    open_output(rig, path, "sync", "every-batch");
    atomic_store(&syncs_to_fail, failures);
    damaged = strdup(path);
}

static void close_synced(tv_rig *rig) {
    tv_rig_deinit(rig);
    free(damaged);
    damaged = NULL;
}

static void failed_sync_is_made_good_without_writing_lines_twice(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("unsynced");
    open_synced(&rig, path, 2);
    tv_rig_put(&rig, "one");
    tv_rig_put(&rig, "two");
    tv_rig_run_until_figure(&rig, "write_errors", 1);
    assert_int_equal(tv_rig_queued(&rig), 2);
    tv_rig_run_until_taken(&rig);
    tv_rig_expect_file(path, "one\ntwo\n");
    assert_int_equal(tv_rig_figure(&rig, "retries"), 2);
    assert_int_equal(tv_rig_figure(&rig, "syncs"), 1);
    tv_rig_put(&rig, "three"); // the file is appended to as before
    tv_rig_run_until_taken(&rig);
    tv_rig_expect_file(path, "one\ntwo\nthree\n");
    close_synced(&rig);
}

static void failed_sync_of_a_file_that_is_moved_away_is_made_good_there(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("unsynced-moved"), *old = tv_rig_path("unsynced-moved.old");
    open_synced(&rig, path, 1);
    tv_rig_put(&rig, "one");
    tv_rig_run_until_figure(&rig, "write_errors", 1);
    assert_int_equal(rename(path, old), 0);
    tv_rig_run_until_taken(&rig);
    tv_rig_expect_file(old, "one\n");
    missing(path);
    tv_rig_put(&rig, "two");
    tv_rig_run_until_taken(&rig);
    tv_rig_expect_file(old, "one\n");
    tv_rig_expect_file(path, "two\n");
    close_synced(&rig);
}

static void failed_sync_leaves_what_others_have_appended(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("unsynced-shared");
    open_synced(&rig, path, 1);
    tv_rig_put(&rig, "one");
    tv_rig_run_until_figure(&rig, "write_errors", 1);
    tv_rig_append_file(path, "other\n");
    tv_rig_run_until_taken(&rig);
    tv_rig_expect_file(path, "one\nother\n");
    tv_rig_put(&rig, "two");
    tv_rig_run_until_taken(&rig);
    tv_rig_expect_file(path, "one\nother\ntwo\n");
    close_synced(&rig);
}

static void failed_sync_of_a_file_that_is_emptied_writes_nothing_back(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("unsynced-emptied");
    open_synced(&rig, path, 1);
    tv_rig_put(&rig, "one");
    tv_rig_run_until_figure(&rig, "write_errors", 1);
    assert_int_equal(truncate(path, 0), 0);
    tv_rig_run_until_taken(&rig);
    tv_rig_expect_file(path, "");
    close_synced(&rig);
}

// ---- trouble ------------------------------------------------------------------------------------------------

static void full_disk_keeps_the_records_and_tries_again(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, "/dev/full", NULL, NULL);
    tv_rig_put(&rig, "kept");
    tv_rig_run_until_figure(&rig, "retries", 2);
    assert_int_equal(tv_rig_queued(&rig), 1);
    assert_true(tv_rig_figure(&rig, "write_errors") >= 2);
    assert_null(tv_rig_failure(&rig));
    tv_rig_close(&rig); // does not wait for the disk
    assert_int_equal(tv_rig_queued(&rig), 1);
    tv_rig_deinit(&rig);
}

static void limit_file_size(rlim_t bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void partial_write_is_continued_at_the_exact_byte(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("partial");
    signal(SIGXFSZ, SIG_IGN);
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, path, NULL, NULL);
    limit_file_size(7);
    tv_rig_put(&rig, "12345");
    tv_rig_put(&rig, "67890");
    tv_rig_run_until_figure(&rig, "write_errors", 1);
    assert_int_equal(tv_rig_queued(&rig), 2);
    limit_file_size(RLIM_INFINITY);
    tv_rig_expect_file(path, "12345\n6");
    tv_rig_run_until_taken(&rig);
    tv_rig_expect_file(path, "12345\n67890\n");
    assert_int_equal(tv_rig_figure(&rig, "retries"), 1);
    tv_rig_deinit(&rig);
}

static void batch_cut_by_a_new_file_begins_there_with_a_whole_line(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("cut"), *old = tv_rig_path("cut.old");
    signal(SIGXFSZ, SIG_IGN);
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, path, NULL, NULL);
    limit_file_size(7);
    tv_rig_put(&rig, "12345");
    tv_rig_put(&rig, "67890");
    tv_rig_run_until_figure(&rig, "write_errors", 1);
    limit_file_size(RLIM_INFINITY);
    assert_int_equal(rename(path, old), 0);
    tv_rig_run_until_taken(&rig);
    tv_rig_expect_file(old, "12345\n6");
    tv_rig_expect_file(path, "67890\n");
    tv_rig_deinit(&rig);
}

// Two channels and a disk that is full in the midst of a line of the first: what is cut is begun anew when the second
// has written meanwhile, which ends the cut line first.
static void cut_line_of_one_channel_does_not_swallow_a_line_of_another(void **state) {
    (void)state;
    tv_rig rigs[2];
    const char *path = tv_rig_path("cut-shared");
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        tv_rig_init(&rigs[i], TV_OUTPUT);
        open_output(&rigs[i], path, NULL, NULL);
    }
    tv_rig_put(&rigs[1], "b");
    tv_rig_run_until_taken(&rigs[1]);
    limit_file_size(9);
    tv_rig_put(&rigs[0], "12345");
    tv_rig_put(&rigs[0], "67890");
    tv_rig_run_until_figure(&rigs[0], "write_errors", 1);
    tv_rig_expect_file(path, "b\n12345\n6");
    limit_file_size(RLIM_INFINITY);
    tv_rig_put(&rigs[1], "bb");
    tv_rig_run_until_taken(&rigs[1]);
    tv_rig_run_until_taken(&rigs[0]);
    tv_rig_expect_file(path, "b\n12345\n6\nbb\n67890\n");
    for (int i = 0; i < 2; i++)
        tv_rig_deinit(&rigs[i]);
}

static void frames_cut_by_a_new_file_begin_there_whole(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("cut-frames"), *old = tv_rig_path("cut-frames.old");
    signal(SIGXFSZ, SIG_IGN);
    tv_rig_init(&rig, TV_OUTPUT);
    open_output(&rig, path, "format", "length-prefixed");
    limit_file_size(11);
    tv_rig_put(&rig, "ab");
    tv_rig_put(&rig, "cdef");
    tv_rig_run_until_figure(&rig, "write_errors", 1);
    limit_file_size(RLIM_INFINITY);
    assert_int_equal(rename(path, old), 0);
    tv_rig_run_until_taken(&rig);
    size_t length;
    char *bytes = tv_rig_read_file(path, &length);
    assert_int_equal(length, 8);
    assert_memory_equal(bytes, "\4\0\0\0cdef", 8);
    free(bytes);
    tv_rig_deinit(&rig);
}

static void missing_folder_and_wrong_kinds_are_clear_errors(void **state) {
    (void)state;
    tv_rig rig;
    tv_error error = {0};
    tv_rig_init(&rig, TV_OUTPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", tv_rig_path("missing/x"), NULL),
                     TV_NOT_FOUND);
    assert_non_null(strstr(error.message, "folder does not exist"));
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", "/tmp", NULL), TV_INVALID);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", "/tmp/x", "rotate_size", "10", NULL),
                     TV_INVALID);
    assert_non_null(strstr(error.message, "rotate_size"));
    tv_rig_deinit(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_become_lines_and_leave_the_queue),
        cmocka_unit_test(length_prefixed_records_are_written_with_their_length),
        cmocka_unit_test(append_keeps_what_is_there_and_truncate_does_not),
        cmocka_unit_test(unfinished_line_of_an_earlier_run_is_ended_first),
        cmocka_unit_test(close_while_a_job_is_under_way_writes_everything),
        cmocka_unit_test(two_channels_share_a_path_with_whole_lines),
        cmocka_unit_test(rotation_by_size_never_exceeds_it_and_keeps_the_count),
        cmocka_unit_test(record_larger_than_the_rotation_size_gets_its_own_file),
        cmocka_unit_test(rotation_by_age_comes_with_the_clock),
        cmocka_unit_test(gap_among_the_rotated_files_is_filled_first),
        cmocka_unit_test(keep_zero_deletes_the_old_file),
        cmocka_unit_test(file_that_was_moved_away_is_begun_anew),
        cmocka_unit_test(buffer_goes_back_when_the_flow_is_idle),
        cmocka_unit_test(buffer_in_use_goes_back_when_it_is_written),
        cmocka_unit_test(every_batch_is_synced_before_it_leaves_the_queue),
        cmocka_unit_test(interval_sync_comes_when_due_and_at_the_end),
        cmocka_unit_test(failed_sync_is_made_good_without_writing_lines_twice),
        cmocka_unit_test(failed_sync_of_a_file_that_is_moved_away_is_made_good_there),
        cmocka_unit_test(failed_sync_leaves_what_others_have_appended),
        cmocka_unit_test(failed_sync_of_a_file_that_is_emptied_writes_nothing_back),
        cmocka_unit_test(full_disk_keeps_the_records_and_tries_again),
        cmocka_unit_test(partial_write_is_continued_at_the_exact_byte),
        cmocka_unit_test(batch_cut_by_a_new_file_begins_there_with_a_whole_line),
        cmocka_unit_test(cut_line_of_one_channel_does_not_swallow_a_line_of_another),
        cmocka_unit_test(frames_cut_by_a_new_file_begin_there_whole),
        cmocka_unit_test(missing_folder_and_wrong_kinds_are_clear_errors),
    };
    return cmocka_run_group_tests_name("file output", tests, NULL, NULL);
}
