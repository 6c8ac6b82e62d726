// Fuzz target: a stream in random chunks against a plain model that sees the whole stream at once.
//
// Input: byte 0: bit 0 framing, bit 1 skip the first line; byte 1: largest message; byte 2: seed of the chunk sizes;
// the rest is the stream. scripts/fuzz.sh builds and runs it; the corpus is replayed by splitter_corpus_test.
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "connect/framing/framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct model {
    const uint8_t *bytes;
    size_t length, at;
    uint32_t max;
    bool lines, skip_first;
} model;

typedef struct outcome {
    tv_status status;
    const uint8_t *bytes;
    uint64_t length, offset;
} outcome;

static outcome model_next_line(model *m) {
    while (!m->skip_first && m->at < m->length && m->bytes[m->at] == 0)
        m->at++;
    size_t begin = m->at;
    if (begin == m->length) return (outcome){.status = TV_EMPTY};
    const uint8_t *newline = memchr(m->bytes + begin, '\n', m->length - begin);
    size_t end = newline ? (size_t)(newline - m->bytes) : m->length;
    m->at = newline ? end + 1 : end;
    if (m->skip_first) {
        m->skip_first = false;
        return model_next_line(m);
    }
    size_t length = end - begin;
    if (length > 0 && m->bytes[end - 1] == '\r') length--;
    return (outcome){length > m->max ? TV_TOO_LARGE : TV_OK, m->bytes + begin, length, begin};
}

static outcome model_next_frame(model *m) {
    size_t begin = m->at, left = m->length - begin;
    if (left == 0) return (outcome){.status = TV_EMPTY};
    const uint8_t *at = m->bytes + begin;
    uint64_t length =
        left < 4 ? 0 : (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24;
    bool is_cut = left < 4 || left - 4 < length, fits = length <= m->max;
    m->at = is_cut ? m->length : begin + 4 + length;
    if (is_cut && fits) return (outcome){TV_INVALID, at, left, begin};
    return (outcome){fits ? TV_OK : TV_TOO_LARGE, at + 4, length, begin};
}

static outcome model_next(model *m) { return m->lines ? model_next_line(m) : model_next_frame(m); }

static void compare(model *m, tv_status status, const tv_message *message) {
    outcome expected = model_next(m);
    TV_ASSERT(status == expected.status);
    if (status == TV_EMPTY) return;
    TV_ASSERT(message->offset == expected.offset);
    // Of a line that is skipped, only the beginning may be known, or its carriage return be counted.
    bool skipped_line = status == TV_TOO_LARGE && m->lines;
    TV_ASSERT(message->length == expected.length ||
              (skipped_line && message->length > m->max && message->length <= expected.length + 1));
    if (status == TV_OK) TV_ASSERT(memcmp(message->bytes, expected.bytes, expected.length) == 0);
}

static void feed_all(tv_splitter *splitter, model *m, uint32_t seed) {
    tv_message message;
    size_t at = 0;
    while (at < m->length) {
        seed = seed * 1664525 + 1013904223;
        size_t chunk = (seed >> 24) % ((seed >> 8 & 3) ? 5 : 200) + 1;
        if (chunk > m->length - at) chunk = m->length - at;
        uint8_t *copy = malloc(chunk); // its own allocation, so that a sanitizer sees a step beyond
        TV_ASSERT(copy);
        memcpy(copy, m->bytes + at, chunk);
        tv_splitter_feed(splitter, copy, chunk);
        tv_status status;
        while ((status = tv_splitter_next(splitter, &message)) != TV_EMPTY)
            compare(m, status, &message);
        free(copy);
        at += chunk;
    }
    tv_status status = tv_splitter_finish(splitter, &message);
    compare(m, status, &message);
    if (status != TV_EMPTY) compare(m, tv_splitter_finish(splitter, &message), &message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) return 0;
    bool lines = data[0] & 1;
    model m = {data + 3, size - 3, 0, data[1], lines, lines && (data[0] & 2)};
    tv_splitter splitter;
    tv_status status = tv_splitter_init(&splitter, lines ? TV_FRAMING_LINES : TV_FRAMING_LENGTH_PREFIXED, m.max, NULL);
    TV_ASSERT(status == TV_OK);
    if (m.skip_first) tv_splitter_skip_line(&splitter);
    feed_all(&splitter, &m, data[2]);
    tv_splitter_deinit(&splitter);
    return 0;
}
