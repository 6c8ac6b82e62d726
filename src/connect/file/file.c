// The file connector's descriptor: option tables and the choice of direction.
#include "connect/file/file.h"

#include <stddef.h>

#include "connect/file/internal.h"
#include "connect/file/pattern.h"

static const char *const mode_names[] = {"once", "follow", NULL};
static const char *const start_names[] = {"beginning", "end", NULL};
static const char *const missing_names[] = {"fail", "wait", NULL};
static const char *const match_names[] = {"newest", "all", NULL};
static const char *const write_mode_names[] = {"append", "truncate", NULL};
static const char *const sync_names[] = {"never", "interval", "every-batch", NULL};

#define MILLISECOND 1e6
#define SECOND      1e9
#define DAY         (86400 * SECOND)
#define KIB         1024.0
#define MIB         (1024 * KIB)

#define INPUT(member)  offsetof(tv_file_input_options, member)
#define OUTPUT(member) offsetof(tv_file_output_options, member)

static const tv_option input_options[] = {
    {.name = "path",
     .type = TV_OPTION_STRING,
     .offset = INPUT(path),
     .required = true,
     .text = TV_OPTION_PATTERN,
     .min = 1,
     .max = 4095,
     .help = "File to read; relative paths start at the working directory. Its name may be a pattern (`*`, `?`, "
             "`[...]`): see `match`. Values of a table (`for_each`) can be parts of a file's name, no more."},
    {.name = "mode",
     .type = TV_OPTION_ENUM,
     .offset = INPUT(mode),
     .default_text = "once",
     .choices = mode_names,
     .help = "`once` reads to the end and ends the flow; `follow` goes on with what is appended, through rotation."},
    {.name = "format",
     .type = TV_OPTION_ENUM,
     .offset = INPUT(format),
     .default_text = "lines",
     .choices = tv_framing_names,
     .help = "One message a line, or messages behind their length (32 bits, little-endian)."},
    {.name = "start",
     .type = TV_OPTION_ENUM,
     .offset = INPUT(start),
     .default_text = "beginning",
     .choices = start_names,
     .help =
         "Where to begin in a file that is there already, also when the process starts again: positions are not kept. "
         "`end` is for `follow`."},
    {.name = "missing",
     .type = TV_OPTION_ENUM,
     .offset = INPUT(missing),
     .default_text = "fail",
     .choices = missing_names,
     .help = "What to do when there is no such file at the start: refuse, or (`follow`) wait for it."},
    {.name = "match",
     .type = TV_OPTION_ENUM,
     .offset = INPUT(match),
     .default_text = "newest",
     .choices = match_names,
     .help =
         "`path` is a pattern: begin with the last file by name, or read all of them, one after the other. `follow` "
         "then goes over to each later name when the file before it is read to its end."},
    {.name = "poll",
     .type = TV_OPTION_DURATION,
     .offset = INPUT(poll_ns),
     .default_text = "1s",
     .min = 10 * MILLISECOND,
     .max = 3600 * SECOND,
     .help =
         "`follow`: how often to look at a file that is missing or whose changes the system does not report (network "
         "file systems, symbolic links); at others a tenth as often, but at least once a minute."},
    {.name = "rotate_wait",
     .type = TV_OPTION_DURATION,
     .offset = INPUT(rotate_wait_ns),
     .default_text = "1s",
     .max = 3600 * SECOND,
     .help = "`follow`: how long a rotated file is still read for late writes before the new one is begun."},
    {.name = "chunk",
     .type = TV_OPTION_SIZE,
     .offset = INPUT(chunk_bytes),
     .default_text = "256KiB",
     .min = 4 * KIB,
     .max = 16 * MIB,
     .help = "Bytes of one read; two chunks are held, the second read ahead."},
};

static const tv_option output_options[] = {
    {.name = "path",
     .type = TV_OPTION_STRING,
     .offset = OUTPUT(path),
     .required = true,
     .text = TV_OPTION_PATH,
     .min = 1,
     .max = 4000,
     .help = "File to write; rotated files are called path.1, path.2 and so on. Values of a table (`for_each`) can be "
             "parts of "
             "a file's name, no more."},
    {.name = "mode",
     .type = TV_OPTION_ENUM,
     .offset = OUTPUT(mode),
     .default_text = "append",
     .choices = write_mode_names,
     .help = "What to do with a file that is there already."},
    {.name = "format",
     .type = TV_OPTION_ENUM,
     .offset = OUTPUT(format),
     .default_text = "lines",
     .choices = tv_framing_names,
     .help = "A newline after each message (one within it is written as it is), or its length before it."},
    {.name = "permissions",
     .type = TV_OPTION_STRING,
     .offset = OUTPUT(permissions),
     .default_text = "0644",
     .min = 3,
     .max = 4,
     .help = "Who may read and write files that are made, in octal (`\"0600\"`: only the owner), less the process's "
             "umask; a file that is there keeps its own."},
    {.name = "sync",
     .type = TV_OPTION_ENUM,
     .offset = OUTPUT(sync),
     .default_text = "never",
     .choices = sync_names,
     .help = "When to force what was written to the disk; with `every-batch` records leave the queue only then."},
    {.name = "sync_interval",
     .type = TV_OPTION_DURATION,
     .offset = OUTPUT(sync_interval_ns),
     .default_text = "5s",
     .min = 10 * MILLISECOND,
     .max = 3600 * SECOND,
     .help = "`sync: interval`: the longest time that written data stays in the system's memory alone."},
    {.name = "rotate_size",
     .type = TV_OPTION_SIZE,
     .offset = OUTPUT(rotate_bytes),
     .default_text = "0",
     .max = 1024 * 1024 * MIB,
     .help = "Start a new file before this size is exceeded; 0: never, otherwise at least 4 KiB."},
    {.name = "rotate_age",
     .type = TV_OPTION_DURATION,
     .offset = OUTPUT(rotate_age_ns),
     .default_text = "0s",
     .max = 3660 * DAY,
     .help = "Start a new file when the present one is this old; 0: never, otherwise at least 1 s."},
    {.name = "keep",
     .type = TV_OPTION_INTEGER,
     .offset = OUTPUT(keep),
     .default_text = "5",
     .min = 0,
     .max = 1000,
     .help = "Rotated files to keep; the oldest is deleted."},
    {.name = "follow_links",
     .type = TV_OPTION_BOOL,
     .offset = OUTPUT(follow_links),
     .default_text = "true",
     .help = "`false`: a symbolic link in the place of the file is refused."},
    {.name = "buffer",
     .type = TV_OPTION_SIZE,
     .offset = OUTPUT(buffer_bytes),
     .default_text = "256KiB",
     .min = 4 * KIB,
     .max = 16 * MIB,
     .help = "Most bytes of one write; always enough for one record."},
};

void tv_file_use_of(tv_direction direction, const void *options, tv_file_use *use) {
    if (direction == TV_INPUT) {
        const char *path = ((const tv_file_input_options *)options)->path;
        *use = (tv_file_use){.path = path, .is_pattern = tv_file_is_pattern(path)};
        return;
    }
    const tv_file_output_options *output = options;
    bool rotates = output->rotate_bytes != 0 || output->rotate_age_ns != 0;
    *use = (tv_file_use){.path = output->path,
                         .rotated_max = rotates ? (uint32_t)output->keep : 0,
                         .may_share = output->format == TV_FRAMING_LINES,
                         .truncates = output->mode == TV_FILE_TRUNCATE};
}

bool tv_file_fits(const char *pattern, const char *name) { return tv_file_matches(pattern, name); }

static tv_status check_input(const tv_file_input_options *options, tv_error *error) {
    if (tv_file_folder_is_pattern(options->path)) {
        return tv_error_set(
            error, TV_INVALID,
            "`path`: only the file's name may be a pattern, not the folders before it (a backslash takes "
            "the meaning of * ? [ away)");
    }
    if (options->match == TV_FILE_MATCH_ALL && options->start == TV_FILE_START_END) {
        return tv_error_set(error, TV_INVALID, "`match: all` reads files from their beginning, not from `start: end`");
    }
    if (options->mode == TV_FILE_FOLLOW) return TV_OK;
    if (options->start == TV_FILE_START_END) {
        return tv_error_set(error, TV_INVALID, "`start: end` reads nothing with `mode: once`; use `mode: follow`");
    }
    if (options->missing == TV_FILE_MISSING_WAIT) {
        return tv_error_set(error, TV_INVALID, "`missing: wait` needs `mode: follow`");
    }
    return TV_OK;
}

static tv_status check_output(const tv_file_output_options *options, tv_error *error) {
    uint32_t mode;
    if (!tv_file_parse_permissions(options->permissions, &mode)) {
        return tv_error_set(error, TV_INVALID,
                            "`permissions` must be three octal digits, as \"0640\", and let the owner write");
    }
    if (options->rotate_bytes != 0 && options->rotate_bytes < 4096) {
        return tv_error_set(error, TV_INVALID, "`rotate_size` must be 0 (never) or at least 4 KiB");
    }
    if (options->rotate_age_ns != 0 && options->rotate_age_ns < (int64_t)SECOND) {
        return tv_error_set(error, TV_INVALID, "`rotate_age` must be 0 (never) or at least 1s");
    }
    return TV_OK;
}

static tv_status check(tv_direction direction, const void *options, tv_error *error) {
    return direction == TV_INPUT ? check_input(options, error) : check_output(options, error);
}

static tv_status open_either(const tv_connector_config *config, tv_channel *channel, void **state, tv_error *error) {
    tv_direction direction = tv_channel_direction(channel);
    tv_status status = check(direction, config->options, error);
    if (status != TV_OK) return status;
    return direction == TV_INPUT ? tv_file_input_open(config, channel, state, error)
                                 : tv_file_output_open(config, channel, state, error);
}

static bool is_input(const void *state) { return ((const tv_file_state *)state)->direction == TV_INPUT; }

static void ready(void *state) {
    if (is_input(state)) {
        tv_file_input_ready(state);
    } else {
        tv_file_output_ready(state);
    }
}

static void stop(void *state) {
    if (is_input(state)) tv_file_input_stop(state);
}

static void close_either(void *state, void (*closed)(void *user), void *user) {
    if (is_input(state)) {
        tv_file_input_close(state, closed, user);
    } else {
        tv_file_output_close(state, closed, user);
    }
}

static void figures(void *state, tv_figure figure, void *user) {
    if (is_input(state)) {
        tv_file_input_figures(state, figure, user);
    } else {
        tv_file_output_figures(state, figure, user);
    }
}

static void trim(void *state) {
    if (is_input(state)) {
        tv_file_input_trim(state);
    } else {
        tv_file_output_trim(state);
    }
}

static bool trouble(const void *state, tv_trouble *found) {
    return is_input(state) ? tv_file_input_trouble(state, found) : tv_file_output_trouble(state, found);
}

static uint64_t memory_bytes(tv_direction direction, const void *options, uint32_t payload_bytes_max) {
    if (direction == TV_INPUT) {
        const tv_file_input_options *input = options;
        uint64_t first_line_bytes = input->start == TV_FILE_START_END ? TV_ATTRIBUTES_BYTES_LIMIT : 0;
        return 2 * input->chunk_bytes + payload_bytes_max + 1 + first_line_bytes;
    }
    const tv_file_output_options *output = options;
    return tv_join_memory_bytes(output->buffer_bytes, payload_bytes_max);
}

const tv_connector tv_connector_file = {
    .name = "file",
    .summary = "Reads a file once or follows it, and writes files with rotation.",
    .directions = TV_INPUT | TV_OUTPUT,
    .pausable = true,
    .input_options = {input_options, sizeof input_options / sizeof *input_options, sizeof(tv_file_input_options)},
    .output_options = {output_options, sizeof output_options / sizeof *output_options, sizeof(tv_file_output_options)},
    .check = check,
    .open = open_either,
    .ready = ready,
    .stop = stop,
    .close = close_either,
    .figures = figures,
    .trim = trim,
    .trouble = trouble,
    .memory_bytes = memory_bytes,
};
