// A hash table by device and inode, with a count for each use. Opening and closing only: nothing of it is on the way of
// data.
#include "connect/file/claims.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { BUCKETS = 1024, USES = TV_FILE_CLAIM_WRITE + 1 };

typedef struct claimed_file {
    struct claimed_file *next;
    dev_t device;
    ino_t inode;
    uint32_t users[USES];
} claimed_file;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static claimed_file *buckets[BUCKETS];

static bool identify(int fd, struct stat *status) { return fstat(fd, status) == 0 && S_ISREG(status->st_mode); }

static claimed_file **find(const struct stat *status) {
    claimed_file **link = &buckets[(status->st_ino ^ status->st_dev) % BUCKETS];
    while (*link && ((*link)->inode != status->st_ino || (*link)->device != status->st_dev))
        link = &(*link)->next;
    return link;
}

static bool is_allowed(const claimed_file *file, tv_file_claim claim) {
    const uint32_t *users = file->users;
    switch (claim) {
    case TV_FILE_CLAIM_READ: return users[TV_FILE_CLAIM_APPEND] + users[TV_FILE_CLAIM_WRITE] == 0;
    case TV_FILE_CLAIM_APPEND: return users[TV_FILE_CLAIM_READ] + users[TV_FILE_CLAIM_WRITE] == 0;
    case TV_FILE_CLAIM_WRITE:
        return users[TV_FILE_CLAIM_READ] + users[TV_FILE_CLAIM_APPEND] + users[TV_FILE_CLAIM_WRITE] == 0;
    }
    return false;
}

static bool take(const struct stat *status, tv_file_claim claim) {
    claimed_file **link = find(status), *file = *link;
    if (!file) {
        file = calloc(1, sizeof *file);
        if (!file) return true; // then it is not known, which only matters to who makes a mistake
        file->device = status->st_dev;
        file->inode = status->st_ino;
        *link = file;
    }
    if (!is_allowed(file, claim)) return false;
    file->users[claim]++;
    return true;
}

bool tv_file_claim_take(int fd, tv_file_claim claim) {
    struct stat status;
    if (!identify(fd, &status)) return true;
    pthread_mutex_lock(&mutex);
    bool taken = take(&status, claim);
    pthread_mutex_unlock(&mutex);
    return taken;
}

void tv_file_claim_release(int fd, tv_file_claim claim) {
    struct stat status;
    if (fd < 0 || !identify(fd, &status)) return;
    pthread_mutex_lock(&mutex);
    claimed_file **link = find(&status), *file = *link;
    if (file && file->users[claim] > 0 && --file->users[claim] == 0) {
        uint32_t users = 0;
        for (int i = 0; i < USES; i++)
            users += file->users[i];
        if (users == 0) {
            *link = file->next;
            free(file);
        }
    }
    pthread_mutex_unlock(&mutex);
}
