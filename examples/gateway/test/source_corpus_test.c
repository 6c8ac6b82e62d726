// Replays the corpus of source_fuzz (folder given as argument), each file also cut at every byte and with every byte
// changed: through the fuzz target, and line by line through sensor-source in several configurations.
#include <dirent.h>
#include <stdlib.h>

#include "../components/encoding.h"
#include "source_test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *corpus_folder;

static const char *const configurations[] = {
    "device=x",
    "json=lenient\nfields.values=*\ntime.missing=arrival\ndevice=x",
    "each=readings\nfields.device=dev\nfields.time=t\nfields.value=data.v",
    "format=csv\nfields.values=*\ndevice=x\nencoding=windows-1252",
    "format=csv\ntime.missing=arrival\ncsv.decimal=,\ncsv.separator=;\ntime.zone=Europe/Berlin",
    "format=csv\nfields.time=ts\ntime.format=%d.%m.%Y %H:%M:%S",
};
enum { CONFIGURATIONS = sizeof configurations / sizeof *configurations };
static tv_harness *components[CONFIGURATIONS];

// A record is answered by readings that hold what they promise, or by a reason.
static void feed(tv_harness *h, const uint8_t *bytes, size_t length) {
    tv_harness_clear(h);
    tv_harness_feed(h, TV_NO_EVENT_TIME, 0, bytes, (uint32_t)length);
    assert_true(tv_harness_run(h) >= 0);
    size_t rejects = tv_harness_reject_count(h);
    assert_true(rejects <= 1);
    if (rejects > 0) {
        assert_int_equal(reading_count(h), 0);
        assert_true(tv_harness_reject_at(h, 0)->reason[0] != 0);
    }
    for (size_t i = 0; i < reading_count(h); i++) {
        const reading *r = (const reading *)(const void *)reading_output(h, i)->payload;
        assert_true(r->value - r->value == 0);
        assert_true(r->device_bytes > 0 && reading_id_bytes(r) <= READING_ID_BYTES_MAX);
        assert_true(encoding_is_utf8(reading_device(r)) && encoding_is_utf8(reading_metric(r)));
    }
}

static void feed_lines(const uint8_t *bytes, size_t length) {
    for (int c = 0; c < CONFIGURATIONS; c++) {
        size_t begin = 0;
        for (size_t at = 0; at <= length; at++) {
            if (at < length && bytes[at] != '\n') continue;
            feed(components[c], bytes + begin, at - begin);
            begin = at + 1;
        }
    }
}

static void replay(uint8_t *bytes, size_t length) {
    for (size_t cut = 0; cut <= length; cut++)
        (void)LLVMFuzzerTestOneInput(bytes, cut);
    for (size_t at = 0; at < length; at++) {
        uint8_t kept = bytes[at];
        for (int change = 0; change < 3; change++) {
            bytes[at] = (uint8_t)(change == 0 ? kept ^ 1 : change == 1 ? 0 : '"');
            (void)LLVMFuzzerTestOneInput(bytes, length);
            if (change == (int)(at % 3)) feed_lines(bytes, length);
        }
        bytes[at] = kept;
    }
    feed_lines(bytes, length);
}

static void every_corpus_file_holds(void **state) {
    (void)state;
    static uint8_t bytes[4096];
    DIR *folder = opendir(corpus_folder);
    if (!folder) fail_msg("cannot open %s", corpus_folder);
    unsigned files = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[1024];
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", corpus_folder, entry->d_name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        size_t length = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        replay(bytes, length);
        files++;
    }
    closedir(folder);
    assert_true(files >= 12);
}

static int start_all(void **state) {
    (void)state;
    for (int i = 0; i < CONFIGURATIONS; i++)
        components[i] = start_component("sensor-source", configurations[i]);
    return 0;
}

static int close_all(void **state) {
    (void)state;
    for (int i = 0; i < CONFIGURATIONS; i++)
        tv_harness_close(components[i]);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: source_corpus_test FOLDER\n");
        return 64;
    }
    corpus_folder = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_corpus_file_holds),
    };
    return cmocka_run_group_tests_name("source_corpus", tests, start_all, close_all);
}
