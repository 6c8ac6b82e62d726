// Where a broken promise ends: one line to standard error, then abort, so that a core dump shows the caller.
// Uses neither the log nor the heap, since either may be what is broken.
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

#include <unistd.h>

_Noreturn void tv_assert_failed(const char *condition, const char *file, int line) {
    char text[512];
    int length = snprintf(text, sizeof text, "torvyn: assertion failed: %s (%s:%d)\n", condition, file, line);
    size_t bytes = length < 0 ? 0 : (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    ssize_t written = write(STDERR_FILENO, text, bytes);
    (void)written;
    abort();
}
