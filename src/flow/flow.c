// A flow: building it from its specification, its states, its end. Its turn is in turn.c.
//
// Everything is allocated in tv_flow_new, in one block for the state and one mapping for the rings.
#include "flow/flow_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

// ---- states -------------------------------------------------------------------------------------------------

const char *tv_flow_state_name(tv_flow_state state) {
    static const char *const names[TV_FLOW_STATE_COUNT] = {"starting", "running", "draining",
                                                           "ended",    "failed",  "removed"};
    return state < TV_FLOW_STATE_COUNT ? names[state] : "unknown";
}

tv_flow_state tv_flow_get_state(const tv_flow *flow) { return (tv_flow_state)atomic_load(&flow->state); }

void tv_flow_set_state(tv_flow *flow, tv_flow_state state) {
    static const bool allowed[TV_FLOW_STATE_COUNT][TV_FLOW_STATE_COUNT] = {
        [TV_FLOW_STARTING] = {[TV_FLOW_RUNNING] = true, [TV_FLOW_FAILED] = true, [TV_FLOW_REMOVED] = true},
        [TV_FLOW_RUNNING] = {[TV_FLOW_DRAINING] = true, [TV_FLOW_FAILED] = true, [TV_FLOW_REMOVED] = true},
        [TV_FLOW_DRAINING] = {[TV_FLOW_ENDED] = true, [TV_FLOW_FAILED] = true, [TV_FLOW_REMOVED] = true},
    };
    TV_ASSERT(allowed[tv_flow_get_state(flow)][state]);
    atomic_store(&flow->state, state);
}

const char *tv_flow_name(const tv_flow *flow) { return flow->name; }

const char *tv_flow_failure(const tv_flow *flow) {
    if (tv_flow_get_state(flow) != TV_FLOW_FAILED) return "";
    const char *failure = atomic_load(&flow->failure);
    return failure ? failure : "out of memory";
}

// Worker and setter each write first and look then, so that one of them calls.
void tv_flow_tell_end(tv_flow *flow) {
    tv_flow_state state = tv_flow_get_state(flow);
    if (state != TV_FLOW_ENDED && state != TV_FLOW_FAILED) return;
    tv_flow_end *on_end = atomic_exchange(&flow->on_end, NULL);
    if (on_end) on_end(flow->on_end_user, flow);
}

void tv_flow_on_end(tv_flow *flow, void (*on_end)(void *user, tv_flow *flow), void *user) {
    flow->on_end_user = user;
    atomic_store(&flow->on_end, on_end);
    if (atomic_load(&flow->at_rest)) tv_flow_tell_end(flow);
}

void tv_flow_drain(tv_flow *flow) {
    atomic_store(&flow->drain_wanted, true);
    tv_flow_notify(flow);
}

int64_t tv_flow_now_ns(const tv_flow *flow) { return tv_clock_monotonic_ns(flow->worker->runtime->clock); }

void tv_flow_abandon(tv_flow *flow) {
    for (size_t i = 0; i < flow->spec->edge_count; i++)
        tv_edge_abandon(&flow->edges[i]);
}

// ---- parts --------------------------------------------------------------------------------------------------

tv_stage_config tv_stage_get_config(const tv_stage *stage) {
    if (stage->flow->configs) return stage->flow->configs[stage->index];
    const tv_stage_spec *spec = tv_stage_get_spec(stage);
    return (tv_stage_config){.entries = spec->config, .count = spec->config_count};
}

tv_stage_cold *tv_stage_get_cold(tv_stage *stage) {
    tv_stage_rare *rare = tv_stage_get_rare(stage);
    if (rare->cold) return rare->cold;
    tv_stage_cold *cold = tv_flow_alloc(stage->flow, sizeof *cold);
    pthread_mutex_lock(&stage->flow->figures_mutex);
    rare->cold = cold;
    pthread_mutex_unlock(&stage->flow->figures_mutex);
    return cold;
}

// ---- memory -------------------------------------------------------------------------------------------------

void *tv_flow_alloc(tv_flow *flow, size_t bytes) {
    void *memory = calloc(1, bytes);
    atomic_fetch_add_explicit(&flow->state_bytes, tv_heap_bytes(memory), memory_order_relaxed);
    tv_memory_account_add(flow->worker->runtime->memory, TV_MEMORY_STATE, tv_heap_bytes(memory));
    return memory;
}

void tv_flow_release(tv_flow *flow, void *memory) {
    atomic_fetch_sub_explicit(&flow->state_bytes, tv_heap_bytes(memory), memory_order_relaxed);
    tv_memory_account_subtract(flow->worker->runtime->memory, TV_MEMORY_STATE, tv_heap_bytes(memory));
    free(memory);
}

size_t tv_flow_state_bytes(const tv_flow *flow) {
    size_t bytes = atomic_load(&flow->state_bytes);
    for (size_t i = 0; i < flow->spec->edge_count; i++) {
        const tv_channel *channel = tv_edge_channel(&flow->edges[i]);
        if (channel) bytes += tv_channel_state_bytes(channel);
    }
    return bytes;
}

size_t tv_flow_spec_hot_bytes(const tv_flow_spec *spec) {
    return TV_FLOW_HOT_BYTES + spec->stage_count * sizeof(tv_stage) + spec->edge_count * sizeof(tv_edge);
}

size_t tv_flow_hot_bytes(const tv_flow *flow) { return tv_flow_spec_hot_bytes(flow->spec); }

// ---- building -----------------------------------------------------------------------------------------------

// The parts of a flow's one block of state, in order: what every turn touches, then the rest.
typedef struct tv_layout {
    size_t stages, edges, links, stage_rares, name, total;
} tv_layout;

static size_t place(size_t *at, size_t bytes) {
    size_t begin = (size_t)tv_align_up_u64(*at, 8);
    *at = begin + bytes;
    return begin;
}

static tv_layout layout_of(const tv_flow_spec *spec, size_t name_length) {
    tv_layout layout;
    size_t at = sizeof(tv_flow), ports = 0;
    for (size_t i = 0; i < spec->stage_count; i++)
        ports += tv_stage_spec_info(&spec->stages[i])->port_count;
    layout.stages = place(&at, spec->stage_count * sizeof(tv_stage));
    layout.edges = place(&at, spec->edge_count * (sizeof(tv_edge) + sizeof(tv_edge_rare)));
    layout.links = place(&at, spec->stage_count + 2 * spec->edge_count + 2 * ports);
    layout.stage_rares = place(&at, spec->stage_count * sizeof(tv_stage_rare));
    layout.name = place(&at, name_length + 1);
    layout.total = at;
    return layout;
}

size_t tv_flow_spec_state_bytes(const tv_flow_spec *spec, bool typical) {
    size_t bytes = tv_heap_bytes_for(layout_of(spec, strlen(spec->name)).total);
    for (size_t i = 0; i < spec->channel_count; i++)
        bytes += tv_heap_bytes_for(sizeof(tv_channel) + strlen(spec->name) + strlen(spec->channel_names[i]) + 2);
    if (tv_pool_seats_bytes(spec)) bytes += tv_heap_bytes_for(tv_pool_seats_bytes(spec));
    tv_flow_settings settings = tv_flow_spec_settings(spec);
    if (!typical || tv_flow_settings_limit(&settings)) bytes += tv_heap_bytes_for(sizeof(tv_flow_budget));
    if (typical) return bytes;
    size_t counters = tv_heap_bytes_for(sizeof(tv_counters) + TV_COUNTERS_MAX * sizeof((tv_counters *)0)->items[0]);
    size_t cold = tv_heap_bytes_for(sizeof(tv_stage_cold)) + tv_heap_bytes_for(sizeof(tv_rejections));
    return bytes + spec->stage_count * (cold + counters);
}

static tv_status map_rings(tv_flow *flow, tv_error *error) {
    const tv_flow_spec *spec = flow->spec;
    size_t total = 0;
    for (size_t i = 0; i < spec->edge_count; i++)
        if (!((spec->edges[i].from | spec->edges[i].to) & TV_NODE_CHANNEL))
            total += tv_ring_memory_bytes(tv_ring_capacity(spec->edges[i].capacity_bytes));
    if (total == 0) return TV_OK;
    void *memory = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return tv_error_set(error, TV_NO_MEMORY, "flow %s: no memory for %zu bytes of queues", spec->name, total);
    flow->ring_memory = memory;
    flow->ring_memory_bytes = total;
    tv_memory_account_add(flow->worker->runtime->memory, TV_MEMORY_QUEUES, total);
    return TV_OK;
}

static void attach_channel(tv_flow *flow, tv_edge *edge, tv_channel *channel) {
    edge->channel = channel;
    edge->record_bytes_max = channel->record_bytes_max;
    channel->notify_flow = tv_flow_notify;
    channel->flow = flow;
    tv_channel_attach_io(channel, flow->worker->runtime->io_ready, flow->worker->runtime->io_wake);
}

static void edge_init(tv_flow *flow, size_t index, tv_channel *const *channels, size_t *ring_offset) {
    const tv_edge_spec *spec = &flow->spec->edges[index];
    tv_edge *edge = &flow->edges[index];
    edge->rare_at = (uint8_t)flow->spec->edge_count;
    edge->overflow = (uint8_t)spec->overflow;
    edge->record_bytes_max = spec->record_bytes_max;
    tv_edge_rare *rare = tv_edge_get_rare(edge);
    rare->watermark = rare->watermark_popped = TV_NO_EVENT_TIME;
    bool is_input = (spec->from & TV_NODE_CHANNEL) != 0, is_output = (spec->to & TV_NODE_CHANNEL) != 0;
    edge->kind = is_input ? TV_EDGE_INPUT : is_output ? TV_EDGE_OUTPUT : TV_EDGE_INSIDE;
    if (is_input || is_output) {
        attach_channel(flow, edge, channels[(is_input ? spec->from : spec->to) & ~TV_NODE_CHANNEL]);
        return;
    }
    uint32_t capacity = tv_ring_capacity(spec->capacity_bytes);
    tv_ring_init(&edge->ring, (uint8_t *)flow->ring_memory + *ring_offset, capacity, spec->capacity_records);
    *ring_offset += tv_ring_memory_bytes(capacity);
}

static void connect_inputs(tv_flow *flow, tv_stage *stage, size_t *at) {
    stage->inputs_at = (uint8_t)*at;
    for (size_t i = 0; i < flow->spec->edge_count; i++) {
        if (flow->spec->edges[i].to != stage->index) continue;
        tv_edge *edge = &flow->edges[i];
        edge->input_index = stage->input_count & 127u;
        if (edge->kind == TV_EDGE_INPUT) edge->channel->input_index = stage->input_count;
        flow->links[(*at)++] = (uint8_t)i;
        stage->input_count++;
    }
}

static void connect_outputs(tv_flow *flow, tv_stage *stage, size_t *at, size_t *ports_at) {
    stage->outputs_at = (uint8_t)*at;
    stage->ports_at = (uint16_t)*ports_at;
    for (size_t port = 0; port < stage->port_count; port++) {
        flow->links[(*ports_at)++] = stage->output_count;
        uint8_t *count = &flow->links[(*ports_at)++];
        for (size_t i = 0; i < flow->spec->edge_count; i++) {
            if (flow->spec->edges[i].from != stage->index || flow->spec->edges[i].from_port != port) continue;
            flow->links[(*at)++] = (uint8_t)i;
            stage->output_count++;
            (*count)++;
        }
    }
}

static void stage_init(tv_flow *flow, uint8_t index) {
    tv_stage *stage = &flow->stages[index];
    tv_stage_rare *rare = &flow->stage_rares[index];
    stage->flow = flow;
    stage->index = index;
    if (tv_stage_get_spec(stage)->module) tv_module_ref(tv_stage_get_spec(stage)->module);
    const tv_module_info *info = tv_stage_module_info(stage);
    stage->port_count = (uint8_t)info->port_count;
    stage->payload_bytes_max = info->max_output_bytes;
    stage->timer_at_ns = INT64_MAX;
    rare->watermark_in = rare->watermark_forward = TV_NO_EVENT_TIME;
    rare->waits.since_ns = flow->started_ns;
}

// False: no memory for its limits.
static bool apply_spec(tv_flow *flow) {
    tv_flow_settings settings = tv_flow_spec_settings(flow->spec);
    bool limits = tv_flow_settings_limit(&settings);
    if (limits) flow->budget = tv_flow_alloc(flow, sizeof *flow->budget);
    if (!limits || flow->budget) tv_flow_apply(flow, &settings);
    return !limits || flow->budget;
}

static tv_flow *flow_alloc(const tv_flow_spec *spec, const char *name, tv_worker *worker) {
    tv_layout layout = layout_of(spec, strlen(name));
    uint8_t *memory = calloc(1, layout.total);
    if (!memory) return NULL;
    tv_flow *flow = (tv_flow *)(void *)memory;
    flow->worker = worker;
    flow->spec = spec;
    flow->state_bytes = tv_heap_bytes(memory);
    tv_memory_account_add(worker->runtime->memory, TV_MEMORY_STATE, tv_heap_bytes(memory));
    flow->stages = (tv_stage *)(void *)(memory + layout.stages);
    flow->edges = (tv_edge *)(void *)(memory + layout.edges);
    flow->links = memory + layout.links;
    flow->stage_rares = (tv_stage_rare *)(void *)(memory + layout.stage_rares);
    flow->name = memcpy(memory + layout.name, name, strlen(name) + 1);
    flow->deadline_ns = flow->throttled_until_ns = INT64_MAX;
    flow->spent = true; // no quantum yet
    flow->timer_index = UINT32_MAX;
    pthread_mutex_init(&flow->figures_mutex, NULL);
    if (apply_spec(flow)) return flow;
    tv_flow_free(flow);
    return NULL;
}

static tv_status order_stages(tv_flow *flow, tv_error *error) {
    uint16_t order[TV_STAGES_MAX];
    tv_status status = tv_flow_spec_order(flow->spec, order, error);
    for (size_t i = 0; status == TV_OK && i < flow->spec->stage_count; i++)
        flow->links[i] = (uint8_t)order[i];
    return status;
}

static void flow_wire(tv_flow *flow, tv_channel *const *channels) {
    const tv_flow_spec *spec = flow->spec;
    size_t ring_offset = 0, inputs_at = spec->stage_count, outputs_at = inputs_at + spec->edge_count;
    size_t ports_at = outputs_at + spec->edge_count;
    for (size_t i = 0; i < spec->edge_count; i++)
        edge_init(flow, i, channels, &ring_offset);
    for (uint8_t i = 0; i < spec->stage_count; i++) {
        stage_init(flow, i);
        connect_inputs(flow, &flow->stages[i], &inputs_at);
        connect_outputs(flow, &flow->stages[i], &outputs_at, &ports_at);
    }
}

static tv_status start_stages(tv_flow *flow, size_t *failed, tv_error *error) {
    for (size_t i = 0; i < flow->spec->stage_count; i++) {
        *failed = flow->links[i];
        tv_stage *stage = &flow->stages[*failed];
        tv_status status = stage->shared ? tv_pool_prepare(stage, error) : tv_stage_start(stage, error);
        if (status != TV_OK) return tv_error_prefix(error, "flow %s", flow->name);
    }
    return TV_OK;
}

// As what went wrong is told of a flow that is there: it names itself.
static const char *without_flow(const tv_flow *flow, const char *message) {
    size_t length = strlen(flow->name);
    bool named = strncmp(message, "flow ", 5) == 0 && strncmp(message + 5, flow->name, length) == 0 &&
                 strncmp(message + 5 + length, ": ", 2) == 0;
    return named ? message + 5 + length + 2 : message;
}

static void fail_start(tv_flow *flow, size_t stage, const tv_error *error) {
    const char *file = flow->worker->runtime->settings.file;
    char text[1200];
    if (error->line && file)
        snprintf(text, sizeof text, "%s (%s:%u:%u)", without_flow(flow, error->message), file, error->line,
                 error->column);
    else
        snprintf(text, sizeof text, "%s", without_flow(flow, error->message));
    tv_flow_fail_start(flow, stage, text);
}

// Starts its components. OK also if one of them could not, and the flow may fail.
static tv_status start(tv_flow *flow, const tv_flow_part *part, tv_error *error) {
    tv_runtime *runtime = flow->worker->runtime;
    size_t failed = 0;
    bool may_fail = part && part->may_fail;
    if (may_fail && part->broken) {
        tv_error_set(error, TV_NOT_FOUND, "flow %s: stage %s: %s", flow->name,
                     flow->spec->stages[part->broken_stage].name, part->broken);
        fail_start(flow, part->broken_stage, error);
        return TV_OK;
    }
    tv_runtime_guest_begins(runtime);
    tv_status status = start_stages(flow, &failed, error);
    tv_runtime_guest_ends(runtime);
    if (status == TV_OK || !may_fail) return status;
    fail_start(flow, failed, error);
    return TV_OK;
}

static void list_insert(tv_runtime *runtime, tv_flow *flow) {
    flow->all_next = runtime->flows;
    if (flow->all_next) flow->all_next->all_previous = flow;
    runtime->flows = flow;
}

static void list_remove(tv_runtime *runtime, tv_flow *flow) {
    if (flow->all_next) flow->all_next->all_previous = flow->all_previous;
    if (flow->all_previous)
        flow->all_previous->all_next = flow->all_next;
    else if (runtime->flows == flow)
        runtime->flows = flow->all_next;
}

tv_status tv_flow_new(tv_runtime *runtime, const tv_flow_spec *spec, const tv_flow_part *part,
                      tv_channel *const *channels, tv_flow **out, tv_error *error) {
    tv_status status = tv_flow_spec_check(spec, error);
    if (status == TV_OK) status = tv_flow_spec_check_channels(spec, channels, error);
    if (status != TV_OK) return status;
    const char *name = part && part->name ? part->name : spec->name;
    tv_flow *flow = flow_alloc(spec, name, &runtime->workers[runtime->next_worker]);
    if (!flow) return tv_error_set(error, TV_NO_MEMORY, "flow %s: out of memory", name);
    flow->configs = part ? part->configs : NULL;
    flow->started_ns = tv_clock_monotonic_ns(runtime->clock);
    status = order_stages(flow, error);
    if (status == TV_OK) status = map_rings(flow, error);
    if (status == TV_OK) {
        flow_wire(flow, channels);
        status = tv_pool_join(flow, error);
    }
    if (status == TV_OK) status = start(flow, part, error);
    if (status != TV_OK) {
        tv_flow_free(flow);
        return status;
    }
    runtime->next_worker = (runtime->next_worker + 1) % runtime->worker_count;
    list_insert(runtime, flow);
    *out = flow;
    tv_flow_notify(flow);
    return TV_OK;
}

static void free_counters(tv_flow *flow, tv_counters *counters) {
    for (uint32_t i = 0; counters && i < counters->count; i++)
        tv_names_unref(&flow->worker->runtime->names, counters->items[i].name);
    tv_flow_release(flow, counters);
}

static void free_stage(tv_flow *flow, size_t index) {
    tv_stage *stage = &flow->stages[index];
    if (!stage->flow) return; // never wired
    tv_instance_free(stage->instance);
    tv_module_unref(tv_stage_get_spec(stage)->module);
    free_counters(flow, flow->stage_rares[index].counters);
    tv_stage_cold *cold = flow->stage_rares[index].cold;
    if (cold) tv_flow_release(flow, cold->rejections);
    tv_flow_release(flow, cold);
}

void tv_flow_free(tv_flow *flow) {
    if (!flow) return;
    tv_runtime *runtime = flow->worker->runtime;
    bool is_listed = flow->all_previous || runtime->flows == flow; // else it was never given to a worker
    TV_ASSERT(!is_listed || !runtime->started || atomic_load(&flow->schedule) == TV_SCHEDULE_DETACHED);
    list_remove(runtime, flow);
    tv_flow_refuse_requests(flow);
    for (size_t i = 0; i < flow->spec->edge_count; i++) {
        tv_channel *channel = tv_edge_channel(&flow->edges[i]);
        if (channel) channel->notify_flow = NULL;
    }
    tv_pool_leave(flow);
    tv_pool_part(flow);
    for (size_t i = 0; i < flow->spec->stage_count; i++)
        free_stage(flow, i);
    if (flow->ring_memory) munmap(flow->ring_memory, flow->ring_memory_bytes);
    tv_memory_account_subtract(runtime->memory, TV_MEMORY_QUEUES, flow->ring_memory_bytes);
    pthread_mutex_destroy(&flow->figures_mutex);
    tv_flow_release(flow, flow->snapshot);
    tv_flow_published_free(flow);
    tv_flow_release(flow, atomic_load(&flow->failure));
    tv_flow_release(flow, flow->budget);
    tv_memory_account_subtract(runtime->memory, TV_MEMORY_STATE, tv_heap_bytes(flow));
    free(flow);
}
