// The machinery behind torvyn.h: the batch loop, the exports' common ends, output that found no room. Authors need
// not read it.
//
// Invariant: at the start of every call but tv_resume and tv_pull the pending buffer is empty, and within tv_process
// it is empty at the start of every record, since the loop stops behind the record that filled it. So what is
// pending always belongs to the record, tick or window at hand.
#ifndef TORVYN_SDK_H
#define TORVYN_SDK_H

#include "torvyn/torvyn.h"

typedef tv_result tv_sdk_function(void);
typedef tv_result tv_sdk_watermark(int64_t time_ns);
typedef tv_result tv_sdk_record(const tv_record *record);
typedef tv_result tv_sdk_pull_function(uint32_t max);

typedef struct tv_sdk_state {
    tv_batch *batch;
    const tv_record *record; // at hand: within tv_process, else NULL
    uint8_t *pending;        // entries: tv_emit_request, attributes, payload, padding to 8
    uint32_t pending_capacity;
    uint32_t pending_bytes; // end of the entries; 0 = none
    uint32_t pending_from;  // first entry not yet sent
    uint32_t pull_max;      // of the last tv_pull
    bool emitted;           // the record at hand has sent something out
    bool more;              // the author wants to go on in TV_ON_MORE or TV_ON_PULL
    bool ended;             // TV_ON_PULL has answered TV_END
    bool config_failed;
    bool stateless; // TV_STATELESS
    bool keyed;     // TV_KEYED_STATE
    bool refused;   // stateless: output of the record at hand found no room, so the record is not consumed
} tv_sdk_state;
extern __attribute__((visibility("hidden"))) tv_sdk_state tv_sdk;

// Tentative definitions: a TV_ON_* macro supplies the value, otherwise they are NULL and fold away.
static tv_sdk_watermark *tv_sdk_on_watermark __attribute__((unused));
static tv_sdk_function *tv_sdk_on_more __attribute__((unused));
static tv_sdk_pull_function *tv_sdk_on_pull __attribute__((unused));
static bool tv_sdk_is_stateless __attribute__((unused)), tv_sdk_is_keyed __attribute__((unused));

#if defined(__wasm__)
#define TV_SDK_DESCRIBE_STATE(state)                                                                                   \
    __asm__(".section .custom_section." TV_ABI_SECTION ",\"\",@\n.ascii \"state=" state "\\n\"\n.text\n")
#define TV_SDK_DESCRIBE_STATE_BYTES(bytes)                                                                             \
    __asm__(".section .custom_section." TV_ABI_SECTION ",\"\",@\n.ascii \"state_bytes=" bytes "\\n\"\n.text\n")
#define TV_SDK_DESCRIBE_OPTIONAL(ports)                                                                                \
    __asm__(".section .custom_section." TV_ABI_SECTION ",\"\",@\n.ascii \"optional=" ports "\\n\"\n.text\n")
#define TV_SDK_DESCRIBE(name, version, role, max_output, ports)                                                        \
    __asm__(".section .custom_section." TV_ABI_SECTION ",\"\",@\n.ascii \"name=" name "\\nversion=" version            \
            "\\nrole=" role "\\nmax_output=" max_output "\\nports=" ports "\\n\"\n.text\n")
#else
// The native build has the same lines as a string, and the table of imports.
#define TV_SDK_DESCRIBE(name, version, role, max_output, ports)                                                        \
    const char tv_description[] =                                                                                      \
        "name=" name "\nversion=" version "\nrole=" role "\nmax_output=" max_output "\nports=" ports "\n";             \
    const tv_native_imports *tv_native
#define TV_SDK_DESCRIBE_OPTIONAL(ports)    const char tv_description_optional[] = "optional=" ports "\n"
#define TV_SDK_DESCRIBE_STATE(state)       const char tv_description_state[] = "state=" state "\n"
#define TV_SDK_DESCRIBE_STATE_BYTES(bytes) const char tv_description_state_bytes[] = "state_bytes=" bytes "\n"
#endif

#if !defined(__wasm__)
extern TV_EXPORT("") const char tv_description[];
extern TV_EXPORT("") const char tv_description_optional[];
extern TV_EXPORT("") const char tv_description_state[];
extern TV_EXPORT("") const char tv_description_state_bytes[];
TV_EXPORT("") tv_guest_pointer tv_state(void);
TV_EXPORT("") void torvyn_abi_1(void);
TV_EXPORT("") tv_guest_pointer tv_arena(uint32_t size);
TV_EXPORT("") int32_t tv_init(void);
TV_EXPORT("") int32_t tv_process(int32_t count);
TV_EXPORT("") int32_t tv_resume(void);
TV_EXPORT("") int32_t tv_pull(int32_t max);
TV_EXPORT("") int32_t tv_tick(int64_t now);
TV_EXPORT("") int32_t tv_close(void);
#endif

tv_guest_pointer tv_sdk_arena(uint32_t size, bool stateless, bool keyed);
int32_t tv_sdk_init(tv_sdk_function *init);
// The common end of tv_tick and tv_close: the call's answer for the author's.
int32_t tv_sdk_finish(tv_result result);
int32_t tv_sdk_close(tv_sdk_function *close);
int32_t tv_sdk_resume(tv_sdk_function *more, tv_sdk_pull_function *pull);
int32_t tv_sdk_pull(uint32_t max, tv_sdk_pull_function *pull);
// Takes output that finds no room.
tv_result tv_sdk_keep(const tv_emit_request *request);

// The same as tv_forward_to, out of the guest's memory.
tv_result tv_sdk_forward_copy(const tv_record *record, uint16_t port);

// What becomes of a record that did not simply end with TV_OK: TV_SDK_GO_ON, or the answer of tv_process.
int32_t tv_sdk_unusual(uint32_t index, tv_result result);
#define TV_SDK_GO_ON INT32_MIN

// ---- the loop -----------------------------------------------------------------------------------------------

// Inlined into tv_process, and the author's function into it: a few stores and two branches a record.
static inline __attribute__((always_inline)) int32_t tv_sdk_process(uint32_t count, tv_sdk_record *on_record,
                                                                    tv_sdk_watermark *on_watermark) {
    tv_batch *batch = tv_sdk.batch;
    const uint8_t *at = (const uint8_t *)(batch + 1);
    for (uint32_t index = 0; index < count; index++) {
        const tv_record *record = (const tv_record *)(const void *)at;
        tv_result result = TV_OK;
        batch->record_index = index;
        tv_sdk.record = record;
        tv_sdk.emitted = false;
        tv_sdk.refused = false;
        if (record->kind == TV_KIND_DATA) {
            result = on_record(record);
        } else if (on_watermark != NULL) {
            result = on_watermark(record->event_time_ns);
        }
        if (__builtin_expect(result != TV_OK || tv_sdk.pending_bytes != 0 || tv_sdk.refused, 0)) {
            int32_t answer = tv_sdk_unusual(index, result);
            if (answer != TV_SDK_GO_ON) return answer;
        }
        at += record->size_bytes;
    }
    tv_sdk.record = NULL;
    return (int32_t)count;
}

static inline int64_t tv_arrival_ns(void) { return tv_sdk.batch->arrival_ns; }

// ---- emitting -----------------------------------------------------------------------------------------------

static inline tv_result tv_sdk_emit(const tv_emit_request *request) {
    if (__builtin_expect(tv_sdk.pending_bytes != 0 || tv_sdk.refused, 0)) return tv_sdk_keep(request);
    int32_t answer = tv_host_emit(request);
    if (__builtin_expect(answer == TV_ABI_FULL, 0)) return tv_sdk_keep(request);
    tv_sdk.emitted = true;
    return (tv_result)answer;
}

static inline uint32_t tv_pending(void) { return tv_sdk.pending_bytes - tv_sdk.pending_from; }

static inline tv_result tv_emit_at(uint16_t port, int64_t event_time_ns, uint64_t key, const void *payload,
                                   uint32_t bytes) {
    return tv_sdk_emit(&(tv_emit_request){.event_time_ns = event_time_ns,
                                          .key = key,
                                          .payload = (tv_guest_pointer)payload,
                                          .payload_bytes = bytes,
                                          .port = port});
}

static inline tv_result tv_emit(uint16_t port, const void *payload, uint32_t bytes) {
    return tv_emit_at(port, TV_NO_EVENT_TIME, 0, payload, bytes);
}

static inline tv_result tv_emit_like(const tv_record *record, uint16_t port, const void *payload, uint32_t bytes) {
    return tv_sdk_emit(&(tv_emit_request){.event_time_ns = record->event_time_ns,
                                          .key = record->key,
                                          .payload = (tv_guest_pointer)payload,
                                          .payload_bytes = bytes,
                                          .port = port,
                                          .flags = TV_FLAG_INHERIT_ATTRIBUTES});
}

static inline tv_result tv_forward_to(const tv_record *record, uint16_t port) {
    if (__builtin_expect(record == tv_sdk.record && tv_sdk.pending_bytes == 0 && !tv_sdk.refused, 1)) {
        int32_t answer = tv_host_forward(port);
        if (__builtin_expect(answer != TV_ABI_FULL, 1)) {
            tv_sdk.emitted = true;
            return (tv_result)answer;
        }
    }
    return tv_sdk_forward_copy(record, port);
}

static inline tv_result tv_forward(const tv_record *record) { return tv_forward_to(record, 0); }

static inline tv_result tv_emit_output(const tv_output *output) {
    return tv_sdk_emit(
        &(tv_emit_request){.event_time_ns = output->event_time_ns,
                           .key = output->key,
                           .payload = (tv_guest_pointer)output->payload,
                           .attributes = (tv_guest_pointer)(output->attributes ? output->attributes->bytes : NULL),
                           .payload_bytes = output->payload_bytes,
                           .attributes_bytes = output->attributes ? output->attributes->length : 0,
                           .port = output->port,
                           .flags = output->inherit_attributes ? TV_FLAG_INHERIT_ATTRIBUTES : 0});
}

static inline tv_result tv_emit_watermark(int64_t time_ns) {
    return tv_sdk_emit(&(tv_emit_request){.event_time_ns = time_ns, .port = TV_PORT_ALL, .kind = TV_KIND_WATERMARK});
}

#endif
