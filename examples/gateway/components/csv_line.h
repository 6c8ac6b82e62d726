// One line of CSV (RFC 4180 within a line): cells, quoted or not. A quoted cell may hold separators and doubled
// quotes, but no line break: records and table rows are lines.
//
// Cells point into the line; those with doubled quotes are unescaped into a scratch buffer of the caller. Bounded by
// CSV_CELLS_MAX cells and the scratch's size.
#ifndef GATEWAY_CSV_LINE_H
#define GATEWAY_CSV_LINE_H

#include <torvyn/torvyn.h>

enum { CSV_CELLS_MAX = 64, CSV_SCRATCH_BYTES = 4096 };

typedef struct csv_line {
    tv_string cells[CSV_CELLS_MAX];
    uint32_t count;
    uint32_t error_at;     // byte in the line, if reading failed
    const char *error;     // why
    uint32_t scratch_used; // reset by csv_read
    char scratch[CSV_SCRATCH_BYTES];
} csv_line;

static inline bool csv_error(csv_line *line, uint32_t at, const char *why) {
    line->error_at = at;
    line->error = why;
    return false;
}

// Reads the quoted cell that begins behind the quote at `at`; moves `at` behind the closing quote.
static inline bool csv_read_quoted(csv_line *line, tv_string text, uint32_t *at, tv_string *cell) {
    uint32_t open = (*at)++, from = *at;
    bool doubled = false;
    for (;; (*at)++) {
        if (*at >= text.length) return csv_error(line, open, "quote is not closed");
        if (text.bytes[*at] != '"') continue;
        if (*at + 1 >= text.length || text.bytes[*at + 1] != '"') break;
        doubled = true;
        (*at)++;
    }
    *cell = (tv_string){text.bytes + from, *at - from};
    (*at)++;
    if (!doubled) return true;
    if (cell->length > CSV_SCRATCH_BYTES - line->scratch_used) return csv_error(line, open, "quoted cell is too long");
    char *out = line->scratch + line->scratch_used;
    uint32_t length = 0;
    for (uint32_t i = 0; i < cell->length; i++) {
        out[length++] = cell->bytes[i];
        if (cell->bytes[i] == '"') i++;
    }
    *cell = (tv_string){out, length};
    line->scratch_used += length;
    return true;
}

// Splits a line (without its line break; a trailing CR is ignored). False: error and error_at say why and where.
static inline bool csv_read(csv_line *line, tv_string text, char separator) {
    uint32_t at = 0;
    if (text.length > 0 && text.bytes[text.length - 1] == '\r') text.length--;
    line->count = 0;
    line->scratch_used = 0;
    for (;;) {
        if (line->count == CSV_CELLS_MAX) return csv_error(line, at, "more than 64 cells");
        tv_string *cell = &line->cells[line->count++];
        if (at < text.length && text.bytes[at] == '"') {
            if (!csv_read_quoted(line, text, &at, cell)) return false;
            if (at < text.length && text.bytes[at] != separator) {
                return csv_error(line, at, "text behind a quoted cell");
            }
        } else {
            uint32_t from = at;
            while (at < text.length && text.bytes[at] != separator)
                at++;
            *cell = (tv_string){text.bytes + from, at - from};
        }
        if (at == text.length) return true;
        at++;
    }
}

// The number of the cell with this text, or -1: for header lines.
static inline int csv_find(const csv_line *line, const char *name) {
    for (uint32_t i = 0; i < line->count; i++) {
        if (tv_string_is(tv_string_trim(line->cells[i]), name)) return (int)i;
    }
    return -1;
}

#endif
