// The record that travels from sensor-source to local-aggregator: one reading in a compact binary form, so that only
// the first stage parses text and only the last ones write it.
//
// The record's header carries the event time and, as its key, reading_key() of device and metric. Each stage fills in
// its own fields and leaves the others alone, so a pipeline may leave out the detector or the enricher. Payloads are
// checked with reading_from() before use: a pipeline file may connect anything with anything.
#ifndef GATEWAY_READING_H
#define GATEWAY_READING_H

#include <torvyn/torvyn.h>

enum {
    READING_MAGIC = 0x5231, // "1R": a reading, layout 1
    READING_ID_BYTES_MAX = 96,
    READING_SITE_BYTES_MAX = 64,
    READING_UNIT_BYTES_MAX = 16,
    READING_TAGS_BYTES_MAX = 256,
    READING_HEAD_BYTES = 40,
    READING_BYTES_MAX = READING_HEAD_BYTES + READING_ID_BYTES_MAX + READING_SITE_BYTES_MAX + READING_UNIT_BYTES_MAX +
                        READING_TAGS_BYTES_MAX,
};

enum reading_quality { QUALITY_GOOD, QUALITY_UNCERTAIN, QUALITY_BAD, QUALITY_COUNT };

enum reading_flag {
    READING_ANOMALY = 1,    // the detector finds this reading unusual
    READING_ALERT = 2,      // first one of an incident: somebody should be told
    READING_NO_VALUE = 4,   // says something about a device (it is silent), is no measurement
    READING_CALIBRATED = 8, // value = raw * scale + offset has been applied
    READING_EMPTY = 16,     // the device sent no value: the quality is bad, `value` and `raw` are 0 and mean nothing
};

enum reading_method { METHOD_NONE, METHOD_RANGE, METHOD_RATE, METHOD_STUCK, METHOD_EWMA, METHOD_SILENT, METHOD_COUNT };

// The head of the payload; behind it the text: device, metric, zeros to a multiple of 8, site, unit, tags.
typedef struct reading {
    uint16_t magic;
    uint8_t flags;   // enum reading_flag
    uint8_t quality; // enum reading_quality
    uint8_t method;  // enum reading_method: the one behind the score, if flagged
    uint8_t methods; // all that flagged it: bit 1 << method
    uint8_t device_bytes;
    uint8_t metric_bytes;
    double value;   // calibrated, if flagged so
    double raw;     // as the device sent it
    float score;    // 0..1; 0.5 is the threshold of the method that came nearest to its own
    float expected; // what the detector would have expected, in the scale of `value`
    uint8_t site_bytes;
    uint8_t unit_bytes;
    uint16_t tags_bytes; // members of a JSON object without the braces: "line":"1","model":"x"
    uint32_t reserved;
} reading;
_Static_assert(sizeof(reading) == READING_HEAD_BYTES, "layout 1 has a head of 40 bytes");

// A reading with its text behind it, as components build it.
typedef struct reading_buffer {
    reading head;
    union {
        uint64_t words[(READING_BYTES_MAX - READING_HEAD_BYTES) / 8];
        char text[READING_BYTES_MAX - READING_HEAD_BYTES];
    };
} reading_buffer;

static inline const char *reading_text(const reading *r) { return (const char *)(r + 1); }
static inline uint32_t reading_id_bytes(const reading *r) { return (uint32_t)r->device_bytes + r->metric_bytes; }
// Bytes of device and metric with their padding.
static inline uint32_t reading_id_room(const reading *r) { return (reading_id_bytes(r) + 7u) & ~7u; }
static inline uint32_t reading_bytes(const reading *r) {
    return READING_HEAD_BYTES + reading_id_room(r) + r->site_bytes + r->unit_bytes + r->tags_bytes;
}
static inline tv_string reading_device(const reading *r) { return (tv_string){reading_text(r), r->device_bytes}; }
static inline tv_string reading_metric(const reading *r) {
    return (tv_string){reading_text(r) + r->device_bytes, r->metric_bytes};
}
static inline tv_string reading_site(const reading *r) {
    return (tv_string){reading_text(r) + reading_id_room(r), r->site_bytes};
}
static inline tv_string reading_unit(const reading *r) {
    return (tv_string){reading_text(r) + reading_id_room(r) + r->site_bytes, r->unit_bytes};
}
static inline tv_string reading_tags(const reading *r) {
    return (tv_string){reading_text(r) + reading_id_room(r) + r->site_bytes + r->unit_bytes, r->tags_bytes};
}

// The key of a series: hash of device and metric as they lie in the text, padding included.
static inline uint64_t reading_key(const uint64_t *id_words, uint32_t device_bytes, uint32_t metric_bytes) {
    uint64_t hash = 0x9e3779b97f4a7c15ull ^ (device_bytes << 8 | metric_bytes);
    for (uint32_t i = 0; i * 8 < device_bytes + metric_bytes; i++) {
        hash = (hash ^ id_words[i]) * 0xd6e8feb86659fd93ull;
        hash ^= hash >> 32;
    }
    hash = tv_hash_mix(hash);
    return hash == 0 ? 1 : hash;
}

// The record's payload as a reading, or NULL if it is none or its lengths do not fit.
static inline const reading *reading_from(const tv_record *record) {
    const reading *r = (const reading *)tv_payload(record);
    if (record->payload_bytes < READING_HEAD_BYTES || r->magic != READING_MAGIC) return NULL;
    if (reading_bytes(r) != record->payload_bytes || reading_id_bytes(r) > READING_ID_BYTES_MAX) return NULL;
    if (r->site_bytes > READING_SITE_BYTES_MAX || r->unit_bytes > READING_UNIT_BYTES_MAX) return NULL;
    return r->tags_bytes > READING_TAGS_BYTES_MAX ? NULL : r;
}

// Copies 8-byte words; both sides are aligned. Shorter than a call of memcpy for what readings are.
static inline void reading_copy_words(uint64_t *to, const void *from, uint32_t bytes) {
    const uint64_t *at = (const uint64_t *)from;
    for (uint32_t i = 0; i * 8 < bytes; i++)
        to[i] = at[i];
}

// A whole reading with its text. `from` has passed reading_from(), so it fits.
static inline void reading_copy(reading_buffer *to, const reading *from) {
    reading_copy_words((uint64_t *)(void *)to, from, reading_bytes(from));
}

static inline const char *reading_method_name(unsigned method) {
    static const char *const names[METHOD_COUNT] = {"none", "range", "rate", "stuck", "ewma", "silent"};
    return method < METHOD_COUNT ? names[method] : "unknown";
}

static inline const char *reading_quality_name(unsigned quality) {
    static const char *const names[QUALITY_COUNT] = {"good", "uncertain", "bad"};
    return quality < QUALITY_COUNT ? names[quality] : "bad";
}

#endif
