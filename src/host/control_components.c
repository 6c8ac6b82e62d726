// Figures by component, for `top`: what all stages that run it, in all flows, do together.
#include <stdlib.h>

#include "host/control.h"

struct tv_host_component_sum {
    uint64_t popped, faults, restarts, memory_bytes, stages;
    int64_t busy_ns;
    uint64_t popped_before; // when it was asked for last
    int64_t busy_before_ns;
};

// Whether its figures are there: the first question, and the first after they were forgotten, only asks for them.
static bool add_flow(const tv_host_flow *flow, tv_host_component_sum *sums) {
    tv_flow_stats flow_stats;
    tv_flow_get_stats(flow->flow, &flow_stats);
    for (size_t s = 0; s < flow->model->stage_count; s++) {
        tv_stage_stats stats;
        tv_flow_stage_stats(flow->flow, s, &stats);
        tv_host_component_sum *sum = &sums[flow->model->stages[s].component];
        sum->stages++;
        sum->popped += stats.popped;
        sum->busy_ns += stats.busy_ns;
        sum->faults += stats.faults;
        sum->restarts += stats.restarts;
        sum->memory_bytes += stats.memory_bytes;
    }
    return flow_stats.at_ns != 0;
}

static double grown(double now, double before) { return now > before ? now - before : 0; }

static void add_sum(yyjson_mut_doc *document, yyjson_mut_val *list, const char *name, const tv_host_component_sum *sum,
                    double seconds) {
    yyjson_mut_val *row = yyjson_mut_arr_add_obj(document, list);
    double popped = grown((double)sum->popped, (double)sum->popped_before);
    double busy_ns = grown((double)sum->busy_ns, (double)sum->busy_before_ns);
    yyjson_mut_obj_add_strcpy(document, row, "name", name);
    yyjson_mut_obj_add_uint(document, row, "stages", sum->stages);
    yyjson_mut_obj_add_real(document, row, "in_per_s", seconds > 0 ? tv_host_rounded(popped / seconds) : 0);
    yyjson_mut_obj_add_real(document, row, "cpu_percent", seconds > 0 ? tv_host_rounded(busy_ns / seconds / 1e7) : 0);
    yyjson_mut_obj_add_uint(document, row, "memory_bytes", sum->memory_bytes);
    yyjson_mut_obj_add_uint(document, row, "faults", sum->faults);
    yyjson_mut_obj_add_uint(document, row, "restarts", sum->restarts);
}

void tv_host_add_components(yyjson_mut_doc *document, yyjson_mut_val *root, tv_host_control *control,
                            const tv_host_view *views, size_t count) {
    const tv_pipeline *pipeline = control->runner->model->pipeline;
    int64_t now_ns = tv_clock_monotonic_ns(tv_clock_system());
    if (!control->components) control->components = calloc(pipeline->component_count, sizeof *control->components);
    if (!control->components) return;
    for (size_t c = 0; c < pipeline->component_count; c++) {
        tv_host_component_sum *sum = &control->components[c];
        *sum = (tv_host_component_sum){.popped_before = sum->popped, .busy_before_ns = sum->busy_ns};
    }
    int64_t before_ns = control->components_ns;
    bool is_known = true;
    for (size_t i = 0; i < count; i++) // a new one has not done much: it is left out once
        if (!add_flow(views[i].flow, control->components) && (!before_ns || views[i].flow->made_ns < before_ns))
            is_known = false;
    double seconds = before_ns && is_known ? (double)(now_ns - before_ns) / 1e9 : 0;
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(document, root, "components");
    for (size_t c = 0; c < pipeline->component_count; c++)
        add_sum(document, list, pipeline->components[c].name, &control->components[c], seconds);
    control->components_ns = is_known ? now_ns : 0; // else there is nothing to take rates from next time
}
