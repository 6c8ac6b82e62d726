// Flow specifications: checking, ordering, and what a flow will take of memory. Pure; nothing is allocated.
#include "flow/flow_internal.h"

#include <stdio.h>

static const uint32_t class_quanta[TV_CLASS_COUNT] = {128, 64, 32, 8};

const char *tv_class_name(tv_class class) {
    static const char *const names[TV_CLASS_COUNT] = {"critical", "high", "normal", "background"};
    return class < TV_CLASS_COUNT ? names[class] : "unknown";
}

uint32_t tv_class_quantum(tv_class class) { return class_quanta[class]; }

// ---- checking -----------------------------------------------------------------------------------------------

static const char *node_name(const tv_flow_spec *spec, uint16_t node) {
    return node & TV_NODE_CHANNEL ? spec->channel_names[node & ~TV_NODE_CHANNEL] : spec->stages[node].name;
}

static tv_status check_counts(const tv_flow_spec *spec, tv_error *error) {
    if (spec->stage_count < 1 || spec->stage_count > TV_STAGES_MAX)
        return tv_error_set(error, TV_LIMIT, "flow %s: %zu stages; allowed are 1 to %d", spec->name, spec->stage_count,
                            TV_STAGES_MAX);
    if (spec->edge_count > TV_EDGES_MAX)
        return tv_error_set(error, TV_LIMIT, "flow %s: %zu edges; at most %d are allowed", spec->name, spec->edge_count,
                            TV_EDGES_MAX);
    if (spec->channel_count > TV_CHANNELS_MAX)
        return tv_error_set(error, TV_LIMIT, "flow %s: %zu channels; at most %d are allowed", spec->name,
                            spec->channel_count, TV_CHANNELS_MAX);
    if (spec->class >= TV_CLASS_COUNT) return tv_error_set(error, TV_INVALID, "flow %s: unknown class", spec->name);
    return TV_OK;
}

static bool node_exists(const tv_flow_spec *spec, uint16_t node) {
    size_t index = (size_t)(node & ~TV_NODE_CHANNEL);
    return index < (node & TV_NODE_CHANNEL ? spec->channel_count : spec->stage_count);
}

static tv_status check_edge(const tv_flow_spec *spec, const tv_edge_spec *edge, tv_error *error) {
    if (!node_exists(spec, edge->from) || !node_exists(spec, edge->to) ||
        ((edge->from & TV_NODE_CHANNEL) && (edge->to & TV_NODE_CHANNEL)))
        return tv_error_set(error, TV_INVALID, "flow %s: an edge has an end that does not exist", spec->name);
    const char *from = node_name(spec, edge->from), *to = node_name(spec, edge->to);
    if (edge->capacity_bytes < TV_QUEUE_BYTES_MIN || edge->capacity_bytes > TV_QUEUE_BYTES_MAX)
        return tv_error_set(error, TV_INVALID, "flow %s: queue %s -> %s of %u bytes; allowed are %d to %u", spec->name,
                            from, to, edge->capacity_bytes, TV_QUEUE_BYTES_MIN, TV_QUEUE_BYTES_MAX);
    if (edge->capacity_records < 1 || edge->capacity_records > TV_QUEUE_RECORDS_MAX)
        return tv_error_set(error, TV_INVALID, "flow %s: queue %s -> %s of %u records; allowed are 1 to %d", spec->name,
                            from, to, edge->capacity_records, TV_QUEUE_RECORDS_MAX);
    if (edge->record_bytes_max > edge->capacity_bytes / 2)
        return tv_error_set(error, TV_TOO_LARGE,
                            "flow %s: queue %s -> %s of %u bytes cannot carry records of %u bytes; it needs twice that",
                            spec->name, from, to, edge->capacity_bytes, edge->record_bytes_max);
    if ((edge->to & TV_NODE_CHANNEL) && edge->overflow == TV_OVERFLOW_DROP_OLDEST)
        return tv_error_set(error, TV_INVALID,
                            "flow %s: queue %s -> %s: drop-oldest is not possible on an output channel; put it on the "
                            "queue in front of stage %s",
                            spec->name, from, to, from);
    return TV_OK;
}

// A ring has one producer and one consumer, so a channel meets a flow at one place.
static tv_status check_channel(const tv_flow_spec *spec, size_t index, tv_error *error) {
    size_t edges = 0;
    for (size_t i = 0; i < spec->edge_count; i++)
        edges += spec->edges[i].from == (TV_NODE_CHANNEL | index) || spec->edges[i].to == (TV_NODE_CHANNEL | index);
    if (edges <= 1) return TV_OK;
    return tv_error_set(error, TV_INVALID,
                        "flow %s: channel %s is used %zu times; one stage reads or writes it, which others can be "
                        "connected to",
                        spec->name, spec->channel_names[index], edges);
}

static tv_status check_stage(const tv_flow_spec *spec, size_t index, tv_error *error) {
    const tv_stage_spec *stage = &spec->stages[index];
    const tv_module_info *info = tv_stage_spec_info(stage);
    size_t inputs = 0;
    for (size_t i = 0; i < spec->edge_count; i++) {
        const tv_edge_spec *edge = &spec->edges[i];
        if (edge->from == index && edge->from_port >= info->port_count)
            return tv_error_set(error, TV_NOT_FOUND, "stage %s: component %s has no output port %u (it has %u)",
                                stage->name, info->name, edge->from_port, info->port_count);
        if (edge->to != index) continue;
        inputs++;
        if (stage->batch_bytes_max < edge->record_bytes_max)
            return tv_error_set(error, TV_TOO_LARGE,
                                "stage %s: a batch of %u bytes cannot carry an input record of up to %u bytes",
                                stage->name, stage->batch_bytes_max, edge->record_bytes_max);
    }
    if (inputs > TV_STAGE_INPUTS_MAX)
        return tv_error_set(error, TV_LIMIT, "stage %s: %zu inputs; at most %d are allowed", stage->name, inputs,
                            TV_STAGE_INPUTS_MAX);
    if (inputs == 0 && !info->has_pull)
        return tv_error_set(error, TV_INVALID, "stage %s has no input, and its component does not export tv_pull",
                            stage->name);
    if (inputs > 0 && !info->has_process)
        return tv_error_set(error, TV_INVALID, "stage %s has inputs, but its component does not export tv_process",
                            stage->name);
    if (stage->shared && info->keeping == TV_KEEPS_OWN)
        return tv_error_set(
            error, TV_INVALID,
            "stage %s: `instances: shared` needs a component that keeps no state, or keyed state, and says "
            "so (in C `TV_STATELESS();` or `TV_KEYED_STATE`), which %s does not: leave `instances` out",
            stage->name, info->name[0] ? info->name : "this one");
    if (stage->batch_bytes_max > TV_BATCH_BYTES_MAX)
        return tv_error_set(error, TV_INVALID, "stage %s: batch of %u bytes; at most %d are allowed", stage->name,
                            stage->batch_bytes_max, TV_BATCH_BYTES_MAX);
    if (stage->batch_records_max < 1 || stage->batch_records_max > TV_BATCH_RECORDS_MAX)
        return tv_error_set(error, TV_INVALID, "stage %s: batch of %u records; allowed are 1 to %d", stage->name,
                            stage->batch_records_max, TV_BATCH_RECORDS_MAX);
    return TV_OK;
}

tv_status tv_flow_spec_check(const tv_flow_spec *spec, tv_error *error) {
    uint16_t order[TV_STAGES_MAX];
    tv_flow_settings settings = tv_flow_spec_settings(spec);
    tv_status status = check_counts(spec, error);
    if (status == TV_OK) status = tv_flow_settings_check(spec->name, &settings, error);
    for (size_t i = 0; status == TV_OK && i < spec->edge_count; i++)
        status = check_edge(spec, &spec->edges[i], error);
    for (size_t i = 0; status == TV_OK && i < spec->channel_count; i++)
        status = check_channel(spec, i, error);
    for (size_t i = 0; status == TV_OK && i < spec->stage_count; i++)
        status = check_stage(spec, i, error);
    return status == TV_OK ? tv_flow_spec_order(spec, order, error) : status;
}

tv_status tv_flow_spec_check_channels(const tv_flow_spec *spec, tv_channel *const *channels, tv_error *error) {
    for (size_t i = 0; i < spec->edge_count; i++) {
        const tv_edge_spec *edge = &spec->edges[i];
        if (!((edge->from | edge->to) & TV_NODE_CHANNEL)) continue;
        bool is_input = (edge->from & TV_NODE_CHANNEL) != 0;
        const tv_channel *channel = channels[(is_input ? edge->from : edge->to) & ~TV_NODE_CHANNEL];
        if (channel->direction != (is_input ? TV_INPUT : TV_OUTPUT))
            return tv_error_set(error, TV_INVALID, "flow %s: channel %s has the wrong direction", spec->name,
                                channel->name);
        if (is_input && channel->record_bytes_max > spec->stages[edge->to].batch_bytes_max)
            return tv_error_set(error, TV_TOO_LARGE,
                                "stage %s: a batch of %u bytes cannot carry records of up to %u bytes of channel %s",
                                spec->stages[edge->to].name, spec->stages[edge->to].batch_bytes_max,
                                channel->record_bytes_max, channel->name);
    }
    return TV_OK;
}

// ---- order --------------------------------------------------------------------------------------------------

static bool is_ordered(const uint16_t *order, size_t count, uint16_t stage) {
    for (size_t i = 0; i < count; i++)
        if (order[i] == stage) return true;
    return false;
}

static bool inputs_are_ordered(const tv_flow_spec *spec, const uint16_t *order, size_t count, uint16_t stage) {
    for (size_t i = 0; i < spec->edge_count; i++) {
        const tv_edge_spec *edge = &spec->edges[i];
        if (edge->to == stage && !(edge->from & TV_NODE_CHANNEL) && !is_ordered(order, count, edge->from)) return false;
    }
    return true;
}

tv_status tv_flow_spec_order(const tv_flow_spec *spec, uint16_t *order, tv_error *error) {
    size_t count = 0;
    while (count < spec->stage_count) {
        uint16_t stage = 0;
        while (stage < spec->stage_count &&
               (is_ordered(order, count, stage) || !inputs_are_ordered(spec, order, count, stage)))
            stage++;
        if (stage == spec->stage_count) {
            for (stage = 0; is_ordered(order, count, stage);)
                stage++;
            return tv_error_set(error, TV_INVALID, "flow %s: stage %s is part of, or behind, a cycle", spec->name,
                                spec->stages[stage].name);
        }
        order[count++] = stage;
    }
    return TV_OK;
}

// ---- plan ---------------------------------------------------------------------------------------------------

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

void tv_stage_plan(const tv_stage_spec *stage, void (*line)(void *user, const tv_plan_line *line), void *user) {
    // Measured: 5.7 KB of the engine (bench instance_engine_kib), and 8 KB of page tables with guard pages. Expected is
    // what an instance holds between bursts, its batch given back: at most 3 pages of 4 KB (bench idle_flow_rss_kib).
    enum { ENGINE_BYTES = 8 << 10, ENGINE_EXPECTED_BYTES = 6 << 10, PAGE_TABLE_BYTES = 8 << 10 };
    enum { OWN_PAGES_BYTES = 6 << 10 };
    const tv_module_info *info = tv_stage_spec_info(stage);
    tv_plan_line memory = {.reserved_bytes = stage->memory_bytes_max};
    snprintf(memory.what, sizeof memory.what, "stage %s: %slinear memory", stage->name, stage->shared ? "shared " : "");
    memory.expected_bytes = least(stage->memory_bytes_max, info->memory_initial_bytes / 16 + OWN_PAGES_BYTES);
    line(user, &memory);
    tv_plan_line engine = {.reserved_bytes = ENGINE_BYTES + PAGE_TABLE_BYTES, .expected_bytes = ENGINE_EXPECTED_BYTES};
    snprintf(engine.what, sizeof engine.what, "stage %s: %sengine state", stage->name, stage->shared ? "shared " : "");
    engine.reserved_bytes += info->table_bytes_max;
    engine.expected_bytes += info->table_bytes;
    line(user, &engine);
}

// Most queues are empty mostly; and where flows that are idle give theirs back, most have no pages then.
static uint64_t expected_queue_bytes(const tv_flow_spec *spec, uint64_t capacity) {
    return capacity / (spec->idle_trim_ns ? 64 : 16);
}

void tv_flow_plan(const tv_flow_spec *spec, void (*line)(void *user, const tv_plan_line *line), void *user) {
    for (size_t i = 0; i < spec->stage_count; i++)
        if (!spec->stages[i].shared) tv_stage_plan(&spec->stages[i], line, user);
    for (size_t i = 0; i < spec->edge_count; i++) {
        const tv_edge_spec *edge = &spec->edges[i];
        uint64_t capacity = tv_ring_memory_bytes(tv_ring_capacity(edge->capacity_bytes));
        tv_plan_line queue = {.reserved_bytes = capacity, .expected_bytes = expected_queue_bytes(spec, capacity)};
        snprintf(queue.what, sizeof queue.what, "queue %.40s -> %.40s", node_name(spec, edge->from),
                 node_name(spec, edge->to));
        line(user, &queue);
    }
    tv_plan_line own = {.reserved_bytes = tv_flow_spec_state_bytes(spec, false),
                        .expected_bytes = tv_flow_spec_state_bytes(spec, true)};
    snprintf(own.what, sizeof own.what, "flow state (%zu bytes of it in every turn)", tv_flow_spec_hot_bytes(spec));
    line(user, &own);
    tv_plan_line copies = {.what = "flow figures", .reserved_bytes = tv_flow_snapshot_bytes(spec)};
    line(user, &copies);
}
