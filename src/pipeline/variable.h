// Variables in scalar values: ${NAME}, ${NAME:-default}, $$ for a dollar sign. A dollar before anything else stands
// for itself ("$SYS/broker"). Values are not looked at again, so a value may contain "${".
#ifndef TORVYN_PIPELINE_VARIABLE_H
#define TORVYN_PIPELINE_VARIABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/pipeline.h"
#include "pipeline/region.h"

enum {
    TV_VARIABLE_NAME_BYTES_MAX = 63,
    TV_VARIABLE_TEXT_BYTES_MAX = 64 * 1024, // of a scalar, resolved
    TV_VARIABLE_NESTING_MAX = 4,            // ${A:-${B:-${C:-d}}}
};

// A flow's parameter, already resolved. `place` is where the file gives it; 0 for a column, `index` and `flow`.
typedef struct tv_parameter {
    const char *name;
    const char *value;
    tv_place place;
    bool used;
} tv_parameter;

typedef struct tv_variables {
    tv_parameter *parameters; // looked at first
    size_t parameter_count;
    uint64_t resolved_count; // variables looked up so far
    uint64_t parameter_hits; // of them, those that were parameters
    const char *flow;        // whose parameters they are; NULL outside flows
    const char *table;       // where those without a place come from (`for_each`), or NULL
    tv_option_text text;     // what is being read: into a path, values of a table go as parts of a name only
    tv_variable_lookup lookup;
    void *user;
} tv_variables;

typedef struct tv_variable_result {
    const char *text;  // in the region, or the given text itself if there is nothing to resolve
    bool resolved;     // some variable was in it
    char message[256]; // on failure
    char hint[512];
} tv_variable_result;

// False on failure; with an empty message it is memory that failed.
bool tv_variables_expand(tv_variables *variables, tv_region *region, const char *text, tv_variable_result *result);
bool tv_variable_name_is_valid(const char *name, size_t length);

#endif
