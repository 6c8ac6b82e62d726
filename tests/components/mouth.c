// Test component that says what it is told: a record "reject:TEXT" is rejected with TEXT, "log:TEXT" is logged,
// "count:TEXT" is a counter's name, "trap" traps; anything else is handed on. `refuse` of its config refuses the start.
#include <torvyn/torvyn.h>

TV_COMPONENT("mouth", "1.0.0", "processor", 4096);

TV_ON_INIT() {
    static char why[256];
    if (tv_config_string("refuse", "", why, sizeof why) == 0) return TV_OK;
    return tv_config_fail(why, "%s", why);
}

// What stands behind `word` in the record, if it begins so.
static bool is_told(tv_string text, const char *word, tv_string *rest) {
    size_t length = strlen(word);
    if (text.length < length || memcmp(text.bytes, word, length) != 0) return false;
    *rest = (tv_string){text.bytes + length, text.length - (uint32_t)length};
    return true;
}

TV_ON_RECORD(record) {
    tv_string text = tv_payload_string(record), rest;
    if (is_told(text, "reject:", &rest)) return tv_reject("%.*s", (int)rest.length, rest.bytes);
    if (is_told(text, "trap", &rest)) __builtin_trap();
    if (is_told(text, "log:", &rest)) tv_log(TV_LOG_WARN, "%.*s", (int)rest.length, rest.bytes);
    if (is_told(text, "count:", &rest)) {
        char name[64];
        uint32_t length = rest.length < sizeof name - 1 ? rest.length : (uint32_t)sizeof name - 1;
        memcpy(name, rest.bytes, length);
        name[length] = 0;
        tv_counter_add(tv_counter(name), 1);
    }
    return tv_forward(record);
}
