// Failed calls: what is taken back, what is dead-lettered, and how a stage goes on (contract section 8).
//
// A fault hurts its own flow only. The record at fault leaves the input, so that it cannot fail twice; the instance is
// thrown away, since nobody can know what state it is in, and what it knew is counted as lost.
#include "flow/flow_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static void describe_budget(const tv_stage_spec *spec, char *out, size_t capacity) {
    char record[32], call[32];
    snprintf(out, capacity, " (`cpu` of the component: record %s, call %s)",
             tv_format_duration(spec->cpu_record_ns, record), tv_format_duration(spec->cpu_call_ns, call));
}

// As the dead letter names the record: by its number on its input. "" where the call was about no record.
static void describe_record(tv_call_frame *frame, char *out, size_t capacity) {
    out[0] = '\0';
    if (!frame->has_records) return;
    const tv_record *record = tv_frame_record(frame, tv_frame_index(frame));
    snprintf(out, capacity, " at record %" PRIu64 " of %s", record->sequence,
             tv_edge_source_name(frame->stage->flow, tv_frame_input(frame, record->port)));
}

static void log_fault(tv_call_frame *frame, const tv_fault *fault, const char *record) {
    char text[800], budget[120] = "";
    if (fault->reason == TV_FAULT_CPU) describe_budget(frame->spec, budget, sizeof budget);
    int length =
        snprintf(text, sizeof text, "component failed%s: %s: %s%s%s%s", record, tv_fault_reason_name(fault->reason),
                 fault->message, fault->function[0] ? " in " : "", fault->function, budget);
    tv_stage_log(frame->stage, TV_LEVEL_ERROR, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

static void count_fault(tv_stage *stage, const tv_fault *fault, const char *record) {
    tv_stage_get_rare(stage)->faults++;
    tv_stage_cold *cold = tv_stage_get_cold(stage);
    if (!cold) return;
    cold->faults_by_reason[fault->reason]++;
    pthread_mutex_lock(&stage->flow->figures_mutex);
    snprintf(cold->last_error, sizeof cold->last_error, "%s: %.120s%.120s", tv_fault_reason_name(fault->reason),
             fault->message, record);
    pthread_mutex_unlock(&stage->flow->figures_mutex);
}

// The records before the one at fault were processed; their output stays. The one at fault becomes a dead letter.
static void settle_batch(tv_call_frame *frame, const tv_fault *fault) {
    tv_stage_rare *rare = tv_stage_get_rare(frame->stage);
    uint32_t index = tv_frame_index(frame);
    bool is_rejected = frame->rejected_index == index; // dead-lettered already
    if (index == frame->mark_index && !is_rejected) tv_frame_roll_back(frame);
    tv_frame_commit(frame);
    if (!is_rejected) tv_dead_letter_write(frame, tv_frame_record(frame, index), NULL, 0, fault);
    tv_frame_pop(frame, index + 1);
    uint32_t dead = frame->rejected_count + (is_rejected ? 0 : 1);
    frame->stage->processed += index + 1 - dead;
    rare->dead_lettered += dead;
    rare->rejected += frame->rejected_count;
}

static void settle_outputs(tv_call_frame *frame, const tv_fault *fault) {
    if (frame->has_records) {
        settle_batch(frame, fault);
        return;
    }
    tv_frame_roll_back(frame); // to the begin of the call
    if (frame->watermark_batch) tv_stage_watermark_delivered(frame->stage, frame->watermark_ns);
}

static void throw_instance_away(tv_stage *stage) {
    tv_stage_rare *rare = tv_stage_get_rare(stage);
    uint64_t memory_bytes = tv_instance_memory_bytes(stage->instance);
    if (memory_bytes > rare->memory_bytes_peak) rare->memory_bytes_peak = memory_bytes;
    if (stage->shared) {
        tv_pool_throw_away(stage);
    } else {
        tv_instance_free(stage->instance);
        stage->instance = NULL;
    }
    stage->more = false;
    stage->timer_at_ns = INT64_MAX;
    rare->pull_at_ns = INT64_MIN;
    stage->stuck_count = stage->fruitless_count = 0;
    if (tv_stage_module_info(stage)->keeping == TV_KEEPS_NOTHING) return; // there was no state
    rare->state_losses++;
    rare->records_lost += stage->processed - rare->processed_at_start;
    rare->processed_at_start = stage->processed;
}

// Counts this restart and says how long to wait before it; negative: the limit is reached (or no memory to count).
static int64_t restart_delay_ns(tv_stage *stage, int64_t now_ns) {
    const tv_restart_policy *policy = &tv_stage_get_spec(stage)->restart;
    tv_stage_cold *cold = tv_stage_get_cold(stage);
    if (!cold) return -1;
    if (cold->window_restarts == 0 || now_ns - cold->window_start_ns > policy->window_ns) {
        cold->window_start_ns = now_ns;
        cold->window_restarts = 0;
    }
    if (cold->window_restarts >= policy->limit) return -1;
    uint32_t earlier = cold->window_restarts++;
    if (earlier == 0) return 0;
    int64_t delay_ns = policy->backoff_min_ns;
    for (uint32_t i = 1; i < earlier && delay_ns < policy->backoff_max_ns; i++)
        delay_ns *= 2;
    return delay_ns < policy->backoff_max_ns ? delay_ns : policy->backoff_max_ns;
}

static void fail_flow(tv_stage *stage, const tv_fault *fault, const char *record) {
    const tv_stage_spec *spec = tv_stage_get_spec(stage);
    const tv_stage_cold *cold = tv_stage_get_cold(stage);
    const char *reason = tv_fault_reason_name(fault->reason);
    char window[32];
    if (spec->restart.mode == TV_RESTART_STOP)
        tv_flow_fail(stage->flow, "stage %s failed (restart mode: stop)%s: %s: %s", spec->name, record, reason,
                     fault->message);
    else
        tv_flow_fail(stage->flow,
                     "stage %s: %u faults within %s, its restart limit is %u; the last%s: %s: %s. If it shall go on "
                     "through more, raise `restart: { limit: ... }` of the stage",
                     spec->name, cold ? cold->window_restarts + 1 : 1,
                     tv_format_duration(spec->restart.window_ns, window), spec->restart.limit, record, reason,
                     fault->message);
}

void tv_frame_fail(tv_call_frame *frame, const tv_fault *fault, int64_t now_ns) {
    tv_stage *stage = frame->stage;
    char record[120];
    describe_record(frame, record, sizeof record);
    count_fault(stage, fault, record);
    log_fault(frame, fault, record);
    settle_outputs(frame, fault);
    throw_instance_away(stage);
    tv_budget_note_fault(stage->flow, fault->reason, now_ns);
    if (frame->spec->restart.mode == TV_RESTART_STOP) {
        fail_flow(stage, fault, record);
        return;
    }
    if (stage->state == TV_STAGE_CLOSING) return; // nothing is left to restart for
    int64_t delay_ns = restart_delay_ns(stage, now_ns);
    if (delay_ns < 0) {
        fail_flow(stage, fault, record);
        return;
    }
    stage->state = TV_STAGE_BACKOFF;
    tv_stage_get_rare(stage)->backoff_until_ns = tv_time_add_saturating(now_ns, delay_ns);
    if (delay_ns == 0) tv_stage_restart(stage, now_ns);
}

// A restart that fails is one more of those that the policy counts.
static void restart_failed(tv_stage *stage, const char *why, int64_t now_ns) {
    const tv_restart_policy *policy = &tv_stage_get_spec(stage)->restart;
    tv_stage_cold *cold = tv_stage_get_cold(stage);
    char window[32];
    tv_stage_log(stage, TV_LEVEL_ERROR, why, strlen(why));
    if (cold) {
        pthread_mutex_lock(&stage->flow->figures_mutex);
        snprintf(cold->last_error, sizeof cold->last_error, "restart failed: %.230s", why);
        pthread_mutex_unlock(&stage->flow->figures_mutex);
    }
    int64_t delay_ns = restart_delay_ns(stage, now_ns);
    stage->state = TV_STAGE_BACKOFF;
    if (delay_ns < 0)
        tv_flow_fail(stage->flow, "restart failed, and %u restarts within %s are the limit: %s", policy->limit,
                     tv_format_duration(policy->window_ns, window), why);
    else
        tv_stage_get_rare(stage)->backoff_until_ns = tv_time_add_saturating(now_ns, delay_ns);
}

void tv_stage_restart(tv_stage *stage, int64_t now_ns) {
    tv_error error = {0};
    if (!stage->shared && tv_stage_start(stage, &error) != TV_OK) { // one that shares takes what there is
        restart_failed(stage, error.message, now_ns);
        return;
    }
    tv_stage_get_rare(stage)->restarts++;
    stage->state = TV_STAGE_RUNNING;
}

// It said no itself; what it said at level error is why.
static tv_status refusal_error(const char *name, const char *answer, const tv_refusal *refusal, tv_error *error) {
    if (!refusal->lines)
        return tv_error_set(error, TV_FAULT, "stage %s: the component could not start: %s, and it did not say why",
                            name, answer);
    char more[48] = "";
    if (refusal->lines > 1) snprintf(more, sizeof more, " (the log has %u more)", refusal->lines - 1);
    tv_error_set(error, TV_FAULT, "stage %s: the component could not start: %s%s", name, refusal->text, more);
    if (error) {
        error->line = refusal->line;
        error->column = refusal->column;
    }
    return TV_FAULT;
}

static tv_status init_error(const char *name, const tv_fault *fault, const tv_refusal *refusal, tv_error *error) {
    if (fault->reason == TV_FAULT_RESULT) return refusal_error(name, fault->message, refusal, error);
    const char *remedy = fault->reason == TV_FAULT_CPU ? "; if it has so much to do, raise `cpu: record` of it" : "";
    return tv_error_set(error, TV_FAULT, "stage %s: the component could not start: %s: %s%s%s%s", name,
                        tv_fault_reason_name(fault->reason), fault->message, fault->function[0] ? " in " : "",
                        fault->function, remedy);
}

static tv_status start_init(tv_stage *stage, const char *name, tv_error *error) {
    tv_fault fault;
    int32_t result;
    const tv_refusal *refusal = stage->flow->frame->refusal;
    stage->state = TV_STAGE_RUNNING; // timers may be set from here on
    tv_status status = tv_instance_call(stage->instance, TV_EXPORT_INIT, 0, &result, &fault);
    if (status != TV_OK) return init_error(name, &fault, refusal, error);
    char answer[48];
    snprintf(answer, sizeof answer, "tv_init answered %d", (int)result);
    return result == TV_ABI_OK ? TV_OK : refusal_error(name, answer, refusal, error);
}

static tv_status start_instance(tv_stage *stage, const tv_stage_spec *spec, tv_error *error) {
    tv_instance_options options = {
        .memory_bytes_max = spec->memory_bytes_max,
        .batch_bytes = spec->batch_bytes_max,
        .grants = spec->grants,
        .imports = &tv_stage_imports,
        .user = stage,
    };
    tv_fault fault;
    tv_status status = tv_instance_new(spec->module, &options, &stage->instance, &fault, error);
    if (status != TV_OK) return tv_error_prefix(error, "stage %s", spec->name);
    tv_stage_rare *rare = tv_stage_get_rare(stage);
    rare->processed_at_start = stage->processed;
    status = start_init(stage, spec->name, error);
    if (status == TV_OK) return TV_OK;
    tv_instance_free(stage->instance);
    stage->instance = NULL;
    return status;
}

tv_status tv_stage_start(tv_stage *stage, tv_error *error) {
    tv_flow *flow = stage->flow;
    tv_call_frame frame; // for the CPU budget of what runs here
    tv_refusal refusal = {0};
    tv_frame_init(&frame, stage, TV_EXPORT_INIT);
    frame.refusal = &refusal;
    flow->frame = &frame;
    flow->active_frames++;
    tv_status status = start_instance(stage, frame.spec, error);
    flow->active_frames--;
    flow->frame = NULL;
    if (flow->adopted) flow->clock_ns = tv_flow_own_ns(flow); // a part of the turn, which it may well end
    return status;
}

static void set_failed(tv_flow *flow, const char *text) {
    char *kept = tv_flow_alloc(flow, strlen(text) + 1);
    if (kept) memcpy(kept, text, strlen(text) + 1);
    atomic_store(&flow->failure, kept);
    tv_flow_set_state(flow, TV_FLOW_FAILED);
}

void tv_flow_fail_start(tv_flow *flow, size_t stage, const char *why) {
    if (tv_flow_is_over(flow)) return;
    flow->start_failed = true;
    flow->failed_stage = (uint8_t)stage;
    set_failed(flow, why);
}

bool tv_flow_start_failure(const tv_flow *flow, size_t *stage) {
    if (tv_flow_get_state(flow) != TV_FLOW_FAILED || !flow->start_failed) return false;
    *stage = flow->failed_stage;
    return true;
}

void tv_flow_fail(tv_flow *flow, const char *format, ...) {
    char text[512];
    if (tv_flow_is_over(flow)) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    tv_log(TV_LEVEL_ERROR, flow->name, "flow failed: %s", text);
    set_failed(flow, text);
}
