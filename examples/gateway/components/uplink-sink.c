// uplink-sink: gathers JSON documents into batches for the uplink.
//
// A batch is lines of JSON (one document each) or one JSON array, and goes out when it has enough documents or bytes,
// when its first document has waited long enough, when a document from an urgent input arrives, and at the end. What
// is no JSON is rejected, so that a batch is always well-formed. Readings in their binary form are written as JSON.
// One batch is one message of the channel; a document is in exactly one batch.
#include <torvyn/torvyn.h>

#include "json_text.h"
#include "reading.h"

TV_COMPONENT("uplink-sink", "1.0.0", "sink", 65536);

enum { BATCH_BYTES_MAX = 65536, READING_TEXT_BYTES = 2048, INPUTS_MAX = 32 };

enum { FORMAT_LINES, FORMAT_ARRAY };

static struct {
    int format;
    uint32_t records, bytes, digits;
    int64_t age_ns;
    uint32_t urgent_inputs; // bit 1 << input
} config;

static struct {
    char bytes[BATCH_BYTES_MAX];
    uint32_t length, records;
    bool due; // could not be sent yet
} batch;

static tv_attributes content_type;
static char reading_json[READING_TEXT_BYTES];

static struct { int32_t batches, documents, by_age; } counters;

TV_ON_INIT() {
    static const char *const known[] = {"format", "batch", "urgent_inputs", "digits", NULL};
    static const char *const batch_known[] = {"records", "bytes", "age", NULL};
    tv_config_keys("", known);
    tv_config_keys("batch", batch_known);
    config.format = tv_config_enum("format", FORMAT_LINES, TV_CHOICES("lines", "array"));
    config.records = (uint32_t)tv_config_i64_in("batch.records", 500, 1, 1000000);
    config.bytes = (uint32_t)tv_config_size("batch.bytes", 32768, 16, BATCH_BYTES_MAX);
    config.age_ns = tv_config_duration_ns("batch.age", 5000000000, 0, 86400000000000);
    config.digits = (uint32_t)tv_config_i64_in("digits", 7, 1, 15);
    uint32_t urgent = tv_config_length("urgent_inputs", INPUTS_MAX);
    for (uint32_t i = 0; i < urgent; i++) {
        config.urgent_inputs |= 1u << tv_config_i64_in(tv_path("urgent_inputs.%u", i), 0, 0, INPUTS_MAX - 1);
    }
    const char *type = config.format == FORMAT_LINES ? "application/x-ndjson" : "application/json";
    tv_attributes_add(&content_type, TV_ATTRIBUTE_CONTENT_TYPE, tv_string_of(type));
    counters.batches = tv_counter("batches");
    counters.documents = tv_counter("documents");
    counters.by_age = tv_counter("batches_by_age");
    return TV_OK;
}

// ---- documents ----------------------------------------------------------------------------------------------

// A measurement without a value that JSON can write.
static bool has_no_number(const reading *r) {
    return (r->flags & READING_EMPTY) != 0 || (!(r->flags & READING_NO_VALUE) && !__builtin_isfinite(r->value));
}

static tv_string reading_as_json(const tv_record *record, const reading *r) {
    tv_json_writer json = tv_json_writer_of(reading_json, sizeof reading_json);
    tv_json_object(&json);
    tv_json_member_string(&json, "type", (tv_string){"reading", 7});
    if (tv_has_event_time(record)) tv_json_member_time(&json, "time", record->event_time_ns);
    put_identity(&json, r);
    if (has_no_number(r)) {
        tv_json_member_raw(&json, "value", (tv_string){"null", 4});
    } else if (!(r->flags & READING_NO_VALUE)) {
        put_number(&json, "value", r->value, config.digits);
    }
    if (r->quality != QUALITY_GOOD) {
        tv_json_member_string(&json, "quality", tv_string_of(reading_quality_name(r->quality)));
    }
    if (r->flags & READING_ANOMALY) put_verdict(&json, r);
    put_tags(&json, r);
    tv_json_object_end(&json);
    return (tv_string){reading_json, tv_json_length(&json)};
}

// The document of a record; false if it has none and has been rejected, or could not be (*result).
static bool take_document(const tv_record *record, tv_string *document, tv_result *result) {
    const reading *r = reading_from(record);
    tv_json_value value;
    tv_json_error error;
    if (r != NULL) {
        *document = reading_as_json(record, r);
        return true;
    }
    *document = tv_string_trim(tv_payload_string(record));
    if (!tv_json_read_value(*document, &value, &error)) {
        *result = tv_reject("neither JSON nor a reading: %s at byte %u", error.message, error.offset);
        return false;
    }
    if (document->length <= BATCH_BYTES_MAX - 2) return true;
    *result = tv_reject("%u bytes are more than a batch", document->length);
    return false;
}

// ---- batches ------------------------------------------------------------------------------------------------

static tv_result flush(void) {
    if (batch.records == 0) return TV_OK;
    tv_output output = tv_output_none();
    if (config.format == FORMAT_ARRAY) batch.bytes[batch.length] = ']';
    output.payload = batch.bytes;
    output.payload_bytes = batch.length + (config.format == FORMAT_ARRAY);
    output.attributes = &content_type;
    tv_result result = tv_emit_output(&output);
    batch.due = result == TV_FULL;
    if (result != TV_OK) return result;
    tv_counter_add(counters.batches, 1);
    tv_counter_add(counters.documents, batch.records);
    batch.length = batch.records = 0;
    return TV_OK;
}

// Bytes the batch would have with this document, brackets included.
static uint32_t length_with(tv_string document) {
    return batch.length + 1 + document.length + (config.format == FORMAT_ARRAY);
}

// A line break in a document is space between its parts: strings have theirs escaped. Eight bytes at a time, as there
// is usually none; a word with a control character in it is looked at closely.
static void spaces_for_line_breaks(char *text, uint32_t length) {
    for (uint32_t i = 0; i < length; i += 8) {
        uint64_t word = 0;
        uint32_t bytes = length - i < 8 ? length - i : 8;
        memcpy(&word, text + i, bytes);
        if (bytes == 8 && ((word - 0x2020202020202020ull) & ~word & 0x8080808080808080ull) == 0) continue;
        for (uint32_t k = i; k < i + bytes; k++) {
            if (text[k] == '\n' || text[k] == '\r') text[k] = ' ';
        }
    }
}

static void put_document(tv_string document) {
    if (config.format == FORMAT_ARRAY) {
        batch.bytes[batch.length++] = batch.records == 0 ? '[' : ',';
    } else if (batch.records > 0) {
        batch.bytes[batch.length++] = '\n';
    }
    char *to = batch.bytes + batch.length;
    memcpy(to, document.bytes, document.length);
    spaces_for_line_breaks(to, document.length);
    batch.length += document.length;
    batch.records++;
    if (batch.records == 1 && config.age_ns > 0) tv_timer_set(config.age_ns);
}

TV_ON_RECORD(record) {
    tv_string document;
    tv_result result;
    if (!take_document(record, &document, &result)) return result;
    if (batch.records > 0 && length_with(document) > config.bytes) {
        result = flush();
        if (result != TV_OK) return result; // TV_FULL: this record comes again
    }
    put_document(document);
    bool urgent = record->port < INPUTS_MAX && (config.urgent_inputs >> record->port & 1) != 0;
    if (!urgent && batch.records < config.records && batch.length < config.bytes) return TV_OK;
    result = flush();
    return result == TV_FULL ? TV_MORE : result;
}

static tv_result flush_or_more(void) {
    tv_result result = flush();
    return result == TV_FULL ? TV_MORE : result;
}

TV_ON_MORE() { return batch.due ? flush_or_more() : TV_OK; }

TV_ON_TICK(now_ns) {
    (void)now_ns;
    if (batch.records > 0) tv_counter_add(counters.by_age, 1);
    return flush_or_more();
}

TV_ON_CLOSE() { return flush_or_more(); }
