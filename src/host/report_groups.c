// The part of the summary that stays readable with thousands of flows: they are summed by template (the entry of
// `flows` they come from), and the worst are named with what happened to them.
#include <stdlib.h>
#include <string.h>

#include "host/runner.h"

const char *tv_host_flow_template(const tv_host_flow *flow) {
    return flow->runner->model->pipeline->templates[flow->model->template].name;
}

// ---- sums -----------------------------------------------------------------------------------------------------

typedef struct stage_sum {
    const char *name;
    uint64_t popped, emitted, dead_lettered, faults, memory_peak_most;
    int64_t busy_ns;
} stage_sum;

typedef struct flow_group {
    const char *name;
    size_t count, states[TV_FLOW_STATE_COUNT], unfinished;
    stage_sum stages[TV_STAGES_MAX];
    size_t stage_count;
} flow_group;

static void add_stage(flow_group *group, const tv_host_flow *flow, size_t index) {
    stage_sum *sum = &group->stages[index];
    tv_stage_stats stats;
    tv_flow_stage_stats(flow->flow, index, &stats);
    sum->name = flow->model->stages[index].name;
    sum->popped += stats.popped - stats.watermarks;
    sum->emitted += stats.emitted;
    sum->dead_lettered += stats.dead_lettered;
    sum->faults += stats.faults;
    sum->busy_ns += stats.busy_ns;
    if (stats.memory_bytes_peak > sum->memory_peak_most) sum->memory_peak_most = stats.memory_bytes_peak;
    if (index >= group->stage_count) group->stage_count = index + 1;
}

static void add_flow(flow_group *group, const tv_host_flow *flow) {
    group->count++;
    if (flow->phase > TV_HOST_FLOW_RUNNING)
        group->states[tv_flow_get_state(flow->flow)]++;
    else
        group->unfinished++;
    for (size_t s = 0; s < flow->spec->flow.stage_count; s++)
        add_stage(group, flow, s);
}

static void print_states(const flow_group *group, FILE *out) {
    const char *separator = "";
    for (int state = 0; state < TV_FLOW_STATE_COUNT; state++) {
        if (!group->states[state]) continue;
        tv_print(out, "%s%s %s", separator, tv_host_grouped(group->states[state]).text,
                 tv_flow_state_name((tv_flow_state)state));
        separator = ", ";
    }
    if (group->unfinished) tv_print(out, "%s%s stopped", separator, tv_host_grouped(group->unfinished).text);
}

static void print_group(const flow_group *group, FILE *out) {
    char memory[32];
    tv_print(out, "\n%s flow%s of %s: ", tv_host_grouped(group->count).text, group->count == 1 ? "" : "s", group->name);
    print_states(group, out);
    tv_print(out, "\n  %-18s %13s %13s %9s %7s %10s  %s\n", "stage", "in", "out", "dead", "faults", "busy",
             "memory, peak of one");
    for (size_t s = 0; s < group->stage_count; s++) {
        const stage_sum *sum = &group->stages[s];
        tv_print(out, "  %-18s %13s %13s %9s %7s %8.2f s  %s\n", sum->name, tv_host_grouped(sum->popped).text,
                 tv_host_grouped(sum->emitted).text, tv_host_grouped(sum->dead_lettered).text,
                 tv_host_grouped(sum->faults).text, (double)sum->busy_ns / 1e9,
                 tv_format_size(sum->memory_peak_most, memory));
    }
}

// Flows of a template stand together as a rule, but need not: those of each group are gone through once.
static void print_sums(tv_host_flow *const *flows, size_t count, bool *taken, flow_group *group, FILE *out) {
    enum { GROUPS_SHOWN_MAX = 16 };
    size_t shown = 0, hidden = 0;
    for (size_t first = 0; first < count; first++) {
        if (taken[first]) continue;
        if (shown == GROUPS_SHOWN_MAX) {
            hidden++;
            continue;
        }
        *group = (flow_group){0};
        group->name = tv_host_flow_template(flows[first]);
        for (size_t f = first; f < count; f++) {
            if (taken[f] || flows[f]->model->template != flows[first]->model->template) continue;
            taken[f] = true;
            add_flow(group, flows[f]);
        }
        print_group(group, out);
        shown++;
    }
    if (hidden) tv_print(out, "\n%s flows more (--format json shows each)\n", tv_host_grouped(hidden).text);
}

// ---- the worst ------------------------------------------------------------------------------------------------

typedef struct bad_flow {
    const tv_host_flow *flow;
    tv_host_totals totals;
} bad_flow;

static bool has_failed(const bad_flow *bad) { return tv_flow_get_state(bad->flow->flow) == TV_FLOW_FAILED; }

static uint64_t badness(const bad_flow *bad) {
    return bad->totals.dropped_all + bad->totals.dead_lettered + bad->totals.faults;
}

static bool is_worse(const bad_flow *a, const bad_flow *b) {
    if (has_failed(a) != has_failed(b)) return has_failed(a);
    return badness(a) > badness(b);
}

enum { WORST_MAX = 5 };

// Keeps the list sorted, the worst first.
static void keep_worst(bad_flow *worst, size_t *count, const bad_flow *candidate) {
    size_t at = *count;
    if (at == WORST_MAX && !is_worse(candidate, &worst[at - 1])) return;
    if (at == WORST_MAX)
        at--;
    else
        (*count)++;
    for (; at > 0 && is_worse(candidate, &worst[at - 1]); at--)
        worst[at] = worst[at - 1];
    worst[at] = *candidate;
}

static void print_last_error(const tv_host_flow *flow, FILE *out) {
    for (size_t s = 0; s < flow->spec->flow.stage_count; s++) {
        tv_stage_stats stats;
        tv_flow_stage_stats(flow->flow, s, &stats);
        if (!stats.last_error[0]) continue;
        tv_print(out, "    %s: %s\n", flow->model->stages[s].name, stats.last_error);
        return;
    }
}

static void print_reasons(const tv_host_flow *flow, FILE *out) {
    for (size_t s = 0; s < flow->spec->flow.stage_count; s++) {
        tv_stage_stats stats;
        tv_flow_stage_stats(flow->flow, s, &stats);
        tv_host_print_rejections(flow, s, stats.rejected, out);
    }
}

static void print_bad(const bad_flow *bad, FILE *out) {
    const tv_host_totals *totals = &bad->totals;
    const char *failure = tv_flow_failure(bad->flow->flow);
    tv_print(out, "  %-18s %s dropped, %s dead-lettered, %s faults%s%s\n", bad->flow->entry.name,
             tv_host_grouped(totals->dropped_all).text, tv_host_grouped(totals->dead_lettered).text,
             tv_host_grouped(totals->faults).text, failure[0] ? "; failed: " : "", failure);
    if (!failure[0]) print_last_error(bad->flow, out);
    print_reasons(bad->flow, out);
}

static void print_worst(tv_host_flow *const *flows, size_t count, FILE *out) {
    bad_flow worst[WORST_MAX];
    size_t kept = 0, bad = 0;
    for (size_t f = 0; f < count; f++) {
        bad_flow candidate = {.flow = flows[f]};
        tv_host_totals_add_flow(flows[f], &candidate.totals);
        if (!has_failed(&candidate) && badness(&candidate) == 0) continue;
        bad++;
        keep_worst(worst, &kept, &candidate);
    }
    if (!bad) return;
    tv_print(out, "\n%s flow%s lost records or failed%s\n", tv_host_grouped(bad).text, bad == 1 ? "" : "s",
             bad > kept ? "; the worst (--format json shows each):" : ":");
    for (size_t i = 0; i < kept; i++)
        print_bad(&worst[i], out);
}

void tv_host_report_groups(tv_host_flow *const *flows, size_t count, FILE *out) {
    bool *taken = calloc(count, sizeof *taken);
    flow_group *group = malloc(sizeof *group);
    if (taken && group) print_sums(flows, count, taken, group, out);
    free(taken);
    free(group);
    print_worst(flows, count, out);
}
