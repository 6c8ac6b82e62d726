// Reader of WebAssembly's binary format: bounded, checked LEB128 and names. Every read says whether it succeeded;
// after a failed one the reader stays at the failed place. Never reads outside [at, end).
#ifndef TORVYN_WASM_READER_H
#define TORVYN_WASM_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tv_wasm_reader {
    const uint8_t *at;
    const uint8_t *end;
} tv_wasm_reader;

// A name as it stands in the file: not NUL-terminated, not necessarily UTF-8.
typedef struct tv_wasm_name {
    const char *text;
    uint32_t length;
} tv_wasm_name;

static inline tv_wasm_reader tv_wasm_reader_of(const uint8_t *bytes, size_t length) {
    return (tv_wasm_reader){.at = bytes, .end = bytes + length};
}

static inline size_t tv_wasm_reader_left(const tv_wasm_reader *reader) { return (size_t)(reader->end - reader->at); }

bool tv_wasm_reader_u8(tv_wasm_reader *reader, uint8_t *value);
bool tv_wasm_reader_skip(tv_wasm_reader *reader, size_t count);
// Unsigned LEB128 of at most 5 bytes; unused bits of the last byte must be zero.
bool tv_wasm_reader_u32(tv_wasm_reader *reader, uint32_t *value);
bool tv_wasm_reader_name(tv_wasm_reader *reader, tv_wasm_name *name);
// A reader over the next `length` bytes, which `reader` skips.
bool tv_wasm_reader_slice(tv_wasm_reader *reader, size_t length, tv_wasm_reader *slice);

bool tv_wasm_name_is(const tv_wasm_name *name, const char *text);
// Copies with control and non-ASCII characters replaced, cut to fit; always NUL-terminated.
void tv_wasm_name_copy(const tv_wasm_name *name, char *out, size_t capacity);

#endif
