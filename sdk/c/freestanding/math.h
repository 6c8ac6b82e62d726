// The part of <math.h> that WebAssembly has as instructions, for components without libc. For exp, log, sin and the
// like build with wasi-libc (`torvyn build --libc`).
#ifndef TORVYN_FREESTANDING_MATH_H
#define TORVYN_FREESTANDING_MATH_H

#define HUGE_VAL    __builtin_huge_val()
#define INFINITY    __builtin_inff()
#define NAN         __builtin_nanf("")
#define isnan(x)    __builtin_isnan(x)
#define isinf(x)    __builtin_isinf(x)
#define isfinite(x) __builtin_isfinite(x)
#define signbit(x)  __builtin_signbit(x)

static inline double sqrt(double x) { return __builtin_sqrt(x); }
static inline double fabs(double x) { return __builtin_fabs(x); }
static inline double floor(double x) { return __builtin_floor(x); }
static inline double ceil(double x) { return __builtin_ceil(x); }
static inline double trunc(double x) { return __builtin_trunc(x); }
static inline double rint(double x) { return __builtin_rint(x); }
static inline double copysign(double x, double y) { return __builtin_copysign(x, y); }
static inline double fmin(double x, double y) { return isnan(x) ? y : isnan(y) || x < y ? x : y; }
static inline double fmax(double x, double y) { return isnan(x) ? y : isnan(y) || x > y ? x : y; }

#endif
