// Why a flow is as fast as it is: where the time of its stages went between two snapshots, and what held it up.
#include <string.h>

#include "host/control.h"

// What a stage ran is known a moment late: until then it counts as waited, and is taken off again.
static int64_t since(int64_t now_ns, int64_t before_ns) { return now_ns > before_ns ? now_ns - before_ns : 0; }

bool tv_host_window_take(const tv_stage_stats *now, const tv_host_times *before, tv_stage_stats *window) {
    int64_t all_ns = window->running_ns = since(now->running_ns, before->running_ns);
    for (int i = 0; i < TV_WAIT_COUNT; i++)
        all_ns += window->waited_ns[i] = since(now->waited_ns[i], before->waited_ns[i]);
    return all_ns > 0;
}

void tv_host_add_shares(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_stage_stats *window) {
    static const char *const names[TV_WAIT_COUNT] = {"waiting_input_percent", "waiting_worker_percent",
                                                     "waiting_room_percent"};
    int64_t all_ns = window->running_ns;
    for (int i = 0; i < TV_WAIT_COUNT; i++)
        all_ns += window->waited_ns[i];
    double percent = all_ns > 0 ? 100 / (double)all_ns : 0;
    yyjson_mut_obj_add_real(document, object, "running_percent", tv_host_rounded((double)window->running_ns * percent));
    for (int i = 0; i < TV_WAIT_COUNT; i++)
        yyjson_mut_obj_add_real(document, object, names[i], tv_host_rounded((double)window->waited_ns[i] * percent));
}

const char *tv_host_held_back(bool paused, const tv_flow_stats *stats, const int64_t before_ns[TV_THROTTLE_COUNT],
                              int64_t window_ns) {
    if (paused) return "paused";
    if (stats->throttled != TV_THROTTLE_NONE) return tv_throttle_name(stats->throttled);
    for (tv_throttle by = TV_THROTTLE_CPU; by < TV_THROTTLE_COUNT; by++)
        if (window_ns > 0 && 2 * (stats->throttled_ns[by] - before_ns[by]) >= window_ns) return tv_throttle_name(by);
    return NULL;
}

static void add(yyjson_mut_doc *document, yyjson_mut_val *object, const char *name, const char *why, const char *text) {
    yyjson_mut_val *bottleneck = yyjson_mut_obj_add_obj(document, object, "bottleneck");
    yyjson_mut_obj_add_strcpy(document, bottleneck, "stage", name);
    yyjson_mut_obj_add_str(document, bottleneck, "why", why);
    yyjson_mut_obj_add_strcpy(document, bottleneck, "text", text);
}

void tv_host_add_bottleneck(yyjson_mut_doc *document, yyjson_mut_val *object, const tv_host_flow *flow,
                            const char *held_back, const tv_stage_stats *window) {
    static const char *const whys[] = {[TV_BOTTLENECK_NONE] = "input",
                                       [TV_BOTTLENECK_STAGE] = "running",
                                       [TV_BOTTLENECK_WORKER] = "worker",
                                       [TV_BOTTLENECK_DOWNSTREAM] = "room"};
    if (held_back) {
        add(document, object, flow->model->stages[0].name, held_back,
            strcmp(held_back, "paused") == 0 ? "it is paused"
            : strcmp(held_back, "cpu") == 0  ? "its own CPU limit holds it back"
                                             : "its own rate limit holds it back");
    } else if (window) {
        tv_bottleneck found;
        tv_bottleneck_find(flow->flow, window, &found);
        add(document, object, found.name, whys[found.kind], found.why);
    } else {
        yyjson_mut_obj_add_null(document, object, "bottleneck");
    }
}
