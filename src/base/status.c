// Status names and the error object. Messages are cut, never refused: an error about an error helps nobody.
// A message may be built from the error's own old message, so it is formatted aside first.
#include "base/status.h"

#include <stdio.h>
#include <string.h>

const char *tv_status_name(tv_status status) {
    switch (status) {
    case TV_OK: return "ok";
    case TV_AGAIN: return "again";
    case TV_FULL: return "full";
    case TV_EMPTY: return "empty";
    case TV_EOF: return "end of stream";
    case TV_INVALID: return "invalid";
    case TV_NOT_FOUND: return "not found";
    case TV_EXISTS: return "exists";
    case TV_TOO_LARGE: return "too large";
    case TV_LIMIT: return "limit reached";
    case TV_NO_MEMORY: return "out of memory";
    case TV_IO: return "input/output error";
    case TV_DENIED: return "denied";
    case TV_UNSUPPORTED: return "unsupported";
    case TV_FAULT: return "component fault";
    case TV_INTERRUPTED: return "interrupted";
    }
    return "unknown status";
}

static void error_fill(tv_error *error, tv_status status, int os_errno, const char *format, va_list arguments) {
    char message[TV_ERROR_MESSAGE_BYTES];
    vsnprintf(message, sizeof message, format, arguments);
    error->status = status;
    error->os_errno = os_errno;
    error->line = error->column = 0;
    memcpy(error->message, message, sizeof message);
}

tv_status tv_error_set(tv_error *error, tv_status status, const char *format, ...) {
    if (!error) return status;
    va_list arguments;
    va_start(arguments, format);
    error_fill(error, status, 0, format, arguments);
    va_end(arguments);
    return status;
}

tv_status tv_error_set_errno(tv_error *error, int os_errno, const char *format, ...) {
    if (!error) return TV_IO;
    va_list arguments;
    va_start(arguments, format);
    error_fill(error, TV_IO, os_errno, format, arguments);
    va_end(arguments);
    char buffer[128];
    size_t length = strlen(error->message);
    snprintf(error->message + length, sizeof error->message - length, ": %s",
             strerror_r(os_errno, buffer, sizeof buffer));
    return TV_IO;
}

tv_status tv_error_prefix(tv_error *error, const char *format, ...) {
    if (!error) return TV_INVALID; // there is no status to keep, but it is a failure all the same
    char old[TV_ERROR_MESSAGE_BYTES];
    uint32_t line = error->line, column = error->column;
    memcpy(old, error->message, sizeof old);
    va_list arguments;
    va_start(arguments, format);
    error_fill(error, error->status, error->os_errno, format, arguments);
    va_end(arguments);
    error->line = line;
    error->column = column;
    size_t length = strlen(error->message);
    snprintf(error->message + length, sizeof error->message - length, ": %s", old);
    return error->status;
}
