// The inside of connect/file: option structs, the two directions, and what they do on the thread pool.
#ifndef TORVYN_CONNECT_FILE_INTERNAL_H
#define TORVYN_CONNECT_FILE_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "connect/file/claims.h"
#include "connect/framing/framing.h"
#include "flow/channel.h"

// ---- options ------------------------------------------------------------------------------------------------

typedef enum tv_file_mode { TV_FILE_ONCE, TV_FILE_FOLLOW } tv_file_mode;
typedef enum tv_file_start { TV_FILE_START_BEGINNING, TV_FILE_START_END } tv_file_start;
typedef enum tv_file_match { TV_FILE_MATCH_NEWEST, TV_FILE_MATCH_ALL } tv_file_match;
typedef enum tv_file_missing { TV_FILE_MISSING_FAIL, TV_FILE_MISSING_WAIT } tv_file_missing;

typedef struct tv_file_input_options {
    const char *path;
    int mode;    // tv_file_mode
    int format;  // tv_framing
    int start;   // tv_file_start
    int missing; // tv_file_missing
    int match;   // tv_file_match
    int64_t poll_ns;
    int64_t rotate_wait_ns;
    uint64_t chunk_bytes;
} tv_file_input_options;

typedef enum tv_file_write_mode { TV_FILE_APPEND, TV_FILE_TRUNCATE } tv_file_write_mode;
typedef enum tv_file_sync { TV_FILE_SYNC_NEVER, TV_FILE_SYNC_INTERVAL, TV_FILE_SYNC_EVERY_BATCH } tv_file_sync;

typedef struct tv_file_output_options {
    const char *path;
    int mode;                // tv_file_write_mode
    int format;              // tv_framing
    int sync;                // tv_file_sync
    const char *permissions; // octal
    int64_t sync_interval_ns;
    uint64_t rotate_bytes;
    int64_t rotate_age_ns;
    int64_t keep;
    uint64_t buffer_bytes;
    bool follow_links;
} tv_file_output_options;

// ---- the two directions: functions of the connector table ---------------------------------------------------

typedef void (*tv_figure)(void *user, const char *name, uint64_t value);

// Both states begin with their direction, by which the table's functions tell them apart.
typedef struct tv_file_state {
    tv_direction direction;
} tv_file_state;

tv_status tv_file_input_open(const tv_connector_config *config, tv_channel *channel, void **state, tv_error *error);
void tv_file_input_ready(void *state);
void tv_file_input_stop(void *state);
void tv_file_input_close(void *state, void (*closed)(void *user), void *user);
void tv_file_input_figures(void *state, tv_figure figure, void *user);
void tv_file_input_trim(void *state);
bool tv_file_input_trouble(const void *state, tv_trouble *trouble);

tv_status tv_file_output_open(const tv_connector_config *config, tv_channel *channel, void **state, tv_error *error);
void tv_file_output_ready(void *state);
void tv_file_output_close(void *state, void (*closed)(void *user), void *user);
void tv_file_output_figures(void *state, tv_figure figure, void *user);
void tv_file_output_trim(void *state);
bool tv_file_output_trouble(const void *state, tv_trouble *trouble);

// ---- looking at a followed file (thread pool) ---------------------------------------------------------------

typedef enum tv_file_presence {
    TV_FILE_SAME,   // the path still leads to the newest file known
    TV_FILE_OTHER,  // it leads to another one, which is open now
    TV_FILE_ABSENT, // it leads nowhere, or to something that cannot be read
} tv_file_presence;

typedef struct tv_file_identity {
    uint64_t device, inode; // 0: there is nothing
} tv_file_identity;

#define TV_FILE_NO_OFFSET UINT64_MAX

// What to look at.
typedef struct tv_file_look_at {
    const char *path;                // of the newest file known; the pattern while there is none
    const char *pattern;             // whose next file is looked for; NULL: there is no pattern
    bool from_first;                 // begins with the pattern's first file; else with its last
    int newest_fd;                   // what the path led to when last looked at; -1: nothing
    int fd;                          // the file being read; -1: its content does not matter now
    const struct tv_file_mark *mark; // of it
    uint64_t nul_offset;             // of it; TV_FILE_NO_OFFSET: nothing is held back
} tv_file_look_at;

typedef struct tv_file_view {
    tv_file_presence presence;
    int new_fd;              // OTHER: the caller's from now on; else -1
    char *new_path;          // heap; of the next file of a pattern, which could not be opened unless OTHER; else NULL
    int64_t new_age_ns;      // since anything was written to that file, at least
    int os_errno;            // ABSENT or not opened: why
    bool is_linked;          // the newest file known still has a name somewhere
    uint64_t size_bytes;     // of the open file
    bool is_rewritten;       // it does not begin or go on as its mark says
    bool is_written;         // there is something else at nul_offset by now
    bool is_noticed;         // every change to the file at the path gives a notice in the path's folder
    tv_file_identity folder; // the path's
} tv_file_view;

// What is at the path; nothing if it cannot be determined.
tv_file_identity tv_file_identify(const char *path);
// Opens a regular file for reading without ever waiting for a writer. Returns the descriptor, or a negative errno
// (-ENOTSUP: not a regular file).
int tv_file_open_regular(const char *path);
// What to tell the user of such an errno. Returns the status.
tv_status tv_file_open_error(const char *path, int os_errno, tv_error *error);
// Looks at the path first and at the open file afterwards: what a writer put into a file before renaming it is then
// within size_bytes.
void tv_file_look(const tv_file_look_at *at, tv_file_view *view);

// What to do next at the end of a followed file.
typedef enum tv_file_verdict { TV_FILE_WAIT, TV_FILE_READ_ON, TV_FILE_RESTART, TV_FILE_SWITCH } tv_file_verdict;
// `readable`: there is a file to go on with. `used_offset`: what is behind it, up to read_offset, was NUL bytes.
// `switch_due`: a successor is open, and the time to wait for late writes to the old file is over.
tv_file_verdict tv_file_judge(const tv_file_view *view, bool readable, uint64_t used_offset, uint64_t read_offset,
                              bool switch_due);

// ---- writing (thread pool) ----------------------------------------------------------------------------------

// One job: reopen if the path has moved away, rotate, write, sync; stops at the first failure. Or, after a sync that
// failed: write the same bytes to the same place, and sync. Filled in by the I/O thread, run on the pool, read by the
// I/O thread.
typedef struct tv_file_job {
    // in
    const char *path;
    int fd; // in and out; -1: open it
    const uint8_t *bytes;
    uint32_t length;
    uint32_t begin; // bytes of it that are already written
    bool lines;     // messages end with a newline
    bool again;     // all of them are written, and their sync has failed
    bool rotate;
    bool sync;
    uint32_t permissions; // of a new file
    bool no_links;        // a link in its place is not followed
    tv_file_claim claim;  // of the open file
    bool durable;         // the sync policy is not `never`: new names and finished files are synced, too
    uint32_t keep;
    // out
    uint32_t written;   // of `length`; counts from the first byte, `begin` included
    int os_errno;       // 0: everything done
    const char *failed; // the step that failed: "open", "rename", "write", "sync"
    bool wrote_all;     // the failure, if any, came after the write
    bool rotated, reopened;
    int64_t place; // in the file, of byte `place_of` and what follows it; -1: unknown. Kept for the next try
    uint32_t place_of;
    uint64_t size_bytes; // of the file now
    int64_t birth_ns;    // of the file; 0: unknown
} tv_file_job;

// Where to go on in a new file if `written` bytes of a batch went to the old one: the begin of the message cut.
typedef uint32_t (*tv_file_boundary)(const uint8_t *bytes, uint32_t length, uint32_t written);
void tv_file_job_run(tv_file_job *job, tv_file_boundary boundary);
// Held by whoever writes to the file of this inode, one of its writers at a time. Those of one process, that is.
pthread_mutex_t *tv_file_guard(uint64_t inode);
// Size and birth of the open file, for the decisions about the next batch. False: os_errno says why not.
bool tv_file_job_measure(tv_file_job *job);
// First open: creates or truncates. IO, DENIED, INVALID.
tv_status tv_file_output_create(const tv_file_output_options *options, tv_file_job *job, tv_error *error);
// False: it is no octal number, or the owner could not write.
bool tv_file_parse_permissions(const char *text, uint32_t *mode);

#endif
