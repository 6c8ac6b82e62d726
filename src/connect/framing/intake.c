// Intake: a splitter that fills an input channel, holds the message that found no room, and says what it skipped.
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "connect/framing/framing.h"

static const int64_t complaint_interval_ns = 10LL * 1000 * 1000 * 1000;

bool tv_complaint_due(tv_complaint *complaint, int64_t now_ns, uint64_t *occurrences) {
    complaint->unsaid++;
    if (complaint->quiet_until_ns != 0 && now_ns < complaint->quiet_until_ns) return false;
    *occurrences = complaint->unsaid;
    complaint->unsaid = 0;
    complaint->quiet_until_ns = tv_time_add_saturating(now_ns, complaint_interval_ns);
    return true;
}

tv_status tv_intake_init(tv_intake *intake, const tv_intake_options *options, tv_error *error) {
    *intake = (tv_intake){.options = *options};
    uint32_t bytes_max = tv_channel_payload_bytes_max(options->channel);
    return tv_splitter_init(&intake->splitter, options->framing, bytes_max, error);
}

void tv_intake_deinit(tv_intake *intake) { tv_splitter_deinit(&intake->splitter); }

static void note_too_large(tv_intake *intake, const tv_message *message) {
    tv_channel_drop(intake->options.channel, TV_DROP_TOO_LARGE);
    intake->too_large++;
    uint64_t occurrences;
    int64_t now_ns = tv_clock_monotonic_ns(intake->options.clock);
    if (!tv_complaint_due(&intake->too_large_complaint, now_ns, &occurrences)) return;
    tv_log(TV_LEVEL_WARN, intake->options.place,
           "%s: skipped %" PRIu64 " message(s) over the largest record, the last at offset %" PRIu64 " with %" PRIu64
           " bytes or more; at most %u fit (raise `max_record` of the channel)",
           intake->options.source, occurrences, message->offset, message->length, intake->splitter.message_bytes_max);
}

static void note_nul_bytes(tv_intake *intake) {
    uint64_t occurrences, all = intake->splitter.nul_bytes;
    int64_t now_ns = tv_clock_monotonic_ns(intake->options.clock);
    if (!tv_complaint_due(&intake->nul_complaint, now_ns, &occurrences)) return;
    tv_log(TV_LEVEL_WARN, intake->options.place,
           "%s: skipped %" PRIu64 " NUL byte(s) before offset %" PRIu64
           ", where a line should begin: space that was never written, as a power cut or a truncation leaves it",
           intake->options.source, all - intake->nul_bytes_said, intake->splitter.offset);
    intake->nul_bytes_said = all;
}

static void note_incomplete(tv_intake *intake, const tv_message *message) {
    tv_channel_drop(intake->options.channel, TV_DROP_INCOMPLETE);
    intake->incomplete++;
    tv_log(TV_LEVEL_WARN, intake->options.place,
           "%s: ends within a length-prefixed message: the one at offset %" PRIu64 " has only %" PRIu64
           " bytes, prefix included; it is dropped",
           intake->options.source, message->offset, message->length);
}

void tv_intake_attach(tv_intake *intake, const uint8_t *attributes, uint16_t attributes_bytes) {
    intake->attributes = attributes;
    intake->attributes_bytes = attributes_bytes;
}

static tv_status push(tv_intake *intake, const tv_message *message) {
    tv_channel *channel = intake->options.channel;
    uint32_t length = (uint32_t)message->length;
    bool fits = length + intake->attributes_bytes <= intake->splitter.message_bytes_max;
    if (intake->attributes_bytes == 0 || !fits) return tv_channel_push(channel, message->bytes, length);
    uint8_t *payload;
    tv_status status = tv_channel_reserve(channel, length, intake->attributes, intake->attributes_bytes, &payload);
    if (status != TV_OK) return status;
    if (length > 0) memcpy(payload, message->bytes, length);
    tv_channel_commit(channel, TV_NO_EVENT_TIME);
    return TV_OK;
}

// OK: the message is the channel's (or was counted there as dropped). AGAIN: it waits in `pending`.
static tv_status deliver(tv_intake *intake, const tv_message *message) {
    tv_status status = push(intake, message);
    if (status == TV_AGAIN) {
        if (message != &intake->pending) intake->pending = *message;
        intake->has_pending = true;
        return TV_AGAIN;
    }
    if (status == TV_OK) intake->attributes_bytes = 0;
    intake->has_pending = false;
    intake->messages++;
    intake->bytes += message->length;
    return TV_OK;
}

static tv_status deliver_all(tv_intake *intake) {
    if (intake->has_pending && deliver(intake, &intake->pending) == TV_AGAIN) return TV_AGAIN;
    tv_message message;
    for (;;) {
        tv_status status = tv_splitter_next(&intake->splitter, &message);
        if (status == TV_EMPTY) return TV_EMPTY;
        if (status == TV_TOO_LARGE) {
            note_too_large(intake, &message);
        } else if (deliver(intake, &message) == TV_AGAIN) {
            return TV_AGAIN;
        }
    }
}

void tv_intake_feed(tv_intake *intake, const uint8_t *bytes, size_t length) {
    TV_ASSERT(!intake->has_pending);
    tv_splitter_feed(&intake->splitter, bytes, length);
}

tv_status tv_intake_run(tv_intake *intake) {
    uint64_t nul_bytes = intake->splitter.nul_bytes;
    tv_status status = deliver_all(intake);
    if (intake->splitter.nul_bytes != nul_bytes) note_nul_bytes(intake);
    tv_channel_publish(intake->options.channel);
    return status;
}

tv_status tv_intake_finish(tv_intake *intake) {
    tv_status status = tv_intake_run(intake);
    if (status == TV_AGAIN) return status;
    tv_message message;
    status = tv_splitter_finish(&intake->splitter, &message);
    if (status == TV_TOO_LARGE) note_too_large(intake, &message);
    if (status == TV_INVALID) note_incomplete(intake, &message);
    if (status != TV_OK) return TV_EMPTY;
    status = deliver(intake, &message);
    tv_channel_publish(intake->options.channel);
    return status == TV_AGAIN ? TV_AGAIN : TV_EMPTY;
}

void tv_intake_figures(const tv_intake *intake, void (*figure)(void *user, const char *name, uint64_t value),
                       void *user) {
    figure(user, "messages", intake->messages);
    figure(user, "bytes", intake->bytes);
    figure(user, "too_long", intake->too_large);
    figure(user, "incomplete", intake->incomplete);
    figure(user, "nul_bytes", intake->splitter.nul_bytes);
}
