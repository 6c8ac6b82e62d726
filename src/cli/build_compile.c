// Compiles and links a component in a private temporary folder that holds the SDK's files.
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/build.h"
#include "torvyn/abi.h"

// ---- the folder ---------------------------------------------------------------------------------------------

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

void tv_build_folder_remove(const char *folder) {
    if (folder[0]) (void)nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static tv_status make_folder(char *folder, tv_error *error) {
    const char *base = getenv("TMPDIR");
    if (!base || !base[0]) base = "/tmp";
    if (snprintf(folder, TV_BUILD_PATH_BYTES, "%s/torvyn-build-XXXXXX", base) >= TV_BUILD_PATH_BYTES - 128) {
        folder[0] = 0;
        return tv_error_set(error, TV_TOO_LARGE, "TMPDIR is too long");
    }
    if (mkdtemp(folder)) return TV_OK;
    int code = errno;
    folder[0] = 0;
    return tv_error_set_errno(error, code, "cannot make a temporary folder in %s", base);
}

static tv_status unpack_file(const char *folder, const tv_sdk_file *file, tv_error *error) {
    char path[TV_BUILD_PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/%s", folder, file->path) >= (int)sizeof path)
        return tv_error_set(error, TV_TOO_LARGE, "TMPDIR is too long");
    for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = 0;
        if (mkdir(path, 0700) != 0 && errno != EEXIST) return tv_error_set_errno(error, errno, "cannot make %s", path);
        *slash = '/';
    }
    return tv_build_write_file(path, file->bytes, (size_t)(file->end - file->bytes), error);
}

static tv_status unpack(const char *folder, tv_error *error) {
    for (size_t index = 0; index < tv_sdk_file_count; index++) {
        tv_status status = unpack_file(folder, &tv_sdk_files[index], error);
        if (status != TV_OK) return status;
    }
    return TV_OK;
}

// ---- compiling ----------------------------------------------------------------------------------------------

typedef struct build_job {
    const tv_build_options *options;
    const tv_toolchain *toolchain;
    const char *folder;
    size_t object_count;
    tv_build_command command;
    bool needs_tree; // a source includes torvyn/yyjson.h
} build_job;

static void add_target(build_job *job) {
    const tv_build_options *options = job->options;
    tv_build_command *command = &job->command;
    *command = (tv_build_command){0};
    tv_build_command_add(command, "%s", job->toolchain->clang);
    tv_build_command_add(command, options->libc ? "--target=wasm32-wasi" : "--target=wasm32");
}

static void add_language(build_job *job) {
    tv_build_command *command = &job->command;
    const char *const flags[] = {"-std=gnu17",      "-mbulk-memory",       "-msign-ext",      "-mnontrapping-fptoint",
                                 "-fno-math-errno", "-ffunction-sections", "-fdata-sections", "-fvisibility=hidden"};
    tv_build_command_add(command, "-O%s", job->options->optimize);
    if (job->options->debug) tv_build_command_add(command, "-g");
    for (size_t index = 0; index < sizeof flags / sizeof flags[0]; index++)
        tv_build_command_add(command, "%s", flags[index]);
    if (job->options->simd) tv_build_command_add(command, "-msimd128");
    tv_build_command_add(command, "-I%s/include", job->folder);
    if (job->options->libc) {
        tv_build_command_add(command, "-DTV_LIBC=1");
    } else {
        tv_build_command_add(command, "-isystem");
        tv_build_command_add(command, "%s/freestanding", job->folder);
    }
    tv_build_command_add(command, "-isystem");
    tv_build_command_add(command, "%s/yyjson", job->folder);
}

static tv_status run_compiler(build_job *job, const char *source, tv_error *error) {
    tv_build_command_add(&job->command, "-c");
    tv_build_command_add(&job->command, "%s", source);
    tv_build_command_add(&job->command, "-o");
    tv_build_command_add(&job->command, "%s/%zu.o", job->folder, job->object_count++);
    return tv_build_command_run(&job->command, job->options->verbose, error);
}

static bool mentions(const char *path, const char *text) {
    uint8_t *bytes;
    size_t length;
    if (tv_file_read(path, 4u << 20, &bytes, &length, NULL) != TV_OK) return false;
    bool found = memmem(bytes, length, text, strlen(text)) != NULL;
    free(bytes);
    return found;
}

static tv_status compile_source(build_job *job, const char *source, tv_error *error) {
    const tv_build_options *options = job->options;
    char dependencies[TV_BUILD_PATH_BYTES];
    if (snprintf(dependencies, sizeof dependencies, "%s/dependencies", job->folder) >= (int)sizeof dependencies)
        return tv_error_set(error, TV_TOO_LARGE, "TMPDIR is too long");
    add_target(job);
    add_language(job);
    tv_build_command_add(&job->command, "-Wall");
    tv_build_command_add(&job->command, "-Wextra");
    for (size_t index = 0; index < options->include_dir_count; index++)
        tv_build_command_add(&job->command, "-I%s", options->include_dirs[index]);
    for (size_t index = 0; index < options->define_count; index++)
        tv_build_command_add(&job->command, "-D%s", options->defines[index]);
    tv_build_command_add(&job->command, "-MD");
    tv_build_command_add(&job->command, "-MF");
    tv_build_command_add(&job->command, "%s", dependencies);
    tv_status status = run_compiler(job, source, error);
    if (status == TV_OK) job->needs_tree |= mentions(dependencies, "torvyn/yyjson.h");
    return status;
}

// Without TV_COMPONENT the linker would complain about the SDK's insides.
static tv_status check_component(const build_job *job, tv_error *error) {
    bool uses_sdk = false;
    for (size_t index = 0; index < job->object_count; index++) {
        char path[TV_BUILD_PATH_BYTES];
        if (snprintf(path, sizeof path, "%s/%zu.o", job->folder, index) >= (int)sizeof path) continue;
        if (mentions(path, TV_ABI_SECTION)) return TV_OK;
        uses_sdk |= mentions(path, "tv_sdk");
    }
    if (!uses_sdk) return TV_OK;
    return tv_error_set(error, TV_INVALID,
                        "no source says what the component is; put this line into one of them, behind the include:\n"
                        "  TV_COMPONENT(\"my-component\", \"1.0.0\", \"processor\", 65536);");
}

// The SDK's own sources; the tree reader only where it is used, since it is a large part of the compile time.
static tv_status compile_sdk(build_job *job, tv_error *error) {
    for (size_t index = 0; index < tv_sdk_file_count; index++) {
        const char *path = tv_sdk_files[index].path;
        size_t length = strlen(path);
        if (strncmp(path, "src/", 4) != 0 || strcmp(path + length - 2, ".c") != 0) continue;
        if (strcmp(path, "src/tree.c") == 0 && !job->needs_tree) continue;
        char source[TV_BUILD_PATH_BYTES];
        if (snprintf(source, sizeof source, "%s/%s", job->folder, path) >= (int)sizeof source)
            return tv_error_set(error, TV_TOO_LARGE, "TMPDIR is too long");
        add_target(job);
        add_language(job);
        tv_build_command_add(&job->command, "-w");
        // Who takes the tree reader does not do so for speed; at -O3 it compiles longer still.
        if (strcmp(path, "src/tree.c") == 0) tv_build_command_add(&job->command, "-Os");
        tv_status status = run_compiler(job, source, error);
        if (status != TV_OK) return tv_error_prefix(error, "the SDK's %s", path);
    }
    return TV_OK;
}

static tv_status link_module(build_job *job, const char *module_path, tv_error *error) {
    const tv_build_options *options = job->options;
    tv_build_command *command = &job->command;
    add_target(job);
    if (options->libc) {
        tv_build_command_add(command, "-mexec-model=reactor");
    } else {
        tv_build_command_add(command, "-nostdlib");
        tv_build_command_add(command, "-Wl,--no-entry");
    }
    // No -O here: clang would run wasm-opt where that is installed, which drops the functions' names.
    // The stack lies lowest, so that an overflow traps instead of overwriting data.
    tv_build_command_add(command, "-Wl,--stack-first");
    tv_build_command_add(command, "-Wl,-z,stack-size=%llu", (unsigned long long)options->stack_bytes);
    if (!options->debug) tv_build_command_add(command, "-Wl,--strip-debug");
    if (options->memory_bytes)
        tv_build_command_add(command, "-Wl,--max-memory=%llu", (unsigned long long)options->memory_bytes);
    for (size_t index = 0; index < job->object_count; index++)
        tv_build_command_add(command, "%s/%zu.o", job->folder, index);
    tv_build_command_add(command, "-o");
    tv_build_command_add(command, "%s", module_path);
    return tv_build_command_run(command, options->verbose, error);
}

tv_status tv_build_compile(const tv_build_options *options, const tv_toolchain *toolchain, char *folder,
                           char *module_path, tv_error *error) {
    static build_job job;
    job = (build_job){.options = options, .toolchain = toolchain, .folder = folder};
    tv_status status = make_folder(folder, error);
    if (status == TV_OK) status = unpack(folder, error);
    for (size_t index = 0; status == TV_OK && index < options->source_count; index++)
        status = compile_source(&job, options->sources[index], error);
    if (status == TV_OK) status = check_component(&job, error);
    if (status == TV_OK) status = compile_sdk(&job, error);
    if (status != TV_OK) return status;
    if (snprintf(module_path, TV_BUILD_PATH_BYTES, "%s/module.wasm", folder) >= TV_BUILD_PATH_BYTES)
        return tv_error_set(error, TV_TOO_LARGE, "TMPDIR is too long");
    return link_module(&job, module_path, error);
}
