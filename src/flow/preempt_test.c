// Nested turns: Critical flows on top of a guest of a lower class. Time and ticks are virtual, so that the epoch
// callback comes at known places; the last test has real ones.
#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/testing/await.h"
#include "flow/testing/bank.h"

#define MS_NS 1000000ll

// What the I/O thread does at a tick; set by each test.
static bank_line *outer, *critical, *second;
static uint32_t out_at_tick; // tick at which the critical flow's first record was out

static void push_at_second_tick(bank *bench) {
    if (bench->tick_count == 2) bank_push(critical, "urgent");
    if (!out_at_tick && bank_take(critical)) out_at_tick = bench->tick_count;
}

static void begin(bank *bench, tv_class class, void (*at_tick)(bank *)) {
    bench->ticks = true;
    bench->at_tick = at_tick;
    out_at_tick = 0;
    second = NULL;
    outer = bank_add_started(bench, "outer", class, 1);
    critical = bank_add_started(bench, "critical", TV_CLASS_CRITICAL, 3);
    bank_run(bench);
}

static tv_stage_stats stage_stats(bank_line *line) {
    tv_stage_stats stats;
    tv_flow_stage_stats(line->flow, 0, &stats);
    return stats;
}

// ---- who runs on top of whom --------------------------------------------------------------------------------

static void critical_flow_has_its_turn_within_a_tick(void **state) {
    bank *bench = *state;
    begin(bench, TV_CLASS_NORMAL, push_at_second_tick);
    bank_push(outer, "!A10000;e0:done;"); // 10 ms
    bank_run(bench);
    assert_int_equal(out_at_tick, 3);
    assert_int_equal(bank_take(outer), 1);
    assert_true(bank_stats(critical).nested_turns >= 1); // one more when its output is taken
    tv_worker_stats stats;
    tv_runtime_worker_stats(bench->runtime, 0, &stats);
    assert_int_equal(stats.nested_turns, bank_stats(critical).nested_turns);
    assert_true(stats.busy_ns >= 10 * MS_NS);
}

static void background_and_high_are_preempted_as_well(void **state) {
    bank *bench = *state;
    begin(bench, TV_CLASS_HIGH, push_at_second_tick);
    bank_push(outer, "!A10000;");
    bank_run(bench);
    assert_int_equal(out_at_tick, 3);
}

static void critical_guest_is_not_preempted(void **state) {
    bank *bench = *state;
    begin(bench, TV_CLASS_CRITICAL, push_at_second_tick);
    bank_push(outer, "!A10000;");
    bank_run(bench);
    assert_int_equal(out_at_tick, 0);
    assert_int_equal(bank_take(critical), 1);
    assert_int_equal(bank_stats(critical).nested_turns, 0);
}

static void push_high_at_second_tick(bank *bench) {
    if (bench->tick_count == 2) bank_push(second, "high");
    assert_int_equal(bank_take(second), 0);
}

static void high_flow_waits_for_the_end_of_the_turn(void **state) {
    bank *bench = *state;
    begin(bench, TV_CLASS_NORMAL, push_high_at_second_tick);
    second = bank_add_started(bench, "high", TV_CLASS_HIGH, 1);
    bank_push(outer, "!A10000;");
    bank_step(bench, 0);
    bank_run(bench);
    assert_int_equal(bank_take(second), 1);
}

static void push_two_long_ones(bank *bench) {
    if (bench->tick_count == 2) bank_push(critical, "!A3000;e0:first;");
    if (bench->tick_count == 4) bank_push(second, "second"); // the first is running on top then
    assert_false(critical->flow->active_frames && second->flow->active_frames);
}

static void there_is_one_level_only(void **state) {
    bank *bench = *state;
    begin(bench, TV_CLASS_NORMAL, push_two_long_ones);
    second = bank_add_started(bench, "second", TV_CLASS_CRITICAL, 1);
    bank_run(bench);
    bank_push(outer, "!A10000;e0:done;");
    bank_run(bench);
    assert_int_equal(bank_take(critical) + bank_take(second) + bank_take(outer), 3);
    assert_true(bank_stats(critical).nested_turns >= 1 && bank_stats(second).nested_turns >= 1);
}

static void watch_timer(bank *bench) {
    if (!out_at_tick && bank_take(second)) out_at_tick = bench->tick_count;
}

static void timers_of_critical_flows_are_looked_at(void **state) {
    bank *bench = *state;
    begin(bench, TV_CLASS_NORMAL, watch_timer);
    second = bank_add(bench, "timed", TV_CLASS_CRITICAL, 1);
    bank_config(second, 0, "on_init", "s3000000;");
    bank_config(second, 0, "on_tick", "e0:tick;");
    bank_start(bench, second);
    bank_run(bench);
    bank_push(outer, "!A10000;");
    bank_run(bench);
    assert_in_range(out_at_tick, 4, 5);
}

// ---- whose time it is ---------------------------------------------------------------------------------------

static void push_long_at_second_tick(bank *bench) {
    if (bench->tick_count == 2) bank_push(critical, "!A5000;e0:long;");
}

static void nested_time_is_not_the_outer_flows(void **state) {
    bank *bench = *state;
    begin(bench, TV_CLASS_NORMAL, push_long_at_second_tick);
    outer->stages[0].cpu_record_ns = 12 * MS_NS;
    bank_push(outer, "!A10000;e0:done;");
    bank_run(bench);
    assert_int_equal(stage_stats(outer).faults, 0);
    assert_in_range(stage_stats(outer).busy_ns, 10 * MS_NS, 10 * MS_NS + MS_NS / 100);
    assert_in_range(stage_stats(critical).busy_ns, 5 * MS_NS, 5 * MS_NS + MS_NS / 100);
    tv_worker_stats stats;
    tv_runtime_worker_stats(bench->runtime, 0, &stats);
    assert_in_range(stats.nested_ns, 5 * MS_NS, 5 * MS_NS + MS_NS / 100);
}

static void outer_guest_that_loops_is_still_ended_by_its_budget(void **state) {
    bank *bench = *state;
    begin(bench, TV_CLASS_NORMAL, push_at_second_tick);
    outer->stages[0].cpu_record_ns = 5 * MS_NS;
    bank_push(outer, "!A100000;"); // 100 ms
    bank_run(bench);
    assert_int_equal(out_at_tick, 3);
    assert_int_equal(stage_stats(outer).faults_by_reason[TV_FAULT_CPU], 1);
    assert_true(stage_stats(outer).busy_ns < 8 * MS_NS);
}

// ---- faults stay where they are -----------------------------------------------------------------------------

static const char *nested_script;

static void push_script_at_second_tick(bank *bench) {
    if (bench->tick_count == 2) bank_push(critical, nested_script);
    if (bench->tick_count == 4) bank_push(critical, "after");
}

static void assert_nested_fault(bank *bench, const char *script, tv_fault_reason reason) {
    begin(bench, TV_CLASS_NORMAL, push_script_at_second_tick);
    nested_script = script;
    bank_push(outer, "!A10000;e0:done;");
    bank_run(bench);
    assert_int_equal(stage_stats(critical).faults_by_reason[reason], 1);
    assert_int_equal(bank_take(critical), 1); // the record after it
    assert_int_equal(bank_stats(critical).nested_turns, 2);
    assert_int_equal(stage_stats(outer).faults, 0);
    assert_int_equal(bank_take(outer), 1);
}

static void trap_in_the_nested_guest_stays_there(void **state) { assert_nested_fault(*state, "!T;", TV_FAULT_TRAP); }

static void exhausted_stack_in_the_nested_guest_stays_there(void **state) {
    assert_nested_fault(*state, "!S;", TV_FAULT_STACK);
}

static void outer_guest_can_fail_after_a_nested_turn(void **state) {
    bank *bench = *state;
    begin(bench, TV_CLASS_NORMAL, push_at_second_tick);
    bank_push(outer, "!A5000;T;");
    bank_push(outer, "!A5000;S;");
    bank_push(outer, "good");
    bank_run(bench);
    assert_int_equal(out_at_tick, 3);
    assert_int_equal(stage_stats(outer).faults_by_reason[TV_FAULT_TRAP], 1);
    assert_int_equal(stage_stats(outer).faults_by_reason[TV_FAULT_STACK], 1);
    assert_int_equal(bank_take(outer), 1);
    assert_int_equal(stage_stats(critical).faults, 0);
}

// ---- quanta -------------------------------------------------------------------------------------------------

static uint32_t out_by_tick[64], push_every;

static void push_now_and_then(bank *bench) {
    if (bench->tick_count % push_every == 0) bank_push(critical, "one more");
    bank_take(critical);
    if (bench->tick_count < 64) out_by_tick[bench->tick_count] = (uint32_t)critical->taken;
}

static void run_beside_a_long_call(bank *bench, uint32_t every) {
    begin(bench, TV_CLASS_NORMAL, push_now_and_then);
    push_every = every;
    tv_flow_settings settings = {.fields = TV_SET_QUANTUM, .quantum_records = 3};
    assert_int_equal(tv_flow_set(critical->flow, &settings, &bench->error), TV_OK);
    bank_run(bench);
    bank_push(outer, "!A50000;"); // 50 ms
    bank_run(bench);
}

// It is idle in between, so it is not saturated: no record waits for the end of the long call.
static void idle_critical_flow_gets_a_new_quantum_while_the_cycle_lasts(void **state) {
    run_beside_a_long_call(*state, 4);
    for (uint32_t tick = 5; tick < 50; tick += 4)
        assert_int_equal(out_by_tick[tick], tick / 4);
}

// A record each millisecond is more than its quantum; it is behind in time all the same, and that is enough.
static void critical_flow_that_is_behind_in_time_is_due_at_each_tick(void **state) {
    run_beside_a_long_call(*state, 1);
    for (uint32_t tick = 2; tick < 50; tick++)
        assert_int_equal(out_by_tick[tick], tick - 1);
}

static void keep_full(bank *bench) {
    (void)bench;
    bank_fill(critical, "!A20;e0:c;");
    bank_fill(outer, "!A2000;e0:n;");
    bank_take(critical);
    bank_take(outer);
}

static void saturated_critical_flow_gets_no_more_than_its_share(void **state) {
    bank *bench = *state;
    begin(bench, TV_CLASS_NORMAL, keep_full);
    keep_full(bench);
    bank_run_for(bench, 200 * MS_NS, keep_full); // costs are known by then
    int64_t normal_ns = stage_stats(outer).busy_ns, urgent_ns = stage_stats(critical).busy_ns;
    bank_run_for(bench, 5000 * MS_NS, keep_full);
    normal_ns = stage_stats(outer).busy_ns - normal_ns;
    urgent_ns = stage_stats(critical).busy_ns - urgent_ns;
    double ratio = (double)urgent_ns / (double)normal_ns;
    if (ratio < 3.8 || ratio > 4.2) fail_msg("%.3f", ratio);
}

// ---- starts -------------------------------------------------------------------------------------------------

static uint32_t first_tick, last_tick;

static void push_while_it_starts(bank *bench) {
    bank_push(critical, "now");
    if (!bank_take(critical)) return;
    if (!first_tick) first_tick = bench->tick_count;
    last_tick = bench->tick_count;
}

// 20 ms of start after each fault.
static void restart_is_preempted_like_any_other_call(void **state) {
    bank *bench = *state;
    bench->ticks = true;
    outer = bank_add(bench, "starts", TV_CLASS_NORMAL, 1);
    bank_config(outer, 0, "on_init", "A20000;");
    bank_start(bench, outer);
    critical = bank_add_started(bench, "critical", TV_CLASS_CRITICAL, 1);
    bank_run(bench);
    bench->tick_count = 0;
    first_tick = last_tick = 0;
    bench->at_tick = push_while_it_starts;
    bank_push(outer, "!T;");
    bank_run(bench);
    assert_int_equal(stage_stats(outer).restarts, 1);
    assert_in_range(first_tick, 1, 3);
    assert_in_range(last_tick, 19, 21);
    assert_true(bank_stats(critical).nested_turns > 15);
}

static void keep_trapping(bank *bench) {
    const tv_record *first;
    uint32_t bytes, records;
    while (tv_channel_peek(bench->letters[0], &first, &bytes, &records) == TV_OK)
        tv_channel_pop(bench->letters[0], records, bytes);
    bank_fill(outer, "!T;");
    bank_fill(critical, "!A20;e0:c;");
    bank_take(critical);
}

// What it makes of its time is its own affair: it gets no more of it than one that works.
static void restarts_are_charged(void **state) {
    bank *bench = *state;
    bench->ticks = true;
    outer = bank_add(bench, "starts", TV_CLASS_NORMAL, 1);
    bank_config(outer, 0, "on_init", "A5000;");
    outer->stages[0].restart.limit = 1000000;
    bank_start(bench, outer);
    critical = bank_add_started(bench, "critical", TV_CLASS_CRITICAL, 1);
    bench->at_tick = keep_trapping;
    bank_run_for(bench, 1000 * MS_NS, keep_trapping);
    int64_t urgent_ns = stage_stats(critical).busy_ns;
    bank_run_for(bench, 5000 * MS_NS, keep_trapping);
    assert_in_range(stage_stats(critical).busy_ns - urgent_ns, 3800 * MS_NS, 4200 * MS_NS);
}

// ---- real time ----------------------------------------------------------------------------------------------

// Records that come before the looping guest has begun, or between two of its loops, need no preemption: they are sent
// until one did.
static void looping_guest_is_preempted_by_real_ticks(void **state) {
    enum { LOOPS = 100 };
    bank *bench = *state;
    bench->runtime->clock = tv_clock_system();
    outer = bank_add(bench, "looping", TV_CLASS_NORMAL, 1);
    outer->stages[0].cpu_record_ns = 100 * MS_NS;
    bank_start(bench, outer);
    critical = bank_add_started(bench, "critical", TV_CLASS_CRITICAL, 3);
    for (int i = 0; i < LOOPS; i++)
        bank_push(outer, "!L;");
    assert_int_equal(tv_runtime_start(bench->runtime, &bench->error), TV_OK);
    while (bank_stats(critical).nested_turns == 0 && tv_channel_queued(outer->channels[0]) > 0) {
        bank_push(critical, "urgent");
        TV_AWAIT("the Critical flow's record");
        while (!bank_take(critical))
            sched_yield();
    }
    tv_runtime_stop(bench->runtime);
    assert_true(bank_stats(critical).nested_turns > 0);
}

static const struct CMUnitTest tests[] = {
    bank_test(critical_flow_has_its_turn_within_a_tick),
    bank_test(background_and_high_are_preempted_as_well),
    bank_test(critical_guest_is_not_preempted),
    bank_test(high_flow_waits_for_the_end_of_the_turn),
    bank_test(there_is_one_level_only),
    bank_test(timers_of_critical_flows_are_looked_at),
    bank_test(nested_time_is_not_the_outer_flows),
    bank_test(outer_guest_that_loops_is_still_ended_by_its_budget),
    bank_test(trap_in_the_nested_guest_stays_there),
    bank_test(exhausted_stack_in_the_nested_guest_stays_there),
    bank_test(outer_guest_can_fail_after_a_nested_turn),
    bank_test(idle_critical_flow_gets_a_new_quantum_while_the_cycle_lasts),
    bank_test(critical_flow_that_is_behind_in_time_is_due_at_each_tick),
    bank_test(saturated_critical_flow_gets_no_more_than_its_share),
    bank_test(restart_is_preempted_like_any_other_call),
    bank_test(restarts_are_charged),
    bank_test(looping_guest_is_preempted_by_real_ticks),
};

static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
