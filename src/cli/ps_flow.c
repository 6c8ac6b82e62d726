// torvyn ps FLOW: one flow in full, and why it is not faster.
#include <string.h>

#include "cli/control.h"
#include "cli/ps.h"
#include "cli/table.h"

// ---- the bottleneck -----------------------------------------------------------------------------------------

static const char *remedy(const char *why) {
    static const struct {
        const char *why, *remedy;
    } remedies[] = {
        {"running", "make that component cheaper, or split the flow by key into several"},
        {"worker", "raise its class, or give the gateway more workers or less to do"},
        {"room", "the far side is slow or gone, or choose an overflow policy for that edge"},
        {"input", "nothing holds it back: it has what its source delivers"},
        {"rate", "its own `rate` limits it: `torvyn flow set` changes it"},
        {"cpu", "its own `cpu` budget limits it: `torvyn flow set` changes it"},
        {"paused", "`torvyn flow resume` lets it go on"},
    };
    for (size_t i = 0; i < sizeof remedies / sizeof remedies[0]; i++)
        if (strcmp(why, remedies[i].why) == 0) return remedies[i].remedy;
    return "";
}

void tv_ps_bottleneck(yyjson_val *flow, char *out, size_t capacity) {
    yyjson_val *bottleneck = yyjson_obj_get(flow, "bottleneck");
    const char *text = tv_json_text(bottleneck, "text"), *todo = remedy(tv_json_text(bottleneck, "why"));
    snprintf(out, capacity, "%s%s%s", text, text[0] && todo[0] ? ". " : "", text[0] ? todo : "");
    for (char *at = out; *at; at++) // the remedy begins a sentence
        if (at[0] == '.' && at[1] == ' ' && at[2] >= 'a' && at[2] <= 'z' && at + 2 == out + strlen(text) + 2)
            at[2] = (char)(at[2] - 'a' + 'A');
}

// ---- the parts ----------------------------------------------------------------------------------------------

static void print_reasons(yyjson_val *reasons) {
    size_t i, count;
    yyjson_val *name, *number;
    const char *separator = " (";
    yyjson_obj_foreach(reasons, i, count, name, number) {
        if (yyjson_get_num(number) == 0) continue;
        tv_print(stdout, "%s%.0f %s", separator, yyjson_get_num(number), yyjson_get_str(name));
        separator = ", ";
    }
    if (separator[0] == ',') tv_print(stdout, ")");
}

static void print_line(const char *title) { tv_print(stdout, "%-12s", title); }

static void print_traffic(yyjson_val *flow, const char *total, const char *rate, const char *word) {
    char count[32], a_second[32];
    tv_print(stdout, "%s %s (%s/s)", tv_format_count(tv_json_count(flow, total), count), word,
             tv_format_rate(tv_json_number(flow, rate), a_second));
}

static void print_size(yyjson_val *memory, const char *key, const char *word) {
    char text[32];
    tv_print(stdout, ", %s %s", tv_format_size(tv_json_count(memory, key), text), word);
}

static void print_count(yyjson_val *object, const char *key, const char *words) {
    char text[32];
    if (tv_json_number(object, key) > 0)
        tv_print(stdout, ", %s %s", tv_format_count(tv_json_count(object, key), text), words);
}

static void print_limit(yyjson_val *flow, const char *limit) {
    yyjson_val *of = yyjson_obj_get(yyjson_obj_get(flow, "throttling"), limit);
    char text[32];
    if (tv_json_number(of, "times") > 0)
        tv_print(stdout, ", %s times held back by its %s limit (%.1f s)",
                 tv_format_count(tv_json_count(of, "times"), text), limit, tv_json_number(of, "s"));
}

static void print_turns(yyjson_val *flow) {
    char text[32];
    print_line("turns");
    tv_print(stdout, "%s", tv_format_count(tv_json_count(flow, "turns"), text));
    print_count(flow, "nested_turns", "on top of lower classes");
    print_count(flow, "cycles_cut", "cycles cut short");
    print_count(flow, "moves", "moves between workers");
    print_count(flow, "demotions", "demotions");
    print_count(flow, "trims", "times it gave memory back when idle");
    print_limit(flow, "cpu");
    print_limit(flow, "rate");
    tv_print(stdout, "\n");
}

static void print_said(const char *title, const char *text) {
    if (!text[0]) return;
    print_line(title);
    tv_print(stdout, "%s\n", text);
}

// NAME=value, as `torvyn flow add --set` takes them.
static void print_parameters(yyjson_val *parameters) {
    size_t i, count;
    yyjson_val *name, *value;
    char line[1024] = "";
    size_t length = 0;
    yyjson_obj_foreach(parameters, i, count, name, value) {
        const char *text = yyjson_get_str(value);
        if (length >= sizeof line) break;
        const char *separator = length ? ", " : "";
        if (text)
            length +=
                (size_t)snprintf(line + length, sizeof line - length, "%s%s=%s", separator, yyjson_get_str(name), text);
        else
            length += (size_t)snprintf(line + length, sizeof line - length, "%s%s=%.0f", separator,
                                       yyjson_get_str(name), yyjson_get_num(value));
    }
    print_said("parameters", line);
}

static bool is_set(const char *duration) { return duration[0] && strcmp(duration, "0") != 0; }

// Only the limits that there are.
static void print_settings(yyjson_val *settings) {
    yyjson_val *rate = yyjson_obj_get(settings, "rate");
    const char *cpu = tv_json_text(settings, "cpu"), *turn = tv_json_text(settings, "turn");
    uint64_t records = tv_json_count(rate, "records"), bytes = tv_json_count(rate, "bytes");
    char count[32], size[32], line[256] = "";
    size_t length = 0;
    if (is_set(cpu)) length += (size_t)snprintf(line, sizeof line, "%s of CPU a second", cpu);
    if (is_set(turn))
        length += (size_t)snprintf(line + length, sizeof line - length, "%sturns of %s", length ? ", " : "", turn);
    if (records)
        length += (size_t)snprintf(line + length, sizeof line - length, "%s%s records/s", length ? ", " : "",
                                   tv_format_count(records, count));
    if (bytes)
        (void)snprintf(line + length, sizeof line - length, "%s%s/s", length ? ", " : "", tv_format_size(bytes, size));
    print_said("limits", line);
}

static void print_head(yyjson_val *flow) {
    char text[32];
    yyjson_val *memory = yyjson_obj_get(flow, "memory");
    double up_s = tv_json_number(flow, "uptime_s"),
           state_s = yyjson_obj_get(flow, "state_s") ? tv_json_number(flow, "state_s") : up_s;
    print_line("flow");
    tv_print(stdout, "%s, %s for %s", tv_json_text(flow, "name"), tv_json_text(flow, "state"),
             tv_format_uptime(state_s, text));
    if (up_s - state_s >= 1) tv_print(stdout, ", made %s ago", tv_format_uptime(up_s, text));
    tv_print(stdout, "\n");
    print_parameters(yyjson_obj_get(flow, "parameters"));
    print_line("class");
    tv_print(stdout, "%s%s, %.0f records a cycle, on worker %.0f\n", tv_json_text(flow, "class"),
             tv_json_true(flow, "demoted") ? " (demoted: its CPU budget was exceeded again and again)" : "",
             tv_json_number(flow, "quantum"), tv_json_number(flow, "worker"));
    print_line("messages");
    print_traffic(flow, "records_in", "in_per_s", "in");
    tv_print(stdout, ", ");
    print_traffic(flow, "records_out", "out_per_s", "out");
    tv_print(stdout, "\n");
    print_line("CPU");
    tv_print(stdout, "%.1f %% of a core now, %.1f s in all", tv_json_number(flow, "cpu_percent"),
             tv_json_number(flow, "cpu_s"));
    tv_print(stdout, "\n");
    print_settings(yyjson_obj_get(flow, "settings"));
    print_turns(flow);
    print_line("memory");
    tv_print(stdout, "%s", tv_format_size(tv_json_count(flow, "memory_bytes"), text));
    print_size(memory, "guest", "in components");
    print_size(memory, "rings", "in queues");
    print_size(memory, "reserved", "at most");
    tv_print(stdout, "\n");
}

static void print_losses(yyjson_val *flow) {
    char dropped[32], dead[32], rejected[32], lost[32], faults[32], restarts[32];
    uint64_t letters_lost = tv_json_count(flow, "dead_letters_lost");
    print_line("losses");
    tv_print(stdout, "%s dropped", tv_format_count(tv_json_count(flow, "dropped_total"), dropped));
    print_reasons(yyjson_obj_get(flow, "dropped"));
    print_count(flow, "dropped_by_components", "by components on purpose");
    print_count(flow, "emitted_unconnected", "led nowhere (to ports that nothing reads)");
    tv_print(stdout, ", %s dead-lettered, %s of them rejected",
             tv_format_count(tv_json_count(flow, "dead_lettered"), dead),
             tv_format_count(tv_json_count(flow, "rejected"), rejected));
    if (letters_lost) tv_print(stdout, ", %s not kept", tv_format_count(letters_lost, lost));
    tv_print(stdout, "; %s faults, %s restarts\n", tv_format_count(tv_json_count(flow, "faults"), faults),
             tv_format_count(tv_json_count(flow, "restarts"), restarts));
}

void tv_ps_print_trouble(const char *what, const char *name, yyjson_val *trouble) {
    char duration[32];
    if (!yyjson_is_obj(trouble)) return;
    tv_print(stdout, "%s%s, for %s: %s\n", what, name, tv_format_uptime(tv_json_number(trouble, "s"), duration),
             tv_json_text(trouble, "text"));
}

// ---- tables -------------------------------------------------------------------------------------------------

static tv_status print_stages(yyjson_val *stages, bool colour) {
    static const char *const titles[] = {"STAGE",      ">IN/S", ">OUT/S",  ">RUNS %", ">NO INPUT %", ">NO WORKER %",
                                         ">NO ROOM %", ">DEAD", ">FAULTS", ">MEMORY", "LAST ERROR"};
    tv_table table = {.titles = titles, .columns = sizeof titles / sizeof titles[0]};
    size_t i, count;
    yyjson_val *stage;
    char text[32];
    yyjson_arr_foreach(stages, i, count, stage) {
        tv_table_cell(&table, "%s", tv_json_text(stage, "name"));
        tv_table_cell(&table, "%s", tv_format_rate(tv_json_number(stage, "in_per_s"), text));
        tv_table_cell(&table, "%s", tv_format_rate(tv_json_number(stage, "out_per_s"), text));
        tv_table_cell(&table, "%.1f", tv_json_number(stage, "running_percent"));
        tv_table_cell(&table, "%.1f", tv_json_number(stage, "waiting_input_percent"));
        tv_table_cell(&table, "%.1f", tv_json_number(stage, "waiting_worker_percent"));
        tv_table_cell(&table, "%.1f", tv_json_number(stage, "waiting_room_percent"));
        tv_table_cell(&table, "%s", tv_format_count(tv_json_count(stage, "dead_lettered"), text));
        tv_table_cell(&table, "%s", tv_format_count(tv_json_count(stage, "faults"), text));
        tv_table_cell(&table, "%s", tv_format_size(tv_json_count(stage, "memory_bytes"), text));
        tv_table_cell(&table, "%s", tv_json_text(stage, "last_error"));
    }
    tv_print(stdout, "\n");
    return tv_table_print(&table, colour, stdout);
}

static uint64_t sum_of(yyjson_val *reasons) {
    size_t i, count;
    yyjson_val *name, *number;
    double sum = 0;
    yyjson_obj_foreach(reasons, i, count, name, number) sum += yyjson_get_num(number);
    return (uint64_t)sum;
}

// The most frequent first.
static void print_rejections(yyjson_val *stages) {
    size_t i, count, k, reasons;
    yyjson_val *stage, *rejection;
    char text[32];
    yyjson_arr_foreach(stages, i, count, stage) {
        yyjson_arr_foreach(yyjson_obj_get(stage, "rejections"), k, reasons, rejection) {
            const char *reason = tv_json_text(rejection, "reason");
            tv_print(stdout, "stage %s rejected %s: %s\n", tv_json_text(stage, "name"),
                     tv_format_count(tv_json_count(rejection, "times"), text),
                     reason[0] ? reason : "(no reason given)");
        }
    }
}

static tv_status print_queues(yyjson_val *queues, bool colour) {
    static const char *const titles[] = {"QUEUE", ">RECORDS", ">BYTES", ">FULL %", ">PUSHED", ">DROPPED"};
    tv_table table = {.titles = titles, .columns = sizeof titles / sizeof titles[0]};
    size_t i, count;
    yyjson_val *queue;
    char text[32];
    yyjson_arr_foreach(queues, i, count, queue) {
        tv_table_cell(&table, "%s", tv_json_text(queue, "name"));
        tv_table_cell(&table, "%s", tv_format_count(tv_json_count(queue, "queued"), text));
        tv_table_cell(&table, "%s", tv_format_size(tv_json_count(queue, "queued_bytes"), text));
        tv_table_cell(&table, "%.0f", tv_json_number(queue, "percent"));
        tv_table_cell(&table, "%s", tv_format_count(tv_json_count(queue, "pushed"), text));
        tv_table_cell(&table, "%s", tv_format_count(sum_of(yyjson_obj_get(queue, "dropped")), text));
    }
    tv_print(stdout, "\n");
    return tv_table_print(&table, colour, stdout);
}

static tv_status print_channels(yyjson_val *channels, bool colour) {
    static const char *const titles[] = {"CHANNEL", "DIRECTION", "CONNECTOR", ">RECORDS", ">QUEUED", "HELD BACK"};
    tv_table table = {.titles = titles, .columns = sizeof titles / sizeof titles[0]};
    size_t i, count;
    yyjson_val *channel;
    char text[32];
    if (yyjson_arr_size(channels) == 0) return TV_OK;
    yyjson_arr_foreach(channels, i, count, channel) {
        tv_table_cell(&table, "%s", tv_json_text(channel, "name"));
        tv_table_cell(&table, "%s", tv_json_text(channel, "direction"));
        tv_table_cell(&table, "%s", tv_json_text(channel, "connector"));
        tv_table_cell(&table, "%s", tv_format_count(tv_json_count(channel, "records"), text));
        tv_table_cell(&table, "%s", tv_format_count(tv_json_count(channel, "queued"), text));
        tv_table_cell(&table, "%s", tv_json_true(channel, "paused") ? "yes" : "no");
    }
    tv_print(stdout, "\n");
    tv_status status = tv_table_print(&table, colour, stdout);
    yyjson_arr_foreach(channels, i, count, channel)
        tv_ps_print_trouble("channel ", tv_json_text(channel, "name"), yyjson_obj_get(channel, "trouble"));
    return status;
}

tv_status tv_ps_print_flow(yyjson_val *flow, bool colour) {
    char why[1024];
    print_head(flow);
    print_losses(flow);
    print_said("failure", tv_json_text(flow, "failure"));
    print_said("last error", tv_json_text(flow, "last_error"));
    tv_ps_bottleneck(flow, why, sizeof why);
    if (colour && why[0]) fputs("\033[1m", stdout);
    print_said("bottleneck", why);
    if (colour && why[0]) fputs("\033[0m", stdout);
    tv_status status = print_stages(yyjson_obj_get(flow, "stages"), colour);
    print_rejections(yyjson_obj_get(flow, "stages"));
    if (status == TV_OK) status = print_queues(yyjson_obj_get(flow, "queues"), colour);
    if (status == TV_OK) status = print_channels(yyjson_obj_get(flow, "channels"), colour);
    return status;
}
