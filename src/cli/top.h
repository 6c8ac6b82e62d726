// torvyn top: what it shows and how it reacts to keys (top_model.c), how it looks (top_draw.c), and the terminal
// (top_terminal.c). The model knows nothing of the terminal, the terminal nothing of flows.
#ifndef TORVYN_CLI_TOP_H
#define TORVYN_CLI_TOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "cli/control.h"
#include "yyjson.h"

// ---- model --------------------------------------------------------------------------------------------------

typedef enum tv_top_view {
    TV_TOP_FLOWS,
    TV_TOP_COMPONENTS,
    TV_TOP_WORKERS,
    TV_TOP_FLOW, // one flow in full
} tv_top_view;

typedef struct tv_top_column {
    const char *title;
    const char *key;  // of the column or field in the answer
    const char *sort; // what the far side sorts by; NULL: it cannot
    enum { TV_TOP_TEXT, TV_TOP_RATE, TV_TOP_COUNT, TV_TOP_SIZE, TV_TOP_PERCENT, TV_TOP_WHOLE } kind;
    int width;
    int rank; // the highest goes first where the terminal is too narrow
} tv_top_column;

enum { TV_TOP_FILTER_MAX = 64, TV_TOP_INTERVAL_MIN_MS = 250, TV_TOP_INTERVAL_MAX_MS = 60000 };

typedef struct tv_top {
    tv_top_view view, view_before; // view_before: where Escape leads from one flow
    unsigned sort;                 // index into the columns of the flows
    bool reverse;
    bool paused;
    bool help;
    bool typing; // the filter is being typed, in `typed`
    char filter[TV_TOP_FILTER_MAX + 1];
    char typed[TV_TOP_FILTER_MAX + 1];
    char flow[512]; // of TV_TOP_FLOW
    int interval_ms;
    uint64_t first, selected; // rows, counted over all that match
    uint64_t rows_visible;    // set by the drawing
    uint64_t asked_first;     // `first` when the figures at hand were asked for
    yyjson_doc *figures;      // the last answer to `top`
    yyjson_doc *flow_figures; // and to `ps` of one flow
    char message[512];        // shown until the next key
} tv_top;

typedef enum tv_top_effect {
    TV_TOP_NOTHING = 0,
    TV_TOP_REDRAW,
    TV_TOP_ASK, // for new figures, at once
    TV_TOP_QUIT,
} tv_top_effect;

// Keys beyond the characters, so that the model needs no header of the terminal's library.
enum {
    TV_KEY_UP = 0x1000,
    TV_KEY_DOWN,
    TV_KEY_PAGE_UP,
    TV_KEY_PAGE_DOWN,
    TV_KEY_HOME,
    TV_KEY_END,
    TV_KEY_ENTER,
    TV_KEY_ESCAPE,
    TV_KEY_BACKSPACE,
    TV_KEY_RESIZE,
};

// The column that flows are sorted by under this name (as the server calls it), or TV_TOP_FLOW_COLUMNS.
unsigned tv_top_find_sort(const char *name);
void tv_top_init(tv_top *top);
void tv_top_deinit(tv_top *top);
// Reacts to one key.
tv_top_effect tv_top_key(tv_top *top, int key);
// The request for what is shown now.
yyjson_mut_doc *tv_top_request(tv_top *top, tv_control *control);
// Takes an answer over (the model frees it): figures of all, or of one flow.
void tv_top_take(tv_top *top, yyjson_doc *answer);

extern const tv_top_column tv_top_flow_columns[], tv_top_component_columns[], tv_top_worker_columns[];
enum { TV_TOP_FLOW_COLUMNS = 13, TV_TOP_COMPONENT_COLUMNS = 7, TV_TOP_WORKER_COLUMNS = 7 };

// Rows of the present view: how many match, how many are at hand, and a cell of one at hand (NULL: not said).
uint64_t tv_top_matched(const tv_top *top);
size_t tv_top_rows(const tv_top *top);
yyjson_val *tv_top_cell(const tv_top *top, size_t row, const char *key);

// ---- drawing ------------------------------------------------------------------------------------------------

// The whole screen. Sets top->rows_visible, and with it what is asked for next.
void tv_top_draw(tv_top *top);

// ---- terminal -----------------------------------------------------------------------------------------------

typedef enum tv_attribute {
    TV_ATTRIBUTE_PLAIN,
    TV_ATTRIBUTE_BOLD,
    TV_ATTRIBUTE_TITLE,    // of the table: reverse
    TV_ATTRIBUTE_SELECTED, // likewise
    TV_ATTRIBUTE_GOOD,
    TV_ATTRIBUTE_WARNING,
    TV_ATTRIBUTE_BAD,
} tv_attribute;

// Takes the terminal over. UNSUPPORTED: it is none, or of an unknown kind; the message says what to do. Whatever ends
// the process but SIGKILL, the terminal is given back as it was.
tv_status tv_terminal_open(tv_error *error);
void tv_terminal_close(void);
// The next key that has been pressed, or -1. TV_KEY_* or a character.
int tv_terminal_key(void);
int tv_terminal_lines(void);
int tv_terminal_columns(void);
// Text at a place, cut to `width` columns and filled up to them; aligned to the right if `right`.
void tv_terminal_put(int line, int column, int width, const char *text, bool right, tv_attribute attribute);
void tv_terminal_clear(void);
void tv_terminal_show(void);

#endif
