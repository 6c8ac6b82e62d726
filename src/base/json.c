// See json.h. The library writes what it is given byte by byte; what may not stand so is replaced in its text, where
// everything that is not plain ASCII lies inside strings.
#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <yyjson.h>

#include "base/show.h"

static size_t plain_bytes(const char *text, size_t length) {
    size_t at = 0;
    while (at < length && (uint8_t)text[at] < 0x7f)
        at++;
    return at;
}

static bool is_clean(const char *text, size_t length) {
    for (size_t at = 0;;) {
        char step[TV_SHOW_STEP_BYTES];
        size_t shown;
        at += plain_bytes(text + at, length - at);
        if (at == length) return true;
        size_t count = tv_show_step(TV_SHOW_JSON, text + at, length - at, step, &shown);
        if (shown != count || memcmp(step, text + at, count) != 0) return false;
        at += count;
    }
}

// Takes `text` over; as a rule it is the result.
static char *clean(char *text, size_t *length) {
    if (is_clean(text, *length)) return text;
    tv_text result = {0};
    for (size_t at = 0; at < *length;) {
        char step[TV_SHOW_STEP_BYTES];
        size_t shown, plain = plain_bytes(text + at, *length - at);
        tv_text_add(&result, text + at, plain);
        at += plain;
        if (at == *length) break;
        at += tv_show_step(TV_SHOW_JSON, text + at, *length - at, step, &shown);
        tv_text_add(&result, step, shown);
    }
    free(text);
    if (result.failed) tv_text_deinit(&result);
    *length = result.length;
    return result.bytes;
}

static yyjson_write_flag flags_of(tv_json_style style) {
    yyjson_write_flag flags = YYJSON_WRITE_ALLOW_INVALID_UNICODE;
    if (style == TV_JSON_PRETTY) flags |= YYJSON_WRITE_PRETTY;
    return style == TV_JSON_COMPACT ? flags : flags | YYJSON_WRITE_NEWLINE_AT_END;
}

static char *finish(char *text, size_t bytes, size_t *length) {
    if (text) text = clean(text, &bytes);
    if (length) *length = text ? bytes : 0;
    return text;
}

char *tv_json_write(yyjson_mut_doc *document, tv_json_style style, size_t *length) {
    size_t bytes = 0;
    char *text = document ? yyjson_mut_write(document, flags_of(style), &bytes) : NULL;
    yyjson_mut_doc_free(document);
    return finish(text, bytes, length);
}

char *tv_json_write_value(const yyjson_val *value, tv_json_style style, size_t *length) {
    size_t bytes = 0;
    char *text = yyjson_val_write(value, flags_of(style), &bytes);
    return finish(text, bytes, length);
}
