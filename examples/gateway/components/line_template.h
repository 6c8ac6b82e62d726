// Reads lines that look like the line before: the same bytes except for the values of the fields one wants.
//
// Devices print their JSON with one format string. The template learns that format from a line the SDK has read in
// full: the literal bytes before each wanted value, and whether the value is a string or a number. A later line
// matches if the literals are equal and each value is a plain string (printable ASCII, no escapes) or a plain number
// (no exponent). Then it is valid JSON with these fields, because the line learnt from was. All
// other lines, right or wrong, go to the full reader, which is about four times as slow.
#ifndef GATEWAY_LINE_TEMPLATE_H
#define GATEWAY_LINE_TEMPLATE_H

#include <torvyn/torvyn.h>

enum { TEMPLATE_SLOTS_MAX = 8, TEMPLATE_LITERAL_BYTES_MAX = 64 };

// Learning is tried after each miss until so many in a row did not help, then after every 64th only.
enum { TEMPLATE_MISSES_EAGER = 16, TEMPLATE_MISSES_STEP = 64 };

enum template_kind {
    TEMPLATE_STRING,
    TEMPLATE_NUMBER,
    TEMPLATE_CHECKED, // a string whose characters the caller checks; most likely as long as the one learnt from
};

// What stands at a slot of the line at hand.
typedef struct template_value {
    tv_string text;
    double number; // valid if `exact`
    bool exact;    // a number with at most 15 digits
} template_value;

typedef struct template_slot {
    char literal[TEMPLATE_LITERAL_BYTES_MAX]; // in front of the value, the quote of a string with it
    uint32_t literal_bytes;
    uint32_t text_bytes; // of TEMPLATE_CHECKED
    uint8_t field;       // the caller's number
    uint8_t kind;        // enum template_kind
} template_slot;

typedef struct line_template {
    template_slot slots[TEMPLATE_SLOTS_MAX + 1]; // the last one has the literal at the end only
    uint32_t count;                              // of values; 0: nothing learnt
    uint32_t misses;                             // since the last match
} line_template;

// ---- matching -----------------------------------------------------------------------------------------------

static inline uint64_t template_word(const char *at) {
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

// Whether `at` begins with the literal; both may be read up to the literal's length only.
static inline bool template_literal(const template_slot *slot, const char *at, const char *end) {
    uint32_t length = slot->literal_bytes;
    if (end - at < (int32_t)length) return false;
    if (length < 8) {
        for (uint32_t i = 0; i < length; i++) {
            if (at[i] != slot->literal[i]) return false;
        }
        return true;
    }
    for (uint32_t i = 0; i + 8 < length; i += 8) {
        if (template_word(at + i) != template_word(slot->literal + i)) return false;
    }
    return template_word(at + length - 8) == template_word(slot->literal + length - 8);
}

// The closing quote of a plain string, or NULL. Looks at eight bytes at a time: bit 7 of each byte that is a quote, a
// backslash, a control character or not ASCII, exact up to the lowest such byte.
static inline const char *template_string(const char *at, const char *end) {
    const uint64_t ones = 0x0101010101010101ull, tops = 0x8080808080808080ull;
    for (; end - at >= 8; at += 8) {
        uint64_t word = template_word(at), quote = word ^ ones * '"', backslash = word ^ ones * '\\';
        uint64_t hits = ((quote - ones) | (backslash - ones) | (word - ones * 0x20) | word) & tops;
        if (hits == 0) continue;
        at += __builtin_ctzll(hits) >> 3;
        return *at == '"' ? at : NULL;
    }
    return NULL; // the last few bytes of a line are not worth a loop of their own
}

// Behind a plain number, or NULL. Quotients of digits up to 2^53 and powers of ten up to 10^22 are exact (Clinger
// 1990).
static inline const char *template_number(const char *at, const char *end, template_value *value) {
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    bool negative = at < end && *at == '-';
    const char *first = at += negative, *point = NULL;
    value->exact = false;
    uint64_t digits = 0;
    for (; at < end; at++) {
        uint32_t digit = (uint32_t)(uint8_t)*at - '0';
        if (digit <= 9) {
            digits = digits * 10 + digit;
        } else if (*at == '.' && point == NULL) {
            point = at;
        } else {
            break;
        }
    }
    int32_t length = (int32_t)(at - first);
    if (length == 0 || length > 20 || point == first || point == at - 1) return NULL;
    if (*first == '0' && length > 1 && point != first + 1) return NULL;
    if (at < end && (*at | 0x20) == 'e') return NULL;
    value->exact = length <= 15;
    if (!value->exact) return at;
    double magnitude = point == NULL ? (double)digits : (double)digits / powers[at - point - 1];
    value->number = negative ? -magnitude : magnitude;
    return at;
}

// The end of the value at `from`, or NULL.
static inline const char *template_end(const template_slot *slot, const char *from, const char *end,
                                       template_value *value) {
    if (slot->kind == TEMPLATE_STRING) return template_string(from, end);
    if (slot->kind == TEMPLATE_NUMBER) return template_number(from, end, value);
    const char *likely = from + slot->text_bytes;
    return (uint32_t)(end - from) > slot->text_bytes && *likely == '"' ? likely : template_string(from, end);
}

// How many values were found: all of the template's, or none. values[i] is what slot i has in this line.
static inline uint32_t template_match(line_template *t, tv_string line, template_value *values) {
    const char *at = line.bytes, *end = line.bytes + line.length;
    uint32_t found = 0;
    for (; found < t->count; found++) {
        const template_slot *slot = &t->slots[found];
        if (!template_literal(slot, at, end)) return 0;
        const char *from = at + slot->literal_bytes;
        values[found].exact = false;
        at = template_end(slot, from, end, &values[found]);
        if (at == NULL) return 0;
        values[found].text = (tv_string){from, (uint32_t)(at - from)};
    }
    const template_slot *last = &t->slots[found];
    if (end - at != (int32_t)last->literal_bytes || !template_literal(last, at, end)) return 0;
    t->misses = 0;
    return found;
}

// ---- learning -----------------------------------------------------------------------------------------------

// A value in the line to learn from, as the full reader found it.
typedef struct template_example {
    tv_string text; // a string's without quotes
    uint8_t field;
    uint8_t kind; // enum template_kind
} template_example;

static inline bool template_put_literal(template_slot *slot, const char *from, const char *to) {
    if (to - from > TEMPLATE_LITERAL_BYTES_MAX) return false;
    slot->literal_bytes = (uint32_t)(to - from);
    memcpy(slot->literal, from, slot->literal_bytes);
    return true;
}

// Whether the line that did not match shall be learnt from. Counts the miss.
static inline bool template_wants(line_template *t) {
    t->misses++;
    return t->misses <= TEMPLATE_MISSES_EAGER || t->misses % TEMPLATE_MISSES_STEP == 0;
}

// Learns from a line that the full reader has accepted; examples in the order of the line.
static inline void template_learn(line_template *t, tv_string line, const template_example *examples, uint32_t count) {
    const char *at = line.bytes;
    t->count = 0;
    if (count > TEMPLATE_SLOTS_MAX) return;
    for (uint32_t i = 0; i < count; i++) {
        if (!template_put_literal(&t->slots[i], at, examples[i].text.bytes)) return;
        t->slots[i].field = examples[i].field;
        t->slots[i].kind = examples[i].kind;
        t->slots[i].text_bytes = examples[i].text.length;
        at = examples[i].text.bytes + examples[i].text.length;
    }
    if (template_put_literal(&t->slots[count], at, line.bytes + line.length)) t->count = count;
}

#endif
