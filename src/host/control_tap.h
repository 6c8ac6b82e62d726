// What the files control_tap*.c share.
#ifndef TORVYN_HOST_CONTROL_TAP_H
#define TORVYN_HOST_CONTROL_TAP_H

#include "host/control.h"
#include "host/control_regex.h"

typedef struct tv_host_tap_filter {
    const char *contains; // texts are the request's
    tv_host_regex *regex;
    const char *field;
    yyjson_val *equals;
    uint64_t key;
    bool has_key;
} tv_host_tap_filter;

struct tv_host_tap {
    tv_host_tap *next;
    tv_host_control *control;
    tv_server_request *request; // NULL: it has ended
    tv_host_flow *flow;         // valid until it has ended
    tv_tap *tap;
    tv_host_channel channel; // of the tap's queue, for the ready list
    tv_host_message off;
    tv_host_tap_filter filter;
    tv_host_regex_match match; // with the record at the front, of which a part may have been looked at
    uint32_t payload_bytes;
    uint64_t limit, rate; // limit 0: none
    double tokens;
    int64_t tokens_ns, reported_ns;
    uint64_t shown, filtered, skipped, reported;
    bool is_off; // nobody writes any more
};

// ---- which records (control_tap_filter.c) --------------------------------------------------------------------------

typedef struct tv_host_tap_payload {
    const char *bytes;
    uint32_t length;      // that is there
    uint32_t whole;       // that it had
    yyjson_doc *document; // NULL: it is no JSON, or not looked at yet
} tv_host_tap_payload;

// `contains`, `regex`, `field`, `equals`, `key`.
void tv_host_tap_filter_read(tv_server_reader *reader, tv_host_tap_filter *filter);
// Whether the record passes: OK or NOT_FOUND; AGAIN: *work is used up, and *match says how far it is. What it costs is
// taken off *work, about a nanosecond each.
tv_status tv_host_tap_passes(const tv_host_tap_filter *filter, const tv_record *record, tv_host_tap_payload *payload,
                             tv_host_regex_match *match, int64_t *work);
// Into payload->document, if it is all there and JSON.
void tv_host_tap_parse(tv_host_tap_payload *payload);

// ---- how they look (control_tap_show.c) ----------------------------------------------------------------------------

void tv_host_tap_show(tv_host_tap *tap, const tv_record *record, tv_host_tap_payload *payload);

#endif
