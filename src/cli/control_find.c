// Which control socket is meant: a path, a pipeline's name, or the only one that somebody listens on.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/control_internal.h"

// What the search has found: the first that answers, and the names of all.
typedef struct socket_search {
    const char *name; // NULL: any
    uid_t owner;      // whose folders are looked into
    tv_control *first;
    unsigned count;
    char names[512];
    tv_error refused; // of a socket that is there but not for us
} socket_search;

static bool is_of(const tv_control *control, uid_t owner) {
    struct ucred peer = {0};
    socklen_t length = sizeof peer;
    if (getsockopt(tv_control_fd(control), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
    return peer.uid == owner || peer.uid == 0;
}

static void try_socket(socket_search *search, const char *folder, const char *file) {
    char path[PATH_MAX + NAME_MAX + 2];
    tv_control *control = NULL;
    tv_error error = {0};
    snprintf(path, sizeof path, "%s/%s", folder, file);
    if (tv_control_connect(path, &control, &error) != TV_OK) {
        // A socket that nobody listens on is what a killed process leaves behind.
        if (error.os_errno != ECONNREFUSED && error.os_errno != ENOENT) search->refused = error;
        return;
    }
    if (!is_of(control, search->owner)) { // somebody who may write there poses as the pipeline
        tv_error_set(&search->refused, TV_DENIED, "%s is listened on by another user than its folder's", path);
        tv_control_close(control);
        return;
    }
    size_t length = strlen(search->names);
    if (search->owner != geteuid()) // by name alone it would not be clear which
        snprintf(search->names + length, sizeof search->names - length, "%s%s", length ? ", " : "", path);
    else
        snprintf(search->names + length, sizeof search->names - length, "%s%.*s", length ? ", " : "",
                 (int)(strlen(file) - strlen(".sock")), file);
    search->count++;
    if (search->first)
        tv_control_close(control);
    else
        search->first = control;
}

// In a folder of somebody else (one in /tmp can be anybody's) a stranger could pose as the pipeline.
static bool is_owners(DIR *listing, uid_t owner) {
    struct stat status;
    return fstat(dirfd(listing), &status) == 0 && (status.st_uid == owner || status.st_uid == 0);
}

static void look_into(socket_search *search, const char *folder) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (search->owner != geteuid() ? O_NOFOLLOW : 0));
    DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
    if (!listing) {
        if (errno == EACCES) tv_error_set_errno(&search->refused, errno, "cannot look into %s", folder);
        if (fd >= 0) close(fd);
        return;
    }
    if (!is_owners(listing, search->owner)) {
        tv_error_set(&search->refused, TV_DENIED, "%s belongs to another user", folder);
        closedir(listing);
        return;
    }
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        size_t length = strlen(entry->d_name), suffix = strlen(".sock");
        if (length <= suffix || strcmp(entry->d_name + length - suffix, ".sock") != 0) continue;
        if (search->name &&
            (strlen(search->name) != length - suffix || strncmp(search->name, entry->d_name, length - suffix) != 0))
            continue;
        try_socket(search, folder, entry->d_name);
    }
    closedir(listing);
}

// ---- of other users -----------------------------------------------------------------------------------------

// The user id behind `prefix`; false if it is none.
static bool user_of(const char *name, const char *prefix, uid_t *user) {
    size_t length = strlen(prefix),
           digits = strspn(name + (strncmp(name, prefix, length) == 0 ? length : 0), "0123456789");
    if (strncmp(name, prefix, length) != 0 || !digits || digits > 10 || name[length + digits]) return false;
    unsigned long long number = strtoull(name + length, NULL, 10);
    *user = (uid_t)number;
    return number < UINT32_MAX;
}

// Folders of all users in `base`: PREFIX<uid>SUFFIX.
static void look_at_users(socket_search *search, const char *base, const char *prefix, const char *suffix) {
    DIR *listing = opendir(base);
    if (!listing) return;
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        char folder[PATH_MAX];
        if (!user_of(entry->d_name, prefix, &search->owner) || search->owner == geteuid()) continue;
        snprintf(folder, sizeof folder, "%s/%s%s", base, entry->d_name, suffix);
        look_into(search, folder);
    }
    closedir(listing);
    search->owner = geteuid();
}

// Root sees what every user runs, if it has nothing of that name itself, and nobody said where to look.
static void look_for_others(socket_search *search) {
    const char *only = getenv("TORVYN_RUNTIME_DIR");
    if (geteuid() != 0 || search->count || (only && only[0] == '/')) return;
    look_at_users(search, "/run/user", "", "/torvyn");
    look_at_users(search, "/tmp", "torvyn-", "");
}

static bool is_socket(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

static tv_status not_found(const socket_search *search, tv_error *error) {
    tv_text places = {0};
    const char *others = geteuid() == 0 && !getenv("TORVYN_RUNTIME_DIR") ? ", and those of other users" : "";
    char folder[PATH_MAX];
    for (unsigned i = 0; tv_server_folder(i, folder, sizeof folder); i++)
        tv_text_print(&places, "%s%s", i ? ", " : "", folder);
    if (search->refused.message[0])
        tv_error_set(error, TV_DENIED, "no running pipeline can be reached: %s", search->refused.message);
    else if (search->name && is_socket(search->name))
        tv_error_set(error, TV_NOT_FOUND, "no running pipeline '%s' found; the socket here is --control ./%s",
                     search->name, search->name);
    else if (search->name)
        tv_error_set(error, TV_NOT_FOUND,
                     "no running pipeline '%s' found (looked for %s.sock in %s); `torvyn run FILE` starts one, "
                     "--control PATH says where its socket is",
                     search->name, search->name, places.failed ? "the default folders" : places.bytes);
    else
        tv_error_set(error, TV_NOT_FOUND,
                     "no running torvyn found (looked in %s%s); start one with `torvyn run FILE`, or say where its "
                     "socket is with --control PATH",
                     places.failed ? "the default folders" : places.bytes, others);
    tv_text_deinit(&places);
    return error->status;
}

static tv_status find(const char *name, tv_control **out, tv_error *error) {
    socket_search search = {.name = name, .owner = geteuid()};
    char folder[PATH_MAX];
    for (unsigned i = 0; tv_server_folder(i, folder, sizeof folder); i++)
        look_into(&search, folder);
    look_for_others(&search);
    if (search.count == 0) return not_found(&search, error);
    if (search.count > 1) {
        tv_control_close(search.first);
        return tv_error_set(error, TV_EXISTS, "%u pipelines run: %s; say which with --control NAME or PATH",
                            search.count, search.names);
    }
    *out = search.first;
    return TV_OK;
}

tv_status tv_control_open(const char *where, tv_control **out, tv_error *error) {
    *error = (tv_error){0};
    if (!where || !strchr(where, '/')) return find(where, out, error);
    tv_status status = tv_control_connect(where, out, error);
    if (status == TV_OK || status == TV_TOO_LARGE) return status;
    if (error->os_errno == ENOENT)
        return tv_error_set(error, TV_NOT_FOUND, "there is no socket %s; `torvyn run FILE --control %s` makes one",
                            where, where);
    if (error->os_errno == ECONNREFUSED && !is_socket(where))
        return tv_error_set(error, TV_NOT_FOUND, "%s is no socket; `torvyn run FILE --control PATH` makes one", where);
    if (error->os_errno == ECONNREFUSED)
        return tv_error_set(error, TV_NOT_FOUND, "nobody listens on %s: the pipeline has ended", where);
    if (error->os_errno == EACCES || error->os_errno == EPERM)
        return tv_error_set(error, TV_DENIED, "%s belongs to another user; run this as that user or as root", where);
    return status;
}
