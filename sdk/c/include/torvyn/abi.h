// The component contract, version 1, as C: record layout, batch block, results and import signatures.
//
// Shared by the host and by components, so it has no dependency but <stdint.h>. docs/contract.md is the
// specification; where the two differ, the specification is right. Everything is little-endian.
#ifndef TORVYN_ABI_H
#define TORVYN_ABI_H

#include <stdint.h>

#define TV_ABI_VERSION 1

// A module shows the contract version it was written for by exporting a function of this name (never called).
#define TV_ABI_MARKER "torvyn_abi_1"

// Import module of every host function.
#define TV_ABI_IMPORT_MODULE "torvyn"

// Custom section with "key=value" lines: name, version, role, state, state_bytes, max_output, ports
// (comma separated).
#define TV_ABI_SECTION "torvyn.component"

// Answers of host imports and of component exports. FULL is an answer, not an error.
enum {
    TV_ABI_OK = 0,
    TV_ABI_FULL = 1,       // no room behind this port now: keep the output, return MORE
    TV_ABI_INVALID = -1,   // an argument is outside its range
    TV_ABI_NOT_FOUND = -2, // no such port, path, asset or counter
    TV_ABI_TOO_LARGE = -3, // larger than max_output, or than the limit of the call
    TV_ABI_STATE = -4,     // not allowed in this call (emit from tv_init, reject outside tv_process)
    TV_ABI_DENIED = -5,    // not granted in the pipeline file
    TV_ABI_LIMIT = -6,     // a table of the host is full (counters)
    TV_ABI_FAILED = -7,    // the component's own failure: tv_init could not start, tv_process cannot go on
};

// What a call may add to its result (exports tv_process, tv_resume, tv_pull, tv_tick, tv_close).
#define TV_ABI_MORE       0x40000000 // output is waiting inside the component: call tv_resume when there is room
#define TV_ABI_END        0x20000000 // tv_pull only: this source has nothing more, ever
#define TV_ABI_COUNT_MASK 0x00ffffff // tv_process: the number of records consumed

enum tv_record_kind {
    TV_KIND_DATA = 0,
    TV_KIND_WATERMARK = 1,     // no payload; event_time_ns says that no earlier data follows on this input
    TV_KIND_END_OF_STREAM = 2, // reserved: a component learns the end by tv_close
};

enum tv_record_flag {
    TV_FLAG_INHERIT_ATTRIBUTES = 1, // emit: copy the attributes of the record being processed
};

// event_time_ns of a record that has none.
#define TV_NO_EVENT_TIME INT64_MIN

#define TV_PORT_ALL 0xffff // emit of a watermark: every output port

#define TV_RECORD_HEADER_BYTES    48
#define TV_RECORD_BYTES_LIMIT     (16u << 20) // no record is larger, whatever the configuration says
#define TV_ATTRIBUTES_BYTES_LIMIT 4096
#define TV_PORTS_MAX              8
#define TV_BATCH_RECORDS_MAX      1024
#define TV_STATE_BYTES_LIMIT      65536 // of a component with keyed state

// A record: this header, then attributes_bytes of attributes, then payload_bytes of payload, then zero to
// seven bytes of padding. Starts at an address that is a multiple of 8.
typedef struct tv_record {
    uint32_t size_bytes; // the whole record with padding, a multiple of 8
    uint32_t payload_bytes;
    uint16_t attributes_bytes; // a multiple of 8
    uint8_t kind;              // enum tv_record_kind
    uint8_t flags;
    uint16_t port;            // on delivery: index of the input it came by
    uint16_t origin;          // host: index of the channel or source stage it stems from
    int64_t event_time_ns;    // Unix epoch, or TV_NO_EVENT_TIME
    uint64_t key;             // hash of whatever the data is keyed by; 0 = none
    uint64_t sequence;        // host: number on this edge, from 1; gaps are drops
    uint64_t origin_sequence; // host: number of the channel message (or pull) it stems from, from 1
} tv_record;
_Static_assert(sizeof(tv_record) == TV_RECORD_HEADER_BYTES, "record header is 48 bytes");

// One attribute: this header, `length` bytes, zero padding to a multiple of 4. The whole list is padded to 8
// with a TV_ATTRIBUTE_PAD of length 0.
typedef struct tv_attribute {
    uint16_t id;
    uint16_t length;
} tv_attribute;

enum tv_attribute_id {
    TV_ATTRIBUTE_PAD = 0,
    TV_ATTRIBUTE_CONTENT_TYPE = 1, // text, a media type (RFC 6838)
    TV_ATTRIBUTE_TOPIC = 2,        // text, the topic or path it arrived by or shall leave by
    TV_ATTRIBUTE_TRACEPARENT = 3,  // text, W3C Trace Context; host only
    TV_ATTRIBUTE_NAMED = 4,        // text "name=value"
};

// Head of the input arena. The host fills it before every call; the component writes record_index only.
// The records of a batch follow at offset sizeof(tv_batch), one after the other.
typedef struct tv_batch {
    uint32_t record_index; // component: index of the record being processed, 0 .. record_count-1
    uint32_t record_count;
    uint32_t records_bytes;   // sum of their sizes
    uint32_t allowance_bytes; // room behind the tightest blocking output, header and padding included
    uint32_t allowance_records;
    uint32_t reserved;
    int64_t arrival_ns; // wall clock, when records of a channel were taken up; else TV_NO_EVENT_TIME
    uint32_t reserved_too[8];
} tv_batch;
_Static_assert(sizeof(tv_batch) == 64, "batch head is 64 bytes");

// Guest pointers are 32 bits; the native build of a component uses real ones.
#if defined(__wasm__)
typedef uint32_t tv_guest_pointer;
#else
typedef uintptr_t tv_guest_pointer;
#endif

// Argument of the import `emit`, as it lies in guest memory (40 bytes in a wasm32 module).
typedef struct tv_emit_request {
    int64_t event_time_ns;
    uint64_t key;
    tv_guest_pointer payload;
    tv_guest_pointer attributes;
    uint32_t payload_bytes;
    uint16_t attributes_bytes;
    uint16_t port;
    uint8_t kind;  // TV_KIND_DATA or TV_KIND_WATERMARK
    uint8_t flags; // enum tv_record_flag
    uint8_t reserved[6];
} tv_emit_request;
#if defined(__wasm__)
_Static_assert(sizeof(tv_emit_request) == 40, "emit request is 40 bytes");
#endif
#define TV_EMIT_REQUEST_BYTES 40

// Levels of the import `log`.
enum tv_log_level_abi { TV_LOG_TRACE = 0, TV_LOG_DEBUG = 1, TV_LOG_INFO = 2, TV_LOG_WARN = 3, TV_LOG_ERROR = 4 };

// Clocks of the import `clock`.
enum tv_clock_id_abi { TV_CLOCK_REALTIME = 0, TV_CLOCK_MONOTONIC = 1 };

#define TV_LOG_TEXT_BYTES_MAX      1024
#define TV_REJECT_REASON_BYTES_MAX 256
#define TV_NAME_BYTES_MAX          63
#define TV_COUNTERS_MAX            16

#endif
