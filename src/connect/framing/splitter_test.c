#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "connect/framing/framing.h"

static tv_splitter new_splitter(tv_framing framing, uint32_t max) {
    tv_splitter splitter;
    assert_int_equal(tv_splitter_init(&splitter, framing, max, NULL), TV_OK);
    return splitter;
}

static void feed(tv_splitter *splitter, const char *text) {
    tv_splitter_feed(splitter, (const uint8_t *)text, strlen(text));
}

static void expect_message(const tv_message *message, const char *text, uint64_t offset) {
    assert_int_equal(message->length, strlen(text));
    assert_memory_equal(message->bytes, text, strlen(text));
    assert_int_equal(message->offset, offset);
}

static void expect_next(tv_splitter *splitter, const char *text, uint64_t offset) {
    tv_message message;
    assert_int_equal(tv_splitter_next(splitter, &message), TV_OK);
    expect_message(&message, text, offset);
}

static void expect_empty(tv_splitter *splitter) {
    tv_message message;
    assert_int_equal(tv_splitter_next(splitter, &message), TV_EMPTY);
}

static void lines_of_one_chunk_come_out_in_order_with_offsets(void **state) {
    (void)state;
    tv_splitter splitter = new_splitter(TV_FRAMING_LINES, 100);
    feed(&splitter, "one\n\ntwo\r\n");
    expect_next(&splitter, "one", 0);
    expect_next(&splitter, "", 4);
    expect_next(&splitter, "two", 5);
    expect_empty(&splitter);
    tv_splitter_deinit(&splitter);
}

static void nothing_fed_finishes_empty(void **state) {
    (void)state;
    tv_splitter splitter = new_splitter(TV_FRAMING_LINES, 100);
    tv_message message;
    expect_empty(&splitter);
    assert_int_equal(tv_splitter_finish(&splitter, &message), TV_EMPTY);
    tv_splitter_deinit(&splitter);
}

static void last_line_without_newline_comes_at_finish(void **state) {
    (void)state;
    tv_splitter splitter = new_splitter(TV_FRAMING_LINES, 100);
    tv_message message;
    feed(&splitter, "a\nlast");
    expect_next(&splitter, "a", 0);
    expect_empty(&splitter);
    assert_int_equal(tv_splitter_finish(&splitter, &message), TV_OK);
    expect_message(&message, "last", 2);
    assert_int_equal(tv_splitter_finish(&splitter, &message), TV_EMPTY);
    tv_splitter_deinit(&splitter);
}

static void line_of_the_maximum_fits_and_one_more_does_not(void **state) {
    (void)state;
    tv_splitter splitter = new_splitter(TV_FRAMING_LINES, 4);
    tv_message message;
    feed(&splitter, "1234\n12345\n1234\r\n12");
    expect_next(&splitter, "1234", 0);
    assert_int_equal(tv_splitter_next(&splitter, &message), TV_TOO_LARGE);
    assert_null(message.bytes);
    assert_int_equal(message.length, 5);
    assert_int_equal(message.offset, 5);
    expect_next(&splitter, "1234", 11);
    expect_empty(&splitter);
    feed(&splitter, "34\r\n");
    expect_next(&splitter, "1234", 17);
    tv_splitter_deinit(&splitter);
}

static void expect_too_large(tv_splitter *splitter, uint64_t length, uint64_t offset) {
    tv_message message;
    assert_int_equal(tv_splitter_next(splitter, &message), TV_TOO_LARGE);
    assert_null(message.bytes);
    assert_int_equal(message.length, length);
    assert_int_equal(message.offset, offset);
}

static void too_long_line_is_said_once_it_has_passed_the_limit(void **state) {
    (void)state;
    tv_splitter splitter = new_splitter(TV_FRAMING_LINES, 4);
    tv_message message;
    feed(&splitter, "xyz");
    expect_empty(&splitter);
    feed(&splitter, "x\r"); // a newline may follow
    expect_empty(&splitter);
    feed(&splitter, "z");
    expect_too_large(&splitter, 6, 0);
    for (int i = 0; i < 5; i++) {
        feed(&splitter, "xyz");
        expect_empty(&splitter);
    }
    feed(&splitter, "\nok\nfive!");
    expect_next(&splitter, "ok", 22);
    expect_too_large(&splitter, 5, 25);
    expect_empty(&splitter);
    assert_int_equal(tv_splitter_finish(&splitter, &message), TV_EMPTY);
    tv_splitter_deinit(&splitter);
}

static void nul_bytes_where_a_line_should_begin_are_skipped_and_counted(void **state) {
    (void)state;
    tv_splitter splitter = new_splitter(TV_FRAMING_LINES, 4);
    tv_message message;
    static const uint8_t block[4096];
    feed(&splitter, "a\n");
    expect_next(&splitter, "a", 0);
    for (int i = 0; i < 4; i++) {
        tv_splitter_feed(&splitter, block, sizeof block);
        expect_empty(&splitter);
    }
    tv_splitter_feed(&splitter, (const uint8_t *)"\0\0b\0c\n\0\0", 8);
    assert_int_equal(tv_splitter_next(&splitter, &message), TV_OK);
    assert_int_equal(message.length, 3); // within a line they are bytes like others
    assert_memory_equal(message.bytes, "b\0c", 3);
    assert_int_equal(message.offset, 2 + 4 * sizeof block + 2);
    expect_empty(&splitter);
    assert_int_equal(tv_splitter_finish(&splitter, &message), TV_EMPTY);
    assert_int_equal(splitter.nul_bytes, 4 * sizeof block + 4);
    tv_splitter_deinit(&splitter);
}

static void skipped_first_line_is_not_mentioned(void **state) {
    (void)state;
    tv_splitter splitter = new_splitter(TV_FRAMING_LINES, 100);
    tv_splitter_reset(&splitter, 50);
    tv_splitter_skip_line(&splitter);
    feed(&splitter, "rest of a line");
    expect_empty(&splitter);
    feed(&splitter, "\nnew\n");
    expect_next(&splitter, "new", 65);
    tv_splitter_deinit(&splitter);
}

static void reset_forgets_the_line_under_way(void **state) {
    (void)state;
    tv_splitter splitter = new_splitter(TV_FRAMING_LINES, 100);
    feed(&splitter, "half");
    expect_empty(&splitter);
    tv_splitter_reset(&splitter, 0);
    feed(&splitter, "whole\n");
    expect_next(&splitter, "whole", 0);
    tv_splitter_deinit(&splitter);
}

static void frames_come_out_with_zero_bytes_and_newlines(void **state) {
    (void)state;
    tv_splitter splitter = new_splitter(TV_FRAMING_LENGTH_PREFIXED, 100);
    tv_message message;
    const uint8_t stream[] = {3, 0, 0, 0, 'a', '\n', 0, 0, 0, 0, 0};
    tv_splitter_feed(&splitter, stream, sizeof stream);
    assert_int_equal(tv_splitter_next(&splitter, &message), TV_OK);
    assert_int_equal(message.length, 3);
    assert_memory_equal(message.bytes, "a\n", 3);
    assert_int_equal(tv_splitter_next(&splitter, &message), TV_OK);
    assert_int_equal(message.length, 0);
    assert_int_equal(message.offset, 7);
    assert_int_equal(tv_splitter_next(&splitter, &message), TV_EMPTY);
    assert_int_equal(tv_splitter_finish(&splitter, &message), TV_EMPTY);
    tv_splitter_deinit(&splitter);
}

static void frame_of_four_gigabytes_is_said_at_once_and_skipped_without_memory(void **state) {
    (void)state;
    tv_splitter splitter = new_splitter(TV_FRAMING_LENGTH_PREFIXED, 10);
    tv_message message;
    const uint8_t prefix[] = {0xff, 0xff, 0xff, 0xff};
    tv_splitter_feed(&splitter, prefix, sizeof prefix);
    expect_too_large(&splitter, UINT32_MAX, 0);
    expect_empty(&splitter);
    uint8_t *block = calloc(1, 1 << 24);
    assert_non_null(block);
    uint64_t left = UINT32_MAX;
    while (left > 1 << 24) {
        tv_splitter_feed(&splitter, block, 1 << 24);
        expect_empty(&splitter);
        left -= 1 << 24;
    }
    tv_splitter_feed(&splitter, block, left);
    expect_empty(&splitter);
    free(block);
    tv_splitter_feed(&splitter, (const uint8_t *)"\1\0\0\0x\13\0\0\0y", 10);
    assert_int_equal(tv_splitter_next(&splitter, &message), TV_OK);
    assert_memory_equal(message.bytes, "x", 1);
    expect_too_large(&splitter, 11, 4ULL + UINT32_MAX + 5);
    expect_empty(&splitter);
    assert_int_equal(tv_splitter_finish(&splitter, &message), TV_EMPTY); // it was said
    tv_splitter_deinit(&splitter);
}

static void stream_that_ends_within_a_frame_is_invalid(void **state) {
    (void)state;
    tv_splitter splitter = new_splitter(TV_FRAMING_LENGTH_PREFIXED, 100);
    tv_message message;
    const uint8_t stream[] = {1, 0, 0, 0, 'x', 9, 0, 0, 0, 'y'};
    tv_splitter_feed(&splitter, stream, sizeof stream);
    assert_int_equal(tv_splitter_next(&splitter, &message), TV_OK);
    expect_empty(&splitter);
    assert_int_equal(tv_splitter_finish(&splitter, &message), TV_INVALID);
    assert_int_equal(message.offset, 5);
    assert_int_equal(message.length, 5);
    assert_int_equal(tv_splitter_finish(&splitter, &message), TV_EMPTY);
    tv_splitter_deinit(&splitter);
}

// The stream cut in two at `cut` gives the messages a, bb, (empty), ccc.
static void check_cut(tv_framing framing, const uint8_t *stream, size_t length, size_t cut) {
    static const char *const expected[] = {"a", "bb", "", "ccc"};
    tv_splitter splitter = new_splitter(framing, 3);
    tv_message message;
    size_t found = 0;
    for (int part = 0; part < 2; part++) {
        tv_splitter_feed(&splitter, part ? stream + cut : stream, part ? length - cut : cut);
        while (tv_splitter_next(&splitter, &message) == TV_OK) {
            assert_true(found < 4);
            assert_int_equal(message.length, strlen(expected[found]));
            assert_memory_equal(message.bytes, expected[found], message.length);
            found++;
        }
    }
    assert_int_equal(found, 4);
    assert_int_equal(tv_splitter_finish(&splitter, &message), TV_EMPTY);
    tv_splitter_deinit(&splitter);
}

static void messages_survive_a_cut_at_every_point(void **state) {
    (void)state;
    const uint8_t lines[] = "a\r\nbb\n\r\nccc\r\n";
    for (size_t cut = 0; cut < sizeof lines; cut++)
        check_cut(TV_FRAMING_LINES, lines, sizeof lines - 1, cut);
    const uint8_t frames[] = "\1\0\0\0a\2\0\0\0bb\0\0\0\0\3\0\0\0ccc";
    for (size_t cut = 0; cut < sizeof frames; cut++)
        check_cut(TV_FRAMING_LENGTH_PREFIXED, frames, sizeof frames - 1, cut);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_one_chunk_come_out_in_order_with_offsets),
        cmocka_unit_test(nothing_fed_finishes_empty),
        cmocka_unit_test(last_line_without_newline_comes_at_finish),
        cmocka_unit_test(line_of_the_maximum_fits_and_one_more_does_not),
        cmocka_unit_test(too_long_line_is_said_once_it_has_passed_the_limit),
        cmocka_unit_test(nul_bytes_where_a_line_should_begin_are_skipped_and_counted),
        cmocka_unit_test(skipped_first_line_is_not_mentioned),
        cmocka_unit_test(reset_forgets_the_line_under_way),
        cmocka_unit_test(frames_come_out_with_zero_bytes_and_newlines),
        cmocka_unit_test(frame_of_four_gigabytes_is_said_at_once_and_skipped_without_memory),
        cmocka_unit_test(stream_that_ends_within_a_frame_is_invalid),
        cmocka_unit_test(messages_survive_a_cut_at_every_point),
    };
    return cmocka_run_group_tests_name("splitter", tests, NULL, NULL);
}
