// Every allocation fails once, one run each: nothing crashes or leaks, and a failure never looks like a success.
//
// The linker puts the wrappers below in front of malloc and its kin for all that is linked in: this module, base,
// libyaml and yyjson.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "pipeline/fake.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static size_t allocation_count, allocation_to_fail; // from 1; 0: none

static bool fails(void) { return ++allocation_count == allocation_to_fail; }

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return fails() ? NULL : __real_calloc(count, size); }
void *__wrap_realloc(void *old, size_t size) { return fails() ? NULL : __real_realloc(old, size); }
char *__wrap_strdup(const char *text) { return fails() ? NULL : __real_strdup(text); }

// Long texts make the region ask for more blocks.
static const char good[] = "version: 1\n"
                           "components: { c: { file: &f \"%s\", grants: [ clock ] } }\n"
                           "channels:\n"
                           "  in: { connector: file, path: \"${PORT}\", topics: [ a, b ] }\n"
                           "  idle: { connector: file, path: x }\n"
                           "stages:\n"
                           "  s:\n"
                           "    component: c\n"
                           "    from: in\n"
                           "    config: { a: [ 1, { b: \"%s\" } ], v: \"${NAME:-x}\", deep: { list: [ 0x1f, 1.5 ] } }\n"
                           "    assets: { t: *f }\n"
                           "  t: { component: c, from: { stage: s, port: 1 } }\n"
                           "flows:\n"
                           "  - { name: one, parameters: { NAME: \"%s\" } }\n"
                           "  - { name: two }\n"
                           "  - { name: many, count: 20, parameters: { NAME: y } }\n"
                           "  - { for_each: devices.csv, parameters: { NAME: \"%s\", PORT: p } }\n";

static const tv_flow_parameter order_parameters[] = {
    {"id", "pump-9"}, {"site", "x"}, {"limit", "1"}, {"class", "normal"}, {"NAME", "another"}};
static const tv_flow_order order = {.template = "devices", .parameters = order_parameters, .parameter_count = 5};

static const char bad[] = "version: 1\n"
                          "nmae: \"%s\"\n"
                          "components: { c: { file: \"${NONE}\", memory: \"%s\" } }\n"
                          "channels: { in: { connector: fil }, out: { connector: udp, path: x } }\n"
                          "stages:\n"
                          "  s: { component: d, from: [ in, t ], to: out, config: { a: \"%s\" } }\n"
                          "  t: { component: c, from: [ s, q ] }\n";

static const char malformed[] = "version: 1\nname: [ \"%s\", \"%s\", \"%s\" }\n";

// Loads with allocation `fail` failing; returns whether it came to that.
static bool load_once(const char *text, size_t length, size_t fail, tv_status expected) {
    tv_diagnostics diagnostics = {0};
    tv_pipeline *pipeline = NULL;
    allocation_count = 0;
    allocation_to_fail = fail;
    tv_status status = fake_load("dir/file.yaml", text, length, &diagnostics, &pipeline);
    bool reached = fail > 0 && allocation_count >= fail;
    allocation_to_fail = 0;
    if (status != expected && status != TV_NO_MEMORY) tv_diagnostics_print(&diagnostics, stderr, false);
    assert_true(status == expected || status == TV_NO_MEMORY);
    assert_true(reached || status == expected);
    assert_int_equal(status == TV_OK, diagnostics.error_count == 0);
    if (status == TV_OK) assert_non_null(pipeline);
    if (status == TV_NO_MEMORY) assert_null(pipeline);
    if (expected != TV_OK) assert_int_not_equal(status, TV_OK);
    tv_pipeline_free(pipeline);
    tv_diagnostics_deinit(&diagnostics);
    return reached;
}

static void fail_each(const char *format, tv_status expected) {
    char *filler = __real_malloc(4001), *text = NULL;
    size_t length, count = 1;
    memset(filler, 'x', 4000);
    filler[4000] = '\0';
    FILE *out = open_memstream(&text, &length);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    fprintf(out, format, filler, filler, filler, filler);
#pragma GCC diagnostic pop
    assert_int_equal(fclose(out), 0);
    load_once(text, length, 0, expected);
    while (load_once(text, length, count, expected)) {
        count++;
    }
    assert_true(count > 50); // it did allocate
    free(text);
    free(filler);
}

static void load_without_memory_fails_or_is_complete(void **state) {
    (void)state;
    fail_each(good, TV_OK);
}

// The same for one more flow of a pipeline that runs.
static bool order_once(tv_pipeline *pipeline, size_t fail) {
    tv_diagnostics diagnostics = {0};
    tv_flow_model *flow = NULL;
    allocation_count = 0;
    allocation_to_fail = fail;
    tv_status status = tv_pipeline_flow_new(pipeline, &order, &diagnostics, &flow);
    bool reached = fail > 0 && allocation_count >= fail;
    allocation_to_fail = 0;
    assert_true(status == TV_OK || status == TV_NO_MEMORY);
    assert_true(reached || status == TV_OK);
    assert_int_equal(status == TV_OK, diagnostics.error_count == 0);
    assert_int_equal(status == TV_OK, flow != NULL);
    tv_flow_model_free(flow);
    tv_diagnostics_deinit(&diagnostics);
    return reached;
}

static void order_without_memory_fails_or_is_complete(void **state) {
    (void)state;
    static const char text[] =
        "version: 1\n"
        "components: { c: { file: c.wasm } }\n"
        "channels: { in: { connector: file, path: \"${id}\", topics: [ \"${site}\", b ] } }\n"
        "stages: { s: { component: c, from: in, config: { a: [ \"${NAME}\", 1 ], b: \"${limit}\" } } }\n"
        "flows: [ { for_each: devices.csv, parameters: { NAME: x }, class: \"${class}\" } ]\n";
    tv_diagnostics diagnostics = {0};
    tv_pipeline *pipeline = NULL;
    size_t count = 1;
    assert_int_equal(fake_load("f.yaml", text, strlen(text), &diagnostics, &pipeline), TV_OK);
    assert_false(order_once(pipeline, 0));
    while (order_once(pipeline, count)) {
        count++;
    }
    assert_true(count > 10);
    tv_pipeline_free(pipeline);
    tv_diagnostics_deinit(&diagnostics);
}

static void load_of_a_bad_file_without_memory_never_succeeds(void **state) {
    (void)state;
    fail_each(bad, TV_INVALID);
    fail_each(malformed, TV_INVALID);
}

static void printing_without_memory_does_not_crash(void **state) {
    (void)state;
    for (size_t fail = 1; fail < 400; fail++) {
        char *text = NULL;
        size_t length;
        FILE *out = open_memstream(&text, &length);
        allocation_count = 0;
        allocation_to_fail = fail;
        tv_pipeline_print_reference(out, fake_connectors, FAKE_CONNECTOR_COUNT);
        tv_pipeline_print_schema(out, fake_connectors, FAKE_CONNECTOR_COUNT);
        allocation_to_fail = 0;
        assert_int_equal(fclose(out), 0);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(load_without_memory_fails_or_is_complete),
        cmocka_unit_test(order_without_memory_fails_or_is_complete),
        cmocka_unit_test(load_of_a_bad_file_without_memory_never_succeeds),
        cmocka_unit_test(printing_without_memory_does_not_crash),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
