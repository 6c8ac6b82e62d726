// What a stage serves to its component: the imports of contract section 7.
//
// All run inside a guest call, on the worker, and never block or allocate. Pointers have been checked by wasm; what is
// checked here is meaning: state, ports, sizes, attributes.
#include "flow/flow_internal.h"

#include <stdio.h>

// Kept out of emit's straight way, which every record takes.
#define TV_RARELY_CALLED __attribute__((noinline, cold))

// ---- emit ---------------------------------------------------------------------------------------------------

// Moves the marks when the guest has begun with another record.
static inline void follow_index(tv_call_frame *frame) {
    uint32_t index = tv_frame_index(frame);
    if (index != frame->mark_index) tv_frame_mark(frame, index);
}

TV_RARELY_CALLED static bool attributes_are_sound(const uint8_t *bytes, uint32_t length) {
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

TV_RARELY_CALLED static int32_t answer_of(tv_call_frame *frame, uint32_t output, tv_pushed pushed) {
    if (pushed == TV_PUSHED_FULL) return TV_ABI_FULL;
    if (pushed == TV_PUSHED_OVERFLOW) frame->push_failed = true;
    if (pushed != TV_PUSHED_DROPPED_NEWEST) return TV_ABI_OK;
    if (!frame->drops_since_mark) memset(frame->newest, 0, frame->output_count * sizeof frame->newest[0]);
    frame->drops_since_mark = true;
    frame->newest[output]++;
    return TV_ABI_OK;
}

// To every edge, or to none.
TV_RARELY_CALLED static int32_t push_to_all(tv_call_frame *frame, const tv_emit *emit, const tv_record *input,
                                            uint32_t size, uint32_t inherited) {
    uint32_t first = frame->ports[emit->port * 2], count = frame->ports[emit->port * 2 + 1];
    for (uint32_t i = first; i < first + count; i++)
        if (!tv_edge_can_take(tv_frame_output(frame, i), size)) return TV_ABI_FULL;
    for (uint32_t i = first; i < first + count; i++)
        (void)answer_of(frame, i, tv_edge_push(tv_frame_output(frame, i), emit, input, size, inherited));
    if (count == 0) frame->unconnected++;
    return TV_ABI_OK;
}

static int32_t push_to_port(tv_call_frame *frame, const tv_emit *emit, const tv_record *input, uint32_t size,
                            uint32_t inherited) {
    int32_t answer = TV_ABI_OK;
    if (frame->ports[emit->port * 2 + 1] == 1) {
        uint32_t output = frame->ports[emit->port * 2];
        tv_pushed pushed = tv_edge_push(tv_frame_output(frame, output), emit, input, size, inherited);
        if (pushed != TV_PUSHED) answer = answer_of(frame, output, pushed);
    } else {
        answer = push_to_all(frame, emit, input, size, inherited);
    }
    if (answer != TV_ABI_OK) return answer;
    frame->emitted_any = true;
    frame->emitted++;
    return TV_ABI_OK;
}

static int32_t emit_data(tv_call_frame *frame, const tv_emit *emit) {
    uint32_t attributes_bytes = emit->attributes_bytes, inherited = 0;
    if (emit->port >= frame->port_count) return TV_ABI_NOT_FOUND;
    if (emit->payload_bytes > frame->payload_bytes_max) return TV_ABI_TOO_LARGE;
    if (attributes_bytes && !attributes_are_sound(emit->attributes, attributes_bytes)) return TV_ABI_INVALID;
    const tv_record *input = frame->has_records ? tv_frame_record(frame, frame->mark_index) : NULL;
    if (input && (emit->flags & TV_FLAG_INHERIT_ATTRIBUTES)) {
        inherited = input->attributes_bytes;
        attributes_bytes += inherited;
        if (attributes_bytes > TV_ATTRIBUTES_BYTES_LIMIT) return TV_ABI_TOO_LARGE;
    }
    uint64_t size = tv_align_up_u64(sizeof(tv_record) + attributes_bytes + (uint64_t)emit->payload_bytes, 8);
    return size <= TV_RECORD_BYTES_LIMIT ? push_to_port(frame, emit, input, (uint32_t)size, inherited)
                                         : TV_ABI_TOO_LARGE;
}

TV_RARELY_CALLED static int32_t emit_watermark(tv_call_frame *frame, const tv_emit *emit) {
    if (emit->port != TV_PORT_ALL || emit->payload_bytes || emit->attributes_bytes ||
        emit->event_time_ns == TV_NO_EVENT_TIME)
        return TV_ABI_INVALID;
    for (uint32_t i = 0; i < frame->output_count; i++)
        if (!tv_edge_can_take(tv_frame_output(frame, i), sizeof(tv_record))) return TV_ABI_FULL;
    for (uint32_t i = 0; i < frame->output_count; i++)
        (void)answer_of(frame, i, tv_edge_push_watermark(tv_frame_output(frame, i), emit->event_time_ns));
    frame->emitted_any = true;
    return TV_ABI_OK;
}

// The frame of the call this import was called from, unless that is tv_init or the start of the instance.
static tv_call_frame *data_frame(const tv_stage *stage) {
    tv_call_frame *frame = stage->flow->frame;
    return frame && frame->call != TV_EXPORT_INIT ? frame : NULL;
}

static int32_t import_emit(void *user, const tv_emit *emit) {
    tv_call_frame *frame = data_frame(user);
    if (!frame) return TV_ABI_STATE;
    follow_index(frame);
    if (frame->rejected_index == frame->mark_index) return TV_ABI_STATE;
    if (emit->flags & ~TV_FLAG_INHERIT_ATTRIBUTES) return TV_ABI_INVALID;
    if (emit->kind == TV_KIND_DATA) return emit_data(frame, emit);
    return emit->kind == TV_KIND_WATERMARK ? emit_watermark(frame, emit) : TV_ABI_INVALID;
}

// To several edges, or by their policies, as `emit` does.
TV_RARELY_CALLED static int32_t forward_to_all(tv_call_frame *frame, uint16_t port, const tv_record *input) {
    tv_emit emit = {
        .payload = tv_record_payload(input),
        .event_time_ns = input->event_time_ns,
        .key = input->key,
        .payload_bytes = input->payload_bytes,
        .port = port,
        .kind = TV_KIND_DATA,
    };
    return push_to_all(frame, &emit, input, input->size_bytes, input->attributes_bytes);
}

// What the host has delivered lies in its own ring still, whatever the guest has made of its copy.
static int32_t import_forward(void *user, int32_t port) {
    tv_call_frame *frame = data_frame(user);
    if (!frame || !frame->has_records) return TV_ABI_STATE;
    follow_index(frame);
    if (frame->rejected_index == frame->mark_index) return TV_ABI_STATE;
    if ((uint32_t)port >= frame->port_count) return TV_ABI_NOT_FOUND;
    const tv_record *input = tv_frame_record(frame, frame->mark_index);
    if (input->payload_bytes > frame->payload_bytes_max) return TV_ABI_TOO_LARGE;
    bool is_single = frame->ports[port * 2 + 1] == 1;
    if (!is_single || !tv_edge_forward(tv_frame_output(frame, frame->ports[port * 2]), input)) {
        int32_t answer = forward_to_all(frame, (uint16_t)port, input);
        if (answer != TV_ABI_OK) return answer;
    }
    frame->emitted_any = true;
    frame->emitted++;
    return TV_ABI_OK;
}

static int32_t import_reject(void *user, const char *reason, size_t length) {
    tv_call_frame *frame = data_frame(user);
    if (!frame || !frame->has_records) return TV_ABI_STATE;
    if (length > TV_REJECT_REASON_BYTES_MAX) return TV_ABI_TOO_LARGE;
    follow_index(frame);
    if (frame->rejected_index == frame->mark_index) return TV_ABI_STATE;
    tv_frame_roll_back(frame);
    tv_dead_letter_write(frame, tv_frame_record(frame, frame->mark_index), reason, length, NULL);
    tv_frame_count_rejection(frame, reason, length);
    frame->rejected_index = frame->mark_index;
    frame->rejected_count++;
    return TV_ABI_OK;
}

// ---- time, text, configuration ------------------------------------------------------------------------------

static int32_t import_timer_set(void *user, int64_t delay_ns) {
    tv_stage *stage = user;
    enum { DELAY_MIN_NS = 1000000 };
    if (stage->state != TV_STAGE_RUNNING) return TV_ABI_STATE;
    tv_keeping keeping = tv_stage_module_info(stage)->keeping;
    if (keeping == TV_KEEPS_NOTHING || (keeping == TV_KEEPS_KEYED && stage->flow->frame->call == TV_EXPORT_INIT))
        return TV_ABI_STATE; // contract 1.7, 1.8: tv_init may serve many stages
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

// "config PATH: ..." is about the setting PATH: its place in the file is found, if it is known.
static void find_setting(const tv_stage *stage, const char *text, size_t length, uint32_t *line, uint32_t *column) {
    static const char prefix[] = "config ";
    enum { PREFIX = sizeof prefix - 1, PATH_BYTES_MAX = 256 };
    const tv_settings *settings = &stage->flow->worker->runtime->settings;
    char path[PATH_BYTES_MAX + 1];
    *line = *column = 0;
    if (!settings->file || length < PREFIX || memcmp(text, prefix, PREFIX) != 0) return;
    const char *end = memmem(text, length, ": ", 2);
    size_t path_length = end ? (size_t)(end - text) - PREFIX : 0;
    if (!end || end < text + PREFIX || path_length >= sizeof path) return;
    memcpy(path, text + PREFIX, path_length);
    path[path_length] = '\0';
    settings->find(settings->user, tv_stage_get_spec(stage)->name, path, line, column);
}

// A line of tv_init at level error: with the place of the setting it is about, and kept for the error.
static void log_refusal(tv_stage *stage, tv_refusal *refusal, const char *text, size_t length) {
    uint32_t line, column;
    char placed[TV_LOG_TEXT_BYTES_MAX + 512];
    find_setting(stage, text, length, &line, &column);
    if (refusal->lines++ == 0 || (line && !refusal->line)) {
        snprintf(refusal->text, sizeof refusal->text, "%.*s", (int)length, text);
        for (char *at = refusal->text; *at; at++)
            if ((unsigned char)*at < 0x20 || *at == 0x7f) *at = '?';
        refusal->line = line;
        refusal->column = column;
    }
    if (line) {
        const char *file = stage->flow->worker->runtime->settings.file;
        int written = snprintf(placed, sizeof placed, "%.*s (%.480s:%u:%u)", (int)length, text, file, line, column);
        tv_stage_log(stage, TV_LEVEL_ERROR, placed, (size_t)written < sizeof placed ? (size_t)written : length);
    } else {
        tv_stage_log(stage, TV_LEVEL_ERROR, text, length);
    }
}

static void import_log(void *user, int32_t level, const char *text, size_t length) {
    tv_log_level known = level < TV_LOG_TRACE   ? TV_LEVEL_TRACE
                         : level > TV_LOG_ERROR ? TV_LEVEL_ERROR
                                                : (tv_log_level)level;
    if (length > TV_LOG_TEXT_BYTES_MAX) length = TV_LOG_TEXT_BYTES_MAX;
    const tv_stage *stage = user;
    tv_call_frame *frame = stage->flow->frame;
    if (known == TV_LEVEL_ERROR && frame && frame->call == TV_EXPORT_INIT)
        log_refusal(user, frame->refusal, text, length);
    else
        tv_stage_log(user, known, text, length);
}

// Whether one more line is within the stage's rate; counts it either way.
static bool log_window_takes(tv_stage *stage) {
    enum { SECOND_NS = 1000000000 };
    tv_stage_cold *cold = tv_stage_get_cold(stage);
    if (!cold) return true; // no memory: said rather than counted
    int64_t now_ns = tv_flow_now_ns(stage->flow);
    if (cold->log_window_ns == 0 || now_ns - cold->log_window_ns >= SECOND_NS) {
        cold->log_window_ns = now_ns;
        cold->log_window_lines = 0;
    }
    if (cold->log_window_lines >= tv_stage_get_spec(stage)->log_lines_per_s) {
        cold->log_lines_suppressed++;
        return false;
    }
    cold->log_window_lines++;
    cold->log_lines++;
    return true;
}

void tv_stage_log(tv_stage *stage, tv_log_level level, const char *text, size_t length) {
    if (!log_window_takes(stage)) return;
    char place[160];
    snprintf(place, sizeof place, "%s/%s", stage->flow->name, tv_stage_get_spec(stage)->name);
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
    tv_stage_config config = tv_stage_get_config(user);
    size_t low = 0, high = config.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_text(config.entries[middle].path, path, length);
        if (order == 0) {
            *value = config.entries[middle].value;
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
    const tv_stage_spec *spec = tv_stage_get_spec(user);
    for (size_t i = 0; i < spec->asset_count; i++) {
        const tv_asset *asset = &spec->assets[i];
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

// Room for one more. Readers look at the old block or the new one, never at both.
static bool grow_counters(tv_flow *flow, tv_stage_rare *rare) {
    enum { STEP = 4 };
    tv_counters *old = rare->counters;
    uint32_t count = old ? old->count : 0;
    if (old && count < old->capacity) return true;
    tv_counters *grown = tv_flow_alloc(flow, sizeof *grown + (count + STEP) * sizeof grown->items[0]);
    if (!grown) return false;
    grown->count = count;
    grown->capacity = count + STEP;
    for (uint32_t i = 0; i < count; i++) {
        grown->items[i].name = old->items[i].name;
        atomic_store_explicit(&grown->items[i].value, atomic_load_explicit(&old->items[i].value, memory_order_relaxed),
                              memory_order_relaxed);
    }
    pthread_mutex_lock(&flow->figures_mutex);
    rare->counters = grown;
    pthread_mutex_unlock(&flow->figures_mutex);
    tv_flow_release(flow, old);
    return true;
}

static int32_t add_counter(tv_flow *flow, tv_stage_rare *rare, const char *name, size_t length) {
    const char *kept = tv_names_ref(&flow->worker->runtime->names, name, length);
    if (!kept || !grow_counters(flow, rare)) {
        tv_names_unref(&flow->worker->runtime->names, kept);
        return TV_ABI_LIMIT;
    }
    tv_counters *counters = rare->counters;
    pthread_mutex_lock(&flow->figures_mutex);
    counters->items[counters->count].name = kept;
    uint32_t index = counters->count++;
    pthread_mutex_unlock(&flow->figures_mutex);
    return (int32_t)index;
}

int32_t tv_stage_counter(tv_stage *stage, const char *name, size_t length) {
    tv_stage_rare *rare = tv_stage_get_rare(stage);
    if (!counter_name_is_sound(name, length)) return TV_ABI_INVALID;
    uint32_t count = rare->counters ? rare->counters->count : 0;
    for (uint32_t i = 0; i < count; i++)
        if (compare_text(rare->counters->items[i].name, name, length) == 0) return (int32_t)i;
    return count == TV_COUNTERS_MAX ? TV_ABI_LIMIT : add_counter(stage->flow, rare, name, length);
}

static int32_t import_counter(void *user, const char *name, size_t length) {
    tv_stage *stage = user;
    return stage->shared ? tv_pool_counter(stage, name, length) : tv_stage_counter(stage, name, length);
}

static int32_t import_counter_add(void *user, int32_t counter, int64_t delta) {
    if (((tv_stage *)user)->shared) counter = tv_pool_counter_of(user, counter);
    tv_counters *counters = tv_stage_get_rare(user)->counters;
    if (!counters || counter < 0 || (uint32_t)counter >= counters->count) return TV_ABI_NOT_FOUND;
    if (delta < 0) return TV_ABI_INVALID;
    _Atomic uint64_t *value = &counters->items[counter].value;
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + (uint64_t)delta,
                          memory_order_relaxed);
    return TV_ABI_OK;
}

// ---- CPU budget ---------------------------------------------------------------------------------------------

static bool is_within_budget(tv_call_frame *frame, int64_t now_ns) {
    uint32_t index = tv_frame_index(frame);
    if (index > frame->tick_index) {
        frame->tick_index = index;
        frame->tick_index_ns = now_ns;
    }
    return now_ns - frame->tick_index_ns <= frame->spec->cpu_record_ns &&
           now_ns - frame->tick_call_ns <= frame->spec->cpu_call_ns;
}

// Progress to another record restarts the record's budget; the call's goes on. Measured from the first tick of the
// call, since the clock costs half a microsecond and most calls see no tick at all. The time of nested turns is not the
// component's.
static bool import_on_tick(void *user) {
    const tv_stage *stage = user;
    tv_flow *flow = stage->flow;
    tv_call_frame *frame = flow->frame;
    int64_t now_ns = tv_clock_thread_cpu_ns(flow->worker->runtime->clock);
    if (!frame->ticked) {
        frame->ticked = true;
        frame->tick_index = 0;
        frame->tick_call_ns = frame->tick_index_ns = now_ns;
    }
    if (!is_within_budget(frame, now_ns)) return false;
    if (!flow->adopted || flow->active_frames == 0) return true; // no worker has it yet
    int64_t nested_ns = tv_worker_preempt(flow, now_ns);
    frame->tick_call_ns += nested_ns;
    frame->tick_index_ns += nested_ns;
    return true;
}

const tv_guest_imports tv_stage_imports = {
    .emit = import_emit,
    .forward = import_forward,
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
