// When a flow that could not start is tried again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/runner.h"

#define MS 1000000ll

static const tv_restart_policy policy = {
    .mode = TV_RESTART, .limit = 5, .window_ns = 60000 * MS, .backoff_min_ns = 100 * MS, .backoff_max_ns = 300 * MS};

static void first_is_at_once_then_the_wait_doubles_up_to_the_longest(void **state) {
    (void)state;
    static const int64_t expected_ms[] = {0, 100, 200, 300, 300};
    tv_host_start_policy start = {0};
    for (size_t i = 0; i < sizeof expected_ms / sizeof expected_ms[0]; i++)
        assert_int_equal(tv_host_start_policy_next(&start, &policy, 1000 * MS), expected_ms[i] * MS);
    assert_int_equal(start.attempts, 5);
}

static void one_past_the_limit_within_the_window_is_the_last(void **state) {
    (void)state;
    tv_host_start_policy start = {0};
    for (uint32_t i = 0; i < policy.limit; i++)
        assert_true(tv_host_start_policy_next(&start, &policy, 1000 * MS) >= 0);
    assert_int_equal(tv_host_start_policy_next(&start, &policy, 1000 * MS), -1);
    assert_int_equal(start.attempts, policy.limit + 1);
}

static void behind_the_window_it_counts_anew(void **state) {
    (void)state;
    tv_host_start_policy start = {0};
    for (uint32_t i = 0; i < policy.limit; i++)
        (void)tv_host_start_policy_next(&start, &policy, 1000 * MS);
    assert_int_equal(tv_host_start_policy_next(&start, &policy, 1000 * MS + policy.window_ns + 1), 0);
}

static void mode_stop_tries_once(void **state) {
    (void)state;
    tv_restart_policy stop = policy;
    tv_host_start_policy start = {0};
    stop.mode = TV_RESTART_STOP;
    assert_int_equal(tv_host_start_policy_next(&start, &stop, 1000 * MS), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_is_at_once_then_the_wait_doubles_up_to_the_longest),
        cmocka_unit_test(one_past_the_limit_within_the_window_is_the_last),
        cmocka_unit_test(behind_the_window_it_counts_anew),
        cmocka_unit_test(mode_stop_tries_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
