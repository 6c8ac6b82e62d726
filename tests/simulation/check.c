// Invariants that hold after every step.
#include "sim.h"

// ---- a flow -------------------------------------------------------------------------------------------------

// Bytes between head and tail, counted record by record: what the ring's own figures must agree with.
static uint64_t walk(simulation *sim, const sim_flow *made, const tv_ring *ring, uint64_t *records) {
    uint32_t head = atomic_load(&ring->head), tail = atomic_load(&ring->tail), at = head;
    uint32_t mask = ring->capacity_bytes - 1;
    *records = 0;
    while (at != tail) {
        const tv_record *record = (const tv_record *)(const void *)(ring->bytes + (at & mask));
        uint32_t to_end = ring->capacity_bytes - (at & mask);
        uint32_t step = record->size_bytes ? record->size_bytes : to_end;
        if (step > to_end || step > tail - at)
            sim_fail(sim, "flow %s: a ring holds a record of %u bytes where %llu are left", made->name,
                     record->size_bytes, (unsigned long long)tail - at);
        *records += record->size_bytes != 0;
        at += step;
    }
    return tail - head;
}

static void check_ring(simulation *sim, const sim_flow *made, size_t index) {
    const tv_edge_spec *spec = &made->edges[index];
    const tv_edge *edge = &made->flow->edges[index];
    const tv_ring *ring = tv_edge_peek_ring(edge);
    uint64_t records, bytes = walk(sim, made, ring, &records);
    if (bytes > tv_ring_capacity(spec->capacity_bytes) || records > spec->capacity_records)
        sim_fail(sim, "flow %s, edge %zu: %llu bytes in %llu records; capacity is %u in %u", made->name, index,
                 (unsigned long long)bytes, (unsigned long long)records, tv_ring_capacity(spec->capacity_bytes),
                 spec->capacity_records);
    if (records != tv_edge_queued_records(edge))
        sim_fail(sim, "flow %s, edge %zu: %llu records are queued, the ring says %u", made->name, index,
                 (unsigned long long)records, tv_edge_queued_records(edge));
}

void sim_check_flow(simulation *sim, sim_flow *made) {
    tv_error error;
    if (tv_flow_check_conservation(made->flow, &error) != TV_OK) sim_fail(sim, "%s", error.message);
    for (size_t i = 0; i < made->spec.edge_count; i++)
        check_ring(sim, made, i);
}

// ---- after a step -------------------------------------------------------------------------------------------

uint64_t sim_progress(const sim_flow *made) {
    uint64_t sum = 0;
    for (size_t i = 0; i < made->spec.stage_count; i++) {
        const tv_stage *stage = &made->flow->stages[i];
        sum += stage->emitted + stage->calls + stage->state;
        for (uint32_t input = 0; input < stage->input_count; input++)
            sum += tv_stage_input(stage, input)->popped;
    }
    return sum;
}

// A component never sees time go back, nor a watermark that one of its inputs has not reached.
static void check_watermarks(simulation *sim, sim_flow *made) {
    for (size_t i = 0; i < made->spec.stage_count; i++) {
        const tv_stage *stage = &made->flow->stages[i];
        const tv_stage_rare *rare = &made->flow->stage_rares[i];
        if (rare->watermark_in < made->watermarks[i])
            sim_fail(sim, "flow %s, stage %zu: the watermark goes back", made->name, i);
        made->watermarks[i] = rare->watermark_in;
        for (uint32_t k = 0; k < stage->input_count; k++)
            if (!tv_edge_is_finished(tv_stage_input(stage, k)) &&
                rare->watermark_in > tv_edge_get_rare(tv_stage_input(stage, k))->watermark_popped)
                sim_fail(sim, "flow %s, stage %zu: the watermark is ahead of input %u", made->name, i, k);
    }
}

// What was saved up, and what the time since the start allows; the last batch may go beyond in bytes.
static void check_rate(simulation *sim, const sim_flow *made) {
    const tv_flow_spec *spec = &made->spec;
    double burst_s = spec->rate_burst_ns ? (double)spec->rate_burst_ns * 1e-9 : 1;
    double seconds = (double)(sim->now_ns - made->started_ns) * 1e-9 + burst_s;
    uint64_t records = 0, bytes = 0;
    if (made->rate_changed || atomic_load(&made->flow->drain_wanted)) return; // what drains has no rate
    for (uint32_t i = 0; i < made->input_count; i++) {
        tv_edge_stats stats;
        tv_flow_edge_stats(made->flow, made->inputs[i].edge, &stats);
        records += stats.popped;
        bytes += made->may_lose ? stats.popped * sizeof(tv_record) : stats.pushed_bytes - stats.queued_bytes;
    }
    double records_max = seconds * (double)spec->rate_records_per_s + 1;
    double bytes_max = seconds * (double)spec->rate_bytes_per_s + (64 << 10);
    if (spec->rate_records_per_s && (double)records > records_max)
        sim_fail(sim, "flow %s took %llu records, its rate allows %.1f", made->name, (unsigned long long)records,
                 records_max);
    if (spec->rate_bytes_per_s && (double)bytes > bytes_max)
        sim_fail(sim, "flow %s took more than %llu bytes, its rate allows %.1f", made->name, (unsigned long long)bytes,
                 bytes_max);
}

// Nobody of a higher class was ready and behind in records: it would have been its turn. A class that was idle before
// the step may have begun where nobody knows.
static void check_order(simulation *sim, const sim_flow *made) {
    const tv_fair_class *classes = sim->fair.classes, *own = &classes[made->class_seen];
    if (tv_fair_is_hungry(&sim->fair, made->class_seen)) return;
    for (int i = 0; own->weight && i < (int)made->class_seen; i++)
        if (classes[i].weight && classes[i].quanta <= own->quanta)
            sim_fail(sim, "flow %s (%s) has a turn before one of class %s, which is behind", made->name,
                     tv_class_name(made->class_seen), tv_class_name((tv_class)i));
}

static void check_turn(simulation *sim, sim_flow *made) {
    check_order(sim, made);
    sim_check_flow(sim, made);
    check_watermarks(sim, made);
    check_rate(sim, made);
    if (made->paused && made->paused_at == UINT64_MAX) made->paused_at = sim_progress(made);
    if (made->paused && sim_progress(made) != made->paused_at)
        sim_fail(sim, "flow %s is paused and goes on", made->name);
}

// A flow in a ready queue has its turn before others have had many. Where all are saturated and records of one class
// cost more than those of another, saturate.c knows better.
static void check_waiting(simulation *sim, sim_flow *made) {
    enum { TURNS_MAX = 1000 };
    if (sim->saturated && !sim->equal_costs) return;
    if (made->flow->moves != made->moves_seen) made->queued_turns = UINT64_MAX; // the other worker counts its own
    made->moves_seen = made->flow->moves;
    uint64_t turns = atomic_load(&made->flow->worker->figures.turns);
    if (atomic_load(&made->flow->schedule) != TV_SCHEDULE_QUEUED) {
        made->queued_turns = UINT64_MAX;
        return;
    }
    if (made->queued_turns == UINT64_MAX) made->queued_turns = turns;
    if (turns - made->queued_turns > TURNS_MAX)
        sim_fail(sim, "flow %s (%s) has waited for %llu turns of others", made->name, tv_class_name(made->spec.class),
                 (unsigned long long)(turns - made->queued_turns));
}

void sim_before_step(simulation *sim, uint32_t index) { sim->fair = sim->runtime->workers[index].fair; }

void sim_check_step(simulation *sim, uint32_t worker) {
    for (uint32_t i = 0; i < sim->flow_count; i++) {
        sim_flow *made = sim->flows[i];
        if (made->flow->worker->index != worker) continue;
        if (made->flow->turns != made->turns_seen) {
            made->turns_seen = made->flow->turns;
            made->queued_turns = UINT64_MAX;
            sim_event(sim, "turn", made->serial, sim_progress(made));
            check_turn(sim, made);
        }
        made->class_seen = made->flow->class;
        check_waiting(sim, made);
    }
}
