// Names by a glob: `*` any letters, `?` one, `[a-z]` and `[!a-z]` one of those, `\\` takes the next as it is.
//
// fnmatch tries all ways of many `*`, which takes longer than anybody lives; and what is matched comes from clients and
// is matched on the thread that serves all connectors. Here it takes at most the product of both lengths.
#ifndef TORVYN_HOST_GLOB_H
#define TORVYN_HOST_GLOB_H

#include <stdbool.h>

enum { TV_HOST_GLOB_BYTES_MAX = 256 };

// Whether the whole name matches. A bracket that is not closed is a letter.
bool tv_host_glob_matches(const char *glob, const char *name);

#endif
