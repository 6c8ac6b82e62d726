// Text without libc: views, formatted printing, numbers, times. Bounded: every writer takes a capacity, none
// allocates.
//
// Numbers are exact in both directions: the shortest decimal text that reads back as the same double, and the
// nearest double of a text (yyjson's routines underneath).
#ifndef TORVYN_TEXT_H
#define TORVYN_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__wasm__) && !__has_include(<string.h>)
void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);
#else
#include <string.h>
#endif

// Text somewhere else: not NUL-terminated, not owned.
typedef struct tv_string {
    const char *bytes;
    uint32_t length;
} tv_string;

// A view of a string literal or of a NUL-terminated string.
static inline tv_string tv_string_of(const char *text) { return (tv_string){text, (uint32_t)strlen(text)}; }

static inline bool tv_string_equal(tv_string a, tv_string b) {
    return a.length == b.length && memcmp(a.bytes, b.bytes, a.length) == 0;
}
static inline bool tv_string_is(tv_string text, const char *expected) {
    return tv_string_equal(text, tv_string_of(expected));
}
static inline tv_string tv_string_trim(tv_string text) {
    while (text.length > 0 && (uint8_t)text.bytes[0] <= ' ')
        text.bytes++, text.length--;
    while (text.length > 0 && (uint8_t)text.bytes[text.length - 1] <= ' ')
        text.length--;
    return text;
}

// printf into `out`: %d %i %u %x %c %s %.*s %p %% with l, ll, z, and %g (shortest exact), %f and %.3f for double.
// Width and zero padding (%5d, %02u) work for integers. Cuts at the capacity, always NUL-terminates (capacity > 0).
// Returns the length written, without the NUL.
uint32_t tv_format(char *out, uint32_t capacity, const char *format, ...) __attribute__((format(printf, 3, 4)));
uint32_t tv_format_list(char *out, uint32_t capacity, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

// ---- numbers ------------------------------------------------------------------------------------------------

enum { TV_NUMBER_BYTES_MAX = 48 }; // longest text of any number written below

// Shortest text that reads back as the same double ("0.1", "1e21", "-3.0" is "-3.0"); NaN and infinities are
// "null", as JSON has none. `out` has room for TV_NUMBER_BYTES_MAX. Returns the length; no NUL.
uint32_t tv_write_f64(char *out, double value);
uint32_t tv_write_i64(char *out, int64_t value);
uint32_t tv_write_u64(char *out, uint64_t value);
// `decimals` digits behind the point (0 to 9), rounded half to even in double arithmetic; as tv_write_f64 where
// value * 10^decimals does not stay below 1e15.
uint32_t tv_write_fixed(char *out, double value, uint32_t decimals);

// Read the whole text as a number in JSON's grammar (a leading '+' is accepted). False if it is none, or out of
// range; *value is untouched then. tv_read_i64 takes integers only.
bool tv_read_f64(tv_string text, double *value);
bool tv_read_i64(tv_string text, int64_t *value);

// ---- times --------------------------------------------------------------------------------------------------

enum { TV_TIME_BYTES_MAX = 40 };

// "2026-03-01T12:00:00.250Z" (RFC 3339; also a space for the T, an offset instead of Z, no offset = UTC, comma for
// the point, up to nine decimals, a leap second as the second before) -> nanoseconds since 1970. False if it is none
// or does not fit (years 1678 to 2262).
bool tv_read_time(tv_string text, int64_t *epoch_ns);
// Days since 1970-01-01 of a date that is there, in the proleptic Gregorian calendar.
int64_t tv_days_from_date(int64_t year, uint32_t month, uint32_t day);
// The opposite of tv_read_time, in UTC, with 0, 3, 6 or 9 decimals: as many as the value needs. Returns the length; no
// NUL.
uint32_t tv_write_time(char *out, int64_t epoch_ns);

// "1h30m", "250ms", "5s" -> nanoseconds. Units ns, us, ms, s, m, h, d; fractions are allowed ("1.5s").
bool tv_read_duration(tv_string text, int64_t *duration_ns);
// "64KiB", "2 MB", "4096" -> bytes.
bool tv_read_size(tv_string text, uint64_t *bytes);

// ---- hashing ------------------------------------------------------------------------------------------------

// A well-mixed 64-bit hash for record keys and tables; never 0 (0 means "no key"). The same everywhere and always.
static inline uint64_t tv_hash_mix(uint64_t value) {
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93ull;
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93ull;
    value ^= value >> 32;
    return value;
}

static inline uint64_t tv_hash_key(const void *bytes, uint32_t length) {
    const uint8_t *at = (const uint8_t *)bytes;
    uint64_t hash = 0x9e3779b97f4a7c15ull ^ length;
    uint64_t word;
    while (length >= 8) {
        memcpy(&word, at, 8);
        hash = (hash ^ word) * 0xd6e8feb86659fd93ull;
        hash ^= hash >> 32;
        at += 8;
        length -= 8;
    }
    word = 0;
    if (length >= 4) {
        uint32_t low, high;
        memcpy(&low, at, 4);
        memcpy(&high, at + length - 4, 4);
        word = (uint64_t)high << 32 | low;
    } else if (length > 0) {
        word = (uint64_t)at[0] | (uint64_t)at[length >> 1] << 8 | (uint64_t)at[length - 1] << 16;
    }
    hash = tv_hash_mix(hash ^ word);
    return hash == 0 ? 1 : hash;
}

#endif
