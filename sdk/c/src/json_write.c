// Writes JSON into a buffer. Each put either writes all of its text or none and sets `full`.
#include "torvyn/json.h"

#include "json_bytes.h"

static const char tv_json_hex[] = "0123456789abcdef";

// Escapes of two characters; 0 for those written as \u00xx.
static char tv_json_short_escape(char byte) {
    switch (byte) {
    case '"': return '"';
    case '\\': return '\\';
    case '\b': return 'b';
    case '\f': return 'f';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    default: return 0;
    }
}

static char *tv_json_put_escaped(char *out, char byte) {
    char letter = tv_json_short_escape(byte);
    *out++ = '\\';
    if (letter != 0) {
        *out++ = letter;
        return out;
    }
    memcpy(out, "u00", 3);
    out[3] = tv_json_hex[(uint8_t)byte >> 4];
    out[4] = tv_json_hex[byte & 15];
    return out + 5;
}

// One byte or sequence that is not plain text; malformed UTF-8 becomes U+FFFD, so that what is written is always JSON.
// At most six bytes.
static char *tv_json_put_special(char *out, const char **at, const char *end) {
    if ((uint8_t) * *at < 0x80) return tv_json_put_escaped(out, *(*at)++);
    uint32_t length = tv_json_sequence((const uint8_t *)*at, (size_t)(end - *at));
    if (length == 0) {
        memcpy(out, "\xef\xbf\xbd", 3);
        (*at)++;
        return out + 3;
    }
    memcpy(out, *at, length);
    *at += length;
    return out + length;
}

// Copies plain text while it looks for its end; `to` has room for all of it.
static inline char *tv_json_copy_plain(char *to, const char **from, const char *end) {
    const char *at = *from;
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        uint64_t hits = tv_json_special(word);
        memcpy(to, &word, 8);
        if (hits != 0) {
            uint32_t plain = (uint32_t)__builtin_ctzll(hits) / 8;
            *from = at + plain;
            return to + plain;
        }
        at += 8;
        to += 8;
    }
    while (at < end && tv_json_plain_byte(*at))
        *to++ = *at++;
    *from = at;
    return to;
}

// Quotes and escapes, without a comma.
static void tv_json_quote(tv_json_writer *writer, tv_string value) {
    const char *at = value.bytes, *end = at + value.length;
    char *to = writer->at;
    // What is left of the text, an escape and the closing quote must fit at each step.
    for (bool opened = false; (size_t)(writer->end - to) >= (size_t)(end - at) + 2;) {
        if (!opened) *to++ = '"';
        opened = true;
        to = tv_json_copy_plain(to, &at, end);
        if (at == end) {
            *to++ = '"';
            writer->at = to;
            return;
        }
        if (writer->end - to < 7) break;
        to = tv_json_put_special(to, &at, end);
    }
    writer->full = true;
}

void tv_json_put_string(tv_json_writer *writer, tv_string value) {
    if (!tv_json_room(writer, (size_t)value.length + 3)) return;
    tv_json_comma(writer);
    tv_json_quote(writer, value);
}

void tv_json_put_key(tv_json_writer *writer, tv_string name) {
    if (!tv_json_room(writer, (size_t)name.length + 4)) return;
    tv_json_comma(writer);
    tv_json_quote(writer, name);
    if (tv_json_room(writer, 1)) *writer->at++ = ':';
}

// Numbers and times are written where they go if there is room for the longest, else by way of a small buffer.
#define TV_JSON_PUT_SHORT(writer, write_call)                                                                          \
    do {                                                                                                               \
        char text[TV_NUMBER_BYTES_MAX];                                                                                \
        bool roomy = (size_t)((writer)->end - (writer)->at) > TV_NUMBER_BYTES_MAX && !(writer)->full;                  \
        if (roomy) tv_json_comma(writer);                                                                              \
        char *to = roomy ? (writer)->at : text;                                                                        \
        uint32_t length = (write_call);                                                                                \
        if (roomy)                                                                                                     \
            (writer)->at += length;                                                                                    \
        else                                                                                                           \
            tv_json_raw(writer, (tv_string){text, length});                                                            \
    } while (0)

void tv_json_put_f64(tv_json_writer *writer, double value) { TV_JSON_PUT_SHORT(writer, tv_write_f64(to, value)); }

void tv_json_put_fixed(tv_json_writer *writer, double value, uint32_t decimals) {
    TV_JSON_PUT_SHORT(writer, tv_write_fixed(to, value, decimals));
}

void tv_json_put_i64(tv_json_writer *writer, int64_t value) { TV_JSON_PUT_SHORT(writer, tv_write_i64(to, value)); }

static uint32_t tv_json_write_time(char *to, int64_t epoch_ns) {
    uint32_t length = 1 + tv_write_time(to + 1, epoch_ns);
    to[0] = to[length] = '"';
    return length + 1;
}

void tv_json_put_time(tv_json_writer *writer, int64_t epoch_ns) {
    TV_JSON_PUT_SHORT(writer, tv_json_write_time(to, epoch_ns));
}

void tv_json_members(tv_json_writer *writer, tv_string object) {
    object = tv_string_trim(object);
    if (object.length < 2) return;
    tv_string members = tv_string_trim((tv_string){object.bytes + 1, object.length - 2});
    if (members.length > 0) tv_json_raw(writer, members);
}
