// Flows that cannot start: a component that refuses or traps, code that cannot be loaded, a file that is not there. The
// others run. Such a flow stands among them as one that has failed, and is started again by the restart policy of the
// stage at fault: at once, then with a back-off that doubles, until the limit within the window is reached.
//
// A new start is a new flow of the same name in the place of the failed one, which is removed first.
#include <stdlib.h>

#include "host/runner.h"

struct tv_host_start {
    tv_host_removal removal; // first; of the failed flow, when it is time
    uv_timer_t timer;
    bool timer_open;
    bool pending; // counted in runner->starts_pending
    tv_host_runner *runner;
    tv_host_flow *flow; // the failed one; NULL while none is there
    tv_host_start_policy policy;
    int64_t next_ns; // monotonic
};

bool tv_host_flow_has_not_started(const tv_host_flow *flow) {
    size_t stage;
    return flow->open_failed || tv_flow_start_failure(flow->flow, &stage);
}

// ---- policy -------------------------------------------------------------------------------------------------------

int64_t tv_host_start_policy_next(tv_host_start_policy *state, const tv_restart_policy *policy, int64_t now_ns) {
    state->attempts++;
    if (policy->mode == TV_RESTART_STOP) return -1;
    if (state->window_restarts == 0 || now_ns - state->window_start_ns > policy->window_ns) {
        state->window_start_ns = now_ns;
        state->window_restarts = 0;
    }
    if (state->window_restarts >= policy->limit) return -1;
    uint32_t earlier = state->window_restarts++;
    if (earlier == 0) return 0;
    int64_t delay_ns = policy->backoff_min_ns;
    for (uint32_t i = 1; i < earlier && delay_ns < policy->backoff_max_ns; i++)
        delay_ns *= 2;
    return delay_ns < policy->backoff_max_ns ? delay_ns : policy->backoff_max_ns;
}

// The stage at fault, or the first one that uses the channel that could not be opened.
static const tv_restart_policy *policy_of(const tv_host_flow *flow) {
    size_t stage = 0;
    const tv_flow_spec *spec = &flow->spec->flow;
    if (tv_flow_start_failure(flow->flow, &stage)) return &spec->stages[stage].restart;
    uint16_t node = (uint16_t)(TV_NODE_CHANNEL | flow->failed_channel);
    for (size_t e = 0; e < spec->edge_count; e++) {
        if (spec->edges[e].from == node) return &spec->stages[spec->edges[e].to].restart;
        if (spec->edges[e].to == node) return &spec->stages[spec->edges[e].from].restart;
    }
    return &spec->stages[0].restart;
}

// ---- life ---------------------------------------------------------------------------------------------------------

static void on_timer_closed(uv_handle_t *handle) { free(handle->data); }

void tv_host_start_release(tv_host_start *start) {
    if (!start) return;
    TV_ASSERT(!start->pending);
    if (start->timer_open && start->runner->loop_open) // else the loop has closed it
        uv_close((uv_handle_t *)&start->timer, on_timer_closed);
    else
        free(start);
}

static void set_pending(tv_host_start *start, bool pending) {
    if (start->pending == pending) return;
    start->pending = pending;
    start->runner->starts_pending += pending ? 1 : (size_t)-1;
    if (!pending && start->timer_open) uv_timer_stop(&start->timer);
}

static tv_host_start *start_of(tv_host_flow *flow) {
    if (flow->start) return flow->start;
    tv_host_start *start = calloc(1, sizeof *start);
    if (!start) return NULL;
    start->runner = flow->runner;
    start->timer_open = uv_timer_init(&flow->runner->loop, &start->timer) == 0;
    start->timer.data = start;
    flow->start = start;
    return start;
}

// ---- trying again ---------------------------------------------------------------------------------------------------

// What was set of it goes on to hold.
static void keep_settings(tv_host_flow *flow, tv_host_flow *failed) {
    tv_error error;
    flow->kept = failed->kept;
    failed->kept = NULL;
    if (flow->kept && tv_flow_set(flow->flow, flow->kept, &error) != TV_OK)
        tv_log(TV_LEVEL_ERROR, flow->entry.name, "%s", error.message);
}

// The failed one is about to be freed; what it stood for is started anew, unless somebody has taken it away.
static void on_failed_gone(tv_host_removal *removal, tv_host_flow *failed) {
    tv_host_start *start = (tv_host_start *)(void *)removal;
    tv_host_runner *runner = start->runner;
    if (!start->pending) return;
    tv_host_flow *flow = NULL;
    tv_error error;
    tv_flow_model *own = failed->own_model;
    runner->flows_failed--;
    runner->flows_removed--; // nobody wanted that
    failed->own_model = NULL;
    failed->start = NULL;
    set_pending(start, false);
    tv_status status = tv_host_flow_start(runner, failed->model, own, true, &flow, &error);
    if (flow) {
        flow->start = start;
        start->flow = flow;
        keep_settings(flow, failed);
    } else {
        tv_host_start_release(start);
    }
    if (status == TV_OK) return;
    runner->flows_failed++;
    tv_log(TV_LEVEL_ERROR, "run", "a flow that had failed could not be made again: %s", error.message);
}

static void on_time(uv_timer_t *timer) {
    tv_host_start *start = timer->data;
    if (start->runner->phase != TV_PHASE_RUNNING || !start->flow) return;
    start->removal.gone = on_failed_gone;
    tv_host_flow_remove(start->flow, TV_REMOVE_NOW, &start->removal);
}

static void say(const tv_host_flow *flow, const tv_restart_policy *policy, int64_t delay_ns) {
    char window[32], delay[32];
    const char *name = flow->entry.name;
    tv_format_duration(policy->window_ns, window);
    if (delay_ns >= 0)
        tv_log(TV_LEVEL_WARN, name, "start %u failed; it is tried again %s%s (at most %u times within %s)",
               flow->start->policy.attempts, delay_ns ? "in " : "at once",
               delay_ns ? tv_format_duration(delay_ns, delay) : "", policy->limit, window);
    else if (policy->mode == TV_RESTART_STOP)
        tv_log(TV_LEVEL_ERROR, name, "it is not tried again (restart mode: stop); the other flows go on");
    else
        tv_log(TV_LEVEL_ERROR, name,
               "it is not tried again: %u restarts within %s are the limit (`restart` of the stage); the other flows "
               "go on",
               policy->limit, window);
}

void tv_host_start_failed(tv_host_flow *flow) {
    tv_host_runner *runner = flow->runner;
    tv_host_start *start = start_of(flow);
    tv_host_progress_clear(runner);
    // One whose channel failed has said so itself, as always.
    if (!flow->open_failed)
        tv_log(TV_LEVEL_ERROR, flow->entry.name, "could not start: %s", tv_flow_failure(flow->flow));
    if (!start || flow->removing || runner->phase > TV_PHASE_RUNNING) return;
    const tv_restart_policy *policy = policy_of(flow);
    int64_t now_ns = tv_clock_monotonic_ns(tv_clock_system());
    int64_t delay_ns = start->timer_open ? tv_host_start_policy_next(&start->policy, policy, now_ns) : -1;
    start->flow = flow;
    say(flow, policy, delay_ns);
    if (delay_ns < 0) return;
    start->next_ns = tv_time_add_saturating(now_ns, delay_ns);
    set_pending(start, true);
    uv_update_time(&runner->loop);
    uv_timer_start(&start->timer, on_time, (uint64_t)(delay_ns + 999999) / 1000000, 0);
}

// ---- ending ---------------------------------------------------------------------------------------------------------

int64_t tv_host_start_next_ns(const tv_host_flow *flow, uint32_t *attempts) {
    *attempts = flow->start ? flow->start->policy.attempts : 0;
    if (!flow->start || !flow->start->pending) return -1;
    int64_t left_ns = flow->start->next_ns - tv_clock_monotonic_ns(tv_clock_system());
    return left_ns > 0 ? left_ns : 0;
}

void tv_host_start_cancel(tv_host_flow *flow, const tv_host_removal *removal) {
    if (flow->start && removal != &flow->start->removal) set_pending(flow->start, false);
}

void tv_host_starts_stop(tv_host_runner *runner) {
    if (!runner->starts_pending) return;
    for (size_t f = 0; f < runner->flows.count; f++) {
        tv_host_flow *flow = tv_host_flow_at(runner, f);
        if (flow->start) set_pending(flow->start, false);
    }
}
