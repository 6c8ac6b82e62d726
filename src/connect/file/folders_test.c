// Watched folders: who is told of what, one watch for a folder, nothing left behind, a folder that is replaced.
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
#include "connect/file/folders.h"
#include "connect/testing/rig.h"

enum { FOLLOWERS = 500 };

typedef struct counted {
    tv_file_follower follower; // first
    unsigned told, renamed;
    char path[256];
} counted;

static void on_changed(tv_file_follower *follower, bool renamed) {
    counted *file = (counted *)follower;
    file->told++;
    file->renamed += renamed;
}

static void follow(void **place, uv_loop_t *loop, counted *file) {
    file->follower.changed = on_changed;
    assert_int_equal(tv_file_follow(place, loop, file->path, &file->follower), 0);
}

// The event is there as soon as the file is written: no waiting for time to pass.
static void run_until_told(uv_loop_t *loop, const counted *file, unsigned times) {
    while (file->told < times)
        uv_run(loop, UV_RUN_ONCE);
}

static void count_watch(uv_handle_t *handle, void *user) {
    if (handle->type == UV_FS_EVENT && !uv_is_closing(handle)) ++*(unsigned *)user;
}

static unsigned watches(uv_loop_t *loop) {
    unsigned count = 0;
    uv_walk(loop, count_watch, &count);
    return count;
}

static void expect_nothing_left(uv_loop_t *loop, void *const *place) {
    assert_null(*place);
    assert_int_equal(uv_run(loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(loop), 0);
}

static void event_goes_to_the_followers_of_its_name_alone(void **state) {
    (void)state;
    static counted files[FOLLOWERS], twin, elsewhere;
    uv_loop_t loop;
    void *place = NULL;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(mkdir(tv_rig_path("other"), 0700), 0);
    for (unsigned i = 0; i < FOLLOWERS; i++) {
        char name[32];
        snprintf(name, sizeof name, "file-%u", i);
        snprintf(files[i].path, sizeof files[i].path, "%s", tv_rig_path(name));
        tv_rig_write_file(files[i].path, ""); // before the first watch
    }
    for (unsigned i = 0; i < FOLLOWERS; i++)
        follow(&place, &loop, &files[i]);
    memcpy(twin.path, files[7].path, sizeof twin.path);
    follow(&place, &loop, &twin);
    snprintf(elsewhere.path, sizeof elsewhere.path, "%s", tv_rig_path("other/file-7"));
    follow(&place, &loop, &elsewhere);
    assert_int_equal(watches(&loop), 2);
    tv_rig_append_file(files[7].path, "x");
    run_until_told(&loop, &files[7], 1);
    assert_int_equal(twin.told, files[7].told);
    assert_int_equal(files[7].renamed, 0);
    assert_int_equal(elsewhere.told, 0);
    unsigned told = 0;
    for (unsigned i = 0; i < FOLLOWERS; i++)
        told += files[i].told;
    assert_int_equal(told, files[7].told);
    assert_int_equal(unlink(files[8].path), 0);
    run_until_told(&loop, &files[8], 1);
    assert_true(files[8].renamed > 0);
    for (unsigned i = 0; i < FOLLOWERS; i++) // in another order than they came
        tv_file_unfollow(&files[i * 7 % FOLLOWERS].follower);
    tv_file_unfollow(&twin.follower);
    assert_int_equal(watches(&loop), 1);
    tv_file_unfollow(&elsewhere.follower);
    tv_file_unfollow(&elsewhere.follower);
    expect_nothing_left(&loop, &place);
}

static void missing_folder_is_an_error_that_leaves_nothing(void **state) {
    (void)state;
    uv_loop_t loop;
    void *place = NULL;
    tv_file_follower follower = {.changed = on_changed};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(tv_file_follow(&place, &loop, tv_rig_path("missing/file"), &follower), UV_ENOENT);
    assert_false(tv_file_is_reported(&follower, (tv_file_identity){1, 1}));
    tv_file_unfollow(&follower);
    expect_nothing_left(&loop, &place);
}

static void replaced_folder_is_watched_from_then_on(void **state) {
    (void)state;
    uv_loop_t loop;
    void *place = NULL;
    static counted file;
    const char *folder = tv_rig_path("replaced"), *aside = tv_rig_path("aside"), *path = tv_rig_path("replaced/file");
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(file.path, sizeof file.path, "%s", path);
    follow(&place, &loop, &file);
    assert_true(tv_file_is_reported(&file.follower, tv_file_identify(folder)));
    assert_int_equal(rename(folder, aside), 0);
    assert_false(tv_file_is_reported(&file.follower, tv_file_identify(folder))); // gone
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_false(tv_file_is_reported(&file.follower, tv_file_identify(folder))); // from now on
    assert_true(tv_file_is_reported(&file.follower, tv_file_identify(folder)));
    file.told = 0;
    tv_rig_write_file(path, "here");
    run_until_told(&loop, &file, 1);
    assert_true(file.renamed > 0);
    tv_file_unfollow(&file.follower);
    expect_nothing_left(&loop, &place);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_goes_to_the_followers_of_its_name_alone),
        cmocka_unit_test(missing_folder_is_an_error_that_leaves_nothing),
        cmocka_unit_test(replaced_folder_is_watched_from_then_on),
    };
    return cmocka_run_group_tests_name("watched folders", tests, NULL, NULL);
}
