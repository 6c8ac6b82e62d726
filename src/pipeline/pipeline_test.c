// Units and limits of this module that no case file can show: bytes that are no text, sizes at their maximum and one
// past it, the region, the printed forms of diagnostics, the generated reference and schema.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the headers above it.
#include <cmocka.h>
#include <yyjson.h>

#include "pipeline/fake.h"

#define HEAD "version: 1\ncomponents: { c: { file: c.wasm } }\n"

typedef struct tv_loaded {
    tv_diagnostics diagnostics;
    tv_pipeline *pipeline;
    tv_status status;
} tv_loaded;

static tv_loaded load_bytes(const void *bytes, size_t length) {
    tv_loaded loaded = {0};
    loaded.status = fake_load("file.yaml", bytes, length, &loaded.diagnostics, &loaded.pipeline);
    return loaded;
}

static tv_loaded load_text(const char *text) { return load_bytes(text, strlen(text)); }

static void unload(tv_loaded *loaded) {
    tv_pipeline_free(loaded->pipeline);
    tv_diagnostics_deinit(&loaded->diagnostics);
}

static void assert_loads(const char *text) {
    tv_loaded loaded = load_text(text);
    if (loaded.status != TV_OK) tv_diagnostics_print(&loaded.diagnostics, stderr, false);
    assert_int_equal(loaded.status, TV_OK);
    unload(&loaded);
}

// One error, whose message contains `part`.
static void assert_refused(const void *bytes, size_t length, const char *part) {
    tv_loaded loaded = load_bytes(bytes, length);
    assert_int_equal(loaded.status, TV_INVALID);
    assert_int_equal(loaded.diagnostics.error_count, 1);
    if (strstr(loaded.diagnostics.items[0].message, part) == NULL) {
        fail_msg("expected \"%s\" in \"%s\"", part, loaded.diagnostics.items[0].message);
    }
    unload(&loaded);
}

static void assert_text_refused(const char *text, const char *part) { assert_refused(text, strlen(text), part); }

// `before`, then `count` times `piece`, then `after`.
static char *repeat(const char *before, const char *piece, size_t count, const char *after) {
    tv_text text = {0};
    tv_text_print(&text, "%s", before);
    for (size_t i = 0; i < count; i++) {
        tv_text_print(&text, "%s", piece);
    }
    tv_text_print(&text, "%s", after);
    assert_false(text.failed);
    return text.bytes;
}

// ---- bytes and sizes ----------------------------------------------------------------------------------------

static void bytes_that_are_no_text_are_refused(void **state) {
    (void)state;
    assert_text_refused(HEAD "name: \xff\n", "not valid YAML");
    assert_text_refused(HEAD "name: \x01\n", "not valid YAML");
    tv_loaded loaded = load_text(HEAD "name: \xc3\xa4\xe4\n");
    assert_int_equal(loaded.diagnostics.items[0].line, 3);
    assert_int_equal(loaded.diagnostics.items[0].column, 8);
    unload(&loaded);
    assert_refused("\0", 1, "not valid YAML");
    assert_text_refused(HEAD "name: \"a\\0b\"\n", "NUL");
    assert_text_refused(HEAD "\"a\\0b\": 1\n", "NUL");
}

static void byte_order_marks_are_understood(void **state) {
    (void)state;
    static const char text[] = HEAD "stages: { s: { component: c } }\n";
    uint8_t wide[2 + 2 * sizeof(text)] = {0xff, 0xfe};
    for (size_t i = 0; i + 1 < sizeof(text); i++) {
        wide[2 + 2 * i] = (uint8_t)text[i];
    }
    tv_loaded loaded = load_bytes(wide, 2 + 2 * (sizeof(text) - 1));
    assert_int_equal(loaded.status, TV_OK);
    unload(&loaded);
    assert_loads("\xef\xbb\xbf" HEAD "stages: { s: { component: c } }\n");
}

static void nesting_at_the_limit_loads_and_one_more_does_not(void **state) {
    (void)state;
    // The root, stages, s and config are four levels.
    char *at = repeat(HEAD "stages: { s: { component: c, config: { a: ", "[", TV_YAML_DEPTH_MAX - 4, "");
    char *at_end = repeat(at, "]", TV_YAML_DEPTH_MAX - 4, " } } }\n");
    assert_loads(at_end);
    char *over = repeat(HEAD "stages: { s: { component: c, config: { a: ", "[", TV_YAML_DEPTH_MAX - 3, "");
    char *over_end = repeat(over, "]", TV_YAML_DEPTH_MAX - 3, " } } }\n");
    assert_text_refused(over_end, "32 levels");
    free(at);
    free(at_end);
    free(over);
    free(over_end);
}

static void values_at_the_limit_load_and_one_more_does_not(void **state) {
    (void)state;
    // Nodes but the list's items: root, 1, components, c, file, stages, s, component, config, a.
    size_t most = TV_YAML_NODES_MAX - 10;
    char *at = repeat(HEAD "stages: { s: { component: c, config: { a: [", "1,", most, "] } } }\n");
    tv_loaded loaded = load_text(at);
    assert_int_equal(loaded.diagnostics.error_count, 1); // parsed, and then too large a configuration
    assert_non_null(strstr(loaded.diagnostics.items[0].message, "256 KiB"));
    unload(&loaded);
    char *over = repeat(HEAD "stages: { s: { component: c, config: { a: [", "1,", most + 1, "] } } }\n");
    assert_text_refused(over, "50000 values");
    free(at);
    free(over);
}

static void file_at_the_limit_loads_and_one_more_byte_does_not(void **state) {
    (void)state;
    static const char head[] = HEAD "stages: { s: { component: c } }\n#";
    char *at = repeat(head, "x", TV_YAML_BYTES_MAX - (sizeof(head) - 1), "");
    assert_loads(at);
    char *over = repeat(head, "x", TV_YAML_BYTES_MAX - (sizeof(head) - 1) + 1, "");
    assert_text_refused(over, "1 MiB");
    free(at);
    free(over);
}

static void anchors_at_the_limit_load_and_one_more_does_not(void **state) {
    (void)state;
    char *at = repeat(HEAD "stages: { s: { component: c, config: { a: [", "&a 1,", TV_YAML_ANCHORS_MAX, "] } } }\n");
    assert_loads(at);
    char *over =
        repeat(HEAD "stages: { s: { component: c, config: { a: [", "&a 1,", TV_YAML_ANCHORS_MAX + 1, "] } } }\n");
    assert_text_refused(over, "256 anchors");
    free(at);
    free(over);
}

static void resolved_text_at_the_limit_loads_and_one_more_byte_does_not(void **state) {
    (void)state;
    char *at = repeat(HEAD "stages: { s: { component: c, config: { a: \"${EMPTY}", "x", TV_VARIABLE_TEXT_BYTES_MAX,
                      "\" } } }\n");
    assert_loads(at);
    char *over = repeat(HEAD "stages: { s: { component: c, config: { a: \"${EMPTY}", "x",
                        TV_VARIABLE_TEXT_BYTES_MAX + 1, "\" } } }\n");
    assert_text_refused(over, "64 KiB");
    free(at);
    free(over);
}

static void flows_at_the_limit_load_and_one_more_does_not(void **state) {
    (void)state;
    tv_text text = {0};
    tv_text_print(&text, HEAD "stages: { s: { component: c, config: { a: [ 1, 2, 3 ] } } }\nflows:\n");
    for (unsigned i = 0; i < TV_FLOW_ENTRIES_MAX; i++) {
        tv_text_print(&text, "  - { name: f%u }\n", i);
    }
    tv_loaded loaded = load_text(text.bytes);
    assert_int_equal(loaded.status, TV_OK);
    assert_int_equal(loaded.pipeline->flow_count, TV_FLOW_ENTRIES_MAX);
    // What is the same for all flows is kept once.
    assert_ptr_equal(loaded.pipeline->flows[0].stages[0].config, loaded.pipeline->flows[1].stages[0].config);
    unload(&loaded);
    tv_text_print(&text, "  - { name: last }\n");
    assert_text_refused(text.bytes, "4096 flows");
    tv_text_deinit(&text);
}

static void the_same_error_of_many_flows_is_said_once(void **state) {
    (void)state;
    tv_loaded loaded = load_text(HEAD "stages: { s: { component: c, config: { a: \"${\" }, batch: 5 } }\n"
                                      "flows: [ { name: a }, { name: b }, { name: c } ]\n");
    assert_int_equal(loaded.status, TV_INVALID);
    assert_int_equal(loaded.diagnostics.error_count, 2);
    unload(&loaded);
}

static void a_missing_file_is_said_and_not_invalid(void **state) {
    (void)state;
    tv_diagnostics diagnostics = {0};
    tv_pipeline *pipeline = NULL;
    tv_status status = tv_pipeline_load("/dev/null/pipeline.yaml", fake_connectors, FAKE_CONNECTOR_COUNT, fake_lookup,
                                        NULL, &diagnostics, &pipeline);
    assert_int_equal(status, TV_IO);
    assert_null(pipeline);
    assert_int_equal(diagnostics.error_count, 1);
    assert_non_null(strstr(diagnostics.items[0].message, "/dev/null/pipeline.yaml"));
    tv_diagnostics_deinit(&diagnostics);
}

static void an_empty_environment_is_allowed(void **state) {
    (void)state;
    static const char text[] = HEAD "stages: { s: { component: c, config: { a: \"${X:-1}\" } } }\n";
    tv_diagnostics diagnostics = {0};
    tv_pipeline *pipeline = NULL;
    static const tv_load_context nothing = {0};
    tv_status status =
        tv_pipeline_load_bytes("f", (const uint8_t *)text, strlen(text), &nothing, &diagnostics, &pipeline);
    assert_int_equal(status, TV_OK);
    assert_string_equal(pipeline->flows[0].stages[0].config[1].value, "1");
    tv_pipeline_free(pipeline);
    tv_diagnostics_deinit(&diagnostics);
}

// ---- region -------------------------------------------------------------------------------------------------

static void region_refuses_beyond_its_maximum_and_remembers(void **state) {
    (void)state;
    tv_region region;
    tv_region_init(&region, 64, 256);
    for (unsigned i = 0; i < 4; i++) {
        assert_non_null(tv_region_alloc(&region, 1, 64));
    }
    assert_false(region.failed);
    assert_null(tv_region_alloc(&region, 1, 1));
    assert_true(region.failed && region.exceeded);
    assert_null(tv_region_alloc(&region, SIZE_MAX, 2));
    tv_region_deinit(&region);
}

static void region_memory_is_zero_aligned_and_apart(void **state) {
    (void)state;
    tv_region region;
    tv_region_init(&region, 128, 1 << 20);
    uint32_t seed = 1;
    for (unsigned i = 0; i < 500; i++) {
        seed = seed * 1664525 + 1013904223;
        size_t size = (seed >> 20) % 300;
        uint8_t *object = tv_region_alloc(&region, 1, size);
        assert_non_null(object);
        assert_int_equal((uintptr_t)object % _Alignof(max_align_t), 0);
        for (size_t b = 0; b < size; b++) {
            assert_int_equal(object[b], 0);
        }
        memset(object, 0xaa, size);
    }
    tv_region_deinit(&region);
}

// ---- places -------------------------------------------------------------------------------------------------

static void assert_setting_at(const tv_pipeline *pipeline, const char *stage, const char *path, uint32_t line,
                              uint32_t column) {
    tv_place place = tv_pipeline_setting_place(pipeline, stage, path);
    if (place.line != line || place.column != column) {
        fail_msg("%s of %s: expected %u:%u, found %u:%u", path, stage, line, column, place.line, place.column);
    }
}

static void setting_is_found_or_what_is_there_in_its_place(void **state) {
    (void)state;
    tv_loaded loaded = load_text(HEAD "stages:\n"
                                      "  plain: { component: c }\n"
                                      "  set:\n"
                                      "    component: c\n"
                                      "    from: plain\n"
                                      "    config:\n"
                                      "      size: 3\n"
                                      "      a.b: 1\n"
                                      "      a.bc: { d: 2 }\n"
                                      "      list:\n"
                                      "        - { kind: x }\n"
                                      "        - { kind: y, max: 2 }\n");
    assert_int_equal(loaded.status, TV_OK);
    assert_setting_at(loaded.pipeline, "set", "size", 9, 7);
    assert_setting_at(loaded.pipeline, "set", "a.b", 10, 7);
    assert_setting_at(loaded.pipeline, "set", "a.bc.d", 11, 15);
    assert_setting_at(loaded.pipeline, "set", "list", 12, 7);
    assert_setting_at(loaded.pipeline, "set", "list.1.max", 14, 22);
    assert_setting_at(loaded.pipeline, "set", "list.0.max", 13, 11); // missing: the mapping
    assert_setting_at(loaded.pipeline, "set", "list.2.kind", 12, 7);
    assert_setting_at(loaded.pipeline, "set", "siz", 8, 5);
    assert_setting_at(loaded.pipeline, "set", "size.more", 9, 7);
    assert_setting_at(loaded.pipeline, "set", "", 8, 5);
    assert_setting_at(loaded.pipeline, "plain", "size", 4, 3); // no `config`: the stage
    assert_setting_at(loaded.pipeline, "nobody", "size", 0, 0);
    unload(&loaded);
}

// ---- diagnostics --------------------------------------------------------------------------------------------

static char *print_diagnostics(const tv_diagnostics *diagnostics) {
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    tv_diagnostics_print(diagnostics, out, false);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void diagnostics_over_the_maximum_are_counted(void **state) {
    (void)state;
    tv_diagnostics diagnostics = {0};
    for (uint32_t i = 0; i < TV_DIAGNOSTICS_MAX + 5; i++) {
        tv_diagnostics_add(&diagnostics, TV_SEVERITY_ERROR, "f", i + 1, 1, "", NULL, "wrong");
    }
    assert_int_equal(diagnostics.count, TV_DIAGNOSTICS_MAX);
    assert_int_equal(diagnostics.error_count, TV_DIAGNOSTICS_MAX + 5);
    char *text = print_diagnostics(&diagnostics);
    assert_non_null(strstr(text, "5 more problems are not shown"));
    free(text);
    tv_diagnostics_deinit(&diagnostics);
}

static void diagnostics_that_differ_in_a_name_only_are_few(void **state) {
    (void)state;
    tv_diagnostics diagnostics = {0};
    for (int i = 0; i < 1000; i++) {
        tv_diagnostics_add(&diagnostics, TV_SEVERITY_ERROR, "f", 3, 1, "stages.a", "put it there", "no file %d", i);
    }
    assert_int_equal(diagnostics.count, TV_DIAGNOSTICS_ALIKE_MAX);
    assert_int_equal(diagnostics.error_count, 1000);
    char *text = print_diagnostics(&diagnostics);
    assert_non_null(strstr(text, "f:3:1: error: stages.a: no file 4\n    put it there\n    and 995 more like this"));
    assert_null(strstr(text, "not shown"));
    free(text);
    // Of another kind, elsewhere, or about no place: not like these.
    tv_diagnostics_add(&diagnostics, TV_SEVERITY_ERROR, "f", 3, 1, "stages.a", NULL, "no port %d", 1);
    tv_diagnostics_add(&diagnostics, TV_SEVERITY_ERROR, "f", 4, 1, "stages.b", NULL, "no file %d", 1);
    for (int i = 0; i < 9; i++) {
        tv_diagnostics_add(&diagnostics, TV_SEVERITY_ERROR, "f", 0, 0, "", NULL, "no file %d", i);
    }
    assert_int_equal(diagnostics.count, TV_DIAGNOSTICS_ALIKE_MAX + 11);
    tv_diagnostics_deinit(&diagnostics);
}

static void diagnostics_print_json_that_says_the_same(void **state) {
    (void)state;
    tv_diagnostics diagnostics = {0};
    tv_diagnostics_add(&diagnostics, TV_SEVERITY_ERROR, "a \"b\"\\", 3, 7, "x.y", "do\n\x01", "bad \xff \xc3\xa4");
    tv_diagnostics_add(&diagnostics, TV_SEVERITY_WARNING, "f", 0, 0, "", NULL, "hm");
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    tv_diagnostics_print_json(&diagnostics, out);
    assert_int_equal(fclose(out), 0);
    yyjson_doc *doc = yyjson_read(text, length, 0);
    assert_non_null(doc);
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *first = yyjson_arr_get(yyjson_obj_get(root, "diagnostics"), 0);
    assert_int_equal(yyjson_get_int(yyjson_obj_get(root, "errors")), 1);
    assert_int_equal(yyjson_get_int(yyjson_obj_get(root, "warnings")), 1);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(first, "file")), "a \"b\"\\");
    assert_int_equal(yyjson_get_int(yyjson_obj_get(first, "line")), 3);
    assert_int_equal(yyjson_get_int(yyjson_obj_get(first, "column")), 7);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(first, "hint")), "do\n\x01");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(first, "message")), "bad \xef\xbf\xbd"
                                                                          "ff \xc3\xa4");
    yyjson_doc_free(doc);
    free(text);
    tv_diagnostics_deinit(&diagnostics);
}

static void diagnostics_print_no_control_characters_of_the_file(void **state) {
    (void)state;
    tv_diagnostics diagnostics = {0};
    tv_diagnostics_add(&diagnostics, TV_SEVERITY_ERROR, "f", 1, 2, "p", "h\x1b[0m", "m\x1b[31m");
    char *text = print_diagnostics(&diagnostics);
    assert_string_equal(text, "f:1:2: error: p: m\\x1b[31m\n    h\\x1b[0m\n");
    free(text);
    tv_diagnostics_deinit(&diagnostics);
}

// ---- tables, reference, schema ------------------------------------------------------------------------------

static char *print_to_text(void (*print)(FILE *out, const tv_connector *const *connectors, size_t count)) {
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    print(out, fake_connectors, FAKE_CONNECTOR_COUNT);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void assert_example_has_key(const tv_section *section, const char *key) {
    char with_colon[80];
    snprintf(with_colon, sizeof(with_colon), "%s:", key);
    if (strstr(section->example, with_colon) == NULL) fail_msg("%s: the example lacks %s", section->name, key);
}

static void every_table_is_sound(void **state) {
    (void)state;
    for (const tv_section *const *at = tv_sections; *at != NULL; at++) {
        const tv_section *section = *at;
        tv_error error;
        void *values = calloc(1, section->options.struct_bytes);
        if (tv_option_defaults(&section->options, values, &error) != TV_OK) fail_msg("%s", error.message);
        free(values);
        assert_true(section->help != NULL && section->example != NULL && section->title != NULL);
        for (size_t i = 0; i < section->options.count; i++) {
            const tv_option *option = &section->options.options[i];
            assert_true(option->help[strlen(option->help) - 1] == '.');
            assert_true(option->type != TV_OPTION_ENUM || option->choices != NULL);
            assert_false(option->required && option->default_text != NULL);
        }
    }
}

static void every_example_shows_every_key(void **state) {
    (void)state;
    for (const tv_section *const *at = tv_sections; *at != NULL; at++) {
        for (size_t i = 0; i < (*at)->options.count; i++) {
            assert_example_has_key(*at, (*at)->options.options[i].name);
        }
        for (size_t i = 0; i < (*at)->child_count; i++) {
            assert_example_has_key(*at, (*at)->children[i].name);
        }
    }
}

// Complete ones begin with their version; of the others only the syntax can be checked.
static void check_reference_example(const char *yaml, size_t length, unsigned *complete) {
    char *text = strndup(yaml, length);
    if (strncmp(text, "version:", 8) == 0) {
        assert_loads(text);
        (*complete)++;
    } else if (text[0] != '#') {
        tv_diagnostics diagnostics = {0};
        tv_region region;
        tv_region_init(&region, 4096, 1 << 20);
        assert_non_null(tv_yaml_parse(&region, "example", (const uint8_t *)text, length, &diagnostics));
        assert_int_equal(diagnostics.error_count, 0);
        tv_region_deinit(&region);
        tv_diagnostics_deinit(&diagnostics);
    }
    free(text);
}

static void every_example_of_the_reference_loads(void **state) {
    (void)state;
    unsigned complete = 0, count = 0;
    char *text = print_to_text(tv_pipeline_print_reference);
    for (char *at = text; (at = strstr(at, "```yaml\n")) != NULL; count++) {
        at += strlen("```yaml\n");
        char *end = strstr(at, "```");
        assert_non_null(end);
        check_reference_example(at, (size_t)(end - at), &complete);
        at = end + 3;
    }
    assert_int_equal(complete, 5);
    assert_true(count > 15);
    free(text);
}

static void reference_explains_every_key(void **state) {
    (void)state;
    char *text = print_to_text(tv_pipeline_print_reference);
    for (const tv_section *const *at = tv_sections; *at != NULL; at++) {
        char row[128];
        assert_non_null(strstr(text, (*at)->title));
        for (size_t i = 0; i < (*at)->options.count; i++) {
            snprintf(row, sizeof(row), "\n| `%s` | ", (*at)->options.options[i].name);
            assert_non_null(strstr(text, row));
        }
        for (size_t i = 0; i < (*at)->child_count; i++) {
            snprintf(row, sizeof(row), "\n| `%s` | ", (*at)->children[i].name);
            assert_non_null(strstr(text, row));
        }
    }
    assert_non_null(strstr(text, "| `chunk` | size | `256KiB` | 4 KiB to 16 MiB | Bytes of one read. |"));
    assert_non_null(strstr(text, "What to take \\| what to leave."));
    assert_non_null(strstr(text, "#### `printer` as output"));
    assert_null(strstr(text, "#### `printer` as input"));
    free(text);
}

static yyjson_val *schema_at(yyjson_doc *doc, const char *pointer) {
    yyjson_val *value = yyjson_doc_ptr_get(doc, pointer);
    if (value == NULL) fail_msg("the schema lacks %s", pointer);
    return value;
}

static void schema_has_every_key_and_closes_every_mapping(void **state) {
    (void)state;
    char *text = print_to_text(tv_pipeline_print_schema);
    yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
    assert_non_null(doc);
    for (const tv_section *const *at = tv_sections; *at != NULL; at++) {
        char base[128], pointer[256];
        snprintf(base, sizeof(base), "/$defs/%s", (*at)->name);
        if (*at == &tv_section_root) base[0] = '\0';
        for (size_t i = 0; i < (*at)->options.count; i++) {
            snprintf(pointer, sizeof(pointer), "%s/properties/%s/description", base, (*at)->options.options[i].name);
            assert_string_equal(yyjson_get_str(schema_at(doc, pointer)), (*at)->options.options[i].help);
        }
        for (size_t i = 0; i < (*at)->child_count; i++) {
            snprintf(pointer, sizeof(pointer), "%s/properties/%s", base, (*at)->children[i].name);
            schema_at(doc, pointer);
        }
        bool channel = *at == &tv_section_channel;
        snprintf(pointer, sizeof(pointer), "%s/%s", base, channel ? "unevaluatedProperties" : "additionalProperties");
        assert_true(yyjson_is_false(schema_at(doc, pointer)));
    }
    assert_string_equal(yyjson_get_str(schema_at(doc, "/$schema")), "https://json-schema.org/draft/2020-12/schema");
    schema_at(doc, "/$defs/channel/allOf/0/then/properties/ratio/anyOf/0/maximum");
    yyjson_doc_free(doc);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_are_no_text_are_refused),
        cmocka_unit_test(byte_order_marks_are_understood),
        cmocka_unit_test(nesting_at_the_limit_loads_and_one_more_does_not),
        cmocka_unit_test(values_at_the_limit_load_and_one_more_does_not),
        cmocka_unit_test(file_at_the_limit_loads_and_one_more_byte_does_not),
        cmocka_unit_test(anchors_at_the_limit_load_and_one_more_does_not),
        cmocka_unit_test(resolved_text_at_the_limit_loads_and_one_more_byte_does_not),
        cmocka_unit_test(flows_at_the_limit_load_and_one_more_does_not),
        cmocka_unit_test(the_same_error_of_many_flows_is_said_once),
        cmocka_unit_test(a_missing_file_is_said_and_not_invalid),
        cmocka_unit_test(an_empty_environment_is_allowed),
        cmocka_unit_test(region_refuses_beyond_its_maximum_and_remembers),
        cmocka_unit_test(region_memory_is_zero_aligned_and_apart),
        cmocka_unit_test(setting_is_found_or_what_is_there_in_its_place),
        cmocka_unit_test(diagnostics_over_the_maximum_are_counted),
        cmocka_unit_test(diagnostics_that_differ_in_a_name_only_are_few),
        cmocka_unit_test(diagnostics_print_json_that_says_the_same),
        cmocka_unit_test(diagnostics_print_no_control_characters_of_the_file),
        cmocka_unit_test(every_table_is_sound),
        cmocka_unit_test(every_example_shows_every_key),
        cmocka_unit_test(every_example_of_the_reference_loads),
        cmocka_unit_test(reference_explains_every_key),
        cmocka_unit_test(schema_has_every_key_and_closes_every_mapping),
    };
    return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
