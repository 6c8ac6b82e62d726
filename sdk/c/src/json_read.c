// Reads JSON in one pass, checking everything (RFC 8259), building nothing. Bounded by the text: never reads behind
// its end, nests at most TV_JSON_DEPTH_MAX deep without recursion.
#include "torvyn/json.h"

#include "json_bytes.h"

typedef struct tv_json_reader {
    const char *at, *end, *start;
    const char *message; // of the first error, at `at`
} tv_json_reader;

static bool tv_json_fail(tv_json_reader *reader, const char *message) {
    reader->message = message;
    return false;
}

static __attribute__((noinline)) void tv_json_space_rest(tv_json_reader *reader) {
    for (; reader->at < reader->end; reader->at++) {
        char byte = *reader->at;
        if (byte != ' ' && byte != '\n' && byte != '\t' && byte != '\r') return;
    }
}

// Most of what sensors send has no space between tokens.
static inline void tv_json_space(tv_json_reader *reader) {
    if (__builtin_expect(reader->at < reader->end && (uint8_t)*reader->at <= ' ', 0)) tv_json_space_rest(reader);
}

static inline bool tv_json_take(tv_json_reader *reader, char byte) {
    if (reader->at >= reader->end || *reader->at != byte) return false;
    reader->at++;
    return true;
}

// ---- strings ------------------------------------------------------------------------------------------------

static bool tv_json_hex4(const char *at, const char *end, uint32_t *code) {
    uint32_t value = 0;
    if (end - at < 4) return false;
    for (int index = 0; index < 4; index++) {
        uint8_t byte = (uint8_t)at[index], letter = byte | 32;
        uint32_t digit = (uint8_t)(byte - '0') <= 9 ? byte - (uint32_t)'0' : letter - (uint32_t)'a' + 10;
        if (digit > 9 && (letter < 'a' || letter > 'f')) digit = 16;
        if (digit == 16) return false;
        value = value << 4 | digit;
    }
    *code = value;
    return true;
}

// The code point of a \u escape, `*at` behind the 'u'; a surrogate must be followed by its other half.
static bool tv_json_unicode_escape(const char **at, const char *end, uint32_t *code) {
    uint32_t high, low;
    if (!tv_json_hex4(*at, end, &high)) return false;
    *at += 4;
    *code = high;
    if (high < 0xd800 || high > 0xdfff) return true;
    if (high > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u') return false;
    if (!tv_json_hex4(*at + 2, end, &low) || low < 0xdc00 || low > 0xdfff) return false;
    *at += 6;
    *code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static bool tv_json_escape(tv_json_reader *reader) {
    const char *at = reader->at + 1;
    uint32_t code;
    if (at >= reader->end) return tv_json_fail(reader, "the string does not end");
    char letter = *at++;
    if (letter == 'u') {
        if (!tv_json_unicode_escape(&at, reader->end, &code)) return tv_json_fail(reader, "malformed \\u escape");
    } else if (letter != '"' && letter != '\\' && letter != '/' && letter != 'b' && letter != 'f' && letter != 'n' &&
               letter != 'r' && letter != 't') {
        return tv_json_fail(reader, "unknown escape");
    }
    reader->at = at;
    return true;
}

// What is not plain in a string: escapes and UTF-8. True at the closing quote.
static __attribute__((noinline)) bool tv_json_string_rest(tv_json_reader *reader, bool *escaped) {
    for (;;) {
        reader->at = tv_json_plain(reader->at, reader->end);
        if (reader->at >= reader->end) return tv_json_fail(reader, "the string does not end");
        uint8_t byte = (uint8_t)*reader->at;
        if (byte == '"') return true;
        if (byte == '\\') {
            *escaped = true;
            if (!tv_json_escape(reader)) return false;
        } else if (byte < ' ') {
            return tv_json_fail(reader, "control character in a string");
        } else {
            uint32_t length = tv_json_sequence((const uint8_t *)reader->at, (size_t)(reader->end - reader->at));
            if (length == 0) return tv_json_fail(reader, "malformed UTF-8");
            reader->at += length;
        }
    }
}

// `at` is behind the opening quote; ends behind the closing one.
static inline bool tv_json_read_string(tv_json_reader *reader, tv_json_value *value) {
    const char *start = reader->at;
    reader->at = tv_json_plain(start, reader->end);
    value->type = TV_JSON_STRING;
    value->escaped = false;
    if (__builtin_expect(reader->at >= reader->end || *reader->at != '"', 0)) {
        if (!tv_json_string_rest(reader, &value->escaped)) return false;
    }
    value->text = (tv_string){start, (uint32_t)(reader->at - start)};
    reader->at++;
    return true;
}

// ---- numbers ------------------------------------------------------------------------------------------------

static inline bool tv_json_digit(const tv_json_reader *reader, const char *at) {
    return at < reader->end && (uint8_t)(*at - '0') <= 9;
}

// Checks the grammar while it adds up the digits. At most 15 digits and 22 decimals make an exact quotient; the rest
// goes to the exact reader.
static inline bool tv_json_read_number(tv_json_reader *reader, tv_json_value *value) {
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const char *start = reader->at, *at = start;
    uint64_t digits = 0;
    bool negative = *at == '-', exponent = false;
    at += negative;
    const char *first = at, *point = NULL;
    while (tv_json_digit(reader, at)) digits = digits * 10 + (uint64_t)(*at++ - '0');
    reader->at = at;
    if (at == first) return tv_json_fail(reader, "expected a digit");
    if (*first == '0' && at > first + 1) return tv_json_fail(reader, "a number must not begin with 0");
    if (at < reader->end && *at == '.') {
        point = ++at;
        while (tv_json_digit(reader, at)) digits = digits * 10 + (uint64_t)(*at++ - '0');
        reader->at = at;
        if (at == point) return tv_json_fail(reader, "expected a digit behind the point");
    }
    const char *last = at;
    if (__builtin_expect(at < reader->end && (*at | 32) == 'e', 0)) {
        exponent = true;
        at++;
        if (at < reader->end && (*at == '+' || *at == '-')) at++;
        const char *power = at;
        while (tv_json_digit(reader, at)) at++;
        reader->at = at;
        if (at == power) return tv_json_fail(reader, "expected a digit in the exponent");
    }
    reader->at = at;
    value->type = TV_JSON_NUMBER;
    value->text = (tv_string){start, (uint32_t)(at - start)};
    if (__builtin_expect(!exponent && last - first <= 16, 1)) {
        // Sixteen characters with a point are fifteen digits; sixteen without one may exceed 2^53.
        if (point != NULL || last - first <= 15) {
            double magnitude = (double)digits / powers[point != NULL ? last - point : 0];
            value->number = negative ? -magnitude : magnitude;
            return true;
        }
    }
    if (!tv_read_f64(value->text, &value->number)) return tv_json_fail(reader, "the number is out of range");
    return true;
}

// ---- values -------------------------------------------------------------------------------------------------

static bool tv_json_read_word(tv_json_reader *reader, tv_json_value *value, const char *word, tv_json_type type) {
    size_t length = strlen(word);
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0) {
        return tv_json_fail(reader, "expected a value");
    }
    value->type = type;
    value->text = (tv_string){reader->at, (uint32_t)length};
    reader->at += length;
    return true;
}

static bool tv_json_read_nested(tv_json_reader *reader, tv_json_value *value);

static __attribute__((noinline)) bool tv_json_read_rare(tv_json_reader *reader, tv_json_value *value) {
    switch (*reader->at) {
    case 't': return tv_json_read_word(reader, value, "true", TV_JSON_TRUE);
    case 'f': return tv_json_read_word(reader, value, "false", TV_JSON_FALSE);
    case 'n': return tv_json_read_word(reader, value, "null", TV_JSON_NULL);
    case '{':
    case '[': return tv_json_read_nested(reader, value);
    default: return tv_json_fail(reader, "expected a value");
    }
}

static inline bool tv_json_read_any(tv_json_reader *reader, tv_json_value *value) {
    tv_json_space(reader);
    if (reader->at >= reader->end) return tv_json_fail(reader, "expected a value");
    char first = *reader->at;
    if (first == '"') {
        reader->at++;
        return tv_json_read_string(reader, value);
    }
    if ((uint8_t)(first - '0') <= 9 || first == '-') return tv_json_read_number(reader, value);
    return tv_json_read_rare(reader, value);
}

// `"name" :` of a member.
static inline bool tv_json_read_key(tv_json_reader *reader, tv_json_value *key) {
    tv_json_space(reader);
    if (!tv_json_take(reader, '"')) return tv_json_fail(reader, "expected a member's name");
    if (!tv_json_read_string(reader, key)) return false;
    tv_json_space(reader);
    return tv_json_take(reader, ':') || tv_json_fail(reader, "expected a colon");
}

// One bit a level says whether it is an object.
typedef struct tv_json_levels {
    uint64_t objects;
    uint32_t depth;
} tv_json_levels;

static bool tv_json_enter(tv_json_reader *reader, tv_json_levels *levels, bool object) {
    if (levels->depth == TV_JSON_DEPTH_MAX) return tv_json_fail(reader, "nested too deeply");
    levels->objects = levels->objects << 1 | object;
    levels->depth++;
    reader->at++;
    return true;
}

// Behind a value: a comma, or the ends of one or more levels. `*more` says whether another value follows.
static bool tv_json_leave(tv_json_reader *reader, tv_json_levels *levels, bool *more) {
    while (levels->depth > 0) {
        bool object = levels->objects & 1;
        tv_json_space(reader);
        if (tv_json_take(reader, ',')) {
            *more = true;
            return true;
        }
        if (!tv_json_take(reader, object ? '}' : ']')) {
            return tv_json_fail(reader, object ? "expected a comma or }" : "expected a comma or ]");
        }
        levels->objects >>= 1;
        levels->depth--;
    }
    *more = false;
    return true;
}

static __attribute__((noinline)) bool tv_json_read_nested(tv_json_reader *reader, tv_json_value *value) {
    const char *start = reader->at;
    tv_json_levels levels = {0};
    tv_json_value skipped;
    bool more = true;
    while (more) {
        bool complete = true;
        tv_json_space(reader);
        if (levels.depth > 0 && levels.objects & 1 && !tv_json_read_key(reader, &skipped)) return false;
        tv_json_space(reader);
        if (reader->at >= reader->end) return tv_json_fail(reader, "expected a value");
        if (*reader->at == '{' || *reader->at == '[') {
            bool object = *reader->at == '{';
            if (!tv_json_enter(reader, &levels, object)) return false;
            tv_json_space(reader);
            complete = tv_json_take(reader, object ? '}' : ']');
            if (complete) {
                levels.objects >>= 1;
                levels.depth--;
            }
        } else if (!tv_json_read_any(reader, &skipped)) {
            return false;
        }
        if (complete && !tv_json_leave(reader, &levels, &more)) return false;
    }
    value->type = *start == '{' ? TV_JSON_OBJECT : TV_JSON_ARRAY;
    value->text = (tv_string){start, (uint32_t)(reader->at - start)};
    return true;
}

// ---- entry points -------------------------------------------------------------------------------------------

static bool tv_json_end(tv_json_reader *reader) {
    tv_json_space(reader);
    return reader->at == reader->end || tv_json_fail(reader, "expected the end");
}

static bool tv_json_answer(const tv_json_reader *reader, bool success, tv_json_error *error) {
    if (!success && error != NULL) {
        *error = (tv_json_error){reader->message, (uint32_t)(reader->at - reader->start)};
    }
    return success;
}

int tv_json_keys_add(tv_json_keys *keys, const char *name) {
    if (keys->count == TV_JSON_KEYS_MAX) return -1;
    tv_string text = tv_string_of(name);
    bool plain = tv_json_plain(text.bytes, text.bytes + text.length) == text.bytes + text.length;
    keys->names[keys->count] = text;
    keys->plain |= (uint32_t)plain << keys->count;
    return (int)keys->count++;
}

// Equality of short texts without a call.
static inline bool tv_json_bytes_equal(const char *a, const char *b, uint32_t length) {
    uint64_t left, right;
    for (; length >= 8; length -= 8, a += 8, b += 8) {
        memcpy(&left, a, 8);
        memcpy(&right, b, 8);
        if (left != right) return false;
    }
    for (; length > 0; length--, a++, b++) {
        if (*a != *b) return false;
    }
    return true;
}

// Whether the member at hand has this name, without looking for its end first. The name has nothing in it that would
// need escaping, so equal bytes and a quote behind them are the name.
static inline bool tv_json_take_expected(tv_json_reader *reader, tv_string name) {
    const char *at = reader->at;
    if ((size_t)(reader->end - at) < (size_t)name.length + 3) return false;
    if (at[0] != '"' || at[name.length + 1] != '"' || at[name.length + 2] != ':') return false;
    if (!tv_json_bytes_equal(at + 1, name.bytes, name.length)) return false;
    reader->at = at + name.length + 3;
    return true;
}

// The index of a name; keys->count if it is not wanted.
static uint32_t tv_json_find_key(const tv_json_keys *keys, const tv_json_value *key) {
    char scratch[256];
    tv_string name = key->text;
    if (key->escaped && !tv_json_string(key, scratch, sizeof scratch, &name)) return keys->count;
    uint32_t index = 0;
    while (index < keys->count && !tv_string_equal(name, keys->names[index])) index++;
    return index;
}

// Reads the name of the next member and finds its index, trying `expected` first.
static inline bool tv_json_read_wanted_key(tv_json_reader *reader, const tv_json_keys *keys, uint32_t expected,
                                           uint32_t *index) {
    tv_json_value key;
    tv_json_space(reader);
    if (expected < keys->count && keys->plain >> expected & 1 && tv_json_take_expected(reader, keys->names[expected])) {
        *index = expected;
        return true;
    }
    if (!tv_json_read_key(reader, &key)) return false;
    *index = tv_json_find_key(keys, &key);
    return true;
}

static bool tv_json_read_members(tv_json_reader *from, const tv_json_keys *keys, tv_json_value *values) {
    tv_json_value skipped;
    uint32_t expected = 0, index;
    tv_json_space(from);
    if (!tv_json_take(from, '{')) return tv_json_fail(from, "expected {");
    tv_json_space(from);
    if (tv_json_take(from, '}')) return tv_json_end(from);
    do {
        if (!tv_json_read_wanted_key(from, keys, expected, &index)) return false;
        bool wanted = index < keys->count;
        if (wanted) expected = index + 1;
        if (!tv_json_read_any(from, wanted ? &values[index] : &skipped)) return false;
        tv_json_space(from);
    } while (tv_json_take(from, ','));
    if (!tv_json_take(from, '}')) return tv_json_fail(from, "expected a comma or }");
    return tv_json_end(from);
}

bool tv_json_read_object(tv_string text, const tv_json_keys *keys, tv_json_value *values, tv_json_error *error) {
    tv_json_reader reader = {text.bytes, text.bytes + text.length, text.bytes, NULL};
    for (uint32_t index = 0; index < keys->count; index++) values[index].type = TV_JSON_NONE;
    return tv_json_answer(&reader, tv_json_read_members(&reader, keys, values), error);
}

bool tv_json_read_value(tv_string text, tv_json_value *value, tv_json_error *error) {
    tv_json_reader reader = {text.bytes, text.bytes + text.length, text.bytes, NULL};
    return tv_json_answer(&reader, tv_json_read_any(&reader, value) && tv_json_end(&reader), error);
}

tv_json_walk tv_json_begin(const tv_json_value *object_or_array) {
    tv_string text = object_or_array->text;
    bool nested = object_or_array->type == TV_JSON_OBJECT || object_or_array->type == TV_JSON_ARRAY;
    tv_json_walk walk = {.at = text.bytes, .end = text.bytes};
    if (nested) walk = (tv_json_walk){.at = text.bytes + 1, .end = text.bytes + text.length - 1};
    walk.key.type = object_or_array->type == TV_JSON_OBJECT ? TV_JSON_STRING : TV_JSON_NONE;
    return walk;
}

bool tv_json_next(tv_json_walk *walk) {
    tv_json_reader reader = {walk->at, walk->end, walk->at, NULL};
    tv_json_space(&reader);
    if (tv_json_take(&reader, ',')) tv_json_space(&reader);
    if (reader.at >= reader.end) return false;
    if (walk->key.type != TV_JSON_NONE && !tv_json_read_key(&reader, &walk->key)) return false;
    if (!tv_json_read_any(&reader, &walk->value)) return false;
    walk->at = reader.at;
    return true;
}

// ---- escapes ------------------------------------------------------------------------------------------------

static char *tv_json_put_utf8(char *out, uint32_t code) {
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *out++ = (char)(0xe0 | code >> 12);
        } else {
            *out++ = (char)(0xf0 | code >> 18);
            *out++ = (char)(0x80 | (code >> 12 & 0x3f));
        }
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
    }
    *out++ = (char)(0x80 | (code & 0x3f));
    return out;
}

static char tv_json_escaped_letter(char letter) {
    switch (letter) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return letter;
    }
}

bool tv_json_string(const tv_json_value *value, char *scratch, uint32_t capacity, tv_string *out) {
    if (value->type != TV_JSON_STRING) return false;
    *out = value->text;
    if (!value->escaped) return true;
    const char *at = value->text.bytes, *end = at + value->text.length;
    char *to = scratch;
    while (at < end) {
        if (capacity - (uint32_t)(to - scratch) < 4 && capacity - (uint32_t)(to - scratch) < (uint32_t)(end - at)) return false;
        if (*at != '\\') {
            *to++ = *at++;
        } else if (at[1] != 'u') {
            *to++ = tv_json_escaped_letter(at[1]);
            at += 2;
        } else {
            uint32_t code;
            at += 2;
            if (!tv_json_unicode_escape(&at, end, &code)) return false;
            to = tv_json_put_utf8(to, code);
        }
    }
    *out = (tv_string){scratch, (uint32_t)(to - scratch)};
    return true;
}
