// Splitter: finds messages in a stream of bytes that comes in arbitrary chunks.
//
// A message that lies within one chunk is handed out where it is; only one that crosses a chunk's end is collected
// in the carry buffer, so the usual cost is one memchr. A message over the maximum is never collected: that is said as
// soon as it is known, since its end may be far away or never come, and the rest of it is dropped without a word. Knows
// nothing of files and channels.
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "connect/framing/framing.h"

const char *const tv_framing_names[] = {"lines", "length-prefixed", NULL};

tv_status tv_splitter_init(tv_splitter *splitter, tv_framing framing, uint32_t message_bytes_max, tv_error *error) {
    TV_ASSERT(message_bytes_max < UINT32_MAX);
    uint8_t *carry = malloc((size_t)message_bytes_max + 1); // a carriage return may come before the newline
    if (!carry) return tv_error_set(error, TV_NO_MEMORY, "no memory for a message of %u bytes", message_bytes_max);
    *splitter = (tv_splitter){.framing = framing, .message_bytes_max = message_bytes_max, .carry = carry};
    return TV_OK;
}

void tv_splitter_deinit(tv_splitter *splitter) {
    free(splitter->carry);
    *splitter = (tv_splitter){0};
}

void tv_splitter_reset(tv_splitter *splitter, uint64_t offset) {
    splitter->next = splitter->end = NULL;
    splitter->offset = offset;
    splitter->carry_length = 0;
    splitter->prefix_length = 0;
    splitter->message_length = 0;
    splitter->skipping = false;
}

void tv_splitter_skip_line(tv_splitter *splitter) {
    TV_ASSERT(splitter->framing == TV_FRAMING_LINES);
    splitter->skipping = true;
}

void tv_splitter_feed(tv_splitter *splitter, const uint8_t *bytes, size_t length) {
    TV_ASSERT(splitter->next == splitter->end);
    splitter->next = bytes;
    splitter->end = bytes + length;
}

static size_t fed_bytes(const tv_splitter *splitter) { return (size_t)(splitter->end - splitter->next); }

static void use(tv_splitter *splitter, size_t bytes) {
    splitter->next += bytes;
    splitter->offset += bytes;
}

static void append_to_carry(tv_splitter *splitter, size_t bytes) {
    memcpy(splitter->carry + splitter->carry_length, splitter->next, bytes);
    splitter->carry_length += (uint32_t)bytes;
    use(splitter, bytes);
}

static size_t without_carriage_return(const uint8_t *bytes, size_t length) {
    return length > 0 && bytes[length - 1] == '\r' ? length - 1 : length;
}

// ---- lines --------------------------------------------------------------------------------------------------

// Where a line should begin, NUL bytes are space that was never written: a power cut leaves it, or a writer that goes
// on at its old place after a truncation.
static void skip_nul_bytes(tv_splitter *splitter) {
    const uint8_t *at = splitter->next;
    while (at != splitter->end && *at == 0)
        at++;
    splitter->nul_bytes += (uint64_t)(at - splitter->next);
    use(splitter, (size_t)(at - splitter->next));
}

// The rest of a line that is not wanted, or the part of it that is here.
static void skip_line(tv_splitter *splitter) {
    const uint8_t *newline = memchr(splitter->next, '\n', fed_bytes(splitter));
    use(splitter, newline ? (size_t)(newline - splitter->next) + 1 : fed_bytes(splitter));
    splitter->skipping = !newline;
}

// `length` more bytes of the line under way, whose end has not come.
static tv_status carry_on_line(tv_splitter *splitter, size_t length, tv_message *message) {
    size_t room = splitter->message_bytes_max + 1ULL - splitter->carry_length;
    bool fits = length < room || (length == room && splitter->next[length - 1] == '\r');
    if (fits) {
        append_to_carry(splitter, length);
        return TV_EMPTY;
    }
    *message = (tv_message){.length = splitter->carry_length + length, .offset = splitter->message_offset};
    splitter->carry_length = 0;
    splitter->skipping = true;
    use(splitter, length);
    return TV_TOO_LARGE;
}

static tv_status answer_line(const tv_splitter *splitter, const uint8_t *bytes, size_t length, tv_message *message) {
    size_t payload = without_carriage_return(bytes, length);
    bool fits = payload <= splitter->message_bytes_max;
    *message = (tv_message){fits ? bytes : NULL, payload, splitter->message_offset};
    return fits ? TV_OK : TV_TOO_LARGE;
}

// `length` bytes and then the newline end the line whose beginning is in the carry.
static tv_status end_carried_line(tv_splitter *splitter, size_t length, tv_message *message) {
    size_t carried = splitter->carry_length;
    if (length > splitter->message_bytes_max + 1ULL - carried) {
        *message = (tv_message){.length = carried + length, .offset = splitter->message_offset};
        use(splitter, length);
        splitter->carry_length = 0;
        return TV_TOO_LARGE;
    }
    append_to_carry(splitter, length);
    splitter->carry_length = 0;
    return answer_line(splitter, splitter->carry, carried + length, message);
}

static tv_status end_line(tv_splitter *splitter, size_t length, tv_message *message) {
    tv_status status;
    if (splitter->carry_length > 0) {
        status = end_carried_line(splitter, length, message);
        use(splitter, 1);
    } else {
        status = answer_line(splitter, splitter->next, length, message);
        use(splitter, length + 1);
    }
    return status;
}

static tv_status next_line(tv_splitter *splitter, tv_message *message) {
    if (splitter->skipping) skip_line(splitter);
    if (splitter->carry_length == 0) {
        if (splitter->next != splitter->end && *splitter->next == 0) skip_nul_bytes(splitter);
        splitter->message_offset = splitter->offset;
    }
    if (splitter->next == splitter->end) return TV_EMPTY;
    const uint8_t *newline = memchr(splitter->next, '\n', fed_bytes(splitter));
    if (!newline) return carry_on_line(splitter, fed_bytes(splitter), message);
    return end_line(splitter, (size_t)(newline - splitter->next), message);
}

// ---- length-prefixed ----------------------------------------------------------------------------------------

static uint32_t read_u32(const uint8_t bytes[TV_FRAMING_PREFIX_BYTES]) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

// Collects the prefix; true once it is complete.
static bool take_prefix(tv_splitter *splitter) {
    if (splitter->prefix_length == TV_FRAMING_PREFIX_BYTES) return true;
    if (splitter->prefix_length == 0) splitter->message_offset = splitter->offset;
    size_t missing = TV_FRAMING_PREFIX_BYTES - (size_t)splitter->prefix_length;
    size_t bytes = fed_bytes(splitter) < missing ? fed_bytes(splitter) : missing;
    memcpy(splitter->prefix + splitter->prefix_length, splitter->next, bytes);
    splitter->prefix_length = (uint8_t)(splitter->prefix_length + bytes);
    use(splitter, bytes);
    if (splitter->prefix_length < TV_FRAMING_PREFIX_BYTES) return false;
    splitter->message_length = read_u32(splitter->prefix);
    return true;
}

static void end_frame(tv_splitter *splitter) {
    splitter->prefix_length = 0;
    splitter->carry_length = 0;
    splitter->skipping = false;
}

// The part of an unwanted frame that is here. `carry_length` counts what was skipped: a length on the wire is below
// 2^32.
static void skip_frame(tv_splitter *splitter) {
    size_t missing = (size_t)(splitter->message_length - splitter->carry_length);
    size_t bytes = fed_bytes(splitter) < missing ? fed_bytes(splitter) : missing;
    splitter->carry_length += (uint32_t)bytes;
    use(splitter, bytes);
    if (bytes == missing) end_frame(splitter);
}

static tv_status next_frame(tv_splitter *splitter, tv_message *message) {
    if (splitter->skipping) skip_frame(splitter);
    if (splitter->skipping || !take_prefix(splitter)) return TV_EMPTY;
    if (splitter->message_length > splitter->message_bytes_max) {
        splitter->skipping = true;
        *message = (tv_message){.length = splitter->message_length, .offset = splitter->message_offset};
        return TV_TOO_LARGE;
    }
    size_t missing = (size_t)splitter->message_length - splitter->carry_length;
    if (fed_bytes(splitter) < missing) {
        append_to_carry(splitter, fed_bytes(splitter));
        return TV_EMPTY;
    }
    const uint8_t *bytes = splitter->carry;
    if (splitter->carry_length == 0) {
        bytes = splitter->next;
        use(splitter, missing);
    } else {
        append_to_carry(splitter, missing);
    }
    *message = (tv_message){bytes, splitter->message_length, splitter->message_offset};
    end_frame(splitter);
    return TV_OK;
}

// ---- both ---------------------------------------------------------------------------------------------------

tv_status tv_splitter_next(tv_splitter *splitter, tv_message *message) {
    switch (splitter->framing) {
    case TV_FRAMING_LINES: return next_line(splitter, message);
    case TV_FRAMING_LENGTH_PREFIXED: return next_frame(splitter, message);
    }
    return TV_EMPTY;
}

tv_status tv_splitter_finish(tv_splitter *splitter, tv_message *message) {
    TV_ASSERT(splitter->next == splitter->end);
    if (splitter->framing == TV_FRAMING_LINES) {
        size_t length = splitter->carry_length;
        splitter->skipping = false;
        splitter->carry_length = 0;
        return length > 0 ? answer_line(splitter, splitter->carry, length, message) : TV_EMPTY;
    }
    bool is_cut = splitter->prefix_length > 0 && !splitter->skipping;
    uint64_t length = (uint64_t)splitter->prefix_length + splitter->carry_length;
    if (is_cut) *message = (tv_message){.length = length, .offset = splitter->message_offset};
    end_frame(splitter);
    return is_cut ? TV_INVALID : TV_EMPTY;
}
