// The model: what has to arrive at the outputs for each message that went in, and the check of what did.
//
// It knows the graph and behaviour.h, nothing else. Where nothing is allowed to be lost, what arrived must be exactly
// what was expected: the same number and the same sum of hashes at each output. Everywhere, what came by one path must
// come in the order it was pushed in, each record once, undamaged.
#include "sim.h"

// ---- expecting ----------------------------------------------------------------------------------------------

static uint64_t record_hash(const sim_payload *p) {
    uint64_t low = sim_mix(p->check, p->seed), high = sim_mix(p->path, p->sequence);
    return high << 32 | low;
}

static void expect_at(sim_flow *made, uint16_t stage, uint32_t input, const sim_payload *payload);

static uint32_t input_index(const sim_flow *made, size_t edge) {
    uint32_t index = 0;
    for (size_t i = 0; i < edge; i++)
        index += made->edges[i].to == made->edges[edge].to;
    return index;
}

static sim_output *output_of(sim_flow *made, uint16_t node) {
    for (uint32_t i = 0; i < made->output_count; i++)
        if ((TV_NODE_CHANNEL | made->outputs[i].number) == node) return &made->outputs[i];
    return NULL;
}

static void expect_behind(sim_flow *made, uint16_t stage, uint32_t port, const sim_payload *payload) {
    for (size_t i = 0; i < made->spec.edge_count; i++) {
        const tv_edge_spec *edge = &made->edges[i];
        if (edge->from != stage || edge->from_port != port) continue;
        if (edge->to & TV_NODE_CHANNEL) {
            sim_output *output = output_of(made, edge->to);
            output->expected++;
            output->expected_sum += record_hash(payload);
        } else {
            expect_at(made, edge->to, input_index(made, i), payload);
        }
    }
}

static void expect_at(sim_flow *made, uint16_t stage, uint32_t input, const sim_payload *payload) {
    const sim_profile *profile = &made->profiles[stage];
    sim_act act = sim_act_of(profile, payload);
    if (act.outcome != SIM_PASS) {
        made->expected_dead++;
        return;
    }
    for (uint32_t copy = 0; copy < act.copies; copy++) {
        sim_payload out;
        uint32_t port = sim_output_of(profile, payload, input, copy, &out);
        expect_behind(made, stage, port, &out);
    }
}

void sim_expect(simulation *sim, sim_flow *made, const sim_input *input, const sim_payload *payload) {
    (void)sim;
    expect_at(made, input->stage, input->port, payload);
}

// ---- arriving -----------------------------------------------------------------------------------------------

void sim_check_content(const simulation *sim, const sim_flow *made, const tv_record *record) {
    sim_payload payload = {0};
    if (record->payload_bytes >= sizeof payload) memcpy(&payload, tv_record_payload(record), sizeof payload);
    if (payload.magic != SIM_MAGIC || payload.check != sim_check_of(&payload) || payload.flow != made->serial ||
        record->payload_bytes != sizeof payload + payload.filler_bytes)
        sim_fail(sim, "flow %s: record %llu arrives damaged", made->name, (unsigned long long)record->sequence);
    const uint8_t *filler = tv_record_payload(record) + sizeof payload;
    for (uint32_t i = 0; i < payload.filler_bytes; i++)
        if (filler[i] != (payload.seed & 255))
            sim_fail(sim, "flow %s: record %llu arrives damaged at byte %u", made->name,
                     (unsigned long long)record->sequence, i);
}

// The place of a path in the output's table; NULL if the table is full, then this path is not followed.
static sim_path *find_path(sim_output *output, const sim_payload *payload) {
    uint32_t at = sim_mix(payload->path, payload->source);
    for (uint32_t i = 0; i < SIM_PATHS_MAX; i++) {
        sim_path *path = &output->paths[(at + i) % SIM_PATHS_MAX];
        if (path->sequence && path->path == payload->path && path->source == payload->source &&
            path->incarnation == payload->incarnation)
            return path;
        if (path->sequence) continue;
        if (output->path_count >= SIM_PATHS_MAX * 3 / 4) return NULL;
        output->path_count++;
        *path = (sim_path){payload->path, payload->source, payload->incarnation, 0};
        return path;
    }
    return NULL;
}

static void check_order(simulation *sim, const sim_flow *made, sim_output *output, const sim_payload *payload) {
    sim_path *path = find_path(output, payload);
    if (!path) return;
    if (payload->sequence <= path->sequence)
        sim_fail(sim, "flow %s, output %u: record %u of source %u arrives behind record %u", made->name, output->number,
                 payload->sequence, payload->source, path->sequence);
    path->sequence = payload->sequence;
}

void sim_arrived(simulation *sim, sim_flow *made, sim_output *output, const tv_record *record) {
    sim_payload payload;
    sim_check_content(sim, made, record);
    memcpy(&payload, tv_record_payload(record), sizeof payload);
    check_order(sim, made, output, &payload);
    if (payload.source & SIM_BY_STAGE) {
        output->arrived_own++;
        return;
    }
    output->arrived++;
    output->arrived_sum += record_hash(&payload);
}

// ---- judging ------------------------------------------------------------------------------------------------

static void judge_output(simulation *sim, const sim_flow *made, const sim_output *output, bool exact) {
    if (exact && !output->ended) sim_fail(sim, "flow %s, output %u: its end was not told", made->name, output->number);
    bool as_expected = exact ? output->arrived == output->expected && output->arrived_sum == output->expected_sum
                             : output->arrived <= output->expected;
    if (as_expected) return;
    sim_fail(sim, "flow %s, output %u: %llu records arrived, %llu were expected%s", made->name, output->number,
             (unsigned long long)output->arrived, (unsigned long long)output->expected,
             output->arrived == output->expected ? ", and they are not the same" : "");
}

static void note_stage(simulation *sim, const tv_stage_stats *stats) {
    sim->seen[SIM_SEEN_TRAP] += stats->faults_by_reason[TV_FAULT_TRAP];
    sim->seen[SIM_SEEN_CPU] += stats->faults_by_reason[TV_FAULT_CPU];
    sim->seen[SIM_SEEN_REJECTED] += stats->rejected;
    sim->seen[SIM_SEEN_RESTART] += stats->restarts;
    sim->letters_wanted += stats->dead_lettered - stats->dead_letters_unwritten;
    sim->seen[SIM_SEEN_WATERMARK] += stats->watermarks;
}

static void note(simulation *sim, sim_flow *made, bool exact) {
    tv_stage_stats stage;
    tv_edge_stats edge;
    tv_flow_state state = tv_flow_get_state(made->flow);
    sim->seen[SIM_SEEN_ENDED] += state == TV_FLOW_ENDED;
    sim->seen[SIM_SEEN_FAILED] += state == TV_FLOW_FAILED;
    sim->seen[SIM_SEEN_EXACT] += exact;
    tv_flow_stats flow;
    tv_flow_get_stats(made->flow, &flow);
    sim->seen[SIM_SEEN_MOVED] += made->flow->moves;
    sim->seen[SIM_SEEN_NESTED] += flow.nested_turns;
    sim->seen[SIM_SEEN_THROTTLED_CPU] += flow.throttles[TV_THROTTLE_CPU];
    sim->seen[SIM_SEEN_THROTTLED_RATE] += flow.throttles[TV_THROTTLE_RATE];
    sim->seen[SIM_SEEN_DEMOTED] += flow.demotions;
    for (size_t i = 0; i < made->spec.stage_count; i++) {
        tv_flow_stage_stats(made->flow, i, &stage);
        note_stage(sim, &stage);
    }
    for (size_t i = 0; i < made->spec.edge_count; i++) {
        tv_flow_edge_stats(made->flow, i, &edge);
        sim->seen[SIM_SEEN_DROP_OLDEST] += edge.dropped[TV_DROP_OLDEST];
        sim->seen[SIM_SEEN_DROP_NEWEST] += edge.dropped[TV_DROP_NEWEST];
        sim->seen[SIM_SEEN_DROP_TOO_LARGE] += edge.dropped[TV_DROP_TOO_LARGE];
    }
    for (uint32_t i = 0; i < made->output_count; i++)
        sim->seen[SIM_SEEN_OWN_RECORD] += made->outputs[i].arrived_own;
}

static uint64_t dead_letters_of(sim_flow *made) {
    uint64_t count = 0;
    for (size_t i = 0; i < made->spec.stage_count; i++)
        count += made->flow->stage_rares[i].dead_lettered;
    return count;
}

void sim_judge(simulation *sim, sim_flow *made) {
    tv_flow_state state = tv_flow_get_state(made->flow);
    bool failed = state == TV_FLOW_FAILED;
    bool exact = state == TV_FLOW_ENDED && !made->may_lose;
    if (state == TV_FLOW_REMOVED && made->removal != TV_REMOVE_NOW)
        sim_fail(sim, "flow %s is removed, and nobody asked for it", made->name);
    if (made->ended_calls != (failed || state == TV_FLOW_ENDED))
        sim_fail(sim, "flow %s (%s): its end was told %u times", made->name, tv_flow_state_name(state),
                 made->ended_calls);
    if (failed && !made->may_fail) sim_fail(sim, "flow %s failed: %s", made->name, tv_flow_failure(made->flow));
    note(sim, made, exact);
    for (uint32_t i = 0; i < made->output_count; i++)
        judge_output(sim, made, &made->outputs[i], exact);
    if (exact && dead_letters_of(made) != made->expected_dead)
        sim_fail(sim, "flow %s: %llu dead letters, %llu were expected", made->name,
                 (unsigned long long)dead_letters_of(made), (unsigned long long)made->expected_dead);
    tv_flow_abandon(made->flow);
    sim_check_flow(sim, made);
    sim_event(sim, "judged", made->serial, dead_letters_of(made));
}
