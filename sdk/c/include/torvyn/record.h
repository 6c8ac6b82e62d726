// Looking into a record: payload, attributes. No copies; everything points into the record, which is valid until
// the author's function returns.
#ifndef TORVYN_RECORD_H
#define TORVYN_RECORD_H

#include "torvyn/abi.h"
#include "torvyn/text.h"

static inline const void *tv_payload(const tv_record *record) {
    return (const uint8_t *)(record + 1) + record->attributes_bytes;
}
static inline uint32_t tv_payload_bytes(const tv_record *record) { return record->payload_bytes; }

// The payload as text (not NUL-terminated).
static inline tv_string tv_payload_string(const tv_record *record) {
    return (tv_string){(const char *)tv_payload(record), record->payload_bytes};
}

static inline bool tv_has_event_time(const tv_record *record) { return record->event_time_ns != TV_NO_EVENT_TIME; }

// ---- attributes ---------------------------------------------------------------------------------------------

// Walks the attributes: tv_attributes_begin, then tv_attributes_next until it answers false.
typedef struct tv_attribute_walk {
    const uint8_t *at, *end;
    uint16_t id;     // enum tv_attribute_id of the attribute found
    tv_string value; // its text; "name=value" for TV_ATTRIBUTE_NAMED
} tv_attribute_walk;

static inline tv_attribute_walk tv_attributes_begin(const tv_record *record) {
    const uint8_t *at = (const uint8_t *)(record + 1);
    return (tv_attribute_walk){.at = at, .end = at + record->attributes_bytes};
}

static inline bool tv_attributes_next(tv_attribute_walk *walk) {
    while ((size_t)(walk->end - walk->at) >= sizeof(tv_attribute)) {
        tv_attribute head;
        memcpy(&head, walk->at, sizeof head);
        size_t bytes = sizeof head + ((size_t)head.length + 3u) / 4u * 4u;
        if (bytes > (size_t)(walk->end - walk->at)) return false;
        walk->id = head.id;
        walk->value = (tv_string){(const char *)walk->at + sizeof head, head.length};
        walk->at += bytes;
        if (head.id != TV_ATTRIBUTE_PAD) return true;
    }
    return false;
}

// The first attribute of that id (content type, topic, traceparent).
static inline bool tv_attribute_find(const tv_record *record, enum tv_attribute_id id, tv_string *value) {
    tv_attribute_walk walk = tv_attributes_begin(record);
    while (tv_attributes_next(&walk)) {
        if (walk.id != id) continue;
        *value = walk.value;
        return true;
    }
    return false;
}

// The value of the first "name=value" attribute of that name.
static inline bool tv_attribute_named(const tv_record *record, const char *name, tv_string *value) {
    size_t length = strlen(name);
    tv_attribute_walk walk = tv_attributes_begin(record);
    while (tv_attributes_next(&walk)) {
        if (walk.id != TV_ATTRIBUTE_NAMED || walk.value.length <= length) continue;
        if (walk.value.bytes[length] != '=' || memcmp(walk.value.bytes, name, length) != 0) continue;
        *value = (tv_string){walk.value.bytes + length + 1, walk.value.length - (uint32_t)length - 1};
        return true;
    }
    return false;
}

// A list of attributes under construction, for tv_output. Zero-initialise.
enum { TV_ATTRIBUTES_ROOM_BYTES = 512 };
typedef struct tv_attributes {
    _Alignas(8) uint8_t bytes[TV_ATTRIBUTES_ROOM_BYTES];
    uint16_t length; // a multiple of 8
    uint16_t used;   // without the last padding
} tv_attributes;

// False if there is no room left; the list stays as it was.
bool tv_attributes_add(tv_attributes *list, enum tv_attribute_id id, tv_string value);
bool tv_attributes_add_named(tv_attributes *list, const char *name, tv_string value);

#endif
