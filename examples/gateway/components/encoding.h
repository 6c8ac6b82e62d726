// Bytes of a line to UTF-8: byte order marks, the single-byte encodings of Western loggers, and what is none of it.
#ifndef GATEWAY_ENCODING_H
#define GATEWAY_ENCODING_H

#include <torvyn/torvyn.h>

enum { ENCODING_ROOM = 65536 }; // of a converted line

enum encoding { ENCODING_UTF8, ENCODING_LATIN1, ENCODING_WINDOWS_1252 };
#define ENCODING_CHOICES TV_CHOICES("utf-8", "latin1", "windows-1252")

// Code points of 0x80 to 0x9f in Windows-1252; 0: there is none.
static inline uint32_t encoding_of_windows(uint8_t byte) {
    static const uint16_t codes[] = {0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
                                     0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017d, 0,
                                     0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                     0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178};
    return byte >= 0x80 && byte < 0xa0 ? codes[byte - 0x80] : byte;
}

// Writes the line in UTF-8. False if it does not fit, or at the byte *at, which is no character.
static inline bool encoding_convert(int encoding, tv_string line, char room[ENCODING_ROOM], tv_string *converted,
                                    uint32_t *at) {
    uint32_t length = 0;
    for (*at = 0; *at < line.length; (*at)++) {
        uint8_t byte = (uint8_t)line.bytes[*at];
        uint32_t code = encoding == ENCODING_LATIN1 ? byte : encoding_of_windows(byte);
        if (length + 3 > ENCODING_ROOM || (code == 0 && byte != 0)) return false;
        if (code < 0x80) {
            room[length++] = (char)code;
            continue;
        }
        if (code >= 0x800) room[length++] = (char)(0xe0 | code >> 12);
        room[length++] = (char)(code >= 0x800 ? 0x80 | (code >> 6 & 0x3f) : 0xc0 | code >> 6);
        room[length++] = (char)(0x80 | (code & 0x3f));
    }
    *converted = (tv_string){room, length};
    return true;
}

// Length of the UTF-8 sequence at the front of a text that is not empty (RFC 3629); 0: there is none.
static inline uint32_t encoding_sequence(const uint8_t *at, uint32_t left) {
    if (at[0] < 0x80) return 1;
    uint32_t length = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (at[0] < 0xc2 || at[0] > 0xf4 || left < length) return 0;
    for (uint32_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
    }
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool beyond = (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf4 && at[1] > 0x8f);
    return overlong || beyond ? 0 : length;
}

static inline bool encoding_is_utf8(tv_string text) {
    uint32_t step;
    for (uint32_t at = 0; at < text.length; at += step) {
        step = encoding_sequence((const uint8_t *)text.bytes + at, text.length - at);
        if (step == 0) return false;
    }
    return true;
}

// Without the byte order mark that editors and spreadsheets put in front of UTF-8.
static inline tv_string encoding_without_mark(tv_string text) {
    bool marked = text.length >= 3 && memcmp(text.bytes, "\xef\xbb\xbf", 3) == 0;
    return marked ? (tv_string){text.bytes + 3, text.length - 3} : text;
}

// Whether the text begins with the mark of UTF-16 or UTF-32.
static inline bool encoding_is_wide(tv_string text) {
    if (text.length < 2 || (uint8_t)text.bytes[0] < 0xfe) return false;
    return memcmp(text.bytes, "\xff\xfe", 2) == 0 || memcmp(text.bytes, "\xfe\xff", 2) == 0;
}

#endif
