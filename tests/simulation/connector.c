// Simulated connectors: they stall, burst, end and take in their own time, and act only when they may.
//
// As a real connector does, one that was told AGAIN, or that found nothing to take, sleeps until the I/O list names
// its channel. A wake-up that is lost therefore leaves it asleep, which check.c finds.
#include "sim.h"

// ---- inputs -------------------------------------------------------------------------------------------------

static sim_payload next_message(simulation *sim, const sim_flow *made, const sim_input *input) {
    sim_payload payload = {
        .magic = SIM_MAGIC,
        .flow = made->serial,
        .source = input->number,
        .sequence = input->sequence + 1,
        .seed = sim_below(sim, 1u << 31),
        .filler_bytes = sim_below(sim, made->filler_bytes_max + 1),
    };
    payload.check = sim_check_of(&payload);
    return payload;
}

static int64_t next_event_time(simulation *sim, sim_input *input) {
    if (sim_one_in(sim, 3)) return TV_NO_EVENT_TIME;
    input->event_time_ns += (int64_t)sim_below(sim, 1000) - 200;
    return input->event_time_ns;
}

// Returns whether the connector may go on pushing.
static bool push(simulation *sim, sim_flow *made, sim_input *input) {
    uint8_t *place;
    sim_payload payload = next_message(sim, made, input);
    uint32_t bytes = (uint32_t)sizeof payload + payload.filler_bytes;
    tv_status status = tv_channel_reserve(input->channel, bytes, NULL, 0, &place);
    switch (status) {
    case TV_OK: break;
    case TV_AGAIN: input->waits = true; return false;
    case TV_TOO_LARGE: return true;
    case TV_FULL: return sim_one_in(sim, 2); // a source that cannot be stopped goes on for a while
    default: sim_fail(sim, "flow %s: a push answers %d", made->name, (int)status);
    }
    memcpy(place, &payload, sizeof payload);
    memset(place + sizeof payload, (int)(payload.seed & 255), payload.filler_bytes);
    tv_channel_commit(input->channel, next_event_time(sim, input));
    input->sequence++;
    sim->records_in++;
    sim_expect(sim, made, input, &payload);
    return true;
}

void sim_feed(simulation *sim, sim_flow *made, sim_input *input, uint32_t messages) {
    if (input->waits || input->ended || tv_flow_is_over(made->flow)) return;
    uint32_t before = input->sequence;
    for (uint32_t i = 0; i < messages && push(sim, made, input); i++)
        ;
    tv_channel_publish(input->channel);
    sim_event(sim, "feed", made->serial * 16 + input->number, input->sequence - before);
}

void sim_break_input(simulation *sim, sim_flow *made, sim_input *input) {
    if (input->ended || !made->may_fail) return;
    sim_event(sim, "break", made->serial, input->number);
    input->ended = true;
    tv_channel_fail(input->channel, "the far side is gone");
}

void sim_end_input(simulation *sim, sim_flow *made, sim_input *input) {
    if (input->ended) return;
    sim_event(sim, "end", made->serial, input->number);
    input->ended = true;
    tv_channel_end(input->channel);
}

static void check_released(simulation *sim, const sim_flow *made, sim_input *input) {
    uint64_t released = tv_channel_released(input->channel);
    if (released < input->released || released > tv_channel_committed(input->channel))
        sim_fail(sim, "flow %s: messages up to %llu are released after %llu, of %llu", made->name,
                 (unsigned long long)released, (unsigned long long)input->released,
                 (unsigned long long)tv_channel_committed(input->channel));
    input->released = released;
}

// ---- outputs ------------------------------------------------------------------------------------------------

void sim_take(simulation *sim, sim_flow *made, sim_output *output, uint32_t records_max) {
    const tv_record *first;
    uint32_t run_bytes, run_records, taken = 0;
    if (!output->awake) return;
    while (taken < records_max) {
        tv_status status = tv_channel_peek(output->channel, &first, &run_bytes, &run_records);
        if (status != TV_OK) {
            output->awake = false;
            output->ended = status == TV_EOF;
            break;
        }
        uint32_t records = 0, bytes = 0;
        for (; records < run_records && taken < records_max; records++, taken++) {
            sim_arrived(sim, made, output, first);
            bytes += first->size_bytes;
            first = tv_record_next(first);
        }
        tv_channel_pop(output->channel, records, bytes);
    }
    sim->records_out += taken;
    sim_event(sim, "take", made->serial * 16 + output->number, taken);
}

void sim_take_letters(simulation *sim, uint32_t worker) {
    const tv_record *first;
    uint32_t bytes, records;
    if (!sim->letters[worker]) return;
    while (tv_channel_peek(sim->letters[worker], &first, &bytes, &records) == TV_OK) {
        sim->letters_taken += records;
        tv_channel_pop(sim->letters[worker], records, bytes);
    }
    sim_event(sim, "letters", worker, sim->letters_taken);
}

// ---- the I/O thread's part ----------------------------------------------------------------------------------

// The connector behind a channel of the list; letters have none.
static void wake(simulation *sim, tv_channel *channel) {
    for (uint32_t i = 0; i < sim->flow_count; i++) {
        sim_flow *made = sim->flows[i];
        for (uint32_t k = 0; k < made->input_count; k++) {
            if (made->inputs[k].channel != channel) continue;
            check_released(sim, made, &made->inputs[k]);
            if (!tv_channel_paused(channel)) made->inputs[k].waits = false;
        }
        for (uint32_t k = 0; k < made->output_count; k++)
            if (made->outputs[k].channel == channel) made->outputs[k].awake = true;
    }
}

void sim_serve_io(simulation *sim) {
    uint64_t count = 0;
    tv_channel *channel = tv_ready_list_take(&sim->ready);
    while (channel) {
        tv_channel *next = tv_channel_next_ready(channel);
        wake(sim, channel);
        channel = next;
        count++;
    }
    sim_event(sim, "io", count, 0);
    if (!sim->in_step) sim_serve_taps(sim);
}
