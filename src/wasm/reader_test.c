// Checked reading of LEB128 and names.
#include <string.h>

#include "wasm/reader.h"
#include "wasm/test_support.h"

static bool read_u32(const uint8_t *bytes, size_t length, uint32_t *value, size_t *left) {
    tv_wasm_reader reader = tv_wasm_reader_of(bytes, length);
    bool read = tv_wasm_reader_u32(&reader, value);
    *left = tv_wasm_reader_left(&reader);
    return read;
}
#define READ(value, left, ...)                                                                                         \
    read_u32((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), value, left)

static void numbers_of_every_length_are_read(void **state) {
    (void)state;
    uint32_t value;
    size_t left;
    assert_true(READ(&value, &left, 0x7f, 9) && value == 127 && left == 1);
    assert_true(READ(&value, &left, 0x80, 0x01) && value == 128 && left == 0);
    assert_true(READ(&value, &left, 0xff, 0xff, 0xff, 0xff, 0x0f) && value == UINT32_MAX);
    assert_true(READ(&value, &left, 0x81, 0x80, 0x80, 0x80, 0x00) && value == 1); // padded
}

static void numbers_that_end_early_or_are_too_large_are_refused(void **state) {
    (void)state;
    uint32_t value = 77;
    size_t left;
    assert_false(READ(&value, &left, 0x80));
    assert_int_equal(left, 1);                                             // stays at the failed place
    assert_false(READ(&value, &left, 0xff, 0xff, 0xff, 0xff, 0x1f));       // 33 bits
    assert_false(READ(&value, &left, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00)); // six bytes
    tv_wasm_reader empty = tv_wasm_reader_of((const uint8_t *)"", 0);
    assert_false(tv_wasm_reader_u32(&empty, &value));
    assert_int_equal(value, 77);
}

static void names_must_lie_inside(void **state) {
    (void)state;
    tv_wasm_name name;
    tv_wasm_reader reader = tv_wasm_reader_of((const uint8_t *)"\x03"
                                                               "abc"
                                                               "\x05"
                                                               "ab",
                                              7);
    assert_true(tv_wasm_reader_name(&reader, &name));
    assert_true(tv_wasm_name_is(&name, "abc"));
    assert_false(tv_wasm_name_is(&name, "ab"));
    assert_false(tv_wasm_name_is(&name, "abcd"));
    assert_false(tv_wasm_reader_name(&reader, &name));
    assert_int_equal(tv_wasm_reader_left(&reader), 3);
}

static void copied_names_are_printable_and_cut(void **state) {
    (void)state;
    char out[5];
    tv_wasm_name name = {.text = "a\n\xffzzz", .length = 6};
    tv_wasm_name_copy(&name, out, sizeof out);
    assert_string_equal(out, "a??z");
}

static void slices_do_not_reach_beyond_the_end(void **state) {
    (void)state;
    tv_wasm_reader slice, reader = tv_wasm_reader_of((const uint8_t *)"abcd", 4);
    assert_false(tv_wasm_reader_slice(&reader, 5, &slice));
    assert_true(tv_wasm_reader_slice(&reader, 4, &slice));
    assert_int_equal(tv_wasm_reader_left(&slice), 4);
    assert_false(tv_wasm_reader_skip(&reader, 1));
    assert_true(tv_wasm_reader_skip(&reader, 0));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(numbers_of_every_length_are_read),
    cmocka_unit_test(numbers_that_end_early_or_are_too_large_are_refused),
    cmocka_unit_test(names_must_lie_inside),
    cmocka_unit_test(copied_names_are_printable_and_cut),
    cmocka_unit_test(slices_do_not_reach_beyond_the_end),
};

TV_WASM_TEST_MAIN(tests)
