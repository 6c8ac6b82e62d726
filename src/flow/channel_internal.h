// The inside of a channel, shared by channel.c (I/O thread's side) and the flow (worker's side).
#ifndef TORVYN_FLOW_CHANNEL_INTERNAL_H
#define TORVYN_FLOW_CHANNEL_INTERNAL_H

#include "flow/channel.h"
#include "flow/ring.h"

struct tv_channel {
    tv_ring ring;
    _Atomic uint32_t tail_count; // producer: records committed; the ring itself has only those staged
    uint32_t record_bytes_max;
    uint32_t pause_bytes, resume_bytes; // fill marks
    uint32_t pause_records, resume_records;
    uint16_t origin;
    uint8_t input_index;      // input: of the stage that reads it; set once by tv_flow_new
    uint8_t direction;        // tv_direction
    uint8_t overflow;         // tv_overflow
    _Atomic uint8_t paused;   // input: the connector waits for room; changed by read-modify-writes only
    _Atomic bool held;        // input: it is to wait whether there is room or not; only the I/O thread writes it
    _Atomic bool drop_wanted; // input, drop-oldest: the worker shall make room
    _Atomic bool want_released;
    _Atomic bool ended;  // nothing follows what is committed
    _Atomic bool failed; // tv_channel_failure says why
    _Atomic bool ready_marked;
    _Atomic bool trim_wanted; // the I/O thread shall give back the pages of an input's ring if it is empty, and buffers
    bool went_idle;           // I/O thread: the connector has not been told
    uint32_t trimmed_tail;    // worker: the tail when trim_wanted was last set

    // Producer's counters. Atomic because figures are read from elsewhere; only the producer writes them.
    _Atomic uint64_t pushed;
    _Atomic uint64_t pushed_bytes;
    _Atomic uint64_t dropped[TV_DROP_COUNT]; // input: by the connector's side; DROP_OLDEST: by the worker
    _Atomic uint64_t popped;                 // output: by the connector's side
    _Atomic uint64_t released;               // input: sequence of the newest message in the flow
    tv_memory_account *memory;
    tv_record *reserved; // between reserve and commit
    char *failure;       // heap; NULL until it fails, and without memory for it

    void *connector;
    tv_ready_list *ready_list; // where the I/O thread looks
    tv_channel_wake io_wake;
    tv_inbox_item ready_item;

    // The flow behind it; set once by tv_flow_new before the connector opens.
    void (*notify_flow)(void *flow);
    void *flow;
    char name[];
};

// Why it has failed; valid once `failed` is set.
const char *tv_channel_failure(const tv_channel *channel);
// Records the consumer has before it; any thread.
static inline uint32_t tv_channel_committed_records(const tv_channel *channel) {
    uint32_t head_count = atomic_load_explicit(&channel->ring.head_count, memory_order_relaxed);
    uint32_t queued = atomic_load_explicit(&channel->tail_count, memory_order_acquire) - head_count;
    return queued <= channel->ring.capacity_records ? queued : 0; // the other side moved in between
}
// Heap it takes, without the ring.
size_t tv_channel_state_bytes(const tv_channel *channel);
// Worker's side: after records up to `sequence` were popped from an input channel; wakes a paused connector at the
// resume mark.
void tv_channel_popped(tv_channel *channel, uint64_t sequence);
// Worker's side: commits what was staged on an output channel and wakes the connector.
void tv_channel_publish_output(tv_channel *channel);
// Worker's side: nothing more will come on an output channel.
void tv_channel_end_output(tv_channel *channel);
// Worker's side: drops the oldest committed records of an input channel down to half, if the producer asked for it.
// Returns how many.
uint64_t tv_channel_drop_oldest(tv_channel *channel);
// Worker's side: the flow is idle; asks the I/O thread to give back what is its to give.
void tv_channel_want_trim(tv_channel *channel);
// Wires the channel to the I/O thread's list. Before use.
void tv_channel_attach_io(tv_channel *channel, tv_ready_list *list, tv_channel_wake wake);

#endif
