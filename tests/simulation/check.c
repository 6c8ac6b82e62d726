// Invariants that hold after every step, and those that hold when nobody has anything to do.
#include "sim.h"

#include <stdio.h>

// ---- a flow -------------------------------------------------------------------------------------------------

// Bytes between head and tail, counted record by record: what the ring's own figures must agree with.
static uint64_t walk(simulation *sim, const sim_flow *made, const tv_ring *ring, uint64_t *records) {
    uint64_t head = atomic_load(&ring->head), tail = atomic_load(&ring->tail), at = head;
    uint32_t mask = ring->capacity_bytes - 1;
    *records = 0;
    while (at != tail) {
        const tv_record *record = (const tv_record *)(const void *)(ring->bytes + (at & mask));
        uint64_t to_end = ring->capacity_bytes - (at & mask);
        uint64_t step = record->size_bytes ? record->size_bytes : to_end;
        if (step > to_end || step > tail - at)
            sim_fail(sim, "flow %s: a ring holds a record of %u bytes where %llu are left", made->name,
                     record->size_bytes, (unsigned long long)(tail - at));
        *records += record->size_bytes != 0;
        at += step;
    }
    return tail - head;
}

static void check_ring(simulation *sim, const sim_flow *made, size_t index) {
    const tv_edge_spec *spec = &made->edges[index];
    const tv_ring *ring = made->flow->edges[index].ring;
    uint64_t records, bytes = walk(sim, made, ring, &records);
    if (bytes > tv_ring_capacity(spec->capacity_bytes) || records > spec->capacity_records)
        sim_fail(sim, "flow %s, edge %zu: %llu bytes in %llu records; capacity is %u in %u", made->name, index,
                 (unsigned long long)bytes, (unsigned long long)records, tv_ring_capacity(spec->capacity_bytes),
                 spec->capacity_records);
    if (records != tv_ring_queued_records(ring))
        sim_fail(sim, "flow %s, edge %zu: %llu records are queued, the ring says %u", made->name, index,
                 (unsigned long long)records, tv_ring_queued_records(ring));
}

void sim_check_flow(simulation *sim, sim_flow *made) {
    tv_error error;
    if (tv_flow_check_conservation(made->flow, &error) != TV_OK) sim_fail(sim, "%s", error.message);
    for (size_t i = 0; i < made->spec.edge_count; i++)
        check_ring(sim, made, i);
}

// For the reader of a failure.
static void describe(const simulation *sim, const sim_flow *made) {
    const tv_flow *flow = made->flow;
    fprintf(stderr, "flow %s, %s, %s, %llu turns, now %lld\n", made->name, tv_class_name(made->spec.class),
            tv_flow_state_name(tv_flow_get_state(flow)), (unsigned long long)flow->turns, (long long)sim->now_ns);
    for (size_t i = 0; i < made->spec.stage_count; i++) {
        const tv_stage *stage = &flow->stages[i];
        fprintf(stderr, "  stage %zu: state %d%s, popped %llu, emitted %llu, calls %llu, faults %llu, timer %lld\n", i,
                (int)stage->state, stage->more ? ", more" : "", (unsigned long long)stage->stats.popped,
                (unsigned long long)stage->stats.emitted, (unsigned long long)stage->stats.calls,
                (unsigned long long)stage->stats.faults, (long long)stage->timer_at_ns);
    }
    for (size_t i = 0; i < made->spec.edge_count; i++) {
        const tv_edge *edge = &flow->edges[i];
        fprintf(stderr, "  edge %zu: %x.%u -> %x, %s, %u of %u bytes, %u of %u records%s\n", i, edge->from,
                made->edges[i].from_port, edge->to, tv_overflow_name(edge->overflow), tv_ring_used_bytes(edge->ring),
                edge->ring->capacity_bytes, tv_ring_used_records(edge->ring), edge->ring->capacity_records,
                edge->ended ? ", ended" : "");
    }
}

// ---- after a step -------------------------------------------------------------------------------------------

uint64_t sim_progress(const sim_flow *made) {
    uint64_t sum = 0;
    for (size_t i = 0; i < made->spec.stage_count; i++) {
        const tv_stage *stage = &made->flow->stages[i];
        sum += stage->stats.popped + stage->stats.emitted + stage->stats.calls + (uint64_t)stage->state;
    }
    return sum;
}

static uint64_t progress_of(const sim_flow *made) {
    return sim_progress(made) + (uint64_t)tv_flow_get_state(made->flow);
}

// A flow in a ready queue has its turn before its worker's next cycle but one ends.
static void check_waiting(simulation *sim, sim_flow *made) {
    enum { CYCLES_MAX = 2 };
    uint64_t cycle = made->flow->worker->cycle;
    if (atomic_load(&made->flow->schedule) != TV_SCHEDULE_QUEUED) {
        made->queued_cycle = UINT64_MAX;
        return;
    }
    if (made->queued_cycle == UINT64_MAX) made->queued_cycle = cycle;
    if (cycle - made->queued_cycle > CYCLES_MAX)
        sim_fail(sim, "flow %s (%s) has waited for %llu cycles", made->name, tv_class_name(made->spec.class),
                 (unsigned long long)(cycle - made->queued_cycle));
}

void sim_check_step(simulation *sim, uint32_t worker) {
    for (uint32_t i = 0; i < sim->flow_count; i++) {
        sim_flow *made = sim->flows[i];
        if (made->flow->worker->index != worker) continue;
        if (made->flow->turns != made->turns_seen) {
            made->turns_seen = made->flow->turns;
            made->queued_cycle = UINT64_MAX;
            sim_event(sim, "turn", made->serial, progress_of(made));
            sim_check_flow(sim, made);
            if (made->paused && sim_progress(made) != made->paused_at)
                sim_fail(sim, "flow %s is paused and goes on", made->name);
        }
        check_waiting(sim, made);
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
    uint32_t records = tv_ring_queued_records(&channel->ring);
    uint32_t bytes = tv_ring_queued_bytes(&channel->ring) + channel->record_bytes_max;
    return records == 0 || (bytes <= channel->resume_bytes && records <= channel->resume_records);
}

static void check_sleepers(simulation *sim, const sim_flow *made) {
    for (uint32_t i = 0; i < made->input_count; i++) {
        const sim_input *input = &made->inputs[i];
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
