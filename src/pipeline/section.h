// What may stand where in a pipeline file, as data: the tables behind reader, reference page and JSON Schema.
//
// A section describes one kind of mapping: its scalar keys by a tv_option_table, the others as children. The structs
// the tables fill are below; they hold values as written, and load.c makes the model of them.
#ifndef TORVYN_PIPELINE_SECTION_H
#define TORVYN_PIPELINE_SECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/option.h"
#include "pipeline/node.h"

enum {
    TV_FLOW_ENTRIES_MAX = 4096,       // of `flows`
    TV_FLOWS_MAX = 100000,            // a pipeline file, with `count` and `for_each`; limits.flows is the user's
    TV_MEMORIES_MAX = 100000,         // limits.memories
    TV_COMPONENTS_MAX = 64,           // a pipeline file
    TV_ASSETS_MAX = 16,               // a stage
    TV_PARAMETERS_MAX = 64,           // a flow
    TV_CONFIG_BYTES_MAX = 256 * 1024, // a stage's configuration, flattened
};

typedef enum tv_child_shape {
    TV_CHILD_SECTION,    // a mapping: fills the struct that begins at `offset`
    TV_CHILD_MAP,        // names to mappings of `section`
    TV_CHILD_LIST,       // a list of mappings of `section`
    TV_CHILD_TEXTS,      // names to texts
    TV_CHILD_PARAMETERS, // variable names to texts
    TV_CHILD_INPUTS,     // one or several of: a reference, a mapping of `section`
    TV_CHILD_OUTPUTS,    // a channel, a list of channels, or ports to these
    TV_CHILD_FREE,       // any mapping
} tv_child_shape;

typedef struct tv_section tv_section;

typedef struct tv_child {
    const char *name;
    tv_child_shape shape;
    const tv_section *section; // SECTION, MAP, LIST, INPUTS
    size_t offset;             // SECTION: of a struct; the others: of a `const tv_yaml_node *`
    bool required;
    const char *help;
    const char *shorthand; // SECTION: the option that a value which is no mapping stands for; NULL: none
} tv_child;

struct tv_section {
    const char *name;    // also the name of its definition in the schema
    const char *title;   // "channels.NAME"
    const char *help;    // a paragraph
    const char *example; // YAML that shows every key, indented as at its place in a file
    tv_option_table options;
    const tv_child *children;
    size_t child_count;
};

// Choices in the order of the enumerations they stand for.
extern const char *const tv_overflow_choices[];
extern const char *const tv_class_choices[];
extern const char *const tv_grant_choices[]; // bit 0, 1, ...
extern const char *const tv_instances_choices[];

typedef struct tv_queue_values {
    uint64_t bytes;
    int64_t records;
} tv_queue_values;

typedef struct tv_channel_queue_values {
    uint64_t bytes;
    int64_t records, pause, resume;
} tv_channel_queue_values;

typedef struct tv_channel_values {
    const char *connector;
    uint64_t max_record;
    int overflow;
    tv_channel_queue_values queue;
} tv_channel_values;

typedef struct tv_cpu_values {
    int64_t record_ns, call_ns;
} tv_cpu_values;

typedef struct tv_component_values {
    const char *file;
    uint64_t memory;
    tv_string_list grants;
    int instances;
    tv_cpu_values cpu;
} tv_component_values;

typedef struct tv_edge_values {
    const char *stage, *channel, *port;
    int overflow;
    tv_queue_values queue;
} tv_edge_values;

typedef struct tv_batch_values {
    int64_t records;
    uint64_t bytes;
} tv_batch_values;

typedef struct tv_restart_values {
    int mode;
    int64_t limit, window_ns, backoff_ns, backoff_max_ns;
} tv_restart_values;

typedef struct tv_log_values {
    int64_t lines_per_second;
} tv_log_values;

typedef struct tv_stage_values {
    const char *component;
    int64_t output_limit;
    const tv_yaml_node *from, *to, *config, *assets;
    tv_batch_values batch;
    tv_restart_values restart;
    tv_log_values log;
} tv_stage_values;

typedef struct tv_rate_values {
    int64_t records;
    uint64_t bytes;
    int64_t burst_ns;
} tv_rate_values;

typedef struct tv_flow_values {
    const char *name, *template, *for_each;
    int64_t count;
    int class;
    int64_t quantum, turn_ns, cycle_ns, cpu_ns, idle_trim_ns;
    uint64_t memory;
    tv_rate_values rate;
    const tv_yaml_node *parameters;
} tv_flow_values;

typedef struct tv_dead_letters_values {
    const char *path;
    bool enabled;
    uint64_t rotate_bytes;
    int64_t keep;
    uint64_t rate_bytes, burst_bytes;
    int on_limit;
} tv_dead_letters_values;

typedef struct tv_limits_values {
    uint64_t memory;
    int64_t memories, workers, flows;
    int memory_mode;
    bool overcommit;
} tv_limits_values;

typedef struct tv_quanta_values {
    int64_t critical, high, normal, background;
} tv_quanta_values;

typedef struct tv_scheduler_values {
    int64_t turn_ns, cycle_ns, idle_trim_ns;
    tv_quanta_values quanta;
} tv_scheduler_values;

typedef struct tv_root_values {
    int64_t version;
    const char *name, *control;
    tv_dead_letters_values dead_letters;
    tv_limits_values limits;
    tv_scheduler_values scheduler;
    const tv_yaml_node *components, *channels, *stages, *flows;
} tv_root_values;

extern const tv_section tv_section_root, tv_section_dead_letters, tv_section_limits, tv_section_scheduler,
    tv_section_quanta, tv_section_component, tv_section_cpu, tv_section_channel, tv_section_channel_queue,
    tv_section_stage, tv_section_edge, tv_section_queue, tv_section_batch, tv_section_restart, tv_section_log,
    tv_section_flow, tv_section_rate;

// All of them, in the order of the reference page; ended by NULL.
extern const tv_section *const tv_sections[];

#endif
