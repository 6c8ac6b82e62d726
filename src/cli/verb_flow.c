// torvyn flow: adds, removes, pauses, resumes and changes flows of a running pipeline.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/control.h"
#include "cli/table.h"

typedef struct flow_wish {
    const char *action, *name;
    const tv_arguments *arguments; // from the third on: KEY=VALUE
    tv_flag_list parameters;
    bool now;
    int64_t timeout_ns;
} flow_wish;

typedef struct flow_action {
    const char *name;
    const char *verb; // of the protocol
    const char *done; // what was done, for people
    bool takes_settings, takes_how;
} flow_action;

static const flow_action actions[] = {
    {"add", "flow-add", "added", true, false},       {"remove", "flow-remove", "removed", false, true},
    {"pause", "flow-pause", "paused", false, false}, {"resume", "flow-resume", "resumed", false, false},
    {"set", "flow-set", "changed", true, false},
};
enum { ACTION_COUNT = sizeof actions / sizeof actions[0] };

static const flow_action *find_action(const char *name) {
    for (size_t i = 0; i < ACTION_COUNT; i++)
        if (strcmp(actions[i].name, name) == 0) return &actions[i];
    return NULL;
}

static int unknown_action(const char *verb, const char *name) {
    const char *names[ACTION_COUNT];
    for (size_t i = 0; i < ACTION_COUNT; i++)
        names[i] = actions[i].name;
    const char *nearest = tv_nearest_name(name, names, ACTION_COUNT);
    return tv_cli_usage_error(verb, "it can add, remove, pause, resume or set; not '%s'%s%s%s", name,
                              nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

// ---- KEY=VALUE ----------------------------------------------------------------------------------------------

// Whole numbers and what is written as a JSON object or list go as such, everything else as text.
static yyjson_mut_val *value_of(yyjson_mut_doc *request, const char *text) {
    size_t digits = strspn(text, "0123456789");
    if (digits && !text[digits] && digits < 19) return yyjson_mut_uint(request, strtoull(text, NULL, 10));
    if (text[0] == '{' || text[0] == '[') {
        yyjson_doc *json = yyjson_read(text, strlen(text), 0);
        yyjson_mut_val *value = json ? yyjson_val_mut_copy(request, yyjson_doc_get_root(json)) : NULL;
        yyjson_doc_free(json);
        return value;
    }
    return yyjson_mut_strcpy(request, text);
}

// The object in which the last part of a dotted key stands ("rate.records"), made on the way; *last is that part.
static yyjson_mut_val *place_of(yyjson_mut_doc *request, yyjson_mut_val *object, const char *key, size_t length,
                                const char **last, size_t *last_length) {
    const char *dot = memchr(key, '.', length);
    while (dot && object) {
        size_t part = (size_t)(dot - key);
        yyjson_mut_val *inner = yyjson_mut_obj_getn(object, key, part);
        if (!inner) {
            inner = yyjson_mut_obj(request);
            yyjson_mut_obj_add(object, yyjson_mut_strncpy(request, key, part), inner);
        }
        object = yyjson_mut_is_obj(inner) ? inner : NULL;
        length -= part + 1;
        key = dot + 1;
        dot = memchr(key, '.', length);
    }
    *last = key;
    *last_length = length;
    return object;
}

static int add_setting(const char *verb, yyjson_mut_doc *request, yyjson_mut_val *object, const char *setting) {
    const char *equals = strchr(setting, '='), *last = NULL;
    size_t length = 0;
    if (equals && isupper((unsigned char)setting[0]))
        return tv_cli_usage_error(verb, "a parameter of the flow is given with --set %s", setting);
    if (!equals || equals == setting || !islower((unsigned char)setting[0]))
        return tv_cli_usage_error(verb, "a setting is KEY=VALUE (class=high, rate.records=500), not '%s'", setting);
    yyjson_mut_val *place = place_of(request, object, setting, (size_t)(equals - setting), &last, &length);
    yyjson_mut_val *value = value_of(request, equals + 1);
    if (!place || !length) return tv_cli_usage_error(verb, "'%s' contradicts a setting before it", setting);
    if (!value) return tv_cli_usage_error(verb, "the value of '%s' is no valid JSON", setting);
    if (yyjson_mut_obj_getn(place, last, length))
        return tv_cli_usage_error(verb, "'%.*s' is set twice", (int)(equals - setting), setting);
    yyjson_mut_obj_add(place, yyjson_mut_strncpy(request, last, length), value);
    return TV_CLI_GO;
}

static int add_parameters(const char *verb, yyjson_mut_doc *request, yyjson_mut_val *object,
                          const tv_flag_list *parameters) {
    if (!parameters->count) return TV_CLI_GO;
    yyjson_mut_val *values = yyjson_mut_obj(request);
    for (size_t i = 0; i < parameters->count; i++) {
        const char *equals = strchr(parameters->items[i], '=');
        if (!equals || equals == parameters->items[i])
            return tv_cli_usage_error(verb, "--set takes NAME=VALUE, not '%s'", parameters->items[i]);
        yyjson_mut_obj_add(values,
                           yyjson_mut_strncpy(request, parameters->items[i], (size_t)(equals - parameters->items[i])),
                           yyjson_mut_strcpy(request, equals + 1));
    }
    yyjson_mut_obj_add(object, yyjson_mut_str(request, "parameters"), values);
    return TV_CLI_GO;
}

// ---- the request --------------------------------------------------------------------------------------------

// Fills `request`; wrong settings are usage errors, found before anything is sent.
static int fill_request(const flow_action *action, const flow_wish *wish, yyjson_mut_doc *request) {
    yyjson_mut_val *root = yyjson_mut_doc_get_root(request), *place = root;
    bool adds = strcmp(action->name, "add") == 0;
    if (adds) {
        place = yyjson_mut_obj(request);
        yyjson_mut_obj_add_val(request, root, "flow", place);
        yyjson_mut_obj_add_str(request, place, "name", wish->name);
    } else {
        yyjson_mut_obj_add_str(request, root, strpbrk(wish->name, "*?[") ? "match" : "flow", wish->name);
    }
    for (size_t i = 2; i < wish->arguments->count; i++) {
        int code = add_setting("flow", request, place, wish->arguments->items[i]);
        if (code != TV_CLI_GO) return code;
    }
    int code = add_parameters("flow", request, place, &wish->parameters);
    if (code != TV_CLI_GO) return code;
    if (action->takes_how) yyjson_mut_obj_add_str(request, root, "how", wish->now ? "now" : "drain");
    if (!adds && (action->takes_how || wish->parameters.count))
        yyjson_mut_obj_add_int(request, root, "timeout_ms", wish->timeout_ns / 1000000);
    return TV_CLI_GO;
}

static void print_done(const flow_action *action, yyjson_val *answer) {
    yyjson_val *flows = yyjson_obj_get(answer, "flows"), *name;
    uint64_t total = tv_json_count(answer, "count");
    size_t i, count;
    char text[32];
    tv_print(stdout, "%s ", action->done);
    if (total != 1) tv_print(stdout, "%s flows: ", tv_format_count(total, text));
    yyjson_arr_foreach(flows, i, count, name) tv_print(stdout, "%s%s", i ? ", " : "", yyjson_get_str(name));
    if (count < total) tv_print(stdout, ", ... (%llu more)", (unsigned long long)(total - count));
    if (yyjson_obj_get(answer, "records_in")) {
        tv_print(stdout, "; %s records in", tv_format_count(tv_json_count(answer, "records_in"), text));
        tv_print(stdout, ", %s out", tv_format_count(tv_json_count(answer, "records_out"), text));
    }
    if (tv_json_true(answer, "replaced")) tv_print(stdout, "; a new instance runs in its place");
    if (yyjson_obj_get(answer, "reserved_total_bytes"))
        tv_print(stdout, "; %s are reserved in all",
                 tv_format_size(tv_json_count(answer, "reserved_total_bytes"), text));
    tv_print(stdout, "\n");
}

static int ask(tv_control *control, const flow_action *action, const flow_wish *wish, tv_format format) {
    enum { LONGEST_START_MS = 300000 }; // a thousand flows on a weak machine
    tv_error error = {0};
    yyjson_doc *answer = NULL;
    yyjson_mut_doc *request = tv_control_request(control, action->verb);
    int code = fill_request(action, wish, request);
    if (code != TV_CLI_GO) {
        yyjson_mut_doc_free(request);
        return code;
    }
    int wait_ms = LONGEST_START_MS + (int)(wish->timeout_ns / 1000000);
    if (tv_control_ask(control, request, wait_ms, &answer, &error) != TV_OK)
        return tv_control_fail(control, &error, format);
    if (format == TV_FORMAT_JSON) {
        code = tv_control_print_json(answer);
    } else {
        print_done(action, yyjson_doc_get_root(answer));
        code = tv_cli_finish(TV_EXIT_OK);
    }
    yyjson_doc_free(answer);
    return code;
}

// What does not go with the action.
static int check_wish(const flow_action *action, const flow_wish *wish) {
    bool sets = wish->arguments->count > 2 || wish->parameters.count;
    if (!action->takes_settings && sets) return tv_cli_usage_error("flow", "`flow %s` takes no settings", action->name);
    if (!action->takes_how && wish->now) return tv_cli_usage_error("flow", "--now is for `flow remove`");
    if (strcmp(action->name, "set") == 0 && !sets)
        return tv_cli_usage_error("flow", "nothing to set: add KEY=VALUE (class=high) or --set NAME=VALUE");
    if (wish->timeout_ns < 1000000 || wish->timeout_ns > INT64_C(3600000000000))
        return tv_cli_usage_error("flow", "--timeout is from 1ms to 1h");
    return TV_CLI_GO;
}

int tv_verb_flow(int argc, char **argv) {
    tv_format format = TV_FORMAT_TEXT;
    const char *path = NULL;
    flow_wish wish = {.timeout_ns = 10000000000};
    const tv_flag flags[] = {
        {.name = "set",
         .type = TV_FLAG_LIST,
         .target = &wish.parameters,
         .value = "NAME=VALUE",
         .help = "add, set: a parameter ${NAME} of the flow; `set` replaces the flow, whose\n"
                 "                              other parameters and settings stay"},
        {.name = "now",
         .type = TV_FLAG_SWITCH,
         .target = &wish.now,
         .help = "remove: without a drain; what is queued is dropped and counted"},
        {.name = "timeout",
         .type = TV_FLAG_DURATION,
         .target = &wish.timeout_ns,
         .value = "10s",
         .help = "remove, set: longest time for the drain"},
        TV_FLAG_CONTROL(&path),
        TV_FLAG_FORMAT_OF(&format),
    };
    tv_syntax syntax = {.flags = flags,
                        .flag_count = sizeof flags / sizeof flags[0],
                        .arguments_min = 1,
                        .arguments_max = TV_ARGUMENTS_MAX};
    tv_arguments arguments;
    int code = tv_cli_parse(&syntax, argc, argv, &arguments);
    if (code != TV_CLI_GO) return code;
    wish.action = arguments.items[0];
    wish.arguments = &arguments;
    const flow_action *action = find_action(wish.action);
    if (!action) return unknown_action(argv[0], wish.action);
    if (arguments.count < 2)
        return tv_cli_usage_error(argv[0], "which flow? An argument is missing: torvyn flow %s FLOW", wish.action);
    wish.name = arguments.items[1];
    code = check_wish(action, &wish);
    if (code != TV_CLI_GO) return code;
    tv_error error;
    tv_control *control = NULL;
    if (tv_control_open(path, &control, &error) != TV_OK) return tv_control_fail(NULL, &error, format);
    code = ask(control, action, &wish, format);
    tv_control_close(control);
    return code;
}
