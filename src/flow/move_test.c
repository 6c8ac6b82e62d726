// Flows that move from an overloaded worker to an idle one. Two workers that the test steps, in virtual time.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/testing/bank.h"

#define MS_NS 1000000ll

static bank bench;

static int setup(void **state) {
    (void)state;
    bank_init(&bench, 2);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    bank_deinit(&bench);
    return 0;
}

// Flows are dealt out in turn, so that the even ones are on worker 0.
static void add_lines(uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        bank_add_started(&bench, "line", TV_CLASS_NORMAL, 2);
    bank_run(&bench);
}

static uint32_t worker_of(const bank_line *line) { return line->flow->worker->index; }

// Keeps the lines of `mask` saturated for so long, with records of 50 us.
static void load(uint32_t mask, int64_t for_ns) {
    for (int64_t end_ns = bench.now_ns + for_ns; bench.now_ns < end_ns;) {
        for (uint32_t i = 0; i < bench.line_count; i++) {
            if (mask & 1u << i) bank_fill(&bench.lines[i], "!A50;e0:x;");
            bank_take(&bench.lines[i]);
        }
        bank_step(&bench, 0);
        bank_step(&bench, 1);
    }
}

static tv_worker_stats stats_of(uint32_t worker) {
    tv_worker_stats stats;
    tv_runtime_worker_stats(bench.runtime, worker, &stats);
    return stats;
}

static void flow_moves_from_a_busy_worker_to_an_idle_one(void **state) {
    (void)state;
    add_lines(4);
    load(0x5, 350 * MS_NS);
    assert_int_not_equal(worker_of(&bench.lines[0]), worker_of(&bench.lines[2]));
    assert_int_equal(stats_of(0).moved_out, 1);
    assert_int_equal(stats_of(1).moved_in, 1);
    assert_int_equal(stats_of(0).flows, 1);
    assert_int_equal(stats_of(1).flows, 3);
    bank_line *moved = worker_of(&bench.lines[0]) == 1 ? &bench.lines[0] : &bench.lines[2];
    assert_int_equal(bank_stats(moved).moves, 1);
    uint64_t taken = moved->taken;
    load(0x5, 100 * MS_NS);
    assert_true(moved->taken > taken);
    bank_check(&bench, moved);
}

static void only_busy_flow_stays_where_it_is(void **state) {
    (void)state;
    add_lines(4);
    load(0x1, 500 * MS_NS);
    assert_int_equal(stats_of(0).moved_out + stats_of(1).moved_out, 0);
}

static void nothing_moves_between_busy_workers(void **state) {
    (void)state;
    add_lines(4);
    for (int i = 0; i < 10000; i++) { // each worker's turns take as long as the other's, so both look half busy
        for (uint32_t k = 0; k < 4; k++) {
            bank_fill(&bench.lines[k], "!A50;e0:x;");
            bank_take(&bench.lines[k]);
        }
        bank_step(&bench, (uint32_t)i % 2);
    }
    assert_int_equal(stats_of(0).moved_out + stats_of(1).moved_out, 0);
}

static void moved_flow_takes_its_timer_along(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        bank_line *line = bank_add(&bench, "timed", TV_CLASS_NORMAL, 1);
        bank_config(line, 0, "on_init", "s700000000;");
        bank_config(line, 0, "on_tick", "c_ticks;");
        bank_start(&bench, line);
    }
    bank_run(&bench);
    load(0x5, 350 * MS_NS);
    assert_int_equal(stats_of(0).moved_out, 1);
    assert_int_equal(bench.runtime->workers[0].timer_count, 1);
    assert_int_equal(bench.runtime->workers[1].timer_count, 3);
    bank_advance(&bench, 1000 * MS_NS);
    bank_run(&bench);
    assert_int_equal(bench.runtime->workers[0].timer_count + bench.runtime->workers[1].timer_count, 0);
}

static uint32_t requests_run;
static void count_request(tv_flow_request *request, tv_flow *flow) {
    (void)request;
    requests_run += flow != NULL;
}

static void request_posted_on_the_way_is_run_where_it_arrives(void **state) {
    (void)state;
    add_lines(4);
    tv_flow_request requests[2] = {{.run = count_request}, {.run = count_request}};
    requests_run = 0;
    while (stats_of(0).moved_out == 0)
        load(0x5, MS_NS);
    tv_flow_request_post(bench.lines[0].flow, &requests[0]);
    tv_flow_request_post(bench.lines[2].flow, &requests[1]);
    bank_run(&bench);
    assert_int_equal(requests_run, 2);
}

static void moved_flow_can_be_removed(void **state) {
    (void)state;
    add_lines(4);
    load(0x5, 350 * MS_NS);
    for (int i = 0; i < 4; i++)
        bank_remove(&bench.lines[i], TV_REMOVE_NOW);
    bank_run(&bench);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(bench.lines[i].removed, 1);
        bank_free_line(&bench, &bench.lines[i]);
    }
    assert_int_equal(stats_of(0).flows + stats_of(1).flows, 0);
}

#define move_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
static const struct CMUnitTest tests[] = {
    move_test(flow_moves_from_a_busy_worker_to_an_idle_one),
    move_test(only_busy_flow_stays_where_it_is),
    move_test(nothing_moves_between_busy_workers),
    move_test(moved_flow_takes_its_timer_along),
    move_test(request_posted_on_the_way_is_run_where_it_arrives),
    move_test(moved_flow_can_be_removed),
};

static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
