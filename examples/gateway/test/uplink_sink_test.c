// uplink-sink: what makes a batch, how it is framed, and that nothing is lost when there is no room.
#include "gateway_test.h"

static tv_harness *start(const char *lines) { return start_component("uplink-sink", lines); }

static void feed_documents(tv_harness *h, int from, int to) {
    char text[32];
    for (int i = from; i <= to; i++) {
        snprintf(text, sizeof text, "{\"n\":%d}", i);
        tv_harness_feed_text(h, text);
    }
    tv_harness_run(h);
}

static void expect_batch(tv_harness *h, size_t index, const char *expected) {
    assert_true(tv_harness_output_count(h) > index);
    assert_string_equal(tv_harness_output_at(h, index)->payload, expected);
}

static void lines_are_joined_by_line_breaks(void **state) {
    (void)state;
    tv_harness *h = start("batch.records=2");
    feed_documents(h, 1, 5);
    assert_int_equal(tv_harness_output_count(h), 2);
    expect_batch(h, 0, "{\"n\":1}\n{\"n\":2}");
    expect_batch(h, 1, "{\"n\":3}\n{\"n\":4}");
    tv_harness_end(h);
    expect_batch(h, 2, "{\"n\":5}");
    assert_int_equal(tv_harness_counter(h, "batches"), 3);
    assert_int_equal(tv_harness_counter(h, "documents"), 5);
    tv_harness_close(h);
}

static void arrays_are_framed_and_say_their_type(void **state) {
    (void)state;
    tv_harness *h = start("format=array\nbatch.records=3");
    feed_documents(h, 1, 4);
    tv_harness_end(h);
    expect_batch(h, 0, "[{\"n\":1},{\"n\":2},{\"n\":3}]");
    expect_batch(h, 1, "[{\"n\":4}]");
    const tv_harness_output *output = tv_harness_output_at(h, 0);
    assert_int_equal(output->attributes[0], TV_ATTRIBUTE_CONTENT_TYPE);
    assert_memory_equal(output->attributes + 4, "application/json", 16);
    tv_harness_close(h);
}

static void bytes_end_a_batch_before_they_are_exceeded(void **state) {
    (void)state;
    tv_harness *h = start("format=array\nbatch.bytes=25B"); // two documents of 7 bytes make 17, three 25, four 33
    feed_documents(h, 1, 4);
    tv_harness_end(h);
    expect_batch(h, 0, "[{\"n\":1},{\"n\":2},{\"n\":3}]");
    expect_batch(h, 1, "[{\"n\":4}]");
    tv_harness_close(h);
}

static void a_document_larger_than_the_batch_goes_alone(void **state) {
    (void)state;
    tv_harness *h = start("batch.bytes=16B");
    feed_documents(h, 1, 1);
    tv_harness_feed_text(h, "{\"text\":\"longer than sixteen bytes\"}");
    feed_documents(h, 2, 2);
    tv_harness_end(h);
    expect_batch(h, 0, "{\"n\":1}");
    expect_batch(h, 1, "{\"text\":\"longer than sixteen bytes\"}");
    expect_batch(h, 2, "{\"n\":2}");
    tv_harness_close(h);
}

static void age_of_the_first_document_ends_a_batch(void **state) {
    (void)state;
    tv_harness *h = start("batch.age=5s");
    assert_int_equal(tv_harness_timer(h), -1);
    feed_documents(h, 1, 1);
    assert_int_equal(tv_harness_timer(h), 5 * SECOND_NS);
    feed_documents(h, 2, 2);
    tv_harness_tick(h, 5 * SECOND_NS);
    expect_batch(h, 0, "{\"n\":1}\n{\"n\":2}");
    assert_int_equal(tv_harness_counter(h, "batches_by_age"), 1);
    tv_harness_tick(h, 10 * SECOND_NS);
    assert_int_equal(tv_harness_output_count(h), 1); // nothing gathered, nothing sent
    tv_harness_close(h);
}

static void urgent_inputs_do_not_wait(void **state) {
    (void)state;
    tv_harness *h = start("urgent_inputs.length=1\nurgent_inputs.0=0");
    feed_documents(h, 1, 2);
    assert_int_equal(tv_harness_output_count(h), 2);
    tv_harness_close(h);
}

static void nothing_is_lost_without_room(void **state) {
    (void)state;
    enum { DOCUMENTS = 20000 };
    tv_harness *h = start("batch.records=7");
    tv_harness_room(h, 1);
    feed_documents(h, 1, DOCUMENTS);
    tv_harness_end(h);
    int expected = 1;
    for (size_t i = 0; i < tv_harness_output_count(h); i++) {
        const char *at = tv_harness_output_at(h, i)->payload;
        for (; at != NULL; at = strchr(at, '\n')) {
            int number = 0;
            at += *at == '\n';
            assert_int_equal(sscanf(at, "{\"n\":%d}", &number), 1);
            assert_int_equal(number, expected++);
        }
    }
    assert_int_equal(expected, DOCUMENTS + 1);
    tv_harness_close(h);
}

static void line_breaks_inside_a_document_become_spaces(void **state) {
    (void)state;
    tv_harness *h = start("batch.records=1");
    tv_harness_feed_text(h, " {\"a\":\n\t[1,\r\n2]}\n");
    tv_harness_run(h);
    expect_batch(h, 0, "{\"a\": \t[1,  2]}");
    tv_harness_close(h);
}

static void what_is_no_json_is_rejected(void **state) {
    (void)state;
    tv_harness *h = start("format=array\nbatch.records=2");
    tv_harness_feed_text(h, "{\"n\":1}");
    tv_harness_feed_text(h, "{\"n\":1},{");
    tv_harness_feed_text(h, "");
    tv_harness_feed_text(h, "{\"n\":2}");
    tv_harness_run(h);
    expect_batch(h, 0, "[{\"n\":1},{\"n\":2}]");
    assert_int_equal(tv_harness_reject_count(h), 2);
    tv_harness_close(h);
}

static void readings_are_written_as_json(void **state) {
    (void)state;
    tv_harness *h = start("batch.records=1");
    feed_reading(h, T0_NS + 250000000, "d", 0.1 + 0.2);
    tv_harness_run(h);
    expect_batch(h, 0,
                 "{\"type\":\"reading\",\"time\":\"2026-03-01T00:00:00.250Z\",\"device\":\"d\",\"metric\":\"t\","
                 "\"value\":0.3}");
    tv_harness_close(h);
}

static void a_reading_without_value_is_null(void **state) {
    (void)state;
    reading_buffer r;
    tv_harness *h = start("batch.records=1");
    uint64_t key = make_reading(&r, "d", "t", 0);
    r.head.flags = READING_EMPTY;
    r.head.quality = QUALITY_BAD;
    tv_harness_feed(h, T0_NS, key, &r, reading_bytes(&r.head));
    feed_reading(h, T0_NS, "d", __builtin_nan(""));
    tv_harness_run(h);
    expect_batch(h, 0,
                 "{\"type\":\"reading\",\"time\":\"2026-03-01T00:00:00Z\",\"device\":\"d\",\"metric\":\"t\","
                 "\"value\":null,\"quality\":\"bad\"}");
    expect_batch(h, 1,
                 "{\"type\":\"reading\",\"time\":\"2026-03-01T00:00:00Z\",\"device\":\"d\",\"metric\":\"t\","
                 "\"value\":null}");
    tv_harness_close(h);
}

static void bad_configuration_is_named(void **state) {
    (void)state;
    expect_init_failure("uplink-sink", "format=xml", "format");
    expect_init_failure("uplink-sink", "batch.records=0", "batch.records");
    expect_init_failure("uplink-sink", "batch.bytes=1MiB", "batch.bytes");
    expect_init_failure("uplink-sink", "urgent_inputs.length=1\nurgent_inputs.0=99", "urgent_inputs.0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_joined_by_line_breaks),
        cmocka_unit_test(arrays_are_framed_and_say_their_type),
        cmocka_unit_test(bytes_end_a_batch_before_they_are_exceeded),
        cmocka_unit_test(a_document_larger_than_the_batch_goes_alone),
        cmocka_unit_test(age_of_the_first_document_ends_a_batch),
        cmocka_unit_test(urgent_inputs_do_not_wait),
        cmocka_unit_test(nothing_is_lost_without_room),
        cmocka_unit_test(line_breaks_inside_a_document_become_spaces),
        cmocka_unit_test(what_is_no_json_is_rejected),
        cmocka_unit_test(readings_are_written_as_json),
        cmocka_unit_test(a_reading_without_value_is_null),
        cmocka_unit_test(bad_configuration_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
