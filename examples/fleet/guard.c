// One device's guard: a reading outside the device's limits becomes an alert, the first of each excursion. Its limits
// and what to call it come from the configuration, which the pipeline file fills from the device's row.
#include <torvyn/json.h>
#include <torvyn/torvyn.h>

TV_COMPONENT("fleet-guard", "1.0.0", "processor", 512);

enum { FIELD_TIME, FIELD_VALUE, FIELD_COUNT };

static struct {
    tv_json_keys keys;
    char device[64], site[64];
    double low, high;
    bool outside;
    int32_t alerts;
} guard;

TV_ON_INIT() {
    tv_json_keys_add(&guard.keys, "ts");
    tv_json_keys_add(&guard.keys, "value");
    tv_config_string("device", "", guard.device, sizeof guard.device);
    tv_config_string("site", "", guard.site, sizeof guard.site);
    guard.low = tv_config_f64("low", -1e300);
    guard.high = tv_config_f64("high", 1e300);
    guard.alerts = tv_counter("alerts");
    return TV_OK;
}

static tv_string text_of(const char *text) { return (tv_string){text, (uint32_t)strlen(text)}; }

static tv_result alert(const tv_record *record, const tv_json_value *time, double value) {
    char text[400];
    tv_json_writer out = tv_json_writer_of(text, sizeof text);
    tv_json_object(&out);
    tv_json_member_string(&out, "ts", time->text);
    tv_json_member_string(&out, "device", text_of(guard.device));
    tv_json_member_string(&out, "site", text_of(guard.site));
    tv_json_member_fixed(&out, "value", value, 2);
    tv_json_member_fixed(&out, "limit", value < guard.low ? guard.low : guard.high, 2);
    tv_json_object_end(&out);
    if (out.full) return tv_reject("the alert has no room in %u bytes", (unsigned)sizeof text);
    tv_counter_add(guard.alerts, 1);
    return tv_emit_like(record, 0, text, tv_json_length(&out));
}

TV_ON_RECORD(record) {
    tv_json_value values[FIELD_COUNT];
    tv_json_error error;
    double value;
    if (!tv_json_read_object(tv_payload_string(record), &guard.keys, values, &error))
        return tv_reject("not a JSON object");
    if (!tv_json_f64(&values[FIELD_VALUE], &value)) return tv_reject("no number in \"value\"");
    if (values[FIELD_TIME].type != TV_JSON_STRING) return tv_reject("no text in \"ts\"");
    bool was_outside = guard.outside;
    guard.outside = value < guard.low || value > guard.high;
    return guard.outside && !was_outside ? alert(record, &values[FIELD_TIME], value) : TV_OK;
}
