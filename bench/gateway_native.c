// The yardstick of gateway_native_ratio: a pipeline's components compiled natively and called in order.
//
//     gateway_native PIPELINE.yaml INPUT OUTPUT COMPONENT_FOLDER [NAME=VALUE...]
//
// The same sources, configuration, assets and input lines as `torvyn run`, but no sandbox, no queues and no threads:
// each stage is a shared object, and what it emits is put straight into the next one's batch. Single-threaded; prints
// "cpu_s SECONDS outputs COUNT". Timers do not fire, so the aggregator's and the sink's age rules stay unused.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "host/host.h"

typedef struct native_stage {
    tv_harness *harness;
    uint16_t index;
} native_stage;

static native_stage stages[TV_STAGES_MAX];
static const tv_flow_model *flow;
static const tv_host_model *model;
static FILE *sink;
static unsigned long outputs;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "gateway_native: %s: %s\n", what, why);
    exit(1);
}

static uint16_t port_of(const tv_input_model *input) {
    uint16_t port = 0;
    const tv_module_info *info = &model->components[flow->stages[input->from].component].info;
    if (!tv_host_port_resolve(info, input->port, &port)) fail(input->port, "no such port");
    return port;
}

// Watermarks go behind a stage's own output, as in the runtime.
static void pass_watermark(uint16_t from, int64_t time_ns) {
    for (uint16_t i = 0; i < flow->stage_count; i++) {
        const tv_stage_model *stage = &flow->stages[i];
        for (size_t k = 0; k < stage->input_count; k++) {
            if (stage->inputs[k].is_channel || stage->inputs[k].from != from) continue;
            if (tv_harness_watermark(stages[i].harness, time_ns) < 0) fail(stage->name, "tv_process failed");
            pass_watermark(i, time_ns);
            break;
        }
    }
}

static void take_output(void *user, const tv_harness_output *output) {
    const native_stage *from = user;
    if (output->kind == TV_KIND_WATERMARK) {
        pass_watermark(from->index, output->event_time_ns);
        return;
    }
    for (uint16_t i = 0; i < flow->stage_count; i++) {
        const tv_stage_model *stage = &flow->stages[i];
        for (size_t k = 0; k < stage->input_count; k++) {
            const tv_input_model *input = &stage->inputs[k];
            if (input->is_channel || input->from != from->index || port_of(input) != output->port) continue;
            tv_harness_feed_with(stages[i].harness, output->event_time_ns, output->key, output->attributes,
                                 (uint16_t)output->attributes_bytes, output->payload, output->payload_bytes);
        }
    }
    if (flow->stages[from->index].output_count == 0) return;
    outputs++;
    fwrite(output->payload, 1, output->payload_bytes, sink);
    fputc('\n', sink);
}

static const tv_host_asset *asset_of(const char *path) {
    for (size_t i = 0; i < model->asset_count; i++)
        if (strcmp(model->assets[i]->path, path) == 0) return model->assets[i];
    fail(path, "asset not read");
    return NULL;
}

static void stage_open(uint16_t index, const char *folder) {
    const tv_stage_model *stage = &flow->stages[index];
    char path[4096], error[512];
    snprintf(path, sizeof path, "%s/native-%s.so", folder, model->components[stage->component].info.name);
    tv_harness *harness = tv_harness_open(path, error, sizeof error);
    if (!harness) fail(path, error);
    stages[index] = (native_stage){.harness = harness, .index = index};
    for (size_t i = 0; i < stage->config_count; i++)
        tv_harness_config(harness, stage->config[i].path, stage->config[i].value);
    for (size_t i = 0; i < stage->asset_count; i++) {
        const tv_host_asset *asset = asset_of(stage->asset_paths[i]);
        tv_harness_asset(harness, stage->asset_names[i], asset->bytes, asset->size);
    }
    tv_harness_on_output(harness, take_output, &stages[index]);
    if (tv_harness_start(harness) != 0) fail(stage->name, tv_harness_log(harness));
}

static void feed_lines(const char *path) {
    struct stat status;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &status) != 0) fail(path, "cannot be read");
    const char *at = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) fail(path, "cannot be mapped");
    const char *end = at + status.st_size;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline) newline = end;
        tv_harness_feed(stages[0].harness, TV_NO_EVENT_TIME, 0, at, (uint32_t)(newline - at));
        at = newline + 1;
    }
    close(fd);
}

static void finish(void) {
    for (uint16_t i = 0; i < flow->stage_count; i++) {
        tv_harness_run(stages[i].harness);
        tv_harness_end(stages[i].harness);
    }
}

static double cpu_s(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
    if (argc < 5) fail("usage", "gateway_native PIPELINE.yaml INPUT OUTPUT COMPONENT_FOLDER [NAME=VALUE...]");
    tv_error error = {0};
    static tv_host_model loaded;
    tv_host_request request = {
        .file = argv[1], .variables = (const char *const *)argv + 5, .variable_count = (size_t)argc - 5};
    if (tv_host_model_load(&request, &loaded) != TV_OK) {
        tv_diagnostics_print(&loaded.diagnostics, stderr, false);
        return 1;
    }
    if (tv_host_assets_read(&loaded, &error) != TV_OK) fail(argv[1], error.message);
    model = &loaded;
    flow = &loaded.pipeline->flows[0];
    sink = fopen(argv[3], "w");
    if (!sink) fail(argv[3], "cannot be written");
    for (uint16_t i = 0; i < flow->stage_count; i++)
        stage_open(i, argv[4]);
    feed_lines(argv[2]);
    finish();
    if (fclose(sink) != 0) fail(argv[3], "cannot be written");
    printf("cpu_s %.6f outputs %lu\n", cpu_s(), outputs);
    return 0;
}
