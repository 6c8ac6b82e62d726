// One line on standard error that is written over and over while a pipeline runs on a terminal. Log lines go through
// the same terminal, so the line is cleared before anything else is said by this thread.
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/runner.h"

enum { REFRESH_MS = 500, LINE_BYTES = 512 };

static size_t terminal_columns(void) {
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
    return size.ws_col;
}

// Cursor to the begin of the line, so that a log line overwrites it instead of running on.
static void show(tv_host_runner *runner, char *line) {
    size_t columns = terminal_columns();
    if (strlen(line) >= columns) line[columns - 1] = '\0';
    tv_text shown = {0};
    tv_text_show(&shown, "\r\033[K%s\r", line);
    if (!shown.failed && tv_log_status(shown.bytes, shown.length)) runner->progress_shown = true;
    tv_text_deinit(&shown);
}

void tv_host_progress_clear(tv_host_runner *runner) {
    if (!runner->progress_shown) return;
    tv_log_plain("\r\033[K");
    runner->progress_shown = false;
}

void tv_host_progress_note(tv_host_runner *runner, const char *format, ...) {
    char line[LINE_BYTES];
    if (!runner->options->progress) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    show(runner, line);
}

// Fill of the fullest queue, percent, and which it is.
static unsigned fullest_queue(const tv_host_runner *runner, const char **name) {
    unsigned most = 0;
    *name = "";
    for (size_t f = 0; f < runner->flows.count; f++) {
        const tv_host_flow *flow = tv_host_flow_at(runner, f);
        for (size_t e = 0; e < flow->spec->flow.edge_count; e++) {
            tv_edge_stats stats;
            tv_flow_edge_stats(flow->flow, e, &stats);
            unsigned percent =
                stats.capacity_bytes ? (unsigned)(100ull * stats.queued_bytes / stats.capacity_bytes) : 0;
            if (percent <= most) continue;
            most = percent;
            *name = flow->spec->edge_names[e];
        }
    }
    return most;
}

static void on_progress(uv_timer_t *timer) {
    tv_host_runner *runner = timer->data;
    tv_host_totals totals;
    const char *queue;
    char line[LINE_BYTES];
    int64_t now = tv_clock_monotonic_ns(tv_clock_system());
    tv_host_totals_take(runner, &totals);
    double seconds = (double)(now - runner->progress_ns) / 1e9;
    if (seconds <= 0) return;
    unsigned fill = fullest_queue(runner, &queue);
    snprintf(line, sizeof line, "%s in %llu (%.0f/s), out %llu (%.0f/s), dropped %llu, dead %llu, queue %u %%%s%s",
             runner->phase == TV_PHASE_RUNNING ? "running:" : "finishing:", (unsigned long long)totals.records_in,
             (double)(totals.records_in - runner->progress_in) / seconds, (unsigned long long)totals.records_out,
             (double)(totals.records_out - runner->progress_out) / seconds, (unsigned long long)totals.dropped_all,
             (unsigned long long)totals.dead_lettered, fill, fill ? " " : "", fill ? queue : "");
    runner->progress_in = totals.records_in;
    runner->progress_out = totals.records_out;
    runner->progress_ns = now;
    show(runner, line);
}

void tv_host_progress_stop(tv_host_runner *runner) {
    tv_host_progress_clear(runner);
    if (runner->options->progress) uv_timer_stop(&runner->progress_timer);
}

void tv_host_progress_start(tv_host_runner *runner) {
    if (!runner->options->progress) return;
    tv_host_totals totals;
    tv_host_totals_take(runner, &totals); // asks the flows for figures, which the first line then has
    runner->progress_ns = tv_clock_monotonic_ns(tv_clock_system());
    uv_timer_init(&runner->loop, &runner->progress_timer);
    runner->progress_timer.data = runner;
    uv_timer_start(&runner->progress_timer, on_progress, REFRESH_MS, REFRESH_MS);
}
