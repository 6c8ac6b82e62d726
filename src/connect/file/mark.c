// Marks: a copy of 256 bytes at either end of what was read. A hash of all of it would find changes in the middle, too,
// but for each look the whole file had to be read again; who writes a file anew changes one of its ends.
#include "connect/file/mark.h"

#include <string.h>
#include <unistd.h>

static void note_head(tv_file_mark *mark, uint64_t offset, const uint8_t *bytes, size_t length) {
    if (offset != mark->head_length || offset >= TV_FILE_MARK_BYTES) return;
    size_t room = TV_FILE_MARK_BYTES - mark->head_length, taken = length < room ? length : room;
    memcpy(mark->head + mark->head_length, bytes, taken);
    mark->head_length = (uint16_t)(mark->head_length + taken);
}

static void note_tail(tv_file_mark *mark, const uint8_t *bytes, size_t length) {
    size_t taken = length < TV_FILE_MARK_BYTES ? length : TV_FILE_MARK_BYTES;
    size_t kept = TV_FILE_MARK_BYTES - taken;
    if (kept > mark->tail_length) kept = mark->tail_length;
    memmove(mark->tail, mark->tail + mark->tail_length - kept, kept);
    memcpy(mark->tail + kept, bytes + length - taken, taken);
    mark->tail_length = (uint16_t)(kept + taken);
}

void tv_file_mark_note(tv_file_mark *mark, uint64_t offset, const uint8_t *bytes, size_t length) {
    if (offset != mark->offset) mark->tail_length = 0;
    note_head(mark, offset, bytes, length);
    note_tail(mark, bytes, length);
    mark->offset = offset + length;
}

static uint16_t take(int fd, uint8_t *bytes, size_t length, uint64_t offset) {
    ssize_t result = pread(fd, bytes, length, (off_t)offset);
    return result > 0 ? (uint16_t)result : 0;
}

void tv_file_mark_take(tv_file_mark *mark, int fd, uint64_t offset) {
    size_t length = offset < TV_FILE_MARK_BYTES ? (size_t)offset : TV_FILE_MARK_BYTES;
    mark->offset = offset;
    mark->head_length = take(fd, mark->head, length, 0);
    mark->tail_length = take(fd, mark->tail, length, offset - length);
    if (mark->tail_length != length) mark->tail_length = 0; // it became shorter just now, which its size will tell
}

static bool is_at(int fd, const uint8_t *bytes, size_t length, uint64_t offset) {
    uint8_t now[TV_FILE_MARK_BYTES];
    if (length == 0) return true;
    ssize_t result = pread(fd, now, length, (off_t)offset);
    return result < 0 || ((size_t)result == length && memcmp(now, bytes, length) == 0);
}

bool tv_file_mark_holds(const tv_file_mark *mark, int fd) {
    return is_at(fd, mark->head, mark->head_length, 0) &&
           is_at(fd, mark->tail, mark->tail_length, mark->offset - mark->tail_length);
}
