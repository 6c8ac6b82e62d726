// The simulated sensors. Each reading takes the same three random numbers from its sensor's sequence whatever
// happens, so that changing one chance does not change everything else.
#include "connect/generator/simulation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connect/generator/calendar.h"

struct tv_sensor {
    tv_random random;
    int64_t mean, amplitude, last_value;
    uint32_t phase; // 2^32 is a day
    uint32_t stuck_left, dropout_left;
};

static const int64_t second_ns = 1000000000;

// Odd polynomial of degree 5 through the sine's zero, maximum and slopes there: x (a - x^2 (b - c x^2)) for x in
// quarter turns, a = pi/2, b = pi - 5/2, c = pi/2 - 3/2, all in 1 / 2^30.
int32_t tv_sine(uint32_t angle) {
    const int64_t one = 1 << 30, a = 1686629713, b = 688904866, c = 76016977;
    bool negative = angle >= 1U << 31;
    int64_t x = angle & 0x7fffffff; // half a turn: 0 .. 2 quarter turns
    if (x > one) x = 2 * one - x;
    int64_t square = x * x / one;
    int64_t sine = x * (a - square * (b - c * square / one) / one) / one;
    int32_t result = (int32_t)(sine >> 10);
    return negative ? -result : result;
}

// Where in the day: 2^32 is 24 hours. 86,400 s are 2^16 * 1,318,359,375 ns, so this is exact to 1 / 2^32.
static uint32_t angle_of_day(int64_t time_ns) {
    uint64_t of_day_ns = (uint64_t)(time_ns % (86400 * second_ns));
    return (uint32_t)((of_day_ns << 16) / 1318359375);
}

// -limit .. limit from 21 random bits.
static int64_t spread(tv_random *random, int64_t limit) {
    int64_t bits = (int64_t)(tv_random_next(random) >> 43);
    return limit * bits / (1 << 20) - limit;
}

static void sensor_init(tv_sensor *sensor, const tv_simulation_options *options, uint64_t seed) {
    *sensor = (tv_sensor){0};
    tv_random_init(&sensor->random, seed);
    sensor->mean = options->base + spread(&sensor->random, options->base_spread);
    sensor->amplitude = options->amplitude + spread(&sensor->random, options->amplitude / 2);
    // Coolest at four in the morning, two hours more or less.
    int64_t shift = -(10LL << 32) / 24 + spread(&sensor->random, (2LL << 32) / 24);
    sensor->phase = (uint32_t)shift;
}

uint64_t tv_simulation_memory_bytes(uint32_t sensors) { return (uint64_t)sensors * sizeof(tv_sensor); }

static void prepare_texts(tv_simulation *simulation) {
    const tv_simulation_options *options = &simulation->options;
    const char *quote = options->time_format == TV_TIME_ISO ? "\"" : "";
    snprintf(simulation->before_time, sizeof simulation->before_time, "{\"%s\":%s", options->time_field, quote);
    snprintf(simulation->before_device, sizeof simulation->before_device, "%s,\"%s\":\"%s", quote,
             options->device_field, options->device_prefix);
    snprintf(simulation->before_value, sizeof simulation->before_value, "\",\"%s\":", options->value_field);
    simulation->time_text_ns = -1;
    simulation->device_digits = 3;
    for (uint32_t limit = 1000; limit <= options->sensors && simulation->device_digits < 9; limit *= 10)
        simulation->device_digits++;
}

tv_status tv_simulation_init(tv_simulation *simulation, const tv_simulation_options *options, tv_error *error) {
    tv_sensor *sensors = calloc(options->sensors, sizeof *sensors);
    if (!sensors) return tv_error_set(error, TV_NO_MEMORY, "no memory for %u simulated sensors", options->sensors);
    *simulation = (tv_simulation){.options = *options, .sensors = sensors};
    uint64_t seed = options->seed;
    for (uint32_t i = 0; i < options->sensors; i++)
        sensor_init(&sensors[i], options, tv_splitmix64_next(&seed));
    prepare_texts(simulation);
    return TV_OK;
}

void tv_simulation_deinit(tv_simulation *simulation) {
    free(simulation->sensors);
    *simulation = (tv_simulation){0};
}

// ---- readings -----------------------------------------------------------------------------------------------

// The sum of four uniform 16-bit numbers is near enough to a normal distribution; its deviation is 65536 / sqrt(3).
static int64_t noise(uint64_t bits, int64_t deviation) {
    int64_t sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (int64_t)(bits >> (16 * i) & 0xffff);
    return (sum - 131070) * deviation / 37837;
}

// True while an episode lasts: it begins by chance and goes on for `steps` readings.
static bool episode(uint32_t *left, uint32_t chance_bits, uint32_t chance, uint32_t steps) {
    if (*left == 0 && chance_bits < chance) *left = steps;
    if (*left == 0) return false;
    --*left;
    return true;
}

static int64_t fresh_value(const tv_simulation_options *options, const tv_sensor *sensor, int64_t time_ns,
                           uint64_t noise_bits) {
    int64_t sine = tv_sine(angle_of_day(time_ns) + sensor->phase);
    return sensor->mean + sensor->amplitude * sine / (1 << 20) + noise(noise_bits, options->noise);
}

// One step of one sensor. False: the sensor is silent.
static bool advance_sensor(tv_simulation *simulation, tv_sensor *sensor, int64_t time_ns, int64_t *value) {
    const tv_simulation_options *options = &simulation->options;
    uint64_t noise_bits = tv_random_next(&sensor->random);
    uint64_t spike_bits = tv_random_next(&sensor->random);
    uint64_t episode_bits = tv_random_next(&sensor->random);
    bool silent =
        episode(&sensor->dropout_left, (uint32_t)episode_bits, options->dropout_chance, options->dropout_steps);
    bool stuck =
        episode(&sensor->stuck_left, (uint32_t)(episode_bits >> 32), options->stuck_chance, options->stuck_steps);
    if (!stuck) sensor->last_value = fresh_value(options, sensor, time_ns, noise_bits);
    bool spike = !stuck && (uint32_t)spike_bits < options->spike_chance;
    int64_t spike_size = spike_bits >> 63 ? options->spike_size : -options->spike_size;
    *value = sensor->last_value + (spike ? spike_size : 0);
    simulation->dropouts += silent;
    simulation->stuck += stuck && !silent;
    simulation->spikes += spike && !silent;
    return !silent;
}

// False: the event time has reached its end.
static bool step_time(const tv_simulation *simulation, int64_t *time_ns) {
    const tv_simulation_options *options = &simulation->options;
    int64_t offset_ns;
    if (__builtin_mul_overflow((int64_t)simulation->step, options->interval_ns, &offset_ns)) return false;
    if (options->duration_ns != 0 && offset_ns >= options->duration_ns) return false;
    return !__builtin_add_overflow(options->start_ns, offset_ns, time_ns);
}

tv_status tv_simulation_next(tv_simulation *simulation, tv_reading *reading) {
    const tv_simulation_options *options = &simulation->options;
    if (options->count != 0 && simulation->emitted == options->count) return TV_EOF;
    uint32_t index = simulation->next_sensor;
    int64_t time_ns, value;
    if (!step_time(simulation, &time_ns)) return TV_EOF;
    simulation->next_sensor = index + 1 < options->sensors ? index + 1 : 0;
    simulation->step += simulation->next_sensor == 0;
    if (!advance_sensor(simulation, &simulation->sensors[index], time_ns, &value)) return TV_EMPTY;
    simulation->emitted++;
    *reading = (tv_reading){time_ns, index, value};
    return TV_OK;
}

// ---- text ---------------------------------------------------------------------------------------------------

static char *put_text(char *out, const char *text) {
    size_t length = strlen(text);
    memcpy(out, text, length);
    return out + length;
}

static char *put_number(char *out, uint64_t value, int least_digits) {
    char digits[20];
    int count = 0;
    for (; value > 0 || count < least_digits; value /= 10)
        digits[count++] = (char)('0' + value % 10);
    while (count > 0)
        *out++ = digits[--count];
    return out;
}

// `value` is in millionths; rounds half away from zero.
static char *put_value(char *out, int64_t value, int decimals) {
    uint64_t unit = 1;
    for (int i = decimals; i < 6; i++)
        unit *= 10;
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    uint64_t scaled = (magnitude + unit / 2) / unit;
    if (value < 0 && scaled > 0) *out++ = '-';
    uint64_t whole = 1000000 / unit;
    out = put_number(out, scaled / whole, 1);
    if (decimals == 0) return out;
    *out++ = '.';
    return put_number(out, scaled % whole, decimals);
}

// All sensors of a step share the time, so its text is made once a step.
static void update_time_text(tv_simulation *simulation, int64_t time_ns) {
    if (simulation->time_text_ns == time_ns) return;
    simulation->time_text_ns = time_ns;
    const tv_simulation_options *options = &simulation->options;
    if (options->time_format == TV_TIME_ISO) {
        bool whole_ms = options->start_ns % 1000000 == 0 && options->interval_ns % 1000000 == 0;
        simulation->time_length = tv_iso_time_format(time_ns, whole_ms ? 3 : 9, simulation->time_text);
        return;
    }
    static const int64_t units[] = {[TV_TIME_S] = 1000000000, [TV_TIME_MS] = 1000000, [TV_TIME_NS] = 1};
    char *end = put_number(simulation->time_text, (uint64_t)(time_ns / units[options->time_format]), 1);
    simulation->time_length = (size_t)(end - simulation->time_text);
}

size_t tv_simulation_format(tv_simulation *simulation, const tv_reading *reading, char out[TV_READING_TEXT_BYTES_MAX]) {
    update_time_text(simulation, reading->time_ns);
    char *at = put_text(out, simulation->before_time);
    memcpy(at, simulation->time_text, simulation->time_length);
    at = put_text(at + simulation->time_length, simulation->before_device);
    at = put_number(at, reading->sensor + 1ULL, simulation->device_digits);
    at = put_text(at, simulation->before_value);
    at = put_value(at, reading->value, simulation->options.decimals);
    *at++ = '}';
    return (size_t)(at - out);
}
