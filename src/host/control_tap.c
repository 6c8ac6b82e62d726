// The verb `tap`: copies of records out of a flow, filtered, limited and shown as JSON.
//
// Copies wait in the tap's queue, which the worker fills and never waits for. Here they are taken out in portions, so
// that neither a fast flow nor a slow client keeps the loop: what the client does not take is skipped and counted.

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "host/control.h"

enum {
    PORTION = 256, // records taken before others have their turn
    TAPS_MAX = 16,
    TAPS_OF_CLIENT_MAX = 4,
    WAITING_BYTES_MAX = 1 << 20, // of the client's output: beyond it records are skipped
    RATE = 1000,
    RATE_MAX = 100000,
    PAYLOAD_BYTES = 4096,
};
#define REPORT_EVERY_NS 1000000000ll

typedef struct tap_filter {
    const char *contains; // texts are the request's
    regex_t regex;
    bool has_regex;
    const char *field;
    yyjson_val *equals;
    uint64_t key;
    bool has_key;
} tap_filter;

struct tv_host_tap {
    tv_host_tap *next;
    tv_host_control *control;
    tv_server_request *request; // NULL: it has ended
    tv_host_flow *flow;         // valid until it has ended
    tv_tap *tap;
    tv_host_channel channel; // of the tap's queue, for the ready list
    tv_host_message off;
    tap_filter filter;
    uint32_t payload_bytes;
    uint64_t limit, rate; // limit 0: none
    double tokens;
    int64_t tokens_ns, reported_ns;
    uint64_t shown, filtered, skipped, reported;
    bool is_off; // nobody writes any more
};

static int64_t now_ns(void) { return tv_clock_monotonic_ns(tv_clock_system()); }

// ---- filters ------------------------------------------------------------------------------------------------------

typedef struct tap_payload {
    const char *bytes;
    uint32_t length;      // that is there
    uint32_t whole;       // that it had
    yyjson_doc *document; // NULL: it is no JSON, or not looked at yet
} tap_payload;

static yyjson_val *step_into(yyjson_val *value, const char *name, size_t length) {
    if (yyjson_is_obj(value)) return yyjson_obj_getn(value, name, length);
    char *end;
    unsigned long index = strtoul(name, &end, 10);
    return yyjson_is_arr(value) && end == name + length ? yyjson_arr_get(value, index) : NULL;
}

static yyjson_val *look_up(yyjson_val *value, const char *path) {
    while (value && *path) {
        size_t length = strcspn(path, ".");
        value = step_into(value, path, length);
        path += length + (path[length] == '.');
    }
    return value;
}

static bool is_equal(yyjson_val *a, yyjson_val *b) {
    if (yyjson_is_num(a) && yyjson_is_num(b)) return yyjson_get_num(a) == yyjson_get_num(b);
    return yyjson_equals(a, b);
}

static bool matches_regex(const tap_filter *filter, const tap_payload *payload) {
    regmatch_t whole = {.rm_so = 0, .rm_eo = (regoff_t)payload->length};
    return regexec(&filter->regex, payload->bytes, 1, &whole, REG_STARTEND) == 0;
}

static void parse(tap_payload *payload) {
    if (payload->document || payload->length < payload->whole) return;
    payload->document = yyjson_read(payload->bytes, payload->length, YYJSON_READ_NOFLAG);
}

static bool passes(const tap_filter *filter, const tv_record *record, tap_payload *payload) {
    if (filter->has_key && record->key != filter->key) return false;
    if (filter->contains && !memmem(payload->bytes, payload->length, filter->contains, strlen(filter->contains)))
        return false;
    if (filter->has_regex && !matches_regex(filter, payload)) return false;
    if (!filter->field) return true;
    parse(payload);
    yyjson_val *value = payload->document ? look_up(yyjson_doc_get_root(payload->document), filter->field) : NULL;
    return value && (!filter->equals || is_equal(value, filter->equals));
}

// ---- showing --------------------------------------------------------------------------------------------------------

// The length of the longest begin that is UTF-8 (RFC 3629); one byte that is none ends it.
static size_t utf8_length(const char *text, size_t length) {
    size_t at = 0;
    while (at < length) {
        unsigned char c = (unsigned char)text[at];
        size_t more = c < 0x80                ? 0
                      : c >= 0xc2 && c < 0xe0 ? 1
                      : c >= 0xe0 && c < 0xf0 ? 2
                      : c >= 0xf0 && c < 0xf5 ? 3
                                              : 9;
        if (more == 9 || at + more >= length) break;
        for (size_t i = 1; i <= more; i++)
            if (((unsigned char)text[at + i] & 0xc0) != 0x80) return at;
        at += more + 1;
    }
    return at;
}

static void add_base64(yyjson_mut_doc *document, yyjson_mut_val *event, const char *bytes, size_t length) {
    tv_text text = {0};
    tv_text_add_base64(&text, (const uint8_t *)bytes, length);
    yyjson_mut_obj_add_strcpy(document, event, "payload", text.bytes ? text.bytes : "");
    yyjson_mut_obj_add_str(document, event, "encoding", "base64");
    tv_text_deinit(&text);
}

static void add_payload(yyjson_mut_doc *document, yyjson_mut_val *event, tap_payload *payload, uint32_t most) {
    bool is_whole = payload->length == payload->whole && payload->length <= most;
    uint32_t shown = payload->length < most ? payload->length : most;
    yyjson_mut_obj_add_uint(document, event, "payload_bytes", payload->whole);
    if (is_whole) parse(payload);
    size_t text_length = utf8_length(payload->bytes, shown);
    if (is_whole && payload->document) {
        yyjson_mut_val *value = yyjson_val_mut_copy(document, yyjson_doc_get_root(payload->document));
        yyjson_mut_obj_add_val(document, event, "payload", value);
        yyjson_mut_obj_add_str(document, event, "encoding", "json");
    } else if (text_length == shown || (!is_whole && text_length + 3 >= shown)) { // the cut may go through a letter
        yyjson_mut_obj_add_strncpy(document, event, "payload", payload->bytes, text_length);
        yyjson_mut_obj_add_str(document, event, "encoding", "text");
    } else {
        add_base64(document, event, payload->bytes, shown);
    }
    if (!is_whole) yyjson_mut_obj_add_bool(document, event, "cut", true);
}

static void add_attribute(yyjson_mut_doc *document, yyjson_mut_val *object, uint16_t id, const char *text,
                          size_t length) {
    static const char *const names[] = {NULL, "content_type", "topic", "traceparent"};
    char number[8];
    const char *name = id < sizeof names / sizeof names[0] ? names[id] : NULL;
    size_t name_length = name ? strlen(name) : 0;
    const char *equals = id == TV_ATTRIBUTE_NAMED ? memchr(text, '=', length) : NULL;
    if (equals) {
        name = text;
        name_length = (size_t)(equals - text);
        length -= name_length + 1;
        text = equals + 1;
    } else if (!name) {
        name_length = (size_t)snprintf(number, sizeof number, "%u", id);
        name = number;
    }
    yyjson_mut_obj_put(object, yyjson_mut_strncpy(document, name, utf8_length(name, name_length)),
                       yyjson_mut_strncpy(document, text, utf8_length(text, length)));
}

static void add_attributes(yyjson_mut_doc *document, yyjson_mut_val *event, const tv_record *record) {
    const uint8_t *at = (const uint8_t *)(record + 1), *end = at + record->attributes_bytes;
    yyjson_mut_val *object = yyjson_mut_obj_add_obj(document, event, "attributes");
    while (end - at >= (ptrdiff_t)sizeof(tv_attribute)) {
        tv_attribute head;
        memcpy(&head, at, sizeof head);
        at += sizeof head;
        if (head.length > end - at) return; // a component wrote it
        if (head.id != TV_ATTRIBUTE_PAD) add_attribute(document, object, head.id, (const char *)at, head.length);
        size_t padded = tv_align_up_u32(head.length, 4);
        if (padded > (size_t)(end - at)) return;
        at += padded;
    }
}

static void add_origin(yyjson_mut_doc *document, yyjson_mut_val *event, const tv_flow_spec *spec,
                       const tv_record *record) {
    if (record->origin_sequence && record->origin < spec->channel_count)
        yyjson_mut_obj_add_strcpy(document, event, "origin", spec->channel_names[record->origin]);
    else
        yyjson_mut_obj_add_null(document, event, "origin");
    yyjson_mut_obj_add_uint(document, event, "origin_sequence", record->origin_sequence);
    if (record->event_time_ns == TV_NO_EVENT_TIME)
        yyjson_mut_obj_add_null(document, event, "time_ns");
    else
        yyjson_mut_obj_add_sint(document, event, "time_ns", record->event_time_ns);
}

// A number as long as every reader of JSON has it whole.
static void add_key(yyjson_mut_doc *document, yyjson_mut_val *event, uint64_t key) {
    char text[24];
    if (key <= 1ull << 53) {
        yyjson_mut_obj_add_uint(document, event, "key", key);
        return;
    }
    snprintf(text, sizeof text, "%llu", (unsigned long long)key);
    yyjson_mut_obj_add_strcpy(document, event, "key", text);
}

static void show(tv_host_tap *tap, const tv_record *record, tap_payload *payload) {
    const tv_host_spec *spec = tap->flow->spec;
    const tv_edge_spec *edge = &spec->edges[record->port];
    yyjson_mut_val *event;
    yyjson_mut_doc *document = tv_server_event(tap->request, &event);
    if (!document) {
        tap->skipped++;
        return;
    }
    yyjson_mut_obj_add_uint(document, event, "sequence", record->sequence);
    yyjson_mut_obj_add_str(document, event, "kind", record->kind == TV_KIND_DATA ? "data" : "watermark");
    yyjson_mut_obj_add_uint(document, event, "port", edge->from_port);
    yyjson_mut_obj_add_strcpy(document, event, "queue", spec->edge_names[record->port]);
    add_origin(document, event, &spec->flow, record);
    add_key(document, event, record->key);
    add_attributes(document, event, record);
    add_payload(document, event, payload, tap->payload_bytes);
    tap->shown++;
    tv_server_send(tap->request, document, false);
}

// ---- taking -------------------------------------------------------------------------------------------------------

static bool may_show(tv_host_tap *tap) {
    int64_t now = now_ns();
    tap->tokens += (double)(now - tap->tokens_ns) / 1e9 * (double)tap->rate;
    tap->tokens_ns = now;
    if (tap->tokens > (double)tap->rate) tap->tokens = (double)tap->rate;
    if (tap->tokens < 1 || tv_server_waiting_bytes(tap->request) > WAITING_BYTES_MAX) return false;
    tap->tokens -= 1;
    return true;
}

static void consider(tv_host_tap *tap, const tv_record *record) {
    uint32_t there = record->size_bytes - (uint32_t)sizeof *record - record->attributes_bytes;
    tap_payload found = {.bytes = (const char *)(record + 1) + record->attributes_bytes,
                         .length = record->payload_bytes < there ? record->payload_bytes : there,
                         .whole = record->payload_bytes};
    if (!passes(&tap->filter, record, &found))
        tap->filtered++;
    else if (may_show(tap))
        show(tap, record, &found);
    else
        tap->skipped++;
    yyjson_doc_free(found.document);
}

static void report_missed(tv_host_tap *tap) {
    uint64_t missed = tv_tap_missed(tap->tap);
    int64_t now = now_ns();
    if (!tap->request || missed + tap->skipped == tap->reported || now - tap->reported_ns < REPORT_EVERY_NS) return;
    if (tv_server_waiting_bytes(tap->request) > WAITING_BYTES_MAX) return;
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

// At most `most` records. Whether there may be more.
static bool take(tv_host_tap *tap, uint32_t most) {
    tv_channel *channel = tv_tap_channel(tap->tap);
    while (most && tap->request) {
        const tv_record *record;
        uint32_t run_bytes, run_records;
        if (tv_channel_peek(channel, &record, &run_bytes, &run_records) != TV_OK) return false;
        uint32_t taken = 0, bytes = 0;
        while (taken < run_records && taken < most && tap->request && !(tap->limit && tap->shown == tap->limit)) {
            consider(tap, record);
            bytes += record->size_bytes;
            record = (const tv_record *)(const void *)((const uint8_t *)record + record->size_bytes);
            taken++;
        }
        tv_channel_pop(channel, taken, bytes);
        most -= taken;
        if (tap->limit && tap->shown == tap->limit) finish(tap, "limit");
    }
    return tap->request != NULL;
}

static void on_ready(void *state) {
    tv_host_tap *tap = state;
    if (!tap->request) return;
    if (take(tap, PORTION)) tv_channel_notify_io(tv_tap_channel(tap->tap));
    report_missed(tap);
}

static const tv_connector tap_connector = {.name = "tap", .summary = "", .ready = on_ready};

// ---- ending -------------------------------------------------------------------------------------------------------

static void free_tap(tv_host_tap *tap) {
    if (tap->filter.has_regex) regfree(&tap->filter.regex);
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

static void finish(tv_host_tap *tap, const char *reason) {
    tv_server_request *request = tap->request;
    tap->request = NULL;
    tap->channel.closing = true;
    tap->control->tap_count--;
    if (request) {
        yyjson_mut_val *root;
        tv_server_on_gone(request, NULL, NULL);
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
    tv_tap_stop(tap->tap, on_off, tap);
}

static void on_gone(void *user, tv_server_request *request, bool cancelled) {
    tv_host_tap *tap = user;
    (void)request;
    if (!tap->request) return;
    if (cancelled) {
        finish(tap, "cancelled");
        return;
    }
    tap->request = NULL;
    tap->channel.closing = true;
    tap->control->tap_count--;
    tv_tap_stop(tap->tap, on_off, tap);
}

void tv_host_taps_end(tv_host_control *control, tv_host_flow *flow, const char *reason) {
    for (tv_host_tap *tap = control->taps; tap; tap = tap->next) {
        if (tap->flow != flow || !tap->request) continue;
        (void)take(tap, UINT32_MAX); // what has passed until then
        if (tap->request) finish(tap, reason);
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

static void read_filter(tv_server_reader *reader, tap_filter *filter) {
    const char *regex = tv_server_text(reader, "regex");
    filter->contains = tv_server_text(reader, "contains");
    filter->field = tv_server_text(reader, "field");
    filter->equals = yyjson_obj_get(reader->body, "equals");
    if (filter->equals && !filter->field) tv_server_problem(reader, "`equals` needs `field`");
    filter->key = tv_server_number(reader, "key", 0, UINT64_MAX, 0);
    filter->has_key = yyjson_obj_get(reader->body, "key") != NULL;
    if (!regex || reader->problem[0]) return;
    int failed = regcomp(&filter->regex, regex, REG_EXTENDED | REG_NOSUB);
    filter->has_regex = !failed;
    if (!failed) return;
    char text[128];
    regerror(failed, &filter->regex, text, sizeof text);
    tv_server_problem(reader, "`regex`: %s", text);
}

static void begin(tv_host_tap *tap, const tap_place *place, int kind) {
    tv_host_control *control = tap->control;
    tv_error error;
    bool filters = tap->filter.contains || tap->filter.has_regex || tap->filter.field;
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
    yyjson_mut_val *root;
    tv_server_on_gone(tap->request, on_gone, tap);
    yyjson_mut_doc *document = tv_server_answer(tap->request, &root);
    tv_tap_start(tap->tap);
    if (!document) return; // it has been answered, and on_gone called
    yyjson_mut_obj_add_strcpy(document, root, "flow", tap->flow->entry.name);
    yyjson_mut_obj_add_strcpy(document, root, "at", yyjson_get_str(yyjson_obj_get(tv_server_body(tap->request), "at")));
    tv_server_send(tap->request, document, false);
}

static bool refuse_too_many(tv_host_control *control, tv_server_request *request) {
    size_t own = 0;
    for (tv_host_tap *tap = control->taps; tap; tap = tap->next)
        own += tap->request && tv_server_same_client(tap->request, request);
    if (own < TAPS_OF_CLIENT_MAX && control->tap_count < TAPS_MAX) return false;
    tv_server_fail(request, "limit", "%zu taps are on; a client may have %d, and all together %d", control->tap_count,
                   TAPS_OF_CLIENT_MAX, TAPS_MAX);
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
    read_filter(&reader, &tap->filter);
    if (flow->phase != TV_HOST_FLOW_RUNNING) tv_server_problem(&reader, "flow '%s' does not run any more", name);
    if (tv_server_refuse(request, &reader))
        free_tap(tap);
    else
        begin(tap, &place, kind);
}
