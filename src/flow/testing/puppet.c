// The component behind the flow's tests: it does what the record says.
//
// A payload that begins with '!' is a script of commands, each closed by ';'; any other payload is emitted on port 0
// as it came, with its attributes. Scripts for the other calls come from the configuration (on_init, on_resume,
// on_tick, on_close, pull.0, pull.1, ...). Output that finds no room is kept and emitted in tv_resume. Only the
// contract's header is used, no SDK, so that what is tested is the host.
//
//   e<port>:<text>  emit text            n<port>:<count>  emit count records "0", "1", ...
//   b<port>:<size>  emit size bytes      t<time>, k<key>  event time, key of what follows
//   w<time>         emit a watermark     r<reason>        reject this record
//   i<index>        store record_index   z<result>        return this from the call, at once
//   s<delay>        timer_set            c<name>          counter(name) + 1
//   g<path>         emit config value    a<name>          emit an asset
//   o<text>         log                  G<pages>         memory.grow
//   m<count>        answer MORE so often v                emit how many records this instance has seen
//   K<count>        as if it had seen so many
//   y               emit the time of arrival
//   q               emit clock 1         ?                emit the answer of the last import
//   A<count>        ask for clock 0 so often, which tests let cost time
//   T, L, S, P      trap; spin; exhaust the stack; hand a wild pointer to emit
#include "torvyn/abi.h"

#define IMPORT(name) __attribute__((import_module(TV_ABI_IMPORT_MODULE), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

IMPORT("emit") int32_t host_emit(const tv_emit_request *request);
IMPORT("log") void host_log(int32_t level, const char *text, uint32_t length);
IMPORT("config_get") int32_t host_config_get(const char *path, uint32_t length, char *out, uint32_t capacity);
IMPORT("asset_read")
int32_t host_asset_read(const char *name, uint32_t length, int64_t offset, char *out, uint32_t capacity);
IMPORT("counter") int32_t host_counter(const char *name, uint32_t length);
IMPORT("counter_add") int32_t host_counter_add(int32_t counter, int64_t delta);
IMPORT("reject") int32_t host_reject(const char *reason, uint32_t length);
IMPORT("timer_set") int32_t host_timer_set(int64_t delay_ns);
#if defined(PUPPET_CLOCK)
IMPORT("clock") int64_t host_clock(int32_t id);
#else
static int64_t host_clock(int32_t id) { return id; }
#endif

#if defined(PUPPET_STATELESS) || defined(PUPPET_KEYED)
#define PUPPET_SHARED 1
#endif
#if defined(PUPPET_KEYED)
__asm__(".section .custom_section." TV_ABI_SECTION ",\"\",@\n.ascii \"state=keyed\\nstate_bytes=16\\n\"\n");
#endif
#if defined(PUPPET_STATELESS)
__asm__(".section .custom_section." TV_ABI_SECTION ",\"\",@\n.ascii \"state=none\\n\"\n");
#endif
__asm__(".section .custom_section." TV_ABI_SECTION ",\"\",@\n"
        ".ascii \"name=puppet\\nversion=1\\nrole=processor\\nmax_output=1024\\nports=out,alerts,rest\\n\"\n");

enum { ARENA_BYTES = 1 << 16, PENDING_MAX = 2048, PENDING_TEXT_BYTES = 1 << 17, TEXT_BYTES = 4096 };

static _Alignas(8) uint8_t arena[ARENA_BYTES];
static tv_batch *batch;

typedef struct pending_emit {
    tv_emit_request request;
} pending_emit;
static pending_emit pending[PENDING_MAX];
static uint32_t pending_count, pending_text;
static char pending_bytes[PENDING_TEXT_BYTES];

static int64_t event_time_ns, last;
static uint64_t key;
static uint8_t flags;
static int32_t more_count, result;
static int has_result;
#if defined(PUPPET_KEYED)
static _Alignas(8) uint32_t here[4];
#define seen here[0]
EXPORT("tv_state") uint32_t tv_state(void) { return (uint32_t)(uintptr_t)here; }
#else
static uint32_t seen;
#endif
#if !defined(PUPPET_SHARED)
static uint32_t pulls;
#endif
static char scratch[TEXT_BYTES];

// ---- text ---------------------------------------------------------------------------------------------------

static uint32_t length_of(const char *text) {
    uint32_t length = 0;
    while (text[length])
        length++;
    return length;
}

static uint32_t number_to_text(int64_t number, char *out) {
    char digits[24];
    uint32_t count = 0, length = 0;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (number < 0) out[length++] = '-';
    while (count)
        out[length++] = digits[--count];
    return length;
}

static int64_t text_to_number(const char *text, uint32_t length) {
    int negative = length > 0 && text[0] == '-';
    uint64_t number = 0;
    for (uint32_t i = negative ? 1 : 0; i < length && text[i] >= '0' && text[i] <= '9'; i++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    return (int64_t)(negative ? 0 - number : number);
}

// ---- output -------------------------------------------------------------------------------------------------

static void keep(const tv_emit_request *request) {
    if (pending_count == PENDING_MAX || pending_text + request->payload_bytes > PENDING_TEXT_BYTES) __builtin_trap();
    __builtin_memcpy(pending_bytes + pending_text, (const void *)request->payload, request->payload_bytes);
    pending[pending_count].request = *request;
    pending[pending_count].request.payload = (tv_guest_pointer)(pending_bytes + pending_text);
    pending[pending_count++].request.flags = 0;
    pending_text += request->payload_bytes;
}

static void emit(uint16_t port, uint8_t kind, const char *payload, uint32_t length) {
    tv_emit_request request = {
        .event_time_ns = event_time_ns,
        .key = key,
        .payload = (tv_guest_pointer)payload,
        .payload_bytes = length,
        .port = port,
        .kind = kind,
        .flags = flags,
    };
    last = pending_count ? TV_ABI_FULL : host_emit(&request);
    if (last == TV_ABI_FULL) keep(&request);
}

static int32_t with_more(int32_t answer) {
    if (more_count > 0) {
        more_count--;
        return answer | TV_ABI_MORE;
    }
    return pending_count ? answer | TV_ABI_MORE : answer;
}

// ---- commands -----------------------------------------------------------------------------------------------

static volatile uint32_t depth_now, depth_end = UINT32_MAX;

// Frames on the engine's stack only: those in linear memory would overwrite data before the stack is exhausted.
__attribute__((noinline)) static uint32_t descend(uint32_t depth) {
    depth_now = depth;
    if (depth == depth_end) return 0;
    uint32_t deeper = descend(depth + 1);
    depth_now = depth;
    return deeper + 1;
}

static void spin(void) {
    for (volatile uint32_t turns = 0;; turns++) {
    }
}

static void emit_number(int64_t number) { emit(0, TV_KIND_DATA, scratch, number_to_text(number, scratch)); }

static void emit_many(uint16_t port, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        emit(port, TV_KIND_DATA, scratch, number_to_text(i, scratch));
}

static void emit_bytes(uint16_t port, int64_t size) {
    __builtin_memset(scratch, 'x', TEXT_BYTES);
    emit(port, TV_KIND_DATA, scratch, (uint32_t)size);
}

static void emit_answer(int32_t length) {
    last = length;
    if (length >= 0 && length <= TEXT_BYTES) emit(0, TV_KIND_DATA, scratch, (uint32_t)length);
}

static void count(const char *name, uint32_t length) {
    last = host_counter(name, length);
    if (last >= 0) last = host_counter_add((int32_t)last, 1);
}

static void ask_time(int64_t times) {
    for (int64_t i = 0; i < times; i++)
        last = host_clock(TV_CLOCK_REALTIME);
}

static void wild(void) {
    tv_emit_request request = {.payload = 0xfffffff0u, .payload_bytes = 64};
    last = host_emit(&request);
}

// Commands of one letter and a text or number.
static void command_plain(char letter, const char *text, uint32_t length) {
    int64_t number = text_to_number(text, length);
    switch (letter) {
    case 't': event_time_ns = number; break;
    case 'k': key = (uint64_t)number; break;
    case 'w': {
        int64_t kept = event_time_ns;
        event_time_ns = number;
        emit(TV_PORT_ALL, TV_KIND_WATERMARK, "", 0);
        event_time_ns = kept;
        break;
    }
    case 'r': last = host_reject(text, length); break;
    case 'i': ((volatile tv_batch *)batch)->record_index = (uint32_t)number; break;
    case 'z':
        result = (int32_t)number;
        has_result = 1;
        break;
    case 's': last = host_timer_set(number); break;
    case 'c': count(text, length); break;
    case 'g': emit_answer(host_config_get(text, length, scratch, TEXT_BYTES)); break;
    case 'a': emit_answer(host_asset_read(text, length, 0, scratch, TEXT_BYTES)); break;
    case 'o': host_log(TV_LOG_INFO, text, length); break;
    case 'G': last = (int64_t)(int32_t)__builtin_wasm_memory_grow(0, (uint32_t)number); break;
    case 'm': more_count = (int32_t)number; break;
    case 'v': emit_number(seen); break;
    case 'K': seen = (uint32_t)number; break;
    case 'q': emit_number(host_clock(TV_CLOCK_MONOTONIC)); break;
    case 'y': emit_number(((const tv_batch *)batch)->arrival_ns); break;
    case '?': emit_number(last); break;
    case 'A': ask_time(number); break;
    case 'T': __builtin_trap();
    case 'L': spin(); break;
    case 'S': last = descend(0); break;
    case 'P': wild(); break;
    default: __builtin_trap();
    }
}

static void command(const char *text, uint32_t length) {
    char letter = text[0];
    if (length > 2 && text[2] == ':' && (letter == 'e' || letter == 'n' || letter == 'b')) {
        uint16_t port = (uint16_t)(text[1] - '0');
        if (letter == 'e') emit(port, TV_KIND_DATA, text + 3, length - 3);
        if (letter == 'n') emit_many(port, text_to_number(text + 3, length - 3));
        if (letter == 'b') emit_bytes(port, text_to_number(text + 3, length - 3));
        return;
    }
    command_plain(letter, text + 1, length - 1);
}

static void run_script(const char *text, uint32_t length) {
    uint32_t begin = 0;
    for (uint32_t i = 0; i < length && !has_result; i++) {
        if (text[i] != ';') continue;
        if (i > begin) command(text + begin, i - begin);
        begin = i + 1;
    }
}

static void begin_call(void) {
    event_time_ns = TV_NO_EVENT_TIME;
    key = 0;
    flags = 0;
    has_result = 0;
}

static int32_t end_call(int32_t answer) { return has_result ? result : with_more(answer); }

// Runs the script that the configuration has at `path`; false if there is none.
static int run_configured(const char *path, uint32_t length) {
    static char script[TEXT_BYTES];
    int32_t got = host_config_get(path, length, script, TEXT_BYTES);
    if (got < 0 || got > TEXT_BYTES) return 0;
    run_script(script, (uint32_t)got);
    return 1;
}

static int run_for(const char *path) { return run_configured(path, length_of(path)); }

// ---- exports ------------------------------------------------------------------------------------------------

EXPORT("torvyn_abi_1") void torvyn_abi_1(void) {}

EXPORT("tv_arena") uint32_t tv_arena(uint32_t size) {
    batch = (tv_batch *)(void *)arena;
    return size <= ARENA_BYTES ? (uint32_t)(uintptr_t)arena : 0;
}

EXPORT("tv_init") int32_t tv_init(void) {
    begin_call();
    run_for("on_init");
    return has_result ? result : 0;
}

static void process_record(const tv_record *record) {
    const char *payload = (const char *)(record + 1) + record->attributes_bytes;
    if (record->kind == TV_KIND_WATERMARK) {
        if (host_config_get("on_watermark", 12, scratch, 0) >= 0) run_for("on_watermark");
        return;
    }
    seen++;
    event_time_ns = record->event_time_ns;
    key = record->key;
    flags = TV_FLAG_INHERIT_ATTRIBUTES;
    if (record->payload_bytes > 0 && payload[0] == '!')
        run_script(payload + 1, record->payload_bytes - 1);
    else
        emit(0, TV_KIND_DATA, payload, record->payload_bytes);
}

EXPORT("tv_process") int32_t tv_process(uint32_t record_count) {
    const tv_record *record = (const tv_record *)(const void *)(batch + 1);
    begin_call();
    for (uint32_t index = 0; index < record_count; index++) {
        batch->record_index = index;
        process_record(record);
        if (has_result) return result;
        if (pending_count || more_count) return with_more((int32_t)index + 1);
        record = (const tv_record *)(const void *)((const uint8_t *)record + record->size_bytes);
    }
    return (int32_t)record_count;
}

#if !defined(PUPPET_SHARED)
EXPORT("tv_pull") int32_t tv_pull(uint32_t max) {
    (void)max;
    char path[16] = "pull.";
    begin_call();
    if (!run_configured(path, 5 + number_to_text(pulls++, path + 5))) return TV_ABI_END;
    return end_call(0);
}
#endif

#if !defined(PUPPET_BARE)
static uint32_t pending_from;

static void flush(void) {
    while (pending_from < pending_count) {
        if (host_emit(&pending[pending_from].request) == TV_ABI_FULL) return;
        pending_from++;
    }
    pending_from = pending_count = pending_text = 0;
}

EXPORT("tv_resume") int32_t tv_resume(void) {
    begin_call();
    flush();
    if (!pending_count && !more_count) run_for("on_resume");
    return end_call(0);
}

#if !defined(PUPPET_STATELESS)
EXPORT("tv_tick") int32_t tv_tick(int64_t now_ns) {
    begin_call();
    last = now_ns;
    run_for("on_tick");
    return end_call(0);
}

EXPORT("tv_close") int32_t tv_close(void) {
    begin_call();
    run_for("on_close");
    return end_call(0);
}
#endif
#endif
