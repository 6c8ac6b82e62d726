// Files by pattern: the last part of a path may hold `*`, `?` and `[...]` (a backslash takes their meaning away), for
// loggers that begin a file with another name each day. The files are taken in the order of their names, in which
// numbers count by their value (log-9 before log-10).
#ifndef TORVYN_CONNECT_FILE_PATTERN_H
#define TORVYN_CONNECT_FILE_PATTERN_H

#include <stdbool.h>

// Whether there is such a character in the name, or in the folders before it (where it is not understood).
bool tv_file_is_pattern(const char *path);
bool tv_file_folder_is_pattern(const char *path);
// Where the name begins in a path.
const char *tv_file_name_in(const char *path);
// Whether the pattern's name fits.
bool tv_file_matches(const char *pattern, const char *name);

typedef enum tv_file_which { TV_FILE_FIRST, TV_FILE_LAST } tv_file_which;
// The first or last regular file of the pattern, of those whose names come behind that of `after` (a path; NULL: of
// all). Returns 0 and its path (heap), or 0 and NULL if there is none, or an errno. Blocks: reads the folder.
int tv_file_find(const char *pattern, const char *after, tv_file_which which, char **path);

#endif
