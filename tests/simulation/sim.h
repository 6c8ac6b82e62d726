// A deterministic simulation of the flow runtime: one thread, a virtual clock, workers that are stepped by hand.
//
// Every decision comes from one seed, so a seed and a number of steps are a whole run: the same events in the same
// order, which the hash of them shows. A run is a row of worlds: each a runtime with random flows, simulated
// connectors at their channels and components that misbehave; each is torn down and must leave nothing behind. World
// number n of seed s is world number 0 of seed s + n, so a failure is replayed from its own world on.
#ifndef TORVYN_SIMULATION_SIM_H
#define TORVYN_SIMULATION_SIM_H

#include "behaviour.h"
#include "flow/flow_internal.h"

enum {
    SIM_WORKERS_MAX = 3,
    SIM_FLOWS_MAX = 24,
    SIM_STAGES_MAX = 5,
    SIM_INPUTS_MAX = 3,  // channels of a flow
    SIM_OUTPUTS_MAX = 6, // channels of a flow
    SIM_PROFILE_TEXT_BYTES = 256,
    SIM_PATHS_MAX = 512, // a power of two
    SIM_WORLD_STEPS_MIN = 500,
    SIM_WORLD_STEPS_MAX = 25000,
    SIM_SATURATED_STEPS_MAX = 2500, // in which much more happens
};

// What a run may contain; shrinking takes them away one by one.
enum sim_feature {
    SIM_FAULTS = 1,          // components trap, reject, spin
    SIM_DROPS = 2,           // overflow policies other than block, records that are too large
    SIM_BURN = 4,            // records that take long
    SIM_TIMERS = 8,          // timers, and records at the end
    SIM_HOLD = 16,           // output kept back, amplified, swallowed
    SIM_FAN = 32,            // several inputs and outputs
    SIM_SOURCES = 64,        // stages without input
    SIM_FAILURES = 128,      // flows that fail by policy
    SIM_OPERATIONS = 256,    // what is asked of running flows
    SIM_SATURATION = 512,    // worlds in which all inputs are always full
    SIM_INTERLEAVING = 1024, // others act while a component is being called
    SIM_SHARING = 2048,      // stages of many flows have one instance
    SIM_BUDGETS = 4096,      // CPU time, records and bytes a second
    SIM_TAPS = 8192,
    SIM_ALL_FEATURES = 16383,
};

enum sim_actor { SIM_ACTOR_OWN, SIM_ACTOR_STATELESS, SIM_ACTOR_KEYED, SIM_ACTORS };
enum { SIM_SHARED_PROFILES = 4 };

typedef struct sim_options {
    uint64_t seed;
    uint64_t steps;
    uint32_t flows;    // at most
    uint32_t features; // sum of enum sim_feature
    const char *mutant;
    bool trace;       // print every event
    bool with_guards; // guest memories with guard pages; else compact ones
    bool loose_times; // where records cost differently, the shares of time are not checked (docs/testing.md)
} sim_options;

// What happened in a run: the suite wants to have seen all of it.
typedef enum sim_seen {
    SIM_SEEN_ENDED,
    SIM_SEEN_FAILED,
    SIM_SEEN_TRAP,
    SIM_SEEN_CPU,
    SIM_SEEN_REJECTED,
    SIM_SEEN_RESTART,
    SIM_SEEN_LETTER,
    SIM_SEEN_DROP_OLDEST,
    SIM_SEEN_DROP_NEWEST,
    SIM_SEEN_DROP_TOO_LARGE,
    SIM_SEEN_WATERMARK,
    SIM_SEEN_OWN_RECORD,
    SIM_SEEN_EXACT, // flows of which every record was expected and came
    SIM_SEEN_REMOVED_NOW,
    SIM_SEEN_REMOVED_DRAINED,
    SIM_SEEN_SHARE,
    SIM_SEEN_TIME_SHARE,
    SIM_SEEN_INTERLEAVED,
    SIM_SEEN_POOL_WAIT,
    SIM_SEEN_TRIM,
    SIM_SEEN_TAPPED,
    SIM_SEEN_MOVED,
    SIM_SEEN_NESTED,
    SIM_SEEN_THROTTLED_CPU,
    SIM_SEEN_THROTTLED_RATE,
    SIM_SEEN_DEMOTED,
    SIM_SEEN_COUNT,
} sim_seen;
const char *sim_seen_name(sim_seen what);

// ---- connectors at the channels -----------------------------------------------------------------------------

// The newest sequence number seen of what came by one path: only greater ones may follow.
typedef struct sim_path {
    uint32_t path, source, incarnation, sequence;
} sim_path;

typedef struct sim_input {
    tv_channel *channel;
    uint32_t number;   // of the channel in the flow
    uint16_t stage;    // that reads it
    uint32_t edge;     // of the flow
    uint32_t port;     // index among the inputs of that stage
    uint32_t sequence; // of the newest message that was accepted
    uint64_t released; // newest seen
    int64_t event_time_ns;
    bool waits; // was told AGAIN: only `ready` may wake it
    bool ended;
} sim_input;

typedef struct sim_output {
    tv_channel *channel;
    uint32_t number;
    bool awake; // has records to take, as far as it knows
    bool ended; // saw the end
    uint64_t arrived, expected;
    uint64_t arrived_sum, expected_sum; // of records' hashes, in any order
    uint64_t arrived_own;               // of stages, not of inputs: not expected by the model
    uint32_t path_count;
    sim_path paths[SIM_PATHS_MAX];
} sim_output;

// ---- flows --------------------------------------------------------------------------------------------------

typedef struct sim_flow {
    uint32_t serial;
    char name[16];
    tv_flow_spec spec;
    tv_stage_spec stages[SIM_STAGES_MAX];
    tv_edge_spec edges[TV_EDGES_MAX];
    sim_profile profiles[SIM_STAGES_MAX];
    tv_config_entry config[SIM_STAGES_MAX];
    char profile_text[SIM_STAGES_MAX][SIM_PROFILE_TEXT_BYTES];
    char stage_names[SIM_STAGES_MAX][8];
    char channel_names[TV_CHANNELS_MAX][8];
    const char *channel_name_list[TV_CHANNELS_MAX];
    tv_channel_options channel_options[TV_CHANNELS_MAX];
    tv_channel *channels[TV_CHANNELS_MAX];
    sim_input inputs[SIM_INPUTS_MAX];
    sim_output outputs[SIM_OUTPUTS_MAX];
    uint32_t input_count, output_count;
    uint32_t filler_bytes_max;
    bool may_lose; // policies or limits that drop records the model counts on
    bool may_fail; // FAILED is an end it may come to
    bool drains;
    int64_t started_ns;
    bool rate_changed;   // since then: the model does not know it
    tv_class class_seen; // after the last step
    int64_t watermarks[SIM_STAGES_MAX];
    bool paused;
    uint64_t paused_at; // progress of its stages when it was; UINT64_MAX: not known before its turn ends
    tv_removal removal; // 0: none was asked for
    uint32_t removed_calls, ended_calls;
    tv_tap *tap; // NULL: nobody watches
    bool tap_is_stopped, tap_is_off;
    uint64_t tap_taken;
    uint32_t requests_posted, requests_run, requests_refused;
    uint64_t expected_dead; // letters
    tv_flow *flow;
    // Bounded waiting and progress, as seen after the last step.
    uint64_t turns_seen;
    uint64_t queued_turns; // of its worker when it was first seen queued; UINT64_MAX: it is not
    uint64_t moves_seen;
} sim_flow;

typedef struct simulation {
    sim_options options;
    uint64_t world_seed; // of the world under way
    uint64_t random_state;
    uint64_t step, step_limit; // of this world
    uint64_t total_steps;
    uint64_t turns;    // steps that ran a turn
    uint64_t hash;     // of all events
    const char *doing; // for the message of a failure
    tv_clock clock;
    int64_t now_ns, next_tick_ns;
    uint32_t burns;   // clock readings in a row
    bool time_stands; // steps of workers take no time
    bool in_step;     // of a worker
    tv_engine *engine;
    tv_module *actors[SIM_ACTORS];
    sim_profile shared_profiles[SIM_SHARED_PROFILES]; // of stages that share an instance, of this world
    tv_memory_account memory;                         // of this world
    tv_runtime *runtime;
    uint32_t workers;
    tv_channel *letters[SIM_WORKERS_MAX];
    uint64_t letters_taken, letters_wanted; // of this world
    tv_ready_list ready;
    sim_flow *flows[SIM_FLOWS_MAX];
    uint32_t flow_count;
    uint32_t flow_limit;
    tv_fair fair;      // of the worker that has a step, before it
    uint32_t serial;   // of the newest flow of this world
    uint32_t features; // of this world
    bool saturated;
    bool equal_costs;                             // with saturated: all records cost the same
    bool crowded;                                 // many stages share few instances, and their output is always held up
    bool finishing;                               // nothing is asked of flows any more but to end
    uint64_t flows_made, records_in, records_out; // of the whole run
    uint64_t seen[SIM_SEEN_COUNT];
} simulation;

// ---- chance and trace (sim.c) -------------------------------------------------------------------------------

uint32_t sim_below(simulation *sim, uint32_t limit);
bool sim_one_in(simulation *sim, uint32_t n);
static inline bool sim_has(const simulation *sim, uint32_t feature) { return (sim->features & feature) != 0; }
// Takes an event into the hash, and prints it if asked for.
void sim_event(simulation *sim, const char *what, uint64_t a, uint64_t b);
// Prints seed, step and the command that replays them; does not return.
void sim_fail(const simulation *sim, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

// Runs the options' steps; every failure ends the process with status 1.
void sim_run(simulation *sim);

// From within a component's call: something that other threads could do at this moment.
void sim_interleave(simulation *sim);

// ---- the world (world.c) ------------------------------------------------------------------------------------

void sim_open_engine(simulation *sim);
void sim_close_engine(simulation *sim);
void sim_world_open(simulation *sim);
// Everything is gone and all memory is back, or the run fails.
void sim_world_close(simulation *sim);
void sim_advance(simulation *sim, int64_t by_ns);
// One decision of a worker. Returns whether it had something to do.
bool sim_worker_step(simulation *sim, uint32_t worker);
// Steps all workers and serves the I/O list until nobody has anything to do. Returns the steps taken.
uint64_t sim_settle(simulation *sim);
// The next timer of any worker; INT64_MAX: none.
int64_t sim_next_timer_ns(simulation *sim);

// ---- flows (build.c) ----------------------------------------------------------------------------------------

// Tempers of the stages that will share in this world.
void sim_choose_shared(simulation *sim);
// Makes and starts a random flow.
void sim_add_flow(simulation *sim);
void sim_flow_free(sim_flow *made);

// ---- saturation (saturate.c) --------------------------------------------------------------------------------

// All steps of a saturated world.
void sim_saturate(simulation *sim);

// ---- operations (operation.c) -------------------------------------------------------------------------------

// Adds a flow, or asks something of one.
void sim_operate(simulation *sim);
// Asks something of a flow.
void sim_ask(simulation *sim, sim_flow *made);
void sim_remove(simulation *sim, sim_flow *made, bool at_once);
// Flows that their workers have let go are judged, freed and forgotten: all of them, or one now and then.
void sim_retire_removed(simulation *sim, bool all);

// ---- taps (tap.c) -------------------------------------------------------------------------------------------

// Begins to watch an edge of the flow, or stops.
void sim_tap(simulation *sim, sim_flow *made);
// Takes the copies of all taps; frees those that are off. Right after the I/O list was taken.
void sim_serve_taps(simulation *sim);

// ---- connectors (connector.c) -------------------------------------------------------------------------------

// A few messages into an input, if its connector may push.
void sim_feed(simulation *sim, sim_flow *made, sim_input *input, uint32_t messages);
// The far side is broken for good.
void sim_break_input(simulation *sim, sim_flow *made, sim_input *input);
void sim_end_input(simulation *sim, sim_flow *made, sim_input *input);
// Takes at most `records_max` from an output and checks them.
void sim_take(simulation *sim, sim_flow *made, sim_output *output, uint32_t records_max);
void sim_take_letters(simulation *sim, uint32_t worker);
// The I/O thread's part: who was notified may act again.
void sim_serve_io(simulation *sim);

// ---- model (model.c) ----------------------------------------------------------------------------------------

// What has to come out for a message that an input accepted.
void sim_expect(simulation *sim, sim_flow *made, const sim_input *input, const sim_payload *payload);
// A record is what a component or connector made.
void sim_check_content(const simulation *sim, const sim_flow *made, const tv_record *record);
// One record that arrived at an output.
void sim_arrived(simulation *sim, sim_flow *made, sim_output *output, const tv_record *record);
// A flow that is over: everything that had to arrive has.
void sim_judge(simulation *sim, sim_flow *made);

// ---- invariants (check.c) -----------------------------------------------------------------------------------

// Before a worker's step: what it may choose from.
void sim_before_step(simulation *sim, uint32_t index);
// After a worker's step: books and rings of the flow that had a turn, waiting of the others.
void sim_check_step(simulation *sim, uint32_t worker);
void sim_check_flow(simulation *sim, sim_flow *made);
// Where the flow's stages stand: anything that moves changes it.
uint64_t sim_progress(const sim_flow *made);

// ---- at rest (quiet.c) --------------------------------------------------------------------------------------

// Lets everybody come to rest at one point of time; then nobody must find anything to do. Returns the steps taken.
uint64_t sim_check_quiet(simulation *sim);
// Every dead letter that was counted as written has come.
void sim_check_letters(simulation *sim);

// ---- faults of the runtime itself (mutants.c) ---------------------------------------------------------------

// Switches a fault on; false: there is none of that name.
bool sim_mutant_set(const char *name);
size_t sim_mutant_count(void);
const char *sim_mutant_name(size_t index);

#endif
