// The host's part of the contract for natively compiled components; see harness.h.
#include "harness.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "torvyn/host.h"

enum { HARNESS_CONFIG_MAX = 256, HARNESS_ASSETS_MAX = 16, HARNESS_LOG_BYTES = 65536, HARNESS_RESUMES_MAX = 1000000 };

typedef struct harness_exports {
    tv_guest_pointer (*arena)(uint32_t size);
    int32_t (*init)(void);
    int32_t (*process)(int32_t count);
    int32_t (*resume)(void);
    int32_t (*pull)(int32_t max);
    int32_t (*tick)(int64_t now);
    int32_t (*close)(void);
} harness_exports;

struct tv_harness {
    void *library;
    harness_exports exports;
    const tv_native_imports **table; // the component's variable
    tv_native_imports imports;
    const char *description;
    bool stateless;

    struct {
        char path[128];
        char value[1024];
    } config[HARNESS_CONFIG_MAX];
    size_t config_count;
    struct {
        const char *name;
        const uint8_t *bytes;
        size_t size;
    } assets[HARNESS_ASSETS_MAX];
    size_t asset_count;
    struct {
        char name[TV_NAME_BYTES_MAX + 1];
        int64_t sum;
    } counters[TV_COUNTERS_MAX];
    size_t counter_count;

    tv_batch *batch;
    uint32_t batch_records_max, batch_bytes_max;
    uint8_t *waiting; // fed, not yet processed
    uint32_t waiting_bytes, waiting_count;
    uint32_t consumed; // records consumed in all
    uint64_t sequence;
    bool processing;

    uint32_t room, room_left;
    void (*on_output)(void *user, const tv_harness_output *output);
    void *on_output_user;
    tv_harness_output *outputs;
    size_t output_count, output_capacity;
    uint32_t mark_index; // newest record that emitted something in this call
    size_t mark_output;  // outputs there were before it
    tv_harness_reject *rejects;
    size_t reject_count, reject_capacity;
    char log[HARNESS_LOG_BYTES];
    size_t log_length;
    int64_t timer_ns, realtime_ns, monotonic_ns;
    uint16_t input; // of what is fed
    uint32_t calls, resumes;
};

static void *must(void *block) {
    if (!block) abort();
    return block;
}

// ---- imports ------------------------------------------------------------------------------------------------

static void *copy_of(tv_guest_pointer bytes, size_t length) {
    char *copy = must(malloc(length + 1));
    if (length > 0) memcpy(copy, (const void *)bytes, length);
    copy[length] = 0;
    return copy;
}

static void keep_output(tv_harness *harness, const tv_harness_output *output) {
    if (harness->processing && harness->batch->record_index != harness->mark_index) {
        harness->mark_index = harness->batch->record_index;
        harness->mark_output = harness->output_count;
    }
    if (harness->output_count == harness->output_capacity) {
        harness->output_capacity = harness->output_capacity ? 2 * harness->output_capacity : 64;
        harness->outputs = must(realloc(harness->outputs, harness->output_capacity * sizeof *harness->outputs));
    }
    tv_harness_output *kept = &harness->outputs[harness->output_count++];
    *kept = *output;
    kept->payload = copy_of((tv_guest_pointer)output->payload, output->payload_bytes);
    kept->attributes = copy_of((tv_guest_pointer)output->attributes, output->attributes_bytes);
}

static void drop_outputs(tv_harness *harness, size_t from) {
    for (size_t index = from; index < harness->output_count; index++) {
        free((void *)(uintptr_t)harness->outputs[index].payload);
        free((void *)(uintptr_t)harness->outputs[index].attributes);
    }
    harness->output_count = from;
}

static const tv_record *record_at_hand(const tv_harness *harness) {
    const uint8_t *at = (const uint8_t *)(harness->batch + 1);
    for (uint32_t index = 0; index < harness->batch->record_index; index++)
        at += ((const tv_record *)(const void *)at)->size_bytes;
    return (const tv_record *)(const void *)at;
}

static int32_t import_emit(void *user, const tv_emit_request *request) {
    tv_harness *harness = user;
    uint8_t attributes[2 * TV_ATTRIBUTES_BYTES_LIMIT];
    tv_harness_output output = {.payload = (const char *)request->payload,
                                .payload_bytes = request->payload_bytes,
                                .attributes = (const uint8_t *)request->attributes,
                                .attributes_bytes = request->attributes_bytes,
                                .event_time_ns = request->event_time_ns,
                                .key = request->key,
                                .port = request->port,
                                .kind = request->kind};
    if (request->attributes_bytes % 8 != 0 || request->attributes_bytes > TV_ATTRIBUTES_BYTES_LIMIT)
        return TV_ABI_INVALID;
    if (harness->room_left == 0) return TV_ABI_FULL;
    if (harness->room_left != UINT32_MAX) harness->room_left--;
    if (request->flags & TV_FLAG_INHERIT_ATTRIBUTES && harness->processing) {
        const tv_record *record = record_at_hand(harness);
        memcpy(attributes, record + 1, record->attributes_bytes);
        if (request->attributes_bytes)
            memcpy(attributes + record->attributes_bytes, (const void *)request->attributes, request->attributes_bytes);
        output.attributes = attributes;
        output.attributes_bytes += record->attributes_bytes;
    }
    if (harness->on_output)
        harness->on_output(harness->on_output_user, &output);
    else
        keep_output(harness, &output);
    return TV_ABI_OK;
}

static void import_log(void *user, int32_t level, const char *text, uint32_t length) {
    static const char *const names[] = {"trace", "debug", "info", "warn", "error"};
    tv_harness *harness = user;
    size_t room = sizeof harness->log - harness->log_length;
    int written = snprintf(harness->log + harness->log_length, room, "%s: %.*s\n",
                           level >= 0 && level <= 4 ? names[level] : "?", (int)length, text);
    if (written > 0) harness->log_length += (size_t)written < room ? (size_t)written : room - 1;
}

static int64_t import_clock(void *user, int32_t id) {
    const tv_harness *harness = user;
    return id == TV_CLOCK_REALTIME ? harness->realtime_ns : harness->monotonic_ns;
}

static bool named(const char *name, const char *text, uint32_t length) {
    return strlen(name) == length && memcmp(name, text, length) == 0;
}

static int32_t import_config_get(void *user, const char *path, uint32_t length, char *out, uint32_t capacity) {
    const tv_harness *harness = user;
    for (size_t index = 0; index < harness->config_count; index++) {
        if (!named(harness->config[index].path, path, length)) continue;
        size_t size = strlen(harness->config[index].value);
        if (size > 0 && size <= capacity) memcpy(out, harness->config[index].value, size);
        return (int32_t)size;
    }
    return TV_ABI_NOT_FOUND;
}

static int64_t import_asset_size(void *user, const char *name, uint32_t length) {
    const tv_harness *harness = user;
    for (size_t index = 0; index < harness->asset_count; index++)
        if (named(harness->assets[index].name, name, length)) return (int64_t)harness->assets[index].size;
    return TV_ABI_NOT_FOUND;
}

static int32_t import_asset_read(void *user, const char *name, uint32_t length, int64_t offset, void *out,
                                 uint32_t capacity) {
    const tv_harness *harness = user;
    for (size_t index = 0; index < harness->asset_count; index++) {
        if (!named(harness->assets[index].name, name, length)) continue;
        if (offset < 0 || (uint64_t)offset >= harness->assets[index].size) return 0;
        size_t left = harness->assets[index].size - (size_t)offset;
        size_t count = left < capacity ? left : capacity;
        memcpy(out, harness->assets[index].bytes + offset, count);
        return (int32_t)count;
    }
    return TV_ABI_NOT_FOUND;
}

static int32_t import_counter(void *user, const char *name, uint32_t length) {
    tv_harness *harness = user;
    for (size_t index = 0; index < harness->counter_count; index++)
        if (named(harness->counters[index].name, name, length)) return (int32_t)index;
    if (harness->counter_count == TV_COUNTERS_MAX || length == 0 || length > TV_NAME_BYTES_MAX) return TV_ABI_LIMIT;
    memcpy(harness->counters[harness->counter_count].name, name, length);
    return (int32_t)harness->counter_count++;
}

static int32_t import_counter_add(void *user, int32_t counter, int64_t delta) {
    tv_harness *harness = user;
    if (counter < 0 || (size_t)counter >= harness->counter_count) return TV_ABI_NOT_FOUND;
    if (delta < 0) return TV_ABI_INVALID;
    harness->counters[counter].sum += delta;
    return TV_ABI_OK;
}

static int32_t import_forward(void *user, int32_t port) {
    tv_harness *harness = user;
    if (!harness->processing) return TV_ABI_STATE;
    const tv_record *record = record_at_hand(harness);
    tv_emit_request request = {.event_time_ns = record->event_time_ns,
                               .key = record->key,
                               .payload = (tv_guest_pointer)(record + 1) + record->attributes_bytes,
                               .payload_bytes = record->payload_bytes,
                               .port = (uint16_t)port,
                               .flags = TV_FLAG_INHERIT_ATTRIBUTES};
    return import_emit(harness, &request);
}

static int32_t import_reject(void *user, const char *reason, uint32_t length) {
    tv_harness *harness = user;
    if (!harness->processing) return TV_ABI_STATE;
    if (harness->reject_count == harness->reject_capacity) {
        harness->reject_capacity = harness->reject_capacity ? 2 * harness->reject_capacity : 64;
        harness->rejects = must(realloc(harness->rejects, harness->reject_capacity * sizeof *harness->rejects));
    }
    tv_harness_reject *reject = &harness->rejects[harness->reject_count++];
    reject->record = harness->consumed + harness->batch->record_index;
    snprintf(reject->reason, sizeof reject->reason, "%.*s", (int)length, reason);
    return TV_ABI_OK;
}

static int32_t import_timer_set(void *user, int64_t delay_ns) {
    tv_harness *harness = user;
    harness->timer_ns = delay_ns < 0 ? -1 : delay_ns;
    return TV_ABI_OK;
}

// ---- opening ------------------------------------------------------------------------------------------------

// ISO C has no conversion from dlsym's object pointer to a function pointer; POSIX promises that this works.
static void look_up(tv_harness *harness, const char *name, void *function, size_t size) {
    void *symbol = dlsym(harness->library, name);
    memcpy(function, &symbol, size);
}

tv_harness *tv_harness_open(const char *path, char *error, size_t capacity) {
    tv_harness *harness = must(calloc(1, sizeof *harness));
    harness->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!harness->library) {
        snprintf(error, capacity, "%s", dlerror());
        free(harness);
        return NULL;
    }
#define LOOK_UP(field, name) look_up(harness, name, &harness->exports.field, sizeof harness->exports.field)
    LOOK_UP(arena, "tv_arena");
    LOOK_UP(init, "tv_init");
    LOOK_UP(process, "tv_process");
    LOOK_UP(resume, "tv_resume");
    LOOK_UP(pull, "tv_pull");
    LOOK_UP(tick, "tv_tick");
    LOOK_UP(close, "tv_close");
#undef LOOK_UP
    look_up(harness, "tv_native", &harness->table, sizeof harness->table);
    const char *state;
    look_up(harness, "tv_description_state", &state, sizeof state);
    harness->stateless = state != NULL && strcmp(state, "state=none\n") == 0;
    look_up(harness, "tv_description", &harness->description, sizeof harness->description);
    if (!harness->exports.arena || !harness->table || (!harness->exports.process && !harness->exports.pull)) {
        snprintf(error, capacity, "%s: no native component (tv_arena, tv_native, tv_process or tv_pull missing)", path);
        dlclose(harness->library);
        free(harness);
        return NULL;
    }
    harness->imports = (tv_native_imports){harness,        import_emit,        import_forward,    import_log,
                                           import_clock,   import_config_get,  import_asset_size, import_asset_read,
                                           import_counter, import_counter_add, import_reject,     import_timer_set};
    *harness->table = &harness->imports;
    harness->room = UINT32_MAX;
    harness->timer_ns = -1;
    tv_harness_batch(harness, 128, 65536);
    return harness;
}

void tv_harness_close(tv_harness *harness) {
    if (!harness) return;
    tv_harness_clear(harness);
    free(harness->outputs);
    free(harness->rejects);
    free(harness->waiting);
    dlclose(harness->library);
    free(harness);
}

void tv_harness_config(tv_harness *harness, const char *path, const char *value) {
    if (harness->config_count == HARNESS_CONFIG_MAX) abort();
    snprintf(harness->config[harness->config_count].path, sizeof harness->config[0].path, "%s", path);
    snprintf(harness->config[harness->config_count].value, sizeof harness->config[0].value, "%s", value);
    harness->config_count++;
}

void tv_harness_asset(tv_harness *harness, const char *name, const void *bytes, size_t size) {
    if (harness->asset_count == HARNESS_ASSETS_MAX) abort();
    harness->assets[harness->asset_count].name = name;
    harness->assets[harness->asset_count].bytes = bytes;
    harness->assets[harness->asset_count].size = size;
    harness->asset_count++;
}

void tv_harness_batch(tv_harness *harness, uint32_t records, uint32_t bytes) {
    harness->batch_records_max = records;
    harness->batch_bytes_max = bytes;
    free(harness->waiting);
    harness->waiting = must(aligned_alloc(8, (bytes + 7u) / 8u * 8u));
}

int32_t tv_harness_start(tv_harness *harness) {
    harness->batch = (tv_batch *)harness->exports.arena((uint32_t)sizeof(tv_batch) + harness->batch_bytes_max);
    if (!harness->batch) return TV_ABI_FAILED;
    return harness->exports.init ? harness->exports.init() : 0;
}

void tv_harness_room(tv_harness *harness, uint32_t records) { harness->room = records; }

void tv_harness_on_output(tv_harness *harness, void (*on_output)(void *user, const tv_harness_output *output),
                          void *user) {
    harness->on_output = on_output;
    harness->on_output_user = user;
}

void tv_harness_set_clock(tv_harness *harness, int64_t realtime_ns, int64_t monotonic_ns) {
    harness->realtime_ns = realtime_ns;
    harness->monotonic_ns = monotonic_ns;
}

// ---- calls --------------------------------------------------------------------------------------------------

// Resumes while the component asks for it.
static int32_t resume_all(tv_harness *harness, int32_t answer) {
    int32_t more = answer;
    harness->processing = false;
    for (uint32_t count = 0; more >= 0 && more & TV_ABI_MORE; count++) {
        if (count == HARNESS_RESUMES_MAX || !harness->exports.resume) return TV_ABI_FAILED;
        harness->room_left = harness->room;
        harness->resumes++;
        more = harness->exports.resume();
    }
    return more < 0 ? more : answer < 0 ? answer : answer & ~TV_ABI_MORE;
}

static void deliver(tv_harness *harness, const uint8_t *records, uint32_t bytes, uint32_t count) {
    memset(harness->batch, 0, sizeof *harness->batch);
    memcpy(harness->batch + 1, records, bytes);
    harness->batch->record_count = count;
    harness->batch->records_bytes = bytes;
    harness->batch->allowance_records = harness->room;
    harness->batch->allowance_bytes = UINT32_MAX;
    harness->batch->arrival_ns = harness->realtime_ns;
    harness->room_left = harness->room;
    harness->processing = true;
    harness->mark_index = UINT32_MAX;
}

static uint32_t bytes_of(const uint8_t *records, uint32_t count) {
    uint32_t bytes = 0;
    for (; count > 0; count--)
        bytes += ((const tv_record *)(const void *)(records + bytes))->size_bytes;
    return bytes;
}

int32_t tv_harness_run(tv_harness *harness) {
    int32_t answer = 0;
    uint32_t stuck = 0;
    while (harness->waiting_count > 0) {
        deliver(harness, harness->waiting, harness->waiting_bytes, harness->waiting_count);
        harness->calls++;
        answer = resume_all(harness, harness->exports.process((int32_t)harness->waiting_count));
        uint32_t consumed = answer < 0 ? harness->waiting_count : (uint32_t)answer & TV_ABI_COUNT_MASK;
        if (consumed > harness->waiting_count) return TV_ABI_FAILED;
        if (harness->stateless && harness->mark_index != UINT32_MAX && harness->mark_index >= consumed)
            drop_outputs(harness, harness->mark_output); // contract 4.3
        stuck = consumed == 0 ? stuck + 1 : 0;
        uint32_t bytes = bytes_of(harness->waiting, consumed);
        memmove(harness->waiting, harness->waiting + bytes, harness->waiting_bytes - bytes);
        harness->waiting_bytes -= bytes;
        harness->waiting_count -= consumed;
        harness->consumed += consumed;
        if (answer < 0 || stuck > 1000) return answer < 0 ? answer : TV_ABI_FAILED;
    }
    return answer;
}

static void wait_record(tv_harness *harness, const tv_record *head, const void *attributes, const void *payload) {
    if (harness->waiting_count == harness->batch_records_max ||
        harness->waiting_bytes + head->size_bytes > harness->batch_bytes_max)
        (void)tv_harness_run(harness);
    if (harness->waiting_bytes + head->size_bytes > harness->batch_bytes_max) abort();
    uint8_t *at = harness->waiting + harness->waiting_bytes;
    memset(at, 0, head->size_bytes);
    memcpy(at, head, sizeof *head);
    if (head->attributes_bytes) memcpy(at + sizeof *head, attributes, head->attributes_bytes);
    if (head->payload_bytes) memcpy(at + sizeof *head + head->attributes_bytes, payload, head->payload_bytes);
    harness->waiting_bytes += head->size_bytes;
    harness->waiting_count++;
}

void tv_harness_feed_with(tv_harness *harness, int64_t event_time_ns, uint64_t key, const void *attributes,
                          uint16_t attributes_bytes, const void *payload, uint32_t bytes) {
    tv_record head = {.size_bytes = ((uint32_t)sizeof head + attributes_bytes + bytes + 7u) & ~7u,
                      .payload_bytes = bytes,
                      .attributes_bytes = attributes_bytes,
                      .kind = TV_KIND_DATA,
                      .port = harness->input,
                      .event_time_ns = event_time_ns,
                      .key = key,
                      .sequence = ++harness->sequence,
                      .origin_sequence = harness->sequence};
    wait_record(harness, &head, attributes, payload);
}

void tv_harness_input(tv_harness *harness, uint16_t input) { harness->input = input; }

void tv_harness_feed(tv_harness *harness, int64_t event_time_ns, uint64_t key, const void *payload, uint32_t bytes) {
    tv_harness_feed_with(harness, event_time_ns, key, NULL, 0, payload, bytes);
}

void tv_harness_feed_text(tv_harness *harness, const char *text) {
    tv_harness_feed(harness, TV_NO_EVENT_TIME, 0, text, (uint32_t)strlen(text));
}

int32_t tv_harness_watermark(tv_harness *harness, int64_t time_ns) {
    int32_t answer = tv_harness_run(harness);
    if (answer < 0) return answer;
    tv_record head = {.size_bytes = sizeof head, .kind = TV_KIND_WATERMARK, .event_time_ns = time_ns};
    wait_record(harness, &head, NULL, NULL);
    return tv_harness_run(harness);
}

int32_t tv_harness_pull(tv_harness *harness, uint32_t max) {
    harness->room_left = harness->room;
    return resume_all(harness, harness->exports.pull((int32_t)max));
}

int32_t tv_harness_tick(tv_harness *harness, int64_t now_ns) {
    harness->room_left = harness->room;
    harness->timer_ns = -1;
    harness->monotonic_ns = now_ns;
    return harness->exports.tick ? resume_all(harness, harness->exports.tick(now_ns)) : TV_ABI_STATE;
}

int32_t tv_harness_end(tv_harness *harness) {
    int32_t answer = tv_harness_run(harness);
    if (answer < 0 || !harness->exports.close) return answer < 0 ? answer : 0;
    harness->room_left = harness->room;
    return resume_all(harness, harness->exports.close());
}

// ---- what happened ------------------------------------------------------------------------------------------

size_t tv_harness_output_count(const tv_harness *harness) { return harness->output_count; }
const tv_harness_output *tv_harness_output_at(const tv_harness *harness, size_t index) {
    return &harness->outputs[index];
}
size_t tv_harness_reject_count(const tv_harness *harness) { return harness->reject_count; }
const tv_harness_reject *tv_harness_reject_at(const tv_harness *harness, size_t index) {
    return &harness->rejects[index];
}
const char *tv_harness_log(const tv_harness *harness) { return harness->log; }
int64_t tv_harness_timer(const tv_harness *harness) { return harness->timer_ns; }
uint32_t tv_harness_calls(const tv_harness *harness) { return harness->calls; }
uint32_t tv_harness_resumes(const tv_harness *harness) { return harness->resumes; }
const char *tv_harness_description(const tv_harness *harness) { return harness->description; }

int64_t tv_harness_counter(const tv_harness *harness, const char *name) {
    for (size_t index = 0; index < harness->counter_count; index++)
        if (strcmp(harness->counters[index].name, name) == 0) return harness->counters[index].sum;
    return 0;
}

void tv_harness_clear(tv_harness *harness) {
    drop_outputs(harness, 0);
    harness->reject_count = 0;
    harness->log_length = 0;
    harness->log[0] = 0;
}
