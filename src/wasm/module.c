// Modules: one per digest, shared by all stages that use it. Loading inspects, takes the compiled form from the
// cache or from the compiling child, and links it against the host functions once, for all instances.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "wasm/compile.h"
#include "wasm/engine.h"
#include "wasm/limits.h"
#include "wasm/sections.h"

// The loaded module of that digest with a reference more, or NULL.
static tv_module *ref_loaded(tv_engine *engine, const char *digest) {
    pthread_mutex_lock(&engine->modules_lock);
    tv_module *module = engine->modules;
    while (module && strcmp(module->info.digest, digest) != 0) {
        module = module->next;
    }
    if (module) module->references++;
    pthread_mutex_unlock(&engine->modules_lock);
    return module;
}

static void publish(tv_module *module) {
    pthread_mutex_lock(&module->engine->modules_lock);
    module->next = module->engine->modules;
    module->engine->modules = module;
    pthread_mutex_unlock(&module->engine->modules_lock);
}

static void module_delete(tv_module *module) {
    if (module->linked) wasmtime_instance_pre_delete(module->linked);
    if (module->compiled) wasmtime_module_delete(module->compiled);
    tv_memory_image_free(module->image);
    free(module);
}

static tv_status link_module(tv_module *module, tv_error *error) {
    wasmtime_error_t *failed =
        wasmtime_linker_instantiate_pre(module->engine->linker, module->compiled, &module->linked);
    return failed ? tv_engine_error(error, TV_INVALID, failed, "the module does not fit the contract") : TV_OK;
}

static tv_status compile_in_child(tv_module *module, const uint8_t *bytes, size_t length, const tv_cache_key *key,
                                  tv_error *error) {
    tv_engine *engine = module->engine;
    tv_compile_options options = {
        .compiler_path = engine->compiler_path,
        .memory_mode = engine->memory_mode,
        .memory_bytes_max = engine->compile_memory_bytes_max,
        .seconds_max = engine->compile_seconds_max,
    };
    uint8_t *compiled;
    size_t compiled_length;
    tv_status status = tv_compile(&options, bytes, length, &compiled, &compiled_length, error);
    if (status != TV_OK) return status;
    wasmtime_error_t *failed = wasmtime_module_deserialize(engine->wasm, compiled, compiled_length, &module->compiled);
    if (failed)
        status = tv_engine_error(error, TV_IO, failed, "the compiler's result cannot be used");
    else
        tv_cache_store(engine->cache, key, compiled, compiled_length);
    free(compiled);
    return status;
}

tv_status tv_module_validate(const uint8_t *bytes, size_t length, tv_error *error) {
    const tv_compile_options options = {.compiler_path = "/proc/self/exe",
                                        .memory_bytes_max = TV_COMPILE_BYTES_DEFAULT,
                                        .seconds_max = TV_COMPILE_SECONDS_DEFAULT,
                                        .only_validate = true};
    uint8_t *nothing = NULL;
    size_t nothing_length;
    tv_status status = tv_compile(&options, bytes, length, &nothing, &nothing_length, error);
    free(nothing);
    return status;
}

static bool take_from_cache(tv_module *module, const tv_cache_key *key) {
    tv_engine *engine = module->engine;
    uint8_t *compiled;
    size_t length;
    if (tv_cache_load(engine->cache, key, &compiled, &length) != TV_OK) return false;
    wasmtime_error_t *failed = wasmtime_module_deserialize(engine->wasm, compiled, length, &module->compiled);
    free(compiled);
    module->was_cached = failed == NULL;
    if (!failed) return true;
    wasmtime_error_delete(failed);
    tv_cache_reject(engine->cache, key, "is refused by the engine");
    return false;
}

static tv_status get_compiled(tv_module *module, const uint8_t *bytes, size_t length, tv_error *error) {
    char settings[160];
    tv_cache_key key = tv_cache_key_of(module->info.digest, tv_engine_settings(module->engine->memory_mode, settings));
    return take_from_cache(module, &key) ? TV_OK : compile_in_child(module, bytes, length, &key, error);
}

// The inspection has accepted the module, so none of this fails.
static uint32_t table_elements(const uint8_t *bytes, size_t length) {
    tv_sections sections;
    tv_error error;
    uint32_t count;
    uint64_t elements = 0;
    tv_status status = tv_sections_scan(bytes, length, &sections, &error);
    if (status == TV_OK) status = tv_sections_tables(&sections, &count, &elements, &error);
    TV_ASSERT(status == TV_OK);
    return (uint32_t)elements;
}

static tv_status load_new(tv_engine *engine, const tv_module_info *info, const uint8_t *bytes, size_t length,
                          tv_module **out, tv_error *error) {
    tv_module *module = calloc(1, sizeof *module);
    if (!module) return tv_error_set(error, TV_NO_MEMORY, "no memory for a module");
    module->engine = engine;
    module->references = 1;
    module->info = *info;
    module->table_elements = table_elements(bytes, length);
    tv_status status = get_compiled(module, bytes, length, error);
    if (status == TV_OK) status = link_module(module, error);
    if (status != TV_OK) {
        module_delete(module);
        return status;
    }
    publish(module);
    *out = module;
    return TV_OK;
}

static tv_status load_locked(tv_engine *engine, const tv_module_info *info, const uint8_t *bytes, size_t length,
                             tv_module **out, tv_error *error) {
    tv_module *loaded = ref_loaded(engine, info->digest);
    if (!loaded) return load_new(engine, info, bytes, length, out, error);
    *out = loaded;
    return TV_OK;
}

tv_status tv_module_load(tv_engine *engine, const char *path, tv_module **out, tv_error *error) {
    tv_module_info info;
    uint8_t *bytes;
    size_t length;
    tv_status status = tv_module_inspect_file(path, &info, &bytes, &length, error);
    if (status != TV_OK) return status;
    pthread_mutex_lock(&engine->load_lock);
    status = load_locked(engine, &info, bytes, length, out, error);
    pthread_mutex_unlock(&engine->load_lock);
    free(bytes);
    if (status != TV_OK) tv_error_prefix(error, "%s", path);
    return status;
}

tv_module *tv_module_ref(tv_module *module) {
    pthread_mutex_lock(&module->engine->modules_lock);
    module->references++;
    pthread_mutex_unlock(&module->engine->modules_lock);
    return module;
}

static void unlist(tv_module *module) {
    tv_module **at = &module->engine->modules;
    while (*at != module) {
        TV_ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = module->next;
}

void tv_module_unref(tv_module *module) {
    if (!module) return;
    pthread_mutex_t *lock = &module->engine->modules_lock;
    pthread_mutex_lock(lock);
    bool last = --module->references == 0;
    if (last) unlist(module);
    pthread_mutex_unlock(lock);
    if (last) module_delete(module);
}

const tv_module_info *tv_module_get_info(const tv_module *module) { return &module->info; }
bool tv_module_was_cached(const tv_module *module) { return module->was_cached; }
