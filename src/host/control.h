// The host's side of the control socket: what the files control*.c share. All of it belongs to the I/O thread.
#ifndef TORVYN_HOST_CONTROL_H
#define TORVYN_HOST_CONTROL_H

#include "control/control.h"
#include "host/figures_json.h"
#include "host/runner.h"
#include "yyjson.h"

typedef struct tv_host_tap tv_host_tap;
typedef struct tv_host_later tv_host_later;
typedef struct tv_host_component_sum tv_host_component_sum;

// Of a worker, at a sample.
typedef struct tv_host_worker_sample {
    int64_t busy_ns, nested_ns;
} tv_host_worker_sample;

struct tv_host_control {
    tv_host_runner *runner;
    tv_server *server; // NULL: it has closed
    uv_timer_t timer;  // of `laters`
    bool timer_open;
    tv_host_later *laters;
    int64_t sampled_ns;                    // when the newer samples were taken; 0 = never
    uint64_t busy_older_ns, busy_newer_ns; // CPU time of the process at the samples
    int64_t older_ns, newer_ns;
    bool some_unpublished;             // when samples were taken last
    tv_host_component_sum *components; // of the last question about them; NULL: there was none
    int64_t components_ns;
    tv_host_worker_sample *workers_older, *workers_newer; // one for each worker; NULL: none yet
    int64_t asked_ns;                                     // the last question about figures
    tv_host_later *forgetting;                            // NULL: nothing to forget
    tv_host_later *taps_rest;                             // NULL: they need not wait
    tv_host_tap *taps;
    size_t tap_count;
};

// ---- rates (control_rates.c) ------------------------------------------------------------------------------------

typedef struct tv_host_sample {
    int64_t at_ns; // 0: none
    uint64_t records_in, bytes_in, records_out, bytes_out;
    int64_t busy_ns;
} tv_host_sample;

struct tv_host_rates {
    tv_host_sample older, newer;
};

// A flow as it is seen by one question.
typedef struct tv_host_view {
    tv_host_flow *flow;
    tv_flow_brief brief;
    const char *state;
    double in_per_s, out_per_s, bytes_in_per_s, bytes_out_per_s, cpu_percent;
    double over_s; // the rates; 0: there are none yet
    uint64_t dropped;
} tv_host_view;

// Answers a question about rates now, or when there are two samples to take them from. `answer` is called once, unless
// the client goes away before.
void tv_host_ask(tv_host_control *control, tv_server_request *request,
                 void (*answer)(tv_host_control *control, tv_server_request *request));
// CPU time of the process since the older sample, percent of a core.
double tv_host_process_cpu_percent(const tv_host_control *control);
// Percent of its time that the worker was busy since the older sample, and of it in nested turns.
void tv_host_worker_percent(const tv_host_control *control, uint32_t worker, const tv_worker_stats *stats, double *busy,
                            double *nested);
// Samples are taken if the last ones are not of just now.
void tv_host_sample_all(tv_host_control *control);
// Calls `on_time` after a while; if the client goes away before, or there is no memory, `gone` with `user` instead.
typedef void tv_host_on_time(tv_host_control *control, tv_server_request *request, void *user);
void tv_host_wait(tv_host_control *control, tv_server_request *request, tv_host_on_time *on_time,
                  void (*gone)(void *user), void *user, uint64_t wait_ms);
// Calls `fire` once after a while, on the loop. NULL: out of memory.
tv_host_later *tv_host_later_new(tv_host_control *control, void (*fire)(tv_host_control *control, void *user),
                                 void *user, uint64_t wait_ms);
void tv_host_later_cancel(tv_host_control *control, tv_host_later *later);
void tv_host_laters_close(tv_host_control *control);
void tv_host_samples_free(tv_host_control *control);
void tv_host_view_take(tv_host_control *control, tv_host_flow *flow, tv_host_view *view);
const char *tv_host_flow_state(const tv_host_flow *flow);

// ---- questions (control_query.c) ----------------------------------------------------------------------------------

typedef struct tv_host_query {
    const char *match;
    uint32_t states, classes; // bits; 0 = all
    int sort;
    bool reverse;
    size_t limit, offset;
} tv_host_query;

// The fields `match`, `state`, `class`, `sort`, `reverse`, `limit`, `offset`.
void tv_host_query_read(tv_server_reader *reader, const char *sort, size_t limit, size_t limit_max,
                        tv_host_query *query);
// The flows a question is about, sorted; *count of them, heap. NULL: out of memory.
tv_host_view *tv_host_query_run(tv_host_control *control, const tv_host_query *query, size_t *count);

// The flows of `flow` or `match`; heap, at least one. NULL: the request has been answered.
tv_host_flow **tv_host_flows_chosen(tv_host_control *control, tv_server_request *request, yyjson_val *body,
                                    size_t *count);
// The flow of this name; NULL: the request has been answered, with a near name.
tv_host_flow *tv_host_flow_named(tv_host_control *control, tv_server_request *request, const char *name);
// "count" and the first names.
void tv_host_add_names(yyjson_mut_doc *document, yyjson_mut_val *root, tv_host_flow *const *flows, size_t count);

// Only the reasons that are not zero.
void tv_host_add_dropped(yyjson_mut_doc *document, yyjson_mut_val *object, const uint64_t dropped[TV_DROP_COUNT]);
// What a flow reserves at most, bytes.
uint64_t tv_host_flow_reserved(const tv_host_flow *flow);

// "total", "matched", "next", "rates_over_s" of a page of `count` flows.
void tv_host_add_page(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_host_control *control,
                      const tv_host_query *query, size_t count, double over_s);
// "components": what the stages of these flows do, by component; rates since the last such question.
void tv_host_add_components(yyjson_mut_doc *document, yyjson_mut_val *root, tv_host_control *control,
                            const tv_host_view *views, size_t count);
void tv_host_add_process(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_host_control *control);
// To three digits behind the point: what is printed.
double tv_host_rounded(double value);
// Guest memory, rings and state.
uint64_t tv_host_view_memory(const tv_host_view *view);

// ---- why it is slow (control_why.c) -------------------------------------------------------------------------------

// The times of a stage as they were at an earlier snapshot.
typedef struct tv_host_times {
    int64_t running_ns, waited_ns[TV_WAIT_COUNT];
} tv_host_times;
// The times since then, into the fields of that name of *window. Whether there was any.
bool tv_host_window_take(const tv_stage_stats *now, const tv_host_times *before, tv_stage_stats *window);
// The four shares in percent; all 0 if the window is empty.
void tv_host_add_shares(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_stage_stats *window);
// "paused", "cpu", "rate" if that holds the flow back now or did for half of the window; else NULL.
const char *tv_host_held_back(bool paused, const tv_flow_stats *stats, const int64_t before_ns[TV_THROTTLE_COUNT],
                              int64_t window_ns);
// `window`: of each stage; NULL: nothing is known.
void tv_host_add_bottleneck(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_flow *flow,
                            const char *held_back, const tv_stage_stats *window);

// ---- verbs --------------------------------------------------------------------------------------------------------

void tv_host_verb_ps(void *user, tv_server_request *request, yyjson_val *body);
void tv_host_verb_top(void *user, tv_server_request *request, yyjson_val *body);
void tv_host_verb_flow_add(void *user, tv_server_request *request, yyjson_val *body);
void tv_host_verb_flow_remove(void *user, tv_server_request *request, yyjson_val *body);
void tv_host_verb_flow_pause(void *user, tv_server_request *request, yyjson_val *body);
void tv_host_verb_flow_resume(void *user, tv_server_request *request, yyjson_val *body);
void tv_host_verb_flow_set(void *user, tv_server_request *request, yyjson_val *body);
void tv_host_verb_stop(void *user, tv_server_request *request, yyjson_val *body);
void tv_host_verb_tap(void *user, tv_server_request *request, yyjson_val *body);
// Frees taps that are off, when the ready list has been taken; or all of them, when nobody writes.
void tv_host_taps_reap(tv_host_control *control);
void tv_host_taps_free(tv_host_control *control);
// The flow is over, or about to be freed: its taps end.
void tv_host_taps_end(tv_host_control *control, tv_host_flow *flow, const char *reason);

#endif
