// "Did you mean": the nearest of a list of names by edit distance (insert, delete, replace, swap neighbours; case
// does not count). Names over 64 bytes are never suggested; suggestions that share too little are none.
#include <ctype.h>
#include <string.h>

#include "base/option.h"

enum { NAME_BYTES_MAX = 64 };

static size_t least_of(size_t a, size_t b) { return a < b ? a : b; }

static bool same_letter(char a, char b) { return tolower((unsigned char)a) == tolower((unsigned char)b); }

// Optimal string alignment distance; both lengths are at most NAME_BYTES_MAX.
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t rows[3][NAME_BYTES_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++)
        above[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t replaced = above[j - 1] + !same_letter(a[i - 1], b[j - 1]);
            row[j] = least_of(replaced, least_of(above[j], row[j - 1]) + 1);
            bool swapped = i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) && same_letter(a[i - 2], b[j - 1]);
            if (swapped) row[j] = least_of(row[j], before[j - 2] + 1);
        }
        size_t *free_row = before;
        before = above;
        above = row;
        row = free_row;
    }
    return above[b_length];
}

const char *tv_nearest_name(const char *name, const char *const *names, size_t count) {
    const char *nearest = NULL;
    size_t length = strlen(name), least = 0;
    if (length == 0 || length > NAME_BYTES_MAX) return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(names[i]);
        if (other == 0 || other > NAME_BYTES_MAX) continue;
        size_t longer = length > other ? length : other;
        size_t distance = edit_distance(name, length, names[i], other);
        // A third of the letters may differ, and one in any name of two letters or more.
        size_t allowed = longer < 2 ? 0 : longer < 6 ? 1 + (longer > 3) : longer / 3;
        if (distance > allowed || distance >= longer || (nearest && distance >= least)) continue;
        nearest = names[i];
        least = distance;
    }
    return nearest;
}
