// A flow's turn: passes from source to sink until nothing moves, the quantum is used up or its time is over.
//
// Each stage may take `quantum` records from its inputs (a source: emit them), whatever batches they come in; each step
// that moves something costs at least one of them, so that every quantum ends. The time limit ends a turn, not the
// quantum: the rest is for the next turns. What a turn used is charged by the worker (worker.c, fair.c). The clock read
// for the busy time of calls is all that is read here; batches are limited by the cost of a record that it shows, so
// that a call seldom exceeds the turn.
#include "flow/flow_internal.h"

enum {
    FIRST_BATCH = 1,      // as long as the cost of a record is not known
    CYCLE_UNIT_NS = 1024, // of cycle_left: an hour in 32 bits
};

// ---- what a turn looks at -----------------------------------------------------------------------------------

static bool is_paused(const tv_flow *flow) { return atomic_load_explicit(&flow->pause_wanted, memory_order_relaxed); }

// Here and not in a stage's step, which may be held up by its outputs: then the oldest have to go all the more.
static void check_channels(tv_flow *flow) {
    for (size_t i = 0; i < flow->spec->edge_count; i++) {
        const tv_edge *edge = &flow->edges[i];
        if (edge->kind == TV_EDGE_INSIDE) continue;
        if (edge->kind == TV_EDGE_INPUT && edge->channel->overflow == TV_OVERFLOW_DROP_OLDEST)
            tv_channel_drop_oldest(edge->channel);
        if (atomic_load_explicit(&edge->channel->failed, memory_order_acquire))
            tv_flow_fail(flow, "channel %s: %s", edge->channel->name, tv_channel_failure(edge->channel));
    }
}

// The far sides must not wait for a flow that is gone.
static void end_output_channels(tv_flow *flow) {
    for (size_t i = 0; i < flow->spec->edge_count; i++)
        if (flow->edges[i].kind == TV_EDGE_OUTPUT) tv_channel_end_output(flow->edges[i].channel);
}

static bool all_closed(const tv_flow *flow) {
    for (size_t i = 0; i < flow->spec->stage_count; i++)
        if (flow->stages[i].state != TV_STAGE_CLOSED) return false;
    return true;
}

static int64_t stage_deadline(const tv_stage *stage) {
    if (stage->state == TV_STAGE_BACKOFF) return tv_stage_get_rare(stage)->backoff_until_ns;
    if (stage->state != TV_STAGE_RUNNING) return INT64_MAX;
    bool pulls = stage->input_count == 0 && !stage->pull_ended && stage->timer_at_ns == INT64_MAX;
    return pulls ? tv_stage_get_rare(stage)->pull_at_ns : stage->timer_at_ns;
}

// What was due at this turn and is still there waits for room, and room wakes the flow.
static int64_t earliest_deadline(const tv_flow *flow, int64_t now_ns) {
    int64_t earliest = INT64_MAX;
    for (size_t i = 0; i < flow->spec->stage_count; i++) {
        int64_t at = stage_deadline(&flow->stages[i]);
        if (at > now_ns && at < earliest) earliest = at;
    }
    return earliest;
}

// It waits for dead letters to be taken, or for a part of its own rate of them, and not for ever.
static int64_t letters_deadline(const tv_flow *flow, int64_t at_ns, int64_t now_ns) {
    bool waits = flow->awaits_letters && flow->letters_until_ns > now_ns;
    return waits && flow->letters_until_ns < at_ns ? flow->letters_until_ns : at_ns;
}

// A flow without CPU budget does not wake for its timers; one whose sources wait does.
static int64_t deadline_of(const tv_flow *flow, int64_t now_ns) {
    if (!flow->budget) return letters_deadline(flow, earliest_deadline(flow, now_ns), now_ns);
    if (flow->budget->throttled == TV_THROTTLE_CPU) return flow->throttled_until_ns;
    int64_t at_ns = letters_deadline(flow, earliest_deadline(flow, now_ns), now_ns);
    return flow->sources_wait && flow->throttled_until_ns < at_ns ? flow->throttled_until_ns : at_ns;
}

static void finish_turn(tv_flow *flow, int64_t now_ns) {
    if (tv_flow_get_state(flow) == TV_FLOW_DRAINING && all_closed(flow)) tv_flow_set_state(flow, TV_FLOW_ENDED);
    tv_flow_state state = tv_flow_get_state(flow);
    if (state == TV_FLOW_FAILED || state == TV_FLOW_REMOVED) end_output_channels(flow);
    bool rests = tv_flow_is_over(flow) || is_paused(flow);
    flow->deadline_ns = rests ? INT64_MAX : deadline_of(flow, now_ns);
    flow->turns++;
    tv_waits_note(flow, flow->clock_ns + flow->worker->nested_ns);
    if (atomic_load_explicit(&flow->snapshot_wanted, memory_order_relaxed)) tv_flow_snapshot_take(flow);
    if (flow->seats) tv_flow_is_over(flow) ? tv_pool_leave(flow) : tv_pool_after_turn(flow);
    tv_flow_publish(flow);
    if (tv_flow_is_over(flow)) atomic_store(&flow->at_rest, true);
}

static bool is_source(const tv_stage *stage) {
    for (uint32_t i = 0; i < stage->input_count; i++)
        if (tv_stage_input(stage, i)->kind == TV_EDGE_INPUT) return true;
    return stage->input_count == 0;
}

// Whether an input has a record, or its end is there. One that waits for its flow's rate takes no records.
static bool has_input(const tv_edge *edge, bool waits) {
    bool ended =
        edge->kind == TV_EDGE_INSIDE ? edge->ended : atomic_load_explicit(&edge->channel->ended, memory_order_relaxed);
    bool is_empty = tv_ring_is_empty(tv_edge_peek_ring(edge));
    return waits ? ended && is_empty : ended || !is_empty;
}

static bool waits_for_rate(const tv_stage *stage) { return stage->flow->sources_wait && is_source(stage); }

// Whether the stage has something it could go on with, now or as soon as there is room behind it.
static bool has_left(const tv_stage *stage, int64_t now_ns) {
    if (stage->state == TV_STAGE_CLOSED) return false;
    if (stage->timer_at_ns <= now_ns) return true; // it was held up by an output that may have room by now
    if (stage->state != TV_STAGE_RUNNING || stage->more || stage->forwards) return true;
    bool waits = waits_for_rate(stage);
    for (uint32_t i = 0; i < stage->input_count; i++)
        if (has_input(tv_stage_input(stage, i), waits)) return true;
    if (stage->input_count > 0) return false;
    return !waits || atomic_load_explicit(&stage->flow->drain_wanted, memory_order_relaxed);
}

typedef enum turn_left {
    LEFT_NOTHING, // or nothing that could go on before somebody tells the flow
    LEFT_NOW,
    LEFT_SPENT, // it could, but for the quantum
} turn_left;

// Spares the pass that would find nothing: a record that has gone through the whole flow costs one pass, not two.
static turn_left what_is_left(const tv_flow *flow, int64_t now_ns) {
    turn_left left = LEFT_NOTHING;
    for (size_t i = 0; i < flow->spec->stage_count; i++) {
        if (!has_left(&flow->stages[i], now_ns)) continue;
        if (flow->stages[i].credit) return LEFT_NOW;
        left = LEFT_SPENT;
    }
    return left;
}

// ---- quantum ------------------------------------------------------------------------------------------------

static bool is_any_spent(const tv_flow *flow) {
    for (size_t i = 0; i < flow->spec->stage_count; i++)
        if (flow->stages[i].credit == 0) return true;
    return false;
}

// Of the stage that has used most of its quantum.
static uint32_t least_credit(const tv_flow *flow) {
    uint32_t least = UINT32_MAX;
    for (size_t i = 0; i < flow->spec->stage_count; i++)
        if (flow->stages[i].credit < least) least = flow->stages[i].credit;
    return least;
}

static void set_credits(tv_flow *flow, uint32_t credit) {
    for (size_t i = 0; i < flow->spec->stage_count; i++)
        flow->stages[i].credit = credit;
}

// At the turn after the last was used up, and after the flow was idle.
static void begin_quantum(tv_flow *flow) {
    flow->spent = false;
    flow->cycle_left = (uint32_t)(flow->cycle_ns / CYCLE_UNIT_NS);
    set_credits(flow, flow->quantum);
}

static uint32_t least_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }

static uint32_t batch_limit(const tv_flow *flow, const tv_stage *stage, int64_t turn_end_ns) {
    uint32_t records = least_u32(stage->credit, flow->spec->stages[stage->index].batch_records_max);
    if (stage->cost_ns == 0) return least_u32(records, FIRST_BATCH);
    int64_t left_ns = turn_end_ns - flow->clock_ns;
    if ((int64_t)records * stage->cost_ns <= left_ns) return records;
    return left_ns > stage->cost_ns ? (uint32_t)(left_ns / stage->cost_ns) : 1;
}

// What a rate counts: taken from the inputs, or emitted by a source.
static uint64_t counted_records(const tv_stage *stage) {
    uint64_t popped = 0;
    for (uint32_t i = 0; i < stage->input_count; i++)
        popped += tv_stage_input(stage, i)->popped;
    return stage->input_count ? popped : stage->emitted;
}

static uint64_t counted_bytes(const tv_stage *stage) {
    if (stage->input_count) return stage->bytes_in;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < stage->output_count; i++)
        bytes += tv_stage_output(stage, i)->pushed_bytes;
    return bytes;
}

static bool wants_records(const tv_stage *stage) {
    for (uint32_t i = 0; i < stage->input_count; i++)
        if (!tv_ring_is_empty(tv_edge_peek_ring(tv_stage_input(stage, i)))) return true;
    return stage->input_count == 0;
}

// What a source may take in now. Where there is too little for all, the one that came away empty is the next: else the
// first would have it all. Returns whether others may look again.
static bool share_rate(tv_flow *flow, const tv_stage *stage, uint32_t *limit, int64_t now_ns) {
    tv_flow_budget *budget = flow->budget;
    uint8_t own = (uint8_t)(stage->index + 1), next = budget->next_source;
    if (flow->sources_wait) {
        *limit = 0;
        if (!next && wants_records(stage)) budget->next_source = own;
        return false;
    }
    *limit = next && next != own ? 0 : least_u32(*limit, tv_budget_records(flow, now_ns));
    if (next == own) budget->next_source = 0;
    return next == own;
}

// A source under a rate: what its inputs beside the channel bring counts as well. Where it may take nothing in, its
// timers and its end come all the same.
static bool step_source(tv_flow *flow, tv_stage *stage, uint32_t limit, int64_t now_ns) {
    uint64_t before = counted_records(stage), bytes_before = counted_bytes(stage);
    if (!tv_stage_step(stage, limit, now_ns)) return false;
    tv_budget_take(flow, counted_records(stage) - before, counted_bytes(stage) - bytes_before, now_ns);
    return true;
}

// What moves nothing that the quantum counts costs one record of it.
static bool step(tv_flow *flow, tv_stage *stage, int64_t turn_end_ns, int64_t now_ns) {
    if (stage->credit == 0) return false;
    uint32_t limit = batch_limit(flow, stage, turn_end_ns);
    bool rated = flow->budget && is_source(stage);
    bool next = rated && share_rate(flow, stage, &limit, now_ns);
    uint32_t before = stage->credit;
    if (!(rated ? step_source(flow, stage, limit, now_ns) : tv_stage_step(stage, limit, now_ns))) return next;
    if (stage->credit == before) stage->credit--;
    return true;
}

// ---- the turn -----------------------------------------------------------------------------------------------

// From where the last pass was cut, or the source, to the sink. Returns whether anything moved.
static bool pass(tv_flow *flow, int64_t turn_end_ns, int64_t now_ns) {
    // The end of a pass that was cut says nothing about the stages in front of the cut: they get another look.
    bool moved = flow->next_stage != 0;
    size_t at = flow->next_stage, count = flow->spec->stage_count;
    while (at < count && !tv_flow_is_over(flow)) {
        moved |= step(flow, &flow->stages[flow->links[at++]], turn_end_ns, now_ns);
        if (flow->clock_ns >= turn_end_ns) break;
    }
    flow->next_stage = at < count && !tv_flow_is_over(flow) ? (uint16_t)at : 0;
    return moved;
}

// The rest of a quantum that takes too long is lost: it counts as taken.
static bool cycle_time_is_over(tv_flow *flow, int64_t used_ns) {
    int64_t used = used_ns / CYCLE_UNIT_NS + 1;
    flow->cycle_left -= used < flow->cycle_left ? (uint32_t)used : flow->cycle_left;
    if (flow->cycle_left > 0) return false;
    set_credits(flow, 0);
    flow->cycles_cut++;
    return true;
}

static turn_left run_passes(tv_flow *flow, int64_t now_ns) {
    tv_worker *worker = flow->worker;
    int64_t turn_ns = worker->turn_is_brief ? 0 : flow->turn_ns;
    int64_t begin_ns = flow->clock_ns, turn_end_ns = tv_time_add_saturating(begin_ns, turn_ns);
    worker->turn_is_brief = false; // those on top of it are not
    turn_left left;
    bool moved;
    do {
        moved = pass(flow, turn_end_ns, now_ns);
        left = tv_flow_is_over(flow) ? LEFT_NOTHING : what_is_left(flow, now_ns);
    } while (moved && left == LEFT_NOW && flow->clock_ns < turn_end_ns);
    if (cycle_time_is_over(flow, flow->clock_ns - begin_ns) && left == LEFT_NOW) left = LEFT_SPENT;
    if (moved || flow->next_stage || left != LEFT_NOW) return left; // a pass that was cut has stages to come
    // What is left waits for room: behind a stage that has used up its quantum it comes with the next one.
    return is_any_spent(flow) ? LEFT_SPENT : LEFT_NOTHING;
}

static turn_left run_quantum(tv_flow *flow, int64_t now_ns) {
    if (flow->spent) begin_quantum(flow);
    uint32_t credit = least_credit(flow);
    flow->clock_ns = now_ns - flow->worker->nested_ns;
    turn_left left = run_passes(flow, now_ns);
    flow->worker->turn_records = credit - least_credit(flow);
    return left;
}

// CPU time is read for flows that have a budget of it alone: the clock costs half a microsecond.
static turn_left run_budgeted(tv_flow *flow, int64_t now_ns) {
    if (!tv_budget_begin(flow, now_ns)) return LEFT_NOTHING;
    if (!flow->budget->cpu_per_s_ns) return run_quantum(flow, now_ns);
    const tv_worker *worker = flow->worker;
    const tv_clock *clock = worker->runtime->clock;
    int64_t begin_ns = tv_clock_thread_cpu_ns(clock), nested_ns = worker->nested_cpu_ns;
    turn_left left = run_quantum(flow, now_ns);
    int64_t used_ns = tv_clock_thread_cpu_ns(clock) - begin_ns - (worker->nested_cpu_ns - nested_ns);
    tv_budget_take_cpu(flow, used_ns, now_ns);
    return left;
}

bool tv_flow_turn(tv_flow *flow, int64_t now_ns) {
    if (!tv_inbox_is_empty(&flow->requests)) tv_flow_run_requests(flow);
    if (atomic_load_explicit(&flow->at_rest, memory_order_relaxed)) return false;
    if (atomic_load_explicit(&flow->remove_wanted, memory_order_relaxed) == TV_REMOVE_NOW && !tv_flow_is_over(flow))
        tv_flow_set_state(flow, TV_FLOW_REMOVED);
    if (tv_flow_get_state(flow) == TV_FLOW_STARTING) tv_flow_set_state(flow, TV_FLOW_RUNNING);
    check_channels(flow);
    flow->worker->turn_records = 0;
    turn_left left = LEFT_NOTHING;
    if (is_paused(flow))
        flow->next_stage = 0; // nothing is under way: it begins at the source when it goes on
    else
        left = flow->budget ? run_budgeted(flow, now_ns) : run_quantum(flow, now_ns);
    flow->spent = left == LEFT_SPENT || (left == LEFT_NOTHING && is_any_spent(flow));
    finish_turn(flow, now_ns);
    return left != LEFT_NOTHING;
}
