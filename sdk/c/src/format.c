// tv_format: the part of printf that log lines and messages need. No allocation, no locale, no floating-point
// hexadecimal; an unknown directive is copied as it stands.
#include "torvyn/text.h"

typedef struct tv_format_out {
    char *bytes;
    uint32_t capacity; // without the NUL
    uint32_t length;
} tv_format_out;

// One directive: "%-08.3llx" and the like.
typedef struct tv_format_spec {
    bool left, zero, plus;
    uint32_t width;
    int32_t precision; // -1: none
    int longs;         // how many l; z counts as the l's of size_t
    char conversion;
} tv_format_spec;

static void tv_format_add(tv_format_out *out, const char *bytes, uint32_t length) {
    uint32_t room = out->capacity - out->length;
    if (length > room) length = room;
    memcpy(out->bytes + out->length, bytes, length);
    out->length += length;
}

static void tv_format_pad(tv_format_out *out, char with, uint32_t count) {
    while (count-- > 0 && out->length < out->capacity)
        out->bytes[out->length++] = with;
}

static void tv_format_field(tv_format_out *out, const tv_format_spec *spec, const char *text, uint32_t length) {
    uint32_t padding = spec->width > length ? spec->width - length : 0;
    bool zeros = spec->zero && !spec->left && spec->conversion != 's' && spec->conversion != 'c';
    if (zeros && length > 0 && (*text == '-' || *text == '+')) {
        tv_format_add(out, text++, 1);
        length--;
    }
    if (!spec->left) tv_format_pad(out, zeros ? '0' : ' ', padding);
    tv_format_add(out, text, length);
    if (spec->left) tv_format_pad(out, ' ', padding);
}

static uint32_t tv_format_hex(char *out, uint64_t value, bool upper) {
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    uint32_t length = 1;
    while (length < 16 && value >> (4 * length) != 0)
        length++;
    for (uint32_t at = 0; at < length; at++)
        out[at] = digits[value >> (4 * (length - 1 - at)) & 15];
    return length;
}

static uint32_t tv_format_f64(char *out, const tv_format_spec *spec, double value) {
    if (__builtin_isnan(value)) return memcpy(out, "nan", 3), 3;
    if (__builtin_isinf(value)) {
        memcpy(out, value < 0 ? "-inf" : "inf", 4);
        return value < 0 ? 4 : 3;
    }
    if (spec->conversion == 'f') return tv_write_fixed(out, value, spec->precision < 0 ? 6 : (uint32_t)spec->precision);
    uint32_t length = tv_write_f64(out, value);
    bool whole = length > 2 && out[length - 1] == '0' && out[length - 2] == '.';
    return whole ? length - 2 : length;
}

static const char *tv_format_parse(const char *at, tv_format_spec *spec) {
    *spec = (tv_format_spec){.precision = -1};
    for (;; at++) {
        if (*at == '-')
            spec->left = true;
        else if (*at == '0')
            spec->zero = true;
        else if (*at == '+')
            spec->plus = true;
        else
            break;
    }
    while (*at >= '0' && *at <= '9' && spec->width < 1000)
        spec->width = spec->width * 10 + (uint32_t)(*at++ - '0');
    if (*at == '.') {
        at++;
        spec->precision = *at == '*' ? -2 : 0;
        if (*at == '*') at++;
        while (*at >= '0' && *at <= '9' && spec->precision < 1000)
            spec->precision = spec->precision * 10 + (*at++ - '0');
    }
    for (; *at == 'l' || *at == 'z' || *at == 'h'; at++) {
        if (*at == 'l') spec->longs++;
        if (*at == 'z') spec->longs = sizeof(size_t) == sizeof(long) ? 1 : 2;
    }
    spec->conversion = *at;
    return *at == 0 ? at : at + 1;
}

static uint32_t tv_format_signed(char *out, const tv_format_spec *spec, int64_t value) {
    uint32_t sign = spec->plus && value >= 0;
    *out = '+';
    return sign + tv_write_i64(out + sign, value);
}

static void tv_format_string(tv_format_out *out, const tv_format_spec *spec, const char *text) {
    if (text == NULL) text = "(null)";
    uint32_t length = 0;
    while ((spec->precision < 0 || length < (uint32_t)spec->precision) && text[length] != 0)
        length++;
    tv_format_field(out, spec, text, length);
}

uint32_t tv_format_list(char *out, uint32_t capacity, const char *format, va_list arguments) {
    tv_format_out to = {out, capacity - 1, 0};
    while (*format != 0) {
        const char *start = format;
        while (*format != 0 && *format != '%')
            format++;
        tv_format_add(&to, start, (uint32_t)(format - start));
        if (*format == 0) break;
        tv_format_spec spec;
        start = format;
        format = tv_format_parse(format + 1, &spec);
        if (spec.precision == -2) spec.precision = va_arg(arguments, int);
        char text[TV_NUMBER_BYTES_MAX];
        int64_t number;
        switch (spec.conversion) {
        case 'd':
        case 'i':
            number = spec.longs > 1 ? va_arg(arguments, long long)
                     : spec.longs   ? va_arg(arguments, long)
                                    : va_arg(arguments, int);
            tv_format_field(&to, &spec, text, tv_format_signed(text, &spec, number));
            break;
        case 'u':
        case 'x':
        case 'X': {
            uint64_t value = spec.longs > 1 ? va_arg(arguments, unsigned long long)
                             : spec.longs   ? va_arg(arguments, unsigned long)
                                            : va_arg(arguments, unsigned);
            tv_format_field(&to, &spec, text,
                            spec.conversion == 'u' ? tv_write_u64(text, value)
                                                   : tv_format_hex(text, value, spec.conversion == 'X'));
            break;
        }
        case 'p':
            tv_format_field(&to, &spec, text, tv_format_hex(text, (uintptr_t)va_arg(arguments, void *), false));
            break;
        case 'f':
        case 'g': tv_format_field(&to, &spec, text, tv_format_f64(text, &spec, va_arg(arguments, double))); break;
        case 'c':
            text[0] = (char)va_arg(arguments, int);
            tv_format_field(&to, &spec, text, 1);
            break;
        case 's': tv_format_string(&to, &spec, va_arg(arguments, const char *)); break;
        case '%': tv_format_add(&to, "%", 1); break;
        default: tv_format_add(&to, start, (uint32_t)(format - start)); break;
        }
    }
    out[to.length] = 0;
    return to.length;
}

uint32_t tv_format(char *out, uint32_t capacity, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    uint32_t length = tv_format_list(out, capacity, format, arguments);
    va_end(arguments);
    return length;
}
