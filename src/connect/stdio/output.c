// Standard output: batches of whole messages, popped once the last byte is written. A slow reader is waited for, so
// the queue fills and the flow waits; a reader that has gone fails the flow.
//
// Several channels may write: a batch that has begun holds the turn until its last byte is out. They have the stream in
// common, so that thousands of flows take no more descriptors than one; who has the turn waits for it, and has the
// buffer of batches that belongs to the stream.
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/base.h"
#include "connect/stdio/internal.h"

typedef enum output_state {
    IDLE,     // nothing to write, or waiting for the turn
    WRITING,  // the batch is on its way: the poll handle or a request will tell
    RETRYING, // FILE: the write failed; the timer will try again
    BROKEN,   // the reader has gone
    OUTPUT_STATES,
} output_state;

static const uint8_t successors[OUTPUT_STATES] = {
    [IDLE] = 1 << WRITING,
    [WRITING] = 1 << IDLE | 1 << RETRYING | 1 << BROKEN,
    [RETRYING] = 1 << WRITING,
    [BROKEN] = 0,
};

// Of whose turn it is. A larger one is made when an output opens that needs it, so that no batch fails for memory.
typedef struct batch_buffer batch_buffer;
struct batch_buffer {
    batch_buffer *next;
    uint32_t capacity_bytes;
    uint8_t bytes[];
};

// What all outputs of a loop have in common.
typedef struct common_stream common_stream;
struct common_stream {
    common_stream *next;
    uv_loop_t *loop;
    tv_stream stream;
    uv_poll_t poll; // POLLED
    unsigned users;
    batch_buffer *buffers; // the largest first; smaller ones stay, since a batch may be in them
};

typedef struct standard_output standard_output;
struct standard_output {
    tv_direction direction; // first: see tv_stdio_state
    char *place;
    uv_loop_t *loop;
    const tv_clock *clock;
    tv_channel *channel;
    output_state state;
    common_stream *common;
    tv_framing framing;
    uint32_t buffer_bytes; // most of one batch
    tv_join batch;         // while it is WRITING or RETRYING: else nobody's bytes
    uint32_t written;      // of the batch
    uv_fs_t write;         // FILE
    bool busy;             // `write` is under way
    uv_timer_t timer;
    tv_outage outage;
    unsigned open_handles;
    bool is_last; // closing: nobody else uses the stream
    standard_output *next_waiting;
    bool waits;                 // for the turn
    void (*closed)(void *user); // set: closing
    void *closed_user;
    uint64_t messages, bytes, retries;
};

// Whose batch is under way, and who waits for the turn. I/O thread only.
static struct {
    standard_output *holder;
    standard_output *waiting, *last_waiting;
} turn;
static common_stream *streams; // of loops with outputs

static void go_on(standard_output *output);

static void set_state(standard_output *output, output_state state) {
    TV_ASSERT(successors[output->state] & 1U << state);
    output->state = state;
}

// ---- the turn -----------------------------------------------------------------------------------------------

static void leave_waiting(standard_output *output) {
    standard_output *before = NULL, *at = turn.waiting;
    if (!output->waits) return;
    for (; at != output; at = at->next_waiting)
        before = at;
    if (before)
        before->next_waiting = output->next_waiting;
    else
        turn.waiting = output->next_waiting;
    if (turn.last_waiting == output) turn.last_waiting = before;
    output->waits = false;
}

static void begin_waiting(standard_output *output) {
    if (output->waits) return;
    output->waits = true;
    output->next_waiting = NULL;
    if (turn.waiting)
        turn.last_waiting->next_waiting = output;
    else
        turn.waiting = output;
    turn.last_waiting = output;
}

static bool take_turn(standard_output *output) {
    if (turn.holder && turn.holder != output) {
        begin_waiting(output);
        return false;
    }
    leave_waiting(output);
    turn.holder = output;
    return true;
}

// Who is told may find that it has nothing to write: then it hands the turn on.
static void hand_on_turn(void) {
    standard_output *next = turn.waiting;
    if (turn.holder || !next) return;
    leave_waiting(next);
    tv_channel_notify_io(next->channel);
}

static void give_turn_back(standard_output *output) {
    if (turn.holder != output) return;
    turn.holder = NULL;
    hand_on_turn();
}

// ---- writing ------------------------------------------------------------------------------------------------

static void settle_batch(standard_output *output) {
    tv_join *batch = &output->batch;
    tv_channel_pop(output->channel, batch->records_taken, batch->record_bytes_taken);
    output->messages += batch->messages;
    output->bytes += batch->length;
    output->written = 0;
    tv_outage_end(&output->outage);
    set_state(output, IDLE);
    give_turn_back(output);
}

static bool reader_has_gone(int os_errno) { return os_errno == EPIPE || os_errno == ECONNRESET; }

static void note_failure(standard_output *output, int os_errno) {
    tv_error error;
    if (reader_has_gone(os_errno) || output->common->stream.kind == TV_STREAM_POLLED) {
        tv_error_set_errno(&error, os_errno,
                           reader_has_gone(os_errno) ? "standard output: its reader has gone"
                                                     : "cannot write to standard output");
        tv_log(TV_LEVEL_ERROR, output->place, "%s", error.message);
        output->outage.errors++;
        set_state(output, BROKEN);
        give_turn_back(output);
        tv_channel_fail(output->channel, error.message);
        return;
    }
    tv_outage_note(&output->outage, "write", os_errno);
    set_state(output, RETRYING);
}

static void note_result(standard_output *output, ssize_t result) {
    if (result < 0) {
        note_failure(output, (int)-result);
        return;
    }
    output->written += (uint32_t)result;
    if (output->written == output->batch.length) settle_batch(output);
}

static void on_written(uv_fs_t *request) {
    standard_output *output = request->data;
    ssize_t result = request->result;
    uv_fs_req_cleanup(request);
    output->busy = false;
    note_result(output, result);
    go_on(output);
}

static void write_to_file(standard_output *output) {
    if (output->busy) return;
    char *rest = (char *)output->batch.bytes + output->written;
    uv_buf_t buffer = uv_buf_init(rest, output->batch.length - output->written);
    output->write.data = output;
    int result = uv_fs_write(output->loop, &output->write, output->common->stream.fd, &buffer, 1, -1, on_written);
    output->busy = result == 0;
    if (result != 0) note_failure(output, -result);
}

static void on_writable(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    if (turn.holder && poll == &turn.holder->common->poll) go_on(turn.holder);
}

// Nobody of this loop waits for the reader any more.
static void stop_waiting(common_stream *common) {
    if (!turn.holder || turn.holder->common != common) uv_poll_stop(&common->poll);
}

// Writes until the reader is slow. False: it is, and the common poll handle will tell when it goes on.
static bool write_to_stream(standard_output *output) {
    while (output->state == WRITING) {
        const uint8_t *rest = output->batch.bytes + output->written;
        ssize_t result = tv_stream_write(&output->common->stream, rest, output->batch.length - output->written);
        if (result == -EAGAIN) return false;
        note_result(output, result);
    }
    return true;
}

static void on_timer(uv_timer_t *timer) {
    standard_output *output = timer->data;
    if (output->state != RETRYING) return;
    output->retries++;
    set_state(output, WRITING);
    go_on(output);
}

// ---- the decision point -------------------------------------------------------------------------------------

static void close_handles(standard_output *output);

static void begin_batch(standard_output *output) {
    const tv_record *first;
    uint32_t run_bytes, run_records;
    if (tv_channel_peek(output->channel, &first, &run_bytes, &run_records) != TV_OK || !take_turn(output)) return;
    output->batch = (tv_join){
        .framing = output->framing, .bytes = output->common->buffers->bytes, .capacity_bytes = output->buffer_bytes};
    if (tv_join_fill(&output->batch, output->channel, UINT64_MAX) == TV_OK) {
        set_state(output, WRITING);
    } else {
        give_turn_back(output); // nothing but records without data
    }
}

// POLLED: as many batches as the reader takes at once, up to a number that leaves others their turn.
static void go_on_with_stream(standard_output *output) {
    unsigned left = output->closed ? UINT_MAX : 16;
    bool slow = false;
    for (; left > 0 && !slow; left--) {
        if (output->state == IDLE) begin_batch(output);
        if (output->state != WRITING) break;
        slow = !write_to_stream(output);
    }
    if (slow) {
        uv_poll_start(&output->common->poll, UV_READABLE, on_writable); // readable: the epoll descriptor behind it
        return;
    }
    stop_waiting(output->common);
    if (left == 0) tv_channel_notify_io(output->channel);
}

static void go_on_with_file(standard_output *output) {
    if (output->state == IDLE) begin_batch(output);
    if (output->state == WRITING) write_to_file(output);
    if (output->state == RETRYING) uv_timer_start(&output->timer, on_timer, output->outage.pause_ms, 0);
}

static void go_on(standard_output *output) {
    if (output->common->stream.kind == TV_STREAM_FILE) {
        go_on_with_file(output);
    } else {
        go_on_with_stream(output);
    }
    hand_on_turn();
    if (output->closed && !output->busy) close_handles(output);
}

void tv_stdout_ready(void *state) {
    standard_output *output = state;
    if (!output->closed) go_on(output);
}

// ---- opening and closing ------------------------------------------------------------------------------------

// A write to a pipe without reader must answer EPIPE instead of ending the process.
static void ignore_broken_pipe_signal(void) {
    struct sigaction present;
    if (sigaction(SIGPIPE, NULL, &present) == 0 && present.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
}

static tv_status open_common(uv_loop_t *loop, common_stream **out, tv_error *error) {
    common_stream *made = calloc(1, sizeof *made);
    if (!made) return tv_error_set(error, TV_NO_MEMORY, "no memory for standard output");
    tv_status status = tv_stream_open(&made->stream, STDOUT_FILENO, true, error);
    if (status == TV_OK && made->stream.kind == TV_STREAM_POLLED) {
        int result = uv_poll_init(loop, &made->poll, made->stream.ready_fd);
        if (result != 0) {
            tv_stream_close(&made->stream);
            status = tv_error_set_errno(error, -result, "cannot wait for standard output");
        }
    }
    if (status != TV_OK) {
        free(made);
        return status;
    }
    made->loop = loop;
    made->next = streams;
    *out = streams = made;
    return TV_OK;
}

static batch_buffer *buffer_new(uint32_t bytes, batch_buffer *next) {
    batch_buffer *made = malloc(sizeof *made + bytes);
    if (!made) return NULL;
    made->capacity_bytes = bytes;
    made->next = next;
    return made;
}

static tv_status join_common(standard_output *output, tv_error *error) {
    common_stream *found = streams;
    batch_buffer *made = NULL;
    while (found && found->loop != output->loop)
        found = found->next;
    if (!found || found->buffers->capacity_bytes < output->buffer_bytes) {
        made = buffer_new(output->buffer_bytes, found ? found->buffers : NULL);
        if (!made)
            return tv_error_set(error, TV_NO_MEMORY, "no memory for a write buffer of %u bytes", output->buffer_bytes);
    }
    tv_status status = found ? TV_OK : open_common(output->loop, &found, error);
    if (status != TV_OK) {
        free(made);
        return status;
    }
    if (made) found->buffers = made;
    output->common = found;
    found->users++;
    return TV_OK;
}

static tv_status prepare(standard_output *output, const tv_connector_config *config, tv_error *error) {
    const tv_stdio_options *options = config->options;
    output->place = strdup(config->place);
    if (!output->place) return tv_error_set(error, TV_NO_MEMORY, "no memory for standard output");
    output->framing = (tv_framing)options->format;
    output->outage = (tv_outage){.clock = output->clock, .place = output->place, .target = "standard output"};
    uint32_t payload_bytes_max = tv_channel_payload_bytes_max(output->channel);
    output->buffer_bytes = (uint32_t)tv_join_memory_bytes(options->buffer_bytes, payload_bytes_max);
    return join_common(output, error);
}

static void close_common(common_stream *common) {
    tv_stream_close(&common->stream);
    for (batch_buffer *buffer = common->buffers, *next; buffer; buffer = next) {
        next = buffer->next;
        free(buffer);
    }
    free(common);
}

static void release(standard_output *output) {
    if (output->is_last) close_common(output->common);
    free(output->place);
    free(output);
}

tv_status tv_stdout_open(const tv_connector_config *config, tv_channel *channel, void **state, tv_error *error) {
    standard_output *output = calloc(1, sizeof *output);
    if (!output) return tv_error_set(error, TV_NO_MEMORY, "no memory for standard output");
    output->direction = TV_OUTPUT;
    output->loop = config->loop;
    output->clock = config->clock;
    output->channel = channel;
    tv_status status = prepare(output, config, error);
    if (status != TV_OK) {
        release(output);
        return status;
    }
    ignore_broken_pipe_signal();
    uv_timer_init(output->loop, &output->timer);
    output->timer.data = output;
    output->open_handles = 1;
    *state = output;
    go_on(output);
    return TV_OK;
}

static void on_handle_closed(uv_handle_t *handle) {
    standard_output *output = handle->data;
    if (--output->open_handles > 0) return;
    void (*closed)(void *user) = output->closed;
    void *user = output->closed_user;
    release(output);
    closed(user);
}

static void leave_common(standard_output *output) {
    common_stream *left = output->common;
    bool is_polled = left->stream.kind == TV_STREAM_POLLED;
    if (is_polled) stop_waiting(left);
    if (--left->users > 0) return;
    output->is_last = true;
    common_stream **link = &streams;
    while (*link != left)
        link = &(*link)->next;
    *link = left->next;
    if (!is_polled) return;
    output->open_handles++;
    left->poll.data = output;
    uv_close((uv_handle_t *)&left->poll, on_handle_closed);
}

static void close_handles(standard_output *output) {
    if (uv_is_closing((uv_handle_t *)&output->timer)) return;
    if (output->state != BROKEN && output->written > 0 && output->written < output->batch.length) {
        tv_log(TV_LEVEL_WARN, output->place, "standard output: closed within a batch, after %u of %u bytes",
               output->written, output->batch.length);
    }
    leave_waiting(output);
    give_turn_back(output);
    uv_close((uv_handle_t *)&output->timer, on_handle_closed);
    leave_common(output);
}

// Drains what the other side takes without waiting.
void tv_stdout_close(void *state, void (*closed)(void *user), void *user) {
    standard_output *output = state;
    output->closed = closed;
    output->closed_user = user;
    go_on(output);
}

bool tv_stdout_trouble(const void *state, tv_trouble *trouble) {
    return tv_outage_trouble(&((const standard_output *)state)->outage, trouble);
}

void tv_stdout_figures(void *state, tv_figure figure, void *user) {
    const standard_output *output = state;
    figure(user, "messages", output->messages);
    figure(user, "bytes", output->bytes);
    tv_outage_figures(&output->outage, figure, user);
    figure(user, "retries", output->retries);
}
