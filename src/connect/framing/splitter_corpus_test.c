// Replays the fuzz corpus (folder given as argument) and some random streams, in the ordinary test run.
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *corpus_folder;

static void every_corpus_file_splits_like_the_model(void **state) {
    (void)state;
    DIR *folder = opendir(corpus_folder);
    if (!folder) fail_msg("cannot open %s", corpus_folder);
    unsigned files = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", corpus_folder, entry->d_name);
        uint8_t *bytes;
        size_t length;
        assert_int_equal(tv_file_read(path, 1 << 20, &bytes, &length, NULL), TV_OK);
        LLVMFuzzerTestOneInput(bytes, length);
        free(bytes);
        files++;
    }
    closedir(folder);
    assert_true(files >= 10);
}

// Streams rich in newlines, carriage returns and small lengths, which uniform bytes would hardly hold.
static void random_streams_split_like_the_model(void **state) {
    (void)state;
    uint32_t seed = 12345;
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t input[300];
        seed = seed * 1664525 + 1013904223;
        size_t length = 3 + (seed >> 16) % (sizeof input - 3);
        for (size_t i = 0; i < length; i++) {
            seed = seed * 1664525 + 1013904223;
            uint8_t byte = (uint8_t)(seed >> 24);
            uint8_t choices[] = {'\n', '\r', 0, 1, (uint8_t)(byte & 15), 'x', 'y', byte};
            input[i] = choices[seed >> 13 & 7];
        }
        input[0] = (uint8_t)(round & 3);
        LLVMFuzzerTestOneInput(input, length);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: splitter_corpus_test FOLDER\n");
        return 64;
    }
    corpus_folder = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_corpus_file_splits_like_the_model),
        cmocka_unit_test(random_streams_split_like_the_model),
    };
    return cmocka_run_group_tests_name("splitter_corpus", tests, NULL, NULL);
}
