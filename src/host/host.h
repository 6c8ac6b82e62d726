// host: the composition root. Pipeline file -> checks -> memory plan -> running flows with connectors at their ends.
//
// The only module that sees all others. Nothing here is on the data path: workers run flows (flow), and the thread
// that called tv_host_run is the I/O thread that serves connectors, signals and reports.
#ifndef TORVYN_HOST_HOST_H
#define TORVYN_HOST_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/base.h"
#include "flow/flow.h"
#include "host/key_table.h"
#include "pipeline/pipeline.h"
#include "wasm/wasm.h"

// ---- model: a pipeline file and what is known of its components ------------------------------------------------

enum { TV_HOST_CONNECTORS_MAX = 32 };

// All connectors that are built in, in the order of `torvyn connectors`.
const tv_connector *const *tv_host_connectors(size_t *count);

typedef struct tv_host_request {
    const char *file;
    const char *const *variables; // "NAME=VALUE"; looked up before the environment. Must outlive the model.
    size_t variable_count;        // at most 64
    uint32_t workers;             // 0: what the file says, or one per core
    bool thorough;     // also what a run finds as it starts: the components' code (tv_module_validate), missing inputs
    bool plans_itself; // the caller makes the plan, shows it and says whether it fits: no finding about it
    bool lenient;      // an asset that is missing is a warning: the flows that need it cannot start, others can
} tv_host_request;

typedef struct tv_host_component {
    bool usable;         // the file was read and follows the contract
    tv_module_info info; // valid if usable
    char *broken;        // why its code could not be loaded when the run began; NULL: it was, or there is no run
} tv_host_component;

// A file a stage may read. `bytes` is NULL until tv_host_assets_read.
typedef struct tv_host_asset {
    char *path;
    uint8_t *bytes;
    uint32_t place; // in tv_host_model.assets
    uint64_t size;
    char *missing; // why it could not be read the last time, NULL: nobody tried, or it was
} tv_host_asset;

typedef struct tv_host_model {
    tv_pipeline *pipeline;         // NULL if the file could not be understood that far
    tv_host_component *components; // pipeline->component_count
    tv_host_asset **assets;        // each path once
    size_t asset_count, asset_capacity;
    tv_key_table asset_paths; // path -> asset
    uint32_t workers;         // resolved, at least 1
    bool without_plan;        // of the request
    tv_host_request request;
    uint64_t variables_used; // of the request's, by place: bits
    tv_diagnostics diagnostics;
} tv_host_model;

// Reads the pipeline and its components' files and makes every check that needs no running; all findings are in
// model->diagnostics. OK if none is an error; INVALID otherwise. `model` is to be deinitialised in both cases, and
// stays where it is until then: flows made later look up their variables by it.
tv_status tv_host_model_load(const tv_host_request *request, tv_host_model *model);
void tv_host_model_deinit(tv_host_model *model);
// Reads the content of the assets that have not been read yet. IO or TOO_LARGE, naming the file, of the first that
// cannot be.
tv_status tv_host_assets_read(tv_host_model *model, tv_error *error);

// The model of one more flow of a pipeline that runs: tv_pipeline_flow_new, and the checks against its components; its
// assets are read. What is wrong is in `diagnostics`. Whether there is memory for it says tv_host_budget_admit.
tv_status tv_host_flow_model_new(tv_host_model *model, const tv_flow_order *order, tv_diagnostics *diagnostics,
                                 tv_flow_model **out);
void tv_host_flow_model_free(tv_host_model *model, tv_flow_model *flow); // one of these; NULL is allowed

// The output port `port` (name, number or NULL for 0) of a component; false if it has none of that name.
bool tv_host_port_resolve(const tv_module_info *info, const char *port, uint16_t *index);

// ---- specification ---------------------------------------------------------------------------------------------

// A flow's specification with the arrays it points to. Names borrow from the model, which must outlive it.
typedef struct tv_host_spec {
    tv_flow_spec flow;
    tv_stage_spec *stages;
    tv_edge_spec *edges;
    const char **channel_names;
    const char **edge_names;        // "detect.alerts -> uplink"
    uint32_t *channel_record_bytes; // largest record of each channel
    tv_key_entry *entry;            // of tv_host_specs, if it is one of them
} tv_host_spec;

// Every component of the flow must be usable and every port known (what tv_host_model_load checks). `modules`, one a
// component, may be NULL where nothing shall run. Errors: NO_MEMORY. tv_flow_spec_check is left to the caller.
tv_status tv_host_spec_init(const tv_host_model *model, size_t flow, tv_module *const *modules, tv_host_spec *spec,
                            tv_error *error);
void tv_host_spec_deinit(tv_host_spec *spec);

// Specifications shared by flows. Zero-initialise, and set the first two; both must stay.
typedef struct tv_host_specs {
    const tv_host_model *model;
    tv_module *const *modules; // one a component, or NULL
    tv_key_table table;
} tv_host_specs;

// The specification of a flow, among those of the pipeline or not: one that is there already, or a new one. The flow's
// own name and configurations are given beside it (tv_host_part_init): `flow.name` is that of its template, and the
// `config` of its stages that of the flow it was made for. Release it while the flow's model is still there. Errors:
// NO_MEMORY.
tv_status tv_host_spec_acquire(tv_host_specs *specs, const tv_flow_model *flow, const tv_host_spec **out,
                               tv_error *error);
void tv_host_spec_release(tv_host_specs *specs, const tv_host_spec *spec); // NULL is allowed
void tv_host_specs_deinit(tv_host_specs *specs);
// What the flow has beside the specification: its name, and its configurations where they are others; *configs (heap,
// NULL if there is none) is the caller's, to be freed after the flow. Errors: NO_MEMORY.
tv_status tv_host_part_init(const tv_host_spec *spec, const tv_flow_model *flow, tv_flow_part *part,
                            tv_stage_config **configs, tv_error *error);
// Largest record that stage `stage` can emit, header, attributes and padding included.
uint32_t tv_host_record_bytes(const tv_module_info *info);

// ---- plan ------------------------------------------------------------------------------------------------------

typedef struct tv_host_plan_line {
    char group[72]; // a flow's name, or of an entry that stands for many flows its template's; or "process"
    uint32_t flows; // that the line is the sum of; 0: it is of the process
    tv_plan_line line;
} tv_host_plan_line;

// A limit of memory that the process meets; 0 bytes: there is none.
typedef struct tv_host_memory_limits {
    uint64_t configured_bytes; // limits.memory
    uint64_t cgroup_bytes;     // tightest memory.max of the control group and those above it
    uint64_t available_bytes;  // MemAvailable
} tv_host_memory_limits;

typedef struct tv_host_plan {
    tv_host_plan_line *lines;
    size_t count, capacity;
    uint64_t reserved_bytes, expected_bytes;
    tv_host_memory_limits limits;
    bool overcommit; // limits.overcommit: what is expected decides
    size_t flows, instances;
    uint64_t common_bytes[TV_HOST_CONNECTORS_MAX]; // of each connector's channels, in the order of tv_host_connectors
    bool failed;                                   // out of memory while collecting
} tv_host_plan;

tv_status tv_host_plan_init(const tv_host_model *model, tv_host_plan *plan, tv_error *error);
void tv_host_plan_deinit(tv_host_plan *plan);
// The sum that is held against the limits: reserved, or expected with limits.overcommit.
uint64_t tv_host_plan_counted_bytes(const tv_host_plan *plan);
// OK, or LIMIT with the numbers and what to change.
tv_status tv_host_plan_check(const tv_host_plan *plan, tv_error *error);
void tv_host_plan_print(const tv_host_plan *plan, const char *title, FILE *out);
tv_status tv_host_plan_print_json(const tv_host_plan *plan, const char *title, FILE *out);

// What one flow takes, connectors included: the sum of its lines in the plan.
typedef struct tv_host_flow_bytes {
    uint64_t reserved, expected;
} tv_host_flow_bytes;
// Without the instances it shares with others.
tv_host_flow_bytes tv_host_flow_bytes_of(const tv_pipeline *pipeline, const tv_flow_model *flow,
                                         const tv_host_spec *spec);

// ---- budget ----------------------------------------------------------------------------------------------------

// What is admitted of what there is, while flows come and go. The limits are those at the start. One thread at a time.
typedef struct tv_host_budget {
    const tv_pipeline *pipeline;
    tv_host_memory_limits limits;
    bool overcommit;
    uint64_t reserved_bytes, expected_bytes;
    size_t flows, flows_max;
    size_t instances, instances_max; // own ones, and the most that are shared
} tv_host_budget;

// The most linear memories at a time: limits.memories, or 1000, or a quarter more than the flows at the
// start need if these are as many.
uint32_t tv_host_memories_max(const tv_host_model *model);
// As after the start: process and all flows of the plan are admitted.
void tv_host_budget_init(tv_host_budget *budget, const tv_host_model *model, const tv_host_plan *plan);
// One flow more: OK, and it is counted; or LIMIT with the numbers and what to change.
tv_status tv_host_budget_admit(tv_host_budget *budget, const tv_flow_model *flow, const tv_host_spec *spec,
                               tv_error *error);
// One flow less, which was admitted.
void tv_host_budget_release(tv_host_budget *budget, const tv_flow_model *flow, const tv_host_spec *spec);
// The tightest of the limits, UINT64_MAX if there is none.
uint64_t tv_host_limit_bytes(const tv_host_memory_limits *limits);

// ---- pressure --------------------------------------------------------------------------------------------------

// How scarce memory is, with limits.overcommit: from which class on down sources are paused.
typedef enum tv_host_pressure {
    TV_PRESSURE_NONE,
    TV_PRESSURE_BACKGROUND, // sources of background flows are paused
    TV_PRESSURE_NORMAL,     // and those of normal ones
    TV_PRESSURE_HIGH,       // and those of high ones: only critical flows take anything in
    TV_PRESSURE_COUNT,
} tv_host_pressure;
const char *tv_host_pressure_name(tv_host_pressure pressure);

// What is in use now. Not what was given out: with overcommit that may be more than there is, as long as it is not
// used.
typedef struct tv_host_memory_now {
    uint64_t limit_bytes;    // tv_host_limit_bytes
    uint64_t resident_bytes; // of the process
} tv_host_memory_now;

// The next state from the present one: up as far as the figures say, down by one step at a time and only well below the
// mark, so that it does not swing. Pure; to be asked a few times a second.
tv_host_pressure tv_host_pressure_next(tv_host_pressure now, const tv_host_memory_now *figures);
// Whether the sources of flows of that class are to be paused.
bool tv_host_pressure_pauses(tv_host_pressure pressure, tv_class class);

// ---- run -------------------------------------------------------------------------------------------------------

typedef struct tv_host_run_options {
    int64_t process_start_ns; // monotonic; when the process began, for start_ms
    int64_t grace_ns;         // longest drain after a signal
    const char *control;      // path of the control socket; NULL: the pipeline's, or the default; "none"
    bool progress;            // one refreshed line on standard error
    bool quiet;               // no summary
    bool json;                // the summary as JSON
    bool strict;              // a flow that cannot start keeps all from starting
} tv_host_run_options;

typedef struct tv_host_outcome {
    int signal;             // the signal that ended it before everything was delivered, else 0
    uint64_t dead_lettered; // records
    bool failed;            // a flow failed, a connector failed, or the books do not balance
    bool stuck;             // a far side would not let go: nothing was freed, and the process is to end at once (_exit)
} tv_host_outcome;

// Where the summary goes: to standard output, unless the pipeline writes its records there; then to standard error.
// What is known of a model with errors is gone by.
FILE *tv_host_report_stream(const tv_host_model *model);

// Ignores the signals that mean nothing to a pipeline (signals.h). At the start of the process.
void tv_host_signals_prepare(void);

// Runs all flows of a checked model until they end. Blocks; the caller's thread becomes the I/O thread. Prints the
// summary. An error says why it could not start: what all flows need is not there, or not one of them can start
// (options->strict: one of them cannot). A failure of some flows is in `outcome`.
tv_status tv_host_run(tv_host_model *model, const tv_host_run_options *options, tv_host_outcome *outcome,
                      tv_error *error);

#endif
