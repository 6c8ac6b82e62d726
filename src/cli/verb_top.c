// torvyn top: the flows of a running pipeline, full screen, again and again.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/top.h"

enum { LIFE_MS = 60000 };

static volatile sig_atomic_t stop_wanted;

static void on_stop(int number) { stop_wanted = number; }

// Signals come only while it waits (ppoll), so that none falls between looking and waiting.
static void catch_signals(sigset_t *while_waiting) {
    static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_stop};
    sigset_t held;
    sigemptyset(&action.sa_mask);
    sigemptyset(&held);
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        sigaction(stops[i], &action, NULL);
        sigaddset(&held, stops[i]);
    }
    sigaddset(&held, SIGWINCH); // ncurses has its own handler
    sigprocmask(SIG_BLOCK, &held, while_waiting);
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        sigdelset(while_waiting, stops[i]);
    sigdelset(while_waiting, SIGWINCH);
}

static int64_t now_ms(void) { return tv_clock_monotonic_ns(tv_clock_system()) / 1000000; }

typedef struct top_loop {
    tv_top top;
    tv_control *control;
    sigset_t while_waiting;
    uint64_t asked; // id of the request under way, 0: none
    bool ask_again; // what was asked for is not what is to be shown any more
    int64_t next_ask_ms;
    bool hung_up;
} top_loop;

// ---- figures ------------------------------------------------------------------------------------------------

static tv_status ask(top_loop *loop, tv_error *error) {
    loop->next_ask_ms = now_ms() + loop->top.interval_ms;
    if (loop->asked) {
        loop->ask_again = true;
        return TV_OK;
    }
    loop->ask_again = false;
    return tv_control_send(loop->control, tv_top_request(&loop->top, loop->control), &loop->asked, error);
}

// A refusal is shown, and is no reason to end: the flow that was looked at may be gone.
static tv_status take_answer(top_loop *loop, yyjson_doc *line, tv_error *error) {
    yyjson_val *root = yyjson_doc_get_root(line);
    yyjson_val *id = yyjson_obj_get(root, "id");
    tv_error refused = {0};
    tv_status status = tv_control_check(root, &refused);
    if (status != TV_OK && !yyjson_get_uint(id)) { // not for one request: the far side does not want us
        *error = refused;
        yyjson_doc_free(line);
        return status;
    }
    if (status == TV_OK && yyjson_get_uint(id) != loop->asked) { // of a sign of life
        yyjson_doc_free(line);
        return TV_OK;
    }
    loop->asked = 0;
    if (status == TV_OK && !loop->top.paused) {
        tv_top_take(&loop->top, line);
        return TV_OK;
    }
    if (status != TV_OK) snprintf(loop->top.message, sizeof loop->top.message, "%.*s", 500, refused.message);
    yyjson_doc_free(line);
    return TV_OK;
}

static tv_status take_answers(top_loop *loop, tv_error *error) {
    for (;;) {
        yyjson_doc *line = NULL;
        tv_status status = tv_control_take(loop->control, &line, error);
        if (status == TV_AGAIN) break;
        if (status == TV_OK) status = take_answer(loop, line, error);
        if (status != TV_OK) return status;
        tv_top_draw(&loop->top);
    }
    return loop->ask_again && !loop->asked ? ask(loop, error) : TV_OK;
}

// ---- keys ---------------------------------------------------------------------------------------------------

// INTERRUPTED: it is to end.
static tv_status take_keys(top_loop *loop, tv_error *error) {
    int key;
    while ((key = tv_terminal_key()) >= 0) {
        tv_top_effect effect = tv_top_key(&loop->top, key);
        if (effect == TV_TOP_QUIT) return TV_INTERRUPTED;
        if (effect != TV_TOP_NOTHING) tv_top_draw(&loop->top);
        if (effect == TV_TOP_ASK && !loop->top.paused) {
            tv_status status = ask(loop, error);
            if (status != TV_OK) return status;
        }
    }
    return TV_OK;
}

static void wait_for_something(top_loop *loop) {
    struct pollfd wanted[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                               {.fd = tv_control_fd(loop->control), .events = POLLIN}};
    int64_t left_ms = loop->top.paused ? LIFE_MS : loop->next_ask_ms - now_ms();
    if (left_ms < 0) left_ms = 0;
    struct timespec limit = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
    if (ppoll(wanted, 2, &limit, &loop->while_waiting) > 0)
        loop->hung_up = (wanted[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

// While it is paused nothing is asked; the far side lets go of clients that say nothing for minutes.
static tv_status show_life(top_loop *loop, tv_error *error) {
    uint64_t id;
    if (!loop->top.paused || now_ms() < loop->next_ask_ms + LIFE_MS) return TV_OK;
    loop->next_ask_ms = now_ms();
    return tv_control_send(loop->control, tv_control_request(loop->control, "ping"), &id, error);
}

static tv_status run(top_loop *loop, tv_error *error) {
    tv_top_draw(&loop->top);
    tv_status status = ask(loop, error);
    while (status == TV_OK && !stop_wanted && !loop->hung_up) {
        wait_for_something(loop);
        status = take_keys(loop, error);
        if (status == TV_OK) status = take_answers(loop, error);
        if (status == TV_OK) status = show_life(loop, error);
        if (status == TV_OK && !loop->top.paused && now_ms() >= loop->next_ask_ms && !loop->asked)
            status = ask(loop, error);
    }
    return status == TV_INTERRUPTED ? TV_OK : status;
}

// ---- the verb -----------------------------------------------------------------------------------------------

static int run_on_terminal(tv_control *control, const char *sort, int64_t interval_ns) {
    static top_loop loop; // larger than a stack should carry
    tv_error error = {0};
    tv_top_init(&loop.top);
    if (sort) loop.top.sort = tv_top_find_sort(sort);
    loop.control = control;
    loop.top.interval_ms = (int)(interval_ns / 1000000);
    tv_status status = tv_terminal_open(&error);
    if (status != TV_OK) return tv_cli_fail(TV_EXIT_FAILED, &error);
    catch_signals(&loop.while_waiting);
    status = run(&loop, &error);
    tv_terminal_close();
    tv_top_deinit(&loop.top);
    return status == TV_OK ? TV_EXIT_OK : tv_control_fail(control, &error, TV_FORMAT_TEXT);
}

// One answer, as it comes.
static int print_once(tv_control *control, const char *sort) {
    tv_error error = {0};
    yyjson_doc *answer = NULL;
    yyjson_mut_doc *request = tv_control_request(control, "top");
    if (sort) yyjson_mut_obj_add_str(request, yyjson_mut_doc_get_root(request), "sort", sort);
    if (tv_control_ask(control, request, TV_CONTROL_ANSWER_MS, &answer, &error) != TV_OK)
        return tv_control_fail(control, &error, TV_FORMAT_JSON);
    int code = tv_control_print_json(answer);
    yyjson_doc_free(answer);
    return code;
}

static int unknown_sort(const char *verb, const char *name) {
    const char *names[TV_TOP_FLOW_COLUMNS];
    char all[160] = "";
    size_t count = 0, length = 0;
    for (size_t i = 0; i < TV_TOP_FLOW_COLUMNS; i++) {
        if (!tv_top_flow_columns[i].sort) continue;
        names[count++] = tv_top_flow_columns[i].sort;
        if (length < sizeof all)
            length += (size_t)snprintf(all + length, sizeof all - length, "%s%s", length ? ", " : "", names[count - 1]);
    }
    const char *nearest = tv_nearest_name(name, names, count);
    return tv_cli_usage_error(verb, "--sort is one of %s, not '%s'%s%s%s", all, name, nearest ? "; did you mean '" : "",
                              nearest ? nearest : "", nearest ? "'?" : "");
}

int tv_verb_top(int argc, char **argv) {
    tv_format format = TV_FORMAT_TEXT;
    const char *path = NULL, *sort = NULL;
    int64_t interval_ns = 1000000000;
    const tv_flag flags[] = {
        {.name = "interval",
         .letter = 'd',
         .type = TV_FLAG_DURATION,
         .target = &interval_ns,
         .value = "1s",
         .help = "how often to ask for new figures, from 250ms to 60s"},
        {.name = "sort",
         .type = TV_FLAG_TEXT,
         .target = &sort,
         .value = "BY",
         .help = "name, class, state, in, out, cpu (default), queue, memory, dropped, dead, faults, restarts"},
        TV_FLAG_CONTROL(&path),
        {.name = "format",
         .type = TV_FLAG_FORMAT,
         .target = &format,
         .value = "text|json",
         .help = "json: the figures once, without a screen"},
    };
    tv_syntax syntax = {.flags = flags, .flag_count = sizeof flags / sizeof flags[0]};
    tv_arguments arguments;
    int code = tv_cli_parse(&syntax, argc, argv, &arguments);
    if (code != TV_CLI_GO) return code;
    if (interval_ns < TV_TOP_INTERVAL_MIN_MS * 1000000LL || interval_ns > TV_TOP_INTERVAL_MAX_MS * 1000000LL)
        return tv_cli_usage_error(argv[0], "--interval is from 250ms to 60s");
    if (sort && tv_top_find_sort(sort) == TV_TOP_FLOW_COLUMNS) return unknown_sort(argv[0], sort);
    tv_error error;
    tv_control *control = NULL;
    if (tv_control_open(path, &control, &error) != TV_OK) return tv_control_fail(NULL, &error, format);
    code = format == TV_FORMAT_JSON ? print_once(control, sort) : run_on_terminal(control, sort, interval_ns);
    tv_control_close(control);
    return code;
}
