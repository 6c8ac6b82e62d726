// Limits of a flow beyond its class: CPU time a second, rates of its sources, demotion. Time is virtual.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/testing/bank.h"

#define MS_NS     1000000ll
#define SECOND_NS 1000000000ll

static const char *text;

static void keep_full(bank *bench) {
    for (uint32_t i = 0; i < bench->line_count; i++) {
        bank_fill(&bench->lines[i], text);
        bank_take(&bench->lines[i]);
    }
}

static bank_line *start_limited(bank *bench, uint32_t stages, const tv_flow_spec *limits) {
    bank_line *line = bank_add(bench, "limited", TV_CLASS_NORMAL, stages);
    line->spec.cpu_per_s_ns = limits->cpu_per_s_ns;
    line->spec.rate_records_per_s = limits->rate_records_per_s;
    line->spec.rate_bytes_per_s = limits->rate_bytes_per_s;
    line->spec.rate_burst_ns = limits->rate_burst_ns;
    bank_start(bench, line);
    return line;
}

// ---- CPU ----------------------------------------------------------------------------------------------------

static void cpu_time_a_second_is_held(void **state) {
    bank *bench = *state;
    text = "!A1000;e0:x;"; // 1 ms
    bank_line *line = start_limited(bench, 1, &(tv_flow_spec){.cpu_per_s_ns = 250 * MS_NS});
    bank_run_for(bench, 20 * SECOND_NS, keep_full);
    // 250 a second, what was saved up in the first second, and what the last turn owes
    assert_in_range(line->taken, 20 * 250, 20 * 250 + 250 + 3);
    tv_flow_stats stats = bank_stats(line);
    assert_true(stats.throttles[TV_THROTTLE_CPU] > 100);
    assert_in_range(stats.throttled_ns[TV_THROTTLE_CPU], 14 * SECOND_NS, 15 * SECOND_NS);
    tv_worker_stats worker;
    tv_runtime_worker_stats(bench->runtime, 0, &worker);
    assert_int_equal(worker.throttles, stats.throttles[TV_THROTTLE_CPU]);
}

static void throttled_flow_leaves_the_time_to_others(void **state) {
    bank *bench = *state;
    text = "!A1000;e0:x;";
    bank_line *limited = start_limited(bench, 1, &(tv_flow_spec){.cpu_per_s_ns = 100 * MS_NS});
    bank_line *free_one = bank_add_started(bench, "free", TV_CLASS_BACKGROUND, 1);
    bank_run_for(bench, 10 * SECOND_NS, keep_full);
    assert_in_range(limited->taken, 1000, 1110);
    assert_in_range(free_one->taken, 8850, 9010);
}

// ---- rates --------------------------------------------------------------------------------------------------

static void records_a_second_are_held(void **state) {
    bank *bench = *state;
    text = "record";
    bank_line *line = start_limited(bench, 3, &(tv_flow_spec){.rate_records_per_s = 100});
    bank_run_for(bench, 20 * SECOND_NS, keep_full);
    assert_in_range(line->taken, 2000, 2000 + 100 + 1);
    assert_true(tv_channel_paused(line->channels[0])); // its source waits
    assert_true(bank_stats(line).throttles[TV_THROTTLE_RATE] > 0);
    assert_true(bank_stats(line).throttled_ns[TV_THROTTLE_RATE] > 15 * SECOND_NS);
}

static void burst_is_what_was_saved_up(void **state) {
    bank *bench = *state;
    text = "record";
    bank_line *line = start_limited(bench, 1, &(tv_flow_spec){.rate_records_per_s = 1000, .rate_burst_ns = 50 * MS_NS});
    bank_run(bench);
    bank_advance(bench, 10 * SECOND_NS);
    bank_fill(line, text);
    bank_run(bench);
    assert_in_range(bank_take(line), 50, 51);
}

static void bytes_a_second_are_held(void **state) {
    enum { RECORD_BYTES = 56 }; // header and padded payload
    bank *bench = *state;
    text = "record";
    bank_line *line = start_limited(bench, 2, &(tv_flow_spec){.rate_bytes_per_s = 100 * RECORD_BYTES});
    bank_run_for(bench, 20 * SECOND_NS, keep_full);
    assert_in_range(line->taken, 2000, 2000 + 100 + 128); // and the batch that owes the most
}

static void rates_of_any_size_do_not_overflow(void **state) {
    bank *bench = *state;
    text = "record";
    bank_line *line = start_limited(
        bench, 1,
        &(tv_flow_spec){.rate_records_per_s = UINT64_MAX, .rate_bytes_per_s = UINT64_MAX, .rate_burst_ns = 1});
    bank_line *least =
        start_limited(bench, 1, &(tv_flow_spec){.rate_records_per_s = 1, .rate_burst_ns = 3600 * SECOND_NS});
    uint32_t pushed = bank_fill(line, text);
    bank_fill(least, text);
    bank_run(bench);
    assert_int_equal(bank_take(line), pushed);
    assert_true(bank_take(least) > 0);
}

static void limits_can_be_set_and_lifted_while_it_runs(void **state) {
    bank *bench = *state;
    text = "record";
    bank_line *line = bank_add_started(bench, "one", TV_CLASS_NORMAL, 1);
    bank_run(bench);
    tv_flow_settings settings = {.fields = TV_SET_RATE | TV_SET_CPU,
                                 .rate_records_per_s = 10,
                                 .rate_burst_ns = 100 * MS_NS,
                                 .cpu_per_s_ns = SECOND_NS};
    assert_int_equal(tv_flow_set(line->flow, &settings, &bench->error), TV_OK);
    assert_int_equal(tv_flow_set(line->flow, &settings, &bench->error), TV_OK);
    bank_run_for(bench, 10 * SECOND_NS, keep_full);
    assert_in_range(line->taken, 99, 103);
    assert_int_equal(bank_stats(line).throttled, TV_THROTTLE_RATE);
    settings = (tv_flow_settings){.fields = TV_SET_RATE};
    assert_int_equal(tv_flow_set(line->flow, &settings, &bench->error), TV_OK);
    bank_run(bench);
    assert_true(bank_take(line) > 500);
    assert_int_equal(bank_stats(line).throttled, TV_THROTTLE_NONE);
}

static void limits_out_of_range_are_refused(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add_started(bench, "one", TV_CLASS_NORMAL, 1);
    const tv_flow_settings wrong[] = {
        {.fields = TV_SET_CPU, .cpu_per_s_ns = -1},   {.fields = TV_SET_CPU, .cpu_per_s_ns = SECOND_NS + 1},
        {.fields = TV_SET_RATE, .rate_burst_ns = -1}, {.fields = TV_SET_RATE, .rate_burst_ns = 3600 * SECOND_NS + 1},
        {.fields = TV_SET_CYCLE, .cycle_ns = 9999},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(tv_flow_set(line->flow, &wrong[i], &bench->error), TV_INVALID);
}

static void throttled_flow_can_be_paused_drained_and_removed(void **state) {
    bank *bench = *state;
    text = "record";
    bank_line *line = start_limited(bench, 2, &(tv_flow_spec){.rate_records_per_s = 10, .rate_burst_ns = MS_NS});
    bank_line *other = start_limited(bench, 2, &(tv_flow_spec){.rate_records_per_s = 10, .rate_burst_ns = MS_NS});
    for (int i = 0; i < 5; i++)
        bank_push(line, text);
    bank_fill(other, text);
    bank_run(bench);
    tv_flow_pause(line->flow);
    bank_run(bench);
    tv_flow_resume(line->flow);
    bank_remove(other, TV_REMOVE_NOW);
    tv_channel_end(line->channels[0]);
    bank_run(bench);
    assert_int_equal(other->removed, 1);
    bank_free_line(bench, other);
    bank_run_for(bench, SECOND_NS, NULL);
    assert_int_equal(tv_flow_get_state(line->flow), TV_FLOW_ENDED);
    assert_int_equal(bank_take(line), 5);
}

// ---- what waits for a rate, and what does not ---------------------------------------------------------------

static void timer_of_a_source_that_waits_fires_on_time(void **state) {
    rig *bench = *state;
    rig_line(bench);
    bench->spec.rate_bytes_per_s = 100; // one record is a debt of seconds
    bench->spec.rate_burst_ns = MS_NS;
    rig_config(bench, RIG_STAGE, "on_tick", "e0:tick;");
    rig_start(bench);
    rig_push(bench, RIG_IN, "!s100000000;e0:first;"); // in 100 ms
    for (int i = 0; i < 100; i++)
        rig_push(bench, RIG_IN, "another of them");
    rig_run(bench);
    assert_non_null(strstr(rig_take(bench, RIG_OUT), "first"));
    uint64_t queued = rig_edge_stats(bench, 0).queued;
    rig_advance(bench, 99 * MS_NS);
    assert_string_equal(rig_take(bench, RIG_OUT), "");
    rig_advance(bench, MS_NS);
    assert_string_equal(rig_take(bench, RIG_OUT), "tick");
    assert_true(queued > 0);
    assert_int_equal(rig_edge_stats(bench, 0).queued, queued);
}

static void source_that_has_nothing_left_closes_whatever_is_owed(void **state) {
    rig *bench = *state;
    rig_line(bench);
    bench->spec.rate_bytes_per_s = 1;
    bench->spec.rate_burst_ns = MS_NS;
    rig_start(bench);
    rig_push(bench, RIG_IN, "only");
    rig_run(bench);
    rig_end(bench, RIG_IN);
    rig_run(bench);
    assert_int_equal(rig_state(bench), TV_FLOW_ENDED);
    assert_string_equal(rig_take(bench, RIG_OUT), "only");
}

static void sources_share_the_rate_of_their_flow(void **state) {
    enum { SECONDS = 20, PER_S = 100 };
    rig *bench = *state;
    uint64_t taken[2];
    for (int i = 0; i < 2; i++) {
        uint16_t stage = rig_stage(bench, i ? "second" : "first");
        rig_edge(bench, (uint16_t)(TV_NODE_CHANNEL | rig_channel(bench, i ? "b" : "a", TV_INPUT)), 0, stage);
        rig_edge(bench, stage, 0, (uint16_t)(TV_NODE_CHANNEL | rig_channel(bench, i ? "d" : "c", TV_OUTPUT)));
    }
    bench->spec.rate_records_per_s = PER_S;
    bench->spec.rate_burst_ns = 10 * MS_NS;
    rig_start(bench);
    for (int ms = 0; ms < SECONDS * 1000; ms += 10) {
        for (uint16_t channel = 0; channel < 4; channel++) {
            if (channel % 2 == 0)
                while (rig_try_push(bench, TV_NODE_CHANNEL | channel, "record") == TV_OK)
                    ;
            else
                (void)rig_take(bench, TV_NODE_CHANNEL | channel);
        }
        rig_advance(bench, 10 * MS_NS);
    }
    for (size_t i = 0; i < 2; i++)
        taken[i] = rig_edge_stats(bench, 2 * i).popped;
    assert_in_range(taken[0] + taken[1], SECONDS * PER_S, SECONDS * PER_S + 3);
    assert_in_range(taken[0], SECONDS * PER_S / 2 - 3, SECONDS * PER_S / 2 + 3);
}

// ---- demotion -----------------------------------------------------------------------------------------------

static bank_line *start_offender(bank *bench) {
    bench->ticks = true;
    bank_line *line = bank_add(bench, "offender", TV_CLASS_CRITICAL, 1);
    line->stages[0].cpu_record_ns = 5 * MS_NS;
    bank_start(bench, line);
    return line;
}

static void offend(bank *bench, bank_line *line) {
    bank_push(line, "!A20000;");
    bank_run(bench);
}

static void critical_flow_that_loops_is_normal_for_five_minutes(void **state) {
    bank *bench = *state;
    bank_line *line = start_offender(bench);
    offend(bench, line);
    offend(bench, line);
    assert_int_equal(bank_stats(line).class, TV_CLASS_CRITICAL);
    offend(bench, line);
    tv_flow_stats stats = bank_stats(line);
    assert_int_equal(stats.class, TV_CLASS_NORMAL);
    assert_int_equal(stats.quantum_records, 32);
    assert_true(stats.demoted);
    assert_int_equal(stats.demotions, 1);
    bank_advance(bench, 299 * SECOND_NS);
    bank_push(line, "good");
    bank_run(bench);
    assert_int_equal(bank_stats(line).class, TV_CLASS_NORMAL);
    bank_advance(bench, 2 * SECOND_NS);
    bank_push(line, "good");
    bank_run(bench);
    stats = bank_stats(line);
    assert_int_equal(stats.class, TV_CLASS_CRITICAL);
    assert_int_equal(stats.quantum_records, 128);
    assert_false(stats.demoted);
}

static void offences_a_minute_apart_do_not_demote(void **state) {
    bank *bench = *state;
    bank_line *line = start_offender(bench);
    for (int i = 0; i < 6; i++) {
        offend(bench, line);
        bank_advance(bench, 31 * SECOND_NS);
    }
    assert_int_equal(bank_stats(line).class, TV_CLASS_CRITICAL);
    assert_int_equal(bank_stats(line).demotions, 0);
}

static void demoted_flow_keeps_to_it_whatever_class_is_set(void **state) {
    bank *bench = *state;
    bank_line *line = start_offender(bench);
    for (int i = 0; i < 3; i++)
        offend(bench, line);
    tv_flow_settings settings = {.fields = TV_SET_CLASS, .class = TV_CLASS_CRITICAL};
    assert_int_equal(tv_flow_set(line->flow, &settings, &bench->error), TV_OK);
    bank_run(bench);
    assert_int_equal(bank_stats(line).class, TV_CLASS_NORMAL);
    settings.class = TV_CLASS_BACKGROUND;
    assert_int_equal(tv_flow_set(line->flow, &settings, &bench->error), TV_OK);
    bank_run(bench);
    assert_int_equal(bank_stats(line).class, TV_CLASS_BACKGROUND);
}

static const struct CMUnitTest tests[] = {
    bank_test(cpu_time_a_second_is_held),
    bank_test(throttled_flow_leaves_the_time_to_others),
    bank_test(records_a_second_are_held),
    bank_test(burst_is_what_was_saved_up),
    bank_test(bytes_a_second_are_held),
    bank_test(rates_of_any_size_do_not_overflow),
    bank_test(limits_can_be_set_and_lifted_while_it_runs),
    bank_test(limits_out_of_range_are_refused),
    bank_test(throttled_flow_can_be_paused_drained_and_removed),
    rig_test(timer_of_a_source_that_waits_fires_on_time),
    rig_test(source_that_has_nothing_left_closes_whatever_is_owed),
    rig_test(sources_share_the_rate_of_their_flow),
    bank_test(critical_flow_that_loops_is_normal_for_five_minutes),
    bank_test(offences_a_minute_apart_do_not_demote),
    bank_test(demoted_flow_keeps_to_it_whatever_class_is_set),
};

static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
