// Replays the fuzz corpus and the case files (folders given as arguments) in the ordinary test run, and each of them
// damaged in many ways.
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

enum { MUTATIONS = 40 };

static char **folders;
static int folder_count;

static uint32_t next_random(uint32_t *seed) {
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

// A byte replaced, a piece removed, or a piece repeated elsewhere.
static void replay_damaged(const uint8_t *bytes, size_t length, uint32_t seed) {
    static const char special[] = "{}[]:,-&*!|>'\"%@`#?\n\t $.0~";
    if (length == 0) return;
    uint8_t *copy = malloc(length * 2);
    assert_non_null(copy);
    for (unsigned i = 0; i < MUTATIONS; i++) {
        size_t at = next_random(&seed) % length, piece = 1 + next_random(&seed) % 40;
        if (piece > length - at) piece = length - at;
        memcpy(copy, bytes, length);
        size_t size = length;
        switch (i % 3) {
        case 0: copy[at] = (uint8_t)special[next_random(&seed) % (sizeof(special) - 1)]; break;
        case 1:
            memmove(copy + at, copy + at + piece, length - at - piece);
            size -= piece;
            break;
        default:
            memmove(copy + at + piece, copy + at, length - at);
            size += piece;
            break;
        }
        LLVMFuzzerTestOneInput(copy, size);
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
        snprintf(path, sizeof(path), "%s/%s", name, entry->d_name);
        uint8_t *bytes = NULL;
        size_t length;
        assert_int_equal(tv_file_read(path, 2 << 20, &bytes, &length, NULL), TV_OK);
        LLVMFuzzerTestOneInput(bytes, length);
        replay_damaged(bytes, length, files);
        free(bytes);
        files++;
    }
    closedir(folder);
    return files;
}

static void every_corpus_file_gives_a_consistent_answer(void **state) {
    (void)state;
    unsigned files = 0;
    for (int i = 0; i < folder_count; i++) {
        files += replay_folder(folders[i]);
    }
    assert_true(files >= 40);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: pipeline_corpus_test FOLDER...\n");
        return 64;
    }
    folders = argv + 1;
    folder_count = argc - 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_corpus_file_gives_a_consistent_answer)};
    return cmocka_run_group_tests_name("pipeline_corpus", tests, NULL, NULL);
}
