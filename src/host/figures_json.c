// Figures as JSON. docs/control.md and docs/running.md name the fields, docs/scheduling.md explains
// them.
#include "host/figures_json.h"

void tv_host_add_faults(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_stage_stats *stats) {
    yyjson_mut_obj_add_uint(document, object, "faults", stats->faults);
    yyjson_mut_val *reasons = yyjson_mut_obj_add_obj(document, object, "faults_by_reason");
    for (int reason = TV_FAULT_TRAP; reason <= TV_FAULT_START; reason++)
        if (stats->faults_by_reason[reason])
            yyjson_mut_obj_add_uint(document, reasons, tv_fault_reason_name((tv_fault_reason)reason),
                                    stats->faults_by_reason[reason]);
    yyjson_mut_obj_add_uint(document, object, "restarts", stats->restarts);
    yyjson_mut_obj_add_uint(document, object, "state_losses", stats->state_losses);
}

void tv_host_add_start(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_flow *flow) {
    uint32_t attempts;
    int64_t next_ms = tv_host_start_next_ns(flow, &attempts);
    if (next_ms >= 0) next_ms /= 1000000;
    yyjson_mut_obj_add_uint(document, object, "starts_failed", attempts);
    if (next_ms >= 0)
        yyjson_mut_obj_add_real(document, object, "next_start_s", (double)next_ms / 1e3);
    else
        yyjson_mut_obj_add_null(document, object, "next_start_s");
}

void tv_host_add_trouble(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_channel *channel) {
    tv_trouble trouble;
    if (!tv_host_channel_trouble(channel, &trouble)) {
        yyjson_mut_obj_add_null(document, object, "trouble");
        return;
    }
    int64_t ms = trouble.for_ns / 1000000;
    yyjson_mut_val *found = yyjson_mut_obj_add_obj(document, object, "trouble");
    yyjson_mut_obj_add_strcpy(document, found, "text", trouble.text);
    yyjson_mut_obj_add_real(document, found, "s", (double)ms / 1e3);
}

void tv_host_add_rejections(yyjson_mut_doc *document, yyjson_mut_val *object, tv_flow *flow, size_t stage) {
    tv_rejection found[TV_REJECTIONS_KEPT];
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(document, object, "rejections");
    size_t count = tv_flow_rejections(flow, stage, found);
    for (size_t i = 0; i < count; i++) {
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(document, list);
        yyjson_mut_obj_add_strcpy(document, item, "reason", found[i].reason);
        yyjson_mut_obj_add_uint(document, item, "times", found[i].times);
    }
}

void tv_host_add_counters(yyjson_mut_doc *document, yyjson_mut_val *object, tv_flow *flow, size_t stage) {
    yyjson_mut_val *counters = yyjson_mut_obj_add_obj(document, object, "counters");
    const char *name;
    uint64_t value;
    for (uint32_t i = 0; tv_flow_counter(flow, stage, i, &name, &value); i++)
        yyjson_mut_obj_add(counters, yyjson_mut_strcpy(document, name), yyjson_mut_uint(document, value));
}

void tv_host_add_scheduling(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_flow_stats *stats) {
    yyjson_mut_obj_add_uint(document, object, "turns", stats->turns);
    yyjson_mut_obj_add_uint(document, object, "nested_turns", stats->nested_turns);
    yyjson_mut_obj_add_uint(document, object, "quantum", stats->quantum_records);
    yyjson_mut_obj_add_sint(document, object, "turn_ns", stats->turn_ns);
    yyjson_mut_obj_add_sint(document, object, "cycle_ns", stats->cycle_ns);
    yyjson_mut_obj_add_uint(document, object, "cycles_cut", stats->cycles_cut);
    yyjson_mut_obj_add_uint(document, object, "moves", stats->moves);
    yyjson_mut_obj_add_uint(document, object, "demotions", stats->demotions);
    yyjson_mut_obj_add_uint(document, object, "trims", stats->trims);
    yyjson_mut_obj_add_uint(document, object, "trimmed_bytes", stats->trimmed_bytes);
    yyjson_mut_val *throttling = yyjson_mut_obj_add_obj(document, object, "throttling");
    for (tv_throttle by = TV_THROTTLE_CPU; by < TV_THROTTLE_COUNT; by++) {
        yyjson_mut_val *limit = yyjson_mut_obj_add_obj(document, throttling, tv_throttle_name(by));
        yyjson_mut_obj_add_bool(document, limit, "now", stats->throttled == by);
        yyjson_mut_obj_add_uint(document, limit, "times", stats->throttles[by]);
        yyjson_mut_obj_add_real(document, limit, "s", (double)stats->throttled_ns[by] / 1e9);
    }
}

void tv_host_add_worker(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_worker_stats *stats) {
    yyjson_mut_obj_add_uint(document, object, "flows", stats->flows);
    yyjson_mut_obj_add_uint(document, object, "turns", stats->turns);
    yyjson_mut_obj_add_uint(document, object, "nested_turns", stats->nested_turns);
    yyjson_mut_obj_add_uint(document, object, "cycles", stats->cycles);
    yyjson_mut_obj_add_uint(document, object, "throttles", stats->throttles);
    yyjson_mut_obj_add_uint(document, object, "demotions", stats->demotions);
    yyjson_mut_obj_add_uint(document, object, "moved_in", stats->moved_in);
    yyjson_mut_obj_add_uint(document, object, "moved_out", stats->moved_out);
}

static void add_up(tv_worker_stats *sum, const tv_worker_stats *worker) {
    sum->turns += worker->turns;
    sum->nested_turns += worker->nested_turns;
    sum->cycles += worker->cycles;
    sum->throttles += worker->throttles;
    sum->demotions += worker->demotions;
    sum->moved_in += worker->moved_in;
    sum->busy_ns += worker->busy_ns;
    sum->nested_ns += worker->nested_ns;
}

void tv_host_add_scheduler(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_runtime *runtime) {
    tv_worker_stats sum = {0}, worker;
    for (uint32_t i = 0; i < tv_runtime_workers(runtime); i++) {
        tv_runtime_worker_stats(runtime, i, &worker);
        add_up(&sum, &worker);
    }
    yyjson_mut_val *object = yyjson_mut_obj_add_obj(document, root, "scheduler");
    yyjson_mut_obj_add_real(document, object, "busy_s", (double)sum.busy_ns / 1e9);
    yyjson_mut_obj_add_real(document, object, "nested_s", (double)sum.nested_ns / 1e9);
    yyjson_mut_obj_add_uint(document, object, "turns", sum.turns);
    yyjson_mut_obj_add_uint(document, object, "nested_turns", sum.nested_turns);
    yyjson_mut_obj_add_uint(document, object, "cycles", sum.cycles);
    yyjson_mut_obj_add_uint(document, object, "throttles", sum.throttles);
    yyjson_mut_obj_add_uint(document, object, "demotions", sum.demotions);
    yyjson_mut_obj_add_uint(document, object, "moves", sum.moved_in);
}
