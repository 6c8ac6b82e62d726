// Damaged components: bytes of a module's code are changed at random. What still loads may do anything; the host
// answers every load, survives every run, keeps its books and gets all memory back. The seed is printed.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/testing/test_rig.h"

enum { MUTANTS = 150, RECORDS = 6 };

static uint64_t seed = 20261123;
static uint64_t random_state;

static uint32_t random_below(uint32_t limit) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 0x2545f4914f6cdd1dull) >> 33) % limit;
}

// A copy of the puppet with a bit changed here and there, in a file of its own.
static bool write_mutant(const uint8_t *bytes, size_t length, const char *path) {
    uint8_t *copy = malloc(length);
    FILE *file = fopen(path, "we");
    if (copy && file) {
        memcpy(copy, bytes, length);
        for (uint32_t i = 1 + random_below(2); i > 0; i--)
            copy[random_below((uint32_t)length)] ^= (uint8_t)(1u << random_below(7));
        (void)fwrite(copy, 1, length, file);
    }
    bool written = copy && file && fclose(file) == 0;
    free(copy);
    return written;
}

static void feed(rig *bench) {
    static const char *const scripts[] = {"plain",     "!n0:30;e1:x;",   "!T;",
                                          "!w5;e0:y;", "!s1000000;rno;", "!G1;m2;gkey;"};
    for (uint32_t i = 0; i < RECORDS && !tv_flow_is_over(bench->flow); i++) {
        rig_push(bench, RIG_IN, scripts[i]);
        rig_run(bench);
        rig_take(bench, RIG_OUT);
        rig_dead_letters(bench);
    }
    rig_end(bench, RIG_IN);
    for (int round = 0; !tv_flow_is_over(bench->flow) && round < 100; round++) {
        rig_take(bench, RIG_OUT);
        rig_advance(bench, 10000000);
    }
    tv_flow_abandon(bench->flow);
    assert_int_equal(tv_flow_check_conservation(bench->flow, &bench->error), TV_OK);
}

// Returns whether the mutant ran at all.
static bool run_mutant(rig *bench, tv_module *module) {
    rig_line(bench);
    tv_stage_spec *spec = &bench->stages[RIG_STAGE];
    spec->module = module;
    spec->cpu_record_ns = spec->cpu_call_ns = 5000000;
    spec->restart.limit = 10;
    spec->grants = TV_GRANT_CLOCK | TV_GRANT_RANDOM;
    if (tv_module_get_info(module)->max_output_bytes > 1024) bench->edges[1].record_bytes_max = 2048;
    if (rig_try_start(bench) != TV_OK) return false;
    feed(bench);
    return true;
}

static void mutants_hurt_nobody_but_themselves(void **state) {
    (void)state;
    static rig bench;
    tv_error error;
    uint8_t *bytes;
    size_t length;
    char path[] = "/tmp/torvyn-mutant-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(tv_file_read(TV_TEST_PUPPET, 1 << 20, &bytes, &length, &error), TV_OK);
    uint32_t loaded = 0, ran = 0;
    rig_ticks_begin();
    for (uint64_t i = 0; i < MUTANTS; i++) {
        tv_module *module = NULL;
        random_state = (seed + i) * 0x9e3779b97f4a7c15ull | 1;
        assert_true(write_mutant(bytes, length, path));
        if (tv_module_load(rig_engine(), path, &module, &error) != TV_OK) continue;
        loaded++;
        rig_init(&bench);
        ran += run_mutant(&bench, module);
        rig_deinit(&bench);
        tv_module_unref(module);
    }
    rig_ticks_end();
    free(bytes);
    unlink(path);
    print_message("%u of %d loaded, %u ran\n", loaded, MUTANTS, ran);
    assert_true(loaded > 0 && loaded < MUTANTS && ran > 0); // or the test tests nothing
}

static int run_all(void) {
    print_message("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {cmocka_unit_test(mutants_hurt_nobody_but_themselves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "__compile") != 0) seed = strtoull(argv[1], NULL, 10);
    return rig_main(argc, argv, run_all);
}
