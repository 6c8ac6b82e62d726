// A stage's step: the phases of flow_internal.h, each a call into the component and what follows from its answer.
//
// Outputs are staged during a call and committed at its end. A call is made only if every blocking output has room
// for one largest record. Faults are in fault.c, the functions a guest can call in imports.c, batches in batch.c.
#include "flow/flow_internal.h"

#include <stdio.h>

enum {
    BUSY_SAMPLE = 8, // of short calls every eighth is timed
    BUSY_SAMPLE_RECORDS = 16,
    BUSY_SAMPLE_NS = 2000,    // longer calls stand for themselves alone
    PULL_PAUSE_NS = 10000000, // a source that had nothing and set no timer is asked again after 10 ms
    STUCK_LIMIT = 2,
    COUNT_MASK = 15, // stuck_count and fruitless_count; a failure at the limit sets them back
};

// ---- room ---------------------------------------------------------------------------------------------------

static bool outputs_have_room(const tv_call_frame *frame) {
    for (uint32_t i = 0; i < frame->output_count; i++) {
        const tv_edge *edge = tv_frame_output(frame, i);
        uint32_t size =
            frame->record_bytes_max < edge->record_bytes_max ? frame->record_bytes_max : edge->record_bytes_max;
        if (!tv_edge_can_take(edge, size)) return false;
    }
    return true;
}

// Bytes and records behind the tightest output that blocks; what the guest may count on, not a promise to the byte.
static void set_allowance(const tv_call_frame *frame) {
    uint32_t bytes = UINT32_MAX, records = UINT32_MAX;
    for (uint32_t i = 0; i < frame->output_count; i++) {
        const tv_edge *edge = tv_frame_output(frame, i);
        if (edge->overflow != TV_OVERFLOW_BLOCK) continue;
        const tv_ring *ring = tv_edge_peek_ring(edge);
        uint32_t free_bytes = ring->capacity_bytes - tv_ring_used_bytes(ring);
        uint32_t free_records = ring->capacity_records - tv_ring_used_records(ring);
        if (free_bytes < bytes) bytes = free_bytes;
        if (free_records < records) records = free_records;
    }
    frame->batch->allowance_bytes = bytes;
    frame->batch->allowance_records = records;
}

// ---- calls --------------------------------------------------------------------------------------------------

// For messages that have no time of their own. Asking the clock costs as much as a small component, so nobody else is
// told.
static int64_t arrival_ns(const tv_call_frame *frame) {
    if (frame->call != TV_EXPORT_PROCESS) return TV_NO_EVENT_TIME;
    for (uint32_t i = 0; i < frame->input_count; i++) {
        if (tv_frame_input(frame, i)->kind == TV_EDGE_INPUT)
            return tv_clock_realtime_ns(frame->stage->flow->worker->runtime->clock);
    }
    return TV_NO_EVENT_TIME;
}

static void call_begin(tv_call_frame *frame) {
    tv_frame_mark(frame, 0);
    frame->batch->record_index = 0;
    frame->batch->record_count = frame->batch_count;
    frame->batch->records_bytes = frame->batch_bytes;
    frame->batch->arrival_ns = arrival_ns(frame);
    set_allowance(frame);
}

// Up fast, so that a stage that has become slow does not exceed its turn for long; down slowly.
static void note_cost(tv_stage *stage, int64_t taken_ns, uint32_t records) {
    enum { COST_MAX_NS = 1000000000 };
    int64_t cost_ns = taken_ns / (records ? records : 1), known_ns = stage->cost_ns;
    if (known_ns == 0)
        known_ns = cost_ns;
    else
        known_ns += (cost_ns - known_ns) / (cost_ns > known_ns ? 2 : 4);
    stage->cost_ns = (uint32_t)(known_ns < 1 ? 1 : known_ns > COST_MAX_NS ? COST_MAX_NS : known_ns);
}

// Records that a call has taken or, from a source, emitted.
static uint32_t records_done(const tv_call_frame *frame, tv_status status, int32_t result) {
    if (frame->call != TV_EXPORT_PROCESS) return frame->emitted;
    return status == TV_OK ? (uint32_t)result & TV_ABI_COUNT_MASK : tv_frame_index(frame) + 1;
}

// Times every call that takes long or has a large batch, and a sample of the others: a clock costs as much as a small
// batch.
static tv_status call_timed(tv_call_frame *frame, int64_t argument, int32_t *result, tv_fault *fault) {
    tv_stage *stage = frame->stage;
    bool is_sample = frame->batch_count < BUSY_SAMPLE_RECORDS && stage->cost_ns < BUSY_SAMPLE_NS;
    if (is_sample && stage->cost_ns && stage->calls % BUSY_SAMPLE != 0)
        return tv_instance_call(stage->instance, frame->call, argument, result, fault);
    int64_t begin_ns = tv_flow_own_ns(stage->flow);
    tv_status status = tv_instance_call(stage->instance, frame->call, argument, result, fault);
    stage->flow->clock_ns = tv_flow_own_ns(stage->flow);
    int64_t taken_ns = stage->flow->clock_ns - begin_ns;
    stage->busy_ns += !is_sample || taken_ns > BUSY_SAMPLE_NS ? taken_ns : taken_ns * BUSY_SAMPLE;
    if (frame->call == TV_EXPORT_PROCESS || frame->call == TV_EXPORT_PULL)
        note_cost(stage, taken_ns, records_done(frame, status, status == TV_OK ? *result : 0));
    return status;
}

static void fail_overflow(const tv_stage *stage) {
    tv_flow_fail(stage->flow, "stage %s: an output queue overflowed (overflow: error)", tv_stage_get_spec(stage)->name);
}

// Whether the call went well; otherwise the fault has been handled.
static bool call(tv_call_frame *frame, int64_t argument, int32_t *result, int64_t now_ns) {
    tv_fault fault;
    tv_flow *flow = frame->stage->flow;
    call_begin(frame);
    flow->frame = frame;
    flow->active_frames++;
    flow->worked = true;
    tv_status status = call_timed(frame, argument, result, &fault);
    flow->active_frames--;
    flow->frame = NULL;
    frame->stage->calls++;
    bool overflowed = frame->push_failed;
    if (status != TV_OK) tv_frame_fail(frame, &fault, now_ns);
    if (overflowed) fail_overflow(frame->stage);
    return status == TV_OK;
}

static bool fail_with(tv_call_frame *frame, tv_fault_reason reason, const char *message, int64_t now_ns) {
    tv_fault fault = {.reason = reason};
    snprintf(fault.message, sizeof fault.message, "%s", message);
    tv_frame_fail(frame, &fault, now_ns);
    return false;
}

// A result that breaks the contract: a failure like a trap. Returns false.
static bool fail_result(tv_call_frame *frame, const char *message, int64_t now_ns) {
    return fail_with(frame, TV_FAULT_RESULT, message, now_ns);
}

// What so many records have led to is within the stage's limit; otherwise the call has failed, and its output is taken
// back.
static bool output_is_bounded(tv_call_frame *frame, uint64_t emitted, uint64_t records, int64_t now_ns) {
    uint64_t most = frame->spec->output_records_max;
    char message[200];
    if (!most || emitted <= most || emitted <= most * records) return true;
    snprintf(message, sizeof message,
             "%llu records emitted for %llu of input, its `output_limit` is %llu for each; raise that if it is meant",
             (unsigned long long)emitted, (unsigned long long)records, (unsigned long long)most);
    return fail_with(frame, TV_FAULT_OUTPUT, message, now_ns);
}

// The output of the next call, and of what MORE leads to, comes of so many records.
static void begin_chain(tv_stage *stage, uint32_t records) {
    tv_stage_rare *rare = tv_stage_get_rare(stage);
    rare->chain_begin = stage->emitted;
    rare->chain_records = records;
}

static bool chain_is_bounded(tv_call_frame *frame, int64_t now_ns) {
    const tv_stage_rare *rare = tv_stage_get_rare(frame->stage);
    if (!rare->chain_records) return true;
    return output_is_bounded(frame, frame->stage->emitted + frame->emitted - rare->chain_begin, rare->chain_records,
                             now_ns);
}

// MORE needs tv_resume: without it the output would be lost inside.
static bool more_is_sound(tv_call_frame *frame, int32_t result, int64_t now_ns) {
    if (!(result & TV_ABI_MORE) || tv_stage_module_info(frame->stage)->has_resume) return true;
    return fail_result(frame, "the component answered MORE, but exports no tv_resume (contract 4.4)", now_ns);
}

// Two calls in a row without progress, though there was room for the largest output, are a failure; one may be a
// mistake of the moment.
static bool makes_progress(tv_call_frame *frame, bool progress, const char *message, int64_t now_ns) {
    tv_stage *stage = frame->stage;
    stage->stuck_count = progress ? 0 : (stage->stuck_count + 1) & COUNT_MASK;
    return stage->stuck_count < STUCK_LIMIT || fail_result(frame, message, now_ns);
}

// MORE that leads to nothing, and tv_resume that then has nothing, could alternate for ever.
static bool bears_fruit(tv_stage *stage, bool fruit) {
    stage->fruitless_count = fruit ? 0 : (stage->fruitless_count + 1) & COUNT_MASK;
    return stage->fruitless_count < STUCK_LIMIT;
}

// Calls an export whose answer is 0 or MORE. Returns whether it went well.
static bool call_plain(tv_call_frame *frame, int64_t argument, int64_t now_ns) {
    int32_t result;
    if (!call(frame, argument, &result, now_ns) || !more_is_sound(frame, result, now_ns)) return false;
    if (!chain_is_bounded(frame, now_ns)) return false;
    frame->stage->more = result == TV_ABI_MORE;
    tv_frame_commit(frame);
    return true;
}

// ---- shared instances ----------------------------------------------------------------------------------------

// Before a call: whether the stage has an instance for it. After true, end_call follows.
static bool begin_call(tv_call_frame *frame) {
    tv_stage *stage = frame->stage;
    if (!stage->shared) return true;
    if (!tv_pool_take(stage)) return false;
    frame->batch = tv_instance_batch(stage->instance);
    return true;
}

static void end_call(tv_stage *stage) {
    if (stage->shared) tv_pool_give_back(stage);
}

// Not for nothing: a flow that has nothing to do needs no instance. Several inputs may have a watermark to tell though
// nothing is queued.
static bool needs_no_call(const tv_stage *stage) {
    return stage->shared && stage->input_count == 1 && tv_ring_is_empty(tv_edge_peek_ring(tv_stage_input(stage, 0)));
}

// ---- watermarks ---------------------------------------------------------------------------------------------

// Passes the watermark on behind the stage's output. False if an output has no room for it now.
static bool forward_watermark(tv_stage *stage) {
    if (!stage->forwards) return true;
    int64_t watermark_ns = tv_stage_get_rare(stage)->watermark_forward;
    for (uint32_t i = 0; i < stage->output_count; i++) {
        tv_edge *edge = tv_stage_output(stage, i);
        tv_pushed pushed = tv_edge_push_watermark(edge, watermark_ns);
        if (pushed == TV_PUSHED_FULL) return false;
        if (pushed == TV_PUSHED_OVERFLOW) fail_overflow(stage);
        if (stage->flow->tapped) tv_tap_see_output(stage, edge);
        tv_edge_commit(edge);
    }
    stage->forwards = false;
    return true;
}

// ---- process ------------------------------------------------------------------------------------------------

// What the instance cannot know: a rejected record must also be consumed.
static bool process_result_is_sound(tv_call_frame *frame, int32_t result, int64_t now_ns) {
    uint32_t consumed = (uint32_t)result & TV_ABI_COUNT_MASK;
    if (frame->rejected_index != UINT32_MAX && consumed <= frame->rejected_index)
        return fail_result(frame, "tv_process did not consume a record that it rejected (contract 7.7)", now_ns);
    if (!more_is_sound(frame, result, now_ns)) return false;
    if (!bears_fruit(frame->stage, consumed > 0 || frame->emitted_any || !(result & TV_ABI_MORE)))
        return fail_result(frame, "tv_process answered MORE twice, but neither consumed nor emitted (contract 4.3)",
                           now_ns);
    return makes_progress(frame, consumed > 0 || (result & TV_ABI_MORE),
                          "tv_process consumed nothing twice though there was room (contract 4.3)", now_ns);
}

// Records of a good call: those rejected are dead letters, the others processed.
static void take_consumed(tv_call_frame *frame, uint32_t consumed) {
    tv_stage *stage = frame->stage;
    if (frame->watermark_batch) {
        if (consumed) tv_stage_watermark_delivered(stage, frame->watermark_ns);
        return;
    }
    tv_frame_pop(frame, consumed);
    stage->processed += consumed - frame->rejected_count;
    if (!frame->rejected_count) return;
    tv_stage_rare *rare = tv_stage_get_rare(stage);
    rare->dead_lettered += frame->rejected_count;
    rare->rejected += frame->rejected_count;
}

// A component without state may give a record back of whose output a part found no room (contract 4.3).
static void take_back_unconsumed(tv_call_frame *frame, uint32_t consumed) {
    if (frame->stage->more || frame->watermark_batch || consumed >= frame->batch_count) return;
    if (frame->mark_index >= consumed && tv_stage_module_info(frame->stage)->keeping == TV_KEEPS_NOTHING)
        tv_frame_roll_back(frame);
}

static void call_process(tv_call_frame *frame, int64_t now_ns) {
    tv_stage *stage = frame->stage;
    int32_t result;
    if (!call(frame, frame->batch_count, &result, now_ns)) return;
    if (!process_result_is_sound(frame, result, now_ns)) return;
    uint32_t records = (uint32_t)result & TV_ABI_COUNT_MASK;
    if (!records) records = 1; // has begun with it
    if (!output_is_bounded(frame, frame->emitted, records, now_ns)) return;
    stage->more = (result & TV_ABI_MORE) != 0;
    if (stage->more) begin_chain(stage, records);
    take_back_unconsumed(frame, (uint32_t)result & TV_ABI_COUNT_MASK);
    tv_frame_commit(frame);
    take_consumed(frame, (uint32_t)result & TV_ABI_COUNT_MASK);
    if (!stage->more) forward_watermark(stage);
}

static bool step_process(tv_stage *stage, uint32_t quantum, int64_t now_ns) {
    bool moved = false;
    tv_call_frame frame;
    tv_frame_init(&frame, stage, TV_EXPORT_PROCESS);
    if (!outputs_have_room(&frame)) return false;
    stage->input_first = false;
    if (quantum == 0) return false; // the flow's rate
    quantum = tv_dead_letter_limit_batch(&frame, quantum);
    if (quantum == 0) return false;
    if (needs_no_call(stage)) return false;
    if (!begin_call(&frame)) return tv_flow_is_over(stage->flow);
    if (tv_frame_gather(&frame, quantum, &moved)) {
        call_process(&frame, now_ns);
        moved = true;
    }
    end_call(stage);
    return moved;
}

// ---- pull, timer, resume, close -----------------------------------------------------------------------------

static bool call_pull(tv_call_frame *frame, uint32_t quantum, int64_t now_ns) {
    tv_stage *stage = frame->stage;
    int32_t result;
    if (!call(frame, quantum, &result, now_ns) || !more_is_sound(frame, result, now_ns)) return true;
    stage->more = result == TV_ABI_MORE;
    if (stage->more) begin_chain(stage, 0);
    stage->pull_ended = result == TV_ABI_END;
    tv_frame_commit(frame);
    if (!frame->emitted_any && result == 0)
        tv_stage_get_rare(stage)->pull_at_ns = tv_time_add_saturating(now_ns, PULL_PAUSE_NS);
    return frame->emitted_any || result != 0;
}

// After a tick it is pulled also if that has set the timer again (contract 4.5): it would never end otherwise.
static bool step_pull(tv_stage *stage, uint32_t quantum, int64_t now_ns) {
    bool after_tick = stage->input_first;
    stage->input_first = false;
    if (quantum == 0 || tv_stage_is_held(stage) || stage->pull_ended) return false;
    bool waits = stage->timer_at_ns != INT64_MAX || tv_stage_get_rare(stage)->pull_at_ns > now_ns;
    if (waits && !after_tick) return false;
    tv_call_frame frame;
    tv_frame_init(&frame, stage, TV_EXPORT_PULL);
    if (!outputs_have_room(&frame)) {
        stage->input_first = after_tick; // still to come
        return false;
    }
    if (!begin_call(&frame)) return false;
    bool moved = call_pull(&frame, quantum, now_ns);
    end_call(stage);
    return moved;
}

static void call_resume(tv_call_frame *frame, int64_t now_ns) {
    tv_stage *stage = frame->stage;
    if (!call_plain(frame, 0, now_ns)) return;
    if (frame->emitted_any) stage->fruitless_count = 0;
    if (!makes_progress(frame, !stage->more || frame->emitted_any,
                        "tv_resume answered MORE twice and emitted nothing though there was room (contract 4.4)",
                        now_ns))
        return;
    if (!stage->more && stage->state == TV_STAGE_RUNNING) forward_watermark(stage);
}

static bool step_resume(tv_stage *stage, int64_t now_ns) {
    tv_call_frame frame;
    tv_frame_init(&frame, stage, TV_EXPORT_RESUME);
    if (!outputs_have_room(&frame) || !begin_call(&frame)) return false;
    call_resume(&frame, now_ns);
    end_call(stage);
    return true;
}

static bool step_timer(tv_stage *stage, int64_t now_ns) {
    if (stage->timer_at_ns > now_ns || stage->input_first || tv_stage_is_held(stage)) return false;
    tv_call_frame frame;
    tv_frame_init(&frame, stage, TV_EXPORT_TICK);
    if (!outputs_have_room(&frame) || !begin_call(&frame)) return false;
    stage->timer_at_ns = INT64_MAX;
    stage->input_first = true;
    begin_chain(stage, 1);
    if (tv_stage_module_info(stage)->has_tick) call_plain(&frame, now_ns - stage->flow->started_ns, now_ns);
    end_call(stage);
    return true;
}

static bool inputs_finished(tv_stage *stage) {
    if (stage->input_count == 0) return stage->pull_ended || atomic_load(&stage->flow->drain_wanted);
    for (uint32_t i = 0; i < stage->input_count; i++)
        if (!tv_edge_is_finished(tv_stage_input(stage, i))) return false;
    return true;
}

static void end_outputs(tv_stage *stage) {
    for (uint32_t i = 0; i < stage->output_count; i++) {
        tv_edge *edge = tv_stage_output(stage, i);
        edge->ended = true;
        if (edge->kind == TV_EDGE_OUTPUT) tv_channel_end_output(edge->channel);
    }
}

// False: no room for what the component may emit at its end, or no instance.
static bool call_close(tv_stage *stage, int64_t now_ns) {
    tv_call_frame frame;
    tv_frame_init(&frame, stage, TV_EXPORT_CLOSE);
    bool calls = !stage->shared || tv_stage_module_info(stage)->has_close;
    if (!outputs_have_room(&frame) || (calls && !begin_call(&frame))) return false;
    stage->state = TV_STAGE_CLOSING;
    stage->timer_at_ns = INT64_MAX;
    if (tv_flow_get_state(stage->flow) == TV_FLOW_RUNNING) tv_flow_set_state(stage->flow, TV_FLOW_DRAINING);
    begin_chain(stage, 1);
    if (calls) call_plain(&frame, 0, now_ns);
    if (calls) end_call(stage);
    return true;
}

static bool step_close(tv_stage *stage, int64_t now_ns) {
    if (stage->state == TV_STAGE_RUNNING) {
        if (!inputs_finished(stage) || !call_close(stage, now_ns)) return false;
        if (stage->more) return true;
    }
    stage->state = TV_STAGE_CLOSED;
    end_outputs(stage);
    return true;
}

// A drain does not wait for the end of a back-off: within its restart limit the component is started at once, to
// deliver what there is.
static bool is_draining(const tv_stage *stage) {
    return atomic_load_explicit(&stage->flow->drain_wanted, memory_order_relaxed);
}

static bool is_stopping_source(const tv_stage *stage) {
    return stage->input_count == 0 && stage->state == TV_STAGE_RUNNING && atomic_load(&stage->flow->drain_wanted);
}

bool tv_stage_step(tv_stage *stage, uint32_t quantum, int64_t now_ns) {
    bool moved = false;
    if (stage->state == TV_STAGE_CLOSED) return false;
    if (stage->state == TV_STAGE_BACKOFF) {
        if (now_ns < tv_stage_get_rare(stage)->backoff_until_ns && !is_draining(stage)) return false;
        tv_stage_restart(stage, now_ns);
        return true;
    }
    if (!stage->more && !forward_watermark(stage)) return false;
    // A source that is to stop is not asked for more, however much it has; tv_close may emit what must not be lost.
    if (is_stopping_source(stage) && stage->more) {
        if (stage->shared) tv_pool_drop_output(stage); // its place is for other flows' output
        stage->more = false;
    }
    // A failure in any phase may have ended the flow; then there is no instance to go on with.
    if (stage->more) {
        moved = step_resume(stage, now_ns);
        if (stage->more || tv_flow_is_over(stage->flow)) return moved;
    }
    if (stage->state == TV_STAGE_RUNNING) moved |= step_timer(stage, now_ns);
    if (tv_flow_is_over(stage->flow)) return true;
    if (stage->state == TV_STAGE_RUNNING && !stage->more && !is_stopping_source(stage)) {
        if (stage->input_count ? step_process(stage, quantum, now_ns) : step_pull(stage, quantum, now_ns)) return true;
        // The input came first and found nothing, or no room for dead letters: nobody would come back for the timer.
        if (!moved) moved = step_timer(stage, now_ns);
    }
    if (tv_flow_is_over(stage->flow)) return true;
    bool may_close = stage->state == TV_STAGE_RUNNING || stage->state == TV_STAGE_CLOSING;
    if (may_close && !stage->more && !stage->forwards) moved |= step_close(stage, now_ns);
    return moved;
}
