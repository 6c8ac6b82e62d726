// The inside of connect/stdio: options, the two directions, and the stream behind a standard descriptor.
#ifndef TORVYN_CONNECT_STDIO_INTERNAL_H
#define TORVYN_CONNECT_STDIO_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "connect/framing/framing.h"
#include "flow/channel.h"

typedef struct tv_stdio_options {
    int format; // tv_framing
    uint64_t buffer_bytes;
} tv_stdio_options;

// ---- stream -------------------------------------------------------------------------------------------------

typedef enum tv_stream_kind {
    TV_STREAM_FILE,   // regular file or device: read and written on the thread pool
    TV_STREAM_POLLED, // pipe, terminal, socket: when it is ready
} tv_stream_kind;

typedef struct tv_stream {
    tv_stream_kind kind;
    int fd;
    bool owned;     // a description of our own, non-blocking
    bool is_socket; // non-blocking by a flag of each call
    int ready_fd;   // POLLED: readable when `fd` is ready; the only one a loop may watch
} tv_stream;

// Opens the standard descriptor `number` for one direction. INVALID if it is not open; IO.
tv_status tv_stream_open(tv_stream *stream, int number, bool writing, tv_error *error);
void tv_stream_close(tv_stream *stream); // not the standard descriptor itself
// Bytes, 0 at the end, or a negative errno; -EAGAIN: not ready. POLLED only.
ssize_t tv_stream_read(tv_stream *stream, uint8_t *bytes, size_t capacity);
ssize_t tv_stream_write(tv_stream *stream, const uint8_t *bytes, size_t length);

// ---- the two directions: functions of the connector table ---------------------------------------------------

typedef void (*tv_figure)(void *user, const char *name, uint64_t value);

// Both states begin with their direction, by which the table's functions tell them apart.
typedef struct tv_stdio_state {
    tv_direction direction;
} tv_stdio_state;

tv_status tv_stdin_open(const tv_connector_config *config, tv_channel *channel, void **state, tv_error *error);
void tv_stdin_ready(void *state);
void tv_stdin_stop(void *state);
void tv_stdin_close(void *state, void (*closed)(void *user), void *user);
void tv_stdin_figures(void *state, tv_figure figure, void *user);

tv_status tv_stdout_open(const tv_connector_config *config, tv_channel *channel, void **state, tv_error *error);
void tv_stdout_ready(void *state);
void tv_stdout_close(void *state, void (*closed)(void *user), void *user);
void tv_stdout_figures(void *state, tv_figure figure, void *user);
bool tv_stdout_trouble(const void *state, tv_trouble *trouble);

#endif
