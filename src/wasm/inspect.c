// Checks a module against the contract (sections 1, 4 and 7) from its bytes alone: no engine, no compiler, no
// allocation. `torvyn check` and the load path share it, so what passes one passes the other.
#include <sha2.h>
#include <stdlib.h>
#include <string.h>

#include "base/option.h"
#include "base/text.h"
#include "wasm/features.h"
#include "wasm/host_functions.h"
#include "wasm/limits.h"
#include "wasm/sections.h"
#include "wasm/wasm.h"

enum { DESCRIPTION_BYTES_MAX = 4096, DEFAULT_MAX_OUTPUT_BYTES = 65536, PAGE_BYTES = 65536 };
_Static_assert(SHA256_DIGEST_LENGTH * 2 + 1 == sizeof((tv_module_info *)0)->digest, "digest is SHA-256 in hex");

static const char *const role_names[] = {"source", "processor", "filter", "router", "aggregator", "sink", NULL};

const char *tv_role_name(tv_role role) { return role <= TV_ROLE_SINK ? role_names[role] : "unknown"; }

static const char *const keeping_names[] = {"own", "none", "keyed", NULL}; // values of `state`

const char *tv_keeping_name(tv_keeping keeping) {
    return keeping <= TV_KEEPS_KEYED ? keeping_names[keeping] : "unknown";
}

// ---- custom section (1.5) -----------------------------------------------------------------------------------

static tv_status describe_error(tv_error *error, const char *key, const char *value, const char *expected) {
    return tv_error_set(error, TV_INVALID,
                        "custom section `" TV_ABI_SECTION "`: %s is `%.64s`, expected %s (contract 1.5)", key, value,
                        expected);
}

static bool is_port_name(const char *text) {
    size_t length = strlen(text);
    return length > 0 && length <= TV_NAME_BYTES_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == length;
}

static tv_status describe_ports(tv_module_info *info, char *value, tv_error *error) {
    char *rest = value;
    char *name;
    uint32_t count = 0;
    while ((name = strsep(&rest, ",")) != NULL) {
        if (count == TV_PORTS_MAX)
            return tv_error_set(error, TV_LIMIT, "the component has more than %d ports", TV_PORTS_MAX);
        if (!is_port_name(name)) return describe_error(error, "a port", name, "letters, digits, `_` and `-`");
        for (uint32_t i = 0; i < count; i++) {
            if (strcmp(info->ports[i], name) == 0) return describe_error(error, "a port", name, "each name once");
        }
        memcpy(info->ports[count++], name, strlen(name) + 1);
    }
    info->port_count = count;
    return TV_OK;
}

static tv_status describe_optional(tv_module_info *info, char *value, tv_error *error) {
    char *rest = value;
    char *name;
    while ((name = strsep(&rest, ",")) != NULL) {
        uint32_t port = 0;
        while (port < info->port_count && strcmp(info->ports[port], name) != 0)
            port++;
        if (port == info->port_count)
            return describe_error(error, "optional", name, "ports of the line `ports` before it");
        info->optional_ports |= 1u << port;
    }
    return TV_OK;
}

static tv_status describe_role(tv_module_info *info, const char *value, tv_error *error) {
    for (unsigned i = 0; role_names[i]; i++) {
        if (strcmp(role_names[i], value) != 0) continue;
        info->role = (tv_role)i;
        return TV_OK;
    }
    return describe_error(error, "role", value, "source, processor, filter, router, aggregator or sink");
}

static tv_status describe_state(tv_module_info *info, const char *value, tv_error *error) {
    for (unsigned i = 0; keeping_names[i]; i++) {
        if (strcmp(keeping_names[i], value) != 0) continue;
        info->keeping = (tv_keeping)i;
        return TV_OK;
    }
    return describe_error(error, "state", value, "own, none or keyed");
}

// A number of bytes from 1 to `most`, in decimal; 0 if it is something else.
static uint32_t read_bytes(const char *value, uint32_t most) {
    char *end;
    unsigned long long bytes = strtoull(value, &end, 10);
    return *value < '0' || *value > '9' || *end || bytes > most ? 0 : (uint32_t)bytes;
}

static tv_status describe_max_output(tv_module_info *info, const char *value, tv_error *error) {
    uint32_t bytes = read_bytes(value, TV_RECORD_BYTES_LIMIT - TV_RECORD_HEADER_BYTES);
    if (bytes == 0) return describe_error(error, "max_output", value, "1 to 16777168 bytes");
    info->max_output_bytes = bytes;
    return TV_OK;
}

static tv_status describe_state_bytes(tv_module_info *info, const char *value, tv_error *error) {
    uint32_t bytes = read_bytes(value, TV_STATE_BYTES_LIMIT);
    if (bytes == 0 || bytes % 8) return describe_error(error, "state_bytes", value, "a multiple of 8 from 8 to 65536");
    info->state_bytes = bytes;
    return TV_OK;
}

static tv_status describe_name(char *out, const char *key, const char *value, tv_error *error) {
    if (strlen(value) > TV_NAME_BYTES_MAX) return describe_error(error, key, value, "at most 63 bytes");
    memcpy(out, value, strlen(value) + 1);
    return TV_OK;
}

static tv_status describe_line(tv_module_info *info, char *line, tv_error *error) {
    char *equals = strchr(line, '=');
    if (!*line) return TV_OK;
    if (!equals) return describe_error(error, "a line", line, "key=value");
    *equals = 0;
    char *value = equals + 1;
    if (strcmp(line, "name") == 0) return describe_name(info->name, "name", value, error);
    if (strcmp(line, "version") == 0) return describe_name(info->version, "version", value, error);
    if (strcmp(line, "role") == 0) return describe_role(info, value, error);
    if (strcmp(line, "state") == 0) return describe_state(info, value, error);
    if (strcmp(line, "state_bytes") == 0) return describe_state_bytes(info, value, error);
    if (strcmp(line, "max_output") == 0) return describe_max_output(info, value, error);
    if (strcmp(line, "ports") == 0) return describe_ports(info, value, error);
    if (strcmp(line, "optional") == 0) return describe_optional(info, value, error);
    return TV_OK; // later versions may say more
}

static bool is_clean_text(const uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != '\n' && (bytes[i] < 0x20 || bytes[i] == 0x7f)) return false;
    }
    return true;
}

static tv_status inspect_description(const tv_sections *sections, tv_module_info *info, tv_error *error) {
    info->role = TV_ROLE_PROCESSOR;
    info->max_output_bytes = DEFAULT_MAX_OUTPUT_BYTES;
    info->port_count = 1;
    memcpy(info->ports[0], "out", 4);
    info->described = sections->described;
    if (!sections->described) return TV_OK;
    char text[DESCRIPTION_BYTES_MAX + 1];
    size_t length = tv_wasm_reader_left(&sections->description);
    if (length > DESCRIPTION_BYTES_MAX || !is_clean_text(sections->description.at, length))
        return tv_error_set(error, TV_INVALID,
                            "custom section `" TV_ABI_SECTION "` is not text of at most %d bytes (contract 1.5)",
                            DESCRIPTION_BYTES_MAX);
    memcpy(text, sections->description.at, length);
    text[length] = 0;
    char *rest = text;
    char *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        tv_status status = describe_line(info, line, error);
        if (status != TV_OK) return status;
    }
    return TV_OK;
}

// ---- imports (7) --------------------------------------------------------------------------------------------

typedef struct inspection {
    tv_sections *sections;
    tv_module_info *info;
    bool has_memory, has_marker, has_arena, has_state, has_start, has_initialize;
    char near_miss[TV_NAME_BYTES_MAX + 1]; // an export beginning with tv_ that the contract does not know
} inspection;

static tv_status import_unknown(const tv_wasm_item *item, tv_error *error) {
    char module[TV_NAME_BYTES_MAX + 1], name[TV_NAME_BYTES_MAX + 1];
    tv_wasm_name_copy(&item->module, module, sizeof module);
    tv_wasm_name_copy(&item->name, name, sizeof name);
    const char *names[64];
    size_t count = 0;
    for (size_t i = 0; i < tv_host_function_count && count < 64; i++) {
        if (strcmp(tv_host_functions[i].module, module) == 0) names[count++] = tv_host_functions[i].name;
    }
    const char *near = tv_nearest_name(name, names, count);
    if (near)
        return tv_error_set(
            error, TV_INVALID,
            "the module imports `%s.%s`, which the host does not offer; did you mean `%s`? (contract 7)", module, name,
            near);
    return tv_error_set(
        error, TV_INVALID,
        "the module imports `%s.%s`, which the host does not offer: a function is missing at link time, "
        "or the toolchain needs an environment that components do not have (contract 7)",
        module, name);
}

static tv_status import_not_function(const tv_wasm_item *item, tv_error *error) {
    char name[TV_NAME_BYTES_MAX + 1];
    tv_wasm_name_copy(&item->name, name, sizeof name);
    if (item->kind == TV_WASM_MEMORY)
        return tv_error_set(error, TV_INVALID,
                            "the module imports its memory (`%s`); it must have its own and export it as `memory` "
                            "(contract 1.3): link without --import-memory",
                            name);
    return tv_error_set(error, TV_INVALID,
                        "the module imports the %s `%s`; only functions can be imported (contract 7)",
                        item->kind == TV_WASM_TABLE ? "table" : "global", name);
}

static tv_status inspect_import(void *user, const tv_wasm_item *item, tv_error *error) {
    inspection *state = user;
    tv_module_info *info = state->info;
    if (item->kind != TV_WASM_FUNCTION) return import_not_function(item, error);
    const tv_host_function *function =
        tv_host_function_find(item->module.text, item->module.length, item->name.text, item->name.length);
    if (!function) return import_unknown(item, error);
    char signature[TV_SIGNATURE_BYTES];
    tv_status status = tv_sections_type_signature(state->sections, item->index, signature, error);
    if (status != TV_OK) return status;
    if (strcmp(signature, function->signature) != 0)
        return tv_error_set(error, TV_INVALID,
                            "the module imports `%s.%s` with the type %s; it is %s (i = i32, I = i64; contract 7)",
                            function->module, function->name, signature, function->signature);
    if (info->import_count == TV_MODULE_IMPORTS_MAX)
        return tv_error_set(error, TV_LIMIT, "the module has more than %d imports", TV_MODULE_IMPORTS_MAX);
    tv_import_info *import = &info->imports[info->import_count++];
    tv_wasm_name_copy(&item->module, import->module, sizeof import->module);
    tv_wasm_name_copy(&item->name, import->name, sizeof import->name);
    import->grant = function->grant;
    info->grants_needed |= function->grant;
    return TV_OK;
}

// ---- exports (4) --------------------------------------------------------------------------------------------

typedef struct export_rule {
    const char *name;
    const char *signature; // NULL: any
    size_t flag;           // offset of the bool it sets
    bool in_info;          // of the module info, or of the inspection
} export_rule;

#define INFO(field)  offsetof(tv_module_info, field), true
#define STATE(field) offsetof(inspection, field), false
static const export_rule export_rules[] = {
    {TV_ABI_MARKER, ":", STATE(has_marker)},  {"tv_arena", "i:i", STATE(has_arena)},
    {"tv_state", ":i", STATE(has_state)},     {"tv_init", ":i", INFO(has_init)},
    {"tv_process", "i:i", INFO(has_process)}, {"tv_resume", ":i", INFO(has_resume)},
    {"tv_pull", "i:i", INFO(has_pull)},       {"tv_tick", "I:i", INFO(has_tick)},
    {"tv_close", ":i", INFO(has_close)},      {"_initialize", ":", STATE(has_initialize)},
    {"_start", NULL, STATE(has_start)},
};
enum { EXPORT_RULES = sizeof export_rules / sizeof *export_rules };

static const export_rule *export_rule_find(const tv_wasm_name *name) {
    for (size_t i = 0; i < EXPORT_RULES; i++) {
        if (tv_wasm_name_is(name, export_rules[i].name)) return &export_rules[i];
    }
    return NULL;
}

static tv_status inspect_export_function(inspection *state, const export_rule *rule, const tv_wasm_item *item,
                                         tv_error *error) {
    if (item->kind != TV_WASM_FUNCTION)
        return tv_error_set(error, TV_INVALID, "the export `%s` is not a function (contract 4)", rule->name);
    char signature[TV_SIGNATURE_BYTES];
    tv_status status = tv_sections_function_signature(state->sections, item->index, signature, error);
    if (status != TV_OK) return status;
    if (rule->signature && strcmp(signature, rule->signature) != 0)
        return tv_error_set(error, TV_INVALID,
                            "the export `%s` has the type %s; it must be %s (i = i32, I = i64; contract 4)", rule->name,
                            signature, rule->signature);
    *(bool *)((char *)(rule->in_info ? (void *)state->info : (void *)state) + rule->flag) = true;
    return TV_OK;
}

static tv_status inspect_export(void *user, const tv_wasm_item *item, tv_error *error) {
    inspection *state = user;
    const export_rule *rule = export_rule_find(&item->name);
    if (rule) return inspect_export_function(state, rule, item, error);
    if (tv_wasm_name_is(&item->name, "memory")) {
        if (item->kind != TV_WASM_MEMORY || item->index != 0)
            return tv_error_set(error, TV_INVALID, "the export `memory` is not a memory (contract 1.3)");
        state->has_memory = true;
    }
    if (item->name.length > 3 && memcmp(item->name.text, "tv_", 3) == 0)
        tv_wasm_name_copy(&item->name, state->near_miss, sizeof state->near_miss);
    return TV_OK;
}

static tv_status check_required(const inspection *state, tv_error *error) {
    const char *missing = NULL;
    const char *remedy = "";
    if (!state->has_marker) {
        missing = TV_ABI_MARKER;
        remedy = ", which says that it is written for contract version 1 (contract 1.4)";
    } else if (!state->has_memory) {
        missing = "memory";
        remedy = " (contract 1.3)";
    } else if (!state->has_arena) {
        missing = "tv_arena";
        remedy = " (contract 4.1)";
    } else if (!state->info->has_process && !state->info->has_pull) {
        missing = "tv_process";
        remedy = ", nor `tv_pull` (contract 4)";
    }
    if (!missing) return TV_OK;
    const char *near = state->near_miss[0] ? tv_nearest_name(missing, (const char *[]){state->near_miss}, 1) : NULL;
    if (near) return tv_error_set(error, TV_INVALID, "the module does not export `%s`; it exports `%s`", missing, near);
    return tv_error_set(error, TV_INVALID, "this is not a component: the module does not export `%s`%s", missing,
                        remedy);
}

static tv_status inspect_exports(inspection *state, tv_error *error) {
    tv_status status = tv_sections_exports(state->sections, inspect_export, state, error);
    if (status != TV_OK) return status;
    if (state->has_start && !state->has_initialize)
        return tv_error_set(error, TV_INVALID,
                            "the module is a program, not a component: it exports `_start` and no `_initialize` "
                            "(contract 1.6). Build it as a reactor (clang: -mexec-model=reactor)");
    return check_required(state, error);
}

// ---- memory and tables (1.3) --------------------------------------------------------------------------------

static tv_status inspect_memory(const tv_sections *sections, tv_module_info *info, tv_error *error) {
    uint32_t count;
    tv_wasm_limits limits = {0};
    tv_status status = tv_sections_memories(sections, &count, &limits, error);
    if (status != TV_OK) return status;
    if (count > 1)
        return tv_error_set(error, TV_UNSUPPORTED,
                            "the module has %u memories; a component has one (contract 1.1, 1.3)", count);
    if (count == 0)
        return tv_error_set(error, TV_INVALID,
                            "the module has no memory; it must export one as `memory` (contract 1.3)");
    info->memory_initial_bytes = (uint64_t)limits.initial * PAGE_BYTES;
    info->memory_maximum_bytes = limits.has_maximum ? (uint64_t)limits.maximum * PAGE_BYTES : UINT64_MAX;
    return TV_OK;
}

static tv_status inspect_tables(const tv_sections *sections, tv_module_info *info, tv_error *error) {
    enum { ELEMENT_BYTES = 8 }; // a pointer, to the engine
    uint32_t count;
    uint64_t elements;
    tv_status status = tv_sections_tables(sections, &count, &elements, error);
    if (status != TV_OK) return status;
    if (count > TV_MODULE_TABLES_MAX || elements > TV_MODULE_TABLE_ELEMENTS_MAX)
        return tv_error_set(
            error, TV_LIMIT,
            "the module has %u tables with %llu elements; at most %d with %d elements in all are accepted", count,
            (unsigned long long)elements, TV_MODULE_TABLES_MAX, TV_MODULE_TABLE_ELEMENTS_MAX);
    info->table_bytes = elements * ELEMENT_BYTES;
    info->table_bytes_max = count * (elements + TV_MODULE_TABLE_GROWTH) * ELEMENT_BYTES; // the store limits each
    return TV_OK;
}

// ---- state (1.7) --------------------------------------------------------------------------------------------

static tv_status check_keyed(const inspection *state, tv_error *error) {
    const tv_module_info *info = state->info;
    if (state->has_state && info->state_bytes > 0) return TV_OK;
    return tv_error_set(error, TV_INVALID,
                        "the component says that it keeps its state in a block (`state=keyed`), but %s (contract 1.8)",
                        state->has_state ? "not how large that is: add `state_bytes=` to its description"
                                         : "does not export `tv_state`, which tells where that is");
}

// What only a component that remembers something can use.
static tv_status check_keeping(const inspection *state, tv_error *error) {
    const tv_module_info *info = state->info;
    if (info->keeping == TV_KEEPS_KEYED) return check_keyed(state, error);
    if (info->keeping != TV_KEEPS_NOTHING) return TV_OK;
    const char *name = info->has_pull ? "tv_pull" : info->has_tick ? "tv_tick" : info->has_close ? "tv_close" : NULL;
    if (!name) return TV_OK;
    return tv_error_set(error, TV_INVALID,
                        "the component says that it keeps no state (`state=none`), but exports `%s`, which has nothing "
                        "to go by without: leave out the one or the other (contract 1.7)",
                        name);
}

// ---- entry points -------------------------------------------------------------------------------------------

static tv_status inspect_sections(tv_sections *sections, tv_module_info *info, tv_error *error) {
    inspection state = {.sections = sections, .info = info};
    tv_status status = tv_sections_check_types(sections, error);
    if (status == TV_OK) status = tv_sections_imports(sections, inspect_import, &state, error);
    if (status == TV_OK) status = inspect_memory(sections, info, error);
    if (status == TV_OK) status = inspect_tables(sections, info, error);
    if (status == TV_OK) status = tv_features_check(sections, error);
    if (status == TV_OK) status = inspect_exports(&state, error);
    if (status == TV_OK) status = inspect_description(sections, info, error);
    if (status == TV_OK) status = check_keeping(&state, error);
    return status;
}

tv_status tv_module_inspect(const uint8_t *bytes, size_t length, tv_module_info *info, tv_error *error) {
    tv_sections sections;
    memset(info, 0, sizeof *info);
    SHA256Data(bytes, length, info->digest);
    info->file_bytes = length;
    tv_status status = tv_sections_scan(bytes, length, &sections, error);
    return status == TV_OK ? inspect_sections(&sections, info, error) : status;
}

tv_status tv_module_inspect_file(const char *path, tv_module_info *info, uint8_t **bytes, size_t *length,
                                 tv_error *error) {
    uint8_t *content;
    size_t size;
    tv_status status = tv_file_read(path, TV_MODULE_BYTES_MAX, &content, &size, error);
    if (status != TV_OK) return status;
    status = tv_module_inspect(content, size, info, error);
    if (status != TV_OK) tv_error_prefix(error, "%s", path);
    if (status != TV_OK || !bytes) {
        free(content);
        return status;
    }
    *bytes = content;
    *length = size;
    return TV_OK;
}
