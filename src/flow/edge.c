// Edges: pushing with overflow policies, taking back, popping, and the counters of each.
//
// Law kept at every turn boundary: pushed = popped + dropped (by reason) + queued. Each counter is kept where the
// thing happens, none is derived from the others, so that the check means something.
#include "flow/flow_internal.h"

bool tv_edge_can_take(const tv_edge *edge, uint32_t size) {
    if (edge->overflow != TV_OVERFLOW_BLOCK || size > edge->record_bytes_max) return true; // dropped and counted
    return tv_ring_has_room(edge->ring, size);
}

static void drop_oldest_until_room(tv_edge *edge, uint32_t size) {
    const uint8_t *run_end;
    const tv_record *front;
    while (!tv_ring_has_room(edge->ring, size) && (front = tv_ring_front(edge->ring, &run_end)) != NULL) {
        tv_ring_pop(edge->ring, 1, front->size_bytes);
        edge->dropped[TV_DROP_OLDEST]++;
    }
}

static void write_record(const tv_edge *edge, uint8_t *place, const tv_push *push) {
    const tv_emit *emit = push->emit;
    const tv_record *input = push->input;
    uint16_t inherited = push->inherited_bytes;
    memset(place + push->size - 8, 0, 8); // the padding; what follows overwrites the rest of it
    *(tv_record *)(void *)place = (tv_record){
        .size_bytes = push->size,
        .payload_bytes = emit->payload_bytes,
        .attributes_bytes = (uint16_t)(inherited + emit->attributes_bytes),
        .kind = emit->kind,
        .port = edge->input_index,
        .origin = input ? input->origin : 0,
        .event_time_ns = emit->event_time_ns,
        .key = emit->key,
        .sequence = edge->produced.pushed,
        .origin_sequence = input ? input->origin_sequence : 0,
    };
    uint8_t *to = place + sizeof(tv_record);
    if (inherited) to = mempcpy(to, input + 1, inherited);
    if (emit->attributes_bytes) to = mempcpy(to, emit->attributes, emit->attributes_bytes);
    if (emit->payload_bytes) memcpy(to, emit->payload, emit->payload_bytes);
}

// No room at once: what the policy says.
static tv_status push_by_policy(tv_edge *edge, const tv_push *push, uint8_t **place) {
    if (push->size > edge->record_bytes_max) {
        edge->produced.pushed++;
        edge->dropped[TV_DROP_TOO_LARGE]++;
        return TV_OK;
    }
    if (edge->overflow == TV_OVERFLOW_BLOCK) return TV_FULL;
    if (edge->overflow == TV_OVERFLOW_DROP_OLDEST) drop_oldest_until_room(edge, push->size);
    *place = tv_ring_stage(edge->ring, push->size);
    if (*place) return TV_OK;
    edge->produced.pushed++;
    if (edge->overflow == TV_OVERFLOW_ERROR) {
        edge->dropped[TV_DROP_ERROR]++;
        return TV_LIMIT;
    }
    edge->produced.dropped_newest++;
    return TV_OK;
}

tv_status tv_edge_push(tv_edge *edge, const tv_push *push) {
    uint8_t *place = push->size <= edge->record_bytes_max ? tv_ring_stage(edge->ring, push->size) : NULL;
    if (!place) {
        tv_status status = push_by_policy(edge, push, &place);
        if (!place) return status;
    }
    edge->produced.pushed++;
    edge->produced.bytes += push->size;
    if (push->emit->kind != TV_KIND_DATA) edge->produced.control++;
    write_record(edge, place, push);
    return TV_OK;
}

tv_status tv_edge_push_watermark(tv_edge *edge, int64_t watermark_ns) {
    if (edge->produced.watermark >= watermark_ns || tv_edge_is_output_channel(edge)) return TV_OK;
    tv_emit emit = {.kind = TV_KIND_WATERMARK, .event_time_ns = watermark_ns};
    tv_status status = tv_edge_push(edge, &(tv_push){.emit = &emit, .size = sizeof(tv_record)});
    if (status != TV_FULL) edge->produced.watermark = watermark_ns;
    return status;
}

void tv_edge_mark(tv_edge *edge) {
    edge->ring_mark = tv_ring_get_mark(edge->ring);
    edge->mark = edge->produced;
}

void tv_edge_roll_back(tv_edge *edge) {
    uint64_t staged = edge->ring->staged_count - edge->ring_mark.staged_count;
    uint64_t newest = edge->produced.dropped_newest - edge->mark.dropped_newest;
    // Pushes that ended as another kind of drop (too large, error) were counted there and stay counted.
    uint64_t kept = edge->produced.pushed - edge->mark.pushed - staged - newest;
    edge->produced = edge->mark;
    edge->produced.pushed += kept;
    tv_ring_roll_back(edge->ring, edge->ring_mark);
}

void tv_edge_commit(tv_edge *edge) {
    if (edge->channel) {
        tv_channel_publish_output(edge->channel);
        return;
    }
    uint32_t used = tv_ring_used_bytes(edge->ring);
    if (used > edge->queued_bytes_peak) edge->queued_bytes_peak = used;
    tv_ring_commit(edge->ring);
}

void tv_edge_pop(tv_edge *edge, uint32_t records, uint32_t control, uint32_t bytes, uint64_t last_sequence) {
    tv_ring_pop(edge->ring, records, bytes);
    edge->popped += records;
    edge->popped_control += control;
    if (edge->channel)
        tv_channel_popped(edge->channel, last_sequence);
    else
        tv_ring_rewind_if_empty(edge->ring);
}

bool tv_edge_is_finished(tv_edge *edge) {
    // The flag before the ring: what was committed before the end is then seen.
    bool ended = edge->channel ? atomic_load(&edge->channel->ended) : edge->ended;
    const uint8_t *run_end;
    return ended && tv_ring_front(edge->ring, &run_end) == NULL;
}

void tv_edge_abandon(tv_edge *edge) {
    const uint8_t *run_end;
    const tv_record *front;
    while ((front = tv_ring_front(edge->ring, &run_end)) != NULL) {
        tv_ring_pop(edge->ring, 1, front->size_bytes);
        if (tv_edge_is_input_channel(edge))
            atomic_fetch_add_explicit(&edge->channel->dropped[TV_DROP_STOPPED], 1, memory_order_relaxed);
        else
            edge->dropped[TV_DROP_STOPPED]++;
    }
}
