// Reads the folder anew each time: nothing is kept of files that are not being read, however many there are.
#include "connect/file/pattern.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *tv_file_name_in(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool has_pattern(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\\')
            i++;
        else if (strchr("*?[", text[i]))
            return true;
    }
    return false;
}

bool tv_file_is_pattern(const char *path) {
    const char *name = tv_file_name_in(path);
    return has_pattern(name, strlen(name));
}

bool tv_file_folder_is_pattern(const char *path) { return has_pattern(path, (size_t)(tv_file_name_in(path) - path)); }

bool tv_file_matches(const char *pattern, const char *name) {
    return fnmatch(tv_file_name_in(pattern), name, FNM_PERIOD) == 0;
}

static bool is_regular(DIR *folder, const struct dirent *entry) {
    struct stat status;
    if (entry->d_type == DT_REG) return true;
    if (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN) return false;
    return fstatat(dirfd(folder), entry->d_name, &status, 0) == 0 && S_ISREG(status.st_mode);
}

// strverscmp takes numbers with and without leading zeros for different texts, so the order is total.
static bool is_better(const char *name, const char *best, tv_file_which which) {
    if (best[0] == 0) return true;
    int order = strverscmp(name, best);
    return which == TV_FILE_FIRST ? order < 0 : order > 0;
}

static int open_folder(const char *pattern, DIR **folder) {
    char path[PATH_MAX];
    size_t length = (size_t)(tv_file_name_in(pattern) - pattern);
    if (length >= sizeof path) return ENAMETOOLONG;
    snprintf(path, sizeof path, "%.*s", (int)length, pattern);
    *folder = opendir(length > 0 ? path : ".");
    return *folder ? 0 : errno;
}

static char *in_folder_of(const char *pattern, const char *name) {
    int length = (int)(tv_file_name_in(pattern) - pattern);
    char *path = NULL;
    return asprintf(&path, "%.*s%s", length, pattern, name) < 0 ? NULL : path;
}

int tv_file_find(const char *pattern, const char *after, tv_file_which which, char **path) {
    char best[NAME_MAX + 1] = "";
    DIR *folder = NULL;
    *path = NULL;
    int os_errno = open_folder(pattern, &folder);
    if (os_errno) return os_errno;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (!tv_file_matches(pattern, entry->d_name)) continue;
        if (after && strverscmp(entry->d_name, tv_file_name_in(after)) <= 0) continue;
        if (is_better(entry->d_name, best, which) && is_regular(folder, entry))
            snprintf(best, sizeof best, "%s", entry->d_name);
    }
    closedir(folder);
    if (best[0] == 0) return 0;
    *path = in_folder_of(pattern, best);
    return *path ? 0 : ENOMEM;
}
