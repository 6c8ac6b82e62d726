// The JSON Schema (draft 2020-12) of a pipeline file, for editors. Follows the tables of section.h.
//
// The schema is somewhat wider than the reader: it cannot know in which direction a channel is used, so that it takes
// the options of both, and any value may be a text with a variable in it.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#include "pipeline/section.h"

#define SCHEMA_NAME_PATTERN     "^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}$"
#define SCHEMA_VARIABLE_PATTERN "^[A-Za-z_][A-Za-z0-9_]{0,62}$"
#define SCHEMA_SIZE_PATTERN     "^ *[0-9]+(\\.[0-9]+)? *([KMG]i?)?B? *$"
#define SCHEMA_DURATION_PATTERN "^( *[0-9]+(\\.[0-9]+)? *(d|h|m|s|ms|us|ns))+ *$|^ *0$"

typedef struct schema_writer {
    yyjson_mut_doc *doc;
    yyjson_mut_val *definitions;
} schema_writer;

static yyjson_mut_val *schema_object(schema_writer *writer) { return yyjson_mut_obj(writer->doc); }

static void schema_put(schema_writer *writer, yyjson_mut_val *object, const char *key, yyjson_mut_val *value) {
    yyjson_mut_obj_add_val(writer->doc, object, key, value);
}

static void schema_put_text(schema_writer *writer, yyjson_mut_val *object, const char *key, const char *text) {
    yyjson_mut_obj_add_strcpy(writer->doc, object, key, text);
}

static void schema_put_count(schema_writer *writer, yyjson_mut_val *object, const char *key, uint64_t count) {
    yyjson_mut_obj_add_uint(writer->doc, object, key, count);
}

static yyjson_mut_val *schema_put_object(schema_writer *writer, yyjson_mut_val *object, const char *key) {
    yyjson_mut_val *value = schema_object(writer);
    schema_put(writer, object, key, value);
    return value;
}

static yyjson_mut_val *schema_put_list(schema_writer *writer, yyjson_mut_val *object, const char *key) {
    yyjson_mut_val *value = yyjson_mut_arr(writer->doc);
    schema_put(writer, object, key, value);
    return value;
}

static yyjson_mut_val *schema_typed(schema_writer *writer, const char *type) {
    yyjson_mut_val *schema = schema_object(writer);
    schema_put_text(writer, schema, "type", type);
    return schema;
}

static yyjson_mut_val *schema_reference(schema_writer *writer, const char *definition) {
    char text[96];
    yyjson_mut_val *schema = schema_object(writer);
    snprintf(text, sizeof(text), "#/$defs/%s", definition);
    schema_put_text(writer, schema, "$ref", text);
    return schema;
}

static yyjson_mut_val *schema_any_of(schema_writer *writer, yyjson_mut_val *a, yyjson_mut_val *b) {
    yyjson_mut_val *schema = schema_object(writer);
    yyjson_mut_val *list = schema_put_list(writer, schema, "anyOf");
    yyjson_mut_arr_append(list, a);
    yyjson_mut_arr_append(list, b);
    return schema;
}

// ---- options ------------------------------------------------------------------------------------------------

static bool schema_has_range(const tv_option *option) { return option->min != 0 || option->max != 0; }

static yyjson_mut_val *schema_number(schema_writer *writer, const tv_option *option, const char *type) {
    yyjson_mut_val *schema = schema_typed(writer, type);
    if (!schema_has_range(option)) return schema;
    bool whole = option->type != TV_OPTION_NUMBER;
    yyjson_mut_val *min =
        whole ? yyjson_mut_sint(writer->doc, (int64_t)option->min) : yyjson_mut_real(writer->doc, option->min);
    yyjson_mut_val *max =
        whole ? yyjson_mut_sint(writer->doc, (int64_t)option->max) : yyjson_mut_real(writer->doc, option->max);
    schema_put(writer, schema, "minimum", min);
    schema_put(writer, schema, "maximum", max);
    return schema;
}

static yyjson_mut_val *schema_pattern(schema_writer *writer, const char *pattern) {
    yyjson_mut_val *schema = schema_typed(writer, "string");
    schema_put_text(writer, schema, "pattern", pattern);
    return schema;
}

static yyjson_mut_val *schema_choices(schema_writer *writer, const char *const *choices) {
    yyjson_mut_val *schema = schema_object(writer);
    yyjson_mut_val *list = schema_put_list(writer, schema, "enum");
    for (; *choices != NULL; choices++) {
        yyjson_mut_arr_add_strcpy(writer->doc, list, *choices);
    }
    return schema;
}

// A text of the option's length; YAML's plain numbers and booleans are texts where a text is asked for.
static yyjson_mut_val *schema_string(schema_writer *writer, const tv_option *option) {
    yyjson_mut_val *schema = schema_object(writer);
    yyjson_mut_val *types = schema_put_list(writer, schema, "type");
    yyjson_mut_arr_add_str(writer->doc, types, "string");
    yyjson_mut_arr_add_str(writer->doc, types, "number");
    yyjson_mut_arr_add_str(writer->doc, types, "boolean");
    if (option->min > 0) schema_put_count(writer, schema, "minLength", (uint64_t)option->min);
    return schema;
}

static yyjson_mut_val *schema_strings(schema_writer *writer, const tv_option *option) {
    yyjson_mut_val *item = option->choices != NULL ? schema_any_of(writer, schema_choices(writer, option->choices),
                                                                   schema_reference(writer, "variable"))
                                                   : schema_reference(writer, "text");
    yyjson_mut_val *list = schema_typed(writer, "array");
    schema_put(writer, list, "items", item);
    return schema_any_of(writer, list, yyjson_mut_val_mut_copy(writer->doc, item));
}

static yyjson_mut_val *schema_or_variable(schema_writer *writer, yyjson_mut_val *schema) {
    return schema_any_of(writer, schema, schema_reference(writer, "variable"));
}

// A text with units; the number 0 needs none.
static yyjson_mut_val *schema_duration(schema_writer *writer, const tv_option *option) {
    yyjson_mut_val *text = schema_pattern(writer, SCHEMA_DURATION_PATTERN);
    if (schema_has_range(option) && option->min > 0) return text;
    yyjson_mut_val *zero = schema_object(writer);
    schema_put_count(writer, zero, "const", 0);
    return schema_any_of(writer, text, zero);
}

static yyjson_mut_val *schema_option_type(schema_writer *writer, const tv_option *option) {
    switch (option->type) {
    case TV_OPTION_BOOL: return schema_or_variable(writer, schema_typed(writer, "boolean"));
    case TV_OPTION_INTEGER: return schema_or_variable(writer, schema_number(writer, option, "integer"));
    case TV_OPTION_NUMBER: return schema_or_variable(writer, schema_number(writer, option, "number"));
    case TV_OPTION_STRING: return schema_string(writer, option);
    case TV_OPTION_ENUM: return schema_or_variable(writer, schema_choices(writer, option->choices));
    case TV_OPTION_SIZE:
        return schema_or_variable(writer, schema_any_of(writer, schema_number(writer, option, "integer"),
                                                        schema_pattern(writer, SCHEMA_SIZE_PATTERN)));
    case TV_OPTION_DURATION: return schema_or_variable(writer, schema_duration(writer, option));
    case TV_OPTION_STRINGS: return schema_strings(writer, option);
    }
    return schema_object(writer);
}

static yyjson_mut_val *schema_default(schema_writer *writer, const tv_option *option) {
    const char *text = option->default_text;
    switch (option->type) {
    case TV_OPTION_BOOL: return yyjson_mut_bool(writer->doc, strcmp(text, "true") == 0);
    case TV_OPTION_INTEGER: return yyjson_mut_sint(writer->doc, strtoll(text, NULL, 10));
    case TV_OPTION_NUMBER: return yyjson_mut_real(writer->doc, strtod(text, NULL));
    case TV_OPTION_STRING:
    case TV_OPTION_ENUM:
    case TV_OPTION_SIZE:
    case TV_OPTION_DURATION:
    case TV_OPTION_STRINGS: break;
    }
    return yyjson_mut_strcpy(writer->doc, text);
}

static yyjson_mut_val *schema_option(schema_writer *writer, const tv_option *option) {
    yyjson_mut_val *schema = schema_option_type(writer, option);
    schema_put_text(writer, schema, "description", option->help);
    if (option->default_text != NULL) schema_put(writer, schema, "default", schema_default(writer, option));
    return schema;
}

// ---- children -----------------------------------------------------------------------------------------------

static yyjson_mut_val *schema_map(schema_writer *writer, const char *pattern, yyjson_mut_val *values) {
    yyjson_mut_val *schema = schema_typed(writer, "object");
    schema_put(writer, schema, "additionalProperties", values);
    if (pattern != NULL) schema_put(writer, schema, "propertyNames", schema_pattern(writer, pattern));
    return schema;
}

static yyjson_mut_val *schema_list_of(schema_writer *writer, yyjson_mut_val *items, uint64_t most) {
    yyjson_mut_val *schema = schema_typed(writer, "array");
    schema_put(writer, schema, "items", items);
    schema_put_count(writer, schema, "maxItems", most);
    return schema;
}

static yyjson_mut_val *schema_outputs(schema_writer *writer) {
    yyjson_mut_val *channels = schema_any_of(writer, schema_reference(writer, "text"),
                                             schema_list_of(writer, schema_reference(writer, "text"), TV_CHANNELS_MAX));
    yyjson_mut_val *ports = schema_map(writer, SCHEMA_NAME_PATTERN, yyjson_mut_val_mut_copy(writer->doc, channels));
    return schema_any_of(writer, channels, ports);
}

static yyjson_mut_val *schema_inputs(schema_writer *writer, const tv_section *section) {
    yyjson_mut_val *one =
        schema_any_of(writer, schema_reference(writer, "text"), schema_reference(writer, section->name));
    yyjson_mut_val *list = schema_list_of(writer, yyjson_mut_val_mut_copy(writer->doc, one), TV_STAGE_INPUTS_MAX);
    return schema_any_of(writer, one, list);
}

static yyjson_mut_val *schema_section(schema_writer *writer, const tv_child *child) {
    if (!child->shorthand) return schema_reference(writer, child->section->name);
    return schema_any_of(writer, schema_reference(writer, "text"), schema_reference(writer, child->section->name));
}

static yyjson_mut_val *schema_child_value(schema_writer *writer, const tv_child *child) {
    switch (child->shape) {
    case TV_CHILD_SECTION: return schema_section(writer, child);
    case TV_CHILD_MAP: return schema_map(writer, SCHEMA_NAME_PATTERN, schema_reference(writer, child->section->name));
    case TV_CHILD_LIST: return schema_list_of(writer, schema_reference(writer, child->section->name), TV_FLOWS_MAX);
    case TV_CHILD_TEXTS: return schema_map(writer, NULL, schema_reference(writer, "text"));
    case TV_CHILD_PARAMETERS: return schema_map(writer, SCHEMA_VARIABLE_PATTERN, schema_reference(writer, "text"));
    case TV_CHILD_INPUTS: return schema_inputs(writer, child->section);
    case TV_CHILD_OUTPUTS: return schema_outputs(writer);
    case TV_CHILD_FREE: return schema_typed(writer, "object");
    }
    return schema_object(writer);
}

// A key whose value was left out is as good as absent, unless it is needed or would be a reference.
static bool schema_child_may_be_null(const tv_child *child) {
    bool references = child->shape == TV_CHILD_INPUTS || child->shape == TV_CHILD_OUTPUTS;
    return !child->required && !references && child->shape != TV_CHILD_LIST;
}

static yyjson_mut_val *schema_child(schema_writer *writer, const tv_child *child) {
    yyjson_mut_val *value = schema_child_value(writer, child);
    if (schema_child_may_be_null(child)) value = schema_any_of(writer, value, schema_typed(writer, "null"));
    schema_put_text(writer, value, "description", child->help);
    return value;
}

// ---- sections -----------------------------------------------------------------------------------------------

// Both directions of a connector may have an option of that name, perhaps with other values.
static void schema_put_property(schema_writer *writer, yyjson_mut_val *properties, const char *name,
                                yyjson_mut_val *schema) {
    yyjson_mut_val *known = yyjson_mut_obj_get(properties, name);
    if (known == NULL) {
        schema_put(writer, properties, name, schema);
    } else if (!yyjson_mut_equals(known, schema)) {
        yyjson_mut_val *either = schema_any_of(writer, yyjson_mut_val_mut_copy(writer->doc, known), schema);
        yyjson_mut_obj_replace(properties, yyjson_mut_str(writer->doc, name), either);
    }
}

static void schema_put_options(schema_writer *writer, yyjson_mut_val *properties, yyjson_mut_val *required,
                               const tv_option_table *table) {
    for (size_t i = 0; i < table->count; i++) {
        const tv_option *option = &table->options[i];
        schema_put_property(writer, properties, option->name, schema_option(writer, option));
        if (option->required && required != NULL) yyjson_mut_arr_add_str(writer->doc, required, option->name);
    }
}

static void schema_fill_section(schema_writer *writer, yyjson_mut_val *schema, const tv_section *section) {
    schema_put_text(writer, schema, "type", "object");
    schema_put_text(writer, schema, "description", section->help);
    yyjson_mut_val *properties = schema_put_object(writer, schema, "properties");
    yyjson_mut_val *required = yyjson_mut_arr(writer->doc);
    schema_put_options(writer, properties, required, &section->options);
    for (size_t i = 0; i < section->child_count; i++) {
        const tv_child *child = &section->children[i];
        schema_put(writer, properties, child->name, schema_child(writer, child));
        if (child->required) yyjson_mut_arr_add_str(writer->doc, required, child->name);
    }
    if (yyjson_mut_arr_size(required) > 0) schema_put(writer, schema, "required", required);
}

// A connector's options stand beside a channel's own keys: if `connector` is this one, then these are allowed, too.
static yyjson_mut_val *schema_connector(schema_writer *writer, const tv_connector *connector) {
    yyjson_mut_val *schema = schema_object(writer);
    yyjson_mut_val *condition = schema_put_object(writer, schema, "if");
    yyjson_mut_val *tested = schema_put_object(writer, condition, "properties");
    schema_put_text(writer, schema_put_object(writer, tested, "connector"), "const", connector->name);
    yyjson_mut_val *then = schema_put_object(writer, schema, "then");
    yyjson_mut_val *properties = schema_put_object(writer, then, "properties");
    if ((connector->directions & TV_INPUT) != 0) {
        schema_put_options(writer, properties, NULL, &connector->input_options);
    }
    if ((connector->directions & TV_OUTPUT) != 0) {
        schema_put_options(writer, properties, NULL, &connector->output_options);
    }
    return schema;
}

static void schema_put_connectors(schema_writer *writer, yyjson_mut_val *channel, const tv_connector *const *connectors,
                                  size_t connector_count) {
    yyjson_mut_val *own = yyjson_mut_obj_get(yyjson_mut_obj_get(channel, "properties"), "connector");
    yyjson_mut_val *names = schema_put_list(writer, own, "examples");
    yyjson_mut_val *all = schema_put_list(writer, channel, "allOf");
    for (size_t i = 0; i < connector_count; i++) {
        yyjson_mut_arr_add_strcpy(writer->doc, names, connectors[i]->name);
        yyjson_mut_arr_append(all, schema_connector(writer, connectors[i]));
    }
    yyjson_mut_obj_add_bool(writer->doc, channel, "unevaluatedProperties", false);
}

static void schema_put_basics(schema_writer *writer) {
    yyjson_mut_val *variable = schema_pattern(writer, "\\$\\{");
    schema_put_text(writer, variable, "description", "A text with variables: ${NAME} or ${NAME:-default}.");
    schema_put(writer, writer->definitions, "variable", variable);
    yyjson_mut_val *text = schema_object(writer);
    yyjson_mut_val *types = schema_put_list(writer, text, "type");
    yyjson_mut_arr_add_str(writer->doc, types, "string");
    yyjson_mut_arr_add_str(writer->doc, types, "number");
    yyjson_mut_arr_add_str(writer->doc, types, "boolean");
    schema_put(writer, writer->definitions, "text", text);
}

static yyjson_mut_val *schema_build(schema_writer *writer, const tv_connector *const *connectors,
                                    size_t connector_count) {
    yyjson_mut_val *root = schema_object(writer);
    schema_put_text(writer, root, "$schema", "https://json-schema.org/draft/2020-12/schema");
    schema_put_text(writer, root, "title", "Torvyn pipeline file, version 1");
    schema_fill_section(writer, root, &tv_section_root);
    yyjson_mut_obj_add_bool(writer->doc, root, "additionalProperties", false);
    writer->definitions = schema_put_object(writer, root, "$defs");
    schema_put_basics(writer);
    for (const tv_section *const *at = tv_sections + 1; *at != NULL; at++) {
        yyjson_mut_val *schema = schema_put_object(writer, writer->definitions, (*at)->name);
        schema_fill_section(writer, schema, *at);
        if (*at == &tv_section_channel) {
            schema_put_connectors(writer, schema, connectors, connector_count);
        } else {
            yyjson_mut_obj_add_bool(writer->doc, schema, "additionalProperties", false);
        }
    }
    return root;
}

void tv_pipeline_print_schema(FILE *out, const tv_connector *const *connectors, size_t connector_count) {
    schema_writer writer = {.doc = yyjson_mut_doc_new(NULL)};
    yyjson_mut_val *root = schema_build(&writer, connectors, connector_count);
    char *json = yyjson_mut_val_write(root, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL);
    if (json != NULL) fprintf(out, "%s\n", json);
    free(json);
    yyjson_mut_doc_free(writer.doc);
}
