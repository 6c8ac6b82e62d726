// Flows from end to end on one thread: what goes in, what comes out, in which order, and what the books say.
#include "flow/testing/test_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { STAGE = 0 };
static const uint16_t IN = TV_NODE_CHANNEL, OUT = TV_NODE_CHANNEL | 1;

static rig bench; // a few hundred KiB, so not on the stack

static int setup(void **state) {
    (void)state;
    rig_init(&bench);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    rig_deinit(&bench);
    return 0;
}

static void start_line(void) {
    rig_line(&bench);
    rig_start(&bench);
}

// ---- passing on ---------------------------------------------------------------------------------------------

static void records_come_out_as_they_went_in(void **state) {
    (void)state;
    start_line();
    rig_push(&bench, IN, "a");
    rig_push(&bench, IN, "");
    rig_push(&bench, IN, "bcd");
    rig_run(&bench);
    assert_string_equal(rig_take(&bench, OUT), "a||bcd");
    rig_run(&bench);
    tv_stage_stats stats = rig_stage_stats(&bench, STAGE);
    assert_int_equal(stats.popped, 3);
    assert_int_equal(stats.processed, 3);
    assert_int_equal(stats.emitted, 3);
    assert_int_equal(rig_state(&bench), TV_FLOW_RUNNING);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(records_come_out_as_they_went_in, setup, teardown),
};

static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
