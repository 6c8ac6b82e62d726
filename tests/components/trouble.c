// Test component: does what the record says. "trap", "spin", "stack", "memory", "fail" end the call badly,
// "reject" gives the record back, "double" emits it twice; anything else is handed on.
#include <torvyn/torvyn.h>

TV_COMPONENT("trouble", "1.0.0", "processor", 4096);

static int32_t seen;

TV_ON_INIT() {
    seen = tv_counter("seen");
    return TV_OK;
}

__attribute__((noinline)) static int trouble_spin(void) {
    volatile int turns = 0;
    for (;;)
        turns = turns + 1;
}

#ifdef __clang__ // which says what this is for
#pragma clang diagnostic ignored "-Winfinite-recursion"
#endif
__attribute__((noinline)) static int trouble_stack(volatile int *depth) {
    volatile int place[64];
    place[0] = *depth + 1;
    return trouble_stack(place) + place[0];
}

// Takes all the memory there is, and then some.
__attribute__((noinline)) static int trouble_memory(void) {
    for (;;) {
        volatile char *block = tv_allocate(65536);
        if (!block) __builtin_trap();
        block[0] = 1;
    }
}

__attribute__((noinline)) static int trouble_trap(void) { __builtin_trap(); }

static bool is(tv_string text, const char *word) {
    return text.length == strlen(word) && memcmp(text.bytes, word, text.length) == 0;
}

TV_ON_RECORD(record) {
    tv_string text = tv_payload_string(record);
    volatile int depth = 0;
    tv_counter_add(seen, 1);
    if (is(text, "trap")) {
        (void)tv_emit(0, "this is taken back", 18);
        return (tv_result)trouble_trap();
    }
    if (is(text, "spin")) return (tv_result)trouble_spin();
    if (is(text, "stack")) return (tv_result)trouble_stack(&depth);
    if (is(text, "memory")) return (tv_result)trouble_memory();
    if (is(text, "fail")) return TV_FAILED;
    if (is(text, "reject")) return tv_reject("the record says %.*s", (int)text.length, text.bytes);
    if (is(text, "double") && tv_forward(record) != TV_OK) return TV_FAILED;
    return tv_forward(record);
}
