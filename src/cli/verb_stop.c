// torvyn stop: ends a running pipeline, with or without delivering what is under way.
#include <stdlib.h>

#include "cli/control.h"

typedef struct stop_wish {
    bool drain, now, no_wait;
    int64_t grace_ns; // 0: what the run was started with
} stop_wish;

static tv_status send_stop(tv_control *control, const stop_wish *wish, tv_error *error) {
    yyjson_doc *answer = NULL;
    yyjson_mut_doc *request = tv_control_request(control, "stop");
    yyjson_mut_val *root = yyjson_mut_doc_get_root(request);
    yyjson_mut_obj_add_str(request, root, "how", wish->now ? "now" : "drain");
    if (wish->grace_ns) yyjson_mut_obj_add_int(request, root, "grace_ms", wish->grace_ns / 1000000);
    tv_status status = tv_control_ask(control, request, TV_CONTROL_ANSWER_MS, &answer, error);
    yyjson_doc_free(answer);
    return status;
}

// The connection closes when the run is over.
static tv_status wait_for_end(tv_control *control, tv_error *error) {
    for (;;) {
        yyjson_doc *line = NULL;
        tv_status status = tv_control_wait(control, -1, &line, error);
        yyjson_doc_free(line);
        if (status == TV_EOF) return TV_OK;
        if (status != TV_OK && status != TV_INTERRUPTED) return status;
    }
}

static int report(const stop_wish *wish, const char *name, tv_format format) {
    const char *state = wish->no_wait ? "stopping" : "stopped";
    if (format == TV_FORMAT_TEXT) {
        printf("%s: %s\n", name, state);
        return tv_cli_finish(TV_EXIT_OK);
    }
    yyjson_mut_doc *result = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(result);
    yyjson_mut_doc_set_root(result, root);
    yyjson_mut_obj_add_str(result, root, "pipeline", name);
    yyjson_mut_obj_add_str(result, root, "how", wish->now ? "now" : "drain");
    yyjson_mut_obj_add_str(result, root, "state", state);
    return tv_cli_print_json(result);
}

static int stop(tv_control *control, const stop_wish *wish, tv_format format) {
    tv_error error = {0};
    yyjson_doc *pong = NULL;
    tv_status status =
        tv_control_ask(control, tv_control_request(control, "ping"), TV_CONTROL_ANSWER_MS, &pong, &error);
    if (status == TV_OK) status = send_stop(control, wish, &error);
    if (status == TV_OK && !wish->no_wait) status = wait_for_end(control, &error);
    int code = status == TV_OK ? report(wish, tv_json_text(yyjson_doc_get_root(pong), "pipeline"), format)
                               : tv_control_fail(control, &error);
    yyjson_doc_free(pong);
    return code;
}

int tv_verb_stop(int argc, char **argv) {
    tv_format format = TV_FORMAT_TEXT;
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
        TV_FLAG_FORMAT_OF(&format),
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
    if (tv_control_open(path, &control, &error) != TV_OK) return tv_control_fail(NULL, &error);
    code = stop(control, &wish, format);
    tv_control_close(control);
    return code;
}
