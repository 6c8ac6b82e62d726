// See csv.h. One pass, in place: a field is unquoted where it stands and ended with a NUL over its comma or line end.
#include "pipeline/csv.h"

#include <stdbool.h>
#include <string.h>

#include "pipeline/node.h"

static bool csv_at_line_end(const tv_csv *csv) {
    return csv->at == csv->end || csv->at[0] == '\n' ||
           (csv->at[0] == '\r' && csv->at + 1 < csv->end && csv->at[1] == '\n');
}

static void csv_skip_line_end(tv_csv *csv) {
    if (csv->at == csv->end) return;
    csv->at += csv->at[0] == '\r' ? 2 : 1;
    csv->line++;
}

// What lies between quotes, from behind the first of them; ends with `at` behind the last.
static tv_status csv_read_quoted(tv_csv *csv, char **field_end, tv_error *error) {
    uint32_t opened = csv->line;
    char *out = csv->at;
    for (; csv->at < csv->end; csv->at++) {
        if (csv->at[0] == '"') {
            if (csv->at + 1 == csv->end || csv->at[1] != '"') break;
            csv->at++;
        }
        if (csv->at[0] == '\n') csv->line++;
        *out++ = *csv->at;
    }
    csv->row_line = opened;
    if (csv->at == csv->end) return tv_error_set(error, TV_INVALID, "a quoted field has no closing quote");
    csv->at++;
    *field_end = out;
    if (csv_at_line_end(csv) || csv->at[0] == ',') return TV_OK;
    csv->row_line = csv->line;
    return tv_error_set(error, TV_INVALID,
                        "text stands behind the closing quote of a field; inside quotes a quote is written twice");
}

static tv_status csv_read_plain(tv_csv *csv, char **field_end, tv_error *error) {
    while (!csv_at_line_end(csv) && csv->at[0] != ',') {
        if (csv->at[0] == '"')
            return tv_error_set(error, TV_INVALID,
                                "a quote stands inside a field without quotes; quote the field and double the quote");
        if (csv->at[0] == '\r') return tv_error_set(error, TV_INVALID, "a carriage return stands alone");
        csv->at++;
    }
    *field_end = csv->at;
    return TV_OK;
}

static tv_status csv_check_text(const char *field, const char *field_end, tv_error *error) {
    if (memchr(field, '\0', (size_t)(field_end - field)) != NULL)
        return tv_error_set(error, TV_INVALID, "a field contains a NUL byte");
    while (field < field_end) { // ended with a NUL, which is no continuation byte
        size_t length = tv_utf8_length((const unsigned char *)field);
        if (length == 0) return tv_error_set(error, TV_INVALID, "a field is not UTF-8 text");
        field += length;
    }
    return TV_OK;
}

// One field and what ends it; *last says that it was the row's last.
static tv_status csv_read_field(tv_csv *csv, char **field, bool *last, tv_error *error) {
    char *field_end = NULL;
    bool quoted = csv->at < csv->end && csv->at[0] == '"';
    uint32_t row_line = csv->row_line;
    *field = csv->at += quoted ? 1 : 0;
    tv_status status = quoted ? csv_read_quoted(csv, &field_end, error) : csv_read_plain(csv, &field_end, error);
    if (status != TV_OK) return status;
    csv->row_line = row_line;
    *last = csv_at_line_end(csv);
    if (*last) {
        csv_skip_line_end(csv);
    } else {
        csv->at++;
    }
    *field_end = '\0';
    return csv_check_text(*field, field_end, error);
}

static tv_status csv_read_row(tv_csv *csv, char *fields[TV_CSV_COLUMNS_MAX], size_t *count, tv_error *error) {
    bool last = false;
    *count = 0;
    while (csv->at < csv->end && csv_at_line_end(csv)) {
        csv_skip_line_end(csv);
    }
    csv->row_line = csv->line;
    if (csv->at == csv->end) return TV_EOF;
    while (!last) {
        if (*count == TV_CSV_COLUMNS_MAX)
            return tv_error_set(error, TV_INVALID, "a row has more than %d fields", TV_CSV_COLUMNS_MAX);
        tv_status status = csv_read_field(csv, &fields[*count], &last, error);
        if (status != TV_OK) return status;
        (*count)++;
    }
    return TV_OK;
}

tv_status tv_csv_open(tv_csv *csv, char *bytes, size_t length, tv_error *error) {
    bool marked = length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0;
    *csv = (tv_csv){.at = bytes + (marked ? 3 : 0), .end = bytes + length, .line = 1};
    tv_status status = csv_read_row(csv, csv->columns, &csv->column_count, error);
    if (status != TV_EOF) return status;
    return tv_error_set(error, TV_INVALID, "the table is empty; its first row names the columns");
}

tv_status tv_csv_next(tv_csv *csv, tv_error *error) {
    size_t count;
    tv_status status = csv_read_row(csv, csv->fields, &count, error);
    if (status != TV_OK || count == csv->column_count) return status;
    return tv_error_set(error, TV_INVALID, "expected %zu fields as in the header, found %zu", csv->column_count, count);
}
