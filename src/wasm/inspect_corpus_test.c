// Replays the fuzz corpus and the modules made from wat/ (folders given as arguments) in the ordinary test run, and
// each of them damaged in many ways.
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

#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MUTATIONS = 300, FILE_BYTES_MAX = 1 << 20 };

static char **folders;
static int folder_count;

static uint32_t next_random(uint32_t *seed) {
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

// Some bytes replaced, mostly by values that mean something in the format.
static void replay_damaged(const uint8_t *bytes, size_t length, uint32_t seed) {
    static const uint8_t special[] = {0,    1,    2,    3,    4,    0x0b, 0x40, 0x60, 0x63,
                                      0x6f, 0x70, 0x7f, 0x80, 0xfb, 0xfc, 0xfd, 0xfe, 0xff};
    uint8_t *copy = malloc(length);
    assert_non_null(copy);
    for (unsigned i = 0; i < MUTATIONS; i++) {
        memcpy(copy, bytes, length);
        for (unsigned k = 0; k <= i % 4; k++) {
            copy[next_random(&seed) % length] = special[next_random(&seed) % sizeof special];
        }
        LLVMFuzzerTestOneInput(copy, i % 5 == 0 ? next_random(&seed) % length : length);
    }
    free(copy);
}

static unsigned replay_folder(const char *name) {
    DIR *folder = opendir(name);
    if (folder == NULL) fail_msg("cannot open %s", name);
    unsigned files = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", name, entry->d_name);
        uint8_t *bytes = NULL;
        size_t length;
        assert_int_equal(tv_file_read(path, FILE_BYTES_MAX, &bytes, &length, NULL), TV_OK);
        LLVMFuzzerTestOneInput(bytes, length);
        if (length > 0) replay_damaged(bytes, length, files);
        free(bytes);
        files++;
    }
    closedir(folder);
    return files;
}

static void every_file_and_its_damaged_copies_get_an_answer(void **state) {
    (void)state;
    for (int i = 0; i < folder_count; i++) {
        assert_true(replay_folder(folders[i]) >= 5);
    }
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: inspect_corpus_test FOLDER...\n");
        return 64;
    }
    folders = argv + 1;
    folder_count = argc - 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_file_and_its_damaged_copies_get_an_answer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
