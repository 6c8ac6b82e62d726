// torvyn reference, torvyn schema: what the option tables say, as a page for people and as a JSON Schema for editors.
#include "cli/cli.h"
#include "host/host.h"

typedef void (*printer)(FILE *out, const tv_connector *const *connectors, size_t connector_count);

static int print_with(printer print, int argc, char **argv) {
    tv_syntax syntax = {0};
    tv_arguments arguments;
    int code = tv_cli_parse(&syntax, argc, argv, &arguments);
    if (code != TV_CLI_GO) return code;
    size_t count;
    const tv_connector *const *connectors = tv_host_connectors(&count);
    print(stdout, connectors, count);
    return tv_cli_finish(TV_EXIT_OK);
}

int tv_verb_reference(int argc, char **argv) { return print_with(tv_pipeline_print_reference, argc, argv); }

int tv_verb_schema(int argc, char **argv) { return print_with(tv_pipeline_print_schema, argc, argv); }
