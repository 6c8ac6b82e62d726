// See test_support.h.
#include "wasm/test_support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wasm/engine.h"

enum { PATH_BYTES = 512, PATHS = 16 };
static char folder[PATH_BYTES / 2];
static char paths[PATHS][PATH_BYTES];
static unsigned next_path;

static const char *make_path(const char *base, const char *name, const char *suffix) {
    char *out = paths[next_path++ % PATHS];
    snprintf(out, PATH_BYTES, "%s/%s%s", base, name, suffix);
    return out;
}

const char *tv_test_path(const char *name) { return make_path(folder, name, ""); }
const char *tv_test_module(const char *name) { return make_path(TV_TEST_MODULES, name, ".wasm"); }

void tv_test_folder_init(void) {
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/tv-wasm-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder)) abort();
}

static void remove_tree(const char *path) {
    DIR *dir = opendir(path);
    const struct dirent *file;
    while (dir && (file = readdir(dir)) != NULL) {
        char child[PATH_BYTES * 2];
        if (strcmp(file->d_name, ".") == 0 || strcmp(file->d_name, "..") == 0) continue;
        snprintf(child, sizeof child, "%s/%s", path, file->d_name);
        if (unlink(child) != 0) remove_tree(child);
    }
    if (dir) closedir(dir);
    (void)chmod(path, 0700);
    (void)rmdir(path);
}

void tv_test_folder_deinit(void) { remove_tree(folder); }

tv_engine *tv_test_engine(tv_memory_mode mode) {
    tv_error error = {0};
    tv_engine *engine = NULL;
    tv_engine_options options = {.cache_dir = tv_test_path("cache"), .memory_mode = mode, .memories_max = 64};
    if (tv_engine_new(&options, &engine, &error) != TV_OK) fail_msg("engine: %s", error.message);
    return engine;
}

tv_module *tv_test_load(tv_engine *engine, const char *name) {
    tv_error error = {0};
    tv_module *module = NULL;
    if (tv_module_load(engine, tv_test_module(name), &module, &error) != TV_OK) fail_msg("load: %s", error.message);
    return module;
}

// ---- owner --------------------------------------------------------------------------------------------------

static void keep_text(tv_test_owner *owner, const char *text, size_t length) {
    owner->text_length = length;
    memcpy(owner->text, text, length);
    owner->text[length] = 0;
}

static int32_t on_emit(void *user, const tv_emit *emit) {
    tv_test_owner *owner = user;
    owner->emits++;
    owner->last_emit = *emit;
    size_t kept = emit->payload_bytes < sizeof owner->payload ? emit->payload_bytes : sizeof owner->payload - 1;
    memcpy(owner->payload, emit->payload, kept);
    owner->payload[kept] = 0;
    return owner->answer;
}

static int32_t on_reject(void *user, const char *reason, size_t length) {
    tv_test_owner *owner = user;
    owner->rejects++;
    keep_text(owner, reason, length);
    return owner->answer;
}

static int32_t on_timer_set(void *user, int64_t delay_ns) {
    tv_test_owner *owner = user;
    owner->timer_ns = delay_ns;
    return owner->answer;
}

static int64_t on_clock(void *user, int32_t clock_id) {
    (void)user;
    return clock_id == TV_CLOCK_REALTIME ? 1700000000000000000 : 42;
}

static void on_log(void *user, int32_t level, const char *text, size_t length) {
    tv_test_owner *owner = user;
    owner->logs++;
    owner->level = level;
    keep_text(owner, text, length);
}

static int32_t on_config_get(void *user, const char *path, size_t length, const char **value, size_t *value_length) {
    (void)user;
    if (length != 4 || memcmp(path, "unit", 4) != 0) return TV_ABI_NOT_FOUND;
    *value = "celsius";
    *value_length = 7;
    return TV_ABI_OK;
}

static int32_t on_asset_find(void *user, const char *name, size_t length, const uint8_t **bytes, uint64_t *size) {
    (void)user;
    if (length != 5 || memcmp(name, "table", 5) != 0) return TV_ABI_NOT_FOUND;
    *bytes = (const uint8_t *)"0123456789";
    *size = 10;
    return TV_ABI_OK;
}

static int32_t on_counter(void *user, const char *name, size_t length) {
    tv_test_owner *owner = user;
    keep_text(owner, name, length);
    return owner->answer;
}

static int32_t on_counter_add(void *user, int32_t counter, int64_t delta) {
    tv_test_owner *owner = user;
    (void)counter;
    owner->delta += delta;
    return owner->answer;
}

static bool on_tick(void *user) {
    tv_test_owner *owner = user;
    owner->ticks++;
    if (owner->on_tick) owner->on_tick(owner);
    return owner->ticks <= owner->ticks_allowed;
}

const tv_guest_imports tv_test_imports = {
    .emit = on_emit,
    .reject = on_reject,
    .timer_set = on_timer_set,
    .clock_ns = on_clock,
    .log = on_log,
    .config_get = on_config_get,
    .asset_find = on_asset_find,
    .counter = on_counter,
    .counter_add = on_counter_add,
    .on_tick = on_tick,
};

tv_instance *tv_test_instance(tv_module *module, tv_test_owner *owner, uint64_t memory_bytes) {
    tv_error error = {0};
    tv_fault fault;
    tv_instance *instance = NULL;
    tv_instance_options options = {
        .memory_bytes_max = memory_bytes,
        .batch_bytes = 4096,
        .grants = TV_GRANT_CLOCK | TV_GRANT_RANDOM,
        .imports = &tv_test_imports,
        .user = owner,
    };
    if (tv_instance_new(module, &options, &instance, &fault, &error) != TV_OK) fail_msg("instance: %s", error.message);
    return instance;
}

// ---- kit ----------------------------------------------------------------------------------------------------

enum { KIT_ARENA = 1024, KIT_ARGUMENTS = 1088, KIT_OPERATION = 15, KIT_RESULT = 1152 };

void *tv_kit_memory(tv_instance *instance, uint32_t address) {
    return (uint8_t *)tv_instance_batch(instance) + (address - KIT_ARENA);
}

void tv_kit_argument(tv_instance *instance, unsigned index, uint32_t value) {
    memcpy(tv_kit_memory(instance, KIT_ARGUMENTS + 4 * index), &value, sizeof value);
}

tv_status tv_kit_run(tv_instance *instance, enum tv_kit_operation operation, tv_fault *fault, unsigned count, ...) {
    va_list arguments;
    va_start(arguments, count);
    for (unsigned i = 0; i < count; i++) {
        tv_kit_argument(instance, i, va_arg(arguments, uint32_t));
    }
    va_end(arguments);
    int32_t result;
    return tv_instance_call(instance, TV_EXPORT_TICK, operation, &result, fault);
}

int64_t tv_kit_result(tv_instance *instance) {
    int64_t result;
    memcpy(&result, tv_kit_memory(instance, KIT_RESULT), sizeof result);
    return result;
}

tv_status tv_kit_run_in(tv_instance *instance, tv_export which, enum tv_kit_operation operation, int32_t *result,
                        tv_fault *fault) {
    tv_kit_argument(instance, KIT_OPERATION, operation);
    return tv_instance_call(instance, which, 3, result, fault);
}

// ---- builder ------------------------------------------------------------------------------------------------

void tv_builder_init(tv_builder *builder) {
    static const uint8_t head[8] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    memcpy(builder->bytes, head, sizeof head);
    builder->length = sizeof head;
}

void tv_builder_section(tv_builder *builder, uint8_t id, const void *content, size_t length) {
    uint8_t *at = builder->bytes + builder->length;
    assert_true(builder->length + length + 6 <= sizeof builder->bytes);
    *at++ = id;
    for (int i = 0; i < 5; i++) { // always five bytes of LEB128: padding is allowed
        *at++ = (uint8_t)((length >> (7 * i) & 0x7f) | (i < 4 ? 0x80 : 0));
    }
    memcpy(at, content, length);
    builder->length = (size_t)(at - builder->bytes) + length;
}

void tv_builder_component(tv_builder *builder) {
    tv_builder_init(builder);
    TV_SECTION(builder, 1, 2, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f); // () -> (), (i32) -> i32
    TV_SECTION(builder, 3, 3, 0, 1, 1);
    TV_SECTION(builder, 5, 1, 0, 1);
    TV_SECTION(builder, 7, 4, 6, 'm', 'e', 'm', 'o', 'r', 'y', 2, 0, 12, 't', 'o', 'r', 'v', 'y', 'n', '_', 'a', 'b',
               'i', '_', '1', 0, 0, 8, 't', 'v', '_', 'a', 'r', 'e', 'n', 'a', 0, 1, 10, 't', 'v', '_', 'p', 'r', 'o',
               'c', 'e', 's', 's', 0, 2);
    TV_SECTION(builder, 10, 3, 2, 0, 0x0b, 5, 0, 0x41, 0x80, 8, 0x0b, 4, 0, 0x20, 0, 0x0b);
}
