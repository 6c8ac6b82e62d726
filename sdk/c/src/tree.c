// yyjson as a whole, for components that include torvyn/yyjson.h; the linker leaves out what they don't use.
#if !defined(__clang_analyzer__) // linters need not go through what is not ours
#define TV_SDK_SOURCE 1
#if defined(__wasm32__)
#undef __SIZEOF_INT128__ // would call a compiler library that freestanding builds don't have
#endif
#define YYJSON_DISABLE_UTILS        1
#define YYJSON_DISABLE_NON_STANDARD 1
#include "yyjson.c"
#endif

#include "torvyn/yyjson.h"

yyjson_doc *tv_yyjson_read(tv_string text, void *pool, size_t pool_bytes, yyjson_read_err *error) {
    yyjson_alc allocator;
    yyjson_read_err ignored;
    if (error == NULL) error = &ignored;
    if (!yyjson_alc_pool_init(&allocator, pool, pool_bytes)) {
        *error = (yyjson_read_err){YYJSON_READ_ERROR_MEMORY_ALLOCATION, "the pool is too small", 0};
        return NULL;
    }
    return yyjson_read_opts((char *)(uintptr_t)text.bytes, text.length, 0, &allocator, error);
}

size_t tv_yyjson_write(const yyjson_mut_doc *document, char *out, size_t capacity, void *pool, size_t pool_bytes) {
    yyjson_alc allocator;
    size_t length = 0;
    if (!yyjson_alc_pool_init(&allocator, pool, pool_bytes)) return 0;
    char *text = yyjson_mut_write_opts(document, 0, &allocator, &length, NULL);
    if (text == NULL || length > capacity) return 0;
    memcpy(out, text, length);
    return length;
}
