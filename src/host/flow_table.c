// Open addressing with linear probing; removal closes the gap, so that no tombstones pile up.
#include "host/flow_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"

enum { CAPACITY_MIN = 16 };

// FNV-1a, 32 bits (Fowler, Noll, Vo).
static uint32_t hash_of(const char *name) {
    uint32_t hash = 2166136261u;
    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    return hash;
}

void tv_flow_table_deinit(tv_flow_table *table) {
    free(table->items);
    free(table->slots);
    *table = (tv_flow_table){0};
}

static void put(tv_flow_table *table, uint32_t index) {
    uint32_t mask = table->slot_count - 1, at = table->items[index]->name_hash & mask;
    while (table->slots[at])
        at = (at + 1) & mask;
    table->slots[at] = index + 1;
}

static void rebuild(tv_flow_table *table) {
    memset(table->slots, 0, table->slot_count * sizeof *table->slots);
    for (uint32_t i = 0; i < table->count; i++)
        put(table, i);
}

bool tv_flow_table_reserve(tv_flow_table *table, size_t count) {
    size_t capacity = table->capacity ? table->capacity : CAPACITY_MIN;
    while (capacity < table->count + count)
        capacity *= 2;
    if (capacity == table->capacity) return true;
    tv_flow_entry **items = malloc(capacity * sizeof *items);
    uint32_t *slots = malloc(2 * capacity * sizeof *slots);
    if (!items || !slots) {
        free(items);
        free(slots);
        return false;
    }
    if (table->count) memcpy(items, table->items, table->count * sizeof *items);
    free(table->items);
    free(table->slots);
    table->items = items;
    table->slots = slots;
    table->capacity = capacity;
    table->slot_count = (uint32_t)(2 * capacity);
    rebuild(table);
    return true;
}

// The slot that holds `name`, or the free one where the search ends.
static uint32_t slot_of(const tv_flow_table *table, const char *name, uint32_t hash) {
    uint32_t mask = table->slot_count - 1, at = hash & mask;
    while (table->slots[at]) {
        const tv_flow_entry *entry = table->items[table->slots[at] - 1];
        if (entry->name_hash == hash && strcmp(entry->name, name) == 0) break;
        at = (at + 1) & mask;
    }
    return at;
}

tv_flow_entry *tv_flow_table_find(const tv_flow_table *table, const char *name) {
    if (!table->count) return NULL;
    uint32_t slot = table->slots[slot_of(table, name, hash_of(name))];
    return slot ? table->items[slot - 1] : NULL;
}

bool tv_flow_table_add(tv_flow_table *table, tv_flow_entry *entry) {
    if (tv_flow_table_find(table, entry->name) || !tv_flow_table_reserve(table, 1)) return false;
    entry->name_hash = hash_of(entry->name);
    entry->index = (uint32_t)table->count;
    table->items[table->count++] = entry;
    put(table, entry->index);
    return true;
}

// Entries behind the gap move up where their search would otherwise end at it.
static void close_gap(tv_flow_table *table, uint32_t gap) {
    uint32_t mask = table->slot_count - 1;
    for (uint32_t at = (gap + 1) & mask; table->slots[at]; at = (at + 1) & mask) {
        uint32_t home = table->items[table->slots[at] - 1]->name_hash & mask;
        if (((at - home) & mask) < ((at - gap) & mask)) continue;
        table->slots[gap] = table->slots[at];
        gap = at;
    }
    table->slots[gap] = 0;
}

void tv_flow_table_remove(tv_flow_table *table, tv_flow_entry *entry) {
    TV_ASSERT(entry->index < table->count && table->items[entry->index] == entry);
    close_gap(table, slot_of(table, entry->name, entry->name_hash));
    tv_flow_entry *last = table->items[--table->count];
    if (last == entry) return;
    table->slots[slot_of(table, last->name, last->name_hash)] = entry->index + 1;
    table->items[entry->index] = last;
    last->index = entry->index;
}

const char *tv_flow_table_nearest(const tv_flow_table *table, const char *name) {
    enum { LOOKED_AT_MAX = 2000 }; // a microsecond or two each
    const char *nearest = NULL;
    for (size_t i = 0; i < table->count && i < LOOKED_AT_MAX; i++) {
        const char *pair[2] = {table->items[i]->name, nearest};
        const char *nearer = tv_nearest_name(name, pair, nearest ? 2 : 1);
        if (nearer) nearest = nearer;
    }
    return nearest;
}
