// The rules for a flow's graph that need no modules: cycles, channels, sizes, and what is probably a mistake.
// Works on the model alone, where every reference leads somewhere.
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "pipeline/load.h"

typedef struct tv_graph {
    tv_reader *reader;
    const tv_flow_model *flow;
    bool taken[TV_STAGES_MAX]; // some stage takes its output
    enum { GRAPH_NEW, GRAPH_ACTIVE, GRAPH_DONE } state[TV_STAGES_MAX];
    size_t stack[TV_STAGES_MAX];
    size_t depth;
} tv_graph;

// "stages.NAME.KEY"
typedef struct graph_path {
    tv_path all, stage, key;
} graph_path;

static const tv_path *graph_stage_path(graph_path *path, const char *kind, const char *name, const char *key) {
    path->all = (tv_path){.name = kind};
    path->stage = (tv_path){.parent = &path->all, .name = name};
    path->key = (tv_path){.parent = &path->stage, .name = key};
    return key != NULL ? &path->key : &path->stage;
}

// The text in the region, or a stand-in without memory.
static const char *graph_take_text(tv_graph *graph, tv_text *text) {
    const char *copy = text->failed ? NULL : tv_region_copy(graph->reader->region, text->bytes, text->length);
    if (copy == NULL) graph->reader->region->failed = true;
    tv_text_deinit(text);
    return copy != NULL ? copy : "...";
}

// ---- cycles -------------------------------------------------------------------------------------------------

// The stack holds stages against the direction of records: each takes from the next.
static void graph_report_cycle(tv_graph *graph, size_t stage, const tv_input_model *input) {
    graph_path path;
    tv_text text = {0};
    const tv_stage_model *stages = graph->flow->stages;
    tv_text_print(&text, "%s", stages[input->from].name);
    for (size_t i = graph->depth; i > 0; i--) {
        tv_text_print(&text, " -> %s", stages[graph->stack[i - 1]].name);
        if (graph->stack[i - 1] == input->from) break;
    }
    tv_reader_report(graph->reader, TV_SEVERITY_ERROR, input->place,
                     graph_stage_path(&path, "stages", stages[stage].name, "from"),
                     "a pipeline has no loops; take the input from a stage before the loop",
                     "the stages form a cycle: %s", graph_take_text(graph, &text));
}

static void graph_visit(tv_graph *graph, size_t index) { // at most TV_STAGES_MAX deep
    const tv_stage_model *stage = &graph->flow->stages[index];
    graph->state[index] = GRAPH_ACTIVE;
    graph->stack[graph->depth++] = index;
    for (size_t i = 0; i < stage->input_count; i++) {
        const tv_input_model *input = &stage->inputs[i];
        if (input->is_channel) continue;
        if (graph->state[input->from] == GRAPH_ACTIVE) graph_report_cycle(graph, index, input);
        if (graph->state[input->from] == GRAPH_NEW) graph_visit(graph, input->from);
    }
    graph->depth--;
    graph->state[index] = GRAPH_DONE;
}

// ---- channels -----------------------------------------------------------------------------------------------

typedef struct graph_channel_use {
    const tv_stage_model *reader, *writer; // the first of each
} graph_channel_use;

static void graph_add_reader(tv_graph *graph, graph_channel_use *use, const tv_channel_model *channel,
                             const tv_stage_model *stage, tv_place place) {
    graph_path path;
    if (use->reader != NULL) {
        tv_reader_report(
            graph->reader, TV_SEVERITY_ERROR, place, graph_stage_path(&path, "stages", stage->name, "from"),
            tv_region_print(graph->reader->region, "take it from stage \"%s\", or use a second channel",
                            use->reader->name),
            "channel \"%s\" is read by two stages, \"%s\" and \"%s\"", channel->name, use->reader->name, stage->name);
    }
    if (use->reader == NULL) use->reader = stage;
}

static void graph_add_writer(tv_graph *graph, graph_channel_use *use, const tv_channel_model *channel,
                             const tv_stage_model *stage, tv_place place) {
    graph_path path;
    if (use->writer != NULL) {
        tv_reader_report(graph->reader, TV_SEVERITY_ERROR, place, graph_stage_path(&path, "stages", stage->name, "to"),
                         "let one stage take from both and write it, or use a second channel",
                         "channel \"%s\" is written by two stages, \"%s\" and \"%s\"", channel->name, use->writer->name,
                         stage->name);
    }
    if (use->writer == NULL) use->writer = stage;
}

static void graph_check_channels(tv_graph *graph) {
    graph_channel_use uses[TV_CHANNELS_MAX] = {0};
    graph_path path;
    const tv_flow_model *flow = graph->flow;
    for (size_t s = 0; s < flow->stage_count; s++) {
        const tv_stage_model *stage = &flow->stages[s];
        for (size_t i = 0; i < stage->input_count; i++) {
            const tv_input_model *input = &stage->inputs[i];
            if (!input->is_channel) continue;
            graph_add_reader(graph, &uses[input->from], &flow->channels[input->from], stage, input->place);
        }
        for (size_t i = 0; i < stage->output_count; i++) {
            const tv_output_model *output = &stage->outputs[i];
            graph_add_writer(graph, &uses[output->channel], &flow->channels[output->channel], stage, output->place);
        }
    }
    for (size_t c = 0; c < flow->channel_count; c++) {
        const tv_channel_model *channel = &flow->channels[c];
        if (uses[c].reader == NULL || uses[c].writer == NULL) continue;
        tv_reader_report(graph->reader, TV_SEVERITY_ERROR, channel->place,
                         graph_stage_path(&path, "channels", channel->name, NULL),
                         "define two channels, one for each direction",
                         "channel \"%s\" is read by stage \"%s\" and written by stage \"%s\"", channel->name,
                         uses[c].reader->name, uses[c].writer->name);
    }
}

// ---- sizes and likely mistakes ------------------------------------------------------------------------------

static void graph_check_edges(tv_graph *graph) {
    size_t edges = 0;
    for (size_t s = 0; s < graph->flow->stage_count; s++) {
        const tv_stage_model *stage = &graph->flow->stages[s];
        edges += stage->input_count + stage->output_count;
        for (size_t i = 0; i < stage->input_count; i++) {
            if (!stage->inputs[i].is_channel) graph->taken[stage->inputs[i].from] = true;
        }
    }
    if (edges <= TV_EDGES_MAX) return;
    tv_path path = {.name = "stages"};
    tv_reader_report(graph->reader, TV_SEVERITY_ERROR, graph->flow->stages[0].place, &path,
                     "split the pipeline into several files", "a flow has at most %d connections, found %zu",
                     TV_EDGES_MAX, edges);
}

static void graph_check_isolated(tv_graph *graph) {
    graph_path path;
    for (size_t s = 0; s < graph->flow->stage_count; s++) {
        const tv_stage_model *stage = &graph->flow->stages[s];
        if (stage->input_count > 0 || stage->output_count > 0 || graph->taken[s]) continue;
        tv_reader_report(graph->reader, TV_SEVERITY_WARNING, stage->place,
                         graph_stage_path(&path, "stages", stage->name, NULL),
                         "name it in `from` of another stage, or give it `from` or `to`, or remove it",
                         "stage \"%s\" is connected with nothing", stage->name);
    }
}

static bool graph_blocks_everywhere(const tv_flow_model *flow) {
    for (size_t c = 0; c < flow->channel_count; c++) {
        if (flow->channels[c].direction == TV_OUTPUT && flow->channels[c].overflow != TV_OVERFLOW_BLOCK) return false;
    }
    for (size_t s = 0; s < flow->stage_count; s++) {
        const tv_stage_model *stage = &flow->stages[s];
        for (size_t i = 0; i < stage->input_count; i++) {
            if (!stage->inputs[i].is_channel && stage->inputs[i].overflow != TV_OVERFLOW_BLOCK) return false;
        }
    }
    return true;
}

static void graph_check_sinks(tv_graph *graph) {
    const tv_flow_model *flow = graph->flow;
    tv_text names = {0};
    size_t sinks = 0;
    for (size_t c = 0; c < flow->channel_count; c++) {
        if (flow->channels[c].direction != TV_OUTPUT) continue;
        tv_text_print(&names, "%s%s", sinks++ > 0 ? ", " : "", flow->channels[c].name);
    }
    for (size_t s = 0; s < flow->stage_count; s++) {
        if (graph->taken[s] || flow->stages[s].output_count > 0 || flow->stages[s].input_count == 0) continue;
        tv_text_print(&names, "%s%s", sinks++ > 0 ? ", " : "", flow->stages[s].name);
    }
    const char *list = sinks > 0 ? graph_take_text(graph, &names) : "";
    if (sinks < 2 || !graph_blocks_everywhere(flow)) return;
    tv_path path = {.name = "stages"};
    tv_reader_report(graph->reader, TV_SEVERITY_WARNING, flow->stages[0].place, &path,
                     "let a branch that may lose records drop them: `overflow: drop-newest` at its channel, or "
                     "`from: { stage: NAME, overflow: drop-oldest }` at its stage",
                     "there are %zu sinks (%s) and every queue blocks: when one of them stalls, all of them do", sinks,
                     list);
}

void tv_graph_check(tv_reader *reader, const tv_flow_model *flow) {
    tv_graph graph = {.reader = reader, .flow = flow};
    if (flow->stage_count == 0) return;
    graph_check_channels(&graph);
    graph_check_edges(&graph);
    for (size_t s = 0; s < flow->stage_count; s++) {
        if (graph.state[s] == GRAPH_NEW) graph_visit(&graph, s);
    }
    if (reader->error_count > 0) return; // what follows would often be said of what is wrong anyway
    graph_check_isolated(&graph);
    graph_check_sinks(&graph);
}
