// Random graphs with random faults, on one thread and a virtual clock: whatever happens, the books balance after every
// step, the worker comes to rest, and nothing is left at the end. The seed is printed; it can be given as an argument.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/testing/test_rig.h"

enum { FLOWS = 120, STEPS = 80, STAGES_MAX = 6, SCRIPT_BYTES = 256 };

static uint64_t seed = 20261123;
static uint64_t random_state;

// xorshift64*
static uint32_t random_below(uint32_t limit) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 0x2545f4914f6cdd1dull) >> 33) % limit;
}

static bool one_in(uint32_t n) { return random_below(n) == 0; }

// ---- a graph ------------------------------------------------------------------------------------------------

typedef struct graph {
    uint16_t inputs[4], outputs[8];
    uint32_t input_count, output_count, stage_count;
} graph;

static char names[TV_CHANNELS_MAX + STAGES_MAX][8];

static const char *name_of(char letter, uint32_t number) {
    char *name = names[(letter == 's' ? TV_CHANNELS_MAX : letter == 'o' ? 4 : 0) + number];
    snprintf(name, sizeof names[0], "%c%u", letter, number);
    return name;
}

static void shrink(rig *bench, tv_edge_spec *edge, uint16_t channel) {
    static const uint32_t sizes[] = {4096, 8192, 65536};
    edge->capacity_bytes = sizes[random_below(3)];
    edge->capacity_records = one_in(3) ? 1 + random_below(4) : 256;
    edge->record_bytes_max = one_in(4) ? 512 : 2048;
    if (edge->from & TV_NODE_CHANNEL || edge->to & TV_NODE_CHANNEL) {
        tv_channel_options *options = rig_options(bench, channel);
        options->capacity_bytes = edge->capacity_bytes;
        options->capacity_records = edge->capacity_records;
        options->record_bytes_max = edge->record_bytes_max;
    }
}

static tv_overflow policy(bool may_drop_oldest) {
    if (!one_in(3)) return TV_OVERFLOW_BLOCK;
    return may_drop_oldest && one_in(2) ? TV_OVERFLOW_DROP_OLDEST : TV_OVERFLOW_DROP_NEWEST;
}

static void add_input(rig *bench, graph *made, uint16_t stage) {
    uint16_t channel = rig_channel(bench, name_of('i', made->input_count), TV_INPUT);
    made->inputs[made->input_count++] = channel;
    tv_edge_spec *edge = rig_edge(bench, channel, 0, stage);
    shrink(bench, edge, channel);
    edge->overflow = rig_options(bench, channel)->overflow = policy(true);
}

static void add_output(rig *bench, graph *made, uint16_t stage, uint16_t port) {
    uint16_t channel = rig_channel(bench, name_of('o', made->output_count), TV_OUTPUT);
    made->outputs[made->output_count++] = channel;
    tv_edge_spec *edge = rig_edge(bench, stage, port, channel);
    shrink(bench, edge, channel);
    edge->overflow = policy(false);
}

static void set_stage(rig *bench, uint16_t stage) {
    tv_stage_spec *spec = &bench->stages[stage];
    spec->batch_records_max = 1 + random_below(32);
    spec->batch_bytes_max = 2048 + random_below(8192);
    spec->restart = (tv_restart_policy){
        .mode = one_in(8) ? TV_RESTART_STOP : TV_RESTART,
        .limit = one_in(4) ? 3 : 1000,
        .window_ns = 1000000000,
        .backoff_min_ns = one_in(2) ? 1000000 : 0,
        .backoff_max_ns = 20000000,
    };
    if (one_in(3)) rig_config(bench, stage, "on_tick", one_in(3) ? "e0:tick;T;" : "n1:3;e0:tick;s3000000;");
    if (one_in(3)) rig_config(bench, stage, "on_close", one_in(3) ? "e0:gone;T;" : "n0:20;e1:closed;");
    if (one_in(3)) rig_config(bench, stage, "on_watermark", one_in(3) ? "e1:mark;T;" : "e0:mark;");
    if (one_in(4))
        rig_config(bench, stage, "on_resume", one_in(3) ? "T;" : "cresumed;"); // output here would be endless
}

static void add_stage(rig *bench, graph *made) {
    uint16_t stage = rig_stage(bench, name_of('s', made->stage_count));
    set_stage(bench, stage);
    if (made->stage_count == 0 || (one_in(4) && made->input_count < 4)) add_input(bench, made, stage);
    for (uint32_t before = 0; before < made->stage_count; before++)
        if (one_in(2) || before + 1 == made->stage_count)
            shrink(bench, rig_edge(bench, (uint16_t)before, (uint16_t)random_below(3), stage), 0);
    for (size_t i = 0; i < bench->spec.edge_count; i++)
        if (!((bench->edges[i].from | bench->edges[i].to) & TV_NODE_CHANNEL)) bench->edges[i].overflow = policy(true);
    if (one_in(3) && made->output_count < 6) add_output(bench, made, stage, (uint16_t)random_below(3));
    made->stage_count++;
}

static graph build(rig *bench) {
    graph made = {0};
    uint32_t stages = 1 + random_below(STAGES_MAX);
    for (uint32_t i = 0; i < stages; i++)
        add_stage(bench, &made);
    add_output(bench, &made, (uint16_t)(stages - 1), 0);
    bench->spec.quantum_records = 1 + random_below(64);
    return made;
}

// ---- records ------------------------------------------------------------------------------------------------

// What a record asks for: mostly ordinary output, sometimes something evil.
static const char *script(void) {
    static const char *const ordinary[] = {"plain",           "!e0:a;", "!e1:b;e0:c;",   "!n0:40;",
                                           "!n2:7;e0:x;",     "!",      "!b0:400;",      "!b1:1024;e0:y;",
                                           "!s2000000;e0:z;", "!w%u;",  "!t%u;e0:late;", "!cseen;"};
    static const char *const evil[] = {
        "!T;",         "!e0:lost;T;",  "!n0:30;T;",    "!rno;", "!e0:a;rno;e0:b;", "!z-7;",    "!z0;",    "!z99;",
        "!P;",         "!i77;e0:x;T;", "!m2;e0:more;", "!m9;",  "!e0:x;i0;e0:y;",  "!rone;T;", "!w%u;T;", "!G1;e0:big;",
        "!n1:25;z-1;", "!S;",          "!e7:nowhere;"};
    static char text[SCRIPT_BYTES];
    const char *format = one_in(5) ? evil[random_below(sizeof evil / sizeof *evil)]
                                   : ordinary[random_below(sizeof ordinary / sizeof *ordinary)];
    snprintf(text, sizeof text, format, random_below(1000));
    return text;
}

// ---- one life -----------------------------------------------------------------------------------------------

static void step(rig *bench, const graph *made) {
    uint32_t choice = random_below(10);
    uint16_t in = made->inputs[random_below(made->input_count)];
    if (choice < 5) {
        for (uint32_t i = random_below(12); i > 0; i--)
            (void)rig_try_push(bench, in, script());
    } else if (choice < 8) {
        rig_take_some(bench, made->outputs[random_below(made->output_count)], 1 + random_below(30));
    } else if (choice == 8) {
        rig_advance(bench, (int64_t)random_below(30000000));
    } else {
        rig_dead_letters(bench);
    }
    if (!one_in(3)) rig_run(bench);
}

static bool take_all(rig *bench, const graph *made) {
    bool any = false;
    for (uint32_t i = 0; i < made->output_count; i++) {
        any |= rig_front(bench, made->outputs[i]) != NULL;
        rig_take(bench, made->outputs[i]);
    }
    rig_dead_letters(bench);
    return any;
}

// With everything taken and time passing, a flow whose inputs have ended ends.
static void finish(rig *bench, const graph *made) {
    enum { ROUNDS_MAX = 4000 };
    for (uint32_t i = 0; i < made->input_count; i++)
        rig_end(bench, made->inputs[i]);
    rig_run(bench);
    for (int round = 0; !tv_flow_is_over(bench->flow); round++) {
        if (round == ROUNDS_MAX) rig_describe(bench);
        assert_true(round < ROUNDS_MAX);
        for (int i = 0; i < ROUNDS_MAX && take_all(bench, made); i++)
            rig_run(bench);
        rig_advance(bench, 20000000);
    }
    if (rig_state(bench) == TV_FLOW_ENDED) {
        take_all(bench, made);
        for (size_t i = 0; i < bench->spec.edge_count; i++)
            assert_int_equal(rig_edge_stats(bench, i).queued, 0);
    }
    tv_flow_abandon(bench->flow);
    assert_int_equal(tv_flow_check_conservation(bench->flow, &bench->error), TV_OK);
}

static void one_flow(rig *bench) {
    graph made = build(bench);
    rig_start(bench);
    for (int i = 0; i < STEPS && !tv_flow_is_over(bench->flow); i++)
        step(bench, &made);
    finish(bench, &made);
}

static void random_flows_keep_their_books(void **state) {
    (void)state;
    static rig bench;
    uint32_t ended = 0, failed = 0;
    for (uint64_t i = 0; i < FLOWS; i++) {
        random_state = (seed + i) * UINT64_C(0x9e3779b97f4a7c15) | 1;
        rig_init(&bench);
        print_message("flow %llu\n", (unsigned long long)seed + i);
        one_flow(&bench);
        ended += rig_state(&bench) == TV_FLOW_ENDED;
        failed += rig_state(&bench) == TV_FLOW_FAILED;
        rig_deinit(&bench);
    }
    print_message("%u ended, %u failed by policy\n", ended, failed);
    assert_true(ended > FLOWS / 8 && failed > 0); // both happen, or the test tests nothing
}

static int run_all(void) {
    print_message("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_flows_keep_their_books)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "__compile") != 0) seed = strtoull(argv[1], NULL, 10);
    return rig_main(argc, argv, run_all);
}
