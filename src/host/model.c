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
    const tv_host_request *request = &((const tv_host_model *)user)->request;
    size_t length = strlen(name);
    for (size_t i = request->variable_count; i-- > 0;) {
        const char *variable = request->variables[i];
        if (strncmp(variable, name, length) == 0 && variable[length] == '=') return variable + length + 1;
    }
    return getenv(name);
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

static size_t count_asset_uses(const tv_pipeline *pipeline) {
    size_t count = 0;
    for (size_t f = 0; f < pipeline->flow_count; f++)
        for (size_t s = 0; s < pipeline->flows[f].stage_count; s++)
            count += pipeline->flows[f].stages[s].asset_count;
    return count;
}

static void check_asset(tv_host_model *model, const tv_stage_model *stage, size_t index, tv_host_asset *asset) {
    struct stat status;
    if (stat(asset->path, &status) != 0)
        tv_host_report(model, TV_SEVERITY_ERROR, stage->place, "stages", stage->name,
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
    for (size_t i = 0; i < model->asset_count; i++)
        if (strcmp(model->assets[i].path, path) == 0) return &model->assets[i];
    return NULL;
}

static void add_stage_assets(tv_host_model *model, const tv_stage_model *stage) {
    for (size_t i = 0; i < stage->asset_count; i++) {
        if (tv_host_asset_find(model, stage->asset_paths[i])) continue;
        tv_host_asset *asset = &model->assets[model->asset_count++];
        asset->path = stage->asset_paths[i];
        check_asset(model, stage, i, asset);
    }
}

static tv_status add_assets(tv_host_model *model) {
    const tv_pipeline *pipeline = model->pipeline;
    model->assets = calloc(count_asset_uses(pipeline) + 1, sizeof *model->assets);
    if (!model->assets) return TV_NO_MEMORY;
    for (size_t f = 0; f < pipeline->flow_count; f++)
        for (size_t s = 0; s < pipeline->flows[f].stage_count; s++)
            add_stage_assets(model, &pipeline->flows[f].stages[s]);
    return TV_OK;
}

tv_status tv_host_assets_read(tv_host_model *model, tv_error *error) {
    for (size_t i = 0; i < model->asset_count; i++) {
        tv_host_asset *asset = &model->assets[i];
        size_t length = 0;
        if (asset->bytes) continue;
        tv_status status = tv_file_read(asset->path, ASSET_BYTES_MAX, &asset->bytes, &length, error);
        if (status != TV_OK) return tv_error_prefix(error, "asset");
        asset->size = length;
    }
    return TV_OK;
}

// ---- components ---------------------------------------------------------------------------------------------

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
    if (tv_module_inspect_file(component->file, &known->info, NULL, NULL, &error) == TV_OK) {
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
    return model->diagnostics.error_count ? TV_INVALID : TV_OK;
}

void tv_host_model_deinit(tv_host_model *model) {
    for (size_t i = 0; i < model->asset_count; i++)
        free(model->assets[i].bytes);
    free(model->assets);
    free(model->components);
    tv_pipeline_free(model->pipeline);
    tv_diagnostics_deinit(&model->diagnostics);
    *model = (tv_host_model){0};
}
