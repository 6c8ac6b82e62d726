// Runs a component that was compiled natively (a shared object made by tv_add_native_component), without a host:
// for unit tests of a component's logic, for debuggers, and as the yardstick of benchmarks.
//
// The harness plays the host's part of the contract: configuration, assets, batches, the output allowance, timers.
// Single-threaded; grows its lists on the heap. A component's crash is a crash of the test, as it should be.
#ifndef TORVYN_NATIVE_HARNESS_H
#define TORVYN_NATIVE_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "torvyn/abi.h"

typedef struct tv_harness tv_harness;

// Something the component emitted. Pointers stay valid until tv_harness_clear.
typedef struct tv_harness_output {
    const char *payload; // NUL-terminated behind its end
    uint32_t payload_bytes;
    const uint8_t *attributes;
    uint32_t attributes_bytes;
    int64_t event_time_ns;
    uint64_t key;
    uint16_t port;
    uint8_t kind;
} tv_harness_output;

typedef struct tv_harness_reject {
    uint32_t record; // number of the record among all that were fed, from 0
    char reason[TV_REJECT_REASON_BYTES_MAX + 1];
} tv_harness_reject;

// Loads the shared object. NULL with a message in `error` if that fails.
tv_harness *tv_harness_open(const char *path, char *error, size_t capacity);
void tv_harness_close(tv_harness *harness);

// ---- before tv_harness_start --------------------------------------------------------------------------------

// One flattened entry of the configuration: "methods.0.kind" -> "range", "methods.length" -> "1".
void tv_harness_config(tv_harness *harness, const char *path, const char *value);
// A read-only file; borrowed.
void tv_harness_asset(tv_harness *harness, const char *name, const void *bytes, size_t size);
// Largest batch; default 128 records and 64 KiB.
void tv_harness_batch(tv_harness *harness, uint32_t records, uint32_t bytes);

// tv_arena and tv_init. Returns tv_init's answer (0 where there is none).
int32_t tv_harness_start(tv_harness *harness);

// ---- room ---------------------------------------------------------------------------------------------------

// At most `records` outputs are taken a call; more are answered with FULL. Default: any number.
void tv_harness_room(tv_harness *harness, uint32_t records);
// For chaining: outputs go here instead of into the list. May be called within the component's emit.
void tv_harness_on_output(tv_harness *harness, void (*on_output)(void *user, const tv_harness_output *output),
                          void *user);

// ---- calls --------------------------------------------------------------------------------------------------

// Puts a record into the batch; when that is full, it is processed first.
void tv_harness_feed(tv_harness *harness, int64_t event_time_ns, uint64_t key, const void *payload, uint32_t bytes);
void tv_harness_feed_with(tv_harness *harness, int64_t event_time_ns, uint64_t key, const void *attributes,
                          uint16_t attributes_bytes, const void *payload, uint32_t bytes);
// Records fed from now on come by this input of the stage; 0 at first.
void tv_harness_input(tv_harness *harness, uint16_t input);
void tv_harness_feed_text(tv_harness *harness, const char *text);
// Processes what was fed, with resumes, until everything is consumed. Returns the last answer of tv_process;
// negative if it failed (the rest of the batch is dropped).
int32_t tv_harness_run(tv_harness *harness);
// Processes what was fed, then delivers a watermark.
int32_t tv_harness_watermark(tv_harness *harness, int64_t time_ns);
// With resumes. The answer is the call's own, without MORE.
int32_t tv_harness_pull(tv_harness *harness, uint32_t max);
int32_t tv_harness_tick(tv_harness *harness, int64_t now_ns);
int32_t tv_harness_end(tv_harness *harness); // tv_close
// The clocks, which otherwise stand still.
void tv_harness_set_clock(tv_harness *harness, int64_t realtime_ns, int64_t monotonic_ns);

// ---- what happened ------------------------------------------------------------------------------------------

size_t tv_harness_output_count(const tv_harness *harness);
const tv_harness_output *tv_harness_output_at(const tv_harness *harness, size_t index);
size_t tv_harness_reject_count(const tv_harness *harness);
const tv_harness_reject *tv_harness_reject_at(const tv_harness *harness, size_t index);
// All log lines, each followed by a newline.
const char *tv_harness_log(const tv_harness *harness);
// The delay of the timer that is set, or -1.
int64_t tv_harness_timer(const tv_harness *harness);
// A counter's sum by name; 0 if there is none.
int64_t tv_harness_counter(const tv_harness *harness, const char *name);
// Calls of tv_process and of tv_resume.
uint32_t tv_harness_calls(const tv_harness *harness);
uint32_t tv_harness_resumes(const tv_harness *harness);
// The description of TV_COMPONENT, "key=value" lines.
const char *tv_harness_description(const tv_harness *harness);
// Forgets outputs, rejects and log lines.
void tv_harness_clear(tv_harness *harness);

#endif
