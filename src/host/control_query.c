// Which flows a request means, in which order, and what of them goes into an answer.
#include <stdlib.h>
#include <string.h>

#include "host/control.h"
#include "host/glob.h"

// ---- reading a question -------------------------------------------------------------------------------------------

static const char *const state_names[] = {"starting", "running", "paused", "draining", "ended", "failed", NULL};

static const char *const sort_names[] = {"name",   "class",    "state",     "in",      "out",
                                         "cpu",    "queue",    "memory",    "dropped", "dead",
                                         "faults", "restarts", "throttled", "uptime",  NULL};
enum sort {
    SORT_NAME,
    SORT_CLASS,
    SORT_STATE,
    SORT_IN,
    SORT_OUT,
    SORT_CPU,
    SORT_QUEUE,
    SORT_MEMORY,
    SORT_DROPPED,
    SORT_DEAD,
    SORT_FAULTS,
    SORT_RESTARTS,
    SORT_THROTTLED,
    SORT_UPTIME
};

static const char *const *class_names(void) {
    static const char *names[TV_CLASS_COUNT + 1];
    for (int class = 0; class < TV_CLASS_COUNT; class ++)
        names[class] = tv_class_name((tv_class) class);
    return names;
}

static uint32_t bit_of(tv_server_reader *reader, yyjson_val *value, const char *field, const char *const *names) {
    const char *text = yyjson_get_str(value);
    size_t count = 0;
    for (; text && names[count]; count++)
        if (strcmp(text, names[count]) == 0) return 1u << count;
    const char *nearest = text ? tv_nearest_name(text, names, count) : NULL;
    tv_server_problem(reader, "`%s`: there is no '%.40s'%s%s%s", field, text ? text : "(not a text)",
                      nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    return 0;
}

// One name, or a list of them.
static uint32_t read_bits(tv_server_reader *reader, const char *field, const char *const *names) {
    yyjson_val *value = yyjson_obj_get(reader->body, field), *item;
    size_t index, count;
    uint32_t bits = 0;
    if (!value || yyjson_is_null(value)) return 0;
    if (!yyjson_is_arr(value)) return bit_of(reader, value, field, names);
    yyjson_arr_foreach(value, index, count, item) bits |= bit_of(reader, item, field, names);
    if (!bits) tv_server_problem(reader, "`%s` is an empty list", field);
    return bits;
}

static const char *read_match(tv_server_reader *reader) {
    const char *match = tv_server_text(reader, "match");
    if (match && strlen(match) > TV_HOST_GLOB_BYTES_MAX)
        tv_server_problem(reader, "`match` has at most %d bytes", TV_HOST_GLOB_BYTES_MAX);
    return match;
}

void tv_host_query_read(tv_server_reader *reader, const char *sort, size_t limit, size_t limit_max,
                        tv_host_query *query) {
    *query = (tv_host_query){.match = read_match(reader)};
    query->states = read_bits(reader, "state", state_names);
    query->classes = read_bits(reader, "class", class_names());
    query->sort = tv_server_choice(reader, "sort", sort_names);
    for (int i = 0; query->sort < 0 && sort_names[i]; i++)
        if (strcmp(sort_names[i], sort) == 0) query->sort = i;
    query->reverse = tv_server_bool(reader, "reverse", false);
    query->limit = tv_server_number(reader, "limit", 1, limit_max, limit);
    query->offset = tv_server_number(reader, "offset", 0, UINT32_MAX, 0);
}

// ---- sorting ------------------------------------------------------------------------------------------------------

static double figure_of(const tv_host_view *view, int sort) {
    switch ((enum sort)sort) {
    case SORT_IN: return view->in_per_s;
    case SORT_OUT: return view->out_per_s;
    case SORT_CPU: return view->cpu_percent;
    case SORT_QUEUE: return view->brief.queue_percent;
    case SORT_MEMORY: return (double)view->brief.guest_bytes;
    case SORT_DROPPED: return (double)view->dropped;
    case SORT_DEAD: return (double)view->brief.dead_lettered;
    case SORT_FAULTS: return (double)view->brief.faults;
    case SORT_RESTARTS: return (double)view->brief.restarts;
    case SORT_THROTTLED: return (double)view->brief.throttled_ns;
    case SORT_UPTIME: return -(double)view->flow->made_ns;
    case SORT_CLASS: return -(double)view->brief.class; // critical first
    case SORT_STATE:
    case SORT_NAME: break;
    }
    return 0;
}

static int compare_views(const void *a, const void *b, void *user) {
    const tv_host_query *query = user;
    const tv_host_view *left = a, *right = b;
    double left_figure = figure_of(left, query->sort), right_figure = figure_of(right, query->sort);
    int order = (left_figure < right_figure) - (left_figure > right_figure); // the largest first
    if (!order && query->sort == SORT_STATE) order = strcmp(left->state, right->state);
    if (!order && query->sort == SORT_NAME) order = strverscmp(left->flow->entry.name, right->flow->entry.name);
    if (query->reverse) order = -order;
    if (!order) order = strverscmp(left->flow->entry.name, right->flow->entry.name); // an order of its own, always
    return order;
}

static bool is_meant(const tv_host_query *query, const tv_host_view *view) {
    if (query->classes && !(query->classes & (1u << view->brief.class))) return false;
    if (!query->states) return true;
    for (int i = 0; state_names[i]; i++)
        if ((query->states & (1u << i)) && strcmp(state_names[i], view->state) == 0) return true;
    return false;
}

tv_host_view *tv_host_query_run(tv_host_control *control, const tv_host_query *query, size_t *count) {
    const tv_host_runner *runner = control->runner;
    tv_host_view *views = malloc((runner->flows.count + 1) * sizeof *views);
    *count = 0;
    if (!views) return NULL;
    for (size_t f = 0; f < runner->flows.count; f++) {
        tv_host_flow *flow = tv_host_flow_at(runner, f);
        if (query->match && !tv_host_glob_matches(query->match, flow->entry.name)) continue;
        tv_host_view_take(control, flow, &views[*count]);
        if (is_meant(query, &views[*count])) (*count)++;
    }
    qsort_r(views, *count, sizeof *views, compare_views, (void *)(uintptr_t)query);
    return views;
}

// ---- choosing -----------------------------------------------------------------------------------------------------

tv_host_flow *tv_host_flow_named(tv_host_control *control, tv_server_request *request, const char *name) {
    tv_flow_entry *entry = tv_flow_table_find(&control->runner->flows, name);
    if (entry) return tv_host_flow_of(entry);
    const char *nearest = tv_flow_table_nearest(&control->runner->flows, name);
    tv_server_fail(request, "not-found", "there is no flow '%.64s'%s%s%s", name, nearest ? "; did you mean '" : "",
                   nearest ? nearest : "", nearest ? "'?" : "");
    return NULL;
}

static tv_host_flow **choose_matching(tv_host_control *control, tv_server_request *request, const char *match,
                                      size_t *count) {
    tv_host_flow **flows = tv_host_flows_sorted(control->runner);
    size_t all = control->runner->flows.count;
    *count = 0;
    for (size_t f = 0; flows && f < all; f++)
        if (tv_host_glob_matches(match, flows[f]->entry.name)) flows[(*count)++] = flows[f];
    if (flows && *count) return flows;
    if (flows)
        tv_server_fail(request, "not-found", "no flow matches '%.64s'", match);
    else
        tv_server_fail(request, "no-memory", "out of memory");
    free(flows);
    return NULL;
}

tv_host_flow **tv_host_flows_chosen(tv_host_control *control, tv_server_request *request, yyjson_val *body,
                                    size_t *count) {
    tv_server_reader reader = {.body = body};
    const char *name = tv_server_text(&reader, "flow"), *match = read_match(&reader);
    if (!name == !match) tv_server_problem(&reader, "either `flow` (a name) or `match` (a glob) says which flows");
    if (tv_server_refuse(request, &reader)) return NULL;
    if (match) return choose_matching(control, request, match, count);
    tv_host_flow *flow = tv_host_flow_named(control, request, name);
    tv_host_flow **flows = flow ? malloc(sizeof(tv_host_flow *)) : NULL;
    if (flow && !flows) tv_server_fail(request, "no-memory", "out of memory");
    if (!flows) return NULL;
    flows[0] = flow;
    *count = 1;
    return flows;
}

// ---- what goes into answers -----------------------------------------------------------------------------------------

void tv_host_add_names(yyjson_mut_doc *document, yyjson_mut_val *root, tv_host_flow *const *flows, size_t count) {
    enum { NAMES_MAX = 100 };
    yyjson_mut_obj_add_uint(document, root, "count", count);
    yyjson_mut_val *names = yyjson_mut_obj_add_arr(document, root, "flows");
    for (size_t i = 0; i < count && i < NAMES_MAX; i++)
        yyjson_mut_arr_add_strcpy(document, names, flows[i]->entry.name);
}

void tv_host_add_dropped(yyjson_mut_doc *document, yyjson_mut_val *object, const uint64_t dropped[TV_DROP_COUNT]) {
    yyjson_mut_val *reasons = yyjson_mut_obj_add_obj(document, object, "dropped");
    for (int reason = 0; reason < TV_DROP_COUNT; reason++)
        if (dropped[reason])
            yyjson_mut_obj_add_uint(document, reasons, tv_drop_reason_name((tv_drop_reason)reason), dropped[reason]);
}

uint64_t tv_host_flow_reserved(const tv_host_flow *flow) {
    return tv_host_flow_bytes_of(flow->runner->model->pipeline, flow->model, flow->spec).reserved;
}
