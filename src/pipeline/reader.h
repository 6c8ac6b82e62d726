// Fills the structs of section.h from the tree: one generic reader for every mapping of the file.
//
// It reports everything wrong with a mapping and goes on: unknown keys with the nearest valid one, wrong types, units
// and ranges, missing keys, unset variables. What could not be read keeps its default.
#ifndef TORVYN_PIPELINE_READER_H
#define TORVYN_PIPELINE_READER_H

#include "pipeline/node.h"
#include "pipeline/region.h"
#include "pipeline/section.h"
#include "pipeline/variable.h"

typedef struct tv_reader {
    const char *file;
    tv_region *region;
    tv_diagnostics *diagnostics;
    tv_variables variables;
    size_t error_count; // errors reported so far, those too that were known from another flow
    // While one of many flows is read: findings about what its parameters touched since `many_hits` name it.
    const char *many_flow; // NULL: none
    const char *many_file; // the table it comes from, or NULL
    uint32_t many_line;
    uint64_t many_hits;
} tv_reader;

// Where in the file we are, for diagnostics: "stages", "detect", "from", 0. Lives on the caller's stack.
typedef struct tv_path {
    const struct tv_path *parent; // NULL at the top
    const char *name;             // NULL: an index
    size_t index;
} tv_path;

// A mapping may be read into several structs at a time: a channel's own keys and its connector's.
typedef struct tv_reader_target {
    const tv_section *section;
    void *values;
    const char *refusal; // keys of this section are known, but refused with this hint; nothing is filled
} tv_reader_target;

void tv_reader_report(tv_reader *reader, tv_severity severity, tv_place place, const tv_path *path, const char *hint,
                      const char *format, ...) __attribute__((format(printf, 6, 7)));

// Sets defaults, then what the mapping says. `node` may be NULL or null: then only required keys are asked for, at
// `place`. Returns false if it is no mapping.
bool tv_reader_fill(tv_reader *reader, const tv_reader_target *targets, size_t target_count, const tv_yaml_node *node,
                    tv_place place, const tv_path *path);
bool tv_reader_section(tv_reader *reader, const tv_section *section, const tv_yaml_node *node, tv_place place,
                       const tv_path *path, void *values);

// Reads the one key of a mapping, if it is there, into the struct of `option`'s table.
void tv_reader_key(tv_reader *reader, const tv_option *option, const tv_yaml_node *node, const tv_path *path,
                   void *values);

// The text of a scalar with its variables resolved; NULL after a report. *type is what it means then.
const char *tv_reader_scalar(tv_reader *reader, const tv_yaml_node *node, const tv_path *path, tv_scalar_type *type);
// The same where a text is expected: not a list, not a mapping, not nothing, not empty.
const char *tv_reader_text(tv_reader *reader, const tv_yaml_node *node, const tv_path *path);

// Names of stages, channels, components and flows: 1 to 63 letters, digits, "_" and "-", not beginning with "-".
bool tv_reader_name(tv_reader *reader, const char *name, tv_place place, const tv_path *path, const char *of_what);

// What they are like, for hints; and whether one is.
#define TV_NAME_RULE "a name has 1 to 63 letters, digits, \"_\" and \"-\", and does not begin with \"-\""
bool tv_name_is_valid(const char *name);

// "PREFIXa, b, c", in the region; NULL if there are none.
const char *tv_reader_list(tv_reader *reader, const char *prefix, const char *const *names, size_t count);
// "did you mean ...?", or the known names, or NULL if there is none; in the region.
const char *tv_reader_suggest(tv_reader *reader, const char *name, const char *const *names, size_t count);

// `path` against the folder of the pipeline file.
const char *tv_reader_resolve_path(tv_reader *reader, const char *path);

#endif
