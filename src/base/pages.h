// Pages of memory that nobody needs at the moment.
#ifndef TORVYN_BASE_PAGES_H
#define TORVYN_BASE_PAGES_H

#include <stddef.h>
#include <stdint.h>

// Gives the whole pages of a private anonymous mapping back to the system: they read as zero from then on. Returns the
// bytes of them that were resident. System calls; any thread, while nobody uses the bytes.
uint64_t tv_pages_give_back(void *begin, size_t length);

#endif
