// Shares of a stage's time, and which stage is at fault.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/control.h"

static void shares_add_up_to_a_hundred(void **state) {
    (void)state;
    static const tv_host_wait_kind waits[2] = {TV_WAITS_INPUT, TV_WAITS_ROOM};
    tv_host_shares shares;
    tv_host_shares_of(20, 100, waits, &shares);
    assert_int_equal(shares.running, 20);
    assert_int_equal(shares.input, 40);
    assert_int_equal(shares.room, 40);
    assert_int_equal(shares.worker, 0);
    tv_host_shares_of(150, 100, waits, &shares); // clocks are read at different places
    assert_int_equal(shares.running, 100);
    tv_host_shares_of(1, 0, waits, &shares);
    assert_int_equal(shares.running + shares.input + shares.room + shares.worker, 0);
}

static void check(const tv_host_shares *shares, const char *why, size_t stage) {
    tv_host_verdict verdict = tv_host_judge(shares, 3);
    assert_non_null(verdict.why);
    assert_string_equal(verdict.why, why);
    assert_int_equal(verdict.stage, stage);
}

static void stage_at_fault_is_the_one_that_waits_for_nobody(void **state) {
    (void)state;
    // Of three in a row: running, input, worker, room.
    check((tv_host_shares[]){{10, 0, 0, 90}, {97, 1, 1, 1}, {5, 95, 0, 0}}, "running", 1);
    check((tv_host_shares[]){{10, 0, 0, 90}, {20, 0, 80, 0}, {5, 95, 0, 0}}, "worker", 1);
    check((tv_host_shares[]){{10, 0, 0, 90}, {10, 0, 0, 90}, {10, 0, 0, 90}}, "room", 2);
    check((tv_host_shares[]){{10, 90, 0, 0}, {10, 90, 0, 0}, {10, 90, 0, 0}}, "input", 0);
    check((tv_host_shares[]){{60, 40, 0, 0}, {10, 90, 0, 0}, {10, 90, 0, 0}}, "running", 0);
}

static void nothing_known_is_no_verdict(void **state) {
    (void)state;
    tv_host_shares shares[3] = {{0}};
    assert_null(tv_host_judge(shares, 3).why);
    assert_null(tv_host_judge(shares, 0).why);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_add_up_to_a_hundred),
        cmocka_unit_test(stage_at_fault_is_the_one_that_waits_for_nobody),
        cmocka_unit_test(nothing_known_is_no_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
