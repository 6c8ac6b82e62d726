// What the benchmarks of the flow engine have in common.
#ifndef TORVYN_BENCH_SUPPORT_H
#define TORVYN_BENCH_SUPPORT_H

#include "flow/flow.h"

enum { BENCH_STAGES_MOST = 5 };

extern const char *const bench_channel_names[2]; // "in", "out"
extern const char *const bench_stage_names[BENCH_STAGES_MOST];

// Ends the program with the error unless the status is OK.
void bench_require(tv_status status, const tv_error *error);
int64_t bench_now_ns(void);
// A queue of `bytes` and `records` for records of up to `record_bytes_max`, paused when full.
tv_channel *bench_channel(tv_direction direction, uint32_t bytes, uint32_t records, uint32_t record_bytes_max);
// For qsort.
int bench_compare_doubles(const void *a, const void *b);
// Sorts the values.
double bench_median(double *values, size_t count);

#endif
