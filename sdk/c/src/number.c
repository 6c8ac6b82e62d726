// Numbers to text and back. Short decimals, which is what sensors send, take a fast exact path of ours; everything
// else goes through yyjson's routines, whose source is compiled into this file so that its internal writer can be
// called (its public API writes whole documents only).
#if defined(__clang_analyzer__)
// Linters need not go through ten thousand lines that are not ours.
#include <stdint.h>
#include <yyjson.h>
uint8_t *write_u64(uint64_t value, uint8_t *out);
uint8_t *write_f64_raw(uint8_t *out, uint64_t raw, yyjson_write_flag flags);
bool read_number(uint8_t **at, uint8_t **pre, yyjson_read_flag flags, yyjson_val *value, const char **message);
#else
#define TV_SDK_SOURCE 1
#if defined(__wasm32__)
#undef __SIZEOF_INT128__ // would call a compiler library that freestanding builds don't have
#endif
#define yyjson_api                     static __attribute__((unused))
#define YYJSON_DISABLE_UTILS           1
#define YYJSON_DISABLE_NON_STANDARD    1
#define YYJSON_DISABLE_UTF8_VALIDATION 1
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include "yyjson.c"
#pragma GCC diagnostic pop
#endif

#include "torvyn/text.h"

// Powers of ten that a double holds exactly: a quotient of two exact doubles is the nearest double (Clinger 1990).
static const double tv_power_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                         1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// ---- writing ------------------------------------------------------------------------------------------------

uint32_t tv_write_u64(char *out, uint64_t value) {
    return (uint32_t)(write_u64(value, (uint8_t *)out) - (uint8_t *)out);
}

uint32_t tv_write_i64(char *out, int64_t value) {
    if (value >= 0) return tv_write_u64(out, (uint64_t)value);
    *out = '-';
    return 1 + tv_write_u64(out + 1, 0 - (uint64_t)value);
}

// Writes thousandths: "12.345", trailing zeros trimmed but one digit behind the point kept.
static uint32_t tv_write_thousandths(char *out, uint64_t thousandths) {
    uint32_t length = tv_write_u64(out, thousandths / 1000);
    uint32_t rest = (uint32_t)(thousandths % 1000);
    out[length] = '.';
    out[length + 1] = (char)('0' + rest / 100);
    out[length + 2] = (char)('0' + rest / 10 % 10);
    out[length + 3] = (char)('0' + rest % 10);
    if (rest % 10 != 0) return length + 4;
    return rest % 100 != 0 ? length + 3 : length + 2;
}

uint32_t tv_write_f64(char *out, double value) {
    // A decimal of at most 15 digits that reads back as the value is the shortest one once its zeros are trimmed.
    double magnitude = __builtin_fabs(value);
    if (magnitude < 1e12 && magnitude >= 1e-3) {
        uint64_t thousandths = (uint64_t)(magnitude * 1000.0 + 0.5);
        if ((double)thousandths / 1000.0 == magnitude) {
            *out = '-';
            uint32_t sign = value < 0;
            return sign + tv_write_thousandths(out + sign, thousandths);
        }
    }
    uint64_t raw;
    memcpy(&raw, &value, sizeof raw);
    if (!(magnitude <= 1.7976931348623157e308)) {
        memcpy(out, "null", 4);
        return 4;
    }
    return (uint32_t)(write_f64_raw((uint8_t *)out, raw, 0) - (uint8_t *)out);
}

uint32_t tv_write_fixed(char *out, double value, uint32_t decimals) {
    double magnitude = __builtin_fabs(value);
    if (decimals > 9) decimals = 9;
    double scaled = magnitude * tv_power_of_ten[decimals];
    if (!(scaled < 1e15)) return tv_write_f64(out, value);
    uint64_t units = (uint64_t)__builtin_rint(scaled);
    uint64_t scale = (uint64_t)tv_power_of_ten[decimals];
    *out = '-';
    uint32_t length = value < 0 && units != 0;
    length += tv_write_u64(out + length, units / scale);
    if (decimals == 0) return length;
    uint64_t rest = units % scale;
    out[length] = '.';
    for (uint32_t at = decimals; at > 0; at--, rest /= 10)
        out[length + at] = (char)('0' + rest % 10);
    return length + 1 + decimals;
}

// ---- reading ------------------------------------------------------------------------------------------------

enum { TV_NUMBER_TEXT_MAX = 512 }; // longer ones are refused

// The exact reader needs a terminated copy.
static bool tv_read_number_exactly(tv_string text, yyjson_val *value) {
    uint8_t copy[TV_NUMBER_TEXT_MAX + 8];
    if (text.length == 0 || text.length > TV_NUMBER_TEXT_MAX) return false;
    memcpy(copy, text.bytes, text.length);
    memset(copy + text.length, 0, 8);
    uint8_t *at = copy, *pre = NULL;
    const char *message = NULL;
    return read_number(&at, &pre, 0, value, &message) && at == copy + text.length;
}

static tv_string tv_number_without_plus(tv_string text) {
    if (text.length > 1 && text.bytes[0] == '+' && text.bytes[1] != '-')
        return (tv_string){text.bytes + 1, text.length - 1};
    return text;
}

bool tv_read_f64(tv_string text, double *value) {
    text = tv_number_without_plus(text);
    uint64_t digits = 0;
    uint32_t at = text.length > 0 && text.bytes[0] == '-', decimals = 0;
    uint32_t first = at;
    bool point = false;
    for (; at < text.length && at - first < 17; at++) {
        uint32_t digit = (uint32_t)(uint8_t)text.bytes[at] - '0';
        if (digit <= 9) {
            digits = digits * 10 + digit;
            decimals += point;
        } else if (text.bytes[at] == '.' && !point && at > first) {
            point = true;
        } else {
            break;
        }
    }
    bool plain = at == text.length && at > first && (!point || decimals > 0) && digits < (1ull << 53);
    if (plain && (text.bytes[first] != '0' || at == first + 1 || text.bytes[first + 1] == '.')) {
        double magnitude = (double)digits / tv_power_of_ten[decimals];
        *value = first == 1 ? -magnitude : magnitude;
        return true;
    }
    yyjson_val parsed;
    if (!tv_read_number_exactly(text, &parsed)) return false;
    *value = yyjson_get_num(&parsed);
    return true;
}

bool tv_read_i64(tv_string text, int64_t *value) {
    yyjson_val parsed;
    if (!tv_read_number_exactly(tv_number_without_plus(text), &parsed)) return false;
    if (yyjson_is_sint(&parsed)) {
        *value = yyjson_get_sint(&parsed);
        return true;
    }
    if (!yyjson_is_uint(&parsed) || yyjson_get_uint(&parsed) > INT64_MAX) return false;
    *value = (int64_t)yyjson_get_uint(&parsed);
    return true;
}
