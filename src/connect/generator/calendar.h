// Points in time as text: ISO 8601 in UTC, nothing else. Pure functions without libc's locale and time zone.
#ifndef TORVYN_CONNECT_GENERATOR_CALENDAR_H
#define TORVYN_CONNECT_GENERATOR_CALENDAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TV_ISO_TIME_BYTES = 40 };

// "2026-01-01", "2026-01-01T12:30:00Z", "2026-01-01T12:30:00.25Z" -> nanoseconds since the Unix epoch. False if it is
// something else or outside 1970 to 2261.
bool tv_iso_time_parse(const char *text, int64_t *time_ns);
// Writes "2026-01-01T12:30:00.250Z" with `digits` (0, 3 or 9) of the second's fraction. Returns the length.
size_t tv_iso_time_format(int64_t time_ns, int digits, char out[TV_ISO_TIME_BYTES]);

#endif
