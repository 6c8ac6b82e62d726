// A run in progress: what the files run*.c, flows.c, control*.c, progress.c and report*.c share.
//
// Everything here belongs to the I/O thread (the one that called tv_host_run). Workers reach it only through the list
// of ready channels, the list of messages, and the wake handle. The phases of the run and of each flow follow each
// other in the order of their enum, never back. Nothing that the loop calls for one event looks at all flows: what
// is asked often is counted.
#ifndef TORVYN_HOST_RUNNER_H
#define TORVYN_HOST_RUNNER_H

#include <stdatomic.h>

#include <uv.h>

#include "host/flow_table.h"
#include "host/internal.h"

typedef enum tv_host_phase {
    TV_PHASE_STARTING,
    TV_PHASE_RUNNING,
    TV_PHASE_DRAINING, // a signal came: sources have stopped, flows finish what they have
    TV_PHASE_FLUSHING, // all flows are over: output channels are being delivered
    TV_PHASE_CLOSING,  // what does not belong to a flow lets go
    TV_PHASE_DONE,
    TV_PHASE_COUNT,
} tv_host_phase;

typedef struct tv_host_runner tv_host_runner;
typedef struct tv_host_flow tv_host_flow;
typedef struct tv_host_control tv_host_control;
typedef struct tv_host_start tv_host_start;
typedef struct tv_host_rates tv_host_rates;

// ---- messages from the workers --------------------------------------------------------------------------------

// Something a worker says to the I/O thread. The memory is the sender's until `receive` is called.
typedef struct tv_host_message {
    tv_inbox_item item; // while posted
    void (*receive)(struct tv_host_message *message);
} tv_host_message;

// Has the I/O thread look at its lists, and whether the run has come further. Any thread; does not block.
void tv_host_wake(tv_host_runner *runner);
// Any thread; does not block.
void tv_host_message_post(tv_host_runner *runner, tv_host_message *message);
void tv_host_messages_receive(tv_host_runner *runner);

// ---- channels -------------------------------------------------------------------------------------------------

typedef struct tv_host_figure {
    char name[32];
    uint64_t value;
} tv_host_figure;

// What a connector had to report when it closed.
typedef struct tv_host_figures {
    tv_trouble *trouble; // that it was in, NULL: none
    size_t count;
    tv_host_figure items[];
} tv_host_figures;

// A channel with the connector at its end.
typedef struct tv_host_channel {
    tv_host_runner *runner;
    tv_host_flow *flow; // NULL: dead letters
    tv_channel *channel;
    const tv_connector *connector;
    void *state;              // the connector's; valid while `open`
    tv_host_figures *figures; // NULL before it closed, and if there are none
    uint8_t direction;        // tv_direction
    bool open, stopped, closing;
    bool delivered; // an output whose end has been taken by the connector
} tv_host_channel;
_Static_assert(sizeof(tv_host_channel) <= 64, "two of these a flow, thousands of flows");

// ---- flows ----------------------------------------------------------------------------------------------------

typedef enum tv_host_flow_phase {
    TV_HOST_FLOW_MAKING,
    TV_HOST_FLOW_RUNNING,
    TV_HOST_FLOW_FLUSHING, // it is over (ended, failed, removed): its outputs are being delivered
    TV_HOST_FLOW_CLOSING,  // its connectors let go
    TV_HOST_FLOW_CLOSED,   // only its figures are left
    TV_HOST_FLOW_GONE,     // removed, to be freed by the loop
} tv_host_flow_phase;

// Who waits for a removal is told when nothing is left but the figures, just before they are freed.
typedef struct tv_host_removal {
    struct tv_host_removal *next;
    void (*gone)(struct tv_host_removal *removal, tv_host_flow *flow);
} tv_host_removal;

struct tv_host_flow {
    tv_flow_entry entry; // in the table of flows; its name is the model's
    tv_host_runner *runner;
    const tv_flow_model *model;
    tv_flow_model *own_model; // the same, if it was added while the run went on; else NULL
    tv_flow *flow;
    tv_host_channel *channels; // model->channel_count
    const tv_host_spec *spec;  // shared
    tv_stage_config *configs;  // for each stage, where they are not the specification's; else NULL
    uint8_t phase;             // tv_host_flow_phase
    bool removing, removed_now, detached;
    bool held;              // its sources wait for memory (watch.c)
    bool paused;            // by somebody on the control socket
    bool may_fail;          // where it cannot start it is there all the same, and has failed
    bool open_failed;       // a channel could not be opened
    uint8_t failed_channel; // which
    uint16_t channels_open, outputs_left;
    uint32_t serial; // in the order they were made
    int64_t made_ns;
    int64_t since_ns;          // in the state that people see (running, paused, draining, over)
    tv_flow_settings *kept;    // what was set of it since it was made; NULL: nothing
    tv_host_start *start;      // NULL: it has started at once, or still may
    tv_host_rates *rates;      // NULL until somebody asks on the control socket
    tv_host_removal *removals; // who waits for it
    tv_host_message ended, removed;
    tv_flow_request stop_note; // control_stop.c
    _Atomic bool stop_note_posted;
    _Atomic uint64_t dropped_before_stop;
    tv_host_flow *gone_next;
};

typedef struct tv_dead_letters {
    tv_host_channel *channels; // one a worker
    tv_channel **borrowed;     // the same channels, as the runtime wants them
    void *options;             // of the connector
    char *path;
    bool was_there; // before this run
    size_t count;
} tv_dead_letters;

// report.c: the totals of a run.
typedef struct tv_host_totals {
    uint64_t records_in, bytes_in, records_out, bytes_out;
    uint64_t into_last_stages; // records taken by the stages that output channels read: one message may hold many
    uint64_t dropped[TV_DROP_COUNT];
    uint64_t dropped_all, dead_lettered, rejected, faults, restarts, state_losses;
    uint64_t unconnected;            // emitted to ports that nothing reads
    uint64_t dropped_by_components;  // on purpose, as their counters say (contract 7.6)
    uint64_t queued;                 // still in a queue
    uint64_t dead_letters_unwritten; // of dead_lettered: not in the file (yet)
} tv_host_totals;

enum { TV_HOST_WATCHED_MAX = 16 };

struct tv_host_runner {
    tv_host_model *model;
    const tv_host_run_options *options;
    tv_host_phase phase;
    tv_engine *engine;
    tv_module **modules; // one a component
    size_t compiled;     // of them, not found in the cache
    tv_runtime *runtime;
    tv_dead_letters dead_letters;
    tv_ready_list ready;
    void *shared[TV_HOST_CONNECTORS_MAX]; // of each connector's channels, in the order of tv_host_connectors
    tv_inbox messages;                    // tv_host_message

    tv_host_specs specs;
    tv_host_budget budget;
    uv_timer_t watch_timer;
    tv_host_pressure pressure;
    uint64_t pressure_raised; // how often
    uint64_t base_bytes;      // resident, before the flows were made
    uint64_t growths_refused; // of components, as far as it has been said
    tv_flow_table flows;
    uint32_t next_serial;
    size_t flows_running;   // that are not over
    size_t flows_unclosed;  // whose connectors are still there
    size_t flows_failed;    // and are not being started again
    size_t starts_pending;  // flows that could not start and are going to be tried again
    tv_error first_failure; // of a flow's start, before the run began
    size_t flows_removing;  // that somebody wants removed
    size_t flows_removed;
    size_t replacements;      // under way: a flow that goes and another that comes
    tv_host_totals removed;   // what those had done
    tv_host_flow *gone;       // to be freed
    tv_memory_account memory; // of flows and channels
    char books[512];          // what did not balance when a flow was removed, "" if nothing

    uv_loop_t loop;
    uv_async_t wake;
    _Atomic bool woken; // and the loop has not answered yet
    uv_check_t check;
    uv_poll_t signals;
    uv_timer_t grace_timer, close_timer, abort_timer, progress_timer;
    bool loop_open;
    uv_thread_t stopper; // waits for the workers after the grace time
    bool stopper_started;
    _Atomic bool workers_stopped;

    int signal;                                 // that asked for the end (at once), 0 if none
    bool stopped_at_once;                       // by a second signal
    int64_t grace_ns;                           // of the drain under way
    bool grace_over;                            // the drain was cut short
    bool stuck;                                 // a connector did not close in time after the grace time
    int64_t started_ns, first_out_ns, ended_ns; // monotonic; 0 = not yet
    // Outputs that had records first, and what stood at their front: until one has moved on.
    struct {
        tv_host_channel *channel;
        const tv_record *front;
    } watched[TV_HOST_WATCHED_MAX];
    size_t watched_count;
    tv_host_control *control;           // NULL: there is no control socket
    bool stop_wanted;                   // by it
    uint64_t progress_in, progress_out; // as of the last progress line
    int64_t progress_ns;
    bool progress_shown;
};

// run.c
void tv_host_runner_set_phase(tv_host_runner *runner, tv_host_phase phase);

// flows.c: makes a flow with its channels and opens their connectors; it runs as soon as the workers do. On an error
// nothing of it is left, or it is being removed.
// `own` (NULL: the model is the pipeline's) is freed with the flow, and also on an error. *out is set on an error only
// if the flow is being removed.
// With `may_fail` a flow whose components or connectors cannot start is made all the same: it has failed, and is
// started again as starts.c decides.
tv_status tv_host_flow_start(tv_host_runner *runner, const tv_flow_model *model, tv_flow_model *own, bool may_fail,
                             tv_host_flow **out, tv_error *error);
// Takes a flow away: draining it first (how TV_REMOVE_DRAIN), or at its next turn boundary. Asking again is allowed and
// may turn a drain into an end at once. `removal` (NULL: nobody waits) must stay until it is called.
void tv_host_flow_remove(tv_host_flow *flow, tv_removal how, tv_host_removal *removal);
// Nobody waits any more; the removal goes on.
void tv_host_removal_cancel(tv_host_flow *flow, tv_host_removal *removal);
// Looks at where the flow stands and moves it on.
void tv_host_flow_advance(tv_host_flow *flow);
// An input takes nothing more in.
void tv_host_flow_stop_inputs(tv_host_flow *flow);
// Its connectors let go, whatever is left in the channels.
void tv_host_flow_close(tv_host_flow *flow);
// Frees flows that are gone.
void tv_host_flows_reap(tv_host_runner *runner);
// After the runtime is gone: what is left of all.
void tv_host_flows_free(tv_host_runner *runner);
static inline tv_host_flow *tv_host_flow_of(const tv_flow_entry *entry) {
    return (tv_host_flow *)(uintptr_t)entry; // its first member
}
static inline tv_host_flow *tv_host_flow_at(const tv_host_runner *runner, size_t index) {
    return tv_host_flow_of(runner->flows.items[index]);
}
// All flows in the order they were made; heap, the caller's. NULL: out of memory.
tv_host_flow **tv_host_flows_sorted(const tv_host_runner *runner);

// starts.c: flows that cannot start.
typedef struct tv_host_start_policy {
    uint32_t attempts;        // that failed
    uint32_t window_restarts; // since window_start_ns
    int64_t window_start_ns;
} tv_host_start_policy;
// One more start has failed: counts it, and says how long to wait before the next; -1: there is none.
int64_t tv_host_start_policy_next(tv_host_start_policy *state, const tv_restart_policy *policy, int64_t now_ns);
// The flow has failed before it could run; valid from there on.
bool tv_host_flow_has_not_started(const tv_host_flow *flow);
// It has, and that is known on this thread: it is tried again by the restart policy of the stage at fault, or not.
void tv_host_start_failed(tv_host_flow *flow);
// When a flow is tried again, in nanoseconds from now, and how often it was; -1: it is not.
int64_t tv_host_start_next_ns(const tv_host_flow *flow, uint32_t *attempts);
// It is to be removed (`removal` NULL or not the start's own): it is not tried again.
void tv_host_start_cancel(tv_host_flow *flow, const tv_host_removal *removal);
// None is tried again: the run comes to its end.
void tv_host_starts_stop(tv_host_runner *runner);
// Of a flow that is freed.
void tv_host_start_release(tv_host_start *start);

// run_channels.c: opens a channel's connector; errors name the channel.
tv_status tv_host_channel_open(tv_host_channel *channel, const void *options, tv_error *error);
// Serves every channel on the ready list.
void tv_host_channels_serve(tv_host_runner *runner);
// The trouble that its connector is in, or was in when it closed.
bool tv_host_channel_trouble(const tv_host_channel *channel, tv_trouble *trouble);
// An input takes nothing more in.
void tv_host_channel_stop(tv_host_channel *channel);
// Whether a dead-letter channel has nothing left that its connector could take.
bool tv_host_channel_delivered(tv_host_channel *channel);
void tv_host_channel_close(tv_host_channel *channel);
void tv_host_channel_free(tv_host_channel *channel);
// All of them, and whether they have closed.
void tv_host_channels_close(tv_host_runner *runner);
bool tv_host_channels_closed(const tv_host_runner *runner);
// Notices the first record that left.
void tv_host_channels_watch_first(tv_host_runner *runner);

// run_stop.c: signals and the grace time; looks at where the run stands and moves it on.
tv_status tv_host_signals_start(tv_host_runner *runner, tv_error *error);
// INTERRUPTED if a signal came while the run was being made.
tv_status tv_host_signals_check(tv_error *error);
void tv_host_runner_advance(tv_host_runner *runner);
// What a signal does: sources stop, what is under way is delivered within the grace time. `why` is for the log.
void tv_host_runner_drain(tv_host_runner *runner, const char *why, int64_t grace_ns);

// control.c: opens the control socket, if there is to be one. At the end of the run it closes after all flows.
tv_status tv_host_control_open(tv_host_runner *runner, tv_error *error);
void tv_host_control_close(tv_host_runner *runner);
bool tv_host_control_closed(const tv_host_runner *runner);
void tv_host_control_free(tv_host_runner *runner);
// Frees what it has let go of; after the ready list has been taken.
void tv_host_control_reap(tv_host_runner *runner);
// The flow has ended or failed, or its worker has let go of it.
void tv_host_control_flow_over(tv_host_runner *runner, tv_host_flow *flow);
// The flow is about to be freed.
void tv_host_control_forget(tv_host_runner *runner, tv_host_flow *flow);

// dead_letters.c
tv_status tv_dead_letters_init(tv_host_runner *runner, tv_error *error);
tv_status tv_dead_letters_open(tv_host_runner *runner, tv_error *error);
void tv_dead_letters_deinit(tv_dead_letters *letters);

// progress.c
void tv_host_progress_start(tv_host_runner *runner);
// watch.c: with limits.overcommit, says what idle flows may keep and by how much components may grow (before flows are
// made, and before the workers start), and holds sources while memory is scarce.
void tv_host_watch_prepare(tv_host_runner *runner);
void tv_host_watch_start(tv_host_runner *runner);
void tv_host_progress_stop(tv_host_runner *runner);
void tv_host_progress_clear(tv_host_runner *runner);
void tv_host_progress_note(tv_host_runner *runner, const char *format, ...) __attribute__((format(printf, 2, 3)));

// report.c
void tv_host_totals_add_flow(const tv_host_flow *flow, tv_host_totals *totals);
// The sum of the flow's counters dropped_... (contract 7.6).
uint64_t tv_host_dropped_by_components(const tv_host_flow *flow);
void tv_host_totals_take(const tv_host_runner *runner, tv_host_totals *totals);
// Prints the summary, as options->json says. `books` is the verdict on conservation: NULL if it is kept. Does not wait
// for long for a reader that takes nothing. False: it could not be written, and somebody relies on it.
bool tv_host_report_print(const tv_host_runner *runner, const char *books);
const char *tv_host_outcome_name(const tv_host_runner *runner);
void tv_host_report_text(const tv_host_runner *runner, const char *books, FILE *out);
void tv_host_report_json(const tv_host_runner *runner, const char *books, FILE *out);
// report_groups.c: flows summed by template, and the worst by name.
void tv_host_report_groups(tv_host_flow *const *flows, size_t count, FILE *out);
typedef struct tv_host_number {
    char text[32];
} tv_host_number;
tv_host_number tv_host_grouped(uint64_t value);
// A line for each of the most frequent reasons of a stage that has rejected so many records.
void tv_host_print_rejections(const tv_host_flow *flow, size_t stage, uint64_t rejected, FILE *out);
// The entry of `flows` that a flow comes from.
const char *tv_host_flow_template(const tv_host_flow *flow);
// What the process used.
typedef struct tv_host_usage {
    uint64_t rss_peak_bytes;
    int64_t cpu_ns;
} tv_host_usage;
void tv_host_usage_take(tv_host_usage *usage);
// Seconds from the first turn to the last delivery, and from process start to the first record out (0: none came).
double tv_host_elapsed_s(const tv_host_runner *runner);
double tv_host_start_ms(const tv_host_runner *runner);

#endif
