// Where a broken promise ends: one line to standard error, then abort, so that a core dump shows the caller.
// Uses neither the log nor the heap for it, since either may be what is broken. What was logged before gets a moment to
// come out; an alarm sees to it that a terminal that is not read, or a lock that is held, does not keep a broken
// process alive.
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

#include <signal.h>
#include <unistd.h>

#include "base/log.h"

static void on_alarm(int number) {
    (void)number;
    abort();
}

_Noreturn void tv_assert_failed(const char *condition, const char *file, int line) {
    enum { FLUSH_NS = 200000000 };
    char text[512];
    int length = snprintf(text, sizeof text, "torvyn: assertion failed: %s (%s:%d)\n", condition, file, line);
    size_t bytes = length < 0 ? 0 : (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    signal(SIGALRM, on_alarm);
    alarm(1);
    ssize_t written = write(STDERR_FILENO, text, bytes);
    (void)written;
    (void)tv_log_flush(FLUSH_NS);
    abort();
}
