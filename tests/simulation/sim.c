// The run: one decision after the other, each from the seed.
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// ---- chance and trace ---------------------------------------------------------------------------------------

// xorshift64*
uint32_t sim_below(simulation *sim, uint32_t limit) {
    sim->random_state ^= sim->random_state >> 12;
    sim->random_state ^= sim->random_state << 25;
    sim->random_state ^= sim->random_state >> 27;
    return (uint32_t)((sim->random_state * 0x2545f4914f6cdd1dull) >> 33) % limit;
}

bool sim_one_in(simulation *sim, uint32_t n) { return sim_below(sim, n) == 0; }

static uint64_t mix64(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
    return hash ^ hash >> 29;
}

void sim_event(simulation *sim, const char *what, uint64_t a, uint64_t b) {
    sim->hash = mix64(mix64(mix64(mix64(sim->hash, (uint8_t)what[0]), a), b), (uint64_t)sim->now_ns);
    if (sim->options.trace)
        printf("%llu %lld %s %llu %llu\n", (unsigned long long)sim->step, (long long)sim->now_ns, what,
               (unsigned long long)a, (unsigned long long)b);
}

void sim_fail(const simulation *sim, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fprintf(stderr, "sim: seed %llu, step %llu (%s): ", (unsigned long long)sim->world_seed,
            (unsigned long long)sim->step, sim->doing);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nreplay: simulation --seed %llu --steps %llu --flows %u --features %u%s%s%s%s\n",
            (unsigned long long)sim->world_seed,
            (unsigned long long)(sim->step < sim->step_limit ? sim->step + 1 : sim->step_limit), sim->options.flows,
            sim->options.features, sim->options.with_guards ? " --guards" : "",
            sim->options.loose_times ? " --loose-times" : "", sim->options.mutant ? " --mutant " : "",
            sim->options.mutant ? sim->options.mutant : "");
    _Exit(1);
}

const char *sim_seen_name(sim_seen what) {
    static const char *const names[SIM_SEEN_COUNT] = {"a flow that ended",
                                                      "a flow that failed",
                                                      "a trap",
                                                      "a CPU budget used up",
                                                      "a rejection",
                                                      "a restart",
                                                      "a dead letter",
                                                      "an oldest record dropped",
                                                      "a newest record dropped",
                                                      "a record too large",
                                                      "a watermark",
                                                      "a record of a stage's own",
                                                      "an exact count",
                                                      "a flow removed at once",
                                                      "a flow removed when drained",
                                                      "a share of a cycle",
                                                      "a share of the time",
                                                      "an action within a call",
                                                      "a wait for a shared instance",
                                                      "pages given back",
                                                      "a tapped record",
                                                      "a move to another worker",
                                                      "a nested turn",
                                                      "a CPU budget of a second used up",
                                                      "a rate used up",
                                                      "a demotion"};
    return what < SIM_SEEN_COUNT ? names[what] : "unknown";
}

// ---- decisions ----------------------------------------------------------------------------------------------

static sim_flow *any_flow(simulation *sim) { return sim->flows[sim_below(sim, sim->flow_count)]; }

static void act_worker(simulation *sim) {
    sim->doing = "worker";
    uint32_t first = sim_below(sim, sim->workers);
    for (uint32_t i = 0; i < sim->workers; i++)
        if (sim_worker_step(sim, (first + i) % sim->workers)) return;
}

// What comes while a component works concerns Critical flows above all: their turns are on top of its call.
static sim_flow *any_flow_to_feed(simulation *sim) {
    sim_flow *made = any_flow(sim);
    for (int i = 0; sim->in_step && made->flow->class != TV_CLASS_CRITICAL && i < 6; i++)
        made = any_flow(sim);
    return made;
}

static void act_input(simulation *sim) {
    sim->doing = "input";
    if (sim->flow_count == 0) return;
    sim_flow *made = any_flow_to_feed(sim);
    if (made->input_count == 0) return;
    sim_input *input = &made->inputs[sim_below(sim, made->input_count)];
    if (made->drains || sim_one_in(sim, 4000))
        sim_end_input(sim, made, input);
    else if (sim_one_in(sim, 2000))
        sim_break_input(sim, made, input);
    else
        sim_feed(sim, made, input, sim_one_in(sim, 6) ? 1 + sim_below(sim, 60) : 1 + sim_below(sim, 8));
}

static void act_output(simulation *sim) {
    sim->doing = "output";
    if (sim->flow_count == 0 || (sim->crowded && !sim_one_in(sim, 8))) return;
    sim_flow *made = any_flow(sim);
    if (made->output_count == 0) return;
    sim_take(sim, made, &made->outputs[sim_below(sim, made->output_count)],
             sim_one_in(sim, 3) ? 1 + sim_below(sim, 3) : 1 + sim_below(sim, 60));
}

static void act_time(simulation *sim) {
    sim->doing = "time";
    int64_t next_ns = sim_next_timer_ns(sim);
    if (sim_one_in(sim, 2) && next_ns != INT64_MAX && next_ns > sim->now_ns)
        sim_advance(sim, next_ns - sim->now_ns);
    else
        sim_advance(sim, sim_one_in(sim, 5) ? (int64_t)sim_below(sim, 40000000) : (int64_t)sim_below(sim, 2000000));
}

static void act_quiet(simulation *sim) {
    sim->doing = "settling";
    sim->total_steps += sim_check_quiet(sim);
}

static void decide(simulation *sim) {
    uint32_t choice = sim_below(sim, 1000);
    if (choice < 560)
        act_worker(sim);
    else if (choice < 740)
        act_input(sim);
    else if (choice < 930)
        act_output(sim);
    else if (choice < 960)
        sim_serve_io(sim);
    else if (choice < 970)
        sim_take_letters(sim, sim_below(sim, sim->workers));
    else if (choice < 990)
        act_time(sim);
    else if (choice < 992)
        act_quiet(sim);
    else
        sim_operate(sim);
}

void sim_interleave(simulation *sim) {
    const char *doing = sim->doing;
    if (sim->saturated || sim->flow_count == 0) return;
    uint32_t choice = sim_below(sim, 100);
    if (choice < 45)
        act_input(sim);
    else if (choice < 85)
        act_output(sim);
    else if (choice < 93)
        sim_serve_io(sim);
    else if (choice < 96)
        sim_take_letters(sim, sim_below(sim, sim->workers));
    else if (sim_has(sim, SIM_OPERATIONS) && !sim->finishing)
        sim_ask(sim, any_flow(sim));
    sim->seen[SIM_SEEN_INTERLEAVED]++;
    sim->doing = doing;
}

// ---- the end of a world -------------------------------------------------------------------------------------

static void take_everything(simulation *sim) {
    for (uint32_t i = 0; i < sim->flow_count; i++) {
        sim_flow *made = sim->flows[i];
        for (uint32_t k = 0; k < made->output_count; k++)
            sim_take(sim, made, &made->outputs[k], UINT32_MAX);
    }
    for (uint32_t i = 0; i < sim->workers; i++)
        sim_take_letters(sim, i);
}

static bool all_over(const simulation *sim) {
    for (uint32_t i = 0; i < sim->flow_count; i++)
        if (!tv_flow_is_over(sim->flows[i]->flow)) return false;
    return true;
}

static void end_everything(simulation *sim) {
    for (uint32_t i = 0; i < sim->flow_count; i++) {
        sim_flow *made = sim->flows[i];
        for (uint32_t k = 0; k < made->input_count; k++)
            sim_end_input(sim, made, &made->inputs[k]);
        tv_flow_resume(made->flow);
        made->paused = false;
        if (sim_one_in(sim, 2))
            sim_remove(sim, made, false);
        else
            tv_flow_drain(made->flow);
    }
}

static const sim_flow *first_not_over(const simulation *sim) {
    for (uint32_t i = 0; i < sim->flow_count; i++)
        if (!tv_flow_is_over(sim->flows[i]->flow)) return sim->flows[i];
    return NULL;
}

// With everything taken and time passing, flows whose inputs have ended end.
static void finish(simulation *sim) {
    enum { ROUNDS_MAX = 6000 };
    sim->doing = "finishing";
    sim->finishing = true;
    end_everything(sim);
    for (uint32_t round = 0;; round++) {
        sim->total_steps += sim_settle(sim);
        sim_retire_removed(sim, true);
        take_everything(sim);
        if (sim_settle(sim) > 0) continue;
        if (all_over(sim)) break;
        if (round == ROUNDS_MAX) sim_fail(sim, "flow %s does not come to its end", first_not_over(sim)->name);
        int64_t next_ns = sim_next_timer_ns(sim);
        if (next_ns == INT64_MAX)
            sim_fail(sim, "flow %s has not ended, and nothing will wake it", first_not_over(sim)->name);
        sim_advance(sim, next_ns > sim->now_ns ? next_ns - sim->now_ns : 1000000);
    }
    take_everything(sim);
    sim->total_steps += sim_check_quiet(sim);
    for (uint32_t i = 0; i < sim->flow_count; i++)
        sim_judge(sim, sim->flows[i]);
    sim_check_letters(sim);
}

// ---- runs ---------------------------------------------------------------------------------------------------

static void run_world(simulation *sim, uint64_t steps_max) {
    sim->random_state = (sim->world_seed + 1) * 0x9e3779b97f4a7c15ull | 1;
    uint64_t steps = SIM_WORLD_STEPS_MIN + sim_below(sim, SIM_WORLD_STEPS_MAX - SIM_WORLD_STEPS_MIN);
    if (steps > steps_max) steps = steps_max;
    sim->step = 0;
    sim->step_limit = steps;
    sim_world_open(sim);
    uint32_t flows = sim->crowded ? sim->flow_limit : 1 + sim_below(sim, sim->flow_limit);
    for (uint32_t i = 0; i < flows; i++)
        sim_add_flow(sim);
    if (sim->saturated) {
        if (steps > SIM_SATURATED_STEPS_MAX) sim->step_limit = steps = SIM_SATURATED_STEPS_MAX;
        sim_saturate(sim);
    }
    for (; sim->step < steps; sim->step++) {
        sim->total_steps++;
        decide(sim);
        sim_retire_removed(sim, false);
    }
    finish(sim);
    sim->doing = "tearing down";
    sim_world_close(sim);
    sim->hash = mix64(sim->hash, sim->total_steps);
}

void sim_run(simulation *sim) {
    sim->hash = 1;
    sim->world_seed = sim->options.seed;
    while (sim->total_steps < sim->options.steps) {
        run_world(sim, sim->options.steps - sim->total_steps);
        sim->world_seed++;
    }
}
