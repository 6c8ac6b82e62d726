// A run in progress: what the files run*.c, progress.c and report*.c share.
//
// Everything here belongs to the I/O thread (the one that called tv_host_run). Workers reach it only through the
// ready list and the wake handle. The phases follow each other in the order of the enum, never back.
#ifndef TORVYN_HOST_RUNNER_H
#define TORVYN_HOST_RUNNER_H

#include <stdatomic.h>

#include <uv.h>

#include "host/internal.h"

typedef enum tv_host_phase {
    TV_PHASE_STARTING,
    TV_PHASE_RUNNING,
    TV_PHASE_DRAINING, // a signal came: sources have stopped, flows finish what they have
    TV_PHASE_FLUSHING, // all flows are over: output channels are being delivered
    TV_PHASE_CLOSING,  // connectors let go
    TV_PHASE_DONE,
    TV_PHASE_COUNT,
} tv_host_phase;

typedef struct tv_host_runner tv_host_runner;

enum { TV_HOST_FIGURES_MAX = 16 };

typedef struct tv_host_figure {
    char name[32];
    uint64_t value;
} tv_host_figure;

// A channel with the connector at its end.
typedef struct tv_host_channel {
    tv_host_runner *runner;
    tv_channel *channel;
    const tv_connector *connector;
    tv_direction direction;
    void *state; // the connector's; valid while `open`
    bool open, stopped, closing;
    const tv_record *front;                      // of an output, seen last; NULL = nothing seen
    char place[160];                             // "flow/channel"
    tv_host_figure figures[TV_HOST_FIGURES_MAX]; // the connector's, as of its closing
    size_t figure_count;
} tv_host_channel;

typedef struct tv_host_flow {
    const tv_flow_model *model;
    tv_host_spec spec;
    tv_flow *flow;
    tv_host_channel *channels; // model->channel_count
    bool over;
} tv_host_flow;

typedef struct tv_dead_letters {
    tv_host_channel *channels; // one a worker
    tv_channel **borrowed;     // the same channels, as the runtime wants them
    void *options;             // of the connector
    char *path;
    bool was_there; // before this run
    size_t count;
} tv_dead_letters;

struct tv_host_runner {
    tv_host_model *model;
    const tv_host_run_options *options;
    tv_host_phase phase;
    tv_engine *engine;
    tv_module **modules; // one a component
    size_t compiled;     // of them, not found in the cache
    tv_runtime *runtime;
    tv_host_flow *flows; // model->pipeline->flow_count
    size_t flows_made;
    tv_dead_letters dead_letters;
    tv_ready_list ready;

    uv_loop_t loop;
    uv_async_t wake;
    uv_check_t check;
    uv_signal_t sigint, sigterm;
    uv_timer_t grace_timer, close_timer, progress_timer;
    bool loop_open;
    uv_thread_t stopper; // waits for the workers after the grace time
    bool stopper_started;
    _Atomic bool workers_stopped;

    int signal;                                 // first one received, 0 if none
    bool grace_over;                            // the drain was cut short
    bool failed;                                // a flow failed
    bool stuck;                                 // a connector did not close in time after the grace time
    int64_t started_ns, first_out_ns, ended_ns; // monotonic; 0 = not yet
    uint64_t progress_in, progress_out;         // as of the last progress line
    int64_t progress_ns;
    bool progress_shown;
};

// run.c
void tv_host_runner_set_phase(tv_host_runner *runner, tv_host_phase phase);

// run_channels.c: opens a channel's connector; errors name the channel.
tv_status tv_host_channel_open(tv_host_channel *channel, const void *options, tv_error *error);
// Serves every channel on the ready list.
void tv_host_channels_serve(tv_host_runner *runner);
// An input takes nothing more in.
void tv_host_channel_stop(tv_host_channel *channel);
// Whether an output has delivered everything, or can never deliver more.
bool tv_host_channel_delivered(tv_host_channel *channel, bool needs_end);
void tv_host_channels_close(tv_host_runner *runner);
bool tv_host_channels_closed(const tv_host_runner *runner);
// Notices the first record that left.
void tv_host_channels_watch_first(tv_host_runner *runner);

// run_stop.c: signals and the grace time; looks at where the run stands and moves it on.
tv_status tv_host_signals_start(tv_host_runner *runner, tv_error *error);
// From here on a signal ends the process, as it does where nobody listens: the report may wait for a reader.
void tv_host_signals_stop(tv_host_runner *runner);
void tv_host_runner_advance(tv_host_runner *runner);

// dead_letters.c
tv_status tv_dead_letters_init(tv_host_runner *runner, tv_error *error);
tv_status tv_dead_letters_open(tv_host_runner *runner, tv_error *error);
void tv_dead_letters_deinit(tv_dead_letters *letters);

// progress.c
void tv_host_progress_start(tv_host_runner *runner);
void tv_host_progress_stop(tv_host_runner *runner);
void tv_host_progress_clear(tv_host_runner *runner);
void tv_host_progress_note(tv_host_runner *runner, const char *format, ...) __attribute__((format(printf, 2, 3)));

// report.c: the totals of a run.
typedef struct tv_host_totals {
    uint64_t records_in, bytes_in, records_out, bytes_out;
    uint64_t dropped[TV_DROP_COUNT];
    uint64_t dropped_all, dead_lettered, rejected, faults, restarts, state_losses;
    uint64_t queued;                 // still in a queue
    uint64_t dead_letters_unwritten; // of dead_lettered: not in the file (yet)
} tv_host_totals;
void tv_host_totals_take(const tv_host_runner *runner, tv_host_totals *totals);
// The summary, as options->json says, to `out`. `books` is the verdict on conservation: NULL if it is kept.
void tv_host_report_print(const tv_host_runner *runner, const char *books, FILE *out);
void tv_host_report_text(const tv_host_runner *runner, const char *books, FILE *out);
void tv_host_report_json(const tv_host_runner *runner, const char *books, FILE *out);
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
