// What a followed file was when it was read: enough of its content to see that it has been written anew since. Device
// and inode cannot tell that, nor can the size when the new content is as long as the old or longer.
#ifndef TORVYN_CONNECT_FILE_MARK_H
#define TORVYN_CONNECT_FILE_MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Compared with the bytes of the file: those it begins with, and those in front of the place up to which it was read.
enum { TV_FILE_MARK_BYTES = 256 };

typedef struct tv_file_mark {
    uint64_t offset; // where `tail` ends
    uint16_t head_length, tail_length;
    uint8_t head[TV_FILE_MARK_BYTES], tail[TV_FILE_MARK_BYTES];
} tv_file_mark;

// `length` bytes at `offset` have been read; zero-initialise it before the first.
void tv_file_mark_note(tv_file_mark *mark, uint64_t offset, const uint8_t *bytes, size_t length);
// Of a file of which nothing was read, but that is to be read from `offset` on. Blocks on the file.
void tv_file_mark_take(tv_file_mark *mark, int fd, uint64_t offset);
// Whether the file still has the bytes of the mark; true if it cannot be read. Blocks on the file.
bool tv_file_mark_holds(const tv_file_mark *mark, int fd);

#endif
