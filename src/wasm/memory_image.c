// See memory_image.h. The file is sealed, so that nothing can change it below the memories that have its pages.
#include "wasm/memory_image.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct tv_memory_image {
    int fd;
    uint64_t offset, bytes; // in the memory, whole pages
    uint8_t *content;       // mapped for comparing
};

enum { IMAGE_BYTES_MAX = 16 << 20 };

static uint64_t page_bytes(void) { return (uint64_t)sysconf(_SC_PAGESIZE); }

static bool is_zero(const uint8_t *bytes, uint64_t length) {
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

// The range of pages that are not all zero; false: there are none.
static bool find_content(const tv_memory *memory, uint64_t *offset, uint64_t *bytes) {
    uint64_t page = page_bytes(), size = tv_memory_size(memory), first = 0;
    if (size > IMAGE_BYTES_MAX) return false;
    while (first < size && is_zero(memory->base + first, page))
        first += page;
    if (first >= size) return false;
    uint64_t end = size;
    while (is_zero(memory->base + end - page, page))
        end -= page;
    *offset = first;
    *bytes = end - first;
    return true;
}

static bool write_all(int fd, const uint8_t *bytes, uint64_t length) {
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written <= 0) return false;
        bytes += written;
        length -= (uint64_t)written;
    }
    return true;
}

static bool fill(tv_memory_image *image, const uint8_t *content) {
    image->fd = memfd_create("torvyn-module", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (image->fd < 0 || !write_all(image->fd, content, image->bytes)) return false;
    if (fcntl(image->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) return false;
    void *mapped = mmap(NULL, image->bytes, PROT_READ, MAP_PRIVATE, image->fd, 0);
    if (mapped == MAP_FAILED) return false;
    image->content = mapped;
    return true;
}

tv_memory_image *tv_memory_image_new(const tv_memory *memory, uint64_t bytes_max) {
    uint64_t offset, bytes;
    if (!find_content(memory, &offset, &bytes) || bytes < 2 * page_bytes() || bytes > bytes_max) return NULL;
    tv_memory_image *image = calloc(1, sizeof *image);
    if (!image) return NULL;
    *image = (tv_memory_image){.fd = -1, .offset = offset, .bytes = bytes};
    if (fill(image, memory->base + offset)) return image;
    tv_memory_image_free(image);
    return NULL;
}

void tv_memory_image_free(tv_memory_image *image) {
    if (!image) return;
    if (image->content) munmap(image->content, image->bytes);
    if (image->fd >= 0) close(image->fd);
    free(image);
}

void tv_memory_image_apply(const tv_memory_image *image, tv_memory *memory) {
    if (image->offset + image->bytes > tv_memory_size(memory)) return;
    // A start function may have run, or the data's places depend on something imported.
    if (memcmp(memory->base + image->offset, image->content, image->bytes) != 0) return;
    (void)tv_memory_map(memory, image->offset, image->bytes, image->fd);
}
