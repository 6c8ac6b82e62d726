// The connection to a control socket: lines in and out, requests and their answers.
#include "cli/control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/control_internal.h"

// ---- connection ---------------------------------------------------------------------------------------------

tv_status tv_control_connect(const char *path, tv_control **out, tv_error *error) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return tv_error_set(error, TV_TOO_LARGE, "%s: the path of a socket has at most %zu bytes", path,
                            sizeof address.sun_path - 1);
    strcpy(address.sun_path, path); // NOLINT: measured above
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return tv_error_set_errno(error, errno, "cannot make a socket");
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        int failed = errno;
        close(fd);
        return tv_error_set_errno(error, failed, "cannot connect to %s", path);
    }
    tv_control *control = calloc(1, sizeof *control);
    char *buffer = malloc(TV_SERVER_LINE_BYTES_MAX + 1);
    if (!control || !buffer) {
        free(control);
        free(buffer);
        close(fd);
        return tv_error_set(error, TV_NO_MEMORY, "out of memory");
    }
    *control = (tv_control){.fd = fd, .next_id = 1, .buffer = buffer};
    snprintf(control->path, sizeof control->path, "%s", path);
    *out = control;
    return TV_OK;
}

void tv_control_close(tv_control *control) {
    if (!control) return;
    close(control->fd);
    free(control->buffer);
    free(control);
}

const char *tv_control_path(const tv_control *control) { return control->path; }

long tv_control_pid(const tv_control *control) {
    struct ucred peer = {0};
    socklen_t length = sizeof peer;
    return getsockopt(control->fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 ? (long)peer.pid : 0;
}

int tv_control_fd(const tv_control *control) { return control->fd; }

static tv_status gone(const tv_control *control, tv_error *error) {
    return tv_error_set(error, TV_EOF,
                        "%s: the connection was closed: the pipeline has ended, or it dropped this client",
                        control->path);
}

// ---- lines out ----------------------------------------------------------------------------------------------

yyjson_mut_doc *tv_control_request(tv_control *control, const char *verb) {
    yyjson_mut_doc *request = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = request ? yyjson_mut_obj(request) : NULL;
    if (!root) return request;
    yyjson_mut_doc_set_root(request, root);
    yyjson_mut_obj_add_uint(request, root, "id", control->next_id++);
    yyjson_mut_obj_add_str(request, root, "verb", verb);
    return request;
}

static tv_status write_all(tv_control *control, const char *bytes, size_t length, tv_error *error) {
    while (length > 0) {
        ssize_t written = send(control->fd, bytes, length, MSG_NOSIGNAL);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0 && (errno == EPIPE || errno == ECONNRESET)) return gone(control, error);
        if (written < 0) return tv_error_set_errno(error, errno, "%s: cannot send", control->path);
        bytes += written;
        length -= (size_t)written;
    }
    return TV_OK;
}

tv_status tv_control_send(tv_control *control, yyjson_mut_doc *request, uint64_t *id, tv_error *error) {
    if (request) *id = yyjson_mut_get_uint(yyjson_mut_obj_get(yyjson_mut_doc_get_root(request), "id"));
    size_t length = 0;
    char *line = request ? yyjson_mut_write(request, YYJSON_WRITE_NEWLINE_AT_END, &length) : NULL;
    yyjson_mut_doc_free(request);
    if (!line) return tv_error_set(error, TV_INVALID, "the request cannot be written as JSON: is it valid UTF-8?");
    tv_status status = length > TV_SERVER_REQUEST_BYTES_MAX
                           ? tv_error_set(error, TV_TOO_LARGE, "the request has %zu bytes; at most %d are allowed",
                                          length, TV_SERVER_REQUEST_BYTES_MAX)
                           : write_all(control, line, length, error);
    free(line);
    return status;
}

// ---- lines in -----------------------------------------------------------------------------------------------

// Takes one line off the buffer; EMPTY: it has none.
static tv_status parse_line(tv_control *control, yyjson_doc **line, tv_error *error) {
    char *end = memchr(control->buffer + control->searched, '\n', control->length - control->searched);
    if (!end) {
        control->searched = control->length;
        if (control->length <= TV_SERVER_LINE_BYTES_MAX - 1) return TV_EMPTY;
        return tv_error_set(error, TV_INVALID, "%s: sent a line longer than %d bytes; is it Torvyn's?", control->path,
                            TV_SERVER_LINE_BYTES_MAX);
    }
    size_t length = (size_t)(end - control->buffer), rest = control->length - length - 1;
    *line = yyjson_read(control->buffer, length, 0);
    memmove(control->buffer, end + 1, rest);
    control->length = rest;
    control->searched = 0;
    if (*line && yyjson_is_obj(yyjson_doc_get_root(*line))) return TV_OK;
    yyjson_doc_free(*line);
    *line = NULL;
    return tv_error_set(error, TV_INVALID, "%s: sent a line that is no JSON object; is it Torvyn's?", control->path);
}

tv_status tv_control_take(tv_control *control, yyjson_doc **line, tv_error *error) {
    for (;;) {
        tv_status status = parse_line(control, line, error);
        if (status != TV_EMPTY) return status;
        ssize_t got = recv(control->fd, control->buffer + control->length, TV_SERVER_LINE_BYTES_MAX - control->length,
                           MSG_DONTWAIT);
        if (got > 0)
            control->length += (size_t)got;
        else if (got == 0 || errno == ECONNRESET)
            return gone(control, error);
        else if (errno == EAGAIN)
            return TV_AGAIN;
        else if (errno != EINTR)
            return tv_error_set_errno(error, errno, "%s: cannot read", control->path);
    }
}

static int64_t now_ms(void) { return tv_clock_monotonic_ns(tv_clock_system()) / 1000000; }

tv_status tv_control_wait(tv_control *control, int wait_ms, yyjson_doc **line, tv_error *error) {
    int64_t end_ms = now_ms() + wait_ms;
    for (;;) {
        tv_status status = tv_control_take(control, line, error);
        if (status != TV_AGAIN) return status;
        int64_t left_ms = wait_ms < 0 ? -1 : end_ms - now_ms();
        if (wait_ms >= 0 && left_ms <= 0) return TV_AGAIN;
        struct pollfd wanted = {.fd = control->fd, .events = POLLIN};
        if (poll(&wanted, 1, (int)left_ms) < 0)
            return errno == EINTR ? TV_INTERRUPTED : tv_error_set_errno(error, errno, "cannot wait");
    }
}

// ---- answers ------------------------------------------------------------------------------------------------

static const struct {
    const char *word;
    tv_status status;
} status_words[] = {{"invalid", TV_INVALID},     {"not-found", TV_NOT_FOUND},    {"exists", TV_EXISTS},
                    {"limit", TV_LIMIT},         {"too-large", TV_TOO_LARGE},    {"denied", TV_DENIED},
                    {"busy", TV_AGAIN},          {"timeout", TV_INTERRUPTED},    {"fault", TV_FAULT},
                    {"no-memory", TV_NO_MEMORY}, {"unsupported", TV_UNSUPPORTED}};
enum { STATUS_WORD_COUNT = sizeof status_words / sizeof status_words[0] };

static tv_status status_of(const char *word) {
    for (size_t i = 0; i < STATUS_WORD_COUNT; i++)
        if (strcmp(word, status_words[i].word) == 0) return status_words[i].status;
    return TV_INVALID; // and "io", which is the pipeline's trouble: TV_IO says that it cannot be spoken to
}

tv_status tv_control_check(yyjson_val *root, tv_error *error) {
    if (tv_json_true(root, "ok")) return TV_OK;
    yyjson_val *said = yyjson_obj_get(root, "error");
    const char *message = tv_json_text(said, "message");
    return tv_error_set(error, status_of(tv_json_text(said, "status")), "%s",
                        message[0] ? message : "the pipeline refused without saying why");
}

// Whether a line is the answer to request `id`. One without an id (too many clients, not permitted) is for any.
static bool is_answer(yyjson_val *root, uint64_t id) {
    yyjson_val *said = yyjson_obj_get(root, "id");
    if (!yyjson_obj_get(root, "ok")) return false;
    return !said || yyjson_is_null(said) || yyjson_get_uint(said) == id;
}

static tv_status no_answer(const tv_control *control, int wait_ms, tv_error *error) {
    return tv_error_set(error, TV_IO, "%s: no answer within %d s; the process is stopped or overloaded", control->path,
                        (wait_ms + 999) / 1000);
}

tv_status tv_control_ask(tv_control *control, yyjson_mut_doc *request, int wait_ms, yyjson_doc **answer,
                         tv_error *error) {
    uint64_t id = 0;
    tv_status sent = tv_control_send(control, request, &id, error), status;
    int64_t end_ms = now_ms() + wait_ms;
    if (sent != TV_OK && sent != TV_EOF) return sent; // before it closes, the server may have said why
    for (;;) {
        yyjson_doc *line = NULL;
        int64_t left_ms = end_ms - now_ms();
        status = tv_control_wait(control, left_ms > 0 ? (int)left_ms : 0, &line, error);
        if (status == TV_AGAIN) return no_answer(control, wait_ms, error);
        if (status == TV_INTERRUPTED) continue;
        if (status != TV_OK) return status;
        if (is_answer(yyjson_doc_get_root(line), id)) {
            status = tv_control_check(yyjson_doc_get_root(line), error);
            if (status == TV_OK)
                *answer = line;
            else
                yyjson_doc_free(line);
            return status;
        }
        yyjson_doc_free(line);
    }
}

// As docs/control.md calls it; what the far side did not say itself: closed, io.
static const char *word_of(tv_status status) {
    for (size_t i = 0; i < STATUS_WORD_COUNT; i++)
        if (status_words[i].status == status) return status_words[i].word;
    return status == TV_EOF ? "closed" : status == TV_IO ? "io" : "invalid";
}

// One line, as in a stream.
static void print_error_json(const tv_error *error) {
    yyjson_mut_doc *document = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(document);
    yyjson_mut_doc_set_root(document, root);
    yyjson_mut_val *said = yyjson_mut_obj_add_obj(document, root, "error");
    yyjson_mut_obj_add_str(document, said, "status", word_of(error->status));
    yyjson_mut_obj_add_str(document, said, "message", error->message);
    char *text = tv_json_write(document, TV_JSON_LINE, NULL);
    fputs(text ? text : "{\"error\":{\"status\":\"no-memory\",\"message\":\"out of memory\"}}\n", stdout);
    free(text);
}

int tv_control_fail(const tv_control *control, const tv_error *error, tv_format format) {
    int code = control && error->status != TV_EOF && error->status != TV_IO ? TV_EXIT_FAILED : TV_EXIT_UNAVAILABLE;
    if (format == TV_FORMAT_JSON) {
        print_error_json(error);
        (void)tv_cli_finish(code);
    } else {
        tv_print(stderr, "torvyn: error: %s\n", error->message);
    }
    return code;
}

int tv_control_print_json(yyjson_doc *answer) {
    yyjson_mut_doc *result = yyjson_doc_mut_copy(answer, NULL);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(result);
    yyjson_mut_obj_remove_key(root, "id");
    yyjson_mut_obj_remove_key(root, "ok");
    return tv_cli_print_json(result);
}

// ---- reading answers ----------------------------------------------------------------------------------------

const char *tv_json_text(yyjson_val *object, const char *key) {
    const char *text = yyjson_get_str(yyjson_obj_get(object, key));
    return text ? text : "";
}

double tv_json_number(yyjson_val *object, const char *key) { return yyjson_get_num(yyjson_obj_get(object, key)); }

uint64_t tv_json_count(yyjson_val *object, const char *key) {
    double number = tv_json_number(object, key);
    return number > 0 && number < 1.8e19 ? (uint64_t)number : 0;
}

bool tv_json_true(yyjson_val *object, const char *key) { return yyjson_get_bool(yyjson_obj_get(object, key)); }
