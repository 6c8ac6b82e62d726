// Whether a module's code stays within the accepted WebAssembly features (contract 1.1).
//
// Decodes every instruction against the pinned list. The compiler refuses most of the others too, but not all: as it
// is linked, function references and parts of garbage collection cannot be switched off. And `torvyn check` can name
// them without a compiler.
#ifndef TORVYN_WASM_FEATURES_H
#define TORVYN_WASM_FEATURES_H

#include "wasm/sections.h"

// UNSUPPORTED with the feature and the function; INVALID for code that cannot be decoded. Whether the code is valid
// otherwise is left to the compiler. `sections->imported_functions` must be known.
tv_status tv_features_check(const tv_sections *sections, tv_error *error);

#endif
