// Many flows of one entry, and one more at run time: what they share, what they cost, and that nothing stays behind.
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "base/base.h"
#include "pipeline/csv.h"
#include "pipeline/fake.h"

#define FIVE_STAGES                                                                                                    \
    "version: 1\n"                                                                                                     \
    "limits: { flows: 20000 }\n"                                                                                       \
    "components: { c: { file: c.wasm } }\n"                                                                            \
    "channels:\n"                                                                                                      \
    "  in: { connector: file, path: in.jsonl }\n"                                                                      \
    "  out: { connector: file, path: out.jsonl }\n"                                                                    \
    "stages:\n"                                                                                                        \
    "  a: { component: c, from: in }\n"                                                                                \
    "  b: { component: c, from: a }\n"                                                                                 \
    "  c: { component: c, from: b }\n"                                                                                 \
    "  d: { component: c, from: c, config: { limit: 5 } }\n"                                                           \
    "  e: { component: c, from: d, to: out }\n"

#define TOUCHED                                                                                                        \
    "version: 1\n"                                                                                                     \
    "limits: { flows: 20000 }\n"                                                                                       \
    "components: { c: { file: c.wasm } }\n"                                                                            \
    "channels:\n"                                                                                                      \
    "  in: { connector: file, path: \"in/${id}.jsonl\" }\n"                                                            \
    "  out: { connector: file, path: out.jsonl }\n"                                                                    \
    "stages:\n"                                                                                                        \
    "  a: { component: c, from: in, config: { same: [ 1, 2 ] } }\n"                                                    \
    "  b: { component: c, from: a, to: out, config: { limit: \"${limit}\" } }\n"

typedef struct loaded {
    tv_diagnostics diagnostics;
    tv_pipeline *pipeline;
} loaded;

static loaded load(const char *text) {
    loaded made = {0};
    tv_status status = fake_load("dir/file.yaml", text, strlen(text), &made.diagnostics, &made.pipeline);
    if (status != TV_OK) tv_diagnostics_print(&made.diagnostics, stderr, false);
    assert_int_equal(status, TV_OK);
    return made;
}

static void unload(loaded *made) {
    tv_pipeline_free(made->pipeline);
    tv_diagnostics_deinit(&made->diagnostics);
}

enum { WARM_ROUNDS = 20 }; // until what the C library keeps of freed memory does not grow any more

static size_t heap_bytes(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

// ---- at the start -------------------------------------------------------------------------------------------

static void flows_that_no_parameter_touches_share_everything(void **state) {
    (void)state;
    loaded made = load(FIVE_STAGES "flows: [ { name: f, count: 3 }, { name: g, count: 2, class: high } ]\n");
    assert_int_equal(made.pipeline->flow_count, 5);
    for (size_t i = 1; i < 5; i++) {
        assert_ptr_equal(made.pipeline->flows[i].stages, made.pipeline->flows[0].stages);
        assert_ptr_equal(made.pipeline->flows[i].channels, made.pipeline->flows[0].channels);
    }
    assert_string_equal(made.pipeline->flows[4].name, "g-0002");
    assert_int_equal(made.pipeline->flows[4].class, TV_CLASS_HIGH);
    unload(&made);
}

static void flows_share_what_their_parameters_do_not_touch(void **state) {
    (void)state;
    loaded made = load(TOUCHED "flows: [ { for_each: devices.csv } ]\n");
    const tv_flow_model *one = &made.pipeline->flows[0], *two = &made.pipeline->flows[1];
    assert_ptr_not_equal(one->stages, two->stages);
    assert_ptr_equal(one->stages[0].config, two->stages[0].config);
    assert_ptr_equal(one->stages[1].inputs, two->stages[1].inputs);
    assert_ptr_not_equal(one->stages[1].config, two->stages[1].config);
    assert_ptr_equal(one->channels[1].options, two->channels[1].options);
    assert_ptr_not_equal(one->channels[0].options, two->channels[0].options);
    unload(&made);
}

// Heap of a flow beyond the first, with its name and its part of the growing list, which may be half empty.
static void ten_thousand_untouched_flows_cost_less_than_a_kilobyte_each(void **state) {
    (void)state;
    enum { COUNT = 10000 };
    loaded one = load(FIVE_STAGES "flows: [ { name: f, count: 1 } ]\n");
    size_t before = heap_bytes();
    loaded many = load(FIVE_STAGES "flows: [ { name: f, count: 10000 } ]\n");
    size_t used = heap_bytes() - before;
    print_message("%zu bytes a flow\n", used / COUNT);
    assert_int_equal(many.pipeline->flow_count, COUNT);
    assert_string_equal(many.pipeline->flows[COUNT - 1].name, "f-10000");
    assert_true(used / COUNT < 1024);
    unload(&one);
    unload(&many);
}

static void digits_of_names_follow_the_count(void **state) {
    (void)state;
    loaded made = load(FIVE_STAGES "flows: [ { name: f, count: 9999 }, { name: g, count: 10000 } ]\n");
    assert_string_equal(made.pipeline->flows[0].name, "f-0001");
    assert_string_equal(made.pipeline->flows[9999].name, "g-00001");
    unload(&made);
}

// ---- at run time --------------------------------------------------------------------------------------------

static tv_status order_flow(tv_pipeline *pipeline, const char *template, const char *name,
                            const tv_flow_parameter *parameters, size_t count, tv_diagnostics *diagnostics,
                            tv_flow_model **flow) {
    tv_flow_order order = {.template = template, .name = name, .parameters = parameters, .parameter_count = count};
    return tv_pipeline_flow_new(pipeline, &order, diagnostics, flow);
}

static const tv_flow_parameter third[] = {{"id", "pump-3"}, {"site", "east"}, {"limit", "9"}, {"class", "high"}};

static void a_further_flow_is_made_from_the_template(void **state) {
    (void)state;
    loaded made = load(TOUCHED "flows: [ { for_each: devices.csv } ]\n");
    tv_diagnostics diagnostics = {0};
    tv_flow_model *flow = NULL;
    assert_int_equal(order_flow(made.pipeline, "devices", NULL, third, 4, &diagnostics, &flow), TV_OK);
    assert_string_equal(flow->name, "pump-3");
    assert_string_equal(flow->stages[1].config[1].value, "9");
    assert_ptr_equal(flow->stages[0].config, made.pipeline->flows[0].stages[0].config);
    assert_ptr_equal(flow->channels[1].options, made.pipeline->flows[0].channels[1].options);
    assert_true(tv_flow_model_bytes(flow) < 2048);
    tv_flow_model_free(flow);
    assert_int_equal(diagnostics.count, 0);
    tv_diagnostics_deinit(&diagnostics);
    unload(&made);
}

static void numbers_of_further_flows_go_on(void **state) {
    (void)state;
    loaded made = load(FIVE_STAGES "flows: [ { name: f, count: 3 } ]\n");
    tv_diagnostics diagnostics = {0};
    tv_flow_model *four = NULL, *five = NULL, *named = NULL;
    assert_int_equal(order_flow(made.pipeline, NULL, NULL, NULL, 0, &diagnostics, &four), TV_OK);
    assert_int_equal(order_flow(made.pipeline, "f", NULL, NULL, 0, &diagnostics, &five), TV_OK);
    assert_int_equal(order_flow(made.pipeline, "f", "other", NULL, 0, &diagnostics, &named), TV_OK);
    assert_string_equal(four->name, "f-0004");
    assert_string_equal(five->name, "f-0005");
    assert_string_equal(named->name, "other");
    assert_ptr_equal(four->stages, made.pipeline->flows[0].stages);
    tv_flow_model_free(four);
    tv_flow_model_free(five);
    tv_flow_model_free(named);
    unload(&made);
}

static void a_single_flow_is_a_template_for_others_with_names(void **state) {
    (void)state;
    loaded made = load(TOUCHED "flows: [ { name: f, parameters: { id: one, limit: 1 } } ]\n");
    tv_diagnostics diagnostics = {0};
    tv_flow_model *flow = NULL;
    const tv_flow_parameter two[] = {{"id", "two"}};
    assert_int_equal(order_flow(made.pipeline, NULL, NULL, two, 1, &diagnostics, &flow), TV_INVALID);
    assert_non_null(strstr(diagnostics.items[0].message, "needs a name"));
    tv_diagnostics_deinit(&diagnostics);
    assert_int_equal(order_flow(made.pipeline, "f", "g", two, 1, &diagnostics, &flow), TV_OK);
    assert_string_equal(flow->name, "g");
    assert_string_equal(flow->stages[1].config[1].value, "1");
    tv_flow_model_free(flow);
    unload(&made);
}

static void a_template_without_rows_makes_its_first_flow_at_run_time(void **state) {
    (void)state;
    loaded made = load(FIVE_STAGES "flows: [ { for_each: header_only.csv, class: high } ]\n");
    tv_diagnostics diagnostics = {0};
    tv_flow_model *flow = NULL;
    const tv_flow_parameter values[] = {{"site", "x"}, {"id", "a"}};
    assert_int_equal(made.pipeline->flow_count, 0);
    assert_int_equal(order_flow(made.pipeline, "header_only", NULL, values, 2, &diagnostics, &flow), TV_OK);
    assert_string_equal(flow->name, "a");
    assert_int_equal(flow->stage_count, 5);
    assert_int_equal(flow->class, TV_CLASS_HIGH);
    tv_flow_model_free(flow);
    tv_diagnostics_deinit(&diagnostics);
    unload(&made);
}

typedef struct refusal {
    const char *template, *name;
    tv_flow_parameter parameters[5];
    size_t count;
    tv_status status;
    const char *says;
} refusal;

static void orders_that_cannot_be_are_refused_with_the_cause(void **state) {
    (void)state;
    static const refusal refusals[] = {
        {"device", NULL, {{0}}, 0, TV_NOT_FOUND, "no template \"device\""},
        {NULL, NULL, {{0}}, 0, TV_INVALID, "several templates"},
        {"devices", NULL, {{"id", "x"}, {"site", "y"}}, 2, TV_INVALID, "parameter limit is missing"},
        {"devices", NULL, {{"od", "x"}}, 1, TV_INVALID, "has no parameter \"od\""},
        {"devices", "a b", {{"id", "x"}, {"site", "y"}, {"limit", "1"}, {"class", ""}}, 4, TV_INVALID, "\"a b\""},
        {"devices",
         NULL,
         {{"id", "x"}, {"site", "y"}, {"limit", "\xff"}, {"class", ""}},
         4,
         TV_INVALID,
         "not valid UTF-8 (flow \"x\")"},
    };
    loaded made = load(TOUCHED "flows: [ { for_each: devices.csv }, { name: f, parameters: { id: a, limit: 1 } } ]\n");
    enum { COUNT = sizeof(refusals) / sizeof(refusals[0]) };
    size_t before = 0;
    for (size_t i = 0; i < 100 * COUNT; i++) {
        const refusal *refused = &refusals[i % COUNT];
        if (i == WARM_ROUNDS * COUNT) before = heap_bytes();
        tv_diagnostics diagnostics = {0};
        tv_flow_model *flow = NULL;
        tv_status status = order_flow(made.pipeline, refused->template, refused->name, refused->parameters,
                                      refused->count, &diagnostics, &flow);
        assert_int_equal(status, refused->status);
        assert_null(flow);
        assert_true(diagnostics.error_count > 0);
        bool said = false;
        for (size_t d = 0; d < diagnostics.count; d++) {
            said = said || strstr(diagnostics.items[d].message, refused->says) != NULL;
        }
        if (!said) tv_diagnostics_print(&diagnostics, stderr, false);
        assert_true(said);
        tv_diagnostics_deinit(&diagnostics);
    }
    assert_int_equal(heap_bytes(), before);
    unload(&made);
}

static void flows_made_and_freed_leave_nothing_behind(void **state) {
    (void)state;
    loaded made = load(TOUCHED "flows: [ { for_each: devices.csv } ]\n");
    size_t before = 0;
    for (unsigned i = 0; i < 100; i++) {
        if (i == WARM_ROUNDS) before = heap_bytes();
        tv_diagnostics diagnostics = {0};
        tv_flow_model *flow = NULL;
        assert_int_equal(order_flow(made.pipeline, "devices", NULL, third, 4, &diagnostics, &flow), TV_OK);
        tv_flow_model_free(flow);
    }
    assert_int_equal(heap_bytes(), before);
    unload(&made);
}

// ---- tables -------------------------------------------------------------------------------------------------

static size_t count_rows(const char *text, size_t length, tv_status *end) {
    tv_csv csv;
    tv_error error;
    size_t rows = 0;
    char *bytes = malloc(length + 1);
    if (length > 0) memcpy(bytes, text, length);
    *end = tv_csv_open(&csv, bytes, length, &error);
    while (*end == TV_OK) {
        *end = tv_csv_next(&csv, &error);
        rows += *end == TV_OK ? 1 : 0;
    }
    free(bytes);
    return rows;
}

static void last_line_counts_with_and_without_its_end(void **state) {
    (void)state;
    static const char *const texts[] = {"a,b\n1,2\n3,4\n", "a,b\n1,2\n3,4", "a,b\r\n1,2\r\n3,4\r\n",
                                        "a,b\n1,2\n3,\"4\""};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        tv_status end;
        assert_int_equal(count_rows(texts[i], strlen(texts[i]), &end), 2);
        assert_int_equal(end, TV_EOF);
    }
}

static void columns_at_the_maximum_are_read_and_one_more_is_not(void **state) {
    (void)state;
    tv_text text = {0};
    tv_status end;
    for (unsigned i = 0; i < TV_CSV_COLUMNS_MAX; i++) {
        tv_text_print(&text, "%sc%u", i > 0 ? "," : "", i);
    }
    count_rows(text.bytes, text.length, &end);
    assert_int_equal(end, TV_EOF);
    tv_text_print(&text, ",more");
    count_rows(text.bytes, text.length, &end);
    assert_int_equal(end, TV_INVALID);
    tv_text_deinit(&text);
}

static void empty_fields_are_fields(void **state) {
    (void)state;
    tv_csv csv;
    tv_error error;
    char bytes[] = "a,b,c\n,\"\",\n";
    assert_int_equal(tv_csv_open(&csv, bytes, sizeof(bytes) - 1, &error), TV_OK);
    assert_int_equal(tv_csv_next(&csv, &error), TV_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(csv.fields[i], "");
    }
    assert_int_equal(tv_csv_next(&csv, &error), TV_EOF);
}

// ---- keys -----------------------------------------------------------------------------------------------------

// At twenty nanoseconds for each pair of them it would be fifteen seconds.
static void unknown_keys_cost_the_same_each_and_the_one_given_twice_is_found(void **state) {
    (void)state;
    enum { KEYS = 40000 };
    tv_text text = {0};
    tv_diagnostics diagnostics = {0};
    tv_pipeline *pipeline = NULL;
    tv_text_print(&text, "version: 1\n");
    for (int i = 0; i < KEYS; i++)
        tv_text_print(&text, "k%d: 1\n", i);
    tv_text_print(&text, "k20000: 1\n");
    int64_t begin_ns = tv_clock_thread_cpu_ns(tv_clock_system());
    assert_int_equal(fake_load("dir/file.yaml", text.bytes, text.length, &diagnostics, &pipeline), TV_INVALID);
    assert_true(tv_clock_thread_cpu_ns(tv_clock_system()) - begin_ns < 4000000000);
    bool found = false;
    for (size_t i = 0; i < diagnostics.count; i++)
        found = found || strstr(diagnostics.items[i].message, "key \"k20000\" is given twice, first in line 20002");
    assert_true(found);
    tv_pipeline_free(pipeline);
    tv_diagnostics_deinit(&diagnostics);
    tv_text_deinit(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flows_that_no_parameter_touches_share_everything),
        cmocka_unit_test(flows_share_what_their_parameters_do_not_touch),
        cmocka_unit_test(ten_thousand_untouched_flows_cost_less_than_a_kilobyte_each),
        cmocka_unit_test(digits_of_names_follow_the_count),
        cmocka_unit_test(a_further_flow_is_made_from_the_template),
        cmocka_unit_test(numbers_of_further_flows_go_on),
        cmocka_unit_test(a_single_flow_is_a_template_for_others_with_names),
        cmocka_unit_test(a_template_without_rows_makes_its_first_flow_at_run_time),
        cmocka_unit_test(orders_that_cannot_be_are_refused_with_the_cause),
        cmocka_unit_test(flows_made_and_freed_leave_nothing_behind),
        cmocka_unit_test(last_line_counts_with_and_without_its_end),
        cmocka_unit_test(columns_at_the_maximum_are_read_and_one_more_is_not),
        cmocka_unit_test(empty_fields_are_fields),
        cmocka_unit_test(unknown_keys_cost_the_same_each_and_the_one_given_twice_is_found),
    };
    return cmocka_run_group_tests_name("many", tests, NULL, NULL);
}
