// Running the compiler: command lines, child processes, files.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/build.h"

void tv_build_command_add(tv_build_command *command, const char *format, ...) {
    size_t room = sizeof command->text - command->used;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(command->text + command->used, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= room || command->count == TV_BUILD_WORDS_MAX) {
        command->full = true;
        return;
    }
    command->words[command->count++] = command->text + command->used;
    command->words[command->count] = NULL;
    command->used += (size_t)length + 1;
}

// A word as a shell would need it.
static void print_word(const char *word) {
    if (word[0] != 0 && strcspn(word, " \t\n\"'\\$&|;<>()*?[]#~`!{}") == strlen(word)) {
        tv_print(stderr, " %s", word);
        return;
    }
    fputs(" '", stderr);
    for (;;) {
        size_t plain = strcspn(word, "'");
        tv_print(stderr, "%.*s", (int)plain, word);
        word += plain;
        if (!*word) break;
        fputs("'\\''", stderr);
        word++;
    }
    fputc('\'', stderr);
}

static void print_command(const tv_build_command *command) {
    fputc('+', stderr);
    for (size_t index = 0; index < command->count; index++)
        print_word(command->words[index]);
    fputc('\n', stderr);
}

static bool wait_for(pid_t child) {
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) return false;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

tv_status tv_build_command_run(const tv_build_command *command, bool verbose, tv_error *error) {
    if (command->full) return tv_error_set(error, TV_LIMIT, "the command line is too long; use fewer files");
    if (verbose) print_command(command);
    // Ctrl-C ends the compiler; we stay to remove the temporary folder.
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    sigaction(SIGINT, &ignore, &before);
    posix_spawnattr_t attributes;
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &interrupt);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    pid_t child;
    int failed = posix_spawnp(&child, command->words[0], NULL, &attributes, (char *const *)command->words, environ);
    bool good = !failed && wait_for(child);
    posix_spawnattr_destroy(&attributes);
    sigaction(SIGINT, &before, NULL);
    if (failed) return tv_error_set_errno(error, failed, "cannot run %s", command->words[0]);
    if (good) return TV_OK;
    return tv_error_set(error, TV_FAULT, "%s failed; its messages are above", command->words[0]);
}

static size_t read_all(int file, char *out, size_t capacity) {
    size_t length = 0;
    char rest[512];
    for (;;) {
        bool room = length + 1 < capacity;
        ssize_t got = read(file, room ? out + length : rest, room ? capacity - 1 - length : sizeof rest);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        if (room) length += (size_t)got;
    }
    out[length] = 0;
    return length;
}

tv_status tv_build_command_capture(const tv_build_command *command, char *out, size_t capacity) {
    int ends[2];
    out[0] = 0;
    if (command->full || pipe2(ends, O_CLOEXEC) != 0) return TV_IO;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t child;
    int failed = posix_spawnp(&child, command->words[0], &actions, NULL, (char *const *)command->words, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (!failed) read_all(ends[0], out, capacity);
    close(ends[0]);
    if (failed) return TV_NOT_FOUND;
    return wait_for(child) ? TV_OK : TV_FAULT;
}

static tv_status write_all(int file, const uint8_t *bytes, size_t length) {
    while (length > 0) {
        ssize_t written = write(file, bytes, length);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return TV_IO;
        bytes += written;
        length -= (size_t)written;
    }
    return TV_OK;
}

tv_status tv_build_write_file(const char *path, const uint8_t *bytes, size_t length, tv_error *error) {
    char part[TV_BUILD_PATH_BYTES];
    if (snprintf(part, sizeof part, "%s.XXXXXX", path) >= (int)sizeof part)
        return tv_error_set(error, TV_TOO_LARGE, "%s: the path is too long", path);
    int file = mkstemp(part);
    if (file < 0) return tv_error_set_errno(error, errno, "cannot write %s", path);
    tv_status status = write_all(file, bytes, length);
    int code = errno;
    if (status == TV_OK && (fchmod(file, 0644) != 0 || rename(part, path) != 0)) {
        status = TV_IO;
        code = errno;
    }
    close(file);
    if (status == TV_OK) return TV_OK;
    unlink(part);
    return tv_error_set_errno(error, code, "cannot write %s", path);
}
