// What the host serves to a component: timers, pull sources, clocks, configuration, assets, counters, the log; and what
// a flow may be made of.
#include "flow/testing/test_rig.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

enum { MS_NS = 1000000 };

// ---- timers -------------------------------------------------------------------------------------------------

static void timer_ticks_once_when_it_is_due(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_config(bench, RIG_STAGE, "on_tick", "e0:tick;?;");
    rig_start(bench);
    rig_push(bench, RIG_IN, "!s5000000;");
    rig_run(bench);
    rig_advance(bench, 5 * MS_NS - 1);
    assert_string_equal(rig_take(bench, RIG_OUT), "");
    rig_advance(bench, 1);
    assert_string_equal(rig_take(bench, RIG_OUT), "tick|0");
    rig_advance(bench, 100 * MS_NS);
    assert_string_equal(rig_take(bench, RIG_OUT), "");
}

static void later_setting_replaces_the_earlier_and_negative_clears(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_config(bench, RIG_STAGE, "on_tick", "e0:tick;");
    rig_start(bench);
    rig_push(bench, RIG_IN, "!s5000000;s10000000;");
    rig_run(bench);
    rig_advance(bench, 9 * MS_NS);
    assert_string_equal(rig_take(bench, RIG_OUT), "");
    rig_advance(bench, MS_NS);
    assert_string_equal(rig_take(bench, RIG_OUT), "tick");
    rig_push(bench, RIG_IN, "!s5000000;s-1;");
    rig_run(bench);
    rig_advance(bench, 1000 * MS_NS);
    assert_string_equal(rig_take(bench, RIG_OUT), "");
}

static void shortest_delay_is_a_millisecond(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_config(bench, RIG_STAGE, "on_tick", "e0:tick;");
    rig_start(bench);
    rig_push(bench, RIG_IN, "!s0;");
    rig_run(bench);
    rig_advance(bench, MS_NS - 1);
    assert_string_equal(rig_take(bench, RIG_OUT), "");
    rig_advance(bench, 1);
    assert_string_equal(rig_take(bench, RIG_OUT), "tick");
}

static void timer_that_sets_itself_goes_on(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_config(bench, RIG_STAGE, "on_init", "s1000000;");
    rig_config(bench, RIG_STAGE, "on_tick", "e0:tick;s1000000;");
    rig_start(bench);
    for (int i = 0; i < 3; i++)
        rig_advance(bench, MS_NS);
    assert_string_equal(rig_take(bench, RIG_OUT), "tick|tick|tick");
}

// The tick before took the last room, so that the input, of which there is none, did not have its turn.
static void a_timer_that_was_held_up_by_the_output_comes_without_input(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_options(bench, RIG_OUT)->capacity_records = bench->edges[1].capacity_records = 1;
    rig_config(bench, RIG_STAGE, "on_tick", "e0:tick;s1000000;");
    rig_start(bench);
    rig_push(bench, RIG_IN, "!s1000000;");
    rig_run(bench);
    rig_advance(bench, 1000000);
    tv_virtual_clock_advance(&bench->clock, 2000000);
    assert_string_equal(rig_take(bench, RIG_OUT), "tick");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "tick");
}

static void longest_delay_does_not_wrap(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_config(bench, RIG_STAGE, "on_tick", "e0:tick;");
    rig_start(bench);
    rig_push(bench, RIG_IN, "!s9223372036854775807;");
    rig_run(bench);
    rig_advance(bench, 1000 * MS_NS);
    assert_string_equal(rig_take(bench, RIG_OUT), "");
}

static void timer_dies_with_its_instance(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_config(bench, RIG_STAGE, "on_tick", "e0:tick;");
    rig_start(bench);
    rig_push(bench, RIG_IN, "!s5000000;T;");
    rig_run(bench);
    rig_advance(bench, 10 * MS_NS);
    assert_string_equal(rig_take(bench, RIG_OUT), "");
}

static void timers_of_several_flows_share_a_worker(void **state) {
    rig *bench = *state;
    uint16_t in = rig_channel(bench, "in", TV_INPUT), out = rig_channel(bench, "out", TV_OUTPUT);
    uint16_t stages[6], previous = in;
    for (int i = 0; i < 6; i++) {
        stages[i] = rig_stage(bench, (const char *[]){"a", "b", "c", "d", "e", "f"}[i]);
        rig_config(bench, stages[i], "on_init",
                   (const char *[]){"s6000000;", "s3000000;", "s5000000;", "s1000000;", "s4000000;", "s2000000;"}[i]);
        rig_config(bench, stages[i], "on_tick",
                   (const char *[]){"e0:6;", "e0:3;", "e0:5;", "e0:1;", "e0:4;", "e0:2;"}[i]);
        rig_edge(bench, previous, 0, stages[i]);
        previous = stages[i];
    }
    rig_edge(bench, previous, 0, out);
    rig_start(bench);
    for (int i = 1; i <= 6; i++) {
        char wanted[2] = {(char)('0' + i), 0};
        rig_advance(bench, MS_NS);
        assert_string_equal(rig_take(bench, out), wanted);
    }
}

// ---- sources ------------------------------------------------------------------------------------------------

static uint16_t build_source(rig *bench) {
    uint16_t out = rig_channel(bench, "out", TV_OUTPUT);
    uint16_t source = rig_stage(bench, "source");
    rig_edge(bench, source, 0, out);
    return out;
}

static void source_is_pulled_until_its_end(void **state) {
    rig *bench = *state;
    uint16_t out = build_source(bench);
    rig_config(bench, 0, "pull.0", "e0:a;e0:b;");
    rig_config(bench, 0, "pull.1", "e0:c;");
    rig_config(bench, 0, "on_close", "e0:closed;");
    rig_start(bench);
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "a|b|c|closed");
    assert_int_equal(rig_state(bench), TV_FLOW_ENDED);
}

static void source_without_work_is_asked_again_later(void **state) {
    rig *bench = *state;
    uint16_t out = build_source(bench);
    rig_config(bench, 0, "pull.0", "");
    rig_config(bench, 0, "pull.1", "e0:a;");
    rig_config(bench, 0, "on_tick", "e0:nobody set a timer;");
    rig_start(bench);
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "");
    assert_int_equal(rig_state(bench), TV_FLOW_RUNNING);
    rig_advance(bench, 10 * MS_NS);
    assert_string_equal(rig_take(bench, out), "a");
}

static void source_with_a_timer_is_pulled_behind_it(void **state) {
    rig *bench = *state;
    uint16_t out = build_source(bench);
    rig_config(bench, 0, "pull.0", "s20000000;");
    rig_config(bench, 0, "pull.1", "e0:a;");
    rig_config(bench, 0, "on_tick", "e0:tick;");
    rig_start(bench);
    rig_run(bench);
    rig_advance(bench, 19 * MS_NS);
    assert_string_equal(rig_take(bench, out), "");
    rig_advance(bench, MS_NS);
    assert_string_equal(rig_take(bench, out), "tick|a");
}

static void source_stops_when_the_flow_drains(void **state) {
    rig *bench = *state;
    uint16_t out = build_source(bench);
    rig_config(bench, 0, "pull.0", "s1000000000;");
    rig_config(bench, 0, "pull.1", "e0:never;");
    rig_config(bench, 0, "on_close", "e0:closed;");
    rig_start(bench);
    rig_run(bench);
    tv_flow_drain(bench->flow);
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "closed");
    assert_int_equal(rig_state(bench), TV_FLOW_ENDED);
}

static void source_that_is_held_makes_nothing_until_it_is_let_go(void **state) {
    rig *bench = *state;
    uint16_t out = build_source(bench);
    rig_config(bench, 0, "pull.0", "e0:a;");
    rig_config(bench, 0, "pull.1", "e0:b;s20000000;");
    rig_config(bench, 0, "on_tick", "e0:tick;");
    rig_config(bench, 0, "pull.2", "e0:c;");
    rig_start(bench);
    tv_flow_hold_sources(bench->flow, true);
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "");
    assert_int_equal(rig_state(bench), TV_FLOW_RUNNING);
    tv_flow_hold_sources(bench->flow, false);
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "a|b");
    tv_flow_hold_sources(bench->flow, true);
    rig_advance(bench, 30 * MS_NS); // its timer is overdue
    assert_string_equal(rig_take(bench, out), "");
    tv_flow_hold_sources(bench->flow, true);
    tv_flow_hold_sources(bench->flow, false);
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "tick|c");
}

static void source_that_is_held_ends_with_its_flow(void **state) {
    rig *bench = *state;
    uint16_t out = build_source(bench);
    rig_config(bench, 0, "pull.0", "e0:never;");
    rig_config(bench, 0, "on_close", "e0:closed;");
    rig_start(bench);
    tv_flow_hold_sources(bench->flow, true);
    rig_run(bench);
    tv_flow_drain(bench->flow);
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "closed");
    assert_int_equal(rig_state(bench), TV_FLOW_ENDED);
}

static void stage_behind_a_held_source_goes_on(void **state) {
    rig *bench = *state;
    uint16_t out = rig_channel(bench, "out", TV_OUTPUT);
    uint16_t source = rig_stage(bench, "source"), next = rig_stage(bench, "next");
    rig_edge(bench, source, 0, next);
    rig_edge(bench, next, 0, out);
    rig_config(bench, 0, "pull.0", "e0:a;");
    rig_config(bench, 0, "pull.1", "e0:b;");
    rig_config(bench, 0, "pull.2", ""); // nothing now
    rig_config(bench, 0, "pull.3", "e0:c;");
    rig_config(bench, 1, "on_init", "s20000000;");
    rig_config(bench, 1, "on_tick", "e0:tick;");
    rig_start(bench);
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "a|b");
    tv_flow_hold_sources(bench->flow, true);
    rig_advance(bench, 30 * MS_NS);
    assert_string_equal(rig_take(bench, out), "tick");
}

static void source_that_fails_goes_on_with_a_fresh_instance(void **state) {
    rig *bench = *state;
    uint16_t out = build_source(bench);
    bench->stages[0].restart.limit = 2;
    rig_config(bench, 0, "pull.0", "e0:kept;");
    rig_config(bench, 0, "pull.1", "e0:lost;T;");
    rig_start(bench);
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "kept|kept|kept"); // each instance begins anew, until the limit
    assert_int_equal(rig_state(bench), TV_FLOW_FAILED);
}

static void source_waits_for_room(void **state) {
    rig *bench = *state;
    uint16_t out = build_source(bench);
    rig_options(bench, out)->capacity_records = 2;
    bench->edges[0].capacity_records = 2;
    rig_config(bench, 0, "pull.0", "n0:5;");
    rig_start(bench);
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "0|1");
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "2|3");
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "4");
    rig_run(bench);
    assert_int_equal(rig_state(bench), TV_FLOW_ENDED);
}

// ---- clock, configuration, assets, counters, log ------------------------------------------------------------

static void clock_needs_its_grant(void **state) {
    rig *bench = *state;
    rig_line(bench);
    bench->stages[RIG_STAGE].module = rig_puppet_clock();
    assert_int_equal(rig_try_start(bench), TV_DENIED);
    assert_non_null(strstr(bench->error.message, "stage puppet"));
    assert_non_null(strstr(bench->error.message, "clock"));
}

static void monotonic_clock_counts_from_the_flows_start(void **state) {
    rig *bench = *state;
    rig_line(bench);
    bench->stages[RIG_STAGE].module = rig_puppet_clock();
    bench->stages[RIG_STAGE].grants = TV_GRANT_CLOCK;
    rig_start(bench);
    rig_push(bench, RIG_IN, "!q;");
    rig_run(bench);
    rig_advance(bench, 5 * MS_NS);
    rig_push(bench, RIG_IN, "!q;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "0|5000000");
}

static void stage_behind_a_channel_is_told_when_a_message_came(void **state) {
    rig *bench = *state;
    uint16_t in = rig_channel(bench, "in", TV_INPUT), out = rig_channel(bench, "out", TV_OUTPUT);
    uint16_t first = rig_stage(bench, "first"), second = rig_stage(bench, "second");
    rig_edge(bench, in, 0, first);
    rig_edge(bench, first, 0, second);
    rig_edge(bench, second, 0, out);
    rig_config(bench, first, "script", "!y;");
    rig_start(bench);
    bench->clock.realtime_ns = 1772323200000000000;
    rig_push(bench, in, "!y;");
    rig_push(bench, in, "!gscript;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "1772323200000000000|-9223372036854775808");
}

static void configuration_is_found_by_path(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_config(bench, RIG_STAGE, "methods.length", "2");
    rig_config(bench, RIG_STAGE, "methods.0.kind", "range");
    rig_config(bench, RIG_STAGE, "methods.0", "{\"kind\":\"range\"}");
    rig_config(bench, RIG_STAGE, "", "{}");
    rig_config(bench, RIG_STAGE, "empty", "");
    rig_start(bench);
    rig_push(bench, RIG_IN, "!gmethods.0.kind;gmethods.length;gmethods.0;g;gempty;?;gmethod;?;gmethods.0.kind2;?;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "range|2|{\"kind\":\"range\"}|{}||0|-2|-2");
}

static void assets_are_found_by_name(void **state) {
    rig *bench = *state;
    static const tv_asset assets[] = {{"devices.csv", (const uint8_t *)"a,b", 3}, {"empty", (const uint8_t *)"", 0}};
    rig_line(bench);
    bench->stages[RIG_STAGE].assets = assets;
    bench->stages[RIG_STAGE].asset_count = 2;
    rig_start(bench);
    rig_push(bench, RIG_IN, "!adevices.csv;aempty;?;adevices;?;a;?;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "a,b||0|-2|-2");
}

static void counters_outlive_the_instance_and_are_limited(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    rig_push(bench, RIG_IN, "!clate;clate;T;");
    rig_push(bench, RIG_IN, "!clate;cUPPER;?;c;?;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "-1|-1");
    for (int i = 0; i < 17; i++) {
        char script[32];
        snprintf(script, sizeof script, "!cname_%d;?;", i);
        rig_push(bench, RIG_IN, script);
    }
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|-6|-6");
    const char *name;
    uint64_t value;
    assert_true(tv_flow_counter(bench->flow, RIG_STAGE, 0, &name, &value));
    assert_string_equal(name, "late");
    assert_int_equal(value, 3);
    assert_true(tv_flow_counter(bench->flow, RIG_STAGE, 15, &name, &value));
    assert_string_equal(name, "name_14");
    assert_false(tv_flow_counter(bench->flow, RIG_STAGE, 16, &name, &value));
}

static void log_lines_beyond_the_rate_are_counted(void **state) {
    rig *bench = *state;
    rig_line(bench);
    bench->stages[RIG_STAGE].log_lines_per_s = 2; // level INFO is not written, but it counts
    rig_start(bench);
    rig_push(bench, RIG_IN, "!oone;otwo;othree;ofour;");
    rig_run(bench);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).log_lines, 2);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).log_lines_suppressed, 2);
    rig_advance(bench, 1000 * MS_NS);
    rig_push(bench, RIG_IN, "!ofive;");
    rig_run(bench);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).log_lines, 3);
}

static void memory_grows_to_the_budget_and_no_further(void **state) {
    rig *bench = *state;
    rig_line(bench);
    bench->stages[RIG_STAGE].memory_bytes_max = 8 * 65536;
    rig_start(bench);
    rig_push(bench, RIG_IN, "!G3;?;G2;?;G1;?;G0;?;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "-1|6|-1|8");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).memory_bytes, 8 * 65536);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).memory_bytes_max, 8 * 65536);
}

// ---- specifications that are refused ------------------------------------------------------------------------

static void assert_refused(rig *bench, tv_status status, const char *part) {
    assert_int_equal(rig_try_start(bench), status);
    if (!strstr(bench->error.message, part)) fail_msg("\"%s\" is not in: %s", part, bench->error.message);
}

static void cycle_is_refused(void **state) {
    rig *bench = *state;
    rig_line(bench);
    uint16_t other = rig_stage(bench, "other");
    rig_edge(bench, RIG_STAGE, 1, other);
    rig_edge(bench, other, 0, RIG_STAGE);
    assert_refused(bench, TV_INVALID, "cycle");
}

static void edge_from_a_port_that_is_not_there_is_refused(void **state) {
    rig *bench = *state;
    rig_line(bench);
    bench->edges[1].from_port = 3;
    assert_refused(bench, TV_NOT_FOUND, "port 3");
}

static void channel_with_two_ends_in_the_flow_is_refused(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_edge(bench, RIG_STAGE, 1, RIG_OUT);
    assert_refused(bench, TV_INVALID, "channel out");
}

static void input_channel_for_two_stages_is_refused(void **state) {
    rig *bench = *state;
    rig_line(bench);
    uint16_t other = rig_stage(bench, "other");
    rig_edge(bench, RIG_IN, 0, other);
    assert_refused(bench, TV_INVALID, "channel in");
}

static void batch_too_small_for_the_channels_records_is_refused(void **state) {
    rig *bench = *state;
    rig_line(bench);
    bench->edges[0].record_bytes_max = 512; // the channel says 2048
    bench->stages[RIG_STAGE].batch_bytes_max = 1024;
    assert_refused(bench, TV_TOO_LARGE, "stage puppet");
}

static void batch_beyond_any_record_is_refused(void **state) {
    rig *bench = *state;
    rig_line(bench);
    bench->stages[RIG_STAGE].batch_bytes_max = UINT32_MAX - 8;
    assert_refused(bench, TV_INVALID, "stage puppet");
}

static void stage_without_inputs_needs_tv_pull(void **state) {
    rig *bench = *state;
    rig_line(bench);
    static tv_module_info info;
    info = *tv_module_get_info(rig_puppet());
    info.has_pull = false;
    uint16_t lonely = rig_stage(bench, "lonely");
    bench->stages[lonely].info = &info;
    assert_refused(bench, TV_INVALID, "lonely");
}

static void queue_below_twice_its_largest_record_is_refused(void **state) {
    rig *bench = *state;
    rig_line(bench);
    uint16_t other = rig_stage(bench, "other");
    rig_edge(bench, RIG_STAGE, 1, other)->record_bytes_max = 8193;
    assert_refused(bench, TV_TOO_LARGE, "puppet -> other");
}

// ---- plan ---------------------------------------------------------------------------------------------------

static void add_reserved(void *user, const tv_plan_line *line) { *(uint64_t *)user += line->reserved_bytes; }

static void plan_has_tables_and_the_copy_of_the_figures(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    tv_module_info info = *tv_module_get_info(rig_puppet());
    uint64_t before = 0, after = 0;
    tv_flow_plan(&bench->spec, add_reserved, &before);
    info.table_bytes_max += 1 << 20; // beside the linear memory, which has its own budget
    bench->stages[RIG_STAGE].info = &info;
    tv_flow_plan(&bench->spec, add_reserved, &after);
    bench->stages[RIG_STAGE].info = NULL;
    assert_int_equal(after - before, 1 << 20);
    uint64_t parts = bench->stages[RIG_STAGE].memory_bytes_max + tv_flow_state_bytes(bench->flow) +
                     tv_flow_snapshot_bytes(&bench->spec);
    assert_true(before > parts);
}

static void start_five_stages(rig *bench, const char *on_init) {
    uint16_t from = rig_channel(bench, "in", TV_INPUT), out = rig_channel(bench, "out", TV_OUTPUT);
    for (int i = 0; i < TV_FLOW_BAR_STAGES; i++) {
        uint16_t stage = rig_stage(bench, "puppet");
        rig_config(bench, stage, "on_init", on_init);
        rig_edge(bench, from, 0, stage);
        from = stage;
    }
    rig_edge(bench, from, 0, out);
    rig_start(bench);
}

static void state_of_five_stages_is_what_the_plan_says_and_within_its_bounds(void **state) {
    rig *bench = *state;
    start_five_stages(bench, "");
    size_t bytes = tv_flow_state_bytes(bench->flow);
    size_t planned = tv_flow_spec_state_bytes(&bench->spec, true); // with "bench/" before the names of the channels
    assert_in_range(bytes, planned - (2 + 3) * 24, planned);       // and up to 24 for each block
    assert_true(bytes <= TV_FLOW_BAR_STATE_BYTES);
    assert_true(tv_flow_hot_bytes(bench->flow) <= TV_FLOW_BAR_HOT_BYTES);
    assert_int_equal(tv_flow_hot_bytes(bench->flow), tv_flow_spec_hot_bytes(&bench->spec));
    print_message("state of a flow of five stages: %zu bytes, %zu of them in every turn\n", bytes,
                  tv_flow_hot_bytes(bench->flow));
}

// As components usually have them.
static void state_with_counters_is_within_its_bounds_too(void **state) {
    rig *bench = *state;
    start_five_stages(bench, "cparsed;cfailed;clate;cother;");
    assert_int_equal(bench->runtime->names.count, 4);
    assert_true(tv_flow_state_bytes(bench->flow) > tv_flow_spec_state_bytes(&bench->spec, true));
    assert_true(tv_flow_state_bytes(bench->flow) <= TV_FLOW_BAR_STATE_BYTES);
}

static void what_is_made_later_is_counted_and_was_planned(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    size_t fresh = tv_flow_state_bytes(bench->flow), with_snapshot;
    rig_push(bench, RIG_IN, "!T;");
    for (int i = 0; i < 16; i++) {
        char script[32];
        snprintf(script, sizeof script, "!cname_%d;?;", i);
        rig_push(bench, RIG_IN, script);
    }
    rig_run(bench);
    size_t used = tv_flow_state_bytes(bench->flow);
    assert_true(used > fresh + sizeof(tv_stage_cold) + 16 * 16);
    assert_true(used <= tv_flow_spec_state_bytes(&bench->spec, false));
    assert_int_equal(bench->runtime->names.count, 16);
    bench->runtime->started = true; // figures as if workers ran
    (void)tv_flow_turns(bench->flow);
    with_snapshot = tv_flow_state_bytes(bench->flow);
    assert_true(with_snapshot >= used + tv_flow_snapshot_bytes(&bench->spec));
    rig_run(bench);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).faults, 1);
    tv_flow_forget_figures(bench->flow);
    bench->runtime->started = false;
    assert_int_equal(tv_flow_state_bytes(bench->flow), used);
}

// Two flows of one specification, with names and a configuration of their own.
static void flows_share_a_specification(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_config(bench, RIG_STAGE, "greeting", "hello");
    rig_start(bench);
    static const tv_config_entry other[] = {{.path = "greeting", .value = "goodbye"}};
    tv_stage_config config = {.entries = other, .count = 1};
    tv_flow_part part = {.name = "second", .configs = &config};
    tv_channel *channels[2], *first[2] = {bench->channels[0], bench->channels[1]};
    tv_flow *flow, *first_flow = bench->flow;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(tv_channel_new(&bench->channel_options[i], &channels[i], &bench->error), TV_OK);
    assert_int_equal(tv_flow_new(bench->runtime, &bench->spec, &part, channels, &flow, &bench->error), TV_OK);
    assert_string_equal(tv_flow_name(flow), "second");
    assert_string_equal(tv_flow_name(first_flow), "bench");
    memcpy(bench->channels, channels, sizeof channels);
    rig_push(bench, RIG_IN, "!ggreeting;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "goodbye");
    memcpy(bench->channels, first, sizeof first);
    rig_push(bench, RIG_IN, "!ggreeting;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "hello");
    tv_flow_drain(flow);
    tv_runtime_free(bench->runtime);
    bench->runtime = NULL;
    tv_channel_free(channels[0]);
    tv_channel_free(channels[1]);
}

static uint64_t counted(const rig *bench, tv_memory_kind kind) { return atomic_load(&bench->memory.now_bytes[kind]); }

// What the account says is what there is, and nothing when all is gone (rig_deinit looks at that after each test).
static void memory_is_counted_by_kind(void **state) {
    rig *bench = *state;
    start_five_stages(bench, "ccounter;");
    assert_int_equal(counted(bench, TV_MEMORY_QUEUES), bench->flow->ring_memory_bytes);
    assert_int_equal(counted(bench, TV_MEMORY_QUEUES), 4 * (16 << 10));
    assert_int_equal(counted(bench, TV_MEMORY_CHANNELS), 3 * (64 << 10)); // with that of dead letters
    uint64_t state_bytes = counted(bench, TV_MEMORY_STATE);
    assert_true(state_bytes > tv_flow_state_bytes(bench->flow));
    (void)tv_runtime_memory(bench->runtime);
    rig_push(bench, RIG_IN, "!T;");
    rig_run(bench);
    assert_int_equal(counted(bench, TV_MEMORY_STATE), state_bytes + tv_heap_bytes(bench->flow->stage_rares[0].cold));
    tv_channel_fail(bench->channels[0], "it is broken");
    rig_run(bench);
    assert_true(counted(bench, TV_MEMORY_STATE) > state_bytes + tv_heap_bytes(bench->flow->stage_rares[0].cold));
    assert_int_equal(atomic_load(&bench->memory.peak_bytes[TV_MEMORY_STATE]), counted(bench, TV_MEMORY_STATE));
    tv_error error;
    assert_int_equal(tv_memory_account_check_empty(&bench->memory, &error), TV_INVALID);
    assert_non_null(strstr(error.message, "flow state"));
}

static const struct CMUnitTest tests[] = {
    rig_test(plan_has_tables_and_the_copy_of_the_figures),
    rig_test(state_of_five_stages_is_what_the_plan_says_and_within_its_bounds),
    rig_test(state_with_counters_is_within_its_bounds_too),
    rig_test(what_is_made_later_is_counted_and_was_planned),
    rig_test(flows_share_a_specification),
    rig_test(memory_is_counted_by_kind),
    rig_test(timer_ticks_once_when_it_is_due),
    rig_test(later_setting_replaces_the_earlier_and_negative_clears),
    rig_test(shortest_delay_is_a_millisecond),
    rig_test(timer_that_sets_itself_goes_on),
    rig_test(a_timer_that_was_held_up_by_the_output_comes_without_input),
    rig_test(longest_delay_does_not_wrap),
    rig_test(timer_dies_with_its_instance),
    rig_test(timers_of_several_flows_share_a_worker),
    rig_test(source_is_pulled_until_its_end),
    rig_test(source_without_work_is_asked_again_later),
    rig_test(source_with_a_timer_is_pulled_behind_it),
    rig_test(source_stops_when_the_flow_drains),
    rig_test(source_that_is_held_makes_nothing_until_it_is_let_go),
    rig_test(source_that_is_held_ends_with_its_flow),
    rig_test(stage_behind_a_held_source_goes_on),
    rig_test(source_that_fails_goes_on_with_a_fresh_instance),
    rig_test(source_waits_for_room),
    rig_test(clock_needs_its_grant),
    rig_test(monotonic_clock_counts_from_the_flows_start),
    rig_test(stage_behind_a_channel_is_told_when_a_message_came),
    rig_test(configuration_is_found_by_path),
    rig_test(assets_are_found_by_name),
    rig_test(counters_outlive_the_instance_and_are_limited),
    rig_test(log_lines_beyond_the_rate_are_counted),
    rig_test(memory_grows_to_the_budget_and_no_further),
    rig_test(cycle_is_refused),
    rig_test(edge_from_a_port_that_is_not_there_is_refused),
    rig_test(channel_with_two_ends_in_the_flow_is_refused),
    rig_test(input_channel_for_two_stages_is_refused),
    rig_test(batch_too_small_for_the_channels_records_is_refused),
    rig_test(batch_beyond_any_record_is_refused),
    rig_test(stage_without_inputs_needs_tv_pull),
    rig_test(queue_below_twice_its_largest_record_is_refused),
};

static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
