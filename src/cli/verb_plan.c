// torvyn plan.
#include "cli/cli.h"
#include "cli/pipeline_flags.h"
#include "host/host.h"

static int print_plan(const tv_host_model *model, tv_format format) {
    tv_host_plan plan;
    tv_error error;
    if (tv_host_plan_init(model, &plan, &error) != TV_OK) return tv_cli_fail(TV_EXIT_FAILED, &error);
    if (format == TV_FORMAT_JSON)
        (void)tv_host_plan_print_json(&plan, model->pipeline->name, stdout);
    else
        tv_host_plan_print(&plan, model->pipeline->name, stdout);
    int code = TV_EXIT_OK;
    fflush(stdout);
    if (tv_host_plan_check(&plan, &error) != TV_OK) code = tv_cli_fail(TV_EXIT_FAILED, &error);
    tv_host_plan_deinit(&plan);
    return code;
}

int tv_verb_plan(int argc, char **argv) {
    tv_format format = TV_FORMAT_TEXT;
    tv_flag_list variables = {0};
    uint32_t workers = 0;
    const tv_flag flags[] = {
        TV_FLAG_SET(&variables),
        TV_FLAG_WORKERS(&workers),
        TV_FLAG_FORMAT_OF(&format),
    };
    tv_host_request request;
    int code = tv_cli_parse_pipeline(flags, sizeof flags / sizeof flags[0], &variables, argc, argv, &request);
    if (code != TV_CLI_GO) return code;
    request.workers = workers;
    tv_host_model model;
    code = tv_cli_load_model(&request, format, false, &model);
    if (code != TV_CLI_GO) return code;
    code = print_plan(&model, format);
    tv_host_model_deinit(&model);
    return tv_cli_finish(code);
}
