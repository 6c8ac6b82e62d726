// Invariants that hold when nobody has anything to do: then nobody could do anything.
#include "sim.h"

#include <stdio.h>

// For the reader of a failure.
static void describe(const simulation *sim, const sim_flow *made) {
    tv_flow *flow = made->flow;
    fprintf(stderr, "flow %s, %s, %s, %llu turns, now %lld\n", made->name, tv_class_name(made->spec.class),
            tv_flow_state_name(tv_flow_get_state(flow)), (unsigned long long)flow->turns, (long long)sim->now_ns);
    for (size_t i = 0; i < made->spec.stage_count; i++) {
        const tv_stage *stage = &flow->stages[i];
        tv_stage_stats stats;
        tv_flow_stage_stats(flow, i, &stats);
        fprintf(stderr, "  stage %zu: state %d%s, popped %llu, emitted %llu, calls %llu, faults %llu, timer %lld\n", i,
                (int)stage->state, stage->more ? ", more" : "", (unsigned long long)stats.popped,
                (unsigned long long)stats.emitted, (unsigned long long)stats.calls, (unsigned long long)stats.faults,
                (long long)stage->timer_at_ns);
    }
    for (size_t i = 0; i < made->spec.edge_count; i++) {
        const tv_edge *edge = &flow->edges[i];
        const tv_ring *ring = tv_edge_peek_ring(edge);
        fprintf(stderr, "  edge %zu: %x.%u -> %x, %s, %u of %u bytes, %u of %u records%s\n", i, made->edges[i].from,
                made->edges[i].from_port, made->edges[i].to, tv_overflow_name((tv_overflow)edge->overflow),
                tv_ring_used_bytes(ring), ring->capacity_bytes, tv_ring_used_records(ring), ring->capacity_records,
                edge->ended ? ", ended" : "");
    }
}

// ---- when all is quiet --------------------------------------------------------------------------------------

static bool is_listed(const tv_channel *channel) { return atomic_load(&channel->ready_marked); }

static void fail_asleep(const simulation *sim, const sim_flow *made, const char *what, const tv_channel *channel) {
    describe(sim, made);
    fprintf(stderr, "  channel %s: %s, pause at %u bytes, %u records, resume at %u, %u\n", tv_channel_name(channel),
            tv_channel_paused(channel) ? "paused" : "not paused", channel->pause_bytes, channel->pause_records,
            channel->resume_bytes, channel->resume_records);
    sim_fail(sim, "flow %s: %s %s, and was not told", made->name, tv_channel_name(channel), what);
}

// A gap at the ring's end that the reader has passed since the last pop may have been part of the fill back then.
static bool is_below_resume_mark(const tv_channel *channel) {
    uint32_t records = tv_channel_committed_records(channel);
    uint32_t bytes = tv_ring_queued_bytes(&channel->ring) + channel->record_bytes_max;
    return records == 0 || (bytes <= channel->resume_bytes && records <= channel->resume_records);
}

// What the flow has taken in can be acknowledged.
static void check_released(const simulation *sim, const sim_flow *made, const sim_input *input) {
    const tv_channel *channel = input->channel;
    if (tv_channel_queued(channel) || tv_flow_is_over(made->flow)) return;
    for (int i = 0; i < TV_DROP_COUNT; i++)
        if (atomic_load(&channel->dropped[i])) return;
    if (tv_channel_released(channel) != tv_channel_committed(channel))
        sim_fail(sim, "flow %s, input %u: all of %llu messages are in, %llu are released", made->name, input->number,
                 (unsigned long long)tv_channel_committed(channel), (unsigned long long)tv_channel_released(channel));
}

static void check_sleepers(simulation *sim, const sim_flow *made) {
    for (uint32_t i = 0; i < made->input_count; i++) {
        const sim_input *input = &made->inputs[i];
        check_released(sim, made, input);
        if (!input->waits || is_listed(input->channel) || tv_flow_is_over(made->flow)) continue;
        if (!tv_channel_paused(input->channel) || is_below_resume_mark(input->channel))
            fail_asleep(sim, made, "has room", input->channel);
    }
    for (uint32_t i = 0; i < made->output_count; i++) {
        const sim_output *output = &made->outputs[i];
        if (output->awake || is_listed(output->channel)) continue;
        if (tv_channel_queued(output->channel)) fail_asleep(sim, made, "has records", output->channel);
    }
}

static uint32_t held_in(const simulation *sim, const tv_pool *pool) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->flow_count; i++) {
        const tv_flow *flow = sim->flows[i]->flow;
        for (size_t k = 0; flow->seats && k < flow->spec->stage_count; k++)
            count += flow->seats[k].pool == pool && flow->seats[k].held;
    }
    return count;
}

// A shared instance is held for output that waits inside of it alone; and nobody waits while there is one.
static void check_seats(simulation *sim, const sim_flow *made) {
    const tv_flow *flow = made->flow;
    for (size_t i = 0; flow->seats && i < flow->spec->stage_count; i++) {
        const tv_seat *seat = &flow->seats[i];
        if (seat->pool && seat->held && !flow->stages[i].more)
            sim_fail(sim, "flow %s, stage %zu holds a shared instance without need", made->name, i);
        if (seat->waits && held_in(sim, seat->pool) < TV_POOL_INSTANCES_MAX)
            sim_fail(sim, "flow %s, stage %zu waits for a shared instance, and there is one", made->name, i);
    }
}

static uint64_t progress_of(const sim_flow *made) {
    return sim_progress(made) + (uint64_t)tv_flow_get_state(made->flow);
}

// A turn that nobody asked for finds nothing to do; else somebody forgot to ask for it.
static void check_awake(simulation *sim, sim_flow *made) {
    uint64_t before = progress_of(made);
    tv_flow_notify(made->flow);
    while (sim_worker_step(sim, made->flow->worker->index))
        ;
    if (progress_of(made) == before) return;
    describe(sim, made);
    sim_fail(sim, "flow %s (%s) had something to do and was not woken", made->name,
             tv_flow_state_name(tv_flow_get_state(made->flow)));
}

// What was asked of it has been done.
static void check_asked(simulation *sim, const sim_flow *made) {
    if (made->removal == TV_REMOVE_NOW || (made->removal && tv_flow_is_over(made->flow)))
        sim_fail(sim, "flow %s (%s) should be removed, and is not", made->name,
                 tv_flow_state_name(tv_flow_get_state(made->flow)));
    if (made->requests_run != made->requests_posted || made->requests_refused)
        sim_fail(sim, "flow %s: of %u requests %u were run, %u refused", made->name, made->requests_posted,
                 made->requests_run, made->requests_refused);
}

uint64_t sim_check_quiet(simulation *sim) {
    sim->time_stands = true; // or timers would fall due between the checks
    uint64_t steps = sim_settle(sim);
    sim_retire_removed(sim, true);
    for (uint32_t i = 0; i < sim->flow_count; i++) {
        check_asked(sim, sim->flows[i]);
        check_seats(sim, sim->flows[i]);
        check_sleepers(sim, sim->flows[i]);
        check_awake(sim, sim->flows[i]);
    }
    sim->time_stands = false;
    return steps;
}

void sim_check_letters(simulation *sim) {
    if (sim->letters_taken != sim->letters_wanted)
        sim_fail(sim, "%llu dead letters were written, %llu came", (unsigned long long)sim->letters_wanted,
                 (unsigned long long)sim->letters_taken);
    sim->seen[SIM_SEEN_LETTER] += sim->letters_wanted;
}
