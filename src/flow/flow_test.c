// Flows from end to end on one thread: what goes in, what comes out, in which order, watermarks and the end of
// streams. Output that finds no room: flow_output_test.c. Failing components: flow_fault_test.c.
#include "flow/testing/test_rig.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

// ---- passing on ---------------------------------------------------------------------------------------------

static void records_come_out_as_they_went_in(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    rig_push(bench, RIG_IN, "a");
    rig_push(bench, RIG_IN, "");
    rig_push(bench, RIG_IN, "bcd");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "a||bcd");
    rig_run(bench);
    tv_stage_stats stats = rig_stage_stats(bench, RIG_STAGE);
    assert_int_equal(stats.popped, 3);
    assert_int_equal(stats.processed, 3);
    assert_int_equal(stats.emitted, 3);
    assert_int_equal(stats.bytes_out, 48 + 8 + 48 + 48 + 8);
    assert_int_equal(rig_state(bench), TV_FLOW_RUNNING);
}

static void filtered_records_count_as_processed(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    rig_push(bench, RIG_IN, "a");
    rig_push(bench, RIG_IN, "!");
    rig_push(bench, RIG_IN, "b");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "a|b");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).processed, 3);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).emitted, 2);
}

static void header_fields_travel_with_the_record(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    rig_push(bench, RIG_IN, "first");
    rig_push_at(bench, RIG_IN, "second", 1234);
    rig_run(bench);
    rig_take_some(bench, RIG_OUT, 1);
    const tv_record *record = rig_front(bench, RIG_OUT);
    assert_int_equal(record->event_time_ns, 1234);
    assert_int_equal(record->sequence, 2);
    assert_int_equal(record->origin, 0);
    assert_int_equal(record->origin_sequence, 2);
    assert_int_equal(record->kind, TV_KIND_DATA);
    assert_int_equal(record->size_bytes, 56);
    rig_take(bench, RIG_OUT);
    rig_push(bench, RIG_IN, "!t-5;k77;e0:x;");
    rig_run(bench);
    record = rig_front(bench, RIG_OUT);
    assert_int_equal(record->event_time_ns, -5);
    assert_int_equal(record->key, 77);
    assert_int_equal(record->origin_sequence, 3);
}

static void attributes_are_inherited(void **state) {
    rig *bench = *state;
    static const uint8_t topic[8] = {TV_ATTRIBUTE_TOPIC, 0, 3, 0, 'a', '/', 'b', 0};
    uint8_t *place;
    rig_start_line(bench);
    assert_int_equal(tv_channel_reserve(bench->channels[0], 1, topic, sizeof topic, &place), TV_OK);
    *place = 'x';
    tv_channel_commit(bench->channels[0], TV_NO_EVENT_TIME);
    tv_channel_publish(bench->channels[0]);
    rig_run(bench);
    const tv_record *record = rig_front(bench, RIG_OUT);
    assert_int_equal(record->attributes_bytes, sizeof topic);
    assert_memory_equal(record + 1, topic, sizeof topic);
    assert_int_equal(*tv_record_payload(record), 'x');
}

static void batch_is_limited_by_quantum_and_by_its_own_size(void **state) {
    rig *bench = *state;
    rig_line(bench);
    bench->spec.quantum_records = 8;
    bench->stages[RIG_STAGE].batch_records_max = 4;
    rig_start(bench);
    for (int i = 0; i < 16; i++)
        assert_int_equal(tv_channel_push(bench->channels[0], "x", 1), TV_OK);
    tv_channel_publish(bench->channels[0]);
    rig_run(bench);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).processed, 16);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).calls, 4);
}

// ---- fan-out ------------------------------------------------------------------------------------------------

static void port_with_two_edges_feeds_both(void **state) {
    rig *bench = *state;
    rig_line(bench);
    uint16_t second = rig_channel(bench, "second", TV_OUTPUT);
    rig_edge(bench, RIG_STAGE, 0, second);
    rig_start(bench);
    rig_push(bench, RIG_IN, "a");
    rig_push(bench, RIG_IN, "b");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "a|b");
    assert_string_equal(rig_take(bench, second), "a|b");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).emitted, 2);
}

static void ports_lead_to_their_own_edges(void **state) {
    rig *bench = *state;
    rig_line(bench);
    uint16_t alerts = rig_channel(bench, "alerts", TV_OUTPUT);
    rig_edge(bench, RIG_STAGE, 1, alerts);
    rig_start(bench);
    rig_push(bench, RIG_IN, "!e1:hot;e0:plain;e1:hotter;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "plain");
    assert_string_equal(rig_take(bench, alerts), "hot|hotter");
}

static void output_to_an_unconnected_port_is_counted(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    rig_push(bench, RIG_IN, "!e2:nowhere;?;e7:no such port;?;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "0|-2");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).emitted, 3);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).emitted_unconnected, 1);
}

// ---- fan-in -------------------------------------------------------------------------------------------------

// Two input channels, one stage that joins them, one output.
static void build_join(rig *bench, uint16_t *second) {
    rig_line(bench);
    *second = rig_channel(bench, "second", TV_INPUT);
    rig_edge(bench, *second, 0, RIG_STAGE);
}

static void inputs_merge_by_event_time_then_by_input(void **state) {
    rig *bench = *state;
    uint16_t second;
    build_join(bench, &second);
    rig_start(bench);
    rig_push_at(bench, second, "b10", 10);
    rig_push_at(bench, second, "b20", 20);
    rig_push_at(bench, second, "b30", 30);
    rig_push_at(bench, RIG_IN, "a5", 5);
    rig_push_at(bench, RIG_IN, "a20", 20);
    rig_push_at(bench, RIG_IN, "a40", 40);
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "a5|b10|a20|b20|b30|a40");
}

static void merging_keeps_its_order_where_a_ring_begins_a_new_lap(void **state) {
    rig *bench = *state;
    uint16_t second;
    build_join(bench, &second);
    rig_options(bench, RIG_IN)->capacity_bytes = 4096;
    rig_options(bench, RIG_IN)->record_bytes_max = 1024;
    bench->edges[0].capacity_bytes = 4096;
    bench->edges[0].record_bytes_max = 1024;
    rig_start(bench);
    for (int i = 0; i < 60; i++) // the next records cross the end of the ring
        rig_push(bench, RIG_IN, "12345678");
    rig_run(bench);
    rig_take(bench, RIG_OUT);
    char text[16];
    for (int i = 0; i < 30; i++) {
        snprintf(text, sizeof text, "a%02d", i);
        rig_push_at(bench, RIG_IN, text, i * 2);
        snprintf(text, sizeof text, "b%02d", i);
        rig_push_at(bench, second, text, i * 2 + 1);
    }
    rig_run(bench);
    for (int i = 0; i < 30; i++) {
        snprintf(text, sizeof text, "a%02d|b%02d", i, i);
        assert_string_equal(rig_take_some(bench, RIG_OUT, 2), text);
    }
}

// ---- watermarks ---------------------------------------------------------------------------------------------

// in0 -> a \                                             edges: 0 in0-a, 1 in1-b, 2 a-join, 3 b-join, 4 join-tail,
//           join -> tail -> out                                 5 tail-out
// in1 -> b /
typedef struct watermark_nodes {
    uint16_t in0, in1, out, join, tail;
} watermark_nodes;

static watermark_nodes build_watermarks(rig *bench) {
    watermark_nodes nodes = {.in0 = rig_channel(bench, "in0", TV_INPUT), .in1 = rig_channel(bench, "in1", TV_INPUT)};
    nodes.out = rig_channel(bench, "out", TV_OUTPUT);
    uint16_t a = rig_stage(bench, "a"), b = rig_stage(bench, "b");
    nodes.join = rig_stage(bench, "join");
    nodes.tail = rig_stage(bench, "tail");
    rig_edge(bench, nodes.in0, 0, a);
    rig_edge(bench, nodes.in1, 0, b);
    rig_edge(bench, a, 0, nodes.join);
    rig_edge(bench, b, 0, nodes.join);
    rig_edge(bench, nodes.join, 0, nodes.tail);
    rig_edge(bench, nodes.tail, 0, nodes.out);
    rig_config(bench, nodes.join, "on_watermark", "e0:join;");
    rig_config(bench, nodes.tail, "on_watermark", "e0:tail;");
    rig_start(bench);
    return nodes;
}

static void watermark_is_the_minimum_over_the_inputs(void **state) {
    rig *bench = *state;
    watermark_nodes nodes = build_watermarks(bench);
    rig_push(bench, nodes.in0, "!w100;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, nodes.out), "");
    rig_push(bench, nodes.in1, "!w50;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, nodes.out), "join|tail");
    assert_int_equal(bench->flow->stage_rares[nodes.tail].watermark_in, 50);
    rig_push(bench, nodes.in0, "!w200;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, nodes.out), "");
    rig_push(bench, nodes.in1, "!w150;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, nodes.out), "join|tail");
    assert_int_equal(bench->flow->stage_rares[nodes.tail].watermark_in, 150);
}

static void input_that_has_ended_no_longer_holds_the_watermark(void **state) {
    rig *bench = *state;
    watermark_nodes nodes = build_watermarks(bench);
    rig_push(bench, nodes.in0, "!w100;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, nodes.out), "");
    rig_end(bench, nodes.in1);
    rig_run(bench);
    assert_string_equal(rig_take(bench, nodes.out), "join|tail");
    assert_int_equal(bench->flow->stage_rares[nodes.tail].watermark_in, 100);
}

static void watermark_follows_the_records_before_it(void **state) {
    rig *bench = *state;
    watermark_nodes nodes = build_watermarks(bench);
    rig_end(bench, nodes.in1);
    rig_push(bench, nodes.in0, "!e0:before;w100;e0:after;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, nodes.out), "before|join|tail|after");
}

static void watermark_that_does_not_advance_is_dropped(void **state) {
    rig *bench = *state;
    watermark_nodes nodes = build_watermarks(bench);
    rig_end(bench, nodes.in1);
    rig_push(bench, nodes.in0, "!w100;");
    rig_push(bench, nodes.in0, "!w100;?;w99;?;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, nodes.out), "join|tail|0|0");
    assert_int_equal(rig_edge_stats(bench, 2).control, 1);
}

static void watermarks_count_as_popped_and_processed(void **state) {
    rig *bench = *state;
    watermark_nodes nodes = build_watermarks(bench);
    rig_end(bench, nodes.in1);
    rig_push(bench, nodes.in0, "!w100;");
    rig_run(bench);
    tv_stage_stats stats = rig_stage_stats(bench, nodes.join);
    assert_int_equal(stats.watermarks, 1);
    assert_int_equal(stats.popped, 1);
    assert_int_equal(stats.processed, 1);
}

// ---- the end ------------------------------------------------------------------------------------------------

static void count_end(void *user, tv_flow *flow) {
    (void)flow;
    ++*(int *)user;
}

static bool is_at_end(rig *bench, uint16_t channel) {
    const tv_record *record;
    uint32_t bytes, records;
    return tv_channel_peek(bench->channels[channel & ~TV_NODE_CHANNEL], &record, &bytes, &records) == TV_EOF;
}

static void end_of_input_closes_the_stages_from_source_to_sink(void **state) {
    rig *bench = *state;
    int ends = 0;
    uint16_t in = rig_channel(bench, "in", TV_INPUT), out = rig_channel(bench, "out", TV_OUTPUT);
    uint16_t first = rig_stage(bench, "first"), last = rig_stage(bench, "last");
    rig_edge(bench, in, 0, first);
    rig_edge(bench, first, 0, last);
    rig_edge(bench, last, 0, out);
    rig_config(bench, first, "on_close", "e0:first closed;");
    rig_config(bench, last, "on_close", "e0:last closed;");
    rig_start(bench);
    tv_flow_on_end(bench->flow, count_end, &ends);
    rig_push(bench, in, "x");
    rig_run(bench);
    assert_false(is_at_end(bench, out));
    rig_end(bench, in);
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "x|first closed|last closed");
    assert_true(is_at_end(bench, out));
    assert_int_equal(rig_state(bench), TV_FLOW_ENDED);
    assert_int_equal(ends, 1);
    rig_run(bench);
    assert_int_equal(ends, 1);
}

static void empty_input_that_ends_at_once_ends_the_flow(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    rig_end(bench, RIG_IN);
    rig_run(bench);
    assert_int_equal(rig_state(bench), TV_FLOW_ENDED);
    assert_true(is_at_end(bench, RIG_OUT));
}

static void stage_with_two_inputs_closes_when_both_have_ended(void **state) {
    rig *bench = *state;
    uint16_t second;
    build_join(bench, &second);
    rig_config(bench, RIG_STAGE, "on_close", "e0:closed;");
    rig_start(bench);
    rig_end(bench, RIG_IN);
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "");
    rig_push(bench, second, "late");
    rig_end(bench, second);
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "late|closed");
    assert_int_equal(rig_state(bench), TV_FLOW_ENDED);
}

static void channel_that_fails_fails_the_flow(void **state) {
    rig *bench = *state;
    int ends = 0;
    rig_start_line(bench);
    tv_flow_on_end(bench->flow, count_end, &ends);
    tv_channel_fail(bench->channels[0], "the broker is gone");
    rig_run(bench);
    assert_int_equal(rig_state(bench), TV_FLOW_FAILED);
    assert_non_null(strstr(tv_flow_failure(bench->flow), "in: the broker is gone"));
    assert_true(is_at_end(bench, RIG_OUT));
    assert_int_equal(ends, 1);
}

static void records_left_in_a_failed_flow_are_counted_when_it_is_abandoned(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    rig_push(bench, RIG_IN, "a");
    rig_run(bench);
    rig_push(bench, RIG_IN, "b");
    tv_channel_fail(bench->channels[1], "gone");
    rig_run(bench);
    tv_flow_abandon(bench->flow);
    assert_int_equal(rig_edge_stats(bench, 0).dropped[TV_DROP_STOPPED], 1);
    assert_int_equal(rig_edge_stats(bench, 1).dropped[TV_DROP_STOPPED], 1);
    assert_int_equal(tv_flow_check_conservation(bench->flow, &bench->error), TV_OK);
}

static const struct CMUnitTest tests[] = {
    rig_test(records_come_out_as_they_went_in),
    rig_test(filtered_records_count_as_processed),
    rig_test(header_fields_travel_with_the_record),
    rig_test(attributes_are_inherited),
    rig_test(batch_is_limited_by_quantum_and_by_its_own_size),
    rig_test(port_with_two_edges_feeds_both),
    rig_test(ports_lead_to_their_own_edges),
    rig_test(output_to_an_unconnected_port_is_counted),
    rig_test(inputs_merge_by_event_time_then_by_input),
    rig_test(merging_keeps_its_order_where_a_ring_begins_a_new_lap),
    rig_test(watermark_is_the_minimum_over_the_inputs),
    rig_test(input_that_has_ended_no_longer_holds_the_watermark),
    rig_test(watermark_follows_the_records_before_it),
    rig_test(watermark_that_does_not_advance_is_dropped),
    rig_test(watermarks_count_as_popped_and_processed),
    rig_test(end_of_input_closes_the_stages_from_source_to_sink),
    rig_test(empty_input_that_ends_at_once_ends_the_flow),
    rig_test(stage_with_two_inputs_closes_when_both_have_ended),
    rig_test(channel_that_fails_fails_the_flow),
    rig_test(records_left_in_a_failed_flow_are_counted_when_it_is_abandoned),
};

static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
