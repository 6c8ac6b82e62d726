// Fuzz target: any bytes as a module.
//
// Whatever comes in, the inspection answers with an error that says something, or with facts that fit together.
// scripts/fuzz.sh builds and runs it; inspect_corpus_test replays the corpus.
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "wasm/host_functions.h"
#include "wasm/limits.h"
#include "wasm/wasm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_imports(const tv_module_info *info) {
    uint32_t grants = 0;
    TV_ASSERT(info->import_count <= TV_MODULE_IMPORTS_MAX);
    for (uint32_t i = 0; i < info->import_count; i++) {
        const tv_import_info *import = &info->imports[i];
        const tv_host_function *function =
            tv_host_function_find(import->module, strlen(import->module), import->name, strlen(import->name));
        TV_ASSERT(function != NULL && function->grant == import->grant);
        grants |= import->grant;
    }
    TV_ASSERT(grants == info->grants_needed);
}

static void check_info(const tv_module_info *info) {
    TV_ASSERT(info->has_process || info->has_pull);
    TV_ASSERT(info->memory_initial_bytes <= 1ull << 32);
    TV_ASSERT(info->port_count >= 1 && info->port_count <= TV_PORTS_MAX);
    for (uint32_t i = 0; i < info->port_count; i++) {
        TV_ASSERT(info->ports[i][0] != 0 && strlen(info->ports[i]) <= TV_NAME_BYTES_MAX);
    }
    TV_ASSERT(info->max_output_bytes > 0 && info->max_output_bytes < TV_RECORD_BYTES_LIMIT);
    TV_ASSERT(info->role <= TV_ROLE_SINK);
    TV_ASSERT(info->keeping != TV_KEEPS_NOTHING || !(info->has_pull || info->has_tick || info->has_close));
    TV_ASSERT(info->keeping != TV_KEEPS_KEYED || info->state_bytes % 8 == 0);
    TV_ASSERT(info->state_bytes <= TV_STATE_BYTES_LIMIT && (info->keeping != TV_KEEPS_KEYED || info->state_bytes > 0));
    check_imports(info);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tv_module_info info;
    tv_error error = {0};
    uint8_t *copy = malloc(size ? size : 1); // its own allocation, so that a sanitizer sees a step beyond
    TV_ASSERT(copy != NULL);
    if (size > 0) memcpy(copy, data, size);
    tv_status status = tv_module_inspect(copy, size, &info, &error);
    free(copy);
    TV_ASSERT(strlen(info.digest) == 64);
    TV_ASSERT(status == TV_OK || (error.status == status && error.message[0] != 0));
    TV_ASSERT(status == TV_OK || status == TV_INVALID || status == TV_UNSUPPORTED || status == TV_LIMIT);
    if (status == TV_OK) check_info(&info);
    return 0;
}
