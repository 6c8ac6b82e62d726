// The command: one run, or the suite of the test run, or the search for a smaller failure.
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: simulation [--seed N] [--steps N] [--flows N] [--features SUM] [--mutant NAME] [--guards] [--trace]\n"
    "       simulation --suite STEPS | --replay STEPS | --mutants STEPS | --shrink --seed N --steps N\n";

const sim_options sim_default_options = {
    .seed = 1, .steps = 20000, .flows = SIM_FLOWS_MAX, .features = SIM_ALL_FEATURES};

// ---- one run ------------------------------------------------------------------------------------------------

static void print_run(const simulation *sim) {
    printf("seed %llu: %llu steps, %llu turns, %llu records in, %llu out, %llu flows, hash %016llx\n",
           (unsigned long long)sim->options.seed, (unsigned long long)sim->total_steps, (unsigned long long)sim->turns,
           (unsigned long long)sim->records_in, (unsigned long long)sim->records_out,
           (unsigned long long)sim->flows_made, (unsigned long long)sim->hash);
    for (int i = 0; i < SIM_SEEN_COUNT; i++)
        printf("%s%s: %llu", i ? ", " : "  ", sim_seen_name((sim_seen)i), (unsigned long long)sim->seen[i]);
    printf("\n");
}

sim_result sim_execute(const sim_options *options, bool print) {
    static simulation sim; // too large for the stack
    memset(&sim, 0, sizeof sim);
    sim.options = *options;
    sim.doing = "starting";
    if (options->mutant && !sim_mutant_set(options->mutant)) sim_fail(&sim, "no mutant is called %s", options->mutant);
    sim_open_engine(&sim);
    sim_run(&sim);
    sim_close_engine(&sim);
    if (print) print_run(&sim);
    sim_result result = {.hash = sim.hash, .steps = sim.total_steps};
    memcpy(result.seen, sim.seen, sizeof result.seen);
    return result;
}

// ---- arguments ----------------------------------------------------------------------------------------------

typedef struct arguments {
    sim_options options;
    uint64_t suite, replay, mutants;
    bool shrink;
} arguments;

static bool number_argument(int argc, char **argv, int *at, const char *name, uint64_t *value) {
    if (strcmp(argv[*at], name) != 0 || *at + 1 >= argc) return false;
    *value = strtoull(argv[++*at], NULL, 10);
    return true;
}

static bool take_argument(int argc, char **argv, int *at, arguments *made) {
    uint64_t number;
    if (number_argument(argc, argv, at, "--seed", &made->options.seed)) return true;
    if (number_argument(argc, argv, at, "--steps", &made->options.steps)) return true;
    if (number_argument(argc, argv, at, "--suite", &made->suite)) return true;
    if (number_argument(argc, argv, at, "--replay", &made->replay)) return true;
    if (number_argument(argc, argv, at, "--mutants", &made->mutants)) return true;
    if (number_argument(argc, argv, at, "--flows", &number)) {
        made->options.flows = number < 1 ? 1 : number > SIM_FLOWS_MAX ? SIM_FLOWS_MAX : (uint32_t)number;
        return true;
    }
    if (number_argument(argc, argv, at, "--features", &number)) {
        made->options.features = (uint32_t)number & SIM_ALL_FEATURES;
        return true;
    }
    if (strcmp(argv[*at], "--mutant") == 0 && *at + 1 < argc)
        made->options.mutant = argv[++*at];
    else if (strcmp(argv[*at], "--trace") == 0)
        made->options.trace = true;
    else if (strcmp(argv[*at], "--guards") == 0)
        made->options.with_guards = true;
    else if (strcmp(argv[*at], "--loose-times") == 0)
        made->options.loose_times = true;
    else if (strcmp(argv[*at], "--shrink") == 0)
        made->shrink = true;
    else
        return false;
    return true;
}

int main(int argc, char **argv) {
    arguments made = {.options = sim_default_options};
    if (argc > 1 && strcmp(argv[1], "__compile") == 0) return tv_compile_child_main(argc, argv);
    for (int i = 1; i < argc; i++) {
        if (take_argument(argc, argv, &i, &made)) continue;
        fputs(usage, stderr);
        return 2;
    }
    if (made.suite) return sim_suite(made.suite);
    if (made.replay) return sim_replay(made.replay);
    if (made.mutants) return sim_find_mutants(made.mutants);
    if (made.shrink) return sim_shrink(&made.options);
    sim_execute(&made.options, true);
    return 0;
}
