// Flags shared by the verbs that take a pipeline file.
#ifndef TORVYN_CLI_PIPELINE_FLAGS_H
#define TORVYN_CLI_PIPELINE_FLAGS_H

#include "cli/cli.h"
#include "host/host.h"

#define TV_FLAG_SET(list)                                                                                              \
    {                                                                                                                  \
        .name = "set", .type = TV_FLAG_LIST, .target = (list), .value = "NAME=VALUE",                                  \
        .help = "a variable ${NAME} of the file; before the environment"                                               \
    }
#define TV_FLAG_WORKERS(workers)                                                                                       \
    {                                                                                                                  \
        .name = "workers", .type = TV_FLAG_NUMBER, .target = (workers), .value = "N",                                  \
        .help = "threads that run flows; otherwise limits.workers, or one a core"                                      \
    }

// Parses flags and the one argument FILE into `request` (its `workers` is left 0).
int tv_cli_parse_pipeline(const tv_flag *flags, size_t flag_count, const tv_flag_list *variables, int argc, char **argv,
                          tv_host_request *request);

// Loads the model; on errors prints all findings and returns TV_EXIT_CONFIG, else TV_CLI_GO. Text goes to standard
// error; JSON, as `torvyn check` has it, to where the result would have gone. Warnings alone are text, unless `quiet`.
int tv_cli_load_model(const tv_host_request *request, tv_format format, bool quiet, tv_host_model *model);

// What is wrong came out after the checks: prints it, in JSON with what these found; returns TV_EXIT_FAILED.
int tv_cli_fail_model(tv_host_model *model, tv_format format, const tv_error *error);

#endif
