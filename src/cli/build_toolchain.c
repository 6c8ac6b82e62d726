// Finds the compiler: TORVYN_CLANG, or clang, or the newest versioned one, provided it knows wasm32 and has wasm-ld.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/build.h"

enum { TV_CLANG_NEWEST = 24, TV_CLANG_OLDEST = 13 };

#define TV_INSTALL_HINT                                                                                                \
    "Install it with\n"                                                                                                \
    "  apt-get install clang lld\n"                                                                                    \
    "(for --libc also wasi-libc and libclang-rt-14-dev-wasm32, in the version of clang), or set TORVYN_CLANG to a "    \
    "clang of version 13 or newer."

typedef enum tv_candidate {
    TV_CANDIDATE_ABSENT,
    TV_CANDIDATE_NO_TARGET,
    TV_CANDIDATE_NO_LINKER,
    TV_CANDIDATE_GOOD
} tv_candidate;

static tv_status ask(const char *clang, const char *question, char *answer, size_t capacity) {
    static tv_build_command command;
    command = (tv_build_command){0};
    tv_build_command_add(&command, "%s", clang);
    tv_build_command_add(&command, "--target=wasm32");
    tv_build_command_add(&command, "%s", question);
    return tv_build_command_capture(&command, answer, capacity);
}

static tv_candidate judge(const char *clang) {
    char answer[16384];
    if (ask(clang, "--print-targets", answer, sizeof answer) != TV_OK) return TV_CANDIDATE_ABSENT;
    if (!strstr(answer, "wasm32")) return TV_CANDIDATE_NO_TARGET;
    if (ask(clang, "-print-prog-name=wasm-ld", answer, sizeof answer) != TV_OK) return TV_CANDIDATE_NO_LINKER;
    answer[strcspn(answer, "\n")] = 0;
    return answer[0] == '/' && access(answer, X_OK) == 0 ? TV_CANDIDATE_GOOD : TV_CANDIDATE_NO_LINKER;
}

// Takes `clang` if it is good; *best is the most that any candidate had.
static bool consider(const char *clang, tv_toolchain *toolchain, tv_candidate *best) {
    tv_candidate found = judge(clang);
    if (found > *best) {
        *best = found;
        snprintf(toolchain->clang, sizeof toolchain->clang, "%s", clang);
    }
    return found == TV_CANDIDATE_GOOD;
}

static void search(tv_toolchain *toolchain, tv_candidate *best) {
    char name[32];
    if (consider("clang", toolchain, best)) return;
    for (int version = TV_CLANG_NEWEST; version >= TV_CLANG_OLDEST; version--) {
        snprintf(name, sizeof name, "clang-%d", version);
        if (consider(name, toolchain, best)) return;
    }
}

static tv_status check_libc(const tv_toolchain *toolchain, tv_error *error) {
    static tv_build_command command;
    char answer[TV_BUILD_PATH_BYTES];
    const char *const needed[] = {"-print-file-name=libc.a", "-print-libgcc-file-name"};
    const char *const packages[] = {"wasi-libc", "libclang-rt-14-dev-wasm32 (in the version of clang)"};
    for (size_t index = 0; index < 2; index++) {
        command = (tv_build_command){0};
        tv_build_command_add(&command, "%s", toolchain->clang);
        tv_build_command_add(&command, "--target=wasm32-wasi");
        tv_build_command_add(&command, "%s", needed[index]);
        tv_status status = tv_build_command_capture(&command, answer, sizeof answer);
        answer[strcspn(answer, "\n")] = 0;
        if (status == TV_OK && answer[0] == '/' && access(answer, R_OK) == 0) continue;
        return tv_error_set(error, TV_NOT_FOUND, "--libc needs the package %s. Install it with\n  apt-get install %s",
                            packages[index], "wasi-libc libclang-rt-14-dev-wasm32");
    }
    return TV_OK;
}

tv_status tv_toolchain_find(bool libc, tv_toolchain *toolchain, tv_error *error) {
    const char *chosen = getenv("TORVYN_CLANG");
    tv_candidate best = TV_CANDIDATE_ABSENT;
    *toolchain = (tv_toolchain){0};
    if (chosen && chosen[0])
        (void)consider(chosen, toolchain, &best);
    else
        search(toolchain, &best);
    const char *name = chosen && chosen[0] ? chosen : toolchain->clang;
    switch (best) {
    case TV_CANDIDATE_GOOD: return libc ? check_libc(toolchain, error) : TV_OK;
    case TV_CANDIDATE_ABSENT:
        if (chosen && chosen[0])
            return tv_error_set(error, TV_NOT_FOUND, "TORVYN_CLANG=%s is not a clang that runs. " TV_INSTALL_HINT,
                                name);
        return tv_error_set(error, TV_NOT_FOUND,
                            "building components needs clang, which is not here. " TV_INSTALL_HINT);
    case TV_CANDIDATE_NO_TARGET:
        return tv_error_set(error, TV_NOT_FOUND, "%s cannot compile for wasm32. " TV_INSTALL_HINT, name);
    case TV_CANDIDATE_NO_LINKER: break;
    }
    return tv_error_set(error, TV_NOT_FOUND,
                        "%s is here, but its linker wasm-ld is missing. Install it with\n  apt-get install lld", name);
}
