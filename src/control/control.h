// control: the control socket of a running pipeline (docs/control.md). A Unix socket, its clients, lines of JSON and
// what is to be checked before a verb sees a request. Knows no verb: the host brings a table of them.
//
// This is the server (tv_server_*); the client's side is the cli's.
//
// Everything runs on the thread of the loop. All sizes are bounded: a line, the clients, the requests of each that
// are not answered, the output that waits for it. A client that does not read is closed and counted; nobody ever
// waits for a client.
#ifndef TORVYN_CONTROL_CONTROL_H
#define TORVYN_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct uv_loop_s;
struct yyjson_val;
struct yyjson_mut_doc;
struct yyjson_mut_val;

enum {
    TV_SERVER_PROTOCOL = 1,
    TV_SERVER_LINE_BYTES_MAX = 1 << 20,     // of the server's, without the newline
    TV_SERVER_REQUEST_BYTES_MAX = 64 << 10, // of a client's
    TV_SERVER_CLIENTS_MAX = 16,
    TV_SERVER_REQUESTS_MAX = 32,           // of a client, not answered
    TV_SERVER_WAITING_BYTES_MAX = 2 << 20, // output of a client
    // Of all clients together: what is no line yet, requests not answered, output. Beyond it who needs more is closed.
    TV_SERVER_BYTES_MAX = 4 << 20,
    // For the one request that is being read and answered; freed before the next.
    TV_SERVER_WORK_BYTES = 3 << 20,
    // Every `look_ms`, clients that have nothing under way and say nothing are looked for: after so many looks without
    // a whole request the connection is closed. The first is for those that have never asked, or have begun a line.
    TV_SERVER_SILENT_LOOKS_MAX = 3,
    TV_SERVER_IDLE_LOOKS_MAX = 60,
    // Requests of all clients together take a share of the loop's time (1/4) and at most so much of it at once, but for
    // the one request that goes beyond; then they wait.
    TV_SERVER_SHARE = 4,
    TV_SERVER_BURST_NS = 10000000,
};

typedef struct tv_server tv_server;
// One request that is not answered yet, or a stream. The server's; gone after the last answer, or after `on_gone`.
typedef struct tv_server_request tv_server_request;

typedef struct tv_server_verb {
    const char *name;
    const char *const *fields; // it may have beside `id` and `verb`; ended by NULL
    // `body` is the whole request, valid until the last answer. Answers now, or later.
    void (*run)(void *user, tv_server_request *request, struct yyjson_val *body);
} tv_server_verb;

typedef struct tv_server_options {
    struct uv_loop_s *loop;
    const char *path;
    const tv_server_verb *verbs; // static
    size_t verb_count;
    void *user; // of the verbs
    // How often clients are looked at. One that has taken nothing of what waits for it since the last look is closed.
    int64_t look_ms; // 0: 5 s
} tv_server_options;

// ---- path -------------------------------------------------------------------------------------------------------

// The folders where sockets lie if nobody says otherwise, by the rules of docs/control.md: a server makes its own in
// the first. False behind the last.
bool tv_server_folder(unsigned index, char *folder, size_t folder_bytes);
// The path of the socket by the rules of docs/control.md where nobody says one: $XDG_RUNTIME_DIR, /run, /tmp. Into
// `path`. TOO_LARGE if it would be longer than a socket's path may be.
tv_status tv_server_default_path(const char *name, char *path, size_t path_bytes, tv_error *error);
// Makes the folder of a default path with mode 0700; DENIED if it belongs to somebody else or others may enter it.
tv_status tv_server_make_folder(const char *path, tv_error *error);

// ---- server -----------------------------------------------------------------------------------------------------

// Listens. EXISTS if another process listens there (the message has its id), TOO_LARGE, DENIED, IO.
tv_status tv_server_open(const tv_server_options *options, tv_server **out, tv_error *error);
// Answers what is open with an error, lets go of clients and socket, then calls `closed` once; frees `control`.
void tv_server_close(tv_server *control, void (*closed)(void *user), void *user);

typedef struct tv_server_stats {
    uint64_t clients, clients_total, clients_refused, clients_dropped, clients_timed_out;
    uint64_t requests, errors;
    uint64_t bytes; // held for clients now; at most TV_SERVER_BYTES_MAX
} tv_server_stats;
void tv_server_get_stats(const tv_server *control, tv_server_stats *stats);
const char *tv_server_path(const tv_server *control);

// What is done for clients outside of a verb (a timer, say): `begin` is when it began, monotonic.
void tv_server_worked(tv_server *control, int64_t begin_ns);
// How long until more may be done for clients, milliseconds; 0: now.
uint64_t tv_server_rest_ms(tv_server *control);

// ---- reading a request --------------------------------------------------------------------------------------------

// Takes fields out of a request and keeps the first problem: look at `problem` when all are read.
typedef struct tv_server_reader {
    struct yyjson_val *body;
    char problem[256]; // "" if there is none
} tv_server_reader;

// NULL if it is not there; a field that is there must be a text without NUL.
const char *tv_server_text(tv_server_reader *reader, const char *name);
// `fallback` if it is not there; a field that is there must be a whole number within the range.
uint64_t tv_server_number(tv_server_reader *reader, const char *name, uint64_t least, uint64_t most, uint64_t fallback);
bool tv_server_bool(tv_server_reader *reader, const char *name, bool fallback);
// The index in `choices` (ended by NULL), -1 if it is not there; other texts are a problem.
int tv_server_choice(tv_server_reader *reader, const char *name, const char *const *choices);
void tv_server_problem(tv_server_reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Answers with the problem, if there is one. Whether there was one.
bool tv_server_refuse(tv_server_request *request, const tv_server_reader *reader);

// The whole request.
struct yyjson_val *tv_server_body(const tv_server_request *request);

// ---- answering ----------------------------------------------------------------------------------------------------

// {"id":N,"ok":true}, to be completed and sent. NULL: out of memory, and the request has been answered so.
struct yyjson_mut_doc *tv_server_answer(tv_server_request *request, struct yyjson_mut_val **root);
// {"id":N,"event":{}}; `event` is the inner object. NULL: out of memory; the stream goes on.
struct yyjson_mut_doc *tv_server_event(tv_server_request *request, struct yyjson_mut_val **event);
// {"id":N,"done":true}.
struct yyjson_mut_doc *tv_server_done(tv_server_request *request, struct yyjson_mut_val **root);
// Sends the document as a line and frees it. `last`: the request is over and must not be used any more. A last one that
// is larger than a line, or from which something is missing for want of memory, becomes an error; an event is left out.
// Whether it was sent. Events to a client that is gone count as sent.
bool tv_server_send(tv_server_request *request, struct yyjson_mut_doc *document, bool last);
// The request is over.
void tv_server_fail(tv_server_request *request, const char *status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void tv_server_fail_with(tv_server_request *request, const tv_error *error);
// Turns the request into a stream, or says that it is only answered later: `gone` is called once, by the loop, when its
// client has gone away before the last answer, and, with `cancelled`, when the client cancels it or the run is over;
// then it may still send a last answer. The request must not be used after `gone` returns. A client that is dropped
// while it is written to does not take its requests with it at once: they can be used until `gone`.
void tv_server_on_gone(tv_server_request *request, void (*gone)(void *user, tv_server_request *request, bool cancelled),
                       void *user);
// Whether an event may be sent now: little waits for its client, and not too much for all.
bool tv_server_may_stream(const tv_server_request *request);
// Whether it is the same client's.
bool tv_server_same_client(const tv_server_request *a, const tv_server_request *b);

#endif
