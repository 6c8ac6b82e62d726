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
#include "pipeline/pipeline.h"
#include "wasm/wasm.h"

// ---- model: a pipeline file and what is known of its components ------------------------------------------------

// All connectors that are built in, in the order of `torvyn connectors`.
const tv_connector *const *tv_host_connectors(size_t *count);

typedef struct tv_host_request {
    const char *file;
    const char *const *variables; // "NAME=VALUE"; looked up before the environment. Must outlive the model.
    size_t variable_count;
    uint32_t workers;  // 0: what the file says, or one per core
    bool plans_itself; // the caller makes the plan, shows it and says whether it fits: no finding about it
} tv_host_request;

typedef struct tv_host_component {
    bool usable;         // the file was read and follows the contract
    tv_module_info info; // valid if usable
} tv_host_component;

// A file a stage may read. `bytes` is NULL until tv_host_assets_read.
typedef struct tv_host_asset {
    const char *path; // the pipeline's
    uint8_t *bytes;
    uint64_t size;
} tv_host_asset;

typedef struct tv_host_model {
    tv_pipeline *pipeline;         // NULL if the file could not be understood that far
    tv_host_component *components; // pipeline->component_count
    tv_host_asset *assets;         // each path once
    size_t asset_count;
    uint32_t workers;  // resolved, at least 1
    bool without_plan; // of the request
    tv_host_request request;
    tv_diagnostics diagnostics;
} tv_host_model;

// Reads the pipeline and its components' files and makes every check that needs no running; all findings are in
// model->diagnostics. OK if none is an error; INVALID otherwise. `model` is to be deinitialised in both cases, and
// stays where it is until then: flows made later look up their variables by it.
tv_status tv_host_model_load(const tv_host_request *request, tv_host_model *model);
void tv_host_model_deinit(tv_host_model *model);
// Reads the assets' content. IO or TOO_LARGE, naming the file.
tv_status tv_host_assets_read(tv_host_model *model, tv_error *error);

// The output port `port` (name, number or NULL for 0) of a component; false if it has none of that name.
bool tv_host_port_resolve(const tv_module_info *info, const char *port, uint16_t *index);

// ---- specification ---------------------------------------------------------------------------------------------

// A flow's specification with the arrays it points to. Names borrow from the model, which must outlive it.
typedef struct tv_host_spec {
    tv_flow_spec flow;
    tv_stage_spec *stages;
    tv_edge_spec *edges;
    const char **channel_names;
    char (*edge_names)[160];        // "detect.alerts -> uplink"
    uint32_t *channel_record_bytes; // largest record of each channel
} tv_host_spec;

// Every component of the flow must be usable and every port known (what tv_host_model_load checks). `modules`, one a
// component, may be NULL where nothing shall run. Errors: NO_MEMORY. tv_flow_spec_check is left to the caller.
tv_status tv_host_spec_init(const tv_host_model *model, size_t flow, tv_module *const *modules, tv_host_spec *spec,
                            tv_error *error);
void tv_host_spec_deinit(tv_host_spec *spec);
// Largest record that stage `stage` can emit, header, attributes and padding included.
uint32_t tv_host_record_bytes(const tv_module_info *info);

// ---- plan ------------------------------------------------------------------------------------------------------

typedef struct tv_host_plan_line {
    char group[72]; // flow's name, or "process"
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
    bool failed; // out of memory while collecting
} tv_host_plan;

tv_status tv_host_plan_init(const tv_host_model *model, tv_host_plan *plan, tv_error *error);
void tv_host_plan_deinit(tv_host_plan *plan);
// OK, or LIMIT with the numbers and what to change.
tv_status tv_host_plan_check(const tv_host_plan *plan, tv_error *error);
void tv_host_plan_print(const tv_host_plan *plan, const char *title, FILE *out);
tv_status tv_host_plan_print_json(const tv_host_plan *plan, const char *title, FILE *out);

// ---- run -------------------------------------------------------------------------------------------------------

typedef struct tv_host_run_options {
    int64_t process_start_ns; // monotonic; when the process began, for start_ms
    int64_t grace_ns;         // longest drain after a signal
    bool progress;            // one refreshed line on standard error
    bool quiet;               // no summary
    bool json;                // the summary as JSON
} tv_host_run_options;

typedef struct tv_host_outcome {
    int signal;  // the signal that ended it before everything was delivered, else 0
    bool failed; // a flow failed, a connector failed, or the books do not balance
    bool stuck;  // a far side would not let go: nothing was freed, and the process is to end at once (_exit)
} tv_host_outcome;

// Runs all flows of a checked model until they end. Blocks; the caller's thread becomes the I/O thread. Prints the
// summary on standard output. An error says why it could not start; a failure while running is in `outcome`.
tv_status tv_host_run(tv_host_model *model, const tv_host_run_options *options, tv_host_outcome *outcome,
                      tv_error *error);

#endif
