// Taps: what they show, that they miss rather than wait, and that the brief figures agree with the books.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "flow/testing/test_rig.h"

static void on_off(void *user, tv_tap *tap) {
    (void)tap;
    (*(int *)user)++;
}

// A tap on one edge of the line, on.
static tv_tap *tap_edge(rig *bench, uint16_t edge, uint32_t payload_bytes) {
    tv_tap *tap;
    tv_tap_options options = {.edges = &edge, .edge_count = 1, .payload_bytes_max = payload_bytes, .with_data = true};
    assert_int_equal(tv_tap_new(bench->flow, &options, &tap, &bench->error), TV_OK);
    tv_tap_start(tap);
    rig_run(bench);
    return tap;
}

static void end_tap(rig *bench, tv_tap *tap) {
    int off = 0;
    tv_tap_stop(tap, on_off, &off);
    rig_run(bench);
    assert_int_equal(off, 1);
    for (tv_channel *next = tv_ready_list_take(&bench->ready); next;)
        next = tv_channel_next_ready(next);
    tv_tap_free(tap);
}

// The next copy, taken; its payload in `text`.
static uint64_t take(tv_tap *tap, char *text) {
    const tv_record *first;
    uint32_t bytes, records;
    tv_channel *channel = tv_tap_channel(tap);
    assert_int_equal(tv_channel_peek(channel, &first, &bytes, &records), TV_OK);
    uint32_t there = first->size_bytes - (uint32_t)sizeof *first - first->attributes_bytes;
    uint32_t length = first->payload_bytes < there ? first->payload_bytes : there;
    memcpy(text, (const uint8_t *)(first + 1) + first->attributes_bytes, length);
    text[length] = '\0';
    uint64_t sequence = first->sequence;
    tv_channel_pop(channel, 1, first->size_bytes);
    return sequence;
}

static void copies_of_input_and_output_are_what_passed(void **state) {
    rig *bench = *state;
    char text[64];
    rig_start_line(bench);
    for (uint16_t edge = 0; edge < 2; edge++) { // the input channel's, the output channel's
        tv_tap *tap = tap_edge(bench, edge, 64);
        rig_push(bench, 0, "one");
        rig_push(bench, 0, "two");
        rig_run(bench);
        assert_int_equal(tv_tap_seen(tap), 2);
        assert_int_equal(tv_tap_missed(tap), 0);
        assert_int_equal(take(tap, text), 2u * edge + 1);
        assert_string_equal(text, "one");
        assert_int_equal(take(tap, text), 2u * edge + 2);
        assert_string_equal(text, "two");
        end_tap(bench, tap);
    }
    rig_push(bench, 0, "three"); // nobody watches any more
    rig_run(bench);
    assert_false(bench->flow->tapped);
}

static void two_taps_see_the_same(void **state) {
    rig *bench = *state;
    char text[64];
    rig_start_line(bench);
    tv_tap *whole = tap_edge(bench, 1, 64), *cut = tap_edge(bench, 1, 2);
    rig_push(bench, 0, "twice");
    rig_run(bench);
    take(whole, text);
    assert_string_equal(text, "twice");
    take(cut, text);
    assert_string_equal(text, "tw");
    end_tap(bench, whole);
    rig_push(bench, 0, "once");
    rig_run(bench);
    take(cut, text);
    assert_string_equal(text, "on");
    end_tap(bench, cut);
}

static void tap_that_nobody_reads_misses_and_the_flow_goes_on(void **state) {
    rig *bench = *state;
    enum { RECORDS = 6000 };
    rig_start_line(bench);
    tv_tap *tap = tap_edge(bench, 1, 64);
    for (int i = 0; i < RECORDS; i++) {
        rig_push(bench, 0, "again");
        rig_run(bench);
        (void)rig_take(bench, 1);
    }
    assert_int_equal(tv_tap_seen(tap), RECORDS);
    assert_true(tv_tap_missed(tap) > 0);
    assert_int_equal(tv_tap_seen(tap) - tv_tap_missed(tap), tv_channel_queued(tv_tap_channel(tap)));
    end_tap(bench, tap);
}

static void brief_figures_agree_with_the_stages(void **state) {
    rig *bench = *state;
    tv_flow_brief brief;
    tv_stage_stats stats;
    rig_start_line(bench);
    bench->runtime->started = true; // as if threads ran: the worker is asked to publish
    assert_false(tv_flow_get_brief(bench->flow, &brief));
    for (int i = 0; i < 3; i++)
        rig_push(bench, 0, "again");
    rig_run(bench);
    bool known = tv_flow_get_brief(bench->flow, &brief);
    bench->runtime->started = false;
    tv_flow_stage_stats(bench->flow, 0, &stats);
    assert_true(known);
    assert_int_equal(brief.records_in, 3);
    assert_int_equal(brief.busy_ns, stats.busy_ns);
    assert_int_equal(brief.guest_bytes, stats.memory_bytes);
    assert_true(brief.queue_percent < 100);
}

static int tests(void) {
    const struct CMUnitTest all[] = {
        rig_test(copies_of_input_and_output_are_what_passed),
        rig_test(two_taps_see_the_same),
        rig_test(tap_that_nobody_reads_misses_and_the_flow_goes_on),
        rig_test(brief_figures_agree_with_the_stages),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv) { return rig_main(argc, argv, tests); }
