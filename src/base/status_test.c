// Error object: what it keeps, what it cuts, what it survives.
#include "base/status.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_status_has_a_name_of_its_own(void **state) {
    (void)state;
    for (int a = TV_OK; a <= TV_INTERRUPTED; a++) {
        assert_string_not_equal(tv_status_name((tv_status)a), "unknown status");
        for (int b = TV_OK; b < a; b++) {
            assert_string_not_equal(tv_status_name((tv_status)a), tv_status_name((tv_status)b));
        }
    }
    assert_string_equal(tv_status_name((tv_status)999), "unknown status");
}

static void set_fills_status_and_message_and_clears_errno(void **state) {
    (void)state;
    tv_error error = {.os_errno = EACCES};
    assert_int_equal(tv_error_set(&error, TV_LIMIT, "at most %d stages", 32), TV_LIMIT);
    assert_int_equal(error.status, TV_LIMIT);
    assert_int_equal(error.os_errno, 0);
    assert_string_equal(error.message, "at most 32 stages");
}

static void set_without_error_object_returns_the_status(void **state) {
    (void)state;
    assert_int_equal(tv_error_set(NULL, TV_DENIED, "x"), TV_DENIED);
    assert_int_equal(tv_error_set_errno(NULL, ENOENT, "x"), TV_IO);
    assert_int_not_equal(tv_error_prefix(NULL, "x"), TV_OK);
}

static void set_errno_appends_its_text(void **state) {
    (void)state;
    tv_error error;
    assert_int_equal(tv_error_set_errno(&error, ENOENT, "cannot open %s", "a.yaml"), TV_IO);
    assert_int_equal(error.os_errno, ENOENT);
    assert_string_equal(error.message, "cannot open a.yaml: No such file or directory");
}

static void prefix_keeps_status_and_errno(void **state) {
    (void)state;
    tv_error error;
    tv_error_set_errno(&error, EACCES, "cannot open out.jsonl");
    assert_int_equal(tv_error_prefix(&error, "channel %s", "uplink"), TV_IO);
    assert_int_equal(error.os_errno, EACCES);
    assert_string_equal(error.message, "channel uplink: cannot open out.jsonl: Permission denied");
}

static void message_may_be_built_from_itself(void **state) {
    (void)state;
    tv_error error;
    tv_error_set(&error, TV_INVALID, "inner");
    tv_error_set(&error, TV_FAULT, "outer (%s)", error.message);
    assert_string_equal(error.message, "outer (inner)");
    tv_error_prefix(&error, "%s", error.message);
    assert_string_equal(error.message, "outer (inner): outer (inner)");
}

static void long_messages_are_cut_and_terminated(void **state) {
    (void)state;
    char text[2 * TV_ERROR_MESSAGE_BYTES];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    tv_error error;
    tv_error_set(&error, TV_INVALID, "%s", text);
    assert_int_equal(strlen(error.message), TV_ERROR_MESSAGE_BYTES - 1);
    tv_error_set_errno(&error, ENOENT, "%s", text);
    assert_int_equal(strlen(error.message), TV_ERROR_MESSAGE_BYTES - 1);
    tv_error_prefix(&error, "flow %s", "one");
    assert_int_equal(strlen(error.message), TV_ERROR_MESSAGE_BYTES - 1);
    assert_memory_equal(error.message, "flow one: aaa", 13);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_name_of_its_own),
        cmocka_unit_test(set_fills_status_and_message_and_clears_errno),
        cmocka_unit_test(set_without_error_object_returns_the_status),
        cmocka_unit_test(set_errno_appends_its_text),
        cmocka_unit_test(prefix_keeps_status_and_errno),
        cmocka_unit_test(message_may_be_built_from_itself),
        cmocka_unit_test(long_messages_are_cut_and_terminated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
