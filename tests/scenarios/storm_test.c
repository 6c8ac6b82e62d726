// Several workers under everything at once: flows of all classes are fed and emptied by one thread, asked for things by
// a second and watched by a third, while components spin until their CPU budget ends, trap, multiply and set timers.
// For the thread sanitizer above all; what goes through to a flow's end must be complete.
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/testing/await.h"
#include "flow/testing/bank.h"

enum { WORKERS = 3, PLACES = 8, LIVES = 300, MESSAGES = 120 };

// A place where one flow after the other lives. The lock is for its lifetime alone: who holds it may use the flow.
typedef struct place {
    pthread_mutex_t lock;
    bank_line *line;
    uint32_t pushed, wanted, loops;
    bool is_leaving; // it is not asked for anything more
    bool is_at_once;
} place;

typedef struct asked {
    tv_flow_request request;
    _Atomic uint32_t *run;
} asked;

static bank bench;
static place places[PLACES];
static _Atomic bool over;
static _Atomic uint32_t requests_posted, requests_run, figures_read, figures_wrong;
static uint32_t complete; // lives that came to their end with each record accounted for

static uint32_t random_below(uint32_t *state, uint32_t limit) {
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % limit;
}

// ---- messages -----------------------------------------------------------------------------------------------

#define LOOP "!L;"

// What message `number` of a flow is, and how many records of it come out.
static const char *message(tv_class class, uint32_t number) {
    switch (number % 20) {
    case 3: return "!n0:20;";
    case 7: return "!T;";
    case 11: return "!rno;";
    case 13: return class >= TV_CLASS_NORMAL && number % 40 == 13 ? LOOP : "short";
    case 17: return "!s1000000;e0:timed;";
    default: return "plain text of a record";
    }
}

static uint32_t outputs_of(const char *text) {
    if (text[0] != '!') return 1;
    switch (text[1]) {
    case 'n': return 20;
    case 's': return 1;
    default: return 0;
    }
}

static void feed(place *at) {
    while (at->pushed < MESSAGES) {
        const char *text = message(at->line->spec.class, at->pushed);
        if (tv_channel_push(at->line->channels[0], text, (uint32_t)strlen(text)) != TV_OK) break;
        at->wanted += outputs_of(text);
        at->loops += strcmp(text, LOOP) == 0;
        at->pushed++;
    }
    tv_channel_publish(at->line->channels[0]);
}

// ---- a life -------------------------------------------------------------------------------------------------

static void arrive(place *at, bank_line *line, uint32_t *random) {
    bench.line_count = (uint32_t)(line - bench.lines);
    bank_add(&bench, "storm", (tv_class)random_below(random, TV_CLASS_COUNT), 1 + random_below(random, 3));
    bench.line_count = PLACES;
    for (size_t i = 0; i < line->spec.stage_count; i++) {
        line->stages[i].cpu_record_ns = 3000000;
        line->stages[i].restart = (tv_restart_policy){.mode = TV_RESTART, .limit = 1000000, .window_ns = 1000000000};
    }
    bank_start(&bench, line);
    pthread_mutex_lock(&at->lock);
    at->line = line;
    at->pushed = at->wanted = at->loops = 0;
    at->is_leaving = at->is_at_once = false;
    pthread_mutex_unlock(&at->lock);
}

static void ask_to_leave(place *at, bool at_once) {
    pthread_mutex_lock(&at->lock);
    at->is_leaving = true;
    at->is_at_once |= at_once;
    pthread_mutex_unlock(&at->lock);
    if (!at_once) tv_channel_end(at->line->channels[0]);
    bank_remove(at->line, at_once ? TV_REMOVE_NOW : TV_REMOVE_DRAIN);
}

static void serve_letters(void) {
    const tv_record *first;
    uint32_t bytes, records;
    for (uint32_t i = 0; i < WORKERS; i++)
        while (tv_channel_peek(bench.letters[i], &first, &bytes, &records) == TV_OK)
            tv_channel_pop(bench.letters[i], records, bytes);
}

static void serve_ready(void) {
    tv_channel *channel = tv_ready_list_take(&bench.ready);
    while (channel)
        channel = tv_channel_next_ready(channel);
}

static uint64_t cpu_faults(const bank_line *line) {
    uint64_t sum = 0;
    for (size_t i = 0; i < line->spec.stage_count; i++) {
        tv_stage_stats stats;
        tv_flow_stage_stats(line->flow, i, &stats);
        sum += stats.faults_by_reason[TV_FAULT_CPU];
    }
    return sum;
}

// Each loop is ended by its budget. So may be another call, where the machine counts time that it did not give to the
// thread: what that costs is not known here.
static void check_end(const place *at, const bank_line *line) {
    uint64_t faults = cpu_faults(line);
    assert_true(faults >= at->loops && line->taken <= at->wanted);
    if (faults > at->loops) return;
    assert_int_equal(line->taken, at->wanted);
    complete++;
}

static void leave(place *at) {
    bank_line *line = at->line;
    pthread_mutex_lock(&at->lock);
    at->line = NULL; // nobody else has the flow from here on
    pthread_mutex_unlock(&at->lock);
    bank_take(line);
    if (tv_flow_get_state(line->flow) == TV_FLOW_ENDED)
        check_end(at, line);
    else
        assert_true(at->is_at_once && line->taken <= at->wanted);
    bank_free_line(&bench, line);
    serve_ready(); // its channels may be in the list
    tv_channel_free(line->channels[0]);
    tv_channel_free(line->channels[1]);
    memset(line, 0, sizeof *line);
}

// One look at a place by the thread that makes flows. Returns whether a life has ended.
static bool visit(place *at, bank_line *line, uint32_t *random) {
    if (!at->line) {
        arrive(at, line, random);
        return false;
    }
    bank_take(line);
    if (atomic_load(&line->removed)) {
        leave(at);
        return true;
    }
    feed(at);
    if (!at->is_leaving && (at->pushed == MESSAGES || random_below(random, 400) == 0))
        ask_to_leave(at, at->pushed < MESSAGES || random_below(random, 4) == 0);
    return false;
}

// ---- the other threads --------------------------------------------------------------------------------------

static void run_asked(tv_flow_request *request, tv_flow *flow) {
    (void)flow;
    atomic_fetch_add(((asked *)(void *)request)->run, 1);
    free(request);
}

static void post(tv_flow *flow) {
    asked *made = malloc(sizeof *made);
    if (!made) return;
    *made = (asked){.request = {.run = run_asked}, .run = &requests_run};
    atomic_fetch_add(&requests_posted, 1);
    tv_flow_request_post(flow, &made->request);
}

static void ask(tv_flow *flow, uint32_t *random) {
    tv_error error;
    tv_flow_settings settings = {.fields = TV_SET_CLASS | TV_SET_QUANTUM,
                                 .class = (tv_class)random_below(random, TV_CLASS_COUNT),
                                 .quantum_records = random_below(random, 50)};
    switch (random_below(random, 4)) {
    case 0: tv_flow_pause(flow); break;
    case 1: (void)tv_flow_set(flow, &settings, &error); break;
    case 2: post(flow); break;
    default: tv_flow_resume(flow); break;
    }
}

static void *ask_on(void *user) {
    uint32_t random = 77;
    (void)user;
    while (!atomic_load(&over)) {
        place *at = &places[random_below(&random, PLACES)];
        pthread_mutex_lock(&at->lock);
        if (at->line && !at->is_leaving) ask(at->line->flow, &random);
        pthread_mutex_unlock(&at->lock);
        sched_yield();
    }
    for (int i = 0; i < PLACES; i++) {
        pthread_mutex_lock(&places[i].lock);
        if (places[i].line) tv_flow_resume(places[i].line->flow);
        pthread_mutex_unlock(&places[i].lock);
    }
    return NULL;
}

static void watch(tv_flow *flow) {
    tv_flow_stats figures;
    tv_stage_stats stage;
    tv_edge_stats edge;
    tv_flow_get_stats(flow, &figures);
    tv_flow_stage_stats(flow, 0, &stage);
    tv_flow_edge_stats(flow, 0, &edge);
    if (stage.popped != stage.processed + stage.dead_lettered + stage.in_progress) atomic_fetch_add(&figures_wrong, 1);
    atomic_fetch_add(&figures_read, 1);
}

static void *watch_on(void *user) {
    uint32_t random = 99;
    (void)user;
    while (!atomic_load(&over)) {
        place *at = &places[random_below(&random, PLACES)];
        pthread_mutex_lock(&at->lock);
        if (at->line) watch(at->line->flow);
        pthread_mutex_unlock(&at->lock);
        sched_yield();
    }
    return NULL;
}

// ---- the test -----------------------------------------------------------------------------------------------

static void nothing_is_lost_in_a_storm(void **state) {
    (void)state;
    uint32_t random = 1, lives = 0;
    pthread_t asker, watcher;
    bank_init(&bench, WORKERS);
    bench.runtime->clock = tv_clock_system();
    bench.line_count = PLACES;
    for (int i = 0; i < PLACES; i++)
        pthread_mutex_init(&places[i].lock, NULL);
    assert_int_equal(tv_runtime_start(bench.runtime, &bench.error), TV_OK);
    assert_int_equal(pthread_create(&asker, NULL, ask_on, NULL), 0);
    assert_int_equal(pthread_create(&watcher, NULL, watch_on, NULL), 0);
    while (lives < LIVES || !atomic_load(&requests_run) || !atomic_load(&figures_read) || !complete) {
        for (int i = 0; i < PLACES; i++)
            lives += visit(&places[i], &bench.lines[i], &random);
        serve_ready();
        serve_letters();
        sched_yield();
    }
    atomic_store(&over, true);
    pthread_join(asker, NULL);
    pthread_join(watcher, NULL);
    for (int i = 0; i < PLACES; i++) {
        if (!places[i].line) continue;
        TV_AWAIT("the flow to be removed");
        ask_to_leave(&places[i], true);
        while (!atomic_load(&places[i].line->removed))
            serve_letters();
        leave(&places[i]);
    }
    uint64_t nested = 0;
    for (uint32_t i = 0; i < WORKERS; i++) {
        tv_worker_stats figures;
        tv_runtime_worker_stats(bench.runtime, i, &figures);
        nested += figures.nested_turns;
    }
    print_message("%u lives, %u complete, %u requests, figures read %u times, %llu nested turns\n", lives, complete,
                  requests_run, figures_read, (unsigned long long)nested);
    assert_int_equal(requests_run, requests_posted);
    assert_int_equal(figures_wrong, 0);
    bank_deinit(&bench);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_lost_in_a_storm)};
static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
