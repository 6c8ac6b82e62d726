// Reading a file: chunks on the thread pool, one ahead of the one being split.
//
// Of a followed file, NUL bytes at its end are held back: loggers reserve space that they write later, a power cut
// leaves space that was never written, and a line must not begin or end with either. When something is written there
// it is read from there on; when something comes behind, they were a hole, and go where other bytes go.
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "connect/file/input.h"

static void read_failed(tv_file_input *input, int os_errno) {
    input->read_errors++;
    if (!tv_file_follows(input)) {
        tv_file_input_fail(input, input->current, input->read_offset, os_errno);
        return;
    }
    uint64_t occurrences;
    int64_t now_ns = tv_clock_monotonic_ns(input->clock);
    if (!input->read_errno) input->trouble_since_ns = now_ns;
    input->read_errno = os_errno;
    input->at_end = true;
    input->unreadable = true;
    tv_file_follow_set_pace(input);
    if (!tv_complaint_due(&input->unreadable_complaint, now_ns, &occurrences)) return;
    tv_log(TV_LEVEL_WARN, input->place, "%s: cannot read at offset %" PRIu64 ": %s (%" PRIu64 " times); trying again",
           input->current, input->read_offset, strerror(os_errno), occurrences);
}

// ---- NUL bytes at the end -----------------------------------------------------------------------------------

static bool holds_nul_bytes_back(const tv_file_input *input) {
    return tv_file_follows(input) && input->options.format == TV_FRAMING_LINES;
}

static size_t without_nul_bytes(const uint8_t *bytes, size_t length) {
    while (length > 0 && bytes[length - 1] == 0)
        length--;
    return length;
}

uint64_t tv_file_used_offset(const tv_file_input *input) {
    return input->nul_offset != TV_FILE_NO_OFFSET ? input->nul_offset : input->read_offset;
}

void tv_file_read_nul_bytes_again(tv_file_input *input) {
    input->read_offset = tv_file_used_offset(input);
    input->nul_offset = TV_FILE_NO_OFFSET;
}

void tv_file_note_nul_bytes(tv_file_input *input) {
    uint64_t length = input->read_offset - tv_file_used_offset(input);
    if (input->nul_said || length <= tv_channel_payload_bytes_max(input->channel)) return;
    input->nul_said = true;
    tv_log(
        TV_LEVEL_WARN, input->place,
        "%s: from offset %" PRIu64 " to its end there are %" PRIu64 " NUL bytes, more than `max_record`: space that "
        "is to be written later, or that a power cut left; reading goes on when something is written there or behind",
        input->current, input->nul_offset, length);
}

// A chunk has come: how much of it is to be split now.
static size_t usable(tv_file_input *input, uint64_t begin, const uint8_t *bytes, size_t length) {
    size_t used = length;
    bool is_held = input->nul_offset != TV_FILE_NO_OFFSET;
    if (holds_nul_bytes_back(input) && begin + length > input->nul_due) used = without_nul_bytes(bytes, length);
    if (used > 0 && is_held) { // they were a hole: this time they are not held back
        input->nul_due = begin;
        tv_file_read_nul_bytes_again(input);
        return 0;
    }
    if (used < length && !is_held) input->nul_offset = begin + used;
    return used;
}

// ---- reading ------------------------------------------------------------------------------------------------

// The mark is looked at behind the read: what was written anew before that is found out now, and what is written anew
// later is with the next read.
static void run_read(uv_work_t *work) {
    tv_file_chunk *job = &((tv_file_input *)work->data)->job;
    do {
        job->result = pread(job->fd, job->bytes, job->capacity, (off_t)job->offset);
    } while (job->result < 0 && errno == EINTR);
    if (job->result < 0) job->result = -errno;
    job->is_rewritten = job->result >= 0 && job->mark && !tv_file_mark_holds(job->mark, job->fd);
}

static void take_chunk(tv_file_input *input, size_t length) {
    const tv_file_chunk *job = &input->job;
    input->bytes_read += length;
    input->read_offset = job->offset + length;
    input->ahead_length = usable(input, job->offset, job->bytes, length);
    if (input->ahead_length > 0 && job->mark)
        tv_file_mark_note(&input->mark, job->offset, job->bytes, input->ahead_length);
}

static void on_read(uv_work_t *work, int status) {
    tv_file_input *input = work->data;
    const tv_file_chunk *job = &input->job;
    input->reading = false;
    input->unreadable = false;
    if (status != 0 || input->state == TV_FILE_ENDED) {
        tv_file_input_go_on(input);
        return;
    }
    if (job->result >= 0) input->read_errno = 0;
    if (job->result < 0) {
        read_failed(input, (int)-job->result);
    } else if (job->result == 0 || job->is_rewritten) {
        input->at_end = true; // a look will tell what has become of it
    } else {
        take_chunk(input, (size_t)job->result);
    }
    tv_file_input_go_on(input);
}

void tv_file_read_ahead(tv_file_input *input) {
    if (input->reading || input->at_end || input->ahead_length > 0 || input->fd < 0) return;
    input->job = (tv_file_chunk){.fd = input->fd,
                                 .offset = input->read_offset,
                                 .bytes = input->buffers[!input->splitting],
                                 .capacity = input->options.chunk_bytes,
                                 .mark = tv_file_follows(input) ? &input->mark : NULL};
    input->read.data = input;
    int result = uv_queue_work(input->timer.loop, &input->read, run_read, on_read);
    input->reading = result == 0;
    if (result != 0) read_failed(input, -result);
}

bool tv_file_split(tv_file_input *input) {
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
        tv_file_read_ahead(input); // the next one is read while this one is split
    }
}

void tv_file_read_from(tv_file_input *input, uint64_t offset) {
    input->read_offset = offset;
    input->nul_offset = TV_FILE_NO_OFFSET;
    input->nul_due = 0;
    input->nul_said = false;
    input->mark = (tv_file_mark){0};
    input->at_end = false;
    tv_splitter_reset(&input->intake.splitter, offset);
}
