// See folder.h. The path is walked part by part, each opened in the folder before it, so that what was looked at is
// what is gone through.
#include "wasm/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 8, FOLDER_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

typedef struct walk {
    int fd;              // where it is
    char left[PATH_MAX]; // what is left of the path
    int links;
    unsigned depth; // below `/`
    bool in_system; // in `/`, `/var`, `/var/cache` or `/var/lib`, reached by these names
} walk;

static void leave(walk *w) {
    int failed = errno;
    if (w->fd >= 0) close(w->fd);
    w->fd = -1;
    errno = failed;
}

// Takes the first part off what is left; false at the end.
static bool next_part(walk *w, char part[NAME_MAX + 1]) {
    size_t slashes = strspn(w->left, "/"), length = strcspn(w->left + slashes, "/");
    if (length == 0) return false;
    if (length > NAME_MAX) length = NAME_MAX; // there is no such name
    memcpy(part, w->left + slashes, length);
    part[length] = '\0';
    memmove(w->left, w->left + slashes + length, strlen(w->left + slashes + length) + 1);
    return true;
}

static void go_to(walk *w, int fd, const char *part) {
    bool is_var = w->depth == 0 && strcmp(part, "var") == 0;
    bool is_below = w->depth == 1 && w->in_system && (strcmp(part, "cache") == 0 || strcmp(part, "lib") == 0);
    close(w->fd);
    w->fd = fd;
    w->in_system = is_var || is_below;
    w->depth++;
}

static int begin(walk *w, bool absolute) {
    if (w->fd >= 0) close(w->fd);
    w->fd = open(absolute ? "/" : ".", FOLDER_FLAGS);
    w->depth = absolute ? 0 : 100;
    w->in_system = absolute;
    return w->fd;
}

// A link of the system takes the place of its part.
static bool follow(walk *w, const char *part) {
    struct stat status;
    char target[PATH_MAX], left[2 * PATH_MAX];
    bool is_systems = w->in_system && fstatat(w->fd, part, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                      S_ISLNK(status.st_mode) && status.st_uid == 0;
    ssize_t length = is_systems && w->links++ < LINKS_MAX ? readlinkat(w->fd, part, target, sizeof target - 1) : -1;
    errno = ELOOP;
    if (length < 0) return false;
    target[length] = '\0';
    int all = snprintf(left, sizeof left, "%s%s", target, w->left);
    if (all < 0 || (size_t)all >= sizeof w->left) return false;
    memcpy(w->left, left, (size_t)all + 1);
    return target[0] != '/' || begin(w, true) >= 0;
}

static bool is_link(const walk *w, const char *part) {
    struct stat status;
    return fstatat(w->fd, part, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode);
}

static bool enter(walk *w, const char *part) {
    int fd = openat(w->fd, part, FOLDER_FLAGS);
    if (fd < 0 && errno == ENOENT && mkdirat(w->fd, part, 0700) == 0) fd = openat(w->fd, part, FOLDER_FLAGS);
    if (fd >= 0) {
        go_to(w, fd, part);
        return true;
    }
    int failed = errno;
    if (is_link(w, part)) return follow(w, part);
    errno = failed;
    return false;
}

int tv_folder_open(const char *path) {
    walk w = {.fd = -1};
    char part[NAME_MAX + 1];
    if ((size_t)snprintf(w.left, sizeof w.left, "%s", path) >= sizeof w.left) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (begin(&w, path[0] == '/') < 0) return -1;
    while (next_part(&w, part))
        if (!enter(&w, part)) {
            leave(&w);
            return -1;
        }
    int folder = openat(w.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    leave(&w);
    return folder;
}
