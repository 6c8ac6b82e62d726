// Admission of one more flow, and flows that share a specification. The components are described, not loaded.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/described.h"

static const char text[] = "version: 1\n"
                           "limits: { flows: 5 }\n"
                           "components: { c: { file: c.wasm, memory: 1MiB } }\n"
                           "channels:\n"
                           "  in: { connector: file, path: \"${flow}.in\" }\n"
                           "  out: { connector: file, path: out }\n"
                           "stages:\n"
                           "  a: { component: c, from: in, to: out, config: { index: \"${index}\" } }\n"
                           "flows:\n"
                           "  - { name: f, count: 3 }\n"
                           "  - { name: g, count: 1, class: high, memory: 64MiB }\n";

static int begin(void **state) {
    static const tv_keeping keeping[] = {TV_KEEPS_OWN};
    described *made = *state = described_new(text, 1, keeping);
    if (!made) return -1;
    made->plan.limits = (tv_host_memory_limits){0};
    tv_host_budget_init(&made->budget, &made->model, &made->plan);
    return 0;
}

static const tv_host_spec *acquire(described *made, const tv_flow_model *flow) {
    const tv_host_spec *spec = NULL;
    tv_error error;
    assert_int_equal(tv_host_spec_acquire(&made->specs, flow, &spec, &error), TV_OK);
    return spec;
}

static void flows_alike_share_a_specification(void **state) {
    described *made = *state;
    const tv_flow_model *flows = made->model.pipeline->flows;
    const tv_host_spec *first = acquire(made, &flows[0]);
    assert_ptr_not_equal(flows[0].stages[0].config, flows[1].stages[0].config);
    assert_ptr_equal(acquire(made, &flows[1]), first);
    const tv_host_spec *other = acquire(made, &flows[3]);
    assert_ptr_not_equal(other, first);
    assert_int_equal(other->flow.class, TV_CLASS_HIGH);
    assert_string_equal(first->edge_names[0], "in -> a");
    tv_host_spec_release(&made->specs, first);
    assert_int_equal(made->specs.table.count, 2);
    tv_host_spec_release(&made->specs, first);
    tv_host_spec_release(&made->specs, other);
    assert_int_equal(made->specs.table.count, 0);
}

static void plan_sums_the_flows_of_an_entry(void **state) {
    described *made = *state;
    tv_host_flow_bytes each = tv_host_flow_bytes_of(made->model.pipeline, &made->model.pipeline->flows[0],
                                                    acquire(made, &made->model.pipeline->flows[0]));
    uint64_t reserved = 0, all = 0;
    for (size_t i = 0; i < made->plan.count; i++) {
        const tv_host_plan_line *line = &made->plan.lines[i];
        all += line->line.reserved_bytes;
        if (strcmp(line->group, "f") == 0) {
            assert_int_equal(line->flows, 3);
            reserved += line->line.reserved_bytes;
        }
    }
    assert_int_equal(reserved, 3 * each.reserved);
    assert_int_equal(all, made->plan.reserved_bytes);
    assert_int_equal(made->plan.flows, 4);
    assert_int_equal(made->plan.instances, 4);
}

static void flow_that_fits_exactly_is_admitted_and_one_byte_less_refuses_it(void **state) {
    described *made = *state;
    const tv_flow_model *flow = &made->model.pipeline->flows[0];
    const tv_host_spec *spec = acquire(made, flow);
    tv_host_flow_bytes bytes = tv_host_flow_bytes_of(made->model.pipeline, flow, spec);
    tv_error error;
    made->budget.limits.configured_bytes = made->plan.reserved_bytes + bytes.reserved - 1;
    assert_int_equal(tv_host_budget_admit(&made->budget, flow, spec, &error), TV_LIMIT);
    assert_non_null(strstr(error.message, "flow 'f-0001' does not fit"));
    assert_int_equal(made->budget.reserved_bytes, made->plan.reserved_bytes);
    made->budget.limits.configured_bytes++;
    assert_int_equal(tv_host_budget_admit(&made->budget, flow, spec, &error), TV_OK);
    assert_int_equal(made->budget.reserved_bytes, made->budget.limits.configured_bytes);
    tv_host_budget_release(&made->budget, flow, spec);
    assert_int_equal(made->budget.reserved_bytes, made->plan.reserved_bytes);
    assert_int_equal(made->budget.expected_bytes, made->plan.expected_bytes);
    assert_int_equal(made->budget.flows, 4);
}

static void overcommit_admits_by_what_is_expected(void **state) {
    described *made = *state;
    const tv_flow_model *flow = &made->model.pipeline->flows[0];
    const tv_host_spec *spec = acquire(made, flow);
    tv_host_flow_bytes bytes = tv_host_flow_bytes_of(made->model.pipeline, flow, spec);
    tv_error error;
    assert_true(bytes.expected < bytes.reserved);
    made->budget.limits.configured_bytes = made->plan.expected_bytes + bytes.expected;
    assert_int_equal(tv_host_budget_admit(&made->budget, flow, spec, &error), TV_LIMIT);
    made->budget.overcommit = true;
    assert_int_equal(tv_host_budget_admit(&made->budget, flow, spec, &error), TV_OK);
    assert_int_equal(tv_host_budget_admit(&made->budget, flow, spec, &error), TV_LIMIT);
}

static void flows_and_instances_have_their_most(void **state) {
    described *made = *state;
    const tv_flow_model *flow = &made->model.pipeline->flows[0];
    const tv_host_spec *spec = acquire(made, flow);
    tv_error error;
    assert_int_equal(tv_host_budget_admit(&made->budget, flow, spec, &error), TV_OK);
    assert_int_equal(tv_host_budget_admit(&made->budget, flow, spec, &error), TV_LIMIT);
    assert_non_null(strstr(error.message, "limits.flows is 5"));
    made->budget.flows_max = 100;
    made->budget.instances_max = 5;
    assert_int_equal(tv_host_budget_admit(&made->budget, flow, spec, &error), TV_LIMIT);
    assert_non_null(strstr(error.message, "limits.memories"));
}

static void flow_over_its_own_limit_is_refused(void **state) {
    described *made = *state;
    tv_flow_model flow = made->model.pipeline->flows[3];
    const tv_host_spec *spec = acquire(made, &flow);
    tv_error error;
    flow.memory_bytes = tv_host_flow_bytes_of(made->model.pipeline, &flow, spec).reserved - 1;
    assert_int_equal(tv_host_budget_admit(&made->budget, &flow, spec, &error), TV_LIMIT);
    assert_non_null(strstr(error.message, "its own `memory`"));
    flow.memory_bytes++;
    assert_int_equal(tv_host_budget_admit(&made->budget, &flow, spec, &error), TV_OK);
}

static void tightest_limit_counts_and_none_is_endless(void **state) {
    (void)state;
    tv_host_memory_limits limits = {0};
    assert_true(tv_host_limit_bytes(&limits) == UINT64_MAX);
    limits = (tv_host_memory_limits){300, 200, 0};
    assert_int_equal(tv_host_limit_bytes(&limits), 200);
}

static void further_flow_is_checked_and_freed(void **state) {
    described *made = *state;
    tv_diagnostics diagnostics = {0};
    tv_flow_model *flow = NULL;
    tv_flow_order order = {.template = "f"};
    assert_int_equal(tv_host_flow_model_new(&made->model, &order, &diagnostics, &flow), TV_OK);
    assert_string_equal(flow->name, "f-0004");
    assert_ptr_equal(acquire(made, flow), acquire(made, &made->model.pipeline->flows[0]));
    tv_host_flow_model_free(&made->model, flow);
    made->model.components[0].info.has_process = false;
    assert_int_equal(tv_host_flow_model_new(&made->model, &order, &diagnostics, &flow), TV_INVALID);
    assert_true(diagnostics.error_count > 0);
    assert_int_equal(made->model.diagnostics.error_count, 0);
    tv_diagnostics_deinit(&diagnostics);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, described_free)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(flows_alike_share_a_specification),
        TEST(plan_sums_the_flows_of_an_entry),
        TEST(flow_that_fits_exactly_is_admitted_and_one_byte_less_refuses_it),
        TEST(overcommit_admits_by_what_is_expected),
        TEST(flows_and_instances_have_their_most),
        TEST(flow_over_its_own_limit_is_refused),
        TEST(tightest_limit_counts_and_none_is_endless),
        TEST(further_flow_is_checked_and_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
