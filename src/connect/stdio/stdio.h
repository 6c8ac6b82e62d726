// connect/stdio: standard input and standard output as channels, whatever is behind them: terminal, pipe, socket,
// file.
//
// The flags of a terminal or pipe that is shared with other processes are never changed. Several output channels may
// write to standard output: whole messages alternate.
#ifndef TORVYN_CONNECT_STDIO_STDIO_H
#define TORVYN_CONNECT_STDIO_STDIO_H

#include "flow/channel.h"

extern const tv_connector tv_connector_stdio;

#endif
