// What other threads ask of a flow: requests, pausing, settings, removal.
//
// All of it is done by the flow's worker between two turns, so that neither side needs a lock and no component is under
// way. The list of requests is intrusive; whoever posts owns the memory.
#include "flow/flow_internal.h"

#include <stdlib.h>

enum { QUANTUM_MAX = 1 << 20, TURN_DEFAULT_NS = 2000000, TURN_MIN_NS = 10000, CYCLE_DEFAULT_NS = 200000000 };
#define TURN_MAX_NS  1000000000ll
#define CYCLE_MAX_NS 60000000000ll

// ---- requests -----------------------------------------------------------------------------------------------

void tv_flow_request_post(tv_flow *flow, tv_flow_request *request) {
    tv_flow_request *newest = atomic_load_explicit(&flow->requests, memory_order_relaxed);
    do {
        request->next = newest;
    } while (!atomic_compare_exchange_weak(&flow->requests, &newest, request));
    tv_flow_notify(flow);
}

static tv_flow_request *take_oldest_first(tv_flow *flow) {
    tv_flow_request *newest_first = atomic_exchange(&flow->requests, NULL), *oldest_first = NULL;
    while (newest_first) {
        tv_flow_request *next = newest_first->next;
        newest_first->next = oldest_first;
        oldest_first = newest_first;
        newest_first = next;
    }
    return oldest_first;
}

// What a request posts itself comes at the next turn: a request that posts itself again must not keep the worker.
static void run_all(tv_flow *flow, tv_flow *told) {
    tv_flow_request *request = take_oldest_first(flow);
    while (request) {
        tv_flow_request *next = request->next; // `run` may free it
        request->run(request, told);
        request = next;
    }
}

void tv_flow_run_requests(tv_flow *flow) { run_all(flow, flow); }
void tv_flow_refuse_requests(tv_flow *flow) { run_all(flow, NULL); }

// ---- pausing ------------------------------------------------------------------------------------------------

void tv_flow_pause(tv_flow *flow) {
    atomic_store(&flow->pause_wanted, true);
    tv_flow_notify(flow);
}

void tv_flow_resume(tv_flow *flow) {
    atomic_store(&flow->pause_wanted, false);
    tv_flow_notify(flow);
}

// ---- settings -----------------------------------------------------------------------------------------------

static tv_status check_settings(const tv_flow *flow, const tv_flow_settings *settings, tv_error *error) {
    const char *name = flow->name;
    if ((settings->fields & TV_SET_CLASS) && settings->class >= TV_CLASS_COUNT)
        return tv_error_set(error, TV_INVALID, "flow %s: unknown class", name);
    if ((settings->fields & TV_SET_QUANTUM) && settings->quantum_records > QUANTUM_MAX)
        return tv_error_set(error, TV_INVALID,
                            "flow %s: a quantum of %u records; allowed are 1 to %d, or 0 for the class", name,
                            settings->quantum_records, QUANTUM_MAX);
    if ((settings->fields & TV_SET_TURN) && settings->turn_ns != 0 &&
        (settings->turn_ns < TURN_MIN_NS || settings->turn_ns > TURN_MAX_NS))
        return tv_error_set(error, TV_INVALID, "flow %s: a turn of %lld ns; allowed are 10 us to 1 s, or 0 for 2 ms",
                            name, (long long)settings->turn_ns);
    return TV_OK;
}

void tv_flow_apply(tv_flow *flow, const tv_flow_settings *settings) {
    if (settings->fields & TV_SET_CLASS) flow->class = settings->class;
    if (settings->fields & TV_SET_QUANTUM) {
        flow->class_quantum = settings->quantum_records == 0;
        flow->quantum = settings->quantum_records;
    }
    if (flow->class_quantum) flow->quantum = tv_class_quantum(flow->class);
    if (settings->fields & TV_SET_TURN)
        flow->turn_ns = (uint32_t)(settings->turn_ns ? settings->turn_ns : TURN_DEFAULT_NS);
    if (settings->fields & TV_SET_CYCLE) flow->cycle_ns = settings->cycle_ns ? settings->cycle_ns : CYCLE_DEFAULT_NS;
}

typedef struct set_request {
    tv_flow_request request;
    tv_flow_settings settings;
} set_request;

static void run_set(tv_flow_request *request, tv_flow *flow) {
    set_request *set = (set_request *)request;
    if (flow) tv_flow_apply(flow, &set->settings);
    free(set);
}

tv_status tv_flow_set(tv_flow *flow, const tv_flow_settings *settings, tv_error *error) {
    tv_status status = check_settings(flow, settings, error);
    if (status != TV_OK) return status;
    set_request *set = malloc(sizeof *set);
    if (!set) return tv_error_set(error, TV_NO_MEMORY, "flow %s: out of memory", flow->name);
    *set = (set_request){.request = {.run = run_set}, .settings = *settings};
    tv_flow_request_post(flow, &set->request);
    return TV_OK;
}

// ---- removal ------------------------------------------------------------------------------------------------

void tv_flow_remove(tv_flow *flow, tv_removal how, void (*on_removed)(void *user, tv_flow *flow), void *user) {
    uint8_t earlier = atomic_load(&flow->remove_wanted);
    if (earlier >= how) return;
    if (!earlier) {
        flow->on_removed = on_removed;
        flow->on_removed_user = user;
    }
    if (how == TV_REMOVE_DRAIN) {
        atomic_store(&flow->drain_wanted, true);
        atomic_store(&flow->pause_wanted, false);
    }
    atomic_store(&flow->remove_wanted, (uint8_t)how);
    tv_flow_notify(flow);
}
