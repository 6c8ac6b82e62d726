// A worker: one thread, its ready flows by class, its timers, and the order in which they get turns.
//
// Between two turns the class that is due (fair.h) gives its next flow one. Within a class flows take turns; one that
// has had more CPU time than its share is passed over. Each turn is charged by what it took of its quantum and by the
// CPU time from its begin to its end, whatever it was used for: records, timers, starts and restarts. Notifications
// come through a lock-free inbox and are taken in between turns.
#include "flow/flow_internal.h"

#include <stdlib.h>
#include <unistd.h>

// ---- ready queues -------------------------------------------------------------------------------------------

static void queue_push(tv_flow_queue *queue, tv_flow *flow) {
    flow->queue_next = NULL;
    if (queue->tail)
        queue->tail->queue_next = flow;
    else
        queue->head = flow;
    queue->tail = flow;
}

static tv_flow *queue_pop(tv_flow_queue *queue) {
    tv_flow *flow = queue->head;
    if (!flow) return NULL;
    queue->head = flow->queue_next;
    if (!queue->head) queue->tail = NULL;
    return flow;
}

// Room for one more timer, made when a flow arrives and not on the data path.
static bool adopt(tv_worker *worker, tv_flow *flow) {
    if (flow->adopted) return true;
    if (worker->flow_count == worker->timer_capacity) {
        uint32_t capacity = worker->timer_capacity ? worker->timer_capacity * 2 : 16;
        tv_flow **timers = realloc(worker->timers, capacity * sizeof *timers);
        if (!timers) return false;
        worker->timers = timers;
        worker->timer_capacity = capacity;
    }
    worker->flow_count++;
    atomic_store_explicit(&worker->figures.flows, worker->flow_count, memory_order_relaxed);
    flow->adopted = true;
    flow->spent = true; // it has no quantum here yet
    flow->fair_at = worker->fair.classes[flow->class].own;
    if (flow->arrives) TV_FIGURE_ADD(worker->figures.moved_in, 1);
    flow->arrives = false;
    return true;
}

static void make_ready(tv_worker *worker, tv_flow *flow) {
    atomic_exchange(&flow->schedule, TV_SCHEDULE_QUEUED); // an exchange, for the order with tv_flow_notify
    tv_fair_join(&worker->fair, (tv_class)flow->class, flow->quantum);
    queue_push(&worker->ready[flow->class], flow);
}

// From the inbox, so it was idle: it begins a new quantum.
static void make_ready_again(tv_worker *worker, tv_flow *flow) {
    flow->spent = true;
    flow->fair_at = tv_fair_flow_returns(&worker->fair, (tv_class)flow->class, flow->quantum, flow->fair_at);
    make_ready(worker, flow);
}

static bool is_ahead(const tv_worker *worker, const tv_flow *flow) {
    return tv_fair_flow_is_ahead(&worker->fair, (tv_class)flow->class, flow->quantum, flow->fair_at);
}

// The first that is not ahead of its class; the others go to the end. If all are, the class has fallen behind them,
// since flows that used little have left: it follows, and then there is one.
static tv_flow *next_of(tv_worker *worker, tv_class class) {
    tv_flow_queue *queue = &worker->ready[class];
    tv_flow *flow = queue_pop(queue);
    const tv_flow *first = flow;
    int64_t least_at = INT64_MAX;
    while (flow && is_ahead(worker, flow)) {
        if (flow->fair_at < least_at) least_at = flow->fair_at;
        queue_push(queue, flow);
        if (queue->head == first) tv_fair_all_ahead(&worker->fair, class, least_at);
        flow = queue_pop(queue);
    }
    return flow;
}

static tv_flow *next_ready(tv_worker *worker) {
    tv_class class = tv_fair_due(&worker->fair);
    if (class == TV_CLASS_COUNT) return NULL;
    worker->turn_is_brief = tv_fair_is_hungry(&worker->fair, class);
    return next_of(worker, class);
}

// ---- notifications ------------------------------------------------------------------------------------------

static void wake(tv_worker *worker) {
    if (!atomic_exchange(&worker->sleeping, false)) return;
    uint64_t one = 1;
    ssize_t written = write(worker->event_fd, &one, sizeof one);
    (void)written; // only EAGAIN is possible, and then it is awake anyway
}

void tv_flow_notify(void *user) {
    tv_flow *flow = user;
    // Always a read-modify-write: what the caller wrote before is then seen by the turn that follows.
    int seen = atomic_load_explicit(&flow->schedule, memory_order_relaxed), wanted;
    do {
        wanted = seen == TV_SCHEDULE_RUNNING ? TV_SCHEDULE_NOTIFIED
                 : seen == TV_SCHEDULE_IDLE  ? TV_SCHEDULE_QUEUED
                                             : seen;
    } while (!atomic_compare_exchange_weak(&flow->schedule, &seen, wanted));
    if (seen != TV_SCHEDULE_IDLE) return;
    // From here on the flow cannot be freed: its removal is a turn, and that comes behind this place in the inbox.
    tv_worker_receive(flow->worker, flow);
}

void tv_worker_receive(tv_worker *worker, tv_flow *flow) {
    tv_inbox_put(&worker->inbox, &flow->inbox_item);
    wake(worker);
}

static void take_inbox(tv_worker *worker) {
    for (tv_inbox_item *item = tv_inbox_take(&worker->inbox), *next; item; item = next) {
        tv_flow *flow = TV_INBOX_OWNER(item, tv_flow, inbox_item);
        next = item->next;
        if (!adopt(worker, flow)) tv_flow_fail(flow, "out of memory for its timer");
        make_ready_again(worker, flow);
    }
}

// ---- dead letters -------------------------------------------------------------------------------------------

void tv_worker_await_dead_letters(tv_flow *flow) {
    if (flow->awaits_letters) return;
    flow->awaits_letters = true;
    flow->letters_next = flow->worker->dead_letter_waiters;
    flow->worker->dead_letter_waiters = flow;
}

void tv_worker_dead_letters_taken(void *user) {
    tv_worker *worker = user;
    atomic_store(&worker->dead_letters_were_taken, true);
    wake(worker);
}

// The flag goes down before the flows look at the channel again, so that no taking is missed.
static void tell_dead_letter_waiters(tv_worker *worker) {
    if (!atomic_load_explicit(&worker->dead_letters_were_taken, memory_order_relaxed)) return;
    atomic_exchange(&worker->dead_letters_were_taken, false);
    worker->letters_full_since_ns = 0;
    tv_flow *flow = worker->dead_letter_waiters;
    worker->dead_letter_waiters = NULL;
    while (flow) {
        tv_flow *next = flow->letters_next;
        flow->awaits_letters = false;
        tv_flow_notify(flow);
        flow = next;
    }
}

// ---- turns --------------------------------------------------------------------------------------------------

static void take_due_timers(tv_worker *worker, int64_t now_ns) {
    while (worker->timer_count && worker->timers[0]->deadline_ns <= now_ns) {
        tv_flow *flow = worker->timers[0];
        tv_worker_timer_remove(worker, flow);
        tv_flow_notify(flow);
    }
    take_inbox(worker);
}

static void forget_dead_letter_waiter(tv_worker *worker, tv_flow *flow) {
    if (!flow->awaits_letters) return;
    tv_flow **at = &worker->dead_letter_waiters;
    while (*at != flow)
        at = &(*at)->letters_next;
    *at = flow->letters_next;
    flow->awaits_letters = false;
}

void tv_worker_let_go(tv_worker *worker, tv_flow *flow) {
    TV_ASSERT(flow->active_frames == 0);
    tv_worker_timer_remove(worker, flow);
    tv_trim_forget(worker, flow);
    forget_dead_letter_waiter(worker, flow);
    tv_pool_leave(flow);
    worker->flow_count--;
    atomic_store_explicit(&worker->figures.flows, worker->flow_count, memory_order_relaxed);
    flow->adopted = false;
}

// It runs, so no queue has it. The callback is the last touch: the flow may be freed before it returns.
static void detach(tv_worker *worker, tv_flow *flow) {
    tv_worker_let_go(worker, flow);
    tv_flow_end *on_removed = flow->on_removed;
    void *user = flow->on_removed_user;
    atomic_exchange(&flow->schedule, TV_SCHEDULE_DETACHED);
    if (on_removed) on_removed(user, flow);
}

// Whether the flow stays with this worker; else it must not be touched any more.
static bool end_flow(tv_worker *worker, tv_flow *flow) {
    tv_worker_timer_remove(worker, flow);
    tv_flow_tell_end(flow);
    if (!atomic_load(&flow->remove_wanted)) return true;
    detach(worker, flow);
    return false;
}

static void after_turn(tv_worker *worker, tv_flow *flow, bool goes_on) {
    tv_worker_timer_update(worker, flow);
    if (tv_flow_is_over(flow)) {
        if (!end_flow(worker, flow)) return; // later notifications (somebody asks for figures) only make short turns
    } else if (goes_on) {
        make_ready(worker, flow);
        return;
    }
    int running = TV_SCHEDULE_RUNNING;
    if (!atomic_compare_exchange_strong(&flow->schedule, &running, TV_SCHEDULE_IDLE)) make_ready(worker, flow);
}

// Counts what the thread was kept from running since its CPU time was last read: what other processes had of the
// machine is charged to nobody.
static void note_away(tv_worker *worker, int64_t now_ns, int64_t cpu_ns) {
    int64_t away_ns = worker->seen_ns ? now_ns - worker->seen_ns - (cpu_ns - worker->seen_cpu_ns) : 0;
    if (away_ns > 0) worker->away_ns += away_ns;
    worker->seen_ns = now_ns;
    worker->seen_cpu_ns = cpu_ns;
}

// What a turn took, without nested turns: `away_ns` was the worker's at its begin. CPU time is read after long ones
// alone, since that costs half a microsecond; a short one was hardly interrupted.
static int64_t used_of(tv_worker *worker, int64_t taken_ns, int64_t away_ns, int64_t now_ns) {
    enum { LONG_NS = 200000 };
    if (taken_ns < LONG_NS) return taken_ns;
    note_away(worker, now_ns, tv_clock_thread_cpu_ns(worker->runtime->clock));
    int64_t used_ns = taken_ns - (worker->away_ns - away_ns);
    return used_ns > 0 ? used_ns : 0;
}

// Class and quantum are those it had when it joined; a turn may change them. Returns the time when the turn ended.
static int64_t run_turn(tv_worker *worker, tv_flow *flow, int64_t now_ns) {
    atomic_exchange(&flow->schedule, TV_SCHEDULE_RUNNING); // pairs with tv_flow_notify
    tv_class class = (tv_class)flow->class;
    uint32_t quantum = flow->quantum;
    int64_t nested_ns = worker->nested_ns, away_ns = worker->away_ns;
    flow->clock_ns = now_ns - nested_ns;
    bool goes_on = tv_flow_turn(flow, now_ns);
    TV_FIGURE_ADD(worker->figures.turns, 1);
    int64_t end_ns = tv_clock_monotonic_ns(worker->runtime->clock);
    int64_t used_ns = used_of(worker, end_ns - now_ns - (worker->nested_ns - nested_ns), away_ns, end_ns);
    int64_t charged_ns = worker->nested ? 0 : worker->turn_charged_ns;
    uint32_t records = flow->worked || worker->turn_records ? worker->turn_records : 1; // no turn is for free
    tv_fair_charge(&worker->fair, class, used_ns > charged_ns ? used_ns - charged_ns : 0, records);
    tv_fair_leave(&worker->fair, class, quantum);
    flow->fair_at = (tv_class)flow->class == class ? tv_fair_flow_used(flow->fair_at, quantum, used_ns)
                                                   : worker->fair.classes[flow->class].own;
    atomic_store_explicit(&worker->figures.cycles, worker->fair.cycles, memory_order_relaxed);
    if (flow->worked) tv_trim_note(worker, flow, now_ns);
    if (!goes_on || flow->spent) tv_trim_at_rest(worker, flow);
    after_turn(worker, flow, goes_on);
    return end_ns;
}

// The time from one step to the next belongs to the turn between them: no clock is read for it.
static void count_busy(tv_worker *worker, int64_t now_ns, bool steps) {
    if (worker->stepped) TV_FIGURE_ADD(worker->figures.busy_ns, now_ns - worker->step_ns);
    worker->step_ns = now_ns;
    worker->stepped = steps;
}

bool tv_worker_step(tv_worker *worker, int64_t *wait_until_ns) {
    tell_dead_letter_waiters(worker);
    take_inbox(worker);
    int64_t now_ns = tv_clock_monotonic_ns(worker->runtime->clock);
    if (worker->timer_count && worker->timers[0]->deadline_ns <= now_ns) take_due_timers(worker, now_ns);
    if (worker->trim_check_ns <= now_ns) tv_trim_run(worker, now_ns);
    tv_flow *flow = next_ready(worker);
    count_busy(worker, now_ns, flow != NULL);
    if (flow && worker->peer_busy_ns && tv_worker_give_away(worker, flow, now_ns)) return true;
    if (flow) {
        worker->turn_flow = flow;
        worker->turn_class = (tv_class)flow->class;
        worker->turn_charged_ns = 0;
        worker->turn_begin_ns = now_ns - worker->nested_ns - worker->away_ns;
        run_turn(worker, flow, now_ns);
        worker->turn_flow = NULL;
        return true;
    }
    tv_fair_rest(&worker->fair);
    worker->seen_ns = 0;
    *wait_until_ns = worker->timer_count ? worker->timers[0]->deadline_ns : INT64_MAX;
    if (worker->trim_check_ns < *wait_until_ns) *wait_until_ns = worker->trim_check_ns;
    return worker->trim_check_ns <= now_ns;
}

// ---- nested turns -------------------------------------------------------------------------------------------

// The engine lets a guest use so much of the stack below here, whatever the thread has.
static void assert_stack(const tv_worker *worker) {
    if (!worker->stack_low) return; // a thread of a test
    size_t left = (size_t)((const char *)__builtin_frame_address(0) - worker->stack_low);
    TV_ASSERT(left >= tv_engine_thread_stack_bytes(worker->runtime->engine, 0));
}

// The turn under way is charged for what it has used by now.
static void charge_outer(tv_worker *worker, int64_t now_ns, int64_t cpu_ns) {
    note_away(worker, now_ns, cpu_ns);
    int64_t used_ns = now_ns - worker->nested_ns - worker->away_ns - worker->turn_begin_ns;
    if (used_ns <= worker->turn_charged_ns) return;
    tv_fair_charge(&worker->fair, worker->turn_class, used_ns - worker->turn_charged_ns, 0);
    worker->turn_charged_ns = used_ns;
}

// The next flow to have a turn on top of the one under way.
static tv_flow *next_critical(tv_worker *worker) {
    bool is_due = tv_fair_preempts(&worker->fair, worker->turn_class);
    return is_due ? next_of(worker, TV_CLASS_CRITICAL) : NULL;
}

int64_t tv_worker_preempt(const tv_flow *outer, int64_t cpu_ns) {
    enum { NESTED_NS_MAX = 20000000 }; // then the guest beneath goes on until the next tick
    tv_worker *worker = outer->worker;
    if (worker->nested || worker->turn_flow != outer || worker->turn_class == TV_CLASS_CRITICAL) return 0;
    const tv_clock *clock = worker->runtime->clock;
    int64_t begin_ns = tv_clock_monotonic_ns(clock), now_ns = begin_ns;
    charge_outer(worker, now_ns, cpu_ns);
    int64_t away_ns = worker->away_ns;
    take_inbox(worker);
    if (worker->timer_count && worker->timers[0]->deadline_ns <= now_ns) take_due_timers(worker, now_ns);
    tv_flow *flow = next_critical(worker);
    if (!flow) return 0;
    assert_stack(worker);
    worker->nested = true;
    while (flow) {
        flow->nested_turns++;
        TV_FIGURE_ADD(worker->figures.nested_turns, 1);
        now_ns = run_turn(worker, flow, now_ns);
        flow = now_ns - begin_ns < NESTED_NS_MAX ? next_critical(worker) : NULL;
    }
    worker->nested = false;
    worker->nested_ns += now_ns - begin_ns;
    worker->away_ns = away_ns;
    TV_FIGURE_ADD(worker->figures.nested_ns, now_ns - begin_ns);
    int64_t nested_cpu_ns = tv_clock_thread_cpu_ns(clock) - cpu_ns;
    worker->nested_cpu_ns += nested_cpu_ns;
    return nested_cpu_ns;
}

void tv_worker_run_until_idle(tv_worker *worker) {
    int64_t wait_until_ns;
    while (tv_worker_step(worker, &wait_until_ns))
        ;
}

// ---- timers: a binary heap by deadline ----------------------------------------------------------------------

static void heap_set(tv_worker *worker, uint32_t index, tv_flow *flow) {
    worker->timers[index] = flow;
    flow->timer_index = index;
}

static void heap_up(tv_worker *worker, uint32_t index) {
    tv_flow *flow = worker->timers[index];
    while (index > 0 && worker->timers[(index - 1) / 2]->deadline_ns > flow->deadline_ns) {
        heap_set(worker, index, worker->timers[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    heap_set(worker, index, flow);
}

static void heap_down(tv_worker *worker, uint32_t index) {
    tv_flow *flow = worker->timers[index];
    for (;;) {
        uint32_t child = index * 2 + 1;
        if (child >= worker->timer_count) break;
        if (child + 1 < worker->timer_count &&
            worker->timers[child + 1]->deadline_ns < worker->timers[child]->deadline_ns)
            child++;
        if (worker->timers[child]->deadline_ns >= flow->deadline_ns) break;
        heap_set(worker, index, worker->timers[child]);
        index = child;
    }
    heap_set(worker, index, flow);
}

void tv_worker_timer_remove(tv_worker *worker, tv_flow *flow) {
    uint32_t index = flow->timer_index;
    if (index == UINT32_MAX) return;
    flow->timer_index = UINT32_MAX;
    tv_flow *last = worker->timers[--worker->timer_count];
    if (last == flow) return;
    heap_set(worker, index, last);
    heap_up(worker, index);
    heap_down(worker, last->timer_index);
}

void tv_worker_timer_update(tv_worker *worker, tv_flow *flow) {
    if (flow->deadline_ns == INT64_MAX) {
        tv_worker_timer_remove(worker, flow);
        return;
    }
    if (flow->timer_index == UINT32_MAX) {
        TV_ASSERT(worker->timer_count < worker->timer_capacity); // adopt() made room
        heap_set(worker, worker->timer_count++, flow);
    }
    heap_up(worker, flow->timer_index);
    heap_down(worker, flow->timer_index);
}
