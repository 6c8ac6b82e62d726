// Which flows wait at which share of the limit, and that the state does not swing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/host.h"

static tv_host_pressure at(tv_host_pressure now, uint64_t resident) {
    tv_host_memory_now figures = {.limit_bytes = 1000000, .resident_bytes = resident};
    return tv_host_pressure_next(now, &figures);
}

static void background_is_first_and_critical_never(void **state) {
    (void)state;
    assert_int_equal(at(TV_PRESSURE_NONE, 849999), TV_PRESSURE_NONE);
    assert_int_equal(at(TV_PRESSURE_NONE, 850000), TV_PRESSURE_BACKGROUND);
    assert_true(tv_host_pressure_pauses(TV_PRESSURE_BACKGROUND, TV_CLASS_BACKGROUND));
    assert_false(tv_host_pressure_pauses(TV_PRESSURE_BACKGROUND, TV_CLASS_NORMAL));
    for (unsigned p = 0; p < TV_PRESSURE_COUNT; p++)
        assert_false(tv_host_pressure_pauses((tv_host_pressure)p, TV_CLASS_CRITICAL));
    for (unsigned c = 0; c < TV_CLASS_COUNT; c++)
        assert_false(tv_host_pressure_pauses(TV_PRESSURE_NONE, (tv_class)c));
}

static void it_rises_as_far_as_the_figures_say_at_once(void **state) {
    (void)state;
    assert_int_equal(at(TV_PRESSURE_NONE, 960000), TV_PRESSURE_HIGH);
    assert_int_equal(at(TV_PRESSURE_BACKGROUND, 920000), TV_PRESSURE_NORMAL);
    assert_int_equal(at(TV_PRESSURE_NONE, 5000000), TV_PRESSURE_HIGH);
}

static void it_falls_by_one_step_and_only_well_below_the_mark(void **state) {
    (void)state;
    assert_int_equal(at(TV_PRESSURE_BACKGROUND, 750000), TV_PRESSURE_BACKGROUND);
    assert_int_equal(at(TV_PRESSURE_BACKGROUND, 749999), TV_PRESSURE_NONE);
    assert_int_equal(at(TV_PRESSURE_HIGH, 0), TV_PRESSURE_NORMAL);
    assert_int_equal(at(TV_PRESSURE_NORMAL, 0), TV_PRESSURE_BACKGROUND);
    assert_int_equal(at(TV_PRESSURE_NORMAL, 900000), TV_PRESSURE_NORMAL);
}

static void without_a_limit_there_is_no_pressure(void **state) {
    (void)state;
    tv_host_memory_now none = {.resident_bytes = UINT64_MAX};
    tv_host_memory_now endless = {.limit_bytes = UINT64_MAX, .resident_bytes = 1ull << 60};
    assert_int_equal(tv_host_pressure_next(TV_PRESSURE_NONE, &none), TV_PRESSURE_NONE);
    assert_int_equal(tv_host_pressure_next(TV_PRESSURE_NONE, &endless), TV_PRESSURE_NONE);
}

// At any figure the state comes to rest: asked again and again it does not go up and down.
static void at_any_figure_it_comes_to_rest(void **state) {
    (void)state;
    for (uint64_t used = 0; used <= 1100000; used += 1000)
        for (unsigned from = 0; from < TV_PRESSURE_COUNT; from++) {
            tv_host_pressure now = (tv_host_pressure)from;
            for (unsigned i = 0; i < TV_PRESSURE_COUNT; i++)
                now = at(now, used);
            assert_int_equal(at(now, used), now);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(background_is_first_and_critical_never),
        cmocka_unit_test(it_rises_as_far_as_the_figures_say_at_once),
        cmocka_unit_test(it_falls_by_one_step_and_only_well_below_the_mark),
        cmocka_unit_test(without_a_limit_there_is_no_pressure),
        cmocka_unit_test(at_any_figure_it_comes_to_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
