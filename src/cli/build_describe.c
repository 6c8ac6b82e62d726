// The custom section `torvyn.component` (contract 1.5): reads what the sources put there, applies what the command
// line says, and writes it back as one section at the end of the module.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/build.h"
#include "torvyn/abi.h"

enum { SECTION_CUSTOM = 0, SECTION_MEMORY = 5, KEYS_MAX = 32 };

typedef struct reader {
    const uint8_t *at, *end;
    bool failed;
} reader;

// Unsigned LEB128 of at most 32 bits (core specification 5.2.2).
static uint32_t read_u32(reader *from) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (from->at >= from->end) break;
        uint8_t byte = *from->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            if (value > UINT32_MAX) break;
            return (uint32_t)value;
        }
    }
    from->failed = true;
    return 0;
}

static void write_u32(tv_text *out, uint32_t value) {
    do {
        char byte = (char)(value & 0x7f);
        value >>= 7;
        if (value) byte = (char)(byte | 0x80);
        tv_text_add(out, &byte, 1);
    } while (value);
}

// ---- key=value lines ----------------------------------------------------------------------------------------

typedef struct entries {
    struct {
        char key[32];
        char value[512];
    } items[KEYS_MAX];
    size_t count;
} entries;

static tv_status entries_set(entries *list, const char *key, size_t key_length, const char *value, size_t length,
                             tv_error *error) {
    if (length >= sizeof list->items[0].value || key_length >= sizeof list->items[0].key || key_length == 0)
        return tv_error_set(error, TV_INVALID, "the component's description has an entry that is too long or empty");
    if (memchr(value, '\n', length))
        return tv_error_set(error, TV_INVALID, "%.*s must be one line", (int)key_length, key);
    size_t index = 0;
    while (index < list->count &&
           (strlen(list->items[index].key) != key_length || memcmp(list->items[index].key, key, key_length) != 0))
        index++;
    if (index == KEYS_MAX) return tv_error_set(error, TV_LIMIT, "the component's description has too many entries");
    if (index == list->count) list->count++;
    memcpy(list->items[index].key, key, key_length);
    list->items[index].key[key_length] = 0;
    memcpy(list->items[index].value, value, length);
    list->items[index].value[length] = 0;
    return TV_OK;
}

static tv_status entries_read(entries *list, const char *text, size_t length, tv_error *error) {
    const char *end = text + length;
    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        if (!line_end) line_end = end;
        const char *equals = memchr(text, '=', (size_t)(line_end - text));
        if (equals) {
            tv_status status =
                entries_set(list, text, (size_t)(equals - text), equals + 1, (size_t)(line_end - equals - 1), error);
            if (status != TV_OK) return status;
        }
        text = line_end + 1;
    }
    return TV_OK;
}

static tv_status entries_override(entries *list, const tv_build_description *description, uint64_t memory_bytes,
                                  tv_error *error) {
    char memory[32];
    snprintf(memory, sizeof memory, "%llu", (unsigned long long)memory_bytes);
    const char *const pairs[][2] = {{"name", description->name},   {"version", description->version},
                                    {"role", description->role},   {"max_output", description->max_output},
                                    {"ports", description->ports}, {"memory", memory}};
    for (size_t index = 0; index < sizeof pairs / sizeof pairs[0]; index++) {
        const char *key = pairs[index][0], *value = pairs[index][1];
        if (!value) continue;
        tv_status status = entries_set(list, key, strlen(key), value, strlen(value), error);
        if (status != TV_OK) return status;
    }
    return TV_OK;
}

// ---- sections -----------------------------------------------------------------------------------------------

static bool is_description(reader content, reader *text) {
    uint32_t length = read_u32(&content);
    if (content.failed || length != strlen(TV_ABI_SECTION) || (size_t)(content.end - content.at) < length) return false;
    if (memcmp(content.at, TV_ABI_SECTION, length) != 0) return false;
    *text = (reader){content.at + length, content.end, false};
    return true;
}

// Initial bytes of the first memory in a memory section; 0 if there is none.
static uint64_t initial_memory(reader content) {
    if (read_u32(&content) == 0 || content.at >= content.end) return 0;
    content.at++; // limits flag
    uint64_t bytes = (uint64_t)read_u32(&content) * 65536;
    return content.failed ? 0 : bytes;
}

// Copies every section but descriptions, which go to `list`.
static tv_status split(const uint8_t *module, size_t length, tv_text *rest, entries *list, uint64_t *memory_bytes,
                       tv_error *error) {
    reader from = {module, module + length, length < 8};
    if (from.failed || memcmp(module, "\0asm\1\0\0\0", 8) != 0)
        return tv_error_set(error, TV_INVALID, "the linker did not write a WebAssembly module");
    tv_text_add(rest, (const char *)module, 8);
    from.at += 8;
    while (from.at < from.end) {
        const uint8_t *start = from.at;
        uint8_t id = *from.at++;
        uint32_t size = read_u32(&from);
        if (from.failed || size > (size_t)(from.end - from.at))
            return tv_error_set(error, TV_INVALID, "the linker wrote a malformed WebAssembly module");
        reader content = {from.at, from.at + size, false}, text;
        from.at += size;
        if (id == SECTION_MEMORY) *memory_bytes = initial_memory(content);
        if (id == SECTION_CUSTOM && is_description(content, &text)) {
            tv_status status = entries_read(list, (const char *)text.at, (size_t)(text.end - text.at), error);
            if (status != TV_OK) return status;
        } else {
            tv_text_add(rest, (const char *)start, (size_t)(from.at - start));
        }
    }
    return TV_OK;
}

static void append(tv_text *out, const entries *list) {
    tv_text content = {0};
    write_u32(&content, (uint32_t)strlen(TV_ABI_SECTION));
    tv_text_add(&content, TV_ABI_SECTION, strlen(TV_ABI_SECTION));
    for (size_t index = 0; index < list->count; index++)
        tv_text_print(&content, "%s=%s\n", list->items[index].key, list->items[index].value);
    tv_text_add(out, "\0", 1);
    write_u32(out, (uint32_t)content.length);
    tv_text_add(out, content.bytes, content.length);
    out->failed |= content.failed;
    tv_text_deinit(&content);
}

tv_status tv_build_describe(const uint8_t *module, size_t length, const tv_build_description *description,
                            uint8_t **out, size_t *out_length, tv_error *error) {
    static entries list; // too large for a stack
    list.count = 0;
    tv_text rewritten = {0};
    uint64_t memory_bytes = 0;
    tv_status status = split(module, length, &rewritten, &list, &memory_bytes, error);
    if (description->memory_bytes) memory_bytes = description->memory_bytes;
    if (status == TV_OK) status = entries_override(&list, description, memory_bytes, error);
    if (status == TV_OK) append(&rewritten, &list);
    if (status == TV_OK && rewritten.failed) status = tv_error_set(error, TV_NO_MEMORY, "out of memory");
    if (status != TV_OK) {
        tv_text_deinit(&rewritten);
        return status;
    }
    *out = (uint8_t *)rewritten.bytes;
    *out_length = rewritten.length;
    return TV_OK;
}
