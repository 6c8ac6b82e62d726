// Log lines to standard error: time, level, place, text. Text on a terminal (coloured), JSON when asked for.
// Thread-safe; lines over 2 KB are cut.
//
// Until tv_log_start a line is written by whoever logs. From then on nobody waits for whoever reads standard error: a
// thread of its own writes, and what does not fit into the queue before it is counted and said there.
#ifndef TORVYN_BASE_LOG_H
#define TORVYN_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum tv_log_level { TV_LEVEL_TRACE, TV_LEVEL_DEBUG, TV_LEVEL_INFO, TV_LEVEL_WARN, TV_LEVEL_ERROR } tv_log_level;

// Process-wide; call before threads start. Default: INFO, text, colour if standard error is a terminal and
// NO_COLOR is not set.
void tv_log_configure(tv_log_level least, bool json);
bool tv_log_parse_level(const char *name, tv_log_level *level);

// What the queue of lines and the thread take, for memory plans.
enum { TV_LOG_MEMORY_BYTES = (64 << 10) + (256 << 10), TV_LOG_EXPECTED_BYTES = 80 << 10 };

// Starts the thread that writes. Errors: IO. Before other threads log.
tv_status tv_log_start(tv_error *error);
// Waits until all lines are written, at most `wait_ns`; false if they are not.
bool tv_log_flush(int64_t wait_ns);
// The same, and ends the thread; if lines are left, it stays. For tests: a process need not.
bool tv_log_stop(int64_t wait_ns);
// Lines lost so far since nobody read them, or they could not be written.
uint64_t tv_log_lost(void);

// `place` names a module or "flow/stage"; the text must not end in a newline. Control characters are escaped.
void tv_log(tv_log_level level, const char *place, const char *format, ...) __attribute__((format(printf, 3, 4)));
void tv_log_text(tv_log_level level, const char *place, const char *text, size_t length);
// Text without time, level and place, for people: at most 2 KB, with its newline. As tv_print (base/show.h); allocates.
void tv_log_plain(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Something that is soon out of date, as a line of progress: false, and nothing is counted, while other lines wait.
bool tv_log_status(const char *bytes, size_t length);

#endif
