// Looking at a followed file: system calls that may block (thread pool), and the decision that follows, which is
// pure. A file is told by device and inode; the open descriptor keeps its inode from being used again.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connect/file/internal.h"

int tv_file_open_regular(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return -errno;
    struct stat status;
    int problem = 0;
    if (fstat(fd, &status) != 0) {
        problem = errno;
    } else if (!S_ISREG(status.st_mode)) {
        problem = S_ISDIR(status.st_mode) ? EISDIR : ENOTSUP;
    }
    if (problem == 0) return fd;
    close(fd);
    return -problem;
}

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static void look_at_path(const char *path, int newest_fd, tv_file_view *view) {
    struct stat at_path, at_fd;
    if (stat(path, &at_path) != 0) {
        view->os_errno = errno;
        return;
    }
    if (newest_fd >= 0 && fstat(newest_fd, &at_fd) == 0 && same_file(&at_path, &at_fd)) {
        view->presence = TV_FILE_SAME;
        return;
    }
    int opened = tv_file_open_regular(path);
    if (opened < 0) {
        view->os_errno = -opened;
        return;
    }
    view->presence = TV_FILE_OTHER;
    view->new_fd = opened;
}

void tv_file_look(const char *path, int newest_fd, int fd, tv_file_view *view) {
    *view = (tv_file_view){.presence = TV_FILE_ABSENT, .new_fd = -1};
    if (path) look_at_path(path, newest_fd, view);
    struct stat status;
    if (fd >= 0 && fstat(fd, &status) == 0) view->size_bytes = (uint64_t)status.st_size;
}

tv_file_verdict tv_file_judge(const tv_file_view *view, bool readable, uint64_t read_offset, bool switch_due) {
    if (readable && view->size_bytes > read_offset) return TV_FILE_READ_ON;
    if (switch_due) return TV_FILE_SWITCH;
    if (readable && view->size_bytes < read_offset) return TV_FILE_RESTART;
    return TV_FILE_WAIT;
}
