// Loading: accepted and refused features, sharing by digest, and the way from file to cache to engine.
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/testing/await.h"
#include "wasm/engine.h"
#include "wasm/test_support.h"

static tv_error error;

static int setup(void **state) {
    *state = tv_test_engine(TV_MEMORY_COMPACT);
    return 0;
}

static int teardown(void **state) {
    tv_engine_free(*state);
    return 0;
}

static tv_status load(tv_engine *engine, const char *path, tv_module **module) {
    memset(&error, 0, sizeof error);
    return tv_module_load(engine, path, module, &error);
}

static void expect_refused(tv_engine *engine, const char *name, tv_status status, const char *message) {
    tv_module *module = NULL;
    assert_int_equal(load(engine, tv_test_module(name), &module), status);
    assert_non_null(strstr(error.message, name)); // the file is named
    if (!strstr(error.message, message)) fail_msg("\"%s\" does not say \"%s\"", error.message, message);
}

// ---- features (contract 1.1) --------------------------------------------------------------------------------

static void accepted_features_load_and_run(void **state) {
    tv_module *module = tv_test_load(*state, "accepted");
    tv_test_owner owner = {0};
    tv_instance *instance = tv_test_instance(module, &owner, 65536);
    int32_t result;
    tv_fault fault;
    assert_int_equal(tv_instance_call(instance, TV_EXPORT_PROCESS, 5, &result, &fault), TV_OK);
    assert_int_equal(result, 5);
    tv_instance_free(instance);
    tv_module_unref(module);
}

static void refused_features_are_named(void **state) {
    expect_refused(*state, "refused_atomics", TV_UNSUPPORTED, "threads");
    expect_refused(*state, "refused_shared_memory", TV_UNSUPPORTED, "threads");
    expect_refused(*state, "refused_relaxed_simd", TV_UNSUPPORTED, "relaxed SIMD");
    expect_refused(*state, "refused_memory64", TV_UNSUPPORTED, "memory64");
    expect_refused(*state, "refused_multi_memory", TV_UNSUPPORTED, "2 memories");
    expect_refused(*state, "refused_exceptions", TV_UNSUPPORTED, "exceptions");
}

// ---- sharing ------------------------------------------------------------------------------------------------

static void copy_file(const char *from, const char *to) {
    uint8_t *bytes;
    size_t length;
    tv_module_info info;
    assert_int_equal(tv_module_inspect_file(from, &info, &bytes, &length, &error), TV_OK);
    FILE *file = fopen(to, "we");
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
    free(bytes);
}

static void same_bytes_are_one_module_whatever_the_path(void **state) {
    const char *copy = tv_test_path("copy.wasm");
    copy_file(tv_test_module("kit"), copy);
    tv_module *first = tv_test_load(*state, "kit");
    tv_module *second = NULL;
    assert_int_equal(load(*state, copy, &second), TV_OK);
    assert_ptr_equal(first, second);
    tv_module_unref(first);
    assert_string_equal(tv_module_get_info(second)->digest, tv_module_get_info(first)->digest);
    tv_module_unref(second);
}

static void module_outlives_its_loader_while_instances_use_it(void **state) {
    tv_module *module = tv_test_load(*state, "kit");
    tv_test_owner owner = {0};
    tv_fault fault;
    tv_instance *instance = tv_test_instance(module, &owner, 131072);
    tv_module_unref(module);
    assert_int_equal(tv_kit_run(instance, KIT_NOTHING, &fault, 0), TV_OK);
    tv_instance_free(instance);
}

static bool load_is_cached(const char *folder, tv_memory_mode mode);

typedef struct slow_load {
    tv_engine *engine;
    tv_status status;
} slow_load;

static void *load_slowly(void *user) {
    slow_load *slow = user;
    tv_module *module = NULL;
    tv_error ignored;
    slow->status = tv_module_load(slow->engine, tv_test_module("accepted"), &module, &ignored);
    return NULL;
}

// A compiler that waits until a file appears; instances must come and go meanwhile.
static void instances_can_be_made_while_another_module_compiles(void **state) {
    (void)state;
    char compiler[300], started[300], done[300];
    snprintf(compiler, sizeof compiler, "%s", tv_test_path("waiter"));
    snprintf(started, sizeof started, "%s", tv_test_path("started"));
    snprintf(done, sizeof done, "%s", tv_test_path("done"));
    FILE *file = fopen(compiler, "we");
    fprintf(file, "#!/bin/sh\n: > %s\nwhile [ ! -e %s ]; do :; done\nexit 3\n", started, done);
    fclose(file);
    assert_int_equal(chmod(compiler, 0700), 0);
    char folder[300];
    snprintf(folder, sizeof folder, "%s", tv_test_path("meanwhile"));
    load_is_cached(folder, TV_MEMORY_GUARD); // so that the kit is there without compiling
    slow_load slow = {.status = TV_OK};
    tv_engine_options options = {.cache_dir = folder, .compiler_path = compiler, .memories_max = 8};
    assert_int_equal(tv_engine_new(&options, &slow.engine, &error), TV_OK);
    tv_module *module = tv_test_load(slow.engine, "kit");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, load_slowly, &slow), 0);
    {
        TV_AWAIT("the compiler to start");
        while (access(started, F_OK) != 0)
            sched_yield();
    }
    tv_test_owner owner = {0};
    tv_instance_free(tv_test_instance(module, &owner, 131072));
    tv_module_unref(module);
    file = fopen(done, "we");
    fclose(file);
    pthread_join(thread, NULL);
    assert_int_equal(slow.status, TV_IO);
    tv_engine_free(slow.engine);
}

static void files_that_are_no_modules_are_refused(void **state) {
    tv_module *module = NULL;
    assert_int_equal(load(*state, tv_test_path("missing.wasm"), &module), TV_IO);
    assert_non_null(strstr(error.message, "missing.wasm"));
    FILE *file = fopen(tv_test_path("text.wasm"), "we");
    fputs("(module)", file);
    fclose(file);
    assert_int_equal(load(*state, tv_test_path("text.wasm"), &module), TV_INVALID);
    assert_non_null(strstr(error.message, "not a WebAssembly module"));
}

// ---- cache --------------------------------------------------------------------------------------------------

static tv_engine *engine_over(const char *folder, tv_memory_mode mode) {
    tv_engine *engine = NULL;
    tv_engine_options options = {.cache_dir = folder, .memory_mode = mode, .memories_max = 8};
    if (tv_engine_new(&options, &engine, &error) != TV_OK) fail_msg("%s", error.message);
    return engine;
}

// Loads the kit with a fresh engine over `folder`; true if it came from the cache. It must work either way.
static bool load_is_cached(const char *folder, tv_memory_mode mode) {
    tv_engine *engine = engine_over(folder, mode);
    tv_module *module = tv_test_load(engine, "kit");
    bool cached = tv_module_was_cached(module);
    tv_test_owner owner = {0};
    tv_fault fault;
    tv_instance *instance = tv_test_instance(module, &owner, 131072);
    assert_int_equal(tv_kit_run(instance, KIT_SIZE, &fault, 0), TV_OK);
    tv_instance_free(instance);
    tv_module_unref(module);
    tv_engine_free(engine);
    return cached;
}

// Path of the only file in a folder.
static const char *only_file(const char *folder) {
    static char path[600];
    const struct dirent *file;
    DIR *dir = opendir(folder);
    unsigned count = 0;
    while ((file = readdir(dir)) != NULL) {
        if (file->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, file->d_name);
        count++;
    }
    closedir(dir);
    assert_int_equal(count, 1);
    return path;
}

static void second_load_comes_from_the_cache(void **state) {
    (void)state;
    const char *folder = tv_test_path("second");
    assert_false(load_is_cached(folder, TV_MEMORY_GUARD));
    assert_true(load_is_cached(folder, TV_MEMORY_GUARD));
}

static void memory_modes_have_entries_of_their_own(void **state) {
    (void)state;
    const char *folder = tv_test_path("modes");
    assert_false(load_is_cached(folder, TV_MEMORY_GUARD));
    assert_false(load_is_cached(folder, TV_MEMORY_COMPACT));
    assert_true(load_is_cached(folder, TV_MEMORY_GUARD));
    assert_true(load_is_cached(folder, TV_MEMORY_COMPACT));
}

static void damaged_entry_is_compiled_again(void **state) {
    (void)state;
    char folder[300];
    snprintf(folder, sizeof folder, "%s", tv_test_path("damaged"));
    assert_false(load_is_cached(folder, TV_MEMORY_GUARD));
    assert_int_equal(truncate(only_file(folder), 4000), 0);
    assert_false(load_is_cached(folder, TV_MEMORY_GUARD));
    assert_true(load_is_cached(folder, TV_MEMORY_GUARD));
}

static void entry_with_foreign_content_is_compiled_again(void **state) {
    (void)state;
    char folder[300];
    snprintf(folder, sizeof folder, "%s", tv_test_path("foreign"));
    assert_false(load_is_cached(folder, TV_MEMORY_GUARD));
    tv_error ignored;
    tv_module_info info;
    char settings[160];
    tv_cache *cache = NULL;
    assert_int_equal(tv_cache_new(folder, &cache, &ignored), TV_OK);
    assert_int_equal(tv_module_inspect_file(tv_test_module("kit"), &info, NULL, NULL, &ignored), TV_OK);
    tv_cache_key key = tv_cache_key_of(info.digest, tv_engine_settings(TV_MEMORY_GUARD, settings));
    tv_cache_store(cache, &key, (const uint8_t *)"not compiled code", 17); // with a right checksum
    tv_cache_free(cache);
    assert_false(load_is_cached(folder, TV_MEMORY_GUARD));
    assert_true(load_is_cached(folder, TV_MEMORY_GUARD));
}

static void without_a_cache_folder_modules_load(void **state) {
    (void)state;
    FILE *file = fopen(tv_test_path("plain"), "we");
    fclose(file);
    assert_false(load_is_cached(tv_test_path("plain/folder"), TV_MEMORY_GUARD));
    assert_false(load_is_cached(tv_test_path("plain/folder"), TV_MEMORY_GUARD));
}

static void result_that_is_no_compiled_module_is_refused(void **state) {
    (void)state;
    const char *compiler = tv_test_path("liar");
    FILE *file = fopen(compiler, "we");
    fputs("#!/bin/sh\necho trust me\n", file);
    fclose(file);
    assert_int_equal(chmod(compiler, 0700), 0);
    tv_engine *engine = NULL;
    tv_module *module = NULL;
    char folder[300];
    snprintf(folder, sizeof folder, "%s", tv_test_path("liars"));
    tv_engine_options options = {.cache_dir = folder, .compiler_path = compiler, .memories_max = 8};
    assert_int_equal(tv_engine_new(&options, &engine, &error), TV_OK);
    assert_int_equal(load(engine, tv_test_module("kit"), &module), TV_IO);
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        assert_int_equal(entry->d_name[0], '.'); // and it is not kept
    }
    closedir(dir);
    tv_engine_free(engine);
}

static void engine_names_its_version_and_stack_need(void **state) {
    assert_non_null(strstr(tv_engine_version(), "wasmtime 48."));
    assert_int_equal(tv_engine_thread_stack_bytes(*state, 1), 2 * (256 + 64) * 1024);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(accepted_features_load_and_run),
    TEST(refused_features_are_named),
    TEST(same_bytes_are_one_module_whatever_the_path),
    TEST(module_outlives_its_loader_while_instances_use_it),
    cmocka_unit_test(instances_can_be_made_while_another_module_compiles),
    TEST(files_that_are_no_modules_are_refused),
    cmocka_unit_test(second_load_comes_from_the_cache),
    cmocka_unit_test(memory_modes_have_entries_of_their_own),
    cmocka_unit_test(damaged_entry_is_compiled_again),
    cmocka_unit_test(entry_with_foreign_content_is_compiled_again),
    cmocka_unit_test(without_a_cache_folder_modules_load),
    cmocka_unit_test(result_that_is_no_compiled_module_is_refused),
    TEST(engine_names_its_version_and_stack_need),
};

TV_WASM_TEST_MAIN(tests)
