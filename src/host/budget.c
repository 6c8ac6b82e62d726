// What is admitted at run time: the sums of the plan, moved on with each flow that comes or goes.
#include "host/internal.h"

enum { MEMORIES_DEFAULT = 1000, MEMORIES_MOST = 100000 };

uint32_t tv_host_memories_max(const tv_host_model *model) {
    const tv_pipeline *pipeline = model->pipeline;
    size_t instances = tv_host_instances(model);
    uint32_t memories = pipeline->limits.memories ? pipeline->limits.memories : MEMORIES_DEFAULT;
    if (instances < memories || pipeline->limits.memories) return instances > memories ? (uint32_t)instances : memories;
    size_t roomy = instances + instances / 4; // for flows that come later
    return roomy < MEMORIES_MOST ? (uint32_t)roomy : instances > MEMORIES_MOST ? (uint32_t)instances : MEMORIES_MOST;
}

uint64_t tv_host_limit_bytes(const tv_host_memory_limits *limits) {
    uint64_t tightest = UINT64_MAX;
    const uint64_t all[] = {limits->configured_bytes, limits->cgroup_bytes, limits->available_bytes};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i] && all[i] < tightest) tightest = all[i];
    return tightest;
}

void tv_host_budget_init(tv_host_budget *budget, const tv_host_model *model, const tv_host_plan *plan) {
    *budget = (tv_host_budget){.pipeline = model->pipeline,
                               .limits = plan->limits,
                               .overcommit = plan->overcommit,
                               .reserved_bytes = plan->reserved_bytes,
                               .expected_bytes = plan->expected_bytes,
                               .flows = plan->flows,
                               .flows_max = model->pipeline->limits.flows,
                               .instances = plan->instances,
                               .instances_max = tv_host_memories_max(model)};
}

static tv_status check_counts(const tv_host_budget *budget, const tv_flow_model *flow, tv_error *error) {
    if (budget->flows >= budget->flows_max)
        return tv_error_set(error, TV_LIMIT,
                            "flow '%s' is one too many: %zu flows are there, limits.flows is %zu. Remove one, or raise "
                            "the limit in the pipeline file and start again.",
                            flow->name, budget->flows, budget->flows_max);
    size_t instances = tv_host_own_instances(budget->pipeline, flow);
    if (budget->instances + instances > budget->instances_max)
        return tv_error_set(error, TV_LIMIT,
                            "flow '%s' needs %zu instances of components: %zu are there, and %zu is the most "
                            "(limits.memories). Remove flows, or raise it in the pipeline file and start again.",
                            flow->name, instances, budget->instances, budget->instances_max);
    return TV_OK;
}

// How many bytes there would be with the flow, by what decides, against each limit.
static tv_status check_memory(const tv_host_budget *budget, const tv_flow_model *flow, const tv_host_flow_bytes *bytes,
                              tv_error *error) {
    char own[32], now[32], most[32];
    uint64_t wanted = budget->overcommit ? bytes->expected : bytes->reserved;
    uint64_t there = budget->overcommit ? budget->expected_bytes : budget->reserved_bytes;
    uint64_t limit = tv_host_limit_bytes(&budget->limits);
    const char *verb = budget->overcommit ? "is expected to take" : "reserves";
    if (flow->memory_bytes && bytes->reserved > flow->memory_bytes)
        return tv_error_set(error, TV_LIMIT, "flow '%s' reserves %s, its own `memory` allows %s", flow->name,
                            tv_format_size(bytes->reserved, own), tv_format_size(flow->memory_bytes, most));
    if (there <= limit && wanted <= limit - there) return TV_OK;
    return tv_error_set(error, TV_LIMIT,
                        "flow '%s' does not fit: it %s %s (%llu bytes), %s (%llu bytes) of %s (%llu bytes) are given "
                        "away. Remove flows, lower its queues, batches or budgets, or raise limits.memory%s.",
                        flow->name, verb, tv_format_size(wanted, own), (unsigned long long)wanted,
                        tv_format_size(there, now), (unsigned long long)there, tv_format_size(limit, most),
                        (unsigned long long)limit,
                        budget->overcommit ? ""
                                           : " (limits.overcommit goes by what is "
                                             "expected)");
}

tv_status tv_host_budget_admit(tv_host_budget *budget, const tv_flow_model *flow, const tv_host_spec *spec,
                               tv_error *error) {
    tv_host_flow_bytes bytes = tv_host_flow_bytes_of(budget->pipeline, flow, spec);
    tv_status status = check_counts(budget, flow, error);
    if (status == TV_OK) status = check_memory(budget, flow, &bytes, error);
    if (status != TV_OK) return status;
    budget->reserved_bytes += bytes.reserved;
    budget->expected_bytes += bytes.expected;
    budget->flows++;
    budget->instances += tv_host_own_instances(budget->pipeline, flow);
    return TV_OK;
}

void tv_host_budget_release(tv_host_budget *budget, const tv_flow_model *flow, const tv_host_spec *spec) {
    tv_host_flow_bytes bytes = tv_host_flow_bytes_of(budget->pipeline, flow, spec);
    size_t instances = tv_host_own_instances(budget->pipeline, flow);
    TV_ASSERT(budget->flows > 0 && budget->instances >= instances);
    TV_ASSERT(budget->reserved_bytes >= bytes.reserved && budget->expected_bytes >= bytes.expected);
    budget->reserved_bytes -= bytes.reserved;
    budget->expected_bytes -= bytes.expected;
    budget->flows--;
    budget->instances -= instances;
}
