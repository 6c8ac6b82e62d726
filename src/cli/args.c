// Flags and arguments of a verb, its help, and the messages about wrong ones.
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

bool tv_cli_colour(FILE *out) {
    const char *no_color = getenv("NO_COLOR");
    if (no_color && no_color[0]) return false;
    const char *term = getenv("TERM");
    if (term && strcmp(term, "dumb") == 0) return false;
    return isatty(fileno(out)) == 1;
}

int tv_cli_usage_error(const char *verb, const char *format, ...) {
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    tv_print(stderr, "torvyn %s: error: %s\n`torvyn help %s` shows how it is used.\n", verb, message, verb);
    return TV_EXIT_USAGE;
}

// How long a reader may take nothing, on either stream; 0: as long as it likes.
static int64_t patience_ns[3];

void tv_cli_limit_patience(void) {
    enum { SECOND_NS = 1000000000 };
    patience_ns[STDERR_FILENO] = SECOND_NS;
    patience_ns[STDOUT_FILENO] = 30ll * SECOND_NS;
}

void tv_cli_write(FILE *to, const char *text, size_t length) {
    int64_t stall_ns = patience_ns[fileno(to)];
    if (stall_ns == 0) {
        fwrite(text, 1, length, to);
        return;
    }
    tv_error error;
    fflush(to);
    (void)tv_log_flush(patience_ns[STDERR_FILENO]); // behind what was logged
    tv_status status = tv_print_within(fileno(to), text, length, stall_ns, NULL, NULL, &error);
    if (status != TV_OK) tv_log(TV_LEVEL_ERROR, "run", "a message was not read: %s", error.message);
}

int tv_cli_fail(int code, const tv_error *error) {
    tv_text text = {0};
    tv_text_show(&text, "torvyn: error: %s\n", error->message);
    tv_cli_write(stderr, text.bytes, text.length);
    tv_text_deinit(&text);
    return code;
}

int tv_cli_finish(int code) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    fprintf(stderr, "torvyn: error: standard output could not be written\n");
    return code == TV_EXIT_OK ? TV_EXIT_FAILED : code;
}

// ---- help ---------------------------------------------------------------------------------------------------

static void print_indented(const char *text) {
    while (*text) {
        const char *end = strchr(text, '\n');
        int length = end ? (int)(end - text) : (int)strlen(text);
        printf("  %.*s\n", length, text);
        text += length + (end ? 1 : 0);
    }
}

static void print_flag(const tv_flag *flag) {
    char name[64];
    char letter[8] = "    ";
    if (flag->letter) snprintf(letter, sizeof letter, "-%c, ", flag->letter);
    snprintf(name, sizeof name, "%s--%s%s%s", letter, flag->name, flag->value ? " " : "",
             flag->value ? flag->value : "");
    printf("  %-26s  %s\n", name, flag->help);
}

static void print_help(const tv_verb *verb, const tv_syntax *syntax) {
    printf("torvyn %s - %s\n\nUsage: torvyn %s%s%s\n\n", verb->name, verb->summary, verb->name,
           verb->usage[0] ? " " : "", verb->usage);
    print_indented(verb->description);
    printf("\nFlags:\n");
    for (size_t i = 0; i < syntax->flag_count; i++)
        print_flag(&syntax->flags[i]);
    printf("  %-26s  %s\n\nExamples:\n", "-h, --help", "show this help");
    print_indented(verb->examples);
}

// ---- parsing ------------------------------------------------------------------------------------------------

typedef struct cursor {
    const char *verb;
    const tv_syntax *syntax;
    int argc;
    char **argv;
    int index;
    tv_arguments *arguments;
} cursor;

static int report_unknown_flag(const cursor *at, const char *name, int length) {
    const char *names[64];
    size_t count = 0;
    for (size_t i = 0; i < at->syntax->flag_count && count < 63; i++)
        names[count++] = at->syntax->flags[i].name;
    names[count++] = "help";
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%.*s", length, name);
    const char *nearest = tv_nearest_name(wanted, names, count);
    if (nearest) return tv_cli_usage_error(at->verb, "there is no flag '--%s'; did you mean '--%s'?", wanted, nearest);
    return tv_cli_usage_error(at->verb, "there is no flag '--%s'", wanted);
}

static int store_format(const cursor *at, const tv_flag *flag, const char *value) {
    bool json = strcmp(value, "json") == 0;
    if (!json && strcmp(value, "text") != 0)
        return tv_cli_usage_error(at->verb, "--%s is 'text' or 'json', not '%s'", flag->name, value);
    *(tv_format *)flag->target = json ? TV_FORMAT_JSON : TV_FORMAT_TEXT;
    return TV_CLI_GO;
}

static int store_number(const cursor *at, const tv_flag *flag, const char *value) {
    char *end;
    unsigned long number = strtoul(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end || number < 1 || number > 64)
        return tv_cli_usage_error(at->verb, "--%s is a whole number from 1 to 64, not '%s'", flag->name, value);
    *(uint32_t *)flag->target = (uint32_t)number;
    return TV_CLI_GO;
}

static int store_count(const cursor *at, const tv_flag *flag, const char *value) {
    const unsigned long long most = 1000000000000000;
    char *end;
    unsigned long long number = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end || number < 1 || number > most)
        return tv_cli_usage_error(at->verb, "--%s is a whole number from 1 on, not '%s'", flag->name, value);
    *(uint64_t *)flag->target = number;
    return TV_CLI_GO;
}

static int store_size(const cursor *at, const tv_flag *flag, const char *value) {
    tv_error error;
    if (tv_parse_size(value, (uint64_t *)flag->target, &error) != TV_OK)
        return tv_cli_usage_error(at->verb, "--%s: %s", flag->name, error.message);
    return TV_CLI_GO;
}

static int store_duration(const cursor *at, const tv_flag *flag, const char *value) {
    tv_error error;
    if (tv_parse_duration(value, (int64_t *)flag->target, &error) != TV_OK)
        return tv_cli_usage_error(at->verb, "--%s: %s", flag->name, error.message);
    return TV_CLI_GO;
}

static int store_item(const cursor *at, const tv_flag *flag, const char *value) {
    tv_flag_list *list = flag->target;
    if (list->count == TV_FLAG_LIST_MAX)
        return tv_cli_usage_error(at->verb, "--%s may be given %d times at most", flag->name, TV_FLAG_LIST_MAX);
    list->items[list->count++] = value;
    return TV_CLI_GO;
}

static int store_value(const cursor *at, const tv_flag *flag, const char *value) {
    switch (flag->type) {
    case TV_FLAG_SWITCH: *(bool *)flag->target = true; return TV_CLI_GO;
    case TV_FLAG_TEXT: *(const char **)flag->target = value; return TV_CLI_GO;
    case TV_FLAG_FORMAT: return store_format(at, flag, value);
    case TV_FLAG_NUMBER: return store_number(at, flag, value);
    case TV_FLAG_COUNT: return store_count(at, flag, value);
    case TV_FLAG_SIZE: return store_size(at, flag, value);
    case TV_FLAG_DURATION: return store_duration(at, flag, value);
    case TV_FLAG_LIST: return store_item(at, flag, value);
    }
    return TV_CLI_GO;
}

// `value` is what was written in the same word ("--name=value", "-ovalue"), or NULL.
static int parse_flag(cursor *at, const tv_flag *flag, const char *value) {
    if (flag->type == TV_FLAG_SWITCH && value) return tv_cli_usage_error(at->verb, "--%s takes no value", flag->name);
    if (flag->type != TV_FLAG_SWITCH && !value) {
        if (at->index + 1 >= at->argc)
            return tv_cli_usage_error(at->verb, "--%s needs a value: --%s %s", flag->name, flag->name, flag->value);
        value = at->argv[++at->index];
    }
    return store_value(at, flag, value);
}

static int parse_long(cursor *at, const char *word) {
    const char *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    for (size_t i = 0; i < at->syntax->flag_count; i++) {
        const tv_flag *flag = &at->syntax->flags[i];
        if (strlen(flag->name) == length && strncmp(flag->name, word, length) == 0)
            return parse_flag(at, flag, equals ? equals + 1 : NULL);
    }
    return report_unknown_flag(at, word, (int)length);
}

static int parse_short(cursor *at, const char *word) {
    for (size_t i = 0; i < at->syntax->flag_count; i++) {
        const tv_flag *flag = &at->syntax->flags[i];
        if (flag->letter && flag->letter == word[0]) return parse_flag(at, flag, word[1] ? word + 1 : NULL);
    }
    return tv_cli_usage_error(at->verb, "there is no flag '-%s'", word);
}

static int parse_argument(cursor *at, const char *word) {
    size_t most = at->syntax->arguments_max;
    if (at->arguments->count >= most || at->arguments->count >= TV_ARGUMENTS_MAX)
        return most == 0 ? tv_cli_usage_error(at->verb, "it takes no argument, found '%s'", word)
                         : tv_cli_usage_error(at->verb, "one argument too many: '%s'", word);
    at->arguments->items[at->arguments->count++] = word;
    return TV_CLI_GO;
}

static int parse_word(cursor *at, const char *word, bool *flags_over) {
    if (*flags_over || word[0] != '-' || !word[1]) return parse_argument(at, word);
    if (strcmp(word, "--") == 0) {
        *flags_over = true;
        return TV_CLI_GO;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_help(tv_verb_find(at->verb), at->syntax);
        return tv_cli_finish(TV_EXIT_OK);
    }
    return word[1] == '-' ? parse_long(at, word + 2) : parse_short(at, word + 1);
}

int tv_cli_parse(const tv_syntax *syntax, int argc, char **argv, tv_arguments *arguments) {
    cursor at = {.verb = argv[0], .syntax = syntax, .argc = argc, .argv = argv, .arguments = arguments};
    arguments->count = 0;
    bool flags_over = false;
    for (at.index = 1; at.index < argc; at.index++) {
        int code = parse_word(&at, argv[at.index], &flags_over);
        if (code != TV_CLI_GO) return code;
    }
    if (arguments->count >= syntax->arguments_min) return TV_CLI_GO;
    const tv_verb *verb = tv_verb_find(argv[0]);
    return tv_cli_usage_error(argv[0], "an argument is missing: torvyn %s %s", argv[0], verb->usage);
}
