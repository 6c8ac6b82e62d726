// A client: bytes in, cut into lines; lines out, as many as it takes.
//
// Reading stops while a line waits for its turn, which it does while much output waits: a client that asks faster than
// it reads holds up only itself. A client that is dropped, in the middle of an answer or a stream, is closed by the
// loop later: until then it and its requests are there, and what is written to it is thrown away. The bounds on what is
// held for it and for all are hard: the memory plan has them. Streams look at them before they send
// (tv_server_may_stream).
#include <stdlib.h>
#include <string.h>

#include "control/internal.h"

enum { INPUT_BYTES_MIN = 4096 };

typedef struct output {
    uv_write_t write;
    tv_server_client *client;
    char *bytes;
    size_t length;
} output;

static const char HELD[] = "too much is held for all clients, or there is no memory";

bool tv_server_charge(tv_server *control, size_t bytes) {
    if (bytes > TV_SERVER_BYTES_MAX - control->bytes) return false;
    control->bytes += bytes;
    return true;
}

// ---- closing ----------------------------------------------------------------------------------------------------

static void on_client_closed(uv_handle_t *handle) {
    tv_server_client *client = handle->data;
    tv_server *control = client->control;
    tv_server_requests_gone(client);
    control->bytes -= client->input_capacity;
    free(client->input);
    free(client);
    tv_server_handle_closed(control);
}

void tv_server_client_unlink(tv_server_client *client) {
    if (client->previous)
        client->previous->next = client->next;
    else
        client->control->clients = client->next;
    if (client->next) client->next->previous = client->previous;
    client->next = client->previous = NULL;
}

void tv_server_client_close(tv_server_client *client) {
    if (client->closing) return;
    client->closing = true;
    tv_server_client_unlink(client);
    client->control->client_count--;
    uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

static void on_shutdown(uv_shutdown_t *request, int status) {
    (void)status;
    tv_server_client_close(request->data);
}

void tv_server_client_leave(tv_server_client *client) {
    if (client->leaving || client->closing) return;
    client->leaving = true;
    uv_read_stop((uv_stream_t *)&client->pipe);
    client->shutdown.data = client;
    if (uv_shutdown(&client->shutdown, (uv_stream_t *)&client->pipe, on_shutdown) != 0) tv_server_client_close(client);
}

// ---- output -----------------------------------------------------------------------------------------------------

static void look_at_input(tv_server_client *client);

static void on_written(uv_write_t *write, int status) {
    output *written = (output *)(void *)write;
    tv_server_client *client = written->client;
    client->waiting_bytes -= written->length;
    client->control->bytes -= sizeof *written + written->length;
    client->written_bytes += written->length;
    free(written->bytes);
    free(written);
    if (status == UV_ECANCELED || client->closing) return;
    if (status != 0)
        tv_server_client_close(client);
    else if (!client->leaving)
        tv_server_take_turns(client->control); // its lines may have had to wait
}

static void drop(tv_server_client *client, const char *why) {
    client->control->stats.clients_dropped++;
    tv_server_say(&client->control->drops, "a client was disconnected", why);
    tv_server_client_close(client);
}

// ---- clients that do nothing ------------------------------------------------------------------------------------

static bool stalls(tv_server_client *client) {
    bool nothing_taken = client->waiting_bytes && client->written_bytes == client->written_at_look;
    client->written_at_look = client->waiting_bytes ? client->written_bytes : UINT64_MAX;
    return nothing_taken;
}

// Whoever has nothing under way and says nothing takes the place of others: soon if it never asked for anything or
// has begun a line, later if it did ask. Looks are counted, not time: while this thread could not run, nobody was
// heard.
static bool is_silent(tv_server_client *client) {
    if (client->requests || client->waiting_bytes || client->has_line || client->leaving) client->silent_looks = 0;
    unsigned most = client->has_asked && client->input_at == client->input_length ? TV_SERVER_IDLE_LOOKS_MAX
                                                                                  : TV_SERVER_SILENT_LOOKS_MAX;
    return client->silent_looks++ >= most;
}

static void send_away(tv_server_client *client) {
    client->control->stats.clients_timed_out++;
    tv_server_complain(client, "timeout", "the connection is closed: no whole request came for too long");
    tv_server_client_leave(client);
}

void tv_server_look(uv_timer_t *timer) {
    tv_server *control = timer->data;
    for (tv_server_client *client = control->clients, *next; client; client = next) {
        next = client->next;
        if (stalls(client))
            drop(client, "it does not read its answers");
        else if (is_silent(client))
            send_away(client);
    }
    if (control->clients) return;
    uv_timer_stop(timer);
    control->look_timer_runs = false;
}

// The timer runs only while there are clients: an idle pipeline is not woken.
static void start_looking(tv_server *control) {
    if (control->look_timer_runs || control->closing) return;
    control->look_timer_runs = true;
    uint64_t every_ms = (uint64_t)control->options.look_ms;
    uv_timer_start(&control->look_timer, tv_server_look, every_ms, every_ms);
}

void tv_server_client_write(tv_server_client *client, char *bytes, size_t length) {
    if (client->closing || client->leaving) {
        free(bytes);
        return;
    }
    tv_server *control = client->control;
    output *pending = malloc(sizeof *pending);
    const char *problem = NULL;
    if (!pending)
        problem = "out of memory";
    else if (client->waiting_bytes + length > TV_SERVER_WAITING_BYTES_MAX)
        problem = "too much output waits for it";
    else if (!tv_server_charge(control, sizeof *pending + length))
        problem = HELD;
    if (problem) {
        free(pending);
        free(bytes);
        drop(client, problem);
        return;
    }
    *pending = (output){.client = client, .bytes = bytes, .length = length};
    uv_buf_t buffer = uv_buf_init(bytes, (unsigned)length);
    client->waiting_bytes += length;
    if (uv_write(&pending->write, (uv_stream_t *)&client->pipe, &buffer, 1, on_written) == 0) return;
    client->waiting_bytes -= length;
    control->bytes -= sizeof *pending + length;
    free(pending);
    free(bytes);
    tv_server_client_close(client);
}

// ---- input ------------------------------------------------------------------------------------------------------

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    (void)suggested;
    tv_server_client *client = handle->data;
    enum { MOST = TV_SERVER_REQUEST_BYTES_MAX + 2 };
    *buffer = uv_buf_init(NULL, 0); // libuv then reports ENOBUFS, and the client is closed
    if (client->input_at) {
        client->input_length -= client->input_at;
        memmove(client->input, client->input + client->input_at, client->input_length);
        client->input_at = 0;
    }
    if (client->input_length == client->input_capacity) {
        size_t capacity = client->input_capacity ? client->input_capacity * 2 : INPUT_BYTES_MIN;
        if (capacity > MOST) capacity = MOST;
        size_t more = capacity - client->input_capacity;
        if (!more || !tv_server_charge(client->control, more)) return;
        char *input = realloc(client->input, capacity);
        if (!input) {
            client->control->bytes -= more;
            return;
        }
        client->input = input;
        client->input_capacity = capacity;
    }
    *buffer =
        uv_buf_init(client->input + client->input_length, (unsigned)(client->input_capacity - client->input_length));
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer) {
    (void)buffer;
    tv_server_client *client = stream->data;
    if (client->closing || client->leaving || length == 0) return;
    if (length == UV_ENOBUFS) {
        drop(client, HELD);
        return;
    }
    if (length < 0) {
        tv_server_client_close(client);
        return;
    }
    client->input_length += (size_t)length;
    look_at_input(client);
    tv_server_take_turns(client->control);
}

static void read_on(tv_server_client *client, bool on) {
    if (client->reading == on || client->leaving || client->closing) return;
    client->reading = on;
    if (on)
        uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read);
    else
        uv_read_stop((uv_stream_t *)&client->pipe);
}

static void line_is_too_long(tv_server_client *client) {
    tv_server_complain(client, "too-large", "a request has at most 64 KiB");
    tv_server_client_leave(client);
}

static char *find_line(const tv_server_client *client) {
    size_t length = client->input_length - client->input_at;
    return length ? memchr(client->input + client->input_at, '\n', length) : NULL;
}

// Nothing more is read while a line waits for its turn.
static void look_at_input(tv_server_client *client) {
    if (client->closing || client->leaving) return;
    client->has_line = find_line(client) != NULL;
    if (!client->has_line && client->input_length - client->input_at > TV_SERVER_REQUEST_BYTES_MAX)
        line_is_too_long(client);
    else
        read_on(client, !client->has_line);
}

void tv_server_client_take_line(tv_server_client *client) {
    char *begin = client->input + client->input_at, *newline = find_line(client);
    size_t length = (size_t)(newline - begin);
    client->input_at += length + 1;
    client->has_asked = true;
    client->silent_looks = 0;
    if (length <= TV_SERVER_REQUEST_BYTES_MAX)
        tv_server_line(client, begin, length);
    else
        line_is_too_long(client);
    look_at_input(client);
}

// ---- a new one --------------------------------------------------------------------------------------------------

static void link_client(tv_server *control, tv_server_client *client) {
    client->next = control->clients;
    if (client->next) client->next->previous = client;
    control->clients = client;
    control->client_count++;
}

// Whoever is not let in is told why.
static void refuse(tv_server_client *client, const char *status, const char *message) {
    client->control->stats.clients_refused++;
    tv_server_say(&client->control->refusals, "a client was refused", message);
    tv_server_complain(client, status, message);
    tv_server_client_leave(client);
}

static void on_turned_away(uv_handle_t *handle) {
    tv_server *control = handle->data;
    control->turning_away = false;
    if (control->one_waits && !control->closing) tv_server_client_accept(control);
    tv_server_handle_closed(control);
}

// Out of memory: a connection that is not accepted would keep all behind it waiting for ever.
static void turn_away(tv_server *control) {
    control->stats.clients_refused++;
    control->one_waits = control->turning_away;
    if (control->turning_away) return; // when that one is gone
    if (uv_pipe_init(control->options.loop, &control->turned_away, 0) != 0) return;
    control->turned_away.data = control;
    control->turning_away = true;
    control->handles++;
    (void)uv_accept((uv_stream_t *)&control->listener, (uv_stream_t *)&control->turned_away);
    uv_close((uv_handle_t *)&control->turned_away, on_turned_away);
}

void tv_server_client_accept(tv_server *control) {
    unsigned uid = 0;
    uv_os_fd_t socket;
    tv_server_client *client = calloc(1, sizeof *client);
    control->one_waits = false;
    if (!client || uv_pipe_init(control->options.loop, &client->pipe, 0) != 0) {
        free(client);
        turn_away(control);
        return;
    }
    client->control = control;
    client->pipe.data = client;
    client->written_at_look = UINT64_MAX;
    control->handles++;
    control->stats.clients_total++;
    link_client(control, client);
    start_looking(control);
    if (uv_accept((uv_stream_t *)&control->listener, (uv_stream_t *)&client->pipe) != 0 ||
        uv_fileno((uv_handle_t *)&client->pipe, &socket) != 0)
        tv_server_client_close(client);
    else if (!tv_server_peer_allowed(socket, &uid))
        refuse(client, "denied", "the control socket is for the user that runs the pipeline, and for root");
    else if (control->client_count > TV_SERVER_CLIENTS_MAX)
        refuse(client, "limit", "16 clients are connected already");
    else
        read_on(client, true);
}
