// What limits a flow beyond its class: CPU time a second, records and bytes a second, demotion after CPU faults.
//
// Nothing waits: a flow that has used up its CPU time gets no turn before its deadline, one that has used up its rate
// takes nothing in, which its sources feel as back-pressure. A turn or batch may go beyond; what it owes is waited for.
#include "flow/flow_internal.h"

#include <stdlib.h>

#define SECOND_NS 1000000000ll
enum { OFFENCES_MAX = 3 }; // the last of them demotes
#define OFFENCE_WINDOW_NS (60 * SECOND_NS)
#define DEMOTION_NS       (300 * SECOND_NS)

const char *tv_throttle_name(tv_throttle throttle) {
    static const char *const names[TV_THROTTLE_COUNT] = {"none", "cpu", "rate"};
    return throttle < TV_THROTTLE_COUNT ? names[throttle] : "unknown";
}

// ---- buckets ------------------------------------------------------------------------------------------------

// amount * SECOND_NS / per_s without overflow.
static int64_t time_for(uint64_t amount, uint64_t per_s) {
    uint64_t seconds = amount / per_s, rest = amount % per_s;
    if (seconds > INT32_MAX) return INT64_MAX / 4;
    uint64_t rest_ns = rest <= UINT64_MAX / (uint64_t)SECOND_NS ? rest * (uint64_t)SECOND_NS / per_s
                                                                : rest / (per_s / (uint64_t)SECOND_NS);
    return (int64_t)seconds * SECOND_NS + (int64_t)rest_ns;
}

static int64_t later(int64_t a_ns, int64_t b_ns) { return a_ns > b_ns ? a_ns : b_ns; }

static void bucket_take(int64_t *clear_ns, uint64_t amount, uint64_t per_s, int64_t burst_ns, int64_t now_ns) {
    if (per_s) *clear_ns = tv_time_add_saturating(later(*clear_ns, now_ns - burst_ns), time_for(amount, per_s));
}

// ---- throttling ---------------------------------------------------------------------------------------------

static void set_throttled(tv_flow *flow, tv_throttle throttle, int64_t now_ns) {
    tv_flow_budget *budget = flow->budget;
    if (budget->throttled == throttle) return;
    budget->throttled_ns[budget->throttled] += now_ns - budget->throttled_since_ns;
    budget->throttled = throttle;
    budget->throttled_since_ns = now_ns;
    budget->throttles[throttle]++;
    if (throttle != TV_THROTTLE_NONE) TV_FIGURE_ADD(flow->worker->figures.throttles, 1);
}

// From `clear` on there is something to take again; in between there is nothing.
static void wait_for_rate(tv_flow *flow, int64_t now_ns) {
    tv_flow_budget *budget = flow->budget;
    int64_t clear_ns = later(budget->records_per_s ? budget->records_clear_ns : INT64_MIN,
                             budget->bytes_per_s ? budget->bytes_clear_ns : INT64_MIN);
    flow->sources_wait = clear_ns > now_ns;
    if (flow->sources_wait) flow->throttled_until_ns = clear_ns;
}

static void end_demotion(tv_flow *flow, int64_t now_ns) {
    tv_flow_budget *budget = flow->budget;
    if (!budget->demoted_until_ns || now_ns < budget->demoted_until_ns) return;
    budget->demoted_until_ns = 0;
    budget->offences = 0;
    tv_flow_apply(flow, &(tv_flow_settings){.fields = TV_SET_CLASS, .class = (tv_class)flow->base_class});
    tv_log(TV_LEVEL_INFO, flow->name, "is %s again", tv_class_name((tv_class)flow->class));
}

bool tv_budget_begin(tv_flow *flow, int64_t now_ns) {
    tv_flow_budget *budget = flow->budget;
    end_demotion(flow, now_ns);
    flow->throttled_until_ns = INT64_MAX;
    flow->sources_wait = false;
    // The rate says how much may come in. In a drain nothing new does: what is there is to be delivered in time.
    if (atomic_load_explicit(&flow->drain_wanted, memory_order_relaxed))
        budget->records_per_s = budget->bytes_per_s = 0;
    if (budget->cpu_per_s_ns && budget->cpu_clear_ns > now_ns) {
        flow->throttled_until_ns = budget->cpu_clear_ns;
        set_throttled(flow, TV_THROTTLE_CPU, now_ns);
        return false;
    }
    wait_for_rate(flow, now_ns);
    set_throttled(flow, flow->sources_wait ? TV_THROTTLE_RATE : TV_THROTTLE_NONE, now_ns);
    return true;
}

uint32_t tv_budget_records(const tv_flow *flow, int64_t now_ns) {
    const tv_flow_budget *budget = flow->budget;
    if (!budget->records_per_s) return UINT32_MAX;
    int64_t saved_ns = now_ns - later(budget->records_clear_ns, now_ns - budget->burst_ns);
    double records = (double)saved_ns * (double)budget->records_per_s / (double)SECOND_NS;
    return records < 1 ? 1 : records < UINT32_MAX ? (uint32_t)records : UINT32_MAX;
}

void tv_budget_take(tv_flow *flow, uint64_t records, uint64_t bytes, int64_t now_ns) {
    tv_flow_budget *budget = flow->budget;
    bucket_take(&budget->records_clear_ns, records, budget->records_per_s, budget->burst_ns, now_ns);
    bucket_take(&budget->bytes_clear_ns, bytes, budget->bytes_per_s, budget->burst_ns, now_ns);
    wait_for_rate(flow, now_ns);
    if (flow->sources_wait) set_throttled(flow, TV_THROTTLE_RATE, now_ns);
}

void tv_budget_take_cpu(tv_flow *flow, int64_t used_ns, int64_t now_ns) {
    tv_flow_budget *budget = flow->budget;
    if (used_ns > 0)
        bucket_take(&budget->cpu_clear_ns, (uint64_t)used_ns, (uint64_t)budget->cpu_per_s_ns, SECOND_NS, now_ns);
}

// ---- demotion -----------------------------------------------------------------------------------------------

static bool is_last_offence(tv_flow_budget *budget, int64_t now_ns) {
    if (budget->offences == 0 || now_ns - budget->offence_window_ns > OFFENCE_WINDOW_NS) {
        budget->offence_window_ns = now_ns;
        budget->offences = 0;
    }
    return ++budget->offences >= OFFENCES_MAX;
}

void tv_budget_note_fault(tv_flow *flow, tv_fault_reason reason, int64_t now_ns) {
    if (reason != TV_FAULT_CPU || flow->class != TV_CLASS_CRITICAL) return;
    if (!flow->budget) flow->budget = tv_flow_alloc(flow, sizeof *flow->budget);
    // Without memory for counting, this one is enough: a Critical flow that loops delays everybody.
    if (flow->budget && !is_last_offence(flow->budget, now_ns)) return;
    tv_flow_apply(flow, &(tv_flow_settings){.fields = TV_SET_CLASS, .class = TV_CLASS_NORMAL});
    flow->base_class = TV_CLASS_CRITICAL;
    TV_FIGURE_ADD(flow->worker->figures.demotions, 1);
    tv_log(TV_LEVEL_WARN, flow->name,
           "was Critical and is Normal for five minutes: it used up its CPU budget %d times in a minute; find the "
           "component by its faults, or raise `cpu` of the component",
           OFFENCES_MAX);
    if (!flow->budget) return;
    flow->budget->demotions++;
    flow->budget->demoted_until_ns = tv_time_add_saturating(now_ns, DEMOTION_NS);
}
