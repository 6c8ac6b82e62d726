// Taps: somebody watches edges of a flow for a while. The copies are whole, none is lost without being counted, and
// nothing else about the flow may change, which the other checks see to.
#include "sim.h"

static void on_off(void *user, tv_tap *tap) {
    (void)tap;
    ((sim_flow *)user)->tap_is_off = true;
}

static void begin(simulation *sim, sim_flow *made) {
    tv_error error;
    uint16_t edge = (uint16_t)sim_below(sim, (uint32_t)made->spec.edge_count);
    tv_tap_options options = {
        .edges = &edge,
        .edge_count = 1,
        .payload_bytes_max = sizeof(sim_payload) + SIM_FILLER_MAX,
        .with_data = true,
    };
    if (tv_tap_new(made->flow, &options, &made->tap, &error) != TV_OK) sim_fail(sim, "%s", error.message);
    made->tap_taken = 0;
    made->tap_is_off = made->tap_is_stopped = false;
    sim_event(sim, "tap", made->serial, edge);
    tv_tap_start(made->tap);
}

void sim_tap(simulation *sim, sim_flow *made) {
    if (!made->tap) {
        begin(sim, made);
    } else if (!made->tap_is_stopped) {
        sim_event(sim, "tap-stop", made->serial, made->tap_taken);
        made->tap_is_stopped = true;
        tv_tap_stop(made->tap, on_off, made);
    }
}

static void take(simulation *sim, sim_flow *made) {
    const tv_record *record;
    uint32_t bytes, records;
    tv_channel *channel = tv_tap_channel(made->tap);
    while (tv_channel_peek(channel, &record, &bytes, &records) == TV_OK) {
        sim_check_content(sim, made, record);
        made->tap_taken++;
        tv_channel_pop(channel, 1, record->size_bytes);
    }
}

static void end(simulation *sim, sim_flow *made) {
    take(sim, made);
    uint64_t seen = tv_tap_seen(made->tap), missed = tv_tap_missed(made->tap);
    if (seen != missed + made->tap_taken)
        sim_fail(sim, "flow %s: a tap saw %llu records, missed %llu and gave %llu", made->name,
                 (unsigned long long)seen, (unsigned long long)missed, (unsigned long long)made->tap_taken);
    sim->seen[SIM_SEEN_TAPPED] += made->tap_taken;
    tv_tap_free(made->tap);
    made->tap = NULL;
}

void sim_serve_taps(simulation *sim) {
    for (uint32_t i = 0; i < sim->flow_count; i++) {
        sim_flow *made = sim->flows[i];
        if (!made->tap) continue;
        if (made->tap_is_off)
            end(sim, made); // the I/O list was taken since
        else
            take(sim, made);
    }
}
