// Reads the configuration of sensor-source; what is wrong with it is reported with its path.
#ifndef GATEWAY_SOURCE_CONFIG_H
#define GATEWAY_SOURCE_CONFIG_H

#include "source_state.h"

static void read_path(const char *at, const char *fallback, field_path *path) {
    uint32_t length = tv_config_string(at, fallback, path->name, sizeof path->name);
    if (length == 0) tv_config_fail(at, "must not be empty");
    if (!path_split(path)) tv_config_fail(at, "leads through more than %d parts", PATH_PARTS_MAX);
}

// The length of a list of names; 0: there is one name, or none.
static uint32_t list_length(const char *path, uint32_t max) {
    uint32_t count = tv_config_length(path, max);
    if (count == 0 && tv_config_has(tv_path("%s.length", path))) tv_config_fail(path, "must not be empty");
    return count;
}

static void read_time_fields(void) {
    source.time_parts = list_length("fields.time", TIME_PARTS_MAX);
    if (source.time_parts == 0) {
        source.time_parts = 1;
        read_path("fields.time", "time", &source.fields[FIELD_TIME]);
        return;
    }
    read_path("fields.time.0", "", &source.fields[FIELD_TIME]);
    for (uint32_t i = 1; i < source.time_parts; i++)
        read_path(tv_path("fields.time.%u", i), "", &source.fields[FIELD_TIME_MORE + i - 1]);
}

static void read_value_fields(void) {
    if (!tv_config_has("fields.values")) {
        read_path("fields.value", "value", &source.fields[FIELD_VALUE]);
        return;
    }
    if (tv_config_has("fields.value")) tv_config_fail("fields.value", "either this or fields.values");
    source.value_count = list_length("fields.values", VALUES_MAX);
    if (source.value_count == 0) {
        read_path("fields.values", "", &source.fields[FIELD_VALUES]);
        const char *name = source.fields[FIELD_VALUES].name;
        if (name[0] == '{') tv_config_fail("fields.values", "expected a list of names, or \"*\"");
        source.rest = tv_string_is(tv_string_of(name), "*");
        source.value_count = !source.rest;
        if (source.rest) source.fields[FIELD_VALUES] = (field_path){.part_count = 0};
        return;
    }
    for (uint32_t i = 0; i < source.value_count; i++) {
        field_path *value = &source.fields[FIELD_VALUES + i];
        read_path(tv_path("fields.values.%u", i), "", value);
        if (tv_string_is(tv_string_of(value->name), "*")) tv_config_fail("fields.values", "\"*\" stands alone");
    }
}

static void add_keys(field_path *path) {
    if (path_used(path) && !path_add_keys(path, &json.keys)) {
        tv_config_fail("fields", "more than %d names, with their first parts", TV_JSON_KEYS_MAX);
    }
}

static void read_fields_config(void) {
    static const char *const known[] = {"time", "device", "metric", "value", "values", "quality", NULL};
    tv_config_keys("fields", known);
    read_time_fields();
    read_path("fields.device", "device", &source.fields[FIELD_DEVICE]);
    read_path("fields.metric", "metric", &source.fields[FIELD_METRIC]);
    read_path("fields.quality", "quality", &source.fields[FIELD_QUALITY]);
    read_value_fields();
    source.field_count = FIELD_VALUES + source.value_count;
    if (tv_config_has("each")) read_path("each", "", &source.each);
    for (uint32_t i = 0; i < source.field_count; i++)
        add_keys(&source.fields[i]);
    add_keys(&source.each);
    source.device.bytes = source.device_text;
    source.metric.bytes = source.metric_text;
    source.device.length = tv_config_string("device", "", source.device_text, READING_ID_BYTES_MAX + 1);
    source.metric.length = tv_config_string("metric", "", source.metric_text, READING_ID_BYTES_MAX + 1);
}

// The name of a column that the table must have; NULL: it has all of them.
static const char *missing_column(const csv_table *table) {
    for (uint32_t i = 0; i < source.field_count; i++) {
        bool is_time = i == FIELD_TIME || (i >= FIELD_TIME_MORE && i < FIELD_VALUES);
        bool needed = (is_time && !source.arrival) || i == FIELD_VALUE || i >= FIELD_VALUES;
        if (needed && path_used(&source.fields[i]) && table->columns[i] < 0) return source.fields[i].name;
    }
    return NULL;
}

// Columns that the configuration names are the same for all files.
static void read_columns_config(void) {
    char name[PATH_NAME_BYTES];
    uint32_t count = tv_config_length("csv.columns", CSV_CELLS_MAX);
    csv_table *table = &tables[0];
    for (uint32_t i = 0; i < INPUTS_MAX; i++)
        table_clear(&tables[i]);
    source.columns_configured = count > 0;
    if (count == 0) return;
    for (uint32_t i = 0; i < count; i++) {
        tv_string column = {name, tv_config_string(tv_path("csv.columns.%u", i), "", name, sizeof name)};
        if (table_add(table, source.fields, source.field_count, i, column, source.rest)) continue;
        tv_config_fail("csv.columns", "%s \"%s\"", table->error, name);
        table->error = NULL;
    }
    const char *missing = missing_column(table);
    if (missing != NULL) tv_config_fail("csv.columns", "has no column \"%s\"", missing);
    table->known = true;
    for (uint32_t i = 1; i < INPUTS_MAX; i++)
        tables[i] = tables[0];
}

static char read_character(const char *path, const char *fallback, const char *wanted) {
    char text[8];
    if (tv_config_string(path, fallback, text, sizeof text) == 1 && text[0] != '"') return text[0];
    tv_config_fail(path, "must be %s", wanted);
    return fallback[0];
}

static void read_csv_config(void) {
    static const char *const known[] = {"separator", "columns", "decimal", NULL};
    tv_config_keys("csv", known);
    source.separator = read_character("csv.separator", ",", "one character, not a quote");
    source.decimal = read_character("csv.decimal", ".", "\".\" or \",\"");
    if (source.decimal != '.' && source.decimal != ',') tv_config_fail("csv.decimal", "must be \".\" or \",\"");
    source.times.decimal = source.format == FORMAT_CSV ? source.decimal : '.';
    read_columns_config();
}

// The zone of times that name no offset.
static void read_zone_config(void) {
    char text[PATH_NAME_BYTES];
    int32_t offset_s;
    tv_string offset = {text, tv_config_string("time.utc_offset", "0", text, sizeof text)};
    if (zone_read_offset(offset, &offset_s)) {
        source.times.zone = zone_fixed(offset_s);
    } else {
        tv_config_fail("time.utc_offset", "expected an offset like -5h, +05:30 or UTC+1, found '%s'%s", text,
                       zone_read(offset, &source.times.zone) ? "; for a zone use time.zone" : "");
    }
    if (!tv_config_has("time.zone")) return;
    tv_string zone = {text, tv_config_string("time.zone", "", text, sizeof text)};
    if (tv_config_has("time.utc_offset")) tv_config_fail("time.zone", "either this or time.utc_offset");
    if (zone_read(zone, &source.times.zone)) return;
    tv_config_fail("time.zone",
                   "expected a zone of the tz database (%s) like Europe/Berlin, or a rule like "
                   "CET-1CEST,M3.5.0,M10.5.0/3, found '%s'%s",
                   ZONE_TABLE_VERSION, text,
                   zone_read_offset(zone, &offset_s) ? "; for a fixed offset use time.utc_offset" : "");
}

static void read_format(const char *path, uint32_t index) {
    char *format = source.times.formats[index];
    tv_config_string(path, "", format, TIME_FORMAT_BYTES);
    const char *fault = time_format_fault(format);
    if (fault != NULL) tv_config_fail(path, "'%s' %s", format, fault);
    source.times.format_count = index + 1;
}

static void read_time_config(void) {
    static const char *const known[] = {"epoch", "utc_offset", "zone", "format", "missing", NULL};
    static const int64_t units_ns[] = {0, NS_PER_SECOND, NS_PER_SECOND / 1000, 1000, 1};
    tv_config_keys("time", known);
    source.times.unit_ns = units_ns[tv_config_enum("time.epoch", 0, TV_CHOICES("auto", "s", "ms", "us", "ns"))];
    source.arrival = tv_config_enum("time.missing", 0, TV_CHOICES("reject", "arrival")) == 1;
    read_zone_config();
    uint32_t count = list_length("time.format", TIME_FORMATS_MAX);
    if (count == 0 && tv_config_has("time.format")) read_format("time.format", 0);
    for (uint32_t i = 0; i < count; i++)
        read_format(tv_path("time.format.%u", i), i);
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
}

static void add_counters(void) {
    counters.blank_lines = tv_counter("blank_lines");
    counters.header_lines = tv_counter("header_lines");
    counters.headerless_files = tv_counter("headerless_files");
    counters.far_future = tv_counter("far_future");
    counters.far_past = tv_counter("far_past");
    counters.arrival_times = tv_counter("arrival_times");
    counters.doubtful_times = tv_counter("doubtful_times");
    counters.quality_bad = tv_counter("quality_bad");
    counters.quality_unknown = tv_counter("quality_unknown");
    counters.nulls_skipped = tv_counter("nulls_skipped");
    counters.others_skipped = tv_counter("others_skipped");
    counters.odd_members = tv_counter("odd_members");
}

static void read_config(void) {
    static const char *const known[] = {"format",    "encoding", "json",   "fields",  "each", "csv", "time",
                                        "watermark", "device",   "metric", "quality", "null", NULL};
    tv_config_keys("", known);
    source.format = tv_config_enum("format", FORMAT_JSON, TV_CHOICES("json", "csv"));
    source.encoding = tv_config_enum("encoding", ENCODING_UTF8, ENCODING_CHOICES);
    source.lenient = tv_config_enum("json", 0, TV_CHOICES("strict", "lenient")) == 1;
    read_fields_config();
    read_time_config();
    read_csv_config();
    read_watermark_config();
    read_quality_config();
    bool several = source.rest || source.value_count > 0 || path_used(&source.each);
    source.simple = source.format == FORMAT_JSON && source.encoding == ENCODING_UTF8 && !several && !source.arrival &&
                    source.time_parts == 1 && source.times.format_count == 0;
}

#endif
