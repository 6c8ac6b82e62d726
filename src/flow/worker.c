// A worker: one thread, its ready flows by class, its timers, and the order in which they get turns.
//
// Yield cycles: in each cycle every ready flow gets its quantum, higher classes first, in one turn or several. A flow
// that has used it up waits for the next cycle, which begins when no other has any left. Notifications come through a
// lock-free inbox and are taken in between turns, so a Critical flow that becomes ready is served before the next lower
// one.
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
    flow->cycle = (uint32_t)worker->cycle - 1; // it has no quantum here yet
    if (flow->arrives) TV_FIGURE_ADD(worker->figures.moved_in, 1);
    flow->arrives = false;
    return true;
}

// A flow that has used up its quantum waits for the next cycle; one that was away in between starts afresh.
static void make_ready(tv_worker *worker, tv_flow *flow) {
    atomic_exchange(&flow->schedule, TV_SCHEDULE_QUEUED); // an exchange, for the order with tv_flow_notify
    bool waits = flow->spent && flow->cycle == (uint32_t)worker->cycle;
    queue_push(waits ? &worker->next[flow->class] : &worker->ready[flow->class], flow);
}

// From the inbox, so it was idle. A Critical flow that has used up its quantum is not saturated then: it need not wait
// for the end of a cycle, which can be seconds away, but only until lower classes had their time too (refill).
static void make_ready_again(tv_worker *worker, tv_flow *flow) {
    if (flow->class != TV_CLASS_CRITICAL || !flow->spent || flow->cycle != (uint32_t)worker->cycle) {
        make_ready(worker, flow);
        return;
    }
    atomic_exchange(&flow->schedule, TV_SCHEDULE_QUEUED);
    queue_push(&worker->rested, flow);
}

// `lower_ns`: what the turns of lower classes have taken by now.
static void refill(tv_worker *worker, int64_t lower_ns) {
    enum { REFILL_NS = 10000000 };
    const tv_flow *first;
    while ((first = worker->rested.head) != NULL && lower_ns - first->refilled_at_ns >= REFILL_NS) {
        tv_flow *flow = queue_pop(&worker->rested);
        flow->cycle--; // its next turn begins a quantum
        make_ready(worker, flow);
    }
}

static void begin_cycle(tv_worker *worker) {
    worker->cycle++;
    TV_FIGURE_ADD(worker->figures.cycles, 1);
    tv_flow *rested;
    while ((rested = queue_pop(&worker->rested)) != NULL)
        make_ready(worker, rested);
    for (int class = 0; class < TV_CLASS_COUNT; class ++) {
        tv_flow *flow;
        tv_flow_queue waiting = worker->next[class];
        worker->next[class] = (tv_flow_queue){NULL, NULL};
        while ((flow = queue_pop(&waiting)) != NULL)
            make_ready(worker, flow);
    }
}

static tv_flow *next_in_cycle(tv_worker *worker) {
    for (int class = 0; class < TV_CLASS_COUNT; class ++) {
        tv_flow *flow = queue_pop(&worker->ready[class]);
        if (flow) return flow;
    }
    return NULL;
}

static tv_flow *next_ready(tv_worker *worker) {
    tv_flow *flow = next_in_cycle(worker);
    if (flow) return flow;
    begin_cycle(worker);
    return next_in_cycle(worker);
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

static void run_turn(tv_worker *worker, tv_flow *flow, int64_t now_ns) {
    atomic_exchange(&flow->schedule, TV_SCHEDULE_RUNNING); // pairs with tv_flow_notify
    int64_t begin_ns = now_ns - worker->nested_ns;
    flow->clock_ns = begin_ns;
    bool goes_on = tv_flow_turn(flow, now_ns);
    TV_FIGURE_ADD(worker->figures.turns, 1);
    if (flow->class != TV_CLASS_CRITICAL) worker->lower_ns += flow->clock_ns - begin_ns;
    if (flow->worked) tv_trim_note(worker, flow, now_ns);
    if (!goes_on || flow->spent) tv_trim_at_rest(worker, flow);
    after_turn(worker, flow, goes_on);
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
    if (worker->rested.head) refill(worker, worker->lower_ns);
    if (worker->trim_check_ns <= now_ns) tv_trim_run(worker, now_ns);
    tv_flow *flow = next_ready(worker);
    count_busy(worker, now_ns, flow != NULL);
    if (flow && worker->peer_busy_ns && tv_worker_give_away(worker, flow, now_ns)) return true;
    if (flow) {
        worker->turn_flow = flow;
        worker->turn_begin_ns = now_ns;
        run_turn(worker, flow, now_ns);
        worker->turn_flow = NULL;
        return true;
    }
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

static tv_flow *next_critical(tv_worker *worker, int64_t now_ns) {
    take_inbox(worker);
    if (worker->timer_count && worker->timers[0]->deadline_ns <= now_ns) take_due_timers(worker, now_ns);
    int64_t lower_ns = now_ns - worker->turn_begin_ns + worker->lower_ns;
    if (worker->rested.head) refill(worker, lower_ns);
    return queue_pop(&worker->ready[TV_CLASS_CRITICAL]);
}

int64_t tv_worker_preempt(const tv_flow *outer, int64_t cpu_ns) {
    enum { NESTED_NS_MAX = 2000000 }; // then the lower class goes on until the next tick
    tv_worker *worker = outer->worker;
    if (outer->class == TV_CLASS_CRITICAL || worker->nested || worker->turn_flow != outer) return 0;
    const tv_clock *clock = worker->runtime->clock;
    int64_t begin_ns = tv_clock_monotonic_ns(clock), now_ns = begin_ns;
    tv_flow *flow = next_critical(worker, now_ns);
    if (!flow) return 0;
    assert_stack(worker);
    worker->nested = true;
    while (flow) {
        flow->nested_turns++;
        TV_FIGURE_ADD(worker->figures.nested_turns, 1);
        run_turn(worker, flow, now_ns);
        now_ns = tv_clock_monotonic_ns(clock);
        flow = now_ns - begin_ns < NESTED_NS_MAX ? queue_pop(&worker->ready[TV_CLASS_CRITICAL]) : NULL;
    }
    worker->nested = false;
    worker->nested_ns += now_ns - begin_ns;
    TV_FIGURE_ADD(worker->figures.nested_ns, now_ns - begin_ns);
    int64_t used_ns = tv_clock_thread_cpu_ns(clock) - cpu_ns;
    worker->nested_cpu_ns += used_ns;
    return used_ns;
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
