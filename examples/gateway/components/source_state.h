// What sensor-source is configured to do and remembers, and the types its parts share.
#ifndef GATEWAY_SOURCE_STATE_H
#define GATEWAY_SOURCE_STATE_H

#include <torvyn/json.h>
#include <torvyn/torvyn.h>

#include "csv_table.h"
#include "encoding.h"
#include "field_path.h"
#include "number_text.h"
#include "quality.h"
#include "reading.h"
#include "stream_time.h"
#include "times.h"

enum {
    READINGS_MAX = 1024, // of one line
    VALUES_MAX = 64,     // listed
    INPUTS_MAX = 8,
    NESTED_MAX = 16, // objects whose members are all wanted
    SCRATCH_BYTES = 16384,
};
enum {
    FIELD_TIME,
    FIELD_DEVICE,
    FIELD_METRIC,
    FIELD_VALUE,
    FIELD_QUALITY,
    FIELD_COUNT, // of a line with one reading
    FIELD_TIME_MORE = FIELD_COUNT,
    TIME_PARTS_MAX = 3,
    FIELD_VALUES = FIELD_TIME_MORE + TIME_PARTS_MAX - 1,
    FIELDS_MAX = FIELD_VALUES + VALUES_MAX,
};
_Static_assert((int)FIELDS_MAX <= (int)TABLE_FIELDS_MAX, "a table has a column for each field");

// Times whose differences fit into an int64_t whatever the configuration adds.
#define TIME_MIN_NS (-2000000000000000000)
#define TIME_MAX_NS 7000000000000000000

// One field of a line, wherever it came from.
typedef struct field {
    tv_json_type type; // cells of CSV are strings
    uint32_t at;       // byte in the line
    tv_string text;
    double number; // of a JSON number
} field;

// What a line says.
typedef struct measurement {
    int64_t time_ns;
    double value;
    tv_string device, metric;
    uint8_t quality;
    bool empty; // no value: what bad quality excuses
} measurement;

enum { FORMAT_JSON, FORMAT_CSV };

static struct {
    int format, encoding;
    bool simple;  // JSON with one reading a line, which the template can read
    bool lenient; // of JSON that bends the rules, only what is asked for has to be right
    bool arrival; // lines without a time have that of their arrival
    bool rest;    // all numbers are values
    bool columns_configured;
    char separator, decimal;
    uint32_t field_count, time_parts, value_count;
    field_path fields[FIELDS_MAX]; // unused ones have no name
    field_path each;               // leads to the list whose items are lines of their own
    time_memory times;
    char device_text[READING_ID_BYTES_MAX + 8];
    char metric_text[READING_ID_BYTES_MAX + 8];
    tv_string device, metric; // of lines that name none
} source;

static struct {
    int64_t out_of_orderness_ns, step_ns;
    uint32_t every_records;
    stream_time stream;
    int64_t sent_ns; // the stream's time at the last one
    uint32_t records;
} watermark;

static struct {
    quality_reader reader;
    bool skip_null;         // readings without value: not dead-lettered, only counted
    uint32_t unknown_named; // in the log
} quality;

static struct {
    int32_t blank_lines, header_lines, headerless_files;
    int32_t far_future, far_past, arrival_times, doubtful_times;
    int32_t quality_bad, quality_unknown, nulls_skipped, others_skipped, odd_members;
} counters;

static struct {
    tv_json_keys keys; // first parts of the fields' names
    tv_json_value members[TV_JSON_KEYS_MAX], item_members[TV_JSON_KEYS_MAX];
    uint32_t scratch_used;
    char scratch[SCRATCH_BYTES + 8]; // strings that had escapes, names that were put together
} json;
static csv_line csv;
static csv_table tables[INPUTS_MAX];
static char converted[ENCODING_ROOM + 8];

// The readings of a line that may have several.
static struct {
    measurement list[READINGS_MAX];
    uint32_t count;
} message;

#endif
