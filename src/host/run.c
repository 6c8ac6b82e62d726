// A run from end to end: makes everything a pipeline needs, serves it on this thread until it is over, takes it
// apart in the opposite order. The order of making: engine, modules, dead letters, runtime, flows with their
// channels and connectors, threads. Nothing runs before everything could be made.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "host/runner.h"
#include "host/signals.h"

void tv_host_runner_set_phase(tv_host_runner *runner, tv_host_phase phase) {
    TV_ASSERT(phase > runner->phase && phase < TV_PHASE_COUNT);
    runner->phase = phase;
}

// ---- engine and modules ---------------------------------------------------------------------------------------

enum { MODE_AUTO, MODE_GUARD, MODE_COMPACT }; // limits.memory_mode

// Guard pages cost 4 GiB of address space and some mappings a memory: well within what a process has for a thousand,
// not for tens of thousands.
static tv_memory_mode memory_mode(const tv_pipeline *pipeline, uint32_t memories) {
    if (pipeline->limits.memory_mode == MODE_AUTO) return memories <= 1000 ? TV_MEMORY_GUARD : TV_MEMORY_COMPACT;
    return pipeline->limits.memory_mode == MODE_GUARD ? TV_MEMORY_GUARD : TV_MEMORY_COMPACT;
}

static tv_status open_engine(tv_host_runner *runner, tv_error *error) {
    const tv_pipeline *pipeline = runner->model->pipeline;
    uint32_t memories = tv_host_memories_max(runner->model);
    tv_engine_options options = {.memory_mode = memory_mode(pipeline, memories), .memories_max = memories};
    tv_status status = tv_engine_new(&options, &runner->engine, error);
    // Address space may be short: a process limit, or the thread sanitizer's memory layout.
    if (status != TV_LIMIT || pipeline->limits.memory_mode != MODE_AUTO || options.memory_mode == TV_MEMORY_COMPACT)
        return status;
    options.memory_mode = TV_MEMORY_COMPACT;
    return tv_engine_new(&options, &runner->engine, error);
}

// Code that cannot be loaded keeps the flows that need it from starting, and only them.
static tv_status note_broken(tv_host_runner *runner, size_t index, tv_status status, tv_error *error) {
    if (runner->options->strict || status == TV_NO_MEMORY) return status;
    runner->model->components[index].broken = strdup(error->message);
    return runner->model->components[index].broken ? TV_OK : TV_NO_MEMORY;
}

static tv_status load_module(tv_host_runner *runner, size_t index, tv_error *error) {
    const tv_component_model *component = &runner->model->pipeline->components[index];
    int64_t before = tv_clock_monotonic_ns(tv_clock_system());
    tv_host_progress_note(runner, "loading component %s", component->name);
    tv_status status = tv_module_load(runner->engine, component->file, &runner->modules[index], error);
    if (status != TV_OK) tv_error_prefix(error, "component '%s'", component->name);
    if (status != TV_OK) return note_broken(runner, index, status, error);
    if (tv_module_was_cached(runner->modules[index])) return TV_OK;
    runner->compiled++;
    double took_ms = (double)(tv_clock_monotonic_ns(tv_clock_system()) - before) / 1e6;
    tv_host_progress_clear(runner);
    if (runner->options->progress)
        tv_log_plain("compiled component %s in %.0f ms; the next start finds it in the cache\n", component->name,
                     took_ms);
    return TV_OK;
}

static tv_status load_modules(tv_host_runner *runner, tv_error *error) {
    size_t count = runner->model->pipeline->component_count;
    runner->modules = calloc(count + 1, sizeof(tv_module *));
    if (!runner->modules) return tv_error_set(error, TV_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++) {
        tv_status status = tv_host_signals_check(error);
        if (status == TV_OK) status = load_module(runner, i, error);
        if (status != TV_OK) return status;
    }
    tv_host_progress_clear(runner);
    return TV_OK;
}

// ---- runtime and flows ----------------------------------------------------------------------------------------

// uv_async_send begins with an unordered look at whether a wake-up is under way. Where the memory order is weak
// (aarch64), that look may come before the caller's writes and find one that has been answered without them. So a flag
// of ours says it, of which each change sees what was written before the last one.
void tv_host_wake(tv_host_runner *runner) {
    if (!atomic_exchange(&runner->woken, true)) uv_async_send(&runner->wake);
}

static void wake_io(void *user) { tv_host_wake(user); }

static void find_setting(void *user, const char *stage, const char *path, uint32_t *line, uint32_t *column) {
    const tv_host_runner *runner = user;
    tv_place place = tv_pipeline_setting_place(runner->model->pipeline, stage, path);
    *line = place.line;
    *column = place.column;
}

static tv_status make_runtime(tv_host_runner *runner, tv_error *error) {
    const tv_scheduler_model *scheduler = &runner->model->pipeline->scheduler;
    const tv_dead_letters_model *letters = &runner->model->pipeline->dead_letters;
    tv_runtime_options options = {
        .engine = runner->engine,
        .turn_ns = scheduler->turn_ns,
        .cycle_ns = scheduler->cycle_ns,
        .workers = runner->model->workers,
        .io_wake = {wake_io, runner},
        .io_ready = &runner->ready,
        .dead_letters = runner->dead_letters.borrowed,
        .letters = {.on_limit = letters->on_limit,
                    .bytes_per_s = letters->rate_bytes,
                    .burst_bytes = letters->burst_bytes},
        .memory = &runner->memory,
        .settings = {runner->model->pipeline->file, find_setting, runner},
    };
    memcpy(options.quanta, scheduler->quanta, sizeof options.quanta);
    return tv_runtime_new(&options, &runner->runtime, error);
}

// Thousands of flows take a moment: say how far it is.
static void show_progress(tv_host_runner *runner, size_t made, size_t count, int64_t *shown_ns) {
    enum { EVERY_NS = 100000000 };
    int64_t now_ns = tv_clock_monotonic_ns(tv_clock_system());
    if (now_ns - *shown_ns < EVERY_NS) return;
    *shown_ns = now_ns;
    tv_host_progress_note(runner, "starting: %zu of %zu flows", made, count);
}

// Nothing has been read then, and whoever started the process is told.
static tv_status refuse_if_none_started(tv_host_runner *runner, tv_error *error) {
    size_t failed = 0;
    for (size_t f = 0; f < runner->flows.count; f++)
        failed += tv_host_flow_has_not_started(tv_host_flow_at(runner, f));
    if (!failed || failed < runner->flows.count) return TV_OK;
    *error = runner->first_failure;
    return error->status;
}

static tv_status make_flows(tv_host_runner *runner, tv_error *error) {
    size_t count = runner->model->pipeline->flow_count;
    int64_t shown_ns = tv_clock_monotonic_ns(tv_clock_system());
    runner->specs = (tv_host_specs){.model = runner->model, .modules = runner->modules};
    if (!tv_flow_table_reserve(&runner->flows, count)) return tv_error_set(error, TV_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++) {
        tv_host_flow *flow;
        const tv_flow_model *model = &runner->model->pipeline->flows[i];
        tv_status status = tv_host_signals_check(error);
        if (status == TV_OK) status = tv_host_flow_start(runner, model, NULL, !runner->options->strict, &flow, error);
        if (status != TV_OK) return status;
        show_progress(runner, i + 1, count, &shown_ns);
    }
    tv_host_progress_clear(runner);
    return refuse_if_none_started(runner, error);
}

// ---- loop -----------------------------------------------------------------------------------------------------

static void on_wake(uv_async_t *handle) {
    tv_host_runner *runner = handle->data;
    atomic_exchange(&runner->woken, false); // the first: what comes from here on wakes again
    tv_host_channels_watch_first(runner);
    tv_host_messages_receive(runner);
    tv_host_channels_serve(runner);
}

// Once in each turn of the loop, after everything else: has the run come further?
static void on_check(uv_check_t *handle) {
    tv_host_runner *runner = handle->data;
    tv_host_channels_watch_first(runner);
    tv_host_flows_reap(runner);
    tv_host_control_reap(runner);
    tv_host_runner_advance(runner);
}

static tv_status open_loop(tv_host_runner *runner, tv_error *error) {
    if (uv_loop_init(&runner->loop) != 0) return tv_error_set(error, TV_IO, "the event loop could not be made");
    runner->loop_open = true;
    uv_async_init(&runner->loop, &runner->wake, on_wake);
    uv_check_init(&runner->loop, &runner->check);
    runner->wake.data = runner->check.data = runner;
    uv_check_start(&runner->check, on_check);
    return tv_host_signals_start(runner, error);
}

static void close_handle(uv_handle_t *handle, void *user) {
    (void)user;
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

static void close_loop(tv_host_runner *runner) {
    if (!runner->loop_open) return;
    tv_host_starts_stop(runner);
    tv_host_channels_close(runner);
    tv_host_control_close(runner);
    // Connectors close their handles themselves; give them the turns they need before ours go.
    while (!tv_host_channels_closed(runner) || !tv_host_control_closed(runner))
        uv_run(&runner->loop, UV_RUN_ONCE);
    uv_walk(&runner->loop, close_handle, NULL);
    while (uv_run(&runner->loop, UV_RUN_DEFAULT) != 0) {
    }
    uv_loop_close(&runner->loop);
    runner->loop_open = false;
}

// ---- all together ---------------------------------------------------------------------------------------------

static tv_status init_budget(tv_host_runner *runner, tv_error *error) {
    tv_host_plan plan;
    tv_status status = tv_host_plan_init(runner->model, &plan, error);
    if (status != TV_OK) return status;
    tv_host_budget_init(&runner->budget, runner->model, &plan);
    tv_host_plan_deinit(&plan);
    return TV_OK;
}

static tv_status start(tv_host_runner *runner, tv_error *error) {
    tv_status status = tv_signals_install(error);
    if (status != TV_OK) return status;
    status = tv_host_assets_read(runner->model, error);
    if (!runner->options->strict) status = TV_OK; // the flows that need what is missing will say so
    if (status == TV_OK) status = init_budget(runner, error);
    if (status == TV_OK) status = open_engine(runner, error);
    if (status == TV_OK) status = load_modules(runner, error);
    if (status == TV_OK) status = open_loop(runner, error);
    if (status == TV_OK) status = tv_dead_letters_init(runner, error);
    if (status == TV_OK) status = make_runtime(runner, error);
    if (status == TV_OK) status = tv_runtime_start_ticker(runner->runtime, error);
    if (status == TV_OK) status = tv_host_control_open(runner, error);
    if (status == TV_OK) status = tv_dead_letters_open(runner, error);
    if (status == TV_OK) tv_host_watch_prepare(runner);
    if (status == TV_OK) status = make_flows(runner, error);
    if (status == TV_OK) status = tv_host_signals_check(error);
    if (status == TV_OK) tv_host_watch_prepare(runner);
    runner->started_ns = tv_clock_monotonic_ns(tv_clock_system());
    if (status == TV_OK) status = tv_runtime_start(runner->runtime, error);
    return status;
}

static void take_apart(tv_host_runner *runner) {
    close_loop(runner);
    if (runner->runtime) {
        tv_runtime_stop(runner->runtime);
        tv_runtime_free(runner->runtime); // and the flows with it
    }
    tv_host_messages_receive(runner); // of requests that nobody came to
    tv_host_control_free(runner);
    tv_host_flows_free(runner);
    tv_dead_letters_deinit(&runner->dead_letters);
    for (size_t i = 0; runner->modules && i < runner->model->pipeline->component_count; i++)
        tv_module_unref(runner->modules[i]);
    free(runner->modules);
    tv_engine_free(runner->engine);
}

static bool check_books(tv_host_runner *runner, tv_error *error) {
    for (size_t f = 0; f < runner->flows.count; f++) {
        tv_flow *flow = tv_host_flow_at(runner, f)->flow;
        tv_flow_abandon(flow); // what is still queued will not be delivered any more
        if (tv_flow_check_conservation(flow, error) != TV_OK) return false;
    }
    if (!runner->books[0]) return true;
    tv_error_set(error, TV_INVALID, "%s", runner->books);
    return false;
}

// After the end: every byte must have been given back.
static void check_memory(const tv_host_runner *runner, tv_host_outcome *outcome) {
    tv_error error;
    if (tv_memory_account_check_empty(&runner->memory, &error) == TV_OK) return;
    tv_log(TV_LEVEL_ERROR, "run", "internal error: %s. Please report this.", error.message);
    outcome->failed = true;
}

FILE *tv_host_report_stream(const tv_host_model *model) {
    const tv_pipeline *pipeline = model->pipeline; // flows that are added have its channels, too
    for (size_t f = 0; pipeline && f < pipeline->flow_count; f++)
        for (size_t c = 0; c < pipeline->flows[f].channel_count; c++) {
            const tv_channel_model *channel = &pipeline->flows[f].channels[c];
            if (channel->direction == TV_OUTPUT && channel->connector && strcmp(channel->connector->name, "stdio") == 0)
                return stderr;
        }
    return stdout;
}

// ---- start and end in the log -----------------------------------------------------------------------------------

static const char *plural(size_t count) { return count == 1 ? "" : "s"; }

static void log_start(const tv_host_runner *runner) {
    size_t flows = runner->flows.count, components = runner->model->pipeline->component_count;
    uint32_t workers = tv_runtime_workers(runner->runtime);
    tv_log(TV_LEVEL_INFO, "run", "torvyn %s runs %s (%s): %zu flow%s, %zu component%s, %u worker%s", TV_VERSION,
           runner->model->pipeline->file, runner->model->pipeline->name, flows, plural(flows), components,
           plural(components), workers, plural(workers));
}

static void log_end(const tv_host_runner *runner, const tv_host_totals *totals) {
    char took[32];
    tv_log(TV_LEVEL_INFO, "run",
           "%s after %s: %" PRIu64 " records in, %" PRIu64 " out, %" PRIu64 " dropped, %" PRIu64 " dead-lettered",
           tv_host_outcome_name(runner), tv_format_duration(runner->ended_ns - runner->started_ns, took),
           totals->records_in, totals->records_out, totals->dropped_all, totals->dead_lettered);
}

static void finish(tv_host_runner *runner, tv_host_outcome *outcome) {
    tv_error error;
    tv_host_progress_clear(runner);
    if (runner->stopper_started)
        uv_thread_join(&runner->stopper);
    else
        tv_runtime_stop(runner->runtime);
    bool balanced = check_books(runner, &error);
    if (!balanced)
        tv_log(TV_LEVEL_ERROR, "run", "internal error: records are unaccounted for: %s. Please report this.",
               error.message);
    bool reported = true;
    tv_host_totals totals;
    tv_host_totals_take(runner, &totals);
    log_end(runner, &totals);
    if (!runner->options->quiet || runner->options->json)
        reported = tv_host_report_print(runner, balanced ? NULL : error.message);
    outcome->failed = runner->flows_failed || !balanced || !reported || (runner->grace_over && !runner->signal);
    outcome->dead_lettered = totals.dead_lettered;
    outcome->signal = runner->grace_over ? runner->signal : 0;
    outcome->stuck = runner->stuck;
}

// Every flow opens its own files; the customary soft limit of 1024 is not enough for a thousand flows.
static void raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

tv_status tv_host_run(tv_host_model *model, const tv_host_run_options *options, tv_host_outcome *outcome,
                      tv_error *error) {
    tv_host_runner runner = {.model = model, .options = options};
    *outcome = (tv_host_outcome){0};
    raise_file_limit();
    tv_status status = start(&runner, error);
    if (status == TV_OK) {
        tv_host_runner_set_phase(&runner, TV_PHASE_RUNNING);
        tv_signals_started();
        log_start(&runner);
        tv_host_progress_start(&runner);
        tv_host_watch_start(&runner);
        tv_runtime_ask_for_io_priority();
        uv_run(&runner.loop, UV_RUN_DEFAULT);
        finish(&runner, outcome);
    } else {
        tv_host_progress_clear(&runner);
        if (status == TV_INTERRUPTED) outcome->signal = tv_signals_first();
    }
    if (runner.stuck) return status;
    take_apart(&runner);
    check_memory(&runner, outcome);
    return status;
}
