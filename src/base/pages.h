// Pages of memory that nobody needs at the moment.
#ifndef TORVYN_BASE_PAGES_H
#define TORVYN_BASE_PAGES_H

#include <stddef.h>
#include <stdint.h>

// `bytes` rounded up to whole pages: what a mapping of so many takes. Pages have 4 KiB on most machines, 16 or 64 KiB
// on some aarch64 ones.
size_t tv_pages_round(size_t bytes);
// Gives the whole pages of a private anonymous mapping back to the system: they read as zero from then on. Returns the
// bytes of them that were resident. System calls; any thread, while nobody uses the bytes.
uint64_t tv_pages_give_back(void *begin, size_t length);

#endif
