// Unknown configuration keys: reported with their path and the nearest key there is, like the host does for its own.
#include "torvyn/json.h"
#include "torvyn/torvyn.h"

enum { OBJECT_BYTES_MAX = 16384, NAME_BYTES_MAX = 63 };

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

// Edit distance; names longer than the maximum count as far from everything.
static uint32_t distance(tv_string a, const char *b) {
    uint32_t row[NAME_BYTES_MAX + 1];
    uint32_t length = (uint32_t)strlen(b);
    if (length > NAME_BYTES_MAX || a.length > NAME_BYTES_MAX) return NAME_BYTES_MAX;
    for (uint32_t j = 0; j <= length; j++)
        row[j] = j;
    for (uint32_t i = 0; i < a.length; i++) {
        uint32_t diagonal = row[0];
        row[0] = i + 1;
        for (uint32_t j = 0; j < length; j++) {
            uint32_t changed = diagonal + (a.bytes[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = least(changed, least(row[j], diagonal) + 1);
        }
    }
    return row[length];
}

static bool is_known(tv_string name, const char *const *known) {
    for (; *known; known++)
        if (tv_string_is(name, *known)) return true;
    return false;
}

static void report(const char *path, tv_string name, const char *const *known) {
    const char *nearest = NULL;
    uint32_t best = name.length / 3 + 2;
    for (; *known; known++) {
        uint32_t steps = distance(name, *known);
        if (steps >= best) continue;
        best = steps;
        nearest = *known;
    }
    const char *at = tv_path("%s%s%.*s", path, *path == 0 ? "" : ".", (int)name.length, name.bytes);
    if (nearest)
        (void)tv_config_fail(at, "unknown key; did you mean '%s'?", nearest);
    else
        (void)tv_config_fail(at, "unknown key");
}

void tv_config_keys(const char *path, const char *const *known) {
    static char object[OBJECT_BYTES_MAX];
    tv_json_value value;
    tv_json_error error;
    int32_t length = tv_host_config_get(path, (uint32_t)strlen(path), object, sizeof object);
    if (length < 0) return;
    if (length > OBJECT_BYTES_MAX) {
        (void)tv_config_fail(path, "%d bytes, but at most %d are possible", (int)length, (int)OBJECT_BYTES_MAX);
        return;
    }
    if (!tv_json_read_value((tv_string){object, (uint32_t)length}, &value, &error) || value.type != TV_JSON_OBJECT) {
        (void)tv_config_fail(path, "expected a mapping");
        return;
    }
    for (tv_json_walk walk = tv_json_begin(&value); tv_json_next(&walk);)
        if (!is_known(walk.key.text, known)) report(path, walk.key.text, known);
}
