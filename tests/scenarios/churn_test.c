// Flows come and go while others run on several workers: made, fed, paused, changed, removed and freed by one thread.
// For the thread sanitizer and the address sanitizer above all; the books of each flow must balance when it leaves.
#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/testing/await.h"
#include "flow/testing/bank.h"

enum { WORKERS = 3, PLACES = 9, FLOWS_IN_ALL = 150 };

static bank bench;
static uint32_t random_state = 1;

static uint32_t random_below(uint32_t limit) {
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % limit;
}

static void serve(void) {
    tv_channel *channel = tv_ready_list_take(&bench.ready);
    while (channel)
        channel = tv_channel_next_ready(channel);
    const tv_record *first;
    uint32_t bytes, records;
    for (uint32_t i = 0; i < WORKERS; i++)
        while (tv_channel_peek(bench.letters[i], &first, &bytes, &records) == TV_OK)
            tv_channel_pop(bench.letters[i], records, bytes);
}

static const char *message(void) {
    switch (random_below(8)) {
    case 0: return "!n0:20;";
    case 1: return "!T;";
    case 2: return "!rno;";
    case 3: return "!s1000000;e0:timed;";
    default: return "plain text of a record";
    }
}

static void feed(bank_line *line) {
    for (int i = 0; i < 20; i++) {
        const char *text = message();
        if (tv_channel_push(line->channels[0], text, (uint32_t)strlen(text)) != TV_OK) break;
    }
    tv_channel_publish(line->channels[0]);
}

static void change(bank_line *line) {
    tv_flow_settings settings = {.fields = TV_SET_CLASS | TV_SET_QUANTUM,
                                 .class = (tv_class)random_below(TV_CLASS_COUNT),
                                 .quantum_records = random_below(50)};
    assert_int_equal(tv_flow_set(line->flow, &settings, &bench.error), TV_OK);
}

// Waits until the worker has let go of it, with the I/O thread's work going on meanwhile.
static void await_removed(bank_line *line) {
    TV_AWAIT("the flow to be removed");
    while (!atomic_load(&line->removed)) {
        serve();
        bank_take(line);
        sched_yield();
    }
    bank_take(line);
}

static void leave(bank_line *line) {
    bool drains = random_below(2);
    if (drains) tv_channel_end(line->channels[0]);
    bank_remove(line, drains ? TV_REMOVE_DRAIN : TV_REMOVE_NOW);
    if (random_below(3) == 0) bank_remove(line, TV_REMOVE_NOW);
    if (random_below(3) == 0) tv_flow_set(line->flow, &(tv_flow_settings){0}, &bench.error); // perhaps too late
    await_removed(line);
    assert_true(tv_flow_get_state(line->flow) != TV_FLOW_RUNNING);
    bank_free_line(&bench, line);
    serve(); // its channels may be in the list
    tv_channel_free(line->channels[0]);
    tv_channel_free(line->channels[1]);
    memset(line, 0, sizeof *line);
}

// Some bring instances of their own, others share them.
static void share_stages(bank_line *line) {
    bool keyed = random_below(2);
    for (size_t i = 0; i < line->spec.stage_count; i++) {
        line->stages[i].module = keyed ? rig_puppet_keyed() : rig_puppet_stateless();
        line->stages[i].grants = 0;
        line->stages[i].shared = true;
    }
}

static void arrive(bank_line *line) {
    uint32_t count = bench.line_count;
    bench.line_count = (uint32_t)(line - bench.lines);
    bank_add(&bench, "churn", (tv_class)random_below(TV_CLASS_COUNT), 1 + random_below(3));
    if (random_below(2)) share_stages(line);
    bank_start(&bench, line);
    bench.line_count = count;
}

static void act(bank_line *line) {
    tv_flow_stats flow;
    switch (random_below(8)) {
    case 0: tv_flow_pause(line->flow); break;
    case 1: change(line); break;
    case 2: tv_flow_get_stats(line->flow, &flow); break;
    case 3: bank_take(line); break;
    case 4: leave(line); break;
    default: tv_flow_resume(line->flow); feed(line);
    }
}

static void flows_come_and_go_while_others_run(void **state) {
    (void)state;
    bank_init(&bench, WORKERS);
    bench.runtime->clock = tv_clock_system();
    bench.line_count = PLACES;
    assert_int_equal(tv_runtime_start(bench.runtime, &bench.error), TV_OK);
    for (uint32_t made = 0; made < FLOWS_IN_ALL;) {
        bank_line *line = &bench.lines[random_below(PLACES)];
        serve();
        if (line->flow) {
            act(line);
        } else {
            arrive(line);
            made++;
        }
    }
    for (int i = 0; i < PLACES; i++)
        if (bench.lines[i].flow) leave(&bench.lines[i]);
    assert_null(bench.runtime->flows);
    bank_deinit(&bench);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(flows_come_and_go_while_others_run)};
static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
