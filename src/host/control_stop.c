// The verb `stop`: answered at once, and once more when the run is over, with what was not delivered.
//
// What was dropped before the stop is not its doing: each flow's worker notes how much that is when the stop begins.
#include <stdlib.h>
#include <string.h>

#include "host/control.h"

enum { FLOWS_NAMED_MAX = 100 };

// ---- what was lost --------------------------------------------------------------------------------------------------

// On the flow's worker.
static void note_dropped(tv_flow_request *request, tv_flow *running) {
    tv_host_flow *flow = (tv_host_flow *)(void *)((char *)request - offsetof(tv_host_flow, stop_note));
    if (running) atomic_store(&flow->dropped_before_stop, tv_flow_dropped(running));
    atomic_store(&flow->stop_note_posted, false);
}

static void note_all(tv_host_runner *runner) {
    for (size_t f = 0; f < runner->flows.count; f++) {
        tv_host_flow *flow = tv_host_flow_at(runner, f);
        if (flow->detached || atomic_exchange(&flow->stop_note_posted, true)) continue;
        flow->stop_note.run = note_dropped;
        tv_flow_request_post(flow->flow, &flow->stop_note);
    }
}

// Records of a flow that were not delivered: still in queues or in components, and dropped since the stop.
typedef struct stop_losses {
    uint64_t left, dropped;
} stop_losses;

static stop_losses losses_of(const tv_host_flow *flow) {
    tv_host_totals totals = {0};
    tv_host_totals_add_flow(flow, &totals);
    uint64_t before = atomic_load(&flow->dropped_before_stop);
    stop_losses losses = {.left = totals.queued,
                          .dropped = totals.dropped_all > before ? totals.dropped_all - before : 0};
    for (size_t s = 0; s < flow->spec->flow.stage_count; s++) {
        tv_stage_stats stats;
        tv_flow_stage_stats(flow->flow, s, &stats);
        losses.left += stats.in_progress;
    }
    return losses;
}

// "flows": those that lost something; their sum is returned.
static stop_losses add_flows(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_host_runner *runner) {
    stop_losses all = {0};
    size_t count = 0;
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(document, root, "flows");
    for (size_t f = 0; f < runner->flows.count; f++) {
        const tv_host_flow *flow = tv_host_flow_at(runner, f);
        stop_losses losses = losses_of(flow);
        all.left += losses.left;
        all.dropped += losses.dropped;
        if (!(losses.left + losses.dropped) || count++ >= FLOWS_NAMED_MAX) continue;
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(document, list);
        yyjson_mut_obj_add_strcpy(document, item, "name", flow->entry.name);
        yyjson_mut_obj_add_uint(document, item, "left", losses.left);
        yyjson_mut_obj_add_uint(document, item, "dropped", losses.dropped);
    }
    yyjson_mut_obj_add_uint(document, root, "count", count);
    return all;
}

static uint64_t dead_letters_left(const tv_host_runner *runner) {
    uint64_t left = 0;
    for (size_t i = 0; i < runner->dead_letters.count; i++)
        left += tv_channel_queued(runner->dead_letters.channels[i].channel);
    return left;
}

// ---- the verb -------------------------------------------------------------------------------------------------------

static void add_outcome(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_host_runner *runner) {
    stop_losses all = add_flows(document, root, runner);
    uint64_t letters = dead_letters_left(runner);
    bool is_complete = !runner->grace_over && !all.left && !all.dropped && !letters;
    yyjson_mut_obj_add_bool(document, root, "complete", is_complete);
    yyjson_mut_obj_add_bool(document, root, "grace_over", runner->grace_over);
    yyjson_mut_obj_add_uint(document, root, "left", all.left);
    yyjson_mut_obj_add_uint(document, root, "dropped", all.dropped);
    yyjson_mut_obj_add_uint(document, root, "dead_letters_left", letters);
    yyjson_mut_obj_add_uint(document, root, "flows_failed", runner->flows_failed);
}

// The run is over, or the client does not want to wait any more.
static void on_gone(void *user, tv_server_request *request, bool cancelled) {
    const tv_host_runner *runner = user;
    yyjson_mut_val *root;
    yyjson_mut_doc *document = cancelled ? tv_server_done(request, &root) : NULL;
    if (!cancelled) return;
    if (document && runner->phase >= TV_PHASE_CLOSING)
        add_outcome(document, root, runner);
    else if (document)
        yyjson_mut_obj_add_str(document, root, "reason", "cancelled");
    tv_server_send(request, document, true);
}

void tv_host_verb_stop(void *user, tv_server_request *request, yyjson_val *body) {
    tv_host_control *control = user;
    tv_host_runner *runner = control->runner;
    static const char *const hows[] = {"drain", "now", NULL};
    tv_server_reader reader = {.body = body};
    bool now = tv_server_choice(&reader, "how", hows) == 1;
    uint64_t grace_ms =
        tv_server_number(&reader, "grace_ms", 0, 3600000, (uint64_t)(runner->options->grace_ns / 1000000));
    if (tv_server_refuse(request, &reader)) return;
    yyjson_mut_val *root;
    yyjson_mut_doc *document = tv_server_answer(request, &root);
    if (!document) return;
    yyjson_mut_obj_add_str(document, root, "how", hows[now]);
    tv_server_on_gone(request, on_gone, runner);
    tv_server_send(request, document, false);
    if (!runner->stop_wanted) note_all(runner);
    runner->stop_wanted = true;
    tv_host_runner_drain(runner, now ? "stop now" : "stop", now ? 0 : (int64_t)grace_ms * 1000000);
}
