// A world in which every input is always full and every output always empty: then nothing but the scheduler decides
// who gets how much. Where all records cost the same, each flow gets its quantum in each cycle, exactly. Where they do
// not, a class has at least the share of a lower one both in records and in time, flows of a class are equal in time,
// and nobody goes without for a second.
#include "sim.h"

enum { WARM_UP_CYCLES = 4, CYCLES_MIN = 12, TOLERANCE_PERCENT = 5 };
#define MS_NS      1000000ll
#define WARM_UP_NS (500 * MS_NS) // in which costs become known
#define SECOND_NS  (1000 * MS_NS)
#define DEAREST_NS (12 * MS_NS) // most that one turn may take beyond its time

// What a flow, or all of a class on one worker, had since the measurement began.
typedef struct share {
    uint64_t records;
    int64_t busy_ns;
    uint64_t weight; // sum of quanta
} share;

typedef struct begin {
    bool is_known;
    uint64_t cycle, moves;
    share had;
} begin;

static share had_by(const sim_flow *made) {
    share had = {.records = tv_stage_input(&made->flow->stages[0], 0)->popped, .weight = made->flow->quantum};
    for (size_t i = 0; i < made->spec.stage_count; i++)
        had.busy_ns += made->flow->stages[i].busy_ns;
    return had;
}

static share had_since(const sim_flow *made, const begin *at) {
    share had = had_by(made);
    had.records -= at->had.records;
    had.busy_ns -= at->had.busy_ns;
    return had;
}

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

// ---- equal costs --------------------------------------------------------------------------------------------

// Flows of a class are equal in time, but for a turn or two: so many records.
static uint64_t records_of_a_turn(const share *had) {
    return had->busy_ns ? (uint64_t)((double)had->records * (double)(4 * MS_NS) / (double)had->busy_ns) : 0;
}

static void check_quanta(simulation *sim, const sim_flow *made, const begin *at) {
    share had = had_since(made, at);
    uint64_t cycles = made->flow->worker->fair.cycles - at->cycle, due = cycles * made->flow->quantum;
    uint64_t slack = due * TOLERANCE_PERCENT / 100 + 2ull * made->flow->quantum + records_of_a_turn(&had);
    if (cycles < CYCLES_MIN || (had.records + slack >= due && had.records <= due + slack)) return;
    sim_fail(sim, "flow %s (%s) took %llu records in %llu cycles of %u", made->name, tv_class_name(made->spec.class),
             (unsigned long long)had.records, (unsigned long long)cycles, made->flow->quantum);
}

// ---- different costs ----------------------------------------------------------------------------------------

static void add(share *sum, const share *more) {
    sum->records += more->records;
    sum->busy_ns += more->busy_ns;
    sum->weight += more->weight;
}

// Time and records for each record of quantum, with what a turn or two make of it.
static double time_of(const share *had, int64_t slack_ns) {
    return (double)(had->busy_ns + slack_ns) / (double)had->weight;
}

static double quanta_of(const share *had, double slack) { return (double)had->records / (double)had->weight + slack; }

static void check_classes(simulation *sim, const share *classes) {
    for (int high = 0; high < TV_CLASS_COUNT; high++) {
        for (int low = high + 1; low < TV_CLASS_COUNT; low++) {
            const share *a = &classes[high], *b = &classes[low];
            if (!a->weight || !b->weight) continue;
            if (quanta_of(a, 3) < 0.95 * quanta_of(b, 0))
                sim_fail(sim, "class %s took %.1f quanta, %s %.1f", tv_class_name((tv_class)high), quanta_of(a, 0),
                         tv_class_name((tv_class)low), quanta_of(b, 0));
            // Costs that differ by a quarter are the same, and what a class costs is known from its last records only.
            if (time_of(a, DEAREST_NS) < 0.6 * time_of(b, -10 * DEAREST_NS))
                sim_fail(sim, "class %s had %.0f us a record of quantum, %s %.0f us", tv_class_name((tv_class)high),
                         time_of(a, 0) / 1000, tv_class_name((tv_class)low), time_of(b, 0) / 1000);
        }
    }
}

static void check_equal(simulation *sim, const sim_flow *a, const share *had_a, const sim_flow *b, const share *had_b) {
    if (time_of(had_a, 4 * DEAREST_NS) >= 0.9 * time_of(had_b, -4 * DEAREST_NS)) return;
    sim_fail(sim, "flows %s and %s (%s) had %.0f and %.0f us a record of quantum", a->name, b->name,
             tv_class_name(a->spec.class), time_of(had_a, 0) / 1000, time_of(had_b, 0) / 1000);
}

static bool stays(const simulation *sim, uint32_t flow, uint32_t worker, const begin *begins) {
    const tv_flow *it = sim->flows[flow]->flow;
    return it->worker->index == worker && begins[flow].is_known && begins[flow].moves == it->moves;
}

static void check_times(simulation *sim, uint32_t worker, const begin *begins) {
    share classes[TV_CLASS_COUNT] = {0};
    for (uint32_t i = 0; i < sim->flow_count; i++) {
        if (!stays(sim, i, worker, begins)) return;
        const sim_flow *made = sim->flows[i];
        share had = had_since(made, &begins[i]);
        add(&classes[made->flow->class], &had);
        for (uint32_t k = 0; k < sim->flow_count; k++) {
            if (sim->flows[k]->flow->class != made->flow->class) continue;
            share other = had_since(sim->flows[k], &begins[k]);
            check_equal(sim, made, &had, sim->flows[k], &other);
        }
    }
    check_classes(sim, classes);
}

// ---- the world ----------------------------------------------------------------------------------------------

static void step(simulation *sim) {
    fill_and_empty(sim);
    for (uint32_t i = 0; i < sim->workers; i++)
        (void)sim_worker_step(sim, i);
    sim_serve_io(sim);
}

static bool is_warm(const simulation *sim, const sim_flow *made, int64_t begun_ns) {
    if (!sim->equal_costs) return sim->now_ns - begun_ns > WARM_UP_NS;
    return made->flow->worker->fair.cycles > WARM_UP_CYCLES;
}

static void note_begins(simulation *sim, begin *begins, int64_t begun_ns) {
    for (uint32_t i = 0; i < sim->flow_count; i++) {
        const sim_flow *made = sim->flows[i];
        if (begins[i].is_known || !is_warm(sim, made, begun_ns)) continue;
        begins[i] = (begin){true, made->flow->worker->fair.cycles, made->flow->moves, had_by(made)};
    }
}

static void check_quanta_of_all(simulation *sim, const begin *begins) {
    for (uint32_t i = 0; i < sim->flow_count; i++) {
        // Another worker's cycles are not its own.
        if (!begins[i].is_known || begins[i].moves != sim->flows[i]->flow->moves) continue;
        check_quanta(sim, sim->flows[i], &begins[i]);
        sim->seen[SIM_SEEN_SHARE]++;
    }
}

// Each second something comes of each class, unless it has had more than its share and pays it back.
typedef struct watch {
    int64_t next_ns;
    uint64_t records[TV_CLASS_COUNT];
} watch;

static void sum_records(const simulation *sim, watch *sums) {
    for (uint32_t i = 0; i < sim->flow_count; i++)
        sums->records[sim->flows[i]->flow->class] += had_by(sim->flows[i]).records;
}

static bool has_overdrawn(const tv_fair *fair, int class) {
    for (int higher = 0; higher < class; higher++)
        if (fair->classes[higher].weight > 0 && fair->classes[higher].time >= fair->classes[class].time) return false;
    return class > 0;
}

static void check_second(simulation *sim, watch *before) {
    watch now = {.next_ns = sim->now_ns + SECOND_NS};
    if (sim->equal_costs || sim->options.loose_times || sim->workers > 1 || sim->now_ns < before->next_ns) return;
    sum_records(sim, &now);
    for (int class = 0; class < TV_CLASS_COUNT; class ++)
        if (before->next_ns && now.records[class] && now.records[class] == before->records[class] &&
            !has_overdrawn(&sim->flows[0]->flow->worker->fair, class))
            sim_fail(sim, "class %s took nothing for a second", tv_class_name((tv_class) class));
    *before = now;
}

void sim_saturate(simulation *sim) {
    begin begins[SIM_FLOWS_MAX] = {0};
    watch second = {0};
    int64_t begun_ns = sim->now_ns;
    sim->doing = "saturated";
    for (; sim->step < sim->step_limit; sim->step++) {
        sim->total_steps++;
        step(sim);
        note_begins(sim, begins, begun_ns);
        check_second(sim, &second);
    }
    if (sim->equal_costs) {
        check_quanta_of_all(sim, begins);
    } else if (sim->workers == 1 && !sim->options.loose_times) {
        check_times(sim, 0, begins);
        sim->seen[SIM_SEEN_TIME_SHARE]++;
    }
}
