// What the files of the host share among themselves.
#ifndef TORVYN_HOST_INTERNAL_H
#define TORVYN_HOST_INTERNAL_H

#include "host/host.h"

struct yyjson_mut_doc;

enum { TV_HOST_TAPS_MAX = 8 }; // at a time; each has a queue

// Adds a finding about `section`.`name` of the pipeline file, unless the same is there already; `name` may be NULL.
void tv_host_report(tv_host_model *model, tv_severity severity, tv_place place, const char *section, const char *name,
                    const char *hint, const char *format, ...) __attribute__((format(printf, 7, 8)));

// All checks that need the components' files (check.c).
void tv_host_check(tv_host_model *model);
// Those of one flow.
void tv_host_check_flow(tv_host_model *model, const tv_flow_model *flow);

// That no output is another file of the pipeline, or of one flow that comes later (paths.c).
void tv_host_check_paths(tv_host_model *model);
void tv_host_check_flow_paths(tv_host_model *model, const tv_flow_model *flow);

tv_host_asset *tv_host_asset_find(const tv_host_model *model, const char *path);
// Why the flow cannot be started whatever its components do, and at which stage: code that could not be loaded, a file
// that is not there; NULL: it can. Reads files that were missing so far.
const char *tv_host_flow_broken(tv_host_model *model, const tv_flow_model *flow, uint16_t *stage);

// Fills in what the machine and the control group say (limits.c).
void tv_host_limits_read(tv_host_memory_limits *limits);

// The sum of the lines of a file like /proc/self/status that begin with one of the names ("VmHWM:"), bytes; 0 if it
// cannot be read.
uint64_t tv_host_proc_bytes(const char *path, const char *const *names, size_t count);

// The tightest limit that `file` states for a control group or any above it, 0 if there is none.
uint64_t tv_host_limits_walk(const char *root, const char *group, const char *file);

// Where dead letters go; `path` has PATH_MAX bytes (dead_letters.c).
void tv_host_dead_letter_path(const tv_pipeline *pipeline, char *path);

// Memory of one worker's dead-letter channel and its connector (dead_letters.c).
uint64_t tv_host_dead_letter_bytes(const tv_host_model *model);

// Whether the stage shares its instance with those of the other flows of its entry (shares.c).
bool tv_host_stage_shares(const tv_pipeline *pipeline, const tv_flow_model *flow, size_t stage);
// Stages of the flow with an instance of their own.
size_t tv_host_own_instances(const tv_pipeline *pipeline, const tv_flow_model *flow);
// Instances that a stage of all flows of an entry shares.
typedef struct tv_host_shared {
    size_t most, usual;
} tv_host_shared;
tv_host_shared tv_host_shared_instances(const tv_host_model *model, const tv_template_model *entry, size_t stage);
// The most instances that all flows of the file take together.
size_t tv_host_instances(const tv_host_model *model);

// Prints and frees the document. NO_MEMORY.
tv_status tv_host_json_print(struct yyjson_mut_doc *document, FILE *out);

#endif
