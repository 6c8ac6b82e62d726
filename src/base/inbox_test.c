// Inbox: order, emptiness, and what several threads put in while one takes.
#include "base/inbox.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct letter {
    int number;
    tv_inbox_item item; // not the first member
    int from;
} letter;

static letter *letter_of(tv_inbox_item *item) { return TV_INBOX_OWNER(item, letter, item); }

static void empty_inbox_has_nothing(void **state) {
    (void)state;
    tv_inbox inbox = {NULL};
    assert_true(tv_inbox_is_empty(&inbox));
    assert_null(tv_inbox_take(&inbox));
}

static void items_come_out_in_the_order_they_went_in(void **state) {
    (void)state;
    tv_inbox inbox = {NULL};
    letter letters[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    assert_true(tv_inbox_put(&inbox, &letters[0].item));
    assert_false(tv_inbox_put(&inbox, &letters[1].item));
    assert_false(tv_inbox_put(&inbox, &letters[2].item));
    tv_inbox_item *item = tv_inbox_take(&inbox);
    assert_true(tv_inbox_is_empty(&inbox));
    for (int i = 0; i < 3; i++, item = item->next)
        assert_ptr_equal(letter_of(item), &letters[i]);
    assert_null(item);
}

static void taken_item_can_be_put_in_again_while_the_others_wait(void **state) {
    (void)state;
    tv_inbox inbox = {NULL};
    letter letters[2] = {{.number = 0}, {.number = 1}};
    tv_inbox_put(&inbox, &letters[0].item);
    tv_inbox_put(&inbox, &letters[1].item);
    tv_inbox_item *first = tv_inbox_take(&inbox), *second = first->next;
    assert_true(tv_inbox_put(&inbox, first));
    assert_ptr_equal(second, &letters[1].item);
    assert_null(second->next);
    assert_ptr_equal(tv_inbox_take(&inbox), first);
}

enum { SENDERS = 3, LETTERS = 20000 };

static tv_inbox shared;
static letter sent[SENDERS][LETTERS];
static _Atomic uint64_t said_empty; // how often a sender found that the taker has to be told

static void *send_all(void *user) {
    int from = (int)(intptr_t)user;
    for (int i = 0; i < LETTERS; i++) {
        sent[from][i].number = i; // seen by the taker
        sent[from][i].from = from;
        if (tv_inbox_put(&shared, &sent[from][i].item)) atomic_fetch_add(&said_empty, 1);
    }
    return NULL;
}

static void each_sender_is_heard_once_and_in_order(void **state) {
    (void)state;
    pthread_t threads[SENDERS];
    int next[SENDERS] = {0};
    uint64_t takings = 0;
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, (void *)(intptr_t)i), 0);
    for (int left = SENDERS * LETTERS; left > 0;) {
        tv_inbox_item *item = tv_inbox_take(&shared);
        takings += item != NULL;
        for (; item; item = item->next, left--) {
            const letter *got = letter_of(item);
            assert_int_equal(got->number, next[got->from]++);
        }
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_true(tv_inbox_is_empty(&shared));
    assert_int_equal(atomic_load(&said_empty), takings); // once for each time it went from empty to not empty
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_inbox_has_nothing),
        cmocka_unit_test(items_come_out_in_the_order_they_went_in),
        cmocka_unit_test(taken_item_can_be_put_in_again_while_the_others_wait),
        cmocka_unit_test(each_sender_is_heard_once_and_in_order),
    };
    return cmocka_run_group_tests_name("inbox", tests, NULL, NULL);
}
