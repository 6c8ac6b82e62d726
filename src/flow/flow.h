// flow: records, queues, stages and the scheduler. Owns the tables that connectors fill in.
//
// A flow is built from a tv_flow_spec and belongs to one worker, which alone touches its stages and the rings
// between them. Channels are the rings to the I/O thread: one producer, one consumer, no lock. Everything a flow
// needs is allocated when it is made; nothing on the data path allocates.
#ifndef TORVYN_FLOW_FLOW_H
#define TORVYN_FLOW_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/option.h"
#include "base/status.h"
#include "flow/channel.h"
#include "wasm/wasm.h"

// ---- limits -------------------------------------------------------------------------------------------------

enum {
    TV_STAGES_MAX = 32, // a flow
    TV_STAGE_INPUTS_MAX = 8,
    TV_EDGES_MAX = 96,    // a flow, channels included
    TV_CHANNELS_MAX = 16, // a flow
    TV_QUEUE_BYTES_MIN = 4096,
    TV_QUEUE_RECORDS_MAX = 1 << 20,
    TV_BATCH_BYTES_MAX = 64 << 20,
};
#define TV_QUEUE_BYTES_MAX (1u << 30)

// ---- specification ------------------------------------------------------------------------------------------

typedef enum tv_class {
    TV_CLASS_CRITICAL,
    TV_CLASS_HIGH,
    TV_CLASS_NORMAL,
    TV_CLASS_BACKGROUND,
    TV_CLASS_COUNT
} tv_class;
const char *tv_class_name(tv_class class);

typedef enum tv_restart_mode { TV_RESTART, TV_RESTART_STOP } tv_restart_mode;

// What happens when an instance fails (contract 8.3).
typedef struct tv_restart_policy {
    tv_restart_mode mode;
    uint32_t limit; // most restarts within window_ns; then the flow stops
    int64_t window_ns;
    int64_t backoff_min_ns; // doubles with each restart in the window, up to backoff_max_ns; the first is immediate
    int64_t backoff_max_ns;
} tv_restart_policy;

// One line of a stage's configuration, flattened: "methods.0.kind" -> "ewma", "methods.length" -> "2", and for
// objects and lists their JSON; "" is all of it.
typedef struct tv_config_entry {
    const char *path;
    const char *value;
} tv_config_entry;

typedef struct tv_asset {
    const char *name;
    const uint8_t *bytes;
    uint64_t size;
} tv_asset;

typedef struct tv_stage_spec {
    const char *name;
    tv_module *module;          // borrowed; the flow takes its own reference. May be NULL for checking and planning.
    const tv_module_info *info; // what is known of it; NULL: what `module` says
    uint64_t memory_bytes_max;
    uint32_t batch_records_max; // 1 .. TV_BATCH_RECORDS_MAX
    uint32_t batch_bytes_max;   // at least the largest record of any input
    uint32_t grants;
    int64_t cpu_record_ns; // CPU budget of one record
    int64_t cpu_call_ns;   // of one call
    tv_restart_policy restart;
    uint32_t output_records_max;   // that one input record, a tick or the end may lead to, whatever MORE says; 0: any
    uint32_t log_lines_per_s;      // more are counted instead of written
    const tv_config_entry *config; // sorted by path
    size_t config_count;
    const tv_asset *assets;
    size_t asset_count;
    bool shared; // one instance serves such stages of many flows (contract 5.4); its component keeps no state, or keyed
                 // state
} tv_stage_spec;

enum { TV_NODE_CHANNEL = 0x8000 }; // an edge's end: stage index, or TV_NODE_CHANNEL | channel index

typedef struct tv_edge_spec {
    uint16_t from;      // stage, or channel (an input channel)
    uint16_t from_port; // of a stage; 0 for a channel
    uint16_t to;        // stage, or channel (an output channel)
    tv_overflow overflow;
    uint32_t capacity_bytes; // rounded up to a power of two
    uint32_t capacity_records;
    uint32_t record_bytes_max; // largest record, header included; at most half of capacity_bytes
    uint8_t pause_percent;     // input channels: pause the source at this fill (100)
    uint8_t resume_percent;    // and let it go on at this one (50)
} tv_edge_spec;

// The order of `edges` gives the order of a stage's inputs (contract 3.3). Any number of flows can share one; it must
// outlive them.
typedef struct tv_flow_spec {
    const char *name; // of the flows made without one of their own
    tv_class class;
    uint32_t quantum_records; // 0: by class 128/64/32/8
    int64_t turn_ns;          // longest turn; 0: 2 ms
    int64_t cycle_ns;         // most worker time in one yield cycle, the rest of the quantum is lost; 0: 500 ms
    int64_t cpu_per_s_ns;     // CPU time in a second of wall clock (token bucket); 0: no limit
    // What the flow's sources may take in (token buckets); 0: no limit. `rate_burst_ns` is what may be saved up while
    // less comes, as time at that rate (at least one record of the largest size in any case); 0: 1 s.
    uint64_t rate_records_per_s;
    uint64_t rate_bytes_per_s; // of records, headers included
    int64_t rate_burst_ns;
    int64_t idle_trim_ns; // rings and input arenas are given back to the system after this time idle; 0: never
    const tv_stage_spec *stages;
    size_t stage_count;
    const tv_edge_spec *edges;
    size_t edge_count;
    const char *const *channel_names;
    size_t channel_count;
} tv_flow_spec;

// What one flow has beside a specification that it shares with others.
typedef struct tv_stage_config {
    const tv_config_entry *entries; // sorted by path
    size_t count;
} tv_stage_config;
typedef struct tv_flow_part {
    const char *name;               // copied; NULL: the specification's
    const tv_stage_config *configs; // borrowed; for each stage, instead of the specification's; NULL: those
    // A flow that cannot start is made all the same: it has failed, and tv_flow_start_failure says at which stage.
    bool may_fail;
    // With may_fail, why `broken_stage` cannot even be tried (its code or a file is missing); NULL: it can. No
    // component of the flow is started then.
    const char *broken;
    uint16_t broken_stage;
} tv_flow_part;

// Everything `tv_flow_new` would refuse: ranges, cycles, unconnected stages, record sizes against capacities.
// Errors: INVALID, LIMIT, TOO_LARGE, with the names of stage and edge.
tv_status tv_flow_spec_check(const tv_flow_spec *spec, tv_error *error);

// One line of the memory a flow takes at most, and typically.
typedef struct tv_plan_line {
    char what[96]; // "stage detector: linear memory"
    uint64_t reserved_bytes;
    uint64_t expected_bytes;
} tv_plan_line;
// Calls `line` for each consumer of memory; the sums are the caller's. Exactly what tv_flow_new allocates.
// Without the instances of stages that share.
void tv_flow_plan(const tv_flow_spec *spec, void (*line)(void *user, const tv_plan_line *line), void *user);
// One instance of the stage.
void tv_stage_plan(const tv_stage_spec *stage, void (*line)(void *user, const tv_plan_line *line), void *user);

// ---- runtime ------------------------------------------------------------------------------------------------

typedef struct tv_runtime tv_runtime;
typedef struct tv_flow tv_flow;

// Where the settings of stages stand, for what a component says of them in tv_init (contract 4.2). Any thread.
typedef struct tv_settings {
    const char *file; // NULL: nobody knows
    // Sets line and column (from 1) of the stage's setting `path`, or of what is there in its place; else 0.
    void (*find)(void *user, const char *stage, const char *path, uint32_t *line, uint32_t *column);
    void *user;
} tv_settings;

typedef enum tv_letters_limit { TV_LETTERS_DROP, TV_LETTERS_BLOCK } tv_letters_limit;

// What one flow may write to the dead letters, and what becomes of a letter for which there is no room: beyond the
// rate, or while nobody takes letters from a full queue. DROP counts it as lost (dead_letters_unwritten), after a
// second of waiting for the queue; BLOCK has its flow wait. A flow from which nothing is dead-lettered never waits.
typedef struct tv_letters_policy {
    tv_letters_limit on_limit;
    uint64_t bytes_per_s; // 0: any amount
    uint64_t burst_bytes;
} tv_letters_policy;

typedef struct tv_runtime_options {
    tv_engine *engine;
    const tv_clock *clock;           // NULL: the system's
    uint32_t workers;                // 0: one per core. Threads start with tv_runtime_start.
    tv_channel_wake io_wake;         // tells the I/O thread that channels are ready (tv_ready_list_take)
    tv_ready_list *io_ready;         // where the workers put channels that need the I/O thread
    tv_channel *const *dead_letters; // one output channel per worker, or NULL: dead letters are only counted
    tv_letters_policy letters;
    tv_memory_account *memory;       // the channels' too; NULL: one of its own
    uint32_t quanta[TV_CLASS_COUNT]; // records per stage and yield cycle; 0: 128/64/32/8
    int64_t turn_ns, cycle_ns;       // for flows that do not say it themselves; 0: 2 ms, 500 ms
    tv_settings settings;
} tv_runtime_options;

tv_status tv_runtime_new(const tv_runtime_options *options, tv_runtime **out, tv_error *error);
uint32_t tv_runtime_workers(const tv_runtime *runtime);
const tv_memory_account *tv_runtime_memory(const tv_runtime *runtime);
// How much the flows that have nothing to do may keep until their idle_trim, all together; it is estimated from what
// trimming gave back so far. Beyond it, a flow gives back at the end of its turn. UINT64_MAX, as it begins: any amount.
// Any thread.
void tv_runtime_limit_idle(tv_runtime *runtime, uint64_t bytes);
// The same estimate of what they keep now. Any thread.
uint64_t tv_runtime_idle_bytes(const tv_runtime *runtime);
// Makes the calling thread, which is to be the I/O thread, more urgent than workers; where that is refused this is
// logged once in the process, and all goes on without.
void tv_runtime_ask_for_io_priority(void);
// Starts the ticker alone: without it, a component that spins while its flow is made (tv_init) spins for ever.
tv_status tv_runtime_start_ticker(tv_runtime *runtime, tv_error *error);
// Starts workers, and the ticker if it does not run yet.
tv_status tv_runtime_start(tv_runtime *runtime, tv_error *error);
// Stops the threads where they are (after the turn under way). Flows stay; stats can be read.
void tv_runtime_stop(tv_runtime *runtime);
// After tv_runtime_stop; frees what flows are left.
void tv_runtime_free(tv_runtime *runtime);

// Makes a flow: instances, rings, tv_init of every stage (within its CPU budget if the ticker runs), and puts it to a
// worker. `channels` in the order of the spec (made by the caller with tv_channel_new, freed by the caller after the
// flow). `part` may be NULL. Not on a worker thread; one thread at a time makes, removes and frees flows, also while
// workers run.
// Errors: what tv_flow_spec_check says; FAULT or DENIED from a component, with its stage's name (not with
// part->may_fail).
tv_status tv_flow_new(tv_runtime *runtime, const tv_flow_spec *spec, const tv_flow_part *part,
                      tv_channel *const *channels, tv_flow **out, tv_error *error);
const char *tv_flow_name(const tv_flow *flow);

typedef enum tv_flow_state {
    TV_FLOW_STARTING,
    TV_FLOW_RUNNING,
    TV_FLOW_DRAINING, // all inputs ended: closing stages from source to sink
    TV_FLOW_ENDED,    // everything delivered to the output channels
    TV_FLOW_FAILED,   // stopped by policy; tv_flow_failure says why
    TV_FLOW_REMOVED,  // taken away by tv_flow_remove before its end
    TV_FLOW_STATE_COUNT,
} tv_flow_state;
const char *tv_flow_state_name(tv_flow_state state);

tv_flow_state tv_flow_get_state(const tv_flow *flow); // any thread
// Asks sources without an input channel to stop; the flow then drains. Channels are ended by their connectors. A paused
// flow drains when it goes on. Any thread.
void tv_flow_drain(tv_flow *flow);
// After tv_runtime_stop or on_removed: counts everything still queued as dropped (stopped), so that the books close.
void tv_flow_abandon(tv_flow *flow);
// Why a flow has failed, "" if it has not. Valid once the state is FAILED.
const char *tv_flow_failure(const tv_flow *flow);
// Whether it has failed before it could run, and at which stage. Any thread, once the state is FAILED.
bool tv_flow_start_failure(const tv_flow *flow, size_t *stage);
// Called exactly once when the flow has ended or failed, on the worker thread, or at once on this one if it has
// already; must not block (posts to the I/O thread). Not called for a flow that is removed before.
void tv_flow_on_end(tv_flow *flow, void (*on_end)(void *user, tv_flow *flow), void *user);

// ---- flows at run time --------------------------------------------------------------------------------------

// Something to be done with a flow by the worker that owns it, between two turns: none of its components is being
// called then. The memory is the caller's until `run`, which may free it.
typedef struct tv_flow_request {
    // `flow` is NULL if the flow was freed before its worker came to it. Must not block. May post further requests.
    void (*run)(struct tv_flow_request *request, tv_flow *flow);
    tv_inbox_item item; // while posted
} tv_flow_request;

// Posts a request; it is run exactly once, also when the flow is idle, paused or over, in the order of posting by one
// thread. Any thread, as long as nobody frees the flow; does not block. While no worker runs, it stays posted.
void tv_flow_request_post(tv_flow *flow, tv_flow_request *request);

// Stops the flow at its next turn boundary, or lets it go on: nothing is read, no timer of its components fires, its
// queues stay as they are and its sources feel back-pressure. Overdue timers fire when it goes on. A paused flow still
// fails when a channel does, and drop-oldest channels go on dropping. The last call counts. Any thread.
void tv_flow_pause(tv_flow *flow);
void tv_flow_resume(tv_flow *flow);

// Components without an input channel make nothing until they are let go, neither when asked nor by their timers, as if
// the queues behind them were full; the rest of the flow goes on. Its end comes all the same. The last call counts. Any
// thread.
void tv_flow_hold_sources(tv_flow *flow, bool held);

// What can be changed while a flow runs; as the fields of that name in tv_flow_spec.
enum tv_flow_setting {
    TV_SET_CLASS = 1,
    TV_SET_QUANTUM = 2,
    TV_SET_TURN = 4,
    TV_SET_CYCLE = 8,
    TV_SET_CPU = 16,
    TV_SET_RATE = 32, // all three of it
    TV_SET_ALL = 63,
};
typedef struct tv_flow_settings {
    uint32_t fields; // sum of enum tv_flow_setting: the others are left as they are
    tv_class class;
    uint32_t quantum_records;  // 0: by class, also when that changes later
    int64_t turn_ns, cycle_ns; // 0: the runtime's
    int64_t cpu_per_s_ns;      // 0: no limit
    uint64_t rate_records_per_s, rate_bytes_per_s;
    int64_t rate_burst_ns;
} tv_flow_settings;
// From the flow's next turn on. Any thread. Errors: INVALID with the range, NO_MEMORY.
tv_status tv_flow_set(tv_flow *flow, const tv_flow_settings *settings, tv_error *error);

typedef enum tv_removal {
    TV_REMOVE_DRAIN = 1, // when the flow is over. Its input channels are the caller's to end; goes on if it was paused.
    TV_REMOVE_NOW,       // at its next turn boundary, whatever is still queued
} tv_removal;
// Takes the flow from its worker, which then knows it no more: no queue, timer or list holds it, later notifications do
// nothing. Output channels are ended. Then `on_removed` is called, on the worker thread, once, as the last thing the
// worker does with the flow; must not block. From there on the flow is the caller's: figures can be read, what is
// queued can be counted as dropped (tv_flow_abandon), and tv_flow_free lets go of it while other flows go on. A second
// call may turn DRAIN into NOW; its callback is ignored. The thread that makes flows.
void tv_flow_remove(tv_flow *flow, tv_removal how, void (*on_removed)(void *user, tv_flow *flow), void *user);
// After on_removed, or after tv_runtime_stop if workers do not start again. The thread that makes flows. Its channels
// can be freed after it, as soon as the I/O thread has taken its ready list once more (tv_ready_list_take): they may be
// in it.
void tv_flow_free(tv_flow *flow);

// Figures of one worker since it was made. Shares come from the difference of two readings.
typedef struct tv_worker_stats {
    uint64_t turns;
    uint64_t nested_turns; // of turns: Critical flows on top of a guest of a lower class
    uint64_t cycles;
    uint64_t throttles; // flows that had to wait for their CPU or rate budget
    uint64_t demotions;
    uint64_t moved_in, moved_out; // flows, from and to other workers
    int64_t busy_ns;              // in turns and what is around them; the rest it slept
    int64_t nested_ns;            // of it, in nested turns
    uint32_t flows;               // it has now
} tv_worker_stats;
// Any thread; no lock, so figures may be a moment apart.
void tv_runtime_worker_stats(const tv_runtime *runtime, uint32_t worker, tv_worker_stats *stats);

// ---- shared instances ---------------------------------------------------------------------------------------

// Most instances that serve the stages of one worker and class that share: one as a rule, more while output waits
// inside of some.
enum { TV_POOL_INSTANCES_MAX = 4 };

typedef struct tv_pool_stats {
    uint64_t instances_now, instances_made;
    uint64_t waits; // of stages, while all instances were held
} tv_pool_stats;
// Any thread.
void tv_runtime_pool_stats(const tv_runtime *runtime, tv_pool_stats *stats);

// ---- taps -----------------------------------------------------------------------------------------------------

// Copies of the records that pass some edges, for somebody who watches: bounded, and never in the flow's way.
typedef struct tv_tap tv_tap;
enum { TV_TAP_PAYLOAD_BYTES_MAX = 65536, TV_TAP_QUEUE_BYTES = 256 << 10 };
typedef struct tv_tap_options {
    const uint16_t *edges; // as in the specification
    size_t edge_count;
    uint32_t payload_bytes_max; // of a payload, that are copied; at most TV_TAP_PAYLOAD_BYTES_MAX
    bool with_data, with_watermarks;
} tv_tap_options;
// NO_MEMORY. The thread that makes flows, as all of these.
tv_status tv_tap_new(tv_flow *flow, const tv_tap_options *options, tv_tap **out, tv_error *error);
// On from the flow's next turn on.
void tv_tap_start(tv_tap *tap);
// Where copies come out (tv_channel_peek, tv_channel_pop). In a copy, `port` is the edge, and size_bytes that of the
// copy: the payload is cut where it is less than payload_bytes says.
tv_channel *tv_tap_channel(const tv_tap *tap);
// Records that passed, and those of them that found no room. Any thread.
uint64_t tv_tap_seen(const tv_tap *tap);
uint64_t tv_tap_missed(const tv_tap *tap);
// Once, after tv_tap_start and before the flow is freed. `off` is called when nobody writes any more, on the flow's
// worker or by tv_flow_free; must not block.
void tv_tap_stop(tv_tap *tap, void (*off)(void *user, tv_tap *tap), void *user);
// After `off`, and when the I/O thread has taken its ready list once more; or before tv_tap_start.
void tv_tap_free(tv_tap *tap);

// ---- figures ------------------------------------------------------------------------------------------------

// pushed = popped + the sum of dropped + queued, at every turn boundary.
typedef struct tv_edge_stats {
    uint64_t pushed, popped, queued;
    uint64_t control;                // of pushed: watermarks
    uint64_t dropped[TV_DROP_COUNT]; // by enum tv_drop_reason
    uint64_t pushed_bytes;           // of records, headers included
    uint32_t queued_bytes, capacity_bytes, queued_bytes_peak;
} tv_edge_stats;

enum { TV_FAULT_REASON_COUNT = TV_FAULT_START + 1, TV_LAST_ERROR_BYTES = 256 };

// What a stage waits for while it does not run.
typedef enum tv_wait {
    TV_WAIT_INPUT, // records, its timer, the end of a back-off; also what its budget keeps back
    TV_WAIT_WORKER,
    TV_WAIT_ROOM, // behind it
    TV_WAIT_COUNT,
} tv_wait;
const char *tv_wait_name(tv_wait wait);

// popped = processed + dead_lettered + in_progress; emitted is counted on the edges.
typedef struct tv_stage_stats {
    uint64_t popped, processed, dead_lettered, in_progress;
    uint64_t rejected;               // of dead_lettered: by the component itself
    uint64_t dead_letters_unwritten; // of dead_lettered: lost, for the limits of tv_letters_policy or no channel
    uint64_t watermarks;             // of popped and processed
    uint64_t emitted;
    uint64_t emitted_unconnected; // of emitted: to a port that nothing reads
    uint64_t calls, faults, restarts, state_losses, records_since_start_lost;
    uint64_t faults_by_reason[TV_FAULT_REASON_COUNT];
    uint64_t log_lines, log_lines_suppressed;
    uint64_t bytes_in, bytes_out; // of records, headers included; what goes to two edges counts twice
    uint64_t memory_bytes, memory_bytes_peak, memory_bytes_max;
    int64_t busy_ns; // in guest calls
    // Together the time since the flow was made, from the clock that turns read: they change at turn boundaries.
    int64_t running_ns, waited_ns[TV_WAIT_COUNT];
    char last_error[TV_LAST_ERROR_BYTES]; // as it is now, not as of the turn boundary
} tv_stage_stats;

// A reason for which a stage rejected records, and how often at least. Reasons that differ in numbers only are one.
enum { TV_REJECTIONS_KEPT = 8, TV_REJECTION_REASON_BYTES = 96 };
typedef struct tv_rejection {
    uint64_t times;
    char reason[TV_REJECTION_REASON_BYTES]; // as the component said it, cut; any bytes but NUL behind the end
} tv_rejection;
// The most frequent first. Any thread while the flow exists.
size_t tv_flow_rejections(tv_flow *flow, size_t stage, tv_rejection out[TV_REJECTIONS_KEPT]);

typedef enum tv_throttle { TV_THROTTLE_NONE, TV_THROTTLE_CPU, TV_THROTTLE_RATE, TV_THROTTLE_COUNT } tv_throttle;
const char *tv_throttle_name(tv_throttle throttle);

typedef struct tv_flow_stats {
    tv_flow_state state;
    bool paused; // by tv_flow_pause
    tv_class class;
    uint32_t quantum_records;  // in force
    int64_t turn_ns, cycle_ns; // in force
    uint64_t turns;
    uint32_t worker;       // that it is on
    uint64_t moves;        // from worker to worker
    uint64_t nested_turns; // of turns: on top of a guest of a lower class
    uint64_t cycles_cut;   // yield cycles in which it lost the rest of its quantum, having used all of cycle_ns
    tv_throttle throttled; // what makes it wait now: cpu: the whole flow, rate: its sources
    uint64_t throttles[TV_THROTTLE_COUNT];
    int64_t throttled_ns[TV_THROTTLE_COUNT];
    bool demoted; // a Critical flow that is Normal for a while, for its CPU faults
    uint64_t demotions;
    int64_t at_ns;                 // monotonic: when these figures were taken; 0 = not yet
    uint64_t trims, trimmed_bytes; // times it gave pages back when it had gone idle (its input channels' excepted)
} tv_flow_stats;

// Snapshots; any thread while the flow exists, each as of one turn boundary.
void tv_flow_get_stats(tv_flow *flow, tv_flow_stats *stats);
void tv_flow_edge_stats(tv_flow *flow, size_t edge, tv_edge_stats *stats);
void tv_flow_stage_stats(tv_flow *flow, size_t stage, tv_stage_stats *stats);
uint64_t tv_flow_turns(tv_flow *flow);
// All that its queues have dropped until now. By a request of the flow (tv_flow_request), on its worker.
uint64_t tv_flow_dropped(const tv_flow *flow);
// The component's own counters, by index from 0: false behind the last. *name is valid while the flow exists. Any
// thread, as they are now.
bool tv_flow_counter(tv_flow *flow, size_t stage, uint32_t index, const char **name, uint64_t *value);
// Lets go of the memory that snapshots take, until figures are asked for again; for when nobody watches any more.
void tv_flow_forget_figures(tv_flow *flow);
// The same for all flows; on the thread that makes them.
void tv_runtime_forget_figures(tv_runtime *runtime);

// The figures of a flow in a few words, cheap enough for thousands of flows a second.
typedef struct tv_flow_brief {
    uint64_t turns;
    uint64_t records_in, bytes_in, records_out, bytes_out; // at its channels; in: also what its sources made
    uint64_t dropped[TV_DROP_COUNT];
    uint64_t dead_lettered, dead_letters_lost, rejected, faults, restarts, state_losses;
    uint64_t emitted_unconnected; // to ports that nothing reads
    uint64_t guest_bytes;         // linear memories as they are now
    uint64_t ring_bytes;          // queues as they were made
    int64_t busy_ns;              // in guest calls
    int64_t throttled_ns;         // held back by its own limits
    uint32_t queue_percent;       // of the fullest queue
    uint32_t queue;               // its edge
    uint32_t worker;
    tv_class class;
    bool paused, demoted;
} tv_flow_brief;
// Of the flow's last turn, each word for itself, the fill of channels as of now. The first call makes the worker begin
// to publish them and answers false: not yet. Later ones wake nobody. One thread at a time.
bool tv_flow_get_brief(tv_flow *flow, tv_flow_brief *brief);

// Heap that `flow` holds for this flow and its channels, without rings and guest memory, bytes; all of it, with the
// allocator's own overhead, and what of it a turn touches when all stages work.
size_t tv_flow_state_bytes(const tv_flow *flow);
size_t tv_flow_hot_bytes(const tv_flow *flow);

typedef enum tv_bottleneck_kind {
    TV_BOTTLENECK_NONE,       // the flow waits for input
    TV_BOTTLENECK_STAGE,      // the stage's own work
    TV_BOTTLENECK_WORKER,     // it waits for its worker, which has others to serve
    TV_BOTTLENECK_DOWNSTREAM, // an output channel behind the stage does not take what comes
} tv_bottleneck_kind;
typedef struct tv_bottleneck {
    tv_bottleneck_kind kind;
    size_t stage;
    const char *name; // the stage's; of DOWNSTREAM the channel's
    double share;     // of the time
    char why[256];    // a sentence
} tv_bottleneck;
// Which stage holds the flow up, by the times of all its life. Any thread.
void tv_flow_bottleneck(tv_flow *flow, tv_bottleneck *out);
// The same by figures of the caller's, one for each stage: differences of two readings show the time between them.
void tv_bottleneck_find(tv_flow *flow, const tv_stage_stats *stats, tv_bottleneck *out);

// Checks the conservation laws on the flow as it stands (worker stopped or flow ended).
tv_status tv_flow_check_conservation(tv_flow *flow, tv_error *error);

#endif
