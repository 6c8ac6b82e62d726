// The screen of `torvyn top`: head, one of the views, and a line of keys.
#include <string.h>

#include "cli/ps.h"
#include "cli/table.h"
#include "cli/top.h"

enum { HEAD_LINES = 2, WORKER_LINES_MAX = 2, WORKER_WIDTH = 26, CELL_BYTES = 256 };

static void put_line(int line, const char *text, tv_attribute attribute) {
    tv_terminal_put(line, 0, tv_terminal_columns(), text, false, attribute);
}

// ---- head ---------------------------------------------------------------------------------------------------

static void put_process(const tv_top *top, yyjson_val *root) {
    char line[512], uptime[32];
    size_t i, count, length;
    yyjson_val *name, *number;
    yyjson_val *process = yyjson_obj_get(root, "process");
    tv_format_uptime(tv_json_number(process, "uptime_s"), uptime);
    if (top->filter[0])
        snprintf(line, sizeof line, "torvyn  up %s  showing %llu like '%s' of %llu flows:", uptime,
                 (unsigned long long)tv_json_count(root, "matched"), top->filter,
                 (unsigned long long)tv_json_count(root, "total"));
    else
        snprintf(line, sizeof line, "torvyn  up %s  %llu flows:", uptime,
                 (unsigned long long)tv_json_count(root, "total"));
    yyjson_obj_foreach(yyjson_obj_get(root, "states"), i, count, name, number) {
        length = strlen(line);
        snprintf(line + length, sizeof line - length, "%s %.0f %s", i ? "," : "", yyjson_get_num(number),
                 yyjson_get_str(name));
    }
    length = strlen(line);
    if (top->paused) snprintf(line + length, sizeof line - length, "  PAUSED");
    put_line(0, line, TV_ATTRIBUTE_BOLD);
}

// What flows did is of those that are shown; CPU time and memory are of the process.
static void put_totals(const tv_top *top, yyjson_val *root) {
    char line[512], in[32], out[32], resident[32], limit[32], dropped[32], dead[32], faults[32];
    yyjson_val *totals = yyjson_obj_get(root, "totals"), *process = yyjson_obj_get(root, "process");
    uint64_t limit_bytes = tv_json_count(process, "limit_bytes");
    snprintf(line, sizeof line, "%sin %s/s  out %s/s  %s %.0f %%  memory %s%s%s  dropped %s  dead %s  faults %s",
             top->filter[0] ? "of these: " : "", tv_format_rate(tv_json_number(totals, "in_per_s"), in),
             tv_format_rate(tv_json_number(totals, "out_per_s"), out), top->filter[0] ? "process CPU" : "CPU",
             tv_json_number(process, "cpu_percent"), tv_format_size(tv_json_count(process, "rss_bytes"), resident),
             limit_bytes ? " of " : "", limit_bytes ? tv_format_size(limit_bytes, limit) : "",
             tv_format_count(tv_json_count(totals, "dropped"), dropped),
             tv_format_count(tv_json_count(totals, "dead_lettered"), dead),
             tv_format_count(tv_json_count(totals, "faults"), faults));
    put_line(1, line, TV_ATTRIBUTE_PLAIN);
}

// "0 [||||||      62 %]", several a line.
static int put_workers(yyjson_val *root, int line) {
    enum { BAR = 18 };
    size_t i, count;
    yyjson_val *worker;
    int a_line = tv_terminal_columns() / WORKER_WIDTH;
    if (a_line < 1) a_line = 1;
    yyjson_arr_foreach(yyjson_obj_get(root, "workers"), i, count, worker) {
        char bar[BAR + 1], text[64], percent[16];
        if ((int)i >= a_line * WORKER_LINES_MAX) break;
        double busy = tv_json_number(worker, "busy_percent");
        int full = busy <= 0 ? 0 : busy >= 100 ? BAR : (int)(busy * BAR / 100 + 0.5);
        memset(bar, '|', (size_t)full);
        memset(bar + full, ' ', (size_t)(BAR - full));
        bar[BAR] = '\0';
        int length = snprintf(percent, sizeof percent, " %.0f %%", busy);
        if (length > 0 && length < BAR) memcpy(bar + BAR - length, percent, (size_t)length);
        snprintf(text, sizeof text, "%2.0f [%s]", tv_json_number(worker, "index"), bar);
        tv_terminal_put(line + (int)i / a_line, (int)i % a_line * WORKER_WIDTH, WORKER_WIDTH - 1, text, false,
                        TV_ATTRIBUTE_PLAIN);
    }
    int lines = ((int)count + a_line - 1) / a_line;
    return lines < WORKER_LINES_MAX ? lines : WORKER_LINES_MAX;
}

// ---- tables -------------------------------------------------------------------------------------------------

static void format_cell(const tv_top_column *column, yyjson_val *cell, char out[CELL_BYTES]) {
    double number = yyjson_get_num(cell);
    switch (column->kind) {
    case TV_TOP_TEXT: snprintf(out, CELL_BYTES, "%s", yyjson_is_str(cell) ? yyjson_get_str(cell) : ""); break;
    case TV_TOP_RATE: tv_format_rate(number, out); break;
    case TV_TOP_COUNT: tv_format_count(number > 0 ? (uint64_t)number : 0, out); break;
    case TV_TOP_SIZE: tv_format_size(number > 0 ? (uint64_t)number : 0, out); break;
    case TV_TOP_PERCENT: snprintf(out, CELL_BYTES, "%.1f", number); break;
    case TV_TOP_WHOLE: snprintf(out, CELL_BYTES, "%.0f", number); break;
    }
}

// Which columns fit, and how wide the first is then: those with the highest ranks go first.
static int choose_columns(const tv_top_column *columns, int count, bool *shown) {
    int width = 0, free_columns = tv_terminal_columns();
    for (int i = 0; i < count; i++) {
        shown[i] = true;
        width += columns[i].width + (i ? 1 : 0);
    }
    while (width > free_columns) {
        int last = 0;
        for (int i = 1; i < count; i++)
            if (shown[i] && (!shown[last] || last == 0 || columns[i].rank > columns[last].rank)) last = i;
        if (last == 0) break;
        shown[last] = false;
        width -= columns[last].width + 1;
    }
    int first = columns[0].width + (free_columns > width ? free_columns - width : 0);
    return first > 40 ? 40 : first;
}

static tv_attribute row_attribute(const tv_top *top, size_t row) {
    const char *state = yyjson_get_str(tv_top_cell(top, row, "state"));
    if (top->first + row == top->selected) return TV_ATTRIBUTE_SELECTED;
    if (state && strcmp(state, "failed") == 0) return TV_ATTRIBUTE_BAD;
    if (yyjson_get_bool(tv_top_cell(top, row, "demoted"))) return TV_ATTRIBUTE_WARNING;
    return state && (strcmp(state, "paused") == 0 || strcmp(state, "ended") == 0) ? TV_ATTRIBUTE_WARNING
                                                                                  : TV_ATTRIBUTE_PLAIN;
}

static void put_row(const tv_top *top, int line, size_t row, const tv_top_column *columns, int count, const bool *shown,
                    int first_width) {
    tv_attribute attribute = row_attribute(top, row);
    put_line(line, "", attribute);
    for (int i = 0, at = 0; i < count; i++) {
        char text[CELL_BYTES];
        if (!shown[i]) continue;
        int width = i ? columns[i].width : first_width;
        format_cell(&columns[i], tv_top_cell(top, row, columns[i].key), text);
        if (i == 1 && yyjson_get_bool(tv_top_cell(top, row, "demoted"))) strncat(text, "!", 2);
        tv_terminal_put(line, at, width, text, columns[i].kind != TV_TOP_TEXT, attribute);
        at += width + 1;
    }
}

static void put_titles(const tv_top *top, int line, const tv_top_column *columns, int count, const bool *shown,
                       int first_width) {
    put_line(line, "", TV_ATTRIBUTE_TITLE);
    for (int i = 0, at = 0; i < count; i++) {
        char title[32];
        if (!shown[i]) continue;
        int width = i ? columns[i].width : first_width;
        bool sorted = columns == tv_top_flow_columns && (unsigned)i == top->sort;
        snprintf(title, sizeof title, "%s%s", columns[i].title, !sorted ? "" : top->reverse ? "^" : "v");
        tv_terminal_put(line, at, width, title, columns[i].kind != TV_TOP_TEXT,
                        sorted ? TV_ATTRIBUTE_SELECTED : TV_ATTRIBUTE_TITLE);
        at += width + 1;
    }
}

static const char *nothing_to_show(const tv_top *top) {
    if (!top->figures) return "waiting for figures ...";
    if (top->view == TV_TOP_COMPONENTS) return "the pipeline does not tell figures by component";
    return top->filter[0] ? "no flow is like that; Escape shows all" : "there are no flows";
}

static void put_table(tv_top *top, int line, const tv_top_column *columns, int count) {
    bool shown[TV_TOP_FLOW_COLUMNS];
    int first_width = choose_columns(columns, count, shown), lines = tv_terminal_lines() - line - 2;
    top->rows_visible = lines > 1 ? (uint64_t)lines : 1;
    put_titles(top, line, columns, count, shown, first_width);
    // Until the next figures come, the rows at hand begin elsewhere than what is to be seen.
    uint64_t skip = top->view == TV_TOP_FLOWS && top->first >= top->asked_first ? top->first - top->asked_first : 0;
    size_t rows = tv_top_rows(top);
    if (rows == 0) put_line(line + 2, nothing_to_show(top), TV_ATTRIBUTE_PLAIN);
    if (skip > 0 || (top->view == TV_TOP_FLOWS && top->first < top->asked_first)) return;
    for (size_t i = 0; i < rows && i < top->rows_visible; i++)
        put_row(top, line + 1 + (int)i, i, columns, count, shown, first_width);
}

// ---- one flow -----------------------------------------------------------------------------------------------

static const tv_top_column stage_columns[] = {
    {"STAGE", "name", NULL, TV_TOP_TEXT, 14, 0},
    {"IN/S", "in_per_s", NULL, TV_TOP_RATE, 9, 5},
    {"OUT/S", "out_per_s", NULL, TV_TOP_RATE, 9, 6},
    {"RUNS %", "running_percent", NULL, TV_TOP_PERCENT, 7, 1},
    {"NO INPUT", "waiting_input_percent", NULL, TV_TOP_PERCENT, 8, 2},
    {"NO WORKER", "waiting_worker_percent", NULL, TV_TOP_PERCENT, 9, 3},
    {"NO ROOM", "waiting_room_percent", NULL, TV_TOP_PERCENT, 8, 4},
    {"FAULTS", "faults", NULL, TV_TOP_COUNT, 7, 7},
    {"MEMORY", "memory_bytes", NULL, TV_TOP_SIZE, 9, 8},
};
enum { STAGE_COLUMNS = sizeof stage_columns / sizeof stage_columns[0] };

static const tv_top_column queue_columns[] = {
    {"QUEUE", "name", NULL, TV_TOP_TEXT, 14, 0},     {"FULL %", "percent", NULL, TV_TOP_WHOLE, 7, 1},
    {"RECORDS", "queued", NULL, TV_TOP_COUNT, 9, 2}, {"BYTES", "queued_bytes", NULL, TV_TOP_SIZE, 9, 3},
    {"PUSHED", "pushed", NULL, TV_TOP_COUNT, 12, 4},
};
enum { QUEUE_COLUMNS = sizeof queue_columns / sizeof queue_columns[0] };

// Objects as a table from `line` on; `marked` is the name of the row to point out. Returns the line below.
static int put_objects(yyjson_val *objects, int line, const tv_top_column *columns, int count, const char *marked) {
    bool shown[TV_TABLE_COLUMNS_MAX];
    int first_width = choose_columns(columns, count, shown);
    size_t i, rows;
    yyjson_val *object;
    put_titles(&(tv_top){0}, line++, columns, count, shown, first_width);
    yyjson_arr_foreach(objects, i, rows, object) {
        bool is_marked = marked[0] && strcmp(tv_json_text(object, "name"), marked) == 0;
        if (line >= tv_terminal_lines() - 1) break;
        for (int c = 0, at = 0; c < count; c++) {
            char text[CELL_BYTES];
            if (!shown[c]) continue;
            int width = c ? columns[c].width : first_width;
            format_cell(&columns[c], yyjson_obj_get(object, columns[c].key), text);
            tv_terminal_put(line, at, width, text, columns[c].kind != TV_TOP_TEXT,
                            is_marked ? TV_ATTRIBUTE_BOLD : TV_ATTRIBUTE_PLAIN);
            at += width + 1;
        }
        line++;
    }
    return line;
}

// A sentence over as many lines as it needs, broken at spaces. Returns the line below.
static int put_sentence(int line, const char *text, tv_attribute attribute) {
    size_t width = tv_terminal_columns() > 1 ? (size_t)tv_terminal_columns() : 1;
    while (*text && line < tv_terminal_lines() - 1) {
        char part[CELL_BYTES * 4];
        size_t length = strlen(text), rest = length;
        if (length > width)
            for (rest = width; rest > 0 && text[rest] != ' ';)
                rest--;
        if (rest == 0)
            for (rest = width; rest > 1 && ((unsigned char)text[rest] & 0xc0) == 0x80;)
                rest--;
        snprintf(part, sizeof part, "%.*s", (int)rest, text);
        put_line(line++, part, attribute);
        text += rest + strspn(text + rest, " ");
    }
    return line;
}

static void put_flow(const tv_top *top, int line) {
    yyjson_val *flow = yyjson_obj_get(yyjson_doc_get_root(top->flow_figures), "flow");
    char text[1024], in[32], out[32];
    const size_t prefix = strlen("bottleneck: ");
    if (!flow) {
        put_line(line, "waiting for figures ...", TV_ATTRIBUTE_PLAIN);
        return;
    }
    snprintf(text, sizeof text, "%s  %s, %s  in %s/s  out %s/s  CPU %.1f %%", tv_json_text(flow, "name"),
             tv_json_text(flow, "state"), tv_json_text(flow, "class"),
             tv_format_rate(tv_json_number(flow, "in_per_s"), in),
             tv_format_rate(tv_json_number(flow, "out_per_s"), out), tv_json_number(flow, "cpu_percent"));
    put_line(line++, text, TV_ATTRIBUTE_BOLD);
    snprintf(text, sizeof text, "bottleneck: ");
    tv_ps_bottleneck(flow, text + prefix, sizeof text - prefix);
    if (text[prefix]) line = put_sentence(line, text, TV_ATTRIBUTE_WARNING);
    snprintf(text, sizeof text, "%s", tv_json_text(flow, "last_error"));
    line = put_sentence(line, text, TV_ATTRIBUTE_BAD);
    line = put_objects(yyjson_obj_get(flow, "stages"), line + 1, stage_columns, STAGE_COLUMNS,
                       tv_json_text(yyjson_obj_get(flow, "bottleneck"), "stage"));
    if (line + 2 < tv_terminal_lines())
        put_objects(yyjson_obj_get(flow, "queues"), line + 1, queue_columns, QUEUE_COLUMNS, "");
}

// ---- all ----------------------------------------------------------------------------------------------------

static void put_help(int line) {
    static const char *const lines[] = {
        "up, down, page up, page down, home, end   choose a row",
        "Enter        the chosen flow in full, and what holds it back",
        "Escape       back; without the filter",
        "f  c  w      flows, components, workers; Tab goes through them",
        "s  S         sort by the next column, by the one before; r the other way round",
        "/            show only flows whose names contain a text, or are like a pattern: line-*",
        "space, p     pause; the screen stays as it is",
        "+  -         new figures less often, more often",
        "q            quit",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        put_line(line + (int)i, lines[i], TV_ATTRIBUTE_PLAIN);
}

static void put_foot(const tv_top *top) {
    char line[sizeof top->message + 64];
    if (top->typing)
        snprintf(line, sizeof line, "filter: %s_", top->typed);
    else if (top->message[0])
        snprintf(line, sizeof line, "%s", top->message);
    else
        snprintf(line, sizeof line,
                 "q quit  h help  Enter details  s sort  r reverse  / filter  space pause  f c w views");
    put_line(tv_terminal_lines() - 1, line, TV_ATTRIBUTE_TITLE);
}

void tv_top_draw(tv_top *top) {
    yyjson_val *root = yyjson_doc_get_root(top->figures);
    tv_terminal_clear();
    put_process(top, root);
    put_totals(top, root);
    int line = HEAD_LINES + put_workers(root, HEAD_LINES) + 1;
    if (top->help)
        put_help(line);
    else if (top->view == TV_TOP_FLOW)
        put_flow(top, line);
    else if (top->view == TV_TOP_FLOWS)
        put_table(top, line, tv_top_flow_columns, TV_TOP_FLOW_COLUMNS);
    else if (top->view == TV_TOP_COMPONENTS)
        put_table(top, line, tv_top_component_columns, TV_TOP_COMPONENT_COLUMNS);
    else
        put_table(top, line, tv_top_worker_columns, TV_TOP_WORKER_COLUMNS);
    put_foot(top);
    tv_terminal_show();
}
