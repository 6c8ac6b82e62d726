// Typed option tables: what a pipeline file may say at one place, as data.
//
// One table validates a mapping, documents it (reference page, JSON Schema, `torvyn connectors`) and says where
// in the caller's struct the value goes. Connectors and the pipeline reader both use it.
#ifndef TORVYN_BASE_OPTION_H
#define TORVYN_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum tv_option_type {
    TV_OPTION_BOOL,     // bool
    TV_OPTION_INTEGER,  // int64_t; min..max
    TV_OPTION_NUMBER,   // double; min..max
    TV_OPTION_STRING,   // const char *; length min..max (max 0 = 4096)
    TV_OPTION_ENUM,     // int: index into choices
    TV_OPTION_SIZE,     // uint64_t bytes: "64KiB", "2 MiB", 4096; min..max
    TV_OPTION_DURATION, // int64_t nanoseconds: "100ms", "5s", "1h"; min..max
    TV_OPTION_STRINGS,  // tv_string_list
} tv_option_type;

// What a text is, beyond its length.
typedef enum tv_option_text {
    TV_OPTION_ANY_TEXT,
    TV_OPTION_PATH,    // of a file
    TV_OPTION_PATTERN, // of a file, or of several: `*`, `?` and `[` mean something
} tv_option_text;

typedef struct tv_string_list {
    const char **items; // owned by whoever filled it
    size_t count;
} tv_string_list;

typedef struct tv_option {
    const char *name;
    tv_option_type type;
    size_t offset;            // of the value in the struct being filled
    const char *default_text; // as a user would write it; NULL = none (the zero of the type)
    bool required;
    double min, max;            // in the type's own unit; min == max == 0: no range
    const char *const *choices; // ENUM: NULL-terminated
    const char *help;           // one sentence
    tv_option_text text;        // STRING
} tv_option;

typedef struct tv_option_table {
    const tv_option *options;
    size_t count;
    size_t struct_bytes; // of the struct that `offset` points into
} tv_option_table;

// Reads one value from its text into `target` (the struct). Strings are borrowed from `text`, so it must outlive
// the struct; STRINGS cannot be read this way (INVALID). INVALID with a message that says what was expected.
tv_status tv_option_parse(const tv_option *option, const char *text, void *target, tv_error *error);

// Zeroes the struct and applies the defaults. Never fails for a table whose defaults are right (a test checks).
tv_status tv_option_defaults(const tv_option_table *table, void *target, tv_error *error);

// The option of that name, or NULL.
const tv_option *tv_option_find(const tv_option_table *table, const char *name);

// The nearest name by edit distance among `count` names, if near enough to suggest; else NULL.
const char *tv_nearest_name(const char *name, const char *const *names, size_t count);

// "64KiB" -> 65536. Units B, KB, MB, GB (1000), KiB, MiB, GiB (1024).
tv_status tv_parse_size(const char *text, uint64_t *bytes, tv_error *error);
// "1h30m", "250ms", "5s" -> nanoseconds. Units ns, us, ms, s, m, h, d.
tv_status tv_parse_duration(const char *text, int64_t *duration_ns, tv_error *error);
// The opposite: short text with unit ("64 KiB", "1.5 MiB"); `out` has at least 32 bytes. Returns `out`.
const char *tv_format_size(uint64_t bytes, char out[32]);
const char *tv_format_duration(int64_t duration_ns, char out[32]);

#endif
