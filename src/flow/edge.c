// Edges: pushing with overflow policies, taking back, popping, and the counters of each.
//
// Law kept at every turn boundary: pushed = popped + dropped (by reason) + queued. Each counter is kept where the
// thing happens, none is derived from the others, so that the check means something.
#include "flow/flow_internal.h"

static void drop_oldest_until_room(tv_edge *edge, uint32_t size) {
    tv_ring *ring = tv_edge_ring(edge);
    const uint8_t *run_end;
    const tv_record *front;
    while (!tv_ring_has_room(ring, size) && (front = tv_ring_front(ring, &run_end)) != NULL) {
        tv_ring_pop(ring, 1, front->size_bytes);
        tv_edge_get_rare(edge)->dropped[TV_DROP_OLDEST]++;
    }
}

static inline __attribute__((always_inline)) void write_record(const tv_edge *edge, uint8_t *place, const tv_emit *emit,
                                                               const tv_record *input, uint32_t size,
                                                               uint32_t inherited) {
    memset(place + size - 8, 0, 8); // the padding; what follows overwrites the rest of it
    *(tv_record *)(void *)place = (tv_record){
        .size_bytes = size,
        .payload_bytes = emit->payload_bytes,
        .attributes_bytes = (uint16_t)(inherited + emit->attributes_bytes),
        .kind = emit->kind,
        .port = edge->input_index,
        .origin = input ? input->origin : 0,
        .event_time_ns = emit->event_time_ns,
        .key = emit->key,
        .sequence = edge->pushed,
        .origin_sequence = input ? input->origin_sequence : 0,
    };
    uint8_t *to = place + sizeof(tv_record);
    if (inherited) to = mempcpy(to, input + 1, inherited);
    if (emit->attributes_bytes) to = mempcpy(to, emit->attributes, emit->attributes_bytes);
    if (emit->payload_bytes) memcpy(to, emit->payload, emit->payload_bytes);
}

static tv_pushed drop(tv_edge *edge, tv_drop_reason reason, tv_pushed answer) {
    edge->pushed++;
    tv_edge_get_rare(edge)->dropped[reason]++;
    return answer;
}

// No room at once: what the policy says. PUSHED: there is, at *place.
static tv_pushed make_room(tv_edge *edge, uint32_t size, uint8_t **place) {
    if (size > edge->record_bytes_max) return drop(edge, TV_DROP_TOO_LARGE, TV_PUSHED_DROPPED);
    if (edge->overflow == TV_OVERFLOW_BLOCK) return TV_PUSHED_FULL;
    if (edge->overflow == TV_OVERFLOW_DROP_OLDEST) drop_oldest_until_room(edge, size);
    *place = tv_ring_stage(tv_edge_ring(edge), size);
    if (*place) return TV_PUSHED;
    return edge->overflow == TV_OVERFLOW_ERROR ? drop(edge, TV_DROP_ERROR, TV_PUSHED_OVERFLOW)
                                               : drop(edge, TV_DROP_NEWEST, TV_PUSHED_DROPPED_NEWEST);
}

__attribute__((noinline, cold)) static tv_pushed
push_by_policy(tv_edge *edge, const tv_emit *emit, const tv_record *input, uint32_t size, uint32_t inherited) {
    uint8_t *place;
    tv_pushed answer = make_room(edge, size, &place);
    if (answer != TV_PUSHED) return answer;
    edge->pushed++;
    edge->pushed_bytes += size;
    write_record(edge, place, emit, input, size, inherited);
    return TV_PUSHED;
}

// Where a record is to be written that has room just like that, counted; else NULL, and nothing happened.
static inline __attribute__((always_inline)) uint8_t *stage_record(tv_edge *edge, uint32_t size) {
    uint8_t *place = size <= edge->record_bytes_max ? tv_ring_stage(tv_edge_ring(edge), size) : NULL;
    if (!place) return NULL;
    edge->pushed++;
    edge->pushed_bytes += size;
    return place;
}

tv_pushed tv_edge_push(tv_edge *edge, const tv_emit *emit, const tv_record *input, uint32_t size,
                       uint32_t inherited_bytes) {
    uint8_t *place = stage_record(edge, size);
    if (!place) return push_by_policy(edge, emit, input, size, inherited_bytes);
    write_record(edge, place, emit, input, size, inherited_bytes);
    return TV_PUSHED;
}

bool tv_edge_forward(tv_edge *edge, const tv_record *input) {
    uint32_t size = input->size_bytes;
    uint8_t *place = stage_record(edge, size);
    if (!place) return false;
    tv_record *record = memcpy(place, input, size);
    record->port = edge->input_index;
    record->sequence = edge->pushed;
    return true;
}

// The record's key keeps what was passed on before, for the case that the record is taken back. Nobody else sees it: a
// component is told of the combined watermark, in a record of the host's own.
tv_pushed tv_edge_push_watermark(tv_edge *edge, int64_t watermark_ns) {
    tv_edge_rare *rare = tv_edge_get_rare(edge);
    if (rare->watermark >= watermark_ns || edge->kind == TV_EDGE_OUTPUT) return TV_PUSHED;
    tv_emit emit = {.kind = TV_KIND_WATERMARK, .event_time_ns = watermark_ns, .key = (uint64_t)rare->watermark};
    tv_pushed answer = tv_edge_push(edge, &emit, NULL, sizeof(tv_record), 0);
    if (answer != TV_PUSHED) return answer; // a dropped one: the next is not held to be a repetition
    rare->control++;
    rare->watermark = watermark_ns;
    return TV_PUSHED;
}

void tv_edge_roll_back(tv_edge *edge, uint32_t mark, uint32_t newest) {
    tv_ring *ring = tv_edge_ring(edge);
    tv_edge_rare *rare = tv_edge_get_rare(edge);
    const tv_record *record;
    TV_ASSERT(ring->staged - mark <= ring->staged - atomic_load_explicit(&ring->tail, memory_order_relaxed));
    uint32_t position = mark, records = 0;
    bool watermark_restored = false;
    while ((record = tv_ring_staged_record(ring, &position)) != NULL) {
        position += record->size_bytes;
        edge->pushed_bytes -= record->size_bytes;
        records++;
        if (record->kind != TV_KIND_WATERMARK) continue;
        rare->control--;
        if (!watermark_restored) rare->watermark = (int64_t)record->key;
        watermark_restored = true;
    }
    edge->pushed -= records + newest;
    rare->dropped[TV_DROP_NEWEST] -= newest;
    tv_ring_roll_back(ring, mark, records);
}

void tv_edge_commit(tv_edge *edge) {
    if (edge->kind == TV_EDGE_OUTPUT)
        tv_channel_publish_output(edge->channel);
    else
        tv_ring_commit(&edge->ring);
}

void tv_edge_pop(tv_edge *edge, uint32_t records, uint32_t control, uint32_t bytes, uint64_t last_sequence) {
    edge->popped += records;
    if (control) tv_edge_get_rare(edge)->popped_control += control;
    tv_ring_pop(tv_edge_ring(edge), records, bytes);
    if (edge->kind == TV_EDGE_INPUT)
        tv_channel_popped(edge->channel, last_sequence);
    else
        tv_ring_rewind_if_empty(&edge->ring);
}

bool tv_edge_is_finished(tv_edge *edge) {
    // The flag before the ring: what was committed before the end is then seen.
    bool ended = edge->kind == TV_EDGE_INSIDE ? edge->ended : atomic_load(&edge->channel->ended);
    const uint8_t *run_end;
    return ended && tv_ring_front(tv_edge_ring(edge), &run_end) == NULL;
}

void tv_edge_abandon(tv_edge *edge) {
    tv_ring *ring = tv_edge_ring(edge);
    const uint8_t *run_end;
    const tv_record *front;
    while ((front = tv_ring_front(ring, &run_end)) != NULL) {
        tv_ring_pop(ring, 1, front->size_bytes);
        if (edge->kind == TV_EDGE_INPUT)
            atomic_fetch_add_explicit(&edge->channel->dropped[TV_DROP_STOPPED], 1, memory_order_relaxed);
        else
            tv_edge_get_rare(edge)->dropped[TV_DROP_STOPPED]++;
    }
}
