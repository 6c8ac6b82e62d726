// How a tap shows a record: as JSON, whatever a component wrote into it.
#include <stdlib.h>
#include <string.h>

#include "host/control_tap.h"

enum { ATTRIBUTES_SHOWN_MAX = 64 }; // each is looked for among those before it

static void add_base64(yyjson_mut_doc *document, yyjson_mut_val *event, const char *bytes, size_t length) {
    tv_text text = {0};
    tv_text_add_base64(&text, (const uint8_t *)bytes, length);
    yyjson_mut_obj_add_strcpy(document, event, "payload", text.bytes ? text.bytes : "");
    yyjson_mut_obj_add_str(document, event, "encoding", "base64");
    tv_text_deinit(&text);
}

static void add_payload(yyjson_mut_doc *document, yyjson_mut_val *event, tv_host_tap_payload *payload, uint32_t most) {
    bool is_whole = payload->length == payload->whole && payload->length <= most;
    uint32_t shown = payload->length < most ? payload->length : most;
    yyjson_mut_obj_add_uint(document, event, "payload_bytes", payload->whole);
    if (is_whole) tv_host_tap_parse(payload);
    size_t text_length = tv_utf8_prefix(payload->bytes, shown);
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
    yyjson_mut_obj_put(object, yyjson_mut_strncpy(document, name, name_length),
                       yyjson_mut_strncpy(document, text, length));
}

static void add_attributes(yyjson_mut_doc *document, yyjson_mut_val *event, const tv_record *record) {
    const uint8_t *at = (const uint8_t *)(record + 1), *end = at + record->attributes_bytes;
    yyjson_mut_val *object = yyjson_mut_obj_add_obj(document, event, "attributes");
    for (size_t shown = 0; shown < ATTRIBUTES_SHOWN_MAX && end - at >= (ptrdiff_t)sizeof(tv_attribute);) {
        tv_attribute head;
        memcpy(&head, at, sizeof head);
        at += sizeof head;
        if (head.length > end - at) return; // a component wrote it
        if (head.id != TV_ATTRIBUTE_PAD) {
            add_attribute(document, object, head.id, (const char *)at, head.length);
            shown++;
        }
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

void tv_host_tap_show(tv_host_tap *tap, const tv_record *record, tv_host_tap_payload *payload) {
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
    if (tv_server_send(tap->request, document, false))
        tap->shown++;
    else
        tap->skipped++;
}
