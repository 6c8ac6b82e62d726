// A stage's batch: gathering it from the inputs, finding a record in it, taking it from the inputs.
//
// The batch is copied from the inputs' rings into the guest's arena; the ring's copy stays until the component has
// consumed it, so that the host never has to trust what the guest left in its own memory. Control records are taken
// in here: a component sees the combined watermark, as a batch of one that the host makes.
#include "flow/flow_internal.h"

// ---- positions in the batch ---------------------------------------------------------------------------------

uint32_t tv_stage_index(const tv_stage *stage) {
    if (stage->batch_count == 0) return 0; // no batch, and perhaps no arena yet
    uint32_t index = ((volatile const tv_batch *)stage->batch)->record_index;
    return index >= stage->mark_index && index < stage->batch_count ? index : stage->mark_index;
}

static tv_edge *batch_input(const tv_stage *stage, uint32_t index) {
    return stage->inputs[stage->order ? stage->order[index] : 0];
}

const tv_record *tv_stage_seek(tv_stage *stage, uint32_t index) {
    TV_ASSERT(index >= stage->cursor_index && index < stage->batch_count);
    while (stage->cursor_index < index) {
        tv_edge *edge = batch_input(stage, stage->cursor_index++);
        edge->cursor = tv_ring_run_next(edge->cursor, edge->run_end);
    }
    return batch_input(stage, index)->cursor;
}

void tv_stage_mark(tv_stage *stage, uint32_t index) {
    stage->mark_index = index;
    stage->mark_emitted = stage->stats.emitted;
    stage->mark_emitted_unconnected = stage->stats.emitted_unconnected;
    stage->mark_bytes_out = stage->stats.bytes_out;
    for (uint32_t i = 0; i < stage->output_count; i++)
        tv_edge_mark(stage->outputs[i]);
}

void tv_stage_roll_back(tv_stage *stage) {
    stage->stats.emitted = stage->mark_emitted;
    stage->stats.emitted_unconnected = stage->mark_emitted_unconnected;
    stage->stats.bytes_out = stage->mark_bytes_out;
    for (uint32_t i = 0; i < stage->output_count; i++)
        tv_edge_roll_back(stage->outputs[i]);
}

void tv_stage_commit(tv_stage *stage) {
    for (uint32_t i = 0; i < stage->output_count; i++)
        tv_edge_commit(stage->outputs[i]);
}

// ---- gathering a batch --------------------------------------------------------------------------------------

// Takes the watermarks at the front of an input. Returns whether there were any.
static bool take_watermarks(tv_stage *stage, tv_edge *edge) {
    bool any = false;
    const uint8_t *run_end;
    const tv_record *front;
    while ((front = tv_ring_front(edge->ring, &run_end)) != NULL && front->kind == TV_KIND_WATERMARK) {
        if (front->event_time_ns > edge->watermark_popped) edge->watermark_popped = front->event_time_ns;
        tv_edge_pop(edge, 1, 1, front->size_bytes, front->sequence);
        stage->stats.popped++;
        stage->stats.processed++;
        stage->stats.watermarks++;
        any = true;
    }
    return any;
}

// The minimum over the inputs that have not ended.
static int64_t combined_watermark(tv_stage *stage) {
    int64_t least = INT64_MAX;
    bool any = false;
    for (uint32_t i = 0; i < stage->input_count; i++) {
        tv_edge *edge = stage->inputs[i];
        if (stage->input_count > 1 && tv_edge_is_finished(edge)) continue;
        any = true;
        if (edge->watermark_popped < least) least = edge->watermark_popped;
    }
    return any ? least : stage->watermark_in;
}

static void batch_begin(tv_stage *stage) {
    stage->batch_count = 0;
    stage->batch_bytes = 0;
    stage->cursor_index = 0;
}

static bool batch_accepts(const tv_stage *stage, const tv_record *record, uint32_t quantum) {
    if (record->kind != TV_KIND_DATA || stage->batch_count >= quantum) return false;
    // A single record always fits into the arena: tv_flow_spec_check.
    return stage->batch_bytes + record->size_bytes <= stage->batch_bytes_limit || stage->batch_count == 0;
}

static uint8_t *batch_records(tv_stage *stage) { return (uint8_t *)stage->batch + sizeof(tv_batch); }

// One input: a contiguous run of records, copied at once.
static void gather_one(tv_stage *stage, uint32_t quantum) {
    tv_edge *edge = stage->inputs[0];
    const tv_record *first = tv_ring_front(edge->ring, &edge->run_end);
    edge->cursor = first;
    for (const tv_record *record = first; record && batch_accepts(stage, record, quantum);
         record = tv_ring_run_next(record, edge->run_end)) {
        stage->batch_bytes += record->size_bytes;
        stage->batch_count++;
        stage->batch_last_sequence = record->sequence;
    }
    if (stage->batch_count) memcpy(batch_records(stage), first, stage->batch_bytes);
}

// Whether nothing is committed behind `last`, a record of a run; else the ring goes on at the begin of its next lap.
static bool is_newest(const tv_ring *ring, const tv_record *last) {
    uint64_t end = (uint64_t)((const uint8_t *)last - ring->bytes) + last->size_bytes;
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return ((end ^ tail) & (ring->capacity_bytes - 1)) == 0;
}

// Several inputs: by event time, then by input. Where an input goes on in its next lap the batch ends, so that the
// others do not overtake what is there.
static void gather_merged(tv_stage *stage, uint32_t quantum) {
    const tv_record *next[TV_STAGE_INPUTS_MAX];
    for (uint32_t i = 0; i < stage->input_count; i++) {
        tv_edge *edge = stage->inputs[i];
        next[i] = edge->cursor = tv_ring_front(edge->ring, &edge->run_end);
    }
    for (;;) {
        uint32_t best = TV_STAGE_INPUTS_MAX;
        for (uint32_t i = 0; i < stage->input_count; i++) {
            if (!next[i]) continue;
            if (best == TV_STAGE_INPUTS_MAX || next[i]->event_time_ns < next[best]->event_time_ns) best = i;
        }
        if (best == TV_STAGE_INPUTS_MAX || !batch_accepts(stage, next[best], quantum)) return;
        memcpy(batch_records(stage) + stage->batch_bytes, next[best], next[best]->size_bytes);
        stage->batch_bytes += next[best]->size_bytes;
        stage->order[stage->batch_count++] = (uint8_t)best;
        const tv_record *taken = next[best];
        next[best] = tv_ring_run_next(taken, stage->inputs[best]->run_end);
        if (!next[best] && !is_newest(stage->inputs[best]->ring, taken)) return;
    }
}

// The combined watermark as a batch of one, made by the host.
static void gather_watermark(tv_stage *stage, int64_t watermark) {
    tv_record *record = (tv_record *)(void *)batch_records(stage);
    *record = (tv_record){.size_bytes = sizeof *record, .kind = TV_KIND_WATERMARK, .event_time_ns = watermark};
    stage->batch_count = 1;
    stage->batch_bytes = sizeof *record;
    stage->watermark_batch = true;
    stage->watermark_batch_ns = watermark;
}

bool tv_stage_gather(tv_stage *stage, uint32_t quantum, bool *moved) {
    batch_begin(stage);
    stage->watermark_batch = false;
    for (uint32_t i = 0; i < stage->input_count; i++) {
        *moved |= take_watermarks(stage, stage->inputs[i]);
    }
    int64_t watermark = combined_watermark(stage);
    if (watermark > stage->watermark_in) {
        gather_watermark(stage, watermark);
        return true;
    }
    if (stage->input_count == 1)
        gather_one(stage, quantum);
    else
        gather_merged(stage, quantum);
    return stage->batch_count > 0;
}

// ---- taking it from the inputs -------------------------------------------------------------------------------

// One input, and the whole batch: nothing needs to be looked up.
static bool pop_whole(tv_stage *stage, uint32_t count) {
    if (stage->order || count != stage->batch_count) return false;
    tv_edge_pop(stage->inputs[0], count, 0, stage->batch_bytes, stage->batch_last_sequence);
    stage->stats.bytes_in += stage->batch_bytes;
    stage->stats.popped += count;
    return true;
}

void tv_stage_pop(tv_stage *stage, uint32_t count) {
    if (count == 0 || pop_whole(stage, count)) return;
    uint32_t records[TV_STAGE_INPUTS_MAX] = {0}, bytes[TV_STAGE_INPUTS_MAX] = {0};
    uint64_t last[TV_STAGE_INPUTS_MAX] = {0};
    const uint8_t *run_end;
    const tv_record *next[TV_STAGE_INPUTS_MAX] = {NULL};
    for (uint32_t i = 0; i < stage->input_count; i++)
        next[i] = tv_ring_front(stage->inputs[i]->ring, &run_end);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t i = stage->order ? stage->order[k] : 0;
        TV_ASSERT(next[i]); // it was there when the batch was gathered
        records[i]++;
        bytes[i] += next[i]->size_bytes;
        last[i] = next[i]->sequence;
        next[i] = tv_ring_run_next(next[i], stage->inputs[i]->run_end);
    }
    for (uint32_t i = 0; i < stage->input_count; i++) {
        if (!records[i]) continue;
        tv_edge_pop(stage->inputs[i], records[i], 0, bytes[i], last[i]);
        stage->stats.bytes_in += bytes[i];
    }
    stage->stats.popped += count;
}
