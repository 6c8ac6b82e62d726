// The connectors that are built in. A new one gets a line here and its folder in connect/.
#include "connect/file/file.h"
#include "connect/generator/generator.h"
#include "connect/stdio/stdio.h"
#include "host/host.h"

const tv_connector *const *tv_host_connectors(size_t *count) {
    static const tv_connector *const connectors[] = {
        &tv_connector_file,
        &tv_connector_stdio,
        &tv_connector_generator,
    };
    *count = sizeof connectors / sizeof connectors[0];
    return connectors;
}
