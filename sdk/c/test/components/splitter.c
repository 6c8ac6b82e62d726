// For component_test: cuts a record at every comma; several outputs a record, a small pending buffer.
#define TV_PENDING_BYTES(max_output) 512
#include <torvyn/torvyn.h>

TV_COMPONENT("splitter", "1.2.3", "processor", 64, "out,empty");

static int32_t pieces;
static tv_result retry_with;

TV_ON_INIT() {
    pieces = tv_counter("pieces");
    retry_with = tv_config_bool("later", false) ? TV_LATER : TV_FULL;
    return TV_OK;
}

TV_ON_RECORD(record) {
    tv_string text = tv_payload_string(record);
    if (tv_string_is(text, "bad")) {
        (void)tv_emit(0, "x", 1);
        return tv_reject("bad record %u", 7u);
    }
    if (tv_string_is(text, "trouble")) return TV_FAILED;
    if (tv_string_is(text, "invalid")) return TV_NOT_FOUND;
    uint32_t start = 0;
    for (uint32_t at = 0; at <= text.length; at++) {
        if (at < text.length && text.bytes[at] != ',') continue;
        tv_counter_add(pieces, 1);
        tv_result result = tv_emit_like(record, at == start, text.bytes + start, at - start);
        if (result != TV_OK) return result == TV_FULL ? retry_with : result;
        start = at + 1;
    }
    return TV_OK;
}
