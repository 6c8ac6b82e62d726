// A growing text buffer, for reports and messages; not for the data path.
#ifndef TORVYN_BASE_TEXT_H
#define TORVYN_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// Zero-initialise; `bytes` is NUL-terminated once something was added. After a failed allocation `failed` stays
// set and further additions do nothing, so that only the end needs a check.
typedef struct tv_text {
    char *bytes;
    size_t length;
    size_t capacity;
    int failed;
} tv_text;

void tv_text_add(tv_text *text, const char *bytes, size_t length);
void tv_text_print(tv_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tv_text_deinit(tv_text *text);

// Base64 (RFC 4648, section 4, with padding) of `length` bytes, appended.
void tv_text_add_base64(tv_text *text, const uint8_t *bytes, size_t length);

// Reads a whole regular file (at most `bytes_max`) into heap memory with a NUL behind it. The caller frees *bytes.
tv_status tv_file_read(const char *path, size_t bytes_max, uint8_t **bytes, size_t *length, tv_error *error);

#endif
