// Sizes and durations as text. Numbers are decimal with an optional fraction; what is finer than a byte or a
// nanosecond is cut off. Overflow is an error, never a wrap.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/option.h"

typedef struct tv_unit {
    const char *name;
    uint64_t factor;
} tv_unit;

static const tv_unit size_units[] = {
    {"B", 1},
    {"KB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"KiB", 1ull << 10},
    {"MiB", 1ull << 20},
    {"GiB", 1ull << 30},
};

// From large to small: the order in which they may follow each other.
static const tv_unit duration_units[] = {
    {"d", 86400000000000}, {"h", 3600000000000}, {"m", 60000000000}, {"s", 1000000000},
    {"ms", 1000000},       {"us", 1000},         {"ns", 1},
};
enum { DURATION_UNIT_COUNT = sizeof duration_units / sizeof *duration_units };

enum { FRACTION_DIGITS_MAX = 9 };

typedef struct decimal {
    uint64_t whole;
    uint64_t fraction; // over `scale`
    uint64_t scale;
} decimal;

typedef enum decimal_result { DECIMAL_OK, DECIMAL_MISSING, DECIMAL_OVERFLOW } decimal_result;

static decimal_result decimal_read(const char **at, decimal *number) {
    const char *p = *at;
    *number = (decimal){.scale = 1};
    if (!isdigit((unsigned char)*p)) return DECIMAL_MISSING;
    for (; isdigit((unsigned char)*p); p++) {
        if (!tv_checked_mul_u64(number->whole, 10, &number->whole) ||
            !tv_checked_add_u64(number->whole, (uint64_t)(*p - '0'), &number->whole)) {
            return DECIMAL_OVERFLOW;
        }
    }
    if (*p == '.') {
        p++;
        if (!isdigit((unsigned char)*p)) return DECIMAL_MISSING;
        for (int digits = 0; isdigit((unsigned char)*p); p++, digits++) {
            if (digits >= FRACTION_DIGITS_MAX) continue;
            number->fraction = number->fraction * 10 + (uint64_t)(*p - '0');
            number->scale *= 10;
        }
    }
    *at = p;
    return DECIMAL_OK;
}

static bool decimal_scale(const decimal *number, uint64_t factor, uint64_t *result) {
    unsigned __int128 fraction = (unsigned __int128)number->fraction * factor / number->scale;
    uint64_t whole;
    return tv_checked_mul_u64(number->whole, factor, &whole) && tv_checked_add_u64(whole, (uint64_t)fraction, result);
}

static const char *skip_spaces(const char *p) {
    while (*p == ' ')
        p++;
    return p;
}

// The unit that stands at *at, all letters of it; moves *at behind it.
static const tv_unit *unit_read(const char **at, const tv_unit *units, size_t count) {
    size_t length = 0;
    while (isalpha((unsigned char)(*at)[length]))
        length++;
    for (size_t i = 0; i < count; i++) {
        if (strlen(units[i].name) != length || strncmp(units[i].name, *at, length) != 0) continue;
        *at += length;
        return &units[i];
    }
    return NULL;
}

static tv_status size_malformed(const char *text, tv_error *error) {
    return tv_error_set(error, TV_INVALID,
                        "expected a size such as 64KiB (a number with B, KB, MB, GB, KiB, MiB or GiB), found \"%.60s\"",
                        text);
}

tv_status tv_parse_size(const char *text, uint64_t *bytes, tv_error *error) {
    const char *p = skip_spaces(text);
    decimal number;
    uint64_t factor = 1, result;
    decimal_result read = decimal_read(&p, &number);
    if (read == DECIMAL_MISSING) return size_malformed(text, error);
    p = skip_spaces(p);
    if (read == DECIMAL_OK && *p) {
        const tv_unit *unit = unit_read(&p, size_units, sizeof size_units / sizeof *size_units);
        if (!unit || *skip_spaces(p)) return size_malformed(text, error);
        factor = unit->factor;
    }
    if (read == DECIMAL_OVERFLOW || !decimal_scale(&number, factor, &result)) {
        return tv_error_set(error, TV_INVALID, "the size \"%.60s\" does not fit into 64 bits", text);
    }
    *bytes = result;
    return TV_OK;
}

static tv_status duration_malformed(const char *text, tv_error *error) {
    return tv_error_set(
        error, TV_INVALID,
        "expected a duration such as 100ms or 1h30m (numbers with d, h, m, s, ms, us or ns, the largest "
        "unit first), found \"%.60s\"",
        text);
}

static tv_status duration_overflow(const char *text, tv_error *error) {
    return tv_error_set(error, TV_INVALID, "the duration \"%.60s\" is longer than 292 years", text);
}

tv_status tv_parse_duration(const char *text, int64_t *duration_ns, tv_error *error) {
    const char *p = skip_spaces(text);
    const tv_unit *last = NULL;
    uint64_t sum = 0;
    if (strcmp(p, "0") == 0) {
        *duration_ns = 0;
        return TV_OK;
    }
    do {
        decimal number;
        uint64_t part;
        decimal_result read = decimal_read(&p, &number);
        if (read == DECIMAL_OVERFLOW) return duration_overflow(text, error);
        if (read == DECIMAL_MISSING) return duration_malformed(text, error);
        p = skip_spaces(p);
        const tv_unit *unit = unit_read(&p, duration_units, DURATION_UNIT_COUNT);
        if (!unit || (last && unit <= last)) return duration_malformed(text, error);
        last = unit;
        if (!decimal_scale(&number, unit->factor, &part) || !tv_checked_add_u64(sum, part, &sum) || sum > INT64_MAX) {
            return duration_overflow(text, error);
        }
        p = skip_spaces(p);
    } while (*p);
    *duration_ns = (int64_t)sum;
    return TV_OK;
}

// value / factor with one decimal, rounded to nearest: in tenths.
static uint64_t tenths_of(uint64_t value, uint64_t factor) {
    return (uint64_t)(((unsigned __int128)value * 10 + factor / 2) / factor);
}

static const char *print_tenths(const char *sign, uint64_t tenths, const char *unit, char out[32]) {
    if (tenths % 10) {
        snprintf(out, 32, "%s%llu.%llu %s", sign, (unsigned long long)(tenths / 10), (unsigned long long)(tenths % 10),
                 unit);
    } else {
        snprintf(out, 32, "%s%llu %s", sign, (unsigned long long)(tenths / 10), unit);
    }
    return out;
}

const char *tv_format_size(uint64_t bytes, char out[32]) {
    static const tv_unit units[] = {{"B", 1}, {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}};
    size_t i = 0;
    while (i < 3 && tenths_of(bytes, units[i].factor) >= 10240)
        i++;
    return print_tenths("", tenths_of(bytes, units[i].factor), units[i].name, out);
}

// "1 h 30 m": the value in `small`, rounded, split by the next larger unit.
static const char *print_pair(const char *sign, uint64_t value, const tv_unit *small, char out[32]) {
    const tv_unit *large = small - 1;
    uint64_t count = value / small->factor + (value % small->factor >= small->factor / 2);
    uint64_t ratio = large->factor / small->factor;
    if (count % ratio) {
        snprintf(out, 32, "%s%llu %s %llu %s", sign, (unsigned long long)(count / ratio), large->name,
                 (unsigned long long)(count % ratio), small->name);
    } else {
        snprintf(out, 32, "%s%llu %s", sign, (unsigned long long)(count / ratio), large->name);
    }
    return out;
}

const char *tv_format_duration(int64_t duration_ns, char out[32]) {
    enum { DAY, HOUR, MINUTE, SECOND, NANOSECOND = DURATION_UNIT_COUNT - 1 };
    const char *sign = duration_ns < 0 ? "-" : "";
    uint64_t value = duration_ns < 0 ? 0 - (uint64_t)duration_ns : (uint64_t)duration_ns;
    const tv_unit *units = duration_units;
    // From a minute on two units, below one unit with a decimal. The limits leave room for rounding up.
    if (value >= units[DAY].factor - units[MINUTE].factor / 2) return print_pair(sign, value, &units[HOUR], out);
    if (value >= units[HOUR].factor - units[SECOND].factor / 2) return print_pair(sign, value, &units[MINUTE], out);
    if (tenths_of(value, units[SECOND].factor) >= 600) return print_pair(sign, value, &units[SECOND], out);
    size_t i = NANOSECOND;
    while (i > SECOND && tenths_of(value, units[i].factor) >= 10000)
        i--;
    return print_tenths(sign, tenths_of(value, units[i].factor), units[i].name, out);
}
