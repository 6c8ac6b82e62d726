// Names of fields: columns of a table, and members of JSON, where a dot leads into an object or list.
//
// "data.t" is the member of that name; without one, t in the object data. "readings.0.v" leads into the first item of a
// list. A dot behind a backslash is part of a name only.
#ifndef GATEWAY_FIELD_PATH_H
#define GATEWAY_FIELD_PATH_H

#include <torvyn/json.h>
#include <torvyn/torvyn.h>

enum { PATH_NAME_BYTES = 128, PATH_PARTS_MAX = 8 };

typedef struct field_path {
    char name[PATH_NAME_BYTES]; // as configured; empty: not used
    char text[PATH_NAME_BYTES]; // without backslashes
    uint32_t length;
    uint32_t part_count;
    uint8_t ends[PATH_PARTS_MAX]; // of the parts in `text`
    uint8_t keys[PATH_PARTS_MAX]; // of the first part, the first two, ... among the members to be read
} field_path;

static inline bool path_used(const field_path *path) { return path->name[0] != 0; }
static inline tv_string path_text(const field_path *path) { return (tv_string){path->text, path->length}; }

// Splits path->name into its parts. False if there are too many.
static inline bool path_split(field_path *path) {
    path->length = path->part_count = 0;
    for (const char *at = path->name; *at != 0; at++) {
        if (*at == '.') {
            if (path->part_count == PATH_PARTS_MAX - 1) return false;
            path->ends[path->part_count++] = (uint8_t)path->length;
        }
        if (*at == '\\' && (at[1] == '.' || at[1] == '\\')) at++;
        path->text[path->length++] = *at;
    }
    path->ends[path->part_count++] = (uint8_t)path->length;
    return true;
}

// Parts `first` to `last` with the dots between them.
static inline tv_string path_part(const field_path *path, uint32_t first, uint32_t last) {
    uint32_t begin = first == 0 ? 0 : path->ends[first - 1] + 1u;
    return (tv_string){path->text + begin, path->ends[last] - begin};
}

// The keys whose members can lead to the path's value. False if there is no room for more; the texts are borrowed.
static inline bool path_add_keys(field_path *path, tv_json_keys *keys) {
    for (uint32_t last = 0; last < path->part_count; last++) {
        tv_string wanted = path_part(path, 0, last);
        uint32_t index = 0;
        while (index < keys->count && !tv_string_equal(keys->names[index], wanted))
            index++;
        if (index == keys->count && tv_json_keys_add_string(keys, wanted) < 0) return false;
        path->keys[last] = (uint8_t)index;
    }
    return true;
}

// ---- following ----------------------------------------------------------------------------------------------

static inline tv_json_value path_item(const tv_json_value *list, tv_string index) {
    const tv_json_value none = {.type = TV_JSON_NONE};
    int64_t wanted;
    if (!tv_read_i64(index, &wanted) || wanted < 0) return none;
    for (tv_json_walk walk = tv_json_begin(list); tv_json_next(&walk);) {
        if (wanted-- == 0) return walk.value;
    }
    return none;
}

static inline tv_string path_key(const tv_json_value *key, char *scratch, uint32_t capacity) {
    tv_string text = key->text;
    if (key->escaped && !tv_json_string(key, scratch, capacity, &text)) text.length = 0;
    return text;
}

// The member that takes the path furthest from part `*part` on; of equal ones the last. Moves *part behind it.
static inline tv_json_value path_member(const tv_json_value *object, const field_path *path, uint32_t *part) {
    char scratch[256];
    tv_json_value found = {.type = TV_JSON_NONE};
    uint32_t next = *part;
    for (tv_json_walk walk = tv_json_begin(object); tv_json_next(&walk);) {
        tv_string key = path_key(&walk.key, scratch, sizeof scratch);
        for (uint32_t last = path->part_count - 1; last + 1 > *part && last + 1 >= next; last--) {
            if (!tv_string_equal(key, path_part(path, *part, last))) continue;
            found = walk.value;
            next = last + 1;
            break;
        }
    }
    *part = next;
    return found;
}

// Follows the path from part `part` on into objects and lists.
static inline tv_json_value path_follow(tv_json_value value, const field_path *path, uint32_t part) {
    while (part < path->part_count && value.type != TV_JSON_NONE) {
        if (value.type == TV_JSON_OBJECT) {
            value = path_member(&value, path, &part);
        } else if (value.type == TV_JSON_ARRAY) {
            value = path_item(&value, path_part(path, part, part));
            part++;
        } else {
            value.type = TV_JSON_NONE;
        }
    }
    return value;
}

// The value that the path leads to from an object's members, read with the keys of path_add_keys: the whole name
// first, then its longest beginning.
static inline tv_json_value path_find(const tv_json_value *members, const field_path *path) {
    for (uint32_t last = path->part_count; last-- > 0;) {
        const tv_json_value *member = &members[path->keys[last]];
        if (member->type == TV_JSON_NONE) continue;
        if (last + 1 == path->part_count) return *member;
        tv_json_value found = path_follow(*member, path, last + 1);
        if (found.type != TV_JSON_NONE) return found;
    }
    return (tv_json_value){.type = TV_JSON_NONE};
}

#endif
