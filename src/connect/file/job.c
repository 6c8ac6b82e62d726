// What file output does on the thread pool: open, rotate, write, sync. Plain system calls, no loop, no channel.
//
// Files are opened with O_APPEND and a batch is one write, so that several channels may share a path. Before each
// batch the path is compared with the open file: when somebody has renamed or removed it, a new one is begun.
//
// A write that was cut (full disk) goes on at the exact byte, unless somebody else has appended meanwhile: then the
// message is begun anew, and whoever appends behind a cut line ends that first. So that nobody comes in between, one of
// a file's writers is at it at a time.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "connect/file/internal.h"

static bool failed(tv_file_job *job, const char *step) {
    job->os_errno = errno;
    job->failed = step;
    return false;
}

bool tv_file_parse_permissions(const char *text, uint32_t *mode) {
    uint32_t value = 0;
    for (const char *at = text; *at; at++) {
        if (*at < '0' || *at > '7' || at - text > 3) return false;
        value = value * 8 + (uint32_t)(*at - '0');
    }
    *mode = value;
    return value <= 0777 && (value & 0200);
}

// Never waits for a reader. Returns a descriptor, or -1 and an errno: ENXIO for what records cannot be appended to.
static int open_for_append(const char *path, uint32_t permissions, bool no_links) {
    struct stat status;
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (no_links ? O_NOFOLLOW : 0);
    int fd = open(path, flags, (mode_t)permissions);
    if (fd < 0 || (fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISCHR(status.st_mode)))) return fd;
    close(fd);
    errno = ENXIO;
    return -1;
}

// Makes names in the folder of `path` durable. A file system that cannot do it is not an error.
static void sync_folder(const char *path) {
    char folder[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    if (slash) snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + 1, path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd);
    close(fd);
}

static bool open_new(tv_file_job *job) {
    int fd = open_for_append(job->path, job->permissions, job->no_links);
    if (fd < 0) return failed(job, "open");
    if (!tv_file_claim_take(fd, job->claim)) {
        close(fd);
        errno = EBUSY;
        return failed(job, "write to what an input reads, or another output writes alone");
    }
    tv_file_claim_release(job->fd, job->claim);
    if (job->fd >= 0) close(job->fd);
    job->fd = fd;
    job->place = -1;
    if (job->durable) sync_folder(job->path);
    return true;
}

// Size and birth of the open file, for the decisions about the next batch.
bool tv_file_job_measure(tv_file_job *job) {
    struct statx status;
    if (statx(job->fd, "", AT_EMPTY_PATH, STATX_SIZE | STATX_BTIME, &status) != 0) return failed(job, "stat");
    job->size_bytes = status.stx_size;
    bool known = status.stx_mask & STATX_BTIME;
    job->birth_ns = known ? status.stx_btime.tv_sec * 1000000000LL + status.stx_btime.tv_nsec : 0;
    return true;
}

static bool path_leads_to(const char *path, int fd) {
    struct stat at_path, at_fd;
    if (stat(path, &at_path) != 0 || fstat(fd, &at_fd) != 0) return false;
    return at_path.st_dev == at_fd.st_dev && at_path.st_ino == at_fd.st_ino;
}

static void number_name(const tv_file_job *job, uint32_t number, char name[PATH_MAX]) {
    if (number == 0) {
        snprintf(name, PATH_MAX, "%s", job->path);
    } else {
        snprintf(name, PATH_MAX, "%s.%u", job->path, number);
    }
}

// path -> path.1, after moving path.1 and those behind it up to the first gap; with keep 0 the file is removed. A
// gap (somebody's, or of an attempt that failed half-way) is filled before an old file is pushed over the end.
static bool shift_names(tv_file_job *job) {
    char from[PATH_MAX], to[PATH_MAX];
    if (job->keep == 0) return unlink(job->path) == 0 || failed(job, "remove");
    uint32_t last = 1;
    number_name(job, last, to);
    while (last < job->keep && access(to, F_OK) == 0)
        number_name(job, ++last, to);
    for (uint32_t i = last; i > 0; i--) {
        number_name(job, i - 1, from);
        number_name(job, i, to);
        if (rename(from, to) != 0) return failed(job, "rename");
    }
    return true;
}

// Of several channels with the same path one rotates, and the others find that the path leads elsewhere.
static bool rotate(tv_file_job *job) {
    static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
    if (job->durable && fdatasync(job->fd) != 0 && errno != EINVAL) return failed(job, "sync");
    pthread_mutex_lock(&guard);
    bool is_later = !path_leads_to(job->path, job->fd);
    bool done = (is_later || shift_names(job)) && open_new(job);
    pthread_mutex_unlock(&guard);
    job->rotated = done; // either way the batch is at the begin of a new file
    return done;
}

static bool ensure_file(tv_file_job *job, tv_file_boundary boundary) {
    bool first = job->fd < 0;
    if (!first && path_leads_to(job->path, job->fd)) return !job->rotate || rotate(job);
    if (!open_new(job)) return false;
    job->reopened = !first;
    job->written = boundary(job->bytes, job->length, job->written);
    return true;
}

// ---- writing ------------------------------------------------------------------------------------------------

// A write in append mode leaves the descriptor's offset at its end. Bytes with those of somebody else between them are
// two pieces, of which the last is known.
static void note_place(tv_file_job *job, uint32_t written) {
    int64_t begin = (int64_t)lseek(job->fd, 0, SEEK_CUR) - written;
    if (job->place >= 0 && begin == job->place + (job->written - job->place_of)) return;
    job->place = begin;
    job->place_of = job->written;
}

static bool write_rest(tv_file_job *job) {
    while (job->written < job->length) {
        ssize_t result = write(job->fd, job->bytes + job->written, job->length - job->written);
        if (result < 0 && errno == EINTR) continue;
        if (result < 0) return failed(job, "write");
        note_place(job, (uint32_t)result);
        job->written += (uint32_t)result;
    }
    return true;
}

// The last line of the file, if nothing ends it, must not swallow the next one.
static bool end_cut_line(tv_file_job *job) {
    char last;
    int fd = job->size_bytes > 0 ? open(job->path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return true;
    bool is_cut = pread(fd, &last, 1, (off_t)job->size_bytes - 1) == 1 && last != '\n';
    close(fd);
    if (!is_cut) return true;
    if (write(job->fd, "\n", 1) != 1) return failed(job, "write");
    job->size_bytes++;
    return true;
}

// A message was cut, of whatever file: until then nobody looks for what others have left.
static _Atomic bool some_were_cut;

// The descriptor's own offset is the end of our last write.
static bool mind_others(tv_file_job *job, tv_file_boundary boundary) {
    struct stat now;
    if (!atomic_load(&some_were_cut) || fstat(job->fd, &now) != 0 || !S_ISREG(now.st_mode)) return true;
    if (now.st_size == lseek(job->fd, 0, SEEK_CUR)) return true;
    job->size_bytes = (uint64_t)now.st_size;
    job->written = boundary(job->bytes, job->length, job->written);
    return !job->lines || end_cut_line(job);
}

pthread_mutex_t *tv_file_guard(uint64_t inode) {
    enum { GUARDS = 64 };
    static pthread_mutex_t guards[GUARDS]; // by file
    return &guards[inode % GUARDS];
}

static bool write_batch(tv_file_job *job, tv_file_boundary boundary) {
    struct stat status;
    if (fstat(job->fd, &status) != 0) return failed(job, "stat");
    pthread_mutex_t *guard = tv_file_guard((uint64_t)status.st_ino);
    pthread_mutex_lock(guard);
    bool done = mind_others(job, boundary) && write_rest(job);
    if (!done && job->written > boundary(job->bytes, job->length, job->written)) atomic_store(&some_were_cut, true);
    pthread_mutex_unlock(guard);
    return done;
}

// After a failed sync the system may have dropped what it could not store, and the next sync says nothing of it. So the
// bytes are written once more, where they are: appending them again would make lines that stand there twice. Where
// the file has been made shorter meanwhile, they are not wanted any more.
static bool write_again(tv_file_job *job) {
    struct stat now;
    int flags = fcntl(job->fd, F_GETFL);
    uint32_t at = job->place_of;
    if (job->place < 0 || flags < 0 || fstat(job->fd, &now) != 0) return true;
    if (!S_ISREG(now.st_mode) || now.st_size < job->place + (job->length - at)) return true;
    if (fcntl(job->fd, F_SETFL, flags & ~O_APPEND) != 0) return failed(job, "write"); // with it, pwrite appends
    bool done = true;
    while (done && at < job->length) {
        ssize_t result = pwrite(job->fd, job->bytes + at, job->length - at, job->place + (at - job->place_of));
        if (result > 0) at += (uint32_t)result;
        if (result < 0 && errno != EINTR) done = failed(job, "write");
    }
    if (fcntl(job->fd, F_SETFL, flags) != 0) return failed(job, "write");
    return done;
}

static bool put(tv_file_job *job, tv_file_boundary boundary) {
    if (job->again) return write_again(job);
    return ensure_file(job, boundary) && write_batch(job, boundary);
}

void tv_file_job_run(tv_file_job *job, tv_file_boundary boundary) {
    job->os_errno = 0;
    job->failed = NULL;
    job->wrote_all = job->rotated = job->reopened = false;
    job->written = job->begin;
    if (!put(job, boundary)) {
        if (job->fd >= 0) {
            int os_errno = job->os_errno;
            const char *step = job->failed;
            (void)tv_file_job_measure(job);
            job->os_errno = os_errno;
            job->failed = step;
        }
        return;
    }
    job->wrote_all = true;
    if (job->sync && fdatasync(job->fd) != 0 && errno != EINVAL && errno != ENOSYS) {
        (void)failed(job, "sync");
        return;
    }
    (void)tv_file_job_measure(job);
}

// ---- first open ---------------------------------------------------------------------------------------------

static tv_status create_error(const char *path, int os_errno, tv_error *error) {
    if (os_errno == EISDIR) return tv_error_set(error, TV_INVALID, "cannot write %s: it is a folder", path);
    if (os_errno == ELOOP)
        return tv_error_set(error, TV_INVALID, "cannot write %s: it is a symbolic link, which is not followed here",
                            path);
    if (os_errno == ENXIO) {
        return tv_error_set(error, TV_INVALID, "cannot write %s: it is a pipe, socket or disk (use `connector: stdio`)",
                            path);
    }
    if (os_errno == ENOENT) {
        return tv_error_set(error, TV_NOT_FOUND, "cannot write %s: its folder does not exist (create it first)", path);
    }
    tv_error_set_errno(error, os_errno, "cannot write %s", path);
    bool denied = os_errno == EACCES || os_errno == EPERM;
    if (error && denied) error->status = TV_DENIED;
    return denied ? TV_DENIED : TV_IO;
}

tv_status tv_file_output_create(const tv_file_output_options *options, tv_file_job *job, tv_error *error) {
    const char *path = options->path;
    uint32_t permissions = 0;
    bool is_right = tv_file_parse_permissions(options->permissions, &permissions);
    TV_ASSERT(is_right);
    int fd = open_for_append(path, permissions, !options->follow_links); // emptied when it is known to be nobody else's
    if (fd < 0) return create_error(path, errno, error);
    tv_file_claim claim = options->format == TV_FRAMING_LINES ? TV_FILE_CLAIM_APPEND : TV_FILE_CLAIM_WRITE;
    if (!tv_file_claim_take(fd, claim)) {
        close(fd);
        return tv_error_set(
            error, TV_INVALID,
            "cannot write %s: it is the file of an input that runs, or of another output, with which it "
            "can be shared only if both are of `format: lines`",
            path);
    }
    if (options->mode == TV_FILE_TRUNCATE && ftruncate(fd, 0) != 0 && errno != EINVAL) {
        int os_errno = errno;
        tv_file_claim_release(fd, claim);
        close(fd);
        return create_error(path, os_errno, error);
    }
    *job = (tv_file_job){.path = path,
                         .claim = claim,
                         .fd = fd,
                         .lines = options->format == TV_FRAMING_LINES,
                         .permissions = permissions,
                         .no_links = !options->follow_links,
                         .place = -1};
    if (tv_file_job_measure(job)) return TV_OK;
    tv_file_claim_release(fd, claim);
    close(fd);
    return create_error(path, job->os_errno, error);
}
