// Shared instances: who shares with whom, and that nobody notices but for the memory. The component counts the records
// that its instance has seen, against its promise: so a test can tell which instance served.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/testing/bank.h"

enum { MANY = 1500 }; // more than an output channel holds
#define MANY_SCRIPT "!n0:1500;"

static void share_stages(bank_line *line) {
    for (size_t i = 0; i < line->spec.stage_count; i++) {
        line->stages[i].module = rig_puppet_stateless();
        line->stages[i].grants = 0;
        line->stages[i].shared = true;
    }
}

static bank_line *add(bank *bench, const char *name, tv_class class, uint32_t stages) {
    bank_line *line = bank_add(bench, name, class, stages);
    rig_use_engine_handlers();
    share_stages(line);
    return line;
}

static bank_line *add_keyed(bank *bench, const char *name, tv_class class) {
    bank_line *line = add(bench, name, class, 1);
    line->stages[0].module = rig_puppet_keyed();
    return line;
}

static bank_line *add_started(bank *bench, const char *name, tv_class class, uint32_t stages) {
    bank_line *line = add(bench, name, class, stages);
    bank_start(bench, line);
    return line;
}

static tv_pool_stats pool_stats(const bank *bench) {
    tv_pool_stats stats;
    tv_runtime_pool_stats(bench->runtime, &stats);
    return stats;
}

static void expect_instances(const bank *bench, uint64_t now, uint64_t made) {
    assert_int_equal(pool_stats(bench).instances_now, now);
    assert_int_equal(pool_stats(bench).instances_made, made);
}

static tv_stage_stats stage_stats(bank_line *line, size_t stage) {
    tv_stage_stats stats;
    tv_flow_stage_stats(line->flow, stage, &stats);
    return stats;
}

// -1: there is no such counter.
static int64_t counter(bank_line *line, const char *wanted) {
    const char *name;
    uint64_t value;
    for (uint32_t i = 0; tv_flow_counter(line->flow, 0, i, &name, &value); i++)
        if (strcmp(name, wanted) == 0) return (int64_t)value;
    return -1;
}

// What came out, joined by '|'.
static const char *take(bank_line *line) {
    static char text[1 << 16];
    const tv_record *record;
    uint32_t bytes, records;
    size_t length = 0;
    while (tv_channel_peek(line->channels[1], &record, &bytes, &records) == TV_OK) {
        assert_true(length + record->payload_bytes + 2 < sizeof text);
        if (length) text[length++] = '|';
        memcpy(text + length, tv_record_payload(record), record->payload_bytes);
        length += record->payload_bytes;
        tv_channel_pop(line->channels[1], 1, record->size_bytes);
    }
    text[length] = 0;
    return text;
}

static void expect(bank *bench, bank_line *line, const char *push, const char *output) {
    bank_push(line, push);
    bank_run(bench);
    assert_string_equal(take(line), output);
}

// ---- who shares ---------------------------------------------------------------------------------------------

static void flows_share_one_instance(void **state) {
    bank *bench = *state;
    bank_line *a = add_started(bench, "a", TV_CLASS_NORMAL, 1), *b = add_started(bench, "b", TV_CLASS_NORMAL, 1);
    bank_line *c = add_started(bench, "c", TV_CLASS_NORMAL, 1);
    expect(bench, a, "!v;", "1");
    expect(bench, b, "!v;", "2");
    expect(bench, c, "!v;", "3");
    expect(bench, a, "!v;", "4");
    expect_instances(bench, 1, 1);
    assert_int_equal(pool_stats(bench).waits, 0);
    assert_int_equal(stage_stats(a, 0).processed, 2);
    assert_int_equal(stage_stats(c, 0).processed, 1);
}

static void equal_configuration_shares_wherever_it_lies(void **state) {
    bank *bench = *state;
    char path[2][8] = {"x", "x"}, value[2][8] = {"1", "1"};
    uint8_t bytes[2][4] = {"abc", "abc"};
    tv_asset assets[2] = {{"table", bytes[0], 3}, {"table", bytes[1], 3}};
    for (int i = 0; i < 2; i++) {
        bank_line *line = add(bench, "line", TV_CLASS_NORMAL, 1);
        bank_config(line, 0, path[i], value[i]);
        line->stages[0].assets = &assets[i];
        line->stages[0].asset_count = 1;
        bank_start(bench, line);
    }
    expect(bench, &bench->lines[0], "!v;gx;atable;", "1|1|abc");
    expect(bench, &bench->lines[1], "!v;gx;atable;", "2|1|abc");
    expect_instances(bench, 1, 1);
}

static void change_memory(bank_line *line) { line->stages[0].memory_bytes_max *= 2; }
static void change_batch(bank_line *line) { line->stages[0].batch_bytes_max /= 2; }
static void change_grants(bank_line *line) { line->stages[0].grants = TV_GRANT_RANDOM; }
static void change_value(bank_line *line) { line->config[0][0].value = "2"; }
static void change_path(bank_line *line) { line->config[0][0].path = "y"; }
static void change_config(bank_line *line) { line->stages[0].config_count = 0; }
static void change_class(bank_line *line) { line->spec.class = TV_CLASS_HIGH; }
static void change_asset(bank_line *line) {
    static const tv_asset other = {"table", (const uint8_t *)"abd", 3};
    line->stages[0].assets = &other;
}
static void change_asset_name(bank_line *line) {
    static const tv_asset other = {"tablf", (const uint8_t *)"abc", 3};
    line->stages[0].assets = &other;
}

static void what_makes_another_instance_is_not_shared(void **state) {
    bank *bench = *state;
    static void (*const changes[])(bank_line *) = {change_memory, change_batch, change_grants,
                                                   change_value,  change_path,  change_config,
                                                   change_class,  change_asset, change_asset_name};
    enum { CHANGES = sizeof changes / sizeof *changes };
    static const tv_asset asset = {"table", (const uint8_t *)"abc", 3};
    for (int i = 0; i <= CHANGES; i++) {
        bank_line *line = add(bench, "line", TV_CLASS_NORMAL, 1);
        bank_config(line, 0, "x", "1");
        line->stages[0].assets = &asset;
        line->stages[0].asset_count = 1;
        if (i < CHANGES) changes[i](line);
        bank_start(bench, line);
    }
    for (int i = 0; i <= CHANGES; i++)
        expect(bench, &bench->lines[i], "!v;", "1");
    expect_instances(bench, CHANGES + 1, CHANGES + 1);
}

static void stage_that_does_not_ask_has_its_own(void **state) {
    bank *bench = *state;
    bank_line *a = add_started(bench, "a", TV_CLASS_NORMAL, 1), *b = add(bench, "b", TV_CLASS_NORMAL, 1);
    b->stages[0].shared = false;
    bank_start(bench, b);
    expect(bench, a, "!v;", "1");
    expect(bench, b, "!v;", "1");
    expect_instances(bench, 1, 1);
}

static void component_with_state_cannot_be_shared(void **state) {
    bank *bench = *state;
    bank_line *line = bank_add(bench, "a", TV_CLASS_NORMAL, 1);
    line->stages[0].shared = true;
    assert_int_equal(tv_flow_new(bench->runtime, &line->spec, NULL, line->channels, &line->flow, &bench->error),
                     TV_INVALID);
    assert_non_null(strstr(bench->error.message, "TV_STATELESS"));
}

static void each_worker_has_its_own(void **state) {
    (void)state;
    static bank bench;
    bank_init(&bench, 2);
    for (int i = 0; i < 4; i++)
        add_started(&bench, "line", TV_CLASS_NORMAL, 1); // by turns
    expect(&bench, &bench.lines[0], "!v;", "1");
    expect(&bench, &bench.lines[1], "!v;", "1");
    expect(&bench, &bench.lines[2], "!v;", "2");
    expect(&bench, &bench.lines[3], "!v;", "2");
    expect_instances(&bench, 2, 2);
    bank_deinit(&bench);
}

static void flow_whose_class_changes_goes_to_the_others_of_that_class(void **state) {
    bank *bench = *state;
    bank_line *a = add_started(bench, "a", TV_CLASS_NORMAL, 1), *b = add_started(bench, "b", TV_CLASS_HIGH, 1);
    tv_flow_settings settings = {.fields = TV_SET_CLASS, .class = TV_CLASS_HIGH};
    expect(bench, a, "!v;", "1");
    expect(bench, b, "!v;", "1");
    expect_instances(bench, 2, 2);
    assert_int_equal(tv_flow_set(a->flow, &settings, &bench->error), TV_OK);
    expect(bench, a, "!v;", "2");
    expect_instances(bench, 1, 2); // nobody is left in the other class
}

// ---- starting and leaving -----------------------------------------------------------------------------------

static void component_that_cannot_start_is_found_with_the_flow(void **state) {
    bank *bench = *state;
    for (int i = 0; i < 2; i++) {
        bank_line *line = add(bench, "a", TV_CLASS_NORMAL, 2);
        bank_config(line, 1, "on_init", "z-7;");
        assert_int_equal(tv_flow_new(bench->runtime, &line->spec, NULL, line->channels, &line->flow, &bench->error),
                         TV_FAULT);
        assert_non_null(strstr(bench->error.message, "stage s1"));
    }
    expect_instances(bench, 0, 0);
}

static void init_is_called_once_for_all(void **state) {
    bank *bench = *state;
    for (int i = 0; i < 3; i++) {
        bank_line *line = add(bench, "line", TV_CLASS_NORMAL, 1);
        bank_config(line, 0, "on_init", "cinits;");
        bank_start(bench, line);
    }
    for (int i = 0; i < 3; i++)
        expect(bench, &bench->lines[i], "a", "a");
    assert_int_equal(counter(&bench->lines[0], "inits"), 1);
    assert_int_equal(counter(&bench->lines[1], "inits"), -1);
}

static void flow_without_records_costs_no_instance(void **state) {
    bank *bench = *state;
    tv_arena_stats stats;
    for (int i = 0; i < 4; i++)
        add_started(bench, "line", TV_CLASS_NORMAL, 5);
    bank_run(bench);
    expect_instances(bench, 0, 0);
    tv_engine_arena_stats(rig_engine(), &stats);
    assert_int_equal(stats.memories_now, 5); // those that showed whether the components start
    expect(bench, &bench->lines[3], "a", "a");
    expect_instances(bench, 5, 5);
    expect(bench, &bench->lines[0], "a", "a"); // its own are not needed any more
    expect_instances(bench, 5, 5);
    tv_engine_arena_stats(rig_engine(), &stats);
    assert_int_equal(stats.memories_now, 5);
}

static void last_one_to_leave_takes_the_instance_along(void **state) {
    bank *bench = *state;
    bank_line *a = add_started(bench, "a", TV_CLASS_NORMAL, 2), *b = add_started(bench, "b", TV_CLASS_NORMAL, 2);
    expect(bench, a, "x", "x");
    expect(bench, b, "y", "y");
    expect_instances(bench, 2, 2);
    bank_remove(a, TV_REMOVE_NOW);
    bank_run(bench);
    bank_free_line(bench, a);
    expect(bench, b, "!v;", "3");
    expect_instances(bench, 2, 2);
    tv_channel_end(b->channels[0]);
    bank_run(bench);
    assert_int_equal(b->ended, 1);
    expect_instances(bench, 0, 2);
}

static void standard_output_does_not_outlive_its_flow(void **state) {
    bank *bench = *state;
    bank_line *a = add_started(bench, "a", TV_CLASS_NORMAL, 1), *b = add_started(bench, "b", TV_CLASS_NORMAL, 1);
    expect(bench, b, "x", "x");
    expect(bench, a, "x", "x");
    bank_remove(a, TV_REMOVE_NOW);
    bank_run(bench);
    bank_free_line(bench, a); // served last: nobody may look at it any more
    expect(bench, b, "!v;", "3");
}

// ---- faults -------------------------------------------------------------------------------------------------

static void fault_is_that_of_the_flow_it_served(void **state) {
    bank *bench = *state;
    bank_line *a = add_started(bench, "a", TV_CLASS_NORMAL, 1), *b = add_started(bench, "b", TV_CLASS_NORMAL, 1);
    expect(bench, b, "!v;", "1");
    expect(bench, a, "!T;", "");
    tv_stage_stats of_a = stage_stats(a, 0), of_b = stage_stats(b, 0);
    assert_int_equal(of_a.faults, 1);
    assert_int_equal(of_a.restarts, 1);
    assert_int_equal(of_a.dead_lettered, 1);
    assert_int_equal(of_a.state_losses, 0); // there was none
    assert_int_equal(of_b.faults + of_b.restarts + of_b.state_losses + of_b.dead_lettered, 0);
    expect_instances(bench, 0, 1);
    expect(bench, b, "!v;", "1"); // a fresh one
    expect(bench, a, "!v;", "2");
    expect_instances(bench, 1, 2);
    assert_string_equal(of_b.last_error, "");
}

static void flow_that_fails_too_often_stops_alone(void **state) {
    bank *bench = *state;
    bank_line *a = add(bench, "a", TV_CLASS_NORMAL, 1), *b = add_started(bench, "b", TV_CLASS_NORMAL, 1);
    a->stages[0].restart.limit = 2;
    bank_start(bench, a);
    for (int i = 0; i < 3; i++) {
        bank_push(a, "!T;");
        bank_push(b, "x");
    }
    bank_run(bench);
    assert_int_equal(tv_flow_get_state(a->flow), TV_FLOW_FAILED);
    expect(bench, b, "y", "x|x|x|y");
    assert_int_equal(stage_stats(b, 0).faults, 0);
}

static void rejects_and_counters_are_those_of_the_flow_served(void **state) {
    bank *bench = *state;
    bank_line *a = add_started(bench, "a", TV_CLASS_NORMAL, 1), *b = add_started(bench, "b", TV_CLASS_NORMAL, 1);
    expect(bench, a, "!cone;ctwo;rno;", "");
    expect(bench, b, "!ctwo;ctwo;", "");
    tv_stage_stats of_a = stage_stats(a, 0), of_b = stage_stats(b, 0);
    assert_int_equal(of_a.rejected, 1);
    assert_int_equal(of_b.rejected, 0);
    assert_int_equal(counter(a, "one"), 1);
    assert_int_equal(counter(a, "two"), 1);
    assert_int_equal(counter(b, "one"), -1);
    assert_int_equal(counter(b, "two"), 2);
}

// ---- output that waits inside -------------------------------------------------------------------------------

static void expect_many(bank_line *line) {
    assert_int_equal(line->taken, MANY);
    line->taken = 0;
}

static void drain(bank *bench, bank_line *line) {
    while (bank_take(line) > 0)
        bank_run(bench);
}

static void others_go_on_while_output_waits(void **state) {
    bank *bench = *state;
    bank_line *a = add_started(bench, "a", TV_CLASS_NORMAL, 1), *b = add_started(bench, "b", TV_CLASS_NORMAL, 1);
    bank_push(a, MANY_SCRIPT);
    bank_push(a, "!v;");
    bank_run(bench);
    assert_true(a->flow->stages[0].more);
    assert_true(tv_pool_holds_any(a->flow));
    expect(bench, b, "!v;", "1"); // on another one
    expect(bench, b, "!v;", "2");
    expect_instances(bench, 2, 2);
    drain(bench, a);
    assert_int_equal(a->taken, MANY + 1);
    assert_false(tv_pool_holds_any(a->flow));
    expect_instances(bench, 2, 2);
    assert_int_equal(pool_stats(bench).waits, 0);
}

// As many as a pool makes are held; those who come then wait, and go on as soon as one is free.
static void who_finds_all_held_waits_for_one(void **state) {
    bank *bench = *state;
    enum { HOLDERS = TV_POOL_INSTANCES_MAX, WAITERS = 3 };
    for (int i = 0; i < HOLDERS + WAITERS; i++)
        add_started(bench, "line", TV_CLASS_NORMAL, 1);
    for (int i = 0; i < HOLDERS; i++)
        bank_push(&bench->lines[i], MANY_SCRIPT);
    bank_run(bench);
    for (int i = HOLDERS; i < HOLDERS + WAITERS; i++)
        bank_push(&bench->lines[i], "x");
    bank_run(bench);
    assert_int_equal(pool_stats(bench).waits, WAITERS);
    for (int i = HOLDERS; i < HOLDERS + WAITERS; i++)
        assert_string_equal(take(&bench->lines[i]), "");
    drain(bench, &bench->lines[1]);
    for (int i = HOLDERS; i < HOLDERS + WAITERS; i++)
        assert_string_equal(take(&bench->lines[i]), "x");
    expect_instances(bench, HOLDERS, HOLDERS);
    for (int i = 0; i < HOLDERS; i++)
        drain(bench, &bench->lines[i]);
    for (int i = 0; i < HOLDERS; i++)
        expect_many(&bench->lines[i]);
}

// The word that one is free must not get lost with a flow that cannot use it.
static void one_that_is_woken_and_cannot_go_on_passes_it_on(void **state) {
    bank *bench = *state;
    enum { HOLDERS = TV_POOL_INSTANCES_MAX, FIRST = HOLDERS, SECOND, THIRD, ALL };
    for (int i = 0; i < ALL; i++)
        add_started(bench, "line", TV_CLASS_NORMAL, 1);
    for (int i = 0; i < HOLDERS; i++)
        bank_push(&bench->lines[i], MANY_SCRIPT);
    bank_run(bench);
    for (int i = FIRST; i < ALL; i++)
        bank_push(&bench->lines[i], "x");
    bank_run(bench);
    tv_flow_pause(bench->lines[FIRST].flow);
    bank_remove(&bench->lines[SECOND], TV_REMOVE_NOW);
    bank_remove(&bench->lines[0], TV_REMOVE_NOW); // frees one, what waits in it is gone with its flow
    bank_run(bench);
    assert_string_equal(take(&bench->lines[FIRST]), "");
    assert_string_equal(take(&bench->lines[THIRD]), "x");
    tv_flow_resume(bench->lines[FIRST].flow);
    bank_run(bench);
    assert_string_equal(take(&bench->lines[FIRST]), "x");
    bank_free_line(bench, &bench->lines[0]);
    bank_free_line(bench, &bench->lines[SECOND]);
    for (int i = 1; i < HOLDERS; i++) {
        drain(bench, &bench->lines[i]);
        expect_many(&bench->lines[i]);
    }
}

// The same component several times in a row: those behind must not wait for those in front, who wait for them.
static void stages_in_a_row_do_not_wait_in_a_circle(void **state) {
    bank *bench = *state;
    enum { LINES = 2 * TV_POOL_INSTANCES_MAX };
    for (int i = 0; i < LINES; i++) {
        bank_line *line = add(bench, "line", TV_CLASS_NORMAL, 3);
        for (int k = 1; k < 3; k++) {
            line->edges[k].capacity_bytes = 4096; // fewer than what one record brings
            line->edges[k].record_bytes_max = 1024;
        }
        bank_start(bench, line);
        bank_push(line, MANY_SCRIPT);
        bank_push(line, MANY_SCRIPT);
    }
    bank_run(bench);
    for (int round = 0; round < LINES; round++)
        for (int i = 0; i < LINES; i++)
            drain(bench, &bench->lines[i]);
    for (int i = 0; i < LINES; i++)
        assert_int_equal(bench->lines[i].taken, 2 * MANY);
}

static void removed_while_output_waits_takes_the_instance_along(void **state) {
    bank *bench = *state;
    bank_line *a = add_started(bench, "a", TV_CLASS_NORMAL, 1), *b = add_started(bench, "b", TV_CLASS_NORMAL, 1);
    bank_push(a, MANY_SCRIPT);
    bank_run(bench);
    assert_true(tv_pool_holds_any(a->flow));
    bank_remove(a, TV_REMOVE_NOW);
    bank_run(bench);
    expect_instances(bench, 0, 1);
    bank_free_line(bench, a);
    expect(bench, b, "!v;", "1"); // nothing of the other's comes out here
}

static void class_changed_while_output_waits_stays_until_it_is_out(void **state) {
    bank *bench = *state;
    bank_line *a = add_started(bench, "a", TV_CLASS_NORMAL, 1), *b = add_started(bench, "b", TV_CLASS_CRITICAL, 1);
    tv_flow_settings settings = {.fields = TV_SET_CLASS, .class = TV_CLASS_CRITICAL};
    expect(bench, b, "!v;", "1");
    bank_push(a, MANY_SCRIPT);
    bank_run(bench);
    assert_int_equal(tv_flow_set(a->flow, &settings, &bench->error), TV_OK);
    bank_run(bench);
    drain(bench, a);
    expect_many(a);
    expect(bench, a, "!v;", "2");
    expect_instances(bench, 1, 2);
}

static void fault_while_output_waits_is_charged_and_frees_the_instance(void **state) {
    bank *bench = *state;
    bank_line *a = add(bench, "a", TV_CLASS_NORMAL, 1), *b = add(bench, "b", TV_CLASS_NORMAL, 1);
    bank_config(a, 0, "on_resume", "T;");
    bank_config(b, 0, "on_resume", "T;");
    bank_start(bench, a);
    bank_start(bench, b);
    bank_push(a, MANY_SCRIPT);
    bank_run(bench);
    drain(bench, a); // the end of tv_resume fails: its output is taken back with it
    assert_true(a->taken < MANY);
    assert_int_equal(stage_stats(a, 0).faults, 1);
    assert_false(tv_pool_holds_any(a->flow));
    expect(bench, b, "!v;", "1");
    assert_int_equal(stage_stats(b, 0).faults, 0);
}

// ---- keyed state --------------------------------------------------------------------------------------------

static void each_flow_keeps_its_own_state_in_one_instance(void **state) {
    bank *bench = *state;
    bank_line *a = add_keyed(bench, "a", TV_CLASS_NORMAL), *b = add_keyed(bench, "b", TV_CLASS_NORMAL);
    bank_start(bench, a);
    bank_start(bench, b);
    expect(bench, a, "!v;", "1");
    expect(bench, a, "!v;", "2");
    expect(bench, b, "!v;", "1");
    expect(bench, a, "!v;", "3");
    expect(bench, b, "!v;", "2");
    expect_instances(bench, 1, 1);
}

static void state_begins_as_init_has_left_it(void **state) {
    bank *bench = *state;
    for (int i = 0; i < 3; i++) {
        bank_config(add_keyed(bench, "line", TV_CLASS_NORMAL), 0, "on_init", "K40;");
        bank_start(bench, &bench->lines[i]);
        expect(bench, &bench->lines[i], "!v;", "41");
    }
    expect(bench, &bench->lines[0], "!v;", "42");
    expect_instances(bench, 1, 1);
}

static void fault_costs_the_state_of_its_own_flow_alone(void **state) {
    bank *bench = *state;
    bank_line *a = add_keyed(bench, "a", TV_CLASS_NORMAL), *b = add_keyed(bench, "b", TV_CLASS_NORMAL);
    bank_start(bench, a);
    bank_start(bench, b);
    expect(bench, b, "!v;", "1");
    expect(bench, a, "!v;", "1");
    expect(bench, a, "!v;", "2");
    expect(bench, a, "!T;", "");
    expect(bench, b, "!v;", "2");
    expect(bench, a, "!v;", "1");
    assert_int_equal(stage_stats(a, 0).state_losses, 1);
    assert_int_equal(stage_stats(a, 0).records_since_start_lost, 2);
    assert_int_equal(stage_stats(b, 0).state_losses, 0);
    expect(bench, a, "!T;", "");
    assert_int_equal(stage_stats(a, 0).records_since_start_lost, 3);
}

static void state_follows_its_flow(void **state) {
    bank *bench = *state;
    bank_line *a = add_keyed(bench, "a", TV_CLASS_NORMAL), *b = add_keyed(bench, "b", TV_CLASS_HIGH);
    tv_flow_settings settings = {.fields = TV_SET_CLASS, .class = TV_CLASS_HIGH};
    bank_start(bench, a);
    bank_start(bench, b);
    expect(bench, a, "!v;", "1");
    expect(bench, b, "!v;", "1");
    assert_int_equal(tv_flow_set(a->flow, &settings, &bench->error), TV_OK);
    expect(bench, a, "!v;", "2");
    bank_push(a, MANY_SCRIPT); // and while output waits
    bank_run(bench);
    expect(bench, b, "!v;", "2");
    drain(bench, a);
    expect(bench, a, "!v;", "4");
    expect(bench, b, "!v;", "3");
}

static void timers_and_ends_are_those_of_the_flow(void **state) {
    bank *bench = *state;
    for (int i = 0; i < 2; i++) {
        bank_line *line = add_keyed(bench, "line", TV_CLASS_NORMAL);
        bank_config(line, 0, "on_init", "s1;"); // not here: it is called for all of them
        bank_config(line, 0, "on_tick", "v;");
        bank_config(line, 0, "on_close", "v;");
        bank_start(bench, line);
    }
    bank_line *a = &bench->lines[0], *b = &bench->lines[1];
    bank_advance(bench, 10000000);
    bank_run(bench);
    assert_string_equal(take(a), "");
    expect(bench, b, "x", "x");
    expect(bench, a, "x", "x");
    expect(bench, a, "!s2000000;v;", "2");
    expect(bench, b, "x", "x");
    expect(bench, b, "!v;", "3");
    bank_advance(bench, 2000000);
    bank_run(bench);
    assert_string_equal(take(a), "2");
    assert_string_equal(take(b), "");
    tv_channel_end(b->channels[0]);
    bank_run(bench);
    assert_string_equal(take(b), "3");
    tv_channel_end(a->channels[0]);
    bank_run(bench);
    assert_string_equal(take(a), "2");
    assert_int_equal(a->ended + b->ended, 2);
    expect_instances(bench, 0, 1);
}

static void state_is_part_of_what_a_flow_takes(void **state) {
    bank *bench = *state;
    bank_line *line = add_keyed(bench, "a", TV_CLASS_NORMAL);
    size_t keyed = tv_flow_spec_state_bytes(&line->spec, true);
    line->stages[0].module = rig_puppet_stateless();
    size_t stateless = tv_flow_spec_state_bytes(&line->spec, true);
    line->stages[0].shared = false;
    assert_true(keyed > stateless && stateless > tv_flow_spec_state_bytes(&line->spec, true));
    line->stages[0].shared = true;
    bank_start(bench, line);
    assert_true(tv_flow_state_bytes(line->flow) <= stateless);
}

static const struct CMUnitTest tests[] = {
    bank_test(flows_share_one_instance),
    bank_test(equal_configuration_shares_wherever_it_lies),
    bank_test(what_makes_another_instance_is_not_shared),
    bank_test(stage_that_does_not_ask_has_its_own),
    bank_test(component_with_state_cannot_be_shared),
    cmocka_unit_test(each_worker_has_its_own),
    bank_test(flow_whose_class_changes_goes_to_the_others_of_that_class),
    bank_test(component_that_cannot_start_is_found_with_the_flow),
    bank_test(init_is_called_once_for_all),
    bank_test(flow_without_records_costs_no_instance),
    bank_test(last_one_to_leave_takes_the_instance_along),
    bank_test(standard_output_does_not_outlive_its_flow),
    bank_test(fault_is_that_of_the_flow_it_served),
    bank_test(flow_that_fails_too_often_stops_alone),
    bank_test(rejects_and_counters_are_those_of_the_flow_served),
    bank_test(others_go_on_while_output_waits),
    bank_test(who_finds_all_held_waits_for_one),
    bank_test(one_that_is_woken_and_cannot_go_on_passes_it_on),
    bank_test(stages_in_a_row_do_not_wait_in_a_circle),
    bank_test(removed_while_output_waits_takes_the_instance_along),
    bank_test(class_changed_while_output_waits_stays_until_it_is_out),
    bank_test(fault_while_output_waits_is_charged_and_frees_the_instance),
    bank_test(each_flow_keeps_its_own_state_in_one_instance),
    bank_test(state_begins_as_init_has_left_it),
    bank_test(fault_costs_the_state_of_its_own_flow_alone),
    bank_test(state_follows_its_flow),
    bank_test(timers_and_ends_are_those_of_the_flow),
    bank_test(state_is_part_of_what_a_flow_takes),
};

static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
