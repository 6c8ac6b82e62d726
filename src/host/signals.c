// The handler notes number and time and wakes the loop; it may run on any thread, a worker inside a guest too, so it
// does nothing else. What follows is decided in run_stop.c.
#include "host/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include <sys/eventfd.h>

#include "host/host.h"

enum { SAME_REQUEST_NS = 1000000000 };

static struct {
    _Atomic int first, second;
    _Atomic int64_t first_ns, second_ns; // 0: none came
    _Atomic bool started;
    int fd;
} signals = {.fd = -1};

static int64_t now_ns(void) { // clock_gettime is allowed in a handler
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// The time is what is taken first, so that two threads with a signal each do not both have the first one.
static bool note(_Atomic int64_t *time_ns, _Atomic int *number, int number_now, int64_t now) {
    int64_t none = 0;
    if (!atomic_compare_exchange_strong(time_ns, &none, now)) return false;
    atomic_store(number, number_now);
    return true;
}

static void on_signal(int number) {
    int saved_errno = errno;
    int64_t now = now_ns();
    if (!note(&signals.first_ns, &signals.first, number, now)) {
        if (now - atomic_load(&signals.first_ns) < SAME_REQUEST_NS) return;
        bool last = !atomic_load(&signals.started);
        if (!note(&signals.second_ns, &signals.second, number, now))
            last = last || now - atomic_load(&signals.second_ns) >= SAME_REQUEST_NS;
        if (last) _exit(128 + number);
    }
    uint64_t one = 1;
    ssize_t written = write(signals.fd, &one, sizeof one);
    (void)written;
    errno = saved_errno;
}

static void ignore(int number) {
    struct sigaction action = {.sa_handler = SIG_IGN};
    sigaction(number, &action, NULL);
}

void tv_host_signals_prepare(void) {
    ignore(SIGUSR1);
    ignore(SIGUSR2);
    ignore(SIGPIPE); // a reader that went away is an error of its channel, not the end of the process
    ignore(SIGXFSZ); // and so is a file that may not grow any more
    ignore(SIGTTOU); // a terminal that stops jobs which write in the background must not stop flows
}

// What was ignored when the process began (nohup) stays so.
static void catch_unless_ignored(int number, const struct sigaction *action) {
    struct sigaction present;
    if (sigaction(number, NULL, &present) == 0 && present.sa_handler == SIG_IGN) return;
    sigaction(number, action, NULL);
}

tv_status tv_signals_install(tv_error *error) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    if (signals.fd < 0) signals.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signals.fd < 0) return tv_error_set_errno(error, errno, "signals cannot be received");
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    catch_unless_ignored(SIGHUP, &action);
    catch_unless_ignored(SIGQUIT, &action);
    return TV_OK;
}

void tv_signals_started(void) { atomic_store(&signals.started, true); }

int tv_signals_first(void) { return atomic_load(&signals.first); }

int tv_signals_second(void) { return atomic_load(&signals.second); }

int tv_signals_fd(void) { return signals.fd; }

void tv_signals_seen(void) {
    uint64_t count;
    ssize_t got = read(signals.fd, &count, sizeof count);
    (void)got;
}

const char *tv_signals_name(int number) {
    switch (number) {
    case SIGINT: return "SIGINT";
    case SIGTERM: return "SIGTERM";
    case SIGHUP: return "SIGHUP";
    case SIGQUIT: return "SIGQUIT";
    default: return "a signal";
    }
}
