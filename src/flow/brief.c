// A flow's figures in a few words, for whoever looks at thousands of flows again and again.
//
// Nothing is kept for a flow that nobody has asked about. The first question allocates the words and has the flow's
// worker fill them between two turns; from then on the worker fills them at the end of each turn, so that later
// questions wake nobody. Single words, read one by one: they need not be of the same turn.
#include "flow/flow_internal.h"

#include <stdlib.h>

struct tv_flow_published {
    tv_flow_request first; // fills it for the first time
    tv_flow *flow;
    _Atomic bool valid;
    _Atomic uint64_t turns, records_in, bytes_in, records_out, bytes_out;
    _Atomic uint64_t dropped[TV_DROP_COUNT];
    _Atomic uint64_t dead_lettered, dead_letters_lost, rejected, faults, restarts, state_losses;
    _Atomic uint64_t emitted_unconnected, guest_bytes;
    _Atomic int64_t busy_ns, throttled_ns;
    _Atomic bool demoted;
    _Atomic uint32_t inner_queue_percent, inner_queue;
    _Atomic int class;
};

static void set(_Atomic uint64_t *word, uint64_t value) { atomic_store_explicit(word, value, memory_order_relaxed); }

static uint32_t percent_of(uint64_t used, uint32_t capacity) {
    return capacity ? (uint32_t)(100 * used / capacity) : 0;
}

// ---- the worker's side ----------------------------------------------------------------------------------------

static void add_edge(const tv_edge *edge, uint32_t index, tv_flow_brief *sum) {
    tv_edge_stats stats;
    tv_edge_read(edge, &stats);
    for (int i = 0; i < TV_DROP_COUNT; i++)
        sum->dropped[i] += stats.dropped[i];
    if (edge->kind == TV_EDGE_INPUT) {
        sum->records_in += stats.pushed;
        sum->bytes_in += stats.pushed_bytes;
    } else if (edge->kind == TV_EDGE_OUTPUT) {
        sum->records_out += stats.popped > stats.control ? stats.popped - stats.control : 0;
        sum->bytes_out += stats.pushed_bytes;
    } else if (percent_of(stats.queued_bytes, stats.capacity_bytes) > sum->queue_percent) {
        sum->queue_percent = percent_of(stats.queued_bytes, stats.capacity_bytes);
        sum->queue = index;
    }
}

static void add_stage(const tv_stage *stage, tv_flow_brief *sum) {
    tv_stage_stats stats;
    tv_stage_read(stage, &stats);
    sum->dead_lettered += stats.dead_lettered;
    sum->dead_letters_lost += stats.dead_letters_unwritten;
    sum->rejected += stats.rejected;
    sum->faults += stats.faults;
    sum->restarts += stats.restarts;
    sum->state_losses += stats.state_losses;
    sum->emitted_unconnected += stats.emitted_unconnected;
    sum->busy_ns += stats.busy_ns;
    sum->guest_bytes += stats.memory_bytes;
    if (stage->input_count == 0) { // it makes its records itself
        sum->records_in += stats.emitted;
        sum->bytes_in += stats.bytes_out;
    }
}

static void sum_up(const tv_flow *flow, tv_flow_brief *sum) {
    *sum = (tv_flow_brief){.turns = flow->turns, .class = (tv_class)flow->class};
    if (flow->budget) {
        sum->throttled_ns = flow->budget->throttled_ns[TV_THROTTLE_CPU] + flow->budget->throttled_ns[TV_THROTTLE_RATE];
        sum->demoted = flow->budget->demoted_until_ns != 0;
    }
    for (size_t i = 0; i < flow->spec->edge_count; i++)
        add_edge(&flow->edges[i], (uint32_t)i, sum);
    for (size_t i = 0; i < flow->spec->stage_count; i++)
        add_stage(&flow->stages[i], sum);
}

void tv_flow_publish(tv_flow *flow) {
    tv_flow_published *published = atomic_load_explicit(&flow->published, memory_order_acquire);
    if (!published) return;
    tv_flow_brief sum;
    sum_up(flow, &sum);
    set(&published->turns, sum.turns);
    set(&published->records_in, sum.records_in);
    set(&published->bytes_in, sum.bytes_in);
    set(&published->records_out, sum.records_out);
    set(&published->bytes_out, sum.bytes_out);
    for (int i = 0; i < TV_DROP_COUNT; i++)
        set(&published->dropped[i], sum.dropped[i]);
    set(&published->dead_lettered, sum.dead_lettered);
    set(&published->dead_letters_lost, sum.dead_letters_lost);
    set(&published->rejected, sum.rejected);
    set(&published->faults, sum.faults);
    set(&published->restarts, sum.restarts);
    set(&published->state_losses, sum.state_losses);
    set(&published->emitted_unconnected, sum.emitted_unconnected);
    set(&published->guest_bytes, sum.guest_bytes);
    atomic_store_explicit(&published->busy_ns, sum.busy_ns, memory_order_relaxed);
    atomic_store_explicit(&published->throttled_ns, sum.throttled_ns, memory_order_relaxed);
    atomic_store_explicit(&published->demoted, sum.demoted, memory_order_relaxed);
    atomic_store_explicit(&published->inner_queue_percent, sum.queue_percent, memory_order_relaxed);
    atomic_store_explicit(&published->inner_queue, sum.queue, memory_order_relaxed);
    atomic_store_explicit(&published->class, (int)sum.class, memory_order_relaxed);
    atomic_store_explicit(&published->valid, true, memory_order_release);
}

// ---- the reader's side ----------------------------------------------------------------------------------------

static void run_first(tv_flow_request *request, tv_flow *flow) {
    (void)request;
    if (flow) tv_flow_publish(flow);
}

static tv_flow_published *begin(tv_flow *flow) {
    tv_flow_published *published = calloc(1, sizeof *published);
    if (!published) return NULL;
    published->first.run = run_first;
    published->flow = flow;
    atomic_store_explicit(&flow->published, published, memory_order_release);
    tv_flow_request_post(flow, &published->first);
    return published;
}

static uint64_t get(const _Atomic uint64_t *word) { return atomic_load_explicit(word, memory_order_relaxed); }

static void read_words(tv_flow_published *published, tv_flow_brief *brief) {
    *brief = (tv_flow_brief){
        .turns = get(&published->turns),
        .records_in = get(&published->records_in),
        .bytes_in = get(&published->bytes_in),
        .records_out = get(&published->records_out),
        .bytes_out = get(&published->bytes_out),
        .dead_lettered = get(&published->dead_lettered),
        .dead_letters_lost = get(&published->dead_letters_lost),
        .rejected = get(&published->rejected),
        .faults = get(&published->faults),
        .restarts = get(&published->restarts),
        .state_losses = get(&published->state_losses),
        .emitted_unconnected = get(&published->emitted_unconnected),
        .guest_bytes = get(&published->guest_bytes),
        .busy_ns = atomic_load_explicit(&published->busy_ns, memory_order_relaxed),
        .throttled_ns = atomic_load_explicit(&published->throttled_ns, memory_order_relaxed),
        .demoted = atomic_load_explicit(&published->demoted, memory_order_relaxed),
        .queue_percent = atomic_load_explicit(&published->inner_queue_percent, memory_order_relaxed),
        .queue = atomic_load_explicit(&published->inner_queue, memory_order_relaxed),
        .class = (tv_class)atomic_load_explicit(&published->class, memory_order_relaxed),
    };
    for (int i = 0; i < TV_DROP_COUNT; i++)
        brief->dropped[i] = get(&published->dropped[i]);
}

// A flow that gets no turn publishes nothing, and its channels fill just then.
static void look_at_channels(tv_flow *flow, tv_flow_brief *brief) {
    brief->ring_bytes = flow->ring_memory_bytes;
    for (size_t i = 0; i < flow->spec->edge_count; i++) {
        const tv_channel *channel = tv_edge_channel(&flow->edges[i]);
        if (!channel) continue;
        brief->ring_bytes += tv_ring_memory_bytes(channel->ring.capacity_bytes);
        uint32_t percent = percent_of(tv_ring_queued_bytes(&channel->ring), channel->ring.capacity_bytes);
        if (percent <= brief->queue_percent) continue;
        brief->queue_percent = percent;
        brief->queue = (uint32_t)i;
    }
}

bool tv_flow_get_brief(tv_flow *flow, tv_flow_brief *brief) {
    if (tv_flow_is_unattended(flow)) {
        sum_up(flow, brief);
    } else {
        tv_flow_published *published = atomic_load_explicit(&flow->published, memory_order_relaxed);
        if (!published) published = begin(flow);
        if (!published || !atomic_load_explicit(&published->valid, memory_order_acquire)) return false;
        read_words(published, brief);
    }
    brief->worker = flow->worker->index;
    brief->paused = atomic_load_explicit(&flow->pause_wanted, memory_order_relaxed);
    look_at_channels(flow, brief);
    return true;
}

// After the requests have been refused: the first one is part of it.
void tv_flow_published_free(tv_flow *flow) { free(atomic_load_explicit(&flow->published, memory_order_relaxed)); }
