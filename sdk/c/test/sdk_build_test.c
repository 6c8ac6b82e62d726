// `torvyn build` end to end: sources in, a module that keeps the contract out; and what it says when something is
// wrong. TV_TEST_BUILDER is the executable, TV_TEST_COMPONENT_SOURCES the folder of test components.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "wasm/wasm.h"

static char folder[256];
static char output[16384]; // of the last command, both streams
static tv_module_info info;

static int set_up(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/torvyn-build-test-XXXXXX", base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    char command[512];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

// Runs "ENVIRONMENT builder build ARGUMENTS" in the folder; returns the exit code.
static int build(const char *environment, const char *arguments) {
    char command[4096];
    snprintf(command, sizeof command, "cd '%s' && %s '%s' build %s 2>&1", folder, environment,
             getenv("TV_TEST_BUILDER"), arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t length = fread(output, 1, sizeof output - 1, pipe);
    output[length] = 0;
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *component(const char *name) {
    static char path[1024];
    snprintf(path, sizeof path, "'%s/%s.c'", getenv("TV_TEST_COMPONENT_SOURCES"), name);
    return path;
}

static void write_source(const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

static void inspect(const char *name) {
    char path[512];
    tv_error error;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (tv_module_inspect_file(path, &info, NULL, NULL, &error) != TV_OK) fail_msg("%s", error.message);
}

static void assert_says(const char *text) {
    if (!strstr(output, text)) fail_msg("expected '%s' in:\n%s", text, output);
}

static void component_is_described_by_its_macro(void **state) {
    (void)state;
    char arguments[2048];
    snprintf(arguments, sizeof arguments, "%s -o splitter.wasm", component("splitter"));
    if (build("", arguments) != 0) fail_msg("%s", output);
    inspect("splitter.wasm");
    assert_true(info.described);
    assert_string_equal(info.name, "splitter");
    assert_string_equal(info.version, "1.2.3");
    assert_int_equal(info.max_output_bytes, 64);
    assert_int_equal(info.port_count, 2);
    assert_string_equal(info.ports[1], "empty");
    assert_true(info.has_process && info.has_init && info.has_resume);
    assert_false(info.has_pull || info.has_tick || info.has_close);
    assert_int_equal(info.grants_needed, 0);
    for (uint32_t index = 0; index < info.import_count; index++)
        assert_string_equal(info.imports[index].module, TV_ABI_IMPORT_MODULE);
    assert_says("splitter.wasm: splitter 1.2.3, processor");
    assert_int_equal(info.keeping, TV_KEEPS_OWN);
    snprintf(arguments, sizeof arguments, "%s -o cutter.wasm", component("cutter"));
    if (build("", arguments) != 0) fail_msg("%s", output);
    inspect("cutter.wasm");
    assert_string_equal(info.name, "cutter");
    assert_int_equal(info.keeping, TV_KEEPS_NOTHING);
    snprintf(arguments, sizeof arguments, "%s -o keyed.wasm", component("keyed"));
    if (build("", arguments) != 0) fail_msg("%s", output);
    inspect("keyed.wasm");
    assert_int_equal(info.keeping, TV_KEEPS_KEYED);
    assert_int_equal(info.state_bytes, 32);
}

static void all_test_components_build_without_warnings(void **state) {
    (void)state;
    const char *const names[] = {"counter", "source", "services", "tree"};
    for (size_t index = 0; index < 4; index++) {
        char arguments[2048], file[64];
        snprintf(file, sizeof file, "%s.wasm", names[index]);
        snprintf(arguments, sizeof arguments, "%s -o %s", component(names[index]), file);
        if (build("", arguments) != 0 || strstr(output, "warning")) fail_msg("%s", output);
        inspect(file);
    }
}

static void flags_override_the_macro(void **state) {
    (void)state;
    char arguments[2048];
    snprintf(arguments, sizeof arguments,
             "%s -o other.wasm --name other --version 9 --role router --max-output 1KiB --ports a,b,c "
             "--memory 512KiB --stack-size 32KiB -Os",
             component("splitter"));
    if (build("", arguments) != 0) fail_msg("%s", output);
    inspect("other.wasm");
    assert_string_equal(info.name, "other");
    assert_string_equal(info.version, "9");
    assert_int_equal(info.role, TV_ROLE_ROUTER);
    assert_int_equal(info.max_output_bytes, 1024);
    assert_int_equal(info.port_count, 3);
    assert_int_equal(info.memory_maximum_bytes, 512 * 1024);
}

static void libc_component_is_a_reactor(void **state) {
    (void)state;
    write_source("uses_libc.c", "#include <math.h>\n#include <stdlib.h>\n#include <torvyn/torvyn.h>\n"
                                "TV_COMPONENT(\"uses-libc\", \"1\", \"processor\", 64);\n"
                                "TV_ON_RECORD(record) {\n"
                                "    double *block = malloc(sizeof *block);\n"
                                "    if (!block) return TV_FAILED;\n"
                                "    *block = exp((double)record->payload_bytes);\n"
                                "    tv_result result = tv_emit(0, block, sizeof *block);\n"
                                "    free(block);\n"
                                "    return result;\n"
                                "}\n");
    if (build("", "uses_libc.c --libc") != 0) fail_msg("%s", output);
    inspect("uses_libc.wasm");
    assert_string_equal(info.name, "uses-libc");
    assert_int_equal(info.grants_needed, 0);
}

static void several_sources_headers_and_defines_work(void **state) {
    (void)state;
    write_source("helper.c", "#include \"helper.h\"\nint helper(void) { return VALUE; }\n");
    write_source("helper.h", "int helper(void);\n");
    write_source("main.c",
                 "#include <string.h>\n#include <math.h>\n#include <torvyn/json.h>\n#include <torvyn/torvyn.h>\n"
                 "#include \"helper.h\"\n"
                 "TV_COMPONENT(\"two\", \"1\", \"processor\", 64);\n"
                 "TV_ON_RECORD(record) {\n"
                 "    char text[16];\n"
                 "    memset(text, helper(), sizeof text);\n"
                 "    text[0] = (char)sqrt((double)record->payload_bytes);\n"
                 "    return tv_emit(0, text, sizeof text);\n"
                 "}\n");
    if (build("", "main.c helper.c -I. -DVALUE=5 -o two.wasm") != 0) fail_msg("%s", output);
    inspect("two.wasm");
}

static void headers_of_libc_are_refused_with_advice(void **state) {
    (void)state;
    write_source("printf.c", "#include <stdio.h>\n");
    assert_int_equal(build("", "printf.c"), 1);
    assert_says("--libc");
}

static void missing_macro_is_explained(void **state) {
    (void)state;
    write_source("bare.c", "#include <torvyn/torvyn.h>\nTV_ON_RECORD(record) { return tv_forward(record); }\n");
    assert_int_equal(build("", "bare.c"), 1);
    assert_says("TV_COMPONENT(");
}

static void compile_error_leaves_no_file(void **state) {
    (void)state;
    char path[512];
    write_source("wrong.c", "this is not C\n");
    assert_int_equal(build("", "wrong.c"), 1);
    assert_says("wrong.c:1:");
    snprintf(path, sizeof path, "%s/wrong.wasm", folder);
    assert_int_equal(access(path, F_OK), -1);
}

static void breach_of_the_contract_is_refused(void **state) {
    (void)state;
    write_source("raw.c", "__attribute__((export_name(\"tv_process\"))) int process(int n) { return n; }\n");
    assert_int_equal(build("", "raw.c --name raw"), 1);
    assert_says("contract");
}

static void missing_toolchain_says_what_to_install(void **state) {
    (void)state;
    write_source("any.c", "int x;\n");
    assert_int_equal(build("PATH=/dev/null", "any.c"), 1);
    assert_says("apt-get install clang lld");
    assert_int_equal(build("TORVYN_CLANG=/bin/false", "any.c"), 1);
    assert_says("TORVYN_CLANG=/bin/false");
}

static void clang_without_the_linker_says_so(void **state) {
    (void)state;
    char path[512];
    write_source("any.c", "int x;\n");
    write_source("half-clang", "#!/bin/sh\ncase \"$*\" in *print-targets*) echo wasm32;; *) echo wasm-ld;; esac\n");
    snprintf(path, sizeof path, "%s/half-clang", folder);
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(build("TORVYN_CLANG=./half-clang", "any.c"), 1);
    assert_says("apt-get install lld");
}

static void wrong_flags_are_usage_errors(void **state) {
    (void)state;
    assert_int_equal(build("", "any.c -O7"), 64);
    assert_says("-O7");
    assert_int_equal(build("", "any.c --memory lots"), 64);
    assert_says("--memory");
    assert_int_equal(build("", "any.c --stack-size 1"), 64);
    assert_int_equal(build("", ""), 64);
    assert_int_equal(build("", "any.c --name 'a\nrole=sink' -o x.wasm"), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(component_is_described_by_its_macro),
        cmocka_unit_test(all_test_components_build_without_warnings),
        cmocka_unit_test(flags_override_the_macro),
        cmocka_unit_test(libc_component_is_a_reactor),
        cmocka_unit_test(several_sources_headers_and_defines_work),
        cmocka_unit_test(headers_of_libc_are_refused_with_advice),
        cmocka_unit_test(missing_macro_is_explained),
        cmocka_unit_test(compile_error_leaves_no_file),
        cmocka_unit_test(breach_of_the_contract_is_refused),
        cmocka_unit_test(missing_toolchain_says_what_to_install),
        cmocka_unit_test(clang_without_the_linker_says_so),
        cmocka_unit_test(wrong_flags_are_usage_errors),
    };
    return cmocka_run_group_tests_name("build", tests, set_up, tear_down);
}
