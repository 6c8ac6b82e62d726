// Random flows: graphs of stages whose tempers, classes, queues and policies the seed decides.
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

// ---- tempers ------------------------------------------------------------------------------------------------

static uint32_t weight(simulation *sim, uint32_t feature, uint32_t least, uint32_t most) {
    if (!sim_has(sim, feature) || !sim_one_in(sim, 3)) return 0;
    return least + sim_below(sim, most - least + 1);
}

static void choose_profile(simulation *sim, sim_flow *made, uint32_t stage, bool is_calm) {
    sim_profile *profile = &made->profiles[stage];
    *profile = (sim_profile){
        .salt = 1 + sim_below(sim, 1u << 30),
        .stage = stage,
        .flow = made->serial,
        .filler_bytes_max = made->filler_bytes_max,
        .timer_us = 200 + sim_below(sim, 20000),
        .source_total = 1 + sim_below(sim, 3000),
        .source_burst = 1 + sim_below(sim, 40),
    };
    profile->hold = weight(sim, SIM_HOLD, 10, 500);
    profile->amplify = weight(sim, SIM_HOLD, 10, 400);
    profile->swallow = weight(sim, SIM_HOLD, 10, 1000);
    profile->burn_short = weight(sim, SIM_BURN, 100, SIM_DICE);
    profile->burn_long = weight(sim, SIM_BURN, 1, sim_one_in(sim, 4) ? SIM_DICE / 2 : 40);
    profile->timer = weight(sim, SIM_TIMERS, 10, 200);
    profile->watermark = weight(sim, SIM_TIMERS, 10, 400);
    profile->grow = weight(sim, SIM_TIMERS, 1, 10);
    profile->tick_emits = sim_has(sim, SIM_TIMERS) ? sim_below(sim, 6) : 0;
    profile->close_emits = sim_has(sim, SIM_TIMERS) && sim_one_in(sim, 3) ? sim_below(sim, 60) : 0;
    if (is_calm) return;
    profile->trap = weight(sim, SIM_FAULTS, 1, 60);
    profile->trap_late = weight(sim, SIM_FAULTS, 1, 60);
    profile->spin = weight(sim, SIM_FAULTS, 1, made->spec.class == TV_CLASS_CRITICAL ? 60 : 10);
    profile->reject = weight(sim, SIM_FAULTS, 1, 200);
    profile->reject_late = weight(sim, SIM_FAULTS, 1, 200);
}

void sim_choose_shared(simulation *sim) {
    sim_flow chosen = {.filler_bytes_max = 100};
    for (uint32_t i = 0; i < SIM_SHARED_PROFILES; i++) {
        choose_profile(sim, &chosen, 0, i < 1);
        sim->shared_profiles[i] = chosen.profiles[0];
        sim->shared_profiles[i].tick_emits = 0;
        sim->shared_profiles[i].close_emits = 0;
        if (!sim->crowded) continue;
        sim->shared_profiles[i].hold = SIM_DICE / 2;
        sim->shared_profiles[i].amplify = SIM_DICE / 4;
    }
}

static void write_profile(sim_flow *made, uint32_t stage) {
    const uint32_t *numbers = (const uint32_t *)(const void *)&made->profiles[stage];
    char *text = made->profile_text[stage];
    int length = 0;
    for (int i = 0; i < SIM_PROFILE_NUMBERS; i++)
        length += snprintf(text + length, SIM_PROFILE_TEXT_BYTES - (size_t)length, "%u ", numbers[i]);
    made->config[stage] = (tv_config_entry){.path = "profile", .value = text};
}

// ---- stages -------------------------------------------------------------------------------------------------

static void choose_restart(simulation *sim, sim_flow *made, tv_stage_spec *spec) {
    spec->restart = (tv_restart_policy){
        .mode = TV_RESTART,
        .limit = 1000000,
        .window_ns = 1000000000,
        .backoff_min_ns = (int64_t)sim_below(sim, 2000000),
        .backoff_max_ns = 20000000,
    };
    if (!sim_has(sim, SIM_FAILURES) || !sim_one_in(sim, 12)) return;
    made->may_fail = true;
    if (sim_one_in(sim, 2))
        spec->restart.mode = TV_RESTART_STOP;
    else
        spec->restart.limit = sim_below(sim, 5);
}

// All that makes an instance is the same for those with the same number.
static void share(simulation *sim, sim_flow *made, uint32_t index) {
    uint32_t number = sim->crowded ? 2 + (uint32_t)(sim->world_seed & 1) : sim_below(sim, SIM_SHARED_PROFILES);
    tv_stage_spec *spec = &made->stages[index];
    made->profiles[index] = sim->shared_profiles[number];
    write_profile(made, index);
    spec->module = sim->actors[number % 2 ? SIM_ACTOR_KEYED : SIM_ACTOR_STATELESS];
    spec->batch_bytes_max = 16 << 10;
    spec->shared = !sim_one_in(sim, 6);
}

static void add_stage(simulation *sim, sim_flow *made, bool is_source) {
    uint32_t index = (uint32_t)made->spec.stage_count++;
    snprintf(made->stage_names[index], sizeof made->stage_names[index], "s%u", index);
    choose_profile(sim, made, index, is_source);
    write_profile(made, index);
    tv_stage_spec *spec = &made->stages[index];
    *spec = (tv_stage_spec){
        .name = made->stage_names[index],
        .module = sim->actors[SIM_ACTOR_OWN],
        .memory_bytes_max = 256 << 10,
        .batch_records_max = sim_one_in(sim, 4) ? 1 + sim_below(sim, 4) : 32,
        .batch_bytes_max = sim_one_in(sim, 3) ? 2048 : 16 << 10,
        .grants = TV_GRANT_CLOCK,
        .cpu_record_ns = 5000000, // twice of what a record takes that does not spin
        .cpu_call_ns = 1000000000,
        .config = &made->config[index],
        .config_count = 1,
    };
    choose_restart(sim, made, spec);
    if (!is_source && sim_has(sim, SIM_SHARING) && (sim->crowded || sim_one_in(sim, 2))) share(sim, made, index);
}

// ---- edges --------------------------------------------------------------------------------------------------

static tv_overflow choose_overflow(simulation *sim, sim_flow *made, bool may_drop_oldest) {
    if (!sim_has(sim, SIM_DROPS) || !made->may_lose || !sim_one_in(sim, 3)) return TV_OVERFLOW_BLOCK;
    if (made->may_fail && sim_one_in(sim, 6)) return TV_OVERFLOW_ERROR;
    return may_drop_oldest && sim_one_in(sim, 2) ? TV_OVERFLOW_DROP_OLDEST : TV_OVERFLOW_DROP_NEWEST;
}

static tv_edge_spec *add_edge(simulation *sim, sim_flow *made, uint16_t from, uint16_t port, uint16_t to) {
    static const uint32_t sizes[] = {4096, 4096, 8192, 65536};
    tv_edge_spec *edge = &made->edges[made->spec.edge_count++];
    bool is_output = (to & TV_NODE_CHANNEL) != 0;
    *edge = (tv_edge_spec){
        .from = from,
        .from_port = port,
        .to = to,
        .overflow = choose_overflow(sim, made, !is_output),
        .capacity_bytes = sizes[sim_below(sim, 4)],
        .capacity_records = sim->crowded || sim_one_in(sim, 3) ? 1 + sim_below(sim, 4) : 256,
        .record_bytes_max = made->may_lose && sim_has(sim, SIM_DROPS) && sim_one_in(sim, 4) ? 256 : 512,
        .pause_percent = (uint8_t)(sim_one_in(sim, 2) ? 100 : 20 + sim_below(sim, 80)),
        .resume_percent = (uint8_t)sim_below(sim, 20),
    };
    return edge;
}

static uint16_t add_channel(simulation *sim, sim_flow *made, const tv_edge_spec *edge, tv_direction direction,
                            char letter) {
    size_t index = made->spec.channel_count++;
    snprintf(made->channel_names[index], sizeof made->channel_names[index], "%c%zu", letter, index);
    made->channel_name_list[index] = made->channel_names[index];
    made->channel_options[index] = (tv_channel_options){
        .memory = &sim->memory,
        .name = made->channel_names[index],
        .direction = direction,
        .overflow = direction == TV_INPUT ? edge->overflow : TV_OVERFLOW_BLOCK,
        .capacity_bytes = edge->capacity_bytes,
        .capacity_records = edge->capacity_records,
        .record_bytes_max = edge->record_bytes_max,
        .pause_percent = edge->pause_percent,
        .resume_percent = edge->resume_percent,
        .origin = (uint16_t)index,
    };
    return (uint16_t)index;
}

static uint32_t inputs_of(const sim_flow *made, uint16_t stage) {
    uint32_t count = 0;
    for (size_t i = 0; i < made->spec.edge_count; i++)
        count += made->edges[i].to == stage;
    return count;
}

static void add_input(simulation *sim, sim_flow *made, uint16_t stage) {
    uint32_t port = inputs_of(made, stage), edge_index = (uint32_t)made->spec.edge_count;
    uint16_t number = (uint16_t)made->spec.channel_count;
    tv_edge_spec *edge = add_edge(sim, made, TV_NODE_CHANNEL | number, 0, stage);
    add_channel(sim, made, edge, TV_INPUT, 'i');
    made->inputs[made->input_count++] =
        (sim_input){.number = number, .stage = stage, .edge = edge_index, .port = port, .event_time_ns = 1000};
}

static void add_output(simulation *sim, sim_flow *made, uint16_t stage, uint16_t port) {
    uint16_t number = (uint16_t)made->spec.channel_count;
    tv_edge_spec *edge = add_edge(sim, made, stage, port, TV_NODE_CHANNEL | number);
    add_channel(sim, made, edge, TV_OUTPUT, 'o');
    sim_output *output = &made->outputs[made->output_count++];
    *output = (sim_output){.number = number};
}

// ---- graphs -------------------------------------------------------------------------------------------------

// Every stage but the first reads from one or two before it, or from a channel of its own.
static void connect_inputs(simulation *sim, sim_flow *made, uint16_t stage) {
    if (stage == 0) {
        if (sim_has(sim, SIM_SOURCES) && sim_one_in(sim, 5)) return;
        add_input(sim, made, stage);
        return;
    }
    uint16_t before = (uint16_t)(sim_one_in(sim, 3) ? sim_below(sim, stage) : stage - 1u);
    add_edge(sim, made, before, (uint16_t)sim_below(sim, SIM_PORTS), stage);
    if (!sim_has(sim, SIM_FAN)) return;
    if (sim_one_in(sim, 4))
        add_edge(sim, made, (uint16_t)sim_below(sim, stage), (uint16_t)sim_below(sim, SIM_PORTS), stage);
    if (sim_one_in(sim, 6) && made->input_count < SIM_INPUTS_MAX) add_input(sim, made, stage);
}

static void connect_outputs(simulation *sim, sim_flow *made, uint16_t stage) {
    bool is_last = stage + 1u == made->spec.stage_count;
    bool has_room = made->output_count + 3 <= SIM_OUTPUTS_MAX; // two now, and one for the last stage
    if (!is_last && !(has_room && sim_has(sim, SIM_FAN) && sim_one_in(sim, 3))) return;
    add_output(sim, made, stage, (uint16_t)sim_below(sim, SIM_PORTS));
    if (has_room && sim_one_in(sim, 2)) add_output(sim, made, stage, (uint16_t)sim_below(sim, SIM_PORTS));
}

static void choose_graph(simulation *sim, sim_flow *made) {
    uint16_t stages = (uint16_t)(1 + sim_below(sim, sim->crowded ? 1 + sim_below(sim, 2) : SIM_STAGES_MAX));
    for (uint16_t i = 0; i < stages; i++) {
        size_t edges_before = made->spec.edge_count;
        // The inputs decide whether it is a source, which must not fail: it would begin again.
        made->spec.stage_count = i;
        connect_inputs(sim, made, i);
        add_stage(sim, made, made->spec.edge_count == edges_before);
    }
    for (uint16_t i = 0; i < stages; i++)
        connect_outputs(sim, made, i);
}

// ---- lines for saturated worlds -------------------------------------------------------------------------------

static tv_edge_spec *add_wide_edge(simulation *sim, sim_flow *made, uint16_t from, uint16_t to) {
    tv_edge_spec *edge = add_edge(sim, made, from, 0, to);
    edge->overflow = TV_OVERFLOW_BLOCK;
    edge->capacity_bytes = 128 << 10; // twice the largest quantum
    edge->capacity_records = 1024;
    edge->record_bytes_max = 512;
    edge->pause_percent = 100;
    edge->resume_percent = 60;
    return edge;
}

// Records that cost 5 us and more, or 2 ms each; where all cost the same also nothing. Every one goes through.
static void choose_cost(simulation *sim, sim_flow *made, uint32_t stage) {
    made->profiles[stage] = (sim_profile){
        .salt = 1 + sim_below(sim, 1u << 30),
        .stage = stage,
        .flow = made->serial,
        .filler_bytes_max = made->filler_bytes_max,
        .one_port = 1,
        .burn_short = (sim->equal_costs ? sim->world_seed & 1 : !sim_one_in(sim, 4)) ? SIM_DICE : 0,
        .burn_long = sim->equal_costs ? 0 : SIM_DICE, // where it is not short
    };
    write_profile(made, stage);
}

static void choose_line(simulation *sim, sim_flow *made) {
    uint16_t stages = sim->equal_costs ? 2 : (uint16_t)(1 + sim_below(sim, 3));
    made->filler_bytes_max = sim_below(sim, 120);
    made->spec.cycle_ns = 100000000000;
    if (!sim->equal_costs) made->spec.quantum_records = 0;
    for (uint16_t i = 0; i < stages; i++) {
        add_stage(sim, made, true);
        choose_cost(sim, made, i);
        made->stages[i].batch_records_max = sim_one_in(sim, 2) ? 32 : 128;
        made->stages[i].batch_bytes_max = 16 << 10;
    }
    made->inputs[made->input_count++] = (sim_input){.number = 0, .event_time_ns = 1000};
    add_channel(sim, made, add_wide_edge(sim, made, TV_NODE_CHANNEL, 0), TV_INPUT, 'i');
    for (uint16_t i = 1; i < stages; i++)
        add_wide_edge(sim, made, (uint16_t)(i - 1u), i);
    made->outputs[made->output_count++] = (sim_output){.number = 1};
    add_channel(sim, made, add_wide_edge(sim, made, (uint16_t)(stages - 1u), TV_NODE_CHANNEL | 1), TV_OUTPUT, 'o');
}

// ---- starting -----------------------------------------------------------------------------------------------

static void make_channels(simulation *sim, sim_flow *made) {
    tv_error error;
    for (size_t i = 0; i < made->spec.channel_count; i++)
        if (tv_channel_new(&made->channel_options[i], &made->channels[i], &error) != TV_OK)
            sim_fail(sim, "%s", error.message);
    for (uint32_t i = 0; i < made->input_count; i++) {
        made->inputs[i].channel = made->channels[made->inputs[i].number];
        tv_channel_set_connector(made->inputs[i].channel, &made->inputs[i]);
        tv_channel_want_released(made->inputs[i].channel, sim_one_in(sim, 2));
    }
    for (uint32_t i = 0; i < made->output_count; i++) {
        made->outputs[i].channel = made->channels[made->outputs[i].number];
        tv_channel_set_connector(made->outputs[i].channel, &made->outputs[i]);
    }
}

static void count_end(void *user, tv_flow *flow) {
    sim_flow *made = user;
    (void)flow;
    made->ended_calls++;
}

static void choose_budgets(simulation *sim, tv_flow_spec *spec) {
    if (!sim_has(sim, SIM_BUDGETS) || sim->saturated || !sim_one_in(sim, 4)) return;
    if (sim_one_in(sim, 2)) spec->cpu_per_s_ns = 100000 + (int64_t)sim_below(sim, 20000000);
    if (sim_one_in(sim, 2)) spec->rate_records_per_s = 10ull << sim_below(sim, 10);
    if (sim_one_in(sim, 3)) spec->rate_bytes_per_s = 5000 + sim_below(sim, 500000);
    if (!sim_one_in(sim, 4)) spec->rate_burst_ns = (int64_t)(1 + sim_below(sim, 50)) * 1000000;
}

void sim_add_flow(simulation *sim) {
    tv_error error;
    sim_flow *made = calloc(1, sizeof *made);
    if (!made) sim_fail(sim, "out of memory");
    sim->flows[sim->flow_count++] = made;
    made->serial = ++sim->serial;
    sim->flows_made++;
    made->queued_turns = UINT64_MAX;
    made->may_lose = sim_one_in(sim, 2);
    made->filler_bytes_max = sim_below(sim, SIM_FILLER_MAX + 1);
    snprintf(made->name, sizeof made->name, "f%u", made->serial);
    made->spec = (tv_flow_spec){
        .name = made->name,
        .class = (tv_class)sim_below(sim, TV_CLASS_COUNT),
        .quantum_records = sim_one_in(sim, 2) ? 0 : 1 + sim_below(sim, 64),
        .turn_ns = sim_one_in(sim, 2) ? 0 : (int64_t)(1 + sim_below(sim, 4)) * 1000000,
        .idle_trim_ns = sim_one_in(sim, 2) ? 0 : 100000 + (int64_t)sim_below(sim, 20000000),
        .stages = made->stages,
        .edges = made->edges,
        .channel_names = made->channel_name_list,
    };
    if (sim->crowded) made->spec.class = sim_one_in(sim, 8) ? TV_CLASS_CRITICAL : TV_CLASS_NORMAL;
    choose_budgets(sim, &made->spec);
    made->started_ns = sim->now_ns;
    if (sim->saturated)
        choose_line(sim, made);
    else
        choose_graph(sim, made);
    make_channels(sim, made);
    sim_event(sim, "flow", made->serial, made->spec.edge_count);
    if (tv_flow_new(sim->runtime, &made->spec, NULL, made->channels, &made->flow, &error) != TV_OK)
        sim_fail(sim, "flow %s: %s", made->name, error.message);
    made->class_seen = made->spec.class;
    for (int i = 0; i < SIM_STAGES_MAX; i++)
        made->watermarks[i] = TV_NO_EVENT_TIME;
    tv_flow_on_end(made->flow, count_end, made);
}

void sim_flow_free(sim_flow *made) {
    for (size_t i = 0; i < made->spec.channel_count; i++)
        tv_channel_free(made->channels[i]);
    free(made);
}
