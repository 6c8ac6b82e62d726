// Channels: reserve, commit, publish; pause and resume; overflow policies; acknowledgements; the ready list; and one
// producer against one consumer on two threads.
#include "flow/channel_internal.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/testing/await.h"

enum { RECORD = 56, CAPACITY = 4096 }; // header and 8 bytes

static tv_channel *channel_make(tv_direction direction, tv_overflow overflow, uint32_t records, uint8_t pause,
                                uint8_t resume) {
    tv_channel *channel = NULL;
    tv_error error = {0};
    tv_channel_options options = {.name = "c",
                                  .direction = direction,
                                  .overflow = overflow,
                                  .capacity_bytes = CAPACITY,
                                  .capacity_records = records,
                                  .record_bytes_max = 1024,
                                  .pause_percent = pause,
                                  .resume_percent = resume};
    assert_int_equal(tv_channel_new(&options, &channel, &error), TV_OK);
    return channel;
}

static void count_call(void *user) { ++*(int *)user; }

static tv_status push_number(tv_channel *channel, uint64_t number) {
    return tv_channel_push(channel, &number, sizeof number);
}

// The worker's side: takes one record, as the flow does.
static uint64_t take_number(tv_channel *channel) {
    const uint8_t *end = NULL;
    const tv_record *front = tv_ring_front(&channel->ring, &end);
    assert_non_null(front);
    uint64_t number, sequence = front->sequence;
    memcpy(&number, tv_record_payload(front), sizeof number);
    tv_ring_pop(&channel->ring, 1, front->size_bytes);
    tv_channel_popped(channel, sequence);
    return number;
}

static void new_refuses_a_queue_below_twice_the_record(void **state) {
    (void)state;
    tv_channel *channel = NULL;
    tv_error error = {0};
    tv_channel_options options = {
        .name = "c", .direction = TV_INPUT, .capacity_bytes = 4096, .capacity_records = 4, .record_bytes_max = 2049};
    assert_int_equal(tv_channel_new(&options, &channel, &error), TV_TOO_LARGE);
    assert_null(channel);
    assert_non_null(strstr(error.message, "2049"));
}

static void message_is_visible_only_after_publish(void **state) {
    (void)state;
    tv_channel *channel = channel_make(TV_INPUT, TV_OVERFLOW_BLOCK, 8, 100, 50);
    int notified = 0;
    channel->notify_flow = count_call;
    channel->flow = &notified;
    const uint8_t *end = NULL;
    assert_int_equal(push_number(channel, 7), TV_OK);
    assert_null(tv_ring_front(&channel->ring, &end));
    assert_int_equal(tv_channel_queued(channel), 0);
    tv_channel_publish(channel);
    tv_channel_publish(channel); // nothing new: no second notification
    assert_int_equal(notified, 1);
    assert_int_equal(tv_channel_queued(channel), 1);
    assert_int_equal(take_number(channel), 7);
    tv_channel_free(channel);
}

static void message_of_the_largest_size_fits_and_one_more_byte_is_counted(void **state) {
    (void)state;
    tv_channel *channel = channel_make(TV_INPUT, TV_OVERFLOW_BLOCK, 8, 100, 50);
    uint8_t payload[1024] = {0};
    uint32_t most = tv_channel_payload_bytes_max(channel);
    assert_int_equal(tv_channel_push(channel, payload, most), TV_OK);
    assert_int_equal(tv_channel_push(channel, payload, most + 1), TV_TOO_LARGE);
    assert_int_equal(channel->dropped[TV_DROP_TOO_LARGE], 1);
    assert_int_equal(channel->pushed, 2);
    tv_channel_publish(channel);
    assert_int_equal(tv_ring_count_records(&channel->ring), 1);
    tv_channel_free(channel);
}

static void full_channel_pauses_and_wakes_at_the_resume_mark(void **state) {
    (void)state;
    tv_channel *channel = channel_make(TV_INPUT, TV_OVERFLOW_BLOCK, 10, 100, 50);
    tv_ready_list list = {NULL};
    int woken = 0;
    tv_channel_attach_io(channel, &list, (tv_channel_wake){.wake = count_call, .user = &woken});
    for (uint64_t i = 1; i <= 10; i++)
        assert_int_equal(push_number(channel, i), TV_OK);
    assert_int_equal(push_number(channel, 11), TV_AGAIN);
    assert_true(tv_channel_paused(channel));
    for (uint64_t i = 1; i <= 4; i++)
        assert_int_equal(take_number(channel), i);
    assert_int_equal(woken, 0); // six left: above the mark
    assert_int_equal(take_number(channel), 5);
    assert_int_equal(woken, 1);
    assert_false(tv_channel_paused(channel));
    assert_ptr_equal(tv_ready_list_take(&list), channel);
    assert_null(tv_channel_next_ready(channel));
    assert_int_equal(push_number(channel, 11), TV_OK);
    tv_channel_free(channel);
}

static void held_channel_pauses_with_room_and_wakes_when_it_is_let_go(void **state) {
    (void)state;
    tv_channel *channel = channel_make(TV_INPUT, TV_OVERFLOW_BLOCK, 10, 100, 50);
    tv_ready_list list = {NULL};
    int woken = 0;
    tv_channel_attach_io(channel, &list, (tv_channel_wake){.wake = count_call, .user = &woken});
    assert_int_equal(push_number(channel, 1), TV_OK);
    tv_channel_hold(channel, true);
    assert_int_equal(push_number(channel, 2), TV_AGAIN);
    assert_true(tv_channel_paused(channel));
    assert_int_equal(take_number(channel), 1); // what is queued goes on
    assert_int_equal(woken, 0);
    tv_channel_hold(channel, true);
    tv_channel_hold(channel, false);
    assert_int_equal(woken, 1);
    assert_false(tv_channel_paused(channel));
    assert_ptr_equal(tv_ready_list_take(&list), channel);
    assert_null(tv_channel_next_ready(channel));
    assert_int_equal(push_number(channel, 2), TV_OK);
    tv_channel_hold(channel, false); // it was not
    assert_int_equal(woken, 1);
    tv_channel_free(channel);
}

static void channel_that_cannot_wait_is_not_held(void **state) {
    (void)state;
    tv_channel *channel = channel_make(TV_INPUT, TV_OVERFLOW_DROP_NEWEST, 2, 100, 50);
    tv_channel_hold(channel, true);
    assert_int_equal(push_number(channel, 1), TV_OK);
    tv_channel_free(channel);
}

static void drop_newest_counts_and_answers_full(void **state) {
    (void)state;
    tv_channel *channel = channel_make(TV_INPUT, TV_OVERFLOW_DROP_NEWEST, 2, 100, 50);
    assert_int_equal(push_number(channel, 1), TV_OK);
    assert_int_equal(push_number(channel, 2), TV_OK);
    assert_int_equal(push_number(channel, 3), TV_FULL);
    assert_int_equal(channel->dropped[TV_DROP_NEWEST], 1);
    assert_int_equal(take_number(channel), 1);
    assert_int_equal(push_number(channel, 4), TV_OK);
    assert_int_equal(take_number(channel), 2);
    tv_channel_publish(channel);
    const uint8_t *end = NULL;
    assert_int_equal(tv_ring_front(&channel->ring, &end)->sequence, 4); // the gap shows the drop
    tv_channel_free(channel);
}

static void drop_oldest_is_done_by_the_consumer_on_request(void **state) {
    (void)state;
    tv_channel *channel = channel_make(TV_INPUT, TV_OVERFLOW_DROP_OLDEST, 8, 100, 50);
    for (uint64_t i = 1; i <= 8; i++)
        assert_int_equal(push_number(channel, i), TV_OK);
    tv_channel_publish(channel);
    assert_int_equal(tv_channel_drop_oldest(channel), 4);
    assert_int_equal(tv_channel_drop_oldest(channel), 0); // asked for once
    assert_int_equal(channel->dropped[TV_DROP_OLDEST], 4);
    assert_int_equal(take_number(channel), 5);
    tv_channel_free(channel);
}

static void error_policy_fails_the_channel(void **state) {
    (void)state;
    tv_channel *channel = channel_make(TV_INPUT, TV_OVERFLOW_ERROR, 1, 100, 50);
    assert_int_equal(push_number(channel, 1), TV_OK);
    assert_int_equal(push_number(channel, 2), TV_FULL);
    assert_true(channel->failed);
    assert_int_equal(channel->dropped[TV_DROP_ERROR], 1);
    tv_channel_free(channel);
}

static void released_is_the_sequence_of_the_newest_message_taken(void **state) {
    (void)state;
    tv_channel *channel = channel_make(TV_INPUT, TV_OVERFLOW_BLOCK, 8, 100, 50);
    tv_ready_list list = {NULL};
    int woken = 0;
    tv_channel_attach_io(channel, &list, (tv_channel_wake){.wake = count_call, .user = &woken});
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(push_number(channel, i), TV_OK);
    tv_channel_publish(channel);
    assert_int_equal(tv_channel_released(channel), 0);
    take_number(channel);
    take_number(channel);
    assert_int_equal(tv_channel_released(channel), 2);
    assert_int_equal(woken, 0); // nobody asked
    tv_channel_want_released(channel, true);
    take_number(channel);
    assert_int_equal(tv_channel_released(channel), 3);
    assert_int_equal(woken, 1);
    tv_channel_free(channel);
}

static void output_ends_after_its_last_record(void **state) {
    (void)state;
    tv_channel *channel = channel_make(TV_OUTPUT, TV_OVERFLOW_BLOCK, 8, 100, 50);
    const tv_record *first;
    uint32_t bytes, records;
    assert_int_equal(tv_channel_peek(channel, &first, &bytes, &records), TV_EMPTY);
    uint8_t *place = tv_ring_stage(&channel->ring, RECORD);
    *(tv_record *)(void *)place = (tv_record){.size_bytes = RECORD, .payload_bytes = 8};
    tv_channel_end_output(channel);
    assert_int_equal(tv_channel_peek(channel, &first, &bytes, &records), TV_OK);
    assert_int_equal(records, 1);
    tv_channel_pop(channel, records, bytes);
    assert_int_equal(tv_channel_peek(channel, &first, &bytes, &records), TV_EOF);
    tv_channel_free(channel);
}

static void ready_list_holds_each_channel_once_and_wakes_once(void **state) {
    (void)state;
    tv_channel *one = channel_make(TV_OUTPUT, TV_OVERFLOW_BLOCK, 8, 100, 50);
    tv_channel *two = channel_make(TV_OUTPUT, TV_OVERFLOW_BLOCK, 8, 100, 50);
    tv_ready_list list = {NULL};
    int woken = 0;
    tv_channel_wake wake = {.wake = count_call, .user = &woken};
    tv_channel_attach_io(one, &list, wake);
    tv_channel_attach_io(two, &list, wake);
    tv_channel_notify_io(one);
    tv_channel_notify_io(two);
    tv_channel_notify_io(one);
    assert_int_equal(woken, 1);
    tv_channel *first = tv_ready_list_take(&list);
    tv_channel *second = tv_channel_next_ready(first);
    assert_true(first != second && second != NULL);
    assert_null(tv_channel_next_ready(second));
    tv_channel_notify_io(one);
    assert_int_equal(woken, 2);
    tv_channel_free(one);
    tv_channel_free(two);
}

// ---- two threads --------------------------------------------------------------------------------------------

enum { MESSAGES = 200000 };

typedef struct duel {
    tv_channel *channel;
    tv_ready_list list;
    pthread_mutex_t mutex;
    pthread_cond_t data, room;
    int data_signals, room_signals;
} duel;

static void signal_data(void *user) {
    duel *d = user;
    pthread_mutex_lock(&d->mutex);
    d->data_signals++;
    pthread_cond_signal(&d->data);
    pthread_mutex_unlock(&d->mutex);
}

static void signal_room(void *user) {
    duel *d = user;
    pthread_mutex_lock(&d->mutex);
    d->room_signals++;
    pthread_cond_signal(&d->room);
    pthread_mutex_unlock(&d->mutex);
}

static void wait_for(duel *d, pthread_cond_t *condition, int *signals) {
    pthread_mutex_lock(&d->mutex);
    while (*signals == 0)
        pthread_cond_wait(condition, &d->mutex);
    *signals = 0;
    pthread_mutex_unlock(&d->mutex);
}

static void *produce(void *user) {
    duel *d = user;
    for (uint64_t i = 1; i <= MESSAGES;) {
        tv_status status = push_number(d->channel, i);
        if (status == TV_OK) {
            if (i++ % 3 == 0) tv_channel_publish(d->channel);
            continue;
        }
        wait_for(d, &d->room, &d->room_signals); // lost wake-ups would hang here
        for (tv_channel *ready = tv_ready_list_take(&d->list); ready;)
            ready = tv_channel_next_ready(ready);
    }
    tv_channel_end(d->channel);
    return NULL;
}

static void one_producer_and_one_consumer_lose_nothing(void **state) {
    (void)state;
    TV_AWAIT("the last number of the other thread");
    duel d = {.channel = channel_make(TV_INPUT, TV_OVERFLOW_BLOCK, 16, 100, 50)};
    pthread_mutex_init(&d.mutex, NULL);
    pthread_cond_init(&d.data, NULL);
    pthread_cond_init(&d.room, NULL);
    tv_channel_attach_io(d.channel, &d.list, (tv_channel_wake){.wake = signal_room, .user = &d});
    d.channel->notify_flow = signal_data;
    d.channel->flow = &d;
    pthread_t producer;
    assert_int_equal(pthread_create(&producer, NULL, produce, &d), 0);
    uint64_t expected = 1;
    const uint8_t *end = NULL;
    for (;;) {
        bool ended = atomic_load(&d.channel->ended);
        if (tv_ring_front(&d.channel->ring, &end)) {
            assert_int_equal(take_number(d.channel), expected++);
            continue;
        }
        if (ended) break;
        wait_for(&d, &d.data, &d.data_signals);
    }
    pthread_join(producer, NULL);
    assert_int_equal(expected, MESSAGES + 1);
    tv_channel_free(d.channel);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_refuses_a_queue_below_twice_the_record),
        cmocka_unit_test(message_is_visible_only_after_publish),
        cmocka_unit_test(message_of_the_largest_size_fits_and_one_more_byte_is_counted),
        cmocka_unit_test(full_channel_pauses_and_wakes_at_the_resume_mark),
        cmocka_unit_test(held_channel_pauses_with_room_and_wakes_when_it_is_let_go),
        cmocka_unit_test(channel_that_cannot_wait_is_not_held),
        cmocka_unit_test(drop_newest_counts_and_answers_full),
        cmocka_unit_test(drop_oldest_is_done_by_the_consumer_on_request),
        cmocka_unit_test(error_policy_fails_the_channel),
        cmocka_unit_test(released_is_the_sequence_of_the_newest_message_taken),
        cmocka_unit_test(output_ends_after_its_last_record),
        cmocka_unit_test(ready_list_holds_each_channel_once_and_wakes_once),
        cmocka_unit_test(one_producer_and_one_consumer_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
