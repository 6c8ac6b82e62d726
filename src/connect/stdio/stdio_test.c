// Standard input and output on a real loop, with pipes, sockets, terminals and files put in their place.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "base/base.h"
#include "connect/stdio/internal.h"
#include "connect/stdio/stdio.h"
#include "connect/testing/rig.h"

// ---- standard descriptors -----------------------------------------------------------------------------------

static int saved_fds[2];

// Puts `fd` (or nothing: -1) in the place of standard descriptor `number`.
static void substitute(int number, int fd) {
    fflush(stdout);
    saved_fds[number] = fcntl(number, F_DUPFD_CLOEXEC, 10);
    assert_true(saved_fds[number] >= 0);
    if (fd < 0) {
        close(number);
    } else {
        assert_int_equal(dup2(fd, number), number);
        close(fd);
    }
}

static void restore(int number) {
    assert_int_equal(dup2(saved_fds[number], number), number);
    close(saved_fds[number]);
}

static int substitute_pipe(int number) {
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    substitute(number, ends[number]);
    return ends[!number];
}

static void write_text(int fd, const char *text) { assert_int_equal(write(fd, text, strlen(text)), strlen(text)); }

static void open_stdio(tv_rig *rig) {
    tv_error error = {0};
    if (tv_rig_open(rig, &tv_connector_stdio, &error, NULL) != TV_OK) fail_msg("%s", error.message);
}

// ---- input --------------------------------------------------------------------------------------------------

static void lines_of_a_pipe_arrive_as_they_come_and_its_end_ends_the_channel(void **state) {
    (void)state;
    tv_rig rig;
    int writer = substitute_pipe(STDIN_FILENO);
    tv_rig_init(&rig, TV_INPUT);
    open_stdio(&rig);
    write_text(writer, "one\ntw");
    tv_rig_run_until_committed(&rig, 1);
    tv_rig_expect(&rig, "one");
    write_text(writer, "o\r\nlast");
    tv_rig_run_until_committed(&rig, 2);
    tv_rig_expect(&rig, "two");
    close(writer);
    tv_rig_run_until_ended(&rig);
    tv_rig_expect(&rig, "last");
    tv_rig_deinit(&rig);
    restore(STDIN_FILENO);
}

static void flags_of_the_shared_description_stay_as_they_are(void **state) {
    (void)state;
    for (int number = 0; number < 2; number++) {
        tv_rig rig;
        int other = substitute_pipe(number);
        int before = fcntl(number, F_GETFL);
        tv_rig_init(&rig, number == STDIN_FILENO ? TV_INPUT : TV_OUTPUT);
        open_stdio(&rig);
        if (number == STDIN_FILENO) {
            write_text(other, "x\n");
            tv_rig_run_until_committed(&rig, 1);
        } else {
            tv_rig_put(&rig, "x");
            tv_rig_run_until_taken(&rig);
        }
        assert_int_equal(fcntl(number, F_GETFL), before);
        tv_rig_deinit(&rig);
        assert_int_equal(fcntl(number, F_GETFL), before);
        close(other);
        restore(number);
    }
}

static void paused_channel_leaves_the_rest_in_the_pipe(void **state) {
    (void)state;
    tv_rig rig;
    int writer = substitute_pipe(STDIN_FILENO);
    fcntl(writer, F_SETFL, O_NONBLOCK);
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 0, 4, 0);
    open_stdio(&rig);
    int written = 0;
    char line[16];
    for (int full = 0; full < 1000;) { // the pipe is full and stays so
        snprintf(line, sizeof line, "%09d\n", written);
        if (write(writer, line, 10) == 10) {
            written++;
            full = 0;
        } else {
            full++;
        }
        uv_run(&rig.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(tv_channel_committed(rig.channel), 4);
    close(writer);
    for (int i = 0; i < written; i++) {
        tv_rig_run_until_committed(&rig, (uint64_t)i + 1);
        snprintf(line, sizeof line, "%09d", i);
        tv_rig_expect(&rig, line);
    }
    tv_rig_run_until_ended(&rig);
    tv_rig_deinit(&rig);
    restore(STDIN_FILENO);
}

static void file_as_standard_input_is_read_to_its_end(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("stdin");
    tv_rig_write_file(path, "1\n2\n3");
    substitute(STDIN_FILENO, open(path, O_RDONLY));
    tv_rig_init_limits(&rig, TV_INPUT, TV_OVERFLOW_BLOCK, 0, 1, 0);
    open_stdio(&rig);
    for (uint64_t i = 1; i <= 3; i++) {
        tv_rig_run_until_committed(&rig, i);
        assert_int_equal(tv_rig_take_all(&rig), 1);
    }
    tv_rig_run_until_ended(&rig);
    tv_rig_deinit(&rig);
    restore(STDIN_FILENO);
}

static void socket_as_standard_input_stays_blocking(void **state) {
    (void)state;
    tv_rig rig;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    substitute(STDIN_FILENO, ends[0]);
    tv_rig_init(&rig, TV_INPUT);
    open_stdio(&rig);
    write_text(ends[1], "by socket\n");
    tv_rig_run_until_committed(&rig, 1);
    tv_rig_expect(&rig, "by socket");
    assert_int_equal(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK, 0);
    close(ends[1]);
    tv_rig_run_until_ended(&rig);
    tv_rig_deinit(&rig);
    restore(STDIN_FILENO);
}

static void terminal_as_standard_input_is_read_by_lines(void **state) {
    (void)state;
    tv_rig rig;
    int keyboard = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(keyboard >= 0 && grantpt(keyboard) == 0 && unlockpt(keyboard) == 0);
    int terminal = open(ptsname(keyboard), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    substitute(STDIN_FILENO, terminal);
    tv_rig_init(&rig, TV_INPUT);
    open_stdio(&rig);
    write_text(keyboard, "typed\n");
    tv_rig_run_until_committed(&rig, 1);
    tv_rig_expect(&rig, "typed");
    assert_int_equal(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK, 0);
    write_text(keyboard, "\4"); // end of file
    tv_rig_run_until_ended(&rig);
    tv_rig_deinit(&rig);
    restore(STDIN_FILENO);
    close(keyboard);
}

static void second_reader_and_closed_input_are_clear_errors(void **state) {
    (void)state;
    tv_rig rig, second;
    tv_error error = {0};
    int writer = substitute_pipe(STDIN_FILENO);
    tv_rig_init(&rig, TV_INPUT);
    tv_rig_init(&second, TV_INPUT);
    open_stdio(&rig);
    assert_int_equal(tv_rig_open(&second, &tv_connector_stdio, &error, NULL), TV_EXISTS);
    tv_rig_close(&rig); // while it waits for input
    assert_int_equal(tv_rig_open(&second, &tv_connector_stdio, &error, NULL), TV_OK);
    tv_rig_deinit(&second);
    tv_rig_deinit(&rig);
    close(writer);
    restore(STDIN_FILENO);
    tv_rig_init(&rig, TV_INPUT); // before, or the loop's own descriptors would take the place
    substitute(STDIN_FILENO, -1);
    assert_int_equal(tv_rig_open(&rig, &tv_connector_stdio, &error, NULL), TV_INVALID);
    assert_non_null(strstr(error.message, "not open"));
    restore(STDIN_FILENO);
    substitute(STDIN_FILENO, open("/dev/null", O_WRONLY)); // what stands for one that was closed at the start
    assert_int_equal(tv_rig_open(&rig, &tv_connector_stdio, &error, NULL), TV_INVALID);
    assert_non_null(strstr(error.message, "not open"));
    tv_rig_deinit(&rig);
    restore(STDIN_FILENO);
}

static void stop_ends_the_channel_while_input_could_go_on(void **state) {
    (void)state;
    tv_rig rig;
    int writer = substitute_pipe(STDIN_FILENO);
    tv_rig_init(&rig, TV_INPUT);
    open_stdio(&rig);
    write_text(writer, "taken\n");
    tv_rig_run_until_committed(&rig, 1);
    tv_connector_stdio.stop(rig.state);
    assert_true(tv_rig_has_ended(&rig));
    write_text(writer, "not taken\n");
    uv_run(&rig.loop, UV_RUN_NOWAIT);
    assert_int_equal(tv_channel_committed(rig.channel), 1);
    tv_rig_deinit(&rig);
    close(writer);
    restore(STDIN_FILENO);
}

// ---- output -------------------------------------------------------------------------------------------------

// Reads until `length` bytes are there, running the loop meanwhile.
static char *read_bytes(tv_rig *rigs, int rig_count, int reader, size_t length) {
    char *bytes = malloc(length + 1);
    assert_non_null(bytes);
    size_t used = 0;
    for (int idle = 0; used < length && idle < 100000;) {
        for (int i = 0; i < rig_count; i++)
            uv_run(&rigs[i].loop, UV_RUN_NOWAIT);
        ssize_t result = read(reader, bytes + used, length - used < 3000 ? length - used : 3000);
        idle = result > 0 ? 0 : idle + 1;
        if (result > 0) used += (size_t)result;
    }
    assert_int_equal(used, length);
    bytes[used] = 0;
    return bytes;
}

static void slow_reader_gets_everything_and_the_queue_waits(void **state) {
    (void)state;
    enum { LINES = 3000 };
    tv_rig rig;
    int reader = substitute_pipe(STDOUT_FILENO);
    fcntl(reader, F_SETFL, O_NONBLOCK);
    tv_rig_init(&rig, TV_OUTPUT);
    open_stdio(&rig);
    char line[101];
    for (int i = 0; i < LINES; i++) {
        snprintf(line, sizeof line, "%0100d", i);
        tv_rig_put(&rig, line);
    }
    for (int i = 0; i < 100; i++)
        uv_run(&rig.loop, UV_RUN_NOWAIT);
    assert_true(tv_rig_queued(&rig) > LINES / 3); // a pipe holds 64 KiB
    char *bytes = read_bytes(&rig, 1, reader, LINES * 101);
    for (int i = 0; i < LINES; i++)
        assert_int_equal(atoi(bytes + i * 101), i);
    free(bytes);
    tv_rig_run_until_taken(&rig);
    assert_int_equal(tv_rig_figure(&rig, "messages"), LINES);
    tv_rig_deinit(&rig);
    close(reader);
    restore(STDOUT_FILENO);
}

static void reader_that_has_gone_fails_the_flow(void **state) {
    (void)state;
    tv_rig rig;
    int reader = substitute_pipe(STDOUT_FILENO);
    tv_rig_init(&rig, TV_OUTPUT);
    open_stdio(&rig);
    tv_rig_put(&rig, "read");
    tv_rig_run_until_taken(&rig);
    close(reader);
    tv_rig_put(&rig, "lost");
    tv_rig_run_until_failed(&rig);
    assert_non_null(strstr(tv_rig_failure(&rig), "reader has gone"));
    assert_int_equal(tv_rig_queued(&rig), 1);
    tv_rig_deinit(&rig);
    restore(STDOUT_FILENO);
}

static void reader_that_goes_while_output_waits_fails_the_flow(void **state) {
    (void)state;
    tv_rig rig;
    int reader = substitute_pipe(STDOUT_FILENO);
    tv_rig_init(&rig, TV_OUTPUT);
    open_stdio(&rig);
    static char large[4001];
    memset(large, 'x', 4000);
    for (int i = 0; i < 100; i++)
        tv_rig_put(&rig, large);
    for (int i = 0; i < 100; i++)
        uv_run(&rig.loop, UV_RUN_NOWAIT);
    assert_null(tv_rig_failure(&rig));
    close(reader);
    tv_rig_run_until_failed(&rig);
    tv_rig_deinit(&rig);
    restore(STDOUT_FILENO);
}

static void two_channels_write_whole_messages_to_a_slow_reader(void **state) {
    (void)state;
    tv_rig rigs[2];
    int reader = substitute_pipe(STDOUT_FILENO);
    fcntl(reader, F_SETFL, O_NONBLOCK);
    static char texts[2][3001];
    for (int i = 0; i < 2; i++) {
        memset(texts[i], 'a' + i, 3000);
        tv_rig_init(&rigs[i], TV_OUTPUT);
        open_stdio(&rigs[i]);
    }
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 2; i++)
            tv_rig_put(&rigs[i], texts[i]);
    }
    char *bytes = read_bytes(rigs, 2, reader, 120 * 3001), *rest = bytes;
    int counts[2] = {0, 0};
    for (char *line; (line = strsep(&rest, "\n")) != NULL && *line;) {
        for (int i = 0; i < 2; i++)
            counts[i] += strcmp(line, texts[i]) == 0;
    }
    assert_int_equal(counts[0], 60);
    assert_int_equal(counts[1], 60);
    free(bytes);
    for (int i = 0; i < 2; i++)
        tv_rig_deinit(&rigs[i]);
    close(reader);
    restore(STDOUT_FILENO);
}

static void closing_the_writer_at_work_hands_the_turn_on(void **state) {
    (void)state;
    tv_rig rigs[2];
    int reader = substitute_pipe(STDOUT_FILENO);
    fcntl(reader, F_SETFL, O_NONBLOCK);
    static char large[4001];
    memset(large, 'x', 4000);
    for (int i = 0; i < 2; i++) {
        tv_rig_init(&rigs[i], TV_OUTPUT);
        open_stdio(&rigs[i]);
    }
    for (int i = 0; i < 50; i++)
        tv_rig_put(&rigs[0], large);
    tv_rig_put(&rigs[1], "second");
    for (int i = 0; i < 100; i++) {
        uv_run(&rigs[0].loop, UV_RUN_NOWAIT);
        uv_run(&rigs[1].loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(tv_rig_queued(&rigs[1]), 1);
    tv_rig_deinit(&rigs[0]); // does not wait for the reader
    char bytes[4096];
    while (read(reader, bytes, sizeof bytes) > 0)
        continue;
    tv_rig_run_until_taken(&rigs[1]);
    assert_int_equal(read(reader, bytes, sizeof bytes), 7);
    tv_rig_deinit(&rigs[1]);
    close(reader);
    restore(STDOUT_FILENO);
}

static void file_as_standard_output_is_written_in_order(void **state) {
    (void)state;
    tv_rig rig;
    const char *path = tv_rig_path("stdout");
    substitute(STDOUT_FILENO, open(path, O_WRONLY | O_CREAT, 0600));
    tv_rig_init(&rig, TV_OUTPUT);
    open_stdio(&rig);
    tv_rig_put(&rig, "1");
    tv_rig_run_until_taken(&rig);
    tv_rig_put(&rig, "2");
    tv_rig_put(&rig, "3");
    tv_rig_deinit(&rig); // close drains
    restore(STDOUT_FILENO);
    tv_rig_expect_file(path, "1\n2\n3\n");
}

static void full_device_keeps_the_records_and_tries_again(void **state) {
    (void)state;
    tv_rig rig;
    substitute(STDOUT_FILENO, open("/dev/full", O_WRONLY));
    tv_rig_init(&rig, TV_OUTPUT);
    open_stdio(&rig);
    tv_rig_put(&rig, "kept");
    tv_rig_run_until_figure(&rig, "retries", 1);
    assert_int_equal(tv_rig_queued(&rig), 1);
    assert_null(tv_rig_failure(&rig));
    tv_rig_deinit(&rig);
    restore(STDOUT_FILENO);
}

static void description_that_cannot_be_opened_again_is_never_blocked_on(void **state) {
    (void)state;
    tv_stream stream;
    int reader = substitute_pipe(STDOUT_FILENO);
    assert_int_equal(tv_stream_open(&stream, STDOUT_FILENO, true, NULL), TV_OK);
    assert_true(stream.owned);
    close(stream.fd);
    stream.fd = STDOUT_FILENO; // as if /proc were missing
    stream.owned = false;
    struct epoll_event event = {.events = EPOLLOUT};
    assert_int_equal(epoll_ctl(stream.ready_fd, EPOLL_CTL_ADD, STDOUT_FILENO, &event), 0);
    static uint8_t bytes[100000];
    size_t written = 0;
    ssize_t result;
    while ((result = tv_stream_write(&stream, bytes, sizeof bytes)) > 0)
        written += (size_t)result;
    assert_int_equal(result, -EAGAIN);
    assert_true(written >= 4096);
    tv_stream_close(&stream);
    close(reader);
    restore(STDOUT_FILENO);
}

static void option_defaults_are_right(void **state) {
    (void)state;
    tv_error error = {0};
    tv_stdio_options options;
    assert_int_equal(tv_option_defaults(&tv_connector_stdio.input_options, &options, &error), TV_OK);
    assert_int_equal(options.buffer_bytes, 65536);
    assert_int_equal(tv_connector_stdio.memory_bytes(TV_INPUT, &options, 1000), 65536 + 1001);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_a_pipe_arrive_as_they_come_and_its_end_ends_the_channel),
        cmocka_unit_test(flags_of_the_shared_description_stay_as_they_are),
        cmocka_unit_test(paused_channel_leaves_the_rest_in_the_pipe),
        cmocka_unit_test(file_as_standard_input_is_read_to_its_end),
        cmocka_unit_test(socket_as_standard_input_stays_blocking),
        cmocka_unit_test(terminal_as_standard_input_is_read_by_lines),
        cmocka_unit_test(second_reader_and_closed_input_are_clear_errors),
        cmocka_unit_test(stop_ends_the_channel_while_input_could_go_on),
        cmocka_unit_test(slow_reader_gets_everything_and_the_queue_waits),
        cmocka_unit_test(reader_that_has_gone_fails_the_flow),
        cmocka_unit_test(reader_that_goes_while_output_waits_fails_the_flow),
        cmocka_unit_test(two_channels_write_whole_messages_to_a_slow_reader),
        cmocka_unit_test(closing_the_writer_at_work_hands_the_turn_on),
        cmocka_unit_test(file_as_standard_output_is_written_in_order),
        cmocka_unit_test(full_device_keeps_the_records_and_tries_again),
        cmocka_unit_test(description_that_cannot_be_opened_again_is_never_blocked_on),
        cmocka_unit_test(option_defaults_are_right),
    };
    return cmocka_run_group_tests_name("stdio", tests, NULL, NULL);
}
