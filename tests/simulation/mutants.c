// Faults of the runtime itself, switched on one at a time: the simulation has to find each of them.
//
// The linker sends calls between the runtime's files through here (--wrap, see CMakeLists.txt). Without a mutant every
// wrapper is the function itself. A fault shows now and then only, as such faults do.
#include "sim.h"

#define WRAPPED(name)                                                                                                  \
    extern __typeof__(name) __real_##name;                                                                             \
    extern __typeof__(name) __wrap_##name;

WRAPPED(tv_flow_notify)
WRAPPED(tv_flow_turn)
WRAPPED(tv_flow_run_requests)
WRAPPED(tv_edge_push)
WRAPPED(tv_edge_roll_back)
WRAPPED(tv_edge_pop)
WRAPPED(tv_frame_pop)
WRAPPED(tv_channel_popped)
WRAPPED(tv_channel_publish_output)
WRAPPED(tv_channel_drop_oldest)
WRAPPED(tv_dead_letter_write)
WRAPPED(tv_instance_free)
WRAPPED(tv_pool_give_back)
WRAPPED(tv_budget_take)
WRAPPED(tv_fair_due)
WRAPPED(tv_fair_charge)
WRAPPED(tv_fair_join)
WRAPPED(tv_fair_flow_used)

typedef enum mutant {
    NONE,
    LOST_NOTIFICATION,
    LOST_TIMER,
    LOST_CREDIT,
    LOST_RECORD,
    DOUBLED_RECORD,
    DAMAGED_RECORD,
    SKIPPED_ROLL_BACK,
    UNCOUNTED_POP,
    SHORT_POP,
    LOST_RESUME,
    LOST_READY,
    UNCOUNTED_DROP,
    LOST_LETTER,
    LEAKED_INSTANCE,
    RING_ROOM,
    LOST_REQUEST,
    RESTLESS_PAUSE,
    WRONG_ORDER,
    UNFAIR_QUANTUM,
    KEPT_SEAT,
    MIXED_STATE,
    FREE_RIDE,
    FREE_TIME,
    UNEQUAL_FLOWS,
    SAVED_TIME,
    MUTANT_COUNT,
} mutant;

static const char *const names[MUTANT_COUNT] = {
    [NONE] = "none",
    [LOST_NOTIFICATION] = "lost-notification", // a flow is not woken by what its connectors do
    [LOST_TIMER] = "lost-timer",               // nor by its timer
    [LOST_CREDIT] = "lost-credit",             // a flow of the lowest class never gets its turn
    [LOST_RECORD] = "lost-record",             // an emit that does nothing
    [DOUBLED_RECORD] = "doubled-record",
    [DAMAGED_RECORD] = "damaged-record",
    [SKIPPED_ROLL_BACK] = "skipped-roll-back", // the output of a record at fault stays
    [UNCOUNTED_POP] = "uncounted-pop",
    [SHORT_POP] = "short-pop",     // one record of a batch is delivered again
    [LOST_RESUME] = "lost-resume", // a paused connector is not told of room
    [LOST_READY] = "lost-ready",   // nor one of records to take
    [UNCOUNTED_DROP] = "uncounted-drop",
    [LOST_LETTER] = "lost-letter",
    [LEAKED_INSTANCE] = "leaked-instance",
    [RING_ROOM] = "ring-room", // one record more than the queue may hold
    [LOST_REQUEST] = "lost-request",
    [WRONG_ORDER] = "wrong-order",       // a lower class has its turn first
    [UNFAIR_QUANTUM] = "unfair-quantum", // a class gets an eighth more than its share
    [KEPT_SEAT] = "kept-seat",           // a shared instance is not given back
    [MIXED_STATE] = "mixed-state",       // a flow begins with what another one has kept
    [FREE_RIDE] = "free-ride",           // half of the batches does not count for the rate
    [FREE_TIME] = "free-time",           // lower classes have theirs for nothing
    [UNEQUAL_FLOWS] = "unequal-flows",   // and flows within one
    [SAVED_TIME] = "saved-time",         // a class that was idle makes up for a second
    [RESTLESS_PAUSE] = "restless-pause", // a turn of a paused flow that is like any other
};

static mutant active;
static uint32_t calls;

bool sim_mutant_set(const char *name) {
    for (int i = 0; i < MUTANT_COUNT; i++) {
        if (strcmp(names[i], name) != 0) continue;
        active = (mutant)i;
        return true;
    }
    return false;
}

size_t sim_mutant_count(void) { return MUTANT_COUNT; }
const char *sim_mutant_name(size_t index) { return names[index]; }

// Whether it shows now: at every `period`th call.
static bool shows(mutant wanted, uint32_t period) { return active == wanted && ++calls % period == 0; }

// ---- shares -------------------------------------------------------------------------------------------------

tv_class __wrap_tv_fair_due(const tv_fair *fair) {
    tv_class due = __real_tv_fair_due(fair);
    if (due == TV_CLASS_COUNT || !shows(WRONG_ORDER, 3)) return due;
    while (due + 1 < TV_CLASS_COUNT && fair->classes[due + 1].weight)
        due++;
    return due;
}

void __wrap_tv_fair_charge(tv_fair *fair, tv_class class, int64_t used_ns, uint32_t records) {
    bool is_free = active == FREE_TIME && class != TV_CLASS_CRITICAL;
    if (active == UNFAIR_QUANTUM && class == TV_CLASS_HIGH) records -= records / 8;
    __real_tv_fair_charge(fair, class, is_free ? 0 : used_ns, records);
}

int64_t __wrap_tv_fair_flow_used(int64_t at, uint32_t quantum, int64_t used_ns) {
    return active == UNEQUAL_FLOWS ? at : __real_tv_fair_flow_used(at, quantum, used_ns);
}

void __wrap_tv_fair_join(tv_fair *fair, tv_class class, uint32_t quantum) {
    bool is_back = fair->classes[class].weight == 0;
    __real_tv_fair_join(fair, class, quantum);
    if (is_back && active == SAVED_TIME) fair->classes[class].time -= 16000000000;
}

// ---- wake-ups and turns -------------------------------------------------------------------------------------

void __wrap_tv_flow_notify(void *flow) {
    if (!shows(LOST_NOTIFICATION, 31)) __real_tv_flow_notify(flow);
}

bool __wrap_tv_flow_turn(tv_flow *flow, int64_t now_ns) {
    if (active == LOST_CREDIT && flow->spec->class == TV_CLASS_BACKGROUND && flow->turns > 20) {
        return flow->spent = true;
    }
    bool is_restless = atomic_load(&flow->pause_wanted) && shows(RESTLESS_PAUSE, 3);
    if (is_restless) atomic_store(&flow->pause_wanted, false);
    bool moved = __real_tv_flow_turn(flow, now_ns);
    if (is_restless) atomic_store(&flow->pause_wanted, true);
    if (flow->deadline_ns != INT64_MAX && shows(LOST_TIMER, 31)) flow->deadline_ns = INT64_MAX;
    return moved;
}

void __wrap_tv_flow_run_requests(tv_flow *flow) {
    if (!shows(LOST_REQUEST, 3)) __real_tv_flow_run_requests(flow);
}

// ---- edges --------------------------------------------------------------------------------------------------

tv_pushed __wrap_tv_edge_push(tv_edge *edge, const tv_emit *emit, const tv_record *input, uint32_t size,
                              uint32_t inherited_bytes) {
    tv_ring *ring = tv_edge_ring(edge);
    if (active == RING_ROOM && edge->kind == TV_EDGE_INSIDE && ring->capacity_records == 2) ring->capacity_records = 3;
    if (emit->kind == TV_KIND_DATA && shows(LOST_RECORD, 501)) return TV_PUSHED;
    tv_pushed pushed = __real_tv_edge_push(edge, emit, input, size, inherited_bytes);
    if (pushed == TV_PUSHED && emit->kind == TV_KIND_DATA && shows(DOUBLED_RECORD, 501))
        (void)__real_tv_edge_push(edge, emit, input, size, inherited_bytes);
    if (pushed == TV_PUSHED && emit->payload_bytes && shows(DAMAGED_RECORD, 501)) {
        uint32_t end = ring->staged & (ring->capacity_bytes - 1);
        if (end >= size) ring->bytes[end - size + sizeof(tv_record) + 5] ^= 1;
    }
    return pushed;
}

void __wrap_tv_edge_roll_back(tv_edge *edge, uint32_t mark, uint32_t newest) {
    if (!shows(SKIPPED_ROLL_BACK, 3)) __real_tv_edge_roll_back(edge, mark, newest);
}

void __wrap_tv_edge_pop(tv_edge *edge, uint32_t records, uint32_t control, uint32_t bytes, uint64_t last_sequence) {
    __real_tv_edge_pop(edge, records, control, bytes, last_sequence);
    if (shows(UNCOUNTED_POP, 501)) edge->popped--;
}

void __wrap_tv_frame_pop(tv_call_frame *frame, uint32_t count) {
    __real_tv_frame_pop(frame, count > 1 && shows(SHORT_POP, 101) ? count - 1 : count);
}

// ---- channels -----------------------------------------------------------------------------------------------

void __wrap_tv_channel_popped(tv_channel *channel, uint64_t sequence) {
    if (!shows(LOST_RESUME, 7)) __real_tv_channel_popped(channel, sequence);
}

void __wrap_tv_channel_publish_output(tv_channel *channel) {
    if (!shows(LOST_READY, 7)) {
        __real_tv_channel_publish_output(channel);
        return;
    }
    atomic_store(&channel->tail_count, channel->ring.staged_count);
    (void)tv_ring_commit(&channel->ring);
}

uint64_t __wrap_tv_channel_drop_oldest(tv_channel *channel) {
    uint64_t dropped = __real_tv_channel_drop_oldest(channel);
    if (dropped && shows(UNCOUNTED_DROP, 3)) atomic_fetch_sub(&channel->dropped[TV_DROP_OLDEST], 1);
    return dropped;
}

// ---- letters and instances ----------------------------------------------------------------------------------

void __wrap_tv_dead_letter_write(tv_call_frame *frame, const tv_record *record, const char *reason,
                                 size_t reason_length, const tv_fault *fault) {
    if (!shows(LOST_LETTER, 31)) __real_tv_dead_letter_write(frame, record, reason, reason_length, fault);
}

void __wrap_tv_instance_free(tv_instance *instance) {
    if (!shows(LEAKED_INSTANCE, 101)) __real_tv_instance_free(instance);
}

void __wrap_tv_budget_take(tv_flow *flow, uint64_t records, uint64_t bytes, int64_t now_ns) {
    __real_tv_budget_take(flow, shows(FREE_RIDE, 2) ? 0 : records, bytes, now_ns);
}

// ---- shared instances ---------------------------------------------------------------------------------------

void __wrap_tv_pool_give_back(tv_stage *stage) {
    if (shows(KEPT_SEAT, 31)) {
        stage->more = true; // as if output waited inside
        __real_tv_pool_give_back(stage);
        stage->more = false;
        return;
    }
    __real_tv_pool_give_back(stage);
    tv_seat *seat = &stage->flow->seats[stage->index];
    if (seat->state && shows(MIXED_STATE, 31)) seat->state[0] ^= 1;
}
