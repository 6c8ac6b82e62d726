// Taps: copies of the records that pass an edge, for somebody who watches.
//
// Between stages and on output channels a record is copied when it is committed, on input channels when the flow takes
// it. Copies go into a channel of the tap's own, whose other end is the I/O thread; what finds no room there is counted
// as missed, so that a tap holds up nobody. A flow without taps pays for one byte that it looks at. All but the
// counters belongs to the flow's worker while the tap is on.
#include "flow/flow_internal.h"

#include <stdlib.h>

enum { TAP_QUEUE_RECORDS = 4096 };

struct tv_tap {
    tv_tap *next; // of the flow
    tv_channel *channel;
    uint32_t edges[TV_EDGES_MAX / 32]; // bits
    uint32_t payload_bytes_max;
    bool with_watermarks, with_data;
    _Atomic uint64_t seen, missed;
    tv_flow *flow;
    tv_flow_request on, off;
    void (*on_off)(void *user, tv_tap *tap);
    void *on_off_user;
};

// ---- copying (worker) ---------------------------------------------------------------------------------------------

// `size_bytes` is that of the copy; where it is shorter than payload_bytes says, the payload was cut.
static void copy(tv_tap *tap, uint16_t edge, const tv_record *record) {
    uint32_t shown = record->payload_bytes < tap->payload_bytes_max ? record->payload_bytes : tap->payload_bytes_max;
    uint32_t bytes = (uint32_t)sizeof *record + record->attributes_bytes + shown;
    uint32_t size = tv_align_up_u32(bytes, 8);
    uint8_t *place = tv_ring_stage(&tap->channel->ring, size);
    if (!place) {
        atomic_fetch_add_explicit(&tap->missed, 1, memory_order_relaxed);
        return;
    }
    memset(place + size - 8, 0, 8);
    memcpy(place, record, bytes);
    tv_record *copied = (tv_record *)(void *)place;
    copied->size_bytes = size;
    copied->port = edge;
}

static void see(tv_tap *tap, uint16_t edge, const tv_record *record) {
    if (!(tap->edges[edge / 32] & (1u << (edge % 32)))) return;
    if (!(record->kind == TV_KIND_DATA ? tap->with_data : tap->with_watermarks)) return;
    atomic_fetch_add_explicit(&tap->seen, 1, memory_order_relaxed);
    copy(tap, edge, record);
}

static void publish(const tv_flow *flow) {
    for (tv_tap *tap = flow->taps; tap; tap = tap->next)
        tv_channel_publish_output(tap->channel);
}

static uint16_t index_of(const tv_flow *flow, const tv_edge *edge) { return (uint16_t)(edge - flow->edges); }

// What is staged on the edge and about to be committed.
static void see_staged(tv_tap *tap, tv_flow *flow, tv_edge *edge) {
    const tv_ring *ring = tv_edge_ring(edge);
    uint32_t mask = ring->capacity_bytes - 1;
    uint32_t at = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    while (at != ring->staged) {
        const tv_record *record = (const tv_record *)(const void *)(ring->bytes + (at & mask));
        if (record->size_bytes == 0) { // the mark at the end of a lap
            at = (at + ring->capacity_bytes) & ~mask;
            continue;
        }
        see(tap, index_of(flow, edge), record);
        at += record->size_bytes;
    }
}

void tv_tap_see_output(tv_stage *stage, tv_edge *edge) {
    for (tv_tap *tap = stage->flow->taps; tap; tap = tap->next)
        see_staged(tap, stage->flow, edge);
    publish(stage->flow);
}

static void see_input(tv_flow *flow, tv_edge *edge, uint32_t count) {
    const tv_ring *ring = tv_edge_ring(edge);
    uint32_t mask = ring->capacity_bytes - 1;
    uint32_t at = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    while (count && at != tail) {
        const tv_record *record = (const tv_record *)(const void *)(ring->bytes + (at & mask));
        if (record->size_bytes == 0) {
            at = (at + ring->capacity_bytes) & ~mask;
            continue;
        }
        for (tv_tap *tap = flow->taps; tap; tap = tap->next)
            see(tap, index_of(flow, edge), record);
        at += record->size_bytes;
        count--;
    }
}

void tv_tap_see_input(tv_stage *stage, tv_edge *edge, uint32_t count) {
    if (edge->kind != TV_EDGE_INPUT) return; // the others were seen when they were committed
    see_input(stage->flow, edge, count);
    publish(stage->flow);
}

// ---- on and off ---------------------------------------------------------------------------------------------------

static void run_on(tv_flow_request *request, tv_flow *flow) {
    tv_tap *tap = (tv_tap *)(void *)((char *)request - offsetof(tv_tap, on));
    if (!flow) return;
    tap->next = flow->taps;
    flow->taps = tap;
    flow->tapped = true;
}

static void run_off(tv_flow_request *request, tv_flow *flow) {
    tv_tap *tap = (tv_tap *)(void *)((char *)request - offsetof(tv_tap, off));
    if (flow) {
        tv_tap **at = &flow->taps;
        while (*at && *at != tap)
            at = &(*at)->next;
        if (*at) *at = tap->next;
        flow->tapped = flow->taps != NULL;
    }
    tap->on_off(tap->on_off_user, tap);
}

tv_status tv_tap_new(tv_flow *flow, const tv_tap_options *options, tv_tap **out, tv_error *error) {
    tv_tap *tap = calloc(1, sizeof *tap);
    if (!tap) return tv_error_set(error, TV_NO_MEMORY, "tap: out of memory");
    tv_channel_options queue = {
        .name = "tap",
        .direction = TV_OUTPUT,
        .overflow = TV_OVERFLOW_DROP_NEWEST,
        .capacity_bytes = TV_TAP_QUEUE_BYTES,
        .capacity_records = TAP_QUEUE_RECORDS,
        .record_bytes_max = TV_TAP_QUEUE_BYTES / 2,
        .pause_percent = 100,
        .resume_percent = 50,
        .memory = flow->worker->runtime->memory,
    };
    tv_status status = tv_channel_new(&queue, &tap->channel, error);
    if (status != TV_OK) {
        free(tap);
        return status;
    }
    for (size_t i = 0; i < options->edge_count; i++) {
        TV_ASSERT(options->edges[i] < flow->spec->edge_count);
        tap->edges[options->edges[i] / 32] |= 1u << (options->edges[i] % 32);
    }
    uint32_t most = TV_TAP_PAYLOAD_BYTES_MAX;
    tap->payload_bytes_max = options->payload_bytes_max < most ? options->payload_bytes_max : most;
    tap->with_data = options->with_data;
    tap->with_watermarks = options->with_watermarks;
    tap->flow = flow;
    tap->on.run = run_on;
    tap->off.run = run_off;
    tv_channel_attach_io(tap->channel, flow->worker->runtime->io_ready, flow->worker->runtime->io_wake);
    *out = tap;
    return TV_OK;
}

void tv_tap_start(tv_tap *tap) { tv_flow_request_post(tap->flow, &tap->on); }

void tv_tap_stop(tv_tap *tap, void (*off)(void *user, tv_tap *tap), void *user) {
    tap->on_off = off;
    tap->on_off_user = user;
    tv_flow_request_post(tap->flow, &tap->off);
}

tv_channel *tv_tap_channel(const tv_tap *tap) { return tap->channel; }
uint64_t tv_tap_seen(const tv_tap *tap) { return atomic_load_explicit(&tap->seen, memory_order_relaxed); }
uint64_t tv_tap_missed(const tv_tap *tap) { return atomic_load_explicit(&tap->missed, memory_order_relaxed); }

void tv_tap_free(tv_tap *tap) {
    if (!tap) return;
    tv_channel_free(tap->channel);
    free(tap);
}
