// Marks: which changes of a file they see.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "connect/file/mark.h"

enum { LENGTH = 3000 };

static int new_file(uint8_t *bytes, size_t length) {
    FILE *file = tmpfile();
    assert_non_null(file);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    int fd = dup(fileno(file));
    fclose(file);
    assert_int_equal(pwrite(fd, bytes, length, 0), length);
    return fd;
}

static void put(int fd, char byte, off_t offset) { assert_int_equal(pwrite(fd, &byte, 1, offset), 1); }

static void mark_of_parts_sees_changes_at_both_ends_of_what_was_read(void **state) {
    (void)state;
    uint8_t bytes[LENGTH];
    int fd = new_file(bytes, LENGTH);
    tv_file_mark mark = {0};
    assert_true(tv_file_mark_holds(&mark, fd));
    for (size_t at = 0, part = 1; at < 2000; at += part, part = part * 3 % 101)
        tv_file_mark_note(&mark, at, bytes + at, part);
    assert_true(mark.offset >= 2000);
    assert_true(tv_file_mark_holds(&mark, fd));
    put(fd, 'x', (off_t)mark.offset); // behind what was read
    assert_true(tv_file_mark_holds(&mark, fd));
    put(fd, 'x', (off_t)mark.offset - 1);
    assert_false(tv_file_mark_holds(&mark, fd));
    put(fd, (char)bytes[mark.offset - 1], (off_t)mark.offset - 1);
    assert_true(tv_file_mark_holds(&mark, fd));
    put(fd, 'x', 0);
    assert_false(tv_file_mark_holds(&mark, fd));
    close(fd);
}

static void mark_of_a_file_that_is_shorter_now_does_not_hold(void **state) {
    (void)state;
    uint8_t bytes[LENGTH];
    int fd = new_file(bytes, LENGTH);
    tv_file_mark mark = {0};
    tv_file_mark_take(&mark, fd, LENGTH);
    assert_int_equal(mark.head_length, TV_FILE_MARK_BYTES);
    assert_true(tv_file_mark_holds(&mark, fd));
    assert_int_equal(ftruncate(fd, LENGTH - 1), 0);
    assert_false(tv_file_mark_holds(&mark, fd));
    close(fd);
}

static void mark_that_is_taken_in_the_middle_goes_on_with_what_is_read(void **state) {
    (void)state;
    uint8_t bytes[LENGTH];
    int fd = new_file(bytes, LENGTH);
    tv_file_mark mark = {0};
    tv_file_mark_take(&mark, fd, 100);
    assert_int_equal(mark.tail_length, 100);
    tv_file_mark_note(&mark, 100, bytes + 100, 50);
    assert_int_equal(mark.head_length, 150);
    assert_int_equal(mark.tail_length, 150);
    assert_memory_equal(mark.tail, bytes, 150);
    tv_file_mark_note(&mark, 1000, bytes + 1000, 20); // not behind the last
    assert_int_equal(mark.tail_length, 20);
    assert_true(tv_file_mark_holds(&mark, fd));
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mark_of_parts_sees_changes_at_both_ends_of_what_was_read),
        cmocka_unit_test(mark_of_a_file_that_is_shorter_now_does_not_hold),
        cmocka_unit_test(mark_that_is_taken_in_the_middle_goes_on_with_what_is_read),
    };
    return cmocka_run_group_tests_name("mark", tests, NULL, NULL);
}
