// torvyn build: compiles C sources with the SDK that this executable carries into a component file.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/build.h"
#include "cli/cli.h"
#include "wasm/wasm.h"
#include "yyjson.h"

#define MODULE_BYTES_MAX (256u << 20)

typedef struct build_flags {
    tv_flag_list include_dirs, defines;
    const char *output, *optimize, *stack, *memory;
    const char *name, *version, *role, *max_output, *ports;
    bool libc, simd, debug, verbose, keep;
    tv_format format;
} build_flags;

// ---- the command line ---------------------------------------------------------------------------------------

// Compilers take -Idir, -DNAME and -O2 as one word; the flag parser wants two.
static int split_joined_flags(int argc, char **argv, char **words, char *storage) {
    int count = 0;
    bool flags = true;
    for (int index = 0; index < argc && count < TV_BUILD_WORDS_MAX - 1; index++) {
        char *word = argv[index];
        if (strcmp(word, "--") == 0) flags = false;
        bool joined = flags && index > 0 && word[0] == '-' && word[1] && strchr("IDO", word[1]) && word[2];
        if (joined) {
            storage[0] = '-';
            storage[1] = word[1];
            storage[2] = 0;
            words[count++] = storage;
            storage += 3;
            word += 2;
        }
        words[count++] = word;
    }
    words[count] = NULL;
    return count;
}

static int parse(int argc, char **argv, build_flags *flags, tv_arguments *arguments) {
    static char *words[TV_BUILD_WORDS_MAX + 1];
    static char storage[3 * TV_BUILD_WORDS_MAX];
    if (argc > TV_BUILD_WORDS_MAX / 2) return tv_cli_usage_error(argv[0], "too many arguments");
    const tv_flag table[] = {
        {"output", 'o', TV_FLAG_TEXT, &flags->output, "FILE.wasm", "the component (default: the first source's name)"},
        {"optimize", 'O', TV_FLAG_TEXT, &flags->optimize, "LEVEL", "0, 1, 2, 3, s or z (default 3)"},
        {"include", 'I', TV_FLAG_LIST, &flags->include_dirs, "DIR", "also look for headers here"},
        {"define", 'D', TV_FLAG_LIST, &flags->defines, "NAME[=VALUE]", "define a macro"},
        {"libc", 0, TV_FLAG_SWITCH, &flags->libc, NULL, "link wasi-libc (malloc, math, printf to the log)"},
        {"name", 0, TV_FLAG_TEXT, &flags->name, "NAME", "instead of TV_COMPONENT's"},
        {"version", 0, TV_FLAG_TEXT, &flags->version, "VERSION", "instead of TV_COMPONENT's"},
        {"role", 0, TV_FLAG_TEXT, &flags->role, "ROLE", "instead of TV_COMPONENT's"},
        {"max-output", 0, TV_FLAG_TEXT, &flags->max_output, "SIZE",
         "largest output payload, instead of TV_COMPONENT's"},
        {"ports", 0, TV_FLAG_TEXT, &flags->ports, "A,B", "names of the outputs, instead of TV_COMPONENT's"},
        {"stack-size", 0, TV_FLAG_TEXT, &flags->stack, "SIZE",
         "stack inside the component (default 16KiB; --libc 64KiB)"},
        {"memory", 0, TV_FLAG_TEXT, &flags->memory, "SIZE", "most memory it will ever ask for"},
        {"simd", 0, TV_FLAG_SWITCH, &flags->simd, NULL, "let the compiler use 128-bit SIMD"},
        {"debug", 'g', TV_FLAG_SWITCH, &flags->debug, NULL, "keep debug information (docs/components.md, section 9)"},
        {"verbose", 'v', TV_FLAG_SWITCH, &flags->verbose, NULL, "show the commands"},
        {"keep", 0, TV_FLAG_SWITCH, &flags->keep, NULL, "keep the temporary folder and say where it is"},
        TV_FLAG_FORMAT_OF(&flags->format),
    };
    tv_syntax syntax = {.flags = table,
                        .flag_count = sizeof table / sizeof table[0],
                        .arguments_min = 1,
                        .arguments_max = TV_ARGUMENTS_MAX};
    argc = split_joined_flags(argc, argv, words, storage);
    return tv_cli_parse(&syntax, argc, words, arguments);
}

static int check_size(const char *verb, const char *flag, const char *text, uint64_t min, uint64_t max,
                      uint64_t multiple, uint64_t *bytes) {
    tv_error error;
    if (!text) return TV_CLI_GO;
    if (tv_parse_size(text, bytes, &error) != TV_OK) return tv_cli_usage_error(verb, "--%s: %s", flag, error.message);
    *bytes = tv_align_up_u64(*bytes, multiple);
    if (*bytes >= min && *bytes <= max) return TV_CLI_GO;
    char low[32], high[32];
    return tv_cli_usage_error(verb, "--%s: %s is outside %s to %s", flag, text, tv_format_size(min, low),
                              tv_format_size(max, high));
}

static int check_flags(const char *verb, build_flags *flags, const tv_arguments *arguments, tv_build_options *options,
                       tv_build_description *description) {
    static char max_output_text[32];
    static char output[TV_BUILD_PATH_BYTES];
    uint64_t max_output = 0;
    int code = check_size(verb, "stack-size", flags->stack, 4096, 64u << 20, 16, &options->stack_bytes);
    if (code == TV_CLI_GO)
        code = check_size(verb, "memory", flags->memory, 65536, 4ull << 30, 65536, &options->memory_bytes);
    if (code == TV_CLI_GO)
        code = check_size(verb, "max-output", flags->max_output, 1, TV_RECORD_BYTES_LIMIT, 1, &max_output);
    if (code != TV_CLI_GO) return code;
    if (strlen(options->optimize) != 1 || !strchr("0123sz", options->optimize[0]))
        return tv_cli_usage_error(verb, "-O%s: expected 0, 1, 2, 3, s or z", options->optimize);
    snprintf(max_output_text, sizeof max_output_text, "%llu", (unsigned long long)max_output);
    if (flags->max_output) description->max_output = max_output_text;
    if (!flags->output) {
        const char *source = arguments->items[0];
        size_t length = strlen(source);
        if (length > 2 && strcmp(source + length - 2, ".c") == 0) length -= 2;
        snprintf(output, sizeof output, "%.*s.wasm", (int)length, source);
        options->output = output;
    }
    return TV_CLI_GO;
}

// ---- the result ---------------------------------------------------------------------------------------------

static void print_text(const char *path, const tv_module_info *info) {
    char size[32], memory[32];
    tv_print(stdout, "%s: %s%s%s, %s, %s, memory %s, sha256 %.12s\n", path, info->name[0] ? info->name : "(no name)",
             info->version[0] ? " " : "", info->version, tv_role_name(info->role),
             tv_format_size(info->file_bytes, size), tv_format_size(info->memory_initial_bytes, memory), info->digest);
}

static int print_json(const char *path, const tv_module_info *info) {
    yyjson_mut_doc *document = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(document);
    if (!root) return TV_EXIT_FAILED;
    yyjson_mut_doc_set_root(document, root);
    yyjson_mut_obj_add_str(document, root, "file", path);
    yyjson_mut_obj_add_str(document, root, "name", info->name);
    yyjson_mut_obj_add_str(document, root, "version", info->version);
    yyjson_mut_obj_add_str(document, root, "role", tv_role_name(info->role));
    yyjson_mut_obj_add_uint(document, root, "file_bytes", info->file_bytes);
    yyjson_mut_obj_add_uint(document, root, "memory_initial_bytes", info->memory_initial_bytes);
    yyjson_mut_obj_add_uint(document, root, "max_output_bytes", info->max_output_bytes);
    yyjson_mut_obj_add_str(document, root, "sha256", info->digest);
    return tv_cli_print_json(document);
}

// ---- the sources --------------------------------------------------------------------------------------------

// What another language's source is called by the end of its name, and what its compiler needs to be told.
static tv_status check_language(const char *path, tv_error *error) {
    static const struct {
        const char *ending, *language;
    } others[] = {{".cpp", "C++"},
                  {".cc", "C++"},
                  {".cxx", "C++"},
                  {".c++", "C++"},
                  {".C", "C++"},
                  {".rs", "Rust"},
                  {".zig", "Zig"},
                  {".go", "Go"},
                  {".m", "Objective-C"},
                  {".ts", "AssemblyScript or TypeScript"},
                  {".wat", "WebAssembly text"}};
    const char *ending = strrchr(path, '.');
    if (ending && strcmp(ending, ".c") == 0) return TV_OK;
    for (size_t i = 0; ending && i < sizeof others / sizeof others[0]; i++)
        if (strcmp(ending, others[i].ending) == 0)
            return tv_error_set(error, TV_UNSUPPORTED,
                                "%s is %s; `torvyn build` compiles C. Any compiler for wasm32 can make a component: "
                                "docs/components.md, \"Other languages\", has the commands",
                                path, others[i].language);
    return tv_error_set(error, TV_UNSUPPORTED, "%s is no C source: its name does not end in .c", path);
}

static tv_status check_sources(const tv_build_options *options, tv_error *error) {
    for (size_t i = 0; i < options->source_count; i++) {
        const char *path = options->sources[i];
        if (access(path, R_OK) != 0) return tv_error_set_errno(error, errno, "cannot read %s", path);
        tv_status status = check_language(path, error);
        if (status != TV_OK) return status;
    }
    return TV_OK;
}

// ---- the work -----------------------------------------------------------------------------------------------

// Describes the linked module, checks it against the contract and puts it where it belongs.
static tv_status finish(const char *module_path, const tv_build_options *options,
                        const tv_build_description *description, tv_module_info *info, tv_error *error) {
    uint8_t *linked = NULL, *described = NULL;
    size_t length, described_length;
    tv_status status = tv_file_read(module_path, MODULE_BYTES_MAX, &linked, &length, error);
    if (status == TV_OK) status = tv_build_describe(linked, length, description, &described, &described_length, error);
    if (status == TV_OK) {
        status = tv_module_inspect(described, described_length, info, error);
        if (status != TV_OK) tv_error_prefix(error, "the component breaks the contract");
    }
    if (status == TV_OK) status = tv_build_write_file(options->output, described, described_length, error);
    free(linked);
    free(described);
    return status;
}

static tv_status build(const tv_build_options *options, const tv_build_description *description, tv_module_info *info,
                       tv_error *error) {
    static tv_toolchain toolchain;
    static char folder[TV_BUILD_PATH_BYTES], module_path[TV_BUILD_PATH_BYTES];
    tv_status status = check_sources(options, error);
    if (status == TV_OK) status = tv_toolchain_find(options->libc, &toolchain, error);
    if (status != TV_OK) return status;
    status = tv_build_compile(options, &toolchain, folder, module_path, error);
    if (status == TV_OK) status = finish(module_path, options, description, info, error);
    if (options->keep)
        tv_print(stderr, "temporary folder: %s\n", folder);
    else
        tv_build_folder_remove(folder);
    return status;
}

int tv_verb_build(int argc, char **argv) {
    static build_flags flags;
    static tv_arguments arguments;
    static tv_module_info info;
    tv_error error;
    flags = (build_flags){.optimize = "3"};
    int code = parse(argc, argv, &flags, &arguments);
    if (code != TV_CLI_GO) return code;
    tv_build_options options = {
        .sources = arguments.items,
        .source_count = arguments.count,
        .include_dirs = flags.include_dirs.items,
        .include_dir_count = flags.include_dirs.count,
        .defines = flags.defines.items,
        .define_count = flags.defines.count,
        .optimize = flags.optimize,
        .output = flags.output,
        .stack_bytes = flags.libc ? 65536 : 16384,
        .libc = flags.libc,
        .simd = flags.simd,
        .debug = flags.debug,
        .verbose = flags.verbose,
        .keep = flags.keep,
    };
    tv_build_description description = {
        .name = flags.name, .version = flags.version, .role = flags.role, .ports = flags.ports};
    code = check_flags(argv[0], &flags, &arguments, &options, &description);
    if (code != TV_CLI_GO) return code;
    description.memory_bytes = options.memory_bytes;
    if (build(&options, &description, &info, &error) != TV_OK) return tv_cli_fail(TV_EXIT_FAILED, &error);
    if (flags.format == TV_FORMAT_JSON) return print_json(options.output, &info);
    print_text(options.output, &info);
    return tv_cli_finish(TV_EXIT_OK);
}
