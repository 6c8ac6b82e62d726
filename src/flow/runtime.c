// The runtime: workers' threads, the ticker, and the list of flows.
//
// The ticker gives running guests an epoch tick every millisecond. It sleeps while no worker is busy, but stays awake
// for some ticks after the last one, so that a worker that wakes for single records does not wake it each time. Where
// guests run seldom, for timers, those are few ticks: an idle system stays idle.
#include "flow/flow_internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Of a thread's stack that is not there for calls: thread-local storage lies in it, which sanitizers make large.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { THREAD_SPARE_BYTES = 4 << 20 };
#else
enum { THREAD_SPARE_BYTES = 64 << 10 };
#endif

enum {
    TICK_NS = 1000000,
    TICKER_LINGER_TICKS = 20,      // after guests that come one soon after the other
    TICKER_LINGER_TICKS_ALONE = 2, // after one that came from a long sleep, such as a timer's
    TICKER_NICE = -10,             // where a real-time priority is refused
    IO_NICE = -5,
    NESTING_LEVELS = 2, // a guest, and a Critical one on top of it
    WORKERS_MAX = 64,
};

// ---- ticker -------------------------------------------------------------------------------------------------

static void futex_wait(_Atomic uint32_t *word, uint32_t expected) {
    syscall(SYS_futex, (uint32_t *)word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word) {
    syscall(SYS_futex, (uint32_t *)word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

// True if it was not for long: then it was hardly worth it.
static bool ticker_sleep(tv_runtime *runtime) {
    int64_t begin_ns = tv_clock_monotonic_ns(tv_clock_system());
    atomic_store(&runtime->ticker_sleeping, 1);
    if (atomic_load(&runtime->busy_workers) == 0 && !atomic_load(&runtime->ticker_stopping))
        futex_wait(&runtime->ticker_sleeping, 1);
    atomic_store(&runtime->ticker_sleeping, 0);
    return tv_clock_monotonic_ns(tv_clock_system()) - begin_ns < (int64_t)TICKER_LINGER_TICKS * TICK_NS;
}

static void ticker_wake(tv_runtime *runtime) {
    if (atomic_exchange(&runtime->ticker_sleeping, 0)) futex_wake(&runtime->ticker_sleeping);
}

void tv_runtime_guest_begins(tv_runtime *runtime) {
    if (atomic_fetch_add(&runtime->busy_workers, 1) == 0) ticker_wake(runtime);
}

void tv_runtime_guest_ends(tv_runtime *runtime) { atomic_fetch_sub(&runtime->busy_workers, 1); }

// Ticks that come late let a looping component run longer. Without the right to it the ticker is a thread like any
// other.
static void ask_for_priority(void) {
    struct sched_param wanted = {.sched_priority = 1};
    if (pthread_setschedparam(pthread_self(), SCHED_FIFO | SCHED_RESET_ON_FORK, &wanted) == 0) return;
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), TICKER_NICE) == 0) return;
    static _Atomic bool said;
    if (!atomic_exchange(&said, true))
        tv_log(TV_LEVEL_DEBUG, "scheduler",
               "no higher priority for the ticker (it needs CAP_SYS_NICE): on a busy machine "
               "ticks may come late");
}

// Not a real-time one, unlike the ticker's: reading a large file may keep the thread busy, and workers must go on.
// Threads that it starts do not inherit it.
void tv_runtime_ask_for_io_priority(void) {
    struct sched_param none = {0};
    if (pthread_setschedparam(pthread_self(), SCHED_OTHER | SCHED_RESET_ON_FORK, &none) == 0 &&
        setpriority(PRIO_PROCESS, (id_t)gettid(), IO_NICE) == 0)
        return;
    static _Atomic bool said;
    if (!atomic_exchange(&said, true))
        tv_log(TV_LEVEL_DEBUG, "scheduler",
               "no higher priority for the I/O thread (it needs CAP_SYS_NICE): on a busy machine "
               "input and output may wait for components");
}

static void *ticker_main(void *user) {
    tv_runtime *runtime = user;
    pthread_setname_np(pthread_self(), "tv-ticker");
    ask_for_priority();
    uint32_t idle_ticks = 0, linger_ticks = TICKER_LINGER_TICKS;
    while (!atomic_load(&runtime->ticker_stopping)) {
        idle_ticks = atomic_load(&runtime->busy_workers) ? 0 : idle_ticks + 1;
        if (idle_ticks > linger_ticks) {
            linger_ticks = ticker_sleep(runtime) ? TICKER_LINGER_TICKS : TICKER_LINGER_TICKS_ALONE;
            idle_ticks = 0;
            continue;
        }
        struct timespec tick = {.tv_nsec = TICK_NS};
        nanosleep(&tick, NULL);
        atomic_fetch_add_explicit(&runtime->ticks, 1, memory_order_relaxed);
        tv_engine_tick(runtime->engine);
    }
    return NULL;
}

// ---- workers' threads ---------------------------------------------------------------------------------------

static void worker_wait(tv_worker *worker, int64_t wait_until_ns) {
    struct timespec timeout, *limit = NULL;
    if (wait_until_ns != INT64_MAX) {
        int64_t left_ns = wait_until_ns - tv_clock_monotonic_ns(worker->runtime->clock);
        if (left_ns <= 0) return;
        timeout = (struct timespec){.tv_sec = left_ns / 1000000000, .tv_nsec = left_ns % 1000000000};
        limit = &timeout;
    }
    atomic_store(&worker->sleeping, true);
    // Look again: who notified before the store above did not write to the eventfd.
    if (tv_inbox_is_empty(&worker->inbox) && !atomic_load(&worker->dead_letters_were_taken) &&
        !atomic_load(&worker->runtime->stopping)) {
        struct pollfd wanted = {.fd = worker->event_fd, .events = POLLIN};
        if (ppoll(&wanted, 1, limit, NULL) > 0) {
            uint64_t count;
            ssize_t got = read(worker->event_fd, &count, sizeof count);
            (void)got;
        }
    }
    atomic_store(&worker->sleeping, false);
}

static void find_stack(tv_worker *worker) {
    pthread_attr_t attributes;
    void *low;
    size_t bytes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
    if (pthread_attr_getstack(&attributes, &low, &bytes) == 0) worker->stack_low = low;
    pthread_attr_destroy(&attributes);
}

static void *worker_main(void *user) {
    tv_worker *worker = user;
    tv_runtime *runtime = worker->runtime;
    find_stack(worker);
    char name[16];
    snprintf(name, sizeof name, "tv-worker-%u", worker->index);
    pthread_setname_np(pthread_self(), name);
    while (!atomic_load(&runtime->stopping)) {
        int64_t wait_until_ns;
        tv_runtime_guest_begins(runtime);
        while (!atomic_load_explicit(&runtime->stopping, memory_order_relaxed) &&
               tv_worker_step(worker, &wait_until_ns))
            ;
        tv_runtime_guest_ends(runtime);
        if (!atomic_load(&runtime->stopping)) worker_wait(worker, wait_until_ns);
    }
    return NULL;
}

// The least that a stack may have differs: 16 KiB on x86_64, 128 KiB on aarch64.
static tv_status thread_start(pthread_t *thread, size_t stack_bytes, void *(*main)(void *), void *user,
                              tv_error *error) {
    long least_bytes = sysconf(_SC_THREAD_STACK_MIN);
    if (least_bytes > 0 && stack_bytes < (size_t)least_bytes) stack_bytes = (size_t)least_bytes;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    int failed = pthread_attr_setstacksize(&attributes, stack_bytes);
    if (!failed) failed = pthread_create(thread, &attributes, main, user);
    pthread_attr_destroy(&attributes);
    return failed ? tv_error_set_errno(error, failed, "cannot start a thread") : TV_OK;
}

tv_status tv_runtime_start_ticker(tv_runtime *runtime, tv_error *error) {
    enum { TICKER_STACK_BYTES = 64 * 1024 };
    if (runtime->ticker_started) return TV_OK;
    atomic_store(&runtime->ticker_stopping, false);
    tv_status status = thread_start(&runtime->ticker, TICKER_STACK_BYTES, ticker_main, runtime, error);
    runtime->ticker_started = status == TV_OK;
    return status;
}

tv_status tv_runtime_start(tv_runtime *runtime, tv_error *error) {
    TV_ASSERT(!runtime->started);
    atomic_store(&runtime->stopping, false);
    runtime->started = true;
    size_t stack_bytes = tv_engine_thread_stack_bytes(runtime->engine, NESTING_LEVELS) + THREAD_SPARE_BYTES;
    tv_status status = tv_runtime_start_ticker(runtime, error);
    for (uint32_t i = 0; status == TV_OK && i < runtime->worker_count; i++) {
        tv_worker *worker = &runtime->workers[i];
        status = thread_start(&worker->thread, stack_bytes, worker_main, worker, error);
        worker->thread_started = status == TV_OK;
    }
    if (status != TV_OK) tv_runtime_stop(runtime);
    return status;
}

static void stop_workers(tv_runtime *runtime) {
    atomic_store(&runtime->stopping, true);
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        tv_worker *worker = &runtime->workers[i];
        uint64_t one = 1;
        ssize_t written = write(worker->event_fd, &one, sizeof one);
        (void)written;
    }
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        if (runtime->workers[i].thread_started) pthread_join(runtime->workers[i].thread, NULL);
        runtime->workers[i].thread_started = false;
    }
}

static void stop_ticker(tv_runtime *runtime) {
    if (!runtime->ticker_started) return;
    atomic_store(&runtime->ticker_stopping, true);
    ticker_wake(runtime);
    pthread_join(runtime->ticker, NULL);
    runtime->ticker_started = false;
}

void tv_runtime_stop(tv_runtime *runtime) {
    if (runtime->started) stop_workers(runtime);
    stop_ticker(runtime); // the last: a guest that spins is ended by its ticks
    runtime->started = false;
}

// ---- making and freeing -------------------------------------------------------------------------------------

static uint32_t core_count(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > WORKERS_MAX ? WORKERS_MAX : (uint32_t)cores;
}

static tv_status check_dead_letters(const tv_channel *channel, tv_error *error) {
    uint64_t least = (uint64_t)channel->record_bytes_max * TV_DEAD_LETTER_QUEUE_FACTOR;
    if (channel->ring.capacity_bytes >= least && channel->ring.capacity_records >= 2) return TV_OK;
    return tv_error_set(error, TV_INVALID,
                        "channel %s: a queue for dead letters must have room for two records and %d times its largest",
                        channel->name, TV_DEAD_LETTER_QUEUE_FACTOR);
}

static tv_status worker_init(tv_runtime *runtime, uint32_t index, const tv_runtime_options *options, tv_error *error) {
    tv_worker *worker = &runtime->workers[index];
    tv_status status = options->dead_letters ? check_dead_letters(options->dead_letters[index], error) : TV_OK;
    if (status != TV_OK) return status;
    worker->runtime = runtime;
    worker->index = index;
    worker->trim_check_ns = INT64_MAX;
    worker->trim_bytes = 64 << 10; // until it is known
    worker->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->event_fd < 0) return tv_error_set_errno(error, errno, "cannot make an eventfd");
    if (options->dead_letters) {
        worker->dead_letters = options->dead_letters[index];
        worker->dead_letters->notify_flow = tv_worker_dead_letters_taken;
        worker->dead_letters->flow = worker;
        tv_channel_attach_io(worker->dead_letters, options->io_ready, options->io_wake);
    }
    return TV_OK;
}

static void set_defaults(tv_runtime *runtime, const tv_runtime_options *options) {
    enum { TURN_DEFAULT_NS = 2000000, CYCLE_DEFAULT_NS = 500000000 };
    runtime->turn_ns = options->turn_ns ? options->turn_ns : TURN_DEFAULT_NS;
    runtime->cycle_ns = options->cycle_ns ? options->cycle_ns : CYCLE_DEFAULT_NS;
    for (int class = 0; class < TV_CLASS_COUNT; class ++)
        runtime->quanta[class] = options->quanta[class] ? options->quanta[class] : tv_class_quantum((tv_class) class);
}

// What each worker remembers of the others; without it none gives flows away.
static tv_status make_peers(tv_runtime *runtime, tv_error *error) {
    size_t count = runtime->worker_count;
    runtime->peers = calloc(count * count, sizeof *runtime->peers);
    if (!runtime->peers) return tv_error_set(error, TV_NO_MEMORY, "runtime: out of memory");
    for (size_t i = 0; i < count; i++)
        runtime->workers[i].peer_busy_ns = runtime->peers + i * count;
    return TV_OK;
}

tv_status tv_runtime_new(const tv_runtime_options *options, tv_runtime **out, tv_error *error) {
    uint32_t workers = options->workers ? options->workers : core_count();
    if (workers > WORKERS_MAX)
        return tv_error_set(error, TV_LIMIT, "%u workers; at most %d are allowed", workers, WORKERS_MAX);
    tv_runtime *runtime = calloc(1, sizeof *runtime);
    if (!runtime) return tv_error_set(error, TV_NO_MEMORY, "runtime: out of memory");
    runtime->memory = options->memory ? options->memory : &runtime->own_memory;
    tv_names_init(&runtime->names, runtime->memory);
    runtime->engine = options->engine;
    runtime->clock = options->clock ? options->clock : tv_clock_system();
    runtime->io_wake = options->io_wake;
    runtime->io_ready = options->io_ready;
    runtime->settings = options->settings;
    runtime->letters = options->letters;
    set_defaults(runtime, options);
    tv_runtime_limit_idle(runtime, UINT64_MAX);
    runtime->workers = calloc(workers, sizeof *runtime->workers);
    tv_status status = runtime->workers ? TV_OK : tv_error_set(error, TV_NO_MEMORY, "runtime: out of memory");
    for (uint32_t i = 0; status == TV_OK && i < workers; i++) {
        status = worker_init(runtime, i, options, error);
        if (status == TV_OK) runtime->worker_count++;
    }
    if (status == TV_OK && workers > 1) status = make_peers(runtime, error);
    if (status != TV_OK) {
        tv_runtime_free(runtime);
        return status;
    }
    *out = runtime;
    return TV_OK;
}

uint32_t tv_runtime_workers(const tv_runtime *runtime) { return runtime->worker_count; }
const tv_memory_account *tv_runtime_memory(const tv_runtime *runtime) { return runtime->memory; }

void tv_runtime_worker_stats(const tv_runtime *runtime, uint32_t worker, tv_worker_stats *stats) {
    TV_ASSERT(worker < runtime->worker_count);
    const tv_worker *at = &runtime->workers[worker];
    *stats = (tv_worker_stats){
        .turns = atomic_load_explicit(&at->figures.turns, memory_order_relaxed),
        .nested_turns = atomic_load_explicit(&at->figures.nested_turns, memory_order_relaxed),
        .cycles = atomic_load_explicit(&at->figures.cycles, memory_order_relaxed),
        .throttles = atomic_load_explicit(&at->figures.throttles, memory_order_relaxed),
        .demotions = atomic_load_explicit(&at->figures.demotions, memory_order_relaxed),
        .moved_in = atomic_load_explicit(&at->figures.moved_in, memory_order_relaxed),
        .moved_out = atomic_load_explicit(&at->figures.moved_out, memory_order_relaxed),
        .busy_ns = atomic_load_explicit(&at->figures.busy_ns, memory_order_relaxed),
        .nested_ns = atomic_load_explicit(&at->figures.nested_ns, memory_order_relaxed),
        .flows = atomic_load_explicit(&at->figures.flows, memory_order_relaxed),
    };
}

void tv_runtime_free(tv_runtime *runtime) {
    if (!runtime) return;
    TV_ASSERT(!runtime->started);
    stop_ticker(runtime);
    while (runtime->flows)
        tv_flow_free(runtime->flows);
    for (uint32_t i = 0; runtime->workers && i < runtime->worker_count; i++) {
        close(runtime->workers[i].event_fd);
        free(runtime->workers[i].timers);
    }
    free(runtime->workers);
    free(runtime->peers);
    tv_names_deinit(&runtime->names);
    tv_error error;
    TV_ASSERT(runtime->memory != &runtime->own_memory ||
              tv_memory_account_check_empty(runtime->memory, &error) == TV_OK);
    free(runtime);
}
