// The memory plan as a table for people and as JSON.
#include <string.h>

#include "host/internal.h"
#include "yyjson.h"

static void print_row(FILE *out, const char *what, uint64_t reserved_bytes, uint64_t expected_bytes) {
    char reserved[32], expected[32];
    tv_print(out, "  %-58s %12s %12s\n", what, tv_format_size(reserved_bytes, reserved),
             tv_format_size(expected_bytes, expected));
}

static void print_group_sum(const tv_host_plan *plan, size_t from, size_t to, FILE *out) {
    uint64_t reserved = 0, expected = 0;
    for (size_t i = from; i < to; i++) {
        reserved += plan->lines[i].line.reserved_bytes;
        expected += plan->lines[i].line.expected_bytes;
    }
    print_row(out, "  together", reserved, expected);
    if (plan->lines[from].flows < 2) return;
    print_row(out, "  each of them, on average", reserved / plan->lines[from].flows,
              expected / plan->lines[from].flows);
}

static void print_limit(FILE *out, const tv_host_plan *plan, const char *name, uint64_t limit) {
    char size[32];
    if (!limit) {
        tv_print(out, "  %-58s %12s\n", name, "none");
        return;
    }
    tv_print(out, "  %-58s %12s   %s\n", name, tv_format_size(limit, size),
             tv_host_plan_counted_bytes(plan) <= limit ? "fits" : "DOES NOT FIT");
}

static bool begins_group(const tv_host_plan_line *line, const tv_host_plan_line *before) {
    return strcmp(line->group, before->group) != 0 || (line->flows == 0) != (before->flows == 0);
}

static void print_group_name(const tv_host_plan_line *line, FILE *out) {
    tv_print(out, "\n%s%s", line->flows ? "flow " : "", line->group);
    if (line->flows > 1) tv_print(out, " x %u", line->flows);
    fputc('\n', out);
}

void tv_host_plan_print(const tv_host_plan *plan, const char *title, FILE *out) {
    tv_print(out, "%-60s %12s %12s\n", title, "reserved", "expected");
    size_t from = 0;
    for (size_t i = 0; i < plan->count; i++) {
        if (i == 0 || begins_group(&plan->lines[i], &plan->lines[i - 1])) {
            if (i) print_group_sum(plan, from, i, out);
            print_group_name(&plan->lines[i], out);
            from = i;
        }
        print_row(out, plan->lines[i].line.what, plan->lines[i].line.reserved_bytes,
                  plan->lines[i].line.expected_bytes);
    }
    if (plan->count) print_group_sum(plan, from, plan->count, out);
    tv_print(out, "\n");
    print_row(out, "all", plan->reserved_bytes, plan->expected_bytes);
    if (plan->overcommit)
        tv_print(out, "\nlimits (limits.overcommit: what is expected decides)\n");
    else
        tv_print(out, "\nlimits\n");
    print_limit(out, plan, "limits.memory of the pipeline file", plan->limits.configured_bytes);
    print_limit(out, plan, "memory limit of the control group", plan->limits.cgroup_bytes);
    print_limit(out, plan, "memory available on this machine now", plan->limits.available_bytes);
}

static void add_limit(yyjson_mut_doc *document, yyjson_mut_val *object, const char *name, uint64_t bytes) {
    if (bytes)
        yyjson_mut_obj_add_uint(document, object, name, bytes);
    else
        yyjson_mut_obj_add_null(document, object, name);
}

static void fill_json(yyjson_mut_doc *document, const tv_host_plan *plan, const char *title) {
    tv_error error;
    yyjson_mut_val *root = yyjson_mut_obj(document);
    yyjson_mut_doc_set_root(document, root);
    yyjson_mut_obj_add_str(document, root, "pipeline", title);
    yyjson_mut_obj_add_bool(document, root, "fits", tv_host_plan_check(plan, &error) == TV_OK);
    yyjson_mut_obj_add_uint(document, root, "reserved_bytes", plan->reserved_bytes);
    yyjson_mut_obj_add_uint(document, root, "expected_bytes", plan->expected_bytes);
    yyjson_mut_obj_add_uint(document, root, "flows", plan->flows);
    yyjson_mut_obj_add_uint(document, root, "instances", plan->instances);
    yyjson_mut_obj_add_bool(document, root, "overcommit", plan->overcommit);
    yyjson_mut_val *limits = yyjson_mut_obj_add_obj(document, root, "limits");
    add_limit(document, limits, "configured_bytes", plan->limits.configured_bytes);
    add_limit(document, limits, "cgroup_bytes", plan->limits.cgroup_bytes);
    add_limit(document, limits, "available_bytes", plan->limits.available_bytes);
    yyjson_mut_val *lines = yyjson_mut_obj_add_arr(document, root, "lines");
    for (size_t i = 0; i < plan->count; i++) {
        yyjson_mut_val *line = yyjson_mut_arr_add_obj(document, lines);
        yyjson_mut_obj_add_str(document, line, "group", plan->lines[i].group);
        yyjson_mut_obj_add_uint(document, line, "flows", plan->lines[i].flows);
        yyjson_mut_obj_add_str(document, line, "what", plan->lines[i].line.what);
        yyjson_mut_obj_add_uint(document, line, "reserved_bytes", plan->lines[i].line.reserved_bytes);
        yyjson_mut_obj_add_uint(document, line, "expected_bytes", plan->lines[i].line.expected_bytes);
    }
}

tv_status tv_host_json_print(yyjson_mut_doc *document, FILE *out) {
    char *text = tv_json_write(document, TV_JSON_PRETTY, NULL);
    if (text) fputs(text, out);
    free(text);
    return text ? TV_OK : TV_NO_MEMORY;
}

tv_status tv_host_plan_print_json(const tv_host_plan *plan, const char *title, FILE *out) {
    yyjson_mut_doc *document = yyjson_mut_doc_new(NULL);
    if (!document) return TV_NO_MEMORY;
    fill_json(document, plan, title);
    return tv_host_json_print(document, out);
}
