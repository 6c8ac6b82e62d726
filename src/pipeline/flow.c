// One flow of an entry of `flows`: its parameters, its name, its own keys, and its stages and channels, read in full or
// made from a prototype.
#include <stdio.h>
#include <string.h>

#include "pipeline/csv.h"
#include "pipeline/load.h"

// The parameters of a flow while it is read. `flow` is the last, since a name cannot name itself.
typedef struct flow_parameters {
    tv_parameter items[TV_FLOW_PARAMETERS_MAX];
    size_t count;
    char index[16];
} flow_parameters;

static void flow_set_parameters(tv_loader *loader, const tv_template *template, const tv_flow_row *row,
                                flow_parameters *parameters) {
    tv_variables *variables = &loader->reader.variables;
    tv_parameter *items = parameters->items;
    size_t count = 0;
    snprintf(parameters->index, sizeof(parameters->index), "%u", row->index);
    if (template->many) items[count++] = (tv_parameter){.name = "index", .value = parameters->index};
    for (size_t i = 0; i < template->column_count; i++) {
        items[count++] = (tv_parameter){.name = template->columns[i], .value = row->columns[i]};
    }
    for (size_t i = 0; i < template->given_count; i++) {
        items[count++] = row->given[i];
    }
    items[count] = (tv_parameter){.name = "flow"};
    parameters->count = count + 1;
    variables->parameters = items;
    variables->parameter_count = count; // `flow` when it is known
    variables->table = template->table;
    loader->reader.many_flow = NULL;
    loader->reader.many_hits = variables->parameter_hits;
}

static void flow_forget_parameters(tv_loader *loader) {
    tv_variables *variables = &loader->reader.variables;
    variables->parameters = NULL;
    variables->parameter_count = 0;
    variables->flow = variables->table = NULL;
    loader->reader.many_flow = loader->reader.many_file = NULL;
    loader->reader.many_line = 0;
}

// ---- name ---------------------------------------------------------------------------------------------------

static const char *flow_make_name(tv_loader *loader, const tv_template *template, const tv_flow_row *row,
                                  const tv_path *path) {
    tv_reader *reader = &loader->reader;
    tv_flow_values values = {0};
    if (row->name != NULL) return tv_region_copy(reader->region, row->name, strlen(row->name));
    if (template->digits > 0)
        return tv_region_print(reader->region, "%.63s-%0*u", template->name_text, (int)template->digits, row->index);
    if (template->name_text != NULL) {
        tv_reader_key(reader, tv_option_find(&tv_section_flow.options, "name"), template->node, path, &values);
        return values.name != NULL || template->many ? values.name : loader->pipeline->name;
    }
    if (template->column_count > 0) return tv_region_copy(reader->region, row->columns[0], strlen(row->columns[0]));
    return loader->pipeline->name;
}

static void flow_report_name(tv_loader *loader, const tv_template *template, const tv_flow_row *row, const char *name,
                             tv_place place) {
    tv_reader *reader = &loader->reader;
    tv_path all = {.name = "flows"};
    tv_path path = {.parent = &all, .index = template->index};
    if (template->node == NULL && !loader->builder.running) return; // the pipeline's name, which was said to be wrong
    if (row->line == 0) {
        tv_reader_name(reader, name, place, &path, "a flow");
        return;
    }
    reader->error_count++;
    tv_diagnostics_add(reader->diagnostics, TV_SEVERITY_ERROR, template->table, row->line, 1, "", TV_NAME_RULE,
                       "\"%.80s\" cannot be the name of a flow", name);
}

// The name, known to variables and reports from here on; NULL after a report.
static const char *flow_read_name(tv_loader *loader, const tv_template *template, const tv_flow_row *row,
                                  const tv_path *path) {
    tv_reader *reader = &loader->reader;
    const char *name = flow_make_name(loader, template, row, path);
    if (name == NULL) return NULL;
    if (!tv_name_is_valid(name)) flow_report_name(loader, template, row, name, template->model->place);
    reader->variables.flow = name;
    if (template->many || loader->builder.running) {
        reader->many_flow = name;
        reader->many_file = row->line > 0 ? template->table : NULL;
        reader->many_line = row->line;
    }
    return name;
}

// ---- the flow's own keys ------------------------------------------------------------------------------------

static void flow_read_options(tv_loader *loader, const tv_template *template, const tv_path *path,
                              tv_flow_model *flow) {
    tv_flow_values values;
    tv_reader_section(&loader->reader, &tv_section_flow, template->node, template->model->place, path, &values);
    flow->class = (tv_class)values.class;
    flow->quantum_records = (uint32_t)values.quantum;
    flow->turn_ns = values.turn_ns;
    flow->cycle_ns = values.cycle_ns;
    flow->cpu_per_s_ns = values.cpu_ns;
    flow->memory_bytes = values.memory;
    flow->rate = (tv_rate_model){
        .records = (uint64_t)values.rate.records, .bytes = values.rate.bytes, .burst_ns = values.rate.burst_ns};
    bool own_trim = tv_yaml_find(template->node, "idle_trim") != NULL; // 0 means something
    flow->idle_trim_ns = own_trim ? values.idle_trim_ns : loader->root.scheduler.idle_trim_ns;
}

// ---- prototypes ---------------------------------------------------------------------------------------------

static bool flow_is_like(const tv_prototype *prototype, const flow_parameters *parameters) {
    if (prototype == NULL || prototype->name_count != parameters->count) return false;
    for (size_t i = 0; i < parameters->count; i++) {
        if (strcmp(prototype->names[i], parameters->items[i].name) != 0) return false;
    }
    return true;
}

static void flow_keep_prototype(tv_loader *loader, tv_template *template, const flow_parameters *parameters,
                                const tv_prototype *made) {
    tv_prototype *prototype = tv_region_alloc(loader->reader.region, 1, sizeof(*prototype));
    if (prototype == NULL) return;
    *prototype = *made;
    for (size_t i = 0; i < parameters->count; i++) {
        prototype->names[i] = parameters->items[i].name;
        prototype->used[i] = parameters->items[i].used;
    }
    prototype->name_count = parameters->count;
    loader->prototype = prototype;
    if (template->many) template->prototype = prototype;
}

static bool flow_overflows_like(const tv_flow_model *a, const tv_flow_model *b) {
    for (size_t i = 0; i < a->channel_count; i++) {
        if (a->channels[i].overflow != b->channels[i].overflow) return false;
    }
    return true;
}

static void flow_derive(tv_loader *loader, const tv_prototype *prototype, flow_parameters *parameters,
                        tv_flow_model *flow) {
    tv_stages_derive(&loader->builder, prototype);
    tv_channels_derive(&loader->builder, prototype);
    for (size_t i = 0; i < parameters->count; i++) {
        if (prototype->used[i]) parameters->items[i].used = true;
    }
    // Of what the rules look at, only this can differ.
    bool complete = flow->channel_count == prototype->flow.channel_count;
    if (complete && !flow_overflows_like(flow, &prototype->flow)) tv_graph_check(&loader->reader, flow);
}

static void flow_build(tv_loader *loader, tv_flow_model *flow) {
    tv_builder *builder = &loader->builder;
    memset(builder->channel_use, 0, sizeof(builder->channel_use));
    builder->touched = (tv_touch){0};
    tv_stages_build(builder);
    tv_channels_build(builder);
    loader->reader.many_hits = loader->reader.variables.parameter_hits; // the graph is that of all flows of the entry
    tv_graph_check(&loader->reader, flow);
}

// ---- values -------------------------------------------------------------------------------------------------

// What is the entry's is shared; without memory the region has failed.
static const char *flow_keep_value(tv_loader *loader, const char *value, const char *shared) {
    return value == shared ? value : tv_region_copy(loader->reader.region, value, strlen(value));
}

// For whoever makes another flow like this one, or wants to know.
static const char *const *flow_keep_values(tv_loader *loader, tv_template *template, const tv_flow_row *row) {
    size_t columns = template->column_count, count = columns + template->given_count;
    bool plain = columns == 0 && row->given == template->given;
    if (count == 0) return NULL;
    if (plain && template->given_values != NULL) return template->given_values;
    const char **values = tv_region_alloc(loader->reader.region, count, sizeof(*values));
    if (values == NULL) return NULL;
    for (size_t i = 0; i < columns; i++) {
        values[i] = flow_keep_value(loader, row->columns[i], NULL);
    }
    for (size_t i = 0; i < template->given_count; i++) {
        values[columns + i] = flow_keep_value(loader, row->given[i].value, template->given[i].value);
    }
    if (plain && !loader->builder.running) template->given_values = values;
    return values;
}

// ---- all of it ----------------------------------------------------------------------------------------------

static void flow_report_unused(tv_loader *loader, const flow_parameters *parameters, const tv_path *path) {
    tv_path parameters_path = {.parent = path, .name = "parameters"};
    if (loader->builder.running) return;
    loader->reader.many_flow = NULL; // it is so for all flows of the entry
    for (size_t i = 0; i < parameters->count; i++) {
        const tv_parameter *parameter = &parameters->items[i];
        if (parameter->used || parameter->place.line == 0) continue;
        tv_reader_report(
            &loader->reader, TV_SEVERITY_WARNING, parameter->place, &parameters_path,
            tv_region_print(loader->reader.region, "write ${%s} where it is meant, or remove it", parameter->name),
            "nothing under `channels` and `stages` uses the parameter %s", parameter->name);
    }
}

// Keys of another entry are others, though its stages and channels may be the same.
static bool flow_copy_options(const tv_template *template, tv_flow_model *flow) {
    const tv_prototype *own = template->prototype;
    if (own == NULL || own->options_touched) return false;
    tv_flow_model copy = own->flow;
    copy.name = flow->name;
    copy.row_line = flow->row_line;
    *flow = copy;
    return true;
}

// The flow's keys, stages and channels, with all parameters known.
static void flow_read(tv_loader *loader, tv_template *template, const tv_path *path, uint64_t name_hits,
                      flow_parameters *parameters, tv_flow_model *flow) {
    const uint64_t *hits = &loader->reader.variables.parameter_hits;
    const tv_prototype *base = template->prototype != NULL ? template->prototype : loader->prototype;
    bool like = flow_is_like(base, parameters) && !base->failed && !base->touched.wiring;
    size_t errors = loader->reader.error_count;
    uint64_t before = *hits;
    if (!flow_copy_options(template, flow)) flow_read_options(loader, template, path, flow);
    bool options_touched = *hits - before > name_hits;
    if (like) {
        flow_derive(loader, base, parameters, flow);
    } else {
        flow_build(loader, flow);
    }
    if (loader->builder.running || template->prototype != NULL || (like && !template->many)) return;
    tv_prototype made = {.flow = *flow,
                         .touched = like ? base->touched : loader->builder.touched,
                         .options_touched = options_touched,
                         .failed = loader->reader.error_count > errors};
    flow_keep_prototype(loader, template, parameters, &made);
}

void tv_flow_load(tv_loader *loader, tv_template *template, const tv_flow_row *row, tv_flow_model *flow) {
    tv_path all = {.name = "flows"};
    tv_path path = {.parent = &all, .index = template->index};
    tv_variables *variables = &loader->reader.variables;
    flow_parameters parameters;
    *flow = (tv_flow_model){.template = (uint32_t)(template->model - loader->pipeline->templates),
                            .place = template->model->place,
                            .row_line = row->line};
    flow_set_parameters(loader, template, row, &parameters);
    uint64_t hits = variables->parameter_hits;
    flow->name = flow_read_name(loader, template, row, &path);
    if (flow->name != NULL) {
        parameters.items[parameters.count - 1].value = flow->name;
        variables->parameter_count = parameters.count;
        loader->builder.flow = flow;
        flow_read(loader, template, &path, variables->parameter_hits - hits, &parameters, flow);
        flow_report_unused(loader, &parameters, &path);
        flow->parameters = flow_keep_values(loader, template, row);
        flow->index = row->index;
    }
    flow_forget_parameters(loader);
}

bool tv_flow_load_name(tv_loader *loader, tv_template *template, const tv_flow_row *row, tv_flow_model *flow) {
    tv_path all = {.name = "flows"};
    tv_path path = {.parent = &all, .index = template->index};
    flow_parameters parameters;
    *flow = (tv_flow_model){.template = (uint32_t)(template->model - loader->pipeline->templates),
                            .place = template->model->place,
                            .row_line = row->line};
    flow_set_parameters(loader, template, row, &parameters);
    flow->name = flow_read_name(loader, template, row, &path);
    flow_forget_parameters(loader);
    return flow->name != NULL;
}
