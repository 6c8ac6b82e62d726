// Flows that change workers while they are fed, asked, paused and watched: the load follows the flows of one worker, so
// that it is always overloaded and the others idle. For the thread sanitizer above all; the books balance at the end.
#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/testing/await.h"
#include "flow/testing/bank.h"

enum { WORKERS = 3, LINES = 9, MOVES = 4 };

static bank bench;

static void serve(void) {
    tv_channel *channel = tv_ready_list_take(&bench.ready);
    while (channel)
        channel = tv_channel_next_ready(channel);
}

static uint64_t moves(void) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < WORKERS; i++) {
        tv_worker_stats stats;
        tv_runtime_worker_stats(bench.runtime, i, &stats);
        sum += stats.moved_in;
    }
    return sum;
}

// Those of the worker that has the most flows, so that it gives some away.
static uint32_t most_loaded(void) {
    uint32_t most = 0, found = 0;
    for (uint32_t i = 0; i < WORKERS; i++) {
        tv_worker_stats stats;
        tv_runtime_worker_stats(bench.runtime, i, &stats);
        if (stats.flows <= most) continue;
        most = stats.flows;
        found = i;
    }
    return found;
}

static void work_on(bank_line *line, uint32_t round) {
    tv_flow_stats stats;
    bank_take(line);
    if (round % 7 == 0) tv_flow_get_stats(line->flow, &stats);
    if (round % 31 == 0) tv_flow_pause(line->flow);
    tv_flow_resume(line->flow);
    tv_flow_settings settings = {.fields = TV_SET_QUANTUM, .quantum_records = 16 + round % 64};
    if (round % 13 == 0) assert_int_equal(tv_flow_set(line->flow, &settings, &bench.error), TV_OK);
}

static void feed_lines_of(uint32_t worker) {
    for (uint32_t i = 0; i < LINES; i++)
        if (((tv_worker *)bench.lines[i].flow->worker)->index == worker) bank_fill(&bench.lines[i], "!A2000;n0:3;");
}

static void drain_and_free(bank_line *line) {
    tv_channel_end(line->channels[0]);
    bank_remove(line, TV_REMOVE_DRAIN);
    TV_AWAIT("the flow to be removed");
    while (!atomic_load(&line->removed)) {
        serve();
        for (uint32_t i = 0; i < LINES; i++)
            if (bench.lines[i].flow) bank_take(&bench.lines[i]);
        sched_yield();
    }
    assert_int_equal(tv_flow_get_state(line->flow), TV_FLOW_ENDED);
    bank_free_line(&bench, line);
}

static void flows_change_workers_while_they_are_used(void **state) {
    (void)state;
    bank_init(&bench, WORKERS);
    bench.runtime->clock = tv_clock_system();
    for (uint32_t i = 0; i < LINES; i++)
        bank_add_started(&bench, "line", (tv_class)(i % TV_CLASS_COUNT), 1 + i % 3);
    assert_int_equal(tv_runtime_start(bench.runtime, &bench.error), TV_OK);
    for (uint32_t round = 0; moves() < MOVES; round++) {
        feed_lines_of(most_loaded());
        work_on(&bench.lines[round % LINES], round);
        for (uint32_t i = 0; i < LINES; i++)
            bank_take(&bench.lines[i]);
        serve();
    }
    for (uint32_t i = 0; i < LINES; i++)
        drain_and_free(&bench.lines[i]);
    bank_deinit(&bench);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(flows_change_workers_while_they_are_used)};
static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
