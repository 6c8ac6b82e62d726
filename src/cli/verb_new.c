// torvyn new: a folder with a first component, a pipeline that runs it, and a few readings to run it on.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/build.h"
#include "cli/cli.h"

// In the templates @ stands for the component's name.
static const char component_template[] =
    "// @: marks the readings whose value is above a limit.\n"
    "#include <torvyn/json.h>\n"
    "#include <torvyn/torvyn.h>\n"
    "\n"
    "TV_COMPONENT(\"@\", \"0.1.0\", \"processor\", 4096);\n"
    "\n"
    "static double limit;\n"
    "static tv_json_keys keys;\n"
    "static int value_key;\n"
    "\n"
    "// Once, before the first record: the stage's configuration.\n"
    "TV_ON_INIT() {\n"
    "    limit = tv_config_f64(\"limit\", 100);\n"
    "    value_key = tv_json_keys_add(&keys, \"value\");\n"
    "    return TV_OK;\n"
    "}\n"
    "\n"
    "// For each record: the reading with one member more.\n"
    "TV_ON_RECORD(record) {\n"
    "    tv_json_value values[1];\n"
    "    tv_json_error error;\n"
    "    double value;\n"
    "    if (!tv_json_read_object(tv_payload_string(record), &keys, values, &error)) {\n"
    "        return tv_reject(\"byte %u: %s\", error.offset, error.message);\n"
    "    }\n"
    "    if (!tv_json_f64(&values[value_key], &value)) return tv_reject(\"no number called 'value'\");\n"
    "\n"
    "    char out[4096];\n"
    "    tv_json_writer writer = tv_json_writer_of(out, sizeof out);\n"
    "    tv_json_object(&writer);\n"
    "    tv_json_members(&writer, tv_payload_string(record));\n"
    "    tv_json_member_bool(&writer, \"high\", value > limit);\n"
    "    tv_json_object_end(&writer);\n"
    "    if (writer.full) return tv_reject(\"the reading is too long\");\n"
    "    return tv_emit_like(record, 0, out, tv_json_length(&writer));\n"
    "}\n";

static const char pipeline_template[] = "version: 1\n"
                                        "name: @\n"
                                        "limits: { memory: 64MiB }\n"
                                        "components:\n"
                                        "  @: { file: @.wasm, memory: 1MiB }\n"
                                        "channels:\n"
                                        "  readings: { connector: file, path: \"${INPUT:-readings.jsonl}\" }\n"
                                        "  results: { connector: stdio }\n"
                                        "stages:\n"
                                        "  @:\n"
                                        "    component: @\n"
                                        "    from: readings\n"
                                        "    to: results\n"
                                        "    config: { limit: 22 }\n";

static const char readings_template[] = "{\"device\":\"t-1\",\"value\":21.5}\n"
                                        "{\"device\":\"t-2\",\"value\":23.25}\n"
                                        "{\"device\":\"t-1\",\"value\":22.5}\n";

static tv_status write_template(const char *name, const char *file, const char *template, tv_error *error) {
    char path[TV_BUILD_PATH_BYTES];
    tv_text text = {0};
    for (const char *at = template; *at;) {
        size_t plain = strcspn(at, "@");
        tv_text_add(&text, at, plain);
        at += plain;
        if (*at == '@') {
            tv_text_add(&text, name, strlen(name));
            at++;
        }
    }
    tv_status status = text.failed ? tv_error_set(error, TV_NO_MEMORY, "out of memory") : TV_OK;
    snprintf(path, sizeof path, "%s/%s", name, file);
    if (status == TV_OK) status = tv_build_write_file(path, (const uint8_t *)text.bytes, text.length, error);
    tv_text_deinit(&text);
    return status;
}

static tv_status write_folder(const char *name, tv_error *error) {
    char source[64];
    snprintf(source, sizeof source, "%s.c", name);
    if (mkdir(name, 0777) != 0) {
        if (errno == EEXIST)
            return tv_error_set(error, TV_EXISTS, "%s is already there; choose another name or remove it", name);
        return tv_error_set_errno(error, errno, "cannot make the folder %s", name);
    }
    tv_status status = write_template(name, source, component_template, error);
    if (status == TV_OK) status = write_template(name, "pipeline.yaml", pipeline_template, error);
    if (status == TV_OK) status = write_template(name, "readings.jsonl", readings_template, error);
    return status;
}

static bool is_name(const char *name) {
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return length > 0 && length <= 48 && name[length] == 0 && name[0] >= 'a' && name[length - 1] != '-';
}

int tv_verb_new(int argc, char **argv) {
    tv_syntax syntax = {.arguments_min = 1, .arguments_max = 1};
    tv_arguments arguments;
    tv_error error;
    int code = tv_cli_parse(&syntax, argc, argv, &arguments);
    if (code != TV_CLI_GO) return code;
    const char *name = arguments.items[0];
    if (!is_name(name))
        return tv_cli_usage_error(argv[0], "'%s' is no component name: 1 to 48 of a-z, 0-9 and '-', a letter first",
                                  name);
    if (write_folder(name, &error) != TV_OK) return tv_cli_fail(TV_EXIT_FAILED, &error);
    tv_print(stdout,
             "%s/ has a component, a pipeline and three readings. Next:\n"
             "  cd %s\n"
             "  torvyn build %s.c\n"
             "  torvyn run pipeline.yaml\n",
             name, name, name);
    return tv_cli_finish(TV_EXIT_OK);
}
