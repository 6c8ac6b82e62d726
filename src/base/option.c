// Reading values by an option table. One function per type; messages say what was expected, what was found and, for
// choices, which one is near. The caller adds the place.
#include "base/option.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"

enum { STRING_BYTES_MAX = 4096 };

static bool option_has_range(const tv_option *option) {
    return option->min < option->max || option->min > 0 || option->max < 0;
}

static bool option_in_range(const tv_option *option, double value) {
    return !option_has_range(option) || (value >= option->min && value <= option->max);
}

static tv_status parse_bool(const char *text, bool *value, tv_error *error) {
    bool is_true = strcmp(text, "true") == 0;
    if (!is_true && strcmp(text, "false") != 0) {
        return tv_error_set(error, TV_INVALID, "expected true or false, found \"%.60s\"", text);
    }
    *value = is_true;
    return TV_OK;
}

static tv_status parse_integer(const tv_option *option, const char *text, int64_t *value, tv_error *error) {
    const char *digits = text + (*text == '-' || *text == '+');
    char *end = NULL;
    errno = 0;
    long long number = isdigit((unsigned char)*digits) ? strtoll(text, &end, 10) : 0;
    if (!end || *end) return tv_error_set(error, TV_INVALID, "expected a whole number, found \"%.60s\"", text);
    if (errno == ERANGE) return tv_error_set(error, TV_INVALID, "\"%.60s\" does not fit into 64 bits", text);
    if (!option_in_range(option, (double)number)) {
        return tv_error_set(error, TV_INVALID, "expected a whole number from %.0f to %.0f, found %lld", option->min,
                            option->max, number);
    }
    *value = number;
    return TV_OK;
}

static tv_status parse_number(const tv_option *option, const char *text, double *value, tv_error *error) {
    // strtod also reads "inf", "nan" and hexadecimal, which are no numbers of a pipeline file.
    bool plain = *text && strspn(text, "0123456789+-.eE") == strlen(text);
    char *end = NULL;
    double number = plain ? strtod(text, &end) : 0;
    if (!end || end == text || *end) {
        return tv_error_set(error, TV_INVALID, "expected a number, found \"%.60s\"", text);
    }
    if (number - number != 0) return tv_error_set(error, TV_INVALID, "\"%.60s\" is too large for a number", text);
    if (!option_in_range(option, number)) {
        return tv_error_set(error, TV_INVALID, "expected a number from %g to %g, found %.60s", option->min, option->max,
                            text);
    }
    *value = number;
    return TV_OK;
}

static tv_status parse_string(const tv_option *option, const char *text, const char **value, tv_error *error) {
    size_t length = strlen(text);
    size_t least = option->min > 0 ? (size_t)option->min : 0;
    size_t most = option->max > 0 ? (size_t)option->max : STRING_BYTES_MAX;
    if (length < least && length == 0) return tv_error_set(error, TV_INVALID, "expected a text, found an empty one");
    if (length < least || length > most) {
        return tv_error_set(error, TV_INVALID, "expected a text of %zu to %zu bytes, found one of %zu", least, most,
                            length);
    }
    *value = text;
    return TV_OK;
}

static size_t choice_count(const tv_option *option) {
    size_t count = 0;
    while (option->choices[count])
        count++;
    return count;
}

static tv_status parse_enum(const tv_option *option, const char *text, int *value, tv_error *error) {
    size_t count = choice_count(option);
    tv_text list = {0};
    for (size_t i = 0; i < count; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            *value = (int)i;
            tv_text_deinit(&list);
            return TV_OK;
        }
        tv_text_print(&list, "%s%s", i == 0 ? "" : i + 1 == count ? " or " : ", ", option->choices[i]);
    }
    const char *nearest = tv_nearest_name(text, option->choices, count);
    tv_error_set(error, TV_INVALID, "expected %s, found \"%.60s\"%s%s%s",
                 list.failed ? "one of the choices" : list.bytes, text, nearest ? " (did you mean " : "",
                 nearest ? nearest : "", nearest ? "?)" : "");
    tv_text_deinit(&list);
    return TV_INVALID;
}

static tv_status parse_size(const tv_option *option, const char *text, uint64_t *value, tv_error *error) {
    uint64_t bytes;
    tv_status status = tv_parse_size(text, &bytes, error);
    if (status) return status;
    if (!option_in_range(option, (double)bytes)) {
        char least[32], most[32];
        return tv_error_set(error, TV_INVALID, "expected a size from %s to %s, found %.60s",
                            tv_format_size((uint64_t)option->min, least), tv_format_size((uint64_t)option->max, most),
                            text);
    }
    *value = bytes;
    return TV_OK;
}

static tv_status parse_duration(const tv_option *option, const char *text, int64_t *value, tv_error *error) {
    int64_t duration_ns;
    tv_status status = tv_parse_duration(text, &duration_ns, error);
    if (status) return status;
    if (!option_in_range(option, (double)duration_ns)) {
        char least[32], most[32];
        return tv_error_set(error, TV_INVALID, "expected a duration from %s to %s, found %.60s",
                            tv_format_duration((int64_t)option->min, least),
                            tv_format_duration((int64_t)option->max, most), text);
    }
    *value = duration_ns;
    return TV_OK;
}

tv_status tv_option_parse(const tv_option *option, const char *text, void *target, tv_error *error) {
    void *field = (char *)target + option->offset;
    switch (option->type) {
    case TV_OPTION_BOOL: return parse_bool(text, field, error);
    case TV_OPTION_INTEGER: return parse_integer(option, text, field, error);
    case TV_OPTION_NUMBER: return parse_number(option, text, field, error);
    case TV_OPTION_STRING: return parse_string(option, text, field, error);
    case TV_OPTION_ENUM: return parse_enum(option, text, field, error);
    case TV_OPTION_SIZE: return parse_size(option, text, field, error);
    case TV_OPTION_DURATION: return parse_duration(option, text, field, error);
    case TV_OPTION_STRINGS: break;
    }
    return tv_error_set(error, TV_INVALID, "expected a list of texts, found \"%.60s\"", text);
}

tv_status tv_option_defaults(const tv_option_table *table, void *target, tv_error *error) {
    memset(target, 0, table->struct_bytes);
    for (size_t i = 0; i < table->count; i++) {
        const tv_option *option = &table->options[i];
        TV_ASSERT(option->offset < table->struct_bytes);
        if (!option->default_text) continue;
        tv_status status = tv_option_parse(option, option->default_text, target, error);
        if (status) {
            tv_error_prefix(error, "default of %s", option->name);
            return status;
        }
    }
    return TV_OK;
}

const tv_option *tv_option_find(const tv_option_table *table, const char *name) {
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->options[i].name, name) == 0) return &table->options[i];
    }
    return NULL;
}
