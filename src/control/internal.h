// What the files of the control socket share.
#ifndef TORVYN_CONTROL_INTERNAL_H
#define TORVYN_CONTROL_INTERNAL_H

#include <sys/stat.h>

#include <uv.h>

#include "base/base.h"
#include "control/control.h"
#include "yyjson.h"

typedef struct tv_server_client tv_server_client;

// A kind of log line of which there may be many: at most one a minute, which says how many there were in between.
typedef struct tv_server_notice {
    int64_t said_ns; // 0: never
    uint64_t unsaid;
} tv_server_notice;

struct tv_server_request {
    tv_server_client *client;
    tv_server_request *next, *previous; // of the client
    uint64_t id;
    yyjson_doc *document;
    size_t bytes;             // it may take
    uint64_t failures_before; // of allocations, when the answer was begun
    void (*gone)(void *user, tv_server_request *request, bool cancelled);
    void *gone_user;
};

struct tv_server_client {
    tv_server *control;
    tv_server_client *next, *previous;
    uv_pipe_t pipe;
    uv_shutdown_t shutdown;
    char *input; // from `input_at` on: lines whose turn has not come, and what is not a whole line yet
    size_t input_at, input_length, input_capacity;
    size_t waiting_bytes;     // of output, handed to the loop and not written
    uint64_t written_bytes;   // ever
    uint64_t written_at_look; // as of the last look for clients that stall
    tv_server_request *requests;
    size_t request_count;
    unsigned silent_looks; // since it last did something
    bool has_line;         // a whole one is there
    bool has_asked;        // ever
    bool reading, leaving; // leaving: nothing is read any more; closed when all is written
    bool closing;          // its requests go when the loop has closed it
};

struct tv_server {
    tv_server_options options;
    char *path;
    uv_pipe_t listener;
    uv_pipe_t turned_away; // a connection for which there was no memory
    bool turning_away, one_waits;
    uv_timer_t look_timer, turn_timer, close_timer;
    bool listening, look_timer_runs;
    bool in_turns;                  // lines are being taken
    int64_t credit_ns, credited_ns; // turns.c; when it was counted last
    yyjson_alc allocator;           // of answers
    uint64_t failures;              // of it
    tv_server_notice refusals, drops;
    dev_t device; // of the socket we made
    ino_t inode;
    tv_server_client *clients;
    size_t client_count;
    size_t bytes;   // tv_server_charge
    size_t handles; // of ours that are open: the last one to close frees everything
    tv_server_stats stats;
    bool closing;
    void (*closed)(void *user);
    void *closed_user;
};

// socket.c: a listening socket at `path`, its mode 0600; what it is, to be recognised when it is removed.
tv_status tv_server_listen(const char *path, int *socket, struct stat *made, tv_error *error);
// Removes the socket if it is still ours.
void tv_server_unlink(const char *path, dev_t device, ino_t inode);
// Whether the other end of a connection may command us.
bool tv_server_peer_allowed(int socket, unsigned *uid);

// client.c
// Counts what is going to be held for a client; false: too much is held already.
bool tv_server_charge(tv_server *control, size_t bytes);
void tv_server_client_accept(tv_server *control);
// Frees `bytes` in any case. The client may be closing by its return.
void tv_server_client_write(tv_server_client *client, char *bytes, size_t length);
// Nothing more is read; closes when all is written.
void tv_server_client_leave(tv_server_client *client);
void tv_server_client_unlink(tv_server_client *client); // takes it off the list
// The client and its requests stay until the loop comes back: whoever writes need not look whether it is still there.
void tv_server_client_close(tv_server_client *client);
void tv_server_look(uv_timer_t *timer);
// One line of its input, which it has.
void tv_server_client_take_line(tv_server_client *client);

// turns.c: lines of all clients in turn, as long as the thread may be used for them.
void tv_server_take_turns(tv_server *control);
void tv_server_on_turn(uv_timer_t *timer);

// request.c: one line, without its newline.
void tv_server_line(tv_server_client *client, char *line, size_t length);
void tv_server_allocator_init(tv_server *control);
void tv_server_request_free(tv_server_request *request);
// Tells the owners of its requests that the client is gone.
void tv_server_requests_gone(tv_server_client *client);
// The same at the end of the run: streams may still say so, the others get an error.
void tv_server_requests_end(tv_server_client *client);
// {"id":null,"ok":false,...}: an error that belongs to no request.
void tv_server_complain(tv_server_client *client, const char *status, const char *message);

// server.c
void tv_server_say(tv_server_notice *notice, const char *what, const char *why);
void tv_server_handle_closed(tv_server *control);

#endif
