// The SDK's JSON reader and writer, compiled natively. yyjson is the judge of what is JSON.
#include "torvyn/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <yyjson.h>

// A copy of exactly the text's size on the heap, so that the sanitizer sees every byte read too many.
static tv_string exact(const char *text, size_t length) {
    char *copy = malloc(length ? length : 1);
    if (!copy) abort();
    memcpy(copy, text, length);
    return (tv_string){copy, (uint32_t)length};
}

static void release(tv_string text) { free((void *)(uintptr_t)text.bytes); }

static bool is_json(const char *bytes, size_t length) {
    tv_json_value value;
    tv_string text = exact(bytes, length);
    bool good = tv_json_read_value(text, &value, NULL);
    release(text);
    return good;
}

static const char *as_text(tv_string text) {
    static char copy[256];
    snprintf(copy, sizeof copy, "%.*s", (int)text.length, text.bytes);
    return copy;
}

static void object_gives_the_members_asked_for(void **state) {
    (void)state;
    tv_json_keys keys = {0};
    tv_json_value values[4];
    tv_json_error error;
    double number;
    assert_int_equal(tv_json_keys_add(&keys, "ts"), 0);
    assert_int_equal(tv_json_keys_add(&keys, "value"), 1);
    assert_int_equal(tv_json_keys_add(&keys, "missing"), 2);
    assert_int_equal(tv_json_keys_add(&keys, "ok"), 3);
    tv_string text =
        tv_string_of(" { \"value\" : -21.5e1 ,\"other\":{\"value\":[1,{}]}, \"ts\":\"now\",\"ok\":true}\n");
    assert_true(tv_json_read_object(text, &keys, values, &error));
    assert_int_equal(values[0].type, TV_JSON_STRING);
    assert_string_equal(as_text(values[0].text), "now");
    assert_true(tv_json_f64(&values[1], &number) && number == -215);
    assert_int_equal(values[2].type, TV_JSON_NONE);
    assert_int_equal(values[3].type, TV_JSON_TRUE);
    assert_false(tv_json_f64(&values[0], &number));
}

static void last_of_equal_members_counts(void **state) {
    (void)state;
    tv_json_keys keys = {0};
    tv_json_value value;
    tv_json_keys_add(&keys, "a");
    assert_true(tv_json_read_object(tv_string_of("{\"a\":1,\"a\":2}"), &keys, &value, NULL));
    assert_true(value.number == 2);
}

static void names_with_escapes_are_found(void **state) {
    (void)state;
    tv_json_keys keys = {0};
    tv_json_value values[2];
    tv_json_keys_add(&keys, "a\"b");
    tv_json_keys_add(&keys, "\xc3\xa9");
    assert_true(tv_json_read_object(tv_string_of("{\"a\\\"b\":1,\"\\u00e9\":2}"), &keys, values, NULL));
    assert_true(values[0].number == 1 && values[1].number == 2);
    assert_false(tv_json_read_object(tv_string_of("{\"a\"b\":1}"), &keys, values, NULL));
}

static void keys_beyond_the_maximum_are_refused(void **state) {
    (void)state;
    tv_json_keys keys = {0};
    for (int count = 0; count < TV_JSON_KEYS_MAX; count++)
        assert_int_equal(tv_json_keys_add(&keys, "k"), count);
    assert_int_equal(tv_json_keys_add(&keys, "k"), -1);
}

static void odd_values_do_not_cost_the_others_when_read_leniently(void **state) {
    (void)state;
    static const char *const odd[] = {"nan",
                                      "NaN",
                                      "-inf",
                                      "Infinity",
                                      "1e999",
                                      "-1.#IND",
                                      "007",
                                      ".5",
                                      "5.",
                                      "+5",
                                      "1e",
                                      "None",
                                      "tru",
                                      "\"\xff\"",
                                      "\"\xe9t\xe9\"",
                                      "\"\\x\"",
                                      "\"\\ud800\"",
                                      "\"a\tb\"",
                                      "[1,{\"x\":nan}]",
                                      "{\"\xb0\":1}"};
    for (size_t index = 0; index < sizeof odd / sizeof odd[0]; index++) {
        char text[128];
        tv_json_keys keys = {0};
        tv_json_value values[2], whole;
        uint32_t count;
        snprintf(text, sizeof text, "{\"a\":1,\"odd\":%s,\"b\":2}", odd[index]);
        tv_json_keys_add(&keys, "a");
        tv_json_keys_add(&keys, "b");
        assert_false(tv_json_read_object(tv_string_of(text), &keys, values, NULL));
        if (!tv_json_read_object_leniently(tv_string_of(text), &keys, values, &count, NULL)) fail_msg("%s", text);
        assert_true(values[0].number == 1 && values[1].number == 2);
        assert_int_equal(count, 1);
        assert_true(tv_json_read_value_leniently(tv_string_of(text), &whole, &count, NULL));
        unsigned members = 0;
        for (tv_json_walk walk = tv_json_begin(&whole); tv_json_next(&walk);)
            members++;
        assert_int_equal(members, 3);
    }
}

static void an_odd_value_that_is_asked_for_says_so(void **state) {
    (void)state;
    tv_json_keys keys = {0};
    tv_json_value values[2];
    uint32_t count;
    tv_json_keys_add(&keys, "a");
    tv_json_keys_add(&keys, "b");
    assert_true(tv_json_read_object_leniently(tv_string_of("{\"a\":nan,\"b\":\"\xff\"}"), &keys, values, &count, NULL));
    assert_int_equal(values[0].type, TV_JSON_ODD);
    assert_true(tv_string_is(values[0].text, "nan"));
    assert_int_equal(values[1].type, TV_JSON_ODD);
    assert_int_equal(count, 2);
}

static void what_has_no_end_is_refused_leniently_too(void **state) {
    (void)state;
    static const char *const texts[] = {"{\"a\":}",      "{\"a\":\"x", "{\"a\":\"x\\", "{\"a\":1 2}",
                                        "{\"a\":12:30}", "{\"a\":nan", "{a:1}",        "",
                                        "[1]",           "{\"a\":1}x"};
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        tv_json_keys keys = {0};
        tv_json_value value;
        tv_json_error error = {0};
        uint32_t count;
        tv_json_keys_add(&keys, "a");
        if (tv_json_read_object_leniently(tv_string_of(texts[index]), &keys, &value, &count, &error))
            fail_msg("%s", texts[index]);
        assert_non_null(error.message);
    }
}

static void error_says_what_and_where(void **state) {
    (void)state;
    const struct {
        const char *text, *message;
        uint32_t offset;
    } cases[] = {
        {"", "expected {", 0},
        {"[1]", "expected {", 0},
        {"{\"a\" 1}", "expected a colon", 5},
        {"{\"a\":1", "expected a comma or }", 6},
        {"{\"a\":01}", "a number must not begin with 0", 7},
        {"{\"a\":1}x", "expected the end", 7},
        {"{\"a\":\"b", "the string does not end", 7},
        {"{\"a\":tru}", "expected a value", 5},
        {"{\"a\":1,}", "expected a member's name", 7},
        {"{\"a\":\"\x01\"}", "control character in a string", 6},
        {"{\"a\":\"\xff\"}", "malformed UTF-8", 6},
        {"{\"a\":\"\\x\"}", "unknown escape", 6},
        {"{\"a\":\"\\u00`0\"}", "malformed \\u escape", 6},
        {"{\"a\":\"\\ud800x\"}", "malformed \\u escape", 6},
        {"{\"a\":1e999}", "the number is out of range", 10},
        {"{\"a\":[1 2]}", "expected a comma or ]", 8},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        tv_json_keys keys = {0};
        tv_json_value value;
        tv_json_error error;
        tv_json_keys_add(&keys, "a");
        tv_string text = exact(cases[index].text, strlen(cases[index].text));
        assert_false(tv_json_read_object(text, &keys, &value, &error));
        assert_string_equal(error.message, cases[index].message);
        assert_int_equal(error.offset, cases[index].offset);
        release(text);
    }
}

// ---- against yyjson -----------------------------------------------------------------------------------------

static bool is_json_for_yyjson(const char *bytes, size_t length) {
    char *copy = malloc(length ? length : 1);
    if (!copy) abort();
    memcpy(copy, bytes, length);
    yyjson_doc *document = yyjson_read(copy, length, 0);
    yyjson_doc_free(document);
    free(copy);
    return document != NULL;
}

static void compare(const char *bytes, size_t length) {
    if (is_json(bytes, length) != is_json_for_yyjson(bytes, length)) {
        fail_msg("'%.*s': yyjson says %d", (int)length, bytes, is_json_for_yyjson(bytes, length));
    }
}

static void accepts_exactly_what_yyjson_accepts(void **state) {
    (void)state;
    static const char *const seeds[] = {
        "{\"ts\":\"2026-03-01T12:00:00.000Z\",\"device\":\"sensor-0042\",\"value\":21.534,\"ok\":true}",
        "[1,-2.5e+3,[],{},[[{\"a\":null}]],\"\\u00e9\\ud83d\\ude00\\n\",false]",
        "  {\"a\" : [ 1 , 2 ] , \"\" : \"\" }  ",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
        "123456789012345678901234567890",
        "-0.0",
        "0",
        "null",
    };
    static const char alphabet[] = "{}[]\",:\\0123456789.eE+-u truefalsn\n\x01\x80\xc3\xed\xf4\x00";
    uint64_t random = 0x9e3779b97f4a7c15ull;
    for (size_t seed = 0; seed < sizeof seeds / sizeof seeds[0]; seed++) {
        size_t length = strlen(seeds[seed]);
        for (size_t cut = 0; cut <= length; cut++)
            compare(seeds[seed], cut);
        for (int count = 0; count < 30000; count++) {
            char text[128];
            memcpy(text, seeds[seed], length);
            for (int changes = 0; changes < 1 + count % 3; changes++) {
                random = random * 6364136223846793005ull + 1442695040888963407ull;
                text[(random >> 33) % length] = alphabet[(random >> 50) % (sizeof alphabet - 1)];
            }
            compare(text, length);
        }
    }
}

static void nests_to_the_limit_and_no_deeper(void **state) {
    (void)state;
    char text[2 * TV_JSON_DEPTH_MAX + 3];
    memset(text, '[', TV_JSON_DEPTH_MAX);
    memset(text + TV_JSON_DEPTH_MAX, ']', TV_JSON_DEPTH_MAX);
    assert_true(is_json(text, 2 * TV_JSON_DEPTH_MAX));
    memset(text, '[', TV_JSON_DEPTH_MAX + 1);
    memset(text + TV_JSON_DEPTH_MAX + 1, ']', TV_JSON_DEPTH_MAX + 1);
    assert_false(is_json(text, 2 * TV_JSON_DEPTH_MAX + 2));
}

static void numbers_are_the_nearest_double(void **state) {
    (void)state;
    uint64_t random = 1;
    for (int count = 0; count < 200000; count++) {
        char text[64];
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        int decimals = (int)(random >> 60);
        int length = snprintf(text, sizeof text, "%.*f", decimals, (double)(int64_t)random / 1e12);
        tv_json_value value;
        assert_true(tv_json_read_value((tv_string){text, (uint32_t)length}, &value, NULL));
        if (value.number != strtod(text, NULL)) fail_msg("%s became %.17g", text, value.number);
    }
}

// ---- walking ------------------------------------------------------------------------------------------------

static void walk_visits_members_and_items(void **state) {
    (void)state;
    tv_json_value root;
    char seen[128] = "";
    assert_true(tv_json_read_value(tv_string_of(" {\"a\": 1, \"b\" :[ ] ,\"c\":\"x\"} "), &root, NULL));
    for (tv_json_walk walk = tv_json_begin(&root); tv_json_next(&walk);) {
        strcat(seen, as_text(walk.key.text));
        strcat(seen, "=");
        strcat(seen, as_text(walk.value.text));
        strcat(seen, ";");
    }
    assert_string_equal(seen, "a=1;b=[ ];c=x;");
    assert_true(tv_json_read_value(tv_string_of("[10,20 , [30,40]]"), &root, NULL));
    double sum = 0;
    int items = 0;
    for (tv_json_walk walk = tv_json_begin(&root); tv_json_next(&walk); items++) {
        assert_int_equal(walk.key.type, TV_JSON_NONE);
        if (walk.value.type == TV_JSON_NUMBER) sum += walk.value.number;
    }
    assert_int_equal(items, 3);
    assert_true(sum == 30);
    assert_true(tv_json_read_value(tv_string_of("{}"), &root, NULL));
    tv_json_walk walk = tv_json_begin(&root);
    assert_false(tv_json_next(&walk));
}

static void strings_lose_their_escapes(void **state) {
    (void)state;
    tv_json_value value;
    tv_string text;
    char scratch[32];
    assert_true(tv_json_read_value(tv_string_of("\"a\\n\\\"\\u00e9\\ud83d\\ude00\\/\""), &value, NULL));
    assert_true(value.escaped);
    assert_true(tv_json_string(&value, scratch, sizeof scratch, &text));
    assert_string_equal(as_text(text), "a\n\"\xc3\xa9\xf0\x9f\x98\x80/");
    assert_false(tv_json_string(&value, scratch, 4, &text));
    char *tight = malloc(value.text.length);
    assert_true(tv_json_string(&value, tight, value.text.length, &text));
    free(tight);
    assert_true(tv_json_read_value(tv_string_of("\"plain\""), &value, NULL));
    assert_true(tv_json_string(&value, NULL, 0, &text));
    assert_string_equal(as_text(text), "plain");
}

// ---- writing ------------------------------------------------------------------------------------------------

static void write_sample(tv_json_writer *writer) {
    tv_json_object(writer);
    tv_json_member_time(writer, "ts", 1772366400250000000ll);
    tv_json_member_string(writer, "device", tv_string_of("a\"b\\\n\x01\xc3\xa9\xff"));
    tv_json_member_f64(writer, "value", 21.5);
    tv_json_member_fixed(writer, "score", 0.12345, 3);
    tv_json_member_i64(writer, "count", -5);
    tv_json_member_bool(writer, "ok", true);
    tv_json_key(writer, "list");
    tv_json_array(writer);
    tv_json_put_i64(writer, 1);
    tv_json_put_null(writer);
    tv_json_object(writer);
    tv_json_object_end(writer);
    tv_json_put_string(writer, tv_string_of(","));
    tv_json_put_f64(writer, NAN);
    tv_json_array_end(writer);
    tv_json_put_key(writer, tv_string_of("k\""));
    tv_json_put_bool(writer, false);
    tv_json_object_end(writer);
}

static const char sample[] =
    "{\"ts\":\"2026-03-01T12:00:00.250Z\",\"device\":\"a\\\"b\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd\","
    "\"value\":21.5,\"score\":0.123,\"count\":-5,\"ok\":true,"
    "\"list\":[1,null,{},\",\",null],\"k\\\"\":false}";

static void writer_sets_commas_and_escapes(void **state) {
    (void)state;
    char out[512];
    tv_json_writer writer = tv_json_writer_of(out, sizeof out);
    write_sample(&writer);
    assert_false(writer.full);
    out[tv_json_length(&writer)] = 0;
    assert_string_equal(out, sample);
    assert_true(is_json(out, tv_json_length(&writer)));
}

static void writer_never_writes_behind_the_end(void **state) {
    (void)state;
    for (uint32_t capacity = 0; capacity < sizeof sample + 64; capacity++) {
        char *out = malloc(capacity ? capacity : 1);
        if (!out) abort();
        tv_json_writer writer = tv_json_writer_of(out, capacity);
        write_sample(&writer);
        assert_true(tv_json_length(&writer) <= capacity);
        if (capacity < sizeof sample - 1) assert_true(writer.full);
        if (!writer.full) assert_memory_equal(out, sample, sizeof sample - 1);
        if (capacity > sizeof sample + 50) assert_false(writer.full);
        free(out);
    }
}

static void members_of_an_object_are_carried_over(void **state) {
    (void)state;
    char out[128];
    tv_json_writer writer = tv_json_writer_of(out, sizeof out);
    tv_json_object(&writer);
    tv_json_members(&writer, tv_string_of(" {\"a\":1, \"b\":\"x\" } \n"));
    tv_json_members(&writer, tv_string_of("{}"));
    tv_json_member_i64(&writer, "c", 2);
    tv_json_object_end(&writer);
    out[tv_json_length(&writer)] = 0;
    assert_string_equal(out, "{\"a\":1, \"b\":\"x\",\"c\":2}");
}

static void lines_follow_without_commas(void **state) {
    (void)state;
    char out[64];
    tv_json_writer writer = tv_json_writer_of(out, sizeof out);
    for (int line = 0; line < 2; line++) {
        tv_json_object(&writer);
        tv_json_member_i64(&writer, "n", line);
        tv_json_object_end(&writer);
        *writer.at++ = '\n';
    }
    out[tv_json_length(&writer)] = 0;
    assert_string_equal(out, "{\"n\":0}\n{\"n\":1}\n");
}

static void random_strings_survive_writing_and_reading(void **state) {
    (void)state;
    uint64_t random = 99;
    for (int count = 0; count < 50000; count++) {
        char text[48], out[512], scratch[512];
        uint32_t length = (uint32_t)count % sizeof text;
        for (uint32_t at = 0; at < length; at++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            text[at] = (char)((random >> 40) % 128);
        }
        tv_json_writer writer = tv_json_writer_of(out, sizeof out);
        tv_json_put_string(&writer, (tv_string){text, length});
        tv_json_value value;
        tv_string back;
        tv_string json = exact(out, tv_json_length(&writer));
        assert_true(tv_json_read_value(json, &value, NULL));
        assert_true(tv_json_string(&value, scratch, sizeof scratch, &back));
        assert_int_equal(back.length, length);
        assert_memory_equal(back.bytes, text, length);
        release(json);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(object_gives_the_members_asked_for),
        cmocka_unit_test(last_of_equal_members_counts),
        cmocka_unit_test(names_with_escapes_are_found),
        cmocka_unit_test(keys_beyond_the_maximum_are_refused),
        cmocka_unit_test(odd_values_do_not_cost_the_others_when_read_leniently),
        cmocka_unit_test(an_odd_value_that_is_asked_for_says_so),
        cmocka_unit_test(what_has_no_end_is_refused_leniently_too),
        cmocka_unit_test(error_says_what_and_where),
        cmocka_unit_test(accepts_exactly_what_yyjson_accepts),
        cmocka_unit_test(nests_to_the_limit_and_no_deeper),
        cmocka_unit_test(numbers_are_the_nearest_double),
        cmocka_unit_test(walk_visits_members_and_items),
        cmocka_unit_test(strings_lose_their_escapes),
        cmocka_unit_test(writer_sets_commas_and_escapes),
        cmocka_unit_test(writer_never_writes_behind_the_end),
        cmocka_unit_test(members_of_an_object_are_carried_over),
        cmocka_unit_test(lines_follow_without_commas),
        cmocka_unit_test(random_strings_survive_writing_and_reading),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
