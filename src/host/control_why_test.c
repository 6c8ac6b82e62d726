// Shares of a stage's time between two snapshots, and what holds a flow back by itself.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/control.h"

static double share_of(const tv_stage_stats *window, const char *name) {
    yyjson_mut_doc *document = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *object = yyjson_mut_obj(document);
    tv_host_add_shares(document, object, window);
    double share = yyjson_mut_get_real(yyjson_mut_obj_get(object, name));
    yyjson_mut_doc_free(document);
    return share;
}

static void shares_are_of_the_window_and_add_up(void **state) {
    (void)state;
    static const tv_host_times before = {.running_ns = 1000, .waited_ns = {5000, 100, 0}};
    tv_stage_stats window = {0}, now = {.running_ns = 1020, .waited_ns = {5030, 110, 40}};
    assert_true(tv_host_window_take(&now, &before, &window));
    assert_int_equal(share_of(&window, "running_percent"), 20);
    assert_int_equal(share_of(&window, "waiting_input_percent"), 30);
    assert_int_equal(share_of(&window, "waiting_worker_percent"), 10);
    assert_int_equal(share_of(&window, "waiting_room_percent"), 40);
}

static void time_that_is_taken_off_again_is_no_negative_share(void **state) {
    (void)state;
    static const tv_host_times before = {.running_ns = 10, .waited_ns = {100, 0, 0}};
    tv_stage_stats window = {0}, now = {.running_ns = 60, .waited_ns = {80, 0, 0}};
    assert_true(tv_host_window_take(&now, &before, &window));
    assert_int_equal(share_of(&window, "running_percent"), 100);
    assert_int_equal(share_of(&window, "waiting_input_percent"), 0);
}

static void empty_window_has_no_shares(void **state) {
    (void)state;
    static const tv_host_times before = {.running_ns = 10, .waited_ns = {1, 2, 3}};
    tv_stage_stats window = {0}, now = {.running_ns = 10, .waited_ns = {1, 2, 3}};
    assert_false(tv_host_window_take(&now, &before, &window));
    assert_int_equal(share_of(&window, "running_percent"), 0);
    assert_int_equal(share_of(&window, "waiting_room_percent"), 0);
}

static void limit_that_took_half_the_time_holds_the_flow_back(void **state) {
    (void)state;
    static const int64_t before[TV_THROTTLE_COUNT] = {0, 1000, 0};
    tv_flow_stats stats = {.throttled_ns = {0, 1049, 0}};
    assert_null(tv_host_held_back(false, &stats, before, 100));
    stats.throttled_ns[TV_THROTTLE_CPU] = 1050;
    assert_string_equal(tv_host_held_back(false, &stats, before, 100), "cpu");
    assert_null(tv_host_held_back(false, &stats, before, 0)); // no window yet
    stats.throttled = TV_THROTTLE_RATE;
    assert_string_equal(tv_host_held_back(false, &stats, before, 100), "rate");
    assert_string_equal(tv_host_held_back(true, &stats, before, 100), "paused");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_of_the_window_and_add_up),
        cmocka_unit_test(time_that_is_taken_off_again_is_no_negative_share),
        cmocka_unit_test(empty_window_has_no_shares),
        cmocka_unit_test(limit_that_took_half_the_time_holds_the_flow_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
