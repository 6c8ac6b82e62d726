// The option tables of the pipeline file, but for channels and stages (tables_graph.c). Every key is here once; reader,
// reference page and schema follow them.
//
// Defaults are for a gateway with 512 MB. Ranges refuse what cannot work, not what is unusual.
#include "pipeline/tables.h"
#include "flow/flow.h"
#include "pipeline/section.h"

const char *const tv_overflow_choices[] = {"block", "drop-oldest", "drop-newest", "error", NULL};
const char *const tv_class_choices[] = {"critical", "high", "normal", "background", NULL};
const char *const tv_grant_choices[] = {"clock", "random", NULL};
static const char *const memory_mode_choices[] = {"auto", "guard", "compact", NULL};

_Static_assert(TV_OVERFLOW_COUNT == 4 && TV_OVERFLOW_DROP_OLDEST == 1 && TV_OVERFLOW_ERROR == 3, "overflow choices");
_Static_assert(TV_CLASS_COUNT == 4 && TV_CLASS_NORMAL == 2, "class choices");
_Static_assert(TV_GRANT_CLOCK == 1 && TV_GRANT_RANDOM == 2, "grant choices");

// ---- limits -------------------------------------------------------------------------------------------------

static const tv_option limits_options[] = {
    {.name = "memory",
     .type = TV_OPTION_SIZE,
     .offset = offsetof(tv_limits_values, memory),
     .min = 16 * MIB,
     .max = 1024 * GIB,
     .help = "The most memory that all flows together may reserve; `run` refuses what does not fit. Not given: what "
             "the cgroup or the machine has."},
    {.name = "memories",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_limits_values, memories),
     .default_text = "1000",
     .min = 1,
     .max = 50000,
     .help = "The most instances of components (stages of all flows) at a time; their address space is reserved at "
             "the start."},
    {.name = "workers",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_limits_values, workers),
     .default_text = "0",
     .min = 0,
     .max = 64,
     .help = "Threads that run flows; 0 means one for each core."},
    {.name = "memory_mode",
     .type = TV_OPTION_ENUM,
     .offset = offsetof(tv_limits_values, memory_mode),
     .default_text = "auto",
     .choices = memory_mode_choices,
     .help = "How component memory is protected: `guard` pages are faster and take 4 GiB of address space an instance, "
             "`compact` memories check every access; `auto` takes guard pages while `memories` of them fit."},
};

const tv_section tv_section_limits = {
    .name = "limits",
    .title = "limits",
    .help = "What the whole process may use.",
    .example = "limits:\n"
               "  memory: 400MiB\n"
               "  memories: 1000\n"
               "  workers: 1\n"
               "  memory_mode: auto\n",
    .options = TABLE(limits_options, tv_limits_values),
};

// ---- components ---------------------------------------------------------------------------------------------

static const tv_option cpu_options[] = {
    {.name = "record",
     .type = TV_OPTION_DURATION,
     .offset = offsetof(tv_cpu_values, record_ns),
     .min = 1 * MILLISECONDS,
     .max = 1 * MINUTES,
     .help = "CPU time for one record; beyond it the call is ended and the record dead-lettered. Not given: 5ms in "
             "flows of class `critical`, 100ms in the others. Checked once a millisecond."},
    {.name = "call",
     .type = TV_OPTION_DURATION,
     .offset = offsetof(tv_cpu_values, call_ns),
     .default_text = "1s",
     .min = 1 * MILLISECONDS,
     .max = 10 * MINUTES,
     .help = "CPU time for one call, that is for a whole batch; at least that of one record."},
};

const tv_section tv_section_cpu = {
    .name = "cpu",
    .title = "components.NAME.cpu",
    .help = "CPU budgets. A component that exceeds one fails (see `restart` of the stage); others go on meanwhile.",
    .example = "components:\n"
               "  detector:\n"
               "    file: components/anomaly-detector.wasm\n"
               "    cpu: { record: 100ms, call: 1s }\n",
    .options = TABLE(cpu_options, tv_cpu_values),
};

static const tv_option component_options[] = {
    {.name = "file",
     .type = TV_OPTION_STRING,
     .offset = offsetof(tv_component_values, file),
     .required = true,
     .min = 1,
     .help = "The WebAssembly module; a relative path is looked up from the folder of the pipeline file."},
    {.name = "memory",
     .type = TV_OPTION_SIZE,
     .offset = offsetof(tv_component_values, memory),
     .default_text = "2MiB",
     .min = 64 * KIB,
     .max = 4 * GIB,
     .help = "The most linear memory of each instance, in whole pages of 64 KiB; growing beyond it is refused to the "
             "component."},
    {.name = "grants",
     .type = TV_OPTION_STRINGS,
     .offset = offsetof(tv_component_values, grants),
     .choices = tv_grant_choices,
     .help = "What the component may use beyond its input and output; nothing, if not given."},
};

static const tv_child component_children[] = {
    {.name = "cpu",
     .shape = TV_CHILD_SECTION,
     .section = &tv_section_cpu,
     .offset = offsetof(tv_component_values, cpu),
     .help = "CPU budgets."},
};

const tv_section tv_section_component = {
    .name = "component",
    .title = "components.NAME",
    .help = "A WebAssembly module and what it may use. Several stages can use the same component; each has an instance "
            "of its own. Components are the same for all flows, so parameters of flows cannot be used here (variables "
            "of the environment can).",
    .example = "components:\n"
               "  detector:\n"
               "    file: components/anomaly-detector.wasm\n"
               "    memory: 2MiB\n"
               "    grants: [clock]\n"
               "    cpu: { record: 100ms, call: 1s }\n",
    .options = TABLE(component_options, tv_component_values),
    CHILDREN(component_children),
};

// ---- flows --------------------------------------------------------------------------------------------------

static const tv_option flow_options[] = {
    {.name = "name",
     .type = TV_OPTION_STRING,
     .offset = offsetof(tv_flow_values, name),
     .min = 1,
     .max = TV_NAME_BYTES_MAX,
     .help = "The flow's name in reports and metrics. Not given: the pipeline's, which only one flow can have."},
    {.name = "class",
     .type = TV_OPTION_ENUM,
     .offset = offsetof(tv_flow_values, class),
     .default_text = "normal",
     .choices = tv_class_choices,
     .help = "How much of a worker's time the flow gets beside others: by default 128, 64, 32 or 8 records a cycle. It "
             "also decides the CPU budget of a record, see `cpu`."},
    {.name = "quantum",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_flow_values, quantum),
     .min = 1,
     .max = TV_BATCH_RECORDS_MAX,
     .help = "Records the flow may process in each cycle. Not given: by class 128, 64, 32 or 8."},
    {.name = "turn",
     .type = TV_OPTION_DURATION,
     .offset = offsetof(tv_flow_values, turn_ns),
     .default_text = "2ms",
     .min = 0.1 * MILLISECONDS,
     .max = 1 * SECONDS,
     .help = "The longest turn; what is left of the quantum then is done in the same cycle, after the others' turns."},
};

static const tv_child flow_children[] = {
    {.name = "parameters",
     .shape = TV_CHILD_PARAMETERS,
     .offset = offsetof(tv_flow_values, parameters),
     .help = "Values for the variables in `channels` and `stages`, before the environment is asked; at most 64."},
};

const tv_section tv_section_flow = {
    .name = "flow",
    .title = "flows[]",
    .help = "One running instance of the pipeline, with instances, queues and channels of its own. Without `flows` "
            "there is one, named like the pipeline, of class `normal`.",
    .example = "flows:\n"
               "  - { name: line-1, class: critical, quantum: 128, turn: 2ms, parameters: { INPUT: line-1.jsonl } }\n"
               "  - { name: line-2, parameters: { INPUT: line-2.jsonl } }\n",
    .options = TABLE(flow_options, tv_flow_values),
    CHILDREN(flow_children),
};

// ---- the file -----------------------------------------------------------------------------------------------

static const tv_option root_options[] = {
    {.name = "version",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_root_values, version),
     .required = true,
     .min = 1,
     .max = 1,
     .help = "Version of this format: 1."},
    {.name = "name",
     .type = TV_OPTION_STRING,
     .offset = offsetof(tv_root_values, name),
     .min = 1,
     .max = TV_NAME_BYTES_MAX,
     .help = "The pipeline's name in reports and metrics. Not given: the file's name without its extension."},
    {.name = "dead_letters",
     .type = TV_OPTION_STRING,
     .offset = offsetof(tv_root_values, dead_letters),
     .min = 1,
     .help = "The file that records which could not be processed are appended to, as JSON lines; a relative path "
             "begins at the working directory. Not given: the pipeline's name with `.dead-letters.jsonl`."},
};

static const tv_child root_children[] = {
    {.name = "limits",
     .shape = TV_CHILD_SECTION,
     .section = &tv_section_limits,
     .offset = offsetof(tv_root_values, limits),
     .help = "What the whole process may use."},
    {.name = "components",
     .shape = TV_CHILD_MAP,
     .section = &tv_section_component,
     .offset = offsetof(tv_root_values, components),
     .required = true,
     .help = "The WebAssembly modules, by name; at most 64."},
    {.name = "channels",
     .shape = TV_CHILD_MAP,
     .section = &tv_section_channel,
     .offset = offsetof(tv_root_values, channels),
     .help = "The connections to the outside, by name; at most 16."},
    {.name = "stages",
     .shape = TV_CHILD_MAP,
     .section = &tv_section_stage,
     .offset = offsetof(tv_root_values, stages),
     .required = true,
     .help = "The graph: uses of components, by name; at most 32 stages with 96 connections."},
    {.name = "flows",
     .shape = TV_CHILD_LIST,
     .section = &tv_section_flow,
     .offset = offsetof(tv_root_values, flows),
     .help = "The running instances; at most 4096. Not given: one."},
};

const tv_section tv_section_root = {
    .name = "pipeline",
    .title = "The file",
    .help = "A mapping with these keys.",
    .example = "version: 1\n"
               "name: gateway\n"
               "dead_letters: dead-letters.jsonl\n"
               "limits: { memory: 400MiB }\n"
               "components:\n"
               "  source: { file: components/sensor-source.wasm }\n"
               "channels:\n"
               "  readings: { connector: file, path: readings.jsonl }\n"
               "stages:\n"
               "  source: { component: source, from: readings }\n"
               "flows:\n"
               "  - { name: line-1 }\n",
    .options = TABLE(root_options, tv_root_values),
    CHILDREN(root_children),
};

_Static_assert(TV_COMPONENTS_MAX == 64 && TV_CHANNELS_MAX == 16 && TV_STAGES_MAX == 32 && TV_EDGES_MAX == 96 &&
                   TV_FLOWS_MAX == 4096 && TV_STAGE_INPUTS_MAX == 8 && TV_ASSETS_MAX == 16 && TV_PARAMETERS_MAX == 64,
               "the help texts above name these limits");

const tv_section *const tv_sections[] = {&tv_section_root,      &tv_section_limits,
                                         &tv_section_component, &tv_section_cpu,
                                         &tv_section_channel,   &tv_section_channel_queue,
                                         &tv_section_stage,     &tv_section_edge,
                                         &tv_section_queue,     &tv_section_batch,
                                         &tv_section_restart,   &tv_section_log,
                                         &tv_section_flow,      NULL};
