// Reading times out of a line: configured formats, ISO 8601 and epoch numbers, fast where lines look as they usually
// do.
//
// Successive readings share year to minute, so that prefix is read once and remembered; all else goes to time_text.h,
// which accepts a superset and gives the same result.
#ifndef GATEWAY_TIMES_H
#define GATEWAY_TIMES_H

#include <torvyn/torvyn.h>

#include "time_text.h"

enum { NS_PER_SECOND = 1000000000 };

static inline bool is_digit(char c) { return (uint8_t)(c - '0') < 10; }

enum { MINUTE_PREFIX_BYTES = 17, TIME_FORMATS_MAX = 8, TIME_FORMAT_BYTES = 64 }; // "2026-03-01T12:34:"

// How times are written, and what parse_iso_time remembers.
typedef struct time_memory {
    char prefix[24];
    int64_t minute_ns;
    bool valid;
    bool doubtful;   // the last local time read came twice that day, or not at all
    time_zone zone;  // of times that name no offset of their own
    int64_t unit_ns; // of epoch numbers; 0: by size
    char decimal;    // mark of epoch numbers
    uint32_t format_count;
    char formats[TIME_FORMATS_MAX][TIME_FORMAT_BYTES];
} time_memory;

static inline bool same_minute(const time_memory *memory, const char *text) {
    uint64_t a[2], b[2];
    memcpy(a, memory->prefix, 16);
    memcpy(b, text, 16);
    return memory->valid && a[0] == b[0] && a[1] == b[1] && text[16] == ':';
}

static inline void remember_minute(time_memory *memory, const char *text) {
    char whole[MINUTE_PREFIX_BYTES + 3];
    memcpy(whole, text, MINUTE_PREFIX_BYTES);
    memcpy(whole + MINUTE_PREFIX_BYTES, "00Z", 3);
    memory->valid = tv_read_time((tv_string){whole, sizeof whole}, &memory->minute_ns);
    memcpy(memory->prefix, text, MINUTE_PREFIX_BYTES);
}

static inline bool time_from(time_memory *memory, const civil_time *time, int64_t *time_ns) {
    return time_value(time, &memory->zone, &memory->doubtful, time_ns);
}

static inline bool parse_iso_slowly(time_memory *memory, tv_string text, int64_t *time_ns) {
    civil_time time;
    if (!time_read_iso(text, &time) || !time_from(memory, &time, time_ns)) return false;
    bool usual = text.length > MINUTE_PREFIX_BYTES && text.bytes[4] == '-' && text.bytes[16] == ':';
    if (usual && text.bytes[text.length - 1] == 'Z') remember_minute(memory, text.bytes);
    return true;
}

// "2026-03-01T12:34:56.789Z" in the minute remembered. False if it is anything else; what it accepts consists of the
// characters of such a time only.
static inline bool parse_iso_quickly(const time_memory *memory, tv_string text, int64_t *time_ns) {
    const char *at = text.bytes + MINUTE_PREFIX_BYTES, *end = text.bytes + text.length;
    if (text.length < 20 || text.length > 30 || end[-1] != 'Z' || !same_minute(memory, text.bytes)) return false;
    if ((uint8_t)(at[0] - '0') > 5 || !is_digit(at[1])) return false;
    int64_t result = memory->minute_ns + ((at[0] - '0') * 10 + (at[1] - '0')) * (int64_t)NS_PER_SECOND;
    at += 2;
    if (at + 1 < end) {
        if (at[0] != '.' || !is_digit(at[1])) return false;
        int64_t scale = NS_PER_SECOND, fraction = 0;
        for (at++; is_digit(*at); at++, scale /= 10)
            fraction = fraction * 10 + (*at - '0');
        if (at + 1 != end) return false;
        result += fraction * scale;
    }
    *time_ns = result;
    return true;
}

// ISO 8601 (RFC 3339) -> nanoseconds since 1970.
static inline bool parse_iso_time(time_memory *memory, tv_string text, int64_t *time_ns) {
    return parse_iso_quickly(memory, text, time_ns) || parse_iso_slowly(memory, text, time_ns);
}

// Nanoseconds of one unit of an epoch number; for unit 0 ("auto") guessed from its size: seconds below 1e11 (the
// year 5138), then milliseconds, microseconds, nanoseconds.
static inline int64_t epoch_unit_ns(int64_t configured_ns, int64_t whole) {
    int64_t size = whole < 0 ? -whole : whole;
    if (configured_ns != 0) return configured_ns;
    if (size < 100000000000) return NS_PER_SECOND;
    if (size < 100000000000000) return NS_PER_SECOND / 1000;
    return size < 100000000000000000 ? 1000 : 1;
}

// Up to 19 digits that fit into an int64_t; moves *at behind them.
static inline bool parse_digits(tv_string text, uint32_t *at, int64_t *value) {
    uint64_t digits = 0;
    uint32_t from = *at;
    while (*at < text.length && is_digit(text.bytes[*at]))
        digits = digits * 10 + (uint64_t)(text.bytes[(*at)++] - '0');
    if (*at == from || *at - from > 19 || digits > INT64_MAX) return false;
    *value = (int64_t)digits;
    return true;
}

// "1.7723664e+09" of %g: the digits are moved by the exponent, not through a double. What is finer than a nanosecond is
// cut off.
static inline bool parse_scaled_epoch(tv_string text, char decimal, int64_t configured_unit_ns, int64_t *time_ns) {
    uint32_t at = 0, from = 0;
    int32_t power = 0, exponent;
    uint64_t digits = 0, whole;
    bool point = false;
    for (; at < text.length && (is_digit(text.bytes[at]) || (text.bytes[at] == decimal && !point)); at++) {
        if (!is_digit(text.bytes[at])) {
            point = true;
            from = at + 1;
        } else if (digits < UINT64_MAX / 10 - 1) {
            digits = digits * 10 + (uint64_t)(text.bytes[at] - '0');
            power -= point;
        } else {
            power += !point;
        }
    }
    if (at == from || at + 1 >= text.length || (text.bytes[at++] | 32) != 'e') return false;
    bool negative = text.bytes[at] == '-';
    at += negative || text.bytes[at] == '+';
    if (!zone_number(text, &at, 3, &exponent) || at != text.length) return false;
    power += negative ? -exponent : exponent;
    whole = digits;
    for (int32_t i = power; i < 0 && whole > 0; i++)
        whole /= 10;
    for (int32_t i = 0; i < power && whole < (uint64_t)INT64_MAX / 10; i++)
        whole *= 10;
    int64_t unit_ns = epoch_unit_ns(configured_unit_ns, whole > INT64_MAX ? INT64_MAX : (int64_t)whole);
    for (; unit_ns > 1; unit_ns /= 10)
        power++;
    for (; power > 0 && digits > 0; power--) {
        if (__builtin_mul_overflow(digits, 10, &digits)) return false;
    }
    for (; power < 0 && digits > 0; power++)
        digits /= 10;
    *time_ns = (int64_t)digits;
    return digits <= INT64_MAX;
}

// "1772323210.25": digits are taken as they are, not through a double.
static inline bool parse_plain_epoch(tv_string text, char decimal, int64_t configured_unit_ns, int64_t *time_ns) {
    uint32_t at = 0;
    int64_t whole;
    if (!parse_digits(text, &at, &whole)) return false;
    int64_t unit_ns = epoch_unit_ns(configured_unit_ns, whole), fraction_ns = 0;
    if (at < text.length) {
        if (text.bytes[at++] != decimal || at == text.length) return false;
        for (int64_t place = unit_ns / 10; at < text.length; at++, place /= 10) {
            if (!is_digit(text.bytes[at])) return false;
            fraction_ns += (text.bytes[at] - '0') * place;
        }
    }
    return whole <= INT64_MAX / unit_ns && !__builtin_add_overflow(whole * unit_ns, fraction_ns, time_ns);
}

// A number in the given unit -> nanoseconds.
static inline bool parse_epoch(tv_string text, char decimal, int64_t configured_unit_ns, int64_t *time_ns) {
    bool negative = text.length > 0 && text.bytes[0] == '-';
    if (negative || (text.length > 0 && text.bytes[0] == '+')) text.bytes++, text.length--;
    if (!parse_plain_epoch(text, decimal, configured_unit_ns, time_ns) &&
        !parse_scaled_epoch(text, decimal, configured_unit_ns, time_ns)) {
        return false;
    }
    if (negative) *time_ns = -*time_ns;
    return true;
}

// A time in any form: the configured formats first; without formats, numbers are epochs.
static inline bool parse_time(time_memory *memory, tv_string text, int64_t *time_ns) {
    civil_time time;
    for (uint32_t i = 0; i < memory->format_count; i++) {
        if (time_read_format(text, memory->formats[i], &time)) return time_from(memory, &time, time_ns);
    }
    if (parse_iso_time(memory, text, time_ns)) return true;
    return memory->format_count == 0 && parse_epoch(text, memory->decimal, memory->unit_ns, time_ns);
}

#endif
