// Host functions: what they pass on, what they refuse, and that no pointer of a guest is believed.
#include <stdio.h>
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

enum { MEMORY_BYTES = 128 * 1024, REQUEST = 2048, TEXT = 2304, BUFFER = 2560 };

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->engine = tv_test_engine(TV_MEMORY_COMPACT);
    f->module = tv_test_load(f->engine, "kit");
    f->instance = tv_test_instance(f->module, &f->owner, MEMORY_BYTES);
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

static uint32_t put_text(fixture *f, const char *text) {
    memcpy(tv_kit_memory(f->instance, TEXT), text, strlen(text) + 1);
    return (uint32_t)strlen(text);
}

// ---- emit ---------------------------------------------------------------------------------------------------

typedef struct request {
    int64_t event_time_ns;
    uint64_t key;
    uint32_t payload, attributes, payload_bytes;
    uint16_t attributes_bytes, port;
    uint8_t kind, flags, reserved[6];
} request;
_Static_assert(sizeof(request) == TV_EMIT_REQUEST_BYTES, "request is 40 bytes");

static request good_request(void) {
    return (request){.event_time_ns = 7,
                     .key = 9,
                     .payload = TEXT,
                     .attributes = BUFFER,
                     .payload_bytes = 5,
                     .attributes_bytes = 8,
                     .port = 3,
                     .flags = TV_FLAG_INHERIT_ATTRIBUTES};
}

static tv_status emit_at(fixture *f, const request *r, uint32_t address) {
    if (address >= 1024 && address < MEMORY_BYTES - sizeof *r)
        memcpy(tv_kit_memory(f->instance, address), r, sizeof *r);
    return tv_kit_run(f->instance, KIT_EMIT, &f->fault, 1, address);
}

static void emit_passes_everything_on(void **state) {
    fixture *f = *state;
    request r = good_request();
    put_text(f, "hello");
    f->owner.answer = TV_ABI_FULL;
    assert_int_equal(emit_at(f, &r, REQUEST), TV_OK);
    assert_int_equal(tv_kit_result(f->instance), TV_ABI_FULL);
    assert_int_equal(f->owner.emits, 1);
    assert_string_equal(f->owner.payload, "hello");
    assert_int_equal(f->owner.last_emit.event_time_ns, 7);
    assert_int_equal(f->owner.last_emit.key, 9);
    assert_int_equal(f->owner.last_emit.port, 3);
    assert_int_equal(f->owner.last_emit.attributes_bytes, 8);
    assert_int_equal(f->owner.last_emit.flags, TV_FLAG_INHERIT_ATTRIBUTES);
    assert_ptr_equal(f->owner.last_emit.attributes, tv_kit_memory(f->instance, BUFFER));
}

static void expect_invalid_emit(fixture *f, request r) {
    assert_int_equal(emit_at(f, &r, REQUEST), TV_OK);
    assert_int_equal(tv_kit_result(f->instance), TV_ABI_INVALID);
    assert_int_equal(f->owner.emits, 0);
}

static void malformed_emits_answer_invalid(void **state) {
    fixture *f = *state;
    request r = good_request();
    r.kind = TV_KIND_END_OF_STREAM;
    expect_invalid_emit(f, r);
    r = good_request();
    r.flags = 2;
    expect_invalid_emit(f, r);
    r = good_request();
    r.attributes_bytes = 12;
    expect_invalid_emit(f, r);
    r.attributes_bytes = TV_ATTRIBUTES_BYTES_LIMIT + 8;
    expect_invalid_emit(f, r);
    for (size_t i = 0; i < sizeof r.reserved; i++) {
        r = good_request();
        r.reserved[i] = 1;
        expect_invalid_emit(f, r);
    }
}

static void expect_wild_emit(fixture *f, request r, uint32_t address, const char *what) {
    assert_int_equal(emit_at(f, &r, address), TV_FAULT);
    assert_int_equal(f->fault.reason, TV_FAULT_POINTER);
    assert_non_null(strstr(f->fault.message, what));
    assert_string_equal(f->fault.function, "do_emit");
    assert_int_equal(f->owner.emits, 0);
}

static void wild_pointers_in_emit_are_faults(void **state) {
    fixture *f = *state;
    request r = good_request();
    expect_wild_emit(f, r, MEMORY_BYTES - 32, "request");
    expect_wild_emit(f, r, UINT32_MAX - 7, "request");
    expect_wild_emit(f, r, REQUEST + 4, "multiple of 8");
    r.payload = MEMORY_BYTES - 4;
    expect_wild_emit(f, r, REQUEST, "payload");
    r.payload = 16, r.payload_bytes = UINT32_MAX - 15; // wraps to 0 in 32 bits
    expect_wild_emit(f, r, REQUEST, "payload");
    r = good_request();
    r.attributes = MEMORY_BYTES;
    expect_wild_emit(f, r, REQUEST, "attributes");
}

static void emit_of_the_last_bytes_of_memory_is_fine(void **state) {
    fixture *f = *state;
    request r = good_request();
    r.payload = MEMORY_BYTES - 5;
    r.attributes_bytes = 0;
    r.attributes = UINT32_MAX; // of nothing
    assert_int_equal(emit_at(f, &r, REQUEST), TV_OK);
    assert_int_equal(f->owner.emits, 1);
}

static void emit_from_init_answers_state(void **state) {
    fixture *f = *state;
    int32_t result;
    tv_kit_argument(f->instance, 0, REQUEST);
    assert_int_equal(tv_kit_run_in(f->instance, TV_EXPORT_INIT, KIT_EMIT, &result, &f->fault), TV_OK);
    assert_int_equal(tv_kit_result(f->instance), TV_ABI_STATE);
    assert_int_equal(f->owner.emits, 0);
}

// ---- wild pointers in all others ----------------------------------------------------------------------------

typedef struct wild_case {
    enum tv_kit_operation operation;
    uint32_t arguments[6];
} wild_case;

static void every_pointer_of_every_import_is_checked(void **state) {
    fixture *f = *state;
    static const wild_case cases[] = {
        {KIT_LOG, {2, MEMORY_BYTES - 1, 2}},
        {KIT_LOG, {2, TEXT, UINT32_MAX}},
        {KIT_CONFIG_GET, {MEMORY_BYTES, 1, BUFFER, 8}},
        {KIT_CONFIG_GET, {TEXT, 4, MEMORY_BYTES - 7, 8}},
        {KIT_CONFIG_GET, {TEXT, 4, BUFFER, UINT32_MAX}},
        {KIT_ASSET_SIZE, {MEMORY_BYTES - 4, 5}},
        {KIT_ASSET_READ, {MEMORY_BYTES - 4, 5, 0, 0, BUFFER, 4}},
        {KIT_ASSET_READ, {TEXT, 5, 0, 0, MEMORY_BYTES - 3, 4}},
        {KIT_COUNTER, {UINT32_MAX, 2}},
        {KIT_REJECT, {MEMORY_BYTES - 8, 9}},
        {KIT_ARGS_SIZES_GET, {MEMORY_BYTES - 3, BUFFER}},
        {KIT_ARGS_SIZES_GET, {BUFFER, UINT32_MAX}},
        {KIT_FD_WRITE, {1, MEMORY_BYTES - 7, 1, BUFFER}},
        {KIT_FD_WRITE, {1, 0, 1, MEMORY_BYTES - 3}},
        {KIT_FD_FDSTAT_GET, {1, MEMORY_BYTES - 23}},
        {KIT_POLL_ONEOFF, {MEMORY_BYTES - 47, BUFFER, 1, BUFFER}},
        {KIT_POLL_ONEOFF, {BUFFER, MEMORY_BYTES - 31, 1, BUFFER}},
        {KIT_POLL_ONEOFF, {BUFFER, BUFFER, 1, MEMORY_BYTES - 3}},
        {KIT_CLOCK_TIME_GET, {0, MEMORY_BYTES - 7}},
        {KIT_CLOCK_RES_GET, {0, MEMORY_BYTES - 7}},
        {KIT_RANDOM_GET, {MEMORY_BYTES - 7, 8}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint32_t *a = cases[i].arguments;
        tv_status status =
            tv_kit_run(f->instance, cases[i].operation, &f->fault, 6, a[0], a[1], a[2], a[3], a[4], a[5]);
        if (status != TV_FAULT || f->fault.reason != TV_FAULT_POINTER) fail_msg("case %zu was believed", i);
    }
    assert_int_equal(f->owner.logs + f->owner.rejects, 0);
}

// ---- the others ---------------------------------------------------------------------------------------------

static void log_text_is_cut_and_level_is_bounded(void **state) {
    fixture *f = *state;
    uint32_t length = put_text(f, "a line");
    assert_int_equal(tv_kit_run(f->instance, KIT_LOG, &f->fault, 3, 3u, (uint32_t)TEXT, length), TV_OK);
    assert_string_equal(f->owner.text, "a line");
    assert_int_equal(f->owner.level, TV_LOG_WARN);
    assert_int_equal(tv_kit_run(f->instance, KIT_LOG, &f->fault, 3, 99u, (uint32_t)TEXT, 5000u), TV_OK);
    assert_int_equal(f->owner.level, TV_LOG_ERROR);
    assert_int_equal(f->owner.text_length, TV_LOG_TEXT_BYTES_MAX);
    assert_int_equal(tv_kit_run(f->instance, KIT_LOG, &f->fault, 3, (uint32_t)-1, (uint32_t)TEXT, 0u), TV_OK);
    assert_int_equal(f->owner.level, TV_LOG_TRACE);
}

static void clock_knows_two_clocks(void **state) {
    fixture *f = *state;
    assert_int_equal(tv_kit_run(f->instance, KIT_CLOCK, &f->fault, 1, 0u), TV_OK);
    assert_int_equal(tv_kit_result(f->instance), 1700000000000000000);
    assert_int_equal(tv_kit_run(f->instance, KIT_CLOCK, &f->fault, 1, 1u), TV_OK);
    assert_int_equal(tv_kit_result(f->instance), 42);
    assert_int_equal(tv_kit_run(f->instance, KIT_CLOCK, &f->fault, 1, 2u), TV_OK);
    assert_int_equal(tv_kit_result(f->instance), TV_ABI_INVALID);
}

static int64_t config_get(fixture *f, const char *path, uint32_t capacity) {
    uint32_t length = put_text(f, path);
    memset(tv_kit_memory(f->instance, BUFFER), '.', 16);
    assert_int_equal(
        tv_kit_run(f->instance, KIT_CONFIG_GET, &f->fault, 4, (uint32_t)TEXT, length, (uint32_t)BUFFER, capacity),
        TV_OK);
    return tv_kit_result(f->instance);
}

static void config_is_written_only_if_it_fits(void **state) {
    fixture *f = *state;
    const char *buffer = tv_kit_memory(f->instance, BUFFER);
    assert_int_equal(config_get(f, "unit", 7), 7);
    assert_memory_equal(buffer, "celsius.", 8);
    assert_int_equal(config_get(f, "unit", 6), 7);
    assert_memory_equal(buffer, "........", 8);
    assert_int_equal(config_get(f, "unit", 0), 7);
    assert_int_equal(config_get(f, "other", 7), TV_ABI_NOT_FOUND);
    assert_int_equal(config_get(f, "", 7), TV_ABI_NOT_FOUND);
}

static int64_t asset_read(fixture *f, int64_t offset, uint32_t capacity) {
    uint64_t bits = (uint64_t)offset;
    memset(tv_kit_memory(f->instance, BUFFER), '.', 16);
    assert_int_equal(tv_kit_run(f->instance, KIT_ASSET_READ, &f->fault, 6, (uint32_t)TEXT, 5u, (uint32_t)bits,
                                (uint32_t)(bits >> 32), (uint32_t)BUFFER, capacity),
                     TV_OK);
    return tv_kit_result(f->instance);
}

static void assets_are_read_in_parts(void **state) {
    fixture *f = *state;
    const char *buffer = tv_kit_memory(f->instance, BUFFER);
    put_text(f, "table");
    assert_int_equal(tv_kit_run(f->instance, KIT_ASSET_SIZE, &f->fault, 2, (uint32_t)TEXT, 5u), TV_OK);
    assert_int_equal(tv_kit_result(f->instance), 10);
    assert_int_equal(asset_read(f, 0, 4), 4);
    assert_memory_equal(buffer, "0123.", 5);
    assert_int_equal(asset_read(f, 8, 4), 2);
    assert_memory_equal(buffer, "89.", 3);
    assert_int_equal(asset_read(f, 10, 4), 0);
    assert_int_equal(asset_read(f, INT64_MAX, 4), 0);
    assert_int_equal(asset_read(f, -1, 4), TV_ABI_INVALID);
    assert_int_equal(tv_kit_run(f->instance, KIT_ASSET_SIZE, &f->fault, 2, (uint32_t)TEXT, 4u), TV_OK);
    assert_int_equal(tv_kit_result(f->instance), TV_ABI_NOT_FOUND);
}

static int64_t counter(fixture *f, const char *name) {
    uint32_t length = put_text(f, name);
    assert_int_equal(tv_kit_run(f->instance, KIT_COUNTER, &f->fault, 2, (uint32_t)TEXT, length), TV_OK);
    return tv_kit_result(f->instance);
}

static void counter_names_are_checked(void **state) {
    fixture *f = *state;
    char longest[65];
    memset(longest, 'a', 64);
    longest[63] = 0;
    f->owner.answer = 5;
    assert_int_equal(counter(f, "late_2"), 5);
    assert_int_equal(counter(f, longest), 5);
    longest[63] = 'a', longest[64] = 0;
    assert_int_equal(counter(f, longest), TV_ABI_INVALID);
    assert_int_equal(counter(f, ""), TV_ABI_INVALID);
    assert_int_equal(counter(f, "Late"), TV_ABI_INVALID);
    assert_int_equal(counter(f, "a-b"), TV_ABI_INVALID);
}

static void counters_do_not_go_down(void **state) {
    fixture *f = *state;
    assert_int_equal(tv_kit_run(f->instance, KIT_COUNTER_ADD, &f->fault, 4, 0u, 0u, 3u, 0u), TV_OK);
    assert_int_equal(tv_kit_result(f->instance), 0);
    assert_int_equal(tv_kit_run(f->instance, KIT_COUNTER_ADD, &f->fault, 4, 0u, 0u, UINT32_MAX, UINT32_MAX), TV_OK);
    assert_int_equal(tv_kit_result(f->instance), TV_ABI_INVALID);
    assert_int_equal(f->owner.delta, 3);
}

static void reject_is_allowed_in_process_only(void **state) {
    fixture *f = *state;
    int32_t result;
    uint32_t length = put_text(f, "no timestamp");
    assert_int_equal(tv_kit_run(f->instance, KIT_REJECT, &f->fault, 2, (uint32_t)TEXT, length), TV_OK);
    assert_int_equal(tv_kit_result(f->instance), TV_ABI_STATE);
    assert_int_equal(f->owner.rejects, 0);
    assert_int_equal(tv_kit_run_in(f->instance, TV_EXPORT_PROCESS, KIT_REJECT, &result, &f->fault), TV_OK);
    assert_int_equal(f->owner.rejects, 1);
    assert_string_equal(f->owner.text, "no timestamp");
    tv_kit_argument(f->instance, 1, 1000);
    assert_int_equal(tv_kit_run_in(f->instance, TV_EXPORT_PROCESS, KIT_REJECT, &result, &f->fault), TV_OK);
    assert_int_equal(f->owner.text_length, TV_REJECT_REASON_BYTES_MAX);
}

static void timers_are_passed_on(void **state) {
    fixture *f = *state;
    assert_int_equal(tv_kit_run(f->instance, KIT_TIMER_SET, &f->fault, 2, 1000u, 1u), TV_OK);
    assert_int_equal(f->owner.timer_ns, ((int64_t)1 << 32) + 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(emit_passes_everything_on),
    TEST(malformed_emits_answer_invalid),
    TEST(wild_pointers_in_emit_are_faults),
    TEST(emit_of_the_last_bytes_of_memory_is_fine),
    TEST(emit_from_init_answers_state),
    TEST(every_pointer_of_every_import_is_checked),
    TEST(log_text_is_cut_and_level_is_bounded),
    TEST(clock_knows_two_clocks),
    TEST(config_is_written_only_if_it_fits),
    TEST(assets_are_read_in_parts),
    TEST(counter_names_are_checked),
    TEST(counters_do_not_go_down),
    TEST(reject_is_allowed_in_process_only),
    TEST(timers_are_passed_on),
};

TV_WASM_TEST_MAIN(tests)
