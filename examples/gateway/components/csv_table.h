// Which column of a file is what. The header belongs to the file: each begins with its own, and one that comes in the
// middle (files put together, a logger that was set up anew) counts from there on.
//
// A stage may read several channels, so there is one table for each of its inputs.
#ifndef GATEWAY_CSV_TABLE_H
#define GATEWAY_CSV_TABLE_H

#include <torvyn/torvyn.h>

#include "csv_line.h"
#include "encoding.h"
#include "field_path.h"

enum { TABLE_FIELDS_MAX = 80, TABLE_NAMES_BYTES = 8192 };

typedef struct csv_table {
    bool known;                        // there is a header, or configured columns
    bool begins;                       // the next row is the first of a file
    bool middle;                       // the file was begun in its middle
    uint32_t total;                    // columns of the header; 0: configured, there may be more
    uint32_t wanted;                   // cells that have to be kept
    int16_t columns[TABLE_FIELDS_MAX]; // by field; -1: none
    // All columns that are no field, by name.
    uint32_t rest_count, names_bytes;
    uint16_t rest[CSV_CELLS_MAX];
    uint16_t name_ends[CSV_CELLS_MAX];
    char names[TABLE_NAMES_BYTES + 8];
    const char *error; // of the header at hand, with the name it is about
    tv_string error_name;
} csv_table;

static inline void table_clear(csv_table *table) {
    table->known = false;
    table->total = table->wanted = 0;
    table->rest_count = table->names_bytes = 0;
    table->error = NULL;
    for (uint32_t i = 0; i < TABLE_FIELDS_MAX; i++)
        table->columns[i] = -1;
}

static inline tv_string table_rest_name(const csv_table *table, uint32_t index) {
    uint32_t begin = index == 0 ? 0 : table->name_ends[index - 1];
    return (tv_string){table->names + begin, table->name_ends[index] - begin};
}

static inline bool table_fail(csv_table *table, const char *error, tv_string name) {
    table->error = error;
    table->error_name = name;
    return false;
}

// A column that is no field, where all of them are wanted. Without a name it is nothing.
static inline bool table_add_rest(csv_table *table, uint32_t column, tv_string name) {
    if (name.length == 0) return true;
    if (!encoding_is_utf8(name)) return table_fail(table, "has a name that is not UTF-8 (see `encoding`)", name);
    for (uint32_t i = 0; i < table->rest_count; i++) {
        if (tv_string_equal(table_rest_name(table, i), name)) return table_fail(table, "has two columns", name);
    }
    if (name.length > TABLE_NAMES_BYTES - table->names_bytes) {
        return table_fail(table, "has names of more than 8192 bytes together, up to", name);
    }
    memcpy(table->names + table->names_bytes, name.bytes, name.length);
    table->names_bytes += name.length;
    table->rest[table->rest_count] = (uint16_t)column;
    table->name_ends[table->rest_count++] = (uint16_t)table->names_bytes;
    table->wanted = column + 1;
    return true;
}

// Notes a column by its name.
static inline bool table_add(csv_table *table, const field_path *fields, uint32_t field_count, uint32_t column,
                             tv_string name, bool rest) {
    bool is_field = false;
    for (uint32_t i = 0; i < field_count; i++) {
        if (!path_used(&fields[i]) || !tv_string_is(name, fields[i].name)) continue;
        if (table->columns[i] >= 0) return table_fail(table, "has two columns", name);
        table->columns[i] = (int16_t)column;
        table->wanted = column + 1;
        is_field = true;
    }
    return is_field || !rest || table_add_rest(table, column, name);
}

// Whether the row names the column of a field, as a header does.
static inline bool table_is_named(const csv_line *row, const field_path *field) {
    return path_used(field) && csv_find(row, field->name) >= 0;
}

// Learns the columns of a header. False: table->error says what is wrong with it, and no columns are known.
static inline bool table_read_header(csv_table *table, const field_path *fields, uint32_t field_count,
                                     const csv_line *header, bool rest) {
    table_clear(table);
    for (uint32_t i = 0; i < header->count; i++) {
        if (!table_add(table, fields, field_count, i, tv_string_trim(header->cells[i]), rest)) return false;
    }
    table->total = header->total;
    table->known = true;
    return true;
}

// A row has cells that its header has no names for: which cell is which is not certain then.
static inline bool table_is_too_long(const csv_table *table, const csv_line *row) {
    return table->total > 0 && row->filled > table->total;
}

#endif
