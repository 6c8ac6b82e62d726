// Reads JSON in one pass, checking everything (RFC 8259), building nothing. Bounded by the text: never reads behind
// its end, nests at most TV_JSON_DEPTH_MAX deep without recursion.
#include "torvyn/json.h"

#include "json_bytes.h"

// Each function takes the place to read from and returns the place behind what it read, NULL after an error. The place
// is passed by value, so that it stays in a register; only errors and the end of the text live in memory.
typedef struct tv_json_text {
    const char *end;
    const char *failed_at;
    const char *message; // of the error
    bool lenient;        // what is no value, but has an end, is passed over
    uint32_t odd;        // how many such there were
} tv_json_text;

static const char *tv_json_fail(tv_json_text *text, const char *at, const char *message) {
    text->failed_at = at;
    text->message = message;
    return NULL;
}

static bool tv_json_odd_byte(char byte) {
    uint8_t letter = (uint8_t)(byte | 32);
    return (letter >= 'a' && letter <= 'z') || (byte >= '0' && byte <= '9') || byte == '+' || byte == '-' ||
           byte == '.' || byte == '_' || byte == '#';
}

// The text at `start` is no value. Leniently read, it is one of no meaning if it looks like a number or a word: nan,
// 1e999, 007, -1.#IND.
static const char *tv_json_odd(tv_json_text *text, const char *start, tv_json_value *value, const char *at,
                               const char *message) {
    const char *behind = start;
    while (behind < text->end && tv_json_odd_byte(*behind))
        behind++;
    if (!text->lenient || behind == start) return tv_json_fail(text, at, message);
    text->odd++;
    *value = (tv_json_value){.type = TV_JSON_ODD, .text = {start, (uint32_t)(behind - start)}};
    return behind;
}

static __attribute__((noinline)) const char *tv_json_space_rest(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

// Most of what sensors send has no space between tokens.
static inline const char *tv_json_space(const char *at, const char *end) {
    return __builtin_expect(at < end && (uint8_t)*at <= ' ', 0) ? tv_json_space_rest(at, end) : at;
}

static inline bool tv_json_is(const char *at, const char *end, char byte) { return at < end && *at == byte; }

// ---- strings ------------------------------------------------------------------------------------------------

static bool tv_json_hex4(const char *at, const char *end, uint32_t *code) {
    uint32_t value = 0;
    if (end - at < 4) return false;
    for (int index = 0; index < 4; index++) {
        uint32_t byte = (uint8_t)at[index], letter = (byte | 32) - 'a', digit = byte - '0';
        if (digit > 9) digit = letter < 6 ? letter + 10 : 16;
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

static const char *tv_json_escape(tv_json_text *text, const char *start) {
    const char *at = start + 1;
    uint32_t code;
    if (at >= text->end) return tv_json_fail(text, start, "the string does not end");
    char letter = *at++;
    if (letter == 'u') {
        if (!tv_json_unicode_escape(&at, text->end, &code)) return tv_json_fail(text, start, "malformed \\u escape");
        return at;
    }
    bool known = letter == '"' || letter == '\\' || letter == '/' || letter == 'b' || letter == 'f' || letter == 'n' ||
                 letter == 'r' || letter == 't';
    return known ? at : tv_json_fail(text, start, "unknown escape");
}

// Behind what is not plain at `at`: an escape, a sequence of UTF-8.
static const char *tv_json_not_plain(tv_json_text *text, const char *at) {
    if (*at == '\\') return tv_json_escape(text, at);
    if ((uint8_t)*at < ' ') return tv_json_fail(text, at, "control character in a string");
    uint32_t length = tv_json_sequence((const uint8_t *)at, (size_t)(text->end - at));
    return length > 0 ? at + length : tv_json_fail(text, at, "malformed UTF-8");
}

// The rest of a string from the first byte on that is not plain. Returns the place of the closing quote. *type becomes
// TV_JSON_ODD if something was passed over, which is the byte at fault, or a backslash with the byte behind it.
static __attribute__((noinline)) const char *tv_json_string_rest(tv_json_text *text, const char *at, bool *escaped,
                                                                 tv_json_type *type) {
    for (;;) {
        at = tv_json_plain(at, text->end);
        if (at >= text->end) return tv_json_fail(text, at, "the string does not end");
        if (*at == '"') return at;
        bool escape = *at == '\\';
        const char *behind = tv_json_not_plain(text, at);
        if (behind == NULL && (!text->lenient || text->end - at < 2)) return NULL;
        if (behind == NULL) *type = TV_JSON_ODD;
        *escaped |= escape;
        at = behind != NULL ? behind : at + 1 + escape;
    }
}

// `start` is behind the opening quote; returns the place behind the closing one.
static inline const char *tv_json_read_string(tv_json_text *text, const char *start, tv_json_value *value) {
    const char *at = tv_json_plain(start, text->end);
    bool escaped = false;
    value->type = TV_JSON_STRING;
    if (__builtin_expect(!tv_json_is(at, text->end, '"'), 0)) {
        at = tv_json_string_rest(text, at, &escaped, &value->type);
        if (at == NULL) return NULL;
        text->odd += value->type == TV_JSON_ODD;
    }
    value->escaped = escaped;
    value->text = (tv_string){start, (uint32_t)(at - start)};
    return at + 1;
}

// ---- numbers ------------------------------------------------------------------------------------------------

static inline bool tv_json_digit(const char *at, const char *end) { return at < end && (uint8_t)(*at - '0') <= 9; }

// Adds the run of digits at `at` to *digits (overflow wraps) and returns its end. Up to seven at once, without a loop:
// the run is shifted to the end of an eight-digit number, whose pairs, fours and eights are summed by multiplications.
static inline const char *tv_json_digits(const char *at, const char *end, uint64_t *digits) {
    static const uint32_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
    if (__builtin_expect(end - at >= 8, 1)) {
        uint64_t word;
        memcpy(&word, at, 8);
        word ^= TV_JSON_EACH_BYTE('0');
        uint64_t others = ((word + TV_JSON_EACH_BYTE(0x76)) | word) & TV_JSON_TOP_BITS;
        uint32_t bits = (uint32_t)__builtin_ctzll(others | 1ull << 63) & 56; // of the run
        if (__builtin_expect(others != 0, 1)) {
            word = word << 1 << (63 - bits);
            word = (word & 0x0f0f0f0f0f0f0f0full) * 2561 >> 8;
            word = (word & 0x00ff00ff00ff00ffull) * 6553601 >> 16;
            word = (word & 0x0000ffff0000ffffull) * 42949672960001ull >> 32;
            *digits = *digits * powers[bits / 8] + word;
            return at + bits / 8;
        }
    }
    while (tv_json_digit(at, end))
        *digits = *digits * 10 + (uint64_t)(*at++ - '0');
    return at;
}

// Behind the exponent whose letter is at `at`; where a digit is missing, that place.
static const char *tv_json_exponent(const tv_json_text *text, const char *at, bool *right) {
    at++;
    if (at < text->end && (*at == '+' || *at == '-')) at++;
    *right = tv_json_digit(at, text->end);
    while (tv_json_digit(at, text->end))
        at++;
    return at;
}

// Sixteen characters with a point are at most fifteen digits, fifteen without one as well: less than 2^53, and a
// power of ten below 10^22, so the quotient is the nearest double.
static inline bool tv_json_quotient(uint64_t digits, ptrdiff_t length, ptrdiff_t decimals, double *magnitude) {
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    if (length > 15 + (decimals > 0)) return false;
    *magnitude = (double)digits / powers[decimals];
    return true;
}

// Checks the grammar while it adds up the digits; what is not a short decimal goes to the exact reader.
static inline const char *tv_json_read_number(tv_json_text *text, const char *start, tv_json_value *value) {
    const char *end = text->end;
    uint64_t digits = 0;
    bool negative = *start == '-', short_decimal = true;
    const char *first = start + negative, *at = tv_json_digits(first, end, &digits), *point = NULL;
    if (at == first) return tv_json_odd(text, start, value, at, "expected a digit");
    if (*first == '0' && at > first + 1) return tv_json_odd(text, start, value, at, "a number must not begin with 0");
    if (tv_json_is(at, end, '.')) {
        point = at + 1;
        at = tv_json_digits(point, end, &digits);
        if (at == point) return tv_json_odd(text, start, value, at, "expected a digit behind the point");
    }
    double magnitude = 0;
    short_decimal = tv_json_quotient(digits, at - first, point != NULL ? at - point : 0, &magnitude);
    if (__builtin_expect(at < end && (*at | 32) == 'e', 0)) {
        bool right;
        at = tv_json_exponent(text, at, &right);
        if (!right) return tv_json_odd(text, start, value, at, "expected a digit in the exponent");
        short_decimal = false;
    }
    value->type = TV_JSON_NUMBER;
    value->text = (tv_string){start, (uint32_t)(at - start)};
    value->number = negative ? -magnitude : magnitude;
    if (__builtin_expect(short_decimal, 1) || tv_read_f64(value->text, &value->number)) return at;
    return tv_json_odd(text, start, value, at, "the number is out of range");
}

// ---- values -------------------------------------------------------------------------------------------------

static const char *tv_json_read_word(tv_json_text *text, const char *at, tv_json_value *value, const char *word,
                                     tv_json_type type) {
    size_t length = strlen(word);
    if ((size_t)(text->end - at) < length || memcmp(at, word, length) != 0) {
        return tv_json_odd(text, at, value, at, "expected a value");
    }
    value->type = type;
    value->text = (tv_string){at, (uint32_t)length};
    return at + length;
}

static const char *tv_json_read_nested(tv_json_text *text, const char *start, tv_json_value *value);

static __attribute__((noinline)) const char *tv_json_read_rare(tv_json_text *text, const char *at,
                                                               tv_json_value *value) {
    switch (*at) {
    case 't': return tv_json_read_word(text, at, value, "true", TV_JSON_TRUE);
    case 'f': return tv_json_read_word(text, at, value, "false", TV_JSON_FALSE);
    case 'n': return tv_json_read_word(text, at, value, "null", TV_JSON_NULL);
    case '{':
    case '[': return tv_json_read_nested(text, at, value);
    default: return tv_json_odd(text, at, value, at, "expected a value");
    }
}

static inline const char *tv_json_read_any(tv_json_text *text, const char *at, tv_json_value *value) {
    at = tv_json_space(at, text->end);
    if (at >= text->end) return tv_json_fail(text, at, "expected a value");
    if (*at == '"') return tv_json_read_string(text, at + 1, value);
    if ((uint8_t)(*at - '0') <= 9 || *at == '-') return tv_json_read_number(text, at, value);
    return tv_json_read_rare(text, at, value);
}

// `"name" :` of a member.
static const char *tv_json_read_key(tv_json_text *text, const char *at, tv_json_value *key) {
    at = tv_json_space(at, text->end);
    if (!tv_json_is(at, text->end, '"')) return tv_json_fail(text, at, "expected a member's name");
    at = tv_json_read_string(text, at + 1, key);
    if (at == NULL) return NULL;
    at = tv_json_space(at, text->end);
    return tv_json_is(at, text->end, ':') ? at + 1 : tv_json_fail(text, at, "expected a colon");
}

// One bit a level says whether it is an object.
typedef struct tv_json_levels {
    uint64_t objects;
    uint32_t depth;
} tv_json_levels;

static inline bool tv_json_in_object(const tv_json_levels *levels) { return levels->depth > 0 && levels->objects & 1; }

static void tv_json_leave(tv_json_levels *levels) {
    levels->objects >>= 1;
    levels->depth--;
}

// Behind a value: past a comma, or past the ends of one or more levels; with the outermost the depth is 0.
static const char *tv_json_behind(tv_json_text *text, const char *at, tv_json_levels *levels) {
    while (levels->depth > 0) {
        bool object = tv_json_in_object(levels);
        at = tv_json_space(at, text->end);
        if (tv_json_is(at, text->end, ',')) return at + 1;
        if (!tv_json_is(at, text->end, object ? '}' : ']')) {
            return tv_json_fail(text, at, object ? "expected a comma or }" : "expected a comma or ]");
        }
        at++;
        tv_json_leave(levels);
    }
    return at;
}

static __attribute__((noinline)) const char *tv_json_read_nested(tv_json_text *text, const char *start,
                                                                 tv_json_value *value) {
    tv_json_levels levels = {0};
    tv_json_value skipped;
    const char *at = start;
    do {
        if (tv_json_in_object(&levels)) at = tv_json_read_key(text, at, &skipped);
        if (at == NULL) return NULL;
        at = tv_json_space(at, text->end);
        if (tv_json_is(at, text->end, '{') || tv_json_is(at, text->end, '[')) {
            if (levels.depth == TV_JSON_DEPTH_MAX) return tv_json_fail(text, at, "nested too deeply");
            bool object = *at == '{';
            levels.objects = levels.objects << 1 | object;
            levels.depth++;
            at = tv_json_space(at + 1, text->end);
            if (!tv_json_is(at, text->end, object ? '}' : ']')) continue;
            at++;
            tv_json_leave(&levels);
        } else {
            at = tv_json_read_any(text, at, &skipped);
            if (at == NULL) return NULL;
        }
        at = tv_json_behind(text, at, &levels);
        if (at == NULL) return NULL;
    } while (levels.depth > 0);
    value->type = *start == '{' ? TV_JSON_OBJECT : TV_JSON_ARRAY;
    value->text = (tv_string){start, (uint32_t)(at - start)};
    return at;
}

// ---- entry points -------------------------------------------------------------------------------------------

static bool tv_json_answer(tv_json_text *text, const char *start, const char *at, tv_json_error *error) {
    if (at != NULL) {
        at = tv_json_space(at, text->end);
        if (at == text->end) return true;
        (void)tv_json_fail(text, at, "expected the end");
    }
    if (error != NULL) *error = (tv_json_error){text->message, (uint32_t)(text->failed_at - start)};
    return false;
}

// The name has nothing in it that would need escaping, so equal bytes between the quotes are the name.
static void tv_json_set_pattern(tv_json_keys *keys, uint32_t index, tv_string name) {
    uint32_t length = name.length + 3;
    if (length > sizeof keys->patterns[0].words) return;
    if (tv_json_plain(name.bytes, name.bytes + name.length) != name.bytes + name.length) return;
    char *text = (char *)keys->patterns[index].words;
    text[0] = '"';
    memcpy(text + 1, name.bytes, name.length);
    memcpy(text + 1 + name.length, "\":", 2);
    uint32_t last = (length - 1) % 8 + 1;
    keys->patterns[index].last_mask = last == 8 ? UINT64_MAX : (1ull << 8 * last) - 1;
    keys->patterns[index].word_count = (length + 7) / 8;
    keys->patterns[index].length = length;
}

int tv_json_keys_add_string(tv_json_keys *keys, tv_string name) {
    if (keys->count == TV_JSON_KEYS_MAX) return -1;
    keys->names[keys->count] = name;
    tv_json_set_pattern(keys, keys->count, name);
    return (int)keys->count++;
}

int tv_json_keys_add(tv_json_keys *keys, const char *name) { return tv_json_keys_add_string(keys, tv_string_of(name)); }

// Behind `"name":` if the member at `at` has this name, else NULL, without looking for the end of its name first. Needs
// whole words, so it also answers NULL close to the end of the text.
static inline const char *tv_json_expected_key(const char *at, const char *end, const tv_json_keys *keys,
                                               uint32_t index) {
    uint32_t count = keys->patterns[index].word_count, word = 0;
    uint64_t found;
    if (count == 0 || end - at < (ptrdiff_t)count * 8) return NULL;
    for (; word + 1 < count; word++) {
        memcpy(&found, at + 8 * word, 8);
        if (found != keys->patterns[index].words[word]) return NULL;
    }
    memcpy(&found, at + 8 * word, 8);
    if ((found & keys->patterns[index].last_mask) != keys->patterns[index].words[word]) return NULL;
    return at + keys->patterns[index].length;
}

// The index of a name; keys->count if it is not wanted.
static uint32_t tv_json_find_key(const tv_json_keys *keys, const tv_json_value *key) {
    char scratch[256];
    tv_string name = key->text;
    if (key->escaped && !tv_json_string(key, scratch, sizeof scratch, &name)) return keys->count;
    uint32_t index = 0;
    while (index < keys->count && !tv_string_equal(name, keys->names[index]))
        index++;
    return index;
}

// Reads the name of the next member and finds its index, trying `expected` first.
static inline const char *tv_json_wanted_key(tv_json_text *text, const char *at, const tv_json_keys *keys,
                                             uint32_t expected, uint32_t *index) {
    tv_json_value key;
    if (expected < keys->count) {
        const char *behind = tv_json_expected_key(at, text->end, keys, expected);
        if (behind != NULL) {
            *index = expected;
            return behind;
        }
    }
    at = tv_json_read_key(text, at, &key);
    if (at != NULL) *index = tv_json_find_key(keys, &key);
    return at;
}

static const char *tv_json_read_members(tv_json_text *text, const char *at, const tv_json_keys *keys,
                                        tv_json_value *values) {
    tv_json_value skipped;
    uint32_t expected = 0, index = 0;
    at = tv_json_space(at, text->end);
    if (!tv_json_is(at, text->end, '{')) return tv_json_fail(text, at, "expected {");
    at = tv_json_space(at + 1, text->end);
    if (tv_json_is(at, text->end, '}')) return at + 1;
    for (;; at++) {
        at = tv_json_wanted_key(text, at, keys, expected, &index);
        if (at == NULL) return NULL;
        bool wanted = index < keys->count;
        if (wanted) expected = index + 1;
        at = tv_json_read_any(text, at, wanted ? &values[index] : &skipped);
        if (at == NULL) return NULL;
        at = tv_json_space(at, text->end);
        if (tv_json_is(at, text->end, '}')) return at + 1;
        if (!tv_json_is(at, text->end, ',')) return tv_json_fail(text, at, "expected a comma or }");
    }
}

bool tv_json_read_object(tv_string bytes, const tv_json_keys *keys, tv_json_value *values, tv_json_error *error) {
    tv_json_text text = {.end = bytes.bytes + bytes.length};
    for (uint32_t index = 0; index < keys->count; index++)
        values[index].type = TV_JSON_NONE;
    return tv_json_answer(&text, bytes.bytes, tv_json_read_members(&text, bytes.bytes, keys, values), error);
}

bool tv_json_read_object_leniently(tv_string bytes, const tv_json_keys *keys, tv_json_value *values, uint32_t *odd,
                                   tv_json_error *error) {
    tv_json_text text = {.end = bytes.bytes + bytes.length, .lenient = true};
    for (uint32_t index = 0; index < keys->count; index++)
        values[index].type = TV_JSON_NONE;
    const char *at = tv_json_read_members(&text, bytes.bytes, keys, values);
    *odd = text.odd;
    return tv_json_answer(&text, bytes.bytes, at, error);
}

bool tv_json_read_value(tv_string bytes, tv_json_value *value, tv_json_error *error) {
    tv_json_text text = {.end = bytes.bytes + bytes.length};
    return tv_json_answer(&text, bytes.bytes, tv_json_read_any(&text, bytes.bytes, value), error);
}

bool tv_json_read_value_leniently(tv_string bytes, tv_json_value *value, uint32_t *odd, tv_json_error *error) {
    tv_json_text text = {.end = bytes.bytes + bytes.length, .lenient = true};
    const char *at = tv_json_read_any(&text, bytes.bytes, value);
    *odd = text.odd;
    return tv_json_answer(&text, bytes.bytes, at, error);
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
    tv_json_text text = {.end = walk->end, .lenient = true}; // what is there has been accepted, strictly or not
    const char *at = tv_json_space(walk->at, walk->end);
    if (tv_json_is(at, walk->end, ',')) at = tv_json_space(at + 1, walk->end);
    if (at >= walk->end) return false;
    if (walk->key.type != TV_JSON_NONE) at = tv_json_read_key(&text, at, &walk->key);
    if (at != NULL) at = tv_json_read_any(&text, at, &walk->value);
    if (at == NULL) return false;
    walk->at = at;
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
        if (capacity - (uint32_t)(to - scratch) < 4 && capacity - (uint32_t)(to - scratch) < (uint32_t)(end - at))
            return false;
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
