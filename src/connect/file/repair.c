// Repairing outputs: plain system calls, on the thread pool.
//
// Frames cannot be told from the end of a file, so it is read from its beginning, prefix by prefix. A frame that the
// end of the file cuts is removed, as nobody can read it, or anything behind it. Rotated files get nothing appended,
// but their readers stumble over the same.
#include "connect/file/repair.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connect/file/internal.h"
#include "connect/framing/framing.h"

enum { BLOCK_BYTES = 256 << 10, MESSAGE_BYTES_MAX = 16 << 20 };

static void name_of(const tv_file_repair *repair, uint32_t generation, char name[PATH_MAX]) {
    if (generation == 0)
        snprintf(name, PATH_MAX, "%s", repair->path);
    else
        snprintf(name, PATH_MAX, "%s.%u", repair->path, generation);
}

// A regular file that is not empty; -1: there is none.
static int open_file(const char *name, uint64_t *size) {
    struct stat status;
    int fd = open(name, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return -1;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
        *size = (uint64_t)status.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

static void note(tv_file_repair *repair, tv_file_damage damage, uint64_t offset, uint64_t bytes) {
    repair->damage = damage;
    repair->damaged_generation = repair->generation;
    repair->damage_offset = offset;
    repair->damage_bytes = bytes;
}

static void cut_at(tv_file_repair *repair, int fd, tv_file_damage damage, uint64_t offset, uint64_t size) {
    note(repair, damage, offset, size - offset);
    if (ftruncate(fd, (off_t)offset) != 0) repair->os_errno = errno;
}

// ---- lines --------------------------------------------------------------------------------------------------

// Where the NUL bytes at the end begin.
static uint64_t nul_begin(int fd, uint8_t *block, uint64_t size) {
    uint64_t end = size;
    while (end > 0) {
        uint64_t begin = end > BLOCK_BYTES ? end - BLOCK_BYTES : 0;
        ssize_t got = pread(fd, block, (size_t)(end - begin), (off_t)begin);
        if (got != (ssize_t)(end - begin)) return size;
        while (end > begin && block[end - begin - 1] == 0)
            end--;
        if (end > begin) break;
    }
    return end;
}

// How much there is of the line that nothing ends; at most a block is looked at.
static uint64_t unfinished_bytes(int fd, uint8_t *block, uint64_t size) {
    uint64_t begin = size > BLOCK_BYTES ? size - BLOCK_BYTES : 0;
    ssize_t got = pread(fd, block, (size_t)(size - begin), (off_t)begin);
    const uint8_t *newline = got > 0 ? memrchr(block, '\n', (size_t)got) : NULL;
    return newline ? (uint64_t)got - (uint64_t)(newline - block) - 1 : (uint64_t)(got > 0 ? got : 0);
}

static void end_line(tv_file_repair *repair, int fd, uint8_t *block, uint64_t size) {
    uint64_t bytes = unfinished_bytes(fd, block, size);
    if (bytes == 0) return;
    if (repair->damage == TV_FILE_UNDAMAGED) note(repair, TV_FILE_CUT, size - bytes, bytes);
    if (pwrite(fd, "\n", 1, (off_t)size) != 1) repair->os_errno = errno;
}

// Other channels may write to the same file, and have begun to.
static void repair_lines(tv_file_repair *repair, int fd, uint8_t *block) {
    struct stat status;
    if (fstat(fd, &status) != 0) return;
    pthread_mutex_t *guard = tv_file_guard((uint64_t)status.st_ino);
    pthread_mutex_lock(guard);
    if (fstat(fd, &status) == 0) {
        uint64_t size = (uint64_t)status.st_size, begin = nul_begin(fd, block, size);
        if (begin < size) cut_at(repair, fd, TV_FILE_NUL, begin, size);
        if (repair->os_errno == 0) end_line(repair, fd, block, begin);
    }
    pthread_mutex_unlock(guard);
}

// ---- frames -------------------------------------------------------------------------------------------------

static uint64_t frame_bytes(const uint8_t *prefix) {
    return TV_FRAMING_PREFIX_BYTES +
           ((uint64_t)prefix[0] | (uint64_t)prefix[1] << 8 | (uint64_t)prefix[2] << 16 | (uint64_t)prefix[3] << 24);
}

// Goes on from repair->offset, prefix by prefix. True: no further frame is whole; false: the slice is used up.
static bool walk(tv_file_repair *repair, int fd, uint8_t *block, uint64_t size) {
    uint64_t begin = 0, length = 0, budget = TV_FILE_REPAIR_SLICE_BYTES;
    while (size - repair->offset >= TV_FRAMING_PREFIX_BYTES) {
        if (repair->offset < begin || repair->offset + TV_FRAMING_PREFIX_BYTES > begin + length) {
            if (budget < BLOCK_BYTES) return false;
            begin = repair->offset;
            ssize_t got = pread(fd, block, BLOCK_BYTES, (off_t)begin);
            if (got < TV_FRAMING_PREFIX_BYTES) return true; // it becomes shorter, or cannot be read
            length = (uint64_t)got;
            budget -= BLOCK_BYTES;
        }
        uint64_t bytes = frame_bytes(block + (repair->offset - begin));
        if (bytes > size - repair->offset) return true;
        repair->offset += bytes;
        if (bytes > TV_FRAMING_PREFIX_BYTES) repair->nul_from = repair->offset;
    }
    return true;
}

static bool is_nul_from(int fd, uint64_t offset, uint64_t size) {
    uint8_t rest[TV_FRAMING_PREFIX_BYTES];
    size_t length = (size_t)(size - offset);
    if (length > sizeof rest || pread(fd, rest, length, (off_t)offset) != (ssize_t)length) return false;
    for (size_t i = 0; i < length; i++)
        if (rest[i] != 0) return false;
    return true;
}

// Nothing is lost that somebody may want to look at.
static void move_aside(tv_file_repair *repair, const char *name) {
    enum { ASIDE_MAX = 9 };
    char aside[PATH_MAX];
    if (repair->generation > 0) return;
    for (int i = 0; i <= ASIDE_MAX; i++) {
        snprintf(aside, sizeof aside, i ? "%s.damaged.%d" : "%s.damaged", name, i);
        if (access(aside, F_OK) == 0) continue;
        if (rename(name, aside) != 0) repair->os_errno = errno;
        return;
    }
    repair->os_errno = EEXIST;
}

static void judge(tv_file_repair *repair, int fd, uint64_t size, const char *name) {
    uint64_t at = repair->offset;
    if (size - repair->nul_from >= TV_FILE_REPAIR_NUL_BYTES && is_nul_from(fd, at, size)) {
        cut_at(repair, fd, TV_FILE_NUL, repair->nul_from, size);
    } else if (size - at > MESSAGE_BYTES_MAX) {
        note(repair, TV_FILE_UNKNOWN, at, size - at);
        move_aside(repair, name);
    } else if (size > at) {
        cut_at(repair, fd, TV_FILE_CUT, at, size);
    }
}

// ---- both ---------------------------------------------------------------------------------------------------

bool tv_file_repair_needed(const tv_file_repair *repair) {
    char name[PATH_MAX];
    uint8_t last = 0;
    uint64_t size = 0;
    name_of(repair, 1, name);
    if (repair->keep > 0 && access(name, F_OK) == 0) return true;
    int fd = open_file(repair->path, &size);
    if (fd < 0) return false;
    bool is_whole = repair->lines && pread(fd, &last, 1, (off_t)size - 1) == 1 && last == '\n';
    close(fd);
    return !is_whole;
}

static void next_generation(tv_file_repair *repair) {
    char name[PATH_MAX];
    repair->generation++;
    repair->offset = repair->nul_from = 0;
    name_of(repair, repair->generation, name);
    repair->is_done = repair->generation > repair->keep || access(name, F_OK) != 0;
}

void tv_file_repair_run(tv_file_repair *repair) {
    char name[PATH_MAX];
    uint64_t size = 0;
    repair->damage = TV_FILE_UNDAMAGED;
    repair->os_errno = 0;
    name_of(repair, repair->generation, name);
    uint8_t *block = malloc(BLOCK_BYTES);
    int fd = block ? open_file(name, &size) : -1;
    bool is_over = true;
    if (fd >= 0 && repair->lines) {
        repair_lines(repair, fd, block);
    } else if (fd >= 0 && size >= repair->offset) {
        is_over = walk(repair, fd, block, size);
        if (is_over) judge(repair, fd, size, name);
    }
    if (fd >= 0) close(fd);
    free(block);
    if (is_over) next_generation(repair);
}
