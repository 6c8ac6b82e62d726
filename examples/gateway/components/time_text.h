// Times as people and loggers write them -> nanoseconds since 1970: ISO 8601, and formats in the notation of strptime.
//
// Nothing is guessed: a text is one of the forms below as a whole, or no time.
#ifndef GATEWAY_TIME_TEXT_H
#define GATEWAY_TIME_TEXT_H

#include <torvyn/torvyn.h>

#include "time_zone.h"

// A date and a time of day as they stand there.
typedef struct civil_time {
    int32_t year, month, day, hour, minute, second, nanosecond;
    int32_t day_of_year; // 0: month and day say it
    int32_t offset_s;    // if has_offset: local time minus UTC
    int64_t epoch_s;     // if has_epoch: instead of all but the nanoseconds
    bool has_offset, has_epoch, afternoon, twelve_hours;
    bool before_epoch; // epoch_s had a minus, which is the nanoseconds' as well
} civil_time;

typedef struct time_reader {
    const char *at, *end;
} time_reader;

static inline bool time_is_digit(const time_reader *r) { return r->at < r->end && (uint8_t)(*r->at - '0') < 10; }

static inline bool time_take(time_reader *r, char c) {
    if (r->at >= r->end || *r->at != c) return false;
    r->at++;
    return true;
}

static inline void time_skip_blanks(time_reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
        r->at++;
}

// A number of so many digits, within the bounds.
static inline bool time_number(time_reader *r, int least_digits, int most_digits, int32_t min, int32_t max,
                               int32_t *value) {
    int digits = 0;
    int32_t number = 0;
    for (; digits < most_digits && time_is_digit(r); digits++)
        number = number * 10 + (*r->at++ - '0');
    *value = number;
    return digits >= least_digits && number >= min && number <= max;
}

// Digits behind the point; what is finer than a nanosecond is cut off.
static inline bool time_fraction(time_reader *r, int32_t *nanosecond) {
    int32_t unit = 100000000;
    if (!time_is_digit(r)) return false;
    for (*nanosecond = 0; time_is_digit(r); unit /= 10)
        *nanosecond += (*r->at++ - '0') * unit;
    return true;
}

static inline bool time_word(time_reader *r, const char *word) {
    tv_string rest = {r->at, (uint32_t)(r->end - r->at)};
    if (!zone_take(&rest, word)) return false;
    r->at = rest.bytes;
    return true;
}

// "Z", "UTC", "GMT", "+01", "+0100", "+01:00".
static inline bool time_offset(time_reader *r, civil_time *t) {
    int32_t hours, minutes = 0;
    t->has_offset = true;
    t->offset_s = 0;
    if (time_word(r, "z") || time_word(r, "utc") || time_word(r, "gmt")) return true;
    bool west = time_take(r, '-');
    if (!west && !time_take(r, '+')) return false;
    if (!time_number(r, 2, 2, 0, 23, &hours)) return false;
    bool colon = time_take(r, ':');
    if ((colon || time_is_digit(r)) && !time_number(r, 2, 2, 0, 59, &minutes)) return false;
    t->offset_s = (hours * HOUR_S + minutes * 60) * (west ? -1 : 1);
    return true;
}

// ---- fields -> nanoseconds ----------------------------------------------------------------------------------

static inline int32_t time_days_in(int32_t year, int32_t month) {
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[(month - 1) % 12];
}

// Days since 1970; false if there is no such day.
static inline bool time_days(const civil_time *t, int64_t *days) {
    bool leap = time_days_in(t->year, 2) == 29;
    if (t->day_of_year > 0) {
        *days = tv_days_from_date(t->year, 1, 1) + t->day_of_year - 1;
        return t->day_of_year <= 365 + leap;
    }
    if (t->month < 1 || t->month > 12 || t->day < 1 || t->day > time_days_in(t->year, t->month)) return false;
    *days = tv_days_from_date(t->year, (uint32_t)t->month, (uint32_t)t->day);
    return true;
}

// 24:00:00 is the end of the day, second 60 (a leap second) the one before.
static inline bool time_second_of_day(const civil_time *t, int32_t *second) {
    int32_t hour = t->hour;
    if (t->twelve_hours) hour = hour % 12 + (t->afternoon ? 12 : 0);
    if (hour == 24 && (t->minute > 0 || t->second > 0 || t->nanosecond > 0)) return false;
    *second = hour * HOUR_S + t->minute * 60 + (t->second == 60 ? 59 : t->second);
    return true;
}

// `zone` is for times that name no offset. False if there is no such time, or it does not fit (years 1678 to 2261).
static inline bool time_value(const civil_time *t, time_zone *zone, bool *doubtful, int64_t *time_ns) {
    int64_t days, seconds = t->epoch_s;
    int32_t second_of_day;
    *doubtful = false;
    if (!t->has_epoch) {
        if (!time_days(t, &days) || !time_second_of_day(t, &second_of_day)) return false;
        seconds = days * DAY_S + second_of_day;
        seconds = t->has_offset ? seconds - t->offset_s : zone_to_utc(zone, seconds, doubtful);
    }
    if (seconds < -9214560000 || seconds > 9214646400) return false;
    *time_ns = seconds * 1000000000 + (t->before_epoch ? -t->nanosecond : t->nanosecond);
    return true;
}

// ---- ISO 8601 -----------------------------------------------------------------------------------------------

// "2026-03-01", "2026/03/01", "20260301".
static inline bool time_iso_date(time_reader *r, civil_time *t, bool *basic) {
    if (!time_number(r, 4, 4, 0, 9999, &t->year)) return false;
    char separator = r->at < r->end && (*r->at == '-' || *r->at == '/') ? *r->at : 0;
    *basic = separator == 0;
    if (separator != 0) r->at++;
    if (!time_number(r, 2, 2, 1, 12, &t->month)) return false;
    if (separator != 0 && !time_take(r, separator)) return false;
    return time_number(r, 2, 2, 1, 31, &t->day);
}

// "12:34", "12:34:56", "12:34:56.789", in the basic form without colons.
static inline bool time_iso_clock(time_reader *r, civil_time *t, bool basic) {
    if (!time_number(r, 2, 2, 0, 24, &t->hour)) return false;
    if (!basic && !time_take(r, ':')) return false;
    if (!time_number(r, 2, 2, 0, 59, &t->minute)) return false;
    bool seconds = basic ? time_is_digit(r) : time_take(r, ':');
    if (!seconds) return true;
    if (!time_number(r, 2, 2, 0, 60, &t->second)) return false;
    return (time_take(r, '.') || time_take(r, ',')) ? time_fraction(r, &t->nanosecond) : true;
}

// A date with a time of day or without (its midnight), with an offset or without. A number of digits alone is none.
static inline bool time_read_iso(tv_string text, civil_time *t) {
    time_reader r = {text.bytes, text.bytes + text.length};
    bool basic;
    *t = (civil_time){0};
    if (!time_iso_date(&r, t, &basic)) return false;
    if (r.at == r.end) return !basic;
    if (*r.at != 'T' && *r.at != 't' && (*r.at != ' ' || basic)) return false;
    bool blank = *r.at++ == ' ';
    if (blank) time_skip_blanks(&r);
    if (!time_iso_clock(&r, t, basic)) return false;
    time_skip_blanks(&r);
    if (r.at == r.end) return true;
    return time_offset(&r, t) && r.at == r.end;
}

// ---- formats ------------------------------------------------------------------------------------------------

// Names are matched by their first three letters, then as far as they go on.
static inline bool time_name(time_reader *r, const char *const *names, int count, int32_t *index) {
    for (int i = 0; i < count; i++) {
        char head[4] = {names[i][0], names[i][1], names[i][2], 0};
        if (!time_word(r, head)) continue;
        (void)time_word(r, names[i] + 3);
        *index = i;
        return true;
    }
    return false;
}

static inline bool time_month_name(time_reader *r, civil_time *t) {
    static const char *const names[] = {"january", "february", "march",     "april",   "may",      "june",
                                        "july",    "august",   "september", "october", "november", "december"};
    if (!time_name(r, names, 12, &t->month)) return false;
    if (t->month++ == 8) (void)time_take(r, 't'); // Sept
    return true;
}

static inline bool time_weekday_name(time_reader *r) {
    static const char *const names[] = {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};
    int32_t ignored;
    return time_name(r, names, 7, &ignored);
}

static inline bool time_year_of_two(time_reader *r, civil_time *t) {
    if (!time_number(r, 2, 2, 0, 99, &t->year)) return false;
    t->year += t->year < 69 ? 2000 : 1900; // POSIX
    return true;
}

static inline bool time_half_of_day(time_reader *r, civil_time *t) {
    t->afternoon = time_word(r, "pm") || time_word(r, "p.m.");
    return t->afternoon || time_word(r, "am") || time_word(r, "a.m.");
}

static inline bool time_epoch_seconds(time_reader *r, civil_time *t) {
    t->before_epoch = time_take(r, '-');
    const char *from = r->at;
    for (t->epoch_s = 0; time_is_digit(r) && r->at - from < 12; r->at++)
        t->epoch_s = t->epoch_s * 10 + (*r->at - '0');
    t->has_epoch = r->at > from;
    if (t->before_epoch) t->epoch_s = -t->epoch_s;
    return t->has_epoch;
}

// The directives that are others written out.
static inline const char *time_long_form(char directive) {
    switch (directive) {
    case 'D': return "%m/%d/%y";
    case 'F': return "%Y-%m-%d";
    case 'T': return "%H:%M:%S";
    case 'R': return "%H:%M";
    default: return NULL;
    }
}

static inline bool time_directive(time_reader *r, char directive, civil_time *t) {
    switch (directive) {
    case 'Y': return time_number(r, 4, 4, 0, 9999, &t->year);
    case 'y': return time_year_of_two(r, t);
    case 'm': return time_number(r, 1, 2, 1, 12, &t->month);
    case 'd': return time_number(r, 1, 2, 1, 31, &t->day);
    case 'e': time_skip_blanks(r); return time_number(r, 1, 2, 1, 31, &t->day);
    case 'j': return time_number(r, 1, 3, 1, 366, &t->day_of_year);
    case 'H': return time_number(r, 1, 2, 0, 24, &t->hour);
    case 'k': time_skip_blanks(r); return time_number(r, 1, 2, 0, 24, &t->hour);
    case 'I': t->twelve_hours = true; return time_number(r, 1, 2, 1, 12, &t->hour);
    case 'l': time_skip_blanks(r); return time_directive(r, 'I', t);
    case 'M': return time_number(r, 1, 2, 0, 59, &t->minute);
    case 'S': return time_number(r, 1, 2, 0, 60, &t->second);
    case 'f': return time_fraction(r, &t->nanosecond);
    case 'p': return time_half_of_day(r, t);
    case 'b':
    case 'B':
    case 'h': return time_month_name(r, t);
    case 'a':
    case 'A': return time_weekday_name(r);
    case 'z':
    case 'Z': return time_offset(r, t);
    case 's': return time_epoch_seconds(r, t);
    default: return time_take(r, directive); // %%
    }
}

static inline bool time_match(time_reader *r, const char *format, civil_time *t) {
    for (; *format != 0; format++) {
        if (*format == ' ') {
            time_skip_blanks(r);
            continue;
        }
        if (*format != '%') {
            if (!time_take(r, *format)) return false;
            continue;
        }
        const char *longer = time_long_form(*++format);
        if (!(longer != NULL ? time_match(r, longer, t) : time_directive(r, *format, t))) return false;
    }
    return true;
}

static inline bool time_read_format(tv_string text, const char *format, civil_time *t) {
    time_reader r = {text.bytes, text.bytes + text.length};
    *t = (civil_time){0};
    return time_match(&r, format, t) && r.at == r.end;
}

// What is wrong with a format; NULL: nothing.
static inline const char *time_format_fault(const char *format) {
    bool year = false, month = false, day = false, epoch = false, hour = false, twelve = false, half = false;
    for (; *format != 0; format++) {
        if (*format != '%') continue;
        char c = *++format;
        if (c == 0) return "ends within a directive";
        const char *known = "YymdejHkIlMSfpbBhaAzZsDFTR%";
        while (*known != 0 && *known != c)
            known++;
        if (*known == 0)
            return "has an unknown directive; there are %Y %y %m %d %e %j %H %k %I %l %M %S %f %p %b %B %a %A %z %Z %s "
                   "%D %F %T %R and %%";
        year |= c == 'Y' || c == 'y' || c == 'D' || c == 'F';
        month |= c == 'm' || c == 'b' || c == 'B' || c == 'h' || c == 'j' || c == 'D' || c == 'F';
        day |= c == 'd' || c == 'e' || c == 'j' || c == 'D' || c == 'F';
        hour |= c == 'H' || c == 'k' || c == 'T' || c == 'R';
        twelve |= c == 'I' || c == 'l';
        half |= c == 'p';
        epoch |= c == 's';
    }
    if (twelve != half || (twelve && hour)) return "needs %I and %p together, or %H";
    return epoch || (year && month && day) ? NULL : "has no whole date: year, month and day";
}

#endif
