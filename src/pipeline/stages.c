// Stages of one flow: their values, references and configuration.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "pipeline/load.h"

// A resolved reference: "NAME" or "NAME.PORT".
typedef struct stage_reference {
    bool is_channel;
    uint16_t index;
    const char *port;
} stage_reference;

static bool stage_find(const tv_yaml_item *const *items, size_t count, const char *name, uint16_t *index) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(items[i]->key, name) != 0) continue;
        *index = (uint16_t)i;
        return true;
    }
    return false;
}

// Names are checked against the module's ports by the host; a number can be checked here.
static bool stage_check_port(tv_builder *builder, const char *port, tv_place place, const tv_path *path) {
    bool number = port[strspn(port, "0123456789")] == '\0';
    if (number && port[0] != '\0' && (strlen(port) > 1 || port[0] - '0' >= TV_PORTS_MAX)) {
        tv_reader_report(builder->reader, TV_SEVERITY_ERROR, place, path, NULL,
                         "expected a port from 0 to %d, found %.60s", TV_PORTS_MAX - 1, port);
        return false;
    }
    return tv_reader_name(builder->reader, port, place, path, "a port");
}

static bool stage_resolve_name(tv_builder *builder, const char *name, tv_place place, const tv_path *path,
                               stage_reference *reference) {
    reference->is_channel = false;
    if (stage_find(builder->stages, builder->stage_count, name, &reference->index)) return true;
    reference->is_channel = true;
    if (stage_find(builder->channels, builder->channel_count, name, &reference->index)) return true;
    tv_reader_report(
        builder->reader, TV_SEVERITY_ERROR, place, path,
        tv_reader_suggest(builder->reader, name, builder->names, builder->stage_count + builder->channel_count),
        "\"%.80s\" is neither a stage nor a channel", name);
    return false;
}

static bool stage_check_channel_port(tv_builder *builder, const stage_reference *reference, tv_place place,
                                     const tv_path *path) {
    if (!reference->is_channel || reference->port == NULL) return true;
    tv_reader_report(builder->reader, TV_SEVERITY_ERROR, place, path, "leave the port out",
                     "\"%s\" is a channel; only stages have ports", builder->channels[reference->index]->key);
    return false;
}

// ---- from ---------------------------------------------------------------------------------------------------

static bool stage_resolve_text(tv_builder *builder, const char *text, tv_place place, const tv_path *path,
                               stage_reference *reference) {
    const char *dot = strchr(text, '.');
    reference->port = dot != NULL ? dot + 1 : NULL;
    if (dot != NULL) text = tv_region_copy(builder->reader->region, text, (size_t)(dot - text));
    if (text == NULL || !stage_resolve_name(builder, text, place, path, reference)) return false;
    if (reference->port != NULL && !stage_check_port(builder, reference->port, place, path)) return false;
    return stage_check_channel_port(builder, reference, place, path);
}

// The mapping's `stage` or `channel`: exactly one, and of the right kind.
static bool stage_resolve_edge(tv_builder *builder, const tv_edge_values *edge, tv_place place, const tv_path *path,
                               stage_reference *reference) {
    if ((edge->stage == NULL) == (edge->channel == NULL)) {
        tv_reader_report(builder->reader, TV_SEVERITY_ERROR, place, path, "write { stage: NAME } or { channel: NAME }",
                         "expected one of the keys \"stage\" and \"channel\", found %s",
                         edge->stage == NULL ? "none" : "both");
        return false;
    }
    bool wants_channel = edge->channel != NULL;
    const char *name = wants_channel ? edge->channel : edge->stage;
    reference->port = edge->port;
    if (!stage_resolve_name(builder, name, place, path, reference)) return false;
    if (reference->is_channel != wants_channel) {
        tv_reader_report(builder->reader, TV_SEVERITY_ERROR, place, path,
                         wants_channel ? "write { stage: NAME }" : "write { channel: NAME }",
                         "\"%s\" is a %s, not a %s", name, wants_channel ? "stage" : "channel",
                         wants_channel ? "channel" : "stage");
        return false;
    }
    if (edge->port != NULL && !stage_check_port(builder, edge->port, place, path)) return false;
    return stage_check_channel_port(builder, reference, place, path);
}

// A channel has one queue, described where the channel is.
static void stage_refuse_channel_queue(tv_builder *builder, const tv_yaml_node *node, const stage_reference *reference,
                                       const tv_path *path) {
    static const char *const keys[] = {"queue", "overflow"};
    for (size_t i = 0; reference->is_channel && i < sizeof(keys) / sizeof(keys[0]); i++) {
        const tv_yaml_item *item = tv_yaml_find(node, keys[i]);
        if (item == NULL) continue;
        const char *channel = builder->channels[reference->index]->key;
        tv_reader_report(builder->reader, TV_SEVERITY_ERROR, item->key_place, path,
                         tv_region_print(builder->reader->region, "set it at channels.%s.%s", channel, keys[i]),
                         "\"%s\" is a channel; its %s is not set here", channel, keys[i]);
    }
}

static bool stage_read_reference(tv_builder *builder, const tv_yaml_node *node, const tv_path *path,
                                 tv_edge_values *edge, stage_reference *reference) {
    if (node->kind == TV_YAML_MAPPING) {
        size_t errors = builder->reader->error_count;
        tv_reader_section(builder->reader, &tv_section_edge, node, node->place, path, edge);
        bool readable = builder->reader->error_count == errors || edge->stage != NULL || edge->channel != NULL;
        if (!readable || !stage_resolve_edge(builder, edge, node->place, path, reference)) return false;
        stage_refuse_channel_queue(builder, node, reference, path);
        return true;
    }
    tv_reader_section(builder->reader, &tv_section_edge, NULL, node->place, path, edge); // the defaults
    const char *text = tv_reader_text(builder->reader, node, path);
    return text != NULL && stage_resolve_text(builder, text, node->place, path, reference);
}

static bool stage_same_port(const char *a, const char *b) {
    return strcmp(a != NULL ? a : "0", b != NULL ? b : "0") == 0;
}

static bool stage_has_input(const tv_stage_model *stage, const tv_input_model *input) {
    for (size_t i = 0; i < stage->input_count; i++) {
        const tv_input_model *other = &stage->inputs[i];
        if (other->is_channel == input->is_channel && other->from == input->from &&
            stage_same_port(other->port, input->port)) {
            return true;
        }
    }
    return false;
}

static void stage_add_input(tv_builder *builder, tv_stage_model *stage, const tv_yaml_node *node, const tv_path *path) {
    tv_edge_values edge;
    stage_reference reference = {0};
    if (!stage_read_reference(builder, node, path, &edge, &reference)) return;
    tv_input_model input = {.is_channel = reference.is_channel,
                            .from = reference.index,
                            .port = reference.port,
                            .capacity_bytes = edge.queue.bytes > 0 ? tv_queue_capacity(edge.queue.bytes) : 0,
                            .capacity_records = (uint32_t)edge.queue.records,
                            .overflow = (tv_overflow)edge.overflow,
                            .place = node->place};
    if (stage_has_input(stage, &input)) {
        tv_reader_report(builder->reader, TV_SEVERITY_ERROR, node->place, path, "remove one of them",
                         "the same input is named twice");
        return;
    }
    if (stage->input_count == TV_STAGE_INPUTS_MAX) {
        tv_reader_report(builder->reader, TV_SEVERITY_ERROR, node->place, path, "merge some of them in a stage before",
                         "a stage has at most %d inputs", TV_STAGE_INPUTS_MAX);
        return;
    }
    if (input.is_channel) builder->channel_use[input.from] |= TV_INPUT;
    stage->inputs[stage->input_count++] = input;
}

static void stage_read_from(tv_builder *builder, tv_stage_model *stage, const tv_yaml_node *node, const tv_path *path) {
    size_t room = node != NULL && node->kind == TV_YAML_LIST ? node->count : 1;
    if (node == NULL) return;
    if (room > TV_STAGE_INPUTS_MAX) room = TV_STAGE_INPUTS_MAX;
    stage->inputs = tv_region_alloc(builder->reader->region, room, sizeof(*stage->inputs));
    if (stage->inputs == NULL) return;
    if (node->kind != TV_YAML_LIST) {
        stage_add_input(builder, stage, node, path);
        return;
    }
    size_t i = 0;
    for (const tv_yaml_item *item = node->items; item != NULL; item = item->next, i++) {
        tv_path item_path = {.parent = path, .index = i};
        stage_add_input(builder, stage, item->value, &item_path);
    }
}

// ---- to -----------------------------------------------------------------------------------------------------

static void stage_refuse_target(tv_builder *builder, const tv_stage_model *stage, const char *name, tv_place place,
                                const tv_path *path) {
    uint16_t index;
    tv_reader *reader = builder->reader;
    if (stage_find(builder->stages, builder->stage_count, name, &index)) {
        tv_reader_report(reader, TV_SEVERITY_ERROR, place, path,
                         tv_region_print(reader->region, "write `from: %s` at stage \"%s\" instead", stage->name, name),
                         "\"%s\" is a stage; `to` names channels", name);
        return;
    }
    tv_reader_report(reader, TV_SEVERITY_ERROR, place, path,
                     tv_reader_suggest(reader, name, builder->names + builder->stage_count, builder->channel_count),
                     "there is no channel \"%.80s\"", name);
}

static void stage_add_output(tv_builder *builder, tv_stage_model *stage, const char *port, const tv_yaml_node *node,
                             const tv_path *path) {
    const char *name = tv_reader_text(builder->reader, node, path);
    uint16_t index;
    if (name == NULL) return;
    if (!stage_find(builder->channels, builder->channel_count, name, &index)) {
        stage_refuse_target(builder, stage, name, node->place, path);
        return;
    }
    for (size_t i = 0; i < stage->output_count; i++) {
        if (stage->outputs[i].channel != index) continue;
        tv_reader_report(builder->reader, TV_SEVERITY_ERROR, node->place, path,
                         "let the component emit on one port, or use a second channel",
                         "channel \"%s\" is named twice; a channel takes one port", name);
        return;
    }
    TV_ASSERT(stage->output_count < TV_STAGE_OUTPUTS_MAX); // each channel once
    builder->channel_use[index] |= TV_OUTPUT;
    stage->outputs[stage->output_count++] = (tv_output_model){.port = port, .channel = index, .place = node->place};
}

// A channel or a list of channels.
static void stage_add_outputs(tv_builder *builder, tv_stage_model *stage, const char *port, const tv_yaml_node *node,
                              const tv_path *path) {
    size_t i = 0;
    if (node->kind != TV_YAML_LIST) {
        stage_add_output(builder, stage, port, node, path);
        return;
    }
    for (const tv_yaml_item *item = node->items; item != NULL; item = item->next, i++) {
        tv_path item_path = {.parent = path, .index = i};
        stage_add_output(builder, stage, port, item->value, &item_path);
    }
}

// How many channels the node may name at most.
static size_t stage_outputs_room(const tv_yaml_node *node) {
    size_t room = node->kind == TV_YAML_LIST ? node->count : 1;
    if (node->kind == TV_YAML_MAPPING) {
        room = 0;
        for (const tv_yaml_item *item = node->items; item != NULL; item = item->next) {
            room += item->value->kind == TV_YAML_LIST ? item->value->count : 1;
        }
    }
    return room < TV_STAGE_OUTPUTS_MAX ? room : TV_STAGE_OUTPUTS_MAX; // each channel once
}

static void stage_read_to(tv_builder *builder, tv_stage_model *stage, const tv_yaml_node *node, const tv_path *path) {
    if (node == NULL) return;
    stage->outputs = tv_region_alloc(builder->reader->region, stage_outputs_room(node), sizeof(*stage->outputs));
    if (stage->outputs == NULL) return;
    if (node->kind != TV_YAML_MAPPING) {
        stage_add_outputs(builder, stage, NULL, node, path);
        return;
    }
    for (const tv_yaml_item *item = node->items; item != NULL; item = item->next) {
        tv_path item_path = {.parent = path, .name = item->key};
        if (!stage_check_port(builder, item->key, item->key_place, &item_path)) continue;
        stage_add_outputs(builder, stage, item->key, item->value, &item_path);
    }
}

// ---- values -------------------------------------------------------------------------------------------------

static void stage_read_assets(tv_builder *builder, tv_stage_model *stage, const tv_yaml_node *node,
                              const tv_path *path) {
    tv_reader *reader = builder->reader;
    char found[80];
    if (tv_yaml_is_null(node)) return;
    if (node->kind != TV_YAML_MAPPING || node->count > TV_ASSETS_MAX) {
        tv_reader_report(reader, TV_SEVERITY_ERROR, node->place, path, NULL,
                         "expected a mapping of at most %d names to files, found %s%s", TV_ASSETS_MAX,
                         tv_yaml_describe(node, found, sizeof(found)), node->kind == TV_YAML_MAPPING ? " of more" : "");
        return;
    }
    stage->asset_names = tv_region_alloc(reader->region, node->count, sizeof(*stage->asset_names));
    stage->asset_paths = tv_region_alloc(reader->region, node->count, sizeof(*stage->asset_paths));
    if (stage->asset_names == NULL || stage->asset_paths == NULL) return;
    for (const tv_yaml_item *item = node->items; item != NULL; item = item->next) {
        tv_path item_path = {.parent = path, .name = item->key};
        reader->variables.text = TV_OPTION_PATH;
        const char *file = tv_reader_text(reader, item->value, &item_path);
        reader->variables.text = TV_OPTION_ANY_TEXT;
        if (file != NULL) file = tv_reader_resolve_path(reader, file);
        if (file == NULL) continue;
        stage->asset_names[stage->asset_count] = item->key;
        stage->asset_paths[stage->asset_count++] = file;
    }
}

static void stage_read_restart(tv_builder *builder, tv_stage_model *stage, const tv_restart_values *values,
                               const tv_yaml_node *node, const tv_path *path) {
    stage->restart = (tv_restart_policy){.mode = (tv_restart_mode)values->mode,
                                         .limit = (uint32_t)values->limit,
                                         .window_ns = values->window_ns,
                                         .backoff_min_ns = values->backoff_ns,
                                         .backoff_max_ns = values->backoff_max_ns};
    if (values->backoff_ns <= values->backoff_max_ns) return;
    tv_path restart_path = {.parent = path, .name = "restart"};
    tv_reader_report(builder->reader, TV_SEVERITY_ERROR, node->place, &restart_path, "make backoff_max the larger one",
                     "backoff is longer than backoff_max");
}

static void stage_read_component(tv_builder *builder, tv_stage_model *stage, const char *name, const tv_yaml_node *node,
                                 const tv_path *path) {
    tv_path component_path = {.parent = path, .name = "component"};
    for (size_t i = 0; name != NULL && i < builder->component_count; i++) {
        if (strcmp(builder->component_names[i], name) != 0) continue;
        builder->component_used[i] = true;
        stage->component = (uint16_t)i;
        return;
    }
    builder->incomplete = true;
    const tv_yaml_node *value = tv_yaml_get(node, "component");
    if (name == NULL) return; // said already
    tv_reader_report(builder->reader, TV_SEVERITY_ERROR, value->place, &component_path,
                     tv_reader_suggest(builder->reader, name, builder->component_names, builder->component_count),
                     "there is no component \"%.80s\"", name);
}

static void stage_read_config(tv_builder *builder, size_t index, tv_stage_model *stage, const tv_yaml_node *node,
                              const tv_path *path) {
    tv_config_cache *cache = &builder->configs[index];
    if (builder->running && !cache->valid) { // what is made now lives no longer than the flow
        tv_config_build(builder->reader, node, path, &stage->config, &stage->config_count);
        return;
    }
    if (!cache->valid) {
        size_t errors = builder->reader->error_count;
        uint64_t resolved = builder->reader->variables.resolved_count;
        *cache = (tv_config_cache){0};
        tv_config_build(builder->reader, node, path, &cache->entries, &cache->count);
        cache->valid = resolved == builder->reader->variables.resolved_count && errors == builder->reader->error_count;
    }
    stage->config = cache->entries;
    stage->config_count = cache->count;
}

// What stands beside `from`, `to`, `config` and `assets`.
static bool stage_read_options(tv_builder *builder, tv_stage_model *stage, const tv_yaml_item *item,
                               const tv_path *path, tv_stage_values *values) {
    if (!tv_reader_section(builder->reader, &tv_section_stage, item->value, item->key_place, path, values)) {
        builder->incomplete = true;
        return false;
    }
    stage_read_component(builder, stage, values->component, item->value, path);
    stage_read_restart(builder, stage, &values->restart, tv_yaml_get(item->value, "restart"), path);
    stage->batch_records_max = (uint32_t)values->batch.records;
    stage->batch_bytes_max = (uint32_t)values->batch.bytes;
    stage->log_lines_per_s = (uint32_t)values->log.lines_per_second;
    stage->output_records_max = (uint32_t)values->output_limit;
    return true;
}

static void stage_build(tv_builder *builder, size_t index, tv_stage_model *stage) {
    const tv_yaml_item *item = builder->stages[index];
    tv_path all = {.name = "stages"};
    tv_path path = {.parent = &all, .name = item->key};
    tv_path from = {.parent = &path, .name = "from"}, to = {.parent = &path, .name = "to"};
    tv_path config = {.parent = &path, .name = "config"}, assets = {.parent = &path, .name = "assets"};
    const uint64_t *hits = &builder->reader->variables.parameter_hits;
    uint64_t before = builder->reader->many_hits = *hits;
    tv_stage_values values;
    *stage = (tv_stage_model){.name = item->key, .place = item->key_place};
    if (!stage_read_options(builder, stage, item, &path, &values)) return;
    uint64_t options = *hits;
    stage_read_from(builder, stage, values.from, &from);
    stage_read_to(builder, stage, values.to, &to);
    uint64_t wiring = *hits;
    stage_read_config(builder, index, stage, values.config, &config);
    uint64_t configured = *hits;
    stage_read_assets(builder, stage, values.assets, &assets);
    builder->touched.stages[index] =
        (tv_stage_touch){.options = options > before, .config = configured > wiring, .assets = *hits > configured};
    builder->touched.wiring = builder->touched.wiring || wiring > options;
}

void tv_stages_build(tv_builder *builder) {
    tv_flow_model *flow = builder->flow;
    flow->stages = tv_region_alloc(builder->reader->region, builder->stage_count, sizeof(*flow->stages));
    if (flow->stages == NULL) return;
    flow->stage_count = builder->stage_count;
    for (size_t i = 0; i < builder->stage_count; i++) {
        stage_build(builder, i, &flow->stages[i]);
    }
}

// ---- stages like those of another flow ----------------------------------------------------------------------

static void stage_derive(tv_builder *builder, size_t index, const tv_stage_touch *touch, tv_stage_model *stage) {
    const tv_yaml_item *item = builder->stages[index];
    tv_path all = {.name = "stages"};
    tv_path path = {.parent = &all, .name = item->key};
    tv_path config = {.parent = &path, .name = "config"}, assets = {.parent = &path, .name = "assets"};
    tv_stage_values values;
    builder->reader->many_hits = builder->reader->variables.parameter_hits;
    if (touch->options && !stage_read_options(builder, stage, item, &path, &values)) return;
    if (touch->config) stage_read_config(builder, index, stage, tv_yaml_get(item->value, "config"), &config);
    if (!touch->assets) return;
    stage->asset_count = 0;
    stage_read_assets(builder, stage, tv_yaml_get(item->value, "assets"), &assets);
}

void tv_stages_derive(tv_builder *builder, const tv_prototype *prototype) {
    tv_flow_model *flow = builder->flow;
    size_t count = prototype->flow.stage_count;
    flow->stages = prototype->flow.stages;
    flow->stage_count = count;
    for (size_t i = 0; i < count; i++) {
        const tv_stage_touch *touch = &prototype->touched.stages[i];
        if (!touch->options && !touch->config && !touch->assets) continue;
        if (flow->stages == prototype->flow.stages) {
            flow->stages = tv_region_alloc(builder->reader->region, count, sizeof(*flow->stages));
            if (flow->stages == NULL) {
                flow->stage_count = 0;
                return;
            }
            memcpy(flow->stages, prototype->flow.stages, count * sizeof(*flow->stages));
        }
        stage_derive(builder, i, touch, &flow->stages[i]);
    }
}
