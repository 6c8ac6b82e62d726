// Reading times out of a line: ISO 8601 and epoch numbers, fast where lines look as they usually do.
//
// Successive readings share year to minute, so that prefix is read once and remembered; all else goes to the SDK's
// tv_read_time, which accepts a superset and gives the same result.
#ifndef GATEWAY_TIMES_H
#define GATEWAY_TIMES_H

#include <torvyn/torvyn.h>

enum { NS_PER_SECOND = 1000000000 };

static inline bool is_digit(char c) { return (uint8_t)(c - '0') < 10; }

enum { MINUTE_PREFIX_BYTES = 17 }; // "2026-03-01T12:34:"

// What parse_iso_time remembers.
typedef struct time_memory {
    char prefix[24];
    int64_t minute_ns;
    int64_t offset_ns; // of times that name no offset of their own: local time minus UTC
    bool valid;
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

// Whether a time says its offset: "Z", or a sign behind the time of day.
static inline bool names_offset(tv_string text) {
    for (uint32_t i = 11; i < text.length; i++) {
        char c = text.bytes[i];
        if (c == 'Z' || c == 'z' || c == '+' || c == '-') return true;
    }
    return false;
}

static inline bool parse_iso_slowly(time_memory *memory, tv_string text, int64_t *time_ns) {
    if (!tv_read_time(text, time_ns)) return false;
    if (!names_offset(text)) return !__builtin_sub_overflow(*time_ns, memory->offset_ns, time_ns);
    if (text.bytes[text.length - 1] == 'Z') remember_minute(memory, text.bytes);
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

// "1772323210.25" in the given unit -> nanoseconds; digits are taken as they are, not through a double.
static inline bool parse_epoch(tv_string text, int64_t configured_unit_ns, int64_t *time_ns) {
    bool negative = text.length > 0 && text.bytes[0] == '-';
    uint32_t at = negative;
    int64_t whole, result;
    if (!parse_digits(text, &at, &whole)) return false;
    int64_t unit_ns = epoch_unit_ns(configured_unit_ns, whole), fraction_ns = 0;
    if (at < text.length) {
        if (text.bytes[at++] != '.' || at == text.length) return false;
        for (int64_t place = unit_ns / 10; at < text.length; at++, place /= 10) {
            if (!is_digit(text.bytes[at])) return false;
            fraction_ns += (text.bytes[at] - '0') * place;
        }
    }
    if (whole > INT64_MAX / unit_ns || __builtin_add_overflow(whole * unit_ns, fraction_ns, &result)) return false;
    *time_ns = negative ? -result : result;
    return true;
}

#endif
