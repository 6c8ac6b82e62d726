// The I/O thread's side of a run: opens connectors, serves those that are ready, notices what has been delivered.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/runner.h"

// ---- messages from the workers --------------------------------------------------------------------------------

void tv_host_message_post(tv_host_runner *runner, tv_host_message *message) {
    if (tv_inbox_put(&runner->messages, &message->item) && runner->loop_open) tv_host_wake(runner);
}

void tv_host_messages_receive(tv_host_runner *runner) {
    for (tv_inbox_item *item = tv_inbox_take(&runner->messages), *next; item; item = next) {
        tv_host_message *message = TV_INBOX_OWNER(item, tv_host_message, item);
        next = item->next; // the receiver may free it
        message->receive(message);
    }
}

// ---- opening --------------------------------------------------------------------------------------------------

// What could not be opened, and for which channel.
static tv_status explain(const tv_host_channel *channel, tv_error *error) {
    tv_error cause = *error;
    tv_error_set(error, cause.status, "channel %s: %.900s%s", tv_channel_name(channel->channel), cause.message,
                 cause.os_errno == EMFILE ? "; raise the limit (ulimit -n, or LimitNOFILE= of systemd)" : "");
    error->os_errno = cause.os_errno;
    return error->status;
}

// The place that all channels of a connector have in common.
static void **shared_by(tv_host_runner *runner, const tv_connector *connector) {
    size_t count;
    const tv_connector *const *connectors = tv_host_connectors(&count);
    TV_ASSERT(count <= TV_HOST_CONNECTORS_MAX);
    for (size_t i = 0; i < count; i++)
        if (connectors[i] == connector) return &runner->shared[i];
    return NULL;
}

tv_status tv_host_channel_open(tv_host_channel *channel, const void *options, tv_error *error) {
    tv_connector_config config = {.loop = &channel->runner->loop,
                                  .options = options,
                                  .clock = tv_clock_system(),
                                  .place = tv_channel_name(channel->channel),
                                  .shared = shared_by(channel->runner, channel->connector)};
    tv_channel_set_connector(channel->channel, channel);
    tv_status status = channel->connector->open(&config, channel->channel, &channel->state, error);
    if (status != TV_OK) return explain(channel, error);
    channel->open = true;
    if (channel->flow) channel->flow->channels_open++;
    return TV_OK;
}

// ---- first record out -----------------------------------------------------------------------------------------

static const tv_record *front_of(tv_host_channel *channel) {
    const tv_record *first = NULL;
    uint32_t bytes, records;
    return tv_channel_peek(channel->channel, &first, &bytes, &records) == TV_OK ? first : NULL;
}

// A record has left when the front of its queue has moved on.
void tv_host_channels_watch_first(tv_host_runner *runner) {
    if (runner->first_out_ns) return;
    for (size_t i = 0; i < runner->watched_count; i++)
        if (!runner->watched[i].channel->open || front_of(runner->watched[i].channel) != runner->watched[i].front)
            runner->first_out_ns = tv_clock_monotonic_ns(tv_clock_system());
}

static void watch(tv_host_runner *runner, tv_host_channel *channel) {
    if (channel->direction != TV_OUTPUT || !channel->flow || runner->watched_count == TV_HOST_WATCHED_MAX) return;
    const tv_record *front = front_of(channel);
    if (!front) return;
    runner->watched[runner->watched_count].channel = channel;
    runner->watched[runner->watched_count++].front = front;
}

// ---- serving --------------------------------------------------------------------------------------------------

// An output whose end has been taken; or whose connector can take no more.
static void notice_end(tv_host_channel *channel) {
    const tv_record *first;
    uint32_t bytes, records;
    if (channel->delivered || channel->direction != TV_OUTPUT || !channel->flow) return;
    if (!tv_channel_failed(channel->channel) && tv_channel_peek(channel->channel, &first, &bytes, &records) != TV_EOF)
        return;
    channel->delivered = true;
    channel->flow->outputs_left--;
    tv_host_flow_advance(channel->flow);
}

static void serve(tv_host_runner *runner, tv_host_channel *channel) {
    if (!channel || !channel->open || channel->closing) return;
    if (!runner->first_out_ns) watch(runner, channel);
    if (tv_channel_went_idle(channel->channel) && channel->connector->trim) channel->connector->trim(channel->state);
    channel->connector->ready(channel->state);
    notice_end(channel);
}

void tv_host_channels_serve(tv_host_runner *runner) {
    tv_channel *next = tv_ready_list_take(&runner->ready);
    while (next) {
        tv_host_channel *channel = tv_channel_connector(next);
        next = tv_channel_next_ready(next);
        serve(runner, channel);
    }
    tv_host_channels_watch_first(runner);
}

void tv_host_channel_stop(tv_host_channel *channel) {
    if (!channel->open || channel->stopped || channel->direction != TV_INPUT) return;
    channel->stopped = true;
    if (channel->connector->stop) channel->connector->stop(channel->state);
}

bool tv_host_channel_delivered(tv_host_channel *channel) {
    const tv_record *first;
    uint32_t bytes, records;
    if (!channel->open || tv_channel_failed(channel->channel)) return true;
    tv_status status = tv_channel_peek(channel->channel, &first, &bytes, &records);
    return status == TV_EOF || status == TV_EMPTY;
}

// ---- closing ------------------------------------------------------------------------------------------------

static void on_closed(void *user) {
    tv_host_channel *channel = user;
    channel->open = false;
    channel->state = NULL;
    tv_host_wake(channel->runner); // handles close behind the loop's check: look once more
    if (!channel->flow) return;
    channel->flow->channels_open--;
    tv_host_flow_advance(channel->flow);
}

static void count_figure(void *user, const char *name, uint64_t value) {
    (void)name;
    (void)value;
    (*(size_t *)user)++;
}

typedef struct figure_room {
    tv_host_figures *figures;
    size_t left;
} figure_room;

static void take_figure(void *user, const char *name, uint64_t value) {
    figure_room *room = user;
    if (!room->left) return;
    room->left--;
    tv_host_figure *figure = &room->figures->items[room->figures->count++];
    snprintf(figure->name, sizeof figure->name, "%s", name);
    figure->value = value;
}

// The connector is gone after close; what it has to report is taken before.
static void take_figures(tv_host_channel *channel) {
    size_t count = 0;
    if (!channel->connector->figures || channel->figures) return;
    channel->connector->figures(channel->state, count_figure, &count);
    if (!count) return;
    channel->figures = calloc(1, sizeof *channel->figures + count * sizeof channel->figures->items[0]);
    figure_room room = {channel->figures, count};
    if (!channel->figures) return;
    channel->connector->figures(channel->state, take_figure, &room);
    tv_trouble trouble;
    if (!tv_host_channel_trouble(channel, &trouble)) return;
    channel->figures->trouble = malloc(sizeof trouble);
    if (channel->figures->trouble) *channel->figures->trouble = trouble;
}

bool tv_host_channel_trouble(const tv_host_channel *channel, tv_trouble *trouble) {
    if (channel->open) return channel->connector->trouble && channel->connector->trouble(channel->state, trouble);
    if (!channel->figures || !channel->figures->trouble) return false;
    *trouble = *channel->figures->trouble;
    return true;
}

void tv_host_channel_close(tv_host_channel *channel) {
    if (!channel->open || channel->closing) return;
    channel->closing = true;
    take_figures(channel);
    channel->connector->close(channel->state, on_closed, channel);
}

// Nobody watches the front of a queue that is no more.
static void unwatch(tv_host_runner *runner, const tv_host_channel *channel) {
    for (size_t i = runner->watched_count; i-- > 0;)
        if (runner->watched[i].channel == channel) runner->watched[i] = runner->watched[--runner->watched_count];
}

void tv_host_channel_free(tv_host_channel *channel) {
    TV_ASSERT(!channel->open);
    if (channel->runner) unwatch(channel->runner, channel);
    tv_channel_free(channel->channel);
    if (channel->figures) free(channel->figures->trouble);
    free(channel->figures);
}

void tv_host_channels_close(tv_host_runner *runner) {
    for (size_t f = runner->flows.count; f-- > 0;)
        tv_host_flow_close(tv_host_flow_at(runner, f));
    for (size_t i = 0; i < runner->dead_letters.count; i++)
        tv_host_channel_close(&runner->dead_letters.channels[i]);
}

bool tv_host_channels_closed(const tv_host_runner *runner) {
    if (runner->flows_unclosed) return false;
    for (size_t i = 0; i < runner->dead_letters.count; i++)
        if (runner->dead_letters.channels[i].open) return false;
    return true;
}
