// torvyn version.
#include "cli/cli.h"
#include "torvyn/abi.h"
#include "wasm/wasm.h"

int tv_verb_version(int argc, char **argv) {
    tv_format format = TV_FORMAT_TEXT;
    const tv_flag flags[] = {
        TV_FLAG_FORMAT_OF(&format),
    };
    tv_syntax syntax = {.flags = flags, .flag_count = sizeof flags / sizeof flags[0]};
    tv_arguments arguments;
    int code = tv_cli_parse(&syntax, argc, argv, &arguments);
    if (code != TV_CLI_GO) return code;
    if (format == TV_FORMAT_JSON)
        printf("{\"torvyn\": \"%s\", \"engine\": \"%s\", \"contract_versions\": [%d]}\n", TV_VERSION,
               tv_engine_version(), TV_ABI_VERSION);
    else
        printf("torvyn %s\nengine %s\ncomponent contract versions: %d\n", TV_VERSION, tv_engine_version(),
               TV_ABI_VERSION);
    return tv_cli_finish(TV_EXIT_OK);
}
