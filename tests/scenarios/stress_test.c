// Several workers and an I/O thread: many flows at once, fed and emptied from another thread while figures are read,
// components fail and flows drain. For the thread sanitizer above all; the books must balance at the end.
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/testing/await.h"
#include "flow/testing/test_rig.h"

enum { FLOWS = 6, WORKERS = 3, MESSAGES = 400, STAGES = 3, EDGES = 4 };

typedef struct line {
    tv_stage_spec stages[STAGES];
    tv_edge_spec edges[EDGES];
    tv_flow_spec spec;
    tv_channel *channels[2];
    tv_flow *flow;
    uint32_t pushed, taken;
    bool input_ended, output_ended;
} line;

typedef struct io_thread {
    tv_ready_list ready;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool wake;
    _Atomic int flows_ended;
} io_thread;

static line lines[FLOWS];
static io_thread io;
static tv_channel *letters[WORKERS];
static const char *const channel_names[] = {"in", "out"};

// ---- building -----------------------------------------------------------------------------------------------

static void wake(void *user) {
    io_thread *thread = user;
    pthread_mutex_lock(&thread->lock);
    thread->wake = true;
    pthread_cond_signal(&thread->woken);
    pthread_mutex_unlock(&thread->lock);
}

static tv_channel *make_channel(const char *name, tv_direction direction) {
    tv_error error;
    tv_channel *channel = NULL;
    tv_channel_options options = {
        .name = name,
        .direction = direction,
        .capacity_bytes = 8192,
        .capacity_records = 64,
        .record_bytes_max = 2048,
        .pause_percent = 100,
        .resume_percent = 50,
    };
    assert_int_equal(tv_channel_new(&options, &channel, &error), TV_OK);
    return channel;
}

static tv_edge_spec edge(uint16_t from, uint16_t port, uint16_t to) {
    return (tv_edge_spec){
        .from = from,
        .from_port = port,
        .to = to,
        .capacity_bytes = 8192,
        .capacity_records = 64,
        .record_bytes_max = 2048,
        .pause_percent = 100,
        .resume_percent = 50,
    };
}

// in -> first -> second -> out, and first's second port -> third, which swallows.
static void make_line(line *made, uint32_t index) {
    static const char *const names[STAGES] = {"first", "second", "third"};
    for (int i = 0; i < STAGES; i++)
        made->stages[i] = (tv_stage_spec){
            .name = names[i],
            .module = rig_puppet(),
            .memory_bytes_max = 1 << 20,
            .batch_records_max = 32,
            .batch_bytes_max = 8192,
            .cpu_record_ns = 2000000000,
            .cpu_call_ns = 4000000000,
            .restart = {.mode = TV_RESTART,
                        .limit = 100000,
                        .window_ns = 1000000000,
                        .backoff_min_ns = 100000,
                        .backoff_max_ns = 1000000},
        };
    made->edges[0] = edge(TV_NODE_CHANNEL, 0, 0);
    made->edges[1] = edge(0, 0, 1);
    made->edges[2] = edge(0, 1, 2);
    made->edges[3] = edge(1, 0, TV_NODE_CHANNEL | 1);
    made->spec = (tv_flow_spec){
        .name = "stress",
        .class = (tv_class)(index % TV_CLASS_COUNT),
        .stages = made->stages,
        .stage_count = STAGES,
        .edges = made->edges,
        .edge_count = EDGES,
        .channel_names = channel_names,
        .channel_count = 2,
    };
    made->channels[0] = make_channel("in", TV_INPUT);
    made->channels[1] = make_channel("out", TV_OUTPUT);
}

// ---- the I/O thread's work ----------------------------------------------------------------------------------

// What message `number` is, and how many records of it come out.
static const char *message(uint32_t number) {
    switch (number % 10) {
    case 3: return "!e1:aside;e0:one;";
    case 5: return "!n0:20;";
    case 7: return number % 20 == 7 ? "!T;" : "!rno;";
    case 9: return "!s1000000;e0:timed;";
    default: return "plain text of a record";
    }
}

static uint32_t outputs_of(uint32_t number) {
    switch (number % 10) {
    case 5: return 20;
    case 7: return 0;
    default: return 1;
    }
}

static void feed(line *at) {
    while (at->pushed < MESSAGES) {
        const char *text = message(at->pushed);
        if (tv_channel_push(at->channels[0], text, (uint32_t)strlen(text)) != TV_OK) break;
        at->pushed++;
    }
    tv_channel_publish(at->channels[0]);
    if (at->pushed < MESSAGES || at->input_ended) return;
    at->input_ended = true;
    tv_channel_end(at->channels[0]);
}

static void drain(line *at) {
    const tv_record *first;
    uint32_t bytes, records;
    tv_status status;
    while ((status = tv_channel_peek(at->channels[1], &first, &bytes, &records)) == TV_OK) {
        at->taken += records;
        tv_channel_pop(at->channels[1], records, bytes);
    }
    at->output_ended = status == TV_EOF;
}

static void drain_letters(tv_channel *channel) {
    const tv_record *first;
    uint32_t bytes, records;
    while (tv_channel_peek(channel, &first, &bytes, &records) == TV_OK)
        tv_channel_pop(channel, records, bytes);
}

static void serve(tv_channel *channel) {
    line *at = tv_channel_connector(channel);
    if (!at)
        drain_letters(channel);
    else if (tv_channel_direction(channel) == TV_INPUT)
        feed(at);
    else
        drain(at);
}

static void serve_ready(void) {
    tv_channel *channel = tv_ready_list_take(&io.ready);
    while (channel) {
        tv_channel *next = tv_channel_next_ready(channel);
        serve(channel);
        channel = next;
    }
}

static void await_wake(void) {
    TV_AWAIT("a wake-up of the I/O thread");
    pthread_mutex_lock(&io.lock);
    while (!io.wake)
        pthread_cond_wait(&io.woken, &io.lock);
    io.wake = false;
    pthread_mutex_unlock(&io.lock);
}

static void read_figures(void) {
    tv_stage_stats stage;
    tv_edge_stats figures;
    for (int i = 0; i < FLOWS; i++) {
        tv_flow_stage_stats(lines[i].flow, 0, &stage);
        tv_flow_edge_stats(lines[i].flow, 1, &figures);
        assert_int_equal(stage.popped, stage.processed + stage.dead_lettered + stage.in_progress);
    }
}

static void on_end(void *user, tv_flow *flow) {
    (void)user, (void)flow;
    atomic_fetch_add(&io.flows_ended, 1);
    wake(&io);
}

// ---- the test -----------------------------------------------------------------------------------------------

static tv_runtime *make_runtime(void) {
    tv_error error;
    tv_runtime *runtime = NULL;
    tv_channel_options options = {.name = "letters",
                                  .direction = TV_OUTPUT,
                                  .capacity_bytes = 32768,
                                  .capacity_records = 64,
                                  .record_bytes_max = 4096,
                                  .pause_percent = 100};
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(tv_channel_new(&options, &letters[i], &error), TV_OK);
    tv_runtime_options runtime_options = {
        .engine = rig_engine(),
        .workers = WORKERS,
        .io_wake = {.wake = wake, .user = &io},
        .io_ready = &io.ready,
        .dead_letters = letters,
    };
    assert_int_equal(tv_runtime_new(&runtime_options, &runtime, &error), TV_OK);
    return runtime;
}

static void start_line(tv_runtime *runtime, line *at, uint32_t index) {
    tv_error error;
    make_line(at, index);
    if (tv_flow_new(runtime, &at->spec, NULL, at->channels, &at->flow, &error) != TV_OK) fail_msg("%s", error.message);
    tv_flow_on_end(at->flow, on_end, NULL);
    tv_channel_set_connector(at->channels[0], at);
    tv_channel_set_connector(at->channels[1], at);
    tv_channel_want_released(at->channels[0], index % 2 == 0);
}

static void check_line(const line *at, uint32_t wanted) {
    tv_error error;
    tv_edge_stats figures;
    assert_int_equal(tv_flow_get_state(at->flow), TV_FLOW_ENDED);
    if (tv_flow_check_conservation(at->flow, &error) != TV_OK) fail_msg("%s", error.message);
    assert_true(at->output_ended);
    assert_int_equal(at->taken, wanted);
    tv_flow_edge_stats(at->flow, 0, &figures);
    assert_int_equal(figures.popped, MESSAGES);
}

static void flows_on_several_workers_lose_nothing(void **state) {
    (void)state;
    rig_use_engine_handlers();
    pthread_mutex_init(&io.lock, NULL);
    pthread_cond_init(&io.woken, NULL);
    tv_error error;
    tv_runtime *runtime = make_runtime();
    uint32_t wanted = 0;
    for (uint32_t i = 0; i < MESSAGES; i++)
        wanted += outputs_of(i);
    for (uint32_t i = 0; i < FLOWS; i++)
        start_line(runtime, &lines[i], i);
    assert_int_equal(tv_runtime_start(runtime, &error), TV_OK);
    for (int i = 0; i < FLOWS; i++)
        feed(&lines[i]);
    bool all_taken = false;
    while (atomic_load(&io.flows_ended) < FLOWS || !all_taken) {
        serve_ready();
        read_figures();
        all_taken = true;
        for (int i = 0; i < FLOWS; i++)
            all_taken &= lines[i].output_ended;
        if (!all_taken || atomic_load(&io.flows_ended) < FLOWS) await_wake();
    }
    tv_runtime_stop(runtime);
    for (int i = 0; i < FLOWS; i++)
        check_line(&lines[i], wanted);
    tv_runtime_free(runtime);
    for (int i = 0; i < FLOWS; i++) {
        tv_channel_free(lines[i].channels[0]);
        tv_channel_free(lines[i].channels[1]);
    }
    for (int i = 0; i < WORKERS; i++)
        tv_channel_free(letters[i]);
    tv_arena_stats stats;
    tv_engine_arena_stats(rig_engine(), &stats);
    assert_int_equal(stats.memories_now, 0);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(flows_on_several_workers_lose_nothing)};
static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
