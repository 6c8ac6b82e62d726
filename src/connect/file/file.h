// connect/file: files as channels. Input reads a file once or follows it through rotation; output appends, rotates
// and syncs.
//
// Regular files only: pipes and terminals belong to connect/stdio. Options: the tables of the descriptor.
#ifndef TORVYN_CONNECT_FILE_FILE_H
#define TORVYN_CONNECT_FILE_FILE_H

#include "flow/channel.h"

extern const tv_connector tv_connector_file;

// What a channel with these options, of the connector's struct, does with which file; for checks of a whole pipeline.
typedef struct tv_file_use {
    const char *path;     // as given; borrowed
    uint32_t rotated_max; // an output also writes path.1 to path.N
    bool may_share;       // an output whose file others may append to
    bool truncates;       // an output that empties the file at its start
    bool is_pattern;      // an input of all files that fit the path's name
} tv_file_use;
void tv_file_use_of(tv_direction direction, const void *options, tv_file_use *use);
// Whether a file of that name, in the pattern's folder, fits it.
bool tv_file_fits(const char *pattern, const char *name);

#endif
