// connect/file: files as channels. Input reads a file once or follows it through rotation; output appends, rotates
// and syncs.
//
// Regular files only: pipes and terminals belong to connect/stdio. Options: the tables of the descriptor.
#ifndef TORVYN_CONNECT_FILE_FILE_H
#define TORVYN_CONNECT_FILE_FILE_H

#include "flow/channel.h"

extern const tv_connector tv_connector_file;

#endif
