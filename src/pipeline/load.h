// Between the files that make the model: what a flow is built with. Internal.
//
// The pipeline is read once, its stages and channels once for every flow, since parameters may change any of their
// values. References are resolved to indexes here; a model never holds an index that leads nowhere.
#ifndef TORVYN_PIPELINE_LOAD_H
#define TORVYN_PIPELINE_LOAD_H

#include "pipeline/reader.h"

enum { TV_STAGE_OUTPUTS_MAX = TV_CHANNELS_MAX };

// A stage's configuration that no variable is part of is the same in all flows and kept once.
typedef struct tv_config_cache {
    bool valid;
    tv_config_entry *entries;
    size_t count;
} tv_config_cache;

// What a flow's parameters were looked up for.
typedef struct tv_stage_touch {
    bool options, config, assets;
} tv_stage_touch;

typedef struct tv_touch {
    bool wiring; // `from` or `to` of some stage: the shape of the flow
    tv_stage_touch stages[TV_STAGES_MAX];
    bool channels[TV_CHANNELS_MAX];          // of the flow
    uint16_t channel_items[TV_CHANNELS_MAX]; // the definition of each
} tv_touch;

enum { TV_FLOW_PARAMETERS_MAX = TV_PARAMETERS_MAX + 2 }; // and `index` and `flow`

// A flow that was read from start to end. Others whose parameters have the same names are made from it: what no
// parameter was looked up for is the same for them.
typedef struct tv_prototype {
    tv_flow_model flow;
    tv_touch touched;
    bool options_touched; // of the flow itself, but for its name
    bool failed;          // it has errors, so that there is nothing to share
    const char *names[TV_FLOW_PARAMETERS_MAX];
    bool used[TV_FLOW_PARAMETERS_MAX];
    size_t name_count;
} tv_prototype;

typedef struct tv_builder {
    tv_reader *reader;
    const tv_connector *const *connectors;
    size_t connector_count;
    tv_component_model *components;
    size_t component_count;
    bool component_used[TV_COMPONENTS_MAX];
    const char *component_names[TV_COMPONENTS_MAX];
    // Definitions, in the order of the file. `names` has the stages' names, then the channels'.
    const tv_yaml_item *stages[TV_STAGES_MAX];
    size_t stage_count;
    const tv_yaml_item *channels[TV_CHANNELS_MAX];
    size_t channel_count;
    const char *names[TV_STAGES_MAX + TV_CHANNELS_MAX];
    tv_config_cache configs[TV_STAGES_MAX];
    bool running; // the pipeline is complete; what is read now belongs to one flow alone
    // The flow being built.
    tv_flow_model *flow;
    tv_touch touched;
    unsigned channel_use[TV_CHANNELS_MAX]; // sum of enum tv_direction, by definition
    bool incomplete;                       // some flow cannot be part of a model
} tv_builder;

// An entry of `flows`.
typedef struct tv_template {
    tv_template_model *model;
    const tv_yaml_node *node; // NULL: the file has no `flows`
    size_t index;
    bool many;             // `count` or `for_each`
    const char *name_text; // `name` as written, NULL if there is none
    unsigned digits;       // of the number that is appended to `name_text`; 0: it is a name or has variables
    const char *table;     // the file of `for_each`, resolved
    const char **columns;
    size_t column_count;
    tv_parameter *given; // `parameters`, resolved
    size_t given_count;
    const char *const *given_values; // of a flow that has these alone; NULL: no flow has yet
    tv_prototype *prototype;         // NULL: none yet
    uint32_t next_index;
} tv_template;

typedef tv_status (*tv_file_reader)(const char *path, size_t bytes_max, uint8_t **bytes, size_t *length,
                                    tv_error *error);

// Kept as long as the pipeline, which makes further flows with it.
typedef struct tv_loader {
    tv_reader reader;
    tv_builder builder;
    tv_pipeline *pipeline;
    tv_root_values root;
    tv_file_reader read_file;
    tv_template *templates;
    size_t flow_capacity;
    tv_prototype *prototype; // the one made last
} tv_loader;

// Fills builder->flow->stages; inputs and outputs name channels by definition until tv_channels_build.
void tv_stages_build(tv_builder *builder);
// Fills builder->flow->channels with those in use, and makes the stages name them by their index there.
void tv_channels_build(tv_builder *builder);
// The same for a flow like the prototype: only what a parameter was looked up for is read again.
void tv_stages_derive(tv_builder *builder, const tv_prototype *prototype);
void tv_channels_derive(tv_builder *builder, const tv_prototype *prototype);
// The rules for the graph as a whole.
void tv_graph_check(tv_reader *reader, const tv_flow_model *flow);

// All entries of `flows` (flows.c).
void tv_flows_load(tv_loader *loader);

// One flow of an entry. `values` are those of its columns, then of `given`, which may differ from the template's.
typedef struct tv_flow_row {
    const char *const *columns;
    const tv_parameter *given;
    uint32_t index;   // from 1
    uint32_t line;    // in the table, else 0
    const char *name; // NULL: by the entry
} tv_flow_row;
// Fills *flow (flow.c). Errors are diagnostics; the caller looks at reader->error_count.
void tv_flow_load(tv_loader *loader, tv_template *template, const tv_flow_row *row, tv_flow_model *flow);
// Only its name, where errors make the rest meaningless; false if it has none.
bool tv_flow_load_name(tv_loader *loader, tv_template *template, const tv_flow_row *row, tv_flow_model *flow);

// The size a queue of at least `bytes` really has: the next power of two.
uint32_t tv_queue_capacity(uint64_t bytes);

// Flattens a stage's `config` (contract 7.4) into *entries, sorted by path.
void tv_config_build(tv_reader *reader, const tv_yaml_node *node, const tv_path *path, tv_config_entry **entries,
                     size_t *count);

// tv_pipeline_load for a file already read: `file` is its name for messages and relative paths. `read_file` reads the
// tables of `for_each`.
typedef struct tv_load_context {
    const tv_connector *const *connectors;
    size_t connector_count;
    tv_variable_lookup lookup; // NULL: no variable is set
    void *lookup_user;
    tv_file_reader read_file;
} tv_load_context;
tv_status tv_pipeline_load_bytes(const char *file, const uint8_t *bytes, size_t length, const tv_load_context *context,
                                 tv_diagnostics *diagnostics, tv_pipeline **out);

#endif
