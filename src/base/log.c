// The log: how a line is made. It is built on the stack and never allocates, so that it can be written when memory is
// short; log_output.c writes it. What comes from outside is made harmless (base/show.h), in JSON and in text. There are
// no log files and no rotation: that is the service manager's work.
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <time.h>
#include <unistd.h>

#include "base/log_output.h"
#include "base/log_ring.h"
#include "base/show.h"

enum { LINE_BYTES_MAX = TV_LOG_LINE_BYTES_MAX, LINE_TAIL_BYTES = 16 };

static const char *const level_names[] = {"trace", "debug", "info", "warn", "error"};
static const char *const level_colours[] = {"\033[2m", "\033[2m", "\033[32m", "\033[33m", "\033[31m"};

typedef enum colour_choice { COLOUR_UNDECIDED, COLOUR_OFF, COLOUR_ON } colour_choice;

static struct {
    tv_log_level least;
    bool json;
    int colour; // colour_choice, atomic: decided by whoever logs first
} settings = {.least = TV_LEVEL_INFO};

// A line under construction. The last LINE_TAIL_BYTES are kept for its end.
typedef struct log_line {
    char bytes[LINE_BYTES_MAX];
    size_t length;
    bool cut;
} log_line;

static bool wants_colour(void) {
    int choice = __atomic_load_n(&settings.colour, __ATOMIC_RELAXED);
    if (choice == COLOUR_UNDECIDED) {
        const char *no_colour = getenv("NO_COLOR");
        choice = isatty(STDERR_FILENO) && !(no_colour && *no_colour) ? COLOUR_ON : COLOUR_OFF;
        __atomic_store_n(&settings.colour, choice, __ATOMIC_RELAXED);
    }
    return choice == COLOUR_ON;
}

void tv_log_configure(tv_log_level least, bool json) {
    settings.least = least;
    settings.json = json;
    __atomic_store_n(&settings.colour, COLOUR_UNDECIDED, __ATOMIC_RELAXED);
}

bool tv_log_parse_level(const char *name, tv_log_level *level) {
    for (int i = TV_LEVEL_TRACE; i <= TV_LEVEL_ERROR; i++) {
        if (strcmp(level_names[i], name) != 0) continue;
        *level = (tv_log_level)i;
        return true;
    }
    return false;
}

static void line_add(log_line *line, const char *bytes, size_t length) {
    if (line->cut) return;
    if (length > LINE_BYTES_MAX - LINE_TAIL_BYTES - line->length) {
        line->cut = true;
        return;
    }
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
}

static void line_add_text(log_line *line, const char *text) { line_add(line, text, strlen(text)); }

// The end of a line always fits.
static void line_add_tail(log_line *line, const char *text) {
    size_t length = strlen(text);
    memcpy(line->bytes + line->length, text, length);
    line->length += length;
}

// Text from outside. Escapes make it longer; a character or escape is taken whole or not at all.
static void line_add_shown(log_line *line, const char *text, size_t length, tv_show_form form) {
    for (size_t i = 0; i < length && !line->cut;) {
        char step[TV_SHOW_STEP_BYTES];
        size_t shown;
        i += tv_show_step(form, text + i, length - i, step, &shown);
        line_add(line, step, shown);
    }
}

static void line_add_time(log_line *line) {
    struct timespec now;
    struct tm parts;
    char time[64];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t length = strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(time + length, sizeof time - length, ".%03ldZ", now.tv_nsec / 1000000);
    line_add_text(line, time);
}

static void line_build_json(log_line *line, tv_log_level level, const char *place, const char *text, size_t length) {
    line_add_text(line, "{\"time\":\"");
    line_add_time(line);
    line_add_text(line, "\",\"level\":\"");
    line_add_text(line, level_names[level]);
    line_add_text(line, "\",\"place\":\"");
    line_add_shown(line, place, strnlen(place, LINE_BYTES_MAX / 4), TV_SHOW_JSON);
    line_add_text(line, "\",\"text\":\"");
    line_add_shown(line, text, length, TV_SHOW_JSON);
    line_add_tail(line, line->cut ? "...\"}\n" : "\"}\n");
}

static void line_build_text(log_line *line, tv_log_level level, const char *place, const char *text, size_t length) {
    bool colour = wants_colour();
    line_add_time(line);
    line_add_text(line, " ");
    if (colour) line_add_text(line, level_colours[level]);
    char name[16];
    snprintf(name, sizeof name, "%-5s", level_names[level]);
    line_add_text(line, name);
    if (colour) line_add_text(line, "\033[0m");
    line_add_text(line, " ");
    line_add_shown(line, place, strnlen(place, LINE_BYTES_MAX / 4), TV_SHOW_TEXT);
    line_add_text(line, ": ");
    line_add_shown(line, text, length, TV_SHOW_TEXT);
    if (colour) line_add_tail(line, "\033[K"); // a line of progress that stood here may have been longer
    line_add_tail(line, line->cut ? "...\n" : "\n");
}

static void line_build(log_line *line, tv_log_level level, const char *place, const char *text, size_t length) {
    line->length = 0;
    line->cut = false;
    if (settings.json)
        line_build_json(line, level, place, text, length);
    else
        line_build_text(line, level, place, text, length);
}

size_t tv_log_build_lost(uint64_t lines, char *out, size_t out_bytes) {
    log_line line;
    char text[96];
    int length = snprintf(text, sizeof text, "%" PRIu64 " lines were lost here: nobody read them", lines);
    line_build(&line, TV_LEVEL_WARN, "log", text, (size_t)length);
    size_t count = line.length < out_bytes ? line.length : out_bytes;
    memcpy(out, line.bytes, count);
    return count;
}

void tv_log_text(tv_log_level level, const char *place, const char *text, size_t length) {
    if (level < settings.least) return;
    int saved_errno = errno;
    log_line line;
    line_build(&line, level, place, text, length);
    tv_log_output_line(line.bytes, line.length);
    errno = saved_errno;
}

void tv_log(tv_log_level level, const char *place, const char *format, ...) {
    if (level < settings.least) return;
    int saved_errno = errno;
    char text[LINE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    errno = saved_errno;
    if (length < 0) return;
    tv_log_text(level, place, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

void tv_log_plain(const char *format, ...) {
    tv_text text = {0};
    va_list arguments;
    va_start(arguments, format);
    tv_text_vshow(&text, format, arguments);
    va_end(arguments);
    size_t length = text.length < LINE_BYTES_MAX ? text.length : LINE_BYTES_MAX;
    if (length > 0) tv_log_output_line(text.bytes, length);
    tv_text_deinit(&text);
}
