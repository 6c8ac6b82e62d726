// The verb `flow-set`: settings in place; new parameters replace the flow by a new one of its name, which has all that
// was set of the old one and is not set anew: its other parameters, its index, its settings, whether it is paused.
#include <stdlib.h>
#include <string.h>

#include "host/control_change.h"

// ---- settings -------------------------------------------------------------------------------------------------------

static void set_all(tv_host_control *control, tv_server_request *request, yyjson_val *body,
                    const tv_flow_settings *settings) {
    size_t count;
    tv_error error;
    tv_host_flow **flows = tv_host_flows_chosen(control, request, body, &count);
    tv_host_operation *op = flows ? tv_host_operation_new(control, request, flows, count) : NULL;
    tv_status status = TV_OK;
    for (size_t f = 0; op && status == TV_OK && f < count; f++) {
        if (flows[f]->phase != TV_HOST_FLOW_RUNNING) continue;
        status = tv_host_settings_keep(flows[f], settings, &error);
        if (status == TV_OK) status = tv_flow_set(flows[f]->flow, settings, &error);
        if (status == TV_OK) tv_host_operation_wait(op, flows[f]);
    }
    free(flows);
    if (!op) return;
    yyjson_mut_obj_add_bool(op->document, op->root, "replaced", false);
    if (status != TV_OK) {
        tv_server_fail_with(op->request, &error);
        op->request = NULL;
    }
    tv_host_operation_done(op);
}

// ---- replace --------------------------------------------------------------------------------------------------------

// What a flow is apart from its model. It stays when the flow is made anew.
typedef struct flow_manner {
    tv_flow_settings settings; // since it was made
    bool paused;
} flow_manner;

typedef struct replacement {
    tv_host_removal removal; // first
    tv_host_operation *op;
    tv_flow_model *model;  // of the new one
    flow_manner manner;    // of the old one; the model has the settings
    tv_flow_settings more; // of the new one
} replacement;

// The new one could not start: the old one, which did nothing wrong, comes back when the other is gone.
typedef struct restoration {
    tv_host_removal removal; // first; of the new one
    tv_host_operation *op;
    const tv_flow_model *model; // of the old one
    tv_flow_model *own;         // the same, if it is not the pipeline's and the old one is gone
    flow_manner manner;
    tv_error why;
} restoration;

static flow_manner manner_of(const tv_host_flow *flow) {
    return (flow_manner){.settings = flow->kept ? *flow->kept : (tv_flow_settings){0}, .paused = flow->paused};
}

// Without memory the settings are in force, but will be forgotten when it is made anew once more: that is said.
static void give_manner(tv_host_flow *flow, const flow_manner *manner) {
    tv_error error = {0};
    tv_status status = tv_host_settings_keep(flow, &manner->settings, &error);
    if (status == TV_OK && manner->settings.fields) status = tv_flow_set(flow->flow, &manner->settings, &error);
    if (manner->paused) tv_host_flow_pause(flow, true);
    if (status != TV_OK) tv_log(TV_LEVEL_WARN, "control", "settings are lost: %s", error.message);
}

// The flow that was made, if any.
static tv_host_flow *restore(restoration *this) {
    tv_host_operation *op = this->op;
    tv_host_runner *runner = op->control->runner;
    tv_host_flow *flow = NULL;
    tv_error error = {.message = "the pipeline is stopping"};
    bool is_back = false;
    if (runner->phase == TV_PHASE_RUNNING)
        is_back = tv_host_flow_start(runner, this->model, this->own, false, &flow, &error) == TV_OK;
    else
        tv_host_flow_model_free(runner->model, this->own);
    runner->replacements--;
    if (is_back) give_manner(flow, &this->manner);
    if (op->request)
        tv_server_fail(op->request, "fault", "%.600s; %s%.300s", this->why.message,
                       is_back ? "the flow runs again as it was" : "nor could it be started as it was: ",
                       is_back ? "" : error.message);
    op->request = NULL;
    free(this);
    tv_host_operation_done(op);
    return flow;
}

static void on_failed_gone(tv_host_removal *removal, tv_host_flow *failed) {
    (void)failed;
    (void)restore((restoration *)(void *)removal);
}

// The model of the old one is read until that is freed, which is after this.
static void restore_now(restoration *this, tv_host_flow *old) {
    tv_host_flow *flow = restore(this);
    if (!flow) return;
    flow->own_model = old->own_model;
    old->own_model = NULL;
}

static void bring_back(tv_host_operation *op, tv_host_flow *old, const flow_manner *manner, tv_host_flow *failed,
                       const tv_error *why) {
    restoration *this = malloc(sizeof *this);
    if (!this) {
        op->control->runner->replacements--;
        if (op->request) tv_server_fail_with(op->request, why);
        op->request = NULL;
        tv_host_operation_done(op);
        return;
    }
    *this = (restoration){
        .removal = {.gone = on_failed_gone}, .op = op, .model = old->model, .manner = *manner, .why = *why};
    if (!failed) {
        restore_now(this, old);
        return;
    }
    this->own = old->own_model;
    old->own_model = NULL;
    tv_host_flow_remove(failed, TV_REMOVE_NOW, &this->removal);
}

static void on_replaced_gone(tv_host_removal *removal, tv_host_flow *old) {
    replacement *this = (replacement *)(void *)removal;
    tv_host_operation *op = this->op;
    tv_host_runner *runner = op->control->runner;
    tv_flow_model *model = this->model;
    flow_manner manner = this->manner;
    flow_manner next = manner;
    tv_host_flow *flow = NULL;
    tv_error error;
    tv_host_settings_merge(&next.settings, &this->more);
    free(this);
    if (runner->phase != TV_PHASE_RUNNING) {
        tv_host_flow_model_free(runner->model, model);
        if (op->request) tv_server_fail(op->request, "busy", "the pipeline is stopping");
        op->request = NULL;
    } else if (tv_host_flow_start(runner, model, model, false, &flow, &error) != TV_OK) {
        bring_back(op, old, &manner, flow, &error);
        return;
    } else {
        give_manner(flow, &next);
    }
    runner->replacements--;
    tv_host_operation_done(op);
}

static void on_replacement_late(tv_host_control *control, void *user) {
    tv_host_operation *op = user;
    (void)control;
    op->deadline = NULL;
    if (op->request)
        tv_server_fail(op->request, "timeout",
                       "the flow has not delivered everything in time; it is replaced as soon as it has");
    op->request = NULL;
}

// Whether the new one fits where the old one was.
static tv_status check_budget(tv_host_runner *runner, const tv_host_flow *old, const tv_flow_model *model,
                              tv_error *error) {
    const tv_host_spec *spec;
    tv_host_budget budget = runner->budget;
    tv_status status = tv_host_spec_acquire(&runner->specs, model, &spec, error);
    if (status != TV_OK) return status;
    tv_host_budget_release(&budget, old->model, old->spec);
    status = tv_host_budget_admit(&budget, model, spec, error);
    tv_host_spec_release(&runner->specs, spec);
    return status;
}

static void replace(tv_host_control *control, tv_server_request *request, tv_host_flow *old, tv_flow_model *model,
                    const tv_flow_settings *settings, uint64_t timeout_ms) {
    tv_error error;
    if (check_budget(control->runner, old, model, &error) != TV_OK) {
        tv_host_flow_model_free(control->runner->model, model);
        tv_server_fail_with(request, &error);
        return;
    }
    replacement *this = malloc(sizeof *this);
    tv_host_operation *op = this ? tv_host_operation_new(control, request, &old, 1) : NULL;
    if (!op) {
        if (!this) tv_server_fail(request, "no-memory", "out of memory");
        free(this);
        tv_host_flow_model_free(control->runner->model, model);
        return;
    }
    yyjson_mut_obj_add_bool(op->document, op->root, "replaced", true);
    *this = (replacement){.removal = {.gone = on_replaced_gone},
                          .op = op,
                          .model = model,
                          .manner = manner_of(old), // before the drain lets it go on
                          .more = *settings};
    control->runner->replacements++;
    op->waiting++;
    op->deadline = tv_host_later_new(control, on_replacement_late, op, timeout_ms);
    tv_host_flow_remove(old, TV_REMOVE_DRAIN, &this->removal);
    tv_host_operation_done(op);
}

static void set_parameters(tv_host_control *control, tv_server_request *request, const char *name,
                           yyjson_val *parameters, const tv_flow_settings *settings, uint64_t timeout_ms) {
    tv_server_reader reader = {0};
    tv_host_order made = {0};
    tv_host_flow *old = tv_host_flow_named(control, request, name);
    if (!old) return;
    if (old->removing) {
        tv_server_fail(request, "busy", "flow '%s' is just being removed or replaced", name);
        return;
    }
    made.order.like = old->model;
    made.order.name = name;
    tv_host_order_read(&reader, parameters, &made);
    if (!tv_server_refuse(request, &reader)) {
        tv_flow_model *model = tv_host_order_model(control, request, &made.order);
        if (model && old->kept) tv_host_settings_apply(model, old->kept);
        if (model) tv_host_settings_apply(model, settings);
        if (model) replace(control, request, old, model, settings, timeout_ms);
    }
    tv_host_order_deinit(&made);
}

void tv_host_verb_flow_set(void *user, tv_server_request *request, yyjson_val *body) {
    tv_server_reader reader = {.body = body};
    tv_flow_settings settings;
    if (tv_host_refuse_if_stopping(user, request)) return;
    tv_host_settings_read(&reader, &settings);
    yyjson_val *parameters = yyjson_obj_get(body, "parameters");
    const char *name = tv_server_text(&reader, "flow");
    uint64_t timeout_ms = tv_server_number(&reader, "timeout_ms", 1, TV_HOST_DRAIN_MS_MAX, TV_HOST_DRAIN_MS);
    if (parameters && !name) tv_server_problem(&reader, "`parameters` are set of one flow: name it in `flow`");
    if (!parameters && !settings.fields)
        tv_server_problem(&reader, "nothing to set: class, quantum, turn, cpu, rate, parameters");
    if (tv_server_refuse(request, &reader)) return;
    if (parameters)
        set_parameters(user, request, name, parameters, &settings, timeout_ms);
    else
        set_all(user, request, body, &settings);
}
