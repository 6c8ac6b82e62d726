// The memory plan: every consumer of memory with its maximum and its typical use, both sums, and the limits it meets.
//
// Flows say themselves what they allocate (tv_flow_plan), connectors too; the rest is the process: code and engine,
// compiled modules, threads. Figures of the process are measured (docs/performance.md), the others computed.
#include <stdlib.h>
#include <string.h>

#include "host/control.h"

enum {
    // Resident memory of the process with engine and libraries, before any module or flow: measured 6 MB, of which 5
    // are
    // pages of the executable and the C library. Both together have 14 MB, if ever each page of them is touched.
    PROCESS_RESERVED_BYTES = 16 << 20,
    PROCESS_EXPECTED_BYTES = 6 << 20,
    // Compiled code against the module's own size (measured 2.7 to 2.9 for modules without debug information), and what
    // the engine keeps a module.
    CODE_FACTOR_RESERVED = 8,
    CODE_FACTOR_EXPECTED = 3,
    MODULE_BYTES = 64 << 10,
    THREAD_STACK_RESERVED_BYTES = 1 << 20,
    THREAD_STACK_EXPECTED_BYTES = 64 << 10,
    FILE_THREADS = 4,           // libuv's pool
    CHANNEL_STATE_BYTES = 4096, // channel, connector, handles and names, without queue and buffers
    HOST_FLOW_BYTES = 2048,     // what the host keeps of a flow: its name, figures, and its part of tables
    TAP_BYTES = 32 << 10,       // beside its queue: the automaton of its expression
    CONTROL_BYTES = TV_SERVER_BYTES_MAX + TV_SERVER_WORK_BYTES + TV_HOST_TAPS_MAX * (TV_TAP_QUEUE_BYTES + TAP_BYTES),
    CONTROL_EXPECTED_BYTES = 64 << 10, // somebody looks now and then
};
// While somebody asks for figures: samples for rates, and all flows in the order they are wanted in.
_Static_assert(sizeof(tv_host_flow) + sizeof(tv_host_rates) + sizeof(tv_host_view) + sizeof(void *) <=
                   HOST_FLOW_BYTES / 2,
               "the other half is for names and tables");

// Where lines are being added: the flows of one entry, or the process.
typedef struct plan_group {
    tv_host_plan *plan;
    const char *name;
    size_t first; // line
    size_t next;  // behind it
    uint32_t flows;
} plan_group;

// Lines of a group that say the same are one. Flows of an entry have theirs in the same order, so that the line sought
// is mostly the one behind the last found.
static tv_host_plan_line *find_line(plan_group *group, const char *what) {
    tv_host_plan *plan = group->plan;
    size_t count = plan->count - group->first;
    for (size_t i = 0; i < count; i++) {
        size_t at = group->first + (group->next + i) % count;
        if (strcmp(plan->lines[at].line.what, what) != 0) continue;
        group->next = at - group->first + 1;
        return &plan->lines[at];
    }
    return NULL;
}

static void sum_line(tv_host_plan *plan, tv_host_plan_line *at, const tv_plan_line *line, uint64_t times) {
    at->line.reserved_bytes += times * line->reserved_bytes;
    at->line.expected_bytes += times * line->expected_bytes;
    plan->reserved_bytes += times * line->reserved_bytes;
    plan->expected_bytes += times * line->expected_bytes;
}

static void add_line(plan_group *group, const tv_plan_line *line, uint64_t times) {
    tv_host_plan *plan = group->plan;
    tv_host_plan_line *found = find_line(group, line->what);
    if (found) {
        sum_line(plan, found, line, times);
        return;
    }
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
    *added = (tv_host_plan_line){.flows = group->flows};
    snprintf(added->group, sizeof added->group, "%s", group->name);
    memcpy(added->line.what, line->what, sizeof added->line.what);
    sum_line(plan, added, line, times);
}

// One consumer: "channel readings: queue". `name` may be "".
static void add(plan_group *group, uint64_t reserved_bytes, uint64_t expected_bytes, const char *kind, const char *name,
                const char *part) {
    tv_plan_line line = {.reserved_bytes = reserved_bytes, .expected_bytes = expected_bytes};
    snprintf(line.what, sizeof line.what, "%s%s%s%s%s", kind, name[0] ? " " : "", name, part[0] ? ": " : "", part);
    add_line(group, &line, 1);
}

// ---- flows --------------------------------------------------------------------------------------------------

// What connectors allocate beside the queues of their channels, which are among the flow's own lines.
static tv_host_flow_bytes connector_bytes(const tv_channel_model *channel, uint32_t record_bytes) {
    uint32_t payload = record_bytes - TV_RECORD_HEADER_BYTES;
    uint64_t buffers = channel->connector->memory_bytes
                           ? channel->connector->memory_bytes(channel->direction, channel->options, payload)
                           : 0;
    return (tv_host_flow_bytes){CHANNEL_STATE_BYTES + buffers, CHANNEL_STATE_BYTES + buffers / 4};
}

// What the channels of a connector have in common: what the one takes that needs the most.
static void note_common(tv_host_plan *plan, const tv_channel_model *channel, uint32_t record_bytes) {
    size_t count, at = 0;
    const tv_connector *const *connectors = tv_host_connectors(&count);
    if (!channel->connector->common_memory_bytes) return;
    uint32_t payload = record_bytes - TV_RECORD_HEADER_BYTES;
    uint64_t bytes = channel->connector->common_memory_bytes(channel->direction, channel->options, payload);
    while (at < count && connectors[at] != channel->connector)
        at++;
    if (at < count && bytes > plan->common_bytes[at]) plan->common_bytes[at] = bytes;
}

static void add_common(plan_group *group) {
    size_t count;
    const tv_connector *const *connectors = tv_host_connectors(&count);
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes = group->plan->common_bytes[i];
        if (bytes) add(group, bytes, bytes, "connector", connectors[i]->name, "common buffer");
    }
}

static void sum_flow_line(void *user, const tv_plan_line *line) {
    tv_host_flow_bytes *sum = user;
    sum->reserved += line->reserved_bytes;
    sum->expected += line->expected_bytes;
}

tv_host_flow_bytes tv_host_flow_bytes_of(const tv_pipeline *pipeline, const tv_flow_model *flow,
                                         const tv_host_spec *spec) {
    tv_host_flow_bytes sum = {HOST_FLOW_BYTES, HOST_FLOW_BYTES};
    tv_flow_plan(&spec->flow, sum_flow_line, &sum);
    for (size_t s = 0; s < flow->stage_count; s++)
        if (spec->stages[s].shared && !tv_host_stage_shares(pipeline, flow, s))
            tv_stage_plan(&spec->stages[s], sum_flow_line, &sum);
    for (size_t c = 0; c < flow->channel_count; c++) {
        tv_host_flow_bytes bytes = connector_bytes(&flow->channels[c], spec->channel_record_bytes[c]);
        sum.reserved += bytes.reserved;
        sum.expected += bytes.expected;
    }
    return sum;
}

// The flows of one entry: their specifications, each with the number of flows that have it, in the order of the first.
typedef struct plan_entry {
    const tv_host_spec *spec;
    uint64_t flows;
} plan_entry;

typedef struct plan_entries {
    plan_group *group;
    plan_entry *items;
    size_t count, capacity;
    uint64_t times; // of the line being added
} plan_entries;

static bool count_spec(plan_entries *entries, const tv_host_spec *spec) {
    // Mostly the same as the last; where every flow has one of its own there is nothing to find.
    for (size_t i = entries->count; i-- > 0 && i + 4 > entries->count;)
        if (entries->items[i].spec == spec) {
            entries->items[i].flows++;
            return true;
        }
    if (entries->count == entries->capacity) {
        size_t capacity = entries->capacity ? 2 * entries->capacity : 4;
        plan_entry *items = realloc(entries->items, capacity * sizeof *items);
        if (!items) return false;
        entries->items = items;
        entries->capacity = capacity;
    }
    entries->items[entries->count++] = (plan_entry){spec, 1};
    return true;
}

static void add_flow_line(void *user, const tv_plan_line *line) {
    plan_entries *entries = user;
    add_line(entries->group, line, entries->times);
}

static void add_connectors(plan_group *group, const tv_flow_model *flow, const tv_host_spec *spec) {
    for (size_t c = 0; c < flow->channel_count; c++) {
        tv_host_flow_bytes bytes = connector_bytes(&flow->channels[c], spec->channel_record_bytes[c]);
        add(group, bytes.reserved, bytes.expected, "channel", flow->channels[c].name, "connector's buffers");
        note_common(group->plan, &flow->channels[c], spec->channel_record_bytes[c]);
    }
}

static tv_status count_flows(plan_entries *entries, tv_host_specs *specs, const tv_template_model *template,
                             tv_error *error) {
    const tv_flow_model *flows = &specs->model->pipeline->flows[template->first_flow];
    const tv_host_spec *spec;
    for (size_t f = 0; f < template->flow_count; f++) {
        tv_status status = tv_host_spec_acquire(specs, &flows[f], &spec, error);
        if (status != TV_OK) return status;
        if (!count_spec(entries, spec)) return tv_error_set(error, TV_NO_MEMORY, "plan: out of memory");
    }
    return TV_OK;
}

typedef struct shared_lines {
    plan_group *group;
    tv_host_shared instances;
} shared_lines;

static void add_shared_line(void *user, const tv_plan_line *line) {
    const shared_lines *lines = user;
    tv_plan_line sum = *line;
    sum.reserved_bytes *= lines->instances.most;
    sum.expected_bytes *= lines->instances.usual;
    add_line(lines->group, &sum, 1);
}

// Instances that the flows share, and those of stages that are alone with their configuration.
static void add_shared(plan_group *group, const tv_host_model *model, const tv_template_model *template,
                       const tv_host_spec *spec) {
    const tv_flow_model *flows = &model->pipeline->flows[template->first_flow];
    for (size_t s = 0; s < spec->flow.stage_count; s++) {
        if (!spec->stages[s].shared) continue;
        shared_lines lines = {group, tv_host_shared_instances(model, template, s)};
        for (size_t f = 0; f < template->flow_count; f++) {
            bool alone = !tv_host_stage_shares(model->pipeline, &flows[f], s);
            lines.instances.most += alone;
            lines.instances.usual += alone;
        }
        tv_stage_plan(&spec->stages[s], add_shared_line, &lines);
    }
}

static tv_status add_template(tv_host_plan *plan, tv_host_specs *specs, const tv_template_model *template,
                              tv_error *error) {
    plan_group group = {
        .plan = plan, .name = template->name, .first = plan->count, .flows = (uint32_t) template->flow_count};
    plan_entries entries = {.group = &group};
    const tv_flow_model *flows = &specs->model->pipeline->flows[template->first_flow];
    const tv_host_spec *spec = NULL;
    if (!template->flow_count) return TV_OK;
    tv_status status = count_flows(&entries, specs, template, error);
    for (size_t i = 0; i < entries.count && status == TV_OK; i++) {
        entries.times = entries.items[i].flows;
        tv_flow_plan(&entries.items[i].spec->flow, add_flow_line, &entries);
    }
    if (status == TV_OK) add_shared(&group, specs->model, template, entries.items[0].spec);
    free(entries.items);
    for (size_t f = 0; f < template->flow_count && status == TV_OK; f++) {
        status = tv_host_spec_acquire(specs, &flows[f], &spec, error);
        if (status == TV_OK) add_connectors(&group, &flows[f], spec);
    }
    uint64_t own = HOST_FLOW_BYTES * (uint64_t) template->flow_count;
    add(&group, own, own, "host's figures and names", "", "");
    plan->flows += template->flow_count;
    return status;
}

// ---- process ------------------------------------------------------------------------------------------------

static void add_process(tv_host_plan *plan, const tv_host_model *model) {
    const tv_pipeline *pipeline = model->pipeline;
    plan_group group = {.plan = plan, .name = "process", .first = plan->count};
    add(&group, PROCESS_RESERVED_BYTES, PROCESS_EXPECTED_BYTES, "program, engine, libraries", "", "");
    for (size_t i = 0; i < pipeline->component_count; i++) {
        uint64_t bytes = model->components[i].info.file_bytes;
        add(&group, CODE_FACTOR_RESERVED * bytes + MODULE_BYTES, CODE_FACTOR_EXPECTED * bytes + MODULE_BYTES,
            "component", pipeline->components[i].name, "compiled code");
    }
    uint64_t models = tv_pipeline_bytes(pipeline);
    add(&group, models, models, "pipeline file and models", "", "");
    for (size_t i = 0; i < model->asset_count; i++)
        add(&group, model->assets[i]->size, model->assets[i]->size, "asset", model->assets[i]->path, "");
    uint64_t threads = model->workers + 2 + FILE_THREADS; // workers, ticker, the one that waits for them at the end
    add(&group, threads * THREAD_STACK_RESERVED_BYTES, threads * THREAD_STACK_EXPECTED_BYTES, "threads", "", "stacks");
    add(&group, TV_LOG_MEMORY_BYTES, TV_LOG_EXPECTED_BYTES, "log", "", "queue and thread");
    uint64_t letters = (uint64_t)model->workers * tv_host_dead_letter_bytes(model);
    add(&group, letters, letters / 16, "dead letters", "", "queues and buffers");
    if (!pipeline->control_path || strcmp(pipeline->control_path, "none") != 0)
        add(&group, CONTROL_BYTES, CONTROL_EXPECTED_BYTES, "control socket", "", "clients, answers, taps");
    add_common(&group);
}

tv_status tv_host_plan_init(const tv_host_model *model, tv_host_plan *plan, tv_error *error) {
    *plan = (tv_host_plan){.limits.configured_bytes = model->pipeline->limits.memory_bytes,
                           .overcommit = model->pipeline->limits.overcommit};
    tv_host_specs specs = {.model = model};
    tv_host_limits_read(&plan->limits);
    tv_status status = TV_OK;
    for (size_t i = 0; i < model->pipeline->template_count && status == TV_OK; i++)
        status = add_template(plan, &specs, &model->pipeline->templates[i], error);
    tv_host_specs_deinit(&specs);
    plan->instances = tv_host_instances(model);
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

uint64_t tv_host_plan_counted_bytes(const tv_host_plan *plan) {
    return plan->overcommit ? plan->expected_bytes : plan->reserved_bytes;
}

typedef struct plan_limit {
    uint64_t bytes;
    const char *name, *remedy;
} plan_limit;

static tv_status check_limit(const tv_host_plan *plan, const plan_limit *limit, tv_error *error) {
    char counted[32], most[32];
    uint64_t bytes = tv_host_plan_counted_bytes(plan);
    if (!limit->bytes || bytes <= limit->bytes) return TV_OK;
    return tv_error_set(error, TV_LIMIT,
                        "it does not fit: the pipeline %s %s (%llu bytes), %s is %s (%llu bytes).\n"
                        "`torvyn plan FILE` shows what takes how much: lower queues, batches or memory budgets, %s.%s",
                        plan->overcommit ? "is expected to take" : "reserves", tv_format_size(bytes, counted),
                        (unsigned long long)bytes, limit->name, tv_format_size(limit->bytes, most),
                        (unsigned long long)limit->bytes, limit->remedy,
                        !plan->overcommit && plan->expected_bytes <= limit->bytes
                            ? " What is expected would fit: `limits: { overcommit: true }` goes by that."
                            : "");
}

tv_status tv_host_plan_check(const tv_host_plan *plan, tv_error *error) {
    const plan_limit limits[] = {
        {plan->limits.configured_bytes, "limits.memory of the pipeline file", "or raise the limit"},
        {plan->limits.cgroup_bytes, "the memory limit of the control group",
         "or raise the group's limit (systemd: MemoryMax=)"},
        {plan->limits.available_bytes, "the memory available on this machine now", "or free memory"},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (check_limit(plan, &limits[i], error) != TV_OK) return TV_LIMIT;
    return TV_OK;
}
