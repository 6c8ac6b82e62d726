// For component_test: cuts a record at every comma, keeps nothing, and does not look at the answers of emit.
#include <torvyn/torvyn.h>

TV_COMPONENT("cutter", "1.0.0", "processor", 64);
TV_STATELESS();

TV_ON_RECORD(record) {
    tv_string text = tv_payload_string(record);
    uint32_t start = 0;
    for (uint32_t at = 0; at <= text.length; at++) {
        if (at < text.length && text.bytes[at] != ',') continue;
        (void)tv_emit_like(record, 0, text.bytes + start, at - start);
        start = at + 1;
    }
    return tv_string_is(text, "bad") ? tv_reject("bad record") : TV_OK;
}
