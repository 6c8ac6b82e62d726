// For component_test: configuration, assets, attributes.
#include <torvyn/torvyn.h>

TV_COMPONENT("services", "0.1.0", "processor", 256);

static char prefix[16];
static tv_string table;

TV_ON_INIT() {
    (void)tv_config_f64_in("ratio", 0.5, 0, 1);
    (void)tv_config_i64_in("count", 3, 1, 10);
    (void)tv_config_bool("enabled", true);
    (void)tv_config_enum("mode", 0, TV_CHOICES("pass", "drop"));
    (void)tv_config_size("room", 1024, 512, 65536);
    (void)tv_config_string("prefix", "p:", prefix, sizeof prefix);
    uint32_t count = tv_config_length("methods", 2);
    for (uint32_t index = 0; index < count; index++) {
        (void)tv_config_enum(tv_path("methods.%u.kind", index), 0, TV_CHOICES("range", "ewma"));
    }
    table = tv_asset_load("table.txt");
    tv_config_keys("", TV_CHOICES("ratio", "count", "enabled", "mode", "room", "prefix", "methods"));
    if (tv_config_has("broken")) return tv_config_fail("broken", "is not wanted, %d times", 2);
    return TV_OK;
}

TV_ON_RECORD(record) {
    char text[256];
    tv_string topic = {"-", 1}, unit = {"-", 1};
    (void)tv_attribute_find(record, TV_ATTRIBUTE_TOPIC, &topic);
    (void)tv_attribute_named(record, "unit", &unit);
    uint32_t length =
        tv_format(text, sizeof text, "%s%.*s|%.*s|%.*s", prefix, (int)topic.length, topic.bytes, (int)unit.length,
                  unit.bytes, (int)table.length, table.bytes == NULL ? "" : table.bytes);
    tv_attributes attributes = {0};
    if (!tv_attributes_add(&attributes, TV_ATTRIBUTE_CONTENT_TYPE, tv_string_of("text/plain"))) return TV_FAILED;
    if (!tv_attributes_add_named(&attributes, "site", tv_string_of("north"))) return TV_FAILED;
    tv_output output = tv_output_like(record);
    output.payload = text;
    output.payload_bytes = length;
    output.attributes = &attributes;
    return tv_emit_output(&output);
}
