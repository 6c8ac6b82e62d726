// See fair.h.
//
// Where records cost the same, the two clocks go together and the clock of records decides, exactly. A class whose
// records are cheaper than a lower one's is ahead in records and gets its share of time; one whose records are dearer
// is ahead in time and gets its share of records. What it is ahead on the other clock is forgotten beyond a little, or
// a change of costs would find a debt of hours.
#include "flow/fair.h"

#include "base/assert.h"

#define MS_NS 1000000ll
enum {
    TIME_FRACTION = 16,
    BANK_NS = 10000000, // CPU time that a class which had nothing to do may catch up on
    SLICE_NS = 2000000, // how far a flow may be ahead of its class, and a class on the clock that does not decide
    LEAD_QUANTA = 2,    // the same in records
    HUNGRY_NS = 250000000,
    COST_WINDOW_NS = 10000000 // CPU time from which costs are known; older ones count half
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t span(int64_t ns, uint64_t weight) { return ns * TIME_FRACTION / (int64_t)weight; }
static bool is_busy(const tv_fair_class *class) { return class->weight > 0; }

// ---- who has something to do --------------------------------------------------------------------------------

void tv_fair_join(tv_fair *fair, tv_class class, uint32_t quantum) {
    tv_fair_class *it = &fair->classes[class];
    if (!is_busy(it)) {
        it->quanta = most(it->quanta, fair->quanta - TV_FAIR_QUANTUM);
        it->time = most(it->time, fair->time - span(BANK_NS, quantum));
        it->waits_ns = 0;
    }
    it->weight += quantum;
}

void tv_fair_leave(tv_fair *fair, tv_class class, uint32_t quantum) {
    TV_ASSERT(fair->classes[class].weight >= quantum);
    fair->classes[class].weight -= quantum;
}

void tv_fair_rest(tv_fair *fair) {
    for (int i = 0; i < TV_CLASS_COUNT; i++) {
        tv_fair_class *it = &fair->classes[i];
        it->quanta = least(it->quanta, fair->quanta);
        it->time = least(it->time, fair->time);
    }
}

// ---- decisions ----------------------------------------------------------------------------------------------

// Whether the lower class's records cost at most a quarter more. A turn costs something beside its records, which small
// quanta feel more: without this margin equal records would not get equal shares.
static bool costs_alike(const tv_fair_class *high, const tv_fair_class *low) {
    if (!high->cost_256ths || !low->cost_256ths) return false;
    return low->cost_ns * high->cost_256ths / 5 <= high->cost_ns * low->cost_256ths / 4;
}

static bool waits_for(const tv_fair_class *high, const tv_fair_class *low) {
    return high->quanta > low->quanta && (high->time >= low->time || costs_alike(high, low));
}

bool tv_fair_is_hungry(const tv_fair *fair, tv_class class) {
    const tv_fair_class *it = &fair->classes[class];
    if (!is_busy(it) || it->waits_ns < HUNGRY_NS) return false;
    for (int i = 0; i < (int)class; i++)
        if (is_busy(&fair->classes[i]) && fair->classes[i].time >= it->time) return true;
    return false;
}

// From the lowest up, so that one has its turn only if all higher ones are ahead of it.
tv_class tv_fair_due(const tv_fair *fair) {
    int due = TV_CLASS_COUNT;
    for (int i = 0; i < TV_CLASS_COUNT; i++)
        if (tv_fair_is_hungry(fair, (tv_class)i)) return (tv_class)i;
    for (int i = TV_CLASS_COUNT - 1; i >= 0; i--) {
        if (!is_busy(&fair->classes[i])) continue;
        if (due == TV_CLASS_COUNT || !waits_for(&fair->classes[i], &fair->classes[due])) due = i;
    }
    return (tv_class)due;
}

bool tv_fair_preempts(const tv_fair *fair, tv_class lower) {
    const tv_fair_class *critical = &fair->classes[TV_CLASS_CRITICAL];
    return is_busy(critical) && !waits_for(critical, &fair->classes[lower]);
}

// ---- charging -----------------------------------------------------------------------------------------------

static void note_cost(tv_fair_class *it, int64_t used_ns, uint32_t records) {
    it->cost_ns += used_ns;
    it->cost_256ths += (int64_t)records * 256;
    while (it->cost_ns > COST_WINDOW_NS) {
        it->cost_ns /= 2;
        it->cost_256ths /= 2;
    }
}

// What a higher class is behind in time though its records cost as much is no claim.
static void forgive_alike(tv_fair *fair, tv_class class) {
    const tv_fair_class *low = &fair->classes[class];
    for (int i = 0; i < (int)class; i++) {
        tv_fair_class *high = &fair->classes[i];
        if (is_busy(high) && high->time < low->time && costs_alike(high, low)) high->time = low->time;
    }
}

// Of what a class is ahead of the lower ones, they keep as a claim what its last turn can explain. They are moved
// together: what they owe each other stays.
static void forget_lead(tv_fair *fair, tv_class class, int64_t used_ns) {
    const tv_fair_class *high = &fair->classes[class];
    int64_t quanta = INT64_MIN, time = INT64_MIN; // of the one that is farthest
    for (int i = (int)class + 1; i < TV_CLASS_COUNT; i++) {
        const tv_fair_class *low = &fair->classes[i];
        if (!is_busy(low)) continue;
        quanta = most(quanta, low->quanta);
        time = most(time, low->time);
    }
    if (quanta == INT64_MIN) return;
    int64_t by_quanta = most(0, high->quanta - LEAD_QUANTA * TV_FAIR_QUANTUM - quanta);
    int64_t by_time = most(0, high->time - 2 * span(most(used_ns, SLICE_NS), high->weight) - time);
    for (int i = (int)class + 1; i < TV_CLASS_COUNT; i++) {
        fair->classes[i].quanta += is_busy(&fair->classes[i]) ? by_quanta : 0;
        fair->classes[i].time += is_busy(&fair->classes[i]) ? by_time : 0;
    }
}

static void advance(tv_fair *fair) {
    int64_t quanta = INT64_MAX, time = INT64_MAX;
    for (int i = 0; i < TV_CLASS_COUNT; i++) {
        const tv_fair_class *it = &fair->classes[i];
        if (!is_busy(it)) continue;
        quanta = least(quanta, it->quanta);
        time = least(time, it->time);
    }
    fair->time = most(fair->time, time);
    if (quanta <= fair->quanta) return;
    fair->cycles += (uint64_t)(quanta / TV_FAIR_QUANTUM - fair->quanta / TV_FAIR_QUANTUM);
    fair->quanta = quanta;
}

void tv_fair_charge(tv_fair *fair, tv_class class, int64_t used_ns, uint32_t records) {
    tv_fair_class *it = &fair->classes[class];
    TV_ASSERT(is_busy(it));
    it->quanta += (int64_t)records * TV_FAIR_QUANTUM / (int64_t)it->weight;
    it->time += span(used_ns, it->weight);
    it->own += span(used_ns, it->weight);
    for (int i = 0; i < TV_CLASS_COUNT; i++)
        fair->classes[i].waits_ns = i == (int)class ? 0 : fair->classes[i].waits_ns + used_ns;
    note_cost(it, used_ns, records);
    forgive_alike(fair, class);
    forget_lead(fair, class, used_ns);
    advance(fair);
}

// ---- flows of a class ---------------------------------------------------------------------------------------

int64_t tv_fair_flow_returns(const tv_fair *fair, tv_class class, uint32_t quantum, int64_t at) {
    return most(at, fair->classes[class].own - span(SLICE_NS, quantum));
}

int64_t tv_fair_flow_used(int64_t at, uint32_t quantum, int64_t used_ns) { return at + span(used_ns, quantum); }

bool tv_fair_flow_is_ahead(const tv_fair *fair, tv_class class, uint32_t quantum, int64_t at) {
    return at > fair->classes[class].own + span(SLICE_NS, quantum);
}

void tv_fair_all_ahead(tv_fair *fair, tv_class class, int64_t least_at) {
    fair->classes[class].own = most(fair->classes[class].own, least_at);
}
