// What ps and top show of one flow.
#ifndef TORVYN_CLI_PS_H
#define TORVYN_CLI_PS_H

#include <stdbool.h>

#include "base/base.h"
#include "yyjson.h"

// One flow, as `ps` answers it, on standard output: figures, stages with where their time goes, queues, channels, and
// the bottleneck in a sentence.
tv_status tv_ps_print_flow(yyjson_val *flow, bool colour);

// What a channel's connector waits to see the end of, on a line of standard output; nothing if it is null.
void tv_ps_print_trouble(const char *what, const char *name, yyjson_val *trouble);

// The bottleneck in a sentence that names what to do; `out` has `capacity` bytes. "" before there are figures.
void tv_ps_bottleneck(yyjson_val *flow, char *out, size_t capacity);

#endif
