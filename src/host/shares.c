// Instances that flows share, for the plan: how many there can be at most, and how many there usually are.
//
// Stages of an entry's flows share if their component is to be shared and their configuration is that of the entry's
// first flow. One that has a configuration of its own cannot share with them, and counts like an instance of its own;
// so does every stage of a flow that is added later to an entry without flows.
#include <string.h>

#include "host/internal.h"

static bool same_config(const tv_stage_model *a, const tv_stage_model *b) {
    if (a->config_count != b->config_count) return false;
    for (size_t i = 0; a->config != b->config && i < a->config_count; i++)
        if (strcmp(a->config[i].path, b->config[i].path) != 0 || strcmp(a->config[i].value, b->config[i].value) != 0)
            return false;
    return true;
}

bool tv_host_stage_shares(const tv_pipeline *pipeline, const tv_flow_model *flow, size_t stage) {
    const tv_template_model *entry = &pipeline->templates[flow->template];
    const tv_stage_model *own = &flow->stages[stage];
    if (pipeline->components[own->component].instances != TV_INSTANCES_SHARED || !entry->flow_count) return false;
    return same_config(own, &pipeline->flows[entry->first_flow].stages[stage]);
}

size_t tv_host_own_instances(const tv_pipeline *pipeline, const tv_flow_model *flow) {
    size_t count = 0;
    for (size_t i = 0; i < flow->stage_count; i++)
        count += !tv_host_stage_shares(pipeline, flow, i);
    return count;
}

// A Critical flow that offends is made Normal for a while.
static uint32_t count_classes(const tv_pipeline *pipeline, const tv_template_model *entry) {
    uint32_t seen = 0;
    for (size_t f = 0; f < entry->flow_count; f++) {
        tv_class class = pipeline->flows[entry->first_flow + f].class;
        seen |= 1u << class | (class == TV_CLASS_CRITICAL ? 1u << TV_CLASS_NORMAL : 0);
    }
    return (uint32_t)__builtin_popcount(seen);
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

tv_host_shared tv_host_shared_instances(const tv_host_model *model, const tv_template_model *entry, size_t stage) {
    const tv_pipeline *pipeline = model->pipeline;
    size_t stages = 0, pools = (size_t)model->workers * count_classes(pipeline, entry);
    for (size_t f = 0; f < entry->flow_count; f++)
        stages += tv_host_stage_shares(pipeline, &pipeline->flows[entry->first_flow + f], stage);
    // One more: the first flow brings an instance along to show whether the component starts.
    return (tv_host_shared){.most = least(stages, pools * TV_POOL_INSTANCES_MAX + 1), .usual = least(stages, pools)};
}

size_t tv_host_instances(const tv_host_model *model) {
    const tv_pipeline *pipeline = model->pipeline;
    size_t count = 0;
    for (size_t f = 0; f < pipeline->flow_count; f++)
        count += tv_host_own_instances(pipeline, &pipeline->flows[f]);
    for (size_t t = 0; t < pipeline->template_count; t++) {
        const tv_template_model *entry = &pipeline->templates[t];
        if (!entry->flow_count) continue;
        for (size_t s = 0; s < pipeline->flows[entry->first_flow].stage_count; s++)
            count += tv_host_shared_instances(model, entry, s).most;
    }
    return count;
}
