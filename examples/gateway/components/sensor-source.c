// sensor-source: lines of text from a channel in, binary readings (reading.h) and watermarks out.
//
// A line is a JSON object with configurable field names, or a row of CSV. What cannot be read is rejected with the
// reason and the byte where it stands; nothing is guessed. The watermark follows the greatest event time seen, minus
// the disorder that is expected; devices with wrong clocks do not move it (stream_time.h).
#include <torvyn/json.h>
#include <torvyn/torvyn.h>

#include "csv_line.h"
#include "line_template.h"
#include "quality.h"
#include "reading.h"
#include "stream_time.h"
#include "times.h"

TV_COMPONENT("sensor-source", "1.0.0", "source", 512);

enum { NAME_ROOM = 128, SCRATCH_BYTES = 1024 };
enum { FIELD_TIME, FIELD_DEVICE, FIELD_METRIC, FIELD_VALUE, FIELD_QUALITY, FIELD_COUNT };
static const char *const field_names[FIELD_COUNT] = {"time", "device", "metric", "value", "quality"};

// Times whose differences fit into an int64_t whatever the configuration adds.
#define TIME_MIN_NS (-2000000000000000000)
#define TIME_MAX_NS 7000000000000000000

// One field of a line, wherever it came from.
typedef struct field {
    tv_json_type type; // cells of CSV are strings
    uint32_t at;       // byte in the line
    tv_string text;
    double number; // of a JSON number
} field;

// What a line says.
typedef struct measurement {
    int64_t time_ns;
    double value;
    tv_string device, metric;
    uint8_t quality;
    bool empty; // no value: what bad quality excuses
} measurement;

enum { FORMAT_JSON, FORMAT_CSV };

static struct {
    int format;
    char separator;
    bool header_wanted; // the first line that names all columns
    int columns[FIELD_COUNT];
    char names[FIELD_COUNT][NAME_ROOM]; // of columns; of JSON members, with dots into nested objects
    int64_t epoch_unit_ns;              // 0: by size
    time_memory times;
    char device_text[READING_ID_BYTES_MAX + 1];
    char metric_text[READING_ID_BYTES_MAX + 1];
    tv_string device, metric; // of lines that name none
} source;

static struct {
    int64_t out_of_orderness_ns, step_ns;
    uint32_t every_records;
    stream_time stream;
    int64_t sent_ns; // the stream's time at the last one
    uint32_t records;
} watermark;

static struct {
    quality_reader reader;
    bool skip_null;         // readings without value: not dead-lettered, only counted
    uint32_t unknown_named; // in the log
} quality;

static struct {
    int32_t blank_lines, header_lines, far_future, far_past, quality_bad, quality_unknown, nulls_skipped;
} counters;

static struct {
    tv_json_keys keys; // the names up to their first dot, each once
    char key_names[FIELD_COUNT][NAME_ROOM];
    uint32_t key_of[FIELD_COUNT]; // which of them a field belongs to
    tv_string rests[FIELD_COUNT]; // what stands behind the first dot
    uint32_t scratch_used;
    char scratch[SCRATCH_BYTES]; // strings that had escapes
} json;
static csv_line csv;
static line_template template;
static reading_buffer out;

// ---- configuration ------------------------------------------------------------------------------------------

// Splits "data.temperature" at its first dot; the names themselves stay as they are for messages.
static void add_json_key(uint32_t which, tv_string name) {
    uint32_t dot = 0, index = 0;
    while (dot < name.length && name.bytes[dot] != '.')
        dot++;
    if (dot < name.length) json.rests[which] = (tv_string){name.bytes + dot + 1, name.length - dot - 1};
    memcpy(json.key_names[which], name.bytes, dot);
    while (index < json.keys.count && !tv_string_is(json.keys.names[index], json.key_names[which]))
        index++;
    if (index == json.keys.count) tv_json_keys_add(&json.keys, json.key_names[which]);
    json.key_of[which] = index;
}

static void read_fields_config(void) {
    static const char *const known[] = {"time", "device", "metric", "value", "quality", NULL};
    tv_config_keys("fields", known);
    for (uint32_t i = 0; i < FIELD_COUNT; i++) {
        uint32_t length = tv_config_string(tv_path("fields.%s", field_names[i]), field_names[i], source.names[i],
                                           sizeof source.names[i]);
        if (length == 0) tv_config_fail(tv_path("fields.%s", field_names[i]), "must not be empty");
        add_json_key(i, (tv_string){source.names[i], length});
        source.columns[i] = -1;
    }
    source.device.bytes = source.device_text;
    source.metric.bytes = source.metric_text;
    source.device.length = tv_config_string("device", "", source.device_text, sizeof source.device_text);
    source.metric.length = tv_config_string("metric", "", source.metric_text, sizeof source.metric_text);
}

static int column_of(const char *name, uint32_t count) {
    char column[NAME_ROOM];
    for (uint32_t i = 0; i < count; i++) {
        tv_config_string(tv_path("csv.columns.%u", i), "", column, sizeof column);
        if (tv_string_is(tv_string_of(column), name)) return (int)i;
    }
    return -1;
}

static void read_csv_config(void) {
    static const char *const known[] = {"separator", "columns", NULL};
    char separator[8];
    tv_config_keys("csv", known);
    uint32_t length = tv_config_string("csv.separator", ",", separator, sizeof separator);
    if (length != 1 || separator[0] == '"') tv_config_fail("csv.separator", "must be one character, not a quote");
    source.separator = separator[0];
    uint32_t count = tv_config_length("csv.columns", CSV_CELLS_MAX);
    source.header_wanted = count == 0;
    if (count == 0) return;
    for (uint32_t i = 0; i < FIELD_COUNT; i++)
        source.columns[i] = column_of(source.names[i], count);
    if (source.columns[FIELD_TIME] < 0) tv_config_fail("csv.columns", "has no column \"%s\"", source.names[FIELD_TIME]);
    if (source.columns[FIELD_VALUE] < 0) {
        tv_config_fail("csv.columns", "has no column \"%s\"", source.names[FIELD_VALUE]);
    }
}

static void read_time_config(void) {
    static const char *const known[] = {"epoch", "utc_offset", NULL};
    static const int64_t units_ns[] = {0, NS_PER_SECOND, NS_PER_SECOND / 1000, 1000, 1};
    tv_config_keys("time", known);
    source.epoch_unit_ns = units_ns[tv_config_enum("time.epoch", 0, TV_CHOICES("auto", "s", "ms", "us", "ns"))];
    const int64_t day_ns = 86400 * (int64_t)NS_PER_SECOND;
    source.times.offset_ns = tv_config_duration_ns("time.utc_offset", 0, -day_ns, day_ns);
}

static void read_watermark_config(void) {
    static const char *const known[] = {"out_of_orderness", "every", "every_records", "far", "far_confirm", NULL};
    const int64_t second_ns = NS_PER_SECOND, day_ns = 86400 * second_ns;
    tv_config_keys("watermark", known);
    watermark.out_of_orderness_ns = tv_config_duration_ns("watermark.out_of_orderness", 5 * second_ns, 0, 30 * day_ns);
    watermark.step_ns = tv_config_duration_ns("watermark.every", 10 * second_ns, 1, day_ns);
    watermark.every_records = (uint32_t)tv_config_i64_in("watermark.every_records", 1024, 1, 1000000);
    watermark.stream = (stream_time){.factor = 1};
    watermark.stream.far_ns = tv_config_duration_ns("watermark.far", 3600 * second_ns, 1, STREAM_FAR_MAX_NS);
    watermark.stream.confirm = (uint32_t)tv_config_i64_in("watermark.far_confirm", 16, 0, 1000000);
    watermark.sent_ns = TV_NO_EVENT_TIME;
}

static void read_quality_config(void) {
    static const char *const known[] = {"codes", NULL};
    tv_config_keys("quality", known);
    quality.reader.codes = (uint8_t)tv_config_enum("quality.codes", QUALITY_AUTO, QUALITY_CODES_CHOICES);
    quality.skip_null = tv_config_enum("null", 0, TV_CHOICES("reject", "skip")) == 1;
    counters.quality_bad = tv_counter("quality_bad");
    counters.quality_unknown = tv_counter("quality_unknown");
    counters.nulls_skipped = tv_counter("nulls_skipped");
}

TV_ON_INIT() {
    static const char *const known[] = {"format", "fields", "csv",     "time", "watermark",
                                        "device", "metric", "quality", "null", NULL};
    tv_config_keys("", known);
    source.format = tv_config_enum("format", FORMAT_JSON, TV_CHOICES("json", "csv"));
    read_fields_config();
    read_csv_config();
    read_time_config();
    read_watermark_config();
    read_quality_config();
    counters.blank_lines = tv_counter("blank_lines");
    counters.header_lines = tv_counter("header_lines");
    counters.far_future = tv_counter("far_future");
    counters.far_past = tv_counter("far_past");
    return TV_OK;
}

// ---- one line -> fields -------------------------------------------------------------------------------------

static tv_result take_header(void) {
    for (uint32_t i = 0; i < FIELD_COUNT; i++)
        source.columns[i] = csv_find(&csv, source.names[i]);
    const char *missing = source.columns[FIELD_TIME] < 0    ? source.names[FIELD_TIME]
                          : source.columns[FIELD_VALUE] < 0 ? source.names[FIELD_VALUE]
                                                            : NULL;
    if (missing != NULL) return tv_reject("header has no column \"%s\" (%u columns)", missing, csv.count);
    source.header_wanted = false;
    tv_counter_add(counters.header_lines, 1);
    return TV_OK;
}

// A header again, as when a logger begins a new file.
static bool is_header_again(void) {
    tv_string time = csv.cells[source.columns[FIELD_TIME]], value = csv.cells[source.columns[FIELD_VALUE]];
    return tv_string_is(tv_string_trim(time), source.names[FIELD_TIME]) &&
           tv_string_is(tv_string_trim(value), source.names[FIELD_VALUE]);
}

static field csv_field(tv_string line, uint32_t which) {
    int column = source.columns[which];
    if (column < 0 || (uint32_t)column >= csv.count) return (field){.type = TV_JSON_NONE};
    tv_string text = tv_string_trim(csv.cells[column]);
    bool inside = text.bytes >= line.bytes && text.bytes <= line.bytes + line.length;
    return (field){.type = text.length == 0 ? TV_JSON_NULL : TV_JSON_STRING,
                   .at = inside ? (uint32_t)(text.bytes - line.bytes) : 0,
                   .text = text};
}

// Follows the rest of a dotted name into nested objects.
static tv_json_value follow(tv_json_value value, tv_string rest) {
    while (rest.length > 0 && value.type == TV_JSON_OBJECT) {
        uint32_t dot = 0;
        while (dot < rest.length && rest.bytes[dot] != '.')
            dot++;
        tv_json_value found = {.type = TV_JSON_NONE};
        for (tv_json_walk walk = tv_json_begin(&value); tv_json_next(&walk);) {
            if (tv_string_equal(walk.key.text, (tv_string){rest.bytes, dot})) found = walk.value;
        }
        value = found;
        if (dot == rest.length) return value;
        rest = (tv_string){rest.bytes + dot + 1, rest.length - dot - 1};
    }
    return rest.length == 0 ? value : (tv_json_value){.type = TV_JSON_NONE};
}

// Resolves escapes into the scratch buffer; a string too long for it is as good as none.
static field unescaped(field f, const tv_json_value *value) {
    if (!tv_json_string(value, json.scratch + json.scratch_used, SCRATCH_BYTES - json.scratch_used, &f.text)) {
        f.type = TV_JSON_NONE;
    }
    json.scratch_used += f.text.length;
    return f;
}

static inline field json_field(tv_string line, tv_json_value value, uint32_t which) {
    if (json.rests[which].length > 0) value = follow(value, json.rests[which]);
    if (value.type == TV_JSON_NONE) return (field){.type = TV_JSON_NONE};
    field f = {value.type, (uint32_t)(value.text.bytes - line.bytes), value.text, value.number};
    return value.type == TV_JSON_STRING && value.escaped ? unescaped(f, &value) : f;
}

// ---- fields -> measurement ----------------------------------------------------------------------------------

static tv_result bad_field(const char *name, const field *f, const char *wanted) {
    if (f->type == TV_JSON_NONE) return tv_reject("no field \"%s\"", name);
    uint32_t shown = f->text.length < 40 ? f->text.length : 40;
    return tv_reject("field \"%s\" at byte %u is no %s: %.*s", name, f->at, wanted, (int)shown, f->text.bytes);
}

static inline bool read_time(const field *f, int64_t *time_ns) {
    if (f->type == TV_JSON_STRING && f->text.length > 4 && f->text.bytes[4] == '-') {
        return parse_iso_time(&source.times, f->text, time_ns);
    }
    if (f->type != TV_JSON_STRING && f->type != TV_JSON_NUMBER) return false;
    return parse_epoch(f->text, source.epoch_unit_ns, time_ns);
}

static inline bool read_value(const field *f, double *value) {
    if (f->type == TV_JSON_STRING) return tv_read_f64(f->text, value);
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
    return f->type == TV_JSON_STRING && (f->text.length == 0 || quality_among(tv_string_trim(f->text), nulls));
}

// A line whose value is no number. Bad quality excuses that: the reading is one without value. False: rejected, or
// skipped.
static bool measure_nothing(const field *f, measurement *m, tv_result *result) {
    m->empty = m->quality == QUALITY_BAD || (m->quality == QUALITY_UNCERTAIN && is_null(f));
    if (m->empty) {
        m->quality = QUALITY_BAD;
        m->value = 0;
        return true;
    }
    if (!quality.skip_null || !is_null(f)) {
        *result = bad_field(source.names[FIELD_VALUE], f, "finite number");
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

// False: the line has been rejected, or could not be (*result).
static bool measure(const field *f, measurement *m, tv_result *result) {
    m->device = read_name(&f[FIELD_DEVICE], source.device);
    m->metric = read_name(&f[FIELD_METRIC], source.metric);
    m->quality = read_quality(&f[FIELD_QUALITY]);
    if (!read_time(&f[FIELD_TIME], &m->time_ns)) {
        *result = bad_field(source.names[FIELD_TIME], &f[FIELD_TIME], "time");
    } else if (m->device.length == 0) {
        *result = bad_field(source.names[FIELD_DEVICE], &f[FIELD_DEVICE], "device name");
    } else {
        return read_value(&f[FIELD_VALUE], &m->value) || measure_nothing(&f[FIELD_VALUE], m, result);
    }
    return false;
}

// ---- measurement -> reading ---------------------------------------------------------------------------------

// Copies a name; in words where the line goes on behind it, so that at most seven bytes too many are copied.
static inline void put_name(char *to, tv_string name, const char *line_end) {
    if (line_end - name.bytes < (int32_t)((name.length + 7u) & ~7u)) {
        memcpy(to, name.bytes, name.length);
        return;
    }
    for (uint32_t i = 0; i < name.length; i += 8)
        memcpy(to + i, name.bytes + i, 8);
}

// Device and metric to the front of the text, zeros up to the next multiple of 8.
static inline void put_id(tv_string device, tv_string metric, const char *line_end) {
    uint32_t length = device.length + metric.length;
    put_name(out.text, device, line_end);
    put_name(out.text + device.length, metric, line_end);
    if (length % 8 != 0) out.words[length / 8] &= (1ull << (length % 8 * 8)) - 1;
    out.head.device_bytes = (uint8_t)device.length;
    out.head.metric_bytes = (uint8_t)metric.length;
}

static tv_result send_watermark(int64_t time_ns) {
    watermark.records = 0;
    watermark.sent_ns = time_ns;
    return tv_emit_watermark(time_ns - watermark.out_of_orderness_ns);
}

static inline bool watermark_due(void) {
    if (watermark.stream.now_ns == watermark.sent_ns || !watermark.stream.settled) return false;
    if (watermark.records >= watermark.every_records) return true;
    return watermark.stream.now_ns - watermark.sent_ns >= watermark.step_ns;
}

// The first watermark waits until two readings agree on the time.
static inline tv_result advance_watermark(int64_t time_ns, uint64_t key) {
    int64_t before_ns = watermark.stream.now_ns;
    stream_place place = stream_note(&watermark.stream, time_ns, key);
    watermark.records++;
    if (__builtin_expect(place != STREAM_ON_TIME, 0)) {
        tv_counter_add(place == STREAM_AHEAD ? counters.far_future : counters.far_past, 1);
    }
    if (__builtin_expect(watermark.sent_ns == TV_NO_EVENT_TIME && watermark.stream.settled, 0)) {
        tv_result result = send_watermark(before_ns);
        if (result != TV_OK) return result;
    }
    return watermark_due() ? send_watermark(watermark.stream.now_ns) : TV_OK;
}

static tv_result emit_reading(const measurement *m, const char *line_end) {
    if (m->time_ns < TIME_MIN_NS || m->time_ns > TIME_MAX_NS) return tv_reject("the time is not from 1907 to 2191");
    if (m->device.length + m->metric.length > READING_ID_BYTES_MAX) {
        return tv_reject("device and metric have %u bytes, more than %d", m->device.length + m->metric.length,
                         READING_ID_BYTES_MAX);
    }
    put_id(m->device, m->metric, line_end);
    out.head.magic = READING_MAGIC;
    out.head.value = out.head.raw = m->value;
    out.head.quality = m->quality;
    out.head.flags = m->empty ? READING_EMPTY : 0;
    uint64_t key = reading_key(out.words, m->device.length, m->metric.length);
    tv_result result = tv_emit_at(0, m->time_ns, key, &out, reading_bytes(&out.head));
    if (result != TV_OK) return result;
    if (__builtin_expect(m->quality == QUALITY_BAD, 0)) tv_counter_add(counters.quality_bad, 1);
    return advance_watermark(m->time_ns, key);
}

// ---- lines --------------------------------------------------------------------------------------------------

static tv_result take_csv(tv_string text) {
    field fields[FIELD_COUNT];
    measurement m = {0};
    tv_result result;
    if (!csv_read(&csv, text, source.separator)) return tv_reject("%s at byte %u", csv.error, csv.error_at);
    if (source.header_wanted) return take_header();
    if (csv.count > (uint32_t)source.columns[FIELD_TIME] && csv.count > (uint32_t)source.columns[FIELD_VALUE] &&
        is_header_again()) {
        tv_counter_add(counters.header_lines, 1);
        return TV_OK;
    }
    for (uint32_t i = 0; i < FIELD_COUNT; i++)
        fields[i] = csv_field(text, i);
    return measure(fields, &m, &result) ? emit_reading(&m, text.bytes + text.length) : result;
}

static enum template_kind template_kind_of(const field *f, uint32_t which) {
    if (f->type == TV_JSON_NUMBER) return TEMPLATE_NUMBER;
    return which == FIELD_TIME ? TEMPLATE_CHECKED : TEMPLATE_STRING;
}

// Lets the template learn from a line: its fields in the order of the line. Not from lines with escapes, nor with
// values that are neither string nor number.
static void learn(tv_string line, const field *fields) {
    template_example examples[FIELD_COUNT];
    uint32_t count = 0;
    for (uint32_t i = 0; i < FIELD_COUNT; i++) {
        const field *f = &fields[i];
        if (f->type == TV_JSON_NONE) continue;
        if (f->type != TV_JSON_STRING && f->type != TV_JSON_NUMBER) return;
        if (f->text.bytes < line.bytes || f->text.bytes > line.bytes + line.length) return;
        uint32_t place = count++;
        for (; place > 0 && examples[place - 1].text.bytes > f->text.bytes; place--)
            examples[place] = examples[place - 1];
        examples[place] = (template_example){f->text, (uint8_t)i, (uint8_t)template_kind_of(f, i)};
    }
    template_learn(&template, line, examples, count);
}

// By the full reader.
static tv_result take_other_json(tv_string text) {
    tv_json_value values[FIELD_COUNT];
    tv_json_error error;
    field fields[FIELD_COUNT];
    measurement m = {0};
    tv_result result;
    if (!tv_json_read_object(text, &json.keys, values, &error)) {
        return tv_reject("%s at byte %u", error.message, error.offset);
    }
    json.scratch_used = 0;
    for (uint32_t i = 0; i < FIELD_COUNT; i++)
        fields[i] = json_field(text, values[json.key_of[i]], i);
    if (!measure(fields, &m, &result)) return result;
    if (template_wants(&template)) learn(text, fields);
    return emit_reading(&m, text.bytes + text.length);
}

static inline bool slot_time(const template_slot *slot, tv_string text, const char *line_end, int64_t *time_ns) {
    if (slot->kind == TEMPLATE_NUMBER) return parse_epoch(text, source.epoch_unit_ns, time_ns);
    if (parse_iso_quickly(&source.times, text, time_ns)) return true;
    if (template_string(text.bytes, line_end) != text.bytes + text.length) return false;
    return text.length > 4 && text.bytes[4] == '-' && parse_iso_time(&source.times, text, time_ns);
}

// What a slot of the template says; false if that is for the full reader to judge.
static inline bool take_slot(const template_slot *slot, const template_value *value, const char *line_end,
                             measurement *m) {
    switch (slot->field) {
    case FIELD_TIME: return slot_time(slot, value->text, line_end, &m->time_ns);
    case FIELD_DEVICE: m->device = value->text; return value->text.length > 0;
    case FIELD_METRIC: m->metric = value->text; return true;
    case FIELD_VALUE:
        if (!value->exact) return false;
        m->value = value->number;
        return true;
    default: m->quality = read_quality(&(field){.type = TV_JSON_STRING, .text = value->text}); return true;
    }
}

// Lines without time, value or device were rejected, not learnt from, so a match has them all.
static inline tv_result take_json(tv_string text) {
    template_value values[TEMPLATE_SLOTS_MAX];
    measurement m = {.device = source.device, .metric = source.metric, .quality = QUALITY_GOOD};
    const char *end = text.bytes + text.length;
    uint32_t found = template_match(&template, text, values);
    if (found == 0) return take_other_json(text);
    for (uint32_t i = 0; i < found; i++) {
        if (!take_slot(&template.slots[i], &values[i], end, &m)) return take_other_json(text);
    }
    return emit_reading(&m, end);
}

TV_ON_RECORD(record) {
    tv_string text = tv_payload_string(record);
    if (source.format == FORMAT_CSV) {
        if (tv_string_trim(text).length > 0) return take_csv(text);
    } else if (text.length > 0 && (text.bytes[0] == '{' || tv_string_trim(text).length > 0)) {
        return take_json(text);
    }
    tv_counter_add(counters.blank_lines, 1);
    return TV_OK;
}

TV_ON_CLOSE() {
    if (!watermark.stream.begun || watermark.stream.now_ns == watermark.sent_ns) return TV_OK;
    return send_watermark(watermark.stream.now_ns);
}
