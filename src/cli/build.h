// The parts of `torvyn build`: toolchain, compilation, the describing section. Private to verb_build.c, build_*.c
// and verb_new.c.
#ifndef TORVYN_CLI_BUILD_H
#define TORVYN_CLI_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

// ---- the SDK inside the executable --------------------------------------------------------------------------

// A file of the SDK, put into the executable when it is built (sdk/CMakeLists.txt).
typedef struct tv_sdk_file {
    const char *path; // "include/torvyn/torvyn.h"
    const uint8_t *bytes;
    const uint8_t *end;
} tv_sdk_file;
extern const tv_sdk_file tv_sdk_files[];
extern const size_t tv_sdk_file_count;

// ---- processes ----------------------------------------------------------------------------------------------

enum { TV_BUILD_WORDS_MAX = 256, TV_BUILD_PATH_BYTES = 1024, TV_BUILD_TEXT_BYTES = 65536 };

// A command line under construction; the words live in `text`.
typedef struct tv_build_command {
    const char *words[TV_BUILD_WORDS_MAX + 1]; // NULL-terminated
    size_t count;
    char text[TV_BUILD_TEXT_BYTES];
    size_t used;
    bool full;
} tv_build_command;

// Adds one word made with printf; too many or too long ones set `full`.
void tv_build_command_add(tv_build_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Runs it with our standard streams. OK, FAULT (it ran and failed; its own messages say why) or IO.
tv_status tv_build_command_run(const tv_build_command *command, bool verbose, tv_error *error);
// Runs it and takes what it prints on standard output (at most capacity - 1 bytes); its errors are not shown.
tv_status tv_build_command_capture(const tv_build_command *command, char *out, size_t capacity);

// ---- toolchain ----------------------------------------------------------------------------------------------

typedef struct tv_toolchain {
    char clang[TV_BUILD_PATH_BYTES];
} tv_toolchain;

// Finds a clang that compiles for wasm32, with its linker (and with libc where asked for). NOT_FOUND with a message
// that says what to install.
tv_status tv_toolchain_find(bool libc, tv_toolchain *toolchain, tv_error *error);

// ---- compilation --------------------------------------------------------------------------------------------

typedef struct tv_build_options {
    const char *const *sources;
    size_t source_count;
    const char *const *include_dirs;
    size_t include_dir_count;
    const char *const *defines;
    size_t define_count;
    const char *optimize; // "0" to "3", "s", "z"
    const char *output;
    uint64_t stack_bytes;
    uint64_t memory_bytes; // most linear memory; 0 = not said
    bool libc, simd, debug, verbose, keep;
} tv_build_options;

// Unpacks the SDK to a private temporary folder, compiles and links there, and leaves the module at `module_path`
// (TV_BUILD_PATH_BYTES) inside it. The folder stays until tv_build_folder_remove.
tv_status tv_build_compile(const tv_build_options *options, const tv_toolchain *toolchain, char *folder,
                           char *module_path, tv_error *error);
void tv_build_folder_remove(const char *folder);

// ---- the describing section ---------------------------------------------------------------------------------

typedef struct tv_build_description {
    const char *name, *version, *role, *max_output, *ports; // NULL: as the source says
    uint64_t memory_bytes;                                  // 0: initial memory
} tv_build_description;

// Rewrites the module with one `torvyn.component` section: what the sources say, overridden by `description`. The
// caller frees *out. INVALID if the module or a value is malformed.
tv_status tv_build_describe(const uint8_t *module, size_t length, const tv_build_description *description,
                            uint8_t **out, size_t *out_length, tv_error *error);

// Writes a file so that it is either the old or the new one. Mode 0644.
tv_status tv_build_write_file(const char *path, const uint8_t *bytes, size_t length, tv_error *error);

#endif
