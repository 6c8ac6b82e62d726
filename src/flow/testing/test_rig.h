// A flow on a bench: an engine, a worker without a thread, a virtual clock, channels that the test fills and empties.
//
// Stages and edges are added, then the flow is started; rig_run lets the worker run until nothing is ready and checks
// the conservation laws every time. rig_deinit checks that no guest memory is left. Single-threaded.
#ifndef TORVYN_FLOW_TESTING_TEST_RIG_H
#define TORVYN_FLOW_TESTING_TEST_RIG_H

#include "flow/flow_internal.h"

enum { RIG_CONFIG_MAX = 256, RIG_TEXT_BYTES = 1 << 19 };

typedef struct rig {
    tv_virtual_clock clock;
    const tv_flow_part *part; // of the flow; NULL: none
    tv_letters_policy letters;
    tv_runtime *runtime;
    tv_flow *flow;
    tv_flow_spec spec;
    tv_stage_spec stages[TV_STAGES_MAX];
    tv_edge_spec edges[TV_EDGES_MAX];
    const char *channel_names[TV_CHANNELS_MAX];
    tv_channel *channels[TV_CHANNELS_MAX];
    tv_channel_options channel_options[TV_CHANNELS_MAX];
    tv_channel *dead_letters;
    tv_memory_account memory;
    uint32_t dead_letter_bytes; // of its queue; 0: 64 KiB
    tv_config_entry config[TV_STAGES_MAX][RIG_CONFIG_MAX];
    tv_ready_list ready;
    uint32_t wakes;   // of the I/O thread
    bool with_ticker; // set before the start: guests are ended by their CPU budgets
    tv_error error;
    char text[RIG_TEXT_BYTES]; // what rig_take returns
    uint32_t text_length;      // of it: payloads may hold zero bytes
} rig;

// Once a process, from main: serves `__compile` where the engine starts this executable as its compiler.
// TV_TEST_MEMORY_MODE=compact in the environment chooses the engine's memory mode.
int rig_main(int argc, char **argv, int (*tests)(void));

// The modules, loaded once: the puppet (see puppet.c), without its optional exports, with the import `clock`.
tv_engine *rig_engine(void);
tv_module *rig_puppet(void);
tv_module *rig_puppet_bare(void);
tv_module *rig_puppet_clock(void);
// Says that it keeps no state, though it does count the records that its instance has seen: tests tell by it who
// shares.
tv_module *rig_puppet_stateless(void);
// Keeps that number in its block.
tv_module *rig_puppet_keyed(void);
// Inside a test, before the first call into a component that may trap; rig_try_start does it.
void rig_use_engine_handlers(void);
// A thread that gives the engine's epoch ticks every millisecond, for tests in which guests spin.
void rig_ticks_begin(void);
void rig_ticks_end(void);
// Lets go of engine and modules.
void rig_engine_free(void);

// As cmocka's setup and teardown: *state is the rig.
int rig_setup(void **state);
int rig_teardown(void **state);
#define rig_test(function) cmocka_unit_test_setup_teardown(function, rig_setup, rig_teardown)

void rig_init(rig *bench);
// Flow, runtime and channels are freed; every byte of guest memory must be back.
void rig_deinit(rig *bench);

// A puppet stage with generous limits, to be changed through the pointer before the start.
uint16_t rig_stage(rig *bench, const char *name);
// Adds a line to a stage's configuration; `value` must outlive the bench.
void rig_config(rig *bench, uint16_t stage, const char *path, const char *value);
// Channels of 64 KiB; to be changed through channel_options before the start.
uint16_t rig_channel(rig *bench, const char *name, tv_direction direction);
// An edge of 16 KiB for records of 2 KiB.
tv_edge_spec *rig_edge(rig *bench, uint16_t from, uint16_t port, uint16_t to);
// input -> one puppet -> output, the commonest bench; its nodes:
enum { RIG_STAGE = 0, RIG_IN = TV_NODE_CHANNEL | 0, RIG_OUT = TV_NODE_CHANNEL | 1 };
void rig_line(rig *bench);
// rig_line, started.
void rig_start_line(rig *bench);
// The channel's options in the rig.
tv_channel_options *rig_options(rig *bench, uint16_t channel);

// Makes the runtime, the channels and the flow. The answer of tv_flow_new.
tv_status rig_try_start(rig *bench);
void rig_start(rig *bench);

// Pushes and publishes one message.
tv_status rig_try_push(rig *bench, uint16_t channel, const char *text);
void rig_push(rig *bench, uint16_t channel, const char *text);
void rig_push_at(rig *bench, uint16_t channel, const char *text, int64_t event_time_ns);
void rig_end(rig *bench, uint16_t channel);
// Runs the worker until nothing is ready, checks the laws.
void rig_run(rig *bench);
// Moves the clock, then runs.
void rig_advance(rig *bench, int64_t by_ns);
// Takes what an output channel holds: the payloads joined by '|'; "" if there is none. Valid until the next call.
const char *rig_take(rig *bench, uint16_t channel);
// At most `records` of it.
const char *rig_take_some(rig *bench, uint16_t channel, uint32_t records);
// Takes that many, which must be there, without looking.
void rig_skip(rig *bench, uint16_t channel, uint32_t records);
// The dead letters written since the last call, joined by newlines.
const char *rig_dead_letters(rig *bench);
// The oldest record of an output channel without taking it; NULL if there is none.
const tv_record *rig_front(rig *bench, uint16_t channel);

tv_stage_stats rig_stage_stats(rig *bench, uint16_t stage);
tv_edge_stats rig_edge_stats(rig *bench, size_t edge);
tv_flow_state rig_state(rig *bench);
// Prints stages and edges as they are, for a test that is about to fail.
void rig_describe(rig *bench);

#endif
