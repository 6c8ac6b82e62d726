// What a module's sections say, as far as the contract is concerned. A view into the module's bytes: nothing is
// copied, nothing allocated.
#ifndef TORVYN_WASM_SECTIONS_H
#define TORVYN_WASM_SECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "wasm/reader.h"

enum {
    TV_SECTION_CUSTOM = 0,
    TV_SECTION_TYPE = 1,
    TV_SECTION_IMPORT = 2,
    TV_SECTION_FUNCTION = 3,
    TV_SECTION_TABLE = 4,
    TV_SECTION_MEMORY = 5,
    TV_SECTION_GLOBAL = 6,
    TV_SECTION_EXPORT = 7,
    TV_SECTION_ELEMENT = 9,
    TV_SECTION_CODE = 10,
    TV_SECTION_TAG = 13,
    TV_SECTION_COUNT = 14,
};

enum tv_wasm_kind { TV_WASM_FUNCTION, TV_WASM_TABLE, TV_WASM_MEMORY, TV_WASM_GLOBAL, TV_WASM_TAG };

typedef struct tv_sections {
    tv_wasm_reader by_id[TV_SECTION_COUNT]; // content of a section; empty if absent
    bool present[TV_SECTION_COUNT];
    tv_wasm_reader description; // of the custom section `torvyn.component`
    bool described;
    uint32_t imported_functions; // filled by tv_sections_imports
} tv_sections;

// One entry of the import or export section.
typedef struct tv_wasm_item {
    tv_wasm_name module; // imports only
    tv_wasm_name name;
    uint8_t kind;   // enum tv_wasm_kind
    uint32_t index; // function imports: type index; exports: index in the kind's index space
} tv_wasm_item;

// Finds the sections. INVALID for what is not a module, UNSUPPORTED for the component model and for sections of
// refused features.
tv_status tv_sections_scan(const uint8_t *bytes, size_t length, tv_sections *sections, tv_error *error);

// Calls `visit` for each import or export until it fails.
typedef tv_status (*tv_item_visit)(void *user, const tv_wasm_item *item, tv_error *error);
tv_status tv_sections_imports(tv_sections *sections, tv_item_visit visit, void *user, tv_error *error);
tv_status tv_sections_exports(const tv_sections *sections, tv_item_visit visit, void *user, tv_error *error);

// Checks every entry of the type section: UNSUPPORTED where one needs a refused feature.
tv_status tv_sections_check_types(const tv_sections *sections, tv_error *error);

enum { TV_SIGNATURE_BYTES = 32 };
// Signature of a function, in the notation of host_functions.h ('f', 'F', 'v', 'r' for the other types), by type
// index or by function index. Cut to fit, which no accepted signature needs.
tv_status tv_sections_type_signature(const tv_sections *sections, uint32_t type, char out[TV_SIGNATURE_BYTES],
                                     tv_error *error);
tv_status tv_sections_function_signature(const tv_sections *sections, uint32_t function, char out[TV_SIGNATURE_BYTES],
                                         tv_error *error);

typedef struct tv_wasm_limits {
    uint32_t initial;
    uint32_t maximum; // UINT32_MAX if has_maximum is false
    bool has_maximum;
} tv_wasm_limits;

// The module's own memories (count, and the limits of the first) and tables (count, and the sum of their initial
// sizes). UNSUPPORTED for shared or 64-bit ones.
tv_status tv_sections_memories(const tv_sections *sections, uint32_t *count, tv_wasm_limits *first, tv_error *error);
tv_status tv_sections_tables(const tv_sections *sections, uint32_t *count, uint64_t *elements, tv_error *error);

#endif
