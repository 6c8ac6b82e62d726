// Output and room: MORE and resume, FULL, back-pressure up to the channel, overflow policies with counted drops, sizes.
#include "flow/testing/test_rig.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TINY_BYTES = 4096, TINY_RECORD_BYTES = 512 };

// An output channel as small as channels get.
static void make_tiny(rig *bench, uint16_t channel, size_t edge) {
    rig_options(bench, channel)->capacity_bytes = TINY_BYTES;
    rig_options(bench, channel)->record_bytes_max = TINY_RECORD_BYTES;
    bench->edges[edge].capacity_bytes = TINY_BYTES;
    bench->edges[edge].record_bytes_max = TINY_RECORD_BYTES;
}

// ---- MORE and resume ----------------------------------------------------------------------------------------

static void much_output_of_one_record_passes_a_tiny_queue(void **state) {
    rig *bench = *state;
    rig_line(bench);
    make_tiny(bench, RIG_OUT, 1);
    rig_start(bench);
    rig_push(bench, RIG_IN, "!n0:1000;");
    rig_push(bench, RIG_IN, "behind");
    int next = 0;
    for (int round = 0; round < 1000 && next < 1000; round++) {
        rig_run(bench);
        char *rest = NULL, *text = (char *)(uintptr_t)rig_take_some(bench, RIG_OUT, 7);
        assert_true(text[0] != 0);
        for (char *word = strtok_r(text, "|", &rest); word && next < 1000; word = strtok_r(NULL, "|", &rest))
            assert_int_equal(atoi(word), next++);
    }
    assert_int_equal(next, 1000);
    rig_run(bench);
    const char *tail = rig_take(bench, RIG_OUT);
    assert_true(strcmp(tail, "behind") == 0 || tail[0] == 0); // perhaps it came with the last seven
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).processed, 2);
    assert_int_equal(rig_edge_stats(bench, 1).popped, 1001);
}

static void tiny_queue_between_two_stages_holds_up_neither_order_nor_count(void **state) {
    rig *bench = *state;
    uint16_t in = rig_channel(bench, "in", TV_INPUT), out = rig_channel(bench, "out", TV_OUTPUT);
    uint16_t first = rig_stage(bench, "first"), second = rig_stage(bench, "second");
    rig_edge(bench, in, 0, first);
    tv_edge_spec *between = rig_edge(bench, first, 0, second);
    between->capacity_bytes = TINY_BYTES;
    between->record_bytes_max = TINY_RECORD_BYTES;
    between->capacity_records = 2;
    rig_edge(bench, second, 0, out);
    rig_start(bench);
    for (int i = 0; i < 50; i++)
        rig_push(bench, in, "!n0:3;");
    rig_run(bench);
    assert_int_equal(rig_stage_stats(bench, second).processed, 150);
    for (int i = 0; i < 50; i++)
        assert_string_equal(rig_take_some(bench, out, 3), "0|1|2");
}

static void output_held_back_at_close_comes_before_the_end(void **state) {
    rig *bench = *state;
    rig_line(bench);
    make_tiny(bench, RIG_OUT, 1);
    rig_config(bench, RIG_STAGE, "on_close", "n0:200;");
    rig_start(bench);
    rig_end(bench, RIG_IN);
    int records = 0;
    while (rig_state(bench) != TV_FLOW_ENDED) {
        rig_run(bench);
        assert_true(rig_front(bench, RIG_OUT) || rig_state(bench) == TV_FLOW_ENDED);
        while (rig_front(bench, RIG_OUT)) {
            rig_take_some(bench, RIG_OUT, 1);
            records++;
        }
    }
    assert_int_equal(records, 200);
}

static void more_without_resume_is_a_failure(void **state) {
    rig *bench = *state;
    rig_line(bench);
    bench->stages[RIG_STAGE].module = rig_puppet_bare();
    rig_start(bench);
    rig_push(bench, RIG_IN, "!e0:kept;m1;");
    rig_push(bench, RIG_IN, "b");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "b");
    assert_non_null(strstr(rig_dead_letters(bench), "tv_resume"));
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).faults_by_reason[TV_FAULT_RESULT], 1);
}

static void start_limited(rig *bench) {
    rig_line(bench);
    bench->stages[RIG_STAGE].output_records_max = 5;
    bench->stages[RIG_STAGE].restart.limit = 100;
    rig_start(bench);
}

static void output_for_a_record_within_its_limit_is_taken(void **state) {
    rig *bench = *state;
    start_limited(bench);
    rig_push(bench, RIG_IN, "!e0:a;e0:a;e0:a;e0:a;e0:a;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "a|a|a|a|a");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).faults, 0);
}

static void one_record_more_for_a_record_is_its_failure(void **state) {
    rig *bench = *state;
    start_limited(bench);
    rig_push(bench, RIG_IN, "!e0:a;e0:a;e0:a;e0:a;e0:a;e0:a;");
    rig_run(bench);
    tv_stage_stats stats = rig_stage_stats(bench, RIG_STAGE);
    assert_string_equal(rig_take(bench, RIG_OUT), "");
    assert_int_equal(stats.faults_by_reason[TV_FAULT_OUTPUT], 1);
    assert_int_equal(stats.dead_lettered, 1);
    assert_non_null(strstr(rig_dead_letters(bench), "output_limit"));
}

// The queue behind holds fewer than what waits inside: the rest comes by tv_resume.
static void more_that_does_not_end_is_ended_by_the_limit(void **state) {
    rig *bench = *state;
    static char script[2048] = "!";
    rig_line(bench);
    rig_options(bench, RIG_OUT)->capacity_records = 4;
    bench->stages[RIG_STAGE].output_records_max = 10;
    for (int i = 0; i < 20; i++)
        strcat(script, "e0:a;");
    rig_start(bench);
    rig_push(bench, RIG_IN, script);
    uint32_t taken = 0;
    for (int round = 0; round < 20; round++) {
        rig_run(bench);
        for (const char *at = rig_take(bench, RIG_OUT); (at = strchr(at, 'a')) != NULL; at++)
            taken++;
    }
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).faults_by_reason[TV_FAULT_OUTPUT], 1);
    assert_in_range(taken, 1, 10);
    rig_push(bench, RIG_IN, "b");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "b");
}

static void more_for_ever_without_output_is_a_failure(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    rig_push(bench, RIG_IN, "!m1000000;");
    rig_push(bench, RIG_IN, "b");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "b");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).faults_by_reason[TV_FAULT_RESULT], 1);
}

// ---- back-pressure ------------------------------------------------------------------------------------------

static void stage_is_not_called_without_room_for_its_output(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_options(bench, RIG_OUT)->capacity_records = 1;
    bench->edges[1].capacity_records = 1;
    rig_start(bench);
    rig_push(bench, RIG_IN, "a");
    rig_run(bench);
    uint64_t calls = rig_stage_stats(bench, RIG_STAGE).calls;
    rig_push(bench, RIG_IN, "b");
    rig_run(bench);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).calls, calls);
    assert_string_equal(rig_take(bench, RIG_OUT), "a");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "b");
}

static void blocked_output_pauses_the_source_and_room_lets_it_go_on(void **state) {
    rig *bench = *state;
    rig_line(bench);
    make_tiny(bench, RIG_OUT, 1);
    make_tiny(bench, RIG_IN, 0);
    rig_start(bench);
    uint32_t pushed = 0, taken = 0;
    while (rig_try_push(bench, RIG_IN, "12345678") == TV_OK) {
        pushed++;
        rig_run(bench);
        assert_true(pushed < 1000);
    }
    assert_true(tv_channel_paused(bench->channels[0]));
    uint32_t wakes = bench->wakes;
    while (tv_channel_paused(bench->channels[0])) {
        assert_string_equal(rig_take_some(bench, RIG_OUT, 1), "12345678");
        taken++;
        rig_run(bench);
        assert_true(taken < 1000);
    }
    assert_true(bench->wakes > wakes);
    tv_edge_stats in = rig_edge_stats(bench, 0);
    assert_true(in.queued_bytes <= TINY_BYTES / 2);
    assert_int_equal(rig_try_push(bench, RIG_IN, "12345678"), TV_OK);
    for (rig_run(bench); rig_take_some(bench, RIG_OUT, 1)[0]; rig_run(bench))
        taken++;
    assert_int_equal(taken, pushed + 1);
}

static void pause_and_resume_marks_are_kept(void **state) {
    rig *bench = *state;
    rig_line(bench);
    make_tiny(bench, RIG_IN, 0);
    rig_options(bench, RIG_OUT)->capacity_records = 1;
    bench->edges[1].capacity_records = 1;
    rig_options(bench, RIG_IN)->pause_percent = 75;
    rig_options(bench, RIG_IN)->resume_percent = 25;
    rig_start(bench);
    rig_push(bench, RIG_IN, "first"); // blocks the output
    rig_run(bench);
    uint32_t pushed = 0;
    while (rig_try_push(bench, RIG_IN, "12345678") == TV_OK)
        pushed++;
    assert_int_equal(pushed * 56 / 56, (TINY_BYTES * 3 / 4 + 55) / 56);
    uint32_t queued = pushed;
    while (tv_channel_paused(bench->channels[0])) {
        rig_take(bench, RIG_OUT);
        rig_run(bench);
        queued--;
    }
    assert_true(queued * 56 <= TINY_BYTES / 4);
    assert_true((queued + 1) * 56 > TINY_BYTES / 4);
}

static void released_follows_what_the_flow_has_taken(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    tv_channel_want_released(bench->channels[0], true);
    rig_push(bench, RIG_IN, "a");
    rig_push(bench, RIG_IN, "b");
    assert_int_equal(tv_channel_released(bench->channels[0]), 0);
    uint32_t wakes = bench->wakes;
    rig_run(bench);
    assert_int_equal(tv_channel_released(bench->channels[0]), 2);
    assert_int_equal(tv_channel_committed(bench->channels[0]), 2);
    assert_true(bench->wakes > wakes);
}

static void one_blocked_branch_stops_the_stage_in_front_of_both(void **state) {
    rig *bench = *state;
    rig_line(bench);
    uint16_t second = rig_channel(bench, "second", TV_OUTPUT);
    rig_options(bench, second)->capacity_records = 2;
    rig_edge(bench, RIG_STAGE, 0, second)->capacity_records = 2;
    rig_start(bench);
    for (int i = 0; i < 5; i++)
        rig_push(bench, RIG_IN, "x");
    rig_run(bench);
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "x|x");
    assert_string_equal(rig_take(bench, second), "x|x");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "x|x");
}

static void timer_that_is_due_waits_for_room_without_spinning(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_options(bench, RIG_OUT)->capacity_records = 1;
    bench->edges[1].capacity_records = 1;
    rig_config(bench, RIG_STAGE, "on_tick", "e0:tick;");
    rig_start(bench);
    rig_push(bench, RIG_IN, "!s1000000;e0:blocks;");
    rig_run(bench);
    rig_advance(bench, 5000000); // would not come to rest
    assert_string_equal(rig_take(bench, RIG_OUT), "blocks");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "tick");
}

static void timer_that_sets_itself_does_not_starve_the_input(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_options(bench, RIG_OUT)->capacity_records = 1;
    bench->edges[1].capacity_records = 1;
    rig_config(bench, RIG_STAGE, "on_tick", "e0:tick;e0:tack;s1000000;");
    rig_start(bench);
    rig_push(bench, RIG_IN, "!s1000000;e0:begin;");
    rig_run(bench);
    rig_push(bench, RIG_IN, "input");
    bool seen = false;
    for (int round = 0; round < 10 && !seen; round++) { // the timer is due in each
        seen = strcmp(rig_take(bench, RIG_OUT), "input") == 0;
        rig_advance(bench, 5000000);
    }
    assert_true(seen);
}

// first's timer is due while the queue behind it is full; second empties the queue in the same turn.
static void timer_held_up_by_a_queue_inside_the_flow_runs_when_that_has_room(void **state) {
    rig *bench = *state;
    uint16_t in = rig_channel(bench, "in", TV_INPUT), out = rig_channel(bench, "out", TV_OUTPUT);
    uint16_t first = rig_stage(bench, "first"), second = rig_stage(bench, "second");
    rig_options(bench, out)->capacity_records = 1;
    rig_edge(bench, in, 0, first);
    rig_edge(bench, first, 0, second)->capacity_records = 1;
    rig_edge(bench, second, 0, out)->capacity_records = 1;
    rig_config(bench, first, "on_tick", "e0:tick;");
    rig_start(bench);
    rig_push(bench, in, "!s1000000;e0:a;");
    rig_push(bench, in, "b");
    rig_run(bench);
    rig_advance(bench, 5000000);
    assert_string_equal(rig_take(bench, out), "a");
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "b");
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "tick");
}

// ---- overflow policies --------------------------------------------------------------------------------------

static void drop_newest_keeps_what_is_queued_and_the_other_branch_goes_on(void **state) {
    rig *bench = *state;
    rig_line(bench);
    uint16_t local = rig_channel(bench, "local", TV_OUTPUT);
    rig_edge(bench, RIG_STAGE, 0, local);
    rig_options(bench, RIG_OUT)->capacity_records = 2;
    bench->edges[1].capacity_records = 2;
    bench->edges[1].overflow = TV_OVERFLOW_DROP_NEWEST;
    rig_start(bench);
    for (int i = 0; i < 5; i++)
        rig_push(bench, RIG_IN, (const char *[]){"0", "1", "2", "3", "4"}[i]);
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "0|1");
    assert_string_equal(rig_take(bench, local), "0|1|2|3|4");
    tv_edge_stats stats = rig_edge_stats(bench, 1);
    assert_int_equal(stats.pushed, 5);
    assert_int_equal(stats.dropped[TV_DROP_NEWEST], 3);
    rig_push(bench, RIG_IN, "5");
    rig_run(bench);
    assert_int_equal(rig_front(bench, RIG_OUT)->sequence, 6); // the gap shows the drops
}

// first -> (drop-oldest, 2 records) -> second -> out (1 record)
static uint16_t build_drop_oldest(rig *bench) {
    uint16_t in = rig_channel(bench, "in", TV_INPUT), out = rig_channel(bench, "out", TV_OUTPUT);
    uint16_t first = rig_stage(bench, "first"), second = rig_stage(bench, "second");
    rig_options(bench, out)->capacity_records = 1;
    rig_edge(bench, in, 0, first);
    tv_edge_spec *between = rig_edge(bench, first, 0, second);
    between->capacity_records = 2;
    between->overflow = TV_OVERFLOW_DROP_OLDEST;
    rig_edge(bench, second, 0, out)->capacity_records = 1;
    rig_start(bench);
    return out;
}

static void drop_oldest_keeps_the_newest(void **state) {
    rig *bench = *state;
    uint16_t out = build_drop_oldest(bench);
    rig_push(bench, RIG_IN, "blocks");
    rig_run(bench);
    for (int i = 0; i < 5; i++) {
        rig_push(bench, RIG_IN, (const char *[]){"0", "1", "2", "3", "4"}[i]);
        rig_run(bench);
    }
    assert_string_equal(rig_take(bench, out), "blocks");
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "3");
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "4");
    assert_int_equal(rig_edge_stats(bench, 1).dropped[TV_DROP_OLDEST], 3);
}

static void overflow_policy_error_fails_the_flow(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_options(bench, RIG_OUT)->capacity_records = 1;
    bench->edges[1].capacity_records = 1;
    bench->edges[1].overflow = TV_OVERFLOW_ERROR;
    rig_start(bench);
    rig_push(bench, RIG_IN, "a");
    rig_push(bench, RIG_IN, "b");
    rig_run(bench);
    assert_int_equal(rig_state(bench), TV_FLOW_FAILED);
    assert_non_null(strstr(tv_flow_failure(bench->flow), "stage puppet"));
    assert_int_equal(rig_edge_stats(bench, 1).dropped[TV_DROP_ERROR], 1);
}

static void overflow_by_a_record_that_then_fails_fails_the_flow_too(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_options(bench, RIG_OUT)->capacity_records = 1;
    bench->edges[1].capacity_records = 1;
    bench->edges[1].overflow = TV_OVERFLOW_ERROR;
    rig_start(bench);
    rig_push(bench, RIG_IN, "!e0:a;e0:b;T;");
    rig_run(bench);
    assert_int_equal(rig_state(bench), TV_FLOW_FAILED);
    assert_non_null(strstr(tv_flow_failure(bench->flow), "overflow"));
}

static void input_with_drop_newest_answers_full_and_counts(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_options(bench, RIG_IN)->overflow = TV_OVERFLOW_DROP_NEWEST;
    rig_options(bench, RIG_IN)->capacity_records = 2;
    rig_start(bench);
    rig_push(bench, RIG_IN, "a");
    rig_push(bench, RIG_IN, "b");
    assert_int_equal(rig_try_push(bench, RIG_IN, "c"), TV_FULL);
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "a|b");
    tv_edge_stats stats = rig_edge_stats(bench, 0);
    assert_int_equal(stats.pushed, 3);
    assert_int_equal(stats.dropped[TV_DROP_NEWEST], 1);
}

static void input_with_drop_oldest_makes_room_before_it_is_full(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_options(bench, RIG_IN)->overflow = TV_OVERFLOW_DROP_OLDEST;
    bench->edges[0].overflow = TV_OVERFLOW_DROP_OLDEST;
    rig_options(bench, RIG_IN)->capacity_records = 8;
    rig_options(bench, RIG_OUT)->capacity_records = 1;
    bench->edges[1].capacity_records = 1;
    rig_start(bench);
    rig_push(bench, RIG_IN, "blocks");
    rig_run(bench);
    char text[8];
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "%d", i);
        rig_push(bench, RIG_IN, text); // never refused
        rig_run(bench);
    }
    tv_edge_stats stats = rig_edge_stats(bench, 0);
    assert_int_equal(stats.dropped[TV_DROP_NEWEST], 0);
    assert_true(stats.dropped[TV_DROP_OLDEST] >= 42);
    char newest[8] = "";
    for (;;) {
        const char *taken = rig_take(bench, RIG_OUT);
        if (!taken[0]) break;
        snprintf(newest, sizeof newest, "%s", taken);
        rig_run(bench);
    }
    assert_string_equal(newest, "49");
}

static void input_with_policy_error_fails_the_flow(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_options(bench, RIG_IN)->overflow = TV_OVERFLOW_ERROR;
    rig_options(bench, RIG_IN)->capacity_records = 1;
    rig_start(bench);
    rig_push(bench, RIG_IN, "a");
    assert_int_equal(rig_try_push(bench, RIG_IN, "b"), TV_FULL);
    rig_run(bench);
    assert_int_equal(rig_state(bench), TV_FLOW_FAILED);
    assert_int_equal(rig_edge_stats(bench, 0).dropped[TV_DROP_ERROR], 1);
}

// ---- sizes --------------------------------------------------------------------------------------------------

static void payload_above_max_output_is_too_large(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    rig_push(bench, RIG_IN, "!b0:1024;?;b0:1025;?;");
    rig_run(bench);
    rig_take_some(bench, RIG_OUT, 1);
    assert_string_equal(rig_take(bench, RIG_OUT), "0|-3");
}

static void record_above_the_edges_largest_is_dropped_and_counted(void **state) {
    rig *bench = *state;
    rig_line(bench);
    make_tiny(bench, RIG_OUT, 1);
    rig_start(bench);
    rig_push(bench, RIG_IN, "!b0:464;b0:465;?;e0:after;");
    rig_run(bench);
    assert_int_equal(rig_front(bench, RIG_OUT)->size_bytes, TINY_RECORD_BYTES);
    rig_take_some(bench, RIG_OUT, 1);
    assert_string_equal(rig_take(bench, RIG_OUT), "0|after");
    assert_int_equal(rig_edge_stats(bench, 1).dropped[TV_DROP_TOO_LARGE], 1);
}

static void message_above_the_channels_largest_is_dropped_and_counted(void **state) {
    rig *bench = *state;
    uint8_t *place;
    rig_start_line(bench);
    uint32_t most = tv_channel_payload_bytes_max(bench->channels[0]);
    assert_int_equal(tv_channel_reserve(bench->channels[0], most + 1, NULL, 0, &place), TV_TOO_LARGE);
    assert_int_equal(tv_channel_reserve(bench->channels[0], most, NULL, 0, &place), TV_OK);
    memset(place, 'x', most);
    tv_channel_commit(bench->channels[0], TV_NO_EVENT_TIME);
    tv_channel_publish(bench->channels[0]);
    rig_run(bench);
    assert_int_equal(rig_edge_stats(bench, 0).dropped[TV_DROP_TOO_LARGE], 1);
}

static void drops_of_a_record_that_fails_are_counted_once(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_options(bench, RIG_OUT)->capacity_records = 2;
    bench->edges[1].capacity_records = 2;
    bench->edges[1].overflow = TV_OVERFLOW_DROP_NEWEST;
    rig_start(bench);
    rig_push(bench, RIG_IN, "a");
    rig_push(bench, RIG_IN, "!e0:b;e0:c;e0:d;T;");
    rig_push(bench, RIG_IN, "e");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "a|e");
    tv_edge_stats stats = rig_edge_stats(bench, 1);
    assert_int_equal(stats.pushed, 2);
    assert_int_equal(stats.dropped[TV_DROP_NEWEST], 0);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).emitted, 2);
}

static const struct CMUnitTest tests[] = {
    rig_test(much_output_of_one_record_passes_a_tiny_queue),
    rig_test(tiny_queue_between_two_stages_holds_up_neither_order_nor_count),
    rig_test(output_held_back_at_close_comes_before_the_end),
    rig_test(more_without_resume_is_a_failure),
    rig_test(output_for_a_record_within_its_limit_is_taken),
    rig_test(one_record_more_for_a_record_is_its_failure),
    rig_test(more_that_does_not_end_is_ended_by_the_limit),
    rig_test(more_for_ever_without_output_is_a_failure),
    rig_test(stage_is_not_called_without_room_for_its_output),
    rig_test(blocked_output_pauses_the_source_and_room_lets_it_go_on),
    rig_test(pause_and_resume_marks_are_kept),
    rig_test(released_follows_what_the_flow_has_taken),
    rig_test(one_blocked_branch_stops_the_stage_in_front_of_both),
    rig_test(timer_that_is_due_waits_for_room_without_spinning),
    rig_test(timer_that_sets_itself_does_not_starve_the_input),
    rig_test(timer_held_up_by_a_queue_inside_the_flow_runs_when_that_has_room),
    rig_test(drop_newest_keeps_what_is_queued_and_the_other_branch_goes_on),
    rig_test(drop_oldest_keeps_the_newest),
    rig_test(overflow_policy_error_fails_the_flow),
    rig_test(overflow_by_a_record_that_then_fails_fails_the_flow_too),
    rig_test(input_with_drop_newest_answers_full_and_counts),
    rig_test(input_with_drop_oldest_makes_room_before_it_is_full),
    rig_test(input_with_policy_error_fails_the_flow),
    rig_test(payload_above_max_output_is_too_large),
    rig_test(record_above_the_edges_largest_is_dropped_and_counted),
    rig_test(message_above_the_channels_largest_is_dropped_and_counted),
    rig_test(drops_of_a_record_that_fails_are_counted_once),
};

static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
