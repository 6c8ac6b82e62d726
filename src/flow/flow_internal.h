// The inside of a flow, shared by the files of this module.
//
// A turn (turn.c) is the unit of work: every stage from source to sink gets at most one batch, and the counters obey
// the conservation laws when it ends. Who touches what: everything here belongs to the flow's worker, except the
// atomics marked so. Phases of a stage's step, in this order: 1 forward a waiting watermark; 2 resume; 3 timer;
// 4 pull or process; 5 close. Each phase ends the step if it finds no room.
#ifndef TORVYN_FLOW_FLOW_INTERNAL_H
#define TORVYN_FLOW_FLOW_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "flow/channel_internal.h"
#include "flow/flow.h"
#include "flow/ring.h"

typedef struct tv_worker tv_worker;
typedef struct tv_stage tv_stage;

// ---- edges --------------------------------------------------------------------------------------------------

// What a producer counts; taken back as a whole with a record that failed.
typedef struct tv_edge_produced {
    uint64_t pushed;
    uint64_t control; // of pushed: watermarks
    uint64_t bytes;
    uint64_t dropped_newest;
    int64_t watermark; // the newest one passed on
} tv_edge_produced;

typedef struct tv_edge {
    tv_ring *ring;       // &own, or the channel's
    tv_channel *channel; // NULL between two stages
    // Producer: this flow, unless it is an input channel.
    tv_edge_produced produced;
    tv_edge_produced mark; // as it was when the record being processed was begun
    tv_ring_mark ring_mark;
    // Consumer: this flow, unless it is an output channel.
    uint64_t popped, popped_control;
    int64_t watermark_popped;
    const tv_record *cursor; // record of the present batch this input stands at
    const uint8_t *run_end;
    uint64_t dropped[TV_DROP_COUNT]; // but DROP_NEWEST: produced.dropped_newest
    uint32_t record_bytes_max;
    uint32_t queued_bytes_peak;
    uint16_t from, to; // as in tv_edge_spec
    uint8_t input_index;
    tv_overflow overflow : 8;
    bool ended; // nothing follows what is in the ring
    tv_ring own;
} tv_edge;

static inline bool tv_edge_is_input_channel(const tv_edge *edge) { return (edge->from & TV_NODE_CHANNEL) != 0; }
static inline bool tv_edge_is_output_channel(const tv_edge *edge) { return (edge->to & TV_NODE_CHANNEL) != 0; }

// One record to push: what the guest (or the host, for a watermark) says, and the input record it comes from.
typedef struct tv_push {
    const tv_emit *emit;
    const tv_record *input; // origin, and attributes if inherited; NULL: none
    uint32_t size;          // of the whole record
    uint16_t inherited_bytes;
} tv_push;

// Whether a push of this size would be taken (or dropped by policy) now, rather than answered FULL.
bool tv_edge_can_take(const tv_edge *edge, uint32_t size);
// Stages the record, or drops by policy and counts: OK. FULL: a blocking edge has no room, nothing happened. LIMIT: an
// edge with policy `error` overflowed.
tv_status tv_edge_push(tv_edge *edge, const tv_push *push);
// Stages a watermark unless an earlier one was as late: OK or FULL.
tv_status tv_edge_push_watermark(tv_edge *edge, int64_t watermark_ns);
void tv_edge_mark(tv_edge *edge);
void tv_edge_roll_back(tv_edge *edge);
// Shows the consumer what was staged.
void tv_edge_commit(tv_edge *edge);
// Takes records from the front and counts them.
void tv_edge_pop(tv_edge *edge, uint32_t records, uint32_t control, uint32_t bytes, uint64_t last_sequence);
// Whether the producer has ended and all is consumed.
bool tv_edge_is_finished(tv_edge *edge);
// Counts what is still queued as dropped (stopped) and empties the ring.
void tv_edge_abandon(tv_edge *edge);

// ---- stages -------------------------------------------------------------------------------------------------

typedef struct tv_port {
    uint16_t first_edge, edge_count; // in tv_stage.outputs
} tv_port;

typedef enum tv_stage_state {
    TV_STAGE_RUNNING,
    TV_STAGE_BACKOFF, // without instance until backoff_until_ns
    TV_STAGE_CLOSING, // tv_close was called and answered MORE
    TV_STAGE_CLOSED,
} tv_stage_state;

struct tv_stage {
    // Hot: every call and every emit.
    tv_flow *flow;
    tv_instance *instance;
    tv_batch *batch;
    tv_edge **inputs;
    tv_edge **outputs; // sorted by port
    uint8_t input_count, output_count, port_count;
    tv_stage_state state : 8;
    tv_export call : 8; // the call under way
    bool in_call;
    bool more;        // output waits inside the component
    bool push_failed; // an edge with policy `error` overflowed
    bool closed_called;
    bool pull_ended;
    bool input_first; // after a tick, until the input had its turn: a timer that sets itself must not starve it
    uint32_t batch_bytes_limit;        // of the next batch
    uint32_t batch_count, batch_bytes; // of the call under way
    uint64_t batch_last_sequence;      // with one input
    uint32_t mark_index;               // newest record index seen, the marks of the edges are at its begin
    uint64_t mark_emitted, mark_emitted_unconnected, mark_bytes_out; // of stats, as they were there
    uint32_t rejected_index;    // record rejected last in this call; UINT32_MAX = none
    uint32_t rejected_count;    // in this call
    uint32_t cursor_index;      // record the inputs' cursors stand at
    uint32_t record_bytes_max;  // the largest record it may emit
    uint32_t payload_bytes_max; // of it
    tv_port *ports;
    uint8_t *order; // input of each record of the batch; NULL with one input
    const tv_stage_spec *spec;

    // CPU budget of the call under way.
    bool ticked;
    uint32_t tick_index;
    int64_t tick_call_ns, tick_index_ns; // thread CPU time at its begin

    int64_t timer_at_ns;       // INT64_MAX = none
    int64_t watermark_in;      // combined over the inputs, delivered to the component
    int64_t watermark_forward; // to be passed on; TV_NO_EVENT_TIME = none
    int64_t watermark_batch_ns;
    bool watermark_batch; // the batch under way is the combined watermark
    int64_t backoff_until_ns;
    int64_t window_start_ns;
    uint32_t window_restarts;
    uint32_t stuck_count;     // calls in a row without progress though there was room
    uint32_t fruitless_count; // tv_process with MORE in a row that neither consumed nor emitted
    uint32_t emitted_in_call; // records and watermarks that were taken, rolled back or not
    int64_t pull_at_ns;       // a source that had nothing is not asked again before
    int64_t log_window_ns;
    uint32_t log_window_lines;

    uint64_t processed_at_start; // of the present instance
    tv_stage_stats stats;        // all but the memory and edge figures
};

static inline const tv_module_info *tv_stage_spec_info(const tv_stage_spec *spec) {
    return spec->info ? spec->info : tv_module_get_info(spec->module);
}
static inline const tv_module_info *tv_stage_module_info(const tv_stage *stage) {
    return tv_stage_spec_info(stage->spec);
}

// The functions a stage serves to its instance.
extern const tv_guest_imports tv_stage_imports;

// Fills the guest's arena with what is there now. Returns whether there is a batch; *moved says whether control
// records were taken.
bool tv_stage_gather(tv_stage *stage, uint32_t quantum, bool *moved);
// One step of a stage, at most `quantum` records. Returns whether anything moved.
bool tv_stage_step(tv_stage *stage, uint32_t quantum, int64_t now_ns);
// Makes the instance and calls tv_init. FAULT or DENIED with a message that names the stage.
tv_status tv_stage_start(tv_stage *stage, tv_error *error);
// Input record `index` of the batch under way, in the ring. The index may only grow within a batch.
const tv_record *tv_stage_seek(tv_stage *stage, uint32_t index);
static inline const tv_record *tv_stage_record(tv_stage *stage, uint32_t index) {
    if (!stage->order && index == stage->cursor_index + 1) { // the next one of a single input lies behind this one
        stage->cursor_index = index;
        stage->inputs[0]->cursor = tv_record_next(stage->inputs[0]->cursor);
    }
    return index == stage->cursor_index && !stage->order ? stage->inputs[0]->cursor : tv_stage_seek(stage, index);
}
// The guest's record index, checked: the last right one if it is wrong.
uint32_t tv_stage_index(const tv_stage *stage);
// Puts the edges' marks at the begin of record `index`, and takes back what was staged since.
void tv_stage_mark(tv_stage *stage, uint32_t index);
void tv_stage_roll_back(tv_stage *stage);
void tv_stage_commit(tv_stage *stage);
void tv_stage_log(tv_stage *stage, tv_log_level level, const char *text, size_t length);

// Handles a failed call: takes back, dead-letters, restarts or stops.
void tv_stage_fail(tv_stage *stage, const tv_fault *fault, int64_t now_ns);
// Takes `count` records of the batch from the inputs and counts them.
void tv_stage_pop(tv_stage *stage, uint32_t count);
// After a back-off: a new instance, or failure of the flow.
void tv_stage_restart(tv_stage *stage, int64_t now_ns);

// ---- dead letters -------------------------------------------------------------------------------------------

enum { TV_DEAD_LETTER_QUEUE_FACTOR = 3 }; // of its largest line, that a dead-letter queue must hold at least
// How many of `quantum` records the next batch may have so that each can become a dead letter, and in
// batch_bytes_limit how many bytes; 0: not even one now.
uint32_t tv_dead_letter_limit_batch(tv_stage *stage, uint32_t quantum);
// Where the records of an edge come from: a channel or a stage.
const char *tv_edge_source_name(const tv_flow *flow, const tv_edge *edge);
// Writes one; the caller has asked for room. `fault` is NULL for a rejection.
void tv_dead_letter_write(tv_stage *stage, const tv_record *record, const char *reason, size_t reason_length,
                          const tv_fault *fault);

// ---- flows --------------------------------------------------------------------------------------------------

enum tv_schedule {
    TV_SCHEDULE_IDLE,
    TV_SCHEDULE_QUEUED, // in the inbox or a ready queue of its worker
    TV_SCHEDULE_RUNNING,
    TV_SCHEDULE_NOTIFIED, // while it runs
    TV_SCHEDULE_DETACHED, // removed from its worker: for ever
};

typedef struct tv_flow_snapshot {
    tv_flow_stats flow;
    tv_stage_stats stages[]; // stage_count, and behind them edge_count tv_edge_stats
} tv_flow_snapshot;

typedef void tv_flow_end(void *user, tv_flow *flow);

struct tv_flow {
    tv_worker *worker;
    const tv_flow_spec *spec;
    tv_stage *stages;  // in the order of the spec
    uint16_t *order;   // stage indexes from source to sink
    tv_edge *edges;    // in the order of the spec
    _Atomic int state; // tv_flow_state
    _Atomic int schedule;
    tv_flow *inbox_next; // other threads put it to the worker's inbox
    tv_flow *queue_next; // worker's ready queue
    tv_flow *letters_next;
    bool awaits_letters; // is in the worker's list of waiters
    uint32_t quantum;
    uint32_t credit;     // records left in this yield cycle
    uint64_t cycle;      // the cycle the credit is of
    bool adopted;        // by its worker
    uint16_t next_stage; // where a turn that was cut goes on, in `order`; 0 = at the source
    tv_class class : 8;  // in force, as quantum and turn_ns
    bool class_quantum;  // the quantum follows the class
    int64_t turn_ns;
    uint32_t turn_ticks; // turn_ns in ticks of 1 ms
    _Atomic bool pause_wanted;
    _Atomic uint8_t remove_wanted;       // tv_removal; 0 = stays
    _Atomic(tv_flow_request *) requests; // newest first
    _Atomic bool drain_wanted;
    _Atomic bool at_rest;   // over, and its last turn is done: nobody but the readers of figures looks at it any more
    uint32_t active_frames; // stages with a call under way; a flow with one is not eligible
    uint64_t turns;
    int64_t deadline_ns;  // earliest timer or back-off of its stages; INT64_MAX = none
    uint32_t timer_index; // in the worker's timer heap; UINT32_MAX = not in it
    int64_t started_ns;
    void *ring_memory;
    size_t ring_memory_bytes;
    size_t state_bytes;
    _Atomic(tv_flow_end *) on_end; // taken by whoever calls it
    void *on_end_user;
    tv_flow_end *on_removed;
    void *on_removed_user;
    char failure[512];
    // Figures for other threads, filled at a turn boundary when wanted.
    pthread_mutex_t snapshot_mutex;
    tv_flow_snapshot *snapshot;
    _Atomic bool snapshot_wanted;
    tv_flow *all_next, *all_previous; // the runtime's list
};

// One turn. Returns whether anything moved and something is left to go on with.
bool tv_flow_turn(tv_flow *flow, int64_t now_ns);
void tv_flow_set_state(tv_flow *flow, tv_flow_state state);
// FAILED, once, with a message for people.
void tv_flow_fail(tv_flow *flow, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool tv_flow_is_over(const tv_flow *flow);
// Puts settings in force that tv_flow_set would take: by the worker, or before it has the flow.
void tv_flow_apply(tv_flow *flow, const tv_flow_settings *settings);
// Calls on_end if it was not yet.
void tv_flow_tell_end(tv_flow *flow);
// Worker, between two turns: runs what was posted.
void tv_flow_run_requests(tv_flow *flow);
// When the flow is freed: those left are told that it is gone.
void tv_flow_refuse_requests(tv_flow *flow);
// Any thread: there is something to do.
void tv_flow_notify(void *user);
void tv_flow_snapshot_take(tv_flow *flow);
size_t tv_flow_snapshot_bytes(const tv_flow_spec *spec); // heap, from the first question for figures on
int64_t tv_flow_now_ns(const tv_flow *flow);

// What only the channels themselves tell: directions, and records that no batch could carry.
tv_status tv_flow_spec_check_channels(const tv_flow_spec *spec, tv_channel *const *channels, tv_error *error);
// Stage order from source to sink; INVALID names the cycle. `order` has stage_count places.
tv_status tv_flow_spec_order(const tv_flow_spec *spec, uint16_t *order, tv_error *error);
// Heap that tv_flow_new takes for the flow's own state.
size_t tv_flow_spec_state_bytes(const tv_flow_spec *spec);
uint32_t tv_class_quantum(tv_class class);

// ---- workers ------------------------------------------------------------------------------------------------

struct tv_runtime {
    tv_engine *engine;
    const tv_clock *clock;
    tv_worker *workers;
    uint32_t worker_count;
    uint32_t next_worker;
    tv_channel_wake io_wake;
    tv_ready_list *io_ready;
    bool started;
    tv_flow *flows; // of the thread that makes and frees them
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
    _Atomic(tv_flow *) inbox;
    _Atomic bool sleeping;
    tv_flow_queue ready[TV_CLASS_COUNT]; // with credit left in this cycle
    tv_flow_queue next[TV_CLASS_COUNT];  // for the next cycle
    uint64_t cycle;
    tv_flow **timers; // heap by deadline
    uint32_t timer_count, timer_capacity;
    uint32_t flow_count;      // adopted: no timer finds the heap full
    tv_channel *dead_letters; // NULL: only counted
    uint64_t dead_letter_sequence;
    tv_flow *dead_letter_waiters;         // flows that found no room there
    _Atomic bool dead_letters_were_taken; // by the I/O thread, since the waiters were last told
};

// One decision of the scheduler: takes in what was notified, runs at most one turn. False: nothing was ready; then
// *wait_until_ns is the next timer. Tests call it without threads.
bool tv_worker_step(tv_worker *worker, int64_t *wait_until_ns);
// The flow shall be made ready when dead letters have been taken from the worker's channel.
void tv_worker_await_dead_letters(tv_flow *flow);
// I/O thread: they have been.
void tv_worker_dead_letters_taken(void *user);
// The flow's deadline has changed.
void tv_worker_timer_update(tv_worker *worker, tv_flow *flow);
void tv_worker_timer_remove(tv_worker *worker, tv_flow *flow);
// Runs a worker until nothing is ready (tests).
void tv_worker_run_until_idle(tv_worker *worker);

#endif
