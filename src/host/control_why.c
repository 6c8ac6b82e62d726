// Why a flow is as fast as it is: judged from where the time of its stages went.
//
// How long a stage ran is measured. What it waited for in the rest of the time is told by its queues at the two
// snapshots a question takes: no room behind it, nothing in front of it, or else the worker. Looked at from the sink: a
// stage that waits for room is held up by what is behind it, one that waits for input by what is in front; the first
// that does neither for most of the time is the one at fault.
#include <string.h>

#include "host/control.h"

tv_host_wait_kind tv_host_waits_for(const tv_host_flow *flow, size_t stage) {
    enum { FULL_PERCENT = 75 }; // a stage waits as soon as one largest record finds no room
    const tv_flow_spec *spec = &flow->spec->flow;
    bool has_input = false;
    for (size_t e = 0; e < spec->edge_count; e++) {
        const tv_edge_spec *edge = &spec->edges[e];
        tv_edge_stats stats;
        if (edge->from != stage && edge->to != stage) continue;
        tv_flow_edge_stats(flow->flow, e, &stats);
        bool is_full = 100ull * stats.queued_bytes >= (uint64_t)FULL_PERCENT * stats.capacity_bytes ||
                       100ull * stats.queued >= (uint64_t)FULL_PERCENT * edge->capacity_records;
        if (edge->from == stage && edge->overflow == TV_OVERFLOW_BLOCK && is_full) return TV_WAITS_ROOM;
        has_input = has_input || (edge->to == stage && stats.queued > 0);
    }
    return has_input ? TV_WAITS_WORKER : TV_WAITS_INPUT;
}

void tv_host_shares_of(int64_t busy_ns, int64_t wall_ns, const tv_host_wait_kind waits[2], tv_host_shares *shares) {
    *shares = (tv_host_shares){0};
    if (wall_ns <= 0) return;
    double running = 100.0 * (double)busy_ns / (double)wall_ns;
    if (running > 100) running = 100;
    shares->running = running;
    for (int i = 0; i < 2; i++) {
        double *share = waits[i] == TV_WAITS_ROOM     ? &shares->room
                        : waits[i] == TV_WAITS_WORKER ? &shares->worker
                                                      : &shares->input;
        *share += (100 - running) / 2;
    }
}

tv_host_verdict tv_host_judge(const tv_host_shares *shares, size_t count) {
    enum { MOST = 50 };
    bool any = false;
    for (size_t i = count; i-- > 0;) {
        const tv_host_shares *share = &shares[i];
        if (share->running + share->input + share->worker + share->room <= 0) continue;
        if (!any && share->room >= MOST) return (tv_host_verdict){"room", i};
        any = true;
        if (share->input >= MOST || share->room >= MOST) continue;
        return (tv_host_verdict){share->running >= share->worker ? "running" : "worker", i};
    }
    return any ? (tv_host_verdict){"input", 0} : (tv_host_verdict){0};
}

static const char *output_behind(const tv_host_flow *flow, size_t stage) {
    const tv_stage_model *model = &flow->model->stages[stage];
    return model->output_count ? flow->model->channels[model->outputs[0].channel].name : model->name;
}

static const char *held_back(const tv_host_view *view, const tv_flow_stats *stats) {
    if (view->brief.paused) return "paused";
    if (stats->throttled == TV_THROTTLE_CPU) return "cpu";
    return stats->throttled == TV_THROTTLE_RATE ? "rate" : NULL;
}

static void explain(char *text, size_t bytes, const tv_host_flow *flow, const tv_host_verdict *verdict,
                    const tv_host_shares *share) {
    const char *name = flow->model->stages[verdict->stage].name;
    if (strcmp(verdict->why, "running") == 0)
        snprintf(text, bytes, "%s runs %.0f %% of the time", name, share->running);
    else if (strcmp(verdict->why, "worker") == 0)
        snprintf(text, bytes, "%s could run, but waits %.0f %% of the time for its worker", name, share->worker);
    else if (strcmp(verdict->why, "room") == 0)
        snprintf(text, bytes, "%s waits %.0f %% of the time for room: %s takes no more", name, share->room,
                 output_behind(flow, verdict->stage));
    else
        snprintf(text, bytes, "it waits for its input and is not held up anywhere");
}

void tv_host_add_bottleneck(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_view *view,
                            const tv_flow_stats *stats, const tv_host_shares *shares) {
    const tv_host_flow *flow = view->flow;
    tv_host_verdict verdict = tv_host_judge(shares, flow->spec->flow.stage_count);
    const char *held = held_back(view, stats);
    char text[256];
    if (held) {
        verdict = (tv_host_verdict){held, 0};
        snprintf(text, sizeof text, "%s",
                 strcmp(held, "paused") == 0 ? "it is paused"
                 : strcmp(held, "cpu") == 0  ? "its own CPU limit holds it back"
                                             : "its own rate limit holds it back");
    } else if (verdict.why) {
        explain(text, sizeof text, flow, &verdict, &shares[verdict.stage]);
    } else {
        yyjson_mut_obj_add_null(document, object, "bottleneck");
        return;
    }
    bool is_channel = strcmp(verdict.why, "room") == 0;
    const char *name = is_channel ? output_behind(flow, verdict.stage) : flow->model->stages[verdict.stage].name;
    yyjson_mut_val *bottleneck = yyjson_mut_obj_add_obj(document, object, "bottleneck");
    yyjson_mut_obj_add_strcpy(document, bottleneck, "stage", name);
    yyjson_mut_obj_add_str(document, bottleneck, "why", verdict.why);
    yyjson_mut_obj_add_strcpy(document, bottleneck, "text", text);
}
