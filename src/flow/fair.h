// Who is due on a worker: shares of records and of CPU time, by class and among the flows of a class.
//
// Weighted fair queueing in two currencies. Each class has two virtual clocks: one moves by the records its flows take,
// the other by the CPU time they use, both divided by the sum of the quanta of those that are ready. A class waits only
// for lower ones, and for each of them only when it is ahead of it on both clocks. So whoever is not due waits, and
// everybody comes forward: the clocks of those that run move on. Nothing here knows of queues or calls (worker.c).
#ifndef TORVYN_FLOW_FAIR_H
#define TORVYN_FLOW_FAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "flow/flow.h"

// A position on the clock of CPU time is in sixteenths of a nanosecond for each record of quantum.
typedef struct tv_fair_class {
    uint64_t weight;     // quanta of its flows that are ready, or have their turn; 0: it has nothing to do
    int64_t quanta;      // clock of records: quanta that each of its flows has used up, in 1 / TV_FAIR_QUANTUM
    int64_t time;        // clock of CPU time
    int64_t own;         // the same, moved by its own turns alone: what its flows are held against
    int64_t cost_ns;     // what its last records took, together
    int64_t cost_256ths; // and their number times 256; 0: not known
    int64_t waits_ns;    // CPU time of others since it had its last turn
} tv_fair_class;

enum { TV_FAIR_QUANTUM = 1 << 20 };

typedef struct tv_fair {
    tv_fair_class classes[TV_CLASS_COUNT];
    // Where the last of those that have something to do has come to: who comes back begins close behind it.
    int64_t quanta, time;
    uint64_t cycles; // times that this was another quantum
} tv_fair;

// A flow of this quantum is ready. Its class, if it had nothing to do, keeps what it owes, but of what it did not use
// a quantum and 10 ms at most.
void tv_fair_join(tv_fair *fair, tv_class class, uint32_t quantum);
void tv_fair_leave(tv_fair *fair, tv_class class, uint32_t quantum);
// A turn of a flow of the class, which is still among those that joined, has taken so many records and so much CPU time
// since it was last charged.
void tv_fair_charge(tv_fair *fair, tv_class class, int64_t used_ns, uint32_t records);
// The class whose turn it is; TV_CLASS_COUNT: none has anything to do. It shall be as short as possible if the class is
// not due, but hungry.
tv_class tv_fair_due(const tv_fair *fair);
// Whether the class has waited for a quarter of a second, and has not had more than its share of time: where each class
// has its share of records or time beside the next higher one, the lowest may be left with next to nothing.
bool tv_fair_is_hungry(const tv_fair *fair, tv_class class);
// Whether a Critical flow is due while one of `lower` has its turn, of which what it has used is charged.
bool tv_fair_preempts(const tv_fair *fair, tv_class lower);
// Nobody has anything to do: nobody owes anything.
void tv_fair_rest(tv_fair *fair);

// ---- flows of a class ---------------------------------------------------------------------------------------

// A flow's own place on its class's `own` clock. It has been idle: it keeps at most 2 ms of what it did not use.
int64_t tv_fair_flow_returns(const tv_fair *fair, tv_class class, uint32_t quantum, int64_t at);
int64_t tv_fair_flow_used(int64_t at, uint32_t quantum, int64_t used_ns);
// Whether it has had 2 ms more than its share: then the others of its class come first.
bool tv_fair_flow_is_ahead(const tv_fair *fair, tv_class class, uint32_t quantum, int64_t at);
// All that are ready are ahead, the least of them there: the class's clock follows.
void tv_fair_all_ahead(tv_fair *fair, tv_class class, int64_t least);

#endif
