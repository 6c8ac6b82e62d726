// The folder of compiled modules. Only we write it, and what is read from it has been verified; it is the one
// place from which compiled code is ever taken (docs/architecture.md, security boundary).
#ifndef TORVYN_WASM_CACHE_H
#define TORVYN_WASM_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// Finds or makes the folder: `dir`, or the default under $XDG_CACHE_HOME or ~/.cache if NULL. *path is heap memory,
// the caller's. A folder that cannot be made or written sets *works to false, with a warning in the log. DENIED if it
// belongs to somebody else or others may write it.
tv_status tv_cache_open(const char *dir, char **path, bool *works, tv_error *error);

#endif
