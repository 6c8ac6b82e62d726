// The component behind the stage figures of `emit`: sends every payload out of its own memory.
#include <torvyn/torvyn.h>

TV_COMPONENT("emitter", "1.0.0", "processor", 65536);
TV_STATELESS();

TV_ON_RECORD(record) { return tv_emit_like(record, 0, tv_payload(record), record->payload_bytes); }
