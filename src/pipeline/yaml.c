// libyaml's events made into the tree of node.h. The only file that knows libyaml.
//
// Containers are attached to their parent when they end, which is when their size is known; an anchored node whose
// size is still 0 is therefore an ancestor of the alias that names it. Reading stops at the first error of syntax or
// limits; duplicate keys do not stop it.
#include <inttypes.h>
#include <string.h>
#include <yaml.h>

#include "pipeline/node.h"

typedef struct yaml_anchor {
    struct yaml_anchor *next;
    const char *name;
    tv_yaml_node *node;
} yaml_anchor;

typedef struct yaml_frame {
    tv_yaml_node *node;
    tv_yaml_item **tail;
    tv_yaml_item *key; // read, its value to come
    const char *anchor;
} yaml_frame;

typedef struct yaml_reader {
    yaml_parser_t parser;
    tv_region *region;
    const char *file;
    const uint8_t *bytes;
    size_t length;
    tv_diagnostics *diagnostics;
    yaml_frame frames[TV_YAML_DEPTH_MAX];
    size_t depth;
    yaml_anchor *anchors;
    size_t anchor_count, document_count;
    uint32_t node_count;
    tv_yaml_node *root;
} yaml_reader;

static tv_place yaml_place(yaml_mark_t mark) {
    return (tv_place){.line = (uint32_t)mark.line + 1, .column = (uint32_t)mark.column + 1};
}

static bool yaml_fail(yaml_reader *reader, tv_place place, const char *hint, const char *message) {
    tv_diagnostics_add(reader->diagnostics, TV_SEVERITY_ERROR, reader->file, place.line, place.column, "", hint, "%s",
                       message);
    return false;
}

// Said once by whoever owns the region.
static bool yaml_fail_memory(yaml_reader *reader) {
    reader->region->failed = true;
    return false;
}

// ---- syntax errors ------------------------------------------------------------------------------------------

static bool yaml_line_has(const yaml_reader *reader, uint32_t line, const char *what) {
    const uint8_t *at = reader->bytes;
    const uint8_t *end = reader->bytes + reader->length;
    for (; line > 1 && at < end; line--) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL) return false;
        at = newline + 1;
    }
    if (at >= end) return false;
    const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
    return memmem(at, (size_t)((newline != NULL ? newline : end) - at), what, strlen(what)) != NULL;
}

static const char *yaml_syntax_hint(const yaml_reader *reader, uint32_t line) {
    if (yaml_line_has(reader, line, "\t")) return "YAML is indented with spaces; a tab cannot be used";
    if (yaml_line_has(reader, line, "${")) return "inside { } and [ ] put quotes around a variable: \"${NAME}\"";
    return "check the indentation and the quotes of this line and the one before";
}

// libyaml decodes ahead of what it parses: of a byte that cannot be decoded it tells the offset, and no mark.
static tv_place yaml_place_of_byte(const yaml_reader *reader) {
    const yaml_parser_t *parser = &reader->parser;
    tv_place place = {.line = 1, .column = 1};
    if (parser->encoding != YAML_UTF8_ENCODING) return yaml_place(parser->mark);
    for (size_t i = 0; i < parser->problem_offset && i < reader->length; i++) {
        if (reader->bytes[i] == '\n') {
            place = (tv_place){.line = place.line + 1, .column = 1};
        } else if ((reader->bytes[i] & 0xc0) != 0x80) { // a column is a character
            place.column++;
        }
    }
    return place;
}

static bool yaml_fail_syntax(yaml_reader *reader) {
    const yaml_parser_t *parser = &reader->parser;
    if (parser->error == YAML_MEMORY_ERROR) return yaml_fail_memory(reader);
    tv_place place = parser->error == YAML_READER_ERROR ? yaml_place_of_byte(reader) : yaml_place(parser->problem_mark);
    const char *problem = parser->problem != NULL ? parser->problem : "cannot be read";
    const char *hint = yaml_syntax_hint(reader, place.line);
    if (parser->error == YAML_READER_ERROR) hint = "the file must be UTF-8 text without control characters";
    tv_diagnostics_add(reader->diagnostics, TV_SEVERITY_ERROR, reader->file, place.line, place.column, "", hint,
                       "not valid YAML: %s%s%s", problem, parser->context != NULL ? " " : "",
                       parser->context != NULL ? parser->context : "");
    return false;
}

// ---- building the tree --------------------------------------------------------------------------------------

static uint32_t yaml_hash(const char *text) {
    uint32_t hash = 2166136261u; // FNV-1a
    for (; *text != '\0'; text++) {
        hash = (hash ^ (uint8_t)*text) * 16777619u;
    }
    return hash;
}

static bool yaml_count_node(yaml_reader *reader, tv_place place, uint32_t nodes) {
    reader->node_count += nodes;
    if (reader->node_count <= TV_YAML_NODES_MAX) return true;
    return yaml_fail(reader, place, "large tables belong in an asset file",
                     "the file has more than 50000 values (what aliases repeat counts each time)");
}

static tv_yaml_node *yaml_new_node(yaml_reader *reader, tv_yaml_kind kind, tv_place place) {
    if (!yaml_count_node(reader, place, 1)) return NULL;
    tv_yaml_node *node = tv_region_alloc(reader->region, 1, sizeof(*node));
    if (node == NULL) {
        yaml_fail_memory(reader);
        return NULL;
    }
    node->kind = kind;
    node->place = place;
    return node;
}

// Looks for the key among those of its mapping and puts it there. They are a tree that branches by the bits of their
// hashes, so that 50,000 keys take as many steps each as a hash has bits, and not one for each key before.
static const tv_yaml_item *yaml_find_duplicate(const yaml_frame *frame) {
    tv_yaml_item *at = frame->node->items, *key = frame->key;
    uint32_t bits = key->key_hash;
    while (at != NULL) {
        if (at->key_hash == key->key_hash && strcmp(at->key, key->key) == 0) return at;
        tv_yaml_item **next = &at->by_hash[bits & 1];
        if (*next == NULL) {
            *next = key;
            return NULL;
        }
        at = *next;
        bits >>= 1;
    }
    return NULL;
}

static bool yaml_attach(yaml_reader *reader, tv_yaml_node *node) {
    if (reader->depth == 0) {
        reader->root = node;
        return true;
    }
    yaml_frame *frame = &reader->frames[reader->depth - 1];
    tv_yaml_item *item = frame->key;
    frame->key = NULL;
    if (frame->node->kind == TV_YAML_LIST) item = tv_region_alloc(reader->region, 1, sizeof(*item));
    if (item == NULL) return yaml_fail_memory(reader);
    item->value = node;
    *frame->tail = item;
    frame->tail = &item->next;
    frame->node->count++;
    return true;
}

// A mapping's key. A duplicate is reported, and its value read but not kept: it goes to an item outside the list.
static bool yaml_add_key(yaml_reader *reader, const yaml_event_t *event) {
    yaml_frame *frame = &reader->frames[reader->depth - 1];
    tv_place place = yaml_place(event->start_mark);
    const char *bytes = (const char *)event->data.scalar.value;
    tv_yaml_item *item = tv_region_alloc(reader->region, 1, sizeof(*item));
    if (item != NULL) item->key = tv_region_copy(reader->region, bytes, event->data.scalar.length);
    if (item == NULL || item->key == NULL) return yaml_fail_memory(reader);
    if (strlen(item->key) != event->data.scalar.length) return yaml_fail(reader, place, NULL, "a key contains NUL");
    item->key_hash = yaml_hash(item->key);
    item->key_place = place;
    frame->key = item;
    const tv_yaml_item *first = yaml_find_duplicate(frame);
    if (first != NULL) {
        tv_diagnostics_add(reader->diagnostics, TV_SEVERITY_ERROR, reader->file, place.line, place.column, "",
                           "keep one of them", "key \"%s\" is given twice, first in line %" PRIu32, item->key,
                           first->key_place.line);
    }
    return true;
}

static bool yaml_is_key(const yaml_reader *reader) {
    if (reader->depth == 0) return false;
    const yaml_frame *frame = &reader->frames[reader->depth - 1];
    return frame->node->kind == TV_YAML_MAPPING && frame->key == NULL;
}

static bool yaml_add_anchor(yaml_reader *reader, const yaml_char_t *name, tv_yaml_node *node) {
    if (name == NULL) return true;
    if (++reader->anchor_count > TV_YAML_ANCHORS_MAX) {
        return yaml_fail(reader, node->place, "write the value out instead", "more than 256 anchors");
    }
    yaml_anchor *anchor = tv_region_alloc(reader->region, 1, sizeof(*anchor));
    if (anchor != NULL) anchor->name = tv_region_copy(reader->region, (const char *)name, strlen((const char *)name));
    if (anchor == NULL || anchor->name == NULL) return yaml_fail_memory(reader);
    anchor->node = node;
    anchor->next = reader->anchors; // a later anchor of the same name hides the earlier one
    reader->anchors = anchor;
    return true;
}

static bool yaml_check_tag(yaml_reader *reader, const yaml_event_t *event, const yaml_char_t *tag,
                           const char *allowed) {
    if (tag == NULL || strcmp((const char *)tag, "!") == 0 || strcmp((const char *)tag, allowed) == 0) return true;
    tv_place place = yaml_place(event->start_mark);
    tv_diagnostics_add(reader->diagnostics, TV_SEVERITY_ERROR, reader->file, place.line, place.column, "",
                       "remove the tag; quotes make a text of a value", "the tag \"%s\" has no meaning here",
                       (const char *)tag);
    return false;
}

// ---- events -------------------------------------------------------------------------------------------------

static bool yaml_on_scalar(yaml_reader *reader, const yaml_event_t *event) {
    if (!yaml_check_tag(reader, event, event->data.scalar.tag, YAML_STR_TAG)) return false;
    if (yaml_is_key(reader)) return yaml_add_key(reader, event);
    tv_yaml_node *node = yaml_new_node(reader, TV_YAML_SCALAR, yaml_place(event->start_mark));
    if (node == NULL) return false;
    const char *bytes = (const char *)event->data.scalar.value;
    node->length = event->data.scalar.length;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || event->data.scalar.tag != NULL;
    node->text = tv_region_copy(reader->region, bytes, node->length);
    node->expanded = 1;
    if (node->text == NULL) return yaml_fail_memory(reader);
    if (strlen(node->text) != node->length) return yaml_fail(reader, node->place, NULL, "a text contains NUL");
    return yaml_add_anchor(reader, event->data.scalar.anchor, node) && yaml_attach(reader, node);
}

static bool yaml_on_alias(yaml_reader *reader, const yaml_event_t *event) {
    tv_place place = yaml_place(event->start_mark);
    if (yaml_is_key(reader)) return yaml_fail(reader, place, "write the key out", "an alias cannot be a key");
    const yaml_anchor *anchor = reader->anchors;
    while (anchor != NULL && strcmp(anchor->name, (const char *)event->data.alias.anchor) != 0) {
        anchor = anchor->next;
    }
    if (anchor == NULL) {
        tv_diagnostics_add(reader->diagnostics, TV_SEVERITY_ERROR, reader->file, place.line, place.column, "",
                           "put quotes around it if a text beginning with * is meant",
                           "alias \"*%s\" names no anchor above it", (const char *)event->data.alias.anchor);
        return false;
    }
    if (anchor->node->expanded == 0) return yaml_fail(reader, place, NULL, "an alias inside its own anchor");
    return yaml_count_node(reader, place, anchor->node->expanded) && yaml_attach(reader, anchor->node);
}

static bool yaml_on_start(yaml_reader *reader, const yaml_event_t *event, tv_yaml_kind kind) {
    bool list = kind == TV_YAML_LIST;
    tv_place place = yaml_place(event->start_mark);
    const yaml_char_t *anchor = list ? event->data.sequence_start.anchor : event->data.mapping_start.anchor;
    const yaml_char_t *tag = list ? event->data.sequence_start.tag : event->data.mapping_start.tag;
    if (!yaml_check_tag(reader, event, tag, list ? YAML_SEQ_TAG : YAML_MAP_TAG)) return false;
    if (yaml_is_key(reader)) {
        return yaml_fail(reader, place, "a variable needs quotes here: \"${NAME}\"",
                         list ? "expected a key, found a list" : "expected a key, found a mapping");
    }
    if (reader->depth == TV_YAML_DEPTH_MAX) return yaml_fail(reader, place, NULL, "nested more than 32 levels deep");
    tv_yaml_node *node = yaml_new_node(reader, kind, place);
    if (node == NULL || !yaml_add_anchor(reader, anchor, node)) return false;
    reader->frames[reader->depth++] = (yaml_frame){.node = node, .tail = &node->items};
    return true;
}

static bool yaml_on_end(yaml_reader *reader) {
    tv_yaml_node *node = reader->frames[--reader->depth].node;
    node->expanded = 1;
    for (const tv_yaml_item *item = node->items; item != NULL; item = item->next) {
        node->expanded += item->value->expanded; // the sum is below TV_YAML_NODES_MAX
    }
    return yaml_attach(reader, node);
}

static bool yaml_on_document(yaml_reader *reader, const yaml_event_t *event) {
    if (++reader->document_count == 1) return true;
    return yaml_fail(reader, yaml_place(event->start_mark), "put it into a file of its own",
                     "a second document begins here; a pipeline file has one");
}

static bool yaml_on_event(yaml_reader *reader, const yaml_event_t *event) {
    switch (event->type) {
    case YAML_SCALAR_EVENT: return yaml_on_scalar(reader, event);
    case YAML_ALIAS_EVENT: return yaml_on_alias(reader, event);
    case YAML_SEQUENCE_START_EVENT: return yaml_on_start(reader, event, TV_YAML_LIST);
    case YAML_MAPPING_START_EVENT: return yaml_on_start(reader, event, TV_YAML_MAPPING);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return yaml_on_end(reader);
    case YAML_DOCUMENT_START_EVENT: return yaml_on_document(reader, event);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT: return true;
    }
    return true;
}

static bool yaml_read(yaml_reader *reader) {
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&reader->parser, &event)) return yaml_fail_syntax(reader);
        bool ended = event.type == YAML_STREAM_END_EVENT;
        bool ok = yaml_on_event(reader, &event);
        yaml_event_delete(&event);
        if (!ok || ended) return ok;
    }
}

tv_yaml_node *tv_yaml_parse(tv_region *region, const char *file, const uint8_t *bytes, size_t length,
                            tv_diagnostics *diagnostics) {
    yaml_reader reader = {.region = region, .file = file, .bytes = bytes, .length = length, .diagnostics = diagnostics};
    if (length > TV_YAML_BYTES_MAX) {
        yaml_fail(&reader, (tv_place){0}, "large tables belong in an asset file", "the file is larger than 1 MiB");
        return NULL;
    }
    if (!yaml_parser_initialize(&reader.parser)) {
        yaml_fail_memory(&reader);
        return NULL;
    }
    yaml_parser_set_input_string(&reader.parser, bytes, length);
    bool ok = yaml_read(&reader);
    yaml_parser_delete(&reader.parser);
    if (ok && reader.root == NULL) yaml_fail(&reader, (tv_place){0}, NULL, "the file is empty");
    return ok ? reader.root : NULL;
}
