// Shared instances; see pool.h.
#include "flow/flow_internal.h"

#include <stdlib.h>

struct tv_pool_instance {
    tv_pool_instance *next;
    tv_instance *instance;
    tv_pool *pool;   // NULL: made along with a flow, not in a pool yet
    tv_seat *holder; // NULL: free
    bool active;     // a call is under way
    uint8_t *begin;  // keyed state as tv_init has left it; NULL: none
    uint32_t counter_count;
    char counter_names[TV_COUNTERS_MAX][TV_NAME_BYTES_MAX + 1];
};

struct tv_pool {
    tv_pool *next; // of the share and worker
    tv_class class;
    tv_pool_instance *instances;
    uint32_t instance_count; // those being made too
    uint32_t seat_count;
    tv_seat *first_waiter, *last_waiter;
};

struct tv_share {
    tv_share *next; // of its bucket
    tv_seat *seats;
    uint64_t hash;
    uint16_t height;  // of its stages above the sinks
    bool proven;      // its component has started once
    tv_pool *pools[]; // by worker, which alone touches them: one for each class that has seats
};

// ---- which stages share -------------------------------------------------------------------------------------

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length) { // FNV-1a
    const uint8_t *at = bytes;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * 0x100000001b3ull;
    return hash;
}

static uint64_t hash_text(uint64_t hash, const char *text) { return hash_bytes(hash, text, strlen(text) + 1); }

static const char *digest_of(const tv_stage_spec *spec) { return tv_stage_spec_info(spec)->digest; }

static uint64_t hash_of(const tv_stage *stage, uint16_t height) {
    const tv_stage_spec *spec = tv_stage_get_spec(stage);
    const tv_stage_config config = tv_stage_get_config(stage);
    uint64_t hash = hash_text(0xcbf29ce484222325ull, digest_of(spec));
    hash = hash_bytes(hash, &height, sizeof height);
    hash = hash_bytes(hash, &spec->memory_bytes_max, sizeof spec->memory_bytes_max);
    hash = hash_bytes(hash, &spec->batch_bytes_max, sizeof spec->batch_bytes_max);
    hash = hash_bytes(hash, &spec->grants, sizeof spec->grants);
    for (size_t i = 0; i < config.count; i++)
        hash = hash_text(hash_text(hash, config.entries[i].path), config.entries[i].value);
    for (size_t i = 0; i < spec->asset_count; i++)
        hash = hash_bytes(hash_text(hash, spec->assets[i].name), &spec->assets[i].size, sizeof spec->assets[i].size);
    return hash;
}

static bool same_config(tv_stage_config a, tv_stage_config b) {
    if (a.count != b.count) return false;
    for (size_t i = 0; a.entries != b.entries && i < a.count; i++)
        if (strcmp(a.entries[i].path, b.entries[i].path) != 0 || strcmp(a.entries[i].value, b.entries[i].value) != 0)
            return false;
    return true;
}

static bool same_assets(const tv_stage_spec *a, const tv_stage_spec *b) {
    if (a->asset_count != b->asset_count) return false;
    for (size_t i = 0; a->assets != b->assets && i < a->asset_count; i++) {
        const tv_asset *one = &a->assets[i], *other = &b->assets[i];
        if (strcmp(one->name, other->name) != 0 || one->size != other->size) return false;
        if (one->bytes != other->bytes && memcmp(one->bytes, other->bytes, one->size) != 0) return false;
    }
    return true;
}

static bool may_share(const tv_stage *one, const tv_stage *other) {
    const tv_stage_spec *a = tv_stage_get_spec(one), *b = tv_stage_get_spec(other);
    if (!same_config(tv_stage_get_config(one), tv_stage_get_config(other))) return false;
    if (a == b) return true;
    return strcmp(digest_of(a), digest_of(b)) == 0 && a->memory_bytes_max == b->memory_bytes_max &&
           a->batch_bytes_max == b->batch_bytes_max && a->grants == b->grants && same_assets(a, b);
}

// ---- shares -------------------------------------------------------------------------------------------------

static tv_share **bucket_of(tv_runtime *runtime, uint64_t hash) { return &runtime->shares[hash % TV_SHARE_BUCKETS]; }

static tv_share *share_find(tv_runtime *runtime, const tv_stage *stage, uint16_t height, uint64_t hash) {
    for (tv_share *share = *bucket_of(runtime, hash); share; share = share->next)
        if (share->hash == hash && share->height == height && may_share(share->seats->stage, stage)) return share;
    return NULL;
}

static tv_share *share_new(tv_runtime *runtime, uint16_t height, uint64_t hash) {
    tv_share *share = calloc(1, sizeof *share + runtime->worker_count * sizeof share->pools[0]);
    if (!share) return NULL;
    share->hash = hash;
    share->height = height;
    share->next = *bucket_of(runtime, hash);
    *bucket_of(runtime, hash) = share;
    return share;
}

static bool seat_join(tv_seat *seat, tv_stage *stage, uint16_t height) {
    tv_runtime *runtime = stage->flow->worker->runtime;
    uint64_t hash = hash_of(stage, height);
    tv_share *share = share_find(runtime, stage, height, hash);
    if (!share) share = share_new(runtime, height, hash);
    if (!share) return false;
    seat->stage = stage;
    seat->share = share;
    seat->next = share->seats;
    if (share->seats) share->seats->previous = seat;
    share->seats = seat;
    return true;
}

static void share_free(tv_runtime *runtime, tv_share *share) {
    tv_share **at = bucket_of(runtime, share->hash);
    while (*at != share)
        at = &(*at)->next;
    *at = share->next;
    for (uint32_t i = 0; i < runtime->worker_count; i++)
        TV_ASSERT(!share->pools[i]);
    free(share);
}

static void seat_part(tv_runtime *runtime, tv_seat *seat) {
    tv_share *share = seat->share;
    TV_ASSERT(!seat->pool && !seat->held);
    if (seat->next) seat->next->previous = seat->previous;
    if (seat->previous)
        seat->previous->next = seat->next;
    else
        share->seats = seat->next;
    if (!share->seats) share_free(runtime, share);
}

// Edges of the longest way from the stage to the end of the flow.
static uint16_t height_of(const uint16_t *heights, const tv_flow_spec *spec, uint16_t stage) {
    uint16_t height = 0;
    for (size_t i = 0; i < spec->edge_count; i++) {
        const tv_edge_spec *edge = &spec->edges[i];
        if (edge->from != stage || (edge->to & TV_NODE_CHANNEL)) continue;
        if (heights[edge->to] >= height) height = (uint16_t)(heights[edge->to] + 1);
    }
    return height;
}

static bool is_shared(const tv_flow_spec *spec) {
    for (size_t i = 0; i < spec->stage_count; i++)
        if (spec->stages[i].shared) return true;
    return false;
}

static size_t keyed_bytes(const tv_stage_spec *stage) {
    const tv_module_info *info = tv_stage_spec_info(stage);
    return stage->shared && info->keeping == TV_KEEPS_KEYED ? info->state_bytes : 0;
}

size_t tv_pool_seats_bytes(const tv_flow_spec *spec) {
    if (!is_shared(spec)) return 0;
    size_t bytes = spec->stage_count * sizeof(tv_seat);
    for (size_t i = 0; i < spec->stage_count; i++)
        bytes += keyed_bytes(&spec->stages[i]);
    return bytes;
}

// One block: a seat for each stage, and behind them what those of keyed components keep.
static bool make_seats(tv_flow *flow) {
    const tv_flow_spec *spec = flow->spec;
    flow->seats = tv_flow_alloc(flow, tv_pool_seats_bytes(spec));
    if (!flow->seats) return false;
    uint8_t *state = (uint8_t *)(flow->seats + spec->stage_count);
    for (size_t i = 0; i < spec->stage_count; i++) {
        size_t bytes = keyed_bytes(&spec->stages[i]);
        if (bytes) flow->seats[i].state = state;
        state += bytes;
    }
    return true;
}

tv_status tv_pool_join(tv_flow *flow, tv_error *error) {
    uint16_t heights[TV_STAGES_MAX];
    if (!is_shared(flow->spec)) return TV_OK;
    bool joined = make_seats(flow);
    for (size_t i = flow->spec->stage_count; joined && i > 0; i--) { // from the sinks on
        uint8_t index = flow->links[i - 1];
        tv_stage *stage = &flow->stages[index];
        heights[index] = height_of(heights, flow->spec, index);
        if (!flow->spec->stages[index].shared) continue;
        joined = seat_join(&flow->seats[index], stage, heights[index]);
        stage->shared = joined;
    }
    return joined ? TV_OK : tv_error_set(error, TV_NO_MEMORY, "flow %s: out of memory", flow->name);
}

void tv_pool_part(tv_flow *flow) {
    for (size_t i = 0; flow->seats && i < flow->spec->stage_count; i++)
        if (flow->seats[i].stage) seat_part(flow->worker->runtime, &flow->seats[i]);
    tv_flow_release(flow, flow->seats);
    flow->seats = NULL;
}

static tv_seat *seat_of(const tv_stage *stage) { return &stage->flow->seats[stage->index]; }

// ---- instances ----------------------------------------------------------------------------------------------

static void instance_free(tv_pool_instance *instance) {
    TV_ASSERT(!instance->active);
    if (instance->instance) tv_instance_set_user(instance->instance, NULL); // who was served last may be gone
    tv_instance_free(instance->instance);
    free(instance->begin);
    free(instance);
}

// What a new flow's state begins with.
static bool keep_begin(tv_pool_instance *instance, const tv_stage *stage) {
    const uint8_t *state = tv_instance_state(instance->instance);
    if (!state) return true;
    uint32_t bytes = tv_stage_module_info(stage)->state_bytes;
    instance->begin = malloc(bytes);
    if (instance->begin) memcpy(instance->begin, state, bytes);
    return instance->begin != NULL;
}

// By way of the stage, which serves the imports of tv_init: its configuration is that of all who share.
static tv_status start_for(tv_pool_instance *made, tv_seat *seat, tv_error *error) {
    tv_stage *stage = seat->stage;
    tv_stage_rare *rare = tv_stage_get_rare(stage);
    uint64_t processed_at_start = rare->processed_at_start; // its state does not begin anew
    seat->held = made;
    tv_status status = tv_stage_start(stage, error);
    seat->held = NULL;
    rare->processed_at_start = processed_at_start;
    made->instance = stage->instance;
    stage->instance = NULL;
    if (status != TV_OK || keep_begin(made, stage)) return status;
    return tv_error_set(error, TV_NO_MEMORY, "stage %s: out of memory", tv_stage_get_spec(stage)->name);
}

static tv_pool_instance *instance_new(tv_seat *seat, tv_error *error, tv_status *status) {
    tv_pool_instance *made = calloc(1, sizeof *made);
    *status = made ? start_for(made, seat, error) : tv_error_set(error, TV_NO_MEMORY, "out of memory");
    if (*status == TV_OK) return made;
    if (made) instance_free(made);
    return NULL;
}

tv_status tv_pool_prepare(tv_stage *stage, tv_error *error) {
    tv_seat *seat = seat_of(stage);
    tv_status status = TV_OK;
    if (seat->share->proven) return TV_OK;
    tv_pool_instance *made = instance_new(seat, error, &status);
    if (!made) return status;
    made->holder = seat;
    seat->held = made;
    seat->share->proven = true;
    return TV_OK;
}

// ---- waiting ------------------------------------------------------------------------------------------------

static tv_pool_instance *pool_find(const tv_pool *pool) {
    tv_pool_instance *instance = pool->instances;
    while (instance && instance->holder)
        instance = instance->next;
    return instance;
}

// Free, or to be made.
static bool pool_has_one(const tv_pool *pool) {
    return pool_find(pool) || pool->instance_count < TV_POOL_INSTANCES_MAX;
}

static void wait_begin(tv_seat *seat) {
    tv_pool *pool = seat->pool;
    if (seat->waits) return;
    seat->waits = true;
    seat->wait_next = NULL;
    if (pool->last_waiter)
        pool->last_waiter->wait_next = seat;
    else
        pool->first_waiter = seat;
    pool->last_waiter = seat;
    atomic_fetch_add_explicit(&seat->stage->flow->worker->runtime->pool_waits, 1, memory_order_relaxed);
}

static void wait_end(tv_seat *seat) {
    tv_pool *pool = seat->pool;
    tv_seat *before = NULL, *at = pool->first_waiter;
    if (!seat->waits) return;
    for (; at != seat; at = at->wait_next)
        before = at;
    if (before)
        before->wait_next = seat->wait_next;
    else
        pool->first_waiter = seat->wait_next;
    if (pool->last_waiter == seat) pool->last_waiter = before;
    seat->waits = false;
}

// Whoever is woken takes an instance and gives it back, which wakes the next, or passes the word on at the end of its
// turn: so none waits while there is one to be had.
static void wake_one(tv_pool *pool) {
    tv_seat *seat = pool->first_waiter;
    if (!seat || !pool_has_one(pool)) return;
    wait_end(seat);
    seat->woken = true;
    seat->stage->flow->seats_woken = true;
    tv_flow_notify(seat->stage->flow);
}

static void pass_on(tv_seat *seat) {
    if (!seat->woken) return;
    seat->woken = false;
    wake_one(seat->pool);
}

void tv_pool_after_turn(tv_flow *flow) {
    if (!flow->seats_woken) return;
    flow->seats_woken = false;
    for (size_t i = 0; i < flow->spec->stage_count; i++)
        pass_on(&flow->seats[i]);
}

// ---- pools --------------------------------------------------------------------------------------------------

static bool is_right_pool(const tv_seat *seat) {
    return seat->pool && seat->pool->class == (tv_class)seat->stage->flow->class;
}

static tv_pool **pools_of(const tv_seat *seat) { return &seat->share->pools[seat->stage->flow->worker->index]; }

// The pool of the seat's worker and class, made if there is none. NULL without memory.
static tv_pool *pool_open(const tv_seat *seat) {
    tv_class class = (tv_class)seat->stage->flow->class;
    tv_pool *pool = *pools_of(seat);
    while (pool && pool->class != class)
        pool = pool->next;
    if (pool) return pool;
    pool = calloc(1, sizeof *pool);
    if (!pool) return NULL;
    pool->class = class;
    pool->next = *pools_of(seat);
    return *pools_of(seat) = pool;
}

static void pool_close(const tv_seat *seat, tv_pool *pool) {
    tv_pool **at = pools_of(seat);
    while (*at != pool)
        at = &(*at)->next;
    *at = pool->next;
    free(pool);
}

static void count_instances(const tv_seat *seat, int by) {
    tv_runtime *runtime = seat->stage->flow->worker->runtime;
    if (by > 0) atomic_fetch_add_explicit(&runtime->pool_instances_made, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&runtime->pool_instances, (uint64_t)(int64_t)by, memory_order_relaxed);
}

static void pool_add(tv_seat *seat, tv_pool_instance *instance) {
    tv_pool *pool = seat->pool;
    instance->pool = pool;
    instance->holder = NULL;
    instance->next = pool->instances;
    pool->instances = instance;
    count_instances(seat, 1);
}

static void pool_forget(tv_seat *seat, tv_pool_instance *instance) {
    tv_pool_instance **at = &seat->pool->instances;
    while (*at != instance)
        at = &(*at)->next;
    *at = instance->next;
    seat->pool->instance_count--;
    count_instances(seat, -1);
    instance_free(instance);
}

// What was made along with the flow becomes the pool's, if that has none to spare.
static void bring_along(tv_seat *seat, tv_pool_instance *instance) {
    seat->held = NULL;
    if (pool_find(seat->pool) || seat->pool->instance_count >= TV_POOL_INSTANCES_MAX) {
        instance_free(instance);
        return;
    }
    seat->pool->instance_count++;
    pool_add(seat, instance);
}

static bool sit_down(tv_seat *seat) {
    tv_pool_instance *brought = seat->held;
    seat->pool = pool_open(seat);
    if (!seat->pool) return false;
    seat->pool->seat_count++;
    if (brought) bring_along(seat, brought);
    return true;
}

static void stand_up(tv_seat *seat) {
    tv_pool *pool = seat->pool;
    tv_pool_instance *held = seat->held;
    seat->held = NULL;
    if (!pool) {
        if (held) instance_free(held);
        return;
    }
    wait_end(seat);
    if (held) {
        pool_forget(seat, held);
        seat->woken = true;
    }
    pass_on(seat);
    for (tv_pool_instance *at = pool->instances; at; at = at->next)
        if (!at->active) tv_instance_set_user(at->instance, NULL); // it may be this stage
    if (--pool->seat_count == 0) {
        while (pool->instances)
            pool_forget(seat, pool->instances);
        pool_close(seat, pool);
    }
    seat->pool = NULL;
}

// The count goes up before: while the component starts, its epoch callback may let others run.
static tv_pool_instance *pool_make(tv_seat *seat) {
    tv_pool *pool = seat->pool;
    tv_error error = {0};
    tv_status status;
    if (pool->instance_count >= TV_POOL_INSTANCES_MAX) return NULL;
    pool->instance_count++;
    tv_pool_instance *made = instance_new(seat, &error, &status);
    if (made) {
        pool_add(seat, made);
        return made;
    }
    pool->instance_count--;
    if (pool->instance_count == 0) tv_flow_fail(seat->stage->flow, "no shared instance: %s", error.message);
    return NULL;
}

// In the pool of the flow's worker and class. One that holds an instance stays where that is, whatever becomes of the
// class meanwhile: nobody else enters it.
static bool be_seated(tv_seat *seat) {
    if (is_right_pool(seat) || (seat->pool && seat->held)) return true;
    if (seat->pool) stand_up(seat);
    if (sit_down(seat)) return true;
    tv_flow_fail(seat->stage->flow, "no memory for shared instances");
    return false;
}

// The block of keyed state goes into the instance when it is taken, and comes out when it is given back.
static void put_state(tv_seat *seat) {
    if (!seat->state) return;
    memcpy(tv_instance_state(seat->held->instance), seat->has_state ? seat->state : seat->held->begin,
           tv_stage_module_info(seat->stage)->state_bytes);
}

static void take_state(tv_seat *seat) {
    if (!seat->state) return;
    memcpy(seat->state, tv_instance_state(seat->held->instance), tv_stage_module_info(seat->stage)->state_bytes);
    seat->has_state = true;
}

static bool hold_one(tv_seat *seat) {
    if (seat->held) return true;
    tv_pool_instance *found = pool_find(seat->pool);
    if (!found) found = pool_make(seat);
    if (!found) {
        if (!tv_flow_is_over(seat->stage->flow)) wait_begin(seat);
        return false;
    }
    seat->held = found;
    found->holder = seat;
    wait_end(seat);
    seat->woken = false;
    put_state(seat);
    return true;
}

bool tv_pool_take(tv_stage *stage) {
    tv_seat *seat = seat_of(stage);
    if (!be_seated(seat) || !hold_one(seat)) return false;
    TV_ASSERT(!seat->held->active && seat->held->holder == seat);
    seat->held->active = true;
    tv_instance_set_user(seat->held->instance, stage);
    stage->instance = seat->held->instance;
    return true;
}

void tv_pool_give_back(tv_stage *stage) {
    tv_seat *seat = seat_of(stage);
    tv_pool_instance *held = seat->held;
    if (!held || !held->active) return; // not taken in this step, or thrown away
    held->active = false;
    stage->instance = NULL;
    if (stage->more) return;
    take_state(seat);
    seat->held = NULL;
    held->holder = NULL;
    wake_one(seat->pool);
}

void tv_pool_drop_output(tv_stage *stage) {
    tv_seat *seat = seat_of(stage);
    tv_pool_instance *held = seat->held;
    TV_ASSERT(held && !held->active);
    take_state(seat);
    seat->held = NULL;
    pool_forget(seat, held);
    wake_one(seat->pool);
}

void tv_pool_throw_away(tv_stage *stage) {
    tv_seat *seat = seat_of(stage);
    tv_pool_instance *held = seat->held;
    TV_ASSERT(held);
    held->active = false;
    seat->held = NULL;
    seat->has_state = false;
    stage->instance = NULL;
    pool_forget(seat, held);
    wake_one(seat->pool);
}

void tv_pool_leave(tv_flow *flow) {
    for (size_t i = 0; flow->seats && i < flow->spec->stage_count; i++)
        stand_up(&flow->seats[i]);
}

bool tv_pool_holds_any(const tv_flow *flow) {
    for (size_t i = 0; flow->seats && i < flow->spec->stage_count; i++)
        if (flow->seats[i].pool && flow->seats[i].held) return true;
    return false;
}

void tv_runtime_pool_stats(const tv_runtime *runtime, tv_pool_stats *stats) {
    *stats = (tv_pool_stats){
        .instances_now = atomic_load_explicit(&runtime->pool_instances, memory_order_relaxed),
        .instances_made = atomic_load_explicit(&runtime->pool_instances_made, memory_order_relaxed),
        .waits = atomic_load_explicit(&runtime->pool_waits, memory_order_relaxed),
    };
}

// ---- counters -----------------------------------------------------------------------------------------------

int32_t tv_pool_counter(tv_stage *stage, const char *name, size_t length) {
    tv_pool_instance *held = seat_of(stage)->held;
    int32_t own = tv_stage_counter(stage, name, length);
    if (own < 0) return own;
    for (uint32_t i = 0; i < held->counter_count; i++)
        if (strlen(held->counter_names[i]) == length && memcmp(held->counter_names[i], name, length) == 0)
            return (int32_t)i;
    if (held->counter_count == TV_COUNTERS_MAX) return TV_ABI_LIMIT;
    memcpy(held->counter_names[held->counter_count], name, length);
    return (int32_t)held->counter_count++;
}

int32_t tv_pool_counter_of(tv_stage *stage, int32_t counter) {
    const tv_pool_instance *held = seat_of(stage)->held;
    if (counter < 0 || (uint32_t)counter >= held->counter_count) return TV_ABI_NOT_FOUND;
    const char *name = held->counter_names[counter];
    return tv_stage_counter(stage, name, strlen(name));
}
