// Tables of `for_each` against random ones: what is written is read again, and any bytes give a consistent answer (the
// fuzz target, with bytes that mean something here).
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the headers above it.
#include <cmocka.h>

#include "base/text.h"
#include "pipeline/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TABLES = 2000, TEXTS = 100000, COLUMNS_MAX = 5, ROWS_MAX = 5, FIELD_MAX = 12 };

static uint32_t seed = 20260101;

static uint32_t random_below(uint32_t most) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % most;
}

typedef struct table {
    size_t columns, rows;
    char fields[ROWS_MAX + 1][COLUMNS_MAX][FIELD_MAX + 1]; // row 0: the header
} table;

static void make_table(table *made) {
    static const char letters[] = "ab1 ,\"\n\r";
    made->columns = 1 + random_below(COLUMNS_MAX);
    made->rows = random_below(ROWS_MAX + 1);
    for (size_t r = 0; r <= made->rows; r++) {
        for (size_t c = 0; c < made->columns; c++) {
            size_t length = random_below(FIELD_MAX + 1);
            for (size_t i = 0; i < length; i++) {
                made->fields[r][c][i] = letters[random_below(sizeof(letters) - 1)];
            }
            made->fields[r][c][length] = '\0';
        }
    }
}

static void write_field(tv_text *out, const char *field, bool alone) {
    bool must = strpbrk(field, ",\"\r\n") != NULL || (alone && field[0] == '\0'); // alone it would be no line at all
    if (!must && random_below(3) > 0) {
        tv_text_print(out, "%s", field);
        return;
    }
    tv_text_print(out, "\"");
    for (; *field != '\0'; field++) {
        if (*field == '"') tv_text_add(out, field, 1);
        tv_text_add(out, field, 1);
    }
    tv_text_print(out, "\"");
}

static void write_table(const table *made, tv_text *out) {
    const char *end = random_below(2) > 0 ? "\r\n" : "\n";
    if (random_below(4) == 0) tv_text_print(out, "\xef\xbb\xbf");
    for (size_t r = 0; r <= made->rows; r++) {
        for (size_t c = 0; c < made->columns; c++) {
            if (c > 0) tv_text_print(out, ",");
            write_field(out, made->fields[r][c], made->columns == 1);
        }
        if (r < made->rows || random_below(2) > 0) tv_text_print(out, "%s", end);
        if (random_below(5) == 0) tv_text_print(out, "%s", end);
    }
    assert_false(out->failed);
}

static void what_is_written_is_read_again(void **state) {
    (void)state;
    for (unsigned t = 0; t < TABLES; t++) {
        table made;
        tv_text text = {0};
        tv_csv csv;
        tv_error error;
        make_table(&made);
        write_table(&made, &text);
        assert_int_equal(tv_csv_open(&csv, text.bytes, text.length, &error), TV_OK);
        assert_int_equal(csv.column_count, made.columns);
        for (size_t c = 0; c < made.columns; c++) {
            assert_string_equal(csv.columns[c], made.fields[0][c]);
        }
        for (size_t r = 1; r <= made.rows; r++) {
            assert_int_equal(tv_csv_next(&csv, &error), TV_OK);
            for (size_t c = 0; c < made.columns; c++) {
                assert_string_equal(csv.fields[c], made.fields[r][c]);
            }
        }
        assert_int_equal(tv_csv_next(&csv, &error), TV_EOF);
        tv_text_deinit(&text);
    }
}

static void any_bytes_give_a_consistent_answer(void **state) {
    (void)state;
    static const char letters[] = "aaab,,\"\"\"\n\n\r\xc3\xa4\xff";
    for (unsigned t = 0; t < TEXTS; t++) {
        uint8_t bytes[40];
        size_t length = random_below(sizeof(bytes) + 1);
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (uint8_t)letters[random_below(sizeof(letters))]; // the NUL too
        }
        LLVMFuzzerTestOneInput(bytes, length);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(any_bytes_give_a_consistent_answer),
    };
    return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}
