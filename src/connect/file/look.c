// Looking at a followed file: system calls that may block (thread pool), and the decision that follows, which is
// pure. A file is told by device and inode; the open descriptor keeps its inode from being used again.
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "connect/file/internal.h"
#include "connect/file/mark.h"
#include "connect/file/pattern.h"

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

tv_status tv_file_open_error(const char *path, int os_errno, tv_error *error) {
    if (os_errno == EISDIR) return tv_error_set(error, TV_INVALID, "cannot read %s: it is a folder", path);
    if (os_errno == ENOTSUP) {
        return tv_error_set(error, TV_INVALID,
                            "cannot read %s: it is not a regular file (for pipes and terminals use `connector: stdio`)",
                            path);
    }
    if (os_errno == ENOENT) {
        return tv_error_set(
            error, TV_NOT_FOUND,
            "cannot read %s: No such file or directory%s (`mode: follow` with `missing: wait` waits for it)", path,
            path[0] == '/' ? "" : " in the working directory");
    }
    tv_error_set_errno(error, os_errno, "cannot read %s", path);
    if (error) error->status = os_errno == EACCES ? TV_DENIED : TV_IO;
    return error ? error->status : TV_IO;
}

// File systems that nobody else writes to behind the kernel's back. Others, remote ones above all, are looked at often.
static bool is_local(const char *path) {
    enum { XFS_MAGIC = 0x58465342, JFFS2_MAGIC = 0x72b6, UBIFS_MAGIC = 0x24051905, EXFAT_MAGIC = 0x2011bab0 };
    static const uint32_t local[] = {EXT4_SUPER_MAGIC,  XFS_MAGIC,   BTRFS_SUPER_MAGIC,    F2FS_SUPER_MAGIC,
                                     TMPFS_MAGIC,       RAMFS_MAGIC, JFFS2_MAGIC,          UBIFS_MAGIC,
                                     MSDOS_SUPER_MAGIC, EXFAT_MAGIC, OVERLAYFS_SUPER_MAGIC};
    struct statfs status;
    if (statfs(path, &status) != 0) return false;
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if ((uint32_t)status.f_type == local[i]) return true;
    return false;
}

tv_file_identity tv_file_identify(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0) return (tv_file_identity){0};
    return (tv_file_identity){(uint64_t)status.st_dev, (uint64_t)status.st_ino};
}

// Through a symbolic link the file lies in another folder than the one whose changes are reported.
static bool find(const char *path, struct stat *status, tv_file_view *view) {
    bool found = lstat(path, status) == 0, linked = found && S_ISLNK(status->st_mode);
    if (linked) found = stat(path, status) == 0;
    if (!found) view->os_errno = errno;
    view->is_noticed = found && !linked && is_local(path);
    return found;
}

static tv_file_identity folder_of(const char *path) {
    char folder[4096];
    const char *slash = strrchr(path, '/');
    if (!slash) return tv_file_identify(".");
    size_t length = (size_t)(slash - path) + 1;
    if (length >= sizeof folder) return (tv_file_identity){0};
    memcpy(folder, path, length);
    folder[length] = 0;
    return tv_file_identify(folder);
}

static void look_at_path(const char *path, int newest_fd, tv_file_view *view) {
    struct stat at_path, at_fd;
    bool is_open = newest_fd >= 0 && fstat(newest_fd, &at_fd) == 0;
    view->folder = folder_of(path);
    view->is_linked = is_open && at_fd.st_nlink > 0;
    if (!find(path, &at_path, view)) return;
    if (is_open && same_file(&at_path, &at_fd)) {
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

// ---- the next file of a pattern -----------------------------------------------------------------------------

static int64_t age_ns(int fd) {
    struct stat status;
    struct timespec now;
    if (fstat(fd, &status) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0) return 0;
    int64_t seconds = now.tv_sec - status.st_mtim.tv_sec, limit = 366 * 86400LL;
    if (seconds > limit) seconds = limit;
    return seconds > 1 ? (seconds - 1) * 1000000000 : 0;
}

static bool is_open_as(int fd, int newest_fd) {
    struct stat a, b;
    return newest_fd >= 0 && fstat(fd, &a) == 0 && fstat(newest_fd, &b) == 0 && same_file(&a, &b);
}

// A file that got another name of the pattern is no next file.
static void look_for_next(const tv_file_look_at *at, tv_file_view *view) {
    enum { RENAMED_MAX = 16 };
    bool is_first = at->path == at->pattern;
    tv_file_which which = is_first && !at->from_first ? TV_FILE_LAST : TV_FILE_FIRST;
    char *after = NULL, *path = NULL;
    for (int i = 0; i < RENAMED_MAX; i++) {
        int os_errno = tv_file_find(at->pattern, after ? after : is_first ? NULL : at->path, which, &path);
        free(after);
        if (os_errno != 0 || !path) return;
        int opened = tv_file_open_regular(path);
        view->new_path = path;
        if (opened < 0) view->os_errno = -opened;
        if (opened < 0) return;
        if (!is_open_as(opened, at->newest_fd)) {
            view->presence = TV_FILE_OTHER;
            view->new_fd = opened;
            view->new_age_ns = age_ns(opened);
            return;
        }
        close(opened);
        after = path;
        view->new_path = NULL;
    }
    free(after);
}

// ---- both ---------------------------------------------------------------------------------------------------

static void look_at_content(const tv_file_look_at *at, tv_file_view *view) {
    struct stat status;
    uint8_t byte = 0;
    if (at->fd < 0 || fstat(at->fd, &status) != 0) return;
    view->size_bytes = (uint64_t)status.st_size;
    view->is_rewritten = at->mark && !tv_file_mark_holds(at->mark, at->fd);
    if (at->nul_offset == TV_FILE_NO_OFFSET) return;
    view->is_written = pread(at->fd, &byte, 1, (off_t)at->nul_offset) == 1 && byte != 0;
}

void tv_file_look(const tv_file_look_at *at, tv_file_view *view) {
    *view = (tv_file_view){.presence = TV_FILE_ABSENT, .new_fd = -1};
    look_at_path(at->path, at->newest_fd, view);
    if (at->pattern && view->presence != TV_FILE_OTHER) look_for_next(at, view);
    look_at_content(at, view);
}

tv_file_verdict tv_file_judge(const tv_file_view *view, bool readable, uint64_t used_offset, uint64_t read_offset,
                              bool switch_due) {
    bool has_more = view->is_written || view->size_bytes > read_offset;
    if (readable && has_more && !view->is_rewritten) return TV_FILE_READ_ON;
    if (switch_due) return TV_FILE_SWITCH;
    if (readable && (view->is_rewritten || view->size_bytes < used_offset)) return TV_FILE_RESTART;
    return TV_FILE_WAIT;
}
