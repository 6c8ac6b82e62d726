// Figures of the scheduler, through the product's own flow engine: fair_bench share|latency|backlog|cost|state PUMP
// WORK [SECONDS].
//
// Flows are built as `torvyn run` builds them; all of them run on one worker's thread. Their sources are components
// that always have more (pump.c), so every flow is ready all the time. `share` counts what each class gets, `latency`
// plays the I/O thread for one Critical flow beside them, `backlog` feeds one at a rate beside slow ones, `cost`
// compares the worker's CPU time a record between one flow and thousands. Prints lines "name value unit".
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "flow/flow_internal.h"
#include "support.h"

enum {
    PAYLOAD_BYTES = 256,
    ROUNDS = 3,
    QUEUE_BYTES = 64 * 1024,
    QUEUE_RECORDS = 256,
    BATCH_BYTES = 16 * 1024,
    FLOWS_MANY = 3000,
    MEMORIES = FLOWS_MANY * BENCH_STAGES_MOST + 64,
};

// A flow of `pump` and `work` stages, or, with channels, of `work` stages between them.
typedef struct bench_flow {
    tv_flow *flow;
    tv_channel *channels[2];
    char turns[24], start_turns[24];
    tv_config_entry pump_config[1], work_config[4], last_config[4]; // sorted
    tv_stage_spec stages[BENCH_STAGES_MOST];
    tv_edge_spec edges[BENCH_STAGES_MOST + 1];
    tv_flow_spec spec;
} bench_flow;

typedef struct bench_world {
    tv_engine *engine;
    tv_module *pump, *work;
    tv_runtime *runtime;
    tv_ready_list io_ready;
    int io_fd;
    bench_flow *flows;
    size_t flow_count;
    double seconds;        // of one window
    double turns_per_us;   // of work.c's loop
    int64_t worker_cpu_ns; // of the window that has passed
} bench_world;

typedef struct flow_wish {
    tv_class class;
    int64_t turns; // of the idle loop a record; -1: for ever
    size_t stages;
    bool channels;
    const char *payload_bytes; // NULL: 256
    int64_t start_turns;       // of the same loop, before its stages start
    bool traps;                // at each record; it starts anew by the default policy
} flow_wish;

// ---- flows --------------------------------------------------------------------------------------------------

static const tv_restart_policy default_restart = {
    .limit = 5, .window_ns = 60000000000, .backoff_min_ns = 100000000, .backoff_max_ns = 10000000000};

static tv_stage_spec stage_of(tv_module *module, const char *name, const tv_config_entry *config, size_t count) {
    // A component that loops for ever is ended by its CPU budget each time and begins anew: no limit, no back-off.
    return (tv_stage_spec){.name = name,
                           .module = module,
                           .memory_bytes_max = 1 << 20,
                           .batch_records_max = 128,
                           .batch_bytes_max = BATCH_BYTES,
                           .grants = TV_GRANT_CLOCK,
                           .cpu_record_ns = 100000000,
                           .cpu_call_ns = 1000000000,
                           .restart = {.limit = UINT32_MAX, .window_ns = 1000000000},
                           .config = config,
                           .config_count = count};
}

static void specify(bench_world *bench, bench_flow *it, const flow_wish *wish) {
    snprintf(it->turns, sizeof it->turns, "%lld", (long long)wish->turns);
    it->pump_config[0] = (tv_config_entry){"bytes", wish->payload_bytes ? wish->payload_bytes : "256"};
    snprintf(it->start_turns, sizeof it->start_turns, "%lld", (long long)wish->start_turns);
    const tv_config_entry config[4] = {{"emit", "true"},
                                       {"start_turns", it->start_turns},
                                       {"trap", wish->traps ? "true" : "false"},
                                       {"turns", it->turns}};
    memcpy(it->work_config, config, sizeof config);
    memcpy(it->last_config, config, sizeof config);
    if (!wish->channels) it->last_config[0].value = "false";
    size_t edges = 0, last = wish->stages - 1;
    if (wish->channels) it->edges[edges++] = (tv_edge_spec){.from = TV_NODE_CHANNEL, .to = 0};
    for (size_t i = 0; i <= last; i++) {
        bool pumps = i == 0 && !wish->channels;
        it->stages[i] = stage_of(pumps ? bench->pump : bench->work, bench_stage_names[i],
                                 pumps       ? it->pump_config
                                 : i == last ? it->last_config
                                             : it->work_config,
                                 pumps ? 1 : 4);
        if (wish->traps) it->stages[i].restart = default_restart;
        if (i < last) it->edges[edges++] = (tv_edge_spec){.from = (uint16_t)i, .to = (uint16_t)(i + 1)};
    }
    if (wish->channels) it->edges[edges++] = (tv_edge_spec){.from = (uint16_t)last, .to = TV_NODE_CHANNEL | 1};
    for (size_t i = 0; i < edges; i++) {
        it->edges[i].capacity_bytes = QUEUE_BYTES;
        it->edges[i].capacity_records = QUEUE_RECORDS;
        it->edges[i].record_bytes_max = 8192;
    }
    it->spec = (tv_flow_spec){.name = "bench",
                              .class = wish->class,
                              .stages = it->stages,
                              .stage_count = wish->stages,
                              .edges = it->edges,
                              .edge_count = edges,
                              .channel_names = bench_channel_names,
                              .channel_count = wish->channels ? 2 : 0};
}

static bench_flow *add_flow(bench_world *bench, const flow_wish *wish) {
    tv_error error = {0};
    bench_flow *it = &bench->flows[bench->flow_count++];
    specify(bench, it, wish);
    if (wish->channels) {
        it->channels[0] = bench_channel(TV_INPUT, QUEUE_BYTES, QUEUE_RECORDS, 8192);
        it->channels[1] = bench_channel(TV_OUTPUT, QUEUE_BYTES, QUEUE_RECORDS, 8192);
    }
    bench_require(tv_flow_new(bench->runtime, &it->spec, NULL, it->channels, &it->flow, &error), &error);
    return it;
}

static void wake_eventfd(void *user) {
    uint64_t one = 1;
    if (write(*(int *)user, &one, sizeof one) < 0) exit(3);
}

static void open_runtime(bench_world *bench, size_t flows_max) {
    tv_error error = {0};
    bench->io_fd = eventfd(0, EFD_CLOEXEC);
    bench->io_ready = (tv_ready_list){NULL};
    tv_runtime_options options = {.engine = bench->engine,
                                  .workers = 1,
                                  .io_ready = &bench->io_ready,
                                  .io_wake = {.wake = wake_eventfd, .user = &bench->io_fd}};
    bench_require(tv_runtime_new(&options, &bench->runtime, &error), &error);
    bench->flows = calloc(flows_max, sizeof *bench->flows);
    if (!bench->flows) exit(1);
    bench->flow_count = 0;
}

static void close_runtime(bench_world *bench) {
    tv_error error = {0};
    for (size_t i = 0; i < bench->flow_count; i++)
        bench_require(tv_flow_check_conservation(bench->flows[i].flow, &error), &error);
    tv_runtime_free(bench->runtime);
    for (size_t i = 0; i < bench->flow_count; i++)
        for (int c = 0; c < 2; c++)
            tv_channel_free(bench->flows[i].channels[c]);
    free(bench->flows);
    close(bench->io_fd);
}

static int64_t worker_cpu_ns(const bench_world *bench) {
    clockid_t clock;
    struct timespec used;
    if (pthread_getcpuclockid(bench->runtime->workers[0].thread, &clock) != 0) exit(3);
    clock_gettime(clock, &used);
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

// Lets the flows run for one window from their start, then stops the worker where it is.
static void run_window(bench_world *bench) {
    tv_error error = {0};
    bench_require(tv_runtime_start(bench->runtime, &error), &error);
    int64_t end_ns = bench_now_ns() + (int64_t)(bench->seconds * 1e9);
    for (int64_t left_ns; (left_ns = end_ns - bench_now_ns()) > 0;) {
        struct timespec pause = {.tv_sec = left_ns / 1000000000, .tv_nsec = left_ns % 1000000000};
        nanosleep(&pause, NULL);
    }
    bench->worker_cpu_ns = worker_cpu_ns(bench);
    tv_runtime_stop(bench->runtime);
}

// Records that the flow's last stage has processed; after the stop.
static uint64_t processed(const bench_flow *it) {
    tv_stage_stats stats;
    tv_flow_stage_stats(it->flow, it->spec.stage_count - 1, &stats);
    return stats.processed;
}

static uint64_t processed_by_class(const bench_world *bench, tv_class class) {
    uint64_t sum = 0;
    for (size_t i = 0; i < bench->flow_count; i++)
        if (bench->flows[i].spec.class == class) sum += processed(&bench->flows[i]);
    return sum;
}

// ---- share --------------------------------------------------------------------------------------------------

// How fast the idle loop is here: CPU time of a flow whose records take many turns of it; the fastest of some rounds.
static void calibrate(bench_world *bench) {
    const flow_wish wish = {.class = TV_CLASS_NORMAL, .turns = 20000, .stages = 2};
    double seconds = bench->seconds;
    bench->seconds = 0.25;
    for (int i = 0; i < ROUNDS; i++) {
        open_runtime(bench, 1);
        add_flow(bench, &wish);
        run_window(bench);
        double turns = 20000.0 * (double)processed(&bench->flows[0]);
        double turns_per_us = turns / ((double)bench->worker_cpu_ns / 1000);
        if (turns_per_us > bench->turns_per_us) bench->turns_per_us = turns_per_us;
        close_runtime(bench);
    }
    bench->seconds = seconds;
}

static int64_t turns_of(const bench_world *bench, double us) { return (int64_t)(bench->turns_per_us * us); }

typedef struct class_counts {
    double records[TV_CLASS_COUNT];
} class_counts;

// Two saturated flows of each class that is wished, for one window.
static class_counts share_round(bench_world *bench, const double *us_of_class) {
    class_counts counts;
    open_runtime(bench, (size_t)TV_CLASS_COUNT * 2);
    for (int class = 0; class < TV_CLASS_COUNT; class ++)
        for (int i = 0; i < 2 && us_of_class[class] >= 0; i++)
            add_flow(bench, &(flow_wish){
                                .class = (tv_class) class, .turns = turns_of(bench, us_of_class[class]), .stages = 2});
    run_window(bench);
    for (int class = 0; class < TV_CLASS_COUNT; class ++)
        counts.records[class] = (double)processed_by_class(bench, (tv_class) class);
    close_runtime(bench);
    return counts;
}

static double ratio(const class_counts *counts) {
    double normal = counts->records[TV_CLASS_NORMAL];
    return normal > 0 ? counts->records[TV_CLASS_CRITICAL] / normal : 0;
}

static void share_ratio(bench_world *bench, const char *name, const double *us_of_class) {
    double ratios[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        class_counts counts = share_round(bench, us_of_class);
        ratios[i] = ratio(&counts);
    }
    printf("%s %.3f x\n", name, bench_median(ratios, ROUNDS));
    fflush(stdout);
}

static void bench_share(bench_world *bench) {
    static const double cheap[] = {0, 0, 0, 0}, five[] = {5, 5, 5, 5}, long_calls[] = {5, -1, 2000, -1};
    calibrate(bench);
    class_counts counts = share_round(bench, five);
    double sum = 0;
    for (int class = 0; class < TV_CLASS_COUNT; class ++)
        sum += counts.records[class];
    for (int class = 0; class < TV_CLASS_COUNT; class ++)
        printf("share_%s %.2f %%\n", tv_class_name((tv_class) class), 100 * counts.records[class] / sum);
    share_ratio(bench, "critical_normal_ratio", cheap);
    share_ratio(bench, "critical_normal_ratio_5us", five);
    share_ratio(bench, "critical_normal_ratio_2ms_calls", long_calls);
}

// ---- latency ------------------------------------------------------------------------------------------------

static void feed_one(tv_channel *channel) {
    uint8_t payload[PAYLOAD_BYTES];
    memset(payload, 'x', sizeof payload);
    if (tv_channel_push(channel, payload, sizeof payload) != TV_OK) exit(2);
    tv_channel_publish(channel);
}

static uint32_t drain(tv_channel *channel) {
    const tv_record *first;
    uint32_t bytes, records, total = 0;
    while (tv_channel_peek(channel, &first, &bytes, &records) == TV_OK) {
        tv_channel_pop(channel, records, bytes);
        total += records;
    }
    return total;
}

static double one_latency_us(bench_world *bench, bench_flow *critical) {
    int64_t begin_ns = bench_now_ns();
    feed_one(critical->channels[0]);
    while (drain(critical->channels[1]) == 0) {
        uint64_t count;
        if (read(bench->io_fd, &count, sizeof count) < 0 && errno != EINTR) exit(3);
        for (tv_channel *channel = tv_ready_list_take(&bench->io_ready); channel;)
            channel = tv_channel_next_ready(channel);
    }
    return (double)(bench_now_ns() - begin_ns) / 1000;
}

// Record in to record out of a Critical flow of three stages while `count` Normal flows keep the worker busy.
static void latency_beside(bench_world *bench, const char *name, size_t count, int64_t turns) {
    enum { SAMPLES = 2000, SAMPLES_LEAST = 100, PACE_NS = 3100000 }; // no whole number of ticks
    const int64_t longest_ns = 30000000000;
    static double taken_us[SAMPLES];
    size_t taken = 0;
    tv_error error = {0};
    open_runtime(bench, count + 1);
    bench_flow *critical = add_flow(bench, &(flow_wish){.class = TV_CLASS_CRITICAL, .stages = 3, .channels = true});
    for (size_t i = 0; i < count; i++)
        add_flow(bench, &(flow_wish){.class = TV_CLASS_NORMAL, .turns = turns, .stages = 2});
    bench_require(tv_runtime_start(bench->runtime, &error), &error);
    int64_t end_ns = bench_now_ns() + longest_ns;
    while (taken < SAMPLES && (taken < SAMPLES_LEAST || bench_now_ns() < end_ns)) {
        struct timespec pace = {.tv_nsec = PACE_NS};
        nanosleep(&pace, NULL);
        taken_us[taken++] = one_latency_us(bench, critical);
    }
    tv_runtime_stop(bench->runtime);
    close_runtime(bench);
    qsort(taken_us, taken, sizeof *taken_us, bench_compare_doubles);
    printf("critical_p50_us_%s %.1f us\n", name, taken_us[taken / 2]);
    printf("critical_p99_us_%s %.1f us\n", name, taken_us[taken * 99 / 100]);
    printf("critical_max_us_%s %.1f us\n", name, taken_us[taken - 1]);
    fflush(stdout);
}

static void bench_latency(bench_world *bench) {
    calibrate(bench);
    latency_beside(bench, "alone", 0, 0);
    latency_beside(bench, "busy", 16, turns_of(bench, 5));
    latency_beside(bench, "spin", 4, -1);
}

// ---- backlog ------------------------------------------------------------------------------------------------

// A Critical flow that is fed at a rate, with more than a quantum waiting whenever it was kept waiting.
typedef struct feed {
    tv_channel *in, *out;
    int64_t begin_ns;
    uint64_t fed, done;
    double *waits_us;
} feed;

enum { FEED_PER_S = 5000, FEED_SECONDS_MAX = 60 };

static void feed_due(feed *it, int64_t now_ns) {
    uint8_t payload[PAYLOAD_BYTES] = {0};
    uint64_t due = (uint64_t)((double)(now_ns - it->begin_ns) * 1e-9 * FEED_PER_S);
    for (; it->fed < due; it->fed++) {
        int64_t at_ns = it->begin_ns + (int64_t)((double)it->fed * 1e9 / FEED_PER_S); // when it should have come
        memcpy(payload, &at_ns, sizeof at_ns);
        if (tv_channel_push(it->in, payload, sizeof payload) != TV_OK) break;
    }
    tv_channel_publish(it->in);
}

static void take_done(feed *it) {
    const tv_record *record;
    uint32_t bytes, records;
    while (tv_channel_peek(it->out, &record, &bytes, &records) == TV_OK) {
        int64_t at_ns;
        memcpy(&at_ns, tv_record_payload(record), sizeof at_ns);
        it->waits_us[it->done++] = (double)(bench_now_ns() - at_ns) / 1000;
        tv_channel_pop(it->out, 1, record->size_bytes);
    }
}

static void play_io(bench_world *bench, feed *it) {
    enum { POLL_NS = 200000 };
    struct pollfd wanted = {.fd = bench->io_fd, .events = POLLIN};
    struct timespec limit = {.tv_nsec = POLL_NS};
    uint64_t count;
    if (ppoll(&wanted, 1, &limit, NULL) > 0 && read(bench->io_fd, &count, sizeof count) < 0) exit(3);
    for (tv_channel *channel = tv_ready_list_take(&bench->io_ready); channel;)
        channel = tv_channel_next_ready(channel);
    take_done(it);
    feed_due(it, bench_now_ns());
}

typedef struct backlog {
    double done, p99_us;
} backlog;

// Beside `count` flows of another kind. What is still under way at the end was not done.
static backlog backlog_beside(bench_world *bench, const flow_wish *others, size_t count) {
    tv_error error = {0};
    open_runtime(bench, count + 1);
    bench_flow *critical = add_flow(
        bench, &(flow_wish){.class = TV_CLASS_CRITICAL, .turns = turns_of(bench, 5), .stages = 1, .channels = true});
    for (size_t i = 0; i < count; i++)
        add_flow(bench, others);
    feed it = {.in = critical->channels[0], .out = critical->channels[1]};
    it.waits_us = calloc((size_t)FEED_PER_S * FEED_SECONDS_MAX, sizeof *it.waits_us);
    if (!it.waits_us) exit(1);
    it.begin_ns = bench_now_ns();
    bench_require(tv_runtime_start(bench->runtime, &error), &error);
    while (bench_now_ns() - it.begin_ns < (int64_t)(2 * bench->seconds * 1e9))
        play_io(bench, &it);
    tv_runtime_stop(bench->runtime);
    close_runtime(bench);
    qsort(it.waits_us, it.done, sizeof *it.waits_us, bench_compare_doubles);
    backlog result = {.done = (double)it.done, .p99_us = it.done ? it.waits_us[it.done * 99 / 100] : 1e9};
    free(it.waits_us);
    return result;
}

// Until the worker has had a second of CPU time, however busy the machine is.
static void run_cpu_second(bench_world *bench) {
    double seconds = bench->seconds;
    bench->seconds = 0.2;
    for (int64_t used_ns = 0; used_ns < 1000000000; used_ns += bench->worker_cpu_ns)
        run_window(bench);
    bench->seconds = seconds;
}

// The fewest records that a class did in any second, beside Critical and High records that cost much.
static void bench_starved(bench_world *bench) {
    static const double us_of_class[TV_CLASS_COUNT] = {4000, 1000, 5, 10000};
    enum { SECONDS = 5 };
    uint64_t before[TV_CLASS_COUNT] = {0}, fewest = UINT64_MAX;
    open_runtime(bench, (size_t)TV_CLASS_COUNT * 2);
    for (int i = 0; i < TV_CLASS_COUNT * 2; i++)
        add_flow(bench,
                 &(flow_wish){.class = (tv_class)(i / 2), .turns = turns_of(bench, us_of_class[i / 2]), .stages = 2});
    for (int second = 0; second <= SECONDS; second++) {
        run_cpu_second(bench);
        for (int class = 0; class < TV_CLASS_COUNT; class ++) {
            uint64_t now = processed_by_class(bench, (tv_class) class);
            if (second > 0 && now - before[class] < fewest) fewest = now - before[class];
            before[class] = now;
        }
    }
    close_runtime(bench);
    printf("class_records_least_per_s %llu records\n", (unsigned long long)fewest);
    fflush(stdout);
}

static void bench_backlog(bench_world *bench) {
    calibrate(bench);
    const struct {
        const char *name;
        size_t count;
        flow_wish wish;
    } cases[] = {
        {"background_hog", 1, {.class = TV_CLASS_BACKGROUND, .turns = turns_of(bench, 80000), .stages = 2}},
        {"normal_hogs", 5, {.class = TV_CLASS_NORMAL, .turns = turns_of(bench, 80000), .stages = 2}},
        {"init_storms",
         20,
         {.class = TV_CLASS_NORMAL, .start_turns = turns_of(bench, 60000), .traps = true, .stages = 2}},
    };
    backlog alone = backlog_beside(bench, NULL, 0);
    printf("critical_backlog_p99_us_alone %.1f us\n", alone.p99_us);
    double share = 1e9, p99_us = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        backlog beside = backlog_beside(bench, &cases[i].wish, cases[i].count);
        double part = beside.done / alone.done;
        printf("critical_backlog_share_%s %.3f x\n", cases[i].name, part);
        printf("critical_backlog_p99_us_%s %.1f us\n", cases[i].name, beside.p99_us);
        fflush(stdout);
        if (part < share) share = part;
        if (beside.p99_us > p99_us) p99_us = beside.p99_us;
    }
    printf("critical_backlog_share %.3f x\ncritical_backlog_p99_us %.1f us\n", share, p99_us);
    backlog neighbour =
        backlog_beside(bench, &(flow_wish){.class = TV_CLASS_CRITICAL, .turns = turns_of(bench, 4000), .stages = 2}, 2);
    printf("critical_neighbour_share %.3f x\n", neighbour.done / alone.done);
    printf("critical_neighbour_p99_us %.1f us\n", neighbour.p99_us);
    fflush(stdout);
    bench_starved(bench);
}

// ---- cost ---------------------------------------------------------------------------------------------------

// The worker's CPU time a record of five stages, with so many saturated flows.
static double cost_ns(bench_world *bench, const flow_wish *wish, size_t count) {
    open_runtime(bench, count);
    for (size_t i = 0; i < count; i++)
        add_flow(bench, wish);
    run_window(bench);
    double records = 0;
    for (size_t i = 0; i < count; i++)
        records += (double)processed(&bench->flows[i]);
    close_runtime(bench);
    return (double)bench->worker_cpu_ns / records;
}

static void cost_ratio(bench_world *bench, const char *name, const flow_wish *wish) {
    double ones[ROUNDS], many[ROUNDS], ratios[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        ones[i] = cost_ns(bench, wish, 1);
        many[i] = cost_ns(bench, wish, FLOWS_MANY);
        ratios[i] = many[i] / ones[i];
    }
    printf("cost_record_ns_1_flow%s %.1f ns\n", name, bench_median(ones, ROUNDS));
    printf("cost_record_ns_3000_flows%s %.1f ns\n", name, bench_median(many, ROUNDS));
    printf("cost_ratio_3000_flows%s %.3f x\n", name, bench_median(ratios, ROUNDS));
    fflush(stdout);
}

// Stages that cost what the gateway's cost on average (examples/gateway: 720 ns a reading of 92 bytes, five stages),
// and stages that do nothing but hand on larger records: then the memory that thousands of flows touch is all there is.
static void bench_cost(bench_world *bench) {
    const double gateway_stage_us = 0.15;
    calibrate(bench);
    cost_ratio(bench, "",
               &(flow_wish){.class = TV_CLASS_NORMAL,
                            .stages = BENCH_STAGES_MOST,
                            .payload_bytes = "92",
                            .turns = turns_of(bench, gateway_stage_us)});
    cost_ratio(bench, "_forward", &(flow_wish){.class = TV_CLASS_NORMAL, .stages = BENCH_STAGES_MOST});
}

// ---- state --------------------------------------------------------------------------------------------------

// What the runtime holds for a flow of five stages with its two channels, without rings and guest memory.
static void bench_state(bench_world *bench) {
    open_runtime(bench, 1);
    bench_flow *it =
        add_flow(bench, &(flow_wish){.class = TV_CLASS_NORMAL, .stages = BENCH_STAGES_MOST, .channels = true});
    printf("flow_state_bytes %zu bytes\n", tv_flow_state_bytes(it->flow));
    printf("flow_hot_bytes %zu bytes\n", tv_flow_hot_bytes(it->flow));
    close_runtime(bench);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "__compile") == 0) return tv_compile_child_main(argc, argv);
    if (argc < 4) {
        fprintf(stderr, "usage: fair_bench share|latency|backlog|cost|state PUMP.wasm WORK.wasm [SECONDS]\n");
        return 64;
    }
    tv_log_configure(TV_LEVEL_ERROR, false);
    tv_error error = {0};
    bench_world bench = {.seconds = argc > 4 ? strtod(argv[4], NULL) : 3};
    tv_engine_options options = {.memory_mode = TV_MEMORY_COMPACT, .memories_max = MEMORIES};
    bench_require(tv_engine_new(&options, &bench.engine, &error), &error);
    bench_require(tv_module_load(bench.engine, argv[2], &bench.pump, &error), &error);
    bench_require(tv_module_load(bench.engine, argv[3], &bench.work, &error), &error);
    if (strcmp(argv[1], "share") == 0) bench_share(&bench);
    if (strcmp(argv[1], "latency") == 0) bench_latency(&bench);
    if (strcmp(argv[1], "backlog") == 0) bench_backlog(&bench);
    if (strcmp(argv[1], "cost") == 0) bench_cost(&bench);
    if (strcmp(argv[1], "state") == 0) bench_state(&bench);
    tv_module_unref(bench.pump);
    tv_module_unref(bench.work);
    tv_engine_free(bench.engine);
    return 0;
}
