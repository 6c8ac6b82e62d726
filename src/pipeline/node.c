// Look-ups in the tree and the meaning of scalars. Pure; parsing is in yaml.c.
#include "pipeline/node.h"

#include <stdio.h>
#include <string.h>

#include "base/show.h"

const tv_yaml_item *tv_yaml_find(const tv_yaml_node *node, const char *key) {
    if (node == NULL || node->kind != TV_YAML_MAPPING) return NULL;
    for (const tv_yaml_item *item = node->items; item != NULL; item = item->next) {
        if (strcmp(item->key, key) == 0) return item;
    }
    return NULL;
}

const tv_yaml_node *tv_yaml_get(const tv_yaml_node *node, const char *key) {
    const tv_yaml_item *item = tv_yaml_find(node, key);
    return item != NULL ? item->value : NULL;
}

static bool scalar_is_one_of(const char *text, const char *const *names) {
    for (; *names != NULL; names++) {
        if (strcmp(text, *names) == 0) return true;
    }
    return false;
}

static bool scalar_has_only(const char *text, const char *characters) {
    return text[0] != '\0' && text[strspn(text, characters)] == '\0';
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
static bool scalar_is_float(const char *text) {
    static const char digits[] = "0123456789";
    text += *text == '-' || *text == '+';
    size_t whole = strspn(text, digits);
    text += whole;
    size_t fraction = 0;
    if (*text == '.') {
        fraction = strspn(text + 1, digits);
        if (whole == 0 && fraction == 0) return false;
        text += 1 + fraction;
    } else if (whole == 0) {
        return false;
    }
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '-' || *text == '+';
        return scalar_has_only(text, digits);
    }
    return *text == '\0';
}

tv_scalar_type tv_scalar_classify(const char *text, bool quoted) {
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const bools[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
    static const char *const specials[] = {".inf",  ".Inf",  ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
                                           "-.Inf", "-.INF", ".nan", ".NaN",  ".NAN",  NULL};
    if (quoted) return TV_SCALAR_TEXT;
    if (scalar_is_one_of(text, nulls)) return TV_SCALAR_NULL;
    if (scalar_is_one_of(text, bools)) return TV_SCALAR_BOOL;
    if (strncmp(text, "0o", 2) == 0 && scalar_has_only(text + 2, "01234567")) return TV_SCALAR_OCTAL;
    if (strncmp(text, "0x", 2) == 0 && scalar_has_only(text + 2, "0123456789abcdefABCDEF")) return TV_SCALAR_HEX;
    if (scalar_has_only(text + (*text == '-' || *text == '+'), "0123456789")) return TV_SCALAR_INTEGER;
    if (scalar_is_float(text)) return TV_SCALAR_FLOAT;
    return scalar_is_one_of(text, specials) ? TV_SCALAR_SPECIAL : TV_SCALAR_TEXT;
}

bool tv_yaml_is_null(const tv_yaml_node *node) {
    if (node == NULL) return true;
    return node->kind == TV_YAML_SCALAR && tv_scalar_classify(node->text, node->quoted) == TV_SCALAR_NULL;
}

const char *tv_yaml_describe(const tv_yaml_node *node, char *out, size_t out_bytes) {
    if (tv_yaml_is_null(node)) return "nothing";
    if (node->kind == TV_YAML_LIST) return "a list";
    if (node->kind == TV_YAML_MAPPING) return "a mapping";
    snprintf(out, out_bytes, "\"%.60s%s\"", node->text, node->length > 60 ? "..." : "");
    return out;
}

size_t tv_utf8_length(const unsigned char *text) {
    const char *bytes = (const char *)text;
    return tv_utf8_character(bytes, strnlen(bytes, 4));
}
