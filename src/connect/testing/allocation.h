// Allocations that fail on demand: link with -Wl,--wrap=malloc,--wrap=calloc,--wrap=strdup.
#ifndef TORVYN_CONNECT_TESTING_ALLOCATION_H
#define TORVYN_CONNECT_TESTING_ALLOCATION_H

#include <stdbool.h>

// The `number`th allocation from now on fails (1 is the next one), once; 0: none does.
void tv_allocation_fail_at(unsigned number);
// Whether it has.
bool tv_allocation_has_failed(void);

#endif
