// The YAML document as a tree of our own: bounded, with the place of every node and key.
//
// Only yaml.c knows libyaml. Nodes live in a region and are never changed after parsing; an alias is the same node
// seen twice, so the tree is a graph without cycles whose expanded size has a maximum (no "billion laughs").
#ifndef TORVYN_PIPELINE_NODE_H
#define TORVYN_PIPELINE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/pipeline.h"
#include "pipeline/region.h"

enum {
    TV_YAML_BYTES_MAX = 1 << 20,
    TV_YAML_DEPTH_MAX = 32,
    TV_YAML_NODES_MAX = 50000, // of the expanded tree
    TV_YAML_ANCHORS_MAX = 256,
};

typedef enum tv_yaml_kind { TV_YAML_SCALAR, TV_YAML_LIST, TV_YAML_MAPPING } tv_yaml_kind;

typedef struct tv_yaml_node tv_yaml_node;

// One entry of a list, or of a mapping, which has a key.
typedef struct tv_yaml_item {
    struct tv_yaml_item *next;
    const char *key; // NULL in a list
    uint32_t key_hash;
    struct tv_yaml_item *by_hash[2]; // while it is read: the tree of keys that hangs on the first of a mapping
    tv_place key_place;
    tv_yaml_node *value;
} tv_yaml_item;

struct tv_yaml_node {
    tv_yaml_kind kind;
    bool quoted; // scalar: quoted, a block, or tagged !!str: text whatever it looks like
    tv_place place;
    const char *text; // scalar, NUL-terminated, without a NUL inside
    size_t length;
    tv_yaml_item *items; // list and mapping
    size_t count;
    uint32_t expanded; // nodes below and including this one
};

// What a plain scalar means by YAML's core schema (YAML 1.2.2, section 10.3).
typedef enum tv_scalar_type {
    TV_SCALAR_NULL,
    TV_SCALAR_BOOL,
    TV_SCALAR_INTEGER, // decimal
    TV_SCALAR_OCTAL,   // 0o17
    TV_SCALAR_HEX,     // 0x1f
    TV_SCALAR_FLOAT,
    TV_SCALAR_SPECIAL, // .inf, .nan
    TV_SCALAR_TEXT,
} tv_scalar_type;

// Reads one document. NULL if it cannot be read; `diagnostics` then says why, or the region has failed. Duplicate keys
// are diagnostics, too, but leave a tree to go on with (the first of them counts).
tv_yaml_node *tv_yaml_parse(tv_region *region, const char *file, const uint8_t *bytes, size_t length,
                            tv_diagnostics *diagnostics);

// The item of that key in a mapping, or NULL (also for nodes that are none, and for NULL).
const tv_yaml_item *tv_yaml_find(const tv_yaml_node *node, const char *key);
const tv_yaml_node *tv_yaml_get(const tv_yaml_node *node, const char *key);

tv_scalar_type tv_scalar_classify(const char *text, bool quoted);
// Absent, or a plain scalar without a value.
bool tv_yaml_is_null(const tv_yaml_node *node);
// What a person would call it, for "found ...": "a list", "nothing", "the text \"x\"". `out` is cut to fit.
const char *tv_yaml_describe(const tv_yaml_node *node, char *out, size_t out_bytes);

// The number of bytes of the UTF-8 sequence that begins at `text` (not its end), 0 if it is none (RFC 3629).
size_t tv_utf8_length(const unsigned char *text);

#endif
