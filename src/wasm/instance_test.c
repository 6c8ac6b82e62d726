// Instances in both memory modes: budgets, faults, nesting, results.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wasm/test_support.h"

typedef struct fixture {
    tv_engine *engine;
    tv_module *module;
    tv_instance *instance;
    tv_test_owner owner;
    tv_fault fault;
    tv_error error;
} fixture;

static tv_memory_mode current_mode;
#define KIB(n) ((uint64_t)(n) << 10)

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->engine = tv_test_engine(current_mode);
    f->module = tv_test_load(f->engine, "kit");
    f->instance = tv_test_instance(f->module, &f->owner, KIB(256));
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    tv_instance_free(f->instance);
    tv_module_unref(f->module);
    tv_engine_free(f->engine);
    free(f);
    return 0;
}

static int setup_guard(void **state) {
    current_mode = TV_MEMORY_GUARD;
    return setup(state);
}

static int setup_compact(void **state) {
    current_mode = TV_MEMORY_COMPACT;
    return setup(state);
}

// Runs an operation that must end badly.
static void expect_fault(fixture *f, enum tv_kit_operation operation, uint32_t argument, tv_fault_reason reason,
                         const char *message, const char *function) {
    assert_int_equal(tv_kit_run(f->instance, operation, &f->fault, 1, argument), TV_FAULT);
    assert_int_equal(f->fault.reason, reason);
    assert_non_null(strstr(f->fault.message, message));
    assert_string_equal(f->fault.function, function);
}

// ---- faults -------------------------------------------------------------------------------------------------

static void unreachable_is_a_trap_with_function_and_backtrace(void **state) {
    fixture *f = *state;
    expect_fault(f, KIT_ABORT, 0, TV_FAULT_TRAP, "unreachable", "abort");
    assert_int_equal(strncmp(f->fault.backtrace, "abort @0x", 9), 0);
    assert_non_null(strstr(f->fault.backtrace, "\nrun @0x"));
}

static void messages_do_not_speak_of_the_engine(void **state) {
    fixture *f = *state;
    static const enum tv_kit_operation operations[] = {KIT_ABORT, KIT_DIVIDE, KIT_RECURSE, KIT_TO_INTEGER,
                                                       KIT_PROC_EXIT};
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        assert_int_equal(tv_kit_run(f->instance, operations[i], &f->fault, 1, 0), TV_FAULT);
        assert_null(strstr(f->fault.message, "wasm"));
        assert_null(strstr(f->fault.message, "trap"));
    }
}

static void arithmetic_and_pointers_trap(void **state) {
    fixture *f = *state;
    expect_fault(f, KIT_DIVIDE, 0, TV_FAULT_TRAP, "division by zero", "divide");
    expect_fault(f, KIT_TO_INTEGER, 0, TV_FAULT_TRAP, "NaN", "to_integer");
    expect_fault(f, KIT_CALL_POINTER, 60, TV_FAULT_TRAP, "null function pointer", "call_pointer");
    expect_fault(f, KIT_CALL_POINTER, 64, TV_FAULT_TRAP, "table access out of bounds", "call_pointer");
    expect_fault(f, KIT_CALL_POINTER, KIT_WRONG_TYPE, TV_FAULT_TRAP, "another signature", "call_pointer");
}

static void access_beyond_memory_traps_at_its_very_end(void **state) {
    fixture *f = *state;
    assert_int_equal(tv_kit_run(f->instance, KIT_LOAD, &f->fault, 1, 128 * 1024 - 4), TV_OK);
    expect_fault(f, KIT_LOAD, 128 * 1024 - 3, TV_FAULT_TRAP, "out of bounds", "load");
    expect_fault(f, KIT_LOAD, UINT32_MAX, TV_FAULT_TRAP, "out of bounds", "load");
    expect_fault(f, KIT_STORE, 128 * 1024, TV_FAULT_TRAP, "out of bounds", "store");
}

static void endless_recursion_is_a_stack_fault(void **state) {
    fixture *f = *state;
    expect_fault(f, KIT_RECURSE, 0, TV_FAULT_STACK, "call stack", "recurse");
}

static void *ticker(void *engine) {
    int old;
    for (;;) {
        tv_engine_tick(engine);
        pthread_testcancel();
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
    }
    return NULL;
}

static void endless_loop_ends_when_on_tick_says_so(void **state) {
    fixture *f = *state;
    f->owner.ticks_allowed = 5;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ticker, f->engine), 0);
    expect_fault(f, KIT_SPIN, 0, TV_FAULT_CPU, "CPU budget", "spin");
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    assert_int_equal(f->owner.ticks, 6);
}

static void ticks_between_calls_are_not_seen_by_the_next_call(void **state) {
    fixture *f = *state;
    tv_engine_tick(f->engine);
    tv_engine_tick(f->engine);
    assert_int_equal(tv_kit_run(f->instance, KIT_NOTHING, &f->fault, 0), TV_OK);
    assert_int_equal(f->owner.ticks, 0);
}

static void proc_exit_ends_the_call(void **state) {
    fixture *f = *state;
    expect_fault(f, KIT_PROC_EXIT, 3, TV_FAULT_EXIT, "exit code 3", "do_proc_exit");
}

static void instance_can_be_called_again_after_a_fault(void **state) {
    fixture *f = *state;
    expect_fault(f, KIT_PROC_EXIT, 0, TV_FAULT_EXIT, "exit code 0", "do_proc_exit");
    expect_fault(f, KIT_ABORT, 0, TV_FAULT_TRAP, "unreachable", "abort"); // not the exit again
    assert_int_equal(tv_kit_run(f->instance, KIT_NOTHING, &f->fault, 0), TV_OK);
}

// ---- results ------------------------------------------------------------------------------------------------

static void expect_result(fixture *f, tv_export which, int32_t answer, tv_status status) {
    int32_t result = -77;
    tv_kit_argument(f->instance, 0, (uint32_t)answer);
    assert_int_equal(tv_kit_run_in(f->instance, which, KIT_ANSWER, &result, &f->fault), status);
    if (status == TV_OK)
        assert_int_equal(result, answer);
    else
        assert_int_equal(f->fault.reason, TV_FAULT_RESULT);
}

static void negative_results_are_faults(void **state) {
    fixture *f = *state;
    for (unsigned which = 0; which < TV_EXPORT_COUNT; which++) {
        if (which == TV_EXPORT_TICK) continue; // its argument is the operation
        expect_result(f, (tv_export)which, TV_ABI_FAILED, TV_FAULT);
        assert_non_null(strstr(f->fault.message, "FAILED"));
        expect_result(f, (tv_export)which, INT32_MIN, TV_FAULT);
    }
}

static void process_may_consume_all_but_not_more(void **state) {
    fixture *f = *state; // tv_kit_run_in calls with a count of 3
    expect_result(f, TV_EXPORT_PROCESS, 0, TV_OK);
    expect_result(f, TV_EXPORT_PROCESS, 3, TV_OK);
    expect_result(f, TV_EXPORT_PROCESS, 3 | TV_ABI_MORE, TV_OK);
    expect_result(f, TV_EXPORT_PROCESS, 4, TV_FAULT);
    expect_result(f, TV_EXPORT_PROCESS, 4 | TV_ABI_MORE, TV_FAULT);
    expect_result(f, TV_EXPORT_PROCESS, TV_ABI_END, TV_FAULT);
    expect_result(f, TV_EXPORT_PROCESS, 0x01000000, TV_FAULT);
}

static void only_pull_may_answer_end(void **state) {
    fixture *f = *state;
    expect_result(f, TV_EXPORT_PULL, TV_ABI_END, TV_OK);
    expect_result(f, TV_EXPORT_PULL, TV_ABI_MORE, TV_OK);
    expect_result(f, TV_EXPORT_PULL, TV_ABI_MORE | TV_ABI_END, TV_FAULT);
    expect_result(f, TV_EXPORT_RESUME, TV_ABI_END, TV_FAULT);
    expect_result(f, TV_EXPORT_CLOSE, TV_ABI_END, TV_FAULT);
    expect_result(f, TV_EXPORT_RESUME, TV_ABI_MORE, TV_OK);
    expect_result(f, TV_EXPORT_RESUME, 1, TV_FAULT);
    expect_result(f, TV_EXPORT_INIT, 1, TV_FAULT);
    expect_result(f, TV_EXPORT_INIT, 0, TV_OK);
}

static void absent_optional_exports_answer_zero(void **state) {
    fixture *f = *state;
    tv_module *module = tv_test_load(f->engine, "accepted");
    tv_instance *instance = tv_test_instance(module, &f->owner, KIB(64));
    int32_t result = -1;
    assert_int_equal(tv_instance_call(instance, TV_EXPORT_CLOSE, 0, &result, &f->fault), TV_OK);
    assert_int_equal(result, 0);
    tv_instance_free(instance);
    tv_module_unref(module);
}

// ---- memory -------------------------------------------------------------------------------------------------

static int64_t grow(fixture *f, tv_instance *instance, uint32_t pages) {
    assert_int_equal(tv_kit_run(instance, KIT_GROW, &f->fault, 1, pages), TV_OK);
    return tv_kit_result(instance);
}

static void growth_within_the_budget_works_and_is_counted(void **state) {
    fixture *f = *state;
    tv_arena_stats before, after;
    tv_engine_arena_stats(f->engine, &before);
    assert_int_equal(grow(f, f->instance, 2), 2);
    tv_engine_arena_stats(f->engine, &after);
    assert_int_equal(after.grow_count - before.grow_count, 1);
    assert_int_equal(after.committed_bytes_now - before.committed_bytes_now, KIB(128));
    assert_int_equal(tv_instance_memory_bytes(f->instance), KIB(256));
    assert_int_equal(tv_kit_run(f->instance, KIT_LOAD, &f->fault, 1, 256 * 1024 - 4), TV_OK);
    expect_fault(f, KIT_LOAD, 256 * 1024, TV_FAULT_TRAP, "out of bounds", "load");
}

static void growth_beyond_the_budget_answers_minus_one_and_is_counted(void **state) {
    fixture *f = *state;
    tv_arena_stats before, after;
    tv_engine_arena_stats(f->engine, &before);
    assert_int_equal(grow(f, f->instance, 3), -1);
    assert_int_equal(grow(f, f->instance, 65535 - 2), -1); // nearly 4 GiB
    tv_engine_arena_stats(f->engine, &after);
    assert_int_equal(after.grow_refused_count - before.grow_refused_count, 2);
    assert_int_equal(after.committed_bytes_now, before.committed_bytes_now);
    assert_int_equal(tv_instance_memory_bytes(f->instance), KIB(128));
}

static void memory_is_zero_after_another_instance_used_it(void **state) {
    fixture *f = *state;
    for (int round = 0; round < 3; round++) {
        tv_instance *instance = tv_test_instance(f->module, &f->owner, KIB(256));
        assert_int_equal(grow(f, instance, 2), 2);
        // The data segment at 512 and the arguments at 1088 are all there may be.
        assert_int_equal(tv_kit_run(instance, KIT_FIRST_SET, &f->fault, 2, 0, 512), TV_OK);
        assert_int_equal(tv_kit_result(instance), -1);
        assert_int_equal(tv_kit_run(instance, KIT_FIRST_SET, &f->fault, 2, 1160, 262144), TV_OK);
        assert_int_equal(tv_kit_result(instance), -1);
        assert_int_equal(tv_kit_run(instance, KIT_FILL, &f->fault, 3, 0, 0xaa, 262144), TV_OK);
        tv_instance_free(instance);
    }
}

static void data_segments_are_there_in_every_instance(void **state) {
    fixture *f = *state;
    for (int round = 0; round < 3; round++) {
        tv_instance *instance = tv_test_instance(f->module, &f->owner, KIB(128));
        assert_int_equal(tv_kit_run(instance, KIT_LOAD, &f->fault, 1, 514), TV_OK);
        int64_t word = tv_kit_result(instance);
        assert_memory_equal(&word, "data", 4);
        tv_instance_free(instance);
    }
}

static tv_status try_instance(fixture *f, tv_module *module, uint64_t memory_bytes, uint32_t batch_bytes) {
    tv_instance *instance = NULL;
    tv_instance_options options = {
        .memory_bytes_max = memory_bytes,
        .batch_bytes = batch_bytes,
        .grants = TV_GRANT_CLOCK | TV_GRANT_RANDOM,
        .imports = &tv_test_imports,
        .user = &f->owner,
    };
    tv_arena_stats before, after;
    tv_engine_arena_stats(f->engine, &before);
    tv_status status = tv_instance_new(module, &options, &instance, &f->fault, &f->error);
    if (status == TV_OK) tv_instance_free(instance);
    tv_engine_arena_stats(f->engine, &after);
    assert_int_equal(after.memories_now, before.memories_now); // nothing is left behind
    return status;
}

static void initial_memory_beyond_the_budget_is_a_memory_fault(void **state) {
    fixture *f = *state;
    assert_int_equal(try_instance(f, f->module, KIB(127), 4096), TV_FAULT);
    assert_int_equal(f->fault.reason, TV_FAULT_MEMORY);
    assert_non_null(strstr(f->error.message, "128 KiB"));
    assert_int_equal(try_instance(f, f->module, KIB(128), 4096), TV_OK);
}

static void arena_that_does_not_fit_is_a_memory_fault(void **state) {
    fixture *f = *state;
    assert_int_equal(try_instance(f, f->module, KIB(128), 100000), TV_FAULT);
    assert_int_equal(f->fault.reason, TV_FAULT_MEMORY);
    assert_non_null(strstr(f->error.message, "tv_arena"));
}

static void bad_arena_addresses_are_start_faults(void **state) {
    fixture *f = *state;
    for (uint32_t batch_bytes = 8; batch_bytes <= 24; batch_bytes += 8) { // misaligned, outside, trapping
        assert_int_equal(try_instance(f, f->module, KIB(128), batch_bytes), TV_FAULT);
        assert_int_equal(f->fault.reason, TV_FAULT_START);
        assert_non_null(strstr(f->fault.message, "tv_arena"));
    }
}

static void number_of_memories_is_limited(void **state) {
    fixture *f = *state;
    tv_instance *instances[63]; // 64 with the fixture's
    for (size_t i = 0; i < 63; i++) {
        instances[i] = tv_test_instance(f->module, &f->owner, KIB(128));
    }
    assert_int_equal(try_instance(f, f->module, KIB(128), 4096), TV_LIMIT);
    assert_non_null(strstr(f->error.message, "limits.memories"));
    tv_instance_free(instances[7]);
    assert_int_equal(try_instance(f, f->module, KIB(128), 4096), TV_OK);
    for (size_t i = 0; i < 63; i++) {
        if (i != 7) tv_instance_free(instances[i]);
    }
}

static void tables_grow_a_little_and_no_more(void **state) {
    fixture *f = *state; // 64 elements, a declared maximum of 1000
    assert_int_equal(tv_kit_run(f->instance, KIT_GROW_TABLE, &f->fault, 1, 936), TV_OK);
    assert_int_equal(tv_kit_result(f->instance), 64);
    assert_int_equal(tv_kit_run(f->instance, KIT_GROW_TABLE, &f->fault, 1, 1), TV_OK);
    assert_int_equal(tv_kit_result(f->instance), -1);
}

static void trim_zeroes_whole_pages_of_the_arena_only(void **state) {
    fixture *f = *state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (page > KIB(16)) skip(); // the arena has no whole page then
    tv_instance *instance = NULL;
    tv_instance_options options = {.memory_bytes_max = KIB(128),
                                   .batch_bytes = 32768,
                                   .grants = 3,
                                   .imports = &tv_test_imports,
                                   .user = &f->owner};
    assert_int_equal(tv_instance_new(f->module, &options, &instance, &f->fault, &f->error), TV_OK);
    memset(tv_kit_memory(instance, 1024), 0x55, 64 + 32768); // up to 33856
    tv_instance_trim(instance);
    uint8_t *memory = tv_kit_memory(instance, 1024);
    assert_int_equal(memory[page - 1 - 1024], 0x55);
    assert_int_equal(memory[page - 1024], 0);
    assert_int_equal(memory[32767 - 1024], 0);
    assert_int_equal(memory[32768 - 1024], 0x55);
    tv_instance_free(instance);
}

static void nan_results_are_canonical(void **state) {
    fixture *f = *state;
    assert_int_equal(tv_kit_run(f->instance, KIT_NAN, &f->fault, 1, 0xffabcdefu), TV_OK);
    assert_int_equal((uint32_t)tv_kit_result(f->instance), 0x7fc00000u);
}

// ---- start --------------------------------------------------------------------------------------------------

static void expect_start_fault(fixture *f, const char *name, const char *message) {
    tv_module *module = tv_test_load(f->engine, name);
    assert_int_equal(try_instance(f, module, KIB(64), 4096), TV_FAULT);
    assert_int_equal(f->fault.reason, TV_FAULT_START);
    assert_non_null(strstr(f->fault.message, message));
    tv_module_unref(module);
}

static void failing_starts_are_start_faults(void **state) {
    fixture *f = *state;
    expect_start_fault(f, "start_trap", "unreachable");
    expect_start_fault(f, "outside_data", "out of bounds");
}

static void endless_initialize_ends_when_on_tick_says_so(void **state) {
    fixture *f = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ticker, f->engine), 0);
    expect_start_fault(f, "spin_start", "CPU budget");
    pthread_cancel(thread);
    pthread_join(thread, NULL);
}

static void emit_before_the_first_call_answers_state(void **state) {
    fixture *f = *state;
    tv_module *module = tv_test_load(f->engine, "early_emit");
    assert_int_equal(try_instance(f, module, KIB(64), 4096), TV_OK);
    assert_int_equal(f->owner.emits, 0);
    tv_module_unref(module);
}

static void missing_grant_is_denied_with_import_and_remedy(void **state) {
    fixture *f = *state;
    tv_instance *instance = NULL;
    tv_instance_options options = {.memory_bytes_max = KIB(128),
                                   .batch_bytes = 64,
                                   .grants = TV_GRANT_RANDOM,
                                   .imports = &tv_test_imports,
                                   .user = &f->owner};
    assert_int_equal(tv_instance_new(f->module, &options, &instance, &f->fault, &f->error), TV_DENIED);
    assert_non_null(strstr(f->error.message, "torvyn.clock"));
    assert_non_null(strstr(f->error.message, "grants: [clock]"));
}

// ---- nesting ------------------------------------------------------------------------------------------------

typedef struct nested_run {
    tv_instance *outer, *inner;
    enum tv_kit_operation operation;
    tv_status status;
    tv_fault fault;
} nested_run;

// Any number of ticks finds the guest on its way down. The first one at the bottom runs the operation, the next one
// ends the outer run.
static void run_nested(tv_test_owner *owner) {
    nested_run *run = owner->on_tick_data;
    if (owner->ticks_allowed < UINT32_MAX || tv_kit_result(run->outer) != -1) return;
    run->status = tv_kit_run(run->inner, run->operation, &run->fault, 1, 0u);
    owner->ticks_allowed = owner->ticks;
}

// Runs the operation in another instance from the on_tick of one that spins `depth` frames deep.
static void run_inside_at(fixture *f, nested_run *run, uint32_t depth) {
    tv_test_owner inner_owner = {.ticks_allowed = UINT32_MAX};
    pthread_t thread;
    run->outer = f->instance;
    run->inner = tv_test_instance(f->module, &inner_owner, KIB(256));
    assert_int_equal(tv_kit_run(f->instance, KIT_SIZE, &f->fault, 0), TV_OK); // its result is not that of being there
    f->owner.ticks_allowed = UINT32_MAX;
    f->owner.on_tick = run_nested;
    f->owner.on_tick_data = run;
    assert_int_equal(pthread_create(&thread, NULL, ticker, f->engine), 0);
    assert_int_equal(tv_kit_run(f->instance, KIT_DESCEND, &f->fault, 2, depth, 1u), TV_FAULT);
    assert_int_equal(f->fault.reason, TV_FAULT_CPU);
    assert_string_equal(f->fault.function, "spin");
    assert_int_equal(f->owner.ticks, f->owner.ticks_allowed + 1);
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    assert_int_equal(tv_kit_run(f->instance, KIT_NOTHING, &f->fault, 0), TV_OK);
    tv_instance_free(run->inner);
}

static void run_inside(fixture *f, nested_run *run) { run_inside_at(f, run, 0); }

static void another_instance_can_be_called_from_on_tick(void **state) {
    nested_run run = {.operation = KIT_SIZE, .status = TV_AGAIN};
    run_inside(*state, &run);
    assert_int_equal(run.status, TV_OK);
}

static void a_nested_trap_stays_in_its_instance(void **state) {
    nested_run run = {.operation = KIT_ABORT};
    run_inside(*state, &run);
    assert_int_equal(run.status, TV_FAULT);
    assert_int_equal(run.fault.reason, TV_FAULT_TRAP);
    assert_string_equal(run.fault.function, "abort");
}

static void nested_recursion_is_a_stack_fault(void **state) {
    nested_run run = {.operation = KIT_RECURSE};
    run_inside(*state, &run);
    assert_int_equal(run.status, TV_FAULT);
    assert_int_equal(run.fault.reason, TV_FAULT_STACK);
}

// The largest number of frames that fit on the guest's stack.
static uint32_t deepest(fixture *f) {
    uint32_t fits = 0, fails = 1u << 20;
    while (fails - fits > 1) {
        uint32_t middle = fits + (fails - fits) / 2;
        if (tv_kit_run(f->instance, KIT_DESCEND, &f->fault, 2, middle, 0u) == TV_OK)
            fits = middle;
        else
            fails = middle;
    }
    return fits;
}

static void *use_all_stack_twice(void *state) {
    fixture *f = *(void **)state;
    nested_run run = {.operation = KIT_RECURSE};
    uint32_t depth = deepest(f);
    assert_true(depth > 1000);
    run_inside_at(f, &run, depth - 10); // spin needs a frame too
    assert_int_equal(run.status, TV_FAULT);
    assert_int_equal(run.fault.reason, TV_FAULT_STACK);
    return NULL;
}

static void stated_stack_size_carries_a_nested_call_with_both_at_their_deepest(void **state) {
    fixture *f = *state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); // their own data and frames take most of such a stack
#endif
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, tv_engine_thread_stack_bytes(f->engine, 1)), 0);
    assert_int_equal(pthread_create(&thread, &attributes, use_all_stack_twice, state), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    assert_int_equal(f->owner.ticks, f->owner.ticks_allowed + 1); // it came to its end
}

#define IN_BOTH_MODES(test)                                                                                            \
    {#test " (guard)", test, setup_guard, teardown, NULL}, { #test " (compact)", test, setup_compact, teardown, NULL }

static const struct CMUnitTest tests[] = {
    IN_BOTH_MODES(unreachable_is_a_trap_with_function_and_backtrace),
    IN_BOTH_MODES(messages_do_not_speak_of_the_engine),
    IN_BOTH_MODES(arithmetic_and_pointers_trap),
    IN_BOTH_MODES(access_beyond_memory_traps_at_its_very_end),
    IN_BOTH_MODES(endless_recursion_is_a_stack_fault),
    IN_BOTH_MODES(endless_loop_ends_when_on_tick_says_so),
    IN_BOTH_MODES(ticks_between_calls_are_not_seen_by_the_next_call),
    IN_BOTH_MODES(proc_exit_ends_the_call),
    IN_BOTH_MODES(instance_can_be_called_again_after_a_fault),
    IN_BOTH_MODES(negative_results_are_faults),
    IN_BOTH_MODES(process_may_consume_all_but_not_more),
    IN_BOTH_MODES(only_pull_may_answer_end),
    IN_BOTH_MODES(absent_optional_exports_answer_zero),
    IN_BOTH_MODES(growth_within_the_budget_works_and_is_counted),
    IN_BOTH_MODES(growth_beyond_the_budget_answers_minus_one_and_is_counted),
    IN_BOTH_MODES(memory_is_zero_after_another_instance_used_it),
    IN_BOTH_MODES(data_segments_are_there_in_every_instance),
    IN_BOTH_MODES(initial_memory_beyond_the_budget_is_a_memory_fault),
    IN_BOTH_MODES(arena_that_does_not_fit_is_a_memory_fault),
    IN_BOTH_MODES(bad_arena_addresses_are_start_faults),
    IN_BOTH_MODES(number_of_memories_is_limited),
    IN_BOTH_MODES(tables_grow_a_little_and_no_more),
    IN_BOTH_MODES(trim_zeroes_whole_pages_of_the_arena_only),
    IN_BOTH_MODES(nan_results_are_canonical),
    IN_BOTH_MODES(failing_starts_are_start_faults),
    IN_BOTH_MODES(endless_initialize_ends_when_on_tick_says_so),
    IN_BOTH_MODES(emit_before_the_first_call_answers_state),
    IN_BOTH_MODES(missing_grant_is_denied_with_import_and_remedy),
    IN_BOTH_MODES(another_instance_can_be_called_from_on_tick),
    IN_BOTH_MODES(a_nested_trap_stays_in_its_instance),
    IN_BOTH_MODES(nested_recursion_is_a_stack_fault),
    IN_BOTH_MODES(stated_stack_size_carries_a_nested_call_with_both_at_their_deepest),
};

TV_WASM_TEST_MAIN(tests)
