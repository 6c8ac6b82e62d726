// How a run ends: inputs that end, flows that fail, signals, the grace time. Decides in one place
// (tv_host_runner_advance) from what it sees, once in each turn of the loop.
#include <unistd.h>

#include "host/runner.h"
#include "host/signals.h"

enum {
    CLOSE_MS = 500, // after the grace time, for connectors to let go
    ABORT_MS = 1000 // after a second signal, for workers and connectors
};

static int64_t now_ns(void) { return tv_clock_monotonic_ns(tv_clock_system()); }

// ---- signals --------------------------------------------------------------------------------------------------

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

static void end_grace(tv_host_runner *runner) {
    runner->grace_over = true;
    runner->stopper_started = uv_thread_create(&runner->stopper, stop_workers, runner) == 0;
    if (!runner->stopper_started) stop_workers(runner);
}

static void on_grace_over(uv_timer_t *timer) {
    tv_host_runner *runner = timer->data;
    char grace[32];
    if (runner->phase >= TV_PHASE_CLOSING || runner->grace_over) return;
    tv_host_progress_stop(runner);
    tv_log(TV_LEVEL_WARN, "run",
           "not everything was delivered within %s (--grace): stopping; the summary says what was left",
           tv_format_duration(runner->grace_ns, grace));
    end_grace(runner);
}

void tv_host_runner_drain(tv_host_runner *runner, const char *why, int64_t grace_ns) {
    char grace[32];
    runner->grace_ns = grace_ns;
    tv_host_progress_clear(runner);
    tv_log(
        TV_LEVEL_INFO, "run",
        "%s: sources stop, delivering what is under way (at most %s; a signal after more than a second ends at once)",
        why, tv_format_duration(grace_ns, grace));
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

// No more waiting for anybody. What was written is written; the kernel takes the rest back. There are no figures:
// those of a worker that does not come back would be wrong.
static void on_abort_over(uv_timer_t *timer) {
    tv_host_runner *runner = timer->data;
    enum { FLUSH_NS = 200000000 };
    tv_log(TV_LEVEL_ERROR, "run", "%s: left at once, without figures",
           atomic_load(&runner->workers_stopped) ? "a far side does not let go" : "a component's call does not end");
    (void)tv_log_flush(FLUSH_NS);
    _exit(128 + runner->signal);
}

// As if the grace time were over, and with little time for that.
static void stop_at_once(tv_host_runner *runner, int signal_number) {
    runner->signal = signal_number;
    runner->stopped_at_once = true;
    tv_host_progress_stop(runner);
    tv_log(TV_LEVEL_WARN, "run", "second signal (%s): stopped at once; the summary says what was left",
           tv_signals_name(signal_number));
    if (runner->phase < TV_PHASE_CLOSING && !runner->grace_over) end_grace(runner);
    uv_update_time(&runner->loop);
    uv_timer_start(&runner->abort_timer, on_abort_over, ABORT_MS, 0);
}

static void on_signals(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    tv_host_runner *runner = poll->data;
    tv_signals_seen();
    int first = tv_signals_first(), second = tv_signals_second();
    if (first && !runner->signal) {
        runner->signal = first;
        tv_host_runner_drain(runner, tv_signals_name(first), runner->options->grace_ns);
    }
    if (second && !runner->stopped_at_once) stop_at_once(runner, second);
}

tv_status tv_host_signals_start(tv_host_runner *runner, tv_error *error) {
    uv_timer_init(&runner->loop, &runner->grace_timer);
    uv_timer_init(&runner->loop, &runner->close_timer);
    uv_timer_init(&runner->loop, &runner->abort_timer);
    runner->grace_timer.data = runner->close_timer.data = runner->abort_timer.data = runner->signals.data = runner;
    int failed = uv_poll_init(&runner->loop, &runner->signals, tv_signals_fd());
    if (failed == 0) failed = uv_poll_start(&runner->signals, UV_READABLE, on_signals);
    return failed == 0 ? TV_OK : tv_error_set_errno(error, -failed, "signals cannot be received");
}

tv_status tv_host_signals_check(tv_error *error) {
    int first = tv_signals_first();
    if (!first) return TV_OK;
    return tv_error_set(error, TV_INTERRUPTED, "stopped by %s before it had started", tv_signals_name(first));
}

// ---- where it stands --------------------------------------------------------------------------------------------

// By policy nobody waits long for dead letters that cannot be written: what is left is counted as unwritten.
static bool letters_are_given_up(const tv_host_runner *runner, const tv_host_channel *channel) {
    enum { PATIENCE_NS = 1000000000 };
    tv_trouble trouble;
    bool blocks = runner->model->pipeline->dead_letters.on_limit == TV_LETTERS_BLOCK;
    return !blocks && tv_host_channel_trouble(channel, &trouble) && trouble.for_ns >= PATIENCE_NS;
}

static bool all_letters_delivered(tv_host_runner *runner) {
    for (size_t i = 0; i < runner->dead_letters.count; i++) {
        tv_host_channel *channel = &runner->dead_letters.channels[i];
        if (!tv_host_channel_delivered(channel) && !letters_are_given_up(runner, channel)) return false;
    }
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
