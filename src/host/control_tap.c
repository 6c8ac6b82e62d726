// The verb `tap`: copies of records out of a flow, filtered, limited and shown as JSON.
//
// Copies wait in the tap's queue, which the worker fills and never waits for. Here they are taken out in portions of
// work, so that neither a fast flow nor a slow client keeps the loop, whatever the filters are and whatever is in the
// payloads: what the client does not take is skipped, what finds no room in the queue is missed, and both are counted.
// Taps share what the loop's thread may do for clients (tv_server_rest_ms) with all other requests.
#include <stdlib.h>
#include <string.h>

#include "host/control_tap.h"

enum {
    PORTION_WORK = 300000, // before others have their turn: about as many nanoseconds
    END_WORK = 3000000,    // when the flow is over: what is left then is skipped
    SHOWN_WORK = 1500,     // of a record that is shown
    SHOWN_BYTE_WORK = 10,  // and of each byte of its payload
    TAPS_OF_CLIENT_MAX = 4,
    RATE = 1000,
    RATE_MAX = 100000,
    PAYLOAD_BYTES = 4096,
};
#define REPORT_EVERY_NS 1000000000ll

static int64_t now_ns(void) { return tv_clock_monotonic_ns(tv_clock_system()); }

// ---- taking -------------------------------------------------------------------------------------------------------

static bool may_show(tv_host_tap *tap) {
    int64_t now = now_ns();
    tap->tokens += (double)(now - tap->tokens_ns) / 1e9 * (double)tap->rate;
    tap->tokens_ns = now;
    if (tap->tokens > (double)tap->rate) tap->tokens = (double)tap->rate;
    if (tap->tokens < 1 || !tv_server_may_stream(tap->request)) return false; // then it is skipped
    tap->tokens -= 1;
    return true;
}

static void show(tv_host_tap *tap, const tv_record *record, tv_host_tap_payload *payload, int64_t *work) {
    uint32_t shown = payload->length < tap->payload_bytes ? payload->length : tap->payload_bytes;
    *work -= SHOWN_WORK + (int64_t)SHOWN_BYTE_WORK * shown;
    tv_host_tap_show(tap, record, payload);
}

// False: the work is used up, and the record not done.
static bool consider(tv_host_tap *tap, const tv_record *record, int64_t *work) {
    uint32_t there = record->size_bytes - (uint32_t)sizeof *record - record->attributes_bytes;
    tv_host_tap_payload found = {.bytes = (const char *)(record + 1) + record->attributes_bytes,
                                 .length = record->payload_bytes < there ? record->payload_bytes : there,
                                 .whole = record->payload_bytes};
    tv_status status = tv_host_tap_passes(&tap->filter, record, &found, &tap->match, work);
    if (status == TV_NOT_FOUND)
        tap->filtered++;
    else if (status == TV_OK && may_show(tap))
        show(tap, record, &found, work);
    else if (status == TV_OK)
        tap->skipped++;
    yyjson_doc_free(found.document);
    return status != TV_AGAIN;
}

static void report_missed(tv_host_tap *tap) {
    uint64_t missed = tv_tap_missed(tap->tap);
    int64_t now = now_ns();
    if (!tap->request || missed + tap->skipped == tap->reported || now - tap->reported_ns < REPORT_EVERY_NS) return;
    if (!tv_server_may_stream(tap->request)) return;
    tap->reported = missed + tap->skipped;
    tap->reported_ns = now;
    yyjson_mut_val *event;
    yyjson_mut_doc *document = tv_server_event(tap->request, &event);
    if (!document) return;
    yyjson_mut_obj_add_uint(document, event, "missed", missed);
    yyjson_mut_obj_add_uint(document, event, "skipped", tap->skipped);
    tv_server_send(tap->request, document, false);
}

static void finish(tv_host_tap *tap, const char *reason);

// As much as `work` allows, and the rest of a record. Whether there may be more.
static bool take(tv_host_tap *tap, int64_t work) {
    tv_channel *channel = tv_tap_channel(tap->tap);
    const tv_record *record;
    uint32_t run_bytes, run_records;
    while (work > 0 && tap->request) {
        if (tv_channel_peek(channel, &record, &run_bytes, &run_records) != TV_OK) return false;
        if (!consider(tap, record, &work)) return true;
        tv_channel_pop(channel, 1, record->size_bytes);
        if (tap->limit && tap->shown == tap->limit) finish(tap, "limit");
    }
    return tap->request != NULL;
}

static void on_rested(tv_host_control *control, void *user) {
    (void)user;
    control->taps_rest = NULL;
    for (tv_host_tap *tap = control->taps; tap; tap = tap->next)
        if (tap->request) tv_channel_notify_io(tv_tap_channel(tap->tap));
}

// Whether taps have to wait until more may be done for clients. Without memory they go on.
static bool must_rest(tv_host_control *control) {
    if (control->taps_rest) return true;
    uint64_t rest_ms = tv_server_rest_ms(control->server);
    if (rest_ms) control->taps_rest = tv_host_later_new(control, on_rested, NULL, rest_ms);
    return control->taps_rest != NULL;
}

static void on_ready(void *state) {
    tv_host_tap *tap = state;
    tv_host_control *control = tap->control;
    if (!tap->request || must_rest(control)) return;
    int64_t begin_ns = now_ns();
    if (take(tap, PORTION_WORK)) tv_channel_notify_io(tv_tap_channel(tap->tap));
    report_missed(tap);
    tv_server_worked(control->server, begin_ns);
}

static const tv_connector tap_connector = {.name = "tap", .summary = "", .ready = on_ready};

// ---- ending -------------------------------------------------------------------------------------------------------

static void free_tap(tv_host_tap *tap) {
    free(tap->filter.regex);
    tv_tap_free(tap->tap);
    free(tap);
}

void tv_host_taps_reap(tv_host_control *control) {
    for (tv_host_tap **at = &control->taps; *at;) {
        tv_host_tap *tap = *at;
        if (!tap->is_off) {
            at = &tap->next;
            continue;
        }
        *at = tap->next;
        free_tap(tap);
    }
}

static void receive_off(tv_host_message *message) {
    tv_host_tap *tap = (tv_host_tap *)(void *)((char *)message - offsetof(tv_host_tap, off));
    tap->is_off = true; // freed when the ready list has been taken once more
}

static void on_off(void *user, tv_tap *off) {
    tv_host_tap *tap = user;
    (void)off;
    tv_host_message_post(tap->control->runner, &tap->off);
}

// Nobody is told any more; freed when the worker has let go of it.
static void turn_off(tv_host_tap *tap) {
    tv_server_on_gone(tap->request, NULL, NULL);
    tap->request = NULL;
    tap->channel.closing = true;
    tap->control->tap_count--;
    tv_tap_stop(tap->tap, on_off, tap);
}

static void finish(tv_host_tap *tap, const char *reason) {
    tv_server_request *request = tap->request;
    turn_off(tap);
    yyjson_mut_val *root;
    yyjson_mut_doc *document = tv_server_done(request, &root);
    if (document) {
        yyjson_mut_obj_add_str(document, root, "reason", reason);
        yyjson_mut_obj_add_uint(document, root, "seen", tv_tap_seen(tap->tap));
        yyjson_mut_obj_add_uint(document, root, "shown", tap->shown);
        yyjson_mut_obj_add_uint(document, root, "filtered", tap->filtered);
        yyjson_mut_obj_add_uint(document, root, "skipped", tap->skipped);
        yyjson_mut_obj_add_uint(document, root, "missed", tv_tap_missed(tap->tap));
    }
    tv_server_send(request, document, true);
}

static void on_gone(void *user, tv_server_request *request, bool cancelled) {
    tv_host_tap *tap = user;
    (void)request;
    if (cancelled)
        finish(tap, "cancelled");
    else
        turn_off(tap);
}

void tv_host_taps_end(tv_host_control *control, tv_host_flow *flow, const char *reason) {
    for (tv_host_tap *tap = control->taps; tap; tap = tap->next) {
        if (tap->flow != flow || !tap->request) continue;
        (void)take(tap, END_WORK); // what has passed until then
        if (!tap->request) continue;
        tap->skipped += tv_channel_queued(tv_tap_channel(tap->tap));
        finish(tap, reason);
    }
}

void tv_host_taps_free(tv_host_control *control) {
    while (control->taps) {
        tv_host_tap *tap = control->taps;
        control->taps = tap->next;
        free_tap(tap);
    }
}

// ---- beginning ----------------------------------------------------------------------------------------------------

typedef struct tap_place {
    uint16_t edges[TV_EDGES_MAX];
    size_t count;
} tap_place;

static void add_near(tv_server_reader *reader, const tv_flow_spec *spec, const char *at) {
    const char *names[TV_STAGES_MAX + TV_CHANNELS_MAX];
    size_t count = 0;
    for (size_t s = 0; s < spec->stage_count; s++)
        names[count++] = spec->stages[s].name;
    for (size_t c = 0; c < spec->channel_count; c++)
        names[count++] = spec->channel_names[c];
    const char *nearest = tv_nearest_name(at, names, count);
    tv_server_problem(reader, "the flow has no stage or channel '%.40s'%s%s%s", at, nearest ? "; did you mean '" : "",
                      nearest ? nearest : "", nearest ? "'?" : "");
}

static int node_of(const tv_flow_spec *spec, const char *at) {
    for (size_t s = 0; s < spec->stage_count; s++)
        if (strcmp(spec->stages[s].name, at) == 0) return (int)s;
    for (size_t c = 0; c < spec->channel_count; c++)
        if (strcmp(spec->channel_names[c], at) == 0) return (int)(TV_NODE_CHANNEL | c);
    return -1;
}

static void find_place(tv_server_reader *reader, const tv_host_flow *flow, const char *at, const char *port,
                       tap_place *place) {
    const tv_flow_spec *spec = &flow->spec->flow;
    uint16_t port_index = 0;
    place->count = 0;
    int node = node_of(spec, at);
    if (node < 0) {
        add_near(reader, spec, at);
        return;
    }
    bool is_channel = (node & TV_NODE_CHANNEL) != 0;
    if (port && is_channel) tv_server_problem(reader, "`port` is of a stage; '%s' is a channel", at);
    if (port && !is_channel && !tv_host_port_resolve(spec->stages[node].info, port, &port_index))
        tv_server_problem(reader, "stage '%s' has no output port '%.40s'", at, port);
    for (size_t e = 0; e < spec->edge_count; e++) {
        bool matches = spec->edges[e].from == node || (is_channel && spec->edges[e].to == node);
        if (matches && (!port || spec->edges[e].from_port == port_index)) place->edges[place->count++] = (uint16_t)e;
    }
    if (!place->count)
        tv_server_problem(reader, "nothing reads what '%s' emits%s: tap the stage or channel in front of it", at,
                          port ? " there" : "");
}

// The answer. Without memory for it the request is over, and the tap with it.
static void announce(tv_host_tap *tap) {
    yyjson_mut_val *root;
    tv_server_request *request = tap->request;
    yyjson_mut_doc *document = tv_server_answer(request, &root);
    if (!document) {
        turn_off(tap);
        return;
    }
    yyjson_mut_obj_add_strcpy(document, root, "flow", tap->flow->entry.name);
    yyjson_mut_obj_add_strcpy(document, root, "at", yyjson_get_str(yyjson_obj_get(tv_server_body(request), "at")));
    if (tv_server_send(request, document, false)) return;
    turn_off(tap);
    tv_server_fail(request, "no-memory", "out of memory");
}

static void begin(tv_host_tap *tap, const tap_place *place, int kind) {
    tv_host_control *control = tap->control;
    tv_error error;
    bool filters = tap->filter.contains || tap->filter.regex || tap->filter.field;
    tv_tap_options options = {.edges = place->edges,
                              .edge_count = place->count,
                              .payload_bytes_max = filters ? TV_TAP_PAYLOAD_BYTES_MAX : tap->payload_bytes,
                              .with_data = kind != 1,
                              .with_watermarks = kind == 1 || kind == 2};
    if (tv_tap_new(tap->flow->flow, &options, &tap->tap, &error) != TV_OK) {
        tv_server_fail_with(tap->request, &error);
        free_tap(tap);
        return;
    }
    tap->channel = (tv_host_channel){.runner = control->runner,
                                     .channel = tv_tap_channel(tap->tap),
                                     .connector = &tap_connector,
                                     .state = tap,
                                     .direction = TV_OUTPUT,
                                     .open = true};
    tv_channel_set_connector(tap->channel.channel, &tap->channel);
    tap->next = control->taps;
    control->taps = tap;
    control->tap_count++;
    tv_server_on_gone(tap->request, on_gone, tap);
    tv_tap_start(tap->tap);
    announce(tap);
}

static bool refuse_too_many(tv_host_control *control, tv_server_request *request) {
    size_t own = 0;
    for (tv_host_tap *tap = control->taps; tap; tap = tap->next)
        own += tap->request && tv_server_same_client(tap->request, request);
    if (own < TAPS_OF_CLIENT_MAX && control->tap_count < TV_HOST_TAPS_MAX) return false;
    tv_server_fail(request, "limit", "%zu taps are on; a client may have %d, and all together %d", control->tap_count,
                   TAPS_OF_CLIENT_MAX, TV_HOST_TAPS_MAX);
    return true;
}

void tv_host_verb_tap(void *user, tv_server_request *request, yyjson_val *body) {
    static const char *const kinds[] = {"data", "watermark", "all", NULL};
    tv_host_control *control = user;
    tv_server_reader reader = {.body = body};
    const char *name = tv_server_text(&reader, "flow"), *at = tv_server_text(&reader, "at");
    const char *port = tv_server_text(&reader, "port");
    if (!name || !at) tv_server_problem(&reader, "tap needs `flow`, and `at`: one of its stages or channels");
    if (tv_server_refuse(request, &reader) || refuse_too_many(control, request)) return;
    tv_host_flow *flow = tv_host_flow_named(control, request, name);
    tv_host_tap *tap = flow ? calloc(1, sizeof *tap) : NULL;
    if (flow && !tap) tv_server_fail(request, "no-memory", "out of memory");
    if (!tap) return;
    tap_place place;
    *tap = (tv_host_tap){.control = control, .request = request, .flow = flow, .off = {.receive = receive_off}};
    tap->limit = tv_server_number(&reader, "limit", 1, 1ull << 53, 0);
    tap->rate = tv_server_number(&reader, "rate", 1, RATE_MAX, RATE);
    tap->payload_bytes =
        (uint32_t)tv_server_number(&reader, "payload_bytes", 0, TV_TAP_PAYLOAD_BYTES_MAX, PAYLOAD_BYTES);
    tap->tokens = (double)tap->rate;
    tap->tokens_ns = tap->reported_ns = now_ns();
    int kind = tv_server_choice(&reader, "kind", kinds);
    find_place(&reader, flow, at, port, &place);
    tv_host_tap_filter_read(&reader, &tap->filter);
    if (flow->phase != TV_HOST_FLOW_RUNNING) tv_server_problem(&reader, "flow '%s' does not run any more", name);
    if (tv_server_refuse(request, &reader))
        free_tap(tap);
    else
        begin(tap, &place, kind);
}
