// What memory the machine and the control group leave to this process.
#include <stdlib.h>
#include <string.h>

#include "host/internal.h"

enum { LINE_BYTES = 4096 };

// Content of a small file such as /sys/fs/cgroup/.../memory.max as a number; 0 if there is none ("max", unreadable).
static uint64_t read_number(const char *path) {
    FILE *file = fopen(path, "re");
    char line[64] = "";
    if (!file) return 0;
    if (!fgets(line, sizeof line, file)) line[0] = '\0';
    fclose(file);
    char *end;
    unsigned long long value = strtoull(line, &end, 10);
    // Version 1 says "no limit" with a number near the largest.
    return end == line || value >= (1ull << 62) ? 0 : value;
}

static void take_tightest(uint64_t *tightest, uint64_t value) {
    if (value && (!*tightest || value < *tightest)) *tightest = value;
}

uint64_t tv_host_limits_walk(const char *root, const char *group, const char *file) {
    char path[LINE_BYTES];
    uint64_t tightest = 0;
    size_t root_length = strlen(root);
    int length = snprintf(path, sizeof path, "%s%s", root, group);
    if (length < 0 || (size_t)length >= sizeof path - 64) return 0;
    for (;;) {
        size_t end = strlen(path);
        snprintf(path + end, sizeof path - end, "/%s", file);
        take_tightest(&tightest, read_number(path));
        path[end] = '\0';
        char *slash = strrchr(path, '/');
        if (!slash || (size_t)(slash - path) < root_length) return tightest;
        *slash = '\0';
    }
}

// One line of /proc/self/cgroup: "0::/group" (version 2) or "N:controllers:/group" (version 1).
static uint64_t limit_of_line(char *line) {
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group) return 0;
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    if (strcmp(controllers + 1, "") == 0) return tv_host_limits_walk("/sys/fs/cgroup", group, "memory.max");
    if (strcmp(controllers + 1, "memory") == 0)
        return tv_host_limits_walk("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
    return 0;
}

static uint64_t cgroup_bytes(void) {
    char line[LINE_BYTES];
    uint64_t tightest = 0;
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file) return 0;
    while (fgets(line, sizeof line, file))
        take_tightest(&tightest, limit_of_line(line));
    fclose(file);
    return tightest;
}

uint64_t tv_host_proc_bytes(const char *path, const char *const *names, size_t count) {
    char line[256];
    uint64_t kib = 0;
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    while (fgets(line, sizeof line, file))
        for (size_t i = 0; i < count; i++)
            if (strncmp(line, names[i], strlen(names[i])) == 0) kib += strtoull(line + strlen(names[i]), NULL, 10);
    fclose(file);
    return kib << 10;
}

void tv_host_limits_read(tv_host_memory_limits *limits) {
    limits->cgroup_bytes = cgroup_bytes();
    static const char *const available = "MemAvailable:";
    limits->available_bytes = tv_host_proc_bytes("/proc/meminfo", &available, 1);
}
