// Inspection without an engine: what the contract asks of a module's sections, and that no bytes confuse it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wasm/limits.h"
#include "wasm/test_support.h"

static tv_module_info info;
static tv_error error;
static tv_builder built;

static tv_status inspect(void) {
    memset(&error, 0, sizeof error);
    return tv_module_inspect(built.bytes, built.length, &info, &error);
}

static void expect(tv_status status, const char *message) {
    assert_int_equal(inspect(), status);
    if (!strstr(error.message, message)) fail_msg("\"%s\" does not say \"%s\"", error.message, message);
}

// Types of the smallest component, and () -> i32, (i64) -> i32, (f32) -> ().
static void begin(void) {
    tv_builder_init(&built);
    TV_SECTION(&built, 1, 5, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 0, 1, 0x7f, 0x60, 1, 0x7e, 1, 0x7f, 0x60, 1,
               0x7d, 0);
}

typedef struct export_item {
    const char *name;
    uint8_t kind, index;
} export_item;

static void add_exports(const export_item *items, size_t count) {
    uint8_t content[512];
    size_t at = 0;
    content[at++] = (uint8_t)count;
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(items[i].name);
        content[at++] = (uint8_t)length;
        memcpy(content + at, items[i].name, length);
        at += length;
        content[at++] = items[i].kind;
        content[at++] = items[i].index;
    }
    tv_builder_section(&built, 7, content, at);
}

// Functions 0: () -> (), 1: (i32) -> i32, 2: () -> i32, 3: (i64) -> i32, 4: (f32) -> ().
#define REQUIRED                                                                                                       \
    {"memory", 2, 0}, {"torvyn_abi_1", 0, 0}, {"tv_arena", 0, 1}, { "tv_process", 0, 1 }
#define BUILD(...)                                                                                                     \
    do {                                                                                                               \
        const export_item items_[] = {__VA_ARGS__};                                                                    \
        begin();                                                                                                       \
        TV_SECTION(&built, 3, 5, 0, 1, 2, 3, 4);                                                                       \
        TV_SECTION(&built, 5, 1, 0, 1);                                                                                \
        add_exports(items_, sizeof items_ / sizeof *items_);                                                           \
    } while (0)

// ---- accepted -----------------------------------------------------------------------------------------------

static void smallest_component_is_accepted_with_defaults(void **state) {
    (void)state;
    tv_builder_component(&built);
    assert_int_equal(inspect(), TV_OK);
    assert_true(info.has_process);
    assert_false(info.has_pull || info.has_tick || info.has_resume || info.has_close || info.has_init);
    assert_false(info.described);
    assert_int_equal(info.role, TV_ROLE_PROCESSOR);
    assert_int_equal(info.max_output_bytes, 65536);
    assert_int_equal(info.port_count, 1);
    assert_string_equal(info.ports[0], "out");
    assert_int_equal(info.memory_initial_bytes, 65536);
    assert_true(info.memory_maximum_bytes == UINT64_MAX);
    assert_int_equal(info.import_count, 0);
    assert_int_equal(strlen(info.digest), 64);
    assert_int_equal(info.file_bytes, built.length);
}

static void digest_is_sha256_of_the_file(void **state) {
    (void)state;
    assert_int_equal(tv_module_inspect((const uint8_t *)"abc", 3, &info, &error), TV_INVALID);
    assert_string_equal(info.digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void optional_exports_are_found(void **state) {
    (void)state;
    BUILD(REQUIRED, {"tv_init", 0, 2}, {"tv_resume", 0, 2}, {"tv_pull", 0, 1}, {"tv_tick", 0, 3}, {"tv_close", 0, 2},
          {"_initialize", 0, 0}, {"_start", 0, 0}, {"whatever", 0, 4}, {"tv_save", 0, 4});
    assert_int_equal(inspect(), TV_OK);
    assert_true(info.has_process && info.has_pull && info.has_tick && info.has_resume && info.has_close &&
                info.has_init);
}

static void pull_alone_makes_a_component(void **state) {
    (void)state;
    BUILD({"memory", 2, 0}, {"torvyn_abi_1", 0, 0}, {"tv_arena", 0, 1}, {"tv_pull", 0, 1});
    assert_int_equal(inspect(), TV_OK);
    assert_false(info.has_process);
}

// ---- exports ------------------------------------------------------------------------------------------------

static void missing_exports_are_named(void **state) {
    (void)state;
    BUILD({"torvyn_abi_1", 0, 0}, {"tv_arena", 0, 1}, {"tv_process", 0, 1});
    expect(TV_INVALID, "does not export `memory`");
    BUILD({"memory", 2, 0}, {"tv_arena", 0, 1}, {"tv_process", 0, 1});
    expect(TV_INVALID, "does not export `torvyn_abi_1`");
    BUILD({"memory", 2, 0}, {"torvyn_abi_1", 0, 0}, {"tv_process", 0, 1});
    expect(TV_INVALID, "does not export `tv_arena`");
    BUILD({"memory", 2, 0}, {"torvyn_abi_1", 0, 0}, {"tv_arena", 0, 1});
    expect(TV_INVALID, "does not export `tv_process`, nor `tv_pull`");
}

static void near_miss_of_an_export_is_pointed_out(void **state) {
    (void)state;
    BUILD({"memory", 2, 0}, {"torvyn_abi_1", 0, 0}, {"tv_arena", 0, 1}, {"tv_proces", 0, 1});
    expect(TV_INVALID, "it exports `tv_proces`");
}

static void exports_of_the_wrong_type_are_refused(void **state) {
    (void)state;
    BUILD(REQUIRED, {"tv_tick", 0, 1});
    expect(TV_INVALID, "`tv_tick` has the type i:i; it must be I:i");
    BUILD(REQUIRED, {"tv_init", 0, 0});
    expect(TV_INVALID, "`tv_init`");
    BUILD(REQUIRED, {"tv_close", 2, 0});
    expect(TV_INVALID, "`tv_close` is not a function");
    BUILD(REQUIRED, {"_initialize", 0, 4});
    expect(TV_INVALID, "`_initialize`");
    BUILD({"memory", 0, 0}, {"torvyn_abi_1", 0, 0}, {"tv_arena", 0, 1}, {"tv_process", 0, 1});
    expect(TV_INVALID, "`memory` is not a memory");
    BUILD(REQUIRED, {"tv_init", 0, 5});
    expect(TV_INVALID, "function 5, which it does not have");
}

static void programs_are_refused_with_remedy(void **state) {
    (void)state;
    BUILD(REQUIRED, {"_start", 0, 0});
    expect(TV_INVALID, "-mexec-model=reactor");
}

// ---- imports ------------------------------------------------------------------------------------------------

// A component with one import of kind function and the given type.
static void build_import(const char *module, const char *name, uint8_t type) {
    uint8_t content[256];
    size_t at = 0;
    begin();
    content[at++] = 1;
    content[at++] = (uint8_t)strlen(module);
    memcpy(content + at, module, strlen(module));
    at += strlen(module);
    content[at++] = (uint8_t)strlen(name);
    memcpy(content + at, name, strlen(name));
    at += strlen(name);
    content[at++] = 0;
    content[at++] = type;
    tv_builder_section(&built, 2, content, at);
    TV_SECTION(&built, 3, 2, 0, 1); // functions 1 and 2
    TV_SECTION(&built, 5, 1, 0, 1);
    const export_item items[] = {{"memory", 2, 0}, {"torvyn_abi_1", 0, 1}, {"tv_arena", 0, 2}, {"tv_process", 0, 2}};
    add_exports(items, 4);
}

static void imports_are_listed_with_their_grants(void **state) {
    (void)state;
    build_import("torvyn", "emit", 1);
    assert_int_equal(inspect(), TV_OK);
    assert_int_equal(info.import_count, 1);
    assert_string_equal(info.imports[0].module, "torvyn");
    assert_string_equal(info.imports[0].name, "emit");
    assert_int_equal(info.grants_needed, 0);
    tv_builder_init(&built);
    TV_SECTION(&built, 1, 3, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 1, 0x7f, 1, 0x7e);
    TV_SECTION(&built, 2, 1, 6, 't', 'o', 'r', 'v', 'y', 'n', 5, 'c', 'l', 'o', 'c', 'k', 0, 2);
    TV_SECTION(&built, 3, 2, 0, 1);
    TV_SECTION(&built, 5, 1, 0, 1);
    const export_item items[] = {{"memory", 2, 0}, {"torvyn_abi_1", 0, 1}, {"tv_arena", 0, 2}, {"tv_process", 0, 2}};
    add_exports(items, 4);
    assert_int_equal(inspect(), TV_OK);
    assert_int_equal(info.grants_needed, TV_GRANT_CLOCK);
    assert_int_equal(info.imports[0].grant, TV_GRANT_CLOCK);
}

static void imported_function_can_be_exported_again(void **state) {
    (void)state;
    build_import("torvyn", "emit", 1);
    built.length -= 0;
    const export_item items[] = {{"memory", 2, 0}, {"torvyn_abi_1", 0, 1}, {"tv_arena", 0, 0}, {"tv_process", 0, 2}};
    build_import("torvyn", "emit", 1);
    // The export section is the last: cut it off and write another.
    size_t exports = 1 + 5 + 1 + (2 + 6 + 1) + (2 + 12 + 1) + (2 + 8 + 1) + (2 + 10 + 1);
    built.length -= exports;
    add_exports(items, 4);
    assert_int_equal(inspect(), TV_OK);
}

static void unknown_imports_are_refused_with_the_nearest_name(void **state) {
    (void)state;
    build_import("torvyn", "emitt", 1);
    expect(TV_INVALID, "did you mean `emit`?");
    build_import("torvyn", "open_socket_please", 1);
    expect(TV_INVALID, "`torvyn.open_socket_please`, which the host does not offer");
    build_import("env", "printf", 1);
    expect(TV_INVALID, "`env.printf`");
    build_import("wasi_snapshot_preview1", "path_oppen", 1);
    expect(TV_INVALID, "did you mean `path_open`?");
    build_import("wasi_unstable", "fd_write", 1);
    expect(TV_INVALID, "`wasi_unstable.fd_write`");
}

static void imports_of_the_wrong_type_are_refused(void **state) {
    (void)state;
    build_import("torvyn", "emit", 2);
    expect(TV_INVALID, "`torvyn.emit` with the type :i; it is i:i");
    build_import("torvyn", "emit", 9);
    expect(TV_INVALID, "function type 9");
}

static void only_functions_can_be_imported(void **state) {
    (void)state;
    begin();
    TV_SECTION(&built, 2, 1, 3, 'e', 'n', 'v', 6, 'm', 'e', 'm', 'o', 'r', 'y', 2, 0, 1);
    expect(TV_INVALID, "--import-memory");
    begin();
    TV_SECTION(&built, 2, 1, 3, 'e', 'n', 'v', 1, 't', 1, 0x70, 0, 1);
    expect(TV_INVALID, "imports the table `t`");
    begin();
    TV_SECTION(&built, 2, 1, 3, 'e', 'n', 'v', 1, 'g', 3, 0x7f, 0);
    expect(TV_INVALID, "imports the global `g`");
}

// ---- memory and tables --------------------------------------------------------------------------------------

static void memory_limits_are_read(void **state) {
    (void)state;
    begin();
    TV_SECTION(&built, 3, 2, 0, 1);
    TV_SECTION(&built, 5, 1, 1, 3, 0x80, 2); // 3 to 256 pages
    const export_item items[] = {{"memory", 2, 0}, {"torvyn_abi_1", 0, 0}, {"tv_arena", 0, 1}, {"tv_process", 0, 1}};
    add_exports(items, 4);
    assert_int_equal(inspect(), TV_OK);
    assert_int_equal(info.memory_initial_bytes, 3 * 65536);
    assert_int_equal(info.memory_maximum_bytes, 256 * 65536);
}

static void memory_of_another_kind_is_refused(void **state) {
    (void)state;
    static const struct {
        uint8_t count, flags;
        const char *message;
    } cases[] = {{0, 0, "has no memory"}, {2, 0, "2 memories"},        {1, 2, "threads"},   {1, 3, "threads"},
                 {1, 4, "memory64"},      {1, 8, "custom page sizes"}, {1, 16, "malformed"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        TV_SECTION(&built, 5, cases[i].count, cases[i].flags, 1, 2, 0, 1);
        assert_int_not_equal(inspect(), TV_OK);
        if (!strstr(error.message, cases[i].message)) fail_msg("case %zu: %s", i, error.message);
    }
    begin();
    expect(TV_INVALID, "has no memory");
    TV_SECTION(&built, 5, 1, 0, 0x81, 0x80, 4); // 65537 pages
    expect(TV_INVALID, "malformed");
}

static void tables_are_bounded(void **state) {
    (void)state;
    begin();
    TV_SECTION(&built, 4, 1, 0x70, 0, 0x80, 0x80, 4); // 65536 elements
    TV_SECTION(&built, 5, 1, 0, 1);
    expect(TV_INVALID, "does not export"); // gets past the tables
    assert_int_equal(info.table_bytes, 65536 * 8);
    assert_int_equal(info.table_bytes_max, (65536 + 1024) * 8); // docs/limits.md: growing by 1,024
    begin();
    TV_SECTION(&built, 4, 2, 0x70, 0, 0x80, 0x80, 4, 0x70, 0, 1);
    TV_SECTION(&built, 5, 1, 0, 1);
    expect(TV_LIMIT, "65537 elements");
    begin();
    TV_SECTION(&built, 4, 5, 0x70, 0, 0, 0x70, 0, 0, 0x70, 0, 0, 0x70, 0, 0, 0x70, 0, 0);
    TV_SECTION(&built, 5, 1, 0, 1);
    expect(TV_LIMIT, "5 tables");
    begin();
    TV_SECTION(&built, 4, 1, 0x70, 4, 1);
    TV_SECTION(&built, 5, 1, 0, 1);
    expect(TV_UNSUPPORTED, "memory64");
}

// ---- refused features that show in sections -----------------------------------------------------------------

static void other_binaries_are_told_apart(void **state) {
    (void)state;
    static const uint8_t component[] = {0, 'a', 's', 'm', 0x0d, 0, 1, 0};
    static const uint8_t version2[] = {0, 'a', 's', 'm', 2, 0, 0, 0};
    assert_int_equal(tv_module_inspect(component, 8, &info, &error), TV_UNSUPPORTED);
    assert_non_null(strstr(error.message, "component model"));
    assert_int_equal(tv_module_inspect(version2, 8, &info, &error), TV_UNSUPPORTED);
    assert_non_null(strstr(error.message, "version 2"));
    assert_int_equal(tv_module_inspect((const uint8_t *)"\x7f"
                                                        "ELF....",
                                       8, &info, &error),
                     TV_INVALID);
    assert_int_equal(tv_module_inspect(component, 7, &info, &error), TV_INVALID);
    assert_int_equal(tv_module_inspect(component, 0, &info, &error), TV_INVALID);
}

static void types_of_refused_features_are_refused(void **state) {
    (void)state;
    static const uint8_t forms[] = {0x4e, 0x50, 0x5f, 0x5e};
    for (size_t i = 0; i < sizeof forms; i++) {
        tv_builder_init(&built);
        TV_SECTION(&built, 1, 1, forms[i], 0, 0);
        expect(TV_UNSUPPORTED, "garbage collection");
    }
    tv_builder_init(&built);
    TV_SECTION(&built, 1, 1, 0x60, 1, 0x63, 0, 0);
    expect(TV_UNSUPPORTED, "references other than to functions");
    tv_builder_component(&built);
    TV_SECTION(&built, 13, 1, 0, 0);
    expect(TV_UNSUPPORTED, "exceptions");
}

// ---- description --------------------------------------------------------------------------------------------

static void describe(const char *text) {
    uint8_t content[8192];
    size_t length = strlen(TV_ABI_SECTION);
    content[0] = (uint8_t)length;
    memcpy(content + 1, TV_ABI_SECTION, length);
    memcpy(content + 1 + length, text, strlen(text));
    tv_builder_component(&built);
    tv_builder_section(&built, 0, content, 1 + length + strlen(text));
}

static void description_is_read(void **state) {
    (void)state;
    describe("name=splitter\nversion=1.2.3\nrole=router\nmax_output=1024\nports=left,right\nfuture=x\n");
    assert_int_equal(inspect(), TV_OK);
    assert_true(info.described);
    assert_string_equal(info.name, "splitter");
    assert_string_equal(info.version, "1.2.3");
    assert_int_equal(info.role, TV_ROLE_ROUTER);
    assert_int_equal(info.max_output_bytes, 1024);
    assert_int_equal(info.port_count, 2);
    assert_string_equal(info.ports[1], "right");
    assert_string_equal(tv_role_name(info.role), "router");
    assert_int_equal(info.keeping, TV_KEEPS_OWN);
    assert_int_equal(info.optional_ports, 0);
    describe("ports=left,right,late\noptional=late,left\n");
    assert_int_equal(inspect(), TV_OK);
    assert_int_equal(info.optional_ports, 5);
    describe("state=none\n");
    assert_int_equal(inspect(), TV_OK);
    assert_int_equal(info.keeping, TV_KEEPS_NOTHING);
    assert_string_equal(tv_keeping_name(info.keeping), "none");
}

static void broken_descriptions_are_refused_with_the_line(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"name", "key=value"},
        {"role=sorcerer", "sorcerer"},
        {"state=keyed\nstate_bytes=16", "tv_state"},
        {"state=", "own, none or keyed"},
        {"state_bytes=0", "multiple of 8"},
        {"state_bytes=12", "multiple of 8"},
        {"state_bytes=65544", "multiple of 8"},
        {"max_output=0", "max_output"},
        {"max_output=16777169", "max_output"},
        {"max_output=12k", "max_output"},
        {"max_output=-1", "max_output"},
        {"ports=", "port"},
        {"ports=a,,b", "port"},
        {"ports=a,a", "once"},
        {"ports=a b", "letters"},
        {"ports=a\noptional=b", "ports of the line"},
        {"optional=b\nports=a,b", "before it"},
        {"ports=1,2,3,4,5,6,7,8,9", "more than 8 ports"},
        {"name=x\x01y", "not text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        describe(cases[i][0]);
        assert_int_not_equal(inspect(), TV_OK);
        if (!strstr(error.message, cases[i][1])) fail_msg("case %zu: %s", i, error.message);
    }
    describe("ports=1,2,3,4,5,6,7,8");
    assert_int_equal(inspect(), TV_OK);
    describe("max_output=16777168");
    assert_int_equal(inspect(), TV_OK);
}

static void names_may_have_63_bytes(void **state) {
    (void)state;
    char text[80] = "name=";
    memset(text + 5, 'n', 63);
    describe(text);
    assert_int_equal(inspect(), TV_OK);
    assert_int_equal(strlen(info.name), 63);
    text[68] = 'n';
    describe(text);
    expect(TV_INVALID, "at most 63");
}

static void description_has_a_largest_size_and_stands_once(void **state) {
    (void)state;
    char text[4200];
    memset(text, '\n', sizeof text);
    text[4096] = 0;
    describe(text);
    assert_int_equal(inspect(), TV_OK);
    text[4096] = '\n', text[4097] = 0;
    describe(text);
    expect(TV_INVALID, "4096");
    describe("name=a\n");
    TV_SECTION(&built, 0, 16, 't', 'o', 'r', 'v', 'y', 'n', '.', 'c', 'o', 'm', 'p', 'o', 'n', 'e', 'n', 't');
    expect(TV_INVALID, "more than one");
}

// ---- damaged bytes ------------------------------------------------------------------------------------------

static void every_prefix_of_a_module_gets_an_answer(void **state) {
    (void)state;
    static uint8_t *copy;
    describe("name=a\nports=x,y\n");
    size_t whole = built.length;
    for (size_t length = 0; length < whole; length++) {
        copy = malloc(length ? length : 1); // exact, so that sanitizers see a read beyond it
        memcpy(copy, built.bytes, length);
        tv_status status = tv_module_inspect(copy, length, &info, &error);
        free(copy);
        if (status == TV_OK) assert_int_equal(strlen(info.digest), 64); // cut between sections, behind the exports
    }
}

static void every_changed_byte_gets_an_answer(void **state) {
    (void)state;
    static const uint8_t values[] = {0, 1, 2, 0x40, 0x7f, 0x80, 0xff};
    build_import("torvyn", "emit", 1);
    for (size_t at = 0; at < built.length; at++) {
        uint8_t old = built.bytes[at];
        for (size_t i = 0; i < sizeof values; i++) {
            built.bytes[at] = values[i];
            tv_status status = inspect();
            assert_true(status == TV_OK || error.message[0] != 0);
        }
        built.bytes[at] = old;
    }
}

static void duplicate_and_unknown_sections_are_refused(void **state) {
    (void)state;
    tv_builder_component(&built);
    TV_SECTION(&built, 5, 1, 0, 1);
    expect(TV_INVALID, "more than one memory section");
    tv_builder_component(&built);
    TV_SECTION(&built, 99, 0);
    expect(TV_INVALID, "unknown kind 99");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(smallest_component_is_accepted_with_defaults),
    cmocka_unit_test(digest_is_sha256_of_the_file),
    cmocka_unit_test(optional_exports_are_found),
    cmocka_unit_test(pull_alone_makes_a_component),
    cmocka_unit_test(missing_exports_are_named),
    cmocka_unit_test(near_miss_of_an_export_is_pointed_out),
    cmocka_unit_test(exports_of_the_wrong_type_are_refused),
    cmocka_unit_test(programs_are_refused_with_remedy),
    cmocka_unit_test(imports_are_listed_with_their_grants),
    cmocka_unit_test(imported_function_can_be_exported_again),
    cmocka_unit_test(unknown_imports_are_refused_with_the_nearest_name),
    cmocka_unit_test(imports_of_the_wrong_type_are_refused),
    cmocka_unit_test(only_functions_can_be_imported),
    cmocka_unit_test(memory_limits_are_read),
    cmocka_unit_test(memory_of_another_kind_is_refused),
    cmocka_unit_test(tables_are_bounded),
    cmocka_unit_test(other_binaries_are_told_apart),
    cmocka_unit_test(types_of_refused_features_are_refused),
    cmocka_unit_test(description_is_read),
    cmocka_unit_test(broken_descriptions_are_refused_with_the_line),
    cmocka_unit_test(names_may_have_63_bytes),
    cmocka_unit_test(description_has_a_largest_size_and_stands_once),
    cmocka_unit_test(every_prefix_of_a_module_gets_an_answer),
    cmocka_unit_test(every_changed_byte_gets_an_answer),
    cmocka_unit_test(duplicate_and_unknown_sections_are_refused),
};

TV_WASM_TEST_MAIN(tests)
