// What is asked of flows while they run: pausing, settings, requests, draining, removal, and new flows in their place.
#include "sim.h"

#include <stdlib.h>

// ---- settings and requests ----------------------------------------------------------------------------------

static void pause_or_resume(simulation *sim, sim_flow *made) {
    sim_event(sim, made->paused ? "resume" : "pause", made->serial, 0);
    made->paused = !made->paused;
    made->paused_at = sim->in_step ? UINT64_MAX : sim_progress(made);
    if (made->paused)
        tv_flow_pause(made->flow);
    else
        tv_flow_resume(made->flow);
}

static void set(simulation *sim, sim_flow *made) {
    tv_error error;
    tv_flow_settings settings = {
        .fields = sim_below(sim, TV_SET_ALL + 1),
        .class = (tv_class)sim_below(sim, TV_CLASS_COUNT),
        .quantum_records = sim_one_in(sim, 2) ? 0 : 1 + sim_below(sim, 200),
        .turn_ns = sim_one_in(sim, 2) ? 0 : 10000 + (int64_t)sim_below(sim, 5000000),
        .cycle_ns = sim_one_in(sim, 2) ? 0 : 1000000 + (int64_t)sim_below(sim, 500000000),
        .cpu_per_s_ns = sim_one_in(sim, 2) ? 0 : 100000 + (int64_t)sim_below(sim, 50000000),
        .rate_records_per_s = sim_one_in(sim, 2) ? 0 : 10 + sim_below(sim, 5000),
    };
    if (!sim_has(sim, SIM_BUDGETS)) settings.fields &= ~(uint32_t)(TV_SET_CPU | TV_SET_RATE);
    made->rate_changed |= (settings.fields & TV_SET_RATE) != 0;
    sim_event(sim, "set", made->serial, settings.fields);
    if (tv_flow_set(made->flow, &settings, &error) != TV_OK) sim_fail(sim, "%s", error.message);
}

typedef struct counted_request {
    tv_flow_request request;
    sim_flow *made;
} counted_request;

static void run_counted(tv_flow_request *request, tv_flow *flow) {
    counted_request *counted = (counted_request *)(void *)request;
    counted->made->requests_run++;
    counted->made->requests_refused += flow == NULL;
    free(counted);
}

static void post_requests(simulation *sim, sim_flow *made) {
    uint32_t count = 1 + sim_below(sim, 3);
    sim_event(sim, "request", made->serial, count);
    for (uint32_t i = 0; i < count; i++) {
        counted_request *counted = malloc(sizeof *counted);
        if (!counted) sim_fail(sim, "out of memory");
        *counted = (counted_request){.request = {.run = run_counted}, .made = made};
        made->requests_posted++;
        tv_flow_request_post(made->flow, &counted->request);
    }
}

static void drain(simulation *sim, sim_flow *made) {
    if (made->drains) return;
    sim_event(sim, "drain", made->serial, 0);
    made->drains = true;
    tv_flow_drain(made->flow);
}

// ---- removal ------------------------------------------------------------------------------------------------

static void on_removed(void *user, tv_flow *flow) {
    sim_flow *made = user;
    (void)flow;
    made->removed_calls++;
}

void sim_remove(simulation *sim, sim_flow *made, bool at_once) {
    sim_event(sim, at_once ? "remove" : "remove-drained", made->serial, 0);
    made->removal = at_once ? TV_REMOVE_NOW : made->removal ? made->removal : TV_REMOVE_DRAIN;
    made->drains = true;
    if (!at_once) made->paused = false;
    tv_flow_remove(made->flow, at_once ? TV_REMOVE_NOW : TV_REMOVE_DRAIN, on_removed, made);
}

static bool queue_holds(const tv_flow_queue *queue, const tv_flow *flow) {
    for (const tv_flow *at = queue->head; at; at = at->queue_next)
        if (at == flow) return true;
    return false;
}

// A worker that still knows the flow would touch it after it was freed.
static bool worker_knows(const tv_worker *worker, const tv_flow *flow) {
    for (const tv_inbox_item *at = atomic_load(&worker->inbox.newest); at; at = at->next)
        if (at == &flow->inbox_item) return true;
    for (const tv_flow *at = worker->dead_letter_waiters; at; at = at->letters_next)
        if (at == flow) return true;
    for (uint32_t i = 0; i < worker->timer_count; i++)
        if (worker->timers[i] == flow) return true;
    for (int class = 0; class < TV_CLASS_COUNT; class ++)
        if (queue_holds(&worker->ready[class], flow)) return true;
    return false;
}

static void retire(simulation *sim, sim_flow *made) {
    sim_event(sim, "retire", made->serial, made->removed_calls);
    if (made->removed_calls != 1) sim_fail(sim, "flow %s was removed %u times", made->name, made->removed_calls);
    for (uint32_t i = 0; i < sim->workers; i++)
        if (worker_knows(&sim->runtime->workers[i], made->flow))
            sim_fail(sim, "flow %s is removed, and worker %u still knows it", made->name, i);
    for (uint32_t i = 0; i < made->output_count; i++) {
        made->outputs[i].awake = true;
        sim_take(sim, made, &made->outputs[i], UINT32_MAX);
    }
    if (made->tap && !made->tap_is_stopped) sim_tap(sim, made);
    sim_judge(sim, made);
    tv_flow_free(made->flow);
    made->flow = NULL;
    if (made->requests_run != made->requests_posted)
        sim_fail(sim, "flow %s: of %u requests %u were run", made->name, made->requests_posted, made->requests_run);
    sim->seen[made->removal == TV_REMOVE_NOW ? SIM_SEEN_REMOVED_NOW : SIM_SEEN_REMOVED_DRAINED]++;
}

void sim_retire_removed(simulation *sim, bool all) {
    bool any = false;
    for (uint32_t i = 0; i < sim->flow_count; i++) {
        if (!sim->flows[i]->removed_calls || (!all && !sim_one_in(sim, 8))) continue;
        retire(sim, sim->flows[i]);
        any = true;
    }
    if (!any) return;
    sim_serve_io(sim); // their channels may be in its list
    uint32_t kept = 0;
    for (uint32_t i = 0; i < sim->flow_count; i++) {
        if (sim->flows[i]->flow)
            sim->flows[kept++] = sim->flows[i];
        else
            sim_flow_free(sim->flows[i]);
    }
    sim->flow_count = kept;
}

// ---- choice -------------------------------------------------------------------------------------------------

void sim_ask(simulation *sim, sim_flow *made) {
    if (tv_flow_is_over(made->flow)) {
        sim_remove(sim, made, sim_one_in(sim, 3));
        return;
    }
    if (sim_has(sim, SIM_TAPS) && !sim->in_step && sim_one_in(sim, 4)) {
        sim_tap(sim, made); // by the thread that makes flows
        return;
    }
    switch (sim_below(sim, 12)) {
    case 0: drain(sim, made); break;
    case 1: sim_remove(sim, made, true); break;
    case 2: sim_remove(sim, made, false); break;
    case 3:
    case 4: post_requests(sim, made); break;
    case 5:
    case 6:
    case 7: set(sim, made); break;
    default: pause_or_resume(sim, made); break;
    }
}

void sim_operate(simulation *sim) {
    sim->doing = "operation";
    if (sim->flow_count == 0 || (sim->flow_count < sim->flow_limit && sim_one_in(sim, 3))) {
        sim_add_flow(sim);
        return;
    }
    if (sim_has(sim, SIM_OPERATIONS)) sim_ask(sim, sim->flows[sim_below(sim, sim->flow_count)]);
}
