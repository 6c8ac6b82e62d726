// The byte ring: edges of its range, and a comparison with a plain list under random operations.
#include "flow/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CAPACITY = 256, RECORDS = 8 };

typedef struct ring_fixture {
    _Alignas(8) uint8_t bytes[CAPACITY];
    tv_ring ring;
} ring_fixture;

static void fixture_init(ring_fixture *fixture) {
    memset(fixture->bytes, 0xee, sizeof fixture->bytes);
    tv_ring_init(&fixture->ring, fixture->bytes, CAPACITY, RECORDS);
}

// Stages a record of `size` bytes that carries `sequence`; false if there is no room.
static bool stage_record(tv_ring *ring, uint32_t size, uint64_t sequence) {
    uint8_t *place = tv_ring_stage(ring, size);
    if (!place) return false;
    *(tv_record *)(void *)place = (tv_record){.size_bytes = size, .sequence = sequence};
    return true;
}

static uint64_t pop_front(tv_ring *ring) {
    const uint8_t *end = NULL;
    const tv_record *front = tv_ring_front(ring, &end);
    assert_non_null(front);
    uint64_t sequence = front->sequence;
    tv_ring_pop(ring, 1, front->size_bytes);
    return sequence;
}

static void new_ring_is_empty(void **state) {
    (void)state;
    ring_fixture fixture;
    fixture_init(&fixture);
    const uint8_t *end = NULL;
    assert_null(tv_ring_front(&fixture.ring, &end));
    assert_int_equal(tv_ring_count_records(&fixture.ring), 0);
    assert_false(tv_ring_commit(&fixture.ring));
}

static void staged_records_are_invisible_until_committed(void **state) {
    (void)state;
    ring_fixture fixture;
    fixture_init(&fixture);
    const uint8_t *end = NULL;
    assert_true(stage_record(&fixture.ring, 48, 1));
    assert_null(tv_ring_front(&fixture.ring, &end));
    assert_true(tv_ring_commit(&fixture.ring));
    assert_int_equal(pop_front(&fixture.ring), 1);
}

static void roll_back_takes_only_what_came_after_the_mark(void **state) {
    (void)state;
    ring_fixture fixture;
    fixture_init(&fixture);
    assert_true(stage_record(&fixture.ring, 48, 1));
    uint32_t mark = fixture.ring.staged;
    assert_true(stage_record(&fixture.ring, 48, 2));
    assert_true(stage_record(&fixture.ring, 48, 3));
    tv_ring_roll_back(&fixture.ring, mark, 2);
    tv_ring_commit(&fixture.ring);
    assert_int_equal(tv_ring_count_records(&fixture.ring), 1);
    assert_int_equal(pop_front(&fixture.ring), 1);
}

static void stage_when_full_of_bytes_answers_null(void **state) {
    (void)state;
    ring_fixture fixture;
    fixture_init(&fixture);
    assert_true(stage_record(&fixture.ring, CAPACITY, 1));
    assert_false(stage_record(&fixture.ring, 48, 2));
    assert_false(tv_ring_has_room(&fixture.ring, 8));
    tv_ring_commit(&fixture.ring);
    assert_int_equal(pop_front(&fixture.ring), 1);
    assert_true(stage_record(&fixture.ring, 48, 2));
}

static void stage_when_full_of_records_answers_null(void **state) {
    (void)state;
    _Alignas(8) uint8_t bytes[1024];
    tv_ring ring;
    tv_ring_init(&ring, bytes, sizeof bytes, 2);
    assert_true(stage_record(&ring, 48, 1));
    assert_true(stage_record(&ring, 48, 2));
    assert_false(stage_record(&ring, 48, 3));
}

static void record_that_does_not_fit_before_the_end_starts_a_new_lap(void **state) {
    (void)state;
    ring_fixture fixture;
    fixture_init(&fixture);
    tv_ring *ring = &fixture.ring;
    assert_true(stage_record(ring, 120, 1));
    assert_true(stage_record(ring, 64, 2));
    tv_ring_commit(ring);
    assert_int_equal(pop_front(ring), 1);
    assert_true(stage_record(ring, 112, 3)); // 72 bytes are left before the end
    tv_ring_commit(ring);
    const uint8_t *end = NULL;
    const tv_record *front = tv_ring_front(ring, &end);
    assert_null(tv_ring_run_next(front, end)); // the skip mark ends the run
    assert_int_equal(tv_ring_count_records(ring), 2);
    assert_int_equal(pop_front(ring), 2);
    assert_int_equal(pop_front(ring), 3);
    assert_null(tv_ring_front(ring, &end));
}

static void ring_of_twice_the_record_always_takes_it_when_empty(void **state) {
    (void)state;
    for (uint32_t offset = 0; offset < CAPACITY; offset += 8) {
        ring_fixture fixture;
        fixture_init(&fixture);
        if (offset) {
            assert_true(stage_record(&fixture.ring, offset, 1));
            tv_ring_commit(&fixture.ring);
            pop_front(&fixture.ring);
        }
        assert_true(tv_ring_has_room(&fixture.ring, CAPACITY / 2));
        assert_true(stage_record(&fixture.ring, CAPACITY / 2, 2));
    }
}

static void rewind_moves_an_empty_ring_to_its_first_byte(void **state) {
    (void)state;
    ring_fixture fixture;
    fixture_init(&fixture);
    assert_true(stage_record(&fixture.ring, 48, 1));
    tv_ring_commit(&fixture.ring);
    tv_ring_rewind_if_empty(&fixture.ring); // not empty: nothing happens
    assert_int_equal(pop_front(&fixture.ring), 1);
    tv_ring_rewind_if_empty(&fixture.ring);
    assert_true(stage_record(&fixture.ring, 48, 2));
    tv_ring_commit(&fixture.ring);
    const uint8_t *end = NULL;
    assert_ptr_equal(tv_ring_front(&fixture.ring, &end), fixture.bytes);
}

static uint64_t next_random(uint64_t *state) { // SplitMix64
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// The model: sequences committed and not popped lie in [popped, committed); staged ones in [committed, staged).
typedef struct ring_model {
    uint64_t popped, committed, staged;
    uint64_t mark_staged;
    uint32_t mark;
    bool has_mark;
} ring_model;

static uint32_t count_staged(const tv_ring *ring, uint32_t position) {
    uint32_t count = 0;
    for (const tv_record *record; (record = tv_ring_staged_record(ring, &position)) != NULL; count++)
        position += record->size_bytes;
    return count;
}

static void random_step(tv_ring *ring, ring_model *model, uint64_t *random) {
    uint32_t size = 48 + (uint32_t)(next_random(random) % 10) * 8;
    switch (next_random(random) % 6) {
    case 0:
    case 1:
        if (stage_record(ring, size, model->staged + 1)) model->staged++;
        break;
    case 2:
        tv_ring_commit(ring);
        model->committed = model->staged;
        model->has_mark = false;
        break;
    case 3:
        model->mark = ring->staged;
        model->mark_staged = model->staged;
        model->has_mark = true;
        break;
    case 4:
        if (model->has_mark) {
            assert_int_equal(count_staged(ring, model->mark), model->staged - model->mark_staged);
            tv_ring_roll_back(ring, model->mark, (uint32_t)(model->staged - model->mark_staged));
            model->staged = model->mark_staged;
        }
        break;
    default:
        if (model->popped < model->committed) assert_int_equal(pop_front(ring), ++model->popped);
        if (model->popped == model->staged) {
            model->has_mark = false;
            tv_ring_rewind_if_empty(ring);
        }
    }
}

static void random_operations_agree_with_a_list(void **state) {
    (void)state;
    uint64_t seed = 20261123;
    print_message("seed %llu\n", (unsigned long long)seed);
    ring_fixture fixture;
    fixture_init(&fixture);
    uint32_t position = 0u - 64 * CAPACITY, count = 0u - 1000; // they wrap on the way
    fixture.ring.staged = position;
    fixture.ring.tail = position;
    fixture.ring.head = position;
    fixture.ring.staged_count = count;
    fixture.ring.head_count = count;
    ring_model model = {0};
    for (int i = 0; i < 200000; i++) {
        random_step(&fixture.ring, &model, &seed);
        assert_int_equal(tv_ring_count_records(&fixture.ring), model.committed - model.popped);
        assert_true(tv_ring_used_bytes(&fixture.ring) <= CAPACITY);
        assert_true(tv_ring_used_records(&fixture.ring) <= RECORDS);
    }
    assert_true(model.popped > 10000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_ring_is_empty),
        cmocka_unit_test(staged_records_are_invisible_until_committed),
        cmocka_unit_test(roll_back_takes_only_what_came_after_the_mark),
        cmocka_unit_test(stage_when_full_of_bytes_answers_null),
        cmocka_unit_test(stage_when_full_of_records_answers_null),
        cmocka_unit_test(record_that_does_not_fit_before_the_end_starts_a_new_lap),
        cmocka_unit_test(ring_of_twice_the_record_always_takes_it_when_empty),
        cmocka_unit_test(rewind_moves_an_empty_ring_to_its_first_byte),
        cmocka_unit_test(random_operations_agree_with_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
