// torvyn check.
#include "cli/cli.h"
#include "cli/pipeline_flags.h"
#include "host/host.h"

static const char *plural(size_t count) { return count == 1 ? "" : "s"; }

static void print_text(const tv_host_model *model, const char *file) {
    const tv_diagnostics *found = &model->diagnostics;
    tv_diagnostics_print(found, stdout, tv_cli_colour(stdout));
    if (found->error_count || found->warning_count) {
        tv_print(stdout, "%s: %zu error%s, %zu warning%s\n", file, found->error_count, plural(found->error_count),
                 found->warning_count, plural(found->warning_count));
        return;
    }
    const tv_pipeline *pipeline = model->pipeline;
    tv_print(stdout, "%s: ok: %zu component%s, %zu flow%s of %zu stage%s\n", file, pipeline->component_count,
             plural(pipeline->component_count), pipeline->flow_count, plural(pipeline->flow_count),
             pipeline->flow_count ? pipeline->flows[0].stage_count : 0,
             plural(pipeline->flow_count ? pipeline->flows[0].stage_count : 0));
}

int tv_verb_check(int argc, char **argv) {
    tv_format format = TV_FORMAT_TEXT;
    tv_flag_list variables = {0};
    const tv_flag flags[] = {
        TV_FLAG_SET(&variables),
        TV_FLAG_FORMAT_OF(&format),
    };
    tv_host_request request;
    int code = tv_cli_parse_pipeline(flags, sizeof flags / sizeof flags[0], &variables, argc, argv, &request);
    if (code != TV_CLI_GO) return code;
    request.thorough = true;
    tv_host_model model;
    tv_status status = tv_host_model_load(&request, &model);
    if (format == TV_FORMAT_JSON)
        tv_diagnostics_print_json(&model.diagnostics, stdout);
    else
        print_text(&model, request.file);
    tv_host_model_deinit(&model);
    return tv_cli_finish(status == TV_OK ? TV_EXIT_OK : TV_EXIT_CONFIG);
}
