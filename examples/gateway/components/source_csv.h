// Rows of CSV under the header of their file.
#ifndef GATEWAY_SOURCE_CSV_H
#define GATEWAY_SOURCE_CSV_H

#include "source_measure.h"

static field csv_field(tv_string line, const csv_table *table, uint32_t which) {
    int column = table->columns[which];
    if (column < 0 || (uint32_t)column >= csv.count) return (field){.type = TV_JSON_NONE};
    tv_string text = tv_string_trim(csv.cells[column]);
    bool inside = text.bytes >= line.bytes && text.bytes <= line.bytes + line.length;
    bool is_name = which == FIELD_DEVICE || which == FIELD_METRIC;
    return (field){.type = text.length == 0                     ? TV_JSON_NULL
                           : is_name && !encoding_is_utf8(text) ? TV_JSON_ODD
                                                                : TV_JSON_STRING,
                   .at = inside ? (uint32_t)(text.bytes - line.bytes) : 0,
                   .text = text};
}

static tv_result take_header(csv_table *table) {
    bool any_row = source.arrival && source.rest; // nothing tells a header from a row
    if (!source.columns_configured && !table_read_header(table, source.fields, source.field_count, &csv, source.rest)) {
        table->known = false;
        return tv_reject("header %s \"%.*s\"", table->error, (int)table->error_name.length, table->error_name.bytes);
    }
    const char *missing = missing_column(table);
    table->known = missing == NULL && !(table->middle && any_row);
    if (table->known) {
        table->middle = false;
        tv_counter_add(counters.header_lines, 1);
        return TV_OK;
    }
    if (table->middle) {
        return tv_reject("the file was begun in its middle, and its header is not known (see csv.columns)");
    }
    return tv_reject("header has no column \"%s\" (%u columns%s)", missing, csv.total,
                     csv.total == 1 ? "; is csv.separator right?" : "");
}

// Whether the row at hand, all of whose cells are there, is a header: it names the time, or all values.
static bool is_header(void) {
    if (table_is_named(&csv, &source.fields[FIELD_TIME])) return true;
    for (uint32_t i = FIELD_VALUE; i < source.field_count; i++) {
        bool is_value = i == FIELD_VALUE || i >= FIELD_VALUES;
        if (is_value && path_used(&source.fields[i]) && !table_is_named(&csv, &source.fields[i])) return false;
    }
    return source.arrival && !source.rest;
}

// Whether a row has no time, or without a column for it no value, as headers have none.
static bool may_be_header(const csv_table *table, const field *f, bool timed) {
    double value;
    if (!timed) return true;
    if (table->columns[FIELD_TIME] >= 0) return false;
    const field *first = &f[source.value_count > 0 ? FIELD_VALUES : FIELD_VALUE];
    return !source.rest && !read_value(first, &value);
}

static bool add_rest_of_row(const csv_table *table, const measurement *common, tv_result *result) {
    double value;
    for (uint32_t i = 0; i < table->rest_count; i++) {
        tv_string cell = {NULL, 0};
        if (table->rest[i] < csv.count) cell = tv_string_trim(csv.cells[table->rest[i]]);
        bool word = cell.length > 0 && (uint8_t)((cell.bytes[0] | 32) - 'a') < 26; // "true" is no number here
        if (word || !number_read(cell, source.decimal, &value)) {
            tv_counter_add(cell.length == 0 ? counters.nulls_skipped : counters.others_skipped, 1);
        } else if (!add_other(common, table_rest_name(table, i), value, 0, result)) {
            return false;
        }
    }
    return true;
}

// A row without the cell of a column that is wanted: its metric or its quality would be another.
static bool row_is_too_short(const csv_table *table) {
    for (uint32_t i = 0; i < source.field_count; i++)
        if (table->columns[i] >= 0 && (uint32_t)table->columns[i] >= csv.count) return true;
    return false;
}

static bool measure_row(const csv_table *table, const field *f, bool timed, int64_t time_ns, tv_result *result) {
    measurement m = {.time_ns = time_ns};
    message.count = 0;
    if (table_is_too_long(table, &csv)) {
        *result = tv_reject("%u cells, but the header has %u columns", csv.filled, table->total);
        return false;
    }
    if (!measure_common(f, timed, &m, result)) return false;
    bool good = source.rest ? add_rest_of_row(table, &m, result) : add_values(f, &m, result);
    if (good && row_is_too_short(table)) {
        *result = tv_reject("%u cells, but a column behind them is wanted", csv.count);
        return false;
    }
    return good && expect_some(0, result);
}

// The first row of a file that ought to be a header, but may go on under the one before.
static bool goes_on(csv_table *table, bool timed) {
    bool same = timed && csv.total == table->total && table->columns[FIELD_TIME] >= 0;
    table->begins = false;
    if (same) tv_counter_add(counters.headerless_files, 1);
    return same;
}

static tv_result take_row(csv_table *table, tv_string text) {
    field f[FIELDS_MAX];
    int64_t time_ns = 0;
    tv_result result;
    for (uint32_t i = 0; i < source.field_count; i++)
        f[i] = csv_field(text, table, i);
    bool timed = read_time(f, &time_ns);
    if (table->begins || may_be_header(table, f, timed)) {
        if (!csv_read_first(&csv, text, source.separator, CSV_CELLS_MAX)) {
            return tv_reject("%s at byte %u", csv.error, csv.error_at);
        }
        if (is_header() || (table->begins && !goes_on(table, timed))) {
            table->begins = false;
            return take_header(table);
        }
    }
    return measure_row(table, f, timed, time_ns, &result) ? emit_message(text) : result;
}

static bool split_row(const csv_table *table, tv_string text, tv_result *result) {
    uint32_t wanted = table->known ? table->wanted : CSV_CELLS_MAX;
    bool good = csv_read_first(&csv, text, source.separator, wanted);
    if (good && !table->known && csv.total > CSV_CELLS_MAX && source.rest) {
        good = csv_error(&csv, 0, "more than 1024 columns");
    }
    if (!good) *result = tv_reject("%s at byte %u", csv.error, csv.error_at);
    return good;
}

// "sep=;" as spreadsheets write it in front of the header.
static bool is_separator_line(tv_string text) {
    text = tv_string_trim(text);
    return text.length == 5 && memcmp(text.bytes, "sep=", 4) == 0 && text.bytes[4] == source.separator;
}

static tv_result take_csv(csv_table *table, tv_string text) {
    tv_result result;
    if ((!table->known || table->begins) && is_separator_line(text)) {
        tv_counter_add(counters.header_lines, 1);
        return TV_OK;
    }
    if (!split_row(table, text, &result)) return result;
    if (table->known) return take_row(table, text);
    table->begins = false;
    return take_header(table);
}

// The first record of a file says so (docs/connectors.md), and brings the header if it is not the first line.
static void note_file(csv_table *table, const tv_record *record) {
    tv_string value;
    if (source.columns_configured || !tv_attribute_named(record, "file", &value)) return;
    table->begins = true;
    table->middle = tv_string_is(value, "middle");
    if (!table->middle) return;
    table_clear(table);
    if (!tv_attribute_named(record, "first_line", &value)) return;
    value = encoding_without_mark(value);
    if (source.encoding != ENCODING_UTF8) {
        uint32_t at;
        if (!encoding_convert(source.encoding, value, converted, &value, &at)) return;
    }
    if (!csv_read(&csv, value, source.separator)) return;
    table->known =
        table_read_header(table, source.fields, source.field_count, &csv, source.rest) && missing_column(table) == NULL;
    table->begins = !table->known;
}

#endif
