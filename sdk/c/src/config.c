// Typed configuration. A wrong value is reported with its path, what was expected and what was found; it makes
// tv_init fail, so that all of them are reported at once and authors need no checks of their own.
#include "torvyn/torvyn.h"

enum { TV_SDK_VALUE_BYTES = 64, TV_SDK_PATHS = 4, TV_SDK_PATH_BYTES = 128 };

const char *tv_path(const char *format, ...) {
    static char paths[TV_SDK_PATHS][TV_SDK_PATH_BYTES];
    static uint32_t next;
    char *path = paths[next++ % TV_SDK_PATHS];
    va_list arguments;
    va_start(arguments, format);
    (void)tv_format_list(path, TV_SDK_PATH_BYTES, format, arguments);
    va_end(arguments);
    return path;
}

tv_result tv_config_fail(const char *path, const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    (void)tv_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    tv_log_error("config%s%s: %s", *path == 0 ? "" : " ", path, text);
    tv_sdk.config_failed = true;
    return TV_FAILED;
}

typedef struct tv_sdk_value {
    bool present;
    bool cut; // longer than any scalar
    char bytes[TV_SDK_VALUE_BYTES];
    tv_string text;
} tv_sdk_value;

static void tv_sdk_config_read(const char *path, tv_sdk_value *value) {
    *value = (tv_sdk_value){0};
    int32_t length = tv_host_config_get(path, (uint32_t)strlen(path), value->bytes, sizeof value->bytes - 1);
    if (length < 0) return;
    value->present = true;
    value->cut = (uint32_t)length >= sizeof value->bytes;
    value->text = value->cut ? tv_string_of("a long text") : (tv_string){value->bytes, (uint32_t)length};
}

static void tv_sdk_config_expected(const char *path, const char *what, const tv_sdk_value *found) {
    (void)tv_config_fail(path, "expected %s, found '%.*s'", what, (int)found->text.length, found->text.bytes);
}

bool tv_config_has(const char *path) { return tv_host_config_get(path, (uint32_t)strlen(path), NULL, 0) >= 0; }

double tv_config_f64_in(const char *path, double fallback, double min, double max) {
    tv_sdk_value value;
    tv_sdk_config_read(path, &value);
    if (!value.present) return fallback;
    double number;
    if (value.cut || !tv_read_f64(value.text, &number)) {
        tv_sdk_config_expected(path, "a number", &value);
        return fallback;
    }
    if (number >= min && number <= max) return number;
    (void)tv_config_fail(path, "%g is outside %g to %g", number, min, max);
    return fallback;
}

double tv_config_f64(const char *path, double fallback) {
    return tv_config_f64_in(path, fallback, -__builtin_huge_val(), __builtin_huge_val());
}

int64_t tv_config_i64_in(const char *path, int64_t fallback, int64_t min, int64_t max) {
    tv_sdk_value value;
    tv_sdk_config_read(path, &value);
    if (!value.present) return fallback;
    int64_t number;
    if (value.cut || !tv_read_i64(value.text, &number)) {
        tv_sdk_config_expected(path, "an integer", &value);
        return fallback;
    }
    if (number >= min && number <= max) return number;
    (void)tv_config_fail(path, "%lld is outside %lld to %lld", (long long)number, (long long)min, (long long)max);
    return fallback;
}

int64_t tv_config_i64(const char *path, int64_t fallback) {
    return tv_config_i64_in(path, fallback, INT64_MIN, INT64_MAX);
}

bool tv_config_bool(const char *path, bool fallback) {
    tv_sdk_value value;
    tv_sdk_config_read(path, &value);
    if (!value.present) return fallback;
    if (tv_string_is(value.text, "true")) return true;
    if (tv_string_is(value.text, "false")) return false;
    tv_sdk_config_expected(path, "true or false", &value);
    return fallback;
}

static void tv_sdk_write_duration(char *out, uint32_t capacity, int64_t ns) {
    if (ns % 1000000000 == 0)
        (void)tv_format(out, capacity, "%llds", (long long)(ns / 1000000000));
    else if (ns % 1000000 == 0)
        (void)tv_format(out, capacity, "%lldms", (long long)(ns / 1000000));
    else
        (void)tv_format(out, capacity, "%lldns", (long long)ns);
}

int64_t tv_config_duration_ns(const char *path, int64_t fallback_ns, int64_t min_ns, int64_t max_ns) {
    tv_sdk_value value;
    tv_sdk_config_read(path, &value);
    if (!value.present) return fallback_ns;
    int64_t duration;
    if (value.cut || !tv_read_duration(value.text, &duration)) {
        tv_sdk_config_expected(path, "a duration like 250ms, 10s or 1h30m", &value);
        return fallback_ns;
    }
    if (duration >= min_ns && duration <= max_ns) return duration;
    char min[32], max[32];
    tv_sdk_write_duration(min, sizeof min, min_ns);
    tv_sdk_write_duration(max, sizeof max, max_ns);
    (void)tv_config_fail(path, "%.*s is outside %s to %s", (int)value.text.length, value.text.bytes, min, max);
    return fallback_ns;
}

uint64_t tv_config_size(const char *path, uint64_t fallback, uint64_t min, uint64_t max) {
    tv_sdk_value value;
    tv_sdk_config_read(path, &value);
    if (!value.present) return fallback;
    uint64_t size;
    if (value.cut || !tv_read_size(value.text, &size)) {
        tv_sdk_config_expected(path, "a size like 64KiB or 2MiB", &value);
        return fallback;
    }
    if (size >= min && size <= max) return size;
    (void)tv_config_fail(path, "%.*s is outside %llu to %llu bytes", (int)value.text.length, value.text.bytes,
                         (unsigned long long)min, (unsigned long long)max);
    return fallback;
}

uint32_t tv_config_string(const char *path, const char *fallback, char *out, uint32_t capacity) {
    int32_t length = tv_host_config_get(path, (uint32_t)strlen(path), out, capacity - 1);
    if (length >= (int32_t)capacity) {
        (void)tv_config_fail(path, "%d bytes, but at most %u are possible", (int)length, (unsigned)(capacity - 1));
        length = -1;
    }
    if (length < 0) return tv_format(out, capacity, "%s", fallback);
    out[length] = 0;
    return (uint32_t)length;
}

int tv_config_enum(const char *path, int fallback, const char *const *choices) {
    tv_sdk_value value;
    tv_sdk_config_read(path, &value);
    if (!value.present) return fallback;
    char list[128] = "one of";
    uint32_t length = (uint32_t)strlen(list);
    for (int index = 0; choices[index] != NULL; index++) {
        if (tv_string_is(value.text, choices[index])) return index;
        length +=
            tv_format(list + length, (uint32_t)sizeof list - length, "%s %s", index > 0 ? "," : "", choices[index]);
    }
    tv_sdk_config_expected(path, list, &value);
    return fallback;
}

uint32_t tv_config_length(const char *path, uint32_t max) {
    const char *at = *path == 0 ? "length" : tv_path("%s.length", path);
    int64_t length = tv_config_i64_in(at, 0, 0, UINT32_MAX);
    if (length <= (int64_t)max) return (uint32_t)length;
    (void)tv_config_fail(path, "%lld entries, but at most %u are possible", (long long)length, (unsigned)max);
    return max;
}
