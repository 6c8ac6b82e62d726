// Many runs in child processes: the suite of the test run, the check that a seed replays, the check that faults of the
// runtime are found, and the search for the smallest run that still fails.
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHILD_SECONDS_MAX = 300, MESSAGE_BYTES = 4096 };

typedef struct child {
    pid_t id;
    int message_fd; // what it writes to standard error, if that is wanted here
    sim_result *result;
} child;

// ---- children -----------------------------------------------------------------------------------------------

static void run_in_child(const sim_options *options, sim_result *result, int message_fd) {
    if (message_fd >= 0) dup2(message_fd, STDERR_FILENO);
    alarm(CHILD_SECONDS_MAX);
    *result = sim_execute(options, message_fd < 0);
    fflush(stdout);
    _Exit(0);
}

static child start(const sim_options *options, bool wants_message) {
    child made = {.message_fd = -1};
    int ends[2] = {-1, -1};
    made.result = mmap(NULL, sizeof *made.result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (made.result == MAP_FAILED || (wants_message && pipe(ends) != 0)) abort();
    fflush(stdout);
    made.id = fork();
    if (made.id == 0) run_in_child(options, made.result, ends[1]);
    if (made.id < 0) abort();
    if (ends[1] >= 0) close(ends[1]);
    made.message_fd = ends[0];
    return made;
}

static void read_message(int fd, char *message) {
    size_t length = 0;
    char rest[512];
    ssize_t got;
    while (length < MESSAGE_BYTES - 1 && (got = read(fd, message + length, MESSAGE_BYTES - 1 - length)) > 0)
        length += (size_t)got;
    while (read(fd, rest, sizeof rest) > 0)
        ;
    message[length] = 0;
    close(fd);
}

// Whether it came to its end without a failure. `message` of MESSAGE_BYTES, if it was wanted at the start.
static bool finish(child *started, sim_result *result, char *message) {
    int status = 0;
    if (started->message_fd >= 0) read_message(started->message_fd, message);
    while (waitpid(started->id, &status, 0) < 0)
        ;
    *result = *started->result;
    munmap(started->result, sizeof *started->result);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool run_quietly(const sim_options *options, sim_result *result, char *message) {
    child started = start(options, true);
    return finish(&started, result, message);
}

// ---- the suite ----------------------------------------------------------------------------------------------

static uint64_t fresh_seed(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seconds = (uint64_t)now.tv_sec % 1000000, micros = (uint64_t)now.tv_nsec / 1000;
    return seconds * 1000000 + micros;
}

// What must have happened somewhere in the fixed seeds, or they test nothing.
static bool is_covered(const sim_result *result) {
    bool all = true;
    for (int i = 0; i < SIM_SEEN_COUNT; i++) {
        if (result->seen[i]) continue;
        fprintf(stderr, "sim: %s did not happen in the whole run\n", sim_seen_name((sim_seen)i));
        all = false;
    }
    return all;
}

int sim_suite(uint64_t steps) {
    sim_options fixed = sim_default_options, fresh = sim_default_options;
    sim_result results[2];
    fixed.steps = fresh.steps = steps / 2;
    fresh.seed = fresh_seed();
    fresh.loose_times = true;
    fresh.with_guards = SIM_WITH_GUARDS; // each way of laying out memories in one of the two
    printf("fresh seed %llu\n", (unsigned long long)fresh.seed);
    child children[2] = {start(&fixed, false), start(&fresh, false)};
    bool good = finish(&children[0], &results[0], NULL);
    good &= finish(&children[1], &results[1], NULL);
    if (!good) return 1;
    unsigned long long steps_done = results[0].steps;
    steps_done += results[1].steps;
    printf("sim_steps %llu\n", steps_done);
    return is_covered(&results[0]) ? 0 : 1;
}

int sim_replay(uint64_t steps) {
    static char message[MESSAGE_BYTES];
    sim_options options = sim_default_options;
    sim_result first, second, other;
    options.steps = steps;
    options.seed = fresh_seed();
    options.loose_times = true;
    printf("seed %llu\n", (unsigned long long)options.seed);
    bool good = run_quietly(&options, &first, message);
    options.with_guards = SIM_WITH_GUARDS; // how memories are laid out must not show
    good = good && run_quietly(&options, &second, message);
    options.seed++;
    good = good && run_quietly(&options, &other, message);
    if (!good) {
        fputs(message, stderr);
        return 1;
    }
    printf("hash %016llx, again %016llx, of the next seed %016llx\n", (unsigned long long)first.hash,
           (unsigned long long)second.hash, (unsigned long long)other.hash);
    return first.hash == second.hash && first.hash != other.hash ? 0 : 1;
}

// ---- mutants ------------------------------------------------------------------------------------------------

static bool finds(const char *mutant, uint64_t steps) {
    static char message[MESSAGE_BYTES];
    sim_result result;
    sim_options options = sim_default_options;
    options.steps = steps;
    options.mutant = mutant;
    if (run_quietly(&options, &result, message)) {
        printf("%-18s NOT FOUND in %llu steps\n", mutant, (unsigned long long)result.steps);
        return false;
    }
    char *line = strstr(message, "sim: ");
    if (line) line[strcspn(line, "\n")] = 0;
    printf("%-18s %s\n", mutant, line ? line : message);
    return true;
}

int sim_find_mutants(uint64_t steps) {
    uint32_t missed = 0;
    for (size_t i = 1; i < sim_mutant_count(); i++)
        missed += !finds(sim_mutant_name(i), steps);
    return missed ? 1 : 0;
}

// ---- shrinking ----------------------------------------------------------------------------------------------

// Other worlds follow from fewer features or flows, so a few seeds are tried for each.
static bool still_fails(sim_options *options) {
    enum { SEEDS = 24 };
    static char message[MESSAGE_BYTES];
    sim_result result;
    sim_options tried = *options;
    for (uint64_t i = 0; i < SEEDS; i++) {
        tried.seed = options->seed + i;
        if (run_quietly(&tried, &result, message)) continue;
        options->seed = tried.seed;
        return true;
    }
    return false;
}

static uint64_t failing_step(const char *message, const sim_options *options) {
    const char *replay = strstr(message, "--steps ");
    return replay ? strtoull(replay + 8, NULL, 10) : options->steps;
}

static bool shrink_once(sim_options *options) {
    sim_options tried = *options;
    for (uint32_t feature = 1; feature <= options->features; feature *= 2) {
        if (!(options->features & feature)) continue;
        tried.features = options->features & ~feature;
        if (still_fails(&tried)) {
            *options = tried;
            return true;
        }
        tried = *options;
    }
    tried.flows = options->flows / 2;
    if (options->flows < 2 || !still_fails(&tried)) return false;
    *options = tried;
    return true;
}

int sim_shrink(const sim_options *wanted) {
    static char message[MESSAGE_BYTES];
    sim_result result;
    sim_options options = *wanted;
    if (run_quietly(&options, &result, message)) {
        printf("seed %llu does not fail\n", (unsigned long long)options.seed);
        return 1;
    }
    while (shrink_once(&options))
        printf("still fails with %u flows, features %u\n", options.flows, options.features);
    (void)run_quietly(&options, &result, message);
    options.steps = failing_step(message, &options);
    fputs(message, stdout);
    return 0;
}
