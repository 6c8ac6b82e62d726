// The growing buffer under failing allocations, base64 vectors, and which files are read. `realloc` is wrapped by the
// linker so that any one of its calls can be made to fail.
#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int allocations_until_failure = -1; // negative: never

void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_realloc(void *memory, size_t size) {
    if (allocations_until_failure == 0) return NULL;
    if (allocations_until_failure > 0) allocations_until_failure--;
    return __real_realloc(memory, size);
}

static void text_grows_and_stays_terminated(void **state) {
    (void)state;
    tv_text text = {0};
    tv_text_add(&text, "", 0);
    assert_string_equal(text.bytes, "");
    for (int i = 0; i < 1000; i++) {
        tv_text_add(&text, "abc", 2);
        tv_text_print(&text, "%d,", i % 10);
        assert_int_equal(strlen(text.bytes), text.length);
    }
    assert_int_equal(text.length, 4000);
    assert_memory_equal(text.bytes, "ab0,ab1,", 8);
    assert_false(text.failed);
    tv_text_deinit(&text);
    assert_null(text.bytes);
    tv_text_deinit(&text);
}

static void every_failed_allocation_is_remembered(void **state) {
    (void)state;
    for (int limit = 0; limit < 4; limit++) {
        tv_text text = {0};
        allocations_until_failure = limit;
        for (int i = 0; i < 200; i++)
            tv_text_add(&text, "0123456789", 10);
        allocations_until_failure = -1;
        size_t length = text.length;
        assert_true(text.failed);
        tv_text_print(&text, "more");
        tv_text_add_base64(&text, (const uint8_t *)"abc", 3);
        assert_int_equal(text.length, length);
        tv_text_deinit(&text);
        assert_false(text.failed);
    }
}

static void impossible_lengths_fail(void **state) {
    (void)state;
    tv_text text = {0};
    tv_text_add(&text, "a", 1);
    tv_text_add(&text, "b", SIZE_MAX);
    assert_true(text.failed);
    assert_string_equal(text.bytes, "a");
    tv_text_deinit(&text);
}

static void base64_matches_the_vectors_of_rfc_4648(void **state) {
    (void)state;
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"},
                                             {"\xfb\xff\xfe", "+//+"}};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        tv_text text = {0};
        tv_text_add(&text, "<", 1);
        tv_text_add_base64(&text, (const uint8_t *)vectors[i][0], strlen(vectors[i][0]));
        assert_string_equal(text.bytes + 1, vectors[i][1]);
        assert_int_equal(text.length, 1 + strlen(vectors[i][1]));
        tv_text_deinit(&text);
    }
}

typedef struct folder {
    char path[64];
    char file[96];
} folder;

static int make_folder(void **state) {
    static folder made;
    strcpy(made.path, "/tmp/torvyn-text-XXXXXX");
    if (!mkdtemp(made.path)) return -1;
    snprintf(made.file, sizeof made.file, "%s/file", made.path);
    *state = &made;
    return 0;
}

static int remove_folder(void **state) {
    folder *made = *state;
    unlink(made->file);
    return rmdir(made->path);
}

static void write_file(const folder *made, size_t length) {
    FILE *file = fopen(made->file, "w");
    assert_non_null(file);
    for (size_t i = 0; i < length; i++)
        putc((int)('a' + i % 26), file);
    assert_int_equal(fclose(file), 0);
}

static void expect_file(const folder *made, size_t length, size_t bytes_max) {
    uint8_t *bytes = NULL;
    size_t read_bytes = 0;
    write_file(made, length);
    assert_int_equal(tv_file_read(made->file, bytes_max, &bytes, &read_bytes, NULL), TV_OK);
    assert_int_equal(read_bytes, length);
    for (size_t i = 0; i < length; i++)
        assert_int_equal(bytes[i], 'a' + i % 26);
    assert_int_equal(bytes[length], 0);
    free(bytes);
}

static void files_up_to_the_limit_are_read(void **state) {
    expect_file(*state, 0, 0);
    expect_file(*state, 1, 1);
    expect_file(*state, 65536, 65536);
    expect_file(*state, 65537, 1 << 20);
    expect_file(*state, 200000, 1 << 20);
}

static void files_over_the_limit_are_refused(void **state) {
    const folder *made = *state;
    static const size_t lengths[][2] = {{1, 0}, {65537, 65536}, {200000, 70000}};
    for (size_t i = 0; i < 3; i++) {
        uint8_t *bytes = NULL;
        size_t length = 0;
        tv_error error;
        write_file(made, lengths[i][0]);
        assert_int_equal(tv_file_read(made->file, lengths[i][1], &bytes, &length, &error), TV_TOO_LARGE);
        assert_null(bytes);
        assert_non_null(strstr(error.message, "is larger than the"));
    }
}

static void what_is_no_regular_file_is_refused(void **state) {
    const folder *made = *state;
    uint8_t *bytes = NULL;
    size_t length = 0;
    tv_error error;
    assert_int_equal(tv_file_read(made->path, 100, &bytes, &length, &error), TV_INVALID);
    assert_non_null(strstr(error.message, "is not a regular file"));
    unlink(made->file);
    assert_int_equal(mkfifo(made->file, 0600), 0);
    assert_int_equal(tv_file_read(made->file, 100, &bytes, &length, &error), TV_INVALID);
    unlink(made->file);
    assert_int_equal(tv_file_read(made->file, 100, &bytes, &length, &error), TV_IO);
    assert_int_equal(error.os_errno, ENOENT);
    assert_null(bytes);
}

static void reading_without_memory_fails_cleanly(void **state) {
    const folder *made = *state;
    write_file(made, 300000);
    for (int limit = 0; limit < 3; limit++) {
        uint8_t *bytes = NULL;
        size_t length = 0;
        allocations_until_failure = limit;
        tv_status status = tv_file_read(made->file, 1 << 20, &bytes, &length, NULL);
        allocations_until_failure = -1;
        assert_int_equal(status, TV_NO_MEMORY);
        assert_null(bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_grows_and_stays_terminated),
        cmocka_unit_test(every_failed_allocation_is_remembered),
        cmocka_unit_test(impossible_lengths_fail),
        cmocka_unit_test(base64_matches_the_vectors_of_rfc_4648),
        cmocka_unit_test_setup_teardown(files_up_to_the_limit_are_read, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(files_over_the_limit_are_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_is_no_regular_file_is_refused, make_folder, NULL),
        cmocka_unit_test_setup_teardown(reading_without_memory_fails_cleanly, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
