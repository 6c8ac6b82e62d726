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

#include "host/internal.h"

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

typedef struct bench {
    tv_host_model model;
    tv_host_plan plan;
    tv_host_specs specs;
} bench;

static const char *no_variables(void *user, const char *name) {
    (void)user;
    (void)name;
    return NULL;
}

static tv_status load(bench *made, const char *path) {
    size_t count;
    const tv_connector *const *connectors = tv_host_connectors(&count);
    return tv_pipeline_load(path, connectors, count, no_variables, NULL, &made->model.diagnostics,
                            &made->model.pipeline);
}

static int begin(void **state) {
    static char path[] = "/tmp/torvyn-shares-test-XXXXXX";
    bench *made = calloc(1, sizeof *made);
    tv_error error;
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int file = mkstemp(path);
    if (!made || file < 0 || write(file, text, strlen(text)) != (ssize_t)strlen(text)) return -1;
    close(file);
    tv_status status = load(made, path);
    unlink(path);
    if (status != TV_OK) return -1;
    made->model.workers = WORKERS;
    made->model.components = calloc(2, sizeof *made->model.components);
    for (int i = 0; i < 2; i++)
        made->model.components[i] = (tv_host_component){.usable = true,
                                                        .info = {.port_count = 1,
                                                                 .max_output_bytes = 1000,
                                                                 .memory_initial_bytes = 65536,
                                                                 .keeping = i == 0 ? TV_KEEPS_NOTHING : TV_KEEPS_OWN,
                                                                 .has_process = true}};
    if (tv_host_plan_init(&made->model, &made->plan, &error) != TV_OK) return -1;
    made->specs.model = &made->model;
    *state = made;
    return 0;
}

static int end(void **state) {
    bench *made = *state;
    tv_host_specs_deinit(&made->specs);
    tv_host_plan_deinit(&made->plan);
    tv_host_model_deinit(&made->model);
    free(made);
    return 0;
}

static const tv_plan_line *line_of(const bench *made, const char *group, const char *what) {
    for (size_t i = 0; i < made->plan.count; i++)
        if (strcmp(made->plan.lines[i].group, group) == 0 && strcmp(made->plan.lines[i].line.what, what) == 0)
            return &made->plan.lines[i].line;
    fail_msg("no line %s of %s", what, group);
    return NULL;
}

static void stages_alike_share_and_others_do_not(void **state) {
    bench *made = *state;
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
    bench *made = *state;
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
    bench *made = *state;
    uint64_t reserved = 0, expected = 0;
    for (size_t i = 0; i < made->plan.count; i++) {
        reserved += made->plan.lines[i].line.reserved_bytes;
        expected += made->plan.lines[i].line.expected_bytes;
    }
    assert_int_equal(reserved, made->plan.reserved_bytes);
    assert_int_equal(expected, made->plan.expected_bytes);
}

static void flows_come_and_go_without_their_shared_instances(void **state) {
    bench *made = *state;
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(stages_alike_share_and_others_do_not),
        TEST(plan_counts_shared_instances_once_a_worker_and_class),
        TEST(sums_of_the_plan_are_those_of_its_lines),
        TEST(flows_come_and_go_without_their_shared_instances),
    };
    tv_log_configure(TV_LEVEL_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
