// Which control socket is meant: a path, a pipeline's name, or the only one that somebody listens on.
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/control_internal.h"

// What the search has found: the first that answers, and the names of all.
typedef struct socket_search {
    const char *name; // NULL: any
    tv_control *first;
    unsigned count;
    char names[256];
    tv_error refused; // of a socket that is there but not for us
} socket_search;

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
    size_t length = strlen(search->names);
    snprintf(search->names + length, sizeof search->names - length, "%s%.*s", length ? ", " : "",
             (int)(strlen(file) - strlen(".sock")), file);
    search->count++;
    if (search->first)
        tv_control_close(control);
    else
        search->first = control;
}

// In a folder of somebody else (one in /tmp can be anybody's) a stranger could pose as the pipeline.
static bool is_ours(DIR *listing) {
    struct stat status;
    return fstat(dirfd(listing), &status) == 0 && (status.st_uid == geteuid() || status.st_uid == 0);
}

static void look_into(socket_search *search, const char *folder) {
    DIR *listing = opendir(folder);
    if (!listing) {
        if (errno == EACCES) tv_error_set_errno(&search->refused, errno, "cannot look into %s", folder);
        return;
    }
    if (!is_ours(listing)) {
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

static bool is_socket(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

static tv_status not_found(const socket_search *search, tv_error *error) {
    tv_text places = {0};
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
                     "no running torvyn found (looked in %s); start one with `torvyn run FILE`, or say where its "
                     "socket is with --control PATH",
                     places.failed ? "the default folders" : places.bytes);
    tv_text_deinit(&places);
    return error->status;
}

static tv_status find(const char *name, tv_control **out, tv_error *error) {
    socket_search search = {.name = name};
    char folder[PATH_MAX];
    for (unsigned i = 0; tv_server_folder(i, folder, sizeof folder); i++)
        look_into(&search, folder);
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
