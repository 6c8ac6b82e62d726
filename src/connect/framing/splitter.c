// Splitter: finds messages in a stream of bytes that comes in arbitrary chunks.
//
// A message that lies within one chunk is handed out where it is; only one that crosses a chunk's end is collected
// in the carry buffer, so the usual cost is one memchr. A message over the maximum is never collected: its bytes
// are counted and dropped. Knows nothing of files and channels.
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
    splitter->skipping = splitter->silent = false;
}

void tv_splitter_skip_line(tv_splitter *splitter) {
    TV_ASSERT(splitter->framing == TV_FRAMING_LINES);
    splitter->skipping = splitter->silent = true;
    splitter->message_length = 0;
    splitter->message_offset = splitter->offset;
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

// The rest of a line that is too long. EMPTY while its end has not come, or if it is not to be mentioned.
static tv_status end_skipping(tv_splitter *splitter, tv_message *message) {
    bool silent = splitter->silent;
    *message = (tv_message){.length = splitter->message_length, .offset = splitter->message_offset};
    splitter->skipping = splitter->silent = false;
    splitter->message_length = 0;
    return silent ? TV_EMPTY : TV_TOO_LARGE;
}

static void begin_skipping(tv_splitter *splitter) {
    splitter->skipping = true;
    splitter->message_length = splitter->carry_length;
    splitter->carry_length = 0;
}

// Adds `length` bytes to the line under way, which fits into the carry or is skipped from now on.
static void carry_on_line(tv_splitter *splitter, size_t length) {
    if (!splitter->skipping && length > splitter->message_bytes_max + 1ULL - splitter->carry_length) {
        begin_skipping(splitter);
    }
    if (splitter->skipping) {
        splitter->message_length += length;
        use(splitter, length);
    } else {
        append_to_carry(splitter, length);
    }
}

// The line under way is complete in the carry (or skipped).
static tv_status end_carried_line(tv_splitter *splitter, tv_message *message) {
    if (splitter->skipping) return end_skipping(splitter, message);
    size_t length = without_carriage_return(splitter->carry, splitter->carry_length);
    *message = (tv_message){splitter->carry, length, splitter->message_offset};
    splitter->carry_length = 0;
    if (length <= splitter->message_bytes_max) return TV_OK;
    message->bytes = NULL;
    return TV_TOO_LARGE;
}

static tv_status next_line(tv_splitter *splitter, tv_message *message) {
    while (splitter->next != splitter->end) {
        const uint8_t *newline = memchr(splitter->next, '\n', fed_bytes(splitter));
        size_t length = newline ? (size_t)(newline - splitter->next) : fed_bytes(splitter);
        bool under_way = splitter->carry_length > 0 || splitter->skipping;
        if (newline && !under_way) {
            size_t payload = without_carriage_return(splitter->next, length);
            bool fits = payload <= splitter->message_bytes_max;
            *message = (tv_message){fits ? splitter->next : NULL, payload, splitter->offset};
            use(splitter, length + 1);
            return fits ? TV_OK : TV_TOO_LARGE;
        }
        if (!under_way) splitter->message_offset = splitter->offset;
        carry_on_line(splitter, length);
        if (!newline) return TV_EMPTY;
        use(splitter, 1);
        tv_status status = end_carried_line(splitter, message);
        if (status != TV_EMPTY) return status;
    }
    return TV_EMPTY;
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
    splitter->skipping = splitter->message_length > splitter->message_bytes_max;
    return true;
}

static void end_frame(tv_splitter *splitter) {
    splitter->prefix_length = 0;
    splitter->carry_length = 0;
    splitter->skipping = false;
}

// `carry_length` counts what was skipped, too: a length on the wire is below 2^32.
static tv_status skip_frame(tv_splitter *splitter, tv_message *message) {
    size_t missing = (size_t)(splitter->message_length - splitter->carry_length);
    size_t bytes = fed_bytes(splitter) < missing ? fed_bytes(splitter) : missing;
    splitter->carry_length += (uint32_t)bytes;
    use(splitter, bytes);
    if (bytes < missing) return TV_EMPTY;
    *message = (tv_message){.length = splitter->message_length, .offset = splitter->message_offset};
    end_frame(splitter);
    return TV_TOO_LARGE;
}

static tv_status next_frame(tv_splitter *splitter, tv_message *message) {
    if (!take_prefix(splitter)) return TV_EMPTY;
    if (splitter->skipping) return skip_frame(splitter, message);
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
        bool under_way = splitter->carry_length > 0 || splitter->skipping;
        return under_way ? end_carried_line(splitter, message) : TV_EMPTY;
    }
    if (splitter->prefix_length == 0) return TV_EMPTY;
    uint64_t length = (uint64_t)splitter->prefix_length + splitter->carry_length;
    *message = (tv_message){.length = length, .offset = splitter->message_offset};
    end_frame(splitter);
    return TV_INVALID;
}
