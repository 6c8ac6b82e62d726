// torvyn connectors: what a channel's `connector:` may be, from the connectors' own tables.
#include <string.h>

#include "cli/cli.h"
#include "host/host.h"
#include "yyjson.h"

static const char *type_name(tv_option_type type) {
    switch (type) {
    case TV_OPTION_BOOL: return "true or false";
    case TV_OPTION_INTEGER: return "whole number";
    case TV_OPTION_NUMBER: return "number";
    case TV_OPTION_STRING: return "text";
    case TV_OPTION_ENUM: return "choice";
    case TV_OPTION_SIZE: return "size";
    case TV_OPTION_DURATION: return "duration";
    case TV_OPTION_STRINGS: return "list of texts";
    }
    return "";
}

static const char *directions_name(unsigned directions) {
    if (directions == (TV_INPUT | TV_OUTPUT)) return "input, output";
    return directions == TV_INPUT ? "input" : "output";
}

// "1 KiB to 16 MiB", in the option's own unit; "" without a range.
static void format_range(const tv_option *option, char *text, size_t size) {
    char least[32], most[32];
    text[0] = '\0';
    if (option->min == 0 && option->max == 0) return;
    if (option->type == TV_OPTION_SIZE)
        snprintf(text, size, "%s to %s", tv_format_size((uint64_t)option->min, least),
                 tv_format_size((uint64_t)option->max, most));
    else if (option->type == TV_OPTION_DURATION)
        snprintf(text, size, "%s to %s", tv_format_duration((int64_t)option->min, least),
                 tv_format_duration((int64_t)option->max, most));
    else if (option->type != TV_OPTION_STRING)
        snprintf(text, size, "%.15g to %.15g", option->min, option->max);
}

// ---- text ---------------------------------------------------------------------------------------------------

static void print_option(const tv_option *option) {
    char range[96];
    format_range(option, range, sizeof range);
    printf("  %-16s %s", option->name, type_name(option->type));
    if (option->type == TV_OPTION_ENUM)
        for (size_t i = 0; option->choices[i]; i++)
            printf("%s%s", i ? " | " : ": ", option->choices[i]);
    if (range[0]) printf(", %s", range);
    if (option->required) printf(", required");
    if (option->default_text) printf(", default %s", option->default_text[0] ? option->default_text : "empty");
    printf("\n  %-16s %s\n", "", option->help);
}

static void print_table(const char *title, const tv_option_table *table) {
    printf("\n%s:\n", title);
    for (size_t i = 0; i < table->count; i++)
        print_option(&table->options[i]);
    if (table->count == 0) printf("  (no options)\n");
}

static void print_connector(const tv_connector *connector) {
    printf("%s - %s\n", connector->name, connector->summary);
    if (connector->directions & TV_INPUT)
        printf("%s\n", connector->pausable ? "A full queue makes it wait."
                                           : "Nobody can make it wait: a full queue loses records by `overflow:`.");
    if (connector->directions & TV_INPUT) print_table("As input", &connector->input_options);
    if (connector->directions & TV_OUTPUT) print_table("As output", &connector->output_options);
}

static void print_list(const tv_connector *const *connectors, size_t count) {
    for (size_t i = 0; i < count; i++)
        printf("%-12s %-14s %s\n", connectors[i]->name, directions_name(connectors[i]->directions),
               connectors[i]->summary);
    printf("\n`torvyn connectors NAME` shows the options of one.\n");
}

// ---- JSON ---------------------------------------------------------------------------------------------------

static void add_option(yyjson_mut_doc *document, yyjson_mut_val *list, const tv_option *option) {
    char range[96];
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(document, list);
    yyjson_mut_obj_add_str(document, object, "name", option->name);
    yyjson_mut_obj_add_str(document, object, "type", type_name(option->type));
    yyjson_mut_obj_add_bool(document, object, "required", option->required);
    if (option->default_text) yyjson_mut_obj_add_str(document, object, "default", option->default_text);
    format_range(option, range, sizeof range);
    if (range[0]) yyjson_mut_obj_add_strcpy(document, object, "range", range);
    if (option->type == TV_OPTION_ENUM) {
        yyjson_mut_val *choices = yyjson_mut_obj_add_arr(document, object, "choices");
        for (size_t i = 0; option->choices[i]; i++)
            yyjson_mut_arr_add_str(document, choices, option->choices[i]);
    }
    yyjson_mut_obj_add_str(document, object, "help", option->help);
}

static void add_table(yyjson_mut_doc *document, yyjson_mut_val *object, const char *name,
                      const tv_option_table *table) {
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(document, object, name);
    for (size_t i = 0; i < table->count; i++)
        add_option(document, list, &table->options[i]);
}

static void add_connector(yyjson_mut_doc *document, yyjson_mut_val *list, const tv_connector *connector) {
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(document, list);
    yyjson_mut_obj_add_str(document, object, "name", connector->name);
    yyjson_mut_obj_add_str(document, object, "summary", connector->summary);
    yyjson_mut_obj_add_bool(document, object, "pausable", connector->pausable);
    if (connector->directions & TV_INPUT) add_table(document, object, "input", &connector->input_options);
    if (connector->directions & TV_OUTPUT) add_table(document, object, "output", &connector->output_options);
}

static int print_json(const tv_connector *const *connectors, size_t count) {
    yyjson_mut_doc *document = yyjson_mut_doc_new(NULL);
    if (!document) return TV_EXIT_FAILED;
    yyjson_mut_val *list = yyjson_mut_arr(document);
    yyjson_mut_doc_set_root(document, list);
    for (size_t i = 0; i < count; i++)
        add_connector(document, list, connectors[i]);
    return tv_cli_print_json(document);
}

// ---- verb ---------------------------------------------------------------------------------------------------

static int report_unknown(const char *verb, const char *name, const tv_connector *const *connectors, size_t count) {
    const char *names[32];
    size_t known = 0;
    for (; known < count && known < 32; known++)
        names[known] = connectors[known]->name;
    const char *nearest = tv_nearest_name(name, names, known);
    return tv_cli_usage_error(verb, "there is no connector '%s'%s%s%s (`torvyn connectors` lists them)", name,
                              nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

int tv_verb_connectors(int argc, char **argv) {
    tv_format format = TV_FORMAT_TEXT;
    const tv_flag flags[] = {
        TV_FLAG_FORMAT_OF(&format),
    };
    tv_syntax syntax = {.flags = flags, .flag_count = sizeof flags / sizeof flags[0], .arguments_max = 1};
    tv_arguments arguments;
    int code = tv_cli_parse(&syntax, argc, argv, &arguments);
    if (code != TV_CLI_GO) return code;
    size_t count;
    const tv_connector *const *connectors = tv_host_connectors(&count);
    if (arguments.count == 1) {
        size_t i = 0;
        while (i < count && strcmp(connectors[i]->name, arguments.items[0]) != 0)
            i++;
        if (i == count) return report_unknown(argv[0], arguments.items[0], connectors, count);
        connectors += i;
        count = 1;
    }
    if (format == TV_FORMAT_JSON) return print_json(connectors, count);
    if (arguments.count == 1)
        print_connector(connectors[0]);
    else
        print_list(connectors, count);
    return tv_cli_finish(TV_EXIT_OK);
}
