// JSON read in full: objects with one reading or several, lists of them.
#ifndef GATEWAY_SOURCE_JSON_H
#define GATEWAY_SOURCE_JSON_H

#include "source_measure.h"

static tv_result bad_json(tv_string line, const char *at, const tv_json_error *error) {
    for (uint32_t i = 0; i < line.length; i++) {
        if (line.bytes[i] == 0) return tv_reject("NUL at byte %u (UTF-16 text must be converted to UTF-8)", i);
    }
    uint32_t offset = (uint32_t)(at - line.bytes) + error->offset;
    bool returned = offset > 0 && line.bytes[offset - 1] == '\r';
    return tv_reject("%s at byte %u%s", error->message, offset, returned ? " (lines must end with a line feed)" : "");
}

static bool read_members(tv_string object, tv_json_value *members, uint32_t *odd, tv_json_error *error) {
    *odd = 0;
    if (!source.lenient) return tv_json_read_object(object, &json.keys, members, error);
    return tv_json_read_object_leniently(object, &json.keys, members, odd, error);
}

static void note_odd(uint32_t odd) {
    if (odd > 0) tv_counter_add(counters.odd_members, odd);
}

// Resolves escapes into the scratch buffer.
static field unescaped(field f, const tv_json_value *value) {
    if (!tv_json_string(value, json.scratch + json.scratch_used, SCRATCH_BYTES - json.scratch_used, &f.text)) {
        f.type = TV_JSON_ODD;
        return f;
    }
    json.scratch_used += f.text.length;
    return f;
}

static inline field json_field(tv_string line, tv_json_value value) {
    if (value.type == TV_JSON_NONE) return (field){.type = TV_JSON_NONE};
    field f = {value.type, (uint32_t)(value.text.bytes - line.bytes), value.text, value.number};
    return value.type == TV_JSON_STRING && value.escaped ? unescaped(f, &value) : f;
}

// A member's name within the object that `prefix` leads to, in the scratch buffer where it is not in the line.
static bool member_name(tv_string prefix, const tv_json_value *key, tv_string *name) {
    char *room = json.scratch + json.scratch_used;
    uint32_t left = SCRATCH_BYTES - json.scratch_used, used = prefix.length == 0 ? 0 : prefix.length + 1;
    if (prefix.length == 0 && !key->escaped && key->type == TV_JSON_STRING) {
        *name = key->text;
        return true;
    }
    if (left < used || !tv_json_string(key, room + used, left - used, name)) return false;
    if (left - used < name->length) return false;
    memmove(room + used, name->bytes, name->length);
    memcpy(room, prefix.bytes, prefix.length);
    if (used > 0) room[used - 1] = '.';
    *name = (tv_string){room, used + name->length};
    json.scratch_used += name->length;
    return true;
}

static bool is_field(tv_string line, const tv_json_value *value, const field *f) {
    uint32_t at = (uint32_t)(value->text.bytes - line.bytes);
    for (uint32_t i = 0; i < FIELD_VALUES; i++) {
        if (f[i].type != TV_JSON_NONE && f[i].at == at) return true;
    }
    return false;
}

// All numbers of an object and of the objects in it.
static bool add_rest_of_object(tv_string line, const tv_json_value *object, tv_string prefix, uint32_t depth,
                               const field *f, const measurement *common, uint32_t from, tv_result *result) {
    for (tv_json_walk walk = tv_json_begin(object); tv_json_next(&walk);) {
        tv_string name;
        bool deeper = walk.value.type == TV_JSON_OBJECT;
        if (is_field(line, &walk.value, f)) continue;
        if ((walk.value.type != TV_JSON_NUMBER && !deeper) || walk.key.type != TV_JSON_STRING) {
            tv_counter_add(walk.value.type == TV_JSON_NULL ? counters.nulls_skipped : counters.others_skipped, 1);
            continue;
        }
        if (!member_name(prefix, &walk.key, &name) || (deeper && depth == NESTED_MAX)) {
            *result = tv_reject("member at byte %u has a name that cannot be read, or is nested too deeply",
                                (uint32_t)(walk.value.text.bytes - line.bytes));
            return false;
        }
        if (!(deeper ? add_rest_of_object(line, &walk.value, name, depth + 1, f, common, from, result)
                     : add_other(common, name, walk.value.number, from, result))) {
            return false;
        }
    }
    return true;
}

// The fields of an object: its members count first, then those of the message around it (NULL: there is none).
static void read_fields(tv_string line, const tv_json_value *members, const field *around, field *f) {
    for (uint32_t i = 0; i < source.field_count; i++) {
        f[i] = (field){.type = TV_JSON_NONE};
        if (path_used(&source.fields[i])) f[i] = json_field(line, path_find(members, &source.fields[i]));
        if (f[i].type == TV_JSON_NONE && around != NULL) f[i] = around[i];
    }
}

// The readings of an object.
static bool add_object(tv_string line, tv_string object, const tv_json_value *members, const field *around,
                       tv_result *result) {
    field f[FIELDS_MAX];
    measurement m = {0};
    uint32_t from = message.count;
    read_fields(line, members, around, f);
    if (!measure_common(f, read_time(f, &m.time_ns), &m, result)) return false;
    if (source.rest) {
        tv_json_value whole = {.type = TV_JSON_OBJECT, .text = object};
        const tv_string none = {"", 0};
        return add_rest_of_object(line, &whole, none, 0, f, &m, from, result) && expect_some(from, result);
    }
    return add_values(f, &m, result) && expect_some(from, result);
}

static bool add_item(tv_string line, const tv_json_value *item, uint32_t number, const field *around,
                     tv_result *result) {
    tv_json_error error;
    uint32_t odd;
    if (item->type != TV_JSON_OBJECT) {
        *result = tv_reject("item %u at byte %u is no object", number, (uint32_t)(item->text.bytes - line.bytes));
        return false;
    }
    if (!read_members(item->text, json.item_members, &odd, &error)) {
        *result = bad_json(line, item->text.bytes, &error);
        return false;
    }
    return add_object(line, item->text, json.item_members, around, result);
}

static bool add_items(tv_string line, const tv_json_value *list, const field *around, tv_result *result) {
    uint32_t number = 0;
    if (list->type == TV_JSON_OBJECT) return add_item(line, list, 0, around, result);
    for (tv_json_walk walk = tv_json_begin(list); tv_json_next(&walk); number++) {
        if (!add_item(line, &walk.value, number, around, result)) return false;
    }
    if (number == 0) tv_counter_add(counters.nulls_skipped, 1);
    return true;
}

// An object of the line: a reading, or a list of them and what they have in common.
static bool add_message(tv_string line, tv_string object, tv_result *result) {
    tv_json_error error;
    uint32_t odd;
    if (!read_members(object, json.members, &odd, &error)) {
        *result = bad_json(line, object.bytes, &error);
        return false;
    }
    if (!path_used(&source.each)) {
        if (!add_object(line, object, json.members, NULL, result)) return false;
    } else {
        tv_json_value list = path_find(json.members, &source.each);
        if (list.type != TV_JSON_ARRAY && list.type != TV_JSON_OBJECT) {
            field f = json_field(line, list);
            *result = bad_field(source.each.name, &f, "list");
            return false;
        }
        field around[FIELDS_MAX];
        read_fields(line, json.members, NULL, around);
        if (!add_items(line, &list, around, result)) return false;
    }
    note_odd(odd);
    return true;
}

// A line that is a list of messages.
static bool add_messages(tv_string line, tv_result *result) {
    tv_json_value list;
    tv_json_error error;
    uint32_t odd = 0, number = 0;
    bool good = source.lenient ? tv_json_read_value_leniently(line, &list, &odd, &error)
                               : tv_json_read_value(line, &list, &error);
    if (!good) {
        *result = bad_json(line, line.bytes, &error);
        return false;
    }
    for (tv_json_walk walk = tv_json_begin(&list); tv_json_next(&walk); number++) {
        if (walk.value.type != TV_JSON_OBJECT) {
            *result =
                tv_reject("item %u at byte %u is no object", number, (uint32_t)(walk.value.text.bytes - line.bytes));
            return false;
        }
        if (!add_message(line, walk.value.text, result)) return false;
    }
    return true;
}

static tv_result take_message(tv_string text) {
    tv_result result;
    tv_string trimmed = tv_string_trim(text);
    message.count = json.scratch_used = 0;
    bool good = trimmed.bytes[0] == '[' ? add_messages(text, &result) : add_message(text, text, &result);
    return good ? emit_message(text) : result;
}

#endif
