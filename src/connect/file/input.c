// File input: opens, decides what comes next, closes; see input.h. Positions are not kept across runs.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connect/file/claims.h"
#include "connect/file/input.h"

static const uint8_t successors[TV_FILE_INPUT_STATES] = {
    [TV_FILE_READING] = 1 << TV_FILE_WAITING | 1 << TV_FILE_FINISHING | 1 << TV_FILE_ENDED,
    [TV_FILE_WAITING] = 1 << TV_FILE_READING | 1 << TV_FILE_CUTTING | 1 << TV_FILE_FINISHING | 1 << TV_FILE_ENDED,
    [TV_FILE_CUTTING] = 1 << TV_FILE_READING | 1 << TV_FILE_ENDED,
    [TV_FILE_FINISHING] = 1 << TV_FILE_ENDED,
    [TV_FILE_ENDED] = 0,
};

void tv_file_input_set_state(tv_file_input *input, tv_file_input_state state) {
    TV_ASSERT(successors[input->state] & 1U << state);
    input->state = state;
}

// ---- end and failure ----------------------------------------------------------------------------------------

static void end(tv_file_input *input) {
    tv_file_input_set_state(input, TV_FILE_ENDED);
    tv_channel_end(input->channel);
    uv_timer_stop(&input->timer);
    tv_file_unfollow(&input->follower);
}

void tv_file_input_fail(tv_file_input *input, const char *path, uint64_t offset, int os_errno) {
    tv_error error;
    tv_error_set_errno(&error, os_errno, "cannot read %s at offset %" PRIu64, path, offset);
    tv_log(TV_LEVEL_ERROR, input->place, "%s", error.message);
    tv_file_input_set_state(input, TV_FILE_ENDED);
    tv_channel_fail(input->channel, error.message);
}

static void drop_file(tv_file_input *input) {
    tv_file_claim_release(input->fd, TV_FILE_CLAIM_READ);
    if (input->fd >= 0) close(input->fd);
    input->fd = -1;
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
        tv_file_follow_go_over(input);
        if (tv_file_has_pattern(input)) tv_file_follow_look(input); // for the one behind it
    } else {
        *(input->rewritten ? &input->rewrites : &input->truncations) += 1;
        tv_log(TV_LEVEL_INFO, input->place, "%s was %s; reading from its beginning", input->current,
               input->rewritten ? "rewritten" : "truncated");
    }
    tv_file_read_from(input, 0);
    attach_begin(input);
    tv_file_input_set_state(input, TV_FILE_READING);
}

static void go_on_reading(tv_file_input *input) {
    if (!tv_file_split(input)) return;
    tv_file_read_ahead(input);
    if (input->state != TV_FILE_READING || input->reading || !input->at_end) return;
    tv_file_input_set_state(input, tv_file_goes_on(input) ? TV_FILE_WAITING : TV_FILE_FINISHING);
    tv_file_note_nul_bytes(input);
    if (input->state == TV_FILE_WAITING && !input->unreadable) tv_file_follow_look(input);
}

void tv_file_input_go_on(tv_file_input *input) {
    if (input->state == TV_FILE_READING) go_on_reading(input);
    if (input->state == TV_FILE_CUTTING && tv_intake_finish(&input->intake) != TV_AGAIN) {
        begin_again(input);
        go_on_reading(input);
    }
    if (input->state == TV_FILE_FINISHING && tv_intake_finish(&input->intake) != TV_AGAIN) end(input);
    trim_when_unused(input);
    if (input->closed) finish_closing(input);
}

void tv_file_input_ready(void *state) {
    tv_file_input *input = state;
    if (!tv_channel_paused(input->channel)) tv_file_input_go_on(input);
}

void tv_file_input_stop(void *state) {
    tv_file_input *input = state;
    if (input->state != TV_FILE_ENDED) end(input);
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

// Where the content ends: before the NUL bytes at the end, if the writer has reserved space. So much of it is looked at
// when a flow starts; who reserves more is read from the end of that on.
static uint64_t content_end(int fd, uint64_t size) {
    enum { BLOCK_BYTES = 4096, LOOKED_AT_MAX = 16 << 20 };
    uint8_t block[BLOCK_BYTES];
    uint64_t end = size, least = size > LOOKED_AT_MAX ? size - LOOKED_AT_MAX : 0;
    while (end > least) {
        uint64_t begin = (end - 1) / BLOCK_BYTES * BLOCK_BYTES;
        size_t length = (size_t)(end - begin);
        if (pread(fd, block, length, (off_t)begin) != (ssize_t)length) return size;
        while (length > 0 && block[length - 1] == 0)
            length--;
        end = begin + length;
        if (length > 0) return end;
    }
    return least == 0 ? 0 : size;
}

// Where to begin in a file that is there: at its end means behind the newline that ends its last line.
static tv_status find_start(tv_file_input *input, tv_error *error) {
    attach_begin(input);
    if (input->options.start != TV_FILE_START_END) return TV_OK;
    struct stat status;
    if (fstat(input->fd, &status) != 0) return tv_file_open_error(input->current, errno, error);
    bool lines = input->options.format == TV_FRAMING_LINES;
    uint64_t end = (uint64_t)status.st_size;
    if (lines) end = content_end(input->fd, end);
    if (end == 0) return TV_OK;
    tv_file_read_from(input, end - (lines ? 1 : 0));
    tv_file_mark_take(&input->mark, input->fd, input->read_offset);
    if (!lines) return TV_OK;
    tv_splitter_skip_line(&input->intake.splitter);
    return attach_first_line(input, error);
}

// What the path leads to, or the pattern's newest or first file. Returns a descriptor or a negative errno.
static int open_first(tv_file_input *input) {
    char *found = NULL;
    if (!tv_file_has_pattern(input)) return tv_file_open_regular(input->path);
    bool all = input->options.match == TV_FILE_MATCH_ALL;
    int os_errno = tv_file_find(input->path, NULL, all ? TV_FILE_FIRST : TV_FILE_LAST, &found);
    if (os_errno != 0 || !found) return os_errno != 0 ? -os_errno : -ENOENT;
    input->intake.options.source = input->current = found;
    tv_log(TV_LEVEL_INFO, input->place, "%s: reading %s", input->path, found);
    return tv_file_open_regular(found);
}

static tv_status cannot_open(tv_file_input *input, int os_errno, tv_error *error) {
    bool is_unmatched = os_errno == ENOENT && tv_file_has_pattern(input) && input->current == input->path;
    if (!is_unmatched) return tv_file_open_error(input->current, os_errno, error);
    return tv_error_set(error, TV_NOT_FOUND,
                        "no file fits %s (`mode: follow` with `missing: wait` waits for one; a backslash takes the "
                        "meaning of * ? [ away)",
                        input->path);
}

static tv_status open_file(tv_file_input *input, tv_error *error) {
    input->fd = open_first(input);
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
    if (input->was_there && !tv_file_claim_take(input->fd, TV_FILE_CLAIM_READ)) {
        close(input->fd);
        input->fd = -1;
        return tv_error_set(error, TV_INVALID,
                            "cannot read %s: it is the file of an output that runs (or its dead letters)",
                            input->current);
    }
    if (input->was_there) return find_start(input, error);
    tv_status status = cannot_open(input, -input->fd, error);
    input->fd = -1;
    return status;
}

static tv_status allocate(tv_file_input *input, const tv_connector_config *config, tv_error *error) {
    input->current = input->path = strdup(input->options.path);
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
    tv_file_successors_close(input);
    tv_intake_deinit(&input->intake);
    for (int i = 0; i < 2; i++)
        free(input->buffers[i]);
    free(input->first_line);
    if (input->current != input->path) free(input->current);
    free(input->path);
    free(input->place);
    free(input);
}

static void start(tv_file_input *input, const tv_connector_config *config) {
    uv_timer_init(config->loop, &input->timer);
    input->timer.data = input;
    if (tv_file_follows(input)) {
        input->folders = config->shared ? config->shared : &input->own_folders;
        tv_file_follow_start(input);
    }
    tv_file_input_go_on(input);
}

tv_status tv_file_input_open(const tv_connector_config *config, tv_channel *channel, void **state, tv_error *error) {
    tv_file_input *input = calloc(1, sizeof *input);
    if (!input) return tv_error_set(error, TV_NO_MEMORY, "no memory for a file input");
    input->direction = TV_INPUT;
    input->options = *(const tv_file_input_options *)config->options;
    input->clock = config->clock;
    input->channel = channel;
    input->fd = -1;
    input->nul_offset = TV_FILE_NO_OFFSET;
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
    if (input->state != TV_FILE_ENDED) end(input);
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
    if (input->state == TV_FILE_ENDED || (!is_absent && !input->read_errno)) return false;
    int os_errno = is_absent ? input->view.os_errno : input->read_errno;
    snprintf(trouble->text, sizeof trouble->text, "cannot %s %.200s: %s; it is tried again and again",
             is_absent ? "open" : "read", input->current, strerror(os_errno));
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
    figure(user, "rewrites", input->rewrites);
    figure(user, "read_errors", input->read_errors);
}
