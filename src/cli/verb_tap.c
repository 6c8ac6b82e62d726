// torvyn tap: live copies of the records at one place of a flow, until the limit or an interrupt.
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/control.h"
#include "cli/table.h"

typedef struct tap_wish {
    char flow[256];
    const char *at;
    const char *contains, *regex, *field, *kind, *key, *port;
    uint64_t limit, rate, payload_bytes;
    tv_format format;
} tap_wish;

// ---- the request --------------------------------------------------------------------------------------------

static void add_text(yyjson_mut_doc *request, const char *key, const char *value) {
    if (value) yyjson_mut_obj_add_str(request, yyjson_mut_doc_get_root(request), key, value);
}

static void add_count(yyjson_mut_doc *request, const char *key, uint64_t value) {
    if (value) yyjson_mut_obj_add_uint(request, yyjson_mut_doc_get_root(request), key, value);
}

// A number goes as a number, anything else as the text it is.
static void add_scalar(yyjson_mut_doc *request, const char *key, const char *value) {
    yyjson_doc *json = value ? yyjson_read(value, strlen(value), 0) : NULL;
    yyjson_val *root = yyjson_doc_get_root(json);
    if (root && !yyjson_is_ctn(root))
        yyjson_mut_obj_add_val(request, yyjson_mut_doc_get_root(request), key, yyjson_val_mut_copy(request, root));
    else
        add_text(request, key, value);
    yyjson_doc_free(json);
}

static yyjson_mut_doc *make_request(tv_control *control, tap_wish *wish) {
    yyjson_mut_doc *request = tv_control_request(control, "tap");
    add_text(request, "flow", wish->flow);
    add_text(request, "at", wish->at);
    add_scalar(request, "port", wish->port);
    add_count(request, "limit", wish->limit);
    add_count(request, "rate", wish->rate);
    add_count(request, "payload_bytes", wish->payload_bytes);
    add_text(request, "contains", wish->contains);
    add_text(request, "regex", wish->regex);
    add_text(request, "kind", wish->kind);
    add_scalar(request, "key", wish->key);
    const char *equals = wish->field ? strchr(wish->field, '=') : NULL;
    if (equals) {
        yyjson_mut_val *path = yyjson_mut_strncpy(request, wish->field, (size_t)(equals - wish->field));
        yyjson_mut_obj_add_val(request, yyjson_mut_doc_get_root(request), "field", path);
        add_scalar(request, "equals", equals + 1);
    }
    return request;
}

// ---- what comes ---------------------------------------------------------------------------------------------

static void print_payload(yyjson_val *event) {
    yyjson_val *payload = yyjson_obj_get(event, "payload");
    const char *encoding = tv_json_text(event, "encoding");
    const char *end = tv_json_true(event, "cut") ? "..." : "";
    if (strcmp(encoding, "text") == 0 && yyjson_is_str(payload)) {
        tv_text text = {0}; // may hold a NUL
        tv_text_add_shown(&text, TV_SHOW_TEXT, yyjson_get_str(payload), yyjson_get_len(payload));
        tv_print(stdout, "%s%s\n", text.bytes ? text.bytes : "", end);
        tv_text_deinit(&text);
        return;
    }
    char *json = tv_json_write_value(payload, TV_JSON_COMPACT, NULL);
    if (strcmp(encoding, "base64") == 0) tv_print(stdout, "base64:");
    tv_print(stdout, "%s%s\n", json ? json : "", end);
    free(json);
}

static void print_record(yyjson_val *event) {
    tv_print(stdout, "%s #%llu", tv_json_text(event, "queue"), (unsigned long long)tv_json_count(event, "sequence"));
    const char *kind = tv_json_text(event, "kind");
    if (strcmp(kind, "data") != 0) tv_print(stdout, " %s", kind);
    yyjson_val *key = yyjson_obj_get(event, "key");
    if (yyjson_is_str(key))
        tv_print(stdout, " key=%s", yyjson_get_str(key));
    else if (yyjson_get_num(key) != 0)
        tv_print(stdout, " key=%.0f", yyjson_get_num(key));
    tv_print(stdout, " %lluB ", (unsigned long long)tv_json_count(event, "payload_bytes"));
    print_payload(event);
}

static void print_losses(yyjson_val *figures) {
    tv_print(stderr, "torvyn tap: not shown so far: %.0f over the rate, %.0f missed\n",
             tv_json_number(figures, "skipped"), tv_json_number(figures, "missed"));
}

static void print_line(yyjson_val *object) {
    char *text = tv_json_write_value(object, TV_JSON_LINE, NULL);
    fputs(text ? text : "null\n", stdout);
    free(text);
}

static void print_event(const tap_wish *wish, yyjson_val *event) {
    if (wish->format == TV_FORMAT_JSON)
        print_line(event);
    else if (yyjson_obj_get(event, "sequence"))
        print_record(event);
    else
        print_losses(event);
}

static void print_end(yyjson_val *end) {
    tv_print(stderr, "torvyn tap: %s: %.0f seen, %.0f shown, %.0f filtered out, %.0f over the rate, %.0f missed\n",
             tv_json_text(end, "reason"), tv_json_number(end, "seen"), tv_json_number(end, "shown"),
             tv_json_number(end, "filtered"), tv_json_number(end, "skipped"), tv_json_number(end, "missed"));
}

// ---- until it ends ------------------------------------------------------------------------------------------

static volatile sig_atomic_t interrupted;

static void on_signal(int number) { interrupted = number; }

// The signals come only while it waits, so that none falls between looking at the flag and waiting. A second one ends
// it at once.
static void catch_signals(sigset_t *while_waiting) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigset_t held;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigprocmask(SIG_BLOCK, &held, while_waiting);
    sigdelset(while_waiting, SIGINT);
    sigdelset(while_waiting, SIGTERM);
}

// AGAIN: nothing came in time (negative: without end). OK also after a signal.
static tv_status wait_for_more(tv_control *control, int wait_ms, const sigset_t *while_waiting) {
    struct pollfd wanted = {.fd = tv_control_fd(control), .events = POLLIN};
    struct timespec limit = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000L};
    return ppoll(&wanted, 1, wait_ms < 0 ? NULL : &limit, while_waiting) == 0 ? TV_AGAIN : TV_OK;
}

static tv_status cancel(tv_control *control, uint64_t stream, tv_error *error) {
    uint64_t id;
    yyjson_mut_doc *request = tv_control_request(control, "cancel");
    yyjson_mut_obj_add_uint(request, yyjson_mut_doc_get_root(request), "stream", stream);
    return tv_control_send(control, request, &id, error);
}

// One line of the stream; *over when it was the last.
static tv_status take_line(const tap_wish *wish, yyjson_val *line, uint64_t stream, bool *over, tv_error *error) {
    if (tv_json_count(line, "id") != stream) return TV_OK; // the answer to the cancellation
    if (yyjson_obj_get(line, "ok")) return tv_control_check(line, error);
    yyjson_val *event = yyjson_obj_get(line, "event");
    if (event) print_event(wish, event);
    if (tv_json_true(line, "done")) {
        *over = true;
        print_end(line);
    }
    return TV_OK;
}

static tv_status follow(tv_control *control, tap_wish *wish, tv_error *error) {
    uint64_t stream = 0;
    bool over = false, cancelled = false;
    sigset_t while_waiting;
    catch_signals(&while_waiting);
    tv_status status = tv_control_send(control, make_request(control, wish), &stream, error);
    while (status == TV_OK && !over && !ferror(stdout)) {
        yyjson_doc *line = NULL;
        if (interrupted && !cancelled) {
            cancelled = true;
            status = cancel(control, stream, error);
            if (status != TV_OK) break;
        }
        status = tv_control_take(control, &line, error);
        if (status == TV_AGAIN) {
            fflush(stdout); // what there is, before waiting for more
            status = wait_for_more(control, cancelled ? TV_CONTROL_ANSWER_MS : -1, &while_waiting);
            if (status == TV_AGAIN) return TV_OK;
        }
        if (line) status = take_line(wish, yyjson_doc_get_root(line), stream, &over, error);
        yyjson_doc_free(line);
    }
    return status;
}

// ---- the verb -----------------------------------------------------------------------------------------------

// FLOW/STAGE at the last slash.
static int split_place(const char *verb, const char *place, tap_wish *wish) {
    const char *slash = strrchr(place, '/');
    if (!slash || slash == place || !slash[1])
        return tv_cli_usage_error(verb, "the place is FLOW/STAGE or FLOW/CHANNEL, not '%s'", place);
    if ((size_t)(slash - place) >= sizeof wish->flow) return tv_cli_usage_error(verb, "the flow's name is too long");
    memcpy(wish->flow, place, (size_t)(slash - place));
    wish->at = slash + 1;
    if (wish->field && (!strchr(wish->field, '=') || wish->field[0] == '='))
        return tv_cli_usage_error(verb, "--field is PATH=VALUE (unit.id=C), not '%s'", wish->field);
    return TV_CLI_GO;
}

static int tap(tv_control *control, tap_wish *wish) {
    tv_error error = {0};
    tv_status status = follow(control, wish, &error);
    fflush(stdout);
    return status == TV_OK ? tv_cli_finish(TV_EXIT_OK) : tv_control_fail(control, &error, wish->format);
}

int tv_verb_tap(int argc, char **argv) {
    const char *path = NULL;
    tap_wish wish = {0};
    const tv_flag flags[] = {
        {.name = "limit",
         .letter = 'n',
         .type = TV_FLAG_COUNT,
         .target = &wish.limit,
         .value = "N",
         .help = "end after so many records"},
        {.name = "rate",
         .type = TV_FLAG_COUNT,
         .target = &wish.rate,
         .value = "N",
         .help = "show at most so many a second (1000); others are counted"},
        {.name = "contains",
         .type = TV_FLAG_TEXT,
         .target = &wish.contains,
         .value = "TEXT",
         .help = "only payloads with this text"},
        {.name = "regex",
         .type = TV_FLAG_TEXT,
         .target = &wish.regex,
         .value = "RE",
         .help = "only payloads that match (POSIX extended)"},
        {.name = "field",
         .type = TV_FLAG_TEXT,
         .target = &wish.field,
         .value = "PATH=VALUE",
         .help = "only JSON payloads with this value: unit.id=C"},
        {.name = "key", .type = TV_FLAG_TEXT, .target = &wish.key, .value = "KEY", .help = "only this key"},
        {.name = "port",
         .type = TV_FLAG_TEXT,
         .target = &wish.port,
         .value = "PORT",
         .help = "of a stage: only this output port"},
        {.name = "kind",
         .type = TV_FLAG_TEXT,
         .target = &wish.kind,
         .value = "KIND",
         .help = "data (default), watermark or all"},
        {.name = "payload",
         .type = TV_FLAG_SIZE,
         .target = &wish.payload_bytes,
         .value = "4KiB",
         .help = "the most of a payload to show"},
        TV_FLAG_CONTROL(&path),
        {.name = "format",
         .type = TV_FLAG_FORMAT,
         .target = &wish.format,
         .value = "text|json",
         .help = "json: an object a line, as on the control socket"},
    };
    tv_syntax syntax = {
        .flags = flags, .flag_count = sizeof flags / sizeof flags[0], .arguments_min = 1, .arguments_max = 1};
    tv_arguments arguments;
    int code = tv_cli_parse(&syntax, argc, argv, &arguments);
    if (code != TV_CLI_GO) return code;
    code = split_place(argv[0], arguments.items[0], &wish);
    if (code != TV_CLI_GO) return code;
    tv_error error;
    tv_control *control = NULL;
    if (tv_control_open(path, &control, &error) != TV_OK) return tv_control_fail(NULL, &error, wish.format);
    code = tap(control, &wish);
    tv_control_close(control);
    return code;
}
