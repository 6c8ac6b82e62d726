// Flows gone idle give pages back, once, and nobody is woken for it again.
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/testing/test_rig.h"

static const int64_t SECOND_NS = 1000000000, IDLE_NS = 2000000000;

static size_t resident(const void *begin, size_t length) {
    static unsigned char pages[1 << 16];
    size_t count = 0, page = (size_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(mincore((void *)begin, length, pages), 0);
    for (size_t i = 0; i < (length + page - 1) / page; i++)
        count += pages[i] & 1;
    return count;
}

static size_t resident_ring(const tv_ring *ring) { return resident(ring->bytes, ring->capacity_bytes); }

// in -> first -> second -> out; every ring gets used.
static void start_two(rig *bench) {
    uint16_t in = rig_channel(bench, "in", TV_INPUT), out = rig_channel(bench, "out", TV_OUTPUT);
    uint16_t first = rig_stage(bench, "first"), second = rig_stage(bench, "second");
    rig_edge(bench, in, 0, first);
    rig_edge(bench, first, 0, second);
    rig_edge(bench, second, 0, out);
    bench->spec.idle_trim_ns = IDLE_NS;
    rig_start(bench);
}

static void work(rig *bench) {
    for (int i = 0; i < 40; i++)
        rig_push(bench, TV_NODE_CHANNEL, "a record that goes through all of the flow and leaves traces everywhere");
    rig_run(bench);
    assert_string_not_equal(rig_take(bench, TV_NODE_CHANNEL | 1), "");
    rig_run(bench);
}

static uint64_t trims(rig *bench) {
    tv_flow_stats stats;
    tv_flow_get_stats(bench->flow, &stats);
    return stats.trims;
}

static int64_t next_wake(rig *bench) {
    int64_t wait_until_ns = 0;
    assert_false(tv_worker_step(&bench->runtime->workers[0], &wait_until_ns));
    return wait_until_ns;
}

static void idle_flow_gives_its_pages_back(void **state) {
    rig *bench = *state;
    start_two(bench);
    work(bench);
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uint8_t *arena = (uint8_t *)tv_instance_batch(bench->flow->stages[0].instance) + page;
    assert_true(resident_ring(&bench->flow->edges[1].ring) > 0);
    assert_true(resident_ring(&bench->channels[0]->ring) > 0);
    assert_true(resident_ring(&bench->channels[1]->ring) > 0);
    assert_true(next_wake(bench) <= tv_clock_monotonic_ns(&bench->clock.clock) + IDLE_NS);
    rig_advance(bench, IDLE_NS + SECOND_NS);
    assert_int_equal(trims(bench), 1);
    assert_int_equal(resident_ring(&bench->flow->edges[1].ring), 0);
    assert_int_equal(resident_ring(&bench->channels[0]->ring), 0); // by the I/O thread, which the rig plays
    assert_int_equal(resident_ring(&bench->channels[1]->ring), 0);
    for (int i = 0; i < 2; i++) { // and so the connectors are told, once
        assert_true(tv_channel_went_idle(bench->channels[i]));
        assert_false(tv_channel_went_idle(bench->channels[i]));
    }
    assert_int_equal(resident((void *)((uintptr_t)arena & ~(page - 1)), page), 0);
    assert_true(atomic_load(&bench->memory.trimmed_bytes) >= 5 * 4096);
    work(bench); // and is none the worse for it
    assert_int_equal(rig_stage_stats(bench, 1).processed, 80);
}

static void trimmed_flow_wakes_nobody(void **state) {
    rig *bench = *state;
    start_two(bench);
    work(bench);
    rig_advance(bench, IDLE_NS + SECOND_NS);
    assert_int_equal(next_wake(bench), INT64_MAX);
    (void)tv_flow_turns(bench->flow);
    tv_flow_notify(bench->flow); // a turn without work
    rig_run(bench);
    assert_int_equal(next_wake(bench), INT64_MAX);
    work(bench);
    assert_true(next_wake(bench) < INT64_MAX);
    rig_advance(bench, IDLE_NS + SECOND_NS);
    assert_int_equal(trims(bench), 2);
    assert_int_equal(next_wake(bench), INT64_MAX);
}

static void busy_flow_is_looked_at_now_and_then_only(void **state) {
    rig *bench = *state;
    start_two(bench);
    uint32_t looks = 0;
    int64_t last_ns = 0;
    for (int i = 0; i < 1000; i++) { // a record every 10 ms
        work(bench);
        rig_advance(bench, SECOND_NS / 100);
        looks += bench->runtime->workers[0].trim_check_ns != last_ns;
        last_ns = bench->runtime->workers[0].trim_check_ns;
    }
    assert_int_equal(trims(bench), 0);
    assert_in_range(looks, 2, 10); // in ten seconds
}

static void what_is_queued_stays(void **state) {
    rig *bench = *state;
    start_two(bench);
    rig_push(bench, TV_NODE_CHANNEL, "to be kept");
    rig_run(bench);
    rig_advance(bench, IDLE_NS + SECOND_NS); // the record waits in the output channel
    assert_int_equal(trims(bench), 1);
    assert_string_equal(rig_take(bench, TV_NODE_CHANNEL | 1), "to be kept");
    uint8_t *place; // and what a connector is writing
    assert_int_equal(tv_channel_reserve(bench->channels[0], 5, NULL, 0, &place), TV_OK);
    memcpy(place, "later", 5);
    tv_channel_want_trim(bench->channels[0]);
    rig_run(bench);
    tv_channel_commit(bench->channels[0], TV_NO_EVENT_TIME);
    tv_channel_publish(bench->channels[0]);
    rig_run(bench);
    assert_string_equal(rig_take(bench, TV_NODE_CHANNEL | 1), "later");
}

static void removed_flow_leaves_the_list(void **state) {
    rig *bench = *state;
    start_two(bench);
    work(bench);
    assert_ptr_equal(bench->runtime->workers[0].trim_first, bench->flow);
    tv_trim_forget(&bench->runtime->workers[0], bench->flow);
    assert_null(bench->runtime->workers[0].trim_first);
    assert_int_equal(bench->runtime->workers[0].trim_check_ns, INT64_MAX);
    assert_false(bench->flow->trim_listed);
}

static void push_and_run(rig *bench, const char *text) {
    for (int i = 0; i < 10; i++)
        rig_push(bench, TV_NODE_CHANNEL, text);
    rig_run(bench);
}

static void where_memory_is_scarce_a_flow_gives_back_after_its_turn(void **state) {
    rig *bench = *state;
    start_two(bench);
    tv_runtime_limit_idle(bench->runtime, 0);
    push_and_run(bench, "a record that goes through all of the flow and leaves traces everywhere");
    assert_true(trims(bench) > 0);
    assert_int_equal(resident_ring(&bench->flow->edges[1].ring), 0);
    assert_int_equal(resident_ring(&bench->channels[0]->ring), 0);
    assert_true(resident_ring(&bench->channels[1]->ring) > 0); // what waits there is not lost
    assert_true(bench->flow->trim_listed);
    assert_string_not_equal(rig_take(bench, TV_NODE_CHANNEL | 1), "");
    rig_run(bench);
    assert_int_equal(resident_ring(&bench->channels[1]->ring), 0);
    assert_int_equal(bench->runtime->workers[0].trim_count, 0);
    assert_int_equal(next_wake(bench), INT64_MAX);
    assert_int_equal(rig_stage_stats(bench, 1).processed, 10);
}

static void idle_flows_keep_as_much_as_they_may_all_together(void **state) {
    rig *bench = *state;
    start_two(bench);
    work(bench);
    rig_advance(bench, IDLE_NS + SECOND_NS);
    uint64_t usual = bench->runtime->workers[0].trim_bytes;
    assert_true(usual >= 4096);
    tv_runtime_limit_idle(bench->runtime, usual);
    work(bench);
    assert_int_equal(trims(bench), 1);
    tv_runtime_limit_idle(bench->runtime, usual / 2); // the estimate falls with what is trimmed in parts
    work(bench);
    assert_true(trims(bench) > 1);
    assert_int_equal(bench->runtime->workers[0].trim_count, 0);
}

static const struct CMUnitTest tests[] = {
    rig_test(idle_flow_gives_its_pages_back),
    rig_test(trimmed_flow_wakes_nobody),
    rig_test(busy_flow_is_looked_at_now_and_then_only),
    rig_test(what_is_queued_stays),
    rig_test(removed_flow_leaves_the_list),
    rig_test(where_memory_is_scarce_a_flow_gives_back_after_its_turn),
    rig_test(idle_flows_keep_as_much_as_they_may_all_together),
};

static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
