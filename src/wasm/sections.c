// Walks a module's sections with the checked reader. It looks only at what the contract asks about; whether the
// rest is valid WebAssembly is the compiler's business.
#include "wasm/sections.h"

#include <string.h>

#include "torvyn/abi.h"
#include "wasm/limits.h"

static const char *const section_names[] = {"custom", "type",  "import",  "function", "table", "memory",     "global",
                                            "export", "start", "element", "code",     "data",  "data count", "tag"};

static tv_status malformed(tv_error *error, unsigned section) {
    return tv_error_set(error, TV_INVALID,
                        "the module's %s section is malformed: the file is damaged or was not made by a WebAssembly "
                        "compiler",
                        section < TV_SECTION_COUNT ? section_names[section] : "unknown");
}

static tv_status unsupported(tv_error *error, const char *feature, const char *remedy) {
    return tv_error_set(error, TV_UNSUPPORTED, "the module uses %s, which Torvyn refuses (contract 1.1): %s", feature,
                        remedy);
}

static tv_status check_magic(const uint8_t *bytes, size_t length, tv_error *error) {
    static const uint8_t module_head[8] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    if (length >= 8 && memcmp(bytes, module_head, 8) == 0) return TV_OK;
    if (length >= 8 && memcmp(bytes, module_head, 4) == 0 && bytes[6] == 1)
        return unsupported(error, "the component model", "build a core module (for clang: --target=wasm32)");
    if (length >= 8 && memcmp(bytes, module_head, 4) == 0)
        return tv_error_set(error, TV_UNSUPPORTED, "the module has binary format version %u; version 1 is accepted",
                            bytes[4]);
    return tv_error_set(error, TV_INVALID,
                        "this is not a WebAssembly module: it does not begin with the bytes 00 61 73 6d");
}

static tv_status scan_custom(tv_sections *sections, tv_wasm_reader content, tv_error *error) {
    tv_wasm_name name;
    if (!tv_wasm_reader_name(&content, &name)) return malformed(error, TV_SECTION_CUSTOM);
    if (!tv_wasm_name_is(&name, TV_ABI_SECTION)) return TV_OK;
    if (sections->described)
        return tv_error_set(error, TV_INVALID, "the module has more than one custom section `%s` (contract 1.5)",
                            TV_ABI_SECTION);
    sections->described = true;
    sections->description = content;
    return TV_OK;
}

static tv_status scan_section(tv_sections *sections, uint8_t id, tv_wasm_reader content, tv_error *error) {
    if (id == TV_SECTION_CUSTOM) return scan_custom(sections, content, error);
    if (id == TV_SECTION_TAG) return unsupported(error, "exceptions", "build with -fno-exceptions");
    if (id >= TV_SECTION_COUNT)
        return tv_error_set(error, TV_INVALID, "the module has a section of unknown kind %u", id);
    if (sections->present[id])
        return tv_error_set(error, TV_INVALID, "the module has more than one %s section", section_names[id]);
    sections->present[id] = true;
    sections->by_id[id] = content;
    return TV_OK;
}

tv_status tv_sections_scan(const uint8_t *bytes, size_t length, tv_sections *sections, tv_error *error) {
    memset(sections, 0, sizeof *sections);
    tv_status status = check_magic(bytes, length, error);
    if (status != TV_OK) return status;
    tv_wasm_reader reader = tv_wasm_reader_of(bytes + 8, length - 8);
    while (status == TV_OK && tv_wasm_reader_left(&reader) > 0) {
        uint8_t id;
        uint32_t size;
        tv_wasm_reader content;
        if (!tv_wasm_reader_u8(&reader, &id) || !tv_wasm_reader_u32(&reader, &size) ||
            !tv_wasm_reader_slice(&reader, size, &content))
            return tv_error_set(error, TV_INVALID, "the module ends in the middle of a section: the file is cut off");
        status = scan_section(sections, id, content, error);
    }
    return status;
}

// ---- limits -------------------------------------------------------------------------------------------------

static tv_status read_limits(tv_wasm_reader *reader, unsigned section, tv_wasm_limits *limits, tv_error *error) {
    uint8_t flags;
    if (!tv_wasm_reader_u8(reader, &flags)) return malformed(error, section);
    if (flags & 2) return unsupported(error, "threads (shared memory)", "build without -pthread and -matomics");
    if (flags & 4) return unsupported(error, "64-bit memory (memory64)", "build for wasm32");
    if (flags & 8) return unsupported(error, "custom page sizes", "build with pages of 64 KiB");
    if (flags > 1) return malformed(error, section);
    limits->has_maximum = flags & 1;
    limits->maximum = UINT32_MAX;
    if (!tv_wasm_reader_u32(reader, &limits->initial)) return malformed(error, section);
    if (limits->has_maximum && !tv_wasm_reader_u32(reader, &limits->maximum)) return malformed(error, section);
    return TV_OK;
}

tv_status tv_sections_memories(const tv_sections *sections, uint32_t *count, tv_wasm_limits *first, tv_error *error) {
    *count = 0;
    if (!sections->present[TV_SECTION_MEMORY]) return TV_OK;
    tv_wasm_reader reader = sections->by_id[TV_SECTION_MEMORY];
    if (!tv_wasm_reader_u32(&reader, count)) return malformed(error, TV_SECTION_MEMORY);
    if (*count == 0) return TV_OK;
    tv_status status = read_limits(&reader, TV_SECTION_MEMORY, first, error);
    if (status != TV_OK) return status;
    if (first->initial > 65536 || (first->has_maximum && first->maximum > 65536))
        return malformed(error, TV_SECTION_MEMORY);
    return TV_OK;
}

tv_status tv_sections_tables(const tv_sections *sections, uint32_t *count, uint64_t *elements, tv_error *error) {
    *count = 0;
    *elements = 0;
    if (!sections->present[TV_SECTION_TABLE]) return TV_OK;
    tv_wasm_reader reader = sections->by_id[TV_SECTION_TABLE];
    if (!tv_wasm_reader_u32(&reader, count)) return malformed(error, TV_SECTION_TABLE);
    for (uint32_t i = 0; i < *count; i++) {
        uint8_t type;
        tv_wasm_limits limits;
        if (!tv_wasm_reader_u8(&reader, &type)) return malformed(error, TV_SECTION_TABLE);
        if (type != 0x70) // 0x6f: externref; 0x40: a table with an initial value; 0x63, 0x64: a typed reference
            return unsupported(error, "tables of anything but plain function references", "build without them");
        tv_status status = read_limits(&reader, TV_SECTION_TABLE, &limits, error);
        if (status != TV_OK) return status;
        *elements += limits.initial;
    }
    return TV_OK;
}

// ---- types --------------------------------------------------------------------------------------------------

// One letter for a value type; 0 for one of a refused feature.
static char type_letter(uint8_t type) {
    switch (type) {
    case 0x7f: return 'i';
    case 0x7e: return 'I';
    case 0x7d: return 'f';
    case 0x7c: return 'F';
    case 0x7b: return 'v';
    case 0x70: return 'r';
    default: return 0;
    }
}

typedef struct signature_writer {
    char *out;
    size_t length;
} signature_writer;

static void write_letter(signature_writer *writer, char letter) {
    if (!writer || writer->length + 1 >= TV_SIGNATURE_BYTES) return;
    writer->out[writer->length++] = letter;
    writer->out[writer->length] = 0;
}

static tv_status read_value_types(tv_wasm_reader *reader, signature_writer *writer, tv_error *error) {
    uint32_t count;
    if (!tv_wasm_reader_u32(reader, &count)) return malformed(error, TV_SECTION_TYPE);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t type;
        if (!tv_wasm_reader_u8(reader, &type)) return malformed(error, TV_SECTION_TYPE);
        char letter = type_letter(type);
        if (!letter)
            return unsupported(error,
                               "references other than to functions (externref, typed references, exceptions or "
                               "garbage collection)",
                               "build without them");
        write_letter(writer, letter);
    }
    return TV_OK;
}

// One entry of the type section; `writer` may be NULL.
static tv_status read_function_type(tv_wasm_reader *reader, signature_writer *writer, tv_error *error) {
    uint8_t form;
    if (!tv_wasm_reader_u8(reader, &form)) return malformed(error, TV_SECTION_TYPE);
    if (form != 0x60) return unsupported(error, "garbage collection types", "build without them");
    tv_status status = read_value_types(reader, writer, error);
    if (status != TV_OK) return status;
    write_letter(writer, ':');
    return read_value_types(reader, writer, error);
}

tv_status tv_sections_check_types(const tv_sections *sections, tv_error *error) {
    if (!sections->present[TV_SECTION_TYPE]) return TV_OK;
    tv_wasm_reader reader = sections->by_id[TV_SECTION_TYPE];
    uint32_t count;
    if (!tv_wasm_reader_u32(&reader, &count)) return malformed(error, TV_SECTION_TYPE);
    if (count > TV_MODULE_TYPES_MAX)
        return tv_error_set(error, TV_LIMIT, "the module has %u function types; at most %d are accepted", count,
                            TV_MODULE_TYPES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        tv_status status = read_function_type(&reader, NULL, error);
        if (status != TV_OK) return status;
    }
    return TV_OK;
}

tv_status tv_sections_type_signature(const tv_sections *sections, uint32_t type, char out[TV_SIGNATURE_BYTES],
                                     tv_error *error) {
    tv_wasm_reader reader = sections->by_id[TV_SECTION_TYPE];
    uint32_t count = 0;
    if (!sections->present[TV_SECTION_TYPE] || !tv_wasm_reader_u32(&reader, &count) || type >= count)
        return tv_error_set(error, TV_INVALID, "the module refers to function type %u, of %u", type, count);
    for (uint32_t i = 0; i < type; i++) {
        tv_status status = read_function_type(&reader, NULL, error);
        if (status != TV_OK) return status;
    }
    signature_writer writer = {.out = out};
    out[0] = 0;
    return read_function_type(&reader, &writer, error);
}

// Type of an imported function: found again by walking the imports.
typedef struct import_search {
    uint32_t left;
    uint32_t type;
    bool found;
} import_search;

static tv_status visit_import_search(void *user, const tv_wasm_item *item, tv_error *error) {
    (void)error;
    import_search *search = user;
    if (item->kind != TV_WASM_FUNCTION || search->found) return TV_OK;
    search->found = search->left-- == 0;
    search->type = item->index;
    return TV_OK;
}

static tv_status walk_imports(const tv_sections *sections, tv_item_visit visit, void *user, tv_error *error);

tv_status tv_sections_function_signature(const tv_sections *sections, uint32_t function, char out[TV_SIGNATURE_BYTES],
                                         tv_error *error) {
    if (function < sections->imported_functions) {
        import_search search = {.left = function};
        tv_status status = walk_imports(sections, visit_import_search, &search, error);
        return status != TV_OK ? status : tv_sections_type_signature(sections, search.type, out, error);
    }
    uint32_t defined = function - sections->imported_functions;
    tv_wasm_reader reader = sections->by_id[TV_SECTION_FUNCTION];
    uint32_t count = 0;
    if (!sections->present[TV_SECTION_FUNCTION] || !tv_wasm_reader_u32(&reader, &count) || defined >= count)
        return tv_error_set(error, TV_INVALID, "the module exports function %u, which it does not have", function);
    uint32_t type = 0;
    for (uint32_t i = 0; i <= defined; i++) {
        if (!tv_wasm_reader_u32(&reader, &type)) return malformed(error, TV_SECTION_FUNCTION);
    }
    return tv_sections_type_signature(sections, type, out, error);
}

// ---- imports and exports ------------------------------------------------------------------------------------

static bool read_global_type(tv_wasm_reader *reader) { return tv_wasm_reader_skip(reader, 2); }

static tv_status read_import(tv_wasm_reader *reader, tv_wasm_item *item, tv_error *error) {
    uint8_t type;
    tv_wasm_limits limits;
    item->index = 0;
    if (!tv_wasm_reader_name(reader, &item->module) || !tv_wasm_reader_name(reader, &item->name) ||
        !tv_wasm_reader_u8(reader, &item->kind))
        return malformed(error, TV_SECTION_IMPORT);
    bool read = true;
    switch (item->kind) {
    case TV_WASM_FUNCTION: read = tv_wasm_reader_u32(reader, &item->index); break;
    case TV_WASM_TABLE:
        if (!tv_wasm_reader_u8(reader, &type)) return malformed(error, TV_SECTION_IMPORT);
        return read_limits(reader, TV_SECTION_IMPORT, &limits, error);
    case TV_WASM_MEMORY: return read_limits(reader, TV_SECTION_IMPORT, &limits, error);
    case TV_WASM_GLOBAL: read = read_global_type(reader); break;
    case TV_WASM_TAG: return unsupported(error, "exceptions", "build with -fno-exceptions");
    default: read = false;
    }
    return read ? TV_OK : malformed(error, TV_SECTION_IMPORT);
}

static tv_status walk_imports(const tv_sections *sections, tv_item_visit visit, void *user, tv_error *error) {
    if (!sections->present[TV_SECTION_IMPORT]) return TV_OK;
    tv_wasm_reader reader = sections->by_id[TV_SECTION_IMPORT];
    uint32_t count;
    if (!tv_wasm_reader_u32(&reader, &count)) return malformed(error, TV_SECTION_IMPORT);
    for (uint32_t i = 0; i < count; i++) {
        tv_wasm_item item;
        tv_status status = read_import(&reader, &item, error);
        if (status == TV_OK) status = visit(user, &item, error);
        if (status != TV_OK) return status;
    }
    return TV_OK;
}

typedef struct import_count {
    tv_item_visit visit;
    void *user;
    uint32_t functions;
} import_count;

static tv_status visit_and_count(void *user, const tv_wasm_item *item, tv_error *error) {
    import_count *count = user;
    if (item->kind == TV_WASM_FUNCTION) count->functions++;
    return count->visit(count->user, item, error);
}

tv_status tv_sections_imports(tv_sections *sections, tv_item_visit visit, void *user, tv_error *error) {
    import_count count = {.visit = visit, .user = user};
    tv_status status = walk_imports(sections, visit_and_count, &count, error);
    sections->imported_functions = count.functions;
    return status;
}

tv_status tv_sections_exports(const tv_sections *sections, tv_item_visit visit, void *user, tv_error *error) {
    if (!sections->present[TV_SECTION_EXPORT]) return TV_OK;
    tv_wasm_reader reader = sections->by_id[TV_SECTION_EXPORT];
    uint32_t count;
    if (!tv_wasm_reader_u32(&reader, &count)) return malformed(error, TV_SECTION_EXPORT);
    for (uint32_t i = 0; i < count; i++) {
        tv_wasm_item item = {0};
        if (!tv_wasm_reader_name(&reader, &item.name) || !tv_wasm_reader_u8(&reader, &item.kind) ||
            !tv_wasm_reader_u32(&reader, &item.index))
            return malformed(error, TV_SECTION_EXPORT);
        tv_status status = visit(user, &item, error);
        if (status != TV_OK) return status;
    }
    return TV_OK;
}
