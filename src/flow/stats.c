// Figures: snapshots at turn boundaries for other threads, and the check of the conservation laws.
//
// Nobody waits: a reader gets the newest snapshot and asks for another one, which the worker takes at its next turn
// boundary. Where no worker can be at the flow (it has ended, or the threads are stopped) the reader looks itself.
#include "flow/flow_internal.h"

#include <stdlib.h>

const char *tv_overflow_name(tv_overflow overflow) {
    static const char *const names[TV_OVERFLOW_COUNT] = {"block", "drop-oldest", "drop-newest", "error"};
    return overflow < TV_OVERFLOW_COUNT ? names[overflow] : "unknown";
}

const char *tv_drop_reason_name(tv_drop_reason reason) {
    static const char *const names[TV_DROP_COUNT] = {"oldest", "newest", "error", "too_large", "stopped"};
    return reason < TV_DROP_COUNT ? names[reason] : "unknown";
}

// ---- reading the flow ---------------------------------------------------------------------------------------

static void read_input_channel(const tv_edge *edge, tv_edge_stats *stats) {
    tv_channel *channel = edge->channel;
    // Queued before pushed: what is pushed in between then counts as neither.
    stats->popped = edge->popped;
    for (int i = 0; i < TV_DROP_COUNT; i++)
        stats->dropped[i] = atomic_load(&channel->dropped[i]);
    stats->pushed = atomic_load(&channel->pushed);
    stats->pushed_bytes = atomic_load(&channel->pushed_bytes);
    stats->queued_bytes_peak = atomic_load(&channel->queued_bytes_peak);
}

static void read_producer(const tv_edge *edge, tv_edge_stats *stats) {
    for (int i = 0; i < TV_DROP_COUNT; i++)
        stats->dropped[i] = edge->dropped[i];
    stats->dropped[TV_DROP_NEWEST] += edge->produced.dropped_newest;
    stats->pushed = edge->produced.pushed;
    stats->pushed_bytes = edge->produced.bytes;
    stats->control = edge->produced.control;
    stats->queued_bytes_peak = edge->channel ? atomic_load(&edge->channel->queued_bytes_peak) : edge->queued_bytes_peak;
    stats->popped =
        edge->channel ? atomic_load(&edge->ring->head_count) - edge->dropped[TV_DROP_STOPPED] : edge->popped;
}

static void read_edge(const tv_edge *edge, tv_edge_stats *stats) {
    *stats = (tv_edge_stats){.capacity_bytes = edge->ring->capacity_bytes};
    if (tv_edge_is_input_channel(edge))
        read_input_channel(edge, stats);
    else
        read_producer(edge, stats);
    uint64_t tail = atomic_load(&edge->ring->tail), head = atomic_load(&edge->ring->head);
    uint64_t tail_count = atomic_load(&edge->ring->tail_count), head_count = atomic_load(&edge->ring->head_count);
    stats->queued = tail_count > head_count ? tail_count - head_count : 0;
    stats->queued_bytes = tail > head ? (uint32_t)(tail - head) : 0;
}

static void read_stage(const tv_stage *stage, tv_stage_stats *stats) {
    *stats = stage->stats;
    stats->memory_bytes = stage->instance ? tv_instance_memory_bytes(stage->instance) : 0;
    if (stats->memory_bytes > stats->memory_bytes_peak) stats->memory_bytes_peak = stats->memory_bytes;
    stats->memory_bytes_max = stage->spec->memory_bytes_max;
}

static void read_flow(const tv_flow *flow, tv_flow_stats *stats) {
    *stats = (tv_flow_stats){
        .state = tv_flow_get_state(flow),
        .paused = atomic_load(&flow->pause_wanted),
        .class = flow->class,
        .quantum_records = flow->quantum,
        .turn_ns = flow->turn_ns,
        .turns = flow->turns,
    };
}

// One block: the head, the stages, the edges.
static tv_edge_stats *snapshot_edges(const tv_flow *flow, tv_flow_snapshot *snapshot) {
    return (tv_edge_stats *)(void *)(snapshot->stages + flow->spec->stage_count);
}

size_t tv_flow_snapshot_bytes(const tv_flow_spec *spec) {
    return sizeof(tv_flow_snapshot) + spec->stage_count * sizeof(tv_stage_stats) +
           spec->edge_count * sizeof(tv_edge_stats);
}

void tv_flow_snapshot_take(tv_flow *flow) {
    pthread_mutex_lock(&flow->snapshot_mutex);
    atomic_store(&flow->snapshot_wanted, false);
    tv_flow_snapshot *snapshot = flow->snapshot;
    for (size_t i = 0; i < flow->spec->stage_count; i++)
        read_stage(&flow->stages[i], &snapshot->stages[i]);
    for (size_t i = 0; i < flow->spec->edge_count; i++)
        read_edge(&flow->edges[i], &snapshot_edges(flow, snapshot)[i]);
    read_flow(flow, &snapshot->flow);
    pthread_mutex_unlock(&flow->snapshot_mutex);
}

// ---- readers ------------------------------------------------------------------------------------------------

static bool nobody_works_on(const tv_flow *flow) {
    return !flow->worker->runtime->started || atomic_load(&flow->at_rest);
}

// The snapshot, and the wish for a newer one. NULL without memory.
static tv_flow_snapshot *snapshot_begin(tv_flow *flow) {
    pthread_mutex_lock(&flow->snapshot_mutex);
    if (!flow->snapshot) {
        flow->snapshot = calloc(1, tv_flow_snapshot_bytes(flow->spec));
        if (flow->snapshot) flow->snapshot->flow.class = flow->spec->class;
    }
    if (flow->snapshot && !atomic_exchange(&flow->snapshot_wanted, true)) tv_flow_notify(flow);
    return flow->snapshot;
}

void tv_flow_edge_stats(tv_flow *flow, size_t edge, tv_edge_stats *stats) {
    TV_ASSERT(edge < flow->spec->edge_count);
    if (nobody_works_on(flow)) {
        read_edge(&flow->edges[edge], stats);
        return;
    }
    tv_flow_snapshot *snapshot = snapshot_begin(flow);
    *stats = snapshot ? snapshot_edges(flow, snapshot)[edge] : (tv_edge_stats){0};
    pthread_mutex_unlock(&flow->snapshot_mutex);
}

void tv_flow_stage_stats(tv_flow *flow, size_t stage, tv_stage_stats *stats) {
    TV_ASSERT(stage < flow->spec->stage_count);
    if (nobody_works_on(flow)) {
        read_stage(&flow->stages[stage], stats);
        return;
    }
    tv_flow_snapshot *snapshot = snapshot_begin(flow);
    *stats = snapshot ? snapshot->stages[stage] : (tv_stage_stats){0};
    pthread_mutex_unlock(&flow->snapshot_mutex);
}

void tv_flow_get_stats(tv_flow *flow, tv_flow_stats *stats) {
    if (nobody_works_on(flow)) {
        read_flow(flow, stats);
        return;
    }
    tv_flow_snapshot *snapshot = snapshot_begin(flow);
    *stats = snapshot ? snapshot->flow : (tv_flow_stats){0};
    pthread_mutex_unlock(&flow->snapshot_mutex);
}

uint64_t tv_flow_turns(tv_flow *flow) {
    tv_flow_stats stats;
    tv_flow_get_stats(flow, &stats);
    return stats.turns;
}

// ---- conservation -------------------------------------------------------------------------------------------

static const char *edge_end_name(const tv_flow *flow, uint16_t node) {
    return node & TV_NODE_CHANNEL ? flow->spec->channel_names[node & ~TV_NODE_CHANNEL] : flow->spec->stages[node].name;
}

static tv_status check_edge(const tv_flow *flow, const tv_edge *edge, tv_error *error) {
    tv_edge_stats stats;
    read_edge(edge, &stats);
    uint64_t dropped = 0;
    for (int i = 0; i < TV_DROP_COUNT; i++)
        dropped += stats.dropped[i];
    uint64_t queued = tv_ring_count_records(edge->ring); // counted one by one, not derived
    if (stats.pushed == stats.popped + dropped + queued) return TV_OK;
    return tv_error_set(error, TV_INVALID,
                        "flow %s: queue %s -> %s does not balance: pushed %llu, popped %llu, dropped %llu, queued %llu",
                        flow->spec->name, edge_end_name(flow, edge->from), edge_end_name(flow, edge->to),
                        (unsigned long long)stats.pushed, (unsigned long long)stats.popped, (unsigned long long)dropped,
                        (unsigned long long)queued);
}

static tv_status check_stage(const tv_flow *flow, const tv_stage *stage, tv_error *error) {
    const tv_stage_stats *stats = &stage->stats;
    uint64_t popped = 0;
    for (uint32_t i = 0; i < stage->input_count; i++)
        popped += stage->inputs[i]->popped;
    if (stats->popped == stats->processed + stats->dead_lettered + stats->in_progress && stats->popped == popped)
        return TV_OK;
    return tv_error_set(error, TV_INVALID,
                        "flow %s: stage %s does not balance: queues popped %llu, stage popped %llu, processed %llu, "
                        "dead-lettered %llu, in progress %llu",
                        flow->spec->name, stage->spec->name, (unsigned long long)popped,
                        (unsigned long long)stats->popped, (unsigned long long)stats->processed,
                        (unsigned long long)stats->dead_lettered, (unsigned long long)stats->in_progress);
}

tv_status tv_flow_check_conservation(tv_flow *flow, tv_error *error) {
    tv_status status = TV_OK;
    for (size_t i = 0; status == TV_OK && i < flow->spec->edge_count; i++)
        status = check_edge(flow, &flow->edges[i], error);
    for (size_t i = 0; status == TV_OK && i < flow->spec->stage_count; i++)
        status = check_stage(flow, &flow->stages[i], error);
    return status;
}
