// Dead letters: one JSON line for each record that could not be processed, into the worker's dead-letter channel.
//
// Everything a person needs to find and replay the record is in the line: where, why, which code, and the original
// bytes. This is the cold path, so it may allocate; a line that cannot be built is counted, never silently left out.
#include "flow/flow_internal.h"

#include <stdlib.h>
#include <yyjson.h>

static uint32_t record_size(uint64_t payload_bytes) {
    return (uint32_t)tv_align_up_u64(sizeof(tv_record) + payload_bytes, 8);
}

enum {
    REJECTION_BYTES = 1536, // of a line for a rejected record, most of it names; its payload comes on top
    FAULT_BYTES = 8192,     // that a failure may add: message and backtrace
};

static uint64_t rejection_bytes(uint64_t payload_bytes) {
    return record_size(REJECTION_BYTES + payload_bytes / 3 * 4 + 4);
}

// Two letters need the largest line three times: the first may be just too long for what is left up to the ring's end.
static bool has_room_for_two(const tv_channel *channel) {
    uint64_t wanted = (uint64_t)channel->record_bytes_max * TV_DEAD_LETTER_QUEUE_FACTOR;
    return channel->ring.capacity_bytes - tv_ring_used_bytes(&channel->ring) >= wanted &&
           channel->ring.capacity_records - tv_ring_used_records(&channel->ring) >= 2;
}

// Bytes that lines of rejections may take in all: what is free, less a gap at the ring's end and a failure behind them.
static uint64_t rejections_room(const tv_stage_spec *spec, const tv_channel *channel) {
    uint64_t gap = rejection_bytes(spec->batch_bytes_max);
    if (gap > channel->record_bytes_max) gap = channel->record_bytes_max;
    uint64_t free_bytes = channel->ring.capacity_bytes - tv_ring_used_bytes(&channel->ring);
    return free_bytes > gap + FAULT_BYTES ? free_bytes - gap - FAULT_BYTES : 0;
}

static uint32_t least_u32(uint64_t a, uint32_t b) { return a < b ? (uint32_t)a : b; }

// ---- limits of a flow ---------------------------------------------------------------------------------------

// Nothing was dead-lettered here so far: the stage does not wait for what it has not needed.
static bool needs_letters(const tv_stage *stage) {
    const tv_stage_rare *rare = tv_stage_get_rare(stage);
    return rare->dead_lettered > 0;
}

static void wait_for_letters(tv_flow *flow, int64_t until_ns) {
    flow->letters_until_ns = until_ns;
    tv_worker_await_dead_letters(flow);
}

// Whether the flow waits for room in the queue. Where nobody takes anything from it for a second, the far side is in
// trouble and letters are lost until it is over, unless the policy is to block.
static bool waits_for_queue(const tv_stage *stage, int64_t now_ns) {
    enum { PATIENCE_NS = 1000000000 };
    tv_worker *worker = stage->flow->worker;
    bool blocks = worker->runtime->letters.on_limit == TV_LETTERS_BLOCK;
    if (!worker->letters_full_since_ns) worker->letters_full_since_ns = now_ns;
    int64_t until_ns = blocks ? INT64_MAX : tv_time_add_saturating(worker->letters_full_since_ns, PATIENCE_NS);
    if (!needs_letters(stage) || now_ns >= until_ns) return false;
    wait_for_letters(stage->flow, until_ns);
    return true;
}

static int64_t time_of(uint64_t bytes, uint64_t bytes_per_s) {
    enum { LONGEST_S = 1000000000 };
    double seconds = (double)bytes / (double)bytes_per_s;
    return seconds < LONGEST_S ? (int64_t)(seconds * 1e9) : (int64_t)LONGEST_S * 1000000000;
}

// A token bucket, as the time at which nothing is owed any more; it may lie `burst` ahead.
static bool within_rate(const tv_flow *flow, int64_t now_ns, int64_t *until_ns) {
    const tv_letters_policy *policy = &flow->worker->runtime->letters;
    if (!policy->bytes_per_s) return true;
    *until_ns = flow->letters_clear_ns - time_of(policy->burst_bytes, policy->bytes_per_s);
    return *until_ns <= now_ns;
}

static void take_rate(tv_flow *flow, uint64_t bytes, int64_t now_ns) {
    const tv_letters_policy *policy = &flow->worker->runtime->letters;
    if (!policy->bytes_per_s) return;
    if (flow->letters_clear_ns < now_ns) flow->letters_clear_ns = now_ns;
    flow->letters_clear_ns = tv_time_add_saturating(flow->letters_clear_ns, time_of(bytes, policy->bytes_per_s));
}

static bool waits_for_rate(const tv_stage *stage, int64_t now_ns) {
    int64_t until_ns;
    if (stage->flow->worker->runtime->letters.on_limit != TV_LETTERS_BLOCK || !needs_letters(stage)) return false;
    if (within_rate(stage->flow, now_ns, &until_ns)) return false;
    wait_for_letters(stage->flow, until_ns);
    return true;
}

uint32_t tv_dead_letter_limit_batch(tv_call_frame *frame, uint32_t quantum) {
    const tv_channel *channel = frame->stage->flow->worker->dead_letters;
    uint32_t bytes_max = frame->spec->batch_bytes_max;
    frame->batch_bytes_limit = bytes_max;
    if (!channel) return quantum;
    int64_t now_ns = frame->stage->flow->clock_ns + frame->stage->flow->worker->nested_ns; // of the newest call
    if (waits_for_rate(frame->stage, now_ns)) return 0;
    if (!has_room_for_two(channel)) return waits_for_queue(frame->stage, now_ns) ? 0 : quantum;
    uint64_t room = rejections_room(frame->spec, channel);
    uint32_t records = channel->ring.capacity_records - tv_ring_used_records(&channel->ring) - 1;
    records = least_u32(records, quantum);
    if (records * rejection_bytes(0) + bytes_max / 3 * 4 <= room) return records;
    // Half of it for the lines themselves, half for the payloads in them.
    frame->batch_bytes_limit = least_u32(room / 8 * 3, bytes_max);
    records = least_u32(room / 2 / rejection_bytes(0), records);
    return records ? records : 1; // there is room for two of any size
}

static void add_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, const char *text) {
    if (text[0]) yyjson_mut_obj_add_strcpy(doc, object, name, text);
}

static void add_payload(yyjson_mut_doc *doc, yyjson_mut_val *object, const tv_record *record) {
    const uint8_t *payload = tv_record_payload(record);
    tv_text text = {0};
    tv_text_add_base64(&text, payload, record->payload_bytes);
    if (text.length || !record->payload_bytes) // an empty payload is there; one that finds no memory is not
        yyjson_mut_obj_add_strncpy(doc, object, "payload_base64", text.length ? text.bytes : "", text.length);
    tv_text_deinit(&text);
}

// What a component said. JSON has other bytes in place of those that are no UTF-8; then, and where the text would be
// too long so (`exact_only`), the line has the very bytes as well.
static void add_message(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *message, size_t length,
                        bool exact_only) {
    if (!length) return;
    if (!exact_only) yyjson_mut_obj_add_strncpy(doc, object, "message", message, length);
    if (!exact_only && tv_utf8_prefix(message, length) == length) return;
    tv_text text = {0};
    tv_text_add_base64(&text, (const uint8_t *)message, length);
    if (text.length) yyjson_mut_obj_add_strncpy(doc, object, "message_base64", text.bytes, text.length);
    tv_text_deinit(&text);
}

const char *tv_edge_source_name(const tv_flow *flow, const tv_edge *edge) {
    uint16_t from = flow->spec->edges[edge - flow->edges].from;
    return from & TV_NODE_CHANNEL ? flow->spec->channel_names[from & ~TV_NODE_CHANNEL] : flow->spec->stages[from].name;
}

// Where the record is still as it came from its channel, `input` and `sequence` have said it.
static void add_origin(yyjson_mut_doc *doc, yyjson_mut_val *root, const tv_flow *flow, const tv_edge *edge,
                       const tv_record *record, bool in_full) {
    if (!record->origin_sequence || record->origin >= flow->spec->channel_count) return; // it stems from no message
    bool is_said = edge->kind == TV_EDGE_INPUT && record->origin_sequence == record->sequence;
    if (is_said && !in_full) return;
    yyjson_mut_obj_add_strcpy(doc, root, "origin", flow->spec->channel_names[record->origin]);
    yyjson_mut_obj_add_uint(doc, root, "origin_sequence", record->origin_sequence);
}

// Rejections come by the thousand: what the pipeline file says of the stage is only in the letters of failures.
static void add_place(yyjson_mut_doc *doc, yyjson_mut_val *root, const tv_call_frame *frame, const tv_record *record,
                      bool in_full) {
    const tv_module_info *info = tv_stage_module_info(frame->stage);
    const tv_flow *flow = frame->stage->flow;
    const tv_edge *edge = tv_frame_input(frame, record->port);
    yyjson_mut_obj_add_int(doc, root, "time_ns", tv_clock_realtime_ns(flow->worker->runtime->clock));
    yyjson_mut_obj_add_strcpy(doc, root, "flow", flow->name);
    yyjson_mut_obj_add_strcpy(doc, root, "stage", frame->spec->name);
    if (in_full) add_text(doc, root, "component", info->name);
    if (in_full) yyjson_mut_obj_add_strcpy(doc, root, "module_sha256", info->digest);
    yyjson_mut_obj_add_strcpy(doc, root, "input", tv_edge_source_name(flow, edge));
    yyjson_mut_obj_add_uint(doc, root, "sequence", record->sequence);
    add_origin(doc, root, flow, edge, record, in_full);
    if (record->event_time_ns != TV_NO_EVENT_TIME)
        yyjson_mut_obj_add_int(doc, root, "event_time_ns", record->event_time_ns);
    if (record->key) yyjson_mut_obj_add_uint(doc, root, "key", record->key);
}

typedef struct letter {
    const tv_call_frame *frame;
    const tv_record *record;
    const char *reason; // of a rejection
    size_t reason_length;
    const tv_fault *fault; // of a failure; NULL: it is a rejection
    bool exact_only; // the reason as base64 alone: it may be six times as long as text, but no room is kept for that
    bool without_payload;
} letter;

// The line, heap-allocated, or NULL.
static char *build_line(const letter *what, size_t *length) {
    const tv_fault *fault = what->fault;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc) return NULL;
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    add_place(doc, root, what->frame, what->record, fault != NULL);
    if (fault) {
        yyjson_mut_obj_add_strcpy(doc, root, "reason", tv_fault_reason_name(fault->reason));
        add_text(doc, root, "message", fault->message);
        add_text(doc, root, "function", fault->function);
        add_text(doc, root, "backtrace", fault->backtrace);
    } else {
        yyjson_mut_obj_add_str(doc, root, "reason", "rejected");
        add_message(doc, root, what->reason, what->reason_length, what->exact_only);
    }
    if (what->without_payload)
        yyjson_mut_obj_add_bool(doc, root, "payload_omitted", true);
    else
        add_payload(doc, root, what->record);
    if (fault || what->without_payload)
        yyjson_mut_obj_add_uint(doc, root, "payload_bytes", what->record->payload_bytes);
    return tv_json_write(doc, TV_JSON_COMPACT, length);
}

static bool push_line(tv_worker *worker, const char *line, size_t length) {
    tv_channel *channel = worker->dead_letters;
    uint32_t size = record_size(length);
    uint8_t *place = tv_ring_stage(&channel->ring, size);
    if (!place) return false; // tv_dead_letter_limit_batch sees to it that there is room; if not, it is counted
    memset(place + size - 8, 0, 8);
    *(tv_record *)(void *)place = (tv_record){
        .size_bytes = size,
        .payload_bytes = (uint32_t)length,
        .kind = TV_KIND_DATA,
        .event_time_ns = TV_NO_EVENT_TIME,
        .sequence = ++worker->dead_letter_sequence,
    };
    memcpy(place + sizeof(tv_record), line, length);
    atomic_store_explicit(&channel->pushed, worker->dead_letter_sequence, memory_order_relaxed);
    tv_channel_publish_output(channel);
    return true;
}

void tv_dead_letter_write(tv_call_frame *frame, const tv_record *record, const char *reason, size_t reason_length,
                          const tv_fault *fault) {
    tv_worker *worker = frame->stage->flow->worker;
    tv_stage_rare *rare = tv_stage_get_rare(frame->stage);
    int64_t now_ns = tv_flow_now_ns(frame->stage->flow), until_ns;
    bool blocks = worker->runtime->letters.on_limit == TV_LETTERS_BLOCK;
    if (!worker->dead_letters || (!blocks && !within_rate(frame->stage->flow, now_ns, &until_ns))) {
        rare->dead_letters_unwritten++;
        return;
    }
    letter what = {.frame = frame, .record = record, .reason = reason, .reason_length = reason_length, .fault = fault};
    size_t length = 0;
    char *line = build_line(&what, &length);
    if (line && !fault && record_size(length) > rejection_bytes(record->payload_bytes)) {
        free(line);
        what.exact_only = true;
        line = build_line(&what, &length);
    }
    if (line && record_size(length) > worker->dead_letters->record_bytes_max) {
        free(line);
        what.without_payload = true;
        line = build_line(&what, &length);
    }
    bool fits = line && record_size(length) <= worker->dead_letters->record_bytes_max;
    if (fits && push_line(worker, line, length))
        take_rate(frame->stage->flow, length, now_ns);
    else
        rare->dead_letters_unwritten++;
    free(line);
}
