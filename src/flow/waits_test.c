// What stages wait for, on a clock that the test moves; and which of them holds the flow up.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "flow/testing/test_rig.h"

static const int64_t SECOND_NS = 1000000000;
enum { IN = TV_NODE_CHANNEL, OUT = TV_NODE_CHANNEL | 1 };

// in -> first -> second -> out, with room for two records in the output channel
static void start_two(rig *bench) {
    (void)rig_channel(bench, "in", TV_INPUT);
    (void)rig_channel(bench, "out", TV_OUTPUT);
    uint16_t first = rig_stage(bench, "first"), second = rig_stage(bench, "second");
    rig_options(bench, OUT)->capacity_records = 2;
    rig_edge(bench, IN, 0, first);
    rig_edge(bench, first, 0, second)->capacity_records = 2;
    rig_edge(bench, second, 0, OUT)->capacity_records = 2;
    rig_start(bench);
}

static void assert_adds_up(rig *bench, uint16_t stage, int64_t life_ns) {
    tv_stage_stats stats = rig_stage_stats(bench, stage);
    int64_t sum = stats.running_ns;
    for (int i = 0; i < TV_WAIT_COUNT; i++) {
        assert_true(stats.waited_ns[i] >= 0);
        sum += stats.waited_ns[i];
    }
    assert_int_equal(sum, life_ns);
}

static void idle_stages_wait_for_input(void **state) {
    rig *bench = *state;
    start_two(bench);
    rig_push(bench, IN, "a");
    rig_advance(bench, 3 * SECOND_NS);
    assert_string_equal(rig_take(bench, OUT), "a");
    rig_advance(bench, 2 * SECOND_NS);
    for (uint16_t i = 0; i < 2; i++) {
        assert_adds_up(bench, i, 5 * SECOND_NS);
        assert_int_equal(rig_stage_stats(bench, i).waited_ns[TV_WAIT_INPUT], 5 * SECOND_NS);
    }
    tv_bottleneck found;
    tv_flow_bottleneck(bench->flow, &found);
    assert_int_equal(found.kind, TV_BOTTLENECK_NONE);
    assert_non_null(strstr(found.why, "waits for input"));
}

static void stages_behind_a_full_channel_wait_for_room(void **state) {
    rig *bench = *state;
    start_two(bench);
    rig_run(bench);
    rig_advance(bench, SECOND_NS);
    for (int i = 0; i < 8; i++)
        rig_push(bench, IN, "a");
    rig_run(bench); // two in the channel, two before `second`, the others before `first`
    rig_advance(bench, 9 * SECOND_NS);
    for (uint16_t i = 0; i < 2; i++) {
        tv_stage_stats stats = rig_stage_stats(bench, i);
        assert_adds_up(bench, i, 10 * SECOND_NS);
        assert_int_equal(stats.waited_ns[TV_WAIT_INPUT], SECOND_NS);
        assert_int_equal(stats.waited_ns[TV_WAIT_ROOM], 9 * SECOND_NS);
    }
    tv_bottleneck found;
    tv_flow_bottleneck(bench->flow, &found);
    assert_int_equal(found.kind, TV_BOTTLENECK_DOWNSTREAM);
    assert_int_equal(found.stage, 1);
    assert_string_equal(found.why, "stage second waits for room in channel out 90 % of the time");
    for (int i = 0; i < 8; i++) { // it goes on, and room is no more what they wait for
        (void)rig_take(bench, OUT);
        rig_run(bench);
    }
    rig_advance(bench, 5 * SECOND_NS);
    assert_int_equal(rig_stage_stats(bench, 0).waited_ns[TV_WAIT_ROOM], 9 * SECOND_NS);
    assert_adds_up(bench, 0, 15 * SECOND_NS);
}

static void queue_left_at_the_end_of_a_turn_waits_for_the_worker(void **state) {
    rig *bench = *state;
    int64_t wait_until_ns;
    rig_options(bench, rig_channel(bench, "in", TV_INPUT));
    (void)rig_channel(bench, "out", TV_OUTPUT);
    uint16_t only = rig_stage(bench, "only");
    rig_edge(bench, IN, 0, only);
    rig_edge(bench, only, 0, OUT);
    bench->spec.quantum_records = 1;
    rig_start(bench);
    for (int i = 0; i < 3; i++)
        rig_push(bench, IN, "a");
    assert_true(tv_worker_step(&bench->runtime->workers[0], &wait_until_ns)); // one record, the quantum
    tv_virtual_clock_advance(&bench->clock, 4 * SECOND_NS);
    rig_run(bench);
    assert_adds_up(bench, only, 4 * SECOND_NS);
    assert_int_equal(rig_stage_stats(bench, only).waited_ns[TV_WAIT_WORKER], 4 * SECOND_NS);
    tv_bottleneck found;
    tv_flow_bottleneck(bench->flow, &found);
    assert_int_equal(found.kind, TV_BOTTLENECK_WORKER);
    assert_int_equal(found.stage, only);
}

static void stage_that_runs_is_named(void **state) {
    rig *bench = *state;
    start_two(bench);
    tv_stage_stats stats[2] = {{.running_ns = 10, .waited_ns = {0, 80, 10}},
                               {.running_ns = 90, .waited_ns = {0, 10, 0}}};
    tv_bottleneck found;
    tv_bottleneck_find(bench->flow, stats, &found);
    assert_int_equal(found.kind, TV_BOTTLENECK_STAGE);
    assert_int_equal(found.stage, 1);
    assert_string_equal(found.why, "stage second runs 90 % of the time");
}

// A sampled busy time may be ahead of the clock; the sum stays right, and nothing goes back.
static void busy_time_ahead_of_the_clock_counts_later(void **state) {
    rig *bench = *state;
    start_two(bench);
    rig_run(bench);
    rig_advance(bench, SECOND_NS);
    bench->flow->stages[0].busy_ns += 3 * SECOND_NS;
    assert_adds_up(bench, 0, SECOND_NS);
    assert_int_equal(rig_stage_stats(bench, 0).running_ns, SECOND_NS);
    for (int i = 0; i < 8; i++)
        rig_push(bench, IN, "a");
    rig_advance(bench, 5 * SECOND_NS);
    assert_adds_up(bench, 0, 6 * SECOND_NS);
    assert_in_range(rig_stage_stats(bench, 0).running_ns, 3 * SECOND_NS, 3 * SECOND_NS + SECOND_NS / 100);
}

static const struct CMUnitTest tests[] = {
    rig_test(idle_stages_wait_for_input),
    rig_test(stages_behind_a_full_channel_wait_for_room),
    rig_test(queue_left_at_the_end_of_a_turn_waits_for_the_worker),
    rig_test(stage_that_runs_is_named),
    rig_test(busy_time_ahead_of_the_clock_counts_later),
};

static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
