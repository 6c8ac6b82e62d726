// Log lines to standard error: time, level, place, text. Text on a terminal (coloured), JSON when asked for.
// Thread-safe; one write(2) a line; lines over 2 KB are cut.
#ifndef TORVYN_BASE_LOG_H
#define TORVYN_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

typedef enum tv_log_level { TV_LEVEL_TRACE, TV_LEVEL_DEBUG, TV_LEVEL_INFO, TV_LEVEL_WARN, TV_LEVEL_ERROR } tv_log_level;

// Process-wide; call before threads start. Default: INFO, text, colour if standard error is a terminal and
// NO_COLOR is not set.
void tv_log_configure(tv_log_level least, bool json);
bool tv_log_parse_level(const char *name, tv_log_level *level);

// `place` names a module or "flow/stage"; the text must not end in a newline. Control characters are escaped.
void tv_log(tv_log_level level, const char *place, const char *format, ...) __attribute__((format(printf, 3, 4)));
void tv_log_text(tv_log_level level, const char *place, const char *text, size_t length);

#endif
