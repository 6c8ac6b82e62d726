// For tests: the model of a pipeline whose components are described, not loaded, with its plan.
#ifndef TORVYN_HOST_DESCRIBED_H
#define TORVYN_HOST_DESCRIBED_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/internal.h"

typedef struct described {
    tv_host_model model;
    tv_host_plan plan;
    tv_host_budget budget; // not set by described_new
    tv_host_specs specs;
} described;

static const char *described_no_variables(void *user, const char *name) {
    (void)user;
    (void)name;
    return NULL;
}

static inline tv_status described_load(described *made, const char *text) {
    char path[] = "/tmp/torvyn-described-XXXXXX";
    size_t count, length = strlen(text);
    const tv_connector *const *connectors = tv_host_connectors(&count);
    int file = mkstemp(path);
    if (file < 0) return TV_IO;
    tv_status status = write(file, text, length) == (ssize_t)length ? TV_OK : TV_IO;
    close(file);
    if (status == TV_OK)
        status = tv_pipeline_load(path, connectors, count, described_no_variables, NULL, &made->model.diagnostics,
                                  &made->model.pipeline);
    unlink(path);
    return status;
}

// Of the components of `text`, each keeps what `keeping` says, one for each. NULL: it could not be made.
static inline described *described_new(const char *text, uint32_t workers, const tv_keeping *keeping) {
    described *made = calloc(1, sizeof *made);
    tv_error error;
    if (!made || described_load(made, text) != TV_OK) return NULL;
    size_t count = made->model.pipeline->component_count;
    made->model.workers = workers;
    made->model.components = calloc(count, sizeof *made->model.components);
    for (size_t i = 0; made->model.components && i < count; i++)
        made->model.components[i] = (tv_host_component){.usable = true,
                                                        .info = {.port_count = 1,
                                                                 .max_output_bytes = 1000,
                                                                 .memory_initial_bytes = 65536,
                                                                 .keeping = keeping[i],
                                                                 .has_process = true}};
    made->specs.model = &made->model;
    return made->model.components && tv_host_plan_init(&made->model, &made->plan, &error) == TV_OK ? made : NULL;
}

// A teardown of cmocka.
static inline int described_free(void **state) {
    described *made = *state;
    tv_host_specs_deinit(&made->specs);
    tv_host_plan_deinit(&made->plan);
    tv_host_model_deinit(&made->model);
    free(made);
    return 0;
}

#endif
