// Checks that need the pipeline and its components together: grants, roles against positions, ports, memory, queues
// against the largest records, overflow policies. Finds everything at once; starts nothing.
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connect/file/file.h"
#include "host/host.h"
#include "host/internal.h"
#include "host/specs.h"

void tv_host_report(tv_host_model *model, tv_severity severity, tv_place place, const char *section, const char *name,
                    const char *hint, const char *format, ...) {
    char path[192], message[1024];
    snprintf(path, sizeof path, "%s%s%s", section, name ? "." : "", name ? name : "");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    tv_diagnostics_add_text(&model->diagnostics, severity, model->pipeline->file, place.line, place.column, path, hint,
                            format, message);
}

static const tv_host_component *component_of(const tv_host_model *model, const tv_stage_model *stage) {
    if (stage->component >= model->pipeline->component_count) return NULL;
    const tv_host_component *component = &model->components[stage->component];
    return component->usable ? component : NULL;
}

// ---- components ---------------------------------------------------------------------------------------------

static const char *grant_name(uint32_t grant) {
    switch ((enum tv_grant)grant) {
    case TV_GRANT_CLOCK: return "clock";
    case TV_GRANT_RANDOM: return "random";
    }
    return "?";
}

static void check_grants(tv_host_model *model, const tv_component_model *component, const tv_module_info *info) {
    for (uint32_t i = 0; i < info->import_count; i++) {
        const tv_import_info *import = &info->imports[i];
        if ((import->grant & ~component->grants) == 0) continue;
        char hint[128];
        snprintf(hint, sizeof hint, "add \"%s\" to the component's grants, if it shall have that",
                 grant_name(import->grant));
        tv_host_report(model, TV_SEVERITY_ERROR,
                       component->grants_place.line ? component->grants_place : component->place, "components",
                       component->name, hint, "component \"%s\" imports \"%s\" of \"%s\", which needs the grant \"%s\"",
                       component->name, import->name, import->module, grant_name(import->grant));
    }
    for (uint32_t grant = TV_GRANT_CLOCK; grant <= TV_GRANT_RANDOM; grant <<= 1)
        if ((component->grants & grant) && !(info->grants_needed & grant))
            tv_host_report(model, TV_SEVERITY_WARNING, component->grants_place, "components", component->name,
                           "take the grant away: a component gets what it needs and no more",
                           "component \"%s\" does not use the grant \"%s\"", component->name, grant_name(grant));
}

static void check_memory(tv_host_model *model, const tv_component_model *component, const tv_module_info *info) {
    char initial[32], budget[32];
    if (info->memory_initial_bytes <= component->memory_bytes_max) return;
    tv_host_report(model, TV_SEVERITY_ERROR, component->place, "components", component->name,
                   "raise `memory` of the component, or build it with less",
                   "component \"%s\" begins with %s of memory, its budget is %s", component->name,
                   tv_format_size(info->memory_initial_bytes, initial),
                   tv_format_size(component->memory_bytes_max, budget));
}

static void check_sharing(tv_host_model *model, const tv_component_model *component, const tv_module_info *info) {
    if (component->instances != TV_INSTANCES_SHARED || info->keeping != TV_KEEPS_OWN) return;
    tv_host_report(
        model, TV_SEVERITY_ERROR, component->place, "components", component->name,
        "leave `instances: shared` out, or, if it keeps nothing of one record for the next, let the component "
        "say so: in C with `TV_STATELESS();`",
        "component \"%s\" does not declare that its instances can be shared", component->name);
}

static void check_component(tv_host_model *model, size_t index) {
    const tv_component_model *component = &model->pipeline->components[index];
    if (!model->components[index].usable) return;
    check_grants(model, component, &model->components[index].info);
    check_memory(model, component, &model->components[index].info);
    check_sharing(model, component, &model->components[index].info);
}

// ---- ports --------------------------------------------------------------------------------------------------

static void report_port(tv_host_model *model, tv_place place, const char *stage, const char *from, const char *port,
                        const tv_module_info *info) {
    const char *names[TV_PORTS_MAX];
    char hint[640] = "";
    for (uint32_t i = 0; i < info->port_count; i++)
        names[i] = info->ports[i];
    const char *nearest = tv_nearest_name(port, names, info->port_count);
    if (nearest) snprintf(hint, sizeof hint, "did you mean \"%s\"? ", nearest);
    snprintf(hint + strlen(hint), sizeof hint - strlen(hint), "Its ports are:");
    for (uint32_t i = 0; i < info->port_count; i++)
        snprintf(hint + strlen(hint), sizeof hint - strlen(hint), "%s %s", i ? "," : "", info->ports[i]);
    tv_host_report(model, TV_SEVERITY_ERROR, place, "stages", stage, hint, "stage \"%s\" has no output port \"%s\"",
                   from, port);
}

static void check_input_ports(tv_host_model *model, const tv_flow_model *flow, const tv_stage_model *stage) {
    uint16_t index;
    for (size_t i = 0; i < stage->input_count; i++) {
        const tv_input_model *input = &stage->inputs[i];
        if (input->is_channel || !input->port) continue;
        const tv_host_component *source = component_of(model, &flow->stages[input->from]);
        if (source && !tv_host_port_resolve(&source->info, input->port, &index))
            report_port(model, input->place, stage->name, flow->stages[input->from].name, input->port, &source->info);
    }
}

static void check_output_ports(tv_host_model *model, const tv_stage_model *stage, const tv_module_info *info) {
    uint16_t index;
    for (size_t i = 0; i < stage->output_count; i++)
        if (stage->outputs[i].port && !tv_host_port_resolve(info, stage->outputs[i].port, &index))
            report_port(model, stage->outputs[i].place, stage->name, stage->name, stage->outputs[i].port, info);
}

static uint32_t connected_ports(const tv_host_model *model, const tv_flow_model *flow, size_t stage) {
    const tv_module_info *info = &model->components[flow->stages[stage].component].info;
    uint32_t connected = 0;
    uint16_t port = 0;
    for (size_t s = 0; s < flow->stage_count; s++)
        for (size_t i = 0; i < flow->stages[s].input_count; i++) {
            const tv_input_model *input = &flow->stages[s].inputs[i];
            if (!input->is_channel && input->from == stage && tv_host_port_resolve(info, input->port, &port))
                connected |= 1u << port;
        }
    for (size_t i = 0; i < flow->stages[stage].output_count; i++)
        if (tv_host_port_resolve(info, flow->stages[stage].outputs[i].port, &port)) connected |= 1u << port;
    return connected;
}

// ---- roles against positions --------------------------------------------------------------------------------

static void check_unconnected(tv_host_model *model, const tv_flow_model *flow, size_t index,
                              const tv_module_info *info) {
    const tv_stage_model *stage = &flow->stages[index];
    uint32_t connected = connected_ports(model, flow, index);
    if (info->role == TV_ROLE_SINK && info->port_count == 1) return; // may bring its output elsewhere, or nowhere
    for (uint32_t port = 0; port < info->port_count; port++)
        if (!((connected | info->optional_ports) & (1u << port)))
            tv_host_report(model, TV_SEVERITY_WARNING, stage->place, "stages", stage->name,
                           "connect it with `from: STAGE.PORT` of another stage or with `to:`",
                           "port \"%s\" of stage \"%s\" leads nowhere: what is emitted there is lost",
                           info->ports[port], stage->name);
}

static void check_calls(tv_host_model *model, const tv_stage_model *stage, const tv_module_info *info) {
    if (stage->input_count && !info->has_process)
        tv_host_report(model, TV_SEVERITY_ERROR, stage->place, "stages", stage->name,
                       "take `from` away: this component makes its records itself (tv_pull)",
                       "stage \"%s\" has inputs, but its component has no tv_process to take them", stage->name);
    if (!stage->input_count && !info->has_pull)
        tv_host_report(model, TV_SEVERITY_ERROR, stage->place, "stages", stage->name,
                       "say where its records come from: `from: STAGE` or `from: CHANNEL`",
                       "stage \"%s\" has no input, and its component cannot make records itself (no tv_pull)",
                       stage->name);
}

static void check_role(tv_host_model *model, const tv_stage_model *stage, const tv_module_info *info) {
    bool from_stage = false, from_channel = false;
    for (size_t i = 0; i < stage->input_count; i++)
        *(stage->inputs[i].is_channel ? &from_channel : &from_stage) = true;
    if (info->role == TV_ROLE_SOURCE && from_stage)
        tv_host_report(model, TV_SEVERITY_WARNING, stage->place, "stages", stage->name,
                       "a source reads from a channel, or makes its records itself",
                       "stage \"%s\" gets records from another stage, but its component is a source", stage->name);
    if (info->role == TV_ROLE_SINK && from_channel)
        tv_host_report(model, TV_SEVERITY_WARNING, stage->place, "stages", stage->name,
                       "put a source in front of it, if it expects records that a source has made",
                       "stage \"%s\" reads from a channel, but its component is a sink", stage->name);
    if (info->role == TV_ROLE_SOURCE && stage->output_count)
        tv_host_report(model, TV_SEVERITY_NOTE, stage->place, "stages", stage->name, NULL,
                       "stage \"%s\" is a source that writes to a channel directly", stage->name);
}

// ---- queues against records ---------------------------------------------------------------------------------

static void report_small_queue(tv_host_model *model, tv_place place, const char *section, const char *name,
                               const char *edge, const tv_edge_spec *spec) {
    char capacity[32], hint[160];
    uint64_t needed = tv_align_up_u64(2ull * spec->record_bytes_max, 4096);
    snprintf(hint, sizeof hint, "give it at least %s with `queue: { bytes: %lluKiB }`, or build a smaller max_output",
             tv_format_size(needed, capacity), (unsigned long long)(needed / 1024));
    tv_host_report(
        model, TV_SEVERITY_ERROR, place, section, name, hint,
        "the queue %s has %s (%u bytes), but two of the largest records need %llu: %u each, of which %d are the "
        "header",
        edge, tv_format_size(spec->capacity_bytes, capacity), spec->capacity_bytes, 2ull * spec->record_bytes_max,
        spec->record_bytes_max, TV_RECORD_HEADER_BYTES);
}

// The edges of a specification are made in the order of the stages' inputs, then outputs; so are their places.
static void check_queues(tv_host_model *model, const tv_flow_model *flow, const tv_host_spec *spec) {
    size_t edge = 0;
    for (size_t s = 0; s < flow->stage_count; s++)
        for (size_t i = 0; i < flow->stages[s].input_count; i++, edge++) {
            const tv_input_model *input = &flow->stages[s].inputs[i];
            if (spec->edges[edge].capacity_bytes >= 2 * spec->edges[edge].record_bytes_max) continue;
            const char *name = input->is_channel ? flow->channels[input->from].name : flow->stages[s].name;
            report_small_queue(model, input->is_channel ? flow->channels[input->from].place : input->place,
                               input->is_channel ? "channels" : "stages", name, spec->edge_names[edge],
                               &spec->edges[edge]);
        }
    for (size_t s = 0; s < flow->stage_count; s++)
        for (size_t i = 0; i < flow->stages[s].output_count; i++, edge++) {
            const tv_channel_model *channel = &flow->channels[flow->stages[s].outputs[i].channel];
            if (spec->edges[edge].capacity_bytes >= 2 * spec->edges[edge].record_bytes_max) continue;
            report_small_queue(model, channel->place, "channels", channel->name, spec->edge_names[edge],
                               &spec->edges[edge]);
        }
}

static void check_batches(tv_host_model *model, const tv_flow_model *flow, const tv_host_spec *spec) {
    for (size_t s = 0; s < flow->stage_count; s++) {
        const tv_stage_model *stage = &flow->stages[s];
        const tv_host_component *component = component_of(model, stage);
        char batch[32], record[32];
        uint32_t largest = 0;
        for (size_t e = 0; e < spec->flow.edge_count; e++)
            if (spec->edges[e].to == s && spec->edges[e].record_bytes_max > largest)
                largest = spec->edges[e].record_bytes_max;
        if (spec->stages[s].batch_bytes_max < largest)
            tv_host_report(model, TV_SEVERITY_ERROR, stage->place, "stages", stage->name,
                           "raise `batch: { bytes: ... }`, or leave it out",
                           "a batch of stage \"%s\" has %s, but a record it may get has up to %s", stage->name,
                           tv_format_size(spec->stages[s].batch_bytes_max, batch), tv_format_size(largest, record));
        uint64_t needed = component->info.memory_initial_bytes + spec->stages[s].batch_bytes_max;
        if (needed > spec->stages[s].memory_bytes_max &&
            component->info.memory_initial_bytes <= spec->stages[s].memory_bytes_max)
            tv_host_report(model, TV_SEVERITY_WARNING, stage->place, "stages", stage->name,
                           "raise `memory` of the component, or set a smaller `batch: { bytes: ... }`",
                           "stage \"%s\" may not start: its initial memory and its batch of %s together exceed its "
                           "budget of %s",
                           stage->name, tv_format_size(spec->stages[s].batch_bytes_max, batch),
                           tv_format_size(spec->stages[s].memory_bytes_max, record));
    }
}

// ---- overflow policies --------------------------------------------------------------------------------------

// That a connector which cannot wait must not block is a rule of the file alone, and checked there.
static void check_overflow(tv_host_model *model, const tv_flow_model *flow) {
    for (size_t c = 0; c < flow->channel_count; c++) {
        const tv_channel_model *channel = &flow->channels[c];
        if (channel->direction != TV_INPUT || !channel->connector || !channel->connector->pausable) continue;
        if (channel->overflow == TV_OVERFLOW_BLOCK) continue;
        tv_host_report(model, TV_SEVERITY_WARNING, channel->place, "channels", channel->name,
                       "`overflow: block` loses nothing: the connector then stops reading for a while",
                       "channel \"%s\" may lose records by \"%s\", though connector \"%s\" can wait", channel->name,
                       tv_overflow_name(channel->overflow), channel->connector->name);
    }
}

// ---- limits -------------------------------------------------------------------------------------------------

static void check_instances(tv_host_model *model) {
    size_t instances = tv_host_instances(model);
    uint32_t most = model->pipeline->limits.memories;
    if (!most || instances <= most) return;
    tv_host_report(model, TV_SEVERITY_ERROR, (tv_place){0}, "limits", "memories",
                   "raise `limits: { memories: ... }`: each stage of each flow needs one, but for those that share",
                   "the flows need %zu instances of components together, limits.memories allows %u", instances, most);
}

static void check_plan(tv_host_model *model) {
    tv_host_plan plan;
    tv_error error;
    char counted[32], limit[32];
    const tv_limits_model *limits = &model->pipeline->limits;
    if (!limits->memory_bytes || tv_host_plan_init(model, &plan, &error) != TV_OK) return;
    uint64_t bytes = tv_host_plan_counted_bytes(&plan);
    if (bytes > limits->memory_bytes)
        tv_host_report(model, TV_SEVERITY_ERROR, (tv_place){0}, "limits", "memory",
                       "`torvyn plan FILE` shows what takes how much; lower queues, batches or budgets, or raise it",
                       "the pipeline %s %s, limits.memory allows %s",
                       limits->overcommit ? "is expected to take" : "reserves", tv_format_size(bytes, counted),
                       tv_format_size(limits->memory_bytes, limit));
    tv_host_plan_deinit(&plan);
}

// A flow's own limit; the queues of its channels and what connectors take are part of it.
static void check_flow_memory(tv_host_model *model, const tv_flow_model *flow, const tv_host_spec *spec) {
    char reserved[32], limit[32];
    tv_host_flow_bytes bytes = tv_host_flow_bytes_of(model->pipeline, flow, spec);
    if (!flow->memory_bytes || bytes.reserved <= flow->memory_bytes) return;
    tv_host_report(model, TV_SEVERITY_ERROR, flow->place, "flows", flow->name,
                   "`torvyn plan FILE` shows what takes how much; lower queues, batches or budgets, or raise its "
                   "`memory`",
                   "the flow reserves %s, its own `memory` allows %s", tv_format_size(bytes.reserved, reserved),
                   tv_format_size(flow->memory_bytes, limit));
}

// ---- inputs -------------------------------------------------------------------------------------------------

static const void *option_of(const tv_channel_model *channel, const char *name) {
    const tv_option *option = tv_option_find(&channel->connector->input_options, name);
    TV_ASSERT(option);
    return (const char *)channel->options + option->offset;
}

// A warning, not an error: the file may be there by the time it is run. Patterns and files that are waited for may
// match nothing yet.
static void check_inputs(tv_host_model *model, const tv_flow_model *flow) {
    for (size_t c = 0; c < flow->channel_count; c++) {
        const tv_channel_model *channel = &flow->channels[c];
        if (channel->connector != &tv_connector_file || channel->direction != TV_INPUT || !channel->options) continue;
        const char *path = *(const char *const *)option_of(channel, "path");
        int waits = *(const int *)option_of(channel, "missing");
        if (waits || strpbrk(path, "*?[") || access(path, F_OK) == 0) continue;
        tv_host_report(model, TV_SEVERITY_WARNING, channel->place, "channels", channel->name,
                       "relative paths start at the working directory; `mode: follow` with `missing: wait` waits for "
                       "the file",
                       "the input %s is not there: %s", path, strerror(errno));
    }
}

// ---- flows --------------------------------------------------------------------------------------------------

static bool all_usable(const tv_host_model *model, const tv_flow_model *flow) {
    for (size_t s = 0; s < flow->stage_count; s++)
        if (!component_of(model, &flow->stages[s])) return false;
    return true;
}

// What needs the specification is looked at only when everything it is made of is right.
static void check_spec(tv_host_model *model, const tv_flow_model *flow) {
    tv_host_spec spec;
    tv_error error;
    if (tv_host_spec_of(model, flow, NULL, &spec, &error) != TV_OK) return;
    size_t before = model->diagnostics.error_count;
    check_queues(model, flow, &spec);
    check_batches(model, flow, &spec);
    if (model->diagnostics.error_count == before && tv_flow_spec_check(&spec.flow, &error) != TV_OK)
        tv_host_report(model, TV_SEVERITY_ERROR, flow->place, "flows", flow->name, NULL, "%s", error.message);
    else
        check_flow_memory(model, flow, &spec);
    tv_host_spec_deinit(&spec);
}

void tv_host_check_flow(tv_host_model *model, const tv_flow_model *flow) {
    size_t before = model->diagnostics.error_count;
    check_overflow(model, flow);
    if (model->request.thorough) check_inputs(model, flow);
    for (size_t s = 0; s < flow->stage_count; s++) {
        const tv_host_component *component = component_of(model, &flow->stages[s]);
        check_input_ports(model, flow, &flow->stages[s]);
        if (!component) continue;
        check_output_ports(model, &flow->stages[s], &component->info);
        check_calls(model, &flow->stages[s], &component->info);
        check_role(model, &flow->stages[s], &component->info);
        check_unconnected(model, flow, s, &component->info);
    }
    if (all_usable(model, flow) && model->diagnostics.error_count == before) check_spec(model, flow);
}

// What makes the same specification has the same findings: of flows made from one entry, one is looked at.
static void check_flows(tv_host_model *model) {
    tv_key_table seen = {0};
    for (size_t i = 0; i < model->pipeline->flow_count; i++) {
        const tv_flow_model *flow = &model->pipeline->flows[i];
        tv_key_entry *entry = tv_host_key_take(&seen, flow);
        if (!entry || entry->users == 1) tv_host_check_flow(model, flow);
    }
    tv_key_table_deinit(&seen);
}

void tv_host_check(tv_host_model *model) {
    size_t file_errors = model->diagnostics.error_count;
    for (size_t i = 0; i < model->pipeline->component_count; i++)
        check_component(model, i);
    // A model with errors of its own may have holes (references that were not found): the flows wait.
    if (file_errors) return;
    check_flows(model);
    tv_host_check_paths(model);
    check_instances(model);
    if (model->diagnostics.error_count == 0 && !model->without_plan) check_plan(model);
}
