// An inbox: any thread puts items in, one thread takes all there are at once, oldest first. Intrusive, no lock.
//
// All operations are sequentially consistent, since whoever puts something in looks afterwards whether the taker has to
// be woken, and the taker says that it sleeps and then looks into the inbox: one of the two must see the other. What
// was written before an item was put in is seen by the taker. There is no ABA: items leave only all together.
#ifndef TORVYN_BASE_INBOX_H
#define TORVYN_BASE_INBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

// Lies in what is put in; in one inbox at a time.
typedef struct tv_inbox_item {
    struct tv_inbox_item *next;
} tv_inbox_item;

// Zeroed before use.
typedef struct tv_inbox {
    _Atomic(tv_inbox_item *) newest;
} tv_inbox;

// Any thread. True: the inbox was empty, so nobody has told the taker yet.
static inline bool tv_inbox_put(tv_inbox *inbox, tv_inbox_item *item) {
    tv_inbox_item *newest = atomic_load_explicit(&inbox->newest, memory_order_relaxed);
    do {
        item->next = newest;
    } while (!atomic_compare_exchange_weak(&inbox->newest, &newest, item));
    return newest == NULL;
}

// Any thread; of use to the taker, who alone can make it empty.
static inline bool tv_inbox_is_empty(const tv_inbox *inbox) { return atomic_load(&inbox->newest) == NULL; }

// The taker: the oldest item, those put in after it behind it; NULL if there is none.
static inline tv_inbox_item *tv_inbox_take(tv_inbox *inbox) {
    tv_inbox_item *oldest = NULL;
    if (tv_inbox_is_empty(inbox)) return NULL; // usual, and cheaper than an exchange
    for (tv_inbox_item *item = atomic_exchange(&inbox->newest, NULL), *next; item; item = next) {
        next = item->next;
        item->next = oldest;
        oldest = item;
    }
    return oldest;
}

// What the item lies in.
#define TV_INBOX_OWNER(item, type, member) ((type *)(void *)((char *)(item)-offsetof(type, member)))

#endif
