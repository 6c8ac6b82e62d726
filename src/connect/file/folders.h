// Folders whose changes are reported to those who follow files in them. Thousands of followers of one folder share one
// watch, and an event costs the same however many there are: it goes to the followers of the name it is about.
#ifndef TORVYN_CONNECT_FILE_FOLDERS_H
#define TORVYN_CONNECT_FILE_FOLDERS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "connect/file/internal.h"

// A place in a table of names.
typedef struct tv_file_name {
    const char *name; // borrowed
    struct tv_file_name *next;
} tv_file_name;

typedef struct tv_file_folder tv_file_folder;

// Embedded in whoever follows; not to be moved while it follows.
typedef struct tv_file_follower {
    tv_file_name name; // first: the table's
    tv_file_folder *folder;
    const char *pattern; // set before: reports all names that fit it, not only the path's own; borrowed. Else NULL
    // Names have come, gone or been replaced (`renamed`), or a file's content has changed. Must not follow or unfollow.
    void (*changed)(struct tv_file_follower *follower, bool renamed);
} tv_file_follower;

// Begins to report changes of `path`, which is borrowed until the end, as is *place: the folders of one loop, NULL
// while there are none. Returns 0 or libuv's error. I/O thread; one system call that looks the folder up.
int tv_file_follow(void **place, uv_loop_t *loop, const char *path, tv_file_follower *follower);
// Whether the watch is still for what is at the folder's path `now`. Otherwise (the folder was removed, or another one
// was put into its place) watches that from now on; what has happened before is to be looked for once more.
bool tv_file_is_reported(tv_file_follower *follower, tv_file_identity now);
// May be called again, or without tv_file_follow before. What is left of the folder's watch closes by itself.
void tv_file_unfollow(tv_file_follower *follower);
// Logs that tv_file_follow has failed, why, and what to do about it.
void tv_file_say_unreported(const char *place, const char *path, int uv_error, int64_t poll_ns);

#endif
