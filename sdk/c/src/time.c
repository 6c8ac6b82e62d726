// Times as RFC 3339 text, durations ("1h30m") and sizes ("64KiB"). Pure; integers only, so that results are exact.
#include "torvyn/text.h"

#define TV_SECOND_NS 1000000000ll
#define TV_DAY_S     86400ll

// ---- calendar -----------------------------------------------------------------------------------------------

// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March, so that the leap day is the
// last.
int64_t tv_days_from_date(int64_t year, uint32_t month, uint32_t day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    uint32_t year_of_era = (uint32_t)(year - era * 400);
    uint32_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    uint32_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + (int64_t)day_of_era - 719468;
}

typedef struct tv_date {
    int64_t year;
    uint32_t month, day;
} tv_date;

static tv_date tv_date_from_days(int64_t days) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    uint32_t day_of_era = (uint32_t)(days - era * 146097);
    uint32_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t shifted_month = (5 * day_of_year + 2) / 153;
    uint32_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    return (tv_date){(int64_t)year_of_era + era * 400 + (month <= 2), month,
                     day_of_year - (153 * shifted_month + 2) / 5 + 1};
}

static uint32_t tv_days_in_month(int64_t year, uint32_t month) {
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[(month - 1) % 12];
}

// ---- reading ------------------------------------------------------------------------------------------------

typedef struct tv_time_reader {
    const char *at, *end;
    bool failed;
} tv_time_reader;

static uint32_t tv_time_digits(tv_time_reader *reader, uint32_t count) {
    uint32_t value = 0;
    for (; count > 0; count--, reader->at++) {
        uint32_t digit = reader->at < reader->end ? (uint32_t)(uint8_t)*reader->at - '0' : 10;
        if (digit > 9) {
            reader->failed = true;
            return 0;
        }
        value = value * 10 + digit;
    }
    return value;
}

static bool tv_time_take(tv_time_reader *reader, const char *any_of) {
    if (reader->at >= reader->end) return false;
    for (; *any_of != 0; any_of++) {
        if (*reader->at == *any_of) {
            reader->at++;
            return true;
        }
    }
    return false;
}

static void tv_time_expect(tv_time_reader *reader, const char *any_of) {
    if (!tv_time_take(reader, any_of)) reader->failed = true;
}

static uint32_t tv_time_range(tv_time_reader *reader, uint32_t count, uint32_t min, uint32_t max) {
    uint32_t value = tv_time_digits(reader, count);
    if (value < min || value > max) reader->failed = true;
    return value;
}

// Up to nine decimals behind a point, in nanoseconds.
static int64_t tv_time_fraction(tv_time_reader *reader) {
    if (!tv_time_take(reader, ".,")) return 0;
    int64_t value = 0, unit = TV_SECOND_NS;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9' && unit > 1) {
        unit /= 10;
        value += (*reader->at++ - '0') * unit;
    }
    if (unit == TV_SECOND_NS) reader->failed = true;
    return value;
}

// Seconds east of UTC.
static int64_t tv_time_zone(tv_time_reader *reader) {
    if (reader->at == reader->end || tv_time_take(reader, "Zz")) return 0;
    bool west = *reader->at == '-';
    tv_time_expect(reader, "+-");
    int64_t seconds = tv_time_range(reader, 2, 0, 23) * 3600ll;
    (void)tv_time_take(reader, ":");
    if (reader->at < reader->end) seconds += tv_time_range(reader, 2, 0, 59) * 60ll;
    return west ? -seconds : seconds;
}

bool tv_read_time(tv_string text, int64_t *epoch_ns) {
    tv_time_reader reader = {text.bytes, text.bytes + text.length, false};
    uint32_t year = tv_time_digits(&reader, 4);
    tv_time_expect(&reader, "-");
    uint32_t month = tv_time_range(&reader, 2, 1, 12);
    tv_time_expect(&reader, "-");
    uint32_t day = tv_time_digits(&reader, 2);
    tv_time_expect(&reader, "Tt ");
    uint32_t hour = tv_time_range(&reader, 2, 0, 23);
    tv_time_expect(&reader, ":");
    uint32_t minute = tv_time_range(&reader, 2, 0, 59);
    uint32_t second = 0;
    if (tv_time_take(&reader, ":")) second = tv_time_range(&reader, 2, 0, 60);
    int64_t fraction = tv_time_fraction(&reader);
    int64_t zone = tv_time_zone(&reader);
    if (reader.failed || reader.at != reader.end) return false;
    if (day < 1 || day > tv_days_in_month(year, month)) return false;
    if (second == 60) second = 59;
    int64_t seconds = tv_days_from_date(year, month, day) * TV_DAY_S + hour * 3600ll + minute * 60ll + second - zone;
    int64_t result;
    if (seconds < INT64_MIN / TV_SECOND_NS || seconds > INT64_MAX / TV_SECOND_NS) return false;
    if (__builtin_add_overflow(seconds * TV_SECOND_NS, fraction, &result)) return false;
    *epoch_ns = result;
    return true;
}

// ---- writing ------------------------------------------------------------------------------------------------

static char *tv_time_put(char *out, uint64_t value, uint32_t digits) {
    for (uint32_t at = digits; at > 0; at--, value /= 10)
        out[at - 1] = (char)('0' + value % 10);
    return out + digits;
}

uint32_t tv_write_time(char *out, int64_t epoch_ns) {
    int64_t seconds = epoch_ns / TV_SECOND_NS;
    int64_t fraction = epoch_ns % TV_SECOND_NS;
    if (fraction < 0) {
        fraction += TV_SECOND_NS;
        seconds--;
    }
    int64_t days = seconds / TV_DAY_S - (seconds % TV_DAY_S < 0);
    uint32_t of_day = (uint32_t)(seconds - days * TV_DAY_S);
    tv_date date = tv_date_from_days(days);
    char *at = tv_time_put(out, (uint64_t)date.year, 4);
    *at++ = '-';
    at = tv_time_put(at, date.month, 2);
    *at++ = '-';
    at = tv_time_put(at, date.day, 2);
    *at++ = 'T';
    at = tv_time_put(at, of_day / 3600, 2);
    *at++ = ':';
    at = tv_time_put(at, of_day / 60 % 60, 2);
    *at++ = ':';
    at = tv_time_put(at, of_day % 60, 2);
    if (fraction != 0) {
        *at++ = '.';
        if (fraction % 1000000 == 0)
            at = tv_time_put(at, (uint64_t)fraction / 1000000, 3);
        else if (fraction % 1000 == 0)
            at = tv_time_put(at, (uint64_t)fraction / 1000, 6);
        else
            at = tv_time_put(at, (uint64_t)fraction, 9);
    }
    *at++ = 'Z';
    return (uint32_t)(at - out);
}

// ---- durations and sizes ------------------------------------------------------------------------------------

typedef struct tv_unit {
    const char *name;
    uint64_t factor;
} tv_unit;

static const tv_unit tv_duration_units[] = {
    {"ns", 1},           {"us", 1000},          {"ms", 1000000},        {"s", 1000000000},
    {"m", 60000000000u}, {"h", 3600000000000u}, {"d", 86400000000000u}, {NULL, 0},
};
static const tv_unit tv_size_units[] = {
    {"", 1},          {"B", 1},         {"KB", 1000},     {"MB", 1000000}, {"GB", 1000000000},
    {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0},
};

// Reads "12.5unit" from the front of *text into units of 1; false if there is no such thing or it does not fit.
static bool tv_read_quantity(tv_string *text, const tv_unit *units, uint64_t *result) {
    uint64_t whole = 0, fraction = 0, scale = 1;
    uint32_t at = 0, digits = 0;
    for (; at < text->length && (uint8_t)(text->bytes[at] - '0') <= 9; at++, digits++) {
        if (__builtin_mul_overflow(whole, 10, &whole)) return false;
        if (__builtin_add_overflow(whole, (uint64_t)(text->bytes[at] - '0'), &whole)) return false;
    }
    if (digits > 0 && at < text->length && text->bytes[at] == '.') {
        for (at++; at < text->length && (uint8_t)(text->bytes[at] - '0') <= 9 && scale < 1000000; at++) {
            fraction = fraction * 10 + (uint64_t)(text->bytes[at] - '0');
            scale *= 10;
        }
    }
    if (digits == 0) return false;
    while (at < text->length && text->bytes[at] == ' ')
        at++;
    uint32_t name = at;
    while (at < text->length && ((text->bytes[at] | 32) >= 'a' && (text->bytes[at] | 32) <= 'z'))
        at++;
    while (units->name != NULL && !tv_string_is((tv_string){text->bytes + name, at - name}, units->name))
        units++;
    if (units->name == NULL || __builtin_mul_overflow(whole, units->factor, &whole)) return false;
    if (units->factor < scale && fraction != 0) return false;
    *text = (tv_string){text->bytes + at, text->length - at};
    return !__builtin_add_overflow(whole, (uint64_t)((double)fraction * (double)units->factor / (double)scale), result);
}

bool tv_read_duration(tv_string text, int64_t *duration_ns) {
    uint64_t sum = 0, part;
    text = tv_string_trim(text);
    if (tv_string_is(text, "0")) {
        *duration_ns = 0;
        return true;
    }
    do {
        if (!tv_read_quantity(&text, tv_duration_units, &part)) return false;
        if (__builtin_add_overflow(sum, part, &sum) || sum > INT64_MAX) return false;
    } while (text.length > 0);
    *duration_ns = (int64_t)sum;
    return true;
}

bool tv_read_size(tv_string text, uint64_t *bytes) {
    uint64_t size;
    text = tv_string_trim(text);
    if (!tv_read_quantity(&text, tv_size_units, &size) || text.length > 0) return false;
    *bytes = size;
    return true;
}
