// sensor-source: lines of text from a channel in, binary readings (reading.h) and watermarks out.
//
// A line is a JSON object, or a list of them, with configurable field names, or a row of CSV; it gives one reading or
// several, all of them or none. What cannot be read is rejected with the reason and the byte where it stands; nothing
// is guessed. The watermark follows the greatest event time seen, minus the disorder that is expected; devices with
// wrong clocks do not move it (stream_time.h).
#include <torvyn/json.h>
#define TV_PENDING_BYTES(max_output) 262144u // READINGS_MAX readings with the longest names, at 216 bytes
#include <torvyn/torvyn.h>

#include "line_template.h"
#include "source_config.h"
#include "source_csv.h"
#include "source_json.h"

TV_COMPONENT("sensor-source", "1.1.0", "source", 512);

static line_template template;
static reading_buffer out;

TV_ON_INIT() {
    read_config();
    add_counters();
    return TV_OK;
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
    tv_result refused;
    if (!fits(m, &refused)) return refused;
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

static tv_result emit_message(tv_string line) {
    for (uint32_t i = 0; i < message.count; i++) {
        tv_result result = emit_reading(&message.list[i], line.bytes + line.length);
        if (result != TV_OK) return result;
    }
    return TV_OK;
}

// ---- lines that look like the one before ------------------------------------------------------------------

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
    tv_json_error error;
    field fields[FIELD_COUNT];
    measurement m = {0};
    tv_result result;
    uint32_t odd;
    if (!read_members(text, json.members, &odd, &error)) return bad_json(text, text.bytes, &error);
    json.scratch_used = 0;
    for (uint32_t i = 0; i < FIELD_COUNT; i++)
        fields[i] = json_field(text, path_find(json.members, &source.fields[i]));
    if (!measure(fields, &m, &result)) return result;
    note_odd(odd);
    if (odd == 0 && template_wants(&template)) learn(text, fields);
    return emit_reading(&m, text.bytes + text.length);
}

static inline bool slot_time(const template_slot *slot, tv_string text, const char *line_end, int64_t *time_ns) {
    if (slot->kind == TEMPLATE_NUMBER) return parse_epoch(text, '.', source.times.unit_ns, time_ns);
    if (parse_iso_quickly(&source.times, text, time_ns)) return true;
    if (template_string(text.bytes, line_end) != text.bytes + text.length) return false;
    if (text.length <= 4 || text.bytes[4] != '-' || !parse_iso_time(&source.times, text, time_ns)) return false;
    if (__builtin_expect(source.times.doubtful, 0)) tv_counter_add(counters.doubtful_times, 1);
    return true;
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

// ---- lines --------------------------------------------------------------------------------------------------

// Lines that are not simple, not JSON, not in UTF-8, or empty.
static __attribute__((noinline)) tv_result take_line(const tv_record *record, tv_string text) {
    csv_table *table = &tables[record->port % INPUTS_MAX];
    uint32_t at;
    if (record->attributes_bytes > 0 && source.format == FORMAT_CSV) note_file(table, record);
    if (encoding_is_wide(text)) return tv_reject("the text is UTF-16 or UTF-32, not UTF-8: convert it before");
    text = encoding_without_mark(text);
    if (source.encoding != ENCODING_UTF8 && !encoding_convert(source.encoding, text, converted, &text, &at)) {
        if (at < text.length && text.length < ENCODING_ROOM / 3) return tv_reject("byte %u is no character", at);
        return tv_reject("%u bytes, too many for another encoding than UTF-8", text.length);
    }
    if (tv_string_trim(text).length == 0) {
        tv_counter_add(counters.blank_lines, 1);
        return TV_OK;
    }
    if (source.format == FORMAT_CSV) return take_csv(table, text);
    return source.simple && tv_string_trim(text).bytes[0] != '[' ? take_json(text) : take_message(text);
}

TV_ON_RECORD(record) {
    tv_string text = tv_payload_string(record);
    if (__builtin_expect(source.simple && text.length > 0 && text.bytes[0] == '{', 1)) return take_json(text);
    return take_line(record, text);
}

TV_ON_CLOSE() {
    if (!watermark.stream.begun || watermark.stream.now_ns == watermark.sent_ns) return TV_OK;
    return send_watermark(watermark.stream.now_ns);
}
