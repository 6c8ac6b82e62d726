// See key_table.h. Chains in a power of two of buckets, at most as many entries as buckets.
#include "host/key_table.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS_MIN = 64 };

static uint64_t hash_of(const uint8_t *bytes, size_t length) {
    uint64_t hash = 0xcbf29ce484222325u; // FNV-1a
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

static tv_key_entry **bucket_of(const tv_key_table *table, uint64_t hash) {
    return &table->buckets[hash & (table->bucket_count - 1)];
}

static bool grow(tv_key_table *table) {
    size_t count = table->bucket_count ? table->bucket_count * 2 : BUCKETS_MIN;
    tv_key_table grown = {.buckets = calloc(count, sizeof(tv_key_entry *)), .bucket_count = count};
    if (!grown.buckets) return false;
    for (size_t i = 0; i < table->bucket_count; i++)
        while (table->buckets[i]) {
            tv_key_entry *entry = table->buckets[i];
            table->buckets[i] = entry->next;
            entry->next = *bucket_of(&grown, entry->hash);
            *bucket_of(&grown, entry->hash) = entry;
        }
    free(table->buckets);
    table->buckets = grown.buckets;
    table->bucket_count = count;
    return true;
}

static tv_key_entry *find(const tv_key_table *table, const void *key, size_t key_bytes, uint64_t hash) {
    tv_key_entry *entry = table->bucket_count ? *bucket_of(table, hash) : NULL;
    while (entry && (entry->hash != hash || entry->key_bytes != key_bytes || memcmp(entry->key, key, key_bytes) != 0))
        entry = entry->next;
    return entry;
}

tv_key_entry *tv_key_table_find(const tv_key_table *table, const void *key, size_t key_bytes) {
    return find(table, key, key_bytes, hash_of(key, key_bytes));
}

tv_key_entry *tv_key_table_take(tv_key_table *table, const void *key, size_t key_bytes) {
    uint64_t hash = hash_of(key, key_bytes);
    tv_key_entry *entry = find(table, key, key_bytes, hash);
    if (entry) {
        entry->users++;
        return entry;
    }
    if (table->count == table->bucket_count && !grow(table)) return NULL;
    entry = malloc(sizeof *entry + key_bytes);
    if (!entry) return NULL;
    *entry = (tv_key_entry){.next = *bucket_of(table, hash), .hash = hash, .users = 1, .key_bytes = key_bytes};
    memcpy(entry->key, key, key_bytes);
    *bucket_of(table, hash) = entry;
    table->count++;
    return entry;
}

bool tv_key_table_drop(tv_key_table *table, tv_key_entry *entry) {
    if (--entry->users) return false;
    tv_key_entry **at = bucket_of(table, entry->hash);
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    table->count--;
    free(entry);
    return true;
}

void tv_key_table_each(const tv_key_table *table, void (*each)(void *user, tv_key_entry *entry), void *user) {
    for (size_t i = 0; i < table->bucket_count; i++)
        for (tv_key_entry *entry = table->buckets[i]; entry; entry = entry->next)
            each(user, entry);
}

void tv_key_table_deinit(tv_key_table *table) {
    for (size_t i = 0; i < table->bucket_count; i++)
        while (table->buckets[i]) {
            tv_key_entry *entry = table->buckets[i];
            table->buckets[i] = entry->next;
            free(entry);
        }
    free(table->buckets);
    *table = (tv_key_table){0};
}
