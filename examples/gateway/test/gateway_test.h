// What the tests of the gateway's components share: opening a component natively, making readings, reading JSON.
#ifndef GATEWAY_TEST_H
#define GATEWAY_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../components/reading.h"
#include "harness.h"
#include "yyjson.h"

#define SECOND_NS 1000000000ll
#define MINUTE_NS (60 * SECOND_NS)
#define T0_NS     1772323200000000000ll // 2026-03-01T00:00:00Z

// A copy of the file in memory: loaded as a library of its own, so that every component begins with fresh state, even
// where a sanitizer keeps closed libraries. It stays open, since the loader knows libraries by their path.
static inline void copy_library(const char *from, char *path, size_t capacity) {
    char block[65536];
    size_t got;
    int copy = memfd_create("component", 0);
    FILE *in = fopen(from, "rb");
    if (copy < 0 || in == NULL) fail_msg("cannot copy %s", from);
    while ((got = fread(block, 1, sizeof block, in)) > 0)
        assert_int_equal(write(copy, block, got), got);
    fclose(in);
    snprintf(path, capacity, "/proc/self/fd/%d", copy);
}

// Opens a component that is not started yet. TEST_COMPONENTS is the folder of the shared objects.
static inline tv_harness *open_component(const char *name) {
    char file[1024], path[64], error[512] = "";
    snprintf(file, sizeof file, "%s/gateway-native-%s.so", TEST_COMPONENTS, name);
    copy_library(file, path, sizeof path);
    tv_harness *harness = tv_harness_open(path, error, sizeof error);
    if (harness == NULL) fail_msg("%s", error);
    return harness;
}

// Configuration as "path=value" lines.
static inline void configure(tv_harness *harness, const char *lines) {
    char copy[2048];
    snprintf(copy, sizeof copy, "%s", lines);
    for (char *line = strtok(copy, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char *equals = strchr(line, '=');
        *equals = 0;
        tv_harness_config(harness, line, equals + 1);
    }
}

static inline tv_harness *start_component(const char *name, const char *lines) {
    tv_harness *harness = open_component(name);
    configure(harness, lines);
    assert_int_equal(tv_harness_start(harness), 0);
    return harness;
}

// That init fails and says what is wrong.
static inline void expect_init_failure(const char *name, const char *lines, const char *message) {
    tv_harness *harness = open_component(name);
    configure(harness, lines);
    assert_true(tv_harness_start(harness) < 0);
    if (strstr(tv_harness_log(harness), message) == NULL) fail_msg("log: %s", tv_harness_log(harness));
    tv_harness_close(harness);
}

// ---- readings -----------------------------------------------------------------------------------------------

static inline uint64_t make_reading(reading_buffer *r, const char *device, const char *metric, double value) {
    memset(r, 0, sizeof *r);
    r->head.magic = READING_MAGIC;
    r->head.value = r->head.raw = value;
    r->head.device_bytes = (uint8_t)strlen(device);
    r->head.metric_bytes = (uint8_t)strlen(metric);
    memcpy(r->text, device, strlen(device));
    memcpy(r->text + strlen(device), metric, strlen(metric));
    return reading_key(r->words, r->head.device_bytes, r->head.metric_bytes);
}

static inline void feed_reading(tv_harness *harness, int64_t time_ns, const char *device, double value) {
    reading_buffer r;
    uint64_t key = make_reading(&r, device, "t", value);
    tv_harness_feed(harness, time_ns, key, &r, reading_bytes(&r.head));
}

static inline const reading *reading_at(tv_harness *harness, size_t index) {
    return (const reading *)(const void *)tv_harness_output_at(harness, index)->payload;
}

// ---- JSON ---------------------------------------------------------------------------------------------------

// An output as JSON; the caller frees it.
static inline yyjson_doc *json_at(tv_harness *harness, size_t index) {
    const tv_harness_output *output = tv_harness_output_at(harness, index);
    yyjson_doc *document = yyjson_read(output->payload, output->payload_bytes, 0);
    if (document == NULL) fail_msg("not JSON: %s", output->payload);
    return document;
}

static inline double number_of(tv_harness *harness, size_t index, const char *name) {
    yyjson_doc *document = json_at(harness, index);
    yyjson_val *value = yyjson_obj_get(yyjson_doc_get_root(document), name);
    if (!yyjson_is_num(value)) fail_msg("no number %s in %s", name, tv_harness_output_at(harness, index)->payload);
    double number = yyjson_get_num(value);
    yyjson_doc_free(document);
    return number;
}

static inline void expect_text(tv_harness *harness, size_t index, const char *name, const char *expected) {
    yyjson_doc *document = json_at(harness, index);
    const char *text = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(document), name));
    if (text == NULL) fail_msg("no %s in %s", name, tv_harness_output_at(harness, index)->payload);
    assert_string_equal(text, expected);
    yyjson_doc_free(document);
}

static inline bool has_member(tv_harness *harness, size_t index, const char *name) {
    yyjson_doc *document = json_at(harness, index);
    bool there = yyjson_obj_get(yyjson_doc_get_root(document), name) != NULL;
    yyjson_doc_free(document);
    return there;
}

#endif
