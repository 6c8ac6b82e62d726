// Components that fail: what is taken back, what becomes a dead letter, how the flow goes on (contract section 8).
#include "flow/testing/test_rig.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

enum { SECOND_NS = 1000000000 };

// Three records in one batch.
static void push_three(rig *bench, const char *first, const char *second, const char *third) {
    assert_int_equal(tv_channel_push(bench->channels[0], first, (uint32_t)strlen(first)), TV_OK);
    assert_int_equal(tv_channel_push(bench->channels[0], second, (uint32_t)strlen(second)), TV_OK);
    assert_int_equal(tv_channel_push(bench->channels[0], third, (uint32_t)strlen(third)), TV_OK);
    tv_channel_publish(bench->channels[0]);
}

static void assert_letter_has(const char *letters, const char *part) {
    if (!strstr(letters, part)) fail_msg("\"%s\" is not in: %s", part, letters);
}

// ---- what stays and what goes -------------------------------------------------------------------------------

static void trap_takes_back_its_own_record_and_nothing_else(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    push_three(bench, "before", "!e0:taken;e0:back;T;", "after");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "before|after");
    tv_stage_stats stats = rig_stage_stats(bench, RIG_STAGE);
    assert_int_equal(stats.popped, 3);
    assert_int_equal(stats.processed, 2);
    assert_int_equal(stats.dead_lettered, 1);
    assert_int_equal(stats.rejected, 0);
    assert_int_equal(stats.emitted, 2);
    assert_int_equal(stats.faults, 1);
    assert_int_equal(stats.faults_by_reason[TV_FAULT_TRAP], 1);
    assert_int_equal(stats.restarts, 1);
    assert_non_null(strstr(stats.last_error, "unreachable"));
}

static void dead_letter_says_where_why_and_what(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    push_three(bench, "before", "!T;", "after");
    rig_run(bench);
    const char *letters = rig_dead_letters(bench);
    assert_null(strchr(letters, '\n')); // one line
    static const char *const parts[] = {
        "\"time_ns\":1700000001000000000",
        "\"flow\":\"bench\"",
        "\"stage\":\"puppet\"",
        "\"component\":\"puppet\"",
        "\"module_sha256\":\"",
        "\"input\":\"in\"",
        "\"sequence\":2",
        "\"origin\":\"in\"",
        "\"origin_sequence\":2",
        "\"reason\":\"trap\"",
        "\"message\":\"unreachable",
        "\"function\":\"",
        "\"backtrace\":\"",
        "\"payload_bytes\":3",
        "\"payload_base64\":\"IVQ7\"",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_letter_has(letters, parts[i]);
    assert_letter_has(letters, tv_module_get_info(rig_puppet())->digest);
}

static void dead_letter_of_a_record_without_message_names_no_origin(void **state) {
    rig *bench = *state;
    uint16_t out = rig_channel(bench, "out", TV_OUTPUT);
    uint16_t source = rig_stage(bench, "source"), last = rig_stage(bench, "last");
    rig_config(bench, source, "boom", "!T;");
    rig_config(bench, source, "pull.0", "gboom;");
    rig_edge(bench, source, 0, last);
    rig_edge(bench, last, 0, out);
    rig_start(bench);
    rig_run(bench);
    const char *letters = rig_dead_letters(bench);
    assert_letter_has(letters, "\"input\":\"source\"");
    assert_null(strstr(letters, "origin"));
}

static void every_record_may_fail(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    push_three(bench, "!T;", "!T;", "!T;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).dead_lettered, 3);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).restarts, 3);
    assert_int_equal(rig_state(bench), TV_FLOW_RUNNING);
}

static void fault_on_several_ports_takes_back_on_all(void **state) {
    rig *bench = *state;
    rig_line(bench);
    uint16_t alerts = rig_channel(bench, "alerts", TV_OUTPUT);
    rig_edge(bench, RIG_STAGE, 1, alerts);
    rig_start(bench);
    push_three(bench, "!e0:a;e1:A;", "!e0:b;e1:B;T;", "!e0:c;e1:C;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "a|c");
    assert_string_equal(rig_take(bench, alerts), "A|C");
    assert_int_equal(rig_front(bench, alerts) == NULL, 1);
}

static void watermark_of_a_failed_record_is_taken_back(void **state) {
    rig *bench = *state;
    uint16_t in = rig_channel(bench, "in", TV_INPUT), out = rig_channel(bench, "out", TV_OUTPUT);
    uint16_t first = rig_stage(bench, "first"), last = rig_stage(bench, "last");
    rig_edge(bench, in, 0, first);
    rig_edge(bench, first, 0, last);
    rig_edge(bench, last, 0, out);
    rig_config(bench, last, "on_watermark", "e0:mark;");
    rig_start(bench);
    rig_push(bench, in, "!w100;T;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "");
    rig_push(bench, in, "!w60;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "mark");
    assert_int_equal(bench->flow->stage_rares[last].watermark_in, 60);
}

static void failing_on_a_watermark_passes_it_on_all_the_same(void **state) {
    rig *bench = *state;
    uint16_t in = rig_channel(bench, "in", TV_INPUT), out = rig_channel(bench, "out", TV_OUTPUT);
    uint16_t first = rig_stage(bench, "first"), middle = rig_stage(bench, "middle"), last = rig_stage(bench, "last");
    rig_edge(bench, in, 0, first);
    rig_edge(bench, first, 0, middle);
    rig_edge(bench, middle, 0, last);
    rig_edge(bench, last, 0, out);
    rig_config(bench, middle, "on_watermark", "e0:lost;T;");
    rig_config(bench, last, "on_watermark", "e0:mark;");
    rig_start(bench);
    rig_push(bench, in, "!w100;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "mark");
    assert_int_equal(rig_stage_stats(bench, middle).faults, 1);
    assert_int_equal(rig_stage_stats(bench, middle).dead_lettered, 0);
}

// ---- the record index ---------------------------------------------------------------------------------------

static void index_beyond_the_batch_counts_as_the_last_right_one(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    push_three(bench, "a", "!i77;e0:gone;T;", "c");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "c"); // index 0 was the last that was seen: "a" is at fault
    const char *letters = rig_dead_letters(bench);
    assert_letter_has(letters, "\"sequence\":1,");
    tv_stage_stats stats = rig_stage_stats(bench, RIG_STAGE);
    assert_int_equal(stats.popped, stats.processed + stats.dead_lettered);
}

static void index_that_decreases_counts_as_the_last_right_one(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    push_three(bench, "a", "!e0:gone;i0;e0:gone too;T;", "c");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "a|c");
    assert_letter_has(rig_dead_letters(bench), "\"sequence\":2,");
}

static void index_at_its_largest_is_harmless_in_every_import(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    push_three(bench, "!i4294967295;e0:x;rno;w9;", "!i-2147483648;rno;e0:y;", "!i4294967295;z1000;");
    rig_run(bench);
    tv_stage_stats stats = rig_stage_stats(bench, RIG_STAGE);
    assert_int_equal(stats.popped, 3);
    assert_int_equal(stats.popped, stats.processed + stats.dead_lettered);
}

// ---- rejecting ----------------------------------------------------------------------------------------------

static void rejected_record_is_dead_lettered_and_the_instance_lives_on(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    push_three(bench, "!v;", "!e0:taken back;rno such device;", "!v;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "1|3");
    tv_stage_stats stats = rig_stage_stats(bench, RIG_STAGE);
    assert_int_equal(stats.rejected, 1);
    assert_int_equal(stats.dead_lettered, 1);
    assert_int_equal(stats.processed, 2);
    assert_int_equal(stats.faults, 0);
    assert_int_equal(stats.emitted, 2);
    const char *letters = rig_dead_letters(bench);
    assert_letter_has(letters, "\"reason\":\"rejected\"");
    assert_letter_has(letters, "\"message\":\"no such device\"");
    assert_letter_has(letters, "\"sequence\":2,");
}

static void rejected_record_can_neither_emit_nor_be_rejected_again(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    rig_config(bench, RIG_STAGE, "on_close", "rnot here;?;");
    bench->stages[RIG_STAGE].config_count = 1;
    push_three(bench, "!rone;rtwo;c-;", "!rone;e0:no;", "x");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "x");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).rejected, 2);
    assert_string_equal(strstr(rig_dead_letters(bench), "\n") ? "two lines" : "one line", "two lines");
    rig_end(bench, RIG_IN);
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "-4"); // STATE outside tv_process
}

static void record_that_is_rejected_and_then_traps_is_one_dead_letter(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    push_three(bench, "a", "!rno;T;", "c");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "a|c");
    tv_stage_stats stats = rig_stage_stats(bench, RIG_STAGE);
    assert_int_equal(stats.dead_lettered, 1);
    assert_int_equal(stats.rejected, 1);
    assert_int_equal(stats.faults, 1);
    assert_null(strchr(rig_dead_letters(bench), '\n'));
}

static void rejected_but_not_consumed_is_a_failure(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    push_three(bench, "a", "!rno;z1;", "c");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "a|c");
    tv_stage_stats stats = rig_stage_stats(bench, RIG_STAGE);
    assert_int_equal(stats.faults_by_reason[TV_FAULT_RESULT], 1);
    assert_int_equal(stats.dead_lettered, 1);
    assert_int_equal(stats.processed, 2);
}

static void full_dead_letter_channel_holds_the_stage_until_letters_are_taken(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    char script[512] = "!r";
    memset(script + 2, 'r', 250);
    strcpy(script + 252, ";z1;");
    uint32_t rejected = 0, letters = 0;
    for (uint32_t i = 0; i < 150; i++)
        rig_push(bench, RIG_IN, script);
    for (int round = 0; round < 150 && rejected < 150; round++) {
        rig_run(bench);
        rejected = (uint32_t)rig_stage_stats(bench, RIG_STAGE).rejected;
        const char *line = rig_dead_letters(bench); // makes the flow ready again
        for (letters += line[0] != 0; (line = strchr(line, '\n')) != NULL; line++)
            letters++;
    }
    assert_int_equal(rejected, 150);
    assert_int_equal(letters, 150);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).dead_letters_unwritten, 0);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).faults, 0);
}

// The component does not look at what reject answers.
static void whole_batches_may_be_rejected_into_a_small_dead_letter_channel(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    static char script[1200] = "!r";
    for (int i = 0; i < 250; i++) // control characters, the longest in JSON
        script[2 + i] = '\x01';
    script[252] = ';';
    memset(script + 253, 'x', 900); // payload that is never looked at
    uint32_t pushed = 0, letters = 0;
    for (int round = 0; round < 300 && (pushed < 200 || rig_edge_stats(bench, 0).queued); round++) {
        while (pushed < 200 && rig_try_push(bench, RIG_IN, script) == TV_OK)
            pushed++;
        rig_run(bench);
        const char *line = rig_dead_letters(bench);
        for (letters += line[0] != 0; (line = strchr(line, '\n')) != NULL; line++)
            letters++;
    }
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).rejected, 200);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).dead_letters_unwritten, 0);
    assert_int_equal(letters, 200);
}

static void payload_that_no_line_can_carry_is_left_out_and_said_so(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_options(bench, RIG_IN)->record_bytes_max = 15000;
    bench->edges[0].record_bytes_max = 15000;
    rig_start(bench);
    static char payload[14001];
    memset(payload, 'x', 14000);
    memcpy(payload, "!T;", 3);
    rig_push(bench, RIG_IN, payload);
    rig_run(bench);
    const char *letters = rig_dead_letters(bench);
    assert_letter_has(letters, "\"payload_omitted\":true");
    assert_letter_has(letters, "\"sequence\":1,");
}

static void take_letters(rig *bench, uint32_t count) {
    const tv_record *record;
    uint32_t bytes, records;
    while (count-- && tv_channel_peek(bench->dead_letters, &record, &bytes, &records) == TV_OK)
        tv_channel_pop(bench->dead_letters, 1, record->size_bytes);
}

// Of a batch one record is rejected, the next one traps: both letters are almost the largest, and the first of them
// may find the ring's end in its way.
static void letters_of_a_batch_fit_wherever_the_end_of_their_queue_falls(void **state) {
    rig *bench = *state;
    static char rejected[11001], trapping[11001];
    memset(rejected, 'x', 11000);
    memset(trapping, 'x', 11000);
    memcpy(rejected, "!r;", 3);
    memcpy(trapping, "!T;", 3);
    rig_line(bench);
    rig_options(bench, RIG_IN)->record_bytes_max = 15000;
    bench->edges[0].record_bytes_max = 15000;
    bench->stages[RIG_STAGE].batch_bytes_max = 32768;
    bench->letters.on_limit = TV_LETTERS_BLOCK;
    rig_start(bench);
    for (uint32_t round = 0; round < 200; round++) {
        rig_push(bench, RIG_IN, "!rsmall;");
        rig_advance(bench, 3600LL * SECOND_NS);
        assert_int_equal(tv_channel_push(bench->channels[0], rejected, 11000), TV_OK);
        assert_int_equal(tv_channel_push(bench->channels[0], trapping, 11000), TV_OK);
        tv_channel_publish(bench->channels[0]);
        rig_advance(bench, 3600LL * SECOND_NS);
        while (rig_edge_stats(bench, 0).queued) {
            take_letters(bench, 1);
            rig_run(bench);
        }
        take_letters(bench, round % 3);
    }
    tv_stage_stats stats = rig_stage_stats(bench, RIG_STAGE);
    assert_int_equal(stats.faults, 200);
    assert_int_equal(stats.rejected, 400);
    assert_int_equal(stats.dead_letters_unwritten, 0);
}

// Rejects until the queue of letters is full and the flow waits; what is left has not been looked at.
static void fill_letters(rig *bench) {
    for (int i = 0; i < 200; i++)
        (void)rig_try_push(bench, RIG_IN, "!rno;");
    rig_run(bench);
    assert_true(rig_edge_stats(bench, 0).queued > 0);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).dead_letters_unwritten, 0);
}

static void letters_nobody_takes_for_a_second_are_lost_and_counted(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    fill_letters(bench);
    rig_advance(bench, SECOND_NS - 1);
    assert_true(rig_edge_stats(bench, 0).queued > 0);
    rig_advance(bench, 1);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 200; i++)
            (void)rig_try_push(bench, RIG_IN, "!rno;");
        rig_run(bench);
        assert_int_equal(rig_edge_stats(bench, 0).queued, 0); // it does not wait another second
    }
    uint64_t lost = rig_stage_stats(bench, RIG_STAGE).dead_letters_unwritten;
    assert_true(lost > 0);
    (void)rig_dead_letters(bench);
    rig_push(bench, RIG_IN, "!rno;");
    rig_run(bench);
    assert_letter_has(rig_dead_letters(bench), "rejected"); // there is room again
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).dead_letters_unwritten, lost);
}

static void policy_block_waits_as_long_as_it_takes(void **state) {
    rig *bench = *state;
    bench->letters.on_limit = TV_LETTERS_BLOCK;
    rig_start_line(bench);
    fill_letters(bench);
    rig_advance(bench, 3600 * (int64_t)SECOND_NS);
    assert_true(rig_edge_stats(bench, 0).queued > 0);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).dead_letters_unwritten, 0);
    for (int round = 0; round < 200 && rig_edge_stats(bench, 0).queued; round++) {
        (void)rig_dead_letters(bench);
        rig_run(bench);
    }
    assert_int_equal(rig_edge_stats(bench, 0).queued, 0);
}

// Two stages: the first rejects, the second never does and has records left when the letters are full.
static void stage_from_which_nothing_is_rejected_does_not_wait(void **state) {
    rig *bench = *state;
    bench->letters.on_limit = TV_LETTERS_BLOCK;
    uint16_t in = rig_channel(bench, "in", TV_INPUT), out = rig_channel(bench, "out", TV_OUTPUT);
    uint16_t other = rig_channel(bench, "other", TV_INPUT);
    uint16_t bad = rig_stage(bench, "bad"), good = rig_stage(bench, "good");
    rig_edge(bench, in, 0, bad);
    rig_edge(bench, other, 0, good);
    rig_edge(bench, good, 0, out);
    rig_start(bench);
    for (int i = 0; i < 200; i++)
        (void)rig_try_push(bench, in, "!rno;");
    rig_run(bench);
    assert_true(rig_edge_stats(bench, 0).queued > 0);
    rig_push(bench, other, "a");
    rig_run(bench);
    assert_string_equal(rig_take(bench, out), "a");
}

static void letters_beyond_the_rate_of_a_flow_are_lost_and_counted(void **state) {
    rig *bench = *state;
    bench->letters = (tv_letters_policy){.bytes_per_s = 1, .burst_bytes = 300};
    rig_start_line(bench);
    for (int i = 0; i < 10; i++)
        rig_push(bench, RIG_IN, "!rno;");
    rig_run(bench);
    tv_stage_stats stats = rig_stage_stats(bench, RIG_STAGE);
    assert_int_equal(stats.dead_lettered, 10);
    assert_in_range(stats.dead_letters_unwritten, 6, 9);
    uint64_t lost = stats.dead_letters_unwritten;
    rig_advance(bench, 600 * (int64_t)SECOND_NS);
    rig_push(bench, RIG_IN, "!rno;");
    rig_run(bench);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).dead_letters_unwritten, lost);
}

static void flow_beyond_its_rate_waits_by_policy(void **state) {
    rig *bench = *state;
    bench->letters = (tv_letters_policy){.on_limit = TV_LETTERS_BLOCK, .bytes_per_s = 1000, .burst_bytes = 300};
    rig_start_line(bench);
    for (int i = 0; i < 50; i++)
        rig_push(bench, RIG_IN, "!rno;");
    rig_run(bench);
    assert_true(rig_edge_stats(bench, 0).queued > 0);
    for (int i = 0; i < 600 && rig_edge_stats(bench, 0).queued; i++) {
        rig_advance(bench, SECOND_NS / 10);
        (void)rig_dead_letters(bench);
    }
    assert_int_equal(rig_edge_stats(bench, 0).queued, 0);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).dead_letters_unwritten, 0);
}

// ---- results ------------------------------------------------------------------------------------------------

static void negative_result_is_the_failure_of_the_record_at_hand(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    push_three(bench, "a", "!e0:gone;z-7;", "c");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "a|c");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).faults_by_reason[TV_FAULT_RESULT], 1);
    assert_letter_has(rig_dead_letters(bench), "\"sequence\":2,");
}

static void malformed_results_are_failures(void **state) {
    rig *bench = *state;
    static const char *const scripts[] = {
        "!z2;",          // more than the batch
        "!z16777216;",   // unknown flag
        "!z536870912;",  // END is for tv_pull
        "!z1073741826;", // MORE and more than the batch
    };
    rig_start_line(bench);
    for (size_t i = 0; i < 4; i++) {
        rig_push(bench, RIG_IN, scripts[i]);
        rig_run(bench);
        assert_int_equal(rig_stage_stats(bench, RIG_STAGE).faults_by_reason[TV_FAULT_RESULT], i + 1);
        assert_int_equal(rig_stage_stats(bench, RIG_STAGE).dead_lettered, i + 1);
    }
}

static void consuming_less_brings_the_others_again(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    push_three(bench, "!e0:a;z1;", "!e0:b;z1;", "c");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "a|b|c");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).calls, 3);
}

static void consuming_nothing_twice_is_a_failure(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    push_three(bench, "!z0;", "b", "c");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "b|c");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).calls, 3);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).dead_lettered, 1);
}

static void more_that_leads_to_nothing_twice_is_a_failure(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    push_three(bench, "!z1073741824;", "b", "c"); // MORE, nothing consumed, and tv_resume has nothing to emit
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "b|c");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).dead_lettered, 1);
    assert_non_null(strstr(rig_stage_stats(bench, RIG_STAGE).last_error, "neither consumed nor emitted"));
}

// ---- other ways to fail -------------------------------------------------------------------------------------

static void stack_and_wild_pointer_are_told_apart(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    push_three(bench, "!S;", "!P;", "c");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "c");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).faults_by_reason[TV_FAULT_STACK], 1);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).faults_by_reason[TV_FAULT_POINTER], 1);
}

static int64_t ticks_ns;

// A millisecond more each time: it is asked for once a tick.
static int64_t cpu_time_of_ticks(void *user) {
    (void)user;
    return ticks_ns += 1000000;
}

static void endless_loop_is_ended_by_the_budget_of_its_record(void **state) {
    rig *bench = *state;
    rig_line(bench);
    bench->clock.clock.thread_cpu_ns = cpu_time_of_ticks;
    bench->stages[RIG_STAGE].cpu_record_ns = 10000000;
    rig_start(bench);
    push_three(bench, "a", "!e0:gone;L;", "c");
    rig_ticks_begin();
    rig_run(bench);
    rig_ticks_end();
    assert_true(ticks_ns > 10000000); // not before
    assert_string_equal(rig_take(bench, RIG_OUT), "a|c");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).faults_by_reason[TV_FAULT_CPU], 1);
    assert_letter_has(rig_dead_letters(bench), "\"reason\":\"cpu\"");
}

// ---- restarting ---------------------------------------------------------------------------------------------

static void instance_is_fresh_and_what_it_knew_is_counted_as_lost(void **state) {
    rig *bench = *state;
    rig_start_line(bench);
    push_three(bench, "!v;", "!T;", "!v;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "1|1");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).state_losses, 1);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).records_since_start_lost, 1);
}

static void restarts_back_off_until_the_limit(void **state) {
    rig *bench = *state;
    rig_line(bench);
    bench->stages[RIG_STAGE].restart = (tv_restart_policy){
        .limit = 4,
        .window_ns = 100 * (int64_t)SECOND_NS,
        .backoff_min_ns = SECOND_NS,
        .backoff_max_ns = 3 * (int64_t)SECOND_NS,
    };
    rig_start(bench);
    static const int waits[] = {0, 1, 2, 3};
    for (int i = 0; i < 4; i++) {
        rig_push(bench, RIG_IN, "!T;");
        rig_push(bench, RIG_IN, "x");
        rig_run(bench);
        if (waits[i]) {
            assert_string_equal(rig_take(bench, RIG_OUT), "");
            rig_advance(bench, waits[i] * (int64_t)SECOND_NS - 1);
            assert_string_equal(rig_take(bench, RIG_OUT), "");
            rig_advance(bench, 1);
        }
        assert_string_equal(rig_take(bench, RIG_OUT), "x");
    }
    rig_push(bench, RIG_IN, "!T;");
    rig_run(bench);
    assert_int_equal(rig_state(bench), TV_FLOW_FAILED);
    assert_non_null(strstr(tv_flow_failure(bench->flow), "puppet"));
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).restarts, 4);
}

static void start_line_with_init(rig *bench) {
    rig_line(bench);
    rig_config(bench, RIG_STAGE, "on_init", "");
    bench->stages[RIG_STAGE].restart = (tv_restart_policy){
        .limit = 3, .window_ns = 100 * (int64_t)SECOND_NS, .backoff_min_ns = SECOND_NS, .backoff_max_ns = SECOND_NS};
    rig_start(bench);
}

static void restart_that_fails_is_tried_again(void **state) {
    rig *bench = *state;
    start_line_with_init(bench);
    bench->config[RIG_STAGE][0].value = "z-7;";
    rig_push(bench, RIG_IN, "!T;");
    rig_push(bench, RIG_IN, "x");
    rig_run(bench);
    assert_int_equal(rig_state(bench), TV_FLOW_RUNNING);
    assert_non_null(strstr(rig_stage_stats(bench, RIG_STAGE).last_error, "restart failed"));
    bench->config[RIG_STAGE][0].value = "";
    rig_advance(bench, SECOND_NS);
    assert_string_equal(rig_take(bench, RIG_OUT), "x");
}

static void restarts_that_fail_count_against_the_limit(void **state) {
    rig *bench = *state;
    start_line_with_init(bench);
    bench->config[RIG_STAGE][0].value = "z-7;";
    rig_push(bench, RIG_IN, "!T;");
    rig_run(bench);
    rig_advance(bench, SECOND_NS);
    assert_int_equal(rig_state(bench), TV_FLOW_RUNNING);
    rig_advance(bench, SECOND_NS);
    assert_int_equal(rig_state(bench), TV_FLOW_FAILED);
    assert_non_null(strstr(tv_flow_failure(bench->flow), "restart failed"));
}

static void flow_that_may_fail_is_made_although_it_cannot_start(void **state) {
    rig *bench = *state;
    tv_flow_part part = {.may_fail = true};
    size_t stage = 99;
    rig_line(bench);
    rig_config(bench, RIG_STAGE, "on_init", "z-7;");
    bench->part = &part;
    rig_start(bench);
    assert_int_equal(rig_state(bench), TV_FLOW_FAILED);
    assert_true(tv_flow_start_failure(bench->flow, &stage));
    assert_int_equal(stage, RIG_STAGE);
    assert_non_null(strstr(tv_flow_failure(bench->flow), "could not start"));
    rig_run(bench);
    assert_int_equal(rig_state(bench), TV_FLOW_FAILED);
}

static void restarts_of_an_earlier_window_do_not_count(void **state) {
    rig *bench = *state;
    rig_line(bench);
    bench->stages[RIG_STAGE].restart.limit = 1;
    bench->stages[RIG_STAGE].restart.window_ns = SECOND_NS;
    rig_start(bench);
    for (int i = 0; i < 3; i++) {
        rig_push(bench, RIG_IN, "!T;");
        rig_run(bench);
        assert_int_equal(rig_state(bench), TV_FLOW_RUNNING);
        rig_advance(bench, SECOND_NS + 1);
    }
}

static void policy_stop_fails_the_flow_at_the_first_failure(void **state) {
    rig *bench = *state;
    rig_line(bench);
    bench->stages[RIG_STAGE].restart.mode = TV_RESTART_STOP;
    rig_start(bench);
    push_three(bench, "a", "!T;", "c");
    rig_run(bench);
    assert_int_equal(rig_state(bench), TV_FLOW_FAILED);
    assert_string_equal(rig_take(bench, RIG_OUT), "a");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).dead_lettered, 1);
    assert_int_equal(rig_edge_stats(bench, 0).queued, 1);
    assert_non_null(strstr(tv_flow_failure(bench->flow), "stop"));
}

static void failures_outside_tv_process_lose_only_their_own_output(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_config(bench, RIG_STAGE, "on_tick", "e0:lost;T;");
    rig_config(bench, RIG_STAGE, "on_resume", "e0:lost;T;");
    rig_config(bench, RIG_STAGE, "on_close", "e0:lost;T;");
    rig_start(bench);
    rig_push(bench, RIG_IN, "!s1000000;e0:kept;");
    rig_run(bench);
    rig_advance(bench, 1000000);
    assert_string_equal(rig_take(bench, RIG_OUT), "kept");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).faults, 1);
    rig_push(bench, RIG_IN, "!e0:kept too;m1;");
    rig_run(bench);
    assert_string_equal(rig_take(bench, RIG_OUT), "kept too");
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).faults, 2);
    rig_end(bench, RIG_IN);
    rig_run(bench);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).faults, 3);
    assert_int_equal(rig_state(bench), TV_FLOW_ENDED);
    assert_int_equal(rig_stage_stats(bench, RIG_STAGE).dead_lettered, 0);
    assert_string_equal(rig_take(bench, RIG_OUT), "");
}

static void failing_init_names_flow_stage_and_leaves_nothing(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_config(bench, RIG_STAGE, "on_init", "z-7;");
    assert_int_equal(rig_try_start(bench), TV_FAULT);
    assert_non_null(strstr(bench->error.message, "flow bench"));
    assert_non_null(strstr(bench->error.message, "stage puppet"));
    tv_channel_push(bench->channels[0], "x", 1);
    tv_channel_publish(bench->channels[0]); // nobody listens, and nothing happens
}

static void spinning_init_is_ended_by_its_budget(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_config(bench, RIG_STAGE, "on_init", "L;");
    bench->stages[RIG_STAGE].cpu_record_ns = 10000000;
    bench->with_ticker = true;
    assert_int_equal(rig_try_start(bench), TV_FAULT);
    assert_non_null(strstr(bench->error.message, "CPU budget"));
    assert_null(bench->flow);
}

static void trap_in_init_names_the_function(void **state) {
    rig *bench = *state;
    rig_line(bench);
    rig_config(bench, RIG_STAGE, "on_init", "e0:refused;T;");
    assert_int_equal(rig_try_start(bench), TV_FAULT);
    assert_non_null(strstr(bench->error.message, "trap"));
}

static void memory_budget_below_the_module_refuses_the_start(void **state) {
    rig *bench = *state;
    rig_line(bench);
    bench->stages[RIG_STAGE].memory_bytes_max = 65536;
    assert_int_equal(rig_try_start(bench), TV_FAULT);
    assert_non_null(strstr(bench->error.message, "stage puppet"));
}

static const struct CMUnitTest tests[] = {
    rig_test(trap_takes_back_its_own_record_and_nothing_else),
    rig_test(dead_letter_says_where_why_and_what),
    rig_test(dead_letter_of_a_record_without_message_names_no_origin),
    rig_test(every_record_may_fail),
    rig_test(fault_on_several_ports_takes_back_on_all),
    rig_test(watermark_of_a_failed_record_is_taken_back),
    rig_test(failing_on_a_watermark_passes_it_on_all_the_same),
    rig_test(index_beyond_the_batch_counts_as_the_last_right_one),
    rig_test(index_that_decreases_counts_as_the_last_right_one),
    rig_test(index_at_its_largest_is_harmless_in_every_import),
    rig_test(rejected_record_is_dead_lettered_and_the_instance_lives_on),
    rig_test(rejected_record_can_neither_emit_nor_be_rejected_again),
    rig_test(record_that_is_rejected_and_then_traps_is_one_dead_letter),
    rig_test(rejected_but_not_consumed_is_a_failure),
    rig_test(full_dead_letter_channel_holds_the_stage_until_letters_are_taken),
    rig_test(whole_batches_may_be_rejected_into_a_small_dead_letter_channel),
    rig_test(payload_that_no_line_can_carry_is_left_out_and_said_so),
    rig_test(letters_nobody_takes_for_a_second_are_lost_and_counted),
    rig_test(policy_block_waits_as_long_as_it_takes),
    rig_test(stage_from_which_nothing_is_rejected_does_not_wait),
    rig_test(letters_beyond_the_rate_of_a_flow_are_lost_and_counted),
    rig_test(flow_beyond_its_rate_waits_by_policy),
    rig_test(letters_of_a_batch_fit_wherever_the_end_of_their_queue_falls),
    rig_test(negative_result_is_the_failure_of_the_record_at_hand),
    rig_test(malformed_results_are_failures),
    rig_test(consuming_less_brings_the_others_again),
    rig_test(consuming_nothing_twice_is_a_failure),
    rig_test(more_that_leads_to_nothing_twice_is_a_failure),
    rig_test(stack_and_wild_pointer_are_told_apart),
    rig_test(endless_loop_is_ended_by_the_budget_of_its_record),
    rig_test(instance_is_fresh_and_what_it_knew_is_counted_as_lost),
    rig_test(restarts_back_off_until_the_limit),
    rig_test(restart_that_fails_is_tried_again),
    rig_test(restarts_that_fail_count_against_the_limit),
    rig_test(flow_that_may_fail_is_made_although_it_cannot_start),
    rig_test(restarts_of_an_earlier_window_do_not_count),
    rig_test(policy_stop_fails_the_flow_at_the_first_failure),
    rig_test(failures_outside_tv_process_lose_only_their_own_output),
    rig_test(failing_init_names_flow_stage_and_leaves_nothing),
    rig_test(spinning_init_is_ended_by_its_budget),
    rig_test(trap_in_init_names_the_function),
    rig_test(memory_budget_below_the_module_refuses_the_start),
};

static int run_all(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
int main(int argc, char **argv) { return rig_main(argc, argv, run_all); }
