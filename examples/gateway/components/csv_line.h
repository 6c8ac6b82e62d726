// One line of CSV (RFC 4180 within a line): cells, quoted or not. A quoted cell may hold separators and doubled
// quotes, but no line break: records and table rows are lines.
//
// Cells point into the line; those with doubled quotes are unescaped into a scratch buffer of the caller. Bounded by
// CSV_CELLS_MAX cells and the scratch's size; of cells that nobody wants only the number counts.
#ifndef GATEWAY_CSV_LINE_H
#define GATEWAY_CSV_LINE_H

#include <torvyn/torvyn.h>

enum { CSV_CELLS_MAX = 1024, CSV_SCRATCH_BYTES = 4096 };

typedef struct csv_line {
    tv_string cells[CSV_CELLS_MAX];
    uint32_t count;                      // of cells that are here
    uint32_t total;                      // of cells in the line
    uint32_t filled;                     // up to the last one that is not empty
    uint32_t error_at;                   // byte in the line, if reading failed
    const char *error;                   // why
    uint32_t scratch_used;               // reset by csv_read
    char scratch[CSV_SCRATCH_BYTES + 8]; // whoever copies in words may read a few bytes more
} csv_line;

static inline bool csv_error(csv_line *line, uint32_t at, const char *why) {
    line->error_at = at;
    line->error = why;
    return false;
}

// Reads the quoted cell that begins behind the quote at `at`; moves `at` behind the closing quote.
static inline bool csv_read_quoted(csv_line *line, tv_string text, uint32_t *at, bool keep, tv_string *cell) {
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
    while (*at < text.length && text.bytes[*at] == ' ')
        (*at)++;
    if (!doubled || !keep) return true;
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

// Reads the cell without quotes that begins at `at`.
static inline bool csv_read_bare(csv_line *line, tv_string text, char separator, uint32_t *at, tv_string *cell) {
    uint32_t from = *at;
    for (; *at < text.length && text.bytes[*at] != separator; (*at)++) {
        char c = text.bytes[*at];
        if (c == 0) return csv_error(line, *at, "NUL (UTF-16 text must be converted to UTF-8)");
        if (c == '\r') return csv_error(line, *at, "carriage return within the line (lines must end with a line feed)");
    }
    *cell = (tv_string){text.bytes + from, *at - from};
    return true;
}

// Splits a line (without its line break; trailing CRs are ignored) and keeps its first `wanted` cells, at most
// CSV_CELLS_MAX. False: error and error_at say why and where.
static inline bool csv_read_first(csv_line *line, tv_string text, char separator, uint32_t wanted) {
    uint32_t at = 0;
    while (text.length > 0 && text.bytes[text.length - 1] == '\r')
        text.length--;
    line->count = line->total = line->filled = 0;
    line->scratch_used = 0;
    for (;;) {
        tv_string cell;
        if (at < text.length && text.bytes[at] == '"') {
            if (!csv_read_quoted(line, text, &at, line->count < wanted, &cell)) return false;
            if (at < text.length && text.bytes[at] != separator) {
                return csv_error(line, at, "text behind a quoted cell");
            }
        } else if (!csv_read_bare(line, text, separator, &at, &cell)) {
            return false;
        }
        if (line->count < wanted) line->cells[line->count++] = cell;
        line->total++;
        if (cell.length > 0) line->filled = line->total;
        if (at == text.length) return true;
        at++;
    }
}

// Splits a line into all its cells, at most CSV_CELLS_MAX.
static inline bool csv_read(csv_line *line, tv_string text, char separator) {
    if (!csv_read_first(line, text, separator, CSV_CELLS_MAX)) return false;
    return line->total <= CSV_CELLS_MAX || csv_error(line, 0, "more than 1024 cells");
}

// The number of the cell with this text, or -1: for header lines.
static inline int csv_find(const csv_line *line, const char *name) {
    for (uint32_t i = 0; i < line->count; i++) {
        if (tv_string_is(tv_string_trim(line->cells[i]), name)) return (int)i;
    }
    return -1;
}

#endif
