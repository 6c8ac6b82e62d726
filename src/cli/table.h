// Text tables and figures as people read them, for ps and top.
#ifndef TORVYN_CLI_TABLE_H
#define TORVYN_CLI_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/base.h"

enum { TV_TABLE_COLUMNS_MAX = 20 };

// Cells as they come, row by row; columns are as wide as their widest cell. Zero-initialise.
typedef struct tv_table {
    const char *const *titles; // a title that begins with '>' is of a column aligned to the right
    size_t columns;
    tv_text cells; // each ended by NUL
    size_t cell_count;
} tv_table;

// Adds the next cell, by the rules of tv_print.
void tv_table_cell(tv_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Prints titles and rows, in bold titles if `colour`, and frees the cells. NO_MEMORY if a cell was lost.
tv_status tv_table_print(tv_table *table, bool colour, FILE *out);

// "81,234", "1.23 M" (from ten million on), "0.4" (rates below ten); `out` has 32 bytes. Returns `out`.
const char *tv_format_count(uint64_t count, char out[32]);
const char *tv_format_rate(double rate, char out[32]);
// Seconds as "12 s", "3 min 20 s", "2 h 5 min", "3 d 4 h".
const char *tv_format_uptime(double seconds, char out[32]);

#endif
