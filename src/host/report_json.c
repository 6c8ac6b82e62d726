// The summary of a run for machines. Names and units are documented in docs/running.md; they are added to, never
// changed.
#include <stdlib.h>
#include <string.h>

#include "host/figures_json.h"
#include "host/runner.h"
#include "yyjson.h"

static void add_dropped(yyjson_mut_doc *document, yyjson_mut_val *object, const uint64_t dropped[TV_DROP_COUNT]) {
    yyjson_mut_val *reasons = yyjson_mut_obj_add_obj(document, object, "dropped");
    for (int reason = 0; reason < TV_DROP_COUNT; reason++)
        yyjson_mut_obj_add_uint(document, reasons, tv_drop_reason_name((tv_drop_reason)reason), dropped[reason]);
}

// ---- stages and edges -----------------------------------------------------------------------------------------

static void add_stage_faults(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_stage_stats *stats) {
    tv_host_add_faults(document, object, stats);
    yyjson_mut_obj_add_uint(document, object, "records_since_start_lost", stats->records_since_start_lost);
    if (stats->last_error[0]) yyjson_mut_obj_add_strcpy(document, object, "last_error", stats->last_error);
}

static void add_stage_records(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_stage_stats *stats) {
    yyjson_mut_obj_add_uint(document, object, "popped", stats->popped);
    yyjson_mut_obj_add_uint(document, object, "processed", stats->processed);
    yyjson_mut_obj_add_uint(document, object, "dead_lettered", stats->dead_lettered);
    yyjson_mut_obj_add_uint(document, object, "rejected", stats->rejected);
    yyjson_mut_obj_add_uint(document, object, "in_progress", stats->in_progress);
    yyjson_mut_obj_add_uint(document, object, "dead_letters_unwritten", stats->dead_letters_unwritten);
    yyjson_mut_obj_add_uint(document, object, "watermarks", stats->watermarks);
    yyjson_mut_obj_add_uint(document, object, "emitted", stats->emitted);
    yyjson_mut_obj_add_uint(document, object, "emitted_unconnected", stats->emitted_unconnected);
    yyjson_mut_obj_add_uint(document, object, "bytes_in", stats->bytes_in);
    yyjson_mut_obj_add_uint(document, object, "bytes_out", stats->bytes_out);
    yyjson_mut_obj_add_uint(document, object, "calls", stats->calls);
    yyjson_mut_obj_add_real(document, object, "busy_s", (double)stats->busy_ns / 1e9);
    yyjson_mut_obj_add_real(document, object, "running_s", (double)stats->running_ns / 1e9);
    yyjson_mut_val *waits = yyjson_mut_obj_add_obj(document, object, "waited_s");
    for (tv_wait wait = TV_WAIT_INPUT; wait < TV_WAIT_COUNT; wait++)
        yyjson_mut_obj_add_real(document, waits, tv_wait_name(wait), (double)stats->waited_ns[wait] / 1e9);
}

static void add_stage(yyjson_mut_doc *document, yyjson_mut_val *list, const tv_host_flow *flow, size_t index) {
    tv_stage_stats stats;
    tv_flow_stage_stats(flow->flow, index, &stats);
    const tv_module_info *info = flow->spec->stages[index].info; // there may be no module, if it did not compile
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(document, list);
    yyjson_mut_obj_add_strcpy(document, object, "name", flow->model->stages[index].name);
    yyjson_mut_obj_add_strcpy(document, object, "module_sha256", info->digest);
    add_stage_records(document, object, &stats);
    add_stage_faults(document, object, &stats);
    yyjson_mut_obj_add_uint(document, object, "log_lines", stats.log_lines);
    yyjson_mut_obj_add_uint(document, object, "log_lines_suppressed", stats.log_lines_suppressed);
    yyjson_mut_obj_add_uint(document, object, "memory_bytes", stats.memory_bytes);
    yyjson_mut_obj_add_uint(document, object, "memory_bytes_peak", stats.memory_bytes_peak);
    yyjson_mut_obj_add_uint(document, object, "memory_bytes_max", stats.memory_bytes_max);
    tv_host_add_rejections(document, object, flow->flow, index);
    tv_host_add_counters(document, object, flow->flow, index);
}

static void add_edge(yyjson_mut_doc *document, yyjson_mut_val *list, const tv_host_flow *flow, size_t index) {
    tv_edge_stats stats;
    tv_flow_edge_stats(flow->flow, index, &stats);
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(document, list);
    yyjson_mut_obj_add_strcpy(document, object, "name", flow->spec->edge_names[index]);
    yyjson_mut_obj_add_uint(document, object, "pushed", stats.pushed);
    yyjson_mut_obj_add_uint(document, object, "popped", stats.popped);
    yyjson_mut_obj_add_uint(document, object, "queued", stats.queued);
    yyjson_mut_obj_add_uint(document, object, "watermarks", stats.control);
    add_dropped(document, object, stats.dropped);
    yyjson_mut_obj_add_uint(document, object, "pushed_bytes", stats.pushed_bytes);
    yyjson_mut_obj_add_uint(document, object, "queued_bytes_peak", stats.queued_bytes_peak);
    yyjson_mut_obj_add_uint(document, object, "capacity_bytes", stats.capacity_bytes);
}

static void add_channel(yyjson_mut_doc *document, yyjson_mut_val *list, const tv_host_flow *flow, size_t index) {
    const tv_host_channel *channel = &flow->channels[index];
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(document, list);
    yyjson_mut_obj_add_strcpy(document, object, "name", flow->model->channels[index].name);
    yyjson_mut_obj_add_str(document, object, "connector", channel->connector->name);
    yyjson_mut_obj_add_str(document, object, "direction", channel->direction == TV_INPUT ? "input" : "output");
    tv_host_add_trouble(document, object, channel);
    yyjson_mut_val *figures = yyjson_mut_obj_add_obj(document, object, "figures");
    for (size_t i = 0; channel->figures && i < channel->figures->count; i++)
        yyjson_mut_obj_add(figures, yyjson_mut_strcpy(document, channel->figures->items[i].name),
                           yyjson_mut_uint(document, channel->figures->items[i].value));
}

// ---- flows --------------------------------------------------------------------------------------------------

static void add_flow(yyjson_mut_doc *document, yyjson_mut_val *list, const tv_host_flow *flow) {
    tv_flow_stats stats;
    tv_flow_get_stats(flow->flow, &stats);
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(document, list);
    yyjson_mut_obj_add_strcpy(document, object, "name", flow->model->name);
    yyjson_mut_obj_add_str(document, object, "class", tv_class_name(flow->model->class));
    yyjson_mut_obj_add_str(document, object, "state", tv_flow_state_name(tv_flow_get_state(flow->flow)));
    const char *failure = tv_flow_failure(flow->flow);
    if (failure[0]) yyjson_mut_obj_add_strcpy(document, object, "failure", failure);
    tv_host_add_start(document, object, flow);
    tv_host_add_scheduling(document, object, &stats);
    yyjson_mut_obj_add_uint(document, object, "state_bytes", tv_flow_state_bytes(flow->flow));
    yyjson_mut_val *stages = yyjson_mut_obj_add_arr(document, object, "stages");
    for (size_t s = 0; s < flow->spec->flow.stage_count; s++)
        add_stage(document, stages, flow, s);
    yyjson_mut_val *edges = yyjson_mut_obj_add_arr(document, object, "edges");
    for (size_t e = 0; e < flow->spec->flow.edge_count; e++)
        add_edge(document, edges, flow, e);
    yyjson_mut_val *channels = yyjson_mut_obj_add_arr(document, object, "channels");
    for (size_t c = 0; c < flow->model->channel_count; c++)
        add_channel(document, channels, flow, c);
}

static void add_totals(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_host_runner *runner) {
    tv_host_totals totals;
    double seconds = tv_host_elapsed_s(runner);
    tv_host_totals_take(runner, &totals);
    yyjson_mut_obj_add_uint(document, root, "records_in", totals.records_in);
    yyjson_mut_obj_add_uint(document, root, "records_out", totals.records_out);
    yyjson_mut_obj_add_uint(document, root, "records_into_last_stages", totals.into_last_stages);
    yyjson_mut_obj_add_real(document, root, "records_per_s", seconds > 0 ? (double)totals.records_in / seconds : 0);
    yyjson_mut_obj_add_uint(document, root, "bytes_in", totals.bytes_in);
    yyjson_mut_obj_add_uint(document, root, "bytes_out", totals.bytes_out);
    add_dropped(document, root, totals.dropped);
    yyjson_mut_obj_add_uint(document, root, "dropped_by_components", totals.dropped_by_components);
    yyjson_mut_obj_add_uint(document, root, "dead_lettered", totals.dead_lettered);
    if (runner->dead_letters.path)
        yyjson_mut_obj_add_strcpy(document, root, "dead_letters_file", runner->dead_letters.path);
    else
        yyjson_mut_obj_add_null(document, root, "dead_letters_file");
    yyjson_mut_obj_add_uint(document, root, "dead_letters_unwritten", totals.dead_letters_unwritten);
    yyjson_mut_obj_add_uint(document, root, "faults", totals.faults);
    yyjson_mut_obj_add_uint(document, root, "restarts", totals.restarts);
    yyjson_mut_obj_add_uint(document, root, "state_losses", totals.state_losses);
}

static void add_process(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_host_runner *runner) {
    tv_host_usage usage;
    tv_arena_stats arena;
    tv_host_usage_take(&usage);
    tv_engine_arena_stats(runner->engine, &arena);
    yyjson_mut_obj_add_real(document, root, "elapsed_s", tv_host_elapsed_s(runner));
    if (runner->first_out_ns)
        yyjson_mut_obj_add_real(document, root, "start_ms", tv_host_start_ms(runner));
    else
        yyjson_mut_obj_add_null(document, root, "start_ms");
    yyjson_mut_obj_add_uint(document, root, "components_compiled", runner->compiled);
    yyjson_mut_obj_add_uint(document, root, "rss_peak_bytes", usage.rss_peak_bytes);
    yyjson_mut_obj_add_real(document, root, "cpu_s", (double)usage.cpu_ns / 1e9);
    yyjson_mut_obj_add_uint(document, root, "workers", tv_runtime_workers(runner->runtime));
    tv_host_add_scheduler(document, root, runner->runtime);
    yyjson_mut_obj_add_uint(document, root, "memories", arena.memories_now);
    yyjson_mut_obj_add_uint(document, root, "memory_committed_bytes", arena.committed_bytes_now);
    yyjson_mut_obj_add_uint(document, root, "memory_growths_refused", arena.grow_limited_count);
}

const char *tv_host_outcome_name(const tv_host_runner *runner) {
    if (runner->grace_over) return "stopped";
    if (runner->flows_failed) return "failed";
    return runner->signal || runner->stop_wanted ? "drained" : "done";
}

void tv_host_report_json(const tv_host_runner *runner, const char *books, FILE *out) {
    yyjson_mut_doc *document = yyjson_mut_doc_new(NULL);
    if (!document) return;
    yyjson_mut_val *root = yyjson_mut_obj(document);
    yyjson_mut_doc_set_root(document, root);
    yyjson_mut_obj_add_strcpy(document, root, "pipeline", runner->model->pipeline->name);
    yyjson_mut_obj_add_str(document, root, "outcome", tv_host_outcome_name(runner));
    yyjson_mut_obj_add_str(document, root, "conservation", books ? "broken" : "kept");
    if (books) yyjson_mut_obj_add_strcpy(document, root, "conservation_error", books);
    add_totals(document, root, runner);
    add_process(document, root, runner);
    yyjson_mut_obj_add_uint(document, root, "log_lines_lost", tv_log_lost());
    yyjson_mut_obj_add_uint(document, root, "flows_removed", runner->flows_removed);
    yyjson_mut_val *flows = yyjson_mut_obj_add_arr(document, root, "flows");
    tv_host_flow **sorted = tv_host_flows_sorted(runner);
    for (size_t f = 0; sorted && f < runner->flows.count; f++)
        add_flow(document, flows, sorted[f]);
    free(sorted);
    if (tv_host_json_print(document, out) != TV_OK)
        tv_log(TV_LEVEL_ERROR, "run", "the summary could not be written as JSON: out of memory");
}
