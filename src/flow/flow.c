// A flow: building it from its specification, its turn, its states, its end.
//
// Everything is allocated in tv_flow_new, in one block for the state and one mapping for the rings. A turn lets every
// stage take one step, from source to sink, so that a record can pass the whole flow in a single turn.
#include "flow/flow_internal.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// ---- states -------------------------------------------------------------------------------------------------

const char *tv_flow_state_name(tv_flow_state state) {
    static const char *const names[TV_FLOW_STATE_COUNT] = {"starting", "running", "draining",
                                                           "ended",    "failed",  "removed"};
    return state < TV_FLOW_STATE_COUNT ? names[state] : "unknown";
}

tv_flow_state tv_flow_get_state(const tv_flow *flow) { return (tv_flow_state)atomic_load(&flow->state); }

bool tv_flow_is_over(const tv_flow *flow) {
    tv_flow_state state = tv_flow_get_state(flow);
    return state == TV_FLOW_ENDED || state == TV_FLOW_FAILED || state == TV_FLOW_REMOVED;
}

void tv_flow_set_state(tv_flow *flow, tv_flow_state state) {
    static const bool allowed[TV_FLOW_STATE_COUNT][TV_FLOW_STATE_COUNT] = {
        [TV_FLOW_STARTING] = {[TV_FLOW_RUNNING] = true, [TV_FLOW_FAILED] = true, [TV_FLOW_REMOVED] = true},
        [TV_FLOW_RUNNING] = {[TV_FLOW_DRAINING] = true, [TV_FLOW_FAILED] = true, [TV_FLOW_REMOVED] = true},
        [TV_FLOW_DRAINING] = {[TV_FLOW_ENDED] = true, [TV_FLOW_FAILED] = true, [TV_FLOW_REMOVED] = true},
    };
    TV_ASSERT(allowed[tv_flow_get_state(flow)][state]);
    atomic_store(&flow->state, state);
}

const char *tv_flow_failure(const tv_flow *flow) { return flow->failure; }

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

// ---- a turn -------------------------------------------------------------------------------------------------

// Here and not in a stage's step, which may be held up by its outputs: then the oldest have to go all the more.
static void check_channels(tv_flow *flow) {
    for (size_t i = 0; i < flow->spec->edge_count; i++) {
        tv_channel *channel = flow->edges[i].channel;
        if (channel && channel->overflow == TV_OVERFLOW_DROP_OLDEST && tv_edge_is_input_channel(&flow->edges[i]))
            tv_channel_drop_oldest(channel);
        if (channel && atomic_load_explicit(&channel->failed, memory_order_acquire))
            tv_flow_fail(flow, "channel %s: %s", channel->name, channel->failure);
    }
}

// The far sides must not wait for a flow that is gone.
static void end_output_channels(tv_flow *flow) {
    for (size_t i = 0; i < flow->spec->edge_count; i++)
        if (tv_edge_is_output_channel(&flow->edges[i])) tv_channel_end_output(flow->edges[i].channel);
}

static bool all_closed(const tv_flow *flow) {
    for (size_t i = 0; i < flow->spec->stage_count; i++)
        if (flow->stages[i].state != TV_STAGE_CLOSED) return false;
    return true;
}

static int64_t stage_deadline(const tv_stage *stage) {
    if (stage->state == TV_STAGE_BACKOFF) return stage->backoff_until_ns;
    if (stage->state != TV_STAGE_RUNNING) return INT64_MAX;
    bool pulls = stage->input_count == 0 && !stage->pull_ended && stage->timer_at_ns == INT64_MAX;
    return pulls ? stage->pull_at_ns : stage->timer_at_ns;
}

// What was due at this turn and is still there waits for room, and room wakes the flow.
static int64_t earliest_deadline(const tv_flow *flow, int64_t now_ns) {
    int64_t earliest = INT64_MAX;
    for (size_t i = 0; i < flow->spec->stage_count; i++) {
        int64_t at = stage_deadline(&flow->stages[i]);
        if (at > now_ns && at < earliest) earliest = at;
    }
    return earliest;
}

static void finish_turn(tv_flow *flow, int64_t now_ns) {
    if (tv_flow_get_state(flow) == TV_FLOW_DRAINING && all_closed(flow)) tv_flow_set_state(flow, TV_FLOW_ENDED);
    tv_flow_state state = tv_flow_get_state(flow);
    if (state == TV_FLOW_FAILED || state == TV_FLOW_REMOVED) end_output_channels(flow);
    bool rests = tv_flow_is_over(flow) || atomic_load_explicit(&flow->pause_wanted, memory_order_relaxed);
    flow->deadline_ns = rests ? INT64_MAX : earliest_deadline(flow, now_ns);
    flow->turns++;
    if (atomic_load_explicit(&flow->snapshot_wanted, memory_order_relaxed)) tv_flow_snapshot_take(flow);
    if (tv_flow_is_over(flow)) atomic_store(&flow->at_rest, true);
}

// Whether the stage has something it could go on with, now or as soon as there is room behind it.
static bool has_left(const tv_stage *stage, int64_t now_ns) {
    if (stage->state == TV_STAGE_CLOSED) return false;
    if (stage->timer_at_ns <= now_ns) return true; // it was held up by an output that may have room by now
    if (stage->state != TV_STAGE_RUNNING || stage->more || stage->watermark_forward != TV_NO_EVENT_TIME) return true;
    for (uint32_t i = 0; i < stage->input_count; i++) {
        const tv_edge *edge = stage->inputs[i];
        bool ended = edge->channel ? atomic_load_explicit(&edge->channel->ended, memory_order_relaxed) : edge->ended;
        if (ended || !tv_ring_is_empty(edge->ring)) return true;
    }
    return stage->input_count == 0;
}

// Spares the turn that would find nothing: a record that has gone through the whole flow costs one turn, not two.
static bool any_has_left(const tv_flow *flow, int64_t now_ns) {
    for (size_t i = 0; i < flow->spec->stage_count; i++)
        if (has_left(&flow->stages[i], now_ns)) return true;
    return false;
}

static uint32_t least_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }

bool tv_flow_turn(tv_flow *flow, int64_t now_ns) {
    if (atomic_load_explicit(&flow->requests, memory_order_relaxed)) tv_flow_run_requests(flow);
    if (atomic_load_explicit(&flow->at_rest, memory_order_relaxed)) return false;
    if (atomic_load_explicit(&flow->remove_wanted, memory_order_relaxed) == TV_REMOVE_NOW)
        tv_flow_set_state(flow, TV_FLOW_REMOVED);
    // The end of a pass that was cut says nothing about the stages in front of the cut: they get another look.
    bool moved = flow->next_stage != 0;
    tv_runtime *runtime = flow->worker->runtime;
    uint64_t first_tick = atomic_load_explicit(&runtime->ticks, memory_order_relaxed);
    if (tv_flow_get_state(flow) == TV_FLOW_STARTING) tv_flow_set_state(flow, TV_FLOW_RUNNING);
    check_channels(flow);
    if (atomic_load_explicit(&flow->pause_wanted, memory_order_relaxed)) {
        flow->next_stage = 0; // nothing is under way: it begins at the source when it goes on
        finish_turn(flow, now_ns);
        return false;
    }
    size_t at = flow->next_stage;
    while (at < flow->spec->stage_count && !tv_flow_is_over(flow)) {
        tv_stage *stage = &flow->stages[flow->order[at++]];
        moved |= tv_stage_step(stage, least_u32(flow->credit, stage->spec->batch_records_max), now_ns);
        if (atomic_load_explicit(&runtime->ticks, memory_order_relaxed) - first_tick >= flow->turn_ticks) break;
    }
    flow->next_stage = at < flow->spec->stage_count && !tv_flow_is_over(flow) ? (uint16_t)at : 0;
    finish_turn(flow, now_ns);
    return moved && any_has_left(flow, now_ns);
}

void tv_flow_abandon(tv_flow *flow) {
    for (size_t i = 0; i < flow->spec->edge_count; i++)
        tv_edge_abandon(&flow->edges[i]);
}

// ---- building -----------------------------------------------------------------------------------------------

// The parts of a flow's one block of state, in order.
typedef struct tv_layout {
    size_t stages, edges, order, inputs, outputs, ports, merge, total;
} tv_layout;

static size_t place(size_t *at, size_t bytes) {
    size_t begin = (size_t)tv_align_up_u64(*at, 16);
    *at = begin + bytes;
    return begin;
}

static size_t inputs_of(const tv_flow_spec *spec, size_t stage) {
    size_t count = 0;
    for (size_t i = 0; i < spec->edge_count; i++)
        count += spec->edges[i].to == stage;
    return count;
}

static tv_layout layout_of(const tv_flow_spec *spec) {
    tv_layout layout;
    size_t at = sizeof(tv_flow), ports = 0, merge = 0;
    for (size_t i = 0; i < spec->stage_count; i++) {
        ports += tv_stage_spec_info(&spec->stages[i])->port_count;
        if (inputs_of(spec, i) > 1) merge += spec->stages[i].batch_records_max;
    }
    layout.stages = place(&at, spec->stage_count * sizeof(tv_stage));
    layout.edges = place(&at, spec->edge_count * sizeof(tv_edge));
    layout.order = place(&at, spec->stage_count * sizeof(uint16_t));
    layout.inputs = place(&at, spec->edge_count * sizeof(tv_edge *));
    layout.outputs = place(&at, spec->edge_count * sizeof(tv_edge *));
    layout.ports = place(&at, ports * sizeof(tv_port));
    layout.merge = place(&at, merge);
    layout.total = at;
    return layout;
}

size_t tv_flow_spec_state_bytes(const tv_flow_spec *spec) { return layout_of(spec).total; }
size_t tv_flow_state_bytes(const tv_flow *flow) { return flow->state_bytes; }

static size_t page_round(size_t bytes) { return (size_t)tv_align_up_u64(bytes, (uint64_t)sysconf(_SC_PAGESIZE)); }

static tv_status map_rings(tv_flow *flow, tv_error *error) {
    const tv_flow_spec *spec = flow->spec;
    size_t total = 0;
    for (size_t i = 0; i < spec->edge_count; i++)
        if (!((spec->edges[i].from | spec->edges[i].to) & TV_NODE_CHANNEL))
            total += page_round(tv_ring_capacity(spec->edges[i].capacity_bytes));
    if (total == 0) return TV_OK;
    void *memory = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return tv_error_set(error, TV_NO_MEMORY, "flow %s: no memory for %zu bytes of queues", spec->name, total);
    flow->ring_memory = memory;
    flow->ring_memory_bytes = total;
    return TV_OK;
}

static void edge_init(tv_flow *flow, size_t index, tv_channel *const *channels, size_t *ring_offset) {
    const tv_edge_spec *spec = &flow->spec->edges[index];
    tv_edge *edge = &flow->edges[index];
    edge->from = spec->from;
    edge->to = spec->to;
    edge->overflow = spec->overflow;
    edge->record_bytes_max = spec->record_bytes_max;
    edge->produced.watermark = TV_NO_EVENT_TIME;
    edge->watermark_popped = TV_NO_EVENT_TIME;
    uint16_t channel_end = (spec->from & TV_NODE_CHANNEL) ? spec->from : spec->to;
    if (channel_end & TV_NODE_CHANNEL) {
        tv_channel *channel = channels[channel_end & ~TV_NODE_CHANNEL];
        edge->channel = channel;
        edge->ring = &channel->ring;
        edge->record_bytes_max = channel->record_bytes_max;
        channel->notify_flow = tv_flow_notify;
        channel->flow = flow;
        tv_channel_attach_io(channel, flow->worker->runtime->io_ready, flow->worker->runtime->io_wake);
        return;
    }
    uint32_t capacity = tv_ring_capacity(spec->capacity_bytes);
    tv_ring_init(&edge->own, (uint8_t *)flow->ring_memory + *ring_offset, capacity, spec->capacity_records);
    edge->ring = &edge->own;
    *ring_offset += page_round(capacity);
}

typedef struct tv_cursor {
    tv_edge **inputs, **outputs;
    tv_port *ports;
    uint8_t *merge;
} tv_cursor;

static void connect_inputs(tv_flow *flow, tv_stage *stage, uint16_t index, tv_cursor *cursor) {
    stage->inputs = cursor->inputs;
    for (size_t i = 0; i < flow->spec->edge_count; i++) {
        if (flow->edges[i].to != index) continue;
        flow->edges[i].input_index = stage->input_count;
        if (flow->edges[i].channel) flow->edges[i].channel->input_index = stage->input_count;
        stage->inputs[stage->input_count++] = &flow->edges[i];
    }
    cursor->inputs += stage->input_count;
    if (stage->input_count < 2) return;
    stage->order = cursor->merge;
    cursor->merge += stage->spec->batch_records_max;
}

static void connect_outputs(tv_flow *flow, tv_stage *stage, uint16_t index, tv_cursor *cursor) {
    stage->outputs = cursor->outputs;
    stage->ports = cursor->ports;
    for (uint16_t port = 0; port < stage->port_count; port++) {
        stage->ports[port].first_edge = stage->output_count;
        for (size_t i = 0; i < flow->spec->edge_count; i++) {
            if (flow->edges[i].from != index || flow->spec->edges[i].from_port != port) continue;
            stage->outputs[stage->output_count++] = &flow->edges[i];
            stage->ports[port].edge_count++;
        }
    }
    cursor->outputs += stage->output_count;
    cursor->ports += stage->port_count;
}

static void stage_init(tv_flow *flow, uint16_t index, tv_cursor *cursor) {
    tv_stage *stage = &flow->stages[index];
    stage->flow = flow;
    stage->spec = &flow->spec->stages[index];
    const tv_module_info *info = tv_stage_spec_info(stage->spec);
    tv_module_ref(stage->spec->module);
    stage->port_count = (uint8_t)info->port_count;
    stage->payload_bytes_max = info->max_output_bytes;
    stage->record_bytes_max =
        (uint32_t)tv_align_up_u64(sizeof(tv_record) + TV_ATTRIBUTES_BYTES_LIMIT + (uint64_t)info->max_output_bytes, 8);
    stage->timer_at_ns = INT64_MAX;
    stage->watermark_in = stage->watermark_forward = TV_NO_EVENT_TIME;
    stage->rejected_index = UINT32_MAX;
    connect_inputs(flow, stage, index, cursor);
    connect_outputs(flow, stage, index, cursor);
}

static tv_flow *flow_alloc(const tv_flow_spec *spec, tv_worker *worker) {
    tv_layout layout = layout_of(spec);
    uint8_t *memory = calloc(1, layout.total);
    if (!memory) return NULL;
    tv_flow *flow = (tv_flow *)(void *)memory;
    flow->worker = worker;
    flow->spec = spec;
    flow->state_bytes = layout.total;
    flow->stages = (tv_stage *)(void *)(memory + layout.stages);
    flow->edges = (tv_edge *)(void *)(memory + layout.edges);
    flow->order = (uint16_t *)(void *)(memory + layout.order);
    flow->deadline_ns = INT64_MAX;
    flow->timer_index = UINT32_MAX;
    tv_flow_settings settings = {
        .fields = TV_SET_ALL, .class = spec->class, .quantum_records = spec->quantum_records, .turn_ns = spec->turn_ns};
    tv_flow_apply(flow, &settings);
    pthread_mutex_init(&flow->snapshot_mutex, NULL);
    return flow;
}

static void flow_wire(tv_flow *flow, tv_channel *const *channels) {
    uint8_t *memory = (uint8_t *)flow;
    tv_layout layout = layout_of(flow->spec);
    tv_cursor cursor = {.inputs = (tv_edge **)(void *)(memory + layout.inputs),
                        .outputs = (tv_edge **)(void *)(memory + layout.outputs),
                        .ports = (tv_port *)(void *)(memory + layout.ports),
                        .merge = memory + layout.merge};
    size_t ring_offset = 0;
    for (size_t i = 0; i < flow->spec->edge_count; i++)
        edge_init(flow, i, channels, &ring_offset);
    for (uint16_t i = 0; i < flow->spec->stage_count; i++)
        stage_init(flow, i, &cursor);
}

static tv_status start_stages(tv_flow *flow, tv_error *error) {
    for (size_t i = 0; i < flow->spec->stage_count; i++) {
        tv_status status = tv_stage_start(&flow->stages[flow->order[i]], error);
        if (status != TV_OK) return tv_error_prefix(error, "flow %s", flow->spec->name);
    }
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

tv_status tv_flow_new(tv_runtime *runtime, const tv_flow_spec *spec, tv_channel *const *channels, tv_flow **out,
                      tv_error *error) {
    tv_status status = tv_flow_spec_check(spec, error);
    if (status == TV_OK) status = tv_flow_spec_check_channels(spec, channels, error);
    if (status != TV_OK) return status;
    tv_flow *flow = flow_alloc(spec, &runtime->workers[runtime->next_worker]);
    if (!flow) return tv_error_set(error, TV_NO_MEMORY, "flow %s: out of memory", spec->name);
    flow->started_ns = tv_clock_monotonic_ns(runtime->clock);
    status = tv_flow_spec_order(spec, flow->order, error);
    if (status == TV_OK) status = map_rings(flow, error);
    if (status == TV_OK) {
        flow_wire(flow, channels);
        tv_runtime_guest_begins(runtime);
        status = start_stages(flow, error);
        tv_runtime_guest_ends(runtime);
    }
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

void tv_flow_free(tv_flow *flow) {
    if (!flow) return;
    tv_runtime *runtime = flow->worker->runtime;
    bool is_listed = flow->all_previous || runtime->flows == flow; // else it was never given to a worker
    TV_ASSERT(!is_listed || !runtime->started || atomic_load(&flow->schedule) == TV_SCHEDULE_DETACHED);
    list_remove(runtime, flow);
    tv_flow_refuse_requests(flow);
    for (size_t i = 0; i < flow->spec->edge_count; i++) {
        tv_channel *channel = flow->edges[i].channel;
        if (channel) channel->notify_flow = NULL;
    }
    for (size_t i = 0; i < flow->spec->stage_count; i++) {
        tv_stage *stage = &flow->stages[i];
        if (!stage->flow) continue; // never wired
        tv_instance_free(stage->instance);
        tv_module_unref(stage->spec->module);
    }
    if (flow->ring_memory) munmap(flow->ring_memory, flow->ring_memory_bytes);
    pthread_mutex_destroy(&flow->snapshot_mutex);
    free(flow->snapshot);
    free(flow);
}
