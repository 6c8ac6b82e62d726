// See support.h.
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

const char *const bench_channel_names[2] = {"in", "out"};
const char *const bench_stage_names[BENCH_STAGES_MOST] = {"s1", "s2", "s3", "s4", "s5"};

void bench_require(tv_status status, const tv_error *error) {
    if (status == TV_OK) return;
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, error->message);
    exit(1);
}

int64_t bench_now_ns(void) { return tv_clock_monotonic_ns(tv_clock_system()); }

tv_channel *bench_channel(tv_direction direction, uint32_t bytes, uint32_t records, uint32_t record_bytes_max) {
    tv_error error = {0};
    tv_channel *channel = NULL;
    tv_channel_options options = {.name = bench_channel_names[direction == TV_OUTPUT],
                                  .direction = direction,
                                  .capacity_bytes = bytes,
                                  .capacity_records = records,
                                  .record_bytes_max = record_bytes_max,
                                  .pause_percent = 100,
                                  .resume_percent = 50};
    bench_require(tv_channel_new(&options, &channel, &error), &error);
    return channel;
}

int bench_compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, size_t count) {
    qsort(values, count, sizeof *values, bench_compare_doubles);
    return values[count / 2];
}
