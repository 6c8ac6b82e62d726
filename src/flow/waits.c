// What each stage waits for while it does not run, and which stage holds its flow up.
//
// At the end of a turn each stage waits for one of three things: input, the worker, room behind it. Time is counted
// when that changes, from the clock that the turn has read anyway, so a flow in a steady state costs a comparison a
// stage. What a stage ran in between is taken off, so the four times add up to the life of the flow. A wait that begins
// and ends between two turns is not seen: it counts as what the stage waited for before.
#include <stdio.h>

#include "flow/flow_internal.h"

static bool has_input(const tv_stage *stage) {
    for (uint32_t i = 0; i < stage->input_count; i++)
        if (!tv_ring_is_empty(tv_edge_peek_ring(tv_stage_input(stage, i)))) return true;
    return false;
}

// Whether it could go on at once, had it the worker and room.
static bool has_work(const tv_stage *stage, int64_t now_ns) {
    if (stage->state == TV_STAGE_CLOSED || stage->state == TV_STAGE_BACKOFF) return false;
    if (stage->more || stage->forwards) return true;
    if (tv_stage_is_held(stage)) return false;
    if (stage->timer_at_ns <= now_ns) return true;
    if (stage->input_count) return !stage->flow->sources_wait && has_input(stage);
    return !stage->pull_ended && stage->timer_at_ns == INT64_MAX && tv_stage_get_rare(stage)->pull_at_ns <= now_ns;
}

static bool has_room(const tv_stage *stage) {
    uint32_t largest = (uint32_t)sizeof(tv_record) + TV_ATTRIBUTES_BYTES_LIMIT + stage->payload_bytes_max;
    for (uint32_t i = 0; i < stage->output_count; i++) {
        const tv_edge *edge = tv_stage_output(stage, i);
        uint32_t size = largest < edge->record_bytes_max ? largest : edge->record_bytes_max;
        if (!tv_edge_can_take(edge, tv_align_up_u32(size, 8))) return false;
    }
    return true;
}

// The time since the last change that the stage did not run. A sampled busy time may be ahead of the clock: what it is
// ahead counts later.
static int64_t waited_ns(const tv_stage_waits *waits, int64_t busy_ns, int64_t now_ns) {
    int64_t waited = now_ns - waits->since_ns - (busy_ns - waits->busy_ns);
    return waited > 0 ? waited : 0;
}

static void change(tv_stage *stage, uint8_t wait, int64_t now_ns) {
    tv_stage_waits *waits = &tv_stage_get_rare(stage)->waits;
    int64_t waited = waited_ns(waits, stage->busy_ns, now_ns);
    waits->waited_ns[stage->wait] += waited;
    waits->busy_ns += now_ns - waits->since_ns - waited;
    waits->since_ns = now_ns;
    stage->wait = wait;
}

void tv_waits_note(tv_flow *flow, int64_t now_ns) {
    for (size_t i = 0; i < flow->spec->stage_count; i++) {
        tv_stage *stage = &flow->stages[i];
        tv_wait wait = !has_work(stage, now_ns) ? TV_WAIT_INPUT : has_room(stage) ? TV_WAIT_WORKER : TV_WAIT_ROOM;
        if (wait != stage->wait) change(stage, (uint8_t)wait, now_ns);
    }
}

void tv_waits_read(const tv_stage *stage, int64_t now_ns, tv_stage_stats *stats) {
    const tv_stage_waits *waits = &tv_stage_get_rare(stage)->waits;
    for (int i = 0; i < TV_WAIT_COUNT; i++)
        stats->waited_ns[i] = waits->waited_ns[i];
    int64_t waited = waited_ns(waits, stage->busy_ns, now_ns);
    stats->waited_ns[stage->wait] += waited;
    stats->running_ns = waits->busy_ns + now_ns - waits->since_ns - waited;
}

// ---- the bottleneck -----------------------------------------------------------------------------------------

const char *tv_wait_name(tv_wait wait) {
    static const char *const names[TV_WAIT_COUNT] = {"input", "worker", "room"};
    return wait < TV_WAIT_COUNT ? names[wait] : "unknown";
}

static double share(int64_t part_ns, const tv_stage_stats *stats) {
    int64_t all_ns = stats->running_ns;
    for (int i = 0; i < TV_WAIT_COUNT; i++)
        all_ns += stats->waited_ns[i];
    return all_ns > 0 ? (double)part_ns / (double)all_ns : 0;
}

static const char *channel_behind(const tv_flow *flow, size_t stage) {
    for (size_t i = 0; i < flow->spec->edge_count; i++) {
        const tv_edge_spec *edge = &flow->spec->edges[i];
        if (edge->from == stage && (edge->to & TV_NODE_CHANNEL))
            return flow->spec->channel_names[edge->to & ~TV_NODE_CHANNEL];
    }
    return NULL;
}

static void say(tv_bottleneck *out, tv_bottleneck_kind kind, size_t stage, const char *name, double part) {
    out->kind = kind;
    out->stage = stage;
    out->name = name;
    out->share = part;
}

// The stage nearest to the sink that waits for room most of its time, with a channel behind it.
static bool find_full_channel(tv_flow *flow, const tv_stage_stats *stats, tv_bottleneck *out) {
    for (size_t at = flow->spec->stage_count; at-- > 0;) {
        size_t stage = flow->links[at];
        double part = share(stats[stage].waited_ns[TV_WAIT_ROOM], &stats[stage]);
        const char *channel = channel_behind(flow, stage);
        if (part < 0.5 || !channel) continue;
        say(out, TV_BOTTLENECK_DOWNSTREAM, stage, channel, part);
        snprintf(out->why, sizeof out->why, "stage %s waits for room in channel %s %.0f %% of the time",
                 flow->spec->stages[stage].name, channel, part * 100);
        return true;
    }
    return false;
}

void tv_bottleneck_find(tv_flow *flow, const tv_stage_stats *stats, tv_bottleneck *out) {
    if (find_full_channel(flow, stats, out)) return;
    size_t most = 0;
    double most_part = -1;
    for (size_t i = 0; i < flow->spec->stage_count; i++) {
        double part = share(stats[i].running_ns + stats[i].waited_ns[TV_WAIT_WORKER], &stats[i]);
        if (part <= most_part) continue;
        most = i;
        most_part = part;
    }
    double running = share(stats[most].running_ns, &stats[most]);
    double waiting = share(stats[most].waited_ns[TV_WAIT_WORKER], &stats[most]);
    const char *name = flow->spec->stages[most].name;
    if (most_part < 0.5) {
        say(out, TV_BOTTLENECK_NONE, most, name, most_part);
        snprintf(out->why, sizeof out->why,
                 "the flow waits for input; its busiest stage, %s, has work %.0f %% of the time", name,
                 most_part * 100);
    } else if (running >= waiting) {
        say(out, TV_BOTTLENECK_STAGE, most, name, running);
        snprintf(out->why, sizeof out->why, "stage %s runs %.0f %% of the time", name, running * 100);
    } else {
        say(out, TV_BOTTLENECK_WORKER, most, name, waiting);
        snprintf(out->why, sizeof out->why, "stage %s waits for its worker %.0f %% of the time and runs %.0f %%", name,
                 waiting * 100, running * 100);
    }
}

void tv_flow_bottleneck(tv_flow *flow, tv_bottleneck *out) {
    tv_stage_stats stats[TV_STAGES_MAX];
    for (size_t i = 0; i < flow->spec->stage_count; i++)
        tv_flow_stage_stats(flow, i, &stats[i]);
    tv_bottleneck_find(flow, stats, out);
}
