// The stream behind a standard descriptor.
//
// O_NONBLOCK belongs to the open file description, which the shell and other programs share: setting it would break
// them. So pipes and terminals are opened once more through /proc, which gives a description of our own; sockets
// take MSG_DONTWAIT with each call. libuv sets O_NONBLOCK on what it polls, too: it is given an epoll descriptor
// that stands for the stream.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connect/stdio/internal.h"

static void open_again(tv_stream *stream, int number, bool writing) {
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", number);
    int fd = open(path, (writing ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) return; // no /proc, or a terminal of another user: then calls are kept short enough not to block
    stream->fd = fd;
    stream->owned = true;
}

static tv_status watch(tv_stream *stream, const char *name, bool writing, tv_error *error) {
    stream->ready_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = writing ? EPOLLOUT : EPOLLIN};
    if (stream->ready_fd >= 0 && epoll_ctl(stream->ready_fd, EPOLL_CTL_ADD, stream->fd, &event) == 0) return TV_OK;
    int os_errno = errno;
    tv_stream_close(stream);
    return tv_error_set_errno(error, os_errno, "cannot wait for %s", name);
}

tv_status tv_stream_open(tv_stream *stream, int number, bool writing, tv_error *error) {
    const char *name = writing ? "standard output" : "standard input";
    struct stat status;
    int flags = fcntl(number, F_GETFL);
    bool is_open = flags >= 0 && (flags & O_ACCMODE) != (writing ? O_RDONLY : O_WRONLY);
    if (!is_open || fstat(number, &status) != 0) return tv_error_set(error, TV_INVALID, "%s is not open", name);
    if (S_ISDIR(status.st_mode)) return tv_error_set(error, TV_INVALID, "%s is a folder", name);
    *stream = (tv_stream){.kind = TV_STREAM_POLLED, .fd = number, .ready_fd = -1};
    stream->is_socket = S_ISSOCK(status.st_mode);
    if (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode) || (S_ISCHR(status.st_mode) && !isatty(number))) {
        stream->kind = TV_STREAM_FILE;
        return TV_OK;
    }
    if (!stream->is_socket) open_again(stream, number, writing);
    return watch(stream, name, writing, error);
}

void tv_stream_close(tv_stream *stream) {
    if (stream->ready_fd >= 0) close(stream->ready_fd);
    if (stream->owned) close(stream->fd);
    *stream = (tv_stream){.fd = -1, .ready_fd = -1};
}

static ssize_t answer(ssize_t result) {
    if (result >= 0) return result;
    return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

// A blocking description must not be touched unless it is ready. `most`: how much is then taken without blocking.
static size_t without_blocking(const tv_stream *stream, size_t length, size_t most) {
    if (stream->owned || stream->is_socket) return length;
    struct epoll_event event;
    if (epoll_wait(stream->ready_fd, &event, 1, 0) != 1) return 0;
    return length < most ? length : most;
}

ssize_t tv_stream_read(tv_stream *stream, uint8_t *bytes, size_t capacity) {
    if (without_blocking(stream, capacity, capacity) == 0) return -EAGAIN;
    if (stream->is_socket) return answer(recv(stream->fd, bytes, capacity, MSG_DONTWAIT));
    return answer(read(stream->fd, bytes, capacity));
}

ssize_t tv_stream_write(tv_stream *stream, const uint8_t *bytes, size_t length) {
    size_t portion = without_blocking(stream, length, PIPE_BUF);
    if (portion == 0) return -EAGAIN;
    if (stream->is_socket) return answer(send(stream->fd, bytes, portion, MSG_DONTWAIT | MSG_NOSIGNAL));
    return answer(write(stream->fd, bytes, portion));
}
