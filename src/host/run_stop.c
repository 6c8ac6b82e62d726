// How a run ends: inputs that end, flows that fail, signals, the grace time. Decides in one place
// (tv_host_runner_advance) from what it sees, once in each turn of the loop.
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/runner.h"

enum { CLOSE_MS = 500 }; // after the grace time, for connectors to let go

static int64_t now_ns(void) { return tv_clock_monotonic_ns(tv_clock_system()); }

// ---- signals --------------------------------------------------------------------------------------------------

static const char *signal_name(int signal_number) { return signal_number == SIGINT ? "SIGINT" : "SIGTERM"; }

// The second signal: no more waiting for anybody. What was written is written; the kernel takes the rest back.
static _Noreturn void leave_now(tv_host_runner *runner, int signal_number) {
    tv_host_totals totals = {0};
    struct pollfd error_output = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&error_output, 1, 0) <= 0) _exit(128 + signal_number); // nobody reads, and that may be why we are told
    tv_host_progress_clear(runner);
    tv_print(stderr, "torvyn: second signal (%s): stopped at once", signal_name(signal_number));
    if (!runner->grace_over) { // otherwise the workers are just being stopped, and nobody counts
        tv_host_totals_take(runner, &totals);
        tv_print(stderr, ". %llu records in, %llu out, %llu dead-lettered, %llu left in queues",
                 (unsigned long long)totals.records_in, (unsigned long long)totals.records_out,
                 (unsigned long long)totals.dead_lettered, (unsigned long long)totals.queued);
    }
    tv_print(stderr, "\n");
    _exit(128 + signal_number);
}

// A connector finishes what it has begun to write, which takes for ever if nobody reads.
static void on_close_over(uv_timer_t *timer) {
    tv_host_runner *runner = timer->data;
    runner->stuck = true;
    runner->ended_ns = now_ns();
    uv_stop(&runner->loop);
}

// Workers end after the call under way, which may take as long as its CPU budget allows. A thread waits for them, so
// that the loop goes on and a second signal is heard.
static void stop_workers(void *user) {
    tv_host_runner *runner = user;
    tv_runtime_stop(runner->runtime);
    atomic_store(&runner->workers_stopped, true);
    tv_host_wake(runner);
}

static void on_grace_over(uv_timer_t *timer) {
    tv_host_runner *runner = timer->data;
    char grace[32];
    if (runner->phase >= TV_PHASE_CLOSING || runner->grace_over) return;
    runner->grace_over = true;
    tv_host_progress_stop(runner);
    tv_log(TV_LEVEL_WARN, "run",
           "not everything was delivered within %s (--grace): stopping; the summary says what was left",
           tv_format_duration(runner->grace_ns, grace));
    runner->stopper_started = uv_thread_create(&runner->stopper, stop_workers, runner) == 0;
    if (!runner->stopper_started) stop_workers(runner);
}

void tv_host_runner_drain(tv_host_runner *runner, const char *why, int64_t grace_ns) {
    char grace[32];
    runner->grace_ns = grace_ns;
    tv_host_progress_clear(runner);
    tv_log(TV_LEVEL_INFO, "run",
           "%s: sources stop, delivering what is under way (at most %s; a second signal ends at once)", why,
           tv_format_duration(grace_ns, grace));
    if (runner->phase == TV_PHASE_RUNNING) tv_host_runner_set_phase(runner, TV_PHASE_DRAINING);
    tv_host_starts_stop(runner);
    for (size_t f = 0; f < runner->flows.count; f++) {
        tv_host_flow *flow = tv_host_flow_at(runner, f);
        tv_host_flow_stop_inputs(flow);
        tv_flow_resume(flow->flow); // a paused one would never end
        flow->paused = false;
        tv_flow_drain(flow->flow);
    }
    uv_update_time(&runner->loop);
    uv_timer_start(&runner->grace_timer, on_grace_over, (uint64_t)(grace_ns / 1000000), 0);
}

static void on_signal(uv_signal_t *handle, int signal_number) {
    tv_host_runner *runner = handle->data;
    if (runner->signal) leave_now(runner, signal_number);
    runner->signal = signal_number;
    tv_host_runner_drain(runner, signal_name(signal_number), runner->options->grace_ns);
}

tv_status tv_host_signals_start(tv_host_runner *runner, tv_error *error) {
    uv_timer_init(&runner->loop, &runner->grace_timer);
    uv_timer_init(&runner->loop, &runner->close_timer);
    uv_signal_init(&runner->loop, &runner->sigint);
    uv_signal_init(&runner->loop, &runner->sigterm);
    runner->grace_timer.data = runner->close_timer.data = runner->sigint.data = runner->sigterm.data = runner;
    if (uv_signal_start(&runner->sigint, on_signal, SIGINT) == 0 &&
        uv_signal_start(&runner->sigterm, on_signal, SIGTERM) == 0)
        return TV_OK;
    return tv_error_set(error, TV_IO, "signals cannot be received");
}

void tv_host_signals_stop(tv_host_runner *runner) {
    uv_signal_stop(&runner->sigint);
    uv_signal_stop(&runner->sigterm);
}

// ---- where it stands --------------------------------------------------------------------------------------------

static bool all_letters_delivered(tv_host_runner *runner) {
    for (size_t i = 0; i < runner->dead_letters.count; i++)
        if (!tv_host_channel_delivered(&runner->dead_letters.channels[i])) return false;
    return true;
}

// Who has a flow removed is told when it is gone. Where all flows were removed another one may come: the run ends when
// told to.
static bool waits_for_flows(const tv_host_runner *runner) {
    if (!runner->control || runner->phase != TV_PHASE_RUNNING) return false;
    return runner->replacements || runner->flows_removing || (runner->flows_removed && runner->flows.count == 0);
}

static void begin_closing(tv_host_runner *runner) {
    tv_host_runner_set_phase(runner, TV_PHASE_CLOSING);
    tv_host_channels_close(runner);
    tv_host_control_close(runner);
}

// The grace time is over and the workers have stopped: nothing more will be delivered.
static void give_up(tv_host_runner *runner) {
    if (runner->phase < TV_PHASE_FLUSHING) tv_host_runner_set_phase(runner, TV_PHASE_FLUSHING);
    begin_closing(runner);
    uv_timer_start(&runner->close_timer, on_close_over, CLOSE_MS, 0);
}

void tv_host_runner_advance(tv_host_runner *runner) {
    if (runner->phase == TV_PHASE_STARTING) return;
    if (runner->grace_over && !atomic_load(&runner->workers_stopped)) return;
    if (runner->grace_over && runner->phase < TV_PHASE_CLOSING) give_up(runner);
    if (runner->phase < TV_PHASE_FLUSHING && runner->flows_running == 0 && runner->starts_pending == 0 &&
        !waits_for_flows(runner))
        tv_host_runner_set_phase(runner, TV_PHASE_FLUSHING);
    if (runner->phase == TV_PHASE_FLUSHING && runner->flows_unclosed == 0 && all_letters_delivered(runner))
        begin_closing(runner);
    if (runner->phase == TV_PHASE_CLOSING && tv_host_channels_closed(runner) && tv_host_control_closed(runner)) {
        runner->ended_ns = now_ns();
        tv_host_runner_set_phase(runner, TV_PHASE_DONE);
        uv_stop(&runner->loop);
    }
}
