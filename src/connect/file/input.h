// File input, as its files share it: input.c opens, decides and closes; read.c reads and splits; follow.c looks for
// what has become of a followed file.
//
// One decision point, tv_file_input_go_on(), runs after every event. At most one read and one look are under way. A
// paused channel stops the reading: both buffers stay as they are until `ready`. Rotations go on being noticed
// meanwhile, and the files that come up are held open in their order, so that a long pause misses none.
#ifndef TORVYN_CONNECT_FILE_INPUT_H
#define TORVYN_CONNECT_FILE_INPUT_H

#include <sys/types.h>
#include <uv.h>

#include "base/base.h"
#include "connect/file/folders.h"
#include "connect/file/internal.h"
#include "connect/file/mark.h"
#include "connect/file/pattern.h"

typedef enum tv_file_input_state {
    TV_FILE_READING,   // bytes may come
    TV_FILE_WAITING,   // follow: at the end, or no file
    TV_FILE_CUTTING,   // the last line of a file that is left, or was truncated or rewritten, is on its way
    TV_FILE_FINISHING, // once: the last line is on its way
    TV_FILE_ENDED,     // the channel has ended or failed
    TV_FILE_INPUT_STATES,
} tv_file_input_state;

enum { TV_FILE_SUCCESSORS_MAX = 32 };

// A file that has come up since the one being read: under its path, or of the pattern.
typedef struct tv_file_successor {
    int fd;
    int64_t found_ns;
    char *path; // NULL: that of the file before it
} tv_file_successor;

// One read, on the thread pool.
typedef struct tv_file_chunk {
    int fd;
    uint64_t offset;
    uint8_t *bytes;
    size_t capacity;
    const tv_file_mark *mark; // NULL: the file is not followed
    ssize_t result;           // bytes, or a negative errno
    bool is_rewritten;        // the file is no longer the one that was read before; the bytes are not to be used
} tv_file_chunk;

typedef struct tv_file_input {
    tv_direction direction; // first: see tv_file_state
    tv_file_input_options options;
    char *path;    // as configured: of a file, or a pattern
    char *current; // of the file being read: `path`, or one that fits it
    char *place;
    const tv_clock *clock;
    tv_channel *channel;
    tv_intake intake;
    tv_file_input_state state;

    int fd;               // -1: none
    uint64_t read_offset; // of the next read
    uint64_t nul_offset;  // all bytes from here to read_offset are NUL, and are held back; TV_FILE_NO_OFFSET: there are
                          // none
    uint64_t nul_due;     // NUL bytes before it are not held back: something is behind them
    tv_file_mark mark;
    tv_file_successor successors[TV_FILE_SUCCESSORS_MAX];
    unsigned successor_count;
    bool switching;      // CUTTING: to the first successor; else to the begin of the same file
    bool rewritten;      // CUTTING: not truncated, but written anew
    bool nul_said;       // the bytes held back are in the log
    uint8_t *first_line; // `start: end`: attributes with the first line of the file, until they are on their way
    uint8_t *buffers[2];
    unsigned splitting;       // the buffer being split
    bool split_busy;          // it is not used up
    bool trim_wanted;         // when neither of them is in use
    size_t ahead_length;      // bytes waiting in the other one
    bool at_end;              // the last read found nothing
    bool unreadable;          // follow: the last read failed; tried again by the timer
    int read_errno;           // why; 0: the last read that has ended succeeded
    int64_t trouble_since_ns; // of reads that fail, or of a file that is not there
    tv_complaint unreadable_complaint, successor_complaint;

    tv_file_chunk job;
    uv_work_t read, look;
    uv_timer_t timer;
    tv_file_follower follower;
    void **folders;    // the place where all inputs have them
    void *own_folders; // where there is no such place
    bool noticed;      // the last look found the newest file in its place, where changes are reported
    bool reading, looking, look_again;
    bool look_decides; // the look under way began at the end of the file, so its view of the content is worth acting on
    tv_file_look_at look_at;
    tv_file_view view;
    unsigned absent_looks; // looks in a row that found no file; told once
    bool was_there;        // a file has been at the path
    bool timer_closed;
    void (*closed)(void *user); // set: closing
    void *closed_user;

    uint64_t bytes_read, rotations, rotations_unseen, truncations, rewrites, absences, read_errors;
} tv_file_input;

static inline bool tv_file_follows(const tv_file_input *input) { return input->options.mode == TV_FILE_FOLLOW; }
static inline bool tv_file_has_pattern(const tv_file_input *input) { return tv_file_is_pattern(input->path); }
// Whether there may be more behind the end of the file.
static inline bool tv_file_goes_on(const tv_file_input *input) {
    return tv_file_follows(input) || (tv_file_has_pattern(input) && input->options.match == TV_FILE_MATCH_ALL);
}

void tv_file_input_set_state(tv_file_input *input, tv_file_input_state state);
void tv_file_input_go_on(tv_file_input *input);
// The file cannot be read, and that ends the flow.
void tv_file_input_fail(tv_file_input *input, const char *path, uint64_t offset, int os_errno);

// read.c. Reads the next chunk, unless one is there or there is nothing to read.
void tv_file_read_ahead(tv_file_input *input);
// Splits what is there. False: the channel is paused.
bool tv_file_split(tv_file_input *input);
// From `offset` of the file on, which is open; what was held back or is under way is forgotten.
void tv_file_read_from(tv_file_input *input, uint64_t offset);
// Up to where bytes have been used: the next one, or the first NUL byte held back.
uint64_t tv_file_used_offset(const tv_file_input *input);
// What was held back as NUL bytes may be something else by now.
void tv_file_read_nul_bytes_again(tv_file_input *input);
// At the end of the file: says that there are many of them.
void tv_file_note_nul_bytes(tv_file_input *input);

// follow.c
void tv_file_follow_start(tv_file_input *input);
void tv_file_follow_look(tv_file_input *input);
void tv_file_follow_set_pace(tv_file_input *input);
void tv_file_follow_on_timer(uv_timer_t *timer);
void tv_file_follow_go_over(tv_file_input *input);
void tv_file_successors_close(tv_file_input *input);

#endif
