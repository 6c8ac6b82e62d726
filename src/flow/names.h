// Names that many flows use, one copy of each: what components call their counters.
//
// Counted references: a name goes when the last flow that uses it goes. Any thread; a lock, so not for the data path.
#ifndef TORVYN_FLOW_NAMES_H
#define TORVYN_FLOW_NAMES_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/memory.h"

typedef struct tv_name tv_name;

typedef struct tv_names {
    pthread_mutex_t mutex;
    tv_name **buckets;
    uint32_t bucket_count; // a power of two, or 0
    uint32_t count;
    tv_memory_account *memory; // counts names and buckets
} tv_names;

void tv_names_init(tv_names *names, tv_memory_account *memory); // `memory` may be NULL
// Every reference must have been given back.
void tv_names_deinit(tv_names *names);
// The copy of a text, which need not end with a zero. NULL without memory.
const char *tv_names_ref(tv_names *names, const char *text, size_t length);
// Gives a reference back; NULL is allowed.
void tv_names_unref(tv_names *names, const char *text);

#endif
