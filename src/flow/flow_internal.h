// The inside of a flow, shared by the files of this module.
//
// A turn (turn.c) is the unit of work: passes from source to sink, in which each stage gets at most one batch; the
// counters obey the conservation laws when it ends. Who touches what: everything here belongs to the flow's worker,
// except the atomics marked so. Phases of a stage's step, in this order: 1 forward a waiting watermark; 2 resume; 3
// timer; 4 pull or process; 5 close. Each phase ends the step if it finds no room.
#ifndef TORVYN_FLOW_FLOW_INTERNAL_H
#define TORVYN_FLOW_FLOW_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "flow/channel_internal.h"
#include "flow/fair.h"
#include "flow/flow.h"
#include "flow/heap.h"
#include "flow/names.h"
#include "flow/pool.h"
#include "flow/ring.h"

typedef struct tv_worker tv_worker;
typedef struct tv_stage tv_stage;
typedef struct tv_call_frame tv_call_frame;
typedef struct tv_flow_budget tv_flow_budget;

// ---- edges --------------------------------------------------------------------------------------------------

typedef enum tv_edge_kind { TV_EDGE_INSIDE, TV_EDGE_INPUT, TV_EDGE_OUTPUT } tv_edge_kind; // the last two: a channel

// What every turn touches of an edge.
typedef struct tv_edge {
    union {
        tv_ring ring;        // INSIDE; ask tv_edge_ring
        tv_channel *channel; // INPUT, OUTPUT; ask tv_edge_channel
    };
    // Producer: this flow, unless it is an input channel.
    uint64_t pushed; // records, dropped ones too
    uint64_t pushed_bytes;
    // Consumer: this flow, unless it is an output channel.
    uint64_t popped;
    uint32_t record_bytes_max;
    uint8_t kind;     // tv_edge_kind
    uint8_t overflow; // tv_overflow
    uint8_t input_index : 7;
    bool ended : 1;  // nothing follows what is in the ring
    uint8_t rare_at; // its tv_edge_rare lies so many edges behind it
} tv_edge;

// What is touched when something out of the ordinary happens: drops, watermarks.
typedef struct tv_edge_rare {
    uint64_t dropped[TV_DROP_EDGE_COUNT];
    uint64_t control, popped_control; // watermarks among pushed and popped
    int64_t watermark;                // the newest one passed on
    int64_t watermark_popped;
} tv_edge_rare;
_Static_assert(sizeof(tv_edge_rare) == sizeof(tv_edge), "rare_at counts in edges");

static inline tv_edge_rare *tv_edge_get_rare(tv_edge *edge) { return (tv_edge_rare *)(void *)(edge + edge->rare_at); }
static inline const tv_edge_rare *tv_edge_peek_rare(const tv_edge *edge) {
    return (const tv_edge_rare *)(const void *)(edge + edge->rare_at);
}
// NULL between two stages.
static inline tv_channel *tv_edge_channel(const tv_edge *edge) {
    return edge->kind == TV_EDGE_INSIDE ? NULL : edge->channel;
}
static inline tv_ring *tv_edge_ring(tv_edge *edge) {
    return edge->kind == TV_EDGE_INSIDE ? &edge->ring : &edge->channel->ring;
}
static inline const tv_ring *tv_edge_peek_ring(const tv_edge *edge) {
    return edge->kind == TV_EDGE_INSIDE ? &edge->ring : &edge->channel->ring;
}

// Records the consumer has before it; between turns, when nothing is merely staged inside the flow.
static inline uint32_t tv_edge_queued_records(const tv_edge *edge) {
    return edge->kind == TV_EDGE_INSIDE ? tv_ring_used_records(&edge->ring)
                                        : tv_channel_committed_records(edge->channel);
}

typedef enum tv_pushed {
    TV_PUSHED,         // staged
    TV_PUSHED_DROPPED, // dropped by policy (or too large) and counted
    TV_PUSHED_DROPPED_NEWEST,
    TV_PUSHED_OVERFLOW, // dropped and counted; the flow is to stop (policy `error`)
    TV_PUSHED_FULL,     // a blocking edge has no room: nothing happened
} tv_pushed;

// Whether a push of this size would be taken (or dropped by policy) now, rather than answered FULL.
static inline bool tv_edge_can_take(const tv_edge *edge, uint32_t size) {
    if (edge->overflow != TV_OVERFLOW_BLOCK || size > edge->record_bytes_max) return true; // dropped and counted
    return tv_ring_has_room(tv_edge_peek_ring(edge), size);
}
// Stages a record of `size` bytes in all, or drops it by policy. `input` is the record it comes from: origin, and
// `inherited_bytes` of attributes; NULL: none.
tv_pushed tv_edge_push(tv_edge *edge, const tv_emit *emit, const tv_record *input, uint32_t size,
                       uint32_t inherited_bytes);
// Stages a copy of a record that was delivered. False: there is no room for it just like that, nothing happened.
bool tv_edge_forward(tv_edge *edge, const tv_record *input);
// Stages a watermark unless an earlier one was as late.
tv_pushed tv_edge_push_watermark(tv_edge *edge, int64_t watermark_ns);
// Takes back the records staged since the ring was at `mark` (its `staged`) and the last `newest` ones that were
// dropped for want of room. Other drops stay counted.
void tv_edge_roll_back(tv_edge *edge, uint32_t mark, uint32_t newest);
// Shows the consumer what was staged.
void tv_edge_commit(tv_edge *edge);
// Takes records from the front and counts them.
void tv_edge_pop(tv_edge *edge, uint32_t records, uint32_t control, uint32_t bytes, uint64_t last_sequence);
// Whether the producer has ended and all is consumed.
bool tv_edge_is_finished(tv_edge *edge);
// Counts what is still queued as dropped (stopped) and empties the ring.
void tv_edge_abandon(tv_edge *edge);

// ---- stages -------------------------------------------------------------------------------------------------

typedef enum tv_stage_state {
    TV_STAGE_RUNNING,
    TV_STAGE_BACKOFF, // without instance until backoff_until_ns
    TV_STAGE_CLOSING, // tv_close was called and answered MORE
    TV_STAGE_CLOSED,
} tv_stage_state;

// What every turn touches of a stage. Inputs, outputs and ports are numbers in the flow's links.
struct tv_stage {
    tv_flow *flow;
    tv_instance *instance; // of a stage that shares: during calls only
    uint64_t processed;    // with dead_lettered: what its inputs have popped
    uint64_t emitted;
    uint64_t bytes_in;
    uint64_t calls;
    int64_t busy_ns;     // in guest calls
    int64_t timer_at_ns; // INT64_MAX = none
    uint32_t credit;     // records left of the quantum
    uint32_t cost_ns;    // of a record, a moving average; 0 = not known yet
    uint8_t index, input_count, output_count;
    uint8_t inputs_at, outputs_at; // in the links: numbers of edges; outputs sorted by port
    uint8_t state;                 // tv_stage_state
    uint16_t ports_at;             // in the links: for each port, place in `outputs` and count
    bool more : 1;                 // output waits inside the component
    bool pull_ended : 1;
    bool shared : 1;         // its instances serve others too: it has a seat
    bool input_first : 1;    // after a tick, until the input had its turn: a timer that sets itself must not starve it
    bool forwards : 1;       // watermark_forward waits to be passed on
    bool has_watermarks : 1; // at least one has come: until then nobody looks for the combined one
    uint8_t stuck_count : 4; // calls in a row without progress though there was room
    uint8_t fruitless_count : 4; // tv_process with MORE in a row that neither consumed nor emitted
    uint8_t port_count;
    uint8_t wait;               // tv_wait, as of the end of the last turn
    uint32_t payload_bytes_max; // of the largest record it may emit
};

// The counters of a component, made when it asks for them: names are the runtime's (one copy of each), values its own.
typedef struct tv_counters {
    uint32_t count, capacity;
    struct {
        const char *name;
        _Atomic uint64_t value; // one writer, the worker; readers need no turn boundary
    } items[];
} tv_counters;

typedef struct tv_rejection_count {
    uint64_t times, taken_over; // from the reason whose place it took
    uint32_t length;
    char reason[TV_REJECTION_REASON_BYTES];
} tv_rejection_count;

// The most frequent reasons of a stage (rejections.c).
typedef struct tv_rejections {
    uint64_t all;
    uint32_t count;
    bool warned;
    tv_rejection_count items[TV_REJECTIONS_KEPT];
} tv_rejections;
void tv_rejections_add(tv_rejections *rejections, const char *reason, size_t length);
size_t tv_rejections_read(const tv_rejections *rejections, tv_rejection out[TV_REJECTIONS_KEPT]);

// What failures and log lines need, made when there is one. Text and pointers change under the flow's figures_mutex.
typedef struct tv_stage_cold {
    uint64_t faults_by_reason[TV_FAULT_REASON_COUNT];
    int64_t window_start_ns; // of restarts
    uint32_t window_restarts;
    uint32_t log_window_lines;
    int64_t log_window_ns;
    uint64_t log_lines, log_lines_suppressed;
    tv_rejections *rejections; // NULL: none
    char last_error[TV_LAST_ERROR_BYTES];
} tv_stage_cold;

typedef struct tv_stage_waits {
    int64_t since_ns; // the stage waits for what `wait` says since then
    int64_t busy_ns;  // of the stage's, what the times up to then have in them
    int64_t waited_ns[TV_WAIT_COUNT];
} tv_stage_waits;

// What is touched when something out of the ordinary happens: watermarks, rejections, failures, ends, another wait.
typedef struct tv_stage_rare {
    tv_stage_waits waits;
    int64_t watermark_in;      // combined over the inputs, delivered to the component
    int64_t watermark_forward; // to be passed on, if `forwards`
    int64_t backoff_until_ns;
    int64_t pull_at_ns;          // a source that had nothing is not asked again before
    uint64_t processed_at_start; // of the present instance
    uint64_t chain_begin;        // `emitted` before the call whose MORE tv_resume goes on with
    uint32_t chain_records;      // that this call has taken; 0: a source made them itself, without end
    uint64_t dead_lettered, rejected, dead_letters_unwritten;
    uint64_t watermarks, emitted_unconnected;
    uint64_t faults, restarts, state_losses, records_lost;
    uint64_t memory_bytes_peak;
    tv_counters *counters; // NULL: none
    tv_stage_cold *cold;   // NULL: nothing happened yet
} tv_stage_rare;

// What a component says in tv_init before it refuses to start.
typedef struct tv_refusal {
    uint32_t lines;        // at level error
    uint32_t line, column; // in the file of the first that names a setting; 0: none does
    char text[256];        // of that one, or of the first
} tv_refusal;

// One call into a component, on the worker's stack: from the gathering of its batch until its result is settled.
struct tv_call_frame {
    tv_stage *stage;
    tv_batch *batch;                 // in guest memory
    tv_edge *edges;                  // of the flow
    const uint8_t *inputs, *outputs; // numbers of edges
    const uint8_t *ports;            // for each port, place in `outputs` and count
    const tv_stage_spec *spec;
    uint8_t input_count, output_count;
    tv_export call : 8;
    bool has_records;     // a batch of data is processed: origin and attributes can be handed on
    bool merged;          // several inputs: `merge` says which record is whose
    bool push_failed;     // an edge with policy `error` overflowed
    bool emitted_any;     // records or watermarks were taken, rolled back or not
    bool watermark_batch; // the batch is the combined watermark
    bool drops_since_mark;
    bool ticked;
    uint8_t port_count;
    uint32_t payload_bytes_max; // of the largest record it may emit
    uint32_t record_bytes_max;  // that record
    tv_ring *first_ring;        // of the only output, which most stages have; else NULL
    uint32_t batch_bytes_limit; // of the batch to be gathered
    uint32_t batch_count, batch_bytes;
    uint64_t batch_last_sequence; // with one input
    int64_t watermark_ns;         // of a watermark batch
    uint32_t emitted, unconnected;
    uint32_t rejected_index; // record rejected last; UINT32_MAX = none
    uint32_t rejected_count;
    uint32_t cursor_index; // record the inputs' cursors stand at
    // The newest record index seen, and what was there when that record was begun.
    uint32_t mark_index, mark_emitted, mark_unconnected;
    // CPU budget.
    uint32_t tick_index;
    int64_t tick_call_ns, tick_index_ns; // thread CPU time at its begin
    const tv_record *cursor[TV_STAGE_INPUTS_MAX];
    const uint8_t *run_end[TV_STAGE_INPUTS_MAX];
    uint32_t mark[TV_EDGES_MAX];         // for each output: where its ring was staged up to
    uint32_t newest[TV_EDGES_MAX];       // dropped since for want of room, if drops_since_mark
    uint8_t merge[TV_BATCH_RECORDS_MAX]; // input of each record
    tv_refusal *refusal;                 // of tv_init; not set for other calls
};

static inline const tv_module_info *tv_stage_spec_info(const tv_stage_spec *spec) {
    return spec->info ? spec->info : tv_module_get_info(spec->module);
}
static inline const tv_stage_spec *tv_stage_get_spec(const tv_stage *stage);
static inline const tv_module_info *tv_stage_module_info(const tv_stage *stage);
static inline tv_stage_rare *tv_stage_get_rare(const tv_stage *stage);
// Made at the first need. NULL without memory; what is counted there is then not counted.
tv_stage_cold *tv_stage_get_cold(tv_stage *stage);
tv_stage_config tv_stage_get_config(const tv_stage *stage);
// The component has had the combined watermark: it is passed on behind what was emitted.
void tv_stage_watermark_delivered(tv_stage *stage, int64_t watermark_ns);
static inline tv_edge *tv_stage_input(const tv_stage *stage, uint32_t index);
static inline tv_edge *tv_stage_output(const tv_stage *stage, uint32_t index);
// A frame without a batch. The instance must be there, but for tv_stage_start.
void tv_frame_init(tv_call_frame *frame, tv_stage *stage, tv_export call);
static inline tv_edge *tv_frame_input(const tv_call_frame *frame, uint32_t index) {
    return &frame->edges[frame->inputs[index]];
}
static inline tv_edge *tv_frame_output(const tv_call_frame *frame, uint32_t index) {
    return &frame->edges[frame->outputs[index]];
}

// The functions a stage serves to its instance.
extern const tv_guest_imports tv_stage_imports;

bool tv_stage_is_held(const tv_stage *stage); // by tv_flow_hold_sources

// Fills the guest's arena with what is there now. Returns whether there is a batch; *moved says whether control
// records were taken.
bool tv_frame_gather(tv_call_frame *frame, uint32_t quantum, bool *moved);
// One step of a stage, at most `quantum` records; with 0 it takes nothing in, but timers and its end come. Returns
// whether anything moved.
bool tv_stage_step(tv_stage *stage, uint32_t quantum, int64_t now_ns);
// Makes the instance and calls tv_init. FAULT or DENIED with a message that names the stage.
tv_status tv_stage_start(tv_stage *stage, tv_error *error);
// Input record `index` of the batch, in the ring. The index may only grow within a batch.
const tv_record *tv_frame_seek(tv_call_frame *frame, uint32_t index);
static inline const tv_record *tv_frame_record(tv_call_frame *frame, uint32_t index) {
    if (frame->merged) return tv_frame_seek(frame, index);
    if (index == frame->cursor_index + 1) { // the next one of a single input lies behind this one
        frame->cursor_index = index;
        frame->cursor[0] = tv_record_next(frame->cursor[0]);
    }
    return index == frame->cursor_index ? frame->cursor[0] : tv_frame_seek(frame, index);
}
// The guest's record index, checked: the last right one if it is wrong.
static inline uint32_t tv_frame_index(const tv_call_frame *frame) {
    if (frame->batch_count == 0) return 0; // no batch, and perhaps no arena yet
    uint32_t index = ((volatile const tv_batch *)frame->batch)->record_index;
    return index >= frame->mark_index && index < frame->batch_count ? index : frame->mark_index;
}
// Puts the outputs' marks at the begin of record `index`, and takes back what was staged since.
void tv_frame_mark_outputs(tv_call_frame *frame);
static inline void tv_frame_mark(tv_call_frame *frame, uint32_t index) {
    frame->mark_index = index;
    frame->mark_emitted = frame->emitted;
    frame->mark_unconnected = frame->unconnected;
    frame->drops_since_mark = false;
    if (frame->first_ring)
        frame->mark[0] = frame->first_ring->staged;
    else
        tv_frame_mark_outputs(frame);
}
void tv_frame_roll_back(tv_call_frame *frame);
// Shows the outputs' consumers what was staged, and counts it.
void tv_frame_commit(tv_call_frame *frame);
// Takes `count` records of the batch from the inputs and counts them.
void tv_frame_pop(tv_call_frame *frame, uint32_t count);
// The quantum counts them: taken from the inputs, or emitted by a source.
static inline void tv_stage_spend(tv_stage *stage, uint64_t records) {
    stage->credit -= records < stage->credit ? (uint32_t)records : stage->credit;
}
// Handles a failed call: takes back, dead-letters, restarts or stops.
void tv_frame_fail(tv_call_frame *frame, const tv_fault *fault, int64_t now_ns);
// The stage's own number for a counter of that name, or a negative answer.
int32_t tv_stage_counter(tv_stage *stage, const char *name, size_t length);
void tv_stage_log(tv_stage *stage, tv_log_level level, const char *text, size_t length);
// After a back-off: a new instance, or failure of the flow.
void tv_stage_restart(tv_stage *stage, int64_t now_ns);

// ---- dead letters -------------------------------------------------------------------------------------------

enum { TV_DEAD_LETTER_QUEUE_FACTOR = 3 }; // of its largest line, that a dead-letter queue must hold at least
// How many of `quantum` records the next batch may have so that each can become a dead letter, and in
// batch_bytes_limit how many bytes; 0: its flow waits, and is told or goes on at letters_until_ns.
uint32_t tv_dead_letter_limit_batch(tv_call_frame *frame, uint32_t quantum);
// Where the records of an edge come from: a channel or a stage.
const char *tv_edge_source_name(const tv_flow *flow, const tv_edge *edge);
// Writes one; the caller has asked for room. `fault` is NULL for a rejection.
// The record at `mark_index` was rejected for this reason, which need not end with a NUL; before it is counted.
void tv_frame_count_rejection(const tv_call_frame *frame, const char *reason, size_t length);
void tv_dead_letter_write(tv_call_frame *frame, const tv_record *record, const char *reason, size_t reason_length,
                          const tv_fault *fault);

// ---- budgets of a flow --------------------------------------------------------------------------------------

// What limits a flow beyond its class, made for flows that have such limits or were at fault. Token buckets are kept as
// the time at which nothing is owed any more: what is used moves it on, and it may lie `burst` behind.
struct tv_flow_budget {
    int64_t cpu_per_s_ns; // 0: no limit, as below
    uint64_t records_per_s, bytes_per_s;
    int64_t burst_ns; // of the two rates
    int64_t cpu_clear_ns, records_clear_ns, bytes_clear_ns;
    int64_t throttled_since_ns; // valid while throttled
    tv_throttle throttled;      // by what, now
    uint8_t next_source;        // index of the stage + 1 that found nothing left of the rate; 0: none
    uint64_t throttles[TV_THROTTLE_COUNT];
    int64_t throttled_ns[TV_THROTTLE_COUNT];
    // CPU faults of a Critical flow
    int64_t offence_window_ns;
    uint32_t offences;
    uint64_t demotions;
    int64_t demoted_until_ns; // 0: is not
};

// Worker, before a turn: whether the flow's CPU budget allows one. Says in `sources_wait` whether its sources may take
// nothing in, and in `throttled_until_ns` how long. Ends a demotion that is over.
bool tv_budget_begin(tv_flow *flow, int64_t now_ns);
// What a source stage may take in at once.
uint32_t tv_budget_records(const tv_flow *flow, int64_t now_ns);
// Counts what a source stage has taken in; sets `sources_wait` when that was all it may.
void tv_budget_take(tv_flow *flow, uint64_t records, uint64_t bytes, int64_t now_ns);
void tv_budget_take_cpu(tv_flow *flow, int64_t used_ns, int64_t now_ns);
// After a fault: one too many of a Critical flow's CPU faults makes it Normal for a while.
void tv_budget_note_fault(tv_flow *flow, tv_fault_reason reason, int64_t now_ns);

// ---- flows --------------------------------------------------------------------------------------------------

enum tv_schedule {
    TV_SCHEDULE_IDLE,
    TV_SCHEDULE_QUEUED, // in the inbox or a ready queue of its worker
    TV_SCHEDULE_RUNNING,
    TV_SCHEDULE_NOTIFIED, // while it runs
    TV_SCHEDULE_DETACHED, // removed from its worker: for ever
};

// Figures for other threads, as of one turn boundary: the head of each stage's tv_stage_stats (without the text), and
// behind them each edge's tv_edge_stats.
typedef struct tv_flow_snapshot {
    tv_flow_stats flow;
    uint8_t figures[];
} tv_flow_snapshot;

typedef void tv_flow_end(void *user, tv_flow *flow);
typedef struct tv_flow_published tv_flow_published;

struct tv_flow {
    // What every turn touches.
    _Atomic(tv_worker *) worker; // changes while the flow is in no queue but on its way (move.c)
    const tv_flow_spec *spec;    // shared with other flows
    tv_stage *stages;            // in the order of the spec
    tv_edge *edges;              // in the order of the spec
    uint8_t *links;              // stage numbers from source to sink; then what tv_stage points into
    tv_call_frame *frame;        // of the guest call under way, else NULL
    _Atomic int state;           // tv_flow_state
    _Atomic int schedule;
    union {
        tv_flow *queue_next;      // in one of the worker's ready queues
        tv_inbox_item inbox_item; // or else in its inbox
    };
    tv_inbox requests;   // tv_flow_request
    int64_t deadline_ns; // earliest timer or back-off of its stages; INT64_MAX = none
    uint64_t turns;
    int64_t clock_ns;     // when the newest call that was timed ended
    int64_t fair_at;      // its CPU time against that of its class (fair.h)
    uint32_t cycle_left;  // worker time it may still use with this quantum, in 1024 ns
    uint32_t turn_ns;     // longest turn
    uint32_t timer_index; // in the worker's timer heap; UINT32_MAX = not in it
    uint32_t quantum;
    uint32_t worked_at;    // when a component was last called, coarsely (trim.c)
    uint16_t next_stage;   // where a turn that was cut goes on, in the order; 0 = at the source
    uint8_t class;         // tv_class in force, as quantum and turn_ns
    bool class_quantum;    // the quantum follows the class
    bool spent;            // its next turn begins a new quantum
    bool seats_woken;      // there was a shared instance to be had for some of them
    bool sources_wait;     // its budget lets them take nothing in
    uint8_t active_frames; // stages with a call under way; a flow with one is not eligible
    bool worked;           // a component was called in this turn
    bool trim_listed;      // in the worker's list of those that may have something to give back
    bool adopted;          // by its worker
    bool awaits_letters;   // is in the worker's list of waiters
    _Atomic bool pause_wanted;
    _Atomic bool sources_held;
    _Atomic uint8_t remove_wanted; // tv_removal; 0 = stays
    _Atomic bool drain_wanted;
    _Atomic bool at_rest; // over, and its last turn is done: nobody but the readers of figures looks at it any more
    _Atomic bool snapshot_wanted;
    bool tapped;            // `taps` has one
    tv_flow_budget *budget; // NULL: no limits, no offences
    // What is touched now and then.
    tv_stage_rare *stage_rares; // as `stages`
    uint8_t base_class;         // tv_class without a demotion
    int64_t throttled_until_ns; // INT64_MAX = is not
    uint64_t nested_turns;      // on top of a lower class
    uint64_t moves;             // from worker to worker
    bool arrives;               // from another worker
    bool start_failed;          // at failed_stage, before it could run
    uint8_t failed_stage;
    const char *name; // own copy
    const tv_stage_config *configs;
    tv_seat *seats; // as `stages`; NULL: none of them shares
    tv_flow *letters_next;
    int64_t letters_until_ns; // while it waits for dead letters: when it goes on without; INT64_MAX: never
    int64_t letters_clear_ns; // when nothing is owed any more of what it may write there
    tv_flow *trim_next, *trim_previous;
    _Atomic uint64_t trims, trimmed_bytes; // of the worker; it may trim a flow that is over while its figures are read
    int64_t started_ns;
    void *ring_memory;
    size_t ring_memory_bytes;
    _Atomic size_t state_bytes;    // heap, with everything that was made later
    int64_t cycle_ns;              // most worker time in a yield cycle
    uint64_t cycles_cut;           // in which cycle_ns ended the quantum
    _Atomic(tv_flow_end *) on_end; // taken by whoever calls it
    void *on_end_user;
    tv_flow_end *on_removed;
    void *on_removed_user;
    char *_Atomic failure;         // NULL: has not failed
    pthread_mutex_t figures_mutex; // figures, and what was made later and is read by other threads
    tv_flow_snapshot *snapshot;
    tv_tap *taps;                           // of the worker
    _Atomic(tv_flow_published *) published; // NULL until somebody asks for the brief figures (brief.c)
    tv_flow *all_next, *all_previous;       // the runtime's list
};

enum {
    TV_FLOW_HOT_BYTES = offsetof(tv_flow, stage_rares),
    TV_FLOW_BAR_STAGES = 5, // the flow that the two limits are meant for: a line of five stages between two channels
    TV_FLOW_BAR_HOT_BYTES = 1024,
    TV_FLOW_BAR_STATE_BYTES = 4096,
};
_Static_assert(TV_FLOW_HOT_BYTES + TV_FLOW_BAR_STAGES * sizeof(tv_stage) + (TV_FLOW_BAR_STAGES + 1) * sizeof(tv_edge) <=
                   TV_FLOW_BAR_HOT_BYTES,
               "what a turn touches of a flow of five stages");

static inline const tv_stage_spec *tv_stage_get_spec(const tv_stage *stage) {
    return &stage->flow->spec->stages[stage->index];
}
static inline const tv_module_info *tv_stage_module_info(const tv_stage *stage) {
    return tv_stage_spec_info(tv_stage_get_spec(stage));
}
static inline tv_stage_rare *tv_stage_get_rare(const tv_stage *stage) {
    return &stage->flow->stage_rares[stage->index];
}
static inline tv_edge *tv_stage_input(const tv_stage *stage, uint32_t index) {
    return &stage->flow->edges[stage->flow->links[stage->inputs_at + index]];
}
static inline tv_edge *tv_stage_output(const tv_stage *stage, uint32_t index) {
    return &stage->flow->edges[stage->flow->links[stage->outputs_at + index]];
}

// One turn. Returns whether the flow can go on, with this quantum or, if it is spent, with the next; else it waits to
// be told, or for its deadline. Says in the worker's turn_records what it took of its quantum.
bool tv_flow_turn(tv_flow *flow, int64_t now_ns);
void tv_flow_set_state(tv_flow *flow, tv_flow_state state);
// FAILED, once, with a message for people.
void tv_flow_fail(tv_flow *flow, const char *format, ...) __attribute__((format(printf, 2, 3)));
// The same without a line in the log, at the start of a stage: who starts flows says it.
void tv_flow_fail_start(tv_flow *flow, size_t stage, const char *why);
static inline bool tv_flow_is_over(const tv_flow *flow) {
    tv_flow_state state = (tv_flow_state)atomic_load(&flow->state);
    return state == TV_FLOW_ENDED || state == TV_FLOW_FAILED || state == TV_FLOW_REMOVED;
}
// Puts settings in force that tv_flow_set would take: by the worker, or before it has the flow.
void tv_flow_apply(tv_flow *flow, const tv_flow_settings *settings);
// Errors: INVALID with the range.
tv_status tv_flow_settings_check(const char *flow_name, const tv_flow_settings *settings, tv_error *error);
tv_flow_settings tv_flow_spec_settings(const tv_flow_spec *spec);
// Whether they need a tv_flow_budget.
bool tv_flow_settings_limit(const tv_flow_settings *settings);
// Calls on_end if it was not yet.
void tv_flow_tell_end(tv_flow *flow);
// Worker, between two turns: runs what was posted.
void tv_flow_run_requests(tv_flow *flow);
// When the flow is freed: those left are told that it is gone.
void tv_flow_refuse_requests(tv_flow *flow);
// Any thread: there is something to do.
void tv_flow_notify(void *user);
void tv_flow_snapshot_take(tv_flow *flow);
// At the end of a turn, by its newest clock: what each stage waits for now.
void tv_waits_note(tv_flow *flow, int64_t now_ns);
void tv_waits_read(const tv_stage *stage, int64_t now_ns, tv_stage_stats *stats);
// Gives back what pages it can: worker, between turns.
void tv_flow_trim(tv_flow *flow);
// Whether no worker can be at the flow, so that its figures can be read as they are.
bool tv_flow_is_unattended(const tv_flow *flow);
void tv_edge_read(const tv_edge *edge, tv_edge_stats *stats);
// All but the text of the last error, which is left as it is.
void tv_stage_read(const tv_stage *stage, tv_stage_stats *stats);
// Worker, if the flow is tapped: before an output is committed, and before records are taken from an input.
void tv_tap_see_output(tv_stage *stage, tv_edge *edge);
void tv_tap_see_input(tv_stage *stage, tv_edge *edge, uint32_t count);
// Worker, at the end of a turn: the brief figures, if somebody has ever asked for them.
void tv_flow_publish(tv_flow *flow);
void tv_flow_published_free(tv_flow *flow);
size_t tv_flow_snapshot_bytes(const tv_flow_spec *spec); // heap, while figures are asked for
// Heap for the flow, zeroed and counted; `bytes` as asked for. Worker, or while the flow is made.
void *tv_flow_alloc(tv_flow *flow, size_t bytes);
void tv_flow_release(tv_flow *flow, void *memory);
int64_t tv_flow_now_ns(const tv_flow *flow);
// The same clock without the time of nested turns, for how long a call or turn takes. In a turn only.
static inline int64_t tv_flow_own_ns(const tv_flow *flow);

// What only the channels themselves tell: directions, and records that no batch could carry.
tv_status tv_flow_spec_check_channels(const tv_flow_spec *spec, tv_channel *const *channels, tv_error *error);
// Stage order from source to sink; INVALID names the cycle. `order` has stage_count places.
tv_status tv_flow_spec_order(const tv_flow_spec *spec, uint16_t *order, tv_error *error);
// Heap that tv_flow_new takes for the flow's own state and its channels (`typical`), and with everything that may be
// made later, each counter and each stage's failures.
size_t tv_flow_spec_state_bytes(const tv_flow_spec *spec, bool typical);
size_t tv_flow_spec_hot_bytes(const tv_flow_spec *spec);
// What the classes' quanta are where nothing else is said.
uint32_t tv_class_quantum(tv_class class);

// ---- workers ------------------------------------------------------------------------------------------------

struct tv_runtime {
    tv_engine *engine;
    const tv_clock *clock;
    tv_worker *workers;
    uint32_t worker_count;
    uint32_t next_worker;
    int64_t *peers; // tv_worker.peer_busy_ns of all
    tv_channel_wake io_wake;
    tv_ready_list *io_ready;
    tv_settings settings;
    tv_letters_policy letters;
    bool started;
    uint32_t quanta[TV_CLASS_COUNT];
    int64_t turn_ns, cycle_ns;          // of flows that say nothing else
    tv_flow *flows;                     // of the thread that makes and frees them
    tv_names names;                     // of counters
    tv_share *shares[TV_SHARE_BUCKETS]; // of the thread that makes flows
    _Atomic uint64_t pool_instances, pool_instances_made, pool_waits;
    _Atomic uint64_t idle_bytes_max; // tv_runtime_limit_idle
    tv_memory_account *memory;       // the caller's, or own_memory
    tv_memory_account own_memory;
    pthread_t ticker;
    bool ticker_started;
    _Atomic bool stopping;         // the workers are to leave
    _Atomic bool ticker_stopping;  // and, when they have left, the ticker
    _Atomic uint32_t busy_workers; // that may be in a guest; one more while a flow is made
    _Atomic uint32_t ticker_sleeping;
    _Atomic uint64_t ticks; // coarse time of 1 ms while workers are busy
};

// Around calls into guests: while there is one, the ticker (if it was started) does not sleep.
void tv_runtime_guest_begins(tv_runtime *runtime);
void tv_runtime_guest_ends(tv_runtime *runtime);

typedef struct tv_flow_queue {
    tv_flow *head, *tail;
} tv_flow_queue;

struct tv_worker {
    tv_runtime *runtime;
    uint32_t index;
    pthread_t thread;
    bool thread_started;
    int event_fd;
    tv_inbox inbox; // tv_flow
    _Atomic bool sleeping;
    tv_flow_queue ready[TV_CLASS_COUNT];
    tv_fair fair;             // which of them is due
    const tv_flow *turn_flow; // whose turn it is, the lower one if they are nested
    tv_class turn_class;      // that is charged for it
    int64_t turn_begin_ns;    // its begin, less nested_ns and away_ns then
    int64_t turn_charged_ns;  // of it, by now
    uint32_t turn_records;    // of the newest turn that has ended
    bool turn_is_brief;       // the next one shall be one step, of one record
    int64_t seen_ns;          // when the thread's CPU time was last read; 0: it has slept since
    int64_t seen_cpu_ns;      // what it was
    int64_t away_ns;          // the thread did not run for so long, as far as that was seen; without nested turns
    int64_t nested_ns;        // nested turns took so long in all
    int64_t nested_cpu_ns;    // CPU time of these
    bool nested;              // one is under way
    int64_t step_ns;          // begin of the newest step
    bool stepped;             // which ran a turn
    const char *stack_low;    // of its thread; NULL: unknown
    // The window over which workers are compared (move.c).
    int64_t window_begin_ns, window_busy_ns; // its begin, and busy_ns there
    int64_t *peer_busy_ns;                   // of each worker there
    // Figures: written by the worker, read by anybody.
    struct {
        _Atomic uint64_t turns, nested_turns, cycles, throttles, demotions, moved_in, moved_out;
        _Atomic int64_t busy_ns, nested_ns;
        _Atomic uint64_t idle_bytes; // trim_count times trim_bytes
        _Atomic uint32_t flows;
    } figures;
    tv_flow **timers; // heap by deadline
    uint32_t timer_count, timer_capacity;
    uint32_t flow_count;      // adopted: no timer finds the heap full
    tv_channel *dead_letters; // NULL: only counted
    uint64_t dead_letter_sequence;
    tv_flow *trim_first;                  // flows that have worked since they were last trimmed
    uint32_t trim_count;                  // of them
    uint64_t trim_bytes;                  // what one of them may have to give back, an estimate on the safe side
    int64_t trim_check_ns;                // when one of them may be due; INT64_MAX: there is none
    int64_t letters_full_since_ns;        // nobody has taken any since; 0: there was room
    tv_flow *dead_letter_waiters;         // flows that found no room there
    _Atomic bool dead_letters_were_taken; // by the I/O thread, since the waiters were last told
};

static inline int64_t tv_flow_own_ns(const tv_flow *flow) { return tv_flow_now_ns(flow) - flow->worker->nested_ns; }

// A figure of one writer.
#define TV_FIGURE_ADD(figure, amount)                                                                                  \
    atomic_store_explicit(&(figure), atomic_load_explicit(&(figure), memory_order_relaxed) + (amount),                 \
                          memory_order_relaxed)

// From an epoch tick in a guest of `outer`: Critical flows that are ready have their turns here, on top of it. Returns
// the CPU time that took. `cpu_ns`: the thread's CPU time now.
int64_t tv_worker_preempt(const tv_flow *outer, int64_t cpu_ns);

// The flow, just popped from its queue, goes to another worker if this one has been overloaded and another one idle.
// True: it is gone, and must not be touched any more.
bool tv_worker_give_away(tv_worker *worker, tv_flow *flow, int64_t now_ns);
// For move.c: into the worker's inbox, from any thread; the flow is QUEUED.
void tv_worker_receive(tv_worker *worker, tv_flow *flow);
// No timer, list or pool of the worker knows the flow any more. It is in no queue.
void tv_worker_let_go(tv_worker *worker, tv_flow *flow);

// One decision of the scheduler: takes in what was notified, runs at most one turn. False: nothing was ready; then
// *wait_until_ns is the next timer. Tests call it without threads.
bool tv_worker_step(tv_worker *worker, int64_t *wait_until_ns);
// The flow shall be made ready when dead letters have been taken from the worker's channel.
void tv_worker_await_dead_letters(tv_flow *flow);
// I/O thread: they have been.
void tv_worker_dead_letters_taken(void *user);
// The flow has worked in a turn that began at now_ns.
void tv_trim_note(tv_worker *worker, tv_flow *flow, int64_t now_ns);
// The flow has nothing to go on with, or has used up its quantum: where memory is scarce, it gives back at once what
// it does not need.
void tv_trim_at_rest(tv_worker *worker, tv_flow *flow);
// The flow leaves the worker.
void tv_trim_forget(tv_worker *worker, tv_flow *flow);
// Trims one flow that is due, and says in trim_check_ns when to come again.
void tv_trim_run(tv_worker *worker, int64_t now_ns);
// The flow's deadline has changed.
void tv_worker_timer_update(tv_worker *worker, tv_flow *flow);
void tv_worker_timer_remove(tv_worker *worker, tv_flow *flow);
// Runs a worker until nothing is ready (tests).
void tv_worker_run_until_idle(tv_worker *worker);

#endif
