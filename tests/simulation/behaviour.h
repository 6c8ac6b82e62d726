// What a simulated component does with a record: a pure function of the record and of the stage's profile, computed
// alike inside the component (actor.c) and by the model that knows what has to arrive (model.c).
//
// Whatever else a component does (keeping output back, setting timers, taking long) must not change its output; so the
// model needs to know nothing of batches, rings or time.
#ifndef TORVYN_SIMULATION_BEHAVIOUR_H
#define TORVYN_SIMULATION_BEHAVIOUR_H

#include <stdint.h>

enum {
    SIM_MAGIC = 0x51317541,
    SIM_COPIES_MAX = 5,
    SIM_PORTS = 3,
    SIM_DICE = 4096,       // weights of a profile are of this
    SIM_BY_STAGE = 0x8000, // of `source`: made by a stage itself, by a timer, at the end or as a source
    SIM_FILLER_MAX = 300,
};

// The head of every payload; `filler_bytes` bytes of value `seed` follow.
typedef struct sim_payload {
    uint32_t magic;
    uint32_t flow;        // serial number
    uint32_t source;      // number of its input channel, or SIM_BY_STAGE | stage
    uint32_t incarnation; // of a stage that made it
    uint32_t sequence;    // from 1, of its source (and incarnation)
    uint32_t seed;        // decides what happens to it
    uint32_t path;        // hash of inputs, stages, ports and copies it came by
    uint32_t filler_bytes;
    uint32_t check; // hash of all that
    uint32_t reserved;
} sim_payload;

// A stage's temper. Weights in SIM_DICE; given to the component as numbers in its configuration, in this order.
typedef struct sim_profile {
    uint32_t salt; // of the stage, never 0
    uint32_t stage, flow;
    // What becomes of a record; the first one the dice hits.
    uint32_t trap, trap_late, spin, reject, reject_late, swallow, amplify;
    // What it does besides.
    uint32_t burn_short, burn_long, hold, timer, watermark, grow;
    uint32_t filler_bytes_max;
    uint32_t timer_us;     // delay of its timers
    uint32_t tick_emits;   // a timer emits so many records
    uint32_t close_emits;  // and so many at the end
    uint32_t source_total; // a source ends after so many records
    uint32_t source_burst; // at most so many a call
    uint32_t one_port;     // all goes to port 0
} sim_profile;
enum { SIM_PROFILE_NUMBERS = sizeof(sim_profile) / sizeof(uint32_t) };

typedef enum sim_outcome {
    SIM_PASS, // emitted, `copies` times; swallowed if that is 0
    SIM_TRAP, // with `late`: behind its output, which is then taken back
    SIM_SPIN,
    SIM_REJECT,
} sim_outcome;

typedef struct sim_act {
    sim_outcome outcome;
    uint32_t late;
    uint32_t copies;
    uint32_t burns; // clock readings, each of which takes virtual time
    uint32_t hold, timer, watermark, grow;
} sim_act;

static inline uint32_t sim_mix(uint32_t a, uint32_t b) {
    uint32_t h = a * 0x9e3779b1u ^ (b + 0x7f4a7c15u) * 0x85ebca6bu;
    h ^= h >> 15;
    h *= 0x2c1b3c6du;
    return h ^ h >> 13;
}

static inline uint32_t sim_check_of(const sim_payload *p) {
    uint32_t h = sim_mix(p->flow, p->source);
    h = sim_mix(h, p->incarnation);
    h = sim_mix(h, p->sequence);
    h = sim_mix(h, p->seed);
    h = sim_mix(h, p->path);
    return sim_mix(h, p->filler_bytes);
}

// Whether the dice hits a weight; what it is less of it stays for the next.
static inline int sim_hit(uint32_t *dice, uint32_t weight) {
    if (*dice < weight) return 1;
    *dice -= weight;
    return 0;
}

static inline void sim_choose_outcome(const sim_profile *profile, uint32_t hash, sim_act *act) {
    uint32_t dice = hash % SIM_DICE;
    act->copies = 1 + (hash >> 20) % SIM_COPIES_MAX; // what a record at fault had emitted before, too
    if (sim_hit(&dice, profile->trap)) {
        act->outcome = SIM_TRAP;
    } else if (sim_hit(&dice, profile->trap_late)) {
        act->outcome = SIM_TRAP;
        act->late = 1;
    } else if (sim_hit(&dice, profile->spin)) {
        act->outcome = SIM_SPIN;
        act->late = hash >> 31;
    } else if (sim_hit(&dice, profile->reject)) {
        act->outcome = SIM_REJECT;
    } else if (sim_hit(&dice, profile->reject_late)) {
        act->outcome = SIM_REJECT;
        act->late = 1;
    } else if (sim_hit(&dice, profile->swallow)) {
        act->copies = 0;
    } else if (!sim_hit(&dice, profile->amplify)) {
        act->copies = 1;
    }
}

// What a stage does with a record. What a stage made of its own accord passes all the others untouched.
static inline sim_act sim_act_of(const sim_profile *profile, const sim_payload *payload) {
    sim_act act = {SIM_PASS, 0, 1, 0, 0, 0, 0, 0};
    if (payload->source & SIM_BY_STAGE) return act;
    uint32_t hash = sim_mix(payload->seed, profile->salt);
    sim_choose_outcome(profile, hash, &act);
    uint32_t side = sim_mix(hash, 77) % SIM_DICE;
    if (sim_hit(&side, profile->burn_short)) act.burns = 1 + (hash >> 8) % 8;
    if (!act.burns && sim_hit(&side, profile->burn_long)) act.burns = 45;
    if (act.outcome != SIM_PASS) return act;
    side = sim_mix(hash, 78) % SIM_DICE;
    act.hold = (uint32_t)sim_hit(&side, profile->hold);
    side = sim_mix(hash, 79) % SIM_DICE;
    act.timer = (uint32_t)sim_hit(&side, profile->timer);
    if (!act.timer) act.watermark = (uint32_t)sim_hit(&side, profile->watermark);
    if (!act.timer && !act.watermark) act.grow = (uint32_t)sim_hit(&side, profile->grow);
    return act;
}

// Copy `copy` of what a stage makes of a record that came by input `input`. Returns the port it leaves by.
static inline uint32_t sim_output_of(const sim_profile *profile, const sim_payload *in, uint32_t input, uint32_t copy,
                                     sim_payload *out) {
    *out = *in;
    uint32_t port = profile->one_port ? 0 : sim_mix(in->seed + copy, profile->salt + 1) % SIM_PORTS;
    out->path = sim_mix(sim_mix(in->path, input), sim_mix(profile->salt, port * 16 + copy));
    out->seed = sim_mix(in->seed, 1000 + copy);
    out->filler_bytes = sim_mix(out->seed, 5) % (profile->filler_bytes_max + 1);
    out->check = sim_check_of(out);
    return port;
}

#endif
