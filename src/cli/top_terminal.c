// The terminal under `torvyn top`, through ncurses. The only file that includes its header.
#include <errno.h>
#include <locale.h>
#include <ncurses.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#include "cli/top.h"

// What the common terminals have in common, for systems without a terminfo database (small gateways): an entry that
// has their names, as ncurses takes it from the environment. Made by `tic` and `infocmp -Q2 -0 -q` from
//   xterm-256color|xterm|...|what the common terminals have in common,
//       am, bce@, msgr, cols#80, lines#24, colors#8, pairs#64,
//       bel=^G, cr=\r, cud1=\n, ind=\n, cub1=^H, cuf1=\E[C, cuu1=\E[A, cup=\E[%i%p1%d;%p2%dH, home=\E[H,
//       clear=\E[H\E[J, ed=\E[J, el=\E[K, cud=\E[%p1%dB, cuf=\E[%p1%dC, cub=\E[%p1%dD, cuu=\E[%p1%dA,
//       bold=\E[1m, rev=\E[7m, smul=\E[4m, rmul=\E[24m, sgr0=\E[m, op=\E[39;49m, setaf=\E[3%p1%dm, setab=\E[4%p1%dm,
//       civis=\E[?25l, cnorm=\E[?25h, smcup=\E[?1049h, rmcup=\E[?1049l,
//       kcuu1=\E[A, kcud1=\E[B, kcuf1=\E[C, kcub1=\E[D, khome=\E[H, kend=\E[F, knp=\E[6~, kpp=\E[5~, kbs=^?,
static const char common_terminal[] =
    "b64:GgHBAA8ADwBpAdQAeHRlcm0tMjU2Y29sb3J8eHRlcm18eHRlcm0tY29sb3J8bGludXh8c2NyZWVufHNjcmVlbi0yNTZjb2xvcnx0bXV4fHRt"
    "dXgtMjU2Y29sb3J8dnQxMDB8dnQyMjB8YW5zaXxyeHZ0fHJ4dnQtdW5pY29kZS0yNTZjb2xvcnxhbGFjcml0dHl8Zm9vdHx4dGVybS1raXR0eXx3"
    "aGF0IHRoZSBjb21tb24gdGVybWluYWxzIGhhdmUgaW4gY29tbW9uAAABAAAAAAAAAAAAAAAAAVAA__8YAP__________________________CABA"
    "AP__AAACAP____8EAAsADwD_____EwAkACYAKgAxAP__MwA6AP__PgD__________________0IARwD_____________UAD__1UA_____1oAXgD_"
    "______9nAP__________________________bQD_____________bwD_____________________________________cwD_____dwD__3sAgACF"
    "AP_______4kA__________________________________________________-NAP_______5YAnwD__6gA____________________________"
    "_________7EA__________________________________________________________________________________________-zAP______"
    "________________________________________________________________________________________________________________"
    "________________________________________________________________________________________________________________"
    "________________________________________________________________________________________________________________"
    "_________7cA____________________________________________________________________________________________________"
    "_______________________________________________________________AAMoABwANABtbSBtbSgAbW0sAG1tKABtbJWklcDElZDslcDIl"
    "ZEgACgAbW0gAG1s_MjVsAAgAG1s_MjVoABtbQwAbW0EAG1sxbQAbWz8xMDQ5aAAbWzdtABtbNG0AG1ttABtbPzEwNDlsABtbMjRtAH8AG1tCABtb"
    "SAAbW0QAG1s2fgAbWzV-ABtbQwAbW0EAG1slcDElZEIAG1slcDElZEQAG1slcDElZEMAG1slcDElZEEACgAbW0YAG1szOTs0OW0AG1szJXAxJWRt"
    "ABtbNCVwMSVkbQA=";

// ---- giving it back -----------------------------------------------------------------------------------------

static struct {
    SCREEN *screen;       // NULL: closed
    struct termios modes; // as they were
    char reset[128];      // plain text, visible cursor, the other screen
    size_t reset_bytes;
} before;

// A crash: only what is safe in a signal handler.
static void on_crash(int number) {
    tcsetattr(STDOUT_FILENO, TCSANOW, &before.modes);
    ssize_t written = write(STDOUT_FILENO, before.reset, before.reset_bytes);
    (void)written;
    raise(number); // the handler is gone by SA_RESETHAND
}

static void prepare_for_crashes(void) {
    static const char *const names[] = {"sgr0", "cnorm", "rmcup"};
    before.reset_bytes = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *sequence = tigetstr(names[i]);
        size_t length = sequence && sequence != (const char *)-1 ? strlen(sequence) : 0;
        if (before.reset_bytes + length > sizeof before.reset) continue;
        memcpy(before.reset + before.reset_bytes, sequence ? sequence : "", length);
        before.reset_bytes += length;
    }
    struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++)
        sigaction(crashes[i], &action, NULL);
}

void tv_terminal_close(void) {
    if (!before.screen) return;
    endwin();
    delscreen(before.screen);
    before.screen = NULL;
}

// ---- taking it over -----------------------------------------------------------------------------------------

// Whether its description is to be had; *can_place says whether it can place its cursor.
static bool is_known(const char *name, bool *can_place) {
    int result = 0;
    if (setupterm(name, STDOUT_FILENO, &result) != OK) return false;
    const char *place = tigetstr("cup");
    *can_place = place && place != (const char *)-1;
    del_curterm(cur_term);
    return true;
}

static tv_status check_terminal(tv_error *error) {
    const char *name = getenv("TERM");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return tv_error_set(error, TV_UNSUPPORTED,
                            "top needs a terminal; `torvyn ps` prints the same figures anywhere");
    if (!name || !name[0])
        return tv_error_set(error, TV_UNSUPPORTED,
                            "TERM is not set: say what terminal this is (TERM=xterm torvyn top)");
    bool can_place = false;
    bool known =
        is_known(name, &can_place) || (setenv("TERMINFO", common_terminal, 1) == 0 && is_known(name, &can_place));
    if (known && can_place) return TV_OK;
    if (known)
        return tv_error_set(error, TV_UNSUPPORTED,
                            "the terminal '%s' cannot place its cursor; `torvyn ps` prints the same figures", name);
    return tv_error_set(error, TV_UNSUPPORTED,
                        "nothing is known of the terminal '%s': try TERM=xterm torvyn top, or `torvyn ps`", name);
}

static void choose_colours(void) {
    const char *no_colour = getenv("NO_COLOR");
    if ((no_colour && no_colour[0]) || !has_colors()) return;
    start_color();
    use_default_colors();
    init_pair(1, COLOR_GREEN, -1);
    init_pair(2, COLOR_YELLOW, -1);
    init_pair(3, COLOR_RED, -1);
}

tv_status tv_terminal_open(tv_error *error) {
    tv_status status = check_terminal(error);
    if (status != TV_OK) return status;
    setlocale(LC_CTYPE, "");
    tcgetattr(STDOUT_FILENO, &before.modes);
    before.screen = newterm(NULL, stdout, stdin);
    if (!before.screen) return tv_error_set(error, TV_UNSUPPORTED, "the terminal cannot be used; try `torvyn ps`");
    prepare_for_crashes();
    atexit(tv_terminal_close);
    cbreak();
    noecho();
    nonl();
    curs_set(0);
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(25);
    choose_colours();
    return TV_OK;
}

// ---- keys ---------------------------------------------------------------------------------------------------

int tv_terminal_key(void) {
    int key = getch();
    switch (key) {
    case ERR: return -1;
    case KEY_UP: return TV_KEY_UP;
    case KEY_DOWN: return TV_KEY_DOWN;
    case KEY_PPAGE: return TV_KEY_PAGE_UP;
    case KEY_NPAGE: return TV_KEY_PAGE_DOWN;
    case KEY_HOME: return TV_KEY_HOME;
    case KEY_END: return TV_KEY_END;
    case KEY_RESIZE: return TV_KEY_RESIZE;
    case KEY_ENTER:
    case '\r':
    case '\n': return TV_KEY_ENTER;
    case 27: return TV_KEY_ESCAPE;
    case KEY_BACKSPACE:
    case 127:
    case '\b': return TV_KEY_BACKSPACE;
    default: return key < 256 ? key : 0;
    }
}

// ---- output -------------------------------------------------------------------------------------------------

int tv_terminal_lines(void) { return LINES; }
int tv_terminal_columns(void) { return COLS; }

static attr_t attribute_of(tv_attribute attribute) {
    switch (attribute) {
    case TV_ATTRIBUTE_PLAIN: return A_NORMAL;
    case TV_ATTRIBUTE_BOLD: return A_BOLD;
    case TV_ATTRIBUTE_TITLE: return A_REVERSE;
    case TV_ATTRIBUTE_SELECTED: return A_REVERSE | A_BOLD;
    case TV_ATTRIBUTE_GOOD: return (attr_t)COLOR_PAIR(1);
    case TV_ATTRIBUTE_WARNING: return (attr_t)COLOR_PAIR(2);
    case TV_ATTRIBUTE_BAD: return (attr_t)COLOR_PAIR(3) | A_BOLD;
    }
    return A_NORMAL;
}

// Puts as much of a text from outside as fits, or only measures it. Returns its characters.
static int put_shown(const char *text, int width, bool put) {
    int characters = 0;
    for (size_t at = 0, length = strlen(text); at < length;) {
        char step[TV_SHOW_STEP_BYTES];
        size_t shown;
        int more = 0;
        at += tv_show_step(TV_SHOW_TEXT, text + at, length - at, step, &shown);
        for (size_t i = 0; i < shown; i++)
            more += ((unsigned char)step[i] & 0xc0) != 0x80;
        if (characters + more > width) break;
        characters += more;
        if (put) addnstr(step, (int)shown);
    }
    return characters;
}

void tv_terminal_put(int line, int column, int width, const char *text, bool right, tv_attribute attribute) {
    if (line < 0 || line >= LINES || column >= COLS || width <= 0) return;
    if (width > COLS - column) width = COLS - column;
    int characters = put_shown(text, width, false);
    attrset((int)attribute_of(attribute));
    move(line, column);
    if (right) printw("%*s", width - characters, "");
    put_shown(text, width, true);
    if (!right) printw("%*s", width - characters, "");
    attrset((int)A_NORMAL);
}

void tv_terminal_clear(void) { erase(); }
void tv_terminal_show(void) { refresh(); }
