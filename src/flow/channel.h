// Channels: where a flow meets the I/O thread, and the table a connector fills in.
//
// A channel is a bounded ring of records with one producer and one consumer. Input: a connector (I/O thread) writes
// messages, the flow (worker) reads them. Output: the flow writes, the connector reads. Nobody waits: a side that
// finds no room or no record is told later through its wake-up.
#ifndef TORVYN_FLOW_CHANNEL_H
#define TORVYN_FLOW_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/inbox.h"
#include "base/option.h"
#include "base/status.h"
#include "flow/memory.h"
#include "torvyn/abi.h"

typedef struct tv_channel tv_channel;

typedef enum tv_direction { TV_INPUT = 1, TV_OUTPUT = 2 } tv_direction;

typedef enum tv_overflow {
    TV_OVERFLOW_BLOCK, // back-pressure
    TV_OVERFLOW_DROP_OLDEST,
    TV_OVERFLOW_DROP_NEWEST,
    TV_OVERFLOW_ERROR, // the flow stops
    TV_OVERFLOW_COUNT,
} tv_overflow;
const char *tv_overflow_name(tv_overflow overflow);

typedef enum tv_drop_reason {
    TV_DROP_OLDEST,    // by policy drop-oldest
    TV_DROP_NEWEST,    // by policy drop-newest
    TV_DROP_ERROR,     // by policy error
    TV_DROP_TOO_LARGE, // larger than the edge's largest record
    TV_DROP_STOPPED,   // left in the queue when the flow failed or the grace time was over
    TV_DROP_EDGE_COUNT,
    TV_DROP_INCOMPLETE = TV_DROP_EDGE_COUNT, // input channels: the far side ended within the message
    TV_DROP_COUNT,
} tv_drop_reason;
const char *tv_drop_reason_name(tv_drop_reason reason);

// Tells a thread that a list has become non-empty; any thread, must not block. What was written before it is to be seen
// by who wakes up, which uv_async_send alone does not promise (see host/run.c); a write to an eventfd does.
typedef struct tv_channel_wake {
    void (*wake)(void *user);
    void *user;
} tv_channel_wake;

// Channels that want the I/O thread's attention.
typedef tv_inbox tv_ready_list;

typedef struct tv_channel_options {
    const char *name;
    tv_direction direction;
    tv_overflow overflow;    // input: what happens if the connector cannot be paused
    uint32_t capacity_bytes; // rounded up to a power of two
    uint32_t capacity_records;
    uint32_t record_bytes_max; // header included
    uint8_t pause_percent, resume_percent;
    uint16_t origin;           // header field `origin` of its messages
    tv_memory_account *memory; // where it is counted; NULL: nowhere
} tv_channel_options;

tv_status tv_channel_new(const tv_channel_options *options, tv_channel **out, tv_error *error);
void tv_channel_free(tv_channel *channel); // NULL is allowed; flow and connector must have let go
const char *tv_channel_name(const tv_channel *channel);
tv_direction tv_channel_direction(const tv_channel *channel);
// Largest payload of a message without attributes: the largest record less its header.
uint32_t tv_channel_payload_bytes_max(const tv_channel *channel);

// The connector's own pointer, for the I/O thread.
void tv_channel_set_connector(tv_channel *channel, void *state);
void *tv_channel_connector(const tv_channel *channel);

// ---- input side (I/O thread) --------------------------------------------------------------------------------

// Reserves room for a message of `payload_bytes` (and attributes) and gives the place for the payload; nothing is
// visible before tv_channel_commit. AGAIN: paused, the connector's `ready` will be called at the resume mark.
// TOO_LARGE: counted as dropped; say so and go on. With an overflow policy other than block the channel makes room
// or counts the drop and answers FULL.
tv_status tv_channel_reserve(tv_channel *channel, uint32_t payload_bytes, const uint8_t *attributes,
                             uint16_t attributes_bytes, uint8_t **payload);
// Counts a message that the connector cannot offer: TOO_LARGE or INCOMPLETE.
void tv_channel_drop(tv_channel *channel, tv_drop_reason reason);
// Makes the reserved message part of the channel; `event_time_ns` is usually TV_NO_EVENT_TIME.
void tv_channel_commit(tv_channel *channel, int64_t event_time_ns);
// reserve + copy + commit.
tv_status tv_channel_push(tv_channel *channel, const void *payload, uint32_t payload_bytes);
// Lets the flow see what was committed. Once for a group of messages.
void tv_channel_publish(tv_channel *channel);
// No more messages; publishes. The flow drains and ends.
void tv_channel_end(tv_channel *channel);
bool tv_channel_paused(const tv_channel *channel); // the connector waits: for room, or because it is held
// Lets the connector wait as if the queue were full, until it is let go; what is queued is worked off meanwhile. No
// effect on a channel with an overflow policy other than block, whose far side cannot wait. I/O thread.
void tv_channel_hold(tv_channel *channel, bool held);

// Acknowledgements: messages 1 .. released are in the flow (later: committed); the connector may confirm them to the
// far side. `ready` is called when the number has moved and the connector asked for it.
uint64_t tv_channel_committed(const tv_channel *channel); // number of the newest message
uint64_t tv_channel_released(const tv_channel *channel);
void tv_channel_want_released(tv_channel *channel, bool want);

// ---- output side (I/O thread) -------------------------------------------------------------------------------

// The run of whole records at the front: *first and their bytes. EMPTY, or EOF when the flow has ended and all is
// taken. Skip records never appear. The run stays valid until popped.
tv_status tv_channel_peek(tv_channel *channel, const tv_record **first, uint32_t *run_bytes, uint32_t *run_records);
// Takes `records` records of together `bytes` from the front: they are safe where the connector brought them.
void tv_channel_pop(tv_channel *channel, uint32_t records, uint32_t bytes);

static inline const uint8_t *tv_record_payload(const tv_record *record) {
    return (const uint8_t *)record + sizeof(tv_record) + record->attributes_bytes;
}
static inline const tv_record *tv_record_next(const tv_record *record) {
    return (const tv_record *)(const void *)((const uint8_t *)record + record->size_bytes);
}

// ---- both ---------------------------------------------------------------------------------------------------

uint32_t tv_channel_queued(const tv_channel *channel); // records the consumer has before it; any thread
uint64_t tv_channel_taken(const tv_channel *channel);  // records ever taken by the reader; any thread

// The far side is broken for good: the flow fails with this message. I/O thread.
void tv_channel_fail(tv_channel *channel, const char *message);
bool tv_channel_failed(const tv_channel *channel); // tv_channel_fail was called; any thread
// Whether the flow has gone idle since the last call: the connector then gives back what it does not need. I/O thread.
bool tv_channel_went_idle(tv_channel *channel);
// Counts what a connector has given back of its buffers. I/O thread.
void tv_channel_note_trimmed(tv_channel *channel, uint64_t bytes);
// Asks the I/O thread to call the connector's `ready` soon. I/O thread or worker.
void tv_channel_notify_io(tv_channel *channel);
// Takes all waiting channels off the list; follow with tv_channel_next_ready. I/O thread.
tv_channel *tv_ready_list_take(tv_ready_list *list);
// Clears the channel's mark and returns the one behind it. Call before serving the channel.
tv_channel *tv_channel_next_ready(tv_channel *channel);

// ---- connectors ---------------------------------------------------------------------------------------------

struct uv_loop_s;

// What a connector is opened with. `options` is the struct its option table describes, filled and checked.
typedef struct tv_connector_config {
    struct uv_loop_s *loop;
    const void *options;
    const tv_clock *clock;
    const char *place; // "flow/channel", for log lines
    // What this connector's channels have in common in a run, such as connections that several of them share: one
    // pointer for all of them, NULL until a channel sets it; the last that closes sets it back. NULL: there is no such
    // place (tests).
    void **shared;
} tv_connector_config;

// What keeps a connector from its work now, for whoever looks.
typedef struct tv_trouble {
    char text[320]; // what, why, and what to do
    int64_t for_ns; // so long already
} tv_trouble;

// One kind of connector. All functions run on the I/O thread and do not block on the far side.
typedef struct tv_connector {
    const char *name;              // as in `connector: file`
    const char *summary;           // one sentence
    unsigned directions;           // sum of enum tv_direction
    bool pausable;                 // false: the far side cannot be stopped, the overflow policy decides
    tv_option_table input_options; // count 0 if it has no input side
    tv_option_table output_options;
    // Further checks across options, without I/O; may be NULL.
    tv_status (*check)(tv_direction direction, const void *options, tv_error *error);
    // Opens and begins; *state is the connector's. IO, INVALID, DENIED with a message naming what was opened.
    tv_status (*open)(const tv_connector_config *config, tv_channel *channel, void **state, tv_error *error);
    // Input: there is room again, or released has moved. Output: there are records, or the end.
    void (*ready)(void *state);
    // Input: stop taking messages in and end the channel (a drain begins); what was taken stays. NULL for outputs.
    void (*stop)(void *state);
    // Lets go of everything: flushes what was popped, then calls `closed` exactly once (perhaps at once).
    void (*close)(void *state, void (*closed)(void *user), void *user);
    // Figures for reports, may be NULL: calls `figure` for each, name and value.
    void (*figures)(void *state, void (*figure)(void *user, const char *name, uint64_t value), void *user);
    // The flow has gone idle: gives the memory of buffers that are not in use back to the system, now or when they are
    // not, and says so (tv_channel_note_trimmed); may be NULL.
    void (*trim)(void *state);
    // Whether there is trouble (a full disk, a file that cannot be read) that the connector waits to see the end of;
    // may be NULL.
    bool (*trouble)(const void *state, tv_trouble *trouble);
    // Heap that `open` takes at most for these options and the channel's largest payload, for the plan; may be NULL.
    uint64_t (*memory_bytes)(tv_direction direction, const void *options, uint32_t payload_bytes_max);
    // Heap that all channels of the connector have in common when the one with these options needs the most; may be
    // NULL.
    uint64_t (*common_memory_bytes)(tv_direction direction, const void *options, uint32_t payload_bytes_max);
} tv_connector;

#endif
