// The verbs that pause, resume, remove, add and set flows while others run.
#include <stdlib.h>
#include <string.h>

#include "host/control_change.h"

// ---- pause and resume -----------------------------------------------------------------------------------------------

void tv_host_flow_pause(tv_host_flow *flow, bool pauses) {
    flow->paused = pauses;
    if (pauses)
        tv_flow_pause(flow->flow);
    else
        tv_flow_resume(flow->flow);
}

static void pause_or_resume(tv_host_control *control, tv_server_request *request, yyjson_val *body, bool pauses) {
    size_t count;
    // A flow that is paused now would hold up the end until the grace time is over.
    if (tv_host_refuse_if_stopping(control, request)) return;
    tv_host_flow **flows = tv_host_flows_chosen(control, request, body, &count);
    tv_host_operation *op = flows ? tv_host_operation_new(control, request, flows, count) : NULL;
    for (size_t f = 0; op && f < count; f++) {
        if (flows[f]->removing || flows[f]->phase != TV_HOST_FLOW_RUNNING) continue; // nothing to hold up
        if (flows[f]->paused != pauses) flows[f]->since_ns = tv_clock_monotonic_ns(tv_clock_system());
        tv_host_flow_pause(flows[f], pauses);
        tv_host_operation_wait(op, flows[f]);
    }
    free(flows);
    if (op) tv_host_operation_done(op);
}

void tv_host_verb_flow_pause(void *user, tv_server_request *request, yyjson_val *body) {
    pause_or_resume(user, request, body, true);
}

void tv_host_verb_flow_resume(void *user, tv_server_request *request, yyjson_val *body) {
    pause_or_resume(user, request, body, false);
}

// ---- remove ---------------------------------------------------------------------------------------------------------

typedef struct removal_step {
    tv_host_removal removal; // first
    struct removal_step *next, **link;
    tv_host_operation *op;
    tv_host_flow *flow;
} removal_step;

static void step_free(removal_step *step) {
    *step->link = step->next;
    if (step->next) step->next->link = step->link;
    free(step);
}

static void on_flow_gone(tv_host_removal *removal, tv_host_flow *flow) {
    removal_step *step = (removal_step *)(void *)removal;
    tv_host_operation *op = step->op;
    tv_host_totals_add_flow(flow, &op->totals);
    step_free(step);
    tv_host_operation_done(op);
}

static void on_too_late(tv_host_control *control, void *user) {
    tv_host_operation *op = user;
    (void)control;
    op->deadline = NULL;
    size_t left = 0;
    const char *first = op->removals ? op->removals->flow->entry.name : "";
    for (removal_step *step = op->removals; step; step = step->next)
        left++;
    if (op->request)
        tv_server_fail(op->request, "timeout",
                       "%zu flow%s not delivered everything in time (%s); the drain goes on, `how` `now` ends it", left,
                       left == 1 ? " has" : "s have", first);
    op->request = NULL;
    for (removal_step *step = op->removals, *next; step; step = next) {
        next = step->next;
        tv_host_removal_cancel(step->flow, &step->removal);
        free(step);
    }
    yyjson_mut_doc_free(op->document);
    free(op);
}

static void begin_removal(tv_host_operation *op, tv_host_flow *flow, tv_removal how) {
    removal_step *step = malloc(sizeof *step);
    if (step) {
        *step = (removal_step){.removal = {.gone = on_flow_gone}, .next = op->removals, .op = op, .flow = flow};
        step->link = &op->removals;
        if (step->next) step->next->link = &step->next;
        op->removals = step;
        op->waiting++;
    }
    tv_host_flow_remove(flow, how, step ? &step->removal : NULL);
}

static const char *const hows[] = {"drain", "now", NULL};

void tv_host_verb_flow_remove(void *user, tv_server_request *request, yyjson_val *body) {
    tv_host_control *control = user;
    tv_server_reader reader = {.body = body};
    tv_removal how = tv_server_choice(&reader, "how", hows) == 1 ? TV_REMOVE_NOW : TV_REMOVE_DRAIN;
    uint64_t timeout_ms = tv_server_number(&reader, "timeout_ms", 1, TV_HOST_DRAIN_MS_MAX, TV_HOST_DRAIN_MS);
    size_t count;
    if (tv_server_refuse(request, &reader)) return;
    tv_host_flow **flows = tv_host_flows_chosen(control, request, body, &count);
    tv_host_operation *op = flows ? tv_host_operation_new(control, request, flows, count) : NULL;
    if (op) op->removes = true;
    for (size_t f = 0; op && f < count; f++)
        begin_removal(op, flows[f], how);
    free(flows);
    if (!op) return;
    if (op->removals) op->deadline = tv_host_later_new(control, on_too_late, op, timeout_ms);
    tv_host_operation_done(op);
}

// ---- add ------------------------------------------------------------------------------------------------------------

bool tv_host_refuse_if_stopping(tv_host_control *control, tv_server_request *request) {
    if (control->runner->phase == TV_PHASE_RUNNING) return false;
    tv_server_fail(request, "busy",
                   "the pipeline is stopping: it delivers what is under way, and flows stay as they are");
    return true;
}

static void answer_added(tv_host_control *control, tv_server_request *request, tv_host_flow *flow) {
    yyjson_mut_val *root;
    yyjson_mut_doc *document = tv_server_answer(request, &root);
    if (!document) return;
    tv_host_add_names(document, root, &flow, 1);
    yyjson_mut_obj_add_uint(document, root, "reserved_bytes", tv_host_flow_reserved(flow));
    yyjson_mut_obj_add_uint(document, root, "reserved_total_bytes", control->runner->budget.reserved_bytes);
    tv_server_send(request, document, true);
}

static void add_flow(tv_host_control *control, tv_server_request *request, const tv_host_order *made,
                     const tv_flow_settings *settings) {
    tv_error error;
    tv_host_flow *flow;
    if (made->order.name && tv_flow_table_find(&control->runner->flows, made->order.name)) {
        tv_server_fail(request, "exists", "there is a flow '%.64s' already", made->order.name);
        return;
    }
    tv_flow_model *model = tv_host_order_model(control, request, &made->order);
    if (!model) return;
    tv_host_settings_apply(model, settings);
    tv_status status = tv_host_flow_start(control->runner, model, model, false, &flow, &error);
    if (status == TV_OK) status = tv_host_settings_keep(flow, settings, &error);
    if (status == TV_OK)
        answer_added(control, request, flow);
    else
        tv_server_fail_with(request, &error);
}

void tv_host_verb_flow_add(void *user, tv_server_request *request, yyjson_val *body) {
    static const char *const keys[] = {"template", "name", "class",      "quantum", "turn",
                                       "cpu",      "rate", "parameters", NULL};
    yyjson_val *object = yyjson_obj_get(body, "flow");
    tv_server_reader reader = {.body = object};
    tv_flow_settings settings;
    if (tv_host_refuse_if_stopping(user, request)) return;
    if (!yyjson_is_obj(object)) {
        tv_server_fail(request, "invalid", "`flow` must be an object: name, template, class, parameters");
        return;
    }
    tv_host_order made = {0};
    tv_host_check_keys(&reader, "flow", object, keys);
    made.order.template = tv_server_text(&reader, "template");
    made.order.name = tv_server_text(&reader, "name");
    tv_host_settings_read(&reader, &settings);
    tv_host_order_read(&reader, yyjson_obj_get(object, "parameters"), &made);
    if (!tv_server_refuse(request, &reader)) add_flow(user, request, &made, &settings);
    tv_host_order_deinit(&made);
}
