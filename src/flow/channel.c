// Channels: the connector's side (I/O thread) and the few steps the worker takes at the other end.
//
// Each shared field has one writer. A side that goes to sleep says so in an atomic first and looks again, so that a
// wake-up cannot fall between. What this file does not do: touch flows, threads or file descriptors.
#include "flow/channel_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/base.h"
#include "flow/flow.h"
#include "flow/heap.h"

static tv_status options_check(const tv_channel_options *options, tv_error *error) {
    if (options->capacity_bytes < TV_QUEUE_BYTES_MIN || options->capacity_bytes > TV_QUEUE_BYTES_MAX)
        return tv_error_set(error, TV_INVALID, "channel %s: queue of %u bytes; allowed are %d to %u", options->name,
                            options->capacity_bytes, TV_QUEUE_BYTES_MIN, TV_QUEUE_BYTES_MAX);
    if (options->capacity_records < 1 || options->capacity_records > TV_QUEUE_RECORDS_MAX)
        return tv_error_set(error, TV_INVALID, "channel %s: queue of %u records; allowed are 1 to %d", options->name,
                            options->capacity_records, TV_QUEUE_RECORDS_MAX);
    if (options->record_bytes_max > options->capacity_bytes / 2)
        return tv_error_set(error, TV_TOO_LARGE,
                            "channel %s: a queue of %u bytes cannot carry records of %u bytes; it needs twice that",
                            options->name, options->capacity_bytes, options->record_bytes_max);
    if (options->pause_percent > 100 || options->resume_percent > options->pause_percent)
        return tv_error_set(error, TV_INVALID, "channel %s: resume (%u %%) must not be above pause (%u %%)",
                            options->name, options->resume_percent, options->pause_percent);
    return TV_OK;
}

tv_status tv_channel_new(const tv_channel_options *options, tv_channel **out, tv_error *error) {
    tv_status status = options_check(options, error);
    if (status != TV_OK) return status;
    uint32_t capacity = tv_ring_capacity(options->capacity_bytes);
    size_t memory_bytes = tv_ring_memory_bytes(capacity);
    tv_channel *channel = calloc(1, sizeof *channel + strlen(options->name) + 1);
    if (!channel) return tv_error_set(error, TV_NO_MEMORY, "channel %s: out of memory", options->name);
    void *bytes = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED) {
        free(channel);
        return tv_error_set(error, TV_NO_MEMORY, "channel %s: no memory for a queue of %u bytes", options->name,
                            capacity);
    }
    tv_ring_init(&channel->ring, bytes, capacity, options->capacity_records);
    channel->memory = options->memory;
    tv_memory_account_add(channel->memory, TV_MEMORY_CHANNELS, memory_bytes);
    tv_memory_account_add(channel->memory, TV_MEMORY_STATE, tv_heap_bytes(channel));
    memcpy(channel->name, options->name, strlen(options->name) + 1);
    channel->direction = (uint8_t)options->direction;
    channel->overflow = (uint8_t)options->overflow;
    channel->record_bytes_max = options->record_bytes_max;
    channel->origin = options->origin;
    channel->pause_bytes = (uint32_t)((uint64_t)capacity * options->pause_percent / 100);
    channel->resume_bytes = (uint32_t)((uint64_t)capacity * options->resume_percent / 100);
    channel->pause_records = (uint32_t)((uint64_t)options->capacity_records * options->pause_percent / 100);
    channel->resume_records = (uint32_t)((uint64_t)options->capacity_records * options->resume_percent / 100);
    if (channel->pause_records == 0) channel->pause_records = 1;
    *out = channel;
    return TV_OK;
}

void tv_channel_free(tv_channel *channel) {
    if (!channel) return;
    size_t memory_bytes = tv_ring_memory_bytes(channel->ring.capacity_bytes);
    tv_memory_account_subtract(channel->memory, TV_MEMORY_CHANNELS, memory_bytes);
    tv_memory_account_subtract(channel->memory, TV_MEMORY_STATE, tv_channel_state_bytes(channel));
    munmap(channel->ring.bytes, memory_bytes);
    free(channel->failure);
    free(channel);
}

size_t tv_channel_state_bytes(const tv_channel *channel) {
    return tv_heap_bytes(channel) + (atomic_load(&channel->failed) ? tv_heap_bytes(channel->failure) : 0);
}

const char *tv_channel_name(const tv_channel *channel) { return channel->name; }
tv_direction tv_channel_direction(const tv_channel *channel) { return (tv_direction)channel->direction; }

uint32_t tv_channel_payload_bytes_max(const tv_channel *channel) {
    uint32_t whole = channel->record_bytes_max & ~7u;
    return whole > sizeof(tv_record) ? whole - (uint32_t)sizeof(tv_record) : 0;
}

void tv_channel_set_connector(tv_channel *channel, void *state) { channel->connector = state; }
void *tv_channel_connector(const tv_channel *channel) { return channel->connector; }
bool tv_channel_paused(const tv_channel *channel) {
    return atomic_load(&channel->paused) != 0 || atomic_load_explicit(&channel->held, memory_order_relaxed);
}
bool tv_channel_failed(const tv_channel *channel) { return atomic_load(&channel->failed); }

void tv_channel_attach_io(tv_channel *channel, tv_ready_list *list, tv_channel_wake wake) {
    channel->ready_list = list;
    channel->io_wake = wake;
}

// ---- the I/O thread's list ----------------------------------------------------------------------------------

void tv_channel_notify_io(tv_channel *channel) {
    if (!channel->ready_list || atomic_exchange(&channel->ready_marked, true)) return;
    bool first = tv_inbox_put(channel->ready_list, &channel->ready_item);
    if (first && channel->io_wake.wake) channel->io_wake.wake(channel->io_wake.user);
}

static tv_channel *ready_channel(tv_inbox_item *item) {
    return item ? TV_INBOX_OWNER(item, tv_channel, ready_item) : NULL;
}

tv_channel *tv_ready_list_take(tv_ready_list *list) { return ready_channel(tv_inbox_take(list)); }

void tv_channel_note_trimmed(tv_channel *channel, uint64_t bytes) {
    if (channel->memory) atomic_fetch_add_explicit(&channel->memory->trimmed_bytes, bytes, memory_order_relaxed);
}

// I/O thread, the producer: nothing is in the ring and nothing is being written, so its pages hold nothing.
static void trim(tv_channel *channel) {
    tv_ring *ring = &channel->ring;
    if (channel->reserved || ring->staged != atomic_load_explicit(&ring->head, memory_order_acquire)) return;
    tv_channel_note_trimmed(channel, tv_ring_give_back(ring));
}

tv_channel *tv_channel_next_ready(tv_channel *channel) {
    tv_channel *next = ready_channel(channel->ready_item.next);
    atomic_exchange(&channel->ready_marked, false); // an exchange, for the order with tv_channel_notify_io
    if (!atomic_exchange(&channel->trim_wanted, false)) return next;
    if (channel->direction == TV_INPUT) trim(channel); // an output's is the worker's
    channel->went_idle = true;
    return next;
}

bool tv_channel_went_idle(tv_channel *channel) {
    bool went_idle = channel->went_idle;
    channel->went_idle = false;
    return went_idle;
}

// ---- input side ---------------------------------------------------------------------------------------------

// The producer's view; what is staged counts.
static bool over_mark(const tv_channel *channel, uint32_t bytes_mark, uint32_t records_mark) {
    return tv_ring_used_bytes(&channel->ring) >= bytes_mark || tv_ring_used_records(&channel->ring) >= records_mark;
}

// The consumer's: what is committed.
static bool queued_over_mark(const tv_channel *channel, uint32_t bytes_mark, uint32_t records_mark) {
    return tv_ring_queued_bytes(&channel->ring) >= bytes_mark || tv_channel_committed_records(channel) >= records_mark;
}

void tv_channel_drop(tv_channel *channel, tv_drop_reason reason) {
    atomic_fetch_add_explicit(&channel->pushed, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&channel->dropped[reason], 1, memory_order_relaxed);
}

static void notify_flow(tv_channel *channel) {
    if (channel->notify_flow) channel->notify_flow(channel->flow);
}

// Full, and the far side can be paused: remember that we wait, then look once more.
static tv_status pause(tv_channel *channel, uint32_t size) {
    atomic_exchange(&channel->paused, 1); // pairs with the one in tv_channel_popped: one side sees the other
    if (!over_mark(channel, channel->pause_bytes, channel->pause_records) && tv_ring_has_room(&channel->ring, size)) {
        atomic_exchange(&channel->paused, 0);
        return TV_OK;
    }
    tv_channel_publish(channel);
    return TV_AGAIN;
}

// Full, and the policy decides.
static tv_status overflow(tv_channel *channel) {
    switch ((tv_overflow)channel->overflow) {
    case TV_OVERFLOW_DROP_OLDEST:
        // Only the consumer can take the oldest; until it has, the newest has to go.
        atomic_store(&channel->drop_wanted, true);
        tv_channel_drop(channel, TV_DROP_NEWEST);
        tv_channel_publish(channel);
        notify_flow(channel);
        return TV_FULL;
    case TV_OVERFLOW_DROP_NEWEST:
        tv_channel_drop(channel, TV_DROP_NEWEST);
        tv_channel_publish(channel);
        return TV_FULL;
    case TV_OVERFLOW_ERROR:
        tv_channel_drop(channel, TV_DROP_ERROR);
        tv_channel_fail(channel, "queue overflow (overflow: error)");
        return TV_FULL;
    case TV_OVERFLOW_BLOCK:
    case TV_OVERFLOW_COUNT: break;
    }
    return TV_AGAIN;
}

void tv_channel_hold(tv_channel *channel, bool held) {
    if (channel->overflow != TV_OVERFLOW_BLOCK || channel->direction != TV_INPUT) return;
    bool was_held = atomic_exchange_explicit(&channel->held, held, memory_order_relaxed);
    if (was_held && !held) tv_channel_notify_io(channel);
}

static tv_status make_room(tv_channel *channel, uint32_t size) {
    if (channel->overflow == TV_OVERFLOW_BLOCK) {
        if (atomic_load_explicit(&channel->held, memory_order_relaxed)) {
            tv_channel_publish(channel);
            return TV_AGAIN;
        }
        if (over_mark(channel, channel->pause_bytes, channel->pause_records) || !tv_ring_has_room(&channel->ring, size))
            return pause(channel, size);
        return TV_OK;
    }
    if (!tv_ring_has_room(&channel->ring, size)) return overflow(channel);
    // Ask early, so that the worker makes room before the newest have to go.
    if (channel->overflow == TV_OVERFLOW_DROP_OLDEST &&
        over_mark(channel, channel->ring.capacity_bytes / 4 * 3, channel->ring.capacity_records / 4 * 3 + 1))
        atomic_store(&channel->drop_wanted, true);
    return TV_OK;
}

tv_status tv_channel_reserve(tv_channel *channel, uint32_t payload_bytes, const uint8_t *attributes,
                             uint16_t attributes_bytes, uint8_t **payload) {
    TV_ASSERT(!channel->reserved && (attributes_bytes & 7) == 0);
    uint64_t size = tv_align_up_u64(sizeof(tv_record) + attributes_bytes + (uint64_t)payload_bytes, 8);
    if (size > channel->record_bytes_max) {
        tv_channel_drop(channel, TV_DROP_TOO_LARGE);
        return TV_TOO_LARGE;
    }
    tv_status status = make_room(channel, (uint32_t)size);
    if (status != TV_OK) return status;
    uint8_t *place = tv_ring_stage(&channel->ring, (uint32_t)size);
    TV_ASSERT(place);
    memset(place + size - 8, 0, 8);
    tv_record *record = (tv_record *)(void *)place;
    *record = (tv_record){.size_bytes = (uint32_t)size,
                          .payload_bytes = payload_bytes,
                          .attributes_bytes = attributes_bytes,
                          .port = channel->input_index,
                          .origin = channel->origin};
    if (attributes_bytes) memcpy(place + sizeof *record, attributes, attributes_bytes);
    channel->reserved = record;
    *payload = place + sizeof *record + attributes_bytes;
    return TV_OK;
}

void tv_channel_commit(tv_channel *channel, int64_t event_time_ns) {
    tv_record *record = channel->reserved;
    TV_ASSERT(record);
    uint64_t sequence = atomic_load_explicit(&channel->pushed, memory_order_relaxed) + 1;
    record->sequence = sequence;
    record->origin_sequence = sequence;
    record->event_time_ns = event_time_ns;
    channel->reserved = NULL;
    atomic_store_explicit(&channel->pushed, sequence, memory_order_relaxed);
    atomic_store_explicit(&channel->pushed_bytes,
                          atomic_load_explicit(&channel->pushed_bytes, memory_order_relaxed) + record->size_bytes,
                          memory_order_relaxed);
}

tv_status tv_channel_push(tv_channel *channel, const void *payload, uint32_t payload_bytes) {
    uint8_t *place;
    tv_status status = tv_channel_reserve(channel, payload_bytes, NULL, 0, &place);
    if (status != TV_OK) return status;
    if (payload_bytes) memcpy(place, payload, payload_bytes);
    tv_channel_commit(channel, TV_NO_EVENT_TIME);
    return TV_OK;
}

// The count before the bytes: whoever sees these sees it too.
static bool commit(tv_channel *channel) {
    atomic_store_explicit(&channel->tail_count, channel->ring.staged_count, memory_order_relaxed);
    return tv_ring_commit(&channel->ring);
}

void tv_channel_publish(tv_channel *channel) {
    TV_ASSERT(!channel->reserved);
    if (commit(channel)) notify_flow(channel);
}

void tv_channel_end(tv_channel *channel) {
    tv_channel_publish(channel);
    atomic_store(&channel->ended, true);
    notify_flow(channel);
}

uint64_t tv_channel_committed(const tv_channel *channel) {
    return atomic_load_explicit(&channel->pushed, memory_order_relaxed);
}

uint64_t tv_channel_released(const tv_channel *channel) {
    return atomic_load_explicit(&channel->released, memory_order_acquire);
}

// Like `pause`: either tv_channel_popped sees the wish, or the caller sees what it has released.
void tv_channel_want_released(tv_channel *channel, bool want) {
    atomic_store_explicit(&channel->want_released, want, memory_order_relaxed);
    atomic_fetch_or(&channel->paused, 0);
}

// ---- output side --------------------------------------------------------------------------------------------

tv_status tv_channel_peek(tv_channel *channel, const tv_record **first, uint32_t *run_bytes, uint32_t *run_records) {
    bool ended = atomic_load(&channel->ended); // before looking: what was committed first is then visible
    const uint8_t *run_end;
    const tv_record *front = tv_ring_front(&channel->ring, &run_end);
    if (!front) return ended ? TV_EOF : TV_EMPTY;
    uint32_t bytes = 0, records = 0;
    for (const tv_record *record = front; record; record = tv_ring_run_next(record, run_end)) {
        bytes += record->size_bytes;
        records++;
    }
    *first = front;
    *run_bytes = bytes;
    *run_records = records;
    return TV_OK;
}

void tv_channel_pop(tv_channel *channel, uint32_t records, uint32_t bytes) {
    uint64_t popped = atomic_load_explicit(&channel->popped, memory_order_relaxed) + records;
    atomic_store_explicit(&channel->popped, popped, memory_order_relaxed);
    tv_ring_pop(&channel->ring, records, bytes);
    notify_flow(channel);
    // The last of all: whoever waits for the end to be delivered need not look again and again.
    if (atomic_load(&channel->ended) && tv_ring_is_empty(&channel->ring)) tv_channel_notify_io(channel);
}

uint32_t tv_channel_queued(const tv_channel *channel) { return tv_channel_committed_records(channel); }

uint64_t tv_channel_taken(const tv_channel *channel) {
    return atomic_load_explicit(&channel->popped, memory_order_relaxed);
}

void tv_channel_fail(tv_channel *channel, const char *message) {
    if (atomic_load(&channel->failed)) return;
    channel->failure = strdup(message);
    tv_memory_account_add(channel->memory, TV_MEMORY_STATE, tv_heap_bytes(channel->failure));
    atomic_store(&channel->failed, true);
    notify_flow(channel);
    tv_channel_notify_io(channel); // nothing more will be delivered: see tv_channel_pop
}

const char *tv_channel_failure(const tv_channel *channel) {
    return channel->failure ? channel->failure : "failed (no memory to say why)";
}

// ---- worker's side ------------------------------------------------------------------------------------------

void tv_channel_popped(tv_channel *channel, uint64_t sequence) {
    atomic_store_explicit(&channel->released, sequence, memory_order_release);
    // A read-modify-write too. Nothing else ever changes `paused`, so of two in a row the later one sees what the other
    // side did before the earlier one, on processors with a weak memory order as well.
    if (atomic_fetch_or(&channel->paused, 0) &&
        !queued_over_mark(channel, channel->resume_bytes + 1, channel->resume_records + 1)) {
        atomic_exchange(&channel->paused, 0);
        tv_channel_notify_io(channel);
    } else if (atomic_load_explicit(&channel->want_released, memory_order_relaxed)) {
        tv_channel_notify_io(channel);
    }
}

void tv_channel_want_trim(tv_channel *channel) {
    uint32_t tail = atomic_load_explicit(&channel->ring.tail, memory_order_relaxed);
    if (tail == channel->trimmed_tail) return; // nothing has come since
    channel->trimmed_tail = tail;
    atomic_store(&channel->trim_wanted, true);
    tv_channel_notify_io(channel);
}

void tv_channel_publish_output(tv_channel *channel) {
    if (commit(channel)) tv_channel_notify_io(channel);
}

void tv_channel_end_output(tv_channel *channel) {
    tv_channel_publish_output(channel);
    atomic_store(&channel->ended, true);
    tv_channel_notify_io(channel);
}

uint64_t tv_channel_drop_oldest(tv_channel *channel) {
    if (!atomic_load_explicit(&channel->drop_wanted, memory_order_acquire)) return 0; // and see what it fills
    atomic_store(&channel->drop_wanted, false);
    uint64_t dropped = 0;
    const uint8_t *run_end;
    const tv_record *front;
    while (queued_over_mark(channel, channel->ring.capacity_bytes / 2, channel->ring.capacity_records / 2 + 1) &&
           (front = tv_ring_front(&channel->ring, &run_end)) != NULL) {
        tv_ring_pop(&channel->ring, 1, front->size_bytes);
        dropped++;
    }
    atomic_fetch_add_explicit(&channel->dropped[TV_DROP_OLDEST], dropped, memory_order_relaxed);
    return dropped;
}
