// The cache folder and its files under attack and damage.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wasm/cache.h"
#include "wasm/folder.h"
#include "wasm/test_support.h"

typedef struct fixture {
    char folder[256];
    tv_cache *cache;
    tv_cache_key key;
    char entry[512]; // path of the entry for `key`
} fixture;

static const uint8_t content[] = "compiled bytes, some of them";
static unsigned folders;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    char name[32];
    tv_error error = {0};
    snprintf(name, sizeof name, "cache-%u", folders++);
    snprintf(f->folder, sizeof f->folder, "%s", tv_test_path(name));
    if (tv_cache_new(f->folder, &f->cache, &error) != TV_OK) fail_msg("%s", error.message);
    f->key = tv_cache_key_of("digest", "settings");
    int at = snprintf(f->entry, sizeof f->entry, "%s/", f->folder);
    for (size_t i = 0; i < TV_CACHE_KEY_BYTES; i++) {
        at += snprintf(f->entry + at, sizeof f->entry - (size_t)at, "%02x", f->key.bytes[i]);
    }
    snprintf(f->entry + at, sizeof f->entry - (size_t)at, ".tvc");
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    tv_cache_free(f->cache);
    free(f);
    return 0;
}

static tv_status load(fixture *f) {
    uint8_t *bytes = NULL;
    size_t length = 0;
    tv_status status = tv_cache_load(f->cache, &f->key, &bytes, &length);
    if (status == TV_OK) {
        assert_int_equal(length, sizeof content);
        assert_memory_equal(bytes, content, sizeof content);
        free(bytes);
    }
    return status;
}

static void store(fixture *f) { tv_cache_store(f->cache, &f->key, content, sizeof content); }

// The entry must be found out, counted and removed.
static void expect_rejected(fixture *f) {
    uint64_t before = tv_cache_rejected(f->cache);
    assert_int_equal(load(f), TV_NOT_FOUND);
    assert_int_equal(tv_cache_rejected(f->cache), before + 1);
    struct stat info;
    assert_int_equal(lstat(f->entry, &info), -1);
    assert_int_equal(errno, ENOENT);
}

static void what_was_stored_is_loaded(void **state) {
    fixture *f = *state;
    assert_int_equal(load(f), TV_NOT_FOUND);
    store(f);
    assert_int_equal(load(f), TV_OK);
    assert_int_equal(tv_cache_rejected(f->cache), 0);
}

static void folder_and_files_are_private(void **state) {
    fixture *f = *state;
    struct stat info;
    store(f);
    assert_int_equal(stat(f->folder, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    assert_int_equal(stat(f->entry, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void keys_differ_by_module_and_by_settings(void **state) {
    (void)state;
    tv_cache_key a = tv_cache_key_of("ab", "c"), b = tv_cache_key_of("a", "bc"), c = tv_cache_key_of("ab", "d");
    assert_memory_not_equal(a.bytes, b.bytes, sizeof a.bytes);
    assert_memory_not_equal(a.bytes, c.bytes, sizeof a.bytes);
}

static void truncated_entries_are_found_at_every_length(void **state) {
    fixture *f = *state;
    store(f);
    struct stat info;
    assert_int_equal(stat(f->entry, &info), 0);
    for (off_t length = 0; length < info.st_size; length += 7) {
        store(f);
        assert_int_equal(truncate(f->entry, length), 0);
        expect_rejected(f);
    }
}

static void longer_entries_are_found(void **state) {
    fixture *f = *state;
    store(f);
    struct stat info;
    assert_int_equal(stat(f->entry, &info), 0);
    assert_int_equal(truncate(f->entry, info.st_size + 1), 0);
    expect_rejected(f);
}

static void flipped_bits_are_found_everywhere(void **state) {
    fixture *f = *state;
    store(f);
    struct stat info;
    assert_int_equal(stat(f->entry, &info), 0);
    for (off_t at = 0; at < info.st_size; at++) {
        store(f);
        int fd = open(f->entry, O_RDWR);
        uint8_t byte;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
        expect_rejected(f);
    }
}

static void entry_of_another_key_is_found(void **state) {
    fixture *f = *state;
    tv_cache_key other = tv_cache_key_of("other digest", "settings");
    store(f);
    char path[512];
    snprintf(path, sizeof path, "%s", f->entry);
    assert_int_equal(rename(f->entry, tv_test_path("moved")), 0);
    tv_cache_store(f->cache, &other, content, sizeof content);
    char other_path[512];
    int at = snprintf(other_path, sizeof other_path, "%s/", f->folder);
    for (size_t i = 0; i < TV_CACHE_KEY_BYTES; i++) {
        at += snprintf(other_path + at, sizeof other_path - (size_t)at, "%02x", other.bytes[i]);
    }
    snprintf(other_path + at, sizeof other_path - (size_t)at, ".tvc");
    assert_int_equal(rename(other_path, path), 0);
    expect_rejected(f);
}

static void links_are_not_followed(void **state) {
    fixture *f = *state;
    store(f);
    assert_int_equal(rename(f->entry, tv_test_path("elsewhere")), 0);
    assert_int_equal(symlink(tv_test_path("elsewhere"), f->entry), 0);
    expect_rejected(f);
    assert_int_equal(link(tv_test_path("elsewhere"), f->entry), 0); // a second name of a good file
    expect_rejected(f);
}

static void other_kinds_of_files_are_not_read(void **state) {
    fixture *f = *state;
    assert_int_equal(mkfifo(f->entry, 0600), 0); // must not block either
    expect_rejected(f);
    assert_int_equal(mkdir(f->entry, 0700), 0);
    assert_int_equal(load(f), TV_NOT_FOUND);
    assert_int_equal(tv_cache_rejected(f->cache), 2);
}

static void files_that_others_may_touch_are_not_taken(void **state) {
    fixture *f = *state;
    store(f);
    assert_int_equal(chmod(f->entry, 0620), 0);
    expect_rejected(f);
    store(f);
    assert_int_equal(chmod(f->entry, 0644), 0);
    expect_rejected(f);
}

static void files_of_another_user_are_not_taken(void **state) {
    fixture *f = *state;
    if (geteuid() != 0) skip(); // only root can give files away
    store(f);
    assert_int_equal(chown(f->entry, 65534, 65534), 0);
    expect_rejected(f);
}

static tv_status open_folder(const char *path, tv_error *error) {
    tv_cache *cache = NULL;
    tv_status status = tv_cache_new(path, &cache, error);
    tv_cache_free(cache);
    return status;
}

static void folder_that_others_may_write_is_denied(void **state) {
    fixture *f = *state;
    tv_error error = {0};
    assert_int_equal(chmod(f->folder, 0777), 0);
    assert_int_equal(open_folder(f->folder, &error), TV_DENIED);
    assert_non_null(strstr(error.message, f->folder));
    assert_int_equal(chmod(f->folder, 0755), 0); // readable only: made private
    assert_int_equal(open_folder(f->folder, &error), TV_OK);
    struct stat info;
    assert_int_equal(stat(f->folder, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
}

static void folder_of_another_user_is_denied(void **state) {
    fixture *f = *state;
    tv_error error = {0};
    if (geteuid() != 0) skip();
    assert_int_equal(chown(f->folder, 65534, 65534), 0);
    assert_int_equal(open_folder(f->folder, &error), TV_DENIED);
    assert_non_null(strstr(error.message, "65534"));
}

static void folder_that_cannot_be_made_means_no_cache(void **state) {
    fixture *f = *state;
    char path[512];
    tv_error error = {0};
    tv_cache *cache = NULL;
    store(f);
    snprintf(path, sizeof path, "%s/below/a/file", f->entry);
    assert_int_equal(tv_cache_new(path, &cache, &error), TV_OK);
    tv_cache_store(cache, &f->key, content, sizeof content);
    uint8_t *bytes;
    size_t length;
    assert_int_equal(tv_cache_load(cache, &f->key, &bytes, &length), TV_NOT_FOUND);
    tv_cache_free(cache);
}

// Whatever part of the path it is.
static void link_in_the_path_is_not_followed(void **state) {
    fixture *f = *state;
    static const char *const paths[] = {"link", "link/below", "real/link/below/modules", "link/", "link/."};
    char real[512], link[512], inner[512], elsewhere[512];
    snprintf(real, sizeof real, "%s/real", f->folder);
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", f->folder);
    snprintf(link, sizeof link, "%s/link", f->folder);
    snprintf(inner, sizeof inner, "%s/link", real);
    assert_int_equal(mkdir(real, 0700), 0);
    assert_int_equal(mkdir(elsewhere, 0700), 0);
    assert_int_equal(symlink(elsewhere, link), 0);
    assert_int_equal(symlink(elsewhere, inner), 0);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", f->folder, paths[i]);
        errno = 0;
        int folder = tv_folder_open(path);
        if (folder >= 0) fail_msg("%s was followed", paths[i]);
        assert_int_equal(errno, ELOOP);
    }
    assert_int_equal(rmdir(elsewhere), 0); // nothing was made there
    snprintf(inner, sizeof inner, "%s/link", real);
    assert_int_equal(unlink(inner), 0);
    snprintf(inner, sizeof inner, "%s/a//b/./c/", real);
    int folder = tv_folder_open(inner);
    assert_true(folder >= 0);
    close(folder);
    snprintf(inner, sizeof inner, "%s/a/b/c", real);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(rmdir(inner), 0);
        *strrchr(inner, '/') = '\0';
    }
    assert_int_equal(unlink(link), 0);
}

static void link_of_the_system_is_followed(void **state) {
    (void)state;
    struct stat status;
    if (lstat("/var/run", &status) != 0 || !S_ISLNK(status.st_mode)) skip();
    int folder = tv_folder_open("/var/run");
    assert_true(folder >= 0);
    struct stat opened, wanted;
    assert_int_equal(fstat(folder, &opened), 0);
    assert_int_equal(stat("/run", &wanted), 0);
    assert_int_equal(opened.st_ino, wanted.st_ino);
    close(folder);
}

static void folder_swapped_after_opening_does_not_matter(void **state) {
    fixture *f = *state;
    store(f);
    assert_int_equal(rename(f->folder, tv_test_path("swapped")), 0);
    assert_int_equal(mkdir(f->folder, 0777), 0);
    assert_int_equal(load(f), TV_OK);
}

static unsigned count_files(const char *folder) {
    char command_free_path[512];
    unsigned count = 0;
    for (unsigned i = 0; i < 400; i++) {
        char digest[16];
        snprintf(digest, sizeof digest, "%u", i);
        tv_cache_key key = tv_cache_key_of(digest, "");
        int at = snprintf(command_free_path, sizeof command_free_path, "%s/", folder);
        for (size_t k = 0; k < TV_CACHE_KEY_BYTES; k++) {
            at += snprintf(command_free_path + at, sizeof command_free_path - (size_t)at, "%02x", key.bytes[k]);
        }
        snprintf(command_free_path + at, sizeof command_free_path - (size_t)at, ".tvc");
        count += access(command_free_path, F_OK) == 0;
    }
    return count;
}

static void number_of_entries_is_bounded(void **state) {
    fixture *f = *state;
    for (unsigned i = 0; i < TV_CACHE_ENTRIES_MAX + 20; i++) {
        char digest[16];
        snprintf(digest, sizeof digest, "%u", i);
        tv_cache_key key = tv_cache_key_of(digest, "");
        tv_cache_store(f->cache, &key, content, sizeof content);
    }
    assert_int_equal(count_files(f->folder), TV_CACHE_ENTRIES_MAX);
}

static void leftovers_of_dead_writers_go_after_an_hour(void **state) {
    fixture *f = *state;
    char path[512];
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    snprintf(path, sizeof path, "%s/new-1-abc", f->folder);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    store(f);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    store(f);
    assert_int_equal(access(path, F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(what_was_stored_is_loaded),
    TEST(folder_and_files_are_private),
    TEST(keys_differ_by_module_and_by_settings),
    TEST(truncated_entries_are_found_at_every_length),
    TEST(longer_entries_are_found),
    TEST(flipped_bits_are_found_everywhere),
    TEST(entry_of_another_key_is_found),
    TEST(links_are_not_followed),
    TEST(other_kinds_of_files_are_not_read),
    TEST(files_that_others_may_touch_are_not_taken),
    TEST(files_of_another_user_are_not_taken),
    TEST(folder_that_others_may_write_is_denied),
    TEST(folder_of_another_user_is_denied),
    TEST(folder_that_cannot_be_made_means_no_cache),
    TEST(folder_swapped_after_opening_does_not_matter),
    TEST(link_in_the_path_is_not_followed),
    TEST(link_of_the_system_is_followed),
    TEST(number_of_entries_is_bounded),
    TEST(leftovers_of_dead_writers_go_after_an_hour),
};

TV_WASM_TEST_MAIN(tests)
