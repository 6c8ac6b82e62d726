// A world in which every input is always full and every output always empty: then nothing but the scheduler decides
// who gets how much, and each flow must get its quantum in each cycle, whatever its records cost.
#include "sim.h"

enum { WARM_UP_CYCLES = 4, CYCLES_MIN = 12, TOLERANCE_PERCENT = 5 };

typedef struct share {
    uint64_t cycle, popped, moves; // when the measurement began
} share;

static uint64_t popped_of(const sim_flow *made) { return tv_stage_input(&made->flow->stages[0], 0)->popped; }

static void fill_and_empty(simulation *sim) {
    for (uint32_t i = 0; i < sim->flow_count; i++) {
        sim_flow *made = sim->flows[i];
        sim_feed(sim, made, &made->inputs[0], UINT32_MAX);
        made->outputs[0].awake = true;
        sim_take(sim, made, &made->outputs[0], UINT32_MAX);
    }
    for (uint32_t i = 0; i < sim->workers; i++)
        sim_take_letters(sim, i);
}

static void check_share(simulation *sim, const sim_flow *made, const share *begin) {
    uint64_t cycles = made->flow->worker->cycle - begin->cycle, popped = popped_of(made) - begin->popped;
    uint64_t due = cycles * made->flow->quantum, slack = due * TOLERANCE_PERCENT / 100 + 2ull * made->flow->quantum;
    if (cycles < CYCLES_MIN || (popped + slack >= due && popped <= due + slack)) return;
    sim_fail(sim, "flow %s (%s) took %llu records in %llu cycles of %u", made->name, tv_class_name(made->spec.class),
             (unsigned long long)popped, (unsigned long long)cycles, made->flow->quantum);
}

static void step(simulation *sim) {
    fill_and_empty(sim);
    for (uint32_t i = 0; i < sim->workers; i++)
        (void)sim_worker_step(sim, i);
    sim_serve_io(sim);
}

void sim_saturate(simulation *sim) {
    share begins[SIM_FLOWS_MAX] = {0};
    sim->doing = "saturated";
    for (; sim->step < sim->step_limit; sim->step++) {
        sim->total_steps++;
        step(sim);
        for (uint32_t i = 0; i < sim->flow_count; i++) {
            uint64_t cycle = sim->flows[i]->flow->worker->cycle;
            if (begins[i].cycle == 0 && cycle > WARM_UP_CYCLES)
                begins[i] = (share){cycle, popped_of(sim->flows[i]), sim->flows[i]->flow->moves};
        }
    }
    for (uint32_t i = 0; i < sim->flow_count; i++) {
        if (begins[i].cycle == 0 || begins[i].moves != sim->flows[i]->flow->moves) continue; // another worker's cycles
        check_share(sim, sim->flows[i], &begins[i]);
        sim->seen[SIM_SEEN_SHARE]++;
    }
}
