// One pipeline file a case, beside it what it must give: every diagnostic with place and hint, and the model.
//
// `cases_test FOLDER` compares NAME.yaml with NAME.txt for all of them; `cases_test FOLDER --write` writes the latter,
// for a person to read before it is committed.
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "pipeline/fake.h"

enum { CASES_MAX = 256, PATH_BYTES = 4096 };

static const char *folder_path;
static bool write_expected;

// What a case gives, as text; the caller frees it.
static char *run_case(const char *name, const uint8_t *bytes, size_t length) {
    tv_diagnostics diagnostics = {0};
    tv_pipeline *pipeline = NULL;
    tv_text dump = {0};
    char *text = NULL;
    size_t text_length = 0;
    FILE *out = open_memstream(&text, &text_length);
    assert_non_null(out);
    tv_status status = fake_load(name, bytes, length, &diagnostics, &pipeline);
    fprintf(out, "%s, %zu errors, %zu warnings\n", status == TV_OK ? "ok" : tv_status_name(status),
            diagnostics.error_count, diagnostics.warning_count);
    tv_diagnostics_print(&diagnostics, out, false);
    if (status == TV_OK) {
        fake_dump(pipeline, &dump);
        fputs(dump.bytes, out);
    }
    tv_text_deinit(&dump);
    tv_pipeline_free(pipeline);
    tv_diagnostics_deinit(&diagnostics);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void write_file(const char *path, const char *text) {
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static bool check_case(const char *name) {
    char path[PATH_BYTES], file[PATH_BYTES];
    uint8_t *yaml = NULL, *expected = NULL;
    size_t length, expected_length;
    snprintf(path, sizeof(path), "%s/%s.yaml", folder_path, name);
    assert_int_equal(tv_file_read(path, 1 << 20, &yaml, &length, NULL), TV_OK);
    snprintf(file, sizeof(file), "cases/%s.yaml", name);
    char *text = run_case(file, yaml, length);
    snprintf(path, sizeof(path), "%s/%s.txt", folder_path, name);
    if (write_expected) write_file(path, text);
    bool read = tv_file_read(path, 1 << 20, &expected, &expected_length, NULL) == TV_OK;
    bool same = read && strcmp((const char *)expected, text) == 0;
    if (!same) print_error("---- %s: expected\n%s---- found\n%s", name, read ? (const char *)expected : "", text);
    free(text);
    free(yaml);
    free(expected);
    return same;
}

static void every_case_gives_what_it_must(void **state) {
    (void)state;
    DIR *folder = opendir(folder_path);
    if (folder == NULL) fail_msg("cannot open %s", folder_path);
    unsigned count = 0, failed = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char *dot = strstr(entry->d_name, ".yaml");
        if (dot == NULL) continue;
        *dot = '\0';
        count++;
        failed += check_case(entry->d_name) ? 0 : 1;
    }
    closedir(folder);
    assert_true(count >= 30);
    assert_int_equal(failed, 0);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: cases_test FOLDER [--write]\n");
        return 64;
    }
    folder_path = argv[1];
    write_expected = argc > 2 && strcmp(argv[2], "--write") == 0;
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_case_gives_what_it_must)};
    return cmocka_run_group_tests_name("cases", tests, NULL, NULL);
}
