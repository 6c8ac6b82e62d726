// Fuzz target: the SDK's readers of text from outside. JSON against yyjson, and what was read is written and read
// again; numbers, times, durations and sizes must survive writing and reading.
//
// scripts/fuzz.sh builds and runs it; the corpus is replayed by sdk_corpus_test.
#include <math.h>
#include <stdlib.h>
#include <yyjson.h>

#include "torvyn/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) ((condition) ? (void)0 : abort())

static bool yyjson_accepts(const uint8_t *data, size_t size) {
    yyjson_doc *document = yyjson_read((const char *)data, size, 0);
    yyjson_doc_free(document);
    return document != NULL;
}

static void write_value(tv_json_writer *writer, const tv_json_value *value, int depth) {
    char scratch[4096];
    tv_string text;
    bool flag;
    if (value->type == TV_JSON_OBJECT || value->type == TV_JSON_ARRAY) {
        bool object = value->type == TV_JSON_OBJECT;
        tv_json_put_open(writer, object ? '{' : '[');
        for (tv_json_walk walk = tv_json_begin(value); depth > 0 && tv_json_next(&walk);) {
            if (object) {
                MUST(tv_json_string(&walk.key, scratch, sizeof scratch, &text));
                tv_json_put_key(writer, text);
            }
            write_value(writer, &walk.value, depth - 1);
        }
        tv_json_put_close(writer, object ? '}' : ']');
    } else if (tv_json_string(value, scratch, sizeof scratch, &text)) {
        tv_json_put_string(writer, text);
    } else if (value->type == TV_JSON_NUMBER) {
        tv_json_put_f64(writer, value->number);
    } else if (tv_json_bool(value, &flag)) {
        tv_json_put_bool(writer, flag);
    } else {
        tv_json_put_null(writer);
    }
}

static void check_json(tv_string text) {
    static char first[65536], second[65536];
    tv_json_value value;
    tv_json_error error;
    bool good = tv_json_read_value(text, &value, &error);
    // yyjson has no limit of depth, and we none of the length of numbers but its own.
    bool same = good == yyjson_accepts((const uint8_t *)text.bytes, text.length);
    MUST(same || (!good && (error.message[0] == 'n' || strstr(error.message, "out of range"))));
    if (!good) {
        MUST(error.offset <= text.length);
        return;
    }
    tv_json_writer writer = tv_json_writer_of(first, sizeof first);
    write_value(&writer, &value, 8);
    if (writer.full) return;
    uint32_t length = tv_json_length(&writer);
    MUST(tv_json_read_value((tv_string){first, length}, &value, NULL));
    MUST(yyjson_accepts((const uint8_t *)first, length));
    writer = tv_json_writer_of(second, sizeof second);
    write_value(&writer, &value, 8);
    MUST(tv_json_length(&writer) == length && memcmp(first, second, length) == 0);
}

// Leniently read, a right text is the same, and any other ends where it ends.
static void check_leniently(tv_string text) {
    tv_json_value strict, lenient;
    tv_json_error error;
    uint32_t odd;
    bool good = tv_json_read_value_leniently(text, &lenient, &odd, &error);
    if (tv_json_read_value(text, &strict, NULL)) {
        MUST(good && odd == 0 && strict.type == lenient.type && tv_string_equal(strict.text, lenient.text));
    } else if (good) {
        MUST(odd > 0);
    } else {
        MUST(error.offset <= text.length);
        return;
    }
    for (tv_json_walk walk = tv_json_begin(&lenient); tv_json_next(&walk);)
        MUST(walk.value.text.bytes + walk.value.text.length <= text.bytes + text.length);
}

static void check_members(tv_string text) {
    static const char *const names[] = {
        "ts", "device", "value", "a", "", "a\"b", "a name longer than the pattern has room"};
    tv_json_keys keys = {0};
    tv_json_value values[7], whole;
    for (size_t index = 0; index < 7; index++)
        MUST(tv_json_keys_add(&keys, names[index]) == (int)index);
    bool good = tv_json_read_object(text, &keys, values, NULL);
    MUST(good == (tv_json_read_value(text, &whole, NULL) && whole.type == TV_JSON_OBJECT));
    if (!good) return;
    for (size_t index = 0; index < 7; index++) {
        tv_json_value last = {.type = TV_JSON_NONE};
        for (tv_json_walk walk = tv_json_begin(&whole); tv_json_next(&walk);) {
            char scratch[4096];
            tv_string name;
            if (!tv_json_string(&walk.key, scratch, sizeof scratch, &name)) return;
            if (tv_string_is(name, names[index])) last = walk.value;
        }
        MUST(last.type == values[index].type);
        if (last.type != TV_JSON_NONE) MUST(last.text.bytes == values[index].text.bytes);
    }
}

static void check_numbers_and_times(tv_string text) {
    char out[TV_NUMBER_BYTES_MAX];
    double number, number_back;
    int64_t integer, integer_back;
    uint64_t size;
    if (tv_read_f64(text, &number)) {
        MUST(isfinite(number));
        MUST(tv_read_f64((tv_string){out, tv_write_f64(out, number)}, &number_back) && number == number_back);
        MUST(tv_write_fixed(out, number, text.length % 12) < TV_NUMBER_BYTES_MAX);
    }
    if (tv_read_i64(text, &integer)) {
        MUST(tv_read_i64((tv_string){out, tv_write_i64(out, integer)}, &integer_back) && integer == integer_back);
    }
    if (tv_read_time(text, &integer)) {
        MUST(tv_read_time((tv_string){out, tv_write_time(out, integer)}, &integer_back) && integer == integer_back);
    }
    if (tv_read_duration(text, &integer)) MUST(integer >= 0);
    (void)tv_read_size(text, &size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 4096) return 0;
    char *copy = malloc(size ? size : 1); // its own allocation, so that a sanitizer sees a step beyond
    MUST(copy != NULL);
    if (size > 0) memcpy(copy, data, size);
    tv_string text = {copy, (uint32_t)size};
    check_json(text);
    check_leniently(text);
    check_members(text);
    check_numbers_and_times(text);
    free(copy);
    return 0;
}
