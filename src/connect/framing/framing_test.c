// Intake and join against the real channel.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "connect/framing/framing.h"
#include "connect/testing/rig.h"

static const int64_t second_ns = 1000000000;

static tv_intake new_intake(tv_rig *rig) {
    tv_intake_options options = {TV_FRAMING_LINES, rig->channel, &rig->clock.clock, "test/channel", "test input"};
    tv_intake intake;
    assert_int_equal(tv_intake_init(&intake, &options, NULL), TV_OK);
    return intake;
}

static void feed(tv_intake *intake, const char *text) { tv_intake_feed(intake, (const uint8_t *)text, strlen(text)); }

static void intake_waits_while_paused_and_loses_nothing(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 0, 2, 0);
    tv_intake intake = new_intake(&rig);
    feed(&intake, "1\n2\n3\n4\n5");
    assert_int_equal(tv_intake_run(&intake), TV_AGAIN);
    assert_int_equal(tv_intake_run(&intake), TV_AGAIN);
    tv_rig_expect(&rig, "1");
    tv_rig_expect(&rig, "2");
    assert_int_equal(tv_intake_run(&intake), TV_EMPTY); // 5 has no newline yet
    assert_int_equal(tv_intake_finish(&intake), TV_AGAIN);
    tv_rig_expect(&rig, "3");
    tv_rig_expect(&rig, "4");
    assert_int_equal(tv_intake_finish(&intake), TV_EMPTY);
    tv_rig_expect(&rig, "5");
    assert_int_equal(tv_intake_finish(&intake), TV_EMPTY);
    assert_int_equal(tv_rig_take_all(&rig), 0);
    assert_int_equal(intake.messages, 5);
    tv_intake_deinit(&intake);
    tv_rig_deinit(&rig);
}

static void intake_counts_too_long_lines_as_dropped_by_the_channel(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 0, 0, 48 + 16);
    tv_intake intake = new_intake(&rig);
    feed(&intake, "0123456789abcdef\n0123456789abcdefg\nok\n");
    assert_int_equal(tv_intake_run(&intake), TV_EMPTY);
    tv_rig_expect(&rig, "0123456789abcdef");
    tv_rig_expect(&rig, "ok");
    assert_int_equal(intake.too_large, 1);
    assert_int_equal(tv_rig_dropped(&rig, TV_DROP_TOO_LARGE), 1);
    tv_intake_deinit(&intake);
    tv_rig_deinit(&rig);
}

static void intake_counts_a_frame_that_was_cut_off_as_dropped_by_the_channel(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init(&rig, TV_INPUT);
    tv_intake_options options = {TV_FRAMING_LENGTH_PREFIXED, rig.channel, &rig.clock.clock, "test", "frames"};
    tv_intake intake;
    assert_int_equal(tv_intake_init(&intake, &options, NULL), TV_OK);
    tv_intake_feed(&intake, (const uint8_t *)"\2\0\0\0ab\3\0\0\0cd", 12);
    assert_int_equal(tv_intake_run(&intake), TV_EMPTY);
    assert_int_equal(tv_rig_dropped(&rig, TV_DROP_INCOMPLETE), 0); // the rest could still come
    assert_int_equal(tv_intake_finish(&intake), TV_EMPTY);
    tv_rig_expect(&rig, "ab");
    assert_int_equal(tv_rig_take_all(&rig), 0);
    assert_int_equal(tv_rig_dropped(&rig, TV_DROP_INCOMPLETE), 1);
    assert_int_equal(intake.incomplete, 1);
    assert_int_equal(tv_channel_committed(rig.channel), 2); // numbers of what came, dropped ones too
    tv_intake_deinit(&intake);
    tv_rig_deinit(&rig);
}

static void intake_goes_on_when_the_policy_drops(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_DROP_NEWEST, 0, 2, 0);
    tv_intake intake = new_intake(&rig);
    feed(&intake, "1\n2\n3\n4\n");
    assert_int_equal(tv_intake_run(&intake), TV_EMPTY);
    tv_rig_expect(&rig, "1");
    tv_rig_expect(&rig, "2");
    assert_int_equal(tv_rig_take_all(&rig), 0);
    assert_int_equal(tv_rig_dropped(&rig, TV_DROP_NEWEST), 2);
    tv_intake_deinit(&intake);
    tv_rig_deinit(&rig);
}

static void complaint_is_due_at_once_then_after_ten_seconds_with_the_count(void **state) {
    (void)state;
    const int64_t second = 1000000000;
    tv_complaint complaint = {0};
    uint64_t occurrences;
    assert_true(tv_complaint_due(&complaint, 5 * second, &occurrences));
    assert_int_equal(occurrences, 1);
    assert_false(tv_complaint_due(&complaint, 6 * second, &occurrences));
    assert_false(tv_complaint_due(&complaint, 15 * second - 1, &occurrences));
    assert_true(tv_complaint_due(&complaint, 15 * second, &occurrences));
    assert_int_equal(occurrences, 3);
}

// How often `text` stands in what was logged.
static int logged(const char *text) {
    char *log = tv_rig_log_read();
    int count = 0;
    for (const char *at = log; (at = strstr(at, text)) != NULL; at += strlen(text))
        count++;
    free(log);
    return count;
}

static void outage_is_said_at_once_each_minute_and_when_it_is_over(void **state) {
    (void)state;
    tv_virtual_clock clock;
    tv_virtual_clock_init(&clock, 1);
    tv_outage outage = {.clock = &clock.clock, .place = "flow/out", .target = "file"};
    tv_outage_end(&outage); // there is none
    tv_rig_log_begin();
    assert_int_equal(tv_outage_note(&outage, "write", ENOSPC), 100);
    assert_int_equal(logged("file: cannot write: No space left on device; free some space. Records are kept"), 1);
    assert_int_equal(tv_outage_note(&outage, "write", ENOSPC), 200);
    for (int i = 0; i < 10; i++) { // a minute
        tv_virtual_clock_advance(&clock, 6 * second_ns);
        tv_outage_note(&outage, "write", ENOSPC);
    }
    assert_int_equal(tv_outage_note(&outage, "write", ENOSPC), 10000);
    assert_int_equal(
        logged("still cannot write: No space left on device; free some space. Records have waited for 1 m"), 1);
    tv_virtual_clock_advance(&clock, 59 * second_ns);
    tv_outage_note(&outage, "open", EROFS);
    assert_int_equal(logged("still"), 1);
    tv_virtual_clock_advance(&clock, second_ns);
    tv_outage_note(&outage, "open", EROFS);
    assert_int_equal(logged("still cannot open: Read-only file system; mount the file system for writing"), 1);
    tv_outage_end(&outage);
    assert_int_equal(logged("file: writing again after 2 m (failed tries: 15)"), 1);
    tv_outage_end(&outage);
    tv_rig_log_end();
    assert_int_equal(logged("\n"), 4);
    assert_int_equal(outage.errors, 15);
    assert_int_equal(outage.total_ns, 120 * second_ns);
}

static void short_outages_are_said_once_in_ten_seconds(void **state) {
    (void)state;
    tv_virtual_clock clock;
    tv_virtual_clock_init(&clock, 1);
    tv_outage outage = {.clock = &clock.clock, .place = "flow/out", .target = "file"};
    tv_rig_log_begin();
    for (int i = 0; i < 10; i++) {
        assert_int_equal(tv_outage_note(&outage, "write", ENOSPC), 100);
        tv_virtual_clock_advance(&clock, second_ns);
        tv_outage_end(&outage);
    }
    assert_int_equal(logged("cannot write"), 1);
    assert_int_equal(logged("writing again"), 1);
    tv_outage_note(&outage, "write", ENOSPC);
    assert_int_equal(logged("cannot write"), 2);
    tv_outage_end(&outage);
    tv_virtual_clock_advance(&clock, second_ns);
    tv_outage_note(&outage, "write", ENOSPC); // not said, but it lasts
    tv_virtual_clock_advance(&clock, 9 * second_ns);
    tv_outage_note(&outage, "write", ENOSPC);
    tv_rig_log_end();
    assert_int_equal(logged("still cannot write: No space left on device; free some space. Records have waited for 9"),
                     1);
}

static void outage_is_a_trouble_while_it_lasts(void **state) {
    (void)state;
    tv_virtual_clock clock;
    tv_virtual_clock_init(&clock, 1);
    tv_outage outage = {.clock = &clock.clock, .place = "flow/out", .target = "file"};
    tv_trouble trouble;
    assert_false(tv_outage_trouble(&outage, &trouble));
    tv_rig_log_begin();
    tv_outage_note(&outage, "write", EDQUOT);
    tv_virtual_clock_advance(&clock, 3 * second_ns);
    assert_true(tv_outage_trouble(&outage, &trouble));
    assert_string_equal(trouble.text, "cannot write file: Disk quota exceeded; free some space");
    assert_int_equal(trouble.for_ns, 3 * second_ns);
    tv_outage_end(&outage);
    tv_rig_log_end();
    assert_false(tv_outage_trouble(&outage, &trouble));
}

static tv_join new_join(tv_framing framing, uint64_t bytes, uint32_t payload_max) {
    tv_join join;
    assert_int_equal(tv_join_init(&join, framing, bytes, payload_max, NULL), TV_OK);
    return join;
}

static void join_puts_whole_messages_into_a_batch(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init(&rig, TV_OUTPUT);
    tv_join join = new_join(TV_FRAMING_LINES, 10, 6);
    assert_int_equal(tv_join_fill(&join, rig.channel, UINT64_MAX), TV_EMPTY);
    tv_rig_put(&rig, "1234");
    tv_rig_put(&rig, "5678");
    tv_rig_put(&rig, "9");
    assert_int_equal(tv_join_fill(&join, rig.channel, UINT64_MAX), TV_OK);
    assert_int_equal(join.length, 10);
    assert_memory_equal(join.bytes, "1234\n5678\n", 10);
    assert_int_equal(join.records_taken, 2);
    assert_int_equal(tv_rig_queued(&rig), 3); // popping is the caller's
    tv_channel_pop(rig.channel, join.records_taken, join.record_bytes_taken);
    tv_rig_end_output(&rig);
    assert_int_equal(tv_join_fill(&join, rig.channel, UINT64_MAX), TV_OK);
    assert_memory_equal(join.bytes, "9\n", 2);
    tv_channel_pop(rig.channel, join.records_taken, join.record_bytes_taken);
    assert_int_equal(tv_join_fill(&join, rig.channel, UINT64_MAX), TV_EOF);
    tv_join_deinit(&join);
    tv_rig_deinit(&rig);
}

static void join_takes_at_least_one_message_over_the_wish(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init(&rig, TV_OUTPUT);
    tv_join join = new_join(TV_FRAMING_LINES, 100, 50);
    tv_rig_put(&rig, "twelve bytes");
    tv_rig_put(&rig, "x");
    assert_int_equal(tv_join_fill(&join, rig.channel, 5), TV_OK);
    assert_int_equal(join.length, 13);
    assert_int_equal(join.messages, 1);
    tv_join_deinit(&join);
    tv_rig_deinit(&rig);
}

static void join_holds_the_largest_payload_however_small_the_buffer(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init(&rig, TV_OUTPUT);
    tv_join join = new_join(TV_FRAMING_LENGTH_PREFIXED, 1, 6);
    tv_rig_put_bytes(&rig, "ab\ncd\0", 6, TV_KIND_DATA);
    assert_int_equal(tv_join_fill(&join, rig.channel, UINT64_MAX), TV_OK);
    assert_int_equal(join.length, 10);
    assert_memory_equal(join.bytes, "\6\0\0\0ab\ncd\0", 10);
    tv_join_deinit(&join);
    tv_rig_deinit(&rig);
}

static void join_takes_watermarks_away_without_writing_them(void **state) {
    (void)state;
    tv_rig rig;
    tv_rig_init(&rig, TV_OUTPUT);
    tv_join join = new_join(TV_FRAMING_LINES, 100, 50);
    tv_rig_put_bytes(&rig, "", 0, TV_KIND_WATERMARK);
    assert_int_equal(tv_join_fill(&join, rig.channel, UINT64_MAX), TV_EMPTY);
    assert_int_equal(tv_rig_queued(&rig), 0);
    tv_rig_put(&rig, "x");
    tv_rig_put_bytes(&rig, "", 0, TV_KIND_WATERMARK);
    assert_int_equal(tv_join_fill(&join, rig.channel, UINT64_MAX), TV_OK);
    assert_int_equal(join.messages, 1);
    assert_int_equal(join.records_taken, 2);
    assert_memory_equal(join.bytes, "x\n", 2);
    tv_join_deinit(&join);
    tv_rig_deinit(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intake_waits_while_paused_and_loses_nothing),
        cmocka_unit_test(intake_counts_too_long_lines_as_dropped_by_the_channel),
        cmocka_unit_test(intake_counts_a_frame_that_was_cut_off_as_dropped_by_the_channel),
        cmocka_unit_test(intake_goes_on_when_the_policy_drops),
        cmocka_unit_test(complaint_is_due_at_once_then_after_ten_seconds_with_the_count),
        cmocka_unit_test(outage_is_said_at_once_each_minute_and_when_it_is_over),
        cmocka_unit_test(short_outages_are_said_once_in_ten_seconds),
        cmocka_unit_test(outage_is_a_trouble_while_it_lasts),
        cmocka_unit_test(join_puts_whole_messages_into_a_batch),
        cmocka_unit_test(join_takes_at_least_one_message_over_the_wish),
        cmocka_unit_test(join_holds_the_largest_payload_however_small_the_buffer),
        cmocka_unit_test(join_takes_watermarks_away_without_writing_them),
    };
    return cmocka_run_group_tests_name("framing", tests, NULL, NULL);
}
