// The thread that writes the log. It alone waits for whoever reads standard error: a terminal that was stopped, a slow
// serial line, a full pipe. Everybody else puts lines into a bounded queue and goes on.
//
// O_NONBLOCK would not do: it belongs to the open file description, which the shell and others share; and a descriptor
// that polls writable may take less than a line and wait for the rest.
#include "base/log_output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_ring.h"

enum { STACK_BYTES = 256 << 10 };

static struct {
    tv_log_ring ring;
    _Atomic bool started;
    _Atomic bool sleeping; // or about to: whoever puts something in wakes it
    _Atomic bool stopping;
    _Atomic uint64_t lost; // in all
    sem_t wake;
    pthread_t thread;
    pthread_mutex_t lock; // of what is below; never held over a write
    pthread_cond_t drained;
    bool idle; // all there was has been written
} output = {.lock = PTHREAD_MUTEX_INITIALIZER, .idle = true};

// ---- writing ------------------------------------------------------------------------------------------------

// False: it cannot be written at all. A descriptor that another process has made non-blocking is waited for, too.
static bool write_line(const char *bytes, size_t length) {
    size_t done = 0;
    while (done < length) {
        ssize_t count = write(STDERR_FILENO, bytes + done, length - done);
        if (count > 0) {
            done += (size_t)count;
        } else if (count < 0 && errno == EAGAIN) {
            struct pollfd error_output = {.fd = STDERR_FILENO, .events = POLLOUT};
            poll(&error_output, 1, -1);
        } else if (count == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

static void count_lost(void) {
    tv_log_ring_count_lost(&output.ring);
    atomic_fetch_add(&output.lost, 1);
}

// Lines that could not be written for an error are said as soon as a line can be: the disk behind it may be full.
static bool write_next(void) {
    static char line[TV_LOG_LINE_BYTES_MAX];
    static uint64_t unwritten;
    uint64_t lost = tv_log_ring_take_lost(&output.ring) + unwritten;
    size_t length;
    unwritten = 0;
    if (lost > 0) {
        length = tv_log_build_lost(lost, line, sizeof line);
        if (!write_line(line, length)) unwritten = lost;
    }
    length = tv_log_ring_take(&output.ring, line);
    if (length == 0) return false;
    if (write_line(line, length)) return true;
    unwritten++;
    atomic_fetch_add(&output.lost, 1);
    return true;
}

static void set_idle(bool idle) {
    pthread_mutex_lock(&output.lock);
    output.idle = idle;
    if (idle) pthread_cond_broadcast(&output.drained);
    pthread_mutex_unlock(&output.lock);
}

static void *write_lines(void *unused) {
    (void)unused;
    while (true) {
        while (write_next()) {
        }
        atomic_store(&output.sleeping, true);
        if (!tv_log_ring_is_idle(&output.ring)) {
            atomic_store(&output.sleeping, false);
            continue;
        }
        set_idle(true);
        if (atomic_load(&output.stopping)) return NULL;
        while (sem_wait(&output.wake) != 0) {
        }
        set_idle(false);
    }
}

static void wake_writer(void) {
    if (atomic_exchange(&output.sleeping, false)) sem_post(&output.wake);
}

// ---- for everybody ------------------------------------------------------------------------------------------

void tv_log_output_line(const char *bytes, size_t length) {
    if (!atomic_load(&output.started)) {
        (void)write_line(bytes, length); // there is nobody to tell
        return;
    }
    if (!tv_log_ring_put(&output.ring, bytes, length)) count_lost();
    wake_writer();
}

bool tv_log_status(const char *bytes, size_t length) {
    if (!atomic_load(&output.started)) return write_line(bytes, length);
    if (length == 0 || length > TV_LOG_LINE_BYTES_MAX) return false;
    if (!tv_log_ring_is_empty(&output.ring) || !atomic_load(&output.sleeping)) return false;
    bool put = tv_log_ring_put(&output.ring, bytes, length);
    wake_writer();
    return put;
}

uint64_t tv_log_lost(void) { return atomic_load(&output.lost); }

// Signals are for other threads: none of them shall end a write early.
static int start_thread(void) {
    sigset_t all, before;
    pthread_attr_t attributes;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&output.thread, &attributes, write_lines, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (!failed) pthread_setname_np(output.thread, "tv-log");
    return failed;
}

tv_status tv_log_start(tv_error *error) {
    pthread_condattr_t monotonic;
    if (atomic_load(&output.started)) return TV_OK;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&output.drained, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sem_init(&output.wake, 0, 0);
    output.idle = false;
    atomic_store(&output.stopping, false);
    int failed = start_thread();
    if (failed)
        return tv_error_set_errno(error, failed,
                                  "the thread that writes the log cannot be made (limits of threads "
                                  "and memory: ulimit -u, ulimit -v, TasksMax)");
    atomic_store(&output.started, true);
    return TV_OK;
}

static struct timespec time_from_now(int64_t wait_ns) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    int64_t ns = at.tv_nsec + wait_ns % 1000000000;
    at.tv_sec += (time_t)(wait_ns / 1000000000 + ns / 1000000000);
    at.tv_nsec = (long)(ns % 1000000000);
    return at;
}

bool tv_log_flush(int64_t wait_ns) {
    if (!atomic_load(&output.started)) return true;
    struct timespec until = time_from_now(wait_ns);
    int failed = 0;
    pthread_mutex_lock(&output.lock);
    while (failed == 0 && !(output.idle && tv_log_ring_is_empty(&output.ring)))
        failed = pthread_cond_timedwait(&output.drained, &output.lock, &until);
    pthread_mutex_unlock(&output.lock);
    return failed == 0;
}

bool tv_log_stop(int64_t wait_ns) {
    if (!atomic_load(&output.started)) return true;
    if (!tv_log_flush(wait_ns)) return false;
    atomic_store(&output.stopping, true);
    sem_post(&output.wake);
    pthread_join(output.thread, NULL);
    sem_destroy(&output.wake);
    pthread_cond_destroy(&output.drained);
    atomic_store(&output.started, false);
    return true;
}
