// Decoder of instructions: only as much as it takes to step from one to the next and to recognise refused ones.
#include "wasm/features.h"

#include <stdio.h>

// Why decoding stopped; the texts are in `reports`.
typedef enum scan_result {
    SCAN_OK,
    SCAN_MALFORMED,
    SCAN_THREADS,
    SCAN_RELAXED_SIMD,
    SCAN_EXCEPTIONS,
    SCAN_FUNCTION_REFERENCES,
    SCAN_GARBAGE_COLLECTION,
    SCAN_EXTERNREF,
    SCAN_MULTI_MEMORY,
    SCAN_WIDE_ARITHMETIC,
    SCAN_UNKNOWN,
} scan_result;

static const struct {
    const char *feature;
    const char *remedy;
} reports[] = {
    [SCAN_THREADS] = {"threads (atomic instructions)", "build without -pthread and -matomics"},
    [SCAN_RELAXED_SIMD] = {"relaxed SIMD, whose results differ between machines", "build without -mrelaxed-simd"},
    [SCAN_EXCEPTIONS] = {"exceptions", "build with -fno-exceptions"},
    [SCAN_FUNCTION_REFERENCES] = {"typed function references", "build without them"},
    [SCAN_GARBAGE_COLLECTION] = {"garbage collection", "build without it"},
    [SCAN_EXTERNREF] = {"references to host objects (externref)", "build without them"},
    [SCAN_MULTI_MEMORY] = {"more than one memory", "build with one"},
    [SCAN_WIDE_ARITHMETIC] = {"wide arithmetic", "build without -mwide-arithmetic"},
    [SCAN_UNKNOWN] = {"an instruction that is not in the list", "build for an older or a plain target"},
};

// ---- immediates ---------------------------------------------------------------------------------------------

static scan_result skip_index(tv_wasm_reader *reader) {
    uint32_t ignored;
    return tv_wasm_reader_u32(reader, &ignored) ? SCAN_OK : SCAN_MALFORMED;
}

static scan_result skip_indices(tv_wasm_reader *reader, unsigned count) {
    scan_result result = SCAN_OK;
    for (unsigned i = 0; i < count && result == SCAN_OK; i++) {
        result = skip_index(reader);
    }
    return result;
}

static scan_result skip_bytes(tv_wasm_reader *reader, size_t count) {
    return tv_wasm_reader_skip(reader, count) ? SCAN_OK : SCAN_MALFORMED;
}

// A signed LEB128 of at most ten bytes.
static scan_result skip_signed(tv_wasm_reader *reader) {
    uint8_t byte;
    for (unsigned i = 0; i < 10; i++) {
        if (!tv_wasm_reader_u8(reader, &byte)) return SCAN_MALFORMED;
        if (!(byte & 0x80)) return SCAN_OK;
    }
    return SCAN_MALFORMED;
}

static scan_result check_value_type(uint8_t type) {
    if (type >= 0x7b && type <= 0x7f) return SCAN_OK; // v128, f64, f32, i64, i32
    switch (type) {
    case 0x70: return SCAN_OK; // funcref
    case 0x6f: return SCAN_EXTERNREF;
    case 0x63:
    case 0x64: return SCAN_FUNCTION_REFERENCES;
    case 0x69:
    case 0x74: return SCAN_EXCEPTIONS;
    default: return type >= 0x65 && type <= 0x78 ? SCAN_GARBAGE_COLLECTION : SCAN_MALFORMED;
    }
}

static scan_result skip_value_type(tv_wasm_reader *reader) {
    uint8_t type;
    return tv_wasm_reader_u8(reader, &type) ? check_value_type(type) : SCAN_MALFORMED;
}

static scan_result skip_value_types(tv_wasm_reader *reader) {
    uint32_t count;
    if (!tv_wasm_reader_u32(reader, &count)) return SCAN_MALFORMED;
    scan_result result = SCAN_OK;
    for (uint32_t i = 0; i < count && result == SCAN_OK; i++) {
        result = skip_value_type(reader);
    }
    return result;
}

// Nothing, one value type, or the index of a function type.
static scan_result skip_block_type(tv_wasm_reader *reader) {
    uint8_t first;
    tv_wasm_reader copy = *reader;
    if (!tv_wasm_reader_u8(&copy, &first)) return SCAN_MALFORMED;
    if (first < 0x40 || first >= 0x80) return skip_signed(reader);
    *reader = copy;
    return first == 0x40 ? SCAN_OK : check_value_type(first);
}

static scan_result skip_memory_argument(tv_wasm_reader *reader) {
    uint32_t alignment;
    if (!tv_wasm_reader_u32(reader, &alignment)) return SCAN_MALFORMED;
    return alignment & 0x40 ? SCAN_MULTI_MEMORY : skip_index(reader);
}

static scan_result skip_memory_indices(tv_wasm_reader *reader, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        uint32_t memory;
        if (!tv_wasm_reader_u32(reader, &memory)) return SCAN_MALFORMED;
        if (memory != 0) return SCAN_MULTI_MEMORY;
    }
    return SCAN_OK;
}

static scan_result skip_branch_table(tv_wasm_reader *reader) {
    uint32_t count;
    if (!tv_wasm_reader_u32(reader, &count)) return SCAN_MALFORMED;
    for (uint32_t i = 0; i < count; i++) {
        if (skip_index(reader) != SCAN_OK) return SCAN_MALFORMED;
    }
    return skip_index(reader);
}

// ---- instructions -------------------------------------------------------------------------------------------

// Prefix 0xfc: saturating conversions, bulk memory, tables.
static scan_result skip_miscellaneous(tv_wasm_reader *reader) {
    uint32_t code;
    if (!tv_wasm_reader_u32(reader, &code)) return SCAN_MALFORMED;
    if (code <= 7) return SCAN_OK;
    switch (code) {
    case 8: { // memory.init
        scan_result result = skip_index(reader);
        return result == SCAN_OK ? skip_memory_indices(reader, 1) : result;
    }
    case 10: return skip_memory_indices(reader, 2); // memory.copy
    case 11: return skip_memory_indices(reader, 1); // memory.fill
    case 9:                                         // data.drop
    case 13:                                        // elem.drop
    case 15:                                        // table.grow
    case 16:                                        // table.size
    case 17: return skip_index(reader);             // table.fill
    case 12:                                        // table.init
    case 14: return skip_indices(reader, 2);        // table.copy
    case 19:
    case 20:
    case 21:
    case 22: return SCAN_WIDE_ARITHMETIC;
    default: return SCAN_UNKNOWN;
    }
}

// Prefix 0xfd: fixed-width SIMD up to 0xff, relaxed SIMD behind it.
static scan_result skip_vector(tv_wasm_reader *reader) {
    uint32_t code;
    if (!tv_wasm_reader_u32(reader, &code)) return SCAN_MALFORMED;
    if (code >= 0x100) return code <= 0x12f ? SCAN_RELAXED_SIMD : SCAN_UNKNOWN;
    if (code <= 11 || code == 92 || code == 93) return skip_memory_argument(reader);
    if (code == 12 || code == 13) return skip_bytes(reader, 16); // v128.const, shuffle
    if (code >= 21 && code <= 34) return skip_bytes(reader, 1);  // lanes
    if (code < 84 || code > 91) return SCAN_OK;
    scan_result result = skip_memory_argument(reader); // loads and stores of a lane
    return result == SCAN_OK ? skip_bytes(reader, 1) : result;
}

static scan_result skip_null(tv_wasm_reader *reader) {
    uint8_t type;
    if (!tv_wasm_reader_u8(reader, &type)) return SCAN_MALFORMED;
    if (type < 0x40 || type >= 0x80) return SCAN_FUNCTION_REFERENCES; // of a type of the module's
    return check_value_type(type);
}

// Control, calls and variables: everything below the memory instructions.
static scan_result skip_low(tv_wasm_reader *reader, uint8_t code) {
    switch (code) {
    case 0x00:
    case 0x01:
    case 0x05:
    case 0x0b:
    case 0x0f:
    case 0x1a:
    case 0x1b: return SCAN_OK;
    case 0x02:
    case 0x03:
    case 0x04: return skip_block_type(reader);
    case 0x0c:
    case 0x0d:
    case 0x10:
    case 0x12: return skip_index(reader);
    case 0x0e: return skip_branch_table(reader);
    case 0x11:
    case 0x13: return skip_indices(reader, 2);
    case 0x14:
    case 0x15: return SCAN_FUNCTION_REFERENCES;
    case 0x06:
    case 0x07:
    case 0x08:
    case 0x09:
    case 0x0a:
    case 0x18:
    case 0x19:
    case 0x1f: return SCAN_EXCEPTIONS;
    case 0x1c: return skip_value_types(reader);
    case 0x20:
    case 0x21:
    case 0x22:
    case 0x23:
    case 0x24:
    case 0x25:
    case 0x26: return skip_index(reader);
    default: return SCAN_UNKNOWN;
    }
}

static scan_result skip_high(tv_wasm_reader *reader, uint8_t code) {
    switch (code) {
    case 0xd0: return skip_null(reader);
    case 0xd1: return SCAN_OK;
    case 0xd2: return skip_index(reader);
    case 0xd3: return SCAN_GARBAGE_COLLECTION;
    case 0xd4:
    case 0xd5:
    case 0xd6: return SCAN_FUNCTION_REFERENCES;
    case 0xfb: return SCAN_GARBAGE_COLLECTION;
    case 0xfc: return skip_miscellaneous(reader);
    case 0xfd: return skip_vector(reader);
    case 0xfe: return SCAN_THREADS;
    default: return SCAN_UNKNOWN;
    }
}

static scan_result skip_instruction(tv_wasm_reader *reader, uint8_t *code) {
    if (!tv_wasm_reader_u8(reader, code)) return SCAN_MALFORMED;
    if (*code <= 0x26) return skip_low(reader, *code);
    if (*code >= 0x28 && *code <= 0x3e) return skip_memory_argument(reader);
    if (*code == 0x3f || *code == 0x40) return skip_memory_indices(reader, 1);
    if (*code == 0x41 || *code == 0x42) return skip_signed(reader);
    if (*code == 0x43) return skip_bytes(reader, 4);
    if (*code == 0x44) return skip_bytes(reader, 8);
    if (*code >= 0x45 && *code <= 0xc4) return SCAN_OK;
    return skip_high(reader, *code);
}

// ---- sections -----------------------------------------------------------------------------------------------

// A constant expression: instructions without blocks, up to `end`.
static scan_result skip_expression(tv_wasm_reader *reader) {
    uint8_t code = 0;
    scan_result result = SCAN_OK;
    while (result == SCAN_OK && code != 0x0b) {
        result = skip_instruction(reader, &code);
    }
    return result;
}

static scan_result scan_body(tv_wasm_reader body) {
    uint32_t groups, ignored;
    uint8_t code;
    if (!tv_wasm_reader_u32(&body, &groups)) return SCAN_MALFORMED;
    scan_result result = SCAN_OK;
    for (uint32_t i = 0; i < groups && result == SCAN_OK; i++) {
        result = tv_wasm_reader_u32(&body, &ignored) ? skip_value_type(&body) : SCAN_MALFORMED;
    }
    while (result == SCAN_OK && tv_wasm_reader_left(&body) > 0) {
        result = skip_instruction(&body, &code);
    }
    return result;
}

static scan_result scan_code(tv_wasm_reader reader, uint32_t *function) {
    uint32_t count, size;
    tv_wasm_reader body;
    if (!tv_wasm_reader_u32(&reader, &count)) return SCAN_MALFORMED;
    for (uint32_t i = 0; i < count; i++, (*function)++) {
        if (!tv_wasm_reader_u32(&reader, &size) || !tv_wasm_reader_slice(&reader, size, &body)) return SCAN_MALFORMED;
        scan_result result = scan_body(body);
        if (result != SCAN_OK) return result;
    }
    return SCAN_OK;
}

static scan_result scan_globals(tv_wasm_reader reader) {
    uint32_t count;
    uint8_t mutable;
    if (!tv_wasm_reader_u32(&reader, &count)) return SCAN_MALFORMED;
    scan_result result = SCAN_OK;
    for (uint32_t i = 0; i < count && result == SCAN_OK; i++) {
        result = skip_value_type(&reader);
        if (result == SCAN_OK && !tv_wasm_reader_u8(&reader, &mutable)) result = SCAN_MALFORMED;
        if (result == SCAN_OK) result = skip_expression(&reader);
    }
    return result;
}

// Flags of an element segment: 1 passive or declared, 2 with a table index or a type, 4 with expressions.
static scan_result scan_segment(tv_wasm_reader *reader) {
    uint32_t flags, count;
    uint8_t kind;
    scan_result result = SCAN_OK;
    if (!tv_wasm_reader_u32(reader, &flags) || flags > 7) return SCAN_MALFORMED;
    if ((flags & 3) == 2) result = skip_index(reader);
    if (result == SCAN_OK && !(flags & 1)) result = skip_expression(reader);
    if (result == SCAN_OK && (flags & 3)) {
        if (flags & 4)
            result = skip_value_type(reader);
        else if (!tv_wasm_reader_u8(reader, &kind) || kind != 0)
            result = SCAN_MALFORMED;
    }
    if (result != SCAN_OK) return result;
    if (!tv_wasm_reader_u32(reader, &count)) return SCAN_MALFORMED;
    for (uint32_t i = 0; i < count && result == SCAN_OK; i++) {
        result = flags & 4 ? skip_expression(reader) : skip_index(reader);
    }
    return result;
}

static scan_result scan_segments(tv_wasm_reader reader) {
    uint32_t count;
    if (!tv_wasm_reader_u32(&reader, &count)) return SCAN_MALFORMED;
    scan_result result = SCAN_OK;
    for (uint32_t i = 0; i < count && result == SCAN_OK; i++) {
        result = scan_segment(&reader);
    }
    return result;
}

static tv_status report(scan_result result, const char *where, tv_error *error) {
    if (result == SCAN_OK) return TV_OK;
    if (result == SCAN_MALFORMED)
        return tv_error_set(error, TV_INVALID,
                            "%s is malformed: the file is damaged or was not made by a WebAssembly compiler", where);
    return tv_error_set(error, TV_UNSUPPORTED, "%s uses %s, which Torvyn refuses (contract 1.1): %s", where,
                        reports[result].feature, reports[result].remedy);
}

tv_status tv_features_check(const tv_sections *sections, tv_error *error) {
    tv_status status = TV_OK;
    if (sections->present[TV_SECTION_GLOBAL])
        status = report(scan_globals(sections->by_id[TV_SECTION_GLOBAL]), "the module's global section", error);
    if (status == TV_OK && sections->present[TV_SECTION_ELEMENT])
        status = report(scan_segments(sections->by_id[TV_SECTION_ELEMENT]), "the module's element section", error);
    if (status != TV_OK || !sections->present[TV_SECTION_CODE]) return status;
    char where[48];
    uint32_t function = sections->imported_functions;
    scan_result result = scan_code(sections->by_id[TV_SECTION_CODE], &function);
    snprintf(where, sizeof where, "function %u of the module", function);
    return report(result, where, error);
}
