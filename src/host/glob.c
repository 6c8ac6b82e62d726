// See glob.h. Of all stars only the last one seen can be worth another try, so that two places suffice to go back to.
#include "host/glob.h"

#include <stddef.h>
#include <string.h>

// The set at `set`, behind its bracket: its end (behind the other bracket), NULL if there is none.
static const char *match_set(const char *set, unsigned char letter, bool *matches) {
    bool inverted = *set == '!' || *set == '^', found = false;
    if (inverted) set++;
    const char *begin = set; // a bracket there is a letter
    for (; *set && (*set != ']' || set == begin); set++) {
        if (*set == '\\' && set[1]) set++;
        unsigned char from = (unsigned char)*set, to = from;
        if (set[1] == '-' && set[2] && set[2] != ']') {
            set += 2;
            if (*set == '\\' && set[1]) set++;
            to = (unsigned char)*set;
        }
        found = found || (letter >= from && letter <= to);
    }
    if (*set != ']') return NULL;
    *matches = found != inverted;
    return set + 1;
}

// What stands at `glob` against one letter: where the glob goes on, NULL if it does not match.
static const char *match_one(const char *glob, unsigned char letter) {
    bool matches = false;
    const char *end = *glob == '[' ? match_set(glob + 1, letter, &matches) : NULL;
    if (end) return matches ? end : NULL;
    if (*glob == '?') return glob + 1;
    if (*glob == '\\' && glob[1]) glob++;
    return (unsigned char)*glob == letter ? glob + 1 : NULL;
}

bool tv_host_glob_matches(const char *glob, const char *name) {
    const char *star = NULL, *tried = NULL; // behind the last star; what it is tried with
    while (*name) {
        const char *next = NULL;
        if (*glob == '*') {
            star = ++glob;
            tried = name;
            continue;
        }
        if (*glob) next = match_one(glob, (unsigned char)*name);
        if (next) {
            glob = next;
            name++;
        } else if (star) {
            glob = star;
            name = ++tried;
        } else {
            return false;
        }
    }
    return glob[strspn(glob, "*")] == '\0';
}
