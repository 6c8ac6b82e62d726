// File input: reads chunks on the thread pool, one ahead of the one being split, and fills the channel.
//
// One decision point, go_on(), runs after every event. At most one read and one look are under way. A paused channel
// stops the reading: both buffers stay as they are until `ready`. Rotations go on being noticed meanwhile, and the
// files that come up are held open in their order, so that a long pause misses none. Positions are not kept across
// runs.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/base.h"
#include "connect/file/folders.h"
#include "connect/file/internal.h"

typedef enum input_state {
    READING,   // bytes may come
    WAITING,   // follow: at the end, or no file
    CUTTING,   // follow: the last line of a file that was rotated or truncated is on its way
    FINISHING, // once: the last line is on its way
    ENDED,     // the channel has ended or failed
    INPUT_STATES,
} input_state;

static const uint8_t successors[INPUT_STATES] = {
    [READING] = 1 << WAITING | 1 << FINISHING | 1 << ENDED,
    [WAITING] = 1 << READING | 1 << CUTTING | 1 << ENDED,
    [CUTTING] = 1 << READING | 1 << ENDED,
    [FINISHING] = 1 << ENDED,
    [ENDED] = 0,
};

enum {
    SUCCESSORS_MAX = 32,
    // Where notices come, looking is for what they cannot tell: so many times more seldom, and at least once a minute.
    NOTICED_POLLS = 10,
    NOTICED_POLL_MS_MAX = 60000,
};

// A file that has come up under the path since the one being read.
typedef struct successor {
    int fd;
    int64_t found_ns;
} successor;

typedef struct tv_file_input {
    tv_direction direction; // first: see tv_file_state
    tv_file_input_options options;
    char *path, *place;
    const tv_clock *clock;
    tv_channel *channel;
    tv_intake intake;
    input_state state;

    int fd;               // -1: none
    uint64_t read_offset; // of the next read
    successor successors[SUCCESSORS_MAX];
    unsigned successor_count;
    bool switching;      // CUTTING: to the first successor; else to the begin of the same file
    uint8_t *first_line; // `start: end`: attributes with the first line of the file, until they are on their way
    uint8_t *buffers[2];
    unsigned splitting;       // the buffer being split
    bool split_busy;          // it is not used up
    bool trim_wanted;         // when neither of them is in use
    size_t ahead_length;      // bytes waiting in the other one
    bool at_end;              // the last read found nothing
    bool unreadable;          // follow: the last read failed; tried again by the timer
    int read_errno;           // why; 0: the last read that has ended succeeded
    int64_t trouble_since_ns; // of reads that fail, or of a file that is not there
    tv_complaint unreadable_complaint;

    uv_fs_t read;
    uv_work_t look;
    uv_timer_t timer;
    tv_file_follower follower;
    void **folders;    // the place where all inputs have them
    void *own_folders; // where there is no such place
    bool noticed;      // the last look found the newest file in its place, where changes are reported
    bool reading, looking, look_again;
    bool look_decides; // the look under way began at the end of the file, so its view of the size is worth acting on
    int look_newest_fd, look_fd;
    tv_file_view view;
    unsigned absent_looks; // looks in a row that found no file; told once
    bool was_there;        // a file has been at the path
    bool timer_closed;
    void (*closed)(void *user); // set: closing
    void *closed_user;

    uint64_t bytes_read, rotations, rotations_unseen, truncations, absences, read_errors;
} tv_file_input;

static void go_on(tv_file_input *input);
static void on_timer(uv_timer_t *timer);
static void set_pace(tv_file_input *input);

static void set_state(tv_file_input *input, input_state state) {
    TV_ASSERT(successors[input->state] & 1U << state);
    input->state = state;
}

static bool follows(const tv_file_input *input) { return input->options.mode == TV_FILE_FOLLOW; }

// ---- end and failure ----------------------------------------------------------------------------------------

static void end(tv_file_input *input) {
    set_state(input, ENDED);
    tv_channel_end(input->channel);
    uv_timer_stop(&input->timer);
    tv_file_unfollow(&input->follower);
}

static void fail(tv_file_input *input, int os_errno) {
    tv_error error;
    tv_error_set_errno(&error, os_errno, "cannot read %s at offset %" PRIu64, input->path, input->read_offset);
    tv_log(TV_LEVEL_ERROR, input->place, "%s", error.message);
    set_state(input, ENDED);
    tv_channel_fail(input->channel, error.message);
}

static void drop_file(tv_file_input *input) {
    if (input->fd >= 0) close(input->fd);
    input->fd = -1;
}

// ---- reading ------------------------------------------------------------------------------------------------

static void read_failed(tv_file_input *input, int os_errno) {
    input->read_errors++;
    if (!follows(input)) {
        fail(input, os_errno);
        return;
    }
    uint64_t occurrences;
    int64_t now_ns = tv_clock_monotonic_ns(input->clock);
    if (!input->read_errno) input->trouble_since_ns = now_ns;
    input->read_errno = os_errno;
    input->at_end = true;
    input->unreadable = true;
    set_pace(input);
    if (!tv_complaint_due(&input->unreadable_complaint, now_ns, &occurrences)) return;
    tv_log(TV_LEVEL_WARN, input->place, "%s: cannot read at offset %" PRIu64 ": %s (%" PRIu64 " times); trying again",
           input->path, input->read_offset, strerror(os_errno), occurrences);
}

static void on_read(uv_fs_t *request) {
    tv_file_input *input = request->data;
    ssize_t result = request->result;
    uv_fs_req_cleanup(request);
    input->reading = false;
    input->unreadable = false;
    if (result >= 0) input->read_errno = 0;
    if (result > 0) {
        input->ahead_length = (size_t)result;
        input->read_offset += (uint64_t)result;
        input->bytes_read += (uint64_t)result;
    } else if (result == 0) {
        input->at_end = true;
    } else if (input->state != ENDED && result != UV_ECANCELED) {
        read_failed(input, (int)-result);
    }
    go_on(input);
}

static void read_ahead(tv_file_input *input) {
    if (input->reading || input->at_end || input->ahead_length > 0 || input->fd < 0) return;
    uv_buf_t buffer = uv_buf_init((char *)input->buffers[!input->splitting], (unsigned)input->options.chunk_bytes);
    input->read.data = input;
    int result =
        uv_fs_read(input->timer.loop, &input->read, input->fd, &buffer, 1, (int64_t)input->read_offset, on_read);
    input->reading = result == 0;
    if (result != 0) read_failed(input, -result);
}

// Splits what is there. False: the channel is paused.
static bool split(tv_file_input *input) {
    for (;;) {
        if (input->split_busy) {
            if (tv_intake_run(&input->intake) == TV_AGAIN) return false;
            input->split_busy = false;
        }
        if (input->ahead_length == 0) return true;
        input->splitting = !input->splitting;
        tv_intake_feed(&input->intake, input->buffers[input->splitting], input->ahead_length);
        input->split_busy = true;
        input->ahead_length = 0;
        read_ahead(input); // the next one is read while this one is split
    }
}

// ---- following ----------------------------------------------------------------------------------------------

static bool notices_suffice(const tv_file_input *input) {
    return input->noticed && !input->unreadable && input->successor_count == 0;
}

static uint64_t poll_ms(const tv_file_input *input) {
    uint64_t often_ms = (uint64_t)input->options.poll_ns / 1000000, seldom_ms = often_ms * NOTICED_POLLS;
    if (!notices_suffice(input)) return often_ms;
    if (seldom_ms <= NOTICED_POLL_MS_MAX) return seldom_ms;
    return often_ms > NOTICED_POLL_MS_MAX ? often_ms : NOTICED_POLL_MS_MAX;
}

// Every look wakes two threads: an idle file costs next to nothing only if there are few of them.
static void set_pace(tv_file_input *input) {
    uint64_t pace_ms = poll_ms(input);
    if (uv_timer_get_repeat(&input->timer) != pace_ms) uv_timer_start(&input->timer, on_timer, pace_ms, pace_ms);
}

static bool switch_due(const tv_file_input *input) {
    if (input->successor_count == 0) return false;
    int64_t waited_ns = tv_clock_monotonic_ns(input->clock) - input->successors[0].found_ns;
    return input->fd < 0 || waited_ns >= input->options.rotate_wait_ns;
}

static void note_absence(tv_file_input *input) {
    if (input->view.presence != TV_FILE_ABSENT) {
        if (input->absent_looks >= 2)
            tv_log(TV_LEVEL_INFO, input->place, "%s %s", input->path, input->was_there ? "is back" : "has appeared");
        input->absent_looks = 0;
        input->was_there = true;
        return;
    }
    // The first look may have fallen between the renaming and the new file of a rotation.
    if (++input->absent_looks == 2) {
        input->absences++;
        input->trouble_since_ns = tv_clock_monotonic_ns(input->clock);
        tv_log(TV_LEVEL_WARN, input->place, "%s: %s; waiting for the file to return", input->path,
               strerror(input->view.os_errno));
    }
}

static void take_successor(tv_file_input *input) {
    if (input->view.presence != TV_FILE_OTHER) return;
    if (input->successor_count == SUCCESSORS_MAX) {
        close(input->view.new_fd); // its lines come when there is a place, unless it is rotated before that
        if (input->rotations_unseen++ > 0) return;
        tv_log(TV_LEVEL_WARN, input->place, "%s: %d rotated files are waiting to be read; further ones may be missed",
               input->path, SUCCESSORS_MAX);
        return;
    }
    int64_t now_ns = tv_clock_monotonic_ns(input->clock);
    input->successors[input->successor_count++] = (successor){input->view.new_fd, now_ns};
    int64_t wait_ns = input->options.rotate_wait_ns, poll_ns = input->options.poll_ns;
    if (input->fd < 0 || wait_ns == 0 || wait_ns >= poll_ns) return;
    uv_timer_start(&input->timer, on_timer, (uint64_t)wait_ns / 1000000 + 1, (uint64_t)poll_ns / 1000000);
}

static void go_over_to_successor(tv_file_input *input) {
    if (input->fd >= 0) {
        input->rotations++;
        tv_log(TV_LEVEL_INFO, input->place, "%s was rotated; reading the new file", input->path);
    }
    drop_file(input);
    input->fd = input->successors[0].fd;
    input->successor_count--;
    memmove(input->successors, input->successors + 1, input->successor_count * sizeof *input->successors);
}

// "file=begin" as a list of attributes: the first message of each file says so, since what a file's first line means,
// such as the columns of a table, holds to its end.
static void attach_begin(tv_file_input *input) {
    static const uint8_t attributes[] = {
        TV_ATTRIBUTE_NAMED, 0, 10, 0, 'f', 'i', 'l', 'e', '=', 'b', 'e', 'g', 'i', 'n', 0, 0};
    tv_intake_attach(&input->intake, attributes, sizeof attributes);
}

// From the first byte of the successor, or of the same file after a truncation.
static void begin_again(tv_file_input *input) {
    if (input->switching) {
        go_over_to_successor(input);
    } else {
        input->truncations++;
        tv_log(TV_LEVEL_INFO, input->place, "%s was truncated; reading from its beginning", input->path);
    }
    input->read_offset = 0;
    tv_splitter_reset(&input->intake.splitter, 0);
    attach_begin(input);
    input->at_end = false;
    set_state(input, READING);
}

static void act_at_end(tv_file_input *input) {
    bool due = switch_due(input);
    bool readable = input->fd >= 0 && !(input->unreadable && due);
    switch (tv_file_judge(&input->view, readable, input->read_offset, due)) {
    case TV_FILE_WAIT: break;
    case TV_FILE_READ_ON:
        input->at_end = false;
        set_state(input, READING);
        break;
    case TV_FILE_RESTART:
        input->switching = false;
        set_state(input, CUTTING);
        break;
    case TV_FILE_SWITCH:
        input->switching = true;
        set_state(input, CUTTING);
        break;
    }
}

// What it looks at was chosen before: the reading goes on beside it. The newest file cannot be closed meanwhile, as
// that takes a newer one, which only a look brings.
static void run_look(uv_work_t *work) {
    tv_file_input *input = work->data;
    tv_file_look(input->path, input->look_newest_fd, input->look_fd, &input->view);
}

static void look(tv_file_input *input);

// Changes are reported for the folder, so that a new file under the same name is seen as well. Where it fails it is
// tried again with every look, which are frequent then: the folder may come, or another file no longer be followed.
static void watch(tv_file_input *input) {
    int result = tv_file_follow(input->folders, input->timer.loop, input->path, &input->follower);
    if (result != 0 && result != UV_ENOENT)
        tv_file_say_unreported(input->place, input->path, result, input->options.poll_ns);
}

static void on_look(uv_work_t *work, int status) {
    tv_file_input *input = work->data;
    input->looking = false;
    if (input->state == ENDED || status != 0) {
        if (status == 0 && input->view.new_fd >= 0) close(input->view.new_fd);
        go_on(input);
        return;
    }
    take_successor(input);
    note_absence(input);
    if (input->look_decides) act_at_end(input);
    bool is_reported = tv_file_is_reported(&input->follower, input->view.folder);
    if (!input->follower.folder) watch(input); // counts from the next look on
    input->noticed = is_reported && input->view.is_noticed && input->view.presence == TV_FILE_SAME;
    set_pace(input);
    if (input->look_again) look(input);
    go_on(input);
}

static void look(tv_file_input *input) {
    if (input->looking) {
        input->look_again = true;
        return;
    }
    input->look_again = false;
    input->look_decides = input->state == WAITING;
    unsigned count = input->successor_count;
    input->look_newest_fd = count > 0 ? input->successors[count - 1].fd : input->fd;
    input->look_fd = input->look_decides ? input->fd : -1;
    input->look.data = input;
    input->looking = uv_queue_work(input->timer.loop, &input->look, run_look, on_look) == 0;
}

// While there is something to read, only changes of names matter.
static void on_change(tv_file_follower *follower, bool renamed) {
    tv_file_input *input = (tv_file_input *)((char *)follower - offsetof(tv_file_input, follower));
    if (input->state == ENDED || input->unreadable) return;
    if (input->state == WAITING || renamed) look(input);
}

static void on_timer(uv_timer_t *timer) {
    tv_file_input *input = timer->data;
    if (input->state != ENDED) look(input);
}

// ---- memory -------------------------------------------------------------------------------------------------

static void trim_when_unused(tv_file_input *input) {
    if (!input->trim_wanted || input->reading || input->split_busy || input->ahead_length > 0) return;
    input->trim_wanted = false;
    for (int i = 0; i < 2; i++)
        tv_channel_note_trimmed(input->channel, tv_pages_give_back(input->buffers[i], input->options.chunk_bytes));
}

void tv_file_input_trim(void *state) {
    tv_file_input *input = state;
    input->trim_wanted = true;
    trim_when_unused(input);
}

// ---- the decision point -------------------------------------------------------------------------------------

static void finish_closing(tv_file_input *input);

static void go_on_reading(tv_file_input *input) {
    if (!split(input)) return;
    read_ahead(input);
    if (input->state != READING || input->reading || !input->at_end) return;
    set_state(input, follows(input) ? WAITING : FINISHING);
    if (input->state == WAITING && !input->unreadable) look(input);
}

static void go_on(tv_file_input *input) {
    if (input->state == READING) go_on_reading(input);
    if (input->state == CUTTING && tv_intake_finish(&input->intake) != TV_AGAIN) {
        begin_again(input);
        go_on_reading(input);
    }
    if (input->state == FINISHING && tv_intake_finish(&input->intake) != TV_AGAIN) end(input);
    trim_when_unused(input);
    if (input->closed) finish_closing(input);
}

void tv_file_input_ready(void *state) {
    tv_file_input *input = state;
    if (!tv_channel_paused(input->channel)) go_on(input);
}

void tv_file_input_stop(void *state) {
    tv_file_input *input = state;
    if (input->state != ENDED) end(input);
}

// ---- opening ------------------------------------------------------------------------------------------------

// Adds "name=value" to a list of attributes and returns the new end, before the list's own padding.
static uint32_t put_named(uint8_t *list, uint32_t end, const char *name, const uint8_t *value, uint32_t length) {
    uint32_t name_length = (uint32_t)strlen(name);
    tv_attribute head = {.id = TV_ATTRIBUTE_NAMED, .length = (uint16_t)(name_length + 1 + length)};
    memcpy(list + end, &head, sizeof head);
    memcpy(list + end + sizeof head, name, name_length);
    list[end + sizeof head + name_length] = '=';
    memcpy(list + end + sizeof head + name_length + 1, value, length);
    return end + (uint32_t)sizeof head + tv_align_up_u32(head.length, 4);
}

// The first message behind the end says so, and has the file's first line with it: the columns of a table are not
// known from elsewhere. A first line that does not fit into the attributes of a record stays out.
static tv_status attach_first_line(tv_file_input *input, tv_error *error) {
    static const char name[] = "first_line";
    uint8_t line[TV_ATTRIBUTES_BYTES_LIMIT - 64];
    input->first_line = calloc(1, TV_ATTRIBUTES_BYTES_LIMIT);
    if (!input->first_line) return tv_error_set(error, TV_NO_MEMORY, "no memory to read %s", input->options.path);
    uint32_t end = put_named(input->first_line, 0, "file", (const uint8_t *)"middle", 6);
    ssize_t got = pread(input->fd, line, sizeof line, 0);
    const uint8_t *newline = got > 0 ? memchr(line, '\n', (size_t)got) : NULL;
    if (newline) {
        uint32_t length = (uint32_t)(newline - line);
        if (length > 0 && line[length - 1] == '\r') length--;
        end = put_named(input->first_line, end, name, line, length);
    }
    tv_intake_attach(&input->intake, input->first_line, (uint16_t)tv_align_up_u32(end, 8));
    return TV_OK;
}

// Where to begin in a file that is there: at its end means behind the newline that ends its last line.
static tv_status find_start(tv_file_input *input, tv_error *error) {
    attach_begin(input);
    if (input->options.start != TV_FILE_START_END) return TV_OK;
    struct stat status;
    if (fstat(input->fd, &status) != 0) return tv_file_open_error(input->path, errno, error);
    if (status.st_size == 0) return TV_OK;
    bool lines = input->options.format == TV_FRAMING_LINES;
    input->read_offset = (uint64_t)status.st_size - (lines ? 1 : 0);
    tv_splitter_reset(&input->intake.splitter, input->read_offset);
    if (!lines) return TV_OK;
    tv_splitter_skip_line(&input->intake.splitter);
    return attach_first_line(input, error);
}

static tv_status open_file(tv_file_input *input, tv_error *error) {
    input->fd = tv_file_open_regular(input->path);
    if (input->fd == -ENOENT && input->options.missing == TV_FILE_MISSING_WAIT) {
        tv_log(TV_LEVEL_INFO, input->place, "%s is not there yet; waiting for it", input->path);
        input->fd = -1;
        input->absent_looks = 2;
        input->view.os_errno = ENOENT;
        input->trouble_since_ns = tv_clock_monotonic_ns(input->clock);
        input->at_end = true;
        return TV_OK;
    }
    input->was_there = input->fd >= 0;
    if (input->was_there) return find_start(input, error);
    tv_status status = tv_file_open_error(input->path, -input->fd, error);
    input->fd = -1;
    return status;
}

static tv_status allocate(tv_file_input *input, const tv_connector_config *config, tv_error *error) {
    input->path = strdup(input->options.path);
    input->place = strdup(config->place);
    for (int i = 0; i < 2; i++)
        input->buffers[i] = malloc(input->options.chunk_bytes);
    if (!input->path || !input->place || !input->buffers[0] || !input->buffers[1]) {
        return tv_error_set(error, TV_NO_MEMORY, "no memory to read %s", input->options.path);
    }
    tv_intake_options intake = {.framing = (tv_framing)input->options.format,
                                .channel = input->channel,
                                .clock = input->clock,
                                .place = input->place,
                                .source = input->path};
    return tv_intake_init(&input->intake, &intake, error);
}

static void release(tv_file_input *input) {
    drop_file(input);
    for (unsigned i = 0; i < input->successor_count; i++)
        close(input->successors[i].fd);
    tv_intake_deinit(&input->intake);
    for (int i = 0; i < 2; i++)
        free(input->buffers[i]);
    free(input->first_line);
    free(input->path);
    free(input->place);
    free(input);
}

static void start(tv_file_input *input, const tv_connector_config *config) {
    uv_timer_init(config->loop, &input->timer);
    input->timer.data = input;
    if (follows(input)) {
        set_pace(input);
        input->folders = config->shared ? config->shared : &input->own_folders;
        input->follower.changed = on_change;
        watch(input);
    }
    go_on(input);
}

tv_status tv_file_input_open(const tv_connector_config *config, tv_channel *channel, void **state, tv_error *error) {
    tv_file_input *input = calloc(1, sizeof *input);
    if (!input) return tv_error_set(error, TV_NO_MEMORY, "no memory for a file input");
    input->direction = TV_INPUT;
    input->options = *(const tv_file_input_options *)config->options;
    input->clock = config->clock;
    input->channel = channel;
    input->fd = -1;
    tv_status status = allocate(input, config, error);
    if (status == TV_OK) status = open_file(input, error);
    if (status != TV_OK) {
        release(input);
        return status;
    }
    start(input, config);
    *state = input;
    return TV_OK;
}

// ---- closing ------------------------------------------------------------------------------------------------

static void finish_closing(tv_file_input *input) {
    if (input->reading || input->looking || !input->timer_closed) return;
    void (*closed)(void *user) = input->closed;
    void *user = input->closed_user;
    release(input);
    closed(user);
}

static void on_handle_closed(uv_handle_t *handle) {
    tv_file_input *input = handle->data;
    input->timer_closed = true;
    finish_closing(input);
}

void tv_file_input_close(void *state, void (*closed)(void *user), void *user) {
    tv_file_input *input = state;
    if (input->state != ENDED) end(input);
    tv_file_unfollow(&input->follower);
    input->closed = closed;
    input->closed_user = user;
    if (input->reading) uv_cancel((uv_req_t *)&input->read);
    if (input->looking) uv_cancel((uv_req_t *)&input->look);
    uv_close((uv_handle_t *)&input->timer, on_handle_closed);
}

bool tv_file_input_trouble(const void *state, tv_trouble *trouble) {
    const tv_file_input *input = state;
    bool is_absent = input->absent_looks >= 2;
    if (input->state == ENDED || (!is_absent && !input->read_errno)) return false;
    int os_errno = is_absent ? input->view.os_errno : input->read_errno;
    snprintf(trouble->text, sizeof trouble->text, "cannot %s %.200s: %s; it is tried again and again",
             is_absent ? "open" : "read", input->path, strerror(os_errno));
    trouble->for_ns = tv_clock_monotonic_ns(input->clock) - input->trouble_since_ns;
    return true;
}

void tv_file_input_figures(void *state, tv_figure figure, void *user) {
    const tv_file_input *input = state;
    tv_intake_figures(&input->intake, figure, user);
    figure(user, "bytes_read", input->bytes_read);
    figure(user, "rotations", input->rotations);
    figure(user, "rotations_noticed", input->rotations + input->successor_count);
    figure(user, "rotations_unseen", input->rotations_unseen);
    figure(user, "absences", input->absences);
    figure(user, "truncations", input->truncations);
    figure(user, "read_errors", input->read_errors);
}
