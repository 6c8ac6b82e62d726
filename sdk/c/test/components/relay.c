// For component_test: hands each record on twice, as it is and out of a copy of its own.
#include <torvyn/torvyn.h>

TV_COMPONENT("relay", "1.0.0", "processor", 64);

TV_ON_RECORD(record) {
    static _Alignas(8) uint8_t copy[256];
    tv_result result = tv_forward(record);
    if (result != TV_OK || record->size_bytes > sizeof copy) return result;
    memcpy(copy, record, record->size_bytes);
    return tv_forward((const tv_record *)(const void *)copy);
}
