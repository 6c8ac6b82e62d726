// What the verbs that change flows share (control_operation.c, control_order.c).
#ifndef TORVYN_HOST_CONTROL_CHANGE_H
#define TORVYN_HOST_CONTROL_CHANGE_H

#include "host/control.h"

// Of a drain: by default, and at most.
enum { TV_HOST_DRAIN_MS = 10000, TV_HOST_DRAIN_MS_MAX = 3600000 };

// Whether the request has been answered, because the pipeline is stopping.
bool tv_host_refuse_if_stopping(tv_host_control *control, tv_server_request *request);

// ---- operations (control_operation.c) ------------------------------------------------------------------------------

// A request under way on one or many flows.
typedef struct tv_host_operation {
    tv_host_control *control;
    tv_server_request *request; // NULL: nobody waits for the answer any more
    yyjson_mut_doc *document;   // the answer; names are those at the begin
    yyjson_mut_val *root;
    size_t waiting; // flows that are not done, and one for whoever is still starting it
    tv_host_later *deadline;
    struct removal_step *removals;
    tv_host_totals totals; // of what was removed
    bool removes;
} tv_host_operation;

// Waits for one thing, the caller: tv_host_operation_done. NULL: the request has been answered.
tv_host_operation *tv_host_operation_new(tv_host_control *control, tv_server_request *request,
                                         tv_host_flow *const *flows, size_t count);
// One of the things it waits for is done. After the last the request is answered and `op` is gone.
void tv_host_operation_done(tv_host_operation *op);
// Waits until what was asked of the flow before has taken place.
void tv_host_operation_wait(tv_host_operation *op, tv_host_flow *flow);

// ---- what a request says of a flow (control_order.c) ---------------------------------------------------------------

// `class`, `quantum`, `turn`, `cpu`, `rate`.
void tv_host_settings_read(tv_server_reader *reader, tv_flow_settings *settings);
void tv_host_settings_apply(tv_flow_model *model, const tv_flow_settings *settings);
// Remembers what was set of a flow, so that it stays when the flow is made anew. NO_MEMORY.
tv_status tv_host_settings_keep(tv_host_flow *flow, const tv_flow_settings *settings, tv_error *error);
// Those of `settings` over those of `over`.
void tv_host_settings_merge(tv_flow_settings *over, const tv_flow_settings *settings);
// As the verbs of that name.
void tv_host_flow_pause(tv_host_flow *flow, bool pauses);
// A problem for each key of `object`, which is called `of`, that is not in `known` (ends with NULL).
void tv_host_check_keys(tv_server_reader *reader, const char *of, yyjson_val *object, const char *const *known);

enum { TV_HOST_PARAMETERS_MAX = 64 };
// What a request says of a flow to be made; texts are the request's, or `values`.
typedef struct tv_host_order {
    tv_flow_order order;
    tv_flow_parameter parameters[TV_HOST_PARAMETERS_MAX];
    char *values[TV_HOST_PARAMETERS_MAX]; // those that were no text
} tv_host_order;
// The parameters; tv_host_order_deinit also after problems.
void tv_host_order_read(tv_server_reader *reader, yyjson_val *object, tv_host_order *made);
void tv_host_order_deinit(tv_host_order *made);
// The model of the flow that is wanted. NULL: the request has been answered.
tv_flow_model *tv_host_order_model(tv_host_control *control, tv_server_request *request, const tv_flow_order *wanted);

#endif
