// Things by their content: a hash table from bytes to a value, with a count of users for each.
//
// For work that is the same for thousands of flows: whoever comes with a key that is there already takes part in what
// was made for it.
#ifndef TORVYN_HOST_KEY_TABLE_H
#define TORVYN_HOST_KEY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tv_key_entry {
    struct tv_key_entry *next;
    uint64_t hash;
    size_t users;
    void *value; // the user's
    size_t key_bytes;
    uint8_t key[];
} tv_key_entry;

typedef struct tv_key_table {
    tv_key_entry **buckets;
    size_t bucket_count, count;
} tv_key_table;

// The entry of that key with one user more, made if there is none: then it has this one user and no value. NULL without
// memory. Zero-initialise the table.
tv_key_entry *tv_key_table_take(tv_key_table *table, const void *key, size_t key_bytes);
// The entry of that key, or NULL.
tv_key_entry *tv_key_table_find(const tv_key_table *table, const void *key, size_t key_bytes);
// One user less; the last one frees the entry, whose value must be gone by then. True if it was the last.
bool tv_key_table_drop(tv_key_table *table, tv_key_entry *entry);
// Calls `each` for every entry, in no order; it must not change the table.
void tv_key_table_each(const tv_key_table *table, void (*each)(void *user, tv_key_entry *entry), void *user);
void tv_key_table_deinit(tv_key_table *table);

#endif
