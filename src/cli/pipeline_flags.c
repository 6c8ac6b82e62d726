// What the verbs that take a pipeline file have in common.
#include "cli/pipeline_flags.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

// A name as ${NAME} takes it, then '='.
static bool is_assignment(const char *text) {
    const char *at = text;
    while (isalnum((unsigned char)*at) || *at == '_')
        at++;
    return at > text && *at == '=' && !isdigit((unsigned char)*text);
}

int tv_cli_parse_pipeline(const tv_flag *flags, size_t flag_count, const tv_flag_list *variables, int argc, char **argv,
                          tv_host_request *request) {
    tv_syntax syntax = {.flags = flags, .flag_count = flag_count, .arguments_min = 1, .arguments_max = 1};
    tv_arguments arguments;
    int code = tv_cli_parse(&syntax, argc, argv, &arguments);
    if (code != TV_CLI_GO) return code;
    for (size_t i = 0; i < variables->count; i++)
        if (!is_assignment(variables->items[i]))
            return tv_cli_usage_error(argv[0], "--set takes NAME=VALUE, not '%s'", variables->items[i]);
    if (!arguments.items[0][0]) return tv_cli_usage_error(argv[0], "the name of the pipeline file is empty");
    *request = (tv_host_request){
        .file = arguments.items[0], .variables = variables->items, .variable_count = variables->count};
    return TV_CLI_GO;
}

static void print_diagnostics(const tv_diagnostics *diagnostics, tv_format format, FILE *to) {
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out) return;
    if (format == TV_FORMAT_JSON)
        tv_diagnostics_print_json(diagnostics, out);
    else
        tv_diagnostics_print(diagnostics, out, tv_cli_colour(to));
    if (fclose(out) == 0) tv_cli_write(to, text, length);
    free(text);
}

int tv_cli_load_model(const tv_host_request *request, tv_format format, bool quiet, tv_host_model *model) {
    tv_host_request planning = *request;
    planning.plans_itself = true;
    tv_status status = tv_host_model_load(&planning, model);
    if (status == TV_NO_MEMORY)
        tv_diagnostics_add(&model->diagnostics, TV_SEVERITY_ERROR, request->file, 0, 0, "", NULL, "out of memory");
    if (status != TV_OK && format == TV_FORMAT_JSON)
        print_diagnostics(&model->diagnostics, format, tv_host_report_stream(model));
    else if (status != TV_OK || !quiet)
        print_diagnostics(&model->diagnostics, TV_FORMAT_TEXT, stderr);
    if (status == TV_OK) return TV_CLI_GO;
    tv_host_model_deinit(model);
    return tv_cli_finish(TV_EXIT_CONFIG);
}

int tv_cli_fail_model(tv_host_model *model, tv_format format, const tv_error *error) {
    if (format == TV_FORMAT_TEXT && !error->line) return tv_cli_fail(TV_EXIT_FAILED, error);
    tv_diagnostics own = {0}, *all = format == TV_FORMAT_JSON ? &model->diagnostics : &own;
    tv_diagnostics_add(all, TV_SEVERITY_ERROR, model->pipeline->file, error->line, error->column, "", NULL, "%s",
                       error->message);
    print_diagnostics(all, format, format == TV_FORMAT_JSON ? tv_host_report_stream(model) : stderr);
    tv_diagnostics_deinit(&own);
    return TV_EXIT_FAILED;
}
