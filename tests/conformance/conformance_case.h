// One case of the conformance suite: a module and what the host must do with it, as directives in the module's text.
#ifndef TORVYN_CONFORMANCE_CASE_H
#define TORVYN_CONFORMANCE_CASE_H

#include "flow/testing/test_rig.h"

enum { CASE_LINES_MAX = 160, CASE_TEXT_BYTES = 2048 };

typedef struct conformance_line {
    char verb[24];
    char text[CASE_TEXT_BYTES]; // the rest of the line, escapes resolved
    uint32_t length;            // of text, which may hold zero bytes
} conformance_line;

typedef struct conformance_case {
    char name[160];
    char wasm_path[512];
    conformance_line *lines; // heap
    uint32_t line_count;
} conformance_case;

// Reads the directives of `wat_path`. False, with a message on standard error, if one is malformed.
bool conformance_case_read(conformance_case *test, const char *wat_path, const char *wasm_path);
void conformance_case_deinit(conformance_case *test);
// Runs it inside a cmocka test, which fails if the host does something else. `bench` is initialised.
void conformance_case_run(const conformance_case *test, rig *bench);

#endif
