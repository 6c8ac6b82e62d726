// The flows of a run: made at the start or while others run, ended by themselves or removed, freed by the loop.
//
// A flow is handed back and forth: its worker says by message that it has ended, or that it has let go of it; from
// there on its outputs are delivered, its connectors close, and what is left are its figures. Only a flow that was
// removed is freed before the end of the run. Nothing here looks at more than one flow for one event.
#include <stdlib.h>
#include <string.h>

#include "host/runner.h"
#include "host/specs.h"

// ---- making ---------------------------------------------------------------------------------------------------

static const tv_edge_spec *edge_of_channel(const tv_host_spec *spec, size_t channel) {
    uint16_t node = (uint16_t)(TV_NODE_CHANNEL | channel);
    for (size_t e = 0; e < spec->flow.edge_count; e++)
        if (spec->edges[e].from == node || spec->edges[e].to == node) return &spec->edges[e];
    return NULL;
}

static tv_status make_channel(tv_host_flow *flow, size_t index, tv_error *error) {
    const tv_channel_model *model = &flow->model->channels[index];
    const tv_edge_spec *edge = edge_of_channel(flow->spec, index);
    tv_host_channel *channel = &flow->channels[index];
    char place[160];
    TV_ASSERT(edge);
    *channel = (tv_host_channel){
        .runner = flow->runner, .flow = flow, .connector = model->connector, .direction = (uint8_t)model->direction};
    snprintf(place, sizeof place, "%s/%s", flow->entry.name, model->name);
    tv_channel_options options = {
        .name = place,
        .direction = model->direction,
        .overflow = model->overflow,
        .capacity_bytes = edge->capacity_bytes,
        .capacity_records = edge->capacity_records,
        .record_bytes_max = edge->record_bytes_max,
        .pause_percent = edge->pause_percent,
        .resume_percent = edge->resume_percent,
        .origin = (uint16_t)index,
        .memory = &flow->runner->memory,
    };
    if (model->direction == TV_OUTPUT) flow->outputs_left++;
    return tv_channel_new(&options, &channel->channel, error);
}

static tv_status make_channels(tv_host_flow *flow, tv_channel **borrowed, tv_error *error) {
    flow->channels = calloc(flow->model->channel_count + 1, sizeof *flow->channels);
    if (!flow->channels) return tv_error_set(error, TV_NO_MEMORY, "flow %s: out of memory", flow->entry.name);
    for (size_t c = 0; c < flow->model->channel_count; c++) {
        tv_status status = make_channel(flow, c, error);
        if (status != TV_OK) return status;
        borrowed[c] = flow->channels[c].channel;
    }
    return TV_OK;
}

static tv_status open_channels(tv_host_flow *flow, size_t *failed, tv_error *error) {
    for (size_t c = 0; c < flow->model->channel_count; c++) {
        *failed = c;
        tv_status status = tv_host_channel_open(&flow->channels[c], flow->model->channels[c].options, error);
        if (status != TV_OK) return status;
    }
    return TV_OK;
}

// Outputs without a connector have nobody who would tell that all was taken.
static void give_up_outputs(tv_host_flow *flow) {
    for (size_t c = 0; c < flow->model->channel_count; c++) {
        tv_host_channel *channel = &flow->channels[c];
        if (channel->open || channel->delivered || channel->direction != TV_OUTPUT) continue;
        channel->delivered = true;
        flow->outputs_left--;
    }
}

static const char *after_channel(const char *message) {
    const char *behind = strncmp(message, "channel ", 8) == 0 ? strstr(message, ": ") : NULL;
    return behind ? behind + 2 : message;
}

// The flow fails as if the far side had failed later; its worker says the rest.
static void fail_channel(tv_host_flow *flow, size_t index, const tv_error *error) {
    flow->open_failed = true;
    flow->failed_channel = (uint8_t)index;
    give_up_outputs(flow);
    tv_channel_fail(flow->channels[index].channel, after_channel(error->message));
}

static void note_first_failure(tv_host_runner *runner, const tv_error *error) {
    if (runner->phase == TV_PHASE_STARTING && !runner->first_failure.message[0]) runner->first_failure = *error;
}

// What is left when neither worker nor connector knows the flow.
static void free_flow(tv_host_flow *flow) {
    tv_host_runner *runner = flow->runner;
    for (size_t c = 0; flow->channels && c < flow->model->channel_count; c++)
        tv_host_channel_free(&flow->channels[c]);
    free(flow->channels);
    free(flow->configs);
    free(flow->rates);
    free(flow->kept);
    tv_host_start_release(flow->start);
    tv_host_spec_release(&runner->specs, flow->spec);
    tv_host_flow_model_free(runner->model, flow->own_model);
    free(flow);
}

static void on_ended(void *user, tv_flow *flow) {
    (void)flow;
    tv_host_flow *ended = user;
    tv_host_message_post(ended->runner, &ended->ended);
}

static void receive_ended(tv_host_message *message);

static tv_status make(tv_host_flow *flow, tv_error *error) {
    tv_channel *borrowed[TV_CHANNELS_MAX] = {0};
    tv_host_runner *runner = flow->runner;
    tv_flow_part part;
    tv_status status = tv_host_part_init(flow->spec, flow->model, &part, &flow->configs, error);
    if (status == TV_OK) status = make_channels(flow, borrowed, error);
    if (status != TV_OK) return status;
    part.may_fail = flow->may_fail;
    part.broken = tv_host_flow_broken(runner->model, flow->model, &part.broken_stage);
    if (part.broken && !flow->may_fail)
        return tv_error_set(error, TV_NOT_FOUND, "flow %s: %s", flow->entry.name, part.broken);
    if (!part.broken) tv_host_spec_complete(runner->model, flow->model, flow->spec);
    tv_error why = {0};
    status = tv_flow_new(runner->runtime, &flow->spec->flow, &part, borrowed, &flow->flow, &why);
    if (status != TV_OK) *error = why;
    if (status == TV_OK && why.message[0]) note_first_failure(runner, &why);
    return status;
}

// Those at the start are in the plan. Any other is admitted before it is made: what is made has a worker, and could
// only be removed again.
static tv_status admit_and_make(tv_host_flow *flow, tv_error *error) {
    tv_host_runner *runner = flow->runner;
    if (runner->phase == TV_PHASE_STARTING) return make(flow, error);
    tv_status status = tv_host_budget_admit(&runner->budget, flow->model, flow->spec, error);
    if (status != TV_OK) return status;
    status = make(flow, error);
    if (status != TV_OK) tv_host_budget_release(&runner->budget, flow->model, flow->spec);
    return status;
}

static tv_host_flow *allocate(tv_host_runner *runner, const tv_flow_model *model, tv_flow_model *own) {
    tv_host_flow *flow = calloc(1, sizeof *flow);
    if (!flow) return NULL;
    flow->runner = runner;
    flow->model = model;
    flow->own_model = own;
    flow->entry.name = model->name;
    flow->serial = runner->next_serial++;
    flow->made_ns = flow->since_ns = tv_clock_monotonic_ns(tv_clock_system());
    flow->ended.receive = receive_ended;
    return flow;
}

// The flow is made; from here on its worker knows it.
static tv_status run(tv_host_flow *flow, tv_error *error) {
    tv_host_runner *runner = flow->runner;
    (void)tv_flow_table_add(&runner->flows, &flow->entry); // there is room
    flow->phase = TV_HOST_FLOW_RUNNING;
    runner->flows_running++;
    runner->flows_unclosed++;
    tv_flow_on_end(flow->flow, on_ended, flow);
    size_t failed;
    if (flow->may_fail && tv_host_flow_has_not_started(flow)) {
        give_up_outputs(flow);
        return TV_OK;
    }
    tv_status status = open_channels(flow, &failed, error);
    if (status != TV_OK && flow->may_fail) {
        note_first_failure(runner, error);
        fail_channel(flow, failed, error);
        return TV_OK;
    }
    if (status != TV_OK && runner->phase != TV_PHASE_STARTING) tv_host_flow_remove(flow, TV_REMOVE_NOW, NULL);
    return status;
}

tv_status tv_host_flow_start(tv_host_runner *runner, const tv_flow_model *model, tv_flow_model *own, bool may_fail,
                             tv_host_flow **out, tv_error *error) {
    tv_host_flow *flow = allocate(runner, model, own);
    *out = NULL;
    if (!flow) {
        tv_host_flow_model_free(runner->model, own);
        return tv_error_set(error, TV_NO_MEMORY, "out of memory");
    }
    tv_status status = TV_OK;
    flow->may_fail = may_fail;
    if (tv_flow_table_find(&runner->flows, flow->entry.name))
        status = tv_error_set(error, TV_EXISTS, "there is a flow '%s' already", flow->entry.name);
    else if (!tv_flow_table_reserve(&runner->flows, 1))
        status = tv_error_set(error, TV_NO_MEMORY, "out of memory");
    if (status == TV_OK) status = tv_host_spec_acquire(&runner->specs, model, &flow->spec, error);
    if (status == TV_OK) status = admit_and_make(flow, error);
    if (status != TV_OK) {
        free_flow(flow);
        // Who asked for one more flow sees the message alone.
        if (error->line && runner->phase != TV_PHASE_STARTING)
            tv_error_prefix(error, "%s:%u:%u", runner->model->pipeline->file, error->line, error->column);
        return status;
    }
    *out = flow; // also if a connector cannot be opened: it is then being removed
    return run(flow, error);
}

// ---- ending ---------------------------------------------------------------------------------------------------

void tv_host_flow_stop_inputs(tv_host_flow *flow) {
    for (size_t c = 0; c < flow->model->channel_count; c++)
        tv_host_channel_stop(&flow->channels[c]);
}

void tv_host_flow_close(tv_host_flow *flow) {
    if (flow->phase >= TV_HOST_FLOW_CLOSING) return;
    if (flow->phase == TV_HOST_FLOW_RUNNING) flow->runner->flows_running--;
    flow->phase = TV_HOST_FLOW_CLOSING;
    for (size_t c = 0; c < flow->model->channel_count; c++)
        tv_host_channel_close(&flow->channels[c]);
    tv_host_flow_advance(flow);
}

void tv_host_flow_advance(tv_host_flow *flow) {
    tv_host_runner *runner = flow->runner;
    if (flow->phase == TV_HOST_FLOW_FLUSHING && (flow->outputs_left == 0 || flow->removed_now))
        tv_host_flow_close(flow);
    if (flow->phase == TV_HOST_FLOW_CLOSING && flow->channels_open == 0) {
        flow->phase = TV_HOST_FLOW_CLOSED;
        runner->flows_unclosed--;
    }
    if (flow->phase == TV_HOST_FLOW_CLOSED && flow->detached) {
        flow->phase = TV_HOST_FLOW_GONE;
        flow->gone_next = runner->gone;
        runner->gone = flow;
    }
}

// The worker makes no more turns of it.
static void is_over(tv_host_flow *flow) {
    if (flow->phase == TV_HOST_FLOW_RUNNING) {
        flow->phase = TV_HOST_FLOW_FLUSHING;
        flow->since_ns = tv_clock_monotonic_ns(tv_clock_system());
        flow->runner->flows_running--;
        tv_host_flow_stop_inputs(flow);
        tv_host_control_flow_over(flow->runner, flow);
    }
    tv_host_flow_advance(flow);
}

static void receive_ended(tv_host_message *message) {
    tv_host_flow *flow = (tv_host_flow *)(void *)((char *)message - offsetof(tv_host_flow, ended));
    if (tv_flow_get_state(flow->flow) == TV_FLOW_FAILED) flow->runner->flows_failed++; // the flow has said why
    if (tv_host_flow_has_not_started(flow)) tv_host_start_failed(flow);
    is_over(flow);
}

// ---- removing -------------------------------------------------------------------------------------------------

static void on_removed(void *user, tv_flow *flow) {
    (void)flow;
    tv_host_flow *removed = user;
    tv_host_message_post(removed->runner, &removed->removed);
}

static void receive_removed(tv_host_message *message) {
    tv_host_flow *flow = (tv_host_flow *)(void *)((char *)message - offsetof(tv_host_flow, removed));
    flow->detached = true;
    is_over(flow);
}

void tv_host_flow_remove(tv_host_flow *flow, tv_removal how, tv_host_removal *removal) {
    tv_host_start_cancel(flow, removal);
    if (removal) {
        removal->next = flow->removals;
        flow->removals = removal;
    }
    if (flow->phase == TV_HOST_FLOW_GONE || flow->removed_now) return;
    if (flow->removing && how == TV_REMOVE_DRAIN) return;
    if (!flow->removing) flow->runner->flows_removing++;
    if (!flow->removing) flow->since_ns = tv_clock_monotonic_ns(tv_clock_system());
    flow->removing = true;
    flow->removed_now = how == TV_REMOVE_NOW;
    flow->removed.receive = receive_removed;
    tv_host_flow_stop_inputs(flow);
    tv_flow_remove(flow->flow, how, on_removed, flow);
    tv_host_flow_advance(flow); // it may be over already, and wait for a far side
}

void tv_host_removal_cancel(tv_host_flow *flow, tv_host_removal *removal) {
    tv_host_removal **at = &flow->removals;
    while (*at && *at != removal)
        at = &(*at)->next;
    if (*at) *at = removal->next;
}

static void settle_books(tv_host_flow *flow) {
    tv_host_runner *runner = flow->runner;
    tv_error error;
    tv_flow_abandon(flow->flow);
    if (tv_flow_check_conservation(flow->flow, &error) != TV_OK && !runner->books[0])
        snprintf(runner->books, sizeof runner->books, "%.*s", (int)sizeof runner->books - 1, error.message);
    tv_host_totals_add_flow(flow, &runner->removed);
    tv_host_budget_release(&runner->budget, flow->model, flow->spec);
    runner->flows_removed++;
    runner->flows_removing--;
}

static void free_gone(tv_host_flow *flow) {
    settle_books(flow);
    tv_host_control_forget(flow->runner, flow);
    tv_flow_table_remove(&flow->runner->flows, &flow->entry); // first: who waits may start another of that name
    while (flow->removals) {
        tv_host_removal *removal = flow->removals;
        flow->removals = removal->next;
        removal->gone(removal, flow);
    }
    tv_flow_free(flow->flow);
    free_flow(flow);
}

void tv_host_flows_reap(tv_host_runner *runner) {
    tv_host_flow *gone = runner->gone;
    if (!gone) return;
    runner->gone = NULL;
    tv_host_channels_serve(runner); // takes their channels off the ready list, where nobody puts them any more
    while (gone) {
        tv_host_flow *next = gone->gone_next;
        free_gone(gone);
        gone = next;
    }
}

// ---- all of them ----------------------------------------------------------------------------------------------

void tv_host_flows_free(tv_host_runner *runner) {
    for (size_t f = runner->flows.count; f-- > 0;)
        free_flow(tv_host_flow_at(runner, f));
    tv_flow_table_deinit(&runner->flows);
    tv_host_specs_deinit(&runner->specs);
}

static int compare_serials(const void *a, const void *b) {
    const tv_host_flow *left = *(tv_host_flow *const *)a, *right = *(tv_host_flow *const *)b;
    return (left->serial > right->serial) - (left->serial < right->serial);
}

tv_host_flow **tv_host_flows_sorted(const tv_host_runner *runner) {
    tv_host_flow **flows = malloc((runner->flows.count + 1) * sizeof(tv_host_flow *));
    if (!flows) return NULL;
    for (size_t f = 0; f < runner->flows.count; f++)
        flows[f] = tv_host_flow_at(runner, f);
    qsort(flows, runner->flows.count, sizeof(tv_host_flow *), compare_serials);
    return flows;
}
