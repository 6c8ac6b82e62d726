// The flows of a run: an array to walk, and a hash of their names. Plain memory; knows nothing of what a flow is but
// its name and its place here. Flows may come and go at any time: whoever walks from the last to the first may take
// out the one it stands at.
#ifndef TORVYN_HOST_FLOW_TABLE_H
#define TORVYN_HOST_FLOW_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tv_flow_entry {
    const char *name;   // the owner's; lives as long as the entry is in the table
    uint32_t index;     // in `items`
    uint32_t name_hash; // of `name`
} tv_flow_entry;

typedef struct tv_flow_table {
    tv_flow_entry **items; // in the order they came, but for holes that the last one was moved into
    size_t count, capacity;
    uint32_t *slots;     // open addressing: index + 1, 0 = free
    uint32_t slot_count; // a power of two, at least twice `capacity`
} tv_flow_table;

void tv_flow_table_deinit(tv_flow_table *table);
// Room for `count` more. False: out of memory, and nothing has changed.
bool tv_flow_table_reserve(tv_flow_table *table, size_t count);
// False: the name is there already, or out of memory.
bool tv_flow_table_add(tv_flow_table *table, tv_flow_entry *entry);
void tv_flow_table_remove(tv_flow_table *table, tv_flow_entry *entry);
tv_flow_entry *tv_flow_table_find(const tv_flow_table *table, const char *name);
// The name that is likest to `name`, NULL if none is near. For error messages: looks at the first 2,000 names.
const char *tv_flow_table_nearest(const tv_flow_table *table, const char *name);

#endif
