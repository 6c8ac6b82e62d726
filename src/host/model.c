// Loads a pipeline and looks at its components' and assets' files; the checks that follow are in check.c.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/host.h"
#include "host/internal.h"

enum { ASSET_BYTES_MAX = 64 << 20 };

static const char *lookup_variable(void *user, const char *name) {
    tv_host_model *model = user;
    const tv_host_request *request = &model->request;
    size_t length = strlen(name);
    for (size_t i = request->variable_count; i-- > 0;) {
        const char *variable = request->variables[i];
        if (strncmp(variable, name, length) != 0 || variable[length] != '=') continue;
        model->variables_used |= 1ull << (i & 63);
        return variable + length + 1;
    }
    return getenv(name);
}

// A name that was mistyped would otherwise look as if it had been taken.
static void check_variables(tv_host_model *model) {
    const tv_host_request *request = &model->request;
    for (size_t i = 0; i < request->variable_count && i < 64; i++) {
        int length = (int)strcspn(request->variables[i], "=");
        if (model->variables_used & 1ull << i) continue;
        tv_host_report(model, TV_SEVERITY_WARNING, (tv_place){0}, "", NULL,
                       "is the name spelled as in the file? Of a name given twice the last counts, and parameters of a "
                       "flow come before both",
                       "nothing in the pipeline file asks for `--set %.*s`", length, request->variables[i]);
    }
}

static uint32_t resolve_workers(const tv_host_request *request, const tv_pipeline *pipeline) {
    if (request->workers) return request->workers;
    if (pipeline->limits.workers) return pipeline->limits.workers;
    // More workers than flows would only sit there: a flow belongs to one worker.
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t workers = cores < 1 ? 1 : (uint32_t)cores;
    return pipeline->flow_count && workers > pipeline->flow_count ? (uint32_t)pipeline->flow_count : workers;
}

// ---- assets -------------------------------------------------------------------------------------------------

static void check_asset(tv_host_model *model, const tv_stage_model *stage, size_t index, tv_host_asset *asset) {
    struct stat status;
    tv_severity severity = model->request.lenient ? TV_SEVERITY_WARNING : TV_SEVERITY_ERROR;
    if (stat(asset->path, &status) != 0)
        tv_host_report(model, severity, stage->place, "stages", stage->name,
                       "correct the path (it is relative to the pipeline file) or put the file there",
                       "asset \"%s\" of stage \"%s\": %s: %s", stage->asset_names[index], stage->name, asset->path,
                       strerror(errno));
    else if (!S_ISREG(status.st_mode))
        tv_host_report(model, TV_SEVERITY_ERROR, stage->place, "stages", stage->name, "name a file",
                       "asset \"%s\" of stage \"%s\": %s is not a regular file", stage->asset_names[index], stage->name,
                       asset->path);
    else if (status.st_size > ASSET_BYTES_MAX)
        tv_host_report(model, TV_SEVERITY_ERROR, stage->place, "stages", stage->name, "an asset has 64 MiB at most",
                       "asset \"%s\" of stage \"%s\" is too large: %s has %lld bytes", stage->asset_names[index],
                       stage->name, asset->path, (long long)status.st_size);
    else
        asset->size = (uint64_t)status.st_size;
}

tv_host_asset *tv_host_asset_find(const tv_host_model *model, const char *path) {
    tv_key_entry *entry = tv_key_table_find(&model->asset_paths, path, strlen(path));
    return entry ? entry->value : NULL;
}

static bool make_room_for_asset(tv_host_model *model) {
    if (model->asset_count < model->asset_capacity) return true;
    size_t capacity = model->asset_capacity ? 2 * model->asset_capacity : 16;
    tv_host_asset **assets = realloc(model->assets, capacity * sizeof *assets);
    if (!assets) return false;
    model->assets = assets;
    model->asset_capacity = capacity;
    return true;
}

static void free_asset(tv_host_asset *asset) {
    if (!asset) return;
    free(asset->path);
    free(asset->bytes);
    free(asset->missing);
    free(asset);
}

// One use more of the asset, which is looked at when it is the first. False: out of memory.
static bool take_asset(tv_host_model *model, const tv_stage_model *stage, size_t index) {
    const char *path = stage->asset_paths[index];
    if (!make_room_for_asset(model)) return false;
    tv_key_entry *entry = tv_key_table_take(&model->asset_paths, path, strlen(path));
    if (!entry) return false;
    if (entry->value) return true;
    tv_host_asset *asset = calloc(1, sizeof *asset);
    char *copy = strdup(path);
    if (!asset || !copy) {
        free(asset);
        free(copy);
        tv_key_table_drop(&model->asset_paths, entry);
        return false;
    }
    asset->path = copy;
    asset->place = (uint32_t)model->asset_count;
    model->assets[model->asset_count++] = asset;
    entry->value = asset;
    check_asset(model, stage, index, asset);
    return true;
}

static void drop_asset(tv_host_model *model, const char *path) {
    tv_key_entry *entry = tv_key_table_find(&model->asset_paths, path, strlen(path));
    tv_host_asset *asset = entry ? entry->value : NULL;
    if (!entry || !tv_key_table_drop(&model->asset_paths, entry)) return;
    tv_host_asset *last = model->assets[--model->asset_count];
    model->assets[last->place = asset->place] = last;
    free_asset(asset);
}

// The first `count` uses of the flow.
static void drop_flow_assets(tv_host_model *model, const tv_flow_model *flow, size_t count) {
    for (size_t s = 0; s < flow->stage_count; s++)
        for (size_t i = 0; i < flow->stages[s].asset_count && count > 0; i++, count--)
            drop_asset(model, flow->stages[s].asset_paths[i]);
}

static tv_status add_flow_assets(tv_host_model *model, const tv_flow_model *flow) {
    size_t taken = 0;
    for (size_t s = 0; s < flow->stage_count; s++)
        for (size_t i = 0; i < flow->stages[s].asset_count; i++, taken++)
            if (!take_asset(model, &flow->stages[s], i)) {
                drop_flow_assets(model, flow, taken);
                return TV_NO_MEMORY;
            }
    return TV_OK;
}

// Those of the flows at the start stay; flows whose stages are the same have the same.
static tv_status add_assets(tv_host_model *model) {
    const tv_pipeline *pipeline = model->pipeline;
    for (size_t f = 0; f < pipeline->flow_count; f++) {
        if (f > 0 && pipeline->flows[f].stages == pipeline->flows[f - 1].stages) continue;
        if (add_flow_assets(model, &pipeline->flows[f]) != TV_OK) return TV_NO_MEMORY;
    }
    return TV_OK;
}

static tv_status read_asset(tv_host_asset *asset, tv_error *error) {
    size_t length = 0;
    if (asset->bytes) return TV_OK;
    tv_status status = tv_file_read(asset->path, ASSET_BYTES_MAX, &asset->bytes, &length, error);
    free(asset->missing);
    asset->missing = NULL;
    if (status == TV_OK) {
        asset->size = length;
        return TV_OK;
    }
    tv_error_prefix(error, "asset");
    asset->missing = strdup(error->message);
    return status;
}

tv_status tv_host_assets_read(tv_host_model *model, tv_error *error) {
    tv_status first = TV_OK;
    for (size_t i = 0; i < model->asset_count; i++) {
        tv_error own;
        tv_status status = read_asset(model->assets[i], &own);
        if (status == TV_OK || first != TV_OK) continue;
        first = status;
        *error = own;
    }
    return first;
}

// What a stage needs and was not to be had; tried again each time, since a file may have come.
static const char *why_stage_broken(tv_host_model *model, const tv_stage_model *stage) {
    tv_error error;
    if (model->components[stage->component].broken) return model->components[stage->component].broken;
    for (size_t i = 0; i < stage->asset_count; i++) {
        tv_host_asset *asset = tv_host_asset_find(model, stage->asset_paths[i]);
        if (read_asset(asset, &error) != TV_OK) return asset->missing ? asset->missing : "out of memory";
    }
    return NULL;
}

const char *tv_host_flow_broken(tv_host_model *model, const tv_flow_model *flow, uint16_t *stage) {
    for (size_t s = 0; s < flow->stage_count; s++) {
        const char *why = why_stage_broken(model, &flow->stages[s]);
        *stage = (uint16_t)s;
        if (why) return why;
    }
    return NULL;
}

// ---- components ---------------------------------------------------------------------------------------------

static tv_status look_into(const tv_host_model *model, const char *file, tv_module_info *info, tv_error *error) {
    uint8_t *bytes = NULL;
    size_t length = 0;
    tv_status status = tv_module_inspect_file(file, info, &bytes, &length, error);
    if (status == TV_OK && model->request.thorough && tv_module_validate(bytes, length, error) != TV_OK)
        status = tv_error_prefix(error, "%s", file);
    free(bytes);
    return status;
}

static void inspect_component(tv_host_model *model, size_t index) {
    const tv_component_model *component = &model->pipeline->components[index];
    tv_host_component *known = &model->components[index];
    tv_error error = {0};
    if (!component->file) return; // reported when the file was read
    if (access(component->file, R_OK) != 0) {
        tv_host_report(model, TV_SEVERITY_ERROR, component->file_place, "components", component->name,
                       "build it with `torvyn build`, or correct the path (it is relative to the pipeline file)",
                       "cannot read %s: %s", component->file, strerror(errno));
        return;
    }
    if (look_into(model, component->file, &known->info, &error) == TV_OK) {
        known->usable = true;
        return;
    }
    tv_host_report(model, TV_SEVERITY_ERROR, component->file_place, "components", component->name,
                   "`torvyn inspect FILE` shows what the file contains; docs/contract.md is the contract", "%s",
                   error.message);
}

static tv_status inspect_components(tv_host_model *model) {
    size_t count = model->pipeline->component_count;
    model->components = calloc(count + 1, sizeof *model->components);
    if (!model->components) return TV_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        inspect_component(model, i);
    return TV_OK;
}

// ---- model --------------------------------------------------------------------------------------------------

tv_status tv_host_model_load(const tv_host_request *request, tv_host_model *model) {
    *model = (tv_host_model){.workers = 1, .without_plan = request->plans_itself, .request = *request};
    size_t connector_count;
    const tv_connector *const *connectors = tv_host_connectors(&connector_count);
    tv_status status = tv_pipeline_load(request->file, connectors, connector_count, lookup_variable, model,
                                        &model->diagnostics, &model->pipeline);
    if (!model->pipeline) return status == TV_OK ? TV_NO_MEMORY : status;
    model->workers = resolve_workers(request, model->pipeline);
    if (inspect_components(model) != TV_OK || add_assets(model) != TV_OK) return TV_NO_MEMORY;
    tv_host_check(model);
    check_variables(model);
    return model->diagnostics.error_count ? TV_INVALID : TV_OK;
}

void tv_host_model_deinit(tv_host_model *model) {
    for (size_t i = 0; i < model->asset_count; i++)
        free_asset(model->assets[i]);
    free(model->assets);
    tv_key_table_deinit(&model->asset_paths);
    for (size_t i = 0; model->components && i < model->pipeline->component_count; i++)
        free(model->components[i].broken);
    free(model->components);
    tv_pipeline_free(model->pipeline);
    tv_diagnostics_deinit(&model->diagnostics);
    *model = (tv_host_model){0};
}

// ---- flows at run time --------------------------------------------------------------------------------------

static tv_status check_new_flow(tv_host_model *model, const tv_flow_model *flow) {
    tv_error error;
    tv_host_check_flow(model, flow);
    tv_host_check_flow_paths(model, flow);
    if (model->diagnostics.error_count) return TV_INVALID;
    tv_status status = tv_host_assets_read(model, &error);
    if (status != TV_OK)
        tv_host_report(model, TV_SEVERITY_ERROR, flow->place, "flows", flow->name, NULL, "%s", error.message);
    return status;
}

static tv_status complete_new_flow(tv_host_model *model, tv_flow_model *flow) {
    if (add_flow_assets(model, flow) != TV_OK) {
        tv_host_report(model, TV_SEVERITY_ERROR, flow->place, "flows", flow->name, NULL, "out of memory");
        tv_flow_model_free(flow);
        return TV_NO_MEMORY;
    }
    tv_status status = check_new_flow(model, flow);
    if (status != TV_OK) tv_host_flow_model_free(model, flow);
    return status;
}

tv_status tv_host_flow_model_new(tv_host_model *model, const tv_flow_order *order, tv_diagnostics *diagnostics,
                                 tv_flow_model **out) {
    tv_flow_model *flow = NULL;
    tv_status status = tv_pipeline_flow_new(model->pipeline, order, diagnostics, &flow);
    if (status != TV_OK) return status;
    tv_diagnostics kept = model->diagnostics; // what is found now is the caller's
    model->diagnostics = *diagnostics;
    status = complete_new_flow(model, flow);
    *diagnostics = model->diagnostics;
    model->diagnostics = kept;
    if (status == TV_OK) *out = flow;
    return status;
}

void tv_host_flow_model_free(tv_host_model *model, tv_flow_model *flow) {
    if (!flow) return;
    drop_flow_assets(model, flow, SIZE_MAX);
    tv_flow_model_free(flow);
}
