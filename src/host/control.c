// The control socket of a run: opening and closing it, and the verbs about the run as a whole.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/control.h"

static const char *const phase_names[TV_PHASE_COUNT] = {"starting", "running", "draining",
                                                        "flushing", "closing", "done"};

static int64_t now_ns(void) { return tv_clock_monotonic_ns(tv_clock_system()); }

double tv_host_rounded(double value) { return (double)(int64_t)(value * 1000 + (value < 0 ? -0.5 : 0.5)) / 1000; }

uint64_t tv_host_view_memory(const tv_host_view *view) {
    return view->brief.guest_bytes + view->brief.ring_bytes + tv_flow_state_bytes(view->flow->flow);
}

static uint64_t resident_bytes(void) {
    unsigned long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    if (fscanf(file, "%llu %llu", &size, &resident) != 2) resident = 0;
    fclose(file);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t limit_bytes(const tv_host_runner *runner) {
    uint64_t limit = tv_host_limit_bytes(&runner->budget.limits);
    return limit == UINT64_MAX ? 0 : limit;
}

// ---- pages and the process ------------------------------------------------------------------------------------------

void tv_host_add_page(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_host_control *control,
                      const tv_host_query *query, size_t count, double over_s) {
    yyjson_mut_obj_add_uint(document, root, "total", control->runner->flows.count);
    yyjson_mut_obj_add_uint(document, root, "matched", count);
    if (query->offset + query->limit < count)
        yyjson_mut_obj_add_uint(document, root, "next", query->offset + query->limit);
    yyjson_mut_obj_add_real(document, root, "rates_over_s", tv_host_rounded(over_s));
}

static double uptime_s(const tv_host_control *control) {
    return tv_host_rounded((double)(now_ns() - control->runner->options->process_start_ns) / 1e9);
}

void tv_host_add_process(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_host_control *control) {
    const tv_host_runner *runner = control->runner;
    yyjson_mut_val *process = yyjson_mut_obj_add_obj(document, root, "process");
    yyjson_mut_obj_add_uint(document, process, "rss_bytes", resident_bytes());
    yyjson_mut_obj_add_real(document, process, "cpu_percent", tv_host_rounded(tv_host_process_cpu_percent(control)));
    yyjson_mut_obj_add_uint(document, process, "reserved_bytes", runner->budget.reserved_bytes);
    yyjson_mut_obj_add_uint(document, process, "limit_bytes", limit_bytes(runner));
    yyjson_mut_obj_add_real(document, process, "uptime_s", uptime_s(control));
}

// ---- ping, info -----------------------------------------------------------------------------------------------------

static void add_identity(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_host_control *control) {
    yyjson_mut_obj_add_uint(document, root, "protocol", TV_SERVER_PROTOCOL);
    yyjson_mut_obj_add_str(document, root, "version", TV_VERSION);
    yyjson_mut_obj_add_uint(document, root, "pid", (uint64_t)getpid());
    yyjson_mut_obj_add_strcpy(document, root, "pipeline", control->runner->model->pipeline->name);
}

static void run_ping(void *user, tv_server_request *request, yyjson_val *body) {
    (void)body;
    yyjson_mut_val *root;
    yyjson_mut_doc *document = tv_server_answer(request, &root);
    if (!document) return;
    add_identity(document, root, user);
    tv_server_send(request, document, true);
}

static void add_flow_counts(yyjson_mut_doc *document, yyjson_mut_val *root, tv_host_control *control) {
    static const char *const names[] = {"starting", "running", "paused", "draining", "ended", "failed"};
    uint64_t counts[sizeof names / sizeof names[0]] = {0};
    const tv_host_runner *runner = control->runner;
    for (size_t f = 0; f < runner->flows.count; f++) {
        tv_host_view view;
        tv_host_view_take(control, tv_host_flow_at(runner, f), &view);
        for (size_t s = 0; s < sizeof names / sizeof names[0]; s++)
            counts[s] += strcmp(names[s], view.state) == 0;
    }
    yyjson_mut_val *flows = yyjson_mut_obj_add_obj(document, root, "flows");
    yyjson_mut_obj_add_uint(document, flows, "total", runner->flows.count);
    for (size_t s = 0; s < sizeof names / sizeof names[0]; s++)
        yyjson_mut_obj_add_uint(document, flows, names[s], counts[s]);
    yyjson_mut_obj_add_uint(document, flows, "removed", runner->flows_removed);
}

static void add_memory(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_host_runner *runner) {
    tv_arena_stats arena;
    tv_engine_arena_stats(runner->engine, &arena);
    yyjson_mut_val *memory = yyjson_mut_obj_add_obj(document, root, "memory");
    yyjson_mut_obj_add_uint(document, memory, "rss_bytes", resident_bytes());
    yyjson_mut_obj_add_uint(document, memory, "reserved_bytes", runner->budget.reserved_bytes);
    yyjson_mut_obj_add_uint(document, memory, "expected_bytes", runner->budget.expected_bytes);
    yyjson_mut_obj_add_uint(document, memory, "limit_bytes", limit_bytes(runner));
    yyjson_mut_obj_add_bool(document, memory, "overcommit", runner->budget.overcommit);
    yyjson_mut_obj_add_uint(document, memory, "guest_bytes", arena.committed_bytes_now);
    yyjson_mut_obj_add_uint(document, memory, "memories", arena.memories_now);
}

// The channels of the workers write the same file: the first that is in trouble speaks for all.
static void add_dead_letters(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_host_runner *runner) {
    const tv_dead_letters *letters = &runner->dead_letters;
    tv_trouble trouble;
    size_t found = 0;
    if (!letters->path) {
        yyjson_mut_obj_add_null(document, root, "dead_letters");
        return;
    }
    while (found + 1 < letters->count && !tv_host_channel_trouble(&letters->channels[found], &trouble))
        found++;
    yyjson_mut_val *object = yyjson_mut_obj_add_obj(document, root, "dead_letters");
    yyjson_mut_obj_add_strcpy(document, object, "file", letters->path);
    tv_host_add_trouble(document, object, &letters->channels[found]);
}

static void add_control(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_host_control *control) {
    tv_server_stats stats;
    tv_server_get_stats(control->server, &stats);
    yyjson_mut_val *object = yyjson_mut_obj_add_obj(document, root, "control");
    yyjson_mut_obj_add_uint(document, object, "clients", stats.clients);
    yyjson_mut_obj_add_uint(document, object, "clients_refused", stats.clients_refused);
    yyjson_mut_obj_add_uint(document, object, "clients_dropped", stats.clients_dropped);
    yyjson_mut_obj_add_uint(document, object, "clients_timed_out", stats.clients_timed_out);
    yyjson_mut_obj_add_uint(document, object, "requests", stats.requests);
    yyjson_mut_obj_add_uint(document, object, "errors", stats.errors);
    yyjson_mut_obj_add_uint(document, object, "taps", control->tap_count);
    yyjson_mut_obj_add_uint(document, object, "bytes", stats.bytes);
}

static void run_info(void *user, tv_server_request *request, yyjson_val *body) {
    tv_host_control *control = user;
    const tv_host_runner *runner = control->runner;
    (void)body;
    yyjson_mut_val *root;
    yyjson_mut_doc *document = tv_server_answer(request, &root);
    if (!document) return;
    add_identity(document, root, control);
    yyjson_mut_obj_add_strcpy(document, root, "file", runner->model->pipeline->file);
    yyjson_mut_obj_add_str(document, root, "phase", phase_names[runner->phase]);
    yyjson_mut_obj_add_real(document, root, "uptime_s", uptime_s(control));
    int64_t started_ns = tv_clock_realtime_ns(tv_clock_system()) - (now_ns() - runner->options->process_start_ns);
    yyjson_mut_obj_add_sint(document, root, "started_ms", started_ns / 1000000);
    yyjson_mut_obj_add_uint(document, root, "workers", tv_runtime_workers(runner->runtime));
    tv_host_add_scheduler(document, root, runner->runtime);
    add_flow_counts(document, root, control);
    add_memory(document, root, runner);
    add_dead_letters(document, root, runner);
    add_control(document, root, control);
    tv_server_send(request, document, true);
}

// ---- opening and closing --------------------------------------------------------------------------------------------

static const char *const no_fields[] = {NULL};
static const char *const stop_fields[] = {"how", "grace_ms", NULL};
static const char *const ps_fields[] = {"flow", "match", "state", "class", "sort", "reverse", "limit", "offset", NULL};
static const char *const top_fields[] = {"match", "state",  "class",      "sort", "reverse",
                                         "limit", "offset", "components", NULL};
static const char *const add_fields[] = {"flow", NULL};
static const char *const remove_fields[] = {"flow", "match", "how", "timeout_ms", NULL};
static const char *const choose_fields[] = {"flow", "match", NULL};
static const char *const set_fields[] = {"flow", "match", "class",      "quantum",    "turn",
                                         "cpu",  "rate",  "parameters", "timeout_ms", NULL};
static const char *const tap_fields[] = {"flow",          "at",       "port",  "limit", "rate",
                                         "payload_bytes", "contains", "regex", "field", "equals",
                                         "kind",          "key",      NULL};

static const tv_server_verb verbs[] = {
    {"ping", no_fields, run_ping},
    {"info", no_fields, run_info},
    {"ps", ps_fields, tv_host_verb_ps},
    {"top", top_fields, tv_host_verb_top},
    {"flow-add", add_fields, tv_host_verb_flow_add},
    {"flow-remove", remove_fields, tv_host_verb_flow_remove},
    {"flow-pause", choose_fields, tv_host_verb_flow_pause},
    {"flow-resume", choose_fields, tv_host_verb_flow_resume},
    {"flow-set", set_fields, tv_host_verb_flow_set},
    {"tap", tap_fields, tv_host_verb_tap},
    {"stop", stop_fields, tv_host_verb_stop},
};

static tv_status open_at(tv_host_runner *runner, const char *path, tv_error *error) {
    tv_server_options options = {.loop = &runner->loop,
                                 .path = path,
                                 .verbs = verbs,
                                 .verb_count = sizeof verbs / sizeof verbs[0],
                                 .user = runner->control};
    return tv_server_open(&options, &runner->control->server, error);
}

static tv_status open_default(tv_host_runner *runner, tv_error *error) {
    char path[256];
    tv_status status = tv_server_default_path(runner->model->pipeline->name, path, sizeof path, error);
    if (status == TV_OK) status = tv_server_make_folder(path, error);
    return status == TV_OK ? open_at(runner, path, error) : status;
}

// Somebody started it twice: a pipeline that nobody could see or stop beside the first is not what they want.
static tv_status explain_second(const tv_host_runner *runner, tv_error *error) {
    tv_error cause = *error;
    const char *name = runner->model->pipeline->name;
    return tv_error_set(
        error, TV_EXISTS,
        "a pipeline named '%s' runs already: %.400s. `torvyn stop --control %s` ends that one. To run "
        "two, give this one a name of its own: `torvyn run FILE --name %s-2` (and with --set other files "
        "to write, if both write the same)",
        name, cause.message, name, name);
}

tv_status tv_host_control_open(tv_host_runner *runner, tv_error *error) {
    const char *path = runner->options->control ? runner->options->control : runner->model->pipeline->control_path;
    if (path && strcmp(path, "none") == 0) return TV_OK;
    runner->control = calloc(1, sizeof *runner->control);
    if (!runner->control) return tv_error_set(error, TV_NO_MEMORY, "control socket: out of memory");
    runner->control->runner = runner;
    tv_status status = path ? open_at(runner, path, error) : open_default(runner, error);
    if (status == TV_OK) return TV_OK;
    tv_host_control_free(runner);
    if (path) return status;
    if (status == TV_EXISTS) return explain_second(runner, error);
    // Nobody asked for it: without it the pipeline runs as well.
    tv_log(TV_LEVEL_WARN, "control", "%s; it runs without a control socket", error->message);
    return TV_OK;
}

static void on_server_closed(void *user) {
    tv_host_runner *runner = user;
    runner->control->server = NULL;
    tv_host_wake(runner);
}

void tv_host_control_close(tv_host_runner *runner) {
    if (!runner->control) return;
    if (runner->control->server) tv_server_close(runner->control->server, on_server_closed, runner);
    tv_host_laters_close(runner->control);
}

bool tv_host_control_closed(const tv_host_runner *runner) { return !runner->control || !runner->control->server; }

void tv_host_control_free(tv_host_runner *runner) {
    if (!runner->control) return;
    while (runner->control->laters)
        tv_host_later_cancel(runner->control, runner->control->laters);
    tv_host_taps_free(runner->control);
    free(runner->control->components);
    tv_host_samples_free(runner->control);
    free(runner->control);
    runner->control = NULL;
}

void tv_host_control_flow_over(tv_host_runner *runner, tv_host_flow *flow) {
    if (runner->control) tv_host_taps_end(runner->control, flow, "ended");
}

void tv_host_control_reap(tv_host_runner *runner) {
    if (runner->control) tv_host_taps_reap(runner->control);
}

void tv_host_control_forget(tv_host_runner *runner, tv_host_flow *flow) {
    if (runner->control) tv_host_taps_end(runner->control, flow, "removed");
    free(flow->rates);
    flow->rates = NULL;
}
