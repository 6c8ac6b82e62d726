// Lists of attributes under construction (contract 3.7). Pure.
#include "torvyn/record.h"

// Adds one attribute whose text is `head` followed by `tail`.
static bool tv_sdk_attribute_add(tv_attributes *list, uint16_t id, tv_string head, tv_string tail) {
    uint64_t length = (uint64_t)head.length + tail.length;
    uint64_t end = (uint64_t)list->used + sizeof(tv_attribute) + (length + 3u) / 4u * 4u;
    uint64_t padded = (end + 7u) & ~7ull;
    if (padded > sizeof list->bytes) return false;
    tv_attribute attribute = {.id = id, .length = (uint16_t)length};
    uint8_t *at = list->bytes + list->used;
    memset(at, 0, (size_t)(padded - list->used));
    memcpy(at, &attribute, sizeof attribute);
    memcpy(at + sizeof attribute, head.bytes, head.length);
    memcpy(at + sizeof attribute + head.length, tail.bytes, tail.length);
    list->used = (uint16_t)end;
    list->length = (uint16_t)padded;
    return true;
}

bool tv_attributes_add(tv_attributes *list, enum tv_attribute_id id, tv_string value) {
    return tv_sdk_attribute_add(list, (uint16_t)id, value, (tv_string){"", 0});
}

bool tv_attributes_add_named(tv_attributes *list, const char *name, tv_string value) {
    char head[TV_NAME_BYTES_MAX + 2];
    uint32_t length = tv_format(head, sizeof head, "%s=", name);
    if (head[length - 1] != '=') return false;
    return tv_sdk_attribute_add(list, TV_ATTRIBUTE_NAMED, (tv_string){head, length}, value);
}
