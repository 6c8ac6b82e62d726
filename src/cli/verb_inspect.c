// torvyn inspect: what a component file contains and needs, read without running it.
#include <stdlib.h>

#include "cli/cli.h"
#include "wasm/wasm.h"
#include "yyjson.h"

static const char *grant_name(uint32_t grant) { return grant == TV_GRANT_CLOCK ? "clock" : "random"; }

static void print_ports(const tv_module_info *info) {
    tv_print(stdout, "ports        ");
    for (uint32_t i = 0; i < info->port_count; i++)
        tv_print(stdout, "%s%u %s", i ? ", " : "", i, info->ports[i]);
    tv_print(stdout, "\n");
}

static void print_state(const tv_module_info *info) {
    char size[32];
    switch (info->keeping) {
    case TV_KEEPS_OWN: tv_print(stdout, "state        own: each stage has an instance of its own\n"); break;
    case TV_KEEPS_NOTHING: tv_print(stdout, "state        none: one instance can serve many flows\n"); break;
    case TV_KEEPS_KEYED:
        tv_print(stdout, "state        keyed, %s a flow: one instance can serve many flows\n",
                 tv_format_size(info->state_bytes, size));
        break;
    }
}

static void print_exports(const tv_module_info *info) {
    const struct {
        const char *name;
        bool has;
    } exports[] = {{"tv_init", info->has_init}, {"tv_process", info->has_process}, {"tv_resume", info->has_resume},
                   {"tv_pull", info->has_pull}, {"tv_tick", info->has_tick},       {"tv_close", info->has_close}};
    tv_print(stdout, "exports     ");
    for (size_t i = 0; i < sizeof exports / sizeof exports[0]; i++)
        if (exports[i].has) tv_print(stdout, " %s", exports[i].name);
    tv_print(stdout, "\n");
}

static void print_imports(const tv_module_info *info) {
    for (uint32_t i = 0; i < info->import_count; i++) {
        tv_print(stdout, "%s%s.%s", i ? "             " : "imports      ", info->imports[i].module,
                 info->imports[i].name);
        if (info->imports[i].grant) tv_print(stdout, "   (needs the grant '%s')", grant_name(info->imports[i].grant));
        tv_print(stdout, "\n");
    }
}

static void print_text(const char *path, const tv_module_info *info) {
    char size[32], maximum[32];
    tv_print(stdout, "file         %s, %s\n", path, tv_format_size(info->file_bytes, size));
    tv_print(stdout, "sha256       %s\n", info->digest);
    tv_print(stdout, "name         %s\n", info->name[0] ? info->name : "(not said)");
    if (info->version[0]) tv_print(stdout, "version      %s\n", info->version);
    tv_print(stdout, "role         %s%s\n", tv_role_name(info->role),
             info->described ? "" : " (not said: taken as this)");
    print_state(info);
    print_ports(info);
    tv_print(stdout, "max_output   %s\n", tv_format_size(info->max_output_bytes, size));
    tv_print(stdout, "memory       %s at first", tv_format_size(info->memory_initial_bytes, size));
    if (info->memory_maximum_bytes != UINT64_MAX)
        tv_print(stdout, ", %s at most", tv_format_size(info->memory_maximum_bytes, maximum));
    tv_print(stdout, "\n");
    print_exports(info);
    print_imports(info);
    tv_print(stdout, "contract     version 1, nothing against it\n");
}

static void add_exports(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_module_info *info) {
    yyjson_mut_val *exports = yyjson_mut_obj_add_arr(document, root, "exports");
    if (info->has_init) yyjson_mut_arr_add_str(document, exports, "tv_init");
    if (info->has_process) yyjson_mut_arr_add_str(document, exports, "tv_process");
    if (info->has_resume) yyjson_mut_arr_add_str(document, exports, "tv_resume");
    if (info->has_pull) yyjson_mut_arr_add_str(document, exports, "tv_pull");
    if (info->has_tick) yyjson_mut_arr_add_str(document, exports, "tv_tick");
    if (info->has_close) yyjson_mut_arr_add_str(document, exports, "tv_close");
}

static void add_imports(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_module_info *info) {
    yyjson_mut_val *imports = yyjson_mut_obj_add_arr(document, root, "imports");
    for (uint32_t i = 0; i < info->import_count; i++) {
        yyjson_mut_val *import = yyjson_mut_arr_add_obj(document, imports);
        yyjson_mut_obj_add_str(document, import, "module", info->imports[i].module);
        yyjson_mut_obj_add_str(document, import, "name", info->imports[i].name);
        if (info->imports[i].grant)
            yyjson_mut_obj_add_str(document, import, "grant", grant_name(info->imports[i].grant));
    }
}

static void fill_json(yyjson_mut_doc *document, const char *path, const tv_module_info *info) {
    yyjson_mut_val *root = yyjson_mut_obj(document);
    yyjson_mut_doc_set_root(document, root);
    yyjson_mut_obj_add_str(document, root, "file", path);
    yyjson_mut_obj_add_uint(document, root, "file_bytes", info->file_bytes);
    yyjson_mut_obj_add_str(document, root, "sha256", info->digest);
    yyjson_mut_obj_add_bool(document, root, "described", info->described);
    yyjson_mut_obj_add_str(document, root, "name", info->name);
    yyjson_mut_obj_add_str(document, root, "version", info->version);
    yyjson_mut_obj_add_str(document, root, "role", tv_role_name(info->role));
    yyjson_mut_obj_add_str(document, root, "state", tv_keeping_name(info->keeping));
    if (info->keeping == TV_KEEPS_KEYED) yyjson_mut_obj_add_uint(document, root, "state_bytes", info->state_bytes);
    yyjson_mut_obj_add_uint(document, root, "max_output_bytes", info->max_output_bytes);
    yyjson_mut_val *ports = yyjson_mut_obj_add_arr(document, root, "ports");
    for (uint32_t i = 0; i < info->port_count; i++)
        yyjson_mut_arr_add_str(document, ports, info->ports[i]);
    yyjson_mut_obj_add_uint(document, root, "memory_initial_bytes", info->memory_initial_bytes);
    if (info->memory_maximum_bytes == UINT64_MAX)
        yyjson_mut_obj_add_null(document, root, "memory_maximum_bytes");
    else
        yyjson_mut_obj_add_uint(document, root, "memory_maximum_bytes", info->memory_maximum_bytes);
    add_exports(document, root, info);
    add_imports(document, root, info);
}

static int print_json(const char *path, const tv_module_info *info) {
    yyjson_mut_doc *document = yyjson_mut_doc_new(NULL);
    if (!document) return TV_EXIT_FAILED;
    fill_json(document, path, info);
    return tv_cli_print_json(document);
}

static tv_status inspect(const char *path, tv_module_info *info, tv_error *error) {
    uint8_t *bytes = NULL;
    size_t length = 0;
    tv_status status = tv_module_inspect_file(path, info, &bytes, &length, error);
    if (status != TV_OK) return status;
    status = tv_module_validate(bytes, length, error);
    free(bytes);
    return status == TV_OK ? TV_OK : tv_error_prefix(error, "%s", path);
}

int tv_verb_inspect(int argc, char **argv) {
    tv_format format = TV_FORMAT_TEXT;
    const tv_flag flags[] = {
        TV_FLAG_FORMAT_OF(&format),
    };
    tv_syntax syntax = {
        .flags = flags, .flag_count = sizeof flags / sizeof flags[0], .arguments_min = 1, .arguments_max = 1};
    tv_arguments arguments;
    int code = tv_cli_parse(&syntax, argc, argv, &arguments);
    if (code != TV_CLI_GO) return code;
    static tv_module_info info; // too large for a stack
    tv_error error;
    if (inspect(arguments.items[0], &info, &error) != TV_OK) return tv_cli_fail(TV_EXIT_FAILED, &error);
    if (format == TV_FORMAT_JSON) return print_json(arguments.items[0], &info);
    print_text(arguments.items[0], &info);
    return tv_cli_finish(TV_EXIT_OK);
}
