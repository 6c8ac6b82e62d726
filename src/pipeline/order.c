// One more flow while the pipeline runs (tv_pipeline_flow_new).
//
// It is read as at the start, into a region of its own; what it shares with the others lies in the pipeline's. Nothing
// of the pipeline changes, so that a flow leaves no trace when it is freed.
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "pipeline/csv.h"
#include "pipeline/load.h"

enum { ORDER_BLOCK_BYTES = 1024, ORDER_BYTES_MAX = 4 * 1024 * 1024 };

// The model first: tv_flow_model_free gets its address.
typedef struct order_flow {
    tv_flow_model model;
    tv_region region;
} order_flow;

typedef struct order_reader {
    tv_loader *loader;
    const tv_flow_order *order;
    tv_template *template;
    const char *columns[TV_CSV_COLUMNS_MAX];
    tv_parameter given[TV_PARAMETERS_MAX];
} order_reader;

static void order_report(order_reader *reader, const char *hint, const char *message) {
    tv_reader *at = &reader->loader->reader;
    tv_place place = reader->template != NULL ? reader->template->model->place : (tv_place){0};
    tv_path path = {.name = "flows"};
    tv_reader_report(at, TV_SEVERITY_ERROR, place, &path, hint, "%s", message != NULL ? message : "out of memory");
}

static bool order_find_template(order_reader *reader) {
    tv_pipeline *pipeline = reader->loader->pipeline;
    tv_region *region = reader->loader->reader.region;
    const char *names[64];
    size_t count = 0;
    if (reader->order->like != NULL) {
        reader->template = &reader->loader->templates[reader->order->like->template];
        return true;
    }
    if (reader->order->template == NULL && pipeline->template_count == 1) {
        reader->template = &reader->loader->templates[0];
        return true;
    }
    for (size_t i = 0; i < pipeline->template_count; i++) {
        const char *name = pipeline->templates[i].name;
        if (reader->order->template != NULL && strcmp(name, reader->order->template) == 0) {
            reader->template = &reader->loader->templates[i];
            return true;
        }
        if (count < sizeof(names) / sizeof(names[0])) names[count++] = name;
    }
    if (reader->order->template == NULL) {
        order_report(reader, tv_reader_list(&reader->loader->reader, "its templates are ", names, count),
                     "the pipeline has several templates; name the one to make a flow of");
        return false;
    }
    order_report(reader, tv_reader_suggest(&reader->loader->reader, reader->order->template, names, count),
                 tv_region_print(region, "there is no template \"%.80s\"", reader->order->template));
    return false;
}

static void order_take_parameter(order_reader *reader, const tv_flow_parameter *parameter) {
    const tv_template *template = reader->template;
    const tv_template_model *model = template->model;
    for (size_t i = 0; i < template->column_count; i++) {
        if (strcmp(template->columns[i], parameter->name) != 0) continue;
        reader->columns[i] = parameter->value;
        return;
    }
    for (size_t i = 0; i < template->given_count; i++) {
        if (strcmp(template->given[i].name, parameter->name) != 0) continue;
        reader->given[i].value = parameter->value;
        return;
    }
    const char *hint = model->parameter_count == 0 ? "it has none"
                                                   : tv_reader_suggest(&reader->loader->reader, parameter->name,
                                                                       model->parameter_names, model->parameter_count);
    order_report(reader, hint,
                 tv_region_print(reader->loader->reader.region, "template \"%s\" has no parameter \"%.80s\"",
                                 model->name, parameter->name));
}

static void order_take_over(order_reader *reader, const tv_flow_model *like) {
    const tv_template *template = reader->template;
    for (size_t i = 0; i < template->column_count; i++) {
        reader->columns[i] = like->parameters[i];
    }
    for (size_t i = 0; i < template->given_count; i++) {
        reader->given[i].value = like->parameters[template->column_count + i];
    }
}

static void order_read_parameters(order_reader *reader) {
    const tv_template *template = reader->template;
    if (template->given_count > 0)
        memcpy(reader->given, template->given, template->given_count * sizeof(*reader->given));
    if (reader->order->like != NULL) order_take_over(reader, reader->order->like);
    for (size_t i = 0; i < reader->order->parameter_count; i++) {
        order_take_parameter(reader, &reader->order->parameters[i]);
    }
    for (size_t i = 0; i < template->column_count; i++) {
        if (reader->columns[i] != NULL) continue;
        order_report(reader, "give it a value: NAME=VALUE",
                     tv_region_print(reader->loader->reader.region,
                                     "the parameter %s is missing, which %s has a column "
                                     "for",
                                     template->columns[i], template->table));
    }
    if (reader->order->name == NULL && !template->many) {
        order_report(reader, "give it one", "a further flow of an entry for one flow needs a name");
    }
}

// The flow's model is in reader->region; OK or INVALID.
static tv_status order_read(order_reader *reader, tv_flow_model *flow) {
    tv_reader *at = &reader->loader->reader;
    if (!order_find_template(reader)) return reader->order->template != NULL ? TV_NOT_FOUND : TV_INVALID;
    order_read_parameters(reader);
    if (at->error_count > 0) return TV_INVALID;
    const tv_flow_model *like = reader->order->like;
    tv_template *template = reader->template;
    uint32_t next = template->next_index > 0 ? template->next_index : 1;
    tv_flow_row row = {.columns = reader->columns,
                       .given = reader->given,
                       .index = like != NULL ? like->index : next,
                       .name = reader->order->name};
    tv_flow_load(reader->loader, template, &row, flow);
    if (at->error_count > 0) return TV_INVALID;
    if (template->many && like == NULL) template->next_index = row.index + 1;
    return TV_OK;
}

tv_status tv_pipeline_flow_new(tv_pipeline *pipeline, const tv_flow_order *order, tv_diagnostics *diagnostics,
                               tv_flow_model **out) {
    tv_loader *loader = pipeline->loader;
    tv_region *shared = loader->reader.region;
    order_reader reader = {.loader = loader, .order = order};
    order_flow *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        tv_diagnostics_add(diagnostics, TV_SEVERITY_ERROR, pipeline->file, 0, 0, "", NULL, "out of memory");
        return TV_NO_MEMORY;
    }
    tv_region_init(&made->region, ORDER_BLOCK_BYTES, ORDER_BYTES_MAX);
    loader->reader.region = &made->region;
    loader->reader.diagnostics = diagnostics;
    loader->reader.error_count = 0;
    loader->builder.incomplete = false;
    tv_status status = order_read(&reader, &made->model);
    loader->reader.region = shared;
    loader->reader.diagnostics = NULL;
    if (made->region.failed && status == TV_OK) {
        tv_diagnostics_add(diagnostics, TV_SEVERITY_ERROR, pipeline->file, 0, 0, "", NULL, "%s",
                           made->region.exceeded ? "the flow's configuration is too large" : "out of memory");
        status = made->region.exceeded ? TV_INVALID : TV_NO_MEMORY;
    }
    if (status == TV_OK) {
        *out = &made->model;
    } else {
        tv_flow_model_free(&made->model);
    }
    return status;
}

void tv_flow_model_free(tv_flow_model *flow) {
    order_flow *made = (order_flow *)flow;
    if (made == NULL) return;
    tv_region_deinit(&made->region);
    free(made);
}

size_t tv_flow_model_bytes(const tv_flow_model *flow) {
    const order_flow *made = (const order_flow *)flow;
    return sizeof(*made) + made->region.bytes;
}
