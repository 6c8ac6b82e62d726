// Printing to readers that read, do not read, and are gone.
#include "base/print.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <unistd.h>

#include <cmocka.h>

enum { TEXT_BYTES = 1 << 20, MS = 1000000 };

static char *text;

static int make_text(void **state) {
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    text = malloc(TEXT_BYTES);
    for (size_t i = 0; text && i < TEXT_BYTES; i++)
        text[i] = (char)('a' + i % 26);
    return text ? 0 : -1;
}

static int free_text(void **state) {
    (void)state;
    free(text);
    return 0;
}

static void *read_all(void *user) {
    static char got[TEXT_BYTES];
    size_t length = 0;
    for (ssize_t count; (count = read(*(int *)user, got + length, sizeof got - length)) > 0;)
        length += (size_t)count;
    return length == TEXT_BYTES && memcmp(got, text, length) == 0 ? got : NULL;
}

static void a_reader_gets_all(void **state) {
    (void)state;
    int ends[2];
    pthread_t reader;
    void *same;
    tv_error error;
    assert_int_equal(pipe(ends), 0);
    pthread_create(&reader, NULL, read_all, &ends[0]);
    assert_int_equal(tv_print_within(ends[1], text, TEXT_BYTES, 30000ll * MS, NULL, NULL, &error), TV_OK);
    close(ends[1]);
    pthread_join(reader, &same);
    assert_non_null(same);
    close(ends[0]);
}

static bool hurry(void *user) {
    (void)user;
    return true;
}

static void a_reader_that_takes_nothing_is_given_up(void **state) {
    (void)state;
    int ends[2];
    tv_error error;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(tv_print_within(ends[1], text, TEXT_BYTES, 10 * MS, NULL, NULL, &error), TV_AGAIN);
    assert_non_null(strstr(error.message, "65536 of 1048576 bytes"));
    assert_int_equal(tv_print_within(ends[1], text, TEXT_BYTES, 3600000ll * MS, hurry, NULL, &error), TV_AGAIN);
    close(ends[0]); // the threads that were left behind end, with the other end in their hands: it stays open
}

static void what_cannot_be_written_says_why(void **state) {
    (void)state;
    tv_error error;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_int_equal(tv_print_within(full, text, 10, 30000ll * MS, NULL, NULL, &error), TV_IO);
    assert_int_equal(error.os_errno, ENOSPC);
    close(full);
    assert_int_equal(tv_print_within(-1, text, 10, 30000ll * MS, NULL, NULL, &error), TV_IO);
    assert_int_equal(error.os_errno, EBADF);
}

static void nothing_to_print_is_printed_at_once(void **state) {
    (void)state;
    tv_error error;
    assert_int_equal(tv_print_within(-1, text, 0, 30000ll * MS, NULL, NULL, &error), TV_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_gets_all),
        cmocka_unit_test(a_reader_that_takes_nothing_is_given_up),
        cmocka_unit_test(what_cannot_be_written_says_why),
        cmocka_unit_test(nothing_to_print_is_printed_at_once),
    };
    return cmocka_run_group_tests(tests, make_text, free_text);
}
