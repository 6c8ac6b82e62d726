// cli: the executable's verbs. One file per verb; a table in main.c names them.
//
// A verb parses its own flags with tv_cli_parse, which serves --help, suggests near names and reports usage errors,
// so that every verb behaves alike. Verbs print results on standard output and everything else on standard error.
#ifndef TORVYN_CLI_CLI_H
#define TORVYN_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/base.h"

enum {
    TV_EXIT_OK = 0,
    TV_EXIT_FAILED = 1,
    TV_EXIT_USAGE = 64,       // EX_USAGE of sysexits.h: wrong verb, flag or argument
    TV_EXIT_DATA = 65,        // EX_DATAERR: run --fail-on-dead-letters, and there were some
    TV_EXIT_UNAVAILABLE = 69, // EX_UNAVAILABLE: no running pipeline to talk to, or it went away
    TV_EXIT_CONFIG = 78,      // EX_CONFIG: the pipeline file or what it names is wrong
    TV_EXIT_SIGNAL = 128      // plus the signal's number: stopped before everything was delivered
};

typedef struct tv_verb {
    const char *name;
    const char *summary;               // one line, for `torvyn help`
    const char *usage;                 // "FILE [--format text|json]"
    const char *description;           // what it does, in full sentences; lines of at most 80 columns
    const char *examples;              // lines "torvyn check gateway.yaml", each followed by a newline
    int (*run)(int argc, char **argv); // argv[0] is the verb's name; returns the exit code
} tv_verb;

// All verbs, ended by one without a name.
extern const tv_verb tv_verbs[];
const tv_verb *tv_verb_find(const char *name);

typedef enum tv_format { TV_FORMAT_TEXT, TV_FORMAT_JSON } tv_format;

typedef enum tv_flag_type {
    TV_FLAG_SWITCH,   // bool: true when given
    TV_FLAG_TEXT,     // const char *
    TV_FLAG_FORMAT,   // tv_format: text or json
    TV_FLAG_NUMBER,   // uint32_t, 1 .. 64: a number of workers
    TV_FLAG_COUNT,    // uint64_t, 1 .. 10^15
    TV_FLAG_SIZE,     // uint64_t bytes: "4KiB"
    TV_FLAG_DURATION, // int64_t nanoseconds: "10s"
    TV_FLAG_LIST,     // tv_flag_list: may be given several times
} tv_flag_type;

enum { TV_FLAG_LIST_MAX = 64, TV_ARGUMENTS_MAX = 64 };

typedef struct tv_flag_list {
    const char *items[TV_FLAG_LIST_MAX];
    size_t count;
} tv_flag_list;

typedef struct tv_flag {
    const char *name; // "format", without dashes
    char letter;      // 'o' for -o, 0 for none
    tv_flag_type type;
    void *target;
    const char *value; // placeholder for the help: "text|json"; NULL for a switch
    const char *help;
} tv_flag;

// The flag --format of verbs that print a result.
#define TV_FLAG_FORMAT_OF(format)                                                                                      \
    { .name = "format", .type = TV_FLAG_FORMAT, .target = (format), .value = "text|json", .help = "how to print it" }

typedef struct tv_arguments {
    const char *items[TV_ARGUMENTS_MAX];
    size_t count;
} tv_arguments;

typedef struct tv_syntax {
    const tv_flag *flags;
    size_t flag_count;
    size_t arguments_min, arguments_max; // what is not a flag
} tv_syntax;

// Not an exit code: go on with the verb.
enum { TV_CLI_GO = -1 };

// Reads the flags and arguments of argv[0] (the verb). "--name value", "--name=value", "-n value"; "--" ends flags.
// Returns TV_CLI_GO, or the exit code after the help was printed (0) or a usage error was reported (64).
int tv_cli_parse(const tv_syntax *syntax, int argc, char **argv, tv_arguments *arguments);

// "torvyn VERB: error: ..." and where help is to be had, on standard error; returns TV_EXIT_USAGE.
int tv_cli_usage_error(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The same for a verb that does not exist, with the nearest that does.
int tv_cli_unknown_verb(const char *name);

// "torvyn: error: ..." on standard error; returns `code`.
int tv_cli_fail(int code, const tv_error *error);

// Text to standard output or error. Waits for its reader as a program does; after tv_cli_limit_patience, which is for
// verbs that serve others meanwhile or shall end in time, for so long only.
void tv_cli_write(FILE *to, const char *text, size_t length);
void tv_cli_limit_patience(void);

// Whether to colour what goes to `out`: a terminal, NO_COLOR unset, TERM not "dumb".
bool tv_cli_colour(FILE *out);

// Flushes standard output; an exit code of 0 becomes 1, with a message, if something could not be written.
int tv_cli_finish(int code);

// Prints and frees the document; returns the exit code.
struct yyjson_mut_doc;
int tv_cli_print_json(struct yyjson_mut_doc *document);

int tv_verb_build(int argc, char **argv);
int tv_verb_check(int argc, char **argv);
int tv_verb_connectors(int argc, char **argv);
int tv_verb_flow(int argc, char **argv);
int tv_verb_help(int argc, char **argv);
int tv_verb_inspect(int argc, char **argv);
int tv_verb_new(int argc, char **argv);
int tv_verb_plan(int argc, char **argv);
int tv_verb_ps(int argc, char **argv);
int tv_verb_reference(int argc, char **argv);
int tv_verb_run(int argc, char **argv);
int tv_verb_schema(int argc, char **argv);
int tv_verb_stop(int argc, char **argv);
int tv_verb_tap(int argc, char **argv);
int tv_verb_top(int argc, char **argv);
int tv_verb_version(int argc, char **argv);

#endif
