// A stage's configuration for the component: every scalar by its path, every list and mapping as JSON.
//
// Scalars keep the text they were written with (numbers exactly so; hexadecimal and octal ones become decimal); in
// JSON they have the type of YAML's core schema, numbers with all their digits. null is "not set": it has no path.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#include "pipeline/load.h"

typedef struct config_writer {
    tv_reader *reader;
    yyjson_mut_doc *doc;
    tv_config_entry *entries;
    size_t count, capacity;
    size_t bytes;
    bool invalid; // something was reported; the rest is still read
    bool failed;  // no memory, or TV_CONFIG_BYTES_MAX exceeded
} config_writer;

static yyjson_mut_val *config_add(config_writer *writer, const tv_yaml_node *node, const char *key,
                                  const tv_path *path);

static void config_add_entry(config_writer *writer, const char *key, const char *value) {
    writer->bytes += strlen(key) + strlen(value) + 2;
    if (writer->count == writer->capacity || writer->bytes > TV_CONFIG_BYTES_MAX) {
        writer->failed = true;
        return;
    }
    writer->entries[writer->count++] = (tv_config_entry){.path = key, .value = value};
}

// ---- scalars ------------------------------------------------------------------------------------------------

// A decimal number of the core schema as JSON writes it: no plus sign, no leading zeros, digits on both sides of the
// point. `text` has been classified as one.
static const char *config_json_number(tv_region *region, const char *text) {
    static const char digits[] = "0123456789";
    const char *sign = *text == '-' ? "-" : "";
    text += *text == '-' || *text == '+';
    text += strspn(text, "0");
    size_t whole = strspn(text, digits);
    const char *fraction = text + whole;
    size_t fraction_length = *fraction == '.' ? strspn(fraction + 1, digits) : 0;
    const char *exponent = fraction + (*fraction == '.' ? 1 + fraction_length : 0);
    return tv_region_print(region, "%s%.*s%s%.*s%s", sign, whole > 0 ? (int)whole : 1, whole > 0 ? text : "0",
                           fraction_length > 0 ? "." : "", (int)fraction_length,
                           fraction_length > 0 ? fraction + 1 : "", exponent);
}

// 0x1f and 0o17 in decimal; NULL if they need more than 64 bits.
static const char *config_decimal(tv_region *region, const char *text, tv_scalar_type type) {
    unsigned shift = type == TV_SCALAR_HEX ? 4 : 3;
    uint64_t value = 0;
    for (text += 2; *text != '\0'; text++) {
        unsigned digit = *text <= '9' ? (unsigned)(*text - '0') : (unsigned)((*text | 0x20) - 'a' + 10);
        if (value >> (64 - shift) != 0) return NULL;
        value = value << shift | digit;
    }
    return tv_region_print(region, "%" PRIu64, value);
}

static yyjson_mut_val *config_add_number(config_writer *writer, const char *key, const char *text,
                                         tv_scalar_type type) {
    tv_region *region = writer->reader->region;
    if (type == TV_SCALAR_HEX || type == TV_SCALAR_OCTAL) {
        const char *decimal = config_decimal(region, text, type);
        config_add_entry(writer, key, decimal != NULL ? decimal : text);
        return decimal != NULL ? yyjson_mut_raw(writer->doc, decimal) : yyjson_mut_str(writer->doc, text);
    }
    config_add_entry(writer, key, text);
    return yyjson_mut_raw(writer->doc, config_json_number(region, text));
}

static yyjson_mut_val *config_add_scalar(config_writer *writer, const tv_yaml_node *node, const char *key,
                                         const tv_path *path) {
    tv_scalar_type type;
    const char *text = tv_reader_scalar(writer->reader, node, path, &type);
    if (text == NULL) {
        writer->invalid = true;
        return yyjson_mut_null(writer->doc);
    }
    switch (type) {
    case TV_SCALAR_NULL: return yyjson_mut_null(writer->doc);
    case TV_SCALAR_BOOL:
        config_add_entry(writer, key, (*text | 0x20) == 't' ? "true" : "false");
        return yyjson_mut_bool(writer->doc, (*text | 0x20) == 't');
    case TV_SCALAR_INTEGER:
    case TV_SCALAR_FLOAT:
    case TV_SCALAR_HEX:
    case TV_SCALAR_OCTAL: return config_add_number(writer, key, text, type);
    case TV_SCALAR_SPECIAL: // JSON has no infinities
    case TV_SCALAR_TEXT: break;
    }
    config_add_entry(writer, key, text);
    return yyjson_mut_str(writer->doc, text);
}

// ---- lists and mappings -------------------------------------------------------------------------------------

static void config_add_json(config_writer *writer, yyjson_mut_val *value, const char *key) {
    size_t length;
    char *json = writer->failed ? NULL : yyjson_mut_val_write(value, 0, &length);
    const char *copy = json != NULL ? tv_region_copy(writer->reader->region, json, length) : NULL;
    free(json);
    if (copy == NULL) {
        writer->failed = true;
        return;
    }
    config_add_entry(writer, key, copy);
}

static yyjson_mut_val *config_add_list(config_writer *writer, const tv_yaml_node *node, const char *key,
                                       const tv_path *path) {
    tv_region *region = writer->reader->region;
    yyjson_mut_val *list = yyjson_mut_arr(writer->doc);
    const char *dot = key[0] != '\0' ? "." : "";
    size_t i = 0;
    for (const tv_yaml_item *item = node->items; item != NULL && !writer->failed; item = item->next, i++) {
        tv_path item_path = {.parent = path, .index = i};
        const char *item_key = tv_region_print(region, "%s%s%zu", key, dot, i);
        yyjson_mut_val *value = item_key != NULL ? config_add(writer, item->value, item_key, &item_path) : NULL;
        if (!yyjson_mut_arr_append(list, value)) writer->failed = true;
    }
    const char *length_key = tv_region_print(region, "%s%slength", key, dot);
    const char *length = tv_region_print(region, "%zu", i);
    if (list == NULL || length_key == NULL || length == NULL) writer->failed = true;
    if (!writer->failed) config_add_entry(writer, length_key, length);
    config_add_json(writer, list, key);
    return list;
}

static yyjson_mut_val *config_add_mapping(config_writer *writer, const tv_yaml_node *node, const char *key,
                                          const tv_path *path) {
    yyjson_mut_val *object = yyjson_mut_obj(writer->doc);
    const char *dot = key[0] != '\0' ? "." : "";
    for (const tv_yaml_item *item = node->items; item != NULL && !writer->failed; item = item->next) {
        tv_path item_path = {.parent = path, .name = item->key};
        if (item->key[0] == '\0') {
            writer->invalid = true; // its path would be that of the mapping
            tv_reader_report(writer->reader, TV_SEVERITY_ERROR, item->key_place, path, NULL, "a key is empty");
        }
        const char *item_key = tv_region_print(writer->reader->region, "%s%s%s", key, dot, item->key);
        yyjson_mut_val *value = item_key != NULL ? config_add(writer, item->value, item_key, &item_path) : NULL;
        if (!yyjson_mut_obj_add(object, yyjson_mut_str(writer->doc, item->key), value)) writer->failed = true;
    }
    if (object == NULL) writer->failed = true;
    config_add_json(writer, object, key);
    return object;
}

static yyjson_mut_val *config_add(config_writer *writer, const tv_yaml_node *node, const char *key,
                                  const tv_path *path) {
    switch (node->kind) {
    case TV_YAML_SCALAR: return config_add_scalar(writer, node, key, path);
    case TV_YAML_LIST: return config_add_list(writer, node, key, path);
    case TV_YAML_MAPPING: return config_add_mapping(writer, node, key, path);
    }
    return NULL;
}

// ---- the whole ----------------------------------------------------------------------------------------------

static int config_compare(const void *a, const void *b) {
    return strcmp(((const tv_config_entry *)a)->path, ((const tv_config_entry *)b)->path);
}

// Keys with a dot may collide with what lies deeper.
static void config_check_unique(const config_writer *writer, tv_place place, const tv_path *path) {
    for (size_t i = 1; i < writer->count; i++) {
        if (strcmp(writer->entries[i - 1].path, writer->entries[i].path) != 0) continue;
        tv_reader_report(writer->reader, TV_SEVERITY_ERROR, place, path,
                         "rename one of the keys; a dot in a key looks like the key of a mapping inside",
                         "two settings have the path \"%.120s\"", writer->entries[i].path);
    }
}

static void config_write(config_writer *writer, const tv_yaml_node *node, const tv_path *path) {
    config_add(writer, node, "", path);
    if (writer->bytes > TV_CONFIG_BYTES_MAX) {
        writer->invalid = true;
        tv_reader_report(writer->reader, TV_SEVERITY_ERROR, node->place, path, "put large tables into an asset",
                         "the configuration takes more than 256 KiB with all its paths");
    } else if (writer->failed) {
        writer->reader->region->failed = true;
    }
    if (writer->failed || writer->invalid) return;
    qsort(writer->entries, writer->count, sizeof(*writer->entries), config_compare);
    config_check_unique(writer, node->place, path);
}

void tv_config_build(tv_reader *reader, const tv_yaml_node *node, const tv_path *path, tv_config_entry **entries,
                     size_t *count) {
    static tv_yaml_node empty = {.kind = TV_YAML_MAPPING, .expanded = 1};
    char found[80];
    if (tv_yaml_is_null(node)) node = &empty;
    if (node->kind != TV_YAML_MAPPING) {
        tv_reader_report(reader, TV_SEVERITY_ERROR, node->place, path, NULL,
                         "expected a mapping of settings to values, found %s",
                         tv_yaml_describe(node, found, sizeof(found)));
        return;
    }
    config_writer writer = {.reader = reader, .capacity = 2 * (size_t)node->expanded}; // a list has two entries
    writer.entries = tv_region_alloc(reader->region, writer.capacity, sizeof(*writer.entries));
    writer.doc = yyjson_mut_doc_new(NULL);
    if (writer.entries != NULL && writer.doc != NULL) {
        config_write(&writer, node, path);
    } else {
        writer.failed = reader->region->failed = true;
    }
    yyjson_mut_doc_free(writer.doc);
    if (writer.failed || writer.invalid) return;
    *entries = writer.entries;
    *count = writer.count;
}

// ---- places -------------------------------------------------------------------------------------------------

// How much of `path` the item takes, the dot behind it included; 0: it is another one.
static size_t config_match(const tv_yaml_item *item, size_t index, const char *path) {
    char digits[24];
    const char *key = item->key;
    if (key == NULL) {
        snprintf(digits, sizeof(digits), "%zu", index);
        key = digits;
    }
    size_t length = strlen(key);
    if (length == 0 || strncmp(path, key, length) != 0) return 0;
    if (path[length] == '.') return length + 1;
    return path[length] == '\0' ? length : 0;
}

// What stands at `path` or in its place; `around` is where the node itself stands.
static tv_place config_place(const tv_yaml_node *node, const char *path, tv_place around) {
    while (node != NULL && node->kind != TV_YAML_SCALAR && *path != '\0') {
        const tv_yaml_item *found = NULL;
        size_t index = 0, longest = 0;
        for (const tv_yaml_item *item = node->items; item != NULL; item = item->next, index++) {
            size_t length = config_match(item, index, path);
            if (length <= longest) continue; // a key may have dots itself
            longest = length;
            found = item;
        }
        if (found == NULL) break;
        around = found->key != NULL ? found->key_place : found->value->place;
        node = found->value;
        path += longest;
    }
    return around;
}

tv_place tv_pipeline_setting_place(const tv_pipeline *pipeline, const char *stage, const char *path) {
    const tv_builder *builder = &((const tv_loader *)pipeline->loader)->builder;
    for (size_t i = 0; i < builder->stage_count; i++) {
        const tv_yaml_item *item = builder->stages[i];
        if (strcmp(item->key, stage) != 0) continue;
        const tv_yaml_item *config = tv_yaml_find(item->value, "config");
        return config != NULL ? config_place(config->value, path, config->key_place) : item->key_place;
    }
    return (tv_place){0};
}
