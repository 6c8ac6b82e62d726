// The detector's methods: pure computation on the state of one series.
//
// Each method gives the square of how far a reading is out, and the square of its threshold; the score is
// out / (out + threshold), so that 0.5 is the threshold whatever the method. Methods are compared by multiplying
// crosswise, so a reading costs one division; no logarithm or exponential, which WebAssembly has not in hardware.
//
// What the statistics must not learn: a reading outside the fixed range changes nothing, and one beyond the EWMA's
// threshold moves the average by the threshold at most. A series with a coarse display is not unusual because it moves
// by one step: no deviation below three steps counts. What is of bad quality never comes here: between two good
// readings it is as if it had not been sent.
#ifndef GATEWAY_DETECT_H
#define GATEWAY_DETECT_H

#include "reading.h"

// A pause longer than so many usual intervals teaches no more than one as long: a clock that was set is no pause.
#define DETECT_INTERVALS_TAUGHT_MAX 100

// Weight of a new deviation in the smoothed residual, whose variance is weight / (2 - weight) of a deviation's.
#define DETECT_RESIDUAL_WEIGHT 0.1

typedef struct detect_limits {
    double min, max;              // range
    double max_per_second;        // rate: fixed; 0 = learned
    double factor;                // rate, learned: times the usual change from reading to reading
    int64_t stuck_ns;             // stuck: unchanged for so long,
    uint32_t stuck_readings;      // and for so many readings
    uint32_t warm_up;             // all but range: readings before the method speaks
    double tolerance;             // stuck: what counts as unchanged
    double alpha, variance_alpha; // ewma: weight of a new reading in mean and variance
    double threshold_square;      // ewma: deviations of one reading, squared
    double trend_scale;           // ewma: brings the square of the smoothed residual to that scale (drift); 0 = off
    int64_t silent_ns;            // silent: no reading for so long,
    double intervals;             // and for so many usual intervals
} detect_limits;

typedef struct detect_state {
    int64_t last_ns;       // newest reading
    int64_t same_since_ns; // stuck: first reading of the present run
    double last;           // newest value within range
    double interval_ns;    // usual time between readings
    double change_square;  // mean square of the change from reading to reading
    double step;           // least change ever seen: the display's resolution
    double same_value;     // stuck: value of the present run
    double run_longest;    // stuck: usual longest run, readings; decays slowly
    double mean, variance; // ewma
    double residual;       // ewma: smoothed deviation, for drifts
    uint32_t count;        // readings within range
    uint32_t run;          // stuck: readings in the present run
    uint32_t changes;      // stuck: runs so far
    bool stuck;            // the present run has been flagged: not to be learnt
} detect_state;

typedef struct detect_verdict {
    uint8_t methods;       // bit 1 << method of all that found it unusual
    uint8_t method;        // the one that is furthest out
    double out, threshold; // its squares
    double expected;
} detect_verdict;

static inline void detect_begin(detect_state *s) { *s = (detect_state){.last_ns = INT64_MIN, .step = __DBL_MAX__}; }

static inline detect_verdict detect_nothing(void) { return (detect_verdict){.threshold = 1}; }

static inline void detect_consider(detect_verdict *verdict, uint8_t method, double out, double threshold) {
    if (out > threshold) verdict->methods |= (uint8_t)(1u << method);
    if (!(out * verdict->threshold > verdict->out * threshold)) return;
    verdict->out = out;
    verdict->threshold = threshold;
    verdict->method = method;
}

// 0..1. The method is named only if the reading is flagged.
static inline float detect_score(detect_verdict *verdict) {
    if (verdict->methods == 0) verdict->method = METHOD_NONE;
    return (float)(verdict->out / (verdict->out + verdict->threshold));
}

// False if outside.
static inline bool detect_range(const detect_limits *limits, double value, detect_verdict *verdict) {
    if (limits == NULL || (value >= limits->min && value <= limits->max)) return true;
    detect_consider(verdict, METHOD_RANGE, 1, 0);
    return false;
}

// The usual change, floored so that one or two steps of the display are never unusual.
static inline double detect_floor_square(const detect_state *s) {
    double half_step = s->step == __DBL_MAX__ ? 0 : s->step * 0.5;
    return half_step * half_step;
}

static inline void detect_rate(detect_state *s, const detect_limits *limits, int64_t elapsed_ns, double change,
                               detect_verdict *verdict) {
    double square = change * change;
    if (limits->max_per_second > 0) {
        double most = limits->max_per_second * (double)(elapsed_ns > 0 ? elapsed_ns : 1) * 1e-9;
        if (elapsed_ns > 0) detect_consider(verdict, METHOD_RATE, square, most * most);
        return;
    }
    double usual = s->change_square + detect_floor_square(s), most = limits->factor * limits->factor * usual;
    if (s->count > limits->warm_up && most > 0) {
        detect_consider(verdict, METHOD_RATE, square, most);
        if (square > most) square = most;
    }
    double weight = s->count < 200 ? 1.0 / (s->count + 1) : 0.005;
    s->change_square += weight * (square - s->change_square);
}

// A run is unusual if it is long by the clock, by readings, and against the longest runs of this series.
static inline void detect_stuck(detect_state *s, const detect_limits *limits, int64_t time_ns, double value,
                                detect_verdict *verdict) {
    double difference = value - s->same_value;
    if (s->count > 0 && difference <= limits->tolerance && difference >= -limits->tolerance) {
        s->run++;
        if (s->run < limits->stuck_readings || s->changes < 3 || s->count < limits->warm_up) return;
        if (s->run < 3 * s->run_longest) return;
        double same_ns = (double)(time_ns - s->same_since_ns), most_ns = (double)limits->stuck_ns;
        detect_consider(verdict, METHOD_STUCK, same_ns * same_ns, most_ns * most_ns);
        s->stuck |= same_ns > most_ns;
        return;
    }
    if (!s->stuck) s->run_longest = s->run > s->run_longest ? s->run : s->run_longest * 0.999;
    s->stuck = false;
    s->changes++;
    s->run = 1;
    s->same_value = value;
    s->same_since_ns = time_ns;
}

// One reading against the average (spikes, jumps), and the smoothed residual against its own spread (drifts).
static inline void detect_ewma(detect_state *s, const detect_limits *limits, double value, detect_verdict *verdict) {
    if (s->count == 0) s->mean = value;
    double deviation = value - s->mean, square = deviation * deviation;
    double most = limits->threshold_square * (s->variance + detect_floor_square(s));
    verdict->expected = s->mean;
    if (s->count >= limits->warm_up && most > 0) {
        detect_consider(verdict, METHOD_EWMA, square, most);
        if (square > most) {
            deviation = deviation > 0 ? __builtin_sqrt(most) : -__builtin_sqrt(most);
            square = most;
        }
        s->residual += DETECT_RESIDUAL_WEIGHT * (deviation - s->residual);
        detect_consider(verdict, METHOD_EWMA, s->residual * s->residual * limits->trend_scale, most);
    }
    double mean_weight = limits->alpha, variance_weight = limits->variance_alpha;
    if (s->count * variance_weight < 1) { // young: plain averages until the weights are reached
        double young = 1.0 / (s->count + 1);
        if (young > mean_weight) mean_weight = young;
        if (young > variance_weight) variance_weight = young;
    }
    s->mean += mean_weight * deviation;
    s->variance += variance_weight * (square - s->variance);
}

static inline void detect_interval(detect_state *s, double elapsed_ns) {
    double most_ns = DETECT_INTERVALS_TAUGHT_MAX * s->interval_ns;
    if (s->interval_ns > 0 && elapsed_ns > most_ns) elapsed_ns = most_ns;
    s->interval_ns += (s->count == 1 ? 1.0 : 0.05) * (elapsed_ns - s->interval_ns);
}

// The series goes on at an earlier time: its clock was set back. What was learnt of its values stays.
static inline void detect_set_back(detect_state *s, int64_t time_ns) {
    s->last_ns = s->same_since_ns = time_ns;
    s->run = 1;
}

// All methods that look at a value; time must not go back.
static inline void detect_value(detect_state *s, const detect_limits *const limits[METHOD_COUNT], int64_t time_ns,
                                double value, detect_verdict *verdict) {
    int64_t elapsed_ns = s->last_ns == INT64_MIN ? 0 : time_ns - s->last_ns;
    s->last_ns = time_ns;
    verdict->expected = s->last;
    if (!detect_range(limits[METHOD_RANGE], value, verdict)) return;
    if (s->count > 0) {
        double change = value - s->last, size = change < 0 ? -change : change;
        if (size > 0 && size < s->step) s->step = size;
        detect_interval(s, (double)elapsed_ns);
        if (limits[METHOD_RATE] != NULL) detect_rate(s, limits[METHOD_RATE], elapsed_ns, change, verdict);
    }
    if (limits[METHOD_STUCK] != NULL) detect_stuck(s, limits[METHOD_STUCK], time_ns, value, verdict);
    if (limits[METHOD_EWMA] != NULL) detect_ewma(s, limits[METHOD_EWMA], value, verdict);
    s->last = value;
    if (s->count < UINT32_MAX) s->count++;
}

// Whether a series that was heard at heard_ns (its own time) says nothing any more at now_ns.
static inline bool detect_silence(const detect_state *s, const detect_limits *limits, int64_t heard_ns,
                                  int64_t now_ns) {
    if (limits == NULL || s->count < limits->warm_up || now_ns <= heard_ns) return false;
    int64_t silent_ns = now_ns - heard_ns;
    return silent_ns > limits->silent_ns && (double)silent_ns > limits->intervals * s->interval_ns;
}

#endif
