// Byte-level routines that the JSON reader and writer share: runs of plain text, UTF-8 sequences.
//
// Eight bytes at a time (SWAR): sensors' JSON is mostly short quoted text.
#ifndef TORVYN_JSON_BYTES_H
#define TORVYN_JSON_BYTES_H

#include "torvyn/text.h"

#define TV_JSON_EACH_BYTE(value) (0x0101010101010101ull * (value))
#define TV_JSON_TOP_BITS         TV_JSON_EACH_BYTE(0x80)

// Top bit set in the first byte (lowest) that ends a run of plain text: quote, backslash, control, non-ASCII. Bytes
// above the first hit may be marked wrongly.
static inline uint64_t tv_json_special(uint64_t word) {
    uint64_t quote = word ^ TV_JSON_EACH_BYTE('"');
    uint64_t backslash = word ^ TV_JSON_EACH_BYTE('\\');
    uint64_t hits =
        (quote - TV_JSON_EACH_BYTE(1)) | (backslash - TV_JSON_EACH_BYTE(1)) | (word - TV_JSON_EACH_BYTE(' ')) | word;
    return hits & TV_JSON_TOP_BITS;
}

static inline bool tv_json_plain_byte(char byte) {
    return (uint8_t)byte >= ' ' && (uint8_t)byte < 0x80 && byte != '"' && byte != '\\';
}

// The end of the plain text that begins at `at`.
static inline const char *tv_json_plain(const char *at, const char *end) {
    // Two words a turn: each turn of a loop costs a check for interruption in the sandbox.
    while (end - at >= 16) {
        uint64_t first, second;
        memcpy(&first, at, 8);
        memcpy(&second, at + 8, 8);
        uint64_t hits = tv_json_special(first);
        if (hits != 0) return at + __builtin_ctzll(hits) / 8;
        hits = tv_json_special(second);
        if (hits != 0) return at + 8 + __builtin_ctzll(hits) / 8;
        at += 16;
    }
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        uint64_t hits = tv_json_special(word);
        if (hits != 0) return at + __builtin_ctzll(hits) / 8;
        at += 8;
    }
    while (at < end && tv_json_plain_byte(*at))
        at++;
    return at;
}

// Length of the UTF-8 sequence at `at`, which is not ASCII; 0 if it is malformed (RFC 3629: no overlong forms, no
// surrogates).
static inline uint32_t tv_json_sequence(const uint8_t *at, size_t left) {
    uint8_t first = at[0];
    if (first < 0xc2 || first > 0xf4) return 0;
    uint32_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (left < length) return 0;
    for (uint32_t index = 1; index < length; index++) {
        if ((at[index] & 0xc0) != 0x80) return 0;
    }
    if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f)) return 0;
    if ((first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f)) return 0;
    return length;
}

#endif
