// See bank.h.
#include "flow/testing/bank.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { QUEUE_BYTES = 64 << 10, QUEUE_RECORDS = 1024, RECORD_BYTES = 2048, LETTER_BYTES = 16 << 10, TICK_NS = 1000000 };

static const char *const stage_names[BANK_STAGES_MAX] = {"s0", "s1", "s2", "s3", "s4"};
static const char *const channel_names[] = {"in", "out"};

// ---- time ---------------------------------------------------------------------------------------------------

static int64_t monotonic_ns(void *user) { return ((bank *)user)->now_ns; }

// The host asks for it as well, between two calls: that takes no time.
static bool is_between_calls(const bank *bench) {
    for (uint32_t i = 0; i < bench->line_count; i++)
        if (bench->lines[i].flow && bench->lines[i].flow->frame) return false;
    return bench->stepping;
}

static int64_t realtime_ns(void *user) {
    bank *bench = user;
    if (is_between_calls(bench)) return bench->now_ns;
    int64_t before_ns = bench->now_ns;
    bench->now_ns += bench->cost_ns;
    if (bench->ticks && before_ns / TICK_NS != bench->now_ns / TICK_NS) {
        bench->tick_count++;
        if (bench->at_tick) bench->at_tick(bench);
        atomic_fetch_add(&bench->runtime->ticks, 1);
        tv_engine_tick(rig_engine());
    }
    return bench->now_ns;
}

void bank_advance(bank *bench, int64_t by_ns) { bench->now_ns += by_ns; }

// ---- making and freeing -------------------------------------------------------------------------------------

static tv_channel *make_channel(const char *name, tv_direction direction, uint32_t record_bytes) {
    tv_error error;
    tv_channel *channel = NULL;
    tv_channel_options options = {
        .name = name,
        .direction = direction,
        .capacity_bytes = QUEUE_BYTES,
        .capacity_records = QUEUE_RECORDS,
        .record_bytes_max = record_bytes,
        .pause_percent = 100,
        .resume_percent = 50,
    };
    assert_int_equal(tv_channel_new(&options, &channel, &error), TV_OK);
    return channel;
}

void bank_init(bank *bench, uint32_t workers) {
    memset(bench, 0, sizeof *bench);
    rig_use_engine_handlers();
    bench->clock = (tv_clock){
        .monotonic_ns = monotonic_ns, .realtime_ns = realtime_ns, .thread_cpu_ns = monotonic_ns, .user = bench};
    bench->now_ns = 1000000000;
    bench->cost_ns = 1000;
    bench->workers = workers;
    for (uint32_t i = 0; i < workers; i++)
        bench->letters[i] = make_channel("letters", TV_OUTPUT, LETTER_BYTES);
    tv_runtime_options options = {
        .engine = rig_engine(),
        .clock = &bench->clock,
        .workers = workers,
        .io_ready = &bench->ready,
        .dead_letters = bench->letters,
    };
    assert_int_equal(tv_runtime_new(&options, &bench->runtime, &bench->error), TV_OK);
}

void bank_deinit(bank *bench) {
    tv_arena_stats stats;
    tv_runtime_stop(bench->runtime);
    tv_runtime_free(bench->runtime);
    for (uint32_t i = 0; i < bench->line_count; i++) {
        tv_channel_free(bench->lines[i].channels[0]);
        tv_channel_free(bench->lines[i].channels[1]);
    }
    for (uint32_t i = 0; i < bench->workers; i++)
        tv_channel_free(bench->letters[i]);
    tv_engine_arena_stats(rig_engine(), &stats);
    assert_int_equal(stats.memories_now, 0);
    assert_int_equal(stats.committed_bytes_now, 0);
}

int bank_setup(void **state) {
    static bank bench;
    bank_init(&bench, 1);
    *state = &bench;
    return 0;
}

int bank_teardown(void **state) {
    bank_deinit(*state);
    return 0;
}

// ---- lines --------------------------------------------------------------------------------------------------

static void set_stages(bank_line *line, uint32_t stages) {
    for (uint32_t i = 0; i < stages; i++)
        line->stages[i] = (tv_stage_spec){
            .name = stage_names[i],
            .module = rig_puppet_clock(),
            .grants = TV_GRANT_CLOCK,
            .memory_bytes_max = 1 << 20,
            .batch_records_max = 128,
            .batch_bytes_max = 32 << 10,
            .cpu_record_ns = 1000000000,
            .cpu_call_ns = 2000000000,
            .restart = {.mode = TV_RESTART, .limit = 1000, .window_ns = 60000000000},
            .config = line->config[i],
        };
    for (uint32_t i = 0; i <= stages; i++)
        line->edges[i] = (tv_edge_spec){
            .from = i == 0 ? TV_NODE_CHANNEL : (uint16_t)(i - 1),
            .to = i == stages ? (uint16_t)(TV_NODE_CHANNEL | 1) : (uint16_t)i,
            .capacity_bytes = QUEUE_BYTES,
            .capacity_records = QUEUE_RECORDS,
            .record_bytes_max = RECORD_BYTES,
            .pause_percent = 100,
            .resume_percent = 50,
        };
}

bank_line *bank_add(bank *bench, const char *name, tv_class class, uint32_t stages) {
    assert_true(bench->line_count < BANK_LINES_MAX && stages <= BANK_STAGES_MAX);
    bank_line *line = &bench->lines[bench->line_count++];
    set_stages(line, stages);
    line->spec = (tv_flow_spec){
        .name = name,
        .class = class,
        .stages = line->stages,
        .stage_count = stages,
        .edges = line->edges,
        .edge_count = stages + 1,
        .channel_names = channel_names,
        .channel_count = 2,
    };
    line->channels[0] = make_channel("in", TV_INPUT, RECORD_BYTES);
    line->channels[1] = make_channel("out", TV_OUTPUT, RECORD_BYTES);
    return line;
}

void bank_config(bank_line *line, uint32_t stage, const char *path, const char *value) {
    tv_config_entry *entries = line->config[stage];
    size_t at = line->stages[stage].config_count++;
    assert_true(at < BANK_CONFIG_MAX);
    for (; at > 0 && strcmp(entries[at - 1].path, path) > 0; at--)
        entries[at] = entries[at - 1];
    entries[at] = (tv_config_entry){.path = path, .value = value};
}

static void count_end(void *user, tv_flow *flow) {
    (void)flow;
    ((bank_line *)user)->ended++;
}

void bank_start(bank *bench, bank_line *line) {
    rig_use_engine_handlers(); // cmocka has put its own in place since the setup
    if (tv_flow_new(bench->runtime, &line->spec, NULL, line->channels, &line->flow, &bench->error) != TV_OK)
        fail_msg("%s", bench->error.message);
    tv_flow_on_end(line->flow, count_end, line);
}

bank_line *bank_add_started(bank *bench, const char *name, tv_class class, uint32_t stages) {
    bank_line *line = bank_add(bench, name, class, stages);
    bank_start(bench, line);
    return line;
}

static void count_removed(void *user, tv_flow *flow) {
    (void)flow;
    ((bank_line *)user)->removed++;
}

void bank_remove(bank_line *line, tv_removal how) { tv_flow_remove(line->flow, how, count_removed, line); }

void bank_check(bank *bench, bank_line *line) {
    if (tv_flow_check_conservation(line->flow, &bench->error) != TV_OK) fail_msg("%s", bench->error.message);
}

void bank_free_line(bank *bench, bank_line *line) {
    tv_flow_abandon(line->flow);
    bank_check(bench, line);
    tv_flow_free(line->flow);
    line->flow = NULL;
}

tv_flow_stats bank_stats(bank_line *line) {
    tv_flow_stats stats;
    tv_flow_get_stats(line->flow, &stats);
    return stats;
}

// ---- driving ------------------------------------------------------------------------------------------------

void bank_push(bank_line *line, const char *text) {
    assert_int_equal(tv_channel_push(line->channels[0], text, (uint32_t)strlen(text)), TV_OK);
    tv_channel_publish(line->channels[0]);
}

uint32_t bank_fill(bank_line *line, const char *text) {
    uint32_t count = 0;
    while (tv_channel_push(line->channels[0], text, (uint32_t)strlen(text)) == TV_OK)
        count++;
    tv_channel_publish(line->channels[0]);
    return count;
}

uint32_t bank_take(bank_line *line) {
    const tv_record *first;
    uint32_t bytes, records, taken = 0;
    while (tv_channel_peek(line->channels[1], &first, &bytes, &records) == TV_OK) {
        tv_channel_pop(line->channels[1], records, bytes);
        taken += records;
    }
    line->taken += taken;
    return taken;
}

// Takes the I/O thread's part: channels that want it are taken off its list.
static void serve_ready(bank *bench) {
    tv_channel *channel = tv_ready_list_take(&bench->ready);
    while (channel)
        channel = tv_channel_next_ready(channel);
}

bool bank_step(bank *bench, uint32_t worker) {
    int64_t wait_until_ns;
    bench->stepping = true;
    bool stepped = tv_worker_step(&bench->runtime->workers[worker], &wait_until_ns);
    bench->stepping = false;
    serve_ready(bench);
    return stepped;
}

void bank_run(bank *bench) {
    enum { STEPS_MAX = 1000000 };
    uint32_t steps = 0;
    for (bool any = true; any;) {
        any = false;
        for (uint32_t i = 0; i < bench->workers; i++)
            any |= bank_step(bench, i);
        if (++steps == STEPS_MAX) fail_msg("the workers do not come to rest");
    }
    for (uint32_t i = 0; i < bench->line_count; i++)
        if (bench->lines[i].flow) bank_check(bench, &bench->lines[i]);
}

void bank_run_for(bank *bench, int64_t ns, void (*between_steps)(bank *bench)) {
    int64_t end_ns = bench->now_ns + ns;
    while (bench->now_ns < end_ns) {
        int64_t wait_until_ns, next_ns = bench->now_ns + TICK_NS;
        if (between_steps) between_steps(bench);
        bench->stepping = true;
        bool stepped = tv_worker_step(&bench->runtime->workers[0], &wait_until_ns);
        bench->stepping = false;
        if (stepped) continue;
        bench->now_ns = wait_until_ns > bench->now_ns && wait_until_ns < next_ns ? wait_until_ns : next_ns;
    }
    serve_ready(bench);
}
