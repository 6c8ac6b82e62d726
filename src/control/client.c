// A client: bytes in, cut into lines; lines out, as many as it takes.
//
// Reading stops while much output waits, so that a client that asks faster than it reads holds up only itself. The
// bounds on what is held for it and for all are hard: the memory plan has them. Streams look at them before they send
// (tv_server_may_stream).
#include <stdlib.h>
#include <string.h>

#include "control/internal.h"

enum { INPUT_BYTES_MIN = 4096, READ_ON_BYTES = 512 << 10 };

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
    control->bytes -= client->input_capacity;
    free(client->input);
    free(client);
    tv_server_handle_closed(control);
}

void tv_server_client_close(tv_server_client *client) {
    tv_server *control = client->control;
    if (client->closing) return;
    client->closing = true;
    tv_server_requests_gone(client);
    if (client->previous)
        client->previous->next = client->next;
    else
        control->clients = client->next;
    if (client->next) client->next->previous = client->previous;
    control->client_count--;
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

static void take_lines(tv_server_client *client);

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
    else if (client->waiting_bytes < READ_ON_BYTES && !client->leaving)
        take_lines(client); // those that had to wait
}

static void drop(tv_server_client *client, const char *why) {
    client->control->stats.clients_dropped++;
    tv_log(TV_LEVEL_WARN, "control", "a client was disconnected: %s", why);
    tv_server_client_close(client);
}

void tv_server_look_for_stalls(uv_timer_t *timer) {
    tv_server *control = timer->data;
    bool waits = false;
    for (tv_server_client *client = control->clients, *next; client; client = next) {
        next = client->next;
        bool stalls = client->waiting_bytes && client->written_bytes == client->written_at_look;
        client->written_at_look = client->waiting_bytes ? client->written_bytes : UINT64_MAX;
        waits = waits || (client->waiting_bytes && !stalls);
        if (stalls) drop(client, "it does not read its answers");
    }
    if (waits) return;
    uv_timer_stop(timer);
    control->stall_timer_runs = false;
}

// The timer runs only while something waits: an idle pipeline is not woken.
static void watch_for_stalls(tv_server *control) {
    if (control->stall_timer_runs || control->closing) return;
    control->stall_timer_runs = true;
    for (tv_server_client *client = control->clients; client; client = client->next)
        client->written_at_look = client->waiting_bytes ? client->written_bytes : UINT64_MAX;
    uint64_t every_ms = (uint64_t)control->options.stall_ms;
    uv_timer_start(&control->stall_timer, tv_server_look_for_stalls, every_ms, every_ms);
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
    if (uv_write(&pending->write, (uv_stream_t *)&client->pipe, &buffer, 1, on_written) == 0) {
        if (uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe)) watch_for_stalls(control);
        return;
    }
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
    take_lines(client);
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

// Whole lines, as long as not too much output waits. A verb may close the client, but it is freed by the loop.
static void take_lines(tv_server_client *client) {
    size_t at = 0;
    if (client->in_lines) return; // a verb that answers at once comes back here
    client->in_lines = true;
    while (at < client->input_length && client->waiting_bytes < READ_ON_BYTES && !client->closing && !client->leaving) {
        char *newline = memchr(client->input + at, '\n', client->input_length - at);
        if (!newline) break;
        size_t length = (size_t)(newline - client->input) - at;
        if (length <= TV_SERVER_REQUEST_BYTES_MAX)
            tv_server_line(client, client->input + at, length);
        else
            line_is_too_long(client);
        at += length + 1;
    }
    client->in_lines = false;
    if (client->closing || client->leaving) return;
    if (at) memmove(client->input, client->input + at, client->input_length - at);
    client->input_length -= at;
    bool whole = memchr(client->input, '\n', client->input_length) != NULL;
    if (!whole && client->input_length > TV_SERVER_REQUEST_BYTES_MAX) {
        line_is_too_long(client);
        return;
    }
    read_on(client, !whole);
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
    tv_log(TV_LEVEL_WARN, "control", "a client was refused: %s", message);
    tv_server_complain(client, status, message);
    tv_server_client_leave(client);
}

void tv_server_client_accept(tv_server *control) {
    unsigned uid = 0;
    uv_os_fd_t socket;
    tv_server_client *client = calloc(1, sizeof *client);
    if (!client || uv_pipe_init(control->options.loop, &client->pipe, 0) != 0) {
        free(client);
        return;
    }
    client->control = control;
    client->pipe.data = client;
    client->written_at_look = UINT64_MAX;
    control->handles++;
    control->stats.clients_total++;
    link_client(control, client);
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
