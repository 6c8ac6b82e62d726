// Text for people or programs, to a descriptor whose reader may have stopped.
#ifndef TORVYN_BASE_PRINT_H
#define TORVYN_BASE_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { TV_PRINT_STALLS_MAX = 10 };

// Writes the text, and gives up when the reader has taken nothing for `stall_ns`, or not all within
// TV_PRINT_STALLS_MAX times that. `hurry` (NULL is allowed) is asked ten times a second while it waits; from when it is
// true on, `stall_ns` is at most one second. Blocks for so long; allocates a copy.
// AGAIN: given up, with part of the text written; others: it could not be written, with `error`.
tv_status tv_print_within(int fd, const char *text, size_t length, int64_t stall_ns, bool (*hurry)(void *user),
                          void *user, tv_error *error);

#endif
