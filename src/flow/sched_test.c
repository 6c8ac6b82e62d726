// Turns and yield cycles: what each flow gets of its worker, with records that cost what the test says.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/testing/bank.h"

#define US_NS 1000ll
#define MS_NS 1000000ll

// ---- shares -------------------------------------------------------------------------------------------------

// Keeps each line's input full and its output empty while the worker takes `steps` turns.
static void saturate(bank *bench, const char *const *texts, uint32_t steps) {
    for (uint32_t i = 0; i < steps; i++) {
        for (uint32_t k = 0; k < bench->line_count; k++) {
            bank_fill(&bench->lines[k], texts[k]);
            bank_take(&bench->lines[k]);
        }
        assert_true(bank_step(bench, 0));
    }
}

// What came out of each line from one cycle's begin to another's, `cycles` later.
static void run_cycles(bank *bench, const char *const *texts, uint64_t cycles, uint64_t *records) {
    tv_worker *worker = &bench->runtime->workers[0];
    uint64_t begin = worker->cycle;
    while (worker->cycle < begin + 3) // costs are known and queues filled by then
        saturate(bench, texts, 1);
    for (uint32_t i = 0; i < bench->line_count; i++) {
        bank_take(&bench->lines[i]);
        records[i] = bench->lines[i].taken;
    }
    begin = worker->cycle;
    while (worker->cycle < begin + cycles)
        saturate(bench, texts, 1);
    for (uint32_t i = 0; i < bench->line_count; i++) {
        bank_take(&bench->lines[i]);
        records[i] = bench->lines[i].taken - records[i];
    }
}

static void assert_ratio(uint64_t many, uint64_t few, double ratio, double tolerance) {
    double got = (double)many / (double)few;
    if (got < ratio * (1 - tolerance) || got > ratio * (1 + tolerance))
        fail_msg("%llu : %llu is %.3f instead of %.3f", (unsigned long long)many, (unsigned long long)few, got, ratio);
}

static void each_class_gets_its_quantum_in_each_cycle(void **state) {
    bank *bench = *state;
    static const char *const texts[] = {"c", "h", "n", "b"};
    static const uint32_t quanta[] = {128, 64, 32, 8};
    uint64_t records[4];
    for (int i = 0; i < 4; i++)
        bank_add_started(bench, texts[i], (tv_class)i, 3);
    run_cycles(bench, texts, 50, records);
    for (int i = 0; i < 4; i++)
        assert_ratio(records[i], 50, quanta[i], 0.04); // the first cycle is cut somewhere
}

// Rings that wrap in the middle of a batch, small batches, different lengths: none of it costs a flow its share.
static void share_is_the_same_whatever_batches_the_records_come_in(void **state) {
    bank *bench = *state;
    static const char *const texts[] = {"a text of another length than the others'", "normal"};
    uint64_t records[2];
    bank_line *critical = bank_add(bench, "critical", TV_CLASS_CRITICAL, 5);
    bank_line *normal = bank_add(bench, "normal", TV_CLASS_NORMAL, 2);
    for (int i = 0; i < 5; i++) {
        critical->stages[i].batch_records_max = (uint32_t[]){128, 7, 100, 3, 31}[i];
        critical->edges[i + 1].capacity_bytes = 8192; // less than a quantum of it
    }
    critical->edges[5].capacity_bytes = 64 << 10;
    normal->stages[1].batch_records_max = 1;
    bank_start(bench, critical);
    bank_start(bench, normal);
    run_cycles(bench, texts, 100, records);
    assert_ratio(records[0], records[1], 4, 0.02);
}

static void share_holds_with_records_of_five_microseconds(void **state) {
    bank *bench = *state;
    static const char *const texts[] = {"!A5;e0:critical;", "!A5;e0:normal;"};
    uint64_t records[2];
    bank_add_started(bench, "critical", TV_CLASS_CRITICAL, 2);
    bank_add_started(bench, "normal", TV_CLASS_NORMAL, 2);
    run_cycles(bench, texts, 100, records);
    assert_ratio(records[0], records[1], 4, 0.02);
}

static void share_holds_with_calls_of_two_milliseconds(void **state) {
    bank *bench = *state;
    static const char *const texts[] = {"!A20;e0:critical;", "!A2000;e0:normal;"};
    uint64_t records[2];
    bank_add_started(bench, "critical", TV_CLASS_CRITICAL, 2);
    bank_add_started(bench, "normal", TV_CLASS_NORMAL, 2);
    run_cycles(bench, texts, 30, records);
    assert_ratio(records[0], records[1], 4, 0.05);
}

static void quantum_can_be_set_while_it_runs(void **state) {
    bank *bench = *state;
    static const char *const texts[] = {"one", "two"};
    uint64_t records[2];
    bank_line *one = bank_add_started(bench, "one", TV_CLASS_NORMAL, 1);
    bank_add_started(bench, "two", TV_CLASS_NORMAL, 1);
    run_cycles(bench, texts, 20, records);
    assert_ratio(records[0], records[1], 1, 0.05);
    tv_flow_settings settings = {.fields = TV_SET_QUANTUM, .quantum_records = 96};
    assert_int_equal(tv_flow_set(one->flow, &settings, &bench->error), TV_OK);
    run_cycles(bench, texts, 20, records);
    assert_ratio(records[0], records[1], 3, 0.05);
}

// ---- time ---------------------------------------------------------------------------------------------------

static void batches_are_as_long_as_the_turn_allows(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add_started(bench, "dear", TV_CLASS_CRITICAL, 1);
    bank_fill(line, "!A100;e0:x;"); // 100 us a record, 20 in a turn
    bank_step(bench, 0);            // the first batch shows it
    while (tv_channel_queued(line->channels[0]) > 40) {
        int64_t begin_ns = bench->now_ns;
        bank_step(bench, 0);
        assert_in_range(bench->now_ns - begin_ns, 1, 2 * MS_NS + 10 * US_NS); // the clock moves when it is read, too
        bank_take(line);
    }
}

static void turns_of_a_set_length_are_so_long(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add(bench, "short", TV_CLASS_NORMAL, 2);
    line->spec.turn_ns = 300 * US_NS;
    bank_start(bench, line);
    bank_fill(line, "!A20;e0:x;");
    bank_step(bench, 0);
    for (int i = 0; i < 20; i++) {
        int64_t begin_ns = bench->now_ns;
        bank_step(bench, 0);
        assert_in_range(bench->now_ns - begin_ns, 1, 320 * US_NS);
    }
}

// 50 ms a record: 32 of them would keep its class waiting for 1.6 s.
static void flow_that_uses_up_its_time_loses_the_rest_of_its_quantum(void **state) {
    bank *bench = *state;
    static const char *const texts[] = {"!A50;e0:slow;", "quick"};
    uint64_t records[2];
    bench->cost_ns = MS_NS;
    bank_line *slow = bank_add_started(bench, "slow", TV_CLASS_NORMAL, 1);
    bank_line *quick = bank_add_started(bench, "quick", TV_CLASS_NORMAL, 1);
    run_cycles(bench, texts, 20, records);
    assert_in_range(records[0], 19 * 10, 21 * 10);
    assert_in_range(records[1], 19 * 32, 21 * 32);
    assert_in_range(bank_stats(slow).cycles_cut, 20, 30);
    assert_int_equal(bank_stats(quick).cycles_cut, 0);
}

static void paused_in_the_middle_of_a_pass_it_rests(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add_started(bench, "cut", TV_CLASS_NORMAL, 3);
    bank_fill(line, "!A3000;e0:x;"); // longer than the turn: the pass is cut behind the first stage
    bank_step(bench, 0);
    assert_int_not_equal(line->flow->next_stage, 0);
    tv_flow_pause(line->flow);
    bank_run(bench);
    assert_int_equal(bank_take(line), 0);
    tv_flow_resume(line->flow);
    bank_run(bench);
    assert_true(bank_take(line) > 0);
}

// One that emits at each tv_resume for ever leaves the cycle like any other.
static void endless_output_does_not_hold_the_cycle_up(void **state) {
    bank *bench = *state;
    bank_line *endless = bank_add(bench, "endless", TV_CLASS_CRITICAL, 1);
    bank_config(endless, 0, "on_resume", "e0:more;m1;");
    endless->edges[1].overflow = TV_OVERFLOW_DROP_NEWEST;
    bank_start(bench, endless);
    bank_line *quick = bank_add_started(bench, "quick", TV_CLASS_BACKGROUND, 1);
    bank_push(endless, "!m1;");
    bank_push(quick, "record");
    for (int i = 0; i < 5; i++)
        bank_step(bench, 0);
    assert_int_equal(bank_take(quick), 1);
    assert_true(bank_take(endless) > 100);
}

static const struct CMUnitTest tests[] = {
    bank_test(each_class_gets_its_quantum_in_each_cycle),
    bank_test(share_is_the_same_whatever_batches_the_records_come_in),
    bank_test(share_holds_with_records_of_five_microseconds),
    bank_test(share_holds_with_calls_of_two_milliseconds),
    bank_test(quantum_can_be_set_while_it_runs),
    bank_test(batches_are_as_long_as_the_turn_allows),
    bank_test(turns_of_a_set_length_are_so_long),
    bank_test(flow_that_uses_up_its_time_loses_the_rest_of_its_quantum),
    bank_test(paused_in_the_middle_of_a_pass_it_rests),
    bank_test(endless_output_does_not_hold_the_cycle_up),
};

static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
