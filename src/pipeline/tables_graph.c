// The option tables of channels and stages; see tables.c.
#include "flow/flow.h"
#include "pipeline/section.h"
#include "pipeline/tables.h"

static const char *const restart_mode_choices[] = {"restart", "stop", NULL};
_Static_assert(TV_RESTART == 0 && TV_RESTART_STOP == 1, "restart choices");

// ---- channels -----------------------------------------------------------------------------------------------

static const tv_option channel_queue_options[] = {
    {.name = "bytes",
     .type = TV_OPTION_SIZE,
     .offset = offsetof(tv_channel_queue_values, bytes),
     .default_text = "1MiB",
     .min = TV_QUEUE_BYTES_MIN,
     .max = TV_QUEUE_BYTES_MAX,
     .help = "Size of the queue; rounded up to a power of two, at least twice `max_record`. Not given: more than "
             "this default if `max_record` needs it."},
    {.name = "records",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_channel_queue_values, records),
     .default_text = "8192",
     .min = 1,
     .max = TV_QUEUE_RECORDS_MAX,
     .help = "The most records in the queue."},
    {.name = "pause",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_channel_queue_values, pause),
     .default_text = "100",
     .min = 1,
     .max = 100,
     .help = "Input: the connector is paused when the queue is filled to this percentage."},
    {.name = "resume",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_channel_queue_values, resume),
     .default_text = "50",
     .min = 0,
     .max = 99,
     .help = "Input: ... and goes on when the queue is down to this percentage; below `pause`."},
};

const tv_section tv_section_channel_queue = {
    .name = "channel_queue",
    .title = "channels.NAME.queue",
    .help = "The queue between a connector and the flow. It is allocated when the flow is made.",
    .example = "channels:\n"
               "  readings:\n"
               "    connector: file\n"
               "    path: readings.jsonl\n"
               "    queue: { bytes: 1MiB, records: 8192, pause: 100, resume: 50 }\n",
    .options = TABLE(channel_queue_options, tv_channel_queue_values),
};

static const tv_option channel_options[] = {
    {.name = "connector",
     .type = TV_OPTION_STRING,
     .offset = offsetof(tv_channel_values, connector),
     .required = true,
     .min = 1,
     .max = TV_NAME_BYTES_MAX,
     .help = "What is at the other end. The connector's own options stand beside this key; see Connectors."},
    {.name = "max_record",
     .type = TV_OPTION_SIZE,
     .offset = offsetof(tv_channel_values, max_record),
     .default_text = "64KiB",
     .min = 64,
     .max = TV_RECORD_BYTES_LIMIT,
     .help = "The largest record, its header of 48 bytes and its attributes included; larger ones are dropped and "
             "counted."},
    {.name = "overflow",
     .type = TV_OPTION_ENUM,
     .offset = offsetof(tv_channel_values, overflow),
     .default_text = "block",
     .choices = tv_overflow_choices,
     .help = "What happens to a record when the queue is full: `block` makes the writer wait (back-pressure), "
             "`drop-oldest` (inputs only) and `drop-newest` drop and count, `error` stops the flow."},
};

static const tv_child channel_children[] = {
    {.name = "queue",
     .shape = TV_CHILD_SECTION,
     .section = &tv_section_channel_queue,
     .offset = offsetof(tv_channel_values, queue),
     .help = "The queue between the connector and the flow."},
};

const tv_section tv_section_channel = {
    .name = "channel",
    .title = "channels.NAME",
    .help = "A connection to the outside. It is an input if a stage names it in `from`, an output if a stage names it "
            "in `to`; it has one stage at its end and one direction. Every flow opens its own.",
    .example = "channels:\n"
               "  readings:\n"
               "    connector: file\n"
               "    path: \"${INPUT:-readings.jsonl}\"    # an option of the connector `file`\n"
               "    max_record: 64KiB\n"
               "    overflow: block\n"
               "    queue: { bytes: 1MiB, records: 8192 }\n",
    .options = TABLE(channel_options, tv_channel_values),
    CHILDREN(channel_children),
};

// ---- stages -------------------------------------------------------------------------------------------------

static const tv_option queue_options[] = {
    {.name = "bytes",
     .type = TV_OPTION_SIZE,
     .offset = offsetof(tv_queue_values, bytes),
     .min = TV_QUEUE_BYTES_MIN,
     .max = TV_QUEUE_BYTES_MAX,
     .help = "Size of the queue; rounded up to a power of two, at least twice the largest record of the stage in "
             "front. Not given: 256 KiB, or more if such a record needs it."},
    {.name = "records",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_queue_values, records),
     .default_text = "2048",
     .min = 1,
     .max = TV_QUEUE_RECORDS_MAX,
     .help = "The most records in the queue."},
};

const tv_section tv_section_queue = {
    .name = "queue",
    .title = "stages.NAME.from[].queue",
    .help = "The queue between two stages. It is allocated when the flow is made.",
    .example = "stages:\n"
               "  detect:\n"
               "    component: detector\n"
               "    from: { stage: source, queue: { bytes: 256KiB, records: 2048 } }\n",
    .options = TABLE(queue_options, tv_queue_values),
};

static const tv_option edge_options[] = {
    {.name = "stage",
     .type = TV_OPTION_STRING,
     .offset = offsetof(tv_edge_values, stage),
     .min = 1,
     .max = TV_NAME_BYTES_MAX,
     .help = "The stage whose output is taken. Either this or `channel`."},
    {.name = "port",
     .type = TV_OPTION_STRING,
     .offset = offsetof(tv_edge_values, port),
     .min = 1,
     .max = TV_NAME_BYTES_MAX,
     .help = "Which of its output ports, by name or by number from 0; port 0, if not given."},
    {.name = "channel",
     .type = TV_OPTION_STRING,
     .offset = offsetof(tv_edge_values, channel),
     .min = 1,
     .max = TV_NAME_BYTES_MAX,
     .help = "The channel whose messages are taken; its queue is described at the channel."},
    {.name = "overflow",
     .type = TV_OPTION_ENUM,
     .offset = offsetof(tv_edge_values, overflow),
     .default_text = "block",
     .choices = tv_overflow_choices,
     .help = "What happens to a record when the queue is full: `block` makes the stage in front wait (back-pressure), "
             "`drop-oldest` and `drop-newest` drop and count, `error` stops the flow."},
};

static const tv_child edge_children[] = {
    {.name = "queue",
     .shape = TV_CHILD_SECTION,
     .section = &tv_section_queue,
     .offset = offsetof(tv_edge_values, queue),
     .help = "The queue between the two stages."},
};

const tv_section tv_section_edge = {
    .name = "edge",
    .title = "stages.NAME.from[]",
    .help = "The long form of an input, where its queue shall differ from the defaults.",
    .example = "stages:\n"
               "  alarm:\n"
               "    component: alarm\n"
               "    from:\n"
               "      - { stage: detect, port: alerts, overflow: drop-oldest, queue: { bytes: 64KiB, records: 512 } }\n"
               "      - { channel: commands }\n",
    .options = TABLE(edge_options, tv_edge_values),
    CHILDREN(edge_children),
};

static const tv_option batch_options[] = {
    {.name = "records",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_batch_values, records),
     .default_text = "128",
     .min = 1,
     .max = TV_BATCH_RECORDS_MAX,
     .help = "The most records of one call. A batch never waits to be filled."},
    {.name = "bytes",
     .type = TV_OPTION_SIZE,
     .offset = offsetof(tv_batch_values, bytes),
     .min = 64,
     .max = 64 * MIB,
     .help = "The most bytes of one call, at least the largest record of any input; this room is part of the "
             "component's memory. Not given: chosen from the inputs' largest records."},
};

const tv_section tv_section_batch = {
    .name = "batch",
    .title = "stages.NAME.batch",
    .help = "How much the component gets in one call.",
    .example = "stages:\n"
               "  detect:\n"
               "    component: detector\n"
               "    from: source\n"
               "    batch: { records: 128, bytes: 64KiB }\n",
    .options = TABLE(batch_options, tv_batch_values),
};

static const tv_option restart_options[] = {
    {.name = "mode",
     .type = TV_OPTION_ENUM,
     .offset = offsetof(tv_restart_values, mode),
     .default_text = "restart",
     .choices = restart_mode_choices,
     .help = "`restart` goes on with the next record on a fresh instance, `stop` stops the flow."},
    {.name = "limit",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_restart_values, limit),
     .default_text = "5",
     .min = 1,
     .max = 10000,
     .help = "The most restarts within `window`; one more stops the flow."},
    {.name = "window",
     .type = TV_OPTION_DURATION,
     .offset = offsetof(tv_restart_values, window_ns),
     .default_text = "1m",
     .min = 1 * SECONDS,
     .max = 24 * HOURS,
     .help = "The time in which restarts are counted."},
    {.name = "backoff",
     .type = TV_OPTION_DURATION,
     .offset = offsetof(tv_restart_values, backoff_ns),
     .default_text = "100ms",
     .min = 1 * MILLISECONDS,
     .max = 1 * HOURS,
     .help = "The wait before the second restart within `window` (the first is immediate); it doubles with each "
             "further one."},
    {.name = "backoff_max",
     .type = TV_OPTION_DURATION,
     .offset = offsetof(tv_restart_values, backoff_max_ns),
     .default_text = "10s",
     .min = 1 * MILLISECONDS,
     .max = 1 * HOURS,
     .help = "The longest wait; at least `backoff`."},
};

const tv_section tv_section_restart = {
    .name = "restart",
    .title = "stages.NAME.restart",
    .help = "What happens when the component fails: it traps, exceeds its CPU budget, or breaks the contract. The "
            "record at fault is dead-lettered in any case. The same holds for a flow that cannot start because of this "
            "stage, its files or its channels: it is started again.",
    .example = "stages:\n"
               "  detect:\n"
               "    component: detector\n"
               "    from: source\n"
               "    restart: { mode: restart, limit: 5, window: 1m, backoff: 100ms, backoff_max: 10s }\n",
    .options = TABLE(restart_options, tv_restart_values),
};

static const tv_option log_options[] = {
    {.name = "lines_per_second",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_log_values, lines_per_second),
     .default_text = "20",
     .min = 0,
     .max = 10000,
     .help = "The most log lines of the component in a second; more are counted instead of written."},
};

const tv_section tv_section_log = {
    .name = "log",
    .title = "stages.NAME.log",
    .help = "The component's log lines.",
    .example = "stages:\n"
               "  detect:\n"
               "    component: detector\n"
               "    from: source\n"
               "    log: { lines_per_second: 20 }\n",
    .options = TABLE(log_options, tv_log_values),
};

static const tv_option stage_options[] = {
    {.name = "component",
     .type = TV_OPTION_STRING,
     .offset = offsetof(tv_stage_values, component),
     .required = true,
     .min = 1,
     .max = TV_NAME_BYTES_MAX,
     .help = "The component this stage runs, by its name under `components`."},
    {.name = "output_limit",
     .type = TV_OPTION_INTEGER,
     .offset = offsetof(tv_stage_values, output_limit),
     .default_text = "1000000",
     .min = 1,
     .max = 1000000000,
     .help = "The most records that the component may emit for one input record, for one tick of its timer, or at the "
             "end, in one call or by asking for more calls (MORE). Beyond it the component has failed (reason "
             "`output`). Records that a source makes itself are bounded by the room behind it alone."},
};

static const tv_child stage_children[] = {
    {.name = "from",
     .shape = TV_CHILD_INPUTS,
     .section = &tv_section_edge,
     .offset = offsetof(tv_stage_values, from),
     .help = "Where records come from: `STAGE`, `STAGE.PORT` (name or number), `CHANNEL`, a mapping (below), or a list "
             "of these, at most 8. Several inputs are merged by event time. A source without input leaves it out."},
    {.name = "to",
     .shape = TV_CHILD_OUTPUTS,
     .offset = offsetof(tv_stage_values, to),
     .help = "The channel that gets what the stage emits on port 0; or a list of channels; or a mapping of output "
             "ports (names or numbers) to channels."},
    {.name = "config",
     .shape = TV_CHILD_FREE,
     .offset = offsetof(tv_stage_values, config),
     .help = "The component's own settings: any YAML below it, at most 256 KiB. What they are is said by the "
             "component's documentation; it reads them by path, such as `methods.0.kind`."},
    {.name = "assets",
     .shape = TV_CHILD_TEXTS,
     .offset = offsetof(tv_stage_values, assets),
     .help = "Files the component can read, by the name it asks for; at most 16. A relative path is looked up from the "
             "folder of the pipeline file."},
    {.name = "batch",
     .shape = TV_CHILD_SECTION,
     .section = &tv_section_batch,
     .offset = offsetof(tv_stage_values, batch),
     .help = "How much the component gets in one call."},
    {.name = "restart",
     .shape = TV_CHILD_SECTION,
     .section = &tv_section_restart,
     .offset = offsetof(tv_stage_values, restart),
     .help = "What happens when the component fails."},
    {.name = "log",
     .shape = TV_CHILD_SECTION,
     .section = &tv_section_log,
     .offset = offsetof(tv_stage_values, log),
     .help = "The component's log lines."},
};

const tv_section tv_section_stage = {
    .name = "stage",
    .title = "stages.NAME",
    .help = "One use of a component. `from` and `to` make the graph, which must not have cycles. Stages and channels "
            "share one set of names.",
    .example = "stages:\n"
               "  enrich:\n"
               "    component: enricher\n"
               "    from: [ detect, detect.alerts ]\n"
               "    to: { out: uplink, errors: trouble }\n"
               "    config:\n"
               "      unknown: pass\n"
               "      columns: [ site, unit ]\n"
               "    assets: { devices.csv: assets/devices.csv }\n"
               "    batch: { records: 128 }\n"
               "    restart: { mode: stop }\n"
               "    output_limit: 1000000\n"
               "    log: { lines_per_second: 20 }\n",
    .options = TABLE(stage_options, tv_stage_values),
    CHILDREN(stage_children),
};
