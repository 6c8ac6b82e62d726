// Checked reads from a module's bytes. What comes in is hostile until the engine has validated it.
#include "wasm/reader.h"

#include <string.h>

bool tv_wasm_reader_u8(tv_wasm_reader *reader, uint8_t *value) {
    if (reader->at == reader->end) return false;
    *value = *reader->at++;
    return true;
}

bool tv_wasm_reader_skip(tv_wasm_reader *reader, size_t count) {
    if (tv_wasm_reader_left(reader) < count) return false;
    reader->at += count;
    return true;
}

bool tv_wasm_reader_u32(tv_wasm_reader *reader, uint32_t *value) {
    uint32_t result = 0;
    const uint8_t *at = reader->at;
    for (unsigned shift = 0; shift < 32; shift += 7) {
        if (at == reader->end) return false;
        uint8_t byte = *at++;
        if (shift == 28 && byte > 0x0f) return false;
        result |= (uint32_t)(byte & 0x7f) << shift;
        if (byte & 0x80) continue;
        reader->at = at;
        *value = result;
        return true;
    }
    return false;
}

bool tv_wasm_reader_name(tv_wasm_reader *reader, tv_wasm_name *name) {
    tv_wasm_reader copy = *reader;
    uint32_t length;
    if (!tv_wasm_reader_u32(&copy, &length) || tv_wasm_reader_left(&copy) < length) return false;
    *name = (tv_wasm_name){.text = (const char *)copy.at, .length = length};
    copy.at += length;
    *reader = copy;
    return true;
}

bool tv_wasm_reader_slice(tv_wasm_reader *reader, size_t length, tv_wasm_reader *slice) {
    if (tv_wasm_reader_left(reader) < length) return false;
    *slice = tv_wasm_reader_of(reader->at, length);
    reader->at += length;
    return true;
}

bool tv_wasm_name_is(const tv_wasm_name *name, const char *text) {
    return strlen(text) == name->length && memcmp(name->text, text, name->length) == 0;
}

void tv_wasm_name_copy(const tv_wasm_name *name, char *out, size_t capacity) {
    size_t count = name->length < capacity - 1 ? name->length : capacity - 1;
    for (size_t i = 0; i < count; i++) {
        char c = name->text[i];
        out[i] = c >= 0x20 && c < 0x7f ? c : '?';
    }
    out[count] = 0;
}
