// From the file to the model: the root, components, and one flow after the other; the order of diagnostics.
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "pipeline/load.h"

enum { LOAD_BLOCK_BYTES = 32 * 1024, LOAD_BYTES_MAX = 128 * 1024 * 1024 };

// ---- components ---------------------------------------------------------------------------------------------

static uint32_t load_grants(const tv_string_list *list) {
    uint32_t grants = 0;
    for (size_t i = 0; i < list->count; i++) {
        for (uint32_t bit = 0; tv_grant_choices[bit] != NULL; bit++) {
            if (strcmp(list->items[i], tv_grant_choices[bit]) == 0) grants |= 1u << bit;
        }
    }
    return grants;
}

static tv_place load_place_of(const tv_yaml_node *node, const char *key, tv_place otherwise) {
    const tv_yaml_node *value = tv_yaml_get(node, key);
    return value != NULL ? value->place : otherwise;
}

static void load_component(tv_loader *loader, const tv_yaml_item *item, tv_component_model *component) {
    tv_reader *reader = &loader->reader;
    tv_path all = {.name = "components"};
    tv_path path = {.parent = &all, .name = item->key};
    tv_component_values values;
    tv_reader_name(reader, item->key, item->key_place, &path, "a component");
    tv_reader_section(reader, &tv_section_component, item->value, item->key_place, &path, &values);
    if (values.cpu.record_ns > values.cpu.call_ns) {
        tv_reader_report(reader, TV_SEVERITY_ERROR, load_place_of(item->value, "cpu", item->key_place), &path,
                         "make cpu.call the larger one: it is for a whole batch", "cpu.record is longer than cpu.call");
    }
    *component = (tv_component_model){.name = item->key,
                                      .file = values.file != NULL ? tv_reader_resolve_path(reader, values.file) : "",
                                      .memory_bytes_max = values.memory,
                                      .cpu_record_ns = values.cpu.record_ns,
                                      .cpu_call_ns = values.cpu.call_ns,
                                      .grants = load_grants(&values.grants),
                                      .instances = (tv_instances)values.instances,
                                      .place = item->key_place,
                                      .file_place = load_place_of(item->value, "file", item->key_place),
                                      .grants_place = load_place_of(item->value, "grants", item->key_place)};
    if (values.file == NULL) loader->builder.incomplete = true;
}

// A mapping of names with at most `most` of them; the rest is reported and left out.
static size_t load_names(tv_loader *loader, const tv_yaml_node *node, const char *key, const char *of_what, size_t most,
                         const tv_yaml_item **items) {
    tv_path path = {.name = key};
    char found[80];
    size_t count = 0;
    if (tv_yaml_is_null(node)) return 0;
    if (node->kind != TV_YAML_MAPPING) {
        tv_reader_report(
            &loader->reader, TV_SEVERITY_ERROR, node->place, &path,
            tv_region_print(loader->reader.region, "write the names of the %s as keys below `%s:`", of_what, key),
            "expected a mapping of names to mappings, found %s", tv_yaml_describe(node, found, sizeof(found)));
        return 0;
    }
    for (const tv_yaml_item *item = node->items; item != NULL && count < most; item = item->next) {
        items[count++] = item;
    }
    if (node->count > most) {
        tv_reader_report(&loader->reader, TV_SEVERITY_ERROR, node->place, &path,
                         "split the pipeline into several files", "at most %zu %s, found %zu", most, of_what,
                         node->count);
    }
    return count;
}

static void load_components(tv_loader *loader) {
    const tv_yaml_item *items[TV_COMPONENTS_MAX];
    tv_builder *builder = &loader->builder;
    size_t count = load_names(loader, loader->root.components, "components", "components", TV_COMPONENTS_MAX, items);
    builder->components = tv_region_alloc(loader->reader.region, count, sizeof(*builder->components));
    if (builder->components == NULL) return;
    for (size_t i = 0; i < count; i++) {
        load_component(loader, items[i], &builder->components[i]);
        builder->component_names[i] = items[i]->key;
    }
    builder->component_count = count;
}

static void load_report_unused_components(tv_loader *loader) {
    if (loader->reader.error_count > 0 || loader->pipeline->flow_count == 0) return;
    for (size_t i = 0; i < loader->builder.component_count; i++) {
        if (loader->builder.component_used[i]) continue;
        const tv_component_model *component = &loader->builder.components[i];
        tv_path all = {.name = "components"};
        tv_path path = {.parent = &all, .name = component->name};
        tv_reader_report(&loader->reader, TV_SEVERITY_WARNING, component->place, &path,
                         "name it in `component` of a stage, or remove it", "no stage uses component \"%s\"",
                         component->name);
    }
}

// ---- names of stages and channels ---------------------------------------------------------------------------

static void load_check_name(tv_loader *loader, const char *key, const tv_yaml_item *item, const char *of_what) {
    tv_path all = {.name = key};
    tv_path path = {.parent = &all, .name = item->key};
    tv_reader_name(&loader->reader, item->key, item->key_place, &path, of_what);
}

static void load_check_clash(tv_loader *loader, const tv_yaml_item *channel) {
    const tv_builder *builder = &loader->builder;
    tv_path all = {.name = "channels"};
    tv_path path = {.parent = &all, .name = channel->key};
    for (size_t i = 0; i < builder->stage_count; i++) {
        if (strcmp(builder->stages[i]->key, channel->key) != 0) continue;
        tv_reader_report(&loader->reader, TV_SEVERITY_ERROR, channel->key_place, &path, "rename one of them",
                         "\"%s\" is the name of a stage, too, so that `from: %s` could mean either", channel->key,
                         channel->key);
    }
}

static void load_definitions(tv_loader *loader) {
    tv_builder *builder = &loader->builder;
    builder->stage_count = load_names(loader, loader->root.stages, "stages", "stages", TV_STAGES_MAX, builder->stages);
    builder->channel_count =
        load_names(loader, loader->root.channels, "channels", "channels", TV_CHANNELS_MAX, builder->channels);
    size_t count = 0;
    for (size_t i = 0; i < builder->stage_count; i++) {
        load_check_name(loader, "stages", builder->stages[i], "a stage");
        builder->names[count++] = builder->stages[i]->key;
    }
    for (size_t i = 0; i < builder->channel_count; i++) {
        load_check_name(loader, "channels", builder->channels[i], "a channel");
        load_check_clash(loader, builder->channels[i]);
        builder->names[count++] = builder->channels[i]->key;
    }
}

// ---- the whole ----------------------------------------------------------------------------------------------

// "dir/gateway.v2.yaml" -> "gateway-v2": what the name of a pipeline may be made of.
static const char *load_name_from_file(tv_region *region, const char *file) {
    const char *slash = strrchr(file, '/');
    const char *base = slash != NULL ? slash + 1 : file;
    const char *dot = strrchr(base, '.');
    size_t length = dot != NULL && dot != base ? (size_t)(dot - base) : strlen(base);
    if (length > TV_NAME_BYTES_MAX) length = TV_NAME_BYTES_MAX;
    char *name = tv_region_copy(region, base, length);
    for (size_t i = 0; name != NULL && i < length; i++) {
        char c = name[i];
        bool allowed = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c == '-' && i > 0);
        if (!allowed) name[i] = '_';
    }
    return name == NULL || length > 0 ? name : "pipeline";
}

// A model without a stage would be none; `stages: {}` is no error by itself.
static void report_nothing_to_run(tv_loader *loader, const tv_yaml_node *root) {
    tv_path path = {.name = "stages"};
    loader->builder.incomplete = true;
    if (loader->reader.error_count > 0) return;
    tv_reader_report(&loader->reader, TV_SEVERITY_ERROR, root->place, &path,
                     "write one: `stages: { work: { component: NAME } }`", "expected at least one stage, found none");
}

static void load_root(tv_loader *loader, const tv_yaml_node *root) {
    tv_reader *reader = &loader->reader;
    tv_pipeline *pipeline = loader->pipeline;
    tv_root_values *values = &loader->root;
    tv_place top = {.line = 1, .column = 1};
    tv_path name_path = {.name = "name"};
    if (!tv_reader_section(reader, &tv_section_root, root, top, NULL, values)) {
        loader->builder.incomplete = true;
        return;
    }
    pipeline->name = values->name;
    if (pipeline->name == NULL) pipeline->name = load_name_from_file(reader->region, reader->file);
    if (pipeline->name == NULL) return;
    tv_reader_name(reader, pipeline->name, load_place_of(root, "name", top), &name_path, "a pipeline");
    const tv_dead_letters_values *letters = &values->dead_letters;
    pipeline->dead_letters = (tv_dead_letters_model){.path = letters->path,
                                                     .enabled = letters->enabled,
                                                     .rotate_bytes = letters->rotate_bytes,
                                                     .keep = (uint32_t)letters->keep,
                                                     .rate_bytes = letters->rate_bytes,
                                                     .burst_bytes = letters->burst_bytes,
                                                     .on_limit = (tv_letters_limit)letters->on_limit};
    const tv_quanta_values *quanta = &values->scheduler.quanta;
    pipeline->scheduler = (tv_scheduler_model){.quanta = {[TV_CLASS_CRITICAL] = (uint32_t)quanta->critical,
                                                          [TV_CLASS_HIGH] = (uint32_t)quanta->high,
                                                          [TV_CLASS_NORMAL] = (uint32_t)quanta->normal,
                                                          [TV_CLASS_BACKGROUND] = (uint32_t)quanta->background},
                                               .turn_ns = values->scheduler.turn_ns,
                                               .cycle_ns = values->scheduler.cycle_ns};
    pipeline->control_path = values->control;
    pipeline->limits = (tv_limits_model){.memory_bytes = values->limits.memory,
                                         .overcommit = values->limits.overcommit,
                                         .flows = (uint32_t)values->limits.flows,
                                         .memories = (uint32_t)values->limits.memories,
                                         .workers = (uint32_t)values->limits.workers,
                                         .memory_mode = values->limits.memory_mode};
    load_components(loader);
    load_definitions(loader);
    tv_flows_load(loader);
    load_report_unused_components(loader);
    pipeline->components = loader->builder.components;
    pipeline->component_count = loader->builder.component_count;
    if (loader->builder.stage_count == 0 || pipeline->component_count == 0) report_nothing_to_run(loader, root);
}

// Findings in tables come behind those in the pipeline file.
static bool diagnostic_before(const tv_diagnostic *a, const tv_diagnostic *b, const char *file) {
    bool a_first = strcmp(a->file, file) == 0, b_first = strcmp(b->file, file) == 0;
    if (a_first != b_first) return a_first;
    int order = strcmp(a->file, b->file);
    if (order != 0) return order < 0;
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

// In the order of the file. Insertion sort: stable, and at most TV_DIAGNOSTICS_MAX long.
static void load_sort_diagnostics(tv_diagnostics *diagnostics, size_t first, const char *file) {
    for (size_t i = first + 1; i < diagnostics->count; i++) {
        tv_diagnostic item = diagnostics->items[i];
        size_t at = i;
        for (; at > first && diagnostic_before(&item, &diagnostics->items[at - 1], file); at--) {
            diagnostics->items[at] = diagnostics->items[at - 1];
        }
        diagnostics->items[at] = item;
    }
}

static tv_status load_run(tv_loader *loader, const char *file, const uint8_t *bytes, size_t length) {
    tv_reader *reader = &loader->reader;
    tv_region *region = reader->region;
    size_t errors = reader->diagnostics->error_count;
    reader->file = tv_region_copy(region, file, strlen(file));
    loader->pipeline = tv_region_alloc(region, 1, sizeof(*loader->pipeline));
    if (reader->file == NULL || loader->pipeline == NULL) return TV_NO_MEMORY;
    loader->pipeline->file = reader->file;
    const tv_yaml_node *root = tv_yaml_parse(region, reader->file, bytes, length, reader->diagnostics);
    reader->error_count = reader->diagnostics->error_count - errors;
    if (root != NULL) load_root(loader, root);
    loader->builder.incomplete = loader->builder.incomplete || root == NULL || region->failed;
    if (region->exceeded) {
        tv_diagnostics_add(reader->diagnostics, TV_SEVERITY_ERROR, file, 0, 0, "",
                           "use fewer flows, or smaller configurations", "the pipeline takes more than %d MiB to read",
                           LOAD_BYTES_MAX >> 20);
    } else if (region->failed) {
        return TV_NO_MEMORY;
    }
    return reader->diagnostics->error_count > errors ? TV_INVALID : TV_OK;
}

static void load_free(tv_loader *loader, tv_region *region) {
    if (loader != NULL && loader->pipeline != NULL) free(loader->pipeline->flows);
    if (region != NULL) tv_region_deinit(region);
    free(region);
    free(loader);
}

tv_status tv_pipeline_load_bytes(const char *file, const uint8_t *bytes, size_t length, const tv_load_context *context,
                                 tv_diagnostics *diagnostics, tv_pipeline **out) {
    size_t first = diagnostics->count;
    tv_region *region = malloc(sizeof(*region));
    tv_loader *loader = calloc(1, sizeof(*loader));
    tv_status status = TV_NO_MEMORY;
    *out = NULL;
    if (region != NULL) tv_region_init(region, LOAD_BLOCK_BYTES, LOAD_BYTES_MAX);
    if (region != NULL && loader != NULL) {
        loader->reader = (tv_reader){.region = region, .diagnostics = diagnostics};
        loader->reader.variables = (tv_variables){.lookup = context->lookup, .user = context->lookup_user};
        loader->builder.reader = &loader->reader;
        loader->builder.connectors = context->connectors;
        loader->builder.connector_count = context->connector_count;
        loader->read_file = context->read_file;
        status = load_run(loader, file, bytes, length);
    }
    if (status == TV_NO_MEMORY) {
        tv_diagnostics_add(diagnostics, TV_SEVERITY_ERROR, file, 0, 0, "", NULL, "out of memory");
    }
    load_sort_diagnostics(diagnostics, first, file);
    if (status == TV_NO_MEMORY || loader->builder.incomplete) {
        load_free(loader, region);
        return status;
    }
    loader->builder.running = true;
    loader->reader.diagnostics = NULL;
    *out = loader->pipeline;
    (*out)->memory = region;
    (*out)->loader = loader;
    return status;
}

tv_status tv_pipeline_load(const char *path, const tv_connector *const *connectors, size_t connector_count,
                           tv_variable_lookup lookup, void *lookup_user, tv_diagnostics *diagnostics,
                           tv_pipeline **out) {
    tv_error error;
    uint8_t *bytes = NULL;
    size_t length = 0;
    *out = NULL;
    tv_status status = tv_file_read(path, TV_YAML_BYTES_MAX, &bytes, &length, &error);
    if (status != TV_OK) {
        tv_diagnostics_add(diagnostics, TV_SEVERITY_ERROR, path, 0, 0, "", NULL, "%s", error.message);
        return status == TV_TOO_LARGE ? TV_INVALID : status;
    }
    const uint8_t *text = bytes != NULL ? bytes : (const uint8_t *)"";
    tv_load_context context = {connectors, connector_count, lookup, lookup_user, tv_file_read};
    status = tv_pipeline_load_bytes(path, text, length, &context, diagnostics, out);
    free(bytes);
    return status;
}

void tv_pipeline_free(tv_pipeline *pipeline) {
    if (pipeline != NULL) load_free(pipeline->loader, pipeline->memory);
}

size_t tv_pipeline_bytes(const tv_pipeline *pipeline) {
    const tv_region *region = pipeline->memory;
    const tv_loader *loader = pipeline->loader;
    return region->bytes + sizeof(*region) + sizeof(*loader) + loader->flow_capacity * sizeof(*pipeline->flows);
}

bool tv_pipeline_rename(tv_pipeline *pipeline, const char *name) {
    if (!tv_name_is_valid(name)) return false;
    pipeline->name = name;
    return true;
}
