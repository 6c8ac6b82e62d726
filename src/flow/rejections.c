// Why records were rejected: the most frequent reasons of a stage, in a table of fixed size.
//
// Reasons that differ in their numbers only are one ("line 17 is no JSON"), shown as the first of them was. A new one
// takes the place of the least frequent and goes on from its count (Metwally et al., Space-Saving, 2005), so that a
// frequent reason is found however late it begins; what it took over is kept apart and not shown as its own.
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "flow/flow_internal.h"

static size_t skip_digits(const char *text, size_t length, size_t at) {
    while (at < length && isdigit((unsigned char)text[at]))
        at++;
    return at;
}

// Whether the two are the same but for runs of digits.
static bool is_same(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t i = 0, k = 0;
    while (i < a_length && k < b_length) {
        size_t after_a = skip_digits(a, a_length, i), after_b = skip_digits(b, b_length, k);
        if ((after_a > i) != (after_b > k)) return false;
        if (after_a == i && a[i++] != b[k++]) return false;
        if (after_a > i) i = after_a;
        if (after_b > k) k = after_b;
    }
    return i == a_length && k == b_length;
}

static tv_rejection_count *find(tv_rejections *rejections, const char *reason, size_t length) {
    for (uint32_t i = 0; i < rejections->count; i++)
        if (is_same(rejections->items[i].reason, rejections->items[i].length, reason, length))
            return &rejections->items[i];
    return NULL;
}

static tv_rejection_count *take_place(tv_rejections *rejections, const char *reason, size_t length) {
    tv_rejection_count *item = &rejections->items[0];
    if (rejections->count < TV_REJECTIONS_KEPT) {
        item = &rejections->items[rejections->count++];
    } else {
        for (uint32_t i = 1; i < rejections->count; i++)
            if (rejections->items[i].times < item->times) item = &rejections->items[i];
    }
    item->taken_over = item->times;
    item->length = (uint32_t)length;
    memcpy(item->reason, reason, length);
    return item;
}

void tv_rejections_add(tv_rejections *rejections, const char *reason, size_t length) {
    if (length >= TV_REJECTION_REASON_BYTES) {
        size_t whole = tv_utf8_prefix(reason, TV_REJECTION_REASON_BYTES - 1);
        length = whole + 3 >= TV_REJECTION_REASON_BYTES - 1 ? whole : TV_REJECTION_REASON_BYTES - 1;
    }
    tv_rejection_count *item = find(rejections, reason, length);
    if (!item) item = take_place(rejections, reason, length);
    item->times++;
    rejections->all++;
}

size_t tv_rejections_read(const tv_rejections *rejections, tv_rejection out[TV_REJECTIONS_KEPT]) {
    size_t count = 0;
    for (uint32_t i = 0; i < rejections->count; i++) {
        const tv_rejection_count *item = &rejections->items[i];
        tv_rejection found = {.times = item->times - item->taken_over};
        memcpy(found.reason, item->reason, item->length);
        size_t at = count++;
        for (; at > 0 && out[at - 1].times < found.times; at--)
            out[at] = out[at - 1];
        out[at] = found;
    }
    return count;
}

// The stage's table, made at the first need; NULL without memory.
static tv_rejections *table_of(tv_stage *stage) {
    tv_stage_cold *cold = tv_stage_get_cold(stage);
    if (!cold || cold->rejections) return cold ? cold->rejections : NULL;
    tv_rejections *made = tv_flow_alloc(stage->flow, sizeof *made);
    pthread_mutex_lock(&stage->flow->figures_mutex);
    cold->rejections = made;
    pthread_mutex_unlock(&stage->flow->figures_mutex);
    return made;
}

// Said once for a stage: when it has rejected more than it has processed, of enough to tell.
static void warn_once(tv_stage *stage, tv_rejections *rejections, uint64_t processed) {
    enum { ENOUGH = 20 };
    if (rejections->warned || rejections->all < ENOUGH || rejections->all <= processed) return;
    tv_rejection most[TV_REJECTIONS_KEPT];
    char text[TV_REJECTION_REASON_BYTES + 160];
    rejections->warned = true;
    tv_rejections_read(rejections, most);
    int length =
        snprintf(text, sizeof text,
                 "most of what comes in is rejected: %" PRIu64 " of %" PRIu64 " records so far, most often: %s",
                 rejections->all, rejections->all + processed, most[0].reason);
    tv_stage_log(stage, TV_LEVEL_WARN, text, (size_t)length);
}

void tv_frame_count_rejection(const tv_call_frame *frame, const char *reason, size_t length) {
    tv_stage *stage = frame->stage;
    tv_rejections *rejections = table_of(stage);
    if (!rejections) return;
    pthread_mutex_lock(&stage->flow->figures_mutex); // readers hold it for a copy of the table
    tv_rejections_add(rejections, reason, length);
    pthread_mutex_unlock(&stage->flow->figures_mutex);
    warn_once(stage, rejections, stage->processed + frame->mark_index - frame->rejected_count);
}

size_t tv_flow_rejections(tv_flow *flow, size_t stage, tv_rejection out[TV_REJECTIONS_KEPT]) {
    TV_ASSERT(stage < flow->spec->stage_count);
    pthread_mutex_lock(&flow->figures_mutex);
    const tv_stage_cold *cold = flow->stage_rares[stage].cold;
    size_t count = cold && cold->rejections ? tv_rejections_read(cold->rejections, out) : 0;
    pthread_mutex_unlock(&flow->figures_mutex);
    return count;
}
