// Checks of somebody's own component: what the contract asks of it, as far as it can be seen from outside.
#ifndef TORVYN_COMPONENT_CHECK_H
#define TORVYN_COMPONENT_CHECK_H

// The records are the lines of `records_path`; NULL: a built-in set of odd ones. `lines` are "path=value" lines of
// configuration and "grant=name". Prints a line per point; returns the number of points that do not hold.
int component_check(const char *path, const char *records_path, char **lines, int line_count);

#endif
