// What the tests of this module share: an executable that also serves as compiler, an engine over a folder that goes
// away, modules compiled from wat/, and an owner that records what a guest asks for.
#ifndef TORVYN_WASM_TEST_SUPPORT_H
#define TORVYN_WASM_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "wasm/wasm.h"

// The test library takes SIGSEGV, SIGILL and SIGFPE by signal(3) at the start of every test, and with them the engine's
// traps. The engine itself uses sigaction(2), so signal does nothing in these tests.
typedef void tv_test_handler(int number);
tv_test_handler *tv_test_no_signal(int number, tv_test_handler *handler) __asm__("signal");
#define TV_WASM_TEST_KEEP_SIGNALS                                                                                      \
    __attribute__((visibility("default"))) tv_test_handler *tv_test_no_signal(int number, tv_test_handler *handler) {  \
        (void)number, (void)handler;                                                                                   \
        return NULL; /* SIG_DFL */                                                                                     \
    }

// Defines main: serves `__compile`, else runs the tests (an array of struct CMUnitTest).
#define TV_WASM_TEST_MAIN(tests)                                                                                       \
    TV_WASM_TEST_KEEP_SIGNALS                                                                                          \
    int main(int argc, char **argv) {                                                                                  \
        if (argc > 1 && strcmp(argv[1], "__compile") == 0) return tv_compile_child_main(argc, argv);                   \
        tv_log_configure(TV_LEVEL_ERROR, false);                                                                       \
        tv_test_folder_init();                                                                                         \
        int failed = cmocka_run_group_tests(tests, NULL, NULL);                                                        \
        tv_test_folder_deinit();                                                                                       \
        return failed;                                                                                                 \
    }

void tv_test_folder_init(void);
void tv_test_folder_deinit(void);
// A path inside the test's own folder; valid until the sixteenth call after it.
const char *tv_test_path(const char *name);
// Path of the module made from wat/<name>.wat.
const char *tv_test_module(const char *name);

tv_engine *tv_test_engine(tv_memory_mode mode);
tv_module *tv_test_load(tv_engine *engine, const char *name);

// Records calls of the imports and answers what it is told.
typedef struct tv_test_owner {
    unsigned emits, rejects, logs, ticks;
    tv_emit last_emit;                    // pointers of the last emit are not valid any more
    char payload[64];                     // its beginning
    char text[TV_LOG_TEXT_BYTES_MAX + 1]; // of the last log line or rejection
    size_t text_length;
    int32_t level;
    int32_t answer; // of emit, reject, timer_set, counter, counter_add
    int64_t timer_ns;
    int64_t delta;
    unsigned ticks_allowed; // on_tick answers false after so many
    void (*on_tick)(struct tv_test_owner *owner);
    void *on_tick_data;
} tv_test_owner;

extern const tv_guest_imports tv_test_imports;

// Makes an instance of a module with all grants; fails the test if it cannot.
tv_instance *tv_test_instance(tv_module *module, tv_test_owner *owner, uint64_t memory_bytes);

// Operations of wat/kit.wat, in the order of its table.
enum tv_kit_operation {
    KIT_NOTHING,
    KIT_ABORT,
    KIT_DIVIDE,
    KIT_LOAD,
    KIT_RECURSE,
    KIT_SPIN,
    KIT_GROW,
    KIT_ANSWER,
    KIT_CALL_POINTER,
    KIT_FILL,
    KIT_GROW_TABLE,
    KIT_SIZE,
    KIT_TO_INTEGER,
    KIT_STORE,
    KIT_FIRST_SET,
    KIT_WRONG_TYPE,
    KIT_NAN,
    KIT_EMIT,
    KIT_LOG,
    KIT_CLOCK,
    KIT_CONFIG_GET,
    KIT_ASSET_SIZE,
    KIT_ASSET_READ,
    KIT_COUNTER,
    KIT_COUNTER_ADD,
    KIT_REJECT,
    KIT_TIMER_SET,
    KIT_ARGS_SIZES_GET,
    KIT_ARGS_GET,
    KIT_FD_WRITE,
    KIT_FD_CLOSE,
    KIT_FD_SEEK,
    KIT_FD_FDSTAT_GET,
    KIT_FD_PRESTAT_GET,
    KIT_POLL_ONEOFF,
    KIT_PROC_EXIT,
    KIT_CLOCK_TIME_GET,
    KIT_CLOCK_RES_GET,
    KIT_RANDOM_GET,
    KIT_SCHED_YIELD,
    KIT_PATH_OPEN,
    KIT_DESCEND,
};

// Guest memory of a kit instance at an address from 1024 on (its arena).
void *tv_kit_memory(tv_instance *instance, uint32_t address);
void tv_kit_argument(tv_instance *instance, unsigned index, uint32_t value);
// Runs an operation by tv_tick, with up to six i32 arguments.
tv_status tv_kit_run(tv_instance *instance, enum tv_kit_operation operation, tv_fault *fault, unsigned count, ...);
int64_t tv_kit_result(tv_instance *instance);
// Runs it through another export, which reads the operation from memory.
tv_status tv_kit_run_in(tv_instance *instance, tv_export which, enum tv_kit_operation operation, int32_t *result,
                        tv_fault *fault);

// A module's bytes, section by section.
typedef struct tv_builder {
    uint8_t bytes[1 << 16];
    size_t length;
} tv_builder;
void tv_builder_init(tv_builder *builder);
// Adds a section with that content; SECTION adds one from a list of bytes.
void tv_builder_section(tv_builder *builder, uint8_t id, const void *content, size_t length);
#define TV_SECTION(builder, id, ...)                                                                                   \
    tv_builder_section(builder, id, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
// The smallest component: types, functions, memory, exports, code.
void tv_builder_component(tv_builder *builder);

#endif
