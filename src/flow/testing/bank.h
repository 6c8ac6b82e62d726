// Many flows on one runtime, stepped by the test: for scheduling, removal and moves.
//
// Each line is a flow in -> stage 0 -> ... -> out of puppets. Time is virtual. A guest's call of the real-time clock
// costs `cost_ns` of it (puppet command A), so that records take as long as the test says; an epoch tick comes with
// each millisecond that passes inside a guest, if the test wants them. Single-threaded unless the test starts the
// runtime.
#ifndef TORVYN_FLOW_TESTING_BANK_H
#define TORVYN_FLOW_TESTING_BANK_H

#include "flow/testing/test_rig.h"

enum { BANK_STAGES_MAX = 5, BANK_CONFIG_MAX = 4, BANK_WORKERS_MAX = 4, BANK_LINES_MAX = 16 };

typedef struct bank_line {
    tv_stage_spec stages[BANK_STAGES_MAX];
    tv_config_entry config[BANK_STAGES_MAX][BANK_CONFIG_MAX];
    tv_edge_spec edges[BANK_STAGES_MAX + 1];
    tv_flow_spec spec;
    tv_channel *channels[2];         // in, out
    tv_flow *flow;                   // NULL: not started, or freed
    uint64_t taken;                  // records out of it so far
    _Atomic uint32_t ended, removed; // calls of on_end and on_removed
} bank_line;

typedef struct bank bank;
struct bank {
    tv_clock clock;
    int64_t now_ns;
    int64_t cost_ns;              // of one call of the real-time clock
    bool stepping;                // a worker has a step
    bool ticks;                   // epoch ticks come with virtual milliseconds inside guests
    void (*at_tick)(bank *bench); // before each of them, in the middle of a guest: plays the I/O thread; may be NULL
    uint32_t tick_count;
    tv_runtime *runtime;
    tv_ready_list ready;
    tv_channel *letters[BANK_WORKERS_MAX];
    uint32_t workers;
    bank_line lines[BANK_LINES_MAX];
    uint32_t line_count;
    tv_error error;
};

void bank_init(bank *bench, uint32_t workers);
// Stops the runtime if it runs, frees everything; every byte of guest memory must be back.
void bank_deinit(bank *bench);
// As cmocka's setup and teardown, with one worker: *state is the bank.
int bank_setup(void **state);
int bank_teardown(void **state);
#define bank_test(function) cmocka_unit_test_setup_teardown(function, bank_setup, bank_teardown)

// A line to be changed before its start.
bank_line *bank_add(bank *bench, const char *name, tv_class class, uint32_t stages);
void bank_config(bank_line *line, uint32_t stage, const char *path, const char *value);
void bank_start(bank *bench, bank_line *line);
// bank_add and bank_start.
bank_line *bank_add_started(bank *bench, const char *name, tv_class class, uint32_t stages);

void bank_push(bank_line *line, const char *text);
// Pushes as many as there is room for; returns how many.
uint32_t bank_fill(bank_line *line, const char *text);
// Takes what came out, counts it in `taken`; returns how many.
uint32_t bank_take(bank_line *line);

// Steps the workers by turns until none has anything ready; wakes of the I/O thread are served.
void bank_run(bank *bench);
// One step of a worker; false: nothing was ready.
bool bank_step(bank *bench, uint32_t worker);
void bank_advance(bank *bench, int64_t by_ns);
// One worker runs for so long; where nothing is ready the clock moves on to its next timer, at most by a millisecond.
void bank_run_for(bank *bench, int64_t ns, void (*between_steps)(bank *bench));
// tv_flow_remove with the line's counter.
void bank_remove(bank_line *line, tv_removal how);
// After its removal: what is left is counted as dropped, the books are checked, the flow is freed.
void bank_free_line(bank *bench, bank_line *line);
void bank_check(bank *bench, bank_line *line);
tv_flow_stats bank_stats(bank_line *line);

#endif
