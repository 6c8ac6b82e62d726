// Dead letters: one bounded queue a worker, all served by the file connector appending to the same file.
//
// Each letter is one line written with a single write in append mode, so several workers can share the file.
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connect/file/file.h"
#include "host/runner.h"

enum { LETTER_BYTES_EXTRA = 8 << 10, QUEUE_BYTES_MIN = 1 << 20, QUEUE_RECORDS = 1024 };

// The largest letter: the largest payload in base64 (4/3) and the text around it.
static uint32_t letter_record_bytes(const tv_host_model *model) {
    uint64_t payload = 0;
    for (size_t i = 0; i < model->pipeline->component_count; i++)
        if (model->components[i].usable && model->components[i].info.max_output_bytes > payload)
            payload = model->components[i].info.max_output_bytes;
    for (size_t f = 0; f < model->pipeline->flow_count; f++)
        for (size_t c = 0; c < model->pipeline->flows[f].channel_count; c++)
            if (model->pipeline->flows[f].channels[c].record_bytes_max > payload)
                payload = model->pipeline->flows[f].channels[c].record_bytes_max;
    uint64_t bytes = tv_align_up_u64(payload * 4 / 3 + LETTER_BYTES_EXTRA, 8);
    return bytes > 2 * TV_RECORD_BYTES_LIMIT ? 2 * TV_RECORD_BYTES_LIMIT : (uint32_t)bytes;
}

static uint32_t letter_queue_bytes(const tv_host_model *model) {
    uint32_t bytes = QUEUE_BYTES_MIN;
    while (bytes < 4 * letter_record_bytes(model))
        bytes *= 2;
    return bytes;
}

static tv_status set_option(void *options, const char *name, const char *text, tv_error *error) {
    const tv_option *option = tv_option_find(&tv_connector_file.output_options, name);
    TV_ASSERT(option);
    return tv_option_parse(option, text, options, error);
}

static void *make_options(const tv_dead_letters_model *model, const char *path, tv_error *error) {
    const tv_option_table *table = &tv_connector_file.output_options;
    void *options = calloc(1, table->struct_bytes);
    char size[24], keep[16];
    if (!options) {
        tv_error_set(error, TV_NO_MEMORY, "dead letters: out of memory");
        return NULL;
    }
    snprintf(size, sizeof size, "%llu", (unsigned long long)model->rotate_bytes);
    snprintf(keep, sizeof keep, "%u", model->keep);
    tv_status status = tv_option_defaults(table, options, error);
    if (status == TV_OK) status = set_option(options, "path", path, error);
    if (status == TV_OK) status = set_option(options, "mode", "append", error);
    if (status == TV_OK) status = set_option(options, "permissions", "0600", error);
    if (status == TV_OK) status = set_option(options, "follow_links", "false", error);
    if (status == TV_OK) status = set_option(options, "rotate_size", size, error);
    if (status == TV_OK) status = set_option(options, "keep", keep, error);
    if (status == TV_OK) return options;
    free(options);
    return NULL;
}

uint64_t tv_host_dead_letter_bytes(const tv_host_model *model) {
    tv_error error;
    if (!model->pipeline->dead_letters.enabled) return 0;
    uint64_t bytes = letter_queue_bytes(model);
    void *options = make_options(&model->pipeline->dead_letters, "dead-letters.jsonl", &error);
    if (options && tv_connector_file.memory_bytes)
        bytes +=
            tv_connector_file.memory_bytes(TV_OUTPUT, options, letter_record_bytes(model) - TV_RECORD_HEADER_BYTES);
    free(options);
    return bytes;
}

// ---- channels -----------------------------------------------------------------------------------------------

void tv_host_dead_letter_path(const tv_pipeline *pipeline, char *path) {
    if (pipeline->dead_letters.path)
        snprintf(path, PATH_MAX, "%s", pipeline->dead_letters.path);
    else
        snprintf(path, PATH_MAX, "%s.dead-letters.jsonl", pipeline->name);
}

static char *choose_path(const tv_pipeline *pipeline) {
    char path[PATH_MAX];
    tv_host_dead_letter_path(pipeline, path);
    return strdup(path);
}

static tv_status add_channel(tv_host_runner *runner, size_t index, tv_error *error) {
    tv_dead_letters *letters = &runner->dead_letters;
    tv_host_channel *channel = &letters->channels[index];
    tv_channel_options options = {
        .name = "dead-letters",
        .direction = TV_OUTPUT,
        .overflow = TV_OVERFLOW_BLOCK,
        .capacity_bytes = letter_queue_bytes(runner->model),
        .capacity_records = QUEUE_RECORDS,
        .record_bytes_max = letter_record_bytes(runner->model),
        .pause_percent = 100,
        .resume_percent = 50,
        .memory = &runner->memory,
    };
    *channel = (tv_host_channel){.runner = runner, .connector = &tv_connector_file, .direction = TV_OUTPUT};
    tv_status status = tv_channel_new(&options, &channel->channel, error);
    if (status != TV_OK) return status;
    letters->borrowed[index] = channel->channel;
    letters->count = index + 1;
    return TV_OK;
}

tv_status tv_dead_letters_init(tv_host_runner *runner, tv_error *error) {
    tv_dead_letters *letters = &runner->dead_letters;
    uint32_t workers = runner->model->workers;
    if (!runner->model->pipeline->dead_letters.enabled) return TV_OK;
    letters->path = choose_path(runner->model->pipeline);
    letters->channels = calloc(workers, sizeof *letters->channels);
    letters->borrowed = calloc(workers, sizeof(tv_channel *));
    if (!letters->path || !letters->channels || !letters->borrowed)
        return tv_error_set(error, TV_NO_MEMORY, "dead letters: out of memory");
    letters->options = make_options(&runner->model->pipeline->dead_letters, letters->path, error);
    if (!letters->options) return error->status;
    for (uint32_t i = 0; i < workers; i++) {
        tv_status status = add_channel(runner, i, error);
        if (status != TV_OK) return status;
    }
    return TV_OK;
}

tv_status tv_dead_letters_open(tv_host_runner *runner, tv_error *error) {
    tv_dead_letters *letters = &runner->dead_letters;
    if (!letters->path) return TV_OK;
    letters->was_there = access(letters->path, F_OK) == 0;
    for (size_t i = 0; i < letters->count; i++) {
        tv_status status = tv_host_channel_open(&letters->channels[i], letters->options, error);
        if (status != TV_OK)
            return tv_error_prefix(error, "the file for dead letters (`dead_letters:` in the pipeline file)");
    }
    return TV_OK;
}

// The file is made at the start, so that it is known to be writable; an empty one would only raise questions.
static void remove_if_empty(const tv_dead_letters *letters) {
    struct stat status;
    if (!letters->path || letters->was_there) return;
    if (stat(letters->path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0) unlink(letters->path);
}

void tv_dead_letters_deinit(tv_dead_letters *letters) {
    remove_if_empty(letters);
    for (size_t i = 0; i < letters->count; i++)
        tv_host_channel_free(&letters->channels[i]);
    free(letters->channels);
    free(letters->borrowed);
    free(letters->options);
    free(letters->path);
    *letters = (tv_dead_letters){0};
}
