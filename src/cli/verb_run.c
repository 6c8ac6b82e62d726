// torvyn run.
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/pipeline_flags.h"
#include "host/host.h"

// The process began a little before main: by the CPU time it has used until now.
static int64_t process_start_ns(void) {
    struct timespec cpu;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) != 0) cpu = (struct timespec){0};
    int64_t cpu_ns = (int64_t)cpu.tv_sec * 1000000000 + cpu.tv_nsec;
    return tv_clock_monotonic_ns(tv_clock_system()) - cpu_ns;
}

static tv_status refuse_if_too_large(const tv_host_model *model, tv_error *error) {
    tv_host_plan plan;
    tv_status status = tv_host_plan_init(model, &plan, error);
    if (status != TV_OK) return status;
    status = tv_host_plan_check(&plan, error);
    tv_host_plan_deinit(&plan);
    return status;
}

// Nobody waits for long for whoever does not read the log.
static int end_log(int code) {
    enum { FLUSH_NS = 1000000000 };
    (void)tv_log_flush(FLUSH_NS);
    return code;
}

static int run_model(tv_host_model *model, const tv_host_run_options *options, bool fail_on_dead_letters) {
    tv_host_outcome outcome = {0};
    tv_error error = {0};
    tv_status status = refuse_if_too_large(model, &error);
    if (status == TV_OK) status = tv_host_run(model, options, &outcome, &error);
    if (status != TV_OK) {
        int failed = tv_cli_fail_model(model, options->json ? TV_FORMAT_JSON : TV_FORMAT_TEXT, &error);
        return status == TV_INTERRUPTED ? TV_EXIT_SIGNAL + outcome.signal : failed;
    }
    int code = outcome.failed ? TV_EXIT_FAILED : TV_EXIT_OK;
    if (code == TV_EXIT_OK && fail_on_dead_letters && outcome.dead_lettered) code = TV_EXIT_DATA;
    if (outcome.signal) code = TV_EXIT_SIGNAL + outcome.signal;
    if (outcome.stuck) _exit(end_log(code));
    return code;
}

// Progress rewrites its line; that needs a terminal which understands how.
static bool can_show_progress(void) {
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) == 1 && term && strcmp(term, "dumb") != 0;
}

static int start_log(const char *verb, const char *level_name, bool quiet, tv_format format) {
    tv_error error;
    tv_log_level level = quiet ? TV_LEVEL_WARN : TV_LEVEL_INFO;
    if (level_name && !tv_log_parse_level(level_name, &level))
        return tv_cli_usage_error(verb, "--log-level is trace, debug, info, warn or error, not '%s'", level_name);
    tv_log_configure(level, format == TV_FORMAT_JSON);
    tv_cli_limit_patience();
    return tv_log_start(&error) == TV_OK ? TV_CLI_GO : tv_cli_fail(TV_EXIT_FAILED, &error);
}

// What the command line says, and what holds without it.
static struct {
    tv_host_run_options options;
    tv_format format, log_format;
    const char *log_level, *name;
    tv_flag_list variables;
    uint32_t workers;
    bool quiet, fail_on_dead_letters;
} given = {.options = {.grace_ns = 10000000000}};

static const tv_flag flags[] = {
    TV_FLAG_SET(&given.variables),
    TV_FLAG_WORKERS(&given.workers),
    {.name = "grace",
     .type = TV_FLAG_DURATION,
     .target = &given.options.grace_ns,
     .value = "10s",
     .help = "longest time to deliver what is under way after a signal"},
    {.name = "name",
     .type = TV_FLAG_TEXT,
     .target = &given.name,
     .value = "NAME",
     .help = "another name than the file's, so that two can run: of its socket and its dead letters"},
    {.name = "control",
     .type = TV_FLAG_TEXT,
     .target = &given.options.control,
     .value = "PATH|none",
     .help = "where the control socket lies (torvyn ps, top, flow, tap, stop), or none"},
    {.name = "strict",
     .type = TV_FLAG_SWITCH,
     .target = &given.options.strict,
     .help = "start all flows or none; without it, those that cannot start fail and are tried again, the others run"},
    {.name = "quiet",
     .letter = 'q',
     .type = TV_FLAG_SWITCH,
     .target = &given.quiet,
     .help = "no progress, no warnings of the check, no summary in text; log lines from warn on"},
    {.name = "fail-on-dead-letters",
     .type = TV_FLAG_SWITCH,
     .target = &given.fail_on_dead_letters,
     .help = "end with 65 instead of 0 if a record was dead-lettered"},
    {.name = "format",
     .type = TV_FLAG_FORMAT,
     .target = &given.format,
     .value = "text|json",
     .help = "of the summary and of errors; on standard error if records go to standard output"},
    {.name = "log-level",
     .type = TV_FLAG_TEXT,
     .target = &given.log_level,
     .value = "LEVEL",
     .help = "trace, debug, info (default), warn (with --quiet) or error"},
    {.name = "log-format",
     .type = TV_FLAG_FORMAT,
     .target = &given.log_format,
     .value = "text|json",
     .help = "of the log lines on standard error"},
};

int tv_verb_run(int argc, char **argv) {
    given.options.process_start_ns = process_start_ns();
    tv_host_request request;
    int code = tv_cli_parse_pipeline(flags, sizeof flags / sizeof flags[0], &given.variables, argc, argv, &request);
    if (code != TV_CLI_GO) return code;
    tv_host_signals_prepare();
    code = start_log(argv[0], given.log_level, given.quiet, given.log_format);
    if (code != TV_CLI_GO) return code;
    request.workers = given.workers;
    request.lenient = !given.options.strict;
    given.options.quiet = given.quiet;
    given.options.json = given.format == TV_FORMAT_JSON;
    given.options.progress = !given.quiet && can_show_progress();
    tv_host_model model;
    code = tv_cli_load_model(&request, given.format, given.quiet, &model);
    if (code != TV_CLI_GO) return end_log(code);
    if (!given.name || tv_pipeline_rename(model.pipeline, given.name))
        code = run_model(&model, &given.options, given.fail_on_dead_letters);
    else
        code = tv_cli_usage_error(argv[0],
                                  "--name: '%.80s' cannot be a name, which has 1 to %d letters, digits, \"_\" and "
                                  "\"-\", and does not begin with \"-\"",
                                  given.name, TV_NAME_BYTES_MAX);
    tv_host_model_deinit(&model);
    return end_log(tv_cli_finish(code));
}
