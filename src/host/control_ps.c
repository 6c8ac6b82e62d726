// The verb `ps`: what an operator looks at, of many flows; of one flow also its stages, queues and channels, and why it
// is as fast as it is.
#include <stdlib.h>
#include <string.h>

#include "host/control_change.h"

enum { LIMIT = 200, LIMIT_MAX = 500 };

// ---- a flow in a list ---------------------------------------------------------------------------------------------

static void add_memory(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_view *view) {
    const tv_host_flow *flow = view->flow;
    uint64_t state = tv_flow_state_bytes(flow->flow);
    yyjson_mut_obj_add_uint(document, object, "memory_bytes", tv_host_view_memory(view));
    yyjson_mut_val *memory = yyjson_mut_obj_add_obj(document, object, "memory");
    yyjson_mut_obj_add_uint(document, memory, "guest", view->brief.guest_bytes);
    yyjson_mut_obj_add_uint(document, memory, "rings", view->brief.ring_bytes);
    yyjson_mut_obj_add_uint(document, memory, "state", state);
    yyjson_mut_obj_add_uint(document, memory, "reserved", tv_host_flow_reserved(flow));
}

static void describe_trouble(const tv_host_flow *flow, char *text, size_t capacity) {
    tv_trouble trouble;
    char duration[32];
    for (size_t c = 0; c < flow->model->channel_count && !text[0]; c++)
        if (tv_host_channel_trouble(&flow->channels[c], &trouble))
            snprintf(text, capacity, "channel %s, for %s: %s", flow->model->channels[c].name,
                     tv_format_duration(trouble.for_ns, duration), trouble.text);
}

static void describe_failure(const tv_host_flow *flow, char *text, size_t capacity) {
    char delay[32];
    uint32_t attempts;
    int64_t next_ns = tv_host_start_next_ns(flow, &attempts);
    int64_t next_ms = (next_ns + 999999) / 1000000;
    if (next_ns < 0)
        snprintf(text, capacity, "%s", tv_flow_failure(flow->flow));
    else
        snprintf(text, capacity, "could not start, tried again in %s: %s", tv_format_duration(next_ms * 1000000, delay),
                 tv_flow_failure(flow->flow));
}

// A flow that has failed says why; another one what keeps a channel from its work now, or the last failure of a stage.
// Most have neither, and their stages are not asked.
static void add_last_error(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_view *view) {
    const tv_host_flow *flow = view->flow;
    char text[512] = "";
    if (tv_flow_get_state(flow->flow) == TV_FLOW_FAILED) describe_failure(flow, text, sizeof text);
    if (!text[0]) describe_trouble(flow, text, sizeof text);
    for (size_t s = 0; !text[0] && view->brief.faults && s < flow->spec->flow.stage_count; s++) {
        tv_stage_stats stats;
        tv_flow_stage_stats(flow->flow, s, &stats);
        if (stats.last_error[0]) snprintf(text, sizeof text, "%s: %s", flow->model->stages[s].name, stats.last_error);
    }
    if (text[0])
        yyjson_mut_obj_add_strcpy(document, object, "last_error", text);
    else
        yyjson_mut_obj_add_null(document, object, "last_error");
}

static void add_rates(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_view *view) {
    yyjson_mut_obj_add_real(document, object, "in_per_s", tv_host_rounded(view->in_per_s));
    yyjson_mut_obj_add_real(document, object, "out_per_s", tv_host_rounded(view->out_per_s));
    yyjson_mut_obj_add_real(document, object, "bytes_in_per_s", tv_host_rounded(view->bytes_in_per_s));
    yyjson_mut_obj_add_real(document, object, "bytes_out_per_s", tv_host_rounded(view->bytes_out_per_s));
}

static void add_losses(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_view *view) {
    const tv_flow_brief *brief = &view->brief;
    tv_host_add_dropped(document, object, brief->dropped);
    yyjson_mut_obj_add_uint(document, object, "dropped_total", view->dropped);
    yyjson_mut_obj_add_uint(document, object, "dropped_by_components", tv_host_dropped_by_components(view->flow));
    yyjson_mut_obj_add_uint(document, object, "emitted_unconnected", brief->emitted_unconnected);
    yyjson_mut_obj_add_uint(document, object, "dead_lettered", brief->dead_lettered);
    yyjson_mut_obj_add_uint(document, object, "dead_letters_lost", brief->dead_letters_lost);
    yyjson_mut_obj_add_uint(document, object, "rejected", brief->rejected);
    yyjson_mut_obj_add_uint(document, object, "faults", brief->faults);
    yyjson_mut_obj_add_uint(document, object, "restarts", brief->restarts);
    yyjson_mut_obj_add_real(document, object, "throttled_s", tv_host_rounded((double)brief->throttled_ns / 1e9));
    yyjson_mut_obj_add_bool(document, object, "demoted", brief->demoted);
    yyjson_mut_obj_add_bool(document, object, "paused", brief->paused);
    add_last_error(document, object, view);
}

static void add_flow(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_view *view) {
    const tv_host_flow *flow = view->flow;
    const tv_flow_brief *brief = &view->brief;
    int64_t now_ns = tv_clock_monotonic_ns(tv_clock_system());
    yyjson_mut_obj_add_strcpy(document, object, "name", flow->entry.name);
    yyjson_mut_obj_add_strcpy(document, object, "template", tv_host_flow_template(flow));
    yyjson_mut_obj_add_str(document, object, "class", tv_class_name(brief->class));
    yyjson_mut_obj_add_str(document, object, "state", view->state);
    yyjson_mut_obj_add_uint(document, object, "worker", brief->worker);
    yyjson_mut_obj_add_real(document, object, "uptime_s", tv_host_rounded((double)(now_ns - flow->made_ns) / 1e9));
    yyjson_mut_obj_add_real(document, object, "state_s", tv_host_rounded((double)(now_ns - flow->since_ns) / 1e9));
    yyjson_mut_obj_add_uint(document, object, "records_in", brief->records_in);
    yyjson_mut_obj_add_uint(document, object, "records_out", brief->records_out);
    add_rates(document, object, view);
    yyjson_mut_obj_add_uint(document, object, "queue_percent", brief->queue_percent);
    yyjson_mut_obj_add_strcpy(document, object, "queue",
                              brief->queue_percent ? flow->spec->edge_names[brief->queue] : "");
    add_memory(document, object, view);
    yyjson_mut_obj_add_real(document, object, "cpu_percent", tv_host_rounded(view->cpu_percent));
    yyjson_mut_obj_add_real(document, object, "cpu_s", (double)brief->busy_ns / 1e9);
    add_losses(document, object, view);
    tv_host_add_start(document, object, flow);
}

// ---- what it was made of ------------------------------------------------------------------------------------------

static void add_parameters(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_flow *flow) {
    const tv_template_model *entry = &flow->runner->model->pipeline->templates[flow->model->template];
    yyjson_mut_val *list = yyjson_mut_obj_add_obj(document, object, "parameters");
    if (entry->many) yyjson_mut_obj_add_uint(document, list, "index", flow->model->index);
    for (size_t i = 0; i < entry->parameter_count; i++)
        yyjson_mut_obj_add_strcpy(document, list, entry->parameter_names[i], flow->model->parameters[i]);
}

// Exactly, as it is written in a pipeline file.
static void add_duration(yyjson_mut_doc *document, yyjson_mut_val *object, const char *name, int64_t ns) {
    static const struct {
        int64_t ns;
        const char *name;
    } units[] = {{1000000000, "s"}, {1000000, "ms"}, {1000, "us"}, {1, "ns"}};
    char text[32] = "0";
    size_t unit = 0;
    while (ns % units[unit].ns)
        unit++;
    if (ns) snprintf(text, sizeof text, "%lld%s", (long long)(ns / units[unit].ns), units[unit].name);
    yyjson_mut_obj_add_strcpy(document, object, name, text);
}

// What is set of it, as `flow-set` takes it: by its entry, and since then.
static void add_settings(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_flow *flow) {
    const tv_flow_model *model = flow->model;
    tv_flow_settings settings = {.class = model->class,
                                 .quantum_records = model->quantum_records,
                                 .turn_ns = model->turn_ns,
                                 .cpu_per_s_ns = model->cpu_per_s_ns,
                                 .rate_records_per_s = model->rate.records,
                                 .rate_bytes_per_s = model->rate.bytes,
                                 .rate_burst_ns = model->rate.burst_ns};
    if (flow->kept) tv_host_settings_merge(&settings, flow->kept);
    yyjson_mut_val *list = yyjson_mut_obj_add_obj(document, object, "settings");
    yyjson_mut_obj_add_str(document, list, "class", tv_class_name(settings.class));
    yyjson_mut_obj_add_uint(document, list, "quantum", settings.quantum_records);
    add_duration(document, list, "turn", settings.turn_ns);
    add_duration(document, list, "cpu", settings.cpu_per_s_ns);
    yyjson_mut_val *rate = yyjson_mut_obj_add_obj(document, list, "rate");
    yyjson_mut_obj_add_uint(document, rate, "records", settings.rate_records_per_s);
    yyjson_mut_obj_add_uint(document, rate, "bytes", settings.rate_bytes_per_s);
    add_duration(document, rate, "burst", settings.rate_burst_ns);
}

static void answer_list(tv_host_control *control, tv_server_request *request) {
    tv_server_reader reader = {.body = tv_server_body(request)};
    tv_host_query query;
    size_t count;
    tv_host_query_read(&reader, "name", LIMIT, LIMIT_MAX, &query);
    tv_host_view *views = tv_host_query_run(control, &query, &count);
    yyjson_mut_val *root;
    yyjson_mut_doc *document = views ? tv_server_answer(request, &root) : NULL;
    if (!views) tv_server_fail(request, "no-memory", "out of memory");
    if (document) {
        tv_host_add_page(document, root, control, &query, count, count ? views[0].over_s : 0);
        yyjson_mut_val *list = yyjson_mut_obj_add_arr(document, root, "flows");
        for (size_t i = query.offset; i < count && i < query.offset + query.limit; i++)
            add_flow(document, yyjson_mut_arr_add_obj(document, list), &views[i]);
        tv_server_send(request, document, true);
    }
    free(views);
}

// ---- one flow -----------------------------------------------------------------------------------------------------

// What is kept of the first snapshot of a flow until the second.
typedef struct stage_sample {
    uint64_t popped, emitted, watermarks;
    tv_host_times times;
} stage_sample;

typedef struct detail {
    tv_host_control *control;
    tv_server_request *request;
    char flow[TV_NAME_BYTES_MAX + 1];
    int64_t at_ns; // 0: the first snapshot has not come yet
    size_t stage_count;
    int tries;
    int64_t throttled_ns[TV_THROTTLE_COUNT];
    stage_sample stages[TV_STAGES_MAX];
} detail;

static void add_stage_figures(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_flow *flow, size_t index,
                              const tv_stage_stats *stats) {
    yyjson_mut_obj_add_uint(document, object, "popped", stats->popped);
    yyjson_mut_obj_add_uint(document, object, "processed", stats->processed);
    yyjson_mut_obj_add_uint(document, object, "emitted", stats->emitted);
    yyjson_mut_obj_add_uint(document, object, "dead_lettered", stats->dead_lettered);
    yyjson_mut_obj_add_uint(document, object, "dead_letters_lost", stats->dead_letters_unwritten);
    yyjson_mut_obj_add_uint(document, object, "rejected", stats->rejected);
    yyjson_mut_obj_add_uint(document, object, "in_progress", stats->in_progress);
    yyjson_mut_obj_add_uint(document, object, "calls", stats->calls);
    yyjson_mut_obj_add_real(document, object, "busy_s", (double)stats->busy_ns / 1e9);
    tv_host_add_faults(document, object, stats);
    yyjson_mut_obj_add_uint(document, object, "memory_bytes", stats->memory_bytes);
    yyjson_mut_obj_add_uint(document, object, "memory_peak_bytes", stats->memory_bytes_peak);
    yyjson_mut_obj_add_uint(document, object, "memory_max_bytes", stats->memory_bytes_max);
    if (stats->last_error[0])
        yyjson_mut_obj_add_strcpy(document, object, "last_error", stats->last_error);
    else
        yyjson_mut_obj_add_null(document, object, "last_error");
    tv_host_add_rejections(document, object, flow->flow, index);
    tv_host_add_counters(document, object, flow->flow, index);
}

// The times since `before` into `window`. Whether any has passed.
static bool add_stages(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_flow *flow, const detail *before,
                       double seconds, tv_stage_stats *window) {
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(document, object, "stages");
    bool any = false;
    for (size_t s = 0; s < flow->spec->flow.stage_count; s++) {
        const stage_sample *sample = &before->stages[s];
        tv_stage_stats stats;
        tv_flow_stage_stats(flow->flow, s, &stats);
        any = tv_host_window_take(&stats, &sample->times, &window[s]) || any;
        yyjson_mut_val *stage = yyjson_mut_arr_add_obj(document, list);
        yyjson_mut_obj_add_strcpy(document, stage, "name", flow->model->stages[s].name);
        yyjson_mut_obj_add_strcpy(document, stage, "component",
                                  flow->runner->model->pipeline->components[flow->model->stages[s].component].name);
        double in = (double)(stats.popped - stats.watermarks) - (double)(sample->popped - sample->watermarks);
        yyjson_mut_obj_add_real(document, stage, "in_per_s", tv_host_rounded(in / seconds));
        yyjson_mut_obj_add_real(document, stage, "out_per_s",
                                tv_host_rounded((double)(stats.emitted - sample->emitted) / seconds));
        tv_host_add_shares(document, stage, &window[s]);
        add_stage_figures(document, stage, flow, s, &stats);
    }
    return any;
}

static void add_queues(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_flow *flow) {
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(document, object, "queues");
    for (size_t e = 0; e < flow->spec->flow.edge_count; e++) {
        tv_edge_stats stats;
        tv_flow_edge_stats(flow->flow, e, &stats);
        yyjson_mut_val *queue = yyjson_mut_arr_add_obj(document, list);
        yyjson_mut_obj_add_strcpy(document, queue, "name", flow->spec->edge_names[e]);
        yyjson_mut_obj_add_uint(document, queue, "queued", stats.queued);
        yyjson_mut_obj_add_uint(document, queue, "queued_bytes", stats.queued_bytes);
        yyjson_mut_obj_add_uint(document, queue, "capacity_bytes", stats.capacity_bytes);
        yyjson_mut_obj_add_uint(document, queue, "percent",
                                stats.capacity_bytes ? 100ull * stats.queued_bytes / stats.capacity_bytes : 0);
        yyjson_mut_obj_add_uint(document, queue, "pushed", stats.pushed);
        yyjson_mut_obj_add_uint(document, queue, "popped", stats.popped);
        tv_host_add_dropped(document, queue, stats.dropped);
    }
}

static void add_channels(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_flow *flow) {
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(document, object, "channels");
    for (size_t c = 0; c < flow->model->channel_count; c++) {
        const tv_host_channel *channel = &flow->channels[c];
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(document, list);
        yyjson_mut_obj_add_strcpy(document, item, "name", flow->model->channels[c].name);
        yyjson_mut_obj_add_str(document, item, "direction", channel->direction == TV_INPUT ? "input" : "output");
        yyjson_mut_obj_add_str(document, item, "connector", channel->connector->name);
        yyjson_mut_obj_add_bool(document, item, "open", channel->open);
        yyjson_mut_obj_add_bool(document, item, "paused", tv_channel_paused(channel->channel));
        yyjson_mut_obj_add_uint(document, item, "queued", tv_channel_queued(channel->channel));
        tv_host_add_trouble(document, item, channel);
        yyjson_mut_obj_add_uint(document, item, "records",
                                channel->direction == TV_INPUT ? tv_channel_committed(channel->channel)
                                                               : tv_channel_taken(channel->channel));
    }
}

static void answer_flow(const detail *before, const tv_host_view *view, const tv_flow_stats *stats) {
    const tv_host_flow *flow = view->flow;
    tv_stage_stats window[TV_STAGES_MAX];
    yyjson_mut_val *root;
    yyjson_mut_doc *document = tv_server_answer(before->request, &root);
    if (!document) return;
    double seconds = (double)(stats->at_ns - before->at_ns) / 1e9;
    if (seconds < 0.001) seconds = 0.001;
    yyjson_mut_obj_add_real(document, root, "rates_over_s", tv_host_rounded(seconds));
    yyjson_mut_val *object = yyjson_mut_obj_add_obj(document, root, "flow");
    add_flow(document, object, view);
    add_parameters(document, object, flow);
    add_settings(document, object, flow);
    const char *failure = tv_flow_failure(flow->flow);
    if (strcmp(view->state, "failed") == 0)
        yyjson_mut_obj_add_strcpy(document, object, "failure", failure);
    else
        yyjson_mut_obj_add_null(document, object, "failure");
    tv_host_add_scheduling(document, object, stats);
    bool is_known = add_stages(document, object, flow, before, seconds, window);
    bool is_over = stats->state == TV_FLOW_ENDED || stats->state == TV_FLOW_FAILED;
    const char *held_back =
        is_over ? NULL : tv_host_held_back(stats->paused, stats, before->throttled_ns, stats->at_ns - before->at_ns);
    tv_host_add_bottleneck(document, object, flow, held_back, is_known && !is_over ? window : NULL);
    add_queues(document, object, flow);
    add_channels(document, object, flow);
    tv_server_send(before->request, document, true);
}

// ---- two snapshots --------------------------------------------------------------------------------------------------

enum { FIRST_MS = 20, BETWEEN_MS = 250, TRIES_MAX = 10 };

static void keep_first(detail *kept, tv_host_flow *flow, const tv_flow_stats *flow_stats) {
    kept->at_ns = flow_stats->at_ns;
    memcpy(kept->throttled_ns, flow_stats->throttled_ns, sizeof kept->throttled_ns);
    kept->stage_count = flow->spec->flow.stage_count;
    for (size_t s = 0; s < kept->stage_count; s++) {
        tv_stage_stats stats;
        tv_flow_stage_stats(flow->flow, s, &stats);
        stage_sample *sample = &kept->stages[s];
        *sample = (stage_sample){stats.popped, stats.emitted, stats.watermarks, {.running_ns = stats.running_ns}};
        memcpy(sample->times.waited_ns, stats.waited_ns, sizeof stats.waited_ns);
    }
}

static void look_again(detail *kept);

static void on_time(tv_host_control *control, tv_server_request *request, void *user) {
    (void)request;
    detail *kept = user;
    tv_flow_entry *entry = tv_flow_table_find(&control->runner->flows, kept->flow);
    if (!entry) {
        tv_server_fail(kept->request, "not-found", "flow '%s' has just been removed", kept->flow);
        free(kept);
        return;
    }
    tv_host_flow *flow = tv_host_flow_of(entry);
    tv_flow_stats stats;
    tv_flow_get_stats(flow->flow, &stats);
    bool is_new = stats.at_ns > kept->at_ns || ++kept->tries > TRIES_MAX; // one that is starved has no newer ones
    if (is_new && kept->at_ns) {
        tv_host_view view;
        tv_host_view_take(control, flow, &view);
        answer_flow(kept, &view, &stats);
        free(kept);
        return;
    }
    if (stats.at_ns) keep_first(kept, flow, &stats);
    look_again(kept);
}

static void look_again(detail *kept) {
    tv_host_wait(kept->control, kept->request, on_time, free, kept, kept->at_ns ? BETWEEN_MS : FIRST_MS);
}

static void begin_detail(tv_host_control *control, tv_server_request *request, tv_host_flow *flow) {
    tv_flow_stats stats;
    detail *kept = calloc(1, sizeof *kept);
    if (!kept) {
        tv_server_fail(request, "no-memory", "out of memory");
        return;
    }
    kept->control = control;
    kept->request = request;
    snprintf(kept->flow, sizeof kept->flow, "%s", flow->entry.name);
    tv_flow_get_stats(flow->flow, &stats); // asks for the first snapshot
    tv_host_sample_all(control);
    look_again(kept);
}

void tv_host_verb_ps(void *user, tv_server_request *request, yyjson_val *body) {
    tv_server_reader reader = {.body = body};
    tv_host_query query;
    const char *name = tv_server_text(&reader, "flow");
    tv_host_query_read(&reader, "name", LIMIT, LIMIT_MAX, &query);
    if (name && yyjson_obj_size(body) > 3)
        tv_server_problem(&reader, "`flow` asks for one flow; the other fields are for lists");
    if (tv_server_refuse(request, &reader)) return;
    if (!name) {
        tv_host_ask(user, request, answer_list);
        return;
    }
    tv_host_flow *flow = tv_host_flow_named(user, request, name);
    if (flow) begin_detail(user, request, flow);
}
