// The conformance suite of the component contract: one line per case, each named after the point of docs/contract.md
// that it proves.
//
//   conformance WAT-FOLDER WASM-FOLDER [NAME...]     all cases, or those whose names begin with NAME
//   conformance component FILE.wasm [--records FILE] [PATH=VALUE | grant=NAME]...   checks of somebody's component
#include <glob.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "component_check.h"
#include "conformance_case.h"

static int argument_count;
static char **arguments;

static rig bench;

static int case_setup(void **state) {
    (void)state;
    rig_init(&bench);
    return 0;
}

static int case_teardown(void **state) {
    (void)state;
    rig_deinit(&bench);
    return 0;
}

static void case_run(void **state) { conformance_case_run(*state, &bench); }

static bool is_wanted(const char *name) {
    for (int i = 3; i < argument_count; i++)
        if (strncmp(name, arguments[i], strlen(arguments[i])) == 0) return true;
    return argument_count <= 3;
}

// Reads the cases whose text is at `paths`. Returns how many, or -1.
static int read_cases(const glob_t *paths, conformance_case *cases, struct CMUnitTest *tests) {
    int count = 0;
    for (size_t i = 0; i < paths->gl_pathc; i++) {
        char wasm[512];
        const char *base = strrchr(paths->gl_pathv[i], '/') + 1;
        if (!is_wanted(base)) continue;
        snprintf(wasm, sizeof wasm, "%s/%.*s.wasm", arguments[2], (int)strcspn(base, "."), base);
        if (!conformance_case_read(&cases[count], paths->gl_pathv[i], wasm)) return -1;
        tests[count] = (struct CMUnitTest){.name = cases[count].name,
                                           .test_func = case_run,
                                           .setup_func = case_setup,
                                           .teardown_func = case_teardown,
                                           .initial_state = &cases[count]};
        count++;
    }
    return count;
}

static int run_cases(void) {
    char pattern[512];
    glob_t paths;
    snprintf(pattern, sizeof pattern, "%s/*.wat", arguments[1]);
    if (glob(pattern, 0, NULL, &paths) != 0) {
        fprintf(stderr, "%s: no cases\n", arguments[1]);
        return 1;
    }
    conformance_case *cases = calloc(paths.gl_pathc, sizeof *cases);
    struct CMUnitTest *tests = calloc(paths.gl_pathc, sizeof *tests);
    int count = cases && tests ? read_cases(&paths, cases, tests) : -1;
    int failed = count > 0 ? _cmocka_run_group_tests("conformance", tests, (size_t)count, NULL, NULL) : 1;
    for (size_t i = 0; cases && i < paths.gl_pathc; i++)
        conformance_case_deinit(&cases[i]);
    free(cases);
    free(tests);
    globfree(&paths);
    return failed;
}

static int check_component(void) {
    bool has_records = argument_count > 4 && strcmp(arguments[3], "--records") == 0;
    int first = has_records ? 5 : 3;
    return component_check(arguments[2], has_records ? arguments[4] : NULL, arguments + first, argument_count - first);
}

static int run(void) { return strcmp(arguments[1], "component") == 0 ? check_component() : run_cases(); }

int main(int argc, char **argv) {
    argument_count = argc;
    arguments = argv;
    if (argc < 3 && !(argc > 1 && strcmp(argv[1], "__compile") == 0)) {
        fprintf(stderr, "usage: conformance WAT-FOLDER WASM-FOLDER [NAME...]\n"
                        "       conformance component FILE.wasm [--records FILE] [PATH=VALUE | grant=NAME]...\n");
        return 64;
    }
    return rig_main(argc, argv, run);
}
