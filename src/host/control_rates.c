// Rates: differences of two samples that are kept for each flow while somebody asks.
//
// A question moves the samples on when the newer one is a second old, and takes its rates from the older one, so that
// whoever asks every second gets rates over a second. When nobody has asked for three seconds, the next question takes
// a first sample, waits a quarter of a second for a second one, and is answered then; some quarters more where a flow
// has published nothing yet, since its worker has not come to it. Between questions nothing is done and nobody is
// woken, but that half a minute after the last one the memory of all figures is given back.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/control.h"

enum { SETTLE_MS = 250, TRIES_MAX = 8 };
#define SAMPLE_EVERY_NS 1000000000ll
#define SAMPLE_OLD_NS   3000000000ll
#define FORGET_NS       30000000000ll

struct tv_host_later {
    tv_host_later *next;
    void (*fire)(tv_host_control *control, void *user);
    void *user;
    int64_t due_ns;
};

static int64_t now_ns(void) { return tv_clock_monotonic_ns(tv_clock_system()); }

static uint64_t process_cpu_ns(void) {
    struct timespec cpu;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) != 0) return 0;
    return (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
}

// ---- samples ------------------------------------------------------------------------------------------------------

// False: its worker has not published any figures yet.
static bool sample(tv_host_flow *flow, int64_t at_ns) {
    tv_flow_brief brief;
    if (!flow->rates) flow->rates = calloc(1, sizeof *flow->rates);
    if (!flow->rates) return true;
    if (!tv_flow_get_brief(flow->flow, &brief)) return false;
    flow->rates->older = flow->rates->newer;
    flow->rates->newer = (tv_host_sample){.at_ns = at_ns,
                                          .records_in = brief.records_in,
                                          .bytes_in = brief.bytes_in,
                                          .records_out = brief.records_out,
                                          .bytes_out = brief.bytes_out,
                                          .busy_ns = brief.busy_ns};
    if (!flow->rates->older.at_ns) flow->rates->older = flow->rates->newer;
    return true;
}

// Without memory there are no shares.
static void sample_workers(tv_host_control *control) {
    const tv_runtime *runtime = control->runner->runtime;
    uint32_t count = tv_runtime_workers(runtime);
    if (!control->workers_newer) {
        control->workers_newer = calloc(2 * (size_t)count, sizeof *control->workers_newer);
        if (!control->workers_newer) return;
        control->workers_older = control->workers_newer + count;
    }
    memcpy(control->workers_older, control->workers_newer, count * sizeof *control->workers_newer);
    for (uint32_t i = 0; i < count; i++) {
        tv_worker_stats stats;
        tv_runtime_worker_stats(runtime, i, &stats);
        control->workers_newer[i] = (tv_host_worker_sample){stats.busy_ns, stats.nested_ns};
    }
}

void tv_host_samples_free(tv_host_control *control) {
    free(control->workers_newer);
    control->workers_newer = control->workers_older = NULL;
}

static void sample_all(tv_host_control *control, int64_t at_ns) {
    control->some_unpublished = false;
    for (size_t f = 0; f < control->runner->flows.count; f++)
        if (!sample(tv_host_flow_at(control->runner, f), at_ns)) control->some_unpublished = true;
    sample_workers(control);
    control->busy_older_ns = control->busy_newer_ns;
    control->older_ns = control->newer_ns;
    control->busy_newer_ns = process_cpu_ns();
    control->newer_ns = control->sampled_ns = at_ns;
}

double tv_host_process_cpu_percent(const tv_host_control *control) {
    double seconds = (double)(now_ns() - control->older_ns) / 1e9;
    return control->older_ns && seconds > 0.001 ? (double)(process_cpu_ns() - control->busy_older_ns) / seconds / 1e7
                                                : 0;
}

static double percent_of(int64_t part_ns, int64_t all_ns) {
    double percent = all_ns > 0 ? 100 * (double)part_ns / (double)all_ns : 0;
    return percent < 0 ? 0 : percent > 100 ? 100 : percent;
}

void tv_host_worker_percent(const tv_host_control *control, uint32_t worker, const tv_worker_stats *stats, double *busy,
                            double *nested) {
    *busy = *nested = 0;
    if (!control->workers_older || !control->older_ns) return;
    const tv_host_worker_sample *before = &control->workers_older[worker];
    int64_t window_ns = now_ns() - control->older_ns;
    *busy = percent_of(stats->busy_ns - before->busy_ns, window_ns);
    *nested = percent_of(stats->nested_ns - before->nested_ns, window_ns);
}

static double rate(uint64_t now, uint64_t before, double seconds) {
    return now > before ? (double)(now - before) / seconds : 0;
}

void tv_host_view_take(tv_host_control *control, tv_host_flow *flow, tv_host_view *view) {
    *view = (tv_host_view){.flow = flow};
    (void)control;
    bool known = tv_flow_get_brief(flow->flow, &view->brief);
    const tv_flow_brief *brief = &view->brief;
    if (!known) view->brief = (tv_flow_brief){.class = flow->model->class};
    view->state = tv_host_flow_state(flow);
    for (int i = 0; i < TV_DROP_COUNT; i++)
        view->dropped += brief->dropped[i];
    const tv_host_sample *before = flow->rates ? &flow->rates->older : NULL;
    if (!known || !before || !before->at_ns) return;
    double seconds = (double)(now_ns() - before->at_ns) / 1e9;
    if (seconds <= 0.001) return;
    view->over_s = seconds;
    view->in_per_s = rate(brief->records_in, before->records_in, seconds);
    view->out_per_s = rate(brief->records_out, before->records_out, seconds);
    view->bytes_in_per_s = rate(brief->bytes_in, before->bytes_in, seconds);
    view->bytes_out_per_s = rate(brief->bytes_out, before->bytes_out, seconds);
    view->cpu_percent =
        brief->busy_ns > before->busy_ns ? (double)(brief->busy_ns - before->busy_ns) / seconds / 1e7 : 0;
}

// ---- later ----------------------------------------------------------------------------------------------------------

static void on_timer(uv_timer_t *timer);

static void set_timer(tv_host_control *control) {
    int64_t next_ns = INT64_MAX;
    for (tv_host_later *later = control->laters; later; later = later->next)
        if (later->due_ns < next_ns) next_ns = later->due_ns;
    if (next_ns == INT64_MAX) {
        uv_timer_stop(&control->timer);
        return;
    }
    int64_t left_ns = next_ns - now_ns();
    uint64_t wait_ms = left_ns > 0 ? (uint64_t)(left_ns / 1000000 + 1) : 0;
    uint64_t rest_ms = control->server ? tv_server_rest_ms(control->server) : 0;
    uv_update_time(&control->runner->loop);
    uv_timer_start(&control->timer, on_timer, wait_ms > rest_ms ? wait_ms : rest_ms, 0);
}

static bool may_work(tv_host_control *control) { return !control->server || tv_server_rest_ms(control->server) == 0; }

// The one that is due for longest, taken off the list.
static tv_host_later *take_due(tv_host_control *control, int64_t now) {
    tv_host_later **first = NULL;
    for (tv_host_later **at = &control->laters; *at; at = &(*at)->next)
        if ((*at)->due_ns <= now && (!first || (*at)->due_ns < (*first)->due_ns)) first = at;
    if (!first) return NULL;
    tv_host_later *later = *first;
    *first = later->next;
    return later;
}

static void on_timer(uv_timer_t *timer) {
    tv_host_control *control = timer->data;
    int64_t now = now_ns();
    tv_host_later *later;
    // Many may fall due at once; others than clients have their turn in between.
    while (may_work(control) && (later = take_due(control, now)) != NULL) {
        int64_t begin_ns = now_ns();
        void (*fire)(tv_host_control *, void *) = later->fire;
        void *user = later->user;
        free(later);
        fire(control, user);
        if (control->server) tv_server_worked(control->server, begin_ns);
    }
    set_timer(control);
}

tv_host_later *tv_host_later_new(tv_host_control *control, void (*fire)(tv_host_control *control, void *user),
                                 void *user, uint64_t wait_ms) {
    tv_host_later *later = malloc(sizeof *later);
    if (!later) return NULL;
    if (!control->timer_open) {
        uv_timer_init(&control->runner->loop, &control->timer);
        control->timer.data = control;
        control->timer_open = true;
    }
    *later = (tv_host_later){
        .next = control->laters, .fire = fire, .user = user, .due_ns = now_ns() + (int64_t)wait_ms * 1000000};
    control->laters = later;
    set_timer(control);
    return later;
}

void tv_host_later_cancel(tv_host_control *control, tv_host_later *later) {
    tv_host_later **at = &control->laters;
    while (*at && *at != later)
        at = &(*at)->next;
    if (!*at) return;
    *at = later->next;
    free(later);
}

void tv_host_laters_close(tv_host_control *control) {
    if (control->timer_open) uv_close((uv_handle_t *)&control->timer, NULL);
    control->timer_open = false;
}

// ---- questions that wait --------------------------------------------------------------------------------------------

// A request that is answered after a while.
typedef struct waiting {
    tv_host_control *control;
    tv_server_request *request;
    tv_host_on_time *on_time;
    void (*gone)(void *user);
    void *user;
    tv_host_later *later;
} waiting;

static void on_gone(void *user, tv_server_request *request, bool cancelled) {
    waiting *asked = user;
    (void)request;
    (void)cancelled;
    tv_host_later_cancel(asked->control, asked->later);
    asked->gone(asked->user);
    free(asked);
}

static void on_waited(tv_host_control *control, void *user) {
    waiting asked = *(waiting *)user;
    free(user);
    tv_server_on_gone(asked.request, NULL, NULL);
    asked.on_time(control, asked.request, asked.user);
}

void tv_host_wait(tv_host_control *control, tv_server_request *request, tv_host_on_time *on_time,
                  void (*gone)(void *user), void *user, uint64_t wait_ms) {
    waiting *asked = malloc(sizeof *asked);
    tv_host_later *later = asked ? tv_host_later_new(control, on_waited, asked, wait_ms) : NULL;
    if (!later) {
        free(asked);
        gone(user);
        tv_server_fail(request, "no-memory", "out of memory");
        return;
    }
    *asked = (waiting){control, request, on_time, gone, user, later};
    tv_server_on_gone(request, on_gone, asked);
}

static void forget(tv_host_control *control, void *user);

// Without memory the figures stay.
static void forget_after(tv_host_control *control, int64_t wait_ns) {
    control->forgetting = tv_host_later_new(control, forget, NULL, (uint64_t)(wait_ns / 1000000));
}

// The line of progress on a terminal asks all the time.
static void forget(tv_host_control *control, void *user) {
    (void)user;
    tv_host_runner *runner = control->runner;
    int64_t left_ns = control->asked_ns + FORGET_NS - now_ns();
    control->forgetting = NULL;
    if (left_ns > 0) {
        forget_after(control, left_ns);
        return;
    }
    for (size_t f = 0; f < runner->flows.count; f++) {
        tv_host_flow *flow = tv_host_flow_at(runner, f);
        free(flow->rates);
        flow->rates = NULL;
    }
    if (!runner->options->progress) tv_runtime_forget_figures(runner->runtime);
}

// The samples are as new as they need be. Whether there was nothing to take rates from.
static bool move_on(tv_host_control *control) {
    int64_t now = now_ns();
    bool is_old = !control->sampled_ns || now - control->sampled_ns > SAMPLE_OLD_NS;
    if (is_old || now - control->sampled_ns >= SAMPLE_EVERY_NS) sample_all(control, now);
    if (is_old) sample_all(control, now); // both are of now
    control->asked_ns = now;
    if (!control->forgetting) forget_after(control, FORGET_NS);
    return is_old;
}

void tv_host_sample_all(tv_host_control *control) { (void)move_on(control); }

typedef void answer_function(tv_host_control *control, tv_server_request *request);
typedef struct answer_later {
    answer_function *answer;
    bool from_now; // the first samples lacked flows that had published nothing until they were asked
    int tries;
} answer_later;

static void answer_on_time(tv_host_control *control, tv_server_request *request, void *user) {
    answer_later *later = user;
    answer_function *answer = later->answer;
    if (later->from_now) {
        int64_t now = now_ns();
        sample_all(control, now);
        sample_all(control, now);
        later->from_now = control->some_unpublished && ++later->tries < TRIES_MAX;
        tv_host_wait(control, request, answer_on_time, free, later, SETTLE_MS);
        return;
    }
    free(later);
    answer(control, request);
}

void tv_host_ask(tv_host_control *control, tv_server_request *request, answer_function *answer) {
    bool waits = move_on(control) || now_ns() - control->sampled_ns < SETTLE_MS * 1000000ll;
    if (control->older_ns && control->sampled_ns - control->older_ns > 0) waits = false; // an older one is there
    if (!waits) {
        answer(control, request);
        return;
    }
    answer_later *later = malloc(sizeof *later);
    if (!later) {
        tv_server_fail(request, "no-memory", "out of memory");
        return;
    }
    *later = (answer_later){.answer = answer, .from_now = control->some_unpublished};
    tv_host_wait(control, request, answer_on_time, free, later, SETTLE_MS);
}

const char *tv_host_flow_state(const tv_host_flow *flow) {
    tv_flow_state state = tv_flow_get_state(flow->flow);
    if (state == TV_FLOW_ENDED || state == TV_FLOW_FAILED) return tv_flow_state_name(state);
    if (flow->removing || state == TV_FLOW_REMOVED) return "draining";
    if (flow->paused) return "paused";
    return tv_flow_state_name(state);
}
