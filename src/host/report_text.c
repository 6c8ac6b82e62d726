// The summary of a run for people.
#include <stdlib.h>
#include <string.h>

#include "host/runner.h"

// 1234567 -> "1,234,567".
tv_host_number tv_host_grouped(uint64_t value) {
    tv_host_number digits, grouped;
    int length = snprintf(digits.text, sizeof digits.text, "%llu", (unsigned long long)value);
    size_t at = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0) grouped.text[at++] = ',';
        grouped.text[at++] = digits.text[i];
    }
    grouped.text[at] = '\0';
    return grouped;
}

static const char *verdict(const tv_host_runner *runner) {
    if (runner->grace_over) return "stopped before everything was delivered";
    if (runner->flows_failed) return "failed";
    return runner->signal || runner->stop_wanted ? "stopped, everything under way was delivered" : "done";
}

// A rate over a moment would be noise.
static void print_traffic(const char *name, uint64_t records, double seconds, FILE *out) {
    enum { RATE_MIN_MS = 50 };
    tv_print(out, "  %-14s %14s", name, tv_host_grouped(records).text);
    if (records && seconds * 1000 >= RATE_MIN_MS)
        tv_print(out, "   %s/s", tv_host_grouped((uint64_t)((double)records / seconds)).text);
    tv_print(out, "\n");
}

static void print_dropped(const tv_host_totals *totals, FILE *out) {
    tv_print(out, "  %-14s %14s", "dropped", tv_host_grouped(totals->dropped_all).text);
    const char *separator = "   ";
    for (int reason = 0; reason < TV_DROP_COUNT; reason++) {
        if (!totals->dropped[reason]) continue;
        tv_print(out, "%s%s %s", separator, tv_drop_reason_name((tv_drop_reason)reason),
                 tv_host_grouped(totals->dropped[reason]).text);
        separator = ", ";
    }
    tv_print(out, "\n");
}

static void print_dead_lettered(const tv_host_runner *runner, const tv_host_totals *totals, FILE *out) {
    tv_print(out, "  %-14s %14s", "dead-lettered", tv_host_grouped(totals->dead_lettered).text);
    if (totals->dead_lettered && runner->dead_letters.path)
        tv_print(out, "   see %s", runner->dead_letters.path);
    else if (totals->dead_lettered)
        tv_print(out, "   not kept (dead_letters.enabled: false)");
    if (totals->dead_letters_unwritten && runner->dead_letters.path)
        tv_print(out, "; %s of them could not be written", tv_host_grouped(totals->dead_letters_unwritten).text);
    tv_print(out, "\n");
}

static void print_faults(const tv_host_totals *totals, FILE *out) {
    if (!totals->faults) return;
    tv_print(out, "  %-14s %14s   instances restarted %s, state lost %s\n", "faults",
             tv_host_grouped(totals->faults).text, tv_host_grouped(totals->restarts).text,
             tv_host_grouped(totals->state_losses).text);
}

// ---- flows --------------------------------------------------------------------------------------------------

static void print_stage(const tv_host_flow *flow, size_t index, FILE *out) {
    tv_stage_stats stats;
    char memory[32], budget[32], peak[80];
    tv_flow_stage_stats(flow->flow, index, &stats);
    snprintf(peak, sizeof peak, "%s of %s", tv_format_size(stats.memory_bytes_peak, memory),
             tv_format_size(stats.memory_bytes_max, budget));
    tv_print(out, "  %-18s %13s %13s %9s %7s %8.2f s  %s\n", flow->model->stages[index].name,
             tv_host_grouped(stats.popped - stats.watermarks).text, tv_host_grouped(stats.emitted).text,
             tv_host_grouped(stats.dead_lettered).text, tv_host_grouped(stats.faults).text, (double)stats.busy_ns / 1e9,
             peak);
    if (stats.last_error[0]) tv_print(out, "    last failure: %s\n", stats.last_error);
    tv_host_print_rejections(flow, index, stats.rejected, out);
}

void tv_host_print_rejections(const tv_host_flow *flow, size_t stage, uint64_t rejected, FILE *out) {
    enum { SHOWN_MAX = 3 };
    tv_rejection found[TV_REJECTIONS_KEPT];
    size_t count = rejected ? tv_flow_rejections(flow->flow, stage, found) : 0;
    for (size_t i = 0; i < count && i < SHOWN_MAX; i++) {
        tv_print(out, "    rejected %s: %s\n", tv_host_grouped(found[i].times).text,
                 found[i].reason[0] ? found[i].reason : "(no reason given)");
        rejected -= found[i].times < rejected ? found[i].times : rejected;
    }
    if (count && rejected) tv_print(out, "    rejected %s: other reasons\n", tv_host_grouped(rejected).text);
}

static uint64_t figure_named(const tv_host_figures *figures, const char *name) {
    for (size_t i = 0; figures && i < figures->count; i++)
        if (strcmp(figures->items[i].name, name) == 0) return figures->items[i].value;
    return 0;
}

static void print_counters(const tv_host_flow *flow, FILE *out) {
    bool any = false;
    for (size_t s = 0; s < flow->spec->flow.stage_count; s++) {
        const char *name;
        uint64_t value;
        for (uint32_t i = 0; tv_flow_counter(flow->flow, s, i, &name, &value); i++) {
            if (!value) continue; // what did not happen needs no line
            if (!any) tv_print(out, "  counters of the components\n");
            any = true;
            tv_print(out, "    %-18s %-24s %11s\n", flow->model->stages[s].name, name, tv_host_grouped(value).text);
        }
    }
}

// What is not over, and how long writing was not possible in all.
static void print_outages(const tv_host_flow *flow, FILE *out) {
    for (size_t c = 0; c < flow->model->channel_count; c++) {
        const tv_host_channel *channel = &flow->channels[c];
        tv_trouble trouble;
        char duration[32];
        uint64_t outage_ms = figure_named(channel->figures, "outage_ms");
        if (tv_host_channel_trouble(channel, &trouble))
            tv_print(out, "  channel %s: %s (for %s, at the end)\n", flow->model->channels[c].name, trouble.text,
                     tv_format_duration(trouble.for_ns, duration));
        if (outage_ms)
            tv_print(out, "  channel %s: could not be written for %s in all\n", flow->model->channels[c].name,
                     tv_format_duration((int64_t)outage_ms * 1000000, duration));
    }
}

static void print_flow(const tv_host_flow *flow, FILE *out) {
    tv_print(out, "\nflow %s: %s", flow->model->name,
             flow->phase > TV_HOST_FLOW_RUNNING ? tv_flow_state_name(tv_flow_get_state(flow->flow)) : "stopped");
    const char *failure = tv_flow_failure(flow->flow);
    uint32_t attempts;
    (void)tv_host_start_next_ns(flow, &attempts);
    tv_print(out, "%s%s", failure[0] ? ": " : "", failure);
    if (attempts) tv_print(out, " (%u start%s failed)", attempts, attempts == 1 ? "" : "s");
    tv_print(out, "\n  %-18s %13s %13s %9s %7s %10s  %s\n", "stage", "in", "out", "dead", "faults", "busy",
             "memory, peak of budget");
    for (size_t s = 0; s < flow->spec->flow.stage_count; s++)
        print_stage(flow, s, out);
    print_outages(flow, out);
    print_counters(flow, out);
}

// With many flows the summary stays short: they are summed by template, and the worst are named.
static void print_flows(const tv_host_runner *runner, FILE *out) {
    enum { SHOWN_MAX = 4 };
    tv_host_flow **sorted = tv_host_flows_sorted(runner);
    if (!sorted) return;
    if (runner->flows.count > SHOWN_MAX)
        tv_host_report_groups(sorted, runner->flows.count, out);
    else
        for (size_t f = 0; f < runner->flows.count; f++)
            print_flow(sorted[f], out);
    if (runner->flows_removed)
        tv_print(out, "\n%s flow%s removed while it ran; the sums above include what they had done\n",
                 tv_host_grouped(runner->flows_removed).text, runner->flows_removed == 1 ? " was" : "s were");
    free(sorted);
}

void tv_host_report_text(const tv_host_runner *runner, const char *books, FILE *out) {
    tv_host_totals totals;
    tv_host_usage usage;
    char rss[32], took[32];
    double seconds = tv_host_elapsed_s(runner);
    tv_host_totals_take(runner, &totals);
    tv_host_usage_take(&usage);
    tv_print(out, "%s: %s after %s\n", runner->model->pipeline->name, verdict(runner),
             tv_format_duration(runner->ended_ns - runner->started_ns, took));
    print_traffic("messages in", totals.records_in, seconds, out);
    print_traffic("messages out", totals.records_out, seconds, out);
    if (totals.into_last_stages && totals.into_last_stages != totals.records_out)
        tv_print(out, "  %-14s %14s   records taken by the last stages\n", "",
                 tv_host_grouped(totals.into_last_stages).text);
    print_dropped(&totals, out);
    if (totals.dropped_by_components)
        tv_print(out, "  %-14s %14s   by components on purpose: see their counters dropped_...\n", "",
                 tv_host_grouped(totals.dropped_by_components).text);
    if (totals.unconnected)
        tv_print(out, "  %-14s %14s   emitted to ports that nothing reads\n", "led nowhere",
                 tv_host_grouped(totals.unconnected).text);
    print_dead_lettered(runner, &totals, out);
    print_faults(&totals, out);
    if (totals.records_in && totals.rejected > totals.records_in / 2)
        tv_print(out, "  most of what came in was rejected; the reasons stand below and in the dead letters\n");
    if (tv_log_lost())
        tv_print(out, "  %-14s %14s   nobody read standard error\n", "log lines lost",
                 tv_host_grouped(tv_log_lost()).text);
    print_flows(runner, out);
    tv_print(out, "\nmemory at most %s, CPU time %.2f s", tv_format_size(usage.rss_peak_bytes, rss),
             (double)usage.cpu_ns / 1e9);
    if (runner->first_out_ns) tv_print(out, ", first record out after %.0f ms", tv_host_start_ms(runner));
    if (runner->compiled)
        tv_print(out, " (%zu component%s compiled)", runner->compiled, runner->compiled == 1 ? " was" : "s were");
    tv_print(out, "\n");
    if (books) tv_print(out, "INTERNAL ERROR, the books do not balance: %s\n", books);
}
