#include "host/control.h"
void tv_host_verb_tap(void *user, tv_server_request *request, yyjson_val *body) {
    (void)user;
    (void)body;
    tv_server_fail(request, "unsupported", "tap");
}
void tv_host_taps_end(tv_host_control *control, tv_host_flow *flow, const char *reason) {
    (void)control;
    (void)flow;
    (void)reason;
}
