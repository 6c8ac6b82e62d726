// For component_test: counts its records in a block of its own, from the number that the configuration says.
#include <torvyn/torvyn.h>

typedef struct tally {
    int64_t records;
    char last[16];
} tally;

TV_COMPONENT("keyed", "1.0.0", "processor", 64);
TV_KEYED_STATE(tally, here, 32);

TV_ON_INIT() {
    here->records = tv_config_i64("from", 0);
    return TV_OK;
}

TV_ON_RECORD(record) {
    char text[64];
    tv_string payload = tv_payload_string(record);
    uint32_t length = tv_format(text, sizeof text, "%d %s %.*s", (int)++here->records, here->last, (int)payload.length,
                                payload.bytes);
    uint32_t kept = payload.length < sizeof here->last ? payload.length : sizeof here->last - 1;
    memcpy(here->last, payload.bytes, kept);
    here->last[kept] = 0;
    return tv_emit_like(record, 0, text, length);
}
