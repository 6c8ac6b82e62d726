// Figures as JSON that stand both in the answers of the control socket and in the summary of a run: of stages, and what
// the scheduler did with a flow and on its workers.
#ifndef TORVYN_HOST_FIGURES_JSON_H
#define TORVYN_HOST_FIGURES_JSON_H

#include "host/runner.h"
#include "yyjson.h"

// "faults", "faults_by_reason" (those that are not zero), "restarts", "state_losses" of a stage.
void tv_host_add_faults(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_stage_stats *stats);
// "trouble": what a channel's connector waits to see the end of, and for how many seconds it has; null: nothing.
void tv_host_add_trouble(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_channel *channel);
// "rejections": the most frequent reasons of a stage, the first most so: `reason` and `times` (at least).
void tv_host_add_rejections(yyjson_mut_doc *document, yyjson_mut_val *object, tv_flow *flow, size_t stage);
// "counters": the component's own, of one stage.
void tv_host_add_counters(yyjson_mut_doc *document, yyjson_mut_val *object, tv_flow *flow, size_t stage);
// "turns", "quantum", "throttling", "moves" and so on, into the object of a flow.
void tv_host_add_scheduling(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_flow_stats *stats);
// "starts_failed": how often the flow could not be started; "next_start_s": until it is tried again, null: it is not.
void tv_host_add_start(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_flow *flow);
// The counters of one worker, into its object.
void tv_host_add_worker(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_worker_stats *stats);
// "scheduler": the counters of all workers together, times since the run began.
void tv_host_add_scheduler(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_runtime *runtime);

#endif
