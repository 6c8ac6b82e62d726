// The component of the simulation: does with each record what behaviour.h says, in a few hundred nanoseconds.
//
// Reading the realtime clock is what takes time here: the simulation moves its virtual clock and gives epoch ticks from
// within that import, so that a CPU budget ends at the same place in every run. Output that finds no room, or is held
// back on purpose, is kept and emitted in tv_resume before anything else is taken in.
//
// Three builds: with state of its own; without state (ACTOR_STATELESS); with keyed state (ACTOR_KEYED), in which it
// keeps whose it is, so that the state of one flow that shows in another is a trap nobody expects.
#include "behaviour.h"
#include "torvyn/abi.h"

#define IMPORT(name) __attribute__((import_module(TV_ABI_IMPORT_MODULE), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

IMPORT("emit") int32_t host_emit(const tv_emit_request *request);
IMPORT("config_get") int32_t host_config_get(const char *path, uint32_t length, char *out, uint32_t capacity);
IMPORT("reject") int32_t host_reject(const char *reason, uint32_t length);
IMPORT("timer_set") int32_t host_timer_set(int64_t delay_ns);
IMPORT("clock") int64_t host_clock(int32_t id);

#if defined(ACTOR_STATELESS)
#define STATE "state=none\\n"
#elif defined(ACTOR_KEYED)
#define STATE "state=keyed\\nstate_bytes=16\\n"
#else
#define STATE ""
#endif
__asm__(".section .custom_section." TV_ABI_SECTION ",\"\",@\n"
        ".ascii \"name=actor\\nversion=1\\nrole=processor\\nmax_output=384\\nports=a,b,c\\n" STATE "\"\n");

enum { ARENA_BYTES = 20 << 10, PENDING_MAX = 128, TEXT_BYTES = 512 };

typedef struct pending_record {
    sim_payload payload;
    int64_t event_time_ns;
    uint32_t port;
} pending_record;

static _Alignas(8) uint8_t arena[ARENA_BYTES];
static tv_batch *batch;
static sim_profile profile;
static pending_record pending[PENDING_MAX];
static uint32_t pending_from, pending_count;
static uint32_t incarnation, made, pulled, timers_left;
static int held; // output is kept back though there may be room
static _Alignas(8) uint8_t scratch[sizeof(sim_payload) + SIM_FILLER_MAX];

#if defined(ACTOR_KEYED)
static _Alignas(8) struct {
    uint32_t flow, stage_salt;
    uint64_t records;
} keyed;
#endif

// ---- output -------------------------------------------------------------------------------------------------

static int32_t send(const pending_record *record) {
    __builtin_memcpy(scratch, &record->payload, sizeof record->payload);
    __builtin_memset(scratch + sizeof record->payload, (int)record->payload.seed, record->payload.filler_bytes);
    tv_emit_request request = {
        .event_time_ns = record->event_time_ns,
        .payload = (tv_guest_pointer)scratch,
        .payload_bytes = sizeof record->payload + record->payload.filler_bytes,
        .port = (uint16_t)record->port,
        .kind = TV_KIND_DATA,
    };
    return host_emit(&request);
}

static void emit(const pending_record *record) {
    if (!held && pending_from == pending_count) {
        int32_t answer = send(record);
        if (answer == TV_ABI_OK) return;
        if (answer != TV_ABI_FULL) __builtin_trap();
    }
    if (pending_count == PENDING_MAX) __builtin_trap();
    pending[pending_count++] = *record;
}

static void flush(void) {
    held = 0;
    while (pending_from < pending_count) {
        int32_t answer = send(&pending[pending_from]);
        if (answer == TV_ABI_FULL) return;
        if (answer != TV_ABI_OK) __builtin_trap();
        pending_from++;
    }
    pending_from = pending_count = 0;
}

static int32_t with_more(int32_t answer) { return pending_from < pending_count ? answer | TV_ABI_MORE : answer; }

// A record of the stage's own.
static void emit_own(void) {
    pending_record record = {.event_time_ns = TV_NO_EVENT_TIME};
    made++;
    sim_payload own = {.magic = SIM_MAGIC,
                       .flow = profile.flow,
                       .source = SIM_BY_STAGE | profile.stage,
                       .incarnation = incarnation,
                       .sequence = made,
                       .seed = sim_mix(made, profile.salt)};
    record.port = sim_output_of(&profile, &own, 0, 0, &record.payload);
    emit(&record);
}

static void emit_watermark(int64_t event_time_ns) {
    if (event_time_ns == TV_NO_EVENT_TIME) return;
    tv_emit_request request = {.event_time_ns = event_time_ns, .port = TV_PORT_ALL, .kind = TV_KIND_WATERMARK};
    (void)host_emit(&request); // a watermark that finds no room is one less
}

// ---- time ---------------------------------------------------------------------------------------------------

static void burn(uint32_t readings) {
    if (readings == 0) return;
    (void)host_clock(TV_CLOCK_MONOTONIC); // the simulation's steps begin small again
    for (uint32_t i = 0; i < readings; i++)
        (void)host_clock(TV_CLOCK_REALTIME);
}

static void spin(void) {
    for (;;)
        (void)host_clock(TV_CLOCK_REALTIME);
}

static void set_timer(void) { (void)host_timer_set((int64_t)profile.timer_us * 1000); }

// ---- records ------------------------------------------------------------------------------------------------

static void emit_copies(const sim_payload *in, const tv_record *record, uint32_t copies) {
    for (uint32_t copy = 0; copy < copies; copy++) {
        pending_record out = {.event_time_ns = record->event_time_ns};
        out.port = sim_output_of(&profile, in, record->port, copy, &out.payload);
        emit(&out);
    }
}

// Whose state it is, it knows from the first record on.
static void check_keyed(const sim_payload *in) {
#if defined(ACTOR_KEYED)
    if (keyed.records++ == 0) {
        keyed.flow = in->flow;
        keyed.stage_salt = profile.salt;
    }
    if (keyed.flow != in->flow || keyed.stage_salt != profile.salt) __builtin_trap();
#endif
    (void)in;
}

static void act_on(const tv_record *record) {
    sim_payload in;
    if (record->kind != TV_KIND_DATA) return;
    __builtin_memcpy(&in, (const uint8_t *)(record + 1) + record->attributes_bytes, sizeof in);
    if (in.magic != SIM_MAGIC || in.check != sim_check_of(&in)) __builtin_trap();
    check_keyed(&in);
    sim_act act = sim_act_of(&profile, &in);
    burn(act.burns);
    held |= (int)act.hold;
    if (act.outcome == SIM_PASS || act.late) emit_copies(&in, record, act.copies);
    switch (act.outcome) {
    case SIM_PASS: break;
    case SIM_TRAP: __builtin_trap();
    case SIM_SPIN: spin(); break;
    case SIM_REJECT:
        // What it emitted is taken back by the host; what it kept itself is its own to forget.
        pending_from = pending_count = 0;
        if (host_reject("no", 2) != TV_ABI_OK) __builtin_trap();
        break;
    }
    if (act.timer) {
        timers_left = 4;
        set_timer();
    }
    if (act.watermark) emit_watermark(record->event_time_ns);
    if (act.grow) (void)__builtin_wasm_memory_grow(0, 1);
}

// ---- exports ------------------------------------------------------------------------------------------------

EXPORT("torvyn_abi_1") void torvyn_abi_1(void) {}

EXPORT("tv_arena") uint32_t tv_arena(uint32_t size) {
    batch = (tv_batch *)(void *)arena;
    return size <= ARENA_BYTES ? (uint32_t)(uintptr_t)arena : 0;
}

static void read_profile(const char *text, int32_t length) {
    uint32_t *numbers = (uint32_t *)(void *)&profile;
    uint32_t at = 0;
    for (int32_t i = 0; i < length && at < SIM_PROFILE_NUMBERS; i++) {
        if (text[i] == ' ')
            at++;
        else
            numbers[at] = numbers[at] * 10 + (uint32_t)(text[i] - '0');
    }
}

EXPORT("tv_init") int32_t tv_init(void) {
    static char text[TEXT_BYTES];
    int32_t length = host_config_get("profile", 7, text, TEXT_BYTES);
    if (length <= 0 || length > TEXT_BYTES) return TV_ABI_FAILED;
    read_profile(text, length);
    (void)host_clock(TV_CLOCK_REALTIME); // two instances of a stage never begin at the same time
    incarnation = (uint32_t)(host_clock(TV_CLOCK_MONOTONIC) / 1000);
    return 0;
}

EXPORT("tv_process") int32_t tv_process(uint32_t record_count) {
    const tv_record *record = (const tv_record *)(const void *)(batch + 1);
    for (uint32_t index = 0; index < record_count; index++) {
        batch->record_index = index;
        act_on(record);
        if (pending_from < pending_count) return with_more((int32_t)index + 1);
        held = 0;
        record = (const tv_record *)(const void *)((const uint8_t *)record + record->size_bytes);
    }
    return (int32_t)record_count;
}

#if defined(ACTOR_KEYED)
EXPORT("tv_state") uint32_t tv_state(void) { return (uint32_t)(uintptr_t)&keyed; }
#endif

#if !defined(ACTOR_STATELESS) && !defined(ACTOR_KEYED)
// Sometimes nothing, sometimes a burst, sometimes a timer, after which the source is asked again.
EXPORT("tv_pull") int32_t tv_pull(uint32_t max) {
    if (pulled >= profile.source_total) return TV_ABI_END;
    uint32_t dice = sim_mix(pulled + 1, (uint32_t)host_clock(TV_CLOCK_MONOTONIC));
    if (dice % 8 == 0) return 0;
    if (dice % 8 == 1) {
        set_timer();
        return 0;
    }
    uint32_t wanted = 1 + dice / 8 % profile.source_burst;
    for (uint32_t i = 0; i < wanted && i < max && pulled < profile.source_total; i++, pulled++)
        emit_own();
    return with_more(0);
}

#endif

EXPORT("tv_resume") int32_t tv_resume(void) {
    flush();
    return with_more(0);
}

#if !defined(ACTOR_STATELESS)
EXPORT("tv_tick") int32_t tv_tick(int64_t now_ns) {
    (void)now_ns;
    for (uint32_t i = 0; i < profile.tick_emits; i++)
        emit_own();
    if (timers_left) {
        timers_left--;
        set_timer();
    }
    return with_more(0);
}

EXPORT("tv_close") int32_t tv_close(void) {
    for (uint32_t i = 0; i < profile.close_emits; i++)
        emit_own();
    return with_more(0);
}
#endif
