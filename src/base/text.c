// The growing text buffer, base64, and reading whole files. A failed allocation is remembered in the buffer, so that
// callers build a text without checking each step.
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

// Makes room for `more` bytes and the NUL.
static bool text_reserve(tv_text *text, size_t more) {
    if (text->failed) return false;
    size_t needed;
    if (__builtin_add_overflow(text->length, more, &needed) || __builtin_add_overflow(needed, 1, &needed)) {
        text->failed = 1;
        return false;
    }
    if (needed <= text->capacity) return true;
    size_t capacity = text->capacity < 64 ? 64 : text->capacity;
    while (capacity < needed) {
        if (__builtin_mul_overflow(capacity, 2, &capacity)) capacity = needed;
    }
    char *bytes = realloc(text->bytes, capacity);
    if (!bytes) {
        text->failed = 1;
        return false;
    }
    text->bytes = bytes;
    text->capacity = capacity;
    return true;
}

void tv_text_add(tv_text *text, const char *bytes, size_t length) {
    if (!text_reserve(text, length)) return;
    if (length) memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = 0;
}

void tv_text_print(tv_text *text, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0) {
        text->failed = 1;
    } else if (text_reserve(text, (size_t)length)) {
        vsnprintf(text->bytes + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
}

void tv_text_deinit(tv_text *text) {
    free(text->bytes);
    *text = (tv_text){0};
}

void tv_text_add_base64(tv_text *text, const uint8_t *bytes, size_t length) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t groups = length / 3 + (length % 3 != 0), encoded;
    if (__builtin_mul_overflow(groups, 4, &encoded)) {
        text->failed = 1;
        return;
    }
    if (!text_reserve(text, encoded)) return;
    char *out = text->bytes + text->length;
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (left > 1) group |= (uint32_t)bytes[i + 1] << 8;
        if (left > 2) group |= bytes[i + 2];
        *out++ = digits[group >> 18];
        *out++ = digits[group >> 12 & 63];
        *out++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[group & 63] : '=';
    }
    *out = 0;
    text->length += encoded;
}

// Reads to the end, or to one byte more than allowed.
static tv_status file_read_all(int file, size_t bytes_max, tv_text *text, int *os_errno) {
    do {
        size_t step = bytes_max - text->length < 65536 ? bytes_max - text->length + 1 : 65536;
        if (!text_reserve(text, step)) return TV_NO_MEMORY;
        ssize_t count = read(file, text->bytes + text->length, step);
        if (count == 0) break;
        if (count < 0) {
            if (errno == EINTR) continue;
            *os_errno = errno;
            return TV_IO;
        }
        text->length += (size_t)count;
    } while (text->length <= bytes_max);
    TV_ASSERT(text->bytes);
    text->bytes[text->length] = 0;
    return text->length > bytes_max ? TV_TOO_LARGE : TV_OK;
}

// Opens a regular file; anything else (a FIFO would block) is refused.
static tv_status file_open_regular(const char *path, int *file, tv_error *error) {
    int opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (opened < 0) return tv_error_set_errno(error, errno, "cannot open %s", path);
    struct stat status;
    if (fstat(opened, &status)) {
        int os_errno = errno;
        close(opened);
        return tv_error_set_errno(error, os_errno, "cannot look at %s", path);
    }
    if (!S_ISREG(status.st_mode)) {
        close(opened);
        return tv_error_set(error, TV_INVALID, "%s is not a regular file", path);
    }
    *file = opened;
    return TV_OK;
}

tv_status tv_file_read(const char *path, size_t bytes_max, uint8_t **bytes, size_t *length, tv_error *error) {
    int file = -1, os_errno = 0;
    tv_status status = file_open_regular(path, &file, error);
    if (status) return status;
    tv_text text = {0};
    status = file_read_all(file, bytes_max, &text, &os_errno);
    close(file);
    if (!status) {
        *bytes = (uint8_t *)text.bytes;
        *length = text.length;
        return TV_OK;
    }
    tv_text_deinit(&text);
    if (status == TV_IO) return tv_error_set_errno(error, os_errno, "cannot read %s", path);
    if (status == TV_TOO_LARGE) {
        return tv_error_set(error, status, "%s is larger than the %zu bytes allowed here", path, bytes_max);
    }
    return tv_error_set(error, status, "not enough memory to read %s", path);
}
