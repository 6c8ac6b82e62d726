// wasm: the engine behind the component contract (docs/contract.md). The only module that includes the engine's
// headers.
//
// An engine per process; a module per digest, shared; an instance per stage. Compilation runs in a child process
// (tv_compile_child_main) and its result is kept in a cache folder that only we write. Linear memories lie in one
// arena of ours, which decides and counts their growth. All calls into a guest are plain synchronous calls on the
// caller's stack; what a guest does wrong ends as TV_FAULT with a tv_fault, never as an assertion.
#ifndef TORVYN_WASM_WASM_H
#define TORVYN_WASM_WASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "torvyn/abi.h"

typedef struct tv_engine tv_engine;
typedef struct tv_module tv_module;
typedef struct tv_instance tv_instance;

// ---- engine -------------------------------------------------------------------------------------------------

typedef enum tv_memory_mode {
    TV_MEMORY_GUARD,   // 4 GiB of address space and guard pages each: bounds checks cost nothing
    TV_MEMORY_COMPACT, // address space of the budget only: explicit bounds checks
} tv_memory_mode;

typedef struct tv_engine_options {
    const char *cache_dir;     // compiled modules; NULL: $XDG_CACHE_HOME/torvyn/modules or ~/.cache/torvyn/modules
    const char *compiler_path; // executable that serves `__compile`; NULL: /proc/self/exe
    tv_memory_mode memory_mode;
    uint32_t memories_max;             // most linear memories at a time; 0: 1000
    uint64_t memory_bytes_max;         // most guest memory committed in all, bytes; 0: no limit of its own
    uint32_t wasm_stack_bytes;         // 0: 256 KiB
    uint64_t compile_memory_bytes_max; // of the compiling child; 0: 1 GiB
    uint32_t compile_seconds_max;      // 0: 60
} tv_engine_options;

// Counters of the memory arena. All grow only, except *_now.
typedef struct tv_arena_stats {
    uint64_t memories_now, memories_total;
    uint64_t committed_bytes_now; // accessible to guests
    uint64_t reserved_bytes_now;  // address space
    uint64_t grow_count, grow_refused_count;
    uint64_t grown_bytes_now;    // since the components began
    uint64_t grow_limited_count; // of grow_refused_count: by tv_engine_limit_growth
} tv_arena_stats;

// Opens the engine. Errors: NO_MEMORY, LIMIT (address space or map count cannot carry memories_max), DENIED (cache
// folder belongs to somebody else or others may write it). A cache folder that cannot be made or written costs a
// warning in the log and a compilation at each start.
tv_status tv_engine_new(const tv_engine_options *options, tv_engine **out, tv_error *error);
// Every module and instance must be gone. NULL is allowed.
void tv_engine_free(tv_engine *engine);
// One epoch tick: running guests call their on_tick soon after. Any thread; does not block.
void tv_engine_tick(tv_engine *engine);
// All guests together may grow by `total_bytes` beyond what each had when its instance was made, and by `soon_bytes`
// until the next call; beyond it memory.grow answers -1. UINT64_MAX, as it begins: only their own budgets hold. Any
// thread.
void tv_engine_limit_growth(tv_engine *engine, uint64_t total_bytes, uint64_t soon_bytes);
void tv_engine_arena_stats(const tv_engine *engine, tv_arena_stats *stats);
// "wasmtime 48.0.8", for `torvyn version` and cache keys.
const char *tv_engine_version(void);
// Stack a worker thread needs to carry `levels` nested guest calls, bytes.
size_t tv_engine_thread_stack_bytes(const tv_engine *engine, unsigned levels);

// ---- modules ------------------------------------------------------------------------------------------------

typedef enum tv_role {
    TV_ROLE_SOURCE,
    TV_ROLE_PROCESSOR,
    TV_ROLE_FILTER,
    TV_ROLE_ROUTER,
    TV_ROLE_AGGREGATOR,
    TV_ROLE_SINK,
} tv_role;
const char *tv_role_name(tv_role role);

// Where a component keeps what it knows between calls (contract 1.7).
typedef enum tv_keeping {
    TV_KEEPS_OWN,     // in its instance: a stage needs one of its own
    TV_KEEPS_NOTHING, // nowhere: an instance may serve the stages of several flows (5.4)
    TV_KEEPS_KEYED,   // in one block a stage, which the host can exchange between calls: likewise
} tv_keeping;
const char *tv_keeping_name(tv_keeping keeping);

enum tv_grant { TV_GRANT_CLOCK = 1, TV_GRANT_RANDOM = 2 };

typedef struct tv_import_info {
    char module[TV_NAME_BYTES_MAX + 1];
    char name[TV_NAME_BYTES_MAX + 1];
    uint32_t grant; // the enum tv_grant it needs; 0 = none
} tv_import_info;

enum { TV_MODULE_IMPORTS_MAX = 128 };

// What can be known of a module without running it.
typedef struct tv_module_info {
    char digest[65]; // SHA-256 of the file, hex
    uint64_t file_bytes;
    bool described;                   // has the custom section
    char name[TV_NAME_BYTES_MAX + 1]; // "" if not described
    char version[TV_NAME_BYTES_MAX + 1];
    tv_role role;
    tv_keeping keeping;
    uint32_t state_bytes; // KEYED: of the block
    uint32_t max_output_bytes;
    uint32_t port_count;
    char ports[TV_PORTS_MAX][TV_NAME_BYTES_MAX + 1];
    uint32_t optional_ports; // bit 1 << port: it may lead nowhere
    uint64_t memory_initial_bytes;
    uint64_t memory_maximum_bytes; // UINT64_MAX = not said
    uint64_t table_bytes;          // of its tables, as they begin
    uint64_t table_bytes_max;      // as large as they may grow: beside the linear memory and its budget
    uint32_t grants_needed;        // sum of enum tv_grant
    bool has_process, has_pull, has_tick, has_resume, has_close, has_init;
    uint32_t import_count;
    tv_import_info imports[TV_MODULE_IMPORTS_MAX];
} tv_module_info;

// Reads and checks a module's bytes against the contract (sections 1, 4, 7), without engine or compiler.
// INVALID or UNSUPPORTED with a message that names the section that is broken. Pure; allocates nothing.
tv_status tv_module_inspect(const uint8_t *bytes, size_t length, tv_module_info *info, tv_error *error);
// The same for a file; *bytes (heap, the caller's to free) may be NULL if not wanted.
tv_status tv_module_inspect_file(const char *path, tv_module_info *info, uint8_t **bytes, size_t *length,
                                 tv_error *error);

// Whether the code of a module is valid by the rules that loading it has, found by a child as compiling is
// (/proc/self/exe must serve `__compile`), within a minute and 1 GiB. Blocks. INVALID, UNSUPPORTED, LIMIT or IO.
tv_status tv_module_validate(const uint8_t *bytes, size_t length, tv_error *error);

// Loads a module: inspects it, takes the compiled form from the cache or has it compiled in a child, and
// deserializes it. A digest already loaded is shared. Blocks while compiling: never on a worker thread.
tv_status tv_module_load(tv_engine *engine, const char *path, tv_module **out, tv_error *error);
tv_module *tv_module_ref(tv_module *module);
void tv_module_unref(tv_module *module); // NULL is allowed
const tv_module_info *tv_module_get_info(const tv_module *module);
// Whether the load found it in the cache (for reports).
bool tv_module_was_cached(const tv_module *module);

// Entry point of the compiling child: `torvyn __compile`. Reads the module from standard input, writes the
// compiled form to standard output, drops rights first. Returns the exit code.
int tv_compile_child_main(int argc, char **argv);

// ---- instances ----------------------------------------------------------------------------------------------

// An emit whose pointers have been checked and translated. `attributes` and `payload` point into guest memory.
typedef struct tv_emit {
    const uint8_t *payload;
    const uint8_t *attributes;
    int64_t event_time_ns;
    uint64_t key;
    uint32_t payload_bytes;
    uint16_t attributes_bytes;
    uint16_t port;
    uint8_t kind;
    uint8_t flags;
} tv_emit;

// What the owner of an instance serves to it. All called on the thread that called into the guest; none may block
// or call into the same instance. Results are TV_ABI_* codes. Pointers are valid during the call only.
typedef struct tv_guest_imports {
    int32_t (*emit)(void *user, const tv_emit *emit);
    int32_t (*forward)(void *user, int32_t port);
    int32_t (*reject)(void *user, const char *reason, size_t length);
    int32_t (*timer_set)(void *user, int64_t delay_ns);
    int64_t (*clock_ns)(void *user, int32_t clock_id);
    void (*log)(void *user, int32_t level, const char *text, size_t length);
    // Sets *value and *value_length (borrowed from the stage's spec), or NOT_FOUND.
    int32_t (*config_get)(void *user, const char *path, size_t length, const char **value, size_t *value_length);
    int32_t (*asset_find)(void *user, const char *name, size_t length, const uint8_t **bytes, uint64_t *size);
    int32_t (*counter)(void *user, const char *name, size_t length);
    int32_t (*counter_add)(void *user, int32_t counter, int64_t delta);
    // Called at epoch ticks while the guest runs. False ends the call as TV_FAULT_CPU.
    bool (*on_tick)(void *user);
} tv_guest_imports;

typedef struct tv_instance_options {
    uint64_t memory_bytes_max;       // budget of the linear memory
    uint32_t batch_bytes;            // largest batch, without the 64-byte head
    uint32_t grants;                 // sum of enum tv_grant
    const tv_guest_imports *imports; // static
    void *user;
} tv_instance_options;

typedef enum tv_fault_reason {
    TV_FAULT_NONE,
    TV_FAULT_TRAP,    // unreachable, division, out of bounds, bad indirect call, ...
    TV_FAULT_STACK,   // call stack exhausted
    TV_FAULT_CPU,     // on_tick ended it
    TV_FAULT_MEMORY,  // initial memory or arena does not fit into the budget
    TV_FAULT_POINTER, // wild pointer or length in an import
    TV_FAULT_EXIT,    // proc_exit
    TV_FAULT_RESULT,  // negative or malformed result
    TV_FAULT_OUTPUT,  // more output for a record than its stage may emit
    TV_FAULT_START,   // start function, _initialize or tv_arena
} tv_fault_reason;
const char *tv_fault_reason_name(tv_fault_reason reason);

typedef struct tv_fault {
    tv_fault_reason reason;
    char message[256];
    char function[128];   // innermost guest function, "" if unknown
    char backtrace[1024]; // one frame a line, innermost first
} tv_fault;

typedef enum tv_export {
    TV_EXPORT_INIT,
    TV_EXPORT_PROCESS,
    TV_EXPORT_RESUME,
    TV_EXPORT_PULL,
    TV_EXPORT_TICK,
    TV_EXPORT_CLOSE,
    TV_EXPORT_COUNT,
} tv_export;

// Makes an instance: linear memory, start function, _initialize, tv_arena. `tv_init` is left to the caller.
// TV_FAULT with *fault filled if the guest failed, DENIED (grant missing), LIMIT or NO_MEMORY otherwise; *error has a
// sentence for each of them.
tv_status tv_instance_new(tv_module *module, const tv_instance_options *options, tv_instance **out, tv_fault *fault,
                          tv_error *error);
// Whom the imports serve from now on: an instance that serves several stages gets another `user` between calls. A
// line that the guest has begun to write on its standard output goes to the log of the earlier one. Not during a call.
void tv_instance_set_user(tv_instance *instance, void *user);
// Not while a call is under way. NULL is allowed.
void tv_instance_free(tv_instance *instance);

// Calls an export. `argument` is the count for PROCESS and PULL, the time for TICK, ignored otherwise. A missing
// optional export answers 0. OK: *result >= 0 is what the guest returned. FAULT: *fault says why, and the instance
// must be freed. Any thread, one at a time; other instances may be called from within on_tick.
tv_status tv_instance_call(tv_instance *instance, tv_export which, int64_t argument, int32_t *result, tv_fault *fault);

// The batch head in guest memory, and room for `batch_bytes` of records behind it. Valid until the instance is freed
// or called.
tv_batch *tv_instance_batch(tv_instance *instance);

// The block of a component with keyed state, state_bytes long, in guest memory; NULL for others. Valid as the batch is.
uint8_t *tv_instance_state(tv_instance *instance);

// Accessible linear memory, bytes, now. Any thread.
uint64_t tv_instance_memory_bytes(const tv_instance *instance);
// Gives the pages of the input arena back to the system; their content is lost. Not during a call. Returns the bytes
// that were resident.
uint64_t tv_instance_trim(tv_instance *instance);

#endif
