// Fuzz target: any bytes as a table of `for_each`.
//
// Whatever comes in, reading ends: with the end of the table or with an error that has a line inside it; every row has
// the fields of the header, each of them UTF-8 text of its own inside the bytes. scripts/fuzz.sh builds and runs
// it; csv_test runs it on random bytes.
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "pipeline/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_fields(char *const *fields, size_t count, const char *bytes, size_t size) {
    const char *behind = bytes;
    for (size_t i = 0; i < count; i++) {
        TV_ASSERT(fields[i] >= behind && fields[i] + strlen(fields[i]) <= bytes + size);
        behind = fields[i] + strlen(fields[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tv_csv csv;
    tv_error error;
    uint32_t line = 0;
    char *bytes = malloc(size + 1); // its own allocation, so that a sanitizer sees a step beyond
    TV_ASSERT(bytes != NULL);
    if (size > 0) memcpy(bytes, data, size);
    tv_status status = tv_csv_open(&csv, bytes, size, &error);
    if (status == TV_OK) check_fields(csv.columns, csv.column_count, bytes, size);
    while (status == TV_OK) {
        status = tv_csv_next(&csv, &error);
        if (status == TV_OK) {
            TV_ASSERT(csv.row_line > line && csv.column_count > 0);
            line = csv.row_line;
            check_fields(csv.fields, csv.column_count, bytes, size);
        }
    }
    TV_ASSERT(status == TV_EOF || status == TV_INVALID);
    TV_ASSERT(csv.line >= 1 && csv.line <= size + 1 && csv.row_line <= csv.line);
    TV_ASSERT(status == TV_EOF || error.message[0] != '\0');
    free(bytes);
    return 0;
}
