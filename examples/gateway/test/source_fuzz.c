// Fuzz target: what sensor-source reads text with. Cells lie where they may, converted text is UTF-8, numbers are
// finite, times survive writing and reading, paths end.
//
// Build: clang -fsanitize=fuzzer,address,undefined -Isdk/c/include with sdk/c/src/*.c but for memory.c and tree.c, and
// yyjson.c. The corpus is replayed by source_corpus_test, there through the component as a whole, too.
#include <stdlib.h>

#include "../components/csv_table.h"
#include "../components/number_text.h"
#include "../components/times.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) ((condition) ? (void)0 : abort())

static bool lies_in(tv_string part, const char *from, size_t length) {
    return part.bytes >= from && part.bytes + part.length <= from + length;
}

static void check_cells(tv_string text) {
    static csv_line line;
    static const char separators[] = ",;\t";
    for (uint32_t i = 0; i < 3; i++) {
        bool good = csv_read(&line, text, separators[i]);
        if (!good) MUST(line.error_at <= text.length && line.error != NULL);
        uint32_t total = line.total;
        for (uint32_t cell = 0; good && cell < line.count; cell++) {
            tv_string found = line.cells[cell];
            MUST(lies_in(found, text.bytes, text.length) || lies_in(found, line.scratch, sizeof line.scratch));
        }
        if (good) MUST(csv_read_first(&line, text, separators[i], 2) && line.total == total && line.count <= 2);
    }
}

static void check_header(tv_string text) {
    static csv_line line;
    static csv_table table;
    static field_path fields[2] = {{.name = "time"}, {.name = "a.b"}};
    if (!csv_read(&line, text, ',')) return;
    if (!table_read_header(&table, fields, 2, &line, true)) {
        MUST(table.error != NULL);
        return;
    }
    MUST(table.wanted <= line.count);
    for (uint32_t i = 0; i < table.rest_count; i++)
        MUST(table_rest_name(&table, i).length > 0 && encoding_is_utf8(table_rest_name(&table, i)));
}

static void check_encoding(tv_string text) {
    static char room[ENCODING_ROOM];
    tv_string converted;
    uint32_t at;
    for (int encoding = ENCODING_LATIN1; encoding <= ENCODING_WINDOWS_1252; encoding++) {
        if (encoding_convert(encoding, text, room, &converted, &at)) {
            MUST(encoding_is_utf8(converted) && converted.length >= text.length);
        } else {
            MUST(encoding == ENCODING_WINDOWS_1252 && at < text.length);
        }
    }
    (void)encoding_is_wide(text);
    MUST(encoding_without_mark(text).length <= text.length);
}

static void check_numbers(tv_string text) {
    double point, comma;
    if (number_read(text, '.', &point)) MUST(point - point == 0);
    if (number_read(text, ',', &comma)) MUST(comma - comma == 0);
    if (tv_read_f64(text, &comma)) MUST(number_read(text, '.', &point) && point == comma);
}

static void check_times(tv_string text) {
    static const char *const formats[] = {"%d.%m.%Y %H:%M:%S", "%a %b %e %I:%M %p %y", "%s.%f", "%D %T %z", "%Y%j"};
    time_memory memory = {.decimal = '.', .format_count = 5};
    char copy[TIME_FORMAT_BYTES], written[TV_TIME_BYTES_MAX];
    int64_t time_ns, back_ns;
    civil_time time;
    MUST(zone_read(tv_string_of("America/Nuuk"), &memory.zone));
    for (uint32_t i = 0; i < 5; i++)
        memcpy(memory.formats[i], formats[i], strlen(formats[i]) + 1);
    for (memory.format_count = 6; memory.format_count > 0;) {
        memory.format_count--;
        if (!parse_time(&memory, text, &time_ns)) continue;
        MUST(tv_read_time((tv_string){written, tv_write_time(written, time_ns)}, &back_ns) && back_ns == time_ns);
    }
    if (tv_read_time(text, &back_ns)) { // the SDK's forms are read the same
        time_zone utc = zone_fixed(0);
        bool doubtful;
        if (time_read_iso(text, &time) && time_value(&time, &utc, &doubtful, &time_ns)) MUST(time_ns == back_ns);
    }
    uint32_t length = text.length < sizeof copy - 1 ? text.length : (uint32_t)sizeof copy - 1;
    memcpy(copy, text.bytes, length);
    copy[length] = 0;
    if (time_format_fault(copy) == NULL) (void)time_read_format(tv_string_of("01.03.2026 12:00:00"), copy, &time);
}

static void check_zones(tv_string text) {
    time_zone zone;
    int32_t offset_s;
    if (zone_read_offset(text, &offset_s)) MUST(offset_s >= -DAY_S && offset_s <= DAY_S);
    if (!zone_read(text, &zone)) return;
    for (int64_t at = -9000000000; at < 9000000000; at += 777777777) {
        bool doubtful;
        int64_t back = zone_to_utc(&zone, at + zone_offset_at(&zone, at), &doubtful);
        MUST(back - at <= 2 * DAY_S * 7 && at - back <= 2 * DAY_S * 7);
    }
}

static void check_paths(tv_string text) {
    static const char *const names[] = {"a.b.c", "a\\.b.0", "0.1.2.3", "\xc3\xa9.x", "..", "data.readings.0.v"};
    for (uint32_t i = 0; i < 6; i++) {
        field_path path = {.length = 0};
        tv_json_keys keys = {.count = 0};
        tv_json_value members[PATH_PARTS_MAX];
        uint32_t odd;
        memcpy(path.name, names[i], strlen(names[i]) + 1);
        MUST(path_split(&path) && path_add_keys(&path, &keys));
        if (!tv_json_read_object_leniently(text, &keys, members, &odd, NULL)) return;
        tv_json_value found = path_find(members, &path);
        if (found.type != TV_JSON_NONE) MUST(lies_in(found.text, text.bytes, text.length));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 4096) return 0;
    char *copy = malloc(size ? size : 1); // its own allocation, so that a sanitizer sees a step beyond
    MUST(copy != NULL);
    if (size > 0) memcpy(copy, data, size);
    tv_string text = {copy, (uint32_t)size};
    check_cells(text);
    check_header(text);
    check_encoding(text);
    check_numbers(text);
    check_times(text);
    check_zones(text);
    check_paths(text);
    free(copy);
    return 0;
}
