// A component must give the same output whatever the host does that the contract allows it: batches of any size, little
// room behind it, an arena whose pages are lost between calls, input in one piece or record by record.
#include "component_check.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/testing/test_rig.h"

enum { RECORDS_MAX = 4096, LINE_BYTES = 16384, OUTPUT_BYTES = 1 << 22, MEMORY_BYTES = 64 << 20 };

typedef struct output {
    char bytes[OUTPUT_BYTES]; // port, length and payload of each record, in order, port by port
    size_t length;
    uint64_t records, rejected, faults;
    char last_error[256];
} output;

// How the host behaves in one run.
typedef struct manner {
    uint32_t batch_records;
    bool tight, trims, singly;
} manner;

static const char *wasm_path;
static char **settings;
static int setting_count;
static char *records[RECORDS_MAX];
static uint32_t record_count;
static output reference;

// ---- input --------------------------------------------------------------------------------------------------

static void add_record(const char *text) {
    if (record_count < RECORDS_MAX) records[record_count++] = strdup(text);
}

static void add_odd_records(void) {
    static char large[8000];
    memset(large, '7', sizeof large - 1);
    static const char *const odd[] = {
        "",
        " ",
        "a",
        "0",
        "-1.5e308",
        "{}",
        "[]",
        "null",
        "{\"a\":",
        "\"",
        "a,b,c",
        ",,,",
        "\x01\x02\xff\xfe",
        "\xc3\xa4",
        "{\"device\":\"d1\",\"time\":1700000000,\"value\":1.5}",
        "{\"device\":\"d2\",\"time\":\"2024-01-01T00:00:00Z\"}",
    };
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
            add_record(odd[i]);
    add_record(large);
}

static bool read_records(const char *path) {
    static char line[LINE_BYTES];
    FILE *file = fopen(path, "re");
    if (!file) return false;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        add_record(line);
    }
    fclose(file);
    return record_count > 0;
}

// ---- one run ------------------------------------------------------------------------------------------------

static void apply_settings(rig *bench) {
    for (int i = 0; i < setting_count; i++) {
        char *equals = strchr(settings[i], '=');
        if (!equals) continue;
        if (strcmp(settings[i], "grant=clock") == 0)
            bench->stages[0].grants |= TV_GRANT_CLOCK;
        else if (strcmp(settings[i], "grant=random") == 0)
            bench->stages[0].grants |= TV_GRANT_RANDOM;
        else
            rig_config(bench, 0, strndup(settings[i], (size_t)(equals - settings[i])), equals + 1);
    }
}

static uint32_t largest_record(const tv_module_info *info) {
    return (uint32_t)tv_align_up_u64(sizeof(tv_record) + TV_ATTRIBUTES_BYTES_LIMIT + info->max_output_bytes, 8);
}

static uint16_t build(rig *bench, tv_module *module, const manner *how) {
    const tv_module_info *info = tv_module_get_info(module);
    uint16_t in = rig_channel(bench, "in", TV_INPUT), stage = rig_stage(bench, "component");
    tv_stage_spec *spec = &bench->stages[stage];
    rig_options(bench, in)->record_bytes_max = LINE_BYTES;
    rig_edge(bench, in, 0, stage)->record_bytes_max = LINE_BYTES;
    spec->module = module;
    spec->memory_bytes_max = MEMORY_BYTES;
    spec->batch_records_max = how->batch_records;
    spec->batch_bytes_max = 32 << 10;
    bench->spec.quantum_records = how->batch_records;
    for (uint16_t port = 0; port < info->port_count; port++) {
        uint16_t out = rig_channel(bench, info->ports[port], TV_OUTPUT);
        tv_channel_options *options = rig_options(bench, out);
        options->record_bytes_max = largest_record(info);
        options->capacity_bytes = how->tight ? 2 * largest_record(info) : 4 << 20;
        if (how->tight) options->capacity_records = 1;
        rig_edge(bench, stage, port, out);
    }
    apply_settings(bench);
    return in;
}

static void keep(output *to, uint16_t port, const tv_record *record) {
    char head[32];
    int length = snprintf(head, sizeof head, "%u:%u:", port, record->payload_bytes);
    if (to->length + (size_t)length + record->payload_bytes > OUTPUT_BYTES) return;
    memcpy(to->bytes + to->length, head, (size_t)length);
    memcpy(to->bytes + to->length + length, tv_record_payload(record), record->payload_bytes);
    to->length += (size_t)length + record->payload_bytes;
}

// Takes what one port holds, to its own buffer, since ports are compared one by one.
static bool take(rig *bench, output *to, uint16_t port) {
    uint16_t channel = (uint16_t)(TV_NODE_CHANNEL | (port + 1));
    bool any = false;
    const tv_record *record;
    while ((record = rig_front(bench, channel)) != NULL) {
        keep(&to[port], port, record);
        to[port].records++;
        rig_skip(bench, channel, 1);
        any = true;
    }
    return any;
}

static bool take_all(rig *bench, output *to) {
    bool any = false;
    for (uint16_t port = 0; port + 1u < bench->spec.channel_count; port++)
        any |= take(bench, to, port);
    rig_dead_letters(bench);
    return any;
}

static void turn(rig *bench, output *to, const manner *how) {
    do {
        rig_run(bench);
        tv_instance *instance = bench->flow->stages[0].instance;
        if (how->trims && instance) tv_instance_trim(instance);
    } while (take_all(bench, to));
}

static void run(rig *bench, output *to, const manner *how, uint16_t in) {
    for (uint32_t i = 0; i < record_count; i++) {
        while (rig_try_push(bench, in, records[i]) == TV_AGAIN)
            turn(bench, to, how);
        if (how->singly) turn(bench, to, how);
    }
    rig_end(bench, in);
    for (int round = 0; !tv_flow_is_over(bench->flow) && round < 10000; round++) {
        turn(bench, to, how);
        rig_advance(bench, 1000000);
    }
    assert_int_equal(rig_state(bench), TV_FLOW_ENDED);
}

static void finish(rig *bench, output *ports, output *to) {
    memset(to, 0, sizeof *to);
    for (uint16_t port = 0; port < TV_PORTS_MAX; port++) {
        if (to->length + ports[port].length <= OUTPUT_BYTES)
            memcpy(to->bytes + to->length, ports[port].bytes, ports[port].length);
        to->length += ports[port].length;
        to->records += ports[port].records;
    }
    tv_stage_stats stats = rig_stage_stats(bench, 0);
    to->rejected = stats.rejected;
    to->faults = stats.faults;
    memcpy(to->last_error, stats.last_error, sizeof to->last_error);
    if (stats.popped != record_count)
        fail_msg("%llu of %u records were consumed", (unsigned long long)stats.popped, record_count);
}

static void run_in(const manner *how, output *to) {
    static rig bench;
    static output ports[TV_PORTS_MAX];
    tv_error error;
    tv_module *module = NULL;
    if (tv_module_load(rig_engine(), wasm_path, &module, &error) != TV_OK) fail_msg("%s", error.message);
    memset(ports, 0, sizeof ports);
    rig_init(&bench);
    uint16_t in = build(&bench, module, how);
    rig_start(&bench);
    run(&bench, ports, how, in);
    finish(&bench, ports, to);
    rig_deinit(&bench);
    tv_module_unref(module);
}

static void compare(const manner *how) {
    static output found;
    run_in(how, &found);
    if (found.faults)
        fail_msg("the component failed %llu times: %s", (unsigned long long)found.faults, found.last_error);
    assert_int_equal(found.rejected, reference.rejected);
    if (found.records != reference.records)
        fail_msg("%llu records came out, %llu otherwise", (unsigned long long)found.records,
                 (unsigned long long)reference.records);
    if (found.length != reference.length || memcmp(found.bytes, reference.bytes, found.length) != 0)
        fail_msg("the output differs");
}

// ---- points -------------------------------------------------------------------------------------------------

static void c1_module_is_accepted(void **state) {
    (void)state;
    tv_module_info info;
    tv_error error;
    if (tv_module_inspect_file(wasm_path, &info, NULL, NULL, &error) != TV_OK) fail_msg("%s", error.message);
    print_message("%s %s, %s, %u ports, grants %s%s\n", info.name, info.version, tv_role_name(info.role),
                  info.port_count, info.grants_needed & TV_GRANT_CLOCK ? "clock " : "",
                  info.grants_needed & TV_GRANT_RANDOM ? "random" : "");
}

static void c8_no_record_makes_it_fail(void **state) {
    (void)state;
    run_in(&(manner){.batch_records = 128}, &reference);
    if (reference.faults)
        fail_msg("it failed %llu times: %s", (unsigned long long)reference.faults, reference.last_error);
    print_message("%u records in, %llu out, %llu rejected\n", record_count, (unsigned long long)reference.records,
                  (unsigned long long)reference.rejected);
}

static void c2_3_small_arenas_do_as_well(void **state) {
    (void)state;
    compare(&(manner){.batch_records = 7});
}

static void c2_5_arena_may_be_lost_between_calls(void **state) {
    (void)state;
    compare(&(manner){.batch_records = 128, .trims = true});
}

static void c4_3_batches_of_one_give_the_same_output(void **state) {
    (void)state;
    compare(&(manner){.batch_records = 1});
}

static void c5_1_records_that_come_one_by_one_give_the_same_output(void **state) {
    (void)state;
    compare(&(manner){.batch_records = 128, .singly = true});
}

static void c6_2_little_room_loses_nothing(void **state) {
    (void)state;
    compare(&(manner){.batch_records = 128, .tight = true});
}

static void c6_2_little_room_and_a_lost_arena_lose_nothing(void **state) {
    (void)state;
    compare(&(manner){.batch_records = 16, .tight = true, .trims = true, .singly = true});
}

int component_check(const char *path, const char *records_path, char **lines, int line_count) {
    const struct CMUnitTest points[] = {
        cmocka_unit_test(c1_module_is_accepted),
        cmocka_unit_test(c8_no_record_makes_it_fail),
        cmocka_unit_test(c2_3_small_arenas_do_as_well),
        cmocka_unit_test(c2_5_arena_may_be_lost_between_calls),
        cmocka_unit_test(c4_3_batches_of_one_give_the_same_output),
        cmocka_unit_test(c5_1_records_that_come_one_by_one_give_the_same_output),
        cmocka_unit_test(c6_2_little_room_loses_nothing),
        cmocka_unit_test(c6_2_little_room_and_a_lost_arena_lose_nothing),
    };
    wasm_path = path;
    settings = lines;
    setting_count = line_count;
    if (!records_path)
        add_odd_records();
    else if (!read_records(records_path)) {
        fprintf(stderr, "%s: no records can be read\n", records_path);
        return 1;
    }
    int failed = cmocka_run_group_tests_name("component", points, NULL, NULL);
    for (uint32_t i = 0; i < record_count; i++)
        free(records[i]);
    return failed;
}
