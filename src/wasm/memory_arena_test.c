// The arena alone, in both modes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wasm/memory_arena.h"
#include "wasm/test_support.h"

#define KIB(n) ((uint64_t)(n) << 10)

static tv_arena *make(tv_memory_mode mode, uint32_t memories, uint64_t bytes) {
    tv_arena *arena = NULL;
    tv_error error = {0};
    if (tv_arena_new(mode, memories, bytes, &arena, &error) != TV_OK) fail_msg("%s", error.message);
    return arena;
}

static tv_memory *take(tv_arena *arena, uint64_t initial, uint64_t budget) {
    tv_memory *memory = NULL;
    tv_error error = {0};
    if (tv_arena_acquire(arena, initial, budget, &memory, &error) != TV_OK) fail_msg("%s", error.message);
    return memory;
}

static void both(void (*test)(tv_memory_mode mode)) {
    test(TV_MEMORY_GUARD);
    test(TV_MEMORY_COMPACT);
}

static void check_growth(tv_memory_mode mode) {
    tv_arena *arena = make(mode, 4, 0);
    tv_memory *memory = take(arena, KIB(64), KIB(192));
    memory->base[KIB(64) - 1] = 7;
    assert_int_equal(tv_memory_grow(memory, KIB(192)), TV_OK);
    assert_int_equal(memory->base[KIB(64) - 1], 7);
    assert_int_equal(memory->base[KIB(192) - 1], 0);
    assert_int_equal(tv_memory_grow(memory, KIB(256)), TV_FULL);
    assert_int_equal(tv_memory_grow(memory, KIB(64)), TV_FULL); // never smaller
    assert_int_equal(tv_memory_size(memory), KIB(192));
    tv_arena_stats stats;
    tv_arena_get_stats(arena, &stats);
    assert_int_equal(stats.grow_count, 1);
    assert_int_equal(stats.grow_refused_count, 2);
    assert_int_equal(stats.committed_bytes_now, KIB(192));
    tv_arena_release(memory);
    tv_arena_get_stats(arena, &stats);
    assert_int_equal(stats.committed_bytes_now, 0);
    assert_int_equal(stats.reserved_bytes_now, 0);
    tv_arena_free(arena);
}
static void memory_grows_to_its_budget_and_no_further(void **state) {
    (void)state;
    both(check_growth);
}

static void check_zeroing(tv_memory_mode mode) {
    tv_arena *arena = make(mode, 1, 0);
    for (int round = 0; round < 3; round++) {
        tv_memory *memory = take(arena, KIB(64), KIB(128));
        assert_int_equal(tv_memory_grow(memory, KIB(128)), TV_OK);
        for (uint64_t i = 0; i < KIB(128); i++) {
            assert_int_equal(memory->base[i], 0);
        }
        memset(memory->base, 0xcc, KIB(128));
        tv_arena_release(memory);
    }
    tv_arena_free(arena);
}
static void reused_blocks_are_zero(void **state) {
    (void)state;
    both(check_zeroing);
}

static void check_total(tv_memory_mode mode) {
    tv_arena *arena = make(mode, 4, KIB(256));
    tv_memory *a = take(arena, KIB(128), KIB(256));
    tv_memory *b = take(arena, KIB(64), KIB(256));
    tv_memory *c = NULL;
    tv_error error;
    assert_int_equal(tv_memory_grow(a, KIB(192)), TV_OK);
    assert_int_equal(tv_memory_grow(b, KIB(128)), TV_FULL);
    assert_int_equal(tv_arena_acquire(arena, KIB(64), KIB(64), &c, &error), TV_LIMIT);
    tv_arena_release(a);
    assert_int_equal(tv_memory_grow(b, KIB(256)), TV_OK);
    tv_arena_release(b);
    tv_arena_free(arena);
}
static void all_memories_together_stay_within_the_total(void **state) {
    (void)state;
    both(check_total);
}

static void check_growth_limit(tv_memory_mode mode) {
    tv_arena *arena = make(mode, 4, 0);
    tv_arena_stats stats;
    tv_memory *a = take(arena, KIB(64), KIB(1024)), *b = take(arena, KIB(512), KIB(1024));
    tv_arena_limit_growth(arena, KIB(256), UINT64_MAX);
    assert_int_equal(tv_memory_grow(a, KIB(512)), TV_OK); // it begins: not growth yet
    tv_memory_settle(a);
    tv_memory_settle(b);
    assert_int_equal(tv_memory_grow(a, KIB(640)), TV_OK);
    assert_int_equal(tv_memory_grow(b, KIB(704)), TV_FULL);
    assert_int_equal(tv_memory_grow(b, KIB(640)), TV_OK); // exactly what is left
    tv_arena_release(a);
    assert_int_equal(tv_memory_grow(b, KIB(768)), TV_OK);
    assert_int_equal(tv_memory_grow(b, KIB(832)), TV_FULL);
    tv_arena_get_stats(arena, &stats);
    assert_int_equal(stats.grown_bytes_now, KIB(256));
    assert_int_equal(stats.grow_limited_count, 2);
    tv_arena_release(b);
    tv_arena_get_stats(arena, &stats);
    assert_int_equal(stats.grown_bytes_now, 0);
    tv_arena_free(arena);
}
static void growth_of_all_stays_within_what_the_process_has(void **state) {
    (void)state;
    both(check_growth_limit);
}

static void check_soon(tv_memory_mode mode) {
    tv_arena *arena = make(mode, 4, 0);
    tv_memory *a = take(arena, KIB(64), KIB(1024));
    tv_arena_limit_growth(arena, UINT64_MAX, KIB(128));
    assert_int_equal(tv_memory_grow(a, KIB(192)), TV_OK);
    assert_int_equal(tv_memory_grow(a, KIB(256)), TV_FULL);
    tv_arena_limit_growth(arena, UINT64_MAX, KIB(64)); // somebody has looked again
    assert_int_equal(tv_memory_grow(a, KIB(256)), TV_OK);
    assert_int_equal(tv_memory_grow(a, KIB(320)), TV_FULL);
    tv_arena_release(a);
    tv_arena_free(arena);
}
static void growth_between_two_looks_is_bounded(void **state) {
    (void)state;
    both(check_soon);
}

static void check_budget(tv_memory_mode mode) {
    tv_arena *arena = make(mode, 2, 0);
    tv_memory *memory = NULL;
    tv_error error;
    assert_int_equal(tv_arena_acquire(arena, KIB(128), KIB(127), &memory, &error), TV_TOO_LARGE);
    memory = take(arena, 0, 0); // a memory of nothing is allowed
    assert_int_equal(tv_memory_grow(memory, KIB(64)), TV_FULL);
    tv_arena_release(memory);
    tv_arena_free(arena);
}
static void initial_size_must_fit_into_the_budget(void **state) {
    (void)state;
    both(check_budget);
}

static void check_trim(tv_memory_mode mode) {
    tv_arena *arena = make(mode, 1, 0);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), size = 16 * page;
    tv_memory *memory = take(arena, size, size);
    memset(memory->base, 1, size);
    tv_memory_trim(memory, 100, 2 * page);
    assert_int_equal(memory->base[page - 1], 1);
    assert_int_equal(memory->base[page], 0);
    assert_int_equal(memory->base[2 * page - 1], 0);
    assert_int_equal(memory->base[2 * page], 1);
    tv_memory_trim(memory, size - page, KIB(1000)); // no further than its end
    assert_int_equal(memory->base[size - page - 1], 1);
    assert_int_equal(memory->base[size - page], 0);
    tv_memory_trim(memory, 10, 20); // less than a page: nothing
    assert_int_equal(memory->base[15], 1);
    tv_arena_release(memory);
    tv_arena_free(arena);
}
static void trim_gives_back_whole_pages_only(void **state) {
    (void)state;
    both(check_trim);
}

static unsigned count_mappings(void) {
    FILE *file = fopen("/proc/self/maps", "re");
    unsigned lines = 0;
    for (int c; file && (c = getc(file)) != EOF;) {
        lines += c == '\n';
    }
    if (file) fclose(file);
    return lines;
}

static void many_compact_memories_take_few_mappings(void **state) {
    (void)state;
    enum { MANY = 5000 };
    tv_arena *arena = make(TV_MEMORY_COMPACT, MANY, 0);
    static tv_memory *memories[MANY];
    unsigned before = count_mappings();
    for (size_t i = 0; i < MANY; i++) {
        memories[i] = take(arena, KIB(64), KIB(1024));
        memories[i]->base[0] = 1;
    }
    assert_true(count_mappings() < before + 20);
    for (size_t i = 0; i < MANY; i++) {
        tv_arena_release(memories[i]);
    }
    tv_arena_free(arena);
}

typedef struct model_block {
    tv_memory *memory;
    uint8_t mark;
} model_block;

// Random taking, growing and releasing: blocks never overlap, are always zero at first and keep what was written.
static void random_use_keeps_memories_apart(void **state) {
    (void)state;
    enum { BLOCKS = 40, STEPS = 4000 };
    model_block blocks[BLOCKS] = {{0}};
    tv_arena *arena = make(TV_MEMORY_COMPACT, BLOCKS, 0);
    unsigned seed = (unsigned)getpid();
    print_message("seed %u\n", seed);
    for (unsigned step = 0; step < STEPS; step++) {
        model_block *block = &blocks[(unsigned)rand_r(&seed) % BLOCKS];
        uint64_t pages = 1 + (unsigned)rand_r(&seed) % 20;
        if (!block->memory) {
            block->memory = take(arena, TV_WASM_PAGE_BYTES, pages * TV_WASM_PAGE_BYTES);
            assert_int_equal(block->memory->base[0], 0);
            block->mark = (uint8_t)(step % 255 + 1);
            block->memory->base[0] = block->mark;
        } else if (rand_r(&seed) % 2 == 0) {
            uint64_t old = tv_memory_size(block->memory);
            if (tv_memory_grow(block->memory, pages * TV_WASM_PAGE_BYTES) == TV_OK &&
                tv_memory_size(block->memory) > old) {
                uint64_t last = tv_memory_size(block->memory) - 1;
                assert_int_equal(block->memory->base[last], 0);
                block->memory->base[last] = block->mark;
            }
        } else {
            assert_int_equal(block->memory->base[0], block->mark);
            tv_arena_release(block->memory);
            block->memory = NULL;
        }
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        if (blocks[i].memory) tv_arena_release(blocks[i].memory);
    }
    tv_arena_free(arena);
}

static void too_many_guarded_memories_are_refused_with_remedy(void **state) {
    (void)state;
    tv_arena *arena = NULL;
    tv_error error = {0};
    assert_int_equal(tv_arena_new(TV_MEMORY_GUARD, 3000000, 0, &arena, &error), TV_LIMIT);
    assert_non_null(strstr(error.message, "compact"));
}

static void guard_mode_without_address_space_is_refused_with_remedy(void **state) {
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); // their shadow memory is larger than any limit
#endif
    pid_t child = fork(); // the limit would last
    if (child == 0) {
        tv_arena *arena = NULL;
        tv_error error = {0};
        struct rlimit limit = {.rlim_cur = 1ull << 36, .rlim_max = 1ull << 36};
        setrlimit(RLIMIT_AS, &limit);
        bool refused = tv_arena_new(TV_MEMORY_GUARD, 1000, 0, &arena, &error) == TV_LIMIT;
        bool works = tv_arena_new(TV_MEMORY_COMPACT, 1000, 0, &arena, &error) == TV_OK;
        _exit(refused && works && strstr(error.message, "compact") ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(memory_grows_to_its_budget_and_no_further),
    cmocka_unit_test(reused_blocks_are_zero),
    cmocka_unit_test(all_memories_together_stay_within_the_total),
    cmocka_unit_test(initial_size_must_fit_into_the_budget),
    cmocka_unit_test(trim_gives_back_whole_pages_only),
    cmocka_unit_test(many_compact_memories_take_few_mappings),
    cmocka_unit_test(growth_of_all_stays_within_what_the_process_has),
    cmocka_unit_test(growth_between_two_looks_is_bounded),
    cmocka_unit_test(random_use_keeps_memories_apart),
    cmocka_unit_test(too_many_guarded_memories_are_refused_with_remedy),
    cmocka_unit_test(guard_mode_without_address_space_is_refused_with_remedy),
};

TV_WASM_TEST_MAIN(tests)
