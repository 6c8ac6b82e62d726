// JSON results of verbs.
#include <stdlib.h>

#include "cli/cli.h"
#include "yyjson.h"

int tv_cli_print_json(yyjson_mut_doc *document) {
    char *text = tv_json_write(document, TV_JSON_PRETTY, NULL);
    if (!text) {
        fputs("torvyn: error: the result could not be written as JSON: out of memory\n", stderr);
        return TV_EXIT_FAILED;
    }
    fputs(text, stdout);
    free(text);
    return tv_cli_finish(TV_EXIT_OK);
}
