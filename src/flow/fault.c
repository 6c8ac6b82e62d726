// Failed calls: what is taken back, what is dead-lettered, and how a stage goes on (contract section 8).
//
// A fault hurts its own flow only. The record at fault leaves the input, so that it cannot fail twice; the instance is
// thrown away, since nobody can know what state it is in, and what it knew is counted as lost.
#include "flow/flow_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static void describe_budget(const tv_stage *stage, char *out, size_t capacity) {
    char record[32], call[32];
    snprintf(out, capacity, " (`cpu` of the component: record %s, call %s)",
             tv_format_duration(stage->spec->cpu_record_ns, record),
             tv_format_duration(stage->spec->cpu_call_ns, call));
}

// As the dead letter names the record: by its number on its input.
static void describe_record(tv_stage *stage, char *out, size_t capacity) {
    const tv_record *record = tv_stage_record(stage, tv_stage_index(stage));
    snprintf(out, capacity, " at record %" PRIu64 " of %s", record->sequence,
             tv_edge_source_name(stage->flow, stage->inputs[record->port]));
}

static void log_fault(tv_stage *stage, const tv_fault *fault) {
    char text[800], record[120] = "", budget[120] = "";
    if (stage->call == TV_EXPORT_PROCESS && !stage->watermark_batch) describe_record(stage, record, sizeof record);
    if (fault->reason == TV_FAULT_CPU) describe_budget(stage, budget, sizeof budget);
    int length =
        snprintf(text, sizeof text, "component failed%s: %s: %s%s%s%s", record, tv_fault_reason_name(fault->reason),
                 fault->message, fault->function[0] ? " in " : "", fault->function, budget);
    tv_stage_log(stage, TV_LEVEL_ERROR, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

static void count_fault(tv_stage *stage, const tv_fault *fault) {
    tv_stage_stats *stats = &stage->stats;
    stats->faults++;
    stats->faults_by_reason[fault->reason]++;
    snprintf(stats->last_error, sizeof stats->last_error, "%s: %.200s", tv_fault_reason_name(fault->reason),
             fault->message);
}

// The records before the one at fault were processed; their output stays. The one at fault becomes a dead letter.
static void settle_batch(tv_stage *stage, const tv_fault *fault) {
    uint32_t index = tv_stage_index(stage);
    bool is_rejected = stage->rejected_index == index; // dead-lettered already
    if (index == stage->mark_index && !is_rejected) tv_stage_roll_back(stage);
    tv_stage_commit(stage);
    if (!is_rejected) tv_dead_letter_write(stage, tv_stage_record(stage, index), NULL, 0, fault);
    tv_stage_pop(stage, index + 1);
    uint32_t dead = stage->rejected_count + (is_rejected ? 0 : 1);
    stage->stats.processed += index + 1 - dead;
    stage->stats.dead_lettered += dead;
    stage->stats.rejected += stage->rejected_count;
}

static void settle_outputs(tv_stage *stage, const tv_fault *fault) {
    if (stage->call == TV_EXPORT_PROCESS && !stage->watermark_batch) {
        settle_batch(stage, fault);
        return;
    }
    tv_stage_roll_back(stage); // to the begin of the call
    if (stage->watermark_batch && stage->call == TV_EXPORT_PROCESS)
        stage->watermark_in = stage->watermark_forward = stage->watermark_batch_ns;
}

static void throw_instance_away(tv_stage *stage) {
    uint64_t memory_bytes = tv_instance_memory_bytes(stage->instance);
    if (memory_bytes > stage->stats.memory_bytes_peak) stage->stats.memory_bytes_peak = memory_bytes;
    tv_instance_free(stage->instance);
    stage->instance = NULL;
    stage->batch = NULL;
    stage->batch_count = 0;
    stage->more = false;
    stage->timer_at_ns = INT64_MAX;
    stage->pull_at_ns = INT64_MIN;
    stage->stuck_count = stage->fruitless_count = 0;
    stage->stats.state_losses++;
    stage->stats.records_since_start_lost += stage->stats.processed - stage->processed_at_start;
}

// Counts this restart and says how long to wait before it; negative: the limit is reached.
static int64_t restart_delay_ns(tv_stage *stage, int64_t now_ns) {
    const tv_restart_policy *policy = &stage->spec->restart;
    if (stage->window_restarts == 0 || now_ns - stage->window_start_ns > policy->window_ns) {
        stage->window_start_ns = now_ns;
        stage->window_restarts = 0;
    }
    if (stage->window_restarts >= policy->limit) return -1;
    uint32_t earlier = stage->window_restarts++;
    if (earlier == 0) return 0;
    int64_t delay_ns = policy->backoff_min_ns;
    for (uint32_t i = 1; i < earlier && delay_ns < policy->backoff_max_ns; i++)
        delay_ns *= 2;
    return delay_ns < policy->backoff_max_ns ? delay_ns : policy->backoff_max_ns;
}

void tv_stage_fail(tv_stage *stage, const tv_fault *fault, int64_t now_ns) {
    count_fault(stage, fault);
    log_fault(stage, fault);
    settle_outputs(stage, fault);
    throw_instance_away(stage);
    if (stage->spec->restart.mode == TV_RESTART_STOP) {
        tv_flow_fail(stage->flow, "stage %s failed (restart mode: stop): %s: %s", stage->spec->name,
                     tv_fault_reason_name(fault->reason), fault->message);
        return;
    }
    if (stage->state == TV_STAGE_CLOSING) return; // nothing is left to restart for
    int64_t delay_ns = restart_delay_ns(stage, now_ns);
    if (delay_ns < 0) {
        tv_flow_fail(
            stage->flow,
            "stage %s failed %u times within its restart window (`restart` of the stage: limit, window); last: %s: %s",
            stage->spec->name, stage->window_restarts + 1, tv_fault_reason_name(fault->reason), fault->message);
        return;
    }
    stage->state = TV_STAGE_BACKOFF;
    stage->backoff_until_ns = tv_time_add_saturating(now_ns, delay_ns);
    if (delay_ns == 0) tv_stage_restart(stage, now_ns);
}

void tv_stage_restart(tv_stage *stage, int64_t now_ns) {
    (void)now_ns;
    tv_error error = {0};
    if (tv_stage_start(stage, &error) != TV_OK) {
        tv_flow_fail(stage->flow, "restart failed: %s", error.message);
        return;
    }
    stage->stats.restarts++;
    stage->state = TV_STAGE_RUNNING;
}

static tv_status init_error(const tv_stage *stage, const tv_fault *fault, tv_error *error) {
    if (fault->reason == TV_FAULT_RESULT) // it said no itself
        return tv_error_set(error, TV_FAULT, "stage %s: the component could not start: %s; its log lines say why",
                            stage->spec->name, fault->message);
    return tv_error_set(error, TV_FAULT, "stage %s: the component could not start: %s: %s%s%s", stage->spec->name,
                        tv_fault_reason_name(fault->reason), fault->message, fault->function[0] ? " in " : "",
                        fault->function);
}

static tv_status start_init(tv_stage *stage, tv_error *error) {
    tv_fault fault;
    int32_t result;
    stage->call = TV_EXPORT_INIT;
    stage->state = TV_STAGE_RUNNING; // timers may be set from here on
    stage->flow->active_frames++;
    tv_status status = tv_instance_call(stage->instance, TV_EXPORT_INIT, 0, &result, &fault);
    stage->flow->active_frames--;
    if (status != TV_OK) return init_error(stage, &fault, error);
    if (result != TV_ABI_OK)
        return tv_error_set(error, TV_FAULT, "stage %s: tv_init of the component answered %d; its log lines say why",
                            stage->spec->name, (int)result);
    return TV_OK;
}

tv_status tv_stage_start(tv_stage *stage, tv_error *error) {
    tv_instance_options options = {
        .memory_bytes_max = stage->spec->memory_bytes_max,
        .batch_bytes = stage->spec->batch_bytes_max,
        .grants = stage->spec->grants,
        .imports = &tv_stage_imports,
        .user = stage,
    };
    tv_fault fault;
    stage->ticked = false;
    stage->batch_count = 0;
    tv_status status = tv_instance_new(stage->spec->module, &options, &stage->instance, &fault, error);
    if (status != TV_OK) return tv_error_prefix(error, "stage %s", stage->spec->name);
    stage->batch = tv_instance_batch(stage->instance);
    stage->processed_at_start = stage->stats.processed;
    status = start_init(stage, error);
    if (status != TV_OK) {
        tv_instance_free(stage->instance);
        stage->instance = NULL;
        stage->batch = NULL;
    }
    return status;
}

void tv_flow_fail(tv_flow *flow, const char *format, ...) {
    if (tv_flow_is_over(flow)) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(flow->failure, sizeof flow->failure, format, arguments);
    va_end(arguments);
    tv_log(TV_LEVEL_ERROR, flow->spec->name, "flow failed: %s", flow->failure);
    tv_flow_set_state(flow, TV_FLOW_FAILED);
}
