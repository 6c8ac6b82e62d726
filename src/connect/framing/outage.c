// Outage: said when it begins, each minute while it lasts, and when it is over, so that whoever comes hours later finds
// it at the end of the log. Short ones that follow each other closely are said once in ten seconds.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "connect/framing/framing.h"

enum { PAUSE_MIN_MS = 100, PAUSE_MAX_MS = 10000 };
static const int64_t begin_interval_ns = 10LL * 1000000000, repeat_interval_ns = 60LL * 1000000000;

static const char *remedy(int os_errno) {
    switch (os_errno) {
    case ENOSPC:
    case EDQUOT: return "free some space";
    case EROFS: return "mount the file system for writing";
    case EFBIG: return "use `rotate_size`, or raise the limit on file sizes";
    case EACCES:
    case EPERM: return "check the permissions";
    case ENOENT: return "create the folder";
    default: return "check the disk";
    }
}

static int64_t lasted_ns(const tv_outage *outage) { return tv_clock_monotonic_ns(outage->clock) - outage->since_ns; }

static void say(tv_outage *outage) {
    char duration[32];
    if (outage->tries == 1)
        tv_log(TV_LEVEL_ERROR, outage->place, "%s: cannot %s: %s; %s. Records are kept and tried again", outage->target,
               outage->step, strerror(outage->os_errno), remedy(outage->os_errno));
    else
        tv_log(TV_LEVEL_ERROR, outage->place,
               "%s: still cannot %s: %s; %s. Records have waited for %s (failed tries: %" PRIu64 ")", outage->target,
               outage->step, strerror(outage->os_errno), remedy(outage->os_errno),
               tv_format_duration(lasted_ns(outage), duration), outage->tries);
    outage->said = true;
    outage->said_ns = tv_clock_monotonic_ns(outage->clock);
}

unsigned tv_outage_note(tv_outage *outage, const char *step, int os_errno) {
    int64_t now_ns = tv_clock_monotonic_ns(outage->clock);
    unsigned doubled = outage->pause_ms * 2;
    if (!outage->pause_ms) outage->since_ns = now_ns;
    outage->pause_ms = doubled == 0 ? PAUSE_MIN_MS : doubled > PAUSE_MAX_MS ? PAUSE_MAX_MS : doubled;
    outage->step = step;
    outage->os_errno = os_errno;
    outage->tries++;
    outage->errors++;
    int64_t quiet_ns = outage->said ? repeat_interval_ns : begin_interval_ns;
    if (outage->errors == 1 || now_ns - outage->said_ns >= quiet_ns) say(outage);
    return outage->pause_ms;
}

void tv_outage_end(tv_outage *outage) {
    char duration[32];
    if (!outage->pause_ms) return;
    if (outage->said)
        tv_log(TV_LEVEL_INFO, outage->place, "%s: writing again after %s (failed tries: %" PRIu64 ")", outage->target,
               tv_format_duration(lasted_ns(outage), duration), outage->tries);
    outage->total_ns += lasted_ns(outage);
    outage->pause_ms = 0;
    outage->tries = 0;
    outage->said = false;
}

bool tv_outage_trouble(const tv_outage *outage, tv_trouble *trouble) {
    if (!outage->pause_ms) return false;
    trouble->for_ns = lasted_ns(outage);
    snprintf(trouble->text, sizeof trouble->text, "cannot %s %.200s: %s; %s", outage->step, outage->target,
             strerror(outage->os_errno), remedy(outage->os_errno));
    return true;
}

void tv_outage_figures(const tv_outage *outage, void (*figure)(void *user, const char *name, uint64_t value),
                       void *user) {
    int64_t all_ns = outage->total_ns + (outage->pause_ms ? lasted_ns(outage) : 0);
    figure(user, "write_errors", outage->errors);
    figure(user, "outage_ms", (uint64_t)all_ns / 1000000);
}
