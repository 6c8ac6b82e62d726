// For tests: connectors that only have tables, an environment that is a table, and a model as text.
#ifndef TORVYN_PIPELINE_FAKE_H
#define TORVYN_PIPELINE_FAKE_H

#include "base/text.h"
#include "pipeline/load.h"

enum { FAKE_CONNECTOR_COUNT = 3 };
// "file" reads and writes and has an option of each type; "udp" reads and cannot be paused; "printer" writes.
extern const tv_connector *const fake_connectors[FAKE_CONNECTOR_COUNT];

// PORT=7, NAME=seven, DOLLAR=${PORT}, EMPTY= and BROKEN, which is not UTF-8.
const char *fake_lookup(void *user, const char *name);

// Loads with the connectors and the environment above.
tv_status fake_load(const char *file, const void *bytes, size_t length, tv_diagnostics *diagnostics, tv_pipeline **out);

// Everything the model says, one thing a line.
void fake_dump(const tv_pipeline *pipeline, tv_text *out);

#endif
