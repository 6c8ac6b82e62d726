// A stage's batch: gathering it from the inputs, finding a record in it, taking it from the inputs.
//
// The batch is copied from the inputs' rings into the guest's arena; the ring's copy stays until the component has
// consumed it, so that the host never has to trust what the guest left in its own memory. Control records are taken
// in here: a component sees the combined watermark, as a batch of one that the host makes.
#include "flow/flow_internal.h"

// ---- frames -------------------------------------------------------------------------------------------------

void tv_frame_init(tv_call_frame *frame, tv_stage *stage, tv_export call) {
    tv_flow *flow = stage->flow;
    frame->stage = stage;
    frame->batch = stage->instance ? tv_instance_batch(stage->instance) : NULL;
    frame->edges = flow->edges;
    frame->inputs = flow->links + stage->inputs_at;
    frame->outputs = flow->links + stage->outputs_at;
    frame->ports = flow->links + stage->ports_at;
    frame->spec = &flow->spec->stages[stage->index];
    frame->input_count = stage->input_count;
    frame->output_count = stage->output_count;
    frame->call = call;
    frame->has_records = false;
    frame->merged = stage->input_count > 1;
    frame->push_failed = frame->emitted_any = frame->watermark_batch = frame->ticked = false;
    frame->port_count = stage->port_count;
    frame->payload_bytes_max = stage->payload_bytes_max;
    frame->record_bytes_max = (uint32_t)tv_align_up_u64(
        sizeof(tv_record) + TV_ATTRIBUTES_BYTES_LIMIT + (uint64_t)stage->payload_bytes_max, 8);
    frame->first_ring = stage->output_count == 1 ? tv_edge_ring(tv_frame_output(frame, 0)) : NULL;
    frame->batch_count = frame->batch_bytes = 0;
    frame->emitted = frame->unconnected = 0;
    frame->rejected_index = UINT32_MAX;
    frame->rejected_count = 0;
    frame->cursor_index = frame->mark_index = 0;
}

void tv_stage_watermark_delivered(tv_stage *stage, int64_t watermark_ns) {
    tv_stage_rare *rare = tv_stage_get_rare(stage);
    rare->watermark_in = rare->watermark_forward = watermark_ns;
    stage->forwards = true;
}

// ---- positions in the batch ---------------------------------------------------------------------------------

static uint32_t batch_input(const tv_call_frame *frame, uint32_t index) {
    return frame->merged ? frame->merge[index] : 0;
}

const tv_record *tv_frame_seek(tv_call_frame *frame, uint32_t index) {
    TV_ASSERT(index >= frame->cursor_index && index < frame->batch_count);
    while (frame->cursor_index < index) {
        uint32_t input = batch_input(frame, frame->cursor_index++);
        frame->cursor[input] = tv_ring_run_next(frame->cursor[input], frame->run_end[input]);
    }
    return frame->cursor[batch_input(frame, index)];
}

void tv_frame_mark_outputs(tv_call_frame *frame) {
    for (uint32_t i = 0; i < frame->output_count; i++)
        frame->mark[i] = tv_edge_ring(tv_frame_output(frame, i))->staged;
}

void tv_frame_roll_back(tv_call_frame *frame) {
    frame->emitted = frame->mark_emitted;
    frame->unconnected = frame->mark_unconnected;
    for (uint32_t i = 0; i < frame->output_count; i++)
        tv_edge_roll_back(tv_frame_output(frame, i), frame->mark[i], frame->drops_since_mark ? frame->newest[i] : 0);
    frame->drops_since_mark = false;
}

void tv_frame_commit(tv_call_frame *frame) {
    bool tapped = frame->stage->flow->tapped;
    for (uint32_t i = 0; i < frame->output_count; i++) {
        if (tapped) tv_tap_see_output(frame->stage, tv_frame_output(frame, i));
        tv_edge_commit(tv_frame_output(frame, i));
    }
    frame->stage->emitted += frame->emitted;
    if (frame->input_count == 0) tv_stage_spend(frame->stage, frame->emitted);
    if (frame->unconnected) tv_stage_get_rare(frame->stage)->emitted_unconnected += frame->unconnected;
    frame->emitted = frame->unconnected = frame->mark_emitted = frame->mark_unconnected = 0; // counted
}

// ---- gathering a batch --------------------------------------------------------------------------------------

static void take_watermark(tv_stage *stage, tv_edge *edge, const tv_record *front) {
    tv_edge_rare *rare = tv_edge_get_rare(edge);
    if (front->event_time_ns > rare->watermark_popped) rare->watermark_popped = front->event_time_ns;
    tv_edge_pop(edge, 1, 1, front->size_bytes, front->sequence);
    stage->processed++;
    tv_stage_get_rare(stage)->watermarks++;
    stage->has_watermarks = true;
    tv_stage_spend(stage, 1);
}

// Sets the cursor of an input at its first data. Watermarks in front of it are taken; returns whether there were any.
static bool begin_input(tv_call_frame *frame, uint32_t input) {
    tv_edge *edge = tv_frame_input(frame, input);
    tv_ring *ring = tv_edge_ring(edge);
    bool any = false;
    const tv_record *front;
    while ((front = tv_ring_front(ring, &frame->run_end[input])) != NULL && front->kind == TV_KIND_WATERMARK) {
        take_watermark(frame->stage, edge, front);
        any = true;
    }
    frame->cursor[input] = front;
    return any;
}

// The minimum over the inputs that have not ended.
static int64_t combined_watermark(const tv_call_frame *frame) {
    int64_t least = INT64_MAX;
    bool any = false;
    for (uint32_t i = 0; i < frame->input_count; i++) {
        tv_edge *edge = tv_frame_input(frame, i);
        if (frame->merged && tv_edge_is_finished(edge)) continue;
        any = true;
        int64_t watermark = tv_edge_get_rare(edge)->watermark_popped;
        if (watermark < least) least = watermark;
    }
    return any ? least : TV_NO_EVENT_TIME;
}

static bool batch_accepts(const tv_call_frame *frame, const tv_record *record, uint32_t quantum) {
    if (record->kind != TV_KIND_DATA || frame->batch_count >= quantum) return false;
    // A single record always fits into the arena: tv_flow_spec_check.
    return frame->batch_bytes + record->size_bytes <= frame->batch_bytes_limit || frame->batch_count == 0;
}

static uint8_t *batch_records(const tv_call_frame *frame) { return (uint8_t *)frame->batch + sizeof(tv_batch); }

// One input: a contiguous run of records, copied at once.
static void gather_one(tv_call_frame *frame, uint32_t quantum) {
    const tv_record *first = frame->cursor[0], *last = NULL;
    for (const tv_record *record = first; record && batch_accepts(frame, record, quantum);
         record = tv_ring_run_next(record, frame->run_end[0])) {
        frame->batch_bytes += record->size_bytes;
        frame->batch_count++;
        last = record;
    }
    if (!last) return;
    frame->batch_last_sequence = last->sequence;
    memcpy(batch_records(frame), first, frame->batch_bytes);
}

// Whether nothing is committed behind `last`, a record of a run; else the ring goes on at the begin of its next lap.
static bool is_newest(const tv_ring *ring, const tv_record *last) {
    uint32_t end = (uint32_t)((const uint8_t *)last - ring->bytes) + last->size_bytes;
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return ((end ^ tail) & (ring->capacity_bytes - 1)) == 0;
}

// Several inputs: by event time, then by input. Where an input goes on in its next lap the batch ends, so that the
// others do not overtake what is there.
static __attribute__((noinline)) void gather_merged(tv_call_frame *frame, uint32_t quantum) {
    const tv_record *next[TV_STAGE_INPUTS_MAX];
    memcpy(next, frame->cursor, frame->input_count * sizeof next[0]);
    for (;;) {
        uint32_t best = TV_STAGE_INPUTS_MAX;
        for (uint32_t i = 0; i < frame->input_count; i++) {
            if (!next[i]) continue;
            if (best == TV_STAGE_INPUTS_MAX || next[i]->event_time_ns < next[best]->event_time_ns) best = i;
        }
        if (best == TV_STAGE_INPUTS_MAX || !batch_accepts(frame, next[best], quantum)) return;
        memcpy(batch_records(frame) + frame->batch_bytes, next[best], next[best]->size_bytes);
        frame->batch_bytes += next[best]->size_bytes;
        frame->merge[frame->batch_count++] = (uint8_t)best;
        const tv_record *taken = next[best];
        next[best] = tv_ring_run_next(taken, frame->run_end[best]);
        if (!next[best] && !is_newest(tv_edge_ring(tv_frame_input(frame, best)), taken)) return;
    }
}

// The combined watermark as a batch of one, made by the host.
static void gather_watermark(tv_call_frame *frame, int64_t watermark) {
    tv_record *record = (tv_record *)(void *)batch_records(frame);
    *record = (tv_record){.size_bytes = sizeof *record, .kind = TV_KIND_WATERMARK, .event_time_ns = watermark};
    frame->batch_count = 1;
    frame->batch_bytes = sizeof *record;
    frame->watermark_batch = true;
    frame->watermark_ns = watermark;
}

// Whether the combined watermark has risen, which then is the batch.
static __attribute__((noinline)) bool gather_risen_watermark(tv_call_frame *frame) {
    int64_t watermark = combined_watermark(frame);
    if (watermark <= tv_stage_get_rare(frame->stage)->watermark_in) return false;
    gather_watermark(frame, watermark);
    return true;
}

bool tv_frame_gather(tv_call_frame *frame, uint32_t quantum, bool *moved) {
    for (uint32_t i = 0; i < frame->input_count; i++)
        *moved |= begin_input(frame, i);
    if (frame->stage->has_watermarks && gather_risen_watermark(frame)) return true;
    if (frame->merged)
        gather_merged(frame, quantum);
    else
        gather_one(frame, quantum);
    frame->has_records = frame->batch_count > 0;
    return frame->has_records;
}

// ---- taking it from the inputs -------------------------------------------------------------------------------

// One input, and the whole batch: nothing needs to be looked up.
static bool pop_whole(tv_call_frame *frame, uint32_t count) {
    if (frame->merged || count != frame->batch_count) return false;
    if (frame->stage->flow->tapped) tv_tap_see_input(frame->stage, tv_frame_input(frame, 0), count);
    tv_edge_pop(tv_frame_input(frame, 0), count, 0, frame->batch_bytes, frame->batch_last_sequence);
    frame->stage->bytes_in += frame->batch_bytes;
    return true;
}

// Several inputs, or a part of the batch.
static __attribute__((noinline)) void pop_part(tv_call_frame *frame, uint32_t count) {
    uint32_t records[TV_STAGE_INPUTS_MAX] = {0}, bytes[TV_STAGE_INPUTS_MAX] = {0};
    uint64_t last[TV_STAGE_INPUTS_MAX] = {0};
    const uint8_t *run_end;
    const tv_record *next[TV_STAGE_INPUTS_MAX] = {NULL};
    for (uint32_t i = 0; i < frame->input_count; i++)
        next[i] = tv_ring_front(tv_edge_ring(tv_frame_input(frame, i)), &run_end);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t i = batch_input(frame, k);
        TV_ASSERT(next[i]); // it was there when the batch was gathered
        records[i]++;
        bytes[i] += next[i]->size_bytes;
        last[i] = next[i]->sequence;
        next[i] = tv_ring_run_next(next[i], frame->run_end[i]);
    }
    for (uint32_t i = 0; i < frame->input_count; i++) {
        if (!records[i]) continue;
        if (frame->stage->flow->tapped) tv_tap_see_input(frame->stage, tv_frame_input(frame, i), records[i]);
        tv_edge_pop(tv_frame_input(frame, i), records[i], 0, bytes[i], last[i]);
        frame->stage->bytes_in += bytes[i];
    }
}

void tv_frame_pop(tv_call_frame *frame, uint32_t count) {
    if (count == 0) return;
    tv_stage_spend(frame->stage, count);
    if (!pop_whole(frame, count)) pop_part(frame, count);
}
