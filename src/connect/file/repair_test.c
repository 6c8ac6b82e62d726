// Outputs that a crash has torn: frames and lines, NUL bytes, lengths that cannot be, rotated files; and that what is
// written behind can be read.
#include <errno.h>
#include <fcntl.h>
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

#include "connect/file/file.h"
#include "connect/file/repair.h"
#include "connect/testing/rig.h"

static const uint8_t frames[] = "\1\0\0\0a\3\0\0\0b\nb\0\0\0\0\2\0\0\0cc";
enum { WHOLE = sizeof frames - 1 };

static void write_bytes(const char *path, const void *bytes, size_t length, const char *mode) {
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void expect_bytes(const char *path, const void *bytes, size_t length) {
    size_t found;
    char *text = tv_rig_read_file(path, &found);
    assert_non_null(text);
    assert_int_equal(found, length);
    assert_memory_equal(text, bytes, length);
    free(text);
}

static tv_file_repair repair_all(const char *path, bool lines, uint32_t keep) {
    tv_file_repair repair = {.path = path, .lines = lines, .keep = keep}, last = {0};
    while (!repair.is_done) {
        tv_file_repair_run(&repair);
        assert_int_equal(repair.os_errno, 0);
        if (repair.damage != TV_FILE_UNDAMAGED) last = repair;
    }
    return last;
}

static void frames_are_kept_whole_wherever_the_last_one_is_cut(void **state) {
    (void)state;
    static const size_t ends[] = {0, 5, 12, 16, WHOLE};
    const char *path = tv_rig_path("cut");
    for (size_t length = 0; length <= WHOLE; length++) {
        size_t whole = 0;
        for (size_t i = 0; i < sizeof ends / sizeof *ends && ends[i] <= length; i++)
            whole = ends[i];
        write_bytes(path, frames, length, "w");
        tv_file_repair found = repair_all(path, false, 0);
        expect_bytes(path, frames, whole);
        assert_int_equal(found.damage, whole < length ? TV_FILE_CUT : TV_FILE_UNDAMAGED);
        assert_int_equal(found.damage_bytes, length - whole);
    }
}

static void nul_bytes_behind_frames_are_removed_and_few_empty_messages_kept(void **state) {
    (void)state;
    static const uint8_t zeros[70000];
    static const size_t lengths[] = {4, 12, 16, 17, 19, 4096, 65533, 70000};
    const char *path = tv_rig_path("zeros");
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        bool is_damage = lengths[i] >= TV_FILE_REPAIR_NUL_BYTES;
        write_bytes(path, frames, WHOLE, "w");
        write_bytes(path, zeros, lengths[i], "a");
        tv_file_repair found = repair_all(path, false, 0);
        assert_int_equal(found.damage, is_damage ? TV_FILE_NUL : TV_FILE_UNDAMAGED);
        if (!is_damage) continue;
        expect_bytes(path, frames, WHOLE);
        assert_int_equal(found.damage_bytes, lengths[i]);
    }
}

static void length_that_cannot_be_is_removed_with_what_is_behind_it(void **state) {
    (void)state;
    const char *path = tv_rig_path("huge");
    write_bytes(path, frames, WHOLE, "w");
    write_bytes(path, "\xff\xff\xff\xffgarbage", 11, "a");
    assert_int_equal(repair_all(path, false, 0).damage_bytes, 11);
    expect_bytes(path, frames, WHOLE);
}

// No single message is so large: it is something else, and not ours to remove.
static void file_that_is_no_frames_is_moved_aside(void **state) {
    (void)state;
    char path[256], aside[300];
    struct stat status;
    snprintf(path, sizeof path, "%s", tv_rig_path("aside"));
    snprintf(aside, sizeof aside, "%s.damaged", path);
    write_bytes(path, "\xff\xff\xff\xff", 4, "w");
    assert_int_equal(truncate(path, 17 << 20), 0);
    assert_int_equal(repair_all(path, false, 0).damage, TV_FILE_UNKNOWN);
    assert_int_equal(stat(aside, &status), 0);
    assert_int_equal(status.st_size, 17 << 20);
    assert_int_equal(stat(path, &status), -1);
}

// Sparse, so that it costs nothing: a slice reads 64 MiB of prefixes.
static void long_file_is_repaired_in_slices(void **state) {
    (void)state;
    const char *path = tv_rig_path("long");
    static const uint8_t frame[] = "\1\0\0\0x";
    uint8_t *block = malloc(5 << 20);
    assert_non_null(block);
    for (size_t i = 0; i < 1 << 20; i++)
        memcpy(block + 5 * i, frame, 5);
    write_bytes(path, block, 5 << 20, "w");
    for (int i = 1; i < 15; i++)
        write_bytes(path, block, 5 << 20, "a");
    write_bytes(path, "\7\0\0\0cut", 7, "a");
    free(block);
    tv_file_repair repair = {.path = path};
    tv_file_repair_run(&repair);
    assert_false(repair.is_done);
    assert_int_equal(repair.damage, TV_FILE_UNDAMAGED);
    tv_file_repair_run(&repair);
    assert_true(repair.is_done);
    assert_int_equal(repair.damage, TV_FILE_CUT);
    assert_int_equal(repair.damage_offset, 75 << 20);
    assert_int_equal(unlink(path), 0);
}

static void rotated_files_are_repaired_up_to_the_first_gap(void **state) {
    (void)state;
    char path[256], name[300];
    snprintf(path, sizeof path, "%s", tv_rig_path("rotated"));
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, i ? "%s.%d" : "%s", path, i);
        write_bytes(name, frames, WHOLE, "w");
        if (i != 1) write_bytes(name, "\5\0\0\0x", 5, "a");
    }
    assert_int_equal(repair_all(path, false, 2).damaged_generation, 2);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, i ? "%s.%d" : "%s", path, i);
        if (i < 3) {
            expect_bytes(name, frames, WHOLE);
        } else { // beyond `keep`: not ours
            struct stat status;
            assert_int_equal(stat(name, &status), 0);
            assert_int_equal(status.st_size, WHOLE + 5);
        }
    }
}

static void lines_lose_nul_bytes_and_are_ended(void **state) {
    (void)state;
    static const uint8_t zeros[600000];
    const char *path = tv_rig_path("lines");
    write_bytes(path, "one\ntwo", 7, "w");
    write_bytes(path, zeros, sizeof zeros, "a");
    tv_file_repair found = repair_all(path, true, 0);
    assert_int_equal(found.damage, TV_FILE_NUL);
    assert_int_equal(found.damage_bytes, sizeof zeros);
    expect_bytes(path, "one\ntwo\n", 8);
    write_bytes(path, "three", 5, "a");
    assert_int_equal(repair_all(path, true, 0).damage_bytes, 5);
    expect_bytes(path, "one\ntwo\nthree\n", 14);
    write_bytes(path, zeros, 100, "w");
    assert_int_equal(repair_all(path, true, 0).damage, TV_FILE_NUL);
    expect_bytes(path, "", 0);
}

static void output_is_repaired_before_the_first_record_and_says_so(void **state) {
    (void)state;
    static const uint8_t expected[] = "\1\0\0\0a\3\0\0\0b\nb\0\0\0\0\2\0\0\0cc\3\0\0\0new";
    tv_rig rig;
    tv_error error = {0};
    char path[256];
    snprintf(path, sizeof path, "%s", tv_rig_path("output"));
    write_bytes(path, frames, WHOLE, "w");
    write_bytes(path, "\200\0\0\0only the begin", 18, "a");
    tv_rig_log_begin();
    tv_rig_init(&rig, TV_OUTPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", path, "format", "length-prefixed", NULL),
                     TV_OK);
    tv_rig_put(&rig, "new");
    tv_rig_run_until_taken(&rig);
    assert_int_equal(tv_rig_figure(&rig, "repairs"), 1);
    tv_rig_deinit(&rig);
    tv_rig_log_end();
    expect_bytes(path, expected, sizeof expected - 1);
    char *log = tv_rig_log_read();
    assert_non_null(strstr(log, "18 byte(s) up to offset 40; removed"));
    free(log);
}

static void output_closed_before_its_repair_is_repaired_and_written(void **state) {
    (void)state;
    tv_rig rig;
    tv_error error = {0};
    const char *path = tv_rig_path("closed");
    write_bytes(path, "\1\0\0\0a\3\0\0\0b", 10, "w");
    tv_rig_init(&rig, TV_OUTPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_file, &error, "path", path, "format", "length-prefixed", NULL),
                     TV_OK);
    tv_rig_put(&rig, "z");
    tv_rig_deinit(&rig);
    expect_bytes(path, "\1\0\0\0a\1\0\0\0z", 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_kept_whole_wherever_the_last_one_is_cut),
        cmocka_unit_test(nul_bytes_behind_frames_are_removed_and_few_empty_messages_kept),
        cmocka_unit_test(length_that_cannot_be_is_removed_with_what_is_behind_it),
        cmocka_unit_test(file_that_is_no_frames_is_moved_aside),
        cmocka_unit_test(long_file_is_repaired_in_slices),
        cmocka_unit_test(rotated_files_are_repaired_up_to_the_first_gap),
        cmocka_unit_test(lines_lose_nul_bytes_and_are_ended),
        cmocka_unit_test(output_is_repaired_before_the_first_record_and_says_so),
        cmocka_unit_test(output_closed_before_its_repair_is_repaired_and_written),
    };
    return cmocka_run_group_tests_name("repair", tests, NULL, NULL);
}
