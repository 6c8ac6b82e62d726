// Moving flows from a worker that is overloaded to one that is idle.
//
// Workers are compared over windows of 100 ms, by the one that may give: it was busy all through the window and has
// more than one flow ready; the other one slept for more than half of it and sleeps now. Then the flow whose turn it
// would be goes, one a window. It has no turn under way, stays QUEUED, and is pushed to the other's inbox: whoever
// notifies it meanwhile sees that it is queued and leaves it alone.
#include "flow/flow_internal.h"

enum { WINDOW_NS = 100000000, BUSY_PERCENT = 95, IDLE_PERCENT = 50 };

static int64_t busy_ns(const tv_worker *worker) {
    return atomic_load_explicit(&worker->figures.busy_ns, memory_order_relaxed);
}

static void begin_window(tv_worker *worker, int64_t now_ns) {
    const tv_runtime *runtime = worker->runtime;
    worker->window_begin_ns = now_ns;
    worker->window_busy_ns = busy_ns(worker);
    for (uint32_t i = 0; i < runtime->worker_count; i++)
        worker->peer_busy_ns[i] = busy_ns(&runtime->workers[i]);
}

// A worker in a long call looks idle by its figures, but does not sleep.
static bool is_asleep(const tv_worker *worker) {
    return !worker->runtime->started || atomic_load_explicit(&worker->sleeping, memory_order_relaxed);
}

// The one that was idle most. NULL: none was idle enough.
static tv_worker *find_idle(const tv_worker *worker, int64_t window_ns) {
    const tv_runtime *runtime = worker->runtime;
    tv_worker *found = NULL;
    int64_t least_ns = window_ns * IDLE_PERCENT / 100;
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        tv_worker *peer = &runtime->workers[i];
        int64_t peer_ns = busy_ns(peer) - worker->peer_busy_ns[i];
        if (peer == worker || peer_ns >= least_ns || !is_asleep(peer)) continue;
        found = peer;
        least_ns = peer_ns;
    }
    return found;
}

static bool has_ready(const tv_worker *worker) {
    for (int class = 0; class < TV_CLASS_COUNT; class ++)
        if (worker->ready[class].head) return true;
    return false;
}

// Output that waits in a shared instance cannot go along.
static bool can_move(const tv_flow *flow) {
    return flow->active_frames == 0 && !atomic_load(&flow->remove_wanted) && !tv_pool_holds_any(flow);
}

bool tv_worker_give_away(tv_worker *worker, tv_flow *flow, int64_t now_ns) {
    int64_t window_ns = now_ns - worker->window_begin_ns;
    if (window_ns < WINDOW_NS) return false;
    bool overloaded = busy_ns(worker) - worker->window_busy_ns >= window_ns * BUSY_PERCENT / 100;
    tv_worker *idle = overloaded && has_ready(worker) && can_move(flow) ? find_idle(worker, window_ns) : NULL;
    begin_window(worker, now_ns);
    if (!idle) return false;
    tv_fair_leave(&worker->fair, (tv_class)flow->class, flow->quantum);
    tv_worker_let_go(worker, flow);
    TV_FIGURE_ADD(worker->figures.moved_out, 1);
    flow->moves++;
    flow->arrives = true;
    atomic_store(&flow->worker, idle);
    tv_worker_receive(idle, flow);
    return true;
}
