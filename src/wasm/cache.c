// Compiled modules on disk. An entry is one file: a header with the key and a SHA-256 of what follows, then the
// compiled form as the compiling child gave it. Written to a temporary name, synced, renamed.
#include "wasm/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sha2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/log.h"
#include "wasm/folder.h"
#include "wasm/limits.h"

enum { ENTRY_NAME_BYTES = TV_CACHE_KEY_BYTES * 2 + 5, TEMPORARY_SECONDS_MAX = 3600 };
static const char temporary_prefix[] = "new-";
static const char entry_suffix[] = ".tvc";

typedef struct entry_header {
    char magic[8];
    uint64_t length;
    uint8_t key[TV_CACHE_KEY_BYTES];
    XXH128_canonical_t checksum; // of the bytes behind the header, see checksum_of
} entry_header;
_Static_assert(sizeof(entry_header) == 64, "no padding in the header");
static const char entry_magic[8] = {'t', 'v', 'c', 'a', 'c', 'h', 'e', '2'};

struct tv_cache {
    int fd; // the folder; -1: works without
    uint64_t rejected;
    char path[]; // for messages
};

// ---- folder -------------------------------------------------------------------------------------------------

static tv_status default_path(char *out, size_t capacity) {
    const char *base = getenv("XDG_CACHE_HOME");
    int length;
    if (base && *base == '/') {
        length = snprintf(out, capacity, "%s/torvyn/modules", base);
    } else {
        base = getenv("HOME");
        if (!base || *base != '/') return TV_NOT_FOUND;
        length = snprintf(out, capacity, "%s/.cache/torvyn/modules", base);
    }
    return (size_t)length < capacity ? TV_OK : TV_TOO_LARGE;
}

static tv_status check_folder(const char *path, int fd, tv_error *error) {
    struct stat info;
    if (fstat(fd, &info) != 0) return tv_error_set_errno(error, errno, "cache folder %s", path);
    if (info.st_uid != geteuid())
        return tv_error_set(error, TV_DENIED,
                            "the cache folder %s belongs to user %u, we are user %u: compiled code in it cannot be "
                            "trusted. Name another folder, or remove it",
                            path, info.st_uid, geteuid());
    if (info.st_mode & 022)
        return tv_error_set(error, TV_DENIED,
                            "others may write the cache folder %s (mode %03o): compiled code in it cannot be trusted. "
                            "Remove it, or empty it and set its mode to 700",
                            path, info.st_mode & 0777);
    if ((info.st_mode & 0777) != 0700 && fchmod(fd, 0700) != 0)
        return tv_error_set_errno(error, errno, "cannot set the mode of the cache folder %s to 700", path);
    return TV_OK;
}

static int open_folder(const char *path) {
    int fd = tv_folder_open(path);
    if (fd < 0)
        tv_log(TV_LEVEL_WARN, "wasm", "cannot use the cache folder %s (%s): every start will compile anew", path,
               errno == ELOOP ? "a part of the path is a link, which is not followed" : strerror(errno));
    return fd;
}

tv_status tv_cache_new(const char *dir, tv_cache **out, tv_error *error) {
    char path[3072] = "";
    tv_status status = TV_OK;
    if (dir)
        status = (size_t)snprintf(path, sizeof path, "%s", dir) < sizeof path ? TV_OK : TV_TOO_LARGE;
    else if (default_path(path, sizeof path) != TV_OK)
        tv_log(TV_LEVEL_WARN, "wasm", "neither XDG_CACHE_HOME nor HOME is set: every start will compile anew");
    if (status != TV_OK) return tv_error_set(error, status, "the path of the cache folder is too long");
    tv_cache *cache = calloc(1, sizeof *cache + strlen(path) + 1);
    if (!cache) return tv_error_set(error, TV_NO_MEMORY, "no memory for the module cache");
    memcpy(cache->path, path, strlen(path) + 1);
    cache->fd = *path ? open_folder(path) : -1;
    if (cache->fd >= 0) status = check_folder(path, cache->fd, error);
    if (status != TV_OK) {
        tv_cache_free(cache);
        return status;
    }
    *out = cache;
    return TV_OK;
}

void tv_cache_free(tv_cache *cache) {
    if (!cache) return;
    if (cache->fd >= 0) close(cache->fd);
    free(cache);
}

uint64_t tv_cache_rejected(const tv_cache *cache) { return cache->rejected; }

// ---- names --------------------------------------------------------------------------------------------------

tv_cache_key tv_cache_key_of(const char *digest, const char *settings) {
    tv_cache_key key;
    SHA2_CTX context;
    SHA256Init(&context);
    SHA256Update(&context, (const uint8_t *)digest, strlen(digest) + 1);
    SHA256Update(&context, (const uint8_t *)settings, strlen(settings));
    SHA256Final(key.bytes, &context);
    return key;
}

static void entry_name(const tv_cache_key *key, char out[ENTRY_NAME_BYTES]) {
    for (size_t i = 0; i < TV_CACHE_KEY_BYTES; i++) {
        snprintf(out + 2 * i, 3, "%02x", key->bytes[i]);
    }
    memcpy(out + (size_t)TV_CACHE_KEY_BYTES * 2, entry_suffix, sizeof entry_suffix);
}

void tv_cache_reject(tv_cache *cache, const tv_cache_key *key, const char *reason) {
    char name[ENTRY_NAME_BYTES];
    entry_name(key, name);
    cache->rejected++;
    bool removed = unlinkat(cache->fd, name, 0) == 0;
    tv_log(TV_LEVEL_WARN, "wasm", "cached module %s/%s %s: %s, compiling anew", cache->path, name, reason,
           removed ? "removed" : "ignored");
}

// ---- reading ------------------------------------------------------------------------------------------------

static bool read_exactly(int fd, void *out, size_t length) {
    char *at = out;
    while (length > 0) {
        ssize_t got = read(fd, at, length);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        at += got;
        length -= (size_t)got;
    }
    return true;
}

// Why a file in the folder cannot be one of ours; NULL if it can.
static const char *suspect_file(const struct stat *info) {
    if (!S_ISREG(info->st_mode)) return "is not a regular file";
    if (info->st_uid != geteuid()) return "belongs to another user";
    if (info->st_mode & 077) return "is open to other users";
    if (info->st_nlink != 1) return "has a second name";
    if (info->st_size <= (off_t)sizeof(entry_header)) return "is cut off";
    if (info->st_size > (off_t)sizeof(entry_header) + TV_COMPILED_BYTES_MAX) return "is too large";
    return NULL;
}

// Finds damage. It does not have to withstand an attacker: who can write into the folder is us anyway, which is what
// suspect_file checks. SHA-256 took a third of the time a start takes (4 ms a megabyte of code; this takes 0.1).
static XXH128_canonical_t checksum_of(const uint8_t *bytes, size_t length) {
    XXH128_canonical_t checksum;
    XXH128_canonicalFromHash(&checksum, XXH3_128bits(bytes, length));
    return checksum;
}

static const char *verify(const entry_header *header, const tv_cache_key *key, const uint8_t *bytes, size_t length) {
    if (memcmp(header->magic, entry_magic, sizeof entry_magic) != 0) return "has another format";
    if (memcmp(header->key, key->bytes, sizeof key->bytes) != 0) return "is of another module or other settings";
    if (header->length != length) return "is cut off";
    XXH128_canonical_t checksum = checksum_of(bytes, length);
    return memcmp(&checksum, &header->checksum, sizeof checksum) == 0 ? NULL : "is damaged (checksum)";
}

// Reads an open entry; the reason why it cannot be used, or NULL and *bytes.
static const char *read_entry(int fd, const tv_cache_key *key, uint8_t **bytes, size_t *length) {
    struct stat info;
    entry_header header;
    if (fstat(fd, &info) != 0) return "cannot be read";
    const char *reason = suspect_file(&info);
    if (reason) return reason;
    size_t size = (size_t)info.st_size - sizeof header;
    uint8_t *content = malloc(size);
    if (!content) return "does not fit into memory";
    if (!read_exactly(fd, &header, sizeof header) || !read_exactly(fd, content, size)) reason = "cannot be read";
    if (!reason) reason = verify(&header, key, content, size);
    if (reason) {
        free(content);
        return reason;
    }
    *bytes = content;
    *length = size;
    return NULL;
}

tv_status tv_cache_load(tv_cache *cache, const tv_cache_key *key, uint8_t **bytes, size_t *length) {
    char name[ENTRY_NAME_BYTES];
    if (cache->fd < 0) return TV_NOT_FOUND;
    entry_name(key, name);
    int fd = openat(cache->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) return TV_NOT_FOUND;
    const char *reason =
        fd < 0 ? (errno == ELOOP ? "is a link" : "cannot be opened") : read_entry(fd, key, bytes, length);
    if (fd >= 0) {
        if (!reason) (void)futimens(fd, NULL); // the time of use decides who is removed first
        close(fd);
    }
    if (!reason) return TV_OK;
    tv_cache_reject(cache, key, reason);
    return TV_NOT_FOUND;
}

// ---- writing ------------------------------------------------------------------------------------------------

static bool is_entry(const char *name) { return strlen(name) == ENTRY_NAME_BYTES - 1 && strchr(name, '.') != NULL; }

typedef struct prune_state {
    size_t entries;
    char oldest[ENTRY_NAME_BYTES];
    struct timespec oldest_time;
} prune_state;

static bool is_before(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static void prune_look_at(const tv_cache *cache, const char *name, prune_state *state) {
    struct stat info;
    bool temporary = strncmp(name, temporary_prefix, sizeof temporary_prefix - 1) == 0;
    if (!temporary && !is_entry(name)) return;
    if (fstatat(cache->fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return;
    if (temporary) { // left by a process that died in the middle
        if (info.st_mtim.tv_sec + TEMPORARY_SECONDS_MAX < time(NULL)) (void)unlinkat(cache->fd, name, 0);
        return;
    }
    if (state->entries++ == 0 || is_before(&info.st_mtim, &state->oldest_time)) {
        memcpy(state->oldest, name, ENTRY_NAME_BYTES);
        state->oldest_time = info.st_mtim;
    }
}

// Keeps the folder bounded: beyond the maximum, the entry used longest ago goes. One is added at a time.
static void prune(const tv_cache *cache) {
    prune_state state = {0};
    int fd = openat(cache->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        if (fd >= 0) close(fd);
        return;
    }
    const struct dirent *file;
    while ((file = readdir(folder)) != NULL) {
        prune_look_at(cache, file->d_name, &state);
    }
    closedir(folder);
    if (state.entries > TV_CACHE_ENTRIES_MAX) (void)unlinkat(cache->fd, state.oldest, 0);
}

static bool write_exactly(int fd, const void *bytes, size_t length) {
    const char *at = bytes;
    while (length > 0) {
        ssize_t put = write(fd, at, length);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        at += put;
        length -= (size_t)put;
    }
    return true;
}

static entry_header make_header(const tv_cache_key *key, const uint8_t *bytes, size_t length) {
    entry_header header = {.length = length};
    memcpy(header.magic, entry_magic, sizeof entry_magic);
    memcpy(header.key, key->bytes, sizeof key->bytes);
    header.checksum = checksum_of(bytes, length);
    return header;
}

static bool write_entry(const tv_cache *cache, const char *temporary, const char *name, const entry_header *header,
                        const uint8_t *bytes) {
    int fd = openat(cache->fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    bool written = write_exactly(fd, header, sizeof *header) && write_exactly(fd, bytes, header->length);
    written = written && fsync(fd) == 0;
    int failed = errno;
    if (close(fd) != 0) written = false;
    written = written && renameat(cache->fd, temporary, cache->fd, name) == 0;
    if (written) return fsync(cache->fd) == 0;
    (void)unlinkat(cache->fd, temporary, 0);
    errno = failed;
    return false;
}

void tv_cache_store(tv_cache *cache, const tv_cache_key *key, const uint8_t *bytes, size_t length) {
    char name[ENTRY_NAME_BYTES], temporary[64];
    if (cache->fd < 0) return;
    entry_name(key, name);
    snprintf(temporary, sizeof temporary, "%s%ld-%.16s", temporary_prefix, (long)getpid(), name);
    (void)unlinkat(cache->fd, temporary, 0); // of an earlier process with our id
    entry_header header = make_header(key, bytes, length);
    if (!write_entry(cache, temporary, name, &header, bytes))
        tv_log(TV_LEVEL_WARN, "wasm", "cannot write to the cache folder %s (%s): the next start will compile anew",
               cache->path, strerror(errno));
    prune(cache);
}
