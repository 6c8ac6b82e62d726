// Where finished log lines go: to standard error, by a thread of its own once it was started, else by the caller.
#ifndef TORVYN_BASE_LOG_OUTPUT_H
#define TORVYN_BASE_LOG_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

// A whole line of at most TV_LOG_LINE_BYTES_MAX. Any thread; does not block once the thread has been started. A line
// for which there is no room is counted.
void tv_log_output_line(const char *bytes, size_t length);

// log.c: the line that says how many were lost; its length. Called by the thread.
size_t tv_log_build_lost(uint64_t lines, char *out, size_t out_bytes);

#endif
