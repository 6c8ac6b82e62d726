// Tables of `for_each`: comma-separated values with a header row, as RFC 4180 describes them.
//
// Lines end with CRLF or LF; a field in double quotes may hold commas, line ends and doubled quotes. A byte order mark
// is skipped, lines without a character are too. Everything else that is not a table with as many fields in each row
// as in the header is an error with its line: a row read wrongly would be a flow that does the wrong thing.
#ifndef TORVYN_PIPELINE_CSV_H
#define TORVYN_PIPELINE_CSV_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    TV_CSV_COLUMNS_MAX = 64,
    TV_CSV_BYTES_MAX = 64 << 20,
};

typedef struct tv_csv {
    char *at, *end; // what is still to be read; fields are cut out of these bytes
    uint32_t line;  // of `at`, from 1
    size_t column_count;
    char *columns[TV_CSV_COLUMNS_MAX];
    // The row read last.
    char *fields[TV_CSV_COLUMNS_MAX]; // column_count of them, NUL-terminated, inside the table's bytes
    uint32_t row_line;                // where it begins
} tv_csv;

// Begins with the header. `bytes` (with one more byte behind them that may be written) is changed while it is read and
// must outlive what is read. Names of columns are not looked at. Errors: INVALID, with error->message naming the line's
// fault and csv->row_line the line.
tv_status tv_csv_open(tv_csv *csv, char *bytes, size_t length, tv_error *error);
// The next row: OK, EOF behind the last, INVALID. After INVALID the table cannot be read further.
tv_status tv_csv_next(tv_csv *csv, tv_error *error);

#endif
