// Regular expressions for `tap` (POSIX extended), matched in time linear in the text and in memory fixed beforehand.
//
// The pattern comes from a client and the text from a component, and the thread that matches serves all connectors: so
// there is no backtracking and nothing is allocated while it matches. An expression becomes an automaton of at most
// TV_HOST_REGEX_POSITIONS_MAX positions (characters and classes, after {m,n} is written out), of which a byte of the
// text costs at most one step each; and a text can be matched a part at a time.
//
// Bytes are matched, not letters: `.` is any byte. Back-references and assertions other than ^ and $ are refused.
#ifndef TORVYN_HOST_CONTROL_REGEX_H
#define TORVYN_HOST_CONTROL_REGEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum {
    TV_HOST_REGEX_PATTERN_BYTES_MAX = 512,
    TV_HOST_REGEX_POSITIONS_MAX = 256,
    TV_HOST_REGEX_WORDS = TV_HOST_REGEX_POSITIONS_MAX / 64,
};

typedef struct tv_host_regex_set {
    uint64_t words[TV_HOST_REGEX_WORDS];
} tv_host_regex_set;

// Plain memory: freed with free().
typedef struct tv_host_regex {
    tv_host_regex_set of_byte[256];                        // positions that a byte may stand at
    tv_host_regex_set follow[TV_HOST_REGEX_POSITIONS_MAX]; // where it goes on from there
    tv_host_regex_set first, later;                        // where a match may begin: at the begin of the text, behind
    tv_host_regex_set last, last_at_end;                   // where one may end: anywhere, at the end of the text
    bool matches_nothing, matches_nothing_at_begin;        // an empty match: anywhere, at the begin of the text
    bool matches_nothing_at_end, matches_nothing_alone;    // at the end of it, in an empty text
    bool may_begin[256];                                   // behind the begin of the text
} tv_host_regex;

// INVALID: what is wrong with it; TOO_LARGE; NO_MEMORY.
tv_status tv_host_regex_new(const char *pattern, tv_host_regex **out, tv_error *error);

// A match under way. Zero-initialise for a new text.
typedef struct tv_host_regex_match {
    tv_host_regex_set active;
    uint32_t at; // bytes of the text that are done
} tv_host_regex_match;

// Goes on matching and takes what it does off *work: one for a byte of the text, and one for each position that it
// stands at. OK: there is a match. NOT_FOUND: there is none. AGAIN: the work is used up; call it again with the same
// text.
tv_status tv_host_regex_match_on(const tv_host_regex *regex, const char *text, uint32_t length,
                                 tv_host_regex_match *match, int64_t *work);

#endif
