// Why a flow is as fast as it is: judged from where the time of its stages went.
//
// Looked at from the sink: a stage that waits for room is held up by what is behind it, one that waits for input by
// what is in front; the first that does neither for most of the time is the one at fault.
#include <string.h>

#include "host/control.h"

tv_host_times tv_host_times_of(const tv_stage_stats *stats) { return (tv_host_times){.running_ns = stats->busy_ns}; }

static double difference(int64_t before, int64_t after) { return after > before ? (double)(after - before) : 0; }

void tv_host_shares_of(const tv_host_times *before, const tv_host_times *after, tv_host_shares *shares) {
    double running = difference(before->running_ns, after->running_ns);
    double input = difference(before->input_ns, after->input_ns);
    double worker = difference(before->worker_ns, after->worker_ns);
    double room = difference(before->room_ns, after->room_ns);
    double sum = running + input + worker + room;
    *shares = (tv_host_shares){0};
    if (sum <= 0) return;
    *shares = (tv_host_shares){100 * running / sum, 100 * input / sum, 100 * worker / sum, 100 * room / sum};
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
                            const tv_host_shares *shares) {
    const tv_host_flow *flow = view->flow;
    tv_host_verdict verdict = tv_host_judge(shares, flow->spec->flow.stage_count);
    char text[256] = "it is paused";
    if (view->brief.paused) verdict = (tv_host_verdict){"paused", 0};
    if (!verdict.why) {
        yyjson_mut_obj_add_null(document, object, "bottleneck");
        return;
    }
    if (!view->brief.paused) explain(text, sizeof text, flow, &verdict, &shares[verdict.stage]);
    bool is_channel = strcmp(verdict.why, "room") == 0;
    const char *name = is_channel ? output_behind(flow, verdict.stage) : flow->model->stages[verdict.stage].name;
    yyjson_mut_val *bottleneck = yyjson_mut_obj_add_obj(document, object, "bottleneck");
    yyjson_mut_obj_add_strcpy(document, bottleneck, "stage", name);
    yyjson_mut_obj_add_str(document, bottleneck, "why", verdict.why);
    yyjson_mut_obj_add_strcpy(document, bottleneck, "text", text);
}
