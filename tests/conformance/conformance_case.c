// Reading and running a case. The directives are described in README.md; those that build the flow are carried out
// first, in any order, then the steps in their order.
#include "conformance_case.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

// ---- reading ------------------------------------------------------------------------------------------------

static uint32_t unescape(const char *from, char *to) {
    uint32_t length = 0;
    while (*from && length < CASE_TEXT_BYTES - 1) {
        if (from[0] == '\\' && from[1] == 'n') {
            to[length++] = '\n';
            from += 2;
        } else if (from[0] == '\\' && from[1] == 'x' && from[2] && from[3]) {
            char digits[3] = {from[2], from[3], 0};
            to[length++] = (char)strtoul(digits, NULL, 16);
            from += 4;
        } else {
            to[length++] = *from++;
        }
    }
    to[length] = 0;
    return length;
}

static void read_line(conformance_case *test, char *text) {
    conformance_line *line = &test->lines[test->line_count++];
    text[strcspn(text, "\n")] = 0;
    size_t verb = strcspn(text, " ");
    snprintf(line->verb, sizeof line->verb, "%.*s", (int)verb, text);
    line->length = unescape(text[verb] ? text + verb + 1 : "", line->text);
}

bool conformance_case_read(conformance_case *test, const char *wat_path, const char *wasm_path) {
    static char text[4 * CASE_TEXT_BYTES];
    memset(test, 0, sizeof *test);
    const char *base = strrchr(wat_path, '/') ? strrchr(wat_path, '/') + 1 : wat_path;
    snprintf(test->name, sizeof test->name, "%.*s", (int)strcspn(base, "."), base);
    snprintf(test->wasm_path, sizeof test->wasm_path, "%s", wasm_path);
    FILE *file = fopen(wat_path, "re");
    test->lines = calloc(CASE_LINES_MAX, sizeof *test->lines);
    if (!file || !test->lines) {
        fprintf(stderr, "%s: cannot be read\n", wat_path);
        if (file) fclose(file);
        return false;
    }
    while (fgets(text, sizeof text, file) && strncmp(text, ";;! ", 4) == 0 && test->line_count < CASE_LINES_MAX)
        read_line(test, text + 4);
    fclose(file);
    if (test->line_count == 0 || test->line_count == CASE_LINES_MAX) {
        fprintf(stderr, "%s: no directives, or too many\n", wat_path);
        return false;
    }
    return true;
}

void conformance_case_deinit(conformance_case *test) { free(test->lines); }

// ---- words of a line ----------------------------------------------------------------------------------------

static const conformance_line *find(const conformance_case *test, const char *verb) {
    for (uint32_t i = 0; i < test->line_count; i++)
        if (strcmp(test->lines[i].verb, verb) == 0) return &test->lines[i];
    return NULL;
}

// The number behind `verb`, or `otherwise`.
static uint64_t number_of(const conformance_case *test, const char *verb, uint64_t otherwise) {
    const conformance_line *line = find(test, verb);
    return line ? strtoull(line->text, NULL, 0) : otherwise;
}

// First word of a line into `word`; returns what follows.
static const char *split(const conformance_line *line, char *word, size_t capacity) {
    size_t length = strcspn(line->text, " ");
    snprintf(word, capacity, "%.*s", (int)length, line->text);
    return line->text[length] ? line->text + length + 1 : "";
}

// A last word that may be quoted.
static const char *unquoted(const char *text, char *out) {
    size_t length = strlen(text);
    bool quoted = length >= 2 && text[0] == '"' && text[length - 1] == '"' && memchr(text + 1, ' ', length);
    snprintf(out, CASE_TEXT_BYTES, "%.*s", (int)(quoted ? length - 2 : length), quoted ? text + 1 : text);
    return out;
}

// ---- building the flow --------------------------------------------------------------------------------------

typedef struct nodes {
    uint16_t in, in1, out, out1, stage, last; // last: the stage in front of `out`
} nodes;

static uint16_t make_output(const conformance_case *test, rig *bench, const char *name, const char *prefix) {
    enum { OUTPUT_BYTES = 1 << 20, OUTPUT_RECORD_BYTES = 128 << 10 };
    char verb[24];
    uint16_t channel = rig_channel(bench, name, TV_OUTPUT);
    tv_channel_options *options = rig_options(bench, channel);
    snprintf(verb, sizeof verb, "%s-bytes", prefix);
    options->capacity_bytes = (uint32_t)number_of(test, verb, OUTPUT_BYTES);
    snprintf(verb, sizeof verb, "%s-record", prefix);
    uint32_t record =
        options->capacity_bytes / 2 < OUTPUT_RECORD_BYTES ? options->capacity_bytes / 2 : OUTPUT_RECORD_BYTES;
    options->record_bytes_max = (uint32_t)number_of(test, verb, record);
    snprintf(verb, sizeof verb, "%s-records", prefix);
    options->capacity_records = (uint32_t)number_of(test, verb, options->capacity_records);
    return channel;
}

static void set_limits(const conformance_case *test, tv_stage_spec *stage) {
    const conformance_line *cpu = find(test, "cpu"), *batch = find(test, "batch");
    stage->memory_bytes_max = number_of(test, "memory", 1 << 20);
    stage->batch_bytes_max = 65536;
    stage->log_lines_per_s = (uint32_t)number_of(test, "log-rate", 0);
    stage->restart.limit = (uint32_t)number_of(test, "restart", 100);
    if (find(test, "stop")) stage->restart.mode = TV_RESTART_STOP;
    unsigned first, second;
    if (cpu && sscanf(cpu->text, "%u %u", &first, &second) == 2) {
        stage->cpu_record_ns = first * (int64_t)1000000;
        stage->cpu_call_ns = second * (int64_t)1000000;
    }
    if (batch && sscanf(batch->text, "%u %u", &first, &second) == 2) {
        stage->batch_records_max = first;
        stage->batch_bytes_max = second;
    }
}

static void set_grants(const conformance_case *test, tv_stage_spec *stage) {
    const conformance_line *line = find(test, "grants");
    if (!line) return;
    if (strstr(line->text, "clock")) stage->grants |= TV_GRANT_CLOCK;
    if (strstr(line->text, "random")) stage->grants |= TV_GRANT_RANDOM;
}

typedef struct storage {
    char words[16][64];
    uint32_t count;
    tv_asset asset;
} storage;

static void set_data(const conformance_case *test, rig *bench, uint16_t stage, storage *kept) {
    for (uint32_t i = 0; i < test->line_count; i++) {
        const conformance_line *line = &test->lines[i];
        char *word = kept->words[kept->count % 16];
        if (strcmp(line->verb, "config") == 0) {
            rig_config(bench, stage, word, split(line, word, 64));
            kept->count++;
        } else if (strcmp(line->verb, "asset") == 0) {
            const char *content = split(line, word, 64);
            kept->asset = (tv_asset){.name = word, .bytes = (const uint8_t *)content, .size = strlen(content)};
            bench->stages[stage].assets = &kept->asset;
            bench->stages[stage].asset_count = 1;
            kept->count++;
        }
    }
}

static uint16_t make_stage(const conformance_case *test, rig *bench, const char *name, tv_module *module,
                           storage *kept) {
    uint16_t stage = rig_stage(bench, name);
    bench->stages[stage].module = module;
    set_limits(test, &bench->stages[stage]);
    set_grants(test, &bench->stages[stage]);
    set_data(test, bench, stage, kept);
    return stage;
}

static nodes build(const conformance_case *test, rig *bench, tv_module *module, storage *kept) {
    nodes made = {.in = rig_channel(bench, "in", TV_INPUT)};
    made.out = make_output(test, bench, "out", "out");
    made.stage = made.last = make_stage(test, bench, "component", module, kept);
    if (find(test, "chain")) {
        made.last = make_stage(test, bench, "second", module, kept);
        rig_edge(bench, made.stage, 0, made.last)->capacity_bytes = 512 << 10;
    }
    if (!find(test, "source")) rig_edge(bench, made.in, 0, made.stage);
    tv_edge_spec *edge = rig_edge(bench, made.last, 0, made.out);
    if (find(test, "out-policy")) edge->overflow = TV_OVERFLOW_DROP_NEWEST;
    if (find(test, "inputs")) {
        made.in1 = rig_channel(bench, "in1", TV_INPUT);
        rig_edge(bench, made.in1, 0, made.stage);
    }
    if (find(test, "port") || find(test, "fork")) {
        made.out1 = make_output(test, bench, "out1", "out1");
        rig_edge(bench, made.last, find(test, "fork") ? 0 : 1, made.out1);
    }
    bench->spec.quantum_records = (uint32_t)number_of(test, "quantum", 0);
    bench->dead_letter_bytes = (uint32_t)number_of(test, "letter-bytes", 0);
    return made;
}

// ---- steps --------------------------------------------------------------------------------------------------

static void push(rig *bench, uint16_t channel, const conformance_line *line) {
    char text[CASE_TEXT_BYTES];
    snprintf(text, sizeof text, "%s", line->text);
    char *at = strstr(text, " @");
    int64_t event_time_ns = at ? strtoll(at + 2, NULL, 10) : TV_NO_EVENT_TIME;
    if (at) *at = 0;
    rig_push_at(bench, channel, text, event_time_ns);
}

// "TOPIC TEXT": a message with a topic of three bytes.
static void push_topic(rig *bench, uint16_t channel, const conformance_line *line) {
    uint8_t attributes[8] = {TV_ATTRIBUTE_TOPIC, 0, 3, 0}, *place;
    memcpy(attributes + 4, line->text, 3);
    tv_channel *to = bench->channels[channel & ~TV_NODE_CHANNEL];
    assert_int_equal(tv_channel_reserve(to, line->length - 4, attributes, sizeof attributes, &place), TV_OK);
    memcpy(place, line->text + 4, line->length - 4);
    tv_channel_commit(to, TV_NO_EVENT_TIME);
    tv_channel_publish(to);
}

static void expect(rig *bench, uint16_t channel, const conformance_line *line) {
    bool nothing = strcmp(line->text, "-") == 0;
    rig_take(bench, channel);
    uint32_t length = nothing ? 0 : line->length;
    if (bench->text_length == length && memcmp(bench->text, line->text, length) == 0) return;
    fail_msg("output is \"%.200s\" (%u bytes), expected \"%s\" (%u bytes)", bench->text, bench->text_length,
             nothing ? "" : line->text, length);
}

static void expect_header(rig *bench, uint16_t channel, const conformance_line *line) {
    char field[32];
    const char *wanted = split(line, field, sizeof field);
    const tv_record *record = rig_front(bench, channel);
    assert_non_null(record);
    uint64_t value = 0;
    if (strcmp(field, "sequence") == 0)
        value = record->sequence;
    else if (strcmp(field, "origin_sequence") == 0)
        value = record->origin_sequence;
    else if (strcmp(field, "event_time") == 0)
        value = (uint64_t)record->event_time_ns;
    else if (strcmp(field, "key") == 0)
        value = record->key;
    else if (strcmp(field, "attributes_bytes") == 0)
        value = record->attributes_bytes;
    else
        fail_msg("unknown header field %s", field);
    uint64_t number = wanted[0] == '-' ? (uint64_t)strtoll(wanted, NULL, 10) : strtoull(wanted, NULL, 10);
    if (value != number) fail_msg("%s is %llu, expected %s", field, (unsigned long long)value, wanted);
}

static void expect_stat(rig *bench, uint16_t stage, const conformance_line *line) {
    static const struct {
        const char *name;
        size_t offset;
    } figures[] = {
#define FIGURE(name) {#name, offsetof(tv_stage_stats, name)}
        FIGURE(popped),       FIGURE(processed), FIGURE(dead_lettered),
        FIGURE(rejected),     FIGURE(emitted),   FIGURE(calls),
        FIGURE(faults),       FIGURE(restarts),  FIGURE(records_since_start_lost),
        FIGURE(state_losses), FIGURE(log_lines), FIGURE(log_lines_suppressed),
#undef FIGURE
    };
    char name[64];
    uint64_t wanted = strtoull(split(line, name, sizeof name), NULL, 10), value;
    tv_stage_stats stats = rig_stage_stats(bench, stage);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        if (strcmp(figures[i].name, name) != 0) continue;
        memcpy(&value, (const char *)&stats + figures[i].offset, sizeof value);
        if (value != wanted)
            fail_msg("%s is %llu, expected %llu", name, (unsigned long long)value, (unsigned long long)wanted);
        return;
    }
    fail_msg("unknown figure %s", name);
}

static uint64_t faults_of(rig *bench, uint16_t stage, const char *reason) {
    tv_stage_stats stats = rig_stage_stats(bench, stage);
    for (int i = 0; i <= TV_FAULT_START; i++)
        if (strcmp(tv_fault_reason_name((tv_fault_reason)i), reason) == 0) return stats.faults_by_reason[i];
    fail_msg("unknown reason %s", reason);
    return 0;
}

static void expect_faults(rig *bench, uint16_t stage, const conformance_line *line) {
    char reason[32];
    uint64_t wanted = strtoull(split(line, reason, sizeof reason), NULL, 10);
    uint64_t found = faults_of(bench, stage, reason);
    if (found == wanted) return;
    fail_msg("%llu failures by %s, expected %llu; the last: %s", (unsigned long long)found, reason,
             (unsigned long long)wanted, rig_stage_stats(bench, stage).last_error);
}

static void expect_state(rig *bench, const conformance_line *line) {
    assert_string_equal(tv_flow_state_name(rig_state(bench)), line->text);
}

// ---- dead letters -------------------------------------------------------------------------------------------

// Kept over the case, since several lines ask about them.
static const char *letters(rig *bench, char **kept) {
    const char *more = rig_dead_letters(bench);
    if (*kept && !more[0]) return *kept;
    free(*kept);
    *kept = strdup(more);
    assert_non_null(*kept);
    return *kept;
}

static void expect_letter(rig *bench, const conformance_line *line, char **kept) {
    char part[CASE_TEXT_BYTES];
    unquoted(line->text, part);
    if (!strstr(letters(bench, kept), part)) fail_msg("no dead letter has %s: %s", part, letters(bench, kept));
}

static void expect_letter_count(rig *bench, const conformance_line *line, char **kept) {
    const char *text = letters(bench, kept);
    uint64_t count = text[0] != 0;
    for (; *text; text++)
        count += *text == '\n';
    assert_int_equal(count, strtoull(line->text, NULL, 10));
}

// ---- running ------------------------------------------------------------------------------------------------

static void trim(rig *bench) {
    for (size_t i = 0; i < bench->spec.stage_count; i++)
        tv_instance_trim(bench->flow->stages[i].instance);
}

static void step(rig *bench, const nodes *at, const conformance_line *line, char **kept) {
    const char *verb = line->verb;
    if (strcmp(verb, "push") == 0)
        push(bench, at->in, line);
    else if (strcmp(verb, "push1") == 0)
        push(bench, at->in1, line);
    else if (strcmp(verb, "push-topic") == 0)
        push_topic(bench, at->in, line);
    else if (strcmp(verb, "run") == 0)
        rig_run(bench);
    else if (strcmp(verb, "advance") == 0)
        rig_advance(bench, strtoll(line->text, NULL, 10));
    else if (strcmp(verb, "end") == 0)
        rig_end(bench, at->in);
    else if (strcmp(verb, "trim") == 0)
        trim(bench);
    else if (strcmp(verb, "skip") == 0)
        rig_skip(bench, at->out, (uint32_t)strtoul(line->text, NULL, 10));
    else if (strcmp(verb, "expect") == 0)
        expect(bench, at->out, line);
    else if (strcmp(verb, "expect1") == 0)
        expect(bench, at->out1, line);
    else if (strcmp(verb, "header") == 0)
        expect_header(bench, at->out, line);
    else if (strcmp(verb, "stat") == 0)
        expect_stat(bench, at->stage, line);
    else if (strcmp(verb, "fault") == 0)
        expect_faults(bench, at->stage, line);
    else if (strcmp(verb, "fault-some") == 0)
        assert_true(faults_of(bench, at->stage, line->text) > 0);
    else if (strcmp(verb, "state") == 0)
        expect_state(bench, line);
    else if (strcmp(verb, "letter") == 0)
        expect_letter(bench, line, kept);
    else if (strcmp(verb, "letters") == 0)
        expect_letter_count(bench, line, kept);
    else if (strcmp(verb, "drop") == 0)
        assert_int_equal(rig_edge_stats(bench, 1).dropped[TV_DROP_NEWEST], strtoull(line->text + 7, NULL, 10));
}

static void expect_refusal(const conformance_line *line, tv_status status, const tv_error *error) {
    char statuses[64], part[CASE_TEXT_BYTES];
    unquoted(split(line, statuses, sizeof statuses), part);
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(tv_status_name(status), " "), tv_status_name(status));
    if (status == TV_OK) fail_msg("the host accepts it, expected %s", statuses);
    if (!strstr(statuses, name)) fail_msg("refused as %s, expected %s: %s", name, statuses, error->message);
    if (strcmp(part, "-") != 0 && !strstr(error->message, part))
        fail_msg("the message does not have \"%s\": %s", part, error->message);
}

static void run_flow(const conformance_case *test, rig *bench, tv_module *module) {
    const conformance_line *fault = find(test, "start-fault"), *denied = find(test, "start-denied");
    storage kept = {0};
    char *dead_letters = NULL;
    nodes made = build(test, bench, module, &kept);
    tv_status status = rig_try_start(bench);
    if (fault) {
        expect_refusal(fault, status, &bench->error);
        return;
    }
    if (denied) {
        assert_int_equal(status, TV_DENIED);
        if (!strstr(bench->error.message, denied->text)) fail_msg("%s", bench->error.message);
        return;
    }
    if (status != TV_OK) fail_msg("%s", bench->error.message);
    for (uint32_t i = 0; i < test->line_count; i++)
        step(bench, &made, &test->lines[i], &dead_letters);
    free(dead_letters);
}

void conformance_case_run(const conformance_case *test, rig *bench) {
    const conformance_line *refuse = find(test, "refuse");
    tv_module *module = NULL;
    tv_status status = tv_module_load(rig_engine(), test->wasm_path, &module, &bench->error);
    if (refuse) {
        expect_refusal(refuse, status, &bench->error);
        return;
    }
    if (status != TV_OK) fail_msg("%s", bench->error.message);
    if (find(test, "ticks")) rig_ticks_begin();
    run_flow(test, bench, module);
    rig_ticks_end();
    tv_module_unref(module);
}
