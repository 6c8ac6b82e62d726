// Opening each connector with each of its allocations failing once: a clear error, and nothing left behind.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "base/base.h"
#include "connect/testing/allocation.h"
#include "connect/testing/rig.h"

extern const tv_connector tv_connector_file, tv_connector_stdio, tv_connector_generator;

// Opens with the nth allocation failing, for n = 1, 2, ... until none fails any more. Returns how many there are.
static unsigned fail_each(const tv_connector *connector, tv_direction direction, const void *options) {
    for (unsigned n = 1;; n++) {
        tv_rig rig;
        tv_error error = {0};
        tv_rig_init(&rig, direction);
        rig.connector = connector;
        tv_connector_config config = {&rig.loop, options, &rig.clock.clock, "test/channel", NULL};
        tv_allocation_fail_at(n);
        tv_status status = connector->open(&config, rig.channel, &rig.state, &error);
        bool failed = tv_allocation_has_failed();
        tv_allocation_fail_at(0);
        if (status != TV_OK) {
            assert_int_equal(status, TV_NO_MEMORY);
            assert_non_null(strstr(error.message, "no memory"));
            assert_null(rig.state);
        }
        tv_rig_deinit(&rig); // fails if a handle is left; the sanitizer looks for memory
        if (!failed) return n - 1;
    }
}

static unsigned fail_each_with_defaults(const tv_connector *connector, tv_direction direction, const char *path) {
    static union {
        char bytes[1024];
        int64_t alignment;
    } options;
    const tv_option_table *table = direction == TV_INPUT ? &connector->input_options : &connector->output_options;
    assert_true(table->struct_bytes <= sizeof options);
    assert_int_equal(tv_option_defaults(table, &options, NULL), TV_OK);
    const tv_option *option = tv_option_find(table, "path");
    if (option) assert_int_equal(tv_option_parse(option, path, &options, NULL), TV_OK);
    return fail_each(connector, direction, &options);
}

static void file_connector_survives_each_failed_allocation(void **state) {
    (void)state;
    const char *path = tv_rig_path("allocation");
    tv_rig_write_file(path, "");
    assert_true(fail_each_with_defaults(&tv_connector_file, TV_INPUT, path) >= 6);
    assert_true(fail_each_with_defaults(&tv_connector_file, TV_OUTPUT, path) >= 4);
}

static void stdio_connector_survives_each_failed_allocation(void **state) {
    (void)state;
    int ends[2], saved = dup(STDIN_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    assert_true(fail_each_with_defaults(&tv_connector_stdio, TV_INPUT, NULL) >= 4);
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
    assert_true(fail_each_with_defaults(&tv_connector_stdio, TV_OUTPUT, NULL) >= 3);
}

static void generator_survives_each_failed_allocation(void **state) {
    (void)state;
    assert_int_equal(fail_each_with_defaults(&tv_connector_generator, TV_INPUT, NULL), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_connector_survives_each_failed_allocation),
        cmocka_unit_test(stdio_connector_survives_each_failed_allocation),
        cmocka_unit_test(generator_survives_each_failed_allocation),
    };
    return cmocka_run_group_tests_name("connector allocations", tests, NULL, NULL);
}
