// Instances that flows share, in the plan and in what is admitted. The component is described, not loaded.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/described.h"

enum { WORKERS = 2, FLOWS = 1000, CAP = WORKERS * TV_POOL_INSTANCES_MAX + 1 };

// Stage a is the same for all flows of an entry, b has a configuration of each flow, c has instances of its own.
static const char text[] = "version: 1\n"
                           "components:\n"
                           "  shared: { file: s.wasm, memory: 1MiB, instances: shared }\n"
                           "  own: { file: o.wasm, memory: 1MiB }\n"
                           "channels:\n"
                           "  in: { connector: file, path: \"${flow}.in\" }\n"
                           "  out: { connector: file, path: \"${flow}.out\" }\n"
                           "stages:\n"
                           "  a: { component: shared, from: in, config: { x: 1 } }\n"
                           "  b: { component: shared, from: a, config: { index: \"${index}\" } }\n"
                           "  c: { component: own, from: b, to: out }\n"
                           "flows:\n"
                           "  - { name: many, count: 1000 }\n"
                           "  - { name: few, count: 2, class: critical }\n";

static int begin(void **state) {
    static const tv_keeping keeping[] = {TV_KEEPS_NOTHING, TV_KEEPS_OWN};
    *state = described_new(text, WORKERS, keeping);
    return *state ? 0 : -1;
}

static const tv_plan_line *line_of(const described *made, const char *group, const char *what) {
    for (size_t i = 0; i < made->plan.count; i++)
        if (strcmp(made->plan.lines[i].group, group) == 0 && strcmp(made->plan.lines[i].line.what, what) == 0)
            return &made->plan.lines[i].line;
    fail_msg("no line %s of %s", what, group);
    return NULL;
}

static void stages_alike_share_and_others_do_not(void **state) {
    described *made = *state;
    const tv_pipeline *pipeline = made->model.pipeline;
    const tv_flow_model *flows = pipeline->flows;
    assert_true(tv_host_stage_shares(pipeline, &flows[0], 0));
    assert_true(tv_host_stage_shares(pipeline, &flows[FLOWS - 1], 0));
    assert_true(tv_host_stage_shares(pipeline, &flows[0], 1));
    assert_false(tv_host_stage_shares(pipeline, &flows[FLOWS - 1], 1));
    assert_false(tv_host_stage_shares(pipeline, &flows[0], 2));
    assert_int_equal(tv_host_own_instances(pipeline, &flows[0]), 1);
    assert_int_equal(tv_host_own_instances(pipeline, &flows[5]), 2);
}

static void plan_counts_shared_instances_once_a_worker_and_class(void **state) {
    described *made = *state;
    const tv_plan_line *a = line_of(made, "many", "stage a: shared linear memory");
    const tv_plan_line *b = line_of(made, "many", "stage b: shared linear memory");
    const tv_plan_line *c = line_of(made, "many", "stage c: linear memory");
    assert_int_equal(a->reserved_bytes, (uint64_t)CAP << 20);
    assert_int_equal(b->reserved_bytes, (uint64_t)FLOWS << 20);
    assert_int_equal(c->reserved_bytes, (uint64_t)FLOWS << 20);
    assert_int_equal(a->expected_bytes, c->expected_bytes / FLOWS * WORKERS);
    // Critical flows may be made Normal for a while: two classes, but no more instances than flows.
    assert_int_equal(line_of(made, "few", "stage a: shared linear memory")->reserved_bytes, (uint64_t)2 << 20);
    assert_int_equal(made->plan.instances, (CAP + 1 + FLOWS - 1 + FLOWS) + (2 + 1 + 1 + 2));
    assert_true(tv_host_memories_max(&made->model) > made->plan.instances); // there is room for flows to come
}

static void sums_of_the_plan_are_those_of_its_lines(void **state) {
    described *made = *state;
    uint64_t reserved = 0, expected = 0;
    for (size_t i = 0; i < made->plan.count; i++) {
        reserved += made->plan.lines[i].line.reserved_bytes;
        expected += made->plan.lines[i].line.expected_bytes;
    }
    assert_int_equal(reserved, made->plan.reserved_bytes);
    assert_int_equal(expected, made->plan.expected_bytes);
}

static void flows_come_and_go_without_their_shared_instances(void **state) {
    described *made = *state;
    const tv_flow_model *flows = made->model.pipeline->flows;
    const tv_host_spec *spec;
    tv_host_budget budget;
    tv_error error;
    made->plan.limits = (tv_host_memory_limits){0};
    tv_host_budget_init(&budget, &made->model, &made->plan);
    budget.flows_max = budget.instances_max = 100000;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(tv_host_spec_acquire(&made->specs, &flows[i], &spec, &error), TV_OK);
        assert_int_equal(tv_host_budget_admit(&budget, &flows[i], spec, &error), TV_OK);
    }
    assert_int_equal(budget.instances, made->plan.instances + 1 + 2 + 2);
    assert_true(budget.reserved_bytes - made->plan.reserved_bytes > (uint64_t)5 << 20);
    for (size_t i = 0; i < 3; i++)
        tv_host_budget_release(&budget, &flows[i], spec);
    assert_int_equal(budget.instances, made->plan.instances);
    assert_int_equal(budget.reserved_bytes, made->plan.reserved_bytes);
    assert_int_equal(budget.expected_bytes, made->plan.expected_bytes);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, described_free)
    const struct CMUnitTest tests[] = {
        TEST(stages_alike_share_and_others_do_not),
        TEST(plan_counts_shared_instances_once_a_worker_and_class),
        TEST(sums_of_the_plan_are_those_of_its_lines),
        TEST(flows_come_and_go_without_their_shared_instances),
    };
    tv_log_configure(TV_LEVEL_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
