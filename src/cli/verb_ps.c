// torvyn ps: the flows of a running pipeline as a table, or one flow with where its time goes (ps_flow.c).
#include <stdlib.h>
#include <string.h>

#include "cli/control.h"
#include "cli/ps.h"
#include "cli/table.h"

typedef struct ps_request {
    const char *flow, *match;
    const char *sort, *state, *class;
    bool reverse;
    uint64_t limit;
} ps_request;

enum { PAGE_FLOWS = 500 };

// ---- asking -------------------------------------------------------------------------------------------------

static bool is_glob(const char *name) { return strpbrk(name, "*?[") != NULL; }

static void add_text(yyjson_mut_doc *request, const char *key, const char *value) {
    if (value) yyjson_mut_obj_add_str(request, yyjson_mut_doc_get_root(request), key, value);
}

static yyjson_mut_doc *page_request(tv_control *control, const ps_request *wish, uint64_t offset, uint64_t count) {
    yyjson_mut_doc *request = tv_control_request(control, "ps");
    yyjson_mut_val *root = yyjson_mut_doc_get_root(request);
    add_text(request, "match", wish->match);
    add_text(request, "state", wish->state);
    add_text(request, "class", wish->class);
    add_text(request, "sort", wish->sort);
    if (wish->reverse) yyjson_mut_obj_add_bool(request, root, "reverse", true);
    yyjson_mut_obj_add_uint(request, root, "limit", count < PAGE_FLOWS ? count : PAGE_FLOWS);
    if (offset) yyjson_mut_obj_add_uint(request, root, "offset", offset);
    return request;
}

// All pages up to the limit, their flows in one list. *all is a document with `total`, `matched`, `flows`.
static tv_status ask_all(tv_control *control, const ps_request *wish, yyjson_mut_doc **all, tv_error *error) {
    yyjson_mut_doc *result = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(result), *flows = yyjson_mut_arr(result);
    yyjson_mut_doc_set_root(result, root);
    tv_status status = TV_OK;
    uint64_t offset = 0, more = 1;
    while (more && offset < wish->limit && status == TV_OK) {
        yyjson_doc *answer = NULL;
        status = tv_control_ask(control, page_request(control, wish, offset, wish->limit - offset),
                                TV_CONTROL_ANSWER_MS, &answer, error);
        if (status != TV_OK) break;
        yyjson_val *page = yyjson_doc_get_root(answer), *flow;
        size_t i, count;
        yyjson_arr_foreach(yyjson_obj_get(page, "flows"), i, count, flow)
            yyjson_mut_arr_append(flows, yyjson_val_mut_copy(result, flow));
        more = tv_json_count(page, "next");
        if (offset == 0)
            for (const char *const *key = (const char *const[]){"total", "matched", "rates_over_s", NULL}; *key; key++)
                yyjson_mut_obj_add_val(result, root, *key, yyjson_val_mut_copy(result, yyjson_obj_get(page, *key)));
        if (more && more <= offset) more = 0; // never in circles
        offset = more;
        yyjson_doc_free(answer);
    }
    yyjson_mut_obj_add_val(result, root, "flows", flows);
    if (status == TV_OK)
        *all = result;
    else
        yyjson_mut_doc_free(result);
    return status;
}

// ---- the table ----------------------------------------------------------------------------------------------

static const char *const flow_titles[] = {"FLOW",   "CLASS",    "STATE", ">IN/S",   ">OUT/S",    ">QUEUE",    ">MEMORY",
                                          ">CPU %", ">DROPPED", ">DEAD", ">FAULTS", ">RESTARTS", "LAST ERROR"};

static void add_flow(tv_table *table, yyjson_val *flow) {
    char text[32];
    tv_table_cell(table, "%s", tv_json_text(flow, "name"));
    tv_table_cell(table, "%s%s", tv_json_text(flow, "class"), tv_json_true(flow, "demoted") ? " (demoted)" : "");
    tv_table_cell(table, "%s", tv_json_text(flow, "state"));
    tv_table_cell(table, "%s", tv_format_rate(tv_json_number(flow, "in_per_s"), text));
    tv_table_cell(table, "%s", tv_format_rate(tv_json_number(flow, "out_per_s"), text));
    tv_table_cell(table, "%.0f %%", tv_json_number(flow, "queue_percent"));
    tv_table_cell(table, "%s", tv_format_size(tv_json_count(flow, "memory_bytes"), text));
    tv_table_cell(table, "%.1f", tv_json_number(flow, "cpu_percent"));
    tv_table_cell(table, "%s", tv_format_count(tv_json_count(flow, "dropped_total"), text));
    tv_table_cell(table, "%s", tv_format_count(tv_json_count(flow, "dead_lettered"), text));
    tv_table_cell(table, "%s", tv_format_count(tv_json_count(flow, "faults"), text));
    tv_table_cell(table, "%s", tv_format_count(tv_json_count(flow, "restarts"), text));
    tv_table_cell(table, "%s", tv_json_text(flow, "last_error"));
}

static void print_states(yyjson_val *flows) {
    static const char *const names[] = {"starting", "running", "paused", "draining", "ended", "failed"};
    const char *separator = "";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[32];
        uint64_t count = tv_json_count(flows, names[i]);
        if (!count) continue;
        tv_print(stdout, "%s%s %s", separator, tv_format_count(count, text), names[i]);
        separator = ", ";
    }
}

// One line about the process: what it is, for how long, how many flows, how much memory.
static void print_head(yyjson_val *info) {
    char text[32], limit[32];
    yyjson_val *memory = yyjson_obj_get(info, "memory"), *flows = yyjson_obj_get(info, "flows");
    tv_print(stdout, "%s (%s, process %llu) for %s: ", tv_json_text(info, "pipeline"), tv_json_text(info, "phase"),
             (unsigned long long)tv_json_count(info, "pid"), tv_format_uptime(tv_json_number(info, "uptime_s"), text));
    tv_print(stdout, "%s flows (", tv_format_count(tv_json_count(flows, "total"), text));
    print_states(flows);
    tv_print(stdout, "), %s resident", tv_format_size(tv_json_count(memory, "rss_bytes"), text));
    if (tv_json_count(memory, "limit_bytes"))
        tv_print(stdout, " of %s", tv_format_size(tv_json_count(memory, "limit_bytes"), limit));
    tv_print(stdout, "\n");
    tv_ps_print_trouble("dead letters", "", yyjson_obj_get(yyjson_obj_get(info, "dead_letters"), "trouble"));
    tv_print(stdout, "\n");
}

static tv_status print_flows(const char *json, size_t length, yyjson_val *info) {
    yyjson_doc *all = yyjson_read(json, length, 0);
    if (!all) return TV_NO_MEMORY;
    yyjson_val *root = yyjson_doc_get_root(all), *flow;
    tv_table table = {.titles = flow_titles, .columns = sizeof flow_titles / sizeof flow_titles[0]};
    size_t i, count;
    print_head(info);
    yyjson_arr_foreach(yyjson_obj_get(root, "flows"), i, count, flow) add_flow(&table, flow);
    tv_status status = TV_OK;
    if (count)
        status = tv_table_print(&table, tv_cli_colour(stdout), stdout);
    else
        tv_print(stdout, "no flow is like that\n");
    uint64_t matched = tv_json_count(root, "matched");
    if (count && matched > count)
        tv_print(stdout, "... and %llu more; --limit shows more of them\n", (unsigned long long)(matched - count));
    yyjson_doc_free(all);
    return status;
}

static int list_text(tv_control *control, yyjson_mut_doc *all) {
    tv_error error = {0};
    yyjson_doc *info = NULL;
    size_t length = 0;
    char *json = tv_json_write(all, TV_JSON_COMPACT, &length);
    tv_status status =
        tv_control_ask(control, tv_control_request(control, "info"), TV_CONTROL_ANSWER_MS, &info, &error);
    if (status == TV_OK && (!json || print_flows(json, length, yyjson_doc_get_root(info)) != TV_OK))
        status = tv_error_set(&error, TV_NO_MEMORY, "out of memory");
    yyjson_doc_free(info);
    free(json);
    return status == TV_OK ? tv_cli_finish(TV_EXIT_OK) : tv_control_fail(control, &error, TV_FORMAT_TEXT);
}

static int list(tv_control *control, const ps_request *wish, tv_format format) {
    tv_error error = {0};
    yyjson_mut_doc *all = NULL;
    if (ask_all(control, wish, &all, &error) != TV_OK) return tv_control_fail(control, &error, format);
    return format == TV_FORMAT_JSON ? tv_cli_print_json(all) : list_text(control, all);
}

static int show(tv_control *control, const char *name, tv_format format) {
    tv_error error = {0};
    yyjson_doc *answer = NULL;
    yyjson_mut_doc *request = tv_control_request(control, "ps");
    add_text(request, "flow", name);
    if (tv_control_ask(control, request, TV_CONTROL_ANSWER_MS, &answer, &error) != TV_OK)
        return tv_control_fail(control, &error, format);
    int code;
    yyjson_val *flow = yyjson_obj_get(yyjson_doc_get_root(answer), "flow");
    if (format == TV_FORMAT_JSON) {
        yyjson_mut_doc *result = yyjson_mut_doc_new(NULL);
        yyjson_mut_doc_set_root(result, yyjson_val_mut_copy(result, flow));
        code = tv_cli_print_json(result);
    } else {
        code = tv_ps_print_flow(flow, tv_cli_colour(stdout)) == TV_OK ? tv_cli_finish(TV_EXIT_OK) : TV_EXIT_FAILED;
    }
    yyjson_doc_free(answer);
    return code;
}

int tv_verb_ps(int argc, char **argv) {
    tv_format format = TV_FORMAT_TEXT;
    const char *path = NULL;
    ps_request wish = {.limit = 200};
    const tv_flag flags[] = {
        {.name = "sort",
         .type = TV_FLAG_TEXT,
         .target = &wish.sort,
         .value = "BY",
         .help = "name, class, state, in, out, cpu, queue, memory, dropped, dead, faults, restarts,\n"
                 "                              throttled, uptime"},
        {.name = "reverse",
         .letter = 'r',
         .type = TV_FLAG_SWITCH,
         .target = &wish.reverse,
         .help = "the other way round"},
        {.name = "state",
         .type = TV_FLAG_TEXT,
         .target = &wish.state,
         .value = "STATE",
         .help = "only flows that are running, paused, failed, ..."},
        {.name = "class",
         .type = TV_FLAG_TEXT,
         .target = &wish.class,
         .value = "CLASS",
         .help = "only flows of this class"},
        {.name = "limit",
         .letter = 'n',
         .type = TV_FLAG_COUNT,
         .target = &wish.limit,
         .value = "N",
         .help = "at most so many flows (200)"},
        TV_FLAG_CONTROL(&path),
        TV_FLAG_FORMAT_OF(&format),
    };
    tv_syntax syntax = {.flags = flags, .flag_count = sizeof flags / sizeof flags[0], .arguments_max = 1};
    tv_arguments arguments;
    int code = tv_cli_parse(&syntax, argc, argv, &arguments);
    if (code != TV_CLI_GO) return code;
    if (arguments.count && is_glob(arguments.items[0]))
        wish.match = arguments.items[0];
    else if (arguments.count)
        wish.flow = arguments.items[0];
    tv_error error;
    tv_control *control = NULL;
    if (tv_control_open(path, &control, &error) != TV_OK) return tv_control_fail(NULL, &error, format);
    code = wish.flow ? show(control, wish.flow, format) : list(control, &wish, format);
    tv_control_close(control);
    return code;
}
