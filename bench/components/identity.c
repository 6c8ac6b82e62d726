// The component behind the stage figures: hands every record on as it is.
#include <torvyn/torvyn.h>

TV_COMPONENT("identity", "1.0.0", "processor", 65536);
TV_STATELESS();

TV_ON_RECORD(record) { return tv_forward(record); }
