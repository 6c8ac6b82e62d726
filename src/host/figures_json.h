// What the scheduler did with a flow and on its workers, as JSON: in the answers of the control socket and in the
// summary of a run.
#ifndef TORVYN_HOST_SCHEDULING_JSON_H
#define TORVYN_HOST_SCHEDULING_JSON_H

#include "host/runner.h"
#include "yyjson.h"

// "turns", "quantum", "throttling", "moves" and so on, into the object of a flow.
void tv_host_add_scheduling(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_flow_stats *stats);
// The counters of one worker, into its object.
void tv_host_add_worker(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_worker_stats *stats);
// "scheduler": the counters of all workers together, times since the run began.
void tv_host_add_scheduler(yyjson_mut_doc *document, yyjson_mut_val *root, const tv_runtime *runtime);

#endif
