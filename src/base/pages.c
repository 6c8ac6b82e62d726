// madvise, and mincore before it for the count.
#include "base/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"

size_t tv_pages_round(size_t bytes) { return (size_t)tv_align_up_u64(bytes, (uint64_t)sysconf(_SC_PAGESIZE)); }

static uint64_t resident_pages(uint8_t *begin, size_t pages, size_t page_bytes) {
    enum { CHUNK = 512 };
    unsigned char seen[CHUNK];
    uint64_t count = 0;
    for (size_t at = 0; at < pages; at += CHUNK) {
        size_t now = pages - at < CHUNK ? pages - at : CHUNK;
        if (mincore(begin + at * page_bytes, now * page_bytes, seen) != 0) continue;
        for (size_t i = 0; i < now; i++)
            count += seen[i] & 1;
    }
    return count;
}

uint64_t tv_pages_give_back(void *begin, size_t length) {
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)begin + page_bytes - 1) & ~(uintptr_t)(page_bytes - 1);
    uintptr_t last = ((uintptr_t)begin + length) & ~(uintptr_t)(page_bytes - 1);
    if (first >= last) return 0;
    uint8_t *pages = (uint8_t *)begin + (first - (uintptr_t)begin);
    uint64_t resident = resident_pages(pages, (last - first) / page_bytes, page_bytes);
    if (resident == 0 || madvise(pages, last - first, MADV_DONTNEED) != 0) return 0;
    return resident * page_bytes;
}
