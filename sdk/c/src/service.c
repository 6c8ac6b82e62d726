// Log and assets: thin layers over the host's imports.
#include "torvyn/torvyn.h"

void tv_log(enum tv_log_level_abi level, const char *format, ...) {
    char text[TV_LOG_TEXT_BYTES_MAX + 1];
    va_list arguments;
    va_start(arguments, format);
    uint32_t length = tv_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    tv_host_log((int32_t)level, text, length);
}

// ---- assets -------------------------------------------------------------------------------------------------

tv_string tv_asset_load(const char *name) {
    int64_t size = tv_asset_size(name);
    char *bytes = size < 0 || size > INT32_MAX ? NULL : tv_allocate((uint64_t)size + 1);
    if (bytes == NULL) return (tv_string){NULL, 0};
    uint32_t have = 0;
    while (have < (uint32_t)size) {
        int32_t got = tv_asset_read(name, have, bytes + have, (uint32_t)size - have);
        if (got <= 0) return (tv_string){NULL, 0};
        have += (uint32_t)got;
    }
    bytes[have] = 0;
    return (tv_string){bytes, have};
}
