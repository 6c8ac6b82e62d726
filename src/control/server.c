// The server: opening, letting clients in, closing.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/internal.h"

enum { LOOK_MS = 5000, CLOSE_MS = 200 };

void tv_server_say(tv_server_notice *notice, const char *what, const char *why) {
    static const int64_t EVERY_NS = 60000000000;
    int64_t now_ns = tv_clock_monotonic_ns(tv_clock_system());
    if (notice->said_ns && now_ns - notice->said_ns < EVERY_NS) {
        notice->unsaid++;
        return;
    }
    if (notice->unsaid)
        tv_log(TV_LEVEL_WARN, "control", "%s: %s (and %llu more since this was said last)", what, why,
               (unsigned long long)notice->unsaid);
    else
        tv_log(TV_LEVEL_WARN, "control", "%s: %s", what, why);
    *notice = (tv_server_notice){.said_ns = now_ns};
}

static void on_connection(uv_stream_t *listener, int status) {
    tv_server *control = listener->data;
    if (status == 0 && !control->closing) tv_server_client_accept(control);
}

static tv_status begin(tv_server *control, int socket, tv_error *error) {
    uv_loop_t *loop = control->options.loop;
    uv_timer_init(loop, &control->look_timer);
    uv_timer_init(loop, &control->turn_timer);
    uv_timer_init(loop, &control->close_timer);
    uv_pipe_init(loop, &control->listener, 0);
    control->look_timer.data = control->turn_timer.data = control->close_timer.data = control->listener.data = control;
    control->handles = 4;
    // A pipeline ends when its flows have ended, whoever watches.
    uv_unref((uv_handle_t *)&control->look_timer);
    uv_unref((uv_handle_t *)&control->turn_timer);
    int failed = uv_pipe_open(&control->listener, socket);
    if (failed)
        close(socket);
    else
        failed = uv_listen((uv_stream_t *)&control->listener, TV_SERVER_CLIENTS_MAX, on_connection);
    if (!failed) return TV_OK;
    return tv_error_set(error, TV_IO, "control socket %s: %s", control->path, uv_strerror(failed));
}

tv_status tv_server_open(const tv_server_options *options, tv_server **out, tv_error *error) {
    struct stat made;
    int socket;
    tv_server *control = calloc(1, sizeof *control);
    char *path = strdup(options->path);
    if (!control || !path) {
        free(control);
        free(path);
        return tv_error_set(error, TV_NO_MEMORY, "control socket: out of memory");
    }
    tv_status status = tv_server_listen(path, &socket, &made, error);
    if (status != TV_OK) {
        free(control);
        free(path);
        return status;
    }
    control->options = *options;
    if (!control->options.look_ms) control->options.look_ms = LOOK_MS;
    control->path = path;
    control->device = made.st_dev;
    control->inode = made.st_ino;
    control->listening = true;
    control->credit_ns = TV_SERVER_BURST_NS;
    control->credited_ns = tv_clock_monotonic_ns(tv_clock_system());
    tv_server_allocator_init(control);
    status = begin(control, socket, error);
    if (status == TV_OK)
        *out = control;
    else
        tv_server_close(control, NULL, NULL);
    return status;
}

// ---- closing ----------------------------------------------------------------------------------------------------

void tv_server_handle_closed(tv_server *control) {
    if (--control->handles) return;
    TV_ASSERT(control->bytes == 0);
    void (*closed)(void *) = control->closed;
    void *user = control->closed_user;
    free(control->path);
    free(control);
    if (closed) closed(user);
}

static void on_own_closed(uv_handle_t *handle) { tv_server_handle_closed(handle->data); }

// Clients that do not take their last lines.
static void on_close_timer(uv_timer_t *timer) {
    tv_server *control = timer->data;
    uv_close((uv_handle_t *)timer, on_own_closed);
    for (tv_server_client *client = control->clients, *next; client; client = next) {
        next = client->next;
        tv_server_client_close(client);
    }
}

void tv_server_close(tv_server *control, void (*closed)(void *user), void *user) {
    if (control->closing) return;
    control->closing = true;
    control->closed = closed;
    control->closed_user = user;
    tv_server_unlink(control->path, control->device, control->inode);
    uv_close((uv_handle_t *)&control->listener, on_own_closed);
    uv_close((uv_handle_t *)&control->look_timer, on_own_closed);
    uv_close((uv_handle_t *)&control->turn_timer, on_own_closed);
    bool waits = false;
    for (tv_server_client *client = control->clients, *next; client; client = next) {
        next = client->next;
        tv_server_requests_end(client);
        tv_server_client_leave(client);
    }
    for (tv_server_client *client = control->clients; client; client = client->next)
        waits = waits || client->waiting_bytes;
    uv_timer_start(&control->close_timer, on_close_timer, waits ? CLOSE_MS : 0, 0);
}

void tv_server_get_stats(const tv_server *control, tv_server_stats *stats) {
    *stats = control->stats;
    stats->clients = control->client_count;
    stats->bytes = control->bytes;
}

const char *tv_server_path(const tv_server *control) { return control->path; }
