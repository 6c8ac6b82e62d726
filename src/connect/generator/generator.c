// The generator connector: lets the simulation run at its rate, or as fast as the channel takes it.
//
// A pausable generator makes no reading while the channel has no room. One that is not behaves like a sensor that
// does not wait: what finds no room is lost, by the channel's overflow policy or, where that is `block`, here.
#include "connect/generator/generator.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/base.h"
#include "connect/generator/calendar.h"
#include "connect/generator/simulation.h"

// ---- options ------------------------------------------------------------------------------------------------

typedef struct generator_options {
    int64_t seed, sensors, count, decimals, stuck_length, dropout_length;
    int64_t interval_ns, duration_ns;
    double rate, base, base_spread, amplitude, noise, spike_size;
    double spike_probability, stuck_probability, dropout_probability;
    const char *start, *time_field, *device_field, *value_field, *device_prefix;
    int time_format;
    bool pausable;
} generator_options;

enum { SENSORS_MAX = 100000, SLICE_RECORDS = 4096 };

static const char *const time_format_names[] = {"iso", "s", "ms", "ns", NULL};

#define AT(member) offsetof(generator_options, member)
#define INTEGER(n, member, text, low, high, sentence)                                                                  \
    {                                                                                                                  \
        .name = n, .type = TV_OPTION_INTEGER, .offset = AT(member), .default_text = text, .min = low, .max = high,     \
        .help = sentence                                                                                               \
    }
#define NUMBER(n, member, text, low, high, sentence)                                                                   \
    {                                                                                                                  \
        .name = n, .type = TV_OPTION_NUMBER, .offset = AT(member), .default_text = text, .min = low, .max = high,      \
        .help = sentence                                                                                               \
    }
#define DURATION(n, member, text, low, high, sentence)                                                                 \
    {                                                                                                                  \
        .name = n, .type = TV_OPTION_DURATION, .offset = AT(member), .default_text = text, .min = low, .max = high,    \
        .help = sentence                                                                                               \
    }
#define TEXT(n, member, text, shortest, sentence)                                                                      \
    {                                                                                                                  \
        .name = n, .type = TV_OPTION_STRING, .offset = AT(member), .default_text = text, .min = shortest, .max = 63,   \
        .help = sentence                                                                                               \
    }

static const tv_option options[] = {
    INTEGER("seed", seed, "1", 0, 9007199254740992.0, "Same seed and options, same bytes."),
    INTEGER("sensors", sensors, "10", 1, SENSORS_MAX, "Number of sensors."),
    DURATION("interval", interval_ns, "1s", 1, 86400e9, "Event time between two readings of a sensor."),
    NUMBER("rate", rate, "0", 0, 1e8, "Readings a second of wall-clock time; 0: as fast as they are taken."),
    INTEGER("count", count, "0", 0, 9007199254740992.0, "Readings in all; 0: no end."),
    DURATION("duration", duration_ns, "0s", 0, 3.2e18, "Event time in all; 0: no end."),
    TEXT("start", start, "2026-01-01T00:00:00Z", 1, "Event time of the first readings, ISO 8601 in UTC."),
    NUMBER("base", base, "20", -1e6, 1e6, "Mean value."),
    NUMBER("base_spread", base_spread, "5", 0, 1e6, "A sensor's own mean lies at most this far from `base`."),
    NUMBER("amplitude", amplitude, "5", 0, 1e6, "Amplitude of the daily sine; a sensor has 50 % to 150 % of it."),
    NUMBER("noise", noise, "0.2", 0, 1e6, "Standard deviation of the noise."),
    NUMBER("spike_probability", spike_probability, "0.0005", 0, 1, "Chance of a spike, for each reading."),
    NUMBER("spike_size", spike_size, "25", 0, 1e6, "What a spike adds or takes away."),
    NUMBER("stuck_probability", stuck_probability, "0.0001", 0, 1, "Chance that a value gets stuck."),
    INTEGER("stuck_length", stuck_length, "30", 1, 1e9, "Readings for which it stays so."),
    NUMBER("dropout_probability", dropout_probability, "0.0001", 0, 1, "Chance that a sensor falls silent."),
    INTEGER("dropout_length", dropout_length, "20", 1, 1e9, "Readings for which it stays so."),
    INTEGER("decimals", decimals, "2", 0, 6, "Digits behind the decimal point."),
    TEXT("time_field", time_field, "ts", 1, "Name of the field with the event time."),
    TEXT("device_field", device_field, "device", 1, "Name of the field with the sensor."),
    TEXT("value_field", value_field, "value", 1, "Name of the field with the value."),
    TEXT("device_prefix", device_prefix, "sensor-", 0, "What stands before a sensor's number."),
    {.name = "time_format",
     .type = TV_OPTION_ENUM,
     .offset = AT(time_format),
     .default_text = "iso",
     .choices = time_format_names,
     .help = "ISO 8601, or a number of seconds, milliseconds or nanoseconds since 1970."},
    {.name = "pausable",
     .type = TV_OPTION_BOOL,
     .offset = AT(pausable),
     .default_text = "true",
     .help = "false: a source that does not wait; what finds no room is lost and counted."},
};

static bool fits_into_quotes(const char *text) {
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == '"' || *text == '\\') return false;
    }
    return true;
}

static tv_status check(tv_direction direction, const void *filled, tv_error *error) {
    (void)direction;
    const generator_options *given = filled;
    int64_t start_ns;
    if (!tv_iso_time_parse(given->start, &start_ns)) {
        return tv_error_set(
            error, TV_INVALID,
            "`start` is a time such as 2026-01-01T00:00:00Z, between the years 1970 and 2261; found \"%s\"",
            given->start);
    }
    const char *const texts[] = {given->time_field, given->device_field, given->value_field, given->device_prefix};
    for (int i = 0; i < 4; i++) {
        if (fits_into_quotes(texts[i])) continue;
        return tv_error_set(error, TV_INVALID,
                            "\"%s\" cannot be used as it is in JSON: no quotes, backslashes or control characters",
                            texts[i]);
    }
    return TV_OK;
}

static int64_t millionths(double value) { return llround(value * 1e6); }

static uint32_t chance(double probability) {
    return probability >= 1 ? UINT32_MAX : (uint32_t)(probability * 4294967296.0);
}

static tv_simulation_options to_simulation(const generator_options *given) {
    tv_simulation_options simulation = {
        .seed = (uint64_t)given->seed,
        .sensors = (uint32_t)given->sensors,
        .interval_ns = given->interval_ns,
        .count = (uint64_t)given->count,
        .duration_ns = given->duration_ns,
        .base = millionths(given->base),
        .base_spread = millionths(given->base_spread),
        .amplitude = millionths(given->amplitude),
        .noise = millionths(given->noise),
        .spike_size = millionths(given->spike_size),
        .spike_chance = chance(given->spike_probability),
        .stuck_chance = chance(given->stuck_probability),
        .dropout_chance = chance(given->dropout_probability),
        .stuck_steps = (uint32_t)given->stuck_length,
        .dropout_steps = (uint32_t)given->dropout_length,
        .decimals = (int)given->decimals,
        .time_format = (tv_time_format)given->time_format,
        .time_field = given->time_field,
        .device_field = given->device_field,
        .value_field = given->value_field,
        .device_prefix = given->device_prefix,
    };
    (void)tv_iso_time_parse(given->start, &simulation.start_ns); // checked before
    return simulation;
}

// ---- running ------------------------------------------------------------------------------------------------

typedef enum generator_state {
    RUNNING, // as the rate allows
    PAUSED,  // the channel has no room
    ENDED,
    GENERATOR_STATES,
} generator_state;

static const uint8_t successors[GENERATOR_STATES] = {
    [RUNNING] = 1 << PAUSED | 1 << ENDED,
    [PAUSED] = 1 << RUNNING | 1 << ENDED,
    [ENDED] = 0,
};

typedef struct tv_generator {
    tv_channel *channel;
    const tv_clock *clock;
    generator_state state;
    tv_simulation simulation;
    bool pausable;
    double rate;       // 0: unlimited
    int64_t origin_ns; // monotonic: the reading number n is due at origin + n / rate
    tv_reading reading;
    bool has_reading; // it waits for room
    uv_idle_t idle;   // unlimited: one slice each turn of the loop
    uv_timer_t timer; // limited
    unsigned open_handles;
    void (*closed)(void *user);
    void *closed_user;
    uint64_t lost;
} tv_generator;

static void set_state(tv_generator *generator, generator_state state) {
    TV_ASSERT(successors[generator->state] & 1U << state);
    generator->state = state;
}

static void end(tv_generator *generator) {
    set_state(generator, ENDED);
    uv_idle_stop(&generator->idle);
    uv_timer_stop(&generator->timer);
    tv_channel_end(generator->channel);
}

static tv_status offer(tv_generator *generator) {
    char text[TV_READING_TEXT_BYTES_MAX];
    size_t length = tv_simulation_format(&generator->simulation, &generator->reading, text);
    uint8_t *payload;
    tv_status status = tv_channel_reserve(generator->channel, (uint32_t)length, NULL, 0, &payload);
    if (status != TV_OK) return status;
    memcpy(payload, text, length);
    tv_channel_commit(generator->channel, generator->reading.time_ns);
    return TV_OK;
}

// Takes `most` steps of the simulation. False: the channel has no room and the generator waits, or all is made.
static bool make_readings(tv_generator *generator, uint64_t most) {
    for (uint64_t i = 0; i < most; i++) {
        tv_status status = TV_OK;
        if (!generator->has_reading) status = tv_simulation_next(&generator->simulation, &generator->reading);
        if (status == TV_EMPTY) continue;
        if (status == TV_EOF) {
            end(generator);
            return false;
        }
        bool no_room = offer(generator) == TV_AGAIN;
        generator->has_reading = no_room && generator->pausable;
        if (generator->has_reading) {
            set_state(generator, PAUSED);
            return false;
        }
        generator->lost += no_room;
    }
    return true;
}

static void on_timer(uv_timer_t *timer);

// Readings made and not waiting.
static uint64_t made(const tv_generator *generator) {
    return generator->simulation.emitted - (generator->has_reading ? 1 : 0);
}

static void wait_for_next(tv_generator *generator, int64_t now_ns) {
    double due_ns = ((double)made(generator) + 1) * 1e9 / generator->rate - (double)(now_ns - generator->origin_ns);
    uint64_t wait_ms = due_ns > 1e6 ? (uint64_t)(due_ns / 1e6) : 1;
    uv_timer_start(&generator->timer, on_timer, wait_ms, 0);
}

static void make_due_readings(tv_generator *generator) {
    int64_t now_ns = tv_clock_monotonic_ns(generator->clock);
    double due = (double)(now_ns - generator->origin_ns) / 1e9 * generator->rate;
    uint64_t already = made(generator);
    uint64_t most = due > (double)already ? (uint64_t)due - already : 0;
    bool more = make_readings(generator, most < SLICE_RECORDS ? most : SLICE_RECORDS);
    if (generator->state != ENDED) tv_channel_publish(generator->channel);
    if (more) wait_for_next(generator, now_ns);
}

static void on_timer(uv_timer_t *timer) { make_due_readings(timer->data); }

static void on_idle(uv_idle_t *idle) {
    tv_generator *generator = idle->data;
    if (!make_readings(generator, SLICE_RECORDS)) uv_idle_stop(idle);
    if (generator->state != ENDED) tv_channel_publish(generator->channel);
}

// A pause moves the schedule: the readings not made meanwhile do not follow in a burst.
static void run(tv_generator *generator) {
    if (generator->rate == 0) {
        uv_idle_start(&generator->idle, on_idle);
        return;
    }
    int64_t now_ns = tv_clock_monotonic_ns(generator->clock);
    generator->origin_ns = now_ns - (int64_t)((double)made(generator) * 1e9 / generator->rate);
    if (generator->has_reading) {
        generator->origin_ns -= (int64_t)(1e9 / generator->rate); // it was due before the pause
        make_due_readings(generator);
    } else {
        wait_for_next(generator, now_ns);
    }
}

static void generator_ready(void *state) {
    tv_generator *generator = state;
    if (generator->state != PAUSED || generator->closed || tv_channel_paused(generator->channel)) return;
    set_state(generator, RUNNING);
    run(generator);
}

static void generator_stop(void *state) {
    tv_generator *generator = state;
    if (generator->state != ENDED) end(generator);
}

// ---- opening and closing ------------------------------------------------------------------------------------

static void release(tv_generator *generator) {
    tv_simulation_deinit(&generator->simulation);
    free(generator);
}

static void start(tv_generator *generator, uv_loop_t *loop) {
    uv_idle_init(loop, &generator->idle);
    uv_timer_init(loop, &generator->timer);
    generator->idle.data = generator->timer.data = generator;
    generator->open_handles = 2;
    run(generator);
}

static tv_status generator_open(const tv_connector_config *config, tv_channel *channel, void **state, tv_error *error) {
    const generator_options *given = config->options;
    tv_status status = check(TV_INPUT, given, error);
    if (status != TV_OK) return status;
    tv_generator *generator = calloc(1, sizeof *generator);
    if (!generator) return tv_error_set(error, TV_NO_MEMORY, "no memory for a generator");
    generator->channel = channel;
    generator->clock = config->clock;
    generator->pausable = given->pausable;
    generator->rate = given->rate;
    tv_simulation_options simulation = to_simulation(given);
    status = tv_simulation_init(&generator->simulation, &simulation, error);
    if (status != TV_OK) {
        free(generator);
        return status;
    }
    start(generator, config->loop);
    *state = generator;
    return TV_OK;
}

static void on_handle_closed(uv_handle_t *handle) {
    tv_generator *generator = handle->data;
    if (--generator->open_handles > 0) return;
    void (*closed)(void *user) = generator->closed;
    void *user = generator->closed_user;
    release(generator);
    closed(user);
}

static void generator_close(void *state, void (*closed)(void *user), void *user) {
    tv_generator *generator = state;
    if (generator->state != ENDED) end(generator);
    generator->closed = closed;
    generator->closed_user = user;
    uv_close((uv_handle_t *)&generator->idle, on_handle_closed);
    uv_close((uv_handle_t *)&generator->timer, on_handle_closed);
}

static void generator_figures(void *state, void (*figure)(void *user, const char *name, uint64_t value), void *user) {
    const tv_generator *generator = state;
    figure(user, "messages", made(generator) - generator->lost);
    figure(user, "lost", generator->lost);
    figure(user, "spikes", generator->simulation.spikes);
    figure(user, "stuck", generator->simulation.stuck);
    figure(user, "dropouts", generator->simulation.dropouts);
}

static uint64_t memory_bytes(tv_direction direction, const void *filled, uint32_t payload_bytes_max) {
    (void)direction;
    (void)payload_bytes_max;
    return tv_simulation_memory_bytes((uint32_t)((const generator_options *)filled)->sensors);
}

const tv_connector tv_connector_generator = {
    .name = "generator",
    .summary = "Simulates sensors with noise, spikes, stuck values and drop-outs, the same for the same seed.",
    .directions = TV_INPUT,
    .pausable = true,
    .input_options = {options, sizeof options / sizeof *options, sizeof(generator_options)},
    .check = check,
    .open = generator_open,
    .ready = generator_ready,
    .stop = generator_stop,
    .close = generator_close,
    .figures = generator_figures,
    .memory_bytes = memory_bytes,
};
