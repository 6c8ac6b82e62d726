// The SDK's batch loop, output that finds no room, and services, in components compiled natively (test/components).
// TV_TEST_COMPONENTS is the folder of their shared objects.
#include "../native/harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "torvyn/record.h"

static tv_harness *open_component(const char *name) {
    char path[1024], error[512];
    snprintf(path, sizeof path, "%s/sdk_test_%s.so", TV_TEST_COMPONENTS, name);
    tv_harness *harness = tv_harness_open(path, error, sizeof error);
    if (!harness) fail_msg("%s", error);
    return harness;
}

static void assert_output(const tv_harness *harness, size_t index, const char *payload) {
    assert_true(index < tv_harness_output_count(harness));
    assert_string_equal(tv_harness_output_at(harness, index)->payload, payload);
}

static void description_is_what_the_macro_says(void **state) {
    (void)state;
    tv_harness *harness = open_component("splitter");
    assert_string_equal(tv_harness_description(harness),
                        "name=splitter\nversion=1.2.3\nrole=processor\nmax_output=64\nports=out,empty\n");
    tv_harness_close(harness);
}

static void batch_is_processed_in_one_call(void **state) {
    (void)state;
    tv_harness *harness = open_component("splitter");
    assert_int_equal(tv_harness_start(harness), 0);
    tv_harness_feed(harness, 111, 9, "a,b", 3);
    tv_harness_feed(harness, 222, 8, "c,,d", 4);
    assert_int_equal(tv_harness_run(harness), 2);
    assert_int_equal(tv_harness_calls(harness), 1);
    assert_int_equal(tv_harness_output_count(harness), 5);
    assert_output(harness, 0, "a");
    assert_output(harness, 4, "d");
    assert_int_equal(tv_harness_output_at(harness, 3)->port, 1);
    assert_int_equal(tv_harness_output_at(harness, 1)->event_time_ns, 111);
    assert_int_equal(tv_harness_output_at(harness, 4)->key, 8);
    assert_int_equal(tv_harness_counter(harness, "pieces"), 5);
    tv_harness_close(harness);
}

// Whatever the room, the outputs are the same and in the same order.
static void any_room_gives_the_same_output(void **state) {
    (void)state;
    for (uint32_t room = 1; room <= 8; room++) {
        tv_harness *harness = open_component("splitter");
        assert_int_equal(tv_harness_start(harness), 0);
        tv_harness_room(harness, room);
        tv_harness_feed_text(harness, "a,b,c");
        tv_harness_feed_text(harness, "d");
        tv_harness_feed_text(harness, "e,f");
        assert_true(tv_harness_run(harness) >= 0);
        assert_int_equal(tv_harness_output_count(harness), 6);
        for (size_t index = 0; index < 6; index++) {
            char expected[2] = {(char)('a' + index), 0};
            assert_output(harness, index, expected);
        }
        if (room < 3) assert_true(tv_harness_resumes(harness) > 0);
        if (room == 8) assert_int_equal(tv_harness_resumes(harness), 0);
        tv_harness_close(harness);
    }
}

// A record whose output found no room is given back, but for the first of a batch: that one has been tried with all
// the room there is.
static void stateless_component_keeps_output_of_the_first_record_only(void **state) {
    (void)state;
    for (uint32_t room = 1; room <= 8; room++) {
        tv_harness *harness = open_component("cutter");
        assert_int_equal(tv_harness_start(harness), 0);
        tv_harness_room(harness, room);
        tv_harness_feed_text(harness, "a,b,c");
        tv_harness_feed_text(harness, "d");
        tv_harness_feed_text(harness, "e,f");
        assert_true(tv_harness_run(harness) >= 0);
        assert_int_equal(tv_harness_output_count(harness), 6);
        for (size_t index = 0; index < 6; index++) {
            char expected[2] = {(char)('a' + index), 0};
            assert_output(harness, index, expected);
        }
        assert_int_equal(tv_harness_resumes(harness) > 0, room < 3);
        tv_harness_close(harness);
    }
}

// The second record has no room: it is rejected all the same, and once.
static void stateless_component_rejects_what_found_no_room(void **state) {
    (void)state;
    tv_harness *harness = open_component("cutter");
    assert_int_equal(tv_harness_start(harness), 0);
    tv_harness_room(harness, 1);
    tv_harness_feed_text(harness, "a");
    tv_harness_feed_text(harness, "bad");
    tv_harness_feed_text(harness, "b");
    assert_true(tv_harness_run(harness) >= 0);
    assert_int_equal(tv_harness_output_count(harness), 2);
    assert_output(harness, 1, "b");
    assert_int_equal(tv_harness_reject_count(harness), 1);
    assert_int_equal(tv_harness_reject_at(harness, 0)->record, 1);
    tv_harness_close(harness);
}

static void keyed_component_keeps_its_state_in_the_block(void **state) {
    (void)state;
    tv_harness *harness = open_component("keyed");
    tv_harness_config(harness, "from", "40");
    assert_int_equal(tv_harness_start(harness), 0);
    tv_harness_feed_text(harness, "a");
    tv_harness_feed_text(harness, "b");
    assert_int_equal(tv_harness_run(harness), 2);
    assert_output(harness, 0, "41  a");
    assert_output(harness, 1, "42 a b");
    tv_harness_close(harness);
}

static void kept_output_has_the_attributes_of_its_record(void **state) {
    (void)state;
    tv_harness *harness = open_component("splitter");
    tv_attributes attributes = {0};
    assert_int_equal(tv_harness_start(harness), 0);
    assert_true(tv_attributes_add(&attributes, TV_ATTRIBUTE_TOPIC, tv_string_of("plant/1")));
    tv_harness_room(harness, 1);
    tv_harness_feed_text(harness, "z");
    tv_harness_feed_with(harness, 5, 6, attributes.bytes, attributes.length, "a,b", 3);
    assert_true(tv_harness_run(harness) >= 0);
    assert_int_equal(tv_harness_output_count(harness), 3);
    const tv_harness_output *last = tv_harness_output_at(harness, 2);
    assert_int_equal(last->attributes_bytes, attributes.length);
    assert_memory_equal(last->attributes, attributes.bytes, attributes.length);
    assert_int_equal(last->event_time_ns, 5);
    tv_harness_close(harness);
}

static void forwarded_records_keep_their_order_whatever_room_there_is(void **state) {
    (void)state;
    static const char *const payloads[] = {"a", "a", "b", "b", "c", "c"};
    for (uint32_t room = 1; room <= 7; room++) {
        tv_harness *harness = open_component("relay");
        assert_int_equal(tv_harness_start(harness), 0);
        tv_harness_room(harness, room);
        for (size_t index = 0; index < 6; index += 2)
            tv_harness_feed_text(harness, payloads[index]);
        assert_true(tv_harness_run(harness) >= 0);
        assert_int_equal(tv_harness_output_count(harness), 6);
        for (size_t index = 0; index < 6; index++)
            assert_output(harness, index, payloads[index]);
        assert_int_equal(tv_harness_resumes(harness) > 0, room < 6);
        tv_harness_close(harness);
    }
}

static void reject_takes_back_what_was_kept(void **state) {
    (void)state;
    tv_harness *harness = open_component("splitter");
    assert_int_equal(tv_harness_start(harness), 0);
    tv_harness_feed_text(harness, "a");
    tv_harness_feed_text(harness, "bad");
    tv_harness_feed_text(harness, "b");
    tv_harness_room(harness, 1);
    assert_true(tv_harness_run(harness) >= 0);
    assert_int_equal(tv_harness_output_count(harness), 2);
    assert_output(harness, 1, "b");
    assert_int_equal(tv_harness_reject_count(harness), 1);
    assert_int_equal(tv_harness_reject_at(harness, 0)->record, 1);
    assert_string_equal(tv_harness_reject_at(harness, 0)->reason, "bad record 7");
    tv_harness_close(harness);
}

static void error_result_rejects_and_goes_on(void **state) {
    (void)state;
    tv_harness *harness = open_component("splitter");
    assert_int_equal(tv_harness_start(harness), 0);
    tv_harness_feed_text(harness, "invalid");
    tv_harness_feed_text(harness, "b");
    assert_int_equal(tv_harness_run(harness), 2);
    assert_int_equal(tv_harness_reject_count(harness), 1);
    assert_string_equal(tv_harness_reject_at(harness, 0)->reason, "no such output port (-2)");
    assert_output(harness, 0, "b");
    tv_harness_close(harness);
}

static void failed_ends_the_call(void **state) {
    (void)state;
    tv_harness *harness = open_component("splitter");
    assert_int_equal(tv_harness_start(harness), 0);
    tv_harness_feed_text(harness, "trouble");
    assert_int_equal(tv_harness_run(harness), TV_ABI_FAILED);
    tv_harness_close(harness);
}

// 512 bytes of pending buffer hold about five pieces; a record of twenty cannot be kept.
static void output_beyond_the_pending_buffer_fails_with_advice(void **state) {
    (void)state;
    tv_harness *harness = open_component("splitter");
    assert_int_equal(tv_harness_start(harness), 0);
    tv_harness_room(harness, 1);
    tv_harness_feed_text(harness, "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t");
    assert_int_equal(tv_harness_run(harness), TV_ABI_FAILED);
    assert_non_null(strstr(tv_harness_log(harness), "TV_ON_MORE"));
    tv_harness_close(harness);
}

static void full_before_any_output_is_delivered_again(void **state) {
    (void)state;
    tv_harness *harness = open_component("splitter");
    char large[600];
    memset(large, 'x', sizeof large);
    assert_int_equal(tv_harness_start(harness), 0);
    tv_harness_room(harness, 0);
    tv_harness_feed(harness, 0, 0, large, sizeof large);      // too large for the pending buffer
    assert_int_equal(tv_harness_run(harness), TV_ABI_FAILED); // never any room: the harness gives up
    assert_int_equal(tv_harness_output_count(harness), 0);
    tv_harness_room(harness, 1);
    assert_int_equal(tv_harness_run(harness), 1);
    assert_int_equal(tv_harness_output_count(harness), 1);
    tv_harness_close(harness);
}

static void watermark_tick_and_end_emit(void **state) {
    (void)state;
    tv_harness *harness = open_component("counter");
    tv_harness_config(harness, "interval", "250ms");
    assert_int_equal(tv_harness_start(harness), 0);
    assert_int_equal(tv_harness_timer(harness), 250000000);
    tv_harness_feed_text(harness, "x");
    assert_int_equal(tv_harness_watermark(harness, 77), 1);
    assert_output(harness, 0, "watermark 77: 1");
    assert_int_equal(tv_harness_tick(harness, 300), 0);
    assert_output(harness, 1, "tick 300: 1");
    assert_int_equal(tv_harness_timer(harness), 1000000000);
    tv_harness_close(harness);
}

static void much_output_at_the_end_comes_out_in_order(void **state) {
    (void)state;
    for (uint32_t room = 1; room < 2000; room = room * 3 + 1) {
        tv_harness *harness = open_component("counter");
        assert_int_equal(tv_harness_start(harness), 0);
        tv_harness_room(harness, room);
        assert_int_equal(tv_harness_end(harness), 0);
        assert_int_equal(tv_harness_output_count(harness), 1000);
        for (size_t index = 0; index < 1000; index++) {
            assert_int_equal(tv_harness_output_at(harness, index)->event_time_ns, index);
        }
        tv_harness_close(harness);
    }
}

static void source_pulls_until_its_end(void **state) {
    (void)state;
    for (uint32_t room = 1; room < 20; room++) {
        tv_harness *harness = open_component("source");
        assert_int_equal(tv_harness_start(harness), 0);
        tv_harness_room(harness, room);
        int32_t answer = 0;
        for (int pulls = 0; pulls < 50 && answer != TV_ABI_END; pulls++)
            answer = tv_harness_pull(harness, 4);
        assert_int_equal(answer, TV_ABI_END);
        assert_int_equal(tv_harness_output_count(harness), 11);
        assert_output(harness, 9, "9");
        assert_int_equal(tv_harness_output_at(harness, 10)->kind, TV_KIND_WATERMARK);
        tv_harness_close(harness);
    }
}

// ---- services -----------------------------------------------------------------------------------------------

static void defaults_serve_without_configuration(void **state) {
    (void)state;
    tv_harness *harness = open_component("services");
    assert_int_equal(tv_harness_start(harness), 0);
    assert_string_equal(tv_harness_log(harness), "");
    tv_harness_feed_text(harness, "x");
    assert_int_equal(tv_harness_run(harness), 1);
    assert_output(harness, 0, "p:-|-|");
    tv_harness_close(harness);
}

static void every_wrong_value_is_reported_with_its_path(void **state) {
    (void)state;
    const struct {
        const char *path, *value, *message;
    } cases[] = {
        {"ratio", "1.5", "config ratio: 1.5 is outside 0 to 1"},
        {"ratio", "high", "config ratio: expected a number, found 'high'"},
        {"count", "0", "config count: 0 is outside 1 to 10"},
        {"count", "2.5", "config count: expected an integer, found '2.5'"},
        {"enabled", "yes", "config enabled: expected true or false, found 'yes'"},
        {"mode", "block", "config mode: expected one of pass, drop, found 'block'"},
        {"room", "1MiB", "config room: 1MiB is outside 512 to 65536 bytes"},
        {"room", "big", "config room: expected a size"},
        {"prefix", "much too long a prefix", "config prefix: 22 bytes, but at most 15 are possible"},
        {"methods.length", "3", "config methods: 3 entries, but at most 2 are possible"},
        {"broken", "1", "config broken: is not wanted, 2 times"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        tv_harness *harness = open_component("services");
        tv_harness_config(harness, cases[index].path, cases[index].value);
        assert_int_equal(tv_harness_start(harness), TV_ABI_FAILED);
        if (!strstr(tv_harness_log(harness), cases[index].message)) fail_msg("%s", tv_harness_log(harness));
        tv_harness_close(harness);
    }
}

static void list_entries_are_reported_by_index(void **state) {
    (void)state;
    tv_harness *harness = open_component("services");
    tv_harness_config(harness, "methods.length", "2");
    tv_harness_config(harness, "methods.0.kind", "ewma");
    tv_harness_config(harness, "methods.1.kind", "magic");
    assert_int_equal(tv_harness_start(harness), TV_ABI_FAILED);
    assert_non_null(
        strstr(tv_harness_log(harness), "config methods.1.kind: expected one of range, ewma, found 'magic'"));
    tv_harness_close(harness);
}

static void unknown_keys_are_reported_with_the_nearest_known(void **state) {
    (void)state;
    tv_harness *harness = open_component("services");
    tv_harness_config(harness, "", "{\"ratoi\": 1, \"mode\": \"pass\", \"colour\": {\"mode\": 1}}");
    assert_int_equal(tv_harness_start(harness), TV_ABI_FAILED);
    assert_string_equal(tv_harness_log(harness), "error: config ratoi: unknown key; did you mean 'ratio'?\n"
                                                 "error: config colour: unknown key\n");
    tv_harness_close(harness);
}

static void attributes_and_assets_are_read_and_written(void **state) {
    (void)state;
    tv_harness *harness = open_component("services");
    tv_attributes attributes = {0};
    tv_harness_asset(harness, "table.txt", "rows", 4);
    assert_int_equal(tv_harness_start(harness), 0);
    assert_true(tv_attributes_add(&attributes, TV_ATTRIBUTE_TOPIC, tv_string_of("a/b")));
    assert_true(tv_attributes_add_named(&attributes, "unit", tv_string_of("C")));
    tv_harness_feed_with(harness, 0, 0, attributes.bytes, attributes.length, "x", 1);
    assert_int_equal(tv_harness_run(harness), 1);
    assert_output(harness, 0, "p:a/b|C|rows");
    const tv_harness_output *output = tv_harness_output_at(harness, 0);
    assert_true(output->attributes_bytes > attributes.length);
    assert_memory_equal(output->attributes, attributes.bytes, attributes.length);
    tv_harness_close(harness);
}

static void attribute_list_refuses_what_does_not_fit(void **state) {
    (void)state;
    tv_attributes attributes = {0};
    char large[TV_ATTRIBUTES_ROOM_BYTES] = {0};
    assert_false(tv_attributes_add(&attributes, TV_ATTRIBUTE_TOPIC, (tv_string){large, sizeof large - 3}));
    assert_int_equal(attributes.length, 0);
    assert_true(tv_attributes_add(&attributes, TV_ATTRIBUTE_TOPIC, (tv_string){large, sizeof large - 4}));
    assert_int_equal(attributes.length, TV_ATTRIBUTES_ROOM_BYTES);
    assert_false(tv_attributes_add(&attributes, TV_ATTRIBUTE_TOPIC, (tv_string){large, 0}));
}

static void tree_is_read_and_written_in_pools(void **state) {
    (void)state;
    tv_harness *harness = open_component("tree");
    assert_int_equal(tv_harness_start(harness), 0);
    tv_harness_feed_text(harness, "{\"list\":[1,{\"a\":[true]}]}");
    tv_harness_feed_text(harness, "{\"list\":[}");
    char large[6000];
    memset(large, ' ', sizeof large);
    memcpy(large, "[1]", 3);
    tv_harness_feed(harness, 0, 0, large, sizeof large);
    assert_int_equal(tv_harness_run(harness), 3);
    assert_output(harness, 0, "{\"count\":2,\"last\":{\"a\":[true]}}");
    assert_int_equal(tv_harness_output_count(harness), 1);
    assert_int_equal(tv_harness_reject_count(harness), 2);
    tv_harness_close(harness);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(description_is_what_the_macro_says),
        cmocka_unit_test(batch_is_processed_in_one_call),
        cmocka_unit_test(any_room_gives_the_same_output),
        cmocka_unit_test(stateless_component_keeps_output_of_the_first_record_only),
        cmocka_unit_test(stateless_component_rejects_what_found_no_room),
        cmocka_unit_test(keyed_component_keeps_its_state_in_the_block),
        cmocka_unit_test(kept_output_has_the_attributes_of_its_record),
        cmocka_unit_test(forwarded_records_keep_their_order_whatever_room_there_is),
        cmocka_unit_test(reject_takes_back_what_was_kept),
        cmocka_unit_test(error_result_rejects_and_goes_on),
        cmocka_unit_test(failed_ends_the_call),
        cmocka_unit_test(output_beyond_the_pending_buffer_fails_with_advice),
        cmocka_unit_test(full_before_any_output_is_delivered_again),
        cmocka_unit_test(watermark_tick_and_end_emit),
        cmocka_unit_test(much_output_at_the_end_comes_out_in_order),
        cmocka_unit_test(source_pulls_until_its_end),
        cmocka_unit_test(defaults_serve_without_configuration),
        cmocka_unit_test(every_wrong_value_is_reported_with_its_path),
        cmocka_unit_test(list_entries_are_reported_by_index),
        cmocka_unit_test(unknown_keys_are_reported_with_the_nearest_known),
        cmocka_unit_test(attributes_and_assets_are_read_and_written),
        cmocka_unit_test(attribute_list_refuses_what_does_not_fit),
        cmocka_unit_test(tree_is_read_and_written_in_pools),
    };
    return cmocka_run_group_tests_name("component", tests, NULL, NULL);
}
