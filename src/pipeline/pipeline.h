// pipeline: the pipeline file. YAML in, a checked model out, with every problem found at once.
//
// Parsing is pure: no module is loaded and no channel opened here; only the pipeline file itself is read. Variables
// are resolved after parsing, per flow (its parameters first, then the environment). The same option tables
// validate the file, generate the reference page and the JSON Schema. docs/pipeline.md is generated.
#ifndef TORVYN_PIPELINE_PIPELINE_H
#define TORVYN_PIPELINE_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/option.h"
#include "base/status.h"
#include "flow/flow.h"

// ---- diagnostics --------------------------------------------------------------------------------------------

typedef enum tv_severity { TV_SEVERITY_ERROR, TV_SEVERITY_WARNING, TV_SEVERITY_NOTE } tv_severity;

typedef struct tv_diagnostic {
    tv_severity severity;
    uint32_t line, column; // from 1; 0 = the file as a whole
    char *file;
    char *path;       // "stages.detect.config", "" at the top
    char *message;    // what was expected and what was found
    char *hint;       // what to do; NULL if there is nothing to add
    const char *kind; // its format: what findings that differ in names only have in common
    size_t more;      // others of this kind at this place that are not kept, on the last that is
} tv_diagnostic;

// At most, in all and of one kind at one place: a stage is looked at again for each of its flows.
enum { TV_DIAGNOSTICS_MAX = 200, TV_DIAGNOSTICS_ALIKE_MAX = 5 };

typedef struct tv_diagnostics {
    tv_diagnostic *items;
    size_t count;
    size_t error_count, warning_count; // those over the maxima are counted, not kept
} tv_diagnostics;

void tv_diagnostics_add(tv_diagnostics *diagnostics, tv_severity severity, const char *file, uint32_t line,
                        uint32_t column, const char *path, const char *hint, const char *format, ...)
    __attribute__((format(printf, 8, 9)));
// The same for a message that is complete, made by the format `kind`, which must stay.
void tv_diagnostics_add_text(tv_diagnostics *diagnostics, tv_severity severity, const char *file, uint32_t line,
                             uint32_t column, const char *path, const char *hint, const char *kind,
                             const char *message);
void tv_diagnostics_deinit(tv_diagnostics *diagnostics);
// "file:line:column: error: path: message" with the hint below; colour if asked for.
void tv_diagnostics_print(const tv_diagnostics *diagnostics, FILE *out, bool colour);
void tv_diagnostics_print_json(const tv_diagnostics *diagnostics, FILE *out);

// ---- model --------------------------------------------------------------------------------------------------

// Where something stands in the file, for later diagnostics.
typedef struct tv_place {
    uint32_t line, column;
} tv_place;

typedef enum tv_instances { TV_INSTANCES_OWN, TV_INSTANCES_SHARED } tv_instances;

typedef struct tv_component_model {
    const char *name;
    const char *file; // path of the .wasm, resolved against the pipeline file's folder
    uint64_t memory_bytes_max;
    int64_t cpu_record_ns; // 0: by class (Critical 5 ms, else 100 ms)
    int64_t cpu_call_ns;
    uint32_t grants;
    tv_instances instances;
    tv_place place, file_place, grants_place;
} tv_component_model;

typedef struct tv_channel_model {
    const char *name;
    const char *connector_name;
    const tv_connector *connector; // NULL if unknown (a diagnostic says so)
    tv_direction direction;        // by use: named in `from` = input, in `to` = output
    void *options; // the connector's struct, filled; NULL if the connector is unknown or lacks the direction
    uint32_t capacity_bytes, capacity_records, record_bytes_max;
    uint8_t pause_percent, resume_percent;
    tv_overflow overflow;
    tv_place place;
} tv_channel_model;

typedef struct tv_input_model {
    bool is_channel;
    uint16_t from;    // stage or channel index within the flow
    const char *port; // name or number as written, or NULL = port 0 (resolved with the module's ports)
    uint32_t capacity_bytes, capacity_records; // bytes 0: chosen by the host from the stage's largest record
    tv_overflow overflow;
    tv_place place;
} tv_input_model;

typedef struct tv_output_model {
    const char *port; // NULL = port 0
    uint16_t channel;
    tv_place place;
} tv_output_model;

typedef struct tv_stage_model {
    const char *name;
    uint16_t component; // index into tv_pipeline.components
    tv_input_model *inputs;
    size_t input_count;
    tv_output_model *outputs; // to channels
    size_t output_count;
    uint32_t batch_records_max, batch_bytes_max; // bytes 0: chosen by the host from the inputs' largest records
    uint32_t log_lines_per_s;
    uint32_t output_records_max; // for each input record
    tv_restart_policy restart;
    tv_config_entry *config; // flattened, sorted by path
    size_t config_count;
    const char **asset_names, **asset_paths; // paths resolved against the pipeline file's folder
    size_t asset_count;
    tv_place place;
} tv_stage_model;

// What a flow's sources take in at most, a second; 0: no limit.
typedef struct tv_rate_model {
    uint64_t records, bytes;
    int64_t burst_ns;
} tv_rate_model;

// Flows of one entry share the models of stages and channels that none of their parameters touches: `stages` and
// `channels` may be the same arrays, or other arrays with the same `config`, `inputs`, ... in them. Never changed.
typedef struct tv_flow_model {
    const char *name;
    uint32_t template; // index into tv_pipeline.templates
    tv_class class;
    uint32_t quantum_records;  // 0: by class
    int64_t turn_ns, cycle_ns; // 0: the scheduler's
    int64_t cpu_per_s_ns;      // 0: no limit
    tv_rate_model rate;
    int64_t idle_trim_ns;   // 0: never
    uint64_t memory_bytes;  // 0: no limit
    tv_stage_model *stages; // in the order of the file
    size_t stage_count;
    tv_channel_model *channels;
    size_t channel_count;
    // Values of its entry's parameters, in the order of their names (tv_template_model); NULL if that has none.
    const char *const *parameters;
    uint32_t index;    // `${index}` where the entry stands for many, from 1
    tv_place place;    // of the entry
    uint32_t row_line; // in the table of `for_each`, else 0
} tv_flow_model;

// An entry of `flows`: what it is called, and what can be made of it while it runs.
typedef struct tv_template_model {
    const char *name;                       // of a single flow its own
    bool many;                              // `count` or `for_each`
    size_t first_flow, flow_count;          // its flows in tv_pipeline.flows, one after the other
    const char *const *parameter_names;     // what tv_pipeline_flow_new takes: columns, then `parameters`
    size_t parameter_count, required_count; // the first `required_count` have no default
    const char *table;                      // of `for_each`, or NULL
    tv_place place;
} tv_template_model;

// For flows that do not say otherwise.
typedef struct tv_scheduler_model {
    uint32_t quanta[TV_CLASS_COUNT];
    int64_t turn_ns, cycle_ns;
} tv_scheduler_model;

typedef struct tv_limits_model {
    uint64_t memory_bytes; // process, 0: what the cgroup or the machine has
    bool overcommit;
    uint32_t flows;
    uint32_t memories; // 0: not given
    uint32_t workers;  // 0: one per core
    int memory_mode;   // 0 auto, 1 guard, 2 compact
} tv_limits_model;

typedef struct tv_dead_letters_model {
    const char *path; // NULL: <name>.dead-letters.jsonl in the working directory
    bool enabled;
    uint64_t rotate_bytes; // 0: never
    uint32_t keep;         // rotated files
    uint64_t rate_bytes;   // a flow, a second; 0: any amount
    uint64_t burst_bytes;
    tv_letters_limit on_limit;
} tv_dead_letters_model;

typedef struct tv_pipeline {
    const char *file;
    const char *name;
    tv_limits_model limits;
    tv_scheduler_model scheduler;
    tv_dead_letters_model dead_letters;
    const char *control_path; // NULL: not given
    tv_component_model *components;
    size_t component_count;
    tv_flow_model *flows;
    size_t flow_count;
    tv_template_model *templates;
    size_t template_count;
    void *memory; // everything above
    void *loader; // what is needed to make further flows
} tv_pipeline;

// Looks up a variable; NULL if unset. `getenv` wrapped, or a test's table.
typedef const char *(*tv_variable_lookup)(void *user, const char *name);

// Reads and checks the file against the tables and the graph rules that need no modules: unknown keys, types, units,
// ranges, names, references, cycles, channel directions, overflow policies, unresolved variables. Every problem
// becomes a diagnostic; OK if none is an error (*out is then complete), INVALID otherwise (*out may still be a
// partial model for further checks, or NULL), IO if the file cannot be read (a diagnostic says so too), NO_MEMORY.
// The connectors and the lookup must stay as long as the pipeline, which asks them for flows made later.
tv_status tv_pipeline_load(const char *path, const tv_connector *const *connectors, size_t connector_count,
                           tv_variable_lookup lookup, void *lookup_user, tv_diagnostics *diagnostics,
                           tv_pipeline **out);
// After the last tv_flow_model_free.
void tv_pipeline_free(tv_pipeline *pipeline);
// Heap that the pipeline holds, bytes.
size_t tv_pipeline_bytes(const tv_pipeline *pipeline);

// Gives the pipeline another name than its file does: what is called after it, its flows excepted. `name` must stay.
// False: it cannot be a name.
bool tv_pipeline_rename(tv_pipeline *pipeline, const char *name);

// Where the setting `path` of a stage's `config` stands ("methods.0.kind"): its key, or the list or mapping in which it
// is missing, or the stage. A place of 0: there is no such stage. Any thread.
tv_place tv_pipeline_setting_place(const tv_pipeline *pipeline, const char *stage, const char *path);

// ---- flows at run time --------------------------------------------------------------------------------------

typedef struct tv_flow_parameter {
    const char *name, *value;
} tv_flow_parameter;

typedef struct tv_flow_order {
    const char *template; // NULL: the only one
    const char *name;     // NULL: by the template's `name`
    const tv_flow_parameter *parameters;
    size_t parameter_count;
    // A flow of this pipeline whose entry, index and other parameters are taken over; NULL: those of the entry.
    const tv_flow_model *like;
} tv_flow_order;

// Makes the model of one more flow, of an entry of `flows`, with the checks and diagnostics of tv_pipeline_load. What
// its parameters do not touch is shared with the pipeline; the rest is the flow's own and freed with it. Whether its
// name is in use is for the caller to know. Nothing is read but variables. One thread at a time.
// Errors: NOT_FOUND (no such template), INVALID, NO_MEMORY, each with a diagnostic.
tv_status tv_pipeline_flow_new(tv_pipeline *pipeline, const tv_flow_order *order, tv_diagnostics *diagnostics,
                               tv_flow_model **out);
// Of a model from tv_pipeline_flow_new; NULL is allowed.
void tv_flow_model_free(tv_flow_model *flow);
// Heap that the flow's model holds for it alone, bytes.
size_t tv_flow_model_bytes(const tv_flow_model *flow);

// The reference page (Markdown) and the JSON Schema (draft 2020-12), from the tables.
void tv_pipeline_print_reference(FILE *out, const tv_connector *const *connectors, size_t connector_count);
void tv_pipeline_print_schema(FILE *out, const tv_connector *const *connectors, size_t connector_count);

#endif
