// A thread writes and may be left behind in its write: nothing else ends one that blocks, whatever kind of descriptor
// it is. It holds a copy of the text, so that it needs nothing of the caller's.
#include "base/print.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { STACK_BYTES = 128 << 10, LOOK_NS = 100000000, HURRY_NS = 1000000000 };

typedef struct print_job {
    int fd;
    int os_errno;           // what ended it, 0 if nothing did
    _Atomic size_t written; // of `length`
    _Atomic int users;      // the last frees it
    pthread_mutex_t lock;   // of `is_done`
    pthread_cond_t ended;
    bool is_done;
    size_t length;
    char text[];
} print_job;

static void job_unref(print_job *job) {
    if (atomic_fetch_sub(&job->users, 1) > 1) return;
    pthread_cond_destroy(&job->ended);
    pthread_mutex_destroy(&job->lock);
    free(job);
}

static int write_some(print_job *job, size_t at) {
    enum { PORTION_BYTES = 4096 }; // so that progress shows
    size_t left = job->length - at, portion = left < PORTION_BYTES ? left : PORTION_BYTES;
    ssize_t count = write(job->fd, job->text + at, portion);
    if (count >= 0) {
        atomic_fetch_add(&job->written, (size_t)count);
    } else if (errno == EAGAIN) {
        struct pollfd output = {.fd = job->fd, .events = POLLOUT};
        poll(&output, 1, -1);
    } else if (errno != EINTR) {
        return errno;
    }
    return 0;
}

static void write_all(print_job *job) {
    for (size_t at = 0; at < job->length && !job->os_errno; at = atomic_load(&job->written))
        job->os_errno = write_some(job, at);
    pthread_mutex_lock(&job->lock);
    job->is_done = true;
    pthread_cond_signal(&job->ended);
    pthread_mutex_unlock(&job->lock);
}

static void *write_on_thread(void *user) {
    print_job *job = user;
    write_all(job);
    job_unref(job);
    return NULL;
}

// Signals are for other threads.
static int start_thread(print_job *job) {
    sigset_t all, before;
    pthread_t thread;
    pthread_attr_t attributes;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &attributes, write_on_thread, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failed;
}

// Whether it has ended, after at most LOOK_NS.
static bool is_done(print_job *job) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + LOOK_NS;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_mutex_lock(&job->lock);
    for (int failed = 0; !job->is_done && failed == 0;)
        failed = pthread_cond_timedwait(&job->ended, &job->lock, &until);
    bool done = job->is_done;
    pthread_mutex_unlock(&job->lock);
    return done;
}

static tv_status wait_for(print_job *job, int64_t stall_ns, bool (*hurry)(void *user), void *user, tv_error *error) {
    const tv_clock *clock = tv_clock_system();
    int64_t begun_ns = tv_clock_monotonic_ns(clock), moved_ns = begun_ns;
    size_t seen = 0;
    while (!is_done(job)) {
        int64_t now_ns = tv_clock_monotonic_ns(clock);
        size_t written = atomic_load(&job->written);
        if (written != seen) moved_ns = now_ns;
        seen = written;
        if (hurry && stall_ns > HURRY_NS && hurry(user)) {
            stall_ns = HURRY_NS;
            begun_ns = now_ns;
        }
        if (now_ns - moved_ns >= stall_ns || now_ns - begun_ns >= TV_PRINT_STALLS_MAX * stall_ns)
            return tv_error_set(error, TV_AGAIN, "its reader takes no more: %zu of %zu bytes were written", written,
                                job->length);
    }
    return job->os_errno ? tv_error_set_errno(error, job->os_errno, "it could not be written") : TV_OK;
}

static print_job *job_new(int fd, const char *text, size_t length) {
    pthread_condattr_t monotonic;
    print_job *job = calloc(1, sizeof *job + length);
    if (!job) return NULL;
    *job = (print_job){.fd = fd, .users = 2, .length = length};
    memcpy(job->text, text, length);
    pthread_mutex_init(&job->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&job->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return job;
}

tv_status tv_print_within(int fd, const char *text, size_t length, int64_t stall_ns, bool (*hurry)(void *user),
                          void *user, tv_error *error) {
    print_job *job = job_new(fd, text, length);
    if (!job) return tv_error_set(error, TV_NO_MEMORY, "no memory to print %zu bytes", length);
    if (start_thread(job) != 0) { // no threads, but something to say: better late than never
        atomic_store(&job->users, 1);
        write_all(job);
    }
    tv_status status = wait_for(job, stall_ns, hurry, user, error);
    job_unref(job);
    return status;
}
