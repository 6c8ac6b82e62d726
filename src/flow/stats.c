// Figures: snapshots at turn boundaries for other threads, and the check of the conservation laws.
//
// Nobody waits: a reader gets the newest snapshot and asks for another one, which the worker takes at its next turn
// boundary. Where no worker can be at the flow (it has ended, or the threads are stopped) the reader looks itself.
#include "flow/flow_internal.h"

#include <string.h>

const char *tv_overflow_name(tv_overflow overflow) {
    static const char *const names[TV_OVERFLOW_COUNT] = {"block", "drop-oldest", "drop-newest", "error"};
    return overflow < TV_OVERFLOW_COUNT ? names[overflow] : "unknown";
}

const char *tv_drop_reason_name(tv_drop_reason reason) {
    static const char *const names[TV_DROP_COUNT] = {"oldest", "newest", "error", "too_large", "stopped", "incomplete"};
    return reason < TV_DROP_COUNT ? names[reason] : "unknown";
}

// ---- reading the flow ---------------------------------------------------------------------------------------

static void read_input_channel(const tv_edge *edge, tv_edge_stats *stats) {
    tv_channel *channel = edge->channel;
    // Queued before pushed: what is pushed in between then counts as neither.
    stats->queued = tv_edge_queued_records(edge);
    stats->popped = edge->popped;
    for (int i = 0; i < TV_DROP_COUNT; i++)
        stats->dropped[i] = atomic_load(&channel->dropped[i]);
    stats->pushed = atomic_load(&channel->pushed);
    stats->pushed_bytes = atomic_load(&channel->pushed_bytes);
}

static void read_producer(const tv_edge *edge, tv_edge_stats *stats) {
    const tv_edge_rare *rare = tv_edge_peek_rare(edge);
    stats->queued = tv_edge_queued_records(edge);
    for (int i = 0; i < TV_DROP_EDGE_COUNT; i++)
        stats->dropped[i] = rare->dropped[i];
    stats->pushed = edge->pushed;
    stats->pushed_bytes = edge->pushed_bytes;
    stats->control = rare->control;
    stats->popped = edge->kind == TV_EDGE_OUTPUT ? atomic_load(&edge->channel->popped) : edge->popped;
}

void tv_edge_read(const tv_edge *edge, tv_edge_stats *stats) {
    const tv_ring *ring = tv_edge_peek_ring(edge);
    *stats = (tv_edge_stats){.capacity_bytes = ring->capacity_bytes, .queued_bytes = tv_ring_queued_bytes(ring)};
    if (edge->kind == TV_EDGE_INPUT)
        read_input_channel(edge, stats);
    else
        read_producer(edge, stats);
    stats->queued_bytes_peak = atomic_load_explicit(&ring->bytes_peak, memory_order_relaxed);
}

static void read_cold(const tv_stage_cold *cold, tv_stage_stats *stats) {
    memcpy(stats->faults_by_reason, cold->faults_by_reason, sizeof stats->faults_by_reason);
    stats->log_lines = cold->log_lines;
    stats->log_lines_suppressed = cold->log_lines_suppressed;
}

static void read_rare(const tv_stage_rare *rare, tv_stage_stats *stats) {
    stats->dead_lettered = rare->dead_lettered;
    stats->rejected = rare->rejected;
    stats->dead_letters_unwritten = rare->dead_letters_unwritten;
    stats->watermarks = rare->watermarks;
    stats->emitted_unconnected = rare->emitted_unconnected;
    stats->faults = rare->faults;
    stats->restarts = rare->restarts;
    stats->state_losses = rare->state_losses;
    stats->records_since_start_lost = rare->records_lost;
    stats->memory_bytes_peak = rare->memory_bytes_peak;
    if (rare->cold) read_cold(rare->cold, stats);
}

enum { FIGURES_BYTES = offsetof(tv_stage_stats, last_error) };

// All but the text. `stats` has FIGURES_BYTES.
void tv_stage_read(const tv_stage *stage, tv_stage_stats *stats) {
    memset(stats, 0, FIGURES_BYTES);
    read_rare(tv_stage_get_rare(stage), stats);
    for (uint32_t i = 0; i < stage->input_count; i++)
        stats->popped += tv_stage_input(stage, i)->popped;
    for (uint32_t i = 0; i < stage->output_count; i++)
        stats->bytes_out += tv_stage_output(stage, i)->pushed_bytes;
    stats->processed = stage->processed;
    stats->emitted = stage->emitted;
    stats->bytes_in = stage->bytes_in;
    stats->calls = stage->calls;
    stats->busy_ns = stage->busy_ns;
    tv_waits_read(stage, tv_flow_now_ns(stage->flow), stats);
    stats->memory_bytes = stage->instance ? tv_instance_memory_bytes(stage->instance) : 0;
    if (stats->memory_bytes > stats->memory_bytes_peak) stats->memory_bytes_peak = stats->memory_bytes;
    stats->memory_bytes_max = tv_stage_get_spec(stage)->memory_bytes_max;
}

// Other threads come here: under the mutex, since the block may just be made.
static void read_last_error(tv_flow *flow, size_t stage, tv_stage_stats *stats) {
    const tv_stage_cold *cold = flow->stage_rares[stage].cold;
    memset(stats->last_error, 0, sizeof stats->last_error);
    if (cold) memcpy(stats->last_error, cold->last_error, sizeof stats->last_error);
}

static tv_stage_stats *snapshot_stage(tv_flow_snapshot *snapshot, size_t stage) {
    return (tv_stage_stats *)(void *)(snapshot->figures + stage * FIGURES_BYTES);
}

static void read_budget(const tv_flow_budget *budget, tv_flow_stats *stats) {
    stats->throttled = budget->throttled;
    memcpy(stats->throttles, budget->throttles, sizeof stats->throttles);
    memcpy(stats->throttled_ns, budget->throttled_ns, sizeof stats->throttled_ns);
    stats->throttles[TV_THROTTLE_NONE] = 0;
    stats->throttled_ns[TV_THROTTLE_NONE] = 0;
    stats->demoted = budget->demoted_until_ns != 0;
    stats->demotions = budget->demotions;
}

static void read_flow(const tv_flow *flow, tv_flow_stats *stats) {
    *stats = (tv_flow_stats){
        .state = tv_flow_get_state(flow),
        .paused = atomic_load(&flow->pause_wanted),
        .class = (tv_class)flow->class,
        .quantum_records = flow->quantum,
        .turn_ns = flow->turn_ns,
        .cycle_ns = flow->cycle_ns,
        .turns = flow->turns,
        .worker = flow->worker->index,
        .moves = flow->moves,
        .nested_turns = flow->nested_turns,
        .cycles_cut = flow->cycles_cut,
        .at_ns = tv_flow_now_ns(flow),
        .trims = atomic_load_explicit(&flow->trims, memory_order_relaxed),
        .trimmed_bytes = atomic_load_explicit(&flow->trimmed_bytes, memory_order_relaxed),
    };
    if (flow->budget) read_budget(flow->budget, stats);
}

static tv_edge_stats *snapshot_edges(const tv_flow *flow, tv_flow_snapshot *snapshot) {
    return (tv_edge_stats *)(void *)(snapshot->figures + flow->spec->stage_count * FIGURES_BYTES);
}

size_t tv_flow_snapshot_bytes(const tv_flow_spec *spec) {
    return sizeof(tv_flow_snapshot) + spec->stage_count * FIGURES_BYTES + spec->edge_count * sizeof(tv_edge_stats);
}

void tv_flow_snapshot_take(tv_flow *flow) {
    pthread_mutex_lock(&flow->figures_mutex);
    atomic_store(&flow->snapshot_wanted, false);
    tv_flow_snapshot *snapshot = flow->snapshot;
    for (size_t i = 0; snapshot && i < flow->spec->stage_count; i++)
        tv_stage_read(&flow->stages[i], snapshot_stage(snapshot, i));
    for (size_t i = 0; snapshot && i < flow->spec->edge_count; i++)
        tv_edge_read(&flow->edges[i], &snapshot_edges(flow, snapshot)[i]);
    if (snapshot) read_flow(flow, &snapshot->flow);
    pthread_mutex_unlock(&flow->figures_mutex);
}

// ---- readers ------------------------------------------------------------------------------------------------

bool tv_flow_is_unattended(const tv_flow *flow) {
    return !flow->worker->runtime->started || atomic_load(&flow->at_rest);
}

// The snapshot, and the wish for a newer one. NULL without memory.
static tv_flow_snapshot *snapshot_begin(tv_flow *flow) {
    pthread_mutex_lock(&flow->figures_mutex);
    if (!flow->snapshot) {
        flow->snapshot = tv_flow_alloc(flow, tv_flow_snapshot_bytes(flow->spec));
        if (flow->snapshot) flow->snapshot->flow.class = flow->spec->class;
    }
    if (flow->snapshot && !atomic_exchange(&flow->snapshot_wanted, true)) tv_flow_notify(flow);
    return flow->snapshot;
}

void tv_flow_edge_stats(tv_flow *flow, size_t edge, tv_edge_stats *stats) {
    TV_ASSERT(edge < flow->spec->edge_count);
    if (tv_flow_is_unattended(flow)) {
        tv_edge_read(&flow->edges[edge], stats);
        return;
    }
    tv_flow_snapshot *snapshot = snapshot_begin(flow);
    *stats = snapshot ? snapshot_edges(flow, snapshot)[edge] : (tv_edge_stats){0};
    pthread_mutex_unlock(&flow->figures_mutex);
}

void tv_flow_stage_stats(tv_flow *flow, size_t stage, tv_stage_stats *stats) {
    TV_ASSERT(stage < flow->spec->stage_count);
    if (tv_flow_is_unattended(flow)) {
        tv_stage_read(&flow->stages[stage], stats);
        read_last_error(flow, stage, stats);
        return;
    }
    tv_flow_snapshot *snapshot = snapshot_begin(flow);
    memset(stats, 0, sizeof *stats);
    if (snapshot) memcpy(stats, snapshot_stage(snapshot, stage), FIGURES_BYTES);
    read_last_error(flow, stage, stats);
    pthread_mutex_unlock(&flow->figures_mutex);
}

void tv_flow_get_stats(tv_flow *flow, tv_flow_stats *stats) {
    if (tv_flow_is_unattended(flow)) {
        read_flow(flow, stats);
        return;
    }
    tv_flow_snapshot *snapshot = snapshot_begin(flow);
    *stats = snapshot ? snapshot->flow : (tv_flow_stats){0};
    pthread_mutex_unlock(&flow->figures_mutex);
}

uint64_t tv_flow_dropped(const tv_flow *flow) {
    uint64_t dropped = 0;
    for (size_t e = 0; e < flow->spec->edge_count; e++) {
        tv_edge_stats stats;
        tv_edge_read(&flow->edges[e], &stats);
        for (int i = 0; i < TV_DROP_COUNT; i++)
            dropped += stats.dropped[i];
    }
    return dropped;
}

uint64_t tv_flow_turns(tv_flow *flow) {
    tv_flow_stats stats;
    tv_flow_get_stats(flow, &stats);
    return stats.turns;
}

bool tv_flow_counter(tv_flow *flow, size_t stage, uint32_t index, const char **name, uint64_t *value) {
    TV_ASSERT(stage < flow->spec->stage_count);
    pthread_mutex_lock(&flow->figures_mutex);
    tv_counters *counters = flow->stage_rares[stage].counters;
    bool found = counters && index < counters->count;
    if (found) {
        *name = counters->items[index].name;
        *value = atomic_load_explicit(&counters->items[index].value, memory_order_relaxed);
    }
    pthread_mutex_unlock(&flow->figures_mutex);
    return found;
}

void tv_flow_forget_figures(tv_flow *flow) {
    pthread_mutex_lock(&flow->figures_mutex);
    tv_flow_release(flow, flow->snapshot);
    flow->snapshot = NULL;
    pthread_mutex_unlock(&flow->figures_mutex);
}

void tv_runtime_forget_figures(tv_runtime *runtime) {
    for (tv_flow *flow = runtime->flows; flow; flow = flow->all_next)
        tv_flow_forget_figures(flow);
}

// ---- conservation -------------------------------------------------------------------------------------------

static const char *edge_end_name(const tv_flow *flow, uint16_t node) {
    return node & TV_NODE_CHANNEL ? flow->spec->channel_names[node & ~TV_NODE_CHANNEL] : flow->spec->stages[node].name;
}

static tv_status check_edge(const tv_flow *flow, const tv_edge *edge, tv_error *error) {
    tv_edge_stats stats;
    tv_edge_read(edge, &stats);
    uint64_t dropped = 0;
    for (int i = 0; i < TV_DROP_COUNT; i++)
        dropped += stats.dropped[i];
    uint64_t queued = tv_ring_count_records(tv_edge_peek_ring(edge)); // counted one by one, not derived
    const tv_edge_spec *spec = &flow->spec->edges[edge - flow->edges];
    if (stats.pushed == stats.popped + dropped + queued) return TV_OK;
    return tv_error_set(error, TV_INVALID,
                        "flow %s: queue %s -> %s does not balance: pushed %llu, popped %llu, dropped %llu, queued %llu",
                        flow->name, edge_end_name(flow, spec->from), edge_end_name(flow, spec->to),
                        (unsigned long long)stats.pushed, (unsigned long long)stats.popped, (unsigned long long)dropped,
                        (unsigned long long)queued);
}

static tv_status check_stage(const tv_flow *flow, const tv_stage *stage, tv_error *error) {
    tv_stage_stats stats;
    tv_stage_read(stage, &stats); // `popped` was counted by the queues, the others by the stage
    if (stats.popped == stats.processed + stats.dead_lettered + stats.in_progress) return TV_OK;
    return tv_error_set(error, TV_INVALID,
                        "flow %s: stage %s does not balance: popped %llu, processed %llu, dead-lettered %llu, in "
                        "progress %llu",
                        flow->name, tv_stage_get_spec(stage)->name, (unsigned long long)stats.popped,
                        (unsigned long long)stats.processed, (unsigned long long)stats.dead_lettered,
                        (unsigned long long)stats.in_progress);
}

tv_status tv_flow_check_conservation(tv_flow *flow, tv_error *error) {
    tv_status status = TV_OK;
    for (size_t i = 0; status == TV_OK && i < flow->spec->edge_count; i++)
        status = check_edge(flow, &flow->edges[i], error);
    for (size_t i = 0; status == TV_OK && i < flow->spec->stage_count; i++)
        status = check_stage(flow, &flow->stages[i], error);
    return status;
}
