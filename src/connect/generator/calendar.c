// ISO 8601 in UTC. The day count follows the proleptic Gregorian calendar, with years that begin in March so that
// the leap day is the last one.
#include "connect/generator/calendar.h"

static const int64_t second_ns = 1000000000;

static int64_t days_from_date(int64_t year, int64_t month, int64_t day) {
    int64_t march_year = month > 2 ? year : year - 1;
    int64_t march_month = month > 2 ? month - 3 : month + 9;
    int64_t day_of_year = (153 * march_month + 2) / 5 + day - 1;
    int64_t days = march_year * 365 + march_year / 4 - march_year / 100 + march_year / 400 + day_of_year;
    return days - 719468; // 1970-01-01
}

static void date_from_days(int64_t days, int *year, int *month, int *day) {
    int64_t shifted = days + 719468;
    int64_t era = shifted / 146097, day_of_era = shifted % 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * march_month + 2) / 5 + 1);
    *month = (int)(march_month < 10 ? march_month + 3 : march_month - 9);
    *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

// Exactly `digits` digits; moves *text behind them. -1: something else.
static int64_t take_number(const char **text, int digits) {
    int64_t value = 0;
    for (int i = 0; i < digits; i++) {
        char c = (*text)[i];
        if (c < '0' || c > '9') return -1;
        value = value * 10 + (c - '0');
    }
    *text += digits;
    return value;
}

static bool take_character(const char **text, char expected) {
    if (**text != expected) return false;
    ++*text;
    return true;
}

static bool take_date(const char **text, int64_t *days) {
    int64_t year = take_number(text, 4);
    if (year < 1970 || year > 2261 || !take_character(text, '-')) return false;
    int64_t month = take_number(text, 2);
    if (month < 1 || month > 12 || !take_character(text, '-')) return false;
    int64_t day = take_number(text, 2);
    if (day < 1) return false;
    int64_t next_year = month == 12 ? year + 1 : year, next_month = month == 12 ? 1 : month + 1;
    *days = days_from_date(year, month, day);
    return *days < days_from_date(next_year, next_month, 1);
}

static bool take_fraction(const char **text, int64_t *ns) {
    *ns = 0;
    if (!take_character(text, '.')) return true;
    int64_t unit = second_ns / 10;
    if (**text < '0' || **text > '9') return false;
    for (; **text >= '0' && **text <= '9'; ++*text, unit /= 10)
        *ns += (**text - '0') * unit; // beyond nanoseconds: cut
    return true;
}

bool tv_iso_time_parse(const char *text, int64_t *time_ns) {
    int64_t days, hour = 0, minute = 0, second = 0, fraction_ns = 0;
    if (!take_date(&text, &days)) return false;
    if (*text) {
        if (!take_character(&text, 'T') || (hour = take_number(&text, 2)) < 0 || hour > 23) return false;
        if (!take_character(&text, ':') || (minute = take_number(&text, 2)) < 0 || minute > 59) return false;
        if (!take_character(&text, ':') || (second = take_number(&text, 2)) < 0 || second > 59) return false;
        if (!take_fraction(&text, &fraction_ns) || !take_character(&text, 'Z') || *text) return false;
    }
    *time_ns = (((days * 24 + hour) * 60 + minute) * 60 + second) * second_ns + fraction_ns;
    return true;
}

static char *put_digits(char *out, int64_t value, int digits) {
    for (int i = digits - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + digits;
}

size_t tv_iso_time_format(int64_t time_ns, int digits, char out[TV_ISO_TIME_BYTES]) {
    int year, month, day;
    int64_t seconds = time_ns / second_ns, of_day = seconds % 86400;
    date_from_days(seconds / 86400, &year, &month, &day);
    char *at = put_digits(out, year, 4);
    const int64_t parts[] = {month, day, of_day / 3600, of_day / 60 % 60, of_day % 60};
    for (int i = 0; i < 5; i++) {
        *at++ = "--T::"[i];
        at = put_digits(at, parts[i], 2);
    }
    if (digits > 0) {
        *at++ = '.';
        at = put_digits(at, time_ns % second_ns / (digits == 3 ? 1000000 : 1), digits);
    }
    *at++ = 'Z';
    return (size_t)(at - out);
}
