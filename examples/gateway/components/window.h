// Panes and windows: the arithmetic of the aggregator, without records and text.
//
// Event time is cut into panes as long as the slide; a window is the `panes_per_window` panes up to its own number, so
// a tumbling window is one pane. Numbers count from 1970 and may be negative. A pane is filled one reading at a time
// (Welford 1962) and windows are put together from panes (Chan, Golub and LeVeque 1979), so a reading costs the same
// whatever the window's size.
#ifndef GATEWAY_WINDOW_H
#define GATEWAY_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

typedef struct pane {
    int64_t number;
    uint32_t count;     // readings in the statistics
    uint32_t anomalies; // of them
    uint32_t bad;       // readings of bad quality: counted, not in the statistics
    uint32_t uncertain; // of those in the statistics: their quality is uncertain
    uint16_t revision;  // of the window with this number: corrections sent
    bool in_use;
    bool correct;        // the window with this number must be sent again
    double mean, square; // sum of squared deviations from the mean
    double min, max, first, last;
    int64_t first_ns, last_ns;
} pane;

static inline int64_t floor_divide(int64_t a, int64_t b) {
    int64_t quotient = a / b;
    return a % b < 0 ? quotient - 1 : quotient;
}

static inline void pane_clear(pane *p, int64_t number) { *p = (pane){.number = number, .in_use = true}; }

static inline void pane_add(pane *p, int64_t time_ns, double value, bool anomaly) {
    if (p->count == 0) {
        p->min = p->max = value;
        p->first_ns = p->last_ns = time_ns;
        p->first = p->last = value;
    }
    p->count++;
    p->anomalies += anomaly;
    double deviation = value - p->mean;
    p->mean += deviation / p->count;
    p->square += deviation * (value - p->mean);
    if (value < p->min) p->min = value;
    if (value > p->max) p->max = value;
    if (time_ns >= p->last_ns) {
        p->last_ns = time_ns;
        p->last = value;
    } else if (time_ns < p->first_ns) {
        p->first_ns = time_ns;
        p->first = value;
    }
}

// Adds the readings of `b` to `a`.
static inline void pane_merge(pane *a, const pane *b) {
    a->bad += b->bad;
    if (b->count == 0) return;
    if (a->count == 0) {
        uint32_t bad = a->bad;
        *a = *b;
        a->bad = bad;
        return;
    }
    double count = (double)a->count + b->count, difference = b->mean - a->mean;
    a->mean += difference * (b->count / count);
    a->square += b->square + difference * difference * (a->count * (b->count / count));
    a->count += b->count;
    a->anomalies += b->anomalies;
    a->uncertain += b->uncertain;
    if (b->min < a->min) a->min = b->min;
    if (b->max > a->max) a->max = b->max;
    if (b->last_ns >= a->last_ns) {
        a->last_ns = b->last_ns;
        a->last = b->last;
    }
    if (b->first_ns < a->first_ns) {
        a->first_ns = b->first_ns;
        a->first = b->first;
    }
}

// Standard deviation of the sample; 0 for a single reading.
static inline double pane_deviation(const pane *p) {
    return p->count < 2 ? 0 : __builtin_sqrt(p->square / (p->count - 1));
}

// ---- the windows of one series ------------------------------------------------------------------------------

// Panes lie in a ring by their number, those without readings are not there; `closed` is the number of the newest
// window that was sent, or had nothing to send.
typedef struct window_ring {
    pane *panes;
    uint32_t mask; // ring size - 1
    int64_t closed;
} window_ring;

// The place of a pane, whichever pane lies there now.
static inline pane *window_place(const window_ring *ring, int64_t number) {
    return &ring->panes[(uint64_t)number & ring->mask];
}

// The pane of that number if the ring has it.
static inline pane *window_pane(const window_ring *ring, int64_t number) {
    pane *p = window_place(ring, number);
    return p->in_use && p->number == number ? p : NULL;
}

// The pane of that number; an older one in its place is overwritten. NULL if a newer one has its place.
static inline pane *window_pane_make(window_ring *ring, int64_t number) {
    pane *p = window_place(ring, number);
    if (p->in_use && p->number > number) return NULL;
    if (!p->in_use || p->number != number) pane_clear(p, number);
    return p;
}

// The first window behind `closed` that has a pane; INT64_MAX if there is none.
static inline int64_t window_next(const window_ring *ring, int64_t panes_per_window) {
    int64_t next = INT64_MAX;
    for (uint32_t i = 0; i <= ring->mask; i++) {
        const pane *p = &ring->panes[i];
        if (!p->in_use || p->number + panes_per_window - 1 <= ring->closed) continue;
        int64_t first = p->number > ring->closed ? p->number : ring->closed + 1;
        if (first < next) next = first;
    }
    return next;
}

// All readings of the window of that number; false if there are none.
static inline bool window_total(const window_ring *ring, int64_t number, int64_t panes_per_window, pane *total) {
    pane_clear(total, number);
    for (int64_t n = number - panes_per_window + 1; n <= number; n++) {
        const pane *p = window_pane(ring, n);
        if (p != NULL) pane_merge(total, p);
    }
    total->number = number;
    return total->count > 0 || total->bad > 0;
}

#endif
