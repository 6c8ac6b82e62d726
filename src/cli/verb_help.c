// torvyn help: the list of verbs, or one verb's help (which the verb prints itself).
#include <string.h>

#include "cli/cli.h"

static void print_verbs(FILE *out) {
    fprintf(out, "Torvyn runs stream pipelines of sandboxed WebAssembly components at the edge.\n\n");
    fprintf(out, "Usage: torvyn VERB [arguments]\n\nVerbs:\n");
    for (const tv_verb *verb = tv_verbs; verb->name; verb++)
        fprintf(out, "  %-12s %s\n", verb->name, verb->summary);
    fprintf(out, "\n`torvyn help VERB` explains one, with examples. Begin with `torvyn new --help`.\n");
    fprintf(out, "Exit codes: 0 done; 1 failed; 64 wrong usage; 65 records were dead-lettered "
                 "(run\n--fail-on-dead-letters); 69 no running pipeline to talk to; 78 the pipeline is "
                 "wrong;\n128 and the signal's number: stopped by a signal before everything was delivered.\n");
}

static int help_for(const char *name) {
    const tv_verb *verb = tv_verb_find(name);
    if (!verb) return tv_cli_unknown_verb(name);
    char help[] = "--help";
    char *argv[] = {(char *)(uintptr_t)verb->name, help, NULL};
    return verb->run(2, argv);
}

// Without arguments (argc 0): the list on standard error, for somebody who typed the bare name.
int tv_verb_help(int argc, char **argv) {
    if (argc == 0) {
        print_verbs(stderr);
        return TV_EXIT_OK;
    }
    tv_syntax syntax = {.arguments_max = 1};
    tv_arguments arguments;
    int code = tv_cli_parse(&syntax, argc, argv, &arguments);
    if (code != TV_CLI_GO) return code;
    if (arguments.count == 1) return help_for(arguments.items[0]);
    print_verbs(stdout);
    return tv_cli_finish(TV_EXIT_OK);
}
