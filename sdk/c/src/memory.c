// The functions the compiler calls by itself, for components without libc. Short blocks go byte- or wordwise,
// since the engine's bulk operations cost a call into the host process.
#if defined(__wasm__) && !defined(TV_LIBC)

#include <stddef.h>
#include <stdint.h>

enum { TV_SDK_BULK_BYTES = 64 };

typedef uint64_t __attribute__((may_alias, aligned(1))) tv_sdk_word;

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    uint8_t *out = to;
    const uint8_t *in = from;
    if (bytes > TV_SDK_BULK_BYTES) {
        __builtin_memcpy(out, in, bytes);
        return to;
    }
    for (; bytes >= 8; bytes -= 8, out += 8, in += 8)
        *(tv_sdk_word *)(void *)out = *(const tv_sdk_word *)(const void *)in;
    for (; bytes > 0; bytes--)
        *out++ = *in++;
    return to;
}

void *memmove(void *to, const void *from, size_t bytes) {
    __builtin_memmove(to, from, bytes);
    return to;
}

void *memset(void *to, int value, size_t bytes) {
    uint8_t *out = to;
    if (bytes > TV_SDK_BULK_BYTES) {
        __builtin_memset(out, value, bytes);
        return to;
    }
    for (; bytes > 0; bytes--)
        *out++ = (uint8_t)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes) {
    const uint8_t *left = a, *right = b;
    for (; bytes >= 8; bytes -= 8, left += 8, right += 8) {
        if (*(const tv_sdk_word *)(const void *)left != *(const tv_sdk_word *)(const void *)right) break;
    }
    for (; bytes > 0; bytes--, left++, right++) {
        if (*left != *right) return *left < *right ? -1 : 1;
    }
    return 0;
}

size_t strlen(const char *text) {
    const char *end = text;
    while (*end != 0)
        end++;
    return (size_t)(end - text);
}

// 128-bit product, which the compiler calls for overflow checks of 64-bit multiplications. From products of 32-bit
// halves: with __int128 it would call itself.
__int128 __multi3(__int128 a, __int128 b) {
    uint64_t a_low = (uint64_t)a, b_low = (uint64_t)b;
    uint64_t a0 = (uint32_t)a_low, a1 = a_low >> 32, b0 = (uint32_t)b_low, b1 = b_low >> 32;
    uint64_t low = a0 * b0, middle1 = a1 * b0 + (low >> 32), middle2 = a0 * b1 + (uint32_t)middle1;
    uint64_t high = a1 * b1 + (middle1 >> 32) + (middle2 >> 32);
    high += a_low * (uint64_t)(b >> 64) + (uint64_t)(a >> 64) * b_low;
    return (__int128)((unsigned __int128)high << 64 | (middle2 << 32 | (uint32_t)low));
}

#endif
