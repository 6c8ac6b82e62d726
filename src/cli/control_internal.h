// The inside of the control client, shared by its two files.
#ifndef TORVYN_CLI_CONTROL_INTERNAL_H
#define TORVYN_CLI_CONTROL_INTERNAL_H

#include "cli/control.h"
#include "control/control.h"

struct tv_control {
    int fd;
    uint64_t next_id;
    char *buffer;    // TV_SERVER_LINE_BYTES_MAX and one more
    size_t length;   // of what has arrived and was not yet taken
    size_t searched; // of that, known to be without a line's end
    char path[TV_CONTROL_PATH_MAX];
};

// Connects to one path.
tv_status tv_control_connect(const char *path, tv_control **out, tv_error *error);

#endif
