// Random numbers against published vectors, time, sine, and the simulation's bytes and statistics.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "connect/generator/calendar.h"
#include "connect/generator/simulation.h"

static void splitmix64_gives_the_published_numbers(void **state) {
    (void)state;
    uint64_t seed = 1234567;
    const uint64_t expected[] = {6457827717110365317U, 3203168211198807973U, 9817491932198370423U, 4593380528125082431U,
                                 16408922859458223821U};
    for (int i = 0; i < 5; i++)
        assert_true(tv_splitmix64_next(&seed) == expected[i]);
}

static void xoshiro_gives_the_published_numbers(void **state) {
    (void)state;
    tv_random random = {{1, 2, 3, 4}};
    const uint64_t expected[] = {11520,
                                 0,
                                 1509978240,
                                 1215971899390074240U,
                                 1216172134540287360U,
                                 607988272756665600U,
                                 16172922978634559625U,
                                 8476171486693032832U};
    for (int i = 0; i < 8; i++)
        assert_true(tv_random_next(&random) == expected[i]);
}

static void times_are_read_and_written(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t time_ns;
        int digits;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0, 0},
        {"2000-02-29T23:59:59.999Z", 951868799999000000, 3},
        {"2026-01-01T00:00:00.000Z", 1767225600000000000, 3},
        {"2100-03-01T12:00:00.000000001Z", 4107585600000000001, 9},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t time_ns;
        char text[TV_ISO_TIME_BYTES];
        assert_true(tv_iso_time_parse(cases[i].text, &time_ns));
        assert_true(time_ns == cases[i].time_ns);
        size_t length = tv_iso_time_format(time_ns, cases[i].digits, text);
        assert_int_equal(length, strlen(cases[i].text));
        assert_memory_equal(text, cases[i].text, length);
    }
    int64_t time_ns;
    assert_true(tv_iso_time_parse("2026-01-01", &time_ns));
    assert_true(time_ns == 1767225600000000000);
}

static void malformed_times_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        "yesterday",
                                        "2026-1-1",
                                        "2026-13-01",
                                        "2026-02-29",
                                        "2026-04-31",
                                        "2026-01-00",
                                        "1969-12-31",
                                        "2262-01-01",
                                        "2026-01-01T",
                                        "2026-01-01T24:00:00Z",
                                        "2026-01-01T00:60:00Z",
                                        "2026-01-01T00:00:00",
                                        "2026-01-01T00:00:00.Z",
                                        "2026-01-01T00:00:00+01:00",
                                        "2026-01-01T00:00:00Z "};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int64_t time_ns;
        if (tv_iso_time_parse(texts[i], &time_ns)) fail_msg("accepted \"%s\"", texts[i]);
    }
}

static void every_day_of_four_centuries_survives_the_round_trip(void **state) {
    (void)state;
    const int64_t day_ns = 86400LL * 1000000000;
    for (int64_t day = 0; day < 106000; day++) {
        char text[TV_ISO_TIME_BYTES];
        int64_t back;
        text[tv_iso_time_format(day * day_ns + 1, 9, text)] = 0;
        assert_true(tv_iso_time_parse(text, &back));
        assert_true(back == day * day_ns + 1);
    }
}

static void sine_is_near_the_real_one(void **state) {
    (void)state;
    assert_int_equal(tv_sine(0), 0);
    assert_int_equal(tv_sine(1U << 31), 0);
    assert_in_range(tv_sine(1U << 30), (1 << 20) - 2, 1 << 20);
    for (uint64_t angle = 0; angle < 1ULL << 32; angle += 12345677) {
        double real = sin((double)angle / 4294967296.0 * 2 * M_PI);
        double ours = (double)tv_sine((uint32_t)angle) / (1 << 20);
        assert_true(fabs(real - ours) < 4.1e-4);
    }
}

static tv_simulation_options plain_options(void) {
    return (tv_simulation_options){.seed = 42,
                                   .sensors = 3,
                                   .start_ns = 1767225600000000000,
                                   .interval_ns = 1000000000,
                                   .base = 20000000,
                                   .base_spread = 5000000,
                                   .amplitude = 5000000,
                                   .noise = 200000,
                                   .spike_size = 25000000,
                                   .decimals = 2,
                                   .time_field = "ts",
                                   .device_field = "device",
                                   .value_field = "value",
                                   .device_prefix = "sensor-"};
}

static void expect_line(tv_simulation *simulation, const char *expected) {
    char text[TV_READING_TEXT_BYTES_MAX];
    tv_reading reading;
    assert_int_equal(tv_simulation_next(simulation, &reading), TV_OK);
    text[tv_simulation_format(simulation, &reading, text)] = 0;
    assert_string_equal(text, expected);
}

// What was generated once stays so: recorded files and known results depend on it.
static void lines_of_a_seed_are_pinned(void **state) {
    (void)state;
    tv_simulation simulation;
    tv_simulation_options options = plain_options();
    assert_int_equal(tv_simulation_init(&simulation, &options, NULL), TV_OK);
    expect_line(&simulation, "{\"ts\":\"2026-01-01T00:00:00.000Z\",\"device\":\"sensor-001\",\"value\":12.62}");
    expect_line(&simulation, "{\"ts\":\"2026-01-01T00:00:00.000Z\",\"device\":\"sensor-002\",\"value\":20.83}");
    expect_line(&simulation, "{\"ts\":\"2026-01-01T00:00:00.000Z\",\"device\":\"sensor-003\",\"value\":21.50}");
    expect_line(&simulation, "{\"ts\":\"2026-01-01T00:00:01.000Z\",\"device\":\"sensor-001\",\"value\":12.81}");
    tv_simulation_deinit(&simulation);
}

static void hundred_thousand_readings_of_a_seed_are_pinned(void **state) {
    (void)state;
    tv_simulation simulation;
    tv_simulation_options options = plain_options();
    options.spike_chance = options.stuck_chance = options.dropout_chance = 1U << 22;
    options.stuck_steps = options.dropout_steps = 10;
    options.interval_ns = 7000000000;
    options.count = 100000;
    assert_int_equal(tv_simulation_init(&simulation, &options, NULL), TV_OK);
    uint64_t hash = 0xcbf29ce484222325U; // FNV-1a
    tv_reading reading;
    char text[TV_READING_TEXT_BYTES_MAX];
    for (tv_status status; (status = tv_simulation_next(&simulation, &reading)) != TV_EOF;) {
        size_t length = status == TV_OK ? tv_simulation_format(&simulation, &reading, text) : 0;
        for (size_t i = 0; i < length; i++)
            hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3U;
    }
    if (hash != 0xcd96b9580889ea78U) fail_msg("hash %#llx", (unsigned long long)hash);
    tv_simulation_deinit(&simulation);
}

static void names_time_formats_and_decimals_are_as_asked(void **state) {
    (void)state;
    tv_simulation simulation;
    tv_simulation_options options = plain_options();
    options.base = -1500;
    options.base_spread = options.amplitude = options.noise = 0;
    options.sensors = 1000;
    options.device_prefix = "";
    options.value_field = "v";
    options.time_format = TV_TIME_MS;
    options.decimals = 3;
    assert_int_equal(tv_simulation_init(&simulation, &options, NULL), TV_OK);
    expect_line(&simulation, "{\"ts\":1767225600000,\"device\":\"0001\",\"v\":-0.002}");
    tv_simulation_deinit(&simulation);
    options.decimals = 0;
    options.time_format = TV_TIME_S;
    assert_int_equal(tv_simulation_init(&simulation, &options, NULL), TV_OK);
    expect_line(&simulation, "{\"ts\":1767225600,\"device\":\"0001\",\"v\":0}");
    tv_simulation_deinit(&simulation);
    options.decimals = 6;
    options.time_format = TV_TIME_ISO;
    options.interval_ns = 1000;
    assert_int_equal(tv_simulation_init(&simulation, &options, NULL), TV_OK);
    expect_line(&simulation, "{\"ts\":\"2026-01-01T00:00:00.000000000Z\",\"device\":\"0001\",\"v\":-0.001500}");
    tv_simulation_deinit(&simulation);
}

static void a_sensor_is_the_same_however_many_there_are(void **state) {
    (void)state;
    tv_simulation small, large;
    tv_simulation_options options = plain_options();
    assert_int_equal(tv_simulation_init(&small, &options, NULL), TV_OK);
    options.sensors = 50;
    assert_int_equal(tv_simulation_init(&large, &options, NULL), TV_OK);
    for (int step = 0; step < 100; step++) {
        tv_reading a, b;
        for (uint32_t i = 0; i < 50; i++) {
            assert_int_equal(tv_simulation_next(&large, &b), TV_OK);
            if (i >= 3) continue;
            assert_int_equal(tv_simulation_next(&small, &a), TV_OK);
            assert_true(a.value == b.value && a.sensor == b.sensor && a.time_ns == b.time_ns);
        }
    }
    tv_simulation_deinit(&small);
    tv_simulation_deinit(&large);
}

static void noise_has_its_mean_and_deviation(void **state) {
    (void)state;
    tv_simulation simulation;
    tv_simulation_options options = plain_options();
    options.sensors = 1;
    options.base_spread = options.amplitude = 0;
    assert_int_equal(tv_simulation_init(&simulation, &options, NULL), TV_OK);
    double sum = 0, squares = 0;
    const int count = 100000;
    for (int i = 0; i < count; i++) {
        tv_reading reading;
        assert_int_equal(tv_simulation_next(&simulation, &reading), TV_OK);
        double value = (double)reading.value / 1e6 - 20;
        sum += value;
        squares += value * value;
    }
    assert_true(fabs(sum / count) < 0.003);
    assert_true(fabs(sqrt(squares / count) - 0.2) < 0.003);
    tv_simulation_deinit(&simulation);
}

static void the_day_has_one_maximum_in_the_afternoon(void **state) {
    (void)state;
    tv_simulation simulation;
    tv_simulation_options options = plain_options();
    options.sensors = 1;
    options.noise = 0;
    options.interval_ns = 60000000000;
    options.duration_ns = 86400000000000;
    assert_int_equal(tv_simulation_init(&simulation, &options, NULL), TV_OK);
    tv_reading reading;
    int64_t highest = INT64_MIN, lowest = INT64_MAX, highest_at = 0;
    int readings = 0;
    while (tv_simulation_next(&simulation, &reading) == TV_OK) {
        readings++;
        if (reading.value < lowest) lowest = reading.value;
        if (reading.value <= highest) continue;
        highest = reading.value;
        highest_at = (reading.time_ns - options.start_ns) / 3600000000000;
    }
    assert_int_equal(readings, 1440);
    assert_in_range(highest_at, 13, 18);
    assert_in_range(highest - lowest, 2 * 2500000 - 10000, 2 * 7500000);
    tv_simulation_deinit(&simulation);
}

static void episodes_have_their_length_and_frequency(void **state) {
    (void)state;
    tv_simulation simulation;
    tv_simulation_options options = plain_options();
    options.sensors = 1;
    options.noise = 200000;
    options.stuck_chance = options.dropout_chance = options.spike_chance = (uint32_t)(0.001 * 4294967296.0);
    options.stuck_steps = 20;
    options.dropout_steps = 10;
    options.decimals = 6;
    assert_int_equal(tv_simulation_init(&simulation, &options, NULL), TV_OK);
    int silent = 0;
    tv_reading reading;
    for (int i = 0; i < 1000000; i++)
        silent += tv_simulation_next(&simulation, &reading) == TV_EMPTY;
    assert_int_equal(silent, simulation.dropouts);
    assert_in_range(simulation.dropouts, 8500, 11500);
    assert_in_range(simulation.stuck, 17000, 22500);
    assert_in_range(simulation.spikes, 850, 1150);
    tv_simulation_deinit(&simulation);
}

static void stuck_value_stays_and_spike_stands_out(void **state) {
    (void)state;
    tv_simulation simulation;
    tv_reading reading, next;
    tv_simulation_options options = plain_options();
    options.sensors = 1;
    options.base_spread = options.amplitude = options.noise = 0;
    options.spike_chance = UINT32_MAX;
    assert_int_equal(tv_simulation_init(&simulation, &options, NULL), TV_OK);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(tv_simulation_next(&simulation, &reading), TV_OK);
        assert_true(reading.value == 45000000 || reading.value == -5000000);
    }
    tv_simulation_deinit(&simulation);
    options = plain_options();
    options.sensors = 1;
    options.stuck_chance = 1U << 30;
    options.stuck_steps = 5;
    assert_int_equal(tv_simulation_init(&simulation, &options, NULL), TV_OK);
    uint64_t repeated = 0;
    assert_int_equal(tv_simulation_next(&simulation, &reading), TV_OK);
    for (int i = 0; i < 1000; i++, reading = next) {
        uint64_t stuck_before = simulation.stuck;
        assert_int_equal(tv_simulation_next(&simulation, &next), TV_OK);
        if (simulation.stuck == stuck_before) continue;
        repeated++;
        assert_true(next.value == reading.value);
    }
    assert_true(repeated > 300);
    tv_simulation_deinit(&simulation);
}

static void silent_sensors_and_the_end_are_told_apart(void **state) {
    (void)state;
    tv_simulation simulation;
    tv_reading reading;
    tv_simulation_options options = plain_options();
    options.dropout_chance = UINT32_MAX;
    options.dropout_steps = 1000;
    options.duration_ns = 10 * options.interval_ns;
    assert_int_equal(tv_simulation_init(&simulation, &options, NULL), TV_OK);
    for (int i = 0; i < 30; i++)
        assert_int_equal(tv_simulation_next(&simulation, &reading), TV_EMPTY);
    assert_int_equal(tv_simulation_next(&simulation, &reading), TV_EOF);
    assert_int_equal(simulation.dropouts, 30);
    tv_simulation_deinit(&simulation);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splitmix64_gives_the_published_numbers),
        cmocka_unit_test(xoshiro_gives_the_published_numbers),
        cmocka_unit_test(times_are_read_and_written),
        cmocka_unit_test(malformed_times_are_refused),
        cmocka_unit_test(every_day_of_four_centuries_survives_the_round_trip),
        cmocka_unit_test(sine_is_near_the_real_one),
        cmocka_unit_test(lines_of_a_seed_are_pinned),
        cmocka_unit_test(hundred_thousand_readings_of_a_seed_are_pinned),
        cmocka_unit_test(names_time_formats_and_decimals_are_as_asked),
        cmocka_unit_test(a_sensor_is_the_same_however_many_there_are),
        cmocka_unit_test(noise_has_its_mean_and_deviation),
        cmocka_unit_test(the_day_has_one_maximum_in_the_afternoon),
        cmocka_unit_test(episodes_have_their_length_and_frequency),
        cmocka_unit_test(stuck_value_stays_and_spike_stands_out),
        cmocka_unit_test(silent_sensors_and_the_end_are_told_apart),
    };
    return cmocka_run_group_tests_name("simulation", tests, NULL, NULL);
}
