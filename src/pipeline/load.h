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
    // The flow being built.
    tv_flow_model *flow;
    unsigned channel_use[TV_CHANNELS_MAX]; // sum of enum tv_direction, by definition
    bool incomplete;                       // some flow cannot be part of a model
} tv_builder;

// Fills builder->flow->stages; inputs and outputs name channels by definition until tv_channels_build.
void tv_stages_build(tv_builder *builder);
// Fills builder->flow->channels with those in use, and makes the stages name them by their index there.
void tv_channels_build(tv_builder *builder);
// The rules for the graph as a whole.
void tv_graph_check(tv_reader *reader, const tv_flow_model *flow);

// The size a queue of at least `bytes` really has: the next power of two.
uint32_t tv_queue_capacity(uint64_t bytes);

// Flattens a stage's `config` (contract 7.4) into *entries, sorted by path.
void tv_config_build(tv_reader *reader, const tv_yaml_node *node, const tv_path *path, tv_config_entry **entries,
                     size_t *count);

// tv_pipeline_load for a file already read: `file` is its name for messages and relative paths.
tv_status tv_pipeline_load_bytes(const char *file, const uint8_t *bytes, size_t length,
                                 const tv_connector *const *connectors, size_t connector_count,
                                 tv_variable_lookup lookup, void *lookup_user, tv_diagnostics *diagnostics,
                                 tv_pipeline **out);

#endif
