// Local time to UTC and back: fixed offsets as people write them, zones by name, rules in POSIX notation.
//
// A component has no files, so a zone is the rule it follows now (zone_table.h), also for times when it followed
// another one. Pure, but for the year whose changes are remembered.
#ifndef GATEWAY_TIME_ZONE_H
#define GATEWAY_TIME_ZONE_H

#include <torvyn/torvyn.h>

#include "zone_table.h"

enum { HOUR_S = 3600, DAY_S = 86400 };

// "M3.5.0/2": the last Sunday of March, at two o'clock of the time that ends then.
typedef struct zone_change {
    uint8_t month, week, weekday; // week 5: the last one
    int32_t second;               // of that day; may lie outside it
} zone_change;

typedef struct time_zone {
    int32_t standard_s, summer_s; // local time minus UTC
    bool has_summer;
    zone_change begin, end; // of summer time
    int64_t year;           // whose changes these are, in UTC
    int64_t begin_s, end_s;
} time_zone;

// ---- fixed offsets ------------------------------------------------------------------------------------------

// The number that begins at *at, of at most `digits_max` digits; false if there is none.
static inline bool zone_number(tv_string text, uint32_t *at, uint32_t digits_max, int32_t *value) {
    uint32_t from = *at;
    for (*value = 0; *at < text.length && *at - from < digits_max && (uint8_t)(text.bytes[*at] - '0') < 10; (*at)++)
        *value = *value * 10 + (text.bytes[*at] - '0');
    return *at > from;
}

// "5", "05", "530", "0530", "05:30", "5:30".
static inline bool zone_clock(tv_string text, int32_t *seconds) {
    uint32_t at = 0;
    int32_t hours, minutes = 0;
    if (!zone_number(text, &at, 4, &hours)) return false;
    if (at > 2 && at == text.length) {
        minutes = hours % 100;
        hours /= 100;
    } else if (at <= 2 && at < text.length) {
        if (text.bytes[at++] != ':' || text.length - at != 2 || !zone_number(text, &at, 2, &minutes)) return false;
    }
    *seconds = hours * HOUR_S + minutes * 60;
    return at == text.length && minutes < 60;
}

// Takes a word off the front, whatever its case.
static inline bool zone_take(tv_string *text, const char *word) {
    uint32_t length = (uint32_t)strlen(word);
    if (text->length < length) return false;
    for (uint32_t i = 0; i < length; i++) {
        char c = text->bytes[i];
        if (c != word[i] && (c | 32) != word[i]) return false;
    }
    *text = (tv_string){text->bytes + length, text->length - length};
    return true;
}

// "-5h", "+05:30", "-0330", "5h30m", "UTC-5", "Z": local time minus UTC, at most a day.
static inline bool zone_read_offset(tv_string text, int32_t *offset_s) {
    int64_t duration_ns;
    text = tv_string_trim(text);
    if (!zone_take(&text, "utc")) (void)zone_take(&text, "gmt");
    text = tv_string_trim(text);
    if (text.length == 0 || (text.length == 1 && (text.bytes[0] | 32) == 'z')) {
        *offset_s = 0;
        return true;
    }
    bool west = text.bytes[0] == '-' || zone_take(&text, "\xe2\x88\x92"); // the minus sign of typographers
    if (text.length > 0 && (text.bytes[0] == '-' || text.bytes[0] == '+')) text.bytes++, text.length--;
    text = tv_string_trim(text);
    if (!zone_clock(text, offset_s)) {
        if (!tv_read_duration(text, &duration_ns) || duration_ns % 1000000000 != 0) return false;
        if (duration_ns > DAY_S * 1000000000ll) return false;
        *offset_s = (int32_t)(duration_ns / 1000000000);
    }
    if (west) *offset_s = -*offset_s;
    return *offset_s >= -DAY_S && *offset_s <= DAY_S;
}

static inline time_zone zone_fixed(int32_t offset_s) { return (time_zone){.standard_s = offset_s}; }

// ---- rules --------------------------------------------------------------------------------------------------

// "CET" or "<+03>" of a rule.
static inline bool zone_skip_abbreviation(tv_string text, uint32_t *at) {
    uint32_t from = *at;
    if (*at < text.length && text.bytes[*at] == '<') {
        while (*at < text.length && text.bytes[*at] != '>')
            (*at)++;
        return ++*at <= text.length;
    }
    while (*at < text.length && (uint8_t)((text.bytes[*at] | 32) - 'a') < 26)
        (*at)++;
    return *at - from >= 3;
}

// "[+-]hh[:mm[:ss]]".
static inline bool zone_signed_time(tv_string text, uint32_t *at, int32_t *seconds) {
    int32_t part, unit = HOUR_S;
    bool negative = *at < text.length && text.bytes[*at] == '-';
    if (*at < text.length && (text.bytes[*at] == '-' || text.bytes[*at] == '+')) (*at)++;
    *seconds = 0;
    do {
        if (!zone_number(text, at, 3, &part) || part > 167) return false;
        *seconds += part * unit;
        unit /= 60;
    } while (unit > 0 && *at < text.length && text.bytes[*at] == ':' && (*at)++ > 0);
    if (negative) *seconds = -*seconds;
    return true;
}

// ",Mm.w.d[/time]".
static inline bool zone_read_change(tv_string text, uint32_t *at, zone_change *change) {
    int32_t month, week, weekday;
    if (*at + 1 >= text.length || text.bytes[*at] != ',' || text.bytes[*at + 1] != 'M') return false;
    *at += 2;
    if (!zone_number(text, at, 2, &month) || *at >= text.length || text.bytes[(*at)++] != '.') return false;
    if (!zone_number(text, at, 1, &week) || *at >= text.length || text.bytes[(*at)++] != '.') return false;
    if (!zone_number(text, at, 1, &weekday)) return false;
    if (month < 1 || month > 12 || week < 1 || week > 5 || weekday > 6) return false;
    *change = (zone_change){(uint8_t)month, (uint8_t)week, (uint8_t)weekday, 2 * HOUR_S};
    if (*at >= text.length || text.bytes[*at] != '/') return true;
    (*at)++;
    return zone_signed_time(text, at, &change->second);
}

// "CET-1CEST,M3.5.0,M10.5.0/3". POSIX counts offsets to the west.
static inline bool zone_read_rule(tv_string text, time_zone *zone) {
    uint32_t at = 0;
    *zone = (time_zone){.year = INT64_MIN};
    if (!zone_skip_abbreviation(text, &at) || !zone_signed_time(text, &at, &zone->standard_s)) return false;
    zone->standard_s = -zone->standard_s;
    if (at == text.length) return true;
    if (!zone_skip_abbreviation(text, &at)) return false;
    zone->has_summer = true;
    zone->summer_s = zone->standard_s + HOUR_S;
    if (at < text.length && text.bytes[at] != ',') {
        if (!zone_signed_time(text, &at, &zone->summer_s)) return false;
        zone->summer_s = -zone->summer_s;
    }
    return zone_read_change(text, &at, &zone->begin) && zone_read_change(text, &at, &zone->end) && at == text.length;
}

// Equal but for the case of letters.
static inline bool zone_same_name(tv_string a, tv_string b) {
    if (a.length != b.length) return false;
    for (uint32_t i = 0; i < a.length; i++) {
        uint8_t left = (uint8_t)a.bytes[i], right = (uint8_t)b.bytes[i];
        if (left != right && ((left | 32) != (right | 32) || (left | 32) < 'a' || (left | 32) > 'z')) return false;
    }
    return true;
}

// "Europe/Berlin", or a rule with its changes.
static inline bool zone_read(tv_string name, time_zone *zone) {
    const char *at = zone_table;
    while (*at != 0) {
        tv_string rule = {at, 0};
        for (bool first = true; *at != '\n'; first = false) {
            at += !first; // the blank
            tv_string word = {at, 0};
            while (*at != ' ' && *at != '\n')
                at++;
            word.length = (uint32_t)(at - word.bytes);
            if (first) rule = word;
            if (!first && zone_same_name(word, name)) return zone_read_rule(rule, zone);
        }
        at++;
    }
    for (uint32_t i = 0; i < name.length; i++) {
        if (name.bytes[i] == ',') return zone_read_rule(name, zone);
    }
    return false;
}

// ---- times --------------------------------------------------------------------------------------------------

static inline int64_t zone_year_of(int64_t seconds) {
    int64_t days = seconds / DAY_S - (seconds % DAY_S < 0);
    int64_t year = 1970 + days * 400 / 146097; // off by one at most
    while (tv_days_from_date(year, 1, 1) > days)
        year--;
    while (tv_days_from_date(year + 1, 1, 1) <= days)
        year++;
    return year;
}

// When the change comes in that year, as local seconds.
static inline int64_t zone_change_in(const zone_change *change, int64_t year) {
    int64_t first = tv_days_from_date(year, change->month, 1);
    int64_t next =
        change->month == 12 ? tv_days_from_date(year + 1, 1, 1) : tv_days_from_date(year, change->month + 1u, 1);
    int64_t weekday = ((first + 4) % 7 + 7) % 7; // 1970 began with a Thursday
    int64_t day = first + (change->weekday - weekday + 7) % 7 + (change->week - 1) * 7;
    if (day >= next) day -= 7;
    return day * DAY_S + change->second;
}

// Local time minus UTC at a moment, seconds.
static inline int32_t zone_offset_at(time_zone *zone, int64_t utc_s) {
    if (!zone->has_summer) return zone->standard_s;
    int64_t year = zone_year_of(utc_s + zone->standard_s);
    if (year != zone->year) {
        zone->year = year;
        zone->begin_s = zone_change_in(&zone->begin, year) - zone->standard_s;
        zone->end_s = zone_change_in(&zone->end, year) - zone->summer_s;
    }
    bool within = zone->begin_s < zone->end_s ? utc_s >= zone->begin_s && utc_s < zone->end_s
                                              : utc_s >= zone->begin_s || utc_s < zone->end_s;
    return within ? zone->summer_s : zone->standard_s;
}

// A local time in UTC, seconds. One that comes twice is taken for the first; one that is left out counts from the
// change on. *doubtful says that it is one of these.
static inline int64_t zone_to_utc(time_zone *zone, int64_t local_s, bool *doubtful) {
    int32_t greater_s = zone->summer_s > zone->standard_s ? zone->summer_s : zone->standard_s;
    int32_t smaller_s = zone->summer_s > zone->standard_s ? zone->standard_s : zone->summer_s;
    *doubtful = false;
    if (!zone->has_summer) return local_s - zone->standard_s;
    bool as_greater = zone_offset_at(zone, local_s - greater_s) == greater_s;
    bool as_smaller = zone_offset_at(zone, local_s - smaller_s) == smaller_s;
    *doubtful = as_greater == as_smaller;
    return local_s - (as_greater ? greater_s : smaller_s);
}

#endif
