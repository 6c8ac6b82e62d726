// The simulated sensors: pure, without clock, channel or floating point.
//
// Each sensor has its own random sequence and a value that follows a daily sine, with noise, spikes, stuck values and
// drop-outs. All arithmetic on values is in 64-bit integers (millionths): libm's sine and a compiler's fused
// multiply-add differ between machines, integers do not.
#ifndef TORVYN_CONNECT_GENERATOR_SIMULATION_H
#define TORVYN_CONNECT_GENERATOR_SIMULATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "connect/generator/random.h"

typedef enum tv_time_format { TV_TIME_ISO, TV_TIME_S, TV_TIME_MS, TV_TIME_NS } tv_time_format;

typedef struct tv_simulation_options {
    uint64_t seed;
    uint32_t sensors;
    int64_t start_ns;    // event time of the first step
    int64_t interval_ns; // between two readings of a sensor
    uint64_t count;      // readings in all; 0: no end
    int64_t duration_ns; // of event time; 0: no end
    // In millionths of the unit, as are values.
    int64_t base, base_spread; // mean of a sensor: base +- base_spread
    int64_t amplitude;         // of the daily sine: 50 % to 150 % of this
    int64_t noise;             // standard deviation
    int64_t spike_size;
    // Chance for each reading, in 1 / 2^32.
    uint32_t spike_chance, stuck_chance, dropout_chance;
    uint32_t stuck_steps, dropout_steps;
    int decimals; // 0 to 6
    tv_time_format time_format;
    const char *time_field, *device_field, *value_field, *device_prefix; // no quote, backslash or control character
} tv_simulation_options;

typedef struct tv_sensor tv_sensor;

typedef struct tv_reading {
    int64_t time_ns;
    uint32_t sensor;
    int64_t value;
} tv_reading;

enum { TV_SIMULATION_TEXT_BYTES_MAX = 64, TV_READING_TEXT_BYTES_MAX = 512 };

typedef struct tv_simulation {
    tv_simulation_options options;
    tv_sensor *sensors;
    uint64_t step;
    uint32_t next_sensor;
    uint64_t emitted, spikes, stuck, dropouts; // stuck, dropouts: readings affected
    int device_digits;
    // The parts of a line that stay the same, and the time of the present step.
    char before_time[TV_SIMULATION_TEXT_BYTES_MAX + 8], before_device[2 * TV_SIMULATION_TEXT_BYTES_MAX + 16],
        before_value[TV_SIMULATION_TEXT_BYTES_MAX + 8];
    char time_text[48];
    size_t time_length;
    int64_t time_text_ns;
} tv_simulation;

// Allocates the sensors. NO_MEMORY.
tv_status tv_simulation_init(tv_simulation *simulation, const tv_simulation_options *options, tv_error *error);
void tv_simulation_deinit(tv_simulation *simulation);
uint64_t tv_simulation_memory_bytes(uint32_t sensors);
// One step of one sensor. OK: *reading; EMPTY: the sensor is silent; EOF: count or duration is reached.
tv_status tv_simulation_next(tv_simulation *simulation, tv_reading *reading);
// Writes the reading as a JSON object, without newline. Returns the length.
size_t tv_simulation_format(tv_simulation *simulation, const tv_reading *reading, char out[TV_READING_TEXT_BYTES_MAX]);
// Sine of `angle` (2^32 is a full turn), in 1 / 2^20; wrong by at most 4 / 10,000.
int32_t tv_sine(uint32_t angle);

#endif
