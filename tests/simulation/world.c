// A world: the engine, a runtime whose workers have no threads, the virtual clock, and the part of the ticker.
//
// Time passes in three ways: a step of a worker takes a little, the simulation moves the clock, and a component that
// reads the realtime clock makes it move from within its call. Only in the last case a tick can fall into a call, at
// that very place; so the epoch callback, and all that follows from it, comes at the same place in every run.
#include "sim.h"

enum {
    TICK_NS = 1000000,
    BURN_NS = 5000,       // the first readings in a row take this, and then ever more
    BURN_DOUBLES = 8,     // after so many readings
    BURN_DOUBLINGS = 6,   // so often
    STEP_NS = 200,        // a step of a worker takes at least this
    STEP_RANDOM_NS = 4000 // and at most so much more
};

// ---- time ---------------------------------------------------------------------------------------------------

static int64_t read_monotonic(void *user) {
    simulation *sim = user;
    sim->burns = 0;
    return sim->now_ns;
}

static int64_t read_cpu(void *user) { return ((simulation *)user)->now_ns; }

static void tick(simulation *sim) {
    atomic_fetch_add_explicit(&sim->runtime->ticks, 1, memory_order_relaxed);
    tv_engine_tick(sim->engine);
}

static bool is_between_calls(const simulation *sim) {
    for (uint32_t i = 0; i < sim->flow_count; i++)
        if (sim->flows[i]->flow && sim->flows[i]->flow->frame) return false;
    return sim->in_step;
}

// For components; the host's own readings, between calls, take no time. What the I/O thread and others do meanwhile
// happens here, too.
static int64_t read_realtime(void *user) {
    simulation *sim = user;
    if (is_between_calls(sim)) return 1700000000000000000 + sim->now_ns;
    if (sim->in_step && !sim->time_stands && sim_has(sim, SIM_INTERLEAVING) && sim_one_in(sim, 6)) sim_interleave(sim);
    uint32_t doublings = sim->burns++ / BURN_DOUBLES;
    sim->now_ns += (int64_t)BURN_NS << (doublings < BURN_DOUBLINGS ? doublings : BURN_DOUBLINGS);
    while (sim->runtime && sim->now_ns >= sim->next_tick_ns) {
        sim->next_tick_ns += TICK_NS;
        tick(sim);
    }
    return 1700000000000000000 + sim->now_ns;
}

void sim_advance(simulation *sim, int64_t by_ns) {
    sim_event(sim, "time", (uint64_t)by_ns, 0);
    sim->now_ns += by_ns;
    if (sim->next_tick_ns > sim->now_ns) return;
    sim->next_tick_ns = sim->now_ns + TICK_NS;
    tick(sim);
}

int64_t sim_next_timer_ns(simulation *sim) {
    int64_t next_ns = INT64_MAX;
    for (uint32_t i = 0; i < sim->workers; i++) {
        const tv_worker *worker = &sim->runtime->workers[i];
        if (worker->timer_count && worker->timers[0]->deadline_ns < next_ns) next_ns = worker->timers[0]->deadline_ns;
    }
    return next_ns;
}

// ---- engine -------------------------------------------------------------------------------------------------

void sim_open_engine(simulation *sim) {
    enum { MEMORIES_MAX = 512 };
    tv_error error;
    tv_engine_options options = {
        .cache_dir = TV_SIM_CACHE_DIR,
        .memories_max = MEMORIES_MAX,
        .memory_mode = sim->options.with_guards ? TV_MEMORY_GUARD : TV_MEMORY_COMPACT,
    };
    tv_log_configure((tv_log_level)(TV_LEVEL_ERROR + 1), false); // what fails here fails on purpose
    if (tv_engine_new(&options, &sim->engine, &error) != TV_OK) sim_fail(sim, "%s", error.message);
    static const char *const paths[SIM_ACTORS] = {TV_SIM_ACTORS "/actor.wasm", TV_SIM_ACTORS "/actor_stateless.wasm",
                                                  TV_SIM_ACTORS "/actor_keyed.wasm"};
    for (int i = 0; i < SIM_ACTORS; i++)
        if (tv_module_load(sim->engine, paths[i], &sim->actors[i], &error) != TV_OK) sim_fail(sim, "%s", error.message);
    sim->clock = (tv_clock){
        .monotonic_ns = read_monotonic, .realtime_ns = read_realtime, .user = sim, .thread_cpu_ns = read_cpu};
}

void sim_close_engine(simulation *sim) {
    for (int i = 0; i < SIM_ACTORS; i++)
        tv_module_unref(sim->actors[i]);
    tv_engine_free(sim->engine);
}

// ---- opening and closing ------------------------------------------------------------------------------------

static void make_letters(simulation *sim) {
    static const uint32_t sizes[] = {32 << 10, 64 << 10, 256 << 10};
    tv_error error;
    tv_channel_options options = {
        .memory = &sim->memory,
        .name = "letters",
        .direction = TV_OUTPUT,
        .capacity_bytes = sizes[sim_below(sim, 3)],
        .capacity_records = sim_one_in(sim, 3) ? 4 : 512,
        .record_bytes_max = 8 << 10,
        .pause_percent = 100,
    };
    for (uint32_t i = 0; i < sim->workers; i++)
        if (tv_channel_new(&options, &sim->letters[i], &error) != TV_OK) sim_fail(sim, "%s", error.message);
}

void sim_world_open(simulation *sim) {
    tv_error error;
    sim->doing = "opening";
    sim->now_ns = 1000000000;
    sim->next_tick_ns = sim->now_ns + TICK_NS;
    sim->flow_count = 0;
    memset(&sim->memory, 0, sizeof sim->memory);
    sim->finishing = false;
    sim->letters_taken = sim->letters_wanted = 0;
    sim->serial = 0;
    sim->ready = (tv_ready_list){NULL};
    sim->workers = 1 + sim_below(sim, SIM_WORKERS_MAX);
    sim->features =
        sim->options.features & (sim_one_in(sim, 3) ? sim_below(sim, SIM_ALL_FEATURES + 1) : SIM_ALL_FEATURES);
    sim->saturated = sim_has(sim, SIM_SATURATION) && sim_one_in(sim, 4);
    sim->equal_costs = sim->saturated && sim_one_in(sim, 2);
    sim->crowded = !sim->saturated && sim_has(sim, SIM_SHARING) && sim_one_in(sim, 4);
    if (sim->crowded) sim->workers = 1;
    sim_choose_shared(sim);
    sim->flow_limit = 1 + sim_below(sim, sim->options.flows);
    if (sim->crowded) sim->flow_limit = sim->options.flows;
    bool with_letters = !sim_one_in(sim, 4);
    if (with_letters) make_letters(sim);
    tv_runtime_options options = {
        .engine = sim->engine,
        .clock = &sim->clock,
        .workers = sim->workers,
        .io_ready = &sim->ready,
        .dead_letters = with_letters ? sim->letters : NULL,
        .memory = &sim->memory,
    };
    if (tv_runtime_new(&options, &sim->runtime, &error) != TV_OK) sim_fail(sim, "%s", error.message);
}

void sim_world_close(simulation *sim) {
    tv_arena_stats stats;
    tv_pool_stats pools;
    tv_runtime_pool_stats(sim->runtime, &pools);
    for (uint32_t i = 0; i < sim->flow_count; i++)
        if (sim->flows[i]->tap && !sim->flows[i]->tap_is_stopped) sim_tap(sim, sim->flows[i]);
    sim->seen[SIM_SEEN_POOL_WAIT] += pools.waits;
    tv_runtime_free(sim->runtime);
    sim_serve_io(sim);
    sim->runtime = NULL;
    for (uint32_t i = 0; i < sim->flow_count; i++)
        sim_flow_free(sim->flows[i]);
    for (uint32_t i = 0; i < sim->workers; i++) {
        tv_channel_free(sim->letters[i]);
        sim->letters[i] = NULL;
    }
    tv_error error;
    sim->seen[SIM_SEEN_TRIM] += atomic_load(&sim->memory.trims);
    if (tv_memory_account_check_empty(&sim->memory, &error) != TV_OK) sim_fail(sim, "%s", error.message);
    tv_engine_arena_stats(sim->engine, &stats);
    if (stats.memories_now || stats.committed_bytes_now || stats.reserved_bytes_now)
        sim_fail(sim, "guest memory is left: %llu memories, %llu bytes", (unsigned long long)stats.memories_now,
                 (unsigned long long)stats.committed_bytes_now);
}

// ---- steps --------------------------------------------------------------------------------------------------

bool sim_worker_step(simulation *sim, uint32_t index) {
    int64_t wait_until_ns = 0;
    if (!sim->time_stands) sim->now_ns += STEP_NS + (int64_t)sim_below(sim, STEP_RANDOM_NS);
    sim_before_step(sim, index);
    sim->in_step = true;
    bool worked = tv_worker_step(&sim->runtime->workers[index], &wait_until_ns);
    sim->in_step = false;
    sim->turns += worked;
    sim_event(sim, "worker", index, worked ? sim->runtime->workers[index].fair.cycles : (uint64_t)wait_until_ns);
    sim_check_step(sim, index);
    return worked;
}

uint64_t sim_settle(simulation *sim) {
    enum { STEPS_MAX = 200000 };
    uint64_t steps = 0;
    bool worked = true;
    while (worked) {
        worked = false;
        for (uint32_t i = 0; i < sim->workers; i++) {
            while (sim_worker_step(sim, i)) {
                worked = true;
                if (++steps == STEPS_MAX) sim_fail(sim, "worker %u does not come to rest", i);
            }
        }
        sim_serve_io(sim);
    }
    return steps;
}
