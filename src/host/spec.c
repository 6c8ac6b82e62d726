// Turns a flow of the model into the specification that the flow engine builds from: sizes of records from what the
// components declare, edges in the order that gives a stage's inputs, ports by number.
#include <stdlib.h>
#include <string.h>

#include "host/host.h"
#include "host/internal.h"
#include "host/specs.h"

enum { BATCH_BYTES_DEFAULT = 64 << 10, QUEUE_BYTES_DEFAULT = 256 << 10 };

uint32_t tv_host_record_bytes(const tv_module_info *info) {
    uint64_t bytes = TV_RECORD_HEADER_BYTES + TV_ATTRIBUTES_BYTES_LIMIT + (uint64_t)info->max_output_bytes;
    return bytes > TV_RECORD_BYTES_LIMIT ? TV_RECORD_BYTES_LIMIT : (uint32_t)tv_align_up_u64(bytes, 8);
}

static bool parse_port_number(const char *port, uint32_t *number) {
    uint32_t value = 0;
    if (!*port) return false;
    for (; *port; port++) {
        if (*port < '0' || *port > '9' || value > 0xffff) return false;
        value = value * 10 + (uint32_t)(*port - '0');
    }
    *number = value;
    return true;
}

bool tv_host_port_resolve(const tv_module_info *info, const char *port, uint16_t *index) {
    uint32_t number = 0;
    if (!port || parse_port_number(port, &number)) {
        if (number >= info->port_count) return false;
        *index = (uint16_t)number;
        return true;
    }
    for (uint32_t i = 0; i < info->port_count; i++) {
        if (strcmp(info->ports[i], port) != 0) continue;
        *index = (uint16_t)i;
        return true;
    }
    return false;
}

static const tv_module_info *stage_info(const tv_host_model *model, const tv_flow_model *flow, size_t stage) {
    return &model->components[flow->stages[stage].component].info;
}

static uint32_t queue_bytes(uint32_t wanted, uint32_t record_bytes) {
    if (wanted) return wanted;
    return record_bytes > QUEUE_BYTES_DEFAULT / 2 ? 2 * record_bytes : QUEUE_BYTES_DEFAULT;
}

// ---- edges --------------------------------------------------------------------------------------------------

static size_t count_edges(const tv_flow_model *flow) {
    size_t count = 0;
    for (size_t i = 0; i < flow->stage_count; i++)
        count += flow->stages[i].input_count + flow->stages[i].output_count;
    return count;
}

// Without memory it stays unnamed, and tv_host_spec_of fails.
static void name_edge(tv_host_spec *spec, const char *from, const char *port, const char *to) {
    char name[3 * (TV_NAME_BYTES_MAX + 1) + 8];
    snprintf(name, sizeof name, "%s%s%s -> %s", from, port ? "." : "", port ? port : "", to);
    spec->edge_names[spec->flow.edge_count] = strdup(name);
}

static void add_channel_input(tv_host_spec *spec, const tv_flow_model *flow, size_t stage,
                              const tv_input_model *input) {
    const tv_channel_model *channel = &flow->channels[input->from];
    uint32_t record_bytes = spec->channel_record_bytes[input->from];
    name_edge(spec, channel->name, NULL, flow->stages[stage].name);
    spec->edges[spec->flow.edge_count++] = (tv_edge_spec){
        .from = (uint16_t)(TV_NODE_CHANNEL | input->from),
        .to = (uint16_t)stage,
        .overflow = channel->overflow,
        .capacity_bytes = queue_bytes(channel->capacity_bytes, record_bytes),
        .capacity_records = channel->capacity_records,
        .record_bytes_max = record_bytes,
        .pause_percent = channel->pause_percent,
        .resume_percent = channel->resume_percent,
    };
}

static void add_stage_input(const tv_host_model *model, tv_host_spec *spec, const tv_flow_model *flow, size_t stage,
                            const tv_input_model *input) {
    const tv_module_info *info = stage_info(model, flow, input->from);
    tv_edge_spec *edge = &spec->edges[spec->flow.edge_count];
    uint32_t record_bytes = tv_host_record_bytes(info);
    name_edge(spec, flow->stages[input->from].name, input->port, flow->stages[stage].name);
    *edge = (tv_edge_spec){
        .from = input->from,
        .to = (uint16_t)stage,
        .overflow = input->overflow,
        .capacity_bytes = queue_bytes(input->capacity_bytes, record_bytes),
        .capacity_records = input->capacity_records,
        .record_bytes_max = record_bytes,
        .pause_percent = 100,
        .resume_percent = 50,
    };
    (void)tv_host_port_resolve(info, input->port, &edge->from_port);
    spec->flow.edge_count++;
}

static void add_channel_output(const tv_host_model *model, tv_host_spec *spec, const tv_flow_model *flow, size_t stage,
                               const tv_output_model *output) {
    const tv_channel_model *channel = &flow->channels[output->channel];
    tv_edge_spec *edge = &spec->edges[spec->flow.edge_count];
    uint32_t record_bytes = spec->channel_record_bytes[output->channel];
    name_edge(spec, flow->stages[stage].name, output->port, channel->name);
    *edge = (tv_edge_spec){
        .from = (uint16_t)stage,
        .to = (uint16_t)(TV_NODE_CHANNEL | output->channel),
        .overflow = channel->overflow,
        .capacity_bytes = queue_bytes(channel->capacity_bytes, record_bytes),
        .capacity_records = channel->capacity_records,
        .record_bytes_max = record_bytes,
        .pause_percent = 100,
        .resume_percent = 50,
    };
    (void)tv_host_port_resolve(stage_info(model, flow, stage), output->port, &edge->from_port);
    spec->flow.edge_count++;
}

static void add_edges(const tv_host_model *model, tv_host_spec *spec, const tv_flow_model *flow) {
    for (size_t s = 0; s < flow->stage_count; s++)
        for (size_t i = 0; i < flow->stages[s].input_count; i++) {
            const tv_input_model *input = &flow->stages[s].inputs[i];
            if (input->is_channel)
                add_channel_input(spec, flow, s, input);
            else
                add_stage_input(model, spec, flow, s, input);
        }
    for (size_t s = 0; s < flow->stage_count; s++)
        for (size_t i = 0; i < flow->stages[s].output_count; i++)
            add_channel_output(model, spec, flow, s, &flow->stages[s].outputs[i]);
}

// ---- channels -----------------------------------------------------------------------------------------------

// An output channel carries what the stages before it may emit, an input channel what the file allows.
static void set_channels(const tv_host_model *model, tv_host_spec *spec, const tv_flow_model *flow) {
    for (size_t c = 0; c < flow->channel_count; c++) {
        spec->channel_names[c] = flow->channels[c].name;
        if (flow->channels[c].direction == TV_INPUT) spec->channel_record_bytes[c] = flow->channels[c].record_bytes_max;
    }
    for (size_t s = 0; s < flow->stage_count; s++)
        for (size_t i = 0; i < flow->stages[s].output_count; i++) {
            uint32_t bytes = tv_host_record_bytes(stage_info(model, flow, s));
            uint32_t *most = &spec->channel_record_bytes[flow->stages[s].outputs[i].channel];
            if (bytes > *most) *most = bytes;
        }
}

// ---- stages -------------------------------------------------------------------------------------------------

static uint32_t largest_input(const tv_host_spec *spec, size_t stage) {
    uint32_t most = 0;
    for (size_t e = 0; e < spec->flow.edge_count; e++)
        if (spec->edges[e].to == stage && spec->edges[e].record_bytes_max > most)
            most = spec->edges[e].record_bytes_max;
    return most;
}

static int64_t cpu_record_ns(const tv_flow_model *flow, const tv_component_model *component) {
    if (component->cpu_record_ns) return component->cpu_record_ns;
    return flow->class == TV_CLASS_CRITICAL ? 5000000 : 100000000;
}

static tv_asset *copy_assets(const tv_host_model *model, const tv_stage_model *stage) {
    tv_asset *assets = calloc(stage->asset_count + 1, sizeof *assets);
    for (size_t i = 0; assets && i < stage->asset_count; i++) {
        const tv_host_asset *asset = tv_host_asset_find(model, stage->asset_paths[i]);
        assets[i] = (tv_asset){stage->asset_names[i], asset->bytes, asset->size};
    }
    return assets;
}

static tv_status add_stage(const tv_host_model *model, tv_host_spec *spec, const tv_flow_model *flow, size_t index,
                           tv_module *const *modules) {
    const tv_stage_model *stage = &flow->stages[index];
    const tv_component_model *component = &model->pipeline->components[stage->component];
    uint32_t largest = largest_input(spec, index);
    uint32_t batch_bytes = stage->batch_bytes_max ? stage->batch_bytes_max : BATCH_BYTES_DEFAULT;
    if (!stage->batch_bytes_max && largest > batch_bytes) batch_bytes = largest;
    tv_asset *assets = copy_assets(model, stage);
    if (!assets) return TV_NO_MEMORY;
    spec->stages[index] = (tv_stage_spec){
        .name = stage->name,
        .module = modules ? modules[stage->component] : NULL,
        .info = &model->components[stage->component].info,
        .memory_bytes_max = component->memory_bytes_max,
        .batch_records_max = stage->batch_records_max,
        .batch_bytes_max = tv_align_up_u32(batch_bytes, 8),
        .grants = component->grants,
        .cpu_record_ns = cpu_record_ns(flow, component),
        .cpu_call_ns = component->cpu_call_ns,
        .restart = stage->restart,
        .log_lines_per_s = stage->log_lines_per_s,
        .output_records_max = stage->output_records_max,
        .config = stage->config,
        .config_count = stage->config_count,
        .assets = assets,
        .asset_count = stage->asset_count,
        .shared = component->instances == TV_INSTANCES_SHARED,
    };
    spec->flow.stage_count = index + 1;
    return TV_OK;
}

void tv_host_spec_complete(const tv_host_model *model, const tv_flow_model *flow, const tv_host_spec *spec) {
    for (size_t s = 0; s < flow->stage_count; s++)
        for (size_t i = 0; i < flow->stages[s].asset_count; i++) {
            tv_asset *asset = &((tv_asset *)(uintptr_t)spec->stages[s].assets)[i]; // copy_assets made it
            const tv_host_asset *read = tv_host_asset_find(model, flow->stages[s].asset_paths[i]);
            if (asset->bytes) continue;
            asset->bytes = read->bytes;
            asset->size = read->size;
        }
}

// ---- all together ---------------------------------------------------------------------------------------------

static tv_status allocate(const tv_flow_model *flow, tv_host_spec *spec) {
    size_t edges = count_edges(flow);
    spec->stages = calloc(flow->stage_count + 1, sizeof *spec->stages);
    spec->edges = calloc(edges + 1, sizeof *spec->edges);
    spec->edge_names = calloc(edges + 1, sizeof *spec->edge_names);
    spec->channel_names = calloc(flow->channel_count + 1, sizeof *spec->channel_names);
    spec->channel_record_bytes = calloc(flow->channel_count + 1, sizeof *spec->channel_record_bytes);
    bool complete =
        spec->stages && spec->edges && spec->edge_names && spec->channel_names && spec->channel_record_bytes;
    return complete ? TV_OK : TV_NO_MEMORY;
}

static tv_status fill(const tv_host_model *model, const tv_flow_model *flow, tv_module *const *modules,
                      tv_host_spec *spec) {
    set_channels(model, spec, flow);
    add_edges(model, spec, flow);
    for (size_t i = 0; i < flow->stage_count; i++)
        if (add_stage(model, spec, flow, i, modules) != TV_OK) return TV_NO_MEMORY;
    for (size_t e = 0; e < spec->flow.edge_count; e++)
        if (!spec->edge_names[e]) return TV_NO_MEMORY;
    return TV_OK;
}

tv_status tv_host_spec_init(const tv_host_model *model, size_t flow, tv_module *const *modules, tv_host_spec *spec,
                            tv_error *error) {
    return tv_host_spec_of(model, &model->pipeline->flows[flow], modules, spec, error);
}

tv_status tv_host_spec_of(const tv_host_model *model, const tv_flow_model *flow, tv_module *const *modules,
                          tv_host_spec *spec, tv_error *error) {
    *spec = (tv_host_spec){0};
    tv_status status = allocate(flow, spec);
    if (status == TV_OK) status = fill(model, flow, modules, spec);
    spec->flow.name = flow->name;
    spec->flow.class = flow->class;
    spec->flow.quantum_records = flow->quantum_records;
    spec->flow.turn_ns = flow->turn_ns;
    spec->flow.cycle_ns = flow->cycle_ns;
    spec->flow.cpu_per_s_ns = flow->cpu_per_s_ns;
    spec->flow.rate_records_per_s = flow->rate.records;
    spec->flow.rate_bytes_per_s = flow->rate.bytes;
    spec->flow.rate_burst_ns = flow->rate.burst_ns;
    spec->flow.idle_trim_ns = flow->idle_trim_ns;
    spec->flow.stages = spec->stages;
    spec->flow.edges = spec->edges;
    spec->flow.channel_names = spec->channel_names;
    spec->flow.channel_count = flow->channel_count;
    if (status != TV_OK) {
        tv_host_spec_deinit(spec);
        return tv_error_set(error, status, "flow '%s': out of memory", flow->name);
    }
    return TV_OK;
}

void tv_host_spec_deinit(tv_host_spec *spec) {
    for (size_t i = 0; i < spec->flow.stage_count; i++)
        free((void *)(uintptr_t)spec->stages[i].assets);
    free(spec->stages);
    free(spec->edges);
    for (size_t e = 0; spec->edge_names && e < spec->flow.edge_count; e++)
        free((void *)(uintptr_t)spec->edge_names[e]);
    free(spec->edge_names);
    free(spec->channel_names);
    free(spec->channel_record_bytes);
    *spec = (tv_host_spec){0};
}
