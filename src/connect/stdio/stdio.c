// The stdio connector's descriptor: option tables and the choice of direction.
#include "connect/stdio/stdio.h"

#include <stddef.h>

#include "connect/stdio/internal.h"

static const tv_option options[] = {
    {.name = "format",
     .type = TV_OPTION_ENUM,
     .offset = offsetof(tv_stdio_options, format),
     .default_text = "lines",
     .choices = tv_framing_names,
     .help = "One message a line, or messages behind their length (32 bits, little-endian)."},
    {.name = "buffer",
     .type = TV_OPTION_SIZE,
     .offset = offsetof(tv_stdio_options, buffer_bytes),
     .default_text = "64KiB",
     .min = 4096,
     .max = 16.0 * 1024 * 1024,
     .help = "Most bytes of one read or write; for writing always enough for one record."},
};

static tv_status open_either(const tv_connector_config *config, tv_channel *channel, void **state, tv_error *error) {
    return tv_channel_direction(channel) == TV_INPUT ? tv_stdin_open(config, channel, state, error)
                                                     : tv_stdout_open(config, channel, state, error);
}

static bool is_input(const void *state) { return ((const tv_stdio_state *)state)->direction == TV_INPUT; }

static void ready(void *state) {
    if (is_input(state)) {
        tv_stdin_ready(state);
    } else {
        tv_stdout_ready(state);
    }
}

static void stop(void *state) {
    if (is_input(state)) tv_stdin_stop(state);
}

static void close_either(void *state, void (*closed)(void *user), void *user) {
    if (is_input(state)) {
        tv_stdin_close(state, closed, user);
    } else {
        tv_stdout_close(state, closed, user);
    }
}

static void figures(void *state, tv_figure figure, void *user) {
    if (is_input(state)) {
        tv_stdin_figures(state, figure, user);
    } else {
        tv_stdout_figures(state, figure, user);
    }
}

static bool trouble(const void *state, tv_trouble *found) {
    return !is_input(state) && tv_stdout_trouble(state, found);
}

static uint64_t memory_bytes(tv_direction direction, const void *filled, uint32_t payload_bytes_max) {
    const tv_stdio_options *given = filled;
    return direction == TV_INPUT ? given->buffer_bytes + payload_bytes_max + 1 : 0;
}

// One buffer for all outputs: it belongs to whose turn it is to write.
static uint64_t common_memory_bytes(tv_direction direction, const void *filled, uint32_t payload_bytes_max) {
    const tv_stdio_options *given = filled;
    return direction == TV_OUTPUT ? tv_join_memory_bytes(given->buffer_bytes, payload_bytes_max) : 0;
}

const tv_connector tv_connector_stdio = {
    .name = "stdio",
    .summary = "Reads standard input and writes standard output.",
    .directions = TV_INPUT | TV_OUTPUT,
    .pausable = true,
    .input_options = {options, sizeof options / sizeof *options, sizeof(tv_stdio_options)},
    .output_options = {options, sizeof options / sizeof *options, sizeof(tv_stdio_options)},
    .open = open_either,
    .ready = ready,
    .stop = stop,
    .close = close_either,
    .figures = figures,
    .trouble = trouble,
    .memory_bytes = memory_bytes,
    .common_memory_bytes = common_memory_bytes,
};
