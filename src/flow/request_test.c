// What other threads ask of a flow: requests, pausing, settings, removal.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/testing/bank.h"

#define MS_NS 1000000ll

// ---- requests -----------------------------------------------------------------------------------------------

typedef struct note {
    tv_flow_request request;
    char letter;
    tv_flow *told;
    uint32_t again; // posts itself so often
} note;

static char notes[64];

static void take_note(tv_flow_request *request, tv_flow *flow) {
    note *taken = (note *)request;
    size_t length = strlen(notes);
    notes[length] = taken->letter;
    notes[length + 1] = 0;
    taken->told = flow;
    if (flow) assert_int_equal(flow->active_frames, 0);
    if (taken->again && taken->again--) tv_flow_request_post(flow, request);
}

static note make_note(char letter) { return (note){.request = {.run = take_note}, .letter = letter}; }

static void requests_run_in_order_at_the_next_turn_of_an_idle_flow(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add_started(bench, "one", TV_CLASS_NORMAL, 1);
    bank_run(bench);
    note a = make_note('a'), b = make_note('b'), c = make_note('c');
    notes[0] = 0;
    tv_flow_request_post(line->flow, &a.request);
    tv_flow_request_post(line->flow, &b.request);
    tv_flow_request_post(line->flow, &c.request);
    assert_string_equal(notes, "");
    assert_true(bank_step(bench, 0));
    assert_string_equal(notes, "abc");
    assert_ptr_equal(a.told, line->flow);
}

static void requests_run_while_paused_and_when_over(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add_started(bench, "one", TV_CLASS_NORMAL, 1);
    note a = make_note('a'), b = make_note('b');
    notes[0] = 0;
    tv_flow_pause(line->flow);
    bank_run(bench);
    tv_flow_request_post(line->flow, &a.request);
    bank_run(bench);
    assert_string_equal(notes, "a");
    tv_flow_resume(line->flow);
    tv_channel_end(line->channels[0]);
    bank_run(bench);
    assert_int_equal(tv_flow_get_state(line->flow), TV_FLOW_ENDED);
    tv_flow_request_post(line->flow, &b.request);
    bank_run(bench);
    assert_string_equal(notes, "ab");
}

static void request_that_posts_itself_comes_at_the_next_turn(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add_started(bench, "one", TV_CLASS_NORMAL, 1);
    bank_run(bench);
    note a = make_note('a');
    a.again = 3;
    notes[0] = 0;
    tv_flow_request_post(line->flow, &a.request);
    bank_step(bench, 0);
    assert_string_equal(notes, "a");
    bank_run(bench);
    assert_string_equal(notes, "aaaa");
}

static void request_left_is_told_that_the_flow_is_gone(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add_started(bench, "one", TV_CLASS_NORMAL, 1);
    bank_remove(line, TV_REMOVE_NOW);
    bank_run(bench);
    note a = make_note('a');
    notes[0] = 0;
    tv_flow_request_post(line->flow, &a.request);
    assert_false(bank_step(bench, 0));
    assert_string_equal(notes, "");
    bank_free_line(bench, line);
    assert_string_equal(notes, "a");
    assert_null(a.told);
}

// ---- pausing ------------------------------------------------------------------------------------------------

static void paused_flow_reads_nothing_until_it_goes_on(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add_started(bench, "one", TV_CLASS_NORMAL, 2);
    bank_push(line, "first");
    bank_run(bench);
    assert_int_equal(bank_take(line), 1);
    tv_flow_pause(line->flow);
    bank_push(line, "second");
    bank_run(bench);
    assert_int_equal(bank_take(line), 0);
    assert_true(bank_stats(line).paused);
    assert_int_equal(tv_channel_queued(line->channels[0]), 1);
    assert_true(bank_fill(line, "more") > 0);
    assert_true(tv_channel_paused(line->channels[0])); // back-pressure reaches the source
    tv_flow_resume(line->flow);
    bank_run(bench);
    assert_false(bank_stats(line).paused);
    assert_false(tv_channel_paused(line->channels[0]));
    assert_true(bank_take(line) > 1);
}

static void paused_flows_timer_fires_when_it_goes_on(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add(bench, "one", TV_CLASS_NORMAL, 1);
    bank_config(line, 0, "on_init", "s5000000;");
    bank_config(line, 0, "on_tick", "e0:tick;");
    bank_start(bench, line);
    bank_run(bench);
    tv_flow_pause(line->flow);
    bank_run(bench);
    bank_advance(bench, 10 * MS_NS);
    bank_run(bench);
    assert_int_equal(bank_take(line), 0);
    tv_flow_resume(line->flow);
    bank_run(bench);
    assert_int_equal(bank_take(line), 1);
}

static void paused_flow_fails_with_its_channel(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add_started(bench, "one", TV_CLASS_NORMAL, 1);
    tv_flow_pause(line->flow);
    bank_run(bench);
    tv_channel_fail(line->channels[0], "the far side is gone");
    bank_run(bench);
    assert_int_equal(tv_flow_get_state(line->flow), TV_FLOW_FAILED);
    assert_int_equal(line->ended, 1);
}

// ---- settings -----------------------------------------------------------------------------------------------

static void settings_hold_from_the_next_turn_on(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add_started(bench, "one", TV_CLASS_NORMAL, 1);
    bank_run(bench);
    assert_int_equal(bank_stats(line).quantum_records, 32);
    assert_int_equal(bank_stats(line).turn_ns, 2 * MS_NS);
    tv_flow_settings settings = {.fields = TV_SET_CLASS | TV_SET_TURN, .class = TV_CLASS_CRITICAL, .turn_ns = MS_NS};
    assert_int_equal(tv_flow_set(line->flow, &settings, &bench->error), TV_OK);
    assert_int_equal(bank_stats(line).class, TV_CLASS_NORMAL);
    bank_run(bench);
    assert_int_equal(bank_stats(line).class, TV_CLASS_CRITICAL);
    assert_int_equal(bank_stats(line).quantum_records, 128); // it follows the class
    assert_int_equal(bank_stats(line).turn_ns, MS_NS);
    settings = (tv_flow_settings){.fields = TV_SET_QUANTUM, .quantum_records = 7};
    assert_int_equal(tv_flow_set(line->flow, &settings, &bench->error), TV_OK);
    settings = (tv_flow_settings){.fields = TV_SET_CLASS, .class = TV_CLASS_HIGH};
    assert_int_equal(tv_flow_set(line->flow, &settings, &bench->error), TV_OK);
    bank_run(bench);
    assert_int_equal(bank_stats(line).quantum_records, 7); // its own now
    assert_int_equal(bank_stats(line).turn_ns, MS_NS);
}

static void settings_out_of_range_are_refused(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add_started(bench, "one", TV_CLASS_NORMAL, 1);
    const tv_flow_settings wrong[] = {
        {.fields = TV_SET_CLASS, .class = TV_CLASS_COUNT},
        {.fields = TV_SET_QUANTUM, .quantum_records = (1 << 20) + 1},
        {.fields = TV_SET_TURN, .turn_ns = 9999},
        {.fields = TV_SET_TURN, .turn_ns = 1000 * MS_NS + 1},
        {.fields = TV_SET_TURN, .turn_ns = -1},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(tv_flow_set(line->flow, &wrong[i], &bench->error), TV_INVALID);
        assert_non_null(strstr(bench->error.message, "flow one"));
    }
    bank_run(bench);
    assert_int_equal(bank_stats(line).class, TV_CLASS_NORMAL);
}

// ---- removal ------------------------------------------------------------------------------------------------

static void removed_at_once_leaves_what_is_queued_and_the_others_go_on(void **state) {
    bank *bench = *state;
    bank_line *gone = bank_add_started(bench, "gone", TV_CLASS_NORMAL, 2);
    bank_line *stays = bank_add_started(bench, "stays", TV_CLASS_NORMAL, 2);
    tv_flow_pause(gone->flow);
    bank_run(bench);
    for (int i = 0; i < 3; i++)
        bank_push(gone, "left");
    bank_remove(gone, TV_REMOVE_NOW);
    assert_int_equal(gone->removed, 0);
    bank_run(bench);
    assert_int_equal(gone->removed, 1);
    assert_int_equal(gone->ended, 0);
    assert_int_equal(tv_flow_get_state(gone->flow), TV_FLOW_REMOVED);
    bank_push(gone, "late"); // its notification does nothing
    tv_flow_pause(gone->flow);
    assert_false(bank_step(bench, 0));
    tv_edge_stats figures;
    tv_flow_abandon(gone->flow);
    tv_flow_edge_stats(gone->flow, 0, &figures);
    assert_int_equal(figures.dropped[TV_DROP_STOPPED], 4);
    bank_free_line(bench, gone);
    bank_push(stays, "record");
    bank_run(bench);
    assert_int_equal(bank_take(stays), 1);
}

static void removed_when_drained_has_delivered_everything(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add_started(bench, "one", TV_CLASS_NORMAL, 2);
    bank_add_started(bench, "other", TV_CLASS_NORMAL, 1);
    uint32_t pushed = bank_fill(line, "record");
    tv_flow_pause(line->flow);
    bank_run(bench);
    bank_remove(line, TV_REMOVE_DRAIN);
    bank_run(bench);
    assert_int_equal(line->removed, 0); // its input has not ended
    tv_channel_end(line->channels[0]);
    while (!line->removed) {
        bank_take(line);
        bank_run(bench);
    }
    bank_take(line);
    assert_int_equal(line->taken, pushed);
    assert_int_equal(line->ended, 1);
    assert_int_equal(tv_flow_get_state(line->flow), TV_FLOW_ENDED);
    bank_free_line(bench, line);
}

static void draining_can_be_cut_short(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add_started(bench, "one", TV_CLASS_NORMAL, 1);
    bank_remove(line, TV_REMOVE_DRAIN);
    bank_run(bench);
    assert_int_equal(line->removed, 0);
    bank_remove(line, TV_REMOVE_NOW);
    bank_remove(line, TV_REMOVE_NOW);
    bank_run(bench);
    assert_int_equal(line->removed, 1);
    bank_free_line(bench, line);
}

static void flow_that_is_over_can_be_removed(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add_started(bench, "one", TV_CLASS_NORMAL, 1);
    tv_channel_fail(line->channels[0], "broken");
    bank_run(bench);
    bank_remove(line, TV_REMOVE_NOW);
    bank_run(bench);
    assert_int_equal(line->removed, 1);
    assert_int_equal(line->ended, 1);
    assert_int_equal(tv_flow_get_state(line->flow), TV_FLOW_FAILED);
    bank_free_line(bench, line);
}

static void timer_of_a_removed_flow_is_forgotten(void **state) {
    bank *bench = *state;
    bank_line *lines[5];
    static const char *const timers[] = {"s3000000;", "s1000000;", "s5000000;", "s2000000;", "s4000000;"};
    for (int i = 0; i < 5; i++) {
        lines[i] = bank_add(bench, "timed", TV_CLASS_NORMAL, 1);
        bank_config(lines[i], 0, "on_init", timers[i]);
        bank_config(lines[i], 0, "on_tick", "e0:tick;");
        bank_start(bench, lines[i]);
    }
    bank_run(bench);
    assert_int_equal(bench->runtime->workers[0].timer_count, 5);
    bank_remove(lines[3], TV_REMOVE_NOW);
    bank_remove(lines[1], TV_REMOVE_NOW);
    bank_run(bench);
    assert_int_equal(bench->runtime->workers[0].timer_count, 3);
    assert_int_equal(bench->runtime->workers[0].flow_count, 3);
    bank_free_line(bench, lines[1]);
    bank_free_line(bench, lines[3]);
    bank_advance(bench, 10 * MS_NS);
    bank_run(bench);
    assert_int_equal(bank_take(lines[0]) + bank_take(lines[2]) + bank_take(lines[4]), 3);
}

static void flow_that_waits_for_dead_letters_can_be_removed(void **state) {
    bank *bench = *state;
    bank_line *lines[3];
    for (int i = 0; i < 3; i++) {
        lines[i] = bank_add_started(bench, "angry", TV_CLASS_NORMAL, 1);
        bank_fill(lines[i], "!rno;");
    }
    bank_run(bench); // until there is no room for another dead letter
    assert_true(lines[1]->flow->awaits_letters);
    bank_remove(lines[1], TV_REMOVE_NOW);
    bank_run(bench);
    assert_int_equal(lines[1]->removed, 1);
    bank_free_line(bench, lines[1]);
    const tv_record *first;
    uint32_t bytes, records;
    while (tv_channel_queued(lines[0]->channels[0]) || tv_channel_queued(lines[2]->channels[0])) {
        while (tv_channel_peek(bench->letters[0], &first, &bytes, &records) == TV_OK)
            tv_channel_pop(bench->letters[0], records, bytes);
        bank_run(bench);
    }
}

static void end_is_told_once_also_when_asked_for_late(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add_started(bench, "one", TV_CLASS_NORMAL, 1);
    void (*told)(void *, tv_flow *) = atomic_load(&line->flow->on_end);
    tv_flow_on_end(line->flow, NULL, NULL);
    tv_channel_end(line->channels[0]);
    bank_run(bench);
    assert_int_equal(line->ended, 0);
    tv_flow_on_end(line->flow, told, line);
    assert_int_equal(line->ended, 1);
    tv_flow_pause(line->flow);
    bank_run(bench);
    assert_int_equal(line->ended, 1);
}

static const struct CMUnitTest tests[] = {
    bank_test(requests_run_in_order_at_the_next_turn_of_an_idle_flow),
    bank_test(requests_run_while_paused_and_when_over),
    bank_test(request_that_posts_itself_comes_at_the_next_turn),
    bank_test(request_left_is_told_that_the_flow_is_gone),
    bank_test(paused_flow_reads_nothing_until_it_goes_on),
    bank_test(paused_flows_timer_fires_when_it_goes_on),
    bank_test(paused_flow_fails_with_its_channel),
    bank_test(settings_hold_from_the_next_turn_on),
    bank_test(settings_out_of_range_are_refused),
    bank_test(removed_at_once_leaves_what_is_queued_and_the_others_go_on),
    bank_test(removed_when_drained_has_delivered_everything),
    bank_test(draining_can_be_cut_short),
    bank_test(flow_that_is_over_can_be_removed),
    bank_test(timer_of_a_removed_flow_is_forgotten),
    bank_test(flow_that_waits_for_dead_letters_can_be_removed),
    bank_test(end_is_told_once_also_when_asked_for_late),
};

static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
