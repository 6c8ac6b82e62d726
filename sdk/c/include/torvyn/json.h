// JSON for components: reading without a tree, writing into a buffer of the author's. Nothing allocates.
//
// Reading checks the whole text against RFC 8259 (UTF-8 included) and hands out the members one asks for, in one
// pass; nested objects and lists come as text that tv_json_next walks through. Numbers are exact both ways. Of
// members with the same name the last one counts. For a tree in a fixed pool there is torvyn/yyjson.h.
#ifndef TORVYN_JSON_H
#define TORVYN_JSON_H

#include "torvyn/text.h"

// ---- reading ------------------------------------------------------------------------------------------------

typedef enum tv_json_type {
    TV_JSON_NONE, // not there
    TV_JSON_NULL,
    TV_JSON_FALSE,
    TV_JSON_TRUE,
    TV_JSON_NUMBER,
    TV_JSON_STRING,
    TV_JSON_OBJECT,
    TV_JSON_ARRAY,
    TV_JSON_ODD, // leniently read: no value, but one can tell where it ends
} tv_json_type;

// A value where it stands. `text`: of a string what is between the quotes, otherwise all of it.
typedef struct tv_json_value {
    tv_string text;
    double number; // of TV_JSON_NUMBER
    tv_json_type type;
    bool escaped; // a string with backslashes in it: use tv_json_string for what it means
} tv_json_value;

typedef struct tv_json_error {
    const char *message; // "expected a colon"
    uint32_t offset;     // in the text, bytes
} tv_json_error;

enum { TV_JSON_KEYS_MAX = 160, TV_JSON_KEY_WORDS = 4, TV_JSON_DEPTH_MAX = 64 };

// The member names one wants, in the order of the values; the strings are borrowed. Zero-initialise. Members that come
// in this order are found fastest.
typedef struct tv_json_keys {
    tv_string names[TV_JSON_KEYS_MAX];
    // `"name":` as it stands in most texts, for a quick comparison; 0 words: too long, or with escapes.
    struct {
        uint64_t words[TV_JSON_KEY_WORDS];
        uint64_t last_mask;
        uint32_t word_count, length;
    } patterns[TV_JSON_KEYS_MAX];
    uint32_t count;
} tv_json_keys;

// Adds a name and returns its index, or -1 if there are TV_JSON_KEYS_MAX already.
int tv_json_keys_add(tv_json_keys *keys, const char *name);
int tv_json_keys_add_string(tv_json_keys *keys, tv_string name);

// Reads a text that is one object: values[i] is the member called keys->names[i], TV_JSON_NONE if it is missing.
// False with *error if the text is anything else.
bool tv_json_read_object(tv_string text, const tv_json_keys *keys, tv_json_value *values, tv_json_error *error);

// Reads a text that is one value of any type.
bool tv_json_read_value(tv_string text, tv_json_value *value, tv_json_error *error);

// The same for text of devices that bend the rules: numbers and words that JSON has not (nan, 1e999, 007, None), and
// strings with malformed UTF-8, escapes or control characters are values of type TV_JSON_ODD, and *odd says how many
// there were. So what nobody asks for does not cost the rest.
bool tv_json_read_object_leniently(tv_string text, const tv_json_keys *keys, tv_json_value *values, uint32_t *odd,
                                   tv_json_error *error);
bool tv_json_read_value_leniently(tv_string text, tv_json_value *value, uint32_t *odd, tv_json_error *error);

// Walks through the members of an object or the items of a list that has been read (its text is known to be right).
typedef struct tv_json_walk {
    const char *at, *end;
    tv_json_value key; // TV_JSON_NONE in a list
    tv_json_value value;
} tv_json_walk;
tv_json_walk tv_json_begin(const tv_json_value *object_or_array);
bool tv_json_next(tv_json_walk *walk);

// The number, if it is one that fits; for integers beyond 2^53 use tv_json_i64.
static inline bool tv_json_f64(const tv_json_value *value, double *out) {
    if (value->type != TV_JSON_NUMBER) return false;
    *out = value->number;
    return true;
}
static inline bool tv_json_i64(const tv_json_value *value, int64_t *out) {
    return value->type == TV_JSON_NUMBER && tv_read_i64(value->text, out);
}
static inline bool tv_json_bool(const tv_json_value *value, bool *out) {
    if (value->type != TV_JSON_TRUE && value->type != TV_JSON_FALSE) return false;
    *out = value->type == TV_JSON_TRUE;
    return true;
}
// The string with its escapes resolved: a view into the text if it has none, else written into `scratch`. False if
// it is no string or does not fit (`text.length` bytes always suffice).
bool tv_json_string(const tv_json_value *value, char *scratch, uint32_t capacity, tv_string *out);

// ---- writing ------------------------------------------------------------------------------------------------

// Writes into a buffer; commas set themselves. What does not fit is not written, and `full` stays set, so one check
// at the end is enough.
typedef struct tv_json_writer {
    char *at, *start, *end;
    bool full;
} tv_json_writer;

static inline tv_json_writer tv_json_writer_of(void *buffer, uint32_t capacity) {
    return (tv_json_writer){(char *)buffer, (char *)buffer, (char *)buffer + capacity, false};
}
static inline uint32_t tv_json_length(const tv_json_writer *writer) { return (uint32_t)(writer->at - writer->start); }

// Room for `bytes` more, or `full`.
static inline bool tv_json_room(tv_json_writer *writer, size_t bytes) {
    if (__builtin_expect((size_t)(writer->end - writer->at) >= bytes, 1)) return !writer->full;
    writer->full = true;
    return false;
}

// The comma in front of a value, unless one of { [ : , or nothing stands there.
static inline void tv_json_comma(tv_json_writer *writer) {
    if (writer->at == writer->start) return;
    char last = writer->at[-1];
    if (last != '{' && last != '[' && last != ':' && last != ',' && last != '\n') *writer->at++ = ',';
}

static inline void tv_json_put_open(tv_json_writer *writer, char bracket) {
    if (!tv_json_room(writer, 2)) return;
    tv_json_comma(writer);
    *writer->at++ = bracket;
}
static inline void tv_json_put_close(tv_json_writer *writer, char bracket) {
    if (tv_json_room(writer, 1)) *writer->at++ = bracket;
}
static inline void tv_json_object(tv_json_writer *writer) { tv_json_put_open(writer, '{'); }
static inline void tv_json_object_end(tv_json_writer *writer) { tv_json_put_close(writer, '}'); }
static inline void tv_json_array(tv_json_writer *writer) { tv_json_put_open(writer, '['); }
static inline void tv_json_array_end(tv_json_writer *writer) { tv_json_put_close(writer, ']'); }

// Text that is JSON already: a whole value, or members "a":1,"b":2.
static inline void tv_json_raw(tv_json_writer *writer, tv_string text) {
    if (!tv_json_room(writer, (size_t)text.length + 1)) return;
    tv_json_comma(writer);
    memcpy(writer->at, text.bytes, text.length);
    writer->at += text.length;
}
// The members of an object that has been read, without its braces: for stages that add to what they got.
void tv_json_members(tv_json_writer *writer, tv_string object);

// A string from the outside: quoted and escaped.
void tv_json_put_string(tv_json_writer *writer, tv_string value);
void tv_json_put_f64(tv_json_writer *writer, double value);                      // shortest exact; NaN: null
void tv_json_put_fixed(tv_json_writer *writer, double value, uint32_t decimals); // rounded
void tv_json_put_i64(tv_json_writer *writer, int64_t value);
void tv_json_put_time(tv_json_writer *writer, int64_t epoch_ns); // as RFC 3339 string
static inline void tv_json_put_bool(tv_json_writer *writer, bool value) {
    tv_json_raw(writer, value ? (tv_string){"true", 4} : (tv_string){"false", 5});
}
static inline void tv_json_put_null(tv_json_writer *writer) { tv_json_raw(writer, (tv_string){"null", 4}); }

// A member's name; a literal without characters that need escaping (else tv_json_put_key). Any put or
// tv_json_object, tv_json_array follows.
static inline void tv_json_key(tv_json_writer *writer, const char *name) {
    size_t length = strlen(name);
    if (!tv_json_room(writer, length + 4)) return;
    tv_json_comma(writer);
    *writer->at++ = '"';
    memcpy(writer->at, name, length);
    writer->at += length;
    *writer->at++ = '"';
    *writer->at++ = ':';
}
void tv_json_put_key(tv_json_writer *writer, tv_string name);

static inline void tv_json_member_string(tv_json_writer *writer, const char *name, tv_string value) {
    tv_json_key(writer, name);
    tv_json_put_string(writer, value);
}
static inline void tv_json_member_f64(tv_json_writer *writer, const char *name, double value) {
    tv_json_key(writer, name);
    tv_json_put_f64(writer, value);
}
static inline void tv_json_member_fixed(tv_json_writer *writer, const char *name, double value, uint32_t decimals) {
    tv_json_key(writer, name);
    tv_json_put_fixed(writer, value, decimals);
}
static inline void tv_json_member_i64(tv_json_writer *writer, const char *name, int64_t value) {
    tv_json_key(writer, name);
    tv_json_put_i64(writer, value);
}
static inline void tv_json_member_bool(tv_json_writer *writer, const char *name, bool value) {
    tv_json_key(writer, name);
    tv_json_put_bool(writer, value);
}
static inline void tv_json_member_time(tv_json_writer *writer, const char *name, int64_t epoch_ns) {
    tv_json_key(writer, name);
    tv_json_put_time(writer, epoch_ns);
}
static inline void tv_json_member_raw(tv_json_writer *writer, const char *name, tv_string text) {
    tv_json_key(writer, name);
    tv_json_raw(writer, text);
}

#endif
