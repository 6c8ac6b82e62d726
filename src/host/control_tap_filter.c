// Which records a tap shows.
#include <stdlib.h>
#include <string.h>

#include "host/control_tap.h"

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

static bool matches_regex(const tv_host_tap_filter *filter, const tv_host_tap_payload *payload) {
    regmatch_t whole = {.rm_so = 0, .rm_eo = (regoff_t)payload->length};
    return regexec(&filter->regex, payload->bytes, 1, &whole, REG_STARTEND) == 0;
}

void tv_host_tap_parse(tv_host_tap_payload *payload) {
    if (payload->document || payload->length < payload->whole) return;
    payload->document = yyjson_read(payload->bytes, payload->length, YYJSON_READ_NOFLAG);
}

bool tv_host_tap_passes(const tv_host_tap_filter *filter, const tv_record *record, tv_host_tap_payload *payload) {
    if (filter->has_key && record->key != filter->key) return false;
    if (filter->contains && !memmem(payload->bytes, payload->length, filter->contains, strlen(filter->contains)))
        return false;
    if (filter->has_regex && !matches_regex(filter, payload)) return false;
    if (!filter->field) return true;
    tv_host_tap_parse(payload);
    yyjson_val *value = payload->document ? look_up(yyjson_doc_get_root(payload->document), filter->field) : NULL;
    return value && (!filter->equals || is_equal(value, filter->equals));
}

void tv_host_tap_filter_read(tv_server_reader *reader, tv_host_tap_filter *filter) {
    const char *regex = tv_server_text(reader, "regex");
    filter->contains = tv_server_text(reader, "contains");
    filter->field = tv_server_text(reader, "field");
    filter->equals = yyjson_obj_get(reader->body, "equals");
    if (filter->equals && !filter->field) tv_server_problem(reader, "`equals` needs `field`");
    filter->key = tv_server_number(reader, "key", 0, UINT64_MAX, 0);
    filter->has_key = yyjson_obj_get(reader->body, "key") != NULL;
    if (!regex || reader->problem[0]) return;
    int failed = regcomp(&filter->regex, regex, REG_EXTENDED | REG_NOSUB);
    filter->has_regex = !failed;
    if (!failed) return;
    char text[128];
    regerror(failed, &filter->regex, text, sizeof text);
    tv_server_problem(reader, "`regex`: %s", text);
}
