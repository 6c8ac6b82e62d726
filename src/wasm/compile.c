// The parent's side of compiling: runs the child, feeds it, bounds what it reads back and how long it waits, and
// reaps it by its id. Trusts nothing the child says but its exit code and, on success, its output.
#include "wasm/compile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/option.h"
#include "wasm/limits.h"

enum { STDERR_BYTES_MAX = 700 };

typedef struct compile_run {
    pid_t pid;
    int in, out, err; // our ends; -1 once closed
    const uint8_t *left;
    size_t left_bytes;
    uint8_t *bytes;
    size_t length, length_max, capacity;
    char text[STDERR_BYTES_MAX + 1];
    size_t text_length;
    int64_t deadline_ns;
} compile_run;

static void close_fd(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

// ---- spawning -----------------------------------------------------------------------------------------------

// The child's ends of three channels, by descriptor number there.
typedef struct child_ends {
    int fds[3];
} child_ends;

static bool open_channels(compile_run *run, child_ends *child) {
    int in[2], out[2], err[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0) return false;
    run->in = in[0];
    child->fds[0] = in[1];
    if (pipe2(out, O_CLOEXEC) != 0) return false;
    run->out = out[0];
    child->fds[1] = out[1];
    if (pipe2(err, O_CLOEXEC) != 0) return false;
    run->err = err[0];
    child->fds[2] = err[1];
    return shutdown(in[1], SHUT_WR) == 0;
}

static int spawn_actions(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, const child_ends *child) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int failed = 0;
    for (int i = 0; i < 3 && !failed; i++) {
        failed = posix_spawn_file_actions_adddup2(actions, child->fds[i], i);
    }
    if (!failed) failed = posix_spawn_file_actions_addclosefrom_np(actions, 3);
    if (!failed) failed = posix_spawnattr_setsigmask(attributes, &none);
    if (!failed) failed = posix_spawnattr_setsigdefault(attributes, &all);
    if (!failed)
        failed = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                          POSIX_SPAWN_SETPGROUP); // a terminal's ^C is for the host
    return failed;
}

static int spawn(const tv_compile_options *options, const child_ends *child, pid_t *pid) {
    char memory[24], seconds[16];
    snprintf(memory, sizeof memory, "%llu", (unsigned long long)options->memory_bytes_max);
    snprintf(seconds, sizeof seconds, "%u", options->seconds_max);
    const char *mode = options->memory_mode == TV_MEMORY_COMPACT ? "compact" : "guard";
    if (options->only_validate) mode = "validate";
    const char *argv[] = {"torvyn", TV_COMPILE_VERB, mode, memory, seconds, NULL};
    char *const environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int failed = spawn_actions(&actions, &attributes, child);
    if (!failed)
        failed = posix_spawn(pid, options->compiler_path, &actions, &attributes, (char *const *)(uintptr_t)argv,
                             environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failed;
}

static tv_status start(const tv_compile_options *options, compile_run *run, tv_error *error) {
    child_ends child = {{-1, -1, -1}};
    int failed = open_channels(run, &child) ? 0 : errno;
    if (!failed) failed = spawn(options, &child, &run->pid);
    for (int i = 0; i < 3; i++) {
        close_fd(&child.fds[i]);
    }
    if (failed) return tv_error_set_errno(error, failed, "cannot run the compiler (%s)", options->compiler_path);
    return TV_OK;
}

// ---- talking ------------------------------------------------------------------------------------------------

static void feed(compile_run *run) {
    ssize_t put = send(run->in, run->left, run->left_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (put > 0) {
        run->left += put;
        run->left_bytes -= (size_t)put;
    }
    if (put <= 0 || run->left_bytes == 0) close_fd(&run->in);
}

static tv_status make_room(compile_run *run) {
    if (run->length > run->length_max) return TV_LIMIT;
    if (run->length < run->capacity) return TV_OK;
    size_t capacity = run->capacity ? run->capacity * 2 : 1 << 18;
    uint8_t *larger = realloc(run->bytes, capacity);
    if (!larger) return TV_NO_MEMORY;
    run->bytes = larger;
    run->capacity = capacity;
    return TV_OK;
}

static tv_status read_output(compile_run *run) {
    tv_status status = make_room(run);
    if (status != TV_OK) return status;
    ssize_t got = read(run->out, run->bytes + run->length, run->capacity - run->length);
    if (got > 0)
        run->length += (size_t)got;
    else if (got == 0 || errno != EINTR)
        close_fd(&run->out);
    return TV_OK;
}

// Keeps the beginning of what it says and drops the rest.
static void read_errors(compile_run *run) {
    char buffer[256];
    ssize_t got = read(run->err, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) return;
    if (got <= 0) {
        close_fd(&run->err);
        return;
    }
    size_t room = STDERR_BYTES_MAX - run->text_length;
    size_t count = (size_t)got < room ? (size_t)got : room;
    memcpy(run->text + run->text_length, buffer, count);
    run->text_length += count;
}

static tv_status talk(compile_run *run) {
    while (run->out >= 0 || run->err >= 0) {
        int64_t left_ns = run->deadline_ns - tv_clock_monotonic_ns(tv_clock_system());
        if (left_ns <= 0) return TV_AGAIN;
        struct pollfd fds[3] = {
            {.fd = run->in, .events = POLLOUT}, {.fd = run->out, .events = POLLIN}, {.fd = run->err, .events = POLLIN}};
        int ready = poll(fds, 3, (int)(left_ns / 1000000) + 1);
        if (ready < 0 && errno != EINTR) return TV_IO;
        if (ready <= 0) continue;
        if (fds[0].revents) feed(run);
        if (fds[1].revents) {
            tv_status status = read_output(run);
            if (status != TV_OK) return status;
        }
        if (fds[2].revents) read_errors(run);
    }
    return TV_OK;
}

// ---- ending -------------------------------------------------------------------------------------------------

// Having closed its outputs, a healthy child is gone at once; one that is not gets killed at the deadline.
static void await_exit(const compile_run *run) {
    int fd = (int)syscall(SYS_pidfd_open, run->pid, 0);
    if (fd < 0) return; // before Linux 5.3: the CPU limit has to do
    struct pollfd exited = {.fd = fd, .events = POLLIN};
    int64_t left_ns = run->deadline_ns - tv_clock_monotonic_ns(tv_clock_system());
    if (poll(&exited, 1, left_ns > 0 ? (int)(left_ns / 1000000) + 1 : 0) == 0) kill(run->pid, SIGKILL);
    close(fd);
}

static int reap(pid_t pid) {
    int state;
    while (waitpid(pid, &state, 0) < 0) {
        if (errno != EINTR) return -1;
    }
    return state;
}

static tv_status judge_talk(const tv_compile_options *options, const compile_run *run, tv_status talked,
                            tv_error *error) {
    char text[32];
    switch (talked) {
    case TV_AGAIN:
        return tv_error_set(error, TV_LIMIT, "compiling the module took longer than %u s and was stopped",
                            options->seconds_max);
    case TV_LIMIT:
        return tv_error_set(error, TV_LIMIT, "the compiled module is larger than %s",
                            tv_format_size(run->length_max, text));
    case TV_NO_MEMORY: return tv_error_set(error, TV_NO_MEMORY, "no memory for the compiled module");
    default: return tv_error_set(error, TV_IO, "talking to the compiler failed");
    }
}

static tv_status judge_signal(const tv_compile_options *options, const compile_run *run, int number, tv_error *error) {
    char text[32];
    if (number == SIGXCPU || number == SIGKILL)
        return tv_error_set(
            error, TV_LIMIT,
            "compiling the module was stopped: it took more than %u s of CPU time, or the system is out "
            "of memory",
            options->seconds_max);
    if (strstr(run->text, "memory allocation"))
        return tv_error_set(error, TV_LIMIT, "compiling the module takes more than %s of memory",
                            tv_format_size(options->memory_bytes_max, text));
    return tv_error_set(error, TV_INVALID, "the compiler crashed on this module (signal %d): %s", number, run->text);
}

static tv_status judge(const tv_compile_options *options, const compile_run *run, int state, tv_error *error) {
    if (state < 0) return tv_error_set(error, TV_IO, "the compiler's exit code was lost");
    if (WIFSIGNALED(state)) return judge_signal(options, run, WTERMSIG(state), error);
    switch (WEXITSTATUS(state)) {
    case 0:
        if (run->length == 0 && !options->only_validate)
            return tv_error_set(error, TV_IO, "the compiler gave no result");
        if (run->text_length > 0) tv_log_text(TV_LEVEL_WARN, "wasm", run->text, strcspn(run->text, "\n"));
        return TV_OK;
    case TV_COMPILE_INVALID: return tv_error_set(error, TV_INVALID, "the module is not valid: %s", run->text);
    case TV_COMPILE_UNSUPPORTED:
        return tv_error_set(error, TV_UNSUPPORTED, "the module uses a feature that Torvyn refuses (contract 1.1): %s",
                            run->text);
    case 127: return tv_error_set(error, TV_IO, "cannot run the compiler (%s)", options->compiler_path);
    default: return tv_error_set(error, TV_IO, "the compiler failed (exit code %d): %s", WEXITSTATUS(state), run->text);
    }
}

tv_status tv_compile(const tv_compile_options *options, const uint8_t *module, size_t length, uint8_t **compiled,
                     size_t *compiled_length, tv_error *error) {
    compile_run run = {.in = -1, .out = -1, .err = -1, .left = module, .left_bytes = length};
    run.deadline_ns =
        tv_time_add_saturating(tv_clock_monotonic_ns(tv_clock_system()), (int64_t)options->seconds_max * 1000000000);
    run.length_max = length < (TV_COMPILED_BYTES_MAX - TV_COMPILED_BYTES_BASE) / 64
                         ? TV_COMPILED_BYTES_BASE + 64 * length
                         : TV_COMPILED_BYTES_MAX;
    tv_status status = start(options, &run, error);
    if (status == TV_OK) {
        tv_status talked = talk(&run);
        if (talked != TV_OK) kill(run.pid, SIGKILL);
        await_exit(&run);
        int state = reap(run.pid);
        status = talked == TV_OK ? judge(options, &run, state, error) : judge_talk(options, &run, talked, error);
    }
    close_fd(&run.in);
    close_fd(&run.out);
    close_fd(&run.err);
    if (status != TV_OK) {
        free(run.bytes);
        return status;
    }
    *compiled = run.bytes;
    *compiled_length = run.length;
    return TV_OK;
}
