// The connectors that are built in. A new one gets a line here and its folder in connect/.
#include "host/host.h"

extern const tv_connector tv_connector_file;
extern const tv_connector tv_connector_stdio;
extern const tv_connector tv_connector_generator;

const tv_connector *const *tv_host_connectors(size_t *count) {
    static const tv_connector *const connectors[] = {
        &tv_connector_file,
#ifdef TV_WITH_stdio
        &tv_connector_stdio,
#endif
#ifdef TV_WITH_generator
        &tv_connector_generator,
#endif
    };
    *count = sizeof connectors / sizeof connectors[0];
    return connectors;
}
