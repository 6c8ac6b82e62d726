// See reader.h. Values are read by base's option tables; this file adds places, variables and the keys.
#include "pipeline/reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { READER_NAMES_MAX = 128, READER_PATH_BYTES = 256, READER_PATH_DEPTH_MAX = TV_YAML_DEPTH_MAX + 2 };

// ---- reports ------------------------------------------------------------------------------------------------

static void reader_format_path(const tv_path *path, char out[READER_PATH_BYTES]) {
    const tv_path *steps[READER_PATH_DEPTH_MAX];
    size_t depth = 0, length = 0;
    for (; path != NULL && depth < READER_PATH_DEPTH_MAX; path = path->parent) {
        steps[depth++] = path;
    }
    out[0] = '\0';
    while (depth > 0 && length < READER_PATH_BYTES) {
        const tv_path *step = steps[--depth];
        char *at = out + length;
        size_t room = READER_PATH_BYTES - length;
        int printed = step->name != NULL ? snprintf(at, room, "%s%.64s", length > 0 ? "." : "", step->name)
                                         : snprintf(at, room, "[%zu]", step->index);
        length += printed > 0 ? (size_t)printed : 0;
    }
}

// Of many flows made from one entry it is one whose values are wrong.
static void reader_add_flow(const tv_reader *reader, char *message, size_t message_bytes) {
    size_t length = strlen(message);
    if (reader->many_file != NULL) {
        snprintf(message + length, message_bytes - length, " (flow \"%s\", %s:%u)", reader->many_flow,
                 reader->many_file, reader->many_line);
    } else {
        snprintf(message + length, message_bytes - length, " (flow \"%s\")", reader->many_flow);
    }
}

void tv_reader_report(tv_reader *reader, tv_severity severity, tv_place place, const tv_path *path, const char *hint,
                      const char *format, ...) {
    char path_text[READER_PATH_BYTES], message[1024];
    if (severity == TV_SEVERITY_ERROR) reader->error_count++;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    if (reader->many_flow != NULL && reader->variables.parameter_hits > reader->many_hits) {
        reader_add_flow(reader, message, sizeof(message));
    }
    reader_format_path(path, path_text);
    tv_diagnostics_add_text(reader->diagnostics, severity, reader->file, place.line, place.column, path_text, hint,
                            format, message);
}

const char *tv_reader_list(tv_reader *reader, const char *prefix, const char *const *names, size_t count) {
    if (count == 0) return NULL;
    tv_text list = {0};
    tv_text_print(&list, "%s", prefix);
    for (size_t i = 0; i < count && list.length < 400; i++) {
        tv_text_print(&list, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    const char *hint = list.failed ? NULL : tv_region_copy(reader->region, list.bytes, list.length);
    if (list.failed) reader->region->failed = true;
    tv_text_deinit(&list);
    return hint;
}

const char *tv_reader_suggest(tv_reader *reader, const char *name, const char *const *names, size_t count) {
    const char *nearest = count > 0 ? tv_nearest_name(name, names, count) : NULL;
    if (nearest != NULL) return tv_region_print(reader->region, "did you mean \"%s\"?", nearest);
    return tv_reader_list(reader, "known here: ", names, count);
}

// ---- scalars ------------------------------------------------------------------------------------------------

static bool reader_is_utf8(const char *text) {
    for (size_t length; *text != '\0'; text += length) {
        length = tv_utf8_length((const unsigned char *)text);
        if (length == 0) return false;
    }
    return true;
}

// *resolved says whether a variable was in it.
static const char *reader_resolve(tv_reader *reader, const tv_yaml_node *node, const tv_path *path, bool *resolved) {
    tv_variable_result result;
    *resolved = false;
    if (!tv_variables_expand(&reader->variables, reader->region, node->text, &result)) {
        if (result.message[0] == '\0') return NULL; // memory; the region knows
        tv_reader_report(reader, TV_SEVERITY_ERROR, node->place, path, result.hint, "%s", result.message);
        return NULL;
    }
    *resolved = result.resolved;
    if (!result.resolved || reader_is_utf8(result.text)) return result.text;
    tv_reader_report(reader, TV_SEVERITY_ERROR, node->place, path, "the values of variables must be UTF-8 text",
                     "with its variables resolved the text is not valid UTF-8");
    return NULL;
}

const char *tv_reader_scalar(tv_reader *reader, const tv_yaml_node *node, const tv_path *path, tv_scalar_type *type) {
    bool resolved;
    const char *text = reader_resolve(reader, node, path, &resolved);
    if (text != NULL) *type = tv_scalar_classify(text, node->quoted);
    return text;
}

const char *tv_reader_text(tv_reader *reader, const tv_yaml_node *node, const tv_path *path) {
    char found[80];
    tv_scalar_type type;
    if (node->kind != TV_YAML_SCALAR || tv_yaml_is_null(node)) {
        tv_reader_report(reader, TV_SEVERITY_ERROR, node->place, path, NULL, "expected a text, found %s",
                         tv_yaml_describe(node, found, sizeof(found)));
        return NULL;
    }
    const char *text = tv_reader_scalar(reader, node, path, &type);
    if (text == NULL || text[0] != '\0') return text;
    tv_reader_report(reader, TV_SEVERITY_ERROR, node->place, path, NULL, "expected a text, found an empty one");
    return NULL;
}

// ---- options ------------------------------------------------------------------------------------------------

static size_t reader_count_choices(const tv_option *option) {
    size_t count = 0;
    while (option->choices[count] != NULL) {
        count++;
    }
    return count;
}

static const char *reader_choices_text(tv_reader *reader, const tv_option *option) {
    const char *text = tv_reader_list(reader, "one of ", option->choices, reader_count_choices(option));
    return text != NULL ? text : "one of the choices";
}

static const char *reader_type_text(tv_reader *reader, const tv_option *option) {
    switch (option->type) {
    case TV_OPTION_BOOL: return "true or false";
    case TV_OPTION_INTEGER: return "a whole number";
    case TV_OPTION_NUMBER: return "a number";
    case TV_OPTION_STRING: return "a text";
    case TV_OPTION_ENUM: return reader_choices_text(reader, option);
    case TV_OPTION_SIZE: return "a size such as 64KiB";
    case TV_OPTION_DURATION: return "a duration such as 100ms";
    case TV_OPTION_STRINGS: return "a list of texts";
    }
    return "a value";
}

static const char *reader_option_hint(tv_reader *reader, const tv_option *option) {
    if (option->default_text == NULL) return NULL;
    return tv_region_print(reader->region, "without the key it is %s", option->default_text);
}

// A quoted number is a text, unless variables are in it: { } needs quotes around those.
static bool reader_must_be_plain(const tv_option *option) {
    return option->type == TV_OPTION_BOOL || option->type == TV_OPTION_INTEGER || option->type == TV_OPTION_NUMBER;
}

static void reader_fill_scalar(tv_reader *reader, const tv_option *option, const tv_yaml_node *node,
                               const tv_path *path, void *values) {
    tv_error error;
    char found[80];
    if (node->kind != TV_YAML_SCALAR || tv_yaml_is_null(node)) {
        tv_reader_report(reader, TV_SEVERITY_ERROR, node->place, path, reader_option_hint(reader, option),
                         "expected %s, found %s", reader_type_text(reader, option),
                         tv_yaml_describe(node, found, sizeof(found)));
        return;
    }
    bool resolved;
    reader->variables.text = option->text;
    const char *text = reader_resolve(reader, node, path, &resolved);
    reader->variables.text = TV_OPTION_ANY_TEXT;
    if (text == NULL) return;
    if (node->quoted && !resolved && reader_must_be_plain(option)) {
        tv_reader_report(reader, TV_SEVERITY_ERROR, node->place, path, "remove the quotes",
                         "expected %s, found the text \"%.60s\"", reader_type_text(reader, option), text);
        return;
    }
    if (tv_option_parse(option, text, values, &error) != TV_OK) {
        tv_reader_report(reader, TV_SEVERITY_ERROR, node->place, path, reader_option_hint(reader, option), "%s%s",
                         error.message, resolved ? " (from a variable)" : "");
    }
}

static void reader_check_choice(tv_reader *reader, const tv_option *option, const char *text, tv_place place,
                                const tv_path *path) {
    if (option->choices == NULL) return;
    size_t count = reader_count_choices(option);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(option->choices[i], text) == 0) return;
    }
    tv_reader_report(reader, TV_SEVERITY_ERROR, place, path, tv_reader_suggest(reader, text, option->choices, count),
                     "\"%.60s\" is not a choice for %s", text, option->name);
}

// One text stands for a list of one.
static void reader_fill_strings(tv_reader *reader, const tv_option *option, const tv_yaml_node *node,
                                const tv_path *path, void *values) {
    tv_string_list list = {0};
    tv_yaml_item single = {.value = (tv_yaml_node *)(uintptr_t)node};
    const tv_yaml_item *item = node->kind == TV_YAML_LIST ? node->items : &single;
    if (tv_yaml_is_null(node) || node->kind == TV_YAML_MAPPING) {
        reader_fill_scalar(reader, option, node, path, values); // says what was expected
        return;
    }
    size_t count = node->kind == TV_YAML_LIST ? node->count : 1;
    list.items = tv_region_alloc(reader->region, count, sizeof(*list.items));
    if (list.items == NULL) return;
    for (size_t i = 0; item != NULL; item = item->next, i++) {
        tv_path item_path = {.parent = path, .index = i};
        const char *text = tv_reader_text(reader, item->value, node->kind == TV_YAML_LIST ? &item_path : path);
        if (text == NULL) continue;
        reader_check_choice(reader, option, text, item->value->place, &item_path);
        list.items[list.count++] = text;
    }
    memcpy((char *)values + option->offset, &list, sizeof(list));
}

// ---- mappings -----------------------------------------------------------------------------------------------

static const tv_child *reader_find_child(const tv_section *section, const char *name) {
    for (size_t i = 0; i < section->child_count; i++) {
        if (strcmp(section->children[i].name, name) == 0) return &section->children[i];
    }
    return NULL;
}

static void reader_fill_child(tv_reader *reader, const tv_child *child, const tv_yaml_node *node, tv_place place,
                              const tv_path *path, void *values) {
    char *field = (char *)values + child->offset;
    if (child->shorthand && node->kind == TV_YAML_SCALAR && !tv_yaml_is_null(node)) {
        reader_fill_scalar(reader, tv_option_find(&child->section->options, child->shorthand), node, path, field);
    } else if (child->shape == TV_CHILD_SECTION) {
        tv_reader_section(reader, child->section, node, place, path, field);
    } else {
        memcpy(field, &node, sizeof(node));
    }
}

static size_t reader_collect_names(const tv_reader_target *targets, size_t target_count,
                                   const char *names[READER_NAMES_MAX]) {
    size_t count = 0;
    for (size_t t = 0; t < target_count; t++) {
        const tv_section *section = targets[t].section;
        if (targets[t].refusal != NULL) continue;
        for (size_t i = 0; i < section->options.count && count < READER_NAMES_MAX; i++) {
            names[count++] = section->options.options[i].name;
        }
        for (size_t i = 0; i < section->child_count && count < READER_NAMES_MAX; i++) {
            names[count++] = section->children[i].name;
        }
    }
    return count;
}

static void reader_report_unknown(tv_reader *reader, const tv_reader_target *targets, size_t target_count,
                                  const tv_yaml_item *item, const tv_path *path) {
    const char *names[READER_NAMES_MAX];
    size_t count = reader_collect_names(targets, target_count, names);
    const char *hint = tv_reader_suggest(reader, item->key, names, count);
    if (strcmp(item->key, "<<") == 0) hint = "merge keys are not supported; write the keys out";
    tv_reader_report(reader, TV_SEVERITY_ERROR, item->key_place, path, hint, "unknown key \"%.60s\"", item->key);
}

static void reader_report_no_mapping(tv_reader *reader, const tv_reader_target *targets, size_t target_count,
                                     const tv_yaml_node *node, const tv_path *path) {
    const char *names[READER_NAMES_MAX];
    char found[80];
    size_t count = reader_collect_names(targets, target_count, names);
    tv_reader_report(reader, TV_SEVERITY_ERROR, node->place, path,
                     tv_reader_list(reader, "the keys here are ", names, count),
                     "expected a mapping of keys to values, found %s", tv_yaml_describe(node, found, sizeof(found)));
}

static void reader_fill_item(tv_reader *reader, const tv_reader_target *targets, size_t target_count,
                             const tv_yaml_item *item, const tv_path *path) {
    tv_path item_path = {.parent = path, .name = item->key};
    for (size_t t = 0; t < target_count; t++) {
        const tv_option *option = tv_option_find(&targets[t].section->options, item->key);
        const tv_child *child = reader_find_child(targets[t].section, item->key);
        if (targets[t].refusal != NULL && option != NULL) {
            tv_reader_report(reader, TV_SEVERITY_ERROR, item->key_place, path, targets[t].refusal,
                             "the key \"%s\" cannot be used here", item->key);
            return;
        }
        if (option != NULL && option->type == TV_OPTION_STRINGS) {
            reader_fill_strings(reader, option, item->value, &item_path, targets[t].values);
        } else if (option != NULL) {
            reader_fill_scalar(reader, option, item->value, &item_path, targets[t].values);
        } else if (child != NULL) {
            reader_fill_child(reader, child, item->value, item->key_place, &item_path, targets[t].values);
        }
        if (option != NULL || child != NULL) return;
    }
    reader_report_unknown(reader, targets, target_count, item, path);
}

static void reader_set_defaults(tv_reader *reader, const tv_section *section, void *values) {
    tv_error error;
    if (section->options.struct_bytes == 0) return;
    if (tv_option_defaults(&section->options, values, &error) != TV_OK) {
        tv_reader_report(reader, TV_SEVERITY_ERROR, (tv_place){0}, NULL, NULL, "table %s: %s", section->name,
                         error.message);
    }
    for (size_t i = 0; i < section->child_count; i++) {
        const tv_child *child = &section->children[i];
        if (child->shape == TV_CHILD_SECTION) {
            reader_set_defaults(reader, child->section, (char *)values + child->offset);
        }
    }
}

static void reader_check_required(tv_reader *reader, const tv_section *section, const tv_yaml_node *node,
                                  tv_place place, const tv_path *path) {
    for (size_t i = 0; i < section->options.count; i++) {
        const tv_option *option = &section->options.options[i];
        if (!option->required || tv_yaml_get(node, option->name) != NULL) continue;
        tv_reader_report(reader, TV_SEVERITY_ERROR, place, path,
                         tv_region_print(reader->region, "add `%s:` with %s: %s", option->name,
                                         reader_type_text(reader, option), option->help),
                         "the key \"%s\" is missing", option->name);
    }
    for (size_t i = 0; i < section->child_count; i++) {
        const tv_child *child = &section->children[i];
        if (!child->required || !tv_yaml_is_null(tv_yaml_get(node, child->name))) continue;
        tv_reader_report(reader, TV_SEVERITY_ERROR, place, path,
                         tv_region_print(reader->region, "add `%s:`. %s", child->name, child->help),
                         "the key \"%s\" is missing or empty", child->name);
    }
}

bool tv_reader_fill(tv_reader *reader, const tv_reader_target *targets, size_t target_count, const tv_yaml_node *node,
                    tv_place place, const tv_path *path) {
    for (size_t t = 0; t < target_count; t++) {
        if (targets[t].refusal == NULL) reader_set_defaults(reader, targets[t].section, targets[t].values);
    }
    bool is_null = tv_yaml_is_null(node);
    if (!is_null && node->kind != TV_YAML_MAPPING) {
        reader_report_no_mapping(reader, targets, target_count, node, path);
        return false;
    }
    for (const tv_yaml_item *item = is_null ? NULL : node->items; item != NULL; item = item->next) {
        reader_fill_item(reader, targets, target_count, item, path);
    }
    for (size_t t = 0; t < target_count; t++) {
        if (targets[t].refusal == NULL) reader_check_required(reader, targets[t].section, node, place, path);
    }
    return true;
}

bool tv_reader_section(tv_reader *reader, const tv_section *section, const tv_yaml_node *node, tv_place place,
                       const tv_path *path, void *values) {
    tv_reader_target target = {.section = section, .values = values};
    return tv_reader_fill(reader, &target, 1, node, place, path);
}

void tv_reader_key(tv_reader *reader, const tv_option *option, const tv_yaml_node *node, const tv_path *path,
                   void *values) {
    const tv_yaml_node *value = tv_yaml_get(node, option->name);
    tv_path value_path = {.parent = path, .name = option->name};
    if (value != NULL) reader_fill_scalar(reader, option, value, &value_path, values);
}

// ---- names and paths ----------------------------------------------------------------------------------------

bool tv_name_is_valid(const char *name) {
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t length = strlen(name);
    return length > 0 && length <= TV_NAME_BYTES_MAX && name[0] != '-' && strspn(name, allowed) == length;
}

bool tv_reader_name(tv_reader *reader, const char *name, tv_place place, const tv_path *path, const char *of_what) {
    if (tv_name_is_valid(name)) return true;
    tv_reader_report(reader, TV_SEVERITY_ERROR, place, path, TV_NAME_RULE, "\"%.80s\" cannot be the name of %s", name,
                     of_what);
    return false;
}

const char *tv_reader_resolve_path(tv_reader *reader, const char *path) {
    const char *slash = strrchr(reader->file, '/');
    if (path[0] == '/' || slash == NULL) return path;
    return tv_region_print(reader->region, "%.*s/%s", (int)(slash - reader->file), reader->file, path);
}
