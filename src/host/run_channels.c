// The I/O thread's side of a run: opens connectors, serves those that are ready, notices what has been delivered.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/runner.h"

// What could not be opened, and for which channel.
static tv_status explain(const tv_host_channel *channel, tv_error *error) {
    tv_error cause = *error;
    tv_error_set(error, cause.status, "channel %s: %.900s%s", channel->place, cause.message,
                 cause.os_errno == EMFILE ? "; raise the limit (ulimit -n, or LimitNOFILE= of systemd)" : "");
    error->os_errno = cause.os_errno;
    return error->status;
}

tv_status tv_host_channel_open(tv_host_channel *channel, const void *options, tv_error *error) {
    tv_connector_config config = {
        .loop = &channel->runner->loop, .options = options, .clock = tv_clock_system(), .place = channel->place};
    tv_channel_set_connector(channel->channel, channel);
    tv_status status = channel->connector->open(&config, channel->channel, &channel->state, error);
    if (status != TV_OK) return explain(channel, error);
    channel->open = true;
    return TV_OK;
}

void tv_host_channels_serve(tv_host_runner *runner) {
    tv_channel *next = tv_ready_list_take(&runner->ready);
    while (next) {
        tv_host_channel *channel = tv_channel_connector(next);
        next = tv_channel_next_ready(next);
        if (channel && channel->open && !channel->closing) channel->connector->ready(channel->state);
    }
}

void tv_host_channel_stop(tv_host_channel *channel) {
    if (!channel->open || channel->stopped || channel->direction != TV_INPUT) return;
    channel->stopped = true;
    if (channel->connector->stop) channel->connector->stop(channel->state);
}

bool tv_host_channel_delivered(tv_host_channel *channel, bool needs_end) {
    const tv_record *first;
    uint32_t bytes, records;
    if (!channel->open || tv_channel_failed(channel->channel)) return true;
    tv_status status = tv_channel_peek(channel->channel, &first, &bytes, &records);
    return status == TV_EOF || (status == TV_EMPTY && !needs_end);
}

// ---- closing ------------------------------------------------------------------------------------------------

static void on_closed(void *user) {
    tv_host_channel *channel = user;
    channel->open = false;
    channel->state = NULL;
    uv_async_send(&channel->runner->wake); // handles close behind the loop's check: look once more
}

// The connector is gone after close; what it has to report is taken before.
static void take_figure(void *user, const char *name, uint64_t value) {
    tv_host_channel *channel = user;
    if (channel->figure_count == TV_HOST_FIGURES_MAX) return;
    tv_host_figure *figure = &channel->figures[channel->figure_count++];
    snprintf(figure->name, sizeof figure->name, "%s", name);
    figure->value = value;
}

static void close_channel(tv_host_channel *channel) {
    if (!channel->open || channel->closing) return;
    channel->closing = true;
    if (channel->connector->figures) channel->connector->figures(channel->state, take_figure, channel);
    channel->connector->close(channel->state, on_closed, channel);
}

void tv_host_channels_close(tv_host_runner *runner) {
    for (size_t f = 0; f < runner->flows_made; f++)
        for (size_t c = 0; c < runner->flows[f].model->channel_count; c++)
            close_channel(&runner->flows[f].channels[c]);
    for (size_t i = 0; i < runner->dead_letters.count; i++)
        close_channel(&runner->dead_letters.channels[i]);
}

bool tv_host_channels_closed(const tv_host_runner *runner) {
    for (size_t f = 0; f < runner->flows_made; f++)
        for (size_t c = 0; c < runner->flows[f].model->channel_count; c++)
            if (runner->flows[f].channels[c].open) return false;
    for (size_t i = 0; i < runner->dead_letters.count; i++)
        if (runner->dead_letters.channels[i].open) return false;
    return true;
}

// ---- first record out -----------------------------------------------------------------------------------------

// A record has left when the front of the queue has moved on.
static bool has_moved(tv_host_channel *channel) {
    const tv_record *first = NULL;
    uint32_t bytes, records;
    if (channel->direction != TV_OUTPUT || !channel->open) return false;
    tv_status status = tv_channel_peek(channel->channel, &first, &bytes, &records);
    const tv_record *before = channel->front;
    channel->front = status == TV_OK ? first : NULL;
    return before && before != channel->front;
}

void tv_host_channels_watch_first(tv_host_runner *runner) {
    if (runner->first_out_ns) return;
    for (size_t f = 0; f < runner->flows_made; f++)
        for (size_t c = 0; c < runner->flows[f].model->channel_count; c++)
            if (has_moved(&runner->flows[f].channels[c])) {
                runner->first_out_ns = tv_clock_monotonic_ns(tv_clock_system());
                return;
            }
}
