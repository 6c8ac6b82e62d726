// Claims: what may be open beside what.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "connect/file/claims.h"
#include "connect/file/file.h"
#include "connect/testing/rig.h"

static void file_is_read_or_appended_to_or_written_alone(void **state) {
    (void)state;
    // Beside one that is there: may one more come?
    static const bool allowed[3][3] = {{true, false, false}, {false, true, false}, {false, false, false}};
    FILE *file = tmpfile(), *other = tmpfile();
    assert_non_null(file);
    assert_non_null(other);
    int fd = fileno(file);
    for (tv_file_claim there = TV_FILE_CLAIM_READ; there <= TV_FILE_CLAIM_WRITE; there++)
        for (tv_file_claim more = TV_FILE_CLAIM_READ; more <= TV_FILE_CLAIM_WRITE; more++) {
            assert_true(tv_file_claim_take(fd, there));
            bool is_allowed = tv_file_claim_take(fd, more);
            assert_int_equal(is_allowed, allowed[there][more]);
            assert_true(tv_file_claim_take(fileno(other), more));
            tv_file_claim_release(fileno(other), more);
            if (is_allowed) tv_file_claim_release(fd, more);
            tv_file_claim_release(fd, there);
        }
    tv_file_claim_release(fd, TV_FILE_CLAIM_READ); // of what is not claimed: nothing
    fclose(file);
    fclose(other);
}

static void output_of_an_open_input_is_refused_and_not_emptied(void **state) {
    (void)state;
    tv_rig input, output;
    tv_error error = {0};
    const char *path = tv_rig_path("both"), *link_path = tv_rig_path("link");
    tv_rig_write_file(path, "a\n");
    assert_int_equal(link(path, link_path), 0);
    tv_rig_init(&input, TV_INPUT);
    tv_rig_init(&output, TV_OUTPUT);
    assert_int_equal(tv_rig_open(&input, &tv_connector_file, &error, "path", path, "mode", "follow", NULL), TV_OK);
    assert_int_equal(tv_rig_open(&output, &tv_connector_file, &error, "path", link_path, "mode", "truncate", NULL),
                     TV_INVALID);
    assert_non_null(strstr(error.message, "the file of an input"));
    tv_rig_expect_file(path, "a\n");
    tv_rig_close(&input);
    assert_int_equal(tv_rig_open(&output, &tv_connector_file, &error, "path", link_path, NULL), TV_OK);
    tv_rig_deinit(&input);
    tv_rig_init(&input, TV_INPUT);
    assert_int_equal(tv_rig_open(&input, &tv_connector_file, &error, "path", path, NULL), TV_INVALID);
    assert_non_null(strstr(error.message, "the file of an output"));
    tv_rig_deinit(&input);
    tv_rig_deinit(&output);
}

static void length_prefixed_outputs_do_not_share_a_file(void **state) {
    (void)state;
    tv_rig one, two;
    tv_error error = {0};
    const char *path = tv_rig_path("frames");
    tv_rig_init(&one, TV_OUTPUT);
    tv_rig_init(&two, TV_OUTPUT);
    assert_int_equal(tv_rig_open(&one, &tv_connector_file, &error, "path", path, "format", "length-prefixed", NULL),
                     TV_OK);
    assert_int_equal(tv_rig_open(&two, &tv_connector_file, &error, "path", path, NULL), TV_INVALID);
    tv_rig_deinit(&one);
    assert_int_equal(tv_rig_open(&two, &tv_connector_file, &error, "path", path, NULL), TV_OK);
    tv_rig_deinit(&two);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_is_read_or_appended_to_or_written_alone),
        cmocka_unit_test(output_of_an_open_input_is_refused_and_not_emptied),
        cmocka_unit_test(length_prefixed_outputs_do_not_share_a_file),
    };
    return cmocka_run_group_tests_name("claims", tests, NULL, NULL);
}
