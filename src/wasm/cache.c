#include "wasm/cache.h"
#include <string.h>
tv_status tv_cache_open(const char *dir, char **path, bool *works, tv_error *error) {
    (void)error;
    *path = dir ? strdup(dir) : NULL;
    *works = false;
    return TV_OK;
}
