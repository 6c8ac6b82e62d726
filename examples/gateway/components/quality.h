// Quality of a value, in the vocabularies that devices use: OPC DA's bits, OPC UA's status codes, flags, words.
//
// Words are understood in each. Numbers mean different things: OPC DA (Data Access 3.00, 6.8) has two bits of 0xc0 that
// say bad (0), uncertain (0x40) and good (0xc0), with substatus and limits around them; OPC UA (part 4, 7.39) has two
// bits of 0xc0000000 that say good (0), uncertain (0x40000000) and bad (0x80000000). So 0 is bad in one and good in the
// other. Without a choice, numbers above 65535 are OPC UA's, all others but 0 OPC DA's, and 0 is read as the last
// number that was not 0; as OPC UA's before there was one.
#ifndef GATEWAY_QUALITY_H
#define GATEWAY_QUALITY_H

#include "reading.h"

enum quality_codes { QUALITY_AUTO, QUALITY_OPC_DA, QUALITY_OPC_UA, QUALITY_FLAG };
#define QUALITY_CODES_CHOICES TV_CHOICES("auto", "opc-da", "opc-ua", "flag")

typedef struct quality_reader {
    uint8_t codes;    // enum quality_codes
    bool zero_is_bad; // auto: the last number that was not 0 was OPC DA's
    bool unknown;     // the last text was in no vocabulary (and so is bad)
} quality_reader;

static inline bool quality_letter_is(char c, char lower) { return (char)(c | 0x20) == lower; }

// Whether the text begins with `word` (lower case), whatever its own case.
static inline bool quality_begins(tv_string text, const char *word) {
    uint32_t i = 0;
    for (; word[i] != 0; i++) {
        if (i == text.length || !quality_letter_is(text.bytes[i], word[i])) return false;
    }
    return true;
}

static inline bool quality_among(tv_string text, const char *const *words) {
    for (; *words != NULL; words++) {
        if (strlen(*words) == text.length && quality_begins(text, *words)) return true;
    }
    return false;
}

// Names of OPC UA and OPC DA begin with what they mean: "BadNoCommunication", "Good, local override".
static inline uint8_t quality_of_word(tv_string text, bool *known) {
    static const char *const good[] = {"ok", "okay", "valid", "true", "yes", "normal", "g", NULL};
    static const char *const uncertain[] = {"questionable", "suspect", "doubtful", "estimated",
                                            "substituted",  "stale",   "u",        NULL};
    static const char *const bad[] = {"invalid", "false",   "no",      "error",       "fault",
                                      "failed",  "failure", "missing", "unavailable", "offline",
                                      "unknown", "none",    "nan",     "b",           NULL};
    *known = true;
    if (quality_begins(text, "good")) return QUALITY_GOOD;
    if (quality_begins(text, "uncertain")) return QUALITY_UNCERTAIN;
    if (quality_begins(text, "bad")) return QUALITY_BAD;
    if (quality_among(text, good)) return QUALITY_GOOD;
    if (quality_among(text, uncertain)) return QUALITY_UNCERTAIN;
    *known = quality_among(text, bad);
    return QUALITY_BAD;
}

static inline uint8_t quality_of_da(uint32_t code) {
    uint32_t bits = code & 0xc0;
    return bits == 0xc0 ? QUALITY_GOOD : bits == 0x40 ? QUALITY_UNCERTAIN : QUALITY_BAD;
}

static inline uint8_t quality_of_ua(uint32_t code) {
    uint32_t severity = code >> 30;
    return severity == 0 ? QUALITY_GOOD : severity == 1 ? QUALITY_UNCERTAIN : QUALITY_BAD;
}

static inline uint8_t quality_of_code(quality_reader *reader, uint32_t code) {
    switch (reader->codes) {
    case QUALITY_OPC_DA: return quality_of_da(code);
    case QUALITY_OPC_UA: return quality_of_ua(code);
    case QUALITY_FLAG: return code != 0 ? QUALITY_GOOD : QUALITY_BAD;
    default: break;
    }
    if (code == 0) return reader->zero_is_bad ? QUALITY_BAD : QUALITY_GOOD;
    reader->zero_is_bad = code <= 0xffff;
    return code <= 0xffff ? quality_of_da(code) : quality_of_ua(code);
}

static inline int quality_hex_digit(char c) {
    if ((uint8_t)(c - '0') < 10) return c - '0';
    return (uint8_t)((c | 0x20) - 'a') < 6 ? (c | 0x20) - 'a' + 10 : -1;
}

// "0x80310000" -> code, or false. Eight digits that begin with 4, 8 or C are one without the "0x": as a decimal number
// they would be no code of OPC UA.
static inline bool quality_read_hex(tv_string text, uint32_t *code) {
    bool marked =
        text.length >= 3 && text.length <= 10 && text.bytes[0] == '0' && quality_letter_is(text.bytes[1], 'x');
    bool bare = text.length == 8 && (text.bytes[0] == '4' || text.bytes[0] == '8' || (text.bytes[0] | 0x20) == 'c');
    if (!marked && !bare) return false;
    uint32_t value = 0;
    for (uint32_t i = marked ? 2 : 0; i < text.length; i++) {
        int digit = quality_hex_digit(text.bytes[i]);
        if (digit < 0) return false;
        value = value << 4 | (uint32_t)digit;
    }
    *code = value;
    return true;
}

// A code in hexadecimal, or as any number of 32 bits, with a sign or without, such as 192, 192.0 or -2147483648.
static inline bool quality_read_code(tv_string text, uint32_t *code) {
    double number;
    if (quality_letter_is(text.bytes[0], 'g')) return false; // most are "good"
    if (quality_read_hex(text, code)) return true;
    if (!tv_read_f64(text, &number) || number < -2147483648.0 || number > 4294967295.0) return false;
    int64_t whole = (int64_t)number;
    *code = (uint32_t)whole;
    return (double)whole == number;
}

// Quality of what a device wrote, without quotes; no text is good. What is in no vocabulary is bad (reader->unknown).
static inline uint8_t quality_of(quality_reader *reader, tv_string text) {
    uint32_t code;
    bool known = true;
    text = tv_string_trim(text);
    uint8_t quality = text.length == 0                 ? (uint8_t)QUALITY_GOOD
                      : quality_read_code(text, &code) ? quality_of_code(reader, code)
                                                       : quality_of_word(text, &known);
    reader->unknown = !known;
    return quality;
}

#endif
