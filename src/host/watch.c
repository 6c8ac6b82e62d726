// Watches memory under limits.overcommit: a few times a second the pressure is determined anew, and the sources of
// flows that have to wait are held, or let go. Bursts are quicker than that: what idle flows may keep all together is
// said here, by what is left of the limit, and minded by the workers themselves.
//
// A held source is paused where it reads, or not asked for records if it makes them itself; what is in the flow's
// queues is worked off, after which the flow is idle and its memory goes back.
#include <stdlib.h>
#include <string.h>

#include "host/runner.h"

enum { WATCH_MS = 500 };

// What a control group would count of the process. Pages of images of components are not: instances share them, and
// the resident size has them once for each. Page tables are: thousands of memories have many.
static uint64_t resident_bytes(void) {
    static const char *const names[] = {"RssAnon:", "RssFile:", "VmPTE:"};
    return tv_host_proc_bytes("/proc/self/status", names, sizeof names / sizeof names[0]);
}

// As much as keeps the process below a share of the limit: what idle flows have now, and what is left, or without what
// is too much. Without a limit any amount.
static uint64_t idle_bytes(const tv_host_memory_now *now, uint64_t idle_now) {
    enum { PERCENT = 70 };
    if (!now->limit_bytes || now->limit_bytes == UINT64_MAX) return UINT64_MAX;
    uint64_t wanted = now->limit_bytes / 100 * PERCENT;
    if (now->resident_bytes <= wanted) return idle_now + (wanted - now->resident_bytes);
    uint64_t excess = now->resident_bytes - wanted;
    return idle_now > excess ? idle_now - excess : 0;
}

static void hold_flow(tv_host_flow *flow, bool held) {
    if (flow->held == held) return;
    flow->held = held;
    tv_flow_hold_sources(flow->flow, held);
    for (size_t c = 0; c < flow->model->channel_count; c++)
        if (flow->channels[c].direction == TV_INPUT) tv_channel_hold(flow->channels[c].channel, held);
}

static tv_class class_of(tv_host_flow *flow) {
    tv_flow_brief brief;
    return tv_flow_get_brief(flow->flow, &brief) ? brief.class : flow->model->class;
}

// Flows that end are let go: what their sources still have is to be delivered.
static void apply(tv_host_runner *runner) {
    for (size_t f = 0; f < runner->flows.count; f++) {
        tv_host_flow *flow = tv_host_flow_at(runner, f);
        bool stays = flow->phase == TV_HOST_FLOW_RUNNING && !flow->removing;
        hold_flow(flow, stays && tv_host_pressure_pauses(runner->pressure, class_of(flow)));
    }
}

static void set_pressure(tv_host_runner *runner, tv_host_pressure pressure, const tv_host_memory_now *now) {
    static const char *const words[TV_PRESSURE_COUNT] = {"all sources go on", "sources of background flows are paused",
                                                         "sources of background and normal flows are paused",
                                                         "only critical flows take anything in"};
    char resident[32], limit[32];
    bool more = pressure > runner->pressure;
    runner->pressure = pressure;
    if (more) runner->pressure_raised++;
    tv_log(more ? TV_LEVEL_WARN : TV_LEVEL_INFO, "memory", "%s of %s in use: %s",
           tv_format_size(now->resident_bytes, resident), tv_format_size(now->limit_bytes, limit), words[pressure]);
}

// Components may grow into what is left of the limit, and not beyond: memory.grow answers -1 where the control group
// would end the process. What has grown counts in full, since it may be written to at any time; a little is left for
// components that begin.
static void limit_growth(tv_host_runner *runner, const tv_host_memory_now *now) {
    enum { PERCENT = 97, GROWN_PERCENT = 90 };
    if (!now->limit_bytes || now->limit_bytes == UINT64_MAX) return;
    uint64_t most = now->limit_bytes / 100 * PERCENT, grown_most = now->limit_bytes / 100 * GROWN_PERCENT;
    uint64_t total = grown_most > runner->base_bytes ? grown_most - runner->base_bytes : 0;
    tv_engine_limit_growth(runner->engine, total, most > now->resident_bytes ? most - now->resident_bytes : 0);
}

static void say_refused(tv_host_runner *runner, const tv_host_memory_now *now) {
    tv_arena_stats stats;
    char limit[32];
    tv_engine_arena_stats(runner->engine, &stats);
    if (stats.grow_limited_count == runner->growths_refused) return;
    tv_log(TV_LEVEL_WARN, "memory",
           "components asked for more memory than is left of %s: refused %llu times (in all %llu)",
           tv_format_size(now->limit_bytes, limit),
           (unsigned long long)(stats.grow_limited_count - runner->growths_refused),
           (unsigned long long)stats.grow_limited_count);
    runner->growths_refused = stats.grow_limited_count;
}

static tv_host_memory_now look(tv_host_runner *runner) {
    tv_host_memory_now now = {.limit_bytes = tv_host_limit_bytes(&runner->budget.limits),
                              .resident_bytes = resident_bytes()};
    tv_runtime_limit_idle(runner->runtime, idle_bytes(&now, tv_runtime_idle_bytes(runner->runtime)));
    if (!runner->base_bytes) runner->base_bytes = now.resident_bytes;
    limit_growth(runner, &now);
    say_refused(runner, &now);
    return now;
}

static void on_watch(uv_timer_t *timer) {
    tv_host_runner *runner = timer->data;
    tv_host_memory_now now = look(runner);
    tv_host_pressure before = runner->pressure, next = tv_host_pressure_next(before, &now);
    if (runner->phase != TV_PHASE_RUNNING) next = TV_PRESSURE_NONE;
    if (next != before) set_pressure(runner, next, &now);
    if (next != TV_PRESSURE_NONE || before != TV_PRESSURE_NONE) apply(runner);
    if (runner->phase != TV_PHASE_RUNNING) uv_timer_stop(timer);
}

void tv_host_watch_prepare(tv_host_runner *runner) {
    if (runner->budget.overcommit) look(runner);
}

void tv_host_watch_start(tv_host_runner *runner) {
    if (!runner->budget.overcommit) return;
    uv_timer_init(&runner->loop, &runner->watch_timer);
    runner->watch_timer.data = runner;
    uv_timer_start(&runner->watch_timer, on_watch, WATCH_MS, WATCH_MS);
}
