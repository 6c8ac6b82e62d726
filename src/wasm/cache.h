// The folder of compiled modules: the one place from which compiled code is ever taken.
//
// Compiled code is as trusted as the host itself, so the owner check of this folder is a security boundary: only our
// own user may write it. Within it, a half-written, damaged or misplaced file is found by length, key and SHA-256,
// logged, counted, removed and compiled again. The folder is held open, so what happens to its path later does not
// matter. Thread-safe as far as its caller holds the engine's load lock.
#ifndef TORVYN_WASM_CACHE_H
#define TORVYN_WASM_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct tv_cache tv_cache;

enum { TV_CACHE_KEY_BYTES = 32, TV_CACHE_ENTRIES_MAX = 256 };

typedef struct tv_cache_key {
    uint8_t bytes[TV_CACHE_KEY_BYTES];
} tv_cache_key;

// Opens or makes the folder: `dir`, or torvyn/modules under $XDG_CACHE_HOME or ~/.cache if NULL. If it cannot be
// made or opened, *out is a cache that has and keeps nothing, with a warning in the log. DENIED if it belongs to
// somebody else, or others may write it.
tv_status tv_cache_new(const char *dir, tv_cache **out, tv_error *error);
void tv_cache_free(tv_cache *cache); // NULL is allowed

// Key of a module (hex digest of its file) under engine settings (tv_engine_settings).
tv_cache_key tv_cache_key_of(const char *digest, const char *settings);

// The compiled form; *bytes is heap memory, the caller's. NOT_FOUND if there is none, or none that can be trusted.
tv_status tv_cache_load(tv_cache *cache, const tv_cache_key *key, uint8_t **bytes, size_t *length);
// Keeps a compiled form; what goes wrong is logged and costs a compilation next time. Removes the entries used
// longest ago beyond TV_CACHE_ENTRIES_MAX.
void tv_cache_store(tv_cache *cache, const tv_cache_key *key, const uint8_t *bytes, size_t length);
// Removes an entry that turned out to be bad, for `reason`.
void tv_cache_reject(tv_cache *cache, const tv_cache_key *key, const char *reason);

// Entries rejected since the cache was opened.
uint64_t tv_cache_rejected(const tv_cache *cache);

#endif
