// torvyn stop: ends a running pipeline, with or without delivering what is under way. Returns when its process has
// ended, with what was not delivered.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/table.h"

typedef struct stop_wish {
    bool drain, now, no_wait;
    int64_t grace_ns; // 0: what the run was started with
    tv_format format;
} stop_wish;

enum { PROCESS_END_MS = 30000 };

// ---- asking -------------------------------------------------------------------------------------------------

static yyjson_mut_doc *stop_request(tv_control *control, const stop_wish *wish) {
    yyjson_mut_doc *request = tv_control_request(control, "stop");
    yyjson_mut_val *root = yyjson_mut_doc_get_root(request);
    yyjson_mut_obj_add_str(request, root, "how", wish->now ? "now" : "drain");
    if (wish->grace_ns) yyjson_mut_obj_add_int(request, root, "grace_ms", wish->grace_ns / 1000000);
    return request;
}

// The last line of the stop, *outcome, and the end of the connection, which is the end of the run.
static tv_status wait_for_end(tv_control *control, yyjson_doc **outcome, tv_error *error) {
    for (;;) {
        yyjson_doc *line = NULL;
        tv_status status = tv_control_wait(control, -1, &line, error);
        if (status == TV_EOF) return TV_OK;
        if (status != TV_OK && status != TV_INTERRUPTED) return status;
        if (line && tv_json_true(yyjson_doc_get_root(line), "done")) {
            yyjson_doc_free(*outcome);
            *outcome = line;
        } else {
            yyjson_doc_free(line);
        }
    }
}

// ---- the process --------------------------------------------------------------------------------------------

// It may be gone already. Without pidfd (Linux before 5.3) the process is looked for again and again.
static tv_status wait_for_process(long pid, int handle, tv_error *error) {
    struct pollfd ended = {.fd = handle, .events = POLLIN};
    int64_t end_ns = tv_clock_monotonic_ns(tv_clock_system()) + (int64_t)PROCESS_END_MS * 1000000;
    while (pid > 0 && tv_clock_monotonic_ns(tv_clock_system()) < end_ns) {
        if (handle >= 0 && poll(&ended, 1, PROCESS_END_MS) > 0) return TV_OK;
        if (handle < 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH) return TV_OK;
        if (handle < 0) nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    if (pid <= 0) return TV_OK;
    return tv_error_set(error, TV_LIMIT,
                        "the pipeline has stopped, but process %ld has not ended within %d s: its summary or log may "
                        "wait for somebody to read it",
                        pid, PROCESS_END_MS / 1000);
}

// ---- reporting ----------------------------------------------------------------------------------------------

static void print_flows(yyjson_val *outcome) {
    size_t i, count;
    yyjson_val *flow;
    char left[32], dropped[32];
    yyjson_arr_foreach(yyjson_obj_get(outcome, "flows"), i, count, flow) tv_print(
        stdout, "  %s: %s left, %s dropped\n", tv_json_text(flow, "name"),
        tv_format_count(tv_json_count(flow, "left"), left), tv_format_count(tv_json_count(flow, "dropped"), dropped));
    uint64_t all = tv_json_count(outcome, "count");
    if (all > count) tv_print(stdout, "  ... and %llu more flows\n", (unsigned long long)(all - count));
}

static void print_outcome(const stop_wish *wish, const char *name, yyjson_val *outcome) {
    char left[32], dropped[32], letters[32];
    if (tv_json_true(outcome, "complete")) {
        tv_print(stdout, "%s: stopped\n", name);
        return;
    }
    const char *but = wish->now                             ? ""
                      : tv_json_true(outcome, "grace_over") ? ", but not everything was delivered in time"
                                                            : ", but not everything was delivered";
    tv_print(stdout, "%s: stopped%s: %s records left, %s dropped", name, but,
             tv_format_count(tv_json_count(outcome, "left"), left),
             tv_format_count(tv_json_count(outcome, "dropped"), dropped));
    if (tv_json_count(outcome, "dead_letters_left"))
        tv_print(stdout, ", %s dead letters not written",
                 tv_format_count(tv_json_count(outcome, "dead_letters_left"), letters));
    tv_print(stdout, "\n");
    print_flows(outcome);
}

static int report_json(const stop_wish *wish, const char *name, const char *state, yyjson_val *outcome) {
    yyjson_mut_doc *result = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(result);
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_mut_doc_set_root(result, root);
    yyjson_mut_obj_add_str(result, root, "pipeline", name);
    yyjson_mut_obj_add_str(result, root, "how", wish->now ? "now" : "drain");
    yyjson_mut_obj_add_str(result, root, "state", state);
    yyjson_obj_foreach(outcome, i, count, key, value) {
        if (yyjson_equals_str(key, "id") || yyjson_equals_str(key, "done")) continue;
        yyjson_mut_obj_add(root, yyjson_val_mut_copy(result, key), yyjson_val_mut_copy(result, value));
    }
    return tv_cli_print_json(result);
}

// `now` is to drop what is queued: that is no failure of it.
static int report(const stop_wish *wish, const char *name, yyjson_val *outcome) {
    int code = TV_EXIT_OK;
    if (wish->format == TV_FORMAT_JSON)
        code = report_json(wish, name, wish->no_wait ? "stopping" : "stopped", outcome);
    else if (wish->no_wait)
        tv_print(stdout, "%s: stopping\n", name);
    else
        print_outcome(wish, name, outcome);
    if (code == TV_EXIT_OK) code = tv_cli_finish(code);
    if (code != TV_EXIT_OK || wish->no_wait || wish->now) return code;
    return tv_json_true(outcome, "complete") ? TV_EXIT_OK : TV_EXIT_FAILED;
}

// ---- the verb -----------------------------------------------------------------------------------------------

static tv_status wait_until_over(tv_control *control, long pid, int handle, yyjson_doc **outcome, tv_error *error) {
    tv_status status = wait_for_end(control, outcome, error);
    if (status == TV_OK) status = wait_for_process(pid, handle, error);
    if (status != TV_OK || *outcome) return status;
    return tv_error_set(error, TV_EOF,
                        "%s: the process has ended without a word about what was delivered: it was "
                        "ended by a signal, or has dropped this client",
                        tv_control_path(control));
}

static int stop(tv_control *control, const stop_wish *wish) {
    tv_error error = {0};
    yyjson_doc *pong = NULL, *answer = NULL, *outcome = NULL;
    long pid = tv_control_pid(control);
    int handle = pid > 0 ? pidfd_open((pid_t)pid, 0) : -1;
    tv_status status =
        tv_control_ask(control, tv_control_request(control, "ping"), TV_CONTROL_ANSWER_MS, &pong, &error);
    if (status == TV_OK)
        status = tv_control_ask(control, stop_request(control, wish), TV_CONTROL_ANSWER_MS, &answer, &error);
    if (status == TV_OK && !wish->no_wait) status = wait_until_over(control, pid, handle, &outcome, &error);
    int code = status == TV_OK
                   ? report(wish, tv_json_text(yyjson_doc_get_root(pong), "pipeline"), yyjson_doc_get_root(outcome))
                   : tv_control_fail(control, &error, wish->format);
    if (handle >= 0) close(handle);
    yyjson_doc_free(pong);
    yyjson_doc_free(answer);
    yyjson_doc_free(outcome);
    return code;
}

int tv_verb_stop(int argc, char **argv) {
    const char *path = NULL;
    stop_wish wish = {0};
    const tv_flag flags[] = {
        {.name = "drain",
         .type = TV_FLAG_SWITCH,
         .target = &wish.drain,
         .help = "stop the sources, deliver what is under way (the default)"},
        {.name = "now",
         .type = TV_FLAG_SWITCH,
         .target = &wish.now,
         .help = "end after the turns under way; what is queued is dropped and counted"},
        {.name = "grace",
         .type = TV_FLAG_DURATION,
         .target = &wish.grace_ns,
         .value = "10s",
         .help = "longest time for the drain; otherwise what `run --grace` said"},
        {.name = "no-wait",
         .type = TV_FLAG_SWITCH,
         .target = &wish.no_wait,
         .help = "return when the stop has begun, not when it is over"},
        TV_FLAG_CONTROL(&path),
        TV_FLAG_FORMAT_OF(&wish.format),
    };
    tv_syntax syntax = {.flags = flags, .flag_count = sizeof flags / sizeof flags[0]};
    tv_arguments arguments;
    int code = tv_cli_parse(&syntax, argc, argv, &arguments);
    if (code != TV_CLI_GO) return code;
    if (wish.drain && wish.now) return tv_cli_usage_error(argv[0], "--drain and --now exclude each other");
    if (wish.now && wish.grace_ns) return tv_cli_usage_error(argv[0], "--grace is for a drain, not for --now");
    if (wish.grace_ns && wish.grace_ns < 1000000) return tv_cli_usage_error(argv[0], "--grace is 1ms at least");
    tv_error error;
    tv_control *control = NULL;
    if (tv_control_open(path, &control, &error) != TV_OK) return tv_control_fail(NULL, &error, wish.format);
    code = stop(control, &wish);
    tv_control_close(control);
    return code;
}
