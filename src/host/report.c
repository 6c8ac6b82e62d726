// The totals of a run and what the process used. Counting only; report_text.c and report_json.c print.
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "host/runner.h"
#include "host/signals.h"

// Watermarks travel in the queues too; people count data.
static uint64_t data_popped(const tv_edge_stats *stats) {
    return stats->popped > stats->control ? stats->popped - stats->control : 0;
}

static void add_edge(const tv_host_flow *flow, size_t edge, tv_host_totals *totals) {
    const tv_edge_spec *spec = &flow->spec->edges[edge];
    tv_edge_stats stats;
    tv_flow_edge_stats(flow->flow, edge, &stats);
    for (int reason = 0; reason < TV_DROP_COUNT; reason++) {
        totals->dropped[reason] += stats.dropped[reason];
        totals->dropped_all += stats.dropped[reason];
    }
    totals->queued += stats.queued;
    if (spec->from & TV_NODE_CHANNEL) {
        totals->records_in += stats.pushed;
        totals->bytes_in += stats.pushed_bytes;
    }
    if (spec->to & TV_NODE_CHANNEL) {
        totals->records_out += data_popped(&stats);
        totals->bytes_out += stats.pushed_bytes;
    }
}

// Contract 7.6: counters that begin so are of records that the component dropped on purpose.
static uint64_t dropped_by_stage(const tv_host_flow *flow, size_t stage) {
    static const char prefix[] = "dropped_";
    const char *name;
    uint64_t value, sum = 0;
    for (uint32_t i = 0; tv_flow_counter(flow->flow, stage, i, &name, &value); i++)
        if (strncmp(name, prefix, sizeof prefix - 1) == 0) sum += value;
    return sum;
}

uint64_t tv_host_dropped_by_components(const tv_host_flow *flow) {
    uint64_t sum = 0;
    for (size_t s = 0; s < flow->spec->flow.stage_count; s++)
        sum += dropped_by_stage(flow, s);
    return sum;
}

static bool writes_to_channel(const tv_host_flow *flow, size_t stage) {
    for (size_t e = 0; e < flow->spec->flow.edge_count; e++)
        if (flow->spec->edges[e].from == stage && flow->spec->edges[e].to & TV_NODE_CHANNEL) return true;
    return false;
}

static void add_stage(const tv_host_flow *flow, size_t stage, tv_host_totals *totals) {
    tv_stage_stats stats;
    tv_flow_stage_stats(flow->flow, stage, &stats);
    totals->dead_lettered += stats.dead_lettered;
    totals->unconnected += stats.emitted_unconnected;
    totals->dropped_by_components += dropped_by_stage(flow, stage);
    if (writes_to_channel(flow, stage)) totals->into_last_stages += stats.popped - stats.watermarks;
    totals->dead_letters_unwritten += stats.dead_letters_unwritten;
    totals->rejected += stats.rejected;
    totals->faults += stats.faults;
    totals->restarts += stats.restarts;
    totals->state_losses += stats.state_losses;
    if (flow->model->stages[stage].input_count == 0) { // it makes its records itself
        totals->records_in += stats.emitted;
        totals->bytes_in += stats.bytes_out;
    }
}

void tv_host_totals_add_flow(const tv_host_flow *flow, tv_host_totals *totals) {
    for (size_t e = 0; e < flow->spec->flow.edge_count; e++)
        add_edge(flow, e, totals);
    for (size_t s = 0; s < flow->spec->flow.stage_count; s++)
        add_stage(flow, s, totals);
}

void tv_host_totals_take(const tv_host_runner *runner, tv_host_totals *totals) {
    *totals = runner->removed;
    for (size_t f = 0; f < runner->flows.count; f++)
        tv_host_totals_add_flow(tv_host_flow_at(runner, f), totals);
    for (size_t i = 0; i < runner->dead_letters.count; i++)
        totals->dead_letters_unwritten += tv_channel_queued(runner->dead_letters.channels[i].channel);
}

static int64_t nanoseconds(struct timeval time) {
    return (int64_t)time.tv_sec * 1000000000 + (int64_t)time.tv_usec * 1000;
}

// Not ru_maxrss where it can be had otherwise: that one remembers the process that started this one.
static uint64_t resident_peak_bytes(void) {
    static const char *const peak = "VmHWM:";
    return tv_host_proc_bytes("/proc/self/status", &peak, 1);
}

void tv_host_usage_take(tv_host_usage *usage) {
    struct rusage self;
    *usage = (tv_host_usage){0};
    if (getrusage(RUSAGE_SELF, &self) != 0) return;
    usage->rss_peak_bytes = resident_peak_bytes();
    if (!usage->rss_peak_bytes) usage->rss_peak_bytes = (uint64_t)self.ru_maxrss * 1024;
    usage->cpu_ns = nanoseconds(self.ru_utime) + nanoseconds(self.ru_stime);
}

double tv_host_elapsed_s(const tv_host_runner *runner) { return (double)(runner->ended_ns - runner->started_ns) / 1e9; }

double tv_host_start_ms(const tv_host_runner *runner) {
    return runner->first_out_ns ? (double)(runner->first_out_ns - runner->options->process_start_ns) / 1e6 : 0;
}

// ---- printing -------------------------------------------------------------------------------------------------

// A summary for people is worth a moment, a result that a program waits for some patience, until somebody wants the
// end.
static int64_t patience_ns(const tv_host_runner *runner) {
    enum { MOMENT_NS = 1000000000 };
    return runner->options->json && !runner->signal && !runner->stop_wanted ? 30ll * MOMENT_NS : MOMENT_NS;
}

static bool is_wanted_to_end(void *user) {
    (void)user;
    return tv_signals_first() != 0;
}

static tv_status print_text(const tv_host_runner *runner, const char *text, size_t length, tv_error *error) {
    enum { FLUSH_NS = 1000000000 };
    int fd = fileno(tv_host_report_stream(runner->model));
    (void)tv_log_flush(FLUSH_NS); // on a terminal the summary stands behind the log
    return tv_print_within(fd, text, length, patience_ns(runner), is_wanted_to_end, NULL, error);
}

bool tv_host_report_print(const tv_host_runner *runner, const char *books) {
    char *text = NULL;
    size_t length = 0;
    tv_error error = {0};
    FILE *out = open_memstream(&text, &length);
    if (!out) return false;
    if (runner->options->json)
        tv_host_report_json(runner, books, out);
    else
        tv_host_report_text(runner, books, out);
    bool made = fclose(out) == 0;
    tv_status status = made ? print_text(runner, text, length, &error)
                            : tv_error_set(&error, TV_NO_MEMORY, "there is no memory for it");
    free(text);
    if (status == TV_OK) return true;
    tv_log(TV_LEVEL_ERROR, "run", "the summary could not be written to standard %s: %s",
           tv_host_report_stream(runner->model) == stdout ? "output" : "error", error.message);
    return status == TV_AGAIN && !runner->options->json;
}
