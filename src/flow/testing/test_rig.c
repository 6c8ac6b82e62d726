// See test_rig.h. Every helper fails the test that uses it if the flow answers something else than it expects.
#include "flow/testing/test_rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { CHANNEL_BYTES = 64 << 10, DEAD_LETTER_BYTES = 16 << 10, EDGE_BYTES = 16 << 10, RECORD_BYTES = 2048 };

// ---- engine and modules -------------------------------------------------------------------------------------

static tv_engine *engine;
static tv_module *puppet, *puppet_bare, *puppet_clock, *puppet_stateless, *puppet_keyed;

// cmocka sets handlers of its own around each test; the engine's turn a guest's trap into an error, so they come back.
enum { SIGNALS = 4 };
static const int signals[SIGNALS] = {SIGSEGV, SIGILL, SIGFPE, SIGBUS};
static struct sigaction engine_handlers[SIGNALS];

static void keep_engine_handlers(void) {
    for (int i = 0; i < SIGNALS; i++)
        sigaction(signals[i], NULL, &engine_handlers[i]);
}

void rig_use_engine_handlers(void) {
    for (int i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &engine_handlers[i], NULL);
}

static void open_engine(void) {
    tv_error error;
    const char *mode = getenv("TV_TEST_MEMORY_MODE");
    tv_engine_options options = {
        .cache_dir = TV_TEST_CACHE_DIR,
        .memories_max = 40, // address space is scarce under the thread sanitizer
        .memory_mode = mode && strcmp(mode, "compact") == 0 ? TV_MEMORY_COMPACT : TV_MEMORY_GUARD,
    };
    if (tv_engine_new(&options, &engine, &error) != TV_OK) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    keep_engine_handlers();
}

tv_engine *rig_engine(void) { return engine; }

static tv_module *load(tv_module **module, const char *path) {
    tv_error error;
    if (!*module && tv_module_load(rig_engine(), path, module, &error) != TV_OK) fail_msg("%s", error.message);
    return *module;
}

tv_module *rig_puppet(void) { return load(&puppet, TV_TEST_PUPPET); }
tv_module *rig_puppet_bare(void) { return load(&puppet_bare, TV_TEST_PUPPET_BARE); }
tv_module *rig_puppet_clock(void) { return load(&puppet_clock, TV_TEST_PUPPET_CLOCK); }
tv_module *rig_puppet_stateless(void) { return load(&puppet_stateless, TV_TEST_PUPPET_STATELESS); }
tv_module *rig_puppet_keyed(void) { return load(&puppet_keyed, TV_TEST_PUPPET_KEYED); }

void rig_engine_free(void) {
    tv_module_unref(puppet);
    tv_module_unref(puppet_bare);
    tv_module_unref(puppet_clock);
    tv_module_unref(puppet_stateless);
    tv_module_unref(puppet_keyed);
    puppet = puppet_bare = puppet_clock = puppet_stateless = puppet_keyed = NULL;
    tv_engine_free(engine);
    engine = NULL;
}

static _Atomic bool ticking;
static pthread_t tick_thread;

static void *tick(void *user) {
    (void)user;
    struct timespec pause = {.tv_nsec = 1000000};
    while (atomic_load(&ticking)) {
        tv_engine_tick(engine);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

void rig_ticks_begin(void) {
    atomic_store(&ticking, true);
    assert_int_equal(pthread_create(&tick_thread, NULL, tick, NULL), 0);
}

void rig_ticks_end(void) {
    if (atomic_exchange(&ticking, false)) pthread_join(tick_thread, NULL);
}

int rig_main(int argc, char **argv, int (*tests)(void)) {
    if (argc > 1 && strcmp(argv[1], "__compile") == 0) return tv_compile_child_main(argc, argv);
    tv_log_configure(TV_LEVEL_ERROR, false);
    open_engine();
    int failed = tests();
    if (!failed) rig_engine_free(); // a test that was cut short has left its flow behind
    return failed;
}

// ---- building -----------------------------------------------------------------------------------------------

int rig_setup(void **state) {
    static rig bench; // too large for the stack
    rig_init(&bench);
    *state = &bench;
    return 0;
}

int rig_teardown(void **state) {
    rig_deinit(*state);
    return 0;
}

static void count_wake(void *user) { ((rig *)user)->wakes++; }

void rig_init(rig *bench) {
    memset(bench, 0, sizeof *bench);
    tv_virtual_clock_init(&bench->clock, 1700000000000000000);
    tv_virtual_clock_advance(&bench->clock, 1000000000);
    bench->spec = (tv_flow_spec){
        .name = "bench",
        .class = TV_CLASS_NORMAL,
        .stages = bench->stages,
        .edges = bench->edges,
        .channel_names = bench->channel_names,
    };
}

uint16_t rig_stage(rig *bench, const char *name) {
    uint16_t index = (uint16_t)bench->spec.stage_count++;
    bench->stages[index] = (tv_stage_spec){
        .name = name,
        .module = rig_puppet(),
        .memory_bytes_max = 1 << 20,
        .batch_records_max = 32,
        .batch_bytes_max = 32 << 10,
        .cpu_record_ns = 1000000000,
        .cpu_call_ns = 2000000000,
        .restart = {.mode = TV_RESTART, .limit = 100, .window_ns = 60000000000},
        .log_lines_per_s = 0, // failures on purpose would fill the screen
        .config = bench->config[index],
    };
    return index;
}

void rig_config(rig *bench, uint16_t stage, const char *path, const char *value) {
    tv_config_entry *entries = bench->config[stage];
    size_t at = bench->stages[stage].config_count++;
    assert_true(at < RIG_CONFIG_MAX);
    for (; at > 0 && strcmp(entries[at - 1].path, path) > 0; at--)
        entries[at] = entries[at - 1];
    entries[at] = (tv_config_entry){.path = path, .value = value};
}

uint16_t rig_channel(rig *bench, const char *name, tv_direction direction) {
    size_t index = bench->spec.channel_count++;
    bench->channel_names[index] = name;
    bench->channel_options[index] = (tv_channel_options){
        .name = name,
        .direction = direction,
        .capacity_bytes = CHANNEL_BYTES,
        .capacity_records = 1024,
        .record_bytes_max = RECORD_BYTES,
        .pause_percent = 100,
        .resume_percent = 50,
        .origin = (uint16_t)index,
        .memory = &bench->memory,
    };
    return (uint16_t)(TV_NODE_CHANNEL | index);
}

tv_channel_options *rig_options(rig *bench, uint16_t channel) {
    return &bench->channel_options[channel & ~TV_NODE_CHANNEL];
}

tv_edge_spec *rig_edge(rig *bench, uint16_t from, uint16_t port, uint16_t to) {
    tv_edge_spec *edge = &bench->edges[bench->spec.edge_count++];
    uint16_t channel = (from & TV_NODE_CHANNEL) ? from : to;
    bool of_channel = (channel & TV_NODE_CHANNEL) != 0;
    *edge = (tv_edge_spec){
        .from = from,
        .from_port = port,
        .to = to,
        .capacity_bytes = of_channel ? rig_options(bench, channel)->capacity_bytes : EDGE_BYTES,
        .capacity_records = 1024,
        .record_bytes_max = of_channel ? rig_options(bench, channel)->record_bytes_max : RECORD_BYTES,
        .pause_percent = 100,
        .resume_percent = 50,
    };
    return edge;
}

void rig_line(rig *bench) {
    uint16_t in = rig_channel(bench, "in", TV_INPUT), out = rig_channel(bench, "out", TV_OUTPUT);
    uint16_t stage = rig_stage(bench, "puppet");
    rig_edge(bench, in, 0, stage);
    rig_edge(bench, stage, 0, out);
}

void rig_start_line(rig *bench) {
    rig_line(bench);
    rig_start(bench);
}

// ---- starting and ending ------------------------------------------------------------------------------------

static void make_runtime(rig *bench) {
    tv_channel_options letters = {
        .name = "dead-letters",
        .direction = TV_OUTPUT,
        .capacity_bytes = bench->dead_letter_bytes ? bench->dead_letter_bytes : CHANNEL_BYTES,
        .capacity_records = 1024,
        .record_bytes_max = DEAD_LETTER_BYTES,
        .pause_percent = 100,
        .memory = &bench->memory,
    };
    assert_int_equal(tv_channel_new(&letters, &bench->dead_letters, &bench->error), TV_OK);
    tv_runtime_options options = {
        .engine = rig_engine(),
        .clock = &bench->clock.clock,
        .workers = 1,
        .io_wake = {.wake = count_wake, .user = bench},
        .io_ready = &bench->ready,
        .letters = bench->letters,
        .dead_letters = &bench->dead_letters,
        .memory = &bench->memory,
    };
    assert_int_equal(tv_runtime_new(&options, &bench->runtime, &bench->error), TV_OK);
}

// What records cost is taken as known, so that the first batch is not of one record.
tv_status rig_try_start(rig *bench) {
    rig_use_engine_handlers();
    make_runtime(bench);
    for (size_t i = 0; i < bench->spec.channel_count; i++)
        if (tv_channel_new(&bench->channel_options[i], &bench->channels[i], &bench->error) != TV_OK)
            fail_msg("%s", bench->error.message);
    if (bench->with_ticker) assert_int_equal(tv_runtime_start_ticker(bench->runtime, &bench->error), TV_OK);
    tv_status status =
        tv_flow_new(bench->runtime, &bench->spec, bench->part, bench->channels, &bench->flow, &bench->error);
    for (size_t i = 0; status == TV_OK && i < bench->spec.stage_count; i++)
        bench->flow->stages[i].cost_ns = 1;
    return status;
}

void rig_start(rig *bench) {
    if (rig_try_start(bench) != TV_OK) fail_msg("%s", bench->error.message);
}

void rig_deinit(rig *bench) {
    tv_arena_stats stats;
    tv_runtime_free(bench->runtime);
    for (size_t i = 0; i < bench->spec.channel_count; i++)
        tv_channel_free(bench->channels[i]);
    tv_channel_free(bench->dead_letters);
    tv_engine_arena_stats(rig_engine(), &stats);
    assert_int_equal(stats.memories_now, 0);
    assert_int_equal(stats.committed_bytes_now, 0);
    assert_int_equal(stats.reserved_bytes_now, 0);
    if (tv_memory_account_check_empty(&bench->memory, &bench->error) != TV_OK) fail_msg("%s", bench->error.message);
}

// ---- driving ------------------------------------------------------------------------------------------------

static tv_channel *channel_of(rig *bench, uint16_t node) { return bench->channels[node & ~TV_NODE_CHANNEL]; }

tv_status rig_try_push(rig *bench, uint16_t channel, const char *text) {
    tv_status status = tv_channel_push(channel_of(bench, channel), text, (uint32_t)strlen(text));
    tv_channel_publish(channel_of(bench, channel));
    return status;
}

void rig_push(rig *bench, uint16_t channel, const char *text) {
    assert_int_equal(rig_try_push(bench, channel, text), TV_OK);
}

void rig_push_at(rig *bench, uint16_t channel, const char *text, int64_t event_time_ns) {
    uint8_t *place;
    uint32_t length = (uint32_t)strlen(text);
    assert_int_equal(tv_channel_reserve(channel_of(bench, channel), length, NULL, 0, &place), TV_OK);
    memcpy(place, text, length);
    tv_channel_commit(channel_of(bench, channel), event_time_ns);
    tv_channel_publish(channel_of(bench, channel));
}

void rig_end(rig *bench, uint16_t channel) { tv_channel_end(channel_of(bench, channel)); }

// Takes the I/O thread's part: channels that want it are taken off its list.
static void serve_ready(rig *bench) {
    tv_channel *channel = tv_ready_list_take(&bench->ready);
    while (channel)
        channel = tv_channel_next_ready(channel);
}

void rig_run(rig *bench) {
    enum { STEPS_MAX = 1000000 };
    int64_t wait_until_ns;
    uint32_t steps = 0;
    while (tv_worker_step(&bench->runtime->workers[0], &wait_until_ns))
        if (++steps == STEPS_MAX) {
            rig_describe(bench);
            fail_msg("the worker does not come to rest");
        }
    serve_ready(bench);
    if (tv_flow_check_conservation(bench->flow, &bench->error) != TV_OK) fail_msg("%s", bench->error.message);
}

void rig_advance(rig *bench, int64_t by_ns) {
    tv_virtual_clock_advance(&bench->clock, by_ns);
    rig_run(bench);
}

static void add_record(rig *bench, const tv_record *record, const char *separator) {
    assert_true(bench->text_length + 1 + record->payload_bytes < RIG_TEXT_BYTES);
    memcpy(bench->text + bench->text_length, separator, strlen(separator));
    bench->text_length += (uint32_t)strlen(separator);
    memcpy(bench->text + bench->text_length, tv_record_payload(record), record->payload_bytes);
    bench->text_length += record->payload_bytes;
}

static const char *take(rig *bench, tv_channel *channel, uint32_t limit, const char *separator) {
    uint32_t bytes, records, taken = 0;
    const tv_record *record;
    bench->text_length = 0;
    while (taken < limit && tv_channel_peek(channel, &record, &bytes, &records) == TV_OK) {
        add_record(bench, record, taken ? separator : "");
        tv_channel_pop(channel, 1, record->size_bytes);
        taken++;
    }
    bench->text[bench->text_length] = 0;
    return bench->text;
}

const char *rig_take_some(rig *bench, uint16_t channel, uint32_t records) {
    return take(bench, channel_of(bench, channel), records, "|");
}

void rig_skip(rig *bench, uint16_t channel, uint32_t records) {
    for (uint32_t i = 0; i < records; i++) {
        assert_non_null(rig_front(bench, channel));
        tv_channel_pop(channel_of(bench, channel), 1, rig_front(bench, channel)->size_bytes);
    }
}

const char *rig_take(rig *bench, uint16_t channel) { return rig_take_some(bench, channel, UINT32_MAX); }
const char *rig_dead_letters(rig *bench) { return take(bench, bench->dead_letters, UINT32_MAX, "\n"); }

const tv_record *rig_front(rig *bench, uint16_t channel) {
    uint32_t bytes, records;
    const tv_record *record;
    return tv_channel_peek(channel_of(bench, channel), &record, &bytes, &records) == TV_OK ? record : NULL;
}

// ---- figures ------------------------------------------------------------------------------------------------

tv_stage_stats rig_stage_stats(rig *bench, uint16_t stage) {
    tv_stage_stats stats;
    tv_flow_stage_stats(bench->flow, stage, &stats);
    return stats;
}

tv_edge_stats rig_edge_stats(rig *bench, size_t edge) {
    tv_edge_stats stats;
    tv_flow_edge_stats(bench->flow, edge, &stats);
    return stats;
}

tv_flow_state rig_state(rig *bench) { return tv_flow_get_state(bench->flow); }

static void describe_stage(rig *bench, uint16_t index) {
    const char *states[] = {"running", "back-off", "closing", "closed"};
    const tv_stage *stage = &bench->flow->stages[index];
    tv_stage_stats stats = rig_stage_stats(bench, index);
    print_message("stage %s: %s%s, timer in %lld, popped %llu, emitted %llu, faults %llu, last: %s\n",
                  bench->stages[index].name, states[stage->state], stage->more ? ", more" : "",
                  stage->timer_at_ns == INT64_MAX ? -1 : (long long)(stage->timer_at_ns - tv_flow_now_ns(bench->flow)),
                  (unsigned long long)stats.popped, (unsigned long long)stats.emitted, (unsigned long long)stats.faults,
                  stats.last_error);
}

void rig_describe(rig *bench) {
    print_message("flow %s, %llu turns\n", tv_flow_state_name(rig_state(bench)),
                  (unsigned long long)tv_flow_turns(bench->flow));
    for (size_t i = 0; i < bench->spec.stage_count; i++)
        describe_stage(bench, (uint16_t)i);
    for (size_t i = 0; i < bench->spec.edge_count; i++) {
        const tv_edge *edge = &bench->flow->edges[i];
        const tv_ring *ring = tv_edge_peek_ring(edge);
        print_message("edge %x -> %x: %u of %u bytes, %u of %u records, %s%s\n", bench->edges[i].from,
                      bench->edges[i].to, tv_ring_used_bytes(ring), ring->capacity_bytes, tv_ring_used_records(ring),
                      ring->capacity_records, tv_overflow_name((tv_overflow)edge->overflow),
                      edge->ended ? ", ended" : "");
    }
}
