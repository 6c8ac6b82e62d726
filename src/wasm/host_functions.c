// The table of importable functions. Rows of module `torvyn` are contract 7.1 to 7.8 and 7.11, the others 7.10: all of
// WASI preview 1, most of which only answers "not permitted".
#include "wasm/host_functions.h"

#include <string.h>

#include "wasm/wasm.h"

#define TORVYN(name, signature, grant)                                                                                 \
    { TV_ABI_IMPORT_MODULE, name, signature, grant }
#define WASI(name, signature, grant)                                                                                   \
    { TV_WASI_MODULE, name, signature, grant }

const tv_host_function tv_host_functions[] = {
    TORVYN("emit", "i:i", 0),
    TORVYN("forward", "i:i", 0),
    TORVYN("log", "iii:", 0),
    TORVYN("clock", "i:I", TV_GRANT_CLOCK),
    TORVYN("config_get", "iiii:i", 0),
    TORVYN("asset_size", "ii:I", 0),
    TORVYN("asset_read", "iiIii:i", 0),
    TORVYN("counter", "ii:i", 0),
    TORVYN("counter_add", "iI:i", 0),
    TORVYN("reject", "ii:i", 0),
    TORVYN("timer_set", "I:i", 0),
    WASI("args_get", "ii:i", 0),
    WASI("args_sizes_get", "ii:i", 0),
    WASI("environ_get", "ii:i", 0),
    WASI("environ_sizes_get", "ii:i", 0),
    WASI("clock_res_get", "ii:i", TV_GRANT_CLOCK),
    WASI("clock_time_get", "iIi:i", TV_GRANT_CLOCK),
    WASI("fd_advise", "iIIi:i", 0),
    WASI("fd_allocate", "iII:i", 0),
    WASI("fd_close", "i:i", 0),
    WASI("fd_datasync", "i:i", 0),
    WASI("fd_fdstat_get", "ii:i", 0),
    WASI("fd_fdstat_set_flags", "ii:i", 0),
    WASI("fd_fdstat_set_rights", "iII:i", 0),
    WASI("fd_filestat_get", "ii:i", 0),
    WASI("fd_filestat_set_size", "iI:i", 0),
    WASI("fd_filestat_set_times", "iIIi:i", 0),
    WASI("fd_pread", "iiiIi:i", 0),
    WASI("fd_prestat_get", "ii:i", 0),
    WASI("fd_prestat_dir_name", "iii:i", 0),
    WASI("fd_pwrite", "iiiIi:i", 0),
    WASI("fd_read", "iiii:i", 0),
    WASI("fd_readdir", "iiiIi:i", 0),
    WASI("fd_renumber", "ii:i", 0),
    WASI("fd_seek", "iIii:i", 0),
    WASI("fd_sync", "i:i", 0),
    WASI("fd_tell", "ii:i", 0),
    WASI("fd_write", "iiii:i", 0),
    WASI("path_create_directory", "iii:i", 0),
    WASI("path_filestat_get", "iiiii:i", 0),
    WASI("path_filestat_set_times", "iiiiIIi:i", 0),
    WASI("path_link", "iiiiiii:i", 0),
    WASI("path_open", "iiiiiIIii:i", 0),
    WASI("path_readlink", "iiiiii:i", 0),
    WASI("path_remove_directory", "iii:i", 0),
    WASI("path_rename", "iiiiii:i", 0),
    WASI("path_symlink", "iiiii:i", 0),
    WASI("path_unlink_file", "iii:i", 0),
    WASI("poll_oneoff", "iiii:i", 0),
    WASI("proc_exit", "i:", 0),
    WASI("proc_raise", "i:i", 0),
    WASI("random_get", "ii:i", TV_GRANT_RANDOM),
    WASI("sched_yield", ":i", 0),
    WASI("sock_accept", "iii:i", 0),
    WASI("sock_recv", "iiiiii:i", 0),
    WASI("sock_send", "iiiii:i", 0),
    WASI("sock_shutdown", "ii:i", 0),
};

const size_t tv_host_function_count = sizeof tv_host_functions / sizeof *tv_host_functions;

static int text_equals(const char *text, const char *bytes, size_t length) {
    return strlen(text) == length && memcmp(text, bytes, length) == 0;
}

const tv_host_function *tv_host_function_find(const char *module, size_t module_length, const char *name,
                                              size_t name_length) {
    for (size_t i = 0; i < tv_host_function_count; i++) {
        const tv_host_function *function = &tv_host_functions[i];
        if (text_equals(function->module, module, module_length) && text_equals(function->name, name, name_length))
            return function;
    }
    return NULL;
}
