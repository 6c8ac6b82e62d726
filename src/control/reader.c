// Fields of a request, read with their types and ranges; the first problem is kept.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/internal.h"

void tv_server_problem(tv_server_reader *reader, const char *format, ...) {
    if (reader->problem[0]) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reader->problem, sizeof reader->problem, format, arguments);
    va_end(arguments);
}

static yyjson_val *get(tv_server_reader *reader, const char *name) {
    yyjson_val *value = yyjson_obj_get(reader->body, name);
    return yyjson_is_null(value) ? NULL : value; // as if it was not there
}

const char *tv_server_text(tv_server_reader *reader, const char *name) {
    yyjson_val *value = get(reader, name);
    if (!value) return NULL;
    const char *text = yyjson_get_str(value);
    if (text && strlen(text) == yyjson_get_len(value)) return text;
    tv_server_problem(reader, "`%s` must be a text", name);
    return NULL;
}

uint64_t tv_server_number(tv_server_reader *reader, const char *name, uint64_t least, uint64_t most,
                          uint64_t fallback) {
    yyjson_val *value = get(reader, name);
    if (!value) return fallback;
    if (yyjson_is_uint(value) && yyjson_get_uint(value) >= least && yyjson_get_uint(value) <= most)
        return yyjson_get_uint(value);
    tv_server_problem(reader, "`%s` must be a whole number from %llu to %llu", name, (unsigned long long)least,
                      (unsigned long long)most);
    return fallback;
}

bool tv_server_bool(tv_server_reader *reader, const char *name, bool fallback) {
    yyjson_val *value = get(reader, name);
    if (!value) return fallback;
    if (!yyjson_is_bool(value)) tv_server_problem(reader, "`%s` must be true or false", name);
    return yyjson_get_bool(value);
}

int tv_server_choice(tv_server_reader *reader, const char *name, const char *const *choices) {
    const char *text = tv_server_text(reader, name);
    char all[160] = "";
    size_t count = 0, length = 0;
    if (!text) return -1;
    for (; choices[count]; count++) {
        if (strcmp(choices[count], text) == 0) return (int)count;
        if (length < sizeof all)
            length += (size_t)snprintf(all + length, sizeof all - length, "%s%s", count ? ", " : "", choices[count]);
    }
    const char *nearest = tv_nearest_name(text, choices, count);
    tv_server_problem(reader, "`%s` must be one of %s, not '%.40s'%s%s%s", name, all, text,
                      nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    return -1;
}

bool tv_server_refuse(tv_server_request *request, const tv_server_reader *reader) {
    if (!reader->problem[0]) return false;
    tv_server_fail(request, "invalid", "%s", reader->problem);
    return true;
}
