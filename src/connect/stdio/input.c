// Standard input: pipes, terminals and sockets are read when they are ready, files on the thread pool. While the
// channel is paused nothing is read, so whoever writes into the pipe waits.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/base.h"
#include "connect/stdio/internal.h"

typedef enum input_state {
    READING,
    PAUSED,    // the channel has no room; the rest of the buffer waits
    FINISHING, // the last message waits for room
    ENDED,
    INPUT_STATES,
} input_state;

static const uint8_t successors[INPUT_STATES] = {
    [READING] = 1 << PAUSED | 1 << FINISHING | 1 << ENDED,
    [PAUSED] = 1 << READING | 1 << ENDED,
    [FINISHING] = 1 << ENDED,
    [ENDED] = 0,
};

typedef struct standard_input {
    tv_direction direction; // first: see tv_stdio_state
    char *place;
    uv_loop_t *loop;
    tv_channel *channel;
    tv_intake intake;
    input_state state;
    tv_stream stream;
    uint8_t *buffer;
    uint64_t buffer_bytes;
    uv_poll_t poll; // POLLED
    uv_fs_t read;   // FILE
    bool reading;   // `read` is under way
    bool handle_open;
    void (*closed)(void *user); // set: closing
    void *closed_user;
} standard_input;

// There is one standard input. I/O thread only.
static bool taken;

static void finish_closing(standard_input *input);
static void go_on(standard_input *input);

static void set_state(standard_input *input, input_state state) {
    TV_ASSERT(successors[input->state] & 1U << state);
    input->state = state;
}

static void end(standard_input *input) {
    set_state(input, ENDED);
    if (input->handle_open) uv_poll_stop(&input->poll);
    tv_channel_end(input->channel);
}

static void fail(standard_input *input, int os_errno) {
    tv_error error;
    tv_error_set_errno(&error, os_errno, "cannot read standard input");
    tv_log(TV_LEVEL_ERROR, input->place, "%s", error.message);
    set_state(input, ENDED);
    if (input->handle_open) uv_poll_stop(&input->poll);
    tv_channel_fail(input->channel, error.message);
}

// ---- reading ------------------------------------------------------------------------------------------------

static void take_in(standard_input *input, ssize_t result) {
    if (result == -EAGAIN) return;
    if (result < 0) {
        fail(input, (int)-result);
    } else if (result == 0) {
        set_state(input, FINISHING);
    } else {
        tv_intake_feed(&input->intake, input->buffer, (size_t)result);
        if (tv_intake_run(&input->intake) == TV_AGAIN) set_state(input, PAUSED);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)events;
    standard_input *input = poll->data;
    if (input->state != READING) return;
    ssize_t result = status < 0 ? status : tv_stream_read(&input->stream, input->buffer, input->buffer_bytes);
    take_in(input, result);
    if (input->state != READING) go_on(input);
}

static void on_read(uv_fs_t *request) {
    standard_input *input = request->data;
    ssize_t result = request->result;
    uv_fs_req_cleanup(request);
    input->reading = false;
    if (input->state == READING) take_in(input, result);
    go_on(input);
}

static void read_file(standard_input *input) {
    if (input->reading) return;
    uv_buf_t buffer = uv_buf_init((char *)input->buffer, (unsigned)input->buffer_bytes);
    input->read.data = input;
    int result = uv_fs_read(input->loop, &input->read, input->stream.fd, &buffer, 1, -1, on_read);
    input->reading = result == 0;
    if (result != 0) fail(input, -result);
}

static void go_on(standard_input *input) {
    if (input->state == PAUSED && tv_intake_run(&input->intake) != TV_AGAIN) set_state(input, READING);
    if (input->state == FINISHING && tv_intake_finish(&input->intake) != TV_AGAIN) end(input);
    if (input->stream.kind == TV_STREAM_FILE) {
        if (input->state == READING) read_file(input);
    } else if (input->state == READING) {
        uv_poll_start(&input->poll, UV_READABLE, on_readable);
    } else {
        uv_poll_stop(&input->poll);
    }
    if (input->closed) finish_closing(input);
}

void tv_stdin_ready(void *state) {
    standard_input *input = state;
    if (!input->closed) go_on(input);
}

void tv_stdin_stop(void *state) {
    standard_input *input = state;
    if (input->state != ENDED) end(input);
}

// ---- opening and closing ------------------------------------------------------------------------------------

static tv_status prepare(standard_input *input, const tv_connector_config *config, tv_error *error) {
    const tv_stdio_options *options = config->options;
    input->place = strdup(config->place);
    input->buffer_bytes = options->buffer_bytes;
    input->buffer = malloc(input->buffer_bytes);
    if (!input->place || !input->buffer) return tv_error_set(error, TV_NO_MEMORY, "no memory for standard input");
    tv_intake_options intake = {.framing = (tv_framing)options->format,
                                .channel = input->channel,
                                .clock = config->clock,
                                .place = input->place,
                                .source = "standard input"};
    tv_status status = tv_intake_init(&input->intake, &intake, error);
    return status != TV_OK ? status : tv_stream_open(&input->stream, STDIN_FILENO, false, error);
}

static void release(standard_input *input) {
    tv_stream_close(&input->stream);
    tv_intake_deinit(&input->intake);
    free(input->buffer);
    free(input->place);
    free(input);
}

tv_status tv_stdin_open(const tv_connector_config *config, tv_channel *channel, void **state, tv_error *error) {
    if (taken) return tv_error_set(error, TV_EXISTS, "standard input is read by another channel already");
    standard_input *input = calloc(1, sizeof *input);
    if (!input) return tv_error_set(error, TV_NO_MEMORY, "no memory for standard input");
    input->direction = TV_INPUT;
    input->loop = config->loop;
    input->channel = channel;
    input->stream = (tv_stream){.fd = -1, .ready_fd = -1};
    tv_status status = prepare(input, config, error);
    if (status == TV_OK && input->stream.kind == TV_STREAM_POLLED) {
        int result = uv_poll_init(input->loop, &input->poll, input->stream.ready_fd);
        if (result != 0) status = tv_error_set_errno(error, -result, "cannot wait for standard input");
        input->handle_open = result == 0;
        input->poll.data = input;
    }
    if (status != TV_OK) {
        release(input);
        return status;
    }
    taken = true;
    *state = input;
    go_on(input);
    return TV_OK;
}

// A read on the thread pool cannot be interrupted once it runs; files and devices answer soon.
static void finish_closing(standard_input *input) {
    if (input->reading || input->handle_open) return;
    void (*closed)(void *user) = input->closed;
    void *user = input->closed_user;
    release(input);
    taken = false;
    closed(user);
}

static void on_poll_closed(uv_handle_t *handle) {
    standard_input *input = handle->data;
    input->handle_open = false;
    finish_closing(input);
}

void tv_stdin_close(void *state, void (*closed)(void *user), void *user) {
    standard_input *input = state;
    if (input->state != ENDED) end(input);
    input->closed = closed;
    input->closed_user = user;
    if (input->reading) uv_cancel((uv_req_t *)&input->read);
    if (input->handle_open) {
        uv_close((uv_handle_t *)&input->poll, on_poll_closed);
    } else {
        finish_closing(input);
    }
}

void tv_stdin_figures(void *state, tv_figure figure, void *user) {
    const standard_input *input = state;
    tv_intake_figures(&input->intake, figure, user);
}
