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
    uint64_t begin = worker->fair.cycles;
    while (worker->fair.cycles < begin + 3) // costs are known and queues filled by then
        saturate(bench, texts, 1);
    for (uint32_t i = 0; i < bench->line_count; i++) {
        bank_take(&bench->lines[i]);
        records[i] = bench->lines[i].taken;
    }
    begin = worker->fair.cycles;
    while (worker->fair.cycles < begin + cycles)
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

// ---- time -----------------------------------------------------------------------------------------------------

static const char *const *run_texts;

static void keep_full(bank *bench) {
    for (uint32_t k = 0; k < bench->line_count; k++) {
        bank_fill(&bench->lines[k], run_texts[k]);
        bank_take(&bench->lines[k]);
    }
}

typedef struct had {
    uint64_t records;
    int64_t busy_ns;
} had;

static had had_by(bank_line *line) {
    tv_stage_stats stats;
    tv_flow_stage_stats(line->flow, 0, &stats);
    return (had){stats.popped, stats.busy_ns};
}

// What each line had in that time, after some in which costs become known and dear first batches are made up for.
static void run_saturated(bank *bench, const char *const *texts, int64_t ns, had *out) {
    run_texts = texts;
    bank_run_for(bench, 5000 * MS_NS, keep_full);
    for (uint32_t i = 0; i < bench->line_count; i++)
        out[i] = had_by(&bench->lines[i]);
    bank_run_for(bench, ns, keep_full);
    for (uint32_t i = 0; i < bench->line_count; i++) {
        had now = had_by(&bench->lines[i]);
        out[i] = (had){now.records - out[i].records, now.busy_ns - out[i].busy_ns};
    }
}

static void class_with_cheaper_records_gets_its_share_of_the_time(void **state) {
    bank *bench = *state;
    static const char *const texts[] = {"!A20;e0:critical;", "!A2000;e0:normal;", "!A8000;e0:background;"};
    had got[3];
    bank_add_started(bench, "critical", TV_CLASS_CRITICAL, 1);
    bank_add_started(bench, "normal", TV_CLASS_NORMAL, 1);
    bank_add_started(bench, "background", TV_CLASS_BACKGROUND, 1);
    run_saturated(bench, texts, 10000 * MS_NS, got);
    assert_ratio((uint64_t)got[0].busy_ns, (uint64_t)got[1].busy_ns, 4, 0.05);
    assert_ratio((uint64_t)got[1].busy_ns, (uint64_t)got[2].busy_ns, 4, 0.1);
    assert_true(got[0].records > 4 * got[1].records);
}

// Four times the records, whatever that takes; the others keep their share of records in each second.
static void class_with_dearer_records_gets_its_share_of_the_records(void **state) {
    bank *bench = *state;
    static const char *const texts[] = {"!A4000;e0:critical;", "!A4000;e0:critical;", "!A5;e0:normal;"};
    had got[3];
    bank_add_started(bench, "one", TV_CLASS_CRITICAL, 1);
    bank_add_started(bench, "two", TV_CLASS_CRITICAL, 1);
    bank_add_started(bench, "normal", TV_CLASS_NORMAL, 1);
    run_saturated(bench, texts, 20000 * MS_NS, got);
    assert_ratio(got[0].records, got[2].records, 4, 0.1);
    for (int second = 0; second < 5; second++) {
        uint64_t before = had_by(&bench->lines[2]).records;
        bank_run_for(bench, 1000 * MS_NS, keep_full);
        assert_true(had_by(&bench->lines[2]).records > before);
    }
}

static void flows_of_a_class_are_equal_in_time(void **state) {
    bank *bench = *state;
    static const char *const texts[] = {"!A50000;e0:slow;", "!A4000;e0:less slow;", "!A10;e0:quick;"};
    had got[3];
    bank_line *slow = bank_add_started(bench, "slow", TV_CLASS_NORMAL, 1);
    bank_add_started(bench, "less slow", TV_CLASS_NORMAL, 1);
    bank_line *quick = bank_add_started(bench, "quick", TV_CLASS_NORMAL, 1);
    run_saturated(bench, texts, 10000 * MS_NS, got);
    assert_ratio((uint64_t)got[0].busy_ns, (uint64_t)got[2].busy_ns, 1, 0.05);
    assert_ratio((uint64_t)got[1].busy_ns, (uint64_t)got[2].busy_ns, 1, 0.05);
    assert_true(bank_stats(slow).cycles_cut > 0); // 32 of its records take longer than a flow may
    assert_int_equal(bank_stats(quick).cycles_cut, 0);
}

static int64_t fed_at_ns, longest_ns;

// One record at a time, a millisecond after the last has come out; and how long each took.
static void feed_neighbour(bank *bench) {
    bank_line *neighbour = &bench->lines[2];
    bank_fill(&bench->lines[0], "!A4000;e0:hog;");
    bank_fill(&bench->lines[1], "!A4000;e0:hog;");
    bank_take(&bench->lines[0]);
    bank_take(&bench->lines[1]);
    if (bank_take(neighbour) && bench->now_ns - fed_at_ns > longest_ns) longest_ns = bench->now_ns - fed_at_ns;
    if (tv_channel_queued(neighbour->channels[0]) || bench->now_ns - fed_at_ns < MS_NS) return;
    bank_push(neighbour, "!A20;e0:quick;");
    fed_at_ns = bench->now_ns;
}

static void quick_flow_waits_for_one_record_of_each_slow_neighbour(void **state) {
    bank *bench = *state;
    for (int i = 0; i < 3; i++)
        bank_add_started(bench, "line", TV_CLASS_CRITICAL, 1);
    fed_at_ns = longest_ns = 0;
    bank_run_for(bench, 1000 * MS_NS, feed_neighbour); // costs become known
    longest_ns = 0;
    bank_run_for(bench, 5000 * MS_NS, feed_neighbour);
    assert_in_range(longest_ns, 1, 13 * MS_NS);
}

// What was not used for long is not made up for.
static void class_that_was_idle_does_not_keep_others_waiting(void **state) {
    bank *bench = *state;
    static const char *const texts[] = {"!A20;e0:critical;", "!A20;e0:normal;"};
    bank_line *critical = bank_add_started(bench, "critical", TV_CLASS_CRITICAL, 1);
    bank_line *normal = bank_add_started(bench, "normal", TV_CLASS_NORMAL, 1);
    run_texts = texts;
    bench->line_count = 2;
    tv_flow_pause(critical->flow);
    bank_run_for(bench, 5000 * MS_NS, keep_full);
    uint64_t before = had_by(normal).records;
    tv_flow_resume(critical->flow);
    bank_run_for(bench, 50 * MS_NS, keep_full);
    assert_true(had_by(normal).records - before > 50 * MS_NS / (20 * US_NS) / 8); // a fifth is its share
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

// ---- turns ----------------------------------------------------------------------------------------------------

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
    bank_test(quantum_can_be_set_while_it_runs),
    bank_test(class_with_cheaper_records_gets_its_share_of_the_time),
    bank_test(class_with_dearer_records_gets_its_share_of_the_records),
    bank_test(flows_of_a_class_are_equal_in_time),
    bank_test(quick_flow_waits_for_one_record_of_each_slow_neighbour),
    bank_test(class_that_was_idle_does_not_keep_others_waiting),
    bank_test(batches_are_as_long_as_the_turn_allows),
    bank_test(turns_of_a_set_length_are_so_long),
    bank_test(paused_in_the_middle_of_a_pass_it_rests),
    bank_test(endless_output_does_not_hold_the_cycle_up),
};

static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
