// Which records a tap shows.
#include <stdlib.h>
#include <string.h>

#include "host/control_tap.h"

enum { RECORD_WORK = 100, STEP_WORK = 4 }; // of a record; of a step of an expression

static yyjson_val *step_into(yyjson_val *value, const char *name, size_t length) {
    if (yyjson_is_obj(value)) return yyjson_obj_getn(value, name, length);
    char *end;
    unsigned long index = strtoul(name, &end, 10);
    return yyjson_is_arr(value) && end == name + length ? yyjson_arr_get(value, index) : NULL;
}

static yyjson_val *look_up(yyjson_val *value, const char *path) {
    while (value && *path) {
        size_t length = strcspn(path, ".");
        value = step_into(value, path, length);
        path += length + (path[length] == '.');
    }
    return value;
}

static bool is_equal(yyjson_val *a, yyjson_val *b) {
    if (yyjson_is_num(a) && yyjson_is_num(b)) return yyjson_get_num(a) == yyjson_get_num(b);
    return yyjson_equals(a, b);
}

void tv_host_tap_parse(tv_host_tap_payload *payload) {
    if (payload->document || payload->length < payload->whole) return;
    payload->document = yyjson_read(payload->bytes, payload->length, YYJSON_READ_NOFLAG);
}

static bool has_field(const tv_host_tap_filter *filter, tv_host_tap_payload *payload) {
    tv_host_tap_parse(payload);
    yyjson_val *value = payload->document ? look_up(yyjson_doc_get_root(payload->document), filter->field) : NULL;
    return value && (!filter->equals || is_equal(value, filter->equals));
}

// What is cheap to say of a record, in time linear in its payload.
static bool passes_others(const tv_host_tap_filter *filter, const tv_record *record, tv_host_tap_payload *payload,
                          int64_t *work) {
    *work -= RECORD_WORK;
    if (filter->has_key && record->key != filter->key) return false;
    if (filter->contains || filter->field) *work -= payload->length;
    if (filter->contains && !memmem(payload->bytes, payload->length, filter->contains, strlen(filter->contains)))
        return false;
    return !filter->field || has_field(filter, payload);
}

tv_status tv_host_tap_passes(const tv_host_tap_filter *filter, const tv_record *record, tv_host_tap_payload *payload,
                             tv_host_regex_match *match, int64_t *work) {
    if (match->at == 0 && !passes_others(filter, record, payload, work)) return TV_NOT_FOUND;
    if (!filter->regex) return TV_OK;
    int64_t steps = *work / STEP_WORK + 1;
    int64_t left = steps;
    tv_status status = tv_host_regex_match_on(filter->regex, payload->bytes, payload->length, match, &left);
    *work -= (steps - left) * STEP_WORK;
    if (status != TV_AGAIN) *match = (tv_host_regex_match){0};
    return status;
}

void tv_host_tap_filter_read(tv_server_reader *reader, tv_host_tap_filter *filter) {
    const char *regex = tv_server_text(reader, "regex");
    tv_error error;
    filter->contains = tv_server_text(reader, "contains");
    filter->field = tv_server_text(reader, "field");
    filter->equals = yyjson_obj_get(reader->body, "equals");
    if (filter->equals && !filter->field) tv_server_problem(reader, "`equals` needs `field`");
    // Of lists and objects, comparing costs more than reading.
    if (yyjson_is_ctn(filter->equals))
        tv_server_problem(reader, "`equals` must be a text, a number, true, false or null");
    filter->key = tv_server_number(reader, "key", 0, UINT64_MAX, 0);
    filter->has_key = yyjson_obj_get(reader->body, "key") != NULL;
    if (!regex || reader->problem[0]) return;
    if (tv_host_regex_new(regex, &filter->regex, &error) != TV_OK)
        tv_server_problem(reader, "`regex`: %s", error.message);
}
