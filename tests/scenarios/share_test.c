// Many flows on shared instances, under random work, faults, output that waits, pauses, changes of class and removal:
// each flow gets back exactly its own records, in order, counted by its own state, and is charged its own faults alone.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/testing/bank.h"

enum { WORKERS = 2, PLACES = 12, STEPS = 6000, SEEDS = 8, SERIES = 700, EXPECTED_MAX = 1 << 14 };
#define SERIES_SCRIPT "!n0:700;"

// Records that are to come out of a line, in their order.
typedef struct expected {
    char kind; // p: plain, the number behind the line's letter; s: a series, its next number; v: a number
    uint32_t number;
} expected;

// What a line has been given since it was made.
typedef struct account {
    expected queue[EXPECTED_MAX];
    uint32_t head, tail;
    uint32_t given;
    uint32_t seen; // by its own state, if that is keyed: since its begin, or the last trap
    uint64_t traps, rejects;
} account;

static bank bench;
static account accounts[PLACES];
static uint32_t random_state;
static bool keyed;     // the components keep a state of each flow
static uint64_t waits; // for an instance, in all seeds

static uint32_t random_below(uint32_t limit) {
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % limit;
}

static account *account_of(const bank_line *line) { return &accounts[line - bench.lines]; }

// ---- records ------------------------------------------------------------------------------------------------

static bool push(bank_line *line, const char *text) {
    tv_status status = tv_channel_push(line->channels[0], text, (uint32_t)strlen(text));
    tv_channel_publish(line->channels[0]);
    account_of(line)->seen += status == TV_OK;
    return status == TV_OK;
}

static void expect(account *own, char kind, uint32_t number) {
    assert_true(own->tail - own->head < EXPECTED_MAX);
    own->queue[own->tail++ % EXPECTED_MAX] = (expected){kind, number};
}

static void give_plain(bank_line *line, account *own) {
    char text[32];
    snprintf(text, sizeof text, "%c%u", (char)('a' + (line - bench.lines)), own->given);
    if (push(line, text)) expect(own, 'p', own->given++);
}

static void give_one(bank_line *line, account *own) {
    switch (random_below(60)) {
    case 0:
        if (!push(line, "!T;")) break;
        own->traps++;
        own->seen = 0;
        break;
    case 1: own->rejects += push(line, "!rno;"); break;
    case 2:
        if (push(line, SERIES_SCRIPT)) expect(own, 's', 0);
        break;
    case 3:
    case 4:
        if (keyed && push(line, "!v;")) expect(own, 'v', own->seen);
        break;
    default: give_plain(line, own);
    }
}

static void give(bank_line *line) {
    for (uint32_t i = 1 + random_below(30); i > 0; i--)
        give_one(line, account_of(line));
}

static void take_record(const bank_line *line, const tv_record *record) {
    account *own = account_of(line);
    char text[32] = "", wanted[32], letter[2] = {(char)('a' + (line - bench.lines)), 0};
    assert_true(record->payload_bytes < sizeof text);
    memcpy(text, tv_record_payload(record), record->payload_bytes);
    assert_true(own->head != own->tail);
    expected *next = &own->queue[own->head % EXPECTED_MAX];
    snprintf(wanted, sizeof wanted, "%s%u", next->kind == 'p' ? letter : "", next->number);
    assert_string_equal(text, wanted);
    if (next->kind != 's' || ++next->number == SERIES) own->head++;
}

static uint32_t take_some(bank_line *line, uint32_t most) {
    const tv_record *record;
    uint32_t bytes, records, taken = 0;
    while (taken < most && tv_channel_peek(line->channels[1], &record, &bytes, &records) == TV_OK) {
        take_record(line, record);
        tv_channel_pop(line->channels[1], 1, record->size_bytes);
        taken++;
    }
    return taken;
}

static void skip_letters(void) {
    const tv_record *first;
    uint32_t bytes, records;
    for (uint32_t i = 0; i < WORKERS; i++)
        while (tv_channel_peek(bench.letters[i], &first, &bytes, &records) == TV_OK)
            tv_channel_pop(bench.letters[i], records, bytes);
}

// ---- lines --------------------------------------------------------------------------------------------------

static void arrive(bank_line *line) {
    uint32_t count = bench.line_count;
    bench.line_count = (uint32_t)(line - bench.lines);
    bank_add(&bench, "line", random_below(2) ? TV_CLASS_NORMAL : TV_CLASS_HIGH, 1 + random_below(2));
    bench.line_count = count;
    for (size_t i = 0; i < line->spec.stage_count; i++) {
        line->stages[i].module = keyed ? rig_puppet_keyed() : rig_puppet_stateless();
        line->stages[i].grants = 0;
        line->stages[i].shared = true;
    }
    memset(account_of(line), 0, sizeof(account));
    bank_start(&bench, line);
}

static void run(void) {
    for (uint32_t i = random_below(40); i > 0; i--)
        bank_step(&bench, random_below(WORKERS));
}

static void leave(bank_line *line) {
    bank_remove(line, TV_REMOVE_NOW);
    while (!line->removed)
        run();
    take_some(line, UINT32_MAX);
    bank_free_line(&bench, line);
    bank_step(&bench, 0); // the I/O list may have its channels
    tv_channel_free(line->channels[0]);
    tv_channel_free(line->channels[1]);
    memset(line, 0, sizeof *line);
}

static void change_class(bank_line *line) {
    tv_flow_settings settings = {.fields = TV_SET_CLASS, .class = random_below(2) ? TV_CLASS_NORMAL : TV_CLASS_HIGH};
    assert_int_equal(tv_flow_set(line->flow, &settings, &bench.error), TV_OK);
}

static void act(bank_line *line) {
    switch (random_below(40)) {
    case 0: leave(line); return;
    case 1: tv_flow_pause(line->flow); return;
    case 2: change_class(line); return;
    case 3:
    case 4: skip_letters(); return;
    default: tv_flow_resume(line->flow);
    }
    if (random_below(2))
        give(line);
    else
        take_some(line, 1 + random_below(600));
}

// ---- the end ------------------------------------------------------------------------------------------------

static void drain_all(void) {
    bool any = true;
    for (int i = 0; i < PLACES; i++)
        if (bench.lines[i].flow) tv_flow_resume(bench.lines[i].flow);
    while (any) {
        any = false;
        bank_run(&bench);
        skip_letters();
        for (int i = 0; i < PLACES; i++)
            if (bench.lines[i].flow) any |= take_some(&bench.lines[i], UINT32_MAX) > 0;
    }
}

static void check_account(bank_line *line) {
    const account *own = account_of(line);
    tv_stage_stats stats;
    assert_int_equal(tv_flow_get_state(line->flow), TV_FLOW_RUNNING);
    assert_int_equal(own->head, own->tail);
    tv_flow_stage_stats(line->flow, 0, &stats);
    assert_int_equal(stats.faults, own->traps);
    assert_int_equal(stats.restarts, own->traps);
    assert_int_equal(stats.rejected, own->rejects);
    assert_int_equal(stats.state_losses, keyed ? own->traps : 0);
    for (size_t i = 1; i < line->spec.stage_count; i++) {
        tv_flow_stage_stats(line->flow, i, &stats);
        assert_int_equal(stats.faults + stats.restarts + stats.dead_lettered, 0);
    }
}

static void check_pools(void) {
    tv_pool_stats stats;
    tv_arena_stats arena;
    tv_runtime_pool_stats(bench.runtime, &stats);
    tv_engine_arena_stats(rig_engine(), &arena);
    assert_true(stats.instances_now <= arena.memories_now);
    assert_true(stats.instances_made > stats.instances_now); // faults and leaving took some
    waits += stats.waits;
}

static void each_flow_gets_its_own_back(void **state) {
    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        print_message("seed %u\n", seed);
        random_state = seed;
        keyed = seed % 2 == 0;
        bank_init(&bench, WORKERS);
        bench.line_count = PLACES;
        for (int step = 0; step < STEPS; step++) {
            bank_line *line = &bench.lines[random_below(PLACES)];
            if (line->flow)
                act(line);
            else
                arrive(line);
            run();
        }
        drain_all();
        for (int i = 0; i < PLACES; i++)
            if (bench.lines[i].flow) check_account(&bench.lines[i]);
        check_pools();
        bank_deinit(&bench);
    }
    print_message("%llu waits\n", (unsigned long long)waits);
    assert_true(waits > 0);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(each_flow_gets_its_own_back)};
static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
