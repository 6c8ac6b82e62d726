// Test component: hands on every record as it is.
#include <torvyn/torvyn.h>

TV_COMPONENT("pass", "1.0.0", "processor", 65536);
TV_STATELESS();

TV_ON_RECORD(record) { return tv_forward(record); }
