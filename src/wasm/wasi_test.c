// The sliver of WASI preview 1 (contract 7.10).
#include <stdlib.h>
#include <string.h>

#include "wasm/test_support.h"

typedef struct fixture {
    tv_engine *engine;
    tv_module *module;
    tv_instance *instance;
    tv_test_owner owner;
    tv_fault fault;
} fixture;

enum { VECTORS = 2048, TEXT = 2304, OUT = 3072 };
enum { E_BADF = 8, E_INVAL = 28, E_SPIPE = 70, E_NOTCAPABLE = 76 };

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->engine = tv_test_engine(TV_MEMORY_COMPACT);
    f->module = tv_test_load(f->engine, "kit");
    f->instance = tv_test_instance(f->module, &f->owner, 128 * 1024);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    tv_instance_free(f->instance);
    tv_module_unref(f->module);
    tv_engine_free(f->engine);
    free(f);
    return 0;
}

static int64_t call(fixture *f, enum tv_kit_operation operation, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    assert_int_equal(tv_kit_run(f->instance, operation, &f->fault, 4, a, b, c, d), TV_OK);
    return tv_kit_result(f->instance);
}

static uint32_t word_at(fixture *f, uint32_t address) {
    uint32_t word;
    memcpy(&word, tv_kit_memory(f->instance, address), sizeof word);
    return word;
}

// Writes the text to `fd` in two buffers, the first of `split` bytes.
static int64_t write_text(fixture *f, uint32_t fd, const char *text, uint32_t split) {
    uint32_t length = (uint32_t)strlen(text);
    const uint32_t vectors[4] = {TEXT, split, TEXT + split, length - split};
    memcpy(tv_kit_memory(f->instance, TEXT), text, length);
    memcpy(tv_kit_memory(f->instance, VECTORS), vectors, sizeof vectors);
    return call(f, KIT_FD_WRITE, fd, VECTORS, 2, OUT);
}

static void output_becomes_one_log_line_a_line(void **state) {
    fixture *f = *state;
    assert_int_equal(write_text(f, 1, "first line\nsec", 4), 0);
    assert_int_equal(word_at(f, OUT), 14);
    assert_int_equal(f->owner.logs, 1);
    assert_string_equal(f->owner.text, "first line");
    assert_int_equal(f->owner.level, TV_LOG_INFO);
    assert_int_equal(write_text(f, 1, "ond\n", 0), 0);
    assert_int_equal(f->owner.logs, 2);
    assert_string_equal(f->owner.text, "second");
}

static void error_output_is_a_warning_and_flushes_the_other(void **state) {
    fixture *f = *state;
    assert_int_equal(write_text(f, 1, "partial", 0), 0);
    assert_int_equal(f->owner.logs, 0);
    assert_int_equal(write_text(f, 2, "oops\n", 0), 0);
    assert_int_equal(f->owner.logs, 2);
    assert_string_equal(f->owner.text, "oops");
    assert_int_equal(f->owner.level, TV_LOG_WARN);
}

static void last_words_are_logged_when_the_call_fails(void **state) {
    fixture *f = *state;
    assert_int_equal(write_text(f, 2, "panic at x.c:3", 0), 0);
    assert_int_equal(tv_kit_run(f->instance, KIT_PROC_EXIT, &f->fault, 1, 1u), TV_FAULT);
    assert_string_equal(f->owner.text, "panic at x.c:3");
}

// An instance that serves several: nobody sees in his log what another's records said.
static void begun_line_stays_with_the_one_who_was_served(void **state) {
    fixture *f = *state;
    tv_test_owner other = f->owner;
    assert_int_equal(write_text(f, 1, "of the first", 0), 0);
    tv_instance_set_user(f->instance, &f->owner);
    assert_int_equal(f->owner.logs, 0); // the same one goes on
    tv_instance_set_user(f->instance, &other);
    assert_int_equal(f->owner.logs, 1);
    assert_string_equal(f->owner.text, "of the first");
    assert_int_equal(write_text(f, 1, " and the second\n", 0), 0);
    assert_int_equal(f->owner.logs, 1);
    assert_int_equal(other.logs, 1);
    assert_string_equal(other.text, " and the second");
}

static void long_lines_are_split(void **state) {
    fixture *f = *state;
    char text[TV_LOG_TEXT_BYTES_MAX + 200];
    const uint32_t vectors[2] = {4096, sizeof text};
    memset(text, 'x', sizeof text);
    memcpy(tv_kit_memory(f->instance, 4096), text, sizeof text);
    memcpy(tv_kit_memory(f->instance, VECTORS), vectors, sizeof vectors);
    assert_int_equal(call(f, KIT_FD_WRITE, 1, VECTORS, 1, OUT), 0);
    assert_int_equal(f->owner.logs, 1);
    assert_int_equal(f->owner.text_length, TV_LOG_TEXT_BYTES_MAX);
}

static void large_writes_are_cut_short(void **state) {
    fixture *f = *state;
    const uint32_t vectors[4] = {0, 60000, 0, 60000};
    memcpy(tv_kit_memory(f->instance, VECTORS), vectors, sizeof vectors);
    assert_int_equal(call(f, KIT_FD_WRITE, 1, VECTORS, 2, OUT), 0);
    assert_int_equal(word_at(f, OUT), 65536);
    assert_int_equal(call(f, KIT_RANDOM_GET, 0, 65537, 0, 0), E_INVAL);
}

static void other_descriptors_do_not_exist(void **state) {
    fixture *f = *state;
    assert_int_equal(call(f, KIT_FD_WRITE, 3, VECTORS, 0, OUT), E_BADF);
    assert_int_equal(call(f, KIT_FD_WRITE, 0, VECTORS, 0, OUT), E_NOTCAPABLE);
    assert_int_equal(call(f, KIT_FD_WRITE, 1, VECTORS, 1025, OUT), E_INVAL);
    assert_int_equal(call(f, KIT_FD_CLOSE, 2, 0, 0, 0), 0);
    assert_int_equal(call(f, KIT_FD_CLOSE, 3, 0, 0, 0), E_BADF);
    assert_int_equal(call(f, KIT_FD_SEEK, 1, 0, 0, 0), E_SPIPE);
    assert_int_equal(call(f, KIT_FD_SEEK, 9, 0, 0, 0), E_BADF);
    assert_int_equal(call(f, KIT_FD_PRESTAT_GET, 3, OUT, 0, 0), E_BADF);
    assert_int_equal(call(f, KIT_FD_FDSTAT_GET, 3, OUT, 0, 0), E_BADF);
    assert_int_equal(call(f, KIT_FD_FDSTAT_GET, 1, OUT, 0, 0), 0);
    assert_int_equal(word_at(f, OUT) & 0xff, 2);
}

static void arguments_and_environment_are_empty(void **state) {
    fixture *f = *state;
    memset(tv_kit_memory(f->instance, OUT), 0xff, 8);
    assert_int_equal(call(f, KIT_ARGS_SIZES_GET, OUT, OUT + 4, 0, 0), 0);
    assert_int_equal(word_at(f, OUT) | word_at(f, OUT + 4), 0);
    assert_int_equal(call(f, KIT_ARGS_GET, OUT, OUT, 0, 0), 0);
}

static void poll_returns_at_once_with_an_event_for_each(void **state) {
    fixture *f = *state;
    uint8_t *subscriptions = tv_kit_memory(f->instance, TEXT);
    memset(subscriptions, 0, 96);
    subscriptions[0] = 11;                         // a clock
    subscriptions[48] = 22, subscriptions[56] = 1; // reading a descriptor
    assert_int_equal(call(f, KIT_POLL_ONEOFF, TEXT, OUT, 2, VECTORS), 0);
    assert_int_equal(word_at(f, VECTORS), 2);
    assert_int_equal(word_at(f, OUT), 11);
    assert_int_equal(word_at(f, OUT + 8) & 0xffff, 0);
    assert_int_equal(word_at(f, OUT + 32), 22);
    assert_int_equal(word_at(f, OUT + 40) & 0xffff, E_NOTCAPABLE);
    assert_int_equal(call(f, KIT_POLL_ONEOFF, TEXT, OUT, 0, VECTORS), E_INVAL);
    assert_int_equal(call(f, KIT_POLL_ONEOFF, TEXT, OUT, 65, VECTORS), E_INVAL);
}

static void clocks_are_those_of_the_flow(void **state) {
    fixture *f = *state;
    int64_t time;
    assert_int_equal(call(f, KIT_CLOCK_TIME_GET, 0, OUT, 0, 0), 0);
    memcpy(&time, tv_kit_memory(f->instance, OUT), sizeof time);
    assert_int_equal(time, 1700000000000000000);
    assert_int_equal(call(f, KIT_CLOCK_TIME_GET, 1, OUT, 0, 0), 0);
    assert_int_equal(word_at(f, OUT), 42);
    assert_int_equal(call(f, KIT_CLOCK_TIME_GET, 2, OUT, 0, 0), E_INVAL);
    assert_int_equal(call(f, KIT_CLOCK_RES_GET, 0, OUT, 0, 0), 0);
    assert_int_equal(word_at(f, OUT), 1);
}

static void random_fills_the_buffer_and_no_more(void **state) {
    fixture *f = *state;
    uint8_t *out = tv_kit_memory(f->instance, OUT);
    memset(out, 0, 40);
    assert_int_equal(call(f, KIT_RANDOM_GET, OUT, 32, 0, 0), 0);
    int set = 0;
    for (int i = 0; i < 32; i++) {
        set += out[i] != 0;
    }
    assert_true(set > 8); // fails once in 10^30 runs
    assert_int_equal(word_at(f, OUT + 32) | word_at(f, OUT + 36), 0);
}

static void everything_else_is_not_permitted(void **state) {
    fixture *f = *state;
    assert_int_equal(call(f, KIT_PATH_OPEN, 0, 0, 0, 0), E_NOTCAPABLE);
    assert_int_equal(call(f, KIT_SCHED_YIELD, 0, 0, 0, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(output_becomes_one_log_line_a_line),
    TEST(error_output_is_a_warning_and_flushes_the_other),
    TEST(last_words_are_logged_when_the_call_fails),
    TEST(begun_line_stays_with_the_one_who_was_served),
    TEST(long_lines_are_split),
    TEST(large_writes_are_cut_short),
    TEST(other_descriptors_do_not_exist),
    TEST(arguments_and_environment_are_empty),
    TEST(poll_returns_at_once_with_an_event_for_each),
    TEST(clocks_are_those_of_the_flow),
    TEST(random_fills_the_buffer_and_no_more),
    TEST(everything_else_is_not_permitted),
};

TV_WASM_TEST_MAIN(tests)
