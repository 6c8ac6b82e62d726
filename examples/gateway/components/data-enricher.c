// data-enricher: adds site, unit, calibrated value and tags from a table (CSV asset) to each reading.
//
// The table is read once, at start; rows that cannot be used are reported with their line and, by configuration,
// skipped or fatal. Columns device, metric (empty: all metrics of the device), site, unit, scale and offset have
// their meaning, all others become tags under their own name. Devices that are not in the table are passed on as they
// are, dropped, or dead-lettered.
#include <torvyn/json.h>
#include <torvyn/torvyn.h>

#include "csv_line.h"
#include "key_table.h"
#include "reading.h"

TV_COMPONENT("data-enricher", "1.0.0", "processor", 512);
TV_STATELESS();

enum { ROWS_MAX = 100000, WARNINGS_MAX = 20, NAME_ROOM = 64 };
enum { ADDED_BYTES_MAX = READING_SITE_BYTES_MAX + READING_UNIT_BYTES_MAX + READING_TAGS_BYTES_MAX };
enum { COLUMN_DEVICE, COLUMN_METRIC, COLUMN_SITE, COLUMN_UNIT, COLUMN_SCALE, COLUMN_OFFSET, COLUMN_COUNT };
static const char *const column_names[COLUMN_COUNT] = {"device", "metric", "site", "unit", "scale", "offset"};

typedef struct row {
    key_entry entry;
    double scale, offset;
    uint8_t site_bytes, unit_bytes;
    uint16_t tags_bytes;
    uint64_t *text; // site, unit, tags: as they stand in a reading, zeros up to the next multiple of 8
} row;

enum { UNKNOWN_PASS, UNKNOWN_DROP, UNKNOWN_DEAD_LETTER };
static int unknown; // one of them: what becomes of readings of unknown devices
static key_table table;
static bool device_rows; // some row is for all metrics of a device
static reading_buffer out, wanted;
static csv_line line;

static struct {
    char asset[NAME_ROOM];
    int columns[COLUMN_COUNT];
    tv_string tag_names[CSV_CELLS_MAX]; // by column; empty = no tag
    uint32_t column_count;
    uint32_t number; // line, from 1
    uint32_t bad_rows;
} loading;

static struct { int32_t unknown_devices, dropped_unknown, bad_rows, not_finite; } counters;

// ---- loading ------------------------------------------------------------------------------------------------

static void bad_row(const char *what, tv_string text) {
    loading.bad_rows++;
    if (loading.bad_rows > WARNINGS_MAX) return;
    tv_log_warn("%s:%u: %s: %.*s", loading.asset, loading.number, what, (int)(text.length < 60 ? text.length : 60),
                text.bytes);
}

static bool read_header(tv_string text) {
    if (!csv_read(&line, text, ',')) return false;
    for (uint32_t i = 0; i < COLUMN_COUNT; i++)
        loading.columns[i] = csv_find(&line, column_names[i]);
    loading.column_count = line.count;
    for (uint32_t i = 0; i < line.count; i++) {
        tv_string name = tv_string_trim(line.cells[i]);
        bool tag = name.length > 0;
        for (uint32_t c = 0; c < COLUMN_COUNT; c++)
            tag = tag && loading.columns[c] != (int)i;
        if (!tag) continue;
        char *copy = tv_allocate(name.length);
        if (copy == NULL) return false;
        memcpy(copy, name.bytes, name.length);
        loading.tag_names[i] = (tv_string){copy, name.length};
    }
    return loading.columns[COLUMN_DEVICE] >= 0;
}

static tv_string cell(uint32_t column) {
    int number = loading.columns[column];
    if (number < 0 || (uint32_t)number >= line.count) return (tv_string){"", 0};
    return tv_string_trim(line.cells[number]);
}

static bool read_factor(uint32_t column, double fallback, double *value) {
    tv_string text = cell(column);
    *value = fallback;
    return text.length == 0 || tv_read_f64(text, value);
}

// Tags of the row at hand as members of a JSON object; UINT32_MAX if they are too long.
static uint32_t put_tags(char *out_tags) {
    tv_json_writer json = tv_json_writer_of(out_tags, READING_TAGS_BYTES_MAX);
    for (uint32_t i = 0; i < line.count; i++) {
        tv_string value = tv_string_trim(line.cells[i]);
        if (loading.tag_names[i].length == 0 || value.length == 0) continue;
        tv_json_put_key(&json, loading.tag_names[i]);
        tv_json_put_string(&json, value);
    }
    return json.full ? UINT32_MAX : tv_json_length(&json);
}

// Site, unit and tags of the row at hand, one after the other; false if one is too long.
static bool put_added(char *added, row *r) {
    tv_string site = cell(COLUMN_SITE), unit = cell(COLUMN_UNIT);
    if (site.length > READING_SITE_BYTES_MAX || unit.length > READING_UNIT_BYTES_MAX) return false;
    memcpy(added, site.bytes, site.length);
    memcpy(added + site.length, unit.bytes, unit.length);
    uint32_t tags_bytes = put_tags(added + site.length + unit.length);
    r->site_bytes = (uint8_t)site.length;
    r->unit_bytes = (uint8_t)unit.length;
    r->tags_bytes = (uint16_t)tags_bytes;
    return tags_bytes != UINT32_MAX;
}

static inline uint32_t added_bytes(const row *r) { return (uint32_t)r->site_bytes + r->unit_bytes + r->tags_bytes; }

static uint64_t set_wanted(tv_string device, tv_string metric) {
    uint32_t length = device.length + metric.length;
    wanted.head.device_bytes = (uint8_t)device.length;
    wanted.head.metric_bytes = (uint8_t)metric.length;
    wanted.words[length / 8] = 0;
    memcpy(wanted.text, device.bytes, device.length);
    memcpy(wanted.text + device.length, metric.bytes, metric.length);
    for (uint32_t i = length; i % 8 != 0; i++)
        wanted.text[i] = 0;
    return reading_key(wanted.words, device.length, metric.length);
}

static tv_result add_row(const row *values, const char *added, tv_string text) {
    tv_string device = cell(COLUMN_DEVICE), metric = cell(COLUMN_METRIC);
    uint64_t key = set_wanted(device, metric);
    if (key_table_find(&table, key, &wanted.head) != NULL) {
        bad_row("this device and metric stand there before; the first row counts", text);
        return TV_OK;
    }
    row *r = (row *)(void *)key_table_insert(&table, key, &wanted.head);
    key_entry entry = r->entry;
    *r = *values;
    r->entry = entry;
    r->text = tv_allocate((added_bytes(r) + 7u) & ~7u);
    if (r->text == NULL) return TV_LIMIT;
    memcpy(r->text, added, added_bytes(r));
    device_rows |= metric.length == 0;
    return TV_OK;
}

static tv_result read_row(tv_string text) {
    char added[ADDED_BYTES_MAX];
    row values = {0};
    if (!csv_read(&line, text, ',')) {
        bad_row(line.error, text);
    } else if (line.count != loading.column_count) {
        bad_row("another number of cells than the header", text);
    } else if (cell(COLUMN_DEVICE).length == 0) {
        bad_row("no device", text);
    } else if (cell(COLUMN_DEVICE).length + cell(COLUMN_METRIC).length > READING_ID_BYTES_MAX) {
        bad_row("device and metric are longer than 96 bytes", text);
    } else if (!read_factor(COLUMN_SCALE, 1, &values.scale) || !read_factor(COLUMN_OFFSET, 0, &values.offset)) {
        bad_row("scale or offset is no finite number", text);
    } else if (!put_added(added, &values)) {
        bad_row("site, unit or tags are too long (64, 16 and 256 bytes)", text);
    } else {
        return add_row(&values, added, text);
    }
    return TV_OK;
}

// The next line; false at the end.
static bool next_line(tv_string *rest, tv_string *text) {
    if (rest->length == 0) return false;
    uint32_t length = 0;
    while (length < rest->length && rest->bytes[length] != '\n')
        length++;
    *text = (tv_string){rest->bytes, length};
    uint32_t taken = length < rest->length ? length + 1 : length;
    *rest = (tv_string){rest->bytes + taken, rest->length - taken};
    if (text->length > 0 && text->bytes[text->length - 1] == '\r') text->length--;
    loading.number++;
    return true;
}

static uint32_t count_lines(tv_string text) {
    uint32_t lines = 1;
    for (uint32_t i = 0; i < text.length; i++)
        lines += text.bytes[i] == '\n';
    return lines;
}

static tv_result load_table(void) {
    tv_string rest = tv_asset_load(loading.asset), text;
    if (rest.bytes == NULL) {
        return tv_config_fail("table",
                              "asset \"%s\" is not listed under `assets`, or does not fit into the memory budget",
                              loading.asset);
    }
    if (rest.length >= 3 && memcmp(rest.bytes, "\xef\xbb\xbf", 3) == 0) rest.bytes += 3, rest.length -= 3;
    uint32_t rows = count_lines(rest);
    if (rows > ROWS_MAX) return tv_config_fail("table", "%s has more than %d lines", loading.asset, ROWS_MAX);
    if (!key_table_init(&table, rows, sizeof(row))) {
        return tv_config_fail("table", "%u rows do not fit into the memory budget", rows);
    }
    if (!next_line(&rest, &text) || !read_header(text)) {
        return tv_config_fail("table", "%s:1: a header with a column \"device\" is expected", loading.asset);
    }
    while (next_line(&rest, &text)) {
        if (tv_string_trim(text).length == 0 || text.bytes[0] == '#') continue;
        if (read_row(text) != TV_OK) return tv_config_fail("table", "it does not fit into the memory budget");
    }
    return TV_OK;
}

TV_ON_INIT() {
    static const char *const known[] = {"table", "unknown", "bad_rows", NULL};
    tv_config_keys("", known);
    tv_config_string("table", "devices.csv", loading.asset, sizeof loading.asset);
    unknown = tv_config_enum("unknown", UNKNOWN_PASS, TV_CHOICES("pass", "drop", "dead-letter"));
    int fatal = tv_config_enum("bad_rows", 0, TV_CHOICES("skip", "fail"));
    counters.unknown_devices = tv_counter("unknown_devices");
    counters.dropped_unknown = tv_counter("dropped_unknown");
    counters.bad_rows = tv_counter("bad_rows");
    counters.not_finite = tv_counter("not_finite");
    tv_result result = load_table();
    if (result != TV_OK) return result;
    tv_counter_add(counters.bad_rows, loading.bad_rows);
    if (loading.bad_rows > WARNINGS_MAX) tv_log_warn("%u bad rows in all", loading.bad_rows);
    if (loading.bad_rows > 0 && fatal) {
        return tv_config_fail("bad_rows", "%s has %u bad rows", loading.asset, loading.bad_rows);
    }
    return TV_OK;
}

// ---- readings -----------------------------------------------------------------------------------------------

static inline const row *find_row(uint64_t key, const reading *r) {
    const row *found = (const row *)(const void *)key_table_find(&table, key, r);
    if (found != NULL || !device_rows) return found;
    key = set_wanted(reading_device(r), (tv_string){"", 0});
    return (const row *)(const void *)key_table_find(&table, key, &wanted.head);
}

static tv_result take_unknown(const tv_record *record, const reading *r) {
    tv_result result = unknown == UNKNOWN_PASS ? tv_forward(record) : TV_OK;
    if (result == TV_FULL) return result; // it comes again, and is counted then
    tv_counter_add(counters.unknown_devices, 1);
    if (unknown == UNKNOWN_DROP) tv_counter_add(counters.dropped_unknown, 1);
    if (unknown == UNKNOWN_PASS || unknown == UNKNOWN_DROP) return result;
    return tv_reject("device \"%.*s\" (metric \"%.*s\") is not in %s", (int)r->device_bytes, reading_device(r).bytes,
                     (int)r->metric_bytes, reading_metric(r).bytes, loading.asset);
}

// False if what comes of it is no finite number: then there is no value, and the quality is bad.
static inline bool calibrate(const reading *r, const row *found) {
    out.head.value = r->raw * found->scale + found->offset;
    out.head.expected = (float)((double)r->expected * found->scale + found->offset);
    out.head.flags |= READING_CALIBRATED;
    if (__builtin_expect(__builtin_isfinite(out.head.value), 1)) return true;
    out.head.value = 0;
    out.head.flags |= READING_EMPTY;
    out.head.quality = QUALITY_BAD;
    return false;
}

TV_ON_RECORD(record) {
    const reading *r = reading_from(record);
    if (r == NULL) return tv_reject("not a reading (layout 1): %u bytes", record->payload_bytes);
    const row *found = find_row(record->key, r);
    if (found == NULL) return take_unknown(record, r);
    uint32_t id_room = reading_id_room(r);
    uint32_t added = added_bytes(found);
    out.head = *r;
    reading_copy_words(out.words, reading_text(r), id_room);
    reading_copy_words(out.words + id_room / 8, found->text, added);
    out.head.site_bytes = found->site_bytes;
    out.head.unit_bytes = found->unit_bytes;
    out.head.tags_bytes = found->tags_bytes;
    bool finite = (r->flags & READING_EMPTY) != 0 || calibrate(r, found);
    tv_result result = tv_emit_at(0, record->event_time_ns, record->key, &out, READING_HEAD_BYTES + id_room + added);
    if (__builtin_expect(!finite, 0) && result == TV_OK) tv_counter_add(counters.not_finite, 1);
    return result;
}
