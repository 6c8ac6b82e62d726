// Fuzz target: any bytes as a pipeline file.
//
// Whatever comes in, the answer is consistent: errors and no success, or a model in which every reference leads
// somewhere and every configuration is sorted, and diagnostics that are JSON. scripts/fuzz.sh builds and
// runs it; pipeline_corpus_test replays the corpus.
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#include "base/assert.h"
#include "pipeline/fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_stage(const tv_pipeline *pipeline, const tv_flow_model *flow, const tv_stage_model *stage) {
    TV_ASSERT(stage->component < pipeline->component_count);
    TV_ASSERT(stage->input_count <= TV_STAGE_INPUTS_MAX);
    for (size_t i = 0; i < stage->input_count; i++) {
        const tv_input_model *input = &stage->inputs[i];
        TV_ASSERT(input->from < (input->is_channel ? flow->channel_count : flow->stage_count));
    }
    for (size_t i = 0; i < stage->output_count; i++) {
        TV_ASSERT(stage->outputs[i].channel < flow->channel_count);
    }
    for (size_t i = 0; i < stage->config_count; i++) {
        const tv_config_entry *entry = &stage->config[i];
        TV_ASSERT(i == 0 || strcmp(stage->config[i - 1].path, entry->path) <= 0);
        if (entry->path[0] != '\0') continue;
        yyjson_doc *doc = yyjson_read(entry->value, strlen(entry->value), YYJSON_READ_NUMBER_AS_RAW);
        TV_ASSERT(doc != NULL);
        yyjson_doc_free(doc);
    }
}

static void check_model(const tv_pipeline *pipeline) {
    TV_ASSERT(pipeline->component_count > 0 && pipeline->template_count > 0);
    for (size_t f = 0; f < pipeline->flow_count; f++) {
        const tv_flow_model *flow = &pipeline->flows[f];
        TV_ASSERT(flow->stage_count > 0 && flow->stage_count <= TV_STAGES_MAX);
        TV_ASSERT(flow->channel_count <= TV_CHANNELS_MAX && flow->template <pipeline->template_count);
        for (size_t i = 0; i < flow->stage_count; i++) {
            check_stage(pipeline, flow, &flow->stages[i]);
        }
    }
}

static void check_diagnostics(const tv_diagnostics *diagnostics) {
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    TV_ASSERT(out != NULL);
    tv_diagnostics_print_json(diagnostics, out);
    TV_ASSERT(fclose(out) == 0);
    yyjson_doc *doc = yyjson_read(text, length, 0);
    TV_ASSERT(doc != NULL);
    yyjson_doc_free(doc);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tv_diagnostics diagnostics = {0};
    tv_pipeline *pipeline = NULL;
    tv_text dump = {0};
    uint8_t *copy = malloc(size + 1); // its own allocation, so that a sanitizer sees a step beyond
    TV_ASSERT(copy != NULL);
    if (size > 0) memcpy(copy, data, size);
    tv_status status = fake_load("dir/fuzz.yaml", copy, size, &diagnostics, &pipeline);
    free(copy); // the model owns all it says
    TV_ASSERT(status == TV_OK || status == TV_INVALID);
    TV_ASSERT((status == TV_OK) == (diagnostics.error_count == 0));
    TV_ASSERT(status != TV_OK || pipeline != NULL);
    check_diagnostics(&diagnostics);
    if (pipeline != NULL) {
        check_model(pipeline);
        fake_dump(pipeline, &dump);
    }
    tv_text_deinit(&dump);
    tv_pipeline_free(pipeline);
    tv_diagnostics_deinit(&diagnostics);
    return 0;
}
