// Images of memories: what is shared reads the same, what is written stays one's own, and nothing of it is left.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "wasm/memory_image.h"
#include "wasm/test_support.h"

// PAGE is whole pages of any system.
enum { PAGE = 64 << 10, DATA = 2 * PAGE, DATA_BYTES = 3 * PAGE - 100, SIZE = 8 * PAGE };

static tv_arena *make_arena(tv_memory_mode mode, uint32_t memories) {
    tv_arena *arena = NULL;
    tv_error error = {0};
    if (tv_arena_new(mode, memories, 0, &arena, &error) != TV_OK) fail_msg("%s", error.message);
    return arena;
}

static tv_memory *take(tv_arena *arena, uint64_t bytes) {
    tv_memory *memory = NULL;
    tv_error error = {0};
    if (tv_arena_acquire(arena, bytes, bytes, &memory, &error) != TV_OK) fail_msg("%s", error.message);
    return memory;
}

// As the engine initialises it.
static tv_memory *take_initialised(tv_arena *arena) {
    tv_memory *memory = take(arena, SIZE);
    for (int i = 0; i < DATA_BYTES; i++)
        memory->base[DATA + i] = (uint8_t)(i % 251 + 1);
    return memory;
}

static void assert_initialised(const tv_memory *memory) {
    for (int i = 0; i < SIZE; i++) {
        bool is_data = i >= DATA && i < DATA + DATA_BYTES;
        assert_int_equal(memory->base[i], is_data ? (i - DATA) % 251 + 1 : 0);
    }
}

static void both(void (*test)(tv_arena *arena)) {
    static const tv_memory_mode modes[] = {TV_MEMORY_GUARD, TV_MEMORY_COMPACT};
    for (int i = 0; i < 2; i++) {
        tv_arena *arena = make_arena(modes[i], 4);
        test(arena);
        tv_arena_free(arena);
    }
}

static void check_own_writes(tv_arena *arena) {
    tv_memory *one = take_initialised(arena), *other = take_initialised(arena);
    tv_memory_image *image = tv_memory_image_new(one, SIZE);
    assert_non_null(image);
    tv_memory_image_apply(image, one);
    tv_memory_image_apply(image, other);
    tv_memory_image_free(image); // its pages live on
    assert_int_equal(other->mapped_bytes, 3 * PAGE);
    assert_initialised(one);
    one->base[DATA + 5] = 99;
    one->base[DATA - 1] = 98;
    assert_initialised(other);
    assert_int_equal(one->base[DATA + 5], 99);
    tv_arena_release(one);
    tv_arena_release(other);
}

static void what_one_memory_writes_another_does_not_see(void **state) {
    (void)state;
    both(check_own_writes);
}

static void check_zeroed(tv_arena *arena) {
    tv_memory *memory = take_initialised(arena);
    tv_memory_image *image = tv_memory_image_new(memory, SIZE);
    tv_memory_image_apply(image, memory);
    memory->base[DATA] = 99;
    uint8_t *place = memory->base;
    tv_arena_release(memory);
    memory = take(arena, SIZE);
    assert_ptr_equal(memory->base, place);
    for (int i = 0; i < SIZE; i++)
        assert_int_equal(memory->base[i], 0);
    tv_memory_trim(memory, 0, SIZE); // brings zeros, not the file
    assert_int_equal(memory->base[DATA], 0);
    tv_arena_release(memory);
    tv_memory_image_free(image);
}

static void a_place_that_had_an_image_is_zero_for_the_next(void **state) {
    (void)state;
    both(check_zeroed);
}

static void a_memory_of_other_content_keeps_its_own(void **state) {
    (void)state;
    tv_arena *arena = make_arena(TV_MEMORY_COMPACT, 4);
    tv_memory *one = take_initialised(arena), *other = take_initialised(arena), *small = take(arena, 64 << 10);
    tv_memory_image *image = tv_memory_image_new(one, SIZE);
    other->base[DATA + DATA_BYTES - 1] ^= 1;
    tv_memory_image_apply(image, other);
    assert_int_equal(other->mapped_bytes, 0);
    assert_int_equal(other->base[DATA + DATA_BYTES - 1], ((DATA_BYTES - 1) % 251 + 1) ^ 1);
    tv_memory_image_apply(image, small);
    assert_int_equal(small->mapped_bytes, 0);
    tv_memory_image_free(image);
    tv_arena_release(one);
    tv_arena_release(other);
    tv_arena_release(small);
    tv_arena_free(arena);
}

static void what_is_empty_or_small_is_not_worth_an_image(void **state) {
    (void)state;
    tv_arena *arena = make_arena(TV_MEMORY_COMPACT, 4);
    tv_memory *memory = take(arena, SIZE);
    assert_null(tv_memory_image_new(memory, SIZE));
    memory->base[SIZE - 1] = 1;
    assert_null(tv_memory_image_new(memory, SIZE));
    memory->base[SIZE - 2 * PAGE] = 1;
    tv_memory_image *image = tv_memory_image_new(memory, SIZE);
    assert_non_null(image);
    tv_memory_image_free(image);
    tv_memory_image_free(NULL);
    assert_null(tv_memory_image_new(memory, 2 * PAGE - 1));
    memory->base[0] = 1; // far from the rest: an image would be as large as all in between
    assert_null(tv_memory_image_new(memory, SIZE / 2));
    tv_arena_release(memory);
    tv_arena_free(arena);
}

// Rather than take all the mappings that the process may have.
static void beyond_the_systems_mappings_memories_keep_their_own(void **state) {
    (void)state;
    enum { MEMORIES = 26000 };
    static tv_memory *memories[MEMORIES];
    tv_arena *arena = make_arena(TV_MEMORY_COMPACT, MEMORIES);
    FILE *file = tmpfile();
    uint32_t mapped = 0;
    assert_int_equal(ftruncate(fileno(file), 2 * PAGE), 0);
    for (int i = 0; i < MEMORIES; i++) {
        memories[i] = take(arena, 3 * PAGE);
        tv_status status = tv_memory_map(memories[i], PAGE, 2 * PAGE, fileno(file));
        mapped += status == TV_OK;
        assert_int_equal(status, mapped == (uint32_t)i + 1 ? TV_OK : TV_FULL);
    }
    if (mapped < MEMORIES) { // unless the system allows many more
        tv_arena_release(memories[0]);
        memories[0] = take(arena, 3 * PAGE);
        assert_int_equal(tv_memory_map(memories[0], PAGE, 2 * PAGE, fileno(file)), TV_OK);
        assert_int_equal(tv_memory_map(memories[MEMORIES - 1], PAGE, 2 * PAGE, fileno(file)), TV_FULL);
    }
    for (int i = 0; i < MEMORIES; i++)
        tv_arena_release(memories[i]);
    tv_arena_free(arena);
    fclose(file);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_one_memory_writes_another_does_not_see),
    cmocka_unit_test(a_place_that_had_an_image_is_zero_for_the_next),
    cmocka_unit_test(a_memory_of_other_content_keeps_its_own),
    cmocka_unit_test(what_is_empty_or_small_is_not_worth_an_image),
    cmocka_unit_test(beyond_the_systems_mappings_memories_keep_their_own),
};

TV_WASM_TEST_MAIN(tests)
