// What the command offers besides a single run.
#ifndef TORVYN_SIMULATION_SUITE_H
#define TORVYN_SIMULATION_SUITE_H

#include "sim.h"

// Guard pages need more address space than a sanitizer leaves.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SIM_WITH_GUARDS = 0 };
#else
enum { SIM_WITH_GUARDS = 1 };
#endif

typedef struct sim_result {
    uint64_t hash, steps;
    uint64_t seen[SIM_SEEN_COUNT];
} sim_result;

extern const sim_options sim_default_options;

// One run in this process. A failure ends the process.
sim_result sim_execute(const sim_options *options, bool print);

// Each returns the process's exit status. `steps` in all.
int sim_suite(uint64_t steps);
// The same seed gives the same hash, in both layouts of memories; another one gives another.
int sim_replay(uint64_t steps);
// Every fault of mutants.c is found within so many steps.
int sim_find_mutants(uint64_t steps);
// Takes features and flows away while the run, or one of a few seeds behind it, still fails.
int sim_shrink(const sim_options *wanted);

#endif
