#include <torvyn/torvyn.h>

TV_COMPONENT("hello", "1.0.0", "processor", 65536);

TV_ON_RECORD(record) {
    char text[256];
    tv_string name = tv_payload_string(record);
    if (name.length > 200) return tv_reject("a name of %u bytes", (unsigned)name.length);
    uint32_t length = tv_format(text, sizeof text, "Hello, %.*s!", (int)name.length, name.bytes);
    return tv_emit_like(record, 0, text, length);
}
