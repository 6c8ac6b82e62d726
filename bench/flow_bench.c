// Figures of the data path, through the product's own flow engine: flow_bench stage|single|latency|instance MODULE.
//
// A flow of identity stages is built as `torvyn run` builds one, with the channels in this program's hands instead of a
// connector's. `stage` and `single` step the worker on this thread, so that nothing but the flow is in the figure;
// `latency` starts the worker's thread and plays the I/O thread. Prints lines "name value unit".
#include <errno.h>
#include <malloc.h>
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
    ROUNDS = 21,
    RECORDS_A_ROUND = 200000,
    QUEUE_BYTES = 256 * 1024,
    BATCH_BYTES = 64 * 1024,
};

typedef struct bench_flow {
    tv_runtime *runtime;
    tv_flow *flow;
    tv_channel *channels[2];
    tv_stage_spec stages[BENCH_STAGES_MOST];
    tv_edge_spec edges[BENCH_STAGES_MOST + 1];
    tv_flow_spec spec;
} bench_flow;

static void specify(bench_flow *bench, tv_module *module, size_t stage_count, uint32_t quantum) {
    for (size_t i = 0; i < stage_count; i++)
        bench->stages[i] = (tv_stage_spec){.name = bench_stage_names[i],
                                           .module = module,
                                           .memory_bytes_max = 2 << 20,
                                           .batch_records_max = 128,
                                           .batch_bytes_max = BATCH_BYTES,
                                           .cpu_record_ns = 100000000,
                                           .cpu_call_ns = 1000000000,
                                           .log_lines_per_s = 20};
    for (size_t i = 0; i <= stage_count; i++)
        bench->edges[i] = (tv_edge_spec){.from = (uint16_t)(i == 0 ? TV_NODE_CHANNEL : i - 1),
                                         .to = (uint16_t)(i == stage_count ? TV_NODE_CHANNEL | 1 : i),
                                         .capacity_bytes = QUEUE_BYTES,
                                         .capacity_records = 2048,
                                         .record_bytes_max = BATCH_BYTES};
    bench->spec = (tv_flow_spec){.name = "bench",
                                 .class = TV_CLASS_NORMAL,
                                 .quantum_records = quantum,
                                 .stages = bench->stages,
                                 .stage_count = stage_count,
                                 .edges = bench->edges,
                                 .edge_count = stage_count + 1,
                                 .channel_names = bench_channel_names,
                                 .channel_count = 2};
}

static void bench_open(bench_flow *bench, tv_engine *engine, tv_module *module, size_t stage_count, uint32_t quantum,
                       tv_ready_list *io_ready, tv_channel_wake wake) {
    tv_error error = {0};
    memset(bench, 0, sizeof *bench);
    tv_runtime_options options = {.engine = engine, .workers = 1, .io_ready = io_ready, .io_wake = wake};
    bench_require(tv_runtime_new(&options, &bench->runtime, &error), &error);
    bench->channels[0] = bench_channel(TV_INPUT, QUEUE_BYTES, 2048, BATCH_BYTES);
    bench->channels[1] = bench_channel(TV_OUTPUT, QUEUE_BYTES, 2048, BATCH_BYTES);
    specify(bench, module, stage_count, quantum);
    bench_require(tv_flow_new(bench->runtime, &bench->spec, NULL, bench->channels, &bench->flow, &error), &error);
}

static void bench_close(bench_flow *bench) {
    tv_error error = {0};
    bench_require(tv_flow_check_conservation(bench->flow, &error), &error);
    tv_runtime_free(bench->runtime);
    tv_channel_free(bench->channels[0]);
    tv_channel_free(bench->channels[1]);
}

static void feed(tv_channel *channel, uint32_t count) {
    uint8_t payload[PAYLOAD_BYTES];
    memset(payload, 'x', sizeof payload);
    for (uint32_t i = 0; i < count; i++)
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

// The thread's own time: what other processes take of the core is not the flow's cost.
static int64_t cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// Nanoseconds a record through `stage_count` stages takes, `batch` records at a time.
static double time_stages(tv_engine *engine, tv_module *module, size_t stage_count, uint32_t batch) {
    bench_flow bench;
    tv_ready_list ready = {NULL};
    bench_open(&bench, engine, module, stage_count, batch, &ready, (tv_channel_wake){0});
    uint64_t passed = 0;
    int64_t begin_ns = cpu_ns();
    while (passed < RECORDS_A_ROUND) {
        feed(bench.channels[0], batch);
        tv_worker_run_until_idle(&bench.runtime->workers[0]);
        passed += drain(bench.channels[1]);
    }
    double taken_ns = (double)(cpu_ns() - begin_ns);
    bench_close(&bench);
    return taken_ns / (double)passed;
}

// The slope between one and five stages, taken pair by pair, since the machine's speed wanders.
static void bench_stage(tv_engine *engine, tv_module *module, const char *name, uint32_t batch) {
    double slopes[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        double one = time_stages(engine, module, 1, batch);
        double five = time_stages(engine, module, BENCH_STAGES_MOST, batch);
        slopes[i] = (five - one) / (BENCH_STAGES_MOST - 1);
    }
    printf("%s %.1f ns\n", name, bench_median(slopes, ROUNDS));
}

// ---- latency ------------------------------------------------------------------------------------------------

static void wake_eventfd(void *user) {
    uint64_t one = 1;
    if (write(*(int *)user, &one, sizeof one) < 0) exit(3);
}

static void wait_for_output(int fd, tv_ready_list *ready, tv_channel *output) {
    while (drain(output) == 0) {
        uint64_t count;
        if (read(fd, &count, sizeof count) < 0 && errno != EINTR) exit(3);
        for (tv_channel *channel = tv_ready_list_take(ready); channel;)
            channel = tv_channel_next_ready(channel);
    }
}

static void bench_latency(tv_engine *engine, tv_module *module) {
    enum { SAMPLES = 4000, PACE_NS = 1000000 };
    static double taken_us[SAMPLES];
    bench_flow bench;
    tv_error error = {0};
    tv_ready_list ready = {NULL};
    int fd = eventfd(0, EFD_CLOEXEC);
    bench_open(&bench, engine, module, 3, 32, &ready, (tv_channel_wake){.wake = wake_eventfd, .user = &fd});
    bench_require(tv_runtime_start(bench.runtime, &error), &error);
    for (int i = 0; i < SAMPLES; i++) {
        struct timespec pace = {.tv_nsec = PACE_NS};
        nanosleep(&pace, NULL);
        int64_t begin_ns = bench_now_ns();
        feed(bench.channels[0], 1);
        wait_for_output(fd, &ready, bench.channels[1]);
        taken_us[i] = (double)(bench_now_ns() - begin_ns) / 1000;
    }
    tv_runtime_stop(bench.runtime);
    bench_close(&bench);
    close(fd);
    qsort(taken_us, SAMPLES, sizeof *taken_us, bench_compare_doubles);
    printf("wake_to_emit_us_p50 %.1f us\n", taken_us[SAMPLES / 2]);
    printf("wake_to_emit_us_p99 %.1f us\n", taken_us[SAMPLES * 99 / 100]);
}

// ---- memory of an instance ----------------------------------------------------------------------------------

static bool no_tick(void *user) {
    (void)user;
    return true;
}

// Heap in use, which is where the engine keeps an instance's state; guest pages lie in the arena.
static void bench_instance(tv_engine *engine, tv_module *module) {
    enum { COUNT = 500 };
    (void)engine;
    static tv_instance *instances[COUNT];
    tv_guest_imports imports = tv_stage_imports;
    imports.on_tick = no_tick;
    tv_instance_options options = {.memory_bytes_max = 2 << 20, .batch_bytes = BATCH_BYTES, .imports = &imports};
    tv_error error = {0};
    tv_fault fault;
    bench_require(tv_instance_new(module, &options, &instances[0], &fault, &error), &error);
    size_t before = mallinfo2().uordblks;
    int64_t begin_ns = bench_now_ns();
    for (int i = 1; i < COUNT; i++)
        bench_require(tv_instance_new(module, &options, &instances[i], &fault, &error), &error);
    double each_us = (double)(bench_now_ns() - begin_ns) / (COUNT - 1) / 1000;
    double each_kib = (double)(mallinfo2().uordblks - before) / (COUNT - 1) / 1024;
    for (int i = 0; i < COUNT; i++)
        tv_instance_free(instances[i]);
    printf("instance_engine_kib %.2f KiB\n", each_kib);
    printf("instance_start_us %.1f us\n", each_us);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "__compile") == 0) return tv_compile_child_main(argc, argv);
    if (argc < 3) {
        fprintf(stderr, "usage: flow_bench stage|single|latency|instance MODULE.wasm [guard|compact]\n");
        return 64;
    }
    tv_error error = {0};
    tv_engine *engine = NULL;
    tv_module *module = NULL;
    bool compact = argc > 3 && strcmp(argv[3], "compact") == 0;
    tv_engine_options options = {.memory_mode = compact ? TV_MEMORY_COMPACT : TV_MEMORY_GUARD};
    bench_require(tv_engine_new(&options, &engine, &error), &error);
    bench_require(tv_module_load(engine, argv[2], &module, &error), &error);
    if (strcmp(argv[1], "stage") == 0) bench_stage(engine, module, "stage_record_ns", 32);
    if (strcmp(argv[1], "single") == 0) bench_stage(engine, module, "stage_single_ns", 1);
    if (strcmp(argv[1], "latency") == 0) bench_latency(engine, module);
    if (strcmp(argv[1], "instance") == 0) bench_instance(engine, module);
    tv_module_unref(module);
    tv_engine_free(engine);
    return 0;
}
