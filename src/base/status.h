// Status codes and the error object every layer reports with.
//
// A function that can fail returns tv_status; set-up code also fills a caller-owned tv_error. AGAIN, FULL, EMPTY
// and EOF are answers of a working system, not errors. No allocation, no globals.
#ifndef TORVYN_BASE_STATUS_H
#define TORVYN_BASE_STATUS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef enum tv_status {
    TV_OK = 0,
    TV_AGAIN,   // not now; a wake-up will follow
    TV_FULL,    // no room
    TV_EMPTY,   // nothing there
    TV_EOF,     // nothing there, ever again
    TV_INVALID, // the input breaks a rule
    TV_NOT_FOUND,
    TV_EXISTS,
    TV_TOO_LARGE,
    TV_LIMIT, // a configured or built-in maximum is reached
    TV_NO_MEMORY,
    TV_IO,     // the operating system refused; tv_error.os_errno says why
    TV_DENIED, // not granted, or not permitted
    TV_UNSUPPORTED,
    TV_FAULT,       // a component failed
    TV_INTERRUPTED, // a signal or a stop request ended it
} tv_status;

enum { TV_ERROR_MESSAGE_BYTES = 1024 };

typedef struct tv_error {
    tv_status status;
    int os_errno;          // 0 if none
    uint32_t line, column; // of the pipeline file, from 1; 0: it is about no place there
    char message[TV_ERROR_MESSAGE_BYTES];
} tv_error;

// Name of a status in lower case ("not found"); never NULL.
const char *tv_status_name(tv_status status);

// Fills `error` (NULL is allowed) and returns `status`. The message says place, cause and remedy.
tv_status tv_error_set(tv_error *error, tv_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// As tv_error_set with TV_IO, appending the text of `os_errno`.
tv_status tv_error_set_errno(tv_error *error, int os_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Puts "context: " in front of the message, keeping status and place; returns the status.
tv_status tv_error_prefix(tv_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
