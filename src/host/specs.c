// Specifications that flows share: those whose models make the same one have it in common, whatever their names,
// configurations and connectors' options are.
//
// What a specification is made of is written down as bytes, pointers into the pipeline's model included: what two flows
// share there is the same object. A flow's own objects (tv_pipeline_flow_new) are in no other flow's model, so that its
// specification goes when the flow goes.
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "host/specs.h"

static void add_bytes(tv_text *key, const void *bytes, size_t length) { tv_text_add(key, bytes, length); }

#define ADD(key, value) add_bytes(key, &(value), sizeof(value))

static void add_stage(tv_text *key, const tv_stage_model *stage) {
    ADD(key, stage->name);
    ADD(key, stage->component);
    ADD(key, stage->inputs);
    ADD(key, stage->outputs);
    ADD(key, stage->batch_records_max);
    ADD(key, stage->batch_bytes_max);
    ADD(key, stage->log_lines_per_s);
    ADD(key, stage->output_records_max);
    ADD(key, stage->restart.mode);
    ADD(key, stage->restart.limit);
    ADD(key, stage->restart.window_ns);
    ADD(key, stage->restart.backoff_min_ns);
    ADD(key, stage->restart.backoff_max_ns);
    ADD(key, stage->asset_paths);
}

static void add_channel(tv_text *key, const tv_channel_model *channel) {
    ADD(key, channel->name);
    ADD(key, channel->connector);
    ADD(key, channel->direction);
    ADD(key, channel->capacity_bytes);
    ADD(key, channel->capacity_records);
    ADD(key, channel->record_bytes_max);
    ADD(key, channel->pause_percent);
    ADD(key, channel->resume_percent);
    ADD(key, channel->overflow);
}

void tv_host_key(const tv_flow_model *flow, tv_text *key) {
    ADD(key, flow->class);
    ADD(key, flow->quantum_records);
    ADD(key, flow->turn_ns);
    ADD(key, flow->cycle_ns);
    ADD(key, flow->cpu_per_s_ns);
    ADD(key, flow->rate.records);
    ADD(key, flow->rate.bytes);
    ADD(key, flow->rate.burst_ns);
    ADD(key, flow->idle_trim_ns);
    ADD(key, flow->memory_bytes);
    ADD(key, flow->stage_count);
    for (size_t i = 0; i < flow->stage_count; i++)
        add_stage(key, &flow->stages[i]);
    for (size_t i = 0; i < flow->channel_count; i++)
        add_channel(key, &flow->channels[i]);
}

tv_key_entry *tv_host_key_take(tv_key_table *table, const tv_flow_model *flow) {
    tv_text key = {0};
    tv_host_key(flow, &key);
    tv_key_entry *entry = key.failed ? NULL : tv_key_table_take(table, key.bytes, key.length);
    tv_text_deinit(&key);
    return entry;
}

// ---- specifications -----------------------------------------------------------------------------------------

static tv_status make(tv_host_specs *specs, const tv_flow_model *flow, tv_key_entry *entry, tv_error *error) {
    tv_host_spec *spec = calloc(1, sizeof *spec);
    tv_status status = TV_NO_MEMORY;
    if (spec)
        status = tv_host_spec_of(specs->model, flow, specs->modules, spec, error);
    else
        tv_error_set(error, TV_NO_MEMORY, "flow '%s': out of memory", flow->name);
    if (status != TV_OK) {
        free(spec);
        return status;
    }
    spec->flow.name = specs->model->pipeline->templates[flow->template].name; // it may outlive the flow
    spec->entry = entry;
    entry->value = spec;
    return TV_OK;
}

tv_status tv_host_spec_acquire(tv_host_specs *specs, const tv_flow_model *flow, const tv_host_spec **out,
                               tv_error *error) {
    tv_key_entry *entry = tv_host_key_take(&specs->table, flow);
    if (!entry) return tv_error_set(error, TV_NO_MEMORY, "flow '%s': out of memory", flow->name);
    tv_status status = entry->value ? TV_OK : make(specs, flow, entry, error);
    if (status != TV_OK) {
        tv_key_table_drop(&specs->table, entry);
        return status;
    }
    *out = entry->value;
    return TV_OK;
}

static void free_spec(tv_host_spec *spec) {
    if (spec) tv_host_spec_deinit(spec);
    free(spec);
}

void tv_host_spec_release(tv_host_specs *specs, const tv_host_spec *spec) {
    if (!spec) return;
    tv_key_entry *entry = spec->entry;
    tv_host_spec *made = entry->value;
    if (tv_key_table_drop(&specs->table, entry)) free_spec(made);
}

static void free_entry(void *user, tv_key_entry *entry) {
    (void)user;
    free_spec(entry->value);
}

static bool has_own_configs(const tv_host_spec *spec, const tv_flow_model *flow) {
    for (size_t i = 0; i < flow->stage_count; i++)
        if (flow->stages[i].config != spec->stages[i].config ||
            flow->stages[i].config_count != spec->stages[i].config_count)
            return true;
    return false;
}

tv_status tv_host_part_init(const tv_host_spec *spec, const tv_flow_model *flow, tv_flow_part *part,
                            tv_stage_config **configs, tv_error *error) {
    *configs = NULL;
    *part = (tv_flow_part){.name = flow->name};
    if (!has_own_configs(spec, flow)) return TV_OK;
    *configs = malloc(flow->stage_count * sizeof **configs);
    if (!*configs) return tv_error_set(error, TV_NO_MEMORY, "flow '%s': out of memory", flow->name);
    for (size_t i = 0; i < flow->stage_count; i++)
        (*configs)[i] = (tv_stage_config){flow->stages[i].config, flow->stages[i].config_count};
    part->configs = *configs;
    return TV_OK;
}

void tv_host_specs_deinit(tv_host_specs *specs) {
    tv_key_table_each(&specs->table, free_entry, NULL);
    tv_key_table_deinit(&specs->table);
}
