// The rig: worker's side of a channel through the flow module's own functions, so that connectors meet the real ring.
#include "connect/testing/rig.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "base/base.h"
#include "flow/channel_internal.h"

// ---- loop ---------------------------------------------------------------------------------------------------

static void on_wake(uv_async_t *async) {
    tv_rig *rig = async->data;
    tv_channel *channel = tv_ready_list_take(&rig->ready);
    while (channel) {
        tv_channel *next = tv_channel_next_ready(channel);
        if (rig->state) rig->connector->ready(rig->state);
        channel = next;
    }
}

static void wake(void *user) { assert_int_equal(uv_async_send(user), 0); }

void tv_rig_init_limits(tv_rig *rig, tv_direction direction, tv_overflow overflow, uint32_t capacity_bytes,
                        uint32_t capacity_records, uint32_t record_bytes_max) {
    memset(rig, 0, sizeof *rig);
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    assert_int_equal(uv_async_init(&rig->loop, &rig->wake, on_wake), 0);
    assert_int_equal(uv_timer_init(&rig->loop, &rig->limit), 0);
    assert_int_equal(uv_prepare_init(&rig->loop, &rig->before_poll), 0);
    rig->wake.data = rig->limit.data = rig->before_poll.data = rig;
    tv_virtual_clock_init(&rig->clock, 1700000000LL * 1000000000LL);
    tv_channel_options options = {
        .name = "test",
        .direction = direction,
        .overflow = overflow,
        .capacity_bytes = capacity_bytes ? capacity_bytes : 1 << 22,
        .capacity_records = capacity_records ? capacity_records : TV_RIG_RECORDS_MAX,
        .record_bytes_max = record_bytes_max ? record_bytes_max : TV_RIG_RECORD_BYTES_MAX,
        .pause_percent = 100,
        .resume_percent = 50,
        .memory = &rig->memory,
    };
    tv_error error = {0};
    tv_status status = tv_channel_new(&options, &rig->channel, &error);
    if (status != TV_OK) fail_msg("%s", error.message);
    tv_channel_attach_io(rig->channel, &rig->ready, (tv_channel_wake){wake, &rig->wake});
}

void tv_rig_init(tv_rig *rig, tv_direction direction) {
    tv_rig_init_limits(rig, direction, TV_OVERFLOW_BLOCK, 0, 0, 0);
}

static void give_option(tv_rig *rig, const tv_option_table *table, const char *name, const char *value) {
    const tv_option *option = tv_option_find(table, name);
    if (!option) fail_msg("no option %s", name);
    rig->texts = realloc(rig->texts, (rig->text_count + 1) * sizeof *rig->texts);
    assert_non_null(rig->texts);
    char *text = strdup(value);
    rig->texts[rig->text_count++] = text;
    tv_error error = {0};
    if (tv_option_parse(option, text, rig->options, &error) != TV_OK) fail_msg("%s: %s", name, error.message);
}

tv_status tv_rig_open(tv_rig *rig, const tv_connector *connector, tv_error *error, ...) {
    bool input = tv_channel_direction(rig->channel) == TV_INPUT;
    const tv_option_table *table = input ? &connector->input_options : &connector->output_options;
    free(rig->options);
    rig->options = calloc(1, table->struct_bytes);
    assert_non_null(rig->options);
    tv_error option_error = {0};
    if (tv_option_defaults(table, rig->options, &option_error) != TV_OK) fail_msg("%s", option_error.message);
    va_list arguments;
    va_start(arguments, error);
    for (const char *name; (name = va_arg(arguments, const char *)) != NULL;)
        give_option(rig, table, name, va_arg(arguments, const char *));
    va_end(arguments);
    rig->connector = connector;
    tv_connector_config config = {&rig->loop, rig->options, &rig->clock.clock, "test/channel", NULL};
    return connector->open(&config, rig->channel, &rig->state, error);
}

static void on_closed(void *user) {
    tv_rig *rig = user;
    assert_false(rig->is_closed);
    rig->is_closed = true;
    rig->state = NULL;
}

static bool closed_condition(tv_rig *rig, void *user) {
    (void)user;
    return rig->is_closed;
}

void tv_rig_close(tv_rig *rig) {
    rig->connector->close(rig->state, on_closed, rig);
    tv_rig_run_until(rig, "the connector to close", closed_condition, NULL);
}

void tv_rig_deinit(tv_rig *rig) {
    if (rig->state) tv_rig_close(rig);
    uv_close((uv_handle_t *)&rig->wake, NULL);
    uv_close((uv_handle_t *)&rig->limit, NULL);
    uv_close((uv_handle_t *)&rig->before_poll, NULL);
    assert_int_equal(uv_run(&rig->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&rig->loop), 0); // fails if a connector has left a handle
    tv_channel_free(rig->channel);
    assert_int_equal(tv_memory_account_check_empty(&rig->memory, NULL), TV_OK);
    for (size_t i = 0; i < rig->text_count; i++)
        free(rig->texts[i]);
    free(rig->texts);
    free(rig->options);
}

enum { TV_RIG_LIMIT_MS = 30000 };

static void on_limit(uv_timer_t *timer) { ((tv_rig *)timer->data)->is_late = true; }

// A round of the loop runs timers first and then polls: what a timer has brought about must not wait for an event.
static void on_before_poll(uv_prepare_t *prepare) {
    tv_rig *rig = prepare->data;
    if (rig->condition(rig, rig->condition_user)) uv_stop(&rig->loop);
}

// When the condition holds the loop stands still: what would come next waits for what the test does first.
void tv_rig_run_until(tv_rig *rig, const char *what, bool (*condition)(tv_rig *rig, void *user), void *user) {
    rig->condition = condition;
    rig->condition_user = user;
    uv_prepare_start(&rig->before_poll, on_before_poll);
    uv_update_time(&rig->loop);
    uv_timer_start(&rig->limit, on_limit, TV_RIG_LIMIT_MS, 0);
    while (!condition(rig, user) && !rig->is_late)
        uv_run(&rig->loop, UV_RUN_ONCE);
    uv_timer_stop(&rig->limit);
    uv_prepare_stop(&rig->before_poll);
    if (rig->is_late) fail_msg("waited %d s for %s", TV_RIG_LIMIT_MS / 1000, what);
}

// ---- conditions ---------------------------------------------------------------------------------------------

static bool committed_condition(tv_rig *rig, void *user) {
    return tv_channel_committed(rig->channel) >= *(uint64_t *)user;
}

void tv_rig_run_until_committed(tv_rig *rig, uint64_t messages) {
    char what[64];
    snprintf(what, sizeof what, "%" PRIu64 " messages", messages);
    tv_rig_run_until(rig, what, committed_condition, &messages);
}

bool tv_rig_has_ended(const tv_rig *rig) { return atomic_load(&rig->channel->ended); }

const char *tv_rig_failure(const tv_rig *rig) {
    return atomic_load(&rig->channel->failed) ? tv_channel_failure(rig->channel) : NULL;
}

static bool ended_condition(tv_rig *rig, void *user) {
    (void)user;
    return tv_rig_has_ended(rig);
}

void tv_rig_run_until_ended(tv_rig *rig) { tv_rig_run_until(rig, "the end of the input", ended_condition, NULL); }

static bool failed_condition(tv_rig *rig, void *user) {
    (void)user;
    return tv_rig_failure(rig) != NULL;
}

void tv_rig_run_until_failed(tv_rig *rig) { tv_rig_run_until(rig, "the channel to fail", failed_condition, NULL); }

typedef struct figure_query {
    const char *name;
    uint64_t value;
    bool found;
} figure_query;

static void on_figure(void *user, const char *name, uint64_t value) {
    figure_query *query = user;
    if (strcmp(name, query->name) != 0) return;
    query->value = value;
    query->found = true;
}

uint64_t tv_rig_figure(tv_rig *rig, const char *name) {
    figure_query query = {.name = name};
    rig->connector->figures(rig->state, on_figure, &query);
    if (!query.found) fail_msg("no figure %s", name);
    return query.value;
}

static bool figure_condition(tv_rig *rig, void *user) {
    const figure_query *query = user;
    return tv_rig_figure(rig, query->name) >= query->value;
}

void tv_rig_run_until_figure(tv_rig *rig, const char *name, uint64_t least) {
    figure_query query = {.name = name, .value = least};
    char what[96];
    snprintf(what, sizeof what, "%s to reach %" PRIu64, name, least);
    tv_rig_run_until(rig, what, figure_condition, &query);
}

static bool taken_condition(tv_rig *rig, void *user) {
    (void)user;
    return tv_rig_queued(rig) == 0;
}

void tv_rig_run_until_taken(tv_rig *rig) { tv_rig_run_until(rig, "the output to be taken", taken_condition, NULL); }

static bool quiet_condition(tv_rig *rig, void *user) {
    (void)user;
    return rig->loop.active_reqs.count == 0;
}

void tv_rig_run_until_quiet(tv_rig *rig) {
    uv_run(&rig->loop, UV_RUN_NOWAIT);
    tv_rig_run_until(rig, "requests under way to end", quiet_condition, NULL);
}

// ---- worker's side, input -----------------------------------------------------------------------------------

bool tv_rig_take(tv_rig *rig, char *out, size_t capacity, size_t *length) {
    const uint8_t *end;
    const tv_record *record = tv_ring_front(&rig->channel->ring, &end);
    if (!record) return false;
    assert_true(record->payload_bytes < capacity);
    memcpy(out, tv_record_payload(record), record->payload_bytes);
    out[record->payload_bytes] = 0;
    if (length) *length = record->payload_bytes;
    uint64_t sequence = record->sequence;
    tv_ring_pop(&rig->channel->ring, 1, record->size_bytes);
    tv_channel_popped(rig->channel, sequence);
    return true;
}

int64_t tv_rig_front_time(tv_rig *rig) {
    const uint8_t *end;
    const tv_record *record = tv_ring_front(&rig->channel->ring, &end);
    assert_non_null(record);
    return record->event_time_ns;
}

bool tv_rig_front_attribute(tv_rig *rig, const char *name, char *out, size_t capacity) {
    const uint8_t *end;
    const tv_record *record = tv_ring_front(&rig->channel->ring, &end);
    assert_non_null(record);
    const uint8_t *at = (const uint8_t *)(record + 1), *behind = at + record->attributes_bytes;
    while (at < behind) {
        tv_attribute head;
        memcpy(&head, at, sizeof head);
        const char *text = (const char *)at + sizeof head;
        size_t length = strlen(name);
        at += sizeof head + tv_align_up_u32(head.length, 4);
        assert_true(at <= behind);
        if (head.id != TV_ATTRIBUTE_NAMED || head.length <= length || memcmp(text, name, length) != 0) continue;
        if (text[length] != '=') continue;
        snprintf(out, capacity, "%.*s", (int)(head.length - length - 1), text + length + 1);
        return true;
    }
    return false;
}

void tv_rig_expect_bytes(tv_rig *rig, const void *bytes, size_t length) {
    size_t capacity = rig->channel->record_bytes_max + 1U, taken_length;
    char *taken = malloc(capacity);
    assert_non_null(taken);
    if (!tv_rig_take(rig, taken, capacity, &taken_length)) fail_msg("no message, expected \"%s\"", (const char *)bytes);
    if (taken_length != length || memcmp(taken, bytes, length) != 0)
        fail_msg("message \"%s\", expected \"%.*s\"", taken, (int)length, (const char *)bytes);
    free(taken);
}

void tv_rig_expect(tv_rig *rig, const char *text) { tv_rig_expect_bytes(rig, text, strlen(text)); }

uint64_t tv_rig_take_all(tv_rig *rig) {
    size_t capacity = rig->channel->record_bytes_max + 1U;
    char *taken = malloc(capacity);
    assert_non_null(taken);
    uint64_t count = 0;
    while (tv_rig_take(rig, taken, capacity, NULL))
        count++;
    free(taken);
    return count;
}

uint64_t tv_rig_dropped(const tv_rig *rig, tv_drop_reason reason) {
    return atomic_load(&rig->channel->dropped[reason]);
}

// ---- worker's side, output ----------------------------------------------------------------------------------

void tv_rig_put_bytes(tv_rig *rig, const void *bytes, size_t length, uint8_t kind) {
    uint32_t size = tv_align_up_u32((uint32_t)(sizeof(tv_record) + length), 8);
    uint8_t *place = tv_ring_stage(&rig->channel->ring, size);
    assert_non_null(place);
    memset(place, 0, size);
    tv_record *record = (tv_record *)(void *)place;
    record->size_bytes = size;
    record->payload_bytes = (uint32_t)length;
    record->kind = kind;
    memcpy(place + sizeof *record, bytes, length);
    tv_channel_publish_output(rig->channel);
}

void tv_rig_put(tv_rig *rig, const char *text) { tv_rig_put_bytes(rig, text, strlen(text), TV_KIND_DATA); }

void tv_rig_end_output(tv_rig *rig) { tv_channel_end_output(rig->channel); }

uint64_t tv_rig_queued(const tv_rig *rig) { return tv_ring_used_records(&rig->channel->ring); }

// ---- files --------------------------------------------------------------------------------------------------

static char folder[64];

static void remove_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) fprintf(stderr, "cannot remove %s\n", folder);
}

const char *tv_rig_path(const char *name) {
    static char paths[8][256];
    static unsigned next;
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/torvyn-test-XXXXXX");
        if (!mkdtemp(folder)) fail_msg("cannot make a folder in /tmp");
        atexit(remove_folder);
    }
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int stderr_kept = -1;

void tv_rig_log_begin(void) {
    const char *path = tv_rig_path("log");
    fflush(stderr);
    stderr_kept = dup(STDERR_FILENO);
    FILE *file = fopen(path, "w");
    assert_true(stderr_kept >= 0 && file != NULL);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    fclose(file);
}

char *tv_rig_log_read(void) {
    char *text = tv_rig_read_file(tv_rig_path("log"), NULL);
    assert_non_null(text);
    return text;
}

void tv_rig_log_end(void) {
    assert_int_equal(dup2(stderr_kept, STDERR_FILENO), STDERR_FILENO);
    close(stderr_kept);
}

static void write_with_mode(const char *path, const char *text, const char *mode) {
    FILE *file = fopen(path, mode);
    if (!file) fail_msg("cannot write %s", path);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

void tv_rig_write_file(const char *path, const char *text) { write_with_mode(path, text, "w"); }
void tv_rig_append_file(const char *path, const char *text) { write_with_mode(path, text, "a"); }

char *tv_rig_read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "r");
    if (!file) return NULL;
    char *bytes = NULL;
    size_t used = 0, got = 0;
    do {
        used += got;
        bytes = realloc(bytes, used + 65537);
        assert_non_null(bytes);
        got = fread(bytes + used, 1, 65536, file);
    } while (got > 0);
    fclose(file);
    bytes[used] = 0;
    if (length) *length = used;
    return bytes;
}

void tv_rig_expect_file(const char *path, const char *text) {
    char *bytes = tv_rig_read_file(path, NULL);
    if (!bytes) fail_msg("%s is missing", path);
    assert_string_equal(bytes, text);
    free(bytes);
}
