// What the tests of sensor-source share: lines in, readings and reasons out.
#ifndef SOURCE_TEST_H
#define SOURCE_TEST_H

#include "gateway_test.h"

// What is expected of a reading; text is "device/metric".
typedef struct expected_reading {
    const char *series;
    double value;
    int64_t time_ns;
} expected_reading;

static inline void feed_line(tv_harness *h, const char *line) {
    tv_harness_clear(h);
    tv_harness_feed_text(h, line);
    tv_harness_run(h);
}

// Feeds a line with the attributes "name=value".
static inline void feed_marked(tv_harness *h, const char *line, const char *file, const char *first_line) {
    tv_attributes attributes = {.length = 0};
    assert_true(tv_attributes_add_named(&attributes, "file", tv_string_of(file)));
    if (first_line != NULL) assert_true(tv_attributes_add_named(&attributes, "first_line", tv_string_of(first_line)));
    tv_harness_clear(h);
    tv_harness_feed_with(h, TV_NO_EVENT_TIME, 0, attributes.bytes, attributes.length, line, (uint32_t)strlen(line));
    tv_harness_run(h);
}

// The readings among the outputs.
static inline size_t reading_count(tv_harness *h) {
    size_t count = 0;
    for (size_t i = 0; i < tv_harness_output_count(h); i++)
        count += tv_harness_output_at(h, i)->kind == TV_KIND_DATA;
    return count;
}

static inline const tv_harness_output *reading_output(tv_harness *h, size_t index) {
    for (size_t i = 0; i < tv_harness_output_count(h); i++) {
        const tv_harness_output *output = tv_harness_output_at(h, i);
        if (output->kind == TV_KIND_DATA && index-- == 0) return output;
    }
    fail_msg("no such reading");
    return NULL;
}

static inline void expect_readings(tv_harness *h, const expected_reading *expected, size_t count) {
    if (tv_harness_reject_count(h) > 0) fail_msg("rejected: %s", tv_harness_reject_at(h, 0)->reason);
    assert_int_equal(reading_count(h), count);
    for (size_t i = 0; i < count; i++) {
        char series[256];
        const tv_harness_output *output = reading_output(h, i);
        const reading *r = (const reading *)(const void *)output->payload;
        tv_string device = reading_device(r), metric = reading_metric(r);
        snprintf(series, sizeof series, "%.*s/%.*s", (int)device.length, device.bytes, (int)metric.length,
                 metric.bytes);
        assert_string_equal(series, expected[i].series);
        if (r->value != expected[i].value) fail_msg("%s: %g, not %g", series, r->value, expected[i].value);
        if (expected[i].time_ns != 0) assert_int_equal(output->event_time_ns, expected[i].time_ns);
    }
}

#define EXPECT_READINGS(h, ...)                                                                                        \
    expect_readings(h, (const expected_reading[]){__VA_ARGS__},                                                        \
                    sizeof((const expected_reading[]){__VA_ARGS__}) / sizeof(expected_reading))

static inline void expect_rejected(tv_harness *h, const char *reason) {
    assert_int_equal(reading_count(h), 0);
    assert_int_equal(tv_harness_reject_count(h), 1);
    assert_string_equal(tv_harness_reject_at(h, 0)->reason, reason);
}

#endif
