// A rig for connector tests: a libuv loop, a channel and the worker's side of it, all on one thread.
//
// Waiting is always for a condition, with a limit that fails the test; nothing sleeps.
#ifndef TORVYN_CONNECT_TESTING_RIG_H
#define TORVYN_CONNECT_TESTING_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "flow/channel.h"

typedef struct tv_rig {
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t limit;
    uv_prepare_t before_poll;
    bool (*condition)(struct tv_rig *rig, void *user); // what tv_rig_run_until waits for
    void *condition_user;
    bool is_late;
    tv_ready_list ready;
    tv_virtual_clock clock;
    tv_channel *channel;
    tv_memory_account memory;
    const tv_connector *connector;
    void *state;
    bool is_closed;
    void *options; // the struct the connector was opened with
    char **texts;  // option values it borrows
    size_t text_count;
} tv_rig;

enum { TV_RIG_RECORD_BYTES_MAX = 4096, TV_RIG_RECORDS_MAX = 1 << 16 };

void tv_rig_init(tv_rig *rig, tv_direction direction);
// As init with other limits: 0 takes the default.
void tv_rig_init_limits(tv_rig *rig, tv_direction direction, tv_overflow overflow, uint32_t capacity_bytes,
                        uint32_t capacity_records, uint32_t record_bytes_max);
// Opens with options given as "name", "value", ..., NULL; the others have their defaults.
tv_status tv_rig_open(tv_rig *rig, const tv_connector *connector, tv_error *error, ...) __attribute__((sentinel));
// Closes the connector if it is open, and frees everything.
void tv_rig_deinit(tv_rig *rig);
void tv_rig_close(tv_rig *rig);

// Runs the loop until the condition holds. Fails the test if it does not within half a minute, naming `what`.
void tv_rig_run_until(tv_rig *rig, const char *what, bool (*condition)(tv_rig *rig, void *user), void *user);
// Until the channel has `messages` committed ones.
void tv_rig_run_until_committed(tv_rig *rig, uint64_t messages);
// Until the connector has ended its input channel.
void tv_rig_run_until_ended(tv_rig *rig);
void tv_rig_run_until_failed(tv_rig *rig);
// Until a figure of the connector has reached the value.
void tv_rig_run_until_figure(tv_rig *rig, const char *name, uint64_t least);
// Until the output channel is empty.
void tv_rig_run_until_taken(tv_rig *rig);
// Until no request is under way on the thread pool.
void tv_rig_run_until_quiet(tv_rig *rig);
uint64_t tv_rig_figure(tv_rig *rig, const char *name);

// Worker's side, input: takes the next message and compares it; fails the test if there is none.
void tv_rig_expect(tv_rig *rig, const char *text);
void tv_rig_expect_bytes(tv_rig *rig, const void *bytes, size_t length);
// Takes the next message into `out` (NUL behind it); false if there is none. *length may be NULL.
bool tv_rig_take(tv_rig *rig, char *out, size_t capacity, size_t *length);
uint64_t tv_rig_take_all(tv_rig *rig);  // returns how many
int64_t tv_rig_front_time(tv_rig *rig); // event time of the next message, which must be there
// Value of the attribute "name=..." of the next message, which must be there, into `out`; false if it has none.
bool tv_rig_front_attribute(tv_rig *rig, const char *name, char *out, size_t capacity);
uint64_t tv_rig_dropped(const tv_rig *rig, tv_drop_reason reason);
bool tv_rig_has_ended(const tv_rig *rig);
const char *tv_rig_failure(const tv_rig *rig); // NULL: none

// Worker's side, output.
void tv_rig_put(tv_rig *rig, const char *text);
void tv_rig_put_bytes(tv_rig *rig, const void *bytes, size_t length, uint8_t kind);
void tv_rig_end_output(tv_rig *rig);
uint64_t tv_rig_queued(const tv_rig *rig);

// From begin to end what is logged goes to a file; `read` gives what there is, the caller frees.
void tv_rig_log_begin(void);
char *tv_rig_log_read(void);
void tv_rig_log_end(void);

// A fresh folder, removed with its content at exit of the process. Path of `name` in it; one of eight static buffers.
const char *tv_rig_path(const char *name);
void tv_rig_write_file(const char *path, const char *text); // replaces
void tv_rig_append_file(const char *path, const char *text);
char *tv_rig_read_file(const char *path, size_t *length); // the caller frees; NULL if missing
void tv_rig_expect_file(const char *path, const char *text);

#endif
