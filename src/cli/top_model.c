// What `torvyn top` shows, and what the keys do to it.
#include <ctype.h>
#include <string.h>

#include "cli/top.h"

const tv_top_column tv_top_flow_columns[TV_TOP_FLOW_COLUMNS] = {
    {"FLOW", "name", "name", TV_TOP_TEXT, 12, 0},
    {"CLASS", "class", "class", TV_TOP_TEXT, 10, 4},
    {"STATE", "state", "state", TV_TOP_TEXT, 8, 2},
    {"WORKER", "worker", NULL, TV_TOP_WHOLE, 6, 11},
    {"IN/S", "in_per_s", "in", TV_TOP_RATE, 9, 1},
    {"OUT/S", "out_per_s", "out", TV_TOP_RATE, 9, 7},
    {"CPU %", "cpu_percent", "cpu", TV_TOP_PERCENT, 7, 0},
    {"QUEUE %", "queue_percent", "queue", TV_TOP_WHOLE, 8, 3},
    {"MEMORY", "memory_bytes", "memory", TV_TOP_SIZE, 9, 6},
    {"DROPPED", "dropped", "dropped", TV_TOP_COUNT, 8, 5},
    {"DEAD", "dead_lettered", "dead", TV_TOP_COUNT, 7, 9},
    {"FAULTS", "faults", "faults", TV_TOP_COUNT, 7, 8},
    {"RESTARTS", "restarts", "restarts", TV_TOP_COUNT, 9, 10},
};

const tv_top_column tv_top_component_columns[TV_TOP_COMPONENT_COLUMNS] = {
    {"COMPONENT", "name", NULL, TV_TOP_TEXT, 16, 0},     {"STAGES", "stages", NULL, TV_TOP_COUNT, 7, 3},
    {"IN/S", "in_per_s", NULL, TV_TOP_RATE, 10, 2},      {"CPU %", "cpu_percent", NULL, TV_TOP_PERCENT, 7, 1},
    {"MEMORY", "memory_bytes", NULL, TV_TOP_SIZE, 9, 6}, {"FAULTS", "faults", NULL, TV_TOP_COUNT, 8, 4},
    {"RESTARTS", "restarts", NULL, TV_TOP_COUNT, 8, 5},
};

const tv_top_column tv_top_worker_columns[TV_TOP_WORKER_COLUMNS] = {
    {"WORKER", "index", NULL, TV_TOP_WHOLE, 16, 0},        {"BUSY %", "busy_percent", NULL, TV_TOP_PERCENT, 8, 1},
    {"FLOWS", "flows", NULL, TV_TOP_COUNT, 8, 2},          {"NESTED %", "nested_percent", NULL, TV_TOP_PERCENT, 9, 3},
    {"THROTTLED", "throttles", NULL, TV_TOP_COUNT, 10, 4}, {"CAME", "moved_in", NULL, TV_TOP_COUNT, 8, 5},
    {"LEFT", "moved_out", NULL, TV_TOP_COUNT, 8, 6},
};

enum { SORT_CPU = 6, DEFAULT_INTERVAL_MS = 1000 };

unsigned tv_top_find_sort(const char *name) {
    unsigned i = 0;
    while (i < TV_TOP_FLOW_COLUMNS && (!tv_top_flow_columns[i].sort || strcmp(tv_top_flow_columns[i].sort, name) != 0))
        i++;
    return i;
}

void tv_top_init(tv_top *top) {
    *top = (tv_top){.sort = SORT_CPU, .interval_ms = DEFAULT_INTERVAL_MS, .rows_visible = 20};
}

void tv_top_deinit(tv_top *top) {
    yyjson_doc_free(top->figures);
    yyjson_doc_free(top->flow_figures);
}

// ---- figures ------------------------------------------------------------------------------------------------

static yyjson_val *rows_of(const tv_top *top) {
    yyjson_val *root = yyjson_doc_get_root(top->figures);
    if (top->view == TV_TOP_WORKERS) return yyjson_obj_get(root, "workers");
    return yyjson_obj_get(root, top->view == TV_TOP_COMPONENTS ? "components" : "rows");
}

uint64_t tv_top_matched(const tv_top *top) {
    if (top->view == TV_TOP_FLOWS) return tv_json_count(yyjson_doc_get_root(top->figures), "matched");
    return yyjson_arr_size(rows_of(top));
}

size_t tv_top_rows(const tv_top *top) {
    size_t count = yyjson_arr_size(rows_of(top));
    if (top->view == TV_TOP_FLOWS) return count;
    return top->first < count ? count - (size_t)top->first : 0;
}

// The place of a column in the rows of flows, by its name; SIZE_MAX if they have none.
static size_t place_of(const tv_top *top, const char *key) {
    size_t i, count;
    yyjson_val *name;
    yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(top->figures), "columns"), i, count,
                       name) if (yyjson_equals_str(name, key)) return i;
    return SIZE_MAX;
}

yyjson_val *tv_top_cell(const tv_top *top, size_t row, const char *key) {
    yyjson_val *rows = rows_of(top);
    if (top->view == TV_TOP_FLOWS) return yyjson_arr_get(yyjson_arr_get(rows, row), place_of(top, key));
    return yyjson_obj_get(yyjson_arr_get(rows, row + (size_t)top->first), key);
}

// Keeps the selection among the rows, and the rows in view around the selection.
static void keep_in_view(tv_top *top) {
    uint64_t matched = tv_top_matched(top);
    if (top->selected >= matched) top->selected = matched ? matched - 1 : 0;
    if (top->selected < top->first) top->first = top->selected;
    if (top->rows_visible && top->selected >= top->first + top->rows_visible)
        top->first = top->selected - top->rows_visible + 1;
}

yyjson_mut_doc *tv_top_request(tv_top *top, tv_control *control) {
    bool one = top->view == TV_TOP_FLOW;
    yyjson_mut_doc *request = tv_control_request(control, one ? "ps" : "top");
    yyjson_mut_val *root = yyjson_mut_doc_get_root(request);
    if (one) {
        yyjson_mut_obj_add_str(request, root, "flow", top->flow);
        return request;
    }
    char match[TV_TOP_FILTER_MAX + 3];
    bool is_glob = strpbrk(top->filter, "*?[") != NULL;
    snprintf(match, sizeof match, is_glob ? "%s" : "*%s*", top->filter);
    if (top->filter[0]) yyjson_mut_obj_add_strcpy(request, root, "match", match);
    yyjson_mut_obj_add_str(request, root, "sort", tv_top_flow_columns[top->sort].sort);
    if (top->reverse) yyjson_mut_obj_add_bool(request, root, "reverse", true);
    if (top->view == TV_TOP_COMPONENTS) yyjson_mut_obj_add_bool(request, root, "components", true);
    keep_in_view(top);
    top->asked_first = top->view == TV_TOP_FLOWS ? top->first : 0;
    yyjson_mut_obj_add_uint(request, root, "limit", top->rows_visible ? top->rows_visible : 1);
    if (top->asked_first) yyjson_mut_obj_add_uint(request, root, "offset", top->asked_first);
    return request;
}

void tv_top_take(tv_top *top, yyjson_doc *answer) {
    bool one = yyjson_obj_get(yyjson_doc_get_root(answer), "flow") != NULL;
    yyjson_doc **place = one ? &top->flow_figures : &top->figures;
    yyjson_doc_free(*place);
    *place = answer;
    if (!one) keep_in_view(top);
}

// ---- keys ---------------------------------------------------------------------------------------------------

static tv_top_effect show(tv_top *top, tv_top_view view) {
    top->view = view;
    top->first = top->selected = 0;
    return TV_TOP_ASK;
}

static tv_top_effect open_flow(tv_top *top) {
    if (top->view != TV_TOP_FLOWS || top->selected < top->asked_first) return TV_TOP_NOTHING;
    const char *name = yyjson_get_str(tv_top_cell(top, (size_t)(top->selected - top->asked_first), "name"));
    if (!name || strlen(name) >= sizeof top->flow) return TV_TOP_NOTHING;
    strcpy(top->flow, name); // NOLINT: measured above
    yyjson_doc_free(top->flow_figures);
    top->flow_figures = NULL;
    top->view_before = top->view;
    top->view = TV_TOP_FLOW;
    return TV_TOP_ASK;
}

static tv_top_effect escape(tv_top *top) {
    if (top->help) {
        top->help = false;
    } else if (top->view == TV_TOP_FLOW) {
        top->view = top->view_before;
        return TV_TOP_ASK;
    } else if (top->filter[0]) {
        top->filter[0] = '\0';
        return show(top, top->view);
    }
    return TV_TOP_REDRAW;
}

static tv_top_effect move_to(tv_top *top, uint64_t row) {
    uint64_t first = top->first;
    top->selected = row;
    keep_in_view(top);
    return top->first != first ? TV_TOP_ASK : TV_TOP_REDRAW;
}

static tv_top_effect move_key(tv_top *top, int key) {
    uint64_t page = top->rows_visible ? top->rows_visible : 1, at = top->selected;
    switch (key) {
    case TV_KEY_UP: return move_to(top, at ? at - 1 : 0);
    case TV_KEY_DOWN: return move_to(top, at + 1);
    case TV_KEY_PAGE_UP: return move_to(top, at > page ? at - page : 0);
    case TV_KEY_PAGE_DOWN: return move_to(top, at + page);
    case TV_KEY_HOME: return move_to(top, 0);
    case TV_KEY_END: return move_to(top, UINT64_MAX / 2);
    default: return TV_TOP_NOTHING;
    }
}

// The next column by which the far side can sort, in this direction.
static tv_top_effect sort_by(tv_top *top, unsigned step) {
    do
        top->sort = (top->sort + step) % TV_TOP_FLOW_COLUMNS;
    while (!tv_top_flow_columns[top->sort].sort);
    top->reverse = false;
    return show(top, top->view);
}

static tv_top_effect change_interval(tv_top *top, bool longer) {
    int interval_ms = longer ? top->interval_ms * 2 : top->interval_ms / 2;
    if (interval_ms >= TV_TOP_INTERVAL_MIN_MS && interval_ms <= TV_TOP_INTERVAL_MAX_MS) top->interval_ms = interval_ms;
    snprintf(top->message, sizeof top->message, "new figures every %g s", top->interval_ms / 1000.0);
    return TV_TOP_ASK;
}

static tv_top_effect type(tv_top *top, int key) {
    size_t length = strlen(top->typed);
    if (key == TV_KEY_ESCAPE) {
        top->typing = false;
    } else if (key == TV_KEY_ENTER) {
        top->typing = false;
        strcpy(top->filter, top->typed); // NOLINT: of one size
        return show(top, top->view);
    } else if (key == TV_KEY_BACKSPACE) {
        if (length) top->typed[length - 1] = '\0';
    } else if (key > ' ' && key < 127 && length < TV_TOP_FILTER_MAX) {
        top->typed[length] = (char)key;
        top->typed[length + 1] = '\0';
    }
    return TV_TOP_REDRAW;
}

static tv_top_effect begin_typing(tv_top *top) {
    if (top->view != TV_TOP_FLOWS) return TV_TOP_NOTHING;
    top->typing = true;
    strcpy(top->typed, top->filter); // NOLINT: of one size
    return TV_TOP_REDRAW;
}

static tv_top_effect letter_key(tv_top *top, int key) {
    switch (key) {
    case 'q': return TV_TOP_QUIT;
    case 'h':
    case '?': top->help = true; return TV_TOP_REDRAW;
    case ' ':
    case 'p': top->paused = !top->paused; return top->paused ? TV_TOP_REDRAW : TV_TOP_ASK;
    case 'f': return show(top, TV_TOP_FLOWS);
    case 'c': return show(top, TV_TOP_COMPONENTS);
    case 'w': return show(top, TV_TOP_WORKERS);
    case '\t': return show(top, top->view >= TV_TOP_WORKERS ? TV_TOP_FLOWS : (tv_top_view)(top->view + 1));
    case 's':
    case '>': return top->view == TV_TOP_FLOWS ? sort_by(top, 1) : TV_TOP_NOTHING;
    case 'S':
    case '<': return top->view == TV_TOP_FLOWS ? sort_by(top, TV_TOP_FLOW_COLUMNS - 1) : TV_TOP_NOTHING;
    case 'r': top->reverse = !top->reverse; return show(top, top->view);
    case '/': return begin_typing(top);
    case '+': return change_interval(top, true);
    case '-': return change_interval(top, false);
    default: return TV_TOP_NOTHING;
    }
}

tv_top_effect tv_top_key(tv_top *top, int key) {
    top->message[0] = '\0';
    if (key == TV_KEY_RESIZE) return TV_TOP_ASK; // more rows may fit
    if (top->typing) return type(top, key);
    if (top->help && key != 'q') return escape(top);
    if (key == TV_KEY_ESCAPE || (key == TV_KEY_BACKSPACE && top->view == TV_TOP_FLOW)) return escape(top);
    if (key == TV_KEY_ENTER) return open_flow(top);
    return key > 255 ? move_key(top, key) : letter_key(top, key);
}
