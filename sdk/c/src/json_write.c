// Writes JSON into a buffer. Each put either writes all of its text or none and sets `full`.
#include "torvyn/json.h"

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

static inline bool tv_json_plain_byte(char byte) { return (uint8_t)byte >= ' ' && byte != '"' && byte != '\\'; }

// Quotes and escapes without a comma. Non-ASCII bytes go through as they are: what was read as JSON is UTF-8.
static void tv_json_quote(tv_json_writer *writer, tv_string value) {
    size_t worst = 2 + 6 * (size_t)value.length;
    size_t room = (size_t)(writer->end - writer->at);
    char *to = writer->at;
    const char *at = value.bytes, *end = at + value.length;
    if (room < (size_t)value.length + 2) {
        writer->full = true;
        return;
    }
    *to++ = '"';
    if (room >= worst) {
        for (; at < end; at++) {
            if (__builtin_expect(tv_json_plain_byte(*at), 1)) *to++ = *at;
            else to = tv_json_put_escaped(to, *at);
        }
    } else {
        for (; at < end; at++) {
            if (writer->end - to < 7) {
                if (!tv_json_plain_byte(*at) || writer->end - to < 2) break;
            }
            if (tv_json_plain_byte(*at)) *to++ = *at;
            else to = tv_json_put_escaped(to, *at);
        }
        if (at < end || to == writer->end) {
            writer->full = true;
            return;
        }
    }
    *to++ = '"';
    writer->at = to;
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
#define TV_JSON_PUT_SHORT(writer, write_call)                                                                        \
    do {                                                                                                             \
        char text[TV_NUMBER_BYTES_MAX];                                                                              \
        bool roomy = (size_t)((writer)->end - (writer)->at) > TV_NUMBER_BYTES_MAX && !(writer)->full;                \
        if (roomy) tv_json_comma(writer);                                                                            \
        char *to = roomy ? (writer)->at : text;                                                                      \
        uint32_t length = (write_call);                                                                              \
        if (roomy) (writer)->at += length;                                                                           \
        else tv_json_raw(writer, (tv_string){text, length});                                                         \
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
