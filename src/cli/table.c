// Text tables and figures as people read them.
#include "cli/table.h"

#include <stdarg.h>
#include <string.h>

// ---- figures ------------------------------------------------------------------------------------------------

const char *tv_format_count(uint64_t count, char out[32]) {
    char digits[24];
    if (count >= 10000000) {
        static const char units[] = {'M', 'G', 'T', 'P'};
        double scaled = (double)count / 1e6;
        size_t unit = 0;
        for (; scaled >= 999.95 && unit + 1 < sizeof units; unit++)
            scaled /= 1000;
        snprintf(out, 32, "%.1f %c", scaled, units[unit]);
        return out;
    }
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count), at = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0) out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

const char *tv_format_rate(double rate, char out[32]) {
    if (rate > 0 && rate < 9.95) {
        snprintf(out, 32, "%.1f", rate);
        return out;
    }
    return tv_format_count(rate > 0 && rate < 1e18 ? (uint64_t)(rate + 0.5) : 0, out);
}

const char *tv_format_uptime(double seconds, char out[32]) {
    enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };
    uint64_t s = seconds > 0 && seconds < 1e15 ? (uint64_t)seconds : 0;
    if (s < MINUTE)
        snprintf(out, 32, "%u s", (unsigned)s);
    else if (s < HOUR)
        snprintf(out, 32, "%u min %u s", (unsigned)(s / MINUTE), (unsigned)(s % MINUTE));
    else if (s < DAY)
        snprintf(out, 32, "%u h %u min", (unsigned)(s / HOUR), (unsigned)(s % HOUR / MINUTE));
    else
        snprintf(out, 32, "%llu d %u h", (unsigned long long)(s / DAY), (unsigned)(s % DAY / HOUR));
    return out;
}

// ---- tables -------------------------------------------------------------------------------------------------

static size_t characters(const char *text) {
    size_t count = 0;
    for (; *text; text++)
        if (((unsigned char)*text & 0xc0) != 0x80) count++;
    return count;
}

void tv_table_cell(tv_table *table, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    tv_text_vshow(&table->cells, format, arguments);
    va_end(arguments);
    tv_text_add(&table->cells, "", 1);
    table->cell_count++;
}

static void widen(size_t *widths, size_t column, const char *cell) {
    size_t width = characters(cell);
    if (width > widths[column]) widths[column] = width;
}

static void print_cell(const tv_table *table, size_t column, const char *cell, const size_t *widths, FILE *out) {
    int gap = (int)(widths[column] - characters(cell));
    bool right = table->titles[column][0] == '>', last = column + 1 == table->columns;
    tv_print(out, "%s%*s%s%*s", column ? "  " : "", right ? gap : 0, "", cell, right || last ? 0 : gap, "");
    if (last) fputc('\n', out);
}

static const char *title_text(const char *title) { return title[0] == '>' ? title + 1 : title; }

tv_status tv_table_print(tv_table *table, bool colour, FILE *out) {
    size_t widths[TV_TABLE_COLUMNS_MAX] = {0};
    TV_ASSERT(table->columns > 0);
    TV_ASSERT(table->columns <= TV_TABLE_COLUMNS_MAX);
    if (table->cells.failed) return TV_NO_MEMORY;
    for (size_t i = 0; i < table->columns; i++)
        widen(widths, i, title_text(table->titles[i]));
    const char *cell = table->cells.bytes;
    for (size_t i = 0; i < table->cell_count; i++, cell += strlen(cell) + 1)
        widen(widths, i % table->columns, cell);
    if (colour) fputs("\033[1m", out);
    for (size_t i = 0; i < table->columns; i++)
        print_cell(table, i, title_text(table->titles[i]), widths, out);
    if (colour) fputs("\033[0m", out);
    cell = table->cells.bytes;
    for (size_t i = 0; i < table->cell_count; i++, cell += strlen(cell) + 1)
        print_cell(table, i % table->columns, cell, widths, out);
    tv_text_deinit(&table->cells);
    return TV_OK;
}
