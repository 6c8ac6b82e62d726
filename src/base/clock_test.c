// Clocks, saturating deadlines, checked arithmetic, assertions.
#include "base/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/checked.h"

static void system_clock_moves_forward(void **state) {
    (void)state;
    const tv_clock *clock = tv_clock_system();
    int64_t before = tv_clock_monotonic_ns(clock);
    assert_true(before > 0);
    assert_true(tv_clock_monotonic_ns(clock) >= before);
    assert_true(tv_clock_realtime_ns(clock) > INT64_C(1600000000000000000));
}

static int64_t seven(void *user) {
    (void)user;
    return 7;
}

static void cpu_time_is_the_systems_unless_it_is_replaced(void **state) {
    (void)state;
    tv_virtual_clock clock;
    tv_virtual_clock_init(&clock, 1000);
    int64_t before = tv_clock_thread_cpu_ns(&clock.clock);
    assert_true(before > 0);
    assert_true(tv_clock_thread_cpu_ns(tv_clock_system()) >= before);
    clock.clock.thread_cpu_ns = seven;
    assert_int_equal(tv_clock_thread_cpu_ns(&clock.clock), 7);
}

static void virtual_clock_stands_still_until_moved(void **state) {
    (void)state;
    tv_virtual_clock clock;
    tv_virtual_clock_init(&clock, 1000);
    assert_int_equal(tv_clock_monotonic_ns(&clock.clock), 0);
    assert_int_equal(tv_clock_realtime_ns(&clock.clock), 1000);
    tv_virtual_clock_advance(&clock, 0);
    assert_int_equal(tv_clock_monotonic_ns(&clock.clock), 0);
    tv_virtual_clock_advance(&clock, 25);
    assert_int_equal(tv_clock_monotonic_ns(&clock.clock), 25);
    assert_int_equal(tv_clock_realtime_ns(&clock.clock), 1025);
}

static void deadlines_saturate_at_both_ends(void **state) {
    (void)state;
    assert_true(tv_time_add_saturating(1, 2) == 3);
    assert_true(tv_time_add_saturating(INT64_MAX - 1, 1) == INT64_MAX);
    assert_true(tv_time_add_saturating(INT64_MAX, 1) == INT64_MAX);
    assert_true(tv_time_add_saturating(1, INT64_MAX) == INT64_MAX);
    assert_true(tv_time_add_saturating(INT64_MIN, -1) == INT64_MIN);
    assert_true(tv_time_add_saturating(INT64_MIN, INT64_MAX) == -1);
}

static void checked_arithmetic_refuses_overflow_and_keeps_the_result(void **state) {
    (void)state;
    uint64_t result = 7;
    assert_false(tv_checked_add_u64(UINT64_MAX, 1, &result));
    assert_false(tv_checked_mul_u64(UINT64_MAX / 2 + 1, 2, &result));
    assert_int_equal(result, 7);
    assert_true(tv_checked_add_u64(UINT64_MAX - 1, 1, &result));
    assert_true(result == UINT64_MAX);
    assert_true(tv_checked_mul_u64(UINT64_MAX / 3, 3, &result));
    assert_true(result == UINT64_MAX / 3 * 3);
    uint32_t narrow = 7;
    assert_false(tv_checked_u32((uint64_t)UINT32_MAX + 1, &narrow));
    assert_int_equal(narrow, 7);
    assert_true(tv_checked_u32(UINT32_MAX, &narrow));
    assert_int_equal(narrow, UINT32_MAX);
}

static void align_up_goes_to_the_next_multiple(void **state) {
    (void)state;
    assert_int_equal(tv_align_up_u64(0, 8), 0);
    assert_int_equal(tv_align_up_u64(1, 8), 8);
    assert_int_equal(tv_align_up_u64(8, 8), 8);
    assert_int_equal(tv_align_up_u32(9, 8), 16);
}

static void failed_assertion_names_condition_and_place_and_aborts(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        TV_ASSERT(1 + 1 == 3);
    }
    close(ends[1]);
    char text[512] = "";
    ssize_t length = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_true(length > 0);
    assert_non_null(strstr(text, "1 + 1 == 3"));
    assert_non_null(strstr(text, "clock_test.c:"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(system_clock_moves_forward),
        cmocka_unit_test(virtual_clock_stands_still_until_moved),
        cmocka_unit_test(cpu_time_is_the_systems_unless_it_is_replaced),
        cmocka_unit_test(deadlines_saturate_at_both_ends),
        cmocka_unit_test(checked_arithmetic_refuses_overflow_and_keeps_the_result),
        cmocka_unit_test(align_up_goes_to_the_next_multiple),
        cmocka_unit_test(failed_assertion_names_condition_and_place_and_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
