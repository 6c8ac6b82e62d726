// Numbers as loggers and spreadsheets write them: ".5", "5.", "007", "+3", "21,5", "1.021,5", "true".
#ifndef GATEWAY_NUMBER_TEXT_H
#define GATEWAY_NUMBER_TEXT_H

#include <torvyn/torvyn.h>

enum { NUMBER_BYTES_MAX = 96 };

// A number in the form that JSON has for it, under construction.
typedef struct number_text {
    char bytes[NUMBER_BYTES_MAX + 8];
    uint32_t length;
} number_text;

static inline bool number_is_digit(tv_string text, uint32_t at) {
    return at < text.length && (uint8_t)(text.bytes[at] - '0') < 10;
}

// With a decimal comma, '.', a blank or an apostrophe stands in front of each three digits, the first group apart.
static inline bool number_is_group(tv_string text, uint32_t at, char decimal, uint32_t digits) {
    if (decimal != ',' || at >= text.length || digits == 0) return false;
    char c = text.bytes[at];
    if (c != '.' && c != ' ' && c != '\'') return false;
    for (uint32_t i = 1; i <= 3; i++) {
        if (!number_is_digit(text, at + i)) return false;
    }
    return !number_is_digit(text, at + 4);
}

// The digits before the decimal mark, without zeros in front and without grouping; at least one.
static inline uint32_t number_whole(tv_string text, uint32_t at, char decimal, number_text *out, uint32_t *digits) {
    uint32_t begin = out->length;
    for (*digits = 0;; at++) {
        if (number_is_digit(text, at)) {
            ++*digits;
            if (out->length == begin + 1 && out->bytes[begin] == '0') out->length--;
            out->bytes[out->length++] = text.bytes[at];
        } else if (*digits > 3 || !number_is_group(text, at, decimal, *digits)) {
            break;
        } else {
            for (; number_is_group(text, at, decimal, *digits); at += 4) {
                memcpy(out->bytes + out->length, text.bytes + at + 1, 3);
                out->length += 3;
            }
            if (number_is_digit(text, at)) return text.length + 1; // groups of other sizes
            break;
        }
    }
    if (out->length == begin) out->bytes[out->length++] = '0';
    return at;
}

static inline bool number_read_other(tv_string text, char decimal, double *value) {
    number_text out = {.length = 0};
    uint32_t at = 0, whole, from;
    if (text.length == 0 || text.length > NUMBER_BYTES_MAX) return false;
    if (text.bytes[0] == '-') out.bytes[out.length++] = '-';
    if (text.bytes[0] == '-' || text.bytes[0] == '+') at++;
    at = number_whole(text, at, decimal, &out, &whole);
    if (at < text.length && text.bytes[at] == decimal) {
        out.bytes[out.length++] = '.';
        for (from = ++at; number_is_digit(text, at); at++)
            out.bytes[out.length++] = text.bytes[at];
        if (at == from && whole == 0) return false;
        if (at == from) out.length--;
    } else if (whole == 0) {
        return false;
    }
    if (at < text.length && (text.bytes[at] | 32) != 'e') return false;
    if (at > text.length) return false;
    memcpy(out.bytes + out.length, text.bytes + at, text.length - at);
    return tv_read_f64((tv_string){out.bytes, out.length + text.length - at}, value);
}

static inline bool number_is_word(tv_string text, const char *word) {
    if (text.length != strlen(word)) return false;
    for (uint32_t i = 0; i < text.length; i++) {
        if ((text.bytes[i] | 32) != word[i]) return false;
    }
    return true;
}

// The text as a number, or as true (1) or false (0). False if it is neither, or beyond what a double holds.
static inline bool number_read(tv_string text, char decimal, double *value) {
    if (decimal == '.' && tv_read_f64(text, value)) return true;
    if (number_read_other(text, decimal, value)) return true;
    bool is_true = number_is_word(text, "true");
    if (!is_true && !number_is_word(text, "false")) return false;
    *value = is_true;
    return true;
}

#endif
