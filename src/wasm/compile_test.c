// The compiling child from outside: what it may do, what it costs at most, and what becomes of one that misbehaves.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wasm/compile.h"
#include "wasm/limits.h"
#include "wasm/test_support.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 // the child does not limit its address space then
#else
#define SANITIZED 0
#endif

enum { PATIENT_S = 600 }; // where it is not the time limit that ends the child

static tv_error error;
static uint8_t *compiled;
static size_t length;

static tv_status compile_with(const char *compiler, uint64_t memory, uint32_t seconds, const uint8_t *module,
                              size_t module_length) {
    tv_compile_options options = {
        .compiler_path = compiler, .memory_mode = TV_MEMORY_GUARD, .memory_bytes_max = memory, .seconds_max = seconds};
    free(compiled);
    compiled = NULL;
    length = 0;
    memset(&error, 0, sizeof error);
    return tv_compile(&options, module, module_length, &compiled, &length, &error);
}

static tv_status compile_component(const char *compiler, uint32_t seconds) {
    static tv_builder builder;
    tv_builder_component(&builder);
    return compile_with(compiler, 1ull << 30, seconds, builder.bytes, builder.length);
}

// An executable that runs a line of shell instead of compiling.
static const char *fake_compiler(const char *line) {
    static unsigned count;
    char name[32];
    snprintf(name, sizeof name, "compiler-%u", count++);
    const char *path = tv_test_path(name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", line);
    fclose(file);
    assert_int_equal(chmod(path, 0700), 0);
    return path;
}

static int teardown(void **state) {
    (void)state;
    free(compiled);
    compiled = NULL;
    return 0;
}

static void expect(tv_status got, tv_status status, const char *message) {
    assert_int_equal(got, status);
    if (!strstr(error.message, message)) fail_msg("\"%s\" does not say \"%s\"", error.message, message);
}

// ---- the real one -------------------------------------------------------------------------------------------

static void component_is_compiled(void **state) {
    (void)state;
    assert_int_equal(compile_component("/proc/self/exe", PATIENT_S), TV_OK);
    assert_true(length > 100);
}

static void invalid_code_is_refused_with_the_reason(void **state) {
    (void)state;
    static tv_builder builder;
    tv_builder_init(&builder);
    TV_SECTION(&builder, 1, 1, 0x60, 0, 1, 0x7f); // () -> i32
    TV_SECTION(&builder, 3, 1, 0);
    TV_SECTION(&builder, 10, 1, 2, 0, 0x0b); // returns nothing
    expect(compile_with("/proc/self/exe", 1ull << 30, PATIENT_S, builder.bytes, builder.length), TV_INVALID,
           "type mismatch");
    assert_null(strchr(error.message, '\n'));
    expect(compile_with("/proc/self/exe", 1ull << 30, PATIENT_S, (const uint8_t *)"garbage", 7), TV_INVALID,
           "not valid");
}

static void memory_limit_ends_the_compilation(void **state) {
    (void)state;
    if (SANITIZED) skip();
    enum { FUNCTIONS = 1500, CODE = 40 };
    static tv_builder builder;
    static uint8_t types[3 + FUNCTIONS], codes[3 + FUNCTIONS * (CODE + 2)];
    tv_builder_init(&builder);
    TV_SECTION(&builder, 1, 1, 0x60, 0, 0);
    const uint8_t count[2] = {(uint8_t)(FUNCTIONS & 0x7f) | 0x80, FUNCTIONS >> 7};
    memcpy(types, count, 2);
    tv_builder_section(&builder, 3, types, 2 + FUNCTIONS);
    memcpy(codes, count, 2);
    for (size_t i = 0; i < FUNCTIONS; i++) {
        uint8_t *code = codes + 2 + i * (CODE + 2);
        code[0] = CODE + 1; // no locals; pushes and drops; end
        for (size_t k = 2; k + 2 < CODE; k += 3) {
            code[k] = 0x41, code[k + 1] = 1, code[k + 2] = 0x1a;
        }
        for (size_t k = 2 + (CODE - 2) / 3 * 3; k < CODE + 1; k++) {
            code[k] = 1; // nop
        }
        code[CODE + 1] = 0x0b;
    }
    tv_builder_section(&builder, 10, codes, 2 + FUNCTIONS * (CODE + 2));
    assert_int_equal(compile_with("/proc/self/exe", 1ull << 30, PATIENT_S, builder.bytes, builder.length), TV_OK);
    expect(compile_with("/proc/self/exe", 20ull << 20, PATIENT_S, builder.bytes, builder.length), TV_LIMIT,
           "20 MiB of memory");
}

// ---- what the child has given up ----------------------------------------------------------------------------

static int try_forbidden_things(void) {
    int existing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int dead = dup(existing);
    close(dead);
    tv_compile_drop_rights(1ull << 30, 60);
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0) return 1;
    if (open("/tmp/tv-sandbox-test", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0) return 2;
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0) return 3;
    if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0) return 4;
    if (fork() >= 0) return 5;
    if (kill(getppid(), 0) == 0) return 6;
    if (execl("/bin/true", "true", (char *)NULL) == 0 || errno != EPERM) return 7;
    if (unlink("/tmp/tv-sandbox-test") == 0 || errno != EPERM) return 8;
    if (dup(0) >= 0) return 9;
    void *memory = malloc(1 << 20); // what compiling needs still works
    if (!memory) return 10;
    free(memory);
    return 0;
}

// A signal of 0 tests the permission alone. The child may signal itself, which is how it aborts.
static int try_signals(void) {
    pid_t parent = getppid(), self = getpid();
    tv_compile_drop_rights(1ull << 30, 60);
    if (syscall(SYS_tgkill, parent, parent, 0) == 0 || errno != EPERM) return 1;
    return syscall(SYS_tgkill, self, self, 0) == 0 ? 0 : 2;
}

static void child_can_signal_nobody_but_itself(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) _exit(try_signals());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void child_cannot_reach_files_network_or_processes(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) _exit(try_forbidden_things());
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void cpu_limit_ends_the_child(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        tv_compile_drop_rights(1ull << 30, 1);
        for (volatile unsigned i = 0;; i++) {
        }
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGXCPU);
}

static void child_inherits_no_descriptors_and_no_environment(void **state) {
    (void)state;
    int leaky = open("/dev/null", O_RDONLY); // not close-on-exec
    setenv("TV_SECRET", "hunter2", 1);
    assert_int_equal(compile_component(fake_compiler("ls /proc/self/fd; env"), PATIENT_S), TV_OK);
    char text[512] = "";
    memcpy(text, compiled, length < sizeof text ? length : sizeof text - 1);
    assert_int_equal(strncmp(text, "0\n1\n2\n3\n", 8), 0); // 3 is the folder that ls reads
    assert_true(text[8] < '0' || text[8] > '9');
    assert_null(strstr(text, "hunter2"));
    close(leaky);
    unsetenv("TV_SECRET");
}

// ---- misbehaving ones ---------------------------------------------------------------------------------------

static void missing_compiler_is_an_io_error(void **state) {
    (void)state;
    expect(compile_component("/dev/null/compiler", PATIENT_S), TV_IO, "/dev/null/compiler");
}

static void child_that_hangs_is_killed(void **state) {
    (void)state;
    expect(compile_component(fake_compiler("exec sleep 1000000"), 1), TV_LIMIT, "longer than 1 s");
    expect(compile_component(fake_compiler("exec >&- 2>&- sleep 1000000"), 1), TV_LIMIT, "stopped");
}

static void child_that_floods_is_cut_off(void **state) {
    (void)state;
    expect(compile_component(fake_compiler("exec cat /dev/zero"), PATIENT_S), TV_LIMIT, "larger than");
}

static void child_that_does_not_read_its_input_is_no_problem(void **state) {
    (void)state;
    static uint8_t large[8 << 20];
    expect(compile_with(fake_compiler("exec <&-; echo no >&2; exit 65"), 1ull << 30, PATIENT_S, large, sizeof large),
           TV_INVALID, "no");
}

static void child_without_result_is_an_io_error(void **state) {
    (void)state;
    expect(compile_component(fake_compiler("exit 0"), PATIENT_S), TV_IO, "no result");
    expect(compile_component(fake_compiler("echo broken >&2; exit 3"), PATIENT_S), TV_IO, "broken");
}

static void crash_of_the_child_names_the_signal(void **state) {
    (void)state;
    expect(compile_component(fake_compiler("kill -SEGV $$"), PATIENT_S), TV_INVALID, "signal 11");
}

static void long_error_texts_are_cut(void **state) {
    (void)state;
    expect(compile_component(fake_compiler("yes error | head -c 200000 >&2; exit 65"), PATIENT_S), TV_INVALID, "error");
    assert_true(strlen(error.message) < TV_ERROR_MESSAGE_BYTES);
}

static void no_child_is_left_behind(void **state) {
    (void)state;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)
static const struct CMUnitTest tests[] = {
    TEST(component_is_compiled),
    TEST(invalid_code_is_refused_with_the_reason),
    TEST(memory_limit_ends_the_compilation),
    TEST(child_cannot_reach_files_network_or_processes),
    TEST(child_can_signal_nobody_but_itself),
    TEST(cpu_limit_ends_the_child),
    TEST(child_inherits_no_descriptors_and_no_environment),
    TEST(missing_compiler_is_an_io_error),
    TEST(child_that_hangs_is_killed),
    TEST(child_that_floods_is_cut_off),
    TEST(child_that_does_not_read_its_input_is_no_problem),
    TEST(child_without_result_is_an_io_error),
    TEST(crash_of_the_child_names_the_signal),
    TEST(long_error_texts_are_cut),
    TEST(no_child_is_left_behind),
};

TV_WASM_TEST_MAIN(tests)
