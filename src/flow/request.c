// What other threads ask of a flow: requests, pausing, settings, removal.
//
// All of it is done by the flow's worker between two turns, so that neither side needs a lock and no component is under
// way. The list of requests is intrusive; whoever posts owns the memory.
#include "flow/flow_internal.h"

#include <stdlib.h>

enum { QUANTUM_MAX = 1 << 20, TURN_MIN_NS = 10000 };
#define SECOND_NS    1000000000ll
#define CYCLE_MAX_NS (3600 * SECOND_NS)
#define BURST_MAX_NS (3600 * SECOND_NS)

// ---- requests -----------------------------------------------------------------------------------------------

void tv_flow_request_post(tv_flow *flow, tv_flow_request *request) {
    tv_inbox_put(&flow->requests, &request->item);
    tv_flow_notify(flow);
}

// What a request posts itself comes at the next turn: a request that posts itself again must not keep the worker.
static void run_all(tv_flow *flow, tv_flow *told) {
    for (tv_inbox_item *item = tv_inbox_take(&flow->requests), *next; item; item = next) {
        tv_flow_request *request = TV_INBOX_OWNER(item, tv_flow_request, item);
        next = item->next; // `run` may free it
        request->run(request, told);
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

bool tv_stage_is_held(const tv_stage *stage) {
    return stage->input_count == 0 && atomic_load_explicit(&stage->flow->sources_held, memory_order_relaxed);
}

void tv_flow_hold_sources(tv_flow *flow, bool held) {
    if (atomic_exchange(&flow->sources_held, held) && !held) tv_flow_notify(flow);
}

// ---- settings -----------------------------------------------------------------------------------------------

static tv_status check_limits(const char *name, const tv_flow_settings *settings, tv_error *error) {
    if ((settings->fields & TV_SET_CPU) && (settings->cpu_per_s_ns < 0 || settings->cpu_per_s_ns > SECOND_NS))
        return tv_error_set(error, TV_INVALID, "flow %s: %lld ns of CPU time a second; at most one second is possible",
                            name, (long long)settings->cpu_per_s_ns);
    if ((settings->fields & TV_SET_RATE) && (settings->rate_burst_ns < 0 || settings->rate_burst_ns > BURST_MAX_NS))
        return tv_error_set(error, TV_INVALID, "flow %s: a burst of %lld ns; allowed is up to an hour, or 0 for 1 s",
                            name, (long long)settings->rate_burst_ns);
    return TV_OK;
}

static bool is_within(int64_t value, int64_t least, int64_t most) { return value >= least && value <= most; }

tv_status tv_flow_settings_check(const char *name, const tv_flow_settings *settings, tv_error *error) {
    if ((settings->fields & TV_SET_CLASS) && settings->class >= TV_CLASS_COUNT)
        return tv_error_set(error, TV_INVALID, "flow %s: unknown class", name);
    if ((settings->fields & TV_SET_QUANTUM) && settings->quantum_records > QUANTUM_MAX)
        return tv_error_set(error, TV_INVALID,
                            "flow %s: a quantum of %u records; allowed are 1 to %d, or 0 for the class", name,
                            settings->quantum_records, QUANTUM_MAX);
    if ((settings->fields & TV_SET_TURN) && settings->turn_ns && !is_within(settings->turn_ns, TURN_MIN_NS, SECOND_NS))
        return tv_error_set(error, TV_INVALID,
                            "flow %s: a turn of %lld ns; allowed are 10 us to 1 s, or 0 for what the runtime has", name,
                            (long long)settings->turn_ns);
    if ((settings->fields & TV_SET_CYCLE) && settings->cycle_ns &&
        !is_within(settings->cycle_ns, TURN_MIN_NS, CYCLE_MAX_NS))
        return tv_error_set(
            error, TV_INVALID,
            "flow %s: %lld ns of a worker in a yield cycle; allowed are 10 us to an hour, or 0 for what the "
            "runtime has",
            name, (long long)settings->cycle_ns);
    return check_limits(name, settings, error);
}

static void apply_class(tv_flow *flow, tv_class class) {
    flow->base_class = (uint8_t) class;
    bool stays_demoted = flow->budget && flow->budget->demoted_until_ns && class == TV_CLASS_CRITICAL;
    flow->class = stays_demoted ? TV_CLASS_NORMAL : (uint8_t) class;
}

// Also without limits, if there is a block: what it had is over then.
static void apply_limits(tv_flow *flow, const tv_flow_settings *settings) {
    tv_flow_budget *budget = flow->budget;
    if (!budget) return;
    if (settings->fields & TV_SET_CPU) {
        budget->cpu_per_s_ns = settings->cpu_per_s_ns;
        budget->cpu_clear_ns = 0;
    }
    if (settings->fields & TV_SET_RATE) {
        budget->records_per_s = settings->rate_records_per_s;
        budget->bytes_per_s = settings->rate_bytes_per_s;
        budget->burst_ns = settings->rate_burst_ns ? settings->rate_burst_ns : SECOND_NS;
        budget->records_clear_ns = budget->bytes_clear_ns = 0;
    }
}

void tv_flow_apply(tv_flow *flow, const tv_flow_settings *settings) {
    const tv_runtime *runtime = flow->worker->runtime;
    if (settings->fields & TV_SET_CLASS) apply_class(flow, settings->class);
    if (settings->fields & TV_SET_QUANTUM) {
        flow->class_quantum = settings->quantum_records == 0;
        flow->quantum = settings->quantum_records;
    }
    if (flow->class_quantum) flow->quantum = runtime->quanta[flow->class];
    if (settings->fields & TV_SET_TURN)
        flow->turn_ns = (uint32_t)(settings->turn_ns ? settings->turn_ns : runtime->turn_ns);
    if (settings->fields & TV_SET_CYCLE) flow->cycle_ns = settings->cycle_ns ? settings->cycle_ns : runtime->cycle_ns;
    apply_limits(flow, settings);
}

bool tv_flow_settings_limit(const tv_flow_settings *settings) {
    return ((settings->fields & TV_SET_CPU) && settings->cpu_per_s_ns) ||
           ((settings->fields & TV_SET_RATE) && (settings->rate_records_per_s || settings->rate_bytes_per_s));
}

tv_flow_settings tv_flow_spec_settings(const tv_flow_spec *spec) {
    return (tv_flow_settings){
        .fields = TV_SET_ALL,
        .class = spec->class,
        .quantum_records = spec->quantum_records,
        .turn_ns = spec->turn_ns,
        .cycle_ns = spec->cycle_ns,
        .cpu_per_s_ns = spec->cpu_per_s_ns,
        .rate_records_per_s = spec->rate_records_per_s,
        .rate_bytes_per_s = spec->rate_bytes_per_s,
        .rate_burst_ns = spec->rate_burst_ns,
    };
}

typedef struct set_request {
    tv_flow_request request;
    tv_flow_settings settings;
    tv_flow_budget *budget;    // made beforehand, so that nothing can fail at the worker
    tv_memory_account *memory; // that it is counted in
} set_request;

static void run_set(tv_flow_request *request, tv_flow *flow) {
    set_request *set = (set_request *)request;
    if (!flow) {
        tv_memory_account_subtract(set->memory, TV_MEMORY_STATE, tv_heap_bytes(set->budget));
        free(set->budget);
    } else {
        if (flow->budget)
            tv_flow_release(flow, set->budget);
        else
            flow->budget = set->budget;
        tv_flow_apply(flow, &set->settings);
    }
    free(set);
}

tv_status tv_flow_set(tv_flow *flow, const tv_flow_settings *settings, tv_error *error) {
    tv_status status = tv_flow_settings_check(flow->name, settings, error);
    if (status != TV_OK) return status;
    set_request *set = malloc(sizeof *set);
    if (set)
        *set =
            (set_request){.request = {.run = run_set}, .settings = *settings, .memory = flow->worker->runtime->memory};
    if (set && tv_flow_settings_limit(settings)) set->budget = tv_flow_alloc(flow, sizeof *set->budget);
    if (!set || (tv_flow_settings_limit(settings) && !set->budget)) {
        free(set);
        return tv_error_set(error, TV_NO_MEMORY, "flow %s: out of memory", flow->name);
    }
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
