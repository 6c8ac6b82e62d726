// What many flows cost in memory, through the product's own flow engine: crowd_bench MODULE FLOWS own|shared.
//
// Each flow is a chain of five stages of MODULE (which keeps no state, so that they can be shared) between two channels
// in this program's hands. All have passed a full quantum of records and are idle when they are measured, after the
// time that the runtime waits before it gives pages of idle flows back. One worker, stepped on this thread; time is
// this program's, so nothing waits. Prints lines "name value unit".
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "flow/flow_internal.h"

enum {
    STAGES = 5,
    QUANTUM = 32,
    PAYLOAD_BYTES = 256,
    QUEUE_BYTES = 64 * 1024,
    QUEUE_RECORDS = 256,
    BATCH_BYTES = 16 * 1024,
};
#define IDLE_NS 10000000000ll

typedef struct crowd {
    int64_t now_ns;
    tv_clock clock;
    tv_engine *engine;
    tv_module *module;
    tv_runtime *runtime;
    tv_ready_list io_ready;
    tv_stage_spec stages[STAGES];
    tv_edge_spec edges[STAGES + 1];
    tv_flow_spec spec;
    size_t count;
    tv_flow **flows;
    tv_channel *(*channels)[2];
} crowd;

static const char *const channel_names[2] = {"in", "out"};
static const char *const stage_names[STAGES] = {"s1", "s2", "s3", "s4", "s5"};

static void require(tv_status status, const tv_error *error) {
    if (status == TV_OK) return;
    fprintf(stderr, "crowd_bench: %s\n", error->message);
    exit(1);
}

static int64_t now_ns(void *user) { return ((crowd *)user)->now_ns; }

// ---- memory -------------------------------------------------------------------------------------------------

typedef struct reading {
    double resident, heap, guests;
} reading;

static double resident_bytes(void) {
    unsigned long long size, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%llu %llu", &size, &resident) != 2) resident = 0;
    if (file) fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static reading read_memory(const crowd *it) {
    tv_arena_stats arena;
    tv_engine_arena_stats(it->engine, &arena);
    struct mallinfo2 heap = mallinfo2();
    return (reading){resident_bytes(), (double)heap.uordblks + (double)heap.hblkhd, (double)arena.committed_bytes_now};
}

static void print_kib(const char *name, double bytes) { printf("%s %.2f KiB\n", name, bytes / 1024); }

static void print_since(const char *when, const reading *before, const reading *now, size_t count) {
    char name[64];
    snprintf(name, sizeof name, "%s_resident_per_flow", when);
    print_kib(name, (now->resident - before->resident) / (double)count);
    snprintf(name, sizeof name, "%s_heap_per_flow", when);
    print_kib(name, (now->heap - before->heap) / (double)count);
    snprintf(name, sizeof name, "%s_resident_mib", when);
    printf("%s %.1f MiB\n", name, now->resident / 1048576);
}

// ---- flows --------------------------------------------------------------------------------------------------

static void specify(crowd *it, bool shared) {
    for (size_t i = 0; i < STAGES; i++)
        it->stages[i] = (tv_stage_spec){.name = stage_names[i],
                                        .module = it->module,
                                        .memory_bytes_max = 1 << 20,
                                        .batch_records_max = 128,
                                        .batch_bytes_max = BATCH_BYTES,
                                        .cpu_record_ns = 100000000,
                                        .cpu_call_ns = 1000000000,
                                        .restart = {.limit = 5, .window_ns = 60000000000},
                                        .shared = shared};
    for (size_t i = 0; i <= STAGES; i++)
        it->edges[i] = (tv_edge_spec){.from = i == 0 ? TV_NODE_CHANNEL : (uint16_t)(i - 1),
                                      .to = i == STAGES ? TV_NODE_CHANNEL | 1 : (uint16_t)i,
                                      .capacity_bytes = QUEUE_BYTES,
                                      .capacity_records = QUEUE_RECORDS,
                                      .record_bytes_max = 8192};
    it->spec = (tv_flow_spec){.name = "crowd",
                              .class = TV_CLASS_NORMAL,
                              .stages = it->stages,
                              .stage_count = STAGES,
                              .edges = it->edges,
                              .edge_count = STAGES + 1,
                              .channel_names = channel_names,
                              .channel_count = 2};
}

static tv_channel *channel_new(tv_direction direction) {
    tv_error error = {0};
    tv_channel *channel = NULL;
    tv_channel_options options = {.name = channel_names[direction == TV_OUTPUT],
                                  .direction = direction,
                                  .capacity_bytes = QUEUE_BYTES,
                                  .capacity_records = QUEUE_RECORDS,
                                  .record_bytes_max = 8192,
                                  .pause_percent = 100,
                                  .resume_percent = 50};
    require(tv_channel_new(&options, &channel, &error), &error);
    return channel;
}

static void add_flow(crowd *it, size_t i) {
    tv_error error = {0};
    it->channels[i][0] = channel_new(TV_INPUT);
    it->channels[i][1] = channel_new(TV_OUTPUT);
    require(tv_flow_new(it->runtime, &it->spec, NULL, it->channels[i], &it->flows[i], &error), &error);
}

static void run(crowd *it) {
    int64_t wait_until_ns;
    while (tv_worker_step(&it->runtime->workers[0], &wait_until_ns))
        for (tv_channel *channel = tv_ready_list_take(&it->io_ready); channel;)
            channel = tv_channel_next_ready(channel);
}

static void pass_quantum(crowd *it, size_t i) {
    char payload[PAYLOAD_BYTES];
    const tv_record *first;
    uint32_t bytes, records, taken = 0;
    memset(payload, 'x', sizeof payload);
    for (int record = 0; record < QUANTUM; record++) {
        tv_error error = {0};
        require(tv_channel_push(it->channels[i][0], payload, sizeof payload), &error);
    }
    tv_channel_publish(it->channels[i][0]);
    run(it);
    while (tv_channel_peek(it->channels[i][1], &first, &bytes, &records) == TV_OK) {
        tv_channel_pop(it->channels[i][1], records, bytes);
        taken += records;
    }
    TV_ASSERT(taken == QUANTUM);
    run(it);
}

static void print_counts(const crowd *it) {
    tv_pool_stats pools;
    tv_arena_stats arena;
    tv_runtime_pool_stats(it->runtime, &pools);
    tv_engine_arena_stats(it->engine, &arena);
    printf("state_per_flow %zu bytes\n", tv_flow_state_bytes(it->flows[0]));
    printf("instances %llu\n", (unsigned long long)arena.memories_now);
    printf("shared_instances %llu\n", (unsigned long long)pools.instances_now);
}

static void measure(crowd *it) {
    tv_error error = {0};
    tv_runtime_options options = {.engine = it->engine, .workers = 1, .io_ready = &it->io_ready, .clock = &it->clock};
    require(tv_runtime_new(&options, &it->runtime, &error), &error);
    it->flows = calloc(it->count, sizeof *it->flows);
    it->channels = calloc(it->count, sizeof *it->channels);
    reading before = read_memory(it), now;
    for (size_t i = 0; i < it->count; i++)
        add_flow(it, i);
    run(it);
    now = read_memory(it);
    print_since("made", &before, &now, it->count);
    for (size_t i = 0; i < it->count; i++)
        pass_quantum(it, i);
    now = read_memory(it);
    print_since("used", &before, &now, it->count);
    it->now_ns += IDLE_NS;
    run(it);
    now = read_memory(it);
    print_since("idle", &before, &now, it->count);
    print_counts(it);
    tv_runtime_free(it->runtime);
    for (size_t i = 0; i < it->count; i++) {
        tv_channel_free(it->channels[i][0]);
        tv_channel_free(it->channels[i][1]);
    }
    free(it->flows);
    free(it->channels);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "__compile") == 0) return tv_compile_child_main(argc, argv);
    if (argc != 4) {
        fprintf(stderr, "usage: crowd_bench MODULE.wasm FLOWS own|shared\n");
        return 64;
    }
    tv_log_configure(TV_LEVEL_ERROR, false);
    tv_error error = {0};
    crowd it = {.now_ns = 1000000000, .count = strtoul(argv[2], NULL, 10)};
    it.clock = *tv_clock_system();
    it.clock.monotonic_ns = now_ns;
    it.clock.user = &it;
    bool shared = strcmp(argv[3], "shared") == 0;
    tv_engine_options options = {.memory_mode = TV_MEMORY_COMPACT,
                                 .memories_max = (uint32_t)(shared ? 64 : it.count * STAGES + 64)};
    require(tv_engine_new(&options, &it.engine, &error), &error);
    require(tv_module_load(it.engine, argv[1], &it.module, &error), &error);
    specify(&it, shared);
    measure(&it);
    tv_module_unref(it.module);
    tv_engine_free(it.engine);
    return 0;
}
