// The verb `top`: the figures of many flows as rows, for a client that asks every second.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/control.h"

enum { LIMIT = 100, LIMIT_MAX = 2000 };

static const char *const columns[] = {"name",          "class",       "state",         "worker",       "in_per_s",
                                      "out_per_s",     "cpu_percent", "queue_percent", "memory_bytes", "dropped",
                                      "dead_lettered", "faults",      "restarts",      "throttled_s",  "demoted"};

static void add_row(yyjson_mut_doc *document, yyjson_mut_val *rows, const tv_host_view *view) {
    const tv_flow_brief *brief = &view->brief;
    yyjson_mut_val *row = yyjson_mut_arr_add_arr(document, rows);
    yyjson_mut_arr_add_strcpy(document, row, view->flow->entry.name);
    yyjson_mut_arr_add_str(document, row, tv_class_name(brief->class));
    yyjson_mut_arr_add_str(document, row, view->state);
    yyjson_mut_arr_add_uint(document, row, brief->worker);
    yyjson_mut_arr_add_real(document, row, tv_host_rounded(view->in_per_s));
    yyjson_mut_arr_add_real(document, row, tv_host_rounded(view->out_per_s));
    yyjson_mut_arr_add_real(document, row, tv_host_rounded(view->cpu_percent));
    yyjson_mut_arr_add_uint(document, row, brief->queue_percent);
    yyjson_mut_arr_add_uint(document, row, tv_host_view_memory(view));
    yyjson_mut_arr_add_uint(document, row, view->dropped);
    yyjson_mut_arr_add_uint(document, row, brief->dead_lettered);
    yyjson_mut_arr_add_uint(document, row, brief->faults);
    yyjson_mut_arr_add_uint(document, row, brief->restarts);
    yyjson_mut_arr_add_real(document, row, tv_host_rounded((double)brief->throttled_ns / 1e9));
    yyjson_mut_arr_add_bool(document, row, brief->demoted);
}

typedef struct top_sums {
    double in_per_s, out_per_s, cpu_percent, over_s;
    uint64_t dropped, dead_lettered, faults;
} top_sums;

static void sum_up(const tv_host_view *views, size_t count, top_sums *sums) {
    *sums = (top_sums){0};
    for (size_t i = 0; i < count; i++) {
        const tv_host_view *view = &views[i];
        sums->in_per_s += view->in_per_s;
        sums->out_per_s += view->out_per_s;
        sums->cpu_percent += view->cpu_percent;
        sums->dropped += view->dropped;
        sums->dead_lettered += view->brief.dead_lettered;
        sums->faults += view->brief.faults;
        if (view->over_s > sums->over_s) sums->over_s = view->over_s;
    }
}

static void add_sums(yyjson_mut_doc *document, yyjson_mut_val *root, const top_sums *sums) {
    yyjson_mut_val *totals = yyjson_mut_obj_add_obj(document, root, "totals");
    yyjson_mut_obj_add_real(document, totals, "in_per_s", tv_host_rounded(sums->in_per_s));
    yyjson_mut_obj_add_real(document, totals, "out_per_s", tv_host_rounded(sums->out_per_s));
    yyjson_mut_obj_add_real(document, totals, "cpu_percent", tv_host_rounded(sums->cpu_percent));
    yyjson_mut_obj_add_uint(document, totals, "dropped", sums->dropped);
    yyjson_mut_obj_add_uint(document, totals, "dead_lettered", sums->dead_lettered);
    yyjson_mut_obj_add_uint(document, totals, "faults", sums->faults);
}

static void add_states(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_host_view *views, size_t count) {
    static const char *const names[] = {"starting", "running", "paused", "draining", "ended", "failed"};
    yyjson_mut_val *states = yyjson_mut_obj_add_obj(document, root, "states");
    for (size_t s = 0; s < sizeof names / sizeof names[0]; s++) {
        uint64_t of_state = 0;
        for (size_t i = 0; i < count; i++)
            of_state += strcmp(views[i].state, names[s]) == 0;
        if (of_state) yyjson_mut_obj_add_uint(document, states, names[s], of_state);
    }
}

static void add_workers(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_host_control *control) {
    const tv_runtime *runtime = control->runner->runtime;
    yyjson_mut_val *workers = yyjson_mut_obj_add_arr(document, root, "workers");
    for (uint32_t i = 0; i < tv_runtime_workers(runtime); i++) {
        tv_worker_stats stats;
        double busy, nested;
        tv_runtime_worker_stats(runtime, i, &stats);
        tv_host_worker_percent(control, i, &stats, &busy, &nested);
        yyjson_mut_val *worker = yyjson_mut_arr_add_obj(document, workers);
        yyjson_mut_obj_add_uint(document, worker, "index", i);
        yyjson_mut_obj_add_real(document, worker, "busy_percent", tv_host_rounded(busy));
        yyjson_mut_obj_add_real(document, worker, "nested_percent", tv_host_rounded(nested));
        tv_host_add_worker(document, worker, &stats);
    }
}

static void answer_top(tv_host_control *control, tv_server_request *request) {
    tv_server_reader reader = {.body = tv_server_body(request)};
    tv_host_query query;
    size_t count;
    tv_host_query_read(&reader, "cpu", LIMIT, LIMIT_MAX, &query);
    bool by_component = tv_server_bool(&reader, "components", false);
    tv_host_view *views = tv_host_query_run(control, &query, &count);
    yyjson_mut_val *root;
    yyjson_mut_doc *document = views ? tv_server_answer(request, &root) : NULL;
    if (!views) tv_server_fail(request, "no-memory", "out of memory");
    if (document) {
        top_sums sums;
        sum_up(views, count, &sums);
        tv_host_add_page(document, root, control, &query, count, sums.over_s);
        yyjson_mut_val *names = yyjson_mut_obj_add_arr(document, root, "columns");
        for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++)
            yyjson_mut_arr_add_str(document, names, columns[c]);
        yyjson_mut_val *rows = yyjson_mut_obj_add_arr(document, root, "rows");
        for (size_t i = query.offset; i < count && i < query.offset + query.limit; i++)
            add_row(document, rows, &views[i]);
        add_sums(document, root, &sums);
        add_states(document, root, views, count);
        add_workers(document, root, control);
        tv_host_add_process(document, root, control);
        if (by_component) tv_host_add_components(document, root, control, views, count);
        tv_server_send(request, document, true);
    }
    free(views);
}

void tv_host_verb_top(void *user, tv_server_request *request, yyjson_val *body) {
    tv_server_reader reader = {.body = body};
    tv_host_query query;
    tv_host_query_read(&reader, "cpu", LIMIT, LIMIT_MAX, &query); // wrong ones are refused at once
    (void)tv_server_bool(&reader, "components", false);
    if (!tv_server_refuse(request, &reader)) tv_host_ask(user, request, answer_top);
}
