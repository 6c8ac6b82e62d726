// The list of `flows`: its entries, what `count` and `for_each` make of them, and that no two flows have one name.
//
// An entry that many flows are made of is read in full once; an error there is said once and ends it, but for the names
// of the others. Everything here is linear in flows, or sorts.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/csv.h"
#include "pipeline/load.h"

static tv_path flows_path = {.name = "flows"};

// ---- room for flows -----------------------------------------------------------------------------------------

static tv_flow_model *flows_add(tv_loader *loader) {
    tv_pipeline *pipeline = loader->pipeline;
    if (pipeline->flow_count == loader->flow_capacity) {
        size_t capacity = loader->flow_capacity > 0 ? loader->flow_capacity * 2 : 16;
        tv_flow_model *flows = realloc(pipeline->flows, capacity * sizeof(*flows));
        if (flows == NULL) {
            loader->reader.region->failed = true;
            return NULL;
        }
        pipeline->flows = flows;
        loader->flow_capacity = capacity;
    }
    return &pipeline->flows[pipeline->flow_count];
}

// False when the entry is to end here.
static bool flows_make(tv_loader *loader, tv_template *template, const tv_flow_row *row) {
    tv_pipeline *pipeline = loader->pipeline;
    tv_flow_model *flow = flows_add(loader);
    bool failed = template->prototype != NULL && template->prototype->failed;
    bool too_many = loader->reader.error_count > TV_DIAGNOSTICS_MAX;
    if (flow == NULL) return false;
    if (failed || too_many) {
        pipeline->flow_count += tv_flow_load_name(loader, template, row, flow) ? 1 : 0;
    } else {
        tv_flow_load(loader, template, row, flow);
        pipeline->flow_count += flow->name != NULL ? 1 : 0;
    }
    template->model->flow_count = pipeline->flow_count - template->model->first_flow;
    return !loader->reader.region->failed;
}

// `count` of an entry, or the rows of its table, against limits.flows.
static bool flows_check_room(tv_loader *loader, const tv_template *template, size_t wanted, const char *key) {
    size_t most = loader->pipeline->limits.flows, made = loader->pipeline->flow_count;
    tv_path path = {.parent = &flows_path, .index = template->index};
    tv_path key_path = {.parent = &path, .name = key};
    const tv_yaml_node *value = tv_yaml_get(template->node, key);
    if (wanted <= most - made) return true;
    tv_reader_report(
        &loader->reader, TV_SEVERITY_ERROR, value != NULL ? value->place : template->model->place, &key_path,
        tv_region_print(loader->reader.region, "raise it: `limits: { flows: N }`, N at most %d", TV_FLOWS_MAX),
        "there are more flows than limits.flows allows, which is %zu", most);
    return false;
}

// ---- count --------------------------------------------------------------------------------------------------

static void flows_make_count(tv_loader *loader, tv_template *template, size_t count) {
    if (!flows_check_room(loader, template, count, "count")) return;
    for (size_t i = 1; i <= count; i++) {
        tv_flow_row row = {.given = template->given, .index = (uint32_t)i};
        if (!flows_make(loader, template, &row)) return;
    }
    template->next_index = (uint32_t)count + 1;
}

// ---- for_each -----------------------------------------------------------------------------------------------

static void flows_report_table(tv_loader *loader, const tv_template *template, uint32_t line, const char *hint,
                               const char *message) {
    loader->reader.error_count++;
    tv_diagnostics_add(loader->reader.diagnostics, TV_SEVERITY_ERROR, template->table, line, line > 0 ? 1 : 0, "", hint,
                       "%s", message);
}

static bool flows_name_is_taken(const tv_template *template, const char *name) {
    for (size_t i = 0; i < template->column_count; i++) {
        if (strcmp(template->columns[i], name) == 0) return true;
    }
    for (size_t i = 0; i < template->given_count; i++) {
        if (strcmp(template->given[i].name, name) == 0) return true;
    }
    return strcmp(name, "index") == 0 || strcmp(name, "flow") == 0;
}

static bool flows_read_column(tv_loader *loader, tv_template *template, const char *name, uint32_t line) {
    tv_region *region = loader->reader.region;
    if (!tv_variable_name_is_valid(name, strlen(name))) {
        flows_report_table(loader, template, line, "rename it: letters, digits and _, not beginning with a digit",
                           tv_region_print(region, "column \"%.80s\" cannot be the name of a parameter", name));
        return false;
    }
    if (flows_name_is_taken(template, name)) {
        flows_report_table(loader, template, line, "rename one of them",
                           tv_region_print(region,
                                           "two parameters are named \"%s\": columns, `parameters`, and `index` "
                                           "and `flow`, which every flow has",
                                           name));
        return false;
    }
    const char *copy = tv_region_copy(region, name, strlen(name));
    if (copy == NULL) return false;
    template->columns[template->column_count++] = copy;
    return true;
}

static bool flows_read_columns(tv_loader *loader, tv_template *template, const tv_csv *csv) {
    bool complete = true;
    template->columns = tv_region_alloc(loader->reader.region, csv->column_count, sizeof(*template->columns));
    if (template->columns == NULL) return false;
    for (size_t i = 0; i < csv->column_count; i++) {
        complete = flows_read_column(loader, template, csv->columns[i], csv->row_line) && complete;
    }
    if (template->column_count + template->given_count <= TV_PARAMETERS_MAX) return complete;
    flows_report_table(
        loader, template, csv->row_line, "remove columns that nothing uses",
        tv_region_print(loader->reader.region, "more than %d columns and `parameters` together", TV_PARAMETERS_MAX));
    return false;
}

static void flows_make_rows(tv_loader *loader, tv_template *template, tv_csv *csv) {
    tv_error error;
    uint32_t index = 1;
    tv_status status;
    while ((status = tv_csv_next(csv, &error)) == TV_OK) {
        tv_flow_row row = {.columns = (const char *const *)csv->fields,
                           .given = template->given,
                           .index = index++,
                           .line = csv->row_line};
        if (!flows_check_room(loader, template, 1, "for_each") || !flows_make(loader, template, &row)) return;
    }
    if (status != TV_EOF) flows_report_table(loader, template, csv->row_line, NULL, error.message);
    template->next_index = index;
    if (index > 1 || status != TV_EOF) return;
    tv_diagnostics_add(loader->reader.diagnostics, TV_SEVERITY_WARNING, template->table, 0, 0, "", NULL,
                       "the table has no rows, so that no flow is made of it");
}

static void flows_make_for_each(tv_loader *loader, tv_template *template, const char *file) {
    tv_error error;
    tv_csv csv;
    uint8_t *bytes = NULL;
    size_t length = 0;
    char none = '\0';
    template->table = tv_reader_resolve_path(&loader->reader, file);
    if (template->table == NULL) return;
    tv_status status = loader->read_file(template->table, TV_CSV_BYTES_MAX, &bytes, &length, &error);
    if (status == TV_NO_MEMORY) loader->reader.region->failed = true;
    if (status != TV_OK) {
        flows_report_table(loader, template, 0, "the path is relative to the folder of the pipeline file",
                           error.message);
        return;
    }
    if (tv_csv_open(&csv, bytes != NULL ? (char *)bytes : &none, length, &error) != TV_OK) {
        flows_report_table(loader, template, csv.row_line, NULL, error.message);
    } else if (flows_read_columns(loader, template, &csv)) {
        flows_make_rows(loader, template, &csv);
    }
    free(bytes);
}

// ---- parameters ---------------------------------------------------------------------------------------------

static void flows_read_parameter(tv_loader *loader, const tv_yaml_item *item, const tv_path *path,
                                 tv_template *template) {
    tv_path item_path = {.parent = path, .name = item->key};
    tv_scalar_type type;
    char found[80];
    if (!tv_variable_name_is_valid(item->key, strlen(item->key))) {
        tv_reader_report(&loader->reader, TV_SEVERITY_ERROR, item->key_place, path,
                         "letters, digits and _, not beginning with a digit, at most 63",
                         "\"%.80s\" cannot be the name of a variable", item->key);
        return;
    }
    if (strcmp(item->key, "index") == 0 || strcmp(item->key, "flow") == 0) {
        tv_reader_report(&loader->reader, TV_SEVERITY_ERROR, item->key_place, path, "use another name",
                         "the parameter \"%s\" is there already: the flow's %s", item->key,
                         item->key[0] == 'f' ? "name" : "number");
        return;
    }
    if (item->value->kind != TV_YAML_SCALAR) {
        tv_reader_report(&loader->reader, TV_SEVERITY_ERROR, item->value->place, &item_path, NULL,
                         "expected a text or a number, found %s", tv_yaml_describe(item->value, found, sizeof(found)));
        return;
    }
    // Parameters are resolved by the environment alone: they do not see each other.
    const char *value = tv_reader_scalar(&loader->reader, item->value, &item_path, &type);
    if (value == NULL) return;
    template->given[template->given_count++] =
        (tv_parameter){.name = item->key, .value = value, .place = item->key_place};
}

static void flows_read_parameters(tv_loader *loader, tv_template *template, const tv_path *parent) {
    const tv_yaml_node *node = tv_yaml_get(template->node, "parameters");
    tv_path path = {.parent = parent, .name = "parameters"};
    char found[80];
    if (tv_yaml_is_null(node)) return;
    if (node->kind != TV_YAML_MAPPING || node->count > TV_PARAMETERS_MAX) {
        tv_reader_report(&loader->reader, TV_SEVERITY_ERROR, node->place, &path, NULL,
                         "expected a mapping of at most %d variables to values, found %s%s", TV_PARAMETERS_MAX,
                         tv_yaml_describe(node, found, sizeof(found)), node->kind == TV_YAML_MAPPING ? " of more" : "");
        return;
    }
    template->given = tv_region_alloc(loader->reader.region, node->count, sizeof(*template->given));
    if (template->given == NULL) return;
    for (const tv_yaml_item *item = node->items; item != NULL; item = item->next) {
        flows_read_parameter(loader, item, &path, template);
    }
}

// ---- entries ------------------------------------------------------------------------------------------------

// What `name` begins with, or else the table's name without folder and extension, or the pipeline's.
static const char *flows_template_name(tv_loader *loader, const tv_template *template) {
    const char *text = template->name_text != NULL ? template->name_text : "";
    size_t length = strcspn(text, "$");
    while (length > 0 && strchr("-_.", text[length - 1]) != NULL) {
        length--;
    }
    if (length == 0 && template->table != NULL) {
        const char *slash = strrchr(template->table, '/');
        text = slash != NULL ? slash + 1 : template->table;
        length = strcspn(text, ".");
    }
    return length > 0 ? tv_region_copy(loader->reader.region, text, length) : loader->pipeline->name;
}

static unsigned flows_digits(int64_t count) {
    unsigned digits = 4;
    for (int64_t limit = 10000; count >= limit; limit *= 10) {
        digits++;
    }
    return digits;
}

// How the flows of an entry that stands for many are named.
static void flows_read_naming(tv_loader *loader, tv_template *template, int64_t count) {
    const tv_yaml_node *name = tv_yaml_get(template->node, "name");
    if (name != NULL && name->kind == TV_YAML_SCALAR && name->length > 0) template->name_text = name->text;
    if (!template->many) return;
    bool has_variables = template->name_text != NULL && strchr(template->name_text, '$') != NULL;
    bool by_column = template->name_text == NULL && template->table != NULL;
    if (has_variables || by_column) return;
    if (template->name_text == NULL) template->name_text = loader->pipeline->name;
    template->digits = flows_digits(count);
}

static void flows_describe(tv_loader *loader, tv_template *template, const char *explicit_name) {
    tv_template_model *model = template->model;
    size_t count = template->column_count + template->given_count;
    model->many = template->many;
    model->table = template->table;
    model->name = explicit_name;
    if (!template->many && model->flow_count > 0) model->name = loader->pipeline->flows[model->first_flow].name;
    if (model->name == NULL) model->name = flows_template_name(loader, template);
    const char **names = tv_region_alloc(loader->reader.region, count, sizeof(*names));
    if (names == NULL) return;
    for (size_t i = 0; i < count; i++) {
        bool column = i < template->column_count;
        names[i] = column ? template->columns[i] : template->given[i - template->column_count].name;
    }
    model->parameter_names = names;
    model->parameter_count = count;
    model->required_count = template->column_count;
}

// The keys that say how many flows there are, with variables of the environment alone.
static void flows_read_many(tv_loader *loader, const tv_yaml_node *node, const tv_path *path, tv_flow_values *values) {
    static const char *const keys[] = {"count", "for_each", "template"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        tv_reader_key(&loader->reader, tv_option_find(&tv_section_flow.options, keys[i]), node, path, values);
    }
    const tv_yaml_item *for_each = tv_yaml_find(node, "for_each");
    if (tv_yaml_find(node, "count") != NULL && for_each != NULL) {
        tv_reader_report(&loader->reader, TV_SEVERITY_ERROR, for_each->key_place, path, "remove one of them",
                         "`count` and `for_each` both say how many flows there are");
    }
    const tv_yaml_item *template = tv_yaml_find(node, "template");
    if (template != NULL && values->count == 0 && for_each == NULL) {
        tv_reader_report(&loader->reader, TV_SEVERITY_ERROR, template->key_place, path, "remove it",
                         "`template` is for entries with `count` or `for_each`; a single flow has its name");
    }
}

static void flows_load_entry(tv_loader *loader, tv_template *template) {
    tv_path path = {.parent = &flows_path, .index = template->index};
    tv_flow_values values = {0};
    size_t errors = loader->reader.error_count;
    bool counted = tv_yaml_find(template->node, "count") != NULL;
    bool tabled = tv_yaml_find(template->node, "for_each") != NULL;
    template->many = counted || tabled;
    flows_read_many(loader, template->node, &path, &values);
    flows_read_parameters(loader, template, &path);
    bool usable = loader->reader.error_count == errors;
    if (tabled) template->table = values.for_each;
    flows_read_naming(loader, template, values.count);
    template->model->first_flow = loader->pipeline->flow_count;
    if (!template->many) {
        tv_flow_row row = {.given = template->given, .index = 1};
        if (flows_check_room(loader, template, 1, "name")) flows_make(loader, template, &row);
    } else if (usable && counted) {
        flows_make_count(loader, template, (size_t)values.count);
    } else if (usable) {
        flows_make_for_each(loader, template, values.for_each);
    }
    // Without its flows nothing can be said of what they would have used.
    if (template->many && loader->reader.error_count > errors) loader->builder.incomplete = true;
    flows_describe(loader, template, values.template);
}

// ---- names --------------------------------------------------------------------------------------------------

static int flows_compare(const void *a, const void *b) {
    const tv_flow_model *const *left = a;
    const tv_flow_model *const *right = b;
    int order = strcmp((*left)->name, (*right)->name);
    return order != 0 ? order : (*left > *right) - (*left < *right);
}

static void flows_report_same_name(tv_loader *loader, const tv_flow_model *flow, const tv_flow_model *other) {
    tv_reader *reader = &loader->reader;
    const tv_template *template = &loader->templates[flow->template];
    const char *hint = flow->template == other->template
                           ? "name flows by a parameter that is different for each: `name: \"line-${index}\"`"
                           : "give each flow a `name` of its own";
    if (flow->row_line == 0) {
        tv_reader_report(reader, TV_SEVERITY_ERROR, flow->place, &flows_path, hint, "two flows are named \"%s\"",
                         flow->name);
        return;
    }
    reader->error_count++;
    if (other->template == flow->template) {
        tv_diagnostics_add(reader->diagnostics, TV_SEVERITY_ERROR, template->table, flow->row_line, 1, "", hint,
                           "a flow is named \"%s\" already, in line %u", flow->name, other->row_line);
    } else {
        tv_diagnostics_add(reader->diagnostics, TV_SEVERITY_ERROR, template->table, flow->row_line, 1, "", hint,
                           "a flow of another entry is named \"%s\" already", flow->name);
    }
}

static void flows_check_names(tv_loader *loader) {
    tv_pipeline *pipeline = loader->pipeline;
    size_t count = pipeline->flow_count;
    const tv_flow_model **sorted = calloc(count + 1, sizeof(*sorted));
    if (sorted == NULL) {
        loader->reader.region->failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &pipeline->flows[i];
    }
    qsort(sorted, count, sizeof(*sorted), flows_compare);
    for (size_t i = 1; i < count && loader->reader.error_count <= TV_DIAGNOSTICS_MAX; i++) {
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0) flows_report_same_name(loader, sorted[i], sorted[i - 1]);
    }
    free(sorted);
}

static int flows_compare_templates(const void *a, const void *b) {
    const tv_template_model *const *left = a;
    const tv_template_model *const *right = b;
    int order = (*left)->name == NULL || (*right)->name == NULL ? 0 : strcmp((*left)->name, (*right)->name);
    return order != 0 ? order : (*left > *right) - (*left < *right);
}

// Those of single flows are names of flows.
static void flows_check_template_names(tv_loader *loader, const tv_template_model **sorted) {
    size_t count = 0;
    for (size_t i = 0; i < loader->pipeline->template_count; i++) {
        if (loader->pipeline->templates[i].many) sorted[count++] = &loader->pipeline->templates[i];
    }
    qsort(sorted, count, sizeof(*sorted), flows_compare_templates);
    for (size_t i = 0; i < count; i++) {
        tv_reader_name(&loader->reader, sorted[i]->name, sorted[i]->place, &flows_path, "a template");
        if (i == 0 || strcmp(sorted[i - 1]->name, sorted[i]->name) != 0) continue;
        tv_reader_report(&loader->reader, TV_SEVERITY_ERROR, sorted[i]->place, &flows_path,
                         "give one of them a `template` of its own",
                         "two entries that stand for many flows are both called \"%s\"", sorted[i]->name);
    }
}

// ---- all of them --------------------------------------------------------------------------------------------

// The list, or NULL where there is none to follow.
static const tv_yaml_node *flows_check_list(tv_loader *loader, const tv_yaml_node *node) {
    char found[80];
    if (node == NULL) return NULL;
    if (node->kind == TV_YAML_LIST && node->count > 0 && node->count <= TV_FLOW_ENTRIES_MAX) return node;
    tv_reader_report(&loader->reader, TV_SEVERITY_ERROR, node->place, &flows_path, "without the key there is one flow",
                     "expected a list of 1 to %d flows, found %s%s", TV_FLOW_ENTRIES_MAX,
                     tv_yaml_describe(node, found, sizeof(found)),
                     node->kind != TV_YAML_LIST ? ""
                     : node->count == 0         ? " of none"
                                                : " of more");
    return NULL;
}

void tv_flows_load(tv_loader *loader) {
    tv_region *region = loader->reader.region;
    tv_pipeline *pipeline = loader->pipeline;
    const tv_yaml_node *list = flows_check_list(loader, loader->root.flows);
    size_t count = list != NULL ? list->count : 1;
    loader->templates = tv_region_alloc(region, count, sizeof(*loader->templates));
    pipeline->templates = tv_region_alloc(region, count, sizeof(*pipeline->templates));
    const tv_template_model **sorted = tv_region_alloc(region, count, sizeof(*sorted));
    if (loader->templates == NULL || pipeline->templates == NULL || sorted == NULL) return;
    const tv_yaml_item *item = list != NULL ? list->items : NULL;
    for (size_t i = 0; i < count && !region->failed; i++) {
        tv_template *template = &loader->templates[pipeline->template_count];
        template->model = &pipeline->templates[pipeline->template_count++];
        template->index = i;
        template->node = item != NULL ? item->value : NULL;
        template->model->place = item != NULL ? item->value->place : (tv_place){.line = 1, .column = 1};
        flows_load_entry(loader, template);
        if (item != NULL) item = item->next;
    }
    if (region->failed) return;
    flows_check_names(loader);
    flows_check_template_names(loader, sorted);
}
