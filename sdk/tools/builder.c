// `torvyn build` as an executable of its own, for the components of this tree. Not installed.
#include <string.h>

#include "cli/cli.h"

const tv_verb tv_verbs[] = {
    {.name = "build",
     .summary = "compile a C component to WebAssembly",
     .usage = "FILE.c... -o FILE.wasm",
     .description = "",
     .examples = "",
     .run = tv_verb_build},
    {0},
};

const tv_verb *tv_verb_find(const char *name) { return strcmp(name, "build") == 0 ? &tv_verbs[0] : NULL; }

int main(int argc, char **argv) {
    if (argc < 2 || !tv_verb_find(argv[1])) return TV_EXIT_USAGE;
    return tv_verb_build(argc - 1, argv + 1);
}
