// JSON results of verbs.
#include <stdlib.h>

#include "cli/cli.h"
#include "yyjson.h"

int tv_cli_print_json(yyjson_mut_doc *document) {
    char *text = yyjson_mut_write(document, YYJSON_WRITE_PRETTY, NULL);
    yyjson_mut_doc_free(document);
    if (!text) {
        fprintf(stderr, "torvyn: error: the result could not be written as JSON\n");
        return TV_EXIT_FAILED;
    }
    printf("%s\n", text);
    free(text);
    return tv_cli_finish(TV_EXIT_OK);
}
