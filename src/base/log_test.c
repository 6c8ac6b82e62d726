// Log lines as they arrive at standard error, which each test replaces by a pipe.
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <pthread.h>
#include <unistd.h>

#include <cmocka.h>

enum { CAPTURE_BYTES = 32768 };

typedef struct capture {
    int saved;
    int ends[2];
    char text[CAPTURE_BYTES];
} capture;

static void capture_begin(capture *to) {
    assert_int_equal(pipe(to->ends), 0);
    to->saved = dup(STDERR_FILENO);
    dup2(to->ends[1], STDERR_FILENO);
}

static void capture_end(capture *to) {
    dup2(to->saved, STDERR_FILENO);
    close(to->saved);
    close(to->ends[1]);
    size_t length = 0;
    for (ssize_t count; (count = read(to->ends[0], to->text + length, CAPTURE_BYTES - 1 - length)) > 0;) {
        length += (size_t)count;
    }
    close(to->ends[0]);
    to->text[length] = 0;
}

// The line behind its time.
static const char *logged(tv_log_level level, const char *text, size_t length) {
    static capture captured;
    capture_begin(&captured);
    tv_log_text(level, "flow/stage", text, length);
    capture_end(&captured);
    char *end = strchr(captured.text, 'Z');
    return end ? end + 1 : captured.text;
}

static int configure_text(void **state) {
    (void)state;
    tv_log_configure(TV_LEVEL_INFO, false);
    return 0;
}

static int configure_json(void **state) {
    (void)state;
    tv_log_configure(TV_LEVEL_INFO, true);
    return 0;
}

static void a_line_has_time_level_place_and_text(void **state) {
    (void)state;
    static capture captured;
    capture_begin(&captured);
    tv_log(TV_LEVEL_WARN, "wasm", "%d modules", 3);
    capture_end(&captured);
    int year, month, day, hour, minute, second, ms, end = 0;
    int found = sscanf(captured.text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year, &month, &day, &hour, &minute, &second,
                       &ms, &end);
    assert_int_equal(found, 7);
    assert_int_equal(end, 24);
    assert_string_equal(captured.text + 24, " warn  wasm: 3 modules\n");
}

static void lines_below_the_level_are_not_written(void **state) {
    (void)state;
    assert_string_equal(logged(TV_LEVEL_DEBUG, "x", 1), "");
    assert_string_not_equal(logged(TV_LEVEL_INFO, "x", 1), "");
    tv_log_configure(TV_LEVEL_ERROR, false);
    assert_string_equal(logged(TV_LEVEL_WARN, "x", 1), "");
    tv_log_configure(TV_LEVEL_TRACE, false);
    assert_string_equal(logged(TV_LEVEL_TRACE, "x", 1), " trace flow/stage: x\n");
}

static void control_characters_are_escaped(void **state) {
    (void)state;
    static const char text[] = "a\nb\tc\rd\033[31m\x7f\0z";
    assert_string_equal(logged(TV_LEVEL_INFO, text, sizeof text - 1),
                        " info  flow/stage: a\\nb\\tc\\rd\\x1b[31m\\x7f\\x00z\n");
}

static void well_formed_utf8_passes_and_the_rest_is_escaped(void **state) {
    (void)state;
    static const char good[] = "\u00e4 \u20ac \U0001f600";
    assert_string_equal(logged(TV_LEVEL_INFO, good, sizeof good - 1), " info  flow/stage: \u00e4 \u20ac \U0001f600\n");
    static const char *const bad[][2] = {
        {"\xff", "\\xff"},
        {"\xc3", "\\xc3"},                            // cut short
        {"\xc0\xaf", "\\xc0\\xaf"},                   // overlong
        {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},          // overlong
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          // surrogate
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, // beyond U+10FFFF
        {"\xc2\x9b", "\\xc2\\x9b"},                   // a control character of its own
        {"\xe2\x82", "\\xe2\\x82"},
        {"\u202e", "\\xe2\\x80\\xae"}, // well-formed, but it turns the order of writing round
        {"\u2028", "\\xe2\\x80\\xa8"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char expected[64];
        snprintf(expected, sizeof expected, " info  flow/stage: %s\n", bad[i][1]);
        assert_string_equal(logged(TV_LEVEL_INFO, bad[i][0], strlen(bad[i][0])), expected);
    }
}

static void json_lines_quote_what_json_quotes(void **state) {
    (void)state;
    static const char text[] = "say \"hi\" \\ \n\x01\xff\u20ac";
    assert_string_equal(logged(TV_LEVEL_ERROR, text, sizeof text - 1),
                        "\",\"level\":\"error\",\"place\":\"flow/stage\",\"text\":\"say \\\"hi\\\" \\\\ "
                        "\\n\\u0001\ufffdff\u20ac\"}\n");
}

static void long_lines_are_cut_at_2_kb_between_characters(void **state) {
    (void)state;
    static char text[6000];
    for (size_t i = 0; i < sizeof text; i += 3)
        memcpy(text + i, "\u20ac", 3);
    for (int shift = 0; shift < 3; shift++) {
        static char shifted[sizeof text + 3];
        memset(shifted, '-', 3);
        memcpy(shifted + shift, text, sizeof text);
        const char *line = logged(TV_LEVEL_INFO, shifted, sizeof text);
        size_t length = strlen(line);
        assert_true(length + 24 <= 2048 && length + 24 > 2000);
        assert_string_equal(line + length - 7, "\u20ac...\n");
    }
}

static void json_lines_that_are_cut_are_still_json(void **state) {
    (void)state;
    static char text[4000];
    memset(text, '"', sizeof text);
    const char *line = logged(TV_LEVEL_INFO, text, sizeof text);
    size_t length = strlen(line);
    assert_true(length + 24 <= 2048);
    assert_string_equal(line + length - 8, "\\\"...\"}\n");
}

static void logging_keeps_errno(void **state) {
    (void)state;
    static capture captured;
    capture_begin(&captured);
    errno = EACCES;
    tv_log(TV_LEVEL_INFO, "x", "%s", "y");
    int after = errno;
    capture_end(&captured);
    assert_int_equal(after, EACCES);
}

static void levels_are_known_by_name(void **state) {
    (void)state;
    tv_log_level level = TV_LEVEL_ERROR;
    assert_true(tv_log_parse_level("trace", &level));
    assert_int_equal(level, TV_LEVEL_TRACE);
    assert_true(tv_log_parse_level("warn", &level));
    assert_int_equal(level, TV_LEVEL_WARN);
    assert_false(tv_log_parse_level("loud", &level));
    assert_int_equal(level, TV_LEVEL_WARN);
}

static void *log_fifty_lines(void *name) {
    for (int i = 0; i < 50; i++)
        tv_log(TV_LEVEL_INFO, name, "line %02d of this thread", i);
    return NULL;
}

static void lines_of_several_threads_do_not_mix(void **state) {
    (void)state;
    static capture captured;
    pthread_t threads[4];
    static char names[][2] = {"a", "b", "c", "d"};
    capture_begin(&captured);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_fifty_lines, names[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    capture_end(&captured);
    int next[4] = {0};
    for (char *line = strtok(captured.text, "\n"); line; line = strtok(NULL, "\n")) {
        char name;
        int number;
        assert_int_equal(sscanf(line + 24, " info  %c: line %d of this thread", &name, &number), 2);
        assert_int_equal(number, next[name - 'a']++);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(next[i], 50);
}

enum { WAIT_NS_MAX = 30000000000 };

static void start_writer(void) {
    tv_error error;
    assert_int_equal(tv_log_start(&error), TV_OK);
}

static void check_order(const char *line, int *next) {
    int number;
    const char *at = strstr(line, "number ");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "number %d", &number), 1);
    assert_true(number >= *next);
    *next = number + 1;
}

// The test ends, which a write that waits for the reader would prevent.
static void lines_that_nobody_reads_are_counted_instead_of_waited_for(void **state) {
    (void)state;
    static capture captured;
    enum { LINES = 3000 };
    uint64_t lost_before = tv_log_lost();
    capture_begin(&captured);
    assert_true(fcntl(captured.ends[1], F_SETPIPE_SZ, 4096) >= 0);
    start_writer();
    for (int i = 0; i < LINES; i++)
        tv_log(TV_LEVEL_INFO, "flow/stage", "a line of some length that nobody is there to read, number %d", i);
    uint64_t lost = tv_log_lost() - lost_before;
    assert_false(tv_log_flush(1));
    uint64_t read_lines = 0, said = 0;
    int next = 0;
    static char line[4096];
    FILE *reader = fdopen(captured.ends[0], "r");
    while (read_lines + said < LINES) {
        unsigned some = 0;
        assert_non_null(fgets(line, sizeof line, reader));
        if (sscanf(line + 24, " warn  log: %u lines were lost here", &some) != 1) {
            check_order(line, &next);
            read_lines++;
        }
        said += some;
    }
    assert_true(lost > 0);
    assert_int_equal(said, lost);
    assert_int_equal(read_lines + said, LINES);
    tv_log(TV_LEVEL_INFO, "flow/stage", "and on");
    assert_non_null(fgets(line, sizeof line, reader));
    assert_string_equal(line + 24, " info  flow/stage: and on\n");
    assert_true(tv_log_stop(WAIT_NS_MAX));
    dup2(captured.saved, STDERR_FILENO);
    close(captured.saved);
    close(captured.ends[1]);
    fclose(reader);
}

static void what_was_logged_is_written_after_a_flush(void **state) {
    (void)state;
    static capture captured;
    capture_begin(&captured);
    start_writer();
    tv_log(TV_LEVEL_INFO, "x", "one");
    tv_log_plain("two %d\n", 2);
    assert_true(tv_log_flush(WAIT_NS_MAX));
    tv_log(TV_LEVEL_INFO, "x", "three");
    assert_true(tv_log_stop(WAIT_NS_MAX));
    capture_end(&captured);
    assert_non_null(strstr(captured.text, "x: one\ntwo 2\n"));
    assert_non_null(strstr(captured.text, "x: three\n"));
}

static void status_is_left_out_while_lines_wait_and_is_not_counted(void **state) {
    (void)state;
    static capture captured;
    static char line[1024];
    enum { LINES = 30 };
    uint64_t lost_before = tv_log_lost();
    memset(line, '.', sizeof line - 1);
    capture_begin(&captured);
    start_writer();
    assert_true(tv_log_flush(WAIT_NS_MAX));
    assert_true(tv_log_status("\r", 1));
    assert_true(fcntl(captured.ends[1], F_SETPIPE_SZ, 4096) >= 0);
    for (int i = 0; i < LINES; i++) // more than the pipe has room for, less than the queue
        tv_log(TV_LEVEL_INFO, "x", "%s", line);
    for (int i = 0; i < 1000; i++)
        assert_false(tv_log_status("later", 5));
    assert_int_equal(tv_log_lost(), lost_before);
    static char text[4096];
    FILE *reader = fdopen(captured.ends[0], "r");
    for (int i = 0; i < LINES; i++) {
        assert_non_null(fgets(text, sizeof text, reader));
        assert_null(strstr(text, "later"));
    }
    assert_true(tv_log_stop(WAIT_NS_MAX));
    dup2(captured.saved, STDERR_FILENO);
    close(captured.saved);
    close(captured.ends[1]);
    fclose(reader);
}

static void lines_that_cannot_be_written_are_counted_and_said_later(void **state) {
    (void)state;
    static capture captured;
    capture_begin(&captured);
    start_writer();
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    dup2(full, STDERR_FILENO);
    for (int i = 0; i < 3; i++)
        tv_log(TV_LEVEL_INFO, "x", "into a full disk");
    assert_true(tv_log_flush(WAIT_NS_MAX));
    dup2(captured.ends[1], STDERR_FILENO);
    close(full);
    tv_log(TV_LEVEL_INFO, "x", "room again");
    assert_true(tv_log_stop(WAIT_NS_MAX));
    capture_end(&captured);
    assert_non_null(strstr(captured.text, "log: 3 lines were lost here"));
    assert_non_null(strstr(captured.text, "x: room again"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_has_time_level_place_and_text, configure_text),
        cmocka_unit_test_setup(lines_below_the_level_are_not_written, configure_text),
        cmocka_unit_test_setup(control_characters_are_escaped, configure_text),
        cmocka_unit_test_setup(well_formed_utf8_passes_and_the_rest_is_escaped, configure_text),
        cmocka_unit_test_setup(json_lines_quote_what_json_quotes, configure_json),
        cmocka_unit_test_setup(long_lines_are_cut_at_2_kb_between_characters, configure_text),
        cmocka_unit_test_setup(json_lines_that_are_cut_are_still_json, configure_json),
        cmocka_unit_test_setup(logging_keeps_errno, configure_text),
        cmocka_unit_test(levels_are_known_by_name),
        cmocka_unit_test_setup(lines_of_several_threads_do_not_mix, configure_text),
        cmocka_unit_test_setup(lines_that_nobody_reads_are_counted_instead_of_waited_for, configure_text),
        cmocka_unit_test_setup(what_was_logged_is_written_after_a_flush, configure_text),
        cmocka_unit_test_setup(status_is_left_out_while_lines_wait_and_is_not_counted, configure_text),
        cmocka_unit_test_setup(lines_that_cannot_be_written_are_counted_and_said_later, configure_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
