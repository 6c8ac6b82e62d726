// framing: between a stream of bytes and the records of a channel. Shared by the connectors that read and write
// byte streams (file, stdio).
//
// Splitter: bytes in, messages out, whatever the chunks. Intake: a splitter that fills an input channel and waits
// with it. Join: records of an output channel in, one buffer of framed bytes out. Outage: what is said while that
// buffer cannot be written. None of them does I/O; each allocates once, when it is made, and its memory is bounded by
// the channel's largest payload.
#ifndef TORVYN_CONNECT_FRAMING_FRAMING_H
#define TORVYN_CONNECT_FRAMING_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"
#include "flow/channel.h"

// lines: each message ends with a newline; one carriage return before it is taken off. An empty line is an empty
// message. NUL bytes where a line should begin are skipped. length-prefixed: each message follows its length as a
// 32-bit little-endian number.
typedef enum tv_framing { TV_FRAMING_LINES, TV_FRAMING_LENGTH_PREFIXED } tv_framing;

enum { TV_FRAMING_PREFIX_BYTES = 4 };

// "lines", "length-prefixed", NULL: the choices of an option of type ENUM.
extern const char *const tv_framing_names[];

// ---- splitter -----------------------------------------------------------------------------------------------

typedef struct tv_message {
    const uint8_t *bytes; // NULL: skipped, because too long
    uint64_t length;
    uint64_t offset; // in the stream, of its first byte (of its prefix)
} tv_message;

typedef struct tv_splitter {
    tv_framing framing;
    uint32_t message_bytes_max;
    const uint8_t *next, *end; // the part of the fed bytes that is not used yet; the caller's
    uint64_t offset;           // stream offset of `next`
    uint64_t message_offset;   // of the message under way
    uint64_t message_length;   // length-prefixed: as announced
    uint8_t *carry;            // the message under way, when it began in an earlier chunk
    uint32_t carry_length;
    uint8_t prefix[TV_FRAMING_PREFIX_BYTES];
    uint8_t prefix_length; // bytes of the next message's length that are already here
    bool skipping;         // dropping the rest of a message that is too long, or of a line whose begin was not read
    uint64_t nul_bytes;    // lines: skipped where a line should begin
} tv_splitter;

// Allocates the carry buffer: message_bytes_max + 1. NO_MEMORY.
tv_status tv_splitter_init(tv_splitter *splitter, tv_framing framing, uint32_t message_bytes_max, tv_error *error);
void tv_splitter_deinit(tv_splitter *splitter); // zeroed memory is allowed
// Forgets everything under way; the next byte fed is at `offset` of the stream.
void tv_splitter_reset(tv_splitter *splitter, uint64_t offset);
// The next bytes belong to a line whose beginning was not read: drop them up to the newline. Lines only.
void tv_splitter_skip_line(tv_splitter *splitter);
// Gives the next bytes; the earlier ones must be used up. They must stay until tv_splitter_next answers EMPTY.
void tv_splitter_feed(tv_splitter *splitter, const uint8_t *bytes, size_t length);
// OK: *message is valid until the next call. TOO_LARGE: a message is skipped, of which all or only the beginning has
// come; its offset says which, its length how much is known of it. EMPTY: all bytes are used up.
tv_status tv_splitter_next(tv_splitter *splitter, tv_message *message);
// The stream is at its end: OK with the last line, which had no newline. TOO_LARGE as above. INVALID: it ended
// within a length-prefixed message that was not too large; offset and length say where and how much there was. EMPTY:
// nothing was left.
tv_status tv_splitter_finish(tv_splitter *splitter, tv_message *message);

// ---- complaint ----------------------------------------------------------------------------------------------

// The same complaint at most once in ten seconds, with the number of those not said.
typedef struct tv_complaint {
    uint64_t unsaid; // occurrences since the last line
    int64_t quiet_until_ns;
} tv_complaint;

// Counts one occurrence. True if it is time for a line: *occurrences are those it stands for.
bool tv_complaint_due(tv_complaint *complaint, int64_t now_ns, uint64_t *occurrences);

// ---- intake -------------------------------------------------------------------------------------------------

typedef struct tv_intake_options {
    tv_framing framing;
    tv_channel *channel;
    const tv_clock *clock;
    const char *place;  // for log lines; the caller's
    const char *source; // what is read: a path; the caller's
} tv_intake_options;

typedef struct tv_intake {
    tv_splitter splitter;
    tv_intake_options options;
    tv_message pending; // waits for room in the channel
    bool has_pending;
    const uint8_t *attributes; // of the next message; borrowed
    uint16_t attributes_bytes;
    tv_complaint too_large_complaint, nul_complaint;
    uint64_t nul_bytes_said;
    uint64_t messages, bytes, too_large, incomplete;
} tv_intake;

tv_status tv_intake_init(tv_intake *intake, const tv_intake_options *options, tv_error *error);
void tv_intake_deinit(tv_intake *intake);
// Next bytes of the stream; follow with tv_intake_run. They must stay until that answers EMPTY.
void tv_intake_feed(tv_intake *intake, const uint8_t *bytes, size_t length);
// The next message that comes into the channel carries these attributes, a list as records have it (contract, 3.7).
// They are borrowed until then, or until the next call. A message that leaves no room for them comes without.
void tv_intake_attach(tv_intake *intake, const uint8_t *attributes, uint16_t attributes_bytes);
// Moves messages into the channel and publishes them. EMPTY: all bytes are used up. AGAIN: the channel is paused;
// call again from `ready`.
tv_status tv_intake_run(tv_intake *intake);
// The stream has ended (or was cut off): what is left becomes the last message. Answers as tv_intake_run.
tv_status tv_intake_finish(tv_intake *intake);
// Calls `figure` with messages, bytes, too_long, incomplete and nul_bytes.
void tv_intake_figures(const tv_intake *intake, void (*figure)(void *user, const char *name, uint64_t value),
                       void *user);

// ---- outage -------------------------------------------------------------------------------------------------

// A far side that cannot be written to now and is tried again, after a pause that grows from 0.1 s to 10 s.
typedef struct tv_outage {
    const tv_clock *clock;
    const char *place, *target; // for log lines: the channel's, and what is written; the caller's
    const char *step;           // that failed last: "write"; a constant
    int os_errno;
    unsigned pause_ms; // before the next try; 0: there is no outage
    bool said;         // this outage is in the log
    int64_t since_ns, said_ns;
    int64_t total_ns; // of those that are over
    uint64_t tries;   // of this outage, all of which have failed
    uint64_t errors;  // ever
} tv_outage;

// A try has failed: returns the pause before the next one, ms. The log has it at first, and then once a minute.
unsigned tv_outage_note(tv_outage *outage, const char *step, int os_errno);
// A try has succeeded; no outage is allowed.
void tv_outage_end(tv_outage *outage);
// For the connector's function of that name.
bool tv_outage_trouble(const tv_outage *outage, tv_trouble *trouble);
// Calls `figure` with write_errors and outage_ms.
void tv_outage_figures(const tv_outage *outage, void (*figure)(void *user, const char *name, uint64_t value),
                       void *user);

// ---- join ---------------------------------------------------------------------------------------------------

// A batch of whole messages, framed, and the records it stands for.
typedef struct tv_join {
    tv_framing framing;
    uint8_t *bytes;
    uint32_t capacity_bytes;
    uint32_t length;
    uint32_t messages;                          // records with data
    uint32_t records_taken, record_bytes_taken; // for tv_channel_pop, once the batch is where it belongs
} tv_join;

// Allocates `bytes_wanted`, or what one largest payload needs if that is more. NO_MEMORY.
tv_status tv_join_init(tv_join *join, tv_framing framing, uint64_t bytes_wanted, uint32_t payload_bytes_max,
                       tv_error *error);
void tv_join_deinit(tv_join *join);
// Gives the pages of the buffer back to the system until the next batch; returns the bytes that were resident.
uint64_t tv_join_trim(tv_join *join);
// Bytes tv_join_init allocates.
uint64_t tv_join_memory_bytes(uint64_t bytes_wanted, uint32_t payload_bytes_max);
// Makes a batch from the front of the channel, replacing the last one: at most `bytes_max`, but at least one
// message. Nothing is popped, except records without data (watermarks) before the first message. OK, EMPTY or EOF.
tv_status tv_join_fill(tv_join *join, tv_channel *channel, uint64_t bytes_max);

#endif
