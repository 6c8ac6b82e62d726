// The SDK's machinery: ends of the exports, output that found no room, memory. See torvyn/sdk.h for the invariant.
//
// Everything that waits lies in the component's pending buffer, in the order it was emitted; nothing overtakes it.
#include "torvyn/torvyn.h"

// ---- memory -------------------------------------------------------------------------------------------------

#if defined(__wasm__)

enum { TV_SDK_WASM_PAGE_BYTES = 65536 };

// Where the next block comes from; grown in whole pages, never given back. With libc the heap below belongs to
// malloc, so blocks come from new pages only.
static uintptr_t tv_sdk_next, tv_sdk_end;

static bool tv_sdk_grow(uint64_t bytes) {
    uint64_t pages = (bytes + TV_SDK_WASM_PAGE_BYTES - 1) / TV_SDK_WASM_PAGE_BYTES;
    if (pages >= 65536) return false;
    size_t old_pages = __builtin_wasm_memory_grow(0, (size_t)pages);
    if (old_pages == SIZE_MAX) return false;
    uintptr_t old_end = old_pages * TV_SDK_WASM_PAGE_BYTES;
    if (old_end != tv_sdk_end) tv_sdk_next = old_end;
    tv_sdk_end = old_end + (uintptr_t)pages * TV_SDK_WASM_PAGE_BYTES;
    return true;
}

static void *tv_sdk_block(uint64_t bytes, uintptr_t alignment) {
#if !defined(TV_LIBC)
    extern uint8_t __heap_base;
    if (tv_sdk_end == 0) {
        tv_sdk_next = (uintptr_t)&__heap_base;
        tv_sdk_end = __builtin_wasm_memory_size(0) * TV_SDK_WASM_PAGE_BYTES;
    }
#endif
    for (int attempt = 0; attempt < 2; attempt++) {
        uint64_t start = ((uint64_t)tv_sdk_next + alignment - 1) & ~((uint64_t)alignment - 1);
        if (bytes > UINT32_MAX - alignment) return NULL;
        if (tv_sdk_end != 0 && start + bytes <= tv_sdk_end) {
            tv_sdk_next = (uintptr_t)(start + bytes);
            return (void *)(uintptr_t)start;
        }
        if (attempt == 0 && !tv_sdk_grow(start + bytes - tv_sdk_end)) return NULL;
    }
    return NULL;
}

#else

#include <stdlib.h>

// Blocks are listed, so that a test that loads a component many times does not leak.
typedef struct tv_sdk_listed {
    struct tv_sdk_listed *next;
    void *block;
} tv_sdk_listed;
static tv_sdk_listed *tv_sdk_blocks;

static __attribute__((destructor)) void tv_sdk_blocks_free(void) {
    while (tv_sdk_blocks != NULL) {
        tv_sdk_listed *listed = tv_sdk_blocks;
        tv_sdk_blocks = listed->next;
        free(listed->block);
        free(listed);
    }
}

static void *tv_sdk_block(uint64_t bytes, uintptr_t alignment) {
    uint64_t rounded = (bytes / alignment + 1) * alignment;
    if (bytes > (1u << 30)) return NULL;
    tv_sdk_listed *listed = malloc(sizeof *listed);
    void *block = listed == NULL ? NULL : aligned_alloc(alignment, rounded);
    if (block == NULL) {
        free(listed);
        return NULL;
    }
    memset(block, 0, rounded);
    *listed = (tv_sdk_listed){tv_sdk_blocks, block};
    tv_sdk_blocks = listed;
    return block;
}

#endif

void *tv_allocate(uint64_t bytes) { return tv_sdk_block(bytes, 16); }

// On a page of its own, so that the host can give back the pages of an idle instance. The room for output that waits
// lies in front of it rather than among the static variables, which it would spread over two pages.
tv_guest_pointer tv_sdk_arena(uint32_t size, bool stateless, bool keyed) {
    tv_sdk.stateless = stateless;
    tv_sdk.keyed = keyed;
    tv_sdk.pending = tv_sdk_block(tv_sdk.pending_capacity, 8);
    if (tv_sdk.pending == NULL) return 0;
    tv_sdk.batch = tv_sdk_block(size, 4096);
    return (tv_guest_pointer)tv_sdk.batch;
}

// ---- output that waits --------------------------------------------------------------------------------------

static uint32_t tv_sdk_align(uint32_t bytes) { return (bytes + 7u) & ~7u; }

// Copies the record's attributes but for the trace context, which the host alone sets. Returns the bytes used.
static uint32_t tv_sdk_inherit(const tv_record *record, uint8_t *out) {
    uint32_t used = 0;
    tv_attribute_walk walk = tv_attributes_begin(record);
    while (tv_attributes_next(&walk)) {
        if (walk.id == TV_ATTRIBUTE_TRACEPARENT) continue;
        uint32_t bytes = (uint32_t)sizeof(tv_attribute) + ((walk.value.length + 3u) & ~3u);
        memcpy(out + used, walk.value.bytes - sizeof(tv_attribute), bytes);
        used += bytes;
    }
    while (used % 8 != 0)
        out[used++] = 0;
    return used;
}

// A stateless component gives the record back instead of keeping its output, unless it is the first of its batch: there
// was room for one largest output, so this record has several that need more, and can only come out in parts.
static bool tv_sdk_refuses(void) {
    if (!tv_sdk.stateless || tv_sdk.record == NULL || tv_sdk.pending_bytes != 0) return false;
    if (tv_sdk.batch->record_index > 0) tv_sdk.refused = true;
    return tv_sdk.refused;
}

tv_result tv_sdk_keep(const tv_emit_request *request) {
    if (tv_sdk_refuses()) return TV_FULL;
    const tv_record *inherited = request->flags & TV_FLAG_INHERIT_ATTRIBUTES ? tv_sdk.record : NULL;
    uint64_t need = (uint64_t)sizeof *request + request->attributes_bytes + request->payload_bytes + 7u;
    if (inherited != NULL) need += inherited->attributes_bytes;
    if (need > tv_sdk.pending_capacity - tv_sdk.pending_bytes) return TV_FULL;

    uint8_t *entry = tv_sdk.pending + tv_sdk.pending_bytes;
    tv_emit_request kept = *request;
    uint8_t *attributes = entry + sizeof kept;
    uint32_t attributes_bytes = inherited != NULL ? tv_sdk_inherit(inherited, attributes) : 0;
    if (request->attributes_bytes > 0) {
        memcpy(attributes + attributes_bytes, (const void *)request->attributes, request->attributes_bytes);
    }
    attributes_bytes += request->attributes_bytes;
    if (attributes_bytes > TV_ATTRIBUTES_BYTES_LIMIT) return TV_INVALID;
    uint8_t *payload = attributes + attributes_bytes;
    if (request->payload_bytes > 0) memcpy(payload, (const void *)request->payload, request->payload_bytes);
    kept.attributes = (tv_guest_pointer)attributes;
    kept.attributes_bytes = (uint16_t)attributes_bytes;
    kept.payload = (tv_guest_pointer)payload;
    kept.flags = (uint8_t)(request->flags & ~TV_FLAG_INHERIT_ATTRIBUTES);
    memcpy(entry, &kept, sizeof kept);
    tv_sdk.pending_bytes += tv_sdk_align((uint32_t)sizeof kept + attributes_bytes + request->payload_bytes);
    return TV_OK;
}

tv_result tv_sdk_forward_copy(const tv_record *record, uint16_t port) {
    return tv_emit_like(record, port, tv_payload(record), record->payload_bytes);
}

// Sends what waits as far as there is room. An entry the host refuses for good is logged and dropped: it was
// answered with TV_OK when it was kept, so only the log can say so.
static void tv_sdk_flush(void) {
    while (tv_sdk.pending_from < tv_sdk.pending_bytes) {
        tv_emit_request request;
        memcpy(&request, tv_sdk.pending + tv_sdk.pending_from, sizeof request);
        int32_t answer = tv_host_emit((const tv_emit_request *)(const void *)(tv_sdk.pending + tv_sdk.pending_from));
        if (answer == TV_ABI_FULL) return;
        if (answer != TV_ABI_OK) {
            tv_log_error("output kept for later was refused (code %d, port %u, %u bytes)", (int)answer,
                         (unsigned)request.port, (unsigned)request.payload_bytes);
        }
        tv_sdk.pending_from +=
            tv_sdk_align((uint32_t)sizeof request + request.attributes_bytes + request.payload_bytes);
    }
    tv_sdk.pending_from = 0;
    tv_sdk.pending_bytes = 0;
}

// ---- ends of the exports ------------------------------------------------------------------------------------

int32_t tv_sdk_init(tv_sdk_function *init) {
    tv_result result = init();
    if (result == TV_OK && !tv_sdk.config_failed) return TV_ABI_OK;
    if (!tv_sdk.config_failed) tv_log_error("cannot start: TV_ON_INIT answered %d", (int)result);
    return TV_ABI_FAILED;
}

int32_t tv_sdk_finish(tv_result result) {
    if (result < 0) {
        if (result != TV_FAILED) tv_log_error("the component answered error %d outside a record", (int)result);
        return TV_ABI_FAILED;
    }
    if (result != TV_OK) tv_sdk.more = true;
    return tv_sdk.more || tv_sdk.pending_bytes != 0 ? TV_ABI_MORE : 0;
}

// Goes on until something was emitted: a resume without any progress would not be repeated by the host.
static tv_result tv_sdk_go_on(tv_sdk_function *more) {
    tv_result result;
    tv_sdk.emitted = false;
    tv_sdk.more = false;
    do {
        result = more();
    } while (result == TV_MORE && !tv_sdk.emitted && tv_sdk.pending_bytes == 0);
    return result;
}

int32_t tv_sdk_resume(tv_sdk_function *more, tv_sdk_pull_function *pull) {
    tv_sdk_flush();
    if (tv_sdk.pending_bytes != 0) return TV_ABI_MORE;
    if (!tv_sdk.more) return 0;
    if (more != NULL) return tv_sdk_finish(tv_sdk_go_on(more));
    if (pull != NULL) {
        int32_t answer = tv_sdk_pull(tv_sdk.pull_max, pull);
        return answer == TV_ABI_END ? 0 : answer;
    }
    tv_log_error("the component answered TV_MORE, but has no TV_ON_MORE");
    return TV_ABI_FAILED;
}

// The end may come in the middle of a source's output: what is pending goes out, but nothing more is pulled.
int32_t tv_sdk_close(tv_sdk_function *close) {
    tv_sdk.ended = true;
    tv_sdk.more = false;
    return tv_sdk_finish(close());
}

int32_t tv_sdk_pull(uint32_t max, tv_sdk_pull_function *pull) {
    tv_sdk.pull_max = max;
    tv_sdk_flush();
    if (tv_sdk.pending_bytes != 0) return TV_ABI_MORE;
    tv_sdk.more = false;
    if (!tv_sdk.ended) {
        tv_result result = pull(max);
        // Who has emitted something is asked again at once; only output inside may keep the instance from other flows.
        if (tv_sdk.keyed && result == TV_MORE) result = TV_OK;
        if (result == TV_END) {
            tv_sdk.ended = true;
        } else {
            return tv_sdk_finish(result);
        }
    }
    return tv_sdk.pending_bytes != 0 ? TV_ABI_MORE : TV_ABI_END;
}

// ---- records that did not simply end with TV_OK -------------------------------------------------------------

static const char *tv_sdk_result_name(tv_result result) {
    switch (result) {
    case TV_INVALID: return "invalid argument to emit";
    case TV_NOT_FOUND: return "no such output port";
    case TV_TOO_LARGE: return "output larger than max_output";
    case TV_STATE: return "not allowed in this call";
    case TV_DENIED: return "not granted";
    case TV_LIMIT: return "a limit of the host is reached";
    default: return "unknown result";
    }
}

static int32_t tv_sdk_retry(uint32_t index, const char *answer) {
    if (!tv_sdk.emitted && tv_sdk.pending_bytes == 0) return (int32_t)index;
    tv_log_error("%s after a part of the record's output was emitted: go on in TV_ON_MORE, or set TV_PENDING_BYTES "
                 "above the largest output of one record",
                 answer);
    return TV_ABI_FAILED;
}

static int32_t tv_sdk_reject_result(tv_result result) {
    if (result == TV_FAILED) return TV_ABI_FAILED;
    (void)tv_reject("%s (%d)", tv_sdk_result_name(result), (int)result);
    return tv_sdk.pending_bytes == 0 ? TV_SDK_GO_ON : TV_ABI_FAILED;
}

// Whether a refused record may simply be delivered again: the host takes back what was emitted for it. One that was
// rejected meanwhile is done with, and so is one for which the author gave up altogether.
static bool tv_sdk_is_given_back(tv_result result) { return tv_sdk.refused && result != TV_FAILED; }

int32_t tv_sdk_unusual(uint32_t index, tv_result result) {
    if (tv_sdk_is_given_back(result)) {
        tv_sdk.record = NULL;
        return (int32_t)index;
    }
    int32_t answer = (int32_t)((index + 1) | TV_ABI_MORE);
    if (result < 0) {
        answer = tv_sdk_reject_result(result);
    } else if (result == TV_FULL || result == TV_LATER) {
        answer = tv_sdk_retry(index, result == TV_FULL ? "TV_FULL" : "TV_LATER");
    } else if (result == TV_END) {
        tv_log_error("TV_END is for TV_ON_PULL");
        answer = TV_ABI_FAILED;
    } else if (result == TV_MORE) {
        tv_sdk.more = true;
    }
    if (answer != TV_SDK_GO_ON) tv_sdk.record = NULL;
    return answer;
}

tv_result tv_reject(const char *format, ...) {
    char reason[TV_REJECT_REASON_BYTES_MAX + 1];
    va_list arguments;
    va_start(arguments, format);
    uint32_t length = tv_format_list(reason, sizeof reason, format, arguments);
    va_end(arguments);
    int32_t answer = tv_host_reject(reason, length);
    if (answer != TV_ABI_OK) return TV_FAILED;
    tv_sdk.pending_from = tv_sdk.pending_bytes = 0;
    tv_sdk.emitted = tv_sdk.refused = false;
    return TV_OK;
}
