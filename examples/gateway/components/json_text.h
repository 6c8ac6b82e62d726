// Parts of the JSON that leaves the gateway, shared by the aggregator and the sink.
#ifndef GATEWAY_JSON_TEXT_H
#define GATEWAY_JSON_TEXT_H

#include <torvyn/json.h>

#include "reading.h"

// `digits` significant digits (at most 9 decimals), no trailing zeros; very large and very small numbers exactly.
static inline void put_number(tv_json_writer *json, const char *name, double value, uint32_t digits) {
    char text[TV_NUMBER_BYTES_MAX + 16];
    double size = value < 0 ? -value : value, power = 1;
    uint32_t length, whole = 1;
    if (!(size < 1e15) || size < 1e-3) {
        tv_json_member_f64(json, name, value == 0 ? 0.0 : value);
        return;
    }
    while (size >= power * 10)
        power *= 10, whole++;
    uint32_t decimals = whole >= digits ? 0 : digits - whole;
    length = tv_write_fixed(text, value, decimals > 9 ? 9 : decimals);
    if (decimals > 0) {
        while (text[length - 1] == '0')
            length--;
        if (text[length - 1] == '.') length--;
    }
    tv_json_member_raw(json, name, (tv_string){text, length});
}

// "device":...,"metric":...,"site":...,"unit":... of a reading, as far as it has them.
static inline void put_identity(tv_json_writer *json, const reading *r) {
    tv_json_member_string(json, "device", reading_device(r));
    if (r->metric_bytes > 0) tv_json_member_string(json, "metric", reading_metric(r));
    if (r->site_bytes > 0) tv_json_member_string(json, "site", reading_site(r));
    if (r->unit_bytes > 0) tv_json_member_string(json, "unit", reading_unit(r));
}

// "tags":{...} if there are any.
static inline void put_tags(tv_json_writer *json, const reading *r) {
    if (r->tags_bytes == 0) return;
    tv_json_key(json, "tags");
    tv_json_object(json);
    tv_json_raw(json, reading_tags(r));
    tv_json_object_end(json);
}

// "method":...,"methods":[...],"score":... of a flagged reading.
static inline void put_verdict(tv_json_writer *json, const reading *r) {
    tv_json_member_string(json, "method", tv_string_of(reading_method_name(r->method)));
    tv_json_key(json, "methods");
    tv_json_array(json);
    for (unsigned m = METHOD_RANGE; m < METHOD_COUNT; m++) {
        if (r->methods >> m & 1) tv_json_put_string(json, tv_string_of(reading_method_name(m)));
    }
    tv_json_array_end(json);
    put_number(json, "score", (double)r->score, 4);
}

#endif
