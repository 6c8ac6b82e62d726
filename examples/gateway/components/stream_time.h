// The time of a stream of readings whose devices' clocks may be wrong: what the watermark follows.
//
// Readings near the stream's time move it; those far ahead and far behind do not. It jumps ahead when a good many
// readings agree on a later time and more series stand there than at the present one, so one device with a wrong clock
// moves it neither forward nor back, from the first reading on. Times before September 2001 are those of clocks that
// were never set: they hold nothing back. Series are told apart by six bits of their key, so a reading costs a few
// instructions and no table; with more than 64 of them a vote is a sample. A stream that speaks in steps
// longer than `far` (a sensor every two hours) is recognised by three of them in a row, and `far` widened.
// The time never goes back: readings behind it are for the windows to judge.
#ifndef GATEWAY_STREAM_TIME_H
#define GATEWAY_STREAM_TIME_H

#include <stdbool.h>
#include <stdint.h>

enum { STREAM_STEPS = 3, STREAM_CONFIRM_FACTOR_MAX = 64 };
#define STREAM_CLOCKS_SET_NS 1000000000000000000 // 2001-09-09: before, a clock counts from its own beginning
#define STREAM_FAR_MAX_NS    (3650 * 86400000000000)

typedef enum stream_place { STREAM_ON_TIME, STREAM_AHEAD, STREAM_BEHIND } stream_place;

typedef struct stream_time {
    int64_t far_ns;          // further away than this is another clock
    uint32_t confirm;        // readings that it takes to jump
    uint32_t factor;         // times so many, after votes that failed
    int64_t now_ns;          // valid if `begun`
    bool begun;              // there was a reading
    bool settled;            // a second one has agreed with it
    uint64_t on_time, ahead; // series that stand here and there, by six bits of their keys
    int64_t ahead_ns;        // greatest time of the group ahead; valid if ahead != 0
    int32_t weight;          // of that group: 2 a reading, less for what speaks against it
    int64_t last_ahead_ns;   // newest reading ahead
    uint32_t steps;          // so many in a row were further than `far` from the one before
} stream_time;

static inline uint64_t stream_voter(uint64_t key) { return 1ull << (key >> 58); }

static inline void stream_forget_ahead(stream_time *s) {
    s->ahead = 0;
    s->weight = 0;
    s->steps = 0;
}

static inline void stream_jump(stream_time *s, int64_t to_ns) {
    s->now_ns = to_ns;
    s->on_time = s->ahead;
    s->factor = 1;
    s->settled = true;
    stream_forget_ahead(s);
}

// A stream that goes on in long steps: the time goes to the last but one, since the last may be wrong.
static inline bool stream_is_rhythm(stream_time *s, int64_t time_ns) {
    int64_t step_ns = time_ns - (s->weight > 0 ? s->last_ahead_ns : s->now_ns);
    s->steps = step_ns > s->far_ns ? s->steps + 1 : 0;
    if (s->steps < STREAM_STEPS || s->on_time != 0) return false;
    int64_t wider_ns = step_ns < STREAM_FAR_MAX_NS / 2 ? 2 * step_ns : STREAM_FAR_MAX_NS;
    if (wider_ns > s->far_ns) s->far_ns = wider_ns;
    stream_jump(s, s->last_ahead_ns);
    return true;
}

// The group ahead is the one that most readings ahead agree with, and of two the earlier one.
static inline void stream_weigh(stream_time *s, int64_t time_ns, uint64_t voter) {
    bool lower = s->weight > 0 && time_ns < s->ahead_ns - s->far_ns;
    bool higher = s->weight > 0 && time_ns > s->ahead_ns + s->far_ns;
    s->weight += lower ? -4 : higher ? -1 : 2;
    if ((lower || higher) && s->weight > 0) return;
    if (s->weight <= 0) {
        s->weight = 2;
        s->ahead = 0;
        s->ahead_ns = time_ns;
    }
    s->ahead |= voter;
    if (time_ns > s->ahead_ns) s->ahead_ns = time_ns;
}

static inline bool stream_wins(const stream_time *s) {
    if (s->confirm == 0 || s->now_ns < STREAM_CLOCKS_SET_NS) return true;
    return __builtin_popcountll(s->ahead) > __builtin_popcountll(s->on_time);
}

static inline stream_place stream_far_ahead(stream_time *s, int64_t time_ns, uint64_t voter) {
    s->on_time &= ~voter;
    if (stream_is_rhythm(s, time_ns)) return STREAM_AHEAD;
    stream_weigh(s, time_ns, voter);
    s->last_ahead_ns = time_ns;
    if (s->weight <= (int64_t)2 * s->confirm * s->factor) return STREAM_AHEAD;
    if (stream_wins(s)) {
        stream_jump(s, s->ahead_ns);
        return STREAM_AHEAD;
    }
    // Who has not spoken since may be gone: next time only those count that have, and it takes longer.
    s->on_time = 0;
    stream_forget_ahead(s);
    if (s->factor < STREAM_CONFIRM_FACTOR_MAX) s->factor *= 8;
    return STREAM_AHEAD;
}

// The first readings disagree: the earliest counts until two agree.
static inline stream_place stream_unsettled(stream_time *s, int64_t time_ns, uint64_t voter) {
    if (s->begun) {
        s->ahead_ns = s->last_ahead_ns = s->now_ns;
        s->ahead = s->on_time;
        s->weight = 2;
    }
    s->begun = true;
    s->now_ns = time_ns;
    s->on_time = voter;
    return STREAM_ON_TIME;
}

static inline stream_place stream_elsewhere(stream_time *s, int64_t time_ns, uint64_t voter) {
    if (s->begun && time_ns > s->now_ns) return stream_far_ahead(s, time_ns, voter);
    return s->settled ? STREAM_BEHIND : stream_unsettled(s, time_ns, voter);
}

// Takes note of a reading, and says where it stands to the stream's time. Times and far_ns must be such that their sums
// and differences fit into an int64_t.
static inline stream_place stream_note(stream_time *s, int64_t time_ns, uint64_t key) {
    uint64_t voter = stream_voter(key);
    int64_t lead_ns = time_ns - s->now_ns;
    if (!s->begun || lead_ns > s->far_ns || lead_ns < -s->far_ns) return stream_elsewhere(s, time_ns, voter);
    s->settled = true;
    s->on_time |= voter;
    if (s->ahead & voter) { // has come back
        s->ahead &= ~voter;
        if (s->ahead == 0) stream_forget_ahead(s);
    }
    if (lead_ns > 0) s->now_ns = time_ns;
    return STREAM_ON_TIME;
}

#endif
