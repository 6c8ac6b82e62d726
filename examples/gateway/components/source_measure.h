// From the fields of a line to what it says: times, names, values, one reading or several.
#ifndef GATEWAY_SOURCE_MEASURE_H
#define GATEWAY_SOURCE_MEASURE_H

#include "source_state.h"

// Sends the readings of the message, whose texts are in the line or in ours.
static tv_result emit_message(tv_string line);

static tv_result bad_field(const char *name, const field *f, const char *wanted) {
    if (f->type == TV_JSON_NONE) return tv_reject("no field \"%s\"", name);
    uint32_t shown = f->text.length < 40 ? f->text.length : 40;
    return tv_reject("field \"%s\" at byte %u is no %s: %.*s", name, f->at, wanted, (int)shown, f->text.bytes);
}

static bool is_left_out(const field *f) {
    return f->type == TV_JSON_NONE || f->type == TV_JSON_NULL || (f->type == TV_JSON_STRING && f->text.length == 0);
}

static inline uint32_t time_field(uint32_t part) { return part == 0 ? FIELD_TIME : FIELD_TIME_MORE + part - 1; }

// Where date and time of day stand apart: with a blank between them. Empty if one of them is missing.
static tv_string join_time(const field *f, char *room, uint32_t capacity) {
    uint32_t length = 0;
    for (uint32_t i = 0; i < source.time_parts; i++) {
        const field *part = &f[time_field(i)];
        if (is_left_out(part)) return (tv_string){room, 0};
        length += tv_format(room + length, capacity - length, "%s%.*s", i == 0 ? "" : " ", (int)part->text.length,
                            part->text.bytes);
    }
    return (tv_string){room, length};
}

static inline bool read_one_time(const field *f, int64_t *time_ns) {
    if (f->type == TV_JSON_STRING) return parse_time(&source.times, f->text, time_ns);
    if (f->type != TV_JSON_NUMBER) return false;
    if (source.times.format_count > 0) return parse_time(&source.times, f->text, time_ns);
    return parse_epoch(f->text, '.', source.times.unit_ns, time_ns);
}

static bool read_joined_time(const field *f, int64_t *time_ns) {
    char room[256];
    tv_string text = join_time(f, room, sizeof room);
    return text.length > 0 && parse_time(&source.times, text, time_ns);
}

static bool has_no_time(const field *f) {
    for (uint32_t i = 0; i < source.time_parts; i++) {
        if (!is_left_out(&f[time_field(i)])) return false;
    }
    return true;
}

static inline bool read_time(const field *f, int64_t *time_ns) {
    source.times.doubtful = false;
    bool good = __builtin_expect(source.time_parts == 1, 1) ? read_one_time(&f[FIELD_TIME], time_ns)
                                                            : read_joined_time(f, time_ns);
    if (__builtin_expect(good, 1)) {
        if (__builtin_expect(source.times.doubtful, 0)) tv_counter_add(counters.doubtful_times, 1);
        return true;
    }
    if (!source.arrival || !has_no_time(f)) return false;
    *time_ns = tv_arrival_ns();
    if (*time_ns == TV_NO_EVENT_TIME) return false;
    tv_counter_add(counters.arrival_times, 1);
    return true;
}

static tv_result bad_time(const field *f) {
    char room[256];
    for (uint32_t i = 0; i < source.time_parts; i++) {
        uint32_t part = time_field(i);
        if (source.time_parts > 1 && !is_left_out(&f[part])) continue;
        return bad_field(source.fields[part].name, &f[part], "time");
    }
    field joined = {TV_JSON_STRING, f[FIELD_TIME].at, join_time(f, room, sizeof room), 0};
    return bad_field(source.fields[FIELD_TIME].name, &joined, "time");
}

static inline bool read_value(const field *f, double *value) {
    if (f->type == TV_JSON_STRING) return number_read(f->text, source.times.decimal, value);
    *value = f->type == TV_JSON_NUMBER ? f->number : f->type == TV_JSON_TRUE;
    return f->type == TV_JSON_NUMBER || f->type == TV_JSON_TRUE || f->type == TV_JSON_FALSE;
}

// Quality in the configured vocabulary; nothing and null are good.
static inline uint8_t read_quality(const field *f) {
    enum { NAMED_MAX = 5 };
    if (f->type == TV_JSON_NONE || f->type == TV_JSON_NULL || f->type == TV_JSON_TRUE) return QUALITY_GOOD;
    uint8_t found = quality_of(&quality.reader, f->text);
    if (!quality.reader.unknown) return found;
    tv_counter_add(counters.quality_unknown, 1);
    if (quality.unknown_named++ < NAMED_MAX) {
        tv_log_warn("quality \"%.*s\" is in no vocabulary and counts as bad",
                    (int)(f->text.length < 60 ? f->text.length : 60), f->text.bytes);
    }
    return found;
}

// Whether a value was left out: null, an empty cell or text, what printf writes for numbers that are none. A member
// that is not there is for a line of another kind.
static bool is_null(const field *f) {
    static const char *const nulls[] = {"null",     "nan",       "-nan", "inf", "-inf", "+inf",
                                        "infinity", "-infinity", "none", "n/a", "na",   NULL};
    if (f->type == TV_JSON_NULL) return true;
    if (f->type != TV_JSON_STRING && f->type != TV_JSON_ODD) return false;
    return f->text.length == 0 || quality_among(tv_string_trim(f->text), nulls);
}

// A line whose value is no number. Bad quality excuses that: the reading is one without value. False: rejected, or
// skipped.
static bool measure_nothing(const char *name, const field *f, measurement *m, tv_result *result) {
    m->empty = m->quality == QUALITY_BAD || (m->quality == QUALITY_UNCERTAIN && is_null(f));
    if (m->empty) {
        m->quality = QUALITY_BAD;
        m->value = 0;
        return true;
    }
    if (!quality.skip_null || !is_null(f)) {
        *result = bad_field(name, f, "finite number");
        return false;
    }
    tv_counter_add(counters.nulls_skipped, 1);
    *result = TV_OK;
    return false;
}

// Text of a device or metric: the line's, a number as it stands, or the configured one.
static tv_string read_name(const field *f, tv_string fallback) {
    return f->type == TV_JSON_STRING || f->type == TV_JSON_NUMBER ? f->text : fallback;
}

// What all readings of a line have in common. False: the line has been rejected, or could not be (*result).
static bool measure_common(const field *f, bool timed, measurement *m, tv_result *result) {
    m->device = read_name(&f[FIELD_DEVICE], source.device);
    m->metric = read_name(&f[FIELD_METRIC], source.metric);
    m->quality = read_quality(&f[FIELD_QUALITY]);
    for (uint32_t i = FIELD_DEVICE; i <= FIELD_METRIC; i++) {
        if (f[i].type != TV_JSON_ODD) continue;
        *result = tv_reject("field \"%s\" at byte %u is not UTF-8, or has broken escapes (see `encoding`)",
                            source.fields[i].name, f[i].at);
        return false;
    }
    if (!timed) {
        *result = bad_time(f);
    } else if (m->device.length == 0) {
        *result = bad_field(source.fields[FIELD_DEVICE].name, &f[FIELD_DEVICE], "device name");
    } else {
        return true;
    }
    return false;
}

// A line with one reading, as above; false also if it has been skipped.
static bool measure(const field *f, measurement *m, tv_result *result) {
    const char *name = source.fields[FIELD_VALUE].name;
    if (!measure_common(f, read_time(f, &m->time_ns), m, result)) return false;
    return read_value(&f[FIELD_VALUE], &m->value) || measure_nothing(name, &f[FIELD_VALUE], m, result);
}

// ---- several readings of a line -----------------------------------------------------------------------------

// Whether the reading can be sent; false: rejected.
static inline bool fits(const measurement *m, tv_result *result) {
    if (__builtin_expect(m->time_ns < TIME_MIN_NS || m->time_ns > TIME_MAX_NS, 0)) {
        *result = tv_reject("the time is not from 1907 to 2191");
        return false;
    }
    if (__builtin_expect(m->device.length + m->metric.length > READING_ID_BYTES_MAX, 0)) {
        *result = tv_reject("device and metric have %u bytes, more than %d", m->device.length + m->metric.length,
                            READING_ID_BYTES_MAX);
        return false;
    }
    return true;
}

static bool add_reading(const measurement *m, tv_result *result) {
    if (!fits(m, result)) return false;
    if (message.count == READINGS_MAX) {
        *result = tv_reject("more than %d readings in one message", READINGS_MAX);
        return false;
    }
    message.list[message.count++] = *m;
    return true;
}

// One of the values of a line. If it is one of several, it may be left out.
static bool add_value(const char *name, const field *f, measurement *m, bool several, tv_result *result) {
    bool absent = several && f->type == TV_JSON_NONE;
    if (!absent && read_value(f, &m->value)) return add_reading(m, result);
    bool excused = !absent && m->quality != QUALITY_GOOD;
    if (absent || (!excused && (several || quality.skip_null) && is_null(f))) {
        tv_counter_add(counters.nulls_skipped, 1);
        return true;
    }
    return measure_nothing(name, f, m, result) && add_reading(m, result);
}

static tv_string metric_of(const field_path *path) {
    return source.format == FORMAT_CSV ? tv_string_of(path->name) : path_text(path);
}

// The listed values, or the only one.
static bool add_values(const field *f, const measurement *common, tv_result *result) {
    measurement m = *common;
    if (source.value_count == 0) {
        return add_value(source.fields[FIELD_VALUE].name, &f[FIELD_VALUE], &m, false, result);
    }
    for (uint32_t i = FIELD_VALUES; i < source.field_count; i++) {
        m = *common;
        m.metric = metric_of(&source.fields[i]);
        if (!add_value(source.fields[i].name, &f[i], &m, true, result)) return false;
    }
    return true;
}

// A column or member of which nobody said what it is, where all numbers are wanted. Of members with the same name the
// last counts.
static bool add_other(const measurement *common, tv_string metric, double value, uint32_t from, tv_result *result) {
    measurement m = *common;
    m.metric = metric;
    m.value = value;
    for (uint32_t i = from; source.format == FORMAT_JSON && i < message.count; i++) {
        if (!tv_string_equal(message.list[i].metric, metric)) continue;
        message.list[i].value = value;
        return true;
    }
    return add_reading(&m, result);
}

// A line with several values must have one, unless it may be empty.
static bool expect_some(uint32_t from, tv_result *result) {
    if (message.count > from || quality.skip_null || (!source.rest && source.value_count == 0)) return true;
    *result = source.rest ? tv_reject("no number but in the fields that are none")
                          : tv_reject("no value in any of the %u fields", source.value_count);
    return false;
}

#endif
