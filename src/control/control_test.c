// The control socket from its client's side: one loop, pumped by the test until what it waits for is there.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <uv.h>

#include "base/base.h"
#include "base/testing/await.h"
#include "control/control.h"
#include "yyjson.h"

// ---- memory that is refused ---------------------------------------------------------------------------------------

// The linker puts these in front of malloc and its kin for all that is linked in.
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static size_t allocation_count, allocation_to_fail; // from 1; 0: none

static bool fails(void) { return ++allocation_count == allocation_to_fail; }

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return fails() ? NULL : __real_calloc(count, size); }
void *__wrap_realloc(void *old, size_t size) { return fails() ? NULL : __real_realloc(old, size); }

// -------------------------------------------------------------------------------------------------------------------

typedef struct rig {
    uv_loop_t loop;
    char folder[64];
    char path[96];
    tv_server *control;
    tv_server_request *held; // by the verb `hold`
    int begun, gone, cancelled;
    uint64_t work_ms; // that the verb `work` takes
    uint64_t worked;
} rig;

// ---- verbs ------------------------------------------------------------------------------------------------------

static void run_echo(void *user, tv_server_request *request, yyjson_val *body) {
    (void)user;
    tv_server_reader reader = {.body = body};
    const char *text = tv_server_text(&reader, "text");
    uint64_t times = tv_server_number(&reader, "times", 1, 2000000, 1);
    if (tv_server_refuse(request, &reader)) return;
    yyjson_mut_val *root;
    yyjson_mut_doc *document = tv_server_answer(request, &root);
    if (!document) return;
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(document, root, "texts");
    for (uint64_t i = 0; i < times; i++)
        yyjson_mut_arr_add_strcpy(document, list, text ? text : "");
    tv_server_send(request, document, true);
}

static void on_gone(void *user, tv_server_request *request, bool cancelled) {
    rig *r = user;
    r->gone++;
    if (!cancelled) return;
    r->cancelled++;
    yyjson_mut_val *root;
    yyjson_mut_doc *document = tv_server_done(request, &root);
    tv_server_send(request, document, true);
}

static void run_hold(void *user, tv_server_request *request, yyjson_val *body) {
    (void)body;
    rig *r = user;
    r->held = request;
    r->begun++;
    tv_server_on_gone(request, on_gone, r);
}

// An event, and another one behind it, as a tap sends them; ends by a last line.
static void run_stream(void *user, tv_server_request *request, yyjson_val *body) {
    rig *r = user;
    (void)body;
    r->begun++;
    tv_server_on_gone(request, on_gone, r);
    for (int i = 0; i < 3; i++) {
        yyjson_mut_val *event;
        yyjson_mut_doc *document = tv_server_event(request, &event);
        if (!document) continue;
        yyjson_mut_obj_add_strcpy(document, event, "payload", "twenty-one bytes long");
        (void)tv_server_send(request, document, false);
    }
}

static void run_work(void *user, tv_server_request *request, yyjson_val *body) {
    rig *r = user;
    (void)body;
    int64_t end_ns = tv_clock_monotonic_ns(tv_clock_system()) + (int64_t)r->work_ms * 1000000;
    while (tv_clock_monotonic_ns(tv_clock_system()) < end_ns) {
    }
    r->worked++;
    yyjson_mut_val *root;
    yyjson_mut_doc *document = tv_server_answer(request, &root);
    if (document) (void)tv_server_send(request, document, true);
}

static const char *const echo_fields[] = {"text", "times", NULL};
static const char *const no_fields[] = {NULL};
static const tv_server_verb verbs[] = {{"echo", echo_fields, run_echo},
                                       {"hold", no_fields, run_hold},
                                       {"stream", no_fields, run_stream},
                                       {"work", no_fields, run_work}};
enum { VERB_COUNT = sizeof verbs / sizeof verbs[0] };

// ---- rig --------------------------------------------------------------------------------------------------------

static int set_up_with(void **state, int64_t look_ms) {
    rig *r = calloc(1, sizeof *r);
    tv_error error;
    strcpy(r->folder, "/tmp/tv-control-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    snprintf(r->path, sizeof r->path, "%s/it.sock", r->folder);
    assert_int_equal(uv_loop_init(&r->loop), 0);
    tv_server_options options = {
        .loop = &r->loop, .path = r->path, .verbs = verbs, .verb_count = VERB_COUNT, .user = r, .look_ms = look_ms};
    assert_int_equal(tv_server_open(&options, &r->control, &error), TV_OK);
    *state = r;
    return 0;
}

static int set_up(void **state) { return set_up_with(state, 3600000); }
static int set_up_impatient(void **state) { return set_up_with(state, 10); }

static void on_closed(void *user) { *(bool *)user = true; }

static void close_control(rig *r) {
    bool closed = false;
    if (!r->control) return;
    tv_server_close(r->control, on_closed, &closed);
    TV_AWAIT("the server to close");
    while (!closed)
        uv_run(&r->loop, UV_RUN_ONCE);
    r->control = NULL;
}

static int tear_down(void **state) {
    rig *r = *state;
    close_control(r);
    assert_int_not_equal(access(r->path, F_OK), 0); // its name goes with it
    assert_int_equal(uv_loop_close(&r->loop), 0);
    assert_int_equal(rmdir(r->folder), 0);
    free(r);
    return 0;
}

static int connect_to(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    fcntl(client, F_SETFL, O_NONBLOCK);
    return client;
}

// All of it, while the server reads; what nobody takes any more is not sent.
static void send_bytes(rig *r, int client, const char *bytes, size_t length) {
    TV_AWAIT("the server to take what is sent");
    while (length) {
        ssize_t sent = send(client, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EPIPE) return;
        if (sent < 0) assert_true(errno == EAGAIN);
        if (sent < 0) sent = 0;
        bytes += sent;
        length -= (size_t)sent;
        uv_run(&r->loop, UV_RUN_NOWAIT);
    }
}

static void send_text(rig *r, int client, const char *text) { send_bytes(r, client, text, strlen(text)); }

// The next line, on the heap; NULL: the server has closed.
static char *receive(rig *r, int client) {
    TV_AWAIT("a line of the server");
    tv_text line = {0};
    int64_t end_ns = tv_clock_monotonic_ns(tv_clock_system()) + 30000000000;
    for (;;) {
        char byte;
        if (tv_clock_monotonic_ns(tv_clock_system()) > end_ns) fail_msg("waited for a line");
        ssize_t got = recv(client, &byte, 1, 0);
        if (got == 1 && byte == '\n') return line.bytes;
        if (got == 1) {
            tv_text_add(&line, &byte, 1);
        } else if (got == 0 || errno != EAGAIN) {
            tv_text_deinit(&line);
            return NULL;
        } else {
            uv_run(&r->loop, UV_RUN_NOWAIT);
        }
    }
}

static void expect(rig *r, int client, const char *wanted) {
    char *line = receive(r, client);
    assert_non_null(line);
    if (!strstr(line, wanted)) fail_msg("%s\nis not in\n%s", wanted, line);
    free(line);
}

// ---- lines ------------------------------------------------------------------------------------------------------

static void request_is_answered_with_its_id(void **state) {
    rig *r = *state;
    int client = connect_to(r->path);
    send_text(r, client, "{\"id\":7,\"verb\":\"echo\",\"text\":\"a\"}\n");
    expect(r, client, "{\"id\":7,\"ok\":true,\"texts\":[\"a\"]}");
    close(client);
}

static void bytes_that_come_one_by_one_are_one_line(void **state) {
    rig *r = *state;
    int client = connect_to(r->path);
    const char *line = "{\"id\":0,\"verb\":\"echo\",\"text\":\"slow\"}\r\n\n{\"id\":1,\"verb\":\"echo\"}\n";
    for (; *line; line++)
        send_bytes(r, client, line, 1);
    expect(r, client, "\"slow\"");
    expect(r, client, "\"id\":1");
    close(client);
}

static void bad_lines_are_answered_and_the_connection_stays(void **state) {
    rig *r = *state;
    static const struct {
        const char *line, *answer;
    } cases[] = {
        {"nonsense", "no JSON"},
        {"[1]", "a request is a JSON object"},
        {"{}", "`id` is missing"},
        {"{\"id\":-1,\"verb\":\"echo\"}", "`id` is missing, or no whole number"},
        {"{\"id\":1.5,\"verb\":\"echo\"}", "no whole number"},
        {"{\"id\":9007199254740993,\"verb\":\"echo\"}", "no whole number"},
        {"{\"id\":1}", "`verb` is missing"},
        {"{\"id\":1,\"verb\":5}", "`verb` is missing, or no text"},
        {"{\"id\":1,\"verb\":\"ecoh\"}", "there is no verb 'ecoh'; did you mean 'echo'?"},
        {"{\"id\":1,\"verb\":\"echo\",\"txet\":\"a\"}", "echo has no field 'txet'; did you mean 'text'?"},
        {"{\"id\":1,\"verb\":\"echo\",\"text\":1}", "`text` must be a text"},
        {"{\"id\":1,\"verb\":\"echo\",\"text\":\"a\\u0000b\"}", "`text` must be a text"},
        {"{\"id\":1,\"verb\":\"echo\",\"times\":0}", "`times` must be a whole number from 1 to 2000000"},
        {"{\"id\":1,\"verb\":\"cancel\"}", "needs `stream`"},
        {"{\"id\":1,\"verb\":\"cancel\",\"stream\":4}", "no stream has the id 4"},
        {"{\"id\":1,\"verb\":\"cancel\",\"stream\":1}", "no stream has the id 1"},
        {"{\"id\":1,\"verb\":\"echo\",\"times\":2000000}", "longer than a line"},
    };
    int client = connect_to(r->path);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        send_text(r, client, cases[i].line);
        send_text(r, client, "\n");
        expect(r, client, cases[i].answer);
    }
    send_text(r, client, "{\"id\":1,\"verb\":\"echo\"}\n");
    expect(r, client, "\"ok\":true");
    tv_server_stats stats;
    tv_server_get_stats(r->control, &stats);
    assert_int_equal(stats.errors, sizeof cases / sizeof cases[0]);
    close(client);
}

static void line_at_the_maximum_is_taken_and_one_byte_more_closes(void **state) {
    rig *r = *state;
    size_t most = TV_SERVER_REQUEST_BYTES_MAX;
    char *line = malloc(most + 2);
    memset(line, ' ', most);
    memcpy(line, "{\"id\":1,\"verb\":\"echo\"}", 22);
    line[most] = '\n';
    int client = connect_to(r->path);
    send_bytes(r, client, line, most + 1);
    expect(r, client, "\"ok\":true");
    line[most] = ' ';
    send_bytes(r, client, line, most + 1);
    expect(r, client, "too-large");
    assert_null(receive(r, client));
    free(line);
    close(client);
}

// ---- requests that wait -------------------------------------------------------------------------------------------

static void id_in_use_is_refused(void **state) {
    rig *r = *state;
    int client = connect_to(r->path);
    send_text(r, client, "{\"id\":1,\"verb\":\"hold\"}\n{\"id\":1,\"verb\":\"echo\"}\n{\"id\":2,\"verb\":\"echo\"}\n");
    expect(r, client, "a request with this id is not answered yet");
    expect(r, client, "{\"id\":2,\"ok\":true");
    close(client);
}

static void requests_not_answered_are_bounded(void **state) {
    rig *r = *state;
    int client = connect_to(r->path);
    char line[64];
    for (int i = 0; i <= TV_SERVER_REQUESTS_MAX; i++) {
        snprintf(line, sizeof line, "{\"id\":%d,\"verb\":\"hold\"}\n", i);
        send_text(r, client, line);
    }
    expect(r, client, "32 requests are not answered yet");
    close(client);
    while (r->gone < TV_SERVER_REQUESTS_MAX)
        uv_run(&r->loop, UV_RUN_ONCE);
    assert_int_equal(r->cancelled, 0);
}

static void cancel_ends_a_stream(void **state) {
    rig *r = *state;
    int client = connect_to(r->path);
    send_text(r, client, "{\"id\":1,\"verb\":\"hold\"}\n{\"id\":2,\"verb\":\"cancel\",\"stream\":1}\n");
    expect(r, client, "{\"id\":1,\"done\":true}");
    expect(r, client, "{\"id\":2,\"ok\":true}");
    assert_int_equal(r->gone, 1);
    close(client);
}

static void end_of_the_server_ends_streams_and_lets_clients_read_it(void **state) {
    rig *r = *state;
    int client = connect_to(r->path);
    send_text(r, client, "{\"id\":1,\"verb\":\"hold\"}\n");
    TV_AWAIT("the held stream");
    while (!r->held)
        uv_run(&r->loop, UV_RUN_ONCE);
    close_control(r);
    expect(r, client, "{\"id\":1,\"done\":true}");
    assert_null(receive(r, client));
    close(client);
}

// ---- bounds of clients --------------------------------------------------------------------------------------------

static void one_client_too_many_is_told_and_closed(void **state) {
    rig *r = *state;
    int clients[TV_SERVER_CLIENTS_MAX + 1];
    for (int i = 0; i < TV_SERVER_CLIENTS_MAX; i++) {
        clients[i] = connect_to(r->path);
        send_text(r, clients[i], "{\"id\":1,\"verb\":\"echo\"}\n");
        expect(r, clients[i], "\"ok\":true");
    }
    int last = connect_to(r->path);
    expect(r, last, "16 clients are connected already");
    assert_null(receive(r, last));
    close(last);
    close(clients[0]);
    tv_server_stats stats = {0};
    TV_AWAIT("the server to notice");
    while (tv_server_get_stats(r->control, &stats), stats.clients == TV_SERVER_CLIENTS_MAX)
        uv_run(&r->loop, UV_RUN_ONCE);
    assert_int_equal(stats.clients_refused, 1);
    last = connect_to(r->path);
    send_text(r, last, "{\"id\":1,\"verb\":\"echo\"}\n");
    expect(r, last, "\"ok\":true");
    for (int i = 1; i < TV_SERVER_CLIENTS_MAX; i++)
        close(clients[i]);
    close(last);
}

static void client_that_does_not_read_is_dropped_and_counted_and_others_go_on(void **state) {
    rig *r = *state;
    int slow = connect_to(r->path), other = connect_to(r->path);
    char line[64];
    for (int i = 0; i < 20; i++) { // 20 times some 800 KB, of which the kernel takes a part
        snprintf(line, sizeof line, "{\"id\":%d,\"verb\":\"echo\",\"text\":\"x\",\"times\":200000}\n", i);
        send_text(r, slow, line);
    }
    tv_server_stats stats = {0};
    TV_AWAIT("the server to notice");
    while (tv_server_get_stats(r->control, &stats), stats.clients_dropped == 0)
        uv_run(&r->loop, UV_RUN_ONCE);
    assert_int_equal(stats.clients, 1);
    send_text(r, other, "{\"id\":1,\"verb\":\"echo\"}\n");
    expect(r, other, "\"ok\":true");
    close(slow);
    close(other);
}

static void client_that_asks_faster_than_it_reads_gets_every_answer(void **state) {
    rig *r = *state;
    enum { REQUESTS = 20 };
    int client = connect_to(r->path);
    char line[64];
    for (int i = 0; i < REQUESTS; i++) {
        snprintf(line, sizeof line, "{\"id\":%d,\"verb\":\"echo\",\"text\":\"x\",\"times\":50000}\n", i);
        send_bytes(r, client, line, strlen(line));
    }
    for (int i = 0; i < REQUESTS; i++) {
        snprintf(line, sizeof line, "{\"id\":%d,\"ok\":true", i);
        expect(r, client, line);
    }
    close(client);
}

static void what_is_held_for_all_clients_is_bounded(void **state) {
    rig *r = *state;
    enum { SLOW = TV_SERVER_CLIENTS_MAX };
    int slow[SLOW];
    tv_server_stats stats = {0};
    TV_AWAIT("the server to bound what it holds");
    for (uint64_t i = 0; i < SLOW; i++) { // each some 1 MB, of which the kernel takes a part
        slow[i] = connect_to(r->path);
        send_text(r, slow[i], "{\"id\":1,\"verb\":\"echo\",\"text\":\"x\",\"times\":250000}\n");
        uint64_t dropped = stats.clients_dropped;
        do {
            uv_run(&r->loop, UV_RUN_NOWAIT);
            tv_server_get_stats(r->control, &stats);
        } while (stats.requests <= i && stats.clients_dropped == dropped);
        assert_in_range(stats.bytes, 1, TV_SERVER_BYTES_MAX);
    }
    assert_in_range(stats.clients_dropped, 1, SLOW - 4);
    expect(r, slow[0], "\"ok\":true"); // who was there first gets all of it
    for (int i = 0; i < SLOW; i++)
        close(slow[i]);
    while (stats.bytes || stats.clients) {
        uv_run(&r->loop, UV_RUN_ONCE);
        tv_server_get_stats(r->control, &stats);
    }
}

// ---- clients that say nothing, or ask for much ------------------------------------------------------------------

static void pump_until(rig *r, bool (*there)(rig *r, const tv_server_stats *stats), const char *what) {
    int64_t end_ns = tv_clock_monotonic_ns(tv_clock_system()) + 30000000000;
    tv_server_stats stats;
    while (tv_server_get_stats(r->control, &stats), !there(r, &stats)) {
        if (tv_clock_monotonic_ns(tv_clock_system()) > end_ns) fail_msg("waited for %s", what);
        uv_run(&r->loop, UV_RUN_NOWAIT);
    }
}

static bool nobody_is_left(rig *r, const tv_server_stats *stats) {
    (void)r;
    return stats->clients == 0;
}

static bool one_is_left(rig *r, const tv_server_stats *stats) {
    (void)r;
    return stats->clients == 1;
}

static void client_that_says_nothing_is_told_and_closed_and_one_with_a_stream_stays(void **state) {
    rig *r = *state;
    int silent = connect_to(r->path), half = connect_to(r->path), stream = connect_to(r->path);
    send_text(r, half, "{\"id\":1,");
    send_text(r, stream, "{\"id\":1,\"verb\":\"hold\"}\n");
    expect(r, silent, "\"status\":\"timeout\"");
    expect(r, half, "\"status\":\"timeout\"");
    assert_null(receive(r, silent));
    assert_null(receive(r, half));
    pump_until(r, one_is_left, "the silent clients to go");
    tv_server_stats stats;
    tv_server_get_stats(r->control, &stats);
    assert_int_equal(stats.clients_timed_out, 2);
    for (int i = 0; i < 2 * TV_SERVER_IDLE_LOOKS_MAX; i++)
        uv_run(&r->loop, UV_RUN_ONCE); // a look each: there is nothing else
    tv_server_get_stats(r->control, &stats);
    assert_int_equal(stats.clients, 1);
    close(silent);
    close(half);
    close(stream);
}

static void client_that_has_asked_may_think_for_longer(void **state) {
    rig *r = *state;
    int client = connect_to(r->path);
    send_text(r, client, "{\"id\":1,\"verb\":\"echo\"}\n");
    expect(r, client, "\"ok\":true");
    for (int i = 0; i < TV_SERVER_SILENT_LOOKS_MAX + 2; i++)
        uv_run(&r->loop, UV_RUN_ONCE);
    send_text(r, client, "{\"id\":2,\"verb\":\"echo\"}\n");
    expect(r, client, "{\"id\":2,\"ok\":true");
    expect(r, client, "\"status\":\"timeout\"");
    assert_null(receive(r, client));
    close(client);
}

static void requests_of_all_clients_take_a_quarter_of_the_loop(void **state) {
    rig *r = *state;
    enum { CLIENTS = 4, LINES = 10 };
    int clients[CLIENTS];
    r->work_ms = 5;
    for (int i = 0; i < CLIENTS; i++) {
        char line[64];
        clients[i] = connect_to(r->path);
        for (int j = 0; j < LINES; j++) {
            snprintf(line, sizeof line, "{\"id\":%d,\"verb\":\"work\"}\n", j);
            assert_int_equal(send(clients[i], line, strlen(line), 0), strlen(line));
        }
    }
    int64_t begin_ns = tv_clock_monotonic_ns(tv_clock_system());
    while (r->worked < CLIENTS * LINES) {
        uint64_t before = r->worked;
        uv_run(&r->loop, UV_RUN_NOWAIT);
        // The credit, and the one request that goes beyond it.
        assert_in_range(r->worked - before, 0, TV_SERVER_BURST_NS / 5000000 + 1);
    }
    int64_t took_ns = tv_clock_monotonic_ns(tv_clock_system()) - begin_ns;
    assert_true(took_ns > (int64_t)(CLIENTS * LINES - 4) * 5000000 * (TV_SERVER_SHARE - 1));
    for (int i = 0; i < CLIENTS; i++) {
        expect(r, clients[i], "\"ok\":true");
        close(clients[i]);
    }
}

// ---- memory -----------------------------------------------------------------------------------------------------

// All that can be asked, one failing allocation each: what comes is whole and right, or an error, or the end of the
// connection; and nothing is used that is gone, which the address sanitizer sees.
static void check_lines(rig *r, int client) {
    char *line;
    bool near_end = false, at_end = false;
    send_text(r, client,
              "{\"id\":1,\"verb\":\"hold\"}\n{\"id\":2,\"verb\":\"echo\",\"text\":\"a\"}\n"
              "{\"id\":3,\"verb\":\"cancel\",\"stream\":1}\n{\"id\":4,\"verb\":\"stream\"}\n"
              "{\"id\":5,\"verb\":\"cancel\",\"stream\":4}\nnonsense\n{\"id\":6,\"verb\":\"ecoh\"}\n"
              "{\"id\":98,\"verb\":\"echo\"}\n{\"id\":99,\"verb\":\"echo\"}\n");
    while (!at_end && (line = receive(r, client)) != NULL) {
        size_t failing = allocation_to_fail;
        allocation_to_fail = 0;
        if (strstr(line, "event")) assert_non_null(strstr(line, "twenty-one bytes long"));
        if (strstr(line, "{\"id\":2,\"ok\":true")) assert_non_null(strstr(line, "\"texts\":[\"a\"]"));
        allocation_to_fail = failing;
        // The last line itself may be the one that could not be read.
        at_end = strstr(line, "\"id\":99") || (near_end && strstr(line, "\"id\":null"));
        near_end = near_end || strstr(line, "\"id\":98");
        free(line);
    }
}

static void request_survives_any_failing_allocation(void **state) {
    rig *r = *state;
    size_t number = 1;
    for (bool reached = true; reached; number++) {
        int client = connect_to(r->path);
        allocation_count = 0;
        allocation_to_fail = number;
        check_lines(r, client);
        reached = allocation_count >= number;
        allocation_to_fail = 0;
        close(client);
        pump_until(r, nobody_is_left, "the client to go");
        tv_server_stats stats;
        tv_server_get_stats(r->control, &stats);
        assert_int_equal(stats.bytes, 0);
    }
    assert_true(number > 40);
    assert_int_equal(r->gone, r->begun); // each once, whatever failed
}

// ---- path -------------------------------------------------------------------------------------------------------

static tv_status try_open(rig *r, const char *path, tv_error *error) {
    tv_server *second;
    tv_server_options options = {.loop = &r->loop, .path = path, .verbs = verbs, .verb_count = VERB_COUNT, .user = r};
    return tv_server_open(&options, &second, error);
}

static void socket_is_the_owners_alone(void **state) {
    rig *r = *state;
    struct stat status;
    assert_int_equal(stat(r->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void living_socket_is_an_error_that_names_the_process(void **state) {
    rig *r = *state;
    tv_error error;
    char wanted[32];
    snprintf(wanted, sizeof wanted, "process %ld listens", (long)getpid());
    assert_int_equal(try_open(r, r->path, &error), TV_EXISTS);
    assert_non_null(strstr(error.message, wanted));
}

// A process that holds a lock on `path`: the file or folder as a whole (flock), or its bytes (fcntl).
static pid_t start_holder(const char *path, int flags, bool bytes) {
    int told[2];
    char byte;
    assert_int_equal(pipe(told), 0);
    pid_t holder = fork();
    if (holder == 0) {
        int file = open(path, flags, 0600);
        struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (file < 0 || (bytes ? fcntl(file, F_SETLK, &all) : flock(file, LOCK_EX)) != 0) _exit(1);
        (void)!write(told[1], "x", 1);
        for (;;)
            pause();
    }
    assert_int_equal(read(told[0], &byte, 1), 1);
    close(told[0]);
    close(told[1]);
    return holder;
}

static void end_holder(pid_t holder) {
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
}

static tv_status open_again(rig *r, tv_error *error) {
    tv_server_options options = {
        .loop = &r->loop, .path = r->path, .verbs = verbs, .verb_count = VERB_COUNT, .user = r};
    return tv_server_open(&options, &r->control, error);
}

static void who_locks_the_folder_stops_nobody(void **state) {
    rig *r = *state;
    tv_error error;
    close_control(r);
    pid_t holder = start_holder(r->folder, O_RDONLY | O_DIRECTORY, false);
    assert_int_equal(open_again(r, &error), TV_OK);
    end_holder(holder);
}

static void lock_that_is_held_is_an_error_that_names_it_and_the_process(void **state) {
    rig *r = *state;
    tv_error error;
    char lock[128], wanted[64];
    close_control(r);
    snprintf(lock, sizeof lock, "%s.lock", r->path);
    pid_t holder = start_holder(lock, O_RDWR | O_CREAT, true);
    int64_t begin_ns = tv_clock_monotonic_ns(tv_clock_system());
    assert_int_equal(open_again(r, &error), TV_LIMIT);
    assert_true(tv_clock_monotonic_ns(tv_clock_system()) - begin_ns < 20000000000);
    snprintf(wanted, sizeof wanted, "process %ld holds", (long)holder);
    assert_non_null(strstr(error.message, wanted));
    assert_non_null(strstr(error.message, lock));
    end_holder(holder);
    assert_int_equal(open_again(r, &error), TV_OK); // and takes the file that was left with it
    assert_int_not_equal(access(lock, F_OK), 0);
}

static void lock_that_is_a_link_is_not_followed(void **state) {
    rig *r = *state;
    tv_error error;
    char lock[128], other[128];
    close_control(r);
    snprintf(lock, sizeof lock, "%s.lock", r->path);
    snprintf(other, sizeof other, "%s/other", r->folder);
    assert_int_equal(symlink(other, lock), 0);
    assert_int_equal(open_again(r, &error), TV_IO);
    assert_non_null(strstr(error.message, lock));
    assert_int_not_equal(access(other, F_OK), 0);
    assert_int_equal(unlink(lock), 0);
}

static void socket_of_a_dead_process_is_replaced(void **state) {
    rig *r = *state;
    close_control(r);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", r->path);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&address, sizeof address), 0);
    close(dead);
    tv_error error;
    tv_server_options options = {
        .loop = &r->loop, .path = r->path, .verbs = verbs, .verb_count = VERB_COUNT, .user = r};
    assert_int_equal(tv_server_open(&options, &r->control, &error), TV_OK);
    int client = connect_to(r->path);
    send_text(r, client, "{\"id\":1,\"verb\":\"echo\"}\n");
    expect(r, client, "\"ok\":true");
    close(client);
}

static void other_things_at_the_path_are_left_alone(void **state) {
    rig *r = *state;
    char path[128];
    tv_error error;
    snprintf(path, sizeof path, "%s/file", r->folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(try_open(r, path, &error), TV_EXISTS);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/absent/it.sock", r->folder);
    assert_int_equal(try_open(r, path, &error), TV_IO);
    char longer[200];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(try_open(r, longer, &error), TV_TOO_LARGE);
}

static void name_that_somebody_else_has_taken_over_is_not_removed(void **state) {
    rig *r = *state;
    assert_int_equal(unlink(r->path), 0);
    close(open(r->path, O_CREAT | O_WRONLY, 0600));
    close_control(r);
    assert_int_equal(unlink(r->path), 0); // still there
}

static void folder_others_may_enter_is_refused(void **state) {
    rig *r = *state;
    tv_error error;
    char folder[96], path[128];
    snprintf(folder, sizeof folder, "%s/torvyn", r->folder);
    snprintf(path, sizeof path, "%s/it.sock", folder);
    struct stat status;
    assert_int_equal(tv_server_make_folder(path, &error), TV_OK);
    assert_int_equal(stat(folder, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_int_equal(tv_server_make_folder(path, &error), TV_OK);
    assert_int_equal(chmod(folder, 0750), 0);
    assert_int_equal(tv_server_make_folder(path, &error), TV_DENIED);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(symlink("/tmp", folder), 0);
    assert_int_equal(tv_server_make_folder(path, &error), TV_DENIED);
    assert_int_equal(unlink(folder), 0);
}

static void default_path_follows_the_rules(void **state) {
    (void)state;
    tv_error error;
    char path[256], wanted[256];
    setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
    assert_int_equal(tv_server_default_path("gateway", path, sizeof path, &error), TV_OK);
    assert_string_equal(path, "/run/user/1/torvyn/gateway.sock");
    setenv("TORVYN_RUNTIME_DIR", "/srv/torvyn", 1);
    assert_int_equal(tv_server_default_path("gateway", path, sizeof path, &error), TV_OK);
    assert_string_equal(path, "/srv/torvyn/gateway.sock");
    unsetenv("TORVYN_RUNTIME_DIR");
    unsetenv("XDG_RUNTIME_DIR");
    assert_int_equal(tv_server_default_path("gateway", path, sizeof path, &error), TV_OK);
    if (geteuid() == 0)
        snprintf(wanted, sizeof wanted, "/run/torvyn/gateway.sock");
    else
        snprintf(wanted, sizeof wanted, "/tmp/torvyn-%u/gateway.sock", (unsigned)geteuid());
    assert_string_equal(path, wanted);
}

#define WITH_RIG(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    signal(SIGPIPE, SIG_IGN); // as the host does
    // libuv aborts where it finds no room for one more descriptor: not what is tried here.
    assert_int_equal(uv_replace_allocator(__real_malloc, __real_realloc, __real_calloc, free), 0);
    const struct CMUnitTest tests[] = {
        WITH_RIG(request_is_answered_with_its_id),
        WITH_RIG(bytes_that_come_one_by_one_are_one_line),
        WITH_RIG(bad_lines_are_answered_and_the_connection_stays),
        WITH_RIG(line_at_the_maximum_is_taken_and_one_byte_more_closes),
        WITH_RIG(id_in_use_is_refused),
        WITH_RIG(requests_not_answered_are_bounded),
        WITH_RIG(cancel_ends_a_stream),
        WITH_RIG(end_of_the_server_ends_streams_and_lets_clients_read_it),
        WITH_RIG(one_client_too_many_is_told_and_closed),
        cmocka_unit_test_setup_teardown(client_that_does_not_read_is_dropped_and_counted_and_others_go_on,
                                        set_up_impatient, tear_down),
        WITH_RIG(client_that_asks_faster_than_it_reads_gets_every_answer),
        WITH_RIG(socket_is_the_owners_alone),
        WITH_RIG(living_socket_is_an_error_that_names_the_process),
        WITH_RIG(socket_of_a_dead_process_is_replaced),
        WITH_RIG(other_things_at_the_path_are_left_alone),
        WITH_RIG(name_that_somebody_else_has_taken_over_is_not_removed),
        WITH_RIG(folder_others_may_enter_is_refused),
        WITH_RIG(what_is_held_for_all_clients_is_bounded),
        WITH_RIG(who_locks_the_folder_stops_nobody),
        WITH_RIG(lock_that_is_held_is_an_error_that_names_it_and_the_process),
        WITH_RIG(lock_that_is_a_link_is_not_followed),
        cmocka_unit_test_setup_teardown(client_that_says_nothing_is_told_and_closed_and_one_with_a_stream_stays,
                                        set_up_impatient, tear_down),
        cmocka_unit_test_setup_teardown(client_that_has_asked_may_think_for_longer, set_up_impatient, tear_down),
        WITH_RIG(requests_of_all_clients_take_a_quarter_of_the_loop),
        WITH_RIG(request_survives_any_failing_allocation),
        cmocka_unit_test(default_path_follows_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
