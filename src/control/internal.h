// What the files of the control socket share.
#ifndef TORVYN_CONTROL_INTERNAL_H
#define TORVYN_CONTROL_INTERNAL_H

#include <sys/stat.h>

#include <uv.h>

#include "base/base.h"
#include "control/control.h"
#include "yyjson.h"

typedef struct tv_server_client tv_server_client;

struct tv_server_request {
    tv_server_client *client;
    tv_server_request *next, *previous; // of the client
    uint64_t id;
    yyjson_doc *document;
    size_t bytes; // it may take
    void (*gone)(void *user, tv_server_request *request, bool cancelled);
    void *gone_user;
};

struct tv_server_client {
    tv_server *control;
    tv_server_client *next, *previous;
    uv_pipe_t pipe;
    uv_shutdown_t shutdown;
    char *input; // what is not a whole line yet
    size_t input_length, input_capacity;
    size_t waiting_bytes;     // of output, handed to the loop and not written
    uint64_t written_bytes;   // ever
    uint64_t written_at_look; // as of the last look for clients that stall
    tv_server_request *requests;
    size_t request_count;
    bool reading, in_lines, leaving; // leaving: nothing is read any more; closed when all is written
    bool closing;
};

struct tv_server {
    tv_server_options options;
    char *path;
    uv_pipe_t listener;
    uv_timer_t stall_timer, close_timer;
    bool listening, stall_timer_runs;
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
void tv_server_client_close(tv_server_client *client);
void tv_server_look_for_stalls(uv_timer_t *timer);

// request.c: one line, without its newline.
void tv_server_line(tv_server_client *client, char *line, size_t length);
void tv_server_request_free(tv_server_request *request);
// Tells the owners of its requests that the client is gone.
void tv_server_requests_gone(tv_server_client *client);
// The same at the end of the run: streams may still say so, the others get an error.
void tv_server_requests_end(tv_server_client *client);
// {"id":null,"ok":false,...}: an error that belongs to no request.
void tv_server_complain(tv_server_client *client, const char *status, const char *message);

// server.c
void tv_server_handle_closed(tv_server *control);

#endif
