// What a crash or a power cut has left at the end of an output: half a message, or NUL bytes where something was to be
// written. It must not become part of what is appended behind it.
#ifndef TORVYN_CONNECT_FILE_REPAIR_H
#define TORVYN_CONNECT_FILE_REPAIR_H

#include <stdbool.h>
#include <stdint.h>

typedef enum tv_file_damage {
    TV_FILE_UNDAMAGED,
    TV_FILE_CUT, // `bytes` of a message whose rest is missing: length-prefixed: removed, lines: ended with a newline
    TV_FILE_NUL, // `bytes` NUL bytes at its end: removed
    TV_FILE_UNKNOWN, // more than the largest message makes no sense from `offset` on: it was moved aside, or left alone
                     // if it is a rotated one
} tv_file_damage;

// A file and its rotated ones, looked at in slices, since there may be much to read. Filled in by the I/O thread, run
// on the pool, read by the I/O thread.
typedef struct tv_file_repair {
    // in
    const char *path;
    bool lines;
    uint32_t keep; // rotated files
    // progress
    uint32_t generation; // 0: the file itself, 1: path.1, ...
    uint64_t offset;     // up to here its messages are whole
    uint64_t nul_from;   // where the empty messages begin that end there; `offset` if there are none
    bool is_done;
    // out, of the last slice; `generation` and `offset` are as then
    tv_file_damage damage;
    uint32_t damaged_generation;
    uint64_t damage_offset, damage_bytes;
    int os_errno; // the file could not be repaired
} tv_file_repair;

// Most bytes of a length-prefixed file that one slice reads.
enum { TV_FILE_REPAIR_SLICE_BYTES = 64 << 20 };
// So many NUL bytes at the end of a length-prefixed file are no empty messages but space that was not written.
enum { TV_FILE_REPAIR_NUL_BYTES = 16 };

// Whether there is something to look at. One small read; for the start.
bool tv_file_repair_needed(const tv_file_repair *repair);
// Repairs the next slice; the caller says what was found and goes on until `is_done`. Blocks on the file.
void tv_file_repair_run(tv_file_repair *repair);

#endif
