// The plan's verdict, and where its limits come from.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/internal.h"

static void plan_that_equals_its_limits_fits(void **state) {
    (void)state;
    tv_host_plan plan = {.reserved_bytes = 100, .limits = {100, 100, 100}};
    tv_error error;
    assert_int_equal(tv_host_plan_check(&plan, &error), TV_OK);
}

static void absent_limits_are_none(void **state) {
    (void)state;
    tv_host_plan plan = {.reserved_bytes = UINT64_MAX};
    tv_error error;
    assert_int_equal(tv_host_plan_check(&plan, &error), TV_OK);
}

static void one_byte_over_any_limit_is_refused_and_named(void **state) {
    (void)state;
    static const struct {
        tv_host_memory_limits limits;
        const char *name;
    } cases[] = {
        {{100, 0, 0}, "limits.memory"},
        {{0, 100, 0}, "control group"},
        {{0, 0, 100}, "available on this machine"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tv_host_plan plan = {.reserved_bytes = 101, .limits = cases[i].limits};
        tv_error error;
        assert_int_equal(tv_host_plan_check(&plan, &error), TV_LIMIT);
        assert_non_null(strstr(error.message, cases[i].name));
        assert_non_null(strstr(error.message, "(101 bytes)"));
        assert_non_null(strstr(error.message, "(100 bytes)"));
    }
}

// ---- control groups -----------------------------------------------------------------------------------------

static char root[] = "/tmp/torvyn-plan-test-XXXXXX";

static void write_file(const char *path, const char *text) {
    char full[256];
    snprintf(full, sizeof full, "%s%s", root, path);
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_groups(void **state) {
    (void)state;
    char path[256];
    if (!mkdtemp(root)) return -1;
    snprintf(path, sizeof path, "%s/outer", root);
    if (mkdir(path, 0700) != 0) return -1;
    snprintf(path, sizeof path, "%s/outer/inner", root);
    return mkdir(path, 0700);
}

static int remove_groups(void **state) {
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void tightest_limit_up_the_groups_counts(void **state) {
    (void)state;
    write_file("/outer/memory.max", "1000\n");
    write_file("/outer/inner/memory.max", "5000\n");
    assert_int_equal(tv_host_limits_walk(root, "/outer/inner", "memory.max"), 1000);
    write_file("/outer/inner/memory.max", "500\n");
    assert_int_equal(tv_host_limits_walk(root, "/outer/inner", "memory.max"), 500);
}

static void no_limit_and_version_one_s_huge_number_are_none(void **state) {
    (void)state;
    write_file("/outer/memory.max", "max\n");
    write_file("/outer/inner/memory.max", "9223372036854771712\n");
    assert_int_equal(tv_host_limits_walk(root, "/outer/inner", "memory.max"), 0);
}

static void group_that_is_not_there_has_no_limit(void **state) {
    (void)state;
    assert_int_equal(tv_host_limits_walk(root, "/nowhere/at/all", "memory.max"), 0);
    assert_int_equal(tv_host_limits_walk(root, "", "memory.max"), 0);
}

static void limits_of_this_machine_are_read(void **state) {
    (void)state;
    tv_host_memory_limits limits = {0};
    tv_host_limits_read(&limits);
    assert_true(limits.available_bytes > 1 << 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan_that_equals_its_limits_fits),
        cmocka_unit_test(absent_limits_are_none),
        cmocka_unit_test(one_byte_over_any_limit_is_refused_and_named),
        cmocka_unit_test(tightest_limit_up_the_groups_counts),
        cmocka_unit_test(no_limit_and_version_one_s_huge_number_are_none),
        cmocka_unit_test(group_that_is_not_there_has_no_limit),
        cmocka_unit_test(limits_of_this_machine_are_read),
    };
    return cmocka_run_group_tests(tests, make_groups, remove_groups);
}
