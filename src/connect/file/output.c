// File output: joins queued records into a batch, has it written on the thread pool, and pops them when they are
// where the sync policy wants them.
//
// One job at a time. A failed job keeps its batch and its exact place in it; it is tried again with a growing pause.
// Nothing is dropped here: the queue fills and the flow waits.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/base.h"
#include "connect/file/internal.h"
#include "connect/file/repair.h"

typedef enum output_state {
    IDLE,     // nothing to write
    WORKING,  // a job is on the pool
    RETRYING, // the last job failed; the timer will start it again
    CLOSED,   // drained as far as it went; handles are closing
    OUTPUT_STATES,
} output_state;

static const uint8_t successors[OUTPUT_STATES] = {
    [IDLE] = 1 << WORKING | 1 << CLOSED,
    [WORKING] = 1 << IDLE | 1 << RETRYING,
    [RETRYING] = 1 << WORKING | 1 << CLOSED,
    [CLOSED] = 0,
};

typedef struct tv_file_output {
    tv_direction direction; // first: see tv_file_state
    tv_file_output_options options;
    char *path, *place;
    const tv_clock *clock;
    uv_loop_t *loop;
    tv_channel *channel;
    output_state state;
    tv_join batch; // what `job` writes; length 0: a job for rotation or sync alone
    tv_file_job job;
    tv_file_repair repair; // what comes before the first batch
    uv_work_t work;
    uv_timer_t timer;
    int64_t birth_ns; // realtime, of the file
    bool dirty;       // written since the last sync
    int64_t dirty_since_ns;
    bool trim_wanted; // when nothing is in the batch
    tv_outage outage;
    void (*closed)(void *user); // set: closing
    void *closed_user;
    uint64_t messages, bytes, batches, retries, rotations, reopened, syncs, repairs;
} tv_file_output;

static void go_on(tv_file_output *output);
static void on_timer(uv_timer_t *timer);

static void set_state(tv_file_output *output, output_state state) {
    TV_ASSERT(successors[output->state] & 1U << state);
    output->state = state;
}

// ---- decisions ----------------------------------------------------------------------------------------------

static bool too_old(const tv_file_output *output) {
    if (output->options.rotate_age_ns == 0 || output->job.size_bytes == 0) return false;
    int64_t age_ns = tv_clock_realtime_ns(output->clock) - output->birth_ns;
    return age_ns >= output->options.rotate_age_ns;
}

static bool over_size(const tv_file_output *output, uint64_t more_bytes) {
    uint64_t limit = output->options.rotate_bytes;
    return limit != 0 && output->job.size_bytes != 0 && output->job.size_bytes + more_bytes > limit;
}

static uint64_t room_bytes(const tv_file_output *output) {
    if (output->options.rotate_bytes == 0) return UINT64_MAX;
    bool full = output->job.size_bytes >= output->options.rotate_bytes;
    return full ? output->options.rotate_bytes : output->options.rotate_bytes - output->job.size_bytes;
}

static bool sync_due(const tv_file_output *output, bool at_end) {
    if (output->options.sync == TV_FILE_SYNC_EVERY_BATCH) return output->batch.length > 0;
    if (output->options.sync == TV_FILE_SYNC_NEVER || !(output->dirty || output->batch.length > 0)) return false;
    if (at_end) return true;
    int64_t since_ns = output->dirty ? output->dirty_since_ns : tv_clock_monotonic_ns(output->clock);
    return tv_clock_monotonic_ns(output->clock) - since_ns >= output->options.sync_interval_ns;
}

// ---- jobs ---------------------------------------------------------------------------------------------------

// For a batch that is cut by a change of files: lines and frames go to the new file whole.
static uint32_t line_boundary(const uint8_t *bytes, uint32_t length, uint32_t written) {
    (void)length;
    if (written == 0) return 0;
    const uint8_t *newline = memrchr(bytes, '\n', written);
    return newline ? (uint32_t)(newline - bytes) + 1 : 0;
}

static uint32_t frame_boundary(const uint8_t *bytes, uint32_t length, uint32_t written) {
    uint32_t at = 0;
    while (at < written) {
        uint32_t payload = 0;
        for (int i = 0; i < TV_FRAMING_PREFIX_BYTES; i++)
            payload |= (uint32_t)bytes[at + (uint32_t)i] << (8 * i);
        uint32_t next = at + TV_FRAMING_PREFIX_BYTES + payload;
        if (next > written || next > length) break;
        at = next;
    }
    return at;
}

static void run_job(uv_work_t *work) {
    tv_file_output *output = work->data;
    tv_file_job_run(&output->job, output->options.format == TV_FRAMING_LINES ? line_boundary : frame_boundary);
}

static void on_job_done(uv_work_t *work, int status);

static void begin_job(tv_file_output *output) {
    set_state(output, WORKING);
    uv_timer_stop(&output->timer);
    output->work.data = output;
    int result = uv_queue_work(output->loop, &output->work, run_job, on_job_done);
    TV_ASSERT(result == 0); // it fails only without a function to run
}

static void begin_new_job(tv_file_output *output, bool rotate, bool sync) {
    output->job.bytes = output->batch.bytes;
    output->job.length = output->batch.length;
    output->job.begin = 0;
    output->job.again = false;
    output->job.place = -1;
    output->job.rotate = rotate;
    output->job.sync = sync;
    begin_job(output);
}

// ---- what an earlier run has left ---------------------------------------------------------------------------

static void say_damage(const tv_file_output *output) {
    const tv_file_repair *repair = &output->repair;
    static const char *const found[] = {
        [TV_FILE_CUT] = "a message that an earlier run could not finish",
        [TV_FILE_NUL] = "NUL bytes, space that was never written (a power cut?)",
        [TV_FILE_UNKNOWN] = "more than the largest message that is no messages",
    };
    static const char *const done[] = {
        [TV_FILE_CUT] = "removed", [TV_FILE_NUL] = "removed", [TV_FILE_UNKNOWN] = "moved aside to the file .damaged"};
    const char *result = done[repair->damage];
    char name[32] = "";
    if (repair->damage == TV_FILE_CUT && repair->lines) result = "ended with a newline";
    if (repair->damage == TV_FILE_UNKNOWN && repair->damaged_generation > 0) result = "left as it is";
    if (repair->os_errno) result = strerror(repair->os_errno);
    if (repair->damaged_generation > 0) snprintf(name, sizeof name, ".%u", repair->damaged_generation);
    tv_log(repair->os_errno ? TV_LEVEL_ERROR : TV_LEVEL_WARN, output->place,
           "%s%s: ends with %s: %" PRIu64 " byte(s) up to offset %" PRIu64 "; %s%s", output->path, name,
           found[repair->damage], repair->damage_bytes, repair->damage_offset + repair->damage_bytes,
           repair->os_errno ? "cannot repair it: " : "", result);
}

static void run_repair(uv_work_t *work) { tv_file_repair_run(&((tv_file_output *)work->data)->repair); }

static void on_repaired(uv_work_t *work, int status) {
    (void)status;
    tv_file_output *output = work->data;
    if (output->repair.damage != TV_FILE_UNDAMAGED) {
        say_damage(output);
        output->repairs++;
    }
    if (output->repair.damage != TV_FILE_UNDAMAGED && output->repair.damaged_generation == 0)
        tv_file_job_measure(&output->job);
    if (output->closed && output->repair.generation > 0) output->repair.is_done = true;
    set_state(output, IDLE);
    go_on(output);
}

static void begin_repair(tv_file_output *output) {
    set_state(output, WORKING);
    output->work.data = output;
    int result = uv_queue_work(output->loop, &output->work, run_repair, on_repaired);
    TV_ASSERT(result == 0);
}

static void note_file_change(tv_file_output *output) {
    const tv_file_job *job = &output->job;
    output->rotations += job->rotated;
    output->reopened += job->reopened;
    if (job->rotated || job->reopened) output->birth_ns = tv_clock_realtime_ns(output->clock);
    if (job->reopened) {
        tv_log(TV_LEVEL_INFO, output->place, "%s was moved away or removed; began a new file", output->path);
    }
}

static void settle_batch(tv_file_output *output) {
    tv_join *batch = &output->batch;
    if (batch->records_taken == 0) return;
    tv_channel_pop(output->channel, batch->records_taken, batch->record_bytes_taken);
    output->messages += batch->messages;
    output->bytes += batch->length;
    output->batches++;
    batch->length = batch->messages = batch->records_taken = batch->record_bytes_taken = 0;
}

static void note_synced(tv_file_output *output, bool wrote) {
    if (output->job.sync) {
        output->syncs++;
        output->dirty = false;
    } else if (wrote && !output->dirty) {
        output->dirty = true;
        output->dirty_since_ns = tv_clock_monotonic_ns(output->clock);
    }
}

static void job_failed(tv_file_output *output) {
    tv_file_job *job = &output->job;
    unsigned pause_ms = tv_outage_note(&output->outage, job->failed, job->os_errno);
    if (job->rotated) job->rotate = false;
    job->begin = job->written;
    job->again = job->again || job->wrote_all; // only the sync has failed
    set_state(output, RETRYING);
    uv_timer_start(&output->timer, on_timer, pause_ms, 0);
}

static void on_job_done(uv_work_t *work, int status) {
    (void)status;
    tv_file_output *output = work->data;
    note_file_change(output);
    if (output->job.os_errno != 0) {
        job_failed(output);
    } else {
        tv_outage_end(&output->outage);
        note_synced(output, output->batch.length > 0);
        settle_batch(output);
        set_state(output, IDLE);
    }
    go_on(output);
}

// ---- the decision point -------------------------------------------------------------------------------------

static void finish_closing(tv_file_output *output);

// When the next sync or rotation comes due without a record asking for it.
static void set_timer(tv_file_output *output) {
    int64_t due_ns = INT64_MAX;
    if (output->options.sync == TV_FILE_SYNC_INTERVAL && output->dirty) {
        due_ns = output->dirty_since_ns + output->options.sync_interval_ns - tv_clock_monotonic_ns(output->clock);
    }
    if (output->options.rotate_age_ns > 0 && output->job.size_bytes > 0) {
        int64_t rotate_ns = output->birth_ns + output->options.rotate_age_ns - tv_clock_realtime_ns(output->clock);
        if (rotate_ns < due_ns) due_ns = rotate_ns;
    }
    if (due_ns == INT64_MAX) return;
    uint64_t due_ms = due_ns > 0 ? (uint64_t)due_ns / 1000000 + 1 : 0;
    uv_timer_start(&output->timer, on_timer, due_ms, 0);
}

static void trim_when_empty(tv_file_output *output) {
    if (!output->trim_wanted || output->state != IDLE || tv_channel_queued(output->channel) > 0) return;
    output->trim_wanted = false;
    tv_channel_note_trimmed(output->channel, tv_join_trim(&output->batch));
}

void tv_file_output_trim(void *state) {
    tv_file_output *output = state;
    output->trim_wanted = true;
    trim_when_empty(output);
}

static void go_on_when_idle(tv_file_output *output) {
    if (!output->repair.is_done) {
        begin_repair(output);
        return;
    }
    tv_status status = tv_join_fill(&output->batch, output->channel, room_bytes(output));
    bool at_end = status == TV_EOF || (output->closed && status != TV_OK);
    bool rotate = too_old(output) || over_size(output, output->batch.length);
    bool sync = sync_due(output, at_end);
    if (status == TV_OK || rotate || sync) {
        begin_new_job(output, rotate, sync);
    } else if (output->closed) {
        set_state(output, CLOSED);
        finish_closing(output);
    } else if (status == TV_EMPTY) {
        trim_when_empty(output);
        set_timer(output);
    }
}

static void go_on(tv_file_output *output) {
    if (output->state == IDLE) {
        go_on_when_idle(output);
    } else if (output->state == RETRYING && output->closed) {
        tv_log(TV_LEVEL_ERROR, output->place, "%s: closed while it could not be written; unwritten records remain",
               output->path);
        set_state(output, CLOSED);
        finish_closing(output);
    }
}

static void on_timer(uv_timer_t *timer) {
    tv_file_output *output = timer->data;
    if (output->state == RETRYING) {
        output->retries++;
        begin_job(output);
    } else {
        go_on(output);
    }
}

void tv_file_output_ready(void *state) { go_on(state); }

// ---- opening and closing ------------------------------------------------------------------------------------

static void release(tv_file_output *output) {
    tv_file_claim_release(output->job.fd, output->job.claim);
    if (output->job.fd >= 0) close(output->job.fd);
    tv_join_deinit(&output->batch);
    free(output->path);
    free(output->place);
    free(output);
}

static tv_status prepare(tv_file_output *output, const tv_connector_config *config, tv_error *error) {
    output->path = strdup(output->options.path);
    output->place = strdup(config->place);
    if (!output->path || !output->place) return tv_error_set(error, TV_NO_MEMORY, "no memory for a file output");
    output->outage = (tv_outage){.clock = output->clock, .place = output->place, .target = output->path};
    tv_framing framing = (tv_framing)output->options.format;
    tv_status status = tv_join_init(&output->batch, framing, output->options.buffer_bytes,
                                    tv_channel_payload_bytes_max(output->channel), error);
    if (status != TV_OK) return status;
    output->repair = (tv_file_repair){
        .path = output->path, .lines = framing == TV_FRAMING_LINES, .keep = (uint32_t)output->options.keep};
    status = tv_file_output_create(&output->options, &output->job, error);
    output->job.path = output->path;
    output->repair.is_done = status != TV_OK || !tv_file_repair_needed(&output->repair);
    return status;
}

tv_status tv_file_output_open(const tv_connector_config *config, tv_channel *channel, void **state, tv_error *error) {
    tv_file_output *output = calloc(1, sizeof *output);
    if (!output) return tv_error_set(error, TV_NO_MEMORY, "no memory for a file output");
    output->direction = TV_OUTPUT;
    output->options = *(const tv_file_output_options *)config->options;
    output->clock = config->clock;
    output->loop = config->loop;
    output->channel = channel;
    output->job.fd = -1;
    tv_status status = prepare(output, config, error);
    if (status != TV_OK) {
        release(output);
        return status;
    }
    output->job.keep = (uint32_t)output->options.keep;
    output->job.durable = output->options.sync != TV_FILE_SYNC_NEVER;
    bool old = output->job.birth_ns != 0 && output->job.size_bytes > 0;
    output->birth_ns = old ? output->job.birth_ns : tv_clock_realtime_ns(output->clock);
    uv_timer_init(output->loop, &output->timer);
    output->timer.data = output;
    *state = output;
    go_on(output);
    return TV_OK;
}

static void on_timer_closed(uv_handle_t *handle) {
    tv_file_output *output = handle->data;
    void (*closed)(void *user) = output->closed;
    void *user = output->closed_user;
    release(output);
    closed(user);
}

static void finish_closing(tv_file_output *output) { uv_close((uv_handle_t *)&output->timer, on_timer_closed); }

// Drains: what is queued is written as long as writing works.
void tv_file_output_close(void *state, void (*closed)(void *user), void *user) {
    tv_file_output *output = state;
    output->closed = closed;
    output->closed_user = user;
    go_on(output);
}

bool tv_file_output_trouble(const void *state, tv_trouble *trouble) {
    return tv_outage_trouble(&((const tv_file_output *)state)->outage, trouble);
}

void tv_file_output_figures(void *state, tv_figure figure, void *user) {
    const tv_file_output *output = state;
    figure(user, "messages", output->messages);
    figure(user, "bytes", output->bytes);
    figure(user, "batches", output->batches);
    tv_outage_figures(&output->outage, figure, user);
    figure(user, "retries", output->retries);
    figure(user, "rotations", output->rotations);
    figure(user, "reopened", output->reopened);
    figure(user, "syncs", output->syncs);
    figure(user, "repairs", output->repairs);
}
