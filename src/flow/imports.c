// What a stage serves to its component: the imports of contract section 7.
//
// All run inside a guest call, on the worker, and never block or allocate. Pointers have been checked by wasm; what is
// checked here is meaning: state, ports, sizes, attributes.
#include "flow/flow_internal.h"

#include <stdio.h>

// ---- emit ---------------------------------------------------------------------------------------------------

// Moves the marks when the guest has begun with another record.
static void follow_index(tv_stage *stage) {
    uint32_t index = tv_stage_index(stage);
    if (index != stage->mark_index) tv_stage_mark(stage, index);
}

static bool attributes_are_sound(const uint8_t *bytes, uint32_t length) {
    if (length > TV_ATTRIBUTES_BYTES_LIMIT || (length & 7) != 0) return false;
    uint32_t at = 0;
    while (at < length) {
        tv_attribute attribute;
        memcpy(&attribute, bytes + at, sizeof attribute);
        uint32_t step = (uint32_t)sizeof attribute + tv_align_up_u32(attribute.length, 4);
        bool may_be_set = attribute.id != TV_ATTRIBUTE_TRACEPARENT && attribute.id <= TV_ATTRIBUTE_NAMED;
        bool is_padding_with_content = attribute.id == TV_ATTRIBUTE_PAD && attribute.length != 0;
        if (!may_be_set || is_padding_with_content || step > length - at) return false;
        at += step;
    }
    return true;
}

// Whether an input record of this batch is being processed, so that its origin and attributes can be handed on.
static bool has_input_record(const tv_stage *stage) {
    return stage->call == TV_EXPORT_PROCESS && !stage->watermark_batch;
}

// Attributes and sizes of a push; OK, or what to answer.
static int32_t prepare_push(tv_stage *stage, tv_push *push) {
    const tv_emit *emit = push->emit;
    uint32_t attributes_bytes = emit->attributes_bytes;
    if (attributes_bytes && !attributes_are_sound(emit->attributes, attributes_bytes)) return TV_ABI_INVALID;
    push->input = has_input_record(stage) ? tv_stage_record(stage, stage->mark_index) : NULL;
    push->inherited_bytes = 0;
    if (push->input && (emit->flags & TV_FLAG_INHERIT_ATTRIBUTES)) {
        push->inherited_bytes = push->input->attributes_bytes;
        attributes_bytes += push->inherited_bytes;
        if (attributes_bytes > TV_ATTRIBUTES_BYTES_LIMIT) return TV_ABI_TOO_LARGE;
    }
    push->size = (uint32_t)tv_align_up_u64(sizeof(tv_record) + attributes_bytes + (uint64_t)emit->payload_bytes, 8);
    return push->size <= TV_RECORD_BYTES_LIMIT ? TV_ABI_OK : TV_ABI_TOO_LARGE;
}

static int32_t push_to_edge(tv_stage *stage, tv_edge *edge, const tv_push *push) {
    tv_status status = tv_edge_push(edge, push);
    if (status == TV_FULL) return TV_ABI_FULL;
    if (status != TV_OK) stage->push_failed = true;
    return TV_ABI_OK;
}

// To every edge, or to none.
static int32_t push_to_all(tv_stage *stage, const tv_port *port, const tv_push *push) {
    tv_edge **edges = stage->outputs + port->first_edge;
    for (uint32_t i = 0; i < port->edge_count; i++)
        if (!tv_edge_can_take(edges[i], push->size)) return TV_ABI_FULL;
    for (uint32_t i = 0; i < port->edge_count; i++)
        (void)push_to_edge(stage, edges[i], push);
    if (port->edge_count == 0) stage->stats.emitted_unconnected++;
    return TV_ABI_OK;
}

static int32_t push_to_port(tv_stage *stage, const tv_port *port, const tv_push *push) {
    int32_t answer = port->edge_count == 1 ? push_to_edge(stage, stage->outputs[port->first_edge], push)
                                           : push_to_all(stage, port, push);
    if (answer != TV_ABI_OK) return answer;
    stage->emitted_in_call++;
    stage->stats.emitted++;
    stage->stats.bytes_out += push->size;
    return TV_ABI_OK;
}

static int32_t emit_watermark(tv_stage *stage, const tv_emit *emit) {
    if (emit->port != TV_PORT_ALL || emit->payload_bytes || emit->attributes_bytes ||
        emit->event_time_ns == TV_NO_EVENT_TIME)
        return TV_ABI_INVALID;
    for (uint32_t i = 0; i < stage->output_count; i++)
        if (!tv_edge_can_take(stage->outputs[i], sizeof(tv_record))) return TV_ABI_FULL;
    for (uint32_t i = 0; i < stage->output_count; i++)
        if (tv_edge_push_watermark(stage->outputs[i], emit->event_time_ns) != TV_OK) stage->push_failed = true;
    stage->emitted_in_call++;
    return TV_ABI_OK;
}

static int32_t import_emit(void *user, const tv_emit *emit) {
    tv_stage *stage = user;
    if (!stage->in_call) return TV_ABI_STATE;
    follow_index(stage);
    if (stage->rejected_index == stage->mark_index) return TV_ABI_STATE;
    if (emit->flags & ~TV_FLAG_INHERIT_ATTRIBUTES) return TV_ABI_INVALID;
    if (emit->kind == TV_KIND_WATERMARK) return emit_watermark(stage, emit);
    if (emit->kind != TV_KIND_DATA) return TV_ABI_INVALID;
    if (emit->port >= stage->port_count) return TV_ABI_NOT_FOUND;
    if (emit->payload_bytes > stage->payload_bytes_max) return TV_ABI_TOO_LARGE;
    tv_push push = {.emit = emit};
    int32_t answer = prepare_push(stage, &push);
    return answer == TV_ABI_OK ? push_to_port(stage, &stage->ports[emit->port], &push) : answer;
}

static int32_t import_reject(void *user, const char *reason, size_t length) {
    tv_stage *stage = user;
    if (!stage->in_call || !has_input_record(stage)) return TV_ABI_STATE;
    if (length > TV_REJECT_REASON_BYTES_MAX) return TV_ABI_TOO_LARGE;
    follow_index(stage);
    if (stage->rejected_index == stage->mark_index) return TV_ABI_STATE;
    tv_stage_roll_back(stage);
    tv_dead_letter_write(stage, tv_stage_record(stage, stage->mark_index), reason, length, NULL);
    stage->rejected_index = stage->mark_index;
    stage->rejected_count++;
    return TV_ABI_OK;
}

// ---- time, text, configuration ------------------------------------------------------------------------------

static int32_t import_timer_set(void *user, int64_t delay_ns) {
    tv_stage *stage = user;
    enum { DELAY_MIN_NS = 1000000 };
    if (stage->state != TV_STAGE_RUNNING) return TV_ABI_STATE;
    if (tv_stage_module_info(stage)->keeping == TV_KEEPS_NOTHING) return TV_ABI_STATE; // contract 1.7
    if (delay_ns < 0) {
        stage->timer_at_ns = INT64_MAX;
        return TV_ABI_OK;
    }
    if (delay_ns < DELAY_MIN_NS) delay_ns = DELAY_MIN_NS;
    stage->timer_at_ns = tv_time_add_saturating(tv_flow_now_ns(stage->flow), delay_ns);
    return TV_ABI_OK;
}

static int64_t import_clock_ns(void *user, int32_t clock_id) {
    tv_stage *stage = user;
    const tv_clock *clock = stage->flow->worker->runtime->clock;
    if (clock_id == TV_CLOCK_REALTIME) return tv_clock_realtime_ns(clock);
    return tv_clock_monotonic_ns(clock) - stage->flow->started_ns;
}

static void import_log(void *user, int32_t level, const char *text, size_t length) {
    tv_log_level known = level < TV_LOG_TRACE   ? TV_LEVEL_TRACE
                         : level > TV_LOG_ERROR ? TV_LEVEL_ERROR
                                                : (tv_log_level)level;
    tv_stage_log(user, known, text, length < TV_LOG_TEXT_BYTES_MAX ? length : TV_LOG_TEXT_BYTES_MAX);
}

void tv_stage_log(tv_stage *stage, tv_log_level level, const char *text, size_t length) {
    enum { SECOND_NS = 1000000000 };
    int64_t now_ns = tv_flow_now_ns(stage->flow);
    if (stage->log_window_ns == 0 || now_ns - stage->log_window_ns >= SECOND_NS) {
        stage->log_window_ns = now_ns;
        stage->log_window_lines = 0;
    }
    if (stage->log_window_lines >= stage->spec->log_lines_per_s) {
        stage->stats.log_lines_suppressed++;
        return;
    }
    stage->log_window_lines++;
    stage->stats.log_lines++;
    char place[160];
    snprintf(place, sizeof place, "%s/%s", stage->flow->spec->name, stage->spec->name);
    tv_log_text(level, place, text, length);
}

// Order of a name of ours and a guest's text, which may hold any bytes.
static int compare_text(const char *name, const char *text, size_t length) {
    size_t name_length = strlen(name);
    int order = memcmp(name, text, name_length < length ? name_length : length);
    if (order) return order;
    return name_length < length ? -1 : name_length > length;
}

static int32_t import_config_get(void *user, const char *path, size_t length, const char **value,
                                 size_t *value_length) {
    const tv_stage *stage = user;
    size_t low = 0, high = stage->spec->config_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_text(stage->spec->config[middle].path, path, length);
        if (order == 0) {
            *value = stage->spec->config[middle].value;
            *value_length = strlen(*value);
            return TV_ABI_OK;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return TV_ABI_NOT_FOUND;
}

static int32_t import_asset_find(void *user, const char *name, size_t length, const uint8_t **bytes, uint64_t *size) {
    const tv_stage *stage = user;
    for (size_t i = 0; i < stage->spec->asset_count; i++) {
        const tv_asset *asset = &stage->spec->assets[i];
        if (compare_text(asset->name, name, length) != 0) continue;
        *bytes = asset->bytes;
        *size = asset->size;
        return TV_ABI_OK;
    }
    return TV_ABI_NOT_FOUND;
}

// ---- counters -----------------------------------------------------------------------------------------------

static bool counter_name_is_sound(const char *name, size_t length) {
    if (length < 1 || length > TV_NAME_BYTES_MAX) return false;
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
    }
    return true;
}

static int32_t import_counter(void *user, const char *name, size_t length) {
    tv_stage *stage = user;
    tv_stage_stats *stats = &stage->stats;
    if (!counter_name_is_sound(name, length)) return TV_ABI_INVALID;
    for (uint32_t i = 0; i < stats->counter_count; i++)
        if (compare_text(stats->counter_names[i], name, length) == 0) return (int32_t)i;
    if (stats->counter_count == TV_COUNTERS_MAX) return TV_ABI_LIMIT;
    memcpy(stats->counter_names[stats->counter_count], name, length);
    stats->counter_names[stats->counter_count][length] = 0;
    return (int32_t)stats->counter_count++;
}

static int32_t import_counter_add(void *user, int32_t counter, int64_t delta) {
    tv_stage *stage = user;
    if (counter < 0 || (uint32_t)counter >= stage->stats.counter_count) return TV_ABI_NOT_FOUND;
    if (delta < 0) return TV_ABI_INVALID;
    stage->stats.counters[counter] += (uint64_t)delta;
    return TV_ABI_OK;
}

// ---- CPU budget ---------------------------------------------------------------------------------------------

// Progress to another record restarts the record's budget; the call's goes on. Measured from the first tick of the
// call, since the clock costs half a microsecond and most calls see no tick at all.
static bool import_on_tick(void *user) {
    tv_stage *stage = user;
    int64_t now_ns = tv_clock_thread_cpu_ns(stage->flow->worker->runtime->clock);
    if (!stage->ticked) {
        stage->ticked = true;
        stage->tick_index = 0;
        stage->tick_call_ns = stage->tick_index_ns = now_ns;
    }
    uint32_t index = tv_stage_index(stage);
    if (index > stage->tick_index) {
        stage->tick_index = index;
        stage->tick_index_ns = now_ns;
    }
    return now_ns - stage->tick_index_ns <= stage->spec->cpu_record_ns &&
           now_ns - stage->tick_call_ns <= stage->spec->cpu_call_ns;
}

const tv_guest_imports tv_stage_imports = {
    .emit = import_emit,
    .reject = import_reject,
    .timer_set = import_timer_set,
    .clock_ns = import_clock_ns,
    .log = import_log,
    .config_get = import_config_get,
    .asset_find = import_asset_find,
    .counter = import_counter,
    .counter_add = import_counter_add,
    .on_tick = import_on_tick,
};
