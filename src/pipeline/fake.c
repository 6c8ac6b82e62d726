// See fake.h.
#include "pipeline/fake.h"

#include <inttypes.h>
#include <string.h>

typedef struct fake_file {
    const char *path;
    bool follow;
    int mode;
    int64_t keep;
    double ratio;
    uint64_t chunk;
    int64_t poll_ns;
    tv_string_list topics;
} fake_file;

static const char *const fake_modes[] = {"append", "truncate", NULL};

static const tv_option fake_input_options[] = {
    {.name = "path",
     .type = TV_OPTION_STRING,
     .offset = offsetof(fake_file, path),
     .required = true,
     .text = TV_OPTION_PATTERN,
     .min = 1,
     .help = "File to read."},
    {.name = "follow",
     .type = TV_OPTION_BOOL,
     .offset = offsetof(fake_file, follow),
     .default_text = "false",
     .help = "Go on with what is appended."},
    {.name = "chunk",
     .type = TV_OPTION_SIZE,
     .offset = offsetof(fake_file, chunk),
     .default_text = "256KiB",
     .min = 4096,
     .max = 16777216,
     .help = "Bytes of one read."},
    {.name = "poll",
     .type = TV_OPTION_DURATION,
     .offset = offsetof(fake_file, poll_ns),
     .default_text = "1s",
     .max = 3600e9,
     .help = "How often to look."},
    {.name = "topics",
     .type = TV_OPTION_STRINGS,
     .offset = offsetof(fake_file, topics),
     .help = "What to take | what to leave."},
};

static const tv_option fake_output_options[] = {
    {.name = "path",
     .type = TV_OPTION_STRING,
     .offset = offsetof(fake_file, path),
     .required = true,
     .text = TV_OPTION_PATH,
     .min = 1,
     .help = "File to write."},
    {.name = "mode",
     .type = TV_OPTION_ENUM,
     .offset = offsetof(fake_file, mode),
     .default_text = "append",
     .choices = fake_modes,
     .help = "What to do with a file that is there."},
    {.name = "keep",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(fake_file, keep),
     .default_text = "5",
     .min = 0,
     .max = 1000,
     .help = "Old files to keep."},
    {.name = "ratio",
     .type = TV_OPTION_NUMBER,
     .offset = offsetof(fake_file, ratio),
     .default_text = "0.5",
     .min = 0,
     .max = 1,
     .help = "A share."},
};

static tv_status fake_check(tv_direction direction, const void *options, tv_error *error) {
    const fake_file *file = options;
    if (direction == TV_INPUT && file->follow && file->poll_ns == 0) {
        return tv_error_set(error, TV_INVALID, "follow needs a poll longer than 0");
    }
    return TV_OK;
}

static const tv_connector fake_connector_file = {
    .name = "file",
    .summary = "Files that are not there.",
    .directions = TV_INPUT | TV_OUTPUT,
    .pausable = true,
    .input_options = {fake_input_options, sizeof(fake_input_options) / sizeof(fake_input_options[0]),
                      sizeof(fake_file)},
    .output_options = {fake_output_options, sizeof(fake_output_options) / sizeof(fake_output_options[0]),
                       sizeof(fake_file)},
    .check = fake_check};

static const tv_connector fake_connector_udp = {.name = "udp",
                                                .summary = "Datagrams",
                                                .directions = TV_INPUT,
                                                .input_options = {fake_input_options, 1, sizeof(fake_file)}};

static const tv_connector fake_connector_printer = {
    .name = "printer", .summary = "Paper.", .directions = TV_OUTPUT, .pausable = true};

const tv_connector *const fake_connectors[FAKE_CONNECTOR_COUNT] = {&fake_connector_file, &fake_connector_udp,
                                                                   &fake_connector_printer};

const char *fake_lookup(void *user, const char *name) {
    static const char *const table[][2] = {
        {"PORT", "7"}, {"NAME", "seven"}, {"DOLLAR", "${PORT}"}, {"EMPTY", ""}, {"BROKEN", "\xff"}};
    (void)user;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strcmp(table[i][0], name) == 0) return table[i][1];
    }
    return NULL;
}

// ---- tables -------------------------------------------------------------------------------------------------

static const char *const fake_tables[][2] = {
    {"devices.csv", "id,site,limit,class\r\npump-1,north,5,normal\r\n\r\npump-2,\"so\"\"uth,\r\nwest\",7,critical"},
    {"marked.csv", "\xef\xbb\xbfid\n\"a\"\nb\n"},
    {"twice.csv", "id,site\na,x\nb,x\na,y\n"},
    {"paths.csv",
     "id,name\na,.hidden\nb,-dash\nc,../up\nd,/absolute\ne,..\nf,.\ng,\nh,...\ni,\"x\ny\"\nj,0123456789"
     "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
     "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
     "01234567890123456789012345678901\nk,a*\nl,a b.c\n"},
    {"names.csv", "id,ok\npump 1,1\n-x,2\n,3\n"},
    {"limits.csv", "id,limit\na,5\nb,many\nc,-1\n"},
    {"short.csv", "id,site\na,x\nb\nc,z\n"},
    {"long.csv", "id\na\nb,c\n"},
    {"quote_open.csv", "id\na\n\"b\nc\n"},
    {"quote_inside.csv", "id\na\nb\"c\n"},
    {"quote_behind.csv", "id\na\n\"b\"c\n"},
    {"header.csv", "id,site name,id,index\na,b,c,d\n"},
    {"header_only.csv", "id,site\n"},
    {"empty.csv", ""},
    {"blank.csv", "\n\r\n\n"},
    {"broken.csv", "id\n\xff\n"},
    {"return.csv", "id\na\rb\n"},
};

// By the last part of the path.
static tv_status fake_read(const char *path, size_t bytes_max, uint8_t **bytes, size_t *length, tv_error *error) {
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    (void)bytes_max;
    for (size_t i = 0; i < sizeof(fake_tables) / sizeof(fake_tables[0]); i++) {
        if (strcmp(fake_tables[i][0], name) != 0) continue;
        *length = strlen(fake_tables[i][1]);
        *bytes = (uint8_t *)strdup(fake_tables[i][1]);
        return *bytes != NULL ? TV_OK : tv_error_set(error, TV_NO_MEMORY, "not enough memory to read %s", path);
    }
    return tv_error_set(error, TV_IO, "cannot read %s: there is none", path);
}

tv_status fake_load(const char *file, const void *bytes, size_t length, tv_diagnostics *diagnostics,
                    tv_pipeline **out) {
    static const tv_load_context context = {fake_connectors, FAKE_CONNECTOR_COUNT, fake_lookup, NULL, fake_read};
    return tv_pipeline_load_bytes(file, bytes, length, &context, diagnostics, out);
}

// ---- the model as text --------------------------------------------------------------------------------------

static void fake_dump_options(const tv_channel_model *channel, tv_text *out) {
    const fake_file *file = channel->options;
    if (channel->connector != &fake_connector_file) return;
    tv_text_print(out, " path=%s", file->path);
    if (channel->direction == TV_INPUT) {
        tv_text_print(out, " follow=%d chunk=%" PRIu64 " poll=%" PRId64, file->follow, file->chunk, file->poll_ns);
        for (size_t i = 0; i < file->topics.count; i++) {
            tv_text_print(out, " topic=%s", file->topics.items[i]);
        }
    } else {
        tv_text_print(out, " mode=%d keep=%" PRId64 " ratio=%g", file->mode, file->keep, file->ratio);
    }
}

static void fake_dump_channel(const tv_channel_model *channel, tv_text *out) {
    tv_text_print(out, "  channel %s %s %s bytes=%u records=%u record=%u pause=%u resume=%u overflow=%s", channel->name,
                  channel->direction == TV_INPUT ? "<-" : "->",
                  channel->connector != NULL ? channel->connector_name : "?", channel->capacity_bytes,
                  channel->capacity_records, channel->record_bytes_max, channel->pause_percent, channel->resume_percent,
                  tv_overflow_choices[channel->overflow]);
    if (channel->options != NULL) fake_dump_options(channel, out);
    tv_text_print(out, "\n");
}

static void fake_dump_stage(const tv_pipeline *pipeline, const tv_flow_model *flow, const tv_stage_model *stage,
                            tv_text *out) {
    tv_text_print(out, "  stage %s component=%s batch=%u/%u log=%u restart=%d,%u,%" PRId64 ",%" PRId64 ",%" PRId64 "\n",
                  stage->name, pipeline->components[stage->component].name, stage->batch_records_max,
                  stage->batch_bytes_max, stage->log_lines_per_s, stage->restart.mode, stage->restart.limit,
                  stage->restart.window_ns, stage->restart.backoff_min_ns, stage->restart.backoff_max_ns);
    for (size_t i = 0; i < stage->input_count; i++) {
        const tv_input_model *input = &stage->inputs[i];
        const char *from = input->is_channel ? flow->channels[input->from].name : flow->stages[input->from].name;
        tv_text_print(out, "    from %s %s.%s bytes=%u records=%u overflow=%s\n",
                      input->is_channel ? "channel" : "stage", from, input->port != NULL ? input->port : "-",
                      input->capacity_bytes, input->capacity_records, tv_overflow_choices[input->overflow]);
    }
    for (size_t i = 0; i < stage->output_count; i++) {
        const tv_output_model *output = &stage->outputs[i];
        tv_text_print(out, "    to %s from port %s\n", flow->channels[output->channel].name,
                      output->port != NULL ? output->port : "-");
    }
    for (size_t i = 0; i < stage->config_count; i++) {
        tv_text_print(out, "    config \"%s\" = %s\n", stage->config[i].path, stage->config[i].value);
    }
    for (size_t i = 0; i < stage->asset_count; i++) {
        tv_text_print(out, "    asset %s = %s\n", stage->asset_names[i], stage->asset_paths[i]);
    }
}

static void fake_dump_template(const tv_template_model *template, tv_text *out) {
    tv_text_print(out, "template %s flows=%zu parameters", template->name, template->flow_count);
    for (size_t i = 0; i < template->parameter_count; i++) {
        tv_text_print(out, " %s%s", template->parameter_names[i], i < template->required_count ? "" : "?");
    }
    tv_text_print(out, "\n");
}

static void fake_dump_flow(const tv_pipeline *pipeline, const tv_flow_model *flow, tv_text *out) {
    tv_text_print(out, "flow %s template=%s class=%s quantum=%u turn=%" PRId64 " cycle=%" PRId64 " trim=%" PRId64,
                  flow->name, pipeline->templates[flow->template].name, tv_class_choices[flow->class],
                  flow->quantum_records, flow->turn_ns, flow->cycle_ns, flow->idle_trim_ns);
    if (flow->cpu_per_s_ns > 0) tv_text_print(out, " cpu=%" PRId64, flow->cpu_per_s_ns);
    if (flow->memory_bytes > 0) tv_text_print(out, " memory=%" PRIu64, flow->memory_bytes);
    if (flow->rate.records > 0 || flow->rate.bytes > 0) {
        tv_text_print(out, " rate=%" PRIu64 ",%" PRIu64 ",%" PRId64, flow->rate.records, flow->rate.bytes,
                      flow->rate.burst_ns);
    }
    if (flow->row_line > 0) tv_text_print(out, " line=%u", flow->row_line);
    tv_text_print(out, "\n");
}

void fake_dump(const tv_pipeline *pipeline, tv_text *out) {
    const tv_limits_model *limits = &pipeline->limits;
    tv_text_print(out,
                  "pipeline %s dead_letters=%s control=%s memory=%" PRIu64
                  " overcommit=%d flows=%u memories=%u workers=%u mode=%d\n",
                  pipeline->name, pipeline->dead_letters.path != NULL ? pipeline->dead_letters.path : "-",
                  pipeline->control_path != NULL ? pipeline->control_path : "-", limits->memory_bytes,
                  limits->overcommit, limits->flows, limits->memories, limits->workers, limits->memory_mode);
    const tv_scheduler_model *scheduler = &pipeline->scheduler;
    tv_text_print(out, "scheduler turn=%" PRId64 " cycle=%" PRId64 " quanta=%u/%u/%u/%u\n", scheduler->turn_ns,
                  scheduler->cycle_ns, scheduler->quanta[0], scheduler->quanta[1], scheduler->quanta[2],
                  scheduler->quanta[3]);
    for (size_t i = 0; i < pipeline->component_count; i++) {
        const tv_component_model *component = &pipeline->components[i];
        tv_text_print(out, "component %s file=%s memory=%" PRIu64 " cpu=%" PRId64 "/%" PRId64 " grants=%u%s\n",
                      component->name, component->file, component->memory_bytes_max, component->cpu_record_ns,
                      component->cpu_call_ns, component->grants,
                      component->instances == TV_INSTANCES_SHARED ? " shared" : "");
    }
    for (size_t i = 0; i < pipeline->template_count; i++) {
        if (pipeline->templates[i].many) fake_dump_template(&pipeline->templates[i], out);
    }
    for (size_t f = 0; f < pipeline->flow_count; f++) {
        const tv_flow_model *flow = &pipeline->flows[f];
        fake_dump_flow(pipeline, flow, out);
        for (size_t i = 0; i < flow->channel_count; i++) {
            fake_dump_channel(&flow->channels[i], out);
        }
        for (size_t i = 0; i < flow->stage_count; i++) {
            fake_dump_stage(pipeline, flow, &flow->stages[i], out);
        }
    }
}
