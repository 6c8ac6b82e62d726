// Ends a test that waits in vain: TV_AWAIT in front of a loop that waits for something another thread or process does.
//
// The limit is there to fail, with the name of what did not come, instead of hanging until the test run ends. It is a
// process-wide alarm: one thread of a test waits at a time.
#ifndef TORVYN_BASE_TESTING_AWAIT_H
#define TORVYN_BASE_TESTING_AWAIT_H

#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { TV_AWAIT_S = 30 };

typedef struct tv_await {
    const char *outer_what; // of the wait around this one, if any, and the seconds it has left
    unsigned outer_s;
} tv_await;

static const char *volatile tv_awaited;

static void tv_await_fail(int signal) {
    static const char begin[] = "FAILED: waited 30 s for ";
    (void)signal;
    ssize_t written = write(STDERR_FILENO, begin, sizeof begin - 1);
    written += write(STDERR_FILENO, tv_awaited, strlen(tv_awaited));
    written += write(STDERR_FILENO, "\n", 1);
    _exit(written > 0 ? 1 : 2);
}

static inline tv_await tv_await_begin(const char *what) {
    tv_await outer = {tv_awaited, 0};
    tv_awaited = what;
    signal(SIGALRM, tv_await_fail);
    outer.outer_s = alarm(TV_AWAIT_S);
    return outer;
}

static inline void tv_await_end(const tv_await *await) {
    tv_awaited = await->outer_what;
    alarm(await->outer_s);
}

// From here to the end of the block at most TV_AWAIT_S seconds, else the process ends as a failed test, saying `what`.
#define TV_AWAIT(what) __attribute__((cleanup(tv_await_end), unused)) const tv_await awaited_ = tv_await_begin(what)

#endif
