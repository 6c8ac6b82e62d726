// The client of the control socket (docs/control.md), shared by the verbs that watch and steer a running pipeline.
//
// One connection, one JSON object a line. Lines are read into one buffer of at most 1 MiB; what the server says is
// checked as any input is. Nothing here prints.
#ifndef TORVYN_CLI_CONTROL_H
#define TORVYN_CLI_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "cli/cli.h"
#include "yyjson.h"

enum {
    TV_CONTROL_PATH_MAX = 108,   // of a Unix socket's address
    TV_CONTROL_ANSWER_MS = 15000 // for what the server answers at once
};

typedef struct tv_control tv_control;

// The flag --control of the verbs.
#define TV_FLAG_CONTROL(path)                                                                                          \
    {                                                                                                                  \
        .name = "control", .type = TV_FLAG_TEXT, .target = (path), .value = "PATH",                                    \
        .help = "the control socket, or the pipeline's name; otherwise the only one that runs"                         \
    }

// Connects to the socket `where`: a path; a name without slash is looked for as NAME.sock in the default folders; NULL
// is the only pipeline that runs. Errors: NOT_FOUND (says where it looked), EXISTS (several run), DENIED, IO.
tv_status tv_control_open(const char *where, tv_control **out, tv_error *error);
void tv_control_close(tv_control *control); // NULL is allowed
// Path it is connected to; borrowed.
const char *tv_control_path(const tv_control *control);
// Process id of the far side, as seen here; 0: the kernel does not say.
long tv_control_pid(const tv_control *control);
// For poll(): readable when tv_control_take may have something.
int tv_control_fd(const tv_control *control);

// A request with "id" and "verb" set; the caller adds fields to its root and hands it to send or ask, which free it.
// NULL without memory (send and ask then say so).
yyjson_mut_doc *tv_control_request(tv_control *control, const char *verb);
// Sends it; *id is the request's. IO: the far side is gone.
tv_status tv_control_send(tv_control *control, yyjson_mut_doc *request, uint64_t *id, tv_error *error);
// The next line that has arrived, without waiting: OK, AGAIN (none yet), EOF (connection closed), INVALID, IO. The
// caller frees *line.
tv_status tv_control_take(tv_control *control, yyjson_doc **line, tv_error *error);
// The same, waiting for at most `wait_ms` (negative: without end): also INTERRUPTED (a signal).
tv_status tv_control_wait(tv_control *control, int wait_ms, yyjson_doc **line, tv_error *error);
// Sends and waits for the answer, of which *answer is the caller's to free. A refusal is the status and the message
// the server sent; tv_control_refused says whether it was one.
tv_status tv_control_ask(tv_control *control, yyjson_mut_doc *request, int wait_ms, yyjson_doc **answer,
                         tv_error *error);
// Checks one answer: OK, or the server's error.
tv_status tv_control_check(yyjson_val *root, tv_error *error);

// "torvyn: error: ..." on standard error for a failure of open, send or ask; as JSON {"error":{"status","message"}} on
// standard output. Returns the exit code: TV_EXIT_UNAVAILABLE where there is nothing to talk to, else TV_EXIT_FAILED.
int tv_control_fail(const tv_control *control, const tv_error *error, tv_format format);

// An answer without `id` and `ok`, on standard output; returns the exit code.
int tv_control_print_json(yyjson_doc *answer);

// ---- reading answers: 0, "" or NULL for what is missing or of another type --------------------------------------

const char *tv_json_text(yyjson_val *object, const char *key);
double tv_json_number(yyjson_val *object, const char *key);
uint64_t tv_json_count(yyjson_val *object, const char *key);
bool tv_json_true(yyjson_val *object, const char *key);

#endif
