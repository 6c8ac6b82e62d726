// connect/generator: simulated sensors as an input channel. The same seed gives the same bytes on every machine.
#ifndef TORVYN_CONNECT_GENERATOR_GENERATOR_H
#define TORVYN_CONNECT_GENERATOR_GENERATOR_H

#include "flow/channel.h"

extern const tv_connector tv_connector_generator;

#endif
