// Shared instances: one instance of a component without state serves the stages of many flows.
//
// Stages share if they would make the same instance: same module, configuration, assets, grants, memory and batch size
// (a tv_share, the whole runtime's), and if they are on one worker and in one class (a tv_pool of the share). So an
// instance is never entered while it is active: a Critical flow's turn on top of a lower call finds other instances.
// A seat is a stage's place; it holds an instance during a call, and from a MORE on until all of that output is out.
// Since that can be long, a pool makes up to TV_POOL_INSTANCES_MAX instances before stages wait for one. Stages whose
// distance from the sinks differs do not share: who holds an instance waits for stages nearer to the sinks only, so
// nobody waits in a circle.
//
// Shares belong to the thread that makes flows, pools to their worker.
#ifndef TORVYN_FLOW_POOL_H
#define TORVYN_FLOW_POOL_H

#include "flow/flow.h"

typedef struct tv_stage tv_stage;
typedef struct tv_share tv_share;
typedef struct tv_pool tv_pool;
typedef struct tv_pool_instance tv_pool_instance;
typedef struct tv_seat tv_seat;

enum { TV_SHARE_BUCKETS = 256 };

// A stage's place.
struct tv_seat {
    tv_stage *stage; // NULL: it does not share
    tv_share *share;
    tv_seat *next, *previous; // of the share
    tv_pool *pool;            // NULL: did not need one yet, or has left
    tv_pool_instance *held;   // of the call under way, or since a MORE; without a pool: made along with the flow
    tv_seat *wait_next;
    uint8_t *state; // keyed state while no instance is held; NULL: the component has none
    bool has_state; // else it begins as tv_init has left it
    bool waits;     // in the pool's list
    bool woken;     // there was an instance to be had, and it has not taken one since
};

// Seats for the stages that share, with their shares. The thread that makes flows. NO_MEMORY.
tv_status tv_pool_join(tv_flow *flow, tv_error *error);
// Heap of the seats and what they keep, bytes; 0 if no stage shares.
size_t tv_pool_seats_bytes(const tv_flow_spec *spec);
// In place of an instance of the stage's own: the first of a share makes one, to see whether the component starts.
tv_status tv_pool_prepare(tv_stage *stage, tv_error *error);
// Gives up shares and seats; tv_pool_leave has been called.
void tv_pool_part(tv_flow *flow);

// The stage's worker: gives it an instance for its next call. False: there is none now, and the flow is notified when
// there is; or none could be made, and the flow has failed.
bool tv_pool_take(tv_stage *stage);
// After the call and what follows from it. With `more` the stage keeps the instance. Nothing if none was taken.
void tv_pool_give_back(tv_stage *stage);
// The output that waits inside the instance it holds is not wanted any more: the instance goes, the keyed state stays.
void tv_pool_drop_output(tv_stage *stage);
// The instance it holds has failed: the pool forgets it, and the stage is without, also without its keyed state.
void tv_pool_throw_away(tv_stage *stage);
// At the end of each turn of a flow that has seats.
void tv_pool_after_turn(tv_flow *flow);
// All seats of the flow leave their pools: it is over, or goes to another worker. Output that waits in an instance is
// gone with it. Without a worker at it, any thread.
void tv_pool_leave(tv_flow *flow);
// Whether a stage holds an instance since a MORE: then the flow stays with its worker.
bool tv_pool_holds_any(const tv_flow *flow);

// The numbers of counters mean the same names whichever stage is served.
int32_t tv_pool_counter(tv_stage *stage, const char *name, size_t length);
// The stage's own number for it, or a negative answer.
int32_t tv_pool_counter_of(tv_stage *stage, int32_t counter);

#endif
