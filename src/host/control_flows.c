// The verbs that change flows while others run. Each is answered when it has taken place: the workers and connectors
// concerned say so one by one, and the last of them lets the answer go.
#include <stdlib.h>
#include <string.h>

#include "host/control.h"

// ---- operations -----------------------------------------------------------------------------------------------------

// A request under way on one or many flows.
typedef struct operation {
    tv_host_control *control;
    tv_server_request *request; // NULL: nobody waits for the answer any more
    yyjson_mut_doc *document;   // the answer; names are those at the begin
    yyjson_mut_val *root;
    size_t waiting; // flows that are not done, and one for whoever is still starting it
    tv_host_later *deadline;
    struct removal_step *removals;
    tv_host_totals totals; // of what was removed
    bool removes;
} operation;

static void on_request_gone(void *user, tv_server_request *request, bool cancelled) {
    operation *op = user;
    (void)request;
    (void)cancelled;
    op->request = NULL; // what has begun goes on
}

// NULL: the request has been answered.
static operation *operation_new(tv_host_control *control, tv_server_request *request, tv_host_flow *const *flows,
                                size_t count) {
    operation *op = calloc(1, sizeof *op);
    if (!op) {
        tv_server_fail(request, "no-memory", "out of memory");
        return NULL;
    }
    *op = (operation){.control = control, .request = request, .waiting = 1};
    op->document = tv_server_answer(request, &op->root);
    if (!op->document) {
        free(op);
        return NULL;
    }
    tv_host_add_names(op->document, op->root, flows, count);
    tv_server_on_gone(request, on_request_gone, op);
    return op;
}

static void finish(operation *op) {
    if (op->deadline) tv_host_later_cancel(op->control, op->deadline);
    if (op->removes && op->document) {
        yyjson_mut_obj_add_uint(op->document, op->root, "records_in", op->totals.records_in);
        yyjson_mut_obj_add_uint(op->document, op->root, "records_out", op->totals.records_out);
        tv_host_add_dropped(op->document, op->root, op->totals.dropped);
    }
    if (op->request)
        tv_server_send(op->request, op->document, true);
    else
        yyjson_mut_doc_free(op->document);
    free(op);
}

static void one_is_done(operation *op) {
    if (--op->waiting == 0) finish(op);
}

// ---- waiting for the workers
// ------------------------------------------------------------------------------------------

// Posted behind what was asked of a flow: when it is run, that has taken place.
typedef struct turn_step {
    tv_flow_request request;
    tv_host_message message;
    tv_host_runner *runner;
    operation *op;
} turn_step;

static void receive_turn(tv_host_message *message) {
    turn_step *step = (turn_step *)(void *)((char *)message - offsetof(turn_step, message));
    operation *op = step->op;
    free(step);
    one_is_done(op);
}

static void run_turn(tv_flow_request *request, tv_flow *flow) {
    turn_step *step = (turn_step *)(void *)request;
    (void)flow; // it may have been removed in between: done as well
    tv_host_message_post(step->runner, &step->message);
}

static void wait_for_turn(operation *op, tv_host_flow *flow) {
    turn_step *step = malloc(sizeof *step);
    if (!step) return; // it takes place all the same
    *step = (turn_step){
        .request = {.run = run_turn}, .message = {.receive = receive_turn}, .runner = op->control->runner, .op = op};
    op->waiting++;
    tv_flow_request_post(flow->flow, &step->request);
}

// ---- pause and resume
// -------------------------------------------------------------------------------------------------

static void pause_or_resume(tv_host_control *control, tv_server_request *request, yyjson_val *body,
                            void (*change)(tv_flow *)) {
    size_t count;
    tv_host_flow **flows = tv_host_flows_chosen(control, request, body, &count);
    operation *op = flows ? operation_new(control, request, flows, count) : NULL;
    for (size_t f = 0; op && f < count; f++) {
        if (flows[f]->removing || flows[f]->phase != TV_HOST_FLOW_RUNNING) continue; // nothing to hold up
        change(flows[f]->flow);
        wait_for_turn(op, flows[f]);
    }
    free(flows);
    if (op) one_is_done(op);
}

void tv_host_verb_flow_pause(void *user, tv_server_request *request, yyjson_val *body) {
    pause_or_resume(user, request, body, tv_flow_pause);
}

void tv_host_verb_flow_resume(void *user, tv_server_request *request, yyjson_val *body) {
    pause_or_resume(user, request, body, tv_flow_resume);
}

// ---- remove
// -----------------------------------------------------------------------------------------------------------

typedef struct removal_step {
    tv_host_removal removal; // first
    struct removal_step *next, **link;
    operation *op;
    tv_host_flow *flow;
} removal_step;

static void step_free(removal_step *step) {
    *step->link = step->next;
    if (step->next) step->next->link = step->link;
    free(step);
}

static void on_flow_gone(tv_host_removal *removal, tv_host_flow *flow) {
    removal_step *step = (removal_step *)(void *)removal;
    operation *op = step->op;
    tv_host_totals_add_flow(flow, &op->totals);
    step_free(step);
    one_is_done(op);
}

static void on_too_late(tv_host_control *control, void *user) {
    operation *op = user;
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
    while (op->removals) {
        removal_step *step = op->removals;
        tv_host_removal_cancel(step->flow, &step->removal);
        step_free(step);
    }
    yyjson_mut_doc_free(op->document);
    free(op);
}

static void begin_removal(operation *op, tv_host_flow *flow, tv_removal how) {
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
enum { TIMEOUT_MS = 10000, TIMEOUT_MS_MAX = 3600000 };

void tv_host_verb_flow_remove(void *user, tv_server_request *request, yyjson_val *body) {
    tv_host_control *control = user;
    tv_server_reader reader = {.body = body};
    tv_removal how = tv_server_choice(&reader, "how", hows) == 1 ? TV_REMOVE_NOW : TV_REMOVE_DRAIN;
    uint64_t timeout_ms = tv_server_number(&reader, "timeout_ms", 1, TIMEOUT_MS_MAX, TIMEOUT_MS);
    size_t count;
    if (tv_server_refuse(request, &reader)) return;
    tv_host_flow **flows = tv_host_flows_chosen(control, request, body, &count);
    operation *op = flows ? operation_new(control, request, flows, count) : NULL;
    if (op) op->removes = true;
    for (size_t f = 0; op && f < count; f++)
        begin_removal(op, flows[f], how);
    free(flows);
    if (!op) return;
    if (op->removals) op->deadline = tv_host_later_new(control, on_too_late, op, timeout_ms);
    one_is_done(op);
}

// ---- settings
// ---------------------------------------------------------------------------------------------------------

static void check_keys(tv_server_reader *reader, const char *of, yyjson_val *object, const char *const *known) {
    size_t index, count, names = 0;
    yyjson_val *key, *value;
    while (known[names])
        names++;
    yyjson_obj_foreach(object, index, count, key, value) {
        const char *name = yyjson_get_str(key);
        bool found = false;
        for (size_t i = 0; i < names; i++)
            found = found || strcmp(known[i], name) == 0;
        if (found) continue;
        const char *nearest = tv_nearest_name(name, known, names);
        tv_server_problem(reader, "`%s` has no key '%.40s'%s%s%s", of, name, nearest ? "; did you mean '" : "",
                          nearest ? nearest : "", nearest ? "'?" : "");
    }
}

static void read_duration(tv_server_reader *reader, const char *name, int64_t *ns, bool *given) {
    const char *text = tv_server_text(reader, name);
    tv_error error;
    *given = text != NULL;
    if (text && tv_parse_duration(text, ns, &error) != TV_OK)
        tv_server_problem(reader, "`%s`: %s", name, error.message);
}

static const char *const class_choices[] = {"critical", "high", "normal", "background", NULL};
_Static_assert(TV_CLASS_CRITICAL == 0 && TV_CLASS_BACKGROUND == 3, "class choices");

// {"records":500,"bytes":"1MiB","burst":"1s"}: what is not there is no limit.
static void read_rate(tv_server_reader *reader, tv_flow_settings *settings) {
    static const char *const keys[] = {"records", "bytes", "burst", NULL};
    yyjson_val *rate = yyjson_obj_get(reader->body, "rate");
    tv_server_reader inner = {.body = rate};
    tv_error error;
    bool given;
    if (!rate) return;
    if (!yyjson_is_obj(rate)) tv_server_problem(reader, "`rate` must be an object: records, bytes, burst");
    if (reader->problem[0]) return;
    check_keys(&inner, "rate", rate, keys);
    settings->fields |= TV_SET_RATE;
    settings->rate_records_per_s = tv_server_number(&inner, "records", 0, 1ull << 53, 0);
    if (yyjson_is_str(yyjson_obj_get(rate, "bytes"))) {
        if (tv_parse_size(yyjson_get_str(yyjson_obj_get(rate, "bytes")), &settings->rate_bytes_per_s, &error) != TV_OK)
            tv_server_problem(&inner, "`rate.bytes`: %s", error.message);
    } else {
        settings->rate_bytes_per_s = tv_server_number(&inner, "bytes", 0, 1ull << 53, 0);
    }
    read_duration(&inner, "burst", &settings->rate_burst_ns, &given);
    if (inner.problem[0]) tv_server_problem(reader, "%s", inner.problem);
}

static void read_settings(tv_server_reader *reader, tv_flow_settings *settings) {
    bool given;
    *settings = (tv_flow_settings){0};
    int class = tv_server_choice(reader, "class", class_choices);
    if (class >= 0) {
        settings->fields |= TV_SET_CLASS;
        settings->class = (tv_class) class;
    }
    uint64_t quantum = tv_server_number(reader, "quantum", 0, 1 << 20, UINT64_MAX);
    if (quantum != UINT64_MAX) {
        settings->fields |= TV_SET_QUANTUM;
        settings->quantum_records = (uint32_t)quantum;
    }
    read_duration(reader, "turn", &settings->turn_ns, &given);
    if (given) settings->fields |= TV_SET_TURN;
    read_duration(reader, "cpu", &settings->cpu_per_s_ns, &given);
    if (given) settings->fields |= TV_SET_CPU;
    read_rate(reader, settings);
}

static void set_all(tv_host_control *control, tv_server_request *request, yyjson_val *body,
                    const tv_flow_settings *settings) {
    size_t count;
    tv_error error;
    tv_host_flow **flows = tv_host_flows_chosen(control, request, body, &count);
    operation *op = flows ? operation_new(control, request, flows, count) : NULL;
    tv_status status = TV_OK;
    for (size_t f = 0; op && status == TV_OK && f < count; f++) {
        if (flows[f]->phase != TV_HOST_FLOW_RUNNING) continue;
        status = tv_flow_set(flows[f]->flow, settings, &error);
        if (status == TV_OK) wait_for_turn(op, flows[f]);
    }
    free(flows);
    if (!op) return;
    yyjson_mut_obj_add_bool(op->document, op->root, "replaced", false);
    if (status != TV_OK) {
        tv_server_fail_with(op->request, &error);
        op->request = NULL;
    }
    one_is_done(op);
}

// ---- parameters and orders
// ----------------------------------------------------------------------------------------------

enum { PARAMETERS_MAX = 64, VALUE_BYTES = 4096 };

// What a request says of a flow to be made; texts are the request's, or `values`.
typedef struct order {
    tv_flow_order order;
    tv_flow_parameter parameters[PARAMETERS_MAX];
    char *values[PARAMETERS_MAX]; // those that were no text
} order;

static void order_deinit(order *made) {
    for (size_t i = 0; i < made->order.parameter_count; i++)
        free(made->values[i]);
}

static void read_parameters(tv_server_reader *reader, yyjson_val *object, order *made) {
    size_t index, count;
    yyjson_val *key, *value;
    if (!object || yyjson_is_null(object)) return;
    if (!yyjson_is_obj(object) || yyjson_obj_size(object) > PARAMETERS_MAX) {
        tv_server_problem(reader, "`parameters` must be an object of at most %d names and values", PARAMETERS_MAX);
        return;
    }
    made->order.parameters = made->parameters;
    yyjson_obj_foreach(object, index, count, key, value) {
        size_t at = made->order.parameter_count++;
        const char *text = yyjson_get_str(value);
        bool is_plain = text ? strlen(text) == yyjson_get_len(value) : yyjson_is_num(value) || yyjson_is_bool(value);
        if (!text && is_plain) text = made->values[at] = yyjson_val_write(value, 0, NULL);
        if (!is_plain || !text)
            tv_server_problem(reader, "parameter '%.40s' must be a text or a number", yyjson_get_str(key));
        made->parameters[at] = (tv_flow_parameter){yyjson_get_str(key), text ? text : ""};
    }
}

// The first error with its hint, as one message.
static void fail_with_diagnostics(tv_server_request *request, tv_status status, const tv_diagnostics *diagnostics) {
    const tv_diagnostic *first = NULL;
    for (size_t i = 0; i < diagnostics->count && !first; i++)
        if (diagnostics->items[i].severity == TV_SEVERITY_ERROR) first = &diagnostics->items[i];
    const char *name = status == TV_NOT_FOUND ? "not-found" : status == TV_NO_MEMORY ? "no-memory" : "invalid";
    if (!first)
        tv_server_fail(request, name, "the flow cannot be made: %s", tv_status_name(status));
    else
        tv_server_fail(request, name, "%s%s%s%s%s%s", first->path && first->path[0] ? first->path : "",
                       first->path && first->path[0] ? ": " : "", first->message, first->hint ? " (" : "",
                       first->hint ? first->hint : "", first->hint ? ")" : "");
}

static tv_flow_model *make_model(tv_host_control *control, tv_server_request *request, const tv_flow_order *wanted) {
    tv_diagnostics diagnostics = {0};
    tv_flow_model *model = NULL;
    tv_status status = tv_host_flow_model_new(control->runner->model, wanted, &diagnostics, &model);
    if (status != TV_OK) fail_with_diagnostics(request, status, &diagnostics);
    tv_diagnostics_deinit(&diagnostics);
    return status == TV_OK ? model : NULL;
}

// ---- add
// --------------------------------------------------------------------------------------------------------------

static bool refuse_if_stopping(tv_host_control *control, tv_server_request *request) {
    if (control->runner->phase == TV_PHASE_RUNNING) return false;
    tv_server_fail(request, "busy", "the pipeline is stopping");
    return true;
}

static void apply_settings(tv_flow_model *model, const tv_flow_settings *settings) {
    if (settings->fields & TV_SET_CLASS) model->class = settings->class;
    if (settings->fields & TV_SET_QUANTUM) model->quantum_records = settings->quantum_records;
    if (settings->fields & TV_SET_TURN) model->turn_ns = settings->turn_ns;
    if (settings->fields & TV_SET_CPU) model->cpu_per_s_ns = settings->cpu_per_s_ns;
    if (settings->fields & TV_SET_RATE)
        model->rate =
            (tv_rate_model){settings->rate_records_per_s, settings->rate_bytes_per_s, settings->rate_burst_ns};
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

static void add_flow(tv_host_control *control, tv_server_request *request, const order *made,
                     const tv_flow_settings *settings) {
    tv_error error;
    tv_host_flow *flow;
    if (made->order.name && tv_flow_table_find(&control->runner->flows, made->order.name)) {
        tv_server_fail(request, "exists", "there is a flow '%.64s' already", made->order.name);
        return;
    }
    tv_flow_model *model = make_model(control, request, &made->order);
    if (!model) return;
    apply_settings(model, settings);
    if (tv_host_flow_start(control->runner, model, model, &flow, &error) == TV_OK)
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
    if (refuse_if_stopping(user, request)) return;
    if (!yyjson_is_obj(object)) {
        tv_server_fail(request, "invalid", "`flow` must be an object: name, template, class, parameters");
        return;
    }
    order made = {0};
    check_keys(&reader, "flow", object, keys);
    made.order.template = tv_server_text(&reader, "template");
    made.order.name = tv_server_text(&reader, "name");
    read_settings(&reader, &settings);
    read_parameters(&reader, yyjson_obj_get(object, "parameters"), &made);
    if (!tv_server_refuse(request, &reader)) add_flow(user, request, &made, &settings);
    order_deinit(&made);
}

// ---- replace
// ------------------------------------------------------------------------------------------------------------

typedef struct replacement {
    tv_host_removal removal; // first
    operation *op;
    tv_flow_model *model; // of the new one
} replacement;

// The new one could not start: the old one, which did nothing wrong, comes back when the other is gone.
typedef struct restoration {
    tv_host_removal removal; // first; of the new one
    operation *op;
    const tv_flow_model *model; // of the old one
    tv_flow_model *own;         // the same, if it is not the pipeline's and the old one is gone
    tv_error why;
} restoration;

// The flow that was made, if any.
static tv_host_flow *restore(restoration *this) {
    operation *op = this->op;
    tv_host_runner *runner = op->control->runner;
    tv_host_flow *flow = NULL;
    tv_error error = {.message = "the pipeline is stopping"};
    bool is_back = false;
    if (runner->phase == TV_PHASE_RUNNING)
        is_back = tv_host_flow_start(runner, this->model, this->own, &flow, &error) == TV_OK;
    else
        tv_host_flow_model_free(runner->model, this->own);
    runner->replacements--;
    if (op->request)
        tv_server_fail(op->request, "fault", "%.600s; %s%.300s", this->why.message,
                       is_back ? "the flow runs again as it was" : "nor could it be started as it was: ",
                       is_back ? "" : error.message);
    op->request = NULL;
    free(this);
    one_is_done(op);
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

static void bring_back(operation *op, tv_host_flow *old, tv_host_flow *failed, const tv_error *why) {
    restoration *this = malloc(sizeof *this);
    if (!this) {
        op->control->runner->replacements--;
        if (op->request) tv_server_fail_with(op->request, why);
        op->request = NULL;
        one_is_done(op);
        return;
    }
    *this = (restoration){.removal = {.gone = on_failed_gone}, .op = op, .model = old->model, .why = *why};
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
    operation *op = this->op;
    tv_host_runner *runner = op->control->runner;
    tv_flow_model *model = this->model;
    tv_host_flow *flow = NULL;
    tv_error error;
    free(this);
    if (runner->phase != TV_PHASE_RUNNING) {
        tv_host_flow_model_free(runner->model, model);
        if (op->request) tv_server_fail(op->request, "busy", "the pipeline is stopping");
        op->request = NULL;
    } else if (tv_host_flow_start(runner, model, model, &flow, &error) != TV_OK) {
        bring_back(op, old, flow, &error);
        return;
    }
    runner->replacements--;
    one_is_done(op);
}

static void on_replacement_late(tv_host_control *control, void *user) {
    operation *op = user;
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
                    uint64_t timeout_ms) {
    tv_error error;
    if (check_budget(control->runner, old, model, &error) != TV_OK) {
        tv_host_flow_model_free(control->runner->model, model);
        tv_server_fail_with(request, &error);
        return;
    }
    replacement *this = malloc(sizeof *this);
    operation *op = this ? operation_new(control, request, &old, 1) : NULL;
    if (!op) {
        if (!this) tv_server_fail(request, "no-memory", "out of memory");
        free(this);
        tv_host_flow_model_free(control->runner->model, model);
        return;
    }
    yyjson_mut_obj_add_bool(op->document, op->root, "replaced", true);
    *this = (replacement){.removal = {.gone = on_replaced_gone}, .op = op, .model = model};
    control->runner->replacements++;
    op->waiting++;
    op->deadline = tv_host_later_new(control, on_replacement_late, op, timeout_ms);
    tv_host_flow_remove(old, TV_REMOVE_DRAIN, &this->removal);
    one_is_done(op);
}

static void set_parameters(tv_host_control *control, tv_server_request *request, const char *name,
                           yyjson_val *parameters, const tv_flow_settings *settings, uint64_t timeout_ms) {
    tv_server_reader reader = {0};
    order made = {0};
    tv_host_flow *old = tv_host_flow_named(control, request, name);
    if (!old) return;
    if (old->removing) {
        tv_server_fail(request, "busy", "flow '%s' is just being removed or replaced", name);
        return;
    }
    made.order.template = tv_host_flow_template(old);
    made.order.name = name;
    read_parameters(&reader, parameters, &made);
    if (!tv_server_refuse(request, &reader)) {
        tv_flow_model *model = make_model(control, request, &made.order);
        if (model) apply_settings(model, settings);
        if (model) replace(control, request, old, model, timeout_ms);
    }
    order_deinit(&made);
}

void tv_host_verb_flow_set(void *user, tv_server_request *request, yyjson_val *body) {
    tv_server_reader reader = {.body = body};
    tv_flow_settings settings;
    if (refuse_if_stopping(user, request)) return;
    read_settings(&reader, &settings);
    yyjson_val *parameters = yyjson_obj_get(body, "parameters");
    const char *name = tv_server_text(&reader, "flow");
    uint64_t timeout_ms = tv_server_number(&reader, "timeout_ms", 1, TIMEOUT_MS_MAX, TIMEOUT_MS);
    if (parameters && !name) tv_server_problem(&reader, "`parameters` are set of one flow: name it in `flow`");
    if (!parameters && !settings.fields)
        tv_server_problem(&reader, "nothing to set: class, quantum, turn, cpu, rate, parameters");
    if (tv_server_refuse(request, &reader)) return;
    if (parameters)
        set_parameters(user, request, name, parameters, &settings, timeout_ms);
    else
        set_all(user, request, body, &settings);
}
