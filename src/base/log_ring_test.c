// The queue of log lines: order, room, what is lost, and many who put at once.
#include "base/log_ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include <cmocka.h>

static tv_log_ring ring;

static int empty_ring(void **state) {
    (void)state;
    memset(&ring, 0, sizeof ring);
    return 0;
}

static bool put_text(const char *text) { return tv_log_ring_put(&ring, text, strlen(text)); }

static void assert_next(const char *text) {
    char line[TV_LOG_LINE_BYTES_MAX];
    size_t length = tv_log_ring_take(&ring, line);
    assert_int_equal(length, strlen(text));
    assert_memory_equal(line, text, length);
}

static void lines_come_out_as_they_went_in(void **state) {
    (void)state;
    char line[TV_LOG_LINE_BYTES_MAX];
    assert_int_equal(tv_log_ring_take(&ring, line), 0);
    assert_true(tv_log_ring_is_idle(&ring));
    assert_true(tv_log_ring_is_empty(&ring));
    assert_true(put_text("a") && put_text("12345678") && put_text("123456789"));
    assert_false(tv_log_ring_is_idle(&ring));
    assert_false(tv_log_ring_is_empty(&ring));
    assert_next("a");
    assert_next("12345678");
    assert_next("123456789");
    assert_int_equal(tv_log_ring_take(&ring, line), 0);
    assert_true(tv_log_ring_is_idle(&ring));
}

static void a_full_ring_takes_nothing_and_says_how_much_was_lost_behind_what_it_had(void **state) {
    (void)state;
    enum { LINES = TV_LOG_RING_BYTES / 16 }; // a word of length and one of text each
    for (int i = 0; i < LINES; i++)
        assert_true(tv_log_ring_put(&ring, "12345678", 8));
    for (int i = 0; i < 3; i++) {
        assert_false(tv_log_ring_put(&ring, "x", 1));
        tv_log_ring_count_lost(&ring);
    }
    for (int i = 0; i < LINES; i++) {
        assert_int_equal(tv_log_ring_take_lost(&ring), 0);
        assert_next("12345678");
        if (i == 0) assert_true(put_text("behind"));
    }
    assert_int_equal(tv_log_ring_take_lost(&ring), 3);
    assert_int_equal(tv_log_ring_take_lost(&ring), 0);
    assert_next("behind");
    assert_true(tv_log_ring_is_idle(&ring));
}

static void the_longest_line_passes_at_every_place_of_the_ring(void **state) {
    (void)state;
    static char longest[TV_LOG_LINE_BYTES_MAX], line[TV_LOG_LINE_BYTES_MAX];
    for (int i = 0; i < 20000; i++) {
        size_t length = (size_t)(i * 37 % TV_LOG_LINE_BYTES_MAX) + 1;
        memset(longest, 'a' + i % 26, length);
        assert_true(tv_log_ring_put(&ring, longest, length));
        assert_int_equal(tv_log_ring_take(&ring, line), length);
        assert_memory_equal(line, longest, length);
    }
}

// ---- many at once -------------------------------------------------------------------------------------------

enum { WRITERS = 4, LINES_EACH = 20000 };

static _Atomic uint64_t lost_all;
static _Atomic int writers_left;

static void *put_many(void *name) {
    char line[96];
    for (int i = 0; i < LINES_EACH; i++) {
        int length = snprintf(line, sizeof line, "%c %d %.*s", *(char *)name, i, i % 61,
                              "............................."
                              "...............................");
        if (tv_log_ring_put(&ring, line, (size_t)length)) continue;
        tv_log_ring_count_lost(&ring);
        atomic_fetch_add(&lost_all, 1);
    }
    atomic_fetch_sub(&writers_left, 1);
    return NULL;
}

static void many_writers_lose_nothing_that_is_not_counted_and_keep_their_order(void **state) {
    (void)state;
    static char names[WRITERS] = {'a', 'b', 'c', 'd'};
    pthread_t threads[WRITERS];
    char line[TV_LOG_LINE_BYTES_MAX + 1];
    int next[WRITERS] = {0}, number;
    uint64_t taken = 0, said = 0;
    atomic_store(&writers_left, WRITERS);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, &names[i]), 0);
    while (true) {
        bool over = atomic_load(&writers_left) == 0;
        said += tv_log_ring_take_lost(&ring);
        size_t length = tv_log_ring_take(&ring, line);
        if (length == 0 && over && tv_log_ring_is_idle(&ring)) break;
        if (length == 0) continue;
        line[length] = '\0';
        char name;
        assert_int_equal(sscanf(line, "%c %d ", &name, &number), 2);
        assert_true(name >= 'a' && name < 'a' + WRITERS);
        assert_true(number >= next[name - 'a']);
        next[name - 'a'] = number + 1;
        taken++;
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(said, atomic_load(&lost_all));
    assert_int_equal(taken + said, WRITERS * LINES_EACH);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lines_come_out_as_they_went_in, empty_ring),
        cmocka_unit_test_setup(a_full_ring_takes_nothing_and_says_how_much_was_lost_behind_what_it_had, empty_ring),
        cmocka_unit_test_setup(the_longest_line_passes_at_every_place_of_the_ring, empty_ring),
        cmocka_unit_test_setup(many_writers_lose_nothing_that_is_not_counted_and_keep_their_order, empty_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
