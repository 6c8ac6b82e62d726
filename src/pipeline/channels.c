// Channels of one flow: those its stages use, each with its connector's options.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/load.h"

static const tv_connector *channel_find_connector(const tv_builder *builder, const char *name) {
    for (size_t i = 0; i < builder->connector_count; i++) {
        if (strcmp(builder->connectors[i]->name, name) == 0) return builder->connectors[i];
    }
    return NULL;
}

enum { CHANNEL_NAMES_MAX = 64 };

static size_t channel_connector_names(const tv_builder *builder, unsigned direction,
                                      const char *names[CHANNEL_NAMES_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < builder->connector_count && count < CHANNEL_NAMES_MAX; i++) {
        if ((builder->connectors[i]->directions & direction) != 0) names[count++] = builder->connectors[i]->name;
    }
    return count;
}

static void channel_report_connector(tv_builder *builder, const tv_yaml_node *value, const char *name,
                                     const tv_path *path) {
    const char *names[CHANNEL_NAMES_MAX];
    size_t count = channel_connector_names(builder, TV_INPUT | TV_OUTPUT, names);
    tv_path connector_path = {.parent = path, .name = "connector"};
    tv_reader_report(builder->reader, TV_SEVERITY_ERROR, value->place, &connector_path,
                     tv_reader_suggest(builder->reader, name, names, count), "there is no connector \"%.60s\"", name);
}

// The connector by the text of `connector`, which is read again with the other keys; here nothing is reported but an
// unknown name.
static const tv_connector *channel_read_connector(tv_builder *builder, const tv_yaml_node *node, const tv_path *path) {
    const tv_yaml_node *value = tv_yaml_get(node, "connector");
    tv_variable_result result;
    if (tv_yaml_is_null(value) || value->kind != TV_YAML_SCALAR) return NULL;
    if (!tv_variables_expand(&builder->reader->variables, builder->reader->region, value->text, &result)) return NULL;
    const tv_connector *connector = channel_find_connector(builder, result.text);
    if (connector == NULL) channel_report_connector(builder, value, result.text, path);
    return connector;
}

static const tv_option_table *channel_options_table(const tv_connector *connector, tv_direction direction) {
    return direction == TV_INPUT ? &connector->input_options : &connector->output_options;
}

static bool channel_check_direction(tv_builder *builder, const tv_yaml_item *item, const tv_connector *connector,
                                    tv_direction direction, const tv_path *path) {
    if ((connector->directions & direction) != 0) return true;
    bool input = direction == TV_INPUT;
    const char *names[CHANNEL_NAMES_MAX];
    size_t count = channel_connector_names(builder, direction, names);
    tv_reader_report(builder->reader, TV_SEVERITY_ERROR, item->key_place, path,
                     tv_reader_list(builder->reader,
                                    input ? "connectors that can read: " : "connectors that can write: ", names, count),
                     "a stage names this channel in `%s`, but connector \"%s\" can only %s", input ? "from" : "to",
                     connector->name, input ? "write" : "read");
    return false;
}

// ---- rules across keys --------------------------------------------------------------------------------------

uint32_t tv_queue_capacity(uint64_t bytes) {
    uint32_t capacity = TV_QUEUE_BYTES_MIN;
    while (capacity < bytes && capacity < TV_QUEUE_BYTES_MAX) {
        capacity *= 2;
    }
    return capacity;
}

static void channel_check_queue(tv_builder *builder, const tv_channel_values *values, const tv_yaml_item *item,
                                const tv_path *path) {
    uint64_t capacity = tv_queue_capacity(values->queue.bytes);
    if (values->max_record > capacity / 2) {
        char record[32], queue[32];
        tv_reader_report(builder->reader, TV_SEVERITY_ERROR, item->key_place, path,
                         "make queue.bytes at least twice max_record",
                         "max_record is %s, but a queue of %s has room for records up to half of it",
                         tv_format_size(values->max_record, record), tv_format_size(capacity, queue));
    }
    if (values->queue.resume >= values->queue.pause) {
        tv_reader_report(builder->reader, TV_SEVERITY_ERROR, item->key_place, path,
                         "make queue.resume smaller than queue.pause",
                         "the queue pauses at %lld %% and would resume at %lld %%", (long long)values->queue.pause,
                         (long long)values->queue.resume);
    }
}

static void channel_check_output(tv_builder *builder, const tv_channel_values *values, const tv_yaml_item *item,
                                 const tv_path *path) {
    static const char *const input_only[] = {"pause", "resume"};
    const tv_yaml_node *queue = tv_yaml_get(item->value, "queue");
    for (size_t i = 0; i < sizeof(input_only) / sizeof(input_only[0]); i++) {
        const tv_yaml_item *found = tv_yaml_find(queue, input_only[i]);
        if (found == NULL) continue;
        tv_reader_report(builder->reader, TV_SEVERITY_WARNING, found->key_place, path, "remove it",
                         "queue.%s has no effect on an output channel", input_only[i]);
    }
    if (values->overflow != TV_OVERFLOW_DROP_OLDEST) return;
    const tv_yaml_item *found = tv_yaml_find(item->value, "overflow");
    tv_reader_report(builder->reader, TV_SEVERITY_ERROR, found->value->place, path,
                     "use drop-newest, or put drop-oldest on the input of the stage that writes it: "
                     "from: { stage: NAME, overflow: drop-oldest }",
                     "an output channel cannot drop its oldest records, since the connector may be sending them");
}

static void channel_check_input(tv_builder *builder, const tv_channel_values *values, const tv_connector *connector,
                                const tv_yaml_item *item, const tv_path *path) {
    if (connector->pausable || values->overflow != TV_OVERFLOW_BLOCK) return;
    tv_reader_report(
        builder->reader, TV_SEVERITY_ERROR, item->key_place, path, "set overflow to drop-oldest, drop-newest or error",
        "connector \"%s\" cannot be paused, so this channel cannot block when its queue is full", connector->name);
}

// ---- one channel --------------------------------------------------------------------------------------------

static void channel_fill_model(tv_channel_model *channel, const tv_channel_values *values) {
    channel->capacity_bytes = tv_queue_capacity(values->queue.bytes);
    channel->capacity_records = (uint32_t)values->queue.records;
    channel->record_bytes_max = (uint32_t)values->max_record;
    channel->pause_percent = (uint8_t)values->queue.pause;
    channel->resume_percent = (uint8_t)values->queue.resume;
    channel->overflow = (tv_overflow)values->overflow;
}

static void channel_check(tv_builder *builder, const tv_channel_model *channel, const tv_channel_values *values,
                          const tv_yaml_item *item, size_t errors_before, const tv_path *path) {
    tv_error error;
    channel_check_queue(builder, values, item, path);
    if (channel->direction == TV_OUTPUT) channel_check_output(builder, values, item, path);
    if (channel->connector == NULL) return;
    if (channel->direction == TV_INPUT) channel_check_input(builder, values, channel->connector, item, path);
    if (channel->options == NULL || channel->connector->check == NULL) return;
    if (builder->reader->error_count != errors_before || builder->reader->region->failed) return;
    if (channel->connector->check(channel->direction, channel->options, &error) != TV_OK) {
        tv_reader_report(builder->reader, TV_SEVERITY_ERROR, item->key_place, path, NULL, "%s", error.message);
    }
}

// The connector's options of this direction are read, those of the other refused with a word of why.
static bool channel_fill(tv_builder *builder, const tv_yaml_item *item, tv_channel_model *channel,
                         const tv_connector *connector, tv_channel_values *values, const tv_path *path) {
    tv_region *region = builder->reader->region;
    bool input = channel->direction == TV_INPUT;
    tv_section own = {.name = "connector", .options = *channel_options_table(connector, channel->direction)};
    tv_section other = {.name = "connector",
                        .options = *channel_options_table(connector, input ? TV_OUTPUT : TV_INPUT)};
    channel->options = tv_region_alloc(region, 1, own.options.struct_bytes + 1);
    char refusal[160];
    snprintf(refusal, sizeof(refusal), "it is for \"%.60s\" as %s; this channel is an %s", connector->name,
             input ? "output" : "input", input ? "input" : "output");
    if (channel->options == NULL) return false;
    const tv_reader_target targets[] = {{.section = &tv_section_channel, .values = values},
                                        {.section = &own, .values = channel->options},
                                        {.section = &other, .refusal = refusal}};
    return tv_reader_fill(builder->reader, targets, sizeof(targets) / sizeof(targets[0]), item->value, item->key_place,
                          path);
}

// Fills `channel` from its definition; its options are there if the connector serves the direction.
static void channel_build(tv_builder *builder, const tv_yaml_item *item, tv_channel_model *channel,
                          const tv_path *path) {
    size_t errors = builder->reader->error_count;
    tv_channel_values values;
    const tv_connector *connector = channel_read_connector(builder, item->value, path);
    channel->connector = connector;
    if (connector != NULL) {
        channel->connector_name = connector->name;
        if (!channel_check_direction(builder, item, connector, channel->direction, path)) return;
        if (!channel_fill(builder, item, channel, connector, &values, path)) return;
    } else if (tv_yaml_get(item->value, "connector") == NULL) {
        if (!tv_reader_section(builder->reader, &tv_section_channel, item->value, item->key_place, path, &values))
            return;
    } else {
        return; // with an unknown connector nobody can say which keys are unknown
    }
    bool sized = tv_yaml_get(tv_yaml_get(item->value, "queue"), "bytes") != NULL;
    if (!sized && values.queue.bytes < 2 * values.max_record) values.queue.bytes = 2 * values.max_record;
    channel_fill_model(channel, &values);
    channel_check(builder, channel, &values, item, errors, path);
}

// After an error in a reference it is likely that the channel was meant there.
static void channel_report_unused(tv_builder *builder, const tv_yaml_item *item, const tv_path *path) {
    channel_read_connector(builder, item->value, path);
    if (builder->reader->error_count > 0) return;
    tv_reader_report(builder->reader, TV_SEVERITY_WARNING, item->key_place, path,
                     "name it in `from` or `to` of a stage, or remove it",
                     "no stage uses channel \"%s\"; it will not be opened", item->key);
}

// ---- all of them --------------------------------------------------------------------------------------------

static void channels_renumber(tv_flow_model *flow, const uint16_t *numbers) {
    for (size_t s = 0; s < flow->stage_count; s++) {
        tv_stage_model *stage = &flow->stages[s];
        for (size_t i = 0; i < stage->input_count; i++) {
            if (stage->inputs[i].is_channel) stage->inputs[i].from = numbers[stage->inputs[i].from];
        }
        for (size_t i = 0; i < stage->output_count; i++) {
            stage->outputs[i].channel = numbers[stage->outputs[i].channel];
        }
    }
}

void tv_channels_build(tv_builder *builder) {
    tv_flow_model *flow = builder->flow;
    uint16_t numbers[TV_CHANNELS_MAX] = {0};
    tv_path all = {.name = "channels"};
    flow->channels = tv_region_alloc(builder->reader->region, builder->channel_count, sizeof(*flow->channels));
    if (flow->channels == NULL) return;
    for (size_t i = 0; i < builder->channel_count; i++) {
        const tv_yaml_item *item = builder->channels[i];
        tv_path path = {.parent = &all, .name = item->key};
        if (builder->channel_use[i] == 0) {
            channel_report_unused(builder, item, &path);
            continue;
        }
        numbers[i] = (uint16_t)flow->channel_count;
        uint64_t before = builder->reader->variables.parameter_hits;
        builder->reader->many_hits = before;
        tv_channel_model *channel = &flow->channels[flow->channel_count++];
        channel->name = item->key;
        channel->place = item->key_place;
        channel->direction = (builder->channel_use[i] & TV_INPUT) != 0 ? TV_INPUT : TV_OUTPUT;
        channel_build(builder, item, channel, &path);
        builder->touched.channels[numbers[i]] = builder->reader->variables.parameter_hits > before;
        builder->touched.channel_items[numbers[i]] = (uint16_t)i;
    }
    channels_renumber(flow, numbers);
}

void tv_channels_derive(tv_builder *builder, const tv_prototype *prototype) {
    tv_flow_model *flow = builder->flow;
    size_t count = prototype->flow.channel_count;
    tv_path all = {.name = "channels"};
    flow->channels = prototype->flow.channels;
    flow->channel_count = count;
    for (size_t i = 0; i < count; i++) {
        if (!prototype->touched.channels[i]) continue;
        const tv_yaml_item *item = builder->channels[prototype->touched.channel_items[i]];
        tv_path path = {.parent = &all, .name = item->key};
        if (flow->channels == prototype->flow.channels) {
            flow->channels = tv_region_alloc(builder->reader->region, count, sizeof(*flow->channels));
            if (flow->channels == NULL) {
                flow->channel_count = 0;
                return;
            }
            memcpy(flow->channels, prototype->flow.channels, count * sizeof(*flow->channels));
        }
        builder->reader->many_hits = builder->reader->variables.parameter_hits;
        flow->channels[i].options = NULL;
        channel_build(builder, item, &flow->channels[i], &path);
    }
}
