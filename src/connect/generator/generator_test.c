// The generator connector: count, pausing, rate, losses, closing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "base/base.h"
#include "connect/generator/generator.h"
#include "connect/testing/rig.h"

static const int64_t millisecond_ns = 1000000;

static void generator_ends_after_its_count(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init(&rig, TV_INPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_generator, NULL, "count", "25", "sensors", "4", NULL), TV_OK);
    tv_rig_run_until_ended(&rig);
    assert_int_equal(tv_rig_figure(&rig, "messages"), 25);
    assert_int_equal(tv_rig_take_all(&rig), 25);
    tv_rig_deinit(&rig);
}

static void messages_carry_their_event_time(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init(&rig, TV_INPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_generator, NULL, "count", "1", NULL), TV_OK);
    tv_rig_run_until_ended(&rig);
    assert_true(tv_rig_front_time(&rig) == 1767225600LL * 1000000000);
    tv_rig_deinit(&rig);
}

// Takes everything through a queue of `records`, and returns the bytes one after the other.
static char *collect(uint32_t records, const char *seed) {
    tv_rig rig;
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 0, records, 0);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_generator, NULL, "count", "500", "seed", seed,
                                 "dropout_probability", "0.01", NULL),
                     TV_OK);
    char *all = calloc(1, 100000), line[512];
    assert_non_null(all);
    size_t used = 0, length;
    for (uint64_t i = 1; i <= 500; i++) {
        tv_rig_run_until_committed(&rig, i);
        assert_true(tv_rig_take(&rig, line, sizeof line, &length));
        memcpy(all + used, line, length);
        used += length;
    }
    tv_rig_run_until_ended(&rig);
    tv_rig_deinit(&rig);
    return all;
}

static void pausing_changes_no_byte(void **state) {
    (void)state;
    char *paused = collect(3, "7"), *whole = collect(1000, "7"), *other = collect(1000, "8");
    assert_string_equal(paused, whole);
    assert_string_not_equal(other, whole);
    free(paused);
    free(whole);
    free(other);
}

static void rate_follows_the_clock(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init(&rig, TV_INPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_generator, NULL, "rate", "1000", NULL), TV_OK);
    for (int i = 0; i < 10; i++)
        uv_run(&rig.loop, UV_RUN_NOWAIT);
    assert_int_equal(tv_channel_committed(rig.channel), 0); // the clock stands
    tv_virtual_clock_advance(&rig.clock, 50 * millisecond_ns);
    tv_rig_run_until_committed(&rig, 50);
    assert_int_equal(tv_channel_committed(rig.channel), 50);
    tv_virtual_clock_advance(&rig.clock, 1 * millisecond_ns);
    tv_rig_run_until_committed(&rig, 51);
    assert_int_equal(tv_channel_committed(rig.channel), 51);
    tv_rig_deinit(&rig);
}

static void pause_is_not_followed_by_a_burst(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 0, 10, 0);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_generator, NULL, "rate", "1000", NULL), TV_OK);
    tv_virtual_clock_advance(&rig.clock, 1000 * millisecond_ns);
    tv_rig_run_until_committed(&rig, 10);
    assert_int_equal(tv_rig_take_all(&rig), 10);
    tv_rig_run_until_committed(&rig, 11); // the one that waited
    assert_int_equal(tv_channel_committed(rig.channel), 11);
    tv_virtual_clock_advance(&rig.clock, 3 * millisecond_ns);
    tv_rig_run_until_committed(&rig, 14);
    assert_int_equal(tv_channel_committed(rig.channel), 14);
    tv_rig_deinit(&rig);
}

static void generator_that_cannot_be_paused_counts_its_losses(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 0, 10, 0);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_generator, NULL, "count", "100", "pausable", "false", NULL),
                     TV_OK);
    tv_rig_run_until_ended(&rig);
    assert_int_equal(tv_rig_figure(&rig, "lost"), 90);
    assert_int_equal(tv_rig_figure(&rig, "messages"), 10);
    assert_int_equal(tv_rig_take_all(&rig), 10);
    tv_rig_deinit(&rig);
}

static void overflow_policy_counts_what_it_drops(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_DROP_NEWEST, 0, 10, 0);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_generator, NULL, "count", "100", "pausable", "false", NULL),
                     TV_OK);
    tv_rig_run_until_ended(&rig);
    assert_int_equal(tv_rig_figure(&rig, "lost"), 0);
    assert_int_equal(tv_rig_dropped(&rig, TV_DROP_NEWEST), 90);
    assert_int_equal(tv_rig_take_all(&rig), 10);
    tv_rig_deinit(&rig);
}

static void endless_generator_stops_when_told(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init(&rig, TV_INPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_generator, NULL, NULL), TV_OK);
    tv_rig_run_until_committed(&rig, 100);
    tv_connector_generator.stop(rig.state);
    assert_true(tv_rig_has_ended(&rig));
    uint64_t committed = tv_channel_committed(rig.channel);
    uv_run(&rig.loop, UV_RUN_NOWAIT);
    assert_int_equal(tv_channel_committed(rig.channel), committed);
    tv_rig_deinit(&rig);
}

static void silent_sensors_do_not_hold_the_loop(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init(&rig, TV_INPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_generator, NULL, "dropout_probability", "1", NULL), TV_OK);
    for (int i = 0; i < 5; i++)
        uv_run(&rig.loop, UV_RUN_NOWAIT);
    assert_int_equal(tv_channel_committed(rig.channel), 0);
    assert_true(tv_rig_figure(&rig, "dropouts") > 0);
    tv_rig_deinit(&rig);
}

static void wrong_start_and_names_are_clear_errors(void **state) {
    (void)state;
    tv_rig rig;
    tv_error error = {0};
    tv_rig_init(&rig, TV_INPUT);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_generator, &error, "start", "tomorrow", NULL), TV_INVALID);
    assert_non_null(strstr(error.message, "tomorrow"));
    assert_int_equal(tv_rig_open(&rig, &tv_connector_generator, &error, "value_field", "a\"b", NULL), TV_INVALID);
    assert_non_null(strstr(error.message, "a\"b"));
    tv_rig_deinit(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generator_ends_after_its_count),
        cmocka_unit_test(messages_carry_their_event_time),
        cmocka_unit_test(pausing_changes_no_byte),
        cmocka_unit_test(rate_follows_the_clock),
        cmocka_unit_test(pause_is_not_followed_by_a_burst),
        cmocka_unit_test(generator_that_cannot_be_paused_counts_its_losses),
        cmocka_unit_test(overflow_policy_counts_what_it_drops),
        cmocka_unit_test(endless_generator_stops_when_told),
        cmocka_unit_test(silent_sensors_do_not_hold_the_loop),
        cmocka_unit_test(wrong_start_and_names_are_clear_errors),
    };
    return cmocka_run_group_tests_name("generator", tests, NULL, NULL);
}
