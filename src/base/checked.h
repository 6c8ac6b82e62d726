// Arithmetic on sizes that come from outside: every step says whether it overflowed.
#ifndef TORVYN_BASE_CHECKED_H
#define TORVYN_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Each returns false and leaves *result untouched on overflow.
static inline bool tv_checked_add_u64(uint64_t a, uint64_t b, uint64_t *result) {
    uint64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return false;
    *result = sum;
    return true;
}

static inline bool tv_checked_mul_u64(uint64_t a, uint64_t b, uint64_t *result) {
    uint64_t product;
    if (__builtin_mul_overflow(a, b, &product)) return false;
    *result = product;
    return true;
}

static inline bool tv_checked_u32(uint64_t value, uint32_t *result) {
    if (value > UINT32_MAX) return false;
    *result = (uint32_t)value;
    return true;
}

// Next multiple of `alignment` (a power of two); the caller knows that it cannot overflow.
static inline uint64_t tv_align_up_u64(uint64_t value, uint64_t alignment) {
    return (value + alignment - 1) & ~(alignment - 1);
}

static inline uint32_t tv_align_up_u32(uint32_t value, uint32_t alignment) {
    return (value + alignment - 1) & ~(alignment - 1);
}

#endif
