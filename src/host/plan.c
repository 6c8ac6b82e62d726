// The memory plan: every consumer of memory with its maximum and its typical use, both sums, and the limits it meets.
//
// Flows say themselves what they allocate (tv_flow_plan), connectors too; the rest is the process: code and engine,
// compiled modules, threads. Figures of the process are measured (docs/performance.md), the others computed.
#include <stdlib.h>
#include <string.h>

#include "host/internal.h"

enum {
    // Resident memory of the process with engine and libraries, before any module or flow.
    PROCESS_RESERVED_BYTES = 12 << 20,
    PROCESS_EXPECTED_BYTES = 4 << 20,
    // Compiled code against the module's own size, and what the engine keeps a module.
    CODE_FACTOR_RESERVED = 8,
    CODE_FACTOR_EXPECTED = 4,
    MODULE_BYTES = 64 << 10,
    THREAD_STACK_RESERVED_BYTES = 1 << 20,
    THREAD_STACK_EXPECTED_BYTES = 64 << 10,
    FILE_THREADS = 4,           // libuv's pool
    CHANNEL_STATE_BYTES = 4096, // channel, connector, handles and names, without queue and buffers
};

static void add_line(tv_host_plan *plan, const char *group, const tv_plan_line *line) {
    if (plan->count == plan->capacity) {
        size_t capacity = plan->capacity ? plan->capacity * 2 : 64;
        tv_host_plan_line *lines = realloc(plan->lines, capacity * sizeof *lines);
        if (!lines) {
            plan->failed = true;
            return;
        }
        plan->lines = lines;
        plan->capacity = capacity;
    }
    tv_host_plan_line *added = &plan->lines[plan->count++];
    snprintf(added->group, sizeof added->group, "%s", group);
    added->line = *line;
    plan->reserved_bytes += line->reserved_bytes;
    plan->expected_bytes += line->expected_bytes;
}

// One consumer: "channel readings: queue". `name` may be "".
static void add(tv_host_plan *plan, const char *group, uint64_t reserved_bytes, uint64_t expected_bytes,
                const char *kind, const char *name, const char *part) {
    tv_plan_line line = {.reserved_bytes = reserved_bytes, .expected_bytes = expected_bytes};
    snprintf(line.what, sizeof line.what, "%s%s%s%s%s", kind, name[0] ? " " : "", name, part[0] ? ": " : "", part);
    add_line(plan, group, &line);
}

// ---- flows --------------------------------------------------------------------------------------------------

typedef struct flow_lines {
    tv_host_plan *plan;
    const char *group;
} flow_lines;

static void add_flow_line(void *user, const tv_plan_line *line) {
    flow_lines *lines = user;
    add_line(lines->plan, lines->group, line);
}

// The queues of channels are among the flow's lines; what connectors allocate beside them is not.
static void add_connectors(tv_host_plan *plan, const tv_flow_model *flow, const tv_host_spec *spec) {
    for (size_t c = 0; c < flow->channel_count; c++) {
        const tv_channel_model *channel = &flow->channels[c];
        uint32_t payload = spec->channel_record_bytes[c] - TV_RECORD_HEADER_BYTES;
        uint64_t bytes = CHANNEL_STATE_BYTES;
        if (channel->connector->memory_bytes)
            bytes += channel->connector->memory_bytes(channel->direction, channel->options, payload);
        add(plan, flow->name, bytes, bytes, "channel", channel->name, "connector's buffers");
    }
}

static tv_status add_flow(tv_host_plan *plan, const tv_host_model *model, size_t index, tv_error *error) {
    const tv_flow_model *flow = &model->pipeline->flows[index];
    tv_host_spec spec;
    tv_status status = tv_host_spec_init(model, index, NULL, &spec, error);
    if (status != TV_OK) return status;
    flow_lines lines = {plan, flow->name};
    tv_flow_plan(&spec.flow, add_flow_line, &lines);
    add_connectors(plan, flow, &spec);
    tv_host_spec_deinit(&spec);
    return TV_OK;
}

// ---- process ------------------------------------------------------------------------------------------------

static void add_process(tv_host_plan *plan, const tv_host_model *model) {
    const tv_pipeline *pipeline = model->pipeline;
    add(plan, "process", PROCESS_RESERVED_BYTES, PROCESS_EXPECTED_BYTES, "program, engine, libraries", "", "");
    for (size_t i = 0; i < pipeline->component_count; i++) {
        uint64_t bytes = model->components[i].info.file_bytes;
        add(plan, "process", CODE_FACTOR_RESERVED * bytes + MODULE_BYTES, CODE_FACTOR_EXPECTED * bytes + MODULE_BYTES,
            "component", pipeline->components[i].name, "compiled code");
    }
    for (size_t i = 0; i < model->asset_count; i++)
        add(plan, "process", model->assets[i].size, model->assets[i].size, "asset", model->assets[i].path, "");
    uint64_t threads = model->workers + 2 + FILE_THREADS; // workers, ticker, the one that waits for them at the end
    add(plan, "process", threads * THREAD_STACK_RESERVED_BYTES, threads * THREAD_STACK_EXPECTED_BYTES, "threads", "",
        "stacks");
    uint64_t letters = (uint64_t)model->workers * tv_host_dead_letter_bytes(model);
    add(plan, "process", letters, letters / 16, "dead letters", "", "queues and buffers");
}

tv_status tv_host_plan_init(const tv_host_model *model, tv_host_plan *plan, tv_error *error) {
    *plan = (tv_host_plan){.limits.configured_bytes = model->pipeline->limits.memory_bytes};
    tv_host_limits_read(&plan->limits);
    tv_status status = TV_OK;
    for (size_t i = 0; i < model->pipeline->flow_count && status == TV_OK; i++)
        status = add_flow(plan, model, i, error);
    if (status == TV_OK) add_process(plan, model);
    if (status == TV_OK && plan->failed) status = tv_error_set(error, TV_NO_MEMORY, "plan: out of memory");
    if (status != TV_OK) tv_host_plan_deinit(plan);
    return status;
}

void tv_host_plan_deinit(tv_host_plan *plan) {
    free(plan->lines);
    *plan = (tv_host_plan){0};
}

// ---- verdict ------------------------------------------------------------------------------------------------

static tv_status check_limit(const tv_host_plan *plan, uint64_t limit, const char *name, const char *remedy,
                             tv_error *error) {
    char reserved[32], most[32];
    if (!limit || plan->reserved_bytes <= limit) return TV_OK;
    return tv_error_set(error, TV_LIMIT,
                        "it does not fit: the pipeline reserves %s (%llu bytes), %s is %s (%llu bytes).\n%s",
                        tv_format_size(plan->reserved_bytes, reserved), (unsigned long long)plan->reserved_bytes, name,
                        tv_format_size(limit, most), (unsigned long long)limit, remedy);
}

tv_status tv_host_plan_check(const tv_host_plan *plan, tv_error *error) {
    const tv_host_memory_limits *limits = &plan->limits;
    tv_status status = check_limit(plan, limits->configured_bytes, "limits.memory of the pipeline file",
                                   "`torvyn plan FILE` shows what takes how much: lower queues, batches or memory "
                                   "budgets, or raise the limit.",
                                   error);
    if (status == TV_OK)
        status = check_limit(plan, limits->cgroup_bytes, "the memory limit of the control group",
                             "`torvyn plan FILE` shows what takes how much: lower queues, batches or memory budgets, "
                             "or raise the group's limit (systemd: MemoryMax=).",
                             error);
    if (status == TV_OK)
        status = check_limit(plan, limits->available_bytes, "the memory available on this machine now",
                             "`torvyn plan FILE` shows what takes how much: lower queues, batches or memory budgets, "
                             "or free memory.",
                             error);
    return status;
}
