// What the verbs that change flows have in common: a request under way on one or many flows. It is answered when it has
// taken place: the workers and connectors concerned say so one by one, and the last of them lets the answer go.
#include <stdlib.h>
#include <string.h>

#include "host/control_change.h"

// ---- operations -----------------------------------------------------------------------------------------------------

static void on_request_gone(void *user, tv_server_request *request, bool cancelled) {
    tv_host_operation *op = user;
    (void)request;
    (void)cancelled;
    op->request = NULL; // what has begun goes on
}

// NULL: the request has been answered.
tv_host_operation *tv_host_operation_new(tv_host_control *control, tv_server_request *request,
                                         tv_host_flow *const *flows, size_t count) {
    tv_host_operation *op = calloc(1, sizeof *op);
    if (!op) {
        tv_server_fail(request, "no-memory", "out of memory");
        return NULL;
    }
    *op = (tv_host_operation){.control = control, .request = request, .waiting = 1};
    op->document = tv_server_answer(request, &op->root);
    if (!op->document) {
        free(op);
        return NULL;
    }
    tv_host_add_names(op->document, op->root, flows, count);
    tv_server_on_gone(request, on_request_gone, op);
    return op;
}

static void finish(tv_host_operation *op) {
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

void tv_host_operation_done(tv_host_operation *op) {
    if (--op->waiting == 0) finish(op);
}

// ---- waiting for the workers ----------------------------------------------------------------------------------------

// Posted behind what was asked of a flow: when it is run, that has taken place.
typedef struct turn_step {
    tv_flow_request request;
    tv_host_message message;
    tv_host_runner *runner;
    tv_host_operation *op;
} turn_step;

static void receive_turn(tv_host_message *message) {
    turn_step *step = (turn_step *)(void *)((char *)message - offsetof(turn_step, message));
    tv_host_operation *op = step->op;
    free(step);
    tv_host_operation_done(op);
}

static void run_turn(tv_flow_request *request, tv_flow *flow) {
    turn_step *step = (turn_step *)(void *)request;
    (void)flow; // it may have been removed in between: done as well
    tv_host_message_post(step->runner, &step->message);
}

void tv_host_operation_wait(tv_host_operation *op, tv_host_flow *flow) {
    turn_step *step = malloc(sizeof *step);
    if (!step) return; // it takes place all the same
    *step = (turn_step){
        .request = {.run = run_turn}, .message = {.receive = receive_turn}, .runner = op->control->runner, .op = op};
    op->waiting++;
    tv_flow_request_post(flow->flow, &step->request);
}
