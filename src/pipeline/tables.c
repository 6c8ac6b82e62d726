// The option tables of the pipeline file, but for channels and stages (tables_graph.c). Every key is here once; reader,
// reference page and schema follow them.
//
// Defaults are for a gateway with 512 MB. Ranges refuse what cannot work, not what is unusual.
#include "pipeline/tables.h"
#include "flow/flow.h"
#include "pipeline/csv.h"
#include "pipeline/section.h"

const char *const tv_overflow_choices[] = {"block", "drop-oldest", "drop-newest", "error", NULL};
const char *const tv_class_choices[] = {"critical", "high", "normal", "background", NULL};
const char *const tv_grant_choices[] = {"clock", "random", NULL};
const char *const tv_instances_choices[] = {"own", "shared", NULL};
static const char *const memory_mode_choices[] = {"auto", "guard", "compact", NULL};

_Static_assert(TV_OVERFLOW_COUNT == 4 && TV_OVERFLOW_DROP_OLDEST == 1 && TV_OVERFLOW_ERROR == 3, "overflow choices");
_Static_assert(TV_CLASS_COUNT == 4 && TV_CLASS_NORMAL == 2, "class choices");
_Static_assert(TV_INSTANCES_OWN == 0 && TV_INSTANCES_SHARED == 1, "instances choices");
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
    {.name = "overcommit",
     .type = TV_OPTION_BOOL,
     .offset = offsetof(tv_limits_values, overcommit),
     .default_text = "false",
     .help = "Admits flows by the memory that is expected instead of the most they may take. When it becomes scarce, "
             "sources of `background` flows are paused first; never those of `critical` ones."},
    {.name = "flows",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_limits_values, flows),
     .default_text = "10000",
     .min = 1,
     .max = TV_FLOWS_MAX,
     .help = "The most flows at a time, with those of `count` and `for_each` and those added while it runs."},
    {.name = "memories",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_limits_values, memories),
     .min = 1,
     .max = TV_MEMORIES_MAX,
     .help = "The most instances of components (stages of all flows) at a time; their address space is reserved at "
             "the start. Not given: 1000, or a quarter more than the flows at the start need if these are as many."},
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
               "  overcommit: false\n"
               "  flows: 10000\n"
               "  memories: 1000\n"
               "  workers: 1\n"
               "  memory_mode: auto\n",
    .options = TABLE(limits_options, tv_limits_values),
};

// ---- scheduler ----------------------------------------------------------------------------------------------

#define QUANTUM(option_name, records)                                                                                  \
    {                                                                                                                  \
        .name = #option_name, .type = TV_OPTION_INTEGER, .offset = offsetof(tv_quanta_values, option_name),            \
        .default_text = records, .min = 1, .max = TV_BATCH_RECORDS_MAX,                                                \
        .help = "Records a cycle of a flow of class `" #option_name "`."                                               \
    }

static const tv_option quanta_options[] = {
    QUANTUM(critical, "128"),
    QUANTUM(high, "64"),
    QUANTUM(normal, "32"),
    QUANTUM(background, "8"),
};

const tv_section tv_section_quanta = {
    .name = "quanta",
    .title = "scheduler.quanta",
    .help = "How many records a flow may process in each cycle, by its class; a flow's own `quantum` goes before it.",
    .example = "scheduler:\n"
               "  quanta: { critical: 128, high: 64, normal: 32, background: 8 }\n",
    .options = TABLE(quanta_options, tv_quanta_values),
};

static const tv_option scheduler_options[] = {
    {.name = "turn",
     .type = TV_OPTION_DURATION,
     .offset = offsetof(tv_scheduler_values, turn_ns),
     .default_text = "2ms",
     .min = 0.1 * MILLISECONDS,
     .max = 1 * SECONDS,
     .help = "The longest turn of a flow, see `turn` of flows."},
    {.name = "cycle",
     .type = TV_OPTION_DURATION,
     .offset = offsetof(tv_scheduler_values, cycle_ns),
     .default_text = "500ms",
     .min = 1 * MILLISECONDS,
     .max = 10 * SECONDS,
     .help = "The most worker time of a flow in one cycle, see `cycle` of flows."},
    {.name = "idle_trim",
     .type = TV_OPTION_DURATION,
     .offset = offsetof(tv_scheduler_values, idle_trim_ns),
     .default_text = "2s",
     .min = 0,
     .max = 1 * HOURS,
     .help = "After this time without work the memory of a flow's queues and input batches is given back to the "
             "system; 0 means never."},
};

static const tv_child scheduler_children[] = {
    {.name = "quanta",
     .shape = TV_CHILD_SECTION,
     .section = &tv_section_quanta,
     .offset = offsetof(tv_scheduler_values, quanta),
     .help = "Records a cycle, by class."},
};

const tv_section tv_section_scheduler = {
    .name = "scheduler",
    .title = "scheduler",
    .help = "How flows share the workers, for all flows that do not say otherwise themselves.",
    .example = "scheduler:\n"
               "  turn: 2ms\n"
               "  cycle: 500ms\n"
               "  idle_trim: 2s\n"
               "  quanta: { critical: 128, high: 64, normal: 32, background: 8 }\n",
    .options = TABLE(scheduler_options, tv_scheduler_values),
    CHILDREN(scheduler_children),
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
    {.name = "instances",
     .type = TV_OPTION_ENUM,
     .offset = offsetof(tv_component_values, instances),
     .default_text = "own",
     .choices = tv_instances_choices,
     .help = "`own` gives every stage of every flow an instance of its own; `shared` lets one instance a worker and "
             "class serve many flows, for components that declare that they keep nothing of one flow for the next."},
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
            "of its own, unless `instances` says otherwise. Components are the same for all flows, so parameters of "
            "flows cannot be used here (variables "
            "of the environment can).",
    .example = "components:\n"
               "  detector:\n"
               "    file: components/anomaly-detector.wasm\n"
               "    memory: 2MiB\n"
               "    grants: [clock]\n"
               "    instances: own\n"
               "    cpu: { record: 100ms, call: 1s }\n",
    .options = TABLE(component_options, tv_component_values),
    CHILDREN(component_children),
};

// ---- flows --------------------------------------------------------------------------------------------------

static const tv_option rate_options[] = {
    {.name = "records",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_rate_values, records),
     .min = 1,
     .max = 1e9,
     .help = "Records a second. Not given: as many as come."},
    {.name = "bytes",
     .type = TV_OPTION_SIZE,
     .offset = offsetof(tv_rate_values, bytes),
     .min = 1 * KIB,
     .max = 1024 * GIB,
     .help = "Bytes a second, with the headers of the records. Not given: as many as come."},
    {.name = "burst",
     .type = TV_OPTION_DURATION,
     .offset = offsetof(tv_rate_values, burst_ns),
     .default_text = "1s",
     .min = 1 * MILLISECONDS,
     .max = 1 * HOURS,
     .help = "How much may be saved up while less comes, as the time it takes at the rate."},
};

const tv_section tv_section_rate = {
    .name = "rate",
    .title = "flows[].rate",
    .help =
        "What the flow's sources take in at most. What is above it waits where it comes from: the source is paused, "
        "or the overflow policy of its channel decides.",
    .example = "flows:\n"
               "  - { name: line-1, rate: { records: 1000, bytes: 256KiB, burst: 1s } }\n",
    .options = TABLE(rate_options, tv_rate_values),
};

static const tv_option flow_options[] = {
    {.name = "name",
     .type = TV_OPTION_STRING,
     .offset = offsetof(tv_flow_values, name),
     .min = 1,
     .max = TV_NAME_BYTES_MAX,
     .help =
         "The flow's name in reports and metrics. Not given: the pipeline's, which only one flow can have. With "
         "`count` or `for_each` it names each flow by its parameters (`line-${index}`); without a variable a number "
         "is appended (`line-0001`), and without a name `for_each` takes the first column."},
    {.name = "count",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_flow_values, count),
     .min = 1,
     .max = TV_FLOWS_MAX,
     .help = "Makes this many flows of the entry, with the parameter `index` from 1."},
    {.name = "for_each",
     .type = TV_OPTION_STRING,
     .offset = offsetof(tv_flow_values, for_each),
     .min = 1,
     .help =
         "Makes a flow of the entry for each row of this CSV file (RFC 4180, UTF-8, with a header row of at most 64 "
         "columns; 64 MiB). Every column is a parameter, and `index` is the number of the row from 1. A relative "
         "path is looked up from the folder of the pipeline file."},
    {.name = "template",
     .type = TV_OPTION_STRING,
     .offset = offsetof(tv_flow_values, template),
     .min = 1,
     .max = TV_NAME_BYTES_MAX,
     .help = "What `torvyn plan` and `torvyn flow add` call an entry with `count` or `for_each`. Not given: what "
             "`name` begins with, or else the name of the CSV file."},
    {.name = "class",
     .type = TV_OPTION_ENUM,
     .offset = offsetof(tv_flow_values, class),
     .default_text = "normal",
     .choices = tv_class_choices,
     .help = "How much of a worker's time the flow gets beside others, see `scheduler.quanta`. It also decides the CPU "
             "budget of a record, see `cpu` of components, and who is paused first under `limits.overcommit`."},
    {.name = "quantum",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_flow_values, quantum),
     .min = 1,
     .max = TV_BATCH_RECORDS_MAX,
     .help = "Records that each stage of the flow may process in each cycle. Not given: by class, see "
             "`scheduler.quanta`."},
    {.name = "turn",
     .type = TV_OPTION_DURATION,
     .offset = offsetof(tv_flow_values, turn_ns),
     .min = 0.1 * MILLISECONDS,
     .max = 1 * SECONDS,
     .help = "The longest turn; what is left of the quantum then is done in the same cycle, after the others' turns. "
             "Not given: `scheduler.turn`."},
    {.name = "cycle",
     .type = TV_OPTION_DURATION,
     .offset = offsetof(tv_flow_values, cycle_ns),
     .min = 1 * MILLISECONDS,
     .max = 10 * SECONDS,
     .help =
         "The most worker time in one cycle; a flow that needs more loses the rest of its quantum there. Not given: "
         "`scheduler.cycle`."},
    {.name = "cpu",
     .type = TV_OPTION_DURATION,
     .offset = offsetof(tv_flow_values, cpu_ns),
     .min = 1 * MILLISECONDS,
     .max = 1 * SECONDS,
     .help = "The most CPU time in a second; a flow that has used it waits, which is counted. Not given: no limit."},
    {.name = "memory",
     .type = TV_OPTION_SIZE,
     .offset = offsetof(tv_flow_values, memory),
     .min = 64 * KIB,
     .max = 1024 * GIB,
     .help =
         "The most memory the flow may reserve: its queues, the memory budgets of its components and what the "
         "runtime keeps for it. `check` and `run` refuse a flow that reserves more. Not given: no limit of its own."},
    {.name = "idle_trim",
     .type = TV_OPTION_DURATION,
     .offset = offsetof(tv_flow_values, idle_trim_ns),
     .min = 0,
     .max = 1 * HOURS,
     .help = "After this time without work the memory of its queues and input batches is given back to the system; 0 "
             "means never. Not given: `scheduler.idle_trim`."},
};

static const tv_child flow_children[] = {
    {.name = "rate",
     .shape = TV_CHILD_SECTION,
     .section = &tv_section_rate,
     .offset = offsetof(tv_flow_values, rate),
     .help = "What the flow's sources take in at most."},
    {.name = "parameters",
     .shape = TV_CHILD_PARAMETERS,
     .offset = offsetof(tv_flow_values, parameters),
     .help =
         "Values for the variables in `channels`, `stages` and the flow's own keys, before the environment is asked; "
         "at most 64 with the columns of `for_each`."},
};

const tv_section tv_section_flow = {
    .name = "flow",
    .title = "flows[]",
    .help =
        "One running instance of the pipeline, or several that are alike, each with instances, queues and channels of "
        "its own. Without `flows` there is one, named like the pipeline, of class `normal`. The parameter `flow` is "
        "the flow's name.",
    .example = "flows:\n"
               "  - { name: line-1, class: critical, quantum: 128, turn: 2ms, parameters: { INPUT: line-1.jsonl } }\n"
               "  - { name: line-2, cycle: 200ms, cpu: 250ms, memory: 8MiB, parameters: { INPUT: line-2.jsonl } }\n"
               "  - { name: test, count: 1000, class: background, rate: { records: 100 }, idle_trim: 2s }\n"
               "  - { name: \"site-${id}\", for_each: devices.csv, template: devices }\n",
    .options = TABLE(flow_options, tv_flow_values),
    CHILDREN(flow_children),
};

// ---- dead letters -------------------------------------------------------------------------------------------

static const char *const on_limit_choices[] = {"drop", "block", NULL};
_Static_assert(TV_LETTERS_DROP == 0 && TV_LETTERS_BLOCK == 1, "on_limit choices");

static const tv_option dead_letters_options[] = {
    {.name = "path",
     .type = TV_OPTION_STRING,
     .offset = offsetof(tv_dead_letters_values, path),
     .min = 1,
     .help = "The file that they are appended to, as JSON lines; a relative path begins at the working directory. Not "
             "given: the pipeline's name with `.dead-letters.jsonl`. Only its owner may read it, and a link is not "
             "followed."},
    {.name = "enabled",
     .type = TV_OPTION_BOOL,
     .offset = offsetof(tv_dead_letters_values, enabled),
     .default_text = "true",
     .help = "`false`: they are counted, but not kept."},
    {.name = "rotate_size",
     .type = TV_OPTION_SIZE,
     .offset = offsetof(tv_dead_letters_values, rotate_bytes),
     .default_text = "32MiB",
     .max = 1ll << 40,
     .help = "A new file is begun before this size is exceeded; 0: never, otherwise at least 4 KiB."},
    {.name = "keep",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_dead_letters_values, keep),
     .default_text = "3",
     .min = 0,
     .max = 1000,
     .help = "Rotated files to keep (path.1, path.2, ...); the oldest is deleted. So all together take at most "
             "`rotate_size` times one more than this."},
    {.name = "rate",
     .type = TV_OPTION_SIZE,
     .offset = offsetof(tv_dead_letters_values, rate_bytes),
     .default_text = "1MiB",
     .max = 1ll << 40,
     .help = "Bytes a second that one flow may write in the long run; 0: any amount."},
    {.name = "burst",
     .type = TV_OPTION_SIZE,
     .offset = offsetof(tv_dead_letters_values, burst_bytes),
     .default_text = "64MiB",
     .max = 1ll << 40,
     .help = "Bytes that one flow may write at once before `rate` holds."},
    {.name = "on_limit",
     .type = TV_OPTION_ENUM,
     .offset = offsetof(tv_dead_letters_values, on_limit),
     .default_text = "drop",
     .choices = on_limit_choices,
     .help =
         "What becomes of a letter beyond `rate`, or while the file cannot be written (full disk): `drop` counts it "
         "as lost, `block` has its flow wait. Flows from which nothing is rejected never wait."},
};

const tv_section tv_section_dead_letters = {
    .name = "dead_letters",
    .title = "dead_letters",
    .help = "The file for records that components reject or fail at, and what all of it may take.",
    .example = "dead_letters:\n"
               "  path: dead-letters.jsonl\n"
               "  enabled: true\n"
               "  rotate_size: 32MiB\n"
               "  keep: 3\n"
               "  rate: 1MiB\n"
               "  burst: 64MiB\n"
               "  on_limit: drop\n",
    .options = TABLE(dead_letters_options, tv_dead_letters_values),
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
    {.name = "control",
     .type = TV_OPTION_STRING,
     .offset = offsetof(tv_root_values, control),
     .min = 1,
     .max = 107,
     .help =
         "The path of the control socket, for `torvyn ps`, `top`, `flow`, `tap` and `stop`; `--control` goes before "
         "it. Not given: a file named like the pipeline with `.sock`, in `torvyn` of `$XDG_RUNTIME_DIR`, or in "
         "`/run/torvyn` for root, or else in `/tmp/torvyn-` with the user's number."},
};

static const tv_child root_children[] = {
    {.name = "dead_letters",
     .shape = TV_CHILD_SECTION,
     .section = &tv_section_dead_letters,
     .offset = offsetof(tv_root_values, dead_letters),
     .shorthand = "path",
     .help = "Where records go that could not be processed. A text alone is the path."},
    {.name = "limits",
     .shape = TV_CHILD_SECTION,
     .section = &tv_section_limits,
     .offset = offsetof(tv_root_values, limits),
     .help = "What the whole process may use."},
    {.name = "scheduler",
     .shape = TV_CHILD_SECTION,
     .section = &tv_section_scheduler,
     .offset = offsetof(tv_root_values, scheduler),
     .help = "How flows share the workers."},
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
     .help = "The running instances; at most 4096 entries. Not given: one."},
};

const tv_section tv_section_root = {
    .name = "pipeline",
    .title = "The file",
    .help = "A mapping with these keys.",
    .example = "version: 1\n"
               "name: gateway\n"
               "dead_letters: dead-letters.jsonl\n"
               "control: /run/torvyn/gateway.sock\n"
               "limits: { memory: 400MiB }\n"
               "scheduler: { turn: 2ms }\n"
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
                   TV_FLOW_ENTRIES_MAX == 4096 && TV_STAGE_INPUTS_MAX == 8 && TV_ASSETS_MAX == 16 &&
                   TV_PARAMETERS_MAX == 64 && TV_CSV_COLUMNS_MAX == 64 && TV_CSV_BYTES_MAX == 64 << 20,
               "the help texts above name these limits");

const tv_section *const tv_sections[] = {&tv_section_root,      &tv_section_dead_letters, &tv_section_limits,
                                         &tv_section_scheduler, &tv_section_quanta,       &tv_section_component,
                                         &tv_section_cpu,       &tv_section_channel,      &tv_section_channel_queue,
                                         &tv_section_stage,     &tv_section_edge,         &tv_section_queue,
                                         &tv_section_batch,     &tv_section_restart,      &tv_section_log,
                                         &tv_section_flow,      &tv_section_rate,         NULL};
