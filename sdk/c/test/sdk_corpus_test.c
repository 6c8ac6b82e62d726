// Replays the corpus of sdk_fuzz (folder given as argument), each file also cut at every byte and with every byte
// changed, in the ordinary test run.
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka needs the headers above it.
#include <cmocka.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *corpus_folder;

static size_t read_file(const char *name, uint8_t *bytes, size_t capacity) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", corpus_folder, name);
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("cannot open %s", path);
    size_t length = fread(bytes, 1, capacity, file);
    (void)fclose(file);
    return length;
}

static void replay(const uint8_t *bytes, size_t length) {
    static const char replacements[] = "\"\\{}[],:0-e. \x01\x80\xff`/";
    uint8_t changed[4096];
    for (size_t cut = 0; cut <= length; cut++)
        LLVMFuzzerTestOneInput(bytes, cut);
    for (size_t at = 0; at < length; at++) {
        memcpy(changed, bytes, length);
        for (size_t index = 0; index < sizeof replacements - 1; index++) {
            changed[at] = (uint8_t)replacements[index];
            LLVMFuzzerTestOneInput(changed, length);
        }
    }
}

static void every_corpus_file_holds(void **state) {
    (void)state;
    static uint8_t bytes[4096];
    DIR *folder = opendir(corpus_folder);
    if (!folder) fail_msg("cannot open %s", corpus_folder);
    unsigned files = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        replay(bytes, read_file(entry->d_name, bytes, sizeof bytes));
        files++;
    }
    closedir(folder);
    assert_true(files >= 10);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: sdk_corpus_test FOLDER\n");
        return 64;
    }
    corpus_folder = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_corpus_file_holds),
    };
    return cmocka_run_group_tests_name("sdk_corpus", tests, NULL, NULL);
}
