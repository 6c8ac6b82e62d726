// Flows gone idle give pages back: of their empty rings, of their guests' input arenas. They do so after their idle
// time; or at the end of the turn, where idle flows would hold more than they may all together (tv_runtime_limit_idle).
//
// A worker keeps a list of flows that have worked since they were last trimmed. It looks at the list when the first of
// them may be due, not more often; a list without flows wakes nobody. Each step of the worker trims one flow at most.
// An input channel's ring is its producer's to give back, since only the I/O thread knows that it is not writing there;
// and so are the buffers of connectors.
#include "flow/flow_internal.h"

enum { CLOCK_SHIFT = 20 }; // worked_at counts in 2^20 ns

static uint32_t coarse(int64_t ns) { return (uint32_t)(ns >> CLOCK_SHIFT); }

static void publish(tv_worker *worker) {
    atomic_store_explicit(&worker->figures.idle_bytes, worker->trim_bytes * worker->trim_count, memory_order_relaxed);
}

void tv_trim_note(tv_worker *worker, tv_flow *flow, int64_t now_ns) {
    flow->worked = false;
    flow->worked_at = coarse(now_ns);
    if (flow->trim_listed || flow->spec->idle_trim_ns == 0) return;
    flow->trim_listed = true;
    flow->trim_previous = NULL;
    flow->trim_next = worker->trim_first;
    if (flow->trim_next) flow->trim_next->trim_previous = flow;
    worker->trim_first = flow;
    worker->trim_count++;
    publish(worker);
    int64_t due_ns = tv_time_add_saturating(now_ns, flow->spec->idle_trim_ns);
    if (due_ns < worker->trim_check_ns) worker->trim_check_ns = due_ns;
}

void tv_trim_forget(tv_worker *worker, tv_flow *flow) {
    if (!flow->trim_listed) return;
    flow->trim_listed = false;
    worker->trim_count--;
    publish(worker);
    if (flow->trim_next) flow->trim_next->trim_previous = flow->trim_previous;
    if (flow->trim_previous)
        flow->trim_previous->trim_next = flow->trim_next;
    else
        worker->trim_first = flow->trim_next;
    if (!worker->trim_first) worker->trim_check_ns = INT64_MAX;
}

static bool is_empty(const tv_ring *ring) {
    return ring->staged == atomic_load_explicit(&ring->head, memory_order_acquire);
}

static uint64_t trim_inner_rings(tv_flow *flow) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < flow->spec->edge_count; i++) {
        const tv_edge *edge = &flow->edges[i];
        if (edge->kind == TV_EDGE_INSIDE && is_empty(&edge->ring)) bytes += tv_ring_give_back(&flow->edges[i].ring);
    }
    return bytes;
}

static uint64_t trim_channels(tv_flow *flow) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < flow->spec->edge_count; i++) {
        const tv_edge *edge = &flow->edges[i];
        if (edge->kind == TV_EDGE_INSIDE) continue;
        if (edge->kind == TV_EDGE_OUTPUT && is_empty(&edge->channel->ring)) // we are the one who writes there
            bytes += tv_ring_give_back(&edge->channel->ring);
        tv_channel_want_trim(edge->channel);
    }
    return bytes;
}

// Rises at once and falls slowly: too much means that flows give back what they could have kept, too little that there
// is not enough for all.
static void note_trimmed(tv_worker *worker, uint64_t bytes) {
    uint64_t usual = worker->trim_bytes;
    worker->trim_bytes = bytes > usual ? bytes : usual - (usual - bytes) / 64;
    publish(worker);
}

void tv_flow_trim(tv_flow *flow) {
    uint64_t bytes = trim_inner_rings(flow) + trim_channels(flow);
    for (size_t i = 0; i < flow->spec->stage_count; i++)
        if (flow->stages[i].instance) bytes += tv_instance_trim(flow->stages[i].instance);
    note_trimmed(flow->worker, bytes);
    TV_FIGURE_ADD(flow->trims, 1);
    TV_FIGURE_ADD(flow->trimmed_bytes, bytes);
    tv_memory_account *account = flow->worker->runtime->memory;
    atomic_fetch_add_explicit(&account->trims, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&account->trimmed_bytes, bytes, memory_order_relaxed);
}

// As if every worker's flows held as much.
static bool is_scarce(const tv_worker *worker) {
    const tv_runtime *runtime = worker->runtime;
    uint64_t most = atomic_load_explicit(&runtime->idle_bytes_max, memory_order_relaxed);
    return most != UINT64_MAX && worker->trim_bytes * worker->trim_count * runtime->worker_count > most;
}

static bool output_waits(const tv_flow *flow) {
    for (size_t i = 0; i < flow->spec->edge_count; i++)
        if (flow->edges[i].kind == TV_EDGE_OUTPUT && !is_empty(&flow->edges[i].channel->ring)) return true;
    return false;
}

// What waits in an output is given back once it is taken, which notifies the flow: until then it stays in the list.
void tv_trim_at_rest(tv_worker *worker, tv_flow *flow) {
    if (!flow->trim_listed || !is_scarce(worker)) return;
    bool again = output_waits(flow); // looked at before: what is taken meanwhile comes with another turn
    tv_flow_trim(flow);
    if (!again) tv_trim_forget(worker, flow);
}

void tv_runtime_limit_idle(tv_runtime *runtime, uint64_t bytes) {
    atomic_store_explicit(&runtime->idle_bytes_max, bytes, memory_order_relaxed);
}

uint64_t tv_runtime_idle_bytes(const tv_runtime *runtime) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < runtime->worker_count; i++)
        bytes += atomic_load_explicit(&runtime->workers[i].figures.idle_bytes, memory_order_relaxed);
    return bytes;
}

static bool is_due(const tv_flow *flow, int64_t now_ns, int64_t *due_ns) {
    int64_t idle_ns = (int64_t)(coarse(now_ns) - flow->worked_at) << CLOCK_SHIFT;
    *due_ns = tv_time_add_saturating(now_ns, flow->spec->idle_trim_ns - idle_ns);
    return idle_ns >= flow->spec->idle_trim_ns;
}

// No sooner than this, so that flows that are never idle for long cost a look now and then only.
static int64_t soonest_check(const tv_flow *flow, int64_t now_ns, int64_t due_ns) {
    int64_t pause_ns = (flow->spec->idle_trim_ns >> 2) + (1 << CLOCK_SHIFT);
    int64_t soonest_ns = tv_time_add_saturating(now_ns, pause_ns);
    return due_ns > soonest_ns ? due_ns : soonest_ns;
}

void tv_trim_run(tv_worker *worker, int64_t now_ns) {
    int64_t check_ns = INT64_MAX, due_ns;
    tv_flow *trimmed = NULL;
    for (tv_flow *flow = worker->trim_first; flow; flow = flow->trim_next) {
        if (!is_due(flow, now_ns, &due_ns)) {
            int64_t next_ns = soonest_check(flow, now_ns, due_ns);
            if (next_ns < check_ns) check_ns = next_ns;
        } else if (trimmed) {
            check_ns = now_ns; // the next step has it
            break;
        } else {
            trimmed = flow;
        }
    }
    worker->trim_check_ns = check_ns;
    if (!trimmed) return;
    tv_trim_forget(worker, trimmed);
    tv_flow_trim(trimmed);
}
