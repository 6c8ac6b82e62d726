// A bounded table of series, found by key and full identity (device and metric): state of the detector and the
// aggregator.
//
// Open addressing with linear probing over entry numbers; entries lie in one array made at start. A full table
// gives up the entry that the clock hand finds first without a use since it last came by (an approximation of
// least-recently-used that costs one store a lookup). What an entry means is the user's: entries begin with
// key_entry and have the size the table was made with. Never more than the capacity, never an allocation later.
#ifndef GATEWAY_KEY_TABLE_H
#define GATEWAY_KEY_TABLE_H

#include "reading.h"

typedef struct key_entry {
    uint64_t key;
    uint8_t device_bytes, metric_bytes;
    bool used;       // holds a series
    bool referenced; // looked up since the clock hand came by
    uint32_t reserved;
    uint64_t id[READING_ID_BYTES_MAX / 8];
} key_entry;

typedef struct key_table {
    uint8_t *entries;
    uint32_t *slots; // entry number + 1, or 0
    uint32_t entry_bytes, capacity, count;
    uint32_t top;  // entries from here on were never used
    uint32_t mask; // of slots
    uint32_t hand;
} key_table;

static inline key_entry *key_table_at(const key_table *table, uint32_t number) {
    return (key_entry *)(void *)(table->entries + (size_t)number * table->entry_bytes);
}

// False if the memory budget does not allow it.
static inline bool key_table_init(key_table *table, uint32_t capacity, uint32_t entry_bytes) {
    uint32_t slots = 16;
    while (slots < capacity * 2)
        slots *= 2;
    *table = (key_table){.entry_bytes = entry_bytes, .capacity = capacity, .mask = slots - 1};
    table->entries = tv_allocate((uint64_t)entry_bytes * capacity);
    table->slots = tv_allocate_array(uint32_t, slots);
    return table->entries != NULL && table->slots != NULL;
}

static inline bool key_entry_is(const key_entry *entry, uint64_t key, const reading *r) {
    if (entry->key != key || entry->device_bytes != r->device_bytes || entry->metric_bytes != r->metric_bytes) {
        return false;
    }
    const uint64_t *words = (const uint64_t *)(const void *)reading_text(r);
    for (uint32_t i = 0; i * 8 < reading_id_bytes(r); i++) {
        if (entry->id[i] != words[i]) return false;
    }
    return true;
}

// The series of a reading, or NULL.
static inline key_entry *key_table_find(const key_table *table, uint64_t key, const reading *r) {
    for (uint32_t slot = (uint32_t)key & table->mask; table->slots[slot] != 0; slot = (slot + 1) & table->mask) {
        key_entry *entry = key_table_at(table, table->slots[slot] - 1);
        if (!key_entry_is(entry, key, r)) continue;
        entry->referenced = true;
        return entry;
    }
    return NULL;
}

static inline bool key_table_full(const key_table *table) { return table->count == table->capacity; }

// The entry to give up when the table is full.
static inline key_entry *key_table_victim(key_table *table) {
    for (;;) {
        key_entry *entry = key_table_at(table, table->hand);
        if (entry->used && !entry->referenced) return entry;
        entry->referenced = false;
        table->hand = table->hand + 1 == table->capacity ? 0 : table->hand + 1;
    }
}

static inline uint32_t key_table_slot_of(const key_table *table, const key_entry *entry) {
    uint32_t number = (uint32_t)((size_t)((const uint8_t *)entry - table->entries) / table->entry_bytes);
    uint32_t slot = (uint32_t)entry->key & table->mask;
    while (table->slots[slot] != number + 1)
        slot = (slot + 1) & table->mask;
    return slot;
}

// Takes a series out; entries behind it in its probe run move up, so lookups need no tombstones.
static inline void key_table_remove(key_table *table, key_entry *entry) {
    uint32_t hole = key_table_slot_of(table, entry);
    for (uint32_t slot = (hole + 1) & table->mask; table->slots[slot] != 0; slot = (slot + 1) & table->mask) {
        uint32_t home = (uint32_t)key_table_at(table, table->slots[slot] - 1)->key & table->mask;
        if (((slot - home) & table->mask) < ((slot - hole) & table->mask)) continue;
        table->slots[hole] = table->slots[slot];
        hole = slot;
    }
    table->slots[hole] = 0;
    entry->used = false;
    table->count--;
}

// A zeroed entry for a series that is not in the table, which must not be full.
static inline key_entry *key_table_insert(key_table *table, uint64_t key, const reading *r) {
    uint32_t number = table->top < table->capacity ? table->top : table->hand; // the hand stands on the last victim
    while (key_table_at(table, number)->used)
        number = number + 1 == table->capacity ? 0 : number + 1;
    key_entry *entry = key_table_at(table, number);
    memset(entry, 0, table->entry_bytes);
    entry->key = key;
    entry->device_bytes = r->device_bytes;
    entry->metric_bytes = r->metric_bytes;
    entry->used = entry->referenced = true;
    reading_copy_words(entry->id, reading_text(r), reading_id_bytes(r));
    uint32_t slot = (uint32_t)key & table->mask;
    while (table->slots[slot] != 0)
        slot = (slot + 1) & table->mask;
    table->slots[slot] = number + 1;
    table->count++;
    if (number >= table->top) table->top = number + 1;
    return entry;
}

#endif
