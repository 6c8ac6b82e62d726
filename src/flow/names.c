// A hash table with chains, doubled when there are more names than chains.
#include "flow/names.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "flow/heap.h"

struct tv_name {
    tv_name *next;
    uint32_t hash;
    uint32_t references;
    char text[];
};

static uint32_t hash_of(const char *text, size_t length) { // FNV-1a
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)text[i]) * 16777619u;
    return hash;
}

void tv_names_init(tv_names *names, tv_memory_account *memory) {
    memset(names, 0, sizeof *names);
    names->memory = memory;
    pthread_mutex_init(&names->mutex, NULL);
}

void tv_names_deinit(tv_names *names) {
    TV_ASSERT(names->count == 0);
    tv_memory_account_subtract(names->memory, TV_MEMORY_STATE, tv_heap_bytes(names->buckets));
    free(names->buckets);
    pthread_mutex_destroy(&names->mutex);
}

static void move_all(tv_names *names, tv_name **buckets, uint32_t bucket_count) {
    for (uint32_t i = 0; i < names->bucket_count; i++) {
        for (tv_name *name = names->buckets[i], *next; name; name = next) {
            next = name->next;
            tv_name **chain = &buckets[name->hash & (bucket_count - 1)];
            name->next = *chain;
            *chain = name;
        }
    }
}

// Without memory the chains get longer; only the first ones must be had.
static bool make_room(tv_names *names) {
    enum { FIRST = 16 };
    if (names->count < names->bucket_count) return true;
    uint32_t bucket_count = names->bucket_count ? names->bucket_count * 2 : FIRST;
    tv_name **buckets = calloc(bucket_count, sizeof *buckets);
    if (!buckets) return names->bucket_count != 0;
    move_all(names, buckets, bucket_count);
    tv_memory_account_add(names->memory, TV_MEMORY_STATE, tv_heap_bytes(buckets));
    tv_memory_account_subtract(names->memory, TV_MEMORY_STATE, tv_heap_bytes(names->buckets));
    free(names->buckets);
    names->buckets = buckets;
    names->bucket_count = bucket_count;
    return true;
}

static tv_name *find(const tv_names *names, uint32_t hash, const char *text, size_t length) {
    if (names->bucket_count == 0) return NULL;
    tv_name *name = names->buckets[hash & (names->bucket_count - 1)];
    while (name && (name->hash != hash || strlen(name->text) != length || memcmp(name->text, text, length) != 0))
        name = name->next;
    return name;
}

static tv_name *add(tv_names *names, uint32_t hash, const char *text, size_t length) {
    if (!make_room(names)) return NULL;
    tv_name *name = malloc(sizeof *name + length + 1);
    if (!name) return NULL;
    tv_name **chain = &names->buckets[hash & (names->bucket_count - 1)];
    *name = (tv_name){.next = *chain, .hash = hash};
    memcpy(name->text, text, length);
    name->text[length] = 0;
    *chain = name;
    names->count++;
    tv_memory_account_add(names->memory, TV_MEMORY_STATE, tv_heap_bytes(name));
    return name;
}

const char *tv_names_ref(tv_names *names, const char *text, size_t length) {
    uint32_t hash = hash_of(text, length);
    pthread_mutex_lock(&names->mutex);
    tv_name *name = find(names, hash, text, length);
    if (!name) name = add(names, hash, text, length);
    if (name) name->references++;
    pthread_mutex_unlock(&names->mutex);
    return name ? name->text : NULL;
}

static void remove_name(tv_names *names, tv_name *name) {
    tv_name **at = &names->buckets[name->hash & (names->bucket_count - 1)];
    while (*at != name)
        at = &(*at)->next;
    *at = name->next;
    names->count--;
    tv_memory_account_subtract(names->memory, TV_MEMORY_STATE, tv_heap_bytes(name));
    free(name);
}

void tv_names_unref(tv_names *names, const char *text) {
    if (!text) return;
    pthread_mutex_lock(&names->mutex);
    tv_name *name = find(names, hash_of(text, strlen(text)), text, strlen(text));
    TV_ASSERT(name && name->text == text);
    if (--name->references == 0) remove_name(names, name);
    pthread_mutex_unlock(&names->mutex);
}
