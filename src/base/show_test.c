// What is seen and what is not, in both forms and through the formats; the JSON writer against a strict reader.
#include "base/show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <yyjson.h>

#include "base/json.h"

static const char *shown(tv_show_form form, const char *bytes, size_t length) {
    static tv_text text;
    tv_text_deinit(&text);
    tv_text_add(&text, "", 0);
    tv_text_add_shown(&text, form, bytes, length);
    assert_false(text.failed);
    return text.bytes;
}

static void what_is_seen_passes(void **state) {
    (void)state;
    static const char *const good[] = {"", "plain ASCII ~", "\u00e4\u00df \u20ac \u6e29\u5ea6 \U0001f600", "\ufffd",
                                       "\u00a0"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_string_equal(shown(TV_SHOW_TEXT, good[i], strlen(good[i])), good[i]);
        assert_string_equal(shown(TV_SHOW_JSON, good[i], strlen(good[i])), good[i]);
    }
}

static const struct {
    const char *bytes, *text, *json;
} unseen[] = {
    {"\n\t\r", "\\n\\t\\r", "\\n\\t\\r"},
    {"\x1b[2J", "\\x1b[2J", "\\u001B[2J"},
    {"\x7f", "\\x7f", "\\u007F"},
    {"\xc2\x9b", "\\xc2\\x9b", "\\u009B"},    // C1: CSI
    {"\xc2\xad", "\\xc2\\xad", "\\u00AD"},    // soft hyphen
    {"\xd8\x9c", "\\xd8\\x9c", "\\u061C"},    // Arabic letter mark
    {"\u200b", "\\xe2\\x80\\x8b", "\\u200B"}, // zero width space
    {"\u200d", "\\xe2\\x80\\x8d", "\\u200D"}, // zero width joiner
    {"\u200f", "\\xe2\\x80\\x8f", "\\u200F"}, // right-to-left mark
    {"\u2028\u2029", "\\xe2\\x80\\xa8\\xe2\\x80\\xa9", "\\u2028\\u2029"},
    {"\u202e", "\\xe2\\x80\\xae", "\\u202E"}, // right-to-left override
    {"\u2066\u2069", "\\xe2\\x81\\xa6\\xe2\\x81\\xa9", "\\u2066\\u2069"},
    {"\ufeff", "\\xef\\xbb\\xbf", "\\uFEFF"},
    {"\U000e0041", "\\xf3\\xa0\\x81\\x81", "\\uDB40\\uDC41"}, // a tag
    {"\xff", "\\xff",
     "\xef\xbf\xbd"
     "ff"},
    {"\xe2\x82", "\\xe2\\x82",
     "\xef\xbf\xbd"
     "e2"
     "\xef\xbf\xbd"
     "82"},
    {"\xc0\x9b", "\\xc0\\x9b",
     "\xef\xbf\xbd"
     "c0"
     "\xef\xbf\xbd"
     "9b"},
    {"\xed\xa0\x80", "\\xed\\xa0\\x80",
     "\xef\xbf\xbd"
     "ed"
     "\xef\xbf\xbd"
     "a0"
     "\xef\xbf\xbd"
     "80"},
    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80",
     "\xef\xbf\xbd"
     "f4"
     "\xef\xbf\xbd"
     "90"
     "\xef\xbf\xbd"
     "80"
     "\xef\xbf\xbd"
     "80"},
    {"\"\\", "\"\\", "\\\"\\\\"},
};

static void what_is_not_seen_is_escaped(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof unseen / sizeof *unseen; i++) {
        assert_string_equal(shown(TV_SHOW_TEXT, unseen[i].bytes, strlen(unseen[i].bytes)), unseen[i].text);
        assert_string_equal(shown(TV_SHOW_JSON, unseen[i].bytes, strlen(unseen[i].bytes)), unseen[i].json);
    }
    assert_string_equal(shown(TV_SHOW_TEXT, "a\0b", 3), "a\\x00b");
    assert_string_equal(shown(TV_SHOW_JSON, "a\0b", 3), "a\\u0000b");
}

static void no_byte_of_any_pair_acts_on_a_terminal(void **state) {
    (void)state;
    for (int first = 0; first < 256; first++)
        for (int second = 0; second < 256; second++) {
            char pair[] = {(char)first, (char)second};
            const char *text = shown(TV_SHOW_TEXT, pair, 2);
            for (size_t i = 0; text[i]; i++)
                assert_true((uint8_t)text[i] >= 0x20 && (uint8_t)text[i] != 0x7f);
            assert_null(strstr(text, "\xc2\x9b"));
        }
}

static const char *formatted(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *formatted(const char *format, ...) {
    static tv_text text;
    tv_text_deinit(&text);
    va_list arguments;
    va_start(arguments, format);
    tv_text_vshow(&text, format, arguments);
    va_end(arguments);
    return text.bytes;
}

static void formats_print_as_printf_does(void **state) {
    (void)state;
    char expected[256];
#define SAME(...)                                                                                                      \
    snprintf(expected, sizeof expected, __VA_ARGS__);                                                                  \
    assert_string_equal(formatted(__VA_ARGS__), expected)
    SAME("plain %% text");
    SAME("%d|%5d|%-5d|%05d|%+d|%.3d", 1, 22, 33, 44, 55, 6);
    SAME("%u|%x|%X|%o|%#x", 1u, 255u, 255u, 8u, 16u);
    SAME("%ld|%lu|%lld|%llu|%zu", -1L, 2UL, -3LL, UINT64_MAX + 0ULL, sizeof expected);
    SAME("%*d|%-*d|%.*f", 6, 1, 6, 2, 3, 1.5);
    SAME("%.1f|%8.2f|%e|%g|%5.0f", 1.25, 3.14159, 1e300, 0.5, 2.0);
    SAME("%s|%8s|%-8s|%.2s|%*s|%.*s|%c", "a", "b", "c", "defg", 4, "h", 1, "ij", 'k');
#undef SAME
}

static void formats_escape_what_they_are_given_and_not_themselves(void **state) {
    (void)state;
    assert_string_equal(formatted("\033[1m%s\033[0m\n", "a\nb\033"), "\033[1ma\\nb\\x1b\033[0m\n");
    assert_string_equal(formatted("%c", '\033'), "\\x1b");
}

static void widths_count_characters_and_precisions_cut_none(void **state) {
    (void)state;
    assert_string_equal(formatted("[%4s]", "\u20ac"), "[   \u20ac]");
    assert_string_equal(formatted("[%-6s]", "\033"), "[\\x1b  ]");
    assert_string_equal(formatted("[%.4s]", "a\u20ac\u20ac"), "[a\u20ac]");
    assert_string_equal(formatted("[%.3s]", "a\u20acb"), "[a]");
    assert_string_equal(formatted("[%.2s]", "\x80\x80\x80"), "[\\x80\\x80]");
}

// Written, read by the library's strict reader, and the same again where nothing was lost.
static void json_is_utf8_and_lossless_where_it_can_be(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof unseen / sizeof *unseen; i++) {
        yyjson_mut_doc *document = yyjson_mut_doc_new(NULL);
        yyjson_mut_val *root = yyjson_mut_obj(document);
        yyjson_mut_doc_set_root(document, root);
        yyjson_mut_obj_add_str(document, root, unseen[i].bytes, unseen[i].bytes);
        size_t length;
        char *text = tv_json_write(document, TV_JSON_LINE, &length), expected[160];
        snprintf(expected, sizeof expected, "{\"%s\":\"%s\"}\n", unseen[i].json, unseen[i].json);
        assert_string_equal(text, expected);
        assert_int_equal(length, strlen(text));
        yyjson_doc *read = yyjson_read(text, length, 0);
        assert_non_null(read);
        yyjson_obj_iter members = yyjson_obj_iter_with(yyjson_doc_get_root(read));
        yyjson_val *value = yyjson_obj_iter_get_val(yyjson_obj_iter_next(&members));
        bool lost = strchr(unseen[i].json, '\xef') != NULL;
        if (!lost) assert_string_equal(yyjson_get_str(value), unseen[i].bytes);
        char *again = tv_json_write_value(yyjson_doc_get_root(read), TV_JSON_LINE, NULL);
        assert_string_equal(again, expected); // what was written once stays as it is
        free(again);
        yyjson_doc_free(read);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_seen_passes),
        cmocka_unit_test(what_is_not_seen_is_escaped),
        cmocka_unit_test(no_byte_of_any_pair_acts_on_a_terminal),
        cmocka_unit_test(formats_print_as_printf_does),
        cmocka_unit_test(formats_escape_what_they_are_given_and_not_themselves),
        cmocka_unit_test(widths_count_characters_and_precisions_cut_none),
        cmocka_unit_test(json_is_utf8_and_lossless_where_it_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
