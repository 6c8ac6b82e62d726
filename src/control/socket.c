// Where the socket lies, who may make it and who may connect.
//
// The mode is set before the name exists, so that there is no moment at which others could connect. Whether a socket
// that lies there is alive is decided by connecting: the kernel then says whose it is. Two processes that start at
// the same time are kept apart by a lock on a file beside it, which lasts for the moment of looking and making. The
// file is for this user alone: who may only look into the folder cannot hold it. Nothing here waits for longer than a
// second.
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/internal.h"

enum { BACKLOG = 16, PATH_BYTES_MAX = sizeof((struct sockaddr_un *)0)->sun_path - 1 };

static tv_status check_length(const char *path, tv_error *error) {
    if (!path[0]) return tv_error_set(error, TV_INVALID, "control socket: its path is empty (--control)");
    if (strlen(path) <= PATH_BYTES_MAX) return TV_OK;
    return tv_error_set(error, TV_TOO_LARGE,
                        "control socket %.200s: the path of a socket has at most %d bytes; choose a shorter one "
                        "(--control)",
                        path, PATH_BYTES_MAX);
}

bool tv_server_folder(unsigned index, char *folder, size_t folder_bytes) {
    const char *only = getenv("TORVYN_RUNTIME_DIR"), *runtime = getenv("XDG_RUNTIME_DIR");
    if (only && only[0] == '/') {
        snprintf(folder, folder_bytes, "%s", only);
        return index == 0;
    }
    if (!runtime || runtime[0] != '/') index++;
    if (index >= 1 && geteuid() != 0) index++;
    if (index == 0)
        snprintf(folder, folder_bytes, "%s/torvyn", runtime);
    else if (index == 1)
        snprintf(folder, folder_bytes, "/run/torvyn");
    else if (index == 2)
        snprintf(folder, folder_bytes, "/tmp/torvyn-%u", (unsigned)geteuid());
    return index <= 2;
}

tv_status tv_server_default_path(const char *name, char *path, size_t path_bytes, tv_error *error) {
    char folder[PATH_MAX];
    (void)tv_server_folder(0, folder, sizeof folder);
    snprintf(path, path_bytes, "%s/%s.sock", folder, name);
    return check_length(path, error);
}

static tv_status folder_of(const char *path, char folder[PATH_BYTES_MAX + 1], tv_error *error) {
    char copy[PATH_BYTES_MAX + 1];
    tv_status status = check_length(path, error);
    if (status != TV_OK) return status;
    snprintf(copy, sizeof copy, "%s", path);
    snprintf(folder, PATH_BYTES_MAX + 1, "%s", dirname(copy));
    return TV_OK;
}

tv_status tv_server_make_folder(const char *path, tv_error *error) {
    char folder[PATH_BYTES_MAX + 1];
    struct stat status;
    tv_status result = folder_of(path, folder, error);
    if (result != TV_OK) return result;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return tv_error_set_errno(error, errno, "control socket: the folder %s cannot be made", folder);
    if (lstat(folder, &status) != 0)
        return tv_error_set_errno(error, errno, "control socket: the folder %s cannot be looked at", folder);
    if (S_ISDIR(status.st_mode) && status.st_uid == geteuid() && (status.st_mode & 077) == 0) return TV_OK;
    return tv_error_set(error, TV_DENIED,
                        "control socket: %s must be a folder of this user that nobody else may enter (mode 0700); "
                        "correct that, or choose another place (--control)",
                        folder);
}

// ---- listening --------------------------------------------------------------------------------------------------

static struct sockaddr_un address_of(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    return address;
}

static int connect_to(const char *path, int *failure) {
    struct sockaddr_un address = address_of(path);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *failure = client < 0 ? errno : 0;
    if (client >= 0 && connect(client, (struct sockaddr *)&address, sizeof address) != 0) *failure = errno;
    return client;
}

// OK: there is nothing alive at the path, and nothing in the way.
static tv_status clear_path(const char *path, tv_error *error) {
    struct stat status;
    if (lstat(path, &status) != 0) {
        if (errno == ENOENT) return TV_OK;
        return tv_error_set_errno(error, errno, "control socket %s", path);
    }
    if (!S_ISSOCK(status.st_mode))
        return tv_error_set(error, TV_EXISTS,
                            "control socket %s: there is something else of that name; take it away, or choose another "
                            "path (--control)",
                            path);
    int failure;
    int client = connect_to(path, &failure);
    struct ucred owner = {0};
    socklen_t length = sizeof owner;
    if (client >= 0 && failure == 0) (void)getsockopt(client, SOL_SOCKET, SO_PEERCRED, &owner, &length);
    if (client >= 0) close(client);
    if (failure == 0 || failure == EAGAIN) // EAGAIN: its queue of connections is full
        return tv_error_set(error, TV_EXISTS,
                            "control socket %s: process %ld listens there; stop it, or choose another path "
                            "(--control), or another name of the pipeline",
                            path, (long)owner.pid);
    if (failure != ECONNREFUSED) return tv_error_set_errno(error, failure, "control socket %s", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return tv_error_set_errno(error, errno, "control socket %s: what a dead process left cannot be removed", path);
    return TV_OK;
}

static tv_status bind_at(const char *path, int *made, struct stat *status, tv_error *error) {
    struct sockaddr_un address = address_of(path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener >= 0 && fchmod(listener, 0600) == 0 && // Linux gives the name the mode of the socket
        bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, BACKLOG) == 0 &&
        lstat(path, status) == 0) {
        *made = listener;
        return TV_OK;
    }
    int failure = errno;
    if (listener >= 0) close(listener);
    return tv_error_set_errno(error, failure, "control socket %s cannot be made", path);
}

// ---- one at a time ------------------------------------------------------------------------------------------------

enum { LOCK_PATH_BYTES = PATH_BYTES_MAX + 6, LOCK_TRIES_MAX = 50, LOCK_WAIT_NS = 20000000 };

static tv_status open_lock(const char *path, int *file, tv_error *error) {
    struct stat status;
    int lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (lock < 0 && (errno == ENOENT || errno == ENOTDIR))
        return tv_error_set_errno(error, errno, "control socket: the folder of %s cannot be opened", path);
    if (lock < 0)
        return tv_error_set_errno(error, errno,
                                  "control socket: its lock %s cannot be opened; take it away, or choose another place "
                                  "(--control)",
                                  path);
    if (fstat(lock, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid()) {
        *file = lock;
        return TV_OK;
    }
    close(lock);
    return tv_error_set(error, TV_DENIED,
                        "control socket: its lock %s belongs to user %u; take it away, or choose another place "
                        "(--control)",
                        path, (unsigned)status.st_uid);
}

// Whether the file is still the one of that name: who had the lock before takes it away.
static bool is_current(int file, const char *path) {
    struct stat open_one, named;
    return fstat(file, &open_one) == 0 && lstat(path, &named) == 0 && open_one.st_dev == named.st_dev &&
           open_one.st_ino == named.st_ino;
}

static pid_t holder_of(int file) {
    struct flock held = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(file, F_GETLK, &held) == 0 && held.l_type != F_UNLCK ? held.l_pid : 0;
}

// AGAIN: somebody else has it.
static tv_status try_lock(const char *path, int *file, pid_t *holder, tv_error *error) {
    struct flock wanted = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    tv_status status = open_lock(path, file, error);
    if (status != TV_OK) return status;
    if (fcntl(*file, F_SETLK, &wanted) == 0 && is_current(*file, path)) return TV_OK;
    *holder = holder_of(*file);
    close(*file);
    *file = -1;
    return TV_AGAIN;
}

static tv_status take_lock(const char *path, int *file, tv_error *error) {
    pid_t holder = 0;
    for (int i = 0; i < LOCK_TRIES_MAX; i++) {
        tv_status status = try_lock(path, file, &holder, error);
        if (status != TV_AGAIN) return status;
        nanosleep(&(struct timespec){.tv_nsec = LOCK_WAIT_NS}, NULL);
    }
    return tv_error_set(error, TV_LIMIT,
                        "control socket: process %ld holds its lock %s; end that process, take the file away, or "
                        "choose another place (--control)",
                        (long)holder, path);
}

// The name goes while the lock is held: who finds the file later finds that it is not current.
static void leave_lock(const char *path, int file) {
    unlink(path);
    close(file);
}

tv_status tv_server_listen(const char *path, int *socket, struct stat *made, tv_error *error) {
    char lock_path[LOCK_PATH_BYTES];
    int lock = -1;
    tv_status status = check_length(path, error);
    if (status != TV_OK) return status;
    snprintf(lock_path, sizeof lock_path, "%s.lock", path);
    status = take_lock(lock_path, &lock, error);
    if (status != TV_OK) return status;
    status = clear_path(path, error);
    if (status == TV_OK) status = bind_at(path, socket, made, error);
    leave_lock(lock_path, lock);
    return status;
}

void tv_server_unlink(const char *path, dev_t device, ino_t inode) {
    struct stat status;
    if (lstat(path, &status) == 0 && status.st_dev == device && status.st_ino == inode) unlink(path);
}

bool tv_server_peer_allowed(int socket, unsigned *uid) {
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
    *uid = peer.uid;
    return peer.uid == 0 || peer.uid == geteuid();
}
