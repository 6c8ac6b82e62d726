// How often a followed file is looked at without notice: seldom where notices come, often where they cannot be relied
// on.
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
#include "connect/file/internal.h"
#include "connect/testing/rig.h"

static void open_follow(tv_rig *rig, const char *path, const char *poll, const char *rotate_wait) {
    tv_error error = {0};
    tv_status status = tv_rig_open(rig, &tv_connector_file, &error, "path", path, "mode", "follow", "poll", poll,
                                   "rotate_wait", rotate_wait, NULL);
    if (status != TV_OK) fail_msg("%s", error.message);
}

static void note_repeat(uv_handle_t *handle, void *user) {
    if (handle->type != UV_TIMER) return;
    uint64_t repeat_ms = uv_timer_get_repeat((uv_timer_t *)handle); // 0: the rig's
    if (repeat_ms > 0) *(uint64_t *)user = repeat_ms;
}

static bool looks_every(tv_rig *rig, void *user) {
    uint64_t pace_ms = 0;
    uv_walk(&rig->loop, note_repeat, &pace_ms);
    return pace_ms == *(uint64_t *)user;
}

static void run_until_looking_every(tv_rig *rig, uint64_t pace_ms) {
    tv_rig_run_until(rig, "another pace of looks", looks_every, &pace_ms);
}

static void expect_looking_every(tv_rig *rig, uint64_t pace_ms) { assert_true(looks_every(rig, &pace_ms)); }

// Elsewhere a test folder's file system may be one that is not known to report all changes.
static void skip_unless_noticed(const char *path) {
    tv_file_view view;
    tv_file_look_at at = {.path = path, .newest_fd = -1, .fd = -1, .nul_offset = TV_FILE_NO_OFFSET};
    tv_file_look(&at, &view);
    if (view.new_fd >= 0) close(view.new_fd);
    if (!view.is_noticed) skip();
}

static void file_with_notices_is_looked_at_seldom_until_it_is_missing(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("seldom");
    tv_rig_write_file(path, "1\n");
    skip_unless_noticed(path);
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, path, "10ms", "0s");
    expect_looking_every(&rig, 10); // nothing is known yet
    run_until_looking_every(&rig, 100);
    assert_int_equal(unlink(path), 0);
    tv_rig_run_until_figure(&rig, "absences", 1);
    expect_looking_every(&rig, 10);
    tv_rig_write_file(path, "2\n");
    tv_rig_run_until_committed(&rig, 2);
    run_until_looking_every(&rig, 100);
    tv_rig_deinit(&rig);
}

static void waiting_successor_is_looked_after_often(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("successor"), *old = tv_rig_path("successor.1");
    tv_rig_write_file(path, "1\n");
    skip_unless_noticed(path);
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, path, "10ms", "5s"); // of the virtual clock
    run_until_looking_every(&rig, 100);
    assert_int_equal(rename(path, old), 0);
    tv_rig_write_file(path, "2\n");
    tv_rig_run_until_figure(&rig, "rotations_noticed", 1);
    expect_looking_every(&rig, 10);
    tv_virtual_clock_advance(&rig.clock, 5000LL * 1000000);
    tv_rig_run_until_committed(&rig, 2);
    run_until_looking_every(&rig, 100);
    tv_rig_deinit(&rig);
}

static void seldom_is_once_a_minute_unless_asked_for_less(void **state) {
    (void)state;
    static const struct {
        const char *poll;
        uint64_t pace_ms;
    } cases[] = {{"5s", 50000}, {"30s", 60000}, {"1h", 3600000}};
    const char *path = tv_rig_path("minute");
    tv_rig_write_file(path, "");
    skip_unless_noticed(path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tv_rig rig;
        tv_rig_init(&rig, TV_INPUT);
        open_follow(&rig, path, cases[i].poll, "0s");
        run_until_looking_every(&rig, cases[i].pace_ms);
        tv_rig_deinit(&rig);
    }
}

static void linked_file_is_looked_at_often(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("link"), *target = tv_rig_path("target");
    tv_rig_write_file(target, "1\n");
    assert_int_equal(symlink(target, path), 0);
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, path, "10ms", "0s");
    tv_rig_run_until_committed(&rig, 1);
    tv_rig_run_until_quiet(&rig); // the first look is over
    expect_looking_every(&rig, 10);
    tv_rig_deinit(&rig);
}

// Its folder is replaced by another one: the watch is renewed, so that it can be looked at seldom again.
static void file_in_a_replaced_folder_is_followed(void **state) {
    (void)state;
    tv_rig rig;
    const char *folder = tv_rig_path("folder"), *aside = tv_rig_path("aside"), *path = tv_rig_path("folder/file");
    assert_int_equal(mkdir(folder, 0700), 0);
    tv_rig_write_file(path, "1\n");
    skip_unless_noticed(path);
    tv_rig_init(&rig, TV_INPUT);
    open_follow(&rig, path, "10ms", "0s");
    tv_rig_run_until_committed(&rig, 1);
    run_until_looking_every(&rig, 100);
    assert_int_equal(rename(folder, aside), 0);
    tv_rig_run_until_figure(&rig, "absences", 1);
    assert_int_equal(mkdir(folder, 0700), 0);
    tv_rig_write_file(path, "2\n");
    tv_rig_run_until_committed(&rig, 2);
    run_until_looking_every(&rig, 100);
    tv_rig_append_file(path, "3\n");
    tv_rig_run_until_committed(&rig, 3);
    tv_rig_deinit(&rig);
}

static void file_in_a_folder_that_comes_later_is_followed(void **state) {
    (void)state;
    tv_rig rig;
    tv_error error = {0};
    const char *beside = tv_rig_path("beside"), *folder = tv_rig_path("later"), *path = tv_rig_path("later/file");
    tv_rig_write_file(beside, "");
    skip_unless_noticed(beside);
    tv_rig_init(&rig, TV_INPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", path, "mode", "follow", "missing", "wait",
                                 "poll", "10ms", NULL),
                     TV_OK);
    tv_rig_run_until_quiet(&rig);
    expect_looking_every(&rig, 10);
    assert_int_equal(mkdir(folder, 0700), 0);
    tv_rig_write_file(path, "1\n");
    tv_rig_run_until_committed(&rig, 1);
    run_until_looking_every(&rig, 100);
    tv_rig_deinit(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_with_notices_is_looked_at_seldom_until_it_is_missing),
        cmocka_unit_test(waiting_successor_is_looked_after_often),
        cmocka_unit_test(seldom_is_once_a_minute_unless_asked_for_less),
        cmocka_unit_test(linked_file_is_looked_at_often),
        cmocka_unit_test(file_in_a_replaced_folder_is_followed),
        cmocka_unit_test(file_in_a_folder_that_comes_later_is_followed),
    };
    return cmocka_run_group_tests_name("pace of looking", tests, NULL, NULL);
}
